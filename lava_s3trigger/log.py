"""The function's log: one line for each thing that happens.

A line is a word for what happened, and its fields as JSON in ASCII. So nothing that an
object key holds can end a line, or begin one.
"""

from __future__ import annotations

import json
import logging
import time
from copy import copy
from json.encoder import encode_basestring_ascii
from typing import Any, Final

_MAX_FIELD_CHARACTERS: Final = 4096
_ENCODER: Final = json.JSONEncoder(default=str)

LOGGER: Final = logging.getLogger("lava_s3trigger")

# To make a record takes longer than all else here: it looks up the process, the thread
# and the caller. All of the function's records are made in one thread.
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
    record = copy(_RECORD)
    record.created = time.time()
    record.msecs = record.created % 1 * 1000
    record.levelno = level
    record.levelname = logging.getLevelName(level)
    record.msg = f"{event} {{{', '.join(parts)}}}"
    LOGGER.handle(record)
