"""`python -m tests.benchmarks [--json] [NAME ...]`: take figures one after another and print them.

They are no tests: a figure that misses its target is printed as such, and the exit code stays 0.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from importlib import import_module

from rich.console import Console

from tests.benchmarks.table import Figure, machine

NAMES = (
    "cpu", "stages", "throughput", "rate", "start", "learning", "cost", "fairness", "enqueue", "intake", "idle", "trace",
    "memory", "state", "scaling", "files",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end, tables to stderr")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    # what was started is stopped on the way out
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    out = Console(stderr=options.json, width=None if sys.stdout.isatty() else 120)
    where = machine()
    out.print(", ".join(f"{name} {value}" for name, value in where.items()))
    figures = []
    for name in options.names or NAMES:
        measure: Callable[[], Figure] = import_module(f"tests.benchmarks.{name}").measure
        figure = measure()
        figure.show(out)
        figures.append(figure.as_json())
    if options.json:
        json.dump({"machine": where, "figures": figures}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
