"""The figures of the chapter on how dead tokens freeze: arrays in, a figure out, in the house's style.

Where an experiment has several seeds, each is a line of its own, or the line is their mean and the band their range.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from compute.figures import ACCENT, CONTROL, DAY, MEASURED, SERIES

PHASES = ("early", "midlife", "late", "frozen")
SHADES = ("-", "--", ":", "-.")  # a line a seed
FINEST = 250  # points along an axis of a panel


def shares(populations: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Show which share of the dead is in which phase over time, a panel an experiment.

    populations: by experiment, steps (k,) and shares (seeds, k, 4). Chapter: Nutcracker.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        panels = figure.subplots(1, len(populations), sharey=True, squeeze=False)[0]
        for axes, (name, (steps, share)) in zip(panels, populations.items(), strict=True):
            for code, colour in enumerate(SERIES[: len(PHASES)]):
                _band(axes, steps, 100 * share[:, :, code], colour, PHASES[code])
            axes.set(title=name, xlabel="step", ylim=(-2, 102))
        panels[0].set_ylabel("dead tokens (%)")
        panels[0].legend()
    return figure


def stratigraphy(steps: np.ndarray, phases: np.ndarray, seeds: Sequence[int], colour_map: str = "plasma") -> Figure:
    """Show every dead token as a row, its phases in colour, sorted by its freeze step; a panel a seed.

    steps (k,); phases (seeds, n, k), 0 early to 3 frozen. Chapter: Nutcracker.
    """
    colours = matplotlib.colormaps[colour_map]
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.2), layout="constrained")
        panels = figure.subplots(1, len(seeds), sharey=True, squeeze=False)[0]
        for axes, rows, seed in zip(panels, phases, seeds, strict=True):
            axes.imshow(
                rows, cmap=colours, vmin=0, vmax=len(PHASES) - 1, aspect="auto", interpolation="nearest",
                extent=(float(steps[0]), float(steps[-1]), len(rows), 0),
            )  # fmt: skip
            axes.set(title=f"seed {seed}", xlabel="step")
            axes.locator_params(axis="x", nbins=4)
        panels[0].set_ylabel("dead tokens, by freeze step")
        marks = [Patch(color=colours(code / (len(PHASES) - 1)), label=name) for code, name in enumerate(PHASES)]
        figure.legend(handles=marks, loc="outside lower center", ncols=len(marks))
    return figure


def survival(curves: Mapping[str, Sequence[Mapping]], seeds: Sequence[int], steps: int) -> Figure:
    """Show Kaplan and Meier's curves, the share that still moves, with 95 % bands; a panel an experiment.

    curves: by experiment, one a seed, each with times, share, lower, upper. Chapter: Nutcracker.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.3), layout="constrained")
        panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
        for axes, (name, found) in zip(panels, curves.items(), strict=True):
            for curve, seed, colour in zip(found, seeds, SERIES, strict=False):
                times = np.concatenate([[0], curve["times"]])
                drawn = np.unique(np.searchsorted(times, np.linspace(0, steps, FINEST), "right") - 1)
                times = times[drawn]
                whole = {key: 100 * np.concatenate([[1.0], curve[key]])[drawn] for key in ("share", "lower", "upper")}
                axes.step(times, whole["share"], where="post", color=colour, lw=1.2, label=f"seed {seed}")
                axes.fill_between(times, whole["lower"], whole["upper"], step="post", color=colour, alpha=0.2, lw=0)
            axes.axhline(50, color=CONTROL, lw=0.8)
            axes.set(title=name, xlabel="step", xlim=(0, steps), ylim=(0, 102))
        panels[0].set_ylabel("tokens not yet frozen (%)")
        panels[0].legend()
    return figure


def truncation(runs: Mapping[str, Mapping]) -> Figure:
    """Show the median that a run ended at each step would print, and how many of its resting tokens move again.

    runs: by experiment, ends (k,), quartiles (seeds, k, 3), moved_again (seeds, k). Chapter: Nutcracker.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (name, run), colour in zip(runs.items(), SERIES, strict=False):
            for number, (quartiles, again) in enumerate(zip(run["quartiles"], run["moved_again"], strict=True)):
                look = {"color": colour, "ls": SHADES[number % len(SHADES)], "lw": 1.2}
                look |= {"label": name} if not number else {}
                left.plot(run["ends"], quartiles[:, 1], **look)
                right.plot(run["ends"], 100 * again, **look)
        reach = max(int(run["ends"][-1]) for run in runs.values())
        left.plot([0, reach], [0, reach], color=CONTROL, lw=0.8, label="the end itself")
        left.set(xlabel="run ended at step", ylabel="median “freeze step” it prints")
        right.set(xlabel="run ended at step", ylabel="resting tokens that move again (%)")
        left.legend()
    return figure


def hops(runs: Mapping[str, Mapping], name: str) -> Figure:
    """Show how often tokens still move, and the last hops of one experiment beside those that chance would give.

    runs: by experiment, ends (k,), hops (seeds, k), second_half; name: the one of the right panel. Chapter: Nutcracker.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (label, run), colour in zip(runs.items(), SERIES, strict=False):
            _band(left, run["ends"], np.where(run["hops"] > 0, run["hops"], np.nan), colour, label)
        left.set(yscale="log", xlabel="step", ylabel="moves a token in 1,000 steps")
        left.legend()
        half = runs[name]["second_half"]
        _band(right, half["steps"], 100 * half["measured"], ACCENT, "measured")
        _band(right, half["steps"], 100 * half["expected"], CONTROL, "constant rates")
        right.set(xlabel="step", ylabel="tokens past their last motion (%)", title=name)
        right.legend()
    return figure


def coefficients(found: Mapping[str, Mapping], seeds: Sequence[int]) -> Figure:
    """Show what predicts the freeze step: standardised coefficients with 95 % intervals, a panel an experiment.

    found: by experiment, predictors, and coefficients, lower, upper (seeds + 1, k), pooled last. Chapter: Nutcracker.
    """
    labels = [*(f"seed {seed}" for seed in seeds), "pooled"]
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        panels = figure.subplots(1, len(found), sharex=True, squeeze=False)[0]
        for axes, (name, fit) in zip(panels, found.items(), strict=True):
            axes.set_title(name)
            axes.axvline(0, color=CONTROL, lw=0.8)
            axes.set_yticks(range(len(fit["predictors"])), fit["predictors"] if axes is panels[0] else [])
            axes.invert_yaxis()
            if not fit["predictors"]:
                continue
            for row, label in enumerate(labels):
                value, low, high = (fit[key][row] for key in ("coefficients", "lower", "upper"))
                place = np.arange(len(value)) + 0.16 * (row - (len(labels) - 1) / 2)
                colour = "black" if label == "pooled" else SERIES[row % len(SERIES)]
                arms = [value - low, high - value]
                axes.errorbar(value, place, xerr=arms, fmt="o", ms=3, lw=1, color=colour, label=label)
        handles, names = panels[-1].get_legend_handles_labels()
        tight = {"columnspacing": 1.0, "handletextpad": 0.2, "handlelength": 1.2}  # for a phone
        figure.legend(handles, names, loc="outside upper center", ncols=len(labels), fontsize="small", **tight)
        figure.supxlabel("standard deviations of the freeze step", fontsize="medium")
    return figure


def arms(found: Mapping[str, Mapping], end: int) -> Figure:
    """Show the share of resting tokens over time in every arm of the ablation, a panel an arm, a line a seed.

    found: by arm, curve_steps (m,), curve (seeds, m); end: the last step drawn. Chapter: Nutcracker.
    """
    columns = 3
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 1.75 * -(-len(found) // columns)), layout="constrained")
        panels = figure.subplots(-(-len(found) // columns), columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (name, arm) in zip(panels, found.items(), strict=False):
            for line, colour in zip(arm["curve"], SERIES, strict=False):
                axes.plot(arm["curve_steps"], 100 * line, color=colour, lw=1)
            axes.set(title=name, ylim=(-3, 103), xlim=(0, end))
        for axes in panels[len(found) :]:
            axes.set_visible(False)
        figure.supxlabel("step", fontsize="medium")
        figure.supylabel("dead tokens at rest (%)", fontsize="medium")
    return figure


def fading(found: Mapping[str, Mapping], steps: np.ndarray, lengths: Mapping[str, np.ndarray], end: int) -> Figure:
    """Show the pull on the dead in some arms, and the step that Adam makes of the recipe's by how it remembers.

    found: by arm, series_steps and series; steps (k,) and lengths, by memory, (seeds, k), in half cells. Chapter:
    Nutcracker.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (name, arm), colour in zip(found.items(), SERIES, strict=False):
            _band(left, arm["series_steps"], arm["series"]["dead_pull_norm"], colour, name)
        left.set(yscale="log", xlim=(0, end), xlabel="step", ylabel="pull on the dead (gradient of their sum)")
        for (name, length), colour in zip(lengths.items(), SERIES, strict=False):
            _band(right, steps, length, colour, name)
        right.axhline(1, color=CONTROL, lw=0.8)
        right.set(yscale="log", xlabel="step", ylabel="Adam's step (half cells of a typical weight)")
        low, high = right.get_ylim()
        right.set_ylim(low, high * 10)  # room for the legend, also on a phone
        for axes in (left, right):
            axes.legend(fontsize="small")
    return figure


def contraction(found: Mapping[str, Mapping], way: Mapping[str, np.ndarray], end: int) -> Figure:
    """Show the radius of the dead cloud over its first, by arm, and how far a component went by where it started.

    found: by arm, series_steps, series, radius_start; way: lead, mean, spread (seeds, bins), gamma units. Chapter:
    Nutcracker.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for (name, arm), colour in zip(found.items(), SERIES, strict=False):
            radius = arm["series"]["radius"] / arm["radius_start"][:, None]
            known = np.isfinite(radius).all(axis=0) & (arm["series_steps"] <= end)
            _band(left, arm["series_steps"][known], radius[:, known], colour, name)
        left.set(xlabel="step", ylabel="radius of the dead cloud (of its first)")
        left.legend(fontsize="small")
        for number, (lead, mean, spread) in enumerate(zip(way["lead"], way["mean"], way["spread"], strict=True)):
            look = {"color": MEASURED, "ls": SHADES[number % len(SHADES)]}
            right.plot(lead, mean, **look, label="mean of a bin" if not number else None)
            right.fill_between(lead, mean - spread, mean + spread, color=MEASURED, alpha=0.2, lw=0)
        right.axhline(0, color=CONTROL, lw=0.8)
        right.set(xlabel="lead at the start (gamma units)", ylabel="way beyond the swarm's (gamma units)")
        right.locator_params(axis="x", nbins=4)
        right.legend()
    return figure


def _band(axes, steps: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    """The mean of some lines (seeds, k), and their range."""
    known = np.isfinite(values).all(axis=0)
    steps, values = steps[known], values[:, known]
    if not len(steps):
        return
    axes.plot(steps, values.mean(axis=0), color=colour, lw=1.2, label=label)
    if len(values) > 1:
        axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.25, lw=0)
