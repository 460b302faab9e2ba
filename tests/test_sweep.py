"""Sweeps: what a file may declare, one name for one run, the command, the numbers over the grid, the figure."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from test_corpus import english, thai

from compute import __main__ as front
from compute import experiments, figures_sweep, paths, results_goldilocks, results_sweep, sweeping, sweeps
from compute.corpus import open_corpus
from compute.fleet import choice
from compute.goldilocks import checkpoints
from compute.goldilocks.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
TINY = """
experiment = "pure-bf16"
steps = 20
seeds = [1, 2]
[fixed]
layers = 2
width = 16
heads = 1
feed_forward = 32
context = 16
batch = 2
[axes]
learning_rate = [1e-3, 1e4]
protocol = ["pure-bf16", "fp32"]
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A sweep of eight runs, half of which diverge, on a small corpus, with a cache of its own."""
    (tmp_path / "stars.txt").write_text(english(), "utf-8")
    (tmp_path / "thai.txt").write_text(thai(), "utf-8")
    monkeypatch.setenv("AZIMUTH_CORPUS", str(tmp_path / "stars.txt"))
    monkeypatch.setenv("AZIMUTH_CORPUS_UNSEEN", str(tmp_path / "thai.txt"))
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(choice.VARIABLE, "local")
    monkeypatch.setattr(paths, "results_folder", lambda: tmp_path / "results")
    file = tmp_path / "tiny.toml"
    file.write_text(TINY, "utf-8")
    return file


def declared(tmp_path, text: str) -> sweeps.Sweep:
    file = tmp_path / "one.toml"
    file.write_text(text, "utf-8")
    return sweeps.read(file)


# The declaration


def test_the_example_is_a_sweep_that_takes_seconds():
    found = sweeps.read(ROOT / "data" / "sweeps" / "lean.toml")
    assert len(found.runs()) * found.steps <= 500 and found.question and found.name == "lean"
    assert all(Settings(**found.settings(point, seed)).width == 64 for point, seed in found.runs())


def test_a_point_is_named_as_the_experiment_s_own_run(tmp_path):
    """The same settings are one result, however they were asked for: on an axis, fixed, or by an experiment's name."""
    for one in experiments.EXPERIMENTS.values():
        start = f'experiment = "{one.name}"\nseeds = [42, 43, 44]\n'
        found = declared(tmp_path, start + "[axes]\nwidth = [128]")  # Goldilocks' own width
        for point, seed in found.runs():
            assert found.settings(point, seed) == one.settings(seed) and found.steps == one.steps
    stated = 'experiment = "pure-bf16"\nsteps = 6000\n[axes]\nbeta2 = [0.999, 0.99, 0.95]\n'
    found = declared(tmp_path, stated + "[fixed]\ntied = true\nweight_decay = 0.01\n")
    known = experiments.EXPERIMENTS
    assert [found.settings(point, 42) for point in found.points()[1:]] == [
        known["beta2-0.99"].settings(42), known["beta2-0.95"].settings(42)
    ]  # fmt: skip
    assert found.settings(found.points()[0], 42) == known["pure-bf16"].settings(42) | {"steps": 6000}
    assert found.seeds == known["pure-bf16"].seeds


def test_a_whole_number_on_a_float_axis_is_a_float(tmp_path):
    found = declared(tmp_path, 'experiment = "pure-bf16"\n[axes]\nweight_decay = [4, 0]\n')
    settings = [found.settings(point, 42) for point in found.points()]
    assert [type(one["weight_decay"]) for one in settings] == [float, float]
    assert settings[0] == experiments.EXPERIMENTS["decay-that-counts"].settings(42) | {"steps": 12_000}


START = 'experiment = "pure-bf16"\n'
AXES = "[axes]\nbeta2 = [0.9, 0.99]\n"
WRONG = {
    "experiment = ": "is no TOML",
    AXES: "experiment is missing",
    'experiment = "purebf16"\n' + AXES: "no experiment 'purebf16'; there are: pure-bf16",
    "experiment = 3\n" + AXES: "experiment must be the name of an experiment, not 3",
    START: "axes is missing",
    START + "[axes]\n": r"\[axes\] is empty",
    START + "axes = 3\n": "axes must be a table",
    START + "axis = 3\n" + AXES: r"no key 'axis' \(did you mean axes\?\)",
    START + "[axes]\nlearningrate = [1.0]\n": r"no field 'learningrate' \(did you mean learning_rate\?\)",
    START + "[axes]\nbeta2 = []\n": "the axis beta2 must be a list with at least one value",
    START + "[axes]\nbeta2 = 0.9\n": "the axis beta2 must be a list with at least one value, not 0.9",
    START + "[axes]\nbeta2 = [[0.9]]\n": "must hold single values",
    START + "[axes]\nbeta2 = [0.9, 0.99, 0.9]\n": "the axis beta2 has 0.9 twice",
    START + "[axes]\nweight_decay = [1, 1.0]\n": "the axis weight_decay has 1.0 twice",
    START + '[axes]\nbeta2 = ["high"]\n': "the point beta2 = 'high': beta2 must be float, not 'high'",
    START + "[axes]\nlayers = [true]\n": "layers must be int, not True",
    START + "[axes]\nlayers = [2.0]\n": "layers must be int, not 2.0",
    START + "[axes]\nheads = [2.0]\n": "heads must be int, not 2.0",
    START + "[axes]\nbeta2 = [1.5]\n": "the point beta2 = 1.5: beta2 must be at least 0 and below 1",
    START + "[axes]\nbeta2 = [nan]\n": "beta2 must be at least 0 and below 1",
    START + "[axes]\nheads = [3]\n": "heads must be a divisor of the width",
    START + '[axes]\nprotocol = ["bf17"]\n': "protocol must be one of pure-bf16",
    START + "[axes]\nsteps = [10, 20]\n": "steps is neither an axis nor fixed: say steps = N",
    START + "[axes]\nseed = [1]\n": "seed is neither an axis nor fixed: say seeds",
    START + AXES + "[fixed]\nbeta2 = 0.9\n": "beta2 cannot be an axis and fixed",
    START + AXES + "[fixed]\nbeta3 = 0.9\n": "Settings has no field 'beta3'",
    START + AXES + "[fixed]\nbeta1 = [0.9]\n": "beta1 must be float",
    START + "seeds = []\n" + AXES: "seeds must be a list with at least one value",
    START + "seeds = [1, 1]\n" + AXES: "seeds has 1 twice",
    START + "seeds = [-1]\n" + AXES: "seed must be at least 0",
    START + "seeds = [true]\n" + AXES: "seed must be int, not True",
    START + "seeds = 3\n" + AXES: "seeds must be a list of whole numbers",
    START + "steps = 0\n" + AXES: "steps must be 1 or more",
    START + "steps = true\n" + AXES: "steps must be a whole number",
    START + "steps = 1.5\n" + AXES: "steps must be a whole number",
    START + f"seeds = {list(range(6000))}\n" + AXES: "12,000 trainings, and 10,000 are the most",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: re.sub(r"\s+", " ", text)[-40:])
def test_what_is_no_sweep_is_told_in_one_sentence(text, tmp_path, capsys):
    file = tmp_path / "wrong.toml"
    file.write_text(text, "utf-8")
    assert front.main(["sweep", str(file)]) == 2
    said = capsys.readouterr()
    assert not said.out and re.search(WRONG[text], said.err) and str(file) in said.err
    assert said.err.count("\n") == 1


def test_a_sweep_that_is_not_there_is_told_so(tmp_path, capsys):
    assert front.main(["sweep", str(tmp_path / "none.toml")]) == 2
    assert "no sweep at" in capsys.readouterr().err


# The command


def test_a_sweep_is_listed_trained_and_kept(tiny, capsys):
    assert front.main(["sweep", str(tiny), "--list", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["missing"], told["diverged"], len(told["runs"])) == (8, 0, 8)
    assert {run["state"] for run in told["runs"]} == {"missing"}

    assert front.main(["sweep", str(tiny), "--json"]) == 1
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["missing"], told["diverged"]) == (0, 4), "a rate of 1e4 is too much"
    assert "training 8, 20 steps each" in said.err and "8 of 8: " in said.err and said.err.count("the loss is") == 4
    by_run = {(run["point"]["learning_rate"], run["point"]["protocol"], run["seed"]): run for run in told["runs"]}
    wild = by_run[1e4, "pure-bf16", 2]
    assert wild["state"] == "diverged" and wild["final_loss"] is None and "at step" in wild["error"]
    good = by_run[1e-3, "fp32", 2]
    kept = results_goldilocks.run.call(open_corpus(), good["settings"]).read()
    assert good["state"] == "fresh" and good["final_loss"] == kept["final_loss"]
    assert 0 <= good["median_freeze_step"] <= 20 and 0 <= good["frozen_fraction"] <= 1

    assert front.main(["sweep", str(tiny)]) == 1
    said = capsys.readouterr()
    assert "4 of 8 runs are there; training 4" in said.err
    rows = said.out.splitlines()
    assert rows[0].startswith("tiny: ") and sum("2 fresh" in row for row in rows) == 2
    assert sum("2 diverged" in row and row.rstrip().endswith("-") for row in rows) == 2
    assert max(map(len, rows)) <= 120


def test_a_run_that_was_broken_off_tells_how_far_it_is(tiny, capsys):
    sweep = sweeps.read(tiny)
    settings = sweep.settings(*sweep.runs()[0])
    folder = results_goldilocks.trained.call(open_corpus(), settings).workspace()
    folder.mkdir(parents=True)
    safetensors.numpy.save_file({"losses": np.zeros(7)}, folder / checkpoints.NAME, {"step": "7"})
    front.main(["sweep", str(tiny), "--list", "--json"])
    states = [run["state"] for run in json.loads(capsys.readouterr().out)["runs"]]
    assert states == ["at step 7"] + ["missing"] * 7
    (folder / checkpoints.NAME).write_bytes(b"damaged")
    assert sweeping._begun(results_goldilocks.run.call(open_corpus(), settings)) is None


def test_a_broken_off_sweep_says_how_to_go_on(tiny, capsys, monkeypatch):
    def interrupted(*words, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeping.fleet, "gather", interrupted)
    assert front.main(["sweep", str(tiny), "--json"]) == 130
    said = capsys.readouterr()
    assert json.loads(said.out)["missing"] == 8 and "goes on from the last checkpoints" in said.err


# What a chapter calls


def test_the_landscape_is_the_numbers_over_the_axes(tiny):
    found = results_sweep.landscape(str(tiny))
    assert found["axes"] == {"learning_rate": [1e-3, 1e4], "protocol": ["pure-bf16", "fp32"]}
    loss = found["final_loss"]
    assert loss.shape == (2, 2, 2) and np.isnan(loss[1]).all() and np.isfinite(loss[0]).all()
    one = sweeps.read(tiny).settings({"learning_rate": 1e-3, "protocol": "fp32"}, 2)
    assert loss[0, 1, 1] == results_goldilocks.run(open_corpus(), one)["final_loss"]
    assert found.provenance.function == "compute.results_sweep._landscape"


def test_arranged_puts_each_run_in_its_place():
    axes = {"a": [1, 2, 3], "b": ["x", "y"]}
    runs = [dict.fromkeys(results_sweep.NUMBERS, float(n)) if n != 5 else None for n in range(12)]
    values = results_sweep.arranged(axes, 2, runs)["final_loss"]
    assert values.shape == (3, 2, 2) and values[2, 1, 0] == 10 and np.isnan(values[1, 0, 1])


def drawn(figure) -> list:
    return [panel for panel in figure.axes if panel.axison]


def test_the_figure_shows_every_run_once():
    axes = {"protocol": ["pure-bf16", "fp32"], "beta2": [0.95, 0.99, 0.999], "learning_rate": [1e-4, 1e-3, 1e-2, 1e-1]}
    values = np.arange(2 * 3 * 4 * 2, dtype=float).reshape(2, 3, 4, 2)
    values[0, 0, 0] = np.nan
    panels = drawn(figures_sweep.landscape(axes, values))
    assert [panel.get_title() for panel in panels] == ["protocol pure-bf16", "protocol fp32"]
    assert panels[0].get_xscale() == "log" and panels[0].get_xlabel() == "learning rate"
    for number, panel in enumerate(panels):
        means, dots = panel.lines[::2], panel.lines[1::2]
        assert [line.get_label() for line in means] == ["beta2 0.95", "beta2 0.99", "beta2 0.999"]
        for line, cloud, wanted in zip(means, dots, values[number], strict=True):
            assert np.array_equal(line.get_ydata(), wanted.mean(axis=1), equal_nan=True)
            assert np.array_equal(cloud.get_ydata().reshape(4, 2), wanted, equal_nan=True)
            assert np.array_equal(line.get_xdata(), axes["learning_rate"])


def test_the_figure_takes_words_one_axis_and_many_panels():
    (panel,) = drawn(figures_sweep.landscape({"protocol": ["a", "b"]}, np.ones((2, 1))))
    assert [text.get_text() for text in panel.get_xticklabels()] == ["a", "b"] and len(panel.lines) == 2
    axes = {"a": [1, 2], "b": [0.1, 0.2, 0.3], "c": ["x", "y"], "d": [True, False]}
    panels = drawn(figures_sweep.landscape(axes, np.ones((2, 3, 2, 2, 1)), logarithmic=True))
    assert len(panels) == 4 and panels[0].get_yscale() == "log" and panels[3].get_title() == "c y, d False"
