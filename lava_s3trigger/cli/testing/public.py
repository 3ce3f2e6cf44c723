"""The part of `test` that other commands use: the results of the cases of entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.entries.load import read_texts, require_none
from lava_s3trigger.cli.entries.memory import UnknownJobs

from .case import read_cases
from .report import as_json, lines_of
from .results import Coverage, run_cases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.cli.entries.memory import MemoryJobs, MemoryTriggers
    from lava_s3trigger.cli.output.text import Line

    from .results import CaseResult


@dataclass(frozen=True, slots=True)
class CaseResults:
    """The results of cases."""

    results: Sequence[CaseResult]

    @property
    def passed(self) -> int:
        """Number of cases that passed."""
        return sum(result.has_passed for result in self.results)

    @property
    def failed(self) -> int:
        """Number of cases that failed."""
        return len(self.results) - self.passed

    def lines(self) -> Iterator[Line]:
        """Yield the failed cases, and the counts, for people."""
        yield from lines_of(self.results)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the cases as the JSON of `test` has them."""
        return [as_json(result) for result in self.results]


def run_cases_of(
    entries: Sequence[Entry],
    triggers: MemoryTriggers,
    jobs: MemoryJobs | UnknownJobs,
    region: str,
    cases: Sequence[str],
) -> CaseResults:
    """Run the cases of entries.

    Args:
        entries: The entries whose cases are run.
        triggers: All entries that decide, these included.
        jobs: Where jobs are looked up.
        region: Region of the function.
        cases: Files of more cases.

    Raises:
        CommandError: A case or a file of cases cannot be read.
    """
    reader = read_cases(entries, read_texts(cases), knows_jobs=not isinstance(jobs, UnknownJobs))
    require_none(reader.problems)
    return CaseResults(list(run_cases(reader.cases, triggers, jobs, region, Coverage())))
