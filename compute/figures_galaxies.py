"""The figures of the chapter on other galaxies: arrays in, a figure out, in the house's style."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from compute.figures import ACCENT, CONTROL, DAY, MEASURED, SERIES
from compute.figures_smoke import plain

WIDTH, HEIGHT, LOWER = 5.0, 0.95, 3.1  # inches: of all, of one catalogue, of the holes; a phone has room for the width
MARKS = ("o", "s", "^", "D", "v", "P")


def portraits(skies: Mapping[str, Mapping], crowds: Mapping[str, Sequence[int]], published: Sequence[str]) -> Figure:
    """Show many catalogues: norms and spectrum of each, a row of two panels; below, the populations of all holes.

    skies: by name, norms {edges, tokens, marked} in medians and spectrum (D,); the spectrum is drawn in units of its
    mean against the rank as a share of D, beside the same value on all axes. crowds: by name, populations, descending;
    those in `published` are drawn hollow and dashed.
    """
    with matplotlib.rc_context({**DAY, "font.size": 9, "axes.labelsize": 9}):
        figure = Figure(figsize=(WIDTH, HEIGHT * max(1, len(skies)) + LOWER), layout="constrained")
        upper, lower = figure.subfigures(2, 1, height_ratios=[HEIGHT * max(1, len(skies)), LOWER])
        grid = upper.subplots(max(1, len(skies)), 2, sharex="col", squeeze=False, width_ratios=[3, 2])
        for axes, (name, sky) in zip(grid, skies.items(), strict=False):
            _norms(axes[0], name, sky["norms"])
            _spectrum(axes[1], np.asarray(sky["spectrum"], dtype=float))
        grid[0, 1].set_title("variance, over the mean", loc="left", fontsize=9, pad=2)
        grid[-1, 0].set_xlabel("distance from the centroid (medians)")
        grid[-1, 1].set_xlabel("axis, as a share of all")
        _crowds(lower, crowds, published)
    return figure


def _norms(axes, name: str, norms: Mapping) -> None:
    """Shares of all tokens in each bin, on a logarithmic axis; what is marked stands in front."""
    count = max(1, int(np.sum(norms["tokens"])))
    for values, colour, alpha in ((norms["tokens"], MEASURED, 0.75), (norms["marked"], ACCENT, 0.9)):
        axes.stairs(np.asarray(values) / count, norms["edges"], fill=True, color=colour, alpha=alpha)
    axes.set_yscale("log")
    axes.set_ylim(0.5 / count, 0.6)
    axes.set_xlim(norms["edges"][0], norms["edges"][-1])
    axes.set_yticks([1e-4, 1e-2], ["0.01 %", "1 %"])
    axes.minorticks_off()
    axes.set_title(plain(name), loc="left", fontsize=9, pad=2)


def _spectrum(axes, spectrum: np.ndarray) -> None:
    share = (np.arange(len(spectrum)) + 0.5) / len(spectrum)
    axes.axhline(1, color=CONTROL, lw=0.8, ls="--")
    axes.plot(share, np.maximum(spectrum / spectrum.mean(), 1e-3), color=MEASURED, lw=1.4)
    axes.set_yscale("log")
    axes.set_ylim(1e-2, 3e2)
    axes.set_yticks([0.01, 1, 100], ["0.01", "1", "100"])
    axes.minorticks_off()


def _crowds(figure, crowds: Mapping[str, Sequence[int]], published: Sequence[str]) -> None:
    axes = figure.subplots()
    for (name, populations), colour, mark in zip(crowds.items(), cycle(SERIES), cycle(MARKS)):
        hollow = {"mfc": "none", "ls": "--"} if name in published else {"ls": "-"}
        ranks = np.arange(1, len(populations) + 1)
        axes.plot(ranks, populations, color=colour, marker=mark, ms=4, lw=1, label=plain(name), **hollow)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("black hole, by rank")
    axes.set_ylabel("tokens in it")
    axes.grid(alpha=0.25)
    if crowds:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=8)
