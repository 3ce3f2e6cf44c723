"""The same rows for two checkouts, in two processes that take turns, round by round.

Each process runs the scenarios of this checkout with the function of its own checkout.
Before each round it writes a line and waits for one, so only one process runs at a
time, and the rounds of the two alternate.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .checkouts import command
from .measuring import Row
from .service import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

IDLE: Final = "idle\n"
TOLERANCE: Final = 1.03
"""The ratio above which a row counts as worse."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row before and after."""

    before: Row
    after: Row

    @property
    def ratio(self) -> float | None:
        """After divided by before; None where nothing can be divided by."""
        if self.before.rounds and len(self.before.rounds) == len(self.after.rounds):
            pairs = zip(self.after.rounds, self.before.rounds, strict=True)
            return statistics.median(after / before for after, before in pairs)
        if self.after.result == self.before.result:
            return 1.0
        return self.after.result / self.before.result if self.before.result else None

    @property
    def is_worse(self) -> bool:
        """Whether the row is more than three per cent worse."""
        return self.ratio is None or self.ratio > TOLERANCE


class SideError(Exception):
    """The process of a checkout failed; the message holds its last lines."""


def compare(other: Path, arguments: Sequence[str]) -> tuple[list[Change], list[Row], list[str]]:
    """Run scenarios for another checkout and for this one.

    Args:
        other: The checkout from before. Cold rows need its built package.
        arguments: Command line of the scenarios, such as ``--quick``.

    Returns:
        The changes, all rows of this checkout, and the scenarios that did not run.

    Raises:
        SideError: A process failed.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        before, after = sides = [
            stack.enter_context(_Side(checkout, Path(folder, name), arguments))
            for name, checkout in (("before", other), ("after", ROOT))
        ]
        round_number = 0
        while any(side.is_running for side in sides):
            for side in sides if round_number % 2 else reversed(sides):
                side.take_turn()
            round_number += 1
        old, new = before.results(), after.results()
    old_rows = {row.name: row for row in map(_row, old["rows"])}
    new_rows = {row.name: row for row in map(_row, new["rows"])}
    changes = [Change(old_rows[name], new_rows[name]) for name in new_rows if name in old_rows]
    missing = [
        *(f"before: {reason}" for reason in old["not_run"]),
        *(f"after: {reason}" for reason in new["not_run"]),
    ]
    return changes, [*new_rows.values()], missing


def _row(fields: dict[str, Any]) -> Row:
    fields.pop("meets_goal")
    return Row(**fields | {"rounds": tuple(fields["rounds"])})


class _Side(contextlib.AbstractContextManager["_Side"]):
    """The process of one checkout.

    Args:
        checkout: The checkout whose function is measured.
        file: Where its results go.
        arguments: Command line of the scenarios.
    """

    def __init__(self, checkout: Path, file: Path, arguments: Sequence[str]) -> None:
        self._file = file
        self._log = file.with_suffix(".log")
        options = ["--in-turns", "--checkout", str(checkout), "--json", str(file), *arguments]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command(checkout, "benchmarks", *options),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        self.is_running = True
        self._wait_until_idle()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def take_turn(self) -> None:
        """Let the process run until it waits for its next turn, or ends."""
        if self.is_running and self._process.stdin:
            self._process.stdin.write("turn\n")
            self._wait_until_idle()

    def _wait_until_idle(self) -> None:
        for text in self._process.stdout or ():
            if text == IDLE:
                return
        self.is_running = False
        if self._process.wait():
            raise SideError(self._log.read_text()[-2000:])

    def results(self) -> dict[str, Any]:
        """Return what the process wrote."""
        results: dict[str, Any] = json.loads(self._file.read_text())
        return results


def wait_for_turn() -> None:
    """Report to the comparing process that this one is idle, and wait until it may run."""
    print(IDLE, end="", flush=True)
    if not sys.stdin.readline():
        sys.exit("the process that compares has ended")
