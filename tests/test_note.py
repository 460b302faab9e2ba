"""`make note`: a dated page with a safe name, a literal heading, and a place in the contents."""

import datetime

import pytest
import yaml

from book import new_note

DAY = datetime.date(2026, 11, 21)
CONTENTS = """# a comment that stays
format: jb-book
root: index
parts:
  - caption: Chapters
    numbered: true
    chapters:
      - file: book/catalogue
  - caption: The frame
    chapters:
      - file: book/notation
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "_toc.yml").write_text(CONTENTS)
    return tmp_path


def parts(root) -> dict:
    listed = yaml.safe_load((root / "_toc.yml").read_text())["parts"]
    return {part["caption"]: [entry["file"] for entry in part["chapters"]] for part in listed}


def test_a_note_is_dated_named_and_listed(root):
    path = new_note.add(root, "What the smoke was", DAY)
    assert path == root / "book/notes/2026-11-21-what-the-smoke-was.md"
    text = path.read_text()
    assert "\n# What the smoke was\n" in text and "{bdg-warning}`open` 2026-11-21" in text and "seed = 42" in text
    assert list(parts(root)) == ["Chapters", "Lab notes", "The frame"]
    assert parts(root)["Lab notes"] == ["book/notes/2026-11-21-what-the-smoke-was"]


def test_the_newest_note_stands_first_and_comments_stay(root):
    new_note.add(root, "One", DAY)
    new_note.add(root, "Two", DAY + datetime.timedelta(1))
    assert parts(root)["Lab notes"] == ["book/notes/2026-11-22-two", "book/notes/2026-11-21-one"]
    assert (root / "_toc.yml").read_text().startswith("# a comment that stays\n")
    assert parts(root)["Chapters"] == ["book/catalogue"]


def test_a_title_is_used_once(root):
    new_note.add(root, "The same?", DAY)
    before = (root / "_toc.yml").read_text()
    with pytest.raises(ValueError, match="2026-11-21-the-same.md is a note of that title"):
        new_note.add(root, "the SAME", DAY + datetime.timedelta(3))
    assert (root / "_toc.yml").read_text() == before


@pytest.mark.parametrize("title", ["", "   "])
def test_a_note_needs_a_title(root, title):
    with pytest.raises(ValueError, match="needs a title"):
        new_note.add(root, title, DAY)


@pytest.mark.parametrize("title", ["two\nlines", "a\x00b", "a\u202eb", "line\u2028separator"])
def test_control_characters_are_refused(root, title):
    with pytest.raises(ValueError, match="control characters"):
        new_note.add(root, title, DAY)
    assert not (root / "book").exists()


def test_a_title_without_a_latin_letter_has_no_file_name(root):
    with pytest.raises(ValueError, match="leaves no file name"):
        new_note.add(root, "¿?", DAY)


@pytest.mark.parametrize(
    "title",
    [
        "../../etc/passwd",
        "<script>alert(1)</script>",
        "{eval}`1/0` of *any* $use$ [x](y) # : \\ % & | ~ ^ @ ' \"",
        "```{code-cell}",
        "- a list: of things",
        "%comment",
        "{% raw %} {{ x }}",
        "x" * 300,
        "Ünïcödé Größe",
    ],
)
def test_a_hostile_title_is_a_file_in_notes_and_a_literal_heading(root, title):
    path = new_note.add(root, title, DAY)
    assert path.parent == root / "book/notes" and len(path.name) < 80
    assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert parts(root)["Lab notes"] == [f"book/notes/{path.stem}"]
    assert heading_text(path.read_text()) == title


def heading_text(note: str) -> str:
    """The text of the note's heading as the book's own Markdown reader sees it."""
    from myst_parser.config.main import MdParserConfig
    from myst_parser.mdit_to_docutils.base import DocutilsRenderer
    from myst_parser.parsers.mdit import create_md_parser

    config = MdParserConfig(enable_extensions={"dollarmath", "amsmath", "attrs_inline", "colon_fence", "substitution"})
    tokens = create_md_parser(config, DocutilsRenderer).parse(note)
    place = next(i for i, token in enumerate(tokens) if token.type == "heading_open")
    children = tokens[place + 1].children
    assert {child.type for child in children} <= {"text", "text_special"}, children
    return "".join(child.content for child in children)


def test_contents_without_a_place_for_notes_are_left_alone(root):
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    with pytest.raises(ValueError, match="neither a part 'Lab notes' nor"):
        new_note.add(root, "Lost", DAY)
    assert not (root / "book").exists()


def test_the_command_says_what_it_did_or_why_not(root, monkeypatch, capsys):
    monkeypatch.setattr(new_note, "ROOT", root)
    assert new_note.main(["A", "good", "title"]) == 0
    assert "a-good-title.md is in the contents" in capsys.readouterr().out
    monkeypatch.setenv("TITLE", 'quoted "by" make `id`')
    assert new_note.main([]) == 0
    assert "quoted-by-make-id.md" in capsys.readouterr().out
    monkeypatch.delenv("TITLE")
    assert new_note.main([""]) == 2
    assert "needs a title" in capsys.readouterr().err
