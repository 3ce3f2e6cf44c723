"""Errors that the command line prints without a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """An error that the user can correct; the message says how."""
