"""Entries as rules look at them: read by the function's own reader, and seen together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger import units
from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.jobs import read_job
from lava_s3trigger.triggers import BrokenTrigger, read_trigger

from .template_text import TemplateText

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.entries.dynamodb import Attribute
    from lava_s3trigger.cli.entries.load import Entry

KEYS: Final = {"trigger": ("trigger_id", "bucket", "prefix"), "job": ("job_id",)}
"""Fields that are keys of the tables or of an index: DynamoDB refuses other types."""
MAX_PATTERNS: Final = 1000
MAX_PATTERN_CHARACTERS: Final = 1024
MAX_REFUSALS: Final = 100
"""Reasons that are looked for in one entry: for each, all its fields are read again."""
IGNORE_FIELD: Final = "x-lint-ignore"

_NOT_WORK: Final = frozenset(["trigger_id", "description", "owner", "enabled"])

# What is put in place of a field that is refused, so that the reader comes to the next.
_SOUND: Final[dict[str, dict[str, Attribute]]] = {
    "trigger": {"enabled": {"BOOL": True}, "job_id": {"S": "job"}},
    "job": {"type": {"S": "exe"}, "worker": {"S": "worker"}, "payload": {"S": "payload"}},
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the function's reader refuses an entry, and the field that it is about."""

    reason: str
    field: str


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
                if name not in _NOT_WORK and not name.startswith(("x-", "X-"))
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
    def refusals(self) -> list[Refusal]:
        """All reasons for which the function's own reader refuses the entry.

        The reader stops at the first. So the field that it is about is put right, and the
        entry is read again. A disabled entry is read as if it were enabled.
        """
        return list(islice(self._refusals(), MAX_REFUSALS))

    def _refusals(self) -> Iterator[Refusal]:
        item = dict(self.item)
        for name in KEYS[self.kind]:
            if not self.entry.text(name):
                item[name] = {"S": "key"}
        sound = _SOUND[self.kind]
        if self.kind == "trigger" and "enabled" in item and self._refusal(item) is None:
            item["enabled"] = sound["enabled"]
        while (reason := self._refusal(item)) is not None:
            name = self._field_of(reason, item)
            yield Refusal(reason, name)
            if name in sound:
                item[name] = sound[name]
            elif name in item:
                del item[name]
            else:
                return

    def _refusal(self, item: dict[str, Attribute]) -> str | None:
        if self.kind == "trigger":
            found = read_trigger(item, self.max_delay)
            if isinstance(found, BrokenTrigger):
                return found.reason.removeprefix("bad entry: ")
            return None
        try:
            read_job(item)
        except ValueError as error:
            return str(error)
        return None

    def _field_of(self, reason: str, item: dict[str, Attribute]) -> str:
        """Return the field that a reason is about: without it, the reason is another one."""
        sound = _SOUND[self.kind]
        for name in [*item, *(each for each in sound if each not in item)]:
            if name in KEYS[self.kind]:
                continue
            without = {each: value for each, value in item.items() if each != name}
            if name in sound:
                without = {**item, name: sound[name]}
            if self._refusal(without) != reason:
                return name
        return ""


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
