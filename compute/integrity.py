"""Whether a file is the one that was promised, and how a fetched one appears: whole or not at all."""

import errno
import hashlib
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from compute import fingerprints

watchers: list[Callable[[Path], None]] = []  # called with each file that `write_whole` has made appear


def sha256_of(path: Path) -> str:
    """Hashes a file's bytes with SHA-256; hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, size: int, sha256: str) -> bool:
    """Tells whether `path` is a file of `size` bytes with this SHA-256; hashed once, then remembered."""
    if not path.is_file():
        return False
    status = path.stat()
    if status.st_size != size:
        return False
    return fingerprints.remembered(path, status, ("whole file",), lambda: sha256_of(path)) == sha256


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes `chunks` so that `path` appears whole, flushed to the disk, or not at all.

    Raises OSError where the disk is full or the folder cannot be written; what stood at `path` stands then.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with open(draft, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)  # still there only if something went wrong
    flush_folder(path.parent)
    for watcher in tuple(watchers):
        watcher(path)


def flush_folder(folder: Path) -> None:
    """Asks the disk to keep a folder's entries: without it a rename may be lost when the power fails."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def set_aside(path: Path, why: str) -> Path:
    """Renames a damaged file or folder to `<name>.damaged`, over an older one, and warns; returns it."""
    aside = path.with_name(path.name + ".damaged")
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    else:
        aside.unlink(missing_ok=True)
    os.replace(path, aside)
    warnings.warn(f"{path} is damaged ({why}); put aside as {aside.name}", RuntimeWarning, stacklevel=3)
    return aside


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raises OSError (ENOSPC) where the disk of `folder`, which exists, has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{what} needs {needed / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free: "
            "make room, or set AZIMUTH_MODELS to a folder on another disk",
        )


@contextmanager
def one_at_a_time(lock_file: Path, what: str) -> Iterator[None]:
    """Holds the lock that keeps two processes from fetching one thing; says so where it has to wait."""
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"another process is fetching {what}; waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
