"""Options with patterns that choose keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.conditions import KINDS

from .uri import SCHEME

if TYPE_CHECKING:
    from collections.abc import Sequence


def key_patterns(option: str, patterns: Sequence[str]) -> Any:
    """Return patterns as `if_fnmatch` takes them.

    Args:
        option: The name of the option, for messages.
        patterns: The patterns.

    Raises:
        CommandError: One cannot be read, or is an S3 URI, which matches no key.
    """
    for pattern in patterns:
        if pattern.startswith(SCHEME):
            key = pattern.removeprefix(SCHEME).partition("/")[2] or "*"
            raise CommandError(
                f"{option}: {safe(pattern)} is an S3 URI; patterns are of keys: write {safe(key)}",
                WRONG_USAGE,
            )
    try:
        return KINDS["fnmatch"].read([*patterns])
    except (ValueError, re.error) as error:
        raise CommandError(f"{option}: {safe(str(error))}", WRONG_USAGE) from None
