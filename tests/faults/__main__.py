"""Runs the fault suite, prints its table, and keeps that in docs/faults.md."""

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
from .runs import ALL_CELLS, Kept, name_of, run_all
from .table import BY_FAULT, BY_ROUTE, by_fault, by_route, markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
KEPT: Final = PAGE.parents[1] / "build" / "faults.tsv"
EVENTS: Final = 1001
"""By each route."""
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


def keep(name: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Keep a table in the docs, between its marks."""
    text, table = PAGE.read_text(), markdown(head, lines)
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = marked.subn(lambda _: begin + "\n" + table + "\n" + end, text)
    if count != 1:
        sys.exit(f"{PAGE.name} has {count} places for {name}")
    PAGE.write_text(text)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="events by each route")
    parser.add_argument("--rows", default="", help="only rows whose name holds this; keeps nothing")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--resume", action="store_true", help="take up what was broken off")
    arguments = parser.parse_args()
    cells = [cell for cell in ALL_CELLS if arguments.rows in ROWS[cell[0]].id]
    kept = Kept(KEPT, arguments.events, resume=arguments.resume)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    results = run_all(cells, arguments.events, arguments.processes, console, kept)
    faults, routes = by_fault(results), by_route(results)
    show(console, "By fault", BY_FAULT, faults)
    show(console, "By route", BY_ROUTE, routes)
    if not arguments.rows and arguments.events >= EVENTS:
        keep("table of faults", BY_FAULT, faults)
        keep("table of routes", BY_ROUTE, routes)
    bad = [cell for cell in cells if not kept.tallies[cell].is_good]
    for cell in bad:
        console.print(f"{name_of(cell)}: a defect")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
