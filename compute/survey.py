"""The numbers of one catalogue on one page: what `python -m compute survey MODEL` says."""

import argparse
import json
import sys

from compute import results

EPILOG = """\
MODEL is a name from `python -m compute models` (smollm2), a folder with config.json and
safetensors, a .gguf or .safetensors file (file.safetensors#tensor.name picks the tensor by
hand), or a hub id such as Qwen/Qwen3-4B-Instruct-2507. Without it, AZIMUTH_MODEL decides.

  python -m compute survey smollm2
  python -m compute survey ~/models/Qwen3-4B --json | jq .black_holes

Only the unembedding matrix is read. Results are cached: a second survey takes a second.
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Register `survey` with the command line."""
    command = subparsers.add_parser(
        "survey",
        help="the catalogue's numbers of any model that can be opened",
        description="Centroid, norms and black holes of a model's unembedding matrix.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("model", nargs="?", metavar="MODEL", help="the model (default: $AZIMUTH_MODEL or smollm2)")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    command.set_defaults(run=run)


def numbers(model: str | None = None) -> dict:
    """The survey of a model as plain numbers; norms in gamma units, populations descending.

    Raises FileNotFoundError or ValueError where the model cannot be had or is no catalogue.
    """
    gamma = results.model(model).catalogue
    holes = results.census(gamma)
    return {
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


def run(arguments: argparse.Namespace) -> int:
    """Print the survey, as a table or as JSON."""
    found = numbers(arguments.model)
    sys.stdout.write(json.dumps(found) + "\n" if arguments.json else _table(found))
    return 0


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
    ]
    wide = max(len(value) for _, value, _ in rows)
    lines = [f"{name:<22}{value:>{wide}}  {unit}".rstrip() for name, value, unit in rows]
    return "\n".join([found["model"], "-" * len(found["model"]), *lines]) + "\n"
