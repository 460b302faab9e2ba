"""A model on the Hugging Face hub: its small files, and of its weights only the unembedding, by ranges."""

import json
import os
import re
import sys
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from compute import paths
from compute.integrity import flush_folder, is_intact, one_at_a_time, set_aside, sha256_of, write_whole
from compute.models import checkpoint, strict_json
from compute.models.one_tensor import fetch_tensor, read_header
from compute.models.ranges import Facts, Patience, Server
from compute.models.safetensors_file import TensorSpec

ADDRESS = "https://huggingface.co"  # where HF_ENDPOINT says nothing else
LARGEST_TOKENIZER = 200_000_000  # bytes
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
SOURCE = "source.json"  # beside a fetched model: what was fetched, from where, when, with which hashes


@dataclass(frozen=True)
class Kept:
    """A model of the hub that is on this disk."""

    folder: Path
    commit: str
    tensor: str | None = None  # the only one in the folder, if it was fetched by us
    sha256: str | None = None  # of that tensor's bytes


def obtain(model: str, revision: str, pinned: bool = False, patience: Patience | None = None) -> Kept:
    """Makes `model` (org/name) at `revision` be on this disk: kept, cached by the hub's library, or fetched.

    Where the revision is `pinned` by the registry and not on the server, `main` is taken, with a warning.
    Raises FileNotFoundError where it is not here and cannot be fetched, ConnectionError where the line breaks
    too often, PermissionError where a token is needed, ValueError for an unsound server or checkpoint.
    """
    shelf = paths.models_folder() / "hub"
    if found := kept(shelf, model, revision) or in_library_cache(model, revision):
        return found
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise FileNotFoundError(_elsewhere(model, revision, "HF_HUB_OFFLINE is set"))
    base = os.environ.get("HF_ENDPOINT") or ADDRESS
    server = Server(base, (os.environ.get("HF_TOKEN") or "").strip() or None, patience)
    shelf.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(shelf / f"{_name(model)}.lock", model):
        if found := kept(shelf, model, revision):
            return found
        try:
            return _fetch(server, shelf, model, revision, pinned)
        except ConnectionError as error:
            if not server.met:
                raise FileNotFoundError(_elsewhere(model, revision, str(error))) from None
            raise ConnectionError(f"{error}. What has come is kept; run again to go on from there") from None


def kept(shelf: Path, model: str, revision: str) -> Kept | None:
    """Finds what was fetched of `model` before at this revision or commit; a damaged copy is put aside."""
    for folder in sorted(shelf.glob(f"{_name(model)}@*")):
        if folder.suffix == ".damaged":
            continue
        try:
            source = strict_json.read(folder / SOURCE)
            if revision != source["commit"] and revision not in source["revisions"]:
                continue
            bad = [
                name
                for name, file in source["files"].items()
                if not is_intact(folder / name, file["bytes"], file["sha256"])
            ]
            if not bad:
                return Kept(folder, source["commit"], source["tensor"], source["sha256"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            bad = [SOURCE]
        set_aside(folder, f"not as it was fetched: {', '.join(bad)}")
    return None


def in_library_cache(model: str, revision: str) -> Kept | None:
    """Finds `model` in the cache of the huggingface_hub library, if all that is needed of it is there."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()
    repository = cache / f"models--{_name(model)}"
    reference = repository / "refs" / revision
    commit = reference.read_text("utf-8").strip() if reference.is_file() else revision
    folder = repository / "snapshots" / commit
    if not re.fullmatch(r"[\w-]+", commit) or not (folder / "config.json").is_file():
        return None
    if not any((folder / name).is_file() for name in (checkpoint.SINGLE, checkpoint.INDEX)):
        return None
    _, shard = checkpoint.choose(checkpoint.folder_config(folder), checkpoint.folder_names(folder))
    return Kept(folder, commit) if (folder / shard).is_file() else None


def _fetch(server: Server, shelf: Path, model: str, revision: str, pinned: bool) -> Kept:
    """Fetches what the book needs of `model` into shelf/org--name@commit; goes on with what was cut off."""
    at = f"{server.base}/{quote(model)}/resolve/"
    revisions = [revision]
    try:
        config, facts = server.whole(f"{at}{quote(revision, safe='')}/config.json", strict_json.LARGEST)
    except FileNotFoundError:
        if not pinned:
            raise
        warnings.warn(f"{server.base} has no {model} at the pinned {revision}; taking main", stacklevel=2)
        revisions.append("main")
        config, facts = server.whole(f"{at}main/config.json", strict_json.LARGEST)
    at += quote(revisions[-1], safe="") + "/"
    commit = facts.commit if facts.commit and re.fullmatch(r"[\w-]{1,64}", facts.commit) else revisions[-1]
    if found := kept(shelf, model, commit):  # fetched before under another name
        source = strict_json.read(found.folder / SOURCE)
        source["revisions"] = sorted({*source["revisions"], *revisions})
        write_whole(found.folder / SOURCE, [json.dumps(source, indent=1).encode()])
        return found
    same = Facts(None, None, facts.commit)  # that all answers are of one commit is checked for each
    parsed = strict_json.parse(config, f"config.json of {model}")
    shard, tensor, spec, facts = _unembedding(server, at, parsed, same)
    draft = shelf / ".partial" / f"{_name(model)}@{quote(commit, safe='')}"
    draft.mkdir(parents=True, exist_ok=True)
    write_whole(draft / "config.json", [config])
    for name in TOKENIZER:
        _fetch_optional(server, at + name, draft / name, same)
    megabytes = (spec.end - spec.start) / 1e6
    print(f"fetching {tensor} of {model} ({megabytes:,.0f} of {facts.length / 1e6:,.0f} MB)", file=sys.stderr)
    digest = fetch_tensor(server, at + quote(shard), tensor, spec, facts, draft / checkpoint.SINGLE)
    files = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_of(p)} for p in sorted(draft.iterdir())}
    source = {
        "model": model, "endpoint": server.base, "revisions": revisions, "commit": commit, "shard": shard,
        "etag": facts.etag, "tensor": tensor, "dtype": spec.dtype, "shape": list(spec.shape),
        "sha256": digest, "fetched": datetime.now(UTC).isoformat(timespec="seconds"), "files": files,
    }  # fmt: skip
    write_whole(draft / SOURCE, [json.dumps(source, indent=1).encode()])
    folder = shelf / draft.name
    os.replace(draft, folder)
    flush_folder(shelf)
    return Kept(folder, commit, tensor, digest)


def _unembedding(
    server: Server, at: str, config: dict, same: Facts
) -> tuple[str, str, TensorSpec, Facts]:
    """Finds shard, tensor, its place there, and what is told of the shard; reads an index and a header."""
    try:
        index, told = server.whole(at + checkpoint.INDEX, strict_json.LARGEST)
    except FileNotFoundError:
        header, facts = read_header(server, at + checkpoint.SINGLE, same)
        tensor, shard = checkpoint.choose(config, dict.fromkeys(header, checkpoint.SINGLE))
    else:
        same.check_same(told, at + checkpoint.INDEX)
        names = checkpoint.shards(strict_json.parse(index, at + checkpoint.INDEX))
        tensor, shard = checkpoint.choose(config, names)
        header, facts = read_header(server, at + quote(shard), same)
    if tensor not in header:
        raise ValueError(f"the index places {tensor!r} in {at}{shard}, which has {list(header)[:8]} ...")
    if len(header[tensor].shape) != 2:
        raise ValueError(f"{tensor} in {at}{shard} has shape {header[tensor].shape}; a matrix was expected")
    return shard, tensor, header[tensor], facts


def _fetch_optional(server: Server, url: str, path: Path, same: Facts) -> None:
    """Fetches a file that a model may lack."""
    try:
        text, told = server.whole(url, LARGEST_TOKENIZER)
    except FileNotFoundError:
        path.unlink(missing_ok=True)
        return
    same.check_same(told, url)
    write_whole(path, [text])


def _name(model: str) -> str:
    return model.replace("/", "--")


def _elsewhere(model: str, revision: str, why: str) -> str:
    return (
        f"{model} (revision {revision}) is not on this disk, and could not be fetched: {why}. Two ways to "
        f"get it: connect once and run `python -m compute fetch {model}`; or bring its folder (config.json, "
        "tokenizer.json, the safetensors files) by other means and set AZIMUTH_MODEL to its path. A copy in "
        "the Hugging Face cache (HF_HOME) is found by itself"
    )
