"""The command line of the sweeps: python -m compute sweep FILE.toml, which trains what is missing and tells of all."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from compute import fleet, recipes, results_sweep, sweeps
from compute.cache import Call, Result
from compute.fleet import choice
from compute.sweeps import Sweep
from compute.tables import lines, visible

DONE, WANTING, BROKEN_OFF = 0, 1, 130  # exit codes; 2, that it could not be done, is the front's
FAILS = (FloatingPointError, RuntimeError)  # a training that diverges: it is told of, and keeps no other from training
TEXT = """\
FILE declares a grid: the experiment that every point begins at, the values of some fields of Settings (axes), seeds,
and steps. What is kept is not trained again; broken off, the same command goes on, each run from its last checkpoint.
A point's run is the same result as the experiment's own with these settings, in the same cache.

  python -m compute sweep data/sweeps/lean.toml
  python -m compute sweep FILE --list
  python -m compute sweep FILE --scheduler tcp://host:8786

  experiment = "pure-bf16"      question, seeds, steps and [fixed] may be left out;
  steps = 6000                  then they are those of the experiment
  seeds = [42, 43, 44]
  [fixed]
  weight_decay = 0.0
  [axes]
  learning_rate = [3e-4, 1e-3, 3e-3]
  beta2 = [0.95, 0.99, 0.999]
  protocol = ["pure-bf16", "fp32-moments"]

Each number is the mean over the seeds that are there. freeze step: median over the dead tokens of their last motion;
resting: share of them with L1 = 0 in the last 100 steps. Losses in nats.
"""


def add_commands(subparsers: "argparse._SubParsersAction") -> None:
    """Registers `sweep` with the command line."""
    command = subparsers.add_parser(
        "sweep",
        help="a declared grid of trainings: train what is missing, and tell when the dead freeze",
        description=TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("file", metavar="FILE", help="the declaration, TOML")
    command.add_argument("--list", action="store_true", help="train nothing: only tell what is there")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    choice.add_option(command)
    command.set_defaults(run=sweep)


def sweep(arguments: argparse.Namespace) -> int:
    """Trains a sweep and tells of it; 1 where a run is missing or has diverged."""
    declared = sweeps.read(arguments.file)
    runs = declared.runs()
    asked = recipes.trainings([declared.settings(point, seed) for point, seed in runs])
    calls = [recipe.call() for recipe in asked]
    found: list[Mapping | None] = [None] * len(runs)
    errors: dict[int, str] = {}
    code = DONE
    try:
        _gather(declared, asked, calls, found, errors, train=not arguments.list)
    except KeyboardInterrupt:
        _say("broken off; the same command goes on from the last checkpoints")
        code = BROKEN_OFF
    states = ["diverged" if i in errors else _state(calls[i]) for i in range(len(runs))]
    told = _told(declared, states, found, errors)
    print(json.dumps(told, indent=1) if arguments.json else "\n".join(page(declared, told)))
    for i, why in errors.items():
        _say(f"{_named(*runs[i])}: {why}")
    return code or (DONE if all(found) else WANTING)


def _gather(declared: Sweep, asked: Sequence, calls: Sequence[Call], found: list, errors: dict, train: bool) -> None:
    """Fills in the numbers of each run as it comes, and the errors of those that diverge."""
    for i, call in enumerate(calls):
        if (kept := call.read()) is not None:
            found[i] = results_sweep.numbers(kept)
    missing = [i for i, one in enumerate(found) if one is None]
    if not (missing and train):
        return
    runs = declared.runs()
    _say(f"{declared.name}: {len(runs) - len(missing)} of {len(runs)} runs are there; training {len(missing)}, "
         f"{declared.steps:,} steps each")  # fmt: skip
    for place, result in fleet.gather([asked[i] for i in missing], label=declared.name, excused=FAILS):
        i = missing[place]
        if isinstance(result, Result):
            found[i] = results_sweep.numbers(result)
            done = f"freeze step {found[i]['median_freeze_step']:,.0f}, loss {found[i]['final_loss']:.3f} nats"
        else:
            errors[i] = str(result)
            done = "diverged"
        _say(f"{sum(map(bool, found)) + len(errors)} of {len(runs)}: {_named(*runs[i])}: {done}")


def _state(call: Call) -> str:
    """fresh, shipped, stale, missing as `status` has it; or how far a run that was broken off has come."""
    state = call.state()
    step = None if state in ("fresh", "shipped") else _begun(call)
    return f"at step {step:,}" if step else state


def _begun(call: Call) -> int | None:
    """The step of the checkpoint that a training has left, or None."""
    import safetensors

    from compute import results_goldilocks
    from compute.goldilocks.checkpoints import NAME

    file = results_goldilocks.trained.call(*call.given.args, **call.given.kwargs).workspace() / NAME
    try:
        with safetensors.safe_open(file, "np") as opened:
            return int(opened.metadata()["step"])
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None  # none yet, or one that the training itself will speak of


def _named(point: Mapping, seed: int) -> str:
    return ", ".join([*(f"{field} {value}" for field, value in point.items()), f"seed {seed}"])


def _told(declared: Sweep, states: Sequence[str], found: Sequence[Mapping | None], errors: Mapping[int, str]) -> dict:
    """All of a sweep as plain JSON."""
    empty = dict.fromkeys(results_sweep.NUMBERS)
    runs = [
        {"settings": declared.settings(point, seed), "point": point, "seed": seed, "state": state, **(one or empty)}
        | ({"error": errors[i]} if i in errors else {})
        for i, ((point, seed), state, one) in enumerate(zip(declared.runs(), states, found, strict=True))
    ]
    return {
        "name": declared.name,
        "question": declared.question,
        "experiment": declared.experiment,
        "steps": declared.steps,
        "seeds": list(declared.seeds),
        "fixed": declared.fixed,
        "axes": {field: list(values) for field, values in declared.axes.items()},
        "runs": runs,
        "missing": sum(one is None for one in found) - len(errors),
        "diverged": len(errors),
    }


def page(declared: Sweep, told: Mapping) -> list[str]:
    """A sweep as lines for a person: a row a point, the mean over its seeds."""
    each, rows = len(declared.seeds), []
    for i, point in enumerate(declared.points()):
        runs = told["runs"][i * each : (i + 1) * each]
        states = Counter(run["state"] for run in runs)
        row = dict(point) | {"states": ", ".join(f"{count} {state}" for state, count in states.items())}
        for name in results_sweep.NUMBERS:
            values = [run[name] for run in runs if run[name] is not None]
            row[name] = fmean(values) if values else None
        rows.append(row)
    columns = {field: (field, str) for field in declared.axes} | {f"runs of {each}": ("states", str)}
    columns |= {"freeze step": ("median_freeze_step", _shown("{:,.0f}"))}
    columns |= {"resting": ("frozen_fraction", _shown("{:.1%}")), "loss": ("final_loss", _shown("{:.3f}"))}
    columns |= {"held out": ("held_out_loss", _shown("{:.3f}"))}
    return [f"{declared.name}: {declared.question}", f"{declared.experiment}, {declared.steps:,} steps", "",
            *lines(rows, columns)]  # fmt: skip


def _shown(form: str):
    return lambda value: "-" if value is None else form.format(value)


def _say(text: str) -> None:
    print(visible(text), file=sys.stderr, flush=True)
