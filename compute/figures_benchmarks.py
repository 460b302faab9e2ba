"""The figure of the benchmarks: how costs grow with the rows and with their width."""

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from compute.figures import ACCENT, DAY, MEASURED

LOOKS = {"neighbours": ("the nearest neighbours", MEASURED), "metric": ("eigenbasis and coordinates", ACCENT)}


def growth(rows: Sequence[Mapping]) -> Figure:
    """Show seconds against N (left) and D (right), solid, beside the matrix products alone, dashed.

    Each of `rows` holds name (its first word one of `LOOKS`), what varies ("N" or "D"), sizes, seconds and
    products_seconds, lists of one length. Chapter: Colophon.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        panels = dict(zip("ND", figure.subplots(1, 2, sharey=True), strict=True))
        for row in rows:
            axes, (label, colour) = panels[row["varies"]], LOOKS[row["name"].split("-")[0]]
            axes.plot(row["sizes"], row["seconds"], "o-", ms=3.5, color=colour, label=label)
            axes.plot(row["sizes"], row["products_seconds"], "--", lw=1.2, color=colour, label="… products alone")
            axes.set(xscale="log", yscale="log")
            axes.xaxis.set_major_locator(FixedLocator(row["sizes"]))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
            axes.tick_params(axis="x", labelrotation=30)
        panels["N"].set(xlabel="rows N", ylabel="seconds")
        panels["D"].set(xlabel="dimensions D")
        panels["D"].legend(fontsize="small")
    return figure
