"""What is left of the dead: holes, neighbours, groups, layers, on planted matrices and on runs of some steps."""

import numpy as np
import pytest
from test_corpus import english, thai

from compute import embers, experiments, paths, results, results_embers, results_goldilocks, results_record
from compute import results_embers_tables as tables
from compute.experiments import Experiment
from compute.figures_embers import nearness, skies
from compute.lattice import BFLOAT16, ordinal, pattern, value
from compute.models.weights import open_path
from compute.rounding import round_nearest

LEAN = {"layers": 1, "width": 16, "heads": 1, "feed_forward": 16, "context": 16, "batch": 2}
DEAD = np.arange(60) >= 30


def bits(rows: np.ndarray) -> np.ndarray:
    return round_nearest(rows).astype(np.uint16)


def planted(seed: int = 42) -> np.ndarray:
    """Sixty rows of eight: thirty living ones far out, and the dead, from 30 on, at one point."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.normal(0, 1, (30, 8)), np.full((30, 8), 0.05)])
    rows[:30] *= 4 / np.linalg.norm(rows[:30], axis=1, keepdims=True)
    return bits(rows)


def moved(stored: np.ndarray, row: int, component: int, cells: int) -> np.ndarray:
    """The same with one number some cells farther on."""
    changed = stored.copy()
    changed[row, component] = pattern(ordinal(stored[row, component]) + cells).astype(np.uint16)
    return changed


def test_float32_is_rounded_and_bfloat16_is_not():
    rows = np.array([[1.0, 1.0 + 2.0**-12], [-0.3, 7.0]], dtype=np.float32)
    assert (embers.as_bfloat16(rows.view(np.uint32)) == round_nearest(rows)).all()
    assert (embers.as_bfloat16(planted()) == planted()).all()
    with pytest.raises(TypeError, match="uint8"):
        embers.as_bfloat16(np.zeros((2, 2), np.uint8))


def test_the_dead_in_holes_are_counted_apart_from_the_living():
    stored = planted()
    found = embers.holes(stored, DEAD)
    assert (found.populations.tolist(), found.dead.tolist(), found.captured) == ([30], [30], 30)
    stored[3] = stored[40]  # a living token joins
    stored[5] = stored[6]  # and two of the living share a row of their own
    found = embers.holes(stored, DEAD)
    assert (found.populations.tolist(), found.dead.tolist(), found.captured) == ([31, 2], [30, 0], 30)
    for row in range(30, 60):
        stored = moved(stored, row, row % 8, row)
    assert embers.holes(stored, DEAD).captured == 0


def test_rounding_can_make_a_hole_of_float32_rows():
    rows = value(planted(), BFLOAT16).astype(np.float32)
    rows[DEAD, 0] += np.arange(30) * 1e-7
    stored = rows.view(np.uint32)
    assert embers.holes(stored, DEAD).captured == 0
    assert embers.holes(embers.as_bfloat16(stored), DEAD).captured == 30


def test_neighbours_and_components_in_cells():
    stored = planted()[DEAD]
    for row, cells in ((0, 1), (1, 3), (2, 40)):
        stored = moved(stored, row, 2, cells)
    found = embers.company(stored)
    assert found.nearest[:4].tolist() == [1, 2, 37, 0]
    assert (found.thresholds.tolist(), found.components.tolist()) == ([0, 1, 2, 37], [4, 3, 2, 1])
    assert (found.touching, found.farthest) == (3, 40)
    assert found.jump == (2, 37) and found.groups.tolist() == [29, 1]
    with pytest.raises(ValueError, match="found 1"):
        embers.company(stored[:1])


def test_one_place_and_an_even_cloud_have_one_group():
    together = embers.company(planted()[DEAD])
    assert (together.jump, together.groups.tolist(), together.touching) == (None, [30], 1)
    assert embers.widest_jump(np.array([0, 10, 11, 12])) is None
    assert embers.widest_jump(np.array([0, 1, 2, 30, 31])) == (2, 30)
    assert embers.widest_jump(np.array([0, 5])) is None


def test_two_camps_need_an_empty_stretch_between_them():
    rng = np.random.default_rng(5)
    rows = rng.normal(0.05, 0.002, (500, 6))
    assert embers.camps_of(bits(rows)).tolist() == []
    rows[:200, 2] += 0.05  # two camps
    rows[:3, 4] += 0.05  # three tokens are no camp
    rows[:200, 5] += 0.01  # a camp, and those in between
    rows[200:300, 5] += 0.005
    assert embers.camps_of(bits(rows)).tolist() == [2]
    straddling = bits(rng.normal(0, 0.02, (2000, 6)))  # thousands of cells around zero are empty, and no camp's border
    assert embers.camps_of(straddling).tolist() == []
    neighbours = np.zeros((40, 1))
    neighbours[20:] = 1.0
    assert embers.camps(neighbours, np.ones(1)).tolist() == []  # next to each other: no cell is empty
    assert embers.camps(2 * neighbours, np.ones(1)).tolist() == [0]


def test_the_camps_of_qwen_s_published_holes():
    assert tables.camps_of_qwen(results_record.holes()) == 3


def test_the_cloud_is_seen_from_the_centroid_of_the_dead():
    stored = planted()
    found = embers.cloud(stored, DEAD)
    point = value(stored[40], BFLOAT16)
    assert found.centroid == pytest.approx(np.linalg.norm(point))
    assert found.radius == pytest.approx(0, abs=1e-12) and found.area == 1 and found.living_inside == 0
    assert found.hop == pytest.approx(2.0**-12)  # 0.05 is in the binade of 2^-5
    assert 3.5 < found.nearest_living < found.median_living < 4.5
    mixed = embers.cloud(bits(np.random.default_rng(1).normal(0, 1, (60, 8))), DEAD)
    assert mixed.living_inside > 15 and 0.2 < mixed.area < 0.8
    with pytest.raises(ValueError, match="60 of 60"):
        embers.cloud(stored, np.ones(60, bool))


def test_the_rules_find_the_dead_without_being_told():
    rows = np.random.default_rng(2).normal(0, 1, (400, 32))
    rows[200:] = 0.02
    rows[0] = 0.02 + 0.05 * rows[0]  # a rare token, on its way out
    dead = np.arange(400) >= 200
    found = embers.layering(bits(rows), dead)
    assert (len(found.layers.core), found.core_dead) == (200, 200)
    assert found.layers.oort[0] == 0 and found.oort_dead == 0 and len(found.layers.oort) < 5
    scattered = embers.layering(bits(np.random.default_rng(3).normal(0, 1, (400, 32))), dead)
    assert len(scattered.layers.core) == 1


def test_the_nearest_row_by_blocks_is_the_nearest_row():
    rows = np.random.default_rng(4).normal(0, 1, (1500, 4))  # more than one block
    slow = [np.sort(np.linalg.norm(rows - rows[i], axis=1))[1] for i in (0, 1023, 1024, 1499)]
    assert embers._nearest_length(rows)[[0, 1023, 1024, 1499]] == pytest.approx(slow)


def test_the_sky_keeps_distances():
    stored = planted()
    found = embers.sky(stored, DEAD)
    assert np.linalg.norm(found.positions, axis=1) == pytest.approx(np.log10(1 + found.distance / found.hop))
    assert found.distance[DEAD] == pytest.approx(np.zeros(30), abs=1e-12) and 0 < found.shown <= 1


# Runs of some steps


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Four small starts of 30 steps in place of the table, two of them trained; and one arm in float32."""
    folder = tmp_path_factory.mktemp("embers")
    (folder / "stars.txt").write_text(english(), "utf-8")
    (folder / "thai.txt").write_text(thai(), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZIMUTH_CORPUS", str(folder / "stars.txt"))
        patch.setenv("AZIMUTH_CORPUS_UNSEEN", str(folder / "thai.txt"))
        patch.setenv("AZIMUTH_CACHE", str(folder / "cache"))
        patch.setattr(paths, "results_folder", lambda: folder / "results")
        (folder / "results").mkdir()
        table = {
            name: Experiment(name, "", 30, LEAN | changes, (1, 2), ("matrix",))
            for name, changes in {
                "pure-bf16": {},
                "published-init": {"init_std": 1.0},
                "one-point": {"init": "one-point"},
                "one-point-spread": {"init": "one-point-spread", "init_spread": 1e-3},
                "fp32": {"protocol": "fp32"},
            }.items()
        }
        table["flash"] = Experiment("flash", "", 10, LEAN, (1,))
        patch.setattr(experiments, "EXPERIMENTS", table)
        patch.setattr(experiments, "FIRST", 10)
        for name, seed in (("pure-bf16", 1), ("one-point", 1), ("one-point", 2), ("fp32", 1)):
            experiments.run_of(table[name], seed).run()
        yield results_embers.found()


def test_only_what_is_there_is_told_and_nothing_is_trained(small):
    assert {name: list(seeds) for name, seeds in small.items()} == {"pure-bf16": [1], "one-point": [1, 2], "fp32": [1]}
    lacking = results_embers.missing(small)
    assert lacking == {"pure-bf16": [2], "published-init": [1, 2], "one-point-spread": [1, 2], "fp32": [2]}
    corpus, settings = results_embers.open_corpus(), experiments.named("published-init").settings(1)
    assert results_goldilocks.trained.call(corpus, settings).state() == "missing"
    assert "flash" not in results_embers.wanted()


def test_the_remains_are_shipped_with_their_run(small):
    named = experiments.parts(experiments.named("one-point"), 2)
    assert named["one-point/2/remains"].state() == "fresh"
    assert not any("remains" in name for name in experiments.parts(experiments.named("flash"), 1))


def test_a_start_in_one_place_is_measured_as_one(small):
    point, recipe = tables.summary(small, "one-point"), tables.summary(small, "pure-bf16")
    assert point["start_captured"] == [point["dead"]] * 2 and point["start_nearest"] == [0, 0]
    assert point["captured"] == [point["dead"]] * 2 and point["touching"] == [1, 1]
    assert recipe["start_captured"] == [0] and recipe["captured"] == [0] and recipe["nearest"][0] > 1
    assert tables.summary(small, "published-init")["captured"] == []
    for one in (point, recipe):
        assert all(0 <= share <= 1 for share in one["resting"])


def test_float32_is_counted_on_the_lattice_of_bfloat16(small):
    one = small["fp32"][1]
    final = results_goldilocks.final_bits(results_embers.open_corpus(), experiments.named("fp32").settings(1))
    assert one["storage"] == "float32" and final.dtype == np.uint32
    near = embers.company(embers.as_bfloat16(final)[results_embers.open_corpus().dead])
    assert (tables.opened(one)["nearest"] == near.nearest).all()


def test_tables_have_a_row_for_every_kind_of_run_that_is_there(small):
    starts, arms = tables.at_the_end(small, results_embers.STARTS), tables.at_the_end(small, tables.others(small))
    assert starts["run"] == ["N(0,\u00a00.02²)", "one point"] and arms["run"] == ["fp32"]
    layers = tables.in_layers(small, results_embers.STARTS)
    assert all(len(column) == 2 for column in (*starts.values(), *layers.values()))
    assert tables.in_layers(small, ["pure-bf16"])["gap"] == ["–"] or tables.summary(small, "pure-bf16")["core"][0] > 1
    assert len(tables.sources(small, ["one-point", "fp32", "published-init"])) == 3
    empty = tables.at_the_end({}, results_embers.STARTS)
    assert set(map(len, empty.values())) == {0}


def test_rarity_asks_the_text(small):
    lexicon = experiments.lexicon().run()
    told = tables.rarity(small, "one-point")
    ids = np.concatenate([one["layers"]["oort_ids"] for one in small["one-point"].values()])
    assert sum(told["tokens"]) == len(ids) and (np.asarray(lexicon["counts"])[ids.astype(int)] > 0).all()
    assert tables.rarity({}, "one-point") == {"tokens": [], "median": None, "text_median": told["text_median"]}


def test_figures_draw_what_is_there(small, tmp_path):
    smoke = {"nearest": np.array([0, 0, 5]), "thresholds": np.array([0, 5]), "components": np.array([2, 1])}
    figure = nearness(tables.curves(small), smoke, "a $model$")
    figure.savefig(tmp_path / "near.svg")
    above = figure.axes[0].lines
    assert len([line for line in above if len(line.get_xdata()) > 2]) == 4  # three runs and the smoke
    nearness({}, None, "").savefig(tmp_path / "empty.svg")
    shown = results_embers.skies()
    assert set(shown) == {"pure-bf16", "one-point"}
    drawn = skies(tables.panels(shown))
    drawn.savefig(tmp_path / "skies.png")
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert shown["pure-bf16"]["texts"][0] in texts
    assert not set(shown["pure-bf16"]["nearest"]) & set(np.flatnonzero(shown["pure-bf16"]["dead"]))
    skies({}).savefig(tmp_path / "none.png")


def catalogue_of(stored: np.ndarray, folder):
    """A model of nothing but one bfloat16 matrix."""
    from ml_dtypes import bfloat16
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file({"lm_head.weight": stored.view(bfloat16)}, folder / "model.safetensors")
    return open_path(folder / "model.safetensors").catalogue


def test_beside_a_model_with_holes_and_one_without(small, tmp_path):
    rng = np.random.default_rng(6)
    rows = rng.normal(0, 1, (300, 16))
    bare = catalogue_of(bits(rows), tmp_path / "bare")
    rows[:20] = 0.02
    smoky = catalogue_of(bits(rows), tmp_path / "smoky")
    qwen, record = results_record.holes(), results.record("Qwen3-4B-Instruct-2507")
    told = tables.side_by_side(small, smoky, qwen, record)
    assert told["holes"] == [0, 1, 1, 13] and told["largest"][2:] == [20, 814] and told["in holes"][:2] == [0, 1]
    assert told["in holes"][2] == 20 / told["dead, or smoke"][2] > 0.9  # the rest is its Oort cloud
    assert told["in holes"][3] == pytest.approx(2100 / 2212) and told["core"][3] == 2159
    assert tables.smoke_curve(smoky)["nearest"].tolist()[:20] == [0] * 20
    assert tables.side_by_side({}, bare, qwen, record)["holes"] == [0, 13]
    assert len(tables.smoke_curve(bare)["nearest"]) >= 1
    assert tables.scale(record)["width_ratio"] == 20
