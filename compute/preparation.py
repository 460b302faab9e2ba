"""The command line before the book: python -m compute prepare, which computes what the book lacks of a model."""

import argparse
import json
import sys

from compute import fleet, recipes, results, results_blocks
from compute.fleet import choice
from compute.tables import visible

TEXT = """\
Computes every result that the book shows of a model and that is not kept, so that the build only reads. With a Dask
scheduler its workers make the large ones by blocks, and then each of the others is a task; `make book` does this by
itself where one is chosen. Without one they are computed here, in order. A result that cannot be had is told of, and
left for its chapter to say why.
Trainings are none of it: `python -m compute experiment NAME --run` makes those.
"""


def add_commands(subparsers: "argparse._SubParsersAction") -> None:
    """Registers `prepare` with the command line."""
    command = subparsers.add_parser(
        "prepare",
        help="compute what the book lacks of a model, on a Dask cluster if there is one",
        description=TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--model", help="of which model (default: $AZIMUTH_MODEL or smollm2)")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    choice.add_option(command)
    command.set_defaults(run=prepare)


def prepare(arguments: argparse.Namespace) -> int:
    """Makes the results of a model be there; 0 also where one could not be had: its chapter says more of it."""
    lacking = _lacking(recipes.book(arguments.model))
    if fleet.active():  # the large ones by blocks, in which all workers share, then one task each
        results_blocks.ahead(results.model(arguments.model).catalogue, fleet.spread)
    missing = _lacking(lacking)
    failed = {}
    excused = (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, ValueError)
    for place, found in fleet.gather([recipe for _, recipe in missing], label="the book's results", excused=excused):
        name = missing[place][0]
        if isinstance(found, Exception):
            failed[name] = str(found)
        print(visible(f"{name}: {failed.get(name, 'there')}"), file=sys.stderr)
    if arguments.json:
        print(json.dumps({"computed": [name for name, _ in lacking if name not in failed], "failed": failed}))
    else:
        print(f"{len(lacking) - len(failed)} results computed, {len(failed) or 'none'} could not be")
    return 0


def _lacking(among: list[tuple[str, fleet.Recipe]]) -> list[tuple[str, fleet.Recipe]]:
    """Those that are not kept."""
    return [(name, recipe) for name, recipe in among if recipe.call().state() not in ("fresh", "shipped")]
