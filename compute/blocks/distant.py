"""A matrix behind a URL, of which a worker reads only the rows that it needs, by ranges of bytes."""

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from compute.cache.remote import Store
from compute.models import storage
from compute.models.weights import Catalogue

KEPT = 1 << 27  # bytes of rows that a worker holds, of those that it read last
GAP = 1 << 16  # bytes that are read along, if two rows that are wanted lie no farther apart: a request costs as much
SAMPLES, SAMPLE = 8, 1 << 14  # of the matrix that are compared before any of it is used, and the bytes of each


class Layout(NamedTuple):
    """How a matrix lies in its file, by which its rows are found from afar, and what tells it from others."""

    storage: str
    n_tokens: int
    dim: int
    offset: int
    size: int  # bytes of the file
    sample: str  # SHA-256 of samples of its stored bytes

    @classmethod
    def of(cls, catalogue: Catalogue) -> "Layout":
        """That of a catalogue whose file is here."""
        stored = catalogue._stored.reshape(-1).view(np.uint8)
        size = catalogue._status.st_size
        sample = _sampled(stored.nbytes, lambda start, stop: stored[start:stop])
        return cls(catalogue.storage, catalogue.n_tokens, catalogue.dim, catalogue.offset, size, sample)


def _sampled(length: int, read) -> str:
    """The hash of the first bytes, the last ones, and some at even distances between, as `read(start, stop)` tells."""
    starts = np.linspace(0, max(0, length - SAMPLE), SAMPLES).astype(int).tolist()
    digest = hashlib.sha256()
    for start in dict.fromkeys(starts):
        digest.update(read(start, min(start + SAMPLE, length)))
    return digest.hexdigest()


class Rows:
    """The stored rows of a distant matrix, as far as a catalogue takes them for an array: slices, and lists of ids."""

    def __init__(self, place: Store, name: str, layout: Layout):
        self.place, self.name, self.offset = place, name, layout.offset
        self.dtype, width = storage.row_layout(layout.storage, layout.dim)
        self.shape = (layout.n_tokens, width)
        self.row_bytes = width * self.dtype.itemsize
        self.nbytes = layout.n_tokens * self.row_bytes
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()  # by first row and end, oldest first
        self._lock = threading.Lock()

    def octets(self, start: int, stop: int) -> bytes:
        """Some bytes of the matrix."""
        return self.place.range(self.name, self.offset + start, self.offset + stop)

    def __getitem__(self, asked) -> np.ndarray:
        if isinstance(asked, slice):
            start, stop, _ = asked.indices(self.shape[0])
            return self._between(start, stop)
        ids, back = np.unique(np.atleast_1d(asked), return_inverse=True)
        runs = np.split(ids, 1 + np.flatnonzero(np.diff(ids) > 1 + GAP // self.row_bytes)) if len(ids) else []
        found = [self._between(int(run[0]), int(run[-1]) + 1)[run - run[0]] for run in runs]
        rows = np.concatenate([np.empty((0, self.shape[1]), self.dtype), *found])[back]
        return rows[0] if np.ndim(asked) == 0 else rows

    def _between(self, start: int, stop: int) -> np.ndarray:
        """The rows [start, stop), read only: of those that were read last, or fetched."""
        if stop <= start:
            return np.empty((0, self.shape[1]), self.dtype)
        with self._lock:
            if (start, stop) in self._kept:
                self._kept.move_to_end((start, stop))
                return self._kept[start, stop]
        octets = self.octets(start * self.row_bytes, stop * self.row_bytes)
        rows = np.frombuffer(octets, self.dtype).reshape(-1, self.shape[1])
        with self._lock:
            self._kept[start, stop] = rows
            while sum(one.nbytes for one in self._kept.values()) > KEPT:
                self._kept.popitem(last=False)
        return rows


@dataclass(frozen=True, eq=False)
class Distant(Catalogue):
    """A catalogue whose rows are fetched when they are asked for; its fingerprint is what it was told to be."""

    told: str

    @property
    def fingerprint(self) -> str:
        """The SHA-256 that the whole matrix should have; what was held against it is said in `opened`."""
        return self.told


def opened(place: Store, name: str, layout: Layout, label: str, tensor: str, fingerprint: str) -> Distant:
    """The matrix of one file in a store. The length of the file and samples of the matrix are compared, not all of it.

    A fingerprint is the hash of every byte, and to check it would be to fetch them all; so a copy that differs in few
    rows only is not noticed here: copy files with a tool that verifies what it copies. Raises FileNotFoundError where
    there is no such file, ValueError where it is another one.
    """
    size = place.size(name)
    if size == layout.size:
        rows = Rows(place, name, layout)
        if _sampled(rows.nbytes, rows.octets) == layout.sample:
            unknown = os.stat_result((0,) * 10)
            shape = (layout.n_tokens, layout.dim)
            return Distant(label, Path(name), tensor, layout.storage, *shape, layout.offset, rows, unknown, fingerprint)
    why = f"it has {size:,} bytes, not {layout.size:,}" if size != layout.size else "its rows are others"
    raise ValueError(
        f"{place.shown}/{name} is not the matrix of {label} that was asked for ({fingerprint[:12]}): {why}. "
        "Copy the very file there that the client has"
    )
