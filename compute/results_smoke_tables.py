"""What the chapter on the frozen smoke sets as tables and ladders, of any model: columns, ready to be shown."""

import html

import numpy as np

from compute import results_record, results_smoke
from compute.cache import Result, cached
from compute.models.tokenizer import Tokenizer
from compute.models.vocabulary import Kind
from compute.models.weights import Catalogue, Vocabulary
from compute.results import census, texts_of
from compute.sentences_smoke import RARE

TRIALS = 500  # of each simulation at each spread
NAMED_HOLES = 13  # most holes that a table of distances can name


@cached
def rungs(catalogue: Catalogue, vocabulary: Vocabulary, most: int = 60, beyond: int = 8) -> dict:
    """The tokens around the core, nearest first: the Oort cloud up to `most`, then the first few of the main cloud."""
    found = results_smoke.layers(catalogue)
    order = np.argsort(found["distance"], kind="stable")  # (N,)
    others = order[~np.isin(order, found["core"])]
    ids = others[: min(most, len(found["oort"])) + beyond]
    inner = max(found["core_radius"], found["hop"])
    outer = found["gap"]["outer"] if found["gap"] else inner
    return {
        "ids": ids,
        "texts": texts_of(vocabulary, ids),
        "distance": np.maximum(found["distance"][ids], found["hop"]),  # no distance 0 on a logarithmic axis
        "special": vocabulary.kinds[ids] == Kind.CONTROL,
        "gap": [inner, max(inner, outer)],
        "shown": int(np.isin(ids, found["oort"]).sum()),
    }


@cached
def hole_distances(catalogue: Catalogue) -> dict:
    """The distances in cells between the first holes of the smoke, or its first rows where it has no two holes."""
    found, near = results_smoke.layers(catalogue), results_smoke.neighbourhood(catalogue)
    some = np.flatnonzero(found["is_hole"])[:NAMED_HOLES]
    if len(some) < 2:
        some = np.arange(len(found["rows"]))[:NAMED_HOLES]
    return {
        "linf": near["linf"][np.ix_(some, some)],
        "l1": near["l1"][np.ix_(some, some)],
        "names": [f"{found['rows'][i]} ({found['populations'][i]})" for i in some],
    }


@cached
def row_names(catalogue: Catalogue, vocabulary: Vocabulary) -> dict:
    """What to call each different row of the smoke: its smallest token, safe in Plotly's small markup and plain."""
    texts = texts_of(vocabulary, results_smoke.layers(catalogue)["rows"])
    return {"plain": texts, "escaped": [html.escape(text) for text in texts]}


@cached
def people(catalogue: Catalogue, vocabulary: Vocabulary) -> dict:
    """The demographics as columns: the groups that occur in the smoke, and those that are missing there for sure."""
    told = results_smoke.demographics(catalogue, vocabulary)
    rows = [
        (trait, share)
        for trait in ("form", "script", "leading space")
        for share in told[trait]
        if (share["inside"] or share["log10_p_adjusted"] < np.log10(0.05))
        and not (trait == "script" and share["label"] in {other["label"] for other in told["form"]})
    ]
    return {"trait": [trait for trait, _ in rows], "unicode": told["unicode"]} | {
        name: [share[name] for _, share in rows]
        for name in ("label", "inside", "everywhere", "share_inside", "share_everywhere", "odds_ratio",
                     "log10_p_adjusted")
    }  # fmt: skip


@cached
def reachability(catalogue: Catalogue, vocabulary: Vocabulary, tokenizer: Tokenizer | None) -> dict:
    """Causes as columns, in the smoke and in the whole vocabulary; one row that says so without a tokenizer.

    told: whether there was a tokenizer to ask; tested, unreachable, silent: in the vocabulary;
    smoke_unreachable, smoke_silent: of the smoke.
    """
    found = results_smoke.layers(catalogue)
    smoke = np.concatenate([found["core"], found["oort"]])
    if tokenizer is None:
        return {
            "told": False, "cause": ["not tested: no tokenizer"], "inside": [len(smoke)],
            "everywhere": [catalogue.n_tokens], "tested": 0, "unreachable": 0, "witnesses": 0, "silent": 0,
            "smoke_unreachable": 0, "smoke_silent": 0,
        }  # fmt: skip
    reach = results_smoke.reach(vocabulary, tokenizer)
    names = [name for name in reach["causes"] if name in reach["counts"]]
    inside = [int((reach["cause"][smoke] == reach["causes"].index(name)).sum()) for name in names]
    came_back = inside[names.index("reachable")] if "reachable" in names else 0
    return {
        "told": True,
        "cause": names,
        "inside": inside,
        "everywhere": [reach["counts"][name] for name in names],
        "tested": reach["tested"],
        "unreachable": reach["unreachable"],
        "witnesses": reach["witnesses"],
        "silent": int(reach["silent"].sum()),
        "smoke_unreachable": len(smoke) - came_back,
        "smoke_silent": int(reach["silent"][smoke].sum()),
    }


INDICATORS = {
    "cosine": "cosine to the unused mean",
    "cosine_without_component": "the same, first component removed",
    "cosine_without_mean": "the same, mean removed",
    "distance": "distance to the unused mean",
    "norm": "norm",
}


@cached
def areas(catalogue: Catalogue, vocabulary: Vocabulary) -> dict:
    """Areas under the curve as columns, an indicator a row: smoke, Oort cloud, special tokens; NaN for an empty set."""
    area = results_smoke.indicators(catalogue, vocabulary)["area"]
    sets = ("smoke", "Oort cloud", "special tokens")
    return {"indicator": list(INDICATORS.values())} | {
        which: [area[name].get(which, np.nan) for name in INDICATORS] for which in sets
    }


@cached
def candidates(
    catalogue: Catalogue, vocabulary: Vocabulary, tokenizer: Tokenizer | None, shown: int = 24
) -> dict:
    """The candidate dead tokens as columns, the `shown` with most evidence; and how many there are of each kind."""
    dead = results_smoke.dead_candidates(catalogue, vocabulary, tokenizer)
    reached = dead["unreachable"]
    return {
        "count": len(dead["ids"]),
        "special": int(dead["special"].sum()),
        "all_special": int((vocabulary.kinds == Kind.CONTROL).sum()),
        "special_ids": np.flatnonzero(vocabulary.kinds == Kind.CONTROL),
        "id": dead["ids"][:shown],
        "texts": dead["texts"][:shown],
        "clustered": _words(dead["clustered"][:shown]),
        "far": _words(dead["far"][:shown]),
        "unreachable": ["not known"] * min(shown, len(dead["ids"])) if reached is None else _words(reached[:shown]),
        "distance": dead["distance"][:shown],
    }


def _words(flags: np.ndarray) -> list[str]:
    return ["yes" if flag else "no" for flag in flags.tolist()]


@cached
def portrait(catalogue: Catalogue) -> dict:
    """A few plain numbers about the smoke that sentences are made of."""
    found, near = results_smoke.layers(catalogue), results_smoke.neighbourhood(catalogue)
    counted, inside = census(catalogue), found["in_core"]
    core = np.flatnonzero(inside)
    between = near["linf"][np.ix_(core, core)]
    return {
        "zero_rows": len(counted["zero_rows"]),
        "core": len(found["core"]),
        "oort": len(found["oort"]),
        "smoke": len(found["core"]) + len(found["oort"]),
        "core_rows": len(core),
        "core_holes": int((found["is_hole"] & inside).sum()),
        "oort_holes": int((found["is_hole"] & ~inside).sum()),
        "core_touching": bool(between.max(initial=0) <= 1),
        "core_farthest": int(between.max(initial=0)),
        "l1_from_centre": sorted({int(n) for n in near["l1"][0, core[1:]]}),
        "core_varying": near["core_varying"],
    }


def stories(model: str = results_record.MODEL) -> dict[str, Result]:
    """Every story of how the smoke formed, by name, each a simulation beside what was published of the model."""
    names = [*results_record.STORIES, "several points"]
    return {name: results_record.family(name, model, trials=TRIALS) for name in names}


def curves(told: dict[str, Result], statistic: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The spreads and intervals of one statistic in each story whose spread is told in gamma units."""
    return {name: (one["sigma"], one["intervals"][statistic]) for name, one in told.items() if not one["in_cells"]}


def verdict_on(told: dict[str, Result]) -> dict:
    """The stories as columns: best spread and its unit, chance of the counts alone, of everything, and the verdict.

    The spread is None for a story that is ruled out. least: the smallest chance that so many trials can show.
    """
    rows = list(told.values())
    return {
        "story": list(told),
        "spread": [one["best_sigma"] if one["best_chance"] >= RARE else None for one in rows],
        "unit": ["cells" if one["in_cells"] else "gamma units" for one in rows],
        "counts": [one["best_chance_of_the_counts"] for one in rows],
        "all": [one["best_chance"] for one in rows],
        "least": 2 * max(len(one["observed"]) for one in rows) / (TRIALS + 1),
        "verdict": ["ruled out" if one["best_chance"] < RARE else "not ruled out" for one in rows],
    }


def relatives() -> tuple[dict[str, list], list[Result]]:
    """Independent noise for each published model: columns (holes, largest, best spread, chance), and their results."""
    told = {name: results_record.family("independent", name, trials=TRIALS) for name in results_record.OBSERVED}
    rows = list(told.values())
    likely = [np.minimum(one["chances"]["holes"], one["chances"]["largest"]) for one in rows]  # (spreads,) each
    return {
        "model": list(told),
        "holes": [one["observed"]["holes"] for one in rows],
        "largest": [one["observed"]["largest"] for one in rows],
        "spread": [float(one["sigma"][chance.argmax()]) for one, chance in zip(rows, likely, strict=True)],
        "counts": [one["best_chance_of_the_counts"] for one in rows],
    }, rows


def constellation_names(holes: Result) -> tuple[list[str], list[str]]:
    """What to call Qwen's components, with their exponents, and its holes, with their populations."""
    components = [f"{c} ({e})" for c, e in zip(holes["components"], holes["exponents"], strict=True)]
    return components, [f"{i} ({n})" for i, n in enumerate(holes["populations"])]


def record_table() -> tuple[dict[str, list], list[Result]]:
    """The record's claims on bits, populations and tokens as columns of one table, and the results they are from."""
    told = [
        results_record.verdicts_on_bits(),
        results_record.verdicts_on_tokens(results_record.qwen_tokenizer()),
    ]
    names = ("claim", "published", "measured", "verdict", "reason")
    return {name: [*told[0][name], *told[1][name]] for name in names}, told
