"""Errors: each names the thing, and carries what a caller needs."""

import pytest

from lava_s3trigger import errors
from lava_s3trigger.deliveries import Delivery
from lava_s3trigger.dispatch import PendingMessage
from lava_s3trigger.errors import (
    DeliveriesFailedError,
    EntryError,
    InvalidEntryError,
    ObjectError,
    OutOfTimeError,
    PayloadError,
    RetryableError,
    S3TriggerError,
    ServiceError,
    SettingsError,
    UnexpectedError,
    UserError,
)
from tests.build import s3_event

ALL = [
    SettingsError("NAME", "value", "something else"),
    PayloadError("odd"),
    ObjectError("gone", "no_object"),
    UserError("bad entry"),
    InvalidEntryError((EntryError("missing_field", "worker", "worker is missing"),)),
    ServiceError("refused"),
    OutOfTimeError("late"),
    UnexpectedError("odd"),
    DeliveriesFailedError(1, "odd"),
]


def test_one_root_catches_every_error_and_no_kind_is_another() -> None:
    for error in ALL:
        assert isinstance(error, S3TriggerError)
        assert [kind for kind in map(type, ALL) if isinstance(error, kind)] == [type(error)]
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    own = {each for each in classes if each.__module__ == errors.__name__}
    tested = {S3TriggerError, RetryableError, *map(type, ALL)}
    assert {each for each in own if issubclass(each, Exception)} == tested


@pytest.mark.parametrize(
    ("value", "found"),
    [("loud", "is 'loud'"), (None, "is not set"), ("", "is ''"), ("a\nb", r"is 'a\nb'")],
    ids=ascii,
)
def test_a_settings_error_shows_variable_value_and_remedy(value: str | None, found: str) -> None:
    error = SettingsError("LOGLEVEL", value, "one of debug, info")
    assert str(error) == f"LOGLEVEL {found}: it must be one of debug, info"
    assert (error.name, error.value) == ("LOGLEVEL", value)


@pytest.mark.parametrize(
    ("count", "reason", "expected"),
    [
        (1, "not JSON", "1 failure: not JSON"),
        (2, "not JSON", "2 failures, the first: not JSON"),
        (2, "x\n[ERROR] \x1b[31m \u00e9", r"2 failures, the first: x\n[ERROR] \x1b[31m \xe9"),
    ],
)
def test_the_error_of_an_invocation_counts_failures_and_names_the_first(
    count: int, reason: str, expected: str
) -> None:
    error = DeliveriesFailedError(count, reason)
    assert str(error) == expected
    assert error.count == count


def test_an_unexpected_error_names_its_cause_and_place() -> None:
    with pytest.raises(LookupError) as caught:
        dict[str, str]()["Items\nof it"]
    line = caught.tb.tb_lineno
    assert str(UnexpectedError.of(caught.value)) == (
        f"KeyError: 'Items\\nof it' (test_errors.py, line {line})"
    )
    # It was not raised, so that it has no place.
    assert str(UnexpectedError.of(ValueError("a\nb"))) == "ValueError: a b"


def test_a_reason_that_is_kept_is_bounded() -> None:
    long, cut = "x" * 1_000_000, "x" * 4096
    delivery, message = Delivery(), PendingMessage("q", str)
    delivery.add_event(s3_event())

    delivery.fail("aws_error", long)
    delivery.events[0].fail("aws_error", long)
    message.refuse("message_refused", long)

    assert [each.reason for each in delivery.failures] == [cut, cut]
    assert message.reason == cut
    for error in (UnexpectedError.of(ValueError(long)), DeliveriesFailedError(1, long)):
        assert len(str(error)) < 5_000
