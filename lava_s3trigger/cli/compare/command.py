"""``lava-s3trigger compare``: what two functions made of the same events, and why it differs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.options import PATH, Command, aws_options, output_options
from lava_s3trigger.cli.output.escaping import safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from .differences import Comparison, Difference
    from .known_differences import Entry, Row

_MAX_VALUE_CHARACTERS: Final = 100
_DEFAULT_SINCE: Final = "1d"


@click.command(
    cls=Command,
    yes="both did the same",
    no="something differs",
    examples=[
        "lava-s3trigger compare /aws/lambda/lava-prod-observer --dispatches received.json",
        "lava-s3trigger compare observed.log /aws/lambda/lava-prod-s3trigger --since 2h",
        "lava-s3trigger compare observed.log --dispatches received.json --triggers entries/",
    ],
)
@click.argument("ours", type=PATH, metavar="LOG")
@click.argument("theirs", type=PATH, metavar="[OTHER_LOG]", required=False)
@click.option(
    "--dispatches",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Messages that the other function sent to workers' queues: bodies, or what `aws sqs"
    " receive-message` prints. May be repeated.",
)
@click.option(
    "--since",
    default=_DEFAULT_SINCE,
    show_default=True,
    metavar="TIME",
    help="First line to read of log groups: 2h, 7d, or 2026-03-01.",
)
@click.option(
    "--triggers",
    type=PATH,
    multiple=True,
    metavar="PATH",
    help="File or folder of trigger entries, which explain more of the differences. Without it,"
    " the realm's table if a realm is given. May be repeated.",
)
@aws_options
@output_options("text", "json")
def compare(ours: str, theirs: str | None, **options: Any) -> int:
    """Compare what two functions made of the same events.

    LOG is that of this function, as a rule of one that observes
    (S3TRIGGER_MODE=observe). The other function is this one as well, and has
    OTHER_LOG; or it is lava's own, and has sent --dispatches. A log is a file,
    or a log group such as /aws/lambda/lava-prod-s3trigger. Each difference is
    named by object, trigger and job, with the row of the table of differences
    from lava that explains it.
    """
    from lava_s3trigger.cli.objects.sources import read_since  # noqa: PLC0415

    from .differences import compare_logs, compare_messages  # noqa: PLC0415 - start-up
    from .known_differences import explanation  # noqa: PLC0415
    from .outcomes import log_lines, read_messages, read_outcomes  # noqa: PLC0415

    dispatches: Sequence[str] = options["dispatches"]
    if bool(theirs) == bool(dispatches):
        raise CommandError(
            "give what to compare with: another log, or --dispatches, and not both", WRONG_USAGE
        )
    try:
        since = read_since(options["since"], datetime.now(UTC))
    except ValueError as error:
        raise CommandError(f"--since: {error}", WRONG_USAGE) from None
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    entries = _entries(options["triggers"], options["realm"], aws)
    outcomes = list(read_outcomes(log_lines(ours, since, aws)))
    if not outcomes:
        raise CommandError(f"{ours}: no line says what became of an object")
    if theirs:
        found = compare_logs(outcomes, read_outcomes(log_lines(theirs, since, aws)))
    else:
        messages = (each for file in dispatches for each in read_messages(file))
        found = compare_messages(outcomes, messages)
    explained = [
        (each, explanation(each, entries, is_lavas=not theirs)) for each in found.differences
    ]
    return _report(found, explained, options)


def _entries(paths: Sequence[str], realm: str | None, aws: Aws) -> dict[str, Entry]:
    """Return trigger entries by their id, as far as they are known."""
    from lava_s3trigger.cli.entries.load import load, read_table  # noqa: PLC0415 - start-up

    if paths:
        loaded = load(paths)
        loaded.require_sound()
        found = loaded.of("trigger")
    elif realm is not None:
        client = aws.client("dynamodb")
        with reaching_aws():
            found = read_table(client, realm, "trigger")
    else:
        return {}
    names = ("enabled", "job_id", "parameters", "globals", "if_fnmatch", "if_not_fnmatch")
    entries: dict[str, Entry] = {}
    for entry in found:
        if entry.id:
            try:
                entries[entry.id] = {
                    name: entry.value(name) for name in names if name in entry.item
                }
            except ValueError:  # binary values, which the function refuses
                continue
    return entries


def _report(
    found: Comparison, explained: Sequence[tuple[Difference, Row | None]], options: dict[str, Any]
) -> int:
    from lava_s3trigger.cli.output.streams import console, opened, write_json  # noqa: PLC0415 - start-up

    with opened(options["output"]) as file:
        if options["format_"] == "json":
            write_json(file, _as_json(found, explained))
        else:
            _print(console(file), found, explained)
    return NO if found.differences else YES


def _as_json(
    found: Comparison, explained: Sequence[tuple[Difference, Row | None]]
) -> dict[str, Any]:
    return {
        "agreed": found.agreed,
        "differences": [
            {
                "bucket": each.bucket,
                "key": each.key,
                "trigger_id": each.trigger_id,
                "job_id": each.job_id,
                "ours": each.ours,
                "theirs": each.theirs,
                "changes": [
                    {"path": change.path, "ours": change.ours, "theirs": change.theirs}
                    for change in each.changes
                ],
                "row": row.id if row else None,
                "explanation": row.title if row else None,
            }
            for each, row in explained
        ],
    }


def _print(
    out: Console, found: Comparison, explained: Sequence[tuple[Difference, Row | None]]
) -> None:
    from .known_differences import SILENT  # noqa: PLC0415 - start-up

    for each, row in explained:
        name = f"s3://{each.bucket}/{each.key}" if each.key is not None else "unknown object"
        about = ", ".join(
            f"{word} {value}"
            for word, value in (("trigger", each.trigger_id), ("job", each.job_id))
            if value is not None
        )
        out.print(safe(f"{name}  {about}".rstrip()))
        out.print(safe(f"    ours: {each.ours}; theirs: {each.theirs}"))
        for change in each.changes:
            out.print(
                safe(f"    {change.path}: {_shown(change.ours)}; theirs: {_shown(change.theirs)}")
            )
        out.print(safe(f"    {row.id}: {row.title}" if row else "    unexplained"))
    rows = Counter(row.id if row else "unexplained" for _, row in explained)
    counts = ", ".join(f"{name}: {count}" for name, count in sorted(rows.items()))
    total = len(explained)
    out.print(
        f"{found.agreed} dispatches agree; "
        + (
            f"{total} {'difference' if total == 1 else 'differences'} ({counts})"
            if total
            else "no difference"
        )
    )
    if any(row is None and each.is_ours_alone for each, row in explained):
        out.print(f"Nothing shows where lava's function lost an event by {', '.join(SILENT)}.")


def _shown(value: Any) -> str:
    text = ascii(value) if value is not None else "absent"
    if len(text) > _MAX_VALUE_CHARACTERS:
        return f"{text[:_MAX_VALUE_CHARACTERS]}..."
    return text
