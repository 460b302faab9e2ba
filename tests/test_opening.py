"""Opening a model: from every place it can lie in, the one tensor and nothing else, or a clear refusal."""

import json
import os
import struct
import time
import tracemalloc

import numpy as np
import pytest
from golden import handmade
from golden.handmade import HEAD, INPUT, bf16, bits, folder, plain_hash, values

from compute.models import checkpoint, weights
from compute.models.weights import open_path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))


def test_only_the_one_shard_is_needed(tmp_path):
    head = bits(50, 4)
    shards = {
        "model-00001-of-00003.safetensors": {INPUT: bits(50, 4, seed=1)},
        "model-00002-of-00003.safetensors": {"model.layers.0.weight": bits(9, 9)},
        "model-00003-of-00003.safetensors": {"model.norm.weight": bits(4), HEAD: head},
    }
    path = folder(tmp_path / "sharded", {"tie_word_embeddings": False}, shards)
    (path / "model-00001-of-00003.safetensors").unlink()
    (path / "model-00002-of-00003.safetensors").write_bytes(b"ruined")
    catalogue = open_path(path).catalogue
    assert np.array_equal(catalogue.stored(), head)
    assert catalogue.label == "sharded"
    with pytest.raises(FileNotFoundError, match=f"{INPUT} lies in model-00001-of-00003.safetensors"):
        open_path(path, tensor=INPUT)


def test_only_the_tensor_s_bytes_are_mapped_and_read(tmp_path):
    """A tensor of 8 KB in a file of one terabyte, which is a hole that nobody can read in the time given."""
    stored, hole = bits(1000, 4), 1 << 40
    header = json.dumps({
        "before": {"dtype": "U8", "shape": [hole], "data_offsets": [0, hole]},
        HEAD: {"dtype": "BF16", "shape": [1000, 4], "data_offsets": [hole, hole + 8000]},
        "behind": {"dtype": "U8", "shape": [hole], "data_offsets": [hole + 8000, 2 * hole + 8000]},
    })  # fmt: skip
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as file:
        head = handmade.with_header(header)
        file.write(head)
        file.seek(len(head) + hole)
        file.write(stored.tobytes())
        file.truncate(len(head) + 2 * hole + 8000)
    begin = time.process_time()
    tracemalloc.start()
    try:
        catalogue = open_path(path).catalogue
        assert np.array_equal(catalogue.matrix(), values(stored))
        assert catalogue.fingerprint == plain_hash("BF16", stored)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    mapped = catalogue.stored()
    while isinstance(mapped, np.ndarray):
        mapped = mapped.base
    assert len(mapped) < 8000 + 65_536  # the map begins at a page's border
    assert time.process_time() - begin < 5


def test_a_snapshot_of_the_hub_s_own_cache_is_links_and_opens(tmp_path):
    real = folder(tmp_path / "blobs", {}, {checkpoint.SINGLE: {HEAD: bits(9, 4)}})
    (tmp_path / "snapshot").mkdir()
    for name in ("config.json", checkpoint.SINGLE):
        (tmp_path / "snapshot" / name).symlink_to(real / name)
    assert open_path(tmp_path / "snapshot").catalogue.n_tokens == 9


def test_a_tensor_is_named_by_hand(tmp_path):
    tensors = {"enc.table": bf16(bits(30, 4)), "enc.small": bf16(bits(2, 4)), "enc.bias": bf16(bits(5))}
    path = tmp_path / "odd.safetensors"
    path.write_bytes(handmade.safetensors(tensors))
    model = open_path(path, tensor="enc.table")
    assert (model.catalogue.label, model.catalogue.n_tokens) == ("odd.safetensors#enc.table", 30)
    with pytest.raises(ValueError, match=r"#tensor.name.*2 matrices: 'enc.table' \[30, 4\], 'enc.small' \[2, 4\]"):
        open_path(path)
    with pytest.raises(ValueError, match="no tensor 'nothing'.*2 matrices"):
        open_path(path, tensor="nothing")
    with pytest.raises(ValueError, match=r"shape \[5\]; a matrix"):
        open_path(path, tensor="enc.bias")


def test_the_tokenizer_beside_the_weights_is_read(tmp_path):
    path = folder(tmp_path / "model", {}, {checkpoint.SINGLE: {HEAD: bits(3, 2)}})
    assert open_path(path).vocabulary.source == "none"
    table = {"model": {"vocab": {"Ġthe": 0, "a": 1}}, "decoder": {"type": "ByteLevel"}}
    (path / "tokenizer.json").write_text(json.dumps(table))
    for found in (open_path(path), open_path(path / checkpoint.SINGLE)):
        assert list(found.vocabulary.tokens) == [b" the", b"a", None]


def test_gguf_with_its_own_output_matrix(tmp_path):
    tensors = ["token_embd.weight", "output.weight"]
    both = {name: ("F32", (2, 1), struct.pack("<2f", i, i)) for i, name in enumerate(tensors)}
    path = tmp_path / "a.gguf"
    path.write_bytes(handmade.gguf([], both))
    assert open_path(path).catalogue.matrix().tolist() == [[1], [1]]
    assert open_path(path, tensor="token_embd.weight").catalogue.matrix().tolist() == [[0], [0]]
    path.write_bytes(handmade.gguf([], {"blk.0.weight": both["output.weight"]}))
    with pytest.raises(ValueError, match="no tensor 'token_embd.weight'.*1 matrices: 'blk.0.weight'"):
        open_path(path)


def test_open_model_takes_its_name_from_the_call_then_the_environment_then_the_default(monkeypatch):
    from compute.models import sources

    asked = []

    def locate(name):
        asked.append(name)
        path = handmade.HERE / "three-tokens.safetensors"
        return sources.Located(path, "a label", {"source": "here"}, HEAD)

    monkeypatch.setattr(sources, "locate", locate)
    monkeypatch.delenv("AZIMUTH_MODEL", raising=False)
    model = weights.open_model()
    monkeypatch.setenv("AZIMUTH_MODEL", "from/environment")
    weights.open_model()
    weights.open_model("by-call")
    assert asked == ["smollm2", "from/environment", "by-call"]
    assert (model.catalogue.label, model.card) == ("a label", {"source": "here"})


def test_places_that_hold_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model at"):
        open_path(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no config.json in .* it holds nothing"):
        open_path(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"neither model.safetensors nor .*index.json in .* config.json"):
        open_path(tmp_path / "empty")
    (tmp_path / "hollow").touch()
    with pytest.raises(ValueError, match="too short"):
        open_path(tmp_path / "hollow")
    os.mkfifo(tmp_path / "pipe")  # to read it would be to wait for ever
    with pytest.raises(ValueError, match="neither a folder nor a regular file"):
        open_path(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("dtype", "shape", "length", "complaint"),
    [
        ("F64", [3, 2], 48, "stored as F64: this storage format is not read"),
        ("F8_E4M3", [3, 2], 6, "stored as F8_E4M3"),
        ("I8", [3, 2], 6, "stored as I8"),
        ("Q9_Z", [3, 2], 6, "stored as Q9_Z"),
        ("BF16", [6], 12, "a matrix"),
        ("BF16", [3, 2, 1], 12, "a matrix"),
        ("BF16", [], 2, "a matrix"),
        ("BF16", [0, 2], 0, "a matrix"),
        ("BF16", [3, 0], 0, "a matrix"),
    ],
)
def test_a_tensor_that_cannot_be_a_catalogue(dtype, shape, length, complaint, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(handmade.safetensors({HEAD: (dtype, shape, bytes(length))}))
    with pytest.raises(ValueError, match=complaint):
        open_path(path)


@pytest.mark.parametrize("shape", [[1 << 40, 1], [1 << 25, 1], [2, 1 << 17]])
def test_a_shape_beyond_belief_is_refused_before_anything_is_allocated(shape, tmp_path):
    length = 2 * shape[0] * shape[1]
    header = json.dumps({HEAD: {"dtype": "BF16", "shape": shape, "data_offsets": [0, length]}})
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as file:
        file.write(handmade.with_header(header))
        file.truncate(file.tell() + length)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="are believed"):
            open_path(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
