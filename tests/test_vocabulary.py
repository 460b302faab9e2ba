"""The tokens' bytes: the tokenizers library as authority, hand-laid tables, and tables that lie."""

import json

import numpy as np
import pytest
from golden import handmade
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from compute.models.gguf_file import parse
from compute.models.vocabulary import (
    BYTE_CHARACTERS,
    Kind,
    from_byte_level,
    from_folder,
    from_gguf,
    from_sentencepiece,
)

TEXTS = [
    "the cat sat on the mat, naïvely; ",
    "ภาษาไทย ไม่มีช่องว่าง",
    "emoji 🙂🙃 and\ttabs\nand  spaces",
    "<|notspecial|> «quoted»",
]


def test_the_table_of_byte_characters_is_the_one_of_the_tokenizers_library():
    assert set(BYTE_CHARACTERS) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(BYTE_CHARACTERS.values()) == list(range(256))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(codes), 1 << 14):  # all of Unicode: every byte that UTF-8 can hold
        text = "".join(map(chr, codes[start : start + (1 << 14)]))
        [(spelled, _)] = byte_level.pre_tokenize_str(text)
        assert from_byte_level(spelled) == text.encode()


@given(st.binary(max_size=64))
@settings(deadline=None, database=None, derandomize=True)
def test_any_bytes_survive_their_spelling(raw):
    characters = {byte: character for character, byte in BYTE_CHARACTERS.items()}
    assert from_byte_level("".join(characters[byte] for byte in raw)) == raw


def test_spellings_by_hand():
    assert from_byte_level("Ġthe") == b" the"
    assert from_byte_level("Ċ") == b"\n"
    assert from_byte_level("à¸") == b"\xe0\xb8"
    assert from_byte_level("a b") == b"a b"  # no byte-level token has a space: plain text
    assert from_sentencepiece("▁the▁") == b" the "
    assert from_sentencepiece("<0xE0>") == b"\xe0"
    assert from_sentencepiece("<0xE0>x") == b"<0xE0>x"
    assert from_sentencepiece("<0xE>") == b"<0xE>"


def _trained(kind: str) -> Tokenizer:
    """Returns a small tokenizer of the given kind, trained on a few lines."""
    if kind == "byte-level":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(add_prefix_space=False)])
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
    elif kind == "metaspace":
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
        made.decoder = decoders.Metaspace(prepend_scheme="never")
        trainer = trainers.UnigramTrainer(vocab_size=120, unk_token="<unk>", special_tokens=["<unk>"],
                                          show_progress=False)  # fmt: skip
    else:  # as Gemma's: the space is replaced before, and back behind
        alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
        made = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True))
        made.normalizer = normalizers.Replace(" ", "▁")
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=alphabet, show_progress=False)
    made.train_from_iterator(TEXTS * 3, trainer)
    return made


@pytest.mark.parametrize("kind", ["byte-level", "metaspace", "replaced"])
def test_tokens_put_together_are_the_text(kind, tmp_path):
    made = _trained(kind)
    made.add_special_tokens(["<|end|>"])
    made.add_tokens(["Ġhello world", "<0x41>!"])
    made.save(str(tmp_path / "tokenizer.json"))
    found = from_folder(tmp_path, made.get_vocab_size() + 3, "a test")
    assert found.source == "tokenizer.json"
    for text in TEXTS:
        ids = made.encode(text, add_special_tokens=False).ids
        assert b"".join(found.bytes_of(i) for i in ids).decode() == text
    end, hello = made.token_to_id("<|end|>"), made.token_to_id("Ġhello world")
    assert (found.bytes_of(end), found.kinds[end]) == (b"<|end|>", Kind.CONTROL)
    assert (found.bytes_of(hello), found.kinds[hello]) == ("Ġhello world".encode(), Kind.USER_DEFINED)
    last = made.get_vocab_size()
    assert [found.bytes_of(i) for i in range(last, last + 3)] == [None] * 3
    assert found.kinds[last:].tolist() == [Kind.NONE] * 3
    assert len(found) == last + 3 and not found.kinds.flags.writeable


def test_bytes_of_the_fallback_are_of_their_kind(tmp_path):
    _write(tmp_path, {"<0x0A>": 0, "▁a": 1}, decoder={"type": "Sequence", "decoders": [_REPLACE]})
    found = from_folder(tmp_path, 2, "a test")
    assert found.kinds.tolist() == [Kind.BYTE, Kind.NORMAL]
    assert [found.bytes_of(i) for i in range(2)] == [b"\n", b" a"]


_REPLACE = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}


def _write(folder, vocab, added=(), **more):
    table = {"model": {"type": "BPE", "vocab": vocab}, "added_tokens": list(added)} | more
    (folder / "tokenizer.json").write_text(json.dumps(table), "utf-8")


def test_a_tokenizer_of_neither_spelling_is_read_as_it_stands(tmp_path):
    _write(tmp_path, {"##ing": 0, "Ġ▁": 1})
    found = from_folder(tmp_path, 2, "a test")
    assert [found.bytes_of(i) for i in range(2)] == [b"##ing", "Ġ▁".encode()]


def test_vocab_json_is_byte_level(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"Ġthe": 1, "<|endoftext|>": 0}), "utf-8")
    found = from_folder(tmp_path, 3, "a test")
    assert found.source == "vocab.json"
    assert [found.bytes_of(i) for i in range(3)] == [b"<|endoftext|>", b" the", None]
    assert found.kinds.tolist() == [Kind.CONTROL, Kind.NORMAL, Kind.NONE]


def test_no_tokenizer_is_no_error(tmp_path):
    found = from_folder(tmp_path, 3, "a test")
    assert (found.source, len(found), found.bytes_of(2)) == ("none", 3, None)
    with pytest.raises(IndexError, match="token 3 of a test"):
        found.bytes_of(3)
    with pytest.raises(IndexError, match="token -1"):
        found.bytes_of(-1)


def test_a_token_beyond_the_last_row_is_left_out(tmp_path):
    _write(tmp_path, {"a": 0, "far": 10**15}, [{"id": 2**70, "content": "farther", "special": True}])
    assert from_folder(tmp_path, 1, "a test").tokens == (b"a",)


def test_hostile_texts_come_through_as_bytes_and_nothing_else(tmp_path):
    texts = ["<script>alert(1)</script>", "</title>", '"', "\u202e", "\0", "\ufffd", "\\frac", "**x**"]
    texts.append("\ud800")  # half a surrogate pair: JSON can spell it, UTF-8 cannot
    _write(tmp_path, {text: i for i, text in enumerate(texts)})
    found = from_folder(tmp_path, len(texts), "a test")
    assert list(found.tokens) == [text.encode("utf-8", "surrogatepass") for text in texts]


TABLES_THAT_LIE = {
    "empty file": (b"", "not valid JSON"),
    "a list": (b"[]", "JSON list"),
    "not UTF-8": (b"\xff", "not UTF-8"),
    "deep": (b'{"model":' + b"[" * 100_000, "nested too deeply"),
    "no model": (b"{}", "no model"),
    "added no list": (b'{"model": {"vocab": {}}, "added_tokens": {"a": 1}}', "no list"),
    "no vocab": (b'{"model": {}}', "neither a table nor a list"),
    "a token twice": (b'{"model": {"vocab": {"a": 0, "a": 1}}}', "stands twice"),
    "id below 0": (b'{"model": {"vocab": {"a": -1}}}', "id -1"),
    "id a fraction": (b'{"model": {"vocab": {"a": 0.5}}}', "id 0.5"),
    "id true": (b'{"model": {"vocab": {"a": true}}}', "id True"),
    "id a text": (b'{"model": {"vocab": {"a": "0"}}}', "id '0'"),
    "list of numbers": (b'{"model": {"vocab": [1, 2]}}', "token's text was expected"),
    "list of nothing": (b'{"model": {"vocab": [[]]}}', "token's text was expected"),
    "added a text": (b'{"model": {"vocab": {}}, "added_tokens": ["a"]}', "has no content"),
    "added without content": (b'{"model": {"vocab": {}}, "added_tokens": [{"id": 0}]}', "has no content"),
    "added number": (b'{"model": {"vocab": {}}, "added_tokens": [{"id": 0, "content": 3}]}', "has no content"),
    "added without id": (b'{"model": {"vocab": {}}, "added_tokens": [{"content": "a"}]}', "id None"),
}


@pytest.mark.parametrize("what", TABLES_THAT_LIE)
def test_a_tokenizer_that_lies_is_refused_with_its_lie(what, tmp_path):
    raw, complaint = TABLES_THAT_LIE[what]
    (tmp_path / "tokenizer.json").write_bytes(raw)
    with pytest.raises(ValueError, match=complaint) as refusal:
        from_folder(tmp_path, 4, "a test")
    assert "tokenizer.json" in str(refusal.value)


def test_a_tokenizer_of_terabytes_is_refused_unread(tmp_path):
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="bytes long"):
        from_folder(tmp_path, 4, "a test")


def _metadata(tokens, kinds, model="gpt2") -> dict:
    raw = handmade.gguf(handmade.vocabulary(tokens, kinds, model), {})
    return parse(raw, len(raw)).metadata


def test_gguf_spellings_and_kinds():
    found = from_gguf(_metadata(["<|x|>", "Ġa", "Ġb", b"\xff\xfe", "Ġc"], [3, 1, 4, 1, 0]), 6, "a test")
    assert found.source == "gguf metadata"
    assert list(found.tokens) == [b"<|x|>", b" a", "Ġb".encode(), b"\xff\xfe", b" c", None]
    assert found.kinds.tolist() == [3, 1, 4, 1, 1, 0]
    found = from_gguf(_metadata(["<unk>", "▁a", "<0x0A>", "▁u"], [2, 1, 6, 5], "llama"), 4, "a test")
    assert list(found.tokens) == [b"<unk>", b" a", b"\n", b" u"]
    assert found.kinds.tolist() == [Kind.UNKNOWN, Kind.NORMAL, Kind.BYTE, Kind.UNUSED]


def test_rows_that_a_converter_filled_up_have_no_token():
    found = from_gguf(_metadata(["a", "[PAD1]", "[PAD9]", "[PAD3]"], [1, 5, 5, 1]), 4, "a test")
    assert list(found.tokens) == [b"a", None, b"[PAD9]", b"[PAD3]"]
    assert found.kinds.tolist() == [Kind.NORMAL, Kind.NONE, Kind.UNUSED, Kind.NORMAL]


def test_gguf_without_kinds_without_tokens_and_of_an_unknown_spelling():
    metadata = _metadata(["a"], [1])
    del metadata["tokenizer.ggml.token_type"]
    assert from_gguf(metadata, 1, "a test").kinds.tolist() == [Kind.NORMAL]
    assert from_gguf({}, 1, "a test").source == "none"
    assert from_gguf(_metadata(["a"], [1], "rwkv"), 1, "a test").source == "none"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tokenizer.ggml.tokens": "abc"}, "array of strings"),
        ({"tokenizer.ggml.tokens": np.arange(3)}, "array of strings"),
        ({"tokenizer.ggml.token_type": np.ones(2, np.int32)}, "array of 3 integers"),
        ({"tokenizer.ggml.token_type": np.ones(3, np.float32)}, "array of 3 integers"),
        ({"tokenizer.ggml.token_type": [b"1"] * 3}, "array of 3 integers"),
        ({"tokenizer.ggml.token_type": np.array([1, 1, 7])}, "from 1 to 7"),
        ({"tokenizer.ggml.token_type": np.array([1, -1, 1])}, "from -1 to 1"),
    ],
)
def test_gguf_metadata_that_lie(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        from_gguf(_metadata(["a", "b", "c"], [1, 1, 1]) | change, 3, "a test")


def test_fingerprint_is_of_the_contents():
    def of(tokens, kinds, label="a"):
        return from_gguf(_metadata(tokens, kinds), len(tokens), label).fingerprint

    reference = of(["ab", "c"], [1, 1])
    assert of(["ab", "c"], [1, 1], label="b") == reference
    others = [of(["a", "bc"], [1, 1]), of(["ab", "c"], [1, 3]), of(["ab", "c", ""], [1, 1, 1])]
    assert len({reference, *others}) == 4
