"""The command `compare`: reads what both functions did, and writes the differences."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.entries.load import load_sound, read_table
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.sources import read_since_option
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import message, opened, write_json

from .differences import compare_logs, compare_messages
from .known_differences import SILENT, explanation
from .outcomes import log_lines, read_messages, read_outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .differences import Difference, Outcome
    from .known_differences import Row

_MAX_PAYLOAD_CHARACTERS: Final = 300


def run(ours: str, theirs: str | None, **options: Any) -> int:
    """Run the command, and return its exit status."""
    dispatches: Sequence[str] = options["dispatches"]
    if bool(theirs) == bool(dispatches):
        raise CommandError(
            "give what to compare with: another log, or --dispatches, and not both", WRONG_USAGE
        )
    since = read_since_option(options["since"], datetime.now(UTC))
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    entries = _entries(options["triggers"], options["realm"], aws)
    outcomes = list(read_outcomes(log_lines(ours, since, aws)))
    if not outcomes:
        raise CommandError(f"{ours}: no line has the outcome of an object")
    others: list[Outcome] = []
    if theirs:
        others = list(read_outcomes(log_lines(theirs, since, aws)))
        agreed, differing = compare_logs(outcomes, others)
    else:
        messages = [message for file in dispatches for message in read_messages(file)]
        agreed, differing = compare_messages(outcomes, messages)
    explained = [
        (difference, explanation(difference, entries, is_lavas=not theirs))
        for difference in differing
    ]
    observers = [
        log
        for log, of_log in ((ours, outcomes), (theirs, others))
        if any(outcome.is_observed for outcome in of_log)
    ]
    if theirs in observers and ours in observers:
        message(
            "Warning: both functions only observe: none of these dispatches was sent. Compare"
            " with the log of the function that dispatches"
        )
    with opened(options["output"]) as file:
        if options["format_"] == "json":
            differences = [_as_json(*pair) for pair in explained]
            write_json(file, {"agreed": agreed, "differences": differences})
        else:
            for line in _lines(agreed, explained, is_lavas=not theirs):
                print(safe(line), file=file)
            for log in observers:
                print(safe(f"{log} is of a function that observes: it sent nothing"), file=file)
    return NO if differing else YES


def _entries(paths: Sequence[str], realm: str | None, aws: Aws) -> dict[str | None, Any]:
    """Return the items of trigger entries by their id, as far as they are known."""
    if not paths and realm is None:
        return {}
    loaded = load_sound(paths).of("trigger") if paths else read_table(aws, str(realm), "trigger")
    return {entry.id: entry.item for entry in loaded}


def _as_json(difference: Difference, row: Row | None) -> dict[str, Any]:
    names = ("bucket", "key", "trigger_id", "job_id", "outcome", "kind", "reason", "worker")
    return {
        "side": "ours" if difference.is_ours else "theirs",
        **{name: getattr(difference.outcome, name) for name in names},
        "outcome": difference.outcome.word,
        **({} if difference.equal == 1 else {"key": None}),
        "payload": difference.outcome.payload,
        "equal": difference.equal,
        "row": row.id if row else None,
        "explanation": row.title if row else None,
    }


def _lines(
    agreed: int, explained: Sequence[tuple[Difference, Row | None]], *, is_lavas: bool
) -> Iterator[str]:
    for difference, row in explained:
        outcome = difference.outcome
        is_known = outcome.key is not None and difference.equal == 1
        name = f"s3://{outcome.bucket}/{outcome.key}" if is_known else "unknown object"
        subject = (("trigger", outcome.trigger_id), ("job", outcome.job_id))
        about = ", ".join(f"{word} {value}" for word, value in subject if value is not None)
        yield f"{name}  {about}".rstrip()
        equal = f" (one of {difference.equal} equal dispatches)" if difference.equal > 1 else ""
        yield f"    only {'ours' if difference.is_ours else 'theirs'}: {_label(outcome)}{equal}"
        if outcome.payload:
            yield f"    {_shortened(json.dumps(outcome.payload))}"
        yield f"    {row.id}: {row.title}" if row else "    unexplained"
    total = len(explained)
    rows = Counter(row.id if row else "unexplained" for _, row in explained)
    counts = ", ".join(f"{name}: {count}" for name, count in sorted(rows.items()))
    differences = f"{total} {'difference' if total == 1 else 'differences'} ({counts})"
    yield f"{agreed} dispatches agree; {differences if total else 'no difference'}"
    if is_lavas and any(row is None and difference.is_ours for difference, row in explained):
        yield f"Nothing shows where lava's function lost an event by {', '.join(SILENT)}."


def _label(outcome: Outcome) -> str:
    return "observed, not sent" if outcome.is_observed else outcome.label


def _shortened(text: str) -> str:
    is_long = len(text) > _MAX_PAYLOAD_CHARACTERS
    return f"{text[:_MAX_PAYLOAD_CHARACTERS]}..." if is_long else text
