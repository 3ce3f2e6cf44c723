"""Documents of a trigger entry: JSON whose strings are templates. See docs/design.md#rendering."""

from __future__ import annotations

import contextlib
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.units import shown

from .environment import RESERVED_MARK, UTILS, TemplateEnvironment, escaped, import_parts, joined
from .harmless import is_harmless, operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template

    from lava_s3trigger.events import S3Event

RESERVED: Final = "lava"
"""Names of globals that begin so, in any case, are lava's own."""

_MARKS: Final = ("{{", "{%", "{#")
_LONG: Final = 16 * 1024
_BRIEF: Final = 4 * 1024


class RenderingError(ValueError):
    """A template cannot be compiled or rendered; the message says why."""


class Document:
    """A JSON value, of which all strings, keys too, are one Jinja template together.

    Args:
        value: The value as the entry has it.
        jinja: Whether its strings are templates; if not, it renders as it stands.
        is_globals: Whether it is the map of globals, of which rendering must not
            make a name begin with `RESERVED`.
    """

    __slots__ = ("_broken", "_is_harmless", "_marker", "_template", "operations", "value")

    def __init__(self, value: Any, *, jinja: bool = True, is_globals: bool = False) -> None:
        self.value = value
        self._marker = RESERVED_MARK if is_globals else ""
        self._template: Template | None = None
        self._broken: str | None = None
        self._is_harmless = False
        self.operations = float("inf")
        """How many it takes, where it is known to be light: `harmless.operations`."""
        if jinja and _is_template(value):
            return
        self._template = _PLAIN
        self.operations = 0.0

    @property
    def is_compiled(self) -> bool:
        """Whether it is compiled, or known to be broken."""
        return self._template is not None or self._broken is not None

    @property
    def is_harmless(self) -> bool:
        """Whether it may be rendered in the function's own process.

        Where the text is long, not even to compile it is.
        """
        if not self.is_compiled:
            source = _text(self.value, self._marker)
            if len(source[0]) > _LONG:
                return False
            with contextlib.suppress(RenderingError):  # which is raised again by `render`
                self._compile(*source)
        return self._template is _PLAIN or self._is_harmless or self._broken is not None

    def render(self, variables: dict[str, Any]) -> Any:
        """Render the document; the result is not to be changed.

        Args:
            variables: What `variables` gives for the event.

        Raises:
            RenderingError: It cannot be rendered; the message says why.
        """
        if self._template is _PLAIN:
            return self.value
        try:
            template = self._template or self._compile(*_text(self.value, self._marker))
            # What Template.new_context does, without copying the variables each time:
            # templates only read them.
            environment = template.environment
            context = environment.context_class(
                environment, variables, template.name, template.blocks
            )
            rendered = json.loads(joined(template.root_render_func(context)))
        except RenderingError:
            raise
        except json.JSONDecodeError as error:
            raise RenderingError(f"what it renders to is not JSON: {error}") from None
        except Exception as error:  # noqa: BLE001 - a template can raise anything
            raise RenderingError(_reason(error)) from None
        if type(rendered) is not type(self.value):
            raise RenderingError(f"it renders to {shown(rendered)}")
        return self._with_names_checked(rendered) if self._marker else rendered

    def _compile(self, text: str, quotes: list[int]) -> Template:
        """Compile once, for as long as the document is kept; also what fails."""
        if self._broken:
            raise RenderingError(self._broken)
        try:
            environment = _environment()
            tree = environment.parse(_source(environment, text, quotes))
            self._is_harmless = is_harmless(tree)
            if not self._is_harmless:
                import_parts(text)
            if self._is_harmless and len(text) <= _BRIEF:
                self.operations = operations(tree)
            self._template = environment.from_string(tree)
        except Exception as error:  # noqa: BLE001 - likewise
            self._broken = f"it cannot be compiled: {_reason(error)}"
            raise RenderingError(self._broken) from None
        return self._template

    def _with_names_checked(self, rendered: dict[str, Any]) -> dict[str, Any]:
        checked = {}
        for name, value in rendered.items():
            if name.startswith(self._marker):
                checked[name.removeprefix(self._marker)] = value
            elif name.lower().startswith(RESERVED):
                raise RenderingError(
                    f"it makes a global {shown(name)}, and {RESERVED} begins those of lava's own"
                )
            else:
                checked[name] = value
        return checked


_PLAIN: Final[Any] = object()


def variables(event: S3Event) -> dict[str, Any]:
    """Give the variables that the templates of a trigger know."""
    return {
        **_environment().globals,
        "bucket": event.bucket,
        "key": event.key,
        "event": event.record,
        "info": event.info,
        "utils": UTILS,
    }


@cache
def _environment() -> TemplateEnvironment:
    return TemplateEnvironment()


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes too much memory"
    try:
        text = shown(str(error), at_most=400)
    except Exception:  # noqa: BLE001 - its text may be the template's to make
        text = "an error that cannot be shown"
    return f"{type(error).__name__}: {text}"


def _is_template(value: Any) -> bool:
    text, _ = _text(value, "")
    return any(mark in text for mark in _MARKS)


def _text(value: Any, marker: str) -> tuple[str, list[int]]:
    """Give the JSON text of a value, its strings not yet escaped.

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
        for number, (name, each) in enumerate(value.items()):
            if number:
                yield ", ", False
            is_reserved = marker and name.lower().startswith(RESERVED)
            yield from _pieces(f"{marker}{name}" if is_reserved else name)
            yield ": ", False
            yield from _pieces(each)
        yield "}", False
    elif isinstance(value, list):
        yield "[", False
        for number, each in enumerate(value):
            if number:
                yield ", ", False
            yield from _pieces(each)
        yield "]", False
    else:
        yield json.dumps(value), False


def _source(environment: TemplateEnvironment, text: str, quotes: list[int]) -> str:
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
    r"""Rewrite a string literal so that Jinja reads it as docs/design.md#rendering says.

    ``\n``, ``\t``, ``\r`` and ``\uXXXX`` are that character; every other backslash
    stays as written, a pair of them too, which is no place to begin an escape at.
    """
    body = _ESCAPED.sub(
        lambda match: match[0] if match[0] == r"\\" else json.loads(f'"{match[0]}"'), token[1:-1]
    )
    return "'" + body.encode("unicode_escape").decode("ascii").replace("'", r"\'") + "'"
