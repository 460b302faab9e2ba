"""Results that are computed once and kept, with their origin, until the code that they come from changes.

Each entry lies in `<folder>/<function>/<key>/` (see `compute.cache.store`); beside the functions lie `writing/`
(entries on their way), `workspace/` (files of functions that are running, or were killed), `damaged/` and
`locks/`. Two layers: the cache, and under it the committed results, read only; AZIMUTH_FRESH=1 ignores the
second. Where AZIMUTH_CACHE is the URL of a store, that folder is a mirror of it (see `compute.cache.mirror`).
"""

import functools
import inspect
import os
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from compute import paths
from compute.cache import entries, mirror, origin, reach, store, workspaces
from compute.cache import key as naming
from compute.cache.store import DamageWarning


@dataclass(frozen=True)
class Provenance:
    """Where a value comes from: what made it, from what, when, how long it took, and where it lies."""

    function: str  # qualified name
    key: str
    seconds: float  # of the run that made it
    date: str  # UTC, ISO 8601
    versions: dict[str, str]  # of Python and the packages that were loaded
    machine: str
    threads: int
    model: str | None  # the labels of the inputs
    arguments: dict[str, object]  # as a person reads them
    layer: str  # 'cache' or 'shipped'
    code: dict[str, str] = field(repr=False)  # {qualified name: digest} of all that it reached


class Result(dict):
    """A dict whose arrays are read only and which knows its `provenance`."""

    provenance: Provenance


def opened(entry: Path, layer: str) -> Result:
    """The result in an entry, every byte of it verified. Raises ValueError that says what is damaged."""
    record, value = store.read(entry)
    result = Result(value)
    recorded = {name: record[name] for name in Provenance.__dataclass_fields__ if name != "layer"}
    result.provenance = Provenance(layer=layer, **recorded)
    return result


_registry: dict[str, Callable[..., Result]] = {}


def registry() -> dict[str, Callable[..., Result]]:
    """All cached functions that have been imported, by qualified name."""
    return dict(_registry)


def cached(function: Callable[..., dict] | None = None, *, workspace: bool = False, probe: Callable | None = None):
    """Makes a function keep its results; `.call(...)` names a result without computing it.

    The function returns a dict of arrays, scalars, texts, and lists and dicts of those, and gets what the
    key says: numpy scalars as Python scalars. With workspace=True it also gets a folder by that name that
    survives a kill, and may return Paths of files in it, closed. `probe`, called with the same arguments and
    `shipped`, the committed Result, repeats enough of a long run to tell whether it would come out
    bit-identical; see `bless`. Raises TypeError at once for a function that is not at the top of an
    imported module.
    """
    if function is None:
        return functools.partial(cached, workspace=workspace, probe=probe)
    if function.__module__ == "__main__" or function.__qualname__ != function.__name__:
        raise TypeError(
            f"{function.__module__}.{function.__qualname__} cannot be cached: its code is followed through source "
            "files, so it has to stand at the top of a module that is imported, not in a notebook or a function"
        )
    signature = inspect.signature(function)
    if workspace != ("workspace" in signature.parameters):
        raise TypeError(f"{function.__qualname__}: workspace=True and a parameter 'workspace' go together")
    signature = signature.replace(parameters=[p for p in signature.parameters.values() if p.name != "workspace"])
    target = _Target(f"{function.__module__}.{function.__name__}", function, signature, workspace, probe)
    origin.remember(function.__module__)

    @functools.wraps(function)
    def wrapper(*args, **kwargs) -> Result:
        return call(*args, **kwargs).run()

    def call(*args, **kwargs) -> "Call":
        return _name(target, signature.bind(*args, **kwargs))

    wrapper.call, wrapper.probe = call, probe
    _registry[target.name] = wrapper
    return wrapper


@dataclass(frozen=True)
class _Target:
    name: str
    function: Callable[..., dict]
    signature: inspect.Signature
    workspace: bool
    probe: Callable | None


@dataclass(frozen=True)
class Call:
    """A result by name, computed or not: a function with its arguments, and the key that follows from both."""

    function: str
    arguments: dict[str, object]  # as a person reads them
    key: str
    inputs: dict[str, object] = field(repr=False)  # the arguments in canonical form
    code: dict[str, str] = field(repr=False)  # {qualified name: digest} of all that is reached
    roots: tuple[str, ...] = field(repr=False)  # whence: the function, and its arguments' classes
    model: str | None = field(repr=False)
    target: _Target = field(repr=False)
    bound: inspect.BoundArguments = field(repr=False)

    def run(self) -> Result:
        """The result: read where it is kept, else computed, kept and read back; one computes, others wait."""
        found = self.read()
        if found is None or mirror.owes(self.function, self.key):
            with entries.lock(self.function, self.key):
                found = self.read(mend=True)
                if found is None:
                    self._compute()
                    found = self._read(mend=False)
                if found is not None:
                    self._share()
        if found is None:
            raise OSError(f"{self.function} was written to {self.entry()}, but cannot be read back: check that disk")
        return found

    def read(self, mend: bool = False) -> Result | None:
        """The kept result of the first place that has it, or None; `mend`, under the lock, puts damage aside.

        The places: the cache's folder, the committed layer, and the store, if there is one.
        """
        found = self._read(mend)
        if found is None and (mend or mirror.has(self.function, self.key)):
            with nullcontext() if mend else entries.lock(self.function, self.key):
                if mirror.bring(self.function, self.key):
                    found = self._read(mend)
        return found

    def _read(self, mend: bool) -> Result | None:
        for layer, folder in entries.layers():
            entry = folder / self.function / self.key
            try:
                if entry.is_dir():
                    return opened(entry, layer)
            except ValueError as damage:
                if not mend:
                    return None
                self._mend(entry, layer, str(damage))
        return None

    def entry(self, layer: str = "cache") -> Path:
        """The folder where this result lies, or would."""
        return dict(entries.all_layers())[layer] / self.function / self.key

    @property
    def given(self) -> inspect.BoundArguments:
        """The arguments as a function may have them: copies, so that it can change none of ours."""
        copies = {name: naming.plain(value) for name, value in self.bound.arguments.items()}
        return inspect.BoundArguments(self.bound.signature, copies)

    def state(self) -> str:
        """'fresh' (in the cache), 'shipped' (committed), 'stale' (kept, but from other code), or 'missing'."""
        for layer, folder in entries.layers():
            if (folder / self.function / self.key / store.SUMS).is_file():
                return "fresh" if layer == "cache" else "shipped"
        if any(version.key == self.key for version in mirror.seen(self.function)):
            return "fresh"
        alike = any(record.get("inputs") == self.inputs for _, record in mirror.kin(self.function))
        return "stale" if alike else "missing"

    def _mend(self, entry: Path, layer: str, damage: str) -> None:
        """Puts a damaged entry aside, or, of the committed layer, ignores it; either way it says so."""
        done = "It is ignored"
        if layer == "cache":
            aside = paths.cache_folder() / "damaged" / self.function / f"{self.key}.{time.time_ns()}"
            done = f"It is put aside as {aside}"
            with entries.explained("a damaged entry", aside, store.size(entry)):
                aside.parent.mkdir(parents=True, exist_ok=True)
                os.rename(entry, aside)
            shutil.rmtree(self.workspace(), ignore_errors=True)  # it may share files with the damaged entry
        again = "fetched again, or computed" if paths.cache_url() else "computed again"
        message = f"the entry {entry} is damaged: {damage}. {done}, and the result is {again}"
        warnings.warn(message, DamageWarning, stacklevel=5)

    def workspace(self) -> Path:
        """The folder that is handed to a function with a workspace; it survives a kill."""
        return workspaces.folder(self.function, self.key)

    def _compute(self) -> None:
        origin.check(self.roots, self.code)
        note = {"format": naming.FORMAT, "roots": list(self.roots), "code": self.code}  # for gc: what it was for
        with workspaces.opened(self.function, self.key, note) if self.target.workspace else nullcontext() as workspace:
            extra = {"workspace": workspace} if workspace else {}
            start = time.perf_counter()
            value = self.target.function(*self.given.args, **self.given.kwargs, **extra)
            seconds = time.perf_counter() - start
        if (now := _inputs(self.target, self.bound)) != self.inputs:
            changed = ", ".join(name for name in now if now[name] != self.inputs[name])
            raise RuntimeError(f"{self.function}: {changed} changed while it was being computed from; call it again")
        origin.remember(self.target.function.__module__)
        if not isinstance(value, dict):
            raise TypeError(f"{self.function} returned a {type(value).__qualname__}; a cached function returns a dict")
        parts = store.Parts(value, workspace)
        record = {
            "function": self.function, "key": self.key, "arguments": self.arguments, "seconds": seconds,
            "date": datetime.now(UTC).isoformat(timespec="seconds"), "model": self.model, **origin.circumstances(),
            "format": naming.FORMAT, "inputs": self.inputs, "roots": list(self.roots), "code": self.code,
        }  # fmt: skip
        entries.place(self.entry(), lambda folder: store.write(folder, record, parts), parts.size())
        if workspace:
            workspaces.close(self.function, self.key)

    def _share(self) -> None:
        """Gives the store, if there is one, what it lacks; of what it has no workspace is needed any more."""
        if mirror.owes(self.function, self.key):
            mirror.send(self.function, self.key)
            if self.target.workspace:
                workspaces.forget(self.function, self.key)


def _inputs(target: _Target, bound: inspect.BoundArguments) -> dict[str, object]:
    return {name: naming.canonical(value, f"{target.name}: {name}") for name, value in bound.arguments.items()}


def _name(target: _Target, bound: inspect.BoundArguments) -> Call:
    """Fills in defaults, follows the code, and names the result."""
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        bound.arguments[name] = naming.plain(value)
    inputs = _inputs(target, bound)
    objects = [found for value in bound.arguments.values() for found in naming.objects(value)]
    package = target.name.partition(".")[0]
    classes = {f"{type(one).__module__}.{type(one).__qualname__}" for one in objects}
    roots = (target.name, *sorted(name for name in classes if name.partition(".")[0] == package))
    code = reach.reach_in(origin.on_disk(target.name), roots)
    labels = dict.fromkeys(str(one.label) for one in objects if hasattr(one, "label"))
    return Call(
        function=target.name,
        arguments={name: naming.display(value) for name, value in bound.arguments.items()},
        key=naming.key(target.name, reach.combined(code), inputs),
        inputs=inputs,
        code=code,
        roots=roots,
        model=", ".join(labels) or None,
        target=target,
        bound=bound,
    )
