"""Sweeps: a small declared grid of trainings, read from a TOML file and checked to the last point.

A point's run is named as the same run of an experiment would be, so that both are one result of the cache.
Chapter: Nutcracker.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from itertools import product
from pathlib import Path

from compute import experiments
from compute.goldilocks.settings import GOLDILOCKS, Settings

KEYS = ("question", "experiment", "seeds", "steps", "fixed", "axes")
APART = {"steps": "steps = N, for all of the sweep", "seed": "seeds = [...]"}  # fields that are no axes
FIELDS = {field.name: field.type for field in fields(Settings)}
MOST = 10_000  # runs; more is a slip of the pen


@dataclass(frozen=True)
class Sweep:
    """A grid over fields of Settings, beginning at a named experiment."""

    name: str  # the file's, without .toml
    question: str
    experiment: str
    steps: int
    seeds: tuple[int, ...]
    fixed: dict[str, object]  # fields of Settings that differ from the experiment's everywhere
    axes: dict[str, tuple]  # fields of Settings, and the values that each takes

    def points(self) -> list[dict[str, object]]:
        """Every combination of the axes' values, {field: value}; the last axis goes fastest."""
        return [dict(zip(self.axes, values, strict=True)) for values in product(*self.axes.values())]

    def settings(self, point: Mapping[str, object], seed: int) -> dict[str, object]:
        """What names a run, as in `experiments.Experiment.settings`: the protocol, and what is not Goldilocks' own."""
        whole = experiments.named(self.experiment).settings(seed) | self.fixed | dict(point)
        own = asdict(GOLDILOCKS) | {"protocol": None}
        kept = {name: value for name, value in whole.items() if (type(value), value) != (type(own[name]), own[name])}
        return dict(sorted((kept | {"steps": self.steps, "seed": seed}).items()))

    def runs(self) -> list[tuple[dict[str, object], int]]:
        """(point, seed) of every run, seeds fastest."""
        return [(point, seed) for point in self.points() for seed in self.seeds]


def read(path: Path | str) -> Sweep:
    """The sweep that a file declares; FileNotFoundError without the file, ValueError that says what is wrong in it."""
    path = Path(path).expanduser()
    try:
        stated = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"no sweep at {path}: give a TOML file; data/sweeps/lean.toml is an example") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    try:
        return _checked(path.stem, stated)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _checked(name: str, stated: Mapping) -> Sweep:
    for key in stated:
        if key not in KEYS:
            raise ValueError(f"there is no key {key!r}{_hint(key, KEYS)}; there are: {', '.join(KEYS)}")
    start = experiments.named(_of(stated, "experiment", str, "the name of an experiment"))
    axes = _of(stated, "axes", dict, "a table, [axes], of fields of Settings and their values")
    fixed = _of(stated, "fixed", dict, "a table of fields", {})
    if not axes:
        raise ValueError("[axes] is empty: give at least one field of Settings and its values, beta2 = [0.99, 0.999]")
    for field in (*fixed, *axes):
        _check_field(field)
    if both := axes.keys() & fixed.keys():
        raise ValueError(f"{', '.join(sorted(both))} cannot be an axis and fixed")
    seeds = _of(stated, "seeds", list, "a list of whole numbers", list(start.seeds))
    steps = _of(stated, "steps", int, "a whole number", start.steps)
    sweep = Sweep(
        name=name, question=_of(stated, "question", str, "a sentence", start.question), experiment=start.name,
        steps=steps, seeds=tuple(_distinct("seeds", seeds)),
        fixed={field: _value(field, value) for field, value in fixed.items()},
        axes={field: tuple(_distinct(f"the axis {field}", values, field)) for field, values in axes.items()},
    )  # fmt: skip
    _check_points(sweep)
    return sweep


def _of(stated: Mapping, key: str, kind: type, wanted: str, default=None):
    """A key's value; `default` where it is not stated, which None forbids."""
    if (value := stated.get(key, default)) is None:
        raise ValueError(f"{key} is missing: give {wanted}")
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} must be {wanted}, not {value!r}")
    return value


def _hint(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _check_field(field: str) -> None:
    if field in APART:
        raise ValueError(f"{field} is neither an axis nor fixed: say {APART[field]}")
    if field not in FIELDS:
        known = [name for name in FIELDS if name not in APART]
        raise ValueError(f"Settings has no field {field!r}{_hint(field, known)}; it has: {', '.join(known)}")


def _value(field: str | None, value: object) -> object:
    """A value as the field has it: 1 is 1.0 where numbers are float, or the run would have a second name."""
    if FIELDS.get(field) is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _distinct(what: str, values: object, field: str | None = None) -> list:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{what} must be a list with at least one value, not {values!r}")
    if odd := [value for value in values if isinstance(value, list | dict)]:
        raise ValueError(f"{what} must hold single values, not {odd[0]!r}")
    found = [_value(field, value) for value in values]
    if twice := [value for i, value in enumerate(found) if value in found[:i]]:
        raise ValueError(f"{what} has {twice[0]!r} twice; each point is trained once")
    return found


def _check_points(sweep: Sweep) -> None:
    count = len(sweep.seeds)
    for values in sweep.axes.values():
        count *= len(values)
    if count > MOST:
        raise ValueError(f"the grid asks for {count:,} trainings, and {MOST:,} are the most: take fewer values")
    for point, seed in sweep.runs():
        try:
            Settings(**sweep.settings(point, seed))
        except ValueError as error:
            where = ", ".join(f"{field} = {value!r}" for field, value in point.items())
            raise ValueError(f"the point {where}: {error}") from error
