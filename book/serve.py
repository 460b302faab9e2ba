"""Write with the site open: `make serve` builds on every save and reloads the page in the browser.

What is served is a copy that changes only after a build that succeeded, file by file and each at once. So a page is
never seen half-written, and after a failed build, whose error stands in the terminal, the last good site stays.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WATCHED = (
    "index.md", "book", "compute", "references.bib", "_config.yml", "_toc.yml", "requirements.lock",
    "data/models.toml", "data/published", "data/results", "data/benchmarks.json",
)  # fmt: skip
INTERVAL = 0.3  # seconds between two looks at the files
QUIET = 0.25  # seconds without a change before a build begins: editors save in several steps
WAITING = "<!doctype html><title>Azimuth</title><p>The first build failed, the terminal says why.</p>"

State = dict[str, tuple[int, int]]


def snapshot(root: Path) -> State:
    """{file: (time of change in ns, size)} of all that the book is made from."""
    found: State = {}
    for path in _sources(root):
        try:
            stat = path.stat()
        except FileNotFoundError:  # saved by renaming, just now
            continue
        found[str(path.relative_to(root))] = (stat.st_mtime_ns, stat.st_size)
    return found


def _sources(root: Path) -> Iterator[Path]:
    for name in WATCHED:
        if (root / name).is_file():
            yield root / name
        for folder, folders, files in os.walk(root / name):
            folders[:] = [entry for entry in folders if entry != "__pycache__" and not entry.startswith(".")]
            for file in files:  # an editor's swap and backup files are not the book's
                if not file.startswith((".", "#")) and not file.endswith(("~", ".swp", ".tmp")):
                    yield Path(folder, file)


def publish(built: Path, served: Path) -> int:
    """Bring the served copy up to what was built: each changed file replaced in one step; returns how many changed."""
    wanted = {path.relative_to(built) for path in built.rglob("*") if path.is_file()}
    changed = 0
    for name in sorted(wanted, key=lambda path: (path.suffix == ".html", path)):  # pages after what they load
        source, target = built / name, served / name
        if not target.exists() or _stamp(source) != _stamp(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.partial")
            shutil.copy2(source, partial)
            os.replace(partial, target)
            changed += 1
    for path in [path for path in served.rglob("*") if path.is_file()]:
        if path.relative_to(served) not in wanted:
            path.unlink()
            changed += 1
    return changed


def _stamp(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, path.stat().st_size


def follow(root: Path, build: Callable[[], bool], done: Callable[[], None], stop: threading.Event) -> None:
    """Build after every burst of changes, one build at a time, until `stop`; call `done` after each that succeeded."""
    seen = snapshot(root)
    while not stop.wait(INTERVAL):
        now = snapshot(root)
        if now == seen:
            continue
        while not stop.wait(QUIET) and (later := snapshot(root)) != now:
            now = later
        names = sorted(name for name in now.keys() | seen.keys() if now.get(name) != seen.get(name))
        seen = now  # what is saved while the build runs is seen next time
        say(f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''} changed")
        if build():
            done()


def build_book(root: Path) -> bool:
    """Run jupyter-book; its warnings and errors go to the terminal. Returns whether it succeeded."""
    start = time.perf_counter()
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(root), "--quiet"]
    ran = subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL)
    took = f"{time.perf_counter() - start:.1f} s"
    say(f"built in {took}" if ran.returncode == 0 else f"not built ({took}); the error is above, the old pages stay")
    return ran.returncode == 0


def say(text: str) -> None:
    """One line to the person at the terminal."""
    print(f"azimuth: {text}", file=sys.stderr, flush=True)


def free_port(first: int) -> int:
    """The first port from `first` on that nobody on this machine listens at; raises OSError after twenty."""
    for port in range(first, first + 20):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"ports {first} to {first + 19} are all taken: choose another with --port")


def main(words: list[str]) -> int:
    """Build, serve, and go on building until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make serve", description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8000, help="the first port to try (8000)")
    port = free_port(parser.parse_args(words).port)
    if subprocess.run([sys.executable, "-m", "compute", "fetch"], cwd=ROOT).returncode:
        return 1

    import logging

    from livereload import Server
    from livereload.handlers import LiveReloadHandler
    from tornado.ioloop import IOLoop

    built, served = ROOT / "_build" / "html", ROOT / "_build" / "served"
    served.mkdir(parents=True, exist_ok=True)
    if build_book(ROOT):
        publish(built, served)
    elif not (served / "index.html").exists():
        (served / "index.html").write_text(WAITING, "utf-8")
    loop, stop = IOLoop.current(), threading.Event()

    def show() -> None:
        if publish(built, served):
            loop.add_callback(LiveReloadHandler.reload_waiters, "*")

    threading.Thread(target=follow, args=(ROOT, lambda: build_book(ROOT), show, stop), daemon=True).start()
    server = Server()
    server.watch(str(served / "never"))  # we say when to reload; without this the whole folder would be polled
    logging.getLogger("livereload").addFilter(lambda record: record.levelno >= logging.WARNING)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    say(f"http://127.0.0.1:{port}/ shows the book and follows what you save; Ctrl-C ends it")
    server.serve(port=port, host="127.0.0.1", root=str(served), live_css=False)
    stop.set()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
