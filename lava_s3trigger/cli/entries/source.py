"""The entries that a command decides with, from files or from a realm's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.streams import message

from .load import load_sound, read_table
from .memory import MAX_DELAY, MemoryJobs, MemoryTriggers, UnknownJobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lava_s3trigger.cli.deployed.aws import Aws

UNKNOWN_REALM: Final = "REALM"
"""Replaces the realm's name in queues and messages if there is no realm."""


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
        jobs: Files and folders of job entries; without any, the jobs in the files of
            `triggers`; without these, the realm's table if a realm is named; otherwise jobs are
            unknown.
        realm: Name of the realm.
        aws: The account of its tables.
        max_delay: Longest delay in seconds that an entry may ask for.

    Raises:
        CommandError: They cannot be read, or neither files nor a realm are given.
    """
    if not triggers and realm is None:
        raise CommandError(
            "no entries: give files with --triggers, or a realm with --realm (LAVA_REALM)",
            WRONG_USAGE,
        )
    if triggers:
        loaded = load_sound(triggers, "trigger")
        of_triggers, of_jobs = loaded.of("trigger"), loaded.of("job")
    else:
        of_triggers, of_jobs = read_table(aws, str(realm), "trigger"), []
    memory = MemoryTriggers(of_triggers, max_delay)
    warn_of(memory)
    known: MemoryJobs | UnknownJobs = UnknownJobs()
    if jobs:
        known = MemoryJobs(load_sound(jobs).of("job"), ", ".join(jobs))
    elif of_jobs:
        known = MemoryJobs(of_jobs, ", ".join(triggers))
    elif realm is not None:
        known = MemoryJobs(read_table(aws, realm, "job"), f"lava.{realm}.jobs")
    return RealmEntries(realm or UNKNOWN_REALM, memory, known)


def warn_of(triggers: MemoryTriggers) -> None:
    """Warn about entries that another one replaces, or that cannot be in the index."""
    for entry in triggers.replaced:
        message(f"Warning: {entry.source}: another entry has the trigger_id {entry.id!a} as well")
    for entry in triggers.unindexed:
        missing = [name for name in ("trigger_id", "bucket", "prefix") if not entry.text(name)]
        must = "must be a text that is not empty"
        if len(missing) > 1:
            must = "must be texts that are not empty"
        message(
            f"Warning: {entry.source}: no event finds this entry: {' and '.join(missing)} {must}"
        )
