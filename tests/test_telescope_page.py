"""The telescope in a real browser, opened from the disk: what it shows, by keyboard and by mouse, and what it asks."""

import re
import shutil
from importlib.resources import files

import numpy as np
import pytest
from conftest import HOSTILE, ROOT, Book
from test_telescope import planted, random_company

from book._ext.telescope import SCRIPTS
from compute import exhibit, telescope, tokens
from compute.cache import Provenance, Result

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAGE = """<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Telescope</title>
<link rel="stylesheet" href="azimuth.css"><link rel="stylesheet" href="telescope.css">
<script>document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"
</script><body style="margin: 0"><main class="bd-article" style="padding: 1.15rem">
<h1>Page</h1><h2>Section</h2>BODY</main>
<script defer src="plate.js"></script>SCRIPTS</body></html>"""
AXE = "() => axe.run(document, {resultTypes: ['violations'], preload: false})"  # files may not fetch files
DECODED = """([space]) => { const plate = document.querySelector('.az-telescope').azimuthPlate;
  const near = plate.spaces[space];
  return {texts: plate.texts, hole: [...plate.hole], ids: [...near.ids], distances: [...near.distances],
    density: [...near.density], norm: [...plate.values['centred norm']], longitude: [...plate.longitude]}; }"""


def written(folder, plate: telescope.Plate):
    """A page with nothing but a telescope over a plate, as files side by side; returns its address."""
    shutil.copytree(ROOT / "book/_static", folder, dirs_exist_ok=True)
    made = Result({"file": folder / "plate.js"})
    made["file"].write_bytes(telescope.as_script(telescope.pack(plate)))
    made.provenance = Provenance("f", "0" * 64, 1.0, "2026-01-01", {}, "none", 1, None, {}, "cache", {})
    scripts = "".join(f'<script defer src="{name}"></script>' for name in SCRIPTS)
    body = exhibit.telescope(made, alt="The <telescope>: a finder, a map, a card.").body
    (folder / "page.html").write_text(PAGE.replace("BODY", body).replace("SCRIPTS", scripts), "utf-8")
    return (folder / "page.html").as_uri()


class Look:
    """A page opened from the disk, and everything it asked for or complained of."""

    def __init__(self, browser, address: str, size: dict = DESK, scheme: str = "light", script: bool = True):
        self.asked, self.faults = [], []
        self.context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=script)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)
        if script:
            self.page.wait_for_selector(".az-telescope[data-open]")

    def __enter__(self) -> "Look":
        return self

    def __exit__(self, *_):
        self.context.close()

    def shown(self) -> int:
        """The token that the card shows."""
        said = self.page.inner_text(".az-tel-facts")
        return int(re.search(r"token ([\d,]+)", said)[1].replace(",", ""))

    def waits_for(self, token: int) -> None:
        """Until the card shows a token."""
        self.page.wait_for_function(
            "said => document.querySelector('.az-tel-facts').innerText.includes(said)", arg=f"token {token:,} "
        )


@pytest.fixture(scope="module")
def plate() -> telescope.Plate:
    return planted(400, 20)


@pytest.fixture(scope="module")
def address(tmp_path_factory, plate) -> str:
    return written(tmp_path_factory.mktemp("telescope"), plate)


@pytest.fixture
def look(browser, address):
    with Look(browser, address) as opened:
        yield opened
        assert opened.faults == []
        assert all(url.startswith("file:") for url in opened.asked), opened.asked


@pytest.mark.parametrize("space", ["gamma", "causal"])
def test_the_browser_reads_what_python_packed(look, plate, space):
    seen, expected = look.page.evaluate(DECODED, [space]), telescope.unpack(telescope.pack(plate))
    near = expected.company[space]
    assert seen["texts"] == list(plate.texts) and (np.array(seen["hole"]) - 1 == plate.hole).all()
    np.testing.assert_array_equal(seen["ids"], near.ids.ravel())
    np.testing.assert_allclose(seen["distances"], near.distances.ravel(), rtol=1e-12)
    np.testing.assert_allclose(seen["density"], 1 / near.distances.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(seen["norm"], expected.measures["centred norm"], rtol=1e-12)
    x, y = expected.coordinates[:, :2].T
    np.testing.assert_allclose(seen["longitude"], np.degrees(np.arctan2(y, x)), atol=1e-9)


def test_ids_beyond_sixteen_bits_reach_the_browser(browser, tmp_path):
    plate = random_company(70_000, 3)
    with Look(browser, written(tmp_path, plate) + "#token-69999") as opened:
        assert opened.shown() == 69_999
        ids = opened.page.evaluate("() => [...document.querySelector('.az-telescope').azimuthPlate.spaces.gamma.ids]")
        np.testing.assert_array_equal(ids, plate.company["gamma"].ids.ravel())
        assert opened.faults == []


def test_the_finder_by_text_arrow_keys_and_enter(look):
    field = look.page.locator("#az-tel-query")
    look.page.get_by_label("Point the telescope at").fill("word3")
    options = look.page.locator("[role=option]")
    assert options.count() > 5 and field.get_attribute("aria-expanded") == "true"
    assert [options.nth(i).inner_text().split()[0] for i in range(3)] == ["word30", "word31", "word32"]
    field.press("ArrowDown")
    field.press("ArrowDown")
    active = look.page.locator(f"#{field.get_attribute('aria-activedescendant')}")
    assert active.get_attribute("aria-selected") == "true" and active.inner_text().startswith("word31")
    field.press("ArrowUp")
    field.press("ArrowUp")
    assert look.page.locator("[aria-selected=true]").inner_text() == options.last.inner_text()
    field.press("ArrowDown")
    field.press("Enter")
    look.waits_for(30)
    assert look.page.url.endswith("#token-30") and field.get_attribute("aria-expanded") == "false"
    assert "token 30" in look.page.inner_text("[role=status]")


def test_the_finder_by_id_by_part_and_in_vain(look):
    field = look.page.locator("#az-tel-query")
    for asked in ("123", "#123", " # 123 "):
        field.fill(asked)
        assert look.page.locator("[role=option]").first.inner_text().split() == ["word123", "#123", "id"]
    field.fill("WORD77")
    field.press("Enter")
    look.waits_for(77)
    field.fill("ord88")
    assert look.page.locator("[role=option]").all_inner_texts()[0].split() == ["word88", "#88", "contains"]
    field.fill("no such thing")
    assert look.page.locator("[role=option]").count() == 0
    assert "No token" in look.page.inner_text(".az-tel-note") and "No token" in look.page.inner_text("[role=status]")
    field.press("Enter")
    assert look.shown() == 77
    field.fill("999999")
    assert "No token" in look.page.inner_text(".az-tel-note")
    field.fill("")
    assert look.page.inner_text(".az-tel-note") == "" and look.page.locator("#az-tel-found").is_hidden()


def test_neighbours_are_links_and_back_goes_back(look, plate):
    first = look.shown()
    assert first == plate.examples[0]
    near = plate.company["gamma"].ids[first]
    rows = look.page.locator(".az-tel-gamma li")
    assert rows.count() == 20
    assert [int(row.split("#")[1].split()[0]) for row in rows.all_inner_texts()] == near.tolist()
    link = rows.nth(0).locator("a")
    link.focus()
    look.page.keyboard.press("Enter")
    look.waits_for(near[0])
    assert look.page.evaluate("() => document.activeElement.className") == "az-tel-title"
    look.page.locator(".az-tel-causal li a").nth(3).click()
    second = plate.company["causal"].ids[near[0]][3]
    look.waits_for(second)
    assert look.page.url.endswith(f"#token-{second}")
    look.page.go_back()
    look.waits_for(near[0])
    look.page.go_back()
    look.waits_for(first)
    look.page.go_forward()
    look.waits_for(near[0])


@pytest.mark.parametrize(("link", "token"), [("#token-57", 57), ("#token-400", 3), ("#token-x", 3), ("#else", 3)])
def test_a_link_opens_its_token(browser, address, link, token):
    with Look(browser, address + link) as opened:
        assert opened.shown() == token and opened.faults == []
        opened.page.evaluate("() => { location.hash = 'token-999999'; }")
        opened.page.wait_for_function("() => document.querySelector('[role=status]').innerText.includes('no token')")
        assert opened.shown() == token


def test_a_click_on_the_sky_takes_the_nearest_star(look):
    sky = look.page.locator(".az-tel-over").bounding_box()
    where = "token => document.querySelector('.az-telescope').azimuthMap.where(token)"
    places = np.array([look.page.evaluate(where, token) for token in range(400)])
    for left, top in ((0.3, 0.4), (0.5, 0.6), (0.7, 0.35), (0.62, 0.5)):
        spot = np.array([left * sky["width"], top * sky["height"]])
        away = np.linalg.norm(places - spot, axis=1)
        aim = places[away.argmin()] + [2, 1]  # beside a star, as fingers are
        expected = int(np.linalg.norm(places - aim, axis=1).argmin())
        look.page.mouse.click(sky["x"] + aim[0], sky["y"] + aim[1])
        look.waits_for(expected)


def test_the_sky_by_keyboard(look):
    over = look.page.locator(".az-tel-over")
    over.focus()
    start = look.shown()
    over.press("Enter")
    assert look.shown() == start, "the crosshair begins at the star in view"
    for key in ["ArrowRight"] * 6 + ["ArrowDown"] * 4 + ["Shift+ArrowLeft", "+", "+"]:
        over.press(key)
    over.press("Enter")
    told = "was => !document.querySelector('.az-tel-facts').innerText.includes(was)"
    look.page.wait_for_function(told, arg=f"token {start} ")
    label = look.page.inner_text(".az-tel-name")
    assert label.endswith(f"#{look.shown()}")
    over.press("0")
    assert over.get_attribute("role") == "application" and "Arrow keys" in over.get_attribute("aria-label")


def test_a_black_hole_names_its_members(look):
    look.page.evaluate("() => { location.hash = 'token-399'; }")
    look.waits_for(399)
    places = look.page.inner_text(".az-tel-places")
    assert "number 1, of 3 tokens" in places and "word397" in places and "word398" in places
    assert look.page.locator(".az-tel-gamma li").first.inner_text().split()[-1] == "0"


def test_hostile_texts_are_shown_and_harm_nothing(look, plate):
    for token in range(len(HOSTILE)):
        look.page.evaluate("token => { location.hash = `token-${token}`; }", token)
        look.waits_for(token)
        assert look.page.text_content(".az-tel-title bdi") == plate.texts[token]
        look.page.fill("#az-tel-query", plate.texts[token][:200] or "x")
    assert look.page.evaluate("() => window.pwned") is None
    inside = look.page.locator(".az-telescope").locator("script, img, [onerror], [onload], [onmouseover], iframe")
    assert inside.count() == 0
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]", look.page.inner_text("main"))
    assert look.page.title() == "Telescope"
    assert plate.texts[0] == tokens.display(HOSTILE[0].encode(), 0)


def test_without_script_the_words_stay(browser, address):
    with Look(browser, address, script=False) as opened:
        assert "The <telescope>: a finder, a map, a card. It opens" in opened.page.inner_text("main")
        assert not any(url.endswith(".js") for url in opened.asked)


def test_a_missing_plate_is_told(browser, tmp_path, plate):
    address = written(tmp_path, plate)
    (tmp_path / "plate.js").unlink()
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("text=did not load")
    context.close()


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", DESK), ("light", PHONE), ("dark", PHONE)])
def test_no_barrier_and_nothing_spills(browser, address, scheme, size):
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    with Look(browser, address + "#token-399", size, scheme) as opened:
        for asked in ("", "word"):
            opened.page.fill("#az-tel-query", asked)
            opened.page.evaluate(axe)
            found = opened.page.evaluate(AXE)["violations"]
            assert [(v["id"], [n["target"] for n in v["nodes"]][:2]) for v in found] == []
        assert opened.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert opened.faults == []


def test_focus_is_visible_wherever_tab_goes(look):
    seen = set()
    for _ in range(60):
        look.page.keyboard.press("Tab")
        kind, style = look.page.evaluate(
            "() => { const here = document.activeElement;"
            " return [here.className || here.tagName, getComputedStyle(here).outlineStyle]; }"
        )
        if kind == "BODY":
            break
        assert style != "none", kind
        seen.add(kind)
    assert {"az-tel-query", "az-tel-button", "az-tel-over", "SELECT", "BUTTON", "az-tel-link"} <= seen


def test_the_page_of_the_book_carries_its_plate_and_others_do_not(browser, tmp_path, planted_model):
    """The chapter alone, built on a small model: the plate comes from the cache, and stays when the page is kept."""
    made = Book(tmp_path / "book", str(planted_model))
    contents = "format: jb-book\nroot: index\nparts:\n- caption: All\n  chapters:\n  - file: book/telescope\n"
    (made.folder / "_toc.yml").write_text(contents)
    (made.folder / "index.md").write_text("# Start\n\nA page without a telescope.\n")
    made.build()
    page, other = (made.site / name for name in ("book/telescope.html", "index.html"))
    plate = made.site / "_static/book-telescope-plate.js"
    scripts = [re.findall(r'src="[^"]*/([\w-]+\.js)\?v=', name.read_text("utf-8")) for name in (page, other)]
    assert scripts[0][-5:] == ["book-telescope-plate.js", *SCRIPTS]
    assert not {"book-telescope-plate.js", *SCRIPTS} & set(scripts[1])
    assert "telescope.css" in page.read_text("utf-8") and "telescope.css" not in other.read_text("utf-8")
    before = plate.read_bytes()
    plate.unlink()
    page.unlink()
    made.build()
    assert plate.read_bytes() == before and page.is_file()
    with Look(browser, page.as_uri() + "#token-79") as opened:
        assert opened.shown() == 79 and opened.faults == []
        assert all(url.startswith("file:") for url in opened.asked)
    with Look(browser, page.as_uri(), script=False) as opened:
        table = opened.page.locator("#tab-telescope table")
        assert table.is_visible() and "nearest to the centroid" in table.inner_text()
        assert "It opens in a browser with JavaScript" in opened.page.inner_text("#fig-telescope")
