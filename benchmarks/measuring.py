"""Comparison of two callables that run in turn, and the rows that come of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .service import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .service import RemoteService

_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One result, and its goal."""

    name: str
    result: float
    goal: float | None = None
    """Upper bound of the result; None where the row has no goal."""
    unit: str = ""
    """Unit of the result; empty for a ratio."""
    ours: str = ""
    """What the function took, as text."""
    baseline: str = ""
    """What the other side took, as text."""
    note: str = ""
    rounds: tuple[float, ...] = ()
    """What the function took in each round, in seconds or bytes."""

    @property
    def meets_goal(self) -> bool | None:
        """Whether the result is within the goal; None where there is no goal."""
        return None if self.goal is None else self.result <= self.goal


@dataclass(frozen=True, slots=True)
class Cost:
    """Time that one call takes, in seconds."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Costs of two sides that ran in turn, and the medians of their ratios by round."""

    ours: Cost
    baseline: Cost
    cpu: float
    wall: float
    rounds: tuple[Cost, ...]
    """Costs of our side, by round."""

    @classmethod
    def of(cls, ours: list[Cost], baseline: list[Cost]) -> Comparison:
        """Compare the rounds of two sides, pair by pair."""
        pairs = list(zip(ours, baseline, strict=True))
        return cls(
            _median(ours),
            _median(baseline),
            statistics.median(mine.cpu / other.cpu for mine, other in pairs),
            statistics.median(mine.wall / other.wall for mine, other in pairs),
            tuple(ours),
        )

    def by_cpu(self, name: str, goal: float | None) -> Row:
        """Return a row with the ratio of CPU time; its note holds that of wall time."""
        return Row(
            name,
            self.cpu,
            goal,
            ours=milliseconds(self.ours.cpu),
            baseline=milliseconds(self.baseline.cpu),
            note=f"wall {self.wall:.2f}",
            rounds=tuple(cost.cpu for cost in self.rounds),
        )

    def by_wall(self, name: str, goal: float | None) -> Row:
        """Return a row with the ratio of wall time; its note holds that of CPU time."""
        return Row(
            name,
            self.wall,
            goal,
            ours=milliseconds(self.ours.wall),
            baseline=milliseconds(self.baseline.wall),
            note=f"CPU {self.cpu:.2f}",
            rounds=tuple(cost.wall for cost in self.rounds),
        )


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
    )


def milliseconds(seconds: float) -> str:
    """Format a time."""
    return f"{seconds * _MILLISECONDS:.3g} ms"


def _cost(call: Callable[[], Any], times: int) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        call()
    return Cost((time.process_time() - cpu) / times, (time.perf_counter() - wall) / times)


def _mean(one: Cost, other: Cost) -> Cost:
    return Cost((one.cpu + other.cpu) / 2, (one.wall + other.wall) / 2)


@dataclass(frozen=True, slots=True)
class Bench:
    """The surroundings of a scenario."""

    service: RemoteService
    package: Path
    """The function's package, as `make package` builds it."""
    checkout: Path = ROOT
    """The checkout whose function is measured."""
    is_quick: bool = False
    """Whether to check that scenarios work, with too few rounds for a result."""
    wait_for_turn: Callable[[], None] = lambda: None
    """Called before each round; returns when no other process measures."""

    def rounds(self, count: int) -> int:
        """Return the number of rounds: the count, or two for a quick run."""
        return 2 if self.is_quick else count

    def scaled(self, count: int) -> int:
        """Return a number of calls or items: the count, or a fiftieth for a quick run."""
        return max(10, count // 50) if self.is_quick else count

    def compare(
        self, ours: Callable[[], Any], baseline: Callable[[], Any], *, rounds: int, times: int
    ) -> Comparison:
        """Run two callables in turn: in each round ours, baseline, baseline, ours.

        A disturbance of the machine that lasts longer than a round affects both sides.

        Args:
            ours: The side to measure.
            baseline: The side to compare it with.
            rounds: Number of rounds.
            times: Calls of a side in a row.
        """
        costs: tuple[list[Cost], list[Cost]] = [], []
        for _ in range(rounds):
            self.wait_for_turn()
            first, second = _cost(ours, times), _cost(baseline, times)
            third, fourth = _cost(baseline, times), _cost(ours, times)
            costs[0].append(_mean(first, fourth))
            costs[1].append(_mean(second, third))
        return Comparison.of(*costs)


Scenario = Callable[[Bench], "Iterator[Row]"]
