"""Tokenizers in working order, from what lies beside a model: GGUF metadata, tokenizer.json, tiktoken ranks."""

import base64
import binascii
import json
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from compute.smoke.reachability import Encoder

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_PATTERN = QWEN_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
# The 26 special tokens of Qwen3, whose ids follow its 151,643 ranks [qwen2025qwen3].
QWEN3_SPECIAL = tuple(
    f"<|{name}|>"
    for name in (
        "endoftext im_start im_end object_ref_start object_ref_end box_start box_end quad_start quad_end vision_start "
        "vision_end vision_pad image_pad video_pad"
    ).split()
) + (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",
    "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
# GGUF's name of a pre-tokenizer: digits one by one first, pattern, normal form, whole pieces looked up before merges
PRE_TOKENIZERS = {
    "gpt-2": (False, GPT2_PATTERN, None, False),
    "default": (False, GPT2_PATTERN, None, False),
    "smollm": (True, GPT2_PATTERN, None, False),
    "starcoder": (True, GPT2_PATTERN, None, False),
    "qwen2": (False, QWEN_PATTERN, "NFC", False),
    "llama-bpe": (False, LLAMA3_PATTERN, None, True),
}


def ranks_from_tiktoken(raw: bytes) -> dict[bytes, int]:
    """Reads a .tiktoken file: a line for each token, its bytes in base64 and its rank, which is its id.

    Raises ValueError, naming the line, for one that is neither, and for a token or rank that stands twice.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(raw.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            token, rank = base64.b64decode(token, validate=True), int(rank)
        except (ValueError, binascii.Error) as error:
            raise ValueError(f"line {number}: {line[:40]!r} is no token in base64 with a rank: {error}") from error
        if token in ranks:
            raise ValueError(f"line {number}: the token {token[:40]!r} stands twice")
        ranks[token] = rank
    if len(set(ranks.values())) != len(ranks):
        raise ValueError(f"{len(ranks)} tokens share {len(set(ranks.values()))} ranks; each has one of its own")
    return ranks


def tokens_of(ranks: Mapping[bytes, int], special: Sequence[str], n_rows: int) -> list[bytes | None]:
    """The tokens of n_rows rows: those with a rank, then the special ones, then None for rows without a token."""
    tokens: list[bytes | None] = [None] * n_rows
    for token, rank in ranks.items():
        tokens[rank] = token
    for place, text in enumerate(special, start=max(ranks.values()) + 1):
        tokens[place] = text.encode()
    return tokens


def from_tiktoken(
    ranks: Mapping[bytes, int],
    special: Sequence[str],
    pattern: str = QWEN_PATTERN,
    form: str | None = "NFC",
    label: str = "tiktoken",
) -> Encoder:
    """Builds the byte-level BPE of tiktoken; the ids of the special tokens follow the ranks.

    form: the Unicode normal form that texts are brought into first, None for none.
    """
    import regex
    import tiktoken

    start = max(ranks.values()) + 1
    encoding = tiktoken.Encoding(
        label,
        pat_str=pattern,
        mergeable_ranks=dict(ranks),
        special_tokens={text: start + i for i, text in enumerate(special)},
    )
    cut, seen = regex.compile(pattern), set(special)

    def normalise(text: str) -> str:
        return unicodedata.normalize(form, text) if form else text

    def encode(texts: list[str]) -> list[list[int]]:
        return [encoding.encode(normalise(text), allowed_special=seen, disallowed_special=()) for text in texts]

    return Encoder(label, encode, normalise, cut.findall)


def from_tokenizer_json(raw: str, label: str = "tokenizer.json") -> Encoder:
    """Builds the tokenizer that a tokenizer.json describes. Raises ValueError where it is none.

    Added tokens that do not say how they are matched are matched everywhere, as they stand. What a file says of cutting
    texts off or filling them up, which is for batches of sentences, is left out.
    """
    from tokenizers import Tokenizer

    described = json.loads(raw)
    if not isinstance(described, dict) or not isinstance(described.get("model"), dict):
        raise ValueError(f"{label} has no model: not the tokenizer.json of the tokenizers library")
    described |= {"truncation": None, "padding": None}
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    described["added_tokens"] = [plain | token for token in described.get("added_tokens") or []]
    return _wrapped(Tokenizer.from_str(json.dumps(described)), label)


def from_gguf(
    tokens: Sequence[bytes], merges: Sequence[bytes], special: np.ndarray, pre: str, label: str = "gguf metadata"
) -> Encoder:
    """Builds the byte-level BPE in a GGUF file's metadata (tokenizer.ggml.model gpt2).

    tokens, merges: tokenizer.ggml.tokens and .merges; special: (N,) bool, the control tokens; pre:
    tokenizer.ggml.pre. Raises ValueError for a pre-tokenizer that is not known here, and for merges that do
    not fit the tokens.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    if pre not in PRE_TOKENIZERS:
        raise ValueError(f"the pre-tokenizer {pre!r} is not known here; there are {', '.join(PRE_TOKENIZERS)}")
    digits, pattern, form, whole = PRE_TOKENIZERS[pre]
    texts = [token.decode("utf-8") for token in tokens]
    vocabulary = {text: i for i, text in enumerate(texts)}
    pairs = [tuple(merge.decode("utf-8").split(" ", 1)) for merge in merges]
    for pair in pairs:
        if len(pair) != 2 or not {*pair, "".join(pair)} <= vocabulary.keys():
            raise ValueError(f"the merge {' '.join(pair)[:40]!r} does not join two tokens into a third")
    built = Tokenizer(BPE(vocab=vocabulary, merges=pairs, ignore_merges=whole))
    if form:
        built.normalizer = normalizers.NFC()
    first = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    cut = pre_tokenizers.Split(Regex(pattern), "isolated")
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [*first, cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    built.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text, flag in zip(texts, special, strict=True) if flag]
    )
    return _wrapped(built, label)


def _wrapped(built, label: str) -> Encoder:
    def encode(texts: list[str]) -> list[list[int]]:
        return [found.ids for found in built.encode_batch(texts, add_special_tokens=False)]

    def normalise(text: str) -> str:
        return built.normalizer.normalize_str(text) if built.normalizer else text

    def pieces(text: str) -> list[str]:
        return [piece for piece, _ in built.pre_tokenizer.pre_tokenize_str(text)] if built.pre_tokenizer else [text]

    start = encode(["a"])[0]
    if start and (built.id_to_token(start[0]) or "").startswith("\u2581"):
        return Encoder(label, _anchored(encode), normalise, pieces)
    return Encoder(label, encode, normalise, pieces)


def _anchored(encode):
    """Encodes behind another character, where a tokenizer would put a space before the first letter of a text."""
    anchor = "\u00ab"
    head = encode([anchor])[0]

    def behind(texts: list[str]) -> list[list[int]]:
        return [
            found[len(head) :] if found[: len(head)] == head else found
            for found in encode([anchor + text for text in texts])
        ]

    return behind
