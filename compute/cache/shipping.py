"""How a result gets into the committed layer, and how it stays there when code changes that does not change it."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from compute import paths
from compute.cache import Call, entries, mirror, opened, origin, parts, store
from compute.integrity import write_whole

LARGEST_FILE = 10_000_000  # bytes
LARGEST_TOTAL = 20_000_000  # bytes of the whole committed layer: it is cloned by everyone


def ship(name: str, call: Call) -> dict:
    """Copies a fresh entry, verified, into the committed layer; returns its line of the manifest.

    Raises FileExistsError where it is there already, FileNotFoundError where there is nothing fresh, ValueError where
    it is damaged or too large.
    """
    source, target = call.entry("cache"), call.entry("shipped")
    if target.exists():
        raise FileExistsError(f"{name} is shipped already, as {target}")
    if mirror.has(call.function, call.key):
        with entries.lock(call.function, call.key):
            mirror.bring(call.function, call.key)
    if not source.is_dir():
        raise FileNotFoundError(f"{name} is {call.state()}, and only a fresh result can be shipped: compute it first")
    with entries.lock(call.function, call.key):
        opened(source, "cache")
        _check_sizes(name, source)
        _publish(target, lambda folder: store.copy(source, folder), store.size(source))
        line = {"action": "ship", "name": name, "function": call.function, "key": call.key}
        return _manifest(line | {"bytes": store.size(target)})


def bless(name: str, call: Call) -> dict:
    """Names a committed result anew after an edit that does not change it; returns its line of the manifest.

    The result's probe, or without one the whole function, runs with today's code; only if it comes out bit-identical
    does the entry move to today's key. Raises FileExistsError where the key is right already, FileNotFoundError where
    nothing is shipped that could be blessed, ArithmeticError, saying where, if the results differ.
    """
    target = call.entry("shipped")
    if target.exists():
        raise FileExistsError(f"{name} needs no blessing: {target} has today's key")
    kin = [(record.get("date", ""), entry) for layer, entry, record in entries.kin(call.function, entries.all_layers())
           if layer == "shipped" and record.get("inputs") == call.inputs]  # fmt: skip
    if not kin:
        raise FileNotFoundError(f"no committed result of {name} with these arguments in {paths.results_folder()}")
    source = max(kin)[1]
    start = time.perf_counter()
    if difference := _probe(call, source):
        raise ArithmeticError(f"{name} is not bit-identical to {source}: {difference}. Nothing was changed")
    line = {"action": "bless", "name": name, "function": call.function, "old_key": source.name, "key": call.key}
    line |= {"probe": getattr(call.target.probe, "__name__", "whole"), "probe_seconds": time.perf_counter() - start}
    record = store.glance(source / store.RECORD)
    blessed = {"old_key": source.name, "date": _now(), "probe": line["probe"]}
    record |= {"key": call.key, "code": call.code, "roots": list(call.roots), "blessed": blessed}

    def rekeyed(folder: Path) -> None:
        store.copy(source, folder)
        store.rewrite_record(folder, record)

    with entries.lock(call.function, call.key):
        _publish(target, rekeyed, store.size(source))
        opened(target, "shipped")
        line = _manifest(line)
        shutil.rmtree(source)  # a kill on the way leaves a damaged entry under a key that nobody asks for any more
    return line


def _probe(call: Call, entry: Path) -> str | None:
    """Where today's code comes out otherwise than the committed result; None if it is bit-identical."""
    shipped = opened(entry, "shipped")
    origin.check(call.roots, call.code)
    if call.target.probe is not None:
        try:
            same = call.target.probe(*call.given.args, **call.given.kwargs, shipped=shipped)
        except AssertionError as found:
            return f"the probe {call.target.probe.__name__} found {found}"
        return None if same else f"the probe {call.target.probe.__name__} says so"
    with tempfile.TemporaryDirectory() as folder:
        extra = {"workspace": Path(folder)} if call.target.workspace else {}
        again = call.target.function(*call.given.args, **call.given.kwargs, **extra)
        return parts.difference(parts.Parts(shipped, entry / store.FILES), parts.Parts(again, extra.get("workspace")))


def _check_sizes(name: str, source: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise ValueError(
                f"{name} is too large to be committed: {path.name} has {path.stat().st_size:,} bytes, and no file "
                f"there may have more than {LARGEST_FILE:,}"
            )
    total = store.size(paths.results_folder()) + store.size(source)
    if total > LARGEST_TOTAL:
        raise ValueError(
            f"{name} is too large to be committed: {paths.results_folder()} would hold {total:,} bytes, and it may "
            f"hold {LARGEST_TOTAL:,}; `python -m compute verify` lists what is there, `git rm -r` removes it"
        )


def _publish(target: Path, fill: Callable[[Path], None], size: int) -> None:
    entries.place(target, fill, size)
    writing = target.parents[1] / "writing"
    with suppress(OSError):  # not empty: somebody else is shipping
        (writing / target.parent.name).rmdir()
        writing.rmdir()


def _manifest(line: dict) -> dict:
    """Adds one line to the manifest, where a blessing takes the place of the one before it: git has the older ones."""
    line = {"date": _now()} | line | origin.circumstances()
    path = paths.results_folder() / "manifest.jsonl"
    with FileLock(path.parent.with_name(".results.lock")):
        told = path.read_text("utf-8").splitlines() if path.exists() else []
        lines = [json.loads(one) for one in told] + [line]
        superseded = {(one["function"], one["old_key"]) for one in lines if one["action"] == "bless"}
        left = [one for one in lines if one["action"] != "bless" or (one["function"], one["key"]) not in superseded]
        write_whole(path, [(json.dumps(one) + "\n").encode() for one in left])
    return line


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
