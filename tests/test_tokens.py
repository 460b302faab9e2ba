"""Tokens as they are shown: nothing invisible, nothing that turns the line around, nothing too long."""

import tracemalloc
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compute.tokens import INVISIBLE, display

SHOWN = {
    "plain": (b"hello", "hello"),
    "a space before": (b" the", "␣the"),
    "spaces at both ends": (b"  a b ", "␣␣a b␣"),
    "only spaces": (b"   ", "␣␣␣"),
    "newline and tab": (b"a\n\tb", "a⟨U+000A⟩⟨U+0009⟩b"),
    "escape and delete": (b"\x1b[2J\x7f", "⟨U+001B⟩[2J⟨U+007F⟩"),
    "a null": (b"\0", "⟨U+0000⟩"),
    "half a character": (b"\xe0\xb8", "⟨E0⟩⟨B8⟩"),
    "overlong and surrogate": (b"\xc0\x80\xed\xa0\x80", "⟨C0⟩⟨80⟩⟨ED⟩⟨A0⟩⟨80⟩"),
    "right-to-left override": ("a\u202eb".encode(), "a⟨U+202E⟩b"),
    "isolates": ("\u2066x\u2069".encode(), "⟨U+2066⟩x⟨U+2069⟩"),
    "zero-width": ("a\u200b\u200d\ufeffb".encode(), "a⟨U+200B⟩⟨U+200D⟩…"),
    "a space that does not break": ("a\u00a0b".encode(), "a⟨U+00A0⟩b"),
    "a line separator": ("\u2028".encode(), "⟨U+2028⟩"),
    "private use": ("\ue000".encode(), "⟨U+E000⟩"),
    "unassigned": ("\U000e0fff".encode(), "⟨U+E0FFF⟩"),
    "a letter that shows nothing": ("\u3164".encode(), "⟨U+3164⟩"),
    "the replacement character": ("\ufffd".encode(), "\ufffd"),
    "Thai": ("ก็ไม่".encode(), "ก็ไม่"),
    "a mark alone": ("\u0301a".encode(), "⟨U+0301⟩a"),
    "a mark on a space": (" \u0301".encode(), "␣⟨U+0301⟩"),
    "a tower of marks": (("e" + "\u0301" * 4).encode(), "e\u0301\u0301⟨U+0301⟩⟨U+0301⟩"),
    "emoji": ("🙂".encode(), "🙂"),
    "emoji with a variation": ("❤\ufe0f".encode(), "❤⟨U+FE0F⟩"),
    "our own signs": ("⟨no token⟩␣".encode(), "⟨U+27E8⟩no token…"),
    "markup": (b"<script>&$\\*_`\"'", "<script>&$\\*_`\"'"),
    "too long": (b"abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvw…"),
    "just not too long": (b"abcdefghijklmnopqrstuvwx", "abcdefghijklmnopqrstuvwx"),
    "an escape is not torn": (b"abcdefghijklmnopqrs\x07\x07", "abcdefghijklmnopqrs…"),
    "empty": (b"", "⟨empty⟩"),
    "no token": (None, "⟨no token⟩ #42"),
}


@pytest.mark.parametrize("what", SHOWN)
def test_shown(what):
    raw, expected = SHOWN[what]
    assert display(raw, 42) == expected


def _is_harmless(text: str) -> bool:
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return all(unicodedata.category(sign) not in hidden and sign not in INVISIBLE for sign in text)


@settings(max_examples=400, deadline=None, database=None, derandomize=True)
@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode), st.integers(1, 40))
@example("e\u0301".encode() * 40, 24)
@example("\u202e".encode() * 40, 24)
@example(b"\xff" * 1000, 24)
def test_whatever_it_is_it_is_visible_and_fits(raw, width):
    shown = display(raw, 7, width)
    assert 1 <= len(shown) <= width
    assert _is_harmless(shown)
    assert shown == shown.strip()
    assert not unicodedata.category(shown[0]).startswith("M")
    assert shown.encode("utf-8").decode() == shown


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(st.binary(max_size=12), st.binary(max_size=12))
def test_two_tokens_never_look_alike_unless_cut(one, other):
    if one != other:
        assert display(one, 1, 1000) != display(other, 1, 1000)


def test_every_character_of_unicode_is_visible_or_named():
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(codes), 4096):
        text = "".join(map(chr, codes[start : start + 4096]))
        shown = display(text.encode(), 0, width=1 << 20)
        assert _is_harmless(shown) and len(shown) >= len(text)


def test_a_huge_token_costs_nothing():
    huge = b"a" * 5_000_000
    tracemalloc.start()
    try:
        assert display(huge, 0) == "a" * 23 + "…"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("width", [0, -1])
def test_no_width_is_an_error(width):
    with pytest.raises(ValueError, match="at least 1"):
        display(b"a", 0, width)
