"""What happens on a worker: it says what it is, does one task, keeps one result."""

import hashlib
import json
import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from compute import paths
from compute.cache import reach

DONE, EXCUSED, UNFIT, REFUSED = "done", "excused", "unfit", "refused"  # the verdicts of `perform`

_thread = threading.local()
_one_at_a_time = threading.Lock()  # a training sets torch's number of threads, which is the whole process's


@lru_cache
def code_digest() -> str:
    """The SHA-256 of the package's source files as they were when this process first asked."""
    texts = reach.sources("compute", paths.root())
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


def inside() -> bool:
    """Whether this thread is doing a task: what it calls must not ask for workers, which might all wait for it."""
    return getattr(_thread, "inside", False)


@contextmanager
def _as_a_task() -> Iterator[None]:
    _thread.inside = True
    try:
        yield
    finally:
        _thread.inside = False


def report(mark: str) -> dict[str, object]:
    """What a worker says of itself before it gets any work.

    digest: of its code; place: for people; shares: whether it sees the client's cache, by its mark; cache: its own;
    fresh: its AZIMUTH_FRESH.
    """
    return {
        "digest": code_digest(),
        "place": f"{platform.node()}:{paths.root()}",
        "shares": _sees(mark),
        "cache": str(os.environ.get("AZIMUTH_CACHE") or paths.cache_folder()),
        "fresh": os.environ.get("AZIMUTH_FRESH", "0") not in ("", "0"),
    }


def perform(digest: str, function: Callable, arguments: tuple, excused: tuple[type[Exception], ...]) -> tuple:
    """One task: (verdict, what came of it, the worker's address).

    'refused' where the code here is not the client's; 'unfit' where a file is not there that other workers may have;
    'excused' with the exception, where it is of a kind that the client wants to be told.
    """
    from distributed import get_worker

    here = get_worker().address
    if code_digest() != digest:
        return REFUSED, code_digest(), here
    try:
        with _as_a_task():
            return DONE, function(*arguments), here
    except FileNotFoundError as missing:
        return UNFIT, str(missing), here
    except excused as error:
        return EXCUSED, error, here


def keep(maker: Callable, arguments: tuple, key: str) -> str:
    """Makes a cached result be in the cache that all share; only its key travels back.

    One at a time in a process. Raises FileNotFoundError where the result has another name here than at the client: a
    model or a text is another one.
    """
    with _one_at_a_time:
        call = maker(*arguments)
        if call.key != key:
            raise FileNotFoundError(
                f"{call.function} is {call.key[:12]} here and {key[:12]} where it is wanted: a model, a text or a "
                "file that it is computed from is not the same"
            )
        call.run()
    return call.key


@contextmanager
def left_mark() -> Iterator[str]:
    """Leaves a mark in the cache for workers to see, and takes it away again; yields what to look for.

    Of a cache on an object store, which every machine mirrors, the mark is its URL.
    """
    if url := paths.cache_url():
        yield url
        return
    folder = paths.cache_folder() / "fleet"
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"{platform.node()}-{os.getpid()}-{threading.get_ident()}"
    mark.touch()
    try:
        yield mark.name
    finally:
        mark.unlink(missing_ok=True)


def _sees(mark: str) -> bool:
    if url := paths.cache_url():
        return url == mark
    folder = paths.cache_folder() / "fleet"
    return folder.is_dir() and mark in os.listdir(folder)  # listed, not asked for: a network disk remembers absences
