"""The tables of the chapter on density, and the two mistakes of the record worked out on real numbers.

Chapter: Density.
"""

import json
from pathlib import Path

import numpy as np

from compute import density, hubs, results_smoke
from compute.cache import Result, cached
from compute.models.weights import Catalogue, Vocabulary
from compute.paths import published_folder
from compute.results import texts_of
from compute.results_density import K, Space, neighbours, radius_in
from compute.results_void import control_profile, densities, hub_numbers, intrinsic_dimension, profile

RECORD_DIMENSION = 1333  # what the record took for d [harrell2025azimuth]
CLOUDS = {"tokens": "tokens", "gaussian": "Gaussian", "matched": "same radii"}


@cached
def smoke(catalogue: Catalogue) -> dict:
    """The tokens of the frozen smoke, core and Oort cloud, as ids."""
    layers = results_smoke.layers(catalogue)
    return {"ids": np.concatenate([layers["core"], layers["oort"]]).astype(np.int64)}


@cached
def core(catalogue: Catalogue, vocabulary: Vocabulary, space: Space, shown: int = 12) -> dict:
    """Who lives in the core: the tokens nearest to the centroid by name, and how many of all are smoke."""
    found, near = densities(catalogue, space), neighbours(catalogue, space)
    limit = profile(catalogue, space)["boundaries"][0]
    inside = np.flatnonzero(found["radius"] < limit)
    inside = inside[np.argsort(found["radius"][inside], kind="stable")]
    frozen = smoke(catalogue)["ids"]
    of_smoke = np.isin(inside, frozen)
    first = inside[:shown]
    return {
        "tokens": len(inside),
        "smoke": int(of_smoke.sum()),
        "all_smoke": len(frozen),
        "shares": float(np.isin(near["ids"][inside], inside).mean()) if len(inside) else None,
        "ids": first,
        "texts": texts_of(vocabulary, first),
        "radius": found["radius"][first],
        "density": found["density"][first],
        "nearest": texts_of(vocabulary, near["ids"][first, 0]),
        "nearest_distance": near["distances"][first, 0],
        "in_smoke": ["smoke" if one else "" for one in of_smoke[:shown]],
    }


@cached
def hub_table(catalogue: Catalogue, vocabulary: Vocabulary, space: Space, shown: int = 10) -> dict:
    """The tokens that most others name among their nearest, by name; and how lopsided the counts are, against chance.

    `occurrences` (N,): how often each token is named; k on average.
    """
    named = hubs.occurrences(neighbours(catalogue, space)["ids"], catalogue.n_tokens)
    top = np.argsort(-named, kind="stable")[:shown]
    radius = radius_in(catalogue, space)
    return {
        **hub_numbers(named),
        "chance": control_profile(catalogue, space)["gaussian"]["hubs"],
        "occurrences": named,
        "ids": top,
        "texts": texts_of(vocabulary, top),
        "times": named[top],
        "shares": (named[top] / catalogue.n_tokens).tolist(),
        "in_smoke": np.isin(top, smoke(catalogue)["ids"]).tolist(),
        "closer_in": [float((radius < radius[token]).mean()) for token in top],
    }


@cached
def regions_table(catalogue: Catalogue, space: Space) -> dict:
    """Core, shell and outer region of the catalogue beside both controls, column by column."""
    clouds = {"tokens": profile(catalogue, space)} | control_profile(catalogue, space)
    columns = {name: [] for name in ("region", "from", "to", "cloud", "count", "infinite", "median", "low", "high")}
    for region in ("core", "shell", "outer"):
        for cloud, found in clouds.items():
            here = found["regions"][region]
            row = [region, here["inner"], here["outer"] if np.isfinite(here["outer"]) else None, CLOUDS[cloud]]
            row += [here[name] for name in ("count", "infinite", "median", "low", "high")]
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    return columns


@cached
def core_ratios(catalogue: Catalogue, space: Space) -> dict:
    """Medians against each other: core over shell, with and without equal rows; the shell and what is outside it."""
    clouds = {"tokens": profile(catalogue, space)} | control_profile(catalogue, space)
    median = {
        cloud: {name: region["median"] for name, region in found["regions"].items()} for cloud, found in clouds.items()
    }
    once = clouds["tokens"]["distinct"]
    return {
        "all": median["tokens"]["core"] / median["tokens"]["shell"],
        "distinct": once and once["regions"]["core"]["median"] / once["regions"]["shell"]["median"],
        **{f"shell_{cloud}": median[cloud]["shell"] for cloud in median},
        "outer": median["tokens"]["outer"] / median["matched"]["outer"],
    }


def other_dimensions(catalogue: Catalogue, space: Space) -> dict[str, float]:
    """What else could be taken for d, by name: TwoNN's estimate, where there is one."""
    found = intrinsic_dimension(catalogue, space)["twonn"]
    return {"TwoNN": found["value"]} if found else {}


@cached
def dimension_table(catalogue: Catalogue) -> dict:
    """The intrinsic dimension by estimator, space and cloud; None where an estimator has no answer."""
    rows = []
    for space in ("gamma", "causal"):
        told = intrinsic_dimension(catalogue, space)
        controls = control_profile(catalogue, space)
        for cloud, found in (("tokens", told), ("Gaussian control", controls["gaussian"])):
            rows.append([space, cloud, *(_estimate(found[name]) for name in ("twonn", "levina_bickel"))])
            rows[-1] += [told["participation_ratio"], told["axes"]]
    names = ("space", "cloud", "twonn", "levina_bickel", "participation_ratio", "axes")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _estimate(found: dict | None) -> float | None:
    return None if found is None else found["value"]


@cached
def overflow(catalogue: Catalogue, space: Space) -> dict:
    """The volume of a ball, as the formula stands in books and in float64: where it ends, and for how many tokens.

    The same formula in logarithms beside it. `dimensions` (d,), `factors` by name: log10 of pi^(d/2) and of
    Gamma(d/2 + 1), inf where float64 has no such number.
    """
    from scipy.special import gamma, gammaln

    d = np.arange(1, 1501)
    with np.errstate(over="ignore"):
        power = np.power(np.pi, d / 2)
    function = gamma(d / 2 + 1)
    last = {"power": int(d[np.isfinite(power)][-1]), "gamma": int(d[np.isfinite(function)][-1])}
    farthest = neighbours(catalogue, space)["distances"][:, -1]
    own = densities(catalogue, space)["dimension"]
    return {
        "last": last,
        "argument": RECORD_DIMENSION / 2 + 1,
        "log10_gamma": float(gammaln(RECORD_DIMENSION / 2 + 1) / np.log(10)),
        "log10_unit_ball": float(density.log_ball_volume(RECORD_DIMENSION, 0.0) / np.log(10)),
        "largest": float(np.log10(np.finfo(float).max)),
        "own_dimension": own,
        "valid": {str(RECORD_DIMENSION): _valid(farthest, RECORD_DIMENSION), "own": _valid(farthest, own)},
    }


def _valid(farthest: np.ndarray, d: float) -> int:
    """For how many tokens k / V_d(r), computed as it stands in float64, is a number above 0."""
    from scipy.special import gamma

    with np.errstate(all="ignore"):
        volume = np.float64(np.pi) ** (d / 2) / gamma(d / 2 + 1) * farthest**d
        found = K / volume
    return int((np.isfinite(found) & (found > 0)).sum())


@cached
def dropped_zeros(catalogue: Catalogue, space: Space) -> dict:
    """What leaving out the zero distances does to the density of black holes' tokens: true, dropped, their ratio.

    `populations`, `true` and `dropped` (n,), one for each token with an equal one.
    """
    distances = neighbours(catalogue, space)["distances"]
    zeros = (distances == 0).sum(axis=1)
    touched = np.flatnonzero(zeros)
    rest = distances[touched].sum(axis=1)
    left = K - zeros[touched]
    dropped = np.divide(left, rest, out=np.full(len(touched), np.nan), where=rest > 0)
    true = density.local_density(distances[touched])
    keep = np.isfinite(true)
    return {
        "tokens": len(touched),
        "without": int((left == 0).sum()),
        "populations": zeros[touched] + 1,
        "true": true,
        "dropped": dropped,
        "largest_ratio": float((true[keep] / dropped[keep]).max()) if keep.any() else None,
        "least_ratio": float((true[keep] / dropped[keep]).min()) if keep.any() else None,
    }


def published_zeros() -> Result:
    """Of the published black holes: tokens with k equal ones or more, of whom dropping zeros leaves no distance."""
    return _published_zeros(published_folder() / "hole_populations.json")


@cached
def _published_zeros(source: Path) -> dict:
    populations = json.loads(source.read_text("utf-8"))["Qwen3-4B-Instruct-2507"]
    full = [n for n in populations if n > K]
    return {"tokens": sum(populations), "infinite": sum(full), "holes": len(full)}
