"""What the chapter on the embers sets as tables and curves: columns from the runs that are there, ready to be shown.

Chapter: Does it make smoke?
"""

from collections.abc import Mapping, Sequence

import numpy as np

from compute import embers, experiments, results_smoke
from compute.cache import Result
from compute.models.weights import Catalogue
from compute.results import census
from compute.results_embers import STARTS
from compute.sentences_embers import sizes, span

CLOUD = ("radius", "hop", "area", "living_inside", "centroid")  # of `compute.embers.Cloud`, at the end
Told = Mapping[str, Mapping[int, Result]]  # {experiment: {seed: remains}}


def label(name: str) -> str:
    """How a page calls an experiment: by its start where that is the question, else by its name."""
    return STARTS.get(name, name)


def opened(one: Mapping) -> dict[str, np.ndarray]:
    """The packed distances of a run's remains: nearest (n,), thresholds, components (k,), groups (g,)."""
    from compute.goldilocks.packing import unpacked

    return unpacked(dict(one["company"]))


def summary(told: Told, name: str) -> dict:
    """The numbers of one experiment, a list with one entry a seed for each; empty lists where no run is there.

    captured: dead tokens in holes of the stored bits; nearest, start_nearest: cells, medians over the dead; thickness:
    root mean square of the dead about their centroid, per component, in cells; island: nearest living token over
    farthest dead one, both from that centroid, NaN where the dead are all in one place. gap:
    of those runs alone whose core is more than its centre.
    """
    from compute.goldilocks.settings import Settings

    runs, one_of = list(told.get(name, {}).values()), experiments.named(name)
    return {
        "label": label(name),
        "dim": Settings(**one_of.settings(one_of.seeds[0])).width,
        "steps": one_of.steps,
        "dead": runs[0]["dead_tokens"] if runs else 0,
        "storage": runs[0]["storage"] if runs else "",
        "captured": [int(np.sum(one["dead_in_holes"])) for one in runs],
        "holes": [int((np.asarray(one["dead_in_holes"]) > 0).sum()) for one in runs],
        "living": [_living_in_holes(one) for one in runs],
        "rounded": [one["rounded"] for one in runs],
        "start_captured": [one["start"]["captured"] for one in runs],
        "nearest": [float(np.median(opened(one)["nearest"])) for one in runs],
        "start_nearest": [one["start"]["nearest"] for one in runs],
        "touching": [one["touching"] for one in runs],
        "camps": [len(one["camps"]) for one in runs],
        "groups": [len(opened(one)["groups"]) for one in runs],
        "largest_group": [int(opened(one)["groups"][0]) for one in runs],
        "jump": [one["jump"] for one in runs],
        "thickness": [_thickness(one, one["cloud"]) for one in runs],
        "start_thickness": [_thickness(one, one["start"]["cloud"]) for one in runs],
        "island": [_island(one["cloud"]) for one in runs],
        "resting": [one["resting"] for one in runs],
        **{key: [one["cloud"][key] for one in runs] for key in CLOUD},
        **{f"start_{key}": [one["start"]["cloud"][key] for one in runs] for key in ("radius", "hop")},
        **{key: [one["layers"][key] for one in runs] for key in ("core", "core_dead", "oort", "oort_dead")},
        "gap": [one["layers"]["gap"]["ratio"] for one in runs if one["layers"]["gap"] and one["layers"]["core"] > 1],
    }


def _living_in_holes(one: Mapping) -> int:
    """Living tokens that share a hole with a dead one."""
    dead, all_of_them = np.asarray(one["dead_in_holes"]), np.asarray(one["populations"])
    return int((all_of_them - dead)[dead > 0].sum())


def _thickness(one: Mapping, cloud: Mapping) -> float:
    return cloud["radius"] / (cloud["hop"] * one["dim"] ** 0.5)


def _island(cloud: Mapping) -> float:
    has_extent = cloud["farthest"] > cloud["hop"] / 2
    return cloud["nearest_living"] / cloud["farthest"] if has_extent else float("nan")


def summaries(told: Told, names: Sequence[str]) -> list[dict]:
    """The summaries of those experiments of which a run is there."""
    return [summary(told, name) for name in names if told.get(name)]


def sources(told: Told, names: Sequence[str]) -> list[Result]:
    """What some exhibit on those experiments was made from."""
    return [one for name in names for one in told.get(name, {}).values()]


def others(told: Told) -> list[str]:
    """The experiments that are there and differ from the recipe in something else than their start."""
    return [name for name in told if name not in STARTS]


def at_the_end(told: Told, names: Sequence[str]) -> dict[str, list]:
    """The columns of the census of some experiments: spans over their seeds."""
    rows = summaries(told, names)
    return {
        "run": [row["label"] for row in rows],
        "seeds": [len(row["captured"]) for row in rows],
        "steps": [row["steps"] for row in rows],
        "resting": [span(row["resting"], ".1%") for row in rows],
        "holes": [span(row["holes"]) for row in rows],
        "dead in holes": [span(row["captured"]) for row in rows],
        "nearest, start": [span(row["start_nearest"], ",.0f") for row in rows],
        "nearest, end": [span(row["nearest"], ",.0f") for row in rows],
        "thick": [sizes(row["thickness"]) for row in rows],
        "pieces": [span(row["touching"]) for row in rows],
        "camps": [span(row["camps"]) for row in rows],
    }


def in_layers(told: Told, names: Sequence[str]) -> dict[str, list]:
    """The columns of what the rules of core and Oort cloud find: spans over the seeds."""
    rows = summaries(told, names)
    return {
        "run": [row["label"] for row in rows],
        "core": [span(row["core"]) for row in rows],
        "dead in core": [span(row["core_dead"]) for row in rows],
        "gap": [sizes(row["gap"]) for row in rows],
        "Oort cloud": [span(row["oort"]) for row in rows],
        "dead in Oort cloud": [span(row["oort_dead"]) for row in rows],
        "island": [sizes([ratio for ratio in row["island"] if ratio == ratio]) for row in rows],
        "area": [span(row["area"], ".3f") for row in rows],
    }


def curves(told: Told) -> dict[str, list[dict[str, np.ndarray]]]:
    """{start: the distances of each seed}, as `opened` gives them."""
    return {label(name): [opened(one) for one in told[name].values()] for name in STARTS if told.get(name)}


def smoke_curve(catalogue: Catalogue) -> dict[str, np.ndarray]:
    """The same of a model's frozen smoke, by token: who shares a place with another is 0 cells from it."""
    found, near = results_smoke.layers(catalogue), results_smoke.neighbourhood(catalogue)
    linf, tokens = np.array(near["linf"]), np.asarray(found["populations"])
    np.fill_diagonal(linf, np.iinfo(linf.dtype).max)
    alone = linf.min(axis=1) if len(linf) > 1 else np.zeros(1, dtype=np.int64)
    nearest = np.repeat(np.where(tokens > 1, 0, alone), tokens)
    return {"nearest": nearest, "thresholds": np.array(near["thresholds"]), "components": np.array(near["components"])}


def panels(skies: Mapping[str, Result]) -> dict[str, Result]:
    """The skies by the name of their start."""
    return {label(name): one for name, one in skies.items()}


def side_by_side(told: Told, catalogue: Catalogue, qwen: Mapping, record: Mapping) -> dict[str, list]:
    """The columns that put the ends of Goldilocks, first seeds, beside a model's smoke and Qwen's published one."""
    rows = [_goldilocks(name, next(iter(told[name].values()))) for name in STARTS if told.get(name)]
    rows += [_of_catalogue(catalogue), _of_qwen(qwen, record)]
    return {column: [row[column] for row in rows] for column in rows[0]}


def camps_of_qwen(qwen: Mapping) -> int:
    """In how many components the tokens of Qwen's published holes stand in two camps; see `compute.embers.camps`."""
    tokens = np.repeat(np.asarray(qwen["places"], dtype=float), np.asarray(qwen["populations"]), axis=0)
    return len(embers.camps(tokens, np.ones(tokens.shape[1])))


def _goldilocks(name: str, one: Mapping) -> dict:
    dead = np.asarray(one["dead_in_holes"])
    return {
        "sky": f"Goldilocks, {label(name)}",
        "tokens": one["n_tokens"],
        "dead, or smoke": one["dead_tokens"],
        "holes": int((dead > 0).sum()),
        "largest": int(dead.max(initial=0)) or None,
        "in holes": float(dead.sum() / one["dead_tokens"]),
        "farthest apart": one["farthest"],
        "core": one["layers"]["core"],
        "Oort cloud": one["layers"]["oort"],
    }


def _of_catalogue(catalogue: Catalogue) -> dict:
    found, near, holes = results_smoke.layers(catalogue), results_smoke.neighbourhood(catalogue), census(catalogue)
    smoke, tokens = len(found["core"]) + len(found["oort"]), np.asarray(found["populations"])
    return {
        "sky": catalogue.label,
        "tokens": catalogue.n_tokens,
        "dead, or smoke": smoke,
        "holes": len(holes["populations"]),
        "largest": max(holes["populations"], default=None),
        "in holes": float(tokens[tokens > 1].sum() / smoke),
        "farthest apart": int(near["linf"].max()),
        "core": len(found["core"]),
        "Oort cloud": len(found["oort"]),
    }


def _of_qwen(qwen: Mapping, record: Mapping) -> dict:
    smoke = record["tokens in the frozen smoke (exponent distance <= 5)"]
    return {
        "sky": "Qwen3-4B-Instruct-2507",
        "tokens": int(record["rows (tokens)"]),
        "dead, or smoke": int(smoke),
        "holes": len(qwen["populations"]),
        "largest": int(max(qwen["populations"])),
        "in holes": float(sum(qwen["populations"]) / smoke),
        "farthest apart": int(np.max(qwen["linf"])),
        "core": int(record["core tokens"]),
        "Oort cloud": int(record["Oort cloud tokens inside the selection"]),
    }


def scale(record: Mapping) -> dict[str, float]:
    """How much smaller Goldilocks is than Qwen: width_ratio, dead_share of its vocabulary, and Qwen's one_in tokens."""
    from compute.goldilocks.settings import Settings

    lexicon = experiments.lexicon().run()
    smoke = record["tokens in the frozen smoke (exponent distance <= 5)"]
    return {
        "width_ratio": record["columns (hidden dimension)"] / Settings().width,
        "dead_share": lexicon["dead_tokens"] / lexicon["n_tokens"],
        "one_in": record["rows (tokens)"] / smoke,
    }


def rarity(told: Told, name: str) -> dict:
    """How often the living tokens of the Oort cloud occur in the text, over all seeds.

    tokens: how many, by seed; median: of their counts, None without any; text_median: of all living tokens' counts.
    """
    lexicon = experiments.lexicon().run()
    counts = np.asarray(lexicon["counts"])
    ids = [np.asarray(one["layers"]["oort_ids"], dtype=int) for one in told.get(name, {}).values()]
    inside = counts[np.concatenate(ids)] if ids else np.zeros(0)
    return {
        "tokens": [len(some) for some in ids],
        "median": float(np.median(inside)) if len(inside) else None,
        "text_median": float(np.median(counts[counts > 0])),
    }
