"""Exhibits on the page: figures and tables get their frame, their number, and the mark that opens their provenance.

`compute.exhibit` writes HTML that begins with a JSON note. Here the note becomes docutils nodes: a figure keeps the
caption and the name of its cell's `mystnb: figure:` option; a table moves into a frame that counts as a table.
"""

import base64
import hashlib
import json
import posixpath
import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

from book._ext import metadata
from book._ext.sources import page_of
from book._ext.telescope import keep

NOTE = re.compile(r'<script type="application/vnd\.azimuth\.exhibit\+json">(.*?)</script>\n?', re.DOTALL)
PIXELS = re.compile(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"')
LOGGER = logging.getLogger(__name__)


class TableFrame(nodes.figure):
    """A table with its caption above; numbered among the tables."""


class ScrollRegion(nodes.General, nodes.Element):
    """What is wider than the page scrolls in here, by keyboard too."""


class Mark(nodes.Inline, nodes.Element):
    """The button at a caption's end."""


class Origin(nodes.General, nodes.Element):
    """What the button opens: one entry for each result that the exhibit was made from."""


class FrameExhibits(SphinxTransform):
    """Replace the outputs that carry a note by framed exhibits."""

    default_priority = 400  # before Sphinx collects images and smart quotes run

    def apply(self, **kwargs) -> None:
        for raw in list(self.document.findall(nodes.raw)):
            if raw.get("format") == "html" and (note := NOTE.match(raw.astext())):
                self.frame(raw, json.loads(note[1]), raw.astext()[note.end() :])

    def frame(self, raw: nodes.raw, note: dict, body: str) -> None:
        bundle = raw.parent.parent if raw.parent.get("mime_type") else raw
        figure = bundle.parent if isinstance(bundle.parent, nodes.figure) else None
        content = self.content(note, body)
        if figure is None:
            LOGGER.warning(
                "an exhibit without number and caption: its cell needs `mystnb: {figure: {name: …, caption: …}}`",
                location=raw,
                type="azimuth",
                subtype="caption",
            )
            figure = nodes.figure("", content)
            bundle.replace_self(figure)
        elif note["kind"] == "table":
            bundle.replace_self(content)
            figure = self.as_table(figure)
        else:
            bundle.replace_self(content)
        figure["classes"] += ["az-exhibit", f"az-{note['kind']}-exhibit"]
        figure["classes"] += [f"az-{name}" for name in ("wide", "night") if note[name]]
        self.add_origin(figure, note["provenance"])

    def content(self, note: dict, body: str) -> nodes.Node:
        if note["kind"] == "picture":
            return self.picture(base64.b64decode(PIXELS.search(body)[1]), note["alt"])
        if note["kind"] == "interactive":
            self.env.metadata[self.env.docname]["azimuth_plotly"] = True
        if note["kind"] == "film":
            self.env.metadata[self.env.docname]["azimuth_film"] = True
        if note["kind"] == "telescope":
            keep(self.app, self.env.docname, note)
        html = nodes.raw("", body, format="html")
        return ScrollRegion("", html, label=note["alt"]) if note["kind"] == "table" else html

    def picture(self, pixels: bytes, alt: str) -> nodes.image:
        """Write the pixels where myst-nb writes its own; Sphinx then copies them, under the name of their hash."""
        path = Path(self.env.mystnb_config.output_folder, hashlib.sha256(pixels).hexdigest() + ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != pixels:
            path.write_bytes(pixels)
        return nodes.image(uri="/" + posixpath.relpath(path.as_posix(), str(self.env.srcdir)), alt=alt)

    def as_table(self, figure: nodes.figure) -> TableFrame:
        """The same frame with its caption first, under the same name."""
        captions = [child for child in figure if isinstance(child, nodes.caption | nodes.legend)]
        rest = [child for child in figure if child not in captions]
        frame = TableFrame("", *captions, *rest, **figure.attributes)
        figure.replace_self(frame)
        for identifier in frame["ids"]:
            self.document.ids[identifier] = frame
        for child in rest:
            if isinstance(child, ScrollRegion) and captions and not child["label"]:
                child["label"] = captions[0].astext()
        return frame

    def add_origin(self, figure: nodes.figure, provenance: list[dict]) -> None:
        if not provenance:
            return
        identifier = f"origin-{self.env.new_serialno('azimuth-origin') + 1}"
        what = "table" if isinstance(figure, TableFrame) else "figure"
        mark = Mark("", target=identifier, label=f"Where this {what} comes from")
        caption = next(figure.findall(nodes.caption), None)
        if caption is None:
            figure += nodes.caption("", "", mark)
        else:
            caption += mark
        figure += Origin("", ids=[identifier], label=f"Where this {what} comes from", provenance=provenance)


def require_text_alternatives(app: Sphinx, doctree: nodes.document) -> None:
    """Fail the build at an image that says nothing to who cannot see it."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            raise ExtensionError(
                f"{app.env.doc2path(app.env.docname)}: the image {posixpath.basename(image['uri'])} has no text "
                "alternative; use exhibit.figure(…, alt='…') or ![alternative](file)"
            )


def visit_scroll_region(translator, node: ScrollRegion) -> None:
    label = escape(node["label"] or "Table")
    translator.body.append(f'<div class="az-scroll" role="region" tabindex="0" aria-label="{label}">\n')


def visit_mark(translator, node: Mark) -> None:
    translator.body.append(
        f' <button type="button" class="az-mark" popovertarget="{node["target"]}" '
        f'aria-label="{node["label"]}"></button>'
    )


def visit_origin(translator, node: Origin) -> None:
    builder, entries = translator.builder, []
    for item in node["provenance"]:
        module, _, name = item["function"].rpartition(".")
        page = builder.get_relative_uri(builder.current_docname, page_of(module))
        rows = origin_rows(item, f"{page}#{name}")
        entries.append("".join(f"<dt>{what}</dt><dd>{text}</dd>" for what, text in rows.items() if text))
    translator.body.append(
        f'<div class="az-origin" id="{node["ids"][0]}" popover role="dialog" aria-label="{node["label"]}">'
        f'<p class="az-origin-title">{node["label"]}</p>'
        + "".join(f"<dl>{entry}</dl>" for entry in entries)
        + "</div>\n"
    )
    raise nodes.SkipNode


def origin_rows(item: dict, source: str) -> dict[str, str]:
    """What is said of one result, as HTML; `source` is the address of the function that made it."""
    arguments = ", ".join(f"{name}={value}" for name, value in (item.get("arguments") or {}).items())
    versions = ", ".join(f"{name} {version}" for name, version in sorted(item["versions"].items()))
    kept = ", from the committed results" if item["layer"] == "shipped" else ""
    threads = f"{item['threads']} thread{'s' * (item['threads'] != 1)}"
    return {
        "made by": f'<a href="{escape(source)}"><code>{escape(item["function"])}</code></a>',
        "model": escape(str(item.get("model") or "")),
        "called with": escape(arguments),
        "took": escape(f"{duration(item['seconds'])} on {item['machine']}, {threads}"),
        "date": escape(f"{str(item['date'])[:16].replace('T', ', ')} UTC{kept}"),
        "versions": escape(versions),
        "key": f"<code>{escape(item['key'])}</code>",
    }


def duration(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms" if seconds >= 0.001 else "under 1 ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def skip(translator, node) -> None:
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict:
    app.add_enumerable_node(
        TableFrame,
        "table",
        html=(lambda self, node: self.visit_figure(node), lambda self, node: self.depart_figure(node)),
    )
    app.add_node(
        ScrollRegion,
        html=(visit_scroll_region, lambda self, node: self.body.append("</div>\n")),
        text=(skip, None),
    )
    app.add_node(Mark, html=(visit_mark, lambda self, node: None), text=(skip, None))
    app.add_node(Origin, html=(visit_origin, None), text=(skip, None))
    app.add_transform(FrameExhibits)
    app.connect("doctree-read", require_text_alternatives)
    return metadata()
