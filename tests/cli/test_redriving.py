"""Messages of the intake are moved back by SQS itself, which the local server cannot do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lava_s3trigger.cli import main
from lava_s3trigger.cli.dead_letters import redrive
from lava_s3trigger.cli.dead_letters.queue import DeadLetterQueue
from lava_s3trigger.cli.dead_letters.redrive import move
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import CommandError

from .cannedaws import Answer, CannedAws, Request
from .replays import on_account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.local.realm import Realm
    from tools.local.server import LocalAws

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


@pytest.fixture
def canned(monkeypatch: pytest.MonkeyPatch) -> Iterator[CannedAws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(redrive, "_POLL_SECONDS", 0.0)
    with CannedAws() as server:
        yield server


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
def test_a_mistake_is_one_line(  # noqa: PLR0917 - a table of cases
    aws: LocalAws,
    realm: Realm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    with on_account(aws, realm, tmp_path, monkeypatch) as account:
        if arguments[0] == "redrive":
            queue = f"lava-{account.realm.name}-s3trigger-intake-dlq"
            aws.client("sqs").create_queue(QueueName=queue)
        with pytest.raises(SystemExit) as raised:
            main(["dead-letters", *arguments])
    errors = capsys.readouterr().err
    assert (raised.value.code, said in errors) == (status, True), errors
    assert len([line for line in errors.splitlines() if line.startswith("Error")]) == 1
