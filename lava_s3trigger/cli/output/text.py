"""Text for people: lines of pieces with styles, for a terminal or a file."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from .escaping import safe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


class Piece(NamedTuple):
    """A piece of a line."""

    text: str
    """Any text: characters that a terminal could interpret are escaped when it is written."""
    style: str = ""
    """Words for `click.style`: a colour, ``bold``, ``dim``."""


Line = tuple[Piece, ...]

GOOD: Final = "green"
BAD: Final = "bold red"
UNUSED: Final = "yellow"
TITLE: Final = "bold"
FAINT: Final = "dim"
STYLES: Final = {
    "dispatched": GOOD,
    "observed": UNUSED,
    "skipped": UNUSED,
    "parked": BAD,
    "user_error": BAD,
    "failed": BAD,
    "not_understood": BAD,
}
"""Styles of outcomes, and of events of the function's log."""
_MAX_SHOWN_CHARACTERS: Final = 300
_PLAIN_NAME: Final = re.compile(r"[\w./@+:-]+")


def line(*pieces: str | Piece, indent: int = 0) -> Line:
    """Return a line of pieces.

    Args:
        *pieces: The pieces; a text is a piece without a style.
        indent: Spaces before them.
    """
    converted = tuple(Piece(piece) if isinstance(piece, str) else piece for piece in pieces)
    return (Piece(" " * indent), *converted) if indent else converted


def styled(text: str, style: str = "") -> Line:
    """Return a line of one piece."""
    return (Piece(text, style),)


def named(text: str) -> str:
    """Return a name, in quotes if it could be mistaken for something else."""
    return cut(text) if _PLAIN_NAME.fullmatch(text) else shown(text)


def shown(value: Any) -> str:
    """Return a value as JSON, shortened."""
    return cut(json.dumps(value, ensure_ascii=False))


def code_piece(code: str) -> Piece:
    """Return the code of an error of an entry, after its message."""
    return Piece(f"  [{code}]", FAINT)


def cut(text: str) -> str:
    """Return a text, shortened."""
    if len(text) <= _MAX_SHOWN_CHARACTERS:
        return text
    return f"{text[: _MAX_SHOWN_CHARACTERS - 3]}..."


def write_page(file: TextIO, lines: Iterable[Line]) -> None:
    """Write lines in full width: to a terminal with styles, to a pipe or a file without.

    Raises:
        BrokenPipeError: The reader of the file has ended.
    """
    shown = _with_style if _takes_styles(file) else _without_style
    file.writelines(f"{''.join(map(shown, pieces)).rstrip()}\n" for pieces in lines)


def _with_style(piece: Piece) -> str:
    words = set(piece.style.split())
    colour = next(iter(words - {"bold", "dim"}), None)
    is_bold, is_dim = ("bold" in words) or None, ("dim" in words) or None
    text = safe(piece.text)
    return click.style(text, fg=colour, bold=is_bold, dim=is_dim) if words else text


def _without_style(piece: Piece) -> str:
    return safe(piece.text)


def _takes_styles(file: TextIO) -> bool:
    """Return whether to write styles: see https://no-color.org and https://force-color.org."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return file.isatty() or bool(os.environ.get("FORCE_COLOR"))
