"""The named results of the book: read, compute, cached, a few lines each.

Chapters call these and nothing below them. Every function takes the opened matrix (`Catalogue`) or the tokens' texts
(`Vocabulary`) of a model and returns a `Result`, a dict that knows where it came from.
"""

import csv
import html
import json
from pathlib import Path

import numpy as np

from compute import catalog, metric, smoke, tokens
from compute.cache import Result, cached
from compute.models import weights
from compute.models.weights import Catalogue, Model, Vocabulary
from compute.paths import published_folder

SEED = 42
PAIRS = 100_000


def model(name: str | None = None) -> Model:
    """The model that `name` or, without one, the variable AZIMUTH_MODEL names; checked for being a catalogue at all.

    Raises what `weights.open_model` and `weights.check` raise: FileNotFoundError, ValueError.
    """
    opened = weights.open_model(name)
    soundness(opened.catalogue)
    return opened


@cached
def soundness(catalogue: Catalogue) -> dict:
    """That a matrix is a catalogue: more rows than columns, all of them finite; every row is read for it, once.

    Raises ValueError where it is not.
    """
    weights.check(catalogue)
    return {"n_tokens": catalogue.n_tokens, "dim": catalogue.dim}


@cached
def centring(catalogue: Catalogue) -> dict:
    """The centroid mu (D,), its size, and the proof that gamma' = gamma - mu has mean 0, all in gamma units."""
    mu = catalog.centroid(catalogue.blocks())
    residual = np.abs(catalog.residual_mean(catalogue.blocks(), mu)).max()
    largest = max(float(np.abs(block).max()) for _, block in catalogue.blocks())
    return {
        "centroid": mu,
        "centroid_norm": float(np.linalg.norm(mu)),
        "component_mean": float(mu.mean()),
        "component_std": float(mu.std()),
        "largest_component": largest,
        "residual": float(residual),
        "expected_residual": catalog.expected_residual(catalogue.n_tokens, largest),
    }


@cached
def norms(catalogue: Catalogue) -> dict:
    """Raw and centred norms of all tokens, (N,) each in gamma units, with their summaries."""
    mu = centring(catalogue)["centroid"]
    raw = catalog.row_norms(catalogue.blocks(), np.zeros_like(mu))
    centred = catalog.row_norms(catalogue.blocks(), mu)
    return {
        "raw": raw,
        "centred": centred,
        "raw_summary": summary(raw),
        "centred_summary": summary(centred),
    }


@cached
def eigenbasis(catalogue: Catalogue) -> dict:
    """The covariance spectrum s (D,), the axes V (D, D), what is left out and why; float64, squared gamma units.

    Products are summed in float64 too: `results_geometry.precision` tells what float32 would have cost. No more is in
    memory than a block of rows in float64 and a few (D, D), at D = 2,560 0.3 GB of arrays, whatever N is. Raises
    ValueError where a row is not finite, or where all rows are the same. Chapter: Eigenbasis.
    """
    mu = centring(catalogue)["centroid"]
    basis = metric.eigenbasis(mu, metric.covariance(catalogue.blocks(), mu, np.float64))
    return {
        "mu": basis.mu,
        "spectrum": basis.spectrum,
        "axes": basis.axes,
        "floor": basis.floor,
        "rank": basis.rank,
        "why_left_out": basis.why_left_out,
        "trace": float(basis.spectrum.sum()),
        "participation_ratio": metric.participation_ratio(basis.spectrum),
        "condition_number": metric.condition_number(basis.kept),
    }


@cached
def axes(catalogue: Catalogue) -> dict:
    """Covariance eigenvalues (D,), the first three axes (D, 3), all tokens on them (N, 3), their place on the sky."""
    basis = eigenbasis(catalogue)
    vectors = basis["axes"][:, :3].copy()  # (D, 3)
    coordinates = catalog.projections(catalogue.blocks(), basis["mu"], vectors)  # (N, 3)
    longitude, latitude = catalog.sky(coordinates)
    return {
        "spectrum": basis["spectrum"],
        "vectors": vectors,
        "coordinates": coordinates,
        "longitude": longitude,
        "latitude": latitude,
        "variance_shares": (basis["spectrum"][:3] / basis["trace"]).tolist(),
        "participation_ratio": basis["participation_ratio"],
    }


@cached
def cosines(catalogue: Catalogue, pairs: int = PAIRS, seed: int = SEED) -> dict:
    """Cosines of random pairs of tokens, raw and centred (pairs,), beside the exact means over all pairs."""
    mu = centring(catalogue)["centroid"]
    drawn = catalog.random_pairs(catalogue.n_tokens, pairs, np.random.default_rng(seed))
    raw, centred = catalog.pair_cosines(catalogue.rows, drawn, np.stack([np.zeros_like(mu), mu]))  # (pairs,) each
    return {
        "raw": raw.astype(np.float32),
        "centred": centred.astype(np.float32),
        "raw_mean": catalog.mean_cosine(catalogue.blocks(), np.zeros_like(mu))[0],
        "centred_mean": catalog.mean_cosine(catalogue.blocks(), mu)[0],
        "centred_std": float(np.nanstd(centred)),
        "raw_standard_error": float(np.nanstd(raw) / np.sqrt(pairs)),
        "raw_sampled_mean": float(np.nanmean(raw)),
    }


@cached
def control(catalogue: Catalogue, pairs: int = PAIRS, seed: int = SEED) -> dict:
    """Norms (N,) and cosines (pairs,) of a Gaussian cloud with the same covariance and as many points."""
    spectrum, count = axes(catalogue)["spectrum"], catalogue.n_tokens
    generator = np.random.default_rng(seed)
    cloud = np.concatenate(
        [block.astype(np.float32) for _, block in catalog.gaussian_cloud(spectrum, count, generator)]
    )  # (N, D)
    origin = np.zeros((1, len(spectrum)))
    drawn = catalog.random_pairs(count, pairs, generator)
    near = catalog.row_norms([(0, cloud)], origin[0])
    (angles,) = catalog.pair_cosines(cloud.__getitem__, drawn, origin)  # (pairs,)
    return {
        "norms": near,
        "norm_summary": summary(near),
        "cosines": angles.astype(np.float32),
        "cosine_std": float(angles.std()),
    }


@cached
def census(catalogue: Catalogue) -> dict:
    """The black holes of a catalogue, groups of two or more rows with the same stored bits, the largest first."""
    found = smoke.census(catalogue.stored())
    return {
        "hole": found.hole,
        "populations": found.populations.tolist(),
        "members": [ids.tolist() for ids in found.members],
        "unique_rows": found.unique_rows,
        "tokens_in_holes": found.tokens_in_holes,
        "zero_rows": found.zero_rows,
    }


@cached
def extremes(catalogue: Catalogue, vocabulary: Vocabulary, count: int = 24) -> dict:
    """The tokens nearest to the centroid and farthest from it: ids, texts safe to show, centred and raw norms."""
    measured = norms(catalogue)
    order = np.argsort(measured["centred"], kind="stable")  # (N,)
    ends = {"centre": order[:count], "rim": order[::-1][:count]}
    return {
        end: {
            "ids": ids.tolist(),
            "texts": texts_of(vocabulary, ids),
            "centred": measured["centred"][ids],
            "raw": measured["raw"][ids],
        }
        for end, ids in ends.items()
    }


@cached
def hole_members(catalogue: Catalogue, vocabulary: Vocabulary, shown: int = 12) -> dict:
    """The black holes one by one: population, the first few members, their raw and centred norm in gamma units."""
    found, measured = census(catalogue), norms(catalogue)
    firsts = [ids[0] for ids in found["members"]]
    return {
        "populations": found["populations"],
        "ids": [ids[:shown] for ids in found["members"]],
        "texts": [texts_of(vocabulary, ids[:shown]) for ids in found["members"]],
        "raw": measured["raw"][firsts],
        "centred": measured["centred"][firsts],
        "closer_in": [int((measured["centred"] < norm).sum()) for norm in measured["centred"][firsts]],
    }


def hole_places(catalogue: Catalogue, largest: int = 8) -> dict[str, tuple[float, float]]:
    """Where on the sky the largest black holes are, by their population: {label: (longitude, latitude)} in degrees."""
    found, seen = census(catalogue), axes(catalogue)
    firsts = [ids[0] for ids in found["members"][:largest]]
    places = {}
    for token in firsts:
        places.setdefault((round(seen["longitude"][token]), round(seen["latitude"][token])), []).append(token)
    return {
        f"{len(ids)} black hole{'s' * (len(ids) > 1)}": (seen["longitude"][ids[0]], seen["latitude"][ids[0]])
        for ids in places.values()
    }


@cached
def sky_labels(vocabulary: Vocabulary, count: int) -> dict:
    """What to call each of `count` tokens on hover: texts that are safe to show in Plotly's small markup."""
    texts = texts_of(vocabulary, range(count))
    return {"texts": [f"{i} {html.escape(text)}" for i, text in enumerate(texts)]}


def published_holes() -> Result:
    """The published populations of the black holes of three Qwen models, descending, by model [harrell2025azimuth]."""
    return _read_published(published_folder() / "hole_populations.json")


@cached
def _read_published(source: Path) -> dict:
    """The published populations as they lie in the file, whose contents are part of the key."""
    return json.loads(source.read_text("utf-8"))


def record(model_name: str) -> Result:
    """The published observations of one model: {quantity: value}, numbers where they are [harrell2025azimuth].

    Raises ValueError where nothing was published of that model.
    """
    return _record(model_name, published_folder() / "observations.csv")


@cached
def _record(model_name: str, source: Path) -> dict:
    """The rows of observations.csv that speak of one model."""
    with source.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    found = {row["quantity"]: _number(row["value"]) for row in rows if row["model"] == model_name}
    if not found:
        models = ", ".join(sorted({row["model"] for row in rows}))
        raise ValueError(f"nothing published of {model_name!r}; the record has {models}")
    return found


def _number(text: str) -> int | float | str:
    """A published value as a number where it is one, else as the text it is."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def texts_of(vocabulary: Vocabulary, ids) -> list[str]:
    """The texts of some tokens, made visible and harmless."""
    return [tokens.display(vocabulary.bytes_of(int(i)), int(i)) for i in ids]


def summary(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation, minimum, median and maximum of some values."""
    return {name: float(getattr(np, name)(values)) for name in ("mean", "std", "min", "median", "max")}
