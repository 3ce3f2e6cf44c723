"""Lines of the function's log for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.output.text import FAINT, STYLES, Line, Piece, cut, line, named
from lava_s3trigger.cli.output.times import shown_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .log_line import LogLine

WIDTH: Final = 10
"""Characters of the column of events."""
_TOLD: Final = frozenset(["bucket", "key", "trigger_id", "job_id", "queue", "reason"])
# Not shown, since it hardly distinguishes lines; the JSON has it.
_LEFT_OUT: Final = frozenset(
    ["kind", "code", "entry", "message_id", "realm", "function", "prefixes"]
)


def log_line(moment: datetime, logged: LogLine) -> Line:
    """Return a line of the log, with its time, event and object."""
    bucket, key = logged.text("bucket"), logged.text("key")
    return line(
        Piece(shown_time(moment), FAINT),
        "  ",
        event_piece(logged.event),
        f"  s3://{bucket}/{key}" if bucket else "",
        *_about(logged),
    )


def event_piece(event: str) -> Piece:
    """Return the word for what happened, padded to the column."""
    return Piece(f"{event:<{WIDTH}}", STYLES.get(event, ""))


def listed(**names: str | None) -> str:
    """Return names with their kinds, such as ``trigger t, job j``, without missing ones."""
    return ", ".join(f"{what} {named(name)}" for what, name in names.items() if name)


def _about(logged: LogLine) -> Iterator[str | Piece]:
    """Yield trigger and jobs of a line, the reason, and its other fields."""
    names = listed(
        trigger=logged.text("trigger_id"), job=logged.text("job_id"), queue=logged.text("queue")
    )
    if names:
        yield f"  {names}"
    reason = logged.text("reason")
    if reason:
        yield f"{':' if names else ' '} {cut(reason)}"
    rest = [
        f"{name}={_value(value)}"
        for name, value in logged.fields.items()
        if name not in _TOLD and name not in _LEFT_OUT
    ]
    if rest:
        yield Piece(f"  {' '.join(rest)}", FAINT)


def _value(value: Any) -> str:
    return named(value) if isinstance(value, str) else cut(json.dumps(value))
