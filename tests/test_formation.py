"""The simulation against real bfloat16 rounding, against laws it must obey, and its free-number-free tests."""

import itertools
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ks_2samp

from compute.lattice import ordinal
from compute.smoke import census, constellation
from compute.smoke.formation import (
    INDEPENDENT,
    ONE_LINE,
    PROPORTIONAL,
    STATISTICS,
    best_chance,
    dependence,
    four_combinations,
    log10_coincidence,
    several_points,
    simulate,
)

PUBLISHED = Path(__file__).parents[1] / "data" / "published"
EXPONENTS = np.repeat([107, 110, 114, 118, 120], [2, 3, 40, 200, 155])
STORIES = [INDEPENDENT, PROPORTIONAL, ONE_LINE, several_points(np.array([200, 100, 50, 50]))]
SPREADS = {INDEPENDENT: 2e-9, PROPORTIONAL: 1e-3, ONE_LINE: 3e-9}


class Recorder:
    """A generator that keeps what it dealt."""

    def __init__(self, seed):
        self.generator, self.uniforms, self.normals = np.random.default_rng(seed), [], []

    def uniform(self, *given):
        self.uniforms.append(self.generator.uniform(*given))
        return self.uniforms[-1]

    def standard_normal(self, size):
        self.normals.append(self.generator.standard_normal(size))
        return self.normals[-1]


@pytest.mark.parametrize("sigma", [5e-10, 2e-9, 1e-8])
def test_cells_are_those_of_real_bfloat16_rounding(sigma):
    dealt = Recorder(42)
    told = simulate(INDEPENDENT, EXPONENTS, 300, sigma, 1, dealt)
    widths = np.ldexp(1.0, EXPONENTS - 134)
    near = np.flatnonzero(np.abs(dealt.uniforms[0]) + 8 * sigma / widths > 0.5)
    middle = np.ldexp(1.5, EXPONENTS[near] - 127)  # the middle of the binade, a bfloat16 value
    exact = middle + dealt.uniforms[0][near] * widths[near] + sigma * dealt.normals[0]
    bits = exact.astype(ml_dtypes.bfloat16).view(np.uint16)  # (300, K)
    counted = census(bits)
    assert told.counts["holes"][0] == len(counted.populations)
    assert told.counts["rows"][0] == counted.unique_rows
    assert told.counts["tokens_in_holes"][0] == counted.tokens_in_holes
    assert told.counts["largest"][0] == counted.populations.max(initial=0)
    places = ordinal(bits[counted.first_members])
    assert told.counts["components"][0] == (np.ptp(places, axis=0) > 0).sum()
    assert told.counts["linf"][0] == np.ptp(places, axis=0).max()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name[:20])
def test_counts_fit_together(story):
    told = simulate(story, EXPONENTS, 400, SPREADS.get(story, 1e-8), 40, np.random.default_rng(42))
    counts = told.counts
    assert set(counts) == set(STATISTICS) and all(len(column) == 40 for column in counts.values())
    assert (counts["rows"] == counts["holes"] + 400 - counts["tokens_in_holes"]).all()
    assert (counts["largest"] + counts["second"] <= counts["tokens_in_holes"]).all()
    assert (counts["second"] <= counts["largest"]).all()
    assert ((counts["holes"] > 1) == (counts["components"] > 0)).all()
    assert ((counts["linf"] > 0) == (counts["components"] > 0)).all()


def test_no_spread_is_one_hole_and_much_spread_is_none():
    rng = np.random.default_rng(42)
    still = simulate(INDEPENDENT, EXPONENTS, 400, 0.0, 3, rng)
    assert still.counts["holes"].tolist() == [1] * 3 and still.counts["largest"].tolist() == [400] * 3
    assert simulate(INDEPENDENT, EXPONENTS, 400, 1e-6, 3, rng).counts["holes"].tolist() == [0] * 3
    on_lattice = simulate(INDEPENDENT, EXPONENTS, 400, 2e-10, 5, rng, on_lattice=True)
    assert on_lattice.counts["holes"].tolist() == [1] * 5  # half a cell is 3.7e-9 at the least


def test_the_same_seed_gives_the_same_trials():
    first, again = (simulate(ONE_LINE, EXPONENTS, 200, 3e-9, 10, np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(first.counts[name], again.counts[name]) for name in STATISTICS)


def test_lines_make_no_more_holes_than_borders():
    told = simulate(ONE_LINE, np.full(50, 118), 2000, 2e-5, 20, np.random.default_rng(42))
    assert (told.counts["rows"] - 1 <= 50 * told.counts["linf"].max()).all()
    places = np.rint(np.outer(np.linspace(-3, 3, 500), np.random.default_rng(1).normal(0, 1, 12))).astype(int)
    assert len(four_combinations(np.unique(places, axis=0))) == 0


def test_random_survivors_of_a_larger_swarm_are_a_smaller_swarm():
    """The record's direct sampling and its 'Monument Valley' must agree at one spread; they were found to differ."""
    rng = np.random.default_rng(42)
    direct = simulate(INDEPENDENT, EXPONENTS, 300, 2e-9, 300, rng).counts["holes"]
    widths = np.ldexp(1.0, EXPONENTS - 134)
    survived = []
    for _ in range(300):
        place = rng.uniform(-0.5, 0.5, len(widths))
        near = np.abs(place) + 8 * 2e-9 / widths > 0.5
        cells = np.rint(place[near] + rng.standard_normal((3000, near.sum())) * (2e-9 / widths[near]))
        kept = rng.permutation(3000)[:300]
        survived.append(len(census(cells[kept].astype(np.int64).view(np.uint64)).populations))
    assert ks_2samp(direct, survived).pvalue > 0.001


def test_the_points_of_given_populations_keep_them_while_they_are_apart():
    told = simulate(several_points(np.array([50, 30, 2, 1])), EXPONENTS, 83, 1e-6, 5, np.random.default_rng(42))
    assert told.counts["holes"].tolist() == [3] * 5
    assert told.counts["largest"].tolist() == [50] * 5
    assert told.counts["tokens_in_holes"].tolist() == [82] * 5


def test_chances_and_intervals_of_an_outcome():
    told = simulate(INDEPENDENT, EXPONENTS, 300, 2e-9, 199, np.random.default_rng(42))
    holes = told.counts["holes"]
    low, middle, high = told.interval("holes")
    assert low <= middle == np.median(holes) <= high
    assert ((holes >= low) & (holes <= high)).mean() >= 0.93
    assert told.chance("holes", holes.max() + 1) == 2 / 200
    assert told.chance("holes", middle) > 0.5
    observed = {"holes": holes.max() + 1, "largest": float(np.median(told.counts["largest"]))}
    assert best_chance([told], observed) == (2e-9, 4 / 200)


def test_the_chance_that_two_tokens_meet():
    exponents = np.array([129, 130, 131])  # cells of 2^-5, 2^-4, 2^-3
    rng = np.random.default_rng(42)
    draws = rng.normal(0, 0.5, (1_000_000, 2, 3))
    met = (np.rint(draws[:, 0] * [32, 16, 8]) == np.rint(draws[:, 1] * [32, 16, 8])).all(axis=1).mean()
    assert 10 ** log10_coincidence(exponents, 0.5) == pytest.approx(met, rel=0.2)  # some 90 in a million
    assert log10_coincidence(exponents, 1e-9) == 0


@given(arrays(np.int64, st.tuples(st.integers(1, 7), st.integers(1, 4)), elements=st.integers(0, 3)))
def test_four_combinations_are_those_of_a_loop(places):
    slow = []
    for i, j in itertools.combinations(range(places.shape[1]), 2):
        for a, b in itertools.product(np.unique(places[:, i])[1:], np.unique(places[:, j])[1:]):
            if len({(x >= a, y >= b) for x, y in places[:, [i, j]]}) == 4:
                slow.append([i, j])
                break
    assert four_combinations(places).tolist() == slow


def test_dependence_of_copies_and_of_strangers():
    rng = np.random.default_rng(42)
    column = rng.integers(0, 2, 4000)
    copies = dependence(np.column_stack([column, 1 - column]), np.ones(4000, int), 99, rng)
    assert copies.shared == pytest.approx(copies.together, abs=1e-9) == pytest.approx(1, abs=1e-3)
    assert copies.chance == 0.01
    strangers = dependence(rng.integers(0, 2, (4000, 3)), np.ones(4000, int), 99, rng)
    assert strangers.shared < 0.01 and strangers.chance > 0.05


def test_qwens_holes_lie_on_no_line_and_their_components_move_together():
    holes = constellation.read((PUBLISHED / "qwen3_4b_constellation.csv").read_text())
    pairs = four_combinations(holes.places)
    assert len(pairs) == 31
    i, j = np.searchsorted(holes.components, [322, 1564])
    assert [i, j] in pairs.tolist()  # holes 0, 1, 2 and 3 stand in the four corners
    told = dependence(holes.places, holes.populations, 99, np.random.default_rng(42))
    assert told.apart == pytest.approx(8.159, abs=1e-3)
    assert told.together == pytest.approx(2.004, abs=1e-3)
    assert told.shared > 10 * told.shuffled
    assert told.chance == 0.01


def test_thirteen_holes_are_no_surprise_and_twenty_components_are():
    exponents = constellation.read_exponents((PUBLISHED / "qwen3_4b_exponents.csv").read_text())
    rng = np.random.default_rng(42)
    told = [simulate(INDEPENDENT, exponents, 2212, sigma, 100, rng) for sigma in (8e-10, 1.2e-9, 1.8e-9)]
    assert best_chance(told, {"holes": 13, "largest": 814})[1] > 0.3
    assert best_chance(told, {"components": 20, "linf": 11})[1] < 0.05
    assert log10_coincidence(exponents, 0.02) < -9000
