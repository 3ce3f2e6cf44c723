"""Reads the function's log lines back, in the text format and in Lambda's JSON format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

# Lambda writes the level, the time and the request id before the message, separated by
# tabs; elsewhere the level alone stands before it.
_TEXT: Final = re.compile(r"(?:^|[\s\]])([a-z][a-z_]*) (\{.*\})$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the function's log."""

    event: str
    """The word for what happened, such as ``dispatched``."""
    fields: dict[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return a field that is a string, else None."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else None


def read_line(line: str) -> LogLine | None:
    """Read a line of the log.

    Args:
        line: In the text format, ``[INFO] word {json}``; or a JSON object, with the word in
            ``event`` and its fields beside it, or with both in ``message``.

    Returns:
        What the line says; None where it is not the function's own.
    """
    if line.startswith("{"):
        return _from_json(line)
    line = line.rstrip()
    # Without the end that it must have, the search would try each of its words.
    found = _TEXT.search(line) if line.endswith("}") else None
    if found is None:
        return None
    fields = _object(found[2])
    return None if fields is None else LogLine(found[1], fields)


def _from_json(line: str) -> LogLine | None:
    fields = _object(line)
    if fields is None:
        return None
    if isinstance(fields.get("event"), str):
        return LogLine(fields.pop("event"), fields)
    message = fields.get("message")
    return read_line(message) if isinstance(message, str) and message[:1] != "{" else None


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
