"""The figures of the chapter on the eigenbasis: arrays in, a figure out, in the house's style."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from compute.figures import ACCENT, CONTROL, DAY, MEASURED, NIGHT, SERIES
from compute.figures_smoke import plain

ROOM = 44  # characters of names at either end of a strip
HALO = "deepskyblue"  # rings on black


def spectrum(measured: np.ndarray, own: np.ndarray, equal: np.ndarray, edges: tuple[float, float]) -> Figure:
    """Show the eigenvalues (D,) by rank beside those that chance gives: the first ones left, all of them right.

    own, equal: (D,), of uncorrelated components with the catalogue's variances, and with equal ones; edges: between
    which all of the latter stay. Squared gamma units; eigenvalues of 0 have no logarithm and are not drawn.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axes in (left, right):
            axes.axhspan(*edges, color=CONTROL, alpha=0.18, lw=0)
            for values, look in (
                (equal, {"color": CONTROL, "ls": "--", "label": "chance: equal"}),
                (own, {"color": ACCENT, "label": "chance: own"}),
                (measured, {"color": MEASURED, "lw": 1.8, "label": "measured"}),
            ):
                above = values > 0
                axes.plot(np.flatnonzero(above) + 1, values[above], **look)
        left.set(xscale="log", yscale="log", xlabel="rank of the axis (logarithmic)")
        left.set_ylabel("eigenvalue (squared gamma units)")
        right.set_xlabel("rank of the axis")
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize="small")
    return figure


def ridge(shifts: Mapping[str, np.ndarray]) -> Figure:
    """Show by how much a ridge lowers each metric eigenvalue, in percent, against the rank of its axis.

    shifts: by label, (D,), ridge / (s + ridge) in the order of descending s. Ranks are drawn as shares of D.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        for (label, shift), colour in zip(shifts.items(), SERIES, strict=False):
            axes.plot(100 * (np.arange(len(shift)) + 1) / len(shift), 100 * shift, color=colour, label=label)
        axes.set_yscale("log")
        axes.set_xlabel("axes passed, strongest first (% of D)")
        axes.set_ylabel("metric eigenvalue lowered by (%)")
        axes.grid(alpha=0.25)
        axes.legend()
    return figure


def cumulative(measured: np.ndarray, own: np.ndarray, effective: float) -> Figure:
    """Show the share of variance (D,) on the first axes, beside chance (D,); effective: the participation ratio."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        many = np.arange(1, len(measured) + 1)
        axes.plot(many, 100 * own, color=ACCENT, label="chance: own components")
        axes.plot(many, 100 * measured, color=MEASURED, lw=1.8, label="measured")
        axes.axvline(effective, color=CONTROL, lw=0.9, ls="--", label="participation ratio")
        axes.set_xlabel("axes, strongest first")
        axes.set_ylabel("share of the variance (%)")
        axes.set_ylim(0, 102)
        axes.grid(alpha=0.25)
        axes.legend()
    return figure


def causal_norms(norms: np.ndarray, norm: np.ndarray, density: np.ndarray, bins: int = 160) -> Figure:
    """Show how many tokens have which causal norm (N,), beside a normal cloud's density over `norm`; logometers."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        counts, edges = np.histogram(norms, np.linspace(norm[0], norm[-1], bins + 1))
        axes.stairs(counts, edges, fill=True, color=MEASURED, label="tokens")
        expected = density * len(norms) * (edges[1] - edges[0])
        axes.plot(norm, expected, color=CONTROL, lw=1.4, label="Gaussian control")
        axes.set_yscale("log")
        axes.set_ylim(0.7, 2 * max(counts.max(), expected.max()))
        axes.set_xlabel("causal norm (logometers)")
        axes.set_ylabel("tokens per bin")
        axes.legend()
    return figure


def norms_compared(
    gamma: np.ndarray, causal: np.ndarray, holes: np.ndarray, expected: float, colour_map: str = "inferno"
) -> Figure:
    """Show the causal norm of all tokens against their centred norm, naked-eye style: the more tokens, the brighter.

    gamma (N,) in gamma units, causal (N,) in logometers; holes: ids to ring; expected: the control's causal norm.
    """
    with matplotlib.rc_context(NIGHT):
        figure = Figure(figsize=(7.2, 5.0), layout="constrained")
        axes = figure.subplots()
        cells = axes.hexbin(gamma, causal, gridsize=140, cmap=colour_map, norm=LogNorm(vmin=0.5), mincnt=1, lw=0.1)
        axes.axhline(expected, color="0.6", lw=0.8, ls="--", label="a Gaussian cloud: nearly everybody")
        if len(holes):
            axes.plot(gamma[holes], causal[holes], "o", ms=9, mfc="none", mec=HALO, ls="", label="in a black hole")
        axes.set_xlabel("centred norm (gamma units)")
        axes.set_ylabel("causal norm (logometers)")
        axes.legend()
        bar = figure.colorbar(cells, ax=axes, pad=0.02)
        bar.set_label("tokens")
        bar.outline.set_visible(False)
    return figure


def leading_axes(
    coordinates: np.ndarray,
    script: np.ndarray,
    names: Sequence[str],
    low: Sequence[Sequence[str]],
    high: Sequence[Sequence[str]],
    named: int = 3,
    bins: int = 80,
) -> Figure:
    """Show how the tokens of each script are spread along the first axes, one strip an axis, and who is outermost.

    coordinates (N, A) in logometers; script (N,) numbers the `names`; low, high: by axis, texts that are safe to
    show, the outermost first. Every curve has the same area, however few tokens its script has; dots are the `named`
    outermost tokens, in their script's colour.
    """
    with matplotlib.rc_context(DAY):
        count, named = coordinates.shape[1], min(named, len(coordinates) // 2)
        figure = Figure(figsize=(7.2, 0.8 + 1.0 * count), layout="constrained")
        strips = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
        edges = np.linspace(coordinates.min(), coordinates.max() + 1e-9, bins + 1)
        for i, axes in enumerate(strips):
            place = coordinates[:, i]
            for group, colour in zip(range(len(names)), SERIES, strict=False):
                inside = place[script == group]
                share = np.histogram(inside, edges)[0] / len(inside)
                axes.stairs(share, edges, color=colour, lw=1.1, fill=group == 0, alpha=0.45 if group == 0 else 1.0)
            outermost = np.argsort(place, kind="stable")[[*range(named), *range(-named, 0)]]
            colours = [SERIES[group] for group in script[outermost]]
            axes.scatter(place[outermost], np.zeros(2 * named), s=14, c=colours, lw=0, zorder=3, clip_on=False)
            for texts, corner, side in ((low[i], 0.0, "left"), (high[i], 1.0, "right")):
                label = " · ".join(texts[:named])
                label = plain(label if len(label) <= ROOM else label[: ROOM - 1] + "…")
                # a strip gives way to no name, however long
                axes.text(corner, 0.55, label, transform=axes.transAxes, ha=side, fontsize="small", in_layout=False)
            axes.set_yticks([])
            axes.set_ylim(0, None)
            axes.set_ylabel(f"axis {i + 1}", rotation=0, ha="right", va="center")
            axes.spines["left"].set_visible(False)
        strips[-1].set_xlabel("coordinate on the axis (logometers)")
        for name, colour in zip(names, SERIES, strict=False):
            strips[0].plot([], [], "o", ms=4, color=colour, label=name)
        figure.legend(loc="outside upper center", ncols=3, fontsize="small", handletextpad=0.1, columnspacing=1.0)
    return figure
