"""Runs of rows, and the tables of their results."""

from __future__ import annotations

import gc
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Final

from rich.progress import track

from .ledger import Why
from .planning import ROWS, Row
from .routes import ROUTES, Route, groups, redrive
from .world import Laboratory, effects, keys


@dataclass(slots=True)
class Tally:
    """The result of one run or several."""

    events: int = 0
    faults: int = 0
    """Calls that failed because of the row."""
    invocations: int = 0
    failed: int = 0
    """Invocations with a failed delivery."""
    dead_lettered: int = 0
    """Events that Lambda moved to the dead-letter queue."""
    parked: int = 0
    lost: int = 0
    disordered: int = 0
    """Dispatches of a FIFO group that overtook an earlier one."""
    doubles: Counter[Why] = field(default_factory=Counter)

    def __iadd__(self, other: Tally) -> Tally:  # noqa: PYI034 - it is not to be subclassed
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    @property
    def is_good(self) -> bool:
        """Whether nothing is lost or out of order, and every second copy is explained."""
        return not (self.lost or self.disordered or self.doubles[Why.NOTHING])

    @property
    def twice(self) -> str:
        """What was sent twice, by explanation."""
        found = [f"{self.doubles[why]:,} {why.value}" for why in Why if self.doubles[why]]
        return " + ".join(found) or "0"


def run(
    laboratory: Laboratory, row: Row, route: Route, events: int, *, is_fresh: bool, seed: int = 1
) -> Tally:
    """Deliver events by a route while calls fail, correct the mistake, and redrive.

    If it is fresh, each invocation goes to a new instance of the function.
    """
    world = laboratory.make_world(row, seed, is_fresh=is_fresh)
    names = keys(events)
    route.deliver(world, names, seed)
    disordered = world.ledger.disordered(groups(names)) if route.is_fifo else 0
    world.mend()
    redrive(world, seed)
    account = world.ledger.account(effects(names))
    return Tally(
        events=events,
        faults=world.plan.broken,
        invocations=len(world.ledger.invocations),
        failed=sum(bool(each.failed) for each in world.ledger.invocations),
        dead_lettered=world.dead_lettered,
        parked=account.parked,
        lost=account.lost,
        disordered=disordered,
        doubles=account.doubles,
    )


Cell = tuple[int, int, bool]
"""Index of the row, index of the route, and whether instances are fresh."""


def run_cell(cell: Cell, events: int) -> Tally:
    """Run a row by a route, in one of several processes."""
    row, route, is_fresh = cell
    with Laboratory() as laboratory:
        return run(laboratory, ROWS[row], ROUTES[route], events, is_fresh=is_fresh)


def run_all(cells: Sequence[Cell], events: int, processes: int) -> dict[Cell, Tally]:
    """Run rows by routes on several processors."""
    context = get_context("spawn")
    processors: SimpleQueue[int] = context.SimpleQueue()
    for number in range(processes):
        processors.put(number)
    left = random.Random(1).sample(cells, len(cells))  # an even mix predicts the time left
    with ProcessPoolExecutor(processes, context, bind_to_processor, (processors,)) as pool:
        running = {pool.submit(run_cell, cell, events): cell for cell in left}
        done = track(as_completed(running), "Breaking calls", total=len(left), transient=True)
        tallies = {running[each]: each.result() for each in done}
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


Results = dict[tuple[Row, Route, bool], Tally]
"""Results by faults, route, and whether instances were fresh."""

_TWICE: Final = ("Twice, same instance", "Twice, fresh instances")
_OF_FAULT: Final = ("Call", "Operation", "Fault", "Events", "Faults", "Failed", "Parked", "Lost")
BY_FAULT: Final = (*_OF_FAULT, *_TWICE)
BY_CALL: Final = ("Call", "Events", "Faults", "Lost", *_TWICE)
"""The table of the docs: all faults of a call are one line."""
BY_ROUTE: Final = ("Route", "Events", "Faults", "Dead letters", "Lost", "Out of order", *_TWICE)


_NAMES: Final[dict[str, Callable[[Row, Route], str]]] = {
    "Call": lambda row, _: row.call,
    "Operation": lambda row, _: row.operation,
    "Fault": lambda row, _: row.fault,
    "Route": lambda _, route: route.name,
}
_COUNTS: Final = {"Dead letters": "dead_lettered", "Out of order": "disordered"}
"""The fields of `Tally` that a column is not named after."""


def lines_of(results: Results, head: Sequence[str]) -> list[list[str]]:
    """Return the lines of a table with these columns, and their sum."""
    names = [_NAMES[column] for column in head if column in _NAMES]
    counts = [_COUNTS.get(each, each.lower()) for each in head[len(names) : -len(_TWICE)]]
    sums: dict[tuple[str, ...], dict[bool, Tally]] = {}
    total = {False: Tally(), True: Tally()}
    for (row, route, is_fresh), tally in results.items():
        name = tuple(each(row, route) for each in names)
        of_name = sums.setdefault(name, {False: Tally(), True: Tally()})
        of_name[is_fresh] += tally
        total[is_fresh] += tally
    sums["all", *[""] * (len(names) - 1)] = total

    def line(name: Sequence[str], same: Tally, fresh: Tally) -> list[str]:
        both = [getattr(same, each) + getattr(fresh, each) for each in counts]
        return [*name, *(f"{each:,}" for each in both), same.twice, fresh.twice]

    return [line(name, *tallies.values()) for name, tallies in sums.items()]


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---" if each in _NAMES else "--:" for each in head]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
