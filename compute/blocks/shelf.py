"""Where tasks leave their parts: a folder that all workers see, or a place below the URL of the cache."""

import io
import os
import platform
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from compute.cache import mirror
from compute.cache.remote import Store
from compute.cache.versions import PARTS
from compute.integrity import write_whole


@dataclass(frozen=True)
class Folder:
    """A folder on a disk, which may be a network's."""

    path: str
    looked_at = None  # of what others have found, as much as there is: to read it costs next to nothing
    advice = "that folder lies in AZIMUTH_CACHE, which has to be one mounted folder for all workers"

    def __str__(self) -> str:
        return self.path

    def below(self, digest: str) -> "Folder":
        """The folder that belongs to some work of its own, made if need be."""
        made = Path(self.path, digest[:16])
        made.mkdir(parents=True, exist_ok=True)
        return Folder(str(made))

    def names(self) -> set[str]:
        """What is there: listed, for a network disk remembers the absence of what it was asked for."""
        return set(os.listdir(self.path)) if os.path.isdir(self.path) else set()

    def open(self, name: str) -> BinaryIO:
        """One thing, to be read. Raises FileNotFoundError."""
        return open(Path(self.path, name), "rb")

    def put(self, name: str, whole: io.BytesIO) -> None:
        """Makes one thing appear whole; of two writers at once the later one wins. Raises OSError."""
        draft = Path(self.path, f"{name.rpartition('.')[0]}.{uuid.uuid4().hex}.draft")  # hosts may share a number
        try:
            write_whole(draft, [whole.getbuffer()])
            os.replace(draft, Path(self.path, name))
        finally:
            draft.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Removes one thing, if it is there."""
        Path(self.path, name).unlink(missing_ok=True)


@dataclass(frozen=True)
class InStore:
    """A place in the store that AZIMUTH_CACHE names, in each process by its own variable: no URL travels."""

    path: str
    looked_at = 4  # of what others have found, so many parts: each is fetched
    advice = "it was taken away, or damaged, or AZIMUTH_CACHE is another store there"

    @classmethod
    def of(cls, function: str, key: str) -> "InStore":
        """The place of the parts of one result."""
        return cls(f"{PARTS}{function}/{key}")

    def __str__(self) -> str:
        return f"{_store().shown}/{self.path}"

    def below(self, digest: str) -> "InStore":
        """The place that belongs to some work of its own."""
        return InStore(f"{self.path}/{digest}")

    def names(self) -> set[str]:
        """What is there, as of now."""
        inside = f"{self.path}/"
        return {name.removeprefix(inside) for name in _store().sizes(self.path) if name.startswith(inside)}

    def open(self, name: str) -> BinaryIO:
        """One thing, fetched. Raises FileNotFoundError."""
        return io.BytesIO(_store().read(f"{self.path}/{name}"))

    def put(self, name: str, whole: io.BytesIO) -> None:
        """Makes one thing appear whole; of two writers at once the later one wins. Raises OSError."""
        _store().put(whole.getvalue(), f"{self.path}/{name}")

    def remove(self, name: str) -> None:
        """Removes one thing, if it is there."""
        _store().remove(f"{self.path}/{name}")


Shelf = Folder | InStore


def shelf(place: Path | Shelf) -> Shelf:
    """A shelf, from one or from the path of a folder."""
    return Folder(str(place)) if isinstance(place, Path) else place


def _store() -> Store:
    if (there := mirror.place()) is None:
        raise FileNotFoundError(
            f"parts are looked for in a store, and AZIMUTH_CACHE on {platform.node()} is a folder: give it the same URL"
        )
    return there
