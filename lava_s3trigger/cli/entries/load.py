"""Reads trigger and job entries from files or from a realm's tables, for all commands.

An entry is an item as DynamoDB would return it, and the function's own reader reads it. An
entry from a file also has the place of each value.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.escaping import safe

from .dynamodb import AttributeReader, is_item, untyped
from .json_text import JsonText
from .positions import Member, Node, Problem, Span
from .yaml_text import YamlText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lava_s3trigger.cli.deployed.aws import Aws

    from .dynamodb import Attribute

Kind = Literal["trigger", "job"]
KINDS: Final[tuple[Kind, ...]] = ("trigger", "job")

SUFFIXES: Final = frozenset([".yaml", ".yml", ".json", ".jsonl"])
STANDARD_INPUT: Final = "-"
UNREADABLE: Final = "unreadable"
"""Kind of the problem of a file that cannot be read."""
# Not Jinja in angle brackets, such as <{{ key }}>.
_PLACEHOLDER: Final = re.compile(r"<\{(?![{%#])(?=.*?(?<![}%#])\}>)|<%(?=.*?%>)", re.DOTALL)
_LISTS: Final[dict[str, Kind]] = {"triggers": "trigger", "jobs": "job"}
_TRIGGER_FIELDS: Final = frozenset(["trigger_id", "bucket", "prefix"])
_JOB_FIELDS: Final = frozenset(["payload", "type", "worker"])
_MAX_SHOWN_PROBLEMS: Final = 10


@dataclass(frozen=True)
class SourceFile:
    """A file of entries."""

    name: str
    """The path that the user named, or a path below that folder; ``-`` is standard input."""
    text: str

    @cached_property
    def _lines(self) -> list[str]:
        # Lines as the parsers count them: a form feed or U+2028 in a string does not end one.
        return [line.removesuffix("\r") for line in self.text.split("\n")]

    def line(self, number: int) -> str:
        """Return a line of the text, from 1, without its end."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(slots=True)
class Entry:
    """An entry of the s3triggers table or of the jobs table."""

    kind: Kind
    item: dict[str, Attribute]
    """The item, as DynamoDB's low-level client returns it."""
    source: str
    """Its source, for people: ``entries/t.yaml:3``, or the name of the table."""
    node: Node | None = None
    """The entry with the places of its values; None for an entry of a table."""
    file: SourceFile | None = None
    problems: list[Problem] = field(default_factory=list)
    """What prevents putting it into the table: duplicate names, dates, numbers."""

    @property
    def id(self) -> str | None:
        """The trigger id, or the job id of a job; None if it is missing or not a string."""
        return self.text(f"{self.kind}_id")

    def text(self, name: str) -> str | None:
        """Return a field that is a string, else None."""
        value = self.item.get(name, {}).get("S")
        return value if isinstance(value, str) else None

    def value(self, name: str) -> Any:
        """Return the Python value of a field, or None.

        Raises:
            ValueError: It contains binary values.
        """
        return value_of(self.item[name], name) if name in self.item else None

    def place(self, *path: str | int, of_name: bool = False) -> Place | None:
        """Return the place of a value, or of the nearest value around it.

        Args:
            *path: Names and positions, from the entry down.
            of_name: Return the place of the name of the field, not of its value.
        """
        span = self.span(*path, of_name=of_name)
        return Place(self.file.name, span.line, span.column) if span and self.file else None

    def span(self, *path: str | int, of_name: bool = False) -> Span | None:
        """Return the span of a value in the file, or of the nearest value around it."""
        if self.node is None:
            return None
        node, name = self.node, None
        for step in path:
            inner = node.member(step)
            if inner is None:
                break
            name = node.value[step].name if isinstance(node.value, dict) else None  # type: ignore[index]
            node = inner
        return name if of_name and name else node.span

    def holds(self, problem: Problem) -> bool:
        """Return whether a problem is in the lines of the entry."""
        if self.node is None or self.file is None or problem.line is None:
            return False
        span = self.node.span
        return (span.line, span.column) <= (problem.line, problem.column or 0) and (
            problem.line <= span.line + self.file.text.count("\n", span.start, span.end)
        )


@dataclass(slots=True)
class Loaded:
    """The entries and problems that were read from files."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Problems of parts that cannot be read, or are not entries."""
    files: dict[str, SourceFile] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[Entry]:
        """Return the entries of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]

    def all_problems(self) -> list[Problem]:
        """Return the problems of files and of entries."""
        return [*self.problems, *(problem for entry in self.entries for problem in entry.problems)]


def require_none(problems: Sequence[object]) -> None:
    """Raise an error with the problems, if there are any.

    Raises:
        CommandError: There are problems.
    """
    if problems:
        told = [str(problem) for problem in problems[:_MAX_SHOWN_PROBLEMS]]
        more = len(problems) - len(told)
        raise CommandError("\n".join(told + ([f"and {more} more"] if more > 0 else [])))


def load_sound(
    paths: Sequence[str],
    kind: Kind | None = None,
    progress: Callable[[int], None] | None = None,
) -> Loaded:
    """Read the entries of files and folders; raise an error if there are problems.

    Files of a folder that have no entry, such as payloads and cases, are left out.

    Args:
        paths: See `load`.
        kind: Kind of entries that must be present.
        progress: See `load`.

    Raises:
        CommandError: A file cannot be read, a value is not an entry, or there is no entry.
    """
    loaded = load(paths, progress)
    with_entries = {*paths, *(entry.file.name for entry in loaded.entries if entry.file)}
    loaded.problems = [
        problem
        for problem in loaded.problems
        if problem.kind != "no_entry" or problem.file in with_entries
    ]
    require_none(loaded.all_problems())
    if kind and not loaded.of(kind):
        raise CommandError(f"{safe(', '.join(paths))}: no {kind} entries in there")
    return loaded


def load(paths: Sequence[str], progress: Callable[[int], None] | None = None) -> Loaded:
    """Read the entries of files and folders.

    Args:
        paths: Files and folders; ``-`` is standard input. In a folder all files with the
            suffixes of `SUFFIXES` are read, except if their name or that of their folder
            begins with ``_`` or a dot, as in lava's job framework. A file that cannot be
            read is a problem of the kind `UNREADABLE`.
        progress: Called with the number of files read so far.

    Raises:
        CommandError: A path does not exist.
    """
    loaded = Loaded()
    unreadable: list[Problem] = []
    _read_into(loaded, read_texts(paths, unreadable), progress)
    for problem in unreadable:
        loaded.files[problem.file] = SourceFile(problem.file, "")
    loaded.problems += unreadable
    return loaded


def load_texts(texts: Iterable[tuple[str, str]]) -> Loaded:
    """Read the entries of texts.

    Args:
        texts: The text of each file, by its name.
    """
    loaded = Loaded()
    _read_into(loaded, texts)
    return loaded


def _read_into(
    loaded: Loaded,
    texts: Iterable[tuple[str, str]],
    progress: Callable[[int], None] | None = None,
) -> None:
    for number, (name, text) in enumerate(texts, 1):
        file = SourceFile(name, text)
        loaded.files[name] = file
        _Reader(loaded, file).read()
        if progress:
            progress(number)


def read_table(aws: Aws, realm: str, kind: Kind, *, is_consistent: bool = False) -> list[Entry]:
    """Read all entries of a realm's table.

    Args:
        aws: The account of the table.
        realm: Name of the realm.
        kind: The kind of entries, which determines the table.
        is_consistent: Whether to include the latest writes, at twice the cost.

    Raises:
        CommandError: There is no such table, or DynamoDB refuses or cannot be reached.
    """
    name = f"lava.{realm}.{'s3triggers' if kind == 'trigger' else 'jobs'}"
    client = aws.client("dynamodb")
    scan = client.get_paginator("scan")
    with reaching_aws():
        try:
            pages = scan.paginate(TableName=name, ConsistentRead=is_consistent)
            return [Entry(kind, item, name) for page in pages for item in page["Items"]]
        except client.exceptions.ResourceNotFoundException:
            message = f"there is no table {name}; check the realm, the region and the account"
            raise CommandError(message) from None


def read_texts(
    paths: Sequence[str], problems: list[Problem] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file, and of those of folders, as `load` finds them.

    A file that has two names is read once, by its first name.

    Args:
        paths: Files and folders.
        problems: The list that gets the problems of unreadable files, instead of an error.

    Raises:
        CommandError: A file does not exist, cannot be read, or is not UTF-8.
    """
    seen: set[object] = set()
    for path in paths:
        for name in _files(path, refused := []):
            try:
                if (identity := _identity(name)) in seen:
                    continue
                seen.add(identity)
                text = _text(name)
            except OSError as error:
                refused.append(_unreadable(name, error))
            except UnicodeDecodeError as error:
                line = error.object[: error.start].count(b"\n") + 1
                refused.append(Problem(name, line, None, "this is not UTF-8", UNREADABLE))
            else:
                yield name, text
        if problems is None and refused:
            raise CommandError(safe(str(refused[0])))
        if problems is not None:
            problems += refused


def _unreadable(name: str, error: OSError) -> Problem:
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        reason = "a link to a file that does not exist"
    return Problem(name, None, None, reason, UNREADABLE)


def _identity(name: str) -> object:
    """Return an identity of a file that is the same for all of its names."""
    if name == STANDARD_INPUT:
        return name
    path = Path(name)
    try:
        status = path.stat()
    except OSError:
        status = path.lstat()
    return status.st_dev, status.st_ino


def _text(name: str) -> str:
    raw = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    return raw.decode("utf-8-sig")


def _files(path: str, refused: list[Problem]) -> Iterable[str]:
    """Return the files of a path; unreadable folders are added to `refused`."""
    if path == STANDARD_INPUT:
        return [path]
    start = Path(path)
    if not start.exists() and not start.is_symlink():
        raise CommandError(f"{safe(path)}: there is no such file or folder")
    if not start.is_dir():
        return [path]

    def refuse(error: OSError) -> None:
        refused.append(_unreadable(str(Path(error.filename)), error))

    names: list[str] = []
    for folder, inner, files in os.walk(start, onerror=refuse):
        inner[:] = [name for name in inner if not name.startswith((".", "_"))]
        own = (Path(folder, name) for name in files if not name.startswith((".", "_")))
        names += [
            str(name)
            for name in own
            # A listed file that does not exist is a broken link.
            if name.suffix in SUFFIXES and (name.is_file() or not name.exists())
        ]
    return sorted(names)


class _Reader:
    """Reads the entries of one file."""

    def __init__(self, loaded: Loaded, file: SourceFile) -> None:
        self._loaded = loaded
        self._file = file
        self._first = len(loaded.entries)

    def read(self) -> None:
        text, name = self._file.text, self._file.name
        if placeholder := _PLACEHOLDER.search(text):
            at = placeholder.start()
            self._problem(
                Span(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), at, 0),
                f"{placeholder[0]} is a placeholder of lava's job framework:"
                ' run "make dist" there, and name the file in dist/ instead',
                "placeholder",
            )
            return
        is_json = name.endswith((".json", ".jsonl")) or (
            name == STANDARD_INPUT and text.lstrip()[:1] in ("{", "[")
        )
        parser = JsonText(text, name) if is_json else YamlText(text, name)
        for document in parser.documents():
            self._document(document)
        self._assign(parser.problems)

    def _assign(self, problems: list[Problem]) -> None:
        """Assign each problem to the entry that contains it, else to the file."""
        entries = self._loaded.entries[self._first :]
        for problem in problems:
            owner: Entry | Loaded = self._loaded
            if problem.kind != "syntax":
                owner = next((entry for entry in reversed(entries) if entry.holds(problem)), owner)
            owner.problems.append(problem)

    def _problem(self, span: Span, message: str, kind: str) -> None:
        self._loaded.problems.append(Problem.at(self._file.name, span, message, kind))

    def _document(self, node: Node) -> None:
        value = node.value
        if isinstance(value, list):
            for item in value:
                self._entry(item)
        elif isinstance(value, dict) and not _TRIGGER_FIELDS & value.keys():
            lists = [name for name in (*_LISTS, "Items") if name in value]
            for name in lists:
                self._list(value[name], _LISTS.get(name))
            if not lists:
                self._entry(value["Item"].value if "Item" in value else node)
        elif value is not None:
            self._entry(node)

    def _list(self, member: Member, kind: Kind | None) -> None:
        if not isinstance(member.value.value, list):
            if member.value.value is not None:
                self._problem(member.value.span, "a list of entries is missing here", "no_entry")
            return
        for item in member.value.value:
            self._entry(item, kind)

    def _entry(self, node: Node, kind: Kind | None = None) -> None:
        if not isinstance(node.value, dict):
            self._problem(node.span, "not an entry: an entry is a map of fields", "no_entry")
            return
        if is_item(node):
            node = untyped(node)
        names = node.value.keys()  # type: ignore[union-attr]
        if kind is None:
            if names & _TRIGGER_FIELDS or any(name.startswith("if_") for name in names):
                kind = "trigger"
            elif "job_id" in names and names & _JOB_FIELDS:
                kind = "job"
            else:
                message = (
                    "not an entry: a trigger has a trigger_id, a bucket and a prefix; a job"
                    " has a job_id, a type, a worker and a payload"
                )
                self._problem(node.span, message, "no_entry")
                return
        reader = AttributeReader(self._file.name)
        item = reader.item(node)
        source = f"{self._file.name}:{node.span.line}"
        self._loaded.entries.append(Entry(kind, item, source, node, self._file, reader.problems))
