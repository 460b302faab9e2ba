"""A matplotlib figure as inline SVG that takes its inks and its font from the page it stands on.

Text stays text. The same figure gives the same bytes. What matplotlib writes for a file of its own, and what would
spill from one figure to the whole page, is taken out: sizes, a style sheet, names that two figures would share.
"""

import copy
import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

RESOLUTION = 200  # dots per inch of rasterised parts
NARROW = 4.2  # inches: what a phone shows at the size of its text
NARROWER = 0.8  # the page's font, as a share of the width of the font that matplotlib measures with
HEAVIEST_NARROW = 300_000  # characters; a heavier figure is not drawn twice
FONTS = "var(--az-figure-font, 'Source Sans 3', 'Helvetica Neue', Arial, sans-serif)"
# The page's own inks: black is whatever the text is, white whatever the paper is, and the house's colours have a day
# and a night shade in azimuth.css. Any other colour stays as it was drawn.
INKS = {
    "#000000": "currentColor",
    "#ffffff": "var(--az-paper, #ffffff)",
    "#4682b4": "var(--az-ink-measured, #4682b4)",  # steelblue
    "#ff8c00": "var(--az-ink-accent, #ff8c00)",  # darkorange
    "#8c8c8c": "var(--az-ink-control, #8c8c8c)",  # 0.55
    "#b0b0b0": "var(--az-ink-grid, #b0b0b0)",
    "#2e8b57": "var(--az-ink-green, #2e8b57)",  # seagreen
    "#9370db": "var(--az-ink-purple, #9370db)",  # mediumpurple
    "#dc143c": "var(--az-ink-red, #dc143c)",  # crimson
    "#daa520": "var(--az-ink-gold, #daa520)",  # goldenrod
}
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_SIZE = re.compile(r"\b([\d.]+)px")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def narrow_svg(fig: Any, alt: str) -> str:
    """The same figure laid out again for a phone, hidden elsewhere; '' where it has no layout, is heavy or small."""
    width, height = fig.get_size_inches()
    if fig.get_layout_engine() is None or width <= 1.2 * NARROW:
        return ""
    fig = copy.deepcopy(fig)
    fig.set_size_inches(NARROW, min(height, NARROW))
    text = svg(fig, alt, "az-drawing az-narrow", "display: none; ")
    return text if len(text) < HEAVIEST_NARROW else ""


def svg(fig: Any, alt: str, classes: str = "az-drawing", style: str = "") -> str:
    """A figure as one <svg> element that says `alt` to who cannot see it."""
    import matplotlib

    fig, stream = copy.deepcopy(fig), io.BytesIO()  # drawing moves things: the caller's figure stays as it is
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "azimuth"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # in the font measured with; the page has others
        fig.savefig(stream, format="svg", dpi=RESOLUTION, facecolor="none", edgecolor="none", metadata={"Date": None})
    written = _NOT_XML.sub("", stream.getvalue().decode())
    root = ElementTree.fromstring(written)
    prefix = f"f{hashlib.sha256((written + alt).encode()).hexdigest()[:10]}-"
    used = set(re.findall(r"url\(#([^)]+)\)", written))
    used |= {link[1:] for element in root.iter() if (link := element.get(_LINK, "")).startswith("#")}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {_SVG + "metadata", _SVG + "style"}:  # a style here would be the whole page's
                parent.remove(child)
    for element in root.iter():
        _settle(element, prefix, used)
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) * 96 / 72 for side in ("width", "height"))
    root.attrib |= {
        "class": classes,
        "role": "img",
        "aria-label": alt,
        "fill": "currentColor",
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
        "style": f"{style}max-width: {width:.0f}px; aspect-ratio: {width:.0f} / {height:.0f}",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _flow(letters: Sequence[ElementTree.Element]) -> None:
    """Let the letters of a plain power such as 10^-3 follow each other: matplotlib sets each by another font's widths.

    Formulas whose letters step back or jump (fractions, several styles) keep all their places.
    """
    places = [float(letter.get("x", "0").split()[0]) for letter in letters]
    sizes = [float(found[1]) if (found := _SIZE.search(letter.get("style", ""))) else 10.0 for letter in letters]
    steps = [(after - before) / size for before, after, size in zip(places, places[1:], sizes, strict=False)]
    if not steps or not all(0.2 < step < 1.1 for step in steps):
        return
    slack = (1 - NARROWER) * (places[-1] + 0.6 * sizes[-1] - places[0])
    letters[0].set("x", f"{places[0] + slack / 2:g}")  # stay in the middle of the room that was made for it
    for letter in letters[1:]:
        del letter.attrib["x"]
    for letter in letters:
        letter.tail = None  # a line break here would be a space


def _settle(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    """Give one element the page's inks and font, and an id of this figure's own where something refers to it."""
    element.tag = element.tag.removeprefix(_SVG)  # inside HTML no namespace is written
    identity = element.attrib.pop("id", None)
    if identity in used:
        element.set("id", prefix + identity)
    if link := element.attrib.pop(_LINK, ""):  # to a part of this figure, or a picture as a data: address
        element.set("href", f"#{prefix}{link[1:]}" if link.startswith("#") else link)
    if "cmsy10" in element.get("style", "").lower() and element.text == "0":
        element.text = "\N{PRIME}"  # which matplotlib writes as the letter that has its place in TeX's font
    if element.tag == "text":
        _flow([child for child in element if child.tag == _SVG + "tspan"])
    for name, value in element.attrib.items():
        value = value.replace("url(#", f"url(#{prefix}")
        if name in {"style", "fill", "stroke"}:
            value = re.sub(r"#[0-9a-f]{6}\b", lambda found: INKS.get(found[0], found[0]), value)
            value = re.sub(r"font-family: [^;]*", f"font-family: {FONTS}", value)
            value = re.sub(r"(font: [^;]*?px) [^;]*", rf"\1 {FONTS}", value)
        element.set(name, value)
