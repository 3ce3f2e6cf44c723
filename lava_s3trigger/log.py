"""The function's log: one line for each thing that happens.

A line is a word for what happened, and its fields as JSON in ASCII. So nothing that an
object key holds can end a line, or begin one.
"""

from __future__ import annotations

import json
import logging
import time
from json.encoder import encode_basestring_ascii
from typing import Any, Final

_MAX_FIELD_CHARACTERS: Final = 4096
_ENCODER: Final = json.JSONEncoder(default=str)

LOGGER: Final = logging.getLogger("lava_s3trigger")

# What all records have in common. A record of its own looks up the process, the thread and
# the caller, which takes longer than all else here; all are made by one thread.
_RECORD: Final = LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, "", (), None)


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
    created = time.time()
    record = object.__new__(logging.LogRecord)
    record.__dict__ = {
        **_RECORD.__dict__,
        "created": created,
        "msecs": created % 1 * 1000,
        "levelno": level,
        "levelname": logging.getLevelName(level),
        "msg": f"{event} {{{', '.join(parts)}}}",
    }
    LOGGER.handle(record)
