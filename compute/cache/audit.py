"""What the cache holds and why: the state of results, the reason for it, whether each byte is right, what can go."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from compute import paths
from compute.cache import Call, entries, mirror, origin, stock, store
from compute.cache.key import FORMAT
from compute.cache.versions import Version

DAY = 86_400  # seconds


def status(calls: Iterable[tuple[str, Call]]) -> list[dict]:
    """One row a result: {name, key, state, seconds, bytes, date}; of a stale one, those of what is kept of it."""
    return [_row(name, call) for name, call in calls]


def _row(name: str, call: Call) -> dict:
    state = call.state()
    kept = None if state == "missing" else _nearest(call, state)
    record = _record(kept) if kept else {}
    row = {"name": name, "key": call.key, "state": state, "seconds": record.get("seconds")}
    return row | {"bytes": _size(kept) if kept else None, "date": record.get("date")}


def _record(kept: Path | Version) -> dict:
    return store.glance(kept / store.RECORD) if isinstance(kept, Path) else kept.record()


def _size(kept: Path | Version) -> int:
    return store.size(kept) if isinstance(kept, Path) else kept.bytes


def why(name: str, call: Call) -> dict:
    """What a key is made of; where its entry comes from, or what differs from the nearest one that is kept."""
    told = _row(name, call) | {"function": call.function, "model": call.model, "arguments": call.arguments}
    entry = _nearest(call, told["state"])
    record = _record(entry) if entry else {}
    told |= {"code": sorted(call.code), "entry": str(entry) if entry else None, "origin": None, "differs": None}
    if told["state"] in ("fresh", "shipped"):
        told["origin"] = {part: record.get(part) for part in ("versions", "machine", "threads", "blessed")}
    elif record:
        told["differs"] = _differences(call, record)
    return told


def _nearest(call: Call, state: str) -> Path | Version | None:
    """The entry of a result, or the newest of those that have most in common with it."""
    if state in ("fresh", "shipped"):
        entry = call.entry("cache" if state == "fresh" else "shipped")
        only_there = (one for one in mirror.seen(call.function) if one.key == call.key)
        return entry if entry.is_dir() else next(only_there, None)

    def nearness(kept: tuple[Path | Version, dict]) -> tuple[bool, int, str]:
        inputs, date = kept[1].get("inputs", {}), str(kept[1].get("date"))
        return inputs == call.inputs, sum(inputs.get(name) == value for name, value in call.inputs.items()), date

    return max(mirror.kin(call.function), key=nearness, default=(None, {}))[0]


def _differences(call: Call, record: dict) -> dict:
    """What changed since an entry was made: code by name that is other, new or gone, arguments then and now."""
    before, now = record.get("code", {}), call.code
    then, inputs = record.get("arguments", {}), record.get("inputs", {})
    names = sorted(inputs.keys() | call.inputs.keys())
    return {
        "date": record.get("date"),
        "format": {"then": record.get("format"), "now": FORMAT} if record.get("format") != FORMAT else None,
        "changed": sorted(name for name in now.keys() & before.keys() if now[name] != before[name]),
        "added": sorted(now.keys() - before.keys()),
        "removed": sorted(before.keys() - now.keys()),
        "arguments": [
            {"name": name, "then": then.get(name), "now": call.arguments.get(name)}
            for name in names
            if (name in inputs, inputs.get(name)) != (name in call.inputs, call.inputs.get(name))
        ],
    }


def verify() -> Iterator[dict]:
    """Reads every entry of both layers, and of the store, if there is one, fetching each version of it once.

    Rows of {layer, function, key, bytes, damage}, where damage is None if it is whole.
    """
    for layer, folder in entries.all_layers():
        for entry in entries.every(folder):
            damage = None
            try:
                store.read(entry)
            except ValueError as error:
                damage = str(error)
            row = {"layer": layer, "function": entry.parent.name, "key": entry.name, "bytes": store.size(entry)}
            yield row | {"damage": damage}
    for version in stock.versions():
        if version.state != "unfinished":
            row = {"layer": "store", "function": version.function, "key": version.key, "bytes": version.bytes}
            yield row | {"damage": stock.damage(version)}


def sweep(delete: bool = False, older_than: float = 0) -> list[dict]:
    """What can go: entries of other code than today's, damaged ones, abandoned drafts and workspaces.

    Rows of {kind, function, key, path, bytes, date, removed}; of a store, path is a URL. Nothing goes unless `delete`;
    with `older_than`, only what is older than so many days. What a living process writes stays (its lock says so, or in
    a store its age), and so does the workspace of a killed run that today's code would resume.
    """
    rows = []
    for kind, kept in chain(_leftovers(), stock.leftovers()):
        since = _since(kept)
        if time.time() - since < older_than * DAY:
            continue
        function, key = (kept.parent.name, kept.name) if isinstance(kept, Path) else (kept.function, kept.key)
        date = datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")
        row = {"kind": kind, "function": function, "key": key, "path": str(kept), "bytes": _size(kept), "date": date}
        with entries.lock(function, key.partition(".")[0], wait=False) as held:
            if held and (not isinstance(kept, Path) or kept.exists()):
                rows.append(row | {"removed": delete and _remove(kept)})
    return rows


def _since(kept: Path | Version) -> float:
    """When something was made, as its record has it, or else its folder; seconds since the epoch."""
    if date := _record(kept).get("date"):
        return datetime.fromisoformat(date).timestamp()
    return kept.stat().st_mtime if isinstance(kept, Path) else time.time() - kept.age()


def _leftovers() -> Iterator[tuple[str, Path]]:
    cache = paths.cache_folder()
    for entry in entries.every(cache):
        if not origin.is_current(store.glance(entry / store.RECORD)):
            yield "other code", entry
    for path in sorted(cache.glob("damaged/*/*")):
        yield "damaged", path
    for path in sorted(cache.glob("writing/*/*")):
        yield "unfinished", path
    for path in sorted(cache.glob("workspace/*/*/")):
        finished = (cache / path.parent.name / path.name).is_dir()
        if finished or not origin.is_current(store.glance(path.with_suffix(".json"))):
            yield "workspace", path


def _remove(path: Path | Version) -> bool:
    """Takes a folder out of sight in one rename, then removes it, so that a kill leaves no half of an entry."""
    if isinstance(path, Version):
        path.remove()
        return True
    doomed = paths.cache_folder() / "writing" / path.parent.name / path.name
    if path != doomed:
        doomed.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(path, doomed)
    shutil.rmtree(doomed)
    path.with_suffix(".json").unlink(missing_ok=True)
    return True
