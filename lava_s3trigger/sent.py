"""What earlier attempts of a delivery carried out, so that a retry does not repeat it.

A delivery that succeeds is not remembered: with deduplication off, the same event twice
is two dispatches. See docs/design.md#acknowledgement.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from sys import getsizeof
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

if TYPE_CHECKING:
    from .events import S3Event
    from .parking import RedriveTarget

MAX_LEDGER_BYTES: Final = 24 * 1024 * 1024
_RECORD_BYTES: Final = 900  # an empty record, with its key, in CPython
_JOB_BYTES: Final = 250  # an entry of a counter, without its text

Key = bytes


def ledger_key(event: S3Event, redrive: RedriveTarget | None) -> Key:
    """Return what identifies an S3 event, and what it is to do, across deliveries.

    An object that is replayed has the same event each time; each replay sends it again.
    """
    text = repr((event.identity, redrive, event.replay)).encode("ascii", "backslashreplace")
    return blake2b(text, digest_size=16).digest()


@dataclass(slots=True)
class SentRecord:
    """What was carried out for one S3 event of one delivery."""

    is_complete: bool = False
    """Whether all of it was."""
    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Trigger id and job id of what was dispatched, each as often as it was."""
    parked: set[str] = field(default_factory=set)
    """Ids of triggers that were parked."""
    replay: str | None = None
    """Id of the replay that the event is from, if it is: no other replay may use this."""

    def use_job(self, trigger_id: str, job_id: str) -> bool:
        """Return whether a job was dispatched; this uses up one dispatch of it."""
        job = (trigger_id, job_id)
        if not self.jobs[job]:
            return False
        self.jobs[job] -= 1
        return True

    def rest(self, trigger_id: str | None) -> list[str]:
        """Return the ids of the jobs of a trigger that are not used up."""
        return [job_id for sent_id, job_id in self.jobs.elements() if sent_id == trigger_id]

    def merge(self, other: SentRecord) -> None:
        """Add what another record knows; what both know is the same fact."""
        self.jobs |= other.jobs
        self.parked |= other.parked

    @property
    def size(self) -> int:
        """About the bytes of memory that it takes."""
        text = sum(getsizeof(trigger_id) + getsizeof(job_id) for trigger_id, job_id in self.jobs)
        text += sum(map(getsizeof, self.parked))
        return _RECORD_BYTES + text + _JOB_BYTES * (len(self.jobs) + len(self.parked))

    def __bool__(self) -> bool:
        return bool(self.is_complete or self.jobs or self.parked)


class SentLedger:
    """What failed deliveries did carry out, as far as this instance remembers.

    An event can be in several deliveries, or more than once in one: each has a record of
    its own. The ledger forgets the least recently used events, where they take more
    memory than it has.

    Args:
        max_bytes: About the memory that it may take.
    """

    def __init__(self, max_bytes: int = MAX_LEDGER_BYTES) -> None:
        self._records: LRUCache[Key, list[SentRecord]] = LRUCache(
            max_bytes, getsizeof=lambda records: sum(record.size for record in records)
        )

    def __bool__(self) -> bool:
        return bool(self._records)

    def take(self, key: Key) -> SentRecord | None:
        """Take a record of an event out, if there is one."""
        records = self._records.pop(key, None)
        if not records:
            return None
        first, *others = records
        if others:
            self._records[key] = others
        return first

    def remember(self, key: Key, record: SentRecord) -> None:
        """Remember what was carried out for an event that comes again."""
        if not record:
            return
        records = [*self._records.pop(key, ()), record]
        if sum(record.size for record in records) <= self._records.maxsize:
            self._records[key] = records
