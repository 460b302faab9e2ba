"""Tokens as text that can be shown: whatever their bytes, what is seen of them is visible and harmless."""

import unicodedata

WIDTH = 24
MOST_MARKS = 2  # combining marks on one letter: Thai and Hebrew need two; a tower of them breaks a line
OPEN, CLOSE, SPACE, CUT = "⟨", "⟩", "␣", "…"
OWN = frozenset(OPEN + CLOSE + SPACE)  # our own signs, which a token's text must not be able to forge
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")  # show nothing, or not the same everywhere
# Letters, marks and signs that Unicode calls default-ignorable, or that are drawn as nothing.
INVISIBLE = frozenset(
    map(chr, [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164,
              0xFFA0, 0x1D159, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)  # fmt: skip


def display(raw: bytes | None, token_id: int, width: int = WIDTH) -> str:
    """Returns a token's bytes as visible text of at most `width` characters.

    Invalid UTF-8 is shown byte by byte, ⟨E0⟩; what is not visible by itself (control, format,
    bidirectional, zero-width, private, unassigned) as its code point, ⟨U+202E⟩, and so are the signs used
    here, so that no token can forge them; spaces at either end as ␣; a text too long ends in …; a row without
    a token is ⟨no token⟩ #id. What is left may still mean something to HTML, Markdown or TeX: who puts it
    there escapes it for there. Letters that run from right to left are shown as they are: isolate them.
    """
    if width < 1:
        raise ValueError(f"a width of {width} characters; at least 1 is needed")
    if raw is None:
        return _cut([*f"{OPEN}no token{CLOSE} #{token_id}"], width)
    if not raw:
        return _cut([f"{OPEN}empty{CLOSE}"], width)
    raw = raw[: 4 * width + 8]  # every character takes four bytes at most: the rest cannot be seen
    return _cut(_pieces(raw.decode("utf-8", "surrogateescape")), width)


def _cut(pieces: list[str], width: int) -> str:
    """Returns the pieces, each whole, that fit in `width` characters; … stands for the others."""
    if sum(map(len, pieces)) <= width:
        return "".join(pieces)
    shown, left = "", width - len(CUT)
    for piece in pieces:
        if len(piece) > left:
            break
        shown, left = shown + piece, left - len(piece)
    return shown + CUT


def _pieces(text: str) -> list[str]:
    """Returns a text's visible form, in pieces not to be torn: a letter with its marks, an escape."""
    begin, end = len(text) - len(text.lstrip(" ")), len(text.rstrip(" "))
    pieces: list[str] = []
    marks = MOST_MARKS  # as if full: a mark at the beginning has no letter of its own to stand on
    for place, character in enumerate(text):
        if character == " ":
            pieces.append(" " if begin <= place < end else SPACE)
            marks = MOST_MARKS
        elif unicodedata.category(character) in HIDDEN or character in INVISIBLE or character in OWN:
            pieces.append(_escaped(character))
            marks = MOST_MARKS
        elif not unicodedata.category(character).startswith("M"):
            pieces.append(character)
            marks = 0
        elif marks < MOST_MARKS:
            pieces[-1] += character
            marks += 1
        else:
            pieces.append(_escaped(character))
    return pieces


def _escaped(character: str) -> str:
    """Returns ⟨E0⟩ for a byte that is not UTF-8 (decoded as U+DCE0), ⟨U+202E⟩ for a character."""
    code = ord(character)
    return f"{OPEN}{code - 0xDC00:02X}{CLOSE}" if 0xDC80 <= code <= 0xDCFF else f"{OPEN}U+{code:04X}{CLOSE}"
