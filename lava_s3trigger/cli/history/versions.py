"""Versions of a trigger entry: what differs between the one that the log names and that of now."""

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
    """Finds versions of entries by their digests, which are all that the log has of them.

    Args:
        entries: Earlier versions of entries, any number for each trigger.
    """

    entries: Iterable[Entry] = ()

    def differences(self, now: Entry, digest: str) -> list[dict[str, Any]] | None:
        """Return what differs between a version of an entry and that of now.

        Args:
            now: The entry as it is now.
            digest: That of the version; see `entry_digest`.

        Returns:
            For each field that differs its name, and its values then and now, each if the
            entry had it; None where nothing is known of that version.
        """
        for then in self._candidates(now):
            if entry_digest(then) == digest:
                return list(_differing(then, now.item))
        return None

    def _candidates(self, now: Entry) -> Iterator[Item]:
        """Yield items that may be the version, the one of now first."""
        yield now.item
        for entry in self.entries:
            if entry.id == now.id:
                yield entry.item
        # Most changes are of one field. What a field was before cannot be guessed, but that
        # it was not there can, and so can a switch.
        switched: Attribute = {"BOOL": now.item.get("enabled") != {"BOOL": True}}
        yield {**now.item, "enabled": switched}
        for name in now.item:
            if name not in KEYS:
                yield {field: value for field, value in now.item.items() if field != name}


def _differing(then: Item, now: Item) -> Iterator[dict[str, Any]]:
    for name in sorted({*then, *now}):
        if is_custom(name):
            continue  # digests leave them out, so nothing is known of them
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
    except ValueError:  # binary, which JSON cannot hold
        return "(binary)"
