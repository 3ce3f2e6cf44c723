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


class TestRoot:
    """One root catches all that the package raises on purpose."""

    @pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
    def test_every_error_has_the_root(self, error: S3TriggerError) -> None:
        assert isinstance(error, S3TriggerError)
        assert isinstance(error, Exception)

    @pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
    def test_no_kind_of_error_is_another(self, error: S3TriggerError) -> None:
        assert [kind for kind in map(type, ALL) if isinstance(error, kind)] == [type(error)]

    def test_every_kind_of_error_is_tested(self) -> None:
        named = {
            each
            for each in vars(errors).values()
            if isinstance(each, type)
            and issubclass(each, Exception)
            and each.__module__ == errors.__name__
        }

        assert named == {S3TriggerError, RetryableError, *map(type, ALL)}


class TestMessages:
    """A message is one line that names the thing; an error carries what a caller needs."""

    @pytest.mark.parametrize(
        ("value", "found"),
        [("loud", "is 'loud'"), (None, "is not set"), ("", "is ''"), ("a\nb", r"is 'a\nb'")],
        ids=ascii,
    )
    def test_a_settings_error_shows_variable_value_and_remedy(
        self, value: str | None, found: str
    ) -> None:
        error = SettingsError("LOGLEVEL", value, "one of debug, info")
        assert str(error) == f"LOGLEVEL {found}: it must be one of debug, info"
        assert (error.name, error.value) == ("LOGLEVEL", value)
        assert error.expected == "one of debug, info"

    @pytest.mark.parametrize(
        ("count", "reason", "expected"),
        [
            (1, "not JSON", "1 failure: not JSON"),
            (2, "not JSON", "2 failures, the first: not JSON"),
            (2, "x\n[ERROR] \x1b[31m \u00e9", r"2 failures, the first: x\n[ERROR] \x1b[31m \xe9"),
        ],
    )
    def test_the_error_of_an_invocation_counts_failures_and_names_the_first(
        self, count: int, reason: str, expected: str
    ) -> None:
        error = DeliveriesFailedError(count, reason)
        assert str(error) == expected
        assert error.count == count

    def test_a_long_reason_is_cut(self) -> None:
        assert len(str(DeliveriesFailedError(1, "x" * 10**7))) < 5000


def test_an_unexpected_error_names_its_cause_and_place() -> None:
    with pytest.raises(LookupError) as caught:
        dict[str, str]()["Items\nof it"]

    line = caught.tb.tb_lineno
    assert str(UnexpectedError.of(caught.value)) == (
        f"KeyError: 'Items\\nof it' (test_errors.py, line {line})"
    )


def test_an_error_that_was_not_raised_has_no_place() -> None:
    assert str(UnexpectedError.of(ValueError("a\nb"))) == "ValueError: a b"


class TestReasons:
    """What is kept as a reason is bounded, however long the text of an error is."""

    def test_of_an_unexpected_error(self) -> None:
        assert len(str(UnexpectedError.of(ValueError("x" * 1_000_000)))) < 5_000

    def test_of_a_failed_delivery(self) -> None:
        delivery = Delivery()
        delivery.fail("aws_error", "x" * 1_000_000)
        assert [each.reason for each in delivery.failures] == ["x" * 4096]

    def test_of_a_failed_event(self) -> None:
        delivery = Delivery()
        delivery.add_event(s3_event())
        delivery.events[0].fail("aws_error", "x" * 1_000_000)
        assert [each.reason for each in delivery.failures] == ["x" * 4096]

    def test_of_a_message_that_no_queue_takes(self) -> None:
        message = PendingMessage("q", str)
        message.refuse("message_refused", "x" * 1_000_000)
        assert message.reason == "x" * 4096
