"""The connection of an event, for people."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.output.text import BAD, GOOD, Line, Piece, line

if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = dict[str, Any]


def connection_lines(event: Json, options: str) -> Iterator[Line]:
    """Yield how an event reaches the function, or what keeps it from that.

    Args:
        event: As `explain` prints it.
        options: Those that name the function on a command line.
    """
    connection = event["connection"]
    if connection["by"]:
        often = "" if len(connection["by"]) == 1 else " more than once"
        style = BAD if often else GOOD
        names = "; ".join(connection["by"])
        yield line(Piece(f"Reaches the function{often} by: {names}", style), indent=2)
        return
    if connection["unknown"]:
        yield line(Piece("Not known whether the event reaches the function:", BAD), indent=2)
        yield from (line(reason, indent=4) for reason in connection["unknown"])
        return
    yield line(Piece("No route carries this event to the function.", BAD), indent=2)
    for route in connection["excluded"]:
        yield line(f"{route['route']}: {route['reason']}", indent=4)
    if not connection["excluded"]:
        command = f"lava-s3trigger connect {shlex.quote(event['bucket'])} {options}"
        yield line(f"nothing connects the bucket; this does: {command}", indent=4)
