"""What the command line tells its user instead of a stack trace."""

from __future__ import annotations


class CommandError(Exception):
    """Something that the user can do something about; the message says what."""
