"""Errors that the command line prints without a traceback, and its exit statuses."""

from __future__ import annotations

from typing import Final

YES: Final = 0
"""Yes, or clean."""
NO: Final = 1
"""No, or findings."""
WRONG_USAGE: Final = 2
"""Wrong usage; click's own status."""
COULD_NOT_TELL: Final = 3
"""AWS refused, or a file cannot be read."""
DEFECT: Final = 70
"""A defect of the command line itself, as BSD's sysexits.h numbers it."""
INTERRUPTED: Final = 130
"""Ctrl-C."""
READER_GONE: Final = 141
"""Who read the output has gone, as of ``| head``: as a shell shows the signal SIGPIPE."""


class CommandError(Exception):
    """An error that the user can correct; the message says how.

    Args:
        message: What was found, and what would do.
        status: Exit status of the command.
    """

    def __init__(self, message: str, status: int = COULD_NOT_TELL) -> None:
        super().__init__(message)
        self.status = status
