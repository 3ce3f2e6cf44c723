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
    """Return the key of an S3 event and its redrive target.

    A replayed object has the same event in each replay; the id of the replay differs.
    """
    text = repr((event.identity, redrive, event.replay)).encode("ascii", "backslashreplace")
    return blake2b(text, digest_size=16).digest()


@dataclass(slots=True)
class SentRecord:
    """What was already carried out for one S3 event of one delivery."""

    is_complete: bool = False
    """Whether everything was."""
    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Trigger id and job id of each dispatch, as often as it was dispatched."""
    parked: set[str] = field(default_factory=set)
    """Ids of triggers that were parked."""
    replay: str | None = None
    """Id of the replay that sent the event, if any: no other replay may use this record."""

    def use_job(self, trigger_id: str, job_id: str) -> bool:
        """Return whether a job was dispatched, and use up one of its dispatches."""
        job = (trigger_id, job_id)
        if not self.jobs[job]:
            return False
        self.jobs[job] -= 1
        return True

    def rest(self, trigger_id: str | None) -> list[str]:
        """Return the ids of the jobs of a trigger that are not used up."""
        return [job_id for sent_id, job_id in self.jobs.elements() if sent_id == trigger_id]

    def merge(self, other: SentRecord) -> None:
        """Add the facts of another record; a fact that both have counts once."""
        self.jobs |= other.jobs
        self.parked |= other.parked

    @property
    def size(self) -> int:
        """The approximate bytes that it takes."""
        text = sum(getsizeof(trigger_id) + getsizeof(job_id) for trigger_id, job_id in self.jobs)
        text += sum(map(getsizeof, self.parked))
        return _RECORD_BYTES + text + _JOB_BYTES * (len(self.jobs) + len(self.parked))

    def __bool__(self) -> bool:
        return bool(self.is_complete or self.jobs or self.parked)


class SentLedger:
    """What failed deliveries already carried out, as far as this instance remembers.

    An event can be in several deliveries, or several times in one: each has its own record.
    It drops the least recently used events when they take too much memory.

    Args:
        max_bytes: The approximate memory that it may take.
    """

    def __init__(self, max_bytes: int = MAX_LEDGER_BYTES) -> None:
        self._records: LRUCache[Key, list[SentRecord]] = LRUCache(
            max_bytes, getsizeof=lambda records: sum(record.size for record in records)
        )

    def __bool__(self) -> bool:
        return bool(self._records)

    def take(self, key: Key) -> SentRecord | None:
        """Remove and return a record of an event, if there is one."""
        records = self._records.pop(key, None)
        if not records:
            return None
        first, *others = records
        if others:
            self._records[key] = others
        return first

    def remember(self, key: Key, record: SentRecord) -> None:
        """Remember what was carried out for an event that AWS delivers again."""
        if not record:
            return
        records = [*self._records.pop(key, ()), record]
        if sum(record.size for record in records) <= self._records.maxsize:
            self._records[key] = records
