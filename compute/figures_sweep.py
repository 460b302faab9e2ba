"""The figure of a sweep: one number over the axes of the grid; arrays in, a figure out, in the house's style."""

from collections.abc import Mapping, Sequence
from itertools import product

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from compute.figures import DAY, SERIES

COLUMNS = 3  # panels in a row


def landscape(
    axes: Mapping[str, Sequence], values: np.ndarray, label: str = "median freeze step", logarithmic: bool = False
) -> Figure:
    """Show a number over a sweep: along the numeric axis with the most values, a line for each value of the next one.

    axes: field and values; values: one array axis for each, and the seeds last; NaN is a gap. A dot is a seed, a line
    their mean; the other axes make a panel for each of their combinations. Chapter: Nutcracker.
    """
    along, lines, rest = _roles(axes)
    names = list(axes)
    order = [names.index(name) for name in (*rest, *lines, *along)]
    shape = (-1, len(axes[lines[0]]) if lines else 1, len(axes[along[0]]), values.shape[-1])
    panels = np.asarray(values, float).transpose(*order, len(names)).reshape(shape)  # (panels, lines, x, seeds)
    titles = [", ".join(f"{name} {_short(value)}" for name, value in zip(rest, one, strict=True))
              for one in product(*(axes[name] for name in rest))]  # fmt: skip
    marks, places, scale = _places(axes[along[0]])
    with matplotlib.rc_context(DAY):
        rows = -(-len(panels) // COLUMNS)
        figure = Figure(figsize=(7.2, 0.6 + 2.7 * rows), layout="constrained")
        grid = figure.subplots(rows, min(len(panels), COLUMNS), sharex=True, sharey=True, squeeze=False)
        for panel, shown, title in zip(grid.flat, panels, titles, strict=False):
            for number, line in enumerate(shown):
                colour = SERIES[number % len(SERIES)]
                name = f"{lines[0]} {_short(axes[lines[0]][number])}" if lines else None
                style = "-" if number < len(SERIES) else "--"
                panel.plot(places, _mean(line), color=colour, lw=1.2, ls=style, label=name)
                panel.plot(np.repeat(places, line.shape[1]), line.ravel(), ".", color=colour, ms=4)
            panel.set(title=title, xscale=scale, xlabel=along[0].replace("_", " "))
            panel.set_xticks(places, marks, minor=False)
            panel.minorticks_off()
            if logarithmic:
                panel.set_yscale("log")
        for panel in grid.flat[len(panels) :]:
            panel.set_axis_off()
        for panel in grid[:, 0]:
            panel.set_ylabel(label)
        if lines:
            grid.flat[0].legend()
    return figure


def _roles(axes: Mapping[str, Sequence]) -> tuple[list[str], list[str], list[str]]:
    """Which axis runs along the panels, which makes lines (none where all others have one value), which make panels."""

    def rank(name: str) -> tuple[bool, int]:
        return not _is_numeric(axes[name]), -len(axes[name])

    first = min(axes, key=rank)
    others = sorted((name for name in axes if name != first), key=lambda name: -len(axes[name]))
    lines = [name for name in others[:1] if len(axes[name]) > 1]
    return [first], lines, [name for name in axes if name not in (first, *lines)]


def _is_numeric(values: Sequence) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _places(values: Sequence) -> tuple[list[str], np.ndarray, str]:
    """Marks, places and scale of an axis: by powers where it spans some, else side by side (0.9, 0.99, 0.999)."""
    marks = [_short(value) for value in values]
    if _is_numeric(values) and min(values) > 0 and max(values) >= 4 * min(values):
        return marks, np.array(values, float), "log"
    return marks, np.arange(len(values), dtype=float), "linear"


def _mean(line: np.ndarray) -> np.ndarray:
    """The mean over the seeds that there are, NaN where there is none: (x, seeds) -> (x,)."""
    there = np.isfinite(line)
    return np.where(there.any(axis=1), np.where(there, line, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1), np.nan)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
