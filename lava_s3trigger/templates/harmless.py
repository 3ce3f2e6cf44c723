"""Which templates can do no harm but by what they put out.

Most templates name a variable, take a part of a key, format a time. Those are
rendered in the function's own process, under the bounds of `limits`. All others get
a process of their own (`isolation`), because there is no end to what can take long in C
code that no signal interrupts: comparing lists that hold each other many times over,
searching long text from its end, adding up lists.

So this is a list of what is allowed. What it lets through makes no containers but of
constants, makes text no longer than a few times what it is given, and calls only what
takes a time that is linear in that.
"""

from __future__ import annotations

import re
from typing import Any, Final

from jinja2 import nodes

_LONGEST: Final = 50
"""Longest text, and largest number, that may stand as an argument."""
_MOST_JOINED: Final = 32
"""Most pieces of text that a template may put together."""

_PLAIN: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Keyword,
)
_FILTERS: Final = frozenset(
    # As a text: one name to a line would be long.
    """
    capitalize count d default first float int last length lower string title upper
    """.split()  # noqa: SIM905
)
_FILTERS_OF_CONSTANTS: Final = frozenset(["replace", "round", "trim"])
_GROWING: Final = frozenset(["e", "escape", "join", "tojson", "urlencode"])
"""Filters that make text several times as long; none stands inside of another."""
_TESTS: Final = frozenset(
    """
    defined eq false ge gt in le lower lt ne none number string true undefined upper
    """.split()  # noqa: SIM905
)
_METHODS: Final = frozenset(
    """
    capitalize casefold lower swapcase title upper strip lstrip rstrip
    split rsplit splitlines partition rpartition replace removeprefix removesuffix
    startswith endswith find index count zfill isdigit isalpha isalnum isnumeric
    date time timetz timestamp isoformat weekday isoweekday isocalendar strftime
    get keys values items
    """.split()  # noqa: SIM905
)
"""Methods of text, times and maps; their arguments must be constants."""
_UTILS: Final = frozenset(["s3bucket", "s3key"])
_PATHS: Final = frozenset(["basename", "dirname", "join", "split", "splitext"])
"""Functions of `utils` and of `utils.path`; their arguments may be anything harmless."""
_MAKERS: Final = frozenset(["timedelta", "uuid"])
"""Functions of `utils`; their arguments must be constants."""
_GIVEN: Final = frozenset(["bucket", "event", "info", "key", "loop", "utils"])
"""Names that stand for what this module takes them for, and must not be given anew."""
_FUNCTIONS: Final = frozenset(["cycler", "dict", "joiner", "lipsum", "namespace", "range"])
_PADDING: Final = re.compile(r"%[^a-zA-Z%]")


def is_harmless(template: nodes.Template) -> bool:
    """Tell whether a template is known to do no harm."""
    joined = sum(len(each.nodes) for each in template.find_all(nodes.Concat))
    joined += 2 * sum(1 for _ in template.find_all((nodes.Add, nodes.Sub)))
    if joined > _MOST_JOINED or not _is_allowed(template):
        return False
    filters = {each.name for each in template.find_all(nodes.Filter)}
    called = _called(template)
    if filters & _MARKING and (called & _LENGTHENING or template.find(nodes.Add)):
        return False  # what is put into markup is escaped on its way
    names = list(template.find_all(nodes.Name))
    given = {each.name for each in names if each.ctx != "load"}
    # With what was made longer made longer again, text would double line by line.
    return not given & _GIVEN and not any(
        _grows(each) and given & {name.name for name in each.node.find_all(nodes.Name)}
        for each in template.find_all(nodes.Assign)
    )


MOST_OPERATIONS: Final = 512
"""Operations up to which light templates take no time or memory worth a bound, together."""
_DEEPEST: Final = 4
_NEVER: Final = float("inf")


def operations(template: nodes.Template) -> float:
    """Count the operations of a harmless template that is light; of others, give infinity.

    What is light makes little text of what is short. Filters and methods stand in each
    other to a depth of four: two can make a list and its text, which is up to 16 times as
    long (of single characters, each in quotes, and shown as an escape). Text is put
    together only where it is put out. There are no loops, and the event itself, which
    may be long, is not named.
    """
    names = {each.name for each in template.find_all(nodes.Name)}
    called = _called(template)
    filters = {each.name for each in template.find_all(nodes.Filter)}
    if (
        "event" in names
        or called & _LENGTHENING
        or not filters <= _FILTERS
        or any(True for _ in template.find_all((nodes.For, nodes.Add, nodes.Sub)))
        or not _puts_together_last(template)
    ):
        return _NEVER
    depths: dict[str, int] = {}
    for assignment in template.find_all(nodes.Assign):  # in their order
        name = str(getattr(assignment.target, "name", ""))
        depths[name] = max(depths.get(name, 0), _depth(assignment.node, depths))
    if _depth(template, depths) > _DEEPEST:
        return _NEVER
    put_out = sum(len(each.nodes) for each in template.find_all(nodes.Output))
    return put_out + sum(1 for _ in template.find_all(_OPERATIONS))


_MARKING: Final = frozenset(["e", "escape", "tojson"])
_LENGTHENING: Final = frozenset(["join", "replace"])
_OPERATIONS: Final = (nodes.Call, nodes.Filter, nodes.Concat)


def _called(template: nodes.Template) -> set[str]:
    """Give the names of methods that are called."""
    called = (each.node for each in template.find_all(nodes.Call))
    return {each.attr for each in called if isinstance(each, nodes.Getattr)}


def _depth(node: nodes.Node, depths: dict[str, int]) -> int:
    """Tell how deep operations stand in each other; names stand for what they were given."""
    if isinstance(node, nodes.Name):
        return depths.get(node.name, 0)
    inner = max((_depth(each, depths) for each in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, _OPERATIONS)


def _puts_together_last(template: nodes.Template) -> bool:
    """Tell whether nothing is made of what ``~`` puts together."""
    outermost = [each for output in template.find_all(nodes.Output) for each in output.nodes]
    known = {id(each) for each in outermost}
    return all(id(each) in known for each in template.find_all(nodes.Concat))


def _is_allowed(node: nodes.Node) -> bool:  # noqa: C901 - a table of kinds
    """Tell whether a node, and all below it, are on the list."""
    match node:
        case nodes.Name():
            # Of utils, only calls are allowed that name it themselves: by another name, or by
            # a subscript, a function of it passes for a method of text.
            return node.name not in _FUNCTIONS and node.name != "utils"
        case nodes.Call():
            return _is_allowed_call(node)
        case nodes.Tuple() | nodes.List():
            return _is_constant(node) or (isinstance(node, nodes.Tuple) and node.ctx == "store")
        case nodes.Neg():
            return _is_constant(node)
        case nodes.Filter():
            is_known = _is_allowed_filter(node)
        case nodes.Test():
            is_known = node.name in _TESTS
        case nodes.Assign():
            is_known = isinstance(node.target, nodes.Name)
        case nodes.For():
            is_known = not node.recursive
        case nodes.Add() | nodes.Sub():
            is_known = _is_scalar(node.left) or _is_scalar(node.right)
        case nodes.Concat():
            is_known = True
        case _:
            is_known = isinstance(node, _PLAIN)
    return is_known and all(map(_is_allowed, node.iter_child_nodes()))


def _is_allowed_filter(node: nodes.Filter) -> bool:
    if node.name in _FILTERS:
        return True
    if node.name in _GROWING:
        inside = [each for each in node.find_all(nodes.Filter) if each.name in _GROWING]
        return not inside and _has_only_constants(node)
    is_known = node.name in _FILTERS_OF_CONSTANTS and _has_only_constants(node)
    return is_known and (node.name != "replace" or _replaces_without_growing(node))


def _is_allowed_call(call: nodes.Call) -> bool:
    if not isinstance(call.node, nodes.Getattr):
        return False
    name, of = call.node.attr, call.node.node
    is_of_utils = _is_name(of, "utils")
    is_of_path = isinstance(of, nodes.Getattr) and of.attr == "path" and _is_name(of.node, "utils")
    if (is_of_utils and name in _UTILS) or (is_of_path and name in _PATHS):
        is_plain = not call.kwargs and call.dyn_args is None and call.dyn_kwargs is None
        return is_plain and all(map(_is_allowed, call.args))
    if is_of_path or not _has_only_constants(call):
        return False
    if is_of_utils:
        return name in _MAKERS
    if isinstance(of, nodes.Getattr) and _is_name(of.node, "utils"):
        return of.attr in ("date", "datetime") and name in ("now", "today")
    is_known = name in _METHODS and (name != "replace" or _replaces_without_growing(call))
    return is_known and _is_allowed(of)


def _is_name(node: nodes.Node, name: str) -> bool:
    return isinstance(node, nodes.Name) and node.name == name


def _has_only_constants(node: nodes.Call | nodes.Filter) -> bool:
    return (
        node.dyn_args is None
        and node.dyn_kwargs is None
        and all(_is_constant(each) for each in node.args)
        and all(_is_constant(each.value) for each in node.kwargs)
    )


def _replaces_without_growing(node: nodes.Call | nodes.Filter) -> bool:
    """Tell whether what is put in is no longer than what it is put in for."""
    match node.args:
        case []:  # of a time, as in `replace(hour=0)`; that of text takes no names
            return isinstance(node, nodes.Call)
        case [nodes.Const(value=str(old)), nodes.Const(value=str(new)), *_]:
            return not node.kwargs and 0 < len(old) >= len(new)
    return False


def _is_constant(node: nodes.Node) -> bool:
    """Tell whether something stands there as it is, and is small."""
    if isinstance(node, (nodes.Tuple, nodes.List)):
        return all(_is_constant(each) for each in node.items)
    if isinstance(node, nodes.Neg):
        node = node.node
    return isinstance(node, nodes.Const) and _is_small(node.value)


def _is_small(value: Any) -> bool:
    if isinstance(value, str):
        # A format of a time may pad it: `%99999999Y`.
        return len(value) <= _LONGEST and not _PADDING.search(value)
    return not isinstance(value, (int, float)) or abs(value) <= _LONGEST


def _is_scalar(node: nodes.Node) -> bool:
    """Tell whether something is no list, so that what it is added to is none either."""
    if isinstance(node, (nodes.Add, nodes.Sub)):
        return _is_scalar(node.left) or _is_scalar(node.right)
    if isinstance(node, nodes.Call):
        return isinstance(node.node, nodes.Getattr) and node.node.attr == "timedelta"
    return isinstance(node, (nodes.Concat, nodes.Const))


def _grows(node: nodes.Node) -> bool:
    """Tell whether something makes text that is longer than what it is given."""
    filters = {each.name for each in node.find_all(nodes.Filter)}
    is_joining = any(True for _ in node.find_all((nodes.Add, nodes.Concat)))
    called = (each.node for each in node.find_all(nodes.Call))
    is_joining |= any(isinstance(each, nodes.Getattr) and each.attr == "join" for each in called)
    return is_joining or bool(filters & _GROWING)
