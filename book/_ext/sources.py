"""The code of `compute/` as pages of the book, so that a figure's mark can show the function that made it.

One page a module, highlighted, each top-level definition under its own name as anchor; and one page that lists them.
They are written again when a source, a title or the style changed, which runs no chapter.
"""

import ast
import hashlib
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.highlighting import PygmentsBridge

from book._ext import metadata

PACKAGE = "compute"
INDEX = "source/index"


def page_of(module: str) -> str:
    """The page that shows a module: `compute.results` is at `source/compute/results`."""
    return "source/" + module.replace(".", "/")


def modules(root: Path) -> dict[str, str]:
    """{module: its text}, sorted."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    return {name_of(path.relative_to(root)): path.read_text("utf-8") for path in files}


def name_of(path: Path) -> str:
    """compute/results.py is compute.results; compute/__init__.py is compute."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def definitions(text: str) -> dict[str, tuple[int, int]]:
    """{name of a top-level function, class or constant: the lines of its first decorator and of its name}."""
    found: dict[str, tuple[int, int]] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = min([node.lineno, *(d.lineno for d in node.decorator_list)]), node.lineno
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, (node.lineno, node.lineno))
    return found


def highlighted(text: str) -> str:
    """A module's text as HTML, with an anchor at each definition."""
    lines = PygmentsBridge("html", "default").highlight_block(text, "python").splitlines()
    before, after = lines[0].split("<pre>")
    lines[0] = after
    for name, (first, last) in definitions(text).items():
        lines[first - 1] = f'<span class="az-definition" id="{escape(name)}">{lines[first - 1]}'
        lines[last - 1] += "</span>"
    body = "\n".join(lines)
    return before.replace('class="highlight"', 'class="highlight" tabindex="0"') + "<pre>" + body


def summary(text: str) -> str:
    """The first sentence of a module's docstring."""
    paragraph = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    return " ".join(paragraph.split())


def pages(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """Yield the pages for Sphinx to write, unless they stand already as they would become."""
    if app.builder.name != "html":
        return
    texts = modules(Path(app.srcdir))
    state = hashlib.sha256(repr((texts, app.env.azimuth_frame)).encode()).hexdigest()
    stamp = Path(app.doctreedir, "azimuth-sources")
    if stamp.exists() and stamp.read_text() == state and Path(app.outdir, f"{INDEX}.html").exists():
        return
    stamp.unlink(missing_ok=True)
    shutil.rmtree(Path(app.outdir, "source"), ignore_errors=True)  # a module that is gone leaves no page
    rows = []
    for module, text in texts.items():
        link = app.builder.get_relative_uri(INDEX, page_of(module))
        rows.append(f'<dt><a href="{link}"><code>{module}</code></a></dt><dd>{escape(summary(text))}</dd>')
        back = app.builder.get_relative_uri(page_of(module), INDEX)
        body = (
            f'<section id="module"><h1><code>{module}</code></h1><p>{escape(summary(text))} '
            f'<a href="{back}">All modules</a></p>\n{highlighted(text)}</section>'
        )
        yield page_of(module), {"title": module, "body": body, "azimuth_wide": True}, "page.html"
    listing = "\n".join(rows)
    body = f'<section id="modules"><h1>The code</h1><dl class="az-modules">{listing}</dl></section>'
    yield INDEX, {"title": "The code", "body": body}, "page.html"
    stamp.write_text(state)


def code_changed(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Have one page written when the sources' text changed, or Sphinx would not write anything at all."""
    digest = hashlib.sha256(repr(modules(Path(app.srcdir))).encode()).hexdigest()
    if getattr(env, "azimuth_sources", None) == digest:
        return []
    env.azimuth_sources = digest
    return [app.config.root_doc]


def setup(app: Sphinx) -> dict:
    """Add the pages after all others."""
    app.connect("env-updated", code_changed)
    app.connect("html-collect-pages", pages)
    return metadata()
