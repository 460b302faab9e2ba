"""Run the benchmarks and write their table: python -m benchmarks [NAME ...], as `make bench` does.

Each module measures something against its peer in one run and returns rows: name, what, ratio, sense ("over" or
"under"), target. The table goes to data/benchmarks.json, where the colophon reads it; a row measured anew replaces the
old one of its name, the others stay.
"""

import argparse
import datetime
import importlib
import json
import sys
from pathlib import Path

from compute.cache.origin import circumstances
from compute.paths import root

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main(words: list[str] | None = None) -> int:
    """Measure what was asked for; returns 1 where a ratio missed its target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all of {', '.join(MODULES)})")
    names = parser.parse_args(words).names or MODULES
    if unknown := sorted(set(names) - set(MODULES)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(MODULES)}")
    table = root() / "data" / "benchmarks.json"
    rows = {row["name"]: row for row in json.loads(table.read_text("utf-8"))}
    for name in names:
        print(f"azimuth: measuring {name}", file=sys.stderr)
        for row in importlib.import_module(f"benchmarks.{name}").main():
            reached = row["ratio"] >= row["target"] if row["sense"] == "over" else row["ratio"] <= row["target"]
            row |= {
                "reached": reached,
                "date": datetime.date.today().isoformat(),
                "machine": circumstances()["machine"],
            }
            rows[row["name"]] = row
            print(f"{row['what']}: {row['ratio']:.2f} ({row['sense']} {row['target']:g}: {reached and 'yes' or 'NO'})")
        table.write_text(json.dumps([rows[key] for key in sorted(rows)], indent=1) + "\n", "utf-8")
    return 0 if all(row["reached"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
