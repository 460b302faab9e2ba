"""The named experiments: their table, their command on a small corpus, what is shipped of them."""

import argparse
import json
import shutil
import threading

import numpy as np
import pytest
from test_corpus import english, thai

from compute import __main__ as front
from compute import experiments, laboratory, paths, results_experiments, results_goldilocks, rounding
from compute.cache import entries, opened, origin, store
from compute.corpus import open_corpus
from compute.experiments import EXPERIMENTS, Experiment
from compute.goldilocks.settings import Settings
from compute.lattice import BFLOAT16

LEAN = {"layers": 2, "width": 16, "heads": 1, "feed_forward": 32, "context": 16, "batch": 2}
ASKED = (
    "pure-bf16 fp32-moments stochastic-rounding fp32-master fp32 beta2-0.99 beta2-0.95 no-decay decay-that-counts "
    "published-init one-point supernova"
).split()
KEYS = (
    "name seeds steps dead_tokens frozen_fraction frozen_for_good median_freeze_step final_loss unigram_entropy "
    "radius_start radius_end centroid_end stragglers"
).split()


@pytest.fixture
def lean(tmp_path, monkeypatch):
    """Two small experiments of 200 steps in place of the table, on a small corpus, with a cache of their own."""
    (tmp_path / "stars.txt").write_text(english(), "utf-8")
    (tmp_path / "thai.txt").write_text(thai(), "utf-8")
    monkeypatch.setenv("AZIMUTH_CORPUS", str(tmp_path / "stars.txt"))
    monkeypatch.setenv("AZIMUTH_CORPUS_UNSEEN", str(tmp_path / "thai.txt"))
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "results_folder", lambda: tmp_path / "results")
    monkeypatch.setattr(experiments, "MILESTONE", 100)
    monkeypatch.setattr(results_experiments, "MILESTONE", 100)
    (tmp_path / "results").mkdir()
    table = [
        Experiment("lean", "Does it run?", 200, LEAN, (1, 2), ("matrix",)),
        Experiment("wide", "And in float32?", 100, LEAN | {"protocol": "fp32"}, (1,)),
    ]
    monkeypatch.setattr(experiments, "EXPERIMENTS", {one.name: one for one in table})
    return table


@pytest.fixture
def command(capsys):
    """Runs `python -m compute experiment ...` here, and returns (exit code, stdout, stderr)."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = front.main(["experiment", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


# The table


def test_every_experiment_that_is_asked_for_has_its_steps_and_three_seeds():
    assert set(ASKED) <= set(EXPERIMENTS)
    for name, one in EXPERIMENTS.items():
        long = 12_000 if name in ("pure-bf16", "published-init") else 100 if name == "supernova" else 6_000
        assert (one.name, one.steps, one.seeds) == (name, long, (42, 43, 44))
        settings = [Settings(**one.settings(seed)) for seed in one.seeds]
        assert [one.seed for one in settings] == [42, 43, 44] and settings[0].steps == long


def test_no_two_experiments_are_one():
    arms = [json.dumps(one.settings(42) | {"steps": 0}) for one in EXPERIMENTS.values() if one.name != "supernova"]
    assert len(set(arms)) == len(arms)
    assert list(EXPERIMENTS["fp32"].settings(42)) == sorted(EXPERIMENTS["fp32"].settings(42))


def test_the_decay_that_counts_is_the_smallest_whole_one_that_moves_every_weight():
    normal = np.arange(128, BFLOAT16.infinity)
    largest = rounding.decay_threshold(normal).max()
    rate, decay = Settings().learning_rate, experiments.DECAY_THAT_COUNTS
    assert rate * (decay - 1) < largest < rate * decay
    assert (rounding.decay_cells(normal, rate * decay) >= 1).all()
    assert Settings().weight_decay * rate * 195 < rounding.decay_threshold(normal).min()


def test_an_unknown_experiment_is_answered_with_the_names(command):
    code, out, err = command("purebf16")
    assert code == 2 and not out and all(name in err for name in EXPERIMENTS)


def test_flags_without_a_name_and_seeds_that_are_none_are_refused(command, capsys):
    for flag in (["--run"], ["--ship"], ["--seed", "42"]):
        code, _, err = command(*flag)
        assert code == 2 and "NAME" in err
    for seed in ("-1", "1.5", "x", str(1 << 63)):
        with pytest.raises(SystemExit):
            command("fp32", "--seed", seed)
        assert "is no seed" in capsys.readouterr().err


# The command


def test_a_run_from_nothing_to_shipped(lean, command, tmp_path, monkeypatch):
    code, out, err = command("lean", "--json")
    assert code == 1 and json.loads(out)["seeds"] == [] and "not there: lean with seed 1, 2" in err and "--run" in err
    code, out, err = command("lean", "--run", "--json")
    told = json.loads(out)
    assert code == 0 and list(told)[0] == "name" and set(KEYS) <= set(told) and told["missing"] == []
    assert told["seeds"] == [1, 2] and err.count("training lean") == 2
    for kind in ("frozen_fraction", "frozen_for_good"):
        assert list(told[kind]) == ["100", "200"] and all(len(row) == 2 for row in told[kind].values())
        assert all(0 <= share <= 1 for row in told[kind].values() for share in row)
    assert told["frozen_for_good"]["200"] == [1, 1]
    assert all(len(told[name]) == 2 for name in ("final_loss", "median_freeze_step", "radius_start", "centroid_end"))
    assert told["settings"]["width"] == 16 and "seed" not in told["settings"]
    assert all(token["text"] for row in told["stragglers"] for token in row["tokens"])
    monkeypatch.setattr("compute.goldilocks.training.train", lambda *_: pytest.fail("it trained again"))
    code, out, err = command("lean", "--run")
    assert code == 0 and not err and "unigram entropy" in out and "2 fresh" in command()[1]

    code, _, err = command("lean", "--ship")
    assert code == 0 and [line.split()[1] for line in err.splitlines()] == [
        "lexicon:", "lean/1:", "lean/1/remains:", "lean/1/matrix:", "lean/2:", "lean/2/remains:"
    ]  # fmt: skip
    shutil.rmtree(tmp_path / "cache")  # a fresh clone: what is shipped is enough, and no text is tokenised
    shutil.rmtree(tmp_path / "results" / "writing", ignore_errors=True)
    code, out, err = command("lean", "--json")
    again = json.loads(out)
    assert (code, err) == (0, "") and again == told and "2 shipped" in command()[1]
    assert not list((tmp_path / "cache").glob("compute.corpus*"))
    bits = results_goldilocks.final_bits(open_corpus(), lean[0].settings(1))
    assert bits.dtype == np.uint16 and bits.shape[1] == 16


def test_what_the_numbers_are(lean, command):
    """The summary against what one would count by hand, from a run whose every step is looked at."""
    from compute.goldilocks.training import train

    class Watch:
        wants_all = False

        def __init__(self):
            self.moved, self.rows, self.losses = [], [], []

        def observe(self, step, before, after, measures):
            self.moved.append((before != after).any(dim=1).numpy())
            self.rows = [self.rows[0] if self.rows else before.double().numpy(), after.double().numpy()]
            self.losses.append(measures["loss"])

        def state(self):
            return {}

        def restore(self, state):
            pass

    corpus, watch = open_corpus(), Watch()
    train(Settings(**lean[0].settings(1)), corpus.stream, corpus.dead, paths.cache_folder() / "aside", [watch])
    told = json.loads(command("lean", "--run", "--seed", "1", "--json")[1])
    moved = np.array(watch.moved)  # (steps, n)
    last = np.array([np.flatnonzero(column).max(initial=-1) + 1 for column in moved.T])
    first, final = watch.rows
    assert told["dead_tokens"] == moved.shape[1] == int(corpus.dead.sum())
    assert told["frozen_fraction"]["100"] == [pytest.approx((~moved[:100]).mean())]
    assert told["frozen_fraction"]["200"] == [pytest.approx((~moved[100:]).mean())]
    assert told["frozen_for_good"]["100"] == [pytest.approx((last <= 100).mean())]
    assert told["median_freeze_step"] == [np.median(last)]
    assert told["stragglers"][0]["count"] == (last > 190).sum()
    assert told["final_loss"] == [pytest.approx(np.mean(watch.losses[-100:]))]
    radius = [np.linalg.norm(rows - rows.mean(axis=0), axis=1).mean() for rows in (first, final)]
    assert [told["radius_start"][0], told["radius_end"][0]] == pytest.approx(radius, rel=1e-5)
    assert told["centroid_end"] == [pytest.approx(np.linalg.norm(final.mean(axis=0)), rel=1e-5)]


def test_a_float32_run(lean, command):
    assert command("wide", "--run")[0] == 0
    found = results_goldilocks.trained(open_corpus(), lean[1].settings(1))
    assert found["matrix"].dtype == np.uint32 and found["second_moment"].min() >= 0


def test_a_run_that_was_killed_goes_on_and_ends_the_same(lean, command, monkeypatch):
    """What a kill leaves is the workspace with its last checkpoint: here, that of step 90."""
    from compute.goldilocks import training
    from compute.goldilocks.observation import Summary

    corpus, settings = open_corpus(), lean[0].settings(1)
    chosen = Settings(**settings)
    call = results_goldilocks.trained.call(corpus, settings)
    watcher = Summary(corpus.dead, chosen.width, chosen.steps)
    training.train(chosen, corpus.stream, corpus.dead, call.workspace(), [watcher], until=90)
    made, advance = [], training._Run._advance
    monkeypatch.setattr(training._Run, "_advance", lambda self: (made.append(self.step), advance(self)))
    assert command("lean", "--run", "--seed", "1")[0] == 0
    assert made == [*range(90, 200)] and not call.workspace().exists()
    broken = call.read()
    shutil.rmtree(call.entry())
    whole = call.run()
    assert np.array_equal(broken["matrix"], whole["matrix"]) and broken["held_out_loss"] == whole["held_out_loss"]
    assert json.dumps(str(broken["summary"])) == json.dumps(str(whole["summary"]))


def test_two_runs_with_one_name_take_turns(lean, command, monkeypatch):
    call = experiments.run_of(lean[1], 1)
    started, free = threading.Event(), threading.Event()

    def other():
        with entries.lock(call.function, call.key):
            started.set()
            free.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    started.wait(30)
    monkeypatch.setattr(laboratory, "_say", lambda text: (said.append(text), free.set()))
    said: list[str] = []
    assert command("wide", "--run")[0] == 0
    thread.join()
    assert said[0] == "another process trains wide with seed 1; waiting for it"


def test_a_disk_without_room_is_no_place_to_train(lean, command, monkeypatch):
    usage = type(shutil.disk_usage("."))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    code, out, err = command("wide", "--run")
    assert code == 2 and not out and "needs 200 MB" in err and "AZIMUTH_CACHE" in err


def test_a_loss_that_is_no_number_stops_the_run_and_names_it(lean, command, monkeypatch):
    def diverged(*_, **__):
        raise FloatingPointError("the loss is nan at step 7; the last good checkpoint stays")

    monkeypatch.setattr("compute.goldilocks.training.train", diverged)
    code, out, err = command("wide", "--run")
    assert code == 2 and not out and "wide with seed 1: the loss is nan at step 7" in err


def test_ctrl_c_says_how_to_go_on(lean, command, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("compute.goldilocks.training.train", interrupted)
    code, _, err = command("wide", "--run")
    assert code == laboratory.BROKEN_OFF and "goes on from the last checkpoint" in err


def test_the_command_explains_itself(capsys):
    parser = argparse.ArgumentParser(prog="compute")
    laboratory.add_commands(parser.add_subparsers())
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["experiment", "--help"])
    said = capsys.readouterr().out
    assert stop.value.code == 0 and all(word in said for word in ("--run", "--ship", "--seed", "--json", "frozen"))


# What is shipped


def test_the_probe_tells_a_run_from_another(lean, command):
    assert command("lean", "--run", "--seed", "1")[0] == 0
    corpus, settings = open_corpus(), lean[0].settings(1)
    kept = experiments.run_of(lean[0], 1).read()
    found = results_goldilocks.agreement(corpus, settings, kept, 20)
    assert found["identical"] and found["expected"] and found["close"] and set(found["differences"].values()) == {0.0}
    assert results_goldilocks.repeats(corpus, settings, kept)
    with pytest.raises(AssertionError, match="first_l1"):
        results_goldilocks.repeats(corpus, settings | {"seed": 7}, kept)


def shipped_runs() -> list:
    return [
        (name, call)
        for one in EXPERIMENTS.values()
        for seed in one.seeds
        for name, call in experiments.parts(one, seed).items()
    ] + [("lexicon", experiments.lexicon())]


def test_every_run_is_shipped_and_of_todays_code(monkeypatch):
    """The chapters rest on all of them, and nobody should have to train for hours to read; nor be shown old ones."""
    monkeypatch.delenv("AZIMUTH_CORPUS", raising=False)
    monkeypatch.delenv("AZIMUTH_CORPUS_UNSEEN", raising=False)
    lacking = [name for name, call in shipped_runs() if call.state() not in ("fresh", "shipped")]
    assert not lacking, f"bless, or train again and ship: {', '.join(lacking)}"


def test_nothing_is_shipped_of_other_code():
    """Not of the experiments alone: what nobody can read any more only takes room in every clone."""
    with origin.one_look():
        shipped = list(entries.every(paths.results_folder()))
        old = [str(entry) for entry in shipped if not origin.is_current(store.glance(entry / store.RECORD))]
    assert len(shipped) > 100 and not old, f"bless, or remove: {', '.join(old)}"


def test_what_is_shipped_takes_less_than_20_megabytes_of_a_disk():
    """As `du` counts: files and folders in blocks of 4 KB."""
    sizes = [path.stat().st_size if path.is_file() else 1 for path in paths.results_folder().rglob("*")]
    assert sum(-(-size // 4096) * 4096 for size in sizes) < 20 * 2**20


def test_shipped_runs_are_small():
    folder = paths.results_folder()
    sizes = [path.stat().st_size for path in folder.glob("compute.results_goldilocks.*/**/*") if path.is_file()]
    assert sum(sizes) < 15e6


def test_the_first_steps_of_a_shipped_run_come_out_again(monkeypatch):
    """Bit for bit where torch, instruction set and threads are those of the run; else within the stated tolerance."""
    from compute.models.inputs import registry
    from compute.models.sources import _is_here

    if not all(_is_here(registry()[row]) for row in ("newsgroups", "thai")):
        pytest.skip("20 Newsgroups and Thai are not here: python -m compute fetch newsgroups thai")
    monkeypatch.delenv("AZIMUTH_CORPUS", raising=False)
    monkeypatch.delenv("AZIMUTH_CORPUS_UNSEEN", raising=False)
    one = EXPERIMENTS["pure-bf16"]
    call = experiments.run_of(one, one.seeds[0])
    layer = "cache" if call.state() == "fresh" else "shipped"
    kept = opened(call.entry(layer), layer)
    found = results_goldilocks.agreement(open_corpus(), one.settings(one.seeds[0]), kept)
    assert found["identical"] if found["expected"] else found["close"], found
