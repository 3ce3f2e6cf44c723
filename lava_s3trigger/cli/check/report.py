"""Formats of findings: text, JSON, JSON Lines, GitHub, SARIF and JUnit."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.findings import SEVERITIES, STYLES, is_at_least
from lava_s3trigger.cli.output.github import write_github
from lava_s3trigger.cli.output.junit import JunitCase, write_junit
from lava_s3trigger.cli.output.sarif import SarifRule, write_sarif
from lava_s3trigger.cli.output.streams import write_json
from lava_s3trigger.cli.output.text import TITLE, Piece, line, write_page

from .rules.catalogue import all_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TextIO

    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.cli.output.text import Line

    from .findings import Finding
    from .lint import Linted

    Report = Callable[[TextIO, Linted, str], None]

_MAX_COLUMNS: Final = 120
_WIDE: Final = frozenset("WF")


def summary(linted: Linted) -> str:
    """Return the number of entries and of findings, as a sentence."""
    counts = {
        severity: sum(finding.severity == severity for finding in linted.findings)
        for severity in SEVERITIES
    }
    told = [counted(n, severity) for severity, n in counts.items() if n]
    fixes = [finding.fix for finding in linted.findings if finding.fix]
    safe_ones = sum(fix.is_safe for fix in fixes)
    text = f"{counted(linted.checked, 'entry')} checked: {', '.join(told) or 'nothing found'}"
    if linted.ignored:
        text += f"; x-lint-ignore leaves out {linted.ignored}"
    if safe_ones:
        text += f"; --fix corrects {safe_ones}"
    if unsafe := len(fixes) - safe_ones:
        text += f"; --unsafe-fixes corrects {unsafe}{' more' if safe_ones else ''}"
    return text


def counted(n: int, noun: str) -> str:
    """Return a number with its noun."""
    if n == 1:
        return f"1 {noun}"
    return f"{n} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{n} {noun}s"


def text(file: TextIO, linted: Linted, _fail_on: str) -> None:
    """Write findings for people, each with its line of the file and a caret."""
    write_page(file, (line for finding in linted.findings for line in lines_of(finding)))


def lines_of(finding: Finding) -> Iterator[Line]:
    """Yield a finding for people."""
    named = finding.entry.id if finding.entry and finding.file else None
    entry = f" [{finding.entry.kind} {named}]" if named and finding.entry else ""
    yield line(
        f"{finding.subject}: ",
        Piece(finding.severity, STYLES[finding.severity]),
        Piece(f" {finding.rule}", TITLE),
        f" {finding.message}{entry}",
    )
    yield from _excerpt(finding)
    if finding.fix:
        option = "--fix" if finding.fix.is_safe else "--fix --unsafe-fixes"
        yield line(f"{option} writes: {finding.fix}", indent=4)


def _excerpt(finding: Finding) -> Iterator[Line]:
    """Yield the line of the file that a finding is about, and one with a caret."""
    if not (finding.file and finding.line and finding.column):
        return
    text = finding.file.line(finding.line)
    at = finding.column - 1
    length = 1
    if finding.span and finding.span.end > finding.span.start:
        length = min(finding.span.end - finding.span.start, max(1, len(text) - at))
        if finding.field is None:
            length = 1  # the finding is about a whole entry
    start = max(0, at - _MAX_COLUMNS // 2) if len(text) > _MAX_COLUMNS else 0
    length = min(length, _MAX_COLUMNS - (at - start))
    shown, before, marked = (
        safe(text[begin:end].replace("\t", " "))
        for begin, end in ((start, start + _MAX_COLUMNS), (start, at), (at, at + length))
    )
    caret = " " * _width(before) + "^" * max(1, _width(marked))
    yield line(f"{finding.line:>6} | {shown}")
    yield line(f"{'':>6} | ", Piece(caret, TITLE))


def _width(text_: str) -> int:
    """Return the columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in _WIDE)
        for char in text_
    )


def as_json(file: TextIO, linted: Linted, _fail_on: str) -> None:
    """Write one JSON object; its schema is `schema.json`."""
    findings = [finding.as_json() for finding in linted.findings]
    write_json(file, {"checked": linted.checked, "findings": findings})


def jsonl(file: TextIO, linted: Linted, _fail_on: str) -> None:
    """Write one finding per line."""
    file.writelines(json.dumps(finding.as_json()) + "\n" for finding in linted.findings)


def github(file: TextIO, linted: Linted, _fail_on: str) -> None:
    """Write workflow commands of GitHub Actions."""
    write_github(file, linted.findings)


def sarif(file: TextIO, linted: Linted, _fail_on: str) -> None:
    """Write SARIF."""
    rules = [
        SarifRule(rule.id, rule.check.__name__, rule.title, rule.page, rule.severity)
        for rule in all_rules()
    ]
    write_sarif(file, "lava-s3trigger check", rules, linted.findings)


def junit(file: TextIO, linted: Linted, fail_on: str) -> None:
    """Write JUnit's XML: a test case for each entry, which fails if a finding reaches `--fail-on`.

    Other findings are in the output of their test case.
    """
    by_case: dict[tuple[str, str], list[Finding]] = {}
    for entry in linted.entries:
        by_case[entry.file.name if entry.file else entry.source, _title(entry)] = []
    for finding in linted.findings:
        about = finding.entry
        suite = finding.path or (about.source if about else finding.subject)
        by_case.setdefault((suite, _title(about) if about else "file"), []).append(finding)
    cases = []
    for (suite, name), findings in by_case.items():
        failing = [finding for finding in findings if is_at_least(finding.severity, fail_on)]
        case = JunitCase(
            suite, name, output=_text(finding for finding in findings if finding not in failing)
        )
        if failing:
            case = case._replace(
                failure=f"{failing[0].rule} {failing[0].message}",
                failure_type=failing[0].rule,
                text=_text(failing),
            )
        cases.append(case)
    write_junit(file, "lava-s3trigger check", cases)


def _title(entry: Entry) -> str:
    return f"{entry.kind} {entry.id or entry.source}"


def _text(findings: Iterable[Finding]) -> str:
    return "\n".join(
        safe(f"{finding.subject}: {finding.severity} {finding.rule} {finding.message}")
        for finding in findings
    )


REPORTS: Final[dict[str, Report]] = {
    "text": text,
    "json": as_json,
    "jsonl": jsonl,
    "github": github,
    "sarif": sarif,
    "junit": junit,
}
