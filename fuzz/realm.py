"""A realm in memory, fast enough for tens of thousands of cases."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Self

from botocore.exceptions import ClientError

from lava_s3trigger.aws.sqs import MAX_BYTES, MAX_ENTRIES
from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.log import LOGGER
from lava_s3trigger.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Item = dict[str, dict[str, Any]]

REGION: Final = "ap-southeast-2"
MAX_REASON_CHARACTERS: Final = 4096
"""Characters of an error's text that the log keeps."""
WORKER_QUEUE: Final = "lava-fuzz-core"
DEAD_LETTERS: Final = "parked"


@dataclass(frozen=True, slots=True)
class Tables:
    """DynamoDB: the operations that the function reads with."""

    triggers: Callable[[str], list[Item]]
    """Returns the entries of a bucket."""
    job: Callable[[str], Item | None]
    """Returns the entry of a job."""

    def query(self, **request: Any) -> dict[str, Any]:
        """Return the entries of a bucket, or those at one prefix of it."""
        values = request["ExpressionAttributeValues"]
        items = self.triggers(values[":b"]["S"])
        prefix = values.get(":p")
        return {"Items": [item for item in items if prefix in (None, item["prefix"])]}

    def get_item(self, **request: Any) -> dict[str, Any]:
        """Return the entry of a job, if there is one."""
        item = self.job(request["Key"]["job_id"]["S"])
        return {} if item is None else {"Item": item}


@dataclass(frozen=True, slots=True)
class Queues:
    """SQS: the operations that the function sends with. It asserts what the service requires."""

    names: frozenset[str] = frozenset([WORKER_QUEUE, DEAD_LETTERS])
    sent: dict[str, list[Any]] = field(default_factory=dict)
    """The messages of each queue, parsed."""
    meta: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(region_name=REGION))

    def get_queue_url(self, **request: Any) -> dict[str, Any]:
        """Return the URL of a queue."""
        name = request["QueueName"]
        if name not in self.names:
            code = "AWS.SimpleQueueService.NonExistentQueue"
            raise ClientError({"Error": {"Code": code, "Message": "none"}}, "GetQueueUrl")
        return {"QueueUrl": name}

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """Accept messages."""
        entries = request["Entries"]
        assert 1 <= len(entries) <= MAX_ENTRIES
        assert sum(len(entry["MessageBody"]) for entry in entries) <= MAX_BYTES
        for entry in entries:
            assert entry["MessageBody"].isascii()
            assert 0 <= entry["DelaySeconds"] <= 900  # noqa: PLR2004 - the maximum of SQS
            self.sent.setdefault(request["QueueUrl"], []).append(json.loads(entry["MessageBody"]))
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]}


class Log(logging.Handler):
    """Collects the log lines of a block, and checks that no line is forged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Collect a line."""
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
        """Check that each line is one line: the event, and fields in JSON."""
        for line in self.lines:
            check_line(line)
            assert read_line(line) is not None

    def count(self, *events: str) -> int:
        """Return the number of lines about these events."""
        found = map(read_line, self.lines)
        return sum(line is not None and line.event in events for line in found)


class Objects:
    """S3: the operation that tells an object's size. There are no objects."""

    def head_object(self, **_: Any) -> None:
        """Say that there is no such object."""
        missing: Any = {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        raise ClientError(missing, "HeadObject")


def _failed(answer: dict[str, Any]) -> set[str]:
    """Return the ids of what an answer returns to AWS."""
    if "results" in answer:  # to S3 Batch Operations
        codes = {each["taskId"]: each["resultCode"] for each in answer["results"]}
        return {task_id for task_id, code in codes.items() if code != "Succeeded"}
    [failures] = answer.values()
    failed = {failure["itemIdentifier"] for failure in failures}
    assert failed
    return failed


@dataclass(frozen=True, slots=True)
class Result:
    """What the function did with a payload."""

    dispatched: list[Any]
    parked: list[Any]
    failed: set[str]
    """Ids of the SQS messages to deliver again."""
    error: DeliveriesFailedError | None
    log: Log


def handle(payload: Any, tables: Tables) -> Result:
    """Pass a payload to a new function, and check its log and its answer."""
    queues = Queues()
    settings = Settings(realm="fuzz", dead_letter_queue=DEAD_LETTERS, log_level=logging.DEBUG)
    failed: set[str] = set()
    raised = None
    with Log() as log:
        function = Function(
            settings,
            tables,  # type: ignore[arg-type]
            queues,  # type: ignore[arg-type]
            sleep=lambda _: None,
            make_s3_client=Objects,  # type: ignore[arg-type]
        )
        try:
            answer = function(payload)
        except DeliveriesFailedError as error:
            raised = error
        else:
            if answer is not None:
                failed = _failed(answer)
    log.check()
    if raised:
        assert raised.count > 0
        assert str(raised).isprintable()
    dispatched, parked = (queues.sent.get(name, []) for name in (WORKER_QUEUE, DEAD_LETTERS))
    assert len({message["run_id"] for message in dispatched}) == len(dispatched)
    return Result(dispatched, parked, failed, raised, log)


def check_line(text: str) -> None:
    """Check that a text cannot end a log line."""
    assert text.isascii(), text
    assert text.isprintable(), text


def check_reason(text: str) -> None:
    """Check that the text of an error is short and fits one line."""
    check_line(text)
    assert 0 < len(text) <= MAX_REASON_CHARACTERS, f"{len(text)} characters"
