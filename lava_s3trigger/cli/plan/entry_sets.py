"""Two sets of entries to compare: the current ones, and the planned ones."""

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
    """Job entries; None if jobs are unknown."""
    jobs_name: str = ""

    def __getstate__(self) -> dict[str, object]:
        """Leave out the places in files, for another process."""
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
        """The trigger entries in a table for the function's lookups."""
        return MemoryTriggers(self.triggers, MAX_DELAY)

    @cached_property
    def job_table(self) -> MemoryJobs | UnknownJobs:
        """The job entries in a table for the function's lookups."""
        return UnknownJobs() if self.jobs is None else MemoryJobs(self.jobs, self.jobs_name)

    def with_jobs(self, other: Side) -> Side:
        """Return this side's triggers with the jobs of another side."""
        return Side(self.name, self.triggers, other.jobs, other.jobs_name)

    def has_same_jobs(self, other: Side) -> bool:
        """Return whether all jobs are the same on another side."""
        if self.jobs is None or other.jobs is None:
            return self.jobs is other.jobs
        return self._jobs_by_id() == other._jobs_by_id()

    def _jobs_by_id(self) -> dict[str | None, object]:
        return {entry.id: entry.item for entry in self.jobs or ()}

    def texts_of_levels(self) -> dict[tuple[str, str], list[str]]:
        """Return the entries as text, by bucket and prefix. Equal text is equal work.

        The order of names counts, since the strings of a document form one template. Custom fields
        are left out, since the function ignores them.
        """
        texts_by_level: dict[tuple[str, str], list[str]] = {}
        for entry in self.trigger_table:
            level = (str(entry.text("bucket")), str(entry.text("prefix")))
            own = {name: value for name, value in entry.item.items() if not is_custom(name)}
            texts_by_level.setdefault(level, []).append(json.dumps(own, default=repr))
        return {level: sorted(texts) for level, texts in texts_by_level.items()}


def _bare(entry: Entry) -> Entry:
    # Through its class: `Entry` is imported only for the type checker.
    return type(entry)(entry.kind, entry.item, entry.source)


@dataclass(frozen=True)
class Sides:
    """The current entries, and the planned ones."""

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
    realm's table, else those of the other side. Without any, jobs are unknown on both sides.

    Args:
        paths: Files and folders of the planned entries.
        against: Files and folders of the current entries; without any, the realm's table.
        jobs: Files and folders of job entries.
        realm: Name of the realm.
        aws: The account of its tables.

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
