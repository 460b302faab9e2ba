"""How the chapters run: with this book's own `compute`, and with every number in the prose computed.

The role {eval}`expression:format` asks the page's live kernel for a value and sets it as text, as in
{eval}`len(names):,`. Where that fails, the build fails.
"""

import ast
import os
import re
import sys
from types import TracebackType

from docutils import nodes
from myst_nb.core.execute import inline
from myst_nb.core.execute.base import ExecutionError, NotebookClientBase
from nbclient.exceptions import CellExecutionError
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole
from traitlets import default

from book._ext import metadata

SCIENTIFIC = re.compile(r"(?<![\w.])(\d(?:\.\d+)?)e([+-]\d+)\b")  # as Python writes a power of ten
POWER = re.compile(r"(?<= × 10)\^(\N{MINUS SIGN}?\d+)\^")


class Client(inline.ModifiedNotebookClient):
    """myst-nb's client, whose kernels keep their remarks about local sockets to themselves; errors they still print."""

    @default("extra_arguments")
    def _quiet(self) -> list[str]:
        return ["--IPKernelApp.log_level=40"]


class Eval(SphinxRole):
    """A computed value in a sentence; myst-nb's own role would leave a gap and go on."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Returns one inline node with the text; raises ExtensionError with file, line and reason."""
        renderer = self.inliner.document.attributes.get("nb_renderer")
        try:
            if renderer is None:
                raise ValueError("this page has no code cells, so there is nobody to ask")
            text = ask(renderer.renderer.nb_client, self.text, self.lineno)
        except ValueError as reason:
            place = f"{self.env.doc2path(self.env.docname)}:{self.lineno}"
            raise ExtensionError(f"{place}: {{eval}}`{self.text}` failed: {reason}") from reason
        value = nodes.inline(text, "", classes=["az-value"])
        for index, part in enumerate(POWER.split(text)):  # text, exponent, text, exponent, ..., text
            value += nodes.superscript("", part) if index % 2 else nodes.Text(part)
        return [value], []


def ask(client: NotebookClientBase, request: str, line: int) -> str:
    """The value of `expression:format` in the page's kernel, once all cells above the line have run.

    (myst-nb runs a cell when it comes to show it, so it forgets those that are not shown.) Raises ValueError.
    """
    expression, form = split(request)
    above = [cell for cell in range(len(client.notebook.cells)) if (client.cell_line(cell) or 0) <= line]
    if above:
        client.code_cell_outputs(above[-1])
    outputs = client.eval_variable(f"print(format({expression}, {form!r}), end='')")
    for output in outputs:
        if output.output_type != "stream" or output.name != "stdout":
            raise ValueError(f"{output.get('ename', output.output_type)}: {output.get('evalue', '')}")
    text = "".join(output.text for output in outputs)
    if not text:
        raise ValueError("its text is empty")
    return typeset(text)


def typeset(text: str) -> str:
    """A leading minus as a minus, 7.7e-05 as 7.7 × 10^−5^ (the exponent between carets, for `POWER` to find)."""
    text = "\N{MINUS SIGN}" + text[1:] if text.startswith("-") else text
    return SCIENTIFIC.sub(lambda found: f"{found[1]} × 10^{int(found[2])}^".replace("-", "\N{MINUS SIGN}"), text)


def split(request: str) -> tuple[str, str]:
    """`expression:format` at its last colon that leaves a whole expression before it; the format may be absent.

    Raises ValueError where no part from the beginning is a Python expression.
    """
    for end in [len(request), *(i for i in range(len(request) - 1, 0, -1) if request[i] == ":")]:
        try:
            ast.parse(request[:end].strip(), mode="eval")
        except SyntaxError:
            continue
        return request[:end].strip(), request[end + 1 :].strip()
    raise ValueError("it is no Python expression")


def report(kind: type, error: BaseException, trace: TracebackType | None) -> None:
    """Print of a failed build what the author needs: the cell and its error; jupyter-book prints three tracebacks."""
    chain: list[BaseException] = [error]
    while before := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(before)
    for found in chain:
        if isinstance(found, CellExecutionError | ExtensionError):
            page = next((str(link) for link in chain if isinstance(link, ExecutionError)), "the build")
            print(f"\nazimuth: {page} failed\n{found}", file=sys.stderr)
            return
    sys.__excepthook__(kind, error, trace)


def prepare_kernels(app: Sphinx) -> None:
    """Let the kernels import the `compute` that lies beside this book, and know that they run for the book."""
    os.environ["AZIMUTH_BOOK"] = "1"
    folders = [str(app.srcdir), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, folders)))


def setup(app: Sphinx) -> dict:
    """Put our {eval} and our client in place of myst-nb's."""
    app.setup_extension("myst_nb")
    inline.ModifiedNotebookClient = Client
    sys.excepthook = report
    app.add_role("eval", Eval(), override=True)
    app.connect("builder-inited", prepare_kernels)
    return metadata()
