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
from .template_text import (
    MARK,
    VARIABLES,
    TemplateText,
    code_pieces,
    strings,
    template_environment,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.cli.check.trial import Failure

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
"""Elements of `info`, with their types; None if they may be absent."""
_MAX_VARIABLES: Final = 100
"""Unknown variables of one template that are named at most."""
_OF_DICT: Final = frozenset(dir(dict))


@rule("LT401", "error", "Template cannot be compiled")
def not_compiled(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template is not valid Jinja, so every event that the entry matches is parked.

    Often a brace, a quote or an `endif` is missing. All values of a map are [one
    template](rendering.md#one-template).
    """
    for path, template in checked.templates:
        if template.error and not _unknown_functions(template):
            inner, of_name = template.path_of_error()
            reason = re.sub(
                r"(\\n)+ *line \d+", "", template.error
            )  # a line of the document, not of the file
            yield Found(f"the template cannot be compiled: {reason}", (*path, *inner), of_name)


@rule("LT402", "warning", "Unknown variable in a template")
def unknown_variable(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template uses an unknown variable, which renders as nothing.

    See the [variables](rendering.md#variables). Text inside braces needs quotes: `{{ 'text' }}`.
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

    See Jinja's
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
    """A template uses an element of `info`, `key` or `bucket` that does not exist.

    It renders as nothing. See [the table of `info`](rendering.md#info).
    """
    for finding, owner in _unknown_members(checked):
        if owner[0] != "utils":
            yield finding
    failure = checked.trial.failure if checked.trial else None
    for path, template in checked.templates:
        for name in template.code.private:
            if not (failure and name in (failure.text or "")):
                yield _at(path, template, name, f"{shown(name)} is hidden: it renders as nothing")


@rule("LT405", "warning", "Unknown member of utils")
def unknown_utils(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template uses a member of `utils` that does not exist, and renders as nothing.

    See the [table of `utils`](rendering.md#utils).
    """
    for finding, owner in _unknown_members(checked):
        if owner[0] == "utils":
            yield finding


def _unknown_members(
    checked: CheckedEntry, *, of_failure: bool = False
) -> Iterator[tuple[Found, tuple[str, ...]]]:
    """Yield the unknown members of variables, with their owners.

    Args:
        checked: The entry.
        of_failure: Whether to yield only those with which the trial fails.
    """
    failure = checked.trial.failure if checked.trial else None
    for path, template in checked.templates:
        # A variable that the template sets may be anything.
        for *owner, name in template.code.members:
            if owner[0] not in VARIABLES or owner[0] in template.code.own:
                continue
            known = _known_members(tuple(owner), name)
            if known is None:
                continue
            finding = _member(path, template, ".".join(owner), name, known)
            is_failure = failure and failure.path == finding.path and name in (failure.text or "")
            if bool(is_failure) is of_failure:
                yield finding, tuple(owner)


def _known_members(owner: tuple[str, ...], name: str) -> Iterable[str] | None:
    """Return the members of a variable if the name is not one of them, else None."""
    if owner == ("info",):
        return None if name in _INFO or name in _OF_DICT else _INFO
    kind: Any = None
    if owner in (("key",), ("bucket",)):
        kind = str
    elif owner[0] == "info":
        kind = _INFO.get(owner[1]) if len(owner) == 2 else None  # noqa: PLR2004 - its element
    elif owner[0] == "utils":
        kind = SimpleNamespace(**UTILS)
        for step in owner[1:]:
            kind = getattr(kind, step, None)
        kind = None if isinstance(kind, (str, int)) else kind
    if kind is None or hasattr(kind, name):
        return None
    return UTILS if owner == ("utils",) else [name for name in dir(kind) if name[0] != "_"]


@rule("LT406", "warning", "Reserved name of a global")
def reserved_global(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A name in `globals` begins with `lava`, in any case. These names are reserved.

    Rename it.
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
    """An entry with `jinja: false` has a variable of the function in braces.

    The braces are dispatched as written. Remove `jinja: false`, or ignore this rule if the job
    renders them.
    """
    if checked.is_template:
        return
    for name in ("job_id", "parameters", "globals"):
        for path, text, of_name in strings(checked.values.get(name)):
            if MARK.search(text) and any(f" {variable}" in text for variable in VARIABLES):
                yield Found(f"{shown(text)} is sent unchanged", (name, *path), of_name)
                return


@rule("LT408", "error", "Template fails")
def fails(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template of the entry cannot be rendered for its objects, so every event would be parked.

    [check](check.md) tried keys that the conditions accept. Correct the template. If it needs keys
    of another form, give one in a [case](check.md#cases).
    """
    failure = checked.trial.failure if checked.trial else None
    if failure and not failure.when:
        yield _failed(checked, failure, "events would be parked")


@rule("LT409", "warning", "Template fails for some events")
def fails_sometimes(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A template cannot be rendered for some of the events that the entry accepts.

    For example, `event.s3` does not exist in events of EventBridge. Use `info`, or exclude these
    events by [conditions](triggers.md#conditions).
    """
    failure = checked.trial.failure if checked.trial else None
    if failure and failure.when:
        yield _failed(checked, failure, f"events {failure.when} would be parked")


_FOREIGN: Final = re.compile(
    r"(?<![{$])\$?\{(?:bucket|key|info\.\w+)\}(?!\})|%\((?:bucket|key)\)s|\$(?:bucket|key)\b"
)


@rule("LT410", "warning", "Placeholder of another syntax")
def foreign_placeholder(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A value has a variable in the syntax of shells, Python or others.

    `${key}`, `{key}` and `%(key)s` are sent unchanged. Write `{{ key }}`.
    """
    if not checked.is_template:
        return
    for name in ("job_id", "parameters", "globals"):
        for path, text, of_name in strings(checked.values.get(name)):
            if not _FOREIGN.search(text):
                continue
            # Text inside code may be a format of Python.
            plain = "".join(piece for piece, is_code in code_pieces(text) if not is_code)
            if foreign := _FOREIGN.search(plain):
                message = f"{shown(foreign[0])} is sent unchanged; a variable is {{{{ key }}}}"
                yield Found(message, (name, *path), of_name, text=foreign[0])


_SECRET_NAME: Final = re.compile(
    r"(?:.*[_-])?(?:password|passwd|pwd|secret|secret_?key|api_?key|access_?key|private_?key|token)",
    re.IGNORECASE,
)
_SECRET: Final = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@{}]+:[^/\s@{}]+@"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abp]-[A-Za-z0-9-]{10,}"
)
_NO_SECRET: Final = re.compile(
    r"arn:|/|ssm:|vault:|secretsmanager:|\$|.*\{\{|.{0,5}$|.*\s", re.DOTALL
)
"""Matches references, templates, short texts and sentences."""


@rule("LT411", "warning", "Secret in an entry")
def secret(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A parameter or a global looks like a password, a key or a token.

    Many people can read the table, the queues and the log. Put it into AWS Secrets Manager, and
    pass its name.
    """
    for name in ("parameters", "globals"):
        for path, text, of_name in strings(checked.values.get(name)):
            owner = next((step for step in reversed(path) if isinstance(step, str)), "")
            is_named = bool(_SECRET_NAME.fullmatch(owner)) and not of_name
            if _SECRET.search(text) or (is_named and not _NO_SECRET.match(text)):
                yield Found(
                    f"the value of {shown(owner or name)} looks like a secret", (name, *path)
                )


def _failed(checked: CheckedEntry, failure: Failure, meaning: str) -> Found:
    hints = [
        finding.message.partition("; ")[2]
        for finding, _ in _unknown_members(checked, of_failure=True)
        if "; " in finding.message
    ]
    message = "; ".join([f"{meaning}: {failure.reason}", *hints[:1]])
    return Found(message, failure.path, failure.of_name, text=failure.text)


def _member(
    path: Path, template: TemplateText, owner: str, name: str, known: Iterable[str]
) -> Found:
    message = f"{owner} has no {shown(name)}{hint(name, known)}"
    whole = f"{owner}.{name}"
    return _at(path, template, whole if template.path_of(whole)[0] else name, message)


def _at(path: Path, template: TemplateText, name: str, message: str) -> Found:
    inner, of_name = template.path_of(name)
    return Found(message, (*path, *inner), of_name, text=name)
