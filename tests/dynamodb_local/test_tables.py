"""The tables of a realm, read by the function's own code on both servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import ClientError

from lava_s3trigger.aws.deadline import UNLIMITED
from lava_s3trigger.errors import ServiceError, UserError
from lava_s3trigger.jobs import Job, JobTable
from lava_s3trigger.triggers import MAX_ENTRIES_IN_MEMORY, BrokenTrigger, Trigger, TriggerTable
from tests.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.local.realm import Realm

    from .conftest import Database
    from .server import DynamoDbLocal

pytestmark = pytest.mark.slow("needs DynamoDB Local")

BUCKET: Final = "my-bucket"
TTL: Final = 60.0
JOB: Final = {"job_id": "j", "type": "exe", "worker": "core", "payload": "x", "enabled": True}


def entry(trigger_id: str, prefix: str, **fields: Any) -> dict[str, Any]:
    fixed = {"trigger_id": trigger_id, "bucket": BUCKET, "prefix": prefix}
    return {**fixed, "enabled": True, "job_id": "j", **fields}


class Calls:
    """Counts the calls of a client, and the items that each answer has."""

    def __init__(self, client: Any, operation: str) -> None:
        self.items: list[int] = []
        client.meta.events.register(f"after-call.dynamodb.{operation}", self._note)

    def _note(self, parsed: dict[str, Any], **_: Any) -> None:
        self.items.append(len(parsed.get("Items", [])))


@pytest.fixture
def client(database: Database) -> Any:
    return database.function_client()


@pytest.fixture
def queries(client: Any) -> Calls:
    return Calls(client, "Query")


@pytest.fixture
def triggers(client: Any, realm: Realm) -> TriggerTable:
    table = TriggerTable(client, realm.name, TTL, 900.0, Clock())
    table.start(UNLIMITED)
    return table


def ids(table: TriggerTable, key: str) -> list[str]:
    return [each.trigger_id for each in table.matching(BUCKET, key).triggers]


class TestIndex:
    """Queries of the index find the same entries on both servers."""

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            ("in/a/1.csv", ["a"]),
            ("in/b/1.csv", ["in-1", "in-2"]),
            ("in", ["in-1", "in-2"]),
            ("other", ["all"]),
            ("pré fixe/+%/1", ["any-text"]),
            ("in/disabled/1", ["off"]),
        ],
    )
    @pytest.mark.parametrize("fillers", [0, MAX_ENTRIES_IN_MEMORY], ids=["small", "large"])
    def test_the_walk(
        self, key: str, expected: list[str], fillers: int, realm: Realm, triggers: TriggerTable
    ) -> None:
        realm.put(
            "s3triggers",
            [
                entry("all", "*"),
                entry("in-1", "in"),
                entry("in-2", "in"),
                entry("a", "in/a"),
                entry("off", "in/disabled", enabled=False),
                entry("any-text", "pré fixe/+%"),
                entry("other-bucket", "in/b", bucket="other"),
                *(entry(f"filler-{n}", f"filler/{n}") for n in range(fillers)),
            ],
        )

        assert ids(triggers, key) == expected

    @pytest.mark.parametrize("more", [-1, 0, 1])
    def test_no_entry_is_lost_at_the_limit_of_a_query(
        self, more: int, realm: Realm, triggers: TriggerTable, queries: Calls
    ) -> None:
        count = MAX_ENTRIES_IN_MEMORY + more
        realm.put("s3triggers", [entry(f"t-{n}", f"in/{n}") for n in range(count)])

        for number in (0, count - 1):
            assert ids(triggers, f"in/{number}/1.csv") == [f"t-{number}"]

        assert queries.items[0] == min(count, MAX_ENTRIES_IN_MEMORY)

    def test_all_pages_of_a_prefix_are_read(
        self, database: Database, realm: Realm, triggers: TriggerTable, queries: Calls
    ) -> None:
        """DynamoDB ends a page at 1 MB, whatever the limit."""
        count = 40
        text = {"description": "x" * 60_000}
        realm.put("s3triggers", [entry(f"t-{n:02}", "in", **text) for n in range(count)])

        assert ids(triggers, "in") == [f"t-{n:02}" for n in range(count)]

        bucket, *pages = queries.items
        assert sum(pages or [bucket]) == count
        if database.name == "dynamodb-local":  # ministack has no such pages
            assert bucket < count
            assert len(pages) == 3

    def test_an_entry_without_a_prefix_is_in_no_answer(
        self, realm: Realm, triggers: TriggerTable
    ) -> None:
        without = entry("without", "in")
        del without["prefix"]
        realm.put("s3triggers", [without, entry("with", "in")])

        assert ids(triggers, "in/1.csv") == ["with"]

    def test_the_longest_prefix_is_found(self, realm: Realm, triggers: TriggerTable) -> None:
        longest = "é" * 512
        realm.put("s3triggers", [entry("longest", longest), *many()])

        assert ids(triggers, longest) == ["longest"]
        assert ids(triggers, longest + "e") == []

    def test_a_table_that_is_not_there_is_a_service_error(self, client: Any) -> None:
        table = TriggerTable(client, "no-such-realm", TTL, 900.0, Clock())
        table.start(UNLIMITED)

        with pytest.raises(ServiceError, match="ResourceNotFoundException"):
            table.matching(BUCKET, "in/1.csv")

    def test_fields_of_every_type_are_read(self, client: Any, triggers: TriggerTable) -> None:
        given: dict[str, Any] = {
            "text": {"S": 'é\u2028"\\\n\x00'},
            "empty": {"S": ""},
            "number": {"N": "12345678901234567890123456789012345678"},
            "fraction": {"N": "-0.5e-3"},
            "integral": {"N": "1.50e1"},
            "true": {"BOOL": True},
            "null": {"NULL": True},
            "list": {"L": [{"S": "a"}, {"M": {}}, {"L": []}]},
            "texts": {"SS": ["b", "a"]},
            "numbers": {"NS": ["2", "1"]},
        }
        plain = {
            "trigger_id": {"S": "t"},
            "bucket": {"S": BUCKET},
            "prefix": {"S": "in"},
            "enabled": {"BOOL": True},
            "job_id": {"SS": ["j2", "j1"]},
            "parameters": {"M": given},
        }
        client.put_item(TableName=triggers.name, Item=plain)

        (found,) = triggers.matching(BUCKET, "in/1.csv").triggers

        assert isinstance(found, Trigger)
        assert [each.value for each in found.job_ids] == ["j1", "j2"]
        assert found.parameters is not None
        value = found.parameters.value
        assert value == {
            "text": 'é\u2028"\\\n\x00',
            "empty": "",
            "number": 12345678901234567890123456789012345678,
            "fraction": -0.0005,
            "integral": 15,
            "true": True,
            "null": None,
            "list": ["a", {}, []],
            "texts": ["a", "b"],
            "numbers": [1, 2],
        }
        assert isinstance(value["integral"], int)

    def test_binary_is_an_error_of_the_entry(self, client: Any, triggers: TriggerTable) -> None:
        item = {
            "trigger_id": {"S": "t"},
            "bucket": {"S": BUCKET},
            "prefix": {"S": "in"},
            "enabled": {"BOOL": True},
            "job_id": {"S": "j"},
            "parameters": {"M": {"x": {"B": b"\x00"}}},
        }
        client.put_item(TableName=triggers.name, Item=item)

        (found,) = triggers.matching(BUCKET, "in/1.csv").triggers

        assert isinstance(found, BrokenTrigger)
        assert "parameters.x is binary" in found.reason


def many() -> Iterator[dict[str, Any]]:
    """Yield more entries than one query holds, so that each prefix has a query of its own."""
    return (entry(f"filler-{n}", f"filler/{n}") for n in range(MAX_ENTRIES_IN_MEMORY + 1))


class TestJobs:
    """Jobs are read alike on both servers."""

    @pytest.fixture
    def jobs(self, client: Any, realm: Realm) -> JobTable:
        table = JobTable(client, realm.name, TTL, Clock())
        table.start(UNLIMITED)
        return table

    @pytest.mark.parametrize("job_id", ["j", "a/b", "é\u2028\x00", "x" * 2048])
    def test_a_job_is_found(self, job_id: str, realm: Realm, jobs: JobTable) -> None:
        realm.put("jobs", [JOB | {"job_id": job_id}])

        assert jobs[job_id] == Job(job_id, "core", enabled=True)

    def test_a_job_that_is_not_there_is_a_user_error(self, jobs: JobTable) -> None:
        with pytest.raises(UserError, match="no job 'none' in lava"):
            _ = jobs["none"]

    def test_a_table_that_is_not_there_is_a_service_error(self, client: Any) -> None:
        table = JobTable(client, "no-such-realm", TTL, Clock())
        table.start(UNLIMITED)

        with pytest.raises(ServiceError, match="ResourceNotFoundException"):
            _ = table["j"]


class TestLimits:
    """What the function does not ask for, DynamoDB cannot hold."""

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"prefix": ""}, id="empty-prefix"),
            pytest.param({"bucket": ""}, id="empty-bucket"),
            pytest.param({"prefix": "x" * 1025}, id="long-prefix"),
            pytest.param({"bucket": "x" * 2049}, id="long-bucket"),
            pytest.param({"trigger_id": ""}, id="empty-id"),
        ],
    )
    def test_an_entry_with_an_impossible_key_is_refused(
        self, fields: dict[str, str], local_realm: Realm
    ) -> None:
        with pytest.raises(ClientError) as caught:
            local_realm.put("s3triggers", [entry("t", "in") | fields])
        assert caught.value.response["Error"]["Code"] == "ValidationException"

    def test_throughput_is_not_enforced_so_throttling_is_tested_elsewhere(
        self, dynamodb_local: DynamoDbLocal
    ) -> None:
        """AWS documents that DynamoDB Local ignores it; tests/aws_in_memory throttles.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.UsageNotes.html
        """
        client = dynamodb_local.client("dynamodb")
        client.create_table(
            TableName="small",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        )

        text = "y" * 100_000
        for _ in range(20):  # 2,000 units
            client.put_item(TableName="small", Item={"id": {"S": "x"}, "text": {"S": text}})
