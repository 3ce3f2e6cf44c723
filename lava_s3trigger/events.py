"""Deliveries and S3 events, out of whatever Lambda is handed.

Every route wraps the same two shapes, the S3 notification record and the EventBridge
event, so one recursive rule unwraps them all: `_unwrap`. See docs/design.md#s3-events.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from dateutil.parser import isoparse
from dateutil.tz import tzutc

from .errors import MAX_REASON_CHARACTERS, PayloadError
from .log import log_event
from .parking import (
    REPLAY_MARK,
    RedriveTarget,
    begins_as_parked,
    is_parked_message,
    read_parked_message,
)
from .units import shown

if TYPE_CHECKING:
    from .errors import ObjectError

UTC: Final = tzutc()

# The deepest route (an invocation record of SNS in SQS, itself in SQS) takes 14.
_MAX_DEPTH: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Event:
    """One thing that happened to one object, the same whatever the route."""

    bucket: str
    key: str
    size: int
    """Bytes; 0 where the event carries none."""
    event_time: datetime
    event_type: str
    source_ip: IPv4Address | IPv6Address | None
    aws_region: str
    record: dict[str, Any]
    """The S3 or EventBridge record as it came."""
    replay: str | None = None
    """Id of the replay that it is from; None for an event that has just happened."""

    @property
    def info(self) -> dict[str, Any]:
        """The seven elements that templates know as ``info``."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "size": self.size,
            "event_time": self.event_time,
            "event_type": self.event_type,
            "source_ip": self.source_ip,
            "aws_region": self.aws_region,
        }

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this event from every other, also when it is delivered again.

        S3 gives most events a sequencer. Tag, ACL and restore events have none; their
        time, request id and version identify them.
        """
        try:
            if "s3" in self.record:
                s3_object = self.record["s3"]["object"]
                request_id = self.record.get("responseElements", {}).get("x-amz-request-id")
            else:
                s3_object = self.record["detail"]["object"]
                request_id = self.record["detail"].get("request-id")
            mark = s3_object.get("sequencer") or (
                f"{self.event_time.isoformat()} {request_id}"
                f" {s3_object.get('versionId') or s3_object.get('version-id')}"
            )
        except (AttributeError, KeyError, TypeError):  # elements of types that AWS never sends
            mark = self.event_time.isoformat()
        return (self.bucket, self.key, self.event_type, str(mark))


@dataclass(slots=True, kw_only=True)
class Delivery:
    """What AWS acknowledges as one: an SQS message, or else the whole invocation."""

    message_id: str | None = None
    route: str = "sqs"
    """The service that handed it over: sqs, s3, sns, eventbridge or s3_batch."""
    queue: str | None = None
    """Name of the SQS queue that it came from."""
    group: tuple[str, str] | None = None
    """Queue and message group, of a FIFO queue: these keep their order."""
    events: list[tuple[S3Event, RedriveTarget | None]] = field(default_factory=list)
    """Its S3 events, each with what a parked message asks for, where it was parked."""
    errors: list[PayloadError | ObjectError] = field(default_factory=list)
    """What in it cannot be understood, and never will be."""
    is_parked: bool = False
    """Whether it holds a parked message, also one that cannot be understood."""
    failures: list[str] = field(default_factory=list)
    """Why AWS must deliver it again."""
    failure_kinds: list[str] = field(default_factory=list)
    """What sort of failure each of these is: one of a small set, for the log."""

    def fail(self, reason: str, *, kind: str, event: str = "failed", **fields: Any) -> None:
        """Note and log that some of the delivery was not carried out."""
        self.failures.append(reason[:MAX_REASON_CHARACTERS])
        self.failure_kinds.append(kind)
        log_event(
            logging.ERROR, event, reason=reason, message_id=self.message_id, kind=kind, **fields
        )


def deliveries(payload: Any, region: str) -> list[Delivery]:
    """Take a payload apart, into deliveries and their S3 events.

    Args:
        payload: Whatever the function was invoked with.
        region: AWS region of the function, for events that name none.
    """
    found = []
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
            found.append(delivery)
        else:
            rest.append(record)
    if rest:
        found.append(Delivery(route=_route(rest[0])))
        for record in rest:
            _unwrap(found[-1], record, region, replay=replay)
    return found


def is_s3_batch(payload: Any) -> bool:
    """Tell whether a payload is of S3 Batch Operations; `s3batch` takes these apart."""
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
    """Return the service that hands over a record that is no SQS message."""
    if isinstance(record, dict):
        if "Sns" in record:
            return "sns"
        if _is_eventbridge(record):
            return "eventbridge"
    return "s3"


def _is_sqs_message(record: dict[str, Any]) -> bool:
    # A message without an id cannot be returned by itself: an empty itemIdentifier
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
                delivery.events.append((from_s3(value, region, replay), redrive))
                return
            if _is_eventbridge(value):
                delivery.events.append((_from_eventbridge(value, region, replay), redrive))
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
    """Return what an envelope holds."""
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


def from_s3(record: dict[str, Any], region: str, replay: str | None = None) -> S3Event:
    """Return the event of a record of S3.

    Args:
        record: The record, which has an object ``s3``.
        region: AWS region, for a record that names none.
        replay: Id of the replay that it is from, if it is.

    Raises:
        PayloadError: It cannot be understood.
    """
    s3 = record["s3"]
    s3_object = _object(s3.get("object"))
    return S3Event(
        key=_decoded(s3_object.get("key"), "s3.object.key"),
        bucket=_text(_object(s3.get("bucket")).get("name"), "s3.bucket.name"),
        size=_size(s3_object.get("size"), "s3.object.size"),
        event_time=_time(record.get("eventTime"), "eventTime"),
        event_type=_text(record.get("eventName"), "eventName"),
        source_ip=_address(_object(record.get("requestParameters")).get("sourceIPAddress")),
        aws_region=_optional_text(record.get("awsRegion"), "awsRegion") or region,
        record=record,
        replay=replay,
    )


def _from_eventbridge(event: dict[str, Any], region: str, replay: str | None) -> S3Event:
    detail = event["detail"]
    s3_object = _object(detail.get("object"))
    kind = _text(event["detail-type"], "detail-type")
    reason = _optional_text(detail.get("reason"), "detail.reason")
    return S3Event(
        bucket=_text(_object(detail.get("bucket")).get("name"), "detail.bucket.name"),
        key=_text(s3_object.get("key"), "detail.object.key"),
        size=_size(s3_object.get("size"), "detail.object.size"),
        event_time=_time(event.get("time"), "time"),
        event_type="".join((f"{kind}:{reason}" if reason else kind).split()),
        source_ip=_address(detail.get("source-ip-address")),
        aws_region=_optional_text(event.get("region"), "region") or region,
        record=event,
        replay=replay,
    )


# What reads an element takes its value, and its path for the error.


def _object(value: Any) -> dict[str, Any]:
    """Return an element that is an object, or an empty one."""
    return value if isinstance(value, dict) else {}


def _decoded(value: Any, path: str) -> str:
    # S3 form-encodes keys in notifications, once; EventBridge does not.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    text = _text(value, path)
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise _unreadable(value, path, "not form-encoded UTF-8") from None


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise _unreadable(value, path, "it must be a non-empty string")
    return value


def _optional_text(value: Any, path: str) -> str | None:
    # MinIO sends an empty region where none is configured.
    return None if value is None or value == "" else _text(value, path)


def _size(value: Any, path: str) -> int:
    if value is None:  # as in deletions, and where tags or an ACL changed
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _unreadable(value, path, "it must be a number of bytes")
    return value


def _time(value: Any, path: str) -> datetime:
    text = _text(value, path)
    try:
        try:
            # Ten times as fast as isoparse; it reads the forms that AWS uses.
            time = datetime.fromisoformat(text)
        except ValueError:
            time = isoparse(text)
        return time.astimezone(UTC) if time.utcoffset() else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise _unreadable(value, path, str(error)) from None


def _unreadable(value: Any, path: str, why: str) -> PayloadError:
    return PayloadError(f"{path} is {shown(value)}: {why}")


_MAX_ADDRESS_CHARACTERS: Final = 64


def _address(value: Any) -> IPv4Address | IPv6Address | None:
    # No address is longer, and the cache must not keep long text.
    is_short = isinstance(value, str) and len(value) <= _MAX_ADDRESS_CHARACTERS
    return _parsed_address(value) if is_short else None


@lru_cache(256)  # few hosts make many requests
def _parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    # It is a host name (s3.amazonaws.com) where an AWS service acted on the object.
    try:
        return ip_address(text)
    except ValueError:
        return None
