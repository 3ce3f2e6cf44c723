"""Takes any payload that Lambda passes apart, into deliveries and their S3 events.

Every route wraps the same two shapes, the S3 notification record and the EventBridge
event, so one recursive rule unwraps them all: `_unwrap`. See docs/design.md#s3-events.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .errors import MAX_REASON_CHARACTERS, PayloadError
from .events import from_eventbridge, from_s3
from .log import LOGGER, log_event
from .outcomes import Outcome
from .parking import REPLAY_MARK, begins_as_parked, is_parked_message, read_parked_message
from .sent import SentRecord, ledger_key
from .units import shown

if TYPE_CHECKING:
    from .decision import Decision
    from .dedup.protocol import Admission
    from .errors import ObjectError
    from .events import S3Event
    from .outcomes import OutcomeName
    from .parking import RedriveTarget
    from .sent import Key

# The deepest route (an invocation record of SNS in SQS, itself in SQS) takes 14.
_MAX_DEPTH: Final = 24

_LEVELS: Final[dict[OutcomeName, int]] = {
    "dispatched": logging.INFO,
    "user_error": logging.ERROR,
    "failed": logging.ERROR,
    "skipped": logging.INFO,
    "parked": logging.ERROR,
}
_SLOW_SECONDS: Final = 0.001
"""Triggers that take less to test and render are logged without a duration."""


@dataclass(slots=True, eq=False)
class DeliveredEvent:
    """An S3 event of a delivery, and its outcomes.

    It does not refer to its delivery: such a cycle would keep the payload in memory until
    Python collects garbage.
    """

    event: S3Event
    redrive: RedriveTarget | None = None
    """What a parked message asks for, where the event comes from one."""
    message_id: str | None = None
    """See `Delivery`."""
    route: str = "sqs"
    queue: str | None = None
    admission: Admission | None = None
    before: SentRecord | None = None
    """What earlier attempts carried out and this one has not used up."""
    decision: Decision | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    _key: Key | None = None

    @property
    def key(self) -> Key:
        """Its key in the ledger."""
        if self._key is None:
            self._key = ledger_key(self.event, self.redrive)
        return self._key

    def add(self, outcome: Outcome, level: int | None = None, **fields: Any) -> None:
        """Append an outcome and log it.

        Args:
            outcome: The outcome.
            level: Severity in the log; None for the usual one.
            fields: Further fields of the line in the log.
        """
        name, kind, reason, trigger_id, job_id, run_id, queue, _, errors = outcome
        if reason and len(reason) > MAX_REASON_CHARACTERS:
            outcome = outcome._replace(reason=reason[:MAX_REASON_CHARACTERS])
        self.outcomes.append(outcome)
        level = level or _LEVELS[name]
        if not LOGGER.isEnabledFor(level):
            return
        digest, duration = self._entry(trigger_id)
        event = self.event
        log_event(
            level,
            name,
            kind=kind,
            code=errors[0].code if errors else None,
            reason=reason,
            trigger_id=trigger_id,
            job_id=job_id,
            queue=queue,
            run_id=run_id,
            **fields,
            entry=digest,
            duration_ms=duration,
            message_id=self.message_id,
            bucket=event.bucket,
            key=event.key,
            replay=event.replay,
        )

    def _entry(self, trigger_id: str | None) -> tuple[str | None, int | None]:
        """Return the digest of a trigger's entry, and its milliseconds if it was slow."""
        trigger = self.decision.trigger(trigger_id) if self.decision and trigger_id else None
        if trigger is None or not trigger.digest:
            return None, None
        is_slow = trigger.seconds >= _SLOW_SECONDS
        return trigger.digest, round(trigger.seconds * 1000) if is_slow else None

    def fail(self, kind: str, reason: str) -> None:
        """Append a failure of the whole event."""
        self.add(Outcome("failed", kind, reason))

    @property
    def failures(self) -> list[Outcome]:
        """The outcomes for which AWS must deliver its delivery again."""
        return [outcome for outcome in self.outcomes if outcome.outcome == "failed"]

    @property
    def is_skipped(self) -> bool:
        """Whether all of it was skipped, as a duplicate or as completed by an earlier attempt."""
        return any(o.outcome == "skipped" and o.trigger_id is None for o in self.outcomes)

    def dispatched(self, trigger_id: str | None) -> list[str]:
        """Return the ids of a trigger's jobs that this or an earlier attempt dispatched."""
        own = [job for sent_id, job in self._jobs() if sent_id == trigger_id]
        return own + (self.before.rest(trigger_id) if self.before else [])

    def _jobs(self) -> list[tuple[str, str]]:
        return [(o.trigger_id or "", o.job_id or "") for o in self.outcomes if o.is_dispatched]

    @property
    def record(self) -> SentRecord:
        """The record of what a retry of the delivery skips."""
        if not self.outcomes:  # not carried out, such as behind a failure in a FIFO group
            return SentRecord()
        if self.is_skipped or not self.failures:
            return SentRecord(is_complete=True)
        parked = {o.trigger_id or "" for o in self.outcomes if o.is_parked}
        jobs = Counter(self._jobs())
        if self.before:
            parked |= self.before.parked
            jobs += self.before.jobs
        # The parked message of a trigger lists its dispatched jobs.
        kept = {job: count for job, count in jobs.items() if job[0] not in parked}
        return SentRecord(jobs=Counter(kept), parked=parked, replay=self.event.replay)

    def forget(self) -> None:
        """Free what nothing reads after the event was carried out: a large payload has many events.

        Where nothing failed, one outcome says that. The answer to S3 Batch Operations has all
        outcomes of a task.
        """
        self.decision = self.admission = None
        is_large = self.before or len(self.outcomes) > 1
        if is_large and self.route != "s3_batch" and not self.failures:
            self.before = None
            del self.outcomes[1:]


@dataclass(slots=True, kw_only=True)
class Delivery:
    """The unit that AWS acknowledges: an SQS message, or else the whole invocation."""

    message_id: str | None = None
    route: str = "sqs"
    """The service that invoked the function: sqs, s3, sns, eventbridge or s3_batch."""
    queue: str | None = None
    """Name of the SQS queue that it came from."""
    group: tuple[str, str] | None = None
    """Queue and message group, of a FIFO queue: these keep their order."""
    events: list[DeliveredEvent] = field(default_factory=list)
    errors: list[PayloadError | ObjectError] = field(default_factory=list)
    """Errors of parts that cannot be understood; a retry does not help."""
    outcomes: list[Outcome] = field(default_factory=list)
    """Failures of the delivery that concern none of its events."""
    is_parked: bool = False
    """Whether it holds a parked message, even one that cannot be understood."""

    def add_event(self, event: S3Event, redrive: RedriveTarget | None = None) -> None:
        """Append an S3 event, with the target if a parked message holds it."""
        self.events.append(DeliveredEvent(event, redrive, self.message_id, self.route, self.queue))

    def fail(self, kind: str, reason: str, event: str = "failed", **fields: Any) -> None:
        """Append a failure that concerns none of its events, and log it.

        Args:
            kind: The kind of failure: one of a small set.
            reason: Why it failed.
            event: The log's word for what happened.
            fields: Further fields of the line in the log.
        """
        self.outcomes.append(Outcome("failed", kind, reason[:MAX_REASON_CHARACTERS]))
        log_event(
            logging.ERROR, event, kind=kind, reason=reason, message_id=self.message_id, **fields
        )

    def fail_errors(self) -> None:
        """Append a failure for each of its errors."""
        for error in self.errors:
            self.fail(error.kind, str(error), error.event, **error.fields)

    @property
    def failures(self) -> list[Outcome]:
        """The outcomes for which AWS must deliver it again."""
        return [
            *self.outcomes,
            *(o for delivered in self.events for o in delivered.outcomes if o.outcome == "failed"),
        ]


def deliveries(payload: Any, region: str) -> list[Delivery]:
    """Take a payload apart, into deliveries and their S3 events.

    Args:
        payload: The payload of the invocation, of any kind.
        region: AWS region of the function, for events that name none.
    """
    result = []
    rest = []
    replay = _replay(payload) if isinstance(payload, dict) else None
    for record in _records(payload):
        if isinstance(record, dict) and _is_sqs_message(record):
            delivery = Delivery(
                message_id=record["messageId"],
                queue=_arn(record).rpartition(":")[2],
                group=_group(record),
            )
            _unwrap(delivery, record, region, replay=replay)
            result.append(delivery)
        else:
            rest.append(record)
    if rest:
        result.append(Delivery(route=_route(rest[0])))
        for record in rest:
            _unwrap(result[-1], record, region, replay=replay)
    return result


def is_s3_batch(payload: Any) -> bool:
    """Return whether a payload is of S3 Batch Operations; `s3batch` reads these."""
    return (
        isinstance(payload, dict)
        and "invocationSchemaVersion" in payload
        and isinstance(payload.get("tasks"), list)
    )


def _records(payload: Any) -> list[Any]:
    """Return the records of a payload: those of a service, or of a Pipe."""
    if isinstance(payload, dict) and isinstance(payload.get("Records"), list):
        return list(payload["Records"])
    return payload if isinstance(payload, list) else [payload]


def _route(record: Any) -> str:
    """Return the service that sent a record that is not an SQS message."""
    if isinstance(record, dict):
        if "Sns" in record:
            return "sns"
        if _is_eventbridge(record):
            return "eventbridge"
    return "s3"


def _is_sqs_message(record: dict[str, Any]) -> bool:
    # A message without an id cannot be returned separately: an empty itemIdentifier
    # makes Lambda return the whole batch to the queue.
    message_id = record.get("messageId")
    return (
        record.get("eventSource") == "aws:sqs" and isinstance(message_id, str) and message_id != ""
    )


def _arn(record: dict[str, Any]) -> str:
    arn = record.get("eventSourceARN")
    return arn if isinstance(arn, str) else ""


def _group(record: dict[str, Any]) -> tuple[str, str] | None:
    arn = _arn(record)
    if not arn.endswith(".fifo"):
        return None
    attributes = record.get("attributes")
    group = attributes.get("MessageGroupId") if isinstance(attributes, dict) else None
    return (arn, group if isinstance(group, str) else "")


def _unwrap(  # noqa: PLR0913, PLR0917 - the last three are what the envelopes so far say
    delivery: Delivery,
    value: Any,
    region: str,
    redrive: RedriveTarget | None = None,
    depth: int = 0,
    replay: str | None = None,
) -> None:
    """Add the S3 events inside a value to a delivery, and an error for each part not understood."""
    try:
        if depth > _MAX_DEPTH:
            raise PayloadError(f"nested more than {_MAX_DEPTH} envelopes deep")  # noqa: TRY301
        if isinstance(value, dict):
            if isinstance(value.get("s3"), dict):
                delivery.add_event(from_s3(value, region, replay), redrive)
                return
            if _is_eventbridge(value):
                delivery.add_event(from_eventbridge(value, region, replay), redrive)
                return
            replay = _replay(value) or replay
            delivery.is_parked |= "parked" in value
            if is_parked_message(value):
                redrive, event = read_parked_message(value)
                contents = [event]
            else:
                contents = _contents(value)
        elif isinstance(value, str):
            delivery.is_parked |= begins_as_parked(value)
            contents = [_parsed(value)]
        elif isinstance(value, list):
            contents = value
        else:
            raise PayloadError(  # noqa: TRY301
                f"{shown(value)} is neither an S3 event nor an envelope of one"
            )
    except PayloadError as error:
        delivery.errors.append(error)
        return
    for inner in contents:
        _unwrap(delivery, inner, region, redrive, depth + 1, replay)


def _is_eventbridge(value: dict[str, Any]) -> bool:
    # The source is not checked: hand-made test events cannot use `aws.s3`.
    detail = value.get("detail")
    return isinstance(detail, dict) and "detail-type" in value and "requestPayload" not in detail


# SNS for Lambda; SNS in SQS; SQS for Lambda; SQS as received; an on-failure destination,
# which an event bus wraps once more.
_ENVELOPES: Final = ("Sns", "Message", "body", "Body", "requestPayload", "detail")


def _contents(value: dict[str, Any]) -> list[Any]:
    """Return the payloads inside an envelope."""
    if "Records" in value:
        records = value["Records"]
        if not isinstance(records, list):
            raise PayloadError(f"Records is {shown(records)}: it must be a list")
        return records
    if value.get("Event") == "s3:TestEvent":
        return []
    if value.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        raise PayloadError(
            f"an SNS {value['Type']} of topic {shown(value.get('TopicArn'))}: the subscriber"
            " must confirm it, and it holds no S3 event"
        )
    for name in _ENVELOPES:
        if name in value:
            return [value[name]]
    names = ", ".join(map(shown, sorted(map(str, value))[:8]))
    raise PayloadError(f"neither an S3 event nor an envelope of one: an object with [{names}]")


MAX_REPLAY_CHARACTERS: Final = 64


def _replay(envelope: dict[str, Any]) -> str | None:
    """Return the id of the replay that an envelope is marked with, if it is."""
    if REPLAY_MARK in envelope:
        replay = envelope[REPLAY_MARK]
    else:
        attributes = envelope.get("messageAttributes")
        if not attributes or not isinstance(attributes, dict):
            return None
        attribute = attributes.get(REPLAY_MARK)
        replay = attribute.get("stringValue") if isinstance(attribute, dict) else None
    return replay[:MAX_REPLAY_CHARACTERS] if replay and isinstance(replay, str) else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise PayloadError(f"JSON nested too deeply: {shown(text)}") from None
    except ValueError as error:
        raise PayloadError(f"not JSON ({error}): {shown(text)}") from None
