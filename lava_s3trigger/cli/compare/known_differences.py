"""The differences from lava's function that a comparison shows, and other causes.

The table of docs/design.md has the rows from LD01 on.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .differences import Difference, Outcome

_BREAKS_JSON: Final = re.compile(r'["\\\x00-\x1f]')
_QUOTED_LITERAL: Final = re.compile(r'(?:\{\{|\{%)(?:(?!\}\}|%\}).)*"')
_SIZELESS: Final = re.compile(
    r"(ObjectRemoved|LifecycleExpiration|ObjectTagging|ObjectAcl|ObjectAnnotation(Created|Removed)?):"
)
_EVENTBRIDGE: Final = re.compile(r"Object[^:]*")


class Row(NamedTuple):
    """An explanation."""

    id: str
    title: str
    explains: Callable[[Outcome, Iterable[Outcome], Mapping[str, Any]], bool]
    """Returns whether it explains an outcome. Its other arguments are all outcomes of both
    functions for the object, and the item of the trigger's entry (empty: unknown)."""


def _has_no_size(ours: Outcome, *_: Any) -> bool:
    event_type = ours.event_type or ""
    return bool(_SIZELESS.match(event_type) or _EVENTBRIDGE.fullmatch(event_type))


def _has_bad_neighbour(ours: Outcome, related: Iterable[Outcome], _: Any) -> bool:
    others = (other.outcome for other in related if other.trigger_id != ours.trigger_id)
    return "user_error" in others


def _breaks_json(ours: Outcome, *_: Any) -> bool:
    return bool(_BREAKS_JSON.search(ours.key or ""))


def _has_quoted_literal(_: Outcome, __: Any, entry: Mapping[str, Any]) -> bool:
    templates = [entry.get(name) for name in ("job_id", "parameters", "globals")]
    return bool(_QUOTED_LITERAL.search(json.dumps(templates, default=str)))


def _is_matched_otherwise(ours: Outcome, _: Any, entry: Mapping[str, Any]) -> bool:
    return any("fnmatch" in name for name in entry) and bool(re.search("[+%]", ours.key or ""))


def _begins_with_slash(ours: Outcome, *_: Any) -> bool:
    return (ours.key or "").startswith("/")


ROWS: Final = (
    Row("LD02", "handles an event without a size or a reason", _has_no_size),
    Row("LD04", "confines an error to its record or entry", _has_bad_neighbour),
    Row("LD05", "delivers every key exactly", _breaks_json),
    Row("LD06", "allows double quotes in templates", _has_quoted_literal),
    Row("LD09", "shows if_fnmatch the key itself", _is_matched_otherwise),
    Row("LD11", "looks up keys that begin with /", _begins_with_slash),
)
"""Explain dispatches that lava's function did not send, or sent differently."""
SILENT: Final = ("LD01", "LD03", "LD10", "LD15")
"""Because of them lava's function leaves out dispatches, and nothing shows why."""


def _entry_changed(one: Outcome, related: Iterable[Outcome], _: Any) -> bool:
    digests = {other.entry for other in related if other.trigger_id == one.trigger_id}
    return len(digests - {None}) > 1


def _is_duplicate(one: Outcome, related: Iterable[Outcome], _: Any) -> bool:
    return one.outcome == "dispatched" and any(other.kind == "duplicate" for other in related)


def _has_failed(one: Outcome, related: Iterable[Outcome], _: Any) -> bool:
    about = (None, one.trigger_id)
    return any(other.outcome == "failed" and other.trigger_id in about for other in related)


CAUSES: Final = (
    Row("entry", "the entry changed between both", _entry_changed),
    Row("duplicate", "one function took the event for a duplicate", _is_duplicate),
    Row("failure", "a delivery failed, and had not come again by then", _has_failed),
)
"""Explain differences between any two functions."""


def explanation(
    difference: Difference, entries: Mapping[str | None, Mapping[str, Any]], *, is_lavas: bool
) -> Row | None:
    """Return the row that explains a difference, or None.

    Args:
        difference: The difference.
        entries: Items of trigger entries, by trigger id, as far as they are known.
        is_lavas: Whether the other function is lava's own.
    """
    entry = entries.get(difference.outcome.trigger_id, {})
    rows = (*CAUSES, *ROWS) if is_lavas and difference.is_ours and difference.equal == 1 else CAUSES
    explaining = (
        row for row in rows if row.explains(difference.outcome, difference.related, entry)
    )
    return next(explaining, None)
