"""The named results behind the telescope: the plate that its page carries, and the tokens worth a first look.

Both follow from results of other chapters; the neighbours of all tokens are the only slow ones among them.
Chapter: The telescope.
"""

from itertools import islice
from pathlib import Path

import numpy as np

from compute import density, results, results_density, results_geometry, telescope, tokens
from compute.cache import cached
from compute.models.vocabulary import Kind
from compute.models.weights import Catalogue, Vocabulary
from compute.smoke import scripts

SPACES = {"gamma": "gamma units", "causal": "logometers"}
WIDTH = 64  # characters of a text; longer tokens end in …
WORDS = 3  # common words among the examples


@cached
def traits(vocabulary: Vocabulary) -> dict:
    """What each token is made of: `script` (N,), by Unicode's name, or the kind of token where it has none."""
    found = scripts.traits(vocabulary.tokens, vocabulary.kinds == Kind.CONTROL)
    return {"script": found.script.tolist(), "unicode": scripts.unicode_version()}


@cached
def examples(catalogue: Catalogue, vocabulary: Vocabulary) -> dict:
    """Tokens worth a first look, one a row: why, id, text, script, norms, densities, the nearest in both spaces."""
    chosen = _chosen(catalogue, vocabulary)
    ids = [token for _, token in chosen]
    near = {space: results_density.neighbours(catalogue, space) for space in SPACES}
    return {
        "why": [why for why, _ in chosen],
        "ids": ids,
        "texts": results.texts_of(vocabulary, ids),
        "scripts": [traits(vocabulary)["script"][i] for i in ids],
        "centred": results.norms(catalogue)["centred"][ids],
        "causal": results_geometry.causal(catalogue)["norms"][ids],
    } | {f"nearest_{space}": results.texts_of(vocabulary, found["ids"][ids, 0]) for space, found in near.items()}


def _chosen(catalogue: Catalogue, vocabulary: Vocabulary) -> list[tuple[str, int]]:
    """(why, token), no token twice: common words, a black hole's first member, and the ends of norms and densities.

    Those at the ends are the first that are in no black hole and not among the tokens before them.
    """
    norms, near = results.norms(catalogue)["centred"], results_density.neighbours(catalogue, "gamma")
    close = density.local_density(near["distances"])  # (N,)
    popularity = np.bincount(near["ids"].ravel(), minlength=catalogue.n_tokens)  # (N,)
    census = results.census(catalogue)
    found = [("a common word", word) for word in _words(vocabulary)]
    found += [(f"in a black hole of {len(members):,}", members[0]) for members in census["members"][:1]]
    ends = {
        "nearest to the centroid": norms,
        "farthest from the centroid": -norms,
        "in the densest company": -close,
        "in the emptiest place": close,
        "near to most others": -popularity,
    }
    free = census["hole"] < 0  # (N,)
    for why, values in ends.items():
        free[[token for _, token in found]] = False
        if free.any():
            found.append((why, int(np.flatnonzero(free)[values[free].argmin()])))
    return found


def _words(vocabulary: Vocabulary) -> list[int]:
    """The lowest ids of a space and three letters or more: vocabularies are sorted by merges, which is by use."""
    wordlike = (raw and len(raw) > 3 and raw[:1] == b" " and raw[1:].isalpha() for raw in vocabulary.tokens)
    return list(islice((token for token, fits in enumerate(wordlike) if fits), WORDS))


def _popular_share(ids: np.ndarray) -> float:
    """The share of all neighbours (N, k) that are among the most popular hundredth of the tokens, at least one."""
    counts = np.sort(np.bincount(ids.ravel(), minlength=len(ids)))[::-1]  # (N,)
    return float(counts[: max(1, len(ids) // 100)].sum() / ids.size)


@cached(workspace=True)
def plate(catalogue: Catalogue, vocabulary: Vocabulary, workspace: Path) -> dict:
    """The script that the page loads, a file: `bytes` long, 16/15 of `packed`; see `compute.telescope`.

    Beside it, why it is no longer: `plain`, the bytes that the neighbours took before, and `popular_share`, how many of
    them are of the most popular hundredth.
    At N = 49,152 and k = 20 it is about 5 MB; it grows with N k (and the entropy of the neighbours), to an estimated
    16 MB at N = 151,936. There is no limit but the reader's patience.
    """
    measured, near = results.norms(catalogue), {s: results_density.neighbours(catalogue, s) for s in SPACES}
    whole = telescope.Plate(
        label=catalogue.label,
        texts=[tokens.display(raw, i, WIDTH) for i, raw in enumerate(vocabulary.tokens)],
        script=traits(vocabulary)["script"],
        hole=results.census(catalogue)["hole"],
        coordinates=results.axes(catalogue)["coordinates"],
        measures={
            "raw norm": measured["raw"],
            "centred norm": measured["centred"],
            "causal norm": results_geometry.causal(catalogue)["norms"],
        },
        company={s: telescope.Company(found["ids"], found["distances"], SPACES[s]) for s, found in near.items()},
        examples=examples(catalogue, vocabulary)["ids"],
    )
    packed = telescope.pack(whole)
    script = telescope.as_script(packed)
    (workspace / "plate.js").write_bytes(script)
    return {
        "file": workspace / "plate.js",
        "bytes": len(script),
        "packed": len(packed),
        "plain": sum(found["ids"].nbytes + found["distances"].nbytes for found in near.values()),
        "popular_share": float(np.mean([_popular_share(found["ids"]) for found in near.values()])),
        "neighbours": near["gamma"]["ids"].shape[1],
        "steps": telescope.STEPS,
        "distance_step": telescope.LOG_STEP,
    }
