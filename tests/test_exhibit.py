"""How figures and tables get onto a page: escaped, described, in the page's inks, and the same bytes each time."""

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import ml_dtypes
import numpy as np
import pytest
from conftest import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from compute import drawing, exhibit


@dataclass(frozen=True)
class Papers:
    function: str = "compute.results.norms"
    key: str = "ab" * 32
    seconds: float = 1.5
    date: str = "2026-11-21T10:00:00+00:00"
    versions: dict = field(default_factory=lambda: {"numpy": "2"})
    machine: str = "a machine"
    threads: int = 2
    model: str = "a </script> model"
    arguments: dict = field(default_factory=dict)
    layer: str = "cache"
    code: dict = field(default_factory=lambda: {"compute.results.norms": "0" * 64})


class Made(dict):
    provenance = Papers()


class Elements(HTMLParser):
    """The tags, attributes and texts that a browser would see."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text += data


def line_figure(text: str = "a label", width: float = 7.2) -> Figure:
    figure = Figure(figsize=(width, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1, 4, 9], color="steelblue", label="rises")
    axes.set_xlabel(text, parse_math=False)
    axes.legend()
    return figure


def note_of(shown: exhibit.Exhibit) -> dict:
    html = shown._repr_mimebundle_()["text/html"]
    return json.loads(re.match(r'<script type="[^"]+">(.*?)</script>', html, re.S)[1])


def test_a_figure_must_be_described():
    for alt in ("", "  \n "):
        with pytest.raises(ValueError, match="needs alt="):
            exhibit.figure(line_figure(), alt=alt)


def test_only_figures_and_results_with_provenance_are_taken():
    with pytest.raises(TypeError, match="expected a matplotlib or Plotly figure, got dict"):
        exhibit.figure({}, alt="nothing")
    with pytest.raises(TypeError, match="argument 2 after the figure is a dict without provenance"):
        exhibit.figure(line_figure(), Made(), {}, alt="a line")


def test_two_renderings_of_one_figure_are_the_same_bytes():
    figure = line_figure()
    first = exhibit.figure(figure, alt="a line")
    assert exhibit.figure(figure, alt="a line") == first == exhibit.figure(line_figure(), alt="a line")
    assert line_figure().get_size_inches().tolist() == figure.get_size_inches().tolist()


def test_a_drawing_takes_the_inks_of_the_page():
    svg = drawing.svg(line_figure(), "a line")
    assert "currentColor" in svg and "var(--az-ink-measured, #4682b4)" in svg
    assert "#000000" not in svg and "DejaVu" not in svg
    assert "<text" in svg and ">a label<" in svg, "text stays text"
    assert re.search(r"<svg [^>]*role=\"img\" aria-label=\"a line\"", svg)
    assert "<style" not in svg and "metadata" not in svg and "ns0:" not in svg


def test_powers_run_on_and_primes_are_primes():
    figure = line_figure()
    figure.axes[0].set_yscale("log")
    figure.axes[0].set_title(r"$\gamma'$")
    svg = drawing.svg(figure, "x")
    powers = re.findall(r"<text>\s*(<tspan.*?)</text>", svg, re.S)
    run_on = [power for power in powers if "".join(re.findall(r">([^<]+)<", power)) == "100"]
    assert run_on and all(power.count(" x=") == 1 and ">\n" not in power.strip() for power in run_on)
    assert "\N{PRIME}" in svg and "cmsy" not in svg.lower()


def test_two_figures_on_a_page_share_no_name():
    def names(svg):
        return set(re.findall(r' id="([^"]+)"', svg))

    one, other = drawing.svg(line_figure("one"), "x"), drawing.svg(line_figure("other"), "x")
    assert names(one) and names(other) and not names(one) & names(other)
    for svg in (one, other):
        referred = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
        assert referred <= names(svg)


def test_a_wide_figure_is_drawn_again_for_the_phone():
    shown = exhibit.figure(line_figure(), alt="a line").body
    assert shown.count("<svg") == 2 and shown.count("az-narrow") == 1
    widths = [float(box) for box in re.findall(r'viewBox="0 0 ([\d.]+)', shown)]
    assert widths == pytest.approx([7.2 * 72, drawing.NARROW * 72])
    assert exhibit.figure(line_figure(width=4), alt="a line").body.count("<svg") == 1


def test_night_and_heavy_figures_become_pixels(monkeypatch):
    assert exhibit.figure(line_figure(), alt="a sky", night=True).note["kind"] == "picture"
    monkeypatch.setattr(exhibit, "HEAVIEST_DRAWING", 1000)
    shown = exhibit.figure(line_figure(), alt='a "heavy" one')
    assert shown.note["kind"] == "picture" and 'alt="a &quot;heavy&quot; one"' in shown.body
    assert exhibit.figure(line_figure(), alt='a "heavy" one') == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_a_figure_s_text_is_text(text):
    seen = Elements(drawing.svg(line_figure(text.replace("\n", " ")[:40] or "x"), text))
    assert not {"script", "img", "a"} & set(seen.tags)
    assert not [name for name in seen.attributes if name.startswith("on")]


def test_provenance_travels_in_the_note_and_cannot_end_it():
    shown = exhibit.table({"n": [1]}, Made())
    html = shown._repr_html_()
    assert html.count("</script>") == 1
    [papers] = note_of(shown)["provenance"]
    assert papers["model"] == "a </script> model" and papers["key"] == "ab" * 32
    assert "code" not in papers


def test_a_table_aligns_formats_and_dashes():
    scalar = ml_dtypes.bfloat16(0.5)
    shown = exhibit.table(
        {
            "n": [1234567, -5],
            "x": [np.float32(0.25), np.nan],
            "b": [scalar, None],
            "small": [7.7e-05, 1e20],
            "w": ["a", True],
        },
        formats={"x": ".3f"},
    ).body
    assert "1,234,567" in shown and "\N{MINUS SIGN}5" in shown and "0.250" in shown and ">0.5<" in shown
    assert shown.count("\N{EN DASH}") == 2
    assert "7.7 × 10<sup>\N{MINUS SIGN}5</sup>" in shown and "1 × 10<sup>20</sup>" in shown
    assert shown.count('th scope="col" class="az-number"') == 4 and ">True<" in shown


def test_dates_are_short_and_unbroken():
    shown = exhibit.table({"d": ["2026-11-22T01:13:21+00:00", "2026-11-22", "2026-11-22 or so"]}).body
    assert '<td class="az-date">2026-11-22 01:13</td>' in shown and '<td class="az-date">2026-11-22</td>' in shown
    assert "<td>2026-11-22 or so</td>" in shown


def test_a_table_s_columns_have_one_length_and_formats_have_a_column():
    with pytest.raises(ValueError, match=r"one length; got \{'a': 1, 'b': 2\}"):
        exhibit.table({"a": [1], "b": [1, 2]})
    with pytest.raises(ValueError, match=r"formats for \['c'\]"):
        exhibit.table({"a": [1]}, formats={"c": "d"})


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_token_is_a_text_in_its_cell(text):
    shown = exhibit.table({text: exhibit.tokens([text]), "plain": [text]})
    seen = Elements(shown.body)
    assert set(seen.tags) == {"table", "thead", "tbody", "tr", "th", "td", "code", "bdi"}
    assert set(seen.attributes) <= {"class", "scope", "translate"}
    assert "mathjax_ignore" in shown.body


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_in_a_table_comes_out_as_itself(text):
    seen = Elements(exhibit.table({"token": [exhibit.token(text)]}).body)
    assert seen.tags == ["table", "thead", "tr", "th", "tbody", "tr", "td", "code", "bdi"]
    visible = text.translate({c: 0x2400 + c for c in range(32) if chr(c) not in "\t\n"} | {0x7F: 0x2421})
    assert visible.replace("\r", "\n") in seen.text.replace("\r", "\n")


@pytest.mark.parametrize("in_book", [True, False])
def test_a_plotly_figure_brings_its_numbers_and_no_script(monkeypatch, in_book):
    from plotly import graph_objects

    monkeypatch.setenv("AZIMUTH_BOOK", "1" if in_book else "")

    figure = graph_objects.Figure(graph_objects.Scatter(x=[1, 2], y=[3, 4], text=["</script><b>", "&"]))
    shown = exhibit.figure(figure, alt="two points")
    assert shown.note["kind"] == "interactive"
    assert ("application/vnd.plotly.v1+json" in shown._repr_mimebundle_()) is not in_book
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", shown.body, re.S)
    assert [attributes for attributes, _ in scripts] == [' type="application/json"']
    assert json.loads(scripts[0][1])["data"][0]["text"] == ["</script><b>", "&"]
    assert 'aria-label="two points"' in shown.body and ">two points</p>" in shown.body


def test_a_notebook_shows_the_same_exhibit():
    bundle = exhibit.figure(line_figure(), alt="a line")._repr_mimebundle_()
    assert bundle["text/plain"] == "a line" and "<svg" in bundle["text/html"]
