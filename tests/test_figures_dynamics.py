"""The figures and sentences of the chapter on the dynamics of dead tokens: drawn without a warning, worded by rule."""

import numpy as np
from matplotlib.figure import Figure

from compute import figures_dynamics as figures
from compute import sentences_dynamics as words

RANDOM = np.random.default_rng(42)
SERIES = [RANDOM.uniform(0.1, 0.9, 60) for _ in range(3)]


def drawn(figure):
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


def test_every_figure_draws():
    angles = {"before": RANDOM.uniform(0.1, 1, 50), "after": RANDOM.uniform(1, 10, 50)}
    drawn(figures.coherence(angles, angles, SERIES, 0.98, 0.002))
    drawn(figures.fading(SERIES, SERIES, SERIES))
    edges = 2.0 ** np.arange(-13, 3)
    cells = RANDOM.uniform(1, 100, 15)
    cells[-3:] = np.nan  # nobody there
    drawn(figures.first_step(edges, *[{"cells": cells, "cells_predicted": cells}] * 2, 1e-3))
    drawn(figures.sizes(np.arange(-30, 0.5, 0.5), {"one": np.full(60, 1 / 60)}, 1e-8))
    drawn(figures.confinement({"AdamW": SERIES, "SGD": SERIES}, 0.09))
    drawn(figures.compass(np.eye(6), 10, SERIES, [np.append(np.nan, series[1:]) for series in SERIES]))
    kinds = dict.fromkeys(figures.PREDICTIONS, SERIES[0])
    lines = drawn(figures.drift(kinds, kinds)).axes[1].lines
    assert len(lines) == len(figures.PREDICTIONS)  # three lengths and the line at one: descent has none


def test_the_running_median_starts_with_single_steps():
    assert figures._smooth(np.array([3.0, 1, 2, 9]), 20).tolist() == [3, 1, 2, 9]
    assert figures._smooth(np.arange(100.0), 20)[-1] == 89.5


def test_ranges():
    assert words.span([0.5, 0.5001], ".2f") == "0.50"
    assert words.span([0.7, 0.1, 0.4], ".1f") == "0.1 to 0.7"
    assert words.percent([0.25, 0.5], ".0f") == "25 to 50 %"


def test_agreement_and_roundings():
    assert "within" in words.agreement([1e-16, 1e-15], 4e-15) and "MORE" in words.agreement([1e-3], 4e-15)
    assert "expected one" in words.roundings([1.0, 2.0], [1.0, 1.9])
    assert "not the whole story" in words.roundings([3.0], [1.0])
    assert "exactly nothing" in words.input_side([0.0, 0.0]) and "should not be" in words.input_side([0.0, 1e-9])


def test_beside_the_record():
    assert "more of one mind" in words.beside_the_record([0.997, 0.998], 0.985)
    assert "less of one mind" in words.beside_the_record([0.9, 0.91], 0.985)
    assert "both sides" in words.beside_the_record([0.9, 0.99], 0.985)


def test_pull_and_norm():
    assert "pedantry" in words.parallel_to([0.7, 0.9], [0.9999, 1.0]) and "as well" in words.parallel_to([0.999], [1.0])
    assert "to the bit" in words.gain([0.0, 0.0]) and "10 to 20 %" in words.gain([0.1, 0.2])
    assert "practically one vector" in words.unison([11.5], [11.55]) and "not all" in words.unison([5.0], [11.0])


def test_what_holds_the_first_step():
    assert "ε" in words.first_steps_lost([0.999], [0.61]) and "explains it" in words.first_steps_lost([0.62], [0.61])


def test_needle():
    told = words.needle([0.4], [0.7], [0.99], [2, 3])
    assert "turns at once" in told and "within 3 steps" in told and "0.70" in told
    assert "keeps turning" in words.needle([0.1], [0.2], [0.3], [3])
    assert "In every run" not in words.needle([0.9], [0.9], [0.99], [0])


def test_drift():
    assert "rounding of its weights" in words.ladder([2.5], [2.4], [1.0])
    assert "own lives" in words.ladder([2.5], [2.4], [1.5]) and "little here" in words.ladder([1.1], [1.1], [1.0])
    assert "nothing left" in words.early([0.003]) and "Even" in words.early([0.3])


def test_confinement():
    runs = [[1e-8, 0.01], [2e-8, 0.003]]
    assert "only the first has a law" in words.confined(runs, [[0.02, 0.01], [0.06, 0.04]], 0.09)
    assert "nobody for long" in words.confined([[1e-8, 0.2]], [[0.02, 0.01]], 0.09)
    assert "should not be" in words.confined([[0.1, 0.2]], [[0.02, 0.01]], 0.09)
