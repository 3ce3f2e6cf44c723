"""Sends the plan of a replay: batch by batch, at a rate, from some threads.

Only the main thread writes the state. It marks a batch as being sent before it passes it to a
thread, and records the outcome afterwards. See `state`.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .state import Settled, Status
from .ways import HandoverError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lava_s3trigger.cli.output.progress import Progress

    from .state import PlannedObject, ReplayState
    from .ways import Way

MAX_TRIES: Final = 8
"""Attempts of a call while the service is too busy."""
_FIRST_WAIT_SECONDS: Final = 0.25
_MAX_WAIT_SECONDS: Final = 20.0
_TICK_SECONDS: Final = 0.1
_SECONDS_OF_A_BATCH: Final = 1.0
"""With a rate, a batch has at most the objects that the rate allows in this time."""


@dataclass(slots=True)
class _Result:
    """The result of a batch."""

    settled: list[Settled] = field(default_factory=list)
    stop: str | None = None
    """Why all further batches would fail too."""
    defect: Exception | None = None


class Replayer:
    """Sends the objects of the plan.

    Args:
        state: The state of the replay.
        way: The way to hand objects over.
        rate: The most objects per second; None for no limit.
        concurrency: The most concurrent calls.
        is_to_end: Returns whether to begin no further batch.
        progress: Counts the settled objects.
        clock: Returns the time in seconds.
    """

    def __init__(  # noqa: PLR0913 - each is an option of the command
        self,
        state: ReplayState,
        way: Way,
        *,
        rate: float | None,
        concurrency: int,
        is_to_end: Callable[[], bool],
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._way = way
        self._rate = rate
        self._concurrency = concurrency
        self._is_to_end = is_to_end
        self._progress = progress
        self._clock = clock
        self._last = 0
        self._ready_at = clock()
        self._stopping = threading.Event()
        self._tasks: queue.SimpleQueue[list[PlannedObject] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self.stopped: str | None = None
        """Why it stopped before the end without being asked to."""

    def run(self) -> None:
        """Send all objects, until it is asked to end or must stop."""
        # Daemons, so that a second signal ends the command while they wait for answers.
        for _ in range(self._concurrency):
            threading.Thread(target=self._work, daemon=True).start()
        under_way = 0
        try:
            while True:
                if self._is_to_end():
                    self._stopping.set()
                while under_way < self._concurrency and self._begin():
                    under_way += 1
                if not under_way and self._is_over():
                    return
                under_way -= self._settle()
        finally:
            for _ in range(self._concurrency):
                self._tasks.put(None)

    def _is_over(self) -> bool:
        return self._stopping.is_set() or not self._state.next(self._last, 1)

    def _begin(self) -> bool:
        """Begin the next batch if there is one and it is time; return whether it began."""
        if self._stopping.is_set() or self._clock() < self._ready_at:
            return False
        number = self._way.max_records
        if self._rate is not None:
            number = max(1, min(number, int(self._rate * _SECONDS_OF_A_BATCH)))
        objects = self._state.next(self._last, number)
        objects = objects[: self._way.fitting(objects)]
        if not objects:
            return False
        if self._rate is not None:
            self._ready_at = max(self._ready_at, self._clock()) + len(objects) / self._rate
        self._last = objects[-1].id
        self._state.settle(Settled(planned.id, Status.BEING_SENT) for planned in objects)
        self._tasks.put(objects)
        return True

    def _settle(self) -> int:
        """Wait for a moment; return how many batches were settled: 0 or 1."""
        try:
            result = self._results.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            self._progress.advance()
            return 0
        self._state.settle(result.settled)
        self._progress.advance(
            sum(1 for settled in result.settled if settled.status is not Status.TO_SEND)
        )
        if result.stop and not self.stopped:
            self.stopped = result.stop
            self._stopping.set()
        if result.defect:
            raise result.defect
        return 1

    def _work(self) -> None:
        while objects := self._tasks.get():
            self._results.put(self._handed_over(objects))

    def _handed_over(self, objects: list[PlannedObject]) -> _Result:
        result = _Result()
        pending = [objects]
        tries = 0
        while pending:
            piece = pending.pop()
            tries += 1
            try:
                outcomes = self._way.send(piece)
            except HandoverError as error:
                self._judge(error, piece, pending, tries, result)
                continue
            except Exception as defect:  # noqa: BLE001 - raised again in the main thread
                result.defect = defect
                result.settled += _all(piece, Status.UNKNOWN, f"a defect: {defect!r}")
                break
            busy = [outcome for outcome in outcomes if outcome.status is Status.TO_SEND]
            result.settled += [
                outcome for outcome in outcomes if outcome.status is not Status.TO_SEND
            ]
            if not busy:
                tries = 0
            elif self._may_try_again(tries):
                ids = {outcome.id for outcome in busy}
                pending.append([planned for planned in piece if planned.id in ids])
            elif self._stopping.is_set():
                result.settled += busy
            else:
                result.settled += [outcome._replace(status=Status.FAILED) for outcome in busy]
        for piece in pending:  # after a bug
            result.settled += _all(piece, Status.TO_SEND)
        return result

    def _judge(
        self,
        error: HandoverError,
        piece: list[PlannedObject],
        pending: list[list[PlannedObject]],
        tries: int,
        result: _Result,
    ) -> None:
        """Record what a failed call means for its objects, or send them again."""
        reason = str(error)
        match error.problem:
            case Problem.LOST:
                result.settled += _all(piece, Status.UNKNOWN, reason)
            case Problem.CONTENT if len(piece) > 1:
                middle = len(piece) // 2
                pending += [piece[middle:], piece[:middle]]
            case Problem.CONTENT:
                result.settled += _all(piece, Status.FAILED, reason)
            case Problem.BUSY if self._may_try_again(tries):
                pending.append(piece)
            case _:
                result.settled += _all(piece, Status.TO_SEND)
                for waiting in pending:
                    result.settled += _all(waiting, Status.TO_SEND)
                pending.clear()
                if not self._stopping.is_set():
                    result.stop = reason

    def _may_try_again(self, tries: int) -> bool:
        """Wait before the next attempt; return whether there is one."""
        if tries >= MAX_TRIES:
            return False
        seconds = min(_MAX_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0**tries)
        return not self._stopping.wait(seconds * random.uniform(0.5, 1))  # noqa: S311 - no secret


def _all(
    objects: Sequence[PlannedObject], status: Status, reason: str | None = None
) -> list[Settled]:
    return [Settled(planned.id, status, reason) for planned in objects]
