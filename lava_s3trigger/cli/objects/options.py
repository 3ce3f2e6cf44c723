"""Options that describe an object, for commands that are asked about one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from lava_s3trigger import units
from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.options import together
from lava_s3trigger.cli.output.streams import message

from .event_types import event_type as read_event_type
from .event_types import leaves_out
from .uri import CREATED, head_object, s3_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.cli.deployed.aws import Aws

    from .uri import ObjectName

F = TypeVar("F", bound="Callable[..., Any]")

_FLAGS: Final = {
    "size": "--size",
    "event_type": "--event-type",
    "time": "--time",
    "source_ip": "--source-ip",
}


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What the command line tells of an object; None is what it does not tell."""

    size: int | None = None
    """Bytes."""
    event_type: str | None = None
    time: datetime | None = None
    source_ip: str | None = None

    def given(self) -> list[str]:
        """Return the flags that were given."""
        return [flag for name, flag in _FLAGS.items() if getattr(self, name) is not None]

    def record(self, name: ObjectName, region: str) -> dict[str, Any]:
        """Return the record that S3 would send: unless options differ, of one byte put now.

        Raises:
            CommandError: A size is given, and events of the type have none.
        """
        event_type = self.event_type or CREATED
        size: int | None = 1 if self.size is None else self.size
        if event_type != CREATED and _has_no_size(event_type):
            if self.size is not None:
                raise CommandError(f"--size: events of type {event_type} have no size", WRONG_USAGE)
            size = None
        return s3_record(
            *name,
            size=size,
            event_type=event_type,
            time=self.time,
            source_ip=self.source_ip,
            region=region,
        )


def _has_no_size(event_type: str) -> bool:
    return leaves_out(event_type, "size")


def record_of_s3(name: ObjectName, aws: Aws) -> dict[str, Any] | None:
    """Return the record that S3 sent when an object was put, by what it knows of the object.

    Returns:
        The record, or None where S3 shows no such object.

    Raises:
        CommandError: S3 cannot be asked.
    """
    client = aws.client("s3")
    with reaching_aws():
        facts = head_object(client, name)
    if facts is None:
        return None
    return s3_record(
        *name,
        size=facts.size,
        event_type=facts.event_type,
        time=facts.last_modified,
        region=aws.region_name(),
        etag=facts.etag,
    )


def record_of_object(
    name: ObjectName, about: ObjectOptions, aws: Aws, *, asks_s3: bool
) -> dict[str, Any]:
    """Return the record that S3 would send of an object.

    Args:
        name: The object.
        about: What the command line tells of it.
        aws: Where S3 is.
        asks_s3: Whether S3 is asked, where the command line tells nothing.

    Raises:
        CommandError: S3 cannot be asked.
    """
    record = None
    if asks_s3 and not about.given():
        record = record_of_s3(name, aws)
        if record is None:
            message(f"S3 shows no object {name}: it is taken as put now, with 1 byte")
    return record or about.record(name, aws.region_name())


def size_of(_: click.Context, __: click.Parameter, value: Any) -> int | None:
    """Return the bytes of an option such as ``10MB``."""
    if value is None:
        return None
    try:
        found = int(value) if str(value).isdecimal() else units.size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not 0 <= found < float("inf"):
        raise click.BadParameter(f"{value!a} is not a size: an object has 0 bytes or more")
    return int(found)


def event_type_of(_: click.Context, __: click.Parameter, value: Any) -> str | None:
    """Return the name of an option's event type, which is known."""
    if value in (None, CREATED):
        return value  # type: ignore[no-any-return]
    try:
        read_event_type(str(value))
    except CommandError as error:
        raise click.BadParameter(str(error)) from None
    return str(value).removeprefix("s3:")


def _time(_: click.Context, __: click.Parameter, value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(str(value))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        example = "2026-03-14T01:59:26Z"
        raise click.BadParameter(
            f"{value!a} is not a time in ISO 8601, such as {example}"
        ) from None


def _address(_: click.Context, __: click.Parameter, value: Any) -> str | None:
    from ipaddress import ip_address  # noqa: PLC0415 - start-up

    if value is None:
        return None
    try:
        return str(ip_address(value))
    except ValueError:
        raise click.BadParameter(f"{value!a} is not an IP address, such as 203.0.113.7") from None


def event_type_option(help: str) -> Callable[[F], F]:  # noqa: A002 - as click has it
    """Return the option of the type of all events."""
    return click.option(
        "--event-type",
        callback=event_type_of,
        default=CREATED,
        show_default=True,
        metavar="TYPE",
        help=help,
    )


def object_options(command: F) -> F:
    """Add the options that describe an object; they make an `ObjectOptions`."""
    return together(
        click.option(
            "--size", callback=size_of, metavar="SIZE", help="Size of the object, such as 10MB."
        ),
        click.option(
            "--event-type",
            callback=event_type_of,
            metavar="TYPE",
            help="Type of the event, such as ObjectRemoved:Delete.",
        ),
        click.option(
            "--time", callback=_time, metavar="TIME", help="When it happened, in ISO 8601."
        ),
        click.option(
            "--source-ip", callback=_address, metavar="ADDRESS", help="From where it was done."
        ),
    )(command)
