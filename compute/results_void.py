"""The named results that answer for the void: densities, profiles, controls, verdicts, and what a sample changes.

What is shown of a control cloud is kept reduced, so that it can be committed; the clouds themselves are not.
Chapter: Density.
"""

from pathlib import Path

import numpy as np

from compute import density, hubs, results, searches, void
from compute.cache import cached
from compute.models.weights import Catalogue
from compute.results import SEED
from compute.results_density import K, Space, control, dimensions, neighbours, radius_in, rows_in

SHELLS = 64  # between the centroid and the farthest token
SAMPLE = 32_000  # tokens of the record's sample [harrell2025azimuth]


@cached
def densities(catalogue: Catalogue, space: Space, k: int = K) -> dict:
    """Radius and density of all tokens (N,), the volumetric one in decades above its median, and who is in no mean.

    `volumetric` takes the participation ratio as the dimension, as the record did. Tokens of infinite density,
    all of whose k nearest are at 0, are listed in `infinite`; `distinct` is the density over distinct rows (U,).
    """
    near = neighbours(catalogue, space, k)
    found, effective = density.local_density(near["distances"]), results.eigenbasis(catalogue)["participation_ratio"]
    finite = found[np.isfinite(found)]
    decades = np.full(len(found), np.inf)
    if len(finite):
        decades = density.decades_above_median(density.log_volumetric_density(near["distances"], effective))
    distinct = density.local_density(near["distinct_distances"]) if near["distinct_distances"].size else np.empty(0)
    mean, radius = near["distances"].mean(axis=1), radius_in(catalogue, space)
    return {
        "radius": radius,
        "density": found,
        "volumetric": decades,
        "volumetric_top": float(decades[np.isfinite(decades)].max()) if len(finite) else None,
        "dimension": effective,
        "median_radius": float(np.median(radius)),
        "infinite": np.flatnonzero(np.isinf(found)),
        "touching": int((near["distances"][:, 0] == 0).sum()),
        "median": float(np.median(finite)) if len(finite) else None,
        "first": near["first"],
        "distinct": distinct,
        "distinct_median": float(np.median(distinct)) if len(distinct) else None,
        "mean_distance_quantiles": {
            f"{share:g}": float(np.quantile(mean, share)) for share in (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
        },
    }


def shells_of(radius: np.ndarray, width: float) -> np.ndarray:
    """Edges of shells of one width, from 0 until the farthest radius lies inside."""
    return width * np.arange(int(radius.max() // width) + 2)


def in_shells(radius: np.ndarray, values: np.ndarray, width: float, cuts: tuple[float, float]) -> dict:
    """A cloud's radial profile and its three regions, as a result keeps them."""
    regions = density.regions(radius, values, cuts)
    return {
        **vars(density.radial_profile(radius, values, shells_of(radius, width))),
        "regions": {name: vars(region) for name, region in regions.items()},
    }


def frame_of(radius: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The width of a shell and the borders of core and outer region, which all clouds of a space share."""
    return float(radius.max()) / SHELLS, density.boundaries(radius)


@cached
def profile(catalogue: Catalogue, space: Space, k: int = K) -> dict:
    """Density shell by shell, its bootstrap band, counts, and core, shell and outer region with intervals.

    Infinite densities are counted beside and are in no median; `distinct` is the same over distinct rows.
    """
    found = densities(catalogue, space, k)
    radius = found["radius"]
    width, cuts = frame_of(radius)
    once = in_shells(radius[found["first"]], found["distinct"], width, cuts) if len(found["distinct"]) else None
    whole = in_shells(radius, found["density"], width, cuts)
    return {**whole, "boundaries": list(cuts), "innermost": float(radius.min()), "distinct": once}


@cached
def control_profile(catalogue: Catalogue, space: Space, k: int = K, seed: int = SEED) -> dict:
    """The same shells and regions for the two control clouds, with their intrinsic dimensions and their hubs."""
    width, cuts = frame_of(radius_in(catalogue, space))
    found = {}
    for kind in ("gaussian", "matched"):
        cloud = control(catalogue, space, kind, k, seed)
        found[kind] = in_shells(cloud["radius"], cloud["density"], width, cuts) | {
            "overall_median": float(np.median(cloud["density"])),
            "innermost": float(cloud["radius"].min()),
            "twonn": cloud["twonn"],
            "levina_bickel": cloud["levina_bickel"],
            "hubs": hub_numbers(cloud["occurrences"]),
        }
    return found


def hub_numbers(occurrences: np.ndarray) -> dict:
    """How lopsided the counts of being a neighbour are: skewness, the largest, and how many are nobody's."""
    return {
        "skewness": hubs.skewness(occurrences),
        "largest": int(occurrences.max()),
        "nobodys": int((occurrences == 0).sum()),
    }


@cached
def verdict(catalogue: Catalogue, space: Space, k: int = K, seed: int = SEED) -> dict:
    """What the core is, against the shell and both controls, as numbers, a word and a sentence [void.Verdict]."""
    found = densities(catalogue, space, k)
    gaussian, matched = (control(catalogue, space, kind, k, seed) for kind in ("gaussian", "matched"))
    judged = void.judge(
        found["radius"],
        found["density"],
        density.boundaries(found["radius"]),
        gaussian["radius"],
        matched["density"],
        np.random.default_rng(seed),
    )
    return {
        "core_radius": judged.core_radius,
        "tokens": judged.tokens,
        "expected": judged.expected,
        "against_shell": vars(judged.against_shell),
        "against_matched": vars(judged.against_matched),
        "population": judged.population,
        "word": judged.word,
        "sentence": judged.sentence,
    }


@cached(workspace=True)
def sample_profile(
    catalogue: Catalogue, space: Space, sample: int = SAMPLE, k: int = K, seed: int = SEED, *, workspace: Path
) -> dict:
    """The profile as the record made it, from a random sample of the tokens; of half of them where there are fewer.

    Beside the profile: the median density, the pairs of equal rows that the sample tears apart, and the dimension
    that thinning itself measures: a sample of share f is less dense by f^(1/d).
    """
    whole, rows = densities(catalogue, space, k), rows_in(catalogue, space)
    taken = sample if sample < len(rows) else len(rows) // 2
    chosen = np.sort(np.random.default_rng(seed).choice(len(rows), taken, replace=False))
    title = f"{k} nearest of a sample of {taken:,} in {space} space"
    near = searches.search(np.ascontiguousarray(rows[chosen]), k, workspace / "search.npz", title).of_all(k)
    values = density.local_density(near.distances)
    width, cuts = frame_of(whole["radius"])
    median = float(np.median(values[np.isfinite(values)]))
    thinned = float(np.log(median / whole["median"]))
    inside = whole["radius"][chosen] < cuts[0]
    generator = np.random.default_rng(seed)
    return {
        **in_shells(whole["radius"][chosen], values, width, cuts),
        "taken": taken,
        "overall_median": median,
        "dimension": float(np.log(taken / len(rows)) / thinned) if thinned < 0 else None,
        "touching": int((near.distances[:, 0] == 0).sum()),
        "infinite_tokens": int(np.isinf(values).sum()),
        "against_shell": vars(
            void.median_ratio(values[inside], values[~inside & (whole["radius"][chosen] < cuts[1])], generator)
        ),
    }


@cached
def intrinsic_dimension(catalogue: Catalogue, space: Space, k: int = K) -> dict:
    """How many dimensions the neighbours see, TwoNN and Levina-Bickel, beside what the spectrum says."""
    basis, near = results.eigenbasis(catalogue), neighbours(catalogue, space, k)
    return {
        **dimensions(near["distinct_distances"]),
        "participation_ratio": basis["participation_ratio"] if space == "gamma" else float(basis["rank"]),
        "axes": catalogue.dim if space == "gamma" else basis["rank"],
    }


def survey(catalogue: Catalogue, space: Space = "causal", k: int = K) -> dict:
    """What `survey --depth density` adds: the neighbours in one space, in a few numbers."""
    found = densities(catalogue, space, k)
    return {
        "knn": {
            "k": k,
            "space": space,
            "density_median": found["median"],
            "infinite_density_tokens": len(found["infinite"]),
            "mean_distance_quantiles": found["mean_distance_quantiles"],
        }
    }
