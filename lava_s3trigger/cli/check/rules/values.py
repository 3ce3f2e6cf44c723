"""Rules on values that the function accepts, but that probably mean something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger import units
from lava_s3trigger.cli.check.findings import Fix, Found
from lava_s3trigger.units import shown

from .registry import rule
from .template_text import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .checked import CheckedEntries, CheckedEntry

_BOOLEANS: Final = ("enabled", "jinja")
_QUANTITIES: Final = ("delay", "if_size_gt", "if_not_size_gt")
_TRUE: Final = frozenset(["true", "t", "yes", "y", "on", "1"])
_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]+(\.[0-9]+)?\s*")
_MAX_MINUTES: Final = 15
_MAX_DIGITS: Final = 38
"""Digits of a number of DynamoDB."""
_NOT_RENDERED: Final = ("trigger_id", "bucket", "prefix", "enabled", "delay", "jinja")


@rule("LT141", "warning", "Number or boolean in quotes")
def quoted(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A field that takes a boolean or a number has it as a string.

    lava's own function takes every string as true, even `"false"`. Write the value without quotes.
    """
    for name in _BOOLEANS:
        value = checked.values.get(name)
        is_word = isinstance(value, str) and (value.lower() in _TRUE or not units.boolean(value))
        if is_word and _is_quoted(checked, name):
            truth = units.boolean(value)
            yield Found(
                f"{name}: {shown(value)} is a boolean in quotes",
                (name,),
                fix=Fix(truth, (name,)),
            )
    for name in _QUANTITIES:
        value = checked.values.get(name)
        if isinstance(value, str) and _NUMBER.fullmatch(value) and len(value) <= _MAX_DIGITS:
            is_integer = "." not in value
            fix = Fix(int(value), (name,)) if is_integer else Fix(float(value), (name,))
            yield Found(f"{name}: {shown(value)} is a number in quotes", (name,), fix=fix)


def _is_quoted(checked: CheckedEntry, name: str) -> bool:
    """Return whether a string is in quotes; LT010 reports those without."""
    node = checked.entry.node.find((name,)) if checked.entry.node else None
    return node is None or node.is_quoted


@rule("LT142", "warning", "Text that counts as true")
def counts_as_true(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """The text in `enabled` or `jinja` means neither true nor false, so it counts as true.

    `enabled: disabled` and `enabled: flase` enable the entry. Write `true` or `false`.
    """
    for name in _BOOLEANS:
        value = checked.values.get(name)
        if isinstance(value, str) and value.lower() not in _TRUE and units.boolean(value):
            yield Found(f"{name}: {shown(value)} counts as true", (name,))


@rule("LT143", "warning", "Delay without a unit")
def delay_without_unit(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """`delay` is a number from 1 to 15 without a unit, which means seconds.

    The longest delay is 15 minutes, so minutes were probably meant. Write `5s` or `5m`.
    """
    value = checked.values.get("delay")
    is_bare = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_bare = is_bare or (isinstance(value, str) and bool(_NUMBER.fullmatch(value)))
    if is_bare and 1 <= float(value or 0) <= _MAX_MINUTES:
        number = str(value).strip()
        yield Found(
            f"delay: {number} is {number} s; write {number}s, or {number}m for minutes", ("delay",)
        )


@rule("LT144", "warning", "White space around a value")
def white_space(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """An id, a bucket, a prefix or a pattern begins or ends with white space.

    The space is part of the value. Remove it, or ignore this rule if keys do have it.
    """
    named: list[tuple[tuple[str | int, ...], Any]] = [
        ((name,), checked.values.get(name)) for name in ("trigger_id", "bucket", "prefix")
    ]
    named += [(checked.job_id_path(n), job_id) for n, job_id in enumerate(checked.job_ids)]
    for name in ("if_fnmatch", "if_not_fnmatch", "if_event_type", "if_not_event_type"):
        named += checked.patterns(name)
    for path, value in named:
        if isinstance(value, str) and value.strip() != value:
            yield Found(f"{shown(value)} begins or ends with white space", path)


@rule("LT145", "warning", "Template that is not rendered")
def not_rendered(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A field that is not rendered holds a template.

    Only `job_id`, `parameters` and `globals` are templates. To choose by the key, use
    [conditions](triggers.md#conditions).
    """
    named: list[tuple[tuple[str | int, ...], Any]] = [
        ((name,), checked.values.get(name)) for name in _NOT_RENDERED
    ]
    for name in checked.item:
        if name.startswith("if_"):
            named += checked.patterns(name)
    for path, value in named:
        if isinstance(value, str) and MARK.search(value):
            yield Found(f"{shown(value)} is not rendered: it is used literally", path)


@rule("LT146", "info", "Description is missing")
def no_description(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A trigger has no `description`.

    Say in a sentence what it is for.
    """
    if not checked.values.get("description"):
        yield Found("description is missing")


@rule("LT147", "info", "Owner is missing")
def no_owner(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A trigger has no `owner`.

    Name the team or the address to ask about parked events.
    """
    if not checked.values.get("owner"):
        yield Found("owner is missing")


@rule("LT148", "warning", "enabled is empty")
def empty_enabled(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """`enabled` has no value, which counts as false, so the entry never fires.

    Write `enabled: true` or `enabled: false`.
    """
    if "enabled" in checked.item and checked.values.get("enabled", "") in (None, ""):
        yield Found("enabled is empty, which disables the entry", ("enabled",))
