"""The key column of this package's own manifests of S3 Batch Operations.

A manifest has a bucket and a key for each object, and S3 Batch Operations passes both to
the function. Conditions also test the size and the time of an object, so these manifests
have percent-encoded JSON in the key column, as AWS suggests for information by task. A job
with such a manifest has a user argument that says so; without it, any key is a plain key.
See docs/backfill.md. Replays write them: `cli.replay.manifest`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from .elements import optional_text, unreadable
from .errors import PayloadError
from .units import shown, utf8_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

USER_ARGUMENT: Final = ("manifest", "lava-s3trigger")
"""Name and value of the user argument of a job with such a manifest."""
MARK: Final = "lava-s3trigger"
VERSION: Final = 1
BEGIN: Final = f'{{"{MARK}":'


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedObject:
    """An object, with the fields that its event needs."""

    key: str
    size: int
    """Bytes."""
    last_modified: datetime
    """With a time zone."""
    etag: str | None = None
    """Without quotes."""
    version_id: str | None = None


def read_listed(key: str, user_arguments: Mapping[str, Any]) -> ListedObject | None:
    """Return the object that a key column describes; None if it is a plain key.

    Args:
        key: The key column, decoded.
        user_arguments: The user arguments of the job.

    Raises:
        PayloadError: It should describe an object, and cannot be read.
    """
    name, value = USER_ARGUMENT
    if user_arguments.get(name) != value or not key.startswith(BEGIN):
        return None
    try:
        listed = json.loads(key)
    except (ValueError, RecursionError):
        listed = None
    match listed:
        case {"lava-s3trigger": 1, "key": str(key), "size": int(size), "time": str(time)} if (
            size >= 0 and not isinstance(size, bool) and utf8_bytes(key)
        ):
            return ListedObject(
                key=key,
                size=size,
                last_modified=_time(time),
                etag=optional_text(listed.get("etag"), "etag"),
                version_id=optional_text(listed.get("version"), "version"),
            )
    raise PayloadError(f"the key column is {shown(key)}: not an object of a manifest, version 1")


def event_time(time: datetime) -> str:
    """Return a time as S3 writes it in events: in UTC, with milliseconds."""
    text = time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text}Z"


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise unreadable(text, "time", "it must be a time with a time zone")
