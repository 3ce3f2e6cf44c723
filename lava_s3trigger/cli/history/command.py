"""``lava-s3trigger history``: what happened to an object, and what would happen to it now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import NO, YES
from lava_s3trigger.cli.objects.options import ObjectOptions, object_options, record_of_object
from lava_s3trigger.cli.objects.uri import read_uri
from lava_s3trigger.cli.options import PATH, Command, aws_options, output_options
from lava_s3trigger.cli.output.streams import message, opened, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.deployed.log_group import LogEvent
    from lava_s3trigger.cli.objects.uri import ObjectName

    from .deliveries import Delivery
    from .versions import EntryVersions


@click.command(
    cls=Command,
    yes="something was dispatched for it",
    no="nothing was dispatched for it",
    examples=[
        "lava-s3trigger history s3://my-bucket/incoming/a.csv --realm prod",
        "lava-s3trigger history s3://my-bucket/incoming/a.csv --since 30d --versions entries/",
    ],
)
@click.argument("uri", metavar="s3://BUCKET/KEY")
@click.option(
    "--since",
    metavar="TIME",
    default="7d",
    show_default=True,
    help="Deliveries since a time: 12h, 30d, or 2026-03-01.",
)
@click.option(
    "--versions",
    type=PATH,
    multiple=True,
    metavar="PATH",
    help="File or folder of earlier versions of trigger entries, to tell what differs."
    " May be repeated.",
)
@object_options
@click.option("--function", metavar="NAME", help="The function, if not lava-REALM-s3trigger.")
@aws_options
@output_options("text", "json")
def history(
    *,
    uri: str,
    size: int | None,
    event_type: str | None,
    time: datetime | None,
    source_ip: str | None,
    **options: Any,
) -> int:
    """Tell what happened to an object, and what would happen to it now.

    The function's log tells what happened, delivery by delivery. Beside it
    stands what the function would do with the entries as they are now, and what
    differs in an entry that has changed since.

    The log does not tell sizes and event types: S3 is asked about the object,
    unless options describe it.
    """
    from lava_s3trigger.cli.decide.decider import decide_payload  # noqa: PLC0415
    from lava_s3trigger.cli.decide.document import Explainer  # noqa: PLC0415
    from lava_s3trigger.cli.deployed.function import find_function  # noqa: PLC0415 - start-up
    from lava_s3trigger.cli.deployed.log_text import shown_time  # noqa: PLC0415
    from lava_s3trigger.cli.entries.source import read_entries  # noqa: PLC0415
    from lava_s3trigger.cli.objects.sources import read_since_option  # noqa: PLC0415

    from .deliveries import Comparison, deliveries_of, is_dispatched  # noqa: PLC0415

    name = read_uri(uri)
    since = read_since_option(options["since"], datetime.now(UTC))
    versions = _versions(options["versions"])
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    deployed = find_function(aws, options["realm"], options["function"])
    if not deployed.logs_dispatches:
        message(f"{deployed.name} logs warnings or errors alone: no dispatches and no skips")
    deliveries: list[Delivery] = deliveries_of(name, _events(name, since, deployed, aws))
    entries = read_entries((), (), deployed.realm, aws, deployed.settings.max_delay)
    about = ObjectOptions(size, event_type, time, source_ip)
    payload = {"Records": [record_of_object(name, about, aws, asks_s3=True)]}
    decided = decide_payload(payload, entries.triggers, entries.jobs, deployed.region)
    now = Explainer(entries).explanation(decided.decisions[0])
    comparison = Comparison(now, entries, versions)
    document = {
        "realm": deployed.realm,
        "function": deployed.name,
        "bucket": name.bucket,
        "key": name.key,
        "since": shown_time(since),
        "deliveries": [comparison.delivery(each) for each in deliveries],
        "now": now,
    }
    _write(document, options)
    return YES if is_dispatched(deliveries) else NO


def _versions(paths: Sequence[str]) -> EntryVersions:
    from lava_s3trigger.cli.entries.load import load  # noqa: PLC0415 - start-up

    from .versions import EntryVersions  # noqa: PLC0415

    if not paths:
        return EntryVersions()
    loaded = load(paths)
    loaded.require_sound()
    return EntryVersions(loaded.of("trigger"))


def _events(
    name: ObjectName, since: datetime, deployed: DeployedFunction, aws: Aws
) -> Iterator[LogEvent]:
    """Yield the events of the log that may be about an object, with progress."""
    from lava_s3trigger.cli.deployed.log_group import FunctionLog, pattern_of  # noqa: PLC0415 - start-up
    from lava_s3trigger.cli.output.progress import Progress  # noqa: PLC0415

    pages = FunctionLog.of(aws, deployed.log_group).pages(since, pattern_of(*name))
    with Progress("pages of the log read", after=2.0) as progress:
        for page in pages:
            progress.advance(1)
            yield from page


def _write(document: dict[str, Any], options: dict[str, Any]) -> None:
    with opened(options["output"]) as file:
        if options["format_"] == "json":
            write_json(file, document)
            return
        from lava_s3trigger.cli.output.text import write_page  # noqa: PLC0415

        from .text import history_lines  # noqa: PLC0415 - start-up

        write_page(file, history_lines(document))
