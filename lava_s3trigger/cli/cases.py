"""Cases: what an entry must cause for an object, as its author wrote it down.

An entry carries its cases under ``x-tests``, which lava ignores; a file of cases names the
entry of each. See docs/testing-entries.md.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dateutil.parser import isoparse

from lava_s3trigger import units
from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.conditions import is_condition
from lava_s3trigger.units import shown

from .attributes import AttributeReader
from .entries import STANDARD_INPUT, Place
from .fixedvalues import NOW
from .jsontext import JsonText
from .nodes import Member, Node, Problem, Span
from .objects import CREATED, s3_record
from .yamltext import YamlText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .entries import Entry

FIELD: Final = "x-tests"
"""The field of an entry that holds its cases."""
NOTHING: Final = "nothing"
UNMATCHED: Final = "unmatched"
"""The reason of an entry at which the function does not look for the object."""
REASONS: Final = (
    UNMATCHED,
    "aborted",
    "bad_entry",
    "bad_job",
    "condition_not_met",
    "job_disabled",
    "no_such_job",
    "rendering_failed",
    "trigger_disabled",
)
"""Why nothing is dispatched, besides the field of a condition."""
_NO_SPAN: Final = Span(0, 0, 0, 0)
_DELETIONS: Final = ("ObjectRemoved:", "LifecycleExpiration:", "ObjectTagging:", "ObjectAcl:")
"""Types of events of which S3 sends no size. See docs/design.md#what-events-leave-out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An object, and the dispatches that are expected of it."""

    trigger_id: str
    """The entry that it belongs to."""
    number: int
    """Which of the entry's cases of that source it is, from 1."""
    name: str
    """Its name, or else the key, or the file of the payload."""
    payload: Any
    """What the function is handed."""
    now: dt.datetime
    """The time that templates read."""
    expected: tuple[dict[str, Any], ...]
    """Dispatches, each with the fields that are compared."""
    is_exact: bool
    """Whether maps have no members but those expected."""
    because: str | None
    """Why nothing is expected: a field or one of `REASONS`."""
    is_alone: bool
    """Whether only its own entry decides."""
    source: str
    """Where it stands, for people."""
    place: Place | None


class _CaseError(ValueError):
    """A case cannot be used; `node` is what is wrong with it."""

    def __init__(self, message: str, node: Node) -> None:
        super().__init__(message)
        self.node = node


@dataclass(slots=True)
class CaseReader:
    """Reads cases, and collects what is wrong with them.

    Args:
        entries: Entries by their trigger id.
        knows_jobs: Whether the workers of jobs are known.
    """

    entries: Mapping[str, Entry]
    knows_jobs: bool
    cases: list[Case] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def read_entry(self, entry: Entry) -> None:
        """Read the cases under `FIELD` of an entry."""
        if entry.node:
            found = entry.node.find((FIELD,))
        else:
            found = _node_of(entry.value(FIELD)) if FIELD in entry.item else None
        if found is None or found.value is None:
            return
        file = entry.file.name if entry.file else ""
        if not isinstance(found.value, list):
            self._problem(f"{FIELD} must be a list of cases", found, file or entry.source)
            return
        for node in found.value:
            self._read(node, file, entry)

    def read_file(self, name: str, text: str) -> None:
        """Read a file of cases: a list, or a map with ``cases``, each with its trigger id."""
        parser = (
            JsonText(text, name) if name.endswith((".json", ".jsonl")) else YamlText(text, name)
        )
        for document in parser.documents():
            self._read_document(document, name)
        self.problems += parser.problems

    def _read_document(self, document: Node, name: str) -> None:
        found = document
        if isinstance(document.value, dict) and "cases" in document.value:
            found = document.value["cases"].value
        if isinstance(found.value, list):
            for node in found.value:
                self._read(node, name, None)
        elif isinstance(found.value, dict):
            self._read(found, name, None)
        elif found.value is not None:
            self._problem("a list of cases is missing here", found, name)

    def _problem(self, message: str, node: Node, file: str) -> None:
        line, column = (node.span.line or None, node.span.column or None)
        self.problems.append(Problem(file, line, column, message, "case"))

    def _read(self, node: Node, file: str, entry: Entry | None) -> None:
        try:
            members = _members(node, "a case")
            entry = entry or self._entry(members, node)
            self.cases.append(self._case(members, node, file, entry))
        except _CaseError as error:
            self._problem(str(error), error.node, file or (entry.source if entry else ""))

    def _entry(self, members: dict[str, Member], node: Node) -> Entry:
        if "trigger_id" not in members:
            raise _CaseError("trigger_id is missing: a case in a file names its entry", node)
        trigger_id = _text(members["trigger_id"].value)
        if trigger_id not in self.entries:
            close = get_close_matches(trigger_id, self.entries, n=1)
            hint = f": did you mean {shown(close[0])}?" if close else ""
            message = f"there is no entry with the trigger_id {shown(trigger_id)}{hint}"
            raise _CaseError(message, members["trigger_id"].value)
        return self.entries[trigger_id]

    def _case(self, members: dict[str, Member], node: Node, file: str, entry: Entry) -> Case:
        for name, member in members.items():
            if name not in _FIELDS:
                close = get_close_matches(name, _FIELDS, n=1)
                hint = f": did you mean {shown(close[0])}?" if close else ""
                known = ", ".join(each for each in _FIELDS if each != "trigger_id")
                message = f"unknown field {shown(name)} of a case{hint or f'; it may have {known}'}"
                raise _CaseError(message, Node(None, member.name))
        given = {
            name: _FIELDS[name](member.value)
            for name, member in members.items()
            if name not in ("expect", "exactly", "because", "event")
        }
        trigger_id, bucket = entry.id, entry.text("bucket")
        if not trigger_id or not bucket:
            raise _CaseError("its entry needs a trigger_id and a bucket, both strings", node)
        expected, is_exact = self._expected(members, node)
        payload, time, title = self._object(members, given, node, file, bucket)
        number = self._numbers[trigger_id, file] = self._numbers.get((trigger_id, file), 0) + 1
        place = Place(file, node.span.line, node.span.column) if node.span.line else None
        return Case(
            trigger_id=trigger_id,
            number=number,
            name=given.get("name", title),
            payload=payload,
            now=given.get("now", time),
            expected=expected,
            is_exact=is_exact,
            because=self._because(members, expected, entry),
            is_alone=given.get("alone", False),
            source=str(place) if place else f"{file or entry.source}, case {number}",
            place=place,
        )

    def _object(
        self, members: dict[str, Member], given: dict[str, Any], node: Node, file: str, bucket: str
    ) -> tuple[Any, dt.datetime, str]:
        """Return the payload of a case, the time of the event, and what to call it."""
        if "event" in members:
            for name in ("key", *_OF_OBJECT):
                if name in members:
                    message = f"{name} and event exclude each other: the payload has an object"
                    raise _CaseError(message, Node(None, members[name].name))
            found = members["event"].value
            name = _text(found)
            return _payload(name, file, found), NOW, name
        if "key" not in given:
            raise _CaseError("a case needs a key, or an event: the file of a payload", node)
        event_type = given.get("event_type", CREATED)
        size = given.get("size", None if event_type.startswith(_DELETIONS) else 1)
        time = given.get("time", NOW)
        record = s3_record(
            bucket,
            given["key"],
            size=size,
            event_type=event_type,
            time=time,
            source_ip=given.get("source_ip"),
        )
        return {"Records": [record]}, time, given["key"]

    def _expected(
        self, members: dict[str, Member], node: Node
    ) -> tuple[tuple[dict[str, Any], ...], bool]:
        named = [name for name in ("expect", "exactly") if name in members]
        if len(named) != 1:
            raise _CaseError(
                f"{' and '.join(named)} exclude each other"
                if named
                else "expect is missing: nothing, or a list of dispatches",
                node if not named else Node(None, members[named[1]].name),
            )
        found = members[named[0]].value
        is_exact = named[0] == "exactly"
        if found.value == NOTHING:
            return (), is_exact
        nodes = found.value if isinstance(found.value, list) else [found]
        if not nodes:
            raise _CaseError(f"an empty list: write {NOTHING} where none is expected", found)
        return tuple(self._dispatch(each, is_exact=is_exact) for each in nodes), is_exact

    def _dispatch(self, node: Node, *, is_exact: bool) -> dict[str, Any]:
        members = _members(node, f"expected is {NOTHING}, or a list of dispatches; a dispatch")
        for name, member in members.items():
            if name not in _OF_DISPATCH:
                close = get_close_matches(name, _OF_DISPATCH, n=1)
                hint = f": did you mean {shown(close[0])}?" if close else ""
                message = f"unknown field {shown(name)} of a dispatch" + (
                    hint or f"; it may have {', '.join(_OF_DISPATCH)}"
                )
                raise _CaseError(message, Node(None, member.name))
        if "job_id" not in members:
            raise _CaseError("job_id is missing in an expected dispatch", node)
        if "worker" in members and not self.knows_jobs:
            message = "which worker has a job is not known: name files of jobs with --jobs"
            raise _CaseError(message, members["worker"].value)
        given = {name: _OF_DISPATCH[name](member.value) for name, member in members.items()}
        return {"delay": 0, "parameters": {}, "globals": {}, **given} if is_exact else given

    def _because(
        self, members: dict[str, Member], expected: tuple[Any, ...], entry: Entry
    ) -> str | None:
        if "because" not in members:
            return None
        found = members["because"].value
        reason = _text(found)
        if expected:
            message = f"because goes with expect: {NOTHING}"
            raise _CaseError(message, Node(None, members["because"].name))
        fields = [name for name in entry.item if is_condition(name)]
        if reason not in (*fields, *REASONS):
            has = f"the entry's conditions ({', '.join(fields)})" if fields else "(no condition)"
            known = f"{has} and {', '.join(REASONS)}"
            raise _CaseError(f"{shown(reason)} is no reason here; there are {known}", found)
        return reason


def _node_of(value: Any) -> Node:
    """Return a node of a plain value that stands in no file."""
    if isinstance(value, dict):
        members = {name: Member(_NO_SPAN, _node_of(each)) for name, each in value.items()}
        return Node(members, _NO_SPAN)
    if isinstance(value, list):
        return Node([_node_of(each) for each in value], _NO_SPAN)
    return Node(Decimal(repr(value)) if isinstance(value, float) else value, _NO_SPAN)


def _payload(name: str, file: str, node: Node) -> Any:
    folder = Path(file).parent if file and file != STANDARD_INPUT else Path()
    try:
        return json.loads((folder / name).read_text("utf-8"))
    except OSError as error:
        raise _CaseError(f"{shown(str(folder / name))}: {error.strerror}", node) from None
    except (ValueError, RecursionError) as error:
        raise _CaseError(f"{shown(str(folder / name))} is no JSON: {error}", node) from None


# What reads a field takes its node.


def _members(node: Node, what: str) -> dict[str, Member]:
    if not isinstance(node.value, dict):
        raise _CaseError(f"{what} is a map, not {shown(node.plain())}", node)
    return node.value


def _text(node: Node) -> str:
    if not isinstance(node.value, str) or not node.value:
        hint = "" if node.value in (None, "") else ": put it in quotes"
        raise _CaseError(f"{shown(node.plain())} is no text{hint}", node)
    return node.value


def _key(node: Node) -> str:
    text = _text(node)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _CaseError(f"{shown(text)} is not UTF-8, as keys are in S3", node) from None
    return text


def _boolean(node: Node) -> bool:
    if not isinstance(node.value, bool):
        raise _CaseError(f"{shown(node.plain())} is neither true nor false", node)
    return node.value


def _size(node: Node) -> int:
    size = _by(units.size, node)
    if size < 0 or size != int(size):
        raise _CaseError(f"{shown(node.plain())} is no number of bytes", node)
    return int(size)


def _time(node: Node) -> dt.datetime:
    text = _text(node)
    try:
        time = isoparse(text)
    except (ValueError, OverflowError):
        message = f"{shown(text)} is no time such as 2026-03-14T01:59:26Z"
        raise _CaseError(message, node) from None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def _address(node: Node) -> str:
    text = _text(node)
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise _CaseError(f"{shown(text)} is no IP address", node) from None


def _delay(node: Node) -> int:
    return round(_by(units.duration, node))


def _by(read: Callable[[Any], float], node: Node) -> float:
    try:
        return read(_value(node))
    except ValueError as error:
        raise _CaseError(str(error), node) from None


def _map(node: Node) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        raise _CaseError(f"{shown(node.plain())} is not a map", node)
    found: dict[str, Any] = _value(node)
    return found


def _value(node: Node) -> Any:
    """Return a value as it is after a round trip through the table, as entries have it."""
    reader = AttributeReader("")
    attribute = reader.attribute(node)
    for problem in reader.problems:
        raise _CaseError(problem.message, node)
    try:
        return value_of(attribute, "value")
    except ValueError as error:
        raise _CaseError(str(error), node) from None


_OF_OBJECT: Final[dict[str, Callable[[Node], Any]]] = {
    "size": _size,
    "event_type": _text,
    "time": _time,
    "source_ip": _address,
}
_FIELDS: Final[dict[str, Callable[[Node], Any]]] = {
    "trigger_id": _text,
    "name": _text,
    "key": _key,
    **_OF_OBJECT,
    "event": _text,
    "now": _time,
    "alone": _boolean,
    "expect": _value,
    "exactly": _value,
    "because": _text,
}
"""Fields of a case, and what reads each."""
_OF_DISPATCH: Final[dict[str, Callable[[Node], Any]]] = {
    "job_id": _text,
    "worker": _text,
    "delay": _delay,
    "parameters": _map,
    "globals": _map,
}
"""Fields of an expected dispatch."""


def read_cases(
    entries: Iterable[Entry], files: Iterable[tuple[str, str]], *, knows_jobs: bool
) -> CaseReader:
    """Read the cases of entries, and those of files.

    Args:
        entries: Trigger entries.
        files: Name and text of each file of cases.
        knows_jobs: Whether the workers of jobs are known.
    """
    found = list(entries)
    reader = CaseReader({each.id: each for each in found if each.id}, knows_jobs)
    for entry in found:
        reader.read_entry(entry)
    for name, text in files:
        reader.read_file(name, text)
    return reader
