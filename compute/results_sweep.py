"""What the runs of a sweep have in common and what not: when the dead freeze, over the axes of the grid.

Chapter: Nutcracker.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from compute import sweeps
from compute.cache import Result, cached
from compute.corpus import Corpus, open_corpus
from compute.results_goldilocks import run

LAST = 100  # steps at the end of a run whose mean share of resting tokens is told
NUMBERS = ("median_freeze_step", "frozen_fraction", "final_loss", "held_out_loss")


def numbers(found: Mapping) -> dict[str, float]:
    """Four numbers of one run: see `landscape`."""
    from compute.goldilocks import phases
    from compute.results_experiments import lives_of

    lives = lives_of(found)
    steps = len(lives["count_still"])
    still = phases.frozen_fraction(lives["count_still"], len(lives["tokens"]), [steps], LAST)
    return {
        "median_freeze_step": float(np.median(phases.of_run(lives).move)),
        "frozen_fraction": float(still[0]),
        "final_loss": float(found["final_loss"]),
        "held_out_loss": float(found["held_out_loss"]),
    }


def arranged(axes: Mapping[str, Sequence], seeds: int, found: Sequence[Mapping | None]) -> dict[str, np.ndarray]:
    """Each of the numbers as an array, an axis of it for each of the sweep's and the last for the seeds; NaN: none.

    found: the `numbers` of each run, in the order of `Sweep.runs`.
    """
    shape = (*map(len, axes.values()), seeds)
    return {
        name: np.array([one[name] if one else np.nan for one in found]).reshape(shape)  # (runs,) -> (axes..., seeds)
        for name in NUMBERS
    }


def landscape(file: str) -> Result:
    """A whole sweep, from its file: see `_landscape`. What is not kept is trained."""
    sweep = sweeps.read(file)
    settings = [sweep.settings(point, seed) for point, seed in sweep.runs()]
    axes = {field: list(values) for field, values in sweep.axes.items()}
    return _landscape(open_corpus(), settings, axes, list(sweep.seeds))


@cached
def _landscape(corpus: Corpus, settings: list, axes: dict, seeds: list) -> dict:
    """Arrays over the axes and the seeds (last): NaN where the training diverged.

    median_freeze_step: of the last motions of the dead tokens; frozen_fraction: share of them with L1 = 0, mean of the
    last 100 steps; final_loss, held_out_loss: nats.
    """
    found: list[dict | None] = []
    for one in settings:
        try:
            found.append(numbers(run(corpus, one)))
        except FloatingPointError:
            found.append(None)
    return {"axes": axes, "seeds": seeds, "steps": settings[0]["steps"], **arranged(axes, len(seeds), found)}
