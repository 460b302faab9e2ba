"""The figures of the book: arrays in, a figure out, in one style.

A function takes arrays and returns a `matplotlib.figure.Figure` (or a Plotly figure where one wants to turn it); it
reads nothing and shows nothing. Light figures keep a transparent ground and matplotlib's default text colour, which the
page turns into its own; skies are black, and black means that nothing was seen there.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    import plotly.graph_objects

MEASURED, CONTROL, ACCENT = "steelblue", "0.55", "darkorange"
SERIES = (MEASURED, ACCENT, "seagreen", "mediumpurple", "crimson", "goldenrod")
DAY = {
    "figure.dpi": 200,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": "medium",
    "font.size": 10,
    "legend.frameon": False,
    "legend.loc": "best",
}
NIGHT = {
    **DAY,
    "figure.facecolor": "black",
    "axes.facecolor": "black",
    "axes.edgecolor": "0.35",
    "axes.labelcolor": "0.8",
    "text.color": "0.9",
    "xtick.color": "0.65",
    "ytick.color": "0.65",
    "grid.color": "0.25",
}


def norm_histograms(raw: np.ndarray, centred: np.ndarray, control: np.ndarray, bins: int = 160) -> Figure:
    """How many tokens lie at which distance: raw norms above, centred ones with their Gaussian control below.

    Takes three arrays (N,) of norms in gamma units. Chapter: The catalogue.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        edges = _edges(raw, centred, control, bins=bins)
        _steps(above, raw, edges, fill=True, color=MEASURED, label="raw: distance from the origin")
        _steps(below, centred, edges, fill=True, color=MEASURED, label="centred: distance from the centroid")
        _steps(below, control, edges, color=CONTROL, lw=1.4, label="Gaussian control")
        for axes in (above, below):
            axes.set_ylabel("tokens per bin")
            axes.legend()
        below.set_xlabel("norm (gamma units)")
    return figure


def cosine_histogram(raw: np.ndarray, centred: np.ndarray, control: np.ndarray, bins: int = 201) -> Figure:
    """How the cosines of random pairs are spread: raw, centred, and in the Gaussian control.

    Takes three arrays (P,) of cosines. Chapter: The catalogue.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.subplots()
        edges = _edges(raw, centred, control, bins=bins)
        for values, look in (
            (raw, {"fill": True, "color": ACCENT, "alpha": 0.55, "label": "raw, seen from the origin"}),
            (centred, {"fill": True, "color": MEASURED, "alpha": 0.75, "label": "centred, seen from the centroid"}),
            (control, {"color": CONTROL, "lw": 1.4, "label": "Gaussian control"}),
        ):
            _steps(axes, values, edges, density=True, **look)
        axes.set_xlabel("cosine of the angle between two tokens")
        axes.set_ylabel("probability density")
        axes.legend()
    return figure


def sky(
    longitude: np.ndarray,
    latitude: np.ndarray,
    brightness: np.ndarray,
    marks: Mapping[str, tuple[float, float]] | None = None,
    brightness_label: str = "centred norm (gamma units)",
    colour_map: str = "inferno",
) -> Figure:
    """The map of all directions, naked-eye style: every token a point, black where there is none.

    Takes longitudes and latitudes (N,) in degrees and a value (N,) that colours the points; `marks` are names with
    their (longitude, latitude), circled. Points are drawn from the dimmest to the brightest. Chapter: The catalogue.
    """
    with matplotlib.rc_context(NIGHT):
        figure = Figure(figsize=(11, 5.9), layout="constrained")
        axes = figure.subplots(subplot_kw={"projection": "mollweide"})
        order = np.argsort(brightness, kind="stable")  # (N,)
        low, high = np.quantile(brightness, [0.001, 0.999])
        points = axes.scatter(
            *np.radians([longitude[order], latitude[order]]),
            c=brightness[order],
            s=max(0.25, min(3.0, 5e4 / len(order))),
            cmap=colour_map,
            vmin=low - 0.35 * (high - low),  # the dimmest stars must still be seen on black
            vmax=high,
            linewidths=0,
            rasterized=True,
        )
        for name, place in (marks or {}).items():
            axes.plot(*np.radians(place), "o", ms=13, mfc="none", mec="deepskyblue", mew=1.2)
            axes.annotate(name, np.radians(place), xytext=(11, 9), textcoords="offset points", color="deepskyblue")
        axes.grid(lw=0.4)
        axes.set_xticks(np.radians([-120, -60, 0, 60, 120]))
        axes.set_xlabel("longitude: the first axis points at 0°, the second at 90°")
        axes.set_ylabel("latitude: the third axis points at +90°")
        bar = figure.colorbar(points, ax=axes, shrink=0.62, pad=0.02, extend="both")
        bar.set_label(brightness_label)
        bar.outline.set_visible(False)
    return figure


def globe(
    coordinates: np.ndarray, brightness: np.ndarray, names: Sequence[str], colour_map: str = "inferno"
) -> "plotly.graph_objects.Figure":
    """The cloud on its first three axes, to be turned by hand: every token a point with its name on hover.

    Takes coordinates (N, 3) in gamma units, a value (N,) that colours the points, and N names that are safe to show.
    Chapter: The catalogue.
    """
    from plotly import graph_objects

    first, second, third = coordinates.astype(np.float32).T  # (N,) each; float32 halves the page
    low, high = np.quantile(brightness, [0.001, 0.999])
    cloud = graph_objects.Scatter3d(
        x=first,
        y=second,
        z=third,
        mode="markers",
        marker={
            "size": 1.4,
            "color": brightness.astype(np.float32),
            "colorscale": colour_map,
            "cmin": low - 0.35 * (high - low),  # both ends stay clear of a dark and of a light page
            "cmax": high + 0.15 * (high - low),
            "colorbar": {"title": {"text": "centred norm<br>(gamma units)"}, "thickness": 12, "len": 0.7},
        },
        text=list(names),
        hovertemplate="%{text}<br>(%{x:.2f}, %{y:.2f}, %{z:.2f})<extra></extra>",
    )
    figure = graph_objects.Figure(cloud)
    figure.update_layout(
        scene={
            "aspectmode": "data",
            "camera": {"eye": {"x": 0.9, "y": 2.2, "z": 0.8}},
            "xaxis": {"title": {"text": "axis 1 (gamma units)"}},
            "yaxis": {"title": {"text": "axis 2 (gamma units)"}},
            "zaxis": {"title": {"text": "axis 3 (gamma units)"}},
        },
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=560,
    )
    return figure


def populations(holes: Mapping[str, Sequence[int]]) -> Figure:
    """The populations of the black holes of some models, the largest first, on two logarithmic axes.

    Takes, by label, populations in descending order. Chapter: The story.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.8), layout="constrained")
        axes = figure.subplots()
        for (label, counts), colour in zip(holes.items(), cycle(SERIES), strict=False):
            axes.plot(range(1, len(counts) + 1), counts, "o-", ms=4, lw=1, color=colour, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("rank of the black hole")
        axes.set_ylabel("tokens in it")
        axes.grid(alpha=0.25)
        axes.legend()
    return figure


def name_marks(axes, marks: Mapping[str, float]) -> None:
    """Thin upright lines at some places on the horizontal axis, each with its name written along it."""
    for name, place in marks.items():
        axes.axvline(place, color=CONTROL, lw=0.8)
        axes.annotate(
            name,
            (place, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -3),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize="small",
        )


def _edges(*series: np.ndarray, bins: int) -> np.ndarray:
    """Bins that hold all finite values of some series; a row at the origin has no angle, and its cosine is NaN."""
    values = np.concatenate(series)
    return np.histogram_bin_edges(values[np.isfinite(values)], bins)


def _steps(axes, values: np.ndarray, edges: np.ndarray, density: bool = False, **look) -> None:
    """A histogram as one outline: a page draws one path sooner than two hundred bars."""
    counts, _ = np.histogram(values[np.isfinite(values)], edges, density=density)
    axes.stairs(counts, edges, **look)
