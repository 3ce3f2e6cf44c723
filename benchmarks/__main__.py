"""Runs the benchmarks, prints their tables, and keeps these in docs/performance.md."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import cold, counts, growth, warm
from .measuring import Bench
from .page import HEAD, SPENT_HEAD, keep, line, markdown, spent_line
from .service import ROOT, RemoteService
from .spending import spending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .measuring import Row, Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = (
    warm.warm_one,
    warm.warm_ten,
    warm.warm_thousand,
    counts.calls_of_few,
    counts.calls_of_many,
    growth.cpu,
    counts.refresh,
    growth.memory,
    cold.cold,
    cold.cold_in_lambda,
    cold.package,
    warm.routes,
    warm.process_of_its_own,
)
KEPT: Final = ROOT / "build" / "bench.json"
NOT_MEASURED: Final = """\
Not measured: AWS itself. Its answers come from a process on this machine, over HTTP
without TLS, at once or after 5 ms. Neither are the network, the signing of credentials
of a role that are fetched anew, Lambda's own time to start an instance and to load the
package, other architectures, or less than one core, as Lambda gives at less than 1,769 MB.
Warm figures are of the Python that runs this; cold ones of Python 3.13."""
_WIDTH: Final = 170


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; give its exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    names = [each.__name__ for each in SCENARIOS]
    parser.add_argument(
        "--only", action="append", choices=[*names, "spending"], help="keeps no page; repeatable"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="see that they work; keeps no page, and no figure counts",
    )
    parser.add_argument("--json", type=Path, default=KEPT, help="where the figures are kept")
    parser.add_argument(
        "--package", type=Path, default=ROOT / "build" / "package", help="what make package built"
    )
    options = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    wanted = options.only or [*names, "spending"]
    _log_to_nowhere()
    rows: list[Row] = []
    missing: list[str] = []
    with RemoteService() as service:
        bench = Bench(service, options.package.resolve(), options.quick)
        for scenario in SCENARIOS:
            if scenario.__name__ in wanted:
                try:
                    rows += scenario(bench)
                except cold.NotHereError as error:
                    missing.append(f"{scenario.__name__}: {error}")
        shares = spending(bench) if "spending" in wanted else []
    lines, spent = [*map(line, rows)], [*map(spent_line, shares)]
    _show(console, "Benchmarks", HEAD, lines)
    _show(console, "Where the CPU time of an event goes", SPENT_HEAD, spent)
    for each in missing:
        console.print(f"Not run: {each}")
    console.print(NOT_MEASURED)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "python": sys.version.split()[0],
        "rows": [asdict(row) | {"reached": row.is_reached} for row in rows],
        "spending": [*map(asdict, shares)],
        "not_run": missing,
    }
    options.json.write_text(json.dumps(kept, indent=2) + "\n")
    if not (options.only or options.quick or missing):
        keep("table of benchmarks", markdown(HEAD, lines))
        keep("table of spending", markdown(SPENT_HEAD, spent))
    return 0


def _log_to_nowhere() -> None:
    """Log as in Lambda, formatted and written, to where nobody reads it."""
    stream = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lasts
    logging.basicConfig(stream=stream, format="[%(levelname)s] %(message)s")


def _show(
    console: Console, title: str, head: Sequence[str], lines: Sequence[Sequence[str]]
) -> None:
    if lines:
        table = Table(title=title, title_justify="left")
        for name in head:
            table.add_column(name, overflow="fold")
        for cells in lines:
            table.add_row(*(Text(cell.replace("**", "")) for cell in cells))
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
