"""What a terminal could take for more than text."""

import io
import json
import re
import unicodedata
from typing import Final

from tools.local.server import CHECKOUT

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


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def raw(text: str, *, is_terminal: bool = False) -> set[str]:
    """Return the characters that must not reach a terminal.

    Args:
        text: What was written.
        is_terminal: Whether styles are expected in it.
    """
    if is_terminal:
        text = _STYLE.sub("", text)
    return {char for char in text if char != "\n" and unicodedata.category(char) in _NEVER}


def attacking_keys() -> list[str]:
    """Return the keys of the attacks on templates that an object can have."""
    attacks = (
        attack
        for path in (CHECKOUT / "tests" / "attacks").glob("*.json")
        for attack in json.loads(path.read_text())
    )
    keys = {attack["key"] for attack in attacks if isinstance(attack.get("key"), str)}
    encoded = [key.encode("utf-8", "replace") for key in sorted(keys)]
    return [each.decode() for each in encoded if 0 < len(each) <= 1024 and each.decode() in keys]
