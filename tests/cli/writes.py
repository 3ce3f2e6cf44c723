"""Operations of DynamoDB that read and write a whole table, for the endpoint of the tests."""

import math
from dataclasses import dataclass
from typing import Any

from lava_s3trigger.cli.apply.write import item_bytes
from lava_s3trigger.cli.entries.dynamodb import canonical
from tests.aws_in_memory import Answer, Endpoint, Item, RefusedError, Request
from tests.aws_in_memory.aws import Operation, delete_item, put_item
from tests.clock import Clock


@dataclass
class WriteUnits:
    """The write units of a table, as DynamoDB gives them out: none are saved up here.

    Args:
        units: Units a second that are told.
        clock: Shows the time.
        free: Units a second that other writers leave; all, if None.
    """

    units: int
    clock: Clock
    free: float | None = None
    throttled: int = 0
    _full_at: float = 0.0

    def take(self, item: Item) -> None:
        """Take the units for a write, or refuse it."""
        if self.clock.now < self._full_at - 1e-6:
            self.throttled += 1
            raise RefusedError("ProvisionedThroughputExceededException", "Rate exceeded")
        rate = self.units if self.free is None else self.free
        self._full_at = self.clock.now + math.ceil(item_bytes(item) / 1024) / rate


def add_writes(endpoint: Endpoint, units: WriteUnits | None = None) -> None:
    """Have an endpoint answer Scan, PutItem, DeleteItem and DescribeTable."""

    def describe(endpoint: Endpoint, request: Request) -> Answer:
        endpoint.table(request)
        throughput = {"WriteCapacityUnits": units.units if units else 0}
        index = {"IndexName": "s3trigger-index", "ProvisionedThroughput": throughput}
        arn = f"arn:aws:dynamodb:us-east-1:123456789012:table/{request['TableName']}"
        found = {"TableArn": arn, "ProvisionedThroughput": throughput}
        return {"Table": found | {"GlobalSecondaryIndexes": [index]}}

    def scan(endpoint: Endpoint, request: Request) -> Answer:
        items = list(endpoint.table(request).items.values())
        return {"Items": items, "Count": len(items), "ScannedCount": len(items)}

    def on_condition(write: Operation) -> Operation:
        """Return a write that is made only if its condition holds and there are units for it."""

        def written(endpoint: Endpoint, request: Request) -> Answer:
            table = endpoint.table(request)
            now = table.items.get(table.key_of(request.get("Item") or request["Key"]))
            _require(request, now)
            if units:
                units.take(request.get("Item") or now or {})
            return write(endpoint, request)

        return written

    endpoint.operations |= {
        "DescribeTable": describe,
        "Scan": scan,
        "PutItem": on_condition(put_item),
        "DeleteItem": on_condition(delete_item),
    }


def _require(request: Request, item: Item | None) -> None:
    names, values = request["ExpressionAttributeNames"], request.get("ExpressionAttributeValues")
    for part in request["ConditionExpression"].split(" AND "):
        if not _holds(part, names, values or {}, item or {}):
            raise RefusedError("ConditionalCheckFailedException", "The conditional request failed")


def _holds(part: str, names: dict[str, str], values: Any, item: Item) -> bool:
    if part.startswith("attribute_not_exists("):
        return names[part[len("attribute_not_exists(") : -1]] not in item
    name, _, value = part.partition("=")
    found = item.get(names[name])
    return found is not None and bool(canonical(found) == canonical(values[value]))
