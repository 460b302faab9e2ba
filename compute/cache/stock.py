"""What the store behind the cache holds: all of its versions, which of them are right, and which can go."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from compute.cache import mirror, origin
from compute.cache import versions as shelf
from compute.cache.versions import PARTS, WORKSPACES, Version

ABANDONED = 86_400  # seconds after which nobody is still writing a version: no lock reaches to other machines


def versions() -> list[Version]:
    """All versions of all entries in the store; none where the cache is a folder."""
    there = mirror.place()
    return shelf.every(there) if there else []


def damage(version: Version) -> str | None:
    """What is wrong with a version, all of which is fetched and verified; None if it is whole."""
    if version.state == "damaged":
        return version.place.read(f"{version.path}/{shelf.DAMAGED}").decode("utf-8", "replace")
    with tempfile.TemporaryDirectory() as folder:
        try:
            version.fetch(Path(folder) / "entry")
        except (FileNotFoundError, ValueError) as found:
            return str(found)
    return None


def leftovers() -> Iterator[tuple[str, Version]]:
    """(why, version) of what can go: of other code, damaged, abandoned half-way, or beside a whole one of its key."""
    taken = set()
    for version in versions():
        names = (version.function, version.key)
        if version.state == "damaged":
            yield "damaged", version
        elif version.state == "unfinished":
            if version.age() > ABANDONED:
                yield "unfinished", version
        elif not origin.is_current(version.record()):
            yield "other code", version
        elif names in taken:
            yield "duplicate", version
        else:
            taken.add(names)
    if there := mirror.place():
        for saved in shelf.every(there, shelf=WORKSPACES):
            finished = (saved.function, saved.key) in taken
            abandoned = saved.state != "whole" and saved.age() > ABANDONED
            if finished or abandoned or saved.state == "whole" and not origin.is_current(saved.record()):
                yield "workspace", saved
        for left in shelf.every(there, shelf=PARTS):
            if (left.function, left.key) in taken or left.age() > ABANDONED:
                yield "parts", left
