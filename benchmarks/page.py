"""The tables that docs/performance.md holds between markers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .service import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .comparing import Change
    from .measuring import Row
    from .spending import Share

PAGE: Final = ROOT / "docs" / "performance.md"
HEAD: Final = ("Measurement", "Result", "Goal", "Met", "Ours", "Baseline", "Note")
PAGE_HEAD: Final = HEAD[:4]
SPENT_HEAD: Final = ("Module", "What it does", "One event by S3", "Each of ten by SQS")
CHANGE_HEAD: Final = ("Measurement", "Before", "After", "After / before", "Within 3 %")
MIN_SHARE: Final = 0.04
"""Smallest share of the CPU time of an event that the page shows."""
_NUMBERS: Final = {"Result", "Goal", "Ours", "Baseline", *SPENT_HEAD[2:], *CHANGE_HEAD[1:4]}


def line(row: Row) -> list[str]:
    """Return the cells of a row."""
    met = {None: "", True: "yes", False: "**no**"}[row.meets_goal]
    goal = "" if row.goal is None else f"{row.goal:,g}"
    return [row.name, _result(row), goal, met, row.ours, row.baseline, row.note]


def page_lines(rows: Iterable[Row]) -> list[list[str]]:
    """Return the cells of the rows of the page: those that have a goal."""
    return [line(row)[: len(PAGE_HEAD)] for row in rows if row.goal is not None]


def change_line(change: Change) -> list[str]:
    """Return the cells of a row before and after."""
    ratio = "" if change.ratio is None else f"{change.ratio:.3f}"
    sides = [row.ours or _result(row) for row in (change.before, change.after)]
    return [change.after.name, *sides, ratio, "**no**" if change.is_worse else "yes"]


def _result(row: Row) -> str:
    if row.unit in ("calls", "dispatches"):
        return f"{row.result:,.0f} {row.unit}"
    return f"{row.result:.3g} {row.unit}".rstrip()


def spent_line(share: Share) -> list[str]:
    """Return the cells of a module's share."""
    return [f"`{share.module}.py`", share.step, f"{share.one:.0%}", f"{share.ten:.0%}"]


def spent_page_lines(shares: Iterable[Share]) -> list[list[str]]:
    """Return the cells of the modules of the page: those with some time of an event."""
    return [spent_line(share) for share in shares if max(share.one, share.ten) >= MIN_SHARE]


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["--:" if name in _NUMBERS else "---" for name in head]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))


def write(name: str, table: str, page: Path = PAGE) -> None:
    """Write a table into the page, between its markers.

    Raises:
        ValueError: The page does not have the markers exactly once.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = marked.subn(lambda _: f"{begin}\n{table}\n{end}", page.read_text())
    if count != 1:
        raise ValueError(f"{page.name} has {count} places for {name}")
    page.write_text(text)
