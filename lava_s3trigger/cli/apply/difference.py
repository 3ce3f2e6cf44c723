"""Differences between entries of files and those of a realm's table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.entries.dynamodb import canonical
from lava_s3trigger.cli.entries.load import Entry
from lava_s3trigger.triggers import is_custom
from lava_s3trigger.units import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lava_s3trigger.cli.entries.dynamodb import Attribute

    Item = dict[str, Attribute]

Kind = Literal["new", "changed", "deleted"]
KINDS: Final[tuple[Kind, ...]] = ("new", "changed", "deleted")
"""In the order in which they are written, so that no key is without an entry in between."""
SET_FIELD: Final = "x-s3trigger-set"
"""The custom field that names the set to which an entry belongs."""
FRAMEWORK_FIELD: Final = "x-lava-chk"
"""The custom field of entries that lava's job framework installs."""
_ONLY_IN_FILES: Final = frozenset(["x-tests", "x-lint-ignore"])
"""Custom fields that are not written, since each read of the entry would pay for them."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one entry of the table."""

    trigger_id: str
    before: Item | None
    """The item as it was read; None if there is none."""
    after: Item | None
    """The new item; None if the entry is deleted."""
    source: str = ""
    """The source of the entry, for people."""

    @property
    def kind(self) -> Kind:
        """The kind of change."""
        if self.before is None:
            return "new"
        return "deleted" if self.after is None else "changed"

    def values(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the values of the fields that differ, before and after."""
        before, after = self.before or {}, self.after or {}
        names = [
            name for name in {**before, **after} if _value(before, name) != _value(after, name)
        ]
        return _plain(before, names), _plain(after, names)


@dataclass(slots=True)
class Difference:
    """The differences between files and a table."""

    changes: list[Change] = field(default_factory=list)
    unchanged: int = 0
    gone: list[Entry] = field(default_factory=list)
    """Entries of the set that the files do not have."""
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    """Trigger ids of entries that must not be written, each with the reason."""


def difference(
    files: Iterable[Entry],
    table: Iterable[Entry],
    set_name: str,
    *,
    adopts: bool = False,
    prunes: bool = False,
) -> Difference:
    """Compare entries of files with those of the table.

    Args:
        files: Trigger entries, each with a different id.
        table: All entries of the table.
        set_name: Name of the set to which the entries of files belong.
        adopts: Whether to take over entries that are not in the set.
        prunes: Whether to delete entries of the set that the files do not have.
    """
    result = Difference()
    existing = {entry.id: entry for entry in table}
    ids = set()
    for entry in files:
        trigger_id = str(entry.id)
        ids.add(trigger_id)
        before = existing.get(trigger_id)
        reason = _conflict(entry, before, set_name, adopts=adopts)
        after = item_of(entry, set_name)
        if reason:
            result.conflicts.append((trigger_id, reason))
        elif before and is_same(before.item, after):
            result.unchanged += 1
        else:
            item = before.item if before else None
            result.changes.append(Change(trigger_id, item, after, entry.source))
    result.gone = [
        entry
        for entry in existing.values()
        if set_of(entry.item) == set_name and entry.id not in ids
    ]
    if prunes:
        result.changes += [Change(str(entry.id), entry.item, None) for entry in result.gone]
    return result


def after_changes(table: Iterable[Entry], changes: Sequence[Change]) -> list[Entry]:
    """Return the entries of the table after the changes."""
    changed = {change.trigger_id for change in changes}
    kept = [entry for entry in table if entry.id not in changed]
    return [
        *kept,
        *(Entry("trigger", change.after, change.source) for change in changes if change.after),
    ]


def item_of(entry: Entry, set_name: str) -> Item:
    """Return the item to write for an entry of a file."""
    item = {name: value for name, value in entry.item.items() if name not in _ONLY_IN_FILES}
    return {**item, SET_FIELD: {"S": set_name}}


def set_of(item: Item) -> str | None:
    """Return the name of the set to which an entry belongs, if it belongs to one."""
    name = item.get(SET_FIELD, {}).get("S")
    return name if isinstance(name, str) else None


def is_same(one: Item, other: Item) -> bool:
    """Return whether two entries are the same for the function, and belong to the same set."""
    return set_of(one) == set_of(other) and _own(one) == _own(other)


def is_equal(one: Item | None, other: Item | None) -> bool:
    """Return whether two items are equal in all of their fields, or both are None."""
    if one is None or other is None:
        return one is other
    return bool(canonical({"M": one}) == canonical({"M": other}))


def _own(item: Item) -> dict[str, Any]:
    return {name: canonical(value) for name, value in item.items() if not is_custom(name)}


def _value(item: Item, name: str) -> Any:
    return canonical(item[name]) if name in item else None


def _plain(item: Item, names: Sequence[str]) -> dict[str, Any]:
    plain = {}
    for name in names:
        if name in item:
            try:
                plain[name] = value_of(item[name], name)
            except ValueError:  # binary, which JSON does not have
                plain[name] = "(binary)"
    return plain


def _conflict(entry: Entry, before: Entry | None, set_name: str, *, adopts: bool) -> str | None:
    """Return why an entry must not be written."""
    named = set_of(entry.item)
    if named not in (None, set_name):
        return f"{entry.source} says that it is of the set {shown(named)}: remove {SET_FIELD} there"
    if FRAMEWORK_FIELD in entry.item:
        return (
            f"{entry.source} is of lava's job framework ({FRAMEWORK_FIELD}): install it with the"
            " framework, or remove the field from a copy of your own"
        )
    if before is None:
        return None
    if FRAMEWORK_FIELD in before.item:
        return (
            f"lava's job framework installed the entry in the table ({FRAMEWORK_FIELD}): change it"
            " there, or give yours another trigger_id"
        )
    owner = set_of(before.item)
    if owner != set_name and not adopts:
        of = "of no set" if owner is None else f"of the set {shown(owner)}"
        return f"the entry in the table is {of}: give yours another trigger_id, or give --adopt"
    return None
