"""Versions of a trigger entry: the differences between the one in the log and the current one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.triggers import KEYS, entry_digest, is_custom

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.cli.entries.dynamodb import Attribute
    from lava_s3trigger.cli.entries.load import Entry

    Item = dict[str, Attribute]


@dataclass(slots=True)
class EntryVersions:
    """Finds versions of entries by their digests: the log has nothing else of them.

    Args:
        entries: Earlier versions of entries, any number for each trigger.
    """

    entries: Iterable[Entry] = ()

    def differences(self, now: Entry, digest: str) -> list[dict[str, Any]] | None:
        """Return the differences between a version of an entry and the current one.

        Args:
            now: The current entry.
            digest: The digest of the version; see `entry_digest`.

        Returns:
            For each differing field the name and its values then and now, as far as the entry
            had it; None if the version is unknown.
        """
        for then in self._candidates(now):
            if entry_digest(then) == digest:
                return list(_differing(then, now.item))
        return None

    def _candidates(self, now: Entry) -> Iterator[Item]:
        """Yield items that may be the version, the current one first."""
        yield now.item
        for entry in self.entries:
            if entry.id == now.id:
                yield entry.item
        # Most changes are of one field. Its former value cannot be guessed, except if the field
        # was missing or is a boolean.
        switched: Attribute = {"BOOL": now.item.get("enabled") != {"BOOL": True}}
        yield {**now.item, "enabled": switched}
        for name in now.item:
            if name not in KEYS:
                yield {field: value for field, value in now.item.items() if field != name}


def _differing(then: Item, now: Item) -> Iterator[dict[str, Any]]:
    for name in sorted({*then, *now}):
        if is_custom(name):
            continue  # digests leave them out, so these fields are unknown
        versions = {
            when: _plain(name, item[name])
            for when, item in (("then", then), ("now", now))
            if name in item
        }
        if then.get(name) != now.get(name):
            yield {"field": name, **versions}


def _plain(name: str, attribute: Attribute) -> Any:
    try:
        return value_of(attribute, name)
    except ValueError:  # binary, which JSON does not have
        return "(binary)"
