"""Escapes text for terminals, so that text of users or object keys has no effect there."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control, format (including bidirectional marks and invisible tags), surrogate, private use,
# unassigned; and the separators of lines and paragraphs.
_ESCAPED: Final = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])


def safe(text: str, *, keep: str = "") -> str:
    """Escape characters that a terminal could interpret, in Python's notation.

    Args:
        text: Any text.
        keep: Characters that are not escaped, such as the end of a line.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in keep or unicodedata.category(char) not in _ESCAPED else _escaped(char)
        for char in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
