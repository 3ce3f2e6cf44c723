"""The command `connect`."""

from __future__ import annotations

from typing import Any

from .session import Session


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    return Session("connect", options).run()
