"""The function in the mode `observe`: it decides and logs everything, and sends nothing."""

from typing import Any

import pytest

from lava_s3trigger.handler import Function
from tests.aws_in_memory import DENIED
from tests.build import NONSENSE, direct, failed, fifo, message, record, sqs
from tests.function.harness import PARKING, Harness, LogLines, fails
from tests.tables import cases

WRITES = {"SendMessageBatch", "SendMessage", "UpdateItem", "PutItem", "DeleteItem"}


@pytest.fixture
def observer(harness: Harness) -> Function:
    """A function that observes."""
    return harness.function(mode="observe")


def described(logged: LogLines) -> list[tuple[str, object, object, object]]:
    """Return what the log says about triggers: event, trigger, job and reason."""
    words = {"observed": "dispatched", "user_error": "parked"}
    return sorted(
        (
            words.get(word, word),
            str(each.get("trigger_id")),
            str(each.get("job_id")),
            str(each.get("reason")),
        )
        for word in ("dispatched", "observed", "skipped", "parked", "user_error", "failed")
        for each in logged.fields(word)
    )


@pytest.mark.parametrize(
    "settings", [{}, {"dedup_table": "claims", "dedup_cache_size": 10}], ids=["", "dedup"]
)
def test_nothing_goes_out(harness: Harness, settings: dict[str, Any]) -> None:
    harness.trigger("good", job_id=["load", "report"])
    harness.trigger("bad", job_id="none")
    observer = harness.function(mode="observe", **settings)
    assert observer(sqs(direct(record()), NONSENSE)) is None
    assert harness.nothing_went_out()
    assert not WRITES & set(harness.endpoint.calls)


def test_an_observer_logs_what_the_function_does(harness: Harness) -> None:
    harness.trigger("good", job_id=["load", "report"])
    harness.trigger("bad", job_id="none")
    harness.trigger("lost", job_id="lost")
    harness.trigger("large", job_id="load", parameters={"x": "y" * 2_000_000})
    harness.trigger("off", enabled=False)
    harness.trigger("unmet", if_fnmatch="*.zip")
    harness.function(mode="observe")(direct(record()))
    observed = described(harness.logged)
    harness.logged.clear()
    harness.function()(direct(record()))
    assert observed == described(harness.logged)
    assert {word for word, *_ in observed} == {"dispatched", "parked", "skipped"}


def test_each_line_of_an_observer_says_so_and_no_other(harness: Harness) -> None:
    harness.trigger()
    harness.trigger("off", enabled=False)
    for mode, number in (("observe", 5), ("dispatch", 0)):
        harness.logged.clear()
        payload = sqs(direct(record()), NONSENSE)
        harness.function(mode=mode)(payload)
        lines = harness.logged.lines()
        assert len(lines) == 5
        assert sum('"mode"' in line and '"observe"' in line for line in lines) == number
    assert harness.keys() == ["in/1.csv"]


@pytest.mark.parametrize("payload", [direct(record()), sqs(direct(record()))], ids=["s3", "sqs"])
def test_what_fails_is_logged_and_done(
    harness: Harness, observer: Function, payload: object
) -> None:
    harness.trigger()
    harness.endpoint.fail({("Query", None): DENIED})
    assert observer(payload) is None
    (fields,) = harness.logged.fields("failed")
    assert fields["kind"] == "aws_error"


def test_a_failed_delivery_is_not_remembered(harness: Harness, observer: Function) -> None:
    harness.trigger("good")
    harness.trigger("odd", job_id="report")
    harness.endpoint.fail({("GetItem", 2): DENIED})
    observer(sqs(direct(record())))
    harness.endpoint.fail({})
    observer(sqs(direct(record())))

    assert not harness.logged.fields("skipped")


@pytest.mark.parametrize("mends", [False, True], ids=["not-mended", "mended"])
def test_parked_messages_stay_in_their_queue(
    harness: Harness, observer: Function, *, mends: bool
) -> None:
    harness.trigger("bad", job_id="none")
    harness.function()(direct(record()))
    [message] = harness.parking.take()
    if mends:
        harness.trigger("bad")
    fails(observer, sqs(message.text, queue=PARKING))
    assert harness.nothing_went_out()


def test_of_several_messages_those_of_the_dead_letter_queue_stay(
    harness: Harness, observer: Function
) -> None:
    harness.trigger("bad", job_id="none")
    harness.function()(direct(record()))
    [parked] = harness.parking.take()
    payload = direct(
        message("real", direct(record())),
        message("parked", parked.text),
        message("dead", direct(record()), PARKING),
    )

    assert observer(payload) == failed("parked", "dead")


@cases(
    "text",
    {
        "unreadable-event": '{"parked": {"trigger_id": "t", "done": []}, "event": {"s3": {}}}',
        "unknown-format": '{"parked": {"trigger": "t", "version": 9}, "event": {"s3": {}}}',
        "no-object": '{"parked": [], "event": {"s3": {}}}',
        "without-event": '{"parked": {"trigger_id": "t"}}',
        "cut": '{"parked": {"trigger_id": "t',
        "too-deep": '{"parked": ' + "[" * 200_000,
    },
)
def test_what_begins_as_a_parked_message_stays_by_any_queue(
    harness: Harness, observer: Function, text: str
) -> None:
    assert observer(sqs(direct(record()), text, NONSENSE)) == failed("m1")
    assert harness.nothing_went_out()


def test_what_follows_a_failed_message_of_a_group_is_decided(
    harness: Harness, observer: Function
) -> None:
    harness.trigger()
    payload = fifo(("a", NONSENSE), ("a", direct(record("in/2.csv"))))
    assert observer(payload) is None
    assert [each["key"] for each in harness.logged.fields("observed")] == ["in/2.csv"]
    assert not harness.logged.fields("failed")
