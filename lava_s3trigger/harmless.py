"""Which templates can do no harm but by what they put out.

Most templates name a variable, take a part of a key, format a time. Those are
rendered in the function's own process, under the bounds of `limits`. All others get
a process of their own (`isolation`), because there is no end to what can take long in C
code that no signal interrupts: comparing lists that hold each other many times over,
searching long text from its end, adding up lists.

So this is a list of what is allowed. What it lets through makes no containers but of
constants, multiplies nothing, and calls only what takes a time that is linear in what
it is called on.
"""

from __future__ import annotations

import re
from typing import Any, Final

from jinja2 import nodes

_LONGEST: Final = 50
"""Longest text, and largest number, that may stand as an argument."""

# What these make of others is no larger than those, and takes linear time.
_STATEMENTS: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Concat,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
)
_FILTERS: Final = frozenset(
    # As a text: one name to a line would be long.
    """
    capitalize count d default e escape first float int last length lower string title
    tojson upper urlencode
    """.split()  # noqa: SIM905
)
_FILTERS_OF_CONSTANTS: Final = frozenset(["join", "replace", "round", "trim"])
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
    now today
    get keys values items
    """.split()  # noqa: SIM905
)
"""Methods of text, times and maps; their arguments must be constants."""
_UTILS: Final = frozenset(
    ["basename", "dirname", "join", "parsedate", "s3bucket", "s3key", "split", "splitext"]
)
"""Functions of `utils` and `utils.path`; their arguments may be anything harmless."""
_MAKERS: Final = frozenset(["timedelta", "uuid"])
"""Functions of `utils`; their arguments must be constants."""
_PADDING: Final = re.compile(r"%[^a-zA-Z%]")


def is_harmless(node: nodes.Node) -> bool:
    """Tell whether a template, or a part of one, is known to do no harm."""
    if isinstance(node, nodes.Call):
        return _is_harmless_call(node)
    if isinstance(node, nodes.Filter):
        is_known = node.name in _FILTERS or (
            node.name in _FILTERS_OF_CONSTANTS and _has_only_constants(node)
        )
    elif isinstance(node, nodes.Test):
        is_known = node.name in _TESTS
    elif isinstance(node, nodes.Assign):
        is_known = isinstance(node.target, nodes.Name)
    elif isinstance(node, nodes.For):
        is_known = isinstance(node.target, (nodes.Name, nodes.Tuple)) and not node.recursive
        # What it counts in the target are names alone.
        return is_known and all(
            map(is_harmless, [node.iter, *node.body, *node.else_, *filter(None, [node.test])])
        )
    elif isinstance(node, (nodes.Tuple, nodes.List)):
        return all(_is_constant(each) for each in node.items)
    elif isinstance(node, (nodes.Add, nodes.Sub)):
        is_known = _is_scalar(node.left) or _is_scalar(node.right)
    else:
        is_known = isinstance(node, (nodes.Name, *_STATEMENTS))
    return is_known and all(map(is_harmless, node.iter_child_nodes()))


def _is_harmless_call(call: nodes.Call) -> bool:
    if call.dyn_args or call.dyn_kwargs or not isinstance(call.node, nodes.Getattr):
        return False
    name, of = call.node.attr, call.node.node
    if _is_utils(of) and name in _UTILS:
        return not call.kwargs and all(map(is_harmless, call.args))
    if _is_utils(of) and name not in _MAKERS:
        return False
    is_known = name in _MAKERS if _is_utils(of) else name in _METHODS
    return is_known and _has_only_constants(call) and is_harmless(of)


def _is_utils(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Getattr) and node.attr == "path":
        node = node.node
    return isinstance(node, nodes.Name) and node.name == "utils"


def _has_only_constants(node: nodes.Call | nodes.Filter) -> bool:
    return (
        node.dyn_args is None
        and node.dyn_kwargs is None
        and all(_is_constant(each) for each in node.args)
        and all(_is_constant(each.value) for each in node.kwargs)
    )


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
    return isinstance(node, (nodes.Concat, nodes.Const, nodes.TemplateData))
