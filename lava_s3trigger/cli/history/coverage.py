"""What the function's log lacks about an object, due to its level, its beginning, and its delay."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.times import shown_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.function import DeployedFunction

UNDER_WAY: Final = (
    "what is under way: asynchronous invocations that wait in Lambda, and lines that CloudWatch"
    " Logs has not received yet"
)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_DEBUG_LEVELS: Final = frozenset(["TRACE", "DEBUG"])


def gaps(
    deployed: DeployedFunction, client: Any, since: datetime, oldest: datetime | None
) -> Iterator[str]:
    """Yield descriptions of what the log does not have.

    Args:
        deployed: The function, with its current log level.
        client: Client of CloudWatch Logs.
        since: Time from which the log was read.
        oldest: Time of the oldest line that was found, if any.
    """
    if not deployed.logs_dispatches:
        yield "dispatches and skips: the function logs only warnings or errors (LogLevel)"
    if not _logs_unmatched(deployed):
        yield "events that no entry matches: the function logs them only at LogLevel=debug"
    try:
        begin = _begin(deployed.log_group, client)
    except CommandError as error:
        yield f"how far back the log reaches: {error}"
    else:
        if begin and since < begin < (oldest or _NEVER):
            yield f"the time before {shown_time(begin)}, when the log begins"


def _logs_unmatched(deployed: DeployedFunction) -> bool:
    # Lambda filters by level only in the JSON format.
    level = deployed.configuration.get("LoggingConfig", {}).get("ApplicationLogLevel", "DEBUG")
    return deployed.settings.log_level <= logging.DEBUG and level in _DEBUG_LEVELS


def _begin(group: str, client: Any) -> datetime | None:
    """Return the time before which a log group has no events; None if there is no such group."""
    with reaching_aws():
        pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group)
        description = next(
            (
                description
                for page in pages
                for description in page["logGroups"]
                if description["logGroupName"] == group
            ),
            None,
        )
    if description is None:
        return None
    begin = datetime.fromtimestamp(description.get("creationTime", 0) / 1000, UTC)
    days = description.get("retentionInDays")
    return max(begin, datetime.now(UTC) - timedelta(days=days)) if days else begin
