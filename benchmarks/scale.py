"""The full pipeline on a synthetic galaxy on 1, 2 and 4 local workers, and what a far larger one would take.

Census, centroid, covariance, eigenbasis, projections and exact neighbours of a planted galaxy (`benchmarks._galaxy`)
by blocks, on the workers of a Dask cluster of this machine, of one thread each: time and peak memory of every stage,
and bytes through the scheduler. From the rates of one worker follow the times for two and four, which are measured
too, and those of 1,000,000 x 8,192 on 1, 8 and 64. Then two workers against one process of two threads, at neighbours
and at trainings of Lean. The scratch files are deleted at the end, and nothing of them is a result of the book.

    python -m benchmarks.scale --rows 4000 --width 128      a try, printed; no table is written
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from benchmarks import _projection
from benchmarks._galaxy import ROWS, WIDTH, plant
from benchmarks._watch import Watch
from compute import fleet, metric, recipes
from compute.blocks import duplicates, neighbors, products
from compute.fleet import choice
from compute.goldilocks.settings import GOLDILOCKS, LEAN, Settings
from compute.models.weights import Catalogue
from compute.neighbors import nearest

K = 20
COUNTS = (1, 2, 4)  # local workers
BEYOND, FLEETS = (1_000_000, 8_192), (1, 8, 64)
COMPARED = (49_152, 576)  # where two workers meet one process of two threads
TRAININGS, STEPS = 8, 200  # of Lean, and the updates of each
ROUNDS = 3


@contextmanager
def local_workers(count: int) -> Iterator[int]:
    """Some workers of one thread on this machine, to which `fleet.spread` sends its tasks; yields the port."""
    from distributed import LocalCluster

    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with LocalCluster(
        n_workers=count, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0", env=single
    ) as cluster, variable(choice.VARIABLE, cluster.scheduler_address):
        yield int(cluster.scheduler_address.rpartition(":")[2])


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """A variable of the environment, for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def pipeline(catalogue: Catalogue, planted: list[int], folder: Path, port: int) -> dict[str, Watch]:
    """Every stage on a galaxy, measured; raises AssertionError where the planted holes are not what comes out."""
    watched = {name: Watch(port) for name in _projection.stages(catalogue.n_tokens, catalogue.dim)}
    with watched["census"]:
        holes = duplicates.census(catalogue, folder, fleet.spread)
    assert holes.populations.tolist() == planted, f"planted {planted}, found {holes.populations.tolist()}"
    with watched["centroid"]:
        mu = products.centroid(catalogue, fleet.spread)
    with watched["covariance"]:
        sigma = products.covariance(catalogue, mu, folder, fleet.spread, np.float64)
    with watched["eigenbasis"]:
        basis = metric.eigenbasis(mu, sigma)
    with watched["projections"]:
        products.projections(catalogue, basis.whitening, mu, folder / "coordinates.npy", fleet.spread)
    with watched["neighbours"]:
        found = neighbors.search(catalogue, K, folder, fleet.spread)
    assert len(found.distinct.first) == holes.unique_rows
    return watched


def on_workers(catalogue: Catalogue, planted: list[int], folder: Path, count: int) -> dict[str, Watch]:
    """The pipeline on some local workers, in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch, local_workers(count) as port:
        return pipeline(catalogue, planted, Path(scratch), port)


Measured = dict[int, dict[str, Watch]]  # by workers, by stage


def foretold(shape: tuple[int, int], alone: dict[str, Watch], to: tuple[int, int], workers: int) -> dict[str, float]:
    """Seconds of every stage at another shape and number of workers, from those of one worker."""
    return _projection.seconds({name: watch.seconds for name, watch in alone.items()}, shape, to, workers)


def spoken(shape: tuple[int, int], measured: Measured) -> tuple[float, float]:
    """Bytes through the scheduler a task and a worker-second, from all stages of all runs."""
    tasks = {name: stage.tasks for name, stage in _projection.stages(*shape).items()}
    seen = [(w.traffic, tasks[name], count * w.seconds) for count, ws in measured.items() for name, w in ws.items()]
    return _projection.chatter(*map(list, zip(*seen, strict=True)))


def projected(shape: tuple[int, int], measured: Measured) -> dict[str, dict]:
    """What the stages take at BEYOND on each number of workers: seconds by stage, and the volumes."""
    found, said = {}, spoken(shape, measured)
    for workers in FLEETS:
        taken = foretold(shape, measured[1], BEYOND, workers)
        found[str(workers)] = taken | _projection.volumes(BEYOND, taken, workers, said)
    return found


def scale_rows(n_rows: int, dim: int, counts: tuple[int, ...], folder: Path) -> list[dict]:
    """The rows of the table that come from the pipeline."""
    catalogue, planted = plant(folder, n_rows, dim)
    catalogue.fingerprint  # noqa: B018  hashed once here, and not within a stage
    measured = {count: on_workers(catalogue, planted, folder, count) for count in sorted({1, *counts})}
    took = {count: sum(watch.seconds for watch in watched.values()) for count, watched in measured.items()}
    shape, cores = f"pipeline on a synthetic galaxy of {n_rows:,} x {dim:,}", os.cpu_count() or 1
    table = [
        {
            "name": f"scale-{count}-workers",
            "what": f"{shape}, {count} local workers: time over what one worker's rates foretell",
            "ratio": took[count] / sum(foretold((n_rows, dim), measured[1], (n_rows, dim), min(count, cores)).values()),
            "sense": "under", "target": 1.25, "seconds": took[count], "cores": cores,
            "stages": {name: watch.seconds for name, watch in measured[count].items()},
        }
        for count in measured if count > 1
    ]  # fmt: skip
    peak = max(watch.worker for watched in measured.values() for watch in watched.values())
    stages = {
        name: {"seconds": watch.seconds, "worker_bytes": watch.worker, "caller_bytes": watch.here}
        for name, watch in measured[1].items()
    }
    row = {"name": "scale-memory", "what": f"{shape}: largest worker, mapped pages included, in GB"}
    row |= {"ratio": peak / 1e9, "sense": "under", "target": 4, "stages": stages, "seconds": took[1]}
    return [*table, row | {"projection": projected((n_rows, dim), measured)}]


def compared_rows(n_rows: int, dim: int, rounds: int, folder: Path) -> list[dict]:
    """Neighbours on two workers of one thread against one process of two, in turns, and what the scheduler carries."""
    from threadpoolctl import threadpool_limits

    catalogue, _ = plant(folder, n_rows, dim)
    spent = {"one process": [], "two workers": []}
    with local_workers(2) as port:
        for _ in range(rounds):
            with Watch() as watch, threadpool_limits(2):
                reference = nearest(catalogue.matrix(), K, threads=2)
            spent["one process"].append(watch.seconds)
            with tempfile.TemporaryDirectory(dir=folder) as scratch, Watch() as watch:
                found = neighbors.search(catalogue, K, Path(scratch), fleet.spread).of_all(K)
            spent["two workers"].append(watch.seconds)
            assert np.array_equal(found.ids, reference.ids) and np.array_equal(found.distances, reference.distances)
        # once more for the wire, whose watching takes some per cent of a core
        with tempfile.TemporaryDirectory(dir=folder) as scratch, Watch(port) as watch:
            neighbors.search(catalogue, K, Path(scratch), fleet.spread)
    ratio = statistics.median(a / b for a, b in zip(*spent.values(), strict=True))
    shape = f"{K} neighbours of {n_rows:,} x {dim:,}"
    times = {f"{name.replace(' ', '_')}_seconds": statistics.median(taken) for name, taken in spent.items()}
    of_matrix = watch.traffic / (2 * n_rows * dim)
    return [
        {
            "name": "scale-neighbours", "what": f"{shape}: speed of two workers over one process of two threads",
            "ratio": ratio, "sense": "over", "target": 0.85, **times,
        },
        {
            "name": "scale-traffic", "what": f"{shape}: bytes through the scheduler, in per cent of the matrix",
            "ratio": 100 * of_matrix, "sense": "under", "target": 1.0, "bytes": watch.traffic,
        },
    ]  # fmt: skip


def trained(settings: Settings, seeds: range, steps: int) -> float:
    """Seconds of as many trainings as there are seeds, kept in the cache, wherever `fleet` sends them."""
    own = asdict(GOLDILOCKS)
    named = {name: value for name, value in asdict(replace(settings, steps=steps)).items() if value != own[name]}
    asked = recipes.trainings([named | {"protocol": settings.protocol, "seed": seed} for seed in seeds])
    with Watch() as watch:
        made = sum(1 for _ in fleet.gather(asked, label=f"{len(asked)} trainings"))
    assert made == len(seeds)
    return watch.seconds


def training_rows(count: int, steps: int, rounds: int, folder: Path) -> list[dict]:
    """Trainings of Lean on two workers of one thread against one process of two, in turns, each in the same cache."""
    spent = {"one process": [], "two workers": []}
    with variable("AZIMUTH_CACHE", str(folder / "cache")), local_workers(2):
        for turn in range(rounds + 1):  # the first warms up: the text is read, the workers import what they need
            seeds, length = range(turn * count, (turn + 1) * count), steps if turn else 2
            with variable(choice.VARIABLE, choice.HERE):
                spent["one process"].append(trained(replace(LEAN, threads=2), seeds, length))
            spent["two workers"].append(trained(LEAN, seeds, length))
    spent = {name: taken[1:] for name, taken in spent.items()}
    ratio = statistics.median(a / b for a, b in zip(*spent.values(), strict=True))
    times = {f"{name.replace(' ', '_')}_seconds": statistics.median(taken) for name, taken in spent.items()}
    what = f"{count} trainings of Lean, {steps} steps: speed of two workers over one process of two threads"
    return [{"name": "scale-trainings", "what": what, "ratio": ratio, "sense": "over", "target": 0.85, **times}]


def main(
    n_rows: int = ROWS, dim: int = WIDTH, compared: tuple = COMPARED, rounds: int = ROUNDS, steps: int = STEPS
) -> list[dict]:
    """Measures, and returns the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="azimuth-scale-") as name:
        folder = Path(name)
        return [
            *scale_rows(n_rows, dim, COUNTS, folder),
            *compared_rows(*compared, rounds, folder),
            *training_rows(TRAININGS, steps, rounds, folder),
        ]


def shown(row: dict) -> str:
    """One row of the table for a reader."""
    lines = [f"{row['what']}: {row['ratio']:.3f} ({row['sense']} {row['target']:g})"]
    for name, stage in row.get("stages", {}).items():
        if isinstance(stage, dict):
            worker, caller = stage["worker_bytes"] / 1e6, stage["caller_bytes"] / 1e6
            lines.append(f"  {name:14s}{stage['seconds']:9.2f} s {worker:9,.0f} MB a worker {caller:9,.0f} MB here")
        else:
            lines.append(f"  {name:14s}{stage:9.2f} s")
    for workers, taken in row.get("projection", {}).items():
        hours = sum(taken[name] for name in _projection.stages(*BEYOND)) / 3600
        lines.append(
            f"  {BEYOND[0]:,} x {BEYOND[1]:,} on {workers:>2s} workers: {hours:8.1f} h; "
            f"{taken['read_gigabytes']:,.0f} GB read, {taken['read_megabytes_a_second']:.1f} MB/s a worker; "
            f"{taken['scheduler_megabytes']:,.1f} MB through the scheduler"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training")
    parser.add_argument("--rounds", type=int, default=1, help="of the comparisons with one process")
    given = parser.parse_args()
    tried = min(COMPARED[0], given.rows), min(COMPARED[1], given.width)
    print("\n".join(map(shown, main(given.rows, given.width, tried, given.rounds, given.steps))))
