"""A dated lab note: `make note TITLE="What the ...?"` lays it into book/notes/ and into the book's contents.

The title is a person's, and may hold anything but a line break: it is kept letter for letter in the heading and reduced
to letters, digits and dashes in the file's name.
"""

import datetime
import os
import re
import sys
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PART = "Lab notes"
FRAME = "The frame"
NOTE = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {heading}

```{{code-cell}}
:tags: [remove-cell]
from compute import exhibit, figures, results

seed = 42
model = results.model()
gamma = model.catalogue
```

{{bdg-warning}}`open` {date} · model {{eval}}`gamma.label` · seed {{eval}}`seed`

% The badge says how it ended: {{bdg-warning}}`open`, {{bdg-success}}`held`, {{bdg-danger}}`failed`.

**Question.** What do I want to know, and what would each answer look like?

## What was done

Which call, on what, beside which control.

## What was seen

The number in a sentence, such as the {{eval}}`gamma.n_tokens:,` tokens of this model.

:::{{admonition}} What this does not show
:class: limits
What else could look like this.
:::
"""


def slug(title: str) -> str:
    """The title as a file's name: lower-case letters without accents, digits, dashes; at most sixty characters.

    Raises ValueError where nothing of it is left.
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain)[:60].strip("-")
    if not name:
        raise ValueError(f"the title {title!r} leaves no file name: give it at least one latin letter or digit")
    return name


def heading(title: str) -> str:
    """The title as Markdown that reads as the title, whatever it is made of."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|$~&%^:@'\"-])", r"\\\1", title)


def with_note(contents: str, page: str) -> str:
    """The text of _toc.yml with a page as the first lab note; comments and order are kept.

    Raises ValueError where the frame's part, before which the notes stand, is not found.
    """
    entry = f"      - file: {page}\n"
    notes = re.search(rf"^  - caption: {PART}\n(?:    \w.*\n)*?    chapters:\n", contents, re.M)
    if notes:
        return contents[: notes.end()] + entry + contents[notes.end() :]
    frame = re.search(rf"^  - caption: {FRAME}\n", contents, re.M)
    if not frame:
        raise ValueError(f"_toc.yml has neither a part {PART!r} nor a part {FRAME!r} to put it before")
    part = f"  - caption: {PART}\n    chapters:\n{entry}"
    return contents[: frame.start()] + part + contents[frame.start() :]


def add(root: Path, title: str, date: datetime.date) -> Path:
    """Write the note and enter it into the contents; returns its path.

    Raises ValueError for an empty title, one with a line break or other control characters, or one that a note has.
    """
    title = " ".join(title.split(" ")).strip()
    if not title:
        raise ValueError('a note needs a title: make note TITLE="What the ...?"')
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp"} for letter in title):
        raise ValueError(f"the title {title!r} holds control characters or line breaks")
    notes, name = root / "book" / "notes", slug(title)
    for existing in sorted(notes.glob(f"????-??-??-{name}.md")):
        raise ValueError(f"{existing.relative_to(root)} is a note of that title: open it, or choose another title")
    path = notes / f"{date.isoformat()}-{name}.md"
    contents = with_note((root / "_toc.yml").read_text("utf-8"), f"book/notes/{path.stem}")
    notes.mkdir(parents=True, exist_ok=True)
    path.write_text(NOTE.format(heading=heading(title), date=date.isoformat()), "utf-8")
    (root / "_toc.yml").write_text(contents, "utf-8")
    return path


def main(words: list[str]) -> int:
    """Add a note titled by the words, or else by the variable TITLE; returns 0, or 2 where the title will not do.

    (make hands its variables on in the environment, where no shell reads their quotes.)
    """
    try:
        path = add(ROOT, " ".join(words) or os.environ.get("TITLE", ""), datetime.datetime.now(datetime.UTC).date())
    except ValueError as reason:
        print(f"azimuth: {reason}", file=sys.stderr)
        return 2
    print(f"azimuth: {path.relative_to(ROOT)} is in the contents; `make serve` shows it while you write")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
