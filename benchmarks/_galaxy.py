"""A synthetic galaxy with the published spectrum and planted black holes, made by blocks in a file; for measuring only.

It is no result and no model: a normal cloud with the centroid norm and the covariance spectrum that were published of
Qwen3-4B, rounded to bfloat16, in which groups of rows share their bits, as many and as large as published. The holes
stand within a cell of each other, where rounding is hardest on a search. The file is a safetensors file, which the
catalogue's own reader opens.
"""

import json
import struct
from pathlib import Path

import numpy as np

from compute import results
from compute.models.weights import Catalogue, open_path
from compute.rounding import round_float32

MODEL, ROWS, WIDTH = "Qwen3-4B-Instruct-2507", 151_936, 2_560
BLOCK = 4096  # rows made at a time
SEED = 42


def spectrum(dim: int) -> np.ndarray:
    """Covariance eigenvalues (dim,), descending, squared gamma units, through what was published of the 2,560.

    Published are the two largest, the smallest, the trace, the share of the first 100, and the mean and the median of
    the inverses, with the ridge of the record. Between the ranks that are known or fitted log s runs straight, over the
    logarithm of the rank up to the middle, and over the rank from there. A participation ratio was published, but not
    what is meant by it; no such spectrum has it as its own. Raises ValueError where the fit misses.
    """
    from scipy.optimize import least_squares

    record = results.record(MODEL)
    ridge = record["ridge added to the covariance"]
    heights = {
        1: record["largest covariance eigenvalue"],
        2: record["second covariance eigenvalue"],
        WIDTH // 2: 1 / record["metric eigenvalue median"] - ridge,
        WIDTH: record["smallest covariance eigenvalue"],
    }
    rank, fitted = np.arange(1, WIDTH + 1), (100, 500, 2540)

    def through(free: np.ndarray) -> np.ndarray:
        at = np.array([*heights, *fitted])
        x, y = np.sort(at), np.array([*np.log([*heights.values()]), *free])[np.argsort(at)]
        head = np.interp(np.log(rank), np.log(x), y)
        return np.exp(np.where(rank <= WIDTH // 2, head, np.interp(rank, x, y)))

    def misses(free: np.ndarray) -> np.ndarray:
        s = through(free)
        found = np.array([s.sum(), s[:100].sum() / s.sum(), (1 / (s + ridge)).mean()])
        names = "trace of the covariance", "variance explained by the first 100 components", "metric eigenvalue mean"
        return found / [record[name] for name in names] - 1

    solution = least_squares(misses, np.log([6e-4, 4.3e-4, 3e-4]))
    s = through(solution.x)
    if np.abs(misses(solution.x)).max() > 1e-6 or (np.diff(s) > 0).any():
        raise ValueError(f"no falling spectrum goes through the published numbers: it misses by {misses(solution.x)}")
    at = np.linspace(0, WIDTH - 1, dim)
    return np.exp(np.interp(at, rank - 1, np.log(s))) * WIDTH / dim  # the trace stays


def populations(n_rows: int) -> list[int]:
    """The published populations of the black holes, as large a part of all rows as there; two rows at least."""
    return [max(2, round(many * n_rows / ROWS)) for many in results.published_holes()[MODEL]]


def plant(folder: Path, n_rows: int, dim: int) -> tuple[Catalogue, list[int]]:
    """Make a galaxy in `folder`, block by block, and open it; with it the populations that were planted."""
    generator = np.random.default_rng(SEED)
    axes, _ = np.linalg.qr(generator.standard_normal((dim, dim)))
    shape = (axes * np.sqrt(spectrum(dim))).T.astype(np.float32)
    mu = generator.standard_normal(dim).astype(np.float32)
    mu *= np.float32(results.record(MODEL)["centroid norm"] / np.linalg.norm(mu))
    spec = {"lm_head.weight": {"dtype": "BF16", "shape": [n_rows, dim], "data_offsets": [0, 2 * n_rows * dim]}}
    header = json.dumps(spec).encode()
    header += b" " * (-len(header) % 64)  # rows that begin on a word
    path = folder / f"galaxy-{n_rows}-{dim}.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for start in range(0, n_rows, BLOCK):
            block = np.random.default_rng([SEED, start]).standard_normal((min(BLOCK, n_rows - start), dim), np.float32)
            file.write(round_float32(block @ shape + mu))
    planted = populations(n_rows)
    stored = np.memmap(path, np.uint16, "r+", 8 + len(header), (n_rows, dim))
    members = np.split(generator.permutation(n_rows)[: sum(planted)], np.cumsum(planted)[:-1])
    centre = round_float32(mu * np.float32(results.record(MODEL)["black-hole norm"] / np.linalg.norm(mu)))
    for hole, ids in enumerate(members):
        stored[ids] = centre
        stored[ids, hole % dim] += np.uint16(1 + hole // dim)  # one cell aside, each along another component
    stored.flush()
    return open_path(path, label=f"galaxy {n_rows:,} x {dim:,}").catalogue, sorted(planted, reverse=True)
