"""The named results of what the trainings of Goldilocks leave behind: one census a run, small enough to be shipped.

Nothing is trained for this chapter: what it shows are the runs that are there.
Chapter: Does it make smoke?
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from compute import embers, experiments, results_goldilocks
from compute.cache import Call, Result, cached
from compute.corpus import Corpus, open_corpus

HERE = ("fresh", "shipped")  # states of what need not be computed
REST = 100  # steps at the end of a run, over which the resting tokens are averaged
STARTS = {  # experiment: how its token rows began; all else is the recipe's
    "pure-bf16": "N(0,\u00a00.02²)",
    "published-init": "N(0,\u00a01)",
    "one-point": "one point",
    "one-point-spread": "one point, spread",
}
SPREAD = experiments.SPREAD  # of one point, spread: a standard deviation, unit of a weight
SIZES = ("nearest", "thresholds", "components", "groups")  # arrays that are kept packed


@cached
def remains(corpus: Corpus, settings: dict) -> dict:
    """What the dead tokens of one training are at its end, and what they were at its beginning.

    storage: of the matrix; cells are those of bfloat16, to which float32 is rounded first. populations, dead_in_holes:
    the census of the stored bits; rounded: dead tokens in holes once rounded to bfloat16. company: packed; camps:
    components in which the dead stand in two; cloud: gamma units; layers: what the frozen smoke's rules find; start:
    the same of the initial matrix, in short; resting: the share of the dead with L1 = 0, mean of the last 100 steps.
    See `compute.embers`.
    """
    from compute.goldilocks.packing import packed

    stored, dead = results_goldilocks.final_bits(corpus, settings), corpus.dead
    bits = embers.as_bfloat16(stored)
    found, near = embers.holes(stored, dead), embers.company(bits[dead])
    still = _lives(results_goldilocks.run(corpus, settings))["count_still"][-REST:]
    return {
        "storage": "bfloat16" if stored.dtype == np.uint16 else "float32",
        "n_tokens": len(stored),
        "dim": stored.shape[1],
        "dead_tokens": int(dead.sum()),
        "populations": found.populations,
        "dead_in_holes": found.dead,
        "rounded": embers.holes(bits, dead).captured,
        "company": packed({name: getattr(near, name) for name in SIZES}),
        "touching": near.touching,
        "farthest": near.farthest,
        "jump": near.jump and list(near.jump),
        "camps": embers.camps_of(bits[dead]),
        "cloud": asdict(embers.cloud(bits, dead)),
        "layers": _layers(bits, dead),
        "resting": float(still.mean() / dead.sum()),
        "start": _start(settings, dead),
    }


def _lives(run: Mapping) -> dict[str, np.ndarray]:
    from compute.goldilocks.packing import unpacked

    return unpacked(dict(run["summary"]))


def _layers(bits: np.ndarray, dead: np.ndarray) -> dict:
    found = embers.layering(bits, dead)
    parted = found.layers
    return {
        "centre": found.centre,
        "core": len(parted.core),
        "core_dead": found.core_dead,
        "oort": len(parted.oort),
        "oort_dead": found.oort_dead,
        "oort_ids": parted.oort[~dead[parted.oort]],  # the living ones
        "edge": parted.edge,
        "gap": None if parted.gap is None else vars(parted.gap),
    }


def _start(settings: dict, dead: np.ndarray) -> dict:
    """The initial matrix, rounded to bfloat16: dead tokens in holes, the median nearest neighbour, the cloud."""
    from compute.goldilocks.settings import Settings
    from compute.goldilocks.transformer import initial, layout, output_name, views

    chosen = Settings(**settings)
    weights = views(initial(chosen, len(dead)), layout(chosen, len(dead)))[output_name(chosen)]
    bits = embers.as_bfloat16(weights.numpy().view(np.uint32))
    return {
        "captured": embers.holes(bits, dead).captured,
        "nearest": float(np.median(embers.company(bits[dead]).nearest)),
        "cloud": asdict(embers.cloud(bits, dead)),
    }


@cached
def sky(corpus: Corpus, settings: dict) -> dict:
    """All tokens at the end of a training as seen from the centroid of the dead: positions (N, 3) float32.

    distance (N,) in gamma units; nearest: the living tokens by rising distance, their ids and texts, the first twelve.
    """
    bits = embers.as_bfloat16(results_goldilocks.final_bits(corpus, settings))
    found = embers.sky(bits, corpus.dead)
    nearest = np.argsort(np.where(corpus.dead, np.inf, found.distance), kind="stable")[:12]
    nearest = nearest[~corpus.dead[nearest]]
    texts = results_goldilocks.lexicon(corpus)["texts"]
    return {
        "positions": found.positions.astype(np.float32),
        "distance": found.distance,
        "dead": corpus.dead,
        "nearest": nearest,
        "texts": [texts[i].strip() for i in nearest.tolist()],
        "shown": found.shown,
        "hop": found.hop,
    }


def call_of(name: str, seed: int) -> Call:
    """The remains of one run by name, computed or not."""
    return remains.call(open_corpus(), experiments.named(name).settings(seed))


def wanted() -> list[str]:
    """The experiments whose ends are worth a census: all but the one that stops after its first steps."""
    return [name for name, one in experiments.EXPERIMENTS.items() if one.steps > experiments.FIRST]


def found(names: Sequence[str] | None = None) -> dict[str, dict[int, Result]]:
    """{experiment: {seed: remains}} of all runs that are there; computed where only the training is."""
    told: dict[str, dict[int, Result]] = {}
    for name in names or wanted():
        for seed in experiments.named(name).seeds:
            if (call := call_of(name, seed)).state() in HERE or _trained(name, seed):
                told.setdefault(name, {})[seed] = call.run()
    return told


def _trained(name: str, seed: int) -> bool:
    """Whether the final matrix and the lives of a run are there without training it."""
    corpus, settings = open_corpus(), experiments.named(name).settings(seed)
    if results_goldilocks.trained.call(corpus, settings).state() in HERE:
        return True
    both = (results_goldilocks.matrix, results_goldilocks.run)
    return all(one.call(corpus, settings).state() in HERE for one in both)


def skies() -> dict[str, Result]:
    """{experiment: sky} of the first seed of every initialisation whose final matrix is there."""
    told = {}
    for name in STARTS:
        one = experiments.named(name)
        if _trained(name, one.seeds[0]):
            told[name] = sky(open_corpus(), one.settings(one.seeds[0]))
    return told


def missing(told: Mapping[str, Mapping[int, Result]], names: Sequence[str] | None = None) -> dict[str, list[int]]:
    """{experiment: seeds} of the runs that are not there."""
    lacking = {}
    for name in names or wanted():
        if seeds := [seed for seed in experiments.named(name).seeds if seed not in told.get(name, {})]:
            lacking[name] = seeds
    return lacking
