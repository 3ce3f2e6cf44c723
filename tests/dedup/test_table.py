"""The memory that all instances share: docs/duplicates.md. Its model is in test_model."""

import itertools
from collections import Counter
from typing import Any, Final

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from lava_s3trigger.dedup.protocol import Verdict
from lava_s3trigger.dedup.table import MAX_SET_BYTES, ClaimTable
from lava_s3trigger.handler import Function
from lava_s3trigger.sent import SentRecord
from tests.aws_in_memory import Endpoint, Item, Keys, Table, faults
from tests.build import direct, messages, record
from tests.clock import Clock
from tests.context import Context
from tests.function.harness import Harness, fails
from tests.tables import cases
from tools.local.server import LocalAws

pytestmark = pytest.mark.usefixtures("ample_time")

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

    @cases(
        ("before", "verdict", "known"),
        {
            "new": (None, WORK, []),
            "claimed-for-itself": (item("claimed", "mine", NOW + 1), BUSY, []),
            "claimed-for-another": (item("claimed", "other", NOW + 1), BUSY, []),
            "its-lease-has-run-out": (item("claimed", "mine", NOW), WORK, []),
            "a-lease-runs-out-just-now": (item("claimed", "other", NOW), WORK, []),
            "a-lease-has-run-out": (item("claimed", "other", NOW - 1), WORK, []),
            "it-had-failed-before": (item("claimed", "other", NOW - 1, "d1"), WORK, ["d1"]),
            "done-by-itself": (item("done", "mine", NOW + 1), DUPLICATE, []),
            "done-by-itself-ago": (item("done", "mine", NOW - DAY), DUPLICATE, []),
            "done-within-the-ttl": (item("done", "other", NOW + 1), DUPLICATE, []),
            "done-at-the-end-of-the-ttl": (item("done", "other", NOW), WORK, []),
            "done-before-the-ttl": (item("done", "other", NOW - 1), WORK, []),
            "failed": (item("failed", "mine", 0), WORK, []),
            "failed-in-part": (item("failed", "mine", 0, "d1"), WORK, ["d1"]),
            "anothers-failed": (item("failed", "other", 0, "d1", "d2"), WORK, ["d1", "d2"]),
        },
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

    @pytest.mark.parametrize(("ttl", "expected"), [(TTL, DAY), (7.0 * DAY, 7 * DAY)])
    def test_an_item_is_kept_for_a_day_or_the_ttl(
        self, ttl: float, expected: int, table: Shared
    ) -> None:
        """So it is kept longer than Lambda retries, which is 6 hours."""
        table.put(None)
        claims = table.claims(ttl=ttl)

        claim = claims.claim("e", "mine", LEASE)
        for settle in (claims.confirm, lambda claim: claims.release(claim, sent("d1"))):
            found = table.item()
            assert found
            assert found["expires"] == {"N": str(int(NOW) + expected)}
            settle(claim)


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

    @cases(
        ("before", "now", "expected"),
        {
            "nothing": ([], [], []),
            "now": ([], ["d2", "d1"], ["d1", "d2"]),
            "before": (["d1"], [], ["d1"]),
            "one-before-and-one-now": (["d1"], ["d2"], ["d1", "d2"]),
            "the-same-again": (["d1"], ["d1", "d2"], ["d1", "d2"]),
        },
    )
    def test_a_failed_claim_is_stored_with_its_dispatches(
        self, before: list[str], now: list[str], expected: list[str], table: Shared
    ) -> None:
        table.put(item("failed", "other", 0, *before))
        claims = table.claims()
        claim = claims.claim("e", "mine", LEASE)

        assert claims.release(claim, sent(*now)) is None

        assert table.item() == item("failed", "mine", 0, *expected) | {"token": {"S": claim.token}}

    @cases(
        ("record", "texts"),
        {
            "counts": (sent("a", "a", "b"), ['["t", "a", 2]', '["t", "b", 1]']),
            "parked": (sent("a", parked=("u",)), ['["t", "a", 1]', '["u", null, 1]']),
            "any text": (sent('"\n\ud800'), ['["t", "\\"\\n\\ud800", 1]']),
            "many": (sent(*"abcdefghijk"), facts(*"abcdefghijk")),
        },
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
    @cases(
        "after",
        {
            "claimed-by-itself": item("claimed", "mine", NOW + 1),
            "claimed": item("claimed", "other", NOW + 1, "d1"),
            "done": item("done", "other", NOW + 1),
            "failed": item("failed", "other", 0, "d1"),
            "forgotten": None,
        },
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


UPDATE: Final = "UpdateItem"


@pytest.fixture(name="claims")
def _claims(endpoint: Endpoint) -> ClaimTable:
    """The table on the endpoint, where calls can fail."""
    endpoint.tables["claims"] = Table(Keys("id"))
    return ClaimTable(endpoint.clients[0], "claims", TTL, Clock(NOW))


def test_a_repeated_claim_is_recognized(endpoint: Endpoint, claims: ClaimTable) -> None:
    endpoint.tables["claims"].put_item(item("failed", "other", 0, "d1"))
    endpoint.fail({(UPDATE, 1): faults.LOST_REPLY})

    claim = claims.claim("e", "mine", LEASE)

    assert (claim.verdict, claim.sent, endpoint.calls) == (WORK, sent("d1"), {UPDATE: 2})
    assert claims.claim("e", "other", LEASE).verdict is BUSY


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(None, "ResourceNotFoundException", id="missing"),
        pytest.param(faults.DENIED, "AccessDeniedException", id="denied"),
        pytest.param(faults.RESET, "Connection was closed", id="no-answer"),
    ],
)
def test_an_unreachable_table_is_an_unknown_verdict(
    fault: faults.Fault | None, reason: str, endpoint: Endpoint, claims: ClaimTable
) -> None:
    if fault:
        endpoint.fail({(UPDATE, None): fault})
    else:
        endpoint.tables.clear()

    claim = claims.claim("e", "mine", LEASE)

    assert claim.verdict is UNKNOWN
    for said in (claim.error, claims.confirm(claim), claims.release(claim, sent("d1"))):
        assert reason in str(said)


# The whole function, two instances and more.


@pytest.fixture(name="harness")
def _harness(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> Harness:
    """A realm whose instances share a table; each event runs the jobs load and report."""
    harness = Harness(endpoint, caplog)
    harness.trigger(prefix="*", job_id=["load", "report"])
    harness.share_claims()
    return harness


def instance(harness: Harness, dedup_ttl: float = 3600.0) -> Function:
    return harness.function(dedup_table="claims", dedup_ttl=dedup_ttl)


def sent_keys(harness: Harness) -> list[list[str]]:
    """Take the dispatches, and return the keys of the objects, of each worker."""
    queues = (harness.core, harness.web)
    return [[each.json["parameters"]["key"] for each in queue.take()] for queue in queues]


KEY: Final = "in/1.csv"
ONCE: Final = [[KEY], [KEY]]
NEVER: Final[list[list[str]]] = [[], []]
M1: Final = messages(m1=direct(record()))
M2: Final = messages(m2=direct(record()))


class TestFunction:
    """Instances that share a table dispatch an event once."""

    def test_the_second_instance_sends_nothing(self, harness: Harness) -> None:
        one, two = instance(harness), instance(harness)

        assert (one(M1), sent_keys(harness)) == (None, ONCE)
        assert (two(M2), sent_keys(harness)) == (None, NEVER)

        duplicate = {"kind": "duplicate", "reason": "duplicate", "message_id": "m2"}
        expected = duplicate | {"bucket": "my-bucket", "key": KEY}
        assert harness.logged.fields("skipped") == [expected]

    def test_done_events_of_a_failed_delivery_are_not_repeated(self, harness: Harness) -> None:
        harness.trigger("other", "other", job_id="none")
        harness.endpoint.fail(
            lambda call: (
                faults.RESET if call.request.get("Key") == {"job_id": {"S": "none"}} else None
            )
        )

        # It fails, and comes again when the TTL is over.
        for expected in (ONCE, NEVER):
            payload = direct(record(), record("other/1.csv"))
            fails(instance(harness, dedup_ttl=0.0), payload, Context(60.0, "request"))
            assert sent_keys(harness) == expected

    def test_an_event_claimed_elsewhere_fails(self, harness: Harness) -> None:
        two = instance(harness)
        others: list[Function] = [two]

        def meanwhile(**_: Any) -> None:
            """Have the other instance handle the same event, while the first sends."""
            while others:
                fails(others.pop(), M2)

        events: Any = harness.endpoint.clients[1].meta.events
        events.register("before-send.sqs.SendMessageBatch", meanwhile)
        try:
            assert (instance(harness)(M1), sent_keys(harness)) == (None, ONCE)
        finally:
            events.unregister("before-send.sqs.SendMessageBatch", meanwhile)
        assert others == []
        assert "is being carried out" in str(harness.logged.lines())

        assert (two(M2), sent_keys(harness)) == (None, NEVER)


def test_an_event_costs_two_writes_and_a_duplicate_one(harness: Harness) -> None:
    costs = []
    for table, message_id in ((None, "m0"), ("claims", "m1"), ("claims", "m2")):
        harness.endpoint.forget_calls()
        harness.function(dedup_table=table)(messages(**{message_id: direct(record())}))
        costs.append(harness.endpoint.calls[UPDATE])

    assert costs == [0, 2, 1]
