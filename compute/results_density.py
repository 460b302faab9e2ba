"""The named results on the neighbours of all tokens and their controls, in gamma space and in causal space.

The searches are exact and over all tokens; they can be killed and go on. What they find is kept small, as places
among the distinct rows; distances are measured from it again, and all else follows from the distances.
Chapter: Density.
"""

from pathlib import Path
from typing import Literal, get_args

import numpy as np

from compute import catalog, density, dimension, hubs, results, results_geometry, searches, void
from compute.cache import cached
from compute.distinct import distinct_rows
from compute.exact import squared_distances
from compute.models.weights import Catalogue
from compute.neighbors import Neighbors, spread
from compute.results import SEED

Space = Literal["gamma", "causal"]  # distances in gamma units, or in logometers
Control = Literal["gaussian", "matched"]
K = 20  # neighbours, as in the record [harrell2025azimuth]


def rows_in(catalogue: Catalogue, space: Space) -> np.ndarray:
    """All tokens in a space: gamma as it is, float32 (N, D), or the causal coordinates (N, R), memory-mapped."""
    if space not in get_args(Space):
        raise ValueError(f"no space {space!r}: it is one of {', '.join(get_args(Space))}")
    return catalogue.matrix() if space == "gamma" else results_geometry.mapped(results_geometry.coordinates(catalogue))


def radius_in(catalogue: Catalogue, space: Space) -> np.ndarray:
    """The distance of every token from the centroid, (N,): centred norm in gamma units, or causal norm."""
    return results.norms(catalogue)["centred"] if space == "gamma" else results_geometry.causal(catalogue)["norms"]


def variances_in(catalogue: Catalogue, space: Space) -> np.ndarray:
    """The variance of the cloud on each of its axes: the spectrum (D,), or 1 on each of the R causal axes."""
    basis = results.eigenbasis(catalogue)
    return np.clip(basis["spectrum"], 0, None) if space == "gamma" else np.ones(basis["rank"])


@cached(workspace=True)
def nearest_places(catalogue: Catalogue, space: Space, k: int = K, *, workspace: Path) -> dict:
    """The nearest *distinct* rows of each distinct row: `places` (U, min(k, U - 1)), ranks among the U distinct ones.

    The small core of all that is here, which can be committed: two bytes a neighbour up to 65,535 rows. Causal
    coordinates are rounded by the machine that makes them, so there the last of the k may differ elsewhere in a near
    tie. Raises ValueError on k < 1 and k >= N and on rows that are not finite, MemoryError where there is no room.
    """
    searches.ensure_room(catalogue.n_tokens, catalogue.dim, k)
    title = f"{k} nearest of {catalogue.n_tokens:,} tokens in {space} space"
    found = searches.search(rows_in(catalogue, space), k, workspace / "search.npz", title)
    places = np.searchsorted(found.distinct.first, found.among.ids)  # (U, k')
    return {"places": places.astype(np.min_scalar_type(len(found.distinct.first)))}


@cached
def neighbours(catalogue: Catalogue, space: Space, k: int = K) -> dict:
    """The k nearest of all tokens: `ids` int32 and `distances` float64 (N, k), nearest first, ties by id.

    Equal rows are at distance exactly 0. Beside them, over the U distinct rows: `first` (U,), the smallest id of
    each, and `distinct_distances` (U, k'). Distances are subtracted and summed in float64. Raises as `nearest_places`.
    """
    places = nearest_places(catalogue, space, k)["places"].astype(np.int64)
    rows = rows_in(catalogue, space)
    distinct = distinct_rows(rows)
    ids = distinct.first[places]  # (U, k')
    squared = squared_distances(rows, np.repeat(distinct.first, ids.shape[1]), ids.ravel()).reshape(ids.shape)
    order = np.lexsort((ids, squared), axis=1)
    among = Neighbors(np.take_along_axis(ids, order, 1), np.sqrt(np.take_along_axis(squared, order, 1)))
    found = spread(distinct, among, k)
    return {
        "ids": found.ids.astype(np.int32),
        "distances": found.distances,
        "first": distinct.first,
        "distinct_distances": among.distances,
    }


@cached(workspace=True)
def control(
    catalogue: Catalogue, space: Space, kind: Control, k: int = K, seed: int = SEED, *, workspace: Path
) -> dict:
    """A cloud of as many points of pure chance, searched by the same code: radius and density (N,), and what follows.

    gaussian: a normal distribution with the catalogue's variances. matched: the catalogue's own radii, in directions
    drawn from that distribution. Raises MemoryError where the search has no room.
    """
    variances, generator = variances_in(catalogue, space), np.random.default_rng(seed)
    searches.ensure_room(catalogue.n_tokens, len(variances), k)
    if kind == "gaussian":
        cloud = np.empty((catalogue.n_tokens, len(variances)), np.float32)
        for start, block in catalog.gaussian_cloud(variances, len(cloud), generator):
            cloud[start : start + len(block)] = block
    else:
        cloud = void.matched_cloud(radius_in(catalogue, space), variances, generator)
    title = f"{k} nearest of its {kind} control in {space} space"
    found = searches.search(cloud, k, workspace / "search.npz", title)
    near = found.of_all(k)
    return {
        "radius": np.sqrt(np.einsum("ij,ij->i", cloud, cloud, dtype=np.float64)),
        "density": density.local_density(near.distances),
        "occurrences": hubs.occurrences(near.ids, len(cloud)),
        **dimensions(found.among.distances),
    }


def dimensions(distances: np.ndarray) -> dict[str, dict | None]:
    """Both estimates of the intrinsic dimension from the distances among distinct rows; None where there is none."""
    found = {}
    for estimate in (dimension.twonn, dimension.levina_bickel):
        try:
            found[estimate.__name__] = vars(estimate(distances))
        except ValueError:
            found[estimate.__name__] = None
    return found
