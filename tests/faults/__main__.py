"""Run the fault suite, print its tables, and write the short ones to docs/faults.md."""

import argparse
import itertools
import os
import re
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from .planning import ROWS
from .routes import ROUTES
from .runs import BY_CALL, BY_FAULT, BY_ROUTE, lines_of, markdown, run_all

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
EVENTS: Final = 1001
"""Events by each route, with which the tables go to docs/faults.md."""


def write(name: str, table: str) -> None:
    """Write a table into the docs, between its markers."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = marked.subn(lambda _: f"{begin}\n{table}\n{end}", PAGE.read_text())
    if count != 1:
        sys.exit(f"{PAGE.name} has {count} places for {name}")
    PAGE.write_text(text)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="events by each route")
    parser.add_argument("--rows", default="", help="rows whose names contain this; writes no page")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at a time")
    arguments = parser.parse_args()
    rows = [number for number, row in enumerate(ROWS) if arguments.rows in row.id]
    cells = [*itertools.product(rows, range(len(ROUTES)), (False, True))]
    tallies = run_all(cells, arguments.events, arguments.processes)
    results = {(ROWS[row], ROUTES[route], fresh): t for (row, route, fresh), t in tallies.items()}
    routes = lines_of(results, BY_ROUTE)
    console = Console(soft_wrap=True)
    console.out(
        markdown(BY_FAULT, lines_of(results, BY_FAULT)), markdown(BY_ROUTE, routes), sep="\n"
    )
    if not arguments.rows:
        write("table of calls", markdown(BY_CALL, lines_of(results, BY_CALL)))
        # What was sent twice is on the page by call.
        write("table of routes", markdown(BY_ROUTE[:-2], [line[:-2] for line in routes]))
    bad = [cell for cell, tally in tallies.items() if not tally.is_good]
    for row, route, is_fresh in bad:
        instances = "fresh instances" if is_fresh else "one instance"
        console.out(f"{ROWS[row].id} by {ROUTES[route].name}, {instances}: a defect")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
