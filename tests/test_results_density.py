"""The named results on density: against brute force, killed and continued, and on input that is out of the ordinary."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from golden.handmade import HEAD, folder

from compute import contents, figures_density, results_density, results_density_tables, results_void, searches, survey
from compute.models.checkpoint import SINGLE
from compute.models.weights import open_path
from compute.paths import cache_folder

ROOT = Path(__file__).resolve().parent.parent


def opened(where, rows):
    stored = (np.asarray(rows, np.float32).view(np.uint32) >> 16).astype(np.uint16)  # as bfloat16
    return open_path(folder(where / "model", {}, {SINGLE: {HEAD: stored}}))


def planted(n_rows=400, dim=8, seed=42):
    """A cloud with a black hole of 30, one of 3, and a lone pair of neighbours."""
    rows = np.random.default_rng(seed).normal(size=(n_rows, dim)).astype(np.float32)
    rows[100:130], rows[200:203] = rows[100], rows[200]
    return rows


def brute_force(rows, k):
    """The slow obvious way in float64, ties to the smaller id."""
    apart = np.sqrt(((rows[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    ids = np.lexsort((np.broadcast_to(np.arange(len(rows)), apart.shape), apart), axis=1)[:, :k]
    return ids, np.take_along_axis(apart, ids, axis=1)


@pytest.mark.parametrize("space", ["gamma", "causal"])
@pytest.mark.parametrize("k", [1, 20, 399])
def test_neighbours_against_brute_force(tmp_path, space, k):
    gamma = opened(tmp_path, planted()).catalogue
    rows = np.array(results_density.rows_in(gamma, space))
    ids, distances = brute_force(rows, k)
    found = results_density.neighbours(gamma, space, k)
    np.testing.assert_array_equal(found["ids"], ids)
    np.testing.assert_allclose(found["distances"], distances, rtol=1e-14)
    assert found["ids"].dtype == np.int32 and (found["distances"][100:130, : min(k, 29)] == 0).all()
    assert len(found["first"]) == 400 - 29 - 2 == len(found["distinct_distances"])
    assert (found["distinct_distances"] > 0).all()


def test_real_neighbours_against_brute_force(smollm2):
    gamma = smollm2.catalogue
    rows = gamma.matrix()
    found = results_density.neighbours(gamma, "gamma")
    for token in (0, 5, 7, 190, 26_000, 49_151):
        apart = np.sqrt(((rows - rows[token].astype(np.float64)) ** 2).sum(axis=1))
        apart[token] = np.inf
        expected = np.lexsort((np.arange(len(rows)), apart))[:20]
        np.testing.assert_array_equal(found["ids"][token], expected)
        np.testing.assert_allclose(found["distances"][token], apart[expected], rtol=1e-12)


def test_places_are_those_of_other_rows_in_two_bytes(smollm2):
    for space in ("gamma", "causal"):
        places = results_density.nearest_places(smollm2.catalogue, space)["places"]
        assert (places.shape, places.dtype) == ((49_141, 20), np.uint16)
        assert (places != np.arange(49_141)[:, None]).all()


def test_infinite_densities_are_a_population_of_their_own(tmp_path):
    gamma = opened(tmp_path, planted()).catalogue
    found = results_void.densities(gamma, "gamma")
    assert found["infinite"].tolist() == list(range(100, 130)) and found["touching"] == 33
    assert np.isfinite(found["density"][np.setdiff1d(np.arange(400), found["infinite"])]).all()
    assert np.isinf(found["volumetric"][100:130]).all() and np.isfinite(found["distinct"]).all()
    whole = results_void.profile(gamma, "gamma")
    assert whole["count"].sum() == 400 and whole["infinite"].sum() == 30
    assert whole["distinct"]["count"].sum() == 400 - 31 and whole["distinct"]["infinite"].sum() == 0
    assert sum(region["count"] for region in whole["regions"].values()) == 400
    zeros = results_density_tables.dropped_zeros(gamma, "gamma")
    assert (zeros["tokens"], zeros["without"]) == (33, 30) and zeros["largest_ratio"] == pytest.approx(20 / 18)


def everything(model):
    """Every result and figure of the chapter, so that none can fail unseen."""
    gamma, words = model.catalogue, model.vocabulary
    for space in ("gamma", "causal"):
        found, whole = results_void.densities(gamma, space), results_void.profile(gamma, space)
        chance, sample = results_void.control_profile(gamma, space), results_void.sample_profile(gamma, space)
        assert results_void.verdict(gamma, space)["word"] in {
            "undecided", "true void", "thin core", "few tokens", "no void"
        }  # fmt: skip
        assert chance["matched"]["count"].sum() == chance["gaussian"]["count"].sum() == gamma.n_tokens
        clouds = {"tokens": whole, "distinct": whole["distinct"], **chance}
        figures_density.profiles(clouds, whole["boundaries"], "radius", "density").canvas.draw()
        figures_density.sampling(whole, sample, sample["taken"], "radius", "density").canvas.draw()
        smoke = results_density_tables.smoke(gamma)["ids"]
        figures_density.cloud(found["radius"], found["density"], smoke, "radius", "density", "smoke").canvas.draw()
        others = results_density_tables.other_dimensions(gamma, space)
        figures_density.volumetric(found["volumetric"], found["dimension"], others).canvas.draw()
        hubs = results_density_tables.hub_table(gamma, words, space)
        assert hubs["occurrences"].sum() == 20 * gamma.n_tokens
        figures_density.named(found["radius"], hubs["occurrences"], 20, "radius").canvas.draw()
        results_density_tables.core(gamma, words, space)
        results_density_tables.core_ratios(gamma, space)
        assert len(results_density_tables.regions_table(gamma, space)["cloud"]) == 9
    limits = results_density_tables.overflow(gamma, "causal")
    figures_density.overflow(limits["last"], {"this model": limits["own_dimension"]}, limits["largest"]).canvas.draw()
    assert results_density_tables.dimension_table(gamma)["space"] == ["gamma"] * 2 + ["causal"] * 2
    json.dumps(results_void.survey(gamma))


def test_a_planted_catalogue_goes_through_it_all(tmp_path):
    everything(opened(tmp_path, planted()))


def test_the_void_of_the_default_model(smollm2):
    """The chapter's claims."""
    gamma, words = smollm2.catalogue, smollm2.vocabulary
    verdict = results_void.verdict(gamma, "causal")
    assert (verdict["word"], verdict["tokens"], verdict["expected"]) == ("no void", 41, 0)
    assert verdict["against_shell"]["value"] == pytest.approx(8.456, abs=1e-2)
    assert verdict["against_shell"]["low"] > 4 and verdict["against_matched"]["low"] > 3
    assert results_void.verdict(gamma, "gamma")["word"] == "undecided"
    core = results_density_tables.core(gamma, words, "causal")
    assert (core["tokens"], core["smoke"], core["all_smoke"]) == (41, 30, 58)
    hubs = results_density_tables.hub_table(gamma, words, "causal")
    assert hubs["largest"] > 0.7 * gamma.n_tokens and all(hubs["in_smoke"])
    found = results_void.intrinsic_dimension(gamma, "causal")
    assert found["twonn"]["value"] == pytest.approx(8.58, abs=0.02)
    assert found["levina_bickel"]["value"] == pytest.approx(31.5, abs=0.1)
    assert len(results_void.densities(gamma, "causal")["infinite"]) == 0
    assert results_void.survey(gamma)["knn"] == {
        "k": 20,
        "space": "causal",
        "density_median": pytest.approx(0.038793, abs=1e-5),
        "infinite_density_tokens": 0,
        "mean_distance_quantiles": results_void.densities(gamma, "causal")["mean_distance_quantiles"],
    }


def test_the_record_s_overflow(smollm2):
    found = results_density_tables.overflow(smollm2.catalogue, "causal")
    assert found["argument"] == 667.5 and found["last"] == {"gamma": 341, "power": 1240}
    assert found["valid"] == {"1333": 0, "own": 49_152}
    assert results_density_tables.published_zeros() == {"tokens": 2100, "infinite": 2052, "holes": 4}


KILLED = """
import os, signal, sys
from compute import results_density, searches
from compute.models.weights import open_path
searches.BLOCK, searches.PAUSE, searches.SHARE = 64, 0.0, 0
keep = searches._keep
def kept_and_killed(file, reached, *rest):
    keep(file, reached, *rest)
    if reached.done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
searches._keep = kept_and_killed
results_density.neighbours(open_path(sys.argv[1]).catalogue, sys.argv[2], 20)
"""


@pytest.mark.parametrize("space", ["gamma", "causal"])
def test_a_killed_search_goes_on_where_it_was(tmp_path, monkeypatch, space):
    gamma = opened(tmp_path, planted(900, 6, 7)).catalogue
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "undisturbed"))
    whole = results_density.neighbours(gamma, space)
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "killed"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-W", "error", "-c", KILLED, str(tmp_path / "model"), space]
    assert subprocess.run(words, env=environment, timeout=120).returncode == -signal.SIGKILL
    (left,) = (cache_folder() / "workspace").rglob("search.npz")
    with np.load(left) as kept:
        assert kept["numbers"].tolist() == [64, 5, 20]
    done, real = [], searches.sweep
    monkeypatch.setattr(searches, "sweep", lambda rows, search: done.append(search.done) or real(rows, search))
    again = results_density.neighbours(gamma, space)
    assert done == [5]
    for name in ("ids", "distances", "first", "distinct_distances"):
        np.testing.assert_array_equal(again[name], whole[name])
    assert not list((cache_folder() / "workspace").rglob("search.npz"))


@pytest.mark.parametrize("spoil", ["cut", "other rows", "not one"])
def test_a_file_that_is_no_use_is_not_used(tmp_path, monkeypatch, spoil):
    rows, file = planted(), tmp_path / "search.npz"
    whole = searches.search(rows, 5, tmp_path / "none.npz", "")
    assert not (tmp_path / "none.npz").exists()  # quicker than a saving
    monkeypatch.setattr(searches, "PAUSE", 0.0)
    monkeypatch.setattr(searches, "SHARE", 0)
    searches.search(planted(seed=1) if spoil == "other rows" else rows, 5, file, "")
    if spoil != "other rows":
        file.write_bytes(file.read_bytes()[:1000] if spoil == "cut" else b"nothing of the kind")
    found = searches.search(rows, 5, file, "")
    np.testing.assert_array_equal(found.of_all(5).ids, whole.of_all(5).ids)


def test_a_catalogue_that_does_not_fit_says_so_before_it_is_read(tmp_path, monkeypatch):
    gamma = opened(tmp_path, planted(seed=11)).catalogue  # one that no other test has asked for
    monkeypatch.setattr(type(gamma), "matrix", lambda self: pytest.fail("the matrix was read"))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 50_000}))
    with pytest.raises(MemoryError, match="20 nearest of 400 rows with 8 components take .* GB, and .* close"):
        results_density.neighbours(gamma, "gamma")


def test_the_memory_that_a_search_says_it_takes():
    """Linear in N and in k; 151,936 x 2,560 stays under 4 GB beyond the matrix."""
    whole = searches.memory_needed(151_936, 2560, 20)
    assert 3.1e9 < whole < 4e9 + 4 * 151_936 * 2560
    assert searches.memory_needed(2 * 151_936, 2560, 20) < 2 * whole


@pytest.mark.parametrize("k", [0, -1, 400, 1000])
def test_k_outside_its_range(tmp_path, k):
    with pytest.raises(ValueError, match="between 1 and 399"):
        results_density.neighbours(opened(tmp_path, planted()).catalogue, "gamma", k)


def test_an_unknown_space(tmp_path):
    with pytest.raises(ValueError, match="no space 'outer': it is one of gamma, causal"):
        results_density.neighbours(opened(tmp_path, planted()).catalogue, "outer")


def test_nothing_but_duplicates(tmp_path):
    """In gamma space all densities are infinite; a causal metric of no variance does not exist."""
    gamma = opened(tmp_path, np.full((60, 4), 0.5, np.float32)).catalogue
    found = results_density.neighbours(gamma, "gamma")
    assert (found["distances"] == 0).all() and found["distinct_distances"].shape == (1, 0)
    assert found["ids"][0].tolist() == list(range(1, 21))
    for space in ("gamma", "causal"):
        with pytest.raises(ValueError, match="no axis has any variance"):
            results_void.densities(gamma, space)


def test_a_single_token_and_rows_that_are_not_finite(tmp_path):
    with pytest.raises(ValueError, match="20 neighbours asked for among 1 rows"):
        results_density.neighbours(opened(tmp_path, np.ones((1, 4), np.float32)).catalogue, "gamma")
    rows = planted()
    rows[7, 2] = np.inf
    (tmp_path / "more").mkdir()
    gamma = opened(tmp_path / "more", rows).catalogue
    with pytest.raises(ValueError, match="row 7 is not finite"):
        results_density.neighbours(gamma, "gamma")
    with pytest.raises(ValueError, match="row 7 is not finite"):
        results_density.neighbours(gamma, "causal")


def test_fewer_places_than_neighbours_asked_for(tmp_path):
    """Two places of 30 tokens each: every token has its own place's 29, and nothing more is asked."""
    rows = np.repeat(np.array([[0.0, 1.0, 0.0], [3.0, 0.0, 1.0]], np.float32), 30, axis=0)
    found = results_density.neighbours(opened(tmp_path, rows).catalogue, "gamma", 40)
    assert (found["distances"][:, :29] == 0).all() and (found["distances"][:, 29:] > 3).all()
    assert found["distinct_distances"].shape == (2, 1)


def test_a_result_has_a_name_in_each_space(tmp_path):
    """So that `status`, `ship` and `bless` can speak of it."""
    model = opened(tmp_path, planted())
    told = dict(contents.calls(model))
    assert {"nearest_places:gamma", "nearest_places:causal", "control:causal:matched", "verdict:gamma"} <= set(told)
    assert told["profile:causal"].key == results_void.profile.call(model.catalogue, "causal").key
    assert "_published_zeros" not in told and "norms" in told


def run_survey(capsys, *words):
    from compute.__main__ import main

    code = main(["survey", *map(str, words)])
    return code, capsys.readouterr()


def test_the_survey_command(tmp_path, capsys):
    opened(tmp_path, planted())
    code, told = run_survey(capsys, tmp_path / "model", "--depth", "density", "--json")
    knn = json.loads(told.out)["knn"]
    assert code == 0 and set(knn) == {
        "k", "space", "density_median", "infinite_density_tokens", "mean_distance_quantiles"
    }  # fmt: skip
    assert (knn["k"], knn["space"], knn["infinite_density_tokens"]) == (20, "causal", 30)
    assert knn["mean_distance_quantiles"]["0"] == 0 and knn["density_median"] > 0
    code, told = run_survey(capsys, tmp_path / "model", "--depth", "density")
    assert "of infinite density" in told.out and "30  tokens with so many others" in told.out
    assert "knn" not in survey.numbers(str(tmp_path / "model"), "metric")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.full((60, 4), 0.5, np.float32), "no axis has any variance"),
        (np.ones((1, 4), np.float32), "1"),
        (planted()[:15], "20 neighbours asked for among 15 rows"),
        (np.where(np.arange(400)[:, None] == 7, np.inf, planted()), "the first is row 7"),
    ],
)
def test_the_survey_of_input_without_a_density(tmp_path, capsys, rows, words):
    opened(tmp_path, rows)
    code, told = run_survey(capsys, tmp_path / "model", "--depth", "density", "--json")
    assert code == 2 and words in told.err and told.out == ""
