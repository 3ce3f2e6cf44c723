"""What earlier tries of a delivery already carried out, so that a retry does not repeat it.

A delivery that succeeds is not remembered: with deduplication off, the same event twice
is two dispatches. See docs/design.md#acknowledgement.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeVar

from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .events import S3Event
    from .parking import RedriveTarget

MAX_LEDGER_BYTES: Final = 24 * 1024 * 1024
_RECORD_BYTES: Final = 700  # an empty record, with its key, in CPython
_JOB_BYTES: Final = 250  # an entry of a counter, without its text

Key = bytes
T = TypeVar("T")


def ledger_key(event: S3Event, redrive: RedriveTarget | None) -> Key:
    """Return what identifies an S3 event, and what it is to do, across deliveries."""
    text = repr((event.identity, redrive)).encode("ascii", "backslashreplace")
    return blake2b(text, digest_size=16).digest()


@dataclass(slots=True)
class SentRecord:
    """What was carried out for one S3 event."""

    completed: int = 0
    """How often all of it was: an event can be in a delivery more than once."""
    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Trigger id and job id of what was dispatched, each as often as it was."""
    parked: Counter[str] = field(default_factory=Counter)
    """Ids of triggers that were parked."""

    def add(self, other: SentRecord) -> None:
        """Add what another record has."""
        self.completed += other.completed
        self.jobs += other.jobs
        self.parked += other.parked

    @property
    def size(self) -> int:
        """About the bytes of memory that it takes."""
        text = sum(len(trigger_id) + len(job_id) for trigger_id, job_id in self.jobs)
        text += sum(map(len, self.parked))
        return _RECORD_BYTES + text + _JOB_BYTES * (len(self.jobs) + len(self.parked))

    def __bool__(self) -> bool:
        return bool(self.completed or self.jobs or self.parked)


class SentLedger:
    """What failed deliveries did carry out, as far as this instance remembers.

    It forgets the least recently used events, where they take more memory than it has.

    Args:
        max_bytes: About the memory that it may take.
    """

    def __init__(self, max_bytes: int = MAX_LEDGER_BYTES) -> None:
        self._records: LRUCache[Key, SentRecord] = LRUCache(
            max_bytes, getsizeof=lambda record: record.size
        )

    def __bool__(self) -> bool:
        return bool(self._records)

    def take_completed(self, key: Key) -> bool:
        """Tell whether all of an event was carried out before; this uses up one completion."""
        record = self._records.get(key)
        if record is None or not record.completed:
            return False
        record.completed -= 1
        if not record:
            del self._records[key]
        return True

    def take_sent(self, key: Key, trigger_id: str, job_id: str) -> bool:
        """Tell whether a job was dispatched before; this uses up one dispatch of it."""
        record = self._records.get(key)
        return record is not None and self._take(key, record, record.jobs, (trigger_id, job_id))

    def take_parked(self, key: Key, trigger_id: str) -> bool:
        """Tell whether a trigger was parked before; this uses up one parking of it."""
        record = self._records.get(key)
        return record is not None and self._take(key, record, record.parked, trigger_id)

    def _take(self, key: Key, record: SentRecord, counts: Counter[T], item: T) -> bool:
        if not counts[item]:
            return False
        counts[item] -= 1
        if not counts[item]:
            del counts[item]
        if not record:
            del self._records[key]
        return True

    def take_rest(self, key: Key, trigger_id: str) -> list[tuple[str, str]]:
        """Return what else was dispatched for a trigger, and use it up."""
        record = self._records.get(key)
        if record is None:
            return []
        rest = [each for each in record.jobs.elements() if each[0] == trigger_id]
        for each in set(rest):
            del record.jobs[each]
        if not record:
            del self._records[key]
        return rest

    def learn(self, key: Key, record: SentRecord) -> None:
        """Note what the shared table knows of an event that failed in another instance."""
        known = self._records.get(key) or SentRecord()
        # They may be the same facts, so take the larger count and not the sum.
        known.jobs |= record.jobs
        known.parked |= record.parked
        self._put(key, known)

    def remember(self, records: Iterable[tuple[Key, SentRecord]]) -> None:
        """Remember what was carried out for deliveries that come again."""
        for key, record in records:
            known = self._records.get(key) or SentRecord()
            known.add(record)
            self._put(key, known)

    def forget(self, keys: Iterable[Key]) -> None:
        """Forget events of deliveries that are done: the next such event is a new one."""
        for key in keys:
            self._records.pop(key, None)

    def _put(self, key: Key, record: SentRecord) -> None:
        self._records.pop(key, None)  # its size has changed
        if record and record.size <= self._records.maxsize:
            self._records[key] = record
