"""The command `tail`: reads the function's log, and writes the chosen lines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.deployed.log_group import FunctionLog
from lava_s3trigger.cli.deployed.log_line import read_failure, read_line
from lava_s3trigger.cli.deployed.log_text import log_line
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.sources import read_since_option
from lava_s3trigger.cli.output.streams import message, opened, write_json
from lava_s3trigger.cli.output.text import write_page
from lava_s3trigger.cli.output.times import shown_time

from .line_filter import LineFilter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from lava_s3trigger.cli.deployed.log_group import LogEvent
    from lava_s3trigger.cli.deployed.log_line import LogLine


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    since = read_since_option(options["since"], datetime.now(UTC))
    if options["follow"] and options["output"] not in {None, "-"}:
        raise CommandError(
            "--output writes a file when it is complete, which --follow never is: redirect"
            " standard output instead, as in > FILE",
            WRONG_USAGE,
        )
    lines = LineFilter(options["trigger"], options["job"], options["outcome"], options["key"])
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    deployed = find_function(aws, options["realm"], options["function"])
    if not deployed.logs_dispatches:
        message(f"{deployed.name} logs only warnings or errors: no dispatches and no skips")
    log = FunctionLog.of(aws, deployed.log_group)
    pages = (log.follow if options["follow"] else log.pages)(since, lines.pattern)
    with opened(options["output"]) as file:
        status = _write(file, pages, lines, options["format_"])
    if status == NO:
        such = "no lines" if lines.is_empty else "no such lines"
        message(f"{such} since {shown_time(since)}; --since 7d looks further back")
    return status


def _write(file: TextIO, pages: Iterable[list[LogEvent]], lines: LineFilter, format_: str) -> int:
    status = NO
    for page in pages:
        for event in page:
            chosen = _chosen(event, lines)
            if chosen is None:
                continue
            status = YES
            moment = chosen.time or event.time
            if format_ == "text":
                write_page(file, [log_line(moment, chosen)])
                continue
            document = {
                "time": shown_time(moment),
                "level": chosen.level,
                "event": chosen.event,
                "request_id": chosen.request_id,
                "log_stream": event.stream,
                "fields": chosen.fields,
            }
            write_json(file, document, indent=None)
        file.flush()
    return status


def _chosen(event: LogEvent, lines: LineFilter) -> LogLine | None:
    line = read_line(event.text)
    if line is None:
        return read_failure(event.text) if lines.is_empty else None
    return line if lines.chooses(line) else None
