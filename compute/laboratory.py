"""The command line of the experiments: python -m compute experiment, which lists, summarises, trains and ships."""

import argparse
import errno
import json
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from compute import experiments, fleet, paths, recipes, results_experiments
from compute.cache import Result, entries, shipping
from compute.experiments import Experiment
from compute.fleet import choice
from compute.tables import duration, lines, visible

DONE, WANTING, BROKEN_OFF = 0, 1, 130  # exit codes; 2, that it could not be done, is the front's
HERE = ("fresh", "shipped")  # states of what need not be computed
RATE = 20.0  # steps a second, to say how long a run may take where none has been measured
ROOM = 200_000_000  # bytes that a training asks for: its checkpoints, its result and some air
TEXT = """\
Without a NAME: the experiments, what each one asks, and which of its runs are there. With one: its summary, of
the runs that are there, in the cache or shipped. Nothing is trained unless --run says so.

  python -m compute experiment
  python -m compute experiment pure-bf16 --json
  python -m compute experiment pure-bf16 --run --seed 43

A run that was broken off goes on from its last checkpoint; runs of other names or seeds may go on beside it.
With a Dask scheduler (--scheduler) each run is a task: workers train, and the cache that all share keeps it.
frozen_fraction: share of the dead tokens with L1 = 0, mean of the 100 steps up to the milestone. frozen_for_good:
share that never moved again in the run; at its last step that is everyone, whatever would have come.

AZIMUTH_CORPUS, text files or folders of .txt, replaces the English text; AZIMUTH_CORPUS_UNSEEN the Thai one.
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
    command.add_argument("--run", dest="run_missing", action="store_true", help="train what is missing")
    command.add_argument("--ship", action="store_true", help="copy finished runs into data/results")
    command.add_argument("--seed", type=_seed, nargs="+", metavar="S", help="only these seeds")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    choice.add_option(command)
    command.set_defaults(run=experiment)


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
        try:
            if fleet.active():
                _have_trained(chosen, seeds)
            for seed in seeds:
                _train(chosen, seed)
        except KeyboardInterrupt:
            _say("broken off; the same command goes on from the last checkpoint")
            return BROKEN_OFF
    found = experiments.kept(chosen.name, seeds)
    if arguments.ship:
        _ship(chosen, list(found))
    told = results_experiments.summary(chosen, found)
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


def _list(as_json: bool) -> int:
    rows = []
    for one in experiments.EXPERIMENTS.values():
        states = [experiments.run_of(one, seed).state() for seed in one.seeds]
        rows.append({"name": one.name, "steps": one.steps, "seeds": list(one.seeds), "states": states,
                     "changes": one.changes, "question": one.question})  # fmt: skip
    if as_json:
        print(json.dumps({"experiments": rows}, indent=1))
        return DONE
    columns = {"experiment": ("name", str), "steps": ("steps", "{:,}".format)}
    columns |= {f"runs of {len(experiments.SEEDS)} seeds": ("states", _counted), "asks": ("question", str)}
    print("\n".join(lines(rows, columns)))
    return DONE


def _counted(states: Sequence[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(states).items())


def _train(chosen: Experiment, seed: int) -> None:
    """Makes one run, and what it keeps beside, be there; says what it does on stderr, since this takes minutes."""
    calls = experiments.parts(chosen, seed)
    call = calls[f"{chosen.name}/{seed}"]
    if call.state() not in HERE:
        _check_room(paths.cache_folder())
        with entries.lock(call.function, call.key, wait=False) as free:
            pass
        what = f"{chosen.name} with seed {seed}"
        _say(f"training {what}, {chosen.steps:,} steps" if free else f"another process trains {what}; waiting for it")
        try:
            result = call.run()
        except FloatingPointError as diverged:
            raise ValueError(f"{what}: {diverged}") from diverged
        rate = result["steps_per_second"]
        _say(f"{what}: loss {result['final_loss']:.3f} nats" + (f", {rate:.1f} steps/s" if rate else ""))
    for other in [*calls.values(), experiments.lexicon()]:
        if other.state() not in HERE:
            other.run()


def _have_trained(chosen: Experiment, seeds: Sequence[int]) -> None:
    """Makes all runs be there by the workers of a scheduler: first the trainings, then what is kept beside them."""
    for kinds in (["run"], ["remains", *chosen.keeps]):
        asked = [(seed, kind) for seed in seeds for kind in kinds
                 if kind == "run" or f"{chosen.name}/{seed}/{kind}" in experiments.parts(chosen, seed)]  # fmt: skip
        made = [recipe for seed, kind in asked for recipe in recipes.trainings([chosen.settings(seed)], kind)]
        label = f"{chosen.name}, {len(asked)} of {' and '.join(kinds)}"
        try:
            for place, result in fleet.gather(made, label=label):
                seed, kind = asked[place]
                loss = f": loss {result['final_loss']:.3f} nats" if kind == "run" else ""
                _say(f"{chosen.name} with seed {seed}, {kind} is there{loss}")
        except FloatingPointError as diverged:
            raise ValueError(f"{chosen.name}: {diverged}") from diverged


def _check_room(folder: Path) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if (free := shutil.disk_usage(there).free) < ROOM:
        raise OSError(
            errno.ENOSPC,
            f"a training needs {ROOM / 1e6:,.0f} MB in {folder}, where {free / 1e6:,.0f} MB are free: make room "
            "(`python -m compute gc` lists what can go), or point AZIMUTH_CACHE at another disk",
        )


def _ship(chosen: Experiment, seeds: Sequence[int]) -> None:
    calls = {"lexicon": experiments.lexicon()} if seeds else {}
    for seed in seeds:
        calls |= experiments.parts(chosen, seed)
    for name, call in calls.items():
        try:
            line = shipping.ship(name, call)
            _say(f"shipped {name}: {line['bytes']:,} bytes")
        except (FileExistsError, FileNotFoundError) as reason:  # there already, or only there, or not computed
            _say(str(reason))


def _rate(found: Mapping[int, Result]) -> float:
    known = [result["steps_per_second"] for result in found.values() if result["steps_per_second"]]
    return float(np.median(known)) if known else RATE


def _say(text: str) -> None:
    print(visible(text), file=sys.stderr, flush=True)


def page(chosen: Experiment, told: Mapping) -> list[str]:
    """A summary as lines for a person."""
    changes = ", ".join(f"{name} {value}" for name, value in chosen.changes.items()) or "Goldilocks as it is"
    table = [f"{chosen.name}: {chosen.question}", f"{chosen.steps:,} steps; pure-bf16 but for: {changes}"]
    if not told["seeds"]:
        return table

    def row(name: str, values: Sequence[float], form: str = "{:,.4g}") -> str:
        return f"{name:<34}" + "".join(f"{form.format(value):>12}" for value in values)

    table += ["", row("seed", told["seeds"], "{}")]
    for kind, label in (("frozen_fraction", "L1 = 0 to step"), ("frozen_for_good", "never moved after step")):
        table += [row(f"{label} {int(mark):,}", values, "{:.1%}") for mark, values in told[kind].items()]
    plain = {"median_freeze_step": "median step of the last move", "final_loss": "loss at the end, nats"}
    plain |= {"held_out_loss": "held-out loss, nats", "radius_start": "radius at the start",
              "radius_end": "radius at the end", "centroid_start": "centroid at the start",
              "centroid_end": "centroid at the end", "steps_per_second": "steps per second"}  # fmt: skip
    table += [row(label, told[name]) for name, label in plain.items()]
    table += [row("still moving in the last 5 %", [one["count"] for one in told["stragglers"]], "{}")]
    table += ["", f"{told['dead_tokens']:,} dead tokens; unigram entropy {told['unigram_entropy']:.4f} nats"]
    for one in told["stragglers"]:
        texts = "  ".join(f"{token['text']} ({token['last_move']:,})" for token in one["tokens"])
        table += [visible(f"last to move, seed {one['seed']}: {texts}")] if texts else []
    return table
