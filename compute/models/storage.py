"""Storage formats of a matrix: how a row of D components lies in bytes, and the float32 it stands for."""

import numpy as np

STORED = {"BF16": "<u2", "F16": "<u2", "F32": "<u4"}  # element by element; every other format is by blocks


def row_layout(storage: str, dim: int) -> tuple[np.dtype, int]:
    """Returns the dtype and the number of the stored elements of one row of `dim` components.

    uint16 or uint32, one a component, for BF16, F16 and F32; uint8, the row's bytes, for the block formats of
    GGUF. Raises ValueError, naming the format, where it cannot be decoded.
    """
    if storage in STORED:
        return np.dtype(STORED[storage]), dim
    per_block, block_bytes = block_layout(storage)
    if per_block and dim % per_block == 0 and _is_decodable(storage, block_bytes):
        return np.dtype("u1"), dim // per_block * block_bytes
    raise ValueError(
        f"rows of {dim:,} stored as {storage}: this storage format is not read; "
        f"{', '.join(STORED)} are, and the block formats of GGUF that the gguf package dequantizes"
    )


def block_layout(storage: str) -> tuple[int, int]:
    """Returns the components and the bytes of one block of a GGUF format; (0, 0) for any other format."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    known = GGMLQuantizationType.__members__.get(storage)
    return (0, 0) if known is None else GGML_QUANT_SIZES[known]


def _is_decodable(storage: str, block_bytes: int) -> bool:
    """Tells whether the gguf package decodes a format, by letting it try one block of zeros."""
    try:
        _decode_blocks(np.zeros((1, block_bytes), np.uint8), storage)
    except NotImplementedError:
        return False
    return True


def decode(stored: np.ndarray, storage: str) -> np.ndarray:
    """Returns the float32 values (n, D) of rows as `row_layout` describes them: exact, in new memory.

    A bfloat16 is the upper half of a float32. NaN and infinity pass through: `weights.check_finite` judges.
    """
    with np.errstate(all="ignore"):  # a signalling NaN, or a block whose scale is infinite
        if storage == "BF16":
            return np.left_shift(stored, 16, dtype=np.uint32).view(np.float32)
        if storage == "F16":
            return stored.view("<f2").astype(np.float32)
        if storage == "F32":
            return stored.view("<f4").astype(np.float32)
        return _decode_blocks(stored, storage)


def _decode_blocks(stored: np.ndarray, storage: str) -> np.ndarray:
    from gguf import quants
    from gguf.constants import GGMLQuantizationType

    return quants.dequantize(np.ascontiguousarray(stored), GGMLQuantizationType[storage])
