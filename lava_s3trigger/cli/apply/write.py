"""Writes changes to a realm's table, each only if the entry is still as it was read."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.streams import message
from lava_s3trigger.conditions import KINDS
from lava_s3trigger.triggers import FIELDS, INDEX, NOT_CHECKED
from lava_s3trigger.units import shown

from .difference import SET_FIELD, is_equal
from .effects import level_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.entries.dynamodb import Attribute

    from .difference import Change, Item
    from .effects import Level

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_EXPRESSION_BYTES: Final = 4096
MAX_OPERATORS: Final = 300
"""Comparators, ANDs and functions of an expression."""
_UNIT_BYTES: Final = 1024
"""Bytes that one write unit writes; a part of it counts as a whole unit."""

_OWN_FIELDS: Final = (
    *sorted(FIELDS | NOT_CHECKED),
    *(f"{start}{name}" for name in sorted(KINDS) for start in ("if_", "if_not_")),
    SET_FIELD,
)
"""Fields that the function reads, and the one that names the set."""

_THROTTLED: Final = frozenset(
    ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"]
)
_MAX_ATTEMPTS: Final = 5
"""Attempts of a call that fails for another temporary reason."""
_SERVER_ERROR: Final = 500
_FIRST_WAIT_SECONDS: Final = 0.5
_MAX_WAIT_SECONDS: Final = 20.0
_INDEX_SECONDS: Final = 30.0
"""How long to wait for the index; it mostly shows changes of the table within a second."""
_POLL_SECONDS: Final = 0.5
_MAX_READ_SINGLY: Final = 50
"""Up to this number, entries or prefixes of a bucket are read with one call each."""


class EntryChangedError(CommandError):
    """The condition of a write does not hold."""


class InvalidItemError(CommandError):
    """DynamoDB cannot store an item."""


_REFUSALS: Final = {
    "ConditionalCheckFailedException": EntryChangedError,
    "SerializationException": InvalidItemError,
    "ValidationException": InvalidItemError,
}


class Condition(NamedTuple):
    """A condition expression, with the names and values of its placeholders."""

    text: str
    names: dict[str, str]
    values: Item
    operators: int

    @property
    def is_too_large(self) -> bool:
        """Whether DynamoDB refuses it."""
        return len(self.text) > MAX_EXPRESSION_BYTES or self.operators > MAX_OPERATORS

    def parameters(self) -> dict[str, Any]:
        """Return it as parameters of a DynamoDB call."""
        parameters: dict[str, Any] = {"ConditionExpression": self.text}
        parameters["ExpressionAttributeNames"] = self.names
        return parameters | ({"ExpressionAttributeValues": self.values} if self.values else {})


def condition(before: Item | None) -> Condition:
    """Return the condition that an entry has not changed since it was read.

    Each field has its value, and the entry has no other field that the function reads.

    Args:
        before: The entry as it was read; None if there was none.
    """
    if before is None:
        return Condition("attribute_not_exists(#0)", {"#0": "trigger_id"}, {}, 1)
    absent = [name for name in _OWN_FIELDS if name not in before]
    parts = [f"#{n}=:{n}" for n in range(len(before))]
    parts += [f"attribute_not_exists(#{n})" for n in range(len(before), len(before) + len(absent))]
    names = {f"#{n}": name for n, name in enumerate([*before, *absent])}
    values = {f":{n}": value for n, value in enumerate(before.values())}
    return Condition(" AND ".join(parts), names, values, 2 * len(parts) - 1)


def item_bytes(item: Item) -> int:
    """Return the size of an item, as DynamoDB counts it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(_length(name) + _bytes(value) for name, value in item.items())


def _length(text: str | bytes) -> int:
    return len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))


def _bytes(attribute: Attribute) -> int:  # noqa: PLR0911 - one for each type of DynamoDB
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "B":
            return _length(value)
        case "N":
            return len(Decimal(value).as_tuple().digits) // 2 + 2
        case "SS" | "BS":
            return sum(map(_length, value))
        case "NS":
            return sum(_bytes({"N": number}) for number in value)
        case "L":
            return 3 + sum(1 + _bytes(member) for member in value)
        case "M":
            return 3 + sum(1 + _length(name) + _bytes(member) for name, member in value.items())
        case _:
            return 1


@dataclass(frozen=True, slots=True)
class Capacity:
    """The write units per second of a table and of its index; infinite if on demand."""

    table: float = math.inf
    index: float = math.inf

    def seconds(self, change: Change) -> float:
        """Return for how many seconds a change uses the capacity up."""
        sizes = [item_bytes(item) for item in (change.before, change.after) if item]
        units = math.ceil(max(sizes) / _UNIT_BYTES)
        in_index = units
        if change.before and change.after and level_of(change.before) != level_of(change.after):
            # The index deletes one item and adds another one.
            in_index = sum(math.ceil(size / _UNIT_BYTES) for size in sizes)
        return max(units / self.table, in_index / self.index)

    def total_seconds(self, changes: Iterable[Change]) -> float:
        """Return how many seconds changes take at least."""
        return sum(self.seconds(change) for change in changes)


class Table:
    """A realm's s3triggers table, as `apply` writes it.

    Args:
        client: A client of DynamoDB that does not retry.
        name: Name of the table.
        clock: Returns the time in seconds.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self.name = name
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()
        """When there is capacity for the next write."""
        self._has_told = False
        self.arn = ""
        self.capacity = Capacity()

    @classmethod
    def of(cls, aws: Aws, realm: str) -> Self:
        """Return the table of a realm.

        Raises:
            CommandError: It cannot be described.
        """
        from botocore.config import Config  # noqa: PLC0415 - start-up

        client = aws.client("dynamodb", Config(retries={"total_max_attempts": 1}))
        table = cls(client, f"lava.{realm}.s3triggers")
        table.describe()
        return table

    def describe(self) -> None:
        """Read the table's ARN and capacity.

        Raises:
            CommandError: AWS refuses it, or cannot be reached.
        """
        description = self._call("describe_table")["Table"]
        self.arn = description["TableArn"]
        indexes = {
            index["IndexName"]: index for index in description.get("GlobalSecondaryIndexes", ())
        }
        self.capacity = Capacity(_units(description), _units(indexes.get(INDEX, {})))

    def write(self, change: Change) -> str | None:
        """Write a change, within the capacity of the table.

        Returns:
            None if the entry now is as the change wants it; else why it was not changed.

        Raises:
            CommandError: AWS refuses it, or cannot be reached.
        """
        self._sleep(max(0.0, self._free_at - self._clock()))
        only_if = condition(change.before).parameters()
        try:
            if change.after is None:
                key = {"trigger_id": {"S": change.trigger_id}}
                self._call("delete_item", Key=key, **only_if)
            else:
                self._call("put_item", Item=change.after, **only_if)
        except EntryChangedError:
            return self._reason(change)
        except InvalidItemError as error:
            return f"DynamoDB refuses it: {error}"
        finally:
            self._free_at = max(self._free_at, self._clock()) + self.capacity.seconds(change)
        return None

    def _reason(self, change: Change) -> str | None:
        """Return what prevents a change; None if the change is already made.

        It may be made already: the reply to an earlier attempt was lost, or someone else wrote it.
        """
        now = self.read(change.trigger_id)
        if is_equal(now, change.after):
            return None
        if now is None:
            return "it was deleted since it was read"
        if change.before is None:
            return "an entry with this trigger_id was made since the table was read"
        names = {**change.before, **now}
        changed = [name for name in names if change.before.get(name) != now.get(name)]
        return f"it was changed since it was read: {', '.join(map(shown, changed))}"

    def read(self, trigger_id: str) -> Item | None:
        """Return the current entry."""
        key = {"trigger_id": {"S": trigger_id}}
        item: Item | None = self._call("get_item", Key=key, ConsistentRead=True).get("Item")
        return item

    def read_back(self, changes: Sequence[Change]) -> Iterator[tuple[str, str]]:
        """Yield the changes that the table or its index does not show, with what they show instead.

        Args:
            changes: The written changes.
        """
        items = self._read_all([change.trigger_id for change in changes])
        pending = []
        for change in changes:
            if is_equal(items.get(change.trigger_id), change.after):
                pending.append(change)
            else:
                yield change.trigger_id, "the table has something else: someone else wrote it"
        until = self._clock() + _INDEX_SECONDS
        while pending := self._missing_in_index(pending):
            if self._clock() >= until:
                break
            self._sleep(_POLL_SECONDS)
        for change in pending:
            yield change.trigger_id, f"the index does not show it after {_INDEX_SECONDS:.0f} s"

    def _read_all(self, trigger_ids: Sequence[str]) -> dict[str, Item]:
        """Return the current entries by id, without missing ones."""
        if len(trigger_ids) > _MAX_READ_SINGLY:
            pages = self._pages("scan", ConsistentRead=True)
            return {item["trigger_id"]["S"]: item for item in pages}
        read = {trigger_id: self.read(trigger_id) for trigger_id in trigger_ids}
        return {trigger_id: item for trigger_id, item in read.items() if item is not None}

    def _missing_in_index(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes that the index does not show."""
        levels = {
            level_of(item)
            for change in changes
            for item in (change.before, change.after)
            if item is not None
        }
        shown: dict[str, list[Item]] = {}
        for item in self._in_index(levels):
            shown.setdefault(item["trigger_id"]["S"], []).append(item)
        return [
            change
            for change in changes
            if not _is_shown(change.after, shown.get(change.trigger_id, []))
        ]

    def _in_index(self, levels: Iterable[Level]) -> Iterator[Item]:
        """Yield the items that the index has at some prefixes, and maybe at others.

        A bucket with many of the prefixes is read as a whole.
        """
        by_bucket: dict[str, list[str]] = {}
        for bucket, prefix in levels:
            by_bucket.setdefault(bucket, []).append(prefix)
        for bucket, prefixes in by_bucket.items():
            if len(prefixes) > _MAX_READ_SINGLY:
                yield from self._query({"#b": "bucket"}, {":b": {"S": bucket}}, "#b = :b")
                continue
            for prefix in prefixes:
                names = {"#b": "bucket", "#p": "prefix"}
                values = {":b": {"S": bucket}, ":p": {"S": prefix}}
                yield from self._query(names, values, "#b = :b AND #p = :p")

    def _query(self, names: dict[str, str], values: Item, text: str) -> Iterator[Item]:
        return self._pages(
            "query",
            IndexName=INDEX,
            KeyConditionExpression=text,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )

    def _pages(self, operation: str, **request: Any) -> Iterator[Item]:
        """Yield the items of all pages of a query or a scan."""
        while True:
            page = self._call(operation, **request)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _call(self, operation: str, **parameters: Any) -> Any:
        """Call DynamoDB; wait while it throttles, and retry after temporary errors.

        Raises:
            EntryChangedError: The condition of a write does not hold.
            InvalidItemError: It refuses the item.
            CommandError: It refuses the call for another reason, or cannot be reached.
        """
        from botocore import exceptions  # noqa: PLC0415 - start-up

        attempt = 0
        while True:
            attempt += 1
            with reaching_aws():
                try:
                    return getattr(self._client, operation)(TableName=self.name, **parameters)
                except exceptions.ClientError as error:
                    answer = error.response.get("Error", {})
                    code = answer.get("Code", "")
                    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                    if code in _REFUSALS:
                        raise _REFUSALS[code](answer.get("Message", "")) from None
                    if code in _THROTTLED:
                        self._tell()
                    elif status < _SERVER_ERROR or attempt >= _MAX_ATTEMPTS:
                        raise
                except (exceptions.ConnectionError, exceptions.HTTPClientError):
                    if attempt >= _MAX_ATTEMPTS:
                        raise
            longest = min(_MAX_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(attempt, 10))
            self._sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret

    def _tell(self) -> None:
        if not self._has_told:
            self._has_told = True
            message("DynamoDB throttles the table: waiting until it takes more")


def _is_shown(after: Item | None, shown: Sequence[Item]) -> bool:
    """Return whether the index has the new entry, and at no other prefix."""
    expected = [] if after is None else [after]
    return len(shown) == len(expected) and all(map(is_equal, shown, expected))


def _units(described: dict[str, Any]) -> float:
    """Return the write units per second of a table or an index; infinite if it is on demand."""
    units = described.get("ProvisionedThroughput", {}).get("WriteCapacityUnits", 0)
    return float(units) or math.inf
