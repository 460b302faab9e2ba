"""Where a computation runs: the source that Python really loaded, the versions, the machine, the threads."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from compute import __version__
from compute.cache import reach
from compute.cache.key import FORMAT

PACKAGES = ("numpy", "scipy", "ml_dtypes", "h5py", "safetensors", "tokenizers", "gguf", "torch", "dask")

_loaded: dict[str, tuple[object, str]] = {}  # module: (its spec, new with every reload; its source then)

_seen: ContextVar[dict[str, dict[str, str]] | None] = ContextVar("seen", default=None)  # by package, within one_look


@contextmanager
def one_look() -> Iterator[None]:
    """Within it each package's sources are read once, however many results are named: as they were at first."""
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def on_disk(qualified_name: str) -> dict[str, str]:
    """The sources, as they are now, of the package that a name belongs to; LookupError if it is not imported."""
    package, seen = qualified_name.partition(".")[0], _seen.get()
    if seen is None:
        return _read(package, qualified_name)
    if package not in seen:
        seen[package] = _read(package, qualified_name)
    return seen[package]


def _read(package: str, qualified_name: str) -> dict[str, str]:
    if package not in sys.modules:
        raise LookupError(f"the package {package!r} of {qualified_name} is not imported")
    module = sys.modules[package]
    folder = Path(next(iter(module.__path__)) if hasattr(module, "__path__") else module.__file__).parent
    return reach.sources(package, folder)


def is_current(record: Mapping[str, object]) -> bool:
    """Whether a recorded result could be named by today's code: nothing that it reached has changed."""
    try:
        code = reach.reach_in(on_disk(record["roots"][0]), record["roots"])
        return (record["format"], record["code"]) == (FORMAT, code)
    except (LookupError, TypeError):  # the function is gone, or the record is none
        return False


def remember(module_name: str) -> None:
    """Notes the sources of all modules of a package that were loaded since it was last asked."""
    package = module_name.partition(".")[0]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package and (file := getattr(module, "__file__", None)):
            if name not in _loaded or _loaded[name][0] is not module.__spec__:
                _loaded[name] = (module.__spec__, Path(file).read_text("utf-8-sig"))


def check(roots: Sequence[str], code: Mapping[str, str]) -> None:
    """Raises RuntimeError where the code on disk, which names the result, is not the code that would run."""
    texts = dict(on_disk(roots[0]))
    for name in texts:
        module = name.removesuffix(".__init__")
        if module in _loaded:
            texts[name] = _loaded[module][1]
    run = reach.reach_in(texts, roots)
    if run != code:
        changed = sorted(name for name in run.keys() | code.keys() if run.get(name) != code.get(name))
        raise RuntimeError(
            f"{roots[0]} reaches code that was edited after this Python loaded it: {', '.join(changed)}. "
            "Restart the kernel (or reload the modules), so that what runs is what is named"
        )


def circumstances() -> dict[str, object]:
    """What is recorded beside a result, and is not in its key: versions, machine, threads."""
    loaded = {name: _version(name) for name in PACKAGES if name in sys.modules}
    return {
        "versions": {"python": platform.python_version(), "azimuth": __version__, **loaded},
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "threads": _threads(),
    }


@lru_cache
def _version(package: str) -> str:
    return importlib.metadata.version(package)


@lru_cache
def _processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8", "replace").splitlines() if cpuinfo.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown processor"


def _threads() -> int:
    """How many threads numerical libraries may use: what OMP_NUM_THREADS says, else the cores given to us."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit():
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
