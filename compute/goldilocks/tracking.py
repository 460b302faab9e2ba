"""A track of the swarm: what pulled the dead tokens in every step and where their centroid went, in float64.

Chapter: Dead-token dynamics.
"""

import numpy as np
import torch

from compute.goldilocks import motion, protocols
from compute.goldilocks.settings import Settings

VECTORS = ("mean_h", "dead_pull", "drift")  # (steps, D): see `Track.arrays`
NUMBERS = (
    "loss",  # nats
    "dead_probability",  # of all dead tokens together, mean over positions
    "gradient_norm",  # mean over the dead tokens of the Euclidean norm
    "gradient_coherence", "motion_coherence",  # see `motion.coherence`
    "moved",  # share of the dead tokens' components that changed
)  # fmt: skip


class Track:
    """An observer of the training that keeps every step of the swarm as a whole.

    dim: D; steps: of the whole run. Raises ValueError for a step out of turn.
    """

    wants_all = False

    def __init__(self, dim: int, steps: int):
        self._kept = {name: np.zeros((steps, dim)) for name in VECTORS} | {name: np.zeros(steps) for name in NUMBERS}
        self._kept |= {"start": np.zeros(dim), "step": np.zeros((), np.int64)}

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of everything kept, for a checkpoint."""
        return {name: array.copy() for name, array in self._kept.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take up the state of a checkpoint."""
        self._kept = {name: np.array(state[name]) for name in self._kept}

    @torch.no_grad()
    def observe(self, step: int, before: torch.Tensor, after: torch.Tensor, measures: dict) -> None:
        """Take in one step: dead rows (n, D) before and after it, as stored, and the measures of the training."""
        kept, row = self._kept, step - 1
        if row != kept["step"] or row >= len(kept["loss"]):
            raise ValueError(f"step {int(kept['step']) + 1} is the next to track; found {step}")
        if row == 0:
            kept["start"][:] = before.double().mean(0).numpy()
        moved, gradient = after.float() - before.float(), measures["dead_gradient"].float()  # (n, D)
        kept["drift"][row] = moved.double().mean(0).numpy()
        for name in ("mean_h", "dead_pull"):
            kept[name][row] = measures[name].double().numpy()
        for name in ("loss", "dead_probability"):
            kept[name][row] = measures[name]
        kept["gradient_norm"][row] = float(torch.linalg.vector_norm(gradient, dim=1).mean())
        kept["gradient_coherence"][row] = motion.coherence(gradient)
        kept["motion_coherence"][row] = motion.coherence(moved)
        kept["moved"][row] = float((moved != 0).double().mean())
        kept["step"][...] = step

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was kept of the steps so far.

        mean_h (T, D): mean of the final hidden states over the batch's positions; dead_pull (T, D): the sum of the
        dead rows' gradients; drift (T, D): the displacement of the dead centroid, gamma units; start (D,): the
        centroid before the first step; and the numbers, (T,) each.
        """
        done = int(self._kept["step"])
        return {name: self._kept[name][:done].copy() for name in (*VECTORS, *NUMBERS)} | {"start": self._kept["start"]}


def swarm_drift(settings: Settings, rows: torch.Tensor, gradients: np.ndarray) -> np.ndarray:
    """Return the centroid's displacements (T, D) if every row were given the same gradient in every step.

    rows (n, D): where they start, of the protocol's type; gradients (T, D). The update is the run's own, with all its
    roundings. One row of zeros moves freely: it is put back to 0 after each step, so that its weight's rounding is
    relative to the step and nothing gets lost.
    """
    stored, free = rows.clone(), not bool(rows.any())
    slopes = torch.zeros_like(stored)
    rule = protocols.update(settings, stored, slopes, stored.float())
    drifts = np.empty(gradients.shape)
    for step, gradient in enumerate(torch.from_numpy(gradients), 1):
        before = stored.double().mean(0)
        slopes.copy_(gradient.to(slopes.dtype).expand_as(slopes))
        rule.apply(step)
        drifts[step - 1] = (stored.double().mean(0) - before).numpy()
        if free:
            stored.zero_()
    return drifts
