"""Text for people: lines of pieces, each with a style, for a terminal or for a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .output import console
from .terminal import plain, safe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from rich.console import Console
    from rich.text import Text


class Piece(NamedTuple):
    """A piece of a line."""

    text: str
    """May hold anything: what a terminal could take for a command is escaped."""
    style: str = ""
    """A style of `rich`."""


Line = tuple[Piece, ...]

GOOD: Final = "green"
BAD: Final = "bold red"
UNUSED: Final = "yellow"
TITLE: Final = "bold"
FAINT: Final = "dim"


def line(*pieces: str | Piece, indent: int = 0) -> Line:
    """Return a line of pieces.

    Args:
        *pieces: The pieces; text stands for itself, without a style.
        indent: Spaces before them.
    """
    made = tuple(Piece(each) if isinstance(each, str) else each for each in pieces)
    return (Piece(" " * indent), *made) if indent else made


def write_page(file: TextIO, lines: Iterable[Line]) -> None:
    """Write lines: with styles to a terminal, without to a pipe or a file.

    A pipe costs no import of `rich`, which takes as long as all else that `explain` does.
    """
    if _is_styled(file):
        print_page(console(file), lines)
        return
    file.writelines(f"{''.join(safe(piece.text) for piece in each).rstrip()}\n" for each in lines)


def print_page(target: Console, lines: Iterable[Line]) -> None:
    """Print lines to a console of `rich`."""
    for each in lines:
        target.print(as_text(each))


def as_text(pieces: Line) -> Text:
    """Return a line as text for `rich`: without markup, links or control characters."""
    made = plain("")
    for piece in pieces:
        made.append_text(plain(piece.text, piece.style))
    return made


def _is_styled(file: TextIO) -> bool:
    """Tell whether a file takes styles, as https://no-color.org and https://force-color.org say."""
    import os  # noqa: PLC0415 - with the function that needs it

    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return file.isatty() or bool(os.environ.get("FORCE_COLOR"))
