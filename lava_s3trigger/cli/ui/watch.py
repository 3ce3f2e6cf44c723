"""What waits in the dead-letter queues, and what happened in the last hour; read when asked."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.dead_letters.listing import Listing, Reading
from lava_s3trigger.cli.deployed.dead_letter_queues import (
    DeadLetterQueue,
    MissingQueueError,
    dead_letter_queue_names,
)
from lava_s3trigger.cli.deployed.log_group import FunctionLog
from lava_s3trigger.cli.deployed.log_line import OUTCOMES, read_failure, read_line
from lava_s3trigger.cli.output.times import shown_time

if TYPE_CHECKING:
    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.deployed.log_group import LogEvent

    Json = dict[str, Any]

MAX_LINES: Final = 500
"""Lines of the log that are shown, the newest."""
_RECENT: Final = timedelta(hours=1)
_FIELDS: Final = ("bucket", "key", "trigger_id", "job_id", "queue", "reason")


@dataclass(frozen=True)
class Watch:
    """Looks at the deployed function of the realm."""

    aws: Aws
    deployed: DeployedFunction

    def parked(self) -> Json:
        """Return the messages of the dead-letter queues, as `dead-letters` does.

        They are hidden from a redrive while they are read, and released at the end.
        """
        sqs = self.aws.client("sqs")
        readings = []
        with ExitStack() as stack:
            for name in dead_letter_queue_names(self.deployed).values():
                try:
                    reading = Reading(DeadLetterQueue(sqs, name, self.deployed.region))
                except MissingQueueError:  # a stack need not have an intake
                    continue
                stack.callback(reading.queue.release, reading.chosen)
                reading.chosen.extend(reading.queue.read())
                reading.note_hidden(datetime.now(UTC))
                readings.append(reading)
        return Listing(self.deployed.realm, readings, lambda _: None, {}).document()

    def recent(self) -> Json:
        """Return what the log says of the last hour, the newest first."""
        since = datetime.now(UTC) - _RECENT
        log = FunctionLog.of(self.aws, self.deployed.log_group)
        lines = [
            line
            for page in log.pages(since)
            for event in page
            if (line := _line(event)) is not None
        ]
        return {
            "since": shown_time(since),
            "logs_dispatches": self.deployed.logs_dispatches,
            "lines": lines[: -MAX_LINES - 1 : -1],
            "more": max(0, len(lines) - MAX_LINES),
        }


def _line(event: LogEvent) -> Json | None:
    line = read_line(event.text) or read_failure(event.text)
    if line is None or (line.event not in OUTCOMES and line.level != "ERROR"):
        return None
    fields = {name: line.text(name) for name in _FIELDS}
    return {"time": shown_time(line.time or event.time), "event": line.event, **fields}
