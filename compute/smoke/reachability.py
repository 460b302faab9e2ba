"""Which tokens a tokenizer can ever produce: encode(decode(id)) == [id], and why not where it is not so.

A token whose own text is encoded to something else can enter a model's training data only inside a longer
text, and for most of them no such text exists either: `cause` says which rule stands in the way. Chapter: The
frozen smoke.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from compute.smoke.scripts import form_of

CAUSES = ("reachable", "no token", "single byte", "UTF-8 fragment", "normalisation", "pre-tokenizer", "merges")


@dataclass(frozen=True, eq=False)
class Encoder:
    """A tokenizer as far as the test needs it; `compute.smoke.encoders` builds them."""

    label: str
    encode: Callable[[list[str]], list[list[int]]]  # a batch of texts to their token ids; special tokens are seen
    normalise: Callable[[str], str]  # what happens to a text first, such as Unicode's form C
    pieces: Callable[[str], list[str]]  # the pieces that a normalised text is cut into before any merge


@dataclass(frozen=True, eq=False)
class Reachability:
    """What became of each of N tokens on its way to text and back."""

    cause: np.ndarray  # (N,) str, one of CAUSES

    @property
    def tested(self) -> np.ndarray:
        """The rows that have a token at all, (N,) bool."""
        return self.cause != "no token"

    @property
    def reachable(self) -> np.ndarray:
        """Tokens that come back as themselves, (N,) bool; a row without a token does not."""
        return self.cause == "reachable"

    @property
    def unreachable(self) -> np.ndarray:
        """Tokens that do not come back as themselves, (N,) bool; a row without a token was not tested."""
        return self.tested & ~self.reachable

    def counts(self) -> dict[str, int]:
        """How many tokens have each cause, in the order of CAUSES, causes without a token left out."""
        return {cause: int(n) for cause in CAUSES if (n := (self.cause == cause).sum())}


def round_trip(tokens: Sequence[bytes | None], encoder: Encoder, batch: int = 8192) -> Reachability:
    """Sends every token to text and back, and names the first rule that keeps it from returning.

    tokens: N byte strings, None for rows without a token. Bytes that are no UTF-8 are decoded with U+FFFD in
    their place, as tokenizers do, and so cannot come back alone: they are told apart from true text by their
    form.
    """
    cause = np.array(["no token"] * len(tokens), dtype=f"<U{max(map(len, CAUSES))}")
    ids = [i for i, raw in enumerate(tokens) if raw is not None]
    for start in range(0, len(ids), batch):
        some = ids[start : start + batch]
        texts = [tokens[i].decode("utf-8", "replace") for i in some]
        for i, text, found in zip(some, texts, encoder.encode(texts), strict=True):
            cause[i] = "reachable" if found == [i] else _obstacle(tokens[i], text, encoder)
    return Reachability(cause)


def _obstacle(raw: bytes, text: str, encoder: Encoder) -> str:
    form = form_of(raw)
    if form != "text":
        return form
    if encoder.normalise(text) != text:
        return "normalisation"
    return "pre-tokenizer" if len(encoder.pieces(text)) > 1 else "merges"


def completions(raw: bytes) -> Iterator[str]:
    """The texts of fewest characters that hold a fragment's bytes: what is cut off at either end, in all ways.

    Ends at once where the middle is no UTF-8 either: no text holds those bytes.
    """
    loose = next((i for i, byte in enumerate(raw) if byte & 0xC0 != 0x80), len(raw))  # continuation bytes in front
    last = next((i for i in range(len(raw) - 1, loose - 1, -1) if raw[i] & 0xC0 != 0x80), None)
    missing = 0 if last is None else _length(raw[last]) - (len(raw) - last)
    if loose > 3 or missing < 0:
        return
    for before in _leads(loose) if loose else [b""]:
        for after in product(range(0x80, 0xC0), repeat=missing):
            try:
                yield (before + raw + bytes(after)).decode("utf-8")
            except UnicodeDecodeError:
                continue


def _length(lead: int) -> int:
    """How many bytes a character has that begins with this one; 0 where none begins so."""
    return 1 if lead < 0x80 else 0 if not 0xC2 <= lead < 0xF5 else 2 + (lead >= 0xE0) + (lead >= 0xF0)


def _leads(loose: int) -> Iterator[bytes]:
    """All beginnings that `loose` continuation bytes can complete to one character."""
    for lead in range(0xC2, 0xF5):
        missing = _length(lead) - 1 - loose
        if missing >= 0:
            for between in product(range(0x80, 0xC0), repeat=missing):
                yield bytes([lead, *between])


def witness(token_id: int, raw: bytes, encoder: Encoder, most: int = 50_000) -> str | None:
    """A text in whose encoding a token occurs, among its completions; None where the first `most` hold none.

    Texts are tried alone and behind a space. None is no proof that there is none.
    """
    texts = (prefix + text for text in islice(completions(raw), most) for prefix in ("", " "))
    size = 8
    while some := list(islice(texts, size)):
        for text, ids in zip(some, encoder.encode(some), strict=True):
            if token_id in ids:
                return text
        size = min(8 * size, 4096)  # most tokens have a witness among the first few
    return None


def witnesses(
    tokens: Sequence[bytes | None], found: Reachability, encoder: Encoder, most: int = 50_000
) -> dict[int, str | None]:
    """A witness for every single byte and every fragment, or None where there is none: {token id: text}."""
    ids = np.flatnonzero(np.isin(found.cause, ("single byte", "UTF-8 fragment")))
    return {int(i): witness(int(i), tokens[i], encoder, most) for i in ids}


def never_emitted(found: Reachability, witnessed: dict[int, str | None]) -> np.ndarray:
    """The rows that no text is known to lead to, (N,) bool: without a token, unreachable, or without a witness.

    It is a prediction from the tokenizer alone: these rows cannot have been trained on, whatever the text
    was.
    """
    silent = ~found.reachable
    silent[[i for i, text in witnessed.items() if text is not None]] = False
    return silent
