"""The source of a template: the JSON text of a document, with its strings rewritten for Jinja."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from .environment import RESERVED_MARK, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .environment import TemplateEnvironment

RESERVED: Final = "lava"
"""Names of globals that begin like this, in any case, are lava's own."""


def text_of(value: Any, marker: str) -> tuple[str, list[int]]:
    """Return the JSON text of a value, with its strings not yet escaped.

    Returns:
        The text, and the positions of the quotes around the strings in it.
    """
    pieces: list[str] = []
    quotes: list[int] = []
    length = 0
    for piece, is_quote in _pieces(value, marker):
        if is_quote:
            quotes.append(length)
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces), quotes


def _pieces(value: Any, marker: str = "") -> Iterator[tuple[str, bool]]:
    if isinstance(value, str):
        yield '"', True
        yield value, False
        yield '"', True
    elif isinstance(value, dict):
        yield "{", False
        for number, (name, member) in enumerate(value.items()):
            if number:
                yield ", ", False
            is_reserved = marker and name.lower().startswith(RESERVED)
            yield from _pieces(f"{marker}{name}" if is_reserved else name)
            yield ": ", False
            yield from _pieces(member)
        yield "}", False
    elif isinstance(value, list):
        yield "[", False
        for number, member in enumerate(value):
            if number:
                yield ", ", False
            yield from _pieces(member)
        yield "]", False
    else:
        yield json.dumps(value), False


def source_of(environment: TemplateEnvironment, text: str, quotes: list[int]) -> str:
    """Return the template: JSON outside expressions, and the expressions as they were written.

    Jinja's own lexer separates them. It gets a copy of the same length in which line ends are
    spaces, since it would normalize them. Its tokens lack the space that whitespace control
    removes, which is found again by position. lava escaped that space before Jinja saw it, so
    Jinja removed only real spaces: the space is put back, escaped, for the same result.
    """
    shadow = text.translate({10: " ", 13: " "})
    quoted = _Quoter(text, quotes)
    source: list[str] = []
    position = 0
    for _, kind, token in environment.lex(shadow):
        start = shadow.index(token, position)
        source.append(quoted(position, start))
        position = start + len(token)
        if kind == "data":
            source.append(quoted(start, position))
        elif kind == "string":
            # A literal that contains a reserved name is the author's text: without the mark.
            source.append(_literal(text[start:position].replace(RESERVED_MARK, "")))
        elif kind.endswith("_end") or kind == "raw_begin":
            body = start + len(token.rstrip())
            source.append(text[start:body] + quoted(body, position))
        else:
            source.append(text[start:position])
    source.append(quoted(position, len(text)))
    return "".join(source)


class _Quoter:
    """Escapes sections of a text, except the quotes around its strings."""

    def __init__(self, text: str, quotes: list[int]) -> None:
        self._text = text
        self._quotes = quotes
        self._next = 0

    def __call__(self, start: int, end: int) -> str:
        """Escape from start to end; sections must be requested in their order."""
        pieces = []
        while self._next < len(self._quotes) and self._quotes[self._next] < end:
            quote = self._quotes[self._next]
            self._next += 1
            if quote >= start:  # not a quote inside an expression
                pieces.append(escaped(self._text[start:quote]) + '"')
                start = quote + 1
        return "".join(pieces) + escaped(self._text[start:end])


_ESCAPED: Final = re.compile(r"\\\\|\\[ntr]|(?:\\u[0-9a-fA-F]{4})+")


def _literal(token: str) -> str:
    r"""Rewrite a string literal so that Jinja reads four escapes in it and no others.

    ``\n``, ``\t``, ``\r`` and ``\uXXXX`` are that character; every other backslash
    stays as written. So does a pair of backslashes: no escape begins at its second one.
    """
    body = _ESCAPED.sub(
        lambda match: match[0] if match[0] == r"\\" else json.loads(f'"{match[0]}"'), token[1:-1]
    )
    return "'" + body.encode("unicode_escape").decode("ascii").replace("'", r"\'") + "'"
