"""Reads lines of the function's log, in Lambda's JSON format and in its text format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from lava_s3trigger.cli.output.times import read_time

_TEXT: Final = re.compile(
    r"""
    (?: \[ (?P<level> [A-Z]+ ) \]
        (?: \t (?P<time> [^\t]* ) \t (?P<request_id> [^\t]* ) \t  # Lambda's runtime
          | [ ] )                                                 # elsewhere
    )?
    (?P<message> .* )
    """,
    re.VERBOSE | re.DOTALL,
)
_FAILURE: Final = re.compile(
    r"""
      ^ \[ (?: ERROR | CRITICAL ) \]
    | \b Task \x20 timed \x20 out \x20 after \b
    | ^ RequestId: \x20 \S+ \x20 Error: \x20
    | ^ (?: INIT_ )? REPORT \b .* \b Status: \x20 (?! success )
    """,
    re.VERBOSE | re.DOTALL,
)
_ERRORS: Final = frozenset(["ERROR", "FATAL", "CRITICAL"])
_REQUEST_ID: Final = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
_EVENT: Final = re.compile(r"[a-z][a-z_ ]*")


OBSERVED: Final = "observed"
"""The event of a dispatch in the log of a function that only observes."""
OUTCOMES: Final = (
    *("dispatched", OBSERVED, "skipped", "parked", "user_error", "failed", "not_understood"),
)
"""The events of the log that are outcomes."""
_OF_OBSERVER: Final = {"dispatched": OBSERVED, "parked": "user_error"}
"""Events of a dispatching function, with the event of an observing one, which sends nothing."""
LAMBDA: Final = "lambda"
"""The event of a line that Lambda itself wrote."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One thing that happened, as the function logged it."""

    event: str
    """The word for it, such as ``dispatched``; another one if the function only observes."""
    fields: dict[str, Any]
    """The fields, such as ``bucket`` and ``key``."""
    level: str = "INFO"
    time: datetime | None = None
    """When it happened, in UTC, if the line says so."""
    request_id: str | None = None
    """Id of the invocation, if the line says so."""

    def text(self, name: str) -> str | None:
        """Return a field that is a string, else None."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else None


def read_line(line: str) -> LogLine | None:
    """Read a line of the function's log, in either format.

    Returns:
        The line; None if the function did not write it, as with Lambda's reports and
        lines of libraries.
    """
    text = line.strip()
    if text.startswith("{"):
        return _of_document(_loaded(text))
    head = _TEXT.fullmatch(text)
    if head is None:
        return None
    parsed = _of_message(head["message"])
    if parsed is None:
        return None
    return replace(
        parsed,
        level=head["level"] or parsed.level,
        time=_time(head["time"]) or parsed.time,
        request_id=head["request_id"] or None,
    )


def read_failure(line: str) -> LogLine | None:
    """Read a line that Lambda or its runtime wrote, if it reports a failure.

    Failures are a timeout, the end of the process, and an error of an invocation or of the start.

    Returns:
        A line with the event `LAMBDA` and the text as its reason; else None.
    """
    text = line.strip()
    document = _loaded(text) if text.startswith("{") else None
    if isinstance(document, dict):
        return _failure_of_document(document)
    if not _FAILURE.search(text):
        return None
    request_id = _REQUEST_ID.search(text)
    reason = " ".join(text.split("\n")[0].split())
    return LogLine(LAMBDA, {"reason": reason}, "ERROR", None, request_id and request_id[0])


def _failure_of_document(document: dict[str, Any]) -> LogLine | None:
    record = document.get("record")
    if isinstance(record, dict):  # of the platform
        status = record.get("status", "success")
        if status == "success" or not isinstance(status, str):
            return None
        details = [document.get("type"), status, record.get("errorType")]
        reason = " ".join(str(detail) for detail in details if detail)
        request_id = record.get("requestId")
    else:
        message = document.get("errorMessage") or document.get("message")
        if document.get("level") not in _ERRORS or not isinstance(message, str):
            return None
        kind = document.get("errorType")
        reason = f"{kind}: {message}" if isinstance(kind, str) else message
        request_id = document.get("requestId")
    return LogLine(
        LAMBDA,
        {"reason": reason},
        "ERROR",
        _time(document.get("timestamp") or document.get("time")),
        request_id if isinstance(request_id, str) else None,
    )


def _of_message(message: str) -> LogLine | None:
    """Parse a message: the event and then the fields as JSON, or all as JSON."""
    if message.startswith("{"):  # a document of metrics
        return _of_document(_loaded(message))
    event, brace, fields = message.partition(" {")
    return _of_document(_loaded("{" + fields), event) if brace else None


def _of_document(document: Any, event: str | None = None) -> LogLine | None:
    """Parse a JSON object, which has the event unless the caller passes it."""
    if not isinstance(document, dict):
        return None
    event = event or document.pop("event", None)
    if not isinstance(event, str) or not _EVENT.fullmatch(event):
        return None
    metadata = document.pop("_aws", None)
    time = _time(document.pop("timestamp", None))
    if time is None and isinstance(metadata, dict):
        time = _time_of_metrics(metadata.get("Timestamp"))
    level, request_id = document.pop("level", None), document.pop("requestId", None)
    is_observed = document.get("mode") == "observe"
    return LogLine(
        _OF_OBSERVER.get(event, event) if is_observed else event,
        document,
        level if isinstance(level, str) else "INFO",
        time,
        request_id if isinstance(request_id, str) else None,
    )


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _time(text: Any) -> datetime | None:
    try:
        return read_time(text)
    except (TypeError, ValueError):
        return None


def _time_of_metrics(milliseconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
