"""Where things lie on disk: the one place that knows the project's folders and the variables that move
them."""

import os
from pathlib import Path


def root() -> Path:
    """The project's root: the folder that holds compute/."""
    return Path(__file__).resolve().parent.parent


def _movable(variable: str, default: str) -> Path:
    """The folder that an environment variable names, or the default; both are taken from the project's root.

    From the root and not from the working folder, because a chapter's kernel runs in the chapter's folder.
    """
    return root() / Path(os.environ.get(variable) or default).expanduser()


def cache_folder() -> Path:
    """The computed results, ignored by git and always safe to delete; AZIMUTH_CACHE moves it."""
    return _movable("AZIMUTH_CACHE", "data/cache")


def results_folder() -> Path:
    """The committed results of long runs, read only to everything but `ship` and `bless`."""
    return root() / "data" / "results"


def models_folder() -> Path:
    """The fetched models, ignored by git; AZIMUTH_MODELS moves it."""
    return _movable("AZIMUTH_MODELS", "data/models")


def published_folder() -> Path:
    """The facts that others published, committed."""
    return root() / "data" / "published"
