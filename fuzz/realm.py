"""A realm in memory, for cases by the ten thousand: what the function calls of AWS."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Self

from botocore.exceptions import ClientError

from lava_s3trigger.aws.sqs import MAX_BYTES, MAX_ENTRIES
from lava_s3trigger.log import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable

    Item = dict[str, dict[str, Any]]

REGION: Final = "ap-southeast-2"
LONGEST_REASON: Final = 4096
"""Characters of an error's text: what the log keeps of one."""


@dataclass(frozen=True, slots=True)
class Tables:
    """DynamoDB, as far as the function reads it."""

    triggers: Callable[[str], list[Item]]
    """Gives the entries of a bucket."""
    job: Callable[[str], Item | None]
    """Gives the entry of a job."""

    def query(self, **request: Any) -> dict[str, Any]:
        """Give the entries of a bucket, or those at one prefix of it."""
        values = request["ExpressionAttributeValues"]
        items = self.triggers(values[":b"]["S"])
        prefix = values.get(":p")
        return {"Items": [each for each in items if prefix in (None, each["prefix"])]}

    def get_item(self, **request: Any) -> dict[str, Any]:
        """Give the entry of a job, if there is one."""
        item = self.job(request["Key"]["job_id"]["S"])
        return {} if item is None else {"Item": item}


@dataclass(frozen=True, slots=True)
class SqsQueues:
    """SQS, as far as the function sends to it; it checks what the service refuses."""

    names: frozenset[str]
    sent: dict[str, list[Any]] = field(default_factory=dict)
    """The messages of each queue, read back."""
    meta: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(region_name=REGION))

    def get_queue_url(self, **request: Any) -> dict[str, Any]:
        """Give the URL of a queue."""
        name = request["QueueName"]
        if name not in self.names:
            code = "AWS.SimpleQueueService.NonExistentQueue"
            raise ClientError({"Error": {"Code": code, "Message": "none"}}, "GetQueueUrl")
        return {"QueueUrl": name}

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """Take messages."""
        entries = request["Entries"]
        assert 1 <= len(entries) <= MAX_ENTRIES
        assert sum(len(each["MessageBody"]) for each in entries) <= MAX_BYTES
        for each in entries:
            assert each["MessageBody"].isascii()
            assert 0 <= each["DelaySeconds"] <= 900  # noqa: PLR2004 - what SQS takes
            self.sent.setdefault(request["QueueUrl"], []).append(json.loads(each["MessageBody"]))
        return {"Successful": [{"Id": each["Id"]} for each in entries]}


class Journal(logging.Handler):
    """Reads what is logged while a block runs, and checks that no line is forged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())

    def __enter__(self) -> Self:
        self._before = LOGGER.propagate, LOGGER.level
        LOGGER.propagate = False
        LOGGER.setLevel(logging.DEBUG)
        LOGGER.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        LOGGER.removeHandler(self)
        LOGGER.propagate, level = self._before
        LOGGER.setLevel(level)

    def check(self) -> None:
        """Check that each line is one line: what happened, and fields that can be read."""
        for line in self.lines:
            check_line(line)
            what, _, fields = line.partition(" {")
            assert "{" not in what
            assert isinstance(json.loads("{" + fields), dict)


def check_line(text: str) -> None:
    """Check that a text cannot end the line of a log that it stands in."""
    assert text.isascii(), text
    assert text.isprintable(), text


def check_reason(text: str) -> None:
    """Check that the text of an error fits one line, and is not long."""
    check_line(text)
    assert 0 < len(text) <= LONGEST_REASON, f"{len(text)} characters"
