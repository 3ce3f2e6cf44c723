"""Payloads as AWS makes them, for every route: one function for each envelope.

Random parts of a real payload (ids, signatures) are derived from its content, so that the same
events make the same payload. See events/README.md for the routes.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import UUID

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.times import shown_time

from .uri import CREATED, SERVICE, s3_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .event_types import EventType

Json = dict[str, Any]

ACCOUNT: Final = "123456789012"
_VERSION_ID: Final = "3HL4kqtJvjVBH40Nrjfkd.Example000"
_ABSENT_IN_S3: Final = {"size": "size", "etag": "eTag", "sequencer": "sequencer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvent:
    """Something that happened to an object."""

    bucket: str
    key: str
    type: EventType
    time: dt.datetime
    size: int = 1
    """Bytes."""
    etag: str | None = None
    """Without quotes; None means the ETag of an empty object."""
    source_ip: str | None = None
    """The source address. None means AWS itself, or an example address if a user acts."""
    region: str = "us-east-1"


def s3_notification(events: Sequence[ObjectEvent]) -> Json:
    """Return the message that S3 sends to a function, a queue or a topic."""
    return {"Records": [_record(event) for event in events]}


_EXAMPLE_ADDRESS: Final = "203.0.113.7"  # https://www.rfc-editor.org/rfc/rfc5737


def _source_ip(event: ObjectEvent) -> str | None:
    return None if event.type.is_by_service else event.source_ip or _EXAMPLE_ADDRESS


def _record(event: ObjectEvent) -> Json:
    kind = event.type
    record = s3_record(
        event.bucket,
        event.key,
        size=event.size,
        event_type=kind.name,
        time=event.time,
        source_ip=_source_ip(event),
        region=event.region,
        etag=event.etag,
    )
    record["eventVersion"] = kind.version
    if kind.is_by_service:
        record["userIdentity"] = {"principalId": SERVICE}
    s3_object = record["s3"]["object"]
    for name in kind.without:
        s3_object.pop(_ABSENT_IN_S3[name], None)
    if kind.is_new_version:
        s3_object["versionId"] = _VERSION_ID
    return {**record, **kind.data}


def eventbridge_event(event: ObjectEvent) -> Json:
    """Return the event that S3 sends to EventBridge, and EventBridge to its targets.

    Raises:
        CommandError: S3 sends EventBridge no such event.
    """
    kind = event.type
    if kind.detail_type is None:
        raise CommandError(
            f"S3 sends no {kind.name} to EventBridge: give --route s3, sns, sqs or sns-sqs",
            WRONG_USAGE,
        )
    record = _record(event)["s3"]["object"]
    s3_object: Json = {
        "key": event.key,
        "size": event.size,
        "etag": record.get("eTag") or event.etag or "",
    }
    if kind.is_new_version:
        s3_object["version-id"] = _VERSION_ID
    s3_object["sequencer"] = record.get("sequencer", "")[2:].lower()
    for name in kind.without_in_eventbridge:
        s3_object.pop(name)
    is_by_service = kind.is_by_service or kind.is_by_service_in_eventbridge
    detail: Json = {
        "version": "0",
        "bucket": {"name": event.bucket},
        "object": s3_object,
        "request-id": "EXAMPLE123456789",
        "requester": SERVICE if is_by_service else ACCOUNT,
    }
    if not is_by_service:
        detail["source-ip-address"] = _source_ip(event)
    if kind.reason:
        detail["reason"] = kind.reason
    return {
        "version": "0",
        "id": _uuid("eventbridge", event.bucket, event.key, event.time.isoformat()),
        "detail-type": kind.detail_type,
        "source": "aws.s3",
        "account": ACCOUNT,
        "time": f"{event.time.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": event.region,
        "resources": [f"arn:aws:s3:::{event.bucket}"],
        "detail": {**detail, **kind.detail},
    }


# Envelopes. Each takes the texts of messages, and their events for time and region.


def sns_invocation(messages: Sequence[str], events: Sequence[ObjectEvent]) -> Json:
    """Return the payload with which SNS invokes a function, for notifications of S3."""
    records = []
    for message, event in zip(messages, events, strict=True):
        notification = _notification(message, event)
        for name in ("SigningCert", "Unsubscribe"):  # SNS spells this differently in other places
            notification[f"{name}Url"] = notification.pop(f"{name}URL")
        records.append(
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": _subscription(event),
                "Sns": {**notification, "MessageAttributes": {}},
            }
        )
    return {"Records": records}


def sns_notification(message: str, event: ObjectEvent) -> str:
    """Return the text that SNS sends to a queue, without raw message delivery."""
    return json.dumps(_notification(message, event), indent=2)


def _notification(message: str, event: ObjectEvent) -> Json:
    host = f"https://sns.{event.region}.amazonaws.com"
    return {
        "Type": "Notification",
        "MessageId": _uuid("sns", message),
        "TopicArn": _topic(event),
        "Subject": "Amazon S3 Notification",
        "Message": message,
        "Timestamp": shown_time(event.time),
        "SignatureVersion": "1",
        "Signature": _noise("signature", message),
        "SigningCertURL": f"{host}/SimpleNotificationService-example.pem",
        "UnsubscribeURL": f"{host}/?Action=Unsubscribe&SubscriptionArn={_subscription(event)}",
    }


def _topic(event: ObjectEvent) -> str:
    return f"arn:aws:sns:{event.region}:{ACCOUNT}:my-topic"


def _subscription(event: ObjectEvent) -> str:
    return f"{_topic(event)}:{_uuid('subscription')}"


def sqs_records(bodies: Iterable[str], events: Sequence[ObjectEvent]) -> list[Json]:
    """Return the records of messages of a queue, as an event source mapping makes them."""
    records = []
    for number, (body, event) in enumerate(zip(bodies, events, strict=True)):
        sent = int(event.time.timestamp() * 1000) + 700
        records.append(
            {
                "messageId": _uuid("sqs", str(number), body),
                "receiptHandle": _noise("receipt", str(number), body),
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": str(sent),
                    "SenderId": "AIDAEXAMPLESENDER001",
                    "ApproximateFirstReceiveTimestamp": str(sent + 12),
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{event.region}:{ACCOUNT}:my-queue",
                "awsRegion": event.region,
            }
        )
    return records


def s3_batch(events: Sequence[ObjectEvent], version: str) -> Json:
    """Return the payload with which S3 Batch Operations invokes a function, for a plain manifest.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html

    Args:
        events: Events whose objects are the tasks. A type other than ``ObjectCreated:Put``
            is in the user arguments, which version 1.0 does not have.
        version: Version of the format, ``1.0`` or ``2.0``.
    """
    is_old = version == "1.0"
    names = {event.type.name for event in events}
    if is_old and names != {CREATED}:
        raise CommandError(
            "S3 Batch Operations passes an event type only in version 2.0: leave out"
            " --schema-version",
            WRONG_USAGE,
        )
    job: Json = {"id": _uuid("job", *(event.key for event in events))}
    if not is_old:
        job["userArguments"] = {} if names == {CREATED} else {"event_type": names.pop()}
    return {
        "invocationSchemaVersion": version,
        "invocationId": _noise("invocation", job["id"]),
        "job": job,
        "tasks": [
            {
                "taskId": _noise("task", str(number), event.bucket, event.key)[:64],
                "s3Key": quote(event.key),
                "s3VersionId": None,
                **(
                    {"s3BucketArn": f"arn:aws:s3:::{event.bucket}"}
                    if is_old
                    else {"s3Bucket": event.bucket}
                ),
            }
            for number, event in enumerate(events)
        ],
    }


# Routes: the payload that each passes to the function.


def _texts(events: Sequence[ObjectEvent]) -> list[str]:
    """Return a notification of S3 for each event."""
    return [_text(s3_notification([event])) for event in events]


def _text(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _sqs(bodies: Iterable[str], events: Sequence[ObjectEvent]) -> Json:
    return {"Records": sqs_records(bodies, events)}


def _eventbridge(events: Sequence[ObjectEvent]) -> Json:
    if len(events) != 1:
        raise CommandError(
            "EventBridge invokes a function with one event: leave out --count, or give"
            " --route eventbridge-sqs",
            WRONG_USAGE,
        )
    return eventbridge_event(events[0])


ROUTES: Final[dict[str, Callable[[Sequence[ObjectEvent]], Any]]] = {
    "s3": s3_notification,
    "sns": lambda events: sns_invocation(_texts(events), events),
    "sqs": lambda events: _sqs(_texts(events), events),
    "sns-sqs": lambda events: _sqs(map(sns_notification, _texts(events), events), events),
    "eventbridge": _eventbridge,
    "eventbridge-sqs": lambda events: _sqs(
        (_text(eventbridge_event(event)) for event in events), events
    ),
    "pipes": lambda events: sqs_records(_texts(events), events),
    "s3-batch": lambda events: s3_batch(events, "2.0"),
}
"""Functions that make the payload of each route."""


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _uuid(*parts: str) -> str:
    return str(UUID(bytes=_digest(*parts)[:16], version=4))


def _noise(*parts: str) -> str:
    """Return text that looks like an opaque value of AWS."""
    return base64.b64encode(_digest(*parts) + _digest(*parts, "more")).decode()
