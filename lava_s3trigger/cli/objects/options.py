"""Options that describe an object, for commands about one object."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from lava_s3trigger import units
from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.options import together
from lava_s3trigger.cli.output.streams import message
from lava_s3trigger.cli.output.times import read_time

from .event_types import event_type, leaves_out
from .uri import CREATED, head_object, s3_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lava_s3trigger.cli.deployed.aws import Aws

    from .uri import ObjectName

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """The description of an object on the command line; None for what it leaves out."""

    size: int | None = None
    """Bytes."""
    event_type: str | None = None
    time: datetime | None = None
    source_ip: str | None = None

    def given(self) -> list[str]:
        """Return the flags that are set."""
        names = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return [f"--{name.replace('_', '-')}" for name in names]

    def record(self, name: ObjectName, region: str) -> dict[str, Any]:
        """Return the record that S3 would send; by default for an object of one byte, created now.

        Raises:
            CommandError: A size is given, and events of the type have none.
        """
        kind = self.event_type or CREATED
        size: int | None = 1 if self.size is None else self.size
        if leaves_out(kind, "size"):
            if self.size is not None:
                raise CommandError(f"--size: events of type {kind} have no size", WRONG_USAGE)
            size = None
        return s3_record(
            *name,
            size=size,
            event_type=kind,
            time=self.time,
            source_ip=self.source_ip,
            region=region,
        )


def record_of_object(
    name: ObjectName, about: ObjectOptions, aws: Aws, *, asks_s3: bool
) -> dict[str, Any]:
    """Return the record that S3 would send for an object.

    Args:
        name: The object.
        about: The description on the command line.
        aws: Where S3 is.
        asks_s3: Whether to ask S3 if the command line does not describe the object.

    Raises:
        CommandError: S3 cannot be asked.
    """
    if asks_s3 and not about.given():
        client = aws.client("s3")
        with reaching_aws():
            facts = head_object(client, name)
        if facts:
            return s3_record(
                *name,
                size=facts.size,
                event_type=facts.event_type,
                time=facts.last_modified,
                region=aws.region_name(),
                etag=facts.etag,
            )
        message(f"{name} not found in S3; assuming 1 byte, created now")
    return about.record(name, aws.region_name())


def _callback(read: Callable[[str], T]) -> Callable[..., T | None]:
    """Return the callback of an option, which reads its value."""

    def callback(_: click.Context, __: click.Parameter, value: Any) -> T | None:
        try:
            return None if value is None else read(str(value))
        except (ValueError, CommandError) as error:
            raise click.BadParameter(str(error)) from None

    return callback


def size_named(value: str) -> int:
    """Return the bytes of a text such as ``10MB``.

    Raises:
        ValueError: It is not a size.
    """
    number = int(value) if value.isdecimal() else units.size(value)
    if not 0 <= number < float("inf"):
        raise ValueError(f"{value!a} is not a size: an object has 0 bytes or more")
    return int(number)


def event_type_named(value: str) -> str:
    """Return the name of an event type without ``s3:``.

    Raises:
        CommandError: There is no such type.
    """
    event_type(value)
    return value.removeprefix("s3:")


def _time(value: str) -> datetime:
    try:
        return read_time(value)
    except ValueError:
        example = "2026-03-14T01:59:26Z"
        raise ValueError(f"{value!a} is not a time in ISO 8601, such as {example}") from None


def _address(value: str) -> str:
    from ipaddress import ip_address  # noqa: PLC0415 - start-up

    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError(f"{value!a} is not an IP address, such as 203.0.113.7") from None


size_of: Final = _callback(size_named)
"""Reads the bytes of an option such as ``10MB``."""
event_type_of: Final = _callback(event_type_named)
"""Reads the name of an option's event type, which must be known."""


def event_type_option(help: str) -> Callable[[F], F]:  # noqa: A002 - as click has it
    """Return the option for the type of all events."""
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
            "--time",
            callback=_callback(_time),
            metavar="TIME",
            help="When it happened, in ISO 8601.",
        ),
        click.option(
            "--source-ip",
            callback=_callback(_address),
            metavar="ADDRESS",
            help="Source address of the request.",
        ),
    )(command)
