"""Cached results as tasks: a worker computes one and keeps it in the cache that all share; its key travels back."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from compute.cache import Call, Result
from compute.fleet import choice, work
from compute.fleet.dispatch import Dispatch, Task, connected


class Recipe(NamedTuple):
    """How any process that has the code names a result: a top-level function of ours, with small arguments."""

    maker: Callable[..., Call]
    arguments: tuple

    def call(self) -> Call:
        """The result by name, in this process."""
        return self.maker(*self.arguments)


def gather(
    recipes: Iterable[Recipe], *, label: str, excused: tuple[type[Exception], ...] = ()
) -> Iterator[tuple[int, Result | Exception]]:
    """Makes results be there, and yields (place, result) as they come: those that are kept first.

    Without a scheduler they are computed here, in order. With one, each that is missing is a task; who else asks the
    scheduler or the cache for it waits for the same computation. Exceptions of the `excused` kinds come in place of a
    result. Raises as `spread` does, and OSError where a worker's result does not arrive in this cache.
    """
    recipes = list(recipes)
    calls = [recipe.call() for recipe in recipes]
    address = None if work.inside() else choice.address()
    if address is None:
        for place, call in enumerate(calls):
            try:
                yield place, call.run()
            except excused as error:
                yield place, error
        return
    wanted = defaultdict(list)
    for place, call in enumerate(calls):
        if (found := call.read()) is None:
            wanted[call.key].append(place)
        else:
            yield place, found
    if wanted:
        yield from _computed(address, [(calls[p[0]], recipes[p[0]], p) for p in wanted.values()], label, excused)


def _computed(address: str, wanted: list, label: str, excused: tuple) -> Iterator[tuple[int, Result | Exception]]:
    tasks = [
        Task(number, (recipe.maker, recipe.arguments, call.key), _named(call), f"{call.function}-{call.key}")
        for number, (call, recipe, _) in enumerate(wanted)
    ]
    with connected(address) as client, work.left_mark() as mark:
        done = Dispatch(client, address, work.keep, label, excused, mark).results(tasks, len(tasks))
        for number, found in done:
            call, _, places = wanted[number]
            if not isinstance(found, Exception) and (found := call.read()) is None:
                raise OSError(
                    f"{label}: a worker kept {call.function} {call.key[:12]}, and it cannot be read from "
                    f"{call.entry()}: AZIMUTH_CACHE has to be one folder or store that all machines share"
                )
            for place in places:
                yield place, found


def _named(call: Call) -> str:
    given = ", ".join(f"{name}={value}" for name, value in call.arguments.items())
    return f"{call.function}({given})"
