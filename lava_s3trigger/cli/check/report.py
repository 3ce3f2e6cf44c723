"""Formats of findings: text, JSON, JSON Lines, GitHub, SARIF and JUnit."""

from __future__ import annotations

import json
import re
import unicodedata
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import write_json
from lava_s3trigger.cli.output.text import TITLE, Piece, line, write_page

from .findings import SEVERITIES, Finding, is_at_least
from .rules.catalogue import all_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from lava_s3trigger.cli.output.text import Line

    from .lint import Linted

    Report = Callable[[TextIO, Linted, str], None]

_STYLES: Final = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_MAX_COLUMNS: Final = 120
_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}
_COMMANDS: Final = {"error": "error", "warning": "warning", "info": "notice"}
_SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_WIDE: Final = frozenset("WF")


def place_of(finding: Finding) -> str:
    """Return where a finding is, as compilers write it: ``file:line:column``."""
    if finding.file is None:
        source = finding.entry.source if finding.entry else ""
        entry = finding.entry.id if finding.entry else None
        return f"{source}:{entry}" if entry else source
    parts = [finding.file.name, finding.line, finding.column]
    return ":".join(str(each) for each in parts if each)


def summary(linted: Linted) -> str:
    """Return the number of entries and of findings, as a sentence."""
    counts = {
        each: sum(finding.severity == each for finding in linted.findings) for each in SEVERITIES
    }
    told = [counted(n, each) for each, n in counts.items() if n]
    fixable = sum(finding.fix is not None for finding in linted.findings)
    text = f"{counted(linted.checked, 'entry')} checked: {', '.join(told) or 'nothing found'}"
    if linted.ignored:
        text += f"; x-lint-ignore leaves out {linted.ignored}"
    return text + (f"; --fix corrects {fixable}" if fixable else "")


def counted(n: int, noun: str) -> str:
    """Return a number with its noun."""
    if n == 1:
        return f"1 {noun}"
    return f"{n} {noun.removesuffix('y')}ies" if noun.endswith("y") else f"{n} {noun}s"


def text(file: TextIO, linted: Linted, _fail_on: str) -> None:
    """Write findings for people: each with its line of the file and a caret."""
    write_page(file, (each for finding in linted.findings for each in _lines(finding)))


def _lines(finding: Finding) -> Iterator[Line]:
    named = finding.entry.id if finding.entry and finding.file else None
    entry = f" [{finding.entry.kind} {named}]" if named and finding.entry else ""
    yield line(
        f"{place_of(finding)}: ",
        Piece(finding.severity, _STYLES[finding.severity]),
        Piece(f" {finding.rule}", TITLE),
        f" {finding.message}{entry}",
    )
    yield from _excerpt(finding)
    if finding.fix:
        yield line(f"--fix writes: {finding.fix}", indent=4)


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
            length = 1  # of a whole entry
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
    """Write one finding a line."""
    file.writelines(json.dumps(finding.as_json()) + "\n" for finding in linted.findings)


def github(file: TextIO, linted: Linted, _fail_on: str) -> None:
    """Write workflow commands of GitHub Actions.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    for finding in linted.findings:
        properties = {
            "file": finding.file.name if finding.file else None,
            "line": finding.line,
            "col": finding.column,
            "title": finding.rule,
        }
        listed = ",".join(
            f"{name}={_property(str(value))}" for name, value in properties.items() if value
        )
        message = finding.message if finding.file else f"{place_of(finding)}: {finding.message}"
        file.write(f"::{_COMMANDS[finding.severity]} {listed}::{_data(message)}\n")


def _data(value: str) -> str:
    return safe(value).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def sarif(file: TextIO, linted: Linted, _fail_on: str) -> None:
    """Write SARIF 2.1.0.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    rules = all_rules()
    index = {rule.id: n for n, rule in enumerate(rules)}
    driver = {
        "name": "lava-s3trigger check",
        "version": version("lava-s3trigger"),
        "rules": [
            {
                "id": rule.id,
                "name": rule.check.__name__,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.page.partition("\n\n")[0].replace("\n", " ")},
                "help": {"text": rule.page, "markdown": rule.page},
                "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            }
            for rule in rules
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index[finding.rule]) for finding in linted.findings],
    }
    json.dump({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, file, indent=2)
    file.write("\n")


def _result(finding: Finding, index: int) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if finding.file:
        region: dict[str, Any] = {"startLine": finding.line or 1}
        if finding.column:
            region["startColumn"] = finding.column
        artifact = {"uri": quote(Path(finding.file.name).as_posix())}
        location["physicalLocation"] = {"artifactLocation": artifact, "region": region}
    name = ".".join(
        filter(None, [finding.entry.id or finding.entry.source, finding.field])
        if finding.entry
        else []
    )
    if name:
        location["logicalLocations"] = [{"fullyQualifiedName": safe(name)}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": safe(finding.message)},
        "locations": [location] if location else [],
    }


def junit(file: TextIO, linted: Linted, fail_on: str) -> None:
    """Write JUnit's XML: a test case an entry, which fails where a finding counts.

    Findings below `--fail-on` are the output of their test case.
    """
    cases: dict[tuple[str, str], list[Finding]] = {}
    for entry in linted.entries:
        name = f"{entry.kind} {entry.id or entry.source}"
        cases[entry.file.name if entry.file else entry.source, name] = []
    for finding in linted.findings:
        suite = finding.file.name if finding.file else place_of(finding)
        name = "file"
        if finding.entry:
            suite = finding.file.name if finding.file else finding.entry.source
            name = f"{finding.entry.kind} {finding.entry.id or finding.entry.source}"
        cases.setdefault((suite, name), []).append(finding)
    suites: dict[str, list[str]] = {}
    failures: dict[str, int] = {}
    for (suite, name), findings in cases.items():
        failing = [each for each in findings if is_at_least(each.severity, fail_on)]
        others = [each for each in findings if not is_at_least(each.severity, fail_on)]
        failures[suite] = failures.get(suite, 0) + bool(failing)
        suites.setdefault(suite, []).append(_case(suite, name, failing, others))
    total = sum(map(len, suites.values()))
    file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    file.write(
        f'<testsuites name="lava-s3trigger check" tests="{total}"'
        f' failures="{sum(failures.values())}" errors="0">\n'
    )
    for suite, made in suites.items():
        file.write(
            f'  <testsuite name={_attribute(suite)} tests="{len(made)}"'
            f' failures="{failures[suite]}" errors="0" skipped="0">\n'
        )
        file.writelines(made)
        file.write("  </testsuite>\n")
    file.write("</testsuites>\n")


def _case(suite: str, name: str, failing: list[Finding], others: list[Finding]) -> str:
    head = f"    <testcase classname={_attribute(suite)} name={_attribute(name)}"
    if not failing and not others:
        return f"{head}/>\n"
    lines = [f"{head}>\n"]
    if failing:
        first = failing[0]
        told = "\n".join(_told(each) for each in failing)
        lines.append(
            f"      <failure type={_attribute(first.rule)}"
            f" message={_attribute(f'{first.rule} {first.message}')}>{_body(told)}</failure>\n"
        )
    if others:
        told = "\n".join(_told(each) for each in others)
        lines.append(f"      <system-out>{_body(told)}</system-out>\n")
    lines.append("    </testcase>\n")
    return "".join(lines)


def _told(finding: Finding) -> str:
    return safe(f"{place_of(finding)}: {finding.severity} {finding.rule} {finding.message}")


def _attribute(value: str) -> str:
    return quoteattr(_xml(value))


def _body(value: str) -> str:
    return escape(_xml(value, keep="\n"))


def _xml(value: str, keep: str = "") -> str:
    # Of what `safe` leaves, XML 1.0 excludes nothing; of the rest, most.
    return re.sub("[\ufffe\uffff]", "?", safe(value, keep=keep))


REPORTS: Final[dict[str, Report]] = {
    "text": text,
    "json": as_json,
    "jsonl": jsonl,
    "github": github,
    "sarif": sarif,
    "junit": junit,
}


def write(format_: str, file: TextIO, linted: Linted, fail_on: str) -> None:
    """Write findings in a format."""
    REPORTS[format_](file, linted, fail_on)
