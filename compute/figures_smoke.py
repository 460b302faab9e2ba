"""The figures of the chapter on the frozen smoke: arrays in, a figure out, in the house's style."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from compute.figures import ACCENT, CONTROL, DAY, MEASURED, NIGHT, SERIES

if TYPE_CHECKING:
    import plotly.graph_objects

SIMULATED = "simulation, 95 % of the trials"  # stands on every figure of it
ON_BRIGHT, ON_DARK = "#101010", "#f8f8f8"  # not black and white, which follow the page, while maps stay as they are


def profile(distance: np.ndarray, core_radius: float, edge: float, hop: float, outer: float | None) -> Figure:
    """Show how many tokens lie within each distance of the centre, and the two borders that the rules find.

    distance (N,) in gamma units; outer: the first distance behind the gap, None without one. Distances below
    `hop`, the length of a single hop, are drawn at it.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.8), layout="constrained")
        axes = figure.subplots()
        order = np.sort(np.maximum(distance, hop))  # (N,)
        axes.plot(order, np.arange(1, len(order) + 1), drawstyle="steps-post", color=MEASURED, label="tokens within")
        if outer is not None:
            axes.axvspan(max(core_radius, hop), outer, color=ACCENT, alpha=0.25, lw=0, label="the gap: the core ends")
        axes.axvline(edge, color=CONTROL, ls="--", lw=1, label="the main cloud begins")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("distance from the centre of the smoke (gamma units)")
        axes.set_ylabel("tokens within that distance")
        axes.grid(alpha=0.25)
        axes.legend()
    return figure


def shells(bounds: np.ndarray, tokens: np.ndarray, rows: np.ndarray) -> Figure:
    """Show tokens and different rows in shells around the centre; bounds (n + 1,) in gamma units, counts (n,)."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.stairs(tokens, bounds, fill=True, color=MEASURED, alpha=0.45, label="tokens")
        axes.stairs(rows, bounds, color=ACCENT, lw=1.4, label="different rows")
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, None)
        axes.set_xlabel("distance from the centre of the smoke (gamma units)")
        axes.set_ylabel("number in the shell")
        axes.legend()
    return figure


def ladder(names: Sequence[str], distance: np.ndarray, special: Sequence[bool], gap: tuple[float, float]) -> Figure:
    """Show named tokens by their distance from the centre, one rung each; gap: (inner, outer), shaded.

    names: safe to show, mathtext escaped here; distance (n,) in gamma units, rising; special tokens stand
    out.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 0.9 + 0.17 * len(names)), layout="constrained")
        axes = figure.subplots()
        rungs = np.arange(len(names))
        colours = np.where(np.asarray(special, dtype=bool), ACCENT, MEASURED)
        axes.axvspan(*gap, color="0.5", alpha=0.15, lw=0)
        axes.hlines(rungs, distance.min(), distance, color=CONTROL, lw=0.5, alpha=0.6)
        axes.scatter(distance, rungs, c=colours, s=16, zorder=3)
        axes.set_yticks(rungs, [plain(name) for name in names], fontsize=7)
        axes.set_ylim(len(names) - 0.3, -0.7)
        axes.set_xscale("log")
        axes.set_xlabel("distance from the centre of the smoke (gamma units)")
        axes.plot([], [], "o", color=ACCENT, label="special token")
        axes.plot([], [], "o", color=MEASURED, label="other")
        axes.legend(loc="upper right")
    return figure


def plain(text: str) -> str:
    """Return a text that matplotlib can draw as it stands: no dollar begins mathematics, no letter is missing.

    What the font does not have is written as its code point, ⟨U+0E01⟩.
    """
    has = _letters()
    return "".join(c if ord(c) in has else f"⟨U+{ord(c):04X}⟩" for c in text).replace("$", r"\$")


@cache
def _letters() -> frozenset[int]:
    from matplotlib import font_manager

    return frozenset(font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap())


def components(thresholds: Sequence[int], counts: Sequence[int], rows: int) -> Figure:
    """Show how many connected components are left once rows no farther apart than a distance are joined."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.subplots()
        steps, left = [*thresholds, max(thresholds) * 1.3 + 1], [*counts, counts[-1]]
        axes.step(steps, left, where="post", color=MEASURED)
        axes.axvline(1, color=ACCENT, lw=1, ls="--", label="L∞ = 1: neighbouring cells")
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(0, None)
        axes.set_ylim(0, rows * 1.05)
        axes.set_xlabel("largest L∞ distance joined (cells)")
        axes.set_ylabel("components")
        axes.legend()
    return figure


def distances(linf: np.ndarray, names: Sequence[str], colour_map: str = "inferno") -> Figure:
    """Show the L-infinity distances (n, n) of a handful of holes as a map with its numbers; a hole itself is black."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(5.6, 5.0), layout="constrained")
        axes = figure.subplots()
        shown = axes.imshow(linf, cmap=colour_map, vmin=0)
        bright = linf.max() / 2
        for i, j in np.argwhere(linf > 0):
            colour = ON_BRIGHT if linf[i, j] > bright else ON_DARK
            axes.text(j, i, int(linf[i, j]), ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(names)), names, fontsize=8, rotation=60, ha="right")
        axes.set_yticks(range(len(names)), names, fontsize=8)
        figure.colorbar(shown, ax=axes, shrink=0.8).set_label("L∞ distance (cells)")
    return figure


def places(offsets: np.ndarray, component_names: Sequence[str], hole_names: Sequence[str]) -> Figure:
    """Show where each hole stands in each component that varies: offsets (holes, components), cells from the first."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.6, 4.4), layout="constrained")
        axes = figure.subplots()
        reach = max(1, int(np.abs(offsets).max()))
        shown = axes.imshow(offsets, cmap="coolwarm", vmin=-reach, vmax=reach, aspect="auto")
        for i, j in np.argwhere(offsets != 0):
            colour = ON_DARK if abs(offsets[i, j]) > 0.6 * reach else ON_BRIGHT
            axes.text(j, i, f"{offsets[i, j]:+d}", ha="center", va="center", fontsize=7, color=colour)
        axes.set_xticks(range(len(component_names)), component_names, fontsize=7, rotation=60, ha="right")
        axes.set_yticks(range(len(hole_names)), hole_names, fontsize=7)
        axes.set_xlabel("component (biased exponent)")
        figure.colorbar(shown, ax=axes, shrink=0.8).set_label("cells from the largest hole")
    return figure


def indicator(values: np.ndarray, distance: np.ndarray, smoke: np.ndarray, special: np.ndarray, label: str) -> Figure:
    """Show an indicator of under-training (N,) against the distance from the centre of the smoke, all tokens.

    smoke, special: token ids that stand out.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        away = np.maximum(distance, np.min(distance[distance > 0], initial=np.inf) / 2)
        axes.scatter(away, values, s=2, color=CONTROL, alpha=0.35, lw=0, rasterized=True, label="all tokens")
        axes.scatter(away[smoke], values[smoke], s=14, color=MEASURED, label="smoke")
        axes.scatter(away[special], values[special], s=44, facecolors="none", edgecolors=ACCENT, label="special tokens")
        axes.set_xscale("log")
        axes.set_xlabel("distance from the centre of the smoke (gamma units)")
        axes.set_ylabel(label)
        axes.legend()
    return figure


def causes(names: Sequence[str], inside: Sequence[int], seen: Sequence[int], outside: Sequence[int]) -> Figure:
    """Show why tokens cannot come back, inside and outside the cluster; `seen` of those outside occur in some text."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        rows, seen, outside = np.arange(len(names)), np.asarray(seen), np.asarray(outside)
        axes.barh(rows - 0.2, inside, 0.38, color=MEASURED, label="in the cluster")
        axes.barh(rows + 0.2, seen, 0.38, color="0.8", label="elsewhere, found inside other text")
        axes.barh(rows + 0.2, outside - seen, 0.38, left=seen, color=ACCENT, label="elsewhere, not found")
        for row, (one, other) in enumerate(zip(inside, outside, strict=True)):
            axes.annotate(f"{one:,}", (one, row - 0.2), xytext=(4, 0), textcoords="offset points", va="center")
            axes.annotate(f"{other:,}", (other, row + 0.2), xytext=(4, 0), textcoords="offset points", va="center")
        axes.set_yticks(rows, names)
        axes.invert_yaxis()
        axes.set_xlabel("tokens")
        axes.margins(x=0.12)
        axes.legend(loc="center right")
    return figure


def families(told: Mapping[str, tuple[np.ndarray, np.ndarray]], observed: float, label: str, unit: str) -> Figure:
    """Show what stories of formation give at each spread, against what was observed; a simulation.

    told: by story, spreads (S,) and lower bound, median and upper bound (S, 3); label: what is counted.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        for (name, (sigma, interval)), colour in zip(told.items(), SERIES, strict=False):
            axes.fill_between(sigma, interval[:, 0], interval[:, 2], color=colour, alpha=0.22, lw=0)
            axes.plot(sigma, interval[:, 1], color=colour, label=name)
        axes.axhline(observed, color="crimson", lw=1, ls="--", label="published")
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, None)
        axes.set_title(SIMULATED)
        axes.set_xlabel(f"spread before rounding ({unit})")
        axes.set_ylabel(label)
        axes.legend()
    return figure


def sphere(positions: np.ndarray, populations: np.ndarray, names: Sequence[str], hop: float, named: int = 12) -> Figure:
    """Show the rows of the smoke around its centre as on a chart of the sky: true distance, direction in two axes.

    positions (n, 3) as `structure.sphere` lays them: the radius is log10(1 + distance / hop), the angle that
    of the first two axes. Holes are as large as their populations (n,); the `named` nearest singletons carry
    their names.
    """
    with matplotlib.rc_context(NIGHT):
        figure = Figure(figsize=(7.2, 7.4), layout="constrained")
        axes = figure.subplots()
        radius, angle = np.linalg.norm(positions, axis=1), np.arctan2(positions[:, 1], positions[:, 0])
        across, up = radius * np.cos(angle), radius * np.sin(angle)
        for decade in range(1, int(np.ceil(radius.max())) + 1):
            axes.add_patch(Circle((0, 0), decade, fill=False, color="0.25", lw=0.7))
            axes.annotate(f"{hop * (10**decade - 1):.2g}", (0, -decade), color="0.6", ha="center", va="top", fontsize=8)
        is_hole = populations > 1
        sizes = np.where(is_hole, 30 * np.sqrt(populations), 9)
        axes.scatter(across, up, s=sizes, c=np.where(is_hole, "darkorange", "white"), lw=0, alpha=0.9, zorder=3)
        nearest = [i for i in np.argsort(radius, kind="stable") if not is_hole[i]][:named]
        for i in nearest:
            right = across[i] >= 0
            axes.annotate(
                plain(names[i]), (across[i], up[i]), xytext=(5 if right else -5, 2), textcoords="offset points",
                fontsize=7, ha="left" if right else "right",
            )  # fmt: skip
        axes.plot([], [], "o", color="darkorange", label="black hole, by population")
        axes.plot([], [], "o", ms=3, color="white", label="one token")
        axes.legend(loc="upper right")
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title("rings: distance from the centre of the smoke (gamma units)", fontsize=9)
    return figure


def turnable(
    positions: np.ndarray, populations: np.ndarray, names: Sequence[str], distance: np.ndarray, edges: np.ndarray
) -> "plotly.graph_objects.Figure":
    """Show the same to be turned by hand: holes sized by population, edges where rows touch, tokens on hover.

    names: one a row, safe to show and escaped for HTML, which Plotly reads; distance (n,) in gamma units.
    """
    from plotly import graph_objects

    lines = np.full((3 * len(edges), 3), np.nan)  # ends of each edge, then a break
    lines[0::3], lines[1::3] = positions[edges[:, 0]], positions[edges[:, 1]]
    hover = [
        f"{name}<br>{count} token{'s' * (count > 1)}<br>{away:.3g} gamma units"
        for name, count, away in zip(names, populations.tolist(), distance.tolist(), strict=True)
    ]
    bonds = graph_objects.Scatter3d(
        x=lines[:, 0], y=lines[:, 1], z=lines[:, 2], mode="lines", line={"color": "grey", "width": 2}, hoverinfo="skip"
    )
    stars = graph_objects.Scatter3d(
        x=positions[:, 0],
        y=positions[:, 1],
        z=positions[:, 2],
        mode="markers",
        text=hover,
        hoverinfo="text",
        marker={
            "size": 3 + 3 * (np.sqrt(populations) - 1),
            "color": np.where(populations > 1, "darkorange", "white").tolist(),
        },
    )
    hidden = {"showticklabels": False, "title": "", "showbackground": False, "gridcolor": "#333", "zeroline": False}
    figure = graph_objects.Figure([bonds, stars])
    figure.update_layout(
        template="plotly_dark",
        paper_bgcolor="black",
        scene={"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "data", "bgcolor": "black"},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        showlegend=False,
        height=560,
    )
    return figure
