"""A log of a function, for the tests of the commands that read it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lava_s3trigger.cli.output.times import shown_time
from tools.local.server import LocalAws

from .cannedaws import Answer, CannedAws, Request, answer, operation

TIME: Final = datetime(2026, 3, 14, 1, 59, 26, 500000, tzinfo=UTC)
REQUEST: Final = "1c0f9f4e-2f0b-4d0e-9d0e-6a6c3c1f8a52"


def line(event: str, at: datetime = TIME, request_id: str = REQUEST, **fields: Any) -> str:
    """Return a line of the function's log in Lambda's JSON format."""
    head = {"timestamp": shown_time(at), "level": "INFO", "requestId": request_id}
    return json.dumps({**head, "event": event, **fields})


def text_line(event: str, at: datetime = TIME, request_id: str = REQUEST, **fields: Any) -> str:
    """Return a line of the function's log in Lambda's text format."""
    return f"[INFO]\t{shown_time(at)}\t{request_id}\t{event} {json.dumps(fields)}\n"


@dataclass
class OldLog:
    """A log group that was made a day ago, on a canned endpoint: a local server makes it now."""

    canned: CannedAws
    group: str
    lines: list[tuple[datetime, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.canned.handlers["POST", "^/$"] = self._answer

    def write(self, *texts: str, at: datetime = TIME) -> None:
        self.lines += [(at, text) for text in texts]

    def _answer(self, request: Request) -> Answer:
        asked: dict[str, Any] = request.json()
        if operation(request) == "DescribeLogGroups":
            made = datetime.now(UTC) - timedelta(days=1)
            group = {"logGroupName": self.group, "creationTime": int(made.timestamp() * 1000)}
            return answer({"logGroups": [group]})
        events = [
            {"eventId": f"{number}", "logStreamName": "one", "timestamp": time, "message": text}
            for number, (at, text) in enumerate(self.lines)
            if (time := int(at.timestamp() * 1000)) >= asked.get("startTime", 0)
        ]
        return answer({"events": events})


@dataclass
class Log:
    """The log group of a function, on the local AWS server."""

    aws: LocalAws
    group: str
    _streams: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.aws.client("logs").create_log_group(logGroupName=self.group)

    def write(self, *texts: str, at: datetime = TIME, stream: str = "one") -> None:
        client = self.aws.client("logs")
        if stream not in self._streams:
            client.create_log_stream(logGroupName=self.group, logStreamName=stream)
            self._streams.add(stream)
        milliseconds = int(at.timestamp() * 1000)
        events = [{"timestamp": milliseconds, "message": each} for each in texts]
        client.put_log_events(logGroupName=self.group, logStreamName=stream, logEvents=events)
