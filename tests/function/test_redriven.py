"""Parked messages that an operator redrives."""

import json
import logging
from typing import Any

import pytest

from lava_s3trigger.errors import DeliveriesFailedError
from tests.build import direct, failed, message, record, sqs
from tests.function.harness import PARKING, Harness
from tests.function.user_errors import UserErrorCase, every_user_error
from tests.tables import cases


def park(harness: Harness, **fields: Any) -> list[str]:
    """Have a trigger with these fields parked; return the texts of the messages."""
    harness.trigger("neighbour", job_id="report")
    harness.trigger("t", **fields)
    assert harness.function()(direct(record())) is None
    harness.core.take()
    harness.web.take()
    return [each.text for each in harness.parking.take()]


@every_user_error
def test_a_corrected_trigger_runs_alone(harness: Harness, case: UserErrorCase) -> None:
    (text,) = park(harness, **case.fields)
    harness.trigger("t")
    assert harness.function()(sqs(text, queue=PARKING)) is None
    assert (harness.keys(), harness.counts()) == (["in/1.csv"], (1, 0, 0))


@cases(
    "wrap",
    {
        "by another queue": lambda text: sqs(text, queue="another-queue"),
        "by hand": json.loads,
        "by a Pipe": lambda text: [message("m0", text, queue=PARKING)],
    },
)
def test_a_parked_message_is_understood_by_any_route(harness: Harness, wrap: Any) -> None:
    (text,) = park(harness, unknown=1)
    harness.trigger("t")
    assert harness.function()(wrap(text)) is None
    assert (harness.keys(), harness.counts()) == (["in/1.csv"], (1, 0, 0))


@cases(
    ("after", "core", "web"),
    {
        "renamed": (["report", "load"], 1, 0),
        "made two": (["load", "load", "report"], 2, 0),
        "listed once more": (["report", "report"], 0, 1),
    },
)
def test_jobs_that_were_dispatched_do_not_run_again(
    harness: Harness, after: list[str], core: int, web: int
) -> None:
    (text,) = park(harness, job_id=["report", "none"])
    harness.job("none", "core")
    harness.trigger("t", job_id=after)
    assert harness.function()(sqs(text, queue=PARKING)) is None
    assert harness.counts() == (core, web, 0)


@every_user_error
def test_an_uncorrected_user_error_stays_in_the_dead_letter_queue(
    harness: Harness, case: UserErrorCase
) -> None:
    (text,) = park(harness, **case.fields)
    done = direct(record("out/1"))
    assert harness.function()(sqs(text, done, queue=PARKING)) == failed("m0")
    assert harness.nothing_went_out()
    (fields,) = harness.logged.fields("failed", logging.ERROR)
    assert case.reason in fields["reason"]
    with pytest.raises(DeliveriesFailedError, match="parked before, and not corrected"):
        harness.function()(sqs(text, queue=PARKING))
    assert harness.nothing_went_out()
    assert harness.function()(sqs(text, queue="another-queue")) is None
    assert len(harness.parked()) == 1


@pytest.mark.parametrize("change", ["gone", "hidden", "renamed", "disabled"])
def test_a_message_whose_trigger_cannot_run_stays(harness: Harness, change: str) -> None:
    (text,) = park(harness, unknown=1)
    if change == "hidden":
        harness.trigger("narrower", prefix="in/1.csv", enabled=False)
    elif change == "disabled":
        harness.trigger("t", enabled=False)
    else:
        harness.realm.triggers.remove("t")
    if change == "renamed":
        harness.trigger("t2")
    with pytest.raises(DeliveriesFailedError, match="the parked message waits for the entry"):
        harness.function()(sqs(text, queue=PARKING))
    assert harness.nothing_went_out()
    (fields,) = harness.logged.fields("failed", logging.ERROR)
    assert (fields["kind"], fields["trigger_id"]) == ("waiting", "t")
    harness.trigger("t", prefix="in/1.csv")
    assert harness.function()(sqs(text, queue=PARKING)) is None
    assert harness.keys() == ["in/1.csv"]


def test_a_condition_that_no_longer_holds_is_done_with_a_warning(harness: Harness) -> None:
    (text,) = park(harness, unknown=1)
    harness.trigger("t", if_fnmatch="*.zip")
    assert harness.function()(sqs(text, queue=PARKING)) is None
    assert harness.nothing_went_out()
    (fields,) = harness.logged.fields("skipped", logging.WARNING)
    assert (fields["kind"], fields["trigger_id"]) == ("condition_not_met", "t")


def test_a_message_of_which_all_jobs_are_done_is_skipped(harness: Harness) -> None:
    harness.trigger("t", job_id="load")
    parked = {"trigger_id": "t", "done": ["load"], "reasons": []}
    text = json.dumps({"parked": parked, "event": record()})
    assert harness.function()(sqs(text, queue=PARKING)) is None
    assert harness.nothing_went_out()
    (fields,) = harness.logged.fields("skipped")
    assert fields["kind"] == "sent_before"
