"""The Jinja environment that templates run in.

Two invariants hold while a template runs. In *expressions*, every value is data as it is.
In *buffers*, everything is JSON string text: what the template's author wrote outside
expressions was escaped at compile time (`source`), and what an expression puts out is
escaped on its way in. Where Jinja captures a buffer to make a value of it (set blocks,
macros, calls, filters, blocks), it is unescaped. So data can neither leave its string nor
be escaped twice.

A third holds for confinement: every value that an expression makes is weighed (`weighing`).
"""

from __future__ import annotations

import datetime as dt
import json
import re
import types
import uuid
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes, pass_eval_context
from jinja2.compiler import CodeGenerator
from jinja2.filters import do_indent, do_round
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from markupsafe import Markup, escape

from . import patterns
from .utils import METHODS
from .weighing import (
    MAX_CHARACTERS,
    WeightError,
    check_bits,
    weigh,
    weigh_changed,
    weigh_repetition,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jinja2.compiler import Frame
    from jinja2.nodes import EvalContext
    from jinja2.runtime import Context

MAX_OUTPUT_CHARACTERS: Final = 1024 * 1024
"""Characters that a document may render to: no more fits a message of SQS."""
_MAX_ESCAPED_CHARACTERS: Final = 12 * MAX_CHARACTERS
RESERVED_MARK: Final = uuid.uuid4().hex
"""Stands in documents before reserved names that their authors wrote (`source`).

It cannot be guessed, and no captured text has it, so no data passes for one of those.
"""
_ESCAPES: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.")


def escaped(text: str) -> str:
    """Return the JSON string text for some data, without the quotes around it."""
    return encode_basestring_ascii(text)[1:-1]


def _captured(parts: Iterable[str]) -> str:
    """Make data of the JSON string text in a buffer.

    Raises:
        WeightError: It is too large.
    """
    text = joined(parts, _MAX_ESCAPED_CHARACTERS).replace(RESERVED_MARK, "")
    if "\\" in text:
        # All escapes are whole ones, made by `escaped`. Quotes that stand alone are
        # structure that was captured along, and are data from here on.
        text = _ESCAPES.sub(lambda match: str(json.loads(f'"{match[0]}"')), text)
    weigh(text)
    return text


def joined(parts: Iterable[str], max_characters: int = MAX_OUTPUT_CHARACTERS) -> str:
    """Join the parts of a text.

    Raises:
        WeightError: It is too large.
    """
    text = "".join(parts)
    if len(text) > max_characters:
        raise WeightError(f"has more than {max_characters} characters", "what it renders to")
    return text


@pass_eval_context  # so that Jinja does not evaluate constants at compile time
def _finalize(context: EvalContext, value: Any) -> str:
    if context.autoescape:  # HTML first; and Markup, so that Jinja leaves it at that
        return Markup(encode_basestring_ascii(str(escape(value)))[1:-1])  # noqa: S704
    return encode_basestring_ascii(value if type(value) is str else str(value))[1:-1]


def _weighed(visit: Callable[..., None]) -> Callable[..., None]:
    """Have a visitor write its expression as an argument of `weigh`."""

    def visit_weighed(self: _Code, node: nodes.Node, frame: Frame) -> None:
        self.write("weigh(")
        visit(self, node, frame)
        self.write(")")

    return visit_weighed


class _Code(CodeGenerator):
    """Has values weighed, and closes gaps that Jinja leaves.

    Calls and operators are weighed by the environment, which the sandbox asks to do them.

    What call and filter blocks and recursive loops put out is finalized, as all that
    expressions do. And a set block or an assignment of several things, as a plain
    assignment, sets attributes of namespaces alone.
    """

    visit_Concat = _weighed(CodeGenerator.visit_Concat)  # noqa: N815
    visit_Dict = _weighed(CodeGenerator.visit_Dict)  # noqa: N815
    visit_Filter = _weighed(CodeGenerator.visit_Filter)  # noqa: N815
    visit_List = _weighed(CodeGenerator.visit_List)  # noqa: N815

    def write_commons(self) -> None:
        super().write_commons()
        self.writeline("weigh = environment.weigh")

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802
        weigh(node.value)
        super().visit_Const(node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        visit = CodeGenerator.visit_Tuple
        (visit if node.ctx == "store" else _weighed(visit))(self, node, frame)

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        visit = CodeGenerator.visit_Getitem
        (_weighed(visit) if isinstance(node.arg, nodes.Slice) else visit)(self, node, frame)

    def start_write(self, frame: Frame, node: nodes.Node | None = None) -> None:
        super().start_write(frame, node)
        self._is_captured = isinstance(node, (nodes.CallBlock, nodes.FilterBlock, nodes.For))
        if self._is_captured:
            self.write("environment.finalize(context.eval_ctx, ")

    def end_write(self, frame: Frame) -> None:
        if self._is_captured:
            self.write(")")
        super().end_write(frame)

    def visit_ScopedEvalContextModifier(  # noqa: N802
        self, node: nodes.ScopedEvalContextModifier, frame: Frame
    ) -> None:
        # Else Jinja finalizes what the author wrote, since it cannot tell when it compiles.
        if not all(isinstance(option.value, nodes.Const) for option in node.options):
            self.fail("autoescape takes true or false", node.lineno)
        super().visit_ScopedEvalContextModifier(node, frame)

    def visit_Assign(self, node: nodes.Assign, frame: Frame) -> None:  # noqa: N802
        # Jinja looks at what a name stands for before it assigns that name anew.
        if isinstance(node.target, nodes.Tuple) and any(node.target.find_all(nodes.NSRef)):
            self.fail("an attribute of a namespace is assigned by itself", node.lineno)
        super().visit_Assign(node, frame)

    def visit_AssignBlock(self, node: nodes.AssignBlock, frame: Frame) -> None:  # noqa: N802
        targets = {ref.name for ref in nodes.Tuple([node.target], "store").find_all(nodes.NSRef)}
        for name in sorted(targets):
            self.writeline(f"if not isinstance({frame.symbols.ref(name)}, Namespace):")
            self.indent()
            self.writeline('raise TemplateRuntimeError("cannot assign to what is no namespace")')
            self.outdent()
        super().visit_AssignBlock(node, frame)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with JSON-safe output and weighed values."""

    code_generator_class = _Code
    concat = staticmethod(_captured)
    weigh = staticmethod(weigh)
    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        super().__init__(finalize=_finalize, optimized=False, keep_trailing_newline=True)
        self.filters["indent"] = _indent
        self.filters["round"] = _round
        self.globals["range"] = _range
        self._is_given: Callable[[Any], bool] = bool

    def start(self, is_given: Callable[[Any], bool]) -> None:
        """Begin a rendering.

        Args:
            is_given: Tells whether a list or map is one that the template was given.
        """
        self._is_given = is_given

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: PLR0911 - the busiest path
        """Return an attribute, or else an item, of an object.

        Of a map it is mostly an item, as in ``info.size``: then no attribute is tried first.
        """
        kind = type(obj)
        if kind is dict and attribute in obj and attribute not in _OF_DICT:
            return obj[attribute]
        if attribute in _SPECIAL:
            if kind in _FROZEN and attribute in _CHANGES and not self._is_given(obj):
                method = getattr(obj, attribute, None)
                if method is not None:
                    return _changing(obj, method)
            elif attribute in METHODS and isinstance(obj, METHODS[attribute][0]):
                return METHODS[attribute][1](getattr(obj, attribute))
        elif kind in _IMMUTABLE and not attribute.startswith("_"):
            try:
                return getattr(obj, attribute)  # the sandbox has nothing more to ask of these
            except AttributeError:
                return self.undefined(obj=obj, name=attribute)
        elif kind is re.Pattern and attribute in patterns.METHODS:
            return patterns.checked(getattr(obj, attribute))
        value = super().getattr(obj, attribute)
        if type(value) in _FROZEN and not isinstance(obj, _HOLDERS):
            return _FROZEN[type(value)](value)  # what a class or a module has
        return value

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item, or else an attribute, of an object.

        Raises:
            WeightError: It is too large.
        """
        try:
            value = obj[argument]
        except (TypeError, LookupError):
            if isinstance(argument, str):
                return self.getattr(obj, str(argument))
            return self.undefined(obj=obj, name=argument)
        return value if type(obj) in _WEIGHED else weigh(value)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Keep templates from what takes any object for its self.

        By a method of a class, as in ``dict.update(utils, ...)``, they would change
        what they may not change by a method of the object.
        """
        if isinstance(obj, type) and isinstance(value, _UNBOUND) and obj.__module__ != "datetime":
            return False  # objects of datetime never change
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call an object, and weigh what it returns.

        Raises:
            WeightError: It is too large.
        """
        if type(obj) is types.BuiltinMethodType and not kwargs:
            # A method in C, such as most are. It bears no marks of Jinja's, for or
            # against being called, and looking for them takes longer than the call.
            try:
                value = obj(*args)
            except StopIteration:  # which would end the generator that a template is
                return self.undefined("a callable raised StopIteration")
            return value if type(value) is str and len(value) <= MAX_CHARACTERS else weigh(value)
        if type(obj) is type and args and isinstance(args[0], (str, bytes)) and obj in _DATES:
            # CPython crashes on a date whose state, as pickle has it, it did not write itself.
            raise TypeError(f"{obj.__name__} takes numbers, not text")
        return weigh(super().call(context, obj, *args, **kwargs))

    def call_binop(self, _context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do a binary operation, and weigh what it makes; a repetition, before it is made.

        Raises:
            WeightError: It is too large.
        """
        if operator in ("*", "**"):
            weigh_repetition(operator, left, right)
        return weigh(self.binop_table[operator](left, right))


_DATES: Final = frozenset([dt.date, dt.datetime, dt.time])
_IMMUTABLE: Final = frozenset([str, int, float, *_DATES, dt.timedelta])
"""Types of which no object can be changed, or is one of Python's own inner workings."""
_OF_DICT: Final = frozenset(dir(dict))
_CHANGES: Final = frozenset(
    "append clear extend insert pop popitem remove reverse setdefault sort update".split()  # noqa: SIM905
)
"""Methods that change a list or a map."""
_SPECIAL: Final = frozenset([*_CHANGES, *METHODS, "format", "format_map"])
_HOLDERS: Final = (dict, tuple, Namespace)
"""Types whose attributes may be lists and maps that a template made."""
_FROZEN: Final[dict[type, Any]] = {kind: type(kind.__name__, (kind,), {}) for kind in (list, dict)}
"""Copies of lists and maps that are not a template's to change."""
_WEIGHED: Final = frozenset([str, list, tuple, dict])
"""Types whose items were weighed along with them."""
_UNBOUND: Final = (
    property,
    types.FunctionType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)


def _changing(container: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """Have a list or map weighed after each change."""

    def change(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("key") is not None:  # which would be called without `call`
            raise TypeError("sort takes no key; the filter sort takes an attribute")
        value = method(*args, **kwargs)
        weigh_changed(container)
        return value

    return change


def _indent(s: Any, *args: Any, **kwargs: Any) -> str:
    # Jinja's adds to what it is given, in place where that is a list.
    return do_indent(s if isinstance(s, str) else str(s), *args, **kwargs)


def _round(value: Any, precision: Any = 0, method: Any = "common") -> Any:
    # It is the exponent of a power of ten.
    check_bits(4 * abs(precision))
    return do_round(value, precision, method)


def _range(*args: int) -> range:
    numbers = range(*args)
    weigh(numbers)
    return numbers
