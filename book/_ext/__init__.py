"""The book's own Sphinx extensions, one purpose a module.

execution    how chapters run, and {eval}, the numbers in the prose
staleness    which pages must run again
exhibits     figures and tables: frame, number, text alternative, the mark that opens the provenance
sources      the code of compute/ as pages, for the marks to link to
citations    previews of cited works, and the bibliography kept in step
frame        head, foot, downloads, plotly.js where it is needed; which pages must be written again
telescope    the data of the one page that has a telescope
colophon     tables about the book's own making
"""

import hashlib
from pathlib import Path

_SOURCES = sorted(Path(__file__).parent.glob("*.py"))


def metadata() -> dict:
    """What each extension tells Sphinx about itself; after an edit to any of them, all pages are read again."""
    code = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).digest()
    return {
        "version": code.hex()[:12],
        "env_version": int.from_bytes(code[:4], "big") | 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
