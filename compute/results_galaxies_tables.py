"""What the chapter on other galaxies sets as tables: one row a catalogue, measured, our own or published.

Chapter: Other galaxies.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from compute import galaxies, results, results_record
from compute.cache import Result, cached
from compute.models.inputs import registry
from compute.paths import published_folder
from compute.results_embers import STARTS, wanted
from compute.results_embers_tables import label
from compute.results_galaxies import GALAXIES, arms

BITS = {"F32": 32.0, "F16": 16.0, "BF16": 16.0, "Q8_0": 8.5}  # of a stored number
FORMATS = {"float32": "F32", "bfloat16": "BF16"}  # as the trainings call them
NUMBERS = {  # name of a row's number: what a page calls it
    "n_tokens": "tokens",
    "dim": "dimensions",
    "tokens_a_dimension": "tokens a dimension",
    "bits": "bits a number",
    "centroid_share": "centroid norm over median norm",
    "spread_share": "participation ratio over dimensions",
}
EMPTY = dict.fromkeys((
    "storage", "n_tokens", "dim", "centroid_norm", "median_norm", "participation_ratio", "holes", "in_holes", "largest",
    "populations", "core", "oort", "group", "radius", "hop", "candidates", "unreachable", "tested", "special",
))  # fmt: skip


def rows(sky: Mapping[str, Mapping], trained: Mapping[str, tuple[Mapping, Mapping | None]]) -> list[dict]:
    """All catalogues, one flat dict each; None where a number is not known.

    kind: measured, Goldilocks, published, or claimed (a count without a census). lineage: models that come from one
    another, or share vocabulary and maker, share it. reached (a share of the median norm): how far the core reaches.
    """
    found = [_measured(one) for one in sky.values()]
    found += [_goldilocks(name, *both) for name, both in trained.items()]
    return [_with_shares({**EMPTY, **row}) for row in [*found, *_published()]]


def _measured(one: Mapping) -> dict:
    populations, reach, group = one["populations"], one["reach"] or {}, one["group"]
    kept = ("storage", "n_tokens", "dim", "centroid_norm", "median_norm", "participation_ratio", "core", "oort", "hop")
    return {name: one[name] for name in (*kept, "candidates", "populations", "special")} | {
        "catalogue": one["label"],
        "kind": "measured",
        "lineage": one["label"],
        "holes": len(populations),
        "in_holes": sum(populations),
        "largest": max(populations, default=None),
        "group": group["tokens"],
        "radius": group["radius"] if group["tokens"] > 1 else None,
        "unreachable": reach.get("unreachable"),
        "tested": reach.get("tested"),
    }


def _goldilocks(name: str, remains: Mapping, cloud: Mapping | None) -> dict:
    populations = [int(n) for n in remains["populations"]]
    layers = remains["layers"]
    return {name: remains[name] for name in ("n_tokens", "dim")} | {
        "storage": FORMATS[remains["storage"]],
        "catalogue": f"Goldilocks, {label(name)}",
        "kind": "Goldilocks",
        "lineage": "Goldilocks",
        **{name: cloud[name] for name in ("centroid_norm", "median_norm", "participation_ratio") if cloud},
        "populations": populations,
        "holes": len(populations),
        "in_holes": sum(populations),
        "largest": max(populations, default=None),
        "core": layers["core"],
        "oort": layers["oort"],
        "hop": remains["cloud"]["hop"],
        "dead": remains["dead_tokens"],
    }


def _published() -> list[dict]:
    """The record's models; of those but the first little more than the black holes is told [harrell2025azimuth]."""
    populations = results.published_holes()
    found = [_claimed(name, populations.get(name)) for name in (*populations, "Llama-3.2-3B", "Gemma-3-4B")]
    told = results.record(results_record.MODEL)
    found[0] |= {
        "n_tokens": told["rows (tokens)"],
        "dim": told["columns (hidden dimension)"],
        "centroid_norm": told["centroid norm"],
        "median_norm": told["centred norm median"],
        "participation_ratio": float(told["effective dimension (participation ratio)"]),
        "core": told["core tokens"],
        "oort": told["Oort cloud tokens inside the selection"],
        "radius": told["core radius (L2)"],
        "hop": results_record.holes()["hop"],
        "unreachable": told["unreachable tokens in the whole vocabulary"],
        "tested": told["rows (tokens)"] - told["rows without a token"],
    }
    return found


def _claimed(name: str, populations: Sequence[int] | None) -> dict:
    is_qwen = name.startswith("Qwen")
    row = {"catalogue": name, "lineage": "Qwen" if is_qwen else name, "kind": "published" if populations else "claimed"}
    if populations is None:
        return row | {"holes": results.record(name)["black holes"]}
    return row | {
        "storage": "BF16",
        "populations": list(populations),
        "holes": len(populations),
        "in_holes": sum(populations),
        "largest": max(populations),
    }


def _with_shares(row: dict) -> dict:
    """Adds what two numbers of a row make together; None where one of them is not known."""

    def over(one: str, other: str) -> float | None:
        return row[one] / row[other] if row[one] is not None and row[other] else None

    return row | {
        "bits": BITS.get(row["storage"]),
        "tokens_a_dimension": over("n_tokens", "dim"),
        "centroid_share": over("centroid_norm", "median_norm"),
        "spread_share": over("participation_ratio", "dim"),
        "reached": over("radius", "median_norm"),
        "hops": over("radius", "hop"),
    }


def table(told: Sequence[Mapping]) -> dict[str, list]:
    """The columns of the one table: a dash where a number is not known."""
    source = {"measured": "", "Goldilocks": "", "published": " (published)", "claimed": " (published, count only)"}
    columns = {
        "catalogue": [row["catalogue"] + source[row["kind"]] for row in told],
        "tokens × dim": [_both(row["n_tokens"], " × {:,}", row["dim"]) for row in told],
        "stored": [row["storage"] for row in told],
    }
    shown = {"|μ|": "centroid_norm", "norm": "median_norm", "axes": "participation_ratio"}
    columns |= {heading: [row[name] for row in told] for heading, name in shown.items()}
    columns["holes (tokens)"] = [_both(row["holes"], " ({:,})", row["in_holes"]) for row in told]
    columns["core + Oort"] = [_both(row["core"], " + {:,}", row["oort"]) for row in told]
    shown = {"group": "group", "suspects": "candidates", "unreach.": "unreachable"}
    return columns | {heading: [row[name] for row in told] for heading, name in shown.items()}


def _both(one: int | None, layout: str, other: int | None) -> str | None:
    return None if one is None else f"{one:,}{layout.format(other) if other is not None else ''}"


def inhabitants(sky: Mapping[str, Mapping], shown: int = 14) -> dict[str, list]:
    """The columns of who lives in the inner group of each measured catalogue that has one."""
    groups = [one["group"] for one in sky.values()]
    some = [(label, one) for label, one in zip(sky, groups, strict=True) if one["tokens"] > 1]
    return {
        "catalogue": [name for name, _ in some],
        "tokens": [one["tokens"] for _, one in some],
        "places": [one["rows"] for _, one in some],
        "apart in": [f"{one['varying']} of {sky[name]['dim']}" for name, one in some],
        "cells": [one["farthest"] for _, one in some],
        "the innermost": [one["texts"][:shown] for _, one in some],
    }


def noise(sky: Mapping[str, Mapping]) -> dict[str, list]:
    """The columns of what independent components would make of each inner group: as found, and as dealt anew."""
    some = {label: one["group"]["noise"] for label, one in sky.items() if one["group"]["noise"]}
    columns: dict[str, list] = {"catalogue": list(some)}
    for i, name in enumerate(("places", "holes", "in holes", "largest")):
        columns[name] = [one["found"][i] for one in some.values()]
        columns[f"{name}, dealt"] = [f"{one['low'][i]} to {one['high'][i]}" for one in some.values()]
    return columns | {"chance": [one["chance"] for one in some.values()]}


def fading(sky: Mapping[str, Mapping], name: str = "Whisper tiny.en") -> dict[str, float]:
    """The largest learning rate that lets weight decay alone bring Whisper's rows together [radford2023whisper].

    A difference of two rows that feel the same gradient is multiplied by 1 - eta wd in each of T updates, by about
    exp(-eta wd T / 2) where eta falls linearly from its largest value. rate: that from which a difference of the usual
    fan-in start, D^(-1/2), ends below the median cell of the components in which the rows of the group differ.
    """
    recipe, one = _recipe(published_folder() / "whisper_recipe.json"), sky[name]
    shrinks = one["dim"] ** -0.5 / one["group"]["widths"][0]
    rate = math.log(shrinks) / (recipe["weight_decay"] * recipe["updates"] / 2)
    return {"updates": recipe["updates"], "weight_decay": recipe["weight_decay"], "rate": rate}


@cached
def _recipe(source: Path) -> dict:
    """How Whisper was trained, as published [radford2023whisper]."""
    return json.loads(source.read_text("utf-8"))


def compared(told: Sequence[Mapping]) -> list[dict]:
    """One row a lineage, the first that is measured or published; Goldilocks, which was bred for it, is left out."""
    first: dict[str, dict] = {}
    for row in told:
        if row["kind"] in ("measured", "published"):
            first.setdefault(row["lineage"], dict(row))
    return list(first.values())


def traits(told: Sequence[Mapping]) -> tuple[dict[str, list], list[galaxies.Separation]]:
    """What tells the lineages with black holes from those without: columns, and the separations themselves."""
    some = compared(told)
    named = [{NUMBERS[name]: row[name] for name in NUMBERS} for row in some]
    found = galaxies.separations(named, [row["holes"] > 0 for row in some], list(NUMBERS.values()))
    return {
        "number": [one.name for one in found],
        "with holes": [_range(one.having) for one in found],
        "without": [_range(one.others) for one in found],
        "lineages": [f"{one.known[0]} and {one.known[1]}" for one in found],
        "apart": ["yes" if one.separates else "no" for one in found],
        "by luck": [one.chance for one in found],
    }, found


def _range(ends: tuple[float, float]) -> str:
    shown = [f"{end:,.0f}" if end >= 1000 else f"{end:.3g}" for end in ends]
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}"


def sources(sky: Mapping[str, Result]) -> list[Result]:
    """What the exhibits were made from: the measured catalogues, the arms' remains and clouds, and the record."""
    ends = [one for both in arms().values() for one in both if one is not None]
    return [*sky.values(), *ends, results.published_holes(), results.record(results_record.MODEL)]


def portraits(sky: Mapping[str, Mapping], trained: Mapping[str, tuple[Mapping, Mapping | None]]) -> dict[str, Mapping]:
    """{name: norms and spectrum} of the measured catalogues, and of Goldilocks by its starts where clouds are kept."""
    clouds = {f"Goldilocks, {label(name)}": trained[name][1] for name in STARTS if trained.get(name, (0, None))[1]}
    return dict(sky) | clouds


def crowds(told: Sequence[Mapping]) -> dict[str, list[int]]:
    """{name: populations} of all catalogues with black holes whose populations are known."""
    return {row["catalogue"]: row["populations"] for row in told if row["populations"]}


def published(told: Sequence[Mapping]) -> list[str]:
    """The catalogues that others measured."""
    return [row["catalogue"] for row in told if row["kind"] == "published"]


def missing(trained: Mapping) -> list[str]:
    """The arms of Goldilocks of whose first seed no census is kept, as a page calls them."""
    return [label(name) for name in wanted() if name not in trained]


def download() -> float:
    """How much the pinned catalogues weigh as a package index sends them, in bytes."""
    return sum(registry()[name].wheel.bytes for name in GALAXIES)


def origins() -> str:
    """Where the pinned catalogues come from, and under which licences, a sentence each."""
    told = [registry()[name] for name in GALAXIES]
    return " ".join(f"{one.title}: {one.origin}; read from {one.source}, {one.licence}." for one in told)
