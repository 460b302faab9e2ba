"""The figures of the chapter on Goldilocks: arrays in, a figure out, in the house's style."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from compute.figures import ACCENT, CONTROL, DAY, MEASURED, SERIES
from compute.figures_smoke import plain


def rank_frequency(counts: np.ndarray) -> Figure:
    """How often the living occur, by rank: counts (V,); the dead, who have no place on this axis, as a band."""
    living = np.sort(counts[counts > 0])[::-1]
    rank = np.arange(1, len(living) + 1)
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(rank, living[0] / rank, "--", color=CONTROL, label="1 / rank")
        axes.plot(rank, living, color=MEASURED, lw=2, label="living tokens")
        axes.axvspan(len(living) + 1, len(counts), color=ACCENT, alpha=0.25, lw=0, label="dead tokens: no occurrence")
        axes.set(xscale="log", yscale="log", xlabel="rank", ylabel="occurrences in the text")
        axes.set_xlim(0.8, len(counts))
        axes.legend(loc="lower left")
    return figure


def learning(told: Mapping, baselines: Mapping) -> Figure:
    """The loss of a run by step beside what who knows nothing, or frequencies only, would lose; and the dead mass.

    told: as `results_recipe.learning`; baselines: as `results_recipe.baselines`, nats.
    """
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        above.plot(told["steps"], told["loss"], color=MEASURED, lw=1, label="loss in training")
        marks = {"uniform": "knows nothing", "living": "knows who lives", "unigram": "knows frequencies"}
        for (name, label), style in zip(marks.items(), (":", "-.", "--"), strict=True):
            above.axhline(baselines[name], ls=style, color=CONTROL, lw=1, label=label)
        end = [told["length"]] * len(told["held_out"])
        above.plot(end, told["held_out"], "o", ms=5, color=ACCENT, label="loss on unseen text")
        above.set(xscale="log", ylabel="nats per token")
        below.plot(told["steps"], told["dead_mass"], color=SERIES[2], lw=1)
        below.set(yscale="log", ylabel="probability\nof all the dead", xlabel="step")
        above.legend(loc="lower left")
    return figure


def first_look(found: Mapping, texts: Sequence[str]) -> Figure:
    """The first steps of a few tokens, living and dead: L1 in cells, and length in gamma units.

    found: tokens, and cells and lengths (T, 6), first the living, then the dead; texts: six names, of which those that
    the font cannot write give way to the token's number.
    """
    names = [text if plain(text) == text else f"#{token}" for token, text in zip(found["tokens"], texts, strict=True)]
    half = len(texts) // 2
    with matplotlib.rc_context(DAY):
        figure = Figure(figsize=(7.2, 5.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        steps = np.arange(1, len(found["cells"]) + 1)
        for number, text in enumerate(names):
            kind, colour = ("living", ACCENT) if number < half else ("dead", MEASURED)
            look = {"color": colour, "ls": ("-", "--", ":")[number % half % 3], "lw": 1.2}
            above.plot(steps, found["cells"][:, number], **look)
            below.plot(steps, found["lengths"][:, number], label=f"{kind}: {text}", **look)
        above.set(yscale="log", ylabel="L1 of the step (cells)")
        below.set(yscale="log", ylabel="length (gamma units)", xlabel="step")
        figure.legend(ncols=2, loc="outside lower center")
    return figure
