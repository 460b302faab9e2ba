"""A book on a hostile vocabulary: it harms nobody, and a plain build runs exactly what changed.

Both are proven on one build, because it takes minutes: the vocabulary first, before anything is edited.
"""

import os
import re

import pytest
from conftest import Book
from visits import DESK, PHONE, SPILLS, Visit, served


@pytest.fixture(scope="module")
def book(tmp_path_factory, hostile_model) -> Book:
    """The whole book on a small model that is out to break it, strictly built."""
    made = Book(tmp_path_factory.mktemp("stale"), str(hostile_model))
    made.build("-n", "-W", "--keep-going")
    return made


def changed(printed: str) -> tuple[int, int, int]:
    found = re.search(r"(\d+) added, (\d+) changed, (\d+) removed", printed)
    assert found, printed
    return tuple(map(int, found.groups()))


def executed(printed: str) -> set[str]:
    """The pages whose cells ran, as the build names them."""
    return set(re.findall(r"(\S+): Executed notebook in", re.sub(r"\x1b\[[0-9;]*m", "", printed)))


def names(pages: set[str]) -> set[str]:
    return {re.sub(r"\.md$", "", page.rsplit("/", 1)[-1]) for page in pages}


def test_a_hostile_vocabulary_is_shown_and_harms_nothing(browser, book):
    with served(book.site) as address:
        for page in ("index.html", "book/catalogue.html"):
            for size in (DESK, PHONE):
                with Visit(browser, address, page, size=size) as visit:
                    assert visit.page.evaluate("() => window.pwned") is None
                    assert visit.page.evaluate(SPILLS) == []
                    assert visit.faults == []
                    assert visit.page.locator("main [onerror], main [onload], main [onmouseover]").count() == 0
        with Visit(browser, address, "book/catalogue.html") as visit:
            tokens = " ".join(visit.page.locator("table td").all_inner_texts())
    shown = [piece for piece in ("<script>", "</title>", "**bold**", "$\\frac", "⟨") if piece in tokens]
    assert len(shown) >= 3, tokens
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]", tokens)


def test_nothing_edited_nothing_done(book):
    assert changed(book.build()) == (0, 0, 0)


def test_a_comment_a_docstring_and_a_blank_line_run_nothing(book):
    book.edit("compute/catalog.py", "def centroid(", "# the middle of it all\n\n\ndef centroid(")
    book.edit("compute/catalog.py", '"""The mean row mu of gamma.', '"""The average row mu of gamma.')
    assert changed(book.build()) == (0, 0, 0)


def test_a_callee_s_constant_runs_the_chapters_that_reach_it(book):
    # the seed and the number of pairs are reached by the catalogue's cosines, and not by the story
    book.edit("compute/results.py", "PAIRS = 100_000", "PAIRS = 90_000")
    printed = book.build()
    assert names(executed(printed)) == {"catalogue", "colophon"}
    assert "90,000" in (book.site / "book/catalogue.html").read_text("utf-8")
    assert changed(book.build()) == (0, 0, 0)


def test_a_figure_runs_the_chapters_that_draw_it_and_no_other(book):
    book.edit("compute/figures.py", '"rank of the black hole"', '"rank of the hole"')
    assert names(executed(book.build())) == {"index", "colophon"}


def test_prose_alone_rebuilds_its_page(book):
    book.edit("book/glossary.md", "one row, one object.", "one row, one object, one name.")
    printed = book.build()
    assert changed(printed)[1] >= 1
    assert "one name." in (book.site / "book/glossary.html").read_text("utf-8")


def test_a_failing_cell_fails_the_build_and_a_stray_notebook_does_not_run(tmp_path, planted_model):
    made = Book(tmp_path / "book", str(planted_model))
    (made.folder / "stray.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    stray = made.folder / ".venv" / "lib" / "stray.md"
    stray.parent.mkdir(parents=True)
    stray.write_text("# Stray\n")
    made.edit("book/catalogue.md", "model = results.model()", "model = results.model('nowhere')")
    printed = made.build(code=None)
    assert "nowhere" in printed
    assert made.build(code=1)
    assert not list(made.site.rglob("*stray*"))


def test_another_text_or_model_makes_every_executed_page_run_again(tmp_path):
    from book._ext.staleness import inputs_digest

    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("a star")
    second.write_text("a stone")
    chosen = [
        {}, {"AZIMUTH_MODEL": str(first)}, {"AZIMUTH_CORPUS": str(first)}, {"AZIMUTH_CORPUS_UNSEEN": str(first)},
        {"AZIMUTH_CORPUS": f"{first}{os.pathsep}{second}"},
    ]  # fmt: skip
    before = [inputs_digest(tmp_path, environment) for environment in chosen]
    assert len(set(before)) == len(chosen) and before == [inputs_digest(tmp_path, one) for one in chosen]
    second.write_text("another stone")
    assert [inputs_digest(tmp_path, one) for one in chosen[:4]] == before[:4]
    assert inputs_digest(tmp_path, chosen[4]) != before[4]
