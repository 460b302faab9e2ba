"""All results that the book shows of a model, by name: what `status`, `why` and the colophon speak of."""

import inspect
from itertools import product
from typing import Literal, get_args, get_origin

from compute import (
    results,
    results_density,
    results_density_tables,
    results_geometry,
    results_geometry_tables,
    results_lattice,
    results_quantization,
    results_recipe,
    results_smoke,
    results_smoke_tables,
    results_supernova,
    results_telescope,
    results_void,
)
from compute.cache import Call, origin, registry
from compute.corpus import open_corpus
from compute.models.weights import Model

CHAPTERS = (
    results,
    results_lattice,
    results_quantization,
    results_smoke,
    results_smoke_tables,
    results_geometry,
    results_geometry_tables,
    results_density,
    results_void,
    results_density_tables,
    results_telescope,
    results_recipe,
    results_supernova,
)


def calls(opened: Model) -> list[tuple[str, Call]]:
    """Every public result that needs no more than the opened model, in the order of the book, with its name.

    A result's arguments are its parameters `catalogue` and `vocabulary`, or `corpus`; the others keep their defaults,
    and a function with one that has none (a file, a count) is no result of a model but a step towards one. A parameter
    that can only be one of a few words (`Literal`) gives a result for each: `profile:gamma`, `profile:causal`.
    """
    given = {"catalogue": opened.catalogue, "vocabulary": opened.vocabulary, "corpus": open_corpus()}
    found = []
    for chapter in CHAPTERS:
        for name, function in registry().items():
            module, _, short = name.rpartition(".")
            parameters = inspect.signature(function).parameters.values()
            required = {one.name: one.annotation for one in parameters if one.default is one.empty}
            required.pop("workspace", None)  # which the cache provides
            words = {name: get_args(kind) for name, kind in required.items() if get_origin(kind) is Literal}
            if module == chapter.__name__ and not short.startswith("_") and required.keys() <= given.keys() | words:
                wanted = {key: value for key, value in given.items() if key in required}
                for chosen in product(*words.values()):
                    call = function.call(**wanted, **dict(zip(words, chosen, strict=True)))
                    found.append((":".join([short, *chosen]), call))
    return found


def kept(opened: Model) -> list[tuple[str, Call]]:
    """Every result that may be kept: those of the model, the long runs, and the trainings that are dissected."""
    from compute import experiments, results_galaxies, results_swarm

    with origin.one_look():
        return calls(opened) + experiments.calls() + results_swarm.calls() + results_galaxies.calls()
