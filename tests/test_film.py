"""A film in letters shows what it was made from, in Python and in the browser; its exhibit stands without a script."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from compute import exhibit, figures_supernova, film

ROOT = Path(__file__).resolve().parent.parent
PLAYER = ROOT / "book" / "_static" / "film.js"


def cloud(frames: int = 30, points: int = 50, seed: int = 42) -> np.ndarray:
    """Points that drift together and tremble, (frames, points, 2)."""
    rng = np.random.default_rng(seed)
    shape, path = rng.normal(0, 0.1, (points, 2)), np.linspace(0, 1, frames)[:, None] * [0.4, -0.1]
    tremble = np.cumsum(rng.normal(0, 0.002, (frames, points, 2)), axis=0)
    return path[:, None] + shape + tremble


def test_a_film_shows_every_place_within_a_level_and_rounding_never_adds_up():
    for frames in (2, 30, 300):
        given = cloud(frames)
        reel = film.reel(given)
        shown = film.places(reel)
        assert shown.shape == given.shape
        apart = np.abs(shown - given).max(axis=(1, 2))
        assert (apart <= max(reel["unit"] / 2, reel["reach"] / 4095) + 2e-6).all()
        assert len(reel["moves"]) == (frames - 1) * given.shape[1] * 2  # one letter a coordinate and frame


def test_a_leap_of_one_point_is_followed():
    given = np.zeros((4, 3, 2))
    given[2:, 1] = 5.0
    np.testing.assert_allclose(film.places(film.reel(given)), given, atol=5 / 31)


def test_a_cloud_that_is_one_point_and_does_not_move_is_a_film_too():
    np.testing.assert_allclose(film.places(film.reel(np.ones((3, 2, 2)))), 1, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 5, 2), (5, 5, 3), (5, 2), (3, 0, 2)])
def test_what_is_no_film_is_refused(shape):
    with pytest.raises(ValueError, match="two frames or more asked for"):
        film.reel(np.zeros(shape))


def test_a_film_cannot_show_infinity():
    with pytest.raises(ValueError, match="finite asked for"):
        film.reel(np.full((3, 3, 2), np.inf))


def frames_of(places: np.ndarray) -> dict:
    speeds = np.abs(np.random.default_rng(1).normal(0.005, 0.001, places.shape[:2]))
    return {"places": places, "speeds": speeds, "origin": [0.0, 0.0]}


def shown(alt: str = "A cloud drifts <away>."):
    frames = frames_of(cloud(12))
    reel = figures_supernova.film(frames, np.linspace(8, 6, 11))
    strips = (figures_supernova.strip(frames), figures_supernova.strip(frames, columns=2))
    return exhibit.film(reel, *strips, alt=alt)


def test_without_a_script_the_stills_stand_there_alone():
    body = shown().body
    assert body.count('alt="A cloud drifts &lt;away&gt;."') == 1 and "<picture>" in body
    assert re.search(r'<div class="az-film"[^>]* hidden>', body)
    assert "</script>" not in json.dumps(figures_supernova.film(frames_of(cloud(12)), np.zeros(11)))
    with pytest.raises(ValueError, match="alt"):
        shown(" ")


def test_the_words_and_colours_are_one_a_frame():
    reel = figures_supernova.film(frames_of(cloud(12)), np.linspace(8, 6, 11))
    assert len(reel["words"]) == len(reel["colours"]) == reel["frames"] == 12
    assert reel["words"][0] == "step 0, loss 8.00 nats" and reel["words"][-1] == "step 11"


def test_the_film_of_the_book_is_light_enough():
    reel = film.reel(cloud(101, 2048))
    assert len(json.dumps(reel)) < 500_000


@pytest.fixture
def page(browser, tmp_path):
    """The exhibit and its player on a page of its own, opened from the disk."""
    (tmp_path / "film.js").write_text(PLAYER.read_text("utf-8"), "utf-8")
    html = f'<!doctype html><html lang="en"><title>f</title><body>{shown().body}<script src="film.js"></script>'
    (tmp_path / "page.html").write_text(html, "utf-8")
    contexts = []

    def open_page(**wishes):
        contexts.append(browser.new_context(**wishes))
        opened, faults = contexts[-1].new_page(), []
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.goto((tmp_path / "page.html").as_uri())
        return opened, faults

    yield open_page
    for context in contexts:
        context.close()


PIXELS = "() => { const c = document.querySelector('canvas'); return c.toDataURL(); }"


def test_the_player_opens_plays_pauses_and_obeys_the_keyboard(page):
    opened, faults = page()
    assert opened.is_visible("canvas") and opened.input_value("input") == "0"
    first = opened.evaluate(PIXELS)
    opened.focus("input")
    opened.keyboard.press("ArrowRight")
    assert opened.inner_text("output").startswith("step 1,") and opened.evaluate(PIXELS) != first
    opened.click("button")
    assert opened.inner_text("button") == "Pause"
    opened.wait_for_function("() => document.querySelector('input').value === '11'")
    assert opened.inner_text("button") == "Play" and opened.inner_text("output") == "step 11"
    opened.click("button")  # from the beginning again
    opened.wait_for_function("() => Number(document.querySelector('input').value) > 0")
    opened.click("button")
    assert opened.inner_text("button") == "Play" and faults == []


def test_who_wants_less_motion_gets_leaps(page):
    opened, faults = page(reduced_motion="reduce")
    opened.click("button")
    opened.wait_for_function("() => Number(document.querySelector('input').value) > 0")
    assert opened.input_value("input") == "10" and faults == []


def test_without_scripts_nothing_but_the_stills_is_seen(page):
    opened, _ = page(java_script_enabled=False)
    assert opened.is_visible("picture img") and not opened.is_visible("canvas")
