"""The table of runs: every page that executes code, when, at which commit, on which model, for how long.

It takes the place of myst-nb's `{nb-exec-table}`, which knows neither commit nor model.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book._ext import metadata
from book._ext.exhibits import ScrollRegion, TableFrame


class Runs(nodes.General, nodes.Element):
    """Stands for the rows until all pages have been read."""


class RunTable(SphinxDirective):
    """`{nb-exec-table}`: a numbered table named tab-runs."""

    def run(self) -> list[nodes.Node]:
        caption = nodes.caption("", "The last run of each page that computes something.")
        frame = TableFrame("", caption, classes=["az-exhibit", "az-table-exhibit"])
        frame += ScrollRegion("", Runs(), label=caption.astext())
        self.set_source_info(frame)
        self.options["name"] = "tab-runs"
        self.add_name(frame)
        return [frame]


def fill_runs(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the rows in their place, by the same code as the chapters' tables."""
    for place in list(doctree.findall(Runs)):
        from compute import exhibit

        columns: dict[str, list] = {"page": [], "date": [], "commit": [], "model": [], "seconds": []}
        for page, data in sorted(app.env.nb_metadata.items()):
            if timing := data.get("exec_data"):
                run = getattr(app.env, "azimuth_runs", {}).get(page, {})
                title = app.env.titles[page].astext()
                row = (title, run.get("date"), run.get("commit"), run.get("model"), timing["runtime"])
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
        body = exhibit.table(columns, formats={"seconds": ".1f"}).body
        place.replace_self(nodes.raw("", body, format="html"))


def setup(app: Sphinx) -> dict:
    """Replace the directive."""
    app.setup_extension("myst_nb")
    app.add_node(Runs)
    app.add_directive("nb-exec-table", RunTable, override=True)
    app.connect("doctree-resolved", fill_runs)
    return metadata()
