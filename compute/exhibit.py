"""Exhibits: how a figure or a table gets onto a page, with what made it.

An exhibit shows itself in a notebook as HTML and tells the book (`book/_ext/exhibits.py`) the rest in a JSON note that
comes first: what kind it is, its text alternative, the provenance of the results it was made from. The book numbers it,
gives it its caption, and ends the caption in a mark that opens the provenance.
"""

import base64
import dataclasses
import html
import io
import json
import numbers
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from compute import drawing

NOTE = "application/vnd.azimuth.exhibit+json"
RESOLUTION = 200  # dots per inch of what is stored as pixels
HEAVIEST_DRAWING = 1_500_000  # characters; an SVG past this becomes pixels
POWER = re.compile(r"(?<![\w.])(\d(?:\.\d+)?)e\+?(-?)0*(\d+)\b")  # as Python writes a power of ten
SPECIAL = {"number", "date"}  # kinds that a cell is set by
DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d\S*)?")


class Token(str):
    """A token's text: set literally, letter for letter, in a frame of its own, and never read as markup."""


def token(text: str) -> Token:
    """Mark a table cell's text as a token's (`compute.tokens.display` makes such texts)."""
    return Token(text)


def tokens(texts: Sequence) -> list:
    """Mark a table column's texts as tokens'; a cell may be a list of texts and shows them side by side."""
    return [Token(text) if isinstance(text, str) else tokens(text) for text in texts]


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """Something to look at: the note for the book, the HTML for a notebook, and what a notebook may like better."""

    note: Mapping[str, Any]
    body: str
    bundle: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        return {"text/html": self._repr_html_(), "text/plain": self.note["alt"], **self.bundle}

    def _repr_html_(self) -> str:
        return f'<script type="{NOTE}">{_script_json(self.note)}</script>\n{self.body}'


def figure(fig: Any, *results: Any, alt: str, wide: bool = False, night: bool = False) -> Exhibit:
    """Show a matplotlib figure (as SVG in the page's inks; as PNG by `night` or where it is heavy) or a Plotly figure.

    `results` are what it was drawn from: their `.provenance` goes into the caption's mark. `alt` says in words what one
    sees. Raises ValueError without `alt`, TypeError where `fig` is no figure or a result has no provenance.
    """
    note = {**_note(results, alt), "wide": wide, "night": night}
    if not note["alt"]:
        raise ValueError("a figure needs alt='…': one or two sentences that say what is seen; got an empty text")
    if hasattr(fig, "to_plotly_json"):
        return _interactive(fig, note)
    if not hasattr(fig, "savefig"):
        raise TypeError(f"expected a matplotlib or Plotly figure, got {type(fig).__name__}")
    body = "" if night else drawing.svg(fig, note["alt"])
    if night or len(body) > HEAVIEST_DRAWING:
        return Exhibit({**note, "kind": "picture"}, _picture(fig, note["alt"]))
    return Exhibit({**note, "kind": "drawing"}, body + drawing.narrow_svg(fig, note["alt"]))


def film(reel: Mapping[str, Any], strip: Any, narrow: Any, *results: Any, alt: str) -> Exhibit:
    """Show a film (`compute.figures_supernova.film`) over its strip of stills, which stands alone without JavaScript.

    strip, narrow: the stills as matplotlib figures, for a page and for a phone. Raises as `figure`.
    """
    note = {**_note(results, alt), "kind": "film", "wide": True, "night": True}
    if not note["alt"]:
        raise ValueError("a film needs alt='…': one or two sentences that say what is seen; got an empty text")
    words = html.escape(note["alt"])
    player = (
        f'<div class="az-film" role="group" aria-label="Player of the film" hidden><canvas role="img" '
        f'aria-label="{words}"></canvas><div class="az-film-bar"><button type="button">Play</button>'
        '<input type="range" min="0" value="0" step="1" aria-label="Step"><output></output></div>'
        f'<script type="application/json">{_script_json(reel)}</script></div>'
    )
    phone = _picture(narrow, note["alt"]).partition('src="')[2].rstrip('">')
    still = _picture(strip, note["alt"])
    return Exhibit(note, f'{player}<picture><source media="(max-width: 640px)" srcset="{phone}">{still}</picture>')


def telescope(plate: Any, *results: Any, alt: str) -> Exhibit:
    """Show the telescope over a plate (`compute.results_telescope.plate`), which the book hands to the page.

    Without JavaScript, or outside of the book, the words in `alt` stand in its place. Raises as `figure`.
    """
    note = {**_note((plate, *results), alt), "kind": "telescope", "wide": True, "night": False}
    if not note["alt"]:
        raise ValueError("a telescope needs alt='…': one or two sentences that say what it shows; got an empty text")
    label = html.escape(note["alt"])
    body = (
        f'<div class="az-telescope" role="group" aria-label="{label}"><p class="az-telescope-missing">{label} '
        "It opens in a browser with JavaScript.</p></div>"
    )
    return Exhibit({**note, "file": plate["file"].name}, body)


def table(
    columns: Mapping[str, Sequence[Any]],
    *results: Any,
    alt: str = "",
    formats: Mapping[str, str] | None = None,
) -> Exhibit:
    """Show columns of equal length as a table: numbers right-aligned, by `formats`; tokens letter for letter.

    Raises ValueError for columns of different lengths or a format for no column, TypeError for a result without
    provenance.
    """
    formats = dict(formats or {})
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of a table have one length; got {lengths}")
    if unknown := set(formats) - set(columns):
        raise ValueError(f"formats for {sorted(unknown)}, but the columns are {list(columns)}")
    cells = [[_cell(value, formats.get(name, "")) for value in column] for name, column in columns.items()]
    numeric = [bool(column) and all(kind == "number" for kind, _ in column) for column in cells]
    head = "".join(
        f'<th scope="col"{_class("number") if right else ""}>{_escape(name)}</th>'
        for name, right in zip(columns, numeric, strict=True)
    )
    rows = [
        "".join(f"<td{_class(kind) if kind in SPECIAL else ''}>{text}</td>" for kind, text in row)
        for row in zip(*cells, strict=True)
    ]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return Exhibit(
        {**_note(results, alt), "kind": "table", "wide": False, "night": False},
        f'<table class="az-table tex2jax_ignore mathjax_ignore">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>",
    )


def _cell(value: Any, spec: str) -> tuple[str, str]:
    """One cell's kind (token, tokens, number, date, text) and its HTML; nothing and NaN become a dash."""
    if isinstance(value, Token):
        return "token", f'<code class="az-token" translate="no"><bdi>{_escape(value)}</bdi></code>'
    if isinstance(value, list):
        return "tokens", " ".join(_cell(item, spec)[1] for item in value)
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()  # NumPy's and ml_dtypes' scalars become Python's
    if value is None or value != value:
        return "number", "\N{EN DASH}"
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        spec = spec or (",d" if isinstance(value, numbers.Integral) else ".4g")
        written = POWER.sub(r"\1 × 10<sup>\2\3</sup>", _escape(format(value, spec)))
        return "number", written.replace("-", "\N{MINUS SIGN}")
    text = format(value, spec)
    if DATE.fullmatch(text):
        return "date", text[:16].replace("T", " ")
    return "text", _escape(text)


def _class(kind: str) -> str:
    return f' class="az-{kind}"'


def _escape(text: str) -> str:
    """Text as HTML; control characters, which HTML cannot hold, as the pictures that Unicode has of them."""
    pictures = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
    return html.escape(text.translate(pictures))


def _picture(fig: Any, alt: str) -> str:
    """A matplotlib figure as pixels, inline."""
    stream = io.BytesIO()
    fig.savefig(stream, format="png", dpi=RESOLUTION, metadata={"Software": None})
    pixels = base64.b64encode(stream.getvalue()).decode()
    return f'<img class="az-picture" alt="{html.escape(alt)}" src="data:image/png;base64,{pixels}">'


def _interactive(fig: Any, note: Mapping[str, Any]) -> Exhibit:
    """A Plotly figure: its data for the book's one copy of plotly.js, and itself for a notebook that has its own."""
    height = fig.layout.height or 480
    body = (
        f'<div class="az-plotly" role="group" aria-label="{html.escape(note["alt"])}" style="min-height: {height}px">'
        f'<p class="az-plotly-missing">{html.escape(note["alt"])}</p>'
        f'<script type="application/json">{_escaped(fig.to_json())}</script></div>'
    )
    # the book has its own plotly.js, and would warn of a format that it does not know; JupyterLab has plotly's renderer
    bundle = {} if os.environ.get("AZIMUTH_BOOK") else {"application/vnd.plotly.v1+json": json.loads(fig.to_json())}
    return Exhibit({**note, "kind": "interactive"}, body, bundle)


def _note(results: Sequence[Any], alt: str) -> dict[str, Any]:
    """What every exhibit tells: its text alternative and where it came from."""
    for position, result in enumerate(results, start=1):
        if not hasattr(result, "provenance"):
            raise TypeError(
                f"argument {position} after the figure is a {type(result).__name__} without provenance; "
                "pass what compute.results returned, not a value taken out of it"
            )
    provenance = [dataclasses.asdict(result.provenance) for result in results]
    for item in provenance:
        item.pop("code", None)  # a digest for each definition reached: `python -m compute why` tells those
    return {"alt": " ".join(alt.split()), "provenance": provenance}


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return _escaped(json.dumps(value, sort_keys=True))


def _escaped(text: str) -> str:
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
