"""Runs the rows of the table of faults, and shows what came of them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .aws_delivery import Route, groups, redrive
from .ledger import Why
from .planning import Row
from .world import World, keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .world import Laboratory


@dataclass(slots=True)
class Tally:
    """What came of a run, or of several."""

    events: int = 0
    faults: int = 0
    """Calls that the row broke."""
    invocations: int = 0
    failed: int = 0
    """Invocations of which something was given back."""
    dead_lettered: int = 0
    """Events that Lambda put into the dead-letter queue."""
    parked: int = 0
    lost: int = 0
    disordered: int = 0
    """Dispatches of a FIFO queue's group that went before an earlier one."""
    doubles: Counter[Why] = field(default_factory=Counter)

    def __iadd__(self, other: Tally) -> Tally:  # noqa: PYI034 - it is not to be subclassed
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def to_json(self) -> str:
        """Write it down, for `from_json`."""
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
        """Whether nothing was lost, and every double is explained."""
        return not (self.lost or self.disordered or self.doubles[Why.NOTHING])

    @property
    def twice(self) -> str:
        """What was sent twice, by what explains it."""
        found = [f"{self.doubles[why]:,} {why.value}" for why in Why if self.doubles[why]]
        return " + ".join(found) or "0"


def run(
    laboratory: Laboratory, row: Row, route: Route, events: int, *, is_fresh: bool, seed: int = 1
) -> Tally:
    """Deliver events by a route while calls fail, mend, and redrive what is left.

    Args:
        laboratory: Where to.
        row: What goes wrong.
        route: How they are delivered.
        events: How many.
        is_fresh: Whether each invocation goes to a new instance of the function.
        seed: Another seed breaks other calls.
    """
    world = laboratory.make_world(row, seed, is_fresh=is_fresh)
    names = keys(events)
    route.deliver(world, names, seed)
    disordered = world.ledger.disordered(groups(names)) if route.is_fifo else 0
    world.mend()
    redrive(world, seed)
    account = world.ledger.account(World.errands(names))
    return Tally(
        events=events,
        faults=world.plan.befallen,
        invocations=len(world.ledger.invocations),
        failed=sum(bool(each.failed) for each in world.ledger.invocations),
        dead_lettered=world.dead_lettered,
        parked=account.parked,
        lost=account.lost,
        disordered=disordered,
        doubles=account.doubles,
    )


Results = dict[tuple[Row, Route, bool], Tally]
"""By what went wrong, how events came, and whether instances were fresh."""

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
    """Give the rows of the table of faults, and their sum."""
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
    """Give what came of each route, and the sum."""
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
    """Write a table in Markdown."""
    rule = ["---" if each in ("Call", "Operation", "Fault", "Route") else "--:" for each in head]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))
