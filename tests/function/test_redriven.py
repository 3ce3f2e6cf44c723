"""Parked messages that an operator redrives."""

import json
import logging
from typing import Any

import pytest

from lava_s3trigger.errors import DeliveriesFailedError
from tests.build import direct, failed, message, record, sqs
from tests.function.harness import PARKING, Harness
from tests.function.user_errors import UserErrorCase, every_user_error


class TestRedriven:
    """A redriven parked message runs what its trigger says now, less what was dispatched."""

    def park(self, harness: Harness, **fields: Any) -> list[str]:
        """Have a trigger with these fields parked; return the texts of the messages."""
        harness.trigger("neighbour", job_id="report")
        harness.trigger("t", **fields)
        assert harness.function()(direct(record())) is None
        harness.core.take()
        harness.web.take()
        return [each.text for each in harness.parking.take()]

    @every_user_error
    def test_a_corrected_trigger_runs_alone(self, harness: Harness, case: UserErrorCase) -> None:
        (text,) = self.park(harness, **case.fields)
        harness.trigger("t")
        assert harness.function()(sqs(text, queue=PARKING)) is None
        assert harness.keys() == ["in/1.csv"]
        assert not harness.web.messages
        assert not harness.parking.messages

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda text: sqs(text, queue=PARKING),
            lambda text: sqs(text, queue="another-queue"),
            json.loads,
            lambda text: [message("m0", text, queue=PARKING)],
        ],
        ids=["by its queue", "by another queue", "by hand", "by a Pipe"],
    )
    def test_a_parked_message_is_understood_by_any_route(self, harness: Harness, wrap: Any) -> None:
        (text,) = self.park(harness, unknown=1)
        harness.trigger("t")
        assert harness.function()(wrap(text)) is None
        assert harness.keys() == ["in/1.csv"]
        assert not harness.web.messages

    @pytest.mark.parametrize(
        ("before", "after", "core", "web"),
        [
            pytest.param(["report", "none"], ["report", "load"], 1, 0, id="renamed"),
            pytest.param(["none", "report"], ["load", "load", "report"], 2, 0, id="made two"),
            pytest.param(["report", "none"], ["report", "report"], 0, 1, id="listed once more"),
        ],
    )
    def test_jobs_that_were_dispatched_do_not_run_again(
        self, harness: Harness, before: list[str] | str, after: list[str] | str, core: int, web: int
    ) -> None:
        (text,) = self.park(harness, job_id=before)
        harness.job("none", "core")
        harness.trigger("t", job_id=after)
        assert harness.function()(sqs(text, queue=PARKING)) is None
        assert (len(harness.core.messages), len(harness.web.messages)) == (core, web)
        assert not harness.parking.messages

    @every_user_error
    def test_an_uncorrected_user_error_stays_in_the_dead_letter_queue(
        self, harness: Harness, case: UserErrorCase
    ) -> None:
        (text,) = self.park(harness, **case.fields)
        done = direct(record("out/1"))
        assert harness.function()(sqs(text, done, queue=PARKING)) == failed("m0")
        assert harness.nothing_went_out()
        assert any(
            case.reason in each["reason"] for each in harness.logged.fields("failed", logging.ERROR)
        )
        with pytest.raises(DeliveriesFailedError, match="parked before, and not corrected"):
            harness.function()(sqs(text, queue=PARKING))
        assert harness.nothing_went_out()
        assert harness.function()(sqs(text, queue="another-queue")) is None
        assert len(harness.parked()) == 1

    @pytest.mark.parametrize("change", ["gone", "hidden", "renamed", "disabled"])
    def test_a_message_whose_trigger_cannot_run_stays(self, harness: Harness, change: str) -> None:
        (text,) = self.park(harness, unknown=1)
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

    def test_a_condition_that_no_longer_holds_is_done_with_a_warning(
        self, harness: Harness
    ) -> None:
        (text,) = self.park(harness, unknown=1)
        harness.trigger("t", if_fnmatch="*.zip")
        assert harness.function()(sqs(text, queue=PARKING)) is None
        assert harness.nothing_went_out()
        (fields,) = harness.logged.fields("skipped", logging.WARNING)
        assert (fields["kind"], fields["trigger_id"]) == ("condition_not_met", "t")

    def test_a_message_of_which_all_jobs_are_done_is_skipped(self, harness: Harness) -> None:
        harness.trigger("t", job_id="load")
        parked = {"trigger_id": "t", "done": ["load"], "reasons": []}
        text = json.dumps({"parked": parked, "event": record()})
        assert harness.function()(sqs(text, queue=PARKING)) is None
        assert harness.nothing_went_out()
        (fields,) = harness.logged.fields("skipped")
        assert fields["kind"] == "sent_before"
