"""Two sides in turn, and what comes of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .service import RemoteService

_MILLI: Final = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, and what it was to be."""

    what: str
    found: float
    goal: float | None = None
    """The most that it may be; None where it only informs."""
    unit: str = ""
    ours: str = ""
    beside: str = ""
    """What it is a ratio to."""
    note: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Whether the goal is reached, where there is one."""
        return None if self.goal is None else self.found <= self.goal


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call took, in seconds."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Beside:
    """Medians of two sides that ran in turn, and of their ratios in each round."""

    ours: Spent
    theirs: Spent
    cpu: float
    wall: float

    @classmethod
    def of(cls, ours: list[Spent], theirs: list[Spent]) -> Beside:
        """Compare rounds with each other."""
        pairs = list(zip(ours, theirs, strict=True))
        return cls(
            _median(ours),
            _median(theirs),
            statistics.median(mine.cpu / other.cpu for mine, other in pairs),
            statistics.median(mine.wall / other.wall for mine, other in pairs),
        )

    def by_cpu(self, what: str, goal: float | None) -> Row:
        """Make a row of the ratio of CPU time; that of wall time is its note."""
        return Row(
            what,
            self.cpu,
            goal,
            ours=milliseconds(self.ours.cpu),
            beside=milliseconds(self.theirs.cpu),
            note=f"wall {self.wall:.2f}",
        )

    def by_wall(self, what: str, goal: float | None) -> Row:
        """Make a row of the ratio of wall time; that of CPU time is its note."""
        return Row(
            what,
            self.wall,
            goal,
            ours=milliseconds(self.ours.wall),
            beside=milliseconds(self.theirs.wall),
            note=f"CPU {self.cpu:.2f}",
        )


def _median(spent: list[Spent]) -> Spent:
    return Spent(
        statistics.median(each.cpu for each in spent),
        statistics.median(each.wall for each in spent),
    )


def milliseconds(seconds: float) -> str:
    """Show a time."""
    return f"{seconds * _MILLI:.3g} ms"


def in_turn(
    ours: Callable[[], Any], theirs: Callable[[], Any], *, rounds: int, times: int
) -> Beside:
    """Run both in turn: in each round ours, theirs, theirs, ours, so many times each.

    What slows the machine down for longer than a round slows down both.
    """
    spent: tuple[list[Spent], list[Spent]] = [], []
    for _ in range(rounds):
        first, second = _spend(ours, times), _spend(theirs, times)
        third, fourth = _spend(theirs, times), _spend(ours, times)
        spent[0].append(_mean(first, fourth))
        spent[1].append(_mean(second, third))
    return Beside.of(*spent)


def _spend(call: Callable[[], Any], times: int) -> Spent:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        call()
    return Spent((time.process_time() - cpu) / times, (time.perf_counter() - wall) / times)


def _mean(one: Spent, other: Spent) -> Spent:
    return Spent((one.cpu + other.cpu) / 2, (one.wall + other.wall) / 2)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a scenario runs with."""

    service: RemoteService
    package: Path
    """The function's package, as `make package` builds it."""
    is_quick: bool = False
    """Whether to see that it works, rather than how fast it is."""

    def rounds(self, many: int) -> int:
        """Give the number of rounds."""
        return 2 if self.is_quick else many

    def some(self, many: int) -> int:
        """Give how often something is done, or how much of it there is."""
        return max(10, many // 50) if self.is_quick else many


Scenario = Callable[[Bench], "Iterator[Row]"]
