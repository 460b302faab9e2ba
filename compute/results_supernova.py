"""The named results of the first hundred steps, every step recorded: flights of the dead and the living, and the film.

The recording itself, the whole matrix after every step, is read and thrown away. Chapters: Goldilocks, Supernova.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from compute import experiments
from compute.cache import cached
from compute.corpus import Corpus

LATE = 10  # steps whose mean stands for the end where batches differ
WATCHED = 3  # tokens of each kind whose steps are shown one by one


@contextmanager
def _recorded(corpus: Corpus, seed: int) -> Iterator[tuple]:
    """Train the first hundred steps, recording everything: the open recording, and the summary's arrays."""
    from compute.goldilocks.observation import Summary
    from compute.goldilocks.recording import Recorder, open_recording
    from compute.goldilocks.settings import Settings
    from compute.goldilocks.training import train
    from compute.goldilocks.transformer import initial, layout, output_name, views

    chosen = Settings(**experiments.named("supernova").settings(seed))
    shapes = layout(chosen, corpus.n_tokens)
    start = views(initial(chosen, corpus.n_tokens), shapes)[output_name(chosen)].bfloat16()
    watcher = Summary(corpus.dead, chosen.width, chosen.steps)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "every-step.h5")
        with Recorder(path, chosen.steps, start) as recorder:
            train(chosen, corpus.stream, corpus.dead, Path(folder), [watcher, recorder])
        with open_recording(path) as recording:
            yield recording, watcher.arrays()


def _states(recording, which: np.ndarray) -> Iterator[np.ndarray]:
    """The stored bits of some rows, state by state, from before the first step: (n, D) uint16 each."""
    return (recording.step(step)[which] for step in range(recording.steps + 1))


@cached
def opening(corpus: Corpus, seed: int) -> dict:
    """The first hundred steps of one seed: dead and living swarm (see `flight.flight`), loss and dead mass.

    against: (T + 1,) the cosine of the living centroid's way since the start to the dead one's; along: (V,) how far
    each token went in the direction of the dead centroid's whole way, gamma units; loss in nats and dead_mass (the
    probability of all dead tokens, mean over positions) are (T,), each before its step; so are participation, the dead
    cloud's ratio, and gradient_coherence, the mean cosine of the dead rows' gradients to their mean.
    """
    from compute.goldilocks.flight import along, cosines, flight
    from compute.goldilocks.observation import SERIES

    with _recorded(corpus, seed) as (recording, summary):
        dead, living = (flight(_states(recording, which)) for which in (corpus.dead, ~corpus.dead))
        far = along(recording.step(0), recording.step(recording.steps), corpus.dead)
    ways = [swarm["centroid"] - swarm["centroid"][0] for swarm in (living, dead)]
    series = dict(zip(SERIES, summary["series"].T.astype(np.float64), strict=True))
    return {
        "dead": {name: array.astype(np.float32) for name, array in dead.items() if name != "centroid"},
        "living": {name: array.astype(np.float32) for name, array in living.items() if name != "centroid"},
        "against": cosines(*ways).astype(np.float32),
        "along": far.astype(np.float32),
        "loss": series["loss"],
        "dead_mass": series["dead_probability"],
        "participation": series["participation"],
        "gradient_coherence": series["gradient_coherence"],
    }


@cached
def first_hundred(corpus: Corpus) -> dict:
    """The first hundred steps of all seeds, and what there is to say of them: numbers are [lowest, mean, highest].

    seeds; dead, living, against, along, loss, dead_mass, participation, gradient_coherence: as `opening`, a row a seed.
    """
    seeds = experiments.named("supernova").seeds
    found = [opening(corpus, seed) for seed in seeds]
    told = [_told(one) | _company(one["along"], corpus.counts) for one in found]
    swarms = {
        which: {name: np.stack([one[which][name] for one in found]) for name in found[0][which]}
        for which in ("dead", "living")
    }
    return {
        "seeds": list(seeds),
        **swarms,
        **{name: np.stack([one[name] for one in found])
           for name in ("against", "along", "loss", "dead_mass", "participation", "gradient_coherence")},
        "numbers": {name: _span([one[name] for one in told]) for name in told[0]},
    }  # fmt: skip


def _span(values: list[float]) -> list[float]:
    return [float(min(values)), float(np.mean(values)), float(max(values))]


def _told(one: dict) -> dict[str, float]:
    """The numbers that the text needs, of one seed. Lengths in gamma units, losses in nats, steps count from 1."""
    dead, living, mass = one["dead"], one["living"], one["dead_mass"]
    fell = one["loss"][0] - one["loss"][-LATE:].mean()
    dividend = np.log1p(-mass[-LATE:].mean()) - np.log1p(-mass[0])
    half = int(np.argmax(mass < mass[0] / 2)) if (mass < mass[0] / 2).any() else len(mass)  # steps made by then
    peak = int(np.nanargmax(dead["drift"]))
    slow = np.flatnonzero(dead["drift"][peak:] < dead["drift"][peak] / 2)
    numbers = {
        "centroid_start": dead["centroid_norm"][0],
        "centroid_end": dead["centroid_norm"][-1],
        "radius_start": dead["radius"][0],
        "radius_end": dead["radius"][-1],
        "radius_most": dead["radius"].max() / dead["radius"][0] - 1,
        "radius_change": dead["radius"][-1] / dead["radius"][0] - 1,
        "travelled": dead["travelled"][-1],
        "path": np.nansum(dead["drift"]),
        "radii": dead["travelled"][-1] / dead["radius"][0],
        "deformation": dead["deformation"][-1] / dead["radius"][0],
        "to_centroid_start": dead["to_centroid"][0],
        "to_centroid_end": dead["to_centroid"][-1],
        "shared_early": np.nanmean(dead["shared"][1:51]),
        "shared_end": dead["shared"][-LATE:].mean(),
        "coherence_early": np.nanmean(dead["coherence"][1:51]),
        "coherence_end": dead["coherence"][-LATE:].mean(),
        "gradient_end": one["gradient_coherence"][-LATE:].mean(),
        "component_start": dead["component"][1],
        "component_end": dead["component"][-LATE:].mean(),
        "moved_start": dead["moved"][1],
        "moved_end": dead["moved"][-LATE:].mean(),
        "still_end": dead["still"][-LATE:].mean(),
        "l1_start": dead["l1"][1],
        "l1_end": dead["l1"][-LATE:].mean(),
        "drift_most": dead["drift"][peak],
        "drift_end": dead["drift"][-LATE:].mean(),
        "half_speed_step": peak + int(slow[0]) if slow.size else len(dead["drift"]),
        "mass_start": mass[0],
        "mass_end": mass[-LATE:].mean(),
        "half_mass_step": half,
        "loss_start": one["loss"][0],
        "loss_end": one["loss"][-LATE:].mean(),
        "dividend": dividend,
        "dividend_share": dividend / fell,
        "living_travelled": living["travelled"][-1],
        "living_radius_change": living["radius"][-1] / living["radius"][0] - 1,
        "living_shared_early": np.nanmean(living["shared"][1:51]),
        "living_to_dead": one["against"][-1],
        "participation_start": one["participation"][0],
        "participation_end": one["participation"][-1],
    }
    return {name: float(number) for name, number in numbers.items()} | {
        "straightness": float(dead["travelled"][-1] / np.nansum(dead["drift"]))
    }


def _company(far: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """How much of the way the living went along with the dead, by how often they occur."""
    from scipy import stats

    dead = counts == 0
    rank = np.argsort(-counts[~dead], kind="stable")  # the commonest first
    ways, most = far[~dead][rank], np.array_split(np.arange(len(rank)), 10)  # tenths
    return {
        "along_dead": float(far[dead].mean()),
        "along_common": float(ways[most[0]].mean()),
        "along_rare": float(ways[most[-1]].mean()),
        "along_order": float(stats.spearmanr(counts[~dead], far[~dead]).statistic),
        "along_back": float((far[~dead] < 0).mean()),
        "along_half": float((far[~dead] > far[dead].mean() / 2).mean()),
        "rarest_tenth": float(counts[~dead][rank[most[-1]]].max()),
    }


@cached
def frames(corpus: Corpus, seed: int = 42) -> dict:
    """The film of the dead cloud: its rows on the first two principal axes of the whole path, after every step.

    places (T + 1, n, 2) float16, gamma units from the path's centre; speeds (T + 1, n) float16, each token's
    displacement in the step, gamma units, 0 before the first; shares: of the path's variance, by axis;
    origin: where the zero of gamma space is; tokens (n,).
    """
    from compute.goldilocks.flight import plane, projected
    from compute.lattice import BFLOAT16, value

    with _recorded(corpus, seed) as (recording, _):
        centre, axes, shares = plane(_states(recording, corpus.dead))
        places = np.stack(list(projected(_states(recording, corpus.dead), centre, axes)))
        rows = (value(bits, BFLOAT16) for bits in _states(recording, corpus.dead))
        before, speeds = next(rows), [np.zeros(int(corpus.dead.sum()))]
        for after in rows:
            speeds.append(np.linalg.norm(after - before, axis=1))
            before = after
    return {
        "seed": seed,
        "places": places.astype(np.float16),
        "speeds": np.stack(speeds).astype(np.float16),
        "shares": shares.tolist(),
        "origin": (-axes @ centre).tolist(),
        "tokens": np.flatnonzero(corpus.dead).astype(np.uint16),
    }


@cached
def first_look(corpus: Corpus, seed: int = 42) -> dict:
    """The first steps of a few tokens: L1 of each step's displacement in cells, and the length in gamma units.

    tokens: ids, the commonest, the middle and the rarest of the living (by rank), then the first, the middle and the
    last of the dead (by id); cells and lengths: (T, 6). bytes: of the recording's file.
    """
    from compute.lattice import BFLOAT16, ordinal, value

    living = np.argsort(-corpus.counts, kind="stable")[: int((~corpus.dead).sum())]
    dead = np.flatnonzero(corpus.dead)
    picks = [group[round(at * (len(group) - 1) / (WATCHED - 1))] for group in (living, dead) for at in range(WATCHED)]
    with _recorded(corpus, seed) as (recording, _):
        rows = np.stack([recording.token(int(token)) for token in picks], axis=1)  # (T + 1, 6, D)
        size = (recording.steps + 1) * recording.n_tokens * recording.dim * rows.itemsize
    cells = np.abs(np.diff(ordinal(rows, BFLOAT16).astype(np.int64), axis=0)).sum(axis=-1)
    lengths = np.linalg.norm(np.diff(value(rows, BFLOAT16), axis=0), axis=-1)
    return {"seed": seed, "tokens": [int(token) for token in picks], "cells": cells, "lengths": lengths, "bytes": size}
