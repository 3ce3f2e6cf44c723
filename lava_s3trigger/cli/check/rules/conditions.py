"""Rules on conditions that can never hold, or always do."""

from __future__ import annotations

import fnmatch
import math
import re
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.check.findings import Fix, Found
from lava_s3trigger.cli.objects.sample_keys import can_match
from lava_s3trigger.triggers import WHOLE_BUCKET
from lava_s3trigger.units import shown

from . import event_types
from .prefixes import WILDCARDS
from .registry import nearest, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .checked import CheckedEntries, CheckedEntry

_MAX_PREFIX_CHARACTERS: Final = 1024
_FNMATCH: Final = ("if_fnmatch", "if_not_fnmatch")
_EVENT_TYPE: Final = ("if_event_type", "if_not_event_type")
# They have no meaning in fnmatch, and few keys contain them.
_REGEX: Final = re.compile(r"\\[.dwsDWS/]|^\^|\$$|^\.\*|\([^)]*\|[^)]*\)|\]\+|\.\+|\.\*\\")
_SHELL: Final = (
    (re.compile(r"\[\^"), "[^...] does not exclude in a pattern; write [!...]"),
    # At the start, the folders of the prefix are enough for it.
    (re.compile(r"(?<=.)\*\*/"), "**/ is the same as */, so it needs a folder; write *"),
)
"""Syntax of shells that means something else in a pattern, each with what is wrong."""
_BRACES: Final = re.compile(r"\{([^{},]*(?:,[^{},]*)+)\}")
_MAX_BRACES: Final = 20
_MAX_COMPARED: Final = 10_000
"""Pairs of patterns of one entry that are compared."""


@rule("LT301", "warning", "Pattern matches no key below the prefix")
def impossible(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A pattern can match no key that reaches the entry.

    A pattern must match the whole key. At the prefix `incoming`, write `incoming/*.csv` or `*.csv`,
    not `a.csv` or `orders/*`.
    """
    prefix = checked.prefix
    if not prefix or prefix == WHOLE_BUCKET or len(prefix) > _MAX_PREFIX_CHARACTERS:
        return
    for name in _FNMATCH:
        for path, pattern in checked.patterns(name):
            if not can_match(pattern, prefix):
                yield Found(
                    f"{shown(pattern)} matches no key at or below the prefix {shown(prefix)};"
                    " a pattern must match the whole key",
                    path,
                )


@rule("LT302", "warning", "Pattern has regular expression or brace syntax")
def foreign_syntax(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    r"""A pattern has syntax of regular expressions or of shells, which `fnmatch` does not have.

    Only `*`, `?` and `[...]` are special. For `.*\.csv$` write `*.csv`; for `[^_]*` write `[!_]*`;
    for `in/**/*.csv`, which does not match `in/a.csv`, write `in/*.csv`. For `*.{csv,tsv}` write a
    list, as `--fix --unsafe-fixes` does: `["*.csv", "*.tsv"]`.
    """
    for name in (*_FNMATCH, *_EVENT_TYPE):
        for path, pattern in checked.patterns(name):
            braces = _BRACES.search(pattern)
            listed = (
                _expanded(pattern) if braces else _listed(pattern, checked.prefix or WHOLE_BUCKET)
            )
            if braces or len(listed) > 1:
                what = "braces mean" if braces else "a list in one text means"
                is_alone = len(path) == 1 and len(listed) <= _MAX_BRACES
                yield Found(
                    f"{shown(pattern)}: {what} nothing in a pattern; use a list of patterns",
                    path,
                    text=braces[0] if braces else None,
                    fix=Fix(listed, path, is_safe=False) if is_alone else None,
                )
            elif match := _REGEX.search(pattern):
                yield Found(
                    f"{shown(pattern)} looks like a regular expression; in a pattern only *, ?"
                    " and [...] are special",
                    path,
                    text=match[0],
                )
            else:
                for syntax, wrong in _SHELL:
                    if match := syntax.search(pattern):
                        yield Found(f"{shown(pattern)}: {wrong}", path, text=match[0])


def _listed(pattern: str, prefix: str) -> list[str]:
    """Return the patterns of a text such as `*.csv|*.tsv`, if each is a pattern by its own.

    A text such as `*/My Folder/*` is one pattern: `Folder/*` matches no key below the prefix.
    """
    parts = re.split(r"\s*[|,;]\s*|\s+", pattern.strip())
    is_any_folder = prefix != WHOLE_BUCKET or re.search(r"[|,;]", pattern)
    is_list = all(
        WILDCARDS.search(part)
        and (part[0] == "*" or (is_any_folder and "/" in part and can_match(part, prefix)))
        for part in parts
    )
    return parts if is_list else [pattern]


def _expanded(pattern: str) -> list[str]:
    braces = _BRACES.search(pattern)
    if not braces or len(pattern) > 1024:  # noqa: PLR2004 - the longest pattern that is read
        return [pattern]
    expanded: list[str] = []
    for alternative in braces[1].split(","):
        expanded += _expanded(pattern[: braces.start()] + alternative + pattern[braces.end() :])
        if len(expanded) > _MAX_BRACES:
            break
    return expanded


@rule("LT303", "warning", "Conditions exclude each other")
def exclusive(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """No object can meet all conditions of the entry, so it never fires.

    Remove one of the conditions. For an "or", write two entries at the same prefix.
    """
    for name, opposite in (_FNMATCH, _EVENT_TYPE):
        wanted = [pattern for _, pattern in checked.patterns(name)]
        excluding = [pattern for _, pattern in checked.patterns(opposite)]
        if not wanted and name not in checked.item:
            wanted = ["*"]
        if len(wanted) * len(excluding) > _MAX_COMPARED:
            continue
        if name == "if_fnmatch" and _excludes_prefix(checked, excluding):
            yield Found(f"{opposite} excludes every key below the prefix", (opposite,))
            continue
        if wanted and all(
            any(_covers(exclusion, pattern) for exclusion in excluding) for pattern in wanted
        ):
            yield Found(
                f"{opposite} excludes all that {name} lets through"
                if name in checked.item
                else f"{opposite} excludes everything",
                (opposite,),
            )
            continue
        if name == "if_event_type" and wanted and excluding:
            kinds = frozenset().union(*map(event_types.matched, wanted))
            if kinds and kinds <= frozenset().union(*map(event_types.matched, excluding)):
                yield Found(f"{opposite} excludes all that {name} lets through", (opposite,))
    above, limit = checked.size("if_size_gt"), checked.size("if_not_size_gt")
    if limit is not None and (limit < 0 or (above is not None and math.floor(limit) <= above)):
        value = shown(checked.values.get("if_not_size_gt"))
        yield Found(f"no size is above if_size_gt and up to {value}", ("if_not_size_gt",))


def _excludes_prefix(checked: CheckedEntry, excluding: list[str]) -> bool:
    """Return whether an excluding pattern matches all keys below the prefix."""
    prefix = checked.prefix
    if not prefix or prefix == WHOLE_BUCKET:
        return False
    # Characters that no pattern would name.
    return any(
        _covers(exclusion, f"{prefix}/\0\0\0") for exclusion in excluding if exclusion[-1:] == "*"
    )


def _covers(pattern: str, other: str) -> bool:
    """Return whether a pattern clearly matches everything that another one matches."""
    return pattern == other or (
        not re.search(r"[?\[]", pattern) and fnmatch.fnmatchcase(other, pattern)
    )


@rule("LT304", "warning", "Size condition with events that have no size")
def size_of_deletion(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """The entry asks for a minimum size, but its event types have no size.

    Events of deletions, tags and ACLs have the size 0, so not even `if_size_gt: 0` holds.
    """
    limit = checked.size("if_size_gt")
    if limit is None or limit < 0 or "if_event_type" not in checked.item:
        return
    allowed = checked.event_types
    for path, pattern in checked.patterns("if_event_type"):
        kinds = event_types.matched(pattern) & allowed
        if kinds and kinds <= event_types.WITHOUT_SIZE:
            yield Found(
                f"events of type {shown(pattern)} carry no size, so if_size_gt never holds", path
            )


@rule("LT305", "warning", "Event type does not exist")
def unknown_event_type(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A pattern of event types matches no type of S3 or EventBridge.

    Case matters, and no type begins with `s3:`. Write `ObjectCreated:*`, for example. See the
    [types by route](rendering.md#info).
    """
    for name in _EVENT_TYPE:
        for path, pattern in checked.patterns(name):
            if not event_types.matched(pattern):
                bare = pattern.removeprefix("s3:")
                close = bare if event_types.matched(bare) else _nearest(bare)
                yield Found(
                    f"no event of S3 or EventBridge has a type {shown(pattern)}"
                    + (f"; did you mean {shown(close)}?" if close else ""),
                    path,
                )


def _nearest(pattern: str) -> str | None:
    by_lower = {name.lower(): name for name in sorted(event_types.PATTERNS)}
    close = nearest(pattern.lower(), by_lower)
    return by_lower[close] if close else None


@rule("LT306", "warning", "Event types of one route only")
def one_route(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A condition on event types matches only types of S3, or only types of EventBridge.

    If events arrive by the other route, the entry never fires. Name the types of both, as in
    `["ObjectRemoved:*", "ObjectDeleted:*"]`, or ignore this rule if the route will not change.
    """
    for name in _EVENT_TYPE:
        patterns = [pattern for _, pattern in checked.patterns(name)]
        kinds = frozenset().union(*map(event_types.matched, patterns))
        for route, others, label in (
            (event_types.S3, event_types.EVENTBRIDGE, "S3"),
            (event_types.EVENTBRIDGE, event_types.S3, "EventBridge"),
        ):
            if kinds & route and not kinds & others:
                yield Found(f"only events that come from {label} have these types", (name,))


@rule("LT307", "warning", "Empty list of patterns")
def empty(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A condition has an empty list of patterns.

    `if_fnmatch: []` never holds, `if_not_fnmatch: []` always does. Remove the condition, or add
    patterns.
    """
    for name in (*_FNMATCH, *_EVENT_TYPE):
        value: Any = checked.values.get(name)
        if value in ([], ""):
            always = "always" if name.startswith("if_not_") else "never"
            yield Found(f"{name} is empty, so it {always} holds", (name,))
