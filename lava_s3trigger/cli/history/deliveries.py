"""What happened to an object in each delivery, compared with what would happen now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.cli.output.times import shown_time
from lava_s3trigger.triggers import entry_digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from lava_s3trigger.cli.deployed.log_group import LogEvent
    from lava_s3trigger.cli.deployed.log_line import LogLine
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.cli.objects.uri import ObjectName

    from .versions import EntryVersions

    Json = dict[str, Any]

_PAUSE: Final = timedelta(seconds=45)
"""Lambda tries an asynchronous invocation again after a minute, with the same request id."""
_FIELDS: Final = ("trigger_id", "job_id", "kind", "code", "reason", "queue", "run_id", "entry")


class _Told(NamedTuple):
    """A log line about the object."""

    time: datetime
    line: LogLine


@dataclass(slots=True)
class Delivery:
    """An attempt of a delivery, as the log shows it."""

    request_id: str | None
    message_id: str | None
    """Id of the SQS message, if there was one."""
    stream: str
    lines: list[_Told] = field(default_factory=list)

    @property
    def identity(self) -> tuple[str | None, ...]:
        """The identity of the delivery, the same for all of its lines."""
        return self.request_id, self.message_id, self.stream


def deliveries_of(name: ObjectName, events: Iterable[LogEvent]) -> list[Delivery]:
    """Return the deliveries of an object, in the order of their time.

    Args:
        name: The object.
        events: Events of the function's log, in the order of their time.
    """
    deliveries: list[Delivery] = []
    open_: dict[tuple[str | None, ...], Delivery] = {}
    for event in events:
        line = read_line(event.text)
        if line is None or (line.text("bucket"), line.text("key")) != name:
            continue
        told = _Told(line.time or event.time, line)
        delivery = Delivery(line.request_id, line.text("message_id"), event.stream)
        known = open_.get(delivery.identity)
        if known and told.time - known.lines[-1].time < _PAUSE:
            delivery = known
        else:
            deliveries.append(delivery)
            open_[delivery.identity] = delivery
        delivery.lines.append(told)
    return deliveries


@dataclass(slots=True)
class Comparison:
    """Compares lines of the log with what the function would do now.

    Args:
        now: What the function would do with an event, as `explain` prints it.
        entries: The current entries.
        versions: Earlier versions of entries.
    """

    now: Json
    entries: RealmEntries
    versions: EntryVersions

    def delivery(self, delivery: Delivery) -> Json:
        """Return a delivery as JSON, each line with what would happen now."""
        replays = (told.line.text("replay") for told in delivery.lines)
        return {
            "time": shown_time(delivery.lines[0].time),
            "request_id": delivery.request_id,
            "message_id": delivery.message_id,
            "replay": next(filter(None, replays), None),
            "lines": [self._line(told) for told in delivery.lines],
        }

    def _line(self, told: _Told) -> Json:
        return {
            "time": shown_time(told.time),
            "event": told.line.event,
            "level": told.line.level,
            **{name: told.line.text(name) for name in _FIELDS},
            "now": self._now(told.line),
        }

    def _now(self, line: LogLine) -> Json:
        """Return what would happen now to the subject of a line."""
        trigger_id, job_id = line.text("trigger_id"), line.text("job_id")
        if trigger_id is None:
            return {"outcome": self.now["outcome"], "reason": self.now.get("reason")} | _UNCHANGED
        entry = self.entries.triggers.by_id.get(trigger_id)
        outcome, reason = self._outcome(trigger_id, job_id, is_there=entry is not None)
        now: Json = {"outcome": outcome, "reason": reason} | _UNCHANGED
        if entry is not None:
            now["entry"] = entry_digest(entry.item)
            then = line.text("entry")
            if then and then != now["entry"]:
                now["differences"] = self.versions.differences(entry, then)
        return now

    def _outcome(
        self, trigger_id: str, job_id: str | None, *, is_there: bool
    ) -> tuple[str | None, str | None]:
        triggers = {trigger["trigger_id"]: trigger for trigger in self.now["triggers"]}
        trigger = triggers.get(trigger_id)
        if trigger is None:
            return None, _NOT_MATCHING if is_there else "there is no such entry any more"
        if job_id is None or trigger["reason"]:
            return trigger["outcome"], trigger["reason"]
        for job in trigger["jobs"]:
            if job["job_id"] == job_id:
                return job["outcome"], job["reason"]
        return None, "the trigger does not name the job any more"


_UNCHANGED: Final[Json] = {"entry": None, "differences": []}
_NOT_MATCHING: Final = (
    "the entry does not match the object any more: its bucket or prefix differs, or another"
    " entry hides it"
)


def is_dispatched(deliveries: Iterable[Delivery]) -> bool:
    """Return whether any of the deliveries dispatched something.

    A function that only observes dispatches nothing, although it logs dispatches.
    """
    return any(
        told.line.event == "dispatched" and told.line.text("mode") != "observe"
        for delivery in deliveries
        for told in delivery.lines
    )
