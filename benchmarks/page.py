"""The tables that docs/performance.md holds between marks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .service import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .measuring import Row
    from .spending import Share

PAGE: Final = ROOT / "docs" / "performance.md"
HEAD: Final = ("What", "Found", "Goal", "Reached", "Ours", "Beside", "Also")
SPENT_HEAD: Final = ("Module", "What it does", "One event by S3", "Each of ten by SQS")
_NUMBERS: Final = {"Found", "Goal", "Ours", "Beside", *SPENT_HEAD[2:]}


def line(row: Row) -> list[str]:
    """Give a row's cells."""
    reached = {None: "", True: "yes", False: "**no**"}[row.is_reached]
    goal = "" if row.goal is None else f"{row.goal:,g}"
    return [row.what, _figure(row), goal, reached, row.ours, row.beside, row.note]


def _figure(row: Row) -> str:
    if row.unit == "calls":
        return f"{row.found:,.0f} calls"
    return f"{row.found:.3g} {row.unit}".rstrip()


def spent_line(share: Share) -> list[str]:
    """Give the cells of a module's share."""
    return [f"`{share.module}.py`", share.step, f"{share.one:.0%}", f"{share.ten:.0%}"]


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Make a table."""
    rule = ["--:" if name in _NUMBERS else "---" for name in head]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))


def keep(name: str, table: str, page: Path = PAGE) -> None:
    """Keep a table in the page, between its marks.

    Raises:
        ValueError: The page has no such place, or several.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = marked.subn(lambda _: f"{begin}\n{table}\n{end}", page.read_text())
    if count != 1:
        raise ValueError(f"{page.name} has {count} places for {name}")
    page.write_text(text)
