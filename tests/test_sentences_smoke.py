"""The sentences on the smoke say what their rules say, for every kind of model."""

import pytest

from compute import sentences_smoke as sentences

GAP = {"inner": 0.008, "outer": 0.0554, "ratio": 6.93, "runner_up": 1.96, "chance": 2.2e-6}


def test_zeros_are_a_hole_of_their_own_kind():
    assert sentences.zeros(0, 4) == "No hole is made of zeros."
    assert "though one row is" in sentences.zeros(1, 4)
    assert "1,200 rows" in sentences.zeros(1200, 4)
    assert sentences.zeros(0, 0) == "" and "One row" in sentences.zeros(1, 0)


def test_a_sky_without_a_hole_says_so():
    assert "7 tokens" in sentences.centre([7, 4])
    assert "no black hole" in sentences.centre([])


def test_a_gap_is_only_a_wonder_if_it_is_rare():
    assert sentences.gap(GAP).endswith("a chance of 2 × 10⁻⁶")
    assert "no wonder" in sentences.gap(GAP | {"chance": 0.38})
    assert "0.012" in sentences.gap(GAP | {"chance": 0.012})
    assert "practically zero" in sentences.gap(GAP | {"chance": 0.0})
    assert "no smoke" in sentences.gap(None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((1, 1, 0), "The core is the centre alone"),
        ((15, 4, 4), "The core holds 15 tokens in 4 places: 4 black holes, and nothing else"),
        ((5, 3, 1), "The core holds 5 tokens in 3 places: 1 black hole and 2 single tokens"),
        ((3, 1, 1), "The core holds 3 tokens in 1 place: 1 black hole, and nothing else"),
        ((2, 2, 0), "The core holds 2 tokens in 2 places: 2 single tokens"),
    ],
)
def test_core(given, words):
    assert sentences.core(*given) == words


def test_oort():
    assert "nobody" in sentences.oort(0, 0, 2.0)
    assert "a single token" in sentences.oort(1, 0, 2.0)
    assert "43 more, every one alone" in sentences.oort(43, 0, 2.0)
    assert "1 black hole among them" in sentences.oort(53, 1, 2.0)


def test_touching():
    assert "nothing to touch" in sentences.touching(1, True, 0)
    assert "is a complete graph" in sentences.touching(4, True, 1)
    assert "11 cells apart" in sentences.touching(13, False, 11)


def test_box():
    assert "one value" in sentences.box([], 576, [])
    assert sentences.box([2, 210, 568], 576, [1]).endswith("a star.")
    assert "varies in 1 (3)" in sentences.box([3], 576, [1])
    assert "it is 1 to 30 cells" in sentences.box([3, 9], 576, [1, 30])


def test_a_hole_of_zeros_has_no_direction():
    assert "no direction" in sentences.angle(None, 0.0, 2.0)
    assert "28.5° apart" in sentences.angle(28.549, 3.29, 2.18)


def test_depth():
    assert "only 19 of 49,152" in sentences.depth(19, 49_152, 1.7, 2.3)
    assert "50% of all tokens" in sentences.depth(500, 1000, 1.7, 2.3)


def test_special():
    assert "marks no token" in sentences.special(0, 0, 58)
    assert "None of the 17" in sentences.special(0, 17, 58)
    assert sentences.special(15, 17, 58).endswith("15 are among them; the other 43 nobody has marked.")


def test_reachable():
    told = {"told": True, "tested": 100, "unreachable": 9, "witnesses": 0, "smoke_unreachable": 0, "smoke_silent": 0}
    assert "not known" in sentences.reachable({"told": False}, 58)
    assert "every one of its 58 tokens can be produced" in sentences.reachable(told, 58)
    assert "longer text" not in sentences.reachable(told, 58)
    lost = sentences.reachable(told | {"witnesses": 4, "smoke_unreachable": 7, "smoke_silent": 5}, 58)
    assert "for every one of those" in sentences.reachable(told | {"witnesses": 9}, 58)
    assert "58 tokens 7 do not, and for 5" in lost and "for 4 of those" in lost


@pytest.mark.parametrize(
    ("area", "words"),
    [(0.99, "picks them out"), (0.9, "leans"), (0.5, "no indicator"), (0.1, "wrong way"), (float("nan"), "nothing")],
)
def test_picks_out(area, words):
    assert words in sentences.picks_out(area)


def test_chance():
    assert sentences.chance(0.02).startswith("ruled out")
    assert sentences.chance(0.05).startswith("not ruled out")
