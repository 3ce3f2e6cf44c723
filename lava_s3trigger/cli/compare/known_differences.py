"""The differences from lava's function, and which of them explains what two functions did.

The table of docs/design.md has the same rows.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .differences import without_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .differences import Difference

_RENDERING: Final = frozenset(["rendering_failed", "aborted"])
_SIZELESS: Final = ("ObjectRemoved:", "LifecycleExpiration:", "ObjectTagging:", "ObjectAcl:")
_BREAKS_JSON: Final = re.compile(r'["\\\x00-\x1f]')
_QUOTED_LITERAL: Final = re.compile(r'(?:\{\{|\{%)(?:(?!\}\}|%\}).)*"', re.DOTALL)

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of differences from lava's function."""

    id: str
    title: str
    explains: Callable[[Difference, Entry], bool] | None = None
    """Tells whether it explains a difference, given the trigger's entry (empty: unknown).
    None: no log and no message shows it."""
    is_silent: bool = False
    """Whether lava's function leaves out dispatches by it, and nothing shows why."""


def _key_breaks_json(found: Difference, _: Entry) -> bool:
    is_broken = found.is_ours_alone or bool(found.changes)
    return is_broken and bool(_BREAKS_JSON.search(found.key or ""))


def _has_no_size(found: Difference, _: Entry) -> bool:
    ours = found.our_outcome
    if not found.is_ours_alone or ours is None or ours.event_type is None:
        return False
    is_eventbridge = ours.event_type.startswith("Object") and ":" not in ours.event_type
    return ours.event_type.startswith((*_SIZELESS, "ObjectDeleted")) or is_eventbridge


def _has_bad_neighbour(found: Difference, _: Entry) -> bool:
    return found.is_ours_alone and any(
        each.outcome == "user_error" and each.trigger_id != found.trigger_id
        for each in found.our_others
    )


def _has_quoted_literal(found: Difference, entry: Entry) -> bool:
    return found.is_ours_alone and any(
        _QUOTED_LITERAL.search(text)
        for name in ("job_id", "parameters", "globals")
        for text in _texts(entry.get(name))
    )


def _is_decoded_again(found: Difference, _: Entry) -> bool:
    return bool(found.changes) and all(
        each.theirs == _decoded(each.ours) != each.ours for each in found.changes
    )


def _is_refused_here(found: Difference, _: Entry) -> bool:
    ours = found.our_outcome
    return found.is_theirs_alone and ours is not None and ours.kind in _RENDERING


def _is_matched_otherwise(found: Difference, entry: Entry) -> bool:
    has_condition = not entry or any("fnmatch" in name for name in entry)
    reason = (found.our_outcome.reason or "") if found.our_outcome else ""
    is_told = bool(entry) or "fnmatch" in reason
    is_one_sided = found.is_ours_alone or found.is_theirs_alone
    return is_one_sided and has_condition and is_told and bool(re.search(r"[+%]", found.key or ""))


def _begins_with_slash(found: Difference, _: Entry) -> bool:
    return found.is_ours_alone and (found.key or "").startswith("/")


def _is_disabled_by_text(found: Difference, entry: Entry) -> bool:
    ours = found.our_outcome
    is_disabled = ours is not None and ours.kind == "trigger_disabled"
    return found.is_theirs_alone and is_disabled and isinstance(entry.get("enabled"), str)


def _is_set(found: Difference, _: Entry) -> bool:
    return bool(found.changes) and all(
        isinstance(each.theirs, str)
        and bool(re.fullmatch(r"\{.*\}|set\(\)", each.theirs, re.DOTALL))
        and (isinstance(each.ours, list) or str(each.ours).startswith("["))
        for each in found.changes
    )


ROWS: Final = (
    Row("LD01", "returns an event after an AWS error, and parks it after a user error", None, True),
    Row("LD02", "handles an event without a size or a reason", _has_no_size),
    Row("LD03", "understands every nesting", None, True),
    Row("LD04", "confines an error to its record or entry", _has_bad_neighbour),
    Row("LD05", "delivers every key exactly", _key_breaks_json),
    Row("LD06", "allows double quotes in templates", _has_quoted_literal),
    Row("LD07", "leaves the output of an expression unchanged", _is_decoded_again),
    Row("LD08", "runs templates in a sandbox, with limits", _is_refused_here),
    Row("LD09", "shows if_fnmatch the key itself", _is_matched_otherwise),
    Row("LD10", "reads all pages of entries", None, True),
    Row("LD11", "looks up keys that begin with /", _begins_with_slash),
    Row("LD12", 'treats "enabled": "false" as disabled', _is_disabled_by_text),
    Row("LD13", "turns a set into a sorted list", _is_set),
    Row("LD14", "counts no object without a trigger as an error"),
    Row("LD15", "remembers an event only when it is done", None, True),
    Row("LD16", "keeps AWS clients and templates"),
)
SILENT: Final = tuple(row.id for row in ROWS if row.is_silent)


def _entry_changed(found: Difference, _: Entry) -> bool:
    pair = (found.our_outcome, found.their_outcome)
    digests = [each.entry for each in pair if each is not None and each.entry]
    return len(set(digests)) > 1


def _is_duplicate(found: Difference, _: Entry) -> bool:
    is_logged = any(each.kind == "duplicate" for each in (*found.our_others, *found.their_others))
    is_counted = found.ours.startswith("dispatched") and found.theirs.startswith("dispatched")
    return is_logged and (is_counted or found.is_ours_alone or found.is_theirs_alone)


def _has_failed(found: Difference, _: Entry) -> bool:
    return any(
        each.outcome == "failed" and each.trigger_id in (None, found.trigger_id)
        for each in (*found.our_others, *found.their_others)
    )


def _is_made_anew(found: Difference, _: Entry) -> bool:
    return bool(found.changes) and all(
        isinstance(each.ours, str)
        and isinstance(each.theirs, str)
        and each.ours != each.theirs
        and without_moment(each.ours) == without_moment(each.theirs)
        for each in found.changes
    )


CAUSES: Final = (
    Row("entry", "the entry changed between both", _entry_changed),
    Row("duplicate", "one function took the event for a duplicate", _is_duplicate),
    Row("failure", "a delivery failed, and had not come again by then", _has_failed),
    Row("moment", "a time or a UUID, made anew at each rendering", _is_made_anew),
)
"""What explains differences between any two functions."""


def explanation(found: Difference, entries: Mapping[str, Entry], *, is_lavas: bool) -> Row | None:
    """Return what explains a difference; None if nothing does.

    Args:
        found: The difference.
        entries: Trigger entries, by trigger id, as far as they are known.
        is_lavas: Whether the other function is lava's own.
    """
    entry = entries.get(found.trigger_id or "", {})
    rows: tuple[Row, ...] = (*CAUSES, *ROWS) if is_lavas else CAUSES
    for row in rows:
        if row.explains and row.explains(found, entry):
            return row
    return None


def _decoded(value: Any) -> Any:
    try:
        return json.loads(f'"{value}"') if isinstance(value, str) else value
    except ValueError:
        return value


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in (*value, *value.values()):
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
