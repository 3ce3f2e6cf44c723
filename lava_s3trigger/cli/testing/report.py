"""The results of cases, as text for people, as JSON and as JUnit's XML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.junit import JunitCase
from lava_s3trigger.cli.output.streams import write_json
from lava_s3trigger.cli.output.text import BAD, GOOD, TITLE, UNUSED, Piece, line, styled, write_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.cli.output.text import Line

    from .case import Case
    from .results import CaseResult, Coverage

_STYLES = {"-": "red", "+": GOOD}


def title_of(case: Case) -> str:
    """Return a line that names a case."""
    return f"{case.trigger_id}, case {case.number}: {case.name}"


def write_text(
    file: TextIO, results: Sequence[CaseResult], coverage: Coverage | None, entries: Sequence[Entry]
) -> None:
    """Write each case that failed with its differences, then the counts."""
    write_page(file, lines_of(results, coverage, entries))


def lines_of(
    results: Sequence[CaseResult], coverage: Coverage | None = None, entries: Sequence[Entry] = ()
) -> Iterator[Line]:
    """Yield each case that failed with its differences, then the counts."""
    for result in results:
        if result.has_passed:
            continue
        yield styled(f"FAILED {result.case.source}", BAD)
        yield styled(f"  {title_of(result.case)}", TITLE)
        yield from (line(message, indent=2) for message in result.messages)
        yield from (
            styled(f"    {diff_line}", _STYLES.get(diff_line[:1], "")) for diff_line in result.diff
        )
        yield line()
    if coverage:
        yield from _coverage_lines(coverage, entries)
    failed = sum(not result.has_passed for result in results)
    cases = "1 case" if len(results) == 1 else f"{len(results)} cases"
    counts = f"{cases}: {len(results) - failed} passed, {failed} failed"
    yield styled(counts, BAD if failed else f"bold {GOOD}")


def _coverage_lines(coverage: Coverage, entries: Sequence[Entry]) -> Iterator[Line]:
    lines = [("no case ", f"{entry.source} {entry.id}") for entry in coverage.without_case(entries)]
    for entry, name, holds in coverage.unseen(entries):
        if entry.id in coverage.cases:
            verdict = "holds" if holds else "does not hold"
            place = entry.place(name) or entry.source
            lines.append(("not seen ", f"{place} {entry.id}: that {name} {verdict}"))
    yield from (line(Piece(label, UNUSED), text) for label, text in lines)
    if lines:
        yield line()


def write_json_report(
    file: TextIO, results: Sequence[CaseResult], coverage: Coverage | None, entries: Sequence[Entry]
) -> None:
    """Write all cases as JSON, in the form of ``schema.json``."""
    failed = sum(not result.has_passed for result in results)
    report = {
        "passed": len(results) - failed,
        "failed": failed,
        "cases": [as_json(result) for result in results],
        "coverage": _coverage_as_json(coverage, entries) if coverage else None,
    }
    write_json(file, report)


def as_json(result: CaseResult) -> dict[str, Any]:
    """Return the result of a case as JSON."""
    case = result.case
    return {
        "trigger_id": case.trigger_id,
        "case": case.number,
        "name": case.name,
        "source": case.source,
        "file": case.place.file if case.place else None,
        "line": case.place.line if case.place else None,
        "column": case.place.column if case.place else None,
        "outcome": "passed" if result.has_passed else "failed",
        "messages": result.messages,
        "diff": result.diff,
        "dispatches": result.dispatches,
    }


def _coverage_as_json(coverage: Coverage, entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "without_case": [
            {"trigger_id": entry.id, "source": entry.source}
            for entry in coverage.without_case(entries)
        ],
        "not_seen": [
            {"trigger_id": entry.id, "source": entry.source, "field": name, "holds": holds}
            for entry, name, holds in coverage.unseen(entries)
        ],
    }


def junit_cases(results: Iterable[CaseResult]) -> list[JunitCase]:
    """Return the cases for JUnit's XML: a suite for each entry."""
    cases = []
    for result in results:
        case, place = result.case, result.case.place
        junit_case = JunitCase(
            case.trigger_id,
            f"case {case.number}: {case.name}",
            place=(place.file, place.line) if place else None,
        )
        if not result.has_passed:
            lines = map(safe, [case.source, *result.messages, *result.diff])
            junit_case = junit_case._replace(failure=result.messages[0], text="\n".join(lines))
        cases.append(junit_case)
    return cases
