"""Parked messages that an operator redrives."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from lava_s3trigger.errors import DeliveriesFailedError
from tests.function.harness import PARKING, Harness, LogLines
from tests.function.user_errors import UserErrorCase, every_user_error
from tests.payloads import BUCKET, direct, failed, message, record, sqs


class TestRedriven:
    """A redriven parked message runs the trigger or job that it names, and no other."""

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

    def test_a_parked_trigger_runs_all_its_jobs(self, harness: Harness) -> None:
        (text,) = self.park(harness, unknown=1)
        harness.trigger("t", job_id=["load", "report", "load"])
        assert harness.function()(sqs(text, queue=PARKING)) is None
        assert (len(harness.core.messages), len(harness.web.messages)) == (2, 1)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param(["report", "none"], ["report", "load"], id="renamed"),
            pytest.param(["report", "none"], ["report", "none"], id="made"),
            pytest.param(["report", "none"], ["none", "report"], id="moved"),
            pytest.param(["report", "none"], ["report", "report", "none"], id="moved down"),
            pytest.param("none", "load", id="the only one, renamed"),
        ],
    )
    def test_a_parked_job_runs_alone(
        self, harness: Harness, before: list[str] | str, after: list[str] | str
    ) -> None:
        (text,) = self.park(harness, job_id=before)
        harness.job("none", "core")
        harness.trigger("t", job_id=after)
        assert harness.function()(sqs(text, queue=PARKING)) is None
        assert harness.keys() == ["in/1.csv"]
        assert not harness.web.messages

    def test_a_worker_whose_queue_exists_now_gets_the_dispatch(self, harness: Harness) -> None:
        (text,) = self.park(harness, job_id=["load", "lost"])
        nowhere = harness.endpoint.add_queue("lava-demo-nowhere")
        assert harness.function()(sqs(text, queue=PARKING)) is None
        assert harness.keys(nowhere) == ["in/1.csv"]
        assert not harness.core.messages

    def test_each_parked_job_is_redriven_by_itself(self, harness: Harness) -> None:
        texts = self.park(harness, job_id=["none", "load", "none"])
        harness.job("none", "web")
        assert harness.function()(sqs(*texts, queue=PARKING)) is None
        assert (len(harness.core.messages), len(harness.web.messages)) == (0, 2)

    @every_user_error
    def test_an_uncorrected_user_error_stays_in_the_dead_letter_queue(
        self, harness: Harness, logged: LogLines, case: UserErrorCase
    ) -> None:
        (text,) = self.park(harness, **case.fields)
        done = direct(record("out/1"))
        assert harness.function()(sqs(text, done, queue=PARKING)) == failed("m0")
        assert harness.nothing_went_out()
        assert any(case.reason in each["reason"] for each in logged.fields("failed", logging.ERROR))
        with pytest.raises(DeliveriesFailedError, match="parked before, and not mended"):
            harness.function()(sqs(text, queue=PARKING))
        assert harness.nothing_went_out()

    def test_an_uncorrected_user_error_from_another_queue_is_parked_again(
        self, harness: Harness
    ) -> None:
        (text,) = self.park(harness, unknown=1)
        assert harness.function()(sqs(text, queue="another-queue")) is None
        (parked,) = harness.parked()
        assert parked["trigger_id"] == "t"
        assert harness.parking.messages[0].json["event"] == record()
        assert not harness.core.messages
        assert not harness.web.messages

    def test_an_event_that_lambda_put_into_the_dead_letter_queue_is_handled_as_new(
        self, harness: Harness
    ) -> None:
        harness.trigger("good")
        harness.trigger("bad", job_id="none")
        assert harness.function()(sqs(direct(record()), queue=PARKING)) is None
        assert harness.keys() == ["in/1.csv"]
        assert [each["trigger_id"] for each in harness.parked()] == ["bad"]

    def test_a_failing_job_of_a_redriven_trigger_is_parked_by_itself(
        self, harness: Harness
    ) -> None:
        """Otherwise its other jobs would run again with each redrive."""
        (text,) = self.park(harness, unknown=1, job_id=["load", "lost", "none"])
        harness.trigger(job_id=["load", "lost", "none"])
        assert harness.function()(sqs(text, queue=PARKING)) is None
        texts = [each.text for each in harness.parking.take()]
        parked = [json.loads(each)["parked"] for each in texts]
        found = {(each["job_id"], each["position"]) for each in parked}
        assert found == {("lost", 1), ("none", 2)}
        for _ in range(3):
            with pytest.raises(DeliveriesFailedError, match="parked before, and not mended"):
                harness.function()(sqs(*texts, queue=PARKING))
        assert len(harness.core.messages) == 1
        assert not harness.parking.messages

    @pytest.mark.parametrize("is_hidden", [False, True], ids=["gone", "hidden"])
    def test_a_trigger_that_no_longer_matches_is_done_with_a_warning(
        self, harness: Harness, logged: LogLines, *, is_hidden: bool
    ) -> None:
        (text,) = self.park(harness, unknown=1)
        if is_hidden:
            harness.trigger("narrower", prefix="in/1.csv", enabled=False)
        else:
            harness.realm.triggers.remove("t")
        assert harness.function()(sqs(text, queue=PARKING)) is None
        assert harness.nothing_went_out()
        assert logged.fields("skipped", logging.WARNING) == [
            {"reason": "trigger 't' no longer matches", "bucket": BUCKET, "key": "in/1.csv"}
        ]
