"""Checks of the function's package, whose version the function logs when it starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lava_s3trigger import __version__
from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.cli.doctor.aws_commands import aws
from lava_s3trigger.cli.doctor.registry import Fault, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment

READ_LOG: Final = ("logs:DescribeLogStreams", "logs:GetLogEvents")
_STREAMS: Final = 5
_LINES: Final = 20
"""From the beginning of a stream, where an instance starts."""


@check("warning", READ_LOG, of_function=True)
def package_outdated(deployed: Deployment) -> Iterator[Fault]:
    """The function's package is older than this command line.

    The function may decide differently from what this command line says. Deploy from a checkout of
    this version.
    """
    version = logged_version(deployed)
    if version and _parts(version) < _parts(__version__):
        told = f"the package is version {version}; this command line is {__version__}"
        yield Fault(deployed.function_name, told, _deploying(deployed))


@check("info", READ_LOG, of_function=True)
def package_unknown(deployed: Deployment) -> Iterator[Fault]:
    """The log does not show the version of the function's package.

    An instance logs the version when it starts, at the log level `info`. If no instance is running,
    the command starts one. The package may also be lava's own function, which logs no version.
    """
    if logged_version(deployed) is None:
        # As a file, since versions 1 and 2 of the AWS CLI read text in different ways.
        command = 'printf \'{"Event": "s3:TestEvent"}\' | ' + aws(
            "lambda invoke",
            "/dev/null",
            function_name=deployed.function_name,
            payload="fileb:///dev/stdin",
        )
        yield Fault(deployed.function_name, "no line `started` in the log", command)


def logged_version(deployed: Deployment) -> str | None:
    """Return the version that the latest instance logged; None if none did."""
    group = deployed.log_group
    streams = deployed.read_all(
        "logs",
        "describe_log_streams",
        "logStreams",
        logGroupName=group,
        orderBy="LastEventTime",
        descending=True,
        PaginationConfig={"MaxItems": _STREAMS},
    )
    started = []
    for stream in streams:
        events = deployed.read_all(
            "logs",
            "get_log_events",
            "events",
            logGroupName=group,
            logStreamName=stream["logStreamName"],
            startFromHead=True,
            limit=_LINES,
        )
        for event in events:
            line = read_line(event["message"])
            version = line.text("version") if line and line.event == "started" else None
            if version:
                started.append((event["timestamp"], version))
    return max(started)[1] if started else None


def _parts(version: str) -> tuple[tuple[int, ...], bool]:
    """Return what orders versions: a pre-release comes before its release."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    numbers = tuple(int(part) for part in release[0].split(".")) if release else ()
    return numbers, bool(release and release[0] == version)


def _deploying(deployed: Deployment) -> str:
    return f"sam build && sam deploy --stack-name {deployed.function_name}"
