"""The sentences on other galaxies say what their rules say, whatever the catalogues are."""

import numpy as np
import pytest

from compute import sentences_galaxies as sentences
from compute.galaxies import Separation


def row(**changed) -> dict:
    found = {"catalogue": "A", "lineage": "A", "kind": "measured", "holes": 2, "in_holes": 7, "group": 9, "core": 9,
             "radius": 0.5, "hops": 2.0, "reached": 0.01}  # fmt: skip
    return found | changed


def one(**changed) -> dict:
    found = {"populations": [4, 3], "special_outside": ["<a>", "<b>"], "special": [10, 4], "median_norm": 2.0,
             "spare": {"tokens": 0, "rounded": None},
             "group": {"tokens": 9, "rows": 5, "varying": 3, "farthest": 1, "pieces": 1, "widths": [1e-3, 2e-3],
                       "noise": None, "texts": ["x", "\u2423SolidGoldMagikarp"]}, "dim": 64,
             "reach": {"tested": 100, "unreachable": 5, "tested_inside": 8, "unreachable_inside": 4,
                       "unreachable_spare": 0}}  # fmt: skip
    return found | changed


LONELY = {"tokens": 1, "rows": 1, "varying": 0, "farthest": 0, "pieces": 1, "texts": ["x"], "widths": [None, 1e-3],
          "noise": None}  # fmt: skip
SPARE = {"tokens": 30, "rounded": 0, "norm": 0.4, "others_norm": 1.0, "radius": 0.2, "nearest": 0.5}
RECORD = {"unreachable tokens in the cluster": 3, sentences.QWEN_SMOKE: 4}


def test_the_lineup_counts_and_names_what_is_not_kept():
    rows = [row(), row(kind="Goldilocks"), row(kind="published"), row(kind="published"), row(kind="claimed")]
    said = sentences.lineup(rows, [])
    assert said.startswith("Of 5 skies 1 is measured here; 1 is a training of Goldilocks")
    assert "2 are as published" in said
    assert said.endswith("of 1 no more than a count was published.")
    assert "of the arm fp32." in sentences.lineup(rows[:1], ["fp32"])
    assert "of the arms a and b." in sentences.lineup([row(kind="Goldilocks")] * 2, ["a", "b"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row(holes=0)], "None of the measured"),
        ([row(), row(catalogue="B", holes=0)], "in A (2, with 7 tokens); there is none in B."),
        ([row(), row(catalogue="B", holes=0, kind="claimed")], "in A (2, with 7 tokens): in all that are measured."),
    ],
)
def test_holes(rows, words):
    assert words in sentences.holes(rows)


@pytest.mark.parametrize(
    ("some", "words"),
    [
        (row(), "both rules agree on the same 9 tokens"),
        (row(core=1), "the rule of the edge finds nothing"),
        (row(core=4), "the core by the edge has 4 tokens, the widest gap has 9 inside"),
        (row(group=1), "nothing to differ on"),
        (row(holes=0), "nothing to differ on"),
        (row(kind="published"), "nothing to differ on"),
    ],
)
def test_the_edge_and_the_gap(some, words):
    assert words in sentences.edge([some])


def test_the_yardstick_is_the_one_that_differs_less():
    a = row()
    assert sentences.tight([]) == "No inner group has a known size."
    assert sentences.tight([a, row(catalogue="A2")]) == "The inner group reaches 2.0 hops from its centre in A."
    grid = sentences.tight([a, row(lineage="B", catalogue="B", kind="published", hops=4.0, reached=1.0)])
    assert "4.0 hops from its centre in B (published)" in grid
    assert "factor of 2.0 in hops and 100 as shares of the median norm: the grid is" in grid
    assert "the cloud, not the grid, is" in sentences.tight([a, row(lineage="B", hops=90.0, reached=0.011)])
    assert "B" not in sentences.tight([a, row(lineage="B", catalogue="B", reached=None)])


def test_who_is_inside():
    sky = {"A": one(), "B": one(group=LONELY), "C": one(special=[0, 0])}
    assert sentences.special(sky) == "4 of the 10 special tokens of A are in its group of 9."
    many = sentences.special({"A": one(special=[22, 20])})
    assert many == "20 of the 22 special tokens of A are in its group of 9 (all but <a> and <b>)."
    assert "No inner group" in sentences.special({"B": one(group=LONELY)})
    assert sentences.fished(sky).endswith("is in the group of A and C.")
    assert sentences.fished({"B": one(group=LONELY)}) == ""


def test_the_places_differ_in_so_many_components():
    qwen = {"components": [4, 5], "linf": np.array([[0, 11], [11, 0]])}
    sky = {"A": one(), "B": one(group=LONELY)}
    said = sentences.box(sky, qwen, 2560)
    assert "differ in 3 of 64 components and by 1 cell in A and in 2 of 2,560 and by up to 11 cells between" in said
    said = sentences.widths(sky)
    assert "is 1.0e-03 gamma units wide in A, and 2.0e-03 elsewhere." in said and "In A they part where" in said
    assert "they part" not in sentences.widths({"A": one(group=one()["group"] | {"widths": [2e-3, 1e-3]})})
    assert sentences.widths({"B": one(group=LONELY)}) == ""


def test_noise_is_ruled_out_where_one_count_or_the_chance_is_out():
    fits = {"found": [5, 2], "low": [4, 1], "high": [9, 3], "chance": 0.4}
    qwen = {"dependence": {"chance": 0.005}}

    def sky(**changed) -> dict:
        return {"A": one(group=one()["group"] | {"noise": fits | changed}), "B": one(group=LONELY)}

    said = sentences.noise(sky(), qwen)
    assert said.startswith("In A all of it is as such noise would have it. The holes of Qwen, as published, are not:")
    assert said.endswith("a chance of 0.005.")
    assert "In A it is not." in sentences.noise(sky(chance=0.01), qwen)
    assert "In A it is not." in sentences.noise(sky(found=[5, 4]), qwen)
    assert "could be noise too" in sentences.noise({}, {"dependence": {"chance": 0.5}})


def test_what_is_unreachable():
    said = sentences.reachable({"A": one(), "B": one(reach=None)}, RECORD)
    assert said.startswith("Of the tokens inside, unreachable are 50% in A (5.0% of all its tokens)")
    assert said.endswith("and 75.0% in Qwen, as published.")
    assert "No tokenizer" in sentences.reachable({"B": one(reach=None)}, RECORD)


@pytest.mark.parametrize(
    ("some", "words"),
    [
        (one(spare=SPARE), "They lie nearer to the origin"),
        (one(spare=SPARE | {"norm": 3.0}), "They lie no nearer to the origin"),
        (one(spare=SPARE), "25% of the way from the centroid"),
        (one(spare=SPARE), "no two rows of the whole catalogue would share a place"),
        (one(spare=SPARE | {"rounded": 12}), "12 tokens of the whole catalogue would share"),
        (one(spare=SPARE), "of not all of them"),
        (one(spare=SPARE, reach={"unreachable_spare": 30}), "of none of them"),
        (one(), "No measured catalogue has rows"),
    ],
)
def test_spare_rows(some, words):
    assert words in sentences.spare({"A": some})


def test_spare_rows_without_a_tokenizer_or_rounding():
    said = sentences.spare({"A": one(spare=SPARE | {"rounded": None}, reach=None)})
    assert "tokenizer" not in said and "Rounded" not in said and "30 rows" in said


def test_how_coarse_a_grid_would_have_to_be():
    found = {"bits": 4, "holes": 1, "tokens": 12, "spare": 5}
    assert sentences.coarse({"A": one(coarse=None)}) == ""
    said = sentences.coarse({"A": one(coarse=found, spare=SPARE)})
    assert said.endswith("4 bits with one scale for all: 12 tokens in one hole, 5 of the 30 spare rows among them.")
    assert sentences.coarse({"A": one(coarse=found | {"holes": 3})}).endswith("12 tokens in 3 holes.")
    assert "not even two bits" in sentences.coarse({"A": one(coarse=dict.fromkeys(found, 0))})


def test_goldilocks():
    assert "yet" in sentences.goldilocks([row()])
    arms = [row(kind="Goldilocks", catalogue=f"Goldilocks, {name}", holes=0) for name in "ab"]
    assert sentences.goldilocks(arms) == "Of 2 arms of Goldilocks none ends with a black hole."
    assert sentences.goldilocks([*arms, arms[0] | {"holes": 1}]).endswith("these end with black holes: a.")


def test_luck_is_told_from_what_should_be_looked_into():
    apart, mixed = Separation("x", (1, 2), (3, 4), (3, 2), 0.2), Separation("y", (1, 4), (3, 4), (3, 2), 0.2)
    assert "nothing can be told apart" in sentences.luck([])
    assert "Of 2 numbers 0 put all" in sentences.luck([mixed, mixed])
    said = sentences.luck([apart, mixed])
    assert "1 puts all lineages with holes on one side (x); of numbers that mean nothing 0.4" in said
    assert said.endswith("Somebody should look into that.")
    assert sentences.luck([apart, *[mixed] * 4]).endswith("no evidence of anything.")


def test_the_short_answer_follows_what_is_there():
    none = one(populations=[], group=LONELY)
    assert "nothing for them to have in common" in sentences.answer([], {"B": none})
    said = sentences.answer([], {"A": one(), "B": none | {"spare": SPARE}})
    assert said.startswith("1 of 2 measured catalogues have smoke: A.") and "hangs together" in said
    assert "4 in all" in said and "B has them, and no smoke." in said
    loose = one(group={"tokens": 9, "pieces": 2, "texts": []}, special=[3, 0])
    said = sentences.answer([], {"A": loose})
    assert "hangs together" not in said and "Special" not in said and "Rows that stand" not in said
