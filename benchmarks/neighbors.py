"""Exact k nearest neighbours against faiss, scikit-learn and the matrix products alone, two threads each.

The clouds are Gaussian and isotropic: there is no structure that would let a search skip anything. All run in turns in
one process on the same rows, after each has run once on a few; a ratio is the median over the rounds of ratios within
a round. "The matrix products alone" are those of our own tiles, on and above the diagonal, in float32, written into one
buffer; the full N x N product is twice that. Our own search multiplies in bfloat16 where the machine does that faster.

    python -m benchmarks.neighbors 16000 576      a try at one shape, printed; no table is written
"""

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from benchmarks._growth import SIZES, WIDTHS, growth
from compute.neighbors import Neighbors, nearest
from compute.tiles import beside, on_diagonal

K, BLOCK, THREADS = 20, 2048, 2
SHAPES = ((16_000, 2_560), (49_152, 576))
LARGEST = (151_936, 2_560)


def gaussian(n_rows: int, dim: int) -> np.ndarray:
    """An isotropic Gaussian cloud (n_rows, dim) float32."""
    return np.random.default_rng(42).standard_normal((n_rows, dim), dtype=np.float32)


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    """How long some work takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def products_alone(rows: np.ndarray, blocks: int | None = None) -> None:
    """The matrix products of our tiles, and nothing else; of the first few blocks of rows, if a number is given."""
    buffer = np.empty(BLOCK**2, np.float32)
    for start in range(0, len(rows), BLOCK)[:blocks]:
        stop = min(start + BLOCK, len(rows))
        tiles = (*on_diagonal(start, stop, BLOCK // 4), *beside(start, stop, stop, len(rows), BLOCK))
        for top, bottom, near, far in tiles:
            product = buffer[: (bottom - top) * (far - near)].reshape(bottom - top, far - near)
            np.matmul(rows[top:bottom], rows[near:far].T, out=product)


def by_faiss(rows: np.ndarray) -> np.ndarray:
    """The ids (N, k) that faiss.IndexFlatL2 finds, each row's own left out."""
    import faiss

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    return index.search(rows, K + 1)[1][:, 1:]


def by_scikit_learn(rows: np.ndarray) -> np.ndarray:
    """The ids (N, k) of scikit-learn's brute force, each row's own left out."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=THREADS).fit(rows)
    return search.kneighbors(return_distance=False)


def same_neighbours(found: Neighbors, ids: np.ndarray) -> float:
    """The share of neighbours in common, whatever their order: float32 rounding may swap near ties of theirs."""
    common = [len(np.intersect1d(ours, others)) for ours, others in zip(found.ids, ids, strict=True)]
    return float(np.mean(common) / K)


def compare(n_rows: int, dim: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, at one shape; raises AssertionError where the neighbours differ."""
    rows = gaussian(n_rows, dim)
    ways = {
        "products": products_alone,
        "ours": lambda rows: nearest(rows, K, BLOCK, THREADS),
        "faiss": by_faiss,
        "scikit-learn": by_scikit_learn,
    }
    for way in ways.values():
        way(rows[:1024])  # what is imported, compiled or measured once is no part of a search
    spent = {name: [] for name in ways}
    for _ in range(rounds):
        results = {}
        for name, way in ways.items():
            taken, results[name] = seconds(lambda way=way: way(rows))
            spent[name].append(taken)
        for name in ("faiss", "scikit-learn"):
            assert same_neighbours(results["ours"], results[name]) > 0.9999, f"{name} finds other neighbours"
    return spent


def median_ratio(top: list[float], bottom: list[float]) -> float:
    """The median of ratios within a round."""
    return statistics.median(a / b for a, b in zip(top, bottom, strict=True))


def largest(n_rows: int, dim: int) -> tuple[float, float, float]:
    """Seconds of one search, of the full N x N product at the rate of its first tenth, and bytes beyond the rows."""
    rows = gaussian(n_rows, dim)
    blocks = max(1, n_rows // BLOCK // 10)
    pairs = sum(min(BLOCK, n_rows - start) * (n_rows - start) for start in range(0, n_rows, BLOCK)[:blocks])
    per_pair = seconds(lambda: products_alone(rows, blocks))[0] / pairs
    tracemalloc.start()
    ours, _ = seconds(lambda: nearest(rows, K, BLOCK, THREADS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    per_pair = (per_pair + seconds(lambda: products_alone(rows, blocks))[0] / pairs) / 2  # before and after
    return ours, per_pair * n_rows**2, peak


def cost(n_rows: int, dim: int) -> dict[str, float]:
    """Seconds of one search and of its matrix products, the better of two each."""
    rows = gaussian(n_rows, dim)
    ways = {"seconds": lambda: nearest(rows, K, BLOCK, THREADS), "products_seconds": lambda: products_alone(rows)}
    return {name: min(seconds(way)[0] for _ in range(2)) for name, way in ways.items()}


def main(rounds: int = 3) -> list[dict]:
    """Measures, and returns the rows of the table."""
    table = [
        growth("neighbours-growth-rows", f"{K} neighbours", SIZES, cost, 2.1),
        growth("neighbours-growth-width", f"{K} neighbours", WIDTHS, cost, 1.1),
    ]
    for n_rows, dim in SHAPES:
        spent = compare(n_rows, dim, rounds)
        shape = f"{K} neighbours of {n_rows:,} x {dim:,}"
        short = f"neighbours-{n_rows}-{dim}"
        times = {f"{name}_seconds": statistics.median(taken) for name, taken in spent.items()}
        for name, other, target in (("faiss", "faiss.IndexFlatL2", 2.5), ("scikit-learn", "scikit-learn brute", 2.0)):
            ratio = median_ratio(spent[name], spent["ours"])
            what = f"{shape}: {other} over ours"
            table.append(
                {"name": f"{short}-{name}", "what": what, "ratio": ratio, "sense": "over", "target": target, **times}
            )
        ratio = median_ratio(spent["ours"], spent["products"])
        what = f"{shape}: ours over its float32 matrix products alone"
        table.append({"name": short, "what": what, "ratio": ratio, "sense": "under", "target": 1.3, **times})
    ours, full, peak = largest(*LARGEST)
    shape = f"{K} neighbours of {LARGEST[0]:,} x {LARGEST[1]:,}"
    measured = {"seconds": ours, "full_product_seconds": full, "peak_bytes": peak}
    what = f"{shape}: ours over the full N x N product"
    table.append(
        {"name": "neighbours-largest", "what": what, "ratio": ours / full, "sense": "under", "target": 0.7, **measured}
    )
    what = f"{shape}: memory beyond the matrix, in GB"
    table.append(
        {"name": "neighbours-memory", "what": what, "ratio": peak / 1e9, "sense": "under", "target": 4, **measured}
    )
    return table


if __name__ == "__main__":
    taken = compare(int(sys.argv[1]), int(sys.argv[2]), rounds=3)
    for name in taken:
        ratio = median_ratio(taken[name], taken["ours"])
        print(f"{name:14s} {statistics.median(taken[name]):8.2f} s   {ratio:6.2f} x ours")
