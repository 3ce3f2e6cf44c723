"""DynamoDB's UpdateItem, for the endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tests.dedup.conditional_writes import write
from tests.endpoint import RefusedError

if TYPE_CHECKING:
    from tests.endpoint import Answer, Endpoint, Request


def update_item(endpoint: Endpoint, request: Request) -> Answer:
    """Write to an item where a condition holds."""
    table = endpoint.table(request)
    table.keys.check(request["Key"])
    before = table.items.get(table.key_of(request["Key"]))
    parameters = {name: value for name, value in request.items() if name != "TableName"}
    try:
        after, answer = write(before, parameters)
    except ClientError as error:
        said = error.response["Error"]
        held = {name: value for name, value in error.response.items() if name == "Item"}
        raise RefusedError(said["Code"], said["Message"], held) from None
    table.put_item({name: dict(value) for name, value in after.items()})
    return answer
