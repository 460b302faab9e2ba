"""The large results of one catalogue, made by all workers of a cluster and kept under the names that they always have.

Census, eigenbasis, causal coordinates and the neighbours in both spaces are what a large catalogue's hours go to.
`ahead` has them made by blocks (`compute.blocks`) and puts them where the functions that chapters call look first; so
those functions, their code and the keys that follow from it know nothing of clusters. Census and neighbours are the
same bits as without one; the eigenbasis is the same within the rounding of its sums, which `compute.blocks.products`
states, and what follows from it likewise.

What tasks leave each other lies in the result's workspace or, where the cache is a store, there. It goes when the
result is kept, and waits for a rerun where one is broken off. Chapter: Density.
"""

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from compute import metric, paths, results, results_density, results_geometry
from compute.blocks import Spread, duplicates, neighbors, products
from compute.blocks.shelf import InStore, Shelf
from compute.blocks.whereabouts import opened_array
from compute.cache import Call, Result
from compute.models.weights import Catalogue

HOW_FAR = {"catalog": 1, "smoke": 1, "metric": 3, "density": 5}  # of the results below, by the depths of `survey`


def ahead(catalogue: Catalogue, spread: Spread, depth: str = "density") -> list[Result]:
    """Make the large results of a catalogue by blocks, as far as `depth`; what is kept already is only read.

    spread: `compute.fleet.spread`. Raises what the functions of `compute.blocks` raise.
    """
    ways = [
        (results.census.call(catalogue), _census),
        (results.eigenbasis.call(catalogue), _eigenbasis),
        (results_geometry.coordinates.call(catalogue), _coordinates),
        (results_density.nearest_places.call(catalogue, "gamma"), functools.partial(_nearest_places, space="gamma")),
        (results_density.nearest_places.call(catalogue, "causal"), functools.partial(_nearest_places, space="causal")),
    ]
    return [_made(call, functools.partial(way, catalogue, spread)) for call, way in ways[: HOW_FAR[depth]]]


def _made(call: Call, by: Callable[[Path | Shelf], dict]) -> Result:
    """The result of a call, computed by `by`, in the place that it is handed, where it is not kept yet."""
    if paths.cache_url():
        return _made_in_store(call, by)

    @functools.wraps(call.target.function)
    def function(*_given, **_named) -> dict:
        call.workspace().mkdir(parents=True, exist_ok=True)
        found = by(call.workspace())
        if not call.target.workspace:  # otherwise the cache takes its files from there, and clears it
            shutil.rmtree(call.workspace())
        return found

    return _by(function, call).run()


def _made_in_store(call: Call, by: Callable[[Path | Shelf], dict]) -> Result:
    """Likewise; no lock reaches to other machines, so two clients may be at it at once, with the same parts."""
    place = InStore.of(call.function, call.key)

    @functools.wraps(call.target.function)
    def function(*_given, **_named) -> dict:
        return by(place)

    try:
        made = _by(function, call).run()
    except FileNotFoundError:
        if (made := call.read()) is None:  # otherwise another client was done first, and took the parts away
            raise
    for name in place.names():
        place.remove(name)
    return made


def _by(function: Callable[..., dict], call: Call) -> Call:
    return dataclasses.replace(call, target=dataclasses.replace(call.target, function=function))


def _census(catalogue: Catalogue, spread: Spread, place: Path | Shelf) -> dict:
    found = duplicates.census(catalogue, place, spread)
    return {
        "hole": found.hole,
        "populations": found.populations.tolist(),
        "members": [ids.tolist() for ids in found.members],
        "unique_rows": found.unique_rows,
        "tokens_in_holes": found.tokens_in_holes,
        "zero_rows": found.zero_rows,
    }


def _eigenbasis(catalogue: Catalogue, spread: Spread, place: Path | Shelf) -> dict:
    mu = products.centroid(catalogue, spread)
    basis = metric.eigenbasis(mu, products.covariance(catalogue, mu, place, spread, np.float64))
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


def _coordinates(catalogue: Catalogue, spread: Spread, place: Path | Shelf) -> dict:
    basis = results_geometry.basis_of(catalogue)
    file = results_geometry.coordinates.call(catalogue).workspace() / "coordinates.npy"
    out = products.projections(catalogue, basis.whitening, basis.mu, file, spread, place)
    for members in results.census(catalogue)["members"]:
        out[members] = out[members[0]]
    out.flush()
    return {"file": file, "rank": basis.rank}


def _nearest_places(catalogue: Catalogue, spread: Spread, place: Path | Shelf, space: results_density.Space) -> dict:
    searched = catalogue
    if space == "causal":
        file = results_geometry.coordinates(catalogue)["file"]
        searched = opened_array(file, f"{catalogue.label}, causal coordinates")
    found = neighbors.search(searched, results_density.K, place, spread)
    places = np.searchsorted(found.distinct.first, found.among.ids)  # (U, k')
    return {"places": places.astype(np.min_scalar_type(len(found.distinct.first)))}
