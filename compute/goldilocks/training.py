"""The training loop of Goldilocks: random windows, one pass, one update, observers, checkpoints.

The same settings, text and number of threads give the same bits, broken off or not. Chapter: Goldilocks.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from compute.goldilocks import checkpoints, protocols
from compute.goldilocks.settings import Settings
from compute.goldilocks.team import Team
from compute.goldilocks.transformer import Transformer, initial

CHECKPOINT_SECONDS = 60
LOG_STEPS = 500


class Observer(Protocol):
    """What looks at the dead tokens after each update, and goes into the checkpoints."""

    wants_all: bool  # whether `observe` is called with embedding=, the whole matrix (V, D)

    def observe(self, step: int, before: torch.Tensor, after: torch.Tensor, measures: dict, **whole) -> None:
        """Take in update number `step`, counted from 1.

        before, after: (n_dead, D), the dead rows of the output matrix as stored, by ascending token id: bfloat16, or
        float32 for protocol fp32; of fp32-master the bfloat16 copy. `after` lives on; nothing here may be written to
        (torch's inference tensors refuse it).
        measures: floats loss (nats per token, before the update), grad_norm and update_norm (Euclidean, of all
        parameters as stored), dead_probability (mean over positions of the probability of all dead tokens); float32
        mean_h (D,), the mean of the final hidden states; dead_pull (D,), the sum over positions of (probability of
        all dead tokens) h / positions, which is the sum of the dead rows' gradients; and dead_gradient (n_dead, D) as
        stored. embedding: a view of the whole matrix that the next update changes.
        """

    def state(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint must hold for `restore` to go on as if nothing had happened."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go back to a state; what was observed after it will be observed again."""


class Trained(NamedTuple):
    """Where a run stands."""

    step: int  # updates made
    losses: np.ndarray  # (step,) float64, nats per token, each before its update
    weights: dict[str, torch.Tensor]  # as stored, by name
    steps_per_second: float  # of this call; 0 where nothing was left to do


def window_starts(settings: Settings, n_stream: int, step: int) -> np.ndarray:
    """Return where the windows of a step begin: (batch,) int64, uniform, from the seed and the step alone."""
    generator = np.random.default_rng([settings.seed, step])
    return generator.integers(0, n_stream - settings.context, settings.batch)


def train(
    settings: Settings,
    stream: np.ndarray,
    dead: np.ndarray,
    folder: Path,
    observers: Sequence[Observer] = (),
    until: int | None = None,
    log: Callable[[str], None] | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Trained:
    """Run to `settings.steps`, or only to step `until`, from the checkpoint in `folder` where there is one.

    stream: (T,) token ids; dead: (V,) bool, the tokens that never occur in it. A checkpoint is written every
    `checkpoint_seconds` and at the end; `log` gets a line every 500 steps. Raises ValueError where text and settings
    do not fit, or the checkpoint is another run's; FloatingPointError where the loss or a weight stops being finite,
    naming the step (the last checkpoint stays); RuntimeError where another process trains in the folder.
    """
    check(settings, stream, dead)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder), Team(min(settings.threads, settings.batch)) as team:
        run = _Run(settings, stream, dead, folder, observers, team)
        return run.go(min(settings.steps, settings.steps if until is None else until), log, checkpoint_seconds)


def check(settings: Settings, stream: np.ndarray, dead: np.ndarray) -> None:
    """Raise ValueError unless the text is long enough, its ids are in the vocabulary, and some token is dead."""
    stream, dead = np.asarray(stream), np.asarray(dead)
    if stream.ndim != 1 or stream.dtype.kind not in "iu" or dead.ndim != 1 or dead.dtype != bool:
        raise ValueError("a stream (T,) of integers and a mask (V,) of bool asked for; "
                         f"found {stream.dtype} {stream.shape} and {dead.dtype} {dead.shape}")  # fmt: skip
    if len(stream) <= settings.context:
        raise ValueError(f"a text of {len(stream)} tokens; a window needs {settings.context + 1}: take a longer text")
    if stream.min() < 0 or stream.max() >= len(dead):
        odd = stream.min() if stream.min() < 0 else stream.max()
        raise ValueError(f"token id {odd} in the text; the vocabulary has ids 0 to {len(dead) - 1}")
    if not dead.any():
        raise ValueError("no dead token in the vocabulary, so nothing to watch: add tokens that never occur")
    if dead[stream].any():
        raise ValueError(f"token {stream[dead[stream]][0]} is marked as dead, but occurs in the text")


class _Run:
    """The state between two steps."""

    def __init__(self, settings, stream, dead, folder, observers, team):
        self.settings, self.folder, self.observers, self.team = settings, folder, observers, team
        self.belongs = checkpoints.identity(asdict(settings), stream, dead)
        self.stream = torch.from_numpy(np.asarray(stream).astype(np.int64))
        self.ahead = torch.arange(settings.context + 1)
        start = initial(settings, len(dead))
        self.model = Transformer(settings, len(dead), start.to(protocols.stored_type(settings), copy=True), team)
        self.update = protocols.update(settings, self.model.weights, self.model.gradients, start, team)
        self.ids = torch.from_numpy(np.flatnonzero(dead))
        self.mask = self.model.column(dead) if observers else None
        self.step, self.losses = 0, []
        if saved := checkpoints.load(folder, self.belongs):
            self._restore(*saved)
        self.matrix = self.model.weight[self.model.output]
        self.rows = torch.index_select(self.matrix, 0, self.ids)
        self.old = torch.empty_like(self.model.weights) if observers else None

    def go(self, last, log, checkpoint_seconds) -> Trained:
        first, begun = self.step, time.monotonic()
        if first > last:
            raise ValueError(f"the run in {self.folder} is at step {first}, beyond {last}; nothing brings it back")
        saved = begun
        bar = tqdm(total=last, initial=first, desc="training", unit="step", disable=None if sys.stderr else True)
        with bar:
            while self.step < last:
                self._advance()
                bar.update()
                now = time.monotonic()
                if log and self.step % LOG_STEPS == 0:
                    rate, loss = (self.step - first) / (now - begun), np.mean(self.losses[-LOG_STEPS:])
                    log(f"step {self.step:,} of {last:,}: loss {loss:.3f} nats, {rate:.1f} steps/s")
                if now - saved >= checkpoint_seconds and self.step < last:
                    self._save()
                    saved = time.monotonic()
        rate = (self.step - first) / (time.monotonic() - begun)
        if self.step > first:
            self._save()
        return Trained(self.step, np.array(self.losses), dict(self.model.weight), rate)

    def _advance(self):
        starts = torch.from_numpy(window_starts(self.settings, len(self.stream), self.step))
        signals = self.model.step(self.stream[starts[:, None] + self.ahead], self.mask)  # windows (batch, context + 1)
        if not np.isfinite(signals.loss):
            raise FloatingPointError(f"the loss is {signals.loss} at step {self.step + 1}; {self._standing()}")
        if self.observers:
            self.old.copy_(self.model.weights)
        self.update.apply(self.step + 1)
        self.step += 1
        self.losses.append(signals.loss)
        if self.observers:
            self._show(signals)

    def _show(self, signals):
        slopes, length = self.model.slope[self.model.output], partial(torch.linalg.vector_norm, dtype=torch.float32)
        grad_norm, update_norm, gradients, rows, mean_h = self.team.each([
            lambda: float(length(self.model.gradients)),
            lambda: float(length(self.old.sub_(self.model.weights))),
            lambda: torch.index_select(slopes, 0, self.ids),  # (n_dead, D)
            lambda: torch.index_select(self.matrix, 0, self.ids),
            lambda: signals.hidden.mean(0, dtype=torch.float32),
        ])  # fmt: skip
        measures = {
            "loss": signals.loss, "grad_norm": grad_norm, "update_norm": update_norm, "mean_h": mean_h,
            "dead_pull": gradients.sum(0, dtype=torch.float32),
            "dead_probability": float(signals.dead_mass.mean()), "dead_gradient": gradients,
        }  # fmt: skip
        before, self.rows = self.rows, rows
        for observer in self.observers:
            whole = {"embedding": self.matrix} if getattr(observer, "wants_all", False) else {}
            observer.observe(self.step, before, self.rows, measures, **whole)

    def _standing(self) -> str:
        return "the last good checkpoint stays; try a smaller learning rate or a wider protocol"

    def _save(self):
        if not bool(torch.isfinite(self.model.weights).all()):
            raise FloatingPointError(f"a weight is not finite after step {self.step}; {self._standing()}")
        tensors = {f"update.{name}": tensor for name, tensor in self.update.kept.items()}
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        for number, observer in enumerate(self.observers):
            for name, array in observer.state().items():
                tensors[f"observer.{number}.{name}"] = torch.from_numpy(np.array(array))
        checkpoints.save(self.folder, self.step, self.belongs, tensors)

    def _restore(self, step, tensors):
        self.step, self.losses = step, tensors["losses"].tolist()
        self.update.restore({name: tensors[f"update.{name}"] for name in self.update.kept})
        for number, observer in enumerate(self.observers):
            mine = f"observer.{number}."
            state = {name.removeprefix(mine): value for name, value in tensors.items() if name.startswith(mine)}
            observer.restore({name: value.numpy() for name, value in state.items()})


@contextmanager
def _alone(folder: Path):
    lock = FileLock(folder / "training.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RuntimeError(f"another process trains in {folder}; wait for it, or train into another folder") from error
    try:
        yield
    finally:
        lock.release()
