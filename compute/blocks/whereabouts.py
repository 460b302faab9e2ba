"""Where a matrix lies, small enough to be sent to a worker, which opens and reads it itself."""

import functools
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compute import paths
from compute.blocks import distant
from compute.blocks.distant import Layout
from compute.cache import mirror
from compute.cache.remote import Store
from compute.models import weights
from compute.models.weights import Catalogue


@dataclass(frozen=True)
class Whereabouts:
    """A matrix by its name, its file and the hash of its content, by which a worker knows that it has the same one."""

    label: str
    path: str
    tensor: str
    fingerprint: str
    layout: Layout
    copy: str  # the file's name below AZIMUTH_MATRICES
    kept: str  # and below the URL of the cache, where it is part of a result that is kept there; else empty

    @classmethod
    def of(cls, catalogue: Catalogue) -> "Whereabouts":
        """Where an opened catalogue lies."""
        path, shelf = catalogue.path.resolve(), paths.models_folder().resolve()
        copy = path.relative_to(shelf).as_posix() if path.is_relative_to(shelf) else path.name
        names = (catalogue.label, str(path), catalogue.tensor, catalogue.fingerprint)
        return cls(*names, Layout.of(catalogue), copy, mirror.name_of(path) or "")


@functools.lru_cache(maxsize=8)
def opened(where: Whereabouts) -> Catalogue:
    """The matrix: memory-mapped from its path; or where that is not to be found, behind a URL, and read by ranges; or
    from the model of its name.

    Raises FileNotFoundError where this machine has none of these, ValueError where its content is another.
    """
    if Path(where.path).is_file():
        found = _opened_file(Path(where.path), where.label, where.tensor)
    elif afar := _from_afar(where):
        return afar
    else:
        try:
            found = weights.open_model(where.label).catalogue
        except FileNotFoundError as missing:
            raise FileNotFoundError(
                f"{platform.node()} has no {where.label}: neither {where.path} nor a model of that name. Mount the "
                "folder there, or fetch the model: python -m compute fetch; or set AZIMUTH_MATRICES there to a URL "
                f"below which {where.copy} lies{'' if paths.matrices_url() is None else ' (below the present one not)'}"
            ) from missing
    if found.fingerprint != where.fingerprint:
        raise ValueError(
            f"{where.label} on {platform.node()} ({found.path}) is not the matrix that was asked for: its content "
            f"has the hash {found.fingerprint[:12]}, not {where.fingerprint[:12]}. Fetch it there again"
        )
    return found


def _from_afar(where: Whereabouts) -> Catalogue | None:
    for place, name in _stores(where):
        try:
            return distant.opened(place, name, where.layout, where.label, where.tensor, where.fingerprint)
        except FileNotFoundError:
            continue
    return None


def _stores(where: Whereabouts) -> Iterator[tuple[Store, str]]:
    if where.kept and (there := mirror.place()):
        yield there, where.kept
    if url := paths.matrices_url():
        yield Store(url, "AZIMUTH_MATRICES"), where.copy


def opened_array(path: Path, label: str) -> Catalogue:
    """A float32 matrix in a .npy file as a catalogue, so that workers can read it by blocks like any other.

    Raises ValueError on anything but a C-ordered float32 matrix.
    """
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    if mapped.ndim != 2 or mapped.dtype != np.dtype("<f4") or not mapped.flags.c_contiguous:
        raise ValueError(f"{path} holds {mapped.dtype} {mapped.shape}; a C-ordered float32 matrix is expected")
    return Catalogue(label, path, "", "F32", *mapped.shape, mapped.offset, np.asarray(mapped).view("<u4"), path.stat())


def _opened_file(path: Path, label: str, tensor: str) -> Catalogue:
    return weights.open_path(path, label, tensor=tensor).catalogue if tensor else opened_array(path, label)
