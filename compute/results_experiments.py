"""The summaries of the named experiments, from runs that are there.

Chapters: Supernova, Nutcracker, Does it make smoke?
"""

from collections.abc import Mapping, Sequence

import numpy as np

from compute import experiments
from compute.cache import Result
from compute.experiments import MILESTONE, Experiment

STRAGGLER = 0.05  # of the run, at its end: who moved in there is a straggler
NAMED = 12  # stragglers a seed whose text is told


def summary(chosen: Experiment, found: Mapping[int, Result]) -> dict:
    """The summary of an experiment from its runs by seed: lists and milestones have one entry a seed, in their order.

    Losses in nats, radii and centroids in gamma units; steps count from 1, and 0 means never moved.
    """
    from compute.goldilocks import phases

    marks = [*range(MILESTONE, chosen.steps + 1, MILESTONE)] or [chosen.steps]
    opened = {seed: lives_of(result) for seed, result in found.items()}
    lives = {seed: phases.of_run(arrays).move for seed, arrays in opened.items()}  # (n,) each
    n = [result["dead_tokens"] for result in found.values()]
    still = [phases.frozen_fraction(a["count_still"], len(a["tokens"]), marks).tolist() for a in opened.values()]
    good = [phases.frozen_for_good(last, marks).tolist() for last in lives.values()]
    numbers = {name: [result[name] for result in found.values()]
               for name in ("final_loss", "held_out_loss", "steps_per_second", "instructions")}  # fmt: skip
    texts = experiments.lexicon().run()["texts"] if found else []
    return {
        "name": chosen.name,
        "question": chosen.question,
        "settings": _settings(chosen),
        "seeds": list(found),
        "steps": chosen.steps,
        "dead_tokens": n[0] if n else None,
        "frozen_fraction": {str(mark): [seed[i] for seed in still] for i, mark in enumerate(marks)},
        "frozen_for_good": {str(mark): [seed[i] for seed in good] for i, mark in enumerate(marks)},
        "median_freeze_step": [float(np.median(last)) for last in lives.values()],
        **numbers,
        "unigram_entropy": next((result["unigram_entropy"] for result in found.values()), None),
        "radius_start": [float(arrays["start_radius"]) for arrays in opened.values()],
        "radius_end": [_at_the_end(arrays, "radius") for arrays in opened.values()],
        "centroid_start": [float(np.linalg.norm(arrays["centroids"][0])) for arrays in opened.values()],
        "centroid_end": [float(np.linalg.norm(arrays["centroids"][-1])) for arrays in opened.values()],
        "stragglers": [
            row for seed, arrays in opened.items()
            for row in stragglers(seed, arrays["tokens"], lives[seed], chosen.steps, texts)
        ],
    }  # fmt: skip


def lives_of(run: Mapping) -> dict[str, np.ndarray]:
    """The summary of a run, unpacked: what `compute.goldilocks.observation.Summary.arrays` describes."""
    from compute.goldilocks.packing import unpacked

    return unpacked(dict(run["summary"]))


def _settings(chosen: Experiment) -> dict:
    """All settings of an experiment but the seed."""
    from dataclasses import asdict

    from compute.goldilocks.settings import Settings

    whole = asdict(Settings(**chosen.settings(chosen.seeds[0])))
    return {name: value for name, value in whole.items() if name != "seed"}


def stragglers(seed: int, tokens: np.ndarray, last: np.ndarray, steps: int, texts: Sequence[str]) -> list[dict]:
    """Who still moved in the last 5 % of a run: count, and the ids, texts and last moves of the last twelve."""
    late = np.flatnonzero(last > steps * (1 - STRAGGLER))
    order = late[np.argsort(-last[late], kind="stable")][:NAMED]
    ids = tokens[order].tolist()
    named = [{"id": i, "text": texts[i], "last_move": int(last[at])} for i, at in zip(ids, order, strict=True)]
    return [{"seed": seed, "count": len(late), "tokens": named}]


def _at_the_end(arrays: Mapping[str, np.ndarray], name: str) -> float | None:
    """The last known value of one of the series, or None."""
    from compute.goldilocks.observation import SERIES

    values = arrays["series"][:, SERIES.index(name)]
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None
