"""The memory that all instances share: docs/duplicates.md. Its model is in test_model."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.httpsession import URLLib3Session
from hypothesis import given, settings
from hypothesis import strategies as st

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.dedup.memory import RecentEvents
from lava_s3trigger.dedup.protocol import Claim, Duplicates, Verdict
from lava_s3trigger.dedup.table import KEPT_SECONDS, MAX_SET_BYTES, ClaimTable
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.events import S3Event
from lava_s3trigger.handler import Function
from lava_s3trigger.log import LOGGER
from lava_s3trigger.sent import SentRecord
from lava_s3trigger.settings import Settings
from tests.build import direct, messages, record
from tests.clock import Clock
from tests.context import Context
from tests.examples import examples
from tools.local.server import REGION

from .conditional_writes import ConditionalTable, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from tools.local.realm import Realm
    from tools.local.server import LocalAws

    from .conditional_writes import Item

NOW: Final = 1_800_000_000.25
TTL: Final = 30.0
LEASE: Final = 65.0
DAY: Final = 24 * 3600

_NUMBERS: Final = itertools.count(1)


class Shared:
    """A table of claims on the local server, with the time that all instances see."""

    def __init__(self, client: Any) -> None:
        self.client: DynamoDBClient = client
        self.name = f"claims-{next(_NUMBERS)}"
        self.clock = Clock(NOW)
        client.create_table(
            TableName=self.name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def claims(self, client: Any = None, ttl: float = TTL) -> ClaimTable:
        return ClaimTable(client or self.client, self.name, ttl, self.clock)

    def put(self, item: Item | None) -> None:
        """Have an item in the table, or none."""
        if item is None:
            self.client.delete_item(TableName=self.name, Key={"id": {"S": "e"}})
        else:
            self.client.put_item(TableName=self.name, Item=item)

    def item(self) -> dict[str, Any] | None:
        return self.client.get_item(TableName=self.name, Key={"id": {"S": "e"}}).get("Item")


@pytest.fixture(name="shared")
def _shared(aws: LocalAws) -> Shared:
    return Shared(aws.client("dynamodb"))


@pytest.fixture(name="table", scope="module")
def _table(aws: LocalAws) -> Shared:
    """A table for all tests that put into it what they need."""
    return Shared(aws.client("dynamodb"))


def sent(*job_ids: str, parked: tuple[str, ...] = ()) -> SentRecord:
    """Return a record of jobs that trigger t dispatched, and of triggers that were parked."""
    return SentRecord(jobs=Counter(("t", job_id) for job_id in job_ids), parked=set(parked))


def facts(*job_ids: str) -> list[str]:
    """Return what an item holds of jobs that trigger t dispatched once."""
    return [f'["t", "{job_id}", 1]' for job_id in job_ids]


def item(state: str, owner: str, until: float, *job_ids: str) -> dict[str, Any]:
    """Return an item, written by another attempt."""
    made: dict[str, Any] = {
        "id": {"S": "e"},
        "state": {"S": state},
        "owner": {"S": owner},
        "token": {"S": "another"},
        "until": {"N": str(until)},
        "expires": {"N": str(int(NOW) + DAY)},
    }
    return made | ({"sent": {"SS": facts(*job_ids)}} if job_ids else {})


WORK, DUPLICATE, BUSY, UNKNOWN = Verdict.WORK, Verdict.DUPLICATE, Verdict.BUSY, Verdict.UNKNOWN


class TestClaim:
    """The table decides which delivery handles an event."""

    @pytest.mark.parametrize(
        ("before", "verdict", "known"),
        [
            pytest.param(None, WORK, [], id="new"),
            pytest.param(item("claimed", "mine", NOW + 1), BUSY, [], id="claimed-for-itself"),
            pytest.param(item("claimed", "other", NOW + 1), BUSY, [], id="claimed-for-another"),
            pytest.param(item("claimed", "mine", NOW), WORK, [], id="its-lease-has-run-out"),
            pytest.param(item("claimed", "other", NOW), WORK, [], id="a-lease-runs-out-just-now"),
            pytest.param(item("claimed", "other", NOW - 1), WORK, [], id="a-lease-has-run-out"),
            pytest.param(
                item("claimed", "other", NOW - 1, "d1"), WORK, ["d1"], id="it-had-failed-before"
            ),
            pytest.param(item("done", "mine", NOW + 1), DUPLICATE, [], id="done-by-itself"),
            pytest.param(item("done", "mine", NOW - DAY), DUPLICATE, [], id="done-by-itself-ago"),
            pytest.param(item("done", "other", NOW + 1), DUPLICATE, [], id="done-within-the-ttl"),
            pytest.param(item("done", "other", NOW), WORK, [], id="done-at-the-end-of-the-ttl"),
            pytest.param(item("done", "other", NOW - 1), WORK, [], id="done-before-the-ttl"),
            pytest.param(item("failed", "mine", 0), WORK, [], id="failed"),
            pytest.param(item("failed", "mine", 0, "d1"), WORK, ["d1"], id="failed-in-part"),
            pytest.param(
                item("failed", "other", 0, "d1", "d2"), WORK, ["d1", "d2"], id="anothers-failed"
            ),
        ],
    )
    def test_the_verdict_follows_the_stored_item(
        self, before: Item | None, verdict: Verdict, known: list[str], table: Shared
    ) -> None:
        table.put(before)

        claim = table.claims().claim("e", "mine", LEASE)

        assert (claim.verdict, claim.sent, claim.error) == (verdict, sent(*known), None)
        if verdict is WORK:
            assert table.item() == {
                **item("claimed", "mine", NOW + LEASE, *known),
                "token": {"S": claim.token},
                "expires": {"N": str(int(NOW + DAY))},
            }
        elif verdict is BUSY:  # it will come again, and is a duplicate then
            assert table.item() == {**(before or {}), "returning": {"SS": ["mine"]}}
        else:
            assert table.item() == before

    def test_a_busy_delivery_is_a_duplicate_whenever_it_returns(self, table: Shared) -> None:
        before = item("done", "other", NOW - DAY) | {"returning": {"SS": ["mine", "theirs"]}}
        table.put(before)

        assert table.claims().claim("e", "mine", LEASE).verdict is DUPLICATE
        assert table.claims().claim("e", "new", LEASE).verdict is WORK

    def test_different_events_have_different_claims(self, shared: Shared) -> None:
        claims = shared.claims()

        assert claims.claim("e", "mine", LEASE).verdict is WORK
        assert claims.claim("another", "mine", LEASE).verdict is WORK

    def test_every_attempt_has_its_own_token(self, shared: Shared) -> None:
        claims = shared.claims()

        tokens = {claims.claim("e", "mine", LEASE).token for _ in range(10)}

        assert len(tokens) == 10

    @pytest.mark.parametrize(("ttl", "expected"), [(TTL, DAY), (7.0 * DAY, 7 * DAY)])
    def test_an_item_is_kept_for_a_day_or_the_ttl(
        self, ttl: float, expected: int, table: Shared
    ) -> None:
        table.put(None)
        claims = table.claims(ttl=ttl)

        claim = claims.claim("e", "mine", LEASE)
        for settle in (claims.confirm, lambda claim: claims.release(claim, sent("d1"))):
            found = table.item()
            assert found
            assert found["expires"] == {"N": str(int(NOW) + expected)}
            settle(claim)

    def test_an_item_is_kept_longer_than_lambda_retries(self) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        assert KEPT_SECONDS > 6 * 3600


class TestSettling:
    """The result of a claim is stored, unless another delivery took it over."""

    def test_a_done_claim_is_stored_as_done(self, shared: Shared) -> None:
        shared.put(item("failed", "other", 0, "d1"))
        claims = shared.claims()
        claim = claims.claim("e", "mine", LEASE)
        shared.clock.now += 2

        assert claims.confirm(claim) is None

        assert shared.item() == {
            **item("done", "mine", NOW + 2 + TTL),
            "token": {"S": claim.token},
            "expires": {"N": str(int(NOW + 2 + DAY))},
        }

    @pytest.mark.parametrize(
        ("before", "now", "expected"),
        [
            pytest.param([], [], [], id="nothing"),
            pytest.param([], ["d2", "d1"], ["d1", "d2"], id="now"),
            pytest.param(["d1"], [], ["d1"], id="before"),
            pytest.param(["d1"], ["d2"], ["d1", "d2"], id="one-before-and-one-now"),
            pytest.param(["d1"], ["d1", "d2"], ["d1", "d2"], id="the-same-again"),
        ],
    )
    def test_a_failed_claim_is_stored_with_its_dispatches(
        self, before: list[str], now: list[str], expected: list[str], table: Shared
    ) -> None:
        table.put(item("failed", "other", 0, *before))
        claims = table.claims()
        claim = claims.claim("e", "mine", LEASE)

        assert claims.release(claim, sent(*now)) is None

        assert table.item() == item("failed", "mine", 0, *expected) | {"token": {"S": claim.token}}

    @pytest.mark.parametrize(
        ("record", "texts"),
        [
            pytest.param(sent("a", "a", "b"), ['["t", "a", 2]', '["t", "b", 1]'], id="counts"),
            pytest.param(
                sent("a", parked=("u",)), ['["t", "a", 1]', '["u", null, 1]'], id="parked"
            ),
            pytest.param(sent('"\n\ud800'), ['["t", "\\"\\n\\ud800", 1]'], id="any text"),
            pytest.param(sent(*"abcdefghijk"), facts(*"abcdefghijk"), id="many"),
        ],
    )
    def test_a_sent_record_is_read_back(
        self, record: SentRecord, texts: list[str], table: Shared
    ) -> None:
        table.put(None)
        claims = table.claims()

        claims.release(claims.claim("e", "mine", LEASE), record)

        assert sorted((table.item() or {})["sent"]["SS"]) == texts
        assert claims.claim("e", "other", LEASE).sent == record

    def test_counts_of_two_attempts_are_not_added(self, table: Shared) -> None:
        """The second attempt's record has what the first one sent and the second skipped."""
        table.put(None)
        claims = table.claims()
        claims.release(claims.claim("e", "mine", LEASE), sent("a", "a", "b"))

        claims.release(claims.claim("e", "mine", LEASE), sent("a", "b", "b"))

        assert claims.claim("e", "mine", LEASE).sent == sent("a", "a", "b", "b")

    def test_the_size_of_an_item_is_bounded(self, table: Shared) -> None:
        """What was parked or sent just now is kept first."""
        table.put(None)
        claims = table.claims()
        first = claims.claim("e", "mine", LEASE)
        claims.release(first, sent(*(f"{n:04}-" + "x" * 2_000 for n in range(60))))
        now = sent(*(f"now-{n}-" + "y" * 2_000 for n in range(10)), parked=("u",))

        assert claims.release(claims.claim("e", "mine", LEASE), now) is None

        kept = (table.item() or {})["sent"]["SS"]
        assert 0.95 * MAX_SET_BYTES < sum(map(len, kept)) <= MAX_SET_BYTES
        known = claims.claim("e", "mine", LEASE).sent
        assert known.parked == now.parked
        assert not now.jobs - known.jobs

    def test_an_item_is_bounded_in_returning_deliveries(
        self, table: Shared, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lava_s3trigger.dedup.table.MAX_RETURNING", 3)
        table.put(None)
        claims = table.claims()
        claims.claim("e", "mine", LEASE)

        for number in range(5):
            assert claims.claim("e", f"other-{number}", LEASE).verdict is BUSY

        assert len((table.item() or {})["returning"]["SS"]) == 3

    @pytest.mark.parametrize("settle", ["confirm", "release"])
    @pytest.mark.parametrize(
        "after",
        [
            pytest.param(item("claimed", "mine", NOW + 1), id="claimed-by-itself"),
            pytest.param(item("claimed", "other", NOW + 1, "d1"), id="claimed"),
            pytest.param(item("done", "other", NOW + 1), id="done"),
            pytest.param(item("failed", "other", 0, "d1"), id="failed"),
            pytest.param(None, id="forgotten"),
        ],
    )
    def test_a_lost_claim_is_not_settled(
        self, settle: str, after: Item | None, table: Shared
    ) -> None:
        table.put(None)
        claims = table.claims()
        claim = claims.claim("e", "mine", LEASE)
        table.put(after)

        reason = claims.confirm(claim) if settle == "confirm" else claims.release(claim, sent("d2"))

        assert "conditional request failed" in str(reason)
        assert table.item() == after

    def test_a_claim_after_its_lease_is_settled_unless_taken_over(self, shared: Shared) -> None:
        claims = shared.claims()
        claim = claims.claim("e", "mine", LEASE)
        shared.clock.now += 2 * LEASE

        assert claims.confirm(claim) is None

        assert claims.claim("e", "other", LEASE).verdict is DUPLICATE

    def test_an_expired_done_item_loses_its_dispatches(self, shared: Shared) -> None:
        claims = shared.claims()
        claims.release(claims.claim("e", "mine", LEASE), sent("d1"))
        claims.confirm(claims.claim("e", "mine", LEASE))
        shared.clock.now += TTL

        claim = claims.claim("e", "other", LEASE)

        assert (claim.verdict, claim.sent) == (WORK, SentRecord())


class Fault(Protocol):
    """A fault of a call that is about to be sent."""

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None: ...


class Lost:
    """The calls are carried out, and their replies are lost, for a number of calls."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None:
        if not self.left:
            return None
        self.left -= 1
        session = URLLib3Session()
        assert session.send(request).status_code == 200
        session.close()
        raise ConnectionClosedError(endpoint_url=request.url)


class Counted:
    """The calls succeed, and are counted."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None:  # noqa: ARG002
        self.calls += 1
        return None


class Denied:
    """The service refuses the calls."""

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None:
        return _Refusal(request.url)


class _Refusal(AWSResponse):
    def __init__(self, url: str) -> None:
        super().__init__(url, 400, HTTPHeaders(), None)
        self._content = json.dumps({"__type": "AccessDeniedException", "message": "no"}).encode()


class OutOfReach:
    """Calls whose text contains a word do not arrive."""

    def __init__(self, word: str = "") -> None:
        self.word = word.encode()

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None:
        if self.word in request.body:
            raise ConnectionClosedError(endpoint_url=request.url)
        return None


class Clients:
    """Clients as the function makes them, each instance its own, with faults of its own."""

    def __init__(self, aws: LocalAws) -> None:
        self._aws = aws
        self._made: list[Any] = []

    def __call__(self, operation: str = "", fault: Fault | None = None) -> tuple[Any, Any]:
        """Make clients of DynamoDB and SQS.

        Args:
            operation: Operation that the fault befalls, as ``sqs.SendMessageBatch``.
            fault: The fault.
        """
        made = make_clients(
            endpoint_url=self._aws.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        for client in made:
            self._made.append(client)
            if fault and operation.startswith(client.meta.service_model.service_name):
                events: Any = client.meta.events
                events.register(f"before-send.{operation}", fault)
        return made

    def close(self) -> None:
        for client in self._made:
            client.close()


@pytest.fixture(name="clients")
def _clients(aws: LocalAws) -> Iterator[Clients]:
    clients = Clients(aws)
    yield clients
    clients.close()


UPDATE: Final = "dynamodb.UpdateItem"


class TestReplies:
    """A call whose reply was lost is repeated, with the same effect."""

    def test_a_repeated_claim_is_recognized(self, shared: Shared, clients: Clients) -> None:
        fault = Lost(1)
        dynamodb, _ = clients(UPDATE, fault)
        shared.put(item("failed", "other", 0, "d1"))

        claim = shared.claims(dynamodb).claim("e", "mine", LEASE)

        assert (claim.verdict, claim.sent, fault.left) == (WORK, sent("d1"), 0)
        assert shared.claims().claim("e", "other", LEASE).verdict is BUSY

    def test_a_settlement_is_repeated(self, shared: Shared, clients: Clients) -> None:
        fault = Lost(1)
        dynamodb, _ = clients(UPDATE, fault)
        claim = shared.claims().claim("e", "mine", LEASE)

        assert shared.claims(dynamodb).confirm(claim) is None

        assert fault.left == 0
        assert shared.claims().claim("e", "other", LEASE).verdict is DUPLICATE


class TestOutOfReach:
    """An unreachable table is a verdict with the reason, not an exception."""

    def test_a_missing_table_is_an_unknown_verdict(self, shared: Shared) -> None:
        claims = ClaimTable(shared.client, "no-such-table", TTL, shared.clock)

        claim = claims.claim("e", "mine", LEASE)

        assert claim.verdict is UNKNOWN
        assert "ResourceNotFoundException" in str(claim.error)
        assert "ResourceNotFoundException" in str(claims.confirm(claim))
        assert "ResourceNotFoundException" in str(claims.release(claim, sent()))

    def test_a_denied_write_is_an_unknown_verdict(self, shared: Shared, clients: Clients) -> None:
        dynamodb, _ = clients(UPDATE, Denied())

        claim = shared.claims(dynamodb).claim("e", "mine", LEASE)

        assert claim.verdict is UNKNOWN
        assert "AccessDeniedException" in str(claim.error)

    def test_an_unreachable_server_is_an_unknown_verdict(self, shared: Shared) -> None:
        claims = shared.claims(Silent())

        claim = claims.claim("e", "mine", LEASE)

        assert claim.verdict is UNKNOWN
        assert "Connection was closed" in str(claim.error)
        assert "Connection was closed" in str(claims.confirm(claim))
        assert "Connection was closed" in str(claims.release(claim, sent("d1")))


class Silent:
    """A client whose calls get no reply."""

    def update_item(self, **_: Any) -> None:
        raise ConnectionClosedError(endpoint_url="the table")


# The table in memory, that the model is run on.


class Recorder:
    """A client that records requests, and returns empty answers."""

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.request = request
        return {}


def requested(ask: Callable[[ClaimTable], object], now: float, token: str) -> dict[str, Any]:
    """Return what `ClaimTable` asks of DynamoDB, with another token."""
    recorder = Recorder()
    ask(ClaimTable(recorder, "claims", TTL, lambda: now))  # type: ignore[arg-type]
    request = recorder.request
    request["ExpressionAttributeValues"][":token"] = {"S": token}
    del request["TableName"]
    return request


TIMES: Final = st.one_of(
    st.sampled_from([0.0, NOW, NOW + LEASE]), st.floats(NOW - 100, NOW + 100).map(float)
)
OWNERS: Final = st.sampled_from(["A", "B"])
TOKENS: Final = st.sampled_from(["t1", "t2"])
DIGESTS: Final = st.sets(st.sampled_from(["d1", "d2", "d3"]), min_size=1).map(sorted)
TEXTS: Final = OWNERS.map(lambda text: {"S": text})
ITEMS: Final = st.none() | st.fixed_dictionaries(
    {"id": st.just({"S": "e"})},
    optional={
        "state": st.sampled_from(["claimed", "done", "failed"]).map(lambda text: {"S": text}),
        "owner": TEXTS,
        "token": TOKENS.map(lambda text: {"S": text}),
        "until": TIMES.map(lambda time: {"N": repr(time)}) | TEXTS,
        "expires": st.integers(0, 2**31).map(lambda time: {"N": str(time)}),
        "sent": DIGESTS.map(lambda texts: {"SS": texts}),
    },
)
ASKED: Final[st.SearchStrategy[Callable[[ClaimTable], object]]] = st.one_of(
    OWNERS.map(lambda owner: lambda claims: claims.claim("e", owner, LEASE)),
    st.just(lambda claims: claims.confirm(Claim("e", WORK, ""))),
    DIGESTS.map(lambda ids: lambda claims: claims.release(Claim("e", WORK, ""), sent(*ids))),
    st.just(lambda claims: claims.release(Claim("e", WORK, ""), sent())),
)
# What a protocol might come to use.
EXPRESSIONS: Final = [
    ("ADD #set :set", "contains(#set, :text) AND attribute_exists(#id)"),
    ("SET #a = :text ADD #set :set", "NOT contains(#set, :text)"),
    ("REMOVE #set SET #a = :text", "#set = :set OR #a = :text"),
    ("REMOVE #a", "NOT (NOT #a = :text OR NOT #a <= :text) OR #set = :set"),
    ("SET #a = :text", "attribute_not_exists(#set) AND (#a <= :text OR #set = :set)"),
]
OTHER_ITEMS: Final = st.none() | st.fixed_dictionaries(
    {"id": st.just({"S": "e"})},
    optional={"a": TEXTS, "set": DIGESTS.map(lambda texts: {"SS": texts})},
)


def in_memory(before: Item | None, request: dict[str, Any]) -> tuple[Any, ...]:
    """Return the item and the answer, or what stood in the way."""
    try:
        after, answer = write(before, request)
    except ClientError as error:
        return _plain(before), *_refusal(error)
    return _plain(after), "", _plain(answer.get("Attributes"))


def on_server(table: Shared, before: Item | None, request: dict[str, Any]) -> tuple[Any, ...]:
    """Return the same, of the local server."""
    table.put(before)
    try:
        answer = table.client.update_item(TableName=table.name, **request)
    except ClientError as error:
        return _plain(table.item()), *_refusal(error)
    return _plain(table.item()), "", _plain(answer.get("Attributes"))


def _refusal(error: ClientError) -> tuple[str, Any]:
    return error.response["Error"]["Code"], _plain(error.response.get("Item"))


def _plain(item: Any) -> Any:
    """Return an item with its numbers as numbers, and its sets as sets."""
    read: dict[str, Callable[[Any], object]] = {"N": Decimal, "S": str, "SS": frozenset}
    return item and {
        name: read[kind](value) for name, held in item.items() for kind, value in held.items()
    }


class TestConditionalTable:
    """The table in memory behaves as the server does."""

    @settings(max_examples=examples(150), deadline=None)
    @given(before=ITEMS, ask=ASKED, now=TIMES.filter(bool), token=TOKENS)
    def test_the_model_agrees_with_the_server_on_the_claims_used(
        self,
        table: Shared,
        before: Item | None,
        ask: Callable[[ClaimTable], object],
        now: float,
        token: str,
    ) -> None:
        request = requested(ask, now, token)

        assert in_memory(before, request) == on_server(table, before, request)

    @settings(max_examples=examples(50), deadline=None)
    @given(
        before=OTHER_ITEMS,
        expressions=st.sampled_from(EXPRESSIONS),
        text=st.sampled_from(["A", "B", "d1"]),
        members=DIGESTS,
    )
    def test_the_model_agrees_with_the_server_on_random_claims(
        self,
        table: Shared,
        before: Item | None,
        expressions: tuple[str, str],
        text: str,
        members: list[str],
    ) -> None:
        update, condition = expressions
        said = update + condition
        names = {f"#{each}": each for each in ("id", "a", "set") if f"#{each}" in said}
        values = {":text": {"S": text}, ":set": {"SS": members}}
        request = {
            "Key": {"id": {"S": "e"}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {n: v for n, v in values.items() if n in said},
            "ReturnValues": "ALL_OLD",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

        assert in_memory(before, request) == on_server(table, before, request)

    @pytest.mark.parametrize(
        ("change", "is_so_on_server"),
        [
            pytest.param({"ConditionExpression": "(#a = :v"}, True, id="parenthesis"),
            pytest.param({"ConditionExpression": "#a = :v #a = :v"}, True, id="two-conditions"),
            pytest.param({"ConditionExpression": "#a = :other"}, True, id="value-not-defined"),
            pytest.param({"ConditionExpression": "#other = :v"}, True, id="name-not-defined"),
            pytest.param(
                {"ExpressionAttributeNames": {"#a": "a", "#b": "b"}}, True, id="name-unused"
            ),
            pytest.param(
                {"ExpressionAttributeValues": {":v": {"S": "x"}, ":w": {"S": "x"}}},
                True,
                id="value-unused",
            ),
            pytest.param({"ExpressionAttributeValues": {":v": {"SS": []}}}, True, id="empty-set"),
            pytest.param({"ExpressionAttributeValues": {":v": {"N": "x"}}}, True, id="no-number"),
            pytest.param({"ExpressionAttributeNames": {"#a": "id"}}, True, id="part-of-the-key"),
            pytest.param({"ReturnValues": "SOME"}, True, id="return-values"),
            pytest.param({"Key": {"key": {"S": "e"}}}, True, id="another-key"),
            pytest.param({"Key": {"id": {"N": "1"}}}, True, id="key-of-another-type"),
            # DynamoDB refuses these; the local server does not.
            pytest.param({"UpdateExpression": "SET #a :v"}, False, id="syntax"),
            pytest.param({"UpdateExpression": "SET #a = :v,"}, False, id="syntax-at-the-end"),
            pytest.param({"UpdateExpression": "SET #a = :v REMOVE #a"}, False, id="overlap"),
            pytest.param({"UpdateExpression": "SET #a = :v SET #a = :v"}, False, id="two-clauses"),
        ],
    )
    def test_an_invalid_request_is_refused_by_both(
        self, change: dict[str, Any], shared: Shared, *, is_so_on_server: bool
    ) -> None:
        memory = ConditionalTable(shared.name)
        request: dict[str, Any] = {
            "TableName": shared.name,
            "Key": {"id": {"S": "e"}},
            "UpdateExpression": "SET #a = :v",
            "ExpressionAttributeNames": {"#a": "a"},
            "ExpressionAttributeValues": {":v": {"S": "x"}},
            **change,
        }

        updates: list[Callable[..., Any]] = [memory.update_item, shared.client.update_item]
        for update in updates if is_so_on_server else updates[:1]:
            with pytest.raises(ClientError) as caught:
                update(**request)
            assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert memory.items == {}

    def test_another_table_is_missing_for_both(self, shared: Shared) -> None:
        for client in (ConditionalTable("claims"), shared.client):
            claim = ClaimTable(client, "another", TTL).claim("e", "A", LEASE)  # type: ignore[arg-type]
            assert "ResourceNotFoundException" in str(claim.error)

    def test_a_copy_is_independent(self) -> None:
        one = ConditionalTable("claims")
        claim = ClaimTable(one, "claims", TTL).claim("e", "A", LEASE)  # type: ignore[arg-type]
        two = ConditionalTable("claims", one.items)

        ClaimTable(two, "claims", TTL).confirm(claim)  # type: ignore[arg-type]

        assert one.items["e"]["state"] == {"S": "claimed"}
        assert two.items["e"]["state"] == {"S": "done"}


# What stands between the handler and the claims; most of it is in test_duplicates.

EVENT: Final = S3Event(
    bucket="my-bucket",
    key="a/b/c",
    size=10,
    event_time=datetime(2026, 3, 14, tzinfo=UTC),
    event_type="ObjectCreated:Put",
    source_ip=None,
    aws_region="eu-west-1",
    record={"s3": {"object": {"sequencer": "1"}}},
)


def nothing() -> None:
    """Do nothing."""


class Slow:
    """A table after each answer of which something happens."""

    def __init__(self, table: Any, then: Callable[[], object]) -> None:
        self._table = table
        self._then = then

    def update_item(self, **request: Any) -> Any:
        try:
            return self._table.update_item(**request)
        finally:
            self._then()


class Instances:
    """Instances that share a table in memory, without memory of their own."""

    def __init__(self) -> None:
        self.table: Any = ConditionalTable("claims")
        self.waits: list[float] = []
        self.meanwhile: Callable[[], object] = nothing

    def one(self, client: Any = None) -> Duplicates:
        claims = ClaimTable(client or self.table, "claims", TTL, lambda: NOW)
        duplicates = Duplicates(RecentEvents(0, TTL, lambda: NOW), claims, sleep=self._sleep)
        duplicates.start()
        return duplicates

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.meanwhile()


@pytest.fixture(name="instances")
def _instances() -> Instances:
    return Instances()


class Odd:
    """A table whose nth answer is one that DynamoDB never gives."""

    def __init__(self, table: Any, number: int) -> None:
        self._table = table
        self._left = number

    def update_item(self, **request: Any) -> Any:
        self._left -= 1
        if not self._left:
            raise LookupError("odd")
        return self._table.update_item(**request)


class TestOddAnswers:
    """An answer that DynamoDB never gives counts as none, and loses nothing."""

    def test_an_odd_answer_to_a_claim_is_an_unknown_verdict(self, instances: Instances) -> None:
        [admitted] = instances.one(Odd(instances.table, 1)).admit([(EVENT, "A")], UNLIMITED)

        assert admitted.claim is not None
        assert admitted.claim.verdict is UNKNOWN
        assert (admitted.claim.error or "").startswith("LookupError: odd (test_table.py, line ")

    @pytest.mark.parametrize("is_done", [False, True], ids=["release", "confirm"])
    def test_an_odd_answer_to_a_settlement_is_logged(
        self, instances: Instances, caplog: pytest.LogCaptureFixture, *, is_done: bool
    ) -> None:
        caplog.set_level("INFO", logger=LOGGER.name)
        one = instances.one(Odd(instances.table, 2))
        [admitted] = one.admit([(EVENT, "A")], UNLIMITED)

        one.settle([(EVENT, admitted, None if is_done else sent())], UNLIMITED)

        assert 'claims not settled {"count": 1, "reason": "LookupError: odd' in caplog.text

    def test_an_odd_answer_during_a_wait_leaves_the_event_busy(self, instances: Instances) -> None:
        """Whoever was at work on it may still be."""
        instances.one().admit([(EVENT, "A")], UNLIMITED)

        # The first call is refused, the second notes the return, the third has no answer.
        [admitted] = instances.one(Odd(instances.table, 3)).admit([(EVENT, "B")], UNLIMITED)

        assert admitted.is_busy


class TestBusy:
    """An event claimed elsewhere is waited for briefly."""

    def test_an_event_that_fails_during_the_wait_is_taken_over(self, instances: Instances) -> None:
        one, two = instances.one(), instances.one()
        admitted = one.admit([(EVENT, "A")], UNLIMITED)

        def fail() -> None:
            if len(instances.waits) == 2:
                one.settle([(EVENT, admitted[0], sent("d1"))], UNLIMITED)

        instances.meanwhile = fail
        [again] = two.admit([(EVENT, "B")], UNLIMITED)

        assert instances.waits == [0.1, 0.3]
        assert again.claim is not None
        assert (again.claim.verdict, again.claim.sent) == (WORK, sent("d1"))

    def test_busy_events_share_one_wait_and_delay_no_other(self, instances: Instances) -> None:
        events = [dataclasses.replace(EVENT, key=f"k-{n}") for n in range(40)]
        instances.one().admit([(each, "A") for each in events[:30]], UNLIMITED)

        admitted = instances.one().admit([(each, "B") for each in events], UNLIMITED)

        assert [each.is_busy for each in admitted] == [True] * 30 + [False] * 10
        assert [bool(each.failure) for each in admitted] == [True] * 30 + [False] * 10
        assert instances.waits == [0.1, 0.3, 0.6]

    def test_a_returning_delivery_is_recorded_if_time_is_left(self, instances: Instances) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        instances.one().admit([(EVENT, "A")], UNLIMITED)
        for owner, after in (("B", 1.0), ("C", 300.0)):
            left[0] = 300.0
            one = instances.one(Slow(instances.table, partial(left.__setitem__, 0, after)))

            one.admit([(EVENT, owner)], deadline)

        [item] = instances.table.items.values()
        assert item["returning"] == {"SS": ["C"]}

    def test_the_same_delivery_waits_too(self, instances: Instances) -> None:
        instances.one().admit([(EVENT, "A")], UNLIMITED)

        [again] = instances.one().admit([(EVENT, "A")], UNLIMITED)

        assert again.failure == ("busy", "another delivery of the same event is being carried out")

    def test_a_duplicate_in_the_same_invocation_is_done_at_once(self, instances: Instances) -> None:
        admitted = instances.one().admit([(EVENT, "A"), (EVENT, "B")], UNLIMITED)

        assert [each.failure for each in admitted] == [None, None]
        assert [each.is_duplicate for each in admitted] == [False, True]
        assert instances.waits == []


class TestCount:
    """The log counts the events that are handled without the table."""

    def test_events_without_the_table_are_counted(
        self, instances: Instances, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", logger=LOGGER.name)
        one = instances.one(Silent())

        for count in (1, 2):  # as FIFO queues have it: one after the other
            events = [dataclasses.replace(EVENT, key=f"{count}-{n}") for n in range(count)]
            admitted = one.admit([(event, "A") for event in events], UNLIMITED)
            assert not any(each.is_duplicate or each.failure for each in admitted)

        lines = [each.removeprefix("dedup table unreachable ") for each in caplog.messages]
        assert sum(json.loads(each)["count"] for each in lines) == 3


# The whole function, two instances and more.


class Fleet:
    """Instances of the function for a realm, that share a table.

    Each event runs job-core and job-web.
    """

    def __init__(self, realm: Realm, shared: Shared, clients: Clients) -> None:
        self.realm = realm
        self.shared = shared
        self._clients = clients
        for worker in ("core", "web"):
            job = {"job_id": f"job-{worker}", "type": "exe", "worker": worker, "payload": "x"}
            realm.put("jobs", [job | {"enabled": True}])
        jobs = ["job-core", "job-web"]
        entry = {"trigger_id": "t", "bucket": "my-bucket", "prefix": "*", "enabled": True}
        realm.put("s3triggers", [entry | {"job_id": jobs, "parameters": {"key": "{{ key }}"}}])

    def instance(
        self, operation: str = "", fault: Fault | None = None, **more: Any
    ) -> Callable[..., dict[str, Any] | None]:
        """Start an instance, that waits for nothing."""
        known = {"realm": self.realm.name, "dedup_table": self.shared.name, "dedup_ttl": 3600.0}
        function = Function(
            Settings(**{**known, **more}), *self._clients(operation, fault), sleep=lambda _: None
        )

        def handle(payload: Any, request: str | None = None) -> dict[str, Any] | None:
            return function(payload, Context(60.0, request))

        return handle

    def sent(self) -> dict[str, list[str]]:
        """Take the dispatches, and give the keys of the objects by worker."""
        return {
            worker: sorted(
                json.loads(each["Body"])["parameters"]["key"] for each in self.realm.receive(worker)
            )
            for worker in ("core", "web")
        }


ONCE: Final = {"core": ["in/1.csv"], "web": ["in/1.csv"]}
NEVER: Final[dict[str, list[str]]] = {"core": [], "web": []}
SEND: Final = "sqs.SendMessageBatch"


@pytest.fixture(name="fleet")
def _fleet(realm: Realm, shared: Shared, clients: Clients) -> Fleet:
    return Fleet(realm, shared, clients)


class TestFunction:
    """Instances that share a table dispatch an event once."""

    def test_the_second_instance_sends_nothing(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        one, two = fleet.instance(), fleet.instance()
        caplog.set_level("INFO", logger=LOGGER.name)

        assert one(messages(m1=direct(record()))) is None
        assert fleet.sent() == ONCE
        caplog.clear()
        assert two(messages(m2=direct(record()))) is None

        assert fleet.sent() == NEVER
        [line] = [each for each in caplog.messages if each.startswith("skipped")]
        assert json.loads(line.removeprefix("skipped ")) == {
            "kind": "duplicate",
            "reason": "duplicate",
            "message_id": "m2",
            "bucket": "my-bucket",
            "key": "in/1.csv",
        }

    def test_another_object_is_no_duplicate(self, fleet: Fleet) -> None:
        fleet.instance()(messages(m1=direct(record())))
        fleet.instance()(messages(m2=direct(record("in/2.csv"))))

        both = ["in/1.csv", "in/2.csv"]
        assert fleet.sent() == {"core": both, "web": both}

    def test_a_fresh_instance_sends_only_the_failed_dispatches(self, fleet: Fleet) -> None:
        queue = f"lava-{fleet.realm.name}-web"
        with pytest.raises(DeliveriesFailedError):
            fleet.instance(SEND, OutOfReach(queue))(messages(m1=direct(record())))
        assert fleet.sent() == {"core": ["in/1.csv"], "web": []}

        assert fleet.instance()(messages(m1=direct(record()))) is None
        assert fleet.sent() == {"core": [], "web": ["in/1.csv"]}

        assert fleet.instance()(messages(m1=direct(record()))) is None
        assert fleet.sent() == NEVER

    def test_done_events_of_a_failed_delivery_are_not_repeated(self, fleet: Fleet) -> None:
        entry = {"trigger_id": "other", "bucket": "my-bucket", "prefix": "other", "enabled": True}
        fleet.realm.put("s3triggers", [entry | {"job_id": "none"}])
        no_answer = OutOfReach('"none"')
        payload = direct(record())
        payload["Records"] += direct(record("other/1.csv"))["Records"]

        # It is given back, and comes again when the TTL is over.
        with pytest.raises(DeliveriesFailedError):
            fleet.instance("dynamodb.GetItem", no_answer, dedup_ttl=0.0)(payload, "request")
        assert fleet.sent() == ONCE
        with pytest.raises(DeliveriesFailedError):
            fleet.instance("dynamodb.GetItem", no_answer, dedup_ttl=0.0)(payload, "request")

        assert fleet.sent() == NEVER

    def test_a_late_retry_of_a_done_delivery_sends_nothing(self, fleet: Fleet) -> None:
        event = direct(record())
        fleet.instance(dedup_ttl=0.0)(event, "request")
        assert fleet.sent() == ONCE

        fleet.instance(dedup_ttl=0.0)(event, "request")
        assert fleet.sent() == NEVER

        fleet.instance(dedup_ttl=0.0)(event, "another request")
        assert fleet.sent() == ONCE

    def test_an_event_claimed_elsewhere_fails(self, fleet: Fleet) -> None:
        two = fleet.instance()
        answers: list[object] = []

        class Meanwhile:
            """Has the other instance handle the same event, while the first sends."""

            def __call__(self, request: Any, **_: Any) -> AWSResponse | None:  # noqa: ARG002
                if not answers:
                    answers.append(None)
                    with pytest.raises(DeliveriesFailedError, match="is being carried out"):
                        two(messages(m2=direct(record())))
                return None

        one = fleet.instance(SEND, Meanwhile())
        assert one(messages(m1=direct(record()))) is None
        assert answers == [None]
        assert fleet.sent() == ONCE

        assert two(messages(m2=direct(record()))) is None
        assert fleet.sent() == NEVER

    def test_messages_to_many_instances_are_dispatched_once(self, fleet: Fleet) -> None:
        functions = [fleet.instance() for _ in range(4)]
        waiting = {f"m{n}": n for n in range(12)}

        while waiting:  # as SQS does: what is not done comes again
            for name, n in list(waiting.items()):
                with suppress(DeliveriesFailedError):
                    functions[n % 4](messages(**{name: direct(record(f"in/{n % 3}"))}))
                    del waiting[name]

        keys = ["in/0", "in/1", "in/2"]
        assert fleet.sent() == {"core": keys, "web": keys}


class TestFunctionWithoutItsTable:
    """With an unreachable table events are dispatched, and the log counts them."""

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            pytest.param(Denied(), "AccessDeniedException", id="denied"),
            pytest.param(None, "ResourceNotFoundException", id="not-there"),
        ],
    )
    def test_events_are_dispatched_without_the_table(
        self,
        fault: Fault | None,
        reason: str,
        fleet: Fleet,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        more = {} if fault else {"dedup_table": "no-such-table"}
        one = fleet.instance(UPDATE, fault, **more)

        assert one(messages(m1=direct(record()))) is None

        assert fleet.sent() == ONCE
        [line] = [each for each in caplog.messages if each.startswith("dedup")]
        fields = json.loads(line.removeprefix("dedup table unreachable "))
        assert fields["count"] == 1
        assert reason in fields["reason"]

    def test_a_claim_without_a_reply_is_not_waited_for(self, fleet: Fleet) -> None:
        assert fleet.instance(UPDATE, Lost(3))(messages(m1=direct(record()))) is None

        assert fleet.sent() == ONCE


class TestCost:
    """Without the option, deduplication costs nothing."""

    def test_without_a_table_the_module_is_not_imported(self) -> None:
        code = (
            "import sys, lava_s3trigger.handler as handler;"
            "from lava_s3trigger.settings import Settings;"
            "clients = handler.make_clients(region_name='us-east-1');"
            "handler.Function(Settings(realm='demo'), *clients);"
            "print('lava_s3trigger.dedup.table' in sys.modules);"
            "handler.Function(Settings(realm='demo', dedup_table='claims'), *clients);"
            "print('lava_s3trigger.dedup.table' in sys.modules)"
        )

        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )

        assert done.stdout.split() == ["False", "True"]

    def test_without_a_table_no_call_is_made(self, fleet: Fleet) -> None:
        counted = Counted()

        fleet.instance(UPDATE, counted, dedup_table=None)(messages(m1=direct(record())))

        assert fleet.sent() == ONCE
        assert counted.calls == 0

    def test_an_event_costs_two_writes_and_a_duplicate_one(self, fleet: Fleet) -> None:
        first, second = Counted(), Counted()

        fleet.instance(UPDATE, first)(messages(m1=direct(record())))
        fleet.instance(UPDATE, second)(messages(m2=direct(record())))

        assert (first.calls, second.calls) == (2, 1)
