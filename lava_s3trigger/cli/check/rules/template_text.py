"""A template of an entry, as rules see it: compiled by the function, and split into parts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from lava_s3trigger.templates.documents import CompileError, Document, parsed
from lava_s3trigger.templates.environment import TemplateEnvironment
from lava_s3trigger.templates.limits import compile_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

MARK: Final = re.compile(r"\{[{%#]")
_ENDS: Final = {"{{": "}}", "{%": "%}", "{#": "#}"}
_PLAIN_TEXT: Final = re.compile(r"[A-Za-z0-9_ ./:,;@=&?+*!-]+")
_MAX_CHAIN: Final = 10
_CAPTURES: Final = (
    nodes.AssignBlock,
    nodes.Macro,
    nodes.CallBlock,
    nodes.FilterBlock,
    nodes.Block,
)
"""Nodes that pass text to other code of the template."""
VARIABLES: Final = frozenset(["bucket", "key", "event", "info", "utils"])
_SPECIAL: Final = frozenset(["self", "loop", "caller", "varargs", "kwargs", "super"])


@dataclass(frozen=True, slots=True)
class _Code:
    """The code of a template: its expressions and statements, without the text around them."""

    tree: nodes.Template | None = None
    """The syntax tree; None if the template cannot be parsed."""
    is_sound: bool = False
    """Whether it can be compiled."""
    read: frozenset[str] = frozenset()
    """Names of the variables that it reads."""
    own: frozenset[str] = frozenset()
    """Names of the variables that it sets."""
    filters: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    members: tuple[tuple[str, ...], ...] = ()
    """The members of variables that it reads: ``a.b['c']`` as ``("a", "b", "c")``."""
    private: tuple[str, ...] = ()
    """Attributes that it reads and that begin with an underscore."""
    aspects: frozenset[str] = frozenset()
    """The parts of an event that it depends on: elements of `info`, all of `info`, `event`."""
    keeps_text: bool = False
    """Whether it computes with the text around expressions."""


@dataclass(frozen=True, slots=True)
class TemplateText:
    """A document of an entry that is a template."""

    value: Any
    code: _Code
    error: str | None
    """Why the function cannot compile it."""
    is_globals: bool
    reduced: str
    """The document as JSON, with one character in place of plain text around code."""

    @classmethod
    def of(cls, value: Any, *, is_globals: bool = False) -> TemplateText | None:
        """Return a document as a template; None if it is not a template."""
        document = Document(value, is_globals=is_globals)
        if not document.is_template:
            return None
        text = json.dumps(_reduced(value))
        code = _code(text)
        reason = None
        if not code.is_sound:
            try:
                document.compile()
            except CompileError as error:
                reason = error.reason
            except TimeoutError as error:
                reason = str(error)
        return cls(value, code, reason, is_globals, text)

    def unknown_variables(self) -> set[str]:
        """Return the names of variables that neither the function nor the template sets."""
        if self.code.tree is None:
            return set()
        environment = template_environment()
        known = VARIABLES | _SPECIAL | environment.globals.keys()
        if self.code.read <= known:
            return set()
        try:
            return find_undeclared_variables(self.code.tree) - known
        except Exception:  # noqa: BLE001 - a template can fail in many ways
            return set(self.code.read - self.code.own - known)

    def pieces(self) -> list[str] | None:
        """Return the texts that every rendering contains, in their order.

        Between two texts is the output of an expression. None if they are not known.
        """
        if not self.code.is_sound or not isinstance(self.value, str):
            return None
        try:
            tree = parsed(template_environment(), self.value)
        except Exception:  # noqa: BLE001 - it is sound, but may be deep
            return None
        texts = [""]
        for node in tree.body:
            if isinstance(node, nodes.Output):
                for part in node.nodes:
                    if isinstance(part, nodes.TemplateData):
                        texts[-1] += part.data
                    else:
                        texts.append("")
            elif not isinstance(node, nodes.Assign):
                texts.append("")
        if not (texts[0].startswith('"') and texts[-1].endswith('"')):
            return None
        texts[0], texts[-1] = texts[0][1:], texts[-1][:-1]
        try:
            return [json.loads(f'"{text}"') for text in texts]
        except ValueError:
            return None

    def path_of(self, name: str) -> tuple[tuple[str | int, ...], bool]:
        """Return the path of the string that has some code in it, and whether it is a name."""
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        for path, text, of_name in strings(self.value):
            if MARK.search(text) and word.search(text):
                return path, of_name
        return (), False

    def path_of_error(self) -> tuple[tuple[str | int, ...], bool]:
        """Return the path of the string that cannot be compiled separately."""
        for path, text, of_name in strings(self.value):
            if MARK.search(text):
                try:
                    template_environment().parse(text)
                except Exception:  # noqa: BLE001 - a template can fail in many ways
                    return path, of_name
        return (), False


def stands_in_order(pieces: list[str], text: str) -> bool:
    """Return whether a text consists of pieces, with anything between them."""
    first, *middle = pieces
    if not middle:
        return text == first
    last = middle.pop()
    start, end = len(first), len(text) - len(last)
    if start > end or not text.startswith(first) or not text.endswith(last):
        return False
    for piece in middle:
        at = text.find(piece, start, end)
        if at < 0:
            return False
        start = at + len(piece)
    return True


def strings(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
    """Yield the path of each string of a value, the string, and whether it is a name."""
    if isinstance(value, str):
        yield path, value, False
    elif isinstance(value, dict):
        for name, member in value.items():
            yield (*path, name), name, True
            yield from strings(member, (*path, name))
    elif isinstance(value, list):
        for n, member in enumerate(value):
            yield from strings(member, (*path, n))


@cache
def template_environment() -> TemplateEnvironment:
    """Return an environment like that of the function."""
    return TemplateEnvironment()


def _reduced(value: Any) -> Any:
    """Return a document with plain text around code reduced to one character.

    The removed text does not change how the code compiles, so many entries share one result.
    """
    if isinstance(value, str):
        if not MARK.search(value):
            return ""
        return "".join(
            piece if is_code else _PLAIN_TEXT.sub("-", piece)
            for piece, is_code in code_pieces(value)
        )
    if isinstance(value, dict):
        return {
            name if MARK.search(name) else str(n): _reduced(member)
            for n, (name, member) in enumerate(value.items())
        }
    if isinstance(value, list):
        return [_reduced(item) for item in value]
    return None


class Cut(NamedTuple):
    """The beginning of a document, up to the end of a piece of code."""

    strings: list[str]
    path: tuple[str | int, ...]
    """Path of the string with the code."""
    of_name: bool
    code: str


def cuts(value: Any) -> Iterator[Cut]:
    """Yield the beginnings of a document that end with a piece of code, the shortest first."""
    before: list[str] = []
    for path, text, of_name in strings(value):
        at = ""
        for piece, is_code in code_pieces(text):
            at += piece
            if is_code:
                yield Cut([*before, at], path, of_name, piece)
        before.append(text)


@lru_cache(4096)
def _code(text: str) -> _Code:
    environment = template_environment()
    tree: nodes.Template | None = None

    def parse_and_compile() -> None:
        nonlocal tree
        tree = parsed(environment, json.loads(text))
        environment.from_string(tree)

    try:
        compile_bounded(parse_and_compile)
        is_sound = True
    except Exception:  # noqa: BLE001 - a template can fail in many ways
        is_sound = False
    return _walked(tree, is_sound=is_sound) if tree else _Code()


def _walked(tree: nodes.Template, *, is_sound: bool) -> _Code:
    every = [*_all_nodes(tree)]
    names = [node for node in every if isinstance(node, nodes.Name)]
    read = frozenset(name.name for name in names if name.ctx == "load")
    asked = [node for node in every if isinstance(node, (nodes.Getattr, nodes.Getitem))]
    chains = [chain for node in asked if len(chain := _chain(node)) > 1]
    of_info = [chain[1] for chain in chains if chain[:-1] == ("info",)]
    is_whole = len(of_info) < sum(name.name == "info" for name in names)
    return _Code(
        tree,
        is_sound,
        read,
        own=frozenset(name.name for name in names if name.ctx != "load"),
        filters=_unique(node.name for node in every if isinstance(node, nodes.Filter)),
        tests=_unique(node.name for node in every if isinstance(node, nodes.Test)),
        members=_unique(chains),
        private=_unique(
            node.attr
            for node in asked
            if isinstance(node, nodes.Getattr) and node.attr.startswith("_")
        ),
        aspects=frozenset(of_info) | (read & {"event"}) | ({"info"} if is_whole else set()),
        keeps_text=any(isinstance(node, _CAPTURES) for node in every),
    )


def _all_nodes(tree: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.iter_child_nodes()


def _unique(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _chain(node: nodes.Node) -> tuple[str, ...]:
    """Return the names of `a.b['c']`; none for any other node."""
    names: list[str] = []
    while len(names) < _MAX_CHAIN:
        match node:
            case nodes.Name(name=name):
                return (name, *reversed(names))
            case nodes.Getattr(node=inner, attr=name):
                pass
            case nodes.Getitem(node=inner, arg=nodes.Const(value=str(name))):
                pass
            case _:
                break
        names.append(name)
        node = inner
    return ()


def code_pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a template, and whether each is code."""
    at = 0
    while mark := MARK.search(text, at):
        end = text.find(_ENDS[mark[0]], mark.end())
        if end < 0:
            break
        yield text[at : mark.start()], False
        at = end + 2
        yield text[mark.start() : at], True
    yield text[at:], False
