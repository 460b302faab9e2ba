"""The figures on the lattice of Q8_0 beside those of the floating-point formats: arrays in, a figure out."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from compute.figures import ACCENT, DAY, MEASURED, name_marks


def spacings(
    weight: np.ndarray, spacing: Mapping[str, np.ndarray], band: tuple[float, float, float], label: str
) -> Figure:
    """Show the distance of neighbouring values of several formats against the weight, Q8_0's as a band.

    weight (P,) and spacing (P,) by format, in gamma units; band: a low, a middle and a high step, named by
    `label`.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        low, middle, high = band
        axes.axhspan(low, high, color=ACCENT, alpha=0.2, lw=0)
        axes.axhline(middle, color=ACCENT, lw=1.2, label=label)
        for (name, steps), colour in zip(spacing.items(), (MEASURED, "seagreen", "mediumpurple"), strict=False):
            axes.step(weight, steps, where="post", color=colour, lw=1.2, label=name)
        axes.set(xscale="log", yscale="log", xlabel="|weight| (gamma units)")
        axes.set_ylabel("distance to the next value (gamma units)")
        axes.legend()
    return figure


def coarseness(
    edges: np.ndarray, share: np.ndarray, hops: np.ndarray, unseen: np.ndarray, marks: Mapping[str, float]
) -> Figure:
    """Show Q8_0's step in ULP of bfloat16, and in how many components a move of some cells stays unseen.

    edges (B + 1,) of step / ULP; share (B,) of components, 0 .. 1; hops (K,) in cells, unseen (K,) 0 .. 1;
    marks: hops to name.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.stairs(100 * share, edges, fill=True, color=MEASURED)
        left.set_xscale("log", base=2)
        left.set_xlabel("step of Q8_0 (bfloat16 ULP at the weight)")
        left.set_ylabel("components (%)")
        right.plot(hops, 100 * unseen, ".-", color=MEASURED)
        name_marks(right, marks)
        right.set_xscale("log", base=2)
        right.set_ylim(0, 100)
        right.set_xlabel("move of one component (bfloat16 cells)")
        right.set_ylabel("moves that Q8_0 does not see (%)")
    return figure


def survivors(rows: np.ndarray, whole: int) -> Figure:
    """Show how many of `whole` black holes Q8_0 leaves apart, over the trials (T,) of a simulation."""
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        axes = figure.subplots()
        counts = np.bincount(rows, minlength=whole + 1)[1:]
        axes.bar(np.arange(1, whole + 1), 100 * counts / counts.sum(), color=MEASURED, width=0.8)
        axes.axvline(whole, color=ACCENT, lw=1.2)
        axes.text(whole, axes.get_ylim()[1], "in bfloat16 ", ha="right", va="top")
        axes.set_xticks(np.arange(1, whole + 1))
        axes.set_xlabel("black holes left apart in Q8_0 (simulation)")
        axes.set_ylabel("trials (%)")
    return figure
