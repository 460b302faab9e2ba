"""The tables of the chapter on Goldilocks, and what is looked up for them: nothing here takes long or is kept.

Chapter: Goldilocks.
"""

import inspect
import json
import re
from collections.abc import Mapping, Sequence

from compute import experiments
from compute.paths import root

COMMENT = re.compile(r"^ +(\w+): \w+ = .*?  # (.*)$", re.M)
LENGTHS = (100, 12_000)  # steps whose recording is budgeted


def settings_table() -> dict[str, list]:
    """Every setting of a run, that of Goldilocks, and what it is, in the words of the code."""
    from compute.goldilocks.settings import GOLDILOCKS, Settings

    said = dict(COMMENT.findall(inspect.getsource(Settings).replace("`", "")))
    plain = {name.replace("_", " "): (_shown(getattr(GOLDILOCKS, name)), words) for name, words in said.items()}
    columns = zip(*((name, *cells) for name, cells in plain.items()), strict=True)
    return dict(zip(("setting", "Goldilocks", "what it is"), map(list, columns), strict=True))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def protocols_table() -> dict[str, list]:
    """The numeric protocols: what is kept in which type, asked of the rules themselves."""
    rows = {"protocol": [], "weights": [], "moments": [], "master copy": []}
    for name, rule in _rules().items():
        types = {part: str(kept.dtype).removeprefix("torch.") for part, kept in rule.kept.items()}
        cells = (name, types["weights"], types["first"], types.get("master", "none"))
        for column, cell in zip(rows.values(), cells, strict=True):
            column.append(cell)
    return rows


def protocol_words() -> dict[str, str]:
    """What is rounded when, by protocol, in the words of its own rule: its docstring without the attributes."""
    return {
        name: " ".join(inspect.getdoc(type(rule)).partition("Attributes:")[0].split())
        for name, rule in _rules().items()
    }


def _rules() -> dict:
    """One small update rule of each protocol, by name."""
    import torch

    from compute.goldilocks import protocols
    from compute.goldilocks.settings import PROTOCOLS, Settings

    rules = {}
    for name in PROTOCOLS:
        chosen = Settings(protocol=name)
        stored = torch.zeros(8, dtype=protocols.stored_type(chosen))
        rules[name] = protocols.update(chosen, stored, stored.clone(), torch.zeros(8))
    return rules


def parts_table(parameters: Mapping) -> dict[str, list]:
    """The parameters of Goldilocks and its siblings by part, as `results_recipe.parameters` counts them."""
    parts = list(next(iter(parameters.values()))["parts"])
    columns = {name: [*one["parts"].values(), one["all"], one["dead"]] for name, one in parameters.items()}
    return {"part": [*parts, "in all", "in dead rows"], **columns}


def census_table(lexicon: Mapping) -> dict[str, list]:
    """The tokens by script, with examples: texts to be shown as tokens."""
    rows = lexicon["census"]
    return {
        "script": [row["script"] for row in rows],
        "tokens": [row["tokens"] for row in rows],
        "living": [row["live"] for row in rows],
        "dead": [row["dead"] for row in rows],
        "occurrences": [row["occurrences"] for row in rows],
        "commonest living": [names_of(lexicon, row["live_examples"]) for row in rows],
        "first dead": [names_of(lexicon, row["dead_examples"]) for row in rows],
    }


def names_of(lexicon: Mapping, tokens: Sequence[int]) -> list[str]:
    """The texts of some tokens, made visible."""
    from compute.tokens import display

    return [display(lexicon["texts"][token].encode(), int(token)) for token in tokens]



def budget(first_look: Mapping) -> dict[str, list]:
    """What watching takes on the disk: every step for 100 and 12,000 steps, and the summaries that are there.

    first_look: as `results_supernova.first_look` gives it, for the size of a recording that was made.
    """
    shots = first_look["bytes"] // (LENGTHS[0] + 1)  # bytes of one state
    rows = [(f"every step, {steps:,} steps", steps, (steps + 1) * shots) for steps in LENGTHS]
    kept = {"supernova": experiments.kept("supernova"), "pure-bf16": experiments.kept("pure-bf16")}
    for name, runs in kept.items():
        if runs:
            steps = experiments.named(name).steps
            size = max(stored_bytes(run["summary"]) for run in runs.values())
            rows.append((f"summary, {name}", steps, size))
    names, steps, sizes = zip(*rows, strict=True)
    each = [size / length for size, length in zip(sizes, steps, strict=True)]
    return {
        "kept": list(names),
        "steps": list(steps),
        "megabytes": [size / 1e6 for size in sizes],
        "kilobytes a step": [size / 1e3 for size in each],
    }


def stored_bytes(kept: object) -> int:
    """How many bytes the arrays in a result take, also those within dicts."""
    if isinstance(kept, Mapping):
        return sum(stored_bytes(value) for value in kept.values())
    return int(getattr(kept, "nbytes", 0))


def speeds(operations: float) -> dict[str, list]:
    """How fast the runs that are there went: steps a second and billions of operations a second, slowest to fastest.

    operations: of one step, as `work` counts them.
    """
    rows = {"run": [], "seeds": [], "threads": [], "slowest, steps/s": [], "fastest, steps/s": [], "Gflop/s": []}
    for name in experiments.EXPERIMENTS:
        runs = experiments.kept(name)
        if not runs:
            continue
        rates = [float(run["steps_per_second"]) for run in runs.values()]
        threads = sorted({int(run["threads"]) for run in runs.values()})
        cells = (name, len(runs), ", ".join(map(str, threads)), min(rates), max(rates), max(rates) * operations / 1e9)
        for column, cell in zip(rows.values(), cells, strict=True):
            column.append(cell)
    return rows


def benchmark(name: str) -> dict | None:
    """The row of data/benchmarks.json of that name, None where it has not been measured."""
    rows = json.loads((root() / "data" / "benchmarks.json").read_text("utf-8"))
    return next((row for row in rows if row["name"] == name), None)


def stillborn(lexicon: Mapping) -> list[str]:
    """The dead tokens that come from the living text's own tokenizer, but for the unknown token, made visible."""
    own = [token for token, count in enumerate(lexicon["counts"][: lexicon["n_english"]]) if token and not count]
    return names_of(lexicon, own)
