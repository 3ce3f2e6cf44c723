"""What the function says in its log.

One line for each thing: what happened, and the facts as JSON, in ASCII. So nothing
that comes out of an object key can end a line, or begin one.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final

_LONGEST: Final = 4096
_ENCODER: Final = json.JSONEncoder(default=str)

LOGGER: Final = logging.getLogger("lava_s3trigger")


def configure_logging(level: int) -> None:
    """Log from this severity on; in Lambda to its own log, elsewhere to standard error."""
    logging.basicConfig(format="[%(levelname)s] %(message)s")  # nothing where there is a handler
    LOGGER.setLevel(level)


def log_event(level: int, what: str, **facts: Any) -> None:
    """Log what happened; facts that are None are left out."""
    if LOGGER.isEnabledFor(level):
        known = {
            name: fact[:_LONGEST] if isinstance(fact, str) else fact
            for name, fact in facts.items()
            if fact is not None
        }
        # What `LOGGER.log` does, but for looking up the line of code that called it.
        line = f"{what} {_ENCODER.encode(known)}"
        LOGGER.handle(LOGGER.makeRecord(LOGGER.name, level, "", 0, line, (), None))
