"""JSON from files that others wrote: UTF-8, one object at the top, no key twice, no bottomless nesting."""

import json
from pathlib import Path

LARGEST = 100_000_000  # bytes; the cap that the safetensors format sets on its own header


def _once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def parse(raw: bytes, what: str) -> dict:
    """Returns the object that the bytes hold; ValueError, naming `what`, on anything else."""
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply to be what it claims to be") from error
    except ValueError as error:  # JSONDecodeError, a key twice, a number of thousands of digits
        raise ValueError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{what} holds a JSON {type(found).__name__} where an object was expected")
    return found


def read(path: Path) -> dict:
    """Returns the object in a file; ValueError on a file over 100 MB, before it is read."""
    length = path.stat().st_size
    if length > LARGEST:
        raise ValueError(f"{path} is {length:,} bytes long; no {path.name} is longer than {LARGEST:,}")
    return parse(path.read_bytes(), str(path))
