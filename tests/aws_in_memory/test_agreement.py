"""AWS in memory answers as ministack does, and as DynamoDB Local: tests/dynamodb_local.

The same calls go to the imitation over HTTP, to the imitation in this process, and to a
server; answers, errors and what is in the table afterwards must agree. Where ministack is
known to answer otherwise than AWS, a case says so; DynamoDB Local is not excused.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.dedup.protocol import Claim, Verdict
from lava_s3trigger.dedup.table import ClaimTable
from lava_s3trigger.sent import SentRecord
from tests.aws_in_memory import Aws, Endpoint
from tests.examples import examples
from tools.local.realm import Realm
from tools.local.server import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.aws_in_memory import Item
    from tools.local.server import LocalAws

# tests/dynamodb_local runs the same methods, in subclasses with another server.
AS_SUBCLASS: Final[dict[str, Any]] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.differing_executors],
}
NOW: Final = 1_800_000_000.25
_NUMBERS: Final = itertools.count(1)


class Database:
    """A server of DynamoDB, with a table of claims and one of triggers."""

    def __init__(self, client: Any) -> None:
        self.client = client
        as_server: Any = SimpleNamespace(client=lambda _: client)
        self.realm = Realm(as_server, f"agreement{next(_NUMBERS)}")
        self.tables = {"claims": f"{self.realm.name}-claims", "missing": "no-such-table"}
        self.tables["triggers"] = f"lava.{self.realm.name}.s3triggers"
        self.realm.make_triggers_table()
        client.create_table(
            TableName=self.tables["claims"],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

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
    kept = ("Attributes", "Item", "Items", "Count", "LastEvaluatedKey")
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


def clients_of(endpoint: str) -> tuple[Any, Any]:
    """Make clients as the function has them, which check no parameter."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return make_clients(endpoint_url=endpoint, region_name=REGION, **keys)


@pytest.fixture(name="server", scope="module")
def _server(aws: LocalAws) -> Iterator[Database]:
    """The server that is right."""
    clients = clients_of(aws.endpoint)
    yield Database(clients[0])
    for client in clients:
        client.close()


@pytest.fixture(name="own", scope="module")
def _own() -> Iterator[Endpoint]:
    """An endpoint that no other test resets."""
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture(name="imitations", scope="module")
def _imitations(own: Endpoint) -> list[Database]:
    return [Database(own.clients[0]), Database(Aws().client)]


@pytest.fixture(name="is_ministack")
def _is_ministack() -> bool:
    """Whether the server is excused where ministack is known to be wrong."""
    return True


class Recorder:
    """A client that records the request, and gives an empty answer."""

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.request = request
        return {}


def requested(ask: Callable[[ClaimTable], object], now: float, token: str) -> dict[str, Any]:
    """Return what `ClaimTable` asks of DynamoDB, with another token."""
    recorder = Recorder()
    ask(ClaimTable(recorder, "claims", 30.0, lambda: now))  # type: ignore[arg-type]
    request = recorder.request
    request["ExpressionAttributeValues"][":token"] = {"S": token}
    del request["TableName"]
    return request


def texts(*values: str) -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from([{"S": value} for value in values])


TIMES: Final = st.one_of(
    st.sampled_from([NOW, NOW + 65.0]), st.floats(NOW - 100, NOW + 100).map(float)
)
MEMBERS: Final = st.sets(st.sampled_from(["d1", "d2", "d3"]), min_size=1).map(sorted)
SETS: Final = MEMBERS.map(lambda members: {"SS": members})
ITEMS: Final = st.none() | st.fixed_dictionaries(
    {"id": texts("e")},
    optional={
        "state": texts("claimed", "done", "failed"),
        "owner": texts("A", "B"),
        "token": texts("t1", "t2"),
        "until": st.just({"N": "0"}) | TIMES.map(lambda time: {"N": repr(time)}) | texts("A"),
        "expires": st.integers(0, 2**31).map(lambda time: {"N": str(time)}),
        "sent": SETS,
        "returning": st.sampled_from([{"SS": ["A"]}, {"SS": ["B", "C"]}]),
    },
)
MINE: Final = Claim("e", Verdict.WORK, "")
RECORDS: Final = st.lists(st.sampled_from(["a", "b"])).map(lambda ids: SentRecord(parked=set(ids)))
ASKED: Final[st.SearchStrategy[Callable[[ClaimTable], object]]] = st.one_of(
    st.sampled_from("AB").map(lambda owner: lambda claims: claims.claim("e", owner, 65.0)),
    st.just(lambda claims: claims.confirm(MINE)),
    RECORDS.map(lambda record: lambda claims: claims.release(MINE, record)),
)
# What a protocol might come to use.
EXPRESSIONS: Final = [
    ("ADD #set :set", "contains(#set, :text) AND attribute_exists(#id)"),
    ("SET #a = :text ADD #set :set", "NOT contains(#set, :text)"),
    ("REMOVE #set SET #a = :text", "#set = :set OR #a = :text"),
    ("REMOVE #a", "NOT (NOT #a = :text OR NOT #a <= :text) OR #set = :set"),
    ("SET #a = :text", "attribute_not_exists(#set) AND (#a <= :text OR #set = :set)"),
]
UPDATE: Final[dict[str, Any]] = {
    "UpdateExpression": "SET #a = :v",
    "ExpressionAttributeNames": {"#a": "a"},
    "ExpressionAttributeValues": {":v": {"S": "x"}},
}


class TestUpdates:
    """Conditional writes agree, and so does the item that refused one."""

    @settings(max_examples=examples(150), **AS_SUBCLASS)
    @given(before=ITEMS, ask=ASKED, now=TIMES, token=st.sampled_from(["t1", "t2"]))
    def test_the_updates_of_claims_agree(
        self,
        server: Database,
        imitations: list[Database],
        *,
        before: Item | None,
        ask: Callable[[ClaimTable], object],
        now: float,
        token: str,
    ) -> None:
        request = requested(ask, now, token)
        expected = server.update(before, **request)

        assert [each.update(before, **request) for each in imitations] == [expected] * 2

    @settings(max_examples=examples(50), **AS_SUBCLASS)
    @given(
        before=st.none()
        | st.fixed_dictionaries({"id": texts("e")}, optional={"a": texts("A", "B"), "set": SETS}),
        expressions=st.sampled_from(EXPRESSIONS),
        text=st.sampled_from(["A", "B", "d1"]),
        members=MEMBERS,
    )
    def test_other_updates_agree(
        self,
        server: Database,
        imitations: list[Database],
        *,
        before: Item | None,
        expressions: tuple[str, str],
        text: str,
        members: list[str],
    ) -> None:
        said = "".join(expressions)
        values = {":text": {"S": text}, ":set": {"SS": members}}
        request = {
            "UpdateExpression": expressions[0],
            "ConditionExpression": expressions[1],
            "ExpressionAttributeNames": {
                f"#{name}": name for name in ("id", "a", "set") if f"#{name}" in said
            },
            "ExpressionAttributeValues": {n: v for n, v in values.items() if n in said},
            "ReturnValues": "ALL_OLD",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        expected = server.update(before, **request)

        assert [each.update(before, **request) for each in imitations] == [expected] * 2

    @pytest.mark.parametrize(
        ("change", "is_accepted_by_ministack"),
        [
            pytest.param({"ConditionExpression": "(#a = :v"}, False, id="parenthesis"),
            pytest.param({"ConditionExpression": "#a = :v #a = :v"}, False, id="two-conditions"),
            pytest.param({"ConditionExpression": "#a = :other"}, False, id="value-not-defined"),
            pytest.param({"ConditionExpression": "#other = :v"}, False, id="name-not-defined"),
            pytest.param(
                {"ExpressionAttributeNames": {"#a": "a", "#b": "b"}}, False, id="name-unused"
            ),
            pytest.param(
                {"ExpressionAttributeValues": {":v": {"S": "x"}, ":w": {"S": "x"}}},
                False,
                id="value-unused",
            ),
            pytest.param({"ExpressionAttributeValues": {":v": {"SS": []}}}, False, id="empty-set"),
            pytest.param({"ExpressionAttributeValues": {":v": {"N": "x"}}}, False, id="no-number"),
            pytest.param({"ExpressionAttributeNames": {"#a": "id"}}, False, id="part-of-the-key"),
            pytest.param({"ReturnValues": "SOME"}, False, id="return-values"),
            pytest.param({"Key": {"key": {"S": "e"}}}, False, id="another-key"),
            pytest.param({"Key": {"id": {"N": "1"}}}, False, id="key-of-another-type"),
            pytest.param({"Key": {"id": {"S": ""}}}, True, id="empty-key"),
            pytest.param({"UpdateExpression": "SET #a :v"}, True, id="syntax"),
            pytest.param({"UpdateExpression": "SET #a = :v,"}, True, id="syntax-at-the-end"),
            pytest.param({"UpdateExpression": "SET #a = :v REMOVE #a"}, True, id="overlap"),
            pytest.param({"UpdateExpression": "SET #a = :v SET #a = :v"}, True, id="two-clauses"),
        ],
    )
    def test_an_invalid_update_is_refused(
        self,
        change: dict[str, Any],
        server: Database,
        imitations: list[Database],
        *,
        is_ministack: bool,
        is_accepted_by_ministack: bool,
    ) -> None:
        servers = imitations if is_ministack and is_accepted_by_ministack else [*imitations, server]
        for each in servers:
            answer = each.update(None, **UPDATE | change)

            assert answer == (("ValidationException", None), {})


def entries() -> Iterable[dict[str, Any]]:
    """Yield entries of two buckets, one without a prefix, some at the same one."""
    for number, prefix in enumerate(["in", "a", "in", None, "in/\u00e9", "*", "in"]):
        entry = {"trigger_id": f"t{number}", "bucket": "b"}
        yield entry | ({} if prefix is None else {"prefix": prefix})
    yield {"trigger_id": "elsewhere", "bucket": "other", "prefix": "in"}


@pytest.fixture(name="filled", scope="module")
def _filled(server: Database, imitations: list[Database]) -> list[Database]:
    """The server, then the imitations, with entries."""
    for each in (server, *imitations):
        each.realm.put("s3triggers", entries())
    return [server, *imitations]


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


READS: Final = [
    pytest.param("query", BY_BUCKET, id="by-bucket"),
    pytest.param("query", BY_BUCKET | values(b="none"), id="by-a-bucket-without-entries"),
    pytest.param("query", AT_PREFIX, id="at-a-prefix"),
    pytest.param("query", AT_PREFIX | values(b="b", p="i"), id="at-a-prefix-of-prefixes"),
    *(
        pytest.param("query", query | {"Limit": limit}, id=f"{name}-{limit}-to-a-page")
        for name, query in (("bucket", BY_BUCKET), ("prefix", AT_PREFIX))
        for limit in (1, 2, 3, 6, 7)
    ),
    pytest.param(
        "query",
        {"KeyConditionExpression": "trigger_id = :t", **values(t="t1")},
        id="by-the-key-of-the-table",
    ),
    pytest.param("query", BY_BUCKET | values(b="b", p="in"), id="value-unused"),
    pytest.param("query", BY_BUCKET | values(p="in"), id="value-not-defined"),
    pytest.param("query", BY_BUCKET | {"Limit": 0}, id="no-limit"),
    pytest.param(
        "query",
        BY_BUCKET
        | {"KeyConditionExpression": "#p = :p", "ExpressionAttributeNames": {"#p": "prefix"}}
        | values(p="in"),
        id="without-the-partition-key",
    ),
    pytest.param("get_item", {"Key": {"trigger_id": {"S": "t1"}}}, id="an-item"),
    pytest.param("get_item", {"Key": {"trigger_id": {"S": "none"}}}, id="no-item"),
    pytest.param("get_item", {"Key": {"bucket": {"S": "b"}}}, id="not-the-key"),
    pytest.param("get_item", {"Key": {"trigger_id": {"N": "1"}}}, id="key-of-another-type"),
]


class TestReads:
    """Items and pages agree."""

    @pytest.mark.parametrize(("operation", "request_"), READS)
    def test_all_pages_agree(
        self, operation: str, request_: dict[str, Any], filled: list[Database]
    ) -> None:
        expected, *found = (read(each, operation, request_) for each in filled)

        assert found == [expected] * 2

    @pytest.mark.parametrize("operation", ["query", "get_item", "update_item"])
    def test_a_missing_table_is_named_by_the_same_error(
        self, operation: str, filled: list[Database]
    ) -> None:
        key = {"Key": {"id": {"S": "e"}}}
        request = {"query": BY_BUCKET, "get_item": key, "update_item": key | UPDATE}[operation]

        assert [each.call(operation, "missing", **request) for each in filled] == [
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

    @pytest.mark.parametrize(
        ("fields", "is_accepted", "is_accepted_by_ministack"),
        [
            pytest.param({"parameters": {"M": EVERY_TYPE}}, True, True, id="every-type"),
            pytest.param({"trigger_id": {"S": "é\u2028\x00"}}, True, True, id="any-id"),
            pytest.param({"trigger_id": {"S": "x" * 2048}}, True, True, id="longest-id"),
            pytest.param({"prefix": {"S": "é" * 512}}, True, True, id="longest-prefix"),
            pytest.param({"prefix": {"S": ""}}, False, True, id="empty-prefix"),
            pytest.param({"bucket": {"S": ""}}, False, True, id="empty-bucket"),
            pytest.param({"prefix": {"S": "x" * 1025}}, False, True, id="long-prefix"),
            pytest.param({"bucket": {"S": "x" * 2049}}, False, True, id="long-bucket"),
            pytest.param({"trigger_id": {"S": ""}}, False, True, id="empty-id"),
        ],
    )
    def test_an_item_is_kept_or_refused(
        self,
        fields: dict[str, Any],
        filled: list[Database],
        *,
        is_accepted: bool,
        is_accepted_by_ministack: bool,
        is_ministack: bool,
    ) -> None:
        item = ENTRY | fields
        is_excused = is_ministack and is_accepted_by_ministack and not is_accepted
        for database in filled[1:] if is_excused else filled:
            answer = database.call("put_item", "triggers", Item=item)

            assert answer == ({} if is_accepted else ("ValidationException", None))
            if is_accepted:
                key = {"trigger_id": item["trigger_id"]}
                found = database.call("get_item", "triggers", Key=key)
                assert found == {"Item": plain(item)}
                database.call("delete_item", "triggers", Key=key)


BODY: Final = {"Id": "1", "MessageBody": "text"}
KNOWN: Final = {"QueueName": "known"}


def batch(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"Entries": list(entries)}


class TestQueues:
    """Queues take and refuse the same messages."""

    @pytest.fixture(name="clients")
    def _clients(self, aws: LocalAws, own: Endpoint) -> Iterator[list[Any]]:
        dynamodb, sqs = clients_of(aws.endpoint)
        made = [sqs, own.clients[1], Aws().client]
        for client in made:
            client.create_queue(**KNOWN)
        yield made
        sqs.close()
        dynamodb.close()

    # Of a name that no queue can have, ministack says no more than that there is no such queue.
    @pytest.mark.parametrize("name", ["known", "no-such-queue"])
    def test_the_url_of_a_queue_or_its_error_agrees(self, name: str, clients: list[Any]) -> None:
        expected, *found = (url(client, name) for client in clients)

        assert found == [expected] * 2
        assert ("known" in expected) is (name == "known")

    @pytest.mark.parametrize(
        "request_",
        [
            pytest.param(batch(BODY, BODY | {"Id": "2", "DelaySeconds": 900}), id="taken"),
            pytest.param(batch(BODY | {"MessageBody": "\u00e9\U0001f600"}), id="not-ascii"),
            pytest.param(batch(), id="empty"),
            pytest.param(batch(*(BODY | {"Id": str(n)} for n in range(11))), id="eleven"),
            pytest.param(batch(BODY, BODY), id="same-id"),
            pytest.param(batch(BODY | {"Id": "no good"}), id="bad-id"),
            pytest.param(
                batch(BODY, BODY | {"Id": "2", "MessageBody": "\x00"}), id="content-of-one"
            ),
            pytest.param(
                batch(*(BODY | {"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2))),
                id="too-long",
            ),
        ],
    )
    def test_a_batch_is_taken_or_refused_alike(
        self, request_: dict[str, Any], clients: list[Any]
    ) -> None:
        expected, *found = (sent(client, request_) for client in clients)

        assert found == [expected] * 2

    def test_a_batch_to_a_missing_queue_is_refused_alike(self, clients: list[Any]) -> None:
        expected, *found = (sent(client, batch(BODY), "known-no-more") for client in clients)

        assert found == [expected] * 2


def url(client: Any, name: str) -> Any:
    """Return the end of a queue's URL, or the error's code."""
    try:
        return client.get_queue_url(QueueName=name)["QueueUrl"].rpartition("/")[2]
    except ClientError as error:
        return error.response["Error"]["Code"]


def sent(client: Any, request: dict[str, Any], name: str = "known") -> Any:
    """Return which entries of a batch were taken and refused, or the error's code."""
    known = client.get_queue_url(**KNOWN)["QueueUrl"]
    try:
        answer = client.send_message_batch(QueueUrl=known.replace("known", name), **request)
    except ClientError as error:
        return error.response["Error"]["Code"]
    taken = [(each["Id"], each["MD5OfMessageBody"]) for each in answer.get("Successful", ())]
    fields = ("Id", "Code", "SenderFault")
    return taken, [[each[name] for name in fields] for each in answer.get("Failed", ())]


class TestObjects:
    """The headers of objects agree."""

    def test_an_object_or_its_absence_is_reported_alike(self, aws: LocalAws, own: Endpoint) -> None:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="heads")
        s3.put_object(Bucket="heads", Key="a b/\u00e9", Body=b"12345")
        own.objects["heads", "a b/\u00e9", None] = {"Content-Length": "5"}
        in_memory = get_session().create_client(
            "s3",
            endpoint_url=own.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

        for key in ("a b/\u00e9", "none"):
            assert size(in_memory, key) == size(s3, key)
        in_memory.close()


def size(client: Any, key: str) -> Any:
    """Return the size of an object, or the error's code."""
    try:
        return client.head_object(Bucket="heads", Key=key)["ContentLength"]
    except ClientError as error:
        return error.response["Error"]["Code"]
