"""How a worker names what a client wants of it: results by small arguments that mean the same on every machine.

Chapters: Nutcracker, Goldilocks; and every result of a model that the book shows.
"""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from compute import paths
from compute.cache import Call
from compute.fleet import Recipe

TEXTS = ("AZIMUTH_CORPUS", "AZIMUTH_CORPUS_UNSEEN")


def texts() -> tuple[str | None, ...]:
    """The texts that this process trains on, as absolute paths; None for the book's own."""
    return tuple(_absolute(os.environ.get(variable)) for variable in TEXTS)


def _absolute(stated: str | None) -> str | None:
    if not stated:
        return None
    return os.pathsep.join(str(paths.root() / Path(part).expanduser()) for part in stated.split(os.pathsep) if part)


def goldilocks(what: str, settings: dict, training: str | None, unseen: str | None) -> Call:
    """A result of one training on Goldilocks: 'run', 'matrix' or 'remains'; see `compute.results_goldilocks`."""
    from compute import results_embers, results_goldilocks
    from compute.corpus import open_corpus

    known = {
        "run": results_goldilocks.run,
        "matrix": results_goldilocks.matrix,
        "remains": results_embers.remains,
    }
    return known[what].call(open_corpus(training, unseen), settings)


def trainings(settings: Iterable[dict], what: str = "run") -> list[Recipe]:
    """One result of each of some trainings on the text of this process."""
    return [Recipe(goldilocks, (what, one, *texts())) for one in settings]


def of_book(model: str, name: str) -> Call:
    """A result that the book shows of a model, by the name that `python -m compute status` gives it."""
    return _opened(model)[name]


def book(model: str | None) -> list[tuple[str, Recipe]]:
    """Everything that the book shows of a model, by name, in its order."""
    stated = everywhere(model)
    return [(name, Recipe(of_book, (stated, name))) for name in _opened(stated)]


def _opened(model: str) -> dict[str, Call]:
    from compute import results

    opened = results.model(model)
    return _book(model, opened.catalogue.fingerprint, opened.vocabulary.fingerprint)


@lru_cache(maxsize=4)
def _book(model: str, *_contents: str) -> dict[str, Call]:
    """All by name: that takes a second, which not every task of a worker should."""
    from compute import contents, results

    return dict(contents.calls(results.model(model)))


def everywhere(model: str | None) -> str:
    """What names a model on every machine: a known name or hub id as it is, a local path as an absolute one.

    A path that begins with ~ stays, and is each machine's own.
    """
    from compute.models import sources
    from compute.models.inputs import registry

    name = model or os.environ.get("AZIMUTH_MODEL") or sources.DEFAULT
    if name in registry() or name.startswith("~"):
        return name
    for start in (Path.cwd(), paths.root()):
        if any(os.path.exists(start / part) for part in (name, name.partition("#")[0]) if part):
            return str(start / name)
    return name
