"""The named results of the chapter on the frozen smoke, of any model: read, compute, cached, a few lines each."""

import numpy as np

from compute import catalog, results, rounding, smoke
from compute.cache import cached
from compute.models.tokenizer import Tokenizer, beside
from compute.models.vocabulary import Kind
from compute.models.weights import Catalogue, Model, Vocabulary
from compute.neighbors import nearest
from compute.results import texts_of
from compute.smoke import adjacency, candidates, enrichment, reachability, scripts, structure

NEAREST = 1  # cells: rows no farther apart touch


def tokenizer(opened: Model) -> Tokenizer | None:
    """The tokenizer of an opened model; None where there is none to be built, and `no_tokenizer` says why."""
    return None if no_tokenizer(opened) else beside(opened)


def no_tokenizer(opened: Model) -> str:
    """Why an opened model has no tokenizer that can be built, in a sentence; empty where it has one."""
    try:
        beside(opened)
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return ""


@cached
def layers(catalogue: Catalogue) -> dict:
    """Core, Oort cloud and main cloud around the centre of the smoke; distances (N,) from there in gamma units."""
    census = smoke.census(catalogue.stored())
    centre = structure.centre_of(census, None if len(census.members) else _company(catalogue))
    distance = catalog.row_norms(catalogue.blocks(), catalogue.rows([centre])[0].astype(np.float64))
    stored, storage = countable(catalogue, [centre])
    hop = adjacency.cell_size(stored, storage)
    found = structure.layers(distance, centre, hop)
    rows, gap = structure.different_rows(found.ids, census), found.gap
    return {
        "centre": centre,
        "has_holes": bool(len(census.members)),
        "distance": distance,
        "hop": hop,
        "core": found.core,
        "oort": found.oort,
        "core_radius": found.core_radius,
        "edge": found.edge,
        "gap": None if gap is None else vars(gap),
        "rows": rows.ids,
        "populations": rows.population,
        "is_hole": rows.is_hole,
        "in_core": np.isin(rows.ids, found.core),
        "holes_in_core": int((rows.is_hole & np.isin(rows.ids, found.core)).sum()),
        "singletons": int((~rows.is_hole).sum()),
    }


def countable(catalogue: Catalogue, ids) -> tuple[np.ndarray, str]:
    """Stored rows whose cells can be counted, with their format; block formats other than Q8_0 as bfloat16."""
    stored = catalogue.stored()[np.asarray(ids)]
    if catalogue.storage in adjacency.COUNTABLE:
        return stored, catalogue.storage
    return rounding.round_nearest(catalogue.rows(ids)), "BF16"


def _company(catalogue: Catalogue) -> np.ndarray:
    """The distance of each token to its nearest other one, (N,): for catalogues without a hole."""
    return nearest(catalogue.matrix(), 1).distances[:, 0]


@cached
def neighbourhood(catalogue: Catalogue) -> dict:
    """The different rows of the smoke against each other: distances in cells (n, n), components, boxes, a picture."""
    found = layers(catalogue)
    stored, storage = countable(catalogue, found["rows"])
    places = adjacency.coordinates(stored, storage)  # (n, D); the first row is the centre
    linkage = adjacency.Linkage(adjacency.cell_distances(places))
    core = adjacency.bounding_box(places[found["in_core"]])
    whole = adjacency.bounding_box(places)
    rows = catalogue.rows(found["rows"])
    picture = structure.sphere(rows, rows[0].astype(np.float64), found["hop"])
    labels = linkage.labels(NEAREST)
    return {
        "counted_in": storage if storage == catalogue.storage else f"{storage}, rounded from {catalogue.storage}",
        "linf": linkage.distances,
        "l1": adjacency.cell_distances(places, "l1"),
        "thresholds": [t for t, _ in linkage.steps()],
        "components": [n for _, n in linkage.steps()],
        "touching": linkage.count(NEAREST),
        "labels": labels,
        "largest_rows": int(np.bincount(labels).max()),
        "degrees": linkage.degrees(NEAREST),
        "edges": linkage.edges(NEAREST),
        "core_varying": core.varying,
        "core_span": core.span[core.varying],
        "varying": len(whole.varying),
        "widest_span": int(whole.span.max()),
        "positions": picture.positions,
        "shown": picture.shown,
    }


@cached
def ladder(catalogue: Catalogue, vocabulary: Vocabulary) -> dict:
    """The tokens of the smoke from the centre outwards: ids, texts safe to show, distances, cells, kinds."""
    found, near = layers(catalogue), neighbourhood(catalogue)
    ids = np.concatenate([found["core"], found["oort"]])
    census = smoke.census(catalogue.stored())
    head = np.where(census.hole[ids] >= 0, _heads(census)[census.hole[ids]], ids)
    place = {int(row): i for i, row in enumerate(found["rows"])}
    cells = near["linf"][0, [place[int(row)] for row in head]]
    return {
        "ids": ids,
        "texts": texts_of(vocabulary, ids),
        "distance": found["distance"][ids],
        "cells": cells,
        "kinds": [Kind(int(kind)).name.lower().replace("_", " ") for kind in vocabulary.kinds[ids]],
        "in_core": np.arange(len(ids)) < len(found["core"]),
        "hole": census.hole[ids],
    }


def _heads(census: smoke.Census) -> np.ndarray:
    return census.first_members if len(census.members) else np.zeros(1, dtype=np.int64)


@cached
def shells(catalogue: Catalogue, per_decade: int = 8) -> dict:
    """Tokens and different rows in shells around the centre, evenly spaced in the logarithm of the distance."""
    found = layers(catalogue)
    counted = structure.shells(found["distance"], smoke.census(catalogue.stored()), found["hop"] / 2, per_decade)
    return {name: getattr(counted, name) for name in ("bounds", "tokens", "rows", "at_centre")}


@cached
def reach(vocabulary: Vocabulary, tokenizer: Tokenizer) -> dict:
    """What becomes of every token on its way to text and back: `cause` (N,) indexes `causes`; and witnesses."""
    encoder = tokenizer.encoder()
    found = reachability.round_trip(vocabulary.tokens, encoder)
    witnessed = reachability.witnesses(vocabulary.tokens, found, encoder)
    return {
        "causes": sorted(reachability.CAUSES),
        "cause": np.searchsorted(sorted(reachability.CAUSES), found.cause).astype(np.uint8),
        "counts": found.counts(),
        "tested": int(found.tested.sum()),
        "unreachable": int(found.unreachable.sum()),
        "witnesses": len([text for text in witnessed.values() if text is not None]),
        "bytes_and_fragments": len(witnessed),
        "silent": reachability.never_emitted(found, witnessed),
    }


@cached
def dead_candidates(catalogue: Catalogue, vocabulary: Vocabulary, tokenizer: Tokenizer | None = None) -> dict:
    """Tokens with geometric evidence of being dead and what speaks for each; `unreachable` needs a tokenizer."""
    found = layers(catalogue)
    kept = structure.Layers(
        found["centre"], found["core"], found["oort"], found["core_radius"], found["edge"], _gap(found["gap"])
    )
    reachable = None
    if tokenizer is not None:
        told = reach(vocabulary, tokenizer)
        reachable = told["cause"] == told["causes"].index("reachable")
    dead = candidates.candidates(kept, smoke.census(catalogue.stored()), found["distance"], reachable)
    return {
        "ids": dead.ids,
        "texts": texts_of(vocabulary, dead.ids),
        "clustered": dead.clustered,
        "far": dead.far,
        "unreachable": dead.unreachable,
        "evidence": dead.evidence,
        "distance": dead.distance,
        "special": vocabulary.kinds[dead.ids] == Kind.CONTROL,
    }


def _gap(kept: dict | None) -> structure.Gap | None:
    return None if kept is None else structure.Gap(**kept)


@cached
def indicators(catalogue: Catalogue, vocabulary: Vocabulary) -> dict:
    """Land and Bartolo's indicators (N,), the core taken as unused, and how well each picks out what is known.

    The known sets: the smoke, its Oort cloud alone, and the special tokens [land2024magikarp].
    """
    found, axes = layers(catalogue), results.axes(catalogue)
    mu = results.centring(catalogue)["centroid"]
    told = candidates.indicators(catalogue.blocks(), catalogue.rows(found["core"]), axes["vectors"][:, 0], mu)
    sets = {
        "smoke": np.concatenate([found["core"], found["oort"]]),
        "Oort cloud": found["oort"],
        "special tokens": np.flatnonzero(vocabulary.kinds == Kind.CONTROL),
    }
    names = [name for name, ids in sets.items() if 0 < len(ids) < catalogue.n_tokens]
    return {
        "values": {name: values.astype(np.float32) for name, values in vars(told).items()},
        "area": {
            name: {which: candidates.agreement(values, sets[which]).area for which in names}
            for name, values in vars(told).items()
        },
        "among_lowest": {
            name: {which: candidates.agreement(values, sets[which]).among_lowest for which in names}
            for name, values in vars(told).items()
        },
    }


@cached
def centroids(catalogue: Catalogue) -> dict:
    """Where the smoke lies as a whole: means of its core and of the living, their sizes (gamma units), their angle."""
    found, mu = layers(catalogue), results.centring(catalogue)["centroid"]
    inside = np.concatenate([found["core"], found["oort"]])
    dead = catalogue.rows(found["core"]).astype(np.float64).mean(axis=0)  # (D,)
    rest = catalogue.n_tokens - len(inside)
    living = (mu * catalogue.n_tokens - catalogue.rows(inside).sum(axis=0, dtype=np.float64)) / rest
    sizes = np.linalg.norm(dead) * np.linalg.norm(living)  # 0 for a hole of zeros, which has no direction
    centred = results.norms(catalogue)["centred"]
    on_axes = (dead - mu) @ results.axes(catalogue)["vectors"]  # (3,)
    longitude, latitude = catalog.sky(on_axes[None])
    return {
        "dead_norm": float(np.linalg.norm(dead)),
        "living_norm": float(np.linalg.norm(living)),
        "angle": float(np.degrees(np.arccos(np.clip(dead @ living / sizes, -1, 1)))) if sizes else None,
        "dead_centred": float(np.linalg.norm(dead - mu)),
        "median_centred": float(np.median(centred)),
        "closer_in": int((centred < centred[found["centre"]]).sum()),
        "longitude": float(longitude[0]),
        "latitude": float(latitude[0]),
    }


@cached
def demographics(catalogue: Catalogue, vocabulary: Vocabulary) -> dict:
    """Who lives in the smoke, against the vocabulary: by script, by form, by leading space, with exact tests."""
    found = layers(catalogue)
    selected = np.zeros(catalogue.n_tokens, dtype=bool)
    selected[np.concatenate([found["core"], found["oort"]])] = True
    traits = scripts.traits(vocabulary.tokens, vocabulary.kinds == Kind.CONTROL)
    groups = {
        "script": traits.script,
        "form": traits.form,
        "leading space": np.where(traits.leading_space, "with a leading space", "without"),
    }
    return {
        name: [vars(share) for share in enrichment.enrichment(labels, selected)] for name, labels in groups.items()
    } | {"unicode": scripts.unicode_version()}


def survey(catalogue: Catalogue, vocabulary: Vocabulary, tokenizer: Tokenizer | None) -> dict:
    """What `survey --depth smoke` adds: smoke {...}, dead_candidates, unreachable {...} or None without a tokenizer."""
    found, near = layers(catalogue), neighbourhood(catalogue)
    told = None if tokenizer is None else reach(vocabulary, tokenizer)
    return {
        "smoke": {
            "core_tokens": len(found["core"]),
            "core_radius": found["core_radius"],
            "oort_tokens": len(found["oort"]),
            "components": near["touching"],
        },
        "dead_candidates": len(dead_candidates(catalogue, vocabulary, tokenizer)["ids"]),
        "unreachable": told and {"tested": told["tested"], "count": told["unreachable"]},
    }
