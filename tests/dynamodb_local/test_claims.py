"""The protocol of duplicates, on DynamoDB Local, and with three writers at once on both."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import pytest

from lava_s3trigger.dedup.protocol import Verdict
from tests.build import job_entry, trigger_entry
from tests.dedup import test_table
from tests.dedup.test_table import LEASE, NOW, TTL, Shared, facts, item, sent
from tools.local.realm import Realm
from tools.local.server import LocalAws

from .conftest import Database
from .server import DynamoDbLocal

pytestmark = pytest.mark.slow("needs DynamoDB Local")

WORK, DUPLICATE, BUSY = Verdict.WORK, Verdict.DUPLICATE, Verdict.BUSY
WRITERS: Final = 3
ROUNDS: Final = 20


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
        self.shared = Shared(database.client())
        self.claims = [self.shared.claims(database.function_client()) for _ in range(WRITERS)]
        self._barrier = threading.Barrier(WRITERS)

    def together(
        self, act: Callable[[int], Any], first: Callable[[], Any] | None = None
    ) -> list[Any]:
        """Have each writer act, given its number, and return what that gave.

        Args:
            act: What each does.
            first: What the first does instead, if anything.
        """

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

    @pytest.mark.parametrize(
        ("before", "known"),
        [
            pytest.param(None, [], id="new"),
            pytest.param(item("claimed", "other", NOW), [], id="lease-expired"),
            pytest.param(item("failed", "other", 0, "d1"), ["d1"], id="failed-in-part"),
            pytest.param(item("done", "other", NOW), [], id="ttl-expired"),
        ],
    )
    def test_one_of_three_claims_an_event(
        self, before: dict[str, Any] | None, known: list[str], writers: Writers
    ) -> None:
        for _ in range(ROUNDS):
            writers.shared.put(before)

            claims = writers.together(writers.claim)

            assert Counter(claim.verdict for claim in claims) == {WORK: 1, BUSY: WRITERS - 1}
            (mine,) = (claim for claim in claims if claim.verdict is WORK)
            assert mine.sent == sent(*known)
            found = writers.shared.item() or {}
            assert found["token"] == {"S": mine.token}
            others = {f"owner-{n}" for n, claim in enumerate(claims) if claim is not mine}
            assert set(found["returning"]["SS"]) == others

    def test_all_three_are_noted_as_returning(self, writers: Writers) -> None:
        for _ in range(ROUNDS):
            writers.shared.put(item("claimed", "other", NOW + 1))

            claims = writers.together(writers.claim)

            assert [claim.verdict for claim in claims] == [BUSY] * WRITERS
            found = (writers.shared.item() or {})["returning"]["SS"]
            assert sorted(found) == ["owner-0", "owner-1", "owner-2"]

    def test_a_completed_event_is_a_duplicate_for_all_three(self, writers: Writers) -> None:
        done = item("done", "other", NOW + TTL)
        writers.shared.put(done)

        claims = writers.together(writers.claim)

        assert [claim.verdict for claim in claims] == [DUPLICATE] * WRITERS
        assert writers.shared.item() == done

    def test_a_late_confirmation_and_two_takeovers_agree(self, writers: Writers) -> None:
        """The first writer's lease has expired when it confirms, while two others claim."""
        for _ in range(ROUNDS):
            writers.shared.put(None)
            late = writers.claim(0)
            writers.shared.clock.now += LEASE

            refused, *claims = writers.together(
                writers.claim, partial(writers.claims[0].confirm, late)
            )

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

            refused, *claims = writers.together(
                writers.claim, partial(writers.claims[0].release, failed, sent("d1"))
            )

            assert refused is None
            working = [claim for claim in claims if claim.verdict is WORK]
            found = writers.shared.item() or {}
            assert found["sent"] == {"SS": facts("d1")}
            if working:
                (mine,) = working
                assert mine.sent == sent("d1")
                assert found["token"] == {"S": mine.token}
            else:
                assert found["state"] == {"S": "failed"}
                assert {claim.verdict for claim in claims} == {BUSY}


def test_each_event_is_dispatched_once(aws: LocalAws, database: Database, realm: Realm) -> None:
    shared = Shared(database.client())
    realm.put(
        "jobs",
        [job_entry(f"job-{worker}", worker) for worker in ("core", "web")],
    )
    jobs: dict[str, Any] = {
        "job_id": ["job-core", "job-web"],
        "parameters": {"key": "{{ key }}"},
    }
    realm.put("s3triggers", [trigger_entry(prefix="*", **jobs)])
    keys = [f"in/{number}.csv" for number in range(40)]
    command = [
        *(sys.executable, "-m", "tests.dynamodb_local.instance"),
        *(database.endpoint, aws.endpoint, realm.name, shared.name, str(len(keys))),
    ]

    processes = [
        subprocess.Popen(
            [*command, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for process in processes:  # all are ready before any starts
        assert process.stdout
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin
        process.stdin.write("start\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0] * WRITERS, ended
    for worker in ("core", "web"):
        received = [json.loads(message["Body"]) for message in realm.receive(worker)]
        assert sorted(each["parameters"]["key"] for each in received) == sorted(keys)
    sends = [int(out) for out, _ in ended]
    assert sum(sends) == 2 * len(keys)
