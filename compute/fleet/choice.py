"""Which scheduler is to be used: AZIMUTH_SCHEDULER, `--scheduler`, or a Dask configuration already in force.

Dask itself is imported only where its own configuration files speak of a scheduler.
"""

import argparse
import json
import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path

VARIABLE, DASK_S = "AZIMUTH_SCHEDULER", "DASK_SCHEDULER_ADDRESS"
HERE = "local"  # the value that says: in this process, whatever Dask's configuration says


def address() -> str | None:
    """The scheduler's address, or None where the work stays in this process.

    AZIMUTH_SCHEDULER comes first: an address, the file that `dask scheduler --scheduler-file` writes, or 'local' for
    none. Then `scheduler-address` of Dask's configuration, from its environment or its files. Raises ValueError where
    a scheduler file cannot be used.
    """
    stated = os.environ.get(VARIABLE, "").strip()
    if stated == HERE:
        return None
    found = stated or os.environ.get(DASK_S, "").strip() or _configured()
    return _out_of(Path(found).expanduser()) if found and found.endswith(".json") else found or None


def choose(stated: str | None) -> None:
    """Takes what `--scheduler` says, if it says anything, for this process and those that it starts."""
    if stated:
        os.environ[VARIABLE] = stated


def add_option(command: argparse.ArgumentParser) -> None:
    """Gives a command the option `--scheduler`."""
    command.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="the Dask scheduler whose workers do it, tcp://host:port (default: $AZIMUTH_SCHEDULER, then Dask's own "
        "configuration; 'local' for none)",
    )


def _out_of(file: Path) -> str:
    try:
        return str(json.loads(file.read_text("utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{VARIABLE} names the scheduler file {file}, which cannot be used ({error}): give the file that "
            "`dask scheduler --scheduler-file FILE` writes while it runs, or an address, tcp://host:port"
        ) from error


def _configured() -> str | None:
    """`scheduler-address` of Dask's configuration files; Dask is asked only where one of them has the word."""
    if not any(b"scheduler-address" in file.read_bytes() for file in _files()):
        return None
    try:
        import dask
    except ImportError:  # then nobody means it for us
        return None
    return dask.config.get("scheduler-address", None)


def _files() -> Iterator[Path]:
    """The files that Dask would read, by its own rules."""
    folders = [os.environ.get("DASK_ROOT_CONFIG", "/etc/dask")]
    folders += [os.path.join(prefix, "etc", "dask") for prefix in (sys.prefix, *site.PREFIXES)]
    folders += [os.path.join(os.path.expanduser("~"), ".config", "dask"), os.environ.get("DASK_CONFIG", "")]
    for place in map(Path, filter(None, dict.fromkeys(folders))):
        inside = place.iterdir() if place.is_dir() else [place]
        yield from (file for file in inside if file.suffix in (".yaml", ".yml", ".json") and file.is_file())
