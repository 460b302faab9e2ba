"""The numbers of one catalogue on one page: what `python -m compute survey MODEL` says."""

import argparse
import json
import sys

from compute import fleet, recipes, results, results_blocks, results_geometry, results_smoke, results_void
from compute.fleet import choice
from compute.models.weights import Model
from compute.tables import visible

EPILOG = """\
MODEL is a name from `python -m compute models` (smollm2), a folder with config.json and
safetensors, a .gguf or .safetensors file (file.safetensors#tensor.name picks the tensor by
hand), the model.bin of CTranslate2, or a hub id such as Qwen/Qwen3-4B-Instruct-2507. Without it, AZIMUTH_MODEL decides.

  python -m compute survey smollm2
  python -m compute survey ~/models/Qwen3-4B --json | jq .black_holes
  python -m compute survey smollm2 --depth metric
  python -m compute survey smollm2 ~/models/Qwen3-4B ~/models/Qwen3-4B-Base --scheduler tcp://host:8786

Of several models each is a task of its own, which the workers of a Dask scheduler take where one is chosen; of one
model they take its large results by blocks. A model that cannot be opened keeps no other from being surveyed. --json
says {"surveys": [...]} of several, in the order asked.

--depth catalog is what every survey says. --depth metric adds the causal metric:
covariance_eigenvalues {min, max, mean, median, trace}, metric_eigenvalues {min, max, mean,
median}, participation_ratio, and causal_norm {mean, std, min, max} in logometers; the
eigenvalues are those above the floor, and the metric's are exact inverses, without a ridge.

--depth density adds to that the k nearest neighbours of every token in causal space: knn {k,
space, density_median, infinite_density_tokens, mean_distance_quantiles}. Infinite densities are
in no median; distances are in logometers. The search takes about half a minute for 50,000 tokens of
576 components, grows with the square of the one and with the other, and, killed, goes on where it was.

--depth smoke goes elsewhere, and adds to the catalog what surrounds the black holes: smoke
{core_tokens, core_radius, oort_tokens, components}, dead_candidates, and unreachable
{tested, count}, null without a tokenizer.

Only the unembedding matrix is read, and the tokenizer. Results are cached: a second survey takes a second.
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Register `survey` with the command line."""
    command = subparsers.add_parser(
        "survey",
        help="the catalogue's numbers of any model that can be opened, or of several",
        description="Centroid, norms and black holes of the unembedding matrix of one model, or of each of several.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("models", nargs="*", metavar="MODEL", help="default: $AZIMUTH_MODEL or smollm2")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    command.add_argument(
        "--depth",
        choices=DEPTHS,
        default="catalog",
        help="how far to go: catalog (default) < metric < density; smoke is apart",
    )
    choice.add_option(command)
    command.set_defaults(run=run)


def numbers(model: str | None = None, depth: str = "catalog") -> dict:
    """The survey of a model as plain numbers; norms and radii in gamma units, populations descending.

    Raises FileNotFoundError or ValueError where the model cannot be had or is no catalogue.
    """
    opened = results.model(model)
    gamma = opened.catalogue
    if fleet.active():  # and this is no task: the workers take the matrix by blocks
        results_blocks.ahead(gamma, fleet.spread, depth)
    holes = results.census(gamma)
    found = {
        "model": gamma.label,
        "storage": gamma.storage,
        "n_tokens": gamma.n_tokens,
        "dim": gamma.dim,
        "centroid_norm": results.centring(gamma)["centroid_norm"],
        "centred_norm": results.norms(gamma)["centred_summary"],
        "unique_rows": holes["unique_rows"],
        "black_holes": holes["populations"],
        "black_hole_tokens": holes["tokens_in_holes"],
    }
    for part in DEPTHS[depth]:
        found |= part(opened)
    return found


def _metric(opened: Model) -> dict:
    """What `--depth metric` adds, and whatever goes deeper."""
    return results_geometry.survey(opened.catalogue)


def _density(opened: Model) -> dict:
    """What `--depth density` adds."""
    return results_void.survey(opened.catalogue)


def _smoke(opened: Model) -> dict:
    """What `--depth smoke` adds."""
    return results_smoke.survey(opened.catalogue, opened.vocabulary, results_smoke.tokenizer(opened))


# what each depth adds to the catalog, in this order
DEPTHS = {"catalog": (), "metric": (_metric,), "density": (_metric, _density), "smoke": (_smoke,)}


def run(arguments: argparse.Namespace) -> int:
    """Print the survey, as a table or as JSON; of several models, 2 where one of them could not be surveyed."""
    if len(arguments.models) < 2:
        found = numbers(*arguments.models, depth=arguments.depth)
        sys.stdout.write(json.dumps(found) + "\n" if arguments.json else _table(found))
        return 0
    surveys = several(arguments.models, arguments.depth)
    whole = [one for one in surveys if "error" not in one]
    sys.stdout.write(json.dumps({"surveys": surveys}) + "\n" if arguments.json else "\n".join(map(_table, whole)))
    for one in surveys:
        if "error" in one:
            print(f"{visible(one['model'])}: {visible(one['error'])}", file=sys.stderr)
    return 0 if len(whole) == len(surveys) else 2


def several(models: list[str], depth: str) -> list[dict]:
    """The surveys of some models, in their order; {model, error} of one that cannot be had or is no catalogue."""
    tasks = [(recipes.everywhere(model), depth) for model in models]
    found = dict(fleet.spread(numbers, tasks, label="surveys", excused=(MemoryError, OSError, ValueError)))
    return [
        {"model": model, "error": str(found[i])} if isinstance(found[i], Exception) else found[i]
        for i, model in enumerate(models)
    ]


def _table(found: dict) -> str:
    """The survey for a reader: one line a number, units beside it."""
    norm, holes = found["centred_norm"], found["black_holes"]
    shown = " ".join(map(str, holes[:12])) + (" ..." if len(holes) > 12 else "")
    rows = [
        ("tokens", f"{found['n_tokens']:,}", ""),
        ("dimensions", f"{found['dim']:,}", ""),
        ("stored as", found["storage"], ""),
        ("centroid norm", f"{found['centroid_norm']:.4f}", "gamma units"),
        *((f"centred norm, {name}", f"{value:.4f}", "gamma units") for name, value in norm.items()),
        ("unique rows", f"{found['unique_rows']:,}", ""),
        (
            "black holes",
            f"{len(holes):,}",
            f"populations {shown}" if holes else "no two rows share their bits",
        ),
        ("tokens in them", f"{found['black_hole_tokens']:,}", ""),
        *(_metric_rows(found) if "causal_norm" in found else []),
        *(_density_rows(found["knn"]) if "knn" in found else []),
        *(_smoke_rows(found) if "smoke" in found else []),
    ]
    wide = max(len(value) for _, value, _ in rows)
    lines = [f"{name:<22}{value:>{wide}}  {unit}".rstrip() for name, value, unit in rows]
    return "\n".join([found["model"], "-" * len(found["model"]), *lines]) + "\n"


def _metric_rows(found: dict) -> list[tuple[str, str, str]]:
    """The lines that `--depth metric` adds."""
    variance, inverse = found["covariance_eigenvalues"], found["metric_eigenvalues"]
    return [
        *((f"covariance, {name}", f"{value:.4g}", "squared gamma units") for name, value in variance.items()),
        *((f"metric, {name}", f"{value:.4g}", "per squared gamma unit") for name, value in inverse.items()),
        ("participation ratio", f"{found['participation_ratio']:.1f}", f"of {found['dim']:,} dimensions"),
        *((f"causal norm, {name}", f"{value:.4f}", "logometers") for name, value in found["causal_norm"].items()),
    ]


def _density_rows(knn: dict) -> list[tuple[str, str, str]]:
    """The lines that `--depth density` adds."""
    middle, infinite = knn["density_median"], knn["infinite_density_tokens"]
    spread = knn["mean_distance_quantiles"]
    return [
        ("median density", "-" if middle is None else f"{middle:.5f}", f"per logometer, {knn['k']} nearest"),
        ("of infinite density", f"{infinite:,}", "tokens with so many others in their very place"),
        *((f"mean distance, {float(q):.0%}", f"{spread[q]:.4f}", "logometers") for q in spread),
    ]


def _smoke_rows(found: dict) -> list[tuple[str, str, str]]:
    """The lines that `--depth smoke` adds."""
    smoke, unreachable = found["smoke"], found["unreachable"]
    return [
        ("core of the smoke", f"{smoke['core_tokens']:,}", f"tokens within {smoke['core_radius']:.3g} gamma units"),
        ("Oort cloud", f"{smoke['oort_tokens']:,}", "tokens up to the edge of the main cloud"),
        ("components", f"{smoke['components']:,}", "of the smoke, neighbouring cells joined"),
        ("dead candidates", f"{found['dead_candidates']:,}", "tokens clustered or far"),
        (
            "unreachable tokens",
            f"{unreachable['count']:,}" if unreachable else "-",
            f"of {unreachable['tested']:,} tested" if unreachable else "no tokenizer to ask",
        ),
    ]
