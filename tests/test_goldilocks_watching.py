"""A small training with its watchers: what they tell of one run agrees, broken off and taken up or not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from compute import lattice
from compute.goldilocks import phases, settings, training
from compute.goldilocks.observation import Summary
from compute.goldilocks.packing import unpacked
from compute.goldilocks.recording import Recorder, open_recording
from compute.goldilocks.transformer import initial, layout, views

STEPS, V = 24, 160
DEAD = np.arange(V) >= 100
STREAM = (np.random.default_rng(42).integers(0, 100, 5000) ** 2 // 100).astype(np.uint16)
SMALL = replace(settings.LEAN, steps=STEPS, context=16, batch=2)


def watched(folder, cuts: tuple[int, ...]) -> dict:
    """The summary of a run that is broken off after each of `cuts`, with new watchers each time."""
    start = views(initial(SMALL, V), layout(SMALL, V))["embedding"].to(torch.bfloat16)
    for until in (*cuts, STEPS):
        summary = Summary(DEAD, SMALL.width, STEPS, snapshots=(0, STEPS))
        with Recorder(folder / "run.h5", STEPS, start) as recorder:
            training.train(SMALL, STREAM, DEAD, folder, [summary, recorder], until=until)
    return unpacked(summary.result()) | {"snapshots": summary.snapshots()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, watched(folder, ())


def test_the_summary_tells_of_the_recorded_motion(whole):
    folder, found = whole
    with open_recording(folder / "run.h5") as recording:
        assert recording.steps == STEPS
        matrices = np.stack([recording.step(step) for step in range(STEPS + 1)])
    dead = matrices[:, DEAD]
    assert (found["snapshots"][0] == dead[0]).all() and (found["snapshots"][STEPS] == dead[-1]).all()
    cells = lattice.cells(dead[:-1], dead[1:])
    reach = lattice.extent(cells)
    lives = phases.transitions(reach.l1, (cells.astype(np.int64) ** 2).sum(-1), reach.linf, SMALL.width)
    assert all((one == other).all() for one, other in zip(phases.of_run(found), lives, strict=True))
    assert (found["count_still"] == (reach.l1 == 0).sum(axis=1)).all()
    assert (found["first_l1"] == reach.l1.sum(axis=1)).all() and found["first_l1"].min() > 0
    centroid = lattice.value(dead[-1]).mean(axis=0)
    np.testing.assert_allclose(found["centroids"][-1], centroid, rtol=1e-5, atol=1e-7)


def test_a_run_broken_off_and_taken_up_is_watched_the_same(whole, tmp_path):
    folder, found = whole
    again = watched(tmp_path, (1, 13, 20))
    for name in found.keys() - {"snapshots"}:
        np.testing.assert_array_equal(again[name], found[name], err_msg=name)
    with open_recording(folder / "run.h5") as one, open_recording(tmp_path / "run.h5") as other:
        assert all((one.step(step) == other.step(step)).all() for step in range(STEPS + 1))
