"""The figures of the chapter on density: arrays in, a figure out, in the house's style.

A `profile` is what `results_void.profile` returns: edges (B + 1,), count, median, low and high (B,).
"""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from compute.figures import ACCENT, CONTROL, DAY, MEASURED, NIGHT, SERIES, name_marks

MARK = "deepskyblue"  # on black, as on the sky maps


def _swarm(axes, x: np.ndarray, y: np.ndarray, grid: tuple[int, int], colour_map: str):
    """Draw points as counts in hexagons, y and counts logarithmic, a single one bright enough to be seen on black."""
    shown = axes.hexbin(x, y, gridsize=grid, yscale="log", bins="log", cmap=colour_map, mincnt=1, linewidths=0.2)
    low, high = shown.get_clim()
    shown.set_clim(low / 4, high)
    return shown


def cloud(
    radius: np.ndarray,
    density: np.ndarray,
    marked: np.ndarray,
    radius_label: str,
    density_label: str,
    mark_label: str,
    colour_map: str = "inferno",
) -> Figure:
    """Show the density of all tokens against their distance from the centroid: the brighter, the more of them.

    radius, density (N,), infinite densities left out; marked: ids that are circled, which `mark_label` names.
    """
    with matplotlib.rc_context(NIGHT):
        figure = Figure(figsize=(11, 6), layout="constrained")
        axes = figure.subplots()
        finite = np.isfinite(density)
        axes.set_yscale("log")
        shown = _swarm(axes, radius[finite], density[finite], (260, 130), colour_map)
        circled = marked[finite[marked]]
        axes.plot(radius[circled], density[circled], "o", ms=7, mfc="none", mec=MARK, mew=0.8, label=mark_label)
        axes.grid(lw=0.4)
        axes.set_xlabel(radius_label)
        axes.set_ylabel(density_label)
        axes.legend()
        bar = figure.colorbar(shown, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label("tokens in a cell")
        bar.outline.set_visible(False)
    return figure


def profiles(clouds: Mapping[str, Mapping], cuts: tuple[float, float], radius_label: str, density_label: str) -> Figure:
    """Show the median density of each shell, with its bootstrap band, and under it how many tokens the shell holds.

    clouds: profiles by name, the catalogue first; cuts: where core and outer region begin, in the radius' unit.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 6.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.5, 1])
        counts = []
        for (name, found), look in zip(clouds.items(), _LOOKS, strict=False):
            centre = (found["edges"][:-1] + found["edges"][1:]) / 2
            here = np.isfinite(found["median"])
            band = found["low"][here], found["high"][here]
            above.fill_between(centre[here], *band, color=look["color"], alpha=0.25, lw=0)
            above.plot(centre[here], found["median"][here], label=name, **look)
            if not any(np.array_equal(found["count"], drawn) for drawn in counts):  # some have their radii by design
                below.stairs(found["count"], found["edges"], color=look["color"], lw=1.2, ls=look["ls"])
            counts.append(found["count"])
        name_marks(below, {"core": cuts[0], "outer": cuts[1]})
        for cut in cuts:
            above.axvline(cut, color=CONTROL, lw=0.8)
        above.set_yscale("log")
        above.set_ylabel(density_label)
        above.legend()
        below.set_yscale("symlog", linthresh=1)
        below.set_ylim(0, None)
        below.set_ylabel("tokens in the shell")
        below.set_xlabel(radius_label)
    return figure


_LOOKS = (
    {"color": MEASURED, "ls": "-", "lw": 1.4, "marker": ".", "ms": 4},
    {"color": SERIES[2], "ls": ":", "lw": 1.2, "marker": "", "ms": 0},
    {"color": CONTROL, "ls": "-", "lw": 1.6, "marker": "", "ms": 0},
    {"color": ACCENT, "ls": "--", "lw": 1.2, "marker": "", "ms": 0},
)


def volumetric(decades: np.ndarray, dimension: float, others: Mapping[str, float], bins: int = 120) -> Figure:
    """Show how volumetric density is spread, in decades about its median, and what another dimension makes of it.

    decades (N,) for the given dimension; the infinite are left out. With another dimension d, all of them scale
    as d, since only the radius of the ball differs between tokens.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        finite = decades[np.isfinite(decades)]
        edges = np.linspace(finite.min(), finite.max(), bins + 1)
        named = {f"d = {dimension:.0f}, participation ratio": dimension} | {
            f"d = {d:.1f}, {name}": d for name, d in others.items()
        }
        for (name, d), colour in zip(named.items(), SERIES, strict=False):
            counts, _ = np.histogram(finite * d / dimension, edges)
            axes.stairs(counts, edges, color=colour, label=name, fill=d == dimension, alpha=0.8, lw=1.4)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, None)
        axes.set_xlabel("volumetric density (decades above its median)")
        axes.set_ylabel("tokens per bin")
        axes.legend()
    return figure


def overflow(last: Mapping[str, int], dimensions: Mapping[str, float], limit: float) -> Figure:
    """Show the two factors of a ball's volume against the dimension, and where float64 has no more numbers for them.

    last: the largest d with a finite pi^(d/2) and with a finite Gamma(d/2 + 1); dimensions: d to name; limit:
    log10 of the largest float64.
    """
    from scipy.special import gammaln

    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        d = np.linspace(1, 1.15 * max(*dimensions.values(), *last.values()), 800)
        function, power = gammaln(d / 2 + 1) / np.log(10), d / 2 * np.log10(np.pi)
        for name, values, end, colour in (
            ("Γ(d/2 + 1)", function, last["gamma"], MEASURED),
            ("π^(d/2)", power, last["power"], ACCENT),
        ):
            inside = d <= end
            axes.plot(d[inside], values[inside], color=colour, lw=2, label=name)
            axes.plot(d[~inside], values[~inside], color=colour, lw=1, ls=":")
        axes.plot(d, power - function, color="black", lw=1.4, label="their ratio, the volume of the unit ball")
        axes.axhspan(limit, function.max() * 1.05, color=CONTROL, alpha=0.15, lw=0)
        axes.text(d.mean(), 1.1 * limit, "float64 ends here", ha="center", va="bottom", fontsize="small")
        name_marks(axes, dimensions)
        axes.set_ylim(None, function.max() * 1.05)
        axes.set_xlabel("dimension d")
        axes.set_ylabel("decimal logarithm")
        axes.legend(loc="lower left")
    return figure


def sampling(whole: Mapping, sample: Mapping, taken: int, radius_label: str, density_label: str) -> Figure:
    """Show the radial profile from all tokens and from a sample of `taken` of them, with their bands."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        for name, found, colour in (("all tokens", whole, MEASURED), (f"a sample of {taken:,}", sample, ACCENT)):
            centre = (found["edges"][:-1] + found["edges"][1:]) / 2
            here = np.isfinite(found["median"])
            axes.fill_between(centre[here], found["low"][here], found["high"][here], color=colour, alpha=0.25, lw=0)
            axes.plot(centre[here], found["median"][here], ".-", ms=4, lw=1.2, color=colour, label=name)
        axes.set_yscale("log")
        axes.set_xlabel(radius_label)
        axes.set_ylabel(density_label)
        axes.legend()
    return figure


def named(
    radius: np.ndarray, occurrences: np.ndarray, k: int, radius_label: str, colour_map: str = "inferno"
) -> Figure:
    """Show how often each token is among the k nearest of another, against its distance from the centroid.

    radius, occurrences (N,); tokens that nobody names are drawn at one half.
    """
    with matplotlib.rc_context(NIGHT):
        figure = Figure(figsize=(11, 5.4), layout="constrained")
        axes = figure.subplots()
        shown = _swarm(axes, radius, np.maximum(occurrences, 0.5), (260, 110), colour_map)
        axes.axhline(k, color=MARK, lw=0.8)
        axes.text(radius.max(), k, f"everybody's share: {k}", color=MARK, ha="right", va="bottom")
        axes.grid(lw=0.4)
        axes.set_xlabel(radius_label)
        axes.set_ylabel("times among another's nearest")
        bar = figure.colorbar(shown, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label("tokens in a cell")
        bar.outline.set_visible(False)
    return figure
