"""Covariance, eigendecomposition and projections against their matrix products, and how good float32 products are.

The cloud has the steepness of Qwen3-4B's published spectrum, a largest eigenvalue a thousand times the smallest. "The
matrix products" are the ones that the three steps cannot do without, on rows that are centred already: gamma'^T gamma'
and gamma' V in float32, block by block, and the eigendecomposition itself. One process, two threads, in turns.

    python -m benchmarks.metric 20000 576         a try at one shape, printed; no table is written
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks._growth import SIZES, WIDTHS, growth
from compute import catalog, metric

SHAPES = ((49_152, 576), (151_936, 2_560))
ROWS = 4096


def planted(n_rows: int, dim: int) -> np.ndarray:
    """A Gaussian cloud (n_rows, dim) float32 whose covariance falls from 1e-2 to 1e-5, off the origin."""
    generator = np.random.default_rng(42)
    axes, _ = np.linalg.qr(generator.standard_normal((dim, dim)))
    matrix = (axes * np.sqrt(np.geomspace(1e-2, 1e-5, dim))).T.astype(np.float32)
    rows = np.empty((n_rows, dim), np.float32)
    for start in range(0, n_rows, ROWS):
        stop = min(start + ROWS, n_rows)
        np.matmul(generator.standard_normal((stop - start, dim), dtype=np.float32), matrix, out=rows[start:stop])
    rows += np.float32(0.006) * generator.standard_normal(dim, dtype=np.float32)
    return rows


def in_blocks(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The rows in blocks, as a catalogue gives them."""
    return ((start, rows[start : start + ROWS]) for start in range(0, len(rows), ROWS))


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ours(rows: np.ndarray, out: np.ndarray) -> metric.Eigenbasis:
    """Mean, covariance, eigenbasis and causal coordinates of all rows."""
    mu = catalog.centroid(in_blocks(rows))
    basis = metric.eigenbasis(mu, metric.covariance(in_blocks(rows), mu))
    metric.project(in_blocks(rows), basis.whitening, mu, out)
    return basis


def products(rows: np.ndarray, out: np.ndarray) -> None:
    """The same matrix products and the same eigendecomposition, and nothing else."""
    dim = rows.shape[1]
    sigma = np.zeros((dim, dim), np.float32)
    for _, block in in_blocks(rows):
        sigma = block.T @ block
    _, axes = np.linalg.eigh(sigma.astype(np.float64))
    single = axes.astype(np.float32)
    for start, block in in_blocks(rows):
        np.matmul(block, single, out=out[start : start + len(block)])


def largest_error(rows: np.ndarray) -> float:
    """The largest relative error of an eigenvalue that float32 products make, against float64 throughout."""
    mu = catalog.centroid(in_blocks(rows))
    sigmas = (metric.covariance(in_blocks(rows), mu, kind) for kind in (np.float32, np.float64))
    single, double = (metric.eigenbasis(mu, sigma).spectrum for sigma in sigmas)
    return float(np.abs(single / double - 1).max())


def compare(n_rows: int, dim: int, rounds: int) -> tuple[float, float, float, float]:
    """Median ratio of ours to the products, median seconds of both, and the largest error of an eigenvalue."""
    rows = planted(n_rows, dim)
    out = np.zeros_like(rows)
    spent = [(seconds(lambda: ours(rows, out)), seconds(lambda: products(rows, out))) for _ in range(rounds)]
    middle = [statistics.median(side) for side in zip(*spent, strict=True)]
    return statistics.median(a / b for a, b in spent), *middle, largest_error(rows)


def cost(n_rows: int, dim: int) -> dict[str, float]:
    """Seconds of the three steps and of their matrix products, the better of two each."""
    rows = planted(n_rows, dim)
    out = np.zeros_like(rows)
    ways = {"seconds": lambda: ours(rows, out), "products_seconds": lambda: products(rows, out)}
    return {name: min(seconds(way) for _ in range(2)) for name, way in ways.items()}


def main(rounds: int = 3) -> list[dict]:
    """Measures, and returns the rows of the table."""
    what = "covariance, eigenbasis and causal coordinates"
    table = [
        growth("metric-growth-rows", what, SIZES, cost, 1.1),
        growth("metric-growth-width", what, WIDTHS, cost, 3.0),
    ]
    for n_rows, dim in SHAPES:
        ratio, mine, least, error = compare(n_rows, dim, rounds)
        shape = f"{n_rows:,} x {dim:,}"
        measured = {"target": 1.4, "seconds": mine, "products_seconds": least}
        what = f"covariance, eigenbasis and causal coordinates of {shape} over their matrix products"
        table.append({"name": f"metric-{n_rows}-{dim}", "what": what, "ratio": ratio, "sense": "under", **measured})
        what = f"largest relative error of an eigenvalue by float32 products at {shape}, in millionths"
        table.append(
            {"name": f"metric-error-{dim}", "what": what, "ratio": error * 1e6, "sense": "under", "target": 10}
        )
    return table


if __name__ == "__main__":
    ratio, mine, least, error = compare(int(sys.argv[1]), int(sys.argv[2]), rounds=3)
    print(f"ours {mine:.2f} s, products {least:.2f} s, ratio {ratio:.2f}, error of an eigenvalue {error:.1e}")
