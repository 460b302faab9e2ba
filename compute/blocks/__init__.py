"""The mathematics of a whole catalogue in pieces that workers can take: neighbours, covariance, projections, census.

Every function takes `spread`, which has the form of `compute.fleet.spread`: it runs a function of this package over
small tuples of arguments, here or on other machines, and yields (place, result) as they complete, in any order. What
travels are names, numbers and receipts. The rows each worker reads itself (`whereabouts`), from a file or by ranges
from a URL (`distant`). What it finds it leaves (`parts`) in a folder that all can see or in the store behind the cache
(`shelf`), where it stays when a worker, the scheduler or the caller dies: a second call with the same place goes on
where the first stopped. Tasks may be run twice, and by two workers at once.

Counts, places and neighbours are the same bits as in one process, whatever the workers, the order and the size of the
pieces. Sums are made in the order of the rows, never in that of completion; how far they may be off is said there.
"""

from collections.abc import Callable, Iterable, Iterator

Spread = Callable[..., Iterator[tuple[int, object]]]  # (function, tasks, *, label) -> (place, result), any order


def in_order(spread: Spread, function: Callable, tasks: Iterable[tuple], label: str) -> list:
    """The results of all tasks, in the order of the tasks and not in that of completion."""
    tasks = list(tasks)
    results = dict(spread(function, tasks, label=label))
    return [results[place] for place in range(len(tasks))]


def ranges(count: int, rows: int) -> list[tuple[int, int]]:
    """The stretches [start, stop) of at most `rows` that make up `count` rows."""
    return [(start, min(start + rows, count)) for start in range(0, count, rows)]
