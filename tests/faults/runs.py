"""Runs of the suite on several processors."""

import gc
import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Final

from rich.console import Console
from rich.progress import track

from .planning import ROWS
from .routes import ROUTES
from .table import Tally, run
from .world import Laboratory

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
    cells: Sequence[Cell], events: int, processes: int, console: Console
) -> dict[Cell, Tally]:
    """Run rows by routes on several processors."""
    context = get_context("spawn")
    processors: SimpleQueue[int] = context.SimpleQueue()
    for number in range(processes):
        processors.put(number)
    left = random.Random(1).sample(cells, len(cells))  # an even mix predicts the time left
    with ProcessPoolExecutor(processes, context, bind_to_processor, (processors,)) as pool:
        running = {pool.submit(run_cell, cell, events): cell for cell in left}
        done = as_completed(running)
        tallies = {
            running[each]: each.result()
            for each in track(
                done, "Breaking calls", total=len(left), console=console, transient=True
            )
        }
    return {cell: tallies[cell] for cell in cells}


def bind_to_processor(processors: SimpleQueue[int]) -> None:
    """Bind this process to one processor.

    Its threads take turns anyway; on two processors, each turn costs half as much again.
    Rarer garbage collection saves a tenth.
    """
    gc.set_threshold(100_000, 50, 100)
    if hasattr(os, "sched_setaffinity"):  # not on macOS
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[processors.get() % len(allowed)]})
