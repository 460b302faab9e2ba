"""The same work on a Dask cluster: tasks to the workers of a scheduler, results back; without one, in this process.

A scheduler is chosen by AZIMUTH_SCHEDULER, by `--scheduler` or by Dask's own configuration (`compute.fleet.choice`).
Workers have to run the very same source files of `compute`, and to see the same cache: others are refused. A worker
that is killed costs what it was doing: Dask gives the task to another one, and a training goes on from its last
checkpoint. Nothing here changes a result, so this package is none of the code that names one (`compute.cache.reach`).
Where no scheduler is chosen, Dask is not imported.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from reprlib import repr as brief

from tqdm import tqdm

from compute.fleet import choice, work
from compute.fleet.dispatch import Dispatch, Task, connected
from compute.fleet.kept import Recipe, gather

__all__ = ["Recipe", "active", "gather", "spread"]


def active() -> bool:
    """Whether work that is spread from here goes to other processes; never so within a task."""
    return not work.inside() and choice.address() is not None


def spread(
    function: Callable, tasks: Iterable[tuple], *, label: str, excused: tuple[type[Exception], ...] = ()
) -> Iterator[tuple[int, object]]:
    """Calls `function(*task)` for each task, and yields (place in tasks, result) as they complete.

    function: a top-level function of an imported module; tasks: tuples of small picklable arguments, taken as they can
    be sent, two for each thread of the workers. Without a scheduler, and within a task: here and in order. A task that
    raises FileNotFoundError goes to the workers that have not tried it. Exceptions of the `excused` kinds come in place
    of a result. Raises TypeError for another kind of function, ConnectionError where the scheduler does not answer or
    goes away or none of its workers may work, FileNotFoundError where no worker has the files for a task, MemoryError
    where a task takes every worker with it, and what a task raised.
    """
    if function.__module__ == "__main__" or function.__qualname__ != function.__name__:
        raise TypeError(
            f"{function.__module__}.{function.__qualname__} cannot be sent to workers, who have to import it: it has "
            "to stand at the top of a module of the package"
        )
    return _spread(function, tasks, label, excused)


def _spread(function: Callable, tasks: Iterable[tuple], label: str, excused: tuple) -> Iterator[tuple[int, object]]:
    address = None if work.inside() else choice.address()
    if address is None:
        bar = tqdm(tasks, desc=label, delay=1, disable=not sys.stderr.isatty())
        for place, task in enumerate(bar):
            try:
                found = function(*task)
            except excused as error:
                found = error
            yield place, found
        return
    total = len(tasks) if isinstance(tasks, Sized) else None
    name = function.__name__
    sent = (Task(place, task, f"{name}({', '.join(map(brief, task))})", "") for place, task in enumerate(tasks))
    with connected(address) as client, work.left_mark() as mark:
        yield from Dispatch(client, address, function, label, excused, mark).results(sent, total)
