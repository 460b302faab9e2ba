"""All seeds of the chapter on the dynamics of dead tokens side by side: what its figures and tables are made from.

Chapter: Dead-token dynamics.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from compute import results_drift, results_dynamics
from compute.cache import Call, Result, cached
from compute.corpus import open_corpus
from compute.paths import published_folder
from compute.results_dynamics import SEEDS

NARROW, WIDE = 0.02, 1.0  # standard deviations of the initialisation: the recipe's, and what the published runs had
SPANS = {"early": "1 to 100", "late": "101 to 1,000"}
DRIFT_FORMATS = {"cosine": ".3f", "length": ".2f", "missed": ".3f"}
STATES = {"0": "start", "100": "step 100", "1000": "step 1,000"}


class Seeds(NamedTuple):
    """The results of each seed, in the order of `SEEDS`."""

    batches: list[Result]
    first_steps: list[Result]
    wide_steps: list[Result]
    compasses: list[Result]
    drifts: list[Result]
    confined: list[Result]


def calls() -> list[tuple[str, Call]]:
    """Everything that the chapter shows, by name, computed or not: what is shipped."""
    corpus, found = open_corpus(), []
    for seed in SEEDS:
        named = {
            "batches": results_dynamics.batches.call(corpus, seed),
            "first_step": results_drift.first_step.call(corpus, seed, NARROW),
            "first_step-wide": results_drift.first_step.call(corpus, seed, WIDE),
            "compass": results_drift.compass.call(corpus, seed),
            "drift": results_drift.drift.call(corpus, seed),
            "confinement": results_drift.confinement.call(corpus, seed),
        }
        found += [(f"dynamics/{name}/{seed}", call) for name, call in named.items()]
    return found


def together() -> Seeds:
    """All of it: read where it is kept, computed where it is not (three trainings of a thousand steps)."""
    results = [call.run() for _, call in calls()]
    kinds = len(Seeds._fields)
    return Seeds(*(results[kind::kinds] for kind in range(kinds)))


def remarks() -> Result:
    """The numbers that the record gives in its remarks on Goldilocks, by quantity [harrell2025azimuth]."""
    return _remarks(published_folder() / "observations.csv")


@cached
def _remarks(source: Path) -> dict:
    """Every decimal number in the remark of each row, by the row's quantity."""
    with source.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["model"] == "Goldilocks"]
    numbers = re.compile(r"\d+\.\d+(?:e[-+]?\d+)?")
    return {row["quantity"]: [float(number) for number in numbers.findall(row["remark"] or "")] for row in rows}


def series(results: list[Result], name: str) -> list[np.ndarray]:
    """One array of each seed."""
    return [result[name] for result in results]


def states(result: Result, name: str) -> dict[str, np.ndarray]:
    """One array of each state of a training, by the state's name."""
    return {label: result[mark][name] for mark, label in STATES.items()}


def across(results: list[Result], *keys) -> list[float]:
    """One number of each seed, however deep it lies: keys of dicts, places in lists and arrays."""
    found = []
    for result in results:
        value = result
        for key in keys:
            value = value[key]
        found.append(value)
    return found


def predictions(result: Result, name: str) -> dict[str, np.ndarray]:
    """One array of each prediction of the drift, by the prediction's name."""
    return {kind: result[kind][name] for kind in ("gradient", "adam", "moments", "lattice")}


def autograd_table(seeds: Seeds) -> dict[str, list]:
    """Columns: by state, what autograd and the formula differ by; the worst of the seeds."""
    names = {
        "tied": "residual_tied", "cut in two": "residual_cut", "allowed": "allowance",
        "bfloat16": "residual_bf16", "expected of bfloat16": "expected_bf16",
    }  # fmt: skip
    return {"state": list(STATES.values())} | {
        title: [max(across(seeds.batches, mark, name)) for mark in STATES] for title, name in names.items()
    }


def swarm_table(seeds: Seeds) -> dict[str, list]:
    """Columns: by state, the coherence found and expected, and to what the pull is parallel; means of the seeds."""
    names = {
        "coherence": "coherence", "by equation": "expected_coherence", "to mean h": "pull_to_mean",
        "to weighted mean": "pull_to_weighted", "dead probability": "mass", "|mean h|": "mean_h_norm",
    }  # fmt: skip
    return {"state": list(STATES.values())} | {
        title: [float(np.mean(across(seeds.batches, mark, name))) for mark in STATES] for title, name in names.items()
    }


def drift_table(seeds: Seeds, labels: dict[str, tuple[str, str]]) -> dict[str, list]:
    """Columns: by prediction and span, cosine and length of the way and the share of the steps that it misses; means.

    labels: {prediction: (what to call it, ...)}, as `figures_dynamics.PREDICTIONS`.
    """
    rows = [(kind, span) for kind in labels for span in SPANS]
    columns = {"prediction": [labels[kind][0] for kind, _ in rows], "steps": [SPANS[span] for _, span in rows]}
    for word, name in (("cosine", "cosine"), ("length", "overall_length"), ("missed", "missed")):
        means = [float(np.mean(across(seeds.drifts, kind, span, name))) for kind, span in rows]
        unscaled = [kind == "gradient" and word != "cosine" for kind, _ in rows]  # plain descent has no length
        columns[word] = [None if without else mean for without, mean in zip(unscaled, means, strict=True)]
    return columns


def with_the_published_mean(seeds: Seeds, length: float) -> list[float]:
    """The coherence that the first batch of each seed would have, to first order, if m were `length` long.

    Everything else, S and the rows, as it is: (1 + x)^(-1/2) with x growing as 1 / |m|^2.
    """
    found = []
    for coherence, ours in zip(
        across(seeds.batches, "0", "expected_coherence"), across(seeds.batches, "0", "mean_h_norm"), strict=True
    ):
        found.append((1 + (coherence**-2 - 1) * (ours / length) ** 2) ** -0.5)
    return found
