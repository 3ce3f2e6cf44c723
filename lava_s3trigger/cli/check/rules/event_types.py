"""Patterns of event types, as in `if_event_type`, and the types that they match."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import Final

from lava_s3trigger.cli.objects.event_types import EVENT_TYPES, IN_EVENTBRIDGE, leaves_out

S3: Final = frozenset(EVENT_TYPES)
"""From S3, also by SNS and SQS."""
EVENTBRIDGE: Final = frozenset(IN_EVENTBRIDGE)
"""From EventBridge."""
ALL: Final = S3 | EVENTBRIDGE
WITHOUT_SIZE: Final = frozenset(name for name in ALL if leaves_out(name, "size"))
"""Types whose events carry no size. Their size is 0."""
PATTERNS: Final = ALL | {f"{name.partition(':')[0]}:*" for name in ALL if ":" in name}
"""Common patterns, for suggestions."""


@lru_cache(4096)
def matched(pattern: str) -> frozenset[str]:
    """Return the types that a pattern matches, as `fnmatch` does on Linux."""
    match = re.compile(translate(pattern)).match
    return frozenset(name for name in ALL if match(name))
