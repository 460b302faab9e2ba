"""The sentences on the eigenbasis say what their rules say, for every kind of model."""

import pytest

from compute import sentences_geometry as sentences


def test_floor():
    assert sentences.floor("all 9 lie above", 0) == "Here all 9 lie above. Nothing is left out."
    assert sentences.floor("2 of 9 are below", 2).endswith("never divided by.")


def test_checks():
    assert sentences.checks(["a", "b"], [True, True]).startswith("All 2 hold")
    assert sentences.checks(["a", "b"], [True, False]).endswith("rounding explains is b.")


def test_beyond_chance_and_squeezed():
    assert "No axis" in sentences.beyond_chance(0, 0.0, 9)
    assert "One axis of 9" in sentences.beyond_chance(1, 0.5, 9)
    assert "Of 9 axes 3 are" in sentences.beyond_chance(3, 0.147, 9) and "14.7 %" in sentences.beyond_chance(
        3, 0.147, 9
    )
    assert "nothing is missing" in sentences.squeezed(2.0, 1.0)
    assert "12.0 times less" in sentences.squeezed(0.25, 3.0)


@pytest.mark.parametrize(("std", "words"), [(0.7, "is Gaussian"), (3.2, "4.6 times as wide"), (0.5, "so narrower")])
def test_norms(std, words):
    assert words in sentences.norms(std, 0.7, 50_000)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.95, "far out in the other"), (0.7, "on the whole"), (-0.3, "in reverse"), (0.05, "nothing of")],
)
def test_relation(value, words):
    assert words in sentences.relation(value)


def test_separated():
    none = "none of these"
    assert "is about token id." in sentences.separated(["token id"])
    assert sentences.separated([none, none]).startswith("None of the 2")
    assert "about script and token id. Of the 3, 2 are about none" in sentences.separated(
        ["script, token id", none, none]
    )
    assert "Each of the 2" in sentences.separated(["script", "token id"])


def test_agreement_and_norms_that_separate():
    assert sentences.agreement(["yes", "yes"]) == "They pass"
    assert sentences.agreement(["yes", "no"]) == "Of 2, 1 do not pass"
    assert "none of the three" in sentences.norm_separates("none of these")
    assert "in 12 of 100 draws" in sentences.spaced(0.122) and "only one kind" in sentences.spaced(float("nan"))
    assert sentences.norm_separates("script, token id").endswith("script and token id")


def test_ratio():
    bounds = {"covariance": (10, 20), "metric": (15, 30)}
    assert "do not decide" in sentences.ratio(17, bounds)
    assert "is the covariance's" in sentences.ratio(12, bounds)
    assert "cannot be that of the covariance" in sentences.ratio(25, bounds)
    assert "neither" in sentences.ratio(40, bounds)
