"""Run the fault suite, print its tables, and write the short ones to docs/faults.md."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .planning import ROWS
from .routes import ROUTES
from .runs import ALL_CELLS, name_of, run_all
from .table import BY_CALL, BY_FAULT, BY_ROUTE, by_call, by_fault, by_route, markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
EVENTS: Final = 1001
"""Events by each route, with which the tables go to docs/faults.md."""
_WIDTH: Final = 160


def show(console: Console, title: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for column in head:
        is_text = column in ("Call", "Operation", "Fault", "Route")
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for line in lines[:-1]:
        table.add_row(*map(Text, line))
    table.add_section()
    table.add_row(*map(Text, lines[-1]))
    console.print(table)


def write(name: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Write a table into the docs, between its markers."""
    text, table = PAGE.read_text(), markdown(head, lines)
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = marked.subn(lambda _: begin + "\n" + table + "\n" + end, text)
    if count != 1:
        sys.exit(f"{PAGE.name} has {count} places for {name}")
    PAGE.write_text(text)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="events by each route")
    parser.add_argument(
        "--rows", default="", help="only rows whose name contains this; writes no page"
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="rows that run concurrently"
    )
    arguments = parser.parse_args()
    cells = [cell for cell in ALL_CELLS if arguments.rows in ROWS[cell[0]].id]
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    tallies = run_all(cells, arguments.events, arguments.processes, console)
    results = {(ROWS[row], ROUTES[route], fresh): t for (row, route, fresh), t in tallies.items()}
    routes = by_route(results)
    show(console, "By fault", BY_FAULT, by_fault(results))
    show(console, "By route", BY_ROUTE, routes)
    if not arguments.rows:
        write("table of calls", BY_CALL, by_call(results))
        # What was sent twice is on the page by call.
        write("table of routes", BY_ROUTE[:-2], [line[:-2] for line in routes])
    bad = [cell for cell in cells if not tallies[cell].is_good]
    for cell in bad:
        console.print(f"{name_of(cell)}: a defect")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
