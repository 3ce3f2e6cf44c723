"""Runs of rows, and the tables of their results."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .ledger import Why
from .planning import Row
from .routes import Route, groups, redrive
from .world import World, keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .world import Laboratory


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

    def to_json(self) -> str:
        """Return the tally as JSON, for `from_json`."""
        counts = {name: getattr(self, name) for name in self.__slots__}
        doubles = {why.name: count for why, count in self.doubles.items()}
        return json.dumps(counts | {"doubles": doubles})

    @classmethod
    def from_json(cls, text: str) -> Tally:
        """Read what `to_json` wrote."""
        counts = json.loads(text)
        doubles = Counter({Why[name]: count for name, count in counts.pop("doubles").items()})
        return cls(**counts, doubles=doubles)

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

    Args:
        laboratory: The endpoint and the clients.
        row: The faults.
        route: The route of the events.
        events: Number of events.
        is_fresh: Whether each invocation goes to a new instance of the function.
        seed: Selects the calls that fail.
    """
    world = laboratory.make_world(row, seed, is_fresh=is_fresh)
    names = keys(events)
    route.deliver(world, names, seed)
    disordered = world.ledger.disordered(groups(names)) if route.is_fifo else 0
    world.mend()
    redrive(world, seed)
    account = world.ledger.account(World.effects(names))
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


Results = dict[tuple[Row, Route, bool], Tally]
"""Results by faults, route, and whether instances were fresh."""

BY_FAULT: Final = (
    "Call",
    "Operation",
    "Fault",
    "Events",
    "Faults",
    "Failed",
    "Parked",
    "Lost",
    "Twice, same instance",
    "Twice, fresh instances",
)
BY_ROUTE: Final = (
    "Route",
    "Events",
    "Faults",
    "Invocations",
    "Failed",
    "Dead letters",
    "Lost",
    "Out of order",
    "Twice, same instance",
    "Twice, fresh instances",
)


def by_fault(results: Mapping[tuple[Row, Route, bool], Tally]) -> list[list[str]]:
    """Return the lines of the table of faults, and their sum."""
    rows: dict[Row, dict[bool, Tally]] = {}
    for (row, _, is_fresh), tally in results.items():
        of_row = rows.setdefault(row, {False: Tally(), True: Tally()})
        of_row[is_fresh] += tally
    lines = [[row.call, row.operation, row.fault, *_counts(sums)] for row, sums in rows.items()]
    return [*lines, ["all", "", "", *_counts(_sum(rows.values()))]]


def _counts(sums: Mapping[bool, Tally]) -> list[str]:
    total = _total(sums)
    counts = (total.events, total.faults, total.failed, total.parked, total.lost)
    return [*(f"{each:,}" for each in counts), sums[False].twice, sums[True].twice]


def by_route(results: Mapping[tuple[Row, Route, bool], Tally]) -> list[list[str]]:
    """Return the lines of the table of routes, and their sum."""
    routes: dict[str, dict[bool, Tally]] = {}
    for (_, route, is_fresh), tally in results.items():
        of_route = routes.setdefault(route.name, {False: Tally(), True: Tally()})
        of_route[is_fresh] += tally
    lines = [[name, *_course(sums)] for name, sums in routes.items()]
    return [*lines, ["all", *_course(_sum(routes.values()))]]


def _course(sums: Mapping[bool, Tally]) -> list[str]:
    total = _total(sums)
    counts = (
        total.events,
        total.faults,
        total.invocations,
        total.failed,
        total.dead_lettered,
        total.lost,
        total.disordered,
    )
    return [*(f"{each:,}" for each in counts), sums[False].twice, sums[True].twice]


def _total(sums: Mapping[bool, Tally]) -> Tally:
    total = Tally()
    for each in sums.values():
        total += each
    return total


def _sum(each: Iterable[Mapping[bool, Tally]]) -> dict[bool, Tally]:
    found = {False: Tally(), True: Tally()}
    for sums in each:
        for is_fresh, tally in sums.items():
            found[is_fresh] += tally
    return found


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---" if each in ("Call", "Operation", "Fault", "Route") else "--:" for each in head]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
