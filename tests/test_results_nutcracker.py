"""The lives and the ablation on small made-up runs: what is kept, what is compared, what the chapter says of it."""

import re
from pathlib import Path

import jupytext
import numpy as np
import pytest
from test_corpus import english, thai

from compute import experiments, figures_nutcracker, paths, results_ablation, results_nutcracker
from compute import results_nutcracker_tables as tables
from compute.corpus import open_corpus
from compute.experiments import Experiment
from compute.goldilocks import observation, phases

LEAN = {"layers": 1, "width": 16, "heads": 1, "feed_forward": 32, "context": 16, "batch": 2}
PAGE = Path(__file__).resolve().parent.parent / "book/nutcracker.md"
CHANGES = {
    "published-init": {"init_std": 1.0}, "no-decay": {"weight_decay": 0.0}, "decay-that-counts": {"weight_decay": 4.0},
    "beta2-0.99": {"beta2": 0.99}, "beta2-0.95": {"beta2": 0.95}, "one-point": {"init": "one-point"},
    "one-point-spread": {"init": "one-point-spread", "init_spread": 0.001},
}  # fmt: skip


@pytest.fixture(scope="module")
def lean(tmp_path_factory):
    """All arms of the ablation, small: 100 steps of the two long ones, 50 of the others, windows of 25, two seeds."""
    folder = tmp_path_factory.mktemp("lean")
    (folder / "stars.txt").write_text(english(), "utf-8")
    (folder / "thai.txt").write_text(thai(), "utf-8")
    long = (results_nutcracker.MAIN, results_nutcracker.PUBLISHED)
    table = {}
    for name in results_ablation.ARMS:
        protocol = {} if name in CHANGES else {"protocol": name}
        changes, kept = LEAN | CHANGES.get(name, protocol), ("matrix",) if name in long else ()
        table[name] = Experiment(name, "Does it run?", 100 if name in long else 50, changes, (1, 2), kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZIMUTH_CORPUS", str(folder / "stars.txt"))
        patch.setenv("AZIMUTH_CORPUS_UNSEEN", str(folder / "thai.txt"))
        patch.setenv("AZIMUTH_CACHE", str(folder / "cache"))
        patch.setattr(paths, "results_folder", lambda: folder / "results")
        patch.setattr(experiments, "EXPERIMENTS", table)
        patch.setattr(experiments, "MILESTONE", 25)
        patch.setattr(phases, "WINDOW", 25)
        patch.setattr(observation, "WINDOW", 25)
        patch.setattr(observation, "FIRST", 40)
        yield open_corpus()


def test_lives_are_sorted_and_every_token_is_in_one_phase(lean):
    lives = results_nutcracker.lives()
    assert lives["seeds"] == [1, 2] and lives["phases"].shape == (2, int(lean.dead.sum()), len(lives["moments"]))
    assert np.allclose(lives["shares"].sum(axis=2), 1)
    frozen_for = (lives["phases"] == 3).sum(axis=2)
    assert (np.diff(frozen_for, axis=1) <= 0).all()  # the first to freeze on top
    assert (np.diff(lives["phases"].astype(int), axis=2) >= 0).all()  # no way back
    assert (lives["exits"][:, 0] <= lives["exits"][:, 2]).all()


def test_freeze_times_agree_with_the_lives(lean):
    found = results_nutcracker.freezing("published-init")
    assert found["rest"] == 100 // 12 and found["last"].shape == (2, int(lean.dead.sum()))
    for seed in (0, 1):
        resting = (found["last"][seed] <= 100 - found["rest"]).sum()
        assert found["restless"][seed] == found["last"].shape[1] - resting
        left = [1.0, *found["curves"][seed]["share"]][-1]
        assert left == pytest.approx(found["restless"][seed] / found["last"].shape[1])


def test_the_fullest_stretch_by_hand():
    assert results_nutcracker._fullest(np.array([0, 5, 100, 101, 104, 300]), 5) == (100, 104, 0.5)
    assert results_nutcracker._fullest(np.array([0, 0]), 5) == (0, 0, 0)


def test_a_shorter_run_prints_what_it_would(lean):
    cut = results_nutcracker.truncated()
    assert cut["ends"].tolist() == [25, 50, 75, 100] and cut["printed_at"].tolist() == [25, 50, 75, 100]
    assert np.array_equal(cut["printed"][:, -1], results_nutcracker.freezing()["printed"])
    half = cut["second_half"]
    assert half["steps"][0] == 50 and (half["measured"][:, -1] == 1).all() and (half["expected"][:, -1] == 1).all()


def test_the_last_to_move_are_named(lean):
    last, freezing = results_nutcracker.latest(), results_nutcracker.freezing()
    texts = [text.decode("utf-8", "replace") for text in lean.texts]
    for seed in (0, 1):
        assert last["last"][seed] == sorted(freezing["last"][seed].tolist(), reverse=True)[: results_nutcracker.LATEST]
        assert last["texts"][seed] == [texts[i] for i in last["ids"][seed]]
        assert last["stragglers"][seed] == (freezing["last"][seed] > 95).sum()
    assert results_nutcracker._shared([{1, 2}, {2, 3}, {3, 4, 5}]) == 2


def test_a_prediction_has_a_row_a_seed_and_one_for_all(lean):
    fit = results_nutcracker.prediction("published-init")
    assert len(fit["predictors"]) >= 3 and fit["coefficients"].shape == (3, len(fit["predictors"]))
    assert (fit["lower"] <= fit["upper"]).all() and all(0 <= share <= 1 for share in fit["r_squared"])


def test_the_decay_of_the_recipe_is_no_decay_and_another_protocol_is_another_run(lean):
    same = results_ablation.identical()
    assert same["end"] == 50 and min(same["compared"]) > 1000 and same["different"] == [0, 0]
    settings = [results_nutcracker.settings_of(name) for name in ("pure-bf16", "decay-that-counts")]
    other = results_ablation._identical.__wrapped__(lean, *settings, 50)
    assert min(other["different"]) > 100


def test_arms_are_compared_at_one_step(lean):
    arms = results_ablation.arms()
    assert {one["end"] for one in arms.values()} == {50} and len(arms) == 12
    for name, one in arms.items():
        last = list(one["milestones"]).index(50)
        assert np.allclose(one["good"][:, list(one["milestones"]).index(25)], one["frozen"]) and one["rest"] == 25
        assert (one["good"][:, last] == 1).all() and np.allclose(one["still"][:, last], one["still_at_end"])
        assert (one["fade"] >= 1).all() and (one["steps"] > 50) == np.isnan(one["good"][:, -1]).all(), name
    assert arms["no-decay"]["decay"] == 1 and arms["decay-that-counts"]["decay"] == pytest.approx(0.996**50)
    clouds = results_ablation.clouds(arms)
    assert "fp32" in clouds and not {"one-point", "published-init"} & set(clouds)
    gone = {"fp32": arms["fp32"] | {"decay": 0.1}}
    assert results_ablation.clouds(gone) == {}


def test_a_life_is_cut_at_windows_only(monkeypatch):
    monkeypatch.setattr(phases, "WINDOW", 250)
    arrays = {"step": 500, **{f"last_{kind}": np.array([[3, 0], [0, 7]], np.uint8) for kind in ("wide", "far", "move")}}
    assert results_ablation.last_by(arrays, 250).tolist() == [3, 0]
    assert results_ablation.last_by(arrays, 500).tolist() == [3, 257]
    with pytest.raises(ValueError, match="multiple of 250"):
        results_ablation.last_by(arrays, 300)


def test_runs_of_other_lengths_are_not_compared():
    with pytest.raises(ValueError, match="other shapes"):
        results_ablation._compared({"a": np.zeros(3)}, {"a": np.zeros(4)})
    nan = np.array([np.nan, 1.0, 2.0])
    assert results_ablation._compared({"a": nan}, {"a": np.array([np.nan, 1.0, 3.0])}) == (3, 1)


def test_a_memory_that_forgets_makes_longer_steps(lean):
    replay = results_ablation.replay()
    stored, exact, short = (replay["lengths"][name] for name in results_ablation.MEMORIES)
    assert stored.shape == exact.shape == short.shape == (2, len(replay["steps"]))
    assert np.allclose(stored[:, 0], exact[:, 0], rtol=0.02)  # one step: no memory yet
    assert (replay["at_end"]["bfloat16, β₂ = 0.99"] > replay["at_end"]["bfloat16, β₂ = 0.999"]).all()


def test_those_behind_are_seen_to_catch_up():
    generator = np.random.default_rng(5)
    start = generator.normal(0, 0.02, (400, 32))
    drift = np.where(np.arange(32) % 2, 0.1, -0.1)
    halved = start.mean(axis=0) + drift + (start - start.mean(axis=0)) / 2
    found = results_ablation._catching_up(start, halved)
    assert found["slope"] == pytest.approx(-0.5) and found["kept"] == pytest.approx(0.5) and found["own"] > 0.95
    rigid = results_ablation._catching_up(start, start + drift)
    assert rigid["slope"] == pytest.approx(0) and rigid["kept"] == pytest.approx(1)
    speeds = results_ablation._catching_up(start, start + drift * generator.uniform(0.5, 1.5, (400, 1)))
    assert speeds["token"] > 0.95 and speeds["own"] < 0.05


def test_the_matrices_of_the_shipped_seed_are_looked_at(lean):
    way = results_ablation.contraction()
    assert way["seeds"] == [1] and way["mean"].shape == (1, results_ablation.LEADS)
    arm = results_ablation.arms()["pure-bf16"]
    assert arm["radius_start"][0] > 0 and (np.diff(way["lead"][0]) > 0).all() and 0 < way["kept"][0] < 2


def test_the_published_steps_are_looked_up_in_ours(lean):
    found = results_ablation.published()
    assert found["steps"] == sorted(found["steps"]) and found["ours"].shape == (2, len(found["steps"]))
    beyond = np.array(found["steps"]) > 100
    assert np.isnan(found["ours"][:, beyond]).all() and np.isfinite(found["ours"][:, ~beyond]).all()


def test_tables_have_columns_of_one_length(lean):
    arms, runs = results_ablation.arms(), {"a": results_nutcracker.truncated()}
    for table in (
        tables.arms(arms), tables.losses(arms),
        tables.printed(runs), tables.latest(results_nutcracker.latest()),
        tables.published(results_ablation.published(), results_ablation.published("pure-bf16")),
    ):  # fmt: skip
        assert len({len(column) for column in table.values()}) == 1
    assert tables.arms(arms)["moments"].count("bfloat16") == 8
    assert tables._percent(np.array([0.5, 1.0])) == "75.0 (50.0\N{EN DASH}100.0)"


def test_the_stratigraphy_shows_every_token(lean):
    lives = results_nutcracker.lives()
    figure = figures_nutcracker.stratigraphy(lives["moments"], lives["phases"], lives["seeds"])
    assert [np.array_equal(axes.images[0].get_array(), rows) for axes, rows in
            zip(figure.axes, lives["phases"], strict=True)] == [True, True]  # fmt: skip


def test_the_chapter_can_say_what_these_runs_brought(lean):
    """Every cell runs, every figure draws, and every computed number and sentence of the page comes out."""
    source = PAGE.read_text("utf-8")
    place: dict = {}
    for cell in jupytext.reads(source, "md:myst").cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, PAGE.name, "exec"), place)
    spoken = re.findall(r"\{eval\}`([^`]+)`", source.replace('\\"', '"'))
    assert len(spoken) > 60
    for one in spoken:
        expression, _, form = one.rpartition(":") if re.search(r":[,.\w]*$", one) else (one, "", "")
        assert format(eval(expression, place), form).strip(), one
