"""This machine's side of a cache in a store: what it has fetched from there, and what it still owes it.

Before a store, `paths.cache_folder` is a mirror: a cache like any other, with one folder more, `sent/`, which holds for
each entry the name of the version that the store has of it. What lacks its note there has still to be sent. Where the
cache is a folder, nothing here does anything.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

from compute import paths
from compute.cache import entries, store, versions
from compute.cache.remote import Store
from compute.integrity import sha256_of, write_whole


def place() -> Store | None:
    """The store behind the cache, if there is one."""
    url = paths.cache_url()
    return Store(url) if url else None


def has(function: str, key: str) -> bool:
    """Whether the store has a whole version of an entry, as of now; False where there is no store."""
    there = place()
    return there is not None and any(one.state == "whole" for one in versions.every(there, function, key))


def seen(function: str) -> Iterator[versions.Version]:
    """Whole versions of all entries of a function, as of two seconds ago at most, for listings."""
    if there := place():
        yield from (one for one in versions.glimpsed(there, function) if one.state == "whole")


def kin(function: str) -> Iterator[tuple[Path | versions.Version, dict]]:
    """(where, record) of every entry of a function, whatever its key; in the store, of those that are only there."""
    here = set()
    for layer, folder, record in entries.kin(function):
        here |= {record["key"]} if layer == "cache" else set()
        yield folder, record
    yield from ((one, one.record()) for one in seen(function) if one.key not in here)


def bring(function: str, key: str) -> bool:
    """Makes an entry of the store be here, verified; whether it is. The caller holds the key's lock.

    A version that is damaged is marked as such in the store, with a DamageWarning, and the next one taken.
    """
    entry = paths.cache_folder() / function / key
    if (there := place()) is None or entry.exists():
        return entry.exists()
    for version in versions.every(there, function, key):
        if version.state != "whole":
            continue
        try:
            entries.place(entry, version.fetch, version.bytes)
        except FileNotFoundError:  # taken away while it was being fetched
            continue
        except ValueError as damage:
            version.withdraw(str(damage))
            done = "It is marked as damaged there, and the result is fetched or computed again"
            warnings.warn(f"the entry {version} is damaged: {damage}. {done}", store.DamageWarning, stacklevel=6)
            continue
        _note(function, key, version.digest)
        return True
    return False


def owes(function: str, key: str) -> bool:
    """Whether an entry lies here that the store was never seen to have."""
    if paths.cache_url() is None:
        return False
    sums, note = paths.cache_folder() / function / key / store.SUMS, _note_of(function, key)
    return sums.is_file() and not (note.is_file() and note.read_text("ascii", "replace") == sha256_of(sums))


def send(function: str, key: str) -> None:
    """Puts into the store what is owed to it, if anything. The caller holds the key's lock and has verified it.

    Raises OSError where the store cannot take it; it is still owed then.
    """
    if (there := place()) is not None and owes(function, key):
        entry = paths.cache_folder() / function / key
        version = versions.publish(there, function, key, versions.of_entry(entry))
        _note(function, key, version.digest)


def name_of(path: Path) -> str | None:
    """What the store calls a file of an entry that lies in this mirror; None for any other file."""
    path, cache = path.resolve(), paths.cache_folder().resolve()
    if place() is None or not path.is_relative_to(cache) or len(path.relative_to(cache).parts) < 3:
        return None
    function, key, *within = path.relative_to(cache).parts
    note = _note_of(function, key)
    return "/".join((function, key, note.read_text("ascii"), *within)) if note.is_file() else None


def _note(function: str, key: str, digest: str) -> None:
    note = _note_of(function, key)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_whole(note, [digest.encode()])


def _note_of(function: str, key: str) -> Path:
    return paths.cache_folder() / "sent" / function / key
