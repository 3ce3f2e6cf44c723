"""AWS in memory answers as DynamoDB Local does, on the calls of `test_agreement`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws_in_memory import test_agreement
from tests.aws_in_memory.test_agreement import BY_BUCKET, Database, client_of, pages

# Its fixtures, of which `server` and `is_ministack` are replaced here.
from tests.aws_in_memory.test_agreement import _databases as _databases  # noqa: PLC0414
from tests.aws_in_memory.test_agreement import _own as _own  # noqa: PLC0414

from .server import DynamoDbLocal

pytestmark = pytest.mark.slow("needs DynamoDB Local")


@pytest.fixture(name="server", scope="module")
def _server(dynamodb_local: DynamoDbLocal) -> Iterator[Database]:
    with client_of(dynamodb_local.endpoint, "dynamodb") as client:
        yield Database(client)


@pytest.fixture(name="is_ministack")
def _is_ministack() -> bool:
    return False


class TestUpdates(test_agreement.TestUpdates):
    """Conditional writes agree, and so does the item that refused one."""


class TestReads(test_agreement.TestReads):
    """Items and pages agree."""

    def test_a_page_ends_at_the_same_item(self, databases: list[Database]) -> None:
        """DynamoDB ends a page at 1 MB, whatever the limit; ministack does not."""
        same = {"bucket": "large", "prefix": "in", "description": "x" * 60_000}
        request: dict[str, Any] = BY_BUCKET | {"ExpressionAttributeValues": {":b": {"S": "large"}}}
        for each in databases:
            each.realm.put("s3triggers", [{"trigger_id": f"{n:02}"} | same for n in range(40)])

        expected, *found = (
            [answer["Count"] for answer in pages(each, "query", request)] for each in databases
        )

        assert found == [expected] * 2


class TestPuts(test_agreement.TestPuts):
    """Tables hold the same items, and cannot hold those that the function does not ask for."""
