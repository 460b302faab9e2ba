"""Exact tests against scipy's own Fisher test, and a table counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from compute.smoke.enrichment import enrichment, fisher_log10_p


@given(st.integers(1, 40), st.data())
@settings(deadline=None)
def test_p_is_that_of_scipys_fisher_test(total, data):
    chosen, everywhere = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    inside = data.draw(st.integers(max(0, chosen + everywhere - total), min(chosen, everywhere)))
    outside = everywhere - inside
    table = [[inside, chosen - inside], [outside, total - chosen - outside]]
    assert 10 ** fisher_log10_p(inside, chosen, everywhere, total) == pytest.approx(
        fisher_exact(table).pvalue, rel=1e-9
    )


def test_a_table_counted_by_hand():
    labels = ["Thai"] * 6 + ["Latin"] * 90 + ["Han"] * 4
    selected = np.zeros(100, dtype=bool)
    selected[:5] = selected[6:8] = True  # five Thai, two Latin
    table = {row.label: row for row in enrichment(labels, selected)}
    assert list(table) == ["Thai", "Latin", "Han"]
    thai = table["Thai"]
    assert (thai.inside, thai.everywhere) == (5, 6)
    assert thai.share_inside == pytest.approx(5 / 7)
    assert thai.share_everywhere == pytest.approx(0.06)
    assert thai.odds_ratio == pytest.approx(5 * 92 / (1 * 2))
    assert 10**thai.log10_p == pytest.approx(fisher_exact([[5, 2], [1, 92]]).pvalue)
    assert thai.log10_p_adjusted == pytest.approx(thai.log10_p + np.log10(3))
    assert table["Han"].odds_ratio == 0
    assert table["Han"].log10_p_adjusted == 0
    assert table["Latin"].odds_ratio == pytest.approx(2 * 5 / (5 * 88))


def test_probabilities_beyond_float64_keep_their_logarithm():
    labels = np.repeat(["Thai", "other"], [2_500, 149_500])
    selected = np.zeros(152_000, dtype=bool)
    selected[:1_600] = selected[2_500:3_100] = True
    thai = enrichment(labels, selected)[0]
    assert thai.label == "Thai"
    assert -3000 < thai.log10_p < -2000


def test_a_label_drawn_by_chance_is_no_enrichment():
    rng = np.random.default_rng(42)
    labels = rng.choice(["a", "b", "c"], 20_000, p=[0.6, 0.3, 0.1])
    selected = rng.random(20_000) < 0.02
    assert all(row.log10_p_adjusted > np.log10(0.01) for row in enrichment(labels, selected))
    assert all(0.5 < row.odds_ratio < 2 for row in enrichment(labels, selected))


@pytest.mark.parametrize("selected", [[False] * 3, [True] * 3])
def test_nothing_to_compare_with(selected):
    with pytest.raises(ValueError, match="some inside and some outside"):
        enrichment(["a", "b", "c"], np.array(selected))
