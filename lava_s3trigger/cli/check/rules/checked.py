"""Entries as rules look at them: read by the function's own reader, and seen together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger import units
from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.errors import InvalidEntryError
from lava_s3trigger.jobs import read_job
from lava_s3trigger.triggers import BrokenTrigger, is_custom, read_trigger

from .template_text import TemplateText

if TYPE_CHECKING:
    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.errors import EntryError

KEYS: Final = {"trigger": ("trigger_id", "bucket", "prefix"), "job": ("job_id",)}
"""Fields that are keys of the tables or of an index: DynamoDB refuses other types."""
MAX_PATTERNS: Final = 1000
MAX_PATTERN_CHARACTERS: Final = 1024
IGNORE_FIELD: Final = "x-lint-ignore"

_NOT_WORK: Final = frozenset(["trigger_id", "description", "owner", "enabled"])


class CheckedEntry:
    """An entry, with what rules ask of it.

    Args:
        entry: The entry.
        max_delay: Longest delay in seconds that it may ask for.
    """

    def __init__(self, entry: Entry, max_delay: float) -> None:
        self.entry = entry
        self.max_delay = max_delay
        self.kind = entry.kind
        self.id = entry.id
        self.item = entry.item

    @cached_property
    def values(self) -> dict[str, Any]:
        """The Python values of its fields, without those that hold binary values."""
        found = {}
        for name, attribute in self.item.items():
            try:
                found[name] = value_of(attribute, name)
            except ValueError:
                continue
        return found

    @cached_property
    def bucket(self) -> str | None:
        """The bucket; None where it is missing or no string."""
        return self.entry.text("bucket") or None

    @cached_property
    def prefix(self) -> str | None:
        """The prefix; None where it is missing or no string."""
        return self.entry.text("prefix") or None

    @cached_property
    def is_enabled(self) -> bool:
        """Whether it is enabled; an invalid value counts as true."""
        try:
            return units.boolean(self.values.get("enabled"))
        except ValueError:
            return True

    @cached_property
    def work(self) -> str:
        """What it dispatches, and when: all its fields but those for people."""
        return json.dumps(
            {
                name: value
                for name, value in self.values.items()
                if name not in _NOT_WORK and not is_custom(name)
            },
            sort_keys=True,
        )

    @cached_property
    def is_template(self) -> bool:
        """Whether its job ids, parameters and globals are templates."""
        try:
            return units.boolean(self.values.get("jinja", True))
        except ValueError:
            return True

    @cached_property
    def job_ids(self) -> list[str]:
        """The job ids, as written."""
        found = self.values.get("job_id")
        items = found if isinstance(found, list) else [found]
        return [each for each in items if isinstance(each, str)]

    def job_id_path(self, position: int) -> tuple[str | int, ...]:
        """Return the path of a job id."""
        is_list = isinstance(self.values.get("job_id"), list)
        return ("job_id", position) if is_list else ("job_id",)

    @cached_property
    def templates(self) -> list[tuple[tuple[str | int, ...], TemplateText]]:
        """Its documents that are templates, with their paths."""
        if self.kind != "trigger" or not self.is_template:
            return []
        named: list[tuple[tuple[str | int, ...], Any]] = [
            (self.job_id_path(n), job_id) for n, job_id in enumerate(self.job_ids)
        ]
        named += [
            ((name,), self.values[name])
            for name in ("parameters", "globals")
            if isinstance(self.values.get(name), dict)
        ]
        made = [
            (path, TemplateText.of(value, is_globals=path == ("globals",))) for path, value in named
        ]
        return [(path, each) for path, each in made if each]

    def patterns(self, field: str) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the patterns of a condition, with their paths, but for those that are too long."""
        value = self.values.get(field)
        named: list[tuple[tuple[str | int, ...], Any]] = [((field,), value)]
        if isinstance(value, list):
            named = [((field, n), each) for n, each in enumerate(value[:MAX_PATTERNS])]
        return [
            (path, each)
            for path, each in named
            if isinstance(each, str) and len(each) <= MAX_PATTERN_CHARACTERS
        ]

    @cached_property
    def errors(self) -> tuple[EntryError, ...]:
        """The errors for which the function refuses the entry.

        A disabled entry is read as if it were enabled.
        """
        if self.kind == "trigger":
            found = read_trigger(self.item, self.max_delay, checks_disabled=True)
            return found.errors if isinstance(found, BrokenTrigger) else ()
        try:
            read_job(self.item)
        except InvalidEntryError as invalid:
            return invalid.errors
        return ()


@dataclass(slots=True)
class CheckedEntries:
    """All entries of a run, as rules see them together."""

    triggers: list[CheckedEntry] = field(default_factory=list)
    jobs: dict[str, CheckedEntry] | None = None
    """By id; None where nothing is known of jobs."""
    jobs_name: str = ""
    """Where jobs were looked for, for messages."""
    workers: set[str] | None = None
    """Workers that have a queue; None where that is not known."""
    realm: str = "REALM"
    by_prefix: dict[str, dict[str, list[CheckedEntry]]] = field(default_factory=dict)
    """Triggers by bucket and prefix."""
    by_id: dict[tuple[str, str], list[CheckedEntry]] = field(default_factory=dict)
    """Entries by kind and id."""
    by_work: dict[str, list[CheckedEntry]] = field(default_factory=dict)
    """Enabled triggers by what they dispatch, and when."""

    def add(self, checked: CheckedEntry) -> None:
        """Add an entry."""
        if checked.id:
            self.by_id.setdefault((checked.kind, checked.id), []).append(checked)
        if checked.kind == "trigger":
            self.triggers.append(checked)
            if checked.bucket and checked.prefix:
                levels = self.by_prefix.setdefault(checked.bucket, {})
                levels.setdefault(checked.prefix, []).append(checked)
                if checked.is_enabled:
                    self.by_work.setdefault(checked.work, []).append(checked)
        elif checked.id:
            self.jobs = self.jobs or {}
            self.jobs[checked.id] = checked
