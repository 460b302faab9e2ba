"""Every step on the disk: round trips, kills, resumption, full disks, two at once, and files that are none."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import namedtuple

import h5py
import numpy as np
import pytest
import torch

from compute.goldilocks import recording
from compute.goldilocks.recording import Recorder, open_recording

V, DIM = 70, 4
CHILD = """
import sys, torch
from compute.goldilocks.recording import Recorder
sys.path.insert(0, sys.argv[2])
from test_goldilocks_recording import matrix
with Recorder(sys.argv[1], 100_000, matrix(0), chunk=(4, 16)) as recorder:
    for step in range(1, 100_001):
        recorder.observe(step, None, None, {}, embedding=matrix(step))
        if step % 50 == 0:
            print(step, flush=True)
"""


def matrix(step: int, dtype=torch.bfloat16) -> torch.Tensor:
    """The made-up weights after a step: other in every step and token."""
    return ((step * 31 + torch.arange(V * DIM)) % 2003 / 1000 - 1).reshape(V, DIM).to(dtype)


def stored(step: int) -> np.ndarray:
    return matrix(step).view(torch.int16).numpy().view(np.uint16)


def record(recorder: Recorder, first: int, last: int) -> None:
    for step in range(first, last + 1):
        recorder.observe(step, None, None, {}, embedding=matrix(step))


@pytest.mark.parametrize("chunk", [(16, 64), (4, 16), (1, 1), (1000, 1000)])
def test_what_is_recorded_is_read_by_step_and_by_token(tmp_path, chunk):
    with Recorder(tmp_path / "run.h5", 37, matrix(0), chunk) as recorder:
        record(recorder, 1, 37)
    whole = np.stack([stored(step) for step in range(38)])
    with open_recording(tmp_path / "run.h5") as found:
        assert (found.steps, found.n_tokens, found.dim) == (37, V, DIM)
        assert all((found.step(step) == whole[step]).all() for step in range(38))
        assert all((found.token(token) == whole[:, token]).all() for token in range(V))
        assert (found.token(3, 5, 20) == whole[5:20, 3]).all() and found.token(3, 7, 7).shape == (0, DIM)
        for read, wrong in ((found.step, [38]), (found.step, [-1]), (found.token, [V]), (found.token, [0, 3, 39])):
            with pytest.raises(IndexError, match="asked for; found"):
                read(*wrong)


def test_float32_is_recorded_in_four_bytes(tmp_path):
    start = matrix(0, torch.float32)
    with Recorder(tmp_path / "run.h5", 1, start) as recorder:
        recorder.observe(1, None, None, {}, embedding=start + 1)
    with open_recording(tmp_path / "run.h5") as found:
        assert (found.step(1).view(np.float32) == (start + 1).numpy()).all()


def test_a_file_never_grows_and_memory_holds_one_slab(tmp_path):
    recorder = Recorder(tmp_path / "run.h5", 500, matrix(0))
    size = (tmp_path / "run.h5").stat().st_size
    record(recorder, 1, 500)
    recorder.close()
    assert (tmp_path / "run.h5").stat().st_size == size
    assert recorder._slab.shape[0] == recording.CHUNK[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_kill_leaves_a_readable_prefix_that_can_be_taken_up(tmp_path, seed):
    path = tmp_path / "run.h5"
    words = [sys.executable, "-c", CHILD, str(path), os.path.dirname(__file__)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        told = int(child.stdout.readline())
        time.sleep(random.Random(seed).uniform(0, 0.2))
        child.send_signal(signal.SIGKILL)
    with open_recording(path) as found:
        complete = found.steps
        assert complete >= told - 4
        assert all((found.step(step) == stored(step)).all() for step in range(complete + 1))
    # the checkpoint of the training is older than what the file holds
    with Recorder(path, 100_000, matrix(0), chunk=(4, 16)) as again:
        again.restore({"step": np.array(complete - 3)})
        record(again, complete - 2, complete + 9)
    with open_recording(path) as found:
        assert found.steps == complete + 9
        assert all((found.step(step) == stored(step)).all() for step in range(complete + 10))


def test_a_checkpoint_brings_everything_observed_to_the_disk(tmp_path):
    recorder = Recorder(tmp_path / "run.h5", 50, matrix(0))
    record(recorder, 1, 21)
    with open_recording(tmp_path / "run.h5") as found:
        assert found.steps == 15  # full slabs only
    state = recorder.state()
    with open_recording(tmp_path / "run.h5") as found:
        assert found.steps == state["step"] == 21
        assert (found.step(21) == stored(21)).all()
    record(recorder, 22, 50)
    recorder.close()
    with open_recording(tmp_path / "run.h5") as found:
        assert all((found.step(step) == stored(step)).all() for step in range(51))


def test_a_run_begun_anew_records_over_the_old_one(tmp_path):
    with Recorder(tmp_path / "run.h5", 50, matrix(0)) as recorder:
        record(recorder, 1, 50)
    with Recorder(tmp_path / "run.h5", 50, matrix(0)) as recorder:
        record(recorder, 1, 3)
        with open_recording(tmp_path / "run.h5") as found:
            assert found.steps == 0  # what the old run left is not passed off as the new one's
    with open_recording(tmp_path / "run.h5") as found:
        assert found.steps == 3


def test_refusals(tmp_path):
    path = tmp_path / "run.h5"
    with Recorder(path, 20, matrix(0)) as recorder:
        with pytest.raises(ValueError, match="step 1 of 20 is the next to record; found 2"):
            record(recorder, 2, 2)
        with pytest.raises(ValueError, match="holds 0 steps, the checkpoint stands at 7"):
            recorder.restore({"step": np.array(7)})
        words = [sys.executable, "-c", CHILD, str(path), os.path.dirname(__file__)]
        other = subprocess.run(words, capture_output=True, text=True)
        assert "another process records into" in other.stderr
    for asked, why in (((21, matrix(0)), r"uint16 \(22, 70, 4\) was asked for"), ((20, matrix(1)), "other weights")):
        with pytest.raises(ValueError, match=why):
            Recorder(path, *asked)
    with pytest.raises(FileNotFoundError):
        open_recording(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no recording")
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    for name in ("text.h5", "other.h5"):
        for opened in (lambda path: open_recording(path), lambda path: Recorder(path, 20, matrix(0))):
            with pytest.raises(ValueError, match="is no recording"):
                opened(tmp_path / name)


def test_a_disk_that_fills_up_keeps_what_is_recorded(tmp_path, monkeypatch):
    disk, free = namedtuple("disk", "total used free"), [10**12]
    monkeypatch.setattr(recording.shutil, "disk_usage", lambda folder: disk(0, 0, free[0]))
    recorder = Recorder(tmp_path / "run.h5", 100, matrix(0))
    record(recorder, 1, 30)
    free[0] = recording.RESERVE
    with pytest.raises(OSError, match="the recording of steps 16 to 31 needs 0 MB .* What was recorded stays"):
        record(recorder, 31, 31)
    with open_recording(tmp_path / "run.h5") as found:
        assert found.steps == 15
    with pytest.raises(OSError, match="the recording of 100 steps needs"):
        Recorder(tmp_path / "second.h5", 100, matrix(0))
    assert not (tmp_path / "second.h5").exists()
    free[0] = 10**12
    recorder.close()
