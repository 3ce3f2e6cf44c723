"""``lava-s3trigger event``: prints a payload as AWS makes it, for an object."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from .deployed.aws import Aws, reaching_aws
from .errors import WRONG_USAGE, CommandError
from .objects.event_types import event_type as read_event_type
from .objects.options import ObjectOptions, object_options
from .objects.payloads import ROUTES, ObjectEvent, s3_batch
from .objects.uri import CREATED, ObjectFacts, head_object, read_uri
from .options import Command, aws_options, output_option
from .output.streams import message, opened

if TYPE_CHECKING:
    from .objects.uri import ObjectName

_MAX_COUNT = 10_000  # messages of the largest batch of a queue


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
    help="The route of the event to the function.",
)
@object_options
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
@output_option
def event(  # noqa: PLR0913 - one for each option
    *,
    uri: str,
    route: str,
    count: int,
    schema_version: str | None,
    realm: str | None,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    output: str | None,
    **about_object: Any,
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
    about = ObjectOptions(**about_object)
    kind = read_event_type(about.event_type) if about.event_type else None
    aws = Aws(profile, region, endpoint_url)
    facts = None
    if realm or profile or endpoint_url:
        facts = _facts(aws, name, is_asked=kind is None or not kind.without)
    first = ObjectEvent(
        bucket=name.bucket,
        key=name.key,
        type=kind or read_event_type(facts.event_type if facts else CREATED),
        time=about.time or (facts.last_modified if facts else dt.datetime.now(dt.UTC)),
        size=about.size if about.size is not None else facts.size if facts else 1,
        etag=facts.etag if facts else None,
        source_ip=about.source_ip,
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
    """Ask S3 about the object, unless the event leaves those facts out."""
    if not is_asked:
        return None
    client = aws.client("s3")
    with reaching_aws():
        facts = head_object(client, name)
    if facts is None:
        message(f"Warning: {name} not found in S3; assuming 1 byte, created now")
    return facts
