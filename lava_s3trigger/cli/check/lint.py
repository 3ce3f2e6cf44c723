"""Runs the rules of `check` on entries, and adds the place to each finding."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.entries.memory import MAX_DELAY
from lava_s3trigger.cli.entries.positions import Span
from lava_s3trigger.cli.entries.source import UNKNOWN_REALM
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.templates.limits import listening

from .findings import Finding, field_of
from .rules.catalogue import RULES, all_rules
from .rules.checked import IGNORE_FIELD, CheckedEntries, CheckedEntry
from .rules.registry import ids_beginning
from .safety import with_corrections

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lava_s3trigger.cli.entries.load import Entry, Loaded, SourceFile
    from lava_s3trigger.cli.entries.positions import Problem

    from .findings import Found
    from .rules.registry import Rule

Progress = Callable[[int, int], None]

_KINDS_IN_OTHER_FILES: Final = frozenset(
    ["no_entry", "unknown_tag", "date", "number", "name_not_a_string"]
)
"""Kinds of problems of a file without entries."""


ALWAYS: Final = frozenset(["LT001", "LT004", "LT012"])
"""Rules on unreadable files. They always apply, since the other rules cannot see these files."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rules are applied.

    Args:
        ids: Ids of rules. The rules of `ALWAYS` apply in any case.
    """

    ids: frozenset[str]

    @classmethod
    def of(cls, select: Iterable[str], ignore: Iterable[str]) -> Selection:
        """Choose rules by prefixes of ids; each value is a list with commas.

        Raises:
            CommandError: A prefix matches no rule, or no rule is left.
        """
        selected, ignored = _split(select), _split(ignore)
        chosen = ids_beginning(selected) if selected else set(RULES)
        chosen -= ids_beginning(ignored)
        if not chosen:
            raise CommandError("no rule is left: --ignore takes all of --select away", WRONG_USAGE)
        return cls(frozenset(chosen))

    def rules(self, *subjects: str) -> list[Rule]:
        """Return the chosen rules on some subjects."""
        ids = self.ids | ALWAYS
        return [rule for rule in all_rules() if rule.subject in subjects and rule.id in ids]


def _split(values: Iterable[str]) -> list[str]:
    return [item.strip() for value in values for item in value.split(",") if item.strip()]


@dataclass(slots=True)
class Surroundings:
    """The known parts of the realm, other than the checked entries."""

    realm: str | None = None
    jobs: Sequence[Entry] | None = None
    """Job entries of the realm's table; None if it was not read."""
    workers: set[str] | None = None
    """Workers that have a queue; None if they are not known."""
    max_delay: float = MAX_DELAY
    triggers: Sequence[Entry] = ()
    """Other trigger entries of the table; they have no findings."""


@dataclass(slots=True)
class Linted:
    """The result of a run of `check`."""

    checked: int
    """Number of entries."""
    findings: list[Finding] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    ignored: int = 0
    """Number of findings that are left out because of `x-lint-ignore`."""


def lint(
    loaded: Loaded,
    selection: Selection,
    surroundings: Surroundings,
    named_files: Iterable[str] = (),
    progress: Progress | None = None,
) -> Linted:
    """Check entries.

    Args:
        loaded: The entries, and the problems of their files.
        selection: The rules to apply.
        surroundings: The known parts of the realm.
        named_files: Files that the user named: each must have an entry.
        progress: Called with the number of entries checked so far, and of all.
    """
    linter = _Linter(loaded, selection, surroundings, frozenset(named_files))
    with listening():
        linter.run(progress)
    order = {name: n for n, name in enumerate(loaded.files)}
    findings = with_corrections(linter.findings, loaded.entries)
    findings.sort(
        key=lambda finding: (
            order.get(finding.file.name, -1) if finding.file else -1,
            finding.line or 0,
            finding.column or 0,
            str(finding.entry and finding.entry.id),
            finding.rule,
            finding.message,
        )
    )
    return Linted(len(loaded.entries), findings, loaded.entries, linter.ignored)


class _Linter:
    def __init__(
        self,
        loaded: Loaded,
        selection: Selection,
        surroundings: Surroundings,
        named_files: frozenset[str],
    ) -> None:
        self._loaded = loaded
        self._named_files = named_files
        self._all = _together(surroundings)
        self._checked = [CheckedEntry(entry, surroundings.max_delay) for entry in loaded.entries]
        for checked in self._checked:
            self._all.add(checked)
        self._rules = {kind: selection.rules("entry", kind) for kind in ("trigger", "job")}
        self._error_rules = selection.rules("error")
        self._problems = selection.rules("problem")
        self._file_rules = selection.rules("file")
        self.findings: list[Finding] = []
        self.ignored = 0

    def run(self, progress: Progress | None) -> None:
        self._check_files()
        for n, checked in enumerate(self._checked, 1):
            ignored = _ignored(checked)
            for rule, finding, problem in self._found_in(checked):
                if any(rule.id.startswith(prefix) for prefix in ignored):
                    self.ignored += 1
                else:
                    self.findings.append(_placed(rule, finding, checked.entry, problem=problem))
            if progress:
                progress(n, len(self._checked))

    def _check_files(self) -> None:
        with_entries = {entry.file.name for entry in self._loaded.entries if entry.file}
        by_file: dict[str, list[Problem]] = {}
        for problem in self._loaded.problems:
            by_file.setdefault(problem.file, []).append(problem)
        for name, problems in by_file.items():
            file = self._loaded.files[name]
            is_other = name not in with_entries and name not in self._named_files
            if is_other and {other.kind for other in problems} <= _KINDS_IN_OTHER_FILES:
                for rule in self._file_rules:
                    self.findings += [
                        _placed(rule, finding, file=file) for finding in rule.check(file)
                    ]
                continue
            for problem in problems:
                for rule, finding, _ in self._of_problem(problem, None):
                    self.findings.append(_placed(rule, finding, file=file, problem=problem))

    def _found_in(self, checked: CheckedEntry) -> Iterator[tuple[Rule, Found, Problem | None]]:
        for problem in checked.entry.problems:
            yield from self._of_problem(problem, checked)
        for error in checked.errors:
            for rule in self._error_rules:
                if rule.of == error.code:
                    for finding in rule.check(checked, error):
                        yield rule, finding, None
        for rule in self._rules[checked.kind]:
            for finding in rule.check(checked, self._all):
                yield rule, finding, None

    def _of_problem(
        self, problem: Problem, checked: CheckedEntry | None
    ) -> Iterator[tuple[Rule, Found, Problem]]:
        for rule in self._problems:
            if rule.of == problem.kind:
                for finding in rule.check(problem, checked):
                    yield rule, finding, problem


def _together(surroundings: Surroundings) -> CheckedEntries:
    """Return the known parts of the realm, as rules see them."""
    realm = surroundings.realm or UNKNOWN_REALM
    together = CheckedEntries(workers=surroundings.workers, realm=realm)
    together.jobs_name = "these files"
    if surroundings.jobs is not None:
        together.jobs_name = f"lava.{realm}.jobs"
        together.jobs = {
            job.id: CheckedEntry(job, surroundings.max_delay) for job in surroundings.jobs if job.id
        }
    for trigger in surroundings.triggers:
        together.add(CheckedEntry(trigger, surroundings.max_delay))
    return together


def _ignored(checked: CheckedEntry) -> list[str]:
    value = checked.values.get(IGNORE_FIELD)
    values = value if isinstance(value, list) else [value]
    return [value for value in values if isinstance(value, str) and value]


def _placed(
    rule: Rule,
    finding: Found,
    entry: Entry | None = None,
    file: SourceFile | None = None,
    problem: Problem | None = None,
) -> Finding:
    file = file or (entry.file if entry else None)
    span = entry.span(*finding.path, of_name=finding.of_name) if entry else None
    if span and file and finding.text:
        span = _narrowed(span, file.text, finding.text)
    line, column = (span.line, span.column) if span else (None, None)
    if problem and problem.line:
        line, column = problem.line, problem.column
        if span and (span.line, span.column) != (line, column):
            span = None
    field = field_of(finding.path)
    place: list[object] = [file.name, line, column] if file else []
    if entry and not file:
        place = [entry.source, entry.id]
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        message=finding.message,
        subject=":".join(str(part) for part in place if part),
        name=".".join(filter(None, [entry.id or entry.source, field])) if entry else "",
        path=file.name if file else None,
        file=file,
        span=span,
        line=line,
        column=column,
        entry=entry,
        field=field,
        fix=finding.fix,
    )


def _narrowed(span: Span, text: str, part: str) -> Span:
    """Return the span of a part of a value, if the file has the part unchanged."""
    match = re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text[span.start : span.end])
    start = span.start + match.start() if match else text.find(part, span.start, span.end)
    if start < 0:
        return span
    line = span.line + text.count("\n", span.start, start)
    column = start - text.rfind("\n", 0, start)
    return Span(line, column, start, start + len(part))
