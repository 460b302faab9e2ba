"""Opens a language model's file and hands out its unembedding by rows, and its tokens; builds no model."""

import hashlib
import operator
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as brief

import numpy as np

from compute import fingerprints
from compute.models import checkpoint, ctranslate2_file, gguf_file, safetensors_file, storage
from compute.models.safetensors_file import TensorSpec
from compute.models.vocabulary import Vocabulary, from_folder, from_gguf

MOST_TOKENS, MOST_COMPONENTS = 1 << 24, 1 << 16  # far beyond any model; more is a header that lies


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The unembedding matrix of one model, opened and not yet read: one row a token, D components a row."""

    label: str  # how the model was asked for; for display only
    path: Path  # the one file that holds the tensor
    tensor: str
    storage: str  # BF16, F16, F32, Q8_0, ...
    n_tokens: int  # N
    dim: int  # D
    offset: int  # of the tensor's first byte in the file
    _stored: np.ndarray = field(repr=False)  # (N, elements a row), mapped from the file, read-only
    _status: os.stat_result = field(repr=False)  # of the file, as it was mapped

    @property
    def stored_shape(self) -> tuple[int, int]:
        """Rows, and stored elements a row: D, or the bytes of a row in block formats."""
        return self._stored.shape

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of storage, shape and the tensor's stored bytes, in hexadecimal."""
        part = (self.storage, self.n_tokens, self.dim, self.offset, self._stored.nbytes)
        return fingerprints.remembered(self.path, self._status, part, self._hash)

    def _hash(self) -> str:
        digest = hashlib.sha256(f"{self.storage} {self.n_tokens} {self.dim}\n".encode())
        rows = max(1, (1 << 22) // self._stored[0].nbytes)  # 4 MB at a time
        for start in range(0, self.n_tokens, rows):
            digest.update(self._stored[start : start + rows])
        return digest.hexdigest()

    def stored(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Returns the stored bits of rows [start, stop), not copied: uint16/uint32 (n, D), uint8 (n, bytes).

        By these, and not by their values, the census compares rows. Raises IndexError.
        """
        stop = self.n_tokens if stop is None else stop
        if not 0 <= start <= stop <= self.n_tokens:
            raise IndexError(f"rows [{start:,}, {stop:,}) of {self.label}, which has {self.n_tokens:,}")
        return self._stored[start:stop]

    def block(self, start: int, stop: int) -> np.ndarray:
        """Returns rows [start, stop), decoded: float32 (stop - start, D). Raises IndexError."""
        return storage.decode(self.stored(start, stop), self.storage)

    def blocks(self, rows: int = 4096) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (first row, decoded rows float32 (<= rows, D)), over the whole matrix, in order."""
        for start in range(0, self.n_tokens, rows):
            yield start, self.block(start, min(start + rows, self.n_tokens))

    def rows(self, ids: Iterable[int]) -> np.ndarray:
        """Returns the decoded rows of given tokens, in order: float32 (len(ids), D). Raises IndexError."""
        chosen = np.array([operator.index(i) for i in ids], dtype=np.int64)
        outside = chosen[(chosen < 0) | (chosen >= self.n_tokens)]
        if outside.size:
            raise IndexError(f"token {outside[0]:,} of {self.label}, which has {self.n_tokens:,}")
        return storage.decode(self._stored[chosen], self.storage)

    def matrix(self) -> np.ndarray:
        """Returns the whole matrix, decoded: float32 (N, D), 4 N D bytes."""
        whole = np.empty((self.n_tokens, self.dim), np.float32)
        for start, block in self.blocks():
            whole[start : start + len(block)] = block
        return whole


@dataclass(frozen=True, eq=False)
class Model:
    """A model as far as the book needs it: its unembedding, its tokens, and what is known of its origin."""

    catalogue: Catalogue
    vocabulary: Vocabulary
    card: dict  # source, revision, hash, licence, reason: as far as known


def open_model(name: str | None = None) -> Model:
    """Opens the model that `name` means, else the one AZIMUTH_MODEL names, else SmolLM2.

    A name is a known model's, a path (with #tensor behind it, if need be) or a hub id: `sources.locate`
    tells. Raises FileNotFoundError where it is not here, ValueError where it is here and not sound.
    """
    from compute.models import sources

    name = name or os.environ.get("AZIMUTH_MODEL") or sources.DEFAULT
    found = sources.locate(name)
    return open_path(found.path, found.label, found.card, found.tensor)


def open_path(path: Path | str, label: str | None = None, card: dict | None = None, tensor: str | None = None) -> Model:
    """Opens a GGUF, safetensors or CTranslate2 file or a Hugging Face folder; `tensor` overrules our choice of it.

    Only headers and the tokenizer are read. Raises FileNotFoundError, or ValueError with what is wrong.
    """
    path = Path(path).expanduser()
    label = label or path.name + (f"#{tensor}" if tensor else "")
    if path.is_dir():
        open_file = _open_folder
    elif not path.exists():
        raise FileNotFoundError(f"no model at {path}: neither a folder nor a file is there")
    elif not path.is_file():
        raise ValueError(f"{path} is neither a folder nor a regular file")
    else:
        with path.open("rb") as file:
            head = file.read(8).ljust(8, b"\0")
        other = _open_ctranslate2 if ctranslate2_file.begins(head) else _open_safetensors
        open_file = _open_gguf if head[:4] == b"GGUF" else other
    catalogue, vocabulary = open_file(path, label, tensor)
    return Model(catalogue, vocabulary, dict(card or {}))


def _open_folder(folder: Path, label: str, tensor: str | None) -> tuple[Catalogue, Vocabulary]:
    config, names = checkpoint.folder_config(folder), checkpoint.folder_names(folder)
    try:
        tensor, shard = _named(tensor, names) if tensor else checkpoint.choose(config, names)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    path = folder / shard
    if not path.is_file():
        raise FileNotFoundError(f"{tensor} lies in {shard}, which is not in {folder}; no other is needed")
    catalogue = _catalogue(path, label, tensor, safetensors_file.read_header(path))
    return catalogue, from_folder(folder, catalogue.n_tokens, label)


def _open_safetensors(path: Path, label: str, tensor: str | None) -> tuple[Catalogue, Vocabulary]:
    specs = safetensors_file.read_header(path)
    if tensor is None:
        try:
            tensor, _ = checkpoint.choose({}, dict.fromkeys(specs, path.name))
        except ValueError as error:
            raise ValueError(f"{path}: {error}. It has {_matrices(specs)}") from error
    catalogue = _catalogue(path, label, tensor, specs)
    return catalogue, from_folder(path.parent, catalogue.n_tokens, label)


def _open_ctranslate2(path: Path, label: str, tensor: str | None) -> tuple[Catalogue, Vocabulary]:
    specs = ctranslate2_file.read_header(path)
    catalogue = _catalogue(path, label, tensor or ctranslate2_file.UNEMBEDDING, specs)
    return catalogue, from_folder(path.parent, catalogue.n_tokens, label)


def _open_gguf(path: Path, label: str, tensor: str | None) -> tuple[Catalogue, Vocabulary]:
    header = gguf_file.read_header(path)
    if tensor is None:
        tensor = "output.weight" if "output.weight" in header.tensors else "token_embd.weight"
    catalogue = _catalogue(path, label, tensor, header.tensors)
    return catalogue, from_gguf(header.metadata, catalogue.n_tokens, label)


def _matrices(specs: dict[str, TensorSpec]) -> str:
    """Returns the names and shapes of the matrices with the most rows, for an error message."""
    found = sorted((-spec.shape[0], name) for name, spec in specs.items() if len(spec.shape) == 2)
    shown = ", ".join(f"{name[:80]!r} {list(specs[name].shape)}" for _, name in found[:8])
    return f"{len(found):,} matrices: {shown}{', ...' if len(found) > 8 else ''}" if found else "no matrix"


def _named(tensor: str, names: dict[str, str]) -> tuple[str, str]:
    if tensor not in names:
        raise ValueError(f"no tensor {tensor[:80]!r} among its {len(names):,}: {brief(sorted(names))}")
    return tensor, names[tensor]


def _catalogue(path: Path, label: str, tensor: str, specs: dict[str, TensorSpec]) -> Catalogue:
    """Returns the catalogue of one tensor of a file, mapped; ValueError unless it can be read as a matrix."""
    if tensor not in specs:
        raise ValueError(f"no tensor {tensor[:80]!r} in {path}. It has {_matrices(specs)}")
    spec = specs[tensor]
    if len(spec.shape) != 2 or 0 in spec.shape:
        raise ValueError(f"{tensor} in {path} has the shape {list(spec.shape)}; a matrix (N, D) is expected")
    n_tokens, dim = spec.shape
    if n_tokens > MOST_TOKENS or dim > MOST_COMPONENTS:
        raise ValueError(
            f"{tensor} in {path} claims {n_tokens:,} rows of {dim:,} components; "
            f"up to {MOST_TOKENS:,} rows of {MOST_COMPONENTS:,} are believed"
        )
    try:
        dtype, width = storage.row_layout(spec.dtype, dim)
    except ValueError as error:
        raise ValueError(f"{tensor} in {path}: {error}") from error
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size < spec.end:
            raise ValueError(f"{path} was cut off while it was opened")
        mapped = np.memmap(file, dtype, mode="r", offset=spec.start, shape=(n_tokens, width))
    return Catalogue(label, path, tensor, spec.dtype, n_tokens, dim, spec.start, np.asarray(mapped), status)


def check(catalogue: Catalogue) -> None:
    """Raises ValueError unless the catalogue can carry the book's statistics: N > D and every row finite."""
    if catalogue.n_tokens <= catalogue.dim:
        raise ValueError(
            f"{catalogue.label}: N = {catalogue.n_tokens:,} rows of D = {catalogue.dim:,} components; N must "
            f"exceed D, or the covariance has no inverse. Is {catalogue.tensor} the unembedding, row by row?"
        )
    check_finite(catalogue)


def check_finite(catalogue: Catalogue) -> None:
    """Raises ValueError, with the first bad row and their number, where a row holds a NaN or an infinity."""
    bad = np.concatenate(
        [start + np.flatnonzero(~np.isfinite(block).all(axis=1)) for start, block in catalogue.blocks()]
    )
    if bad.size:
        raise ValueError(
            f"{catalogue.label}: {bad.size:,} of {catalogue.n_tokens:,} rows hold NaN or infinity, the first "
            f"is row {bad[0]:,}. The file is damaged, or its run diverged: fetch it again, or choose another"
        )
