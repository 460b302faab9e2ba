"""One tensor of a remote safetensors file, fetched part by part into a safetensors file of its own."""

import hashlib
import json
import os
import struct
import sys
from dataclasses import asdict
from pathlib import Path

from compute.integrity import check_room, write_whole
from compute.models import strict_json
from compute.models.ranges import Facts, Server
from compute.models.safetensors_file import TensorSpec, header_length, parse_header

PART = 8 << 20  # bytes asked for at a time; as much is lost when a fetch is killed


def read_header(server: Server, url: str, known: Facts) -> tuple[dict[str, TensorSpec], Facts]:
    """Fetches a remote file's header and no more: the tensors' places, and what is told of the file."""
    raw, facts = server.part(url, 0, 9, known)  # the ninth byte tells a header from a hole
    try:
        length = header_length(raw, facts.length) if raw[8:] == b"{" else 1
        for start in range(9, 8 + length, PART):
            raw += server.part(url, start, min(start + PART, 8 + length), facts)[0]
        return parse_header(raw, facts.length), facts
    except ValueError as error:
        raise ValueError(f"{url}: {error}") from error


def fetch_tensor(server: Server, url: str, tensor: str, spec: TensorSpec, known: Facts, path: Path) -> str:
    """Fetches one tensor into `path`, name and dtype kept; returns the SHA-256 of its bytes.

    What a fetch that was cut off or killed had flushed is found again, hashed, and not asked for a second
    time, unless the remote file is another by now. Raises what Server.part raises, OSError on a full disk.
    """
    header = _header(tensor, spec)
    length = spec.end - spec.start
    draft, diary = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
    identity = {"tensor": tensor, "spec": list(spec), **asdict(known)}
    digest, done = _done_before(draft, diary, identity, len(header))
    check_room(path.parent, length - done, f"{tensor} of {url}")
    with open(draft, "r+b" if done else "wb") as file, _progress(length, done, path.parent.name) as bar:
        file.seek(0)
        file.write(header)
        file.truncate(len(header) + done)
        file.seek(len(header) + done)
        while done < length:
            start = spec.start + done
            part, _ = server.part(url, start, min(start + PART, spec.end), known)
            file.write(part)
            file.flush()
            os.fsync(file.fileno())
            digest.update(part)
            done += len(part)
            write_whole(diary, [json.dumps(identity | {"done": done, "sha256": digest.hexdigest()}).encode()])
            bar.update(len(part))
    os.replace(draft, path)
    diary.unlink(missing_ok=True)
    return digest.hexdigest()


def _header(tensor: str, spec: TensorSpec) -> bytes:
    """The first bytes of a safetensors file that holds this tensor alone; padded to keep it aligned."""
    entry = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [0, spec.end - spec.start]}
    text = json.dumps({tensor: entry}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _done_before(draft: Path, diary: Path, identity: dict, offset: int) -> tuple["hashlib._Hash", int]:
    """Returns the running hash and the number of bytes that an earlier fetch of this tensor left."""
    digest = hashlib.sha256()
    if not (draft.is_file() and diary.is_file()):
        return digest, 0
    try:
        told = strict_json.read(diary)
    except ValueError:  # a damaged diary proves nothing
        return digest, 0
    done = told.pop("done", 0)
    expected = told.pop("sha256", None)
    if told != json.loads(json.dumps(identity)):  # a tuple comes back as a list
        return digest, 0
    with open(draft, "rb") as file:
        file.seek(offset)
        left = done
        while left and (chunk := file.read(min(PART, left))):
            digest.update(chunk)
            left -= len(chunk)
    if left or digest.hexdigest() != expected:
        return hashlib.sha256(), 0
    return digest, done


def _progress(total: int, done: int, name: str):
    """A bar on stderr, if that is a terminal and it takes over a second."""
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    return tqdm(total=total, initial=done, desc=name, unit="B", unit_scale=True, delay=1, disable=quiet)
