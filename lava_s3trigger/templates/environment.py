"""The Jinja environment that templates run in, and the ``utils`` they are given.

Two invariants hold while a template runs. In *expressions*, every value is data as
it is. In *buffers*, everything is JSON string text: what the template's author
wrote outside expressions was escaped at compile time (`rendering`), and what an
expression puts out is escaped on its way in. Where Jinja captures a buffer to
make a value of it (set blocks, macros, calls, filters, blocks), it is unescaped.
So data can neither leave its string nor be escaped twice.
"""

from __future__ import annotations

import datetime as dt
import json
import os.path
import re
import types
import uuid
from importlib import import_module
from json.encoder import encode_basestring_ascii
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes, pass_eval_context
from jinja2.compiler import CodeGenerator
from jinja2.filters import do_indent
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2.compiler import Frame
    from jinja2.nodes import EvalContext
    from jinja2.runtime import Context

LONGEST: Final = 1024 * 1024
"""Longest text that a template may make: no more fits a message of SQS."""
_MOST_BITS: Final = 64 * 1024
RESERVED_MARK: Final = uuid.uuid4().hex
"""Stands in documents before reserved names that their authors wrote (`rendering`).

It cannot be guessed, and no captured text has it, so no data passes for one of those.
"""
_ESCAPES: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.")


def escaped(text: str) -> str:
    """Give the JSON string text for some data, without the quotes around it."""
    return encode_basestring_ascii(text)[1:-1]


def _captured(parts: Iterable[str]) -> str:
    """Make data of the JSON string text in a buffer."""
    text = joined(parts).replace(RESERVED_MARK, "")
    if "\\" not in text:
        return text
    # All escapes are whole ones, made by `escaped`. Quotes that stand alone are
    # structure that was captured along, and are data from here on.
    return _ESCAPES.sub(lambda match: str(json.loads(f'"{match[0]}"')), text)


def joined(parts: Iterable[str]) -> str:
    """Join the parts of a text.

    Raises:
        OverflowError: It is longer than any dispatch can be.
    """
    kept, length = [], 0
    for part in parts:
        length += len(part)
        if length > LONGEST:
            raise OverflowError(f"it makes more than {LONGEST} characters of text")
        kept.append(part)
    return "".join(kept)


@pass_eval_context  # so that Jinja does not evaluate constants at compile time
def _finalize(context: EvalContext, value: Any) -> str:
    if context.autoescape:  # HTML first; and Markup, so that Jinja leaves it at that
        return Markup(encode_basestring_ascii(str(escape(value)))[1:-1])  # noqa: S704
    return encode_basestring_ascii(value if type(value) is str else str(value))[1:-1]


class _Code(CodeGenerator):
    """Closes gaps that Jinja leaves.

    What call and filter blocks and recursive loops put out is finalized, as all that
    expressions do. And a set block or an assignment of several things, as a plain
    assignment, sets attributes of namespaces alone.
    """

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
        if not all(isinstance(each.value, nodes.Const) for each in node.options):
            self.fail("autoescape takes true or false", node.lineno)
        super().visit_ScopedEvalContextModifier(node, frame)

    def visit_Assign(self, node: nodes.Assign, frame: Frame) -> None:  # noqa: N802
        # Jinja looks at what a name stands for before it assigns that name anew.
        if isinstance(node.target, nodes.Tuple) and any(node.target.find_all(nodes.NSRef)):
            self.fail("an attribute of a namespace is assigned by itself", node.lineno)
        super().visit_Assign(node, frame)

    def visit_AssignBlock(self, node: nodes.AssignBlock, frame: Frame) -> None:  # noqa: N802
        targets = {each.name for each in nodes.Tuple([node.target], "store").find_all(nodes.NSRef)}
        for name in sorted(targets):
            self.writeline(f"if not isinstance({frame.symbols.ref(name)}, Namespace):")
            self.indent()
            self.writeline('raise TemplateRuntimeError("cannot assign to what is no namespace")')
            self.outdent()
        super().visit_AssignBlock(node, frame)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with JSON-safe output and bounded arithmetic."""

    code_generator_class = _Code
    concat = staticmethod(_captured)
    intercepted_binops = frozenset(["*", "**"])

    def __init__(self) -> None:
        super().__init__(finalize=_finalize, optimized=False, keep_trailing_newline=True)
        self.filters["indent"] = _indent

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Give an attribute, or else an item, of an object.

        Of a map it is mostly an item, as in ``info.size``: then no attribute is tried first.
        """
        if type(obj) is dict and attribute in obj and attribute not in _OF_DICT:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Keep templates from what takes any object for its self.

        By a method of a class, as in ``dict.update(utils, ...)``, they would change
        what Jinja keeps them from changing by a method of the object.
        """
        if type(obj) in _IMMUTABLE:  # most are; what is asked of all others comes to the same
            return not attr.startswith("_")
        if isinstance(obj, types.GenericAlias):
            return False  # it has all attributes of its class, and passes for none
        if isinstance(obj, type) and isinstance(value, _UNBOUND) and obj.__module__ != "datetime":
            return False  # objects of datetime never change
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call an object, unless that would take a pickle's state for a date.

        CPython crashes on a date whose state is not one that it wrote itself.
        """
        if type(obj) is types.BuiltinMethodType and not kwargs:
            # A method in C, such as most are. It bears no marks of Jinja's, for or
            # against being called, and looking for them takes longer than the call.
            try:
                return obj(*args)
            except StopIteration:  # which would end the generator that a template is
                return self.undefined("a callable raised StopIteration")
        if type(obj) is type and args and isinstance(args[0], (str, bytes)) and obj in _DATES:
            raise TypeError(f"{obj.__name__} takes numbers, not text")
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Bound what one operation on integers can cost, which no signal interrupts.

        Raises:
            OverflowError: The result would have more digits than anyone needs.
        """
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length()
            bits = bits * right if operator == "**" else bits + right.bit_length()
            if bits > _MOST_BITS:
                raise OverflowError(f"{operator} makes a number of more than {_MOST_BITS} bits")
        return super().call_binop(context, operator, left, right)


_DATES: Final = frozenset([dt.date, dt.datetime, dt.time])
_IMMUTABLE: Final = frozenset([str, int, float, *_DATES, dt.timedelta])
"""Types of which no object can be changed, or is one of Python's own inner workings."""
_OF_DICT: Final = frozenset(dir(dict))
_UNBOUND: Final = (
    property,
    types.FunctionType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)


def _indent(s: Any, *args: Any, **kwargs: Any) -> str:
    # Jinja's adds to what it is given, in place where that is a list.
    return do_indent(s if isinstance(s, str) else str(s), *args, **kwargs)


def s3bucket(location: str) -> str:
    """Give the bucket of bucket/key, s3:bucket/key, s3://bucket/key or /bucket/key."""
    return _location(location).partition("/")[0]


def s3key(location: str) -> str:
    """Give the key of bucket/key, s3:bucket/key, s3://bucket/key or /bucket/key."""
    return _location(location).partition("/")[2]


def _location(location: str) -> str:
    path = location.removeprefix("s3:")
    # Not all slashes: keys may begin with some of their own.
    return path.removeprefix("//") if path.startswith("//") else path.removeprefix("/")


def _members(module: ModuleType, *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Give the public names of a module, but for those that lead out of it."""
    names = set(getattr(module, "__all__", None) or vars(module)) - set(without)
    members = {name: getattr(module, name) for name in names if not name.startswith("_")}
    return {name: value for name, value in members.items() if not isinstance(value, ModuleType)}


class _Parser(SimpleNamespace):
    """``dateutil.parser``, which may also be called to parse a date."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.parse(*args, **kwargs)


_LONGEST_DATE: Final = 1000


def _bounded_parser(members: dict[str, Any]) -> _Parser:
    """Bound the text that dates are read from.

    Of very many digits dateutil makes one number, in a way that takes the square of
    their count, and which no signal interrupts.
    """

    def check(text: Any) -> None:
        if isinstance(text, (str, bytes)) and len(text) > _LONGEST_DATE:
            raise ValueError(f"a date of more than {_LONGEST_DATE} characters")

    def parse(timestr: Any, *args: Any, **kwargs: Any) -> Any:
        check(timestr)
        return members["parse"](timestr, *args, **kwargs)

    def method(parser: Any, timestr: Any, *args: Any, **kwargs: Any) -> Any:
        check(timestr)
        return members["parser"].parse(parser, timestr, *args, **kwargs)

    bounded = type("parser", (members["parser"],), {"parse": method})
    return _Parser(**{**members, "parse": parse, "parser": bounded})


def _gettz(name: str) -> dt.tzinfo | None:
    """Look a time zone up by name; a path would let a template probe the file system."""
    from dateutil.tz import gettz  # noqa: PLC0415 - few templates need it

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+:,./-]*", name) or ".." in name:
        raise ValueError(f"{name!r} is not the name of a time zone")
    return gettz(name)


def _rrulestr(s: str, **kwargs: Any) -> Any:
    """Parse a recurrence rule, the time zones of which are looked up by name."""
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - few templates need it

    return rrulestr(s, **{**kwargs, "tzids": _gettz})


# What reads files, or another than the given zone.
_CLOSED: Final = {"tz": ("tzfile", "tzical", "gettz"), "zoneinfo": None}
_OPEN: Final = ("easter", "parser", "relativedelta", "rrule", "tz", "utils")


class _Dateutil:
    """``dateutil`` with its submodules, each imported when it is first asked for."""

    __slots__ = ("_modules",)

    def __init__(self) -> None:
        self._modules: dict[str, SimpleNamespace] = {}

    def __getattr__(self, name: str) -> SimpleNamespace:
        if name not in _OPEN:
            raise AttributeError(name)
        if name not in self._modules:
            members = _members(import_module(f"dateutil.{name}"), without=_CLOSED.get(name) or ())
            if name == "tz":
                members["gettz"] = _gettz
            if name == "rrule":
                members["rrulestr"] = _rrulestr
            is_parser = name == "parser"
            self._modules[name] = (
                _bounded_parser(members) if is_parser else SimpleNamespace(**members)
            )
        return self._modules[name]


def import_parts(text: str) -> None:
    """Import the parts of ``dateutil`` that a template names.

    So that this is done once, and not in each process that renders it.
    """
    named = set(re.findall(r"\w+", text))
    if "dateutil" in named:
        for name in named.intersection(_OPEN):
            getattr(UTILS["dateutil"], name)


# Those ask the file system or the environment, for which no template has a use.
_ASKING_PATHS: Final = frozenset(
    [
        "abspath",
        "exists",
        "expanduser",
        "expandvars",
        "getatime",
        "getctime",
        "getmtime",
        "getsize",
        "isdevdrive",
        "isdir",
        "isfile",
        "isjunction",
        "islink",
        "ismount",
        "isreserved",
        "lexists",
        "realpath",
        "samefile",
        "sameopenfile",
        "samestat",
    ]
)


def _relpath(path: str, start: str = ".") -> str:
    """Give a path as seen from another, without asking for the current folder."""
    return os.path.relpath(os.path.join("/", path), os.path.join("/", start))  # noqa: PTH118


def _utils() -> dict[str, Any]:
    dateutil = _Dateutil()
    return {
        "date": dt.date,
        "datetime": dt.datetime,
        "dateutil": dateutil,
        "parsedate": dateutil.parser,
        "path": SimpleNamespace(
            **{**_members(os.path, without=_ASKING_PATHS), "relpath": _relpath}
        ),
        "re": SimpleNamespace(**_members(re, without=["purge"])),
        "s3bucket": s3bucket,
        "s3key": s3key,
        "time": dt.time,
        "timedelta": dt.timedelta,
        "uuid": uuid.uuid4,
    }


UTILS: Final = _utils()
"""What templates know as ``utils``: classes and functions, and no way on from there."""
