"""The JSON of `explain`: what the function would do with S3 events, and why."""

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
"""The reason of a dispatch to an unknown job."""
_OWN_TO_A_DISPATCH: Final = ("run_id", "ts_dispatch")
_ANY_TIME: Final = "1970-01-01T00:00:00+00:00"
_SURELY_SENT_BYTES: Final = 256 * 1024
_MAX_PREFIXES: Final = 5
"""How many prefixes of a bucket are listed if none of them matches the object."""


def _unasked(_: str) -> None:
    return None


@dataclass(slots=True)
class Explainer:
    """Explains decisions on events with the entries of a realm."""

    entries: RealmEntries
    has_queue: Callable[[str], bool | None] = _unasked
    """Whether there is a queue; None if that is not known."""

    def explanation(
        self, decision: Decision, changes: Iterable[Json] = (), connection: Json | None = None
    ) -> Json:
        """Return a decision as JSON.

        Args:
            decision: What the function would do.
            changes: Changes of entries after which it would dispatch, as JSON.
            connection: How the event reaches the function, as JSON; None if it was not judged.
        """
        event, last = decision.event, len(decision.prefixes) - 1
        triggers = [self._trigger(trigger) for trigger in decision.triggers]
        document: Json = {
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
            document["reason"] = decision.ended.reason
        elif not decision.entries:
            document["reason"] = self._unmatched(event.bucket)
        if decision.redrive:
            document["redrive"] = {
                "trigger_id": decision.redrive.trigger_id,
                "done": list(decision.redrive.done),
            }
        return document

    def _unmatched(self, bucket: str) -> str:
        """Return why no entry was found, with the prefixes that have entries."""
        known = sorted(self.entries.triggers.levels(bucket))
        if not known:
            return f"no trigger has the bucket {bucket}"
        listed = ", ".join(
            json.dumps(prefix, ensure_ascii=False) for prefix in known[:_MAX_PREFIXES]
        )
        more = f" and {len(known) - _MAX_PREFIXES:,} more" if len(known) > _MAX_PREFIXES else ""
        return (
            "no trigger of this bucket has one of these prefixes; there are triggers at"
            f" {listed}{more}"
        )

    def _trigger(self, decided: TriggerDecision) -> Json:
        entry = self.entries.triggers.by_id.get(decided.trigger_id)
        jobs = [self._job(job) for job in decided.jobs]
        return {
            "trigger_id": decided.trigger_id,
            "prefix": decided.prefix,
            "source": entry.source if entry else None,
            "outcome": decided.ended.outcome
            if decided.ended
            else most_notable(job["outcome"] for job in jobs),
            "reason": decided.ended.reason if decided.ended else None,
            "errors": _errors(decided.ended.errors if decided.ended else ()),
            "conditions": [
                {
                    "field": tested.condition.field,
                    "argument": tested.condition.argument,
                    "value": _plain(tested.value),
                    "holds": tested.holds,
                }
                for tested in decided.conditions
            ],
            "jobs": jobs,
        }

    def _job(self, job: JobDecision) -> Json:
        document: Json = {
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
                return document | {"outcome": pending.outcome, "reason": pending.reason}
            message = json.loads(pending.text)
            for name in _OWN_TO_A_DISPATCH:
                del message[name]
            document |= {
                "worker": job.dispatch.worker,
                "queue": pending.queue,
                "delay": pending.delay,
                "message": message,
            }
            if isinstance(self.entries.jobs, UnknownJobs):
                message["worker"] = document["worker"] = document["queue"] = None
                document["reason"] = JOB_UNKNOWN
                return document
            document["queue_exists"] = self.has_queue(pending.queue)
            if document["queue_exists"] is False:
                reason = f"no queue {pending.queue}"
                return document | {"outcome": "user_error", "reason": reason, "message": None}
        return document

    def document(self, events: list[Json], errors: list[str]) -> Json:
        """Return the whole JSON, without the version.

        Args:
            events: Explanations.
            errors: Errors of the parts of the payload that were not understood.
        """
        realm = self.entries.realm
        return {
            "realm": None if realm == UNKNOWN_REALM else realm,
            "events": events,
            "errors": errors,
        }


def pending_message(dispatch: Dispatch, realm: str) -> PendingMessage:
    """Return a dispatch as the function would send it, with the error if no queue accepts it."""
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
    """Return a value that a condition tested, as JSON allows it."""
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
