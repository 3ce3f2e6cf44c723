"""Rules on templates."""

from __future__ import annotations

import datetime as dt
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.check.findings import Found
from lava_s3trigger.templates.utils import UTILS
from lava_s3trigger.units import shown

from .registry import hint, rule
from .template_text import MARK, VARIABLES, TemplateText, strings, template_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .checked import CheckedEntries, CheckedEntry

    Path = tuple[str | int, ...]

_INFO: Final[dict[str, Any]] = {
    "bucket": str,
    "key": str,
    "size": int,
    "event_time": dt.datetime,
    "event_type": str,
    "source_ip": None,
    "aws_region": str,
}
"""Elements of `info`, with their types; None where it may be absent."""
_MAX_VARIABLES: Final = 100
"""Unknown variables that are named, of one template."""
_OF_DICT: Final = frozenset(dir(dict))


@rule("LT401", "error", "Template cannot be compiled")
def not_compiled(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template is not valid Jinja, so every event that the entry matches is parked.

    `job_id`, each of its items, `parameters` and `globals` are each one template. Often a brace,
    a quote or an `endif` is missing. [Rendering](rendering.md) says what templates can do.
    """
    for path, template in checked.templates:
        if template.error and not _unknown_functions(template):
            inner, of_name = template.path_of_error()
            reason = re.sub(
                r"(\\n)+ *line \d+", "", template.error
            )  # of the document, not of the file
            yield Found(f"the template cannot be compiled: {reason}", (*path, *inner), of_name)


@rule("LT402", "warning", "Unknown variable in a template")
def unknown_variable(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template names a variable that neither the function nor the template itself sets.

    It renders as nothing. The variables are `bucket`, `key`, `info`, `event` and `utils`; see
    [rendering](rendering.md). A name without quotes inside braces is a variable: write
    `{{ 'text' }}` for text.
    """
    for path, template in checked.templates:
        for name in sorted(template.unknown_variables())[:_MAX_VARIABLES]:
            known = VARIABLES | template_environment().globals.keys()
            suggestion = f"; did you mean info.{name}?" if name in _INFO else hint(name, known)
            yield _at(
                path,
                template,
                name,
                f"unknown variable {shown(name)} renders as nothing{suggestion}",
            )


@rule("LT403", "error", "Unknown filter or test in a template")
def unknown_function(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template uses a filter (`{{ key | base }}`) or a test (`is csv`) that Jinja does not have.

    The template cannot be rendered. Jinja's documentation lists its
    [filters](https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters) and
    [tests](https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-tests).
    """
    for path, template in checked.templates:
        for kind, name, known in _unknown_functions(template):
            yield _at(path, template, name, f"unknown {kind} {shown(name)}{hint(name, known)}")


def _unknown_functions(template: TemplateText) -> list[tuple[str, str, Any]]:
    environment = template_environment()
    kinds = (
        ("filter", template.code.filters, environment.filters),
        ("test", template.code.tests, environment.tests),
    )
    return [
        (kind, name, known) for kind, names, known in kinds for name in names if name not in known
    ]


@rule("LT404", "warning", "Unknown element of info")
def unknown_info(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template asks `info`, `key` or `bucket` for something that they do not have.

    `info` has the elements in [this table](rendering.md#info). An unknown element renders as
    nothing; an unknown method is an error each time.
    """
    for path, template in checked.templates:
        for owner, name in _members(template):
            if owner == ("info",):
                is_known, known = name in _INFO or name in _OF_DICT, sorted(_INFO)
            else:
                kind = _kind_of(owner)
                if kind is None:
                    continue
                is_known, known = hasattr(kind, name), _public(kind)
            if not is_known:
                yield _member(path, template, owner, name, known)


def _kind_of(owner: tuple[str, ...]) -> Any:
    if owner in (("key",), ("bucket",)):
        return str
    if len(owner) == 2 and owner[0] == "info":  # noqa: PLR2004 - info and its element
        return _INFO.get(owner[1])
    return None


def _public(kind: Any) -> list[str]:
    return [each for each in dir(kind) if not each.startswith("_")]


@rule("LT405", "warning", "Unknown member of utils")
def unknown_utils(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template asks `utils` for something that it does not have. A call of it is an error.

    The [table of `utils`](rendering.md#utils) lists what there is. Some functions of Python's
    modules are left out on purpose, such as `utils.path.exists`.
    """
    for path, template in checked.templates:
        for owner, name in _members(template):
            if owner[0] != "utils":
                continue
            found: Any = SimpleNamespace(**UTILS)
            for step in owner[1:]:
                found = getattr(found, step, None)
            if found is None or isinstance(found, (str, int)):
                continue
            if not hasattr(found, name):
                known = UTILS if len(owner) == 1 else _public(found)
                yield _member(path, template, owner, name, known)


def _members(template: TemplateText) -> list[tuple[tuple[str, ...], str]]:
    """Return the members that a template asks the function's variables for: whose, and which."""
    # What the template sets itself may be anything.
    return [
        (chain[:-1], chain[-1])
        for chain in template.code.members
        if chain[0] in VARIABLES and chain[0] not in template.code.own
    ]


@rule("LT406", "warning", "Reserved name of a global")
def reserved_global(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A name in `globals` begins with `lava`, in any case. These names are lava's own.

    The dispatch carries it, and the worker may take it for one of lava's, or overwrite it.
    Rename it. A name that only rendering makes so is an error of the event.
    """
    value = checked.values.get("globals")
    for name in value if isinstance(value, dict) else ():
        if name.lower().startswith("lava"):
            yield Found(
                f"the global {shown(name)} begins with lava, which is reserved",
                ("globals", name),
                of_name=True,
            )


@rule("LT407", "warning", "Template with jinja turned off")
def jinja_off(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """An entry with `jinja: false` names a variable of the function in braces.

    With `jinja: false`, `job_id`, `parameters` and `globals` go out as they stand, braces
    included. Remove `jinja: false`. If the job itself renders the braces, ignore this rule.
    """
    if checked.is_template:
        return
    for name in ("job_id", "parameters", "globals"):
        for path, text, of_name in strings(checked.values.get(name)):
            if MARK.search(text) and any(f" {each}" in text for each in VARIABLES):
                yield Found(f"{shown(text)} is sent as it stands", (name, *path), of_name)
                return


def _member(
    path: Path, template: TemplateText, owner: tuple[str, ...], name: str, known: Iterable[str]
) -> Found:
    of = ".".join(owner)
    message = f"{of} has no {shown(name)}{hint(name, known)}"
    whole = f"{of}.{name}"
    return _at(path, template, whole if template.path_of(whole)[0] else name, message)


def _at(path: Path, template: TemplateText, name: str, message: str) -> Found:
    inner, of_name = template.path_of(name)
    return Found(message, (*path, *inner), of_name, text=name)
