"""What a terminal could take for more than text."""

import re
import unicodedata
from typing import Final

HOSTILE: Final = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "\x1b]8;;http://example.com\x07link\x1b]8;;\x07",
    "[bold red]x[/]:smile:[link=http://example.com]y[/link]",
    "a\nError: forged\rforged\x85\u2028forged",
    "\u202egpj.exe\u2066\u200b\ufeff\U000e0041",
    "\x00\x08\x7f\x80\x9f",
    "\ue000\uffff",
)
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
