"""`lava-s3trigger check`: lints entries of files, or of a realm."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.entries.load import STANDARD_INPUT, Loaded, load, read_table
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.options import PATH, Command, aws_options, entries_options, output_options
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.streams import message, opened

from .findings import is_at_least

if TYPE_CHECKING:
    from collections.abc import Callable

    from .fix import Fixed
    from .lint import Linted

_QUEUE_PREFIX: Final = "lava-{realm}-"
_SHORT_SECONDS: Final = 2.0
"""Work that takes less shows no progress."""
_EXAMPLES: Final = (
    "lava-s3trigger check entries/ jobs/",
    "lava-s3trigger check --realm prod --format github",
    "lava-s3trigger check --fix --diff entries/",
    "lava-s3trigger check --explain LT201",
)


@click.command(
    cls=Command,
    yes="no finding at or above --fail-on",
    no="findings",
    examples=_EXAMPLES,
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[PATH]...")
@entries_options
@aws_options
@click.option(
    "--select", multiple=True, metavar="IDS", help="Apply only these rules: ids, or beginnings."
)
@click.option(
    "--ignore", multiple=True, metavar="IDS", help="Do not apply these rules: ids, or beginnings."
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "none"]),
    default="warning",
    show_default=True,
    help="The least severe finding for which the exit status is 1.",
)
@click.option("--fix", is_flag=True, help="Correct in the files what has one right answer.")
@click.option(
    "--diff", is_flag=True, help="Show what --fix changes; without --fix, what it would change."
)
@click.option("--explain", metavar="ID", help="Print the page of a rule, and exit.")
@output_options("text", "json", "jsonl", "github", "sarif", "junit")
@click.pass_context
def check(ctx: click.Context, /, **options: Any) -> int:
    """Lint the entries of files or of a realm.

    Errors are what the function would refuse. Warnings are what it accepts, but is very
    likely a mistake.
    Without a PATH, --triggers or --jobs, the entries of the realm's tables are checked. With
    files, and --realm on the command line, the jobs and the queues of the realm are known.
    """
    if options["explain"] is not None:
        return _explain(options["explain"], options["output"])
    return _Run(options, is_realm_named=_is_named(ctx, "realm")).run()


def _is_named(ctx: click.Context, parameter: str) -> bool:
    """Tell whether an option stands on the command line, not in the environment."""
    return ctx.get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def _explain(id_: str, output: str | None) -> int:
    from .rules.catalogue import RULES  # noqa: PLC0415 - start-up
    from .rules.registry import unknown_rule  # noqa: PLC0415

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
        from . import report  # noqa: PLC0415 - start-up
        from .lint import Selection, lint  # noqa: PLC0415

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

            def relint(found: Loaded) -> Linted:
                return lint(found, selection, surroundings, self._paths, entries.reach)

            linted = self._correct(loaded, relint) if self._is_changing else relint(loaded)
        with opened(options["output"]) as file:
            report.write(options["format_"], file, linted, options["fail_on"])
        if options["format_"] == "text":
            message(report.summary(linted))
        is_failing = any(is_at_least(each.severity, options["fail_on"]) for each in linted.findings)
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
        if self._options["fix"] and STANDARD_INPUT in self._paths:
            raise CommandError(
                "--fix cannot write to standard input: name a file, or give only --diff",
                WRONG_USAGE,
            )

    def _require_something(self, loaded: Loaded) -> None:
        """Raise an error if files have nothing to check: a wrong name would pass for clean."""
        is_something = loaded.entries or any(
            each.kind != "no_entry" or each.file in self._paths for each in loaded.problems
        )
        if self._paths and not is_something:
            raise CommandError(f"{safe(', '.join(self._paths))}: no entries in there")

    def _read_realm(self) -> Loaded:
        client = self._aws.client("dynamodb")
        with reaching_aws():
            triggers = read_table(client, str(self._realm), "trigger")
            jobs = read_table(client, str(self._realm), "job")
        return Loaded([*triggers, *jobs])

    def _surroundings(self) -> Any:
        from .lint import Surroundings  # noqa: PLC0415 - start-up

        found = Surroundings(self._realm)
        if not self._is_realm_asked:
            return found
        if self._paths:
            client = self._aws.client("dynamodb")
            with reaching_aws():
                found.jobs = read_table(client, str(self._realm), "job")
        else:
            found.jobs = []
        prefix = _QUEUE_PREFIX.format(realm=self._realm)
        sqs = self._aws.client("sqs")
        with reaching_aws():
            pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix)
            urls = [url for page in pages for url in page.get("QueueUrls", [])]
        found.workers = {url.rpartition("/")[2].removeprefix(prefix) for url in urls}
        return found

    def _correct(self, loaded: Loaded, lint: Callable[[Loaded], Linted]) -> Linted:
        from . import fix  # noqa: PLC0415 - start-up
        from .report import counted  # noqa: PLC0415

        result: Fixed = fix.fixed(loaded, lint)
        if self._options["diff"]:
            is_text = self._options["format_"] == "text" and self._options["output"] is None
            out = sys.stdout if is_text else sys.stderr
            for name, text in result.texts.items():
                out.write(fix.diff(loaded.files[name].text, text, safe(name)))
        if not self._options["fix"]:
            return result.before
        fix.write(loaded.files, result.texts)
        if result.corrected:
            values = counted(result.corrected, "value")
            message(f"Corrected {values} in {counted(len(result.texts), 'file')}.")
        return result.linted
