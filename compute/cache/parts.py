"""A value of the cache taken apart into JSON, arrays and files, and put together again, bit for bit."""

import json
import math
import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np

from compute.integrity import sha256_of
from compute.models import safetensors_file

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    **{f"{sign}{8 * size}": np.dtype(f"<{sign.lower()}{size}") for sign in "UI" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Parts:
    """A value taken apart: `tree` for JSON, `arrays` by JSON pointer, `files` by their name in files/.

    Tuples become lists, numpy scalars Python scalars. Raises TypeError, with the place in the value, for
    what cannot be kept: complex, object and text arrays, subclasses of arrays, dicts with keys that are no
    str, files outside `workspace`.
    """

    def __init__(self, value: Mapping[str, object], workspace: Path | None):
        self._workspace = workspace and workspace.resolve()
        self.arrays: dict[str, np.ndarray] = {}
        self.files: dict[str, Path] = {}
        self.tree = self._take(value, "")
        self.text = readable(self.tree)

    def size(self) -> int:
        """Bytes of it all on disk, but for the headers."""
        arrays, files = self.arrays.values(), self.files.values()
        return len(self.text) + sum(array.nbytes for array in arrays) + sum(file.stat().st_size for file in files)

    def _take(self, value: object, pointer: str) -> object:
        if isinstance(value, np.generic) and type(number := value.item()) in (bool, int, float, str):
            value = number
        if value is None or type(value) in (bool, int, str) or type(value) is float and math.isfinite(value):
            return value
        if type(value) is float:
            return {"$float": repr(value)}
        if type(value) in (list, tuple):
            return [self._take(item, f"{pointer}/{i}") for i, item in enumerate(value)]
        if isinstance(value, dict):
            return self._take_dict(value, pointer)
        if type(value) in (np.ndarray, np.memmap):
            return self._take_array(np.asarray(value), pointer)
        if isinstance(value, Path):
            return self._take_file(value, pointer)
        raise TypeError(
            f"the value at {pointer or '/'} is a {type(value).__qualname__}, which the cache does not keep; it keeps "
            "None, bool, int, float, str, arrays, and lists and dicts of those"
        )

    def _take_dict(self, value: Mapping[str, object], pointer: str) -> dict:
        for name in value:
            if type(name) is not str:
                raise TypeError(f"the value at {pointer or '/'} has the key {name!r}; the cache keeps str keys only")
        escaped = {name: name.replace("~", "~0").replace("/", "~1") for name in value}
        tree = {name: self._take(item, f"{pointer}/{escaped[name]}") for name, item in value.items()}
        return {"$dict": tree} if len(tree) == 1 and next(iter(tree)).startswith("$") else tree

    def _take_array(self, array: np.ndarray, pointer: str) -> dict:
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if array.dtype not in NAMES or array.ndim > safetensors_file.MOST_DIMENSIONS:
            raise TypeError(
                f"the array at {pointer} has dtype {array.dtype} and {array.ndim} dimensions; the cache keeps bool, "
                f"integers and floats of 8 to 64 bits, and bfloat16, of at most {safetensors_file.MOST_DIMENSIONS}"
            )
        self.arrays[pointer] = array
        return {"$array": pointer}

    def _take_file(self, path: Path, pointer: str) -> dict:
        if self._workspace is None:
            raise TypeError(
                f"the value at {pointer} is a Path; only functions with @cached(workspace=True) return files"
            )
        real = path.resolve()
        if not real.is_relative_to(self._workspace) or not real.is_file():
            raise ValueError(f"the file at {pointer}, {path}, is not a file inside the workspace {self._workspace}")
        name = real.relative_to(self._workspace).as_posix()
        if not name.isprintable():
            raise ValueError(f"the file at {pointer} has a name that cannot be printed: {name!r}")
        self.files[name] = real
        return {"$file": name}


def readable(tree: object) -> bytes:
    """JSON with line breaks and in ASCII: tokens are hostile, and someone may open this in a terminal."""
    return (json.dumps(tree, indent=1, allow_nan=False) + "\n").encode()


def difference(one: Parts, other: Parts) -> str | None:
    """The first place where two values differ, bit for bit, in words; None if they are the same."""
    mine, others = _leaves(one), _leaves(other)
    for place in [*mine, *(place for place in others if place not in mine)]:
        if place not in mine or place not in others:
            return f"only one of them has a value at {place or '/'}"
        if mine[place] != others[place]:
            return f"they differ at {place or '/'}{_example(one.arrays.get(place), other.arrays.get(place))}"
    return None


def _leaves(parts: Parts) -> dict[str, object]:
    """{pointer: what stands there, comparable bit for bit}."""
    found: dict[str, object] = {}

    def walk(tree: object, pointer: str) -> None:
        items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
        found[pointer] = json.dumps([*tree] if isinstance(tree, dict) else len(tree) if items else tree)
        for name, item in items:
            walk(item, f"{pointer}/{name}")

    walk(parts.tree, "")
    for pointer, array in parts.arrays.items():
        found[pointer] = (array.dtype, array.shape, array.tobytes())
    for name, path in parts.files.items():
        found[f"files/{name}"] = sha256_of(path)
    return found


def _example(one: np.ndarray | None, other: np.ndarray | None) -> str:
    """The first element in which two arrays differ, in words."""
    if one is None or other is None:
        return ""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return f": {one.dtype} {one.shape} against {other.dtype} {other.shape}"
    bits = [np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}") for array in (one, other)]
    at = int(np.flatnonzero(bits[0] != bits[1])[0])
    index = tuple(int(i) for i in np.unravel_index(at, one.shape))
    return f": element {index} is {one.reshape(-1)[at]} against {other.reshape(-1)[at]}"


def put_together(tree: object, arrays: Mapping[str, np.ndarray], files: Mapping[str, Path]) -> object:
    """The value that `Parts` took apart."""
    if isinstance(tree, list):
        return [put_together(item, arrays, files) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match [*tree.items()]:
        case [("$array", str(pointer))]:
            return arrays[pointer]
        case [("$float", str(number))]:
            return float(number)
        case [("$file", str(name))]:
            return files[name]
        case [("$dict", dict(inner))]:
            tree = inner
    return {name: put_together(item, arrays, files) for name, item in tree.items()}


def safetensors(arrays: Mapping[str, np.ndarray]) -> Iterable[bytes | memoryview]:
    """The bytes of a safetensors file: wide types first, so that every array is aligned; then by name."""
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header, end = {}, 0
    for name in order:
        start, end = end, end + arrays[name].nbytes
        header[name] = {
            "dtype": NAMES[arrays[name].dtype],
            "shape": arrays[name].shape,
            "data_offsets": [start, end],
        }
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-(8 + len(raw)) % 64)
    yield len(raw).to_bytes(8, "little") + raw
    for name in order:
        yield memoryview(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8))


def views(mapped: mmap.mmap) -> dict[str, np.ndarray]:
    """{pointer: read-only view of the mapping}."""
    length = 8 + safetensors_file.header_length(mapped[:8], len(mapped))
    specs = safetensors_file.parse_header(mapped[:length], len(mapped))
    return {name: np.ndarray(at.shape, DTYPES[at.dtype], mapped, at.start) for name, at in specs.items()}
