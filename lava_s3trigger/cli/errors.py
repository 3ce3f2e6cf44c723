"""Errors that the command line prints without a traceback, and its exit statuses."""

from __future__ import annotations

from typing import Final

YES: Final = 0
"""Yes, or no findings."""
NO: Final = 1
"""No, or findings."""
WRONG_USAGE: Final = 2
"""Wrong usage; click's own status."""
COULD_NOT_TELL: Final = 3
"""AWS refused, or a file cannot be read."""
DEFECT: Final = 70
"""A bug of the command line itself; the number is from BSD's sysexits.h."""
INTERRUPTED: Final = 130
"""Ctrl-C."""
READER_GONE: Final = 141
"""The reader of the output has ended, like ``| head``: as shells report the signal SIGPIPE."""


class CommandError(Exception):
    """An error that the user can correct; the message says how.

    Args:
        message: What was found, and what is expected.
        status: Exit status of the command.
    """

    def __init__(self, message: str, status: int = COULD_NOT_TELL) -> None:
        super().__init__(message)
        self.status = status
