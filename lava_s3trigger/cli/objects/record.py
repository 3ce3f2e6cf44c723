"""An object that a source names, and the event that S3 would send for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lava_s3trigger.deliveries import deliveries

from .event_types import leaves_out
from .uri import CREATED, s3_record

if TYPE_CHECKING:
    from datetime import datetime

    from lava_s3trigger.events import S3Event


class S3Object(NamedTuple):
    """An object, and the kind of event to decide on."""

    bucket: str
    key: str
    """As it is in S3, not encoded."""
    size: int
    """Bytes."""
    time: datetime
    """When it was last modified, in UTC."""
    event_type: str = CREATED

    def record(self, region: str) -> dict[str, Any]:
        """Return the record that S3 would send for the event.

        Args:
            region: AWS region of the bucket.
        """
        return s3_record(
            self.bucket,
            self.key,
            size=None if leaves_out(self.event_type, "size") else self.size,
            event_type=self.event_type,
            time=self.time,
            region=region,
        )

    def event(self, region: str) -> S3Event:
        """Return the event that the function would read from S3's record.

        Args:
            region: AWS region of the bucket.
        """
        [delivery] = deliveries({"Records": [self.record(region)]}, region)
        [delivered] = delivery.events
        return delivered.event


class Assumed(NamedTuple):
    """Values of objects for which their source has none."""

    time: datetime
    size: int = 1
    """Bytes."""
    event_type: str = CREATED

    def s3_object(
        self, bucket: str, key: str, size: int | None = None, time: datetime | None = None
    ) -> S3Object:
        """Return an object; None stands for an unknown value."""
        return S3Object(
            bucket,
            key,
            self.size if size is None else size,
            self.time if time is None else time,
            self.event_type,
        )
