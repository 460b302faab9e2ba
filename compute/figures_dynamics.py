"""The figures of the chapter on the dynamics of dead tokens: arrays in, a figure out, in the house's style.

Series over a training have one line a seed, all of one colour: what differs between them is chance.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from compute.figures import ACCENT, CONTROL, DAY, MEASURED, SERIES

PREDICTIONS = {  # of results_drift.drift: name in the legend, colour
    "gradient": ("plain descent", CONTROL),
    "adam": ("Adam in float64", SERIES[2]),
    "moments": ("moments in bfloat16", ACCENT),
    "lattice": ("weights on the lattice", MEASURED),
}


def coherence(
    measured: Mapping[str, np.ndarray],
    first_order: Mapping[str, np.ndarray],
    series: Sequence[np.ndarray],
    published: float,
    rounding: float,
) -> Figure:
    """Show how parallel the dead gradients are: token by token against the theory, and over a training.

    measured, first_order: angles (n,) to the weighted mean of h, degrees, by the state's name; series (T,) mean cosine
    to the mean gradient, one a seed; published: the record's at step 1; rounding: the error of a gradient, relative.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
        angles = np.concatenate([*measured.values(), *first_order.values()])
        reach = (angles.min() * 0.8, angles.max() * 1.25)
        left.plot(reach, reach, color=CONTROL, lw=1)
        for name, colour in zip(measured, SERIES, strict=False):
            left.plot(
                first_order[name], measured[name], ".", ms=2, alpha=0.5, color=colour, label=name, rasterized=True
            )
        left.set(xscale="log", yscale="log", xlim=reach, ylim=reach)
        left.set_xlabel("angle to first order (degrees)")
        left.set_ylabel("angle measured (degrees)")
        left.legend(title="state", markerscale=4)
        for number, values in enumerate(series):
            label = "mean cosine to the mean gradient" if number == 0 else None
            right.plot(_steps(values), 1 - values, color=MEASURED, lw=0.7, alpha=0.8, label=label)
        right.plot(1, 1 - published, "D", color=ACCENT, ms=6, label="published, step 1", clip_on=False)
        right.axhline(rounding**2 / 2, color=CONTROL, ls="--", lw=1, label="what rounding leaves")
        right.set(xscale="log", yscale="log", ylim=(7e-7, 0.3), xlabel="step", ylabel="1 − coherence")
        right.legend(loc="upper right")
    return figure


def _steps(values: np.ndarray) -> np.ndarray:
    return np.arange(1, len(values) + 1)


def fading(norm: Sequence[np.ndarray], formula: Sequence[np.ndarray], mass: Sequence[np.ndarray]) -> Figure:
    """Show the size of a dead gradient over a training against p |h|, and the probability that pays for it.

    norm, formula (T,) nats per gamma unit and mass (T,) of all dead tokens together: one a seed.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, (found, guess, share) in enumerate(zip(norm, formula, mass, strict=True)):
            first = number == 0
            left.plot(_steps(guess), guess, color=CONTROL, lw=3, alpha=0.5, label="p̄ |h̄|" if first else None)
            left.plot(_steps(found), found, color=MEASURED, lw=0.8, label="measured" if first else None)
            right.plot(_steps(share), share, color=MEASURED, lw=0.8)
        left.set_ylabel("|gradient| (nats / gamma unit)")
        right.set_ylabel("probability of all dead tokens")
        for axes in (left, right):
            axes.set(xscale="log", yscale="log", xlabel="step")
        left.legend()
    return figure


def first_step(
    edges: np.ndarray, away: Mapping[str, np.ndarray], towards: Mapping[str, np.ndarray], learning_rate: float
) -> Figure:
    """Show how many cells Adam's first step moves a weight, by the binade it is in, and how many it should.

    edges (B + 1,) of |weight|, gamma units; away, towards: "cells" and "cells_predicted" (B,), medians, by direction.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.8), layout="constrained")
        axes = figure.subplots()
        centre = np.sqrt(edges[1:] * edges[:-1])
        fine = np.geomspace(edges[0], edges[-1], 2000)
        cell = 2.0 ** (np.floor(np.log2(fine)) - 7)
        axes.plot(fine, learning_rate / cell, color=CONTROL, lw=1, label="learning rate / ULP")
        for name, found, colour in (("away from zero", away, MEASURED), ("towards zero", towards, ACCENT)):
            axes.plot(centre, found["cells_predicted"], "o", ms=9, mfc="none", color=colour, label=f"{name}, predicted")
            axes.plot(centre, found["cells"], ".", ms=6, color=colour, label=f"{name}, measured")
        axes.axhline(0.5, color=CONTROL, ls="--", lw=1)
        axes.text(fine[0], 0.42, "under half a cell: lost", va="top", fontsize="small")
        axes.axvline(learning_rate, color=CONTROL, ls=":", lw=1)
        axes.text(learning_rate * 0.93, 1.2, "one learning rate", rotation=90, ha="right", fontsize="small")
        axes.set(xscale="log", yscale="log", ylim=(0.1, 9e4))
        axes.set_xlabel("|weight| (gamma units)")
        axes.set_ylabel("cells moved in the first step")
        axes.legend(fontsize="small")
    return figure


def sizes(edges: np.ndarray, shares: Mapping[str, np.ndarray], eps: float) -> Figure:
    """Show how large the components of the dead gradients are, and what part of a learning rate Adam makes of them.

    edges (B + 1,): log10 of |g|; shares (B,) by the state's name, the first bin holding all that is smaller.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        for (name, share), colour in zip(shares.items(), SERIES, strict=False):
            axes.stairs(100 * share, 10.0**edges, color=colour, lw=1.5, label=name)
        axes.set(xscale="log", xlabel="|component| of a dead gradient (nats / gamma unit)")
        axes.set_ylabel("components per half decade (%)")
        axes.xaxis.set_major_locator(LogLocator(numticks=7))
        answer = axes.twinx()
        size = np.geomspace(10.0 ** edges[0], 10.0 ** edges[-1], 600)
        answer.plot(size, size / (size + eps), color=CONTROL, lw=1.2, ls="--")
        answer.set_ylabel("first step of Adam (learning rates)")
        answer.spines["right"].set_visible(True)
        answer.text(eps * 0.7, 0.5, "|g| / (|g| + ε)", ha="right", fontsize="small")
        axes.legend(loc="upper left")
    return figure


def confinement(series: Mapping[str, Sequence[np.ndarray]], chance: float) -> Figure:
    """Show what share of the centroid's way lies along (1, …, 1), by optimiser; chance: of a random direction.

    series: (T,) cosines without sign, one a seed.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.subplots()
        for (name, runs), colour in zip(series.items(), (MEASURED, ACCENT), strict=True):
            for number, values in enumerate(runs):
                axes.plot(_steps(values), values, color=colour, lw=1.2, label=name if number == 0 else None)
        axes.axhline(chance, color=CONTROL, lw=1, ls="--", label="a random direction")
        axes.set(xscale="log", yscale="log", xlabel="step", ylabel="|cosine| of the way to (1, …, 1)")
        axes.legend()
    return figure


def compass(
    matrix: np.ndarray,
    group: int,
    to_first: Sequence[np.ndarray],
    to_previous: Sequence[np.ndarray],
    colour_map: str = "inferno",
) -> Figure:
    """Show whether the mean hidden state keeps its direction: between all times of one run, and along several.

    matrix (G, G): cosines between means over `group` steps; to_first, to_previous (T,) cosines, one a seed.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
        end = group * len(matrix)
        low = min(0.0, float(matrix.min()))
        shown = left.imshow(
            matrix, origin="lower", extent=(0, end, 0, end), cmap=colour_map, vmin=low, vmax=1, interpolation="nearest"
        )
        left.set(xlabel="step", ylabel="step")
        figure.colorbar(shown, ax=left, location="top").set_label("cosine of the mean h")
        for label, runs, colour in (("the first batch", to_first, MEASURED), ("the batch before", to_previous, ACCENT)):
            for number, values in enumerate(runs):
                right.plot(_steps(values), values, color=colour, lw=0.7, label=label if number == 0 else None)
        right.axhline(0, color=CONTROL, lw=0.8)
        right.set(xscale="log", xlabel="step", ylabel="cosine of a batch's mean h to …")
        right.legend()
    return figure


def drift(cosine: Mapping[str, np.ndarray], length: Mapping[str, np.ndarray], window: int = 20) -> Figure:
    """Show how well the centroid's step is predicted: its direction above, its length below.

    cosine, length (T,) by the prediction's name in `PREDICTIONS`; running medians over `window` steps, the first steps
    one by one. length: predicted over happened; that of "gradient" has no scale and is left out.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for name, (label, colour) in PREDICTIONS.items():
            above.plot(_steps(cosine[name]), _smooth(cosine[name], window), color=colour, lw=1.4, label=label)
            if name != "gradient":
                below.plot(_steps(length[name]), _smooth(length[name], window), color=colour, lw=1.4)
        below.axhline(1, color=CONTROL, lw=0.8)
        above.set(xscale="log", ylabel="cosine")
        below.set(yscale="log", xlabel="step", ylabel="length, predicted / real")
        ticks = [0.5, 1, 2, 5, 10, 20, 50, 100]
        below.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        below.minorticks_off()
        above.legend()
    return figure


def _smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Running medians over the last steps: as many as a quarter of those done, and no more than `window`."""
    ends = range(1, len(values) + 1)
    return np.array([np.median(values[end - max(1, min(window, end // 4)) : end]) for end in ends])
