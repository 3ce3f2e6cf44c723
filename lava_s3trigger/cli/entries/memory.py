"""The tables of a realm in memory, filled with entries of files or of the real tables.

They behave like `TriggerTable` and `JobTable`, with the same walk and the same readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lava_s3trigger.errors import InvalidEntryError, UserError
from lava_s3trigger.jobs import Job, can_exist, read_job, unusable
from lava_s3trigger.triggers import Walk, levels_by_prefix, walk
from lava_s3trigger.units import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.triggers import Level

    from .load import Entry

MAX_DELAY: Final = 900.0
"""Longest delay, in seconds, that the function accepts by default."""
UNKNOWN_WORKER: Final = ""
"""The worker of an unknown job."""


class MemoryTriggers:
    """The s3triggers table in memory.

    Args:
        entries: Trigger entries. As in the table, a later one replaces an earlier one with
            the same trigger id. An entry whose trigger id, bucket or prefix is not a string
            cannot be in the index.
        max_delay: Longest delay in seconds that an entry may ask for.
    """

    def __init__(self, entries: Iterable[Entry], max_delay: float = MAX_DELAY) -> None:
        self.max_delay = max_delay
        self.by_id: dict[str, Entry] = {}
        """The entries in the index, by trigger id."""
        self.replaced: list[Entry] = []
        """Entries with the trigger id of another entry."""
        self.unindexed: list[Entry] = []
        """Entries that cannot be in the index."""
        for entry in entries:
            trigger_id = entry.id
            if trigger_id and entry.text("bucket") and entry.text("prefix"):
                if trigger_id in self.by_id:
                    self.replaced.append(self.by_id[trigger_id])
                self.by_id[trigger_id] = entry
            else:
                self.unindexed.append(entry)
        by_bucket: dict[str, list[Entry]] = {}
        for entry in self.by_id.values():
            by_bucket.setdefault(entry.item["bucket"]["S"], []).append(entry)
        self._buckets: dict[str, dict[str, Level]] = {
            bucket: levels_by_prefix(entry.item for entry in entries_of_bucket)
            for bucket, entries_of_bucket in by_bucket.items()
        }

    def matching(self, bucket: str, key: str) -> Walk:
        """Walk up the prefixes of a key, to the longest that has any entry."""
        return walk(key, self._buckets.get(bucket, {}).get, self.max_delay)

    def levels(self, bucket: str) -> dict[str, Level]:
        """Return the entries of a bucket by their prefix."""
        return self._buckets.get(bucket, {})

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in the index."""
        return iter(self.by_id.values())


class MemoryJobs:
    """The jobs table in memory.

    Args:
        entries: Job entries; a later one replaces an earlier one with the same job id.
        name: Name of the table, for errors.
    """

    def __init__(self, entries: Iterable[Entry], name: str) -> None:
        self._name = name
        self.by_id = {entry.id: entry for entry in entries if entry.id}

    def __getitem__(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            UserError: There is no such job, or its entry cannot be used.
        """
        entry = self.by_id.get(job_id)
        if entry is None:
            raise UserError(f"no job {shown(job_id)} in {self._name}", "no_such_job")
        try:
            return read_job(entry.item)
        except InvalidEntryError as invalid:
            raise unusable(job_id, invalid) from None


class UnknownJobs:
    """Unknown jobs: each is assumed to exist and to be enabled, if a job can have its id."""

    def __getitem__(self, job_id: str) -> Job:
        """Return a job, with `UNKNOWN_WORKER`.

        Raises:
            UserError: No job can have the id.
        """
        if not can_exist(job_id):
            raise UserError(f"no job can have the id {shown(job_id)}", "no_such_job")
        return Job(job_id, UNKNOWN_WORKER, enabled=True)
