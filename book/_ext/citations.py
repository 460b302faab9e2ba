"""Cited works: the entry shows beside its citation, and the bibliography follows what the pages cite.

Each page carries the entries that it cites in a <template>, which azimuth.js shows on hover, focus or tap.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

import pybtex.plugin
import sphinxcontrib.bibtex.plugin
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinxcontrib.bibtex.domain import Citation
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

from book._ext import metadata


def round_brackets() -> BracketStyle:
    """(Author, year)."""
    return BracketStyle(left="(", right=")")


@dataclass
class AuthorYearRound(AuthorYearReferenceStyle):
    """Author and year, in the brackets that prose uses."""

    bracket_parenthetical: BracketStyle = field(default_factory=round_brackets)
    bracket_textual: BracketStyle = field(default_factory=round_brackets)
    bracket_author: BracketStyle = field(default_factory=round_brackets)
    bracket_label: BracketStyle = field(default_factory=round_brackets)
    bracket_year: BracketStyle = field(default_factory=round_brackets)


def cited(env: BuildEnvironment, page: str) -> Iterator[Citation]:
    """The works that a page cites, in the bibliography's order, without those that it lists itself."""
    domain = env.get_domain("cite")
    keys = {target.key for ref in domain.citation_refs if ref.docname == page for target in ref.targets}
    for citation in domain.citations:
        if citation.key in keys and citation.bibliography_key.docname != page:
            yield citation


def add_previews(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Append the page's cited entries to its body, inert until asked for."""
    if doctree is None or app.builder.format != "html":
        return
    html = pybtex.plugin.find_plugin("pybtex.backends", "html")()
    entries = [
        f'<div data-cites="{escape(citation.citation_id)}">{citation.formatted_entry.text.render(html)}</div>'
        for citation in cited(app.env, pagename)
    ]
    # docutils makes a list of no list items; screen readers and axe want both
    context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
    if entries:
        context["body"] += f'<template id="az-cited">{"".join(entries)}</template>\n'


def bibliography_follows(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Have the bibliography written again, not run, when any page was read: it lists what the pages cite."""
    if not getattr(app, "azimuth_read", False):
        return []
    return sorted({key.docname for key in env.get_domain("cite").bibliographies} & env.found_docs)


def note_reading(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """A page is about to be read."""
    app.azimuth_read = True


def setup(app: Sphinx) -> dict:
    """Offer the style of citing; listen to reading and writing."""
    sphinxcontrib.bibtex.plugin.register_plugin(
        "sphinxcontrib.bibtex.style.referencing", "author_year_round", AuthorYearRound
    )
    app.connect("env-purge-doc", note_reading)
    app.connect("env-updated", bibliography_follows)
    app.connect("html-page-context", add_previews)
    return metadata()
