"""The command `disconnect`."""

from __future__ import annotations

from typing import Any

from lava_s3trigger.cli.connect.session import Session


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    return Session("disconnect", options).run()
