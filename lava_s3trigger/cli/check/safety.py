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
    findings = list(findings)
    if not any(finding.fix for finding in findings):
        return findings
    shared = _shared(findings)
    taken: dict[str, list[Span]] = {}
    possible = [
        finding if _is_possible(finding, shared, taken) else replace(finding, fix=None)
        for finding in findings
    ]
    moved = _Places(entries).safely_moved(possible)
    return [_with_safety(finding, moved) for finding in possible]


def _is_possible(
    finding: Finding, shared: set[tuple[str, int]], taken: dict[str, list[Span]]
) -> bool:
    """Return whether a correction can be written; it then takes its place in the file."""
    span = _span(finding)
    if not (span and finding.file) or (finding.file.name, span.start) in shared:
        return False
    others = taken.setdefault(finding.file.name, [])
    if not all(span.end <= other.start or other.end <= span.start for other in others):
        return False
    others.append(span)
    return True


def _with_safety(finding: Finding, moved: set[int]) -> Finding:
    """Return a finding whose correction says whether it is safe.

    Args:
        finding: The finding.
        moved: Identities of the entries that can be moved safely.
    """
    entry, fix = finding.entry, finding.fix
    if not (entry and fix):
        return finding
    is_safe = fix.is_safe and (not _new_key(entry, fix) or id(entry) in moved)
    return replace(finding, fix=replace(fix, is_safe=is_safe))


def _new_key(entry: Entry, fix: Fix) -> dict[str, str | None]:
    """Return the field that finds an entry, if a correction changes one, with its new value."""
    name = str(fix.value if fix.of_name else fix.path[0])
    if entry.kind != "trigger" or len(fix.path) > 1 or name not in KEYS:
        return {}
    return {name: entry.text(str(fix.path[0])) if fix.of_name else str(fix.value)}


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

    def safely_moved(self, findings: Iterable[Finding]) -> set[int]:
        """Make corrections of places, and return the identities of the entries they are safe for.

        All corrections of an entry are made at once, and entries are moved together to their new
        place: one that stayed behind would take keys from the others. Longer places are first,
        since an entry at a shorter one takes keys for which nothing fires now.
        """
        changed: dict[int, tuple[Entry, dict[str, str | None]]] = {}
        for finding in findings:
            entry, fix = finding.entry, finding.fix
            if entry and fix and fix.is_safe and (new := _new_key(entry, fix)):
                changed.setdefault(id(entry), (entry, {}))[1].update(new)
        arriving: dict[Place | None, list[Entry]] = {}
        for entry, new in changed.values():
            keys = _keys(entry) | new
            if self._by_id.get(keys["trigger_id"], entry) is entry:
                arriving.setdefault(_place(keys), []).append(entry)
        places = sorted(arriving, key=lambda place: len(place.prefix) if place else 0, reverse=True)
        return {
            id(entry)
            for place in places
            if self._move(arriving[place], place)
            for entry in arriving[place]
        }

    def _move(self, entries: list[Entry], new: Place | None) -> bool:
        """Move entries if no entry gets or loses keys by it, and return whether that is so."""
        # An entry that another one with its id replaces is not in the table.
        left = Counter(
            place
            for entry in entries
            if self._by_id.get(entry.id) is entry and (place := _place(_keys(entry)))
        )
        self._count -= left
        is_shared = any(new and place.bucket == new.bucket and self._count[place] for place in left)
        if is_shared or any(self._is_below(place) for place in [*left, new] if place):
            self._count += left
            return False
        self._count[new] += len(entries)
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
