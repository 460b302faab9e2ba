"""Where things lie on disk: the one place that knows the project's folders and the variables that move
them."""

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def root() -> Path:
    """The project's root: the folder that holds compute/."""
    return Path(__file__).resolve().parent.parent


def _movable(variable: str, default: str) -> Path:
    """The folder that an environment variable names, or the default; both are taken from the project's root.

    From the root and not from the working folder, because a chapter's kernel runs in the chapter's folder.
    """
    named = os.environ.get(variable) or default
    if named.startswith("file://"):
        named = url2pathname(urlsplit(named).path)
    return root() / Path(named).expanduser()


def cache_url() -> str | None:
    """The store that AZIMUTH_CACHE names by a URL (s3://bucket/prefix, say); None where it names a folder."""
    named = os.environ.get("AZIMUTH_CACHE", "")
    return named.rstrip("/") if "://" in named and not named.startswith("file://") else None


def cache_folder() -> Path:
    """The computed results, ignored by git and always safe to delete; AZIMUTH_CACHE moves it.

    Before a store it is the store's mirror on this machine, one folder for each URL; AZIMUTH_CACHE_LOCAL moves those.
    """
    if url := cache_url():
        return _movable("AZIMUTH_CACHE_LOCAL", "data/cache/mirrors") / hashlib.sha256(url.encode()).hexdigest()[:16]
    return _movable("AZIMUTH_CACHE", "data/cache")


def results_folder() -> Path:
    """The committed results of long runs, read only to everything but `ship` and `bless`."""
    return root() / "data" / "results"


def models_folder() -> Path:
    """The fetched models, ignored by git; AZIMUTH_MODELS moves it."""
    return _movable("AZIMUTH_MODELS", "data/models")


def matrices_url() -> str | None:
    """Where workers find a model's file that they do not have, to read some rows of it: AZIMUTH_MATRICES, a URL.

    It is laid out as the models folder is; s3://, https:// and whatever else fsspec knows, or a folder. None if unset.
    """
    return os.environ.get("AZIMUTH_MATRICES", "").rstrip("/") or None


def published_folder() -> Path:
    """The facts that others published, committed."""
    return root() / "data" / "published"
