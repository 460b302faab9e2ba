"""The training loop: same bits again and after a kill, what observers see, and what is refused."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from compute.goldilocks import checkpoints
from compute.goldilocks.settings import BALANCED, GOLDILOCKS, INITIALISATIONS, LEAN, OPTIMIZERS, PROTOCOLS, Settings
from compute.goldilocks.training import train, window_starts
from compute.goldilocks.transformer import initial, layout, views

TINY = replace(LEAN, batch=4, context=32, steps=30)
N_TOKENS, LIVE = 300, 180


def text(length=20_000, live=LIVE):
    """Token ids with Zipf's frequencies, and which of the vocabulary's tokens are dead."""
    weights = 1 / np.arange(1, live + 1)
    stream = np.random.default_rng(3).choice(live, length, p=weights / weights.sum()).astype(np.uint16)
    dead = np.ones(N_TOKENS, bool)
    dead[np.unique(stream)] = False
    return stream, dead


class Watcher:
    """Keeps everything that it is shown."""

    def __init__(self, wants_all=False):
        self.wants_all, self.seen = wants_all, []

    def observe(self, step, before, after, measures, **whole):
        self.seen.append((step, before, after, measures, {name: whole[name].clone() for name in whole}))

    def state(self):
        return {"steps": np.array([seen[0] for seen in self.seen], np.int64)}

    def restore(self, state):
        self.seen = [(step,) for step in state["steps"].tolist()]


def same(one, other):
    assert np.array_equal(one.losses, other.losses)
    for name, weight in one.weights.items():
        assert torch.equal(weight, other.weights[name]), name


def test_published_number_of_parameters():
    weights = views(initial(GOLDILOCKS, 3_988), layout(GOLDILOCKS, 3_988))
    assert sum(weight.numel() for name, weight in weights.items() if name != "padding") == 1_057_024


def test_siblings_are_the_published_ones():
    assert [(s.layers, s.width, s.heads, s.feed_forward / s.width) for s in (LEAN, BALANCED, GOLDILOCKS)] == [
        (2, 64, 1, 2), (3, 96, 2, 2), (4, 128, 2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("init", INITIALISATIONS)
def test_token_rows_start_where_the_settings_say(init):
    settings = replace(LEAN, init=init, init_std=0.5, init_spread=0.001 if init == "one-point-spread" else 0.0)
    weights = views(initial(settings, 4_000), layout(settings, 4_000))
    rows = weights["embedding"].double()
    spread = {"normal": 0.5, "one-point": 0.0, "one-point-spread": 0.001}[init]
    assert float((rows - rows.mean(0)).square().mean().sqrt()) == pytest.approx(spread, rel=0.01, abs=1e-12)
    assert float(rows.square().mean().sqrt()) == pytest.approx(0.5, rel=0.01 if init == "normal" else 0.3)
    assert float(weights["positions"].std()) == pytest.approx(0.5, rel=0.05)
    plain = views(initial(replace(LEAN, init_std=0.5), 4_000), layout(LEAN, 4_000))
    assert all(torch.equal(plain[name], weights[name]) for name in plain if name != "embedding")


def test_layers_start_as_torch_s_own_do():
    weights = views(initial(GOLDILOCKS, 200), layout(GOLDILOCKS, 200))
    layer = torch.nn.TransformerEncoderLayer(128, 2, 256, 0.0, "gelu", norm_first=True)
    pairs = {"in": layer.self_attn.in_proj_weight, "out": layer.self_attn.out_proj.weight}
    pairs |= {"linear1": layer.linear1.weight, "linear2": layer.linear2.weight}
    for name, weight in pairs.items():
        ours = weights[f"0.{name}.weight"]
        assert ours.shape == weight.shape
        assert float(ours.abs().max()) == pytest.approx(float(weight.detach().abs().max()), rel=0.02)
        assert float(ours.std()) == pytest.approx(float(weight.detach().std()), rel=0.05)
    assert not weights["0.in.bias"].any() and not weights["0.out.bias"].any()
    assert 0.9 / 128**0.5 < float(weights["0.linear1.bias"].abs().max()) < 1 / 128**0.5
    assert (weights["0.norm1.weight"] == 1).all() and not weights["norm.bias"].any()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_learns_and_gives_the_same_bits_again_and_when_broken_off(protocol, tmp_path):
    settings = replace(TINY, protocol=protocol)
    stream, dead = text()
    unbroken = train(settings, stream, dead, tmp_path / "unbroken")
    assert unbroken.step == 30 and unbroken.losses.shape == (30,)
    assert unbroken.losses[-5:].mean() < unbroken.losses[0] - 0.3
    same(unbroken, train(settings, stream, dead, tmp_path / "again"))
    for until in (1, 13, 30):
        broken = train(settings, stream, dead, tmp_path / "broken", until=until)
    same(unbroken, broken)
    after = train(settings, stream, dead, tmp_path / "broken")  # nothing left to do
    same(unbroken, after)
    assert after.steps_per_second == 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(optimizer, tmp_path):
    rate = 0.3 if optimizer == "sgd" else 1e-3
    settings = replace(TINY, optimizer=optimizer, learning_rate=rate, momentum=0.5 if optimizer == "sgd" else 0.0)
    losses = train(settings, *text(), tmp_path).losses
    assert losses[-5:].mean() < losses[0] - 0.1


def test_an_untied_head_is_what_is_watched(tmp_path):
    settings, (stream, dead) = replace(TINY, tied=False, weight_decay=0.0, protocol="fp32", steps=5), text()
    watcher = Watcher(wants_all=True)
    weights = train(settings, stream, dead, tmp_path, [watcher]).weights
    start = views(initial(settings, N_TOKENS), layout(settings, N_TOKENS))
    assert torch.equal(watcher.seen[-1][2], weights["head"][torch.from_numpy(dead)])
    assert torch.equal(weights["embedding"][torch.from_numpy(dead)], start["embedding"][torch.from_numpy(dead)])
    assert not torch.equal(weights["head"][torch.from_numpy(dead)], start["head"][torch.from_numpy(dead)])


@pytest.mark.parametrize("protocol", ["pure-bf16", "fp32-master", "fp32"])
def test_observers_see_what_happened_and_change_nothing(protocol, tmp_path):
    settings, (stream, dead) = replace(TINY, protocol=protocol, steps=8), text()
    watcher, ids = Watcher(wants_all=True), torch.from_numpy(np.flatnonzero(dead))
    watched = train(settings, stream, dead, tmp_path / "watched", [watcher])
    same(watched, train(settings, stream, dead, tmp_path / "unwatched"))
    assert [seen[0] for seen in watcher.seen] == list(range(1, 9))
    kind = torch.float32 if protocol == "fp32" else torch.bfloat16
    start = views(initial(settings, N_TOKENS), layout(settings, N_TOKENS))["embedding"][ids].to(kind)
    assert torch.equal(watcher.seen[0][1], start)
    for place, (_, before, after, measures, whole) in enumerate(watcher.seen):
        assert before.shape == after.shape == (len(ids), 64) and after.dtype == kind
        assert torch.equal(after, whole["embedding"][ids]) and whole["embedding"].shape == (N_TOKENS, 64)
        assert place == 0 or torch.equal(before, watcher.seen[place - 1][2])
        assert measures["loss"] == watched.losses[place]
        gradient, pull = measures["dead_gradient"].float(), measures["dead_pull"]
        torch.testing.assert_close(pull, gradient.sum(0))
        assert measures["mean_h"].shape == pull.shape == (64,) and pull.dtype == measures["mean_h"].dtype
        assert 0 < measures["dead_probability"] < 0.6
        assert measures["grad_norm"] > float(gradient.norm())
        assert measures["update_norm"] > float((after.float() - before.float()).norm())
    assert watcher.seen[0][3]["dead_probability"] == pytest.approx(len(ids) / N_TOKENS, rel=0.05)
    assert torch.equal(watched.weights["embedding"][ids], watcher.seen[-1][2])


def test_dead_pull_is_the_probability_of_dead_tokens_along_h(tmp_path):
    """One position at a time would be slow; here the sum over dead rows of the gradient, against p and h themselves."""
    from compute.goldilocks.transformer import Transformer

    settings, (stream, dead) = replace(TINY, protocol="fp32", steps=1), text()
    watcher = Watcher()
    train(settings, stream, dead, tmp_path, [watcher])
    model = Transformer(settings, N_TOKENS, initial(settings, N_TOKENS))
    starts = window_starts(settings, len(stream), 0)
    windows = torch.from_numpy(np.stack([stream[start : start + 33] for start in starts]).astype(np.int64))
    hidden = model.step(windows).hidden.double()
    p = (hidden @ model.weight["embedding"].double().t()).softmax(1)[:, torch.from_numpy(dead)].sum(1)
    measures = watcher.seen[0][3]
    torch.testing.assert_close(measures["dead_pull"].double(), (p[:, None] * hidden).mean(0), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(measures["mean_h"].double(), hidden.mean(0), rtol=1e-4, atol=1e-6)
    assert measures["dead_probability"] == pytest.approx(float(p.mean()), rel=1e-5)


def test_windows_come_from_the_whole_text_and_from_seed_and_step_alone():
    starts = np.concatenate([window_starts(GOLDILOCKS, 140, step) for step in range(200)])
    assert set(starts) == set(range(140 - 128))
    assert np.array_equal(window_starts(GOLDILOCKS, 10**6, 7), window_starts(LEAN, 10**6, 7))
    assert not np.array_equal(window_starts(GOLDILOCKS, 10**6, 7), window_starts(GOLDILOCKS, 10**6, 8))


# One process imports torch, then forks the runs, so that a kill costs milliseconds; it prints where each kill struck.
SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path
import numpy as np
from safetensors import safe_open
from compute.goldilocks import checkpoints
from compute.goldilocks.settings import Settings
from compute.goldilocks.training import train
folder = Path(sys.argv[1])
loaded, settings = np.load(folder / "text.npz"), Settings(**json.loads((folder / "settings.json").read_text()))
os.fsync = lambda handle: None  # a kill is no power cut
draw, path = random.Random(8), folder / checkpoints.NAME
for kill in range(6):
    path.unlink(missing_ok=True)
    if not (writer := os.fork()):
        train(settings, loaded["stream"], loaded["dead"], folder, checkpoint_seconds=0)
        os._exit(0)
    while not path.exists():
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.1))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    with safe_open(path, "np") as file:
        print(file.metadata()["step"])
    run = train(settings, loaded["stream"], loaded["dead"], folder)
    np.savez(folder / f"{kill}.npz", losses=run.losses, **{name: run.weights[name].float() for name in run.weights})
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_runs_resume_and_end_as_if_nothing_had_happened_in_another_process(tmp_path):
    settings, (stream, dead) = replace(TINY, protocol="stochastic-rounding", steps=60), text()
    unbroken = train(settings, stream, dead, tmp_path / "unbroken")
    np.savez(tmp_path / "text.npz", stream=stream, dead=dead)
    (tmp_path / "settings.json").write_text(json.dumps(asdict(settings)))
    command = [sys.executable, "-c", SCRIPT, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    struck = [int(step) for step in done.stdout.split()]
    assert len(struck) == 6 and min(struck) < 60, f"every run had ended before it was killed: {struck}"
    for kill in range(6):
        with np.load(tmp_path / f"{kill}.npz") as found:
            assert np.array_equal(found["losses"], unbroken.losses)
            for name, weight in unbroken.weights.items():
                assert np.array_equal(found[name], weight.float().numpy()), (kill, name)


def test_observers_resume_from_the_checkpoint(tmp_path):
    settings, (stream, dead) = replace(TINY, steps=6), text()
    train(settings, stream, dead, tmp_path, [Watcher()], until=4)
    watcher = Watcher()
    train(settings, stream, dead, tmp_path, [watcher])
    assert [seen[0] for seen in watcher.seen] == [1, 2, 3, 4, 5, 6]


def test_threads_are_as_they_were(tmp_path):
    before = torch.get_num_threads()
    train(replace(TINY, steps=1, threads=before + 1), *text(), tmp_path)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_threads_share_the_steps_and_learn_the_same(protocol, tmp_path):
    """Two threads: same bits again, broken off or not, watched or not. And more than there are windows."""
    settings, two = replace(TINY, protocol=protocol), replace(TINY, protocol=protocol, threads=2)
    one = train(settings, *text(), tmp_path / "one")
    shared = train(two, *text(), tmp_path / "two")
    train(two, *text(), tmp_path / "again", [Watcher()], until=11)
    same(shared, train(two, *text(), tmp_path / "again", [Watcher()]))
    np.testing.assert_allclose(shared.losses, one.losses, rtol=0.01)
    crowd = train(replace(settings, threads=9), *text(), tmp_path / "nine")
    np.testing.assert_allclose(crowd.losses, one.losses, rtol=0.01)


def test_an_observer_that_fails_ends_the_run_and_its_threads(tmp_path):
    class Failing(Watcher):
        def observe(self, step, *rest, **whole):
            raise OSError("the disk is full")

    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is full"):
        train(replace(TINY, threads=2), *text(), tmp_path, [Failing()])
    assert threading.active_count() == before


def test_log_tells_loss_and_rate(tmp_path, monkeypatch):
    monkeypatch.setattr("compute.goldilocks.training.LOG_STEPS", 2)
    lines = []
    train(replace(TINY, steps=5), *text(), tmp_path, log=lines.append)
    assert len(lines) == 2 and lines[1].startswith("step 4 of 5: loss 5.") and lines[1].endswith("steps/s")


@pytest.mark.parametrize("change,named", [({"learning_rate": 2e-3}, "learning_rate: 0.001 there, 0.002 asked for"),
                                          ({"seed": 1}, "seed: 42 there, 1 asked for")])  # fmt: skip
def test_a_checkpoint_of_other_settings_is_refused(change, named, tmp_path):
    train(replace(TINY, steps=2), *text(), tmp_path)
    with pytest.raises(ValueError, match=named):
        train(replace(TINY, steps=2, **change), *text(), tmp_path)


def test_a_checkpoint_of_another_text_is_refused_and_a_longer_run_goes_on(tmp_path):
    stream, dead = text()
    train(replace(TINY, steps=2), stream, dead, tmp_path)
    with pytest.raises(ValueError, match="belongs to another run: stream: "):
        train(replace(TINY, steps=2), stream[::-1].copy(), dead, tmp_path)
    more = dead.copy()
    more[np.flatnonzero(dead)[0]] = False
    with pytest.raises(ValueError, match="dead tokens: "):
        train(replace(TINY, steps=2), stream, more, tmp_path)
    longer = train(replace(TINY, steps=4), stream, dead, tmp_path)
    same(longer, train(replace(TINY, steps=4), stream, dead, tmp_path / "at once"))
    with pytest.raises(ValueError, match="is at step 4, beyond 3"):
        train(replace(TINY, steps=3), stream, dead, tmp_path)


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: b"", lambda content: b"x" * 500])
def test_a_file_that_is_no_checkpoint_is_named(damage, tmp_path):
    train(replace(TINY, steps=1), *text(), tmp_path)
    path = tmp_path / checkpoints.NAME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="is not a checkpoint of a training run"):
        train(replace(TINY, steps=1), *text(), tmp_path)


@pytest.mark.parametrize("protocol", ["pure-bf16", "fp32"])
def test_a_loss_that_is_no_number_stops_the_run_at_its_step_and_keeps_the_checkpoint(protocol, tmp_path):
    settings = replace(TINY, protocol=protocol, optimizer="sgd", weight_decay=0.0, learning_rate=1e38)
    train(settings, *text(), tmp_path, until=1)
    good = (tmp_path / checkpoints.NAME).read_bytes()
    with pytest.raises(FloatingPointError, match=r"at step [2-9]; the last good checkpoint stays|after step [2-9]"):
        train(settings, *text(), tmp_path)
    assert (tmp_path / checkpoints.NAME).read_bytes() == good


def test_a_weight_that_is_no_number_is_never_saved(tmp_path, monkeypatch):
    from compute.goldilocks.protocols import Update

    monkeypatch.setattr(Update, "apply", lambda self, step: self.stored[:1].fill_(torch.inf))
    with pytest.raises(FloatingPointError, match="a weight is not finite after step 1"):
        train(replace(TINY, steps=1), *text(), tmp_path)
    assert not (tmp_path / checkpoints.NAME).exists()


def test_two_runs_in_one_folder_are_refused(tmp_path):
    from compute.goldilocks.training import _alone

    with _alone(tmp_path), pytest.raises(RuntimeError, match="another process trains in"):
        train(replace(TINY, steps=1), *text(), tmp_path)


def bad_texts():
    stream, dead = text(2_000)
    beyond = stream.astype(np.int64)
    beyond[5] = N_TOKENS
    below = stream.astype(np.int64)
    below[5] = -1
    marked = dead.copy()
    marked[stream[0]] = True
    return {
        "a text of 32 tokens; a window needs 33": (stream[:32], dead),
        "a text of 0 tokens": (stream[:0], dead),
        f"token id {N_TOKENS} in the text; the vocabulary has ids 0 to {N_TOKENS - 1}": (beyond, dead),
        "token id -1 in the text": (below, dead),
        "no dead token in the vocabulary": (stream, np.zeros(N_TOKENS, bool)),
        f"token {stream[0]} is marked as dead, but occurs": (stream, marked),
        r"found float64 \(2000,\) and bool": (stream.astype(float), dead),
        r"and int64 \(300,\)": (stream, dead.astype(np.int64)),
    }


@pytest.mark.parametrize("message", bad_texts())
def test_a_text_that_cannot_be_trained_on_is_refused(message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(TINY, *bad_texts()[message], tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("change,message", [
    ({"layers": 0}, "layers must be 1 or more; it is 0"),
    ({"steps": -1}, "steps must be 1 or more"),
    ({"heads": 3}, "heads must be a divisor of the width, 128; it is 3"),
    ({"width": 1.5}, "width must be int, not 1.5"),
    ({"tied": 1}, "tied must be bool, not 1"),
    ({"layers": True}, "layers must be int, not True"),
    ({"learning_rate": 0.0}, "learning_rate must be positive"),
    ({"learning_rate": "fast"}, "learning_rate must be float, not 'fast'"),
    ({"eps": float("nan")}, "eps must be positive"),
    ({"beta2": 1.0}, "beta2 must be at least 0 and below 1"),
    ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
    ({"optimizer": "lion"}, "optimizer must be one of adamw, adam, sgd; it is 'lion'"),
    ({"protocol": "fp8"}, "protocol must be one of pure-bf16"),
    ({"init": "zeros"}, "init must be one of normal"),
    ({"init": "one-point-spread"}, "init_spread must be positive for one-point-spread"),
    ({"init_spread": 0.1}, "init_spread must be positive for one-point-spread, and 0 otherwise"),
    ({"momentum": 0.9}, "momentum must be 0 unless the optimizer is sgd"),
    ({"seed": -1}, "seed must be at least 0"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Settings(**change)


def test_settings_survive_json():
    assert Settings(**json.loads(json.dumps(asdict(BALANCED)))) == BALANCED
