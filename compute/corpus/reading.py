"""Text files as documents: lines of words with one space between, from the formats that the corpus comes in.

Chapter: Goldilocks.
"""

from collections.abc import Sequence

NEWSGROUPS, THAI, PLAIN = "newsgroups", "thai", "plain"
HEADER_ROWS = 3  # of Orange's .tab: names, types, roles
HELD_OUT = 10  # of a user's text, the last one in so many words
WORDS = 1_000  # a document of a user's text, at most


def documents(raw: bytes, form: str, name: str) -> list[str]:
    """The documents of one file; white space of any kind is one space, and documents without a word are left out.

    `form` is NEWSGROUPS (three header rows, then label, tab, text), THAI (a word or a title a line, # before
    comments) or PLAIN (no structure: lines are as good as spaces). `name` is for errors: ValueError where the file
    is empty, no UTF-8, or has not the form.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not UTF-8: byte 0x{raw[error.start]:02x} at {error.start:,}. Save it as UTF-8 first"
        ) from None
    if "\0" in text:
        raise ValueError(f"{name} has a zero byte at {text.index(chr(0)):,}: it is no text. Save it as UTF-8 first")
    if form == PLAIN:
        words = text.split()
        found = [" ".join(words[start : start + WORDS]) for start in range(0, len(words), WORDS)]
    elif form == THAI:
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        found = [" ".join(line.split()) for line in lines]
    else:
        rows = [line.partition("\t") for line in text.splitlines()[HEADER_ROWS:] if line]
        if not all(tab for _, tab, _ in rows):
            raise ValueError(f"{name} has a row without a tab after its three header rows, not label, tab, text")
        found = [" ".join(body.split()) for _, _, body in rows]
    found = [document for document in found if document]
    if not found:
        raise ValueError(f"{name} holds no word; a text to train on is needed")
    return found


def split(found: Sequence[str]) -> tuple[list[str], list[str]]:
    """A text of one piece as training text and held-out text: the last tenth of its words is held out."""
    words = [word for document in found for word in document.split(" ")]
    cut = len(words) - len(words) // HELD_OUT
    parts = words[:cut], words[cut:]
    return tuple(
        [" ".join(part[start : start + WORDS]) for start in range(0, len(part), WORDS)] for part in parts
    )
