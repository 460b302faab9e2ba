"""The command line of the experiments: python -m compute experiment, which lists, summarises, trains and ships."""

import argparse
import errno
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from compute import experiments, paths
from compute.cache import Call, Result, entries, shipping
from compute.experiments import MILESTONE, Experiment
from compute.tables import duration, lines, visible

DONE, WANTING = 0, 1  # exit codes; 2, that it could not be done, is the front's
RATE = 20.0  # steps a second, to say how long a run may take where none has been measured
ROOM = 200_000_000  # bytes that a training asks for: its checkpoints, its result and some air
STRAGGLER = 0.05  # of the run, at its end: who moved in there is a straggler
NAMED = 12  # stragglers a seed whose text is told
TEXT = """\
Without a NAME: the experiments, what each one asks, and which of its runs are there. With one: its summary, of
the runs that are there, in the cache or shipped. Nothing is trained unless --run says so.

  python -m compute experiment
  python -m compute experiment pure-bf16 --json
  python -m compute experiment pure-bf16 --run --seed 43

A run that was broken off goes on from its last checkpoint; runs of other names or seeds may go on beside it.
frozen_fraction: share of the dead tokens with L1 = 0, mean of the 100 steps up to the milestone. frozen_for_good:
share that never moved again in the run; at its last step that is everyone, whatever would have come.
"""


def add_commands(subparsers: "argparse._SubParsersAction") -> None:
    """Registers `experiment` with the command line."""
    command = subparsers.add_parser(
        "experiment",
        help="the named experiments on Goldilocks: list them, read them, train them",
        description=TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("name", nargs="?", metavar="NAME", help="the experiment; without one, all are listed")
    command.add_argument("--run", action="store_true", help="train what is missing, one run after the other")
    command.add_argument("--ship", action="store_true", help="copy finished runs into data/results")
    command.add_argument("--seed", type=_seed, nargs="+", metavar="S", help="only these seeds")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    command.set_defaults(run=experiment, train=False)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; a whole number from 0 and below 2^63 is")
    return int(text)


def experiment(arguments: argparse.Namespace) -> int:
    """Lists the experiments, or trains, ships and tells of one; 1 where a run that was asked for is missing."""
    if arguments.name is None:
        if arguments.run_missing or arguments.ship or arguments.seed:
            raise ValueError("--run, --ship and --seed need the NAME of an experiment")
        return _list(arguments.json)
    chosen = experiments.named(arguments.name)
    seeds = tuple(dict.fromkeys(arguments.seed or chosen.seeds))
    if arguments.run_missing:
        for seed in seeds:
            _train(chosen, seed)
    found = experiments.kept(chosen.name, seeds)
    if arguments.ship:
        for seed in found:
            _ship(chosen, seed)
    told = summary(chosen, found)
    missing = [seed for seed in seeds if seed not in found]
    if arguments.json:
        print(json.dumps(told | {"missing": missing}, indent=1))
    else:
        print("\n".join(page(chosen, told)))
    if missing:
        _say(f"not there: {chosen.name} with seed {', '.join(map(str, missing))}. "
             f"`python -m compute experiment {chosen.name} --run` trains {'them' if len(missing) > 1 else 'it'}, "
             f"in about {duration(chosen.steps * len(missing) / _rate(found))}")  # fmt: skip
    return WANTING if missing else DONE
