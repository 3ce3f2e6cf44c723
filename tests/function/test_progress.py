"""Payloads that are too large for one invocation."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from lava_s3trigger.conditions import KINDS, Kind
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import MAX_BATCH_EVENTS, Function
from tests.aws_in_memory import Call
from tests.build import direct, message, record
from tests.context import Context
from tests.function.harness import SEND, Harness
from tests.tables import cases

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
    context: Context = field(default_factory=Context)
    decided: Counter[str] = field(default_factory=Counter)

    def __call__(self, key: str, _: Any) -> bool:
        self.context.left -= self.seconds
        self.decided[key] += 1
        return True

    def tries(
        self, function: Callable[[], Function], keys: list[str], messages: int
    ) -> Iterator[None]:
        """Try until all is done, up to ten times, and yield after each try.

        Args:
            function: Returns the function, for each try.
            keys: Of all records.
            messages: Number of the SQS messages that have them; with 0, S3 invokes the function.
        """
        size = len(keys) // (messages or 1)
        parts = [keys[at : at + size] for at in range(0, len(keys), size)]
        waiting = {
            f"m{n}": direct(*(record(key, sequencer=key) for key in part))
            for n, part in enumerate(parts)
        }
        for _ in range(10):
            self.context = Context(TIMEOUT_SECONDS, REQUEST_ID)
            payload = direct(*(message(name, body) for name, body in waiting.items()))
            try:
                answer = function()(payload if messages else waiting["m0"], self.context)
            except DeliveriesFailedError:
                pass  # all comes again
            else:
                failed = (answer or {}).get("batchItemFailures", [])
                waiting = {
                    each["itemIdentifier"]: waiting[each["itemIdentifier"]] for each in failed
                }
            yield
            if not waiting:
                return


@pytest.fixture
def work(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Work:
    """A trigger with a condition that takes time."""
    made = Work()
    monkeypatch.setitem(KINDS, "slow", Kind("slow", made, str))
    harness.trigger(if_slow="yes")
    harness.share_claims()
    return made


TABLE: Final[dict[str, Any]] = {"dedup_table": "claims", "dedup_ttl": 3600.0}


@cases(
    ("payload", "dedup", "is_new"),
    {
        "S3": ((0, 3_000, 0.04), {}, False),
        "SQS": ((10, 3_000, 0.06), {}, False),
        "one SQS message": ((1, 3_000, 0.06), {}, False),
        "S3, duplicates": ((0, 3_000, 0.04), {"dedup_cache_size": 100}, False),
        "S3, dedup table": ((0, 1_000, 0.054), TABLE, False),
        "SQS, dedup table": ((10, 1_000, 0.09), TABLE, False),
        "S3, dedup table, a new instance for each try": ((0, 1_000, 0.054), TABLE, True),
    },
)
def test_a_large_payload_is_done_in_the_tries_that_aws_gives(
    harness: Harness, work: Work, payload: Any, dedup: dict[str, Any], *, is_new: bool
) -> None:
    """Payloads have a number of messages, of records in them, and the time that one takes."""
    messages, records, work.seconds = payload
    keys = [f"in/{number:04}" for number in range(records)]

    def new() -> Function:
        # Thousands of records that fail would be as many lines.
        return harness.function(log_level=logging.CRITICAL, **dedup)

    function = new()
    tries = work.tries(new if is_new else lambda: function, keys, messages)
    sent = [len(harness.core.messages) for _ in tries]

    assert len(sent) == (INTAKE_TRIES if messages else INVOCATION_TRIES)
    assert sent == sorted(set(sent)), "each try sent more"
    assert sorted(harness.keys()) == keys
    assert work.decided == Counter(keys), "completed events are not decided again"


def test_a_batch_is_sent_before_the_next_one_is_decided(harness: Harness, work: Work) -> None:
    payload = direct(*(record(f"in/{n}") for n in range(2 * MAX_BATCH_EVENTS + 1)))
    decided_before_send: set[int] = set()

    def note(call: Call) -> None:
        if call.operation == SEND:
            decided_before_send.add(work.decided.total())

    harness.endpoint.fail(note)
    assert harness.function()(payload, work.context) is None
    batches = {MAX_BATCH_EVENTS, 2 * MAX_BATCH_EVENTS, 2 * MAX_BATCH_EVENTS + 1}
    assert decided_before_send == batches
