"""A small package of cached functions that the cache's tests import, edit, damage and kill."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compute import paths

SMALL = """
import numpy as np
from pathlib import Path
from compute.cache import cached

LOG = Path(__file__).with_name("log")

def noted(name):
    with LOG.open("a") as log:
        log.write(name + "\\n")

@cached
def f(x=1, scale=2.0) -> dict:
    noted("f")
    return {"values": np.arange(5) * helper(x), "x": x, "kind": type(x).__name__}

def helper(x):
    return x + 1

@cached
def g(source, item=None) -> dict:
    noted("g")
    return {"text": source.read_text() if hasattr(source, "read_text") else source.content}

class Thing:
    def __init__(self, content, label="thing"):
        self.content, self.label, self.fingerprint = content, label, "content " + content

class Other(Thing):
    factor = 1

@cached(workspace=True)
def files(n, workspace) -> dict:
    noted("files")
    (workspace / "deep").mkdir(exist_ok=True)
    target = workspace / "deep" / "numbers.txt"
    target.write_text(" ".join(map(str, range(n))))
    return {"numbers": target, "n": n}
"""


STEPS = """
@cached(workspace=True)
def steps(n, workspace) -> dict:
    import time
    file = workspace / "steps.txt"
    done = file.read_text().split() if file.exists() else []
    for step in range(len(done), n):
        noted(f"step{step}")
        with file.open("a") as log:
            log.write(f"{step} ")
        if step == 2 and not Path(__file__).with_name("go").exists():
            time.sleep(3600)
    return {"file": file, "resumed_at": len(done)}
"""


class Planet:
    """A small package of cached functions, importable as `planet`, that can be edited."""

    def __init__(self, folder: Path):
        self.file = folder / "planet" / "a.py"
        self.file.parent.mkdir()
        self.file.with_name("__init__.py").write_text("")
        self.write(SMALL)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def edit(self, old: str, new: str) -> None:
        assert self.file.read_text().count(old) == 1
        self.write(self.file.read_text().replace(old, new))

    def load(self):
        """Imports it, or what it has become."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "planet"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return importlib.import_module("planet.a")

    def runs(self, name: str = "f") -> int:
        log = self.file.with_name("log")
        return log.read_text().split().count(name) if log.exists() else 0


@pytest.fixture
def planet(tmp_path, monkeypatch):
    """The package, with a cache and a committed layer of its own."""
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AZIMUTH_FRESH", raising=False)
    monkeypatch.setattr(paths, "results_folder", lambda: tmp_path / "results")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # an edit within a second must not meet old bytecode
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Planet(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "planet"]:
        del sys.modules[name]


def same(one, other) -> bool:
    """Whether two values are the same to the last bit, types and order of keys included."""
    if type(one) is not type(other) and not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    return repr(one) == repr(other)


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flips one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def child(code: str, folder: Path, *words: object, **settings) -> subprocess.Popen:
    """Another Python that sees the package `planet` and the same cache."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, words)], env=environment, text=True,
        stdout=subprocess.PIPE, **settings,
    )  # fmt: skip


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Returns when something has come true; fails if it takes too long."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
