"""The entries of both layers: where they lie, who may write one, and how one appears."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from compute import paths
from compute.cache import store
from compute.integrity import flush_folder


def all_layers() -> list[tuple[str, Path]]:
    """Both layers by name, the first one first."""
    return [("cache", paths.cache_folder()), ("shipped", paths.results_folder())]


def layers() -> list[tuple[str, Path]]:
    """The layers that are read: both, or with AZIMUTH_FRESH=1 only the cache."""
    return all_layers()[: 1 if os.environ.get("AZIMUTH_FRESH", "0") not in ("", "0") else 2]


def every(folder: Path) -> Iterator[Path]:
    """The folders of all entries of a layer, whatever state they are in."""
    for function in sorted(folder.glob("[!.]*.*/")):
        yield from sorted(entry for entry in function.iterdir() if entry.is_dir())


def kin(function: str, among: list[tuple[str, Path]] | None = None) -> Iterator[tuple[str, Path, dict]]:
    """(layer, folder, record) of every entry of a function on this disk, whatever its key; not verified."""
    for layer, folder in among or layers():
        for entry in sorted((folder / function).glob("?" * 64)):
            if (record := store.glance(entry / store.RECORD)).get("key") == entry.name:
                yield layer, entry, record


@contextmanager
def lock(function: str, key: str, wait: bool = True) -> Iterator[bool]:
    """Holds the lock of one key, which the writer of its entry holds; yields whether it is held.

    The system frees it when its holder dies. The empty file stays: to unlink it would split those who wait.
    """
    path = paths.cache_folder() / "locks" / function / f"{key}.lock"
    held = FileLock(path)
    with explained(f"the lock of {function}", path, 0):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout):
            held.acquire(blocking=wait)
    try:
        yield held.is_locked
    finally:
        held.release()


def place(entry: Path, fill: Callable[[Path], None], size: int) -> None:
    """Makes an entry appear whole or not at all: filled and flushed elsewhere on the disk, then renamed.

    The caller holds the key's lock. Raises OSError, with nothing left behind, where the disk is full.
    """
    draft = entry.parents[1] / "writing" / entry.parent.name / entry.name
    with explained(entry.parent.name, entry, size):
        shutil.rmtree(draft, ignore_errors=True)  # of a writer that was killed: we hold its lock
        try:
            fill(draft)
            entry.parent.mkdir(parents=True, exist_ok=True)
            os.rename(draft, entry)
            flush_folder(entry.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def explained(what: str, where: Path, size: int) -> Iterator[None]:
    """Says in an OSError what was being written, where, and what to do; one without a number says it already."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            error.errno,
            f"{what} could not be written to {where} ({size:,} bytes): {error.strerror}. What was kept before "
            "stands. Make room (`python -m compute gc` lists what can go), or point AZIMUTH_CACHE at another disk",
        ) from error
