"""What the chapter on the eigenbasis sets as tables: the leading axes and what they separate, the record's numbers."""

import numpy as np

from compute import associations, metric, reconstruction, results
from compute.cache import Result, cached
from compute.models.vocabulary import Kind
from compute.models.weights import Catalogue, Vocabulary
from compute.results_geometry import RIDGE, causal, coordinates, eigenbasis, mapped
from compute.smoke import scripts

QWEN = "Qwen3-4B-Instruct-2507"  # of which the record published the spectrum's summary [harrell2025azimuth]
NAMED = 5  # scripts that get a colour of their own; the rest share one
CLOSE = 1e-4  # a relative difference that the record's float32 may have made


@cached
def leading_axes(catalogue: Catalogue, vocabulary: Vocabulary, count: int = 12, ends: int = 6) -> dict:
    """The first axes: the tokens at both ends of each, and the coordinates (N, count) of all, with their scripts.

    Coordinates are in logometers, one a standard deviation of the cloud along that axis. `script` (N,) numbers the
    entries of `script_names`: the largest scripts or forms, and all others in one.
    """
    z = np.array(mapped(coordinates(catalogue))[:, :count])  # (N, count)
    order = np.argsort(z, axis=0, kind="stable")  # (N, count)
    low, high = order[:ends].T, order[::-1][:ends].T  # (count, ends)
    names, script = _scripts(vocabulary)
    shares = eigenbasis(catalogue)["spectrum"][: z.shape[1]] / eigenbasis(catalogue)["trace"]
    return {
        "coordinates": z,
        "script": script,
        "script_names": names,
        "low": low,
        "high": high,
        "low_texts": [results.texts_of(vocabulary, ids) for ids in low],
        "high_texts": [results.texts_of(vocabulary, ids) for ids in high],
        "variance_share": shares,
    }


@cached
def separations(catalogue: Catalogue, vocabulary: Vocabulary, count: int = 12) -> dict:
    """What the first axes, and both norms, separate: script, token id, leading space, as shares of the ranks' variance.

    As columns of a table whose last row is what chance gives, with the areas and correlations themselves; `tells`
    names the traits that an axis is about, where they exceed chance and are no trifle.
    """
    norms = {"|z|": causal(catalogue)["norms"], "|γ′|": results.norms(catalogue)["centred"]}
    first = mapped(coordinates(catalogue))[:, :count]  # (N, count)
    ranked = associations.ranks(np.column_stack([first, *norms.values()]))  # (N, count + 2)
    traits = scripts.traits(vocabulary.tokens, vocabulary.kinds == Kind.CONTROL)
    groups = {
        "script": np.unique(traits.script, return_inverse=True)[1],
        "leading space": traits.leading_space.astype(int),
    }
    number = associations.correlation(ranked, np.arange(len(ranked)))
    shares = {name: associations.share_by_group(ranked, group) for name, group in groups.items()}
    shares["token id"] = number**2
    chance = {name: associations.chance_of_groups(len(np.unique(group)), len(ranked)) for name, group in groups.items()}
    chance["token id"] = associations.chance_of_groups(2, len(ranked))
    area = associations.area(ranked, traits.leading_space)
    tells = [_tells({name: share[axis] for name, share in shares.items()}, chance) for axis in range(len(number))]
    return {
        "tells": tells[: first.shape[1]],
        "norm_tells": tells[first.shape[1]],
        "least": associations.LEAST,
        "axis": [*map(str, range(1, first.shape[1] + 1)), *norms, "chance"],
        "column": {name: [*share.tolist(), chance[name].mean] for name, share in shares.items()}
        | {"area": [*area.tolist(), 0.5], "correlation": [*number.tolist(), 0.0]},
        "about": [*tells, ""],
        "chance": {name: vars(value) for name, value in chance.items()},
    }


def _tells(shares: dict[str, float], chance: dict[str, associations.Chance]) -> str:
    """The traits that an axis is about, the strongest first."""
    found = [name for name, share in shares.items() if chance[name].exceeded(share)]
    return ", ".join(sorted(found, key=lambda name: -shares[name])) or "none of these"


def _scripts(vocabulary: Vocabulary) -> tuple[list[str], np.ndarray]:
    """The largest scripts by name, others last, and the number of each token's own, (N,) uint8."""
    script = scripts.traits(vocabulary.tokens, vocabulary.kinds == Kind.CONTROL).script
    names, group, counts = np.unique(script, return_inverse=True, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:NAMED]
    place = np.full(len(names), len(largest))
    place[largest] = np.arange(len(largest))
    others = ["others"] * (len(names) > len(largest))
    return [*names[largest].tolist(), *others], place[group].astype(np.uint8)


def published() -> reconstruction.Published:
    """What the record says of the spectrum of Qwen3-4B-Instruct-2507."""
    told = results.record(QWEN)
    return reconstruction.Published(
        dim=told["columns (hidden dimension)"],
        largest=told["largest covariance eigenvalue"],
        second=told["second covariance eigenvalue"],
        smallest=told["smallest covariance eigenvalue"],
        trace=told["trace of the covariance"],
        first=100,
        share=told["variance explained by the first 100 components"],
        ridge=told["ridge added to the covariance"],
        metric_mean=told["metric eigenvalue mean"],
        metric_median=told["metric eigenvalue median"],
    )


def qwen() -> Result:
    """A spectrum with all of Qwen's published numbers, and the participation ratios that any such one can have."""
    return _qwen(vars(published()), float(results.record(QWEN)["effective dimension (participation ratio)"]))


@cached
def _qwen(given: dict, effective: float) -> dict:
    """The published participation ratio is read as the metric's, which alone can have it."""
    numbers = reconstruction.Published(**given)
    spectrum = reconstruction.spectrum_like(numbers, effective)
    ridged, shift = metric.ridge_shift(spectrum, numbers.ridge)
    return {
        "spectrum": spectrum,
        "ridge_shift": shift,
        "bounds": {name: list(pair) for name, pair in reconstruction.participation_bounds(numbers).items()},
        "ratio": metric.participation_ratio(spectrum),
        "metric_ratio": metric.participation_ratio(ridged),
        "published_ratio": effective,
    }


def claims() -> tuple[dict, Result, Result]:
    """The record's numbers on the metric against each other, as columns of a table, and what they were made from."""
    told, found, given = results.record(QWEN), qwen(), published()
    square = told["causal norm mean"] ** 2 + told["causal norm std"] ** 2
    rows = [
        ("trace of Σ", given.trace, told["centred norm mean"] ** 2 + told["centred norm std"] ** 2, "mean of |γ′|²"),
        ("std of γV", told["projection std"],
         ((told["raw norm mean"] ** 2 + told["raw norm std"] ** 2) / given.dim) ** 0.5, "mean of |γ|², over D"),
        ("smallest metric eigenvalue", told["metric eigenvalue min"], 1 / (given.largest + RIDGE), "1/(max s + ridge)"),
        ("largest metric eigenvalue", told["metric eigenvalue max"], 1 / (given.smallest + RIDGE), "1/(min s + ridge)"),
        ("mean of |z|²", square, given.dim * (1 - RIDGE * given.metric_mean), "D − ridge × Σ 1/(s + ridge)"),
    ]  # fmt: skip
    return (
        {
            "quantity": [row[0] for row in rows],
            "published": [row[1] for row in rows],
            "implied": [row[2] for row in rows],
            "from": [row[3] for row in rows],
            "agrees": ["yes" if _agree(*row[1:3]) else "no" for row in rows],
        },
        told,
        found,
    )


def _agree(published: float, implied: float) -> bool:
    """Whether two numbers are one, but for the decimals that were not printed and for float32."""
    unit = 10.0 ** -len(repr(published).partition(".")[2])
    return abs(published - implied) <= unit / 2 + CLOSE * abs(implied)
