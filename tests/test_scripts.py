"""Scripts against another implementation of the Unicode tables, forms by hand."""

import sys
import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from compute.smoke.scripts import FORMS, form_of, script_of, scripts_in, traits, unicode_version

UNASSIGNED = ("Cn", "Cs", "Co")
ASKED = (
    "Latin",
    "Thai",
    "Han",
    "Hebrew",
    "Arabic",
    "Cyrillic",
    "Hangul",
    "Hiragana",
    "Katakana",
    "Devanagari",
)


def test_every_character_is_told_as_the_regex_library_tells_it():
    assigned = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) not in UNASSIGNED]
    ours = {}
    for character in assigned:
        ours.setdefault(script_of(character), []).append(character)
    for script in ASKED:
        theirs = regex.findall(rf"\p{{Script={script}}}", "".join(assigned))
        assert ours[script] == theirs
        assert len(theirs) > 80


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("การบริหาร", "Thai"),
        (" ที่", "Thai"),  # a mark above a mark: the marks are Thai too
        ("สมัย2024", "Thai"),
        ("hello", "Latin"),
        ("é", "Latin"),
        ("e\u0301", "Latin"),  # an inherited mark does not vote
        ("漢字かな", "Han"),  # two against two: the first wins
        ("かな漢", "Hiragana"),
        ("αβγ d", "Greek"),
        ("123", "no script"),
        (" \n\t", "no script"),
        ("€!?", "no script"),
        ("", "no script"),
        ("\ufffd", "no script"),
    ],
)
def test_the_script_of_most_letters(text, script):
    assert script_of(text) == script


@given(st.text(max_size=20))
def test_the_script_of_a_text_is_one_of_those_in_it(text):
    found = scripts_in(text)
    assert script_of(text) in (found or {"no script"})
    assert found == frozenset().union(*(scripts_in(character) for character in text)) if text else not found


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        (None, "no token"),
        (b"", "text"),
        (b"a", "text"),
        (b"\x7f", "text"),
        (b"\x80", "single byte"),
        (b"\xe0", "single byte"),
        (b"\xe0\xb8", "UTF-8 fragment"),
        (b"\xe0\xb8\x81", "text"),
        (b"\xb8\x81a", "UTF-8 fragment"),
        (b"\xed\xa0\x80", "UTF-8 fragment"),  # a surrogate is no character
        (b"\xc0\x80", "UTF-8 fragment"),  # an overlong spelling
    ],
)
def test_the_form_of_bytes(raw, form):
    assert form_of(raw) == form


@given(st.lists(st.none() | st.binary(max_size=6), max_size=12), st.data())
def test_traits_are_those_of_each_token(tokens, data):
    special = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens))), dtype=bool
    )
    found = traits(tokens, special)
    for i, raw in enumerate(tokens):
        assert found.form[i] == form_of(raw, bool(special[i])) and found.form[i] in FORMS
        assert found.leading_space[i] == (raw is not None and raw[:1] == b" ")
        if found.form[i] == "text":
            assert found.script[i] == script_of(raw.decode())
        else:
            assert found.script[i] == found.form[i]
            assert not found.mixed[i]


def test_special_tokens_are_special_whatever_they_spell():
    found = traits([b"<|im_start|>", b"im"], np.array([True, False]))
    assert found.script.tolist() == ["special", "Latin"]


def test_the_table_names_its_version():
    assert regex.fullmatch(r"Scripts-\d+\.\d+\.\d+\.txt", unicode_version())
