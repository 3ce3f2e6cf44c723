"""What a terminal could take for more than text."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")
"""What commands write to a terminal themselves: colours and weights, and nothing else."""
_NEVER: Final = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])


def raw(text: str, *, is_terminal: bool = False) -> set[str]:
    """Return the characters that must not reach a terminal.

    Args:
        text: What was written.
        is_terminal: Whether styles are expected in it.
    """
    if is_terminal:
        text = _STYLE.sub("", text)
    return {char for char in text if char != "\n" and unicodedata.category(char) in _NEVER}
