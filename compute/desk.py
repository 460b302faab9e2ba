"""The cache's commands: status, why, verify, gc, ship, bless; tables for people, --json for scripts."""

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Mapping

from tqdm import tqdm

from compute.cache import Call, audit, shipping
from compute.tables import duration, lines, moment, size, start, visible

DONE, WANTING = 0, 1  # exit codes; 2, that it could not be done, is the front's
NOTHING = "nothing to remove: all that is kept is whole, and of today's code"
STATES = """\
  fresh    in the cache, and all code and inputs that it comes from are as they were
  shipped  as fresh, but committed with the project (data/results)
  stale    kept from the same arguments, but code that it reaches has changed since
  missing  never computed with these inputs
"""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Registers the cache's commands with the command line."""
    for run, takes_name, summary, text in COMMANDS:
        command = subparsers.add_parser(
            run.__name__, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if takes_name:
            command.add_argument("name", metavar="NAME", help="a result, by the name that `status` gives it")
        if takes_name or run is status:
            command.add_argument("--model", help="of which model (default: $AZIMUTH_MODEL or smollm2)")
        if run is gc:
            command.add_argument("--delete", action="store_true", help="really remove what is listed")
            command.add_argument(
                "--older-than", type=float, default=0, metavar="DAYS", help="list only what is older than this"
            )
        command.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
        command.set_defaults(run=run)


def status(arguments: argparse.Namespace) -> int:
    """Prints which results of the current model are there; exit code 0 whatever their state."""
    rows = audit.status(_calls(arguments.model))
    columns = {"result": ("name", str), "state": ("state", str), "took": ("seconds", duration), "size": ("bytes", size)}
    columns |= {"computed (UTC)": ("date", moment), "key": ("key", start)}
    return _print(arguments, {"results": rows}, lines(rows, columns))


def why(arguments: argparse.Namespace) -> int:
    """Prints what a key is made of, and where its result comes from or what changed."""
    name, call = _call(arguments)
    told = audit.why(name, call)
    return _print(arguments, told, explanation(told))


def verify(arguments: argparse.Namespace) -> int:
    """Reads everything that is kept; exit code 1 if a byte of it is wrong."""
    rows = list(tqdm(audit.verify(), unit=" entries", delay=1, disable=not sys.stderr.isatty()))
    damaged = [row for row in rows if row["damage"]]
    columns = {"layer": ("layer", str), "function": ("function", str), "key": ("key", start), "size": ("bytes", size)}
    columns |= {"found": ("damage", lambda damage: "DAMAGED" if damage else "whole")}
    table = [*lines(rows, columns), ""] if rows else []
    table += [f"{row['layer']} {row['function']} {start(row['key'])}: {visible(row['damage'])}" for row in damaged]
    table += [f"{len(rows)} entries, {size(sum(row['bytes'] for row in rows))}, {len(damaged) or 'none'} damaged"]
    _print(arguments, {"entries": rows, "damaged": len(damaged)}, table)
    return WANTING if damaged else DONE


def gc(arguments: argparse.Namespace) -> int:
    """Lists what can go, and lets it go if told to."""
    rows = audit.sweep(arguments.delete, arguments.older_than)
    total = sum(row["bytes"] for row in rows)
    columns = {"why": ("kind", str), "function": ("function", str), "key": ("key", start)}
    columns |= {"size": ("bytes", size), "since (UTC)": ("date", moment)}
    done = "removed" if arguments.delete else "could go; nothing was removed (--delete does)"
    table = [*lines(rows, columns), "", f"{len(rows)} folders, {size(total)}, {done}"]
    return _print(arguments, {"deleted": arguments.delete, "bytes": total, "found": rows}, table if rows else [NOTHING])


def ship(arguments: argparse.Namespace) -> int:
    """Copies a fresh result into the committed layer."""
    return _committed(arguments, shipping.ship, "shipped {name}: {bytes:,} bytes under {key}")


def bless(arguments: argparse.Namespace) -> int:
    """Moves a committed result to today's key, if its probe comes out bit-identical."""
    return _committed(arguments, shipping.bless, "blessed {name}: bit-identical in {probe_seconds:.1f} s; now {key}")


def _committed(arguments: argparse.Namespace, act: Callable[[str, Call], dict], told: str) -> int:
    """Ships or blesses a result: 0 done or needless, 1 refused, with the reason on stderr."""
    name, call = _call(arguments)
    try:
        line = {"name": name} | act(name, call)
    except FileExistsError as reason:
        print(reason, file=sys.stderr)
        return DONE
    except (FileNotFoundError, ValueError, ArithmeticError) as reason:
        print(reason, file=sys.stderr)
        return WANTING
    return _print(arguments, line, [told.format(**line)])


def _calls(model: str | None) -> list[tuple[str, Call]]:
    # numpy and the model, which `--help` does without
    from compute import contents, results

    return contents.kept(results.model(model))


def _call(arguments: argparse.Namespace) -> tuple[str, Call]:
    """The result that was asked for; ValueError that lists the names where there is none of that name."""
    calls = dict(_calls(arguments.model))
    if arguments.name not in calls:
        raise ValueError(f"no result {visible(arguments.name)!r}; there are: {', '.join(calls)}")
    return arguments.name, calls[arguments.name]


def _print(arguments: argparse.Namespace, found: Mapping, table: list[str]) -> int:
    print(json.dumps(found, indent=1) if arguments.json else "\n".join(table))
    return DONE


def explanation(told: Mapping) -> list[str]:
    """What `audit.why` found, as lines for a person."""
    pairs = [("result", f"{told['name']}, {told['state']}"), ("function", told["function"]), ("model", told["model"])]
    pairs += [("argument", f"{name} = {json.dumps(value)}") for name, value in told["arguments"].items()]
    pairs += [("key", told["key"]), ("entry", told["entry"])]
    if origin := told["origin"]:
        pairs += [("computed", f"{moment(told['date'])} UTC, in {duration(told['seconds'])}, {size(told['bytes'])}")]
        versions = ", ".join(f"{package} {version}" for package, version in origin["versions"].items())
        pairs += [("with" if i == 0 else "", line) for i, line in enumerate(textwrap.wrap(versions, 70))]
        pairs += [("on", f"{origin['machine']}, {origin['threads']} thread{'s' * (origin['threads'] != 1)}")]
    if origin and (blessed := origin["blessed"]):
        pairs += [("blessed", f"{moment(blessed['date'])} UTC; computed under {start(blessed['old_key'])}")]
    table = [f"{name:<9} {visible(value)}" for name, value in pairs if value is not None]
    if differs := told["differs"]:
        table += ["", f"that entry is of {moment(differs['date'])} UTC, and not of this key; since then:"]
        table += [f"  format   {differs['format']['then']} -> {differs['format']['now']}"] if differs["format"] else []
        table += [f"  {what:<8} {name}" for what in ("changed", "added", "removed") for name in differs[what]]
        for other in differs["arguments"]:
            then, now = (json.dumps(other[when]) for when in ("then", "now"))
            also = " (by this name, but of other content)" if then == now else ""
            table.append("  argument " + visible(f"{other['name']}: {then} -> {now}{also}"))
    return [*table, "", f"the key covers {len(told['code'])} definitions:", *(f"  {name}" for name in told["code"])]


COMMANDS = [
    (
        status,
        False,
        "which results are there, and which are stale",
        f"The results that the book shows of a model, and the runs of Goldilocks, one a line. The states:\n\n{STATES}\n"
        "Nothing is computed here: build the book, and what is stale or missing is.",
    ),
    (
        why,
        True,
        "why a result is, or is not, up to date",
        "What a result's key is made of: its function, all the code of compute/ that this reaches, its arguments\n"
        "and the content of its inputs. For a fresh result, then, when, how long and with which versions it was\n"
        "computed; for another, which function, class, constant, argument or input is not what it was.\n\n"
        "  python -m compute why norms\n",
    ),
    (
        verify,
        False,
        "read every kept byte again and check it",
        "Checks the SHA-256 of each file of each entry in the cache and in data/results; where AZIMUTH_CACHE is a\n"
        "store, it fetches and checks all that lies there, too. Changes nothing: a damaged entry is put aside, and\n"
        "computed again, when it is next asked for. Exit code 1 if there is one.",
    ),
    (
        gc,
        False,
        "what of the cache can go (a dry run; --delete removes it)",
        "Lists entries that were computed by code other than today's, damaged ones, and what killed runs left\n"
        "behind. Entries of other models stay, and so does what a running process writes. Old entries do no harm\n"
        "but take room: on another branch they may be today's. Deleting all of data/cache is safe too. In a\n"
        "store that is shared, --delete deletes for all: entries of other code than yours may be of theirs.\n\n"
        "  python -m compute gc --older-than 30\n"
        "  python -m compute gc --delete\n",
    ),
    (
        ship,
        True,
        "commit a fresh result with the project",
        f"Copies a fresh result from the cache to data/results, for long runs that a newcomer should not repeat. At\n"
        f"most {shipping.LARGEST_FILE // 10**6} MB a file and {shipping.LARGEST_TOTAL // 10**6} MB in all. "
        "Adds a line to data/results/manifest.jsonl; commit both.\n"
        "Exit code 1 if the result is not fresh or too large.",
    ),
    (
        bless,
        True,
        "keep a committed result after a pure refactoring",
        "After an edit that changes the code but not what it computes, the committed result is stale. This runs its\n"
        "probe (a short stretch of the long run; without one, all of it) with today's code, compares bit for bit, and\n"
        "only if nothing differs moves the result to today's key. Exit code 1, and nothing changed, if it differs.",
    ),
]
