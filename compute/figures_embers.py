"""The figures of the chapter on what Goldilocks leaves behind: arrays in, a figure out, in the house's style."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from compute.figures import ACCENT, CONTROL, DAY, NIGHT, SERIES
from compute.figures_smoke import plain

ROOM = 0.5  # between two names of a sky, in powers of ten of the distance
Curve = Mapping[str, np.ndarray]  # nearest (n,), thresholds and components (k,)


def nearness(runs: Mapping[str, Sequence[Curve]], smoke: Curve | None, smoke_name: str) -> Figure:
    """Show how near the dead are to each other: nearest neighbours above, components below, one colour a start.

    runs: by start, the curves of each seed, the first one drawn strongest; smoke: a finished model's, dashed, or None.
    Distances in cells; both vertical axes are shares of the tokens, or places, that are compared.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for (name, curves), colour in zip(runs.items(), SERIES, strict=False):
            for i, curve in enumerate(curves):
                look = {"color": colour, "lw": 1.8 if i == 0 else 0.8, "alpha": 1 if i == 0 else 0.6}
                _pair(above, below, curve, {**look, "label": name if i == 0 else None})
        if smoke is not None:
            _pair(above, below, smoke, {"color": CONTROL, "lw": 1.6, "ls": "--", "label": smoke_name})
        for axes in (above, below):
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xlim(-0.08, None)
            axes.set_ylim(-0.02, 1.05)
            axes.axvline(1, color=ACCENT, lw=0.8, ls=":")
            axes.grid(alpha=0.25)
        above.set_ylabel("share with a neighbour\nthat near")
        below.set_ylabel("components left,\nshare of tokens")
        below.set_xlabel("L∞ distance (cells)")
        if runs or smoke is not None:
            names = above.get_legend_handles_labels()
            figure.legend(*names, loc="outside upper center", ncols=2)  # three are too wide for a phone
    return figure


def _pair(above, below, curve: Curve, look: dict) -> None:
    """One run: the cumulated share of tokens above, the falling number of components below."""
    near = np.sort(curve["nearest"])  # (n,)
    reach = max(float(near[-1]), float(curve["thresholds"][-1])) * 1.3 + 1
    shares = np.arange(1, len(near) + 1) / len(near)
    above.plot(np.concatenate([[0], near, [reach]]), np.concatenate([[0], shares, [1]]), drawstyle="steps-post", **look)
    steps, left = np.append(curve["thresholds"], reach), np.append(curve["components"], curve["components"][-1])
    below.plot(steps, left / len(near), drawstyle="steps-post", **look)


def skies(panels: Mapping[str, Mapping], named: int = 3) -> Figure:
    """Show all tokens as seen from the centroid of the dead, one panel a start, radius logarithmic, two axes of it.

    panels: by start, positions (N, 3), dead (N,) bool, nearest (k,) ids of living tokens with their texts, and hop;
    the first `named` of these with room carry their names. Rings are powers of ten of hops, written in gamma units.
    """
    columns = 1 if len(panels) == 1 else 2
    rows = max(1, -(-len(panels) // columns))
    with matplotlib.rc_context(NIGHT):
        figure = Figure(figsize=(3.6 * columns, 3.75 * rows), layout="constrained")
        grid = np.ravel(figure.subplots(rows, columns, squeeze=False))
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for axes, (name, panel) in zip(grid, panels.items(), strict=False):
            _panel(axes, panel, named)
            axes.set_title(name, fontsize=10)
        grid[0].plot([], [], "o", ms=3, color="darkorange", label="dead")
        grid[0].plot([], [], "o", ms=3, color="white", label="living")
        grid[0].legend(loc="upper left", fontsize=8, handletextpad=0.1)
    return figure


def _panel(axes, panel: Mapping, named: int) -> None:
    positions, dead = np.asarray(panel["positions"], dtype=float), np.asarray(panel["dead"])
    radius, angle = np.linalg.norm(positions, axis=1), np.arctan2(positions[:, 1], positions[:, 0])
    across, up = radius * np.cos(angle), radius * np.sin(angle)
    for decade in range(1, int(np.ceil(radius.max())) + 1):
        axes.add_patch(Circle((0, 0), decade, fill=False, color="0.25", lw=0.6))
        length = panel["hop"] * (10**decade - 1)
        axes.annotate(f"{length:.2g}", (0, -decade), color="0.6", ha="center", va="top", fontsize=7)
    order = np.argsort(angle, kind="stable")  # so that neither colour covers the other
    colours = np.where(dead, "darkorange", "white")
    axes.scatter(across[order], up[order], s=1.5, c=colours[order], lw=0, alpha=0.85, rasterized=True)
    alone = dead & (radius < 0.3)
    if alone.any():  # a hole hides its members: it is drawn by its population
        axes.scatter([0], [0], s=8 * np.sqrt(alone.sum()), c="darkorange", lw=0, zorder=3)
    shown: list[int] = []  # of the nearest, those whose names have room
    for i, text in zip(np.asarray(panel["nearest"]).tolist(), panel["texts"], strict=True):
        if len(shown) == named or any(np.hypot(across[i] - across[k], up[i] - up[k]) < ROOM for k in shown):
            continue
        shown.append(i)
        right, clear = across[i] >= 0, 4 if radius[i] > 0.3 else 4 + np.sqrt(8 * np.sqrt(alone.sum())) / 2
        label = axes.annotate(
            plain(text), (across[i], up[i]), xytext=(clear if right else -clear, 2), textcoords="offset points",
            fontsize=8, color="deepskyblue", ha="left" if right else "right",
        )  # fmt: skip
        label.set_path_effects([withStroke(linewidth=2, foreground="black")])
    axes.set_aspect("equal")
    axes.set_axis_off()
