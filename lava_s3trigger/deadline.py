"""How much of an invocation's time is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .errors import OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Callable


class Deadline:
    """Tells whether there is time to start something.

    A function timeout must never be the way out: it ends the instance, and with it
    the memory of what was sent.

    Args:
        remaining: Gives the seconds that are left; None where nothing limits them.
    """

    def __init__(self, remaining: Callable[[], float] | None = None) -> None:
        self._remaining = remaining
        # With a short function timeout, half of it may be used to start things.
        self._longest_wait = remaining() / 2 if remaining else 0.0

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
        return self._remaining is None or self._remaining() >= min(seconds, self._longest_wait)

    def require(self, seconds: float, what: str) -> None:
        """Check that something may be started that takes up to so long.

        Raises:
            OutOfTimeError: Too little time is left.
        """
        if not self.allows(seconds):
            raise OutOfTimeError(f"too little time was left for {what}")


UNLIMITED: Final = Deadline()
