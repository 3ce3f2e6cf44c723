"""Reads JSON with the place of each value, which `json` does not report."""

from __future__ import annotations

import bisect
import re
from decimal import Decimal
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Final

from lava_s3trigger.units import shown

from .positions import Member, Node, Problem, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .positions import Scalar

MAX_DEPTH: Final = 100
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: Final[dict[str, Scalar]] = {"true": True, "false": False, "null": None}


class JsonText:
    """Reads the values of a JSON text one by one.

    Args:
        text: The text; several values may follow each other, as in JSON Lines.
        file: Name of the file, for problems.
    """

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._at = 0
        self.problems: list[Problem] = []

    def documents(self) -> Iterator[Node]:
        """Yield the values; stop with a problem at invalid JSON."""
        try:
            self._skip()
            while self._at < len(self._text):
                yield self._value(0)
                self._skip()
        except JSONDecodeError as error:
            line, column = self._place(error.pos)
            self.problems.append(Problem(self._file, line, column, f"no valid JSON: {error.msg}"))

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def _span(self, start: int) -> Span:
        return Span(*self._place(start), start, self._at)

    def _skip(self) -> None:
        self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]

    def _error(self, message: str) -> JSONDecodeError:
        return JSONDecodeError(message, self._text, self._at)

    def _is_next(self, char: str) -> bool:
        self._skip()
        if not self._text.startswith(char, self._at):
            return False
        self._at += 1
        return True

    def _value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep")
        self._skip()
        start = self._at
        value: Scalar | list[Node] | dict[str, Member]
        if self._is_next("{"):
            value = self._members(depth)
        elif self._is_next("["):
            value = self._items(depth)
        elif self._text.startswith('"', start):
            value = self._string()
        else:
            value = self._scalar()
        return Node(value, self._span(start))

    def _string(self) -> str:
        value, self._at = scanstring(self._text, self._at + 1, True)
        return str(value)

    def _scalar(self) -> Scalar:
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        match = _NUMBER.match(self._text, self._at)
        if not match:
            raise self._error("a value is missing")
        try:
            number = Decimal(match[0])
        except ArithmeticError:  # an exponent with many digits
            raise self._error("the number is too large") from None
        self._at = match.end()
        return number if match[1] or match[2] else int(number)

    def _items(self, depth: int) -> list[Node]:
        items: list[Node] = []
        if self._is_next("]"):
            return items
        while True:
            items.append(self._value(depth + 1))
            if self._is_next("]"):
                return items
            if not self._is_next(","):
                raise self._error("',' or ']' is missing")

    def _members(self, depth: int) -> dict[str, Member]:
        members: dict[str, Member] = {}
        if self._is_next("}"):
            return members
        while True:
            self._skip()
            start = self._at
            if not self._text.startswith('"', start):
                raise self._error("a name in double quotes is missing")
            name = self._string()
            span = self._span(start)
            if not self._is_next(":"):
                raise self._error("':' is missing")
            if name in members:
                self.problems.append(duplicate(self._file, span, name, members[name].name))
            members[name] = Member(span, self._value(depth + 1))
            if self._is_next("}"):
                return members
            if not self._is_next(","):
                raise self._error("',' or '}' is missing")


def duplicate(file: str, span: Span, name: str, first: Span) -> Problem:
    """Return the problem of a duplicate name in a map."""
    message = f"duplicate name {shown(name)} (first at line {first.line})"
    return Problem.at(file, span, message, "duplicate_name")
