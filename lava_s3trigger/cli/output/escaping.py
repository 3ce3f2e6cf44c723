"""Text for terminals, in which nothing that users or object keys wrote has an effect."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control, format (bidirectional marks and invisible tags among them), surrogate, private
# use, unassigned; and what ends a line or a paragraph.
_ESCAPED: Final = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])


def safe(text: str, *, keep: str = "") -> str:
    """Escape what a terminal could take for a command, as Python would write it.

    Args:
        text: Any text.
        keep: Characters to leave, such as the end of a line.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in keep or unicodedata.category(char) not in _ESCAPED else _escaped(char)
        for char in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
