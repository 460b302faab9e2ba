"""The whole book, built as its author builds it, and looked at in a real browser with the network off."""

import json
import re
from collections.abc import Iterator

import pytest
from conftest import Book
from visits import DESK, PHONE, SPILLS, Visit, served


@pytest.fixture(scope="module")
def book(tmp_path_factory, smollm2) -> Book:
    """The book on the real default model, strictly built."""
    made = Book(tmp_path_factory.mktemp("book"), "smollm2")
    for stray in (".pytest_cache/README.md", ".venv/lib/notes.md", "stray.md", "book/draft/stray.ipynb"):
        (made.folder / stray).parent.mkdir(parents=True, exist_ok=True)
        (made.folder / stray).write_text("# Stray\n" if stray.endswith("md") else "not a notebook")
    made.build("-n", "-W", "--keep-going")
    return made


def html_pages(book: Book) -> list[str]:
    """All pages of the book, and of the rendered sources, which are all of one kind, one."""
    pages = [str(path.relative_to(book.site)) for path in sorted(book.site.rglob("*.html"))]
    aside = ("_static", "source", "genindex", "search")
    chapters = [page for page in pages if not page.startswith(aside)]
    return [*chapters, "source/compute/results.html"]


@pytest.fixture(scope="module")
def site(book) -> Iterator[str]:
    with served(book.site) as address:
        yield address


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", DESK), ("light", PHONE)])
def test_every_page_loads_whole_and_alone_without_a_serious_barrier(browser, book, site, scheme, size):
    pages = html_pages(book)
    assert {"index.html", "book/catalogue.html", "book/colophon.html"} <= set(pages)
    for page in pages:
        place = f"{page}, {scheme}, {size['width']} wide"
        with Visit(browser, site, page, scheme, size) as visit:
            assert visit.page.evaluate(SPILLS) == [], place
            assert visit.faults == [], place
            text = visit.page.inner_text("main")
            assert not re.search(r"\\(frac|sum|gamma|mu)\b", text), f"raw TeX on {place}"
            assert "Traceback" not in text and "[object" not in text, place
            if size == DESK:
                assert visit.barriers() == [], place


def test_math_and_figures_are_drawn(browser, site):
    with Visit(browser, site, "book/catalogue.html") as visit:
        visit.page.wait_for_selector("mjx-container svg")
        assert visit.page.locator("mjx-container[display=true] svg").count() >= 4
        visit.page.locator(".js-plotly-plot").first.scroll_into_view_if_needed()
        visit.page.wait_for_selector(".js-plotly-plot canvas, .js-plotly-plot svg")
        assert visit.page.locator("figure svg.az-drawing text").count() > 20
        for picture in visit.page.locator("main img").all():
            assert picture.evaluate("i => i.complete && i.naturalWidth > 0")
            assert picture.get_attribute("alt").strip()


def test_captions_are_numbered_and_open_their_papers(browser, site):
    with Visit(browser, site, "book/catalogue.html") as visit:
        captions = visit.page.locator("figcaption .caption-number").all_inner_texts()
        assert any(c.startswith("Figure") for c in captions) and any(c.startswith("Table") for c in captions)
        mark = visit.page.locator("button.az-mark").first
        mark.focus()
        visit.page.keyboard.press("Enter")
        papers = visit.page.locator("[popover]:popover-open")
        assert papers.count() == 1
        text = papers.inner_text()
        assert re.search(r"[0-9a-f]{12}", text) and "SmolLM2" in text and "compute.results." in text
        source = papers.locator("a").first.get_attribute("href")
        visit.page.goto(visit.page.url.rsplit("/", 1)[0] + "/" + source, wait_until="networkidle")
        assert "def " in visit.page.inner_text("main")
        assert visit.faults == []


def test_search_finds_a_word_offline(browser, site):
    with Visit(browser, site, "search.html?q=centroid") as visit:
        visit.page.wait_for_selector("#search-results li a")
        assert "catalogue" in visit.page.inner_text("#search-results").lower()
        assert visit.faults == []
    with Visit(browser, site, "index.html") as visit:
        assert visit.page.locator("form.bd-search:visible, input[type=search]:visible").count() <= 1


def test_the_dark_mode_is_dark(browser, site):
    light, dark = "light", "dark"
    grounds = {}
    for scheme in (light, dark):
        with Visit(browser, site, "book/catalogue.html", scheme) as visit:
            colour = visit.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            grounds[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3]))
            ink = visit.page.evaluate("() => getComputedStyle(document.querySelector('svg.az-drawing text')).fill")
            grounds[scheme + " ink"] = sum(map(int, re.findall(r"\d+", ink)[:3]))
    assert grounds[light] > 700 and grounds[dark] < 200
    assert grounds["light ink"] < 350 and grounds["dark ink"] > 400


def test_executed_notebooks_can_be_taken_along(book):
    for page in ("index", "book/catalogue"):
        links = re.findall(r'href="([^"]+\.ipynb)"', (book.site / f"{page}.html").read_text("utf-8"))
        assert links, page
        notebook = json.loads((book.site / page).parent.joinpath(links[0]).resolve().read_text("utf-8"))
        assert any(cell.get("outputs") for cell in notebook["cells"])


def test_the_telescope_shows_all_tokens_within_its_budget(browser, book, site):
    """Page, style, scripts, fonts and plate together: 6 MB for all tokens of the default model."""
    with Visit(browser, site, "book/telescope.html#token-260") as visit:
        visit.page.wait_for_selector(".az-telescope[data-open]")
        assert visit.page.inner_text(".az-tel-title") == "␣the"
        assert visit.page.evaluate("() => document.querySelector('.az-telescope').azimuthPlate.count") == 49_152
        sizes = visit.page.evaluate(
            "() => [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]"
            ".map(entry => entry.encodedBodySize)"
        )
        assert 4e6 < sum(sizes) < 6e6
        assert visit.faults == []
    with Visit(browser, site, "book/catalogue.html") as visit:
        assert not visit.page.evaluate("() => performance.getEntriesByType('resource').some(e => /plate/.test(e.name))")


def test_what_lies_about_is_not_published(book):
    assert not [
        path for path in book.site.rglob("*") if "stray" in path.name or "pytest" in str(path.relative_to(book.site))
    ]


def test_vendored_scripts_are_loaded_only_where_they_are_used(book):
    pages = {name: (book.site / name).read_text("utf-8") for name in html_pages(book)}
    plotly = {name for name, text in pages.items() if re.search(r"<script[^>]*plotly", text)}
    assert plotly == {name for name, text in pages.items() if "az-plotly" in text}
    assert "book/catalogue.html" in plotly and "index.html" not in plotly
    mathjax = {name for name, text in pages.items() if re.search(r"<script[^>]*tex-svg", text)}
    assert "book/catalogue.html" in mathjax and "book/conventions.html" in mathjax
    assert "book/bibliography.html" not in mathjax
