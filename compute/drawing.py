"""A matplotlib figure as inline SVG that takes its inks and its font from the page it stands on.

Text stays text. The same figure gives the same bytes. What matplotlib writes for a file of its own, and what would
spill from one figure to the whole page, is taken out: sizes, a style sheet, names that two figures would share.
"""

import copy
import hashlib
import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

RESOLUTION = 200  # dots per inch of rasterised parts
NARROW = 4.2  # inches: what a phone shows at the size of its text
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


def _settle(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    """Give one element the page's inks and font, and an id of this figure's own where something refers to it."""
    element.tag = element.tag.removeprefix(_SVG)  # inside HTML no namespace is written
    identity = element.attrib.pop("id", None)
    if identity in used:
        element.set("id", prefix + identity)
    if link := element.attrib.pop(_LINK, ""):  # to a part of this figure, or a picture as a data: address
        element.set("href", f"#{prefix}{link[1:]}" if link.startswith("#") else link)
    if element.tag == "tspan" and " " in element.get("x", ""):
        element.set("x", element.get("x").split()[0])  # letters set one by one, for a font that the page has not
    for name, value in element.attrib.items():
        value = value.replace("url(#", f"url(#{prefix}")
        if name in {"style", "fill", "stroke"}:
            value = re.sub(r"#[0-9a-f]{6}\b", lambda found: INKS.get(found[0], found[0]), value)
            value = re.sub(r"font-family: [^;]*", f"font-family: {FONTS}", value)
            value = re.sub(r"(font: [^;]*?px) [^;]*", rf"\1 {FONTS}", value)
        element.set(name, value)
