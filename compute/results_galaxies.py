"""The named results of the chapter on other galaxies: many catalogues, each in one small result, and the record's.

What is measured of a model that a package index carries is small, and is shipped: the page needs none of their files.
Chapter: Other galaxies.
"""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from compute import (
    catalog,
    experiments,
    galaxies,
    lattice,
    metric,
    quantization,
    results,
    results_embers,
    results_goldilocks,
    results_smoke,
    rounding,
    smoke,
)
from compute.cache import Call, Result, cached
from compute.corpus import Corpus, open_corpus
from compute.models.inputs import registry
from compute.models.sources import ENCODERS
from compute.models.tokenizer import JSON, Tokenizer
from compute.models.vocabulary import Kind
from compute.models.weights import Catalogue, Model, Vocabulary
from compute.neighbors import nearest
from compute.smoke import adjacency, structure

GALAXIES = ("smollm2", "whisper-tiny-en", "all-minilm-l6-v2")  # rows of data/models.toml that a package index carries
MOST_ROWS = 3_000  # different rows that are compared with each other
NAMED = 400  # texts at most that are kept of an inner group
SHUFFLES = 500


@dataclass(frozen=True)
class Pinned:
    """A model by its row in data/models.toml, whether or not its files are here: the pinned hashes name what it is."""

    name: str
    label: str
    fingerprint: str


def pinned(name: str) -> Pinned:
    """The pin of a model that lies in a wheel. Raises KeyError for a name that is not in the registry."""
    entry = registry()[name]
    told = [ENCODERS.get(name), *(file.sha256 for file in entry.files)]
    return Pinned(name, entry.title, hashlib.sha256(json.dumps(told).encode()).hexdigest())


@cached
def measured(pin: Pinned) -> dict:
    """One pinned model on one page, see `of_model`; its files are fetched if they are not here.

    Raises what `results.model` raises: FileNotFoundError with what to do where it cannot be fetched.
    """
    opened = results.model(pin.name)
    return dict(of_model(opened.catalogue, opened.vocabulary, results_smoke.tokenizer(opened)))


@cached
def of_model(catalogue: Catalogue, vocabulary: Vocabulary, tokenizer: Tokenizer | None) -> dict:
    """A catalogue in numbers and two small curves; lengths in gamma units, the histogram in medians.

    populations, core, oort, edge, candidates: as the chapter on the frozen smoke has them. group: the tokens up to the
    widest gap, see `compute.galaxies.inner_group`; pieces, farthest: of its different rows, in cells; varying: how many
    components they are not all the same in; widths: the median cell of those components and of the others; noise: see
    `compute.galaxies.dealt`, None for a group of one place.
    special: how many, how many inside, and the texts of those outside. spare: rows whose names say that they stand for
    nothing. coarse: see `_coarse`; None where there are holes already. reach: pieces that only continue a word are left
    out of it, and counted; None without a tokenizer.
    """
    holes, layers, normed = results.census(catalogue), results_smoke.layers(catalogue), results.norms(catalogue)
    basis, group = results.eigenbasis(catalogue), galaxies.inner_group(layers["distance"], layers["hop"])
    dead = results_smoke.dead_candidates(catalogue, vocabulary, tokenizer)["ids"]
    special, spare = vocabulary.kinds == Kind.CONTROL, galaxies.spare(vocabulary.tokens)
    inside = np.zeros(catalogue.n_tokens, dtype=bool)
    inside[group.ids if len(group.ids) > 1 else []] = True
    marked = inside | spare
    marked[dead] = True
    return {
        "label": catalogue.label,
        "storage": catalogue.storage,
        "n_tokens": catalogue.n_tokens,
        "dim": catalogue.dim,
        "centroid_norm": results.centring(catalogue)["centroid_norm"],
        "median_norm": normed["centred_summary"]["median"],
        "norms": galaxies.norm_histogram(normed["centred"], marked),
        "spectrum": basis["spectrum"].astype(np.float32),
        "participation_ratio": basis["participation_ratio"],
        "populations": holes["populations"],
        "hop": layers["hop"],
        "core": len(layers["core"]),
        "core_radius": layers["core_radius"],
        "oort": len(layers["oort"]),
        "edge": layers["edge"],
        "candidates": len(dead),
        "group": _group(catalogue, vocabulary, group),
        "special": [int(special.sum()), int((special & inside).sum())],
        "special_outside": results.texts_of(vocabulary, np.flatnonzero(special & ~inside)[:NAMED]),
        "spare": _spare(catalogue, spare, normed["raw"]),
        "coarse": None if holes["populations"] else _coarse(catalogue, spare),
        "reach": None if tokenizer is None else _reach(vocabulary, tokenizer, inside, spare),
    }


def _group(catalogue: Catalogue, vocabulary: Vocabulary, group: galaxies.InnerGroup) -> dict:
    rows = structure.different_rows(group.ids, smoke.census(catalogue.stored()))
    stored, storage = results_smoke.countable(catalogue, rows.ids[:MOST_ROWS])
    places = adjacency.coordinates(stored, storage)  # (n, D)
    linkage, widths = adjacency.Linkage(adjacency.cell_distances(places)), _cells(stored[:1], storage)
    varying = np.isin(np.arange(catalogue.dim), adjacency.bounding_box(places).varying)  # (D,)
    generator, some = np.random.default_rng(results.SEED), rows.population[:MOST_ROWS]
    return {
        "tokens": len(group.ids),
        "rows": len(rows.ids),
        "radius": group.radius,
        "outer": group.outer,
        "ratio": group.ratio,
        "chance": group.chance,
        "pieces": linkage.count(results_smoke.NEAREST),
        "farthest": int(linkage.distances.max()),
        "varying": int(varying.sum()),
        "noise": galaxies.dealt(places, some, SHUFFLES, generator) if varying.any() else None,
        "widths": [float(np.median(widths[mask])) if mask.any() else None for mask in (varying, ~varying)],
        "texts": results.texts_of(vocabulary, group.ids[:NAMED]),
    }


def _cells(stored: np.ndarray, storage: str) -> np.ndarray:
    """The width of each component's cell in one row (1, W), (D,) in gamma units; storage as `countable` gives it."""
    if storage in adjacency.LATTICES:
        return lattice.ulp(stored, adjacency.LATTICES[storage])[0]
    scales = np.abs(quantization.unpack(stored).scales[0].astype(np.float64))  # (blocks,)
    return np.repeat(scales, quantization.BLOCK)


def _spare(catalogue: Catalogue, spare: np.ndarray, raw: np.ndarray) -> dict:
    """The spare rows as a cloud of their own, and whether rounding to bfloat16 would put any two of all rows together.

    radius: root mean square about their own centroid; nearest: the median distance to the nearest other spare one.
    """
    ids = np.flatnonzero(spare)
    found = {"tokens": len(ids), "rounded": None}
    if catalogue.storage == "F32":
        rounded = smoke.census(rounding.round_nearest(catalogue.matrix()).astype(np.uint16))
        found["rounded"] = rounded.tokens_in_holes
    if len(ids) > 1:
        rows = catalogue.rows(ids).astype(np.float64)
        found |= {
            "norm": float(np.median(raw[ids])),
            "others_norm": float(np.median(raw[~spare])),
            "radius": float(np.sqrt(((rows - rows.mean(axis=0)) ** 2).sum(axis=1).mean())),
            "nearest": float(np.median(nearest(rows.astype(np.float32), 1).distances[:, 0])),
        }
    return found


def _coarse(catalogue: Catalogue, spare: np.ndarray) -> dict[str, int]:
    """On which grid two rows meet first: whole numbers of one scale for the matrix, of ever fewer bits, from eight on.

    holes, tokens, spare: what is in holes on that grid; bits: 0 where even two bits keep all rows apart.
    """
    largest = results.centring(catalogue)["largest_component"]
    for bits in range(8, 1, -1):
        step = largest / (2 ** (bits - 1) - 1)
        blocks = [np.rint(block / step).astype(np.int8) for _, block in catalogue.blocks()]
        found = smoke.census(np.concatenate(blocks).view(np.uint8))
        if found.tokens_in_holes:
            inside = int((found.hole[spare] >= 0).sum())
            return {"bits": bits, "holes": len(found.members), "tokens": found.tokens_in_holes, "spare": inside}
    return {"bits": 0, "holes": 0, "tokens": 0, "spare": 0}


def _reach(vocabulary: Vocabulary, tokenizer: Tokenizer, inside: np.ndarray, spare: np.ndarray) -> dict[str, int]:
    found = results_smoke.reach(vocabulary, tokenizer)
    cause = np.array(found["causes"])[found["cause"]]  # (N,) str
    within = _continuations(vocabulary, tokenizer)
    tested = (cause != "no token") & ~within
    unreachable = tested & (cause != "reachable")
    counted = {"tested": tested, "unreachable": unreachable, "tested_inside": tested & inside}
    counted |= {"unreachable_inside": unreachable & inside, "unreachable_spare": unreachable & spare}
    counted["continuations"] = within
    return {name: int(mask.sum()) for name, mask in counted.items()}


def _continuations(vocabulary: Vocabulary, tokenizer: Tokenizer) -> np.ndarray:
    """The tokens that a vocabulary of word pieces marks as standing behind another, (N,) bool; others mark none."""
    model = json.loads(tokenizer.parts[0])["model"] if tokenizer.source == JSON else {}
    prefix = (model.get("continuing_subword_prefix") or "").encode()
    marked = [bool(prefix) and token is not None and token.startswith(prefix) for token in vocabulary.tokens]
    return np.array(marked, dtype=bool) & (vocabulary.kinds == Kind.NORMAL)


@cached
def of_arm(corpus: Corpus, settings: dict) -> dict:
    """The cloud of one training of Goldilocks at its end: what `of_model` says of shape, the dead marked."""
    bits = results_goldilocks.final_bits(corpus, settings)
    rows = (bits.astype(np.uint32) << 16 if bits.dtype == np.uint16 else bits).view(np.float32)  # (V, D)
    mu = catalog.centroid([(0, rows)])
    centred = catalog.row_norms([(0, rows)], mu)
    basis = metric.eigenbasis(mu, metric.covariance([(0, rows)], mu, np.float64))
    return {
        "centroid_norm": float(np.linalg.norm(mu)),
        "median_norm": float(np.median(centred)),
        "norms": galaxies.norm_histogram(centred, corpus.dead),
        "spectrum": basis.spectrum.astype(np.float32),
        "participation_ratio": metric.participation_ratio(basis.spectrum),
    }


def arms() -> dict[str, tuple[Result, Result | None]]:
    """{experiment: (remains, cloud)} of the first seed of every arm whose census is kept; nothing is trained for it.

    The cloud is None where neither it nor the final matrix is kept.
    """
    told = {}
    for name in results_embers.wanted():
        seed = experiments.named(name).seeds[0]
        if (remains := results_embers.call_of(name, seed).read()) is not None:
            cloud, matrix = _of_first(of_arm, name), _of_first(results_goldilocks.matrix, name)
            here = {cloud.state(), matrix.state()} & set(results_embers.HERE)
            told[name] = (remains, cloud.run() if here else None)
    return told


def _of_first(function, name: str) -> Call:
    """A result of the first seed of an arm, computed or not."""
    one = experiments.named(name)
    return function.call(open_corpus(), one.settings(one.seeds[0]))


def sky(opened: Model) -> dict[str, Result]:
    """{label: numbers} of the catalogues that are measured: the book's own model first, then the pinned ones."""
    found = {}
    pins = [pinned(name) for name in GALAXIES]
    if opened.catalogue.label not in [pin.label for pin in pins]:
        told = of_model(opened.catalogue, opened.vocabulary, results_smoke.tokenizer(opened))
        found[opened.catalogue.label] = told
    return found | {pin.label: measured(pin) for pin in pins}


def calls() -> list[tuple[str, Call]]:
    """What is shipped for this chapter, by name: the pinned models, and the clouds of the arms."""
    models = [(f"galaxy/{name}", measured.call(pinned(name))) for name in GALAXIES]
    return models + [(f"galaxy/{name}", _of_first(of_arm, name)) for name in results_embers.wanted()]
