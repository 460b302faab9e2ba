"""What tasks leave for each other on a shelf: whole or not at all, and checked when it is read."""

import functools
import hashlib
import io
import time
import zipfile
from pathlib import Path

import numpy as np

from compute.blocks.shelf import Folder, InStore, Shelf, shelf

PATIENCE = 60.0  # seconds after which a network disk has told all machines of a new file


def keep(place: Shelf, name: str, **arrays: np.ndarray) -> None:
    """Leave arrays under a name, where they appear whole; of two writers at once the later one wins. Raises OSError."""
    whole = io.BytesIO()
    np.savez(whole, **arrays)
    place.put(f"{name}.npz", whole)


def read(place: Shelf, name: str) -> dict[str, np.ndarray] | None:
    """The arrays under a name; None where there are none or they are damaged (every array has a checksum)."""
    try:
        with place.open(f"{name}.npz") as opened, np.load(opened, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def names(place: Shelf) -> set[str]:
    """The names under which arrays are kept."""
    return {name.removesuffix(".npz") for name in place.names() if name.endswith(".npz")}


def needed(place: Shelf, name: str) -> dict[str, np.ndarray]:
    """The arrays that a finished task has left. Raises FileNotFoundError where they cannot be read here."""
    until = time.monotonic() + PATIENCE
    while isinstance(place, Folder) and name not in names(place) and time.monotonic() < until:
        time.sleep(0.2)
    found = read(place, name)
    if found is None:
        place.remove(f"{name}.npz")  # a damaged one is in the way of its successor
        raise FileNotFoundError(
            f"a worker has finished {name}, but {place} does not hold it whole: {place.advice}. "
            "Run it again: the rest is kept"
        )
    return found


def keep_array(place: Shelf, name: str, array: np.ndarray) -> None:
    """Leave one array that many tasks need, so that those who see a folder can map it. Raises OSError."""
    if isinstance(place, InStore):
        return keep(place, name, array=array)
    whole = io.BytesIO()
    np.save(whole, array)
    place.put(f"{name}.npy", whole)


def array(place: Shelf, name: str) -> np.ndarray:
    """That array: mapped from a folder; from a store it is fetched once in a while, and held."""
    if isinstance(place, Folder):
        return np.asarray(np.load(Path(place.path, f"{name}.npy"), mmap_mode="r", allow_pickle=False))
    return _fetched(place, name)


@functools.lru_cache(maxsize=2)  # what one kind of tasks needs
def _fetched(place: InStore, name: str) -> np.ndarray:
    return needed(place, name)["array"]


def subfolder(place: Path | Shelf, *named: object) -> Shelf:
    """The shelf below another that belongs to some named work and to no other."""
    return shelf(place).below(hashlib.sha256(repr(named).encode()).hexdigest())
