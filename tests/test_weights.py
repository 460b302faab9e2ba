"""Catalogues: exact values of every storage format, in bounded memory, and the default model against its authority."""

import dataclasses
import time
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from gguf import quants
from gguf.constants import GGMLQuantizationType
from golden import handmade
from golden.handmade import HEAD, bits, lone, values

from compute.models import weights
from compute.models.weights import open_path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))


def test_golden_files():
    catalogue = open_path(handmade.HERE / "three-tokens.safetensors").catalogue
    assert (catalogue.n_tokens, catalogue.dim, catalogue.storage) == (3, 2, "BF16")
    assert (catalogue.tensor, catalogue.label) == ("lm_head.weight", "three-tokens.safetensors")
    assert catalogue.stored().tobytes() == handmade.GOLDEN_BITS
    assert np.array_equal(catalogue.matrix(), np.array(handmade.GOLDEN_ROWS, np.float32))
    assert np.signbit(catalogue.matrix()[1, 1])
    model = open_path(handmade.HERE / "two-tokens.gguf", label="golden", card={"licence": "MIT"})
    expected = [[scale * value for value in row] for scale, row in handmade.GOLDEN_BLOCKS]
    assert model.catalogue.matrix().tolist() == expected
    assert model.catalogue.stored_shape == (2, 34) and model.catalogue.storage == "Q8_0"
    assert [model.vocabulary.bytes_of(i) for i in range(2)] == [b"<|end|>", b" the"]
    assert (model.catalogue.label, model.card) == ("golden", {"licence": "MIT"})


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_every_pattern_of_sixteen_bits(dtype, tmp_path):
    patterns = np.arange(65_536, dtype=np.uint16).reshape(1024, 64)
    authority = ml_dtypes.bfloat16 if dtype == "BF16" else np.float16
    catalogue = open_path(lone(tmp_path / "a.safetensors", "lm_head.weight", dtype, patterns)).catalogue
    with np.errstate(invalid="ignore"):
        expected = patterns.view(authority).astype(np.float32)
    found = catalogue.matrix()
    is_number = ~np.isnan(expected)
    assert np.array_equal(found.view(np.uint32)[is_number], expected.view(np.uint32)[is_number])
    assert np.array_equal(np.isnan(found), ~is_number)
    assert np.array_equal(catalogue.stored(), patterns)


def test_float32_comes_through_bit_for_bit(tmp_path):
    patterns = np.random.default_rng(3).integers(0, 2**32, (100, 16), dtype=np.uint32)
    catalogue = open_path(lone(tmp_path / "a.safetensors", "lm_head.weight", "F32", patterns)).catalogue
    assert np.array_equal(catalogue.block(0, 100).view(np.uint32), patterns)
    catalogue.block(0, 100)[:] = 0  # ours to change, not the file's
    assert np.array_equal(catalogue.block(0, 100).view(np.uint32), patterns)
    assert catalogue.stored().dtype == np.uint32


BLOCK_FORMATS = [name for name in GGMLQuantizationType.__members__ if name not in ("F32", "F16", "BF16")]


@pytest.mark.parametrize("storage", BLOCK_FORMATS)
def test_every_block_format_is_decoded_as_the_gguf_package_does_or_refused(storage, tmp_path, monkeypatch):
    kind = GGMLQuantizationType[storage]
    monkeypatch.setitem(handmade.GGML, storage, kind)
    per_block, block_bytes = weights.storage.block_layout(storage)
    generator = np.random.default_rng(5)
    dim = per_block * 2 if per_block > 1 else 64
    stored = generator.integers(0, 256, (40, dim // per_block * block_bytes), dtype=np.uint8)
    path = tmp_path / "a.gguf"
    path.write_bytes(handmade.gguf([], {"output.weight": (storage, (40, dim), stored.tobytes())}))
    with np.errstate(all="ignore"):
        try:
            expected = quants.dequantize(stored, kind)
        except NotImplementedError:
            with pytest.raises(ValueError, match=f"stored as {storage}: this storage format is not read"):
                open_path(path)
            return
    catalogue = open_path(path).catalogue
    assert np.array_equal(catalogue.matrix(), expected, equal_nan=True)
    assert np.array_equal(catalogue.rows([39, 0]), expected[[39, 0]], equal_nan=True)
    assert np.array_equal(catalogue.stored(), stored)


def test_blocks_rows_and_matrix_agree_and_the_file_is_safe_from_them(tmp_path):
    stored = bits(1000, 8)
    catalogue = open_path(lone(tmp_path / "a.safetensors", "lm_head.weight", "BF16", stored)).catalogue
    whole = values(stored)
    assert np.array_equal(catalogue.matrix(), whole)
    starts, blocks = zip(*catalogue.blocks(rows=300), strict=True)
    assert starts == (0, 300, 600, 900)
    assert np.array_equal(np.concatenate(blocks), whole)
    assert np.array_equal(catalogue.rows(np.array([999, 3, 3])), whole[[999, 3, 3]])
    assert catalogue.rows([]).shape == (0, 8)
    assert np.array_equal(catalogue.stored(10, 20), stored[10:20])
    block = catalogue.block(0, 10)
    block += 1  # ours to change
    assert np.array_equal(catalogue.block(0, 10), whole[:10])
    with pytest.raises(ValueError, match="read-only"):
        catalogue.stored()[0, 0] = 1
    for attempt in (lambda: catalogue.block(-1, 5), lambda: catalogue.block(0, 1001), lambda: catalogue.block(5, 4)):
        with pytest.raises(IndexError, match="which has 1,000"):
            attempt()
    for ids in ([-1], [1000]):
        with pytest.raises(IndexError, match="which has 1,000"):
            catalogue.rows(ids)
    with pytest.raises(TypeError):
        catalogue.rows([0.5])


def test_no_float32_copy_of_the_whole_is_made(tmp_path):
    stored = bits(20_000, 64)  # 2.6 MB; 5.1 MB as float32
    catalogue = open_path(lone(tmp_path / "a.safetensors", HEAD, "BF16", stored)).catalogue
    tracemalloc.start()
    try:
        weights.check(catalogue)
        total = sum(float(block.sum()) for _, block in catalogue.blocks(rows=1000))
        assert len(catalogue.fingerprint) == 64
        assert tracemalloc.get_traced_memory()[1] < 2_500_000
    finally:
        tracemalloc.stop()
    assert total == pytest.approx(float(values(stored).sum(dtype=np.float64)), abs=0.1)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_a_tensor_at_an_odd_place_is_read_all_the_same(dtype, tmp_path):
    elements = np.arange(1, 61, dtype={"F32": "<u4"}.get(dtype, "<u2")).reshape(20, 3)
    path = tmp_path / "odd.safetensors"
    for extra in range(4):
        tensors = {"pad": ("U8", [extra], bytes(extra)), "lm_head.weight": (dtype, (20, 3), elements.tobytes())}
        path.write_bytes(handmade.safetensors(tensors))
        catalogue = open_path(path).catalogue
        assert np.array_equal(catalogue.stored(), elements)
        assert catalogue.matrix().shape == (20, 3)
        assert len(catalogue.fingerprint) == 64


@pytest.mark.parametrize("shape", [(3, 4), (4, 4)])
def test_fewer_rows_than_components_open_but_do_not_pass(shape, tmp_path):
    catalogue = open_path(lone(tmp_path / "a.safetensors", HEAD, "BF16", bits(*shape))).catalogue
    with pytest.raises(ValueError, match=f"N = {shape[0]} rows of D = 4"):
        weights.check(catalogue)
    weights.check_finite(catalogue)


@pytest.mark.parametrize("pattern", [0x7F80, 0xFF80, 0x7FC0, 0x7F81])
def test_rows_that_are_not_finite_are_counted_and_named(pattern, tmp_path):
    stored = bits(9000, 4)
    weights.check(open_path(lone(tmp_path / "good.safetensors", HEAD, "BF16", stored)).catalogue)
    stored[[4097, 8999], [0, 3]] = pattern
    stored[4097, 1] = pattern
    catalogue = open_path(lone(tmp_path / "bad.safetensors", HEAD, "BF16", stored)).catalogue
    with pytest.raises(ValueError, match="2 of 9,000 rows hold NaN or infinity, the first is row 4,097"):
        weights.check(catalogue)


def test_a_block_with_an_infinite_scale_is_not_finite(tmp_path):
    blocks = [handmade.q8_block(1.0, range(32)) for _ in range(40)]
    blocks[7] = b"\x00\x7c" + blocks[7][2:]
    path = tmp_path / "a.gguf"
    path.write_bytes(handmade.gguf([], {"output.weight": ("Q8_0", (40, 32), b"".join(blocks))}))
    with pytest.raises(ValueError, match="1 of 40 rows .* first is row 7"):
        weights.check(open_path(path).catalogue)


def test_catalogue_cannot_be_changed_by_accident(tmp_path):
    catalogue = open_path(lone(tmp_path / "a.safetensors", HEAD, "BF16", bits(9, 2))).catalogue
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalogue.dim = 3


def test_default_model_against_the_gguf_package(smollm2):
    catalogue = smollm2.catalogue
    assert (catalogue.n_tokens, catalogue.dim, catalogue.storage) == (49_152, 576, "Q8_0")
    assert catalogue.tensor == "token_embd.weight"
    stored = np.fromfile(catalogue.path, np.uint8, catalogue.stored().nbytes, offset=catalogue.offset)
    expected = quants.dequantize(stored.reshape(49_152, -1), GGMLQuantizationType.Q8_0)
    assert np.array_equal(catalogue.matrix(), expected)
    weights.check(catalogue)


def test_default_model_s_fingerprint_takes_a_tenth_of_a_second(smollm2):
    best = min(_seconds(smollm2.catalogue._hash) for _ in range(3))
    assert best < 0.1


def _seconds(call) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def test_default_model_s_tokens(smollm2):
    vocabulary = smollm2.vocabulary
    assert len(vocabulary) == 49_152 and vocabulary.source == "gguf metadata"
    assert [vocabulary.bytes_of(i) for i in (0, 17, 260)] == [b"<|endoftext|>", b"!", b" the"]
    assert np.bincount(vocabulary.kinds).tolist() == [0, 49_135, 0, 17]
    lone_bytes = {vocabulary.bytes_of(i) for i in range(17, 273)}
    assert sum(len(token) == 1 for token in lone_bytes) >= 200
