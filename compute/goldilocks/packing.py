"""What a run shows of its dead tokens, made small for the disk and opened again.

Integers are split into the planes of their bytes (most high bytes are zero) and deflated; `ROUNDED` arrays
are stored as bfloat16, which is enough for a direction; everything else stays as it is. Integers come back
exactly. Chapter: Goldilocks.
"""

import zlib

import ml_dtypes
import numpy as np

ROUNDED = ("mean_h", "dead_pull", "adam_direction")  # (windows, D) float32; cosines of them keep four digits


def packed(arrays: dict) -> dict:
    """Return the arrays with every integer array deflated: {name: array or number, or {bytes, dtype, shape}}."""
    small = {}
    for name, array in arrays.items():
        if name in ROUNDED:
            small[name] = array.astype(ml_dtypes.bfloat16)
        elif isinstance(array, np.ndarray) and array.dtype.kind in "iu":
            planes = np.ascontiguousarray(array).reshape(-1, 1).view(np.uint8).T
            deflated = np.frombuffer(zlib.compress(planes.tobytes(), 9), np.uint8)
            small[name] = {"bytes": deflated, "dtype": array.dtype.name, "shape": list(array.shape)}
        else:
            small[name] = array
    return small


def unpacked(small: dict) -> dict:
    """Return the arrays that `packed` made small; those of `ROUNDED` as float32.

    Raises ValueError where the bytes do not fill the array that they are said to be.
    """
    arrays = {}
    for name, found in small.items():
        if not isinstance(found, dict):
            arrays[name] = found.astype(np.float32) if name in ROUNDED else found
            continue
        dtype, shape = np.dtype(found["dtype"]), tuple(found["shape"])
        planes = np.frombuffer(zlib.decompress(np.asarray(found["bytes"]).tobytes()), np.uint8)
        if planes.size != dtype.itemsize * int(np.prod(shape, dtype=int)):
            raise ValueError(f"{name}: {planes.size} bytes are no {dtype} array {shape}; compute the run again")
        arrays[name] = np.ascontiguousarray(planes.reshape(dtype.itemsize, -1).T).view(dtype).reshape(shape)
    return arrays
