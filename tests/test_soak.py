"""The soak: many events through one instance, each dispatched once, with flat memory.

S3 events with unique keys come in SQS batches of ten, and every hundredth comes twice. In `make
soak` there are 100,000.
"""

import gc
import os
import random
import resource
from collections import Counter
from typing import Final

import pytest

from lava_s3trigger.handler import Function
from lava_s3trigger.log import LOGGER
from lava_s3trigger.settings import Settings
from tests.aws_in_memory import Endpoint
from tests.build import BUCKET, direct, job_entry, message, record, trigger_entry

EVENTS: Final = int(os.environ.get("S3TRIGGER_SOAK", "1000"))
DUPLICATES: Final = 100
"""One of this number of events comes twice."""
BATCH: Final = 10
WORKERS: Final = ["core", "web", "big", "slow"]
MAX_GROWTH: Final = 1.02
"""Of memory, after a tenth of the events."""
ENOUGH: Final = 100_000
"""Events after which memory is judged."""


@pytest.mark.no_cover  # the same lines, over and over
@pytest.mark.slow("thousands of events")
def test_each_event_is_dispatched_once_and_memory_stays(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm = endpoint.realm("soak", WORKERS)
    for number, worker in enumerate(WORKERS):
        fields = {"job_id": worker, "parameters": {"key": "{{ key }}"}}
        realm.triggers.put(trigger_entry(worker, f"in/{number}", **fields))
        realm.jobs.put(job_entry(worker, worker))
    settings = Settings(realm="soak", dedup_cache_size=1_000, dedup_ttl=3600)
    function = Function(settings, *endpoint.clients)
    monkeypatch.setattr(LOGGER, "propagate", False)  # pytest keeps all lines
    # Allocated in full, so that only the function's memory can grow.
    sent = bytearray(EVENTS)
    handed = early = 0
    for batch in batches(EVENTS):
        bodies = (message(key, direct(record(key, bucket=BUCKET))) for key in batch)
        assert function(direct(*bodies)) is None
        handed += len(batch)
        endpoint.forget_calls()
        for worker in WORKERS:
            for dispatch in realm.queue(worker).take():
                sent[int(dispatch.json["parameters"]["key"].rpartition("/")[2])] += 1
        if not early and handed > EVENTS // 10:
            early = peak()

    assert Counter(sent) == {1: EVENTS}
    assert handed == EVENTS + EVENTS // DUPLICATES
    assert EVENTS < ENOUGH or peak() <= MAX_GROWTH * early


def batches(count: int) -> list[list[str]]:
    """Return the keys of each batch: all keys once, some again soon after."""
    chance = random.Random(count)
    names = (f"{chance.getrandbits(64):x}/{number}" for number in range(count))
    keys = [f"in/{number % len(WORKERS)}/{name}" for number, name in enumerate(names)]
    for number in range(count - 1, 0, -DUPLICATES):
        keys.insert(number + chance.randint(1, DUPLICATES), keys[number])
    return [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]


def peak() -> int:
    """Return the peak memory of this process."""
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
