"""Tables of DynamoDB: items, queries in pages, and conditional writes."""

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple

from .expressions import Value, update
from .faults import invalid

Item = dict[str, dict[str, Any]]
"""An item of DynamoDB, as its low-level client has it."""

READ_UNIT_BYTES: Final = 4096
PAGE_BYTES: Final = 1024 * 1024
"""Bytes of items that DynamoDB reads for one page."""
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_MAX_PARTITION_KEY_BYTES: Final = 2048
_MAX_SORT_KEY_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Keys:
    """The key attributes of a table or an index; they must be strings."""

    partition: str
    sort: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.partition, self.sort) if self.sort else (self.partition,)

    def check(self, values: Mapping[str, Value]) -> None:
        """Refuse what DynamoDB refuses as the values of these keys."""
        for name, value in values.items():
            text = value.get("S")
            is_sort = name == self.sort
            most = _MAX_SORT_KEY_BYTES if is_sort else _MAX_PARTITION_KEY_BYTES
            if text is None:
                raise invalid(f"The provided key element {name} does not match the schema")
            if not text:
                raise invalid(f"The AttributeValue for a key attribute cannot be empty: {name}")
            if len(text.encode(errors="surrogatepass")) > most:
                raise invalid(f"Size of {name} has exceeded the maximum size limit of {most}")

    def check_whole(self, key: Mapping[str, Value]) -> None:
        """Refuse what is not the whole key of an item."""
        if set(key) != set(self.names):
            raise invalid("The provided key element does not match the schema")
        self.check(key)


class _Placed(NamedTuple):
    place: tuple[str, ...]
    item: Item
    size: int


class Page(NamedTuple):
    """A page of the answer to a query."""

    items: list[Item]
    last: Item | None
    """The key after which the next page starts, if there may be one."""


class Table:
    """A table of DynamoDB.

    Items are never changed in place, so a table is copied by copying `items`.

    Args:
        keys: The key attributes.
        indexes: Those of its global secondary indexes, by name.
    """

    def __init__(self, keys: Keys, indexes: Mapping[str, Keys] | None = None) -> None:
        self.keys = keys
        self.indexes = dict(indexes or {})
        self.items: dict[tuple[str, ...], Item] = {}
        self.page: int | None = None
        """Items that a page holds at most, where it should hold fewer than DynamoDB's."""
        self.read_units = 0.0
        """Read units that eventually consistent reads have consumed."""
        self._partitions: dict[Keys, dict[str, list[_Placed]]] = {}
        """The items of each index that was queried since the last write, in order."""

    def put(self, *entries: Mapping[str, Any]) -> None:
        """Put entries of plain values, whatever DynamoDB would say."""
        from lava_s3trigger.cli.entries.dynamodb import attribute_of  # noqa: PLC0415 - see __init__

        for entry in entries:
            self.put_item({name: attribute_of(value) for name, value in entry.items()})

    def put_item(self, item: Item) -> None:
        self.items[self.key_of(item)] = item
        self._partitions.clear()

    def remove(self, *key: str) -> None:
        del self.items[key]
        self._partitions.clear()

    def key_of(self, item: Mapping[str, Value]) -> tuple[str, ...]:
        return tuple(item[name]["S"] for name in self.keys.names)

    def get(self, key: Item) -> Item | None:
        self.keys.check_whole(key)
        item = self.items.get(self.key_of(key))
        self.read_units += read_units(size_of_item(item) if item else 0)
        return item

    def update(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Write to an item where a condition holds: the operation ``UpdateItem``."""
        self.keys.check_whole(request["Key"])
        before = self.items.get(self.key_of(request["Key"]))
        after, answer = update(before, request)
        self.put_item({name: dict(value) for name, value in after.items()})
        return answer

    def query(
        self, keys: Keys, wanted: Item, start: Item | None = None, limit: int | None = None
    ) -> Page:
        """Return one page of the items that have the wanted values.

        Args:
            keys: Those of the table or of an index.
            wanted: Values of the partition key and perhaps of the sort key.
            start: The key after which the page starts.
            limit: Maximum of items.
        """
        names = self._order(keys)
        found = self._partition(keys).get(wanted[keys.partition]["S"], [])
        first, end = 0, len(found)
        if keys.sort in wanted:
            text = wanted[keys.sort]["S"]
            first = bisect.bisect_left(found, text, key=lambda placed: placed.place[0])
            end = bisect.bisect_right(found, text, key=lambda placed: placed.place[0])
        if start:
            after = tuple(start[name]["S"] for name in names)
            first = max(first, bisect.bisect_right(found, after, key=attrgetter("place")))
        most = min(limit or end + 1, self.page or end + 1)
        items: list[Item] = []
        size = 0
        for placed in found[first:end]:
            # DynamoDB does not look whether anything follows.
            if len(items) == most or size >= PAGE_BYTES:
                break
            items.append(placed.item)
            size += placed.size
        self.read_units += read_units(size)
        is_last = len(items) < most and first + len(items) == end
        return Page(items, None if is_last else {name: items[-1][name] for name in names})

    def _order(self, keys: Keys) -> tuple[str, ...]:
        """Return the attributes by which the items of an index are sorted."""
        sort = [keys.sort] if keys.sort else []
        return tuple(dict.fromkeys([*sort, *self.keys.names, keys.partition]))

    def _partition(self, keys: Keys) -> dict[str, list[_Placed]]:
        if keys not in self._partitions:
            names = self._order(keys)
            partitions: dict[str, list[_Placed]] = {}
            for item in self.items.values():
                place = tuple(item.get(name, {}).get("S", "") for name in names)
                if all(place):  # an item that lacks a key of an index is not in it
                    placed = _Placed(place, item, size_of_item(item))
                    partitions.setdefault(item[keys.partition]["S"], []).append(placed)
            for found in partitions.values():
                found.sort(key=attrgetter("place"))
            self._partitions[keys] = partitions
        return self._partitions[keys]


def size_of(value: Mapping[str, Any]) -> int:
    """Return the bytes of an attribute value, as DynamoDB counts them.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    [(kind, content)] = value.items()
    if kind == "S":
        return len(content.encode(errors="surrogatepass"))
    if kind == "N":
        return len(content) // 2 + 2
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size_of(each) for name, each in content.items())
    if kind == "L":
        return 3 + sum(1 + size_of(each) for each in content)
    return 1


def size_of_item(item: Mapping[str, Value]) -> int:
    return sum(
        len(name.encode(errors="surrogatepass")) + size_of(value) for name, value in item.items()
    )


def read_units(size: int) -> float:
    """Return the read units of an eventually consistent read of some bytes."""
    return max(1, math.ceil(size / READ_UNIT_BYTES)) / 2
