"""Payloads that are too large for one invocation."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from lava_s3trigger.conditions import KINDS, Kind
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import MAX_BATCH_EVENTS
from tests.aws_in_memory import Call
from tests.build import direct, message, record
from tests.context import Context
from tests.function.harness import SEND, Harness
from tests.tables import cases

Handler = Callable[[Any, Any], dict[str, Any] | None]

TIMEOUT_SECONDS: Final = 60.0
"""As the template sets it."""
INVOCATION_TRIES: Final = 3
"""How often Lambda tries an asynchronous invocation."""
INTAKE_TRIES: Final = 5
"""How often the template's intake queue delivers a message."""
REQUEST_ID: Final = "one for all tries of an invocation"


@dataclass
class Work:
    """A condition that takes time, and counts how often an event is decided."""

    seconds: float = 0.0
    """How long one event takes."""
    keys: list[str] = field(default_factory=list)
    """Of all records."""
    context: Context = field(default_factory=Context)
    decided: Counter[str] = field(default_factory=Counter)

    def __call__(self, key: str, _: Any) -> bool:
        self.context.left -= self.seconds
        self.decided[key] += 1
        return True


@pytest.fixture
def work(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Work:
    """A trigger with a condition that takes time."""
    made = Work()
    monkeypatch.setitem(KINDS, "slow", Kind("slow", made, str))
    harness.trigger(if_slow="yes")
    harness.share_claims()
    return made


def invoke(function: Handler, payload: Any, work: Work) -> list[str] | None:
    """Invoke the function once; return the ids of the messages that failed, None for all."""
    work.context = Context(TIMEOUT_SECONDS, REQUEST_ID)
    try:
        answer = function(payload, work.context)
    except DeliveriesFailedError:
        return None
    return [each["itemIdentifier"] for each in (answer or {}).get("batchItemFailures", [])]


def by_s3(function: Handler, work: Work, sent: Callable[[], int]) -> list[int]:
    """Try an invocation with all records until it is done; return what was sent after each try."""
    payload = direct(*(record(key, sequencer=key) for key in work.keys))
    after = []
    for _ in range(INVOCATION_TRIES):
        failed = invoke(function, payload, work)
        after.append(sent())
        if failed == []:
            return after
    raise AssertionError(f"not done in {INVOCATION_TRIES} tries: {after}")


def by_sqs(function: Handler, work: Work, sent: Callable[[], int], number: int = 10) -> list[int]:
    """Deliver all records in some messages until all are done; return what was sent after each."""
    size = len(work.keys) // number
    waiting = {
        f"m{n}": direct(
            *(record(key, sequencer=key) for key in work.keys[n * size : (n + 1) * size])
        )
        for n in range(number)
    }
    after = []
    for _ in range(INTAKE_TRIES):
        failed = invoke(
            function, direct(*(message(name, body) for name, body in waiting.items())), work
        )
        after.append(sent())
        if failed is not None:
            waiting = {name: waiting[name] for name in failed}
        if not waiting:
            return after
    raise AssertionError(f"not done in {INTAKE_TRIES} tries: {after}")


def by_one_message(function: Handler, work: Work, sent: Callable[[], int]) -> list[int]:
    """Deliver all records in one message."""
    return by_sqs(function, work, sent, number=1)


@dataclass(frozen=True)
class Case:
    """A payload that takes several tries."""

    deliver: Callable[[Handler, Work, Callable[[], int]], list[int]]
    records: int
    seconds: float
    """How long one record takes."""
    tries: int
    """As many as AWS gives."""

    def give(self, work: Work) -> None:
        """Set what there is to do."""
        work.seconds = self.seconds
        work.keys = [f"in/{number:04}" for number in range(self.records)]


QUIET: Final[dict[str, Any]] = {"log_level": logging.CRITICAL}
"""Thousands of records that fail would be as many lines."""
TABLE: Final[dict[str, Any]] = {"dedup_table": "claims", "dedup_ttl": 3600.0}


@cases(
    ("case", "dedup"),
    {
        "S3": (Case(by_s3, 3_000, 0.04, 3), {}),
        "SQS": (Case(by_sqs, 3_000, 0.06, 5), {}),
        "one SQS message": (Case(by_one_message, 3_000, 0.06, 5), {}),
        "S3, duplicates": (Case(by_s3, 3_000, 0.04, 3), {"dedup_cache_size": 100}),
        "S3, dedup table": (Case(by_s3, 1_000, 0.054, 3), TABLE),
        "SQS, dedup table": (Case(by_sqs, 1_000, 0.09, 5), TABLE),
    },
)
def test_a_large_payload_is_done_in_the_tries_that_aws_gives(
    harness: Harness, work: Work, case: Case, dedup: dict[str, Any]
) -> None:
    case.give(work)
    after = case.deliver(
        harness.function(**QUIET, **dedup), work, lambda: len(harness.core.messages)
    )

    assert len(after) == case.tries
    assert after == sorted(set(after)), "each try sent more"
    assert sorted(harness.keys()) == work.keys
    assert work.decided == Counter(work.keys), "completed events are not decided again"


def test_a_new_instance_goes_on_where_the_last_one_ended(harness: Harness, work: Work) -> None:
    """What the dedup table knows is not decided again either."""
    Case(by_s3, 1_000, 0.054, 3).give(work)

    def fresh(payload: Any, context: Any) -> Any:
        return harness.function(**QUIET, **TABLE)(payload, context)

    after = by_s3(fresh, work, lambda: len(harness.core.messages))

    assert len(after) == INVOCATION_TRIES
    assert sorted(harness.keys()) == work.keys
    assert work.decided == Counter(work.keys)


def test_a_batch_is_sent_before_the_next_one_is_decided(harness: Harness, work: Work) -> None:
    payload = direct(*(record(f"in/{n}") for n in range(2 * MAX_BATCH_EVENTS + 1)))
    decided_before_send: set[int] = set()

    def note(call: Call) -> None:
        if call.operation == SEND:
            decided_before_send.add(work.decided.total())

    harness.endpoint.fail(note)
    assert harness.function()(payload, work.context) is None
    assert decided_before_send == {
        *(MAX_BATCH_EVENTS, 2 * MAX_BATCH_EVENTS, 2 * MAX_BATCH_EVENTS + 1)
    }
