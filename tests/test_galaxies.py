"""Other galaxies: groups and spare tokens planted and found, results on small models, rows, tables, the figure."""

import json

import numpy as np
import pytest
from conftest import plant_model
from golden.handmade import safetensors

from compute import experiments, figures_galaxies, galaxies, results, results_galaxies, results_smoke
from compute import results_galaxies_tables as tables
from compute.integrity import sha256_of
from compute.models import sources
from compute.models.inputs import Entry
from compute.models.weights import open_path
from compute.models.wheels import Member, Wheel
from compute.smoke.encoders import from_tokenizer_json

SIZES = ("n_tokens", "dim", "bits")


def test_spare_rows_are_known_by_their_whole_names():
    names = [b"[unused0]", b"[unused993]", b"<|reserved_special_token_7|>", b"[PAD12]"]
    others = [b"[unused]", b"unused7", b" [unused7]", None, b""]
    assert galaxies.spare([*names, *others]).tolist() == [True] * 4 + [False] * 5


def test_the_inner_group_ends_at_the_widest_gap_and_needs_no_edge():
    distance = np.array([0.9, 0.0, 3e-5, 0.7, 1e-5, 0.8, 0.0, 1.0, 1.1, 1.2, 1.3, 1.4])
    found = galaxies.inner_group(distance, 1e-5)
    assert found.ids.tolist() == [1, 6, 4, 2]
    assert (found.radius, found.outer) == (3e-5, 0.7)
    assert found.ratio == pytest.approx(0.7 / 3e-5)


def test_a_hermit_is_a_group_of_one_and_a_far_outlier_is_no_edge():
    distance = np.array([0.0, 1.0, 1.1, 1.2, 1.3, 1e9])  # the nearer half alone is looked at
    assert galaxies.inner_group(distance, 1e-3).ids.tolist() == [0]


def test_a_hole_of_more_than_half_of_all_tokens_is_a_group_and_so_is_everybody():
    found = galaxies.inner_group(np.array([0.0, 0.0, 0.0, 0.0, 2.0, 3.0]), 1e-3)
    assert (found.ids.tolist(), found.outer) == ([0, 1, 2, 3], 2.0)
    found = galaxies.inner_group(np.array([0.0, 5e-4, 0.0]), 1e-3)
    assert (found.ids.tolist(), found.radius, found.ratio, found.chance) == ([0, 2, 1], 5e-4, 1.0, 1.0)


def test_independent_components_look_as_dealt_and_copied_ones_do_not():
    generator = np.random.default_rng(5)
    apart = (generator.random((200, 12)) < 0.3).astype(np.int64)
    rows, populations = np.unique(apart, axis=0, return_counts=True)
    found = galaxies.dealt(rows, populations, 100, np.random.default_rng(0))
    assert found["found"][0] == len(rows) and found["found"][3] == populations.max()
    assert all(low <= one <= high for low, one, high in zip(found["low"], found["found"], found["high"], strict=True))
    assert found["chance"] > 0.05
    copied = np.repeat(apart[:, :3], 4, axis=1)  # three coins, each shown four times
    rows, populations = np.unique(copied, axis=0, return_counts=True)
    found = galaxies.dealt(rows, populations, 100, np.random.default_rng(0))
    assert found["found"][0] == len(rows) <= 8 < found["low"][0] and found["chance"] == 1 / 101


def test_the_histogram_counts_all_and_the_last_bin_what_is_beyond():
    norms = np.array([1.0, 1.0, 2.0, 1.0, 50.0])
    found = galaxies.norm_histogram(norms, norms > 1.5)
    assert found["tokens"].sum() == 5 and found["marked"].sum() == 2
    assert found["tokens"][-1] == 1 == found["marked"][-1] and found["edges"][-1] == galaxies.REACH


def test_a_number_separates_where_the_ranges_have_nothing_in_common():
    rows = [{"a": a, "b": b, "c": c} for a, b, c in ((1, 5, 1), (2, 7, None), (3, 6, None), (9, 6, None))]
    a, b = galaxies.separations(rows, [True, True, True, False], ["a", "b", "c"])
    assert (a.having, a.others, a.separates) == ((1, 3), (9, 9), True)
    assert not b.separates
    assert a.chance == b.chance == 0.5  # of four values in random order one given value is at an end in two cases


def test_the_chance_of_a_separation_is_what_shuffling_gives():
    generator, (one,) = np.random.default_rng(42), galaxies.separations([{"x": 0}] * 5, [True] * 3 + [False] * 2, ["x"])
    drawn = generator.permuted(np.tile(np.arange(5), (20_000, 1)), axis=1)
    apart = (drawn[:, :3].max(1) < drawn[:, 3:].min(1)) | (drawn[:, 3:].max(1) < drawn[:, :3].min(1))
    assert apart.mean() == pytest.approx(one.chance, abs=0.01)


# --- results


@pytest.fixture(scope="module")
def smoky(tmp_path_factory):
    """Forty tokens, the last three in one hole; two of them are called unused, one of these in the hole."""
    texts = [f"t{i}" for i in range(38)] + ["[unused0]", "[unused1]"]
    return open_path(plant_model(tmp_path_factory.mktemp("smoky") / "model", texts))


def told_of(model) -> dict:
    return results_galaxies.of_model(model.catalogue, model.vocabulary, results_smoke.tokenizer(model))


def test_a_planted_catalogue_is_told_on_one_page(smoky):
    told = told_of(smoky)
    assert (told["n_tokens"], told["dim"], told["storage"], told["populations"]) == (40, 12, "BF16", [3])
    group = told["group"]
    assert (group["tokens"], group["rows"], group["radius"], group["farthest"]) == (3, 1, 0.0, 0)
    assert group["noise"] is None and group["varying"] == 0 and group["widths"][0] is None and group["widths"][1] > 0
    assert group["texts"] == ["t37", "[unused0]", "[unused1]"]
    assert told["spare"]["tokens"] == 2 and told["spare"]["radius"] == 0 and told["spare"]["rounded"] is None
    assert told["coarse"] is None  # it has its hole
    suspects = results_smoke.dead_candidates(smoky.catalogue, smoky.vocabulary, results_smoke.tokenizer(smoky))["ids"]
    assert told["special"] == [0, 0] and told["candidates"] == len(suspects) >= 3
    assert told["norms"]["tokens"].sum() == 40 and told["norms"]["marked"].sum() == len(suspects)
    assert len(told["spectrum"]) == 12
    assert told["participation_ratio"] == results.eigenbasis(smoky.catalogue)["participation_ratio"]
    assert told["reach"] == {"tested": 40, "unreachable": 0, "tested_inside": 3, "unreachable_inside": 0,
                             "unreachable_spare": 0, "continuations": 0}  # fmt: skip


def test_word_pieces_that_continue_are_left_out_and_float32_is_rounded(tmp_path):
    words = ["[UNK]", "[unused0]", "star", "##s", "##ry", *(f"word{i}" for i in range(35))]
    tokenizer = {
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[UNK]"},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "normalizer": None, "decoder": None, "post_processor": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {word: i for i, word in enumerate(words)}},
        "added_tokens": [],
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    gamma = np.random.default_rng(1).normal(0, 1, (40, 4)).astype("<f4")
    gamma[7] = np.nextafter(gamma[6], np.float32(9))  # one bit apart: one place in bfloat16
    (tmp_path / "model.safetensors").write_bytes(safetensors({"lm_head.weight": ("F32", gamma.shape, gamma.tobytes())}))
    told = told_of(open_path(tmp_path / "model.safetensors"))
    assert told["populations"] == [] and told["spare"]["rounded"] == 2
    reach = told["reach"]  # [UNK] and [unused0] are cut at their brackets; padding would have made all unreachable
    assert (reach["tested"], reach["continuations"], reach["unreachable"], reach["unreachable_spare"]) == (38, 2, 2, 1)


def test_a_coarser_grid_puts_near_rows_together_first(tmp_path):
    gamma = 10 * np.eye(12, 4, dtype="<f4") + np.arange(48, dtype="<f4").reshape(12, 4)
    gamma[3] = gamma[2] + np.float32(0.9)
    gamma[0, 0] = 127
    (tmp_path / "model.safetensors").write_bytes(safetensors({"lm_head.weight": ("F32", gamma.shape, gamma.tobytes())}))
    catalogue = open_path(tmp_path / "model.safetensors").catalogue
    spare = np.arange(12) == 3
    for bits in range(8, 1, -1):  # the slow way
        step = 127 / (2 ** (bits - 1) - 1)
        rows, counts = np.unique(np.rint(gamma / np.float32(step)), axis=0, return_counts=True)
        if (counts > 1).any():
            break
    found = results_galaxies._coarse(catalogue, spare)
    assert (found["bits"], found["holes"]) == (bits, (counts > 1).sum()) and found["tokens"] == counts[counts > 1].sum()
    assert found["spare"] == 1 and bits < 8


def test_padding_and_truncation_of_a_tokenizer_are_for_sentences_and_left_out():
    word = {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[PAD]": 2}, "unk_token": "[PAD]"}
    pad = {"strategy": {"Fixed": 5}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 2, "pad_type_id": 0,
           "pad_token": "[PAD]"}  # fmt: skip
    cut = {"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    described = {"model": word, "pre_tokenizer": {"type": "Whitespace"}, "padding": pad, "truncation": cut}
    assert from_tokenizer_json(json.dumps(described)).encode(["a", "a b a"]) == [[0], [0, 1, 0]]


def test_a_wheel_s_model_opens_with_the_tokenizer_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AZIMUTH_MODELS", str(tmp_path / "models"))
    folder = plant_model(tmp_path / "models" / "planted", ["a", "b", "[unused0]"] * 10)
    files = [folder / "model.safetensors", folder / "tokenizer.json"]
    members = tuple(Member(f"x/{file.name}", file.stat().st_size, sha256_of(file)) for file in files)
    wheel = Wheel("planted==1.0", 1, "0" * 64)  # never fetched: the files are here, and are what was pinned
    row = Entry("planted", "model", "Planted", "none", "a test", "this file", wheel, members)
    monkeypatch.setattr(sources, "registry", lambda: {"planted": row})
    monkeypatch.setitem(sources.ENCODERS, "planted", "lm_head.weight")
    found = sources.locate("planted")
    assert (found.path, found.label, found.tensor) == (files[0], "Planted", "lm_head.weight")
    model = results.model("planted")
    assert model.vocabulary.source == "tokenizer.json" and model.catalogue.label == "Planted"


def test_pins_are_of_wheels_and_change_with_what_is_pinned(monkeypatch):
    pins = [results_galaxies.pinned(name) for name in results_galaxies.GALAXIES]
    assert len({pin.fingerprint for pin in pins}) == len(pins)
    before = results_galaxies.measured.call(pins[2]).key
    monkeypatch.setitem(sources.ENCODERS, pins[2].name, "another.tensor")
    assert results_galaxies.measured.call(results_galaxies.pinned(pins[2].name)).key != before
    with pytest.raises(KeyError):
        results_galaxies.pinned("no such model")


def test_what_is_shipped_is_small_and_there():
    """The page of the default edition needs none of the downloads."""
    for name in results_galaxies.GALAXIES:
        call = results_galaxies.measured.call(results_galaxies.pinned(name))
        if not call.entry("shipped").is_dir():
            pytest.skip(f"code changed since galaxy/{name} was shipped: `python -m compute bless galaxy/{name}`")
        assert call.read().provenance.model == results_galaxies.pinned(name).label
        assert sum(path.stat().st_size for path in call.entry("shipped").rglob("*")) < 100_000


def test_a_training_is_a_cloud_like_the_others(monkeypatch):
    from compute import results_goldilocks

    rows = np.random.default_rng(3).normal(0, 1, (60, 8)).astype(np.float32)
    dead = np.arange(60) >= 50
    monkeypatch.setattr(results_goldilocks, "final_bits", lambda *_: rows.view(np.uint32))
    found = results_galaxies.of_arm.__wrapped__(type("Corpus", (), {"dead": dead})(), {})
    spectrum = np.linalg.eigvalsh(np.cov(rows.astype(float).T, bias=True))[::-1]
    assert found["spectrum"] == pytest.approx(spectrum, rel=1e-5)
    assert found["participation_ratio"] == pytest.approx(spectrum.sum() ** 2 / (spectrum**2).sum())
    assert found["norms"]["marked"].sum() == 10


# --- rows, tables, figure


def remains(populations=(), **changed) -> dict:
    layers = {"core": 1, "oort": 0}
    return {"storage": "bfloat16", "n_tokens": 90, "dim": 8, "dead_tokens": 40, "populations": np.array(populations),
            "layers": layers, "cloud": {"hop": 1e-3}} | changed  # fmt: skip


def cloud(seed: int = 0) -> dict:
    norms = np.random.default_rng(seed).gamma(9, 1, 90)
    return {"centroid_norm": 0.5, "median_norm": 2.0, "participation_ratio": 4.0, "spectrum": np.arange(8, 0, -1.0),
            "norms": galaxies.norm_histogram(norms, norms > 12)}  # fmt: skip


@pytest.fixture
def skies(smoky):
    trained = {"one-point": (remains([30, 2]), cloud()), "fp32": (remains(storage="float32"), None)}
    return {"model": told_of(smoky)}, trained


def test_rows_know_what_is_measured_and_what_is_only_told(skies):
    rows = tables.rows(*skies)
    kinds = [row["kind"] for row in rows]
    assert kinds == ["measured", *["Goldilocks"] * 2, *["published"] * 3, *["claimed"] * 2]
    assert all(row.keys() >= tables.EMPTY.keys() for row in rows)
    measured, point, fp32, qwen, base, *_, gemma = rows
    assert (measured["holes"], measured["in_holes"], measured["reached"]) == (1, 3, 0.0)
    assert (point["holes"], point["in_holes"], point["storage"], point["spread_share"]) == (2, 32, "BF16", 0.5)
    assert (fp32["storage"], fp32["participation_ratio"], fp32["largest"]) == ("F32", None, None)
    assert (qwen["holes"], qwen["in_holes"], qwen["n_tokens"], qwen["core"]) == (13, 2100, 151_936, 2159)
    assert (base["holes"], base["in_holes"], base["n_tokens"]) == (62, 2192, None)
    assert (gemma["holes"], gemma["in_holes"], gemma["storage"]) == (0, None, None)
    assert tables.published(rows) == ["Qwen3-4B-Instruct-2507", "Qwen3-4B-Base", "Qwen2.5-3B-Instruct"]
    assert list(tables.crowds(rows).values())[:2] == [[3], [30, 2]]


def test_the_table_has_one_row_a_catalogue_and_says_what_is_published(skies):
    rows = tables.rows(*skies)
    columns = tables.table(rows)
    assert {len(column) for column in columns.values()} == {len(rows)}
    names = columns["catalogue"]
    assert names[:2] == ["model", "Goldilocks, one point"]
    assert columns["tokens × dim"][3:5] == ["151,936 × 2,560", None]
    assert (columns["core + Oort"][3], columns["holes (tokens)"][-2:]) == ("2,159 + 53", ["0", "0"])
    assert names[3].endswith("(published)") and names[-1].endswith("(published, count only)")


def test_the_rate_that_fades_a_start_to_a_cell_is_what_stepping_gives():
    sky = {"W": {"dim": 400, "group": {"widths": [1e-6, 1e-5]}}}
    told = tables.fading(sky, "W")
    steps = 20_000  # the same with fewer steps and a larger rate: only their product counts
    scale = told["updates"] / steps
    rates = told["rate"] * scale * (1 - np.arange(steps) / steps)
    left = 400**-0.5 * np.prod(1 - rates * told["weight_decay"])
    assert left == pytest.approx(1e-6, rel=0.02)


def test_a_lineage_counts_once_and_goldilocks_not_at_all(skies):
    compared = tables.compared(tables.rows(*skies))
    assert [row["catalogue"] for row in compared] == ["model", "Qwen3-4B-Instruct-2507"]
    columns, found = tables.traits(tables.rows(*skies))
    assert found == [] and all(column == [] for column in columns.values())  # none without holes


def test_who_lives_inside_is_named(skies):
    assert tables.inhabitants(skies[0], shown=2)["the innermost"] == [["t37", "[unused0]"]]
    assert tables.inhabitants(skies[0])["apart in"] == ["0 of 12"]


def test_what_noise_would_make_is_set_beside_what_is_found(skies):
    assert all(column == [] for column in tables.noise(skies[0]).values())
    told = {"found": [5, 2, 6, 4], "low": [4, 1, 3, 2], "high": [9, 3, 7, 5], "chance": 0.4}
    columns = tables.noise({"A": {"group": {"noise": told}}})
    assert (columns["places"], columns["places, dealt"], columns["chance"]) == ([5], ["4 to 9"], [0.4])


class Kept:
    """A call of the cache that knows only whether it is kept."""

    def __init__(self, value):
        self.value = value

    def read(self):
        return self.value

    def state(self) -> str:
        return "missing" if self.value is None else "shipped"

    def run(self):
        return self.value or cloud()


def test_arms_are_taken_as_far_as_they_are_kept_and_none_is_trained(monkeypatch):
    ends = {"pure-bf16": remains(), "fp32": remains(), "one-point": remains([2])}
    matrix = results_galaxies.results_goldilocks.matrix
    clouds = {(results_galaxies.of_arm, "pure-bf16"): cloud(1), (matrix, "one-point"): {}}
    monkeypatch.setattr(results_galaxies.results_embers, "call_of", lambda name, seed: Kept(ends.get(name)))
    monkeypatch.setattr(results_galaxies, "_of_first", lambda function, name: Kept(clouds.get((function, name))))
    told = results_galaxies.arms()
    assert list(told) == ["pure-bf16", "fp32", "one-point"]  # as the experiments are listed
    assert [found is not None for _, found in told.values()] == [True, False, True]
    kept = sum(one.steps > experiments.FIRST for one in experiments.EXPERIMENTS.values())
    assert len(tables.missing(told)) == kept - 3 and "N(0, 1)" in " ".join(tables.missing(told)).replace("\u00a0", " ")


@pytest.mark.parametrize("some", [{}, {"one-point": (remains([30, 2]), cloud())}])
def test_the_figure_draws_whatever_is_there(skies, some):
    sky = skies[0]
    rows = tables.rows(sky, some)
    portraits = tables.portraits(sky, some)
    assert list(portraits) == ["model", *(["Goldilocks, one point"] if some else [])]
    figure = figures_galaxies.portraits(portraits, tables.crowds(rows), tables.published(rows))
    figure.canvas.draw()
    *panels, below = figure.axes
    assert len(panels) == 2 * len(portraits)
    assert [line.get_linestyle() for line in below.lines].count("--") == 3
    assert len(figures_galaxies.portraits({}, {}, []).axes) == 3
