"""The history of an object for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.decide.decider import MEANINGS
from lava_s3trigger.cli.deployed.function import options_of
from lava_s3trigger.cli.deployed.log_text import WIDTH, event_piece, listed
from lava_s3trigger.cli.output.text import (
    BAD,
    FAINT,
    STYLES,
    TITLE,
    UNUSED,
    Line,
    Piece,
    code_piece,
    line,
    named,
    shown,
)
from lava_s3trigger.cli.routes.connection_text import connection_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = dict[str, Any]


def history_lines(document: Json) -> Iterator[Line]:
    """Yield the lines of the JSON that `history` prints."""
    deliveries = document["deliveries"]
    options = options_of(document["realm"], document["function"])
    yield line(Piece(f"s3://{document['bucket']}/{document['key']}", TITLE))
    count = f"{len(deliveries):,} {'delivery' if len(deliveries) == 1 else 'deliveries'}"
    yield line(f"{count} since {document['since']}, realm {document['realm']}", indent=2)
    if not deliveries:
        log = "The log does not name it" if document["log_read"] else "The log was not read"
        letters = "" if document["waiting"] else "; no dead letter that was looked at holds it"
        yield line(f"{log}{letters}.", indent=2)
    for delivery in deliveries:
        yield line()
        yield from _delivery_lines(delivery)
    if document["waiting"]:
        yield line()
        yield from _waiting_lines(document["waiting"], options)
    yield line()
    yield from _now_lines(document["now"])
    if document["now"]["connection"]:
        yield from connection_lines(document["now"], options)
    yield line()
    yield line(Piece("Not looked at", TITLE))
    for part in document["not_looked_at"]:
        yield line(part, indent=2)


def _waiting_lines(waiting: list[Json], options: str) -> Iterator[Line]:
    for letter in waiting:
        names = listed(trigger=letter["trigger_id"], message=letter["message_id"])
        yield line(Piece(letter["sent_at"], TITLE), Piece(f"  {names}", FAINT))
        reason = letter["reason"] or letter["kind"]
        yield line(Piece(f"{'waits':<{WIDTH}}", BAD), f"  in {letter['queue']}: {reason}", indent=2)
    command = f"lava-s3trigger dead-letters {options} --explain"
    yield line(f"{command} shows what a redrive would do", indent=2)


def _delivery_lines(delivery: Json) -> Iterator[Line]:
    ids = listed(
        request=delivery["request_id"], message=delivery["message_id"], replay=delivery["replay"]
    )
    yield line(Piece(delivery["time"], TITLE), Piece(f"  {ids}", FAINT))
    for log_line in delivery["lines"]:
        names = listed(
            trigger=log_line["trigger_id"],
            job=log_line["job_id"],
            queue=log_line["queue"],
            run=log_line["run_id"],
        )
        yield line(event_piece(log_line["event"]), f"  {names}", *_reason(log_line), indent=2)
        yield from _beside(log_line)


def _reason(log_line: Json) -> Iterator[str | Piece]:
    if log_line["reason"]:
        yield f": {log_line['reason']}"
    if log_line["code"]:
        yield code_piece(log_line["code"])


def _beside(log_line: Json) -> Iterator[Line]:
    """Yield what would happen now, and the differences of the entry since then."""
    now = log_line["now"]
    yield line(Piece(f"{'now':<{WIDTH}}  ", FAINT), _outcome(now), indent=2)
    if log_line["entry"] and now["entry"] and log_line["entry"] != now["entry"]:
        indent = 4 + WIDTH
        yield line(
            Piece(f"the entry has changed since: {log_line['entry']}, now {now['entry']}", UNUSED),
            indent=indent,
        )
        if now["differences"] is None:
            yield line("--versions PATH, with earlier versions, shows what differs", indent=indent)
        for difference in now["differences"] or ():
            yield line(f"{named(difference['field'])}: {_versions(difference)}", indent=indent)


def _versions(difference: Json) -> str:
    then = shown(difference["then"]) if "then" in difference else "not there"
    now = shown(difference["now"]) if "now" in difference else "not there"
    return f"{then} then, {now} now"


def _outcome(part: Json) -> Piece:
    outcome, reason = part["outcome"], part.get("reason")
    meaning = MEANINGS.get(outcome, "nothing")
    text = f"{meaning}: {reason}" if reason else meaning
    return Piece(text, STYLES.get(outcome, BAD))


def _now_lines(now: Json) -> Iterator[Line]:
    size = "1 byte" if now["size"] == 1 else f"{now['size']:,} bytes"
    about = f"Now, as {now['event_type']} of {size}: "
    yield line(Piece(about, TITLE), _outcome(now))
    if not now["triggers"] and not now.get("reason"):
        yield line("no trigger of this bucket has one of its prefixes", indent=2)
    for trigger in now["triggers"]:
        yield line(f"trigger {named(trigger['trigger_id'])}: ", _outcome(trigger), indent=2)
        for job in trigger["jobs"]:
            queue = f", queue {named(job['queue'])}" if job["queue"] else ""
            yield line(f"job {named(job['job_id'])}: ", _outcome(job), queue, indent=4)
