"""The command `check`: reads entries, lints and corrects them, and writes findings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.entries.load import STANDARD_INPUT, Loaded, load, read_table
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.findings import is_at_least
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.streams import message, opened

from . import fix, report
from .lint import Selection, Surroundings, lint
from .rules.catalogue import RULES
from .rules.registry import unknown_rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from .fix import Fixed
    from .lint import Linted

UNREADABLE: Final = "LT012"
"""The rule on files that cannot be read."""
_QUEUE_PREFIX: Final = "lava-{realm}-"
_SHORT_SECONDS: Final = 2.0
"""Shorter work shows no progress."""


def run(*, is_realm_named: bool, **options: Any) -> int:
    """Run the command, and return its exit status.

    Args:
        is_realm_named: Whether the realm is on the command line, not in the environment.
        **options: The options of the command.
    """
    if options["explain"] is not None:
        return _explain(options["explain"], options["output"])
    return _Run(options, is_realm_named=is_realm_named).run()


def _explain(id_: str, output: str | None) -> int:
    rule = RULES.get(id_.upper())
    if rule is None:
        raise CommandError(unknown_rule(id_), WRONG_USAGE)
    with opened(output) as file:
        file.write(f"{rule.id}: {rule.title} ({rule.severity})\n\n{rule.page}\n")
    return YES


class _Run:
    """One run of the command, with its options."""

    def __init__(self, options: dict[str, Any], *, is_realm_named: bool) -> None:
        self._options = options
        self._realm: str | None = options["realm"]
        self._paths = [*options["paths"], *options["triggers"], *options["jobs"]]
        self._is_realm_asked = self._realm is not None and (is_realm_named or not self._paths)
        self._aws = Aws(options["profile"], options["region"], options["endpoint_url"])

    def run(self) -> int:
        self._require_sense()
        options = self._options
        selection = Selection.of(options["select"], options["ignore"])
        if self._paths:
            with Progress("files read", after=_SHORT_SECONDS) as files:
                loaded = load(self._paths, files.reach)
        else:
            loaded = self._read_realm()
        self._require_something(loaded)
        surroundings = self._surroundings()
        with Progress("entries checked", after=_SHORT_SECONDS) as entries:

            def relint(loaded: Loaded) -> Linted:
                return lint(loaded, selection, surroundings, self._paths, entries.reach)

            linted = self._correct(loaded, relint) if self._is_changing else relint(loaded)
        with opened(options["output"]) as file:
            report.REPORTS[options["format_"]](file, linted, options["fail_on"])
        if options["format_"] == "text":
            message(report.summary(linted))
        if any(finding.rule == UNREADABLE for finding in linted.findings):
            return COULD_NOT_TELL
        is_failing = any(
            is_at_least(finding.severity, options["fail_on"]) for finding in linted.findings
        )
        return NO if is_failing else YES

    @property
    def _is_changing(self) -> bool:
        return bool(self._options["fix"] or self._options["diff"])

    def _require_sense(self) -> None:
        if not self._paths and self._realm is None:
            raise CommandError(
                "no entries: name files or folders, or a realm with --realm (LAVA_REALM)",
                WRONG_USAGE,
            )
        if self._is_changing and not self._paths:
            raise CommandError(
                "--fix and --diff correct files: name files or folders of entries", WRONG_USAGE
            )
        if self._options["unsafe_fixes"] and not self._is_changing:
            raise CommandError("--unsafe-fixes goes with --fix or --diff", WRONG_USAGE)
        if self._options["fix"] and STANDARD_INPUT in self._paths:
            raise CommandError(
                "--fix cannot write to standard input: name a file, or give only --diff",
                WRONG_USAGE,
            )

    def _require_something(self, loaded: Loaded) -> None:
        """Raise an error if files have nothing to check: the user may have named wrong ones."""
        is_something = loaded.entries or any(
            problem.kind != "no_entry" or problem.file in self._paths for problem in loaded.problems
        )
        if self._paths and not is_something:
            raise CommandError(f"{safe(', '.join(self._paths))}: no entries in there")

    def _read_realm(self) -> Loaded:
        triggers = read_table(self._aws, str(self._realm), "trigger")
        jobs = read_table(self._aws, str(self._realm), "job")
        return Loaded([*triggers, *jobs])

    def _surroundings(self) -> Any:
        surroundings = Surroundings(self._realm)
        if not self._is_realm_asked:
            return surroundings
        if self._paths:
            surroundings.jobs = read_table(self._aws, str(self._realm), "job")
        else:
            surroundings.jobs = []
        prefix = _QUEUE_PREFIX.format(realm=self._realm)
        sqs = self._aws.client("sqs")
        with reaching_aws():
            pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix)
            urls = [url for page in pages for url in page.get("QueueUrls", [])]
        surroundings.workers = {url.rpartition("/")[2].removeprefix(prefix) for url in urls}
        return surroundings

    def _correct(self, loaded: Loaded, lint: Callable[[Loaded], Linted]) -> Linted:
        result: Fixed = fix.fixed(loaded, lint, with_unsafe=self._options["unsafe_fixes"])
        if self._options["diff"]:
            is_text = self._options["format_"] == "text" and self._options["output"] is None
            out = sys.stdout if is_text else sys.stderr
            for name, text in result.texts.items():
                out.write(fix.diff(loaded.files[name].text, text, safe(name)))
        if not self._options["fix"]:
            return result.before
        fix.write(loaded.files, result.texts)
        if result.corrected:
            values = report.counted(result.corrected, "value")
            message(f"Corrected {values} in {report.counted(len(result.texts), 'file')}.")
        return result.linted
