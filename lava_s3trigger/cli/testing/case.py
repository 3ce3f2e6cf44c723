"""Cases: what an entry must cause for an object, written by its author.

An entry has its cases under ``x-tests``, which lava ignores; in a file of cases, each names its
entry. See docs/check.md#test-entries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.decide.fixed_values import NOW
from lava_s3trigger.cli.entries.json_text import JsonText
from lava_s3trigger.cli.entries.load import Place
from lava_s3trigger.cli.entries.positions import Member, Node, Problem, Span
from lava_s3trigger.cli.entries.yaml_text import YamlText
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.objects.event_types import event_type
from lava_s3trigger.cli.objects.payloads import ObjectEvent, eventbridge_event, s3_notification
from lava_s3trigger.cli.objects.uri import CREATED
from lava_s3trigger.cli.output.suggestions import near
from lava_s3trigger.conditions import is_condition
from lava_s3trigger.units import shown

from .fields import FIELDS, OF_DISPATCH, OF_OBJECT, CaseError, members_of, payload_of, text_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from lava_s3trigger.cli.entries.load import Entry

FIELD: Final = "x-tests"
"""The field of an entry with its cases."""
NOTHING: Final = "nothing"
UNMATCHED: Final = "unmatched"
"""The reason if the function does not reach the entry for the object."""
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
"""Reasons why nothing is dispatched, other than the field of a condition."""
_NO_SPAN: Final = Span(0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An object, and the expected dispatches."""

    trigger_id: str
    """The entry that it belongs to."""
    prefix: str
    """Prefix of the entry."""
    number: int
    """Number of the case among those of its entry in that source, from 1."""
    name: str
    """Its name, or else the key, or the file of the payload."""
    payload: Any
    """The payload for the function."""
    now: dt.datetime
    """The current time for templates."""
    expected: tuple[dict[str, Any], ...]
    """Dispatches, each with the fields that are compared."""
    is_exact: bool
    """Whether maps must have no other members than the expected ones."""
    because: str | None
    """Why nothing is expected: a field or one of `REASONS`."""
    is_alone: bool
    """Whether only its own entry decides."""
    source: str
    """Its place, for people."""
    place: Place | None


@dataclass(slots=True)
class CaseReader:
    """Reads cases, and collects problems.

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
            cases = entry.node.find((FIELD,))
        else:
            cases = _node_of(entry.value(FIELD)) if FIELD in entry.item else None
        if cases is None or cases.value is None:
            return
        file = entry.file.name if entry.file else ""
        if not isinstance(cases.value, list):
            self._problem(f"{FIELD} must be a list of cases", cases, file or entry.source)
            return
        for node in cases.value:
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
        cases = document
        if isinstance(document.value, dict) and "cases" in document.value:
            cases = document.value["cases"].value
        if isinstance(cases.value, list):
            for node in cases.value:
                self._read(node, name, None)
        elif isinstance(cases.value, dict):
            self._read(cases, name, None)
        elif cases.value is not None:
            self._problem("a list of cases is missing here", cases, name)

    def _problem(self, message: str, node: Node, file: str) -> None:
        line, column = (node.span.line or None, node.span.column or None)
        self.problems.append(Problem(file, line, column, message, "case"))

    def _read(self, node: Node, file: str, entry: Entry | None) -> None:
        try:
            members = members_of(node, "a case", FIELDS)
            entry = entry or self._entry(members, node)
            self.cases.append(self._case(members, node, file, entry))
        except CaseError as error:
            self._problem(str(error), error.node, file or (entry.source if entry else ""))

    def _entry(self, members: dict[str, Member], node: Node) -> Entry:
        if "trigger_id" not in members:
            raise CaseError("trigger_id is missing: a case in a file names its entry", node)
        trigger_id = text_of(members["trigger_id"].value)
        if trigger_id not in self.entries:
            close = near(trigger_id, self.entries)
            hint = f": did you mean {shown(close[0])}?" if close else ""
            message = f"there is no entry with the trigger_id {shown(trigger_id)}{hint}"
            raise CaseError(message, members["trigger_id"].value)
        return self.entries[trigger_id]

    def _case(self, members: dict[str, Member], node: Node, file: str, entry: Entry) -> Case:
        values = {
            name: FIELDS[name](member.value)
            for name, member in members.items()
            if name not in ("expect", "exactly", "because", "event")
        }
        trigger_id, bucket = entry.id, entry.text("bucket")
        if not trigger_id or not bucket:
            raise CaseError("its entry needs a trigger_id and a bucket, both strings", node)
        expected, is_exact = self._expected(members, node)
        if "event" in members:
            payload, time, title = _payload(members, file)
        elif "key" in values:
            title = values["key"]
            if not values.get("as_is", False):
                _require_key(title, entry, members["key"].value)
            payload, time = _event(members, values, bucket)
        else:
            raise CaseError("a case needs a key, or an event: the file of a payload", node)
        number = self._numbers[trigger_id, file] = self._numbers.get((trigger_id, file), 0) + 1
        place = Place(file, node.span.line, node.span.column) if node.span.line else None
        return Case(
            trigger_id=trigger_id,
            prefix=entry.text("prefix") or "",
            number=number,
            name=values.get("name", title),
            payload=payload,
            now=values.get("now", time),
            expected=expected,
            is_exact=is_exact,
            because=self._because(members, expected, entry),
            is_alone=values.get("alone", False),
            source=str(place) if place else f"{file or entry.source}, case {number}",
            place=place,
        )

    def _expected(
        self, members: dict[str, Member], node: Node
    ) -> tuple[tuple[dict[str, Any], ...], bool]:
        named = [name for name in ("expect", "exactly") if name in members]
        if len(named) != 1:
            raise CaseError(
                f"{' and '.join(named)} exclude each other"
                if named
                else "expect is missing: nothing, or a list of dispatches",
                node if not named else Node(None, members[named[1]].name),
            )
        dispatches = members[named[0]].value
        is_exact = named[0] == "exactly"
        if dispatches.value == NOTHING:
            return (), is_exact
        nodes = dispatches.value if isinstance(dispatches.value, list) else [dispatches]
        if not nodes:
            raise CaseError(f"an empty list: write {NOTHING} where none is expected", dispatches)
        return tuple(self._dispatch(dispatch, is_exact=is_exact) for dispatch in nodes), is_exact

    def _dispatch(self, node: Node, *, is_exact: bool) -> dict[str, Any]:
        what = f"expected is {NOTHING}, or a list of dispatches; a dispatch"
        members = members_of(node, what, OF_DISPATCH)
        if "job_id" not in members:
            raise CaseError("job_id is missing in an expected dispatch", node)
        if "worker" in members and not self.knows_jobs:
            message = "the workers of jobs are unknown: name files of jobs with --jobs"
            raise CaseError(message, members["worker"].value)
        values = {name: OF_DISPATCH[name](member.value) for name, member in members.items()}
        return {"delay": 0, "parameters": {}, "globals": {}, **values} if is_exact else values

    def _because(
        self, members: dict[str, Member], expected: tuple[Any, ...], entry: Entry
    ) -> str | None:
        if "because" not in members:
            return None
        node = members["because"].value
        reason = text_of(node)
        if expected:
            message = f"because goes with expect: {NOTHING}"
            raise CaseError(message, Node(None, members["because"].name))
        fields = [name for name in entry.item if is_condition(name)]
        if reason not in (*fields, *REASONS):
            has = f"the entry's conditions ({', '.join(fields)})" if fields else "(no condition)"
            known = f"{has} and {', '.join(REASONS)}"
            raise CaseError(f"unknown reason {shown(reason)}; known reasons: {known}", node)
        return reason


def _node_of(value: Any) -> Node:
    """Return a node for a plain value without a file."""
    if isinstance(value, dict):
        members = {name: Member(_NO_SPAN, _node_of(member)) for name, member in value.items()}
        return Node(members, _NO_SPAN)
    if isinstance(value, list):
        return Node([_node_of(member) for member in value], _NO_SPAN)
    return Node(Decimal(repr(value)) if isinstance(value, float) else value, _NO_SPAN)


def _payload(members: dict[str, Member], file: str) -> tuple[Any, dt.datetime, str]:
    """Return the payload of a case that names its file, the time, and the name of the file."""
    for name in ("key", *OF_OBJECT):
        if name in members:
            message = f"{name} and event exclude each other: the payload has an object"
            raise CaseError(message, Node(None, members[name].name))
    payload = members["event"].value
    return payload_of(payload, file), NOW, text_of(payload)


def _require_key(key: str, entry: Entry, node: Node) -> None:
    """Refuse a key with an address or a bucket in front of it: such a case would test nothing.

    Raises:
        CaseError: The key begins with an address, the bucket or a slash, and the entry's prefix
            does not.
    """
    bucket = entry.text("bucket")
    bare = re.sub(r"^(?:s3[an]?://[^/]*/|arn:[\w-]+:s3:::[^/]*/|https?://[^/]*/)", "", key)
    for start in ("/", f"{bucket}/"):
        bare = bare.removeprefix(start)
    start = key[: len(key) - len(bare)]
    if start and not f"{entry.text('prefix')}/".startswith(start):
        raise CaseError(
            f"{shown(key)} is not a key below the entry's prefix: write {shown(bare)}, or"
            " as_is: true if keys do begin so",
            node,
        )


def _event(
    members: dict[str, Member], values: dict[str, Any], bucket: str
) -> tuple[Any, dt.datetime]:
    """Return the payload of a case that has a key, and the time of its event."""
    name = values.get("event_type", CREATED)
    try:
        kind = event_type(name)
    except CommandError as error:
        raise CaseError(str(error), members["event_type"].value) from None
    is_eventbridge = name not in (kind.name, f"s3:{kind.name}")
    without = kind.without_in_eventbridge if is_eventbridge else kind.without
    if "size" in values and "size" in without:
        raise CaseError(f"events of type {name} have no size", Node(None, members["size"].name))
    event = ObjectEvent(
        bucket=bucket,
        key=values["key"],
        type=kind,
        time=values.get("time", NOW),
        size=values.get("size", 1),
        source_ip=values.get("source_ip"),
    )
    if is_eventbridge:
        return eventbridge_event(event), event.time
    payload = s3_notification([event])
    payload["Records"][0]["eventName"] = name  # servers other than AWS begin it with s3:
    return payload, event.time


def read_cases(
    entries: Iterable[Entry], files: Iterable[tuple[str, str]], *, knows_jobs: bool
) -> CaseReader:
    """Read the cases of entries, and those of files.

    Args:
        entries: Trigger entries.
        files: Name and text of each file of cases.
        knows_jobs: Whether the workers of jobs are known.
    """
    all_entries = list(entries)
    reader = CaseReader({entry.id: entry for entry in all_entries if entry.id}, knows_jobs)
    for entry in all_entries:
        reader.read_entry(entry)
    for name, text in files:
        reader.read_file(name, text)
    return reader
