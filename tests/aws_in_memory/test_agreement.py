"""AWS in memory answers as ministack does, and as DynamoDB Local: tests/dynamodb_local.

The same calls go to the imitation over HTTP, to the imitation in this process, and to a
server; answers, errors and what is in the table afterwards must agree. Where ministack is
known to answer otherwise than AWS, a case says so; DynamoDB Local is not excused.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.dedup.protocol import Claim, Verdict
from lava_s3trigger.dedup.table import ClaimTable
from lava_s3trigger.sent import SentRecord
from tests.aws_in_memory import Aws, Endpoint, Item
from tests.dedup.test_table import Shared
from tests.examples import examples
from tests.tables import cases
from tools.local.realm import Realm
from tools.local.server import REGION, LocalAws

NOW: Final = 1_800_000_000.25
_NUMBERS: Final = itertools.count(1)


class Database:
    """A server of DynamoDB, with a table of claims and one of triggers, which has entries."""

    def __init__(self, client: Any) -> None:
        self.client = client
        as_server: Any = SimpleNamespace(client=lambda _: client)
        self.realm = Realm(as_server, f"agreement{next(_NUMBERS)}")
        self.tables = {"claims": Shared(client).name, "missing": "no-such-table"}
        self.tables["triggers"] = f"lava.{self.realm.name}.s3triggers"
        self.realm.make_triggers_table()
        self.realm.put("s3triggers", entries())

    def call(self, operation: str, table: str = "claims", **request: Any) -> Any:
        """Return the answer of a call, or the error, in a form that can be compared."""
        return outcome(self.client, operation, TableName=self.tables[table], **request)

    def update(self, before: Item | None, **request: Any) -> Any:
        """Return the outcome of an update of item ``e``, and the item afterwards."""
        name, key = self.tables["claims"], {"id": {"S": "e"}}
        if before is None:
            self.client.delete_item(TableName=name, Key=key)
        else:
            self.client.put_item(TableName=name, Item=before)
        answer = self.call("update_item", **{"Key": key} | request)
        return answer, self.call("get_item", Key=key)


def outcome(client: Any, operation: str, **request: Any) -> Any:
    """Return the answer of a call without metadata, or the error's code and its item."""
    try:
        answer = getattr(client, operation)(**request)
    except ClientError as error:
        return error.response["Error"]["Code"], plain(error.response.get("Item"))
    kept = ("Attributes", "Item", "Items", "Count", "LastEvaluatedKey", "ContentLength")
    return {name: plain(answer[name]) for name in kept if answer.get(name) is not None}


def plain(value: Any) -> Any:
    """Return a value with numbers as numbers, and sets as sets."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    read: dict[str, Callable[[Any], object]] = {"N": Decimal, "SS": frozenset}
    return {
        name: {kind: read[kind](held) if kind in read else held}
        for name, attribute in value.items()
        for kind, held in attribute.items()
    }


@contextlib.contextmanager
def client_of(endpoint: str, service: str) -> Iterator[Any]:
    """Make a client that checks no parameter, waits long and tries once."""
    made: Any = get_session().create_client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}, proxies={}),
    )
    with contextlib.closing(made):
        yield made


@pytest.fixture(name="server", scope="module")
def _server(aws: LocalAws) -> Iterator[Database]:
    """The server that is right."""
    with client_of(aws.endpoint, "dynamodb") as client:
        yield Database(client)


@pytest.fixture(name="own", scope="module")
def _own() -> Iterator[Endpoint]:
    """An endpoint that no other test resets."""
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture(name="databases", scope="module")
def _databases(server: Database, own: Endpoint) -> list[Database]:
    """The server, then the imitations."""
    return [server, Database(own.clients[0]), Database(Aws().client)]


@pytest.fixture(name="is_ministack")
def _is_ministack() -> bool:
    """Whether the server is excused where ministack is known to be wrong."""
    return True


def texts(*values: str) -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from([{"S": value} for value in values])


TIMES: Final = st.one_of(
    st.sampled_from([NOW, NOW + 65.0]), st.floats(NOW - 100, NOW + 100).map(float)
)
SETS: Final = st.sets(st.sampled_from(["d1", "d2", "A"]), min_size=1).map(
    lambda members: {"SS": sorted(members)}
)
ITEMS: Final = st.none() | st.fixed_dictionaries(
    {"id": texts("e")},
    optional={
        "state": texts("claimed", "done", "failed"),
        "owner": texts("A", "B"),
        "token": texts("t1", "t2"),
        "until": st.just({"N": "0"}) | TIMES.map(lambda time: {"N": repr(time)}) | texts("A"),
        "expires": st.integers(0, 2**31).map(lambda time: {"N": str(time)}),
        "sent": SETS,
        "returning": SETS,
    },
)
MINE: Final = Claim("e", Verdict.WORK, "")
ASKED: Final[list[Callable[[ClaimTable], object]]] = [
    lambda claims: claims.claim("e", "A", 65.0),
    lambda claims: claims.claim("e", "B", 65.0),
    lambda claims: claims.confirm(MINE),
    lambda claims: claims.release(MINE, SentRecord()),
    lambda claims: claims.release(MINE, SentRecord(parked={"a", "b"})),
]


@st.composite
def updates_of_claims(draw: st.DrawFn) -> dict[str, Any]:
    """Return what `ClaimTable` asks of DynamoDB, with one of few tokens."""
    aws, now = Aws(), draw(TIMES)
    draw(st.sampled_from(ASKED))(ClaimTable(aws.client, "claims", 30.0, lambda: now))
    request = aws.log[0].request
    request["ExpressionAttributeValues"][":token"] = draw(texts("t1", "t2"))
    return {name: value for name, value in request.items() if name != "TableName"}


@st.composite
def other_updates(draw: st.DrawFn) -> dict[str, Any]:
    """Return an update that a protocol might come to use."""
    update, condition = draw(
        st.sampled_from(
            [
                ("ADD #sent :set", "contains(#sent, :text) AND attribute_exists(#id)"),
                ("SET #owner = :text ADD #sent :set", "NOT contains(#sent, :text)"),
                ("REMOVE #sent SET #owner = :text", "#sent = :set OR #owner = :text"),
                ("REMOVE #owner", "NOT (NOT #owner = :text OR NOT #owner <= :text)"),
                ("SET #owner = :text", "attribute_not_exists(#sent) AND #owner <= :text"),
            ]
        )
    )
    values = {":text": draw(texts("A", "B", "d1")), ":set": draw(SETS)}
    return {
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {
            f"#{name}": name for name in ("id", "owner", "sent") if f"#{name}" in update + condition
        },
        "ExpressionAttributeValues": {n: v for n, v in values.items() if n in update + condition},
        "ReturnValues": "ALL_OLD",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


UPDATE: Final[dict[str, Any]] = {
    "UpdateExpression": "SET #a = :v",
    "ExpressionAttributeNames": {"#a": "a"},
    "ExpressionAttributeValues": {":v": {"S": "x"}},
}


INVALID: Final[dict[str, dict[str, Any]]] = {
    "parenthesis": {"ConditionExpression": "(#a = :v"},
    "two-conditions": {"ConditionExpression": "#a = :v #a = :v"},
    "value-not-defined": {"ConditionExpression": "#a = :other"},
    "name-not-defined": {"ConditionExpression": "#other = :v"},
    "name-unused": {"ExpressionAttributeNames": {"#a": "a", "#b": "b"}},
    "value-unused": {"ExpressionAttributeValues": {":v": {"S": "x"}, ":w": {"S": "x"}}},
    "empty-set": {"ExpressionAttributeValues": {":v": {"SS": []}}},
    "no-number": {"ExpressionAttributeValues": {":v": {"N": "x"}}},
    "part-of-the-key": {"ExpressionAttributeNames": {"#a": "id"}},
    "return-values": {"ReturnValues": "SOME"},
    "another-key": {"Key": {"key": {"S": "e"}}},
    "key-of-another-type": {"Key": {"id": {"N": "1"}}},
}
ACCEPTED_BY_MINISTACK: Final[dict[str, dict[str, Any]]] = {
    "empty-key": {"Key": {"id": {"S": ""}}},
    "syntax": {"UpdateExpression": "SET #a :v"},
    "syntax-at-the-end": {"UpdateExpression": "SET #a = :v,"},
    "overlap": {"UpdateExpression": "SET #a = :v REMOVE #a"},
    "two-clauses": {"UpdateExpression": "SET #a = :v SET #a = :v"},
}


class TestUpdates:
    """Conditional writes agree, and so does the item that refused one."""

    # tests/dynamodb_local runs the same method, in a subclass with another server.
    @settings(
        max_examples=examples(200),
        deadline=None,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(before=ITEMS, request_=updates_of_claims() | other_updates())
    def test_answer_and_item_agree(
        self, databases: list[Database], *, before: Item | None, request_: dict[str, Any]
    ) -> None:
        expected, *found = (each.update(before, **request_) for each in databases)

        assert found == [expected] * 2

    @cases("change", INVALID | ACCEPTED_BY_MINISTACK)
    def test_an_invalid_update_is_refused(
        self, change: dict[str, Any], databases: list[Database], *, is_ministack: bool
    ) -> None:
        is_excused = is_ministack and change in ACCEPTED_BY_MINISTACK.values()
        for database in databases[1:] if is_excused else databases:
            answer = database.update(None, **UPDATE | change)

            assert answer == (("ValidationException", None), {})


def entries() -> Iterable[dict[str, Any]]:
    """Yield entries of two buckets, one without a prefix, some at the same one."""
    for number, prefix in enumerate(["in", "a", "in", None, "in/\u00e9", "*", "in"]):
        entry = {"trigger_id": f"t{number}", "bucket": "b"}
        yield entry | ({} if prefix is None else {"prefix": prefix})
    yield {"trigger_id": "elsewhere", "bucket": "other", "prefix": "in"}


BY_BUCKET: Final[dict[str, Any]] = {
    "IndexName": "s3trigger-index",
    "KeyConditionExpression": "#b = :b",
    "ExpressionAttributeNames": {"#b": "bucket"},
    "ExpressionAttributeValues": {":b": {"S": "b"}},
}
AT_PREFIX: Final[dict[str, Any]] = BY_BUCKET | {
    "KeyConditionExpression": "#b = :b AND #p = :p",
    "ExpressionAttributeNames": {"#b": "bucket", "#p": "prefix"},
    "ExpressionAttributeValues": {":b": {"S": "b"}, ":p": {"S": "in"}},
}


def values(**values: str) -> dict[str, Any]:
    return {"ExpressionAttributeValues": {f":{name}": {"S": v} for name, v in values.items()}}


READS: Final[dict[str, dict[str, Any]]] = {
    "by-bucket": BY_BUCKET,
    "by-a-bucket-without-entries": BY_BUCKET | values(b="none"),
    "at-a-prefix": AT_PREFIX,
    "at-a-prefix-of-prefixes": AT_PREFIX | values(b="b", p="i"),
    **{f"bucket-{n}-to-a-page": BY_BUCKET | {"Limit": n} for n in (1, 2, 3, 6, 7)},
    **{f"prefix-{n}-to-a-page": AT_PREFIX | {"Limit": n} for n in (1, 2, 3, 6, 7)},
    "by-the-tables-key": {"KeyConditionExpression": "trigger_id = :t"} | values(t="t1"),
    "value-unused": BY_BUCKET | values(b="b", p="in"),
    "value-not-defined": BY_BUCKET | values(p="in"),
    "no-limit": BY_BUCKET | {"Limit": 0},
    "without-the-partition-key": BY_BUCKET
    | {"KeyConditionExpression": "#p = :p", "ExpressionAttributeNames": {"#p": "prefix"}}
    | values(p="in"),
    "an-item": {"Key": {"trigger_id": {"S": "t1"}}},
    "no-item": {"Key": {"trigger_id": {"S": "none"}}},
    "not-the-key": {"Key": {"bucket": {"S": "b"}}},
    "key-of-another-type": {"Key": {"trigger_id": {"N": "1"}}},
}


class TestReads:
    """Items and pages agree."""

    @cases("request_", READS)
    def test_all_pages_agree(self, request_: dict[str, Any], databases: list[Database]) -> None:
        operation = "get_item" if "Key" in request_ else "query"
        expected, *found = (read(each, operation, request_) for each in databases)

        assert found == [expected] * 2

    @pytest.mark.parametrize("operation", ["query", "get_item", "update_item"])
    def test_a_missing_table_is_named_by_the_same_error(
        self, operation: str, databases: list[Database]
    ) -> None:
        key = {"Key": {"id": {"S": "e"}}}
        request = {"query": BY_BUCKET, "get_item": key, "update_item": key | UPDATE}[operation]
        assert [each.call(operation, "missing", **request) for each in databases] == [
            ("ResourceNotFoundException", None)
        ] * 3


def pages(database: Database, operation: str, request: dict[str, Any]) -> Iterable[Any]:
    """Yield the answer for each page."""
    last: dict[str, Any] = {}
    while True:
        answer = database.call(operation, "triggers", **request | last)
        yield answer
        if "LastEvaluatedKey" not in answer:
            break
        last = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def read(database: Database, operation: str, request: dict[str, Any]) -> Any:
    """Return the prefixes on each page, and all items; else the answer as it is.

    DynamoDB specifies no order of items with the same sort key.
    """
    found = list(pages(database, operation, request))
    if "Count" not in found[0]:
        return found
    items = [page.get("Items", []) for page in found]
    prefixes = [[item["prefix"]["S"] for item in page] for page in items]
    ids = sorted(item["trigger_id"]["S"] for page in items for item in page)
    return prefixes, ids, [page["Count"] for page in found]


ENTRY: Final = {"trigger_id": {"S": "put"}, "bucket": {"S": "of-puts"}, "prefix": {"S": "in"}}
EVERY_TYPE: Final[dict[str, Any]] = {
    "text": {"S": 'é\u2028"\\\n\x00'},
    "empty": {"S": ""},
    "number": {"N": "12345678901234567890123456789012345678"},
    "fraction": {"N": "-0.0005"},
    "true": {"BOOL": True},
    "null": {"NULL": True},
    "list": {"L": [{"S": "a"}, {"M": {}}, {"L": []}]},
    "texts": {"SS": ["a", "b"]},
}


class TestPuts:
    """Tables hold the same items, and cannot hold those that the function does not ask for."""

    @cases(
        ("fields", "is_accepted"),
        {
            "every-type": ({"parameters": {"M": EVERY_TYPE}}, True),
            "any-id": ({"trigger_id": {"S": "é\u2028\x00"}}, True),
            "longest-id": ({"trigger_id": {"S": "x" * 2048}}, True),
            "longest-prefix": ({"prefix": {"S": "é" * 512}}, True),
            "empty-prefix": ({"prefix": {"S": ""}}, False),
            "empty-bucket": ({"bucket": {"S": ""}}, False),
            "long-prefix": ({"prefix": {"S": "x" * 1025}}, False),
            "long-bucket": ({"bucket": {"S": "x" * 2049}}, False),
            "empty-id": ({"trigger_id": {"S": ""}}, False),
        },
    )
    def test_an_item_is_kept_or_refused(
        self,
        fields: dict[str, Any],
        databases: list[Database],
        *,
        is_accepted: bool,
        is_ministack: bool,
    ) -> None:
        item = ENTRY | fields
        # Ministack accepts all of them.
        for database in databases[1:] if is_ministack and not is_accepted else databases:
            answer = database.call("put_item", "triggers", Item=item)

            assert answer == ({} if is_accepted else ("ValidationException", None))
            if is_accepted:
                key = {"trigger_id": item["trigger_id"]}
                found = database.call("get_item", "triggers", Key=key)
                assert found == {"Item": plain(item)}
                database.call("delete_item", "triggers", Key=key)


BODY: Final = {"Id": "1", "MessageBody": "text"}
KNOWN: Final = {"QueueName": "known"}


class TestQueues:
    """Queues take and refuse the same messages."""

    @pytest.fixture(name="clients")
    def _clients(self, aws: LocalAws, own: Endpoint) -> Iterator[list[Any]]:
        with client_of(aws.endpoint, "sqs") as sqs:
            made = [sqs, own.clients[1], Aws().client]
            for client in made:
                client.create_queue(**KNOWN)
            yield made

    @cases(
        ("name", "entries"),
        {
            "taken": ("known", [BODY, BODY | {"Id": "2", "DelaySeconds": 900}]),
            "not-ascii": ("known", [BODY | {"MessageBody": "\u00e9\U0001f600"}]),
            "empty": ("known", []),
            "eleven": ("known", [BODY | {"Id": str(n)} for n in range(11)]),
            "same-id": ("known", [BODY, BODY]),
            "bad-id": ("known", [BODY | {"Id": "no good"}]),
            "content-of-one": ("known", [BODY, {"Id": "2", "MessageBody": "\x00"}]),
            "too-long": ("known", [{"Id": n, "MessageBody": "x" * 600_000} for n in "01"]),
            "missing": ("no-such-queue", [BODY]),
        },
    )
    def test_a_lookup_and_a_batch_agree(
        self, name: str, entries: list[dict[str, Any]], clients: list[Any]
    ) -> None:
        expected, *found = (found_and_sent(client, name, entries) for client in clients)

        assert found == [expected] * 2
        assert ("known" in expected[0]) is (name == "known")


def found_and_sent(client: Any, name: str, entries: list[dict[str, Any]]) -> Any:
    """Return the end of a queue's URL, and which entries it took and refused; or the errors."""
    known = client.get_queue_url(**KNOWN)["QueueUrl"]
    try:
        found = client.get_queue_url(QueueName=name)["QueueUrl"].rpartition("/")[2]
    except ClientError as error:
        found = error.response["Error"]["Code"]
    try:
        answer = client.send_message_batch(QueueUrl=known.replace("known", name), Entries=entries)
    except ClientError as error:
        return found, error.response["Error"]["Code"]
    taken = [(each["Id"], each["MD5OfMessageBody"]) for each in answer.get("Successful", ())]
    fields = ("Id", "Code", "SenderFault")
    return found, taken, [[each[field] for field in fields] for each in answer.get("Failed", ())]


class TestObjects:
    """The headers of objects agree."""

    def test_an_object_or_its_absence_is_reported_alike(self, aws: LocalAws, own: Endpoint) -> None:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="heads")
        s3.put_object(Bucket="heads", Key="a b/\u00e9", Body=b"12345")
        own.objects["heads", "a b/\u00e9", None] = {"Content-Length": "5"}
        with client_of(own.url, "s3") as in_memory:
            for key in ("a b/\u00e9", "none"):
                head = {"Bucket": "heads", "Key": key}
                assert outcome(in_memory, "head_object", **head) == outcome(
                    s3, "head_object", **head
                )
