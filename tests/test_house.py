"""The rules of the house, held by tests: who may import whom, what a chapter may contain, what may be committed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the ground up; a room imports only from its own floor or those below it, and pure rooms never from the disk.
# A folder of rooms (compute/models) stands on one floor and counts as one room.
FLOORS = {
    "pure": {
        "associations", "bounds", "catalog", "closest", "density", "dimension", "distinct", "embers", "exact",
        "figures", "figures_benchmarks", "figures_density", "figures_dynamics", "figures_embers",
        "figures_galaxies", "figures_geometry", "figures_goldilocks", "figures_lattice", "figures_nutcracker",
        "figures_quantization", "figures_smoke", "figures_supernova", "figures_sweep", "film", "galaxies",
        "hubs", "lattice", "metric", "neighbors", "quantization", "reconstruction", "residuals", "rounding",
        "sentences", "sentences_ablation", "sentences_density", "sentences_dynamics", "sentences_embers",
        "sentences_embers_answers", "sentences_galaxies", "sentences_geometry", "sentences_goldilocks",
        "sentences_nutcracker", "sentences_smoke", "smoke", "telescope", "tiles", "tokens", "void",
    },
    "disk": {
        "blocks", "cache", "corpus", "fingerprints", "fleet", "goldilocks", "integrity", "models", "paths",
        "searches",
    },
    "door": {
        "__init__", "__main__", "colophon", "contents", "desk", "drawing", "exhibit", "experiments",
        "laboratory", "preparation", "recipes", "results", "results_ablation", "results_blocks",
        "results_density", "results_density_tables", "results_drift", "results_dynamics", "results_embers",
        "results_embers_tables", "results_experiments", "results_galaxies", "results_galaxies_tables",
        "results_geometry", "results_geometry_tables", "results_goldilocks", "results_lattice",
        "results_nutcracker", "results_nutcracker_tables", "results_quantization", "results_recipe",
        "results_recipe_tables", "results_record", "results_smoke", "results_smoke_tables", "results_supernova",
        "results_swarm", "results_sweep", "results_telescope", "results_void", "survey", "sweeping", "sweeps",
        "tables",
    },
}  # fmt: skip
HEIGHT = {module: height for height, floor in enumerate(FLOORS.values()) for module in floor}
CHAPTER_IMPORTS = re.compile(r"compute\.(results|figures|sentences)(_\w+)?|compute\.(exhibit|colophon)")
CELL_LINES = 12


def imported_rooms(source: str) -> set[str]:
    """The modules of compute that some source text imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("compute.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "compute":
            found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("compute."):
            found.add(node.module.split(".")[1])
    return found


def wrong_imports(module: str, source: str) -> list[str]:
    """What `module` imports from a floor above its own."""
    return sorted(f"{module} -> {room}" for room in imported_rooms(source) if HEIGHT[room] > HEIGHT[module])


def chapter_faults(cells: list[str]) -> list[str]:
    """What the code cells of a chapter hold that does not belong into a chapter."""
    faults = []
    for source in cells:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
                faults.append(f"a definition on line {node.lineno} of: {source[:60]!r}")
            if isinstance(node, ast.For | ast.While | ast.comprehension):
                faults.append(f"a loop in: {source[:60]!r}")
            if isinstance(node, ast.Import):
                faults += [f"import {a.name}" for a in node.names if not CHAPTER_IMPORTS.fullmatch(a.name)]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names]
                faults += [f"import {name}" for name in names if not CHAPTER_IMPORTS.fullmatch(name)]
        if len(source.strip().splitlines()) > CELL_LINES:
            faults.append(f"a cell of {len(source.splitlines())} lines: {source[:60]!r}")
    return faults


def pages() -> list[Path]:
    return [
        ROOT / "index.md",
        *sorted((ROOT / "book").glob("*.md")),
        *sorted((ROOT / "book/notes").glob("*.md")),
    ]


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def modules() -> list[Path]:
    return sorted((ROOT / "compute").rglob("*.py"))


def room_of(path: Path) -> str:
    """The room that a file belongs to: a module, or a folder of them."""
    return path.relative_to(ROOT / "compute").parts[0].removesuffix(".py")


def test_every_room_stands_on_a_floor():
    assert {room_of(path) for path in modules()} == set(HEIGHT)


@pytest.mark.parametrize("path", modules(), ids=lambda path: f"{room_of(path)}-{path.stem}")
def test_imports_point_downwards(path):
    assert wrong_imports(room_of(path), path.read_text("utf-8")) == []


def test_an_import_that_points_upwards_is_seen():
    assert wrong_imports("catalog", "from compute.cache import cached") == ["catalog -> cache"]
    assert wrong_imports("models", "def f():\n    import compute.results as r") == ["models -> results"]
    assert wrong_imports("smoke", "from compute import paths") == ["smoke -> paths"]
    assert wrong_imports("results", "from compute import paths, catalog") == []


@pytest.mark.parametrize(
    "path", [path for path in pages() if "{code-cell}" in path.read_text("utf-8")], ids=lambda path: path.stem
)
def test_chapters_call_and_do_not_compute(path):
    notebook = jupytext.read(path)
    assert chapter_faults([cell.source for cell in notebook.cells if cell.cell_type == "code"]) == []


@pytest.mark.parametrize(
    "cell",
    [
        "def f(): pass",
        "[x for x in 'abc']",
        "while True: pass",
        "import numpy as np",
        "from compute import catalog",
        "1\n" * 13,
        "f = lambda: 1",
    ],
)
def test_a_chapter_that_computes_is_seen(cell):
    assert chapter_faults([cell])


def test_pure_rooms_load_neither_torch_nor_a_plotting_kernel():
    rooms = ", ".join(f"compute.{room}" for room in sorted(FLOORS["pure"]) if not room.startswith("figures"))
    heavy = "{'torch', 'plotly', 'matplotlib', 'h5py', 'transformers', 'IPython'}"
    code = f"import sys, {rooms}; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (loaded.returncode, loaded.stderr) == (0, "")


def borrowed_by_compiled_code(source: str) -> set[str]:
    """The names that functions whose machine code numba keeps take from other modules of compute."""
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and "compute" in (node.module or "")]
    borrowed = {alias.asname or alias.name for node in imports for alias in node.names}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    compiled = [node for node in functions if any("cache=True" in ast.unparse(how) for how in node.decorator_list)]
    lines = [line for node in compiled for line in node.body]
    return borrowed & {name.id for line in lines for name in ast.walk(line) if isinstance(name, ast.Name)}


@pytest.mark.parametrize("path", modules(), ids=lambda path: f"{room_of(path)}-{path.stem}")
def test_compiled_code_takes_nothing_from_other_files(path):
    """Numba keeps machine code until the file that it stands in changes: an edit of another file would not be seen."""
    assert not borrowed_by_compiled_code(path.read_text())


def test_compiled_code_that_borrows_is_seen():
    source = "from compute.exact import far\n\n@njit(cache=True)\ndef near(x):\n    return far(x)\n"
    assert borrowed_by_compiled_code(source) == {"far"}
    assert not borrowed_by_compiled_code(source.replace("cache=True", "nogil=True"))


def test_what_is_committed_is_small_and_names_no_machine():
    machine = re.compile(rb"/(?:work|root|home/[a-z]+|Users/[A-Za-z]+)/[A-Za-z_.]")
    registry = re.compile(rb"(?:py" + rb"pi\.org|pythonh" + rb"osted|registry\.npm" + rb"js|deb\.deb" + rb"ian)")
    for path in tracked():
        content = path.read_bytes()
        assert len(content) < 10e6, f"{path} is {len(content) / 1e6:.1f} MB"
        if path != Path(__file__).resolve():
            assert not machine.search(content), f"a path of one machine in {path}"
            assert not registry.search(content), f"a registry's host in {path}"
    assert sum(path.stat().st_size for path in tracked() if "data/results" in str(path)) < 20e6


def cited(text: str) -> set[str]:
    """The citation keys of a page or a docstring."""
    roles = re.findall(r"\{cite(?::[a-z]+)?\}`([^`]+)`", text)
    return {key.strip() for role in roles for key in role.split(",")}


def test_every_citation_has_an_entry_and_every_entry_is_cited():
    entries = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "references.bib").read_text("utf-8"), re.M))
    in_pages = set().union(*(cited(path.read_text("utf-8")) for path in pages()))
    in_code = set()
    for path in modules():
        in_code |= set(re.findall(r"\[([a-z]+\d{4}[a-z0-9]+)[\],]", path.read_text("utf-8")))
    assert in_pages | in_code <= entries
    assert entries <= in_pages | in_code, "an entry that neither a page nor a docstring cites"


def caption(path: Path) -> str:
    """What a file says of itself in its first line."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0].rstrip(".")
    return re.search(r"^# (.+)$", text, re.M)[1]


def tree() -> str:
    """The README's tree: every page, module, extension and benchmark with its own caption."""
    lines = []
    for pattern in ("index.md", "book/*.md", "book/*.py", "book/_ext/*.py", "compute/**/*.py", "benchmarks/*.py"):
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if path.name != "__init__.py" or caption(path):
                lines.append(f"{name.removesuffix('/__init__.py'):<36}{caption(path)}")
    return "\n".join(lines)


def test_the_readme_s_tree_is_the_tree():
    assert tree() in (ROOT / "README.md").read_text("utf-8"), f"README.md should hold:\n{tree()}"
