"""The command `test`: reads entries and cases, runs them, and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava_s3trigger.cli.check.public import misspelt_fields
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.entries.load import load_sound, read_table, read_texts, require_none
from lava_s3trigger.cli.entries.memory import MemoryJobs, MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.entries.source import warn_of
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.output.junit import write_junit
from lava_s3trigger.cli.output.streams import message, opened

from .case import FIELD, read_cases
from .report import junit_cases, write_json_report, write_text
from .results import Coverage, run_cases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lava_s3trigger.cli.entries.load import Loaded


def run(  # noqa: PLR0913 - one for each option
    *,
    paths: tuple[str, ...],
    triggers: tuple[str, ...],
    jobs: tuple[str, ...],
    cases: tuple[str, ...],
    coverage: bool,
    realm: str | None,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    format_: str,
    output: str | None,
) -> int:
    """Run the command, and return its exit status."""
    aws = Aws(profile, region, endpoint_url)
    loaded, known = _entries([*paths, *triggers], jobs, realm, aws)
    memory = MemoryTriggers(loaded.of("trigger"))
    if memory.replaced:
        first = memory.replaced[0]
        raise CommandError(
            f"{first.source}: another entry has the trigger_id {first.id!a} as well", COULD_NOT_TELL
        )
    warn_of(memory)
    entries = list(memory)
    knows_jobs = not isinstance(known, UnknownJobs)
    reader = read_cases(entries, read_texts(cases), knows_jobs=knows_jobs)
    require_none(reader.problems)
    for warning in misspelt_fields(loaded):
        message(f"Warning: {warning}")
    if not reader.cases and not coverage:
        raise CommandError(
            f"no cases: none of {len(entries)} entries has {FIELD}; name a file with --cases"
        )
    seen = Coverage()
    results = list(run_cases(reader.cases, memory, known, aws.region_name(), seen))
    shown = seen if coverage else None
    with opened(output) as file:
        if format_ == "json":
            write_json_report(file, results, shown, entries)
        elif format_ == "junit":
            write_junit(file, "lava-s3trigger", junit_cases(results))
        else:
            write_text(file, results, shown, entries)
    return YES if all(result.has_passed for result in results) else NO


def _entries(
    paths: Sequence[str], jobs: Sequence[str], realm: str | None, aws: Aws
) -> tuple[Loaded, MemoryJobs | UnknownJobs]:
    """Return the entries, and where jobs are looked up."""
    if not paths and realm is None:
        raise CommandError(
            "no entries: name files or folders, or a realm with --realm (LAVA_REALM)", WRONG_USAGE
        )
    loaded = load_sound([*paths, *jobs], "trigger" if paths else None)
    jobs_of_realm = loaded.of("job")
    if not paths:
        loaded.entries = [*read_table(aws, str(realm), "trigger"), *jobs_of_realm]
    name = ", ".join(jobs or paths)
    if not jobs_of_realm and not jobs:
        if realm is None:
            return loaded, UnknownJobs()
        name = f"lava.{realm}.jobs"
        jobs_of_realm = read_table(aws, realm, "job")
    return loaded, MemoryJobs(jobs_of_realm, name)
