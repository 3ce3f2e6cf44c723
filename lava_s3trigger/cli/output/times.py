"""Times in ISO 8601, written and read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from lava_s3trigger.manifest import event_time

shown_time: Final = event_time
"""Writes a time in UTC, with milliseconds, as S3 and Lambda do."""


def read_time(text: str) -> datetime:
    """Read a time in ISO 8601; return it in UTC, which is also the default zone.

    Raises:
        ValueError: It is not a time in ISO 8601, or has no time in UTC.
    """
    time = datetime.fromisoformat(text)
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"{text} is not in the years 1 to 9999 of UTC") from None
