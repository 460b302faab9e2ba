"""The sentences on the embers say what their rules say, whatever the runs brought, and where there are none."""

import numpy as np
import pytest

from compute import sentences_embers as sentences
from compute import sentences_embers_answers as answers

NAN = float("nan")


def runs(label="N(0, 1)", **changed) -> dict:
    """Three runs of scattered dead tokens, as `summary` tells them, but for what is changed."""
    found = {
        "label": label, "dead": 100, "captured": [0, 0, 0], "holes": [0, 0, 0], "living": [0, 0, 0],
        "rounded": [0, 0, 0], "nearest": [150, 154, 160], "start_nearest": [31000, 31100, 31200],
        "touching": [100, 100, 100], "thickness": [28.0, 29.0, 30.0], "start_thickness": [8.0, 8.1, 8.2],
        "island": [3.1, 3.2, 3.3], "resting": [1.0, 0.99, 1.0], "radius": [0.14, 0.14, 0.15], "hop": [4e-4] * 3,
        "start_radius": [0.22] * 3, "start_hop": [1e-4] * 3, "centroid": [0.7, 0.7, 0.7], "living_inside": [0, 0, 0],
        "core": [1, 1, 1], "core_dead": [1, 1, 1], "oort": [0, 0, 0], "oort_dead": [0, 0, 0], "gap": [],
        "storage": "bfloat16", "camps": [0, 0, 0], "groups": [1, 1, 1], "largest_group": [100] * 3, "jump": [None] * 3,
    }  # fmt: skip
    return found | changed


NONE = {name: value if name in ("label", "dead", "storage") else [] for name, value in runs("one point").items()}
SMOKE = runs(
    "one point", captured=[100] * 3, holes=[1] * 3, living=[0, 1, 2], nearest=[0] * 3, start_nearest=[0] * 3,
    touching=[1] * 3, thickness=[0.0] * 3, island=[NAN] * 3, core=[100, 101, 102], core_dead=[100] * 3,
    oort=[40, 41, 38], oort_dead=[0, 0, 1], gap=[340.0, 420.0, 380.0], start_radius=[0.0] * 3, radius=[0.0] * 3,
)  # fmt: skip


def test_the_page_says_what_it_rests_on():
    assert "no answers" in sentences.runs(0, {"fp32": [42]})
    assert "1 training," in sentences.runs(1, {}) and "none that were asked for are missing" in sentences.runs(36, {})
    assert "fp32 (43, 44) and one-point (42)" in sentences.runs(5, {"fp32": [43, 44], "one-point": [42]})


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (runs(), "in none of 3 runs do two of the 100 dead tokens share a row: no black hole."),
        (runs(captured=[0], holes=[0]), "no two of the 100 dead tokens share a row"),
        (SMOKE, "all 100 dead tokens end in one black hole, in all 3 runs, with 0 to 2 living tokens in"),
        (SMOKE | {"living": [0] * 3}, "and nobody else does."),
        (runs(captured=[0, 4, 2], holes=[0, 2, 1]), "2 of 3 runs end with black holes, which hold 0 to 4 of 100"),
        (runs(captured=[5, 4, 2], holes=[1, 2, 1]), "all 3 runs end with black holes, which hold 2 to 5 of 100"),
        (runs(captured=[100] * 3, holes=[2] * 3), "all 3 runs end with black holes, which hold 100 of 100"),
        (runs(captured=[5], holes=[1]), "the run ends with black holes, which hold 5 of 100"),
        (NONE, "no run is there yet"),
    ],
)
def test_census(one, words):
    assert words in sentences.census(one)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (runs(), "31,200 cells away at the start, and has it 150 to 160 away at the end: they have come nearer"),
        (runs(start_nearest=[10, 10, 10]), "moved apart"),
        (runs(start_nearest=[155, 155, 155]), "hardly anything"),
        (runs(start_nearest=[10, 155, 400]), "do not agree"),
        (SMOKE, "began as one and end as one"),
        (runs(start_nearest=[0, 0, 0]), "moved apart"),
    ],
)
def test_neighbours(one, words):
    assert words in sentences.neighbours(one)
    assert sentences.neighbours(NONE) == ""


def test_thickness_and_drift():
    assert "28 to 30 cells thick" in sentences.thickness(runs()) and "56 to 60 times" in sentences.thickness(runs())
    assert "as good as one place" in sentences.thickness(SMOKE)
    assert "in others not" in sentences.thickness(runs(thickness=[0.2, 0.6, 3]))
    assert "ends at 64% to 68%" in sentences.drift(runs()) and "4 times as wide" in sentences.drift(runs())
    assert "had no radius" in sentences.drift(SMOKE)
    assert sentences.thickness(NONE) == sentences.drift(NONE) == ""


def test_whether_the_cells_grew_more_than_the_cloud_shrank():
    near = runs("shrunk", hop=[1.1e-4] * 3)
    assert "in every kind of run here (N(0, 1))" in sentences.coarsening([runs(), NONE, SMOKE])
    assert "with N(0, 1), and not always with shrunk." in sentences.coarsening([runs(), near])
    assert "in none of the kinds" in sentences.coarsening([near])
    assert sentences.coarsening([NONE, SMOKE]) == sentences.NOTHING


def test_groups_are_named_only_where_something_jumps():
    split = runs(jump=[[22, 287], None, [21, 300]], groups=[3, 1, 2], largest_group=[1500, 2048, 1200])
    assert "jump by a factor of 13 to 14.3: before that" in sentences.groups(split)
    assert "change of sign" not in sentences.groups(split)
    assert "1 to 3 groups, with 1,200 to 2,048 tokens" in sentences.groups(split)
    assert "change of sign" in sentences.groups(split | {"jump": [[400, 30000]] * 3})
    assert sentences.groups(runs()) == sentences.groups(NONE) == ""


def test_a_portrait_says_all_of_it_but_of_one_place_only_that():
    told = sentences.portrait(runs(jump=[[22, 287]] * 3))
    assert told.startswith("The median dead") and "The radius ends" in told and "cells thick" in told
    assert told.endswith("in the largest.")
    assert sentences.portrait(SMOKE) == "They began as one and end as one."
    assert sentences.portrait(NONE) == "No run is there yet."


def test_what_touches():
    assert "no two dead tokens are so near" in sentences.touching([runs()])
    told = sentences.touching([runs(), SMOKE, runs("N(0, 9)", touching=[7, 100, 1])])
    assert "from one point, all hang together; from N(0, 9), some do." in told
    assert sentences.touching([NONE]) == sentences.NOTHING


def test_an_island_needs_a_shore_in_every_run():
    assert "3.10 to 3.30 times as far" in sentences.island(runs())
    assert "no shore: 9 to 12 living" in sentences.island(runs(island=[0.5, 0.6, 1.0], living_inside=[9, 12, 10]))
    assert "Some runs" in sentences.island(runs(island=[0.5, 2.0, 1.0]))
    assert "one point" in sentences.island(SMOKE)
    assert sentences.island(NONE) == "No run is there yet."


def test_what_the_rules_find():
    told = sentences.rules([runs(), SMOKE, NONE])
    assert "from N(0, 1), no core but the centre itself; from one point, a core of all 100 dead tokens" in told
    assert "and 0 to 2 living, behind a gap of a factor of 340 to 420." in told
    assert "nothing else" in sentences.rule(SMOKE | {"core": [100] * 3})
    told = sentences.rule(runs(core=[1, 30, 2], core_dead=[0, 20, 1]))
    assert "a core of 1 to 30 tokens, 0 to 20 of them dead" in told
    assert sentences.rules([NONE]) == sentences.NOTHING


def test_the_oort_cloud_and_how_rare_it_is():
    rare = {"tokens": [40, 41, 38], "median": 9.0, "text_median": 120.0}
    told = sentences.oort(SMOKE, rare)
    assert "has 38 to 41 tokens, 37 to 41 of them alive: rare ones" in told and "occurs 9 times" in told
    assert "not especially rare" in sentences.oort(SMOKE, rare | {"median": 100.0})
    assert sentences.oort(SMOKE, rare | {"median": None}).endswith("alive.")
    assert "no Oort cloud" in sentences.oort(runs(), rare)
    assert "nothing is known" in sentences.oort(NONE, rare)


def test_rest_and_holes_are_two_things():
    assert "and there is no hole." in sentences.resting([runs()])
    assert "from one point, they rest too, and there is." in sentences.resting([runs(), SMOKE])
    assert "holes too" in sentences.resting([SMOKE])
    assert "In none" in sentences.resting([runs(resting=[0.2, 0.9, 0.9])])
    assert sentences.resting([NONE]) == sentences.NOTHING


def test_other_arithmetic():
    assert "None of the 2 makes" in answers.protocols([runs("fp32"), runs("no-decay")])
    assert "those with dead tokens in black holes are decay (0 to 7)" in answers.protocols(
        [runs("fp32"), runs("decay", captured=[0, 7, 1])]
    )
    assert "None of them is there" in answers.protocols([NONE])
    wide = runs("fp32", storage="float32")
    assert answers.protocols([runs(), wide]).endswith("Nor does rounding the float32 rows to bfloat16 make one.")
    assert "changes that in fp32" in answers.rounded([wide | {"rounded": [0, 3, 0]}])
    assert answers.rounded([runs("no-decay", rounded=[0, 3, 0])]) == ""


def test_two_camps():
    assert "No run has such a component; the tokens of Qwen's holes do so in 3" in answers.camps([runs(), NONE], 3)
    told = answers.camps([runs(), runs("one point, spread", camps=[3, 0, 2])], 3)
    assert "There are such components: in 0 to 3 from one point, spread; the tokens" in told
    assert "No run is there yet to say" in answers.camps([NONE], 3)


SOME = runs(captured=[0, 30, 10], holes=[0, 1, 1])


@pytest.mark.parametrize(
    ("scattered", "point", "spread", "words"),
    [
        ([runs(), runs()], SMOKE, runs(), "No. From an ordinary start, by its recipe, Goldilocks makes no smoke."),
        ([runs()], SMOKE, runs(), "it keeps it; given nearly smoke, it does not close the gap."),
        ([runs(), SOME], SMOKE, SMOKE, "A little. "),
        ([SMOKE], NONE, NONE, "Yes. From an ordinary start most of its dead tokens end in black holes."),
        ([runs()], SOME, SOME, "it loses part of it; given nearly smoke, it makes a little."),
        ([runs()], runs(), NONE, "it disperses it."),
        ([runs()], NONE, SMOKE, "smoke. Given nearly smoke, it makes the rest of the way."),
        ([runs()], NONE, NONE, "makes no smoke."),
        ([NONE], SMOKE, SMOKE, "stays open"),
    ],
)
def test_the_verdict(scattered, point, spread, words):
    assert words in answers.verdict(scattered, point, spread)


def test_other_arithmetic_has_its_word_in_the_verdict():
    near, held = runs("beta2-0.99", nearest=[7, 8, 9]), runs("beta2-0.95", captured=[0, 9, 3], nearest=[0, 1, 1])
    told = answers.verdict([runs()], NONE, NONE, [near])
    assert "though with beta2-0.99 its dead come a good deal nearer together." in told
    told = answers.verdict([runs()], NONE, NONE, [near, held])
    assert "what does put dead tokens into black holes is beta2-0.95 (0 to 9 of 100)." in told
    assert "Drift does not make smoke" in answers.follows([runs(resting=[0.3, 1, 1])], NONE, NONE)
    assert "nearer" not in answers.verdict([runs()], NONE, NONE, [runs("fp32")])
    assert "with beta2-0.99 they gather" in answers.follows([runs()], NONE, NONE, [near])
    assert "gather" not in answers.follows([runs()], NONE, NONE, [runs("fp32")])


def test_who_comes_nearer_than_the_recipe():
    near = runs("beta2-0.99", nearest=[7, 8, 75])
    assert "by the recipe (150 to 160) the dead end with beta2-0.99 (7 to 75);" in answers.nearest([near], runs())
    assert "None that is there" in answers.nearest([runs("x", nearest=[7, 8, 76])], runs())
    assert "None that is there" in answers.nearest([near], NONE) and "None" in answers.nearest([NONE], runs())


def test_what_follows_depends_on_what_was_found():
    assert "Freezing does not make smoke" in answers.follows([runs()], SMOKE, runs())
    assert "may just be black holes from the beginning" in answers.follows([runs()], SMOKE, runs())
    assert "A spread of 8 to 8.2 cells at the start is too much" in answers.follows([runs()], SMOKE, runs())
    assert "can be undone, in part" in answers.follows([runs()], SMOKE, SOME | {"start_thickness": [8.0]})
    assert "wholly or nearly" in answers.follows([runs()], SMOKE, SMOKE)
    assert "can bring dead tokens into one cell" in answers.follows([SOME], NONE, NONE)
    assert "something treats equal rows unequally" in answers.follows([runs()], SOME, NONE)
    assert "Nothing follows yet" in answers.follows([NONE], SMOKE, SMOKE)


def test_beside_a_finished_model():
    told = answers.beside(0.26, "SmolLM2", 4, [runs()])
    assert told == "SmolLM2 has 26% of its smoke in 4 black holes; Goldilocks, from an ordinary start, 0% of its dead."
    assert "no black hole" in answers.beside(0.0, "Llama", 0, [runs()])
    assert "1 black hole." in answers.beside(0.9, "X", 1, [NONE])


def test_spans_and_sizes():
    assert sentences.span([3, 3]) == "3" and sentences.span([1, 2000]) == "1 to 2,000"
    assert sentences.sizes([28.61, 170.2]) == "28.6 to 170" and sentences.sizes(np.array([2371.0])) == "2,371"
    assert sentences.sizes([]) == "–"
