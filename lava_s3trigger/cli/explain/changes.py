"""Single changes with which the function would dispatch what it does not, each tried first.

A change is a line for people and for programs:

- ``FIELD: JSON`` sets a field of the entry, ``remove FIELD`` and ``rename FIELD to FIELD``
  are what they say, and so is ``remove the entry``;
- ``add job ID``, ``correct job ID`` and ``enable job ID`` are about an entry of the jobs table;
- ``object key: JSON`` is about the object, not about an entry.
"""

from __future__ import annotations

import itertools
import json
from collections import ChainMap, Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote_plus

from lava_s3trigger import triggers as reader
from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.decide.document import pending_message
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.cli.entries.memory import MemoryTriggers
from lava_s3trigger.conditions import KINDS, is_condition
from lava_s3trigger.jobs import Job, can_exist
from lava_s3trigger.triggers import prefixes

from . import guesses

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

    from lava_s3trigger.cli.entries.dynamodb import Attribute
    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.decision import Decision, JobDecision, Jobs
    from lava_s3trigger.events import S3Event

    Item = dict[str, Attribute]

MAX_TRIALS: Final = 500
"""Changes that are tried for one event."""
_ANY_WORKER: Final = "worker"
_VERBS: Final = {"no_such_job": "add", "bad_job": "correct", "job_disabled": "enable"}
"""What to do with a job, by the kind of the outcome."""
_KEPT: Final = frozenset(
    ["trigger_id", "bucket", "prefix", "enabled", "job_id", "description", "owner"]
)
"""Fields without which an entry is none, or which decide nothing."""

ENABLE, MEND, REMOVE, JOB, OBJECT, MOVE, UNHIDE, LOSE = range(8)
"""How large changes are, the smallest first."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change with which the function would dispatch."""

    trigger_id: str | None
    """The entry to change; of a job or an object, the one whose dispatch it brings."""
    text: str
    dispatches: tuple[str, ...]
    """Ids of the jobs that would be dispatched, and are not without it."""
    also: str | None = None
    """What it would do to other objects, if an entry gets another place."""

    def json(self) -> dict[str, Any]:
        """Return the change as `explain` prints it."""
        document = {
            "trigger_id": self.trigger_id,
            "change": self.text,
            "dispatches": list(self.dispatches),
        }
        return document | {"also": self.also} if self.also else document


@dataclass(slots=True)
class _Trial:
    """A change to try."""

    size: int
    subject: str
    """Of all trials of a size and a subject, the first that helps is enough."""
    text: str
    entry: Entry | None = None
    """The entry that is changed."""
    item: Item | None = None
    """What it is changed to; None removes it."""
    jobs: Jobs | None = None
    event: S3Event | None = None


def changes(decision: Decision, entries: RealmEntries) -> list[Change]:
    """Return single changes with which the function would dispatch more, the smallest first.

    Args:
        decision: What the function would do.
        entries: The entries that it decides with.
    """
    return _Changes(decision, entries).helpful()


class _Changes:
    """Looks for the changes of one decision."""

    def __init__(self, decision: Decision, entries: RealmEntries) -> None:
        self._decision = decision
        self._event = decision.event
        self._entries = entries
        self._tried = tuple(prefixes(self._event.key))
        self._before = self._dispatched(decision)
        self._walk = frozenset(self._tried)
        self._reachable = self._at(self._walk)

    def _at(self, walk: Collection[str]) -> list[Entry]:
        """Return the entries of the bucket at any of some prefixes."""
        return [
            entry
            for entry in self._entries.triggers
            if entry.text("bucket") == self._event.bucket and entry.text("prefix") in walk
        ]

    def helpful(self) -> list[Change]:
        trials = sorted(self._trials(), key=lambda trial: trial.size)
        all_changes: list[Change] = []
        helped: set[tuple[int, str]] = set()
        seen: set[tuple[str, str]] = set()
        for trial in trials:
            known = (trial.subject, trial.text)
            if (trial.size, trial.subject) in helped or known in seen:
                continue
            seen.add(known)
            if len(seen) > MAX_TRIALS:
                break
            trial_changes = self._tried_out(trial)
            if trial_changes:
                helped.add((trial.size, trial.subject))
                all_changes += trial_changes
        return all_changes

    def _tried_out(self, trial: _Trial) -> list[Change]:
        """Return what a trial brings: a change for each trigger that dispatches more."""
        table = MemoryTriggers(self._with(trial), self._entries.triggers.max_delay)
        decision = decide_event(
            trial.event or self._event,
            table,
            trial.jobs or self._entries.jobs,
            self._decision.redrive,
        )
        more = self._dispatched(decision) - self._before
        by_trigger: dict[str, list[str]] = {}
        for trigger_id, job_id in more.elements():
            by_trigger.setdefault(trigger_id, []).append(job_id)
        if trial.entry is None:
            return [
                Change(trigger_id, trial.text, tuple(jobs))
                for trigger_id, jobs in by_trigger.items()
            ]
        owner = _id_of(trial.entry)
        jobs = tuple(job for job_ids in by_trigger.values() for job in job_ids)
        return [Change(owner, trial.text, jobs, self._also(trial))] if jobs else []

    def _also(self, trial: _Trial) -> str | None:
        """Return what else changes if a trial moves an entry, or puts it into the table."""
        entry, table = cast("Entry", trial.entry), self._entries.triggers
        new = replace(entry, item=trial.item or {})
        bucket, prefix, before = new.text("bucket"), new.text("prefix"), entry.text("prefix")
        is_there = table.by_id.get(str(entry.id)) is entry
        if not (bucket and prefix) or (
            is_there and (entry.text("bucket"), before) == (bucket, prefix)
        ):
            return None
        if is_there and before in [*prefixes(prefix)][1:]:
            return f"no longer fires outside {_json(prefix)}"
        others: dict[str | None, list[str]] = {}
        for other in table:
            if other is not entry and other.text("bucket") == bucket:
                others.setdefault(other.text("prefix"), []).append(_json(other.id))
        at, *above = prefixes(prefix)
        hidden = next((others[place] for place in above if place in others), None)
        if at in others or not hidden:
            return None
        return f"hides {', '.join(sorted(hidden))} at and below {_json(prefix)}"

    def _with(self, trial: _Trial) -> list[Entry]:
        """Return the entries that decide on a trial.

        Whether an entry dispatches depends on no other entry, except those at longer prefixes,
        which hide it. One of each prefix is enough for that.
        """
        if trial.event:
            return self._at(frozenset(prefixes(trial.event.key)))
        others = [entry for entry in self._reachable if entry is not trial.entry]
        if trial.entry is None or trial.item is None:
            return others
        changed = replace(trial.entry, item=trial.item)
        hiding = {entry.text("prefix"): entry for entry in others}
        return [*hiding.values(), changed]

    def _dispatched(self, decision: Decision) -> Counter[tuple[str, str]]:
        return Counter(
            (trigger.trigger_id, job.job_id)
            for trigger in decision.triggers
            for job in trigger.jobs
            if job.dispatch
            and pending_message(job.dispatch, self._entries.realm).outcome != "user_error"
        )

    def _trials(self) -> Iterator[_Trial]:
        deciding = {trigger.trigger_id: trigger for trigger in self._decision.triggers}
        level = self._decision.prefixes[-1] if self._decision.entries else None
        for entry in self._reachable:
            decided = deciding.get(str(entry.id))
            # Next to a dispatch, what is skipped is left alone: it may well be meant so.
            if self._before and (decided is None or decided.outcome == "skipped"):
                continue
            if entry.text("prefix") == level:
                if (
                    decided is None
                    or decided.ended
                    or any(not job.dispatch for job in decided.jobs)
                ):
                    yield from _of_fields(entry, self._event)
                for job in decided.jobs if decided else ():
                    if not (self._before and job.outcome == "skipped"):
                        yield from self._of_job(entry, job)
        if not self._before:
            yield from self._elsewhere()
            yield from self._of_hidden()
            for key in guesses.keys(self._event.key):
                event = _with_key(self._event, key)
                if event:
                    yield _Trial(OBJECT, "object", f"object key: {_json(key)}", event=event)

    def _of_hidden(self) -> Iterator[_Trial]:
        """Yield trials for entries that those at a longer prefix hide."""
        levels: dict[str, list[Entry]] = {}
        for entry in self._reachable:
            levels.setdefault(entry.item["prefix"]["S"], []).append(entry)
        first, *hidden = [levels[prefix] for prefix in self._tried if prefix in levels] or [[]]
        for entry in (entry for level in hidden for entry in level):
            yield _set(MOVE, entry, "prefix", first[0].item["prefix"]["S"])
        if len(first) == 1 and hidden:
            names = ", ".join(_json(name) for name in sorted(str(entry.id) for entry in hidden[0]))
            text = f"remove the entry: it hides {names}"
            yield _Trial(UNHIDE, str(first[0].id), text, first[0])

    def _elsewhere(self) -> Iterator[_Trial]:
        """Yield trials for entries that are at none of the key's prefixes in its bucket."""
        table, bucket = self._entries.triggers, self._event.bucket
        for entry in [*table, *table.replaced, *table.unindexed]:
            own_bucket, own_prefix = _text(entry, "bucket"), _text(entry, "prefix")
            is_here = entry.text("bucket") == bucket
            is_there = entry.text("prefix") in self._walk
            if is_here and not is_there:
                for prefix in guesses.prefixes(own_prefix, bucket, self._tried):
                    yield _set(MEND, entry, "prefix", prefix)
            elif is_there and not is_here and bucket in guesses.buckets(own_bucket):
                yield _set(MEND, entry, "bucket", bucket)
            elif is_here and is_there and entry.id is None:
                yield _set(MEND, entry, "trigger_id", _id_of(entry) or "trigger")
        for entry in table.replaced:
            yield _set(MEND, entry, "trigger_id", _free_id(str(entry.id), table.by_id))

    def _of_job(self, entry: Entry, job: JobDecision) -> Iterator[_Trial]:
        """Yield trials for a job that is not dispatched."""
        if job.dispatch:
            return
        if job.kind == "no_such_job":
            known = getattr(self._entries.jobs, "by_id", {})
            for job_ids in _renamed_job(entry, job, list(known)):
                yield _set(MEND, entry, "job_id", job_ids)
        verb = _VERBS.get(job.kind or "")
        if verb and can_exist(job.job_id):
            sound = Job(job.job_id, _ANY_WORKER, enabled=True)
            # The real jobs need no method of a map but this one.
            jobs: Any = ChainMap({job.job_id: sound}, cast("Any", self._entries.jobs))
            subject = f"{entry.id}, job {job.job_id}"
            size = ENABLE if verb == "enable" else JOB
            text = f"{verb} job {_json(job.job_id)}"
            yield _Trial(size, subject, text, entry, entry.item, jobs)


def _of_fields(entry: Entry, event: S3Event) -> Iterator[_Trial]:
    """Yield trials of an entry that is where the function looks, and does not dispatch."""
    if entry.item.get("enabled") != {"BOOL": True}:
        yield _set(ENABLE, entry, "enabled", True)
    known = reader.FIELDS | reader.NOT_CHECKED
    known |= {f"{start}{name}" for name in KINDS for start in ("if_", "if_not_")}
    for name in entry.item:
        if name not in known and not name.startswith(("x-", "X-")):
            for better in _meant(name, known - entry.item.keys()):
                yield _renamed(entry, name, better)
        value = _value(entry, name)
        for corrected in _corrected(name, value, event, str(entry.text("prefix"))):
            if corrected != value:
                yield _set(MEND, entry, name, corrected)
        if name in ("parameters", "globals"):
            yield _removed(LOSE, entry, name)
            for inner in value if isinstance(value, dict) else ():
                yield _removed(REMOVE, entry, name, inner)
        elif name not in _KEPT:
            yield _removed(REMOVE, entry, name)


def _meant(name: str, known: Collection[str]) -> list[str]:
    """Return fields close to a name. A condition and its opposite are never both among them."""
    names = list(guesses.names(name, known))
    return [
        close for close in names if close.startswith("if_not_") == names[0].startswith("if_not_")
    ]


def _corrected(name: str, value: Any, event: S3Event, prefix: str) -> Iterator[Any]:
    """Yield values to try in place of that of a field."""
    if name.startswith("if_not_"):  # any other pattern would do, and mean nothing
        return
    if is_condition(name):
        kind = KINDS.get(name.removeprefix("if_").removeprefix("not_"))
        if kind and kind.of == "size":
            yield from guesses.sizes(value)
        elif kind and isinstance(seen := getattr(event, kind.of), str):
            written = [value] if isinstance(value, str) else value
            if isinstance(written, list) and all(isinstance(pattern, str) for pattern in written):
                guessed = (
                    guesses.event_types(written, seen)
                    if kind.of == "event_type"
                    else guesses.patterns(written, seen, event.bucket, prefix)
                )
                yield from (guess[0] if len(guess) == 1 else guess for guess in guessed if guess)
    elif name == "delay":
        yield from guesses.durations(value)
    elif name == "job_id" and isinstance(value, (int, float)):
        yield str(value)
    elif name in ("parameters", "globals") and isinstance(value, str):
        try:
            yield json.loads(value)
        except (ValueError, RecursionError):
            return


def _renamed_job(entry: Entry, job: JobDecision, known: list[str]) -> Iterator[Any]:
    """Yield job ids of an entry, with one that exists in place of one that does not."""
    value = _value(entry, "job_id")
    job_ids = [value] if isinstance(value, str) else value
    # Not of a template, which was meant to make different ids.
    if isinstance(job_ids, list) and job_ids[job.position : job.position + 1] == [job.job_id]:
        for better in guesses.names(job.job_id, [job_id for job_id in known if job_id]):
            corrected = [*job_ids[: job.position], better, *job_ids[job.position + 1 :]]
            yield corrected[0] if isinstance(value, str) else corrected


def _set(size: int, entry: Entry, name: str, value: Any) -> _Trial:
    item = entry.item | {name: attribute_of(value)}
    return _Trial(size, f"{_id_of(entry)}.{name}", f"{name}: {_json(value)}", entry, item)


def _removed(size: int, entry: Entry, name: str, inner: str | None = None) -> _Trial:
    item = {key: value for key, value in entry.item.items() if key != name}
    path = name
    if inner is not None:
        members = entry.item[name]["M"]
        item[name] = {"M": {member: value for member, value in members.items() if member != inner}}
        path = f"{name}.{inner}"
    return _Trial(size, f"{_id_of(entry)}.{path}", f"remove {path}", entry, item)


def _renamed(entry: Entry, name: str, better: str) -> _Trial:
    item = {better if field == name else field: value for field, value in entry.item.items()}
    return _Trial(MEND, f"{_id_of(entry)}.{name}", f"rename {name} to {better}", entry, item)


def _with_key(event: S3Event, key: str) -> S3Event | None:
    """Return an event of another key, in its record too; None where its record is unusual."""
    record = event.record
    try:
        if "s3" in record:
            inner = record["s3"]["object"] | {"key": quote_plus(key, safe="/")}
            record = record | {"s3": record["s3"] | {"object": inner}}
        else:
            inner = record["detail"]["object"] | {"key": key}
            record = record | {"detail": record["detail"] | {"object": inner}}
    except (KeyError, TypeError, UnicodeEncodeError):
        return None
    return replace(event, key=key, record=record)


def _free_id(trigger_id: str, taken: Container[str]) -> str:
    ids = (f"{trigger_id}-{number}" for number in itertools.count(2))
    return next(new_id for new_id in ids if new_id not in taken)


def _id_of(entry: Entry) -> str | None:
    return entry.id or _text(entry, "trigger_id") or None


def _text(entry: Entry, name: str) -> str:
    """Return a field as text: also of a number, which a file may have without quotes."""
    value = _value(entry, name)
    return str(value) if isinstance(value, (str, int, float)) else ""


def _value(entry: Entry, name: str) -> Any:
    try:
        return entry.value(name)
    except ValueError:  # binary
        return None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
