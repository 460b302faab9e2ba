"""Remembers the hash of what lies in a large file, as long as the file is the one that was hashed."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from compute import paths

SETTLED = 2.0  # seconds; a file younger than this could change again within one tick of its clock


def remembered(path: Path, opened: os.stat_result, part: tuple, compute: Callable[[], str]) -> str:
    """Returns `compute()`, or what it returned before for the same part of the very same file.

    `opened` is the file's status as it was opened: of a file changed or replaced since then nothing is remembered,
    nor of one just written. A damaged memory is as good as none.
    """
    if not path.exists() or _marks(path.stat()) != _marks(opened):
        return compute()
    identity = [str(path.resolve()), *_marks(opened), *part]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    memo = paths.cache_folder() / "fingerprints" / f"{key[:32]}.json"
    known = _read(memo)
    if known.get("identity") == identity and _is_digest(known.get("fingerprint")):
        return known["fingerprint"]
    found = compute()
    if time.time() - max(opened.st_mtime, opened.st_ctime) > SETTLED:
        _write(memo, {"identity": identity, "fingerprint": found})
    return found


def _marks(status: os.stat_result) -> tuple[int, ...]:
    """Returns what tells a file from others and its own past; ctime, unlike mtime, cannot be set back."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _read(memo: Path) -> dict:
    try:
        found = json.loads(memo.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(memo: Path, known: dict) -> None:
    """Writes a memo in one piece: into a file beside it, then one rename."""
    memo.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=memo.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(known, file)
        os.replace(name, memo)
    except BaseException:
        os.unlink(name)
        raise
