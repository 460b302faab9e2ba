"""The sentences on Goldilocks say what their rules say, whichever way a run went."""

import pytest

from compute import sentences_goldilocks as sentences


def test_numbers_of_several_seeds():
    assert sentences.span([0.389, 0.39, 0.392], ".3f") == "0.390 (0.389 to 0.392)"
    assert sentences.span([16, 16, 16], ".0f") == "16"
    assert sentences.span([-0.2, -0.1, 0], ".1f").startswith("−0.1 (−0.2 to ")
    assert sentences.percent([0.4, 0.41, 0.44]) == "41 (40 to 44)\N{NO-BREAK SPACE}%"
    assert sentences.listed([4.5], ".1f") == "4.5" and sentences.listed([1, 3], ".0f") == "2 (1 to 3)"


def test_learning():
    assert sentences.learnt([2.1, 2.2]) == "So it has learnt more than how frequent the tokens are"
    assert "no more" in sentences.learnt([-0.1, 0.0]) and "some seeds" in sentences.learnt([-0.1, 0.1])
    assert "where our runs end too" in sentences.published(7.6, 6.6, [7.0])
    assert "other side" in sentences.published(7.6, 6.6, [4.5, 4.6])
    assert sentences.seeds(1) == "one run so far" and sentences.seeds(3) == "3 runs"


def test_the_stillborn():
    assert sentences.stillborn([]).startswith("Every token")
    assert "“␣proble”, never occurs" in sentences.stillborn(["␣proble"])
    assert sentences.stillborn(["a", "b"]).startswith("2 tokens")


def test_benchmarks_that_were_not_run_are_not_made_up():
    assert "not run here yet" in sentences.share_of_products(None)
    assert "reaches 61 %" in sentences.share_of_products({"ratio": 0.61, "reached": True, "target": 0.5})
    assert "short of the 50 %" in sentences.share_of_products({"ratio": 0.4, "reached": False, "target": 0.5})
    assert "not run" in sentences.watching([{"ratio": 1.1}, None])
    assert "16 %" in sentences.watching([{"ratio": 1.158}, {"ratio": 0.99}])


def test_an_explosion_is_one_only_if_it_is():
    quiet = sentences.size([0.001, 0.002, 0.003], [-0.036, -0.034, -0.033])
    assert quiet.startswith("Nothing explodes") and "shrunk by 3.4 (3.3 to 3.6)" in quiet
    assert sentences.size([0, 0, 0.005], [-0.001, 0, 0]).endswith("0.5 %")
    assert "grows on its way" in sentences.size([0.1, 0.2, 0.3], [0, 0, 0])
    assert "explodes:" in sentences.size([1.5, 2, 3], [1, 1, 1])
    assert sentences.name([0, 0, 0.1]) == "launch" and sentences.name([1, 2, 3]) == "supernova"


def test_shared_motion():
    assert "on rails. By the last ten" in sentences.together([0.98] * 3, [0.7] * 3)
    assert "rails" not in sentences.together([0.5] * 3, [0.6] * 3)


@pytest.mark.parametrize(
    ("order", "word"), [([-0.9] * 3, "rarer"), ([0.9] * 3, "commoner"), ([-0.9, 0, 0.9], "little")]
)
def test_company(order, word):
    assert word in sentences.company(order, [0.25] * 3)
    assert ("limit of rare" in sentences.limit(order)) == (word == "rarer")


def test_the_living_explode_only_if_they_grow():
    assert "explodes" in sentences.growth([0.12] * 3, [-0.03] * 3)
    assert "explodes" not in sentences.growth([0.12] * 3, [0.5] * 3)
    assert "explodes" not in sentences.growth([0.001] * 3, [-0.03] * 3)


def test_rest_and_ranks():
    assert "Not one" in sentences.resting([0, 0, 0]) and "2.0 (1.0 to 3.0)" in sentences.resting([0.01, 0.02, 0.03])
    assert [sentences.zipf(slope).split()[0] for slope in (-0.5, -1.0, -1.5)] == ["flatter", "near", "steeper"]


def test_who_strays():
    lengths = [[2.0, 1.0, 1.0, 1.0], [4.0, 2.0, 2.0, 2.0]]
    told = sentences.stray(lengths, ["the commonest", "the rarest"])
    assert "by 0.0 % at most" in told and "the commonest by 100 %" in told and "the rarest by 0 %" in told
