"""A template of an entry, as rules look at it: compiled by the function, and taken apart."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from lava_s3trigger.templates.documents import CompileError, Document, parsed
from lava_s3trigger.templates.environment import TemplateEnvironment
from lava_s3trigger.templates.limits import compile_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = re.compile(r"\{[{%#]")
_ENDS: Final = {"{{": "}}", "{%": "%}", "{#": "#}"}
_PLAIN_TEXT: Final = re.compile(r"[A-Za-z0-9_ ./:,;@=&?+*!-]+")
_MAX_CHAIN: Final = 10
VARIABLES: Final = frozenset(["bucket", "key", "event", "info", "utils"])
_SPECIAL: Final = frozenset(["self", "loop", "caller", "varargs", "kwargs", "super"])


@dataclass(frozen=True, slots=True)
class _Code:
    """The code of a template: its expressions and statements, without the text around them."""

    tree: nodes.Template | None = None
    """None where it cannot be parsed."""
    is_sound: bool = False
    """Whether it can be compiled."""
    read: frozenset[str] = frozenset()
    """Names of the variables that it reads."""
    own: frozenset[str] = frozenset()
    """Names of the variables that it sets."""
    filters: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    members: tuple[tuple[str, ...], ...] = ()
    """What it asks variables for: ``a.b['c']`` as ``("a", "b", "c")``."""


@dataclass(frozen=True, slots=True)
class TemplateText:
    """A document of an entry that is a template."""

    value: Any
    code: _Code
    error: str | None
    """Why the function cannot compile it."""

    @classmethod
    def of(cls, value: Any, *, is_globals: bool = False) -> TemplateText | None:
        """Return a document as a template; None where it is none."""
        document = Document(value, is_globals=is_globals)
        if not document.is_template:
            return None
        code = _code(json.dumps(_skeleton(value)))
        if code.is_sound:
            return cls(value, code, None)
        try:
            document.compile()
        except CompileError as error:
            return cls(value, code, error.reason)
        except TimeoutError as error:
            return cls(value, code, str(error))
        return cls(value, code, None)

    def unknown_variables(self) -> set[str]:
        """Return the names of variables that neither the function nor the template has."""
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

    def literal(self) -> Any:
        """Return the document without what expressions and statements put out."""
        return _without_code(self.value)

    def pieces(self) -> list[str] | None:
        """Return the texts that stand in all it renders to, in their order.

        Between two of them stands what an expression puts out. None where it is not known.
        """
        if not self.code.is_sound or not isinstance(self.value, str):
            return None
        try:
            tree = parsed(template_environment(), self.value)
        except Exception:  # noqa: BLE001 - it is sound, but may be deep
            return None
        texts = [""]
        for each in tree.body:
            if isinstance(each, nodes.Output):
                for part in each.nodes:
                    if isinstance(part, nodes.TemplateData):
                        texts[-1] += part.data
                    else:
                        texts.append("")
            elif not isinstance(each, nodes.Assign):
                texts.append("")
        if not (texts[0].startswith('"') and texts[-1].endswith('"')):
            return None
        texts[0], texts[-1] = texts[0][1:], texts[-1][:-1]
        try:
            return [json.loads(f'"{each}"') for each in texts]
        except ValueError:
            return None

    def path_of(self, name: str) -> tuple[tuple[str | int, ...], bool]:
        """Return the path of the string that has some code in it, and if that is a name."""
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        for path, text, of_name in strings(self.value):
            if MARK.search(text) and word.search(text):
                return path, of_name
        return (), False

    def path_of_error(self) -> tuple[tuple[str | int, ...], bool]:
        """Return the path of the string that cannot be compiled by itself."""
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
    """Yield the path of each string of a value, the string, and if it is a name."""
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
    """Return an environment such as the function has."""
    return TemplateEnvironment()


def _skeleton(value: Any) -> Any:
    """Return a document in which plain text around code is left out.

    What it leaves out cannot change how the code compiles, so many entries share one.
    """
    if isinstance(value, str):
        if not MARK.search(value):
            return ""
        return "".join(
            piece if is_code else _PLAIN_TEXT.sub("", piece) for piece, is_code in _split(value)
        )
    if isinstance(value, dict):
        return [each for item in value.items() for each in map(_skeleton, item)]
    if isinstance(value, list):
        return [_skeleton(each) for each in value]
    return None


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
    read: set[str] = set()
    own: set[str] = set()
    filters: dict[str, None] = {}
    tests: dict[str, None] = {}
    members: dict[tuple[str, ...], None] = {}
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case nodes.Name():
                (read if node.ctx == "load" else own).add(node.name)
            case nodes.Filter():
                filters[node.name] = None
            case nodes.Test():
                tests[node.name] = None
            case nodes.Getattr() | nodes.Getitem():
                if len(chain := _chain(node)) > 1:
                    members[chain] = None
            case _:
                pass
        waiting += node.iter_child_nodes()
    return _Code(
        tree,
        is_sound,
        frozenset(read),
        frozenset(own),
        tuple(filters),
        tuple(tests),
        tuple(members),
    )


def _chain(node: nodes.Node) -> tuple[str, ...]:
    """Return the names of `a.b['c']`; none where it is anything else."""
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


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a template, and whether each is code."""
    at = 0
    while found := MARK.search(text, at):
        end = text.find(_ENDS[found[0]], found.end())
        if end < 0:
            break
        yield text[at : found.start()], False
        at = end + 2
        yield text[found.start() : at], True
    yield text[at:], False


def _without_code(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(piece for piece, is_code in _split(value) if not is_code)
    if isinstance(value, dict):
        return {_without_code(name): _without_code(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_code(each) for each in value]
    return value
