"""The function's log: one line for each thing that happens.

A line is a word for what happened, and its fields as JSON in ASCII. So no object key can end
a line or begin one. In Lambda's JSON log format, the word is the field ``event`` of a JSON
object, next to ``timestamp``, ``level`` and ``requestId``.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from json.encoder import encode_basestring_ascii
from typing import Any, Final

MAX_FIELD_CHARACTERS: Final = 4096
# CloudWatch Logs cuts or refuses lines that are longer; it takes 1 MiB by now, but not every
# reader of logs does. What Lambda adds to a line has far less than the rest.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
MAX_LINE_CHARACTERS: Final = 256 * 1024 - 2048
"""Characters, and bytes, that a line has at most."""
_MAX_ESCAPE_CHARACTERS: Final = 12

LOGGER: Final = logging.getLogger("lava_s3trigger")

# The common part of all records. To make a new record, Python looks up the process, the thread
# and the caller, which takes longer than everything else here. One thread makes all records.
_MEMBERS: Final = dict(vars(LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, "", (), None)))

# The fields of every line, as JSON; and the separators between fields and after a name.
_COMMON: Final[list[str]] = []
_SEPARATORS: Final = [", ", ": "]


def configure_logging(level: int, **common: str) -> None:
    """Log from this severity on: to Lambda's log, or elsewhere to standard error.

    Args:
        level: The least severity.
        common: Fields that each line has from now on.
    """
    logging.basicConfig(format="[%(levelname)s] %(message)s")  # does nothing where a handler exists
    LOGGER.setLevel(level)
    # With the JSON format, Lambda sets the level of all loggers to that of the function's
    # configuration, and botocore logs each request at debug.
    logging.root.setLevel(logging.WARNING)
    log_format = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper()
    is_json = log_format == "JSON"
    _SEPARATORS[:] = (",", ":") if is_json else (", ", ": ")
    colon = _SEPARATORS[1]
    _COMMON[:] = [f'"{name}"{colon}{_encoded(value)}' for name, value in common.items()]
    if log_format:  # in Lambda
        formatter = JsonLines if is_json else TextLines
        for handler in logging.root.handlers:
            if not isinstance(handler.formatter, TextLines):
                end = "" if isinstance(handler, logging.StreamHandler) else "\n"
                handler.setFormatter(formatter(handler.formatter, end))


def log_event(level: int, event: str, **fields: Any) -> None:
    """Log what happened; fields that are None are left out."""
    if not LOGGER.isEnabledFor(level):
        return
    comma, colon = _SEPARATORS
    parts = _COMMON.copy()
    for name, value in fields.items():
        if value is None:
            continue
        # Most are strings in ASCII, and this is three times as fast as the encoder.
        if type(value) is str and value.isascii():
            parts.append(f'"{name}"{colon}{encode_basestring_ascii(value[:MAX_FIELD_CHARACTERS])}')
        else:
            parts.append(f'"{name}"{colon}{_encoded(value)}')
    message = f"{event} {{{comma.join(parts)}}}"
    if len(message) > MAX_LINE_CHARACTERS:
        message = f"{event} {{{comma.join(_shortened(parts, fields))}}}"
    _handle(level, message)


def _shortened(parts: list[str], fields: dict[str, Any]) -> list[str]:
    """Return the members of a line, with the longest ones cut to their share of it.

    A text stays a text; any other value becomes a text, the beginning of its JSON.
    """
    share = MAX_LINE_CHARACTERS // (len(parts) + 1) - max(map(len, fields), default=0) - 8
    colon = _SEPARATORS[1]
    shortened = []
    for part in parts:
        name, _, value = part.partition(colon)
        if len(value) > share:
            whole = fields.get(name[1:-1])
            text = whole if isinstance(whole, str) else value
            value = _encoded(text[: share // _MAX_ESCAPE_CHARACTERS])
        shortened.append(f"{name}{colon}{value}")
    return shortened


def log_document(document: str) -> None:
    """Log a JSON object of numbers and names at any level: a document of metrics.

    It is the whole line, as the specification of the embedded metric format asks.

    Args:
        document: The object, as text.
    """
    _handle(logging.INFO, ",".join([document[:-1], *_COMMON]) + "}" if _COMMON else document)


def _handle(level: int, message: str) -> None:
    created = time.time()
    record = object.__new__(logging.LogRecord)
    record.__dict__ = members = _MEMBERS.copy()
    members["created"] = created
    members["msecs"] = created % 1 * 1000
    members["levelno"] = level
    members["levelname"] = logging.getLevelName(level)
    members["msg"] = message
    # Lambda's handlers raise where a line cannot be written. Sent messages must still be recorded.
    try:  # noqa: SIM105 - contextlib.suppress takes longer, for each line
        LOGGER.handle(record)
    except Exception:  # noqa: BLE001, S110 - as above
        pass


class TextLines(logging.Formatter):
    """Formats documents of metrics as bare lines, and passes all others to another formatter.

    With the runtime's own prefix, CloudWatch may not recognize a document.

    Args:
        others: Formats all other lines.
        end: The end of a line, where the handler does not add one.
    """

    def __init__(self, others: logging.Formatter | None, end: str) -> None:
        super().__init__()
        self._others = others or logging.Formatter()
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        if record.name != LOGGER.name:
            return self._others.format(record)
        message = record.msg
        if message[0] == "{":  # a document of metrics, which has a time of its own
            return f"{message}{self._end}"
        return self._line(record, message)

    def _line(self, record: logging.LogRecord, _message: str) -> str:
        return self._others.format(record)


class JsonLines(TextLines):
    """Formats the function's lines as JSON objects.

    The formatter of the Python runtime raises, in the code that logs, where a value has half
    of a surrogate pair. It drops fields that have the name of one of its own, leaves U+2028 and
    bidirectional marks as they are, and takes longer.
    """

    def __init__(self, others: logging.Formatter | None, end: str) -> None:
        super().__init__(others, end)
        self._second = -1
        self._time = ""
        # The runtime's handler takes the type of a frame of its log from the record, where
        # the runtime's formatter puts it.
        self._marks: dict[int, dict[str, Any]] = {}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        if record.name == LOGGER.name:
            marks = self._marks.get(record.levelno)
            if marks is None:
                marks = self._marks[record.levelno] = self._marks_at(record.levelno)
            record.__dict__.update(marks)
        return super().format(record)

    def _line(self, record: logging.LogRecord, message: str) -> str:
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._time = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        event, _, fields = message.partition(" {")
        request_id = getattr(record, "aws_request_id", None)
        request = f'"requestId":"{request_id}",' if request_id else ""
        comma = "" if fields == "}" else ","
        return (
            f'{{"timestamp":"{self._time}.{int(record.msecs):03}Z","level":"{record.levelname}",'
            f'{request}"event":"{event}"{comma}{fields}{self._end}'
        )

    def _marks_at(self, level: int) -> dict[str, Any]:
        """Return the marks that the other formatter adds to a record of a level."""
        sample = LOGGER.makeRecord(LOGGER.name, level, "", 0, "", (), None)
        before = dict(sample.__dict__)
        self._others.format(sample)
        return {
            name: value
            for name, value in sample.__dict__.items()
            if name.startswith("_") and name not in before
        }


def _encoded(value: Any) -> str:
    """Return any value as JSON in ASCII."""
    try:
        return _ENCODER.encode(loggable(value))
    except RecursionError:
        return '"nested too deeply"'


def loggable(value: Any) -> Any:
    """Return a value as it is written to the log.

    Text is cut after `MAX_FIELD_CHARACTERS`, and has no half surrogates; numbers are finite.
    """
    if isinstance(value, str):
        return _paired(value[:MAX_FIELD_CHARACTERS])
    if isinstance(value, list | tuple):
        return [loggable(item) for item in value]
    if isinstance(value, dict):
        return {_paired(str(name)): loggable(item) for name, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(loggable(str(item)) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _paired(text: str) -> str:
    r"""Return text with each half of a surrogate pair written out, as ``\ud800``.

    JSON allows it as an escape, but not every reader of JSON does.
    """
    return text.encode("utf-8", "backslashreplace").decode()


_ENCODER: Final = json.JSONEncoder(default=lambda value: _paired(str(value)))
