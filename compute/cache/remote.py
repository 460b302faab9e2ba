"""A store behind the cache: any place that fsspec reaches by a URL, asked a bounded number of times for each thing.

Nothing here knows of entries. fsspec and the store's own package are imported with the first request, so that a
cache in a folder needs neither.
"""

import errno
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from compute import paths

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")
PAUSES = (0.1, 0.4, 1.5, 5.0)  # seconds between five tries, each stretched by up to its double: others try too
# Beside OSError, what the packages below fsspec raise where a request fails, if they are loaded at all.
FOREIGN = {"botocore.exceptions": ("BotoCoreError", "ClientError"), "aiohttp": ("ClientError",)}
FULL = (errno.ENOSPC, errno.EDQUOT)  # it is our disk, and whoever asked knows what to say of that
HOPELESS = ("NoCredentialsError", "PartialCredentialsError", "ParamValidationError")  # to try again would not help
TRIED = ("EndpointConnectionError", "ConnectTimeoutError")  # five times by botocore, before we hear of it
OBJECTS = {"s3", "s3a", "gs", "gcs", "abfs", "az", "memory"}  # stores without folders, where a thing appears at once


@dataclass(frozen=True)
class Store:
    """The things below one URL, by names with slashes relative to it."""

    url: str
    variable: str = "AZIMUTH_CACHE"  # which names it

    @property
    def shown(self) -> str:
        """The URL as it may be printed: without the password that some kinds of URL can hold."""
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:...@", self.url)

    def sizes(self, below: str = "") -> dict[str, int]:
        """{name: bytes} of all that lies below a name, as of now."""

        def find(files: "AbstractFileSystem", root: str) -> dict[str, int]:
            files.invalidate_cache()  # what others put there a moment ago counts
            start = f"{root}/{below}".rstrip("/")
            found = files.find(start, detail=True)
            return {name[len(root) + 1 :]: told["size"] for name, told in found.items() if told["type"] == "file"}

        return self._ask(f"listing {below or 'it'}", find)

    def put(self, source: Path | bytes, name: str) -> None:
        """Puts a file, or bytes, there, so that it appears whole or not at all: at once, or by a rename."""

        def put(files: "AbstractFileSystem", root: str) -> None:
            path = draft = f"{root}/{name}"
            if OBJECTS.isdisjoint([files.protocol] if isinstance(files.protocol, str) else files.protocol):
                files.makedirs(path.rpartition("/")[0], exist_ok=True)
                draft = f"{path}.part"
            if isinstance(source, bytes):
                files.pipe_file(draft, source)
            else:
                files.put_file(str(source), draft)
            if draft != path:
                files.mv(draft, path)

        self._ask(f"writing {name}", put)

    def get(self, name: str, target: Path) -> None:
        """Fetches one thing into a file; FileNotFoundError where the store does not have it."""
        self._ask(f"reading {name}", lambda files, root: files.get_file(f"{root}/{name}", str(target)), absent=True)

    def read(self, name: str) -> bytes:
        """The bytes of one small thing; FileNotFoundError where the store does not have it."""
        return self._ask(f"reading {name}", lambda files, root: files.cat_file(f"{root}/{name}"), absent=True)

    def size(self, name: str) -> int:
        """The length of one thing; FileNotFoundError where the store does not have it."""

        def size(files: "AbstractFileSystem", root: str) -> int:
            files.invalidate_cache()
            return files.size(f"{root}/{name}")

        return self._ask(f"asking of {name}", size, absent=True)

    def range(self, name: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of one thing, all of them; FileNotFoundError where the store does not have it.

        Raises ValueError where more than those come: then who serves it does not know ranges.
        """

        def cut(files: "AbstractFileSystem", root: str) -> bytes:
            got = files.cat_file(f"{root}/{name}", start=start, end=stop)
            if len(got) > stop - start:
                raise ValueError(f"{self.shown}/{name} cannot be read by ranges: more came than was asked for")
            if len(got) < stop - start:
                raise OSError(f"{len(got):,} bytes came of the {stop - start:,} from {start:,} on")
            return got

        return self._ask(f"reading {name}", cut, absent=True)

    def remove(self, name: str) -> None:
        """Removes one thing; it is no error where it is gone already."""
        try:
            self._ask(f"removing {name}", lambda files, root: files.rm_file(f"{root}/{name}"), absent=True)
        except FileNotFoundError:
            return

    def age(self, name: str) -> float:
        """Seconds since a thing was written; 0 where the store cannot tell."""
        try:
            written = self._ask(f"asking of {name}", lambda files, root: files.modified(f"{root}/{name}"), absent=True)
        except (FileNotFoundError, NotImplementedError):
            return 0.0
        return (datetime.now(written.tzinfo) - written).total_seconds()

    def _ask(self, what: str, act: Callable[["AbstractFileSystem", str], T], absent: bool = False) -> T:
        """Does something there, and again after a pause where it fails; at last one OSError that says all.

        With `absent`, FileNotFoundError goes through: it is an answer.
        """
        files, root = self._opened()
        for tries, pause in enumerate((*PAUSES, None), 1):
            try:
                return act(files, root)
            except _failures() as error:
                if absent and isinstance(error, FileNotFoundError) or getattr(error, "errno", None) in FULL:
                    raise
                kind = type(error).__name__
                final = isinstance(error, PermissionError | FileNotFoundError) or kind in HOPELESS
                if pause is None or final or kind in TRIED and tries > 1:
                    raise OSError(self._told(what, tries, error)) from None  # its traceback may hold the whole URL
            time.sleep(pause * random.SystemRandom().uniform(1, 2))
        raise AssertionError("the last try returns or raises")

    def _opened(self) -> tuple["AbstractFileSystem", str]:
        """The file system and the path in it; fsspec keeps one a process and thread."""
        try:
            from fsspec.core import url_to_fs

            files, root = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ValueError(
                f"{self.variable} is {self.shown}, and no such store can be reached from here: {self._clean(error)}. "
                "It may be a folder, or a URL whose kind fsspec knows and whose package is installed (s3fs for s3://)"
            ) from None
        return files, root.rstrip("/")

    def _told(self, what: str, tries: int, error: BaseException) -> str:
        return (
            f"the store {self.shown} failed at {what}, {tries} time{'s' if tries > 1 else ''}: {type(error).__name__}: "
            f"{self._clean(error)}. What was computed is kept in {paths.cache_folder()}. Check that it is reachable "
            "and that the credentials are those for it (for s3://: AWS_ENDPOINT_URL, AWS_PROFILE and their like), and "
            f"run this again: it goes on; or point {self.variable} at a folder"
        )

    def _clean(self, error: BaseException) -> str:
        """What an error says, on one line and without a password."""
        said = re.sub(r"(://[^/@:\s]*):[^/@\s]*@", r"\1:...@", str(error) or "no reason given")
        return " ".join(said.split())


def _failures() -> tuple[type[BaseException], ...]:
    loaded = {module: names for module, names in FOREIGN.items() if module in sys.modules}
    return OSError, *(getattr(sys.modules[module], name) for module, names in loaded.items() for name in names)
