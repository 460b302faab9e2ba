"""Rank statistics against scipy, planted structure, and their chance against permutations."""

import numpy as np
import pytest
from scipy import stats

from compute import associations

RNG = np.random.default_rng(42)
GROUPS = RNG.integers(0, 5, 600)
VALUES = RNG.standard_normal((600, 3)) + np.stack([GROUPS, 0 * GROUPS, GROUPS == 2], axis=1)
RANKED = associations.ranks(VALUES)


def test_share_by_group_is_that_of_kruskal_and_wallis():
    for axis in range(3):
        statistic = stats.kruskal(*(VALUES[GROUPS == g, axis] for g in range(5))).statistic
        assert associations.share_by_group(RANKED, GROUPS)[axis] == pytest.approx(statistic / 599, rel=1e-12)


def test_correlation_and_area_against_scipy():
    number, marked = RNG.permutation(600), GROUPS == 2
    for axis in range(3):
        assert associations.correlation(RANKED, number)[axis] == pytest.approx(
            stats.spearmanr(VALUES[:, axis], number).statistic
        )
        area = stats.mannwhitneyu(VALUES[marked, axis], VALUES[~marked, axis]).statistic / (
            marked.sum() * (~marked).sum()
        )
        assert associations.area(RANKED, marked)[axis] == pytest.approx(area)


def test_two_groups_say_what_the_area_says():
    marked = GROUPS == 2
    inside, outside = marked.sum(), (~marked).sum()
    area = associations.area(RANKED, marked)
    share = 12 * inside * outside * (area - 0.5) ** 2 / (600**2 - 1)
    np.testing.assert_allclose(associations.share_by_group(RANKED, marked), share, rtol=1e-10)


def test_chance_is_what_permutations_give():
    shares = np.array([associations.share_by_group(RANKED[:, :1], RNG.permutation(GROUPS))[0] for _ in range(2000)])
    chance = associations.chance_of_groups(5, 600)
    assert shares.mean() == pytest.approx(chance.mean, rel=0.05)
    assert shares.std() == pytest.approx(chance.std, rel=0.07)


def test_only_what_is_more_than_chance_and_no_trifle_counts():
    chance = associations.chance_of_groups(5, 600)
    assert chance.exceeded(associations.share_by_group(RANKED, GROUPS)).tolist() == [True, False, True]
    assert not associations.chance_of_groups(2, 1_000_000).exceeded(np.array([0.01]))[0]  # real, and a trifle
    assert not associations.chance_of_groups(5, 30).exceeded(np.array([0.3]))[0]


def test_traits_without_two_kinds_say_nothing():
    same = np.zeros(600, dtype=int)
    assert associations.share_by_group(RANKED, same).tolist() == [0, 0, 0]
    assert np.isnan(associations.area(RANKED, same.astype(bool))).all()
    assert associations.share_by_group(np.ones((600, 1)), GROUPS)[0] == 0
    assert associations.correlation(np.ones((600, 1)), GROUPS)[0] == 0
