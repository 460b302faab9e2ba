"""The sentences on how dead tokens freeze say what their rules say, whatever the runs bring."""

import numpy as np
import pytest

from compute import sentences_ablation as ablation
from compute import sentences_nutcracker as sentences

ENDS = np.array([3_000, 6_000, 9_000, 12_000])


def quartiles(*medians: float) -> np.ndarray:
    """Quartiles (1, k, 3) around some medians."""
    return np.array(medians, float)[None, :, None] + np.array([-1.0, 0.0, 1.0])


def test_numbers_of_seeds_are_told_as_mean_and_range():
    assert sentences.listed([1000, 2000, 3000]) == "2,000 (1,000 to 3,000)"
    assert sentences.listed([7.04, 7.01], ".1f") == "7.0"
    assert sentences.listed([1, np.nan]) == "\N{EN DASH}" and sentences.listed([-1]) == "\N{MINUS SIGN}1"
    assert sentences.percent([0.5, 0.25], 0) == "38 (25 to 50)\N{NO-BREAK SPACE}%"


def test_learnt():
    assert "below the 6.62" in sentences.learnt([4.5, 4.6], 6.62)
    assert "learnt no language" in sentences.learnt([7.3, 7.2], 6.62)
    assert "depending on the seed" in sentences.learnt([7.3, 4.5], 6.62)


def test_tokens_freeze_together_or_one_by_one():
    assert sentences.together(np.array([[10, 129, 0.1], [90, 209, 0.2]])).startswith("They freeze one by one")
    same = sentences.together(np.array([[1990, 2109, 0.5], [2000, 2119, 0.6]]))
    assert "1,990 to 2,109 and 2,000 to 2,119, the same steps in every seed" in same
    assert "not the same steps" in sentences.together(np.array([[10, 129, 0.5], [2000, 2119, 0.6]]))
    assert "depends on the seed" in sentences.together(np.array([[10, 129, 0.1], [2000, 2119, 0.6]]))
    assert "in this seed" in sentences.together(np.array([[10, 129, 0.5]]))


def test_a_run_whose_tokens_still_move_is_censored():
    assert "nothing is censored" in sentences.censored([0, 0], 2048, 1000)
    assert "Of 2,048 tokens 1 (0 to 2) still move" in sentences.censored([0, 2, 1], 2048, 1000)
    assert "50.0" in sentences.censored([1024, 1024], 2048, 1000) and "unknown" in sentences.censored([1, 0], 4, 9)


def test_medians_that_are_not_reached_are_said_to_be_so():
    told = sentences.medians(np.array([[2029.0, 2004, 2065], [np.nan, np.nan, np.nan]]))
    assert told.startswith("2,029 (2,004 to 2,065) and not reached")


def test_the_born_frozen_are_counted():
    assert sentences.never([0, 0]).startswith("No token has stayed") and "168 tokens" in sentences.never([168])


def test_a_median_settles_or_follows_the_end():
    assert sentences.settles(ENDS, quartiles(2000, 2029, 2029, 2029)).startswith("The median is where it is")
    follows = sentences.settles(ENDS, quartiles(2783, 4753, 6165, 7464))
    assert "moves out" in follows and "6,000 steps prints 4,753" in follows and "12,000 prints 7,464" in follows
    assert "not quite settled" in sentences.settles(ENDS, quartiles(2000, 2000, 2050, 2100))


def test_rest_is_trusted_as_far_as_it_goes():
    assert "never moved again" in sentences.again(np.array([[np.nan, 0, 0, np.nan]]))
    assert "up to 32 %" in sentences.again(np.array([[np.nan, 0.32, 0.1, np.nan]]))
    assert "too short" in sentences.again(np.array([[np.nan]]))


def test_a_rush_at_the_end_is_a_shadow_where_every_end_has_it():
    assert "shadow" in sentences.accelerates(ENDS, np.array([[0.7, 0.5, 0.4, 0.4]]))
    assert "no rush" in sentences.accelerates(ENDS, np.array([[0.9, 0.0, 0.0, 0.0]]))
    assert "not in every run" in sentences.accelerates(ENDS, np.array([[0.9, 0.1, 0.3, 0.4]]))


@pytest.mark.parametrize(
    ("hoppers", "measured", "words"),
    [(0.0, 0.5, "nobody hops"), (0.5, 0.6, "not all shadow"), (0.5, 0.44, "all shadow"), (0.5, 0.2, "do not quite")],
)
def test_chance(hoppers, measured, words):
    half = {"hoppers": [hoppers], "steps": np.array([6, 9, 12]), "measured": np.full((1, 3), measured)}
    assert words in sentences.chance(half | {"expected": np.full((1, 3), 0.42)})


def test_stragglers():
    assert sentences.stragglers([0, 0], 12_000).startswith("nobody moved in the last 600")
    assert sentences.stragglers([322], 12_000).startswith("322 tokens")


def test_only_what_holds_in_every_seed_predicts():
    fit = {
        "predictors": ["norm", "cosine"], "coefficients": np.array([[0.1, -0.5], [-0.1, -0.4], [0.0, -0.45]]),
        "lower": np.array([[0.05, -0.6], [-0.2, -0.5], [-0.1, -0.5]]),
        "upper": np.array([[0.2, -0.4], [-0.05, -0.3], [0.1, -0.4]]), "r_squared": [0.25, 0.25, 0.25],
    }  # fmt: skip
    told = sentences.predicts(fit)
    assert told.startswith("the cosine (\N{MINUS SIGN}0.45") and "norm" not in told
    assert "predicts it in every seed" in told
    nothing = fit | {"upper": np.full((3, 2), 1.0), "lower": np.full((3, 2), -1.0)}
    assert sentences.predicts(nothing).startswith("nothing known")
    assert "nothing to predict" in sentences.predicts({"predictors": []})


# The ablation


@pytest.mark.parametrize(
    ("shares", "fate"),
    [([1, 0.95], "freezes"), ([0, 0.1], "keeps moving"), ([1, 0.5], "freezes in part"), ([0.5], "freezes in part")],
)
def test_outcome(shares, fate):
    assert ablation.outcome(shares) == fate


def test_an_ingredient_is_needed_if_nothing_freezes_for_good_without_it():
    resting = [0.99]
    told = ablation.needed("it", [1.0], {"a": (resting, [0.02]), "b": (resting, [0.05])})
    assert told.endswith("It is needed") and "a: 99.0\N{NO-BREAK SPACE}% at rest in a step, 2.0" in told
    assert ablation.needed("it", [1.0], {"a": (resting, [1.0])}).endswith("It is not needed")
    assert "is not all that matters" in ablation.needed("it", [1.0], {"a": (resting, [0.5])})
    mixed = ablation.needed("it", [1.0], {"a": (resting, [1.0]), "b": (resting, [0.05])})
    assert "a freezes and b keeps moving" in mixed
    assert "the recipe itself keeps moving" in ablation.needed("it", [0.0], {"a": (resting, [0.0])})


def test_arms_that_lack_two_things_do_not_show_which_was_needed():
    hopping, frozen = ([0.99], [0.02]), ([1.0], [1.0])
    less = ablation.besides("it", hopping, {"a": ([0.1], [0.0]), "b": ([0.2], [0.0])})
    assert "cannot show that it is needed" in less and less.endswith("they even rest less")
    assert ablation.besides("it", hopping, {"a": ([0.98], [0.0])}).endswith("they rest no less")
    assert ablation.besides("it", hopping, {"a": ([0.98], [0.0]), "b": ([0.2], [0.0])}).endswith("on the arm")
    assert ablation.besides("it", frozen, {"a": ([0.1], [0.0])}).endswith("It is needed")


def test_fading_gradients_suffice_only_where_they_fade_as_much():
    assert "do not decide" in ablation.suffices([600], {"a": ([20], [0.0])})
    assert "fade suffice" in ablation.suffices([600], {"a": ([500], [1.0]), "b": ([20], [0.0])})
    assert "do not suffice" in ablation.suffices([600], {"a": ([500], [0.0])})
    assert "depends on the rest" in ablation.suffices([600], {"a": ([500], [1.0]), "b": ([600], [0.0])})


def test_memory():
    assert ablation.memory([0.06], [1.6], 6000).startswith("The memory decides")
    assert "not decide it alone" in ablation.memory([0.06], [0.6], 6000)
    assert "does not explain" in ablation.memory([1.2], [1.6], 6000)
    assert "disagree" in ablation.memory([0.2, 0.2], [1.6, 0.5], 6000)


def test_the_run_has_the_last_word():
    assert ablation.borne_out([1.6], [0.02]).startswith("And so it is")
    assert ablation.borne_out([0.6], [0.98]).startswith("And so it is")
    assert ablation.borne_out([1.6], [0.98]).startswith("The runs beg to differ")
    assert ablation.borne_out([0.6], [0.02]).startswith("The runs beg to differ")
    assert ablation.borne_out([1.6], [0.5]).startswith("That is half of the truth")


def test_one_run_or_two():
    assert "not one differs" in ablation.one_run([1000, 1000], [0, 0], 6000)
    assert "3 differ: it is not" in ablation.one_run([1000, 1000], [0, 3], 6000)


def test_a_decay_that_counts():
    assert "practically nothing" in ablation.decayed([0.0], [0.1], 1e-11)
    assert ablation.decayed([1.0], [0.1], 0.5).startswith("They freeze nevertheless")
    assert ablation.decayed([0.5], [0.1], 0.5).startswith("They freeze in part")


def test_a_cloud_contracts_only_beyond_what_decay_explains():
    arms = {"pure-bf16": ([0.63], 0.94), "fp32": ([0.94], 0.94)}
    assert ablation.contracting(arms).endswith("the lattice is needed for it")
    assert "the lattice is not needed" in ablation.contracting(arms | {"fp32": ([0.6], 0.94)})
    assert ablation.contracting({"fp32": ([0.94], 0.94)}).startswith("No cloud contracts")
    assert ablation.contracting({"pure-bf16": ([0.6], 0.94)}).endswith("all of them")


def test_catching_up():
    way = {"slope": np.array([-0.475]), "own": np.array([0.66]), "token": np.array([0.008])}
    assert ablation.catching_up(way).startswith("Those behind catch up") and "0.47" in ablation.catching_up(way)
    assert ablation.catching_up(way | {"slope": np.array([-0.01])}).startswith("Nobody catches up")
    assert ablation.catching_up(way | {"slope": np.array([-0.01, -0.4])}).startswith("The seeds disagree")


def test_the_embeddings_explain_the_published_curve_or_not():
    published, near, far = [0.3, 0.7], np.array([[0.29, 0.69]]), np.array([[0.26, 0.95]])
    assert ablation.agreement(published, near, far).startswith("The embeddings explain it")
    assert ablation.agreement(published, far, near).startswith("The embeddings do not")
    assert ablation.agreement(published, np.array([[0.2, 0.6]]), far).startswith("The embeddings explain part")
    beyond = np.full((1, 2), np.nan)
    assert "nothing to compare" in ablation.agreement(published, beyond, beyond)
    assert ablation.agreement(published, np.array([[0.29, np.nan]]), far[:, :2]).startswith("The embeddings do not")
