"""What the command `compare` does: reads what both functions did, and writes what differs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.entries.load import load, read_table
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.sources import read_since
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import opened, write_json

from .differences import compare_logs, compare_messages
from .known_differences import SILENT, explanation
from .outcomes import log_lines, read_messages, read_outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from .differences import Comparison, Difference
    from .known_differences import Entry, Row

_MAX_VALUE_CHARACTERS: Final = 100


def run(ours: str, theirs: str | None, **options: Any) -> int:
    """Run the command, and return its exit status."""
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
    with opened(options["output"]) as file:
        if options["format_"] == "json":
            write_json(file, _as_json(found, explained))
        else:
            _print(file, found, explained)
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
    out: TextIO, found: Comparison, explained: Sequence[tuple[Difference, Row | None]]
) -> None:
    for each, row in explained:
        name = f"s3://{each.bucket}/{each.key}" if each.key is not None else "unknown object"
        about = ", ".join(
            f"{word} {value}"
            for word, value in (("trigger", each.trigger_id), ("job", each.job_id))
            if value is not None
        )
        print(safe(f"{name}  {about}".rstrip()), file=out)
        print(safe(f"    ours: {each.ours}; theirs: {each.theirs}"), file=out)
        for change in each.changes:
            print(
                safe(f"    {change.path}: {_shown(change.ours)}; theirs: {_shown(change.theirs)}"),
                file=out,
            )
        print(safe(f"    {row.id}: {row.title}" if row else "    unexplained"), file=out)
    rows = Counter(row.id if row else "unexplained" for _, row in explained)
    counts = ", ".join(f"{name}: {count}" for name, count in sorted(rows.items()))
    total = len(explained)
    print(
        f"{found.agreed} dispatches agree; "
        + (
            f"{total} {'difference' if total == 1 else 'differences'} ({counts})"
            if total
            else "no difference"
        ),
        file=out,
    )
    if any(row is None and each.is_ours_alone for each, row in explained):
        silent = ", ".join(SILENT)
        print(f"Nothing shows where lava's function lost an event by {silent}.", file=out)


def _shown(value: Any) -> str:
    text = ascii(value) if value is not None else "absent"
    if len(text) > _MAX_VALUE_CHARACTERS:
        return f"{text[:_MAX_VALUE_CHARACTERS]}..."
    return text
