"""What became of objects: read from the log of a function, or from messages to workers."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.log_group import FunctionLog
from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.log import loggable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from lava_s3trigger.cli.deployed.aws import Aws

STANDARD_INPUT: Final = "-"
_LOG_GROUP: Final = "/aws/lambda/"
_OUTCOMES: Final = {
    "dispatched": "dispatched",
    "skipped": "skipped",
    "parked": "user_error",
    "user_error": "user_error",
    "failed": "failed",
}
"""What became of a trigger or a job, by the word in the log. Whether a user error was parked
depends on the queues of the function."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one trigger or job of an object, as a line of the log says."""

    outcome: str
    bucket: str
    key: str
    trigger_id: str | None = None
    job_id: str | None = None
    kind: str | None = None
    reason: str | None = None
    entry: str | None = None
    """Digest of the trigger's entry."""
    queue: str | None = None
    worker: str | None = None
    mode: str | None = None
    event_type: str | None = None
    route: str | None = None
    held: dict[str, Any] | None = None
    """Parameters and globals of a dispatch, where the line has them."""

    @property
    def label(self) -> str:
        """What became of it, in a few words."""
        return f"{self.outcome}: {self.kind}" if self.kind else self.outcome


@dataclass(frozen=True, slots=True)
class Message:
    """A dispatch, as the queue of a worker got it."""

    worker: str
    job_id: str
    run_id: str | None
    held: dict[str, Any] = field(default_factory=dict)
    """Its parameters and globals."""


def read_outcomes(lines: Iterable[str]) -> Iterator[Outcome]:
    """Yield what became of objects, out of the lines of a function's log."""
    for text in lines:
        line = read_line(text)
        if line is None or line.event not in _OUTCOMES:
            continue
        bucket, key = line.text("bucket"), line.text("key")
        if bucket is None or key is None:
            continue
        names = ("trigger_id", "job_id", "kind", "reason", "entry", "queue", "mode")
        yield Outcome(
            _OUTCOMES[line.event],
            bucket,
            key,
            **{name: line.text(name) for name in (*names, "worker", "event_type", "route")},
            held=_held(line.fields) if "parameters" in line.fields else None,
        )


def log_lines(source: str, since: datetime, aws: Aws) -> Iterator[str]:
    """Yield the lines of a log.

    Args:
        source: A log group of CloudWatch Logs, whose name begins with ``/aws/lambda/``; or a
            file of lines, of a JSON list of lines, or of what ``aws logs filter-log-events``
            prints; ``-`` is standard input.
        since: Time of the first line to read of a log group.
        aws: Where log groups are.

    Raises:
        CommandError: The log cannot be read.
    """
    if source.startswith(_LOG_GROUP) and not Path(source).exists():
        for page in FunctionLog.of(aws, source).pages(since):
            yield from (event.text for event in page)
        return
    text = _text(source)
    document = _loaded(text)
    if isinstance(document, dict) and isinstance(document.get("events"), list):
        document = [
            each.get("message") if isinstance(each, dict) else each for each in document["events"]
        ]
    if isinstance(document, list):
        yield from (each for each in document if isinstance(each, str))
    else:
        # Not splitlines: it would end lines also at a U+2028 of other loggers.
        yield from text.split("\n")


def read_messages(source: str) -> Iterator[Message]:
    """Yield the dispatches of a file.

    Args:
        source: A file of message bodies, one a line, or of one or more answers of ``aws sqs
            receive-message``; ``-`` is standard input.

    Raises:
        CommandError: The file cannot be read, or holds something else.
    """
    for document in _documents(source):
        answer = document.get("Messages") if isinstance(document, dict) else None
        if answer is None:
            yield _message(source, document)
            continue
        for each in answer if isinstance(answer, list) else [answer]:
            body = each.get("Body") if isinstance(each, dict) else None
            yield _message(source, _loaded(body) if isinstance(body, str) else None)


def _documents(source: str) -> Iterator[Any]:
    """Yield the JSON documents of a file, one after the other."""
    text = _text(source)
    decoder = json.JSONDecoder()
    place = 0
    while True:
        while place < len(text) and text[place].isspace():
            place += 1
        if place == len(text):
            return
        try:
            document, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            line = text.count("\n", 0, place) + 1
            raise CommandError(
                f"{safe(source)}:{line}: this is no JSON: give messages of workers' queues, or what"
                " `aws sqs receive-message` prints"
            ) from None
        yield document


def _message(source: str, body: Any) -> Message:
    worker, job_id = (
        (body.get("worker"), body.get("job_id")) if isinstance(body, dict) else (None, None)
    )
    if not (isinstance(worker, str) and isinstance(job_id, str)):
        raise CommandError(
            f"{safe(source)}: this is no dispatch, which has worker and job_id:"
            f" {safe(json.dumps(body))[:100]}"
        )
    run_id = body.get("run_id")
    return Message(worker, job_id, run_id if isinstance(run_id, str) else None, _held(body))


def _held(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters and globals of a dispatch, as the log holds them; none if empty."""
    found = {name: loggable(fields.get(name)) for name in ("parameters", "globals")}
    return {name: value for name, value in found.items() if value}


def _text(source: str) -> str:
    try:
        if source == STANDARD_INPUT:
            return sys.stdin.buffer.read().decode()
        return Path(source).read_bytes().decode()
    except FileNotFoundError:
        raise CommandError(
            f"{safe(source)}: no such file; a log group is named in full, as"
            " /aws/lambda/lava-REALM-s3trigger",
            WRONG_USAGE,
        ) from None
    except OSError as error:
        raise CommandError(f"{safe(source)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{safe(source)}: this is not UTF-8") from None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
