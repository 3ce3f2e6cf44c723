"""The format of parked messages: docs/design.md#parking."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.events import S3Event
from lava_s3trigger.outcomes import Outcome
from lava_s3trigger.parking import RedriveTarget, parked_message
from tests.build import eventbridge, record, sqs

NOW: Final = datetime(2026, 3, 14, 1, 59, 26, 535000, tzinfo=UTC)
AT: Final = "2026-03-14T01:59:26+00:00"
S3: Final = record("a+b c%")
EVENTBRIDGE: Final = eventbridge("a+b c%")
RECORDS: Final = [pytest.param(S3, id="s3"), pytest.param(EVENTBRIDGE, id="eventbridge")]

BAD_ENTRY: Final = Outcome(
    "user_error", "bad_entry", "bad entry: delay: 'soon' is not a duration", "t-1"
)
NO_JOB: Final = Outcome("user_error", "no_such_job", "no job 'j'", "t-1", "j")


def parked(*reasons: Outcome, done: tuple[str, ...] = (), now: datetime = NOW) -> dict[str, Any]:
    """Return the part of a parked message that says what was parked, and why."""
    found: dict[str, Any] = json.loads(parked_message(S3, reasons, done, now))["parked"]
    return found


def read_back(message: Any) -> tuple[S3Event, RedriveTarget | None]:
    """Return what the function reads when a parked message is given back to it."""
    [delivery] = deliveries(sqs(message), "eu-west-1")
    assert delivery.errors == []
    [found] = delivery.events
    return found.event, found.redrive


@pytest.mark.parametrize("event", RECORDS)
def test_a_whole_trigger(event: dict[str, Any]) -> None:
    reasons = [{"kind": "bad_entry", "reason": BAD_ENTRY.reason}]
    assert json.loads(parked_message(event, [BAD_ENTRY], [], NOW)) == {
        "parked": {"trigger_id": "t-1", "reasons": reasons, "done": [], "parked_at": AT},
        "event": event,
    }


def test_the_time_has_an_offset() -> None:
    now = NOW.astimezone(timezone(timedelta(hours=11)))
    assert parked(BAD_ENTRY, now=now)["parked_at"] == "2026-03-14T12:59:26+11:00"


def test_text_that_a_template_made_too_long_is_cut_and_so_are_many_reasons() -> None:
    long = NO_JOB._replace(reason="x" * 1_000_000, job_id="j" * 1_000_000)
    cut = {"job_id": "j" * 2048, "kind": "no_such_job", "reason": "x" * 2048}
    assert parked(*[long] * 1_000)["reasons"] == [cut] * 100


def test_a_parked_message_is_ascii() -> None:
    event = {**EVENTBRIDGE, "note": "\u00e9\uffff\ud800\x00"}
    reason = Outcome("user_error", "x", "\ufffe", "\u00e9", "\u00e8")
    message = parked_message(event, [reason], ["\ud800"], NOW)
    assert message.isascii()
    assert message.isprintable()


@pytest.mark.parametrize("event", RECORDS)
@pytest.mark.parametrize("done", [(), ("a",), ("a", "b", "b")], ids=str)
def test_a_redriven_message_is_the_same_event_for_the_same_trigger(
    event: dict[str, Any], done: tuple[str, ...]
) -> None:
    first = deliveries(event, "eu-west-1")[0].events[0].event
    again, redrive = read_back(parked_message(event, [NO_JOB], done, NOW))
    assert redrive == RedriveTarget("t-1", done)
    assert (again.info, again.record, again.identity) == (first.info, event, first.identity)


@pytest.mark.parametrize(
    "said",
    [
        *(None, "t", {}, {"trigger_id": "t"}, {"trigger_id": "t", "job_id": "j"}),
        *({"trigger_id": trigger_id, "done": []} for trigger_id in (None, 5)),
        *({"trigger_id": "t", "done": done} for done in ("a", [1], None)),
    ],
    ids=str,
)
def test_a_message_that_does_not_say_what_is_done_is_an_error(said: Any) -> None:
    """Else jobs that ran would run again."""
    [delivery] = deliveries(sqs({"parked": said, "event": S3}), "eu-west-1")
    assert delivery.events == []
    [error] = delivery.errors
    assert str(error).startswith("parked is ")
    assert "trigger_id" in str(error)


@given(
    key=st.text(min_size=1),
    trigger_id=st.text(min_size=1),
    reasons=st.lists(st.tuples(st.text(), st.text(), st.none() | st.text()), min_size=1),
    done=st.lists(st.text()),
)
def test_any_text_is_read_back(
    key: str, trigger_id: str, reasons: list[tuple[str, str, str | None]], done: list[str]
) -> None:
    errors = [Outcome("user_error", kind, why, trigger_id, job) for kind, why, job in reasons]
    event, redrive = read_back(parked_message(eventbridge(key), errors, done, NOW))
    assert event.key == key
    assert redrive == RedriveTarget(trigger_id, tuple(sorted(done)))


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_each_job_runs_as_often_as_it_is_listed(job_ids: list[str], done: list[str]) -> None:
    found = [*RedriveTarget("t", tuple(done)).remaining(job_ids)]
    assert [job_ids[position] for position, _ in found] == [job_id for _, job_id in found]
    assert Counter(job_id for _, job_id in found) == Counter(job_ids) - Counter(done)
