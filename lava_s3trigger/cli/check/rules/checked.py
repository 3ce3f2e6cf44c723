"""Entries as rules see them: read by the function's own reader, singly and together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger import units
from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.check.trial import Trial, TriedEntry
from lava_s3trigger.conditions import KINDS
from lava_s3trigger.errors import InvalidEntryError
from lava_s3trigger.jobs import read_job
from lava_s3trigger.triggers import READERS, BrokenTrigger, Trigger, is_custom, read_trigger

from . import event_types
from .template_text import TemplateText

if TYPE_CHECKING:
    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.errors import EntryError

KEYS: Final = {"trigger": ("trigger_id", "bucket", "prefix"), "job": ("job_id",)}
"""Fields that are keys of the tables or of an index: DynamoDB refuses other types."""
IGNORE_FIELD: Final = "x-lint-ignore"
CASES_FIELD: Final = "x-tests"
READ_CUSTOM_FIELDS: Final = frozenset([CASES_FIELD, IGNORE_FIELD, "x-s3trigger-set"])
"""Custom fields that commands read."""

_NOT_WORK: Final = frozenset(["trigger_id", "description", "owner", "enabled"])


def _meant(name: str, value: Any) -> Any:
    """Return the value of a field as the function reads it; unchanged if it cannot be read."""
    kind = KINDS.get(name.removeprefix("if_").removeprefix("not_"))
    read = kind.read if kind else READERS.get(name)
    try:
        meant = read(value) if read else value
    except ValueError:
        return value
    if kind and kind.code == "not_a_pattern":
        return sorted({value} if isinstance(value, str) else {*value})
    if name == "job_id":
        return sorted(meant)  # their order means nothing
    if isinstance(meant, (int, float)) and not isinstance(meant, bool):
        return float(meant)
    return {} if meant is None else meant


class CheckedEntry:
    """An entry, with the properties that rules need.

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
        """The Python values of its fields, without binary ones."""
        plain = {}
        for name, attribute in self.item.items():
            try:
                plain[name] = value_of(attribute, name)
            except ValueError:
                continue
        return plain

    @cached_property
    def bucket(self) -> str | None:
        """The bucket; None if it is missing or not a string."""
        return self.entry.text("bucket") or None

    @cached_property
    def prefix(self) -> str | None:
        """The prefix; None if it is missing or not a string."""
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
        """What it dispatches, and when: the meanings of all its fields except those for people."""
        meant = {
            name: _meant(name, value)
            for name, value in self.values.items()
            if name not in _NOT_WORK and not is_custom(name)
        }
        # The meaning of missing fields.
        absent = {"delay": 0.0, "jinja": True, "parameters": {}, "globals": {}}
        return json.dumps(absent | meant, sort_keys=True)

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
        value = self.values.get("job_id")
        items = value if isinstance(value, list) else [value]
        return [item for item in items if isinstance(item, str)]

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
        compiled = [
            (path, TemplateText.of(value, is_globals=path == ("globals",))) for path, value in named
        ]
        return [(path, template) for path, template in compiled if template]

    def patterns(self, field: str) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the patterns of a condition, with their paths.

        There are none if the function refuses the condition, which has a finding of its own.
        """
        value = self.values.get(field)
        if any(error.field == field for error in self.errors):
            return []
        named: list[tuple[tuple[str | int, ...], Any]] = [((field,), value)]
        if isinstance(value, list):
            named = [((field, n), pattern) for n, pattern in enumerate(value)]
        return [(path, pattern) for path, pattern in named if isinstance(pattern, str)]

    def size(self, name: str) -> float | None:
        """Return the bytes of a size condition; None if it is missing or invalid."""
        try:
            return units.size(self.values[name]) if name in self.values else None
        except ValueError:
            return None

    @cached_property
    def event_types(self) -> frozenset[str]:
        """The known event types that the conditions accept."""
        wanted = [event_types.matched(pattern) for _, pattern in self.patterns("if_event_type")]
        excluded = [
            event_types.matched(pattern) for _, pattern in self.patterns("if_not_event_type")
        ]
        wanted_types = (
            frozenset().union(*wanted) if "if_event_type" in self.item else event_types.ALL
        )
        return wanted_types - frozenset().union(*excluded)

    @cached_property
    def cases(self) -> list[dict[str, Any]]:
        """Its own cases for `test`, without values that are not maps."""
        cases = self.values.get(CASES_FIELD)
        return [case for case in cases if isinstance(case, dict)] if isinstance(cases, list) else []

    @cached_property
    def trigger(self) -> Trigger | BrokenTrigger | None:
        """The trigger that the function reads; a disabled entry is read as if it were enabled."""
        if self.kind != "trigger":
            return None
        return read_trigger(self.item, self.max_delay, checks_disabled=True)

    @cached_property
    def trial(self) -> Trial | None:
        """The trial of an enabled entry; None if the function refuses the entry anyway."""
        trigger = self.trigger
        if not (isinstance(trigger, Trigger) and trigger.enabled and self.bucket and self.prefix):
            return None
        if any(template.error for _, template in self.templates):
            return None
        keys = [case.get("key") for case in self.cases]
        entry = TriedEntry(
            trigger=trigger,
            bucket=self.bucket,
            prefix=self.prefix,
            patterns=[pattern for _, pattern in self.patterns("if_fnmatch")],
            keys=[key for key in keys if isinstance(key, str)],
            event_types=self.event_types,
            names_event_types="if_event_type" in self.item,
            above=self.size("if_size_gt"),
            most=self.size("if_not_size_gt"),
            templates=self.templates,
            documents=[self.values.get(name) for name in ("parameters", "globals")],
        )
        return Trial(entry)

    @cached_property
    def errors(self) -> tuple[EntryError, ...]:
        """The errors for which the function refuses the entry.

        A disabled entry is read as if it were enabled.
        """
        if self.kind == "trigger":
            return self.trigger.errors if isinstance(self.trigger, BrokenTrigger) else ()
        try:
            read_job(self.item)
        except InvalidEntryError as invalid:
            return invalid.errors
        return ()


@dataclass(slots=True)
class CheckedEntries:
    """All entries of a run, for rules that compare them."""

    triggers: list[CheckedEntry] = field(default_factory=list)
    jobs: dict[str, CheckedEntry] | None = None
    """Jobs by id; None if jobs are not known."""
    jobs_name: str = ""
    """The source of the jobs, for messages."""
    workers: set[str] | None = None
    """Workers that have a queue; None where that is not known."""
    realm: str = "REALM"
    by_prefix: dict[str, dict[str, list[CheckedEntry]]] = field(default_factory=dict)
    """Triggers by bucket and prefix."""
    by_id: dict[tuple[str, str], list[CheckedEntry]] = field(default_factory=dict)
    """Entries by kind and id."""
    by_work: dict[str, list[CheckedEntry]] = field(default_factory=dict)
    """Enabled triggers by `CheckedEntry.work`."""

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
