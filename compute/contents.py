"""All results that the book shows of a model, by name: what `status`, `why` and the colophon speak of."""

import inspect

from compute import (
    results,
    results_geometry,
    results_geometry_tables,
    results_lattice,
    results_quantization,
    results_smoke,
    results_smoke_tables,
)
from compute.cache import Call, registry
from compute.models.weights import Model

CHAPTERS = (
    results,
    results_lattice,
    results_quantization,
    results_smoke,
    results_smoke_tables,
    results_geometry,
    results_geometry_tables,
)


def calls(opened: Model) -> list[tuple[str, Call]]:
    """Every public result that needs no more than the opened model, in the order of the book, with its name.

    A result's arguments are its parameters `catalogue` and `vocabulary`; the others keep their defaults, and a function
    with one that has none (a file, a count) is no result of a model but a step towards one.
    """
    given = {"catalogue": opened.catalogue, "vocabulary": opened.vocabulary}
    found = []
    for chapter in CHAPTERS:
        for name, function in registry().items():
            module, _, short = name.rpartition(".")
            parameters = inspect.signature(function).parameters.values()
            required = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
            required -= {"workspace"}  # which the cache provides
            if module == chapter.__name__ and not short.startswith("_") and required <= set(given):
                wanted = {key: value for key, value in given.items() if key in required}
                found.append((short, function.call(**wanted)))
    return found
