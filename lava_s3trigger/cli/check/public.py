"""What other commands use of `check`: the findings of entries that are to be in a realm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.output.findings import SEVERITIES, is_at_least

from .lint import Selection, Surroundings, lint
from .report import counted, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lava_s3trigger.cli.entries.load import Entry, Loaded
    from lava_s3trigger.cli.output.text import Line

    from .findings import Finding


@dataclass(frozen=True, slots=True)
class EntryFindings:
    """What `check` finds in entries."""

    findings: Sequence[Finding]
    fail_on: str
    """The least severe finding that counts."""

    def failing(self) -> list[Finding]:
        """Return the findings that count."""
        return [each for each in self.findings if is_at_least(each.severity, self.fail_on)]

    def lines(self) -> Iterator[Line]:
        """Yield the findings that count, for people."""
        for finding in self.failing():
            yield from lines_of(finding)

    def summary(self) -> str:
        """Return the number of findings, by severity."""
        numbers = {
            each: sum(found.severity == each for found in self.findings) for each in SEVERITIES
        }
        return ", ".join(counted(n, each) for each, n in numbers.items() if n) or "nothing found"

    def as_json(self) -> list[dict[str, Any]]:
        """Return the findings as the JSON of `check` has them."""
        return [each.as_json() for each in self.findings]


def check_entries(  # noqa: PLR0913 - what is known of the realm
    loaded: Loaded,
    others: Sequence[Entry],
    jobs: Sequence[Entry],
    *,
    realm: str,
    max_delay: float,
    fail_on: str,
    progress: Callable[[int, int], None] | None = None,
) -> EntryFindings:
    """Check entries of files as if they were in a realm's table.

    Args:
        loaded: The entries, and the problems of their files.
        others: The other trigger entries of the table, in which nothing is looked for.
        jobs: The job entries of the realm.
        realm: Name of the realm.
        max_delay: Longest delay in seconds that an entry may ask for.
        fail_on: The least severe finding that counts.
        progress: Called with the number of entries checked so far, and of all.
    """
    surroundings = Surroundings(realm, jobs, max_delay=max_delay, triggers=others)
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
