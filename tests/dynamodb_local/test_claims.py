"""The protocol of duplicates, on DynamoDB Local, and with three writers at once on both."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, Final

import pytest

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.dedup.protocol import Verdict
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings
from tests.build import direct, job_entry, messages, record, trigger_entry
from tests.context import Context
from tests.dedup import test_table
from tests.dedup.test_table import LEASE, NOW, TTL, Shared, facts, item, sent
from tests.tables import cases
from tools.local.realm import Realm
from tools.local.server import REGION, LocalAws

from .conftest import Database
from .server import DynamoDbLocal

pytestmark = pytest.mark.slow("needs DynamoDB Local")

WORK, DUPLICATE, BUSY = Verdict.WORK, Verdict.DUPLICATE, Verdict.BUSY
WRITERS: Final = 3
ROUNDS: Final = 20
MAX_TRIES: Final = 50
SECONDS_TO_START: Final = 60
MAX_MESSAGES: Final = 10
KEYS: Final = [f"in/{number}.csv" for number in range(40)]


@pytest.fixture(name="shared")
def _shared(dynamodb_local: DynamoDbLocal) -> Shared:
    return Shared(dynamodb_local.client("dynamodb"))


@pytest.fixture(name="table", scope="module")
def _table(dynamodb_local: DynamoDbLocal) -> Shared:
    return Shared(dynamodb_local.client("dynamodb"))


# The tests of the table, on this server.


class TestClaim(test_table.TestClaim):
    """The table decides who works on an event."""


class TestSettling(test_table.TestSettling):
    """What became of a claim is noted, unless it was lost to another."""


class Writers:
    """Three writers, each with a client of its own, that do the same at the same time."""

    def __init__(self, database: Database) -> None:
        self.shared = Shared(database.client("dynamodb"))
        self.claims = [self.shared.claims(database.function_client()) for _ in range(WRITERS)]
        self._barrier = threading.Barrier(WRITERS)

    def together(
        self, act: Callable[[int], Any], first: Callable[[], Any] | None = None
    ) -> list[Any]:
        """Have each writer act, given its number, or the first do something else."""

        def start(number: int) -> Any:
            self._barrier.wait(30)
            return act(number) if number or first is None else first()

        with ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(start, range(WRITERS)))

    def claim(self, number: int) -> Any:
        return self.claims[number].claim("e", f"owner-{number}", LEASE)


@pytest.fixture(name="writers")
def _writers(database: Database) -> Writers:
    return Writers(database)


class TestThreeWriters:
    """Of three writers at once, one works on an event."""

    @cases(
        ("before", "known", "expected"),
        {
            "new": (None, [], {WORK: 1, BUSY: 2}),
            "lease-expired": (item("claimed", "other", NOW), [], {WORK: 1, BUSY: 2}),
            "failed-in-part": (item("failed", "other", 0, "d1"), ["d1"], {WORK: 1, BUSY: 2}),
            "ttl-expired": (item("done", "other", NOW), [], {WORK: 1, BUSY: 2}),
            "claimed": (item("claimed", "other", NOW + 1), [], {BUSY: 3}),
            "done": (item("done", "other", NOW + TTL), [], {DUPLICATE: 3}),
        },
    )
    def test_one_at_most_claims_an_event_and_the_others_are_noted_as_returning(
        self,
        before: dict[str, Any] | None,
        known: list[str],
        expected: dict[Verdict, int],
        writers: Writers,
    ) -> None:
        for _ in range(ROUNDS):
            writers.shared.put(before)

            claims = writers.together(writers.claim)

            assert Counter(claim.verdict for claim in claims) == expected
            found = writers.shared.item() or {}
            busy = {f"owner-{n}" for n, claim in enumerate(claims) if claim.verdict is BUSY}
            assert {*found.pop("returning", {"SS": []})["SS"]} == busy
            for mine in (claim for claim in claims if claim.verdict is WORK):
                assert (mine.sent, {"S": mine.token}) == (sent(*known), found["token"])
            assert WORK in expected or found == before

    def test_a_late_confirmation_and_two_takeovers_agree(self, writers: Writers) -> None:
        """The first writer's lease has expired when it confirms, while two others claim."""
        for _ in range(ROUNDS):
            writers.shared.put(None)
            late = writers.claim(0)
            writers.shared.clock.now += LEASE

            confirm = partial(writers.claims[0].confirm, late)
            refused, *claims = writers.together(writers.claim, confirm)

            verdicts = Counter(claim.verdict for claim in claims)
            state = (writers.shared.item() or {})["state"]["S"]
            if refused is None:
                assert (verdicts, state) == ({DUPLICATE: 2}, "done")
            else:
                assert "ConditionalCheckFailed" in refused
                assert (verdicts, state) == ({WORK: 1, BUSY: 1}, "claimed")

    def test_a_release_and_two_claims_agree(self, writers: Writers) -> None:
        for _ in range(ROUNDS):
            writers.shared.put(None)
            failed = writers.claim(0)

            release = partial(writers.claims[0].release, failed, sent("d1"))
            refused, *claims = writers.together(writers.claim, release)

            assert refused is None
            verdicts = Counter(claim.verdict for claim in claims)
            found = writers.shared.item() or {}
            assert found["sent"] == {"SS": facts("d1")}
            if found["state"] == {"S": "failed"}:
                assert verdicts == {BUSY: 2}
            else:
                (mine,) = (claim for claim in claims if claim.verdict is WORK)
                assert (mine.sent, {"S": mine.token}) == (sent("d1"), found["token"])


def handle(started: Any, endpoints: Sequence[str], names: Sequence[str], number: int) -> int:
    """Handle messages about all keys, until none comes again; return how many are left."""
    options = {"region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
    clients: Any = [make_clients(endpoint_url=endpoint, **options) for endpoint in endpoints]
    settings = Settings(realm=names[0], dedup_table=names[1], dedup_ttl=3600.0)
    function = Function(settings, clients[0][0], clients[1][1])
    waiting = {f"{number}-{n}": direct(record(key)) for n, key in enumerate(KEYS)}
    started.wait()
    for _ in range(MAX_TRIES):
        some = dict([*waiting.items()][:MAX_MESSAGES])
        with contextlib.suppress(DeliveriesFailedError):
            answer = function(messages(**some), Context(60.0, "request")) or {}
            failed = {each["itemIdentifier"] for each in answer.get("batchItemFailures", ())}
            for name in some.keys() - failed:
                del waiting[name]
        if not waiting:
            break
    return len(waiting)


def test_each_event_is_dispatched_once(aws: LocalAws, database: Database, realm: Realm) -> None:
    shared = Shared(database.client("dynamodb"))
    realm.put("jobs", [job_entry(f"job-{worker}", worker) for worker in ("core", "web")])
    jobs: dict[str, Any] = {"job_id": ["job-core", "job-web"], "parameters": {"key": "{{ key }}"}}
    realm.put("s3triggers", [trigger_entry(prefix="*", **jobs)])
    endpoints, names = (database.endpoint, aws.endpoint), (realm.name, shared.name)
    spawn = get_context("spawn")

    with spawn.Manager() as manager, ProcessPoolExecutor(WRITERS, spawn) as pool:
        at_once = partial(
            handle, manager.Barrier(WRITERS, None, SECONDS_TO_START), endpoints, names
        )
        assert [*pool.map(at_once, range(WRITERS), timeout=120)] == [0] * WRITERS

    for worker in ("core", "web"):
        received = [json.loads(message["Body"]) for message in realm.receive(worker)]
        assert sorted(each["parameters"]["key"] for each in received) == sorted(KEYS)
