"""The named results of the chapter on the lattice, Q8_0 and the other formats: read, compute, cached."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from compute import lattice, quantization, rounding
from compute.cache import Result, cached
from compute.models.weights import Catalogue
from compute.paths import published_folder
from compute.results import SEED, census
from compute.results_lattice import EXPONENTS, HOLES
from compute.smoke import constellation

TRIALS = 1000


@cached
def steps(catalogue: Catalogue) -> dict:
    """The lattice of a catalogue in Q8_0 (as it is stored, or as it would be): steps, beside bfloat16's ULP.

    Blocks of nothing but zeros have no step and are left out. Raises ValueError where there are no others.
    """
    found = quantization.step_census(_q8_0(catalogue))
    used = found.scales > 0
    if not used.any():
        raise ValueError(f"all components of {catalogue.label} are zero: there is no step to measure")
    found = quantization.StepCensus(found.scales[used], found.counts[used])
    ratio, weight = quantization.step_ratio(found)
    edges = 2.0 ** np.arange(-1, 9.5, 0.5)
    components = found.counts.sum(axis=1)
    hops = np.concatenate([np.arange(1, 33), np.round(2.0 ** np.arange(5.5, 10.5, 0.5)).astype(int)])
    order = np.argsort(ratio, axis=None, kind="stable")
    low, middle, high = _weighted_quantiles(found.scales, components, [0.05, 0.5, 0.95])
    held = quantization.values_per_cell([middle])[0]
    return {
        "stored_so": catalogue.storage == "Q8_0",
        "padded": -catalogue.dim % quantization.BLOCK,
        "scales": len(found.scales),
        "scale_quantiles": [low, middle, high],
        "edges": edges,
        "share": np.histogram(ratio, edges, weights=weight)[0] / weight.sum(),
        "ratio_quantiles": _weighted_quantiles(ratio.ravel()[order], weight.ravel()[order], [0.05, 0.5, 0.95]),
        "finer": float(weight[ratio < 1].sum() / weight.sum()),
        "at_zero": float(found.counts[:, 0].sum() / components.sum()),
        "hops": hops,
        "unseen": quantization.unseen_share(found, hops),
        "held_at_zero": int(held[0]),
        "held_at_one": int(held[1]),
        "held_at_rim": int(held[127]),
    }


@cached
def boxes(catalogue: Catalogue) -> dict:
    """How many bfloat16 vectors each row of Q8_0 stands for, as powers of ten (N,), and the largest hole."""
    sizes = np.concatenate([quantization.box_sizes(rows) for rows in _q8_0(catalogue)])
    holes = census(catalogue)["members"]
    sentence = "It has no black hole: nothing met there, as far as its bits can tell."
    if holes:
        hole = sizes[holes[0][0]]
        sentence = (
            f"In the row of its largest black hole that is {hole:.0f}; "
            f"of all {len(sizes):,} rows {int((sizes > hole).sum()):,} are larger boxes."
        )
    return {"sizes": sizes, "median": float(np.median(sizes)), "hole_sentence": sentence}


@cached
def spacings(catalogue: Catalogue) -> dict:
    """The distance of neighbouring values in three float formats, beside a catalogue's steps in Q8_0."""
    weight = 2.0 ** np.arange(-20, 2.01, 0.25)
    forms = (lattice.BFLOAT16, lattice.FLOAT16, lattice.FLOAT32)
    return {
        "weight": weight,
        "spacing": {form.name: lattice.ulp(rounding.round_nearest(weight, form), form) for form in forms},
        "band": list(steps(catalogue)["scale_quantiles"]),
    }


def _q8_0(catalogue: Catalogue, rows: int = 4096) -> Iterator[np.ndarray]:
    """Pieces of a catalogue as rows of Q8_0: as they lie in the file, or quantized from it.

    Where D is no multiple of 32, the last component is repeated until it is: that leaves each scale as it is.
    """
    spare = -catalogue.dim % quantization.BLOCK
    for start in range(0, catalogue.n_tokens, rows):
        stop = min(start + rows, catalogue.n_tokens)
        if catalogue.storage == "Q8_0":
            yield catalogue.stored(start, stop)
        else:
            yield quantization.quantize(np.pad(catalogue.block(start, stop), ((0, 0), (0, spare)), mode="edge"))


def survivors(trials: int = TRIALS, seed: int = SEED) -> Result:
    """How many of Qwen's holes Q8_0 would leave apart: a simulation, what they share being dealt anew."""
    return _survivors(published_folder() / HOLES, published_folder() / EXPONENTS, trials, seed)


@cached
def _survivors(source: Path, exponents: Path, trials: int, seed: int) -> dict:
    """Rows left, the largest population left, and which holes merge, over the trials."""
    published = constellation.read(source.read_text("utf-8"))
    stored, known = published.bits, constellation.read_exponents(exponents.read_text("utf-8"))
    found = quantization.survivors(
        stored, published.components, published.populations, known, trials, np.random.default_rng(seed)
    )
    low, middle, high = np.quantile(found.rows, [0.025, 0.5, 0.975], method="nearest")
    return {
        "rows": found.rows,
        "largest": found.largest,
        "together": found.together,
        "holes": len(stored),
        "low": int(low),
        "median": int(middle),
        "high": int(high),
        "all_one": float((found.rows == 1).mean()),
        "all_apart": float((found.rows == len(stored)).mean()),
        "largest_median": int(np.quantile(found.largest, 0.5, method="nearest")),
        "trials": trials,
    }


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, shares: list[float]) -> list[float]:
    """The values under which given shares of the weight lie; values rise."""
    below = np.cumsum(weights) / weights.sum()
    return [float(values[np.searchsorted(below, share)]) for share in shares]
