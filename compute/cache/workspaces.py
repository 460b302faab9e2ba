"""What a running function leaves in its workspace, saved to the store, so that its run can go on elsewhere.

The moment is the one when the function has just made a file appear whole (`compute.integrity.write_whole`: checkpoints,
half-done searches): whatever lies in the workspace then is what a kill at that moment would leave, and a function with
a workspace goes on from what a kill leaves. Where the cache is a folder, the workspace itself is what is shared.
"""

import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from compute import integrity, paths
from compute.cache import entries, mirror, store, versions
from compute.cache.parts import readable

EVERY = 60.0  # seconds, at least, between two times that a workspace is saved


def folder(function: str, key: str) -> Path:
    """Where the workspace of a result is, or would be, on this machine."""
    return paths.cache_folder() / "workspace" / function / key


@contextmanager
def opened(function: str, key: str, note: Mapping[str, object]) -> Iterator[Path]:
    """The workspace of a function that is about to run, as it was left; it stays until `close`, whatever happens.

    Before a store, one that is empty here is fetched, if another machine saved it, and it is saved while the function
    runs. That it cannot be saved is a RuntimeWarning, and the run goes on. `note` tells what the workspace is for.
    """
    workspace = folder(function, key)
    with entries.explained(f"the workspace of {function}", workspace, 0):
        workspace.mkdir(parents=True, exist_ok=True)
        workspace.with_suffix(".json").write_text(json.dumps(note))
    if mirror.place() is None:
        yield workspace
        return
    if not _files(workspace):
        _bring(function, key, workspace)
    saver = _Saver(function, key, workspace, note)
    integrity.watchers.append(saver)
    try:
        yield workspace
    finally:
        integrity.watchers.remove(saver)


def close(function: str, key: str) -> None:
    """Removes the workspace of a result that is kept."""
    shutil.rmtree(folder(function, key))
    folder(function, key).with_suffix(".json").unlink(missing_ok=True)


def forget(function: str, key: str) -> None:
    """Removes what the store holds of a workspace whose entry is there."""
    for version in _saved(function, key):
        version.remove()


class _Saver:
    """Saves one workspace when a file has appeared in it, unless it was saved a moment ago."""

    def __init__(self, function: str, key: str, workspace: Path, note: Mapping[str, object]):
        self._names, self._workspace, self._note = (function, key), workspace, note
        self._due = time.monotonic()

    def __call__(self, path: Path) -> None:
        if time.monotonic() >= self._due and path.is_relative_to(self._workspace):
            try:
                self._save()
            except OSError as error:
                said = f"the workspace {self._workspace} could not be saved for others: {error}. The run goes on"
                warnings.warn(said, RuntimeWarning, stacklevel=3)
            self._due = time.monotonic() + EVERY

    def _save(self) -> None:
        function, key = self._names
        note = {"function": function, "key": key, "saved": time.time(), **self._note}
        contents: dict[str, Path | bytes] = {store.RECORD: readable(note)}
        contents |= {f"{store.FILES}/{name}": path for name, path in _files(self._workspace).items()}
        sums = {name: versions.sha256(one) for name, one in contents.items()}
        before = _saved(function, key)
        contents[store.SUMS] = store.listing(sums)
        saved = versions.publish(mirror.place(), function, key, contents, versions.WORKSPACES)
        for version in before:
            if version != saved:
                version.remove()


def _bring(function: str, key: str, workspace: Path) -> None:
    """Fills a workspace with what was saved of it last; one that is damaged is not used."""
    whole = [version for version in _saved(function, key) if version.state == "whole"]
    for version in sorted(whole, key=lambda version: version.record().get("saved", 0.0), reverse=True):
        draft = paths.cache_folder() / "writing" / function / key
        try:
            with entries.explained(f"the workspace of {function}", workspace, version.bytes):
                version.fetch(draft)
                shutil.rmtree(workspace)  # empty, but for locks
                os.rename(draft / store.FILES, workspace)  # all of it at once
                shutil.rmtree(draft)
            return
        except FileNotFoundError:  # taken away while it was being fetched
            continue
        except ValueError as damage:
            said = f"the saved workspace {version} is damaged: {damage}. It is not used"
            warnings.warn(said, store.DamageWarning, stacklevel=2)


def _files(folder: Path) -> dict[str, Path]:
    """The files below a folder by name, without locks."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path for path in found}


def _saved(function: str, key: str) -> list[versions.Version]:
    there = mirror.place()
    return versions.every(there, function, key, versions.WORKSPACES) if there else []
