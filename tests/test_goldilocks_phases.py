"""Phases, truncation, survival, hopping by chance and regression on hand-made lives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.goldilocks import phases

# one token a row: L1, L2 squared, L-infinity in ten steps, D = 4 (wide: L2^2 > 4)
LIVES = {
    "never moved": [(0, 0, 0)] * 10,
    "through all": [(9, 30, 5), (4, 5, 2), (2, 4, 2), (2, 2, 1), (1, 1, 1)] + [(0, 0, 0)] * 5,
    "no way back": [(1, 1, 1), (0, 0, 0), (9, 30, 5)] + [(0, 0, 0)] * 7,
    "straggler": [(9, 30, 5)] + [(0, 0, 0)] * 8 + [(1, 1, 1)],
}
L1, SQUARED, LINF = np.array(list(LIVES.values())).transpose(2, 1, 0)


def test_the_three_moments_and_the_phases_between_them():
    lives = phases.transitions(L1, SQUARED, LINF, dim=4)
    assert lives.wide.tolist() == [0, 2, 3, 1]
    assert lives.far.tolist() == [0, 3, 3, 1]
    assert lives.move.tolist() == [0, 5, 3, 10]
    codes = phases.phase_at(lives, np.arange(1, 11))
    assert codes.T.tolist() == [[3] * 10, [0, 0, 1, 2, 2] + [3] * 5, [0] * 3 + [3] * 7, [0] + [2] * 9]
    assert phases.populations(lives, [1, 4, 10]).tolist() == [[3, 0, 0, 1], [0, 0, 2, 2], [0, 0, 1, 3]]
    assert phases.frozen_for_good(lives.move, [0, 3, 9, 10]).tolist() == [0.25, 0.5, 0.75, 1.0]
    assert phases.stragglers(lives.move, 10).tolist() == [3]
    assert phases.stragglers(lives.move, 10, share=0.7).tolist() == [3, 1]


@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=1, max_size=30))
def test_phases_never_go_back_and_end_where_the_last_step_says(history):
    cells = np.array(history)[:, None, :]
    l1, squared, linf = cells.sum(-1), (cells**2).sum(-1), cells.max(-1)
    lives = phases.transitions(l1, squared, linf, dim=3)
    codes = phases.phase_at(lives, np.arange(1, len(cells) + 2))[:, 0].astype(int)
    assert (np.diff(codes) >= 0).all() and codes[-1] == 3
    for step, code in enumerate(codes[:-1]):
        least = (squared[step:, 0] > 3).any(), (linf[step:, 0] > 1).any(), (l1[step:, 0] > 0).any()
        assert code == (0 if least[0] else 1 if least[1] else 2 if least[2] else 3)


def summary_of(moved: np.ndarray) -> dict:
    """The move half of a summary's arrays from a history (T, n) of moves; wide and far never."""
    windows = -(-len(moved) // phases.WINDOW)
    last = np.zeros((windows, moved.shape[1]), np.uint8)
    for window in range(windows):
        part = moved[window * phases.WINDOW : (window + 1) * phases.WINDOW]
        last[window] = (part * np.arange(1, len(part) + 1)[:, None]).max(axis=0)
    return {"last_move": last, "last_wide": last * 0, "last_far": last * 0, "step": len(moved)}


def test_a_run_read_at_a_boundary_is_the_run_that_ended_there():
    moved = np.random.default_rng(42).random((900, 20)) < 0.01
    found = phases.as_of_windows(summary_of(moved))
    for window, end in enumerate((250, 500, 750, 900)):
        truth = phases.transitions(moved[:end], moved[:end], moved[:end], dim=4).move
        assert (found.move[window] == truth).all()
        assert (phases.of_run(summary_of(moved[:end])).move == truth).all()
    assert not found.wide.any()
    with pytest.raises(ValueError, match="observed none"):
        phases.of_run(summary_of(np.zeros((0, 3), bool)))


def test_restless_tokens_follow_the_end_of_the_run_and_frozen_ones_do_not():
    rng, steps = np.random.default_rng(42), 8000
    restless = rng.random((steps, 300)) < 1 / 500
    frozen = restless & (np.arange(steps)[:, None] < rng.normal(1500, 200, 300))
    alive, dead = (phases.truncation(summary_of(moved)) for moved in (restless, frozen))
    assert alive.ends.tolist() == list(range(250, 8001, 250))
    assert alive.quartiles[-1, 1] - alive.quartiles[15, 1] == pytest.approx(4000, abs=150)
    assert dead.quartiles[-1, 1] == dead.quartiles[15, 1] < 1600
    assert alive.late_share[-1] == pytest.approx(1 - np.exp(-800 / 500), abs=0.1)
    assert dead.late_share[-1] == 0
    # who rested 1,000 steps wakes again, almost surely, if nothing but chance kept it still
    assert alive.moved_again[7] > 0.95 and np.nanmax(dead.moved_again[10:]) == 0
    assert np.isnan(alive.moved_again[[0, -1]]).all()


def test_kaplan_meier_on_the_worked_example_of_remission_times():
    """6-mercaptopurine, 21 patients (Freireich 1963), the example of most textbooks."""
    times = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    seen = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    curve = phases.kaplan_meier(times, seen)
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert curve.events.tolist() == [3, 1, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(curve.share, [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], atol=5e-5)
    error = curve.share[-1] * np.sqrt(np.cumsum(curve.events / (curve.at_risk * (curve.at_risk - curve.events)))[-1])
    assert error == pytest.approx(0.1346, abs=1e-4)  # Greenwood's standard error in the textbooks
    assert (curve.lower[0], curve.upper[0]) == (pytest.approx(0.6197, abs=1e-4), pytest.approx(0.9516, abs=1e-4))
    assert phases.median_time(curve) == (23.0, 13.0, pytest.approx(np.nan, nan_ok=True))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_without_censoring_survival_is_the_share_that_is_left(times):
    curve = phases.kaplan_meier(times, np.ones(len(times), bool))
    left = [np.mean(np.array(times) > time) for time in curve.times]
    np.testing.assert_allclose(curve.share, left, atol=1e-12)
    assert ((curve.lower <= curve.share) & (curve.share <= curve.upper)).all() and curve.share[-1] < 1e-12


def test_only_who_rested_counts_as_frozen():
    curve = phases.freezing(np.array([100, 300, 600, 950, 1000]), end=1000, rest=500)
    assert curve.times.tolist() == [100, 300] and curve.share.tolist() == pytest.approx([0.8, 0.6])
    assert np.isnan(phases.median_time(curve)[0])
    # runs of two lengths pooled: each token is censored where its own run allows
    both = phases.freezing(np.array([100, 900, 100, 900]), end=np.array([600, 600, 2000, 2000]), rest=500)
    assert both.times.tolist() == [100, 900] and both.share.tolist() == pytest.approx([0.5, 0.0])
    with pytest.raises(ValueError, match="found 2000 steps of 1000"):
        phases.freezing(np.array([1]), end=1000, rest=2000)
    with pytest.raises(ValueError, match="n > 0"):
        phases.kaplan_meier([], [])


def test_poisson_intervals_are_the_tabulated_ones_and_cover():
    found = phases.hop_rates([0, 1, 10], steps=1)
    np.testing.assert_allclose(found.lower, [0, 0.0253, 4.795], atol=1e-3)
    np.testing.assert_allclose(found.upper, [3.689, 5.572, 18.39], atol=2e-3)
    drawn = phases.hop_rates(np.random.default_rng(42).poisson(4.0, 20_000), steps=1000)
    assert ((drawn.lower <= 0.004) & (drawn.upper >= 0.004)).mean() > 0.95
    assert (drawn.rate * 1000 % 1 < 1e-9).mean() > 0.5


def test_last_hops_by_chance_are_those_of_a_simulation():
    rng, rates, end = np.random.default_rng(42), np.array([0.0, 0.001, 0.01]), 2000
    last = np.array(
        [phases._last(rng.random((end, 400)) < rate).tolist() for rate in rates]
    )
    expected = phases.chance_last_hop(rates, end, [0, 500, 1900, 2000])
    found = [(last <= step).mean() for step in (0, 500, 1900, 2000)]
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert expected[-1] == 1.0


def test_frozen_fraction_is_the_mean_of_the_hundred_steps_before():
    still = np.arange(1, 1001)
    assert phases.frozen_fraction(still, 1000, [1000, 500, 50]).tolist() == pytest.approx([0.9505, 0.4505, 0.0255])


def test_regression_finds_what_was_put_in():
    rng = np.random.default_rng(42)
    norm, script = rng.normal(5, 2, 800), rng.integers(0, 2, 800).astype(float)
    useless = rng.normal(size=800)
    outcome = 3 * norm + 4 * script + rng.normal(0, 1, 800)
    found = phases.regression(outcome, np.column_stack([norm, script, useless]), indicator=(1,), draws=300)
    truth = [3 * norm.std() / outcome.std(), 4 / outcome.std(), 0.0]
    assert ((found.lower < truth) & (truth < found.upper)).all()
    assert found.coefficients == pytest.approx(truth, abs=0.02) and found.r_squared > 0.95
    again = phases.regression(outcome, np.column_stack([norm, script, useless]), indicator=(1,), draws=300)
    assert (again.lower == found.lower).all()
    for bad in (np.column_stack([norm, 2 * norm]), np.ones((800, 1)), rng.normal(size=(800, 900))):
        with pytest.raises(ValueError, match="independent predictors asked for"):
            phases.regression(outcome, bad)
