"""A user's mistake is parked, mended, redriven, and runs once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import wait_until

if TYPE_CHECKING:
    from .conftest import Redrive, Stack

pytestmark = pytest.mark.e2e


def parked(stack: Stack) -> dict[str, Any]:
    """Wait for a parked message, and look at it."""
    url = stack.outputs["DeadLetterQueueUrl"]
    wait_until(lambda: stack.waiting(url) == 1, "a parked message")
    (message,) = stack.aws.client("sqs").receive_message(QueueUrl=url, VisibilityTimeout=0)[
        "Messages"
    ]
    body: dict[str, Any] = json.loads(message["Body"])
    return body


class TestParkingAndRedrive:
    """A good trigger runs once; a bad one waits until it is corrected, and runs once."""

    def test_a_bad_entry_is_parked_corrected_and_redriven(
        self, stack: Stack, redrive: Redrive
    ) -> None:
        stack.trigger("good", "beside", parameters={"who": "good"})
        stack.trigger("bad", "beside", colour="red", parameters={"who": "bad", "key": "{{ key }}"})
        stack.connections.by_s3("beside")
        stack.put("beside", "in/x y.csv")
        assert [each["parameters"]["who"] for each in stack.dispatches("core", 1)] == ["good"]
        message = parked(stack)
        assert message["parked"]["trigger_id"] == "bad"
        (reason,) = message["parked"]["reasons"]
        assert "unknown field 'colour'" in reason["reason"]
        assert message["event"]["s3"]["object"]["key"] == "in/x+y.csv"

        entry = {"trigger_id": "bad", "bucket": "beside", "prefix": "*", "enabled": True}
        mended = {"job_id": "job-core", "parameters": {"who": "bad", "key": "{{ key }}"}}
        stack.realm.put("s3triggers", [entry | mended])
        redrive()
        (found,) = stack.dispatches("core", 1)
        assert found["parameters"] == {"who": "bad", "key": "in/x y.csv"}

    def test_a_missing_job_runs_once_it_is_created(self, stack: Stack, redrive: Redrive) -> None:
        stack.trigger("new", "newjob", job_id=["job-core", "job-new"])
        stack.connections.by_s3("newjob")
        stack.put("newjob", "x")
        assert [each["job_id"] for each in stack.dispatches("core", 1)] == ["job-core"]
        named = parked(stack)["parked"]
        assert (named["trigger_id"], named["done"]) == ("new", ["job-core"])
        assert [each["job_id"] for each in named["reasons"]] == ["job-new"]

        job = {"job_id": "job-new", "type": "exe", "worker": "web", "payload": "x"}
        stack.realm.put("jobs", [job | {"enabled": True}])
        redrive()
        assert [each["job_id"] for each in stack.dispatches("web", 1)] == ["job-new"]
        assert stack.realm.receive("core") == []
