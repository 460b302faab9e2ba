"""The figures of the chapter on the first hundred steps: arrays in, a figure out, or a film as plain JSON.

Clouds are on black, all tokens plotted; what is one line a seed is drawn as the mean with the range behind it.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from compute import film as filming
from compute.figures import ACCENT, CONTROL, DAY, MEASURED, NIGHT, SERIES

STILLS = (0, 5, 10, 20, 30, 50, 75, 100)  # steps of the strip
DIMMEST = 0.25  # of the colour map: the slowest must still be seen on black


def film(frames: Mapping, loss: np.ndarray, colour_map: str = "inferno") -> dict:
    """Return the film of the dead cloud for its player: see `compute.film.reel`, and what is said of each frame.

    frames: as `results_supernova.frames` gives them; loss (T,) nats, before each step. colours: one a frame, by the
    mean speed in the step that led there; origin: where the zero of gamma space is.
    """
    speeds = np.asarray(frames["speeds"], float).mean(axis=1)  # (T + 1,)
    speeds[0] = speeds[1]
    colours = matplotlib.colormaps[colour_map](_brightness(speeds, speeds.max()))
    said = [*(f", loss {nats:.2f} nats" for nats in loss), ""]
    return {
        **filming.reel(frames["places"]),
        "origin": [float(at) for at in frames["origin"]],
        "colours": [matplotlib.colors.to_hex(colour) for colour in colours],
        "words": [f"step {step}{words}" for step, words in enumerate(said)],
    }


def _brightness(speeds: np.ndarray, most: float) -> np.ndarray:
    return DIMMEST + (0.97 - DIMMEST) * np.sqrt(speeds / most)


def strip(frames: Mapping, columns: int = 4, colour_map: str = "inferno") -> Figure:
    """The dead cloud on the path's first two axes, at eight steps: every token a point, coloured by its speed.

    frames: as `results_supernova.frames` gives them.
    """
    places, speeds = np.asarray(frames["places"], float), np.asarray(frames["speeds"], float)
    shown = [step for step in STILLS if step < len(places)]
    speeds[0] = speeds[1]  # nothing led to the first state; it is about to move
    rows = -(-len(shown) // columns)
    low, high = np.quantile(places, [0, 1], axis=(0, 1))  # (2,) each
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    tall = (high[1] - low[1]) / (high[0] - low[0])
    with matplotlib.rc_context(NIGHT):
        wide = 11 if columns > 2 else 5.4
        figure = Figure(figsize=(wide, rows * (wide / columns * tall + 0.34) + 1.15), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, step in zip(grid.flat, shown, strict=False):
            points = axes.scatter(
                *places[step].T, c=_brightness(speeds[step], speeds.max()), s=1.1, cmap=colour_map, vmin=0, vmax=1,
                linewidths=0, rasterized=True,
            )  # fmt: skip
            axes.plot(*places[: step + 1].mean(axis=1).T, color="deepskyblue", lw=0.8)
            axes.plot(*frames["origin"], "o", ms=6, mfc="none", mec="deepskyblue", mew=0.9)
            axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
            axes.set_title(f"step {step}", color="0.9", fontsize=10)
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0, labelsize=8)
        for axes in grid[-1]:
            axes.set_xlabel("first axis (gamma units)", fontsize=9)
        for spare in grid.flat[len(shown) :]:
            spare.set_visible(False)
        figure.supylabel("second axis (gamma units)", color="0.8", fontsize=9)
        bar = figure.colorbar(points, ax=grid, orientation="horizontal", shrink=0.45, aspect=40, pad=0.02)
        ticks = np.array([0, 0.001, 0.003, 0.006, 0.01])
        bar.set_ticks(_brightness(ticks[ticks <= speeds.max()], speeds.max()))
        bar.set_ticklabels([f"{tick:g}" for tick in ticks if tick <= speeds.max()])
        bar.ax.set_xlim(DIMMEST, 1)
        bar.set_label("displacement in the step (gamma units)")
        bar.outline.set_visible(False)
    return figure


def _seeds(axes, rows: np.ndarray, colour: str, label: str, style: str = "-", first: int = 0) -> None:
    """The mean of rows (seeds, T), and their range behind it."""
    steps = np.arange(first, first + rows.shape[1])
    axes.fill_between(steps, rows.min(axis=0), rows.max(axis=0), color=colour, alpha=0.3, lw=0)
    axes.plot(steps, rows.mean(axis=0), style, color=colour, label=label)


def flight(dead: Mapping, living: Mapping) -> Figure:
    """How far the centroids went and how large the clouds are, dead and living: (seeds, T + 1) gamma units."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _seeds(above, dead["travelled"], MEASURED, "dead: the centroid's way")
        _seeds(above, living["travelled"], ACCENT, "living: the centroid's way")
        above.set_ylabel("from the start (gamma units)")
        _seeds(below, dead["radius"], MEASURED, "dead: radius")
        _seeds(below, living["radius"], ACCENT, "living: radius")
        _seeds(below, dead["deformation"], MEASURED, "dead: deformation", ":")
        _seeds(below, living["deformation"], ACCENT, "living: deformation", ":")
        below.set(ylabel="size (gamma units)", xlabel="step", ylim=(0, None))
        above.legend()
        below.legend(ncols=2, loc="center right", bbox_to_anchor=(1, 0.68))
    return figure


def order(dead: Mapping, mass: np.ndarray, gradients: np.ndarray) -> Figure:
    """How much of the dead motion is one motion, and where the tokens point: (seeds, T + 1) each.

    mass, the probability of the dead, and gradients, the coherence of theirs, are (seeds, T).
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _seeds(above, gradients, CONTROL, "coherence of the gradients", ":", first=1)
        _seeds(above, dead["coherence"][:, 1:], MEASURED, "coherence of the step", first=1)
        _seeds(above, dead["shared"][:, 1:], SERIES[2], "share of the motion that is shared", "--", first=1)
        above.set(ylabel="1: all as one", ylim=(0, 1.05))
        low, high = dead["to_centroid_low"].min(axis=0), dead["to_centroid_high"].max(axis=0)
        below.fill_between(np.arange(len(low)), low, high, color=CONTROL, alpha=0.3, lw=0, label="90 % of the tokens")
        _seeds(below, dead["to_centroid"], MEASURED, "cosine to the centroid")
        _seeds(below, mass, ACCENT, "probability of all the dead", "--")
        below.set(ylabel="cosine; probability", xlabel="step", ylim=(-0.2, 1.05))
        above.legend(loc="lower left")
        below.legend(loc="center right")
    return figure


def company(counts: np.ndarray, along: np.ndarray) -> Figure:
    """How far each token went the way of the dead, by how often it occurs: counts (V,), along (V,) gamma units."""
    living = counts > 0
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 4])
        jitter = np.random.default_rng(42).uniform(-1, 1, int((~living).sum()))
        left.scatter(jitter, along[~living], s=2, color=MEASURED, linewidths=0, alpha=0.5, rasterized=True)
        left.set(xticks=[0], xticklabels=["never"], xlim=(-2, 2), ylabel="the dead's way (gamma units)")
        right.scatter(counts[living], along[living], s=3, color=ACCENT, linewidths=0, alpha=0.7, rasterized=True)
        right.set(xscale="log", xlabel="occurrences in the text")
        for axes in (left, right):
            axes.axhline(0, color=CONTROL, lw=0.8)
    return figure


def grain(dead: Mapping, living: Mapping, names: Sequence[str] = ("dead", "living")) -> Figure:
    """How many cells a component moves in a step (median), and the share that moves at all: (seeds, T + 1)."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for swarm, name, colour in zip((dead, living), names, (MEASURED, ACCENT), strict=True):
            _seeds(left, swarm["component"][:, 1:], colour, name, first=1)
            _seeds(right, 100 * swarm["moved"][:, 1:], colour, name, first=1)
        left.set(ylabel="cells a step, median component", xlabel="step", yscale="symlog", ylim=(0, None))
        left.set_yticks([0, 1, 2, 4, 8, 16], ["0", "1", "2", "4", "8", "16"])
        right.set(ylabel="components that moved (%)", xlabel="step", ylim=(0, 103))
        left.legend()
    return figure
