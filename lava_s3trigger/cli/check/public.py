"""The part of `check` that other commands use: the findings of entries for a realm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.entries.load import Entry, Loaded
from lava_s3trigger.cli.output.findings import SEVERITIES, is_at_least

from .lint import Selection, Surroundings, lint
from .report import counted, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lava_s3trigger.cli.output.text import Line

    from .findings import Finding


@dataclass(frozen=True, slots=True)
class EntryFindings:
    """What `check` finds in entries."""

    findings: Sequence[Finding]
    fail_on: str
    """The lowest severity that counts."""

    def failing(self) -> list[Finding]:
        """Return the findings that count."""
        return [finding for finding in self.findings if is_at_least(finding.severity, self.fail_on)]

    def lines(self) -> Iterator[Line]:
        """Yield the findings that count, and all warnings, for people."""
        for finding in self.findings:
            if is_at_least(finding.severity, "warning") or finding in self.failing():
                yield from lines_of(finding)

    def summary(self) -> str:
        """Return the number of findings, by severity."""
        numbers = {
            severity: sum(finding.severity == severity for finding in self.findings)
            for severity in SEVERITIES
        }
        return (
            ", ".join(counted(n, severity) for severity, n in numbers.items() if n)
            or "nothing found"
        )

    def as_json(self) -> list[dict[str, Any]]:
        """Return the findings as in the JSON of `check`."""
        return [finding.as_json() for finding in self.findings]


def check_entries(  # noqa: PLR0913 - the known parts of the realm
    loaded: Loaded,
    others: Sequence[Entry],
    jobs: Sequence[Entry] | None,
    *,
    realm: str | None,
    max_delay: float,
    workers: Iterable[str] | None = None,
    fail_on: str,
    progress: Callable[[int, int], None] | None = None,
) -> EntryFindings:
    """Check entries of files as if they were in a realm's table.

    Args:
        loaded: The entries, and the problems of their files.
        others: The other trigger entries of the table, in which nothing is looked for.
        jobs: The job entries of the realm; None where they are not known.
        realm: Name of the realm.
        max_delay: Longest delay in seconds that an entry may ask for.
        workers: Workers that have a queue; None where that is not known.
        fail_on: The least severe finding that counts.
        progress: Called with the number of entries checked so far, and of all.
    """
    known = None if workers is None else set(workers)
    surroundings = Surroundings(realm, jobs, known, max_delay, others)
    linted = lint(loaded, Selection.of((), ()), surroundings, progress=progress)
    return EntryFindings(linted.findings, fail_on)


NAMES_OF_FIELDS: Final = ("LT103", "LT104", "LT506", "LT015")
"""The rules on names of fields that nothing reads."""


def misspelt_fields(loaded: Loaded) -> list[str]:
    """Return what `check` says of the names of fields, a line for each, with its place."""
    linted = lint(loaded, Selection.of(NAMES_OF_FIELDS, ()), Surroundings())
    return [
        f"{finding.path}:{finding.line}:{finding.column}: {finding.message}"
        if finding.path
        else f"{finding.entry.source if finding.entry else ''}: {finding.message}"
        for finding in linted.findings
        if finding.rule in NAMES_OF_FIELDS
    ]


def check_realm(
    realm: str,
    triggers: Sequence[dict[str, Any]],
    jobs: Sequence[dict[str, Any]],
    workers: set[str],
) -> EntryFindings:
    """Check the entries of a realm, as `check --realm` does: errors and warnings count.

    Args:
        realm: Name of the realm.
        triggers: The items of its table of triggers.
        jobs: Those of its table of jobs.
        workers: Workers that have a queue.
    """
    names = {"trigger": f"lava.{realm}.s3triggers", "job": f"lava.{realm}.jobs"}
    entries = [Entry("trigger", item, names["trigger"]) for item in triggers]
    entries += [Entry("job", item, names["job"]) for item in jobs]
    surroundings = Surroundings(realm, jobs=(), workers=workers)
    linted = lint(Loaded(entries), Selection.of((), ()), surroundings)
    return EntryFindings(linted.findings, "warning")
