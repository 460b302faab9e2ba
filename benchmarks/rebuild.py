"""How long the author waits: a first build, a build after nothing changed, and one after one chapter was edited.

The peer of the empty rebuild is an empty jupyter-book of as many pages, built without any of this book's machinery,
in turn with ours. Wall seconds; the model is already fetched, the cache of results empty at first.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compute.models.sources import fetch
from compute.paths import models_folder, root

ROUNDS = 5


def main() -> list[dict]:
    """Measure; returns one row a question."""
    fetch("smollm2")
    with tempfile.TemporaryDirectory() as scratch:
        book, empty = Path(scratch, "book"), Path(scratch, "empty")
        subprocess.run(["git", "clone", "-q", str(root()), str(book)], check=True)
        pages = _empty_book(empty, len(list(book.glob("book/**/*.md"))))
        environment = os.environ | {
            "AZIMUTH_CACHE": str(Path(scratch, "cache")),
            "AZIMUTH_MODELS": str(models_folder()),
            "PYTHONPATH": str(book),
        }
        first = _seconds(book, environment)
        _seconds(empty, environment)
        idle = [(_seconds(book, environment), _seconds(empty, environment)) for _ in range(ROUNDS)]
        chapter = book / "book" / "catalogue.md"
        edited = []
        for _ in range(3):
            chapter.write_text(chapter.read_text("utf-8") + "\nOne more sentence.\n", "utf-8")
            edited.append(_seconds(book, environment))
    ratio = statistics.median(ours / peers for ours, peers in idle)
    return [
        {
            "name": "first-build",
            "what": "a first build with the model fetched and no results, in seconds",
            "ratio": first,
            "sense": "under",
            "target": 60,
        },
        {
            "name": "empty-rebuild",
            "what": f"a rebuild with nothing changed, against an empty jupyter-book of {pages} pages",
            "ratio": ratio,
            "sense": "under",
            "target": 1.5,
            "seconds": [round(statistics.median(side), 2) for side in zip(*idle, strict=True)],
        },
        {
            "name": "one-chapter",
            "what": "a rebuild after an edit of one chapter, in seconds",
            "ratio": statistics.median(edited),
            "sense": "under",
            "target": 10,
        },
    ]


def _empty_book(folder: Path, chapters: int) -> int:
    """A jupyter-book of one root and some chapters with a heading each; returns its number of pages."""
    folder.mkdir()
    (folder / "index.md").write_text("# Root\n")
    names = [f"page{number}" for number in range(chapters)]
    for name in names:
        (folder / f"{name}.md").write_text(f"# {name}\n\nA sentence.\n")
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n" + "".join(f"  - file: {name}\n" for name in names)
    )
    (folder / "_config.yml").write_text("title: Empty\nonly_build_toc_files: true\n")
    return chapters + 1


def _seconds(folder: Path, environment: dict[str, str]) -> float:
    """The wall time of one `jupyter-book build .`, which must succeed."""
    start = time.perf_counter()
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "--quiet"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start
