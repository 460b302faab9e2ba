"""Which pages must run again: those whose code reaches something that has changed since they ran.

Sphinx only looks at a page's own text. A page with code cells also depends on what its cells reach in `compute/` (by
syntax: comments and layout do not count), on the pinned packages, the committed data, and the model. One digest a page
is kept in Sphinx's environment; where it differs, the page is outdated. The colophon speaks of all pages: it is
outdated when any other is, and is read last.
"""

import ast
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from book._ext import metadata

CELL = re.compile(r"^(?P<fence>`{3,}|~{3,}|:{3,})\{code-cell\}[^\n]*\n(?P<body>.*?)^(?P=fence)\s*$", re.M | re.S)
OPTIONS = re.compile(r"\A(?:---\n.*?^---[ \t]*\n|(?::[\w-]+:[^\n]*\n)+)", re.M | re.S)
ASKED = re.compile(r"\{eval\}`([^`]+)`")
WATCHED = ("requirements.lock", "data/models.toml", "data/published", "data/results", "data/benchmarks.json")
CHOSEN = ("AZIMUTH_MODEL", "AZIMUTH_CORPUS", "AZIMUTH_CORPUS_UNSEEN")  # what a reader may put in place of ours
PACKAGE = "compute"


def cells(text: str) -> list[str]:
    """The sources of a page's code cells, without their options."""
    return [OPTIONS.sub("", match["body"]) for match in CELL.finditer(text)]


def reached_names(text: str) -> set[str]:
    """The names of `compute` that a page's cells and {eval} roles mention: `compute.results.norms`, or whole modules.

    A module used in any way but `module.name` counts whole, and so does the package where it is imported as such.
    Cells that are no plain Python (magics) count for the whole package.
    """
    found: set[str] = set()
    modules: dict[str, str] = {}  # the name that the page uses -> the module that it means
    sources = cells(text) + [_expression(request) for request in ASKED.findall(text)]
    trees: list[ast.AST] = []
    for source in sources:
        try:
            trees.append(ast.parse(source))
        except SyntaxError:
            return {PACKAGE}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            modules |= {alias.asname or alias.name: f"{PACKAGE}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE + "."):
            starred = any(alias.name == "*" for alias in node.names)
            found |= {node.module if starred else f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name == PACKAGE or a.name.startswith(PACKAGE + ".")}
    for tree in trees:
        found |= _mentions(tree, modules)
    return {PACKAGE} if PACKAGE in found or f"{PACKAGE}.*" in modules.values() else found


def _expression(request: str) -> str:
    from book._ext.execution import split

    try:
        return split(request)[0]
    except ValueError:
        return "None"  # the build fails at it, with a better message


def _mentions(tree: ast.AST, modules: dict[str, str]) -> set[str]:
    """`module.name` for each attribute of an imported module, and the module where it stands alone."""
    owned = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            found.add(f"{modules[node.value.id]}.{node.attr}")
        elif isinstance(node, ast.Name) and node.id in modules and id(node) not in owned:
            found.add(modules[node.id])
    return found


def code_digest(names: Iterable[str], root: Path) -> str:
    """One digest over the code that the names reach below root; the package's name stands for all of its text."""
    from compute.cache import reach

    names = set(names)
    if PACKAGE in names:
        return package_digest(root)
    try:
        return reach.digest(names, root)
    except (LookupError, SyntaxError) as reason:
        return f"unresolved: {reason}"  # the page runs, and says so better


def package_digest(root: Path) -> str:
    """One digest over the bytes of the package's files."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def inputs_digest(root: Path, environment: Mapping[str, str]) -> str:
    """One digest over what every executed page depends on: pinned packages, committed data, chosen model and texts."""
    digest = hashlib.sha256()
    for name in WATCHED:
        for path in [root / name, *sorted((root / name).rglob("*"))]:
            if path.is_file():
                digest.update(f"{path.relative_to(root)}\n".encode() + _contents(path))
    for variable in CHOSEN:
        value = environment.get(variable, "")
        digest.update(f"{variable} {value}\n".encode())
        for name in filter(None, value.split(os.pathsep)):
            for path in [place := root / Path(name).expanduser(), *sorted(place.glob("*"))]:
                if path.is_file():
                    stat = path.stat()
                    digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _contents(path: Path) -> bytes:
    """A small file by its bytes, a big one by its size and date."""
    stat = path.stat()
    if stat.st_size < 1_000_000:
        return hashlib.sha256(path.read_bytes()).digest()
    return f"{stat.st_size} {stat.st_mtime_ns}".encode()


def digests(
    root: Path, texts: Mapping[str, str], environment: Mapping[str, str], known: dict[str, str]
) -> dict[str, str]:
    """{page: digest} for those of the pages (name: text) that have code cells.

    `known` remembers code digests by names and by the package's bytes, and is brought up to date: where no byte
    changed, nothing is parsed.
    """
    inputs, package, found = inputs_digest(root, environment), package_digest(root), {}
    for stale in [key for key in known if not key.endswith(package)]:
        del known[stale]
    for page, text in texts.items():
        if cells(text):
            names = reached_names(text)
            key = f"{' '.join(sorted(names))} {package}"
            if key not in known:
                known[key] = code_digest(names, root)
            found[page] = f"{known[key]} {inputs}"
    return found


def outdated(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """The pages whose digest is not the one that they ran with, and the colophon if any page is read at all."""
    texts = {page: Path(env.doc2path(page)).read_text("utf-8") for page in env.found_docs}
    if not hasattr(env, "azimuth_known"):
        env.azimuth_known = {}
    app.azimuth_current = digests(Path(app.srcdir), texts, os.environ, env.azimuth_known)
    ran = getattr(env, "azimuth_ran", {})
    stale = {page for page, digest in app.azimuth_current.items() if ran.get(page) != digest}
    colophon = app.config.azimuth_colophon
    if colophon in env.found_docs and (stale | added | changed | removed) - {colophon}:
        stale.add(colophon)
    return sorted(stale - added)


def colophon_last(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Move the colophon to the end of what is read."""
    if app.config.azimuth_colophon in docnames:
        docnames.remove(app.config.azimuth_colophon)
        docnames.append(app.config.azimuth_colophon)


def remember(app: Sphinx, doctree) -> None:
    """A page has run: keep the digest that was taken before it did."""
    env = app.env
    if env.docname in app.azimuth_current:
        env.azimuth_ran = {**getattr(env, "azimuth_ran", {}), env.docname: app.azimuth_current[env.docname]}


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """A page is read again or gone."""
    if hasattr(env, "azimuth_ran"):
        env.azimuth_ran.pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: Iterable[str], other: BuildEnvironment) -> None:
    """Take over what another process has read."""
    theirs = getattr(other, "azimuth_ran", {})
    mine = getattr(env, "azimuth_ran", {})
    env.azimuth_ran = {**mine, **{page: theirs[page] for page in docnames if page in theirs}}


def setup(app: Sphinx) -> dict:
    """Listen to the environment's events."""
    app.add_config_value("azimuth_colophon", "book/colophon", "")
    app.connect("env-get-outdated", outdated)
    app.connect("env-before-read-docs", colophon_last)
    app.connect("doctree-read", remember)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    return metadata()
