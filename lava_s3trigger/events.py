"""S3 events, read from the records of S3 and the events of EventBridge.

See docs/design.md#s3-events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from dateutil.parser import isoparse
from dateutil.tz import tzutc

from .elements import form_decoded, mapping, optional_text, size, text_of, unreadable

UTC: Final = tzutc()


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Event:
    """Something that happened to an object; the same for every route."""

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
    """Id of the replay that sent it; None for an event that is not replayed."""

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
        """What identifies this event, also when it is delivered again.

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


def from_s3(record: dict[str, Any], region: str, replay: str | None = None) -> S3Event:
    """Return the S3 event that a record of S3 describes.

    Args:
        record: The record, which has an object ``s3``.
        region: AWS region, for a record that names none.
        replay: Id of the replay that it is from, if it is.

    Raises:
        PayloadError: It cannot be understood.
    """
    s3 = record["s3"]
    s3_object = mapping(s3.get("object"))
    return S3Event(
        key=form_decoded(s3_object.get("key"), "s3.object.key"),
        bucket=text_of(mapping(s3.get("bucket")).get("name"), "s3.bucket.name"),
        size=size(s3_object.get("size"), "s3.object.size"),
        event_time=_time(record.get("eventTime"), "eventTime"),
        event_type=text_of(record.get("eventName"), "eventName"),
        source_ip=_address(mapping(record.get("requestParameters")).get("sourceIPAddress")),
        aws_region=optional_text(record.get("awsRegion"), "awsRegion") or region,
        record=record,
        replay=replay,
    )


def from_eventbridge(event: dict[str, Any], region: str, replay: str | None = None) -> S3Event:
    """Return the S3 event that an event of EventBridge describes.

    Args:
        event: The event, which has an object ``detail``.
        region: AWS region, for an event that names none.
        replay: Id of the replay that it is from, if it is.

    Raises:
        PayloadError: It cannot be understood.
    """
    detail = event["detail"]
    s3_object = mapping(detail.get("object"))
    kind = text_of(event["detail-type"], "detail-type")
    reason = optional_text(detail.get("reason"), "detail.reason")
    return S3Event(
        bucket=text_of(mapping(detail.get("bucket")).get("name"), "detail.bucket.name"),
        key=text_of(s3_object.get("key"), "detail.object.key"),
        size=size(s3_object.get("size"), "detail.object.size"),
        event_time=_time(event.get("time"), "time"),
        event_type="".join((f"{kind}:{reason}" if reason else kind).split()),
        source_ip=_address(detail.get("source-ip-address")),
        aws_region=optional_text(event.get("region"), "region") or region,
        record=event,
        replay=replay,
    )


def _time(value: Any, path: str) -> datetime:
    text = text_of(value, path)
    try:
        try:
            # Ten times as fast as isoparse; it reads the forms that AWS uses.
            time = datetime.fromisoformat(text)
        except ValueError:
            time = isoparse(text)
        return time.astimezone(UTC) if time.utcoffset() else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise unreadable(value, path, str(error)) from None


_MAX_ADDRESS_CHARACTERS: Final = 64


def _address(value: Any) -> IPv4Address | IPv6Address | None:
    # No address is longer, and the cache must not keep long texts.
    is_short = isinstance(value, str) and len(value) <= _MAX_ADDRESS_CHARACTERS
    return _parsed_address(value) if is_short else None


@lru_cache(256)  # few hosts make many requests
def _parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    # A host name (s3.amazonaws.com) means that an AWS service acted on the object.
    try:
        return ip_address(text)
    except ValueError:
        return None
