"""S3 events, out of whatever Lambda is handed. See docs/design.md#routes.

Every route wraps the same two shapes, the S3 notification record and the
EventBridge event, so one recursive rule unwraps them all: `_unwrap`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote_plus

from dateutil.parser import isoparse
from dateutil.tz import tzutc

from .errors import PayloadError
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

UTC: Final = tzutc()

# The deepest route (an invocation record of SNS in SQS, itself in SQS) takes 14.
_SHORT: Final = 2048
_DEEPEST: Final = 24


@dataclass(frozen=True, slots=True)
class RedriveTarget:
    """What a parked message names: run this trigger, or this job of it, alone."""

    trigger_id: str
    job_id: str | None = None
    position: int | None = None


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
    only: RedriveTarget | None = None

    @property
    def is_short(self) -> bool:
        """Whether all that it tells is as short as on AWS, but for the record itself."""
        texts = (self.bucket, self.key, self.event_type, self.aws_region)
        return sum(map(len, texts)) <= _SHORT

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

        S3 gives most events a sequencer; tag, ACL and restore events have none,
        and are known by their time and request id.
        """
        try:
            if "s3" in self.record:
                thing = self.record["s3"]["object"]
                request = self.record.get("responseElements", {}).get("x-amz-request-id")
            else:
                thing = self.record["detail"]["object"]
                request = self.record["detail"].get("request-id")
            mark = thing.get("sequencer") or f"{self.event_time.isoformat()} {request}"
        except (AttributeError, KeyError, TypeError):  # elements that AWS never sends so
            mark = self.event_time.isoformat()
        return (self.bucket, self.key, self.event_type, str(mark))


@dataclass(slots=True, kw_only=True)
class Delivery:
    """What AWS acknowledges as one: an SQS message, or else the whole invocation."""

    message_id: str | None = None
    queue: str | None = None
    """Name of the SQS queue that it came from."""
    group: tuple[str, str] | None = None
    """Queue and message group, of a FIFO queue: these keep their order."""
    events: list[S3Event] = field(default_factory=list)
    errors: list[PayloadError] = field(default_factory=list)
    """What in it could not be understood."""


def deliveries(payload: Any, region: str) -> list[Delivery]:
    """Take what Lambda is handed apart, into deliveries and their S3 events.

    Args:
        payload: Whatever the function was invoked with.
        region: AWS region of the function, for events that name none.
    """
    found = []
    rest = []
    for record in _records(payload):
        if isinstance(record, dict) and _is_sqs_message(record):
            delivery = Delivery(
                message_id=record["messageId"],
                queue=_arn(record).rpartition(":")[2],
                group=_group(record),
            )
            _fill(delivery, record, region)
            found.append(delivery)
        else:
            rest.append(record)
    if rest:
        found.append(Delivery())
        for record in rest:
            _fill(found[-1], record, region)
    return found


def _records(payload: Any) -> list[Any]:
    """Give the records side by side in a payload: of a service, or of a Pipe."""
    if isinstance(payload, dict) and isinstance(payload.get("Records"), list):
        return list(payload["Records"])
    return payload if isinstance(payload, list) else [payload]


def _is_sqs_message(record: dict[str, Any]) -> bool:
    # Without an id, a message cannot be given back alone: an empty itemIdentifier
    # makes Lambda give back the whole batch.
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


def _fill(delivery: Delivery, record: Any, region: str) -> None:
    for found in _unwrap(record, region):
        if isinstance(found, S3Event):
            delivery.events.append(found)
        else:
            delivery.errors.append(found)


def _unwrap(
    value: Any, region: str, only: RedriveTarget | None = None, depth: int = 0
) -> Iterator[S3Event | PayloadError]:
    """Yield the S3 events inside of a value, and an error for each thing not understood."""
    try:
        if depth > _DEEPEST:
            raise PayloadError(f"wrapped more than {_DEEPEST} deep")  # noqa: TRY301 - the same for all
        if isinstance(value, dict) and isinstance(value.get("s3"), dict):
            yield _from_s3(value, region, only)
            return
        if isinstance(value, dict) and _is_eventbridge(value):
            yield _from_eventbridge(value, region, only)
            return
        only, inner = _opened(value, only)
    except PayloadError as error:
        yield error
        return
    for each in inner:
        yield from _unwrap(each, region, only, depth + 1)


def _is_eventbridge(value: dict[str, Any]) -> bool:
    # Not by its source: hand-made test events cannot use `aws.s3`.
    detail = value.get("detail")
    return isinstance(detail, dict) and "detail-type" in value and "requestPayload" not in detail


def _opened(value: Any, only: RedriveTarget | None) -> tuple[RedriveTarget | None, list[Any]]:
    """Give what an envelope holds."""
    if isinstance(value, str):
        return only, [_parsed(value)]
    if isinstance(value, list):
        return only, value
    if not isinstance(value, dict):
        raise PayloadError(f"{shown(value)} is neither an S3 event nor anything that holds one")
    if "Records" in value:
        return only, _listed(value["Records"])
    if value.get("Event") == "s3:TestEvent":
        return only, []
    if "parked" in value and "event" in value:
        return _only(value["parked"]), [value["event"]]
    if value.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        raise PayloadError(
            f"an SNS {value['Type']} of topic {shown(value.get('TopicArn'))}, which its"
            " subscriber must confirm; it is no S3 event"
        )
    # SNS for Lambda; SNS in SQS; SQS for Lambda; SQS as received; an on-failure
    # destination, which wraps it once more on its way through an event bus.
    for name in ("Sns", "Message", "body", "Body", "requestPayload", "detail"):
        if name in value:
            return only, [value[name]]
    names = ", ".join(map(shown, sorted(map(str, value))[:8]))
    raise PayloadError(f"neither an S3 event nor anything that holds one: an object with [{names}]")


def _listed(records: Any) -> list[Any]:
    if not isinstance(records, list):
        raise PayloadError(f"Records is {shown(records)}: it must be a list")
    return records


def _only(parked: Any) -> RedriveTarget:
    match parked:
        case {"trigger_id": str(trigger_id), "job_id": str(job_id), "position": int(position)}:
            return RedriveTarget(trigger_id, job_id, position)
        case {"trigger_id": str(trigger_id)}:
            return RedriveTarget(trigger_id)
    raise PayloadError(f"parked is {shown(parked)}: it must name a trigger_id")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise PayloadError(f"JSON that is nested too deeply: {shown(text)}") from None
    except ValueError as error:
        raise PayloadError(f"not JSON ({error}): {shown(text)}") from None


def _from_s3(record: dict[str, Any], region: str, only: RedriveTarget | None) -> S3Event:
    get = _Reader(record)
    s3 = get.record("s3")
    bucket, thing = get.record("bucket", s3), get.record("object", s3)
    request = get.record("requestParameters")
    return S3Event(
        key=get("key", _decoded, thing, "s3.object."),
        bucket=get("name", _text, bucket, "s3.bucket."),
        size=get("size", _size, thing, "s3.object."),
        event_time=get("eventTime", _time),
        event_type=get("eventName", _text),
        source_ip=get("sourceIPAddress", _address, request),
        aws_region=get("awsRegion", _optional_text) or region,
        record=record,
        only=only,
    )


def _from_eventbridge(event: dict[str, Any], region: str, only: RedriveTarget | None) -> S3Event:
    get = _Reader(event)
    detail = get.record("detail")
    bucket, thing = (get.record(name, detail) for name in ("bucket", "object"))
    kind, reason = get("detail-type", _text), get("reason", _optional_text, detail, "detail.")
    return S3Event(
        bucket=get("name", _text, bucket, "detail.bucket."),
        key=get("key", _text, thing, "detail.object."),
        size=get("size", _size, thing, "detail.object."),
        event_time=get("time", _time),
        event_type="".join((f"{kind}:{reason}" if reason else kind).split()),
        source_ip=get("source-ip-address", _address, detail),
        aws_region=get("region", _optional_text) or region,
        record=event,
        only=only,
    )


class _Reader:
    """Reads elements of a record, and names the one that it cannot read."""

    __slots__ = ("_record",)

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record

    def __call__(
        self,
        name: str,
        read: Callable[[Any], T],
        of: dict[str, Any] | None = None,
        path: str = "",
    ) -> T:
        value = (self._record if of is None else of).get(name)
        try:
            return read(value)
        except (ValueError, OverflowError) as error:
            raise PayloadError(f"{path}{name} is {shown(value)}: {error}") from None

    def record(self, name: str, of: dict[str, Any] | None = None) -> dict[str, Any]:
        """Give an element that holds others; an empty one where there is none."""
        value = (self._record if of is None else of).get(name)
        return value if isinstance(value, dict) else {}


def _decoded(value: Any) -> str:
    # S3 form-encodes keys in notifications, once; EventBridge does not.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    text = _text(value)
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("not form-encoded UTF-8") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("it must be a string that is not empty")
    return value


def _optional_text(value: Any) -> str | None:
    # MinIO sends an empty region where none is configured.
    return None if value is None or value == "" else _text(value)


def _size(value: Any) -> int:
    if value is None:  # as in deletions, and where tags or an ACL changed
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("it must be a number of bytes")
    return value


def _time(value: Any) -> datetime:
    text = _text(value)
    try:
        # Ten times as fast as isoparse, for the forms that AWS uses.
        time = datetime.fromisoformat(text)
    except ValueError:
        time = isoparse(text)
    return time.astimezone(UTC) if time.utcoffset() else time.replace(tzinfo=UTC)


_LONGEST_ADDRESS: Final = 64


def _address(value: Any) -> IPv4Address | IPv6Address | None:
    # Nothing longer is one, and long text is not to be remembered.
    is_short = isinstance(value, str) and len(value) <= _LONGEST_ADDRESS
    return _parsed_address(value) if is_short else None


@lru_cache(256)  # few hosts make many requests
def _parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    # A host name (s3.amazonaws.com) where a service acted on the object.
    try:
        return ip_address(text)
    except ValueError:
        return None
