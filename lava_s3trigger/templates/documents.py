"""Documents of a trigger entry: JSON whose strings are templates.

See docs/rendering.md for what templates can do.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes

from lava_s3trigger.units import shown

from .environment import RESERVED_MARK, TemplateEnvironment, joined
from .limits import CompileTimeoutError, ThreadError, compile_bounded
from .source import RESERVED as RESERVED  # noqa: PLC0414 - jobs have such names, too
from .source import source_of, text_of
from .utils import UTILS
from .weighing import MAX_BITS, MAX_CHARACTERS, MAX_DEPTH, WeightError, forget, weigh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template
    from jinja2.runtime import Context

    from lava_s3trigger.events import S3Event

_MARKS: Final = ("{{", "{%", "{#")
_DECODER: Final = json.JSONDecoder()
_ESCAPE: Final = re.compile(r"\\.")


class RenderingError(ValueError):
    """A template cannot be compiled or rendered; the message says why."""


class CompileError(RenderingError):
    """A template cannot be compiled.

    Attributes:
        reason: The cause only.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"it cannot be compiled: {reason}")
        self.reason = reason


class Variables(dict[str, Any]):
    """The variables of the templates of a trigger, for one event."""

    __slots__ = ("_excess", "_excess_of_event", "_given")

    def __init__(self, known: dict[str, Any]) -> None:
        super().__init__(known)
        self._excess: str | None = None
        self._excess_of_event: str | None = None
        self._given: frozenset[int] | None = None

    def check(self, *, names_event: bool) -> None:
        """Check, once, that the variables are not too large.

        The event itself is weighed only if a template names it, which few do.

        Raises:
            RenderingError: It is too large.
        """
        if self._excess is None:
            self._excess = self._excess_of_info(self.get("info", {}))
        if names_event and self._excess_of_event is None:
            self._excess_of_event = _excess("event", self.get("event"))
            self._given = None
        excess = self._excess or (names_event and self._excess_of_event)
        if excess:
            raise RenderingError(excess)

    @staticmethod
    def _excess_of_info(info: dict[str, Any]) -> str:
        texts = [value for value in info.values() if type(value) is str]
        if sum(map(len, texts)) <= MAX_CHARACTERS and info.get("size", 0).bit_length() <= MAX_BITS:
            return ""  # as nearly always
        return next(filter(None, map(_excess, info, info.values())), "")

    def holds(self, container: list[Any] | dict[str, Any]) -> bool:
        """Return whether a list or map is part of a variable: templates must not change it."""
        if self._given is None:
            # An event that no template names cannot be reached, and may be very deep.
            reachable = self if self._excess_of_event == "" else {**self, "event": None}
            self._given = frozenset(_container_ids(reachable))
        return id(container) in self._given


def _container_ids(container: Any) -> Iterator[int]:
    yield id(container)
    for member in container.values() if isinstance(container, dict) else container:
        if isinstance(member, (dict, list)):
            yield from _container_ids(member)


def variables(event: S3Event) -> Variables:
    """Return the variables of the templates of a trigger."""
    return Variables(
        {
            **_environment().globals,
            "bucket": event.bucket,
            "key": event.key,
            "event": event.record,
            "info": event.info,
            "utils": UTILS,
        }
    )


def _excess(name: str, value: Any) -> str:
    try:
        weigh(value)
    except WeightError as error:
        return f"{name} {error.reason}"
    return ""


class Document:
    """A JSON value whose strings, keys too, form one Jinja template.

    Args:
        value: The value as the entry has it.
        jinja: Whether its strings are templates; if not, it renders unchanged.
        is_globals: Whether it is the map of globals: no rendered name in it may begin with
            `RESERVED`.
    """

    __slots__ = ("_error", "_marker", "_names_event", "_template", "is_template", "value")

    def __init__(self, value: Any, *, jinja: bool = True, is_globals: bool = False) -> None:
        self.value = value
        self.is_template = jinja and _has_marks(value)
        self._marker = RESERVED_MARK if is_globals else ""
        self._template: Template | None = None
        self._names_event = False
        self._error: str | None = None
        """The error if it cannot be compiled."""

    def render(self, variables: dict[str, Any]) -> Any:
        """Render the document; the caller must not change the result.

        It is compiled once, when it is first rendered: most entries never match.

        Args:
            variables: What the function `variables` returns for the event.

        Raises:
            RenderingError: It cannot be rendered; the message says why.
            TimeoutError: It could not be compiled in what other documents left of the time.
        """
        if not self.is_template:
            return self.value
        template = self._template or self.compile()
        wrapped = variables if isinstance(variables, Variables) else Variables(variables)
        wrapped.check(names_event=self._names_event)
        environment = template.environment
        environment.start(wrapped.holds)  # type: ignore[attr-defined]
        # As Template.new_context does, but without copying the variables each time, since
        # templates only read them.
        context = environment.context_class(environment, wrapped, template.name, template.blocks)
        rendered = _rendered(template, context)
        if type(rendered) is not type(self.value):
            raise RenderingError(f"it renders to {shown(rendered)}")
        return self._with_names_checked(rendered) if self._marker else rendered

    def compile(self) -> Template:
        """Compile it once, and keep the template or the error.

        Raises:
            CompileError: It cannot be compiled.
            TimeoutError: It could not be compiled in what other documents left of the time.
        """
        if self._template:
            return self._template
        if self._error:
            raise CompileError(self._error)
        try:
            template = self._template = compile_bounded(self._compiled)
        except CompileTimeoutError as error:
            self._error = str(error)
        except (TimeoutError, ThreadError):
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self._error = _reason(error)
        else:
            return template
        raise CompileError(self._error)

    def _compiled(self) -> Template:
        environment = _environment()
        tree = parsed(environment, self.value, self._marker)
        self._names_event = any(name.name == "event" for name in tree.find_all(nodes.Name))
        return environment.from_string(tree)

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


def parsed(environment: TemplateEnvironment, value: Any, marker: str = "") -> nodes.Template:
    """Parse the template that the strings of a value form.

    Raises:
        Exception: It is not a template; Jinja raises many kinds.
    """
    return environment.parse(source_of(environment, *text_of(value, marker)))


@cache
def _environment() -> TemplateEnvironment:
    return TemplateEnvironment()


def _rendered(template: Template, context: Context) -> Any:
    """Render a template with its variables, and decode what it renders to.

    Raises:
        RenderingError: It cannot be rendered; the message says why.
    """
    try:
        return _decoded(joined(template.root_render_func(context)))
    except json.JSONDecodeError as error:
        raise RenderingError(f"what it renders to is not JSON: {error}") from None
    except Exception as error:  # noqa: BLE001 - a template can raise anything
        raise RenderingError(_reason(error)) from None
    finally:
        forget()
        context.vars.clear()  # macros in it refer to it, a cycle


def _decoded(text: str) -> Any:
    """Decode JSON.

    Raises:
        WeightError: It is nested too deep.
        json.JSONDecodeError: It is not JSON.
    """
    # Hardly any text is that long and has so many brackets, so those in strings may count too.
    if len(text) > 2 * MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    value, end = _DECODER.raw_decode(text)
    if end < len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for character in "".join(_ESCAPE.sub("", text).split('"')[::2]):  # without strings
        if character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise WeightError(f"is nested more than {MAX_DEPTH} deep", "what it renders to")
        elif character in "]}":
            depth -= 1


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes too much memory"
    if isinstance(error, WeightError):
        return str(error)
    try:
        text = shown(str(error), at_most=400)
    except Exception:  # noqa: BLE001 - its text may be the template's to make
        text = "an error that cannot be shown"
    return f"{type(error).__name__}: {text}"


def _has_marks(value: Any) -> bool:
    text, _ = text_of(value, "")
    return any(mark in text for mark in _MARKS)
