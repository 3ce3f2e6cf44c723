"""Rules on files: what prevents their entries from being put into the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.check.findings import Fix, Found
from lava_s3trigger.cli.entries.load import UNREADABLE
from lava_s3trigger.triggers import is_custom
from lava_s3trigger.units import shown

from .checked import CASES_FIELD, IGNORE_FIELD, READ_CUSTOM_FIELDS
from .registry import RULES, hint, nearest, rule, unknown_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.entries.load import SourceFile
    from lava_s3trigger.cli.entries.positions import Node, Problem

    from .checked import CheckedEntries, CheckedEntry

CASE_FIELDS: Final = frozenset(
    """
    alone as_is because event event_type exactly expect key name now size source_ip time trigger_id
    """.split()  # noqa: SIM905
)
"""The fields of a case that the command `test` reads."""


@rule("LT001", "error", "Invalid YAML or JSON", on="problem", of="syntax")
def syntax(problem: Problem, _checked: CheckedEntry | None) -> Iterator[Found]:
    """The file cannot be parsed, so nothing after the error is checked.

    In YAML, a value that begins with `{{` or `*` needs quotes: `prefix: "*"`.
    """
    yield Found(problem.message)


@rule("LT002", "error", "Duplicate name in a map", on="problem", of="duplicate_name")
def duplicate_name(problem: Problem, _checked: CheckedEntry | None) -> Iterator[Found]:
    """A map has the same name twice.

    Most readers keep only the last value. Remove one.
    """
    yield Found(problem.message)


@rule("LT003", "error", "YAML reads text as a date", on="problem", of="date")
def date(problem: Problem, checked: CheckedEntry | None) -> Iterator[Found]:
    """YAML reads text such as `2026-03-14` as a date, and DynamoDB has no dates.

    Put the text in quotes: `"2026-03-14"`. `--fix` does so.
    """
    path, node = _at(problem, checked)
    value = node.value if node else None
    yield Found(problem.message, path, fix=Fix(value, path) if isinstance(value, str) else None)


@rule("LT004", "error", "Placeholder of lava's job framework", on="problem", of="placeholder")
def placeholder(problem: Problem, _checked: CheckedEntry | None) -> Iterator[Found]:
    """The file still has `<{` or `<%` in it, which lava's job framework replaces.

    Run the make target `dist` of that repository, and check its folder `dist/`.
    """
    yield Found(problem.message)


@rule("LT005", "error", "DynamoDB cannot hold the number", on="problem", of="number")
def number(problem: Problem, checked: CheckedEntry | None) -> Iterator[Found]:
    """DynamoDB cannot hold numbers of more than 38 digits, infinity or `.nan`.

    If the value is a name or a code, put it in quotes.
    """
    yield Found(problem.message, _at(problem, checked)[0])


@rule("LT006", "error", "Not an entry", on="problem", of="no_entry")
def no_entry(problem: Problem, _checked: CheckedEntry | None) -> Iterator[Found]:
    """A document, or an item of a list, is not an entry.

    A trigger has a `trigger_id`, a `bucket` and a `prefix`; a job has a `job_id`, a `type`, a
    `worker` and a `payload`.
    """
    yield Found(problem.message)


@rule("LT007", "error", "Field name is not a string", on="problem", of="name_not_a_string")
def name_not_a_string(problem: Problem, checked: CheckedEntry | None) -> Iterator[Found]:
    """A name in a map is a number, a boolean or null. DynamoDB's names are strings.

    Put the name in quotes: `"2026": archive`. `--fix` does so.
    """
    path, _ = _at(problem, checked, of_name=True)
    fix = Fix(path[-1], path, of_name=True) if path and path[-1] != "" else None
    yield Found(problem.message, path, of_name=True, fix=fix)


@rule("LT008", "error", "Unknown YAML tag", on="problem", of="unknown_tag")
def unknown_tag(problem: Problem, checked: CheckedEntry | None) -> Iterator[Found]:
    """A value has a YAML tag such as `!Ref` or `!secret`, which means nothing in an entry.

    Remove the tag.
    """
    yield Found(problem.message, _at(problem, checked)[0])


@rule("LT009", "info", "File without an entry", on="file")
def file_without_entry(file: SourceFile) -> Iterator[Found]:
    """A file in a folder has no entry, and is left out.

    If it should have one, compare its fields with the [table of fields](triggers.md#fields).
    """
    yield Found(f"no entry in {file.name}: the file is left out")


@rule("LT010", "warning", "YAML readers disagree about a value", on="entry")
def ambiguous(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A value without quotes has another meaning in YAML 1.1, which lava's own tools read.

    There, `no`, `off` and `y` are booleans, and `0644` is octal. Write `true` or `false` for a
    boolean, and put text in quotes.
    """
    node = checked.entry.node
    if node is None:
        return
    for path, inner in _nodes(node):
        if inner.note:
            fix = None
            is_boolean = path in (("enabled",), ("jinja",)) and inner.note == "a boolean"
            if is_boolean and isinstance(inner.value, str):
                fix = Fix(inner.value.lower() in ("yes", "on", "y"), path)
            yield Found(
                f"{_written(checked, inner)} is {inner.note} to readers of YAML 1.1, and"
                f" {_kind(inner)} to those of YAML 1.2",
                path,
                fix=fix,
            )


@rule("LT011", "warning", "Unknown rule in x-lint-ignore", on="entry")
def unknown_ignored(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """The field `x-lint-ignore` of an entry names a rule that does not exist.

    It takes ids, or beginnings of ids: `x-lint-ignore: [LT206, LT9]`.
    """
    value = checked.values.get(IGNORE_FIELD, [])
    for n, item in enumerate(value if isinstance(value, list) else [value]):
        path = (IGNORE_FIELD, n) if isinstance(value, list) else (IGNORE_FIELD,)
        is_known = isinstance(item, str) and item and any(id_.startswith(item) for id_ in RULES)
        if not is_known:
            yield Found(unknown_rule(str(item)), path)


@rule("LT012", "error", "File cannot be read", on="problem", of=UNREADABLE)
def unreadable(problem: Problem, _checked: CheckedEntry | None) -> Iterator[Found]:
    """A file or a folder cannot be read, so its entries are not checked.

    A permission is missing, a link leads nowhere, or the text is not UTF-8. The exit status is 3.
    """
    yield Found(problem.message)


@rule("LT013", "warning", "Unknown field of a case")
def unknown_case_field(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A case under `x-tests` has an unknown field, so `lava-s3trigger test` refuses it.

    See the [fields of a case](check.md#cases).
    """
    cases = checked.values.get(CASES_FIELD)
    for n, case in enumerate(cases if isinstance(cases, list) else ()):
        for name in case if isinstance(case, dict) else ():
            if name not in CASE_FIELDS:
                yield Found(
                    f"unknown field {shown(name)} of a case{hint(name, CASE_FIELDS)}",
                    (CASES_FIELD, n, name),
                    of_name=True,
                )


def _written(checked: CheckedEntry, node: Node) -> str:
    file, span = checked.entry.file, node.span
    return shown(file.text[span.start : span.end] if file else str(node.value))[1:-1]


def _kind(node: Node) -> str:
    return "text" if isinstance(node.value, str) else "a number"


@rule("LT014", "error", "Binary value is not base64", on="problem", of="binary")
def binary(problem: Problem, checked: CheckedEntry | None) -> Iterator[Found]:
    """DynamoDB's JSON has binary values (`B`, `BS`) in base64.

    Encode the value, or use `S` for text.
    """
    yield Found(problem.message, _at(problem, checked)[0])


@rule("LT015", "warning", "Custom field with a typo")
def misspelt_custom_field(checked: CheckedEntry, _all: CheckedEntries) -> Iterator[Found]:
    """A custom field has nearly the name of one that commands read, such as `x-test` for `x-tests`.

    Its value is ignored: cases under `x-test` are not run. Correct the name, or choose another
    one.
    """
    free = {name[2:]: name for name in READ_CUSTOM_FIELDS - checked.values.keys()}
    for name in checked.values:
        if is_custom(name) and name not in READ_CUSTOM_FIELDS:
            close = nearest(name[2:].lower(), free)
            if close:
                message = f"custom field {shown(name)}; did you mean {shown(free[close])}?"
                yield Found(message, (name,), of_name=True)


def _nodes(
    node: Node, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    yield path, node
    if isinstance(node.value, dict):
        for name, member in node.value.items():
            yield from _nodes(member.value, (*path, name))
    elif isinstance(node.value, list):
        for n, item in enumerate(node.value):
            yield from _nodes(item, (*path, n))


def _at(
    problem: Problem, checked: CheckedEntry | None, *, of_name: bool = False
) -> tuple[tuple[str | int, ...], Node | None]:
    """Return the path and the node of the entry at the place of a problem."""
    if checked is None or checked.entry.node is None:
        return (), None
    place = (problem.line, problem.column)
    for path, node in _nodes(checked.entry.node):
        if of_name and isinstance(node.value, dict):
            for name, member in node.value.items():
                if (member.name.line, member.name.column) == place:
                    return (*path, name), member.value
        elif (node.span.line, node.span.column) == place and not isinstance(
            node.value, (dict, list)
        ):
            return path, node
    return (), None
