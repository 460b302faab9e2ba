"""How the chapters run: with this book's own `compute`, and with every number in the prose computed or the build failed.

The role {eval}`expression:format` asks the page's live kernel for a value and sets it as text: {eval}`len(names):,`.
"""

import ast
import os

from docutils import nodes
from myst_nb.core.execute.base import NotebookClientBase
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole

from book._ext import VERSION


class Eval(SphinxRole):
    """A computed value in a sentence; unlike myst-nb's, a failing one fails the build."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        expression, spec = split(self.text)
        code = f"print(format({expression}, {spec!r}), end='')"
        renderer = self.inliner.document.attributes.get("nb_renderer")
        outputs = evaluate(renderer.renderer.nb_client, code, self.lineno) if renderer else []
        failed = [output for output in outputs if output.output_type != "stream"]
        if failed or not outputs:
            reason = f"{failed[0].ename}: {failed[0].evalue}" if failed else "it gives nothing"
            raise ExtensionError(
                f"{self.env.doc2path(self.env.docname)}:{self.lineno}: {{eval}}`{self.text}` failed: {reason}"
            )
        text = "".join(output.text for output in outputs)
        if text.startswith("-"):
            text = "\N{MINUS SIGN}" + text[1:]
        return [nodes.inline(text, text, classes=["az-value"])], []


def evaluate(client: NotebookClientBase, code: str, line: int) -> list:
    """Run code in the page's kernel once all cells above the line have run (myst-nb forgets those it does not show)."""
    above = [cell for cell in range(len(client.notebook.cells)) if (client.cell_line(cell) or 0) <= line]
    if above:
        client.code_cell_outputs(above[-1])
    return client.eval_variable(code)


def split(text: str) -> tuple[str, str]:
    """Split `expression:format` at its last colon that leaves a whole expression before it; the format may be absent."""
    for position in range(len(text), 0, -1):
        if position == len(text) or text[position] == ":":
            try:
                ast.parse(text[:position].strip(), mode="eval")
            except SyntaxError:
                continue
            return text[:position].strip(), text[position + 1 :].strip()
    raise ExtensionError(f"{{eval}}`{text}` is no Python expression")


def use_own_package(app: Sphinx) -> None:
    """Let the kernels import the `compute` that lies beside this book, whatever else is installed."""
    folders = [str(app.srcdir), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, folders)))


def setup(app: Sphinx) -> dict:
    app.setup_extension("myst_nb")
    app.add_role("eval", Eval(), override=True)
    app.connect("builder-inited", use_own_package)
    return {"version": VERSION, "parallel_read_safe": True, "parallel_write_safe": True}
