"""What can go wrong, by what a caller does about it."""

from __future__ import annotations

from typing import Final

_MOST: Final = 4096


class S3TriggerError(Exception):
    """Root of all errors that this package raises on purpose."""


class SettingsError(S3TriggerError):
    """A configuration variable cannot be used: the function does not start."""

    def __init__(self, name: str, value: str | None, expected: str) -> None:
        found = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{name} {found}: it must be {expected}")
        self.name = name
        self.value = value
        self.expected = expected


class PayloadError(S3TriggerError):
    """What arrived cannot be understood: its delivery has failed."""


class UserError(S3TriggerError):
    """A user's mistake, which trying again does not mend: its event is parked.

    Attributes:
        trigger_id: The trigger that cannot run, where that is known.
    """

    def __init__(self, message: str, *, trigger_id: str | None = None) -> None:
        super().__init__(message)
        self.trigger_id = trigger_id


class ServiceError(S3TriggerError):
    """An AWS call failed after its retries: the delivery comes again."""


class OutOfTimeError(S3TriggerError):
    """Too little of the invocation's time is left to start this."""


class UnexpectedError(S3TriggerError):
    """Something happened that this package did not expect: the delivery comes again."""

    @classmethod
    def of(cls, error: Exception) -> UnexpectedError:
        """Name an error, and where it came from."""
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        said = " ".join(f"{type(error).__name__}: {error}".split())
        if not place:
            return cls(said)
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2]
        return cls(f"{said} ({file}, line {place.tb_lineno})")


class DeliveriesFailedError(S3TriggerError):
    """Raised to Lambda, so that it delivers again what has failed.

    Attributes:
        count: Number of things that failed; each is in the log.
    """

    def __init__(self, count: int, first: str) -> None:
        what = "1 failure" if count == 1 else f"{count} failures, the first"
        # Lambda logs it: on one line, in ASCII, whatever names are in it.
        said = first[:_MOST]
        reason = "".join(each if " " <= each <= "~" else ascii(each)[1:-1] for each in said)
        super().__init__(f"{what}: {reason}")
        self.count = count
