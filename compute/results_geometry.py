"""The named results on the causal metric, of any model: eigenbasis, coordinates, norms, and the checks on them.

The eigenbasis itself is `compute.results.eigenbasis`, which the catalogue needs too. The (N, D) results lie in files
of their own and are memory-mapped when they are read (`mapped`): a catalogue of 151,936 x 2,560 makes two of 1.6 GB,
of which a machine holds what it has room for.
Chapter: Eigenbasis.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from compute import associations, catalog, metric, residuals, results
from compute.cache import cached
from compute.models.weights import Catalogue
from compute.results import eigenbasis, summary

RIDGE = 1e-6  # squared gamma units, what the record added to the covariance [harrell2025azimuth]
BLOCK = 4096  # rows read at a time


def basis_of(catalogue: Catalogue) -> metric.Eigenbasis:
    """The eigenbasis as the pure rooms take it."""
    found = eigenbasis(catalogue)
    return metric.Eigenbasis(found["mu"], found["spectrum"], found["axes"], found["floor"], found["rank"])


def mapped(found: dict) -> np.ndarray:
    """The matrix of `projections` or `coordinates`, float32 (N, R), memory-mapped from its file and read only."""
    return np.load(found["file"], mmap_mode="r")


def in_blocks(matrix: np.ndarray, rows: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
    """A mapped matrix as the pure rooms take it: (first row, block), in order."""
    return ((start, matrix[start : start + rows]) for start in range(0, len(matrix), rows))


@cached
def spectra(catalogue: Catalogue) -> dict:
    """What follows from the spectrum alone: cumulative variance, 1/s (R,), the record's ridge and what it moves."""
    found = eigenbasis(catalogue)
    kept = found["spectrum"][: found["rank"]]
    ridged, shift = metric.ridge_shift(kept, RIDGE)
    return {
        "cumulative": metric.cumulative_variance(found["spectrum"]),
        "separate": metric.separate_axes(kept, catalogue.n_tokens),
        "metric": 1.0 / kept,
        "ridge": RIDGE,
        "ridged": ridged,
        "ridge_shift": shift,
        "metric_participation_ratio": metric.participation_ratio(1.0 / kept),
        "covariance_summary": summary(kept),
        "metric_summary": summary(1.0 / kept),
        "ridged_summary": summary(ridged),
    }


@cached
def spectrum_control(catalogue: Catalogue, seed: int = results.SEED) -> dict:
    """The spectrum that chance gives: (D,) for equal components and for the catalogue's own, both uncorrelated.

    `edges`: between which values all equal components would stay, beside how many eigenvalues lie above and below.
    """
    found, count, dim = eigenbasis(catalogue), catalogue.n_tokens, catalogue.dim
    variances = (found["axes"] ** 2) @ found["spectrum"].clip(0)  # (D,), of the components
    own = metric.uncorrelated_spectrum(variances, count, np.random.default_rng(seed))
    low, high = metric.marchenko_pastur_edges(found["trace"] / dim, count, dim)
    return {
        "equal": metric.marchenko_pastur_spectrum(found["trace"] / dim, count, dim),
        "own": own,
        "cumulative": metric.cumulative_variance(own),
        "variances": variances,
        "edges": [low, high],
        "above": int((found["spectrum"] > high).sum()),
        "below": int((found["spectrum"] < low).sum()),
        "above_own": int((found["spectrum"] > own[0]).sum()),
        "share_above_own": float(found["spectrum"][found["spectrum"] > own[0]].sum() / found["trace"]),
    }


@cached(workspace=True)
def projections(catalogue: Catalogue, workspace: Path) -> dict:
    """gamma V of all tokens, uncentred as in the record: a file (N, D) float32 in gamma units, and how norms survive.

    No more than a block of rows is in memory; `file` takes 4 N D bytes of disk (1.6 GB at 151,936 x 2,560).
    """
    basis, dim = basis_of(catalogue), catalogue.dim
    out = _new(workspace / "projections.npy", catalogue.n_tokens, dim)
    metric.project(catalogue.blocks(), basis.axes, np.zeros(dim), out)
    out.flush()
    norms = results.norms(catalogue)["raw"]
    total = sum(block.sum(dtype=np.float64) for _, block in in_blocks(out))
    return {
        "file": workspace / "projections.npy",
        "min": min(float(block.min()) for _, block in in_blocks(out)),
        "max": max(float(block.max()) for _, block in in_blocks(out)),
        "std": float(np.sqrt((norms @ norms) / out.size - (total / out.size) ** 2)),  # V keeps every norm
        "recovery": vars(residuals.norm_recovery(norms, out)),
    }


@cached(workspace=True)
def coordinates(catalogue: Catalogue, workspace: Path) -> dict:
    """The causal coordinates z of all tokens: a file (N, R) float32 in logometers; read it with `mapped`.

    Tokens of one black hole have the same coordinates bit for bit, wherever they stand: a matrix product may round
    the same row differently at the edge of a block. Memory and disk as `projections`.
    """
    basis = basis_of(catalogue)
    out = _new(workspace / "coordinates.npy", catalogue.n_tokens, basis.rank)
    metric.project(catalogue.blocks(), basis.whitening, basis.mu, out)
    for members in results.census(catalogue)["members"]:
        out[members] = out[members[0]]
    out.flush()
    return {"file": workspace / "coordinates.npy", "rank": basis.rank}


@cached
def causal(catalogue: Catalogue) -> dict:
    """Causal norms |z| of all tokens, (N,) float64 in logometers, and their summary; `holes`: one token of each.

    Their mean square is R, the number of axes.
    """
    z = mapped(coordinates(catalogue))
    norms = catalog.row_norms(in_blocks(z), np.zeros(z.shape[1]))
    holes = np.array([members[0] for members in results.census(catalogue)["members"]], dtype=np.int64)
    return {
        "norms": norms,
        "summary": summary(norms),
        "mean_square": float((norms**2).mean()),
        "rank": z.shape[1],
        "holes": holes,
    }


@cached
def causal_control(catalogue: Catalogue, points: int = 2001) -> dict:
    """What a normal cloud would have for causal norms, beside how the measured ones go with the gamma norms.

    `norm` (points,) in logometers and `density` per logometer, over the range of both; `correlation` is Spearman's,
    of causal with centred gamma norms.
    """
    found = causal(catalogue)
    centre = np.sqrt(found["rank"])
    low, high = min(found["norms"].min(), centre - 5), max(found["norms"].max(), centre + 5)
    norm = np.linspace(max(low, 0), high, points)
    mean, std, density = metric.chance_norms(found["rank"], norm)
    ranked = associations.ranks(results.norms(catalogue)["centred"][:, None])
    return {
        "norm": norm,
        "density": density,
        "mean": mean,
        "std": std,
        "correlation": float(associations.correlation(ranked, found["norms"])[0]),
    }


@cached
def checks(catalogue: Catalogue) -> dict:
    """The identities of the eigenbasis, one a row: how far they are off, what rounding explains, whether they hold."""
    basis, mu = basis_of(catalogue), results.centring(catalogue)["centroid"]
    sigma = metric.covariance(catalogue.blocks(), mu, np.float64)
    z = mapped(coordinates(catalogue))
    found = [
        residuals.orthonormality(basis),
        residuals.inversion(basis, sigma),
        residuals.unit_covariance(in_blocks(z), basis, np.float64),
        residuals.Residual(**projections(catalogue)["recovery"]),
    ]
    return {
        "identity": [residual.identity for residual in found],
        "measured": [residual.measured for residual in found],
        "expected": [residual.expected for residual in found],
        "times": [residual.measured / residual.expected for residual in found],
        "holds": [residual.holds for residual in found],
    }


@cached
def precision(catalogue: Catalogue) -> dict:
    """What float32 products, twice as fast, would have changed: the largest relative change of an eigenvalue."""
    exact, mu = eigenbasis(catalogue), results.centring(catalogue)["centroid"]
    rough = metric.eigenbasis(mu, metric.covariance(catalogue.blocks(), mu, np.float32))
    both = min(exact["rank"], rough.rank)
    moved = np.abs(rough.spectrum[:both] / exact["spectrum"][:both] - 1)  # (R,)
    return {"largest": float(moved.max()), "median": float(np.median(moved)), "rank": rough.rank}


def survey(catalogue: Catalogue) -> dict:
    """What `survey --depth metric` adds; squared gamma units, their inverse, a pure number, logometers."""
    found, norms = spectra(catalogue), causal(catalogue)["summary"]
    names = ("min", "max", "mean", "median")
    return {
        "covariance_eigenvalues": {name: found["covariance_summary"][name] for name in names}
        | {"trace": eigenbasis(catalogue)["trace"]},
        "metric_eigenvalues": {name: found["metric_summary"][name] for name in names},
        "participation_ratio": eigenbasis(catalogue)["participation_ratio"],
        "causal_norm": {name: norms[name] for name in ("mean", "std", "min", "max")},
    }


def _new(path: Path, rows: int, columns: int) -> np.memmap:
    """A new matrix file of numpy's own format, to be filled in place; what a killed run left there is overwritten."""
    return np.lib.format.open_memmap(path, "w+", np.float32, (rows, columns))
