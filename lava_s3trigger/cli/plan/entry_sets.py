"""Two sets of entries to compare: those that are, and those that would be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lava_s3trigger.cli.entries.load import load_sound, read_table
from lava_s3trigger.cli.entries.memory import MAX_DELAY, MemoryJobs, MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.entries.source import warn_of
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.triggers import is_custom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.entries.load import Entry, Kind


@dataclass(frozen=True)
class Side:
    """Entries to decide with."""

    name: str
    """For people: the paths, or the name of the table."""
    triggers: Sequence[Entry]
    jobs: Sequence[Entry] | None = None
    """None where nothing is known of jobs."""
    jobs_name: str = ""

    def __getstate__(self) -> dict[str, object]:
        """Leave out what entries alone know of their files, for another process."""
        return {
            "name": self.name,
            "triggers": [_bare(entry) for entry in self.triggers],
            "jobs": None if self.jobs is None else [_bare(entry) for entry in self.jobs],
            "jobs_name": self.jobs_name,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    @cached_property
    def trigger_table(self) -> MemoryTriggers:
        """The trigger entries as the function looks them up."""
        return MemoryTriggers(self.triggers, MAX_DELAY)

    @cached_property
    def job_table(self) -> MemoryJobs | UnknownJobs:
        """The job entries as the function looks them up."""
        return UnknownJobs() if self.jobs is None else MemoryJobs(self.jobs, self.jobs_name)

    def with_jobs(self, other: Side) -> Side:
        """Return this side's triggers, with the jobs of another."""
        return Side(self.name, self.triggers, other.jobs, other.jobs_name)

    def has_same_jobs(self, other: Side) -> bool:
        """Return whether each job is the same on another side."""
        if self.jobs is None or other.jobs is None:
            return self.jobs is other.jobs
        return self._jobs_by_id() == other._jobs_by_id()

    def _jobs_by_id(self) -> dict[str | None, object]:
        return {entry.id: entry.item for entry in self.jobs or ()}

    def texts_of_levels(self) -> dict[tuple[str, str], list[str]]:
        """Return the entries as text, by bucket and prefix. Equal text is equal work.

        The order of names counts: a document's strings are one template together. Custom fields
        are left out: the function does not look at them.
        """
        texts_by_level: dict[tuple[str, str], list[str]] = {}
        for entry in self.trigger_table:
            level = (str(entry.text("bucket")), str(entry.text("prefix")))
            own = {name: value for name, value in entry.item.items() if not is_custom(name)}
            texts_by_level.setdefault(level, []).append(json.dumps(own, default=repr))
        return {level: sorted(texts) for level, texts in texts_by_level.items()}


def _bare(entry: Entry) -> Entry:
    # By its own class: `Entry` is imported for the type checker alone.
    return type(entry)(entry.kind, entry.item, entry.source)


@dataclass(frozen=True)
class Sides:
    """The entries that are, and those that would be."""

    before: Side
    after: Side


def read_sides(
    paths: Sequence[str],
    against: Sequence[str],
    jobs: Sequence[str],
    realm: str | None,
    aws: Aws,
) -> Sides:
    """Read both sides.

    Jobs of a side are those of its own files, else those of `jobs`, else those of the
    realm's table, else those of the other side. Without any, jobs are unknown on both.

    Args:
        paths: Files and folders of the entries that would be.
        against: Files and folders of the entries that are; without any, the realm's table.
        jobs: Files and folders of job entries.
        realm: Name of the realm.
        aws: Where its tables are.

    Raises:
        CommandError: They cannot be read, or one side is missing.
    """
    if not against and realm is None:
        raise CommandError(
            "no entries to compare with: give files with --against, or a realm with --realm"
            " (LAVA_REALM)",
            WRONG_USAGE,
        )
    after = _of_files(paths, "trigger")
    before = _of_files(against) if against else _of_table(str(realm), "trigger", aws)
    shared = Side("", ())
    if jobs:
        shared = _of_files(jobs)
    elif realm is not None:
        shared = _of_table(realm, "job", aws)
    known = [side if side.jobs else shared for side in (before, after)]
    sides = Sides(
        before.with_jobs(known[0] if known[0].jobs is not None else known[1]),
        after.with_jobs(known[1] if known[1].jobs is not None else known[0]),
    )
    for side in (sides.before, sides.after):
        warn_of(side.trigger_table)
    return sides


def _of_files(paths: Sequence[str], kind: Kind | None = None) -> Side:
    loaded = load_sound(paths, kind)
    name = ", ".join(paths)
    return Side(name, loaded.of("trigger"), loaded.of("job"), name)


def _of_table(realm: str, kind: Kind, aws: Aws) -> Side:
    entries = read_table(aws, realm, kind)
    if kind == "job":
        return Side("", (), entries, f"lava.{realm}.jobs")
    return Side(f"lava.{realm}.s3triggers", entries)
