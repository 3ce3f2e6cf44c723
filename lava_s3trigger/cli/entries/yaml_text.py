"""Reads YAML 1.2 with the place of each value, in types that DynamoDB can store.

ruamel.yaml parses. This module decides the meaning of plain scalars, so that it does not depend
on the reader: a number is a number, ``no`` is a string with a note, and a date is a problem.
"""

from __future__ import annotations

import contextlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.units import shown

from .json_text import MAX_DEPTH, duplicate
from .positions import Member, Node, Problem, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .positions import Scalar

MAX_NODES: Final = 1_000_000
"""Values of a file, with those of aliases counted each time: a few lines can mean millions."""

_SAFE_DEPTH: Final = 2_000
"""Levels for which the C stack of any thread is enough."""

_NULLS: Final = frozenset(["", "~", "null", "Null", "NULL"])
_BOOLEANS: Final = {
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}.*)?"
)
# Scalars that YAML 1.1, as PyYAML reads it, reads differently. https://yaml.org/type/
_OTHERWISE: Final = (
    (re.compile(r"(?:yes|Yes|YES|on|On|ON|no|No|NO|off|Off|OFF|[yYnN])"), "a boolean"),
    (re.compile(r"[-+]?0[0-7_]+"), "an octal number"),
    (re.compile(r"0o[0-7]+"), "a string"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number"),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?"), "a number"),
    (re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "a number of base 60"),
    (re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?[0-9]+\.[0-9]*[eE][0-9]+"), "a string"),
)
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq", "int", "float", "bool", "null")
)
_OF_STRINGS: Final = ("tag:yaml.org,2002:str", "!")
_COLLECTIONS: Final = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!", "None")
_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class YamlText:
    """Reads the documents of a YAML text.

    Args:
        text: The text.
        file: Name of the file, for problems.
    """

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._count = 0
        self.problems: list[Problem] = []

    def documents(self) -> Iterator[Node]:
        """Yield the documents; stop with a problem at invalid YAML."""
        from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 - start-up

        try:
            for document in _compose(self._text):
                if document is not None:
                    yield self._node(document, 0)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
            message = " ".join(filter(None, [error.context, error.problem]))
            self.problems.append(Problem(self._file, line, column, f"no valid YAML: {message}"))
        except _TooLargeError as error:
            self.problems.append(Problem.at(self._file, error.span, str(error)))
        except YAMLError as error:
            first = str(error).partition("\n")[0]
            self.problems.append(Problem(self._file, None, None, f"no valid YAML: {first}"))

    def _problem(self, span: Span, message: str, kind: str) -> None:
        self.problems.append(Problem.at(self._file, span, message, kind))

    def _node(self, node: Any, depth: int) -> Node:
        mark = node.start_mark
        span = Span(mark.line + 1, mark.column + 1, mark.index, node.end_mark.index)
        self._count += 1
        if depth > MAX_DEPTH:
            raise _TooLargeError(f"nested more than {MAX_DEPTH} deep", span)
        if self._count > MAX_NODES:
            raise _TooLargeError(f"more than {MAX_NODES} values, those of aliases counted", span)
        if isinstance(node.value, str):
            return self._scalar(node, span)
        if str(node.tag) not in _COLLECTIONS:
            self._unknown_tag(node, span)
        if _id_of(node) == "sequence":
            return Node([self._node(item, depth + 1) for item in node.value], span)
        return Node(self._members(node, depth), span)

    def _members(self, node: Any, depth: int) -> dict[str, Member]:
        members: dict[str, Member] = {}
        merged: dict[str, Member] = {}
        for key, value in node.value:
            name = self._node(key, depth + 1)
            if key.value == "<<" and not name.is_quoted:
                for source in [value] if _id_of(value) == "mapping" else value.value:
                    if _id_of(source) == "mapping":
                        merged = {**self._members(source, depth + 1), **merged}
                continue
            if not isinstance(name.value, str):
                is_scalar = isinstance(key.value, str)
                hint = f': put it in quotes, "{key.value}"' if is_scalar else ""
                message = f"the name of a field must be a string{hint}"
                self._problem(name.span, message, "name_not_a_string")
                name.value = str(key.value) if is_scalar else ""
            if name.value in members:
                first = members[name.value].name
                self.problems.append(duplicate(self._file, name.span, name.value, first))
            members[name.value] = Member(name.span, self._node(value, depth + 1))
        return {**merged, **members}

    def _scalar(self, node: Any, span: Span) -> Node:
        text: str = node.value
        tag = str(node.tag)
        is_explicit = self._text.startswith("!", span.start)
        if is_explicit and tag not in _TAGS and tag not in _OF_STRINGS:
            self._unknown_tag(node, span)
        if node.style or (is_explicit and tag in _OF_STRINGS):
            return Node(_PAIR.sub(_joined, text), span)
        if _DATE.fullmatch(text):
            message = f'YAML reads {text} as a date: put it in quotes, "{text}"'
            self._problem(span, message, "date")
            return Node(text, span, is_quoted=False)
        note = next((kind for pattern, kind in _OTHERWISE if pattern.fullmatch(text)), None)
        return Node(self._plain(text, span), span, note=note, is_quoted=False)

    def _unknown_tag(self, node: Any, span: Span) -> None:
        message = f"the tag {shown(str(node.tag))} means nothing here: remove it"
        self._problem(span, message, "unknown_tag")

    def _plain(self, text: str, span: Span) -> Scalar:
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _INTEGER.fullmatch(text):
            return int(Decimal(text))
        if _BASED.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            with contextlib.suppress(ArithmeticError):  # an exponent with many digits
                return Decimal(text)
        if _FLOAT.fullmatch(text) or _NO_NUMBER.fullmatch(text):
            self._problem(span, f"DynamoDB cannot hold {text}: put it in quotes", "number")
        return text


class _TooLargeError(Exception):
    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.span = span


def _compose(text: str) -> Iterator[Any]:
    """Yield the nodes of ruamel.yaml.

    libyaml is much faster, but reads YAML 1.1: it refuses ``[ObjectCreated:Put]``, and
    halves of surrogate pairs, as JSON writes characters beyond U+FFFF.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - start-up
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - start-up

    _require_shallow(text)
    try:
        yield from list(YAML(typ="safe", pure=False).compose_all(text))
    except YAMLError:
        try:
            yield from YAML(typ="safe", pure=True).compose_all(text)
        except RecursionError:
            raise _TooLargeError(f"nested more than {MAX_DEPTH} deep", Span(1, 1, 0, 0)) from None


def _require_shallow(text: str) -> None:
    """Raise an error for a text with which libyaml would overflow the stack.

    libyaml composes by recursion in C, so tens of thousands of brackets end Python itself.
    Reading its events does not, but takes time, so this is done only if the text may be so deep.

    Raises:
        _TooLargeError: The text is nested too deeply.
    """
    # Each level needs a bracket, or one more column of a line.
    brackets = text.count("[") + text.count("{")
    columns = max(map(len, text.split("\n")))
    if brackets + columns < _SAFE_DEPTH:
        return
    from ruamel.yaml import YAML  # noqa: PLC0415 - start-up
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - start-up

    depth = 0
    with contextlib.suppress(YAMLError):  # the reader of the text reports it
        for event in YAML(typ="safe", pure=False).parse(text):
            kind = type(event).__name__
            depth += kind.endswith(("MappingStartEvent", "SequenceStartEvent"))
            depth -= kind.endswith(("MappingEndEvent", "SequenceEndEvent"))
            if depth > _SAFE_DEPTH:
                mark = event.start_mark
                span = Span(mark.line + 1, mark.column + 1, mark.index, mark.index)
                raise _TooLargeError(f"nested more than {MAX_DEPTH} deep", span)


def _id_of(node: Any) -> str:
    return str(getattr(node, "id", ""))


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")
