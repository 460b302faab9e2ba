"""The header of CTranslate2's model.bin: a file made by hand, and files that lie."""

import struct

import numpy as np
import pytest

from compute.models import ctranslate2_file
from compute.models.ctranslate2_file import UNEMBEDDING, begins, read_header
from compute.models.safetensors_file import TensorSpec
from compute.models.weights import open_path

TYPES = {"<f4": 0, "i1": 1, "<i2": 2, "<i4": 3, "<f2": 4}
EMBEDDING = "decoder/embeddings/weight"


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def entry(name: str, array: np.ndarray) -> bytes:
    head = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
    return string(name) + head + struct.pack("<BI", TYPES[array.dtype.str.lstrip("|")], array.nbytes) + array.tobytes()


def model(tensors: dict[str, np.ndarray], aliases: dict[str, str], version: int = 6) -> bytes:
    raw = struct.pack("<I", version) + string("WhisperSpec") + struct.pack("<II", 3, len(tensors))
    raw += b"".join(entry(name, array) for name, array in tensors.items())
    return raw + struct.pack("<I", len(aliases)) + b"".join(string(a) + string(n) for a, n in aliases.items())


GAMMA = np.arange(24, dtype="<f2").reshape(8, 3)
TENSORS = {"decoder/alibi": np.zeros((), "i1"), EMBEDDING: GAMMA, "decoder/scale": np.ones(2, "<f4")}
RAW = model(TENSORS, {UNEMBEDDING: EMBEDDING})


def test_a_file_made_by_hand_is_read_tensor_by_tensor(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(RAW)
    found = read_header(path)
    start = RAW.index(GAMMA.tobytes())
    assert found[EMBEDDING] == TensorSpec("F16", (8, 3), start, start + GAMMA.nbytes) == found[UNEMBEDDING]
    assert found["decoder/alibi"].shape == () and found["decoder/scale"].dtype == "F32"


def test_the_alias_is_the_unembedding_and_its_rows_are_the_file_s(tmp_path):
    (tmp_path / "model.bin").write_bytes(RAW)
    catalogue = open_path(tmp_path / "model.bin").catalogue
    assert (catalogue.storage, catalogue.n_tokens, catalogue.dim, catalogue.tensor) == ("F16", 8, 3, UNEMBEDDING)
    assert (catalogue.matrix() == GAMMA).all()
    assert catalogue.stored().dtype == np.uint16 and (catalogue.stored().view("<f2") == GAMMA).all()


def test_a_quantized_tensor_is_an_error_that_names_its_format(tmp_path):
    (tmp_path / "model.bin").write_bytes(model({UNEMBEDDING: np.zeros((8, 3), "i1")}, {}))
    with pytest.raises(ValueError, match="I8"):
        open_path(tmp_path / "model.bin")


def test_a_missing_unembedding_is_an_error_that_says_what_is_there(tmp_path):
    (tmp_path / "model.bin").write_bytes(model({"encoder/weight": GAMMA}, {}))
    with pytest.raises(ValueError, match=r"decoder/projection/weight.*encoder/weight"):
        open_path(tmp_path / "model.bin")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (RAW[:-1], "no name"),
        (RAW + b"\0", "end at byte"),
        (RAW[:20], "ends in the middle"),
        (model(TENSORS, {"a": "b"}), "no tensor"),
        (model(TENSORS, {EMBEDDING: EMBEDDING}), "stands twice"),
        (model(TENSORS, {}, version=5), "version 5"),
        (RAW.replace(struct.pack("<II", 8, 3), struct.pack("<II", 9, 3)), "does not fill"),
        (RAW.replace(struct.pack("<II", 3, 3), struct.pack("<II", 3, 2**31)), "are believed"),
        (model({EMBEDDING: GAMMA, "decoder/b": GAMMA}, {}).replace(b"decoder/b", b"decod\xffr/b"), "no name"),
    ],
    ids=["cut", "longer", "cut early", "alias of nothing", "alias twice", "version", "too small", "too large", "odd"],
)
def test_a_header_that_lies_is_an_error_that_names_the_file(tmp_path, raw, words):
    path = tmp_path / "model.bin"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=words) as error:
        read_header(path)
    assert str(path) in str(error.value)


def test_two_tensors_of_one_name_are_refused(tmp_path):
    two = {EMBEDDING: GAMMA, "decoder/embeddings/height": GAMMA}
    (tmp_path / "model.bin").write_bytes(model(two, {}).replace(b"height", b"weight"))
    with pytest.raises(ValueError, match="stands twice"):
        read_header(tmp_path / "model.bin")


def test_every_cut_is_an_error_and_nothing_else(tmp_path):
    path = tmp_path / "model.bin"
    for length in range(len(RAW)):
        path.write_bytes(RAW[:length])
        with pytest.raises(ValueError):
            read_header(path)


def test_neither_safetensors_nor_gguf_begins_like_it():
    assert begins(RAW[:8])
    others = (struct.pack("<Q", 100_000_000), struct.pack("<Q", 6), b"GGUF\3\0\0\0", bytes(8))
    assert not any(map(begins, others))
    assert ctranslate2_file.VERSION == 6
