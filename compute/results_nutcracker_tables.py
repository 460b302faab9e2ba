"""The tables of the chapter on how dead tokens freeze: columns by heading, of results that are there.

Chapter: Nutcracker.
"""

from collections.abc import Mapping

import numpy as np

from compute.sentences_nutcracker import listed

FATES = {"pure-bf16": "bfloat16", "fp32-moments": "bfloat16", "stochastic-rounding": "bfloat16, at random",
         "fp32-master": "copy of float32", "fp32": "float32"}  # fmt: skip
MOMENTS = {"pure-bf16": "bfloat16"}  # float32 with every other protocol
START = {"normal": "N(0, {:g})", "one-point": "one point", "one-point-spread": "near one point"}


def arms(found: Mapping[str, Mapping]) -> dict[str, list]:
    """An arm a row: what its weights and moments are, and the shares at rest, mean and range over the seeds, in %."""
    columns = {
        "arm": list(found),
        "weights": [FATES[one["protocol"]] for one in found.values()],
        "moments": [MOMENTS.get(one["protocol"], "float32") for one in found.values()],
        "β₂": [f"{one['beta2']:g}" for one in found.values()],
        "decay": [f"{one['weight_decay']:g}" for one in found.values()],
        "start": [START[one["init"]].format(one["init_std"]) for one in found.values()],
    }
    first = next(iter(found.values()))
    marks = first["milestones"][first["milestones"] <= first["end"]]
    for at in dict.fromkeys((0, len(marks) // 3, len(marks) - 1)):
        columns[f"at rest at {marks[at]:,}"] = [_percent(one["still"][:, at]) for one in found.values()]
    since = max(len(marks) - 2, 0)
    columns[f"for good since {marks[since]:,}"] = [_percent(one["good"][:, since]) for one in found.values()]
    return columns


def losses(found: Mapping[str, Mapping]) -> dict[str, list]:
    """An arm a row: final loss in nats, how far its gradients faded, and what became of its cloud's radius."""
    return {
        "arm": list(found),
        "steps": [one["steps"] for one in found.values()],
        "final loss": [listed(one["final_loss"], ".2f") for one in found.values()],
        "pull, largest over last": [listed(one["fade"]) for one in found.values()],
        "radius, of its first (%)": [_percent(_over(one["radius_end"], one["radius_start"])) for one in found.values()],
        "decay alone (%)": [f"{100 * one['decay']:.1f}" for one in found.values()],
    }


def published(theirs: Mapping, recipe: Mapping) -> dict[str, list]:
    """A published step a row: the share at rest there, ours from N(0, 1) and N(0, .02), and when ours get there."""
    return {
        "step": theirs["steps"],
        "published (%)": [f"{100 * share:.1f}" for share in theirs["published"]],
        "ours, N(0, 1) (%)": [_percent(column) for column in np.transpose(theirs["ours"])],
        "ours, N(0, .02) (%)": [_percent(column) for column in np.transpose(recipe["ours"])],
        "ours from N(0, 1) get there at step": [listed(column) for column in np.transpose(theirs["reached"])],
    }


def printed(runs: Mapping[str, Mapping]) -> dict[str, list]:
    """A length of run a row: the median freeze step that it prints, by experiment, mean and range over the seeds."""
    first = next(iter(runs.values()))
    return {"run ended at step": first["printed_at"].tolist()} | {
        f"median, {name}": [listed(column) for column in run["printed"].T] for name, run in runs.items()
    }


def latest(found: Mapping) -> dict[str, list]:
    """A seed a row: the last tokens to move, with the steps of their last motions, latest first."""
    return {
        "seed": found["seeds"],
        "tokens": found["texts"],
        "last motions, steps": [f"{last[-1]:,} to {last[0]:,}" for last in found["last"]],
    }


def _over(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """What is left of some radii; NaN where there was none, for a cloud that starts as one point."""
    return np.divide(after, before, out=np.full(len(after), np.nan), where=np.asarray(before) > 0)


def _percent(shares: np.ndarray) -> str:
    """Shares, one a seed, as mean and range in per cent; a dash for what is not known."""
    values = 100 * np.asarray(shares, float)
    if not np.isfinite(values).all():
        return "\N{EN DASH}"
    low, mean, high = (f"{number:.1f}" for number in (values.min(), values.mean(), values.max()))
    return mean if low == high else f"{mean} ({low}\N{EN DASH}{high})"
