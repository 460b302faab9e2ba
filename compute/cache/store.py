"""One entry of the cache on disk: a folder that is whole or damaged, never believed unchecked.

    record.json           how the value came about: function, key, code, arguments, seconds, date, versions
    value.json            the value; where an array stood, {"$array": its path}
    tensors.safetensors   the arrays, each under its path in the value (a JSON pointer), bit for bit
    files/                what the function wrote itself, HDF5 for instance
    SHA256SUMS            of all of these; `sha256sum -c SHA256SUMS` agrees

The sums are read as text and compared as text, so that a flipped bit anywhere, in the sums too, is noticed.
"""

import errno
import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Iterable, Mapping, Set
from pathlib import Path, PurePosixPath

from compute.cache.parts import Parts, put_together, readable, safetensors, views
from compute.integrity import flush_folder, sha256_of

SUMS, RECORD, VALUE, TENSORS, FILES = "SHA256SUMS", "record.json", "value.json", "tensors.safetensors", "files"
DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ENAMETOOLONG)  # of the entry, not of us


class DamageWarning(UserWarning):
    """An entry of the cache was damaged; it has been put aside and is computed again."""


def write(folder: Path, record: Mapping[str, object], parts: Parts) -> None:
    """Fills a new folder with an entry and flushes it to the disk."""
    folder.mkdir(parents=True)
    sums = {VALUE: _put(folder / VALUE, [parts.text]), RECORD: _put(folder / RECORD, [readable(record)])}
    if parts.arrays:
        sums[TENSORS] = _put(folder / TENSORS, safetensors(parts.arrays))
    for name, source in parts.files.items():
        target = folder / FILES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(source, target)  # not moved: until the entry is there, the workspace is what a rerun resumes from
        with target.open("rb+") as file:
            os.fsync(file.fileno())
        sums[f"{FILES}/{name}"] = sha256_of(target)
    _seal(folder, sums)


def _seal(folder: Path, sums: Mapping[str, str]) -> None:
    """Writes the checksums, last, and flushes every folder of the entry."""
    _put(folder / SUMS, [listing(sums)])
    _flush_all(folder)


def copy(source: Path, folder: Path) -> None:
    """Copies an entry into a new folder and flushes it to the disk."""
    for name in [*sums_of(source), SUMS]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
    flush(folder)


def flush(folder: Path) -> None:
    """Flushes all files of a new folder to the disk, then the folders."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    _flush_all(folder)


def rewrite_record(folder: Path, record: Mapping[str, object]) -> None:
    """Replaces the record of an entry that nobody sees yet, and its line in the checksums."""
    sums = {name: sha for name, sha in sums_of(folder).items() if name != RECORD}
    (folder / RECORD).unlink()
    (folder / SUMS).unlink()
    _seal(folder, sums | {RECORD: _put(folder / RECORD, [readable(record)])})


def read(folder: Path) -> tuple[dict, dict]:
    """The record and the value of an entry, every byte verified; arrays are read-only views of the mapped file.

    Raises ValueError that says what is damaged.
    """
    held = verified(folder, {RECORD, VALUE})
    try:
        record = json.loads(held[RECORD])
        if (record["function"], record["key"]) != (folder.parent.name, folder.name):
            raise ValueError(f"it is the entry of {record['function']} {record['key']}, under another name")
        arrays = views(held[TENSORS]) if TENSORS in held else {}
        files = {name.removeprefix(f"{FILES}/"): folder / name for name in held if name.startswith(f"{FILES}/")}
        return record, put_together(json.loads(held[VALUE]), arrays, files)
    except (KeyError, TypeError) as error:  # nobody's accident: the checksums are right
        raise ValueError(f"its parts do not fit together: {error!r}") from error


def glance(path: Path) -> dict:
    """A record, unverified, for listings; empty where it cannot be read."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _flush_all(folder: Path) -> None:
    for below, _, _ in os.walk(folder):
        flush_folder(Path(below))


def _put(path: Path, chunks: Iterable[bytes | memoryview]) -> str:
    """Writes a new file, flushes it to the disk, returns its SHA-256."""
    sha = hashlib.sha256()
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            sha.update(chunk)
        file.flush()
        os.fsync(file.fileno())
    return sha.hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a disk without hard links
        shutil.copyfile(source, target)


def listing(sums: Mapping[str, str]) -> bytes:
    """What SHA256SUMS says of {file: SHA-256}."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


def sums_of(folder: Path) -> dict[str, str]:
    """{file: SHA-256} as the entry states it; ValueError where it names a file outside of itself."""
    lines = (folder / SUMS).read_bytes().decode("utf-8", "replace").splitlines()
    for name in (line[66:] for line in lines):
        if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            raise ValueError(f"{name} is missing")
    return {line[66:]: line[:64] for line in lines}


def verified(folder: Path, needed: Set[str]) -> dict[str, bytes | mmap.mmap]:
    """What the entry's own files hold (of files/ only that it is right); ValueError where anything differs."""
    try:
        stated, held, found = sums_of(folder), {}, {}
        for name in stated:
            path = folder / name
            if not path.is_file():
                raise ValueError(f"{name} is missing")
            if name in (RECORD, VALUE):
                held[name] = path.read_bytes()
            elif name == TENSORS:
                held[name] = _mapped(path)
            else:
                held[name] = b""  # files/ are for whoever asks for them
            found[name] = hashlib.sha256(held[name]).hexdigest() if held[name] else sha256_of(path)
            if found[name] != stated[name]:
                raise ValueError(f"{name} has SHA-256 {found[name][:12]}, not {stated[name][:12]}")
        if listing(found) != (folder / SUMS).read_bytes() or not needed <= found.keys():
            raise ValueError(f"{SUMS} is not as it was written")
    except OSError as error:
        if error.errno not in DAMAGE:
            raise
        raise ValueError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return held


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
