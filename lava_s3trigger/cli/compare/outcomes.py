"""Reads what functions did: from a log, or from messages to workers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.log_group import FunctionLog
from lava_s3trigger.cli.deployed.log_line import OBSERVED, read_line
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.log import loggable

from .differences import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from lava_s3trigger.cli.deployed.aws import Aws

STANDARD_INPUT: Final = "-"
_LOG_GROUP: Final = "/aws/lambda/"
_OUTCOMES: Final = {
    "dispatched": "dispatched",
    OBSERVED: "dispatched",
    "skipped": "skipped",
    "parked": "user_error",
    "user_error": "user_error",
    "failed": "failed",
}
"""Outcomes by the event of the log line. Whether a user error was parked depends on the queues
of the function."""


def read_outcomes(lines: Iterable[str]) -> Iterator[Outcome]:
    """Yield the outcomes in the lines of a function's log."""
    for text in lines:
        line = read_line(text)
        if line is None or line.event not in _OUTCOMES:
            continue
        bucket, key = line.text("bucket"), line.text("key")
        if bucket is None or key is None:
            continue
        names = ("trigger_id", "job_id", "kind", "reason", "entry", "event_type", "queue")
        yield Outcome(
            _OUTCOMES[line.event],
            bucket,
            key,
            **{name: line.text(name) for name in names},
            is_observed=line.event == OBSERVED,
            # The queue of a worker is lava-<REALM>-<WORKER>.
            worker=line.text("worker") or (line.text("queue") or "").split("-", 2)[-1],
            payload=_payload(line.fields) if "parameters" in line.fields else None,
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
            event.get("message") if isinstance(event, dict) else event
            for event in document["events"]
        ]
    if isinstance(document, list):
        yield from (text for text in document if isinstance(text, str))
    else:
        # Not splitlines: it would also end lines at a U+2028, which other loggers write.
        yield from text.split("\n")


def read_messages(source: str) -> Iterator[Outcome]:
    """Yield the dispatches of a file.

    Args:
        source: A file of message bodies, one a line, or of one or more answers of ``aws sqs
            receive-message``; ``-`` is standard input.

    Raises:
        CommandError: The file cannot be read, or has something else in it.
    """
    for document in _documents(source):
        bodies = [document]
        match document:
            case {"Messages": list(messages)}:
                bodies = [
                    _loaded(str(message.get("Body"))) if isinstance(message, dict) else None
                    for message in messages
                ]
        for body in bodies:
            yield _message(source, body)


def _documents(source: str) -> Iterator[Any]:
    """Yield the JSON documents of a file, one after the other."""
    text = _text(source)
    decoder = json.JSONDecoder()
    place = len(text) - len(text.lstrip())
    while place < len(text):
        try:
            document, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            line = text.count("\n", 0, place) + 1
            raise CommandError(
                f"{safe(source)}:{line}: not JSON: give messages of workers' queues, or what"
                " `aws sqs receive-message` prints"
            ) from None
        yield document
        while text[place : place + 1].isspace():
            place += 1


def _message(source: str, body: Any) -> Outcome:
    match body:
        case {"worker": str(worker), "job_id": str(job_id)}:
            return Outcome("dispatched", job_id=job_id, worker=worker, payload=_payload(body))
    raise CommandError(
        f"{safe(source)}: not a dispatch, which has worker and job_id:"
        f" {safe(json.dumps(body))[:100]}"
    )


def _payload(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters and globals of a dispatch as the log has them, if not empty."""
    payload = {name: loggable(fields.get(name)) for name in ("parameters", "globals")}
    return {name: value for name, value in payload.items() if value}


def _text(source: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if source == STANDARD_INPUT else Path(source).read_bytes()
        return raw.decode()
    except FileNotFoundError:
        raise CommandError(
            f"{safe(source)}: no such file; a log group is named in full, as"
            " /aws/lambda/lava-REALM-s3trigger",
            WRONG_USAGE,
        ) from None
    except OSError as error:
        raise CommandError(f"{safe(source)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{safe(source)}: not UTF-8") from None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
