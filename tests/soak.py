"""The soak: 100,000 events through one instance, each dispatched once, with flat memory.

`python -m tests.soak` runs it: S3 events with unique keys in SQS batches of ten, and a
duplicate of every hundredth. It fails where a count is not exact.
"""

import argparse
import gc
import logging
import random
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.progress import track

from lava_s3trigger.handler import Function
from lava_s3trigger.log import LOGGER
from lava_s3trigger.settings import Settings

from .aws_in_memory import Endpoint
from .build import direct, message, record

EVENTS: Final = 100_000
DUPLICATES: Final = 100
"""One of this number of events comes twice."""
BATCH: Final = 10
REMEMBERED: Final = 1_000
"""Size of the cache of recent events."""
WORKERS: Final = ["core", "web", "big", "slow"]
BUCKET: Final = "soaked"
MAX_GROWTH: Final = 1.02
"""Upper bound of the growth of memory after a tenth of the events."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a soak."""

    events: int
    duplicates: int
    dispatched: int
    lost: int
    twice: int
    failed: int
    growth: float
    """Peak memory at the end, as a multiple of that after a tenth of the events."""

    @property
    def is_good(self) -> bool:
        """Whether every event was dispatched exactly once."""
        return not (self.lost or self.twice or self.failed)


def soak(count: int, *, remembered: int = REMEMBERED, shows_progress: bool = False) -> Report:
    """Pass events to a function and count the dispatches.

    Args:
        count: Number of events without duplicates.
        remembered: Size of the cache of recent events; 0 turns it off.
        shows_progress: Whether to show a progress bar.
    """
    with Endpoint() as endpoint:
        realm = endpoint.realm("soak", WORKERS)
        for number, worker in enumerate(WORKERS):
            entry = {"trigger_id": worker, "bucket": BUCKET, "prefix": f"in/{number}"}
            more = {"enabled": True, "job_id": worker, "parameters": {"key": "{{ key }}"}}
            realm.triggers.put(entry | more)
            job = {"job_id": worker, "type": "exe", "worker": worker, "payload": "x"}
            realm.jobs.put(job | {"enabled": True})
        settings = Settings(realm="soak", dedup_cache_size=remembered, dedup_ttl=3600)
        function = Function(settings, *endpoint.clients)
        LOGGER.setLevel(logging.WARNING)  # without a line for each event
        # Allocated in full, so that only the function's memory can grow.
        sent = bytearray(count)
        failed = handed = 0
        early: float | None = None
        batches = _batches(count)
        if shows_progress:
            total = (count + count // DUPLICATES) // BATCH
            batches = iter(track(batches, "Soaking", total, console=Console(stderr=True)))
        for batch in batches:
            answer = function(
                direct(*(message(key, direct(record(key, bucket=BUCKET))) for key in batch))
            )
            failed += len((answer or {}).get("batchItemFailures", ()))
            handed += len(batch)
            endpoint.forget_calls()
            for worker in WORKERS:
                for dispatch in realm.queue(worker).take():
                    number = int(dispatch.json["parameters"]["key"].rpartition("/")[2])
                    sent[number] = min(sent[number] + 1, 255)
            if early is None and handed > count // 10:
                early = _peak()
        dispatched = Counter(sent)
    return Report(
        events=count,
        duplicates=handed - count,
        dispatched=sum(sent),
        lost=dispatched[0],
        twice=sum(number for times, number in dispatched.items() if times > 1),
        failed=failed,
        growth=_peak() / (early or _peak()),
    )


def _batches(count: int) -> Iterator[list[str]]:
    """Yield the keys of each batch: all keys once, some again soon after."""
    chance = random.Random(count)
    batch: list[str] = []
    later: list[str] = []
    for number in range(count):
        key = f"in/{number % len(WORKERS)}/{chance.getrandbits(64):x}/{number}"
        batch.append(key)
        if number % DUPLICATES == DUPLICATES - 1:
            later.append(key)
        if later and not chance.randrange(DUPLICATES):
            batch += later
            later = []
        while len(batch) >= BATCH:
            yield batch[:BATCH]
            del batch[:BATCH]
    if batch + later:
        yield batch + later


def _peak() -> float:
    """Return the peak memory of this process."""
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    count = parser.parse_args().events
    report = soak(count, shows_progress=True)
    console = Console()
    console.print(
        f"{report.events:,} events and {report.duplicates:,} duplicates:"
        f" {report.dispatched:,} dispatches, {report.lost:,} lost, {report.twice:,} twice,"
        f" {report.failed:,} messages failed; memory {report.growth:.3f} of that after a tenth",
        soft_wrap=True,
    )
    sys.exit(not report.is_good or report.growth > MAX_GROWTH)


if __name__ == "__main__":
    main()
