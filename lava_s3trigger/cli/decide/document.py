"""What the function would do with S3 events, and why, as the JSON that `explain` prints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.entries.memory import UnknownJobs
from lava_s3trigger.cli.entries.source import UNKNOWN_REALM
from lava_s3trigger.dispatch import PendingMessage
from lava_s3trigger.outcomes import most_notable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.decision import Decision, JobDecision, TriggerDecision
    from lava_s3trigger.dispatch import Dispatch
    from lava_s3trigger.errors import EntryError

    Json = dict[str, Any]

JOB_UNKNOWN: Final = "job not checked; assumed to exist and be enabled"
"""Reason of a dispatch to a job of which nothing is known."""
_OWN_TO_A_DISPATCH: Final = ("run_id", "ts_dispatch")
_ANY_TIME: Final = "1970-01-01T00:00:00+00:00"
_SURELY_SENT_BYTES: Final = 256 * 1024
_MAX_PREFIXES: Final = 5
"""How many prefixes of a bucket are named where none is one of the object's."""


def _unasked(_: str) -> None:
    return None


@dataclass(slots=True)
class Explainer:
    """Explains decisions that were made with the entries of a realm."""

    entries: RealmEntries
    has_queue: Callable[[str], bool | None] = _unasked
    """Whether there is a queue; None if that is not known."""

    def explanation(
        self, decision: Decision, changes: Iterable[Json] = (), connection: Json | None = None
    ) -> Json:
        """Return a decision as JSON.

        Args:
            decision: What the function would do.
            changes: Changes of entries with which it would dispatch, as JSON.
            connection: How the event reaches the function, as JSON; None if it was not judged.
        """
        event, last = decision.event, len(decision.prefixes) - 1
        triggers = [self._trigger(found) for found in decision.triggers]
        made: Json = {
            "bucket": event.bucket,
            "key": event.key,
            "size": event.size,
            "event_time": event.event_time.isoformat(),
            "event_type": event.event_type,
            "source_ip": str(event.source_ip) if event.source_ip else None,
            "aws_region": event.aws_region,
            "outcome": decision.ended.outcome
            if decision.ended
            else most_notable(trigger["outcome"] for trigger in triggers),
            "prefixes": [
                {"prefix": prefix, "entries": decision.entries if number == last else 0}
                for number, prefix in enumerate(decision.prefixes)
            ],
            "triggers": triggers,
            "changes": list(changes),
            "connection": connection,
        }
        if decision.ended:
            made["reason"] = decision.ended.reason
        elif not decision.entries:
            made["reason"] = self._unmatched(event.bucket)
        if decision.redrive:
            made["redrive"] = {
                "trigger_id": decision.redrive.trigger_id,
                "done": list(decision.redrive.done),
            }
        return made

    def _unmatched(self, bucket: str) -> str:
        """Return why no entry was found, with the prefixes at which there are entries."""
        known = sorted(self.entries.triggers.levels(bucket))
        if not known:
            return f"no trigger has the bucket {bucket}"
        listed = ", ".join(json.dumps(each, ensure_ascii=False) for each in known[:_MAX_PREFIXES])
        more = f" and {len(known) - _MAX_PREFIXES:,} more" if len(known) > _MAX_PREFIXES else ""
        return (
            "no trigger of this bucket has one of these prefixes; there are triggers at"
            f" {listed}{more}"
        )

    def _trigger(self, found: TriggerDecision) -> Json:
        entry = self.entries.triggers.by_id.get(found.trigger_id)
        jobs = [self._job(job) for job in found.jobs]
        return {
            "trigger_id": found.trigger_id,
            "prefix": found.prefix,
            "source": entry.source if entry else None,
            "outcome": found.ended.outcome
            if found.ended
            else most_notable(job["outcome"] for job in jobs),
            "reason": found.ended.reason if found.ended else None,
            "errors": _errors(found.ended.errors if found.ended else ()),
            "conditions": [
                {
                    "field": tested.condition.field,
                    "argument": tested.condition.argument,
                    "value": _plain(tested.value),
                    "holds": tested.holds,
                }
                for tested in found.conditions
            ],
            "jobs": jobs,
        }

    def _job(self, job: JobDecision) -> Json:
        made: Json = {
            "job_id": job.job_id,
            "position": job.position,
            "outcome": job.outcome,
            "reason": job.reason,
            "errors": _errors(job.errors),
            "worker": None,
            "queue": None,
            "queue_exists": None,
            "delay": None,
            "message": None,
        }
        if job.dispatch:
            pending = pending_message(job.dispatch, self.entries.realm)
            if pending.outcome == "user_error":
                return made | {"outcome": pending.outcome, "reason": pending.reason}
            message = json.loads(pending.text)
            for name in _OWN_TO_A_DISPATCH:
                del message[name]
            made |= {
                "worker": job.dispatch.worker,
                "queue": pending.queue,
                "delay": pending.delay,
                "message": message,
            }
            if isinstance(self.entries.jobs, UnknownJobs):
                message["worker"] = made["worker"] = made["queue"] = None
                made["reason"] = JOB_UNKNOWN
                return made
            made["queue_exists"] = self.has_queue(pending.queue)
            if made["queue_exists"] is False:
                reason = f"no queue {pending.queue}"
                return made | {"outcome": "user_error", "reason": reason, "message": None}
        return made

    def document(self, events: list[Json], errors: list[str]) -> Json:
        """Return the whole JSON, but for its version.

        Args:
            events: Explanations.
            errors: What of the payload was not understood.
        """
        realm = self.entries.realm
        return {
            "realm": None if realm == UNKNOWN_REALM else realm,
            "events": events,
            "errors": errors,
        }


def pending_message(dispatch: Dispatch, realm: str) -> PendingMessage:
    """Return a dispatch as the function would send it; a message that no queue takes says so."""
    pending = PendingMessage(
        dispatch.queue(realm),
        lambda run_id: dispatch.message(realm, run_id, _ANY_TIME),
        dispatch.delay,
    )
    if len(pending.text) > _SURELY_SENT_BYTES:
        from lava_s3trigger.aws.sqs import refuse_too_large  # noqa: PLC0415 - start-up

        refuse_too_large(pending)
    return pending


def _errors(errors: Iterable[EntryError]) -> list[Json]:
    return [
        {"code": error.code, "field": error.field, "message": error.message} for error in errors
    ]


def _plain(value: Any) -> Any:
    """Return a value that a condition saw, as JSON can hold it."""
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
