"""How long the pipeline would take elsewhere: from what one worker took here, to other shapes and numbers of workers.

Every stage is a number of equal tasks whose work is known (multiplications, or components read), so its time is that
of one worker here times the ratio of the work, shared among the workers in whole tasks. What is left out: disks and
networks that are slower than the memory of one machine; the bytes that each worker would have to read in a second are
given beside the time, for the reader to judge.
"""

from dataclasses import dataclass

import numpy as np

from compute.blocks import duplicates, neighbors, products

BYTES = 2  # of a stored component


@dataclass(frozen=True)
class Stage:
    """What a stage asks for at one shape."""

    work: float  # of any unit that grows as its time does
    tasks: int  # 0: it runs in the caller alone
    read: float  # bytes that all workers together read from the matrix


def stages(n_rows: int, dim: int) -> dict[str, Stage]:
    """All stages of the pipeline at a shape (N, D)."""
    matrix = float(BYTES) * n_rows * dim
    shares, strips = -(-n_rows // products.SHARE), len(products.strips(dim))
    hashed = 2 * -(-n_rows // duplicates.SHARE)
    blocks = -(-n_rows // neighbors.block_rows(n_rows))
    return {
        "census": Stage(n_rows * dim, hashed, matrix),
        "centroid": Stage(n_rows * dim, shares, matrix),
        "covariance": Stage(n_rows * dim * dim * (1 + 1 / strips), strips * (strips + 1) // 2, strips * matrix),
        "eigenbasis": Stage(dim**3, 0, 0.0),
        "projections": Stage(n_rows * dim * dim, shares, matrix),
        "neighbours": Stage(n_rows**2 * dim, blocks * (blocks + 1) // 2 + blocks + hashed, (blocks + 1) * matrix),
    }


def seconds(measured: dict[str, float], of: tuple[int, int], to: tuple[int, int], workers: int) -> dict[str, float]:
    """The seconds of every stage at the shape `to` on some workers, from those of one worker at the shape `of`."""
    here, there = stages(*of), stages(*to)
    found = {}
    for name, taken in measured.items():
        shared = np.ceil(there[name].tasks / workers) / there[name].tasks if there[name].tasks else 1.0
        found[name] = float(taken * there[name].work / here[name].work * shared)
    return found


def chatter(traffic: list[int], tasks: list[int], worker_seconds: list[float]) -> tuple[float, float]:
    """Bytes through the scheduler for each task and for each second of a worker's life, from what stages carried."""
    from scipy.optimize import nnls

    a_task, a_second = nnls(np.array([tasks, worker_seconds], float).T, np.array(traffic, float))[0]
    return float(a_task), float(a_second)


def volumes(
    to: tuple[int, int], taken: dict[str, float], workers: int, spoken: tuple[float, float]
) -> dict[str, float]:
    """GB that all workers read, MB that each reads a second, and MB through the scheduler, at a shape and its times."""
    there = stages(*to)
    read = sum(stage.read for stage in there.values())
    seconds_at_work = sum(seconds for name, seconds in taken.items() if there[name].tasks)
    a_task, a_second = spoken
    through = a_task * sum(stage.tasks for stage in there.values()) + a_second * workers * sum(taken.values())
    return {
        "read_gigabytes": read / 1e9,
        "read_megabytes_a_second": read / 1e6 / workers / seconds_at_work,
        "scheduler_megabytes": through / 1e6,
    }
