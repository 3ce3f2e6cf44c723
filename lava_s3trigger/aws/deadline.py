"""The time that is left of an invocation, and the time that each step needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.errors import OutOfTimeError
from lava_s3trigger.templates.confinement import MAX_RUN_SECONDS

from .clients import MAX_CALL_SECONDS, MAX_READ_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable


MARGIN_SECONDS: Final = 1.0
"""Kept for steps that do not call AWS: to record outcomes, and to return."""


class Reserve:
    """Seconds that must be left when a step starts.

    Each is the longest time of the step itself and of the steps that must follow it: after
    reading comes deciding, then sending, then parking what no queue accepted.
    """

    PARK: Final = MAX_CALL_SECONDS
    SEND: Final = MAX_CALL_SECONDS + PARK
    """To look up a queue too."""
    DECIDE: Final = MAX_RUN_SECONDS + SEND
    """To test and render one trigger."""
    READ: Final = MAX_READ_SECONDS + SEND
    """To read triggers or a job."""
    CLAIM: Final = MAX_READ_SECONDS + READ
    """To claim an event in the table of recent events."""
    SETTLE: Final = MAX_READ_SECONDS
    """To write the outcome of an event to that table, the last step."""


class _Window:
    """The time in which steps may start.

    Args:
        total: Seconds of the invocation.
        kept: Seconds of it that are kept for what follows the window.
    """

    __slots__ = ("_kept", "_max_wait")

    def __init__(self, total: float, kept: float) -> None:
        margin = min(MARGIN_SECONDS, (total - kept) / 10)
        self._kept = kept + margin
        # With a short function timeout, half of it may be used to start steps.
        self._max_wait = (total - self._kept) / 2

    def allows(self, seconds: float, left: float) -> bool:
        return left - self._kept >= min(seconds, self._max_wait)


class Deadline:
    """Decides whether there is time to start a step.

    The function's timeout must never end an invocation: it also ends the instance, and with it
    the memory of what was sent.

    Args:
        remaining: Returns the seconds that are left; None if there is no limit.
        settle: Seconds to keep for `allows_settling`, but no more than half of all.
    """

    def __init__(self, remaining: Callable[[], float] | None = None, settle: float = 0.0) -> None:
        self._remaining = remaining
        total = remaining() if remaining else 0.0
        self._settling = _Window(total, 0.0)
        self._working = _Window(total, min(settle, total / 2))

    @classmethod
    def of(cls, context: Any, settle: float = 0.0) -> Deadline:
        """Return the deadline of a Lambda context; outside of Lambda it has no limit."""
        milliseconds = getattr(context, "get_remaining_time_in_millis", None)
        return cls((lambda: milliseconds() / 1000) if milliseconds else None, settle)

    def left(self) -> float | None:
        """Return the seconds that are left; None if there is no limit."""
        return self._remaining() if self._remaining else None

    def allows(self, seconds: float) -> bool:
        """Return whether to start a step that needs so many seconds, a row of `Reserve`."""
        return self._remaining is None or self._working.allows(seconds, self._remaining())

    def allows_settling(self) -> bool:
        """Return whether there is time to settle a claim."""
        return self._remaining is None or self._settling.allows(Reserve.SETTLE, self._remaining())

    def require(self, seconds: float, what: str) -> None:
        """Check that there is time to start a step that needs so many seconds.

        Raises:
            OutOfTimeError: Too little time is left.
        """
        if not self.allows(seconds):
            raise OutOfTimeError(f"too little time left for {what}")


UNLIMITED: Final = Deadline()
