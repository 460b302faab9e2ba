"""The files that tasks leave for each other in a shared folder: whole or not at all, and checked when they are read."""

import hashlib
import io
import os
import time
import uuid
import zipfile
from pathlib import Path

import numpy as np

from compute.integrity import write_whole

PATIENCE = 60.0  # seconds after which a network disk has told all machines of a new file


def keep(file: Path, **arrays: np.ndarray) -> None:
    """Write arrays into a file that appears whole; of two writers at once the later one wins. Raises OSError."""
    whole = io.BytesIO()
    np.savez(whole, **arrays)
    draft = file.with_name(f"{file.stem}.{uuid.uuid4().hex}.draft")  # two hosts may share a process number
    try:
        write_whole(draft, [whole.getbuffer()])
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def keep_array(file: Path, array: np.ndarray) -> None:
    """Write one array so that others can map it; the file appears whole. Raises OSError."""
    whole = io.BytesIO()
    np.save(whole, array)
    write_whole(file, [whole.getbuffer()])


def names(folder: Path) -> set[str]:
    """The names of the files in a folder: listed, for a network disk remembers the absence of what it was asked for."""
    return set(os.listdir(folder)) if folder.is_dir() else set()


def read(file: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a file; None where there is none or where it is damaged (every array has a checksum)."""
    try:
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def needed(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that a finished task has left. Raises FileNotFoundError where it cannot be read here."""
    until = time.monotonic() + PATIENCE
    while file.name not in names(file.parent) and time.monotonic() < until:
        time.sleep(0.2)
    found = read(file)
    if found is None:
        file.unlink(missing_ok=True)  # a damaged one is in the way of its successor
        raise FileNotFoundError(
            f"a worker has finished {file.name}, but {file.parent} does not hold it whole: that folder lies in "
            "AZIMUTH_CACHE, which has to be one mounted folder for all workers. Run it again: the rest is kept"
        )
    return found


def subfolder(folder: Path, *named: object) -> Path:
    """The folder below `folder` that belongs to some named work and to no other, made if need be."""
    below = folder / hashlib.sha256(repr(named).encode()).hexdigest()[:16]
    below.mkdir(parents=True, exist_ok=True)
    return below
