"""The errors of this package: a class for each reaction of a caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REASON_CHARACTERS: Final = 4096

MAX_ENTRY_ERRORS: Final = 100
"""Errors of one entry that are reported."""

Code = Literal[
    "missing_field",
    "unknown_field",
    "unknown_condition",
    "binary_value",
    "not_a_boolean",
    "not_a_map",
    "not_a_job_id",
    "not_a_duration",
    "not_a_size",
    "not_a_pattern",
    "not_a_worker",
    "delay_out_of_range",
    "reserved_global",
    "bad_argument",
    "reading_aborted",
    "bad_template",
]
"""Codes of errors in fields of entries. See docs/design.md#errors-of-entries."""


@dataclass(frozen=True, slots=True)
class EntryError:
    """An error of an entry of the s3triggers or jobs table."""

    code: Code
    field: str
    """The field of the entry, without what is inside it."""
    message: str
    """What is wrong, with the name of the field."""
    value: Any = None
    """The value of the field, or the wrong name inside it; None where there is none."""


class S3TriggerError(Exception):
    """Root of all errors that this package raises on purpose."""


class SettingsError(S3TriggerError):
    """A configuration variable cannot be used: the function does not start."""

    def __init__(self, name: str, value: str | None, expected: str) -> None:
        state = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{name} {state}: it must be {expected}")
        self.name = name
        self.value = value


class PayloadError(S3TriggerError):
    """A payload cannot be understood: its delivery fails.

    Attributes:
        event: What has happened, as the log names it.
        kind: What sort of failure it is, as the log names it.
        fields: Further fields of its line in the log.
    """

    event = "not_understood"
    kind = "not_understood"
    fields: Mapping[str, str] = {}


class ObjectError(S3TriggerError):
    """A task of S3 Batch Operations names an object that cannot be read, not even later.

    Attributes:
        event: What has happened, as the log names it.
        kind: What sort of failure it is, as the log names it.
        fields: Further fields of its line in the log: the object.
    """

    event = "failed"

    def __init__(self, message: str, kind: str = "object_unreadable") -> None:
        super().__init__(message)
        self.kind = kind
        self.fields: Mapping[str, str] = {}


class UserError(S3TriggerError):
    """An error of the user, which a retry does not correct: the event is parked.

    Attributes:
        kind: What sort of user error it is, as the log names it.
        errors: Errors of the entry that cause it. The message is that of the first.
    """

    def __init__(
        self,
        message: str,
        kind: str = "rendering_failed",
        errors: tuple[EntryError, ...] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.errors = errors


class InvalidEntryError(S3TriggerError):
    """An entry cannot be used; the message is that of its first error.

    Attributes:
        errors: All of its errors, up to `MAX_ENTRY_ERRORS`.
    """

    def __init__(self, errors: tuple[EntryError, ...]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class RetryableError(S3TriggerError):
    """A failure that may be temporary: AWS delivers the event again.

    Attributes:
        kind: What sort of failure it is, as the log names it.
    """

    kind = "aws_error"


class ServiceError(RetryableError):
    """An AWS call failed after its retries."""


class OutOfTimeError(RetryableError):
    """Too little of the invocation's time is left to start a step."""

    kind = "out_of_time"


class UnexpectedError(RetryableError):
    """An error that this package does not expect."""

    kind = "unexpected"

    @classmethod
    def of(cls, error: Exception) -> UnexpectedError:
        """Return an error that names another error and the line that raised it."""
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        said = str(error)[:MAX_REASON_CHARACTERS]
        text = " ".join(f"{type(error).__name__}: {said}".split())
        if not place:
            return cls(text)
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2]
        return cls(f"{text} ({file}, line {place.tb_lineno})")


class DeliveriesFailedError(S3TriggerError):
    """Raised to Lambda, so that AWS delivers the whole invocation again.

    Attributes:
        count: Number of failures; the log has each of them.
    """

    def __init__(self, count: int, first: str) -> None:
        what = "1 failure" if count == 1 else f"{count} failures, the first"
        # Lambda logs this text. It contains object keys, so keep it on one line and in ASCII.
        super().__init__(f"{what}: {printable(first, MAX_REASON_CHARACTERS)}")
        self.count = count


def printable(text: str, at_most: int) -> str:
    """Return a text on one line and in ASCII, cut after so many characters."""
    shown = "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text[:at_most])
    return shown[:at_most]
