"""The model-dependent sentences say what their rules say, for every kind of model."""

import pytest

from compute import sentences


@pytest.mark.parametrize(
    ("populations", "words"),
    [
        ([], "no black hole: no two of its tokens share all their bits"),
        ([2], "one black hole, of 2 tokens"),
        ([7, 4, 2, 2], "4 black holes, of 7, 4, 2 and 2 tokens: 15 tokens in all"),
        ([1200, 3], "2 black holes, of 1,200 and 3 tokens: 1,203 tokens in all"),
        ([9, 5, 4, 3, 2], "5 black holes, of 9, 5, 4 and 2 more tokens: 23 tokens in all"),
    ],
)
def test_holes(populations, words):
    assert sentences.holes(populations, shown=3 if len(populations) == 5 else 13) == words


def test_a_residual_above_rounding_cannot_be_overlooked():
    assert "within" in sentences.residual(1e-15, 1e-14)
    assert "ABOVE" in sentences.residual(1e-13, 1e-14)


def test_spread_needs_five_standard_errors():
    assert sentences.spread(1.01, 1.0, 10_000) == "as wide as chance makes it"
    assert sentences.spread(1.04, 1.0, 10_000) == "1.0 times as wide as chance makes it"
    assert sentences.spread(2.5, 1.0, 10_000).startswith("2.5 times")
    assert sentences.spread(0.5, 1.0, 10_000).endswith("narrower")


def test_common_direction_follows_the_sign_and_the_noise():
    assert "no common direction" in sentences.common_direction(0.004, 0.001)
    assert "to one side" in sentences.common_direction(0.006, 0.001)
    assert "away from each other" in sentences.common_direction(-0.006, 0.001)


@pytest.mark.parametrize(
    ("closer_in", "words"),
    [
        ([], "no hole to look for"),
        ([3, 99], "innermost hundredth"),
        ([9_950, 9_999], "outermost hundredth"),
        ([2_500, 2_510], "at one depth of the cloud, with 25%"),
        ([100, 5_000], "1% of its tokens are closer in than the innermost, 50% than the outermost"),
    ],
)
def test_hole_places(closer_in, words):
    assert words in sentences.hole_places(closer_in, 10_000)


def test_the_origin_of_a_model_nobody_knows():
    assert sentences.origin({"source": "wheel a==1", "licence": "MIT"}) == (
        "The matrix is read from wheel a==1, under the licence MIT"
    )
    assert "nothing is known" in sentences.origin({}) and "its owner" in sentences.origin({"source": "x"})
