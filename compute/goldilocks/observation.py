"""The summary of a run: what every dead token did in every step, in a few hundred kilobytes.

A dead token's life is kept as last times. A step is *wide* if the L2 of the token's displacement exceeds
sqrt(D) cells, *far* if its L-infinity exceeds one cell, a *move* if anything changed (L1 > 0). For each token
and each window of 250 steps the summary keeps the last step of each kind, so that the lives can be read as if
the run had ended at any boundary: that is what tells a token that has frozen from one that rests
([kaplan1958nonparametric]; `compute.goldilocks.phases`). -0.0 and +0.0 are one value: see motion.

Numbers about the whole swarm are kept for each of the first 200 steps, then as the means of 20 steps.
Chapters: Dead-token dynamics, Goldilocks, Supernova, Nutcracker.
"""

import math

import numpy as np
import torch

from compute.goldilocks import motion
from compute.goldilocks.packing import packed

WINDOW = 250  # steps; an offset in a window fits uint8
FIRST = 200  # steps that are kept one by one
EVERY = 20  # steps of which a mean is kept after those
MEMORY = 0.95  # of the running mean of h: about the last 20 steps
SERIES = (
    "loss",  # nats
    "grad_norm", "update_norm",  # of all parameters, gamma units for the second
    "mean_h_norm",
    "mean_h_turn",  # cosine of the batch's mean h to the running mean of h before it
    "mean_h_pull",  # cosine of the batch's mean h to the dead pull
    "dead_pull_norm", "dead_probability",
    "l1_mean", "l1_median", "l2_mean", "l2_median",  # cells a token and step
    "centroid_norm",  # gamma units, after the step
    "centroid_against_pull",  # cosine of the centroid to minus the dead pull
    "drift_norm",  # of the centroid's displacement in the step, gamma units
    "drift_against_pull",  # cosine of that displacement to minus the dead pull
    "drift_along_adam",  # cosine of it to the step that Adam, in float64, would make of the dead pull
    # from here on only in the first 200 steps and in every twentieth
    "radius",  # mean distance to the centroid
    "motion_coherence", "gradient_coherence",  # mean cosine to the mean, of displacements and of gradients
    "participation", "axis_1", "axis_2", "axis_3",  # of the dead cloud, see motion.shape
)  # fmt: skip


class Summary:
    """An observer of the training that keeps the lives of the dead tokens, and what moved them.

    dead: bool (V,) or token ids; dim: D; steps: of the whole run; storage: 'bfloat16' or 'float32';
    snapshots: steps whose dead rows are kept bit for bit (0: before the first). beta1, beta2, epsilon: of the
    Adam whose direction is predicted. Raises ValueError where there is no dead token or nothing to watch.
    """

    wants_all = False

    def __init__(self, dead, dim, steps, storage="bfloat16", *, snapshots=(), beta1=0.9, beta2=0.999, epsilon=1e-8):
        dead = np.asarray(dead)
        self.tokens = (np.flatnonzero(dead) if dead.dtype == bool else dead).astype(np.int32)
        if storage not in ("bfloat16", "float32"):
            raise ValueError(f"storage is 'bfloat16' or 'float32'; found {storage!r}")
        if not self.tokens.size or self.tokens.size >= 1 << 16:
            raise ValueError(f"1 .. 65535 dead tokens can be watched; found {self.tokens.size}")
        if dim < 3 or steps < 1 or not all(0 <= step <= steps for step in snapshots):
            raise ValueError(f"D >= 3 and snapshots within the steps asked for; found {dim=}, {steps=}, {snapshots=}")
        self.dim, self.steps, self.dtype = int(dim), int(steps), getattr(torch, storage)
        self.schedule = sorted(set(snapshots))
        self.betas, self.epsilon = (beta1, beta2), epsilon
        self._kept = self._empty(np.uint16 if storage == "bfloat16" else np.uint32)
        self._room = torch.empty(self.tokens.size, self.dim)

    def _empty(self, stored: type) -> dict[str, np.ndarray]:
        """Everything that is kept, as arrays of the size that the whole run needs."""
        n, dim, windows, first = self.tokens.size, self.dim, math.ceil(self.steps / WINDOW), min(self.steps, FIRST)
        rows = first + math.ceil((self.steps - first) / EVERY)
        kept = {f"last_{kind}": np.zeros((windows, n), np.uint8) for kind in ("wide", "far", "move")}
        kept |= {"moves": np.zeros((windows, n), np.uint8), "cells": np.zeros((windows, n), np.uint16)}
        kept |= {f"count_{kind}": np.zeros(self.steps, np.uint16) for kind in ("still", "near", "single")}
        kept |= {"first_loss": np.full(first, np.nan), "first_l1": np.zeros(first, np.int64)}
        kept |= {"sums": np.zeros((rows, len(SERIES))), "hits": np.zeros((rows, len(SERIES)), np.uint8)}
        kept |= {name: np.zeros((windows, dim)) for name in ("mean_h", "dead_pull", "adam_direction")}
        kept |= {"centroids": np.full((windows + 1, dim), np.nan), "running_h": np.zeros(dim)}
        kept |= {"first_moment": np.zeros(dim), "second_moment": np.zeros(dim), "start": np.zeros((n, dim), stored)}
        return kept | {"snapshots": np.zeros((len(self.schedule), n, dim), stored), "step": np.zeros((), np.int64)}

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of everything kept, for a checkpoint."""
        return {name: array.copy() for name, array in self._kept.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take up the state of a checkpoint. Raises ValueError where it is the state of another summary."""
        for name, array in self._kept.items():
            found = state.get(name)
            if found is None or (found.shape, found.dtype) != (array.shape, array.dtype):
                was = "nothing" if found is None else f"{found.dtype} {found.shape}"
                raise ValueError(f"state of another summary: {name} is {array.dtype} {array.shape} here, {was} there")
        self._kept = {name: np.array(state[name]) for name in self._kept}

    @torch.no_grad()
    def observe(self, step: int, before: torch.Tensor, after: torch.Tensor, measures: dict) -> None:
        """Take in one step: dead rows (n, D) before and after it, as stored, and the measures of the training.

        Raises ValueError for a step out of turn or rows of another shape or dtype.
        """
        kept, shape = self._kept, (self.tokens.size, self.dim)
        for rows in (before, after):
            if tuple(rows.shape) != shape or rows.dtype != self.dtype:
                raise ValueError(f"rows {self.dtype} {shape} asked for, {rows.dtype} {tuple(rows.shape)} found")
        if step != kept["step"] + 1 or step > self.steps:
            raise ValueError(f"step {int(kept['step']) + 1} of {self.steps} is the next to observe; found {step}")
        if step == 1:
            kept["start"][:] = _stored(before, kept["start"].dtype)
            kept["centroids"][0] = before.to(torch.float64).mean(dim=0).numpy()
            self._keep_rows(0, before)
        lengths = motion.steps_in_cells(before, after, self._room)
        self._keep_lives(step, lengths)
        self._keep_swarm(step, before, after, measures, lengths)
        self._keep_rows(step, after)
        kept["step"][...] = step

    def _keep_rows(self, step: int, rows: torch.Tensor) -> None:
        if step in self.schedule:
            snapshots = self._kept["snapshots"]
            snapshots[self.schedule.index(step)] = _stored(rows, snapshots.dtype)

    def _keep_lives(self, step: int, lengths: motion.Steps) -> None:
        kept, (window, offset) = self._kept, divmod(step - 1, WINDOW)
        l1, l2_squared, linf = (length.numpy() for length in lengths)
        moved, far = l1 > 0, linf > 1
        # squares are compared, not roots: the boundary is an integer and is met exactly
        for kind, happened in (("wide", l2_squared > self.dim), ("far", far), ("move", moved)):
            np.copyto(kept[f"last_{kind}"][window], offset + 1, where=happened, casting="unsafe")
        kept["moves"][window] += moved
        kept["cells"][window] = np.minimum(kept["cells"][window] + l1.astype(np.int64), 65_535)
        counts = {"still": ~moved, "near": ~far, "single": l1 == 1}
        for kind, which in counts.items():
            kept[f"count_{kind}"][step - 1] = np.count_nonzero(which)
        if step <= FIRST:
            kept["first_l1"][step - 1] = l1.sum(dtype=np.int64)

    def _keep_swarm(self, step, before, after, measures, lengths) -> None:
        kept, window = self._kept, (step - 1) // WINDOW
        mean_h, pull = (measures[name].to(torch.float64) for name in ("mean_h", "dead_pull"))
        predicted = self._adam(step, pull.numpy() / self.tokens.size)
        cloud = after.to(torch.float32)
        moved = cloud - before.to(torch.float32)
        centroid, drift = cloud.mean(dim=0), moved.mean(dim=0)
        l1, l2 = lengths.l1.to(torch.float64), lengths.l2_squared.to(torch.float64).sqrt_()
        running = torch.from_numpy(kept["running_h"])
        found = {name: float(measures[name]) for name in ("loss", "grad_norm", "update_norm", "dead_probability")}
        found |= {"mean_h_norm": float(mean_h.norm()), "mean_h_turn": motion.cosine(mean_h, running)}
        found |= {"mean_h_pull": motion.cosine(mean_h, pull), "dead_pull_norm": float(pull.norm())}
        found |= {"l1_mean": float(l1.mean()), "l1_median": float(l1.median())}
        found |= {"l2_mean": float(l2.mean()), "l2_median": float(l2.median())}
        found |= {"centroid_norm": float(centroid.norm()), "centroid_against_pull": motion.cosine(centroid, -pull)}
        found |= {"drift_norm": float(drift.norm()), "drift_against_pull": motion.cosine(drift, -pull)}
        found |= {"drift_along_adam": motion.cosine(drift, torch.from_numpy(predicted))}
        if step <= FIRST or step % EVERY == 0:
            found |= _portrait(cloud - centroid, moved, measures.get("dead_gradient"))
        self._keep_series(step, found)
        running.mul_(MEMORY).add_(mean_h, alpha=1 - MEMORY)  # shares its memory with running_h
        kept["mean_h"][window] += mean_h.numpy()
        kept["dead_pull"][window] += pull.numpy()
        kept["adam_direction"][window] += predicted
        kept["centroids"][window + 1] = centroid.numpy()
        if step <= FIRST:
            kept["first_loss"][step - 1] = found["loss"]

    def _adam(self, step: int, pull: np.ndarray) -> np.ndarray:
        """What Adam makes of the pulls so far, in units of the learning rate: -m / (sqrt(v) + eps), (D,).

        The gradient of a dead token is its share of the pull; all that Adam needs is its direction.
        """
        beta1, beta2 = self.betas
        first, second = self._kept["first_moment"], self._kept["second_moment"]
        first += (1 - beta1) * (pull - first)
        second += (1 - beta2) * (pull * pull - second)
        return -(first / (1 - beta1**step)) / (np.sqrt(second / (1 - beta2**step)) + self.epsilon)

    def _keep_series(self, step: int, found: dict[str, float]) -> None:
        row = step - 1 if step <= FIRST else FIRST + (step - FIRST - 1) // EVERY
        values = np.array([found.get(name, math.nan) for name in SERIES])
        known = np.isfinite(values)
        self._kept["sums"][row] += np.where(known, values, 0.0)
        self._kept["hits"][row] += known

    def arrays(self) -> dict:
        """Return what is known after the steps observed so far, as plain arrays.

        tokens (n,); last_wide, last_far, last_move, moves, cells (windows, n): offsets 1 .. 250 of the last such
        step in the window, or 0; counts (steps,); series (rows, len(SERIES)) float32 and series_steps (rows,), the
        last step of each row; mean_h, dead_pull, adam_direction (windows, D): means over the window;
        centroids (windows + 1, D); start_norm, start_linf (n,), start_alignment (n,): the cosine of a token's
        first position to the mean h of the first window; start_radius; first_loss (exact) and first_l1 (sum over
        the tokens) of the first 200 steps; step, the last observed.
        """
        kept, done = self._kept, int(self._kept["step"])
        windows, first = math.ceil(done / WINDOW), min(done, FIRST)
        rows = first + math.ceil((done - first) / EVERY)
        found = {"tokens": self.tokens, "step": done}
        found |= {name: kept[name][:windows] for name in ("last_wide", "last_far", "last_move", "moves", "cells")}
        found |= {f"count_{kind}": kept[f"count_{kind}"][:done] for kind in ("still", "near", "single")}
        hits = kept["hits"][:rows]
        found["series"] = np.where(hits > 0, kept["sums"][:rows] / np.maximum(hits, 1), np.nan).astype(np.float32)
        ends = np.concatenate([np.arange(1, first + 1), FIRST + EVERY * np.arange(1, rows - first + 1)])
        found["series_steps"] = np.minimum(ends, done).astype(np.int32)
        inside = np.minimum(WINDOW, done - WINDOW * np.arange(windows))[:, None]  # steps in each window
        for name in ("mean_h", "dead_pull", "adam_direction"):
            found[name] = (kept[name][:windows] / inside).astype(np.float32)
        found["centroids"] = kept["centroids"][: windows + 1].astype(np.float32)
        found |= {"first_loss": kept["first_loss"][:first], "first_l1": kept["first_l1"][:first]}
        return found | self._beginning(kept["mean_h"][0])

    def _beginning(self, direction: np.ndarray) -> dict[str, np.ndarray]:
        start = torch.from_numpy(self._kept["start"]).view(self.dtype).to(torch.float64).numpy()
        norm = np.linalg.norm(start, axis=1)
        cosines = start @ direction / np.maximum(norm * np.linalg.norm(direction), np.finfo(float).tiny)
        found = {"start_norm": norm, "start_linf": np.abs(start).max(axis=1), "start_alignment": cosines}
        found = {name: array.astype(np.float32) for name, array in found.items()}
        return found | {"start_radius": float(np.linalg.norm(start - start.mean(axis=0), axis=1).mean())}

    def result(self) -> dict:
        """Return `arrays` made small, for a file; `compute.goldilocks.packing.unpacked` opens it."""
        return packed(self.arrays())

    def snapshots(self) -> dict[int, np.ndarray]:
        """Return the dead rows (n, D) as stored bits, by step, for the steps of the schedule reached so far."""
        done = int(self._kept["step"])
        return {step: self._kept["snapshots"][at] for at, step in enumerate(self.schedule) if step <= done and done}


def _stored(rows: torch.Tensor, unsigned: np.dtype) -> np.ndarray:
    """The bits of rows as unsigned integers, without a copy."""
    return motion.bits(rows.detach().contiguous()).numpy().view(unsigned)


def _portrait(centred: torch.Tensor, moved: torch.Tensor, gradient: torch.Tensor | None) -> dict[str, float]:
    """What takes a matrix product or more: radius, shape and coherence of the cloud."""
    found = {"radius": float(torch.linalg.vector_norm(centred, dim=1).mean())}
    found["motion_coherence"] = motion.coherence(moved)
    if gradient is not None:
        found["gradient_coherence"] = motion.coherence(gradient.to(torch.float32))
    return found | dict(zip(("participation", "axis_1", "axis_2", "axis_3"), motion.shape(centred), strict=True))
