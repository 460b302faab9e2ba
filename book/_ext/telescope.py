"""The telescope's plate on its way from the cache to the one page that needs it.

A page with a telescope says in its exhibit's note which entry of the cache holds the plate. The plate is kept beside
the doctrees when the page is read, and placed among the site's scripts when it is written; no other page loads it.
"""

import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.errors import ExtensionError

from book._ext import metadata

SCRIPTS = ("telescope-parts.js", "telescope-plate.js", "telescope-sky.js", "telescope.js")  # as they need each other
NOTE = "azimuth_plate"  # in a page's metadata: the name of its plate


def keep(app: Sphinx, page: str, note: dict) -> None:
    """Copy the plate out of the cache, where it may be cleaned away, and note that the page needs it."""
    from compute.cache import entries

    made = note["provenance"][0]
    places = [folder / made["function"] / made["key"] / "files" / note["file"] for _, folder in entries.layers()]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ExtensionError(
            f"{page}: the telescope's plate {note['file']} of {made['function']} {made['key'][:12]} is not in the "
            "cache; was it removed while the book was built? Build again"
        )
    name = f"{page.replace('/', '-')}-plate.js"
    target = Path(app.doctreedir, "plates", name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found, target)
    app.env.metadata[page][NOTE] = name


def place(app: Sphinx, builder: Builder) -> None:
    """Place the plates among the site's scripts before pages are written, so that links carry their checksums."""
    if builder.format != "html":
        return
    for note in app.env.metadata.values():
        if name := note.get(NOTE):
            source, target = Path(app.doctreedir, "plates", name), Path(builder.outdir, "_static", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copyfile(source, target)


def load(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Have the page load its plate, and the telescope itself after it."""
    if name := app.env.metadata.get(pagename, {}).get(NOTE):
        app.add_css_file("telescope.css", priority=900)
        app.add_js_file(name, defer="defer", priority=800)
        for place, script in enumerate(SCRIPTS, start=900):
            app.add_js_file(script, defer="defer", priority=place)


def setup(app: Sphinx) -> dict:
    """Listen to writing; reading is `exhibits`' business."""
    app.connect("write-started", place)
    app.connect("html-page-context", load)
    return metadata()
