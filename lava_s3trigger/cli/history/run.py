"""The command `history`: reads log and dead letters, decides again, and writes the result."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.decide.decider import decide_payload
from lava_s3trigger.cli.decide.document import Explainer
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.deployed.log_group import FunctionLog, pattern_of
from lava_s3trigger.cli.deployed.realm import Deployment, UnreadableError
from lava_s3trigger.cli.entries.load import load_sound
from lava_s3trigger.cli.entries.source import read_entries
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, YES, CommandError
from lava_s3trigger.cli.objects.options import ObjectOptions, record_of_object
from lava_s3trigger.cli.objects.sources import read_since_option
from lava_s3trigger.cli.objects.uri import read_uri
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.streams import opened, write_json
from lava_s3trigger.cli.output.text import write_page
from lava_s3trigger.cli.output.times import shown_time
from lava_s3trigger.cli.routes.connection import Connection, connection_of

from .coverage import UNDER_WAY, gaps
from .deliveries import Comparison, deliveries_of, is_dispatched
from .text import history_lines
from .versions import EntryVersions
from .waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.deployed.log_group import LogEvent
    from lava_s3trigger.cli.objects.uri import ObjectName

    from .deliveries import Delivery


def run(
    *,
    uri: str,
    size: int | None,
    event_type: str | None,
    time: datetime | None,
    source_ip: str | None,
    **options: Any,
) -> int:
    """Run the command, and return its exit status."""
    name = read_uri(uri)
    since = read_since_option(options["since"], datetime.now(UTC))
    versions = EntryVersions(load_sound(options["versions"]).of("trigger"))
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    deployed = find_function(aws, options["realm"], options["function"])
    log = FunctionLog.of(aws, deployed.log_group)
    deliveries, unseen = _logged(name, since, deployed, log)
    is_log_read = not unseen
    waiting = Waiting()
    waiting.look(name, aws.client("sqs"), deployed)
    waiting.note_other_queues(aws.client("lambda"), deployed)
    if is_log_read:
        oldest = deliveries[0].lines[0].time if deliveries else None
        unseen += gaps(deployed, log.client, since, oldest)
    entries = read_entries((), (), deployed.realm, aws, deployed.settings.max_delay)
    about = ObjectOptions(size, event_type, time, source_ip)
    record = record_of_object(name, about, aws, asks_s3=True)
    deployment = Deployment(aws, deployed.realm, deployed.name)
    connection = Connection()
    is_connection_read = not deliveries and not waiting.letters
    if is_connection_read:
        connection = connection_of(deployment, record)
    payload = connection.payload(record)
    decided = decide_payload(payload, entries.triggers, entries.jobs, deployed.region)
    shown = connection.json() if is_connection_read else None

    def has_queue(queue: str) -> bool | None:
        try:
            return deployment.has_queue(queue)
        except UnreadableError as error:
            unseen.append(f"whether there is the queue {queue}: AWS refused {error.action}")
            return None

    now = Explainer(entries, has_queue).explanation(decided.decisions[0], connection=shown)
    comparison = Comparison(now, entries, versions)
    document = {
        "realm": deployed.realm,
        "function": deployed.name,
        "bucket": name.bucket,
        "key": name.key,
        "since": shown_time(since),
        "log_read": is_log_read,
        "deliveries": [comparison.delivery(delivery) for delivery in deliveries],
        "waiting": waiting.json(),
        "not_looked_at": [*unseen, *waiting.unseen, UNDER_WAY],
        "now": now,
    }
    with opened(options["output"]) as file:
        if options["format_"] == "json":
            write_json(file, document)
        else:
            write_page(file, history_lines(document))
    if is_dispatched(deliveries):
        return YES
    return NO if is_log_read and deployed.logs_dispatches else COULD_NOT_TELL


def _logged(
    name: ObjectName, since: datetime, deployed: DeployedFunction, log: FunctionLog
) -> tuple[list[Delivery], list[str]]:
    """Return the deliveries of an object in the log, and why the log could not be read, if so."""
    try:
        return deliveries_of(name, _events(name, since, log)), []
    except CommandError as error:
        if error.status != COULD_NOT_TELL:
            raise
        return [], [f"the log of {deployed.name}: {error}"]


def _events(name: ObjectName, since: datetime, log: FunctionLog) -> Iterator[LogEvent]:
    """Yield the events of the log that may be about an object, with progress."""
    with Progress("pages of the log read", after=2.0) as progress:
        for page in log.pages(since, pattern_of(*name)):
            progress.advance(1)
            yield from page
