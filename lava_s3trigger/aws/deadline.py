"""How much of an invocation's time is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.errors import OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Callable


MARGIN: Final = 1.0
"""Seconds to leave for what is no call of AWS: to note what became of things, and to answer."""


class Deadline:
    """Tells whether there is time to start something.

    A function timeout must never be the way out: it ends the instance, and with it
    the memory of what was sent.

    Args:
        remaining: Gives the seconds that are left; None where nothing limits them.
        total: Seconds that there are in all; None where these are left now.
    """

    def __init__(
        self, remaining: Callable[[], float] | None = None, total: float | None = None
    ) -> None:
        self._remaining = remaining
        self._total = (remaining() if remaining else 0.0) if total is None else total
        self._margin = min(MARGIN, self._total / 10)
        # With a short function timeout, half of it may be used to start things.
        self._longest_wait = (self._total - self._margin) / 2

    @classmethod
    def of(cls, context: Any) -> Deadline:
        """Give the deadline of a Lambda context; there is none outside of Lambda."""
        milliseconds = getattr(context, "get_remaining_time_in_millis", None)
        return cls((lambda: milliseconds() / 1000) if milliseconds else None)

    def left(self) -> float | None:
        """Give the seconds that are left; None where nothing limits them."""
        return self._remaining() if self._remaining else None

    def allows(self, seconds: float) -> bool:
        """Tell whether something may be started that takes up to so long."""
        if self._remaining is None:
            return True
        return self._remaining() - self._margin >= min(seconds, self._longest_wait)

    def before(self, seconds: float) -> Deadline:
        """Give the deadline that leaves so many seconds, or half of all, for what comes after."""
        remaining, less = self._remaining, min(seconds, self._total / 2)
        if not remaining or not less:
            return self
        return Deadline(lambda: remaining() - less, self._total - less)

    def require(self, seconds: float, what: str) -> None:
        """Check that something may be started that takes up to so long.

        Raises:
            OutOfTimeError: Too little time is left.
        """
        if not self.allows(seconds):
            raise OutOfTimeError(f"too little time was left for {what}")


UNLIMITED: Final = Deadline()
