"""The entries that the page shows, with the user's drafts: decided, checked, tested and planned.

It has no rule of its own: each answer is that of `explain`, `check`, `test` or `plan`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.apply.effects import hidden_by_disabled, is_enabled, levels_of
from lava_s3trigger.cli.check.public import check_entries
from lava_s3trigger.cli.entries.load import Loaded, load_texts
from lava_s3trigger.cli.entries.memory import MAX_DELAY, MemoryJobs, MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.entries.source import UNKNOWN_REALM, RealmEntries
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.explain.run import explained
from lava_s3trigger.cli.objects.options import ObjectOptions, event_type_named, size_named
from lava_s3trigger.cli.objects.record import Assumed
from lava_s3trigger.cli.objects.sources import of_lines
from lava_s3trigger.cli.objects.uri import read_uri
from lava_s3trigger.cli.output.times import read_time
from lava_s3trigger.cli.plan.public import plan_of_objects
from lava_s3trigger.cli.testing.public import run_cases_of
from lava_s3trigger.conditions import is_condition
from lava_s3trigger.triggers import BrokenTrigger, prefixes, read_trigger

from .drafts import changed, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lava_s3trigger.cli.entries.load import Entry

    Json = dict[str, Any]

MAX_PLANNED_KEYS: Final = 10_000
"""Keys that are planned with at once."""
_NAME: Final = "draft-{}.yaml"
_STATES: Final = (
    # The state, and the beginnings of the rules of `check` that give an entry that state.
    ("broken", ()),
    ("unreachable", ("LT20", "LT21", "LT301", "LT303")),
    ("no job", ("LT501", "LT503")),
    ("job disabled", ("LT502",)),
    ("no queue", ("LT505",)),
)
_NOT_UNREACHABLE: Final = ("LT206", "LT207")


@dataclass(frozen=True)
class Source:
    """Entries as they were read, to hand to the processes that decide."""

    name: str
    """For people: the paths, or the name of the table."""
    realm: str | None
    region: str
    texts: tuple[tuple[str, str], ...] = ()
    """Files, by name and text."""
    triggers: tuple[Entry, ...] = ()
    """Trigger entries of the realm's table."""
    jobs: tuple[Entry, ...] | None = None
    """Job entries of the realm's table; None where it was not read."""
    jobs_name: str = ""
    """Where jobs are looked up, for errors."""
    workers: frozenset[str] | None = None
    """Workers that have a queue; None where SQS was not asked."""
    max_delay: float = MAX_DELAY
    notice: str = ""
    """Why the deployed function would do something else; empty if nothing is known."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """The entries with drafts in place of those that they replace."""

    entries: RealmEntries
    drafts: Loaded
    """The entries of the drafts."""
    others: list[Entry]
    """All other trigger entries."""


class Workbench:
    """Answers the page. Templates run in it, so it lives in the main thread of a process."""

    def __init__(self, source: Source) -> None:
        self._source = source
        loaded = load_texts(source.texts)
        self._problems = loaded.problems
        self._files = loaded.files
        self._triggers = [*loaded.of("trigger"), *source.triggers]
        jobs = loaded.of("job") or source.jobs
        self._job_entries = None if jobs is None else list(jobs)
        self._jobs: MemoryJobs | UnknownJobs = UnknownJobs()
        if self._job_entries is not None:
            self._jobs = MemoryJobs(self._job_entries, source.jobs_name)
        self._drafted: tuple[str, Drafted] | None = None

    def map(self, request: Json) -> Json:
        """Return all entries, as the tree shows them, without what `check` finds."""
        drafted = self._with(request)
        table = drafted.entries.triggers
        items = [entry.item for entry in table]
        hiding = {
            (effect.bucket, effect.prefix)
            for effect in hidden_by_disabled(
                levels_of(items), [item for item in items if not is_enabled(item)]
            )
        }
        return {
            "name": self._source.name,
            "realm": self._source.realm,
            "notice": self._source.notice,
            "jobs": None if self._job_entries is None else len(self._job_entries),
            "levels": _levels(items),
            "entries": [
                self._summary(entry, hiding)
                for entry in (*table, *table.replaced, *table.unindexed)
            ],
        }

    def _summary(self, entry: Entry, hiding: set[tuple[str, str]]) -> Json:
        level = (entry.text("bucket") or "", entry.text("prefix") or "")
        enabled = is_enabled(entry.item)
        # Also where x-lint-ignore keeps check from saying so.
        read = read_trigger(entry.item, self._source.max_delay)
        job_ids = _values(entry, "job_id")
        workers = [self._worker_of(job_id) for job_id in job_ids]
        return {
            "id": entry.id,
            "bucket": level[0],
            "prefix": level[1],
            "state": "broken"
            if entry.id is None or isinstance(read, BrokenTrigger)
            else "enabled"
            if enabled
            else "hiding"
            if level in hiding
            else "disabled",
            "source": entry.source,
            "owner": entry.text("owner"),
            "description": entry.text("description"),
            "jobs": job_ids,
            "workers": [worker for worker in workers if worker],
            "conditions": [
                f"{name} {', '.join(_values(entry, name))}"
                for name in entry.item
                if is_condition(name)
            ],
        }

    def _worker_of(self, job_id: str) -> str | None:
        job = self._jobs.by_id.get(job_id) if isinstance(self._jobs, MemoryJobs) else None
        return job.text("worker") if job else None

    def findings(self, request: Json) -> Json:
        """Return what `check` finds in all entries, and the state that it gives them."""
        drafted = self._with(request)
        together = Loaded(
            [*drafted.others, *drafted.drafts.entries, *(self._job_entries or ())],
            [*self._problems, *drafted.drafts.problems],
            {**self._files, **drafted.drafts.files},
        )
        jobs: list[Entry] | None = (
            None if self._job_entries is None else []
        )  # which are checked themselves
        findings = self._checked(together, [], jobs)
        states: dict[str, str] = {}
        of_jobs: dict[str, str] = {}
        for finding in findings:
            if state := _state(finding):
                owners = states if finding["trigger_id"] else of_jobs
                owners.setdefault(str(finding["trigger_id"] or finding["job_id"]), state)
        for entry in drafted.entries.triggers:
            for job_id in _values(entry, "job_id"):
                if job_id in of_jobs:
                    states.setdefault(str(entry.id), of_jobs[job_id])
        return {"findings": findings, "states": states}

    def _checked(
        self, loaded: Loaded, others: Sequence[Entry], jobs: Sequence[Entry] | None
    ) -> list[Json]:
        checked = check_entries(
            loaded,
            others,
            jobs,
            realm=self._source.realm,
            workers=self._source.workers,
            max_delay=self._source.max_delay,
            fail_on="info",
        )
        return [
            finding.as_json() | {"end": finding.span.end - finding.span.start}
            if finding.span
            else finding.as_json()
            for finding in checked.findings
        ]

    def explain(self, request: Json) -> Json:
        """Return what the function would do with an object or a payload."""
        return self._explained(request, with_changes=False)

    def changes(self, request: Json) -> Json:
        """Return the same, with the changes that would make it dispatch."""
        return self._explained(request, with_changes=True)

    def _explained(self, request: Json, *, with_changes: bool) -> Json:
        entries = self._with(request).entries
        payload = self._payload(request)
        return explained(
            payload,
            entries,
            self._source.region,
            with_changes=with_changes,
            has_queue=self._has_queue,
        )

    def _has_queue(self, name: str) -> bool | None:
        workers, prefix = self._source.workers, f"lava-{self._source.realm}-"
        return None if workers is None else name.removeprefix(prefix) in workers

    def _payload(self, request: Json) -> Any:
        if text := request.get("payload"):
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                raise CommandError(f"the payload is not JSON: {error}") from None
        size, time = request.get("size"), request.get("time")
        event_type = request.get("event_type")
        try:
            about = ObjectOptions(
                size_named(size) if size else None,
                event_type_named(event_type) if event_type else None,
                read_time(time) if time else None,
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        record = about.record(read_uri(request.get("uri", "")), self._source.region)
        return {"Records": [record]}

    def draft(self, request: Json) -> Json:
        """Return what `check` finds in drafts, and the results of their cases."""
        drafted = self._with(request)
        findings = self._checked(drafted.drafts, drafted.others, self._job_entries)
        answer: Json = {"findings": findings, "cases": [], "problem": None}
        try:
            results = run_cases_of(
                drafted.drafts.of("trigger"),
                drafted.entries.triggers,
                self._jobs,
                self._source.region,
                (),
            )
            answer["cases"] = results.as_json()
        except CommandError as error:
            answer["problem"] = str(error)
        return answer

    def entry(self, request: Json) -> Json:
        """Return the text of an entry, to draft with."""
        trigger_id, source = request.get("trigger_id") or None, request.get("source")
        named = [entry for entry in self._triggers if entry.id == trigger_id]
        entry = next((entry for entry in named if source in (None, entry.source)), None)
        if entry is None:
            raise CommandError(f"there is no entry {trigger_id or source}")
        return {"text": text_of(entry)}

    def change(self, request: Json) -> Json:
        """Return the text of a draft with one of the changes that `explain` suggests."""
        return {"text": changed(request.get("text", ""), request.get("change", ""))}

    def plan(self, request: Json) -> Json:
        """Return what the drafts change for some keys."""
        lines = [line for line in request.get("keys", "").split("\n") if line.strip()]
        if not lines:
            raise CommandError("no keys: paste some, one a line")
        if len(lines) > MAX_PLANNED_KEYS:
            raise CommandError(
                f"{len(lines):,} keys; the page takes {MAX_PLANNED_KEYS:,}. For more:"
                " lava-s3trigger plan --keys FILE"
            )
        now = datetime.now(UTC)
        objects = of_lines(
            "keys",
            (line.removesuffix("\r").encode() for line in lines),
            request.get("bucket") or None,
            Assumed(now),
        )
        after = list(self._with(request).entries.triggers)
        jobs = self._job_entries
        name = self._source.name
        report = plan_of_objects(
            (name, self._triggers),
            (f"{name} with the drafts", after),
            jobs,
            objects,
            realm=self._source.realm,
            region=self._source.region,
            now=now,
        )
        return report.as_json()

    def _with(self, request: Json) -> Drafted:
        """Return the entries with the drafts of a request; those of the last one are kept."""
        drafts = request.get("drafts") or []
        key = json.dumps(drafts)
        if self._drafted is None or self._drafted[0] != key:
            self._drafted = key, self._apply(drafts)
        return self._drafted[1]

    def _apply(self, drafts: Sequence[Json]) -> Drafted:
        loaded = load_texts(
            (self._name(number, draft), draft["text"]) for number, draft in enumerate(drafts, 1)
        )
        gone = {draft.get("replaces") for draft in drafts} - {None}
        gone |= {entry.id for entry in loaded.of("trigger")}
        others = [entry for entry in self._triggers if entry.id not in gone]
        table = MemoryTriggers([*others, *loaded.of("trigger")], self._source.max_delay)
        realm = self._source.realm or UNKNOWN_REALM
        return Drafted(RealmEntries(realm, table, self._jobs), loaded, others)

    def _name(self, number: int, draft: Json) -> str:
        """Return the name of a draft's file, in the folder from which its cases name payloads."""
        of = (entry for entry in self._triggers if entry.id == draft.get("replaces"))
        file = next((entry.file for entry in of if entry.file), None)
        return str((Path(file.name).parent if file else Path()) / _NAME.format(number))


def _levels(items: Sequence[dict[str, Any]]) -> list[Json]:
    """Return the prefixes at which there are entries, each with the next one of its walk."""
    levels = levels_of(items)
    return [
        {
            "bucket": bucket,
            "prefix": prefix,
            "parent": next(
                (
                    parent
                    for parent in prefixes(prefix)
                    if parent != prefix and (bucket, parent) in levels
                ),
                None,
            ),
        }
        for bucket, prefix in levels
    ]


def _state(finding: Json) -> str | None:
    if finding["severity"] == "error":
        return "broken"
    if finding["rule"] in _NOT_UNREACHABLE:
        return None
    return next((name for name, rules in _STATES if finding["rule"].startswith(rules)), None)


def _values(entry: Entry, name: str) -> list[str]:
    try:
        value = entry.value(name)
    except ValueError:  # binary
        return []
    values = value if isinstance(value, list) else [value]
    return [str(item) for item in values if item is not None]
