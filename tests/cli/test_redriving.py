"""Messages of the intake are moved back by SQS itself, which the local server cannot do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lava_s3trigger.cli.dead_letters import redrive
from lava_s3trigger.cli.dead_letters.redrive import move
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetterQueue
from lava_s3trigger.cli.errors import CommandError

from .cannedaws import Answer

if TYPE_CHECKING:
    from .cannedaws import CannedAws, Request

ARN = "arn:aws:sqs:us-east-1:123456789012:dlq"


class Moves:
    """SQS, as it answers to message move tasks."""

    def __init__(self, statuses: list[str]) -> None:
        self.statuses = statuses
        self.asked: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Answer:
        asked = request.json()
        self.asked.append(asked)
        if "QueueName" in asked:
            found: dict[str, Any] = {"QueueUrl": "http://127.0.0.1/dlq"}
        elif "AttributeNames" in asked:
            found = {"Attributes": {"QueueArn": ARN}}
        elif "TaskHandle" in asked:
            self.statuses[:] = ["CANCELLING", "CANCELLED"]
            found = {"ApproximateNumberOfMessagesMoved": 3}
        elif "MaxResults" in asked:
            status = self.statuses.pop(0)
            task = {"Status": status, "SourceArn": ARN, "ApproximateNumberOfMessagesMoved": 7}
            found = {"Results": [task | {"FailureReason": "CouldNotDetermineMessageSource"}]}
        else:
            found = {"TaskHandle": "handle"}
        return Answer(200, json.dumps(found).encode())


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive, "_POLL_SECONDS", 0.0)


def moved(canned: CannedAws, moves: Moves, *, is_to_end: bool = False) -> int:
    canned.handlers["POST", ""] = moves.answer
    client = Aws(region="us-east-1", endpoint_url=canned.url).client("sqs")
    return move(client, DeadLetterQueue(client, "dlq", "us-east-1"), lambda: is_to_end)


def test_the_task_is_followed_to_its_end(canned: CannedAws) -> None:
    moves = Moves(["RUNNING", "RUNNING", "COMPLETED"])
    assert moved(canned, moves) == 7
    assert {"SourceArn": ARN} in moves.asked
    assert moves.statuses == []


def test_a_task_that_fails_says_why(canned: CannedAws) -> None:
    with pytest.raises(CommandError, match="stopped moving dlq: CouldNotDetermineMessageSource"):
        moved(canned, Moves(["RUNNING", "FAILED"]))


def test_an_interrupt_cancels_the_task_once(canned: CannedAws) -> None:
    moves = Moves(["RUNNING"])
    assert moved(canned, moves, is_to_end=True) == 7
    assert sum("TaskHandle" in asked for asked in moves.asked) == 1
