"""A realm in memory, fast enough for tens of thousands of cases."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from lava_s3trigger.aws.sqs import MAX_BYTES, MAX_ENTRIES
from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.log import LOGGER
from lava_s3trigger.settings import Settings
from tests.aws_in_memory import Aws

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.aws_in_memory import Item

MAX_REASON_CHARACTERS: Final = 4096
"""Characters of an error's text that the log keeps."""
WORKER_QUEUE: Final = "lava-fuzz-core"
DEAD_LETTERS: Final = "parked"


class Realm:
    """Tables and queues in memory; every batch that is sent is checked."""

    def __init__(self, triggers: Iterable[Item] = (), jobs: Iterable[Item] = ()) -> None:
        self.aws = Aws()
        realm = self.aws.realm("fuzz", ["core"])
        self.aws.add_queue(DEAD_LETTERS)
        for item in triggers:
            realm.triggers.put_item(item)
        for item in jobs:
            realm.jobs.put_item(item)

    def take(self, queue: str) -> list[Any]:
        """Return the messages in a queue, parsed."""
        return [message.json for message in self.aws.queues[queue].take()]

    def check(self) -> None:
        """Check that SQS takes each batch whole, and that messages are ASCII."""
        for call in self.aws.log:
            if call.operation == "SendMessageBatch":
                entries = call.request["Entries"]
                assert 1 <= len(entries) <= MAX_ENTRIES
                assert sum(len(entry["MessageBody"]) for entry in entries) <= MAX_BYTES
                for entry in entries:
                    assert entry["MessageBody"].isascii()
                    assert 0 <= entry["DelaySeconds"] <= 900  # noqa: PLR2004 - the maximum of SQS


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
        lines = map(read_line, self.lines)
        return sum(line is not None and line.event in events for line in lines)


def _failed(answer: dict[str, Any]) -> set[str]:
    """Return the ids of what an answer returns to AWS."""
    if "results" in answer:  # to S3 Batch Operations
        codes = {result["taskId"]: result["resultCode"] for result in answer["results"]}
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


def handle(payload: Any, realm: Realm) -> Result:
    """Pass a payload to a new function, and check its log, its messages and its answer."""
    settings = Settings(realm="fuzz", dead_letter_queue=DEAD_LETTERS, log_level=logging.DEBUG)
    failed: set[str] = set()
    raised = None
    client = realm.aws.client
    with Log() as log:
        function = Function(
            settings, client, client, sleep=lambda _: None, make_s3_client=lambda: client
        )
        try:
            answer = function(payload)
        except DeliveriesFailedError as error:
            raised = error
        else:
            if answer is not None:
                failed = _failed(answer)
    log.check()
    realm.check()
    if raised:
        assert raised.count > 0
        assert str(raised).isprintable()
    dispatched, parked = realm.take(WORKER_QUEUE), realm.take(DEAD_LETTERS)
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
