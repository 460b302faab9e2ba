"""The results of Goldilocks' two first chapters, on a small corpus and a small model: parts, work, flights, films."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_corpus import english, thai

from compute import (
    experiments,
    figures_goldilocks,
    figures_supernova,
    results_goldilocks,
    results_recipe,
    results_recipe_tables,
    results_supernova,
)
from compute.experiments import Experiment
from compute.goldilocks.settings import PROTOCOLS

LEAN = {"layers": 2, "width": 16, "heads": 1, "feed_forward": 32, "context": 16, "batch": 2}
STEPS = 60


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A small corpus with a cache of its own, and small experiments in place of the table."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "stars.txt").write_text(english(), "utf-8")
    (folder / "thai.txt").write_text(thai(), "utf-8")
    table = [Experiment("supernova", "How?", STEPS, LEAN, (1, 2)), Experiment("pure-bf16", "Does it?", 220, LEAN, (1,))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZIMUTH_CORPUS", str(folder / "stars.txt"))
        patch.setenv("AZIMUTH_CORPUS_UNSEEN", str(folder / "thai.txt"))
        patch.setattr(experiments, "EXPERIMENTS", {one.name: one for one in table})
        yield results_recipe.opened()


def drawn(figure, path):
    assert isinstance(figure, Figure)
    figure.savefig(path / "figure.svg")
    return figure


def test_the_published_model_has_the_published_number_of_parameters():
    published = SimpleNamespace(n_tokens=3988, dead=np.arange(3988) >= 3988 - 1914)
    found = results_recipe.parameters.__wrapped__(published)
    assert found["Goldilocks"]["all"] == sum(found["Goldilocks"]["parts"].values()) == 1_057_024
    assert found["Goldilocks"]["dead"] == 1914 * 128 and found["Lean"]["all"] < found["Balanced"]["all"]
    table = results_recipe_tables.parts_table(found)
    assert len({len(column) for column in table.values()}) == 1 and len(table) == 4


def test_a_step_takes_six_operations_a_weight_and_token(corpus):
    """The rule of thumb, exact where nothing but products counts: 6 operations a weight of a map, and attention."""
    work, parts = results_recipe.work(corpus), results_recipe.parameters(corpus)["Goldilocks"]["parts"]
    biases = 4 * (3 * 128 + 128 + 256 + 128)
    weights = parts["embedding"] + parts["attention"] + parts["feed-forward"] - biases
    attention = 6 * 2 * 128 * 128 * 128 * 8 * 4  # two products of 128 x 128 by 128, windows, layers; six each
    assert work["total"] == 6 * weights * 1024 + attention == sum(work["by_part"].values())
    assert 0 < work["dead_share"] < 1


def test_settings_and_protocols_are_asked_of_the_code():
    settings = results_recipe_tables.settings_table()
    assert settings["setting"][:3] == ["layers", "width", "heads"] and len(settings["setting"]) == 21
    assert all(settings["what it is"]) and "yes" in settings["Goldilocks"]
    protocols = results_recipe_tables.protocols_table()
    assert protocols["protocol"] == list(PROTOCOLS)
    assert protocols["moments"] == ["bfloat16", "float32", "float32", "float32", "float32"]
    assert protocols["master copy"] == ["none", "none", "none", "float32", "none"]
    assert "at random" in results_recipe_tables.protocol_words()["stochastic-rounding"]


def test_who_knows_more_loses_less(corpus):
    found = results_recipe.baselines(corpus)
    assert found["uniform"] > found["living"] > found["unigram"] > 0
    assert found["unigram"] == pytest.approx(found["held_out"], rel=0.2) and found["unseen"] == 0
    assert found["rank_slope"] < 0


def test_a_flight_is_that_of_the_run(corpus, tmp_path):
    found, lexicon = results_supernova.first_hundred(corpus), results_recipe.lexicon()
    assert found["seeds"] == [1, 2] and found["dead"]["radius"].shape == (2, STEPS + 1)
    assert all(low <= mean <= high for low, mean, high in found["numbers"].values())
    run = results_goldilocks.run(corpus, experiments.named("supernova").settings(1))
    from compute.results_experiments import lives_of

    lives = lives_of(run)
    # the recorder beside it changes nothing
    np.testing.assert_array_equal(found["loss"][0], lives["first_loss"].astype(np.float32))
    ends = np.linalg.norm(lives["centroids"][[0, -1]], axis=1)
    assert found["dead"]["centroid_norm"][0, [0, -1]] == pytest.approx(ends, rel=1e-5)
    assert found["dead"]["radius"][0, 0] == pytest.approx(lives["start_radius"], rel=1e-5)
    l1 = lives["first_l1"] / len(lives["tokens"])
    np.testing.assert_allclose(found["dead"]["l1"][0, 1:], l1, rtol=1e-6)
    for figure in (
        figures_supernova.flight(found["dead"], found["living"]),
        figures_supernova.order(found["dead"], found["dead_mass"], found["gradient_coherence"]),
        figures_supernova.grain(found["dead"], found["living"]),
        figures_supernova.company(lexicon["counts"], found["along"][0]),
        figures_goldilocks.rank_frequency(lexicon["counts"]),
    ):
        drawn(figure, tmp_path)


def test_the_dead_go_the_dead_way(corpus):
    found, counts = results_supernova.first_hundred(corpus), results_recipe.lexicon()["counts"]
    assert found["along"][0][counts == 0].mean() == pytest.approx(found["dead"]["travelled"][0, -1], rel=1e-3)
    ways = found["along"][:, counts == 0].mean(axis=1)
    assert found["numbers"]["along_dead"][0] == pytest.approx(ways.min(), rel=1e-5)


def test_the_film_ends_where_the_flight_does(corpus, tmp_path):
    frames, found = results_supernova.frames(corpus, 1), results_supernova.first_hundred(corpus)
    assert frames["places"].shape == (STEPS + 1, corpus.dead.sum(), 2)
    way = frames["places"].astype(float).mean(axis=1)
    assert np.linalg.norm(way[-1] - way[0]) == pytest.approx(found["dead"]["travelled"][0, -1], rel=0.05)
    np.testing.assert_allclose(
        frames["speeds"].astype(float).mean(axis=1)[1:], found["dead"]["speed"][0, 1:], rtol=1e-2
    )
    for columns in (4, 2):
        drawn(figures_supernova.strip(frames, columns), tmp_path)
    film = figures_supernova.film(frames, found["loss"][0])
    assert film["frames"] == STEPS + 1 and film["words"][0].startswith("step 0, loss")


def test_the_first_look_names_its_tokens(corpus, tmp_path):
    found, lexicon = results_supernova.first_look(corpus, 1), results_recipe.lexicon()
    counts = lexicon["counts"][found["tokens"]]
    assert (counts[:3] > 0).all() and (np.diff(counts[:3]) <= 0).all() and (counts[3:] == 0).all()
    assert found["cells"].shape == (STEPS, 6) and (found["lengths"] >= 0).all()
    assert found["bytes"] == (STEPS + 1) * corpus.n_tokens * LEAN["width"] * 2
    drawn(figures_goldilocks.first_look(found, results_recipe_tables.names_of(lexicon, found["tokens"])), tmp_path)


def test_a_long_run_is_told_and_drawn(corpus, tmp_path):
    runs, baselines = results_recipe.long_runs(), results_recipe.baselines(corpus)
    told = results_recipe.learning(runs, baselines["held_out"])
    assert told["seeds"] == [1] and told["length"] == 220 and len(told["steps"]) == len(told["loss"]) == 201
    assert told["gain"][0] == pytest.approx(corpus.unigram_entropy - told["final"][0])
    drawn(figures_goldilocks.learning(told, baselines), tmp_path)
    speeds = results_recipe_tables.speeds(1e9)
    assert speeds["run"] and speeds["Gflop/s"] == pytest.approx(speeds["fastest, steps/s"])
    budget = results_recipe_tables.budget({"bytes": 101 * 1000})
    assert budget["megabytes"][:2] == [0.101, 12.001] and budget["kept"][-1] == "summary, pure-bf16"
    census = results_recipe_tables.census_table(results_recipe.lexicon())
    assert sum(census["dead"]) == corpus.dead.sum()
    assert [bool(texts) for texts in census["first dead"]] == [dead > 0 for dead in census["dead"]]
    assert results_recipe_tables.benchmark("no such row") is None
