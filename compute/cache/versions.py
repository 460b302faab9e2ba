"""Versions of entries in a store: each under the hash of its own checksums, there once its SHA256SUMS is.

    <function>/<key>/<SHA-256 of its SHA256SUMS>/record.json, value.json, tensors.safetensors, files/...
    <function>/<key>/<SHA-256 of its SHA256SUMS>/SHA256SUMS     put there last: the marker
    <function>/<key>/<SHA-256 of its SHA256SUMS>/DAMAGED        put there by whoever found it damaged, saying why
    workspace/<function>/<key>/<SHA-256 of its SHA256SUMS>/...  likewise, what running functions have saved
    parts/<function>/<key>/<hash of some work>/...              what the tasks of a running function leave each other,
                                                                never with a marker (`compute.blocks.shelf`)

No name is ever written with two contents, so no lock is needed: two writers of one key leave two versions, each
whole, and all who look take the one that comes first by name. Every name of a file is in SHA256SUMS and that
file's hash is in the path, so a version cannot be mixed, cut or changed without being noticed.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from compute.cache import store
from compute.cache.remote import Store
from compute.integrity import sha256_of

DAMAGED = "DAMAGED"
WORKSPACES, PARTS = "workspace/", "parts/"
RECENT = 2.0  # seconds for which `glimpsed` may tell what it saw before
TRIES = 2  # of a fetch: what differs once may be the network's doing

_glimpsed: dict[str, tuple[float, dict[str, list["Version"]]]] = {}  # by URL: when, and what by function


@dataclass(frozen=True, order=True)
class Version:
    """What lies below one name in a store, be it whole, damaged, or on its way."""

    function: str
    key: str
    digest: str
    shelf: str = ""  # or WORKSPACES, or PARTS
    sizes: Mapping[str, int] = field(compare=False, default_factory=dict)  # bytes by name within
    place: Store = field(compare=False, default=Store(""))

    def __str__(self) -> str:
        return f"{self.place.shown}/{self.path}"

    @property
    def path(self) -> str:
        return f"{self.shelf}{self.function}/{self.key}/{self.digest}"

    @property
    def state(self) -> str:
        """'whole', 'damaged' (somebody found it so), or 'unfinished'."""
        return "damaged" if DAMAGED in self.sizes else "whole" if store.SUMS in self.sizes else "unfinished"

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def record(self) -> dict:
        """Its record, unverified, for listings; empty where there is none that can be read."""
        return json.loads(_record(self.place, self.path))

    def age(self) -> float:
        """Seconds since the last of it was written."""
        return min((self.place.age(f"{self.path}/{name}") for name in self.sizes), default=0.0)

    def fetch(self, draft: Path) -> None:
        """Fills a new folder with it, every byte verified and flushed to the disk.

        Raises ValueError that says what is damaged, FileNotFoundError where it was taken away meanwhile.
        """
        for tries in range(1, TRIES + 1):
            shutil.rmtree(draft, ignore_errors=True)
            try:
                return self._fetch(draft)
            except FileNotFoundError as missing:
                if f"{self.path}/{store.SUMS}" not in self.place.sizes(self.path):
                    raise
                damage = ValueError(str(missing))
            except ValueError as found:
                damage = found
            if tries == TRIES:
                raise damage

    def _fetch(self, draft: Path) -> None:
        draft.mkdir(parents=True)
        self._get(store.SUMS, draft)
        if (found := sha256_of(draft / store.SUMS)) != self.digest:
            raise ValueError(f"{store.SUMS} has SHA-256 {found[:12]}, not {self.digest[:12]}")
        for name in store.sums_of(draft):
            self._get(name, draft)
        store.verified(draft, {store.RECORD})
        told = store.glance(draft / store.RECORD)
        if (told.get("function"), told.get("key")) != (self.function, self.key):
            raise ValueError(f"it is the entry of {told.get('function')} {told.get('key')}, under another name")
        store.flush(draft)

    def _get(self, name: str, draft: Path) -> None:
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            self.place.get(f"{self.path}/{name}", draft / name)
        except FileNotFoundError:
            raise FileNotFoundError(f"{name} is missing") from None

    def withdraw(self, damage: str) -> None:
        """Says in the store that it is damaged; from now on it is not there for anybody."""
        self.place.put(damage.encode(), f"{self.path}/{DAMAGED}")
        _glimpsed.clear()

    def remove(self) -> None:
        """Takes it out of the store, the marker first, so that a kill leaves no half of an entry."""
        for name in sorted(self.sizes, key=lambda name: name != store.SUMS):
            self.place.remove(f"{self.path}/{name}")
        _glimpsed.clear()


def every(place: Store, function: str = "", key: str = "", shelf: str = "") -> list[Version]:
    """All versions of a key, of a function or of a whole store, in the order in which they are taken."""
    below = "/".join(filter(None, (shelf.rstrip("/"), function, key)))
    found: dict[tuple[str, str, str], dict[str, int]] = {}
    for name, size in place.sizes(below).items():
        if name.startswith(shelf) and len(parts := name.removeprefix(shelf).split("/", 3)) == 4:
            one, of, digest, rest = parts
            if "." in one and len(of) == len(digest) == 64:
                found.setdefault((one, of, digest), {})[rest] = size
    return sorted(Version(*names, shelf, sizes, place) for names, sizes in found.items())


def glimpsed(place: Store, function: str) -> list[Version]:
    """As `every`, but what it tells may be seconds old: for listings that ask for hundreds of keys."""
    then, by_function = _glimpsed.get(place.url, (-RECENT, {}))
    if time.monotonic() - then >= RECENT:
        by_function = {}
        for version in every(place):
            by_function.setdefault(version.function, []).append(version)
        _glimpsed[place.url] = (time.monotonic(), by_function)
    return by_function.get(function, [])


def publish(place: Store, function: str, key: str, contents: Mapping[str, Path | bytes], shelf: str = "") -> Version:
    """Puts files there by their names and their SHA256SUMS, the marker, last; contents holds it too."""
    sizes = {name: len(one) if isinstance(one, bytes) else one.stat().st_size for name, one in contents.items()}
    version = Version(function, key, sha256(contents[store.SUMS]), shelf, sizes, place)
    for name in sorted(contents, key=lambda name: name == store.SUMS):
        place.put(contents[name], f"{version.path}/{name}")
    _glimpsed.clear()
    return version


def sha256(content: Path | bytes) -> str:
    """The SHA-256 of what is to be put there."""
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256_of(content)


def of_entry(entry: Path) -> dict[str, Path]:
    """The files of an entry on this disk, by name, as `publish` takes them."""
    return {name: entry / name for name in (*store.sums_of(entry), store.SUMS)}


@lru_cache(maxsize=4096)
def _record(place: Store, path: str) -> str:
    """A record in canonical JSON; the hash of its content is in the path, so that it can be remembered."""
    try:
        record = json.loads(place.read(f"{path}/{store.RECORD}"))
    except (FileNotFoundError, ValueError):
        return "{}"
    return json.dumps(record if isinstance(record, dict) else {})
