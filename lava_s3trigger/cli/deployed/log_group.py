"""The function's log in CloudWatch Logs: its events since a time, and new ones."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lava_s3trigger.cli.errors import CommandError

from .aws import reaching_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .aws import Aws

POLL_SECONDS: Final = 2.0
"""Seconds between two reads of new events."""
RECENT: Final = timedelta(minutes=1)
"""How far back each read goes: instances write concurrently, in any order."""
LATE: Final = timedelta(minutes=15)
"""How far back every `LOOKS_FOR_LATE`-th read goes, for events that arrive late."""
LOOKS_FOR_LATE: Final = 10
_MAX_ATTEMPTS: Final = 10
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./=-]{1,1000}")


class LogEvent(NamedTuple):
    """An event of CloudWatch Logs: a line that the function or Lambda wrote."""

    id: str
    """Unique in the log group."""
    time: datetime
    """In UTC."""
    stream: str
    """Name of the log stream: each instance of the function has its own."""
    text: str


@dataclass(frozen=True, slots=True)
class FunctionLog:
    """The log group of a function."""

    client: Any
    """Client of CloudWatch Logs."""
    group: str
    """Name of the log group."""

    @classmethod
    def of(cls, aws: Aws, group: str) -> FunctionLog:
        """Return the log in a group; it retries calls that AWS throttles."""
        from botocore.config import Config  # noqa: PLC0415 - start-up

        retries: Any = {"mode": "standard", "total_max_attempts": _MAX_ATTEMPTS}
        return cls(aws.client("logs", Config(retries=retries)), group)

    def pages(self, start: datetime, pattern: str = "") -> Iterator[list[LogEvent]]:
        """Yield the events since a time, in pages; a page may be empty.

        Args:
            start: Time of the first event.
            pattern: A filter pattern of CloudWatch Logs; see `pattern_of`.

        Raises:
            CommandError: There is no such log group, or AWS refuses or cannot be reached.
        """
        request = {"logGroupName": self.group, "startTime": max(0, int(start.timestamp() * 1000))}
        if pattern:
            request["filterPattern"] = pattern
        with reaching_aws():
            try:
                for page in self.client.get_paginator("filter_log_events").paginate(**request):
                    yield [_event(event) for event in page["events"]]
            except self.client.exceptions.ResourceNotFoundException:
                raise CommandError(
                    f"there is no log group {self.group}: the function has not run yet, or its"
                    " role may not write it"
                ) from None

    def follow(
        self,
        start: datetime,
        pattern: str = "",
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Iterator[list[LogEvent]]:
        """Yield the events since a time, then new ones, without end; each event once.

        CloudWatch Logs sorts events by their time, and an event may arrive after later ones.
        So each read repeats the last minute, and some repeat the last `LATE`.

        Args:
            start: Time of the first event.
            pattern: A filter pattern of CloudWatch Logs.
            sleep: Waits for some seconds.
            now: Returns the time.

        Raises:
            CommandError: As in `pages`.
        """
        seen: dict[str, datetime] = {}
        newest = start
        for number in itertools.count():
            window = RECENT if number % LOOKS_FOR_LATE else LATE
            for page in self.pages(max(start, newest - window), pattern):
                fresh = [event for event in page if event.id not in seen]
                if fresh:
                    yield fresh
                seen.update((event.id, event.time) for event in fresh)
                # A clock that is ahead must not hide events that other instances write.
                newest = max([newest, *(min(event.time, now()) for event in fresh)])
                # Forget events that no later read returns again.
                seen = {event_id: when for event_id, when in seen.items() if when >= newest - LATE}
            sleep(POLL_SECONDS)


def pattern_of(*names: str) -> str:
    """Return a filter pattern, so that CloudWatch Logs sends only events with these names.

    It matches lines of both formats, and also some that are about something else. A name
    that the log has to escape is left out.
    """
    return " ".join(f'"{name}"' for name in names if _PLAIN.fullmatch(name))


def _event(event: Any) -> LogEvent:
    stream, text = event.get("logStreamName", ""), event.get("message", "")
    milliseconds = event.get("timestamp", 0)
    return LogEvent(
        # Servers other than AWS may leave the id out.
        event.get("eventId") or f"{milliseconds} {stream} {text}",
        datetime.fromtimestamp(milliseconds / 1000, UTC),
        stream,
        text,
    )
