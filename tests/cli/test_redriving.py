"""Messages of the intake are moved back by SQS itself, which the local server cannot do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lava_s3trigger.cli.dead_letters import redrive
from lava_s3trigger.cli.dead_letters.queue import DeadLetterQueue
from lava_s3trigger.cli.dead_letters.redrive import move
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import CommandError

from .cannedaws import Answer
from .commandline import CommandLine

if TYPE_CHECKING:
    from .cannedaws import CannedAws, Request
    from .replays import Account

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


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--queue", "intake"], 3, "there is no queue lava-"),
        (["redrive", "--queue", "intake", "--trigger", "t"], 2, "SQS moves all messages"),
        (["discard"], 2, "discard asks before it deletes: give --yes"),
        (["discard", "--explain", "--yes"], 2, "--explain is about giving back"),
        (["delete"], 2, "'delete' is not one of 'list', 'redrive', 'discard'"),
        (["--function", "none"], 3, "there is no function none"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_mistake_is_one_line(
    account: Account, arguments: list[str], status: int, said: str
) -> None:
    if arguments[0] == "redrive":
        account.aws.client("sqs").create_queue(QueueName=f"{account.function}-intake-dlq")
    ran = CommandLine(["dead-letters"], account.environment)(*arguments)
    assert (ran.status, said in ran.errors) == (status, True), ran.errors
    assert len([line for line in ran.errors.splitlines() if line.startswith("Error")]) == 1
