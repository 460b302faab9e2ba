"""The figures of the chapter on the lattice: arrays in, a figure out, in the house's style.

Maps are black where nothing happens: where two measures agree, where a weight stays.
"""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from compute.figures import ACCENT, CONTROL, DAY, MEASURED, SERIES, name_marks


def parting(
    offsets: np.ndarray,
    difference: np.ndarray,
    ends: np.ndarray,
    cells: np.ndarray,
    record: np.ndarray,
    colour_map: str = "inferno",
) -> Figure:
    """Show where the record's measure and the distance in cells part: for pairs, and along one walk.

    offsets (P,) in cells from a power of two; difference (P, P) in cells, rows by start; ends (T,) in gamma
    units with both distances (T,) from one start, in cells.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
        half = (offsets[1] - offsets[0]) / 2
        reach = (offsets[0] - half, offsets[-1] + half)
        size = np.abs(difference)
        shown = left.imshow(
            size,
            origin="lower",
            extent=(*reach, *reach),
            cmap=colour_map,
            norm=SymLogNorm(0.5, vmin=0, vmax=size.max()),
            interpolation="nearest",
        )
        left.set_xlabel("end (cells above a power of two)")
        left.set_ylabel("start (cells above a power of two)")
        ticks = [0, 1, 10, 100]
        bar = figure.colorbar(shown, ax=left, shrink=0.8, ticks=ticks)
        bar.ax.set_yticklabels([str(tick) for tick in ticks])
        bar.set_label("|record − cells| (cells)")
        right.plot(ends, cells, color=MEASURED, label="cells")
        right.plot(ends, record, color=ACCENT, ls="--", label="ΔW / ULP(start)")
        right.set_yscale("symlog", linthresh=100)
        right.set_xlabel("end of the walk (gamma units)")
        right.set_ylabel("distance walked (cells)")
        right.axvline(0, color=CONTROL, lw=0.8)
        right.legend()
    return figure


def lost_updates(
    weight: np.ndarray,
    half_cell: np.ndarray,
    spreads: np.ndarray,
    shares: Mapping[str, np.ndarray],
    marks: Mapping[str, float],
) -> Figure:
    """Show half a cell against the weight, and how much of a normal cloud a given step leaves unmoved.

    weight, half_cell (P,) and spreads (S,) in gamma units; shares (S,) by the step's name, 0 .. 1; marks:
    spreads to name.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        above.fill_between(weight, half_cell.min() / 4, half_cell, step="post", color=MEASURED, alpha=0.25, lw=0)
        above.step(weight, half_cell, where="post", color=MEASURED, lw=1.2, label="half a cell")
        above.set(xscale="log", yscale="log", ylabel="step (gamma units)")
        above.set_ylim(half_cell.min() / 2, half_cell.max() * 2)
        above.text(0.97, 0.08, "a step in here never happened", transform=above.transAxes, ha="right")
        above.text(0.03, 0.86, "a step up here arrives", transform=above.transAxes)
        for (name, share), colour in zip(shares.items(), SERIES, strict=False):
            below.plot(spreads, 100 * share, color=colour, label=name)
        name_marks(below, marks)
        below.set_xlabel("above: |weight|; below: standard deviation of the weights (gamma units)")
        below.set_ylabel("weights left where they are (%)")
        below.legend(title="step")
    return figure


def decay_map(
    shrinks: np.ndarray, cells: np.ndarray, marks: Mapping[str, float], colour_map: str = "inferno"
) -> Figure:
    """Show how far one decay step moves a weight, over lr x wd and the mantissa; black: not at all.

    shrinks (S,) dimensionless, rising, evenly spaced in the logarithm; cells (128, S); marks: lr x wd to
    name.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.8), layout="constrained")
        axes = figure.subplots()
        ratio = np.sqrt(shrinks[1] / shrinks[0])
        edges = np.append(shrinks / ratio, shrinks[-1] * ratio)  # (S + 1,)
        mesh = axes.pcolormesh(
            edges,
            np.arange(129) - 0.5,
            cells,
            cmap=colour_map,
            norm=SymLogNorm(1, vmin=0, vmax=cells.max()),
            rasterized=True,
        )
        for name, shrink in marks.items():
            axes.axvline(shrink, color=ACCENT, lw=1.2)
            axes.text(shrink, 124, f" {name}", color=ACCENT, va="top", rotation=90, ha="right", fontsize="small")
        axes.set_xscale("log")
        axes.set_xlabel("lr × wd, the share of a weight that one step should take away")
        axes.set_ylabel("mantissa of the weight (0 … 127)")
        ticks = [tick for tick in (0, 1, 2, 5, 10, 20) if tick <= cells.max()]
        bar = figure.colorbar(mesh, ax=axes, ticks=ticks)
        bar.ax.set_yticklabels([str(tick) for tick in ticks])
        bar.set_label("cells moved towards zero")
    return figure


def decay_thresholds(weight: np.ndarray, threshold: np.ndarray, marks: Mapping[str, float]) -> Figure:
    """Show the smallest lr x wd that one step of decay needs to be felt, over all magnitudes of a weight.

    weight (P,) in gamma units, rising; threshold (P,) dimensionless; marks: lr x wd to name.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.plot(weight, threshold, color=MEASURED, lw=0.8, rasterized=True)
        for name, shrink in marks.items():
            axes.axhline(shrink, color=ACCENT, lw=1.2)
            axes.annotate(name, (weight[-1], shrink), xytext=(0, 3), textcoords="offset points", ha="right")
        axes.set(xscale="log", yscale="log", xlabel="|weight| (gamma units)")
        axes.set_ylabel("lr × wd at which decay begins")
    return figure


def decay_fates(steps: np.ndarray, norms: Mapping[str, np.ndarray]) -> Figure:
    """Show what weight decay alone does to the norm of a vector, by how the weights are stored.

    steps (T,); norms (T,) by name, relative to the start.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axes = figure.subplots()
        styles = zip(norms.items(), ((CONTROL, "-", 4), (MEASURED, "-", 1.4), (ACCENT, "--", 1.4)), strict=False)
        for (name, norm), (colour, style, width) in styles:
            axes.plot(steps, norm, color=colour, ls=style, lw=width, label=name)
        axes.set_xlabel("step")
        axes.set_ylabel("norm (share of the start)")
        axes.legend()
    return figure


def second_moment(
    forgetting: np.ndarray,
    kept: np.ndarray,
    marks: Mapping[str, float],
    exact: np.ndarray,
    stored: np.ndarray,
) -> Figure:
    """Show for how many mantissas v beta2 rounds back to v, and the v of a gradient that stops.

    forgetting = 1 - beta2 (B,), kept (B,) of 128; marks: 1 - beta2 to name; exact, stored (T,) in units of
    the gradient's square.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.fill_between(forgetting, 0, kept, step="mid", color=MEASURED, lw=0)
        for name, place in marks.items():
            left.plot([place, place], [0, 131], color=ACCENT, lw=1.2)
            left.text(place, 134, name, rotation=90, ha="center", va="bottom", fontsize="small")
        left.set_xscale("log")
        left.set_ylim(0, 185)
        left.set_yticks([0, 32, 64, 96, 128])
        left.set_xlabel("1 − β₂")
        left.set_ylabel("mantissas that stay, of 128")
        right.plot(exact, color=CONTROL, lw=2.5, label="float64")
        right.plot(stored, color=MEASURED, lw=1.4, label="bfloat16")
        right.set_xlabel("step")
        right.set_ylabel("second moment v (squared gradient)")
        right.legend()
    return figure


def regimes(
    linf: np.ndarray, l2: np.ndarray, dim: int, track_linf: np.ndarray, track_l2: np.ndarray, label: str
) -> Figure:
    """Show the published phases as regions of the plane of L-infinity and L2, with displacements in it.

    linf, l2 (P,) in cells, both above 0, drawn as points named by `label`; track_linf, track_l2 (T,): a
    random displacement that grows. Between the lines lies all that D components allow.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes = figure.subplots()
        corner = np.sqrt(dim)
        reach = np.geomspace(0.7, max(track_linf.max(), linf.max()) * 1.6, 200)
        top = corner * reach[-1]
        axes.fill_between(reach, reach, corner * reach, color=CONTROL, alpha=0.12, lw=0)
        axes.plot(reach, corner * reach, color=CONTROL, lw=1)
        axes.plot(reach, reach, color=CONTROL, lw=1)
        axes.axhline(corner, color=ACCENT, lw=1.2)
        axes.plot([1.25, 1.25], [0.7, corner], color=ACCENT, lw=1.2, ls="--")  # between the integers 1 and 2
        axes.plot(track_linf, track_l2, ".", ms=3, color=CONTROL, label="a random displacement that grows")
        pairs, counts = np.unique(np.stack([linf, l2]), axis=1, return_counts=True)
        axes.scatter(*pairs, s=14 + 10 * counts, color=MEASURED, alpha=0.8, lw=0, label=label, zorder=3)
        for name, place in (
            ("early", (1.6, corner * 3)),
            ("midlife", (1.6, corner / 2)),
            ("late", (0.75, corner / 2)),
        ):
            axes.text(*place, name, style="italic")
        axes.annotate(f"√D = {corner:.1f}", (reach[-1], corner), xytext=(0, 3), textcoords="offset points", ha="right")
        axes.set(xscale="log", yscale="log", xlim=(reach[0], reach[-1]), ylim=(0.7, top))
        axes.set_xlabel("L∞: farthest component (cells)")
        axes.set_ylabel("L2 (cells)")
        axes.legend(loc="lower right")
    return figure
