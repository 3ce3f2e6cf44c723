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

_WIDTH: Final = 10
_TOLD: Final = frozenset(["bucket", "key", "trigger_id", "job_id", "queue", "reason"])
# What tells most lines apart from none: the JSON has it.
_LEFT_OUT: Final = frozenset(["kind", "entry", "message_id", "realm", "function", "prefixes"])


def log_line(moment: datetime, found: LogLine) -> Line:
    """Return a line of the log, with its time, event and object."""
    pieces: list[str | Piece] = [
        Piece(shown_time(moment), FAINT),
        "  ",
        Piece(f"{found.event:<{_WIDTH}}", STYLES.get(found.event, "")),
    ]
    if found.text("bucket"):
        pieces.append(f"  s3://{found.text('bucket')}/{found.text('key')}")
    return line(*pieces, *told(found))


def told(found: LogLine) -> Iterator[str | Piece]:
    """Yield what a line tells of a trigger and of its jobs, why, and its other fields."""
    names = [
        f"{what} {named(text)}"
        for what, text in (
            ("trigger", found.text("trigger_id")),
            ("job", found.text("job_id")),
            ("queue", found.text("queue")),
        )
        if text
    ]
    if names:
        yield f"  {', '.join(names)}"
    reason = found.text("reason")
    if reason:
        yield f"{':' if names else ' '} {cut(reason)}"
    rest = [
        f"{name}={_value(value)}"
        for name, value in found.fields.items()
        if name not in _TOLD and name not in _LEFT_OUT
    ]
    if rest:
        yield Piece(f"  {' '.join(rest)}", FAINT)


def _value(value: Any) -> str:
    return named(value) if isinstance(value, str) else cut(json.dumps(value))
