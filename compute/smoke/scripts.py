"""What tokens are made of: script, form and leading space, from their bytes and the Unicode tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

NO_SCRIPT = frozenset(
    ("Zyyy", "Zinh", "Zzzz")
)  # common, inherited, unknown: shared by all scripts, or by none
SHARED = "no script"  # digits, punctuation, spaces, symbols
FORMS = ("text", "special", "single byte", "UTF-8 fragment", "no token")


@lru_cache(maxsize=1 << 17)
def _script(character: str) -> str | None:
    from fontTools import unicodedata

    code = unicodedata.script(character)
    return None if code in NO_SCRIPT else unicodedata.script_name(code)


def unicode_version() -> str:
    """The version of the script table, as its file names it: 'Scripts-18.0.0.txt'."""
    from fontTools.unicodedata import Scripts

    with open(Scripts.__file__, encoding="utf-8") as lines:
        return next(word for line in lines for word in line.split() if word.startswith("Scripts-"))


def script_of(text: str) -> str:
    """The script of most of the letters of a text, as Unicode names it: 'Thai', 'Han', 'Latin'.

    Characters of no script of their own (common, inherited, unassigned) do not vote; where none does, the
    answer is 'no script'. Of two scripts with as many letters, the first in the text wins.
    """
    votes = Counter(script for script in map(_script, text) if script)  # in the order of appearance
    return votes.most_common(1)[0][0] if votes else SHARED


def scripts_in(text: str) -> frozenset[str]:
    """All scripts that occur in a text."""
    return frozenset(script for script in map(_script, text) if script)


def form_of(raw: bytes | None, special: bool = False) -> str:
    """One of FORMS: what kind of thing a token's bytes are.

    A single byte is one that is no character by itself (0x80 and above), a fragment is longer and no valid
    UTF-8.
    """
    if raw is None:
        return "no token"
    if special:
        return "special"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return "single byte" if len(raw) == 1 else "UTF-8 fragment"
    return "text"


@dataclass(frozen=True, eq=False)
class Traits:
    """What each of N tokens is made of."""

    form: np.ndarray  # (N,) str, one of FORMS
    script: (
        np.ndarray
    )  # (N,) str: a script where the form is text, else the form; fragments have no safe script
    mixed: np.ndarray  # (N,) bool: letters of two scripts or more
    leading_space: np.ndarray  # (N,) bool


def traits(tokens: Sequence[bytes | None], special: np.ndarray | None = None) -> Traits:
    """Tells form, script and leading space of every token.

    tokens: N byte strings, None where a row has no token; special: (N,) bool, the control tokens, or None.
    """
    special = np.zeros(len(tokens), dtype=bool) if special is None else special
    form = [form_of(raw, bool(flag)) for raw, flag in zip(tokens, special, strict=True)]
    texts = [
        raw.decode("utf-8") if raw is not None and kind == "text" else None
        for raw, kind in zip(tokens, form, strict=True)
    ]
    return Traits(
        form=np.array(form, dtype=str),
        script=np.array(
            [kind if text is None else script_of(text) for text, kind in zip(texts, form, strict=True)], str
        ),
        mixed=np.array([text is not None and len(scripts_in(text)) > 1 for text in texts], dtype=bool),
        leading_space=np.array([raw is not None and raw.startswith(b" ") for raw in tokens], dtype=bool),
    )
