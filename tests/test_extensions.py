"""The book's Sphinx extensions, each on the smallest thing it can be shown on."""

import base64
import json
import subprocess
from types import SimpleNamespace

import pytest
from docutils import frontend, nodes, utils
from sphinx.errors import ExtensionError

from book import _ext
from book._ext import execution, exhibits, frame, sources, staleness

PAGE = """# A page

```{{code-cell}}
:tags: [remove-cell]
from compute import results, figures as drawn
value = results.{name}()
```

Text with {{eval}}`results.{asked}(1)["a:b"]:.3f` in it.
"""


@pytest.fixture
def root(tmp_path):
    """A package `compute` of two modules, and the data around it."""
    (tmp_path / "compute").mkdir()
    (tmp_path / "compute/__init__.py").write_text("")
    (tmp_path / "compute/results.py").write_text(
        "from compute import figures\n\nLIMIT = 3\n\n\ndef used():\n    return figures.WIDTH\n\n\n"
        "def asked(n):\n    return LIMIT\n\n\ndef idle():\n    return 7\n"
    )
    (tmp_path / "compute/figures.py").write_text("WIDTH = 2\nHEIGHT = 5\n")
    (tmp_path / "requirements.lock").write_text("numpy==2\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/models.toml").write_text("[smollm2]\n")
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# staleness


def test_the_names_that_a_page_reaches():
    assert staleness.reached_names(PAGE.format(name="used", asked="asked")) == {
        "compute.results.used",
        "compute.results.asked",
    }
    cell = "```{{code-cell}}\n{}\n```\n"
    for source, names in {
        "from compute.results import norms as n\nn()": {"compute.results.norms"},
        "from compute import results as r\nr.norms": {"compute.results.norms"},
        "from compute import results\nprint(results)": {"compute.results"},
        "import compute.results": {"compute.results"},
        "import compute": {"compute"},
        "from compute import *": {"compute"},
        "from compute.results import *": {"compute.results"},
        "%matplotlib inline": {"compute"},
        "import numpy\nresults.norms()": set(),
        "---\ntags: [x]\n---\nfrom compute import results\nresults.norms()": {"compute.results.norms"},
    }.items():
        assert staleness.reached_names(cell.format(source)) == names, source


def test_cells_are_found_behind_any_fence_and_without_their_options():
    page = "```{code-cell} ipython3\n:tags: [a]\nx = 1\n```\n\n````{code-cell}\n---\ntags: [b]\n---\ny = '```'\n````\n"
    assert staleness.cells(page) == ["x = 1\n", "y = '```'\n"]
    assert staleness.cells("```python\nx\n```\n") == []


def digest(root, name="used", environment=None, known=None):
    texts = {"page": PAGE.format(name=name, asked="asked"), "prose": "# No cells"}
    found = staleness.digests(root, texts, environment or {}, {} if known is None else known)
    assert set(found) == {"page"}
    return found["page"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("compute/results.py", "LIMIT = 3", "LIMIT = 4"),
        ("compute/figures.py", "WIDTH = 2", "WIDTH = 3"),
        ("requirements.lock", "numpy==2", "numpy==3"),
        ("data/models.toml", "smollm2", "smollm3"),
    ],
)
def test_what_a_page_reaches_changes_its_digest(root, file, old, new):
    before = digest(root)
    edit(root / file, old, new)
    assert digest(root) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("compute/results.py", "return 7", "return 8"),
        ("compute/results.py", "def used():", "# why\ndef used():\n    'What it gives.'"),
        ("compute/results.py", "LIMIT = 3", "LIMIT  =  3"),
        ("compute/figures.py", "HEIGHT = 5", "HEIGHT = 6"),
    ],
)
def test_what_a_page_does_not_reach_does_not(root, file, old, new):
    known = {}
    before = digest(root, known=known)
    edit(root / file, old, new)
    assert digest(root) == before == digest(root, known=known)


def test_published_and_shipped_files_count(root):
    before = digest(root)
    (root / "data/published").mkdir()
    (root / "data/published/facts.csv").write_text("1")
    after = digest(root)
    (root / "data/published/facts.csv").write_text("2")
    assert len({before, after, digest(root)}) == 3


def test_the_model_counts_by_name_and_by_file(root, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"1234")
    here = {"AZIMUTH_MODEL": str(model)}
    before = digest(root, environment=here)
    assert before != digest(root) and before == digest(root, environment=here)
    (model / "model.safetensors").write_bytes(b"12345")
    assert before != digest(root, environment=here)


def test_a_name_that_does_not_exist_is_no_crash(root):
    assert digest(root, name="gone").startswith("unresolved")


def test_nothing_is_parsed_where_no_byte_changed(root, monkeypatch):
    known = {}
    before = digest(root, known=known)
    monkeypatch.setattr(staleness, "code_digest", lambda *_: pytest.fail("parsed again"))
    assert digest(root, known=known) == before


def application(root, pages):
    texts = {name: root / f"{name}.md" for name in pages}
    for name, text in pages.items():
        texts[name].parent.mkdir(exist_ok=True)
        texts[name].write_text(text)
    env = SimpleNamespace(found_docs=set(pages), doc2path=lambda name: str(texts[name]), docname="")
    return SimpleNamespace(srcdir=root, config=SimpleNamespace(azimuth_colophon="book/colophon"), env=env), env


def test_outdated_pages_and_the_colophon_after_them(root, monkeypatch):
    monkeypatch.delenv("AZIMUTH_MODEL", raising=False)
    page = PAGE.format(name="used", asked="asked")
    app, env = application(root, {"book/a": page, "book/b": "# prose", "book/colophon": "# colophon"})

    def read(names):
        for name in names:
            env.docname = name
            staleness.remember(app, None)

    assert staleness.outdated(app, env, set(env.found_docs), set(), set()) == []  # all are new: Sphinx knows
    read(env.found_docs)
    assert staleness.outdated(app, env, set(), set(), set()) == []
    edit(root / "compute/figures.py", "WIDTH = 2", "WIDTH = 3")
    assert staleness.outdated(app, env, set(), set(), set()) == ["book/a", "book/colophon"]
    assert staleness.outdated(app, env, set(), set(), set()) == ["book/a", "book/colophon"], "until it has run"
    read(["book/a", "book/colophon"])
    assert staleness.outdated(app, env, set(), set(), set()) == []
    assert staleness.outdated(app, env, set(), {"book/b"}, set()) == ["book/colophon"]
    assert staleness.outdated(app, env, set(), {"book/colophon"}, set()) == []
    staleness.forget(app, env, "book/a")
    assert "book/a" in staleness.outdated(app, env, set(), set(), set())
    order = ["book/colophon", "index"]
    staleness.colophon_last(app, env, order)
    assert order == ["index", "book/colophon"]


def test_what_another_process_read_is_taken_over():
    env = SimpleNamespace(azimuth_ran={"a": "1"})
    staleness.merge(None, env, {"b"}, SimpleNamespace(azimuth_ran={"b": "2", "c": "3"}))
    assert env.azimuth_ran == {"a": "1", "b": "2"}


# execution


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("x", ("x", "")),
        ("x:,", ("x", ",")),
        ("x[1:2]", ("x[1:2]", "")),
        ("x[1:2]:.3f", ("x[1:2]", ".3f")),
        ('d["a:b"]:>10', ('d["a:b"]', ">10")),
        ("{1: 2}", ("{1: 2}", "")),
        ("lambda: 1", ("lambda: 1", "")),
        ('f"{x:.2f}"', ('f"{x:.2f}"', "")),
    ],
)
def test_expression_and_format_are_told_apart(request_, expected):
    assert execution.split(request_) == expected


def test_what_is_no_expression_is_refused():
    with pytest.raises(ValueError, match="no Python expression"):
        execution.split("x = 1")


@pytest.mark.parametrize(
    ("written", "set_"),
    [
        ("-1.5", "\N{MINUS SIGN}1.5"),
        ("7.7e-05", "7.7 × 10^\N{MINUS SIGN}5^"),
        ("is 1e+20 or so", "is 1 × 10^20^ or so"),
        ("smollm2", "smollm2"),
        ("a1e-05", "a1e-05"),
        ("well-known", "well-known"),
    ],
)
def test_numbers_are_typeset(written, set_):
    assert execution.typeset(written) == set_
    assert "^" not in "".join(execution.POWER.split(set_))


class Client:
    """A kernel that remembers what ran and evaluates in this process."""

    def __init__(self, names):
        self.notebook = SimpleNamespace(cells=[0, 1, 2])
        self.names, self.ran = names, []

    def cell_line(self, cell):
        return 10 * cell

    def code_cell_outputs(self, cell):
        self.ran.append(cell)

    def eval_variable(self, code):
        out = []
        try:
            exec(code, {**self.names, "print": lambda text, end: out.append(text)})
        except NameError as error:
            return [SimpleNamespace(output_type="error", get={"ename": "NameError", "evalue": str(error)}.get)]
        return [SimpleNamespace(output_type="stream", name="stdout", text=text) for text in out]


def test_a_value_is_asked_for_once_the_cells_above_have_run():
    client = Client({"x": -1234.5})
    assert execution.ask(client, "x:,.1f", line=15) == "\N{MINUS SIGN}1,234.5"
    assert client.ran == [1]


def test_a_failing_value_is_an_error():
    with pytest.raises(ValueError, match="NameError: name 'y' is not defined"):
        execution.ask(Client({}), "y", line=5)
    with pytest.raises(ValueError, match="empty"):
        execution.ask(Client({"y": ""}), "y", line=5)


def test_a_failed_build_says_which_cell(capsys):
    from myst_nb.core.execute.base import ExecutionError

    outer = RuntimeError("There was an error in building your book.")
    outer.__cause__ = ExecutionError("book/a.md")
    outer.__cause__.__cause__ = ExtensionError("the reason")
    execution.report(RuntimeError, outer, None)
    assert capsys.readouterr().err == "\nazimuth: book/a.md failed\nthe reason\n"


# exhibits


PAPERS = {
    "function": "compute.results.norms",
    "key": "ab" * 32,
    "seconds": 1.25,
    "date": "2026-11-21T10:20:30+00:00",
    "versions": {"numpy": "2"},
    "machine": "a <machine>",
    "threads": 2,
    "model": "<script>",
    "arguments": {"bins": 3},
    "layer": "shipped",
}


def output(kind, body, provenance=(), night=False):
    """A cell's output as myst-nb hands it on: a figure with a caption around a bundle around raw HTML."""
    note = {"alt": "what is seen", "provenance": list(provenance), "wide": False, "night": night, "kind": kind}
    html = f'<script type="application/vnd.azimuth.exhibit+json">{json.dumps(note)}</script>\n{body}'
    raw = nodes.raw("", html, format="html")
    bundle = nodes.container("", nodes.container("", raw, mime_type="text/html"), nb_element="mime_bundle")
    return nodes.figure("", bundle, nodes.caption("", "A caption"), names=["fig-x"], ids=["fig-x"])


def framed(tmp_path, *figures):
    document = utils.new_document("page.md", frontend.get_default_settings())
    counter = iter(range(9))
    document.settings.env = SimpleNamespace(
        docname="page",
        srcdir=tmp_path,
        metadata={"page": {}},
        mystnb_config=SimpleNamespace(output_folder=str(tmp_path / "jupyter_execute")),
        new_serialno=lambda _: next(counter),
        app=None,
    )
    document += figures
    for figure in figures:
        document.ids[figure["ids"][0]] = figure
    exhibits.FrameExhibits(document).apply()
    return document


def test_a_drawing_is_framed_and_marked(tmp_path):
    document = framed(tmp_path, output("drawing", "<svg></svg>", [PAPERS]))
    [figure] = document.findall(nodes.figure)
    assert figure["classes"] == ["az-exhibit", "az-drawing-exhibit"] and figure["ids"] == ["fig-x"]
    assert [type(child) for child in figure] == [nodes.raw, nodes.caption, exhibits.Origin]
    assert figure[0].astext() == "<svg></svg>"
    assert isinstance(figure[1][-1], exhibits.Mark) and figure[1][-1]["target"] == figure[2]["ids"][0]


def test_a_table_counts_as_a_table_with_its_caption_first(tmp_path):
    document = framed(tmp_path, output("table", "<table></table>"))
    [frame_] = document.findall(exhibits.TableFrame)
    assert [type(child) for child in frame_] == [nodes.caption, exhibits.ScrollRegion]
    assert document.ids["fig-x"] is frame_ and frame_["names"] == ["fig-x"]
    assert not list(document.findall(exhibits.Mark)), "no mark where no result was given"


def test_a_picture_becomes_a_file_with_an_alternative(tmp_path):
    pixels = base64.b64encode(b"\x89PNG pixels").decode()
    document = framed(tmp_path, output("picture", f'<img src="data:image/png;base64,{pixels}">', night=True))
    [image] = document.findall(nodes.image)
    assert image["alt"] == "what is seen" and image["uri"].startswith("/jupyter_execute/")
    assert (tmp_path / image["uri"][1:]).read_bytes() == b"\x89PNG pixels"
    assert "az-night" in image.parent["classes"]


def test_a_turnable_figure_asks_for_plotly(tmp_path):
    document = framed(tmp_path, output("interactive", "<div></div>"))
    assert document.settings.env.metadata["page"] == {"azimuth_plotly": True}


def test_html_without_a_note_is_left_alone(tmp_path):
    raw = nodes.raw("", "<b>bold</b>", format="html")
    document = framed(tmp_path, nodes.figure("", raw, ids=["x"]))
    assert document[0][0] is raw


def test_the_mark_opens_escaped_papers_that_link_to_the_source():
    builder = SimpleNamespace(current_docname="book/page", get_relative_uri=lambda _, to: f"../{to}.html")
    translator = SimpleNamespace(body=[], builder=builder)
    mark = exhibits.Mark("", target="origin-1", label="Where this figure comes from")
    exhibits.visit_mark(translator, mark)
    with pytest.raises(nodes.SkipNode):
        exhibits.visit_origin(
            translator, exhibits.Origin("", ids=["origin-1"], label="Where from", provenance=[PAPERS])
        )
    html = "".join(translator.body)
    assert 'popovertarget="origin-1"' in html and 'id="origin-1"' in html and 'aria-label="Where' in html
    assert 'href="../source/compute/results.html#norms"' in html
    assert "<script>" not in html and "&lt;script&gt;" in html and "a &lt;machine&gt;" in html
    assert PAPERS["key"] in html and "1.2 s on" in html and "2026-11-21, 10:20 UTC, from the committed" in html


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1e-5, "under 1 ms"), (0.25, "250 ms"), (12.34, "12.3 s"), (600, "10 min"), (9000, "2.5 h")],
)
def test_times_are_said_as_people_say_them(seconds, said):
    assert exhibits.duration(seconds) == said


def test_an_image_that_says_nothing_fails_the_build():
    document = utils.new_document("page.md", frontend.get_default_settings())
    app = SimpleNamespace(env=SimpleNamespace(docname="page", doc2path=lambda name: f"{name}.md"))
    document += nodes.image(uri="a.png", alt="an alternative")
    exhibits.require_text_alternatives(app, document)
    document += nodes.image(uri="folder/b.png", alt=" ")
    with pytest.raises(ExtensionError, match=r"page\.md: the image b\.png has no text alternative"):
        exhibits.require_text_alternatives(app, document)


# sources


SOURCE = '''"""What it is. More.

Details."""

LIMIT: int = 3
A = B = 1


@first
@second(1)
def shown(a="<b>"):
    """A text
    over lines."""


class Kind:
    inner = 1
'''


def test_definitions_are_anchored_where_they_begin():
    assert sources.definitions(SOURCE) == {
        "LIMIT": (5, 5),
        "A": (6, 6),
        "B": (6, 6),
        "shown": (9, 11),
        "Kind": (16, 16),
    }
    html = sources.highlighted(SOURCE)
    for name in ("LIMIT", "shown", "Kind"):
        assert html.count(f'id="{name}"') == 1
    assert "<b>" not in html and html.count("<span") == html.count("</span>")
    assert html.index('id="shown"') < html.index("@first")
    assert sources.summary(SOURCE) == "What it is. More."


def test_modules_have_pages(root):
    assert list(sources.modules(root)) == ["compute", "compute.figures", "compute.results"]
    assert sources.page_of("compute.results") == "source/compute/results"


# frame


def git(folder, *words):
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_run_names_its_commit_model_and_machine_but_no_path(tmp_path, root):
    git(root, "init", "-q")
    git(root, "add", "requirements.lock")
    git(root, "commit", "-qm", "First")
    head = git(root, "rev-parse", "--short=10", "HEAD")
    assert frame.commit(root) == head
    edit(root / "requirements.lock", "2", "3")
    assert frame.commit(root) == head + "+"
    assert frame.commit(root / "compute") == "", "a book inside another repository is not that repository's"
    note = frame.run_note(root, {"AZIMUTH_MODEL": str(root / "data")})
    assert note["model"] == "data" and str(tmp_path) not in json.dumps(note)
    assert frame.run_note(root, {})["model"] == "smollm2"


def test_the_frame_changes_with_titles_and_styles_only(root):
    env = SimpleNamespace(titles={"a": nodes.title("", "A")})
    (root / "book/_static").mkdir(parents=True)
    (root / "book/_static/azimuth.css").write_text("a")
    before = frame.frame_digest(env, root)
    (root / "book/page.md").write_text("prose")
    assert frame.frame_digest(env, root) == before
    (root / "book/_static/azimuth.css").write_text("b")
    after = frame.frame_digest(env, root)
    env.titles["a"] = nodes.title("", "B")
    assert len({before, after, frame.frame_digest(env, root)}) == 3


def test_a_page_left_behind_by_a_failed_build_is_written(tmp_path):
    builder = SimpleNamespace(format="html", get_target_uri=lambda page: f"{page}.html")
    app = SimpleNamespace(outdir=tmp_path, builder=builder)
    assert frame.written_before(app, "a", read_at=0)
    (tmp_path / "a.html").write_text("x")
    written = (tmp_path / "a.html").stat().st_mtime_ns // 1000
    assert not frame.written_before(app, "a", read_at=written)
    assert frame.written_before(app, "a", read_at=written + 10)


def test_executed_notebooks_are_called_by_place():
    chance = json.dumps({"cells": [{"id": "9f3a", "source": "ü"}, {"id": "77"}], "nbformat": 4})
    kept = json.loads(frame.take_along(chance))
    assert [cell["id"] for cell in kept["cells"]] == ["cell-1", "cell-2"] and kept["cells"][0]["source"] == "ü"


def test_an_edit_to_an_extension_reads_all_pages_again(tmp_path, monkeypatch):
    (tmp_path / "extension.py").write_text("one = 1")
    monkeypatch.setattr(_ext, "_SOURCES", [tmp_path / "extension.py"])
    before = _ext.metadata()
    assert before == _ext.metadata() and before["parallel_read_safe"] and before["parallel_write_safe"]
    (tmp_path / "extension.py").write_text("one = 2")
    assert _ext.metadata()["env_version"] != before["env_version"] > 0
