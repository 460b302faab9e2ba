"""The named results on Qwen's published record: its holes, its tokens, and simulated smoke beside them."""

import csv
import json
from pathlib import Path

import numpy as np

from compute.cache import Result, cached
from compute.models.tokenizer import Tokenizer, qwen
from compute.paths import published_folder
from compute.results import SEED
from compute.smoke import constellation, formation, reachability, scripts, verdicts

MODEL, OTHER = "Qwen3-4B-Instruct-2507", "Qwen3-32B"
ROWS = 151_936
# What a story must explain of each model; of the last two only populations are published.
OBSERVED = {
    MODEL: {"holes": 13, "largest": 814, "second": 704, "components": 20, "linf": 11},
    "Qwen3-4B-Base": {"holes": 62, "largest": 582, "second": 456},
    "Qwen2.5-3B-Instruct": {"holes": 60, "largest": 600, "second": 204},
}
TOKENS = {MODEL: 2_212, "Qwen3-4B-Base": 2_192, "Qwen2.5-3B-Instruct": 2_212}
STORIES = {  # story, spreads, whether the point lies on the lattice
    "independent": (formation.INDEPENDENT, (1e-10, 2e-8), False),
    "independent, from a lattice point": (formation.INDEPENDENT, (1e-9, 2e-8), True),
    "proportional": (formation.PROPORTIONAL, (3e-5, 3e-3), False),
    "one line": (formation.ONE_LINE, (3e-10, 3e-8), False),
}


def holes() -> Result:
    """Qwen3-4B's 13 black holes from their bit patterns: distances, components, places [harrell2025azimuth]."""
    return _holes(published_folder() / "qwen3_4b_constellation.csv", published_folder() / "qwen3_4b_exponents.csv")


@cached
def _holes(bits: Path, exponents: Path) -> dict:
    """Distances in cells and gamma units, what touches, which component stands where; and what no free number needs."""
    found = constellation.read(bits.read_text("utf-8"))
    all_exponents = constellation.read_exponents(exponents.read_text("utf-8"))
    pairs = formation.four_combinations(found.places)
    together = formation.dependence(found.places, found.populations, 200, np.random.default_rng(SEED))
    steps = found.linf.steps()
    return {
        "populations": found.populations,
        "representatives": found.representatives,
        "components": found.components,
        "places": found.places - found.places[0],  # (13, 20) cells from the largest hole
        "exponents": found.exponents[0],
        "linf": found.linf.distances,
        "l1": found.l1,
        "separation": found.separation,
        "thresholds": [t for t, _ in steps],
        "counts": [n for _, n in steps],
        "labels": found.linf.labels(1),
        "degrees": found.linf.degrees(1),
        "edges": found.linf.edges(1),
        "hop": float(np.sqrt((4.0 ** (all_exponents - 134)).mean())),
        "four_combinations": pairs,
        "pairs_of_components": found.places.shape[1] * (found.places.shape[1] - 1) // 2,
        "dependence": vars(together),
        "log10_coincidence": formation.log10_coincidence(all_exponents, 0.02),
    }


def verdicts_on_bits() -> Result:
    """The record's claims on the black holes, each with what the bit patterns say: columns of a table."""
    folder = published_folder()
    return _verdicts_on_bits(
        folder / "qwen3_4b_constellation.csv", folder / "qwen3_4b_linf_published.csv",
        folder / "qwen3_4b_exponents.csv", folder / "observations.csv", folder / "hole_populations.json",
    )  # fmt: skip


@cached
def _verdicts_on_bits(bits: Path, linf: Path, exponents: Path, observations: Path, populations: Path) -> dict:
    """Claim, published, measured, verdict and reason of each claim on bits and populations."""
    told = verdicts.of_the_constellation(
        constellation.read(bits.read_text("utf-8")),
        constellation.read_matrix(linf.read_text("utf-8")),
        constellation.read_exponents(exponents.read_text("utf-8")),
        _observed(observations, MODEL),
    )
    sizes = json.loads(populations.read_text("utf-8"))
    counts = {name: int(_observed(observations, name)["black holes"]) for name in sizes}
    return _columns(told + verdicts.of_the_populations(sizes, counts))


def qwen_tokenizer() -> Tokenizer:
    """Qwen3's tokenizer, fetched where it is not here; raises what `compute.models.sources.fetch` raises."""
    return qwen()


def verdicts_on_tokens(tokenizer: Tokenizer) -> Result:
    """The record's claims on tokens, each with what Qwen's real vocabulary says: columns of a table.

    tokenizer: `qwen_tokenizer()`.
    """
    folder = published_folder()
    return _verdicts_on_tokens(
        tokenizer, folder / "qwen3_4b_cluster_token_ids.txt", folder / "qwen3_4b_small_hole_members.json",
        folder / "qwen3_4b_constellation.csv", folder / "observations.csv",
    )  # fmt: skip


@cached
def _verdicts_on_tokens(tokenizer: Tokenizer, cluster: Path, members: Path, bits: Path, observations: Path) -> dict:
    """The columns of the table, and what the chapter's figure needs: causes inside and outside the cluster."""
    tokens, encoder = tokenizer.tokens(ROWS), tokenizer.encoder()
    found = reachability.round_trip(tokens, encoder)
    witnessed = reachability.witnesses(tokens, found, encoder)
    ids = np.array(cluster.read_text("utf-8").split(), dtype=np.int64)
    script = scripts.traits(tokens).script
    told = verdicts.of_the_vocabulary(
        tokens, found, witnessed, ids, script, _observed(observations, MODEL), _observed(observations, OTHER)
    )
    told += verdicts.of_the_members(
        json.loads(members.read_text("utf-8")), constellation.read(bits.read_text("utf-8")), ids, found
    )
    lowest = [int(i) for i in _observed(observations, OTHER)["twenty lowest token ids by that indicator"].split()]
    inside = np.zeros(ROWS, dtype=bool)
    inside[ids] = True
    silent = reachability.never_emitted(found, witnessed)
    seen = np.isin(found.cause, ("single byte", "UTF-8 fragment")) & ~silent
    causes = [cause for cause in reachability.CAUSES if (found.cause == cause).any()]
    names, counts = np.unique(script[ids], return_counts=True)
    order = np.lexsort((names, -counts))
    return _columns([*told, verdicts.of_the_other_report(lowest, ids, tokens)]) | {
        "causes": causes,
        "inside": [int((inside & (found.cause == cause)).sum()) for cause in causes],
        "outside": [int((~inside & (found.cause == cause)).sum()) for cause in causes],
        "outside_witnessed": [int((~inside & seen & (found.cause == cause)).sum()) for cause in causes],
        "inside_witnessed": [int((inside & seen & (found.cause == cause)).sum()) for cause in causes],
        "cluster": len(ids),
        "predicted": int(silent.sum()),
        "predicted_inside": int((silent & inside).sum()),
        "scripts": names[order].tolist(),
        "script_counts": counts[order],
    }


def _observed(path: Path, model: str) -> dict:
    """The published quantities of one model, numbers where they are."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["model"] == model]
    found = {}
    for row in rows:
        try:
            found[row["quantity"]] = float(row["value"])
        except ValueError:
            found[row["quantity"]] = row["value"]
    return found


def _columns(told: list[verdicts.Verdict]) -> dict:
    return {name: [getattr(one, name) for one in told] for name in verdicts.Verdict.__dataclass_fields__}


def family(story: str, model: str = MODEL, spreads: int = 20, trials: int = 500, seed: int = SEED) -> Result:
    """What one story of how the smoke formed gives at several spreads, beside what was published of one model.

    story: one of STORIES, or 'several points'. A simulation.
    """
    source = published_folder() / "qwen3_4b_exponents.csv"
    return _family(story, model, spreads, trials, seed, source, published_folder() / "hole_populations.json")


@cached
def _family(story: str, model: str, spreads: int, trials: int, seed: int, exponents: Path, populations: Path) -> dict:
    """Intervals (spreads, 3) of each statistic over the trials, chances of what was observed, the best spread."""
    if story == "several points":
        sizes = json.loads(populations.read_text("utf-8"))[model]
        single = np.ones(TOKENS[model] - sum(sizes), dtype=np.int64)
        told, bounds, on_lattice = formation.several_points(np.concatenate([sizes, single])), (3e-9, 1e-7), False
    else:
        told, bounds, on_lattice = STORIES[story]
    generator = np.random.default_rng(seed)
    known = constellation.read_exponents(exponents.read_text("utf-8"))
    outcomes = [
        formation.simulate(told, known, TOKENS[model], sigma, trials, generator, on_lattice)
        for sigma in np.geomspace(*bounds, spreads)
    ]
    observed = OBSERVED[model]
    best, chance = formation.best_chance(outcomes, observed)
    _, by_counts = formation.best_chance(outcomes, {name: observed[name] for name in ("holes", "largest")})
    return {
        "story": told.name,
        "in_cells": told.in_cells,
        "sigma": np.array([outcome.sigma for outcome in outcomes]),
        "intervals": {
            name: np.array([outcome.interval(name) for outcome in outcomes]) for name in formation.STATISTICS
        },
        "chances": {
            name: np.array([outcome.chance(name, value) for outcome in outcomes]) for name, value in observed.items()
        },
        "observed": observed,
        "best_sigma": best,
        "best_chance": chance,
        "best_chance_of_the_counts": by_counts,
    }
