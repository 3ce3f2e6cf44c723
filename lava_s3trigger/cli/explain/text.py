"""Explanations for people: in the order in which the function thinks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.decide.decider import MEANINGS
from lava_s3trigger.cli.decide.document import JOB_UNKNOWN
from lava_s3trigger.cli.deployed.function import options_of
from lava_s3trigger.cli.output.text import (
    BAD,
    FAINT,
    GOOD,
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
from lava_s3trigger.conditions import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Json = dict[str, Any]


_NOT_LOOKED_AT: Final = (
    "Not checked: the queues of workers, and whether events reach the function (--realm would tell)"
)


def explanation_lines(document: Json) -> Iterator[Line]:
    """Yield the lines of the JSON that `explain` prints."""
    events, errors = document["events"], document["errors"]
    function = document["function"]
    options = options_of(document["realm"], function["name"]) if function else ""
    for number, event in enumerate(events):
        if number:
            yield line()
        yield from event_lines(event, options)
    if errors:
        if events:
            yield line()
        yield line(Piece("Not understood, so the function would fail this delivery:", BAD))
        for error in errors:
            yield line(error, indent=2)
    if not events and not errors:
        yield line("No S3 event is in this payload.")
    if any(event["outcome"] == "dispatched" for event in events):
        yield line()
        yield from _realm_lines(document)


def event_lines(event: Json, options: str) -> Iterator[Line]:
    """Yield the lines of one S3 event."""
    yield line(Piece(f"s3://{event['bucket']}/{event['key']}", TITLE))
    yield line(", ".join(_facts(event)), indent=2)
    yield line()
    yield from _prefix_lines(event["prefixes"])
    for trigger in event["triggers"]:
        yield line()
        yield from _trigger_lines(trigger)
    yield line()
    yield _verdict(event)
    if event["connection"]:
        yield from connection_lines(event, options)
    if event["changes"]:
        yield line()
        yield from _change_lines(event)


def _facts(event: Json) -> Iterator[str]:
    yield event["event_type"]
    yield _counted(event["size"], "byte")
    yield event["event_time"]
    if event["source_ip"]:
        yield f"from {event['source_ip']}"
    yield event["aws_region"]
    redrive = event.get("redrive")
    if redrive:
        yield f"parked, for trigger {named(redrive['trigger_id'])} alone"
        if redrive["done"]:
            yield f"whose jobs {', '.join(map(named, redrive['done']))} are done"


def _prefix_lines(prefixes: Sequence[Json]) -> Iterator[Line]:
    yield line("Prefixes tried:", indent=2)
    cells = [
        (shown(level["prefix"]), _counted(level["entries"], "entry", "entries"))
        for level in prefixes
    ]
    width = max((len(prefix) for prefix, _ in cells), default=0)
    for (prefix, count), level in zip(cells, prefixes, strict=True):
        is_first = bool(level["entries"])
        pieces: list[str | Piece] = [
            f"{prefix:<{width}}  ",
            Piece(count, "" if is_first else FAINT),
        ]
        if is_first:
            pieces.append(", which decides" if level["entries"] == 1 else ", which decide")
        yield line(*pieces, indent=4)


def _trigger_lines(trigger: Json) -> Iterator[Line]:
    source = f"  {trigger['source']}" if trigger["source"] else ""
    yield line(
        Piece(f"Trigger {named(trigger['trigger_id'])}", TITLE), Piece(source, FAINT), indent=2
    )
    conditions = trigger["conditions"]
    tests = [f"{condition['field']} {shown(condition['argument'])}" for condition in conditions]
    width = min(max(map(len, tests), default=0), 40)
    for condition, test in zip(conditions, tests, strict=True):
        verdict = Piece("holds", GOOD) if condition["holds"] else Piece("fails", UNUSED)
        saw = Piece(f"  {_looked_at(condition['field'])} {shown(condition['value'])}", FAINT)
        yield line(verdict, f"  {test:<{width}}", saw, indent=4)
    if trigger["reason"]:
        yield line(_outcome(trigger), f": {trigger['reason']}", *_first_code(trigger), indent=4)
        yield from _further_errors(trigger)
    for job in trigger["jobs"]:
        yield from _job_lines(job)


def _job_lines(job: Json) -> Iterator[Line]:
    message = job["message"]
    yield line(
        _outcome(job),
        f"  job {named(job['job_id'])}",
        *_ending(job),
        *_first_code(job),
        indent=4,
    )
    yield from _further_errors(job)
    if message is None:
        return
    yield line(f"queue    {job['queue'] or 'of its worker'}", indent=6)
    if job["delay"]:
        yield line(f"delay    {job['delay']} s", indent=6)
    text = json.dumps(message, indent=2, ensure_ascii=False)
    for number, row in enumerate(text.split("\n")):
        yield line(f"{'message' if number == 0 else '':<9}{row}", indent=6)


def _further_errors(part: Json) -> Iterator[Line]:
    """Yield the errors of an entry after the first, which is the reason."""
    for error in part["errors"][1:]:
        yield line(f"also {error['message']}", code_piece(error["code"]), indent=6)


def _first_code(part: Json) -> Iterator[Piece]:
    for error in part["errors"][:1]:
        yield code_piece(error["code"])


def _ending(job: Json) -> Iterator[str]:
    if job["reason"] == JOB_UNKNOWN:
        yield f": {JOB_UNKNOWN} (--jobs or --realm would tell)"
    elif job["reason"]:
        yield f": {job['reason']}"
    elif job["worker"]:
        yield f", worker {named(job['worker'])}"


def _verdict(event: Json) -> Line:
    number = len(list(_dispatched_jobs([event])))
    if number:
        is_lost = event["connection"] and event["connection"]["arrives"] is False
        dispatches = _counted(number, "dispatch", "dispatches")
        text = f"{dispatches}, if the event arrived." if is_lost else f"{dispatches}."
        return line(Piece(text, UNUSED if is_lost else GOOD), indent=2)
    reason = f": {event['reason']}" if "reason" in event else ""
    if not reason and not event["triggers"]:
        reason = ": no trigger of this bucket has one of these prefixes"
    return line(Piece(f"No dispatch{reason}.", STYLES[event["outcome"]]), indent=2)


def _realm_lines(document: Json) -> Iterator[Line]:
    """Yield what AWS says about the deployed function, or that the realm was not looked at."""
    function = document["function"]
    if function is None:
        yield line(Piece(_NOT_LOOKED_AT, FAINT))
        return
    if function["reason"]:
        yield line(Piece(f"{function['name']}: {function['reason']}", BAD))
    if function["cache_ttl"] is not None:
        facts = (
            f"delays up to {function['max_delay']:g} s, entries cached {function['cache_ttl']:g} s"
        )
        yield line(Piece(f"{function['name']}: {facts}", FAINT))
    dispatched = [event for event in document["events"] if event["outcome"] == "dispatched"]
    if any(job["queue_exists"] is None for job in _dispatched_jobs(dispatched)):
        yield line(Piece("Not known: whether the queue of each worker exists", BAD))
    if any(event["connection"] is None for event in dispatched):
        yield line(Piece("Not checked: whether the events of a payload reach the function", FAINT))


def _dispatched_jobs(events: Iterable[Json]) -> Iterator[Json]:
    for event in events:
        for trigger in event["triggers"]:
            yield from (job for job in trigger["jobs"] if job["outcome"] == "dispatched")


def _change_lines(event: Json) -> Iterator[Line]:
    more = " more" if event["outcome"] == "dispatched" else ""
    title = f"Changes that were tried; each by itself would make it dispatch{more}:"
    yield line(Piece(title, TITLE), indent=2)
    for change in event["changes"]:
        about = f"trigger {named(change['trigger_id'])}: " if change["trigger_id"] else ""
        effect = f"  dispatches {', '.join(map(named, change['dispatches']))}"
        if "also" in change:
            effect += f", but {change['also']}"
        yield line(f"{about}{change['change']}", Piece(effect, FAINT), indent=4)


def _outcome(part: Json) -> Piece:
    return Piece(MEANINGS[part["outcome"]], STYLES[part["outcome"]])


def _looked_at(field: str) -> str:
    """Return the element of the event that a condition looks at."""
    kind = KINDS.get(field.removeprefix("if_").removeprefix("not_"))
    return kind.of if kind else "value"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
