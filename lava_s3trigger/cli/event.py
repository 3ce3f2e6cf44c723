"""``lava-s3trigger event``: prints a payload as AWS makes it, for an object."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from .aws import Aws, reaching_aws
from .errors import WRONG_USAGE, CommandError
from .eventtypes import event_type as read_event_type
from .objects import CREATED, ObjectFacts, head_object, read_uri
from .options import PATH, Command, aws_options
from .output import message, opened
from .payloads import ROUTES, ObjectEvent, s3_batch

if TYPE_CHECKING:
    from .objects import ObjectName

_MAX_COUNT = 10_000  # messages of the largest batch of a queue


def _read_time(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> dt.datetime | None:
    from dateutil.parser import isoparse  # noqa: PLC0415 - start-up

    if value is None:
        return None
    try:
        time = isoparse(value)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{value!a} is no time such as 2026-03-14T01:59:26Z") from None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def _read_address(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    try:
        return value if value is None else str(ipaddress.ip_address(value))
    except ValueError:
        raise click.BadParameter(f"{value!a} is no IP address") from None


@click.command(
    cls=Command,
    yes="the payload was printed",
    no="never",
    examples=(
        "lava-s3trigger event s3://my-bucket/incoming/a.csv --route sns-sqs --size 1082",
        (
            "lava-s3trigger event s3://my-bucket/incoming/a.csv --profile prod | "
            "lava-s3trigger explain --event - --triggers entries/"
        ),
    ),
)
@click.argument("uri", metavar="s3://BUCKET/KEY")
@click.option(
    "--route",
    type=click.Choice(list(ROUTES)),
    default="s3",
    show_default=True,
    help="How the event comes to the function.",
)
@click.option(
    "--event-type",
    metavar="TYPE",
    help="As S3 or EventBridge has it; ObjectCreated:Put, or ObjectCreated:"
    "CompleteMultipartUpload of an object that AWS has and that was put in parts.",
)
@click.option("--size", type=click.IntRange(min=0), metavar="BYTES", help="Size of the object.")
@click.option("--time", callback=_read_time, metavar="TIME", help="Time of the event; now.")
@click.option("--source-ip", callback=_read_address, metavar="ADDRESS", help="Who did it.")
@click.option(
    "--count",
    type=click.IntRange(1, _MAX_COUNT),
    default=1,
    show_default=True,
    help="How many events of the object, each a millisecond later.",
)
@click.option(
    "--schema-version",
    type=click.Choice(["1.0", "2.0"]),
    help="Version of the payload of S3 Batch Operations; 2.0.",
)
@aws_options
@click.option("--output", type=PATH, metavar="FILE", help="File to write; standard output.")
def event(  # noqa: PLR0913 - one for each option
    *,
    uri: str,
    route: str,
    event_type: str | None,
    size: int | None,
    time: dt.datetime | None,
    source_ip: str | None,
    count: int,
    schema_version: str | None,
    realm: str | None,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    output: str | None,
) -> None:
    """Print a payload for an object, as AWS would hand it to the function.

    For `aws lambda invoke --payload`, `sam local invoke -e` and `lava-s3trigger explain
    --event`. With a realm, a profile or an endpoint, size, ETag and time are the object's own.
    """
    if schema_version and route != "s3-batch":
        raise CommandError(
            f"--schema-version goes with --route s3-batch, not with {route}", WRONG_USAGE
        )
    name = read_uri(uri)
    kind = read_event_type(event_type) if event_type else None
    aws = Aws(profile, region, endpoint_url)
    facts = None
    if realm or profile or endpoint_url:
        facts = _facts(aws, name, is_asked=kind is None or not kind.without)
    first = ObjectEvent(
        bucket=name.bucket,
        key=name.key,
        type=kind or read_event_type(facts.event_type if facts else CREATED),
        time=time or (facts.last_modified if facts else dt.datetime.now(dt.UTC)),
        size=size if size is not None else facts.size if facts else 1,
        etag=facts.etag if facts else None,
        source_ip=source_ip,
        region=aws.region_name(),
    )
    events = [_later(first, number) for number in range(count)]
    payload = s3_batch(events, schema_version) if schema_version else ROUTES[route](events)
    with opened(output) as file:
        json.dump(payload, file, indent=2)  # in ASCII: safe on a terminal
        file.write("\n")


def _later(first: ObjectEvent, number: int) -> ObjectEvent:
    return replace(first, time=first.time + dt.timedelta(milliseconds=number))


def _facts(aws: Aws, name: ObjectName, *, is_asked: bool) -> ObjectFacts | None:
    """Ask S3 about the object, unless the event leaves out what it knows."""
    if not is_asked:
        return None
    client = aws.client("s3")
    with reaching_aws():
        facts = head_object(client, name)
    if facts is None:
        message(f"Warning: {name}: S3 shows no such object; the payload has 1 byte, put now")
    return facts
