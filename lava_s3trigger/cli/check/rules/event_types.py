"""The types of S3 events, as `info.event_type` has them."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import Final

from lava_s3trigger.cli.objects.event_types import EVENT_TYPES, leaves_out

S3: Final = frozenset(EVENT_TYPES)
"""From S3, also by SNS and SQS."""
EVENTBRIDGE: Final = frozenset(
    each.name_in_eventbridge for each in EVENT_TYPES.values() if each.name_in_eventbridge
)
"""From EventBridge."""
ALL: Final = S3 | EVENTBRIDGE
WITHOUT_SIZE: Final = frozenset(each for each in ALL if leaves_out(each, "size"))
"""Types whose events carry no size. Their size is 0."""
PATTERNS: Final = ALL | {f"{each.partition(':')[0]}:*" for each in ALL if ":" in each}
"""What is often written, for suggestions."""


@lru_cache(4096)
def matched(pattern: str) -> frozenset[str]:
    """Return the types that a pattern matches, as `fnmatch` does on Linux."""
    match = re.compile(translate(pattern)).match
    return frozenset(each for each in ALL if match(each))
