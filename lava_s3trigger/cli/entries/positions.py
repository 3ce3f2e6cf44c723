"""Values of a file, each with its place in the text.

The content of a file is kept as a tree of nodes, so that a finding has a line and a column,
and a correction knows which characters to replace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

Scalar = str | int | Decimal | bool | None


class Span(NamedTuple):
    """A part of a file's text."""

    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    start: int
    """Characters from the beginning of the text."""
    end: int


_NOWHERE: Final = Span(0, 0, 0, 0)


class Problem(NamedTuple):
    """Why a file, or a part of it, cannot be read."""

    file: str
    line: int | None
    column: int | None
    message: str
    kind: str = "syntax"
    """The kind of problem: one of a small set. Each kind has a rule of `check`."""

    @classmethod
    def at(cls, file: str, span: Span, message: str, kind: str = "syntax") -> Problem:
        """Return a problem at the beginning of a span."""
        return cls(file, span.line, span.column, message, kind)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{place}: {self.message}"


@dataclass(slots=True)
class Member:
    """A member of a map: the place of its name, and its value."""

    name: Span
    value: Node


@dataclass(slots=True)
class Node:
    """A value, and its place."""

    value: Scalar | list[Node] | dict[str, Member]
    span: Span
    attribute_type: str | None = None
    """The type of DynamoDB, if the file is in DynamoDB's JSON."""
    note: str | None = None
    """How a reader of YAML 1.1 reads it, if that differs."""
    is_quoted: bool = field(default=True)
    """Whether a string is in quotes or in a block."""

    def plain(self) -> Any:
        """Return the value in Python's types, as from `json`."""
        match self.value:
            case dict():
                return {name: member.value.plain() for name, member in self.value.items()}
            case list():
                return [node.plain() for node in self.value]
            case Decimal():
                return float(self.value)
            case _:
                return self.value

    def member(self, step: str | int) -> Node | None:
        """Return the value with a name or at a position, or None."""
        if isinstance(self.value, dict) and isinstance(step, str):
            member = self.value.get(step)
            return member.value if member else None
        if isinstance(self.value, list) and isinstance(step, int):
            return self.value[step] if step < len(self.value) else None
        return None

    def find(self, path: tuple[str | int, ...]) -> Node | None:
        """Return the node at a path of names and positions, or None."""
        node: Node | None = self
        for step in path:
            node = node.member(step) if node else None
        return node

    @classmethod
    def of(cls, value: Any) -> Node:
        """Return the node of a value of JSON or YAML without a place."""
        match value:
            case dict():
                value = {
                    str(name): Member(_NOWHERE, cls.of(member)) for name, member in value.items()
                }
            case list():
                value = [cls.of(member) for member in value]
            case float():
                value = Decimal(repr(value))
        return cls(value, _NOWHERE)
