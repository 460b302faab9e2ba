"""The summary of a run: lives and swarm against slow references by compute.lattice, resume, refusals, size."""

import ml_dtypes
import numpy as np
import pytest
import torch

from compute import lattice
from compute.goldilocks import motion
from compute.goldilocks.observation import FIRST, SERIES, WINDOW, Summary
from compute.goldilocks.packing import packed, unpacked

TOKENS, DIM = 12, 8


def random_rows(seed: int, n: int = TOKENS, dim: int = DIM) -> torch.Tensor:
    return (0.02 * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))).bfloat16()


def a_life(steps: int, n: int = TOKENS, dim: int = DIM) -> list[torch.Tensor]:
    """Rows that shake, then hop, then mostly rest: step 0 .. steps."""
    generator = torch.Generator().manual_seed(42)
    history = [random_rows(42, n, dim)]
    for step in range(1, steps + 1):
        rows = history[-1].clone()
        hit = torch.rand(n, dim, generator=generator) < np.exp(-step / 60)
        kick = 0.01 * torch.randn(n, dim, generator=generator) * np.exp(-step / 30)
        history.append(torch.where(hit, rows + kick.bfloat16(), rows))
    return history


def measures(step: int, dim: int = DIM) -> dict:
    generator = torch.Generator().manual_seed(step)
    numbers = {"loss": 5.0 + 1 / step, "grad_norm": 1.0, "update_norm": 0.1, "dead_probability": 0.3}
    return numbers | {name: torch.randn(dim, generator=generator) for name in ("mean_h", "dead_pull")}


def watched(history: list[torch.Tensor], steps: int | None = None, **options) -> Summary:
    summary = Summary(np.arange(history[0].shape[0]), history[0].shape[1], steps or len(history) - 1, **options)
    for step in range(1, len(history)):
        summary.observe(step, history[step - 1], history[step], measures(step, history[0].shape[1]))
    return summary


def numpy_of(rows: torch.Tensor) -> np.ndarray:
    return rows.view(torch.int16).numpy().view(np.uint16)


@pytest.mark.parametrize("dim", [128, 100])  # compiled, and by torch
def test_ordinals_and_lengths_agree_with_the_lattice_on_every_finite_pattern(dim):
    every = np.arange(1 << 16, dtype=np.uint16)
    finite = every[lattice.is_finite(every)]
    stored = torch.from_numpy(finite.view(np.int16).copy()).view(torch.bfloat16)
    assert (motion.ordinals(stored).numpy() == lattice.ordinal(finite)).all()
    one = np.random.default_rng(42).choice(finite, (50, dim))
    two = np.random.default_rng(43).choice(finite, (50, dim))
    rows = [torch.from_numpy(bits.view(np.int16).copy()).view(torch.bfloat16) for bits in (one, two)]
    found, truth = motion.steps_in_cells(*rows), lattice.extent(lattice.cells(one, two))
    again = motion.steps_in_cells(*rows, torch.full((50, dim), torch.nan))
    assert all(torch.equal(*pair) for pair in zip(found, again, strict=True))
    assert (found.l1.numpy() == truth.l1).all() and (found.linf.numpy() == truth.linf).all()
    np.testing.assert_allclose(found.l2_squared.sqrt().numpy(), truth.l2, rtol=1e-6)


def test_float32_is_measured_on_its_own_lattice():
    one, two = (np.random.default_rng(seed).normal(size=(20, 16)).astype(np.float32) for seed in (1, 2))
    found = motion.steps_in_cells(torch.from_numpy(one), torch.from_numpy(two))
    truth = lattice.extent(lattice.cells(one, two, lattice.FLOAT32))
    assert (found.l1.numpy() == truth.l1).all() and (found.linf.numpy() == truth.linf).all()
    np.testing.assert_allclose(found.l2_squared.sqrt().numpy(), truth.l2, rtol=1e-12)


def test_a_change_of_the_sign_of_zero_is_no_motion():
    for dtype in (torch.bfloat16, torch.float32):
        zero = torch.zeros(2, 32, dtype=dtype)
        assert not motion.steps_in_cells(zero, -zero).l1.any()
        assert motion.bits(zero).ne(motion.bits(-zero)).all()
    with pytest.raises(TypeError, match=r"float16 found"):
        motion.ordinals(torch.zeros(2, dtype=torch.float16))


def test_lives_are_those_of_a_slow_reading_of_the_whole_history():
    steps = 2 * WINDOW + 30
    history = a_life(steps)
    found = watched(history).arrays()
    codes, l1, linf = [], [], []
    for start, end in zip(history, history[1:], strict=False):
        cells = lattice.cells(numpy_of(start), numpy_of(end))
        codes.append(lattice.regime(cells))
        l1.append(lattice.extent(cells).l1)
        linf.append(lattice.extent(cells).linf)
    codes, l1, linf = np.array(codes), np.array(l1), np.array(linf)
    assert set(np.unique(codes)) == {0, 1, 2, 3}
    for kind, least in (("wide", 3), ("far", 2), ("move", 1)):
        for window in range(3):
            part = codes[window * WINDOW : (window + 1) * WINDOW] >= least
            last = np.where(part.any(axis=0), len(part) - part[::-1].argmax(axis=0), 0)
            assert (found[f"last_{kind}"][window] == last).all()
    for window in range(3):
        part = l1[window * WINDOW : (window + 1) * WINDOW]
        assert (found["moves"][window] == (part > 0).sum(axis=0)).all()
        assert (found["cells"][window] == np.minimum(part.sum(axis=0), 65_535)).all()
    assert (found["count_still"] == (l1 == 0).sum(axis=1)).all()
    assert (found["count_near"] == (linf <= 1).sum(axis=1)).all()
    assert (found["count_single"] == (l1 == 1).sum(axis=1)).all()
    assert (found["first_l1"] == l1[:FIRST].sum(axis=1)).all()
    assert found["first_loss"].tolist() == [measures(step)["loss"] for step in range(1, FIRST + 1)]


def test_a_step_on_the_boundary_of_midlife_is_not_wide():
    start = torch.zeros(1, 4, dtype=torch.bfloat16)
    cells = [np.array([2, 0, 0, 0]), np.array([2, 1, 0, 0]), np.array([1, 1, 1, 1])]  # squares 4, 5, 4; sqrt(D) = 2
    summary = Summary([0], 4, 3)
    for step, moved in enumerate(cells, 1):
        end = torch.from_numpy(lattice.pattern(moved).view(np.int16).copy()).view(torch.bfloat16)[None]
        summary.observe(step, start, end, measures(step, 4))
    found = summary.arrays()
    assert [int(found[f"last_{kind}"][0, 0]) for kind in ("wide", "far", "move")] == [2, 2, 3]


def test_the_swarm_in_float64_by_numpy():
    steps = 260
    history = a_life(steps)
    found = watched(history).arrays()
    series, ends = dict(zip(SERIES, found["series"].T.astype(float), strict=True)), found["series_steps"]
    assert ends[:FIRST].tolist() == list(range(1, 201)) and ends[FIRST:].tolist() == [220, 240, 260]
    step = 7
    before, after = (history[at].double().numpy() for at in (step - 1, step))
    pull, mean_h = (measures(step)[name].double().numpy() for name in ("dead_pull", "mean_h"))
    centroid, drift = after.mean(axis=0), (after - before).mean(axis=0)
    unit = (after - before)[(after != before).any(axis=1)]
    unit = unit / np.linalg.norm(unit, axis=1)[:, None]
    spread = np.linalg.eigvalsh(np.cov((after - centroid).T))[::-1]
    truth = {
        "loss": 5 + 1 / 7, "mean_h_norm": np.linalg.norm(mean_h), "dead_pull_norm": np.linalg.norm(pull),
        "centroid_norm": np.linalg.norm(centroid), "drift_norm": np.linalg.norm(drift),
        "centroid_against_pull": -centroid @ pull / np.linalg.norm(centroid) / np.linalg.norm(pull),
        "drift_against_pull": -drift @ pull / np.linalg.norm(drift) / np.linalg.norm(pull),
        "mean_h_pull": mean_h @ pull / np.linalg.norm(mean_h) / np.linalg.norm(pull),
        "radius": np.linalg.norm(after - centroid, axis=1).mean(),
        "motion_coherence": (unit @ drift / np.linalg.norm(drift)).mean(),
        "participation": spread.sum() ** 2 / (spread**2).sum(), "axis_1": spread[0] / spread.sum(),
    }  # fmt: skip
    for name, value in truth.items():
        assert series[name][step - 1] == pytest.approx(value, rel=2e-5), name
    assert series["loss"][FIRST] == pytest.approx(np.mean([5 + 1 / at for at in range(201, 221)]), rel=1e-6)
    assert np.isnan(series["gradient_coherence"]).all()
    assert np.isnan(series["mean_h_turn"][0]) and series["mean_h_turn"][1] == pytest.approx(
        motion.cosine(measures(2)["mean_h"], measures(1)["mean_h"]), rel=1e-6
    )
    mean = np.mean([measures(at)["mean_h"].double().numpy() for at in range(1, 251)], axis=0)
    np.testing.assert_allclose(found["mean_h"][0], mean, rtol=1e-5)
    np.testing.assert_allclose(found["centroids"][0], history[0].double().numpy().mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["centroids"][2], history[260].double().numpy().mean(axis=0), rtol=1e-4)


def test_the_predicted_direction_is_that_of_torch_adam():
    steps = 30
    history = a_life(steps)
    weight = torch.zeros(DIM, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weight], lr=1.0)
    total = np.zeros(DIM)
    for step in range(1, steps + 1):
        before = weight.detach().clone()
        weight.grad = measures(step)["dead_pull"].double() / TOKENS
        adam.step()
        total += (weight.detach() - before).numpy()
    np.testing.assert_allclose(watched(history).arrays()["adam_direction"][0], total / steps, rtol=1e-5)


def test_a_summary_taken_up_from_its_state_ends_the_same():
    history = a_life(300)
    whole = watched(history, snapshots=(0, 10, 290))
    for cut in (1, 137, 250, 299):
        first = watched(history[: cut + 1], 300, snapshots=(0, 10, 290))
        second = Summary(np.arange(TOKENS), DIM, 300, snapshots=(0, 10, 290))
        second.restore(first.state())
        for step in range(cut + 1, 301):
            second.observe(step, history[step - 1], history[step], measures(step))
        for name, array in whole.state().items():
            np.testing.assert_array_equal(second.state()[name], array, err_msg=f"{name} after a cut at {cut}")
    for step, rows in second.snapshots().items():
        assert (rows == numpy_of(history[step])).all()
    assert sorted(second.snapshots()) == [0, 10, 290]


def test_what_was_observed_so_far_can_be_read_at_any_step():
    history = a_life(40)
    found = watched(history, 1000).arrays()
    assert found["step"] == 40 and found["last_move"].shape == (1, TOKENS) and found["series"].shape[0] == 40
    assert Summary([1, 2, 3], DIM, 100).arrays()["last_move"].shape == (0, 3)


def test_refusals_say_what_was_asked_and_what_was_found():
    summary, rows = Summary(np.array([True, False, True]), DIM, 10), random_rows(1, 2)
    assert summary.tokens.tolist() == [0, 2]
    with pytest.raises(ValueError, match=r"step 1 of 10 is the next to observe; found 2"):
        summary.observe(2, rows, rows, measures(2))
    with pytest.raises(ValueError, match=r"\(2, 8\) asked for, torch\.float32"):
        summary.observe(1, rows.float(), rows, measures(1))
    with pytest.raises(ValueError, match=r"asked for, torch\.bfloat16 \(1, 8\)"):
        summary.observe(1, rows[:1], rows, measures(1))
    with pytest.raises(ValueError, match=r"state of another summary: last_wide is uint8 \(1, 2\) here, uint8 \(1, 3\)"):
        summary.restore(Summary([0, 1, 2], DIM, 10).state())
    with pytest.raises(ValueError, match=r"nothing there"):
        summary.restore({})
    with pytest.raises(ValueError, match=r"found 0"):
        Summary(np.zeros(5, bool), DIM, 10)
    with pytest.raises(ValueError, match=r"snapshots"):
        Summary([0], DIM, 10, snapshots=(11,))
    with pytest.raises(ValueError, match=r"'float16'"):
        Summary([0], DIM, 10, "float16")


def test_packing_gives_integers_back_exactly_and_directions_nearly():
    rng = np.random.default_rng(42)
    arrays = {
        "cells": rng.integers(0, 65_536, (4, 7), np.uint16), "moves": rng.integers(0, 251, (4, 7), np.uint8),
        "tokens": rng.integers(-5, 5, 9, np.int32), "nothing": np.zeros((0, 3), np.uint8),
        "mean_h": rng.normal(size=(2, 8)).astype(np.float32), "series": rng.normal(size=(3, 2)).astype(np.float32),
        "step": 40,
    }  # fmt: skip
    opened = unpacked(packed(arrays))
    for name, array in arrays.items():
        assert np.asarray(opened[name]).dtype == np.asarray(array).dtype
        if name == "mean_h":
            assert (opened[name] == array.astype(ml_dtypes.bfloat16).astype(np.float32)).all()
        else:
            np.testing.assert_array_equal(opened[name], array)
    damaged = packed(arrays)
    damaged["cells"]["shape"] = [5, 7]
    with pytest.raises(ValueError, match=r"cells: 56 bytes"):
        unpacked(damaged)


def test_a_long_restless_run_fits_its_share_of_the_disk():
    """The worst that bfloat16 weights do: 1,900 tokens that hop at random through all of 12,000 steps."""
    rng, steps, n, dim = np.random.default_rng(42), 12_000, 1900, 128
    summary = Summary(np.arange(n), dim, steps)
    kept = summary.state()
    windows = kept["moves"].shape[0]
    for kind, rate in (("wide", 0.001), ("far", 0.004), ("move", 0.05)):
        gaps = rng.geometric(rate, (windows, n)) - 1
        kept[f"last_{kind}"][:] = np.where(gaps < WINDOW, WINDOW - gaps, 0)
        kept[f"count_{kind.replace('wide', 'single').replace('far', 'near').replace('move', 'still')}"][:] = (
            rng.binomial(n, rate, steps)
        )
    kept["moves"][:] = rng.poisson(12, kept["moves"].shape)
    kept["cells"][:] = kept["moves"] * 2 + rng.poisson(6, kept["moves"].shape)
    for name in ("sums", "mean_h", "dead_pull", "adam_direction", "centroids"):
        kept[name][:] = rng.normal(size=kept[name].shape)
    kept["hits"][:], kept["step"][...] = 1, steps
    summary.restore(kept)
    small = summary.result().values()
    assert sum(item["bytes"].nbytes if isinstance(item, dict) else np.asarray(item).nbytes for item in small) < 480_000
    assert (unpacked(summary.result())["moves"] == kept["moves"]).all()


@pytest.mark.parametrize("storage", ["bfloat16", "float32"])
def test_watching_changes_nothing(storage):
    rows = [random_rows(seed).to(getattr(torch, storage)) for seed in (1, 2)]
    kept, found = [row.clone() for row in rows], measures(1) | {"dead_gradient": random_rows(3)}
    numbers = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in found.items()}
    Summary(np.arange(TOKENS), DIM, 1, storage, snapshots=(0, 1)).observe(1, *rows, found)
    assert all(torch.equal(row, same) for row, same in zip(rows, kept, strict=True))
    assert all(torch.equal(torch.as_tensor(found[name]), torch.as_tensor(numbers[name])) for name in numbers)


def test_a_cloud_too_wide_for_float32_has_no_shape():
    """Rows of 1e25 are finite, their squares are not; a run may still record them before it stops."""
    cloud = torch.randn(20, 4, generator=torch.Generator().manual_seed(42))
    assert all(np.isfinite(motion.shape(cloud))) and np.isnan(motion.shape(cloud * 1e25)).all()
    assert np.isnan(motion.shape(torch.zeros(20, 4))).all()
