"""The function's log: one line for each thing that happens.

A line is a word for what happened, and its fields as JSON in ASCII. So nothing that an
object key holds can end a line, or begin one.
"""

from __future__ import annotations

import json
import logging
from json.encoder import encode_basestring_ascii
from typing import Any, Final

_MAX_FIELD_CHARACTERS: Final = 4096
_ENCODER: Final = json.JSONEncoder(default=str)

LOGGER: Final = logging.getLogger("lava_s3trigger")


def configure_logging(level: int) -> None:
    """Log from this severity on: to Lambda's log, or elsewhere to standard error."""
    logging.basicConfig(format="[%(levelname)s] %(message)s")  # no-op where a handler exists
    LOGGER.setLevel(level)


def log_event(level: int, event: str, **fields: Any) -> None:
    """Log what happened; fields that are None are left out."""
    if not LOGGER.isEnabledFor(level):
        return
    parts = []
    for name, value in fields.items():
        if type(value) is str:  # most are, and this is three times as fast as the encoder
            parts.append(f'"{name}": {encode_basestring_ascii(value[:_MAX_FIELD_CHARACTERS])}')
        elif value is not None:
            parts.append(f'"{name}": {_ENCODER.encode(value)}')
    line = f"{event} {{{', '.join(parts)}}}"
    # As `Logger.log` does, without looking up the line of code that called it.
    LOGGER.handle(LOGGER.makeRecord(LOGGER.name, level, "", 0, line, (), None))
