"""Decides which corrections of `check` can be made, and which affect only their own entry.

A corrected prefix may hide entries at shorter prefixes, or free them. Such a correction is not
safe. Neither is one after which an entry no longer fires for an object that it fires for now.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from lava_s3trigger.triggers import KEYS, WHOLE_BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.cli.entries.positions import Span

    from .findings import Finding, Fix


_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_PLAIN: Final = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n"])
_TYPED: Final = re.compile(r'\{\s*"[A-Z]{1,4}"\s*:\s*$')


class Place(NamedTuple):
    """The bucket and prefix at which the function finds an entry."""

    bucket: str
    prefix: str


def with_corrections(findings: Iterable[Finding], entries: Iterable[Entry]) -> list[Finding]:
    """Return findings without impossible corrections; the others are marked as safe or not.

    Args:
        findings: The findings.
        entries: All entries of the run.
    """
    checked: list[Finding] = []
    findings = list(findings)
    if not any(finding.fix for finding in findings):
        return findings
    shared = _shared(findings)
    taken: dict[str, list[Span]] = {}
    places = _Places(entries)
    for finding in findings:
        span, fix = _span(finding), finding.fix
        if not (fix and span and finding.file and finding.entry):
            checked.append(replace(finding, fix=None))
            continue
        others = taken.setdefault(finding.file.name, [])
        is_free = all(span.end <= other.start or other.end <= span.start for other in others)
        if not is_free or (finding.file.name, span.start) in shared:
            checked.append(replace(finding, fix=None))
            continue
        others.append(span)
        is_safe = fix.is_safe and places.move(finding.entry, fix)
        checked.append(replace(finding, fix=replace(fix, is_safe=is_safe)))
    return checked


def _span(finding: Finding) -> Span | None:
    """Return the span that a correction replaces; None if it cannot be replaced."""
    entry, fix, file = finding.entry, finding.fix, finding.file
    if not (entry and entry.node and fix and file):
        return None
    span, whole = entry.span(*fix.path, of_name=fix.of_name), entry.node.span
    # Fields that are merged into an entry are elsewhere in the file.
    if span is None or not (whole.start <= span.start and span.end <= whole.end):
        return None
    return span if written(file.text, span.start, span.end, fix) is not None else None


def _shared(findings: Iterable[Finding]) -> set[tuple[str, int]]:
    """Return the places in files that several entries share, as through anchors of YAML."""
    owners: dict[tuple[str, int], set[int]] = {}
    for finding in findings:
        entry, fix = finding.entry, finding.fix
        span = entry.span(*fix.path, of_name=fix.of_name) if entry and fix else None
        if span and finding.file:
            owners.setdefault((finding.file.name, span.start), set()).add(id(finding.entry))
    return {place for place, own in owners.items() if len(own) > 1}


def written(text: str, start: int, end: int, fix: Fix) -> str | None:
    """Return a correction as text for the file; None if it cannot be written.

    Args:
        text: The text of the file.
        start: Start of the value that it replaces.
        end: End of that value.
        fix: The correction.
    """
    old, value = text[start:end], fix.value
    if not old or old[0] in "&*!|>":  # an anchor, an alias, a tag, a block
        return None
    is_typed = bool(_TYPED.search(text, max(0, start - 64), start))
    if not isinstance(value, str):
        # DynamoDB's JSON has the type next to the value.
        return None if is_typed else json.dumps(value, ensure_ascii=False)
    if old[0] == '"':
        return json.dumps(value, ensure_ascii=False)
    if old[0] == "'":
        return "'" + value.replace("'", "''") + "'"
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN and value != old:
        return value
    return json.dumps(value, ensure_ascii=False)


class _Places:
    """The places of entries, while corrections are made one after another."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        triggers = [entry for entry in entries if entry.kind == "trigger"]
        self._by_id = {entry.id: entry for entry in triggers if _place(_keys(entry))}
        self._count = Counter(_place(_keys(entry)) for entry in self._by_id.values())

    def move(self, entry: Entry, fix: Fix) -> bool:
        """Make a correction if no other entry gets or loses keys by it; return whether it does."""
        if entry.kind != "trigger":
            return True
        before = _keys(entry)
        name = str(fix.value if fix.of_name else fix.path[0])
        if len(fix.path) > 1 or name not in KEYS:
            return True
        value = entry.text(str(fix.path[0])) if fix.of_name else str(fix.value)
        after = before | {name: value}
        new_id = after.get("trigger_id")
        if self._by_id.get(new_id, entry) is not entry:
            return False
        # An entry that another one with its id replaces is not in the table.
        is_there = self._by_id.get(entry.id) is entry
        old, new = _place(before) if is_there else None, _place(after)
        if old:
            self._count[old] -= 1
        if (old and self._is_below(old)) or (new and self._is_below(new)):
            self._count[old] += bool(old)
            return False
        self._count[new] += 1
        return True

    def _is_below(self, place: Place) -> bool:
        """Return whether keys at a place would reach other entries if this place had none."""
        if self._count[place] > 0:
            return False
        return any(
            count > 0
            and other
            and other.bucket == place.bucket
            and (other.prefix == WHOLE_BUCKET or place.prefix.startswith(f"{other.prefix}/"))
            for other, count in self._count.items()
        )


def _keys(entry: Entry) -> dict[str, str | None]:
    return {name: entry.text(name) for name in KEYS}


def _place(keys: dict[str, str | None]) -> Place | None:
    bucket, prefix = keys["bucket"], keys["prefix"]
    return Place(bucket, prefix) if keys["trigger_id"] and bucket and prefix else None
