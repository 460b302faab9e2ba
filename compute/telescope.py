"""The plate of the telescope: what is known of every token, packed into one script that a page loads from the disk.

A page opened from a file may not fetch, but it may load scripts; so the plate is a script that holds one text. What is
in it, from outside to inside:

    script      UTF-16 with its byte order mark, `azimuthPlate = [bytes, text]`; each character of the text carries 15
                bits, the lowest first, as U+3400 + bits: 16 bits of file for 15 of content, and nothing to escape
    deflate     zlib's, which every browser undoes (DecompressionStream)
    container   length of the header (uint32), header (JSON), and the arrays that it lists, each as its byte planes: all
                lowest bytes, then all second ones, so that planes of zeros cost nothing and N may exceed 65,536

Neighbours are named by their rank in popularity, which is what makes them small: few tokens are neighbour to many.
Quantities on a line (norms, coordinates) are kept in 8,191 steps of their range, distances in steps of 0.2 %, so that
what the page shows is within half a step. Chapter: The telescope.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

FORMAT = 1
STEPS = 8_191  # of a quantity's range: what four digits can tell, in 13 bits
LOG_STEP = 0.002  # of a distance: natural logarithm
FIRST = 0x3400  # U+3400 to U+B3FF: printable, no surrogate, no quotation mark, no line end
BITS = 15
ORDER = 1 << np.arange(BITS, dtype=np.uint16)


@dataclass(frozen=True, eq=False)
class Company:
    """The k nearest of each token in one space, nearest first."""

    ids: np.ndarray  # int (N, k)
    distances: np.ndarray  # float (N, k), ascending in each row, in the space's unit
    unit: str


@dataclass(frozen=True, eq=False)
class Plate:
    """All that the telescope shows."""

    label: str  # the model's
    texts: Sequence[str]  # N, visible and harmless forms without line ends (`tokens.display`)
    script: Sequence[str]  # N, as Unicode names it, or what kind of token it is
    hole: np.ndarray  # int (N,), the black hole that a token is a member of, -1 outside
    coordinates: np.ndarray  # float (N, 3), on the first three axes, gamma units
    measures: Mapping[str, np.ndarray]  # {name: float (N,)}: raw, centred, causal norm
    company: Mapping[str, Company]  # {space: the neighbours there}
    examples: Sequence[int] = field(default=())  # ids worth a look


def pack(plate: Plate) -> bytes:
    """Returns a plate as deflated bytes. Raises ValueError where its parts do not fit together."""
    count = len(plate.texts)
    arrays = {"texts": np.frombuffer("\n".join(plate.texts).encode(), np.uint8)}
    header = {"format": FORMAT, "count": count, "label": plate.label, "examples": [int(i) for i in plate.examples]}
    if len("\n".join(plate.texts).split("\n")) != count:
        raise ValueError("a token's text holds a line end; tokens.display makes texts without")
    header["scripts"] = sorted(set(plate.script))
    arrays["script"] = np.searchsorted(header["scripts"], plate.script).astype(np.uint16)
    arrays["hole"] = (np.asarray(plate.hole) + 1).astype(np.uint32)  # 0: in none
    lines = {f"axis {1 + axis}": values for axis, values in enumerate(plate.coordinates.T)} | dict(plate.measures)
    header["scales"] = {}
    for name, values in lines.items():
        arrays[name], header["scales"][name] = _on_a_line(values)
    header["spaces"] = {}
    for space, near in plate.company.items():
        for name, values in _company(near, count).items():
            arrays[f"{space} {name}"] = values
        header["spaces"][space] = {"unit": near.unit, "k": near.ids.shape[1], "low": _nearest(near), "step": LOG_STEP}
    wrong = {name: len(array) for name, array in arrays.items() if name != "texts" and len(array) % max(count, 1)}
    if wrong:
        raise ValueError(f"a plate of {count:,} tokens, but these have another length: {wrong}")
    return zlib.compress(_contained(header, arrays), 9)


def unpack(packed: bytes) -> Plate:
    """Returns what a page sees of a plate: the inverse of `pack`, up to the steps. Raises ValueError, zlib.error."""
    header, arrays = _opened(zlib.decompress(packed))
    count = header["count"]
    lines = {name: low + step * arrays[name] for name, (low, step) in header["scales"].items()}
    company = {}
    for space, known in header["spaces"].items():
        order = _by_popularity(arrays[f"{space} popularity"])
        levels = np.cumsum(arrays[f"{space} levels"].reshape(count, known["k"]).astype(np.int64), axis=1)  # (N, k)
        distances = np.where(levels == 0, 0.0, known["low"] * np.exp((levels - 1.0) * known["step"]))
        ids = order[arrays[f"{space} ranks"]].reshape(count, known["k"])
        company[space] = Company(ids, distances, known["unit"])
    return Plate(
        label=header["label"],
        texts=arrays["texts"].tobytes().decode().split("\n") if count else [],
        script=[header["scripts"][i] for i in arrays["script"]],
        hole=arrays["hole"].astype(np.int64) - 1,
        coordinates=np.stack([lines.pop(f"axis {axis}") for axis in (1, 2, 3)], axis=1),  # (N, 3)
        measures=lines,
        company=company,
        examples=header["examples"],
    )


def as_script(packed: bytes) -> bytes:
    """Returns the JavaScript file that carries some bytes to a page, UTF-16."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
    bits = np.append(bits, np.zeros(-len(bits) % BITS, np.uint8)).reshape(-1, BITS)  # (characters, 15)
    characters = (FIRST + bits @ ORDER).astype("<u2").tobytes()
    return _script_text(f'globalThis.azimuthPlate = [{len(packed)}, "') + characters + _script_text('"];\n')[2:]


def from_script(script: bytes) -> bytes:
    """Returns the bytes that `as_script` was given."""
    count, _, text = script.decode("utf-16").partition("[")[2].partition(', "')
    values = np.frombuffer(text.rpartition('"')[0].encode("utf-16-le"), "<u2") - FIRST  # (characters,)
    bits = (values[:, None] & ORDER > 0).astype(np.uint8)  # (characters, 15)
    return np.packbits(bits.ravel(), bitorder="little").tobytes()[: int(count)]


def _script_text(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le")


def _on_a_line(values: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Values (N,) as steps uint16 above the lowest, with the lowest and the size of a step."""
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} values are not finite and have no place on the plate")
    low = float(np.min(values, initial=np.inf)) if len(values) else 0.0
    step = (float(np.max(values, initial=low)) - low) / STEPS or 1.0
    return np.round((values - low) / step).astype(np.uint16), [low, step]


def _nearest(near: Company) -> float:
    """The smallest distance that is not 0, from which the steps count; 1 where there is none."""
    return float(np.min(near.distances, where=near.distances > 0, initial=np.inf)) if near.distances.any() else 1.0


def _company(near: Company, count: int) -> dict[str, np.ndarray]:
    """Neighbours as popularity (N,), ranks (N k,) and levels of distance (N k,), each the step up from the one before.

    Level 0 is the distance 0, level 1 the smallest other one of the space.
    """
    ids, distances = np.asarray(near.ids), np.asarray(near.distances, dtype=np.float64)
    alike = ids.shape == distances.shape and ids.shape[:1] == (count,)
    if not alike or (ids.size and not 0 <= ids.min() <= ids.max() < count):
        raise ValueError(f"neighbours {ids.shape} and distances {distances.shape} do not speak of {count:,} tokens")
    if not np.isfinite(distances).all() or (np.diff(distances, axis=1, prepend=0) < 0).any():
        raise ValueError("distances must be finite, not negative, and ascending in each row")
    popularity = np.bincount(ids.ravel(), minlength=count).astype(np.uint32)  # (N,)
    rank = np.empty(count, np.uint32)
    rank[_by_popularity(popularity)] = np.arange(count, dtype=np.uint32)
    ratio = np.log(distances / _nearest(near), out=np.zeros_like(distances), where=distances > 0)  # (N, k)
    levels = np.where(distances > 0, 1 + np.round(ratio / LOG_STEP), 0).astype(np.int64)
    steps = np.diff(levels, axis=1, prepend=0).astype(np.uint32)  # (N, k)
    return {"popularity": popularity, "ranks": rank[ids].ravel(), "levels": steps.ravel()}


def _by_popularity(popularity: np.ndarray) -> np.ndarray:
    """The ids from the most popular to the least; of equals, the lowest id first."""
    return np.argsort(-popularity.astype(np.int64), kind="stable")


def _contained(header: dict, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Header and arrays in one piece."""
    listed = header | {"arrays": [[name, array.itemsize, array.size] for name, array in arrays.items()]}
    text = json.dumps(listed, ensure_ascii=False).encode()
    planes = [
        array.astype(f"<u{array.itemsize}").view(np.uint8).reshape(-1, array.itemsize).T.tobytes()
        for array in arrays.values()
    ]
    return b"".join([len(text).to_bytes(4, "little"), text, *planes])


def _opened(content: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and arrays taken apart again. Raises ValueError for another format."""
    start = 4 + int.from_bytes(content[:4], "little")
    header, arrays = json.loads(content[4:start]), {}
    if header["format"] != FORMAT:
        raise ValueError(f"a plate of format {header['format']}; this reads {FORMAT}")
    for name, width, size in header["arrays"]:
        planes = np.frombuffer(content, np.uint8, width * size, start).reshape(width, size)
        arrays[name] = np.ascontiguousarray(planes.T).view(f"<u{width}").ravel()
        start += width * size
    return header, arrays
