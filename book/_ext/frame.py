"""The frame of a page: which build made it, what can be taken home, and the assets that only some pages need.

A page's foot names the commit, the date, the model and the machine of the run that made it. They are noted when the
page is read and kept, so an unchanged page keeps its bytes. Where the frame itself changes (style, templates, contents
list, titles, bibliography), all pages are written again, none is run.
"""

import datetime
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from html import escape
from pathlib import Path

from docutils import nodes
from myst_nb.sphinx_ext import add_global_html_resources
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.environment import BuildEnvironment

from book._ext import metadata

FRAME = ("book/_static", "book/_templates", "references.bib", "_toc.yml")
PLOTLY = "plotly.min.js"


def run_note(root: Path, environment: dict[str, str]) -> dict[str, str]:
    """Commit (with `+` where files differ from it), UTC date, model and machine of a run; no paths, no host name."""
    model = environment.get("AZIMUTH_MODEL") or "smollm2"
    return {
        "commit": commit(root),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "model": Path(model).name if Path(model).exists() else model,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def commit(root: Path) -> str:
    """The short hash of the commit at root, `+` if tracked files differ from it, '' if there is none."""

    def git(*words: str) -> str:
        try:
            return subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    if git("rev-parse", "--show-prefix") or not (found := git("rev-parse", "--short=10", "HEAD")):
        return ""  # no repository, or the book lies inside someone else's
    return found + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def note_run(app: Sphinx, doctree) -> None:
    """Keep, with each page that is read, what its foot will say."""
    if not hasattr(app, "azimuth_run"):
        app.azimuth_run = run_note(Path(app.srcdir), dict(os.environ))
    page = app.env.docname
    executed = "kernelspec" in app.env.metadata[page]
    kept = app.azimuth_run if executed else {**app.azimuth_run, "model": "", "machine": ""}
    app.env.azimuth_runs = {**getattr(app.env, "azimuth_runs", {}), page: kept}


def title_hero(app: Sphinx, doctree: nodes.document) -> None:
    """Begin the landing page's hero with the book's name, large; the page's own heading is for those who listen."""
    for hero in doctree.findall(lambda node: isinstance(node, nodes.Element) and "az-hero" in node.get("classes", [])):
        hero.insert(0, nodes.paragraph("", app.config.html_title, classes=["az-title"]))
        return


def forget_run(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    """A page is read again or gone."""
    getattr(env, "azimuth_runs", {}).pop(page, None)


def merge_runs(app: Sphinx, env: BuildEnvironment, pages: Iterable[str], other: BuildEnvironment) -> None:
    """Take over what another process has read."""
    theirs = getattr(other, "azimuth_runs", {})
    env.azimuth_runs = {
        **getattr(env, "azimuth_runs", {}),
        **{page: theirs[page] for page in pages if page in theirs},
    }


def frame_digest(env: BuildEnvironment, root: Path) -> str:
    """One digest over all that shows on every page."""
    digest = hashlib.sha256()
    for name in FRAME:
        for path in [root / name, *sorted((root / name).rglob("*"))]:
            if path.is_file():
                digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    for page in sorted(env.titles):
        digest.update(f"{page}: {env.titles[page].astext()}\n".encode())
    return digest.hexdigest()


def write_again(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """The pages to write, not run: all where the frame changed, and those that a failed build left behind."""
    digest = frame_digest(env, Path(app.srcdir))
    if getattr(env, "azimuth_frame", None) != digest:
        env.azimuth_frame = digest
        return sorted(env.found_docs)
    return [page for page, read_at in env.all_docs.items() if written_before(app, page, read_at)]


def written_before(app: Sphinx, page: str, read_at: int) -> bool:
    """Whether a page's file is older than what was last read for it (`read_at`, in microseconds)."""
    target = Path(app.outdir, app.builder.get_target_uri(page)) if app.builder.format == "html" else None
    return bool(target) and (not target.exists() or target.stat().st_mtime_ns // 1000 < read_at)


def fill(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Hand the templates what they need, and the page its executed notebook and its scripts."""
    context["azimuth_logo"] = Path(app.srcdir, "book/_static/logo.svg").read_text("utf-8")
    context["azimuth_run"] = getattr(app.env, "azimuth_runs", {}).get(pagename)
    context["azimuth_colophon"] = app.config.azimuth_colophon
    context["azimuth_head"] = lighter_head
    notebook = Path(app.outdir).parent / "jupyter_execute" / f"{pagename}.ipynb"
    if doctree and "kernelspec" in app.env.metadata.get(pagename, {}) and notebook.is_file():
        target = Path(app.outdir, "_sources", f"{pagename}.ipynb")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(take_along(notebook.read_text("utf-8")), "utf-8")
        context["ipynb_source"] = f"{pagename}.ipynb"
    if app.env.metadata.get(pagename, {}).get("azimuth_plotly"):
        app.add_js_file(PLOTLY, defer="defer", priority=400)
    if app.env.metadata.get(pagename, {}).get("azimuth_film"):
        app.add_js_file("film.js", defer="defer", priority=900)


def lighter_head(head: str) -> str:
    """The theme's links without 1.5 MB of icons (azimuth.css draws the ten in use), and basic.css linked.

    The theme's theme.css only imports basic.css; tools that read style sheets by script resolve the import wrongly.
    """
    head = re.sub(r"[^\n]*fontawesome[^\n]*\n", "", head)
    return head.replace("_static/styles/theme.css", "_static/basic.css")


def take_along(notebook: str) -> str:
    """An executed notebook whose cells are called by their place, not by chance: the same run gives the same bytes."""
    content = json.loads(notebook)
    for place, cell in enumerate(content["cells"], start=1):
        cell["id"] = f"cell-{place}"
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def place_assets(app: Sphinx, builder: Builder) -> None:
    """Place what pages link before they are written, so that the first build's links are those of all later ones.

    That is myst-nb's style sheet, and, where a page needs it, the one copy of the installed package's plotly.js.
    """
    if builder.format != "html":
        return
    static = Path(builder.outdir, "_static")
    static.mkdir(parents=True, exist_ok=True)
    add_global_html_resources(app, None)
    if any(note.get("azimuth_plotly") for note in app.env.metadata.values()):
        import plotly

        source = Path(plotly.__file__).parent / "package_data" / PLOTLY
        if not (static / PLOTLY).exists() or (static / PLOTLY).stat().st_size != source.stat().st_size:
            shutil.copyfile(source, static / PLOTLY)


def correct_theme(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Escape the titles that the theme sets as they are, and take MathJax off a page without formulas.

    (Sphinx loads it on the first page for the sake of the others.)
    """
    for title in ("pagetitle", "root_title"):
        if title in context:
            context[title] = escape(context[title])
    if doctree and not any(doctree.findall(lambda node: isinstance(node, nodes.math | nodes.math_block))):
        context["script_files"] = [
            script
            for script in context["script_files"]
            if "mathjax" not in str(getattr(script, "filename", script)).lower()
            and "window.MathJax" not in str(getattr(script, "attributes", ""))
        ]


def setup(app: Sphinx) -> dict:
    """Listen to the events of reading and writing."""
    app.connect("doctree-read", note_run)
    app.connect("doctree-read", title_hero)
    app.connect("env-purge-doc", forget_run)
    app.connect("env-merge-info", merge_runs)
    app.connect("env-updated", write_again, priority=900)
    app.connect("write-started", place_assets)
    app.connect("html-page-context", fill, priority=100)
    app.connect("html-page-context", correct_theme, priority=900)
    return metadata()
