"""Run the benchmarks, print their tables, and write short ones to docs/performance.md."""

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
from .comparing import compare, wait_for_turn
from .measuring import Bench
from .page import (
    CHANGE_HEAD,
    HEAD,
    PAGE_HEAD,
    SPENT_HEAD,
    change_line,
    line,
    markdown,
    page_lines,
    spent_line,
    spent_page_lines,
    write,
)
from .service import ROOT, RemoteService
from .spending import spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .comparing import Change
    from .measuring import Row, Scenario
    from .spending import Share

    PrintedTable = tuple[str, Sequence[str], Sequence[Sequence[str]]]
    """Title, head and lines."""

SCENARIOS: Final[tuple[Scenario, ...]] = (
    warm.warm_one,
    warm.warm_ten,
    warm.warm_thousand,
    warm.everyday,
    counts.everyday_in_one_invocation,
    counts.calls_of_few,
    counts.calls_of_many,
    growth.cpu,
    counts.refresh,
    growth.memory,
    cold.cold,
    cold.cold_in_lambda,
    cold.first_event,
    cold.first_event_in_lambda,
    cold.memory_after_first_event,
    cold.package,
    warm.routes,
)
NAMES: Final = [scenario.__name__ for scenario in SCENARIOS]
RESULTS: Final = ROOT / "build" / "bench.json"
NOT_MEASURED: Final = """\
Not measured: AWS itself. Its answers come from a process on this machine, over HTTP
without TLS, at once or after 5 ms. Also not measured: networks, the first request that
signs with a role's new credentials, the time that Lambda needs to start an instance and
to load the package, other architectures, and less than one core, which Lambda gives below
1,769 MB. Warm results are those of the Python that runs this; cold ones of Python 3.13."""
_WIDTH: Final = 170


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 1 where a row became worse."""
    options = _parser().parse_args(arguments)
    _discard_log()
    wanted = options.only or [*NAMES, "spending"]
    changes: list[Change] = []
    names = [f"--only={name}" for name in wanted if name != "spending"]
    if options.against and names:
        quick = ["--quick"] if options.quick else []
        changes, rows, missing = compare(options.against.resolve(), [*names, *quick])
        _, _, shares = _run(options, [name for name in wanted if name == "spending"])
    else:
        rows, missing, shares = _run(options, wanted)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    results = {
        "python": sys.version.split()[0],
        "rows": [asdict(row) | {"meets_goal": row.meets_goal} for row in rows],
        "changes": [asdict(change) | {"ratio": change.ratio} for change in changes],
        "spending": [*map(asdict, shares)],
        "not_run": missing,
    }
    options.json.write_text(json.dumps(results, indent=2) + "\n")
    if options.in_turns:
        return 0
    tables = (
        ("Benchmarks", HEAD, [*map(line, rows)]),
        ("Before and after", CHANGE_HEAD, [*map(change_line, changes)]),
        ("CPU time by module", SPENT_HEAD, [*map(spent_line, shares)]),
    )
    _show(tables, missing)
    if not (options.only or options.quick or missing):
        write("table of benchmarks", markdown(PAGE_HEAD, page_lines(rows)))
        write("table of spending", markdown(SPENT_HEAD, spent_page_lines(shares)))
    return int(any(change.is_worse for change in changes) and not options.quick)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=[*NAMES, "spending"],
        help="run this scenario; can be repeated; writes no page",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="check that the scenarios work; results mean nothing; writes no page",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="compare with the function of another checkout, round by round in one run;"
        " cold rows need `make package` in both",
    )
    parser.add_argument("--json", type=Path, default=RESULTS, help="file for the results")
    parser.add_argument(
        "--package", type=Path, help="the package that make package built, if elsewhere"
    )
    # For the processes that --against starts.
    parser.add_argument("--checkout", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--in-turns", action="store_true", help=argparse.SUPPRESS)
    return parser


def _run(
    options: argparse.Namespace, wanted: Sequence[str]
) -> tuple[list[Row], list[str], list[Share]]:
    """Run the wanted scenarios; return rows, what did not run, and shares of CPU time."""
    package = options.package or options.checkout / "build" / "package"
    rows: list[Row] = []
    missing: list[str] = []
    with RemoteService() as service:
        wait = wait_for_turn if options.in_turns else lambda: None
        bench = Bench(service, package.resolve(), options.checkout, options.quick, wait)
        wait()
        for name, scenario in zip(NAMES, SCENARIOS, strict=True):
            if name in wanted:
                try:
                    rows += scenario(bench)
                except cold.NotHereError as error:
                    missing.append(f"{name}: {error}")
        shares = spending(bench) if "spending" in wanted else []
    return rows, missing, shares


def _discard_log() -> None:
    """Format and write log lines as in Lambda, to a file that discards them."""
    stream = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lasts
    logging.basicConfig(stream=stream, format="[%(levelname)s] %(message)s")


def _show(tables: Iterable[PrintedTable], missing: Iterable[str]) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    for title, head, lines in tables:
        if lines:
            table = Table(title=title, title_justify="left")
            for name in head:
                table.add_column(name, overflow="fold")
            for cells in lines:
                table.add_row(*(Text(cell.replace("**", "")) for cell in cells))
            console.print(table)
    for reason in missing:
        console.print(f"Not run: {reason}")
    console.print(NOT_MEASURED)


if __name__ == "__main__":
    sys.exit(main())
