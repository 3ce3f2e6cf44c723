"""The entries that a command decides with: of files, or of a realm's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .aws import Aws, reaching_aws
from .entries import load, read_table
from .errors import WRONG_USAGE, CommandError
from .output import message
from .tables import MAX_DELAY, MemoryJobs, MemoryTriggers, UnknownJobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .entries import Entry, Kind

UNKNOWN_REALM: Final = "REALM"
"""Stands for the realm's name in queues and messages where none is given."""


@dataclass(slots=True)
class RealmEntries:
    """The entries of a realm."""

    realm: str
    triggers: MemoryTriggers
    jobs: MemoryJobs | UnknownJobs


def read_entries(
    triggers: Sequence[str],
    jobs: Sequence[str],
    realm: str | None,
    aws: Aws,
    max_delay: float = MAX_DELAY,
) -> RealmEntries:
    """Read the entries that a command decides with.

    Args:
        triggers: Files and folders of trigger entries; without any, the realm's table.
        jobs: Files and folders of job entries; without any, the realm's table where a realm
            is given, and otherwise nothing is known of jobs.
        realm: Name of the realm.
        aws: Where its tables are.
        max_delay: Longest delay in seconds that an entry may ask for.

    Raises:
        CommandError: They cannot be read, or neither files nor a realm are given.
    """
    if not triggers and realm is None:
        raise CommandError(
            "no entries: give files with --triggers, or a realm with --realm (LAVA_REALM)",
            WRONG_USAGE,
        )
    found = MemoryTriggers(_entries(triggers, "trigger", realm, aws), max_delay)
    for entry in found.replaced:
        message(f"Warning: {entry.source}: another entry has the trigger_id {entry.id!a} as well")
    known: MemoryJobs | UnknownJobs = UnknownJobs()
    if jobs or realm is not None:
        name = ", ".join(jobs) if jobs else f"lava.{realm}.jobs"
        known = MemoryJobs(_entries(jobs, "job", realm, aws), name)
    return RealmEntries(realm or UNKNOWN_REALM, found, known)


def _entries(paths: Sequence[str], kind: Kind, realm: str | None, aws: Aws) -> list[Entry]:
    if paths:
        loaded = load(paths)
        loaded.require_sound()
        return loaded.of(kind)
    client = aws.client("dynamodb")
    with reaching_aws():
        return read_table(client, str(realm), kind)
