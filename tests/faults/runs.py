"""Runs of the suite on several processors, each saved as it ends."""

from __future__ import annotations

import gc
import os
import random
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

from rich.progress import track

from .planning import ROWS
from .routes import ROUTES
from .table import Tally, run
from .world import Laboratory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.queues import SimpleQueue
    from pathlib import Path

    from rich.console import Console

    from .table import Results

Cell = tuple[int, int, bool]
"""Index of the row, index of the route, and whether instances are fresh."""


ALL_CELLS: Final = [
    (row, route, is_fresh)
    for row in range(len(ROWS))
    for route in range(len(ROUTES))
    for is_fresh in (False, True)
]


def run_cell(cell: Cell, events: int) -> Tally:
    """Run a row by a route, in one of several processes."""
    row, route, is_fresh = cell
    with Laboratory() as laboratory:
        return run(laboratory, ROWS[row], ROUTES[route], events, is_fresh=is_fresh)


def name_of(cell: Cell) -> str:
    """Return the name of a run, for people."""
    row, route, is_fresh = cell
    return f"{ROWS[row].id} by {ROUTES[route].name}, {'fresh' if is_fresh else 'same'}"


def run_all(
    cells: Sequence[Cell], events: int, processes: int, console: Console, saved: SavedTallies
) -> Results:
    """Run rows by routes on several processors, except those already saved."""
    context = get_context("spawn")
    processors: SimpleQueue[int] = context.SimpleQueue()
    for number in range(processes):
        processors.put(number)
    left = [cell for cell in cells if cell not in saved.tallies]
    random.Random(1).shuffle(left)  # some take long: an even mix predicts the time left
    with ProcessPoolExecutor(processes, context, bind_to_processor, (processors,)) as pool:
        running = {pool.submit(run_cell, cell, events): cell for cell in left}
        for done in track(
            as_completed(running),
            "Breaking calls",
            total=len(left),
            console=console,
            transient=True,
        ):
            saved.add(running[done], done.result())
    return {
        (ROWS[row], ROUTES[route], is_fresh): saved.tallies[row, route, is_fresh]
        for row, route, is_fresh in cells
    }


def bind_to_processor(processors: SimpleQueue[int]) -> None:
    """Bind this process to one processor.

    Its threads take turns anyway; on two processors, each turn costs half as much again.
    Rarer garbage collection saves a tenth.
    """
    gc.set_threshold(100_000, 50, 100)
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[processors.get() % len(allowed)]})


class SavedTallies:
    """Results of runs, saved in a file so that an interrupted suite can resume.

    Args:
        file: The file.
        events: Number of events by each route.
        resume: Whether to use the results in the file.
    """

    def __init__(self, file: Path, events: int, *, resume: bool) -> None:
        self.tallies: dict[Cell, Tally] = {}
        self._file = file
        file.parent.mkdir(exist_ok=True)
        if resume and file.exists():
            cells = {name_of(cell): cell for cell in ALL_CELLS}
            for line in file.read_text().splitlines():
                name, _, tally = line.partition("\t")
                read = Tally.from_json(tally)
                if name in cells and read.events == events:
                    self.tallies[cells[name]] = read
        else:
            file.write_text("")

    def add(self, cell: Cell, tally: Tally) -> None:
        """Save the result of a run."""
        self.tallies[cell] = tally
        with self._file.open("a") as file:
            file.write(f"{name_of(cell)}\t{tally.to_json()}\n")
