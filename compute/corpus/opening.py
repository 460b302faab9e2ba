"""From the environment to a corpus: the book's own text, or that of AZIMUTH_CORPUS.

Chapter: Goldilocks.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from compute import paths
from compute.corpus import reading
from compute.corpus.stream import Corpus, Source
from compute.integrity import sha256_of

ENGLISH, THAI = "newsgroups", "thai"  # rows of data/models.toml
WANTED = (  # role, form, row, file
    ("training", reading.NEWSGROUPS, ENGLISH, "20newsgroups-train.tab"),
    ("held out", reading.NEWSGROUPS, ENGLISH, "20newsgroups-test.tab"),
    ("unseen", reading.THAI, THAI, "wikipedia_titles_th.txt"),
    ("unseen", reading.THAI, THAI, "words_th.txt"),
)


def open_corpus(training: str | None = None, unseen: str | None = None) -> Corpus:
    """Opens the corpus: 20 Newsgroups [lang1995newsweeder] and, never to be seen, Thai; unless told otherwise.

    `training`, else AZIMUTH_CORPUS, replaces the English text, and `unseen`, else AZIMUTH_CORPUS_UNSEEN, the Thai:
    each one or more UTF-8 text files, or folders of .txt, with os.pathsep between. Nothing of the book's own text
    is fetched or read before it is needed. Raises FileNotFoundError where a file is not there, ValueError where a
    folder holds no text.
    """
    chosen = {
        "training": training or os.environ.get("AZIMUTH_CORPUS"),
        "unseen": unseen or os.environ.get("AZIMUTH_CORPUS_UNSEEN"),
    }
    own = {role: _named(value) for role, value in chosen.items() if value}
    sources, finders = [], []
    for role, found in own.items():
        sources += [Source(role, reading.PLAIN, path.name, sha256_of(path)) for path in found]
        finders += [_here(path) for path in found]
    for role, form, row, name in WANTED:
        if ("unseen" if role == "unseen" else "training") not in own:
            sources.append(Source(role, form, name, _pinned(row, name)))
            finders.append(_fetched(row, name))
    titles = [_title(own.get("training"), "20 Newsgroups"), _title(own.get("unseen"), "Thai titles and words")]
    return Corpus(" with ".join(titles), tuple(sources), lambda: [find() for find in finders])


def _named(value: str) -> list[Path]:
    """The files that a variable or an argument names."""
    found: list[Path] = []
    for part in filter(None, value.split(os.pathsep)):
        path = paths.root() / Path(part).expanduser()
        if not path.exists():
            raise FileNotFoundError(
                f"no text at {part}: neither a file nor a folder is there. AZIMUTH_CORPUS takes text files, or "
                f"folders of .txt, with {os.pathsep!r} between"
            )
        inside = sorted(file for file in path.glob("*.txt") if file.is_file()) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"the folder {part} holds no .txt; AZIMUTH_CORPUS takes text files, or folders of .txt")
        found += inside
    if not found:
        raise ValueError(f"{value!r} names no text; give files, or folders of .txt, with {os.pathsep!r} between")
    return found


def _title(found: Sequence[Path] | None, default: str) -> str:
    if not found:
        return default
    return found[0].name + (f" and {len(found) - 1} more" if len(found) > 1 else "")


def _pinned(row: str, name: str) -> str:
    from compute.models.inputs import registry

    return next(file.sha256 for file in registry()[row].files if file.name == name)


def _here(path: Path):
    return lambda: path


def _fetched(row: str, name: str):
    def find() -> Path:
        from compute.models.sources import fetch

        return fetch(row)[name]

    return find
