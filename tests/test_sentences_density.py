"""The sentences on density say what their rules say, for every kind of model."""

import pytest

from compute import sentences_density as sentences

NAN = {"value": float("nan"), "low": float("nan"), "high": float("nan")}


def ratio(value, low, high):
    return {"value": value, "low": low, "high": high}


def test_the_middle_is_held_against_chance():
    assert sentences.middle(14.0, 20.9, "logometers").endswith("here there is less of it.")
    assert "emptier than chance" in sentences.middle(21.0, 20.9, "logometers")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((41, 0), "there are 41 tokens; the Gaussian control has none there."),
        ((1, 7), "there is 1 token; the Gaussian control has 7 there."),
        ((0, 1000), "there is no token; the Gaussian control has 1,000 there."),
    ],
)
def test_core(given, words):
    assert sentences.core(*given, 17.27, "logometers") == f"Within 17.3 logometers of the centroid {words}"


def test_comparisons_follow_the_interval():
    assert sentences.compared(NAN, "the shell") == "too few tokens to be compared with the shell"
    assert sentences.compared(ratio(8.456, 4.8, 40.7), "the shell").startswith("8.5 times as dense as the shell")
    assert "4.8 to 41" in sentences.compared(ratio(8.456, 4.8, 40.7), "the shell")
    assert sentences.compared(ratio(1.2, 0.9, 1.4), "it").startswith("as dense as it (ratio 1.20")
    assert sentences.compared(ratio(0.5, 0.4, 0.6), "it").startswith("thinner than it, 0.50 of its density")


def test_residents():
    assert "no residents" in sentences.residents(0, 0, 58)
    assert "None of its 5" in sentences.residents(5, 0, 58)
    assert sentences.residents(30, 30, 58).startswith("All 30")
    assert sentences.residents(41, 30, 58) == "Of its 41 tokens 30 belong to the frozen smoke, which has 58."


def test_infinite_densities_have_a_reason():
    assert "814 tokens share their place with at least 20" in sentences.infinite(814, 814, 20)
    assert "No two rows are equal" in sentences.infinite(0, 0, 20)
    assert "The largest black hole has 7 tokens" in sentences.infinite(0, 7, 20)


def test_distinct_rows_beside_all():
    assert "3.9 times as dense as the shell instead of 8.5" in sentences.distinct(8.46, 3.88)
    assert "no part in it" in sentences.distinct(2.0, 2.01)
    for nothing in (None, float("nan")):
        assert "nothing in the core" in sentences.distinct(nothing, 1.0)


def test_shell():
    assert sentences.shell(1.01, 1.0, 0.8).endswith("explain nearly all of it.")
    assert sentences.shell(2.0, 1.0, 0.5).endswith("own radii.")
    assert "4.0 times as dense as the Gaussian" in sentences.shell(2.0, 1.0, 0.5)


def test_hubs():
    assert "No token is a hub" in sentences.hubs(60, 1000, 20, 1.0, 1.0)
    assert "38,323 others, 78% of all. The Gaussian control" in sentences.hubs(38_323, 49_152, 20, 53.0, 16.6)
    assert "chance does as much" in sentences.hubs(400, 1000, 20, 5.0, 5.0)
    assert "enough to be near the middle" in sentences.popularity(38_323, 38_674)
    assert "not enough" in sentences.popularity(6427, 300)
    assert sentences.hub_names([True, True]) == "All 2 belong to the frozen smoke."
    assert sentences.hub_names([True, False]) == "1 of the 2 belong to the frozen smoke."
    assert "None" in sentences.hub_names([False])


def test_dimensions():
    assert "do not tell" in sentences.dimension(None, 3.0, 20)
    assert "as good as the same" in sentences.dimension(5.0, 5.5, 20)
    assert "no one dimension" in sentences.dimension(8.6, 31.5, 20)
    assert "how much they miss" in sentences.blindness(156.0, 138.9, 576)
    assert "about right" in sentences.blindness(4.9, 5.1, 5)
    assert "nothing" in sentences.blindness(None, None, 5)


def test_sampling_and_zeros():
    told = sentences.sample(32_000, 49_152, 0.98, 1.0, 10, 15)
    assert "2.0% lower" in told and "of the 15 tokens with an equal one 10" in told
    assert "1.0% higher; there are no equal rows" in sentences.sample(10, 20, 1.01, 1.0, 0, 0)
    assert "change nothing" in sentences.dropped(0, None, None, 0)
    assert sentences.dropped(15, 1.05, 1.43, 0) == (
        "Here it makes black holes look 1.05 to 1.43 times less dense than they are (15 tokens)."
    )
    assert "leaves 814 tokens without any distance" in sentences.dropped(814, None, None, 814)


def test_thinning():
    assert sentences.thinning(26.5).endswith("d = 26.") and "tells nothing" in sentences.thinning(None)


def test_far_out():
    assert "too few" in sentences.far_out(float("nan"))
    said = [sentences.far_out(ratio) for ratio in (1.12, 1.01, 0.8)]
    assert ["company" in said[0], "as alone as chance" in said[1], "keep away" in said[2]] == [True] * 3
