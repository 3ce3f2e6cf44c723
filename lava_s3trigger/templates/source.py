"""The source of a template: the JSON text of a document, its strings rewritten for Jinja."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from .environment import RESERVED_MARK, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .environment import TemplateEnvironment

RESERVED: Final = "lava"
"""Names of globals that begin so, in any case, are lava's own."""


def text_of(value: Any, marker: str) -> tuple[str, list[int]]:
    """Return the JSON text of a value, its strings not yet escaped.

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
    """Make the template: JSON outside expressions, and expressions as they were written.

    Jinja's own lexer tells them apart. It works on a copy of the same length, in
    which line ends are spaces, since it would fold them; and it leaves out the space
    that whitespace control removes, which is found again by position. In lava that
    space was escaped before Jinja saw it, so only true spaces were ever removed:
    it is put back, escaped, for Jinja to do the same.
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
            # A literal that reaches over a reserved name is the author's, without its mark.
            source.append(_literal(text[start:position].replace(RESERVED_MARK, "")))
        elif kind.endswith("_end") or kind == "raw_begin":
            body = start + len(token.rstrip())
            source.append(text[start:body] + quoted(body, position))
        else:
            source.append(text[start:position])
    source.append(quoted(position, len(text)))
    return "".join(source)


class _Quoter:
    """Escapes stretches of a text, but for the quotes around its strings."""

    def __init__(self, text: str, quotes: list[int]) -> None:
        self._text = text
        self._quotes = quotes
        self._next = 0

    def __call__(self, start: int, end: int) -> str:
        """Escape from start to end; stretches must be asked for in their order."""
        pieces = []
        while self._next < len(self._quotes) and self._quotes[self._next] < end:
            quote = self._quotes[self._next]
            self._next += 1
            if quote >= start:  # not one inside of an expression
                pieces.append(escaped(self._text[start:quote]) + '"')
                start = quote + 1
        return "".join(pieces) + escaped(self._text[start:end])


_ESCAPED: Final = re.compile(r"\\\\|\\[ntr]|(?:\\u[0-9a-fA-F]{4})+")


def _literal(token: str) -> str:
    r"""Rewrite a string literal so that Jinja reads four escapes in it and no others.

    ``\n``, ``\t``, ``\r`` and ``\uXXXX`` are that character; every other backslash
    stays as written, a pair of them too, which is no place to begin an escape at.
    """
    body = _ESCAPED.sub(
        lambda match: match[0] if match[0] == r"\\" else json.loads(f'"{match[0]}"'), token[1:-1]
    )
    return "'" + body.encode("unicode_escape").decode("ascii").replace("'", r"\'") + "'"
