"""What names a result: a function, the code that it reaches, its arguments, the contents of its inputs.

The key is the SHA-256 of canonical JSON: sorted, ASCII, without spaces, and tagged where JSON alone would
let two values meet. 1, 1.0, True and "1" are four arguments, 0.0 and -0.0 two; a tuple is no list, and the
order of a dict counts, since a function may walk it. Package versions, machine and threads are recorded
beside a result, not here.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from compute.integrity import sha256_of

FORMAT = 1  # of keys and entries; raise it when an edit of the cache itself changes what it keeps
KINDS = "None, bool, int, float, str, lists, tuples and str-keyed dicts of those, input files as Path, objects"


def plain(value: object) -> object:
    """The argument as the function gets it, a copy: numpy scalars as the Python scalars that the key has for them."""
    if isinstance(value, np.generic) and type(number := value.item()) in (bool, int, float, str):
        return number
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {name: plain(item) for name, item in value.items()}
    return value


def canonical(value: object, where: str) -> object:
    """An argument as JSON that no other argument shares; `where` is its name in errors.

    Paths count by content, objects by their attribute `fingerprint`. Raises TypeError for anything else,
    OSError for a file that cannot be read.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return {"float": repr(value)}  # the shortest text that reads back as the same float64
    if type(value) in (list, tuple):
        items = [canonical(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if type(value) is list else {"tuple": items}
    if type(value) is dict:
        for name in value:
            if type(name) is not str:
                raise TypeError(f"{where} has the key {name!r}; a cached function takes dicts with str keys only")
        return {"dict": [[name, canonical(item, f"{where}[{name!r}]")] for name, item in value.items()]}
    if isinstance(value, Path):
        if not value.is_file():
            raise FileNotFoundError(f"{where} is {value}, and there is no such file; it is needed for its content")
        return {"file": sha256_of(value)}
    if isinstance(found := getattr(value, "fingerprint", None), str) and found:
        return {"fingerprint": found}
    raise TypeError(
        f"{where} is a {type(value).__qualname__}, which cannot be part of a key; it may be {KINDS} "
        "with a `fingerprint` of their content"
    )


def display(value: object) -> object:
    """An argument as JSON for a person: objects by their label, files by their name, odd floats as text."""
    if type(value) in (list, tuple):
        return [display(item) for item in value]
    if type(value) is dict:
        return {name: display(item) for name, item in value.items()}
    if isinstance(value, Path):
        return value.name
    if type(value) is float and not np.isfinite(value):
        return repr(value)
    return str(getattr(value, "label", value.fingerprint)) if hasattr(value, "fingerprint") else value


def objects(value: object) -> Iterator[object]:
    """The objects with a fingerprint anywhere in an argument."""
    if type(value) in (list, tuple, dict):
        for item in value.values() if type(value) is dict else value:
            yield from objects(item)
    elif hasattr(value, "fingerprint"):
        yield value


def text(tree: object) -> str:
    """JSON in its canonical form."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key(function: str, code: str, arguments: dict[str, object]) -> str:
    """The key of a result: qualified name, one digest of all code, {argument name: canonical form}; 64 hex
    digits."""
    named = {"format": FORMAT, "function": function, "code": code, "arguments": arguments}
    return hashlib.sha256(text(named).encode()).hexdigest()
