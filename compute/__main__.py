"""The command line: python -m compute survey, experiment, sweep, prepare, status, why, verify, gc, ship, and more."""

import argparse
import sys

from compute import desk, laboratory, preparation, survey, sweeping
from compute.fleet import choice
from compute.models import sources

DESCRIPTION = """\
Project Azimuth from the command line: survey the token space of a model, and look after the
cache of results that the book is made from.

  python -m compute survey                     numbers of the default model
  python -m compute survey MODEL --json        numbers of another, for a script
  python -m compute experiment                 what is asked of Goldilocks, and which runs are there
  python -m compute sweep FILE.toml            a declared grid of trainings: train, and tell
  python -m compute status                     which results are there, and which are stale
  python -m compute why norms                  why a result is, or is not, up to date
"""


def main(words: list[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 asked and found wanting, 2 it could not be done."""
    parser = argparse.ArgumentParser(
        prog="python -m compute",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for room in (survey, laboratory, sweeping, preparation, desk, sources):
        room.add_commands(commands)
    arguments = parser.parse_args(words)
    choice.choose(getattr(arguments, "scheduler", None))
    try:
        return arguments.run(arguments)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        return 0
    except (MemoryError, OSError, ValueError) as problem:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
