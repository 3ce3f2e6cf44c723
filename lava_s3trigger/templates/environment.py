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
from jinja2.runtime import Context, Macro
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

    from jinja2 import Environment
    from jinja2.compiler import Frame
    from jinja2.nodes import EvalContext

MAX_OUTPUT_CHARACTERS: Final = 1024 * 1024
"""Characters that a document may render to: a message of SQS has no room for more."""
_MAX_ESCAPED_CHARACTERS: Final = 12 * MAX_CHARACTERS
RESERVED_MARK: Final = uuid.uuid4().hex
"""Precedes reserved names that authors wrote in documents (`source`).

Nobody can guess it, and no captured text has it, so data cannot imitate such a name.
"""
_ESCAPES: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.")


def escaped(text: str) -> str:
    """Return the JSON string text for some data, without the quotes around it."""
    return encode_basestring_ascii(text)[1:-1]


def _captured(parts: Iterable[str]) -> str:
    """Return the data for the JSON string text in a buffer.

    Raises:
        WeightError: It is too large.
    """
    text = joined(parts, _MAX_ESCAPED_CHARACTERS).replace(RESERVED_MARK, "")
    if "\\" in text:
        # `escaped` made all escapes, so they are complete. Unescaped quotes are structure that was
        # captured too, and are data from here on.
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
    if context.autoescape:  # escapes HTML first; returns Markup, so that Jinja escapes no more
        return Markup(encode_basestring_ascii(str(escape(value)))[1:-1])  # noqa: S704
    return encode_basestring_ascii(value if type(value) is str else str(value))[1:-1]


def _weighed(visit: Callable[..., None]) -> Callable[..., None]:
    """Make a visitor write its expression as an argument of `weigh`."""

    def visit_weighed(self: _Code, node: nodes.Node, frame: Frame) -> None:
        self.write("weigh(")
        visit(self, node, frame)
        self.write(")")

    return visit_weighed


class _Code(CodeGenerator):
    """Generates code that weighs values, and closes gaps of Jinja.

    The environment weighs the results of calls and operators.

    The output of call blocks, filter blocks and recursive loops is finalized, like that of
    expressions. A set block, or an assignment to several targets, may set attributes of
    namespaces only, like a plain assignment.
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
        # Else Jinja finalizes the author's text too.
        if not all(isinstance(option.value, nodes.Const) for option in node.options):
            self.fail("autoescape takes true or false", node.lineno)
        super().visit_ScopedEvalContextModifier(node, frame)

    def visit_Assign(self, node: nodes.Assign, frame: Frame) -> None:  # noqa: N802
        # Jinja reads the value of a name before it assigns the name again.
        if isinstance(node.target, nodes.Tuple) and any(node.target.find_all(nodes.NSRef)):
            self.fail("an attribute of a namespace must be assigned separately", node.lineno)
        super().visit_Assign(node, frame)

    def visit_AssignBlock(self, node: nodes.AssignBlock, frame: Frame) -> None:  # noqa: N802
        targets = {ref.name for ref in nodes.Tuple([node.target], "store").find_all(nodes.NSRef)}
        for name in sorted(targets):
            self.writeline(f"if not isinstance({frame.symbols.ref(name)}, Namespace):")
            self.indent()
            self.writeline(
                'raise TemplateRuntimeError("can only assign to attributes of a namespace")'
            )
            self.outdent()
        super().visit_AssignBlock(node, frame)


_ROOM: Final = 64 * 1024
"""Bytes that must be free where a template calls a function."""


class _Context(Context):
    """Variables of a template, and how it calls objects."""

    def call(self, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call an object as Jinja does, without Jinja's long function around the call.

        If memory is used up, CPython before 3.14 may loop forever in a function that handles
        exceptions after its first 256 code units (https://github.com/python/cpython/issues/132508).
        """
        if isinstance(obj, Macro):
            args = (self.eval_ctx, *args)
        elif hasattr(obj, "jinja_pass_arg"):
            return super().call(obj, *args, **kwargs)
        kwargs.pop("_block_vars", None)
        kwargs.pop("_loop_vars", None)
        bytearray(_ROOM)  # if memory is used up, it fails here and not in a library's long function
        return _called(obj, args, kwargs, self.environment)


def _called(obj: Any, args: Any, kwargs: Any, environment: Environment) -> Any:
    try:
        return obj(*args, **kwargs)
    except StopIteration:  # which would end the template, since that is a generator
        return environment.undefined("a callable raised StopIteration")


def _attribute(obj: Any, name: str, environment: Environment) -> Any:
    try:
        return getattr(obj, name)  # the sandbox does not check these further
    except AttributeError:
        return environment.undefined(obj=obj, name=name)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with JSON-safe output and weighed values."""

    code_generator_class = _Code
    context_class = _Context
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
            is_given: Returns whether a list or map is part of a variable.
        """
        self._is_given = is_given

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: PLR0911 - the busiest path
        """Return an attribute, or else an item, of an object.

        For a map it is mostly an item, as in ``info.size``, so the item is tried first.
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
            return _attribute(obj, attribute, self)
        elif kind is re.Pattern and attribute in patterns.METHODS:
            return patterns.checked(getattr(obj, attribute))
        value = super().getattr(obj, attribute)
        if type(value) in _FROZEN and not isinstance(obj, _HOLDERS):
            return _FROZEN[type(value)](value)  # an attribute of a class or a module
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
        """Keep templates from methods that accept any object as their self.

        Through a method of a class, as in ``dict.update(utils, ...)``, they could change an object
        that they may not change through its own methods.
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
            # Most are methods in C, without Jinja's marks that allow or forbid calls. Looking
            # for marks takes longer than the call.
            value = _called(obj, args, kwargs, self)
            return value if type(value) is str and len(value) <= MAX_CHARACTERS else weigh(value)
        if type(obj) is type and args and isinstance(args[0], (str, bytes)) and obj in _DATES:
            # CPython crashes on a date that is made from a pickled state which it did not write.
            raise TypeError(f"{obj.__name__} takes numbers, not text")
        return weigh(super().call(context, obj, *args, **kwargs))

    def call_binop(self, _context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do a binary operation and weigh its result; a repetition is weighed before it is made.

        Raises:
            WeightError: It is too large.
        """
        if operator in ("*", "**"):
            weigh_repetition(operator, left, right)
        return weigh(self.binop_table[operator](left, right))


_DATES: Final = frozenset([dt.date, dt.datetime, dt.time])
_IMMUTABLE: Final = frozenset([str, int, float, *_DATES, dt.timedelta])
"""Types whose objects cannot be changed, and are not internals of Python."""
_OF_DICT: Final = frozenset(dir(dict))
_CHANGES: Final = frozenset(
    "append clear extend insert pop popitem remove reverse setdefault sort update".split()  # noqa: SIM905
)
"""Methods that change a list or a map."""
_SPECIAL: Final = frozenset([*_CHANGES, *METHODS, "format", "format_map"])
_HOLDERS: Final = (dict, tuple, Namespace)
"""Types that may have lists and maps of a template as attributes."""
_FROZEN: Final[dict[type, Any]] = {kind: type(kind.__name__, (kind,), {}) for kind in (list, dict)}
"""Copies of lists and maps that templates must not change."""
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
    """Wrap a method that changes a list or map, so that the result is weighed."""

    def change(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("key") is not None:  # it would be called without `call`
            raise TypeError("sort takes no key; the filter sort takes an attribute")
        value = method(*args, **kwargs)
        weigh_changed(container)
        return value

    return change


def _indent(s: Any, *args: Any, **kwargs: Any) -> str:
    # Jinja's filter adds to its start value, in place if that is a list.
    return do_indent(s if isinstance(s, str) else str(s), *args, **kwargs)


def _round(value: Any, precision: Any = 0, method: Any = "common") -> Any:
    # It is the exponent of a power of ten.
    check_bits(4 * abs(precision))
    return do_round(value, precision, method)


def _range(*args: int) -> range:
    numbers = range(*args)
    weigh(numbers)
    return numbers
