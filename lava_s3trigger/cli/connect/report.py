"""What `connect` and `disconnect` print: changes, and what follows from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.output.streams import write_json
from lava_s3trigger.cli.output.text import Piece, line, styled, write_page
from lava_s3trigger.cli.routes.route import KINDS

from .changes import NOTIFICATIONS, Change
from .merge import TO_EVENTBRIDGE, described
from .plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from lava_s3trigger.cli.output.text import Line

    from .names import Names
    from .wanted import Surplus

    Json = dict[str, Any]

_OUTCOMES: Final = {
    "unchanged": "nothing to change",
    "would_change": "would change",
    "refused": "nothing was changed",
    "declined": "nothing was changed",
    "changed": "changed",
}


@dataclass
class Report:
    """What a run found, and did."""

    command: str
    names: Names
    by: str | None
    plan: Plan = field(default_factory=lambda: Plan(()))
    refused: tuple[str, ...] = ()
    surplus: tuple[Surplus, ...] = ()
    unreachable: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Routes to the function that `connect` did not make."""
    saved: Path | None = None
    is_shown: bool = False
    """Whether the changes are on standard output already."""


def write_report(file: TextIO, report: Report, options: Json, outcome: str) -> None:
    """Write a report, as text or as JSON.

    Args:
        file: Where to.
        report: The report.
        options: Options of the command.
        outcome: What came of it; ``planned`` is before the question.
    """
    if options["format_"] == "json":
        _write_json(file, report, outcome)
        return
    lines = [] if report.is_shown and outcome != "planned" else list(shown_lines(report, options))
    if outcome != "planned":
        lines += [styled(f"refused: {each}", "bold red") for each in report.refused]
        lines.append(line(f"{report.names.bucket}: {_OUTCOMES[outcome]}"))
    write_page(file, lines)


def shown_lines(report: Report, options: Json) -> Iterator[Line]:
    """Yield the changes and what follows from them, for people."""
    for each in report.plan.first:
        yield from _change_lines(each)
    if report.plan.then:
        yield line(f"after {options['wait']:.0f} s:")
        for each in report.plan.then:
            yield from _change_lines(each)
    for surplus in report.surplus:
        yield line(
            f"note: the filter {surplus.prefix!r} also carries keys such as {surplus.example!r},"
            f" which no entry asks for ({', '.join(surplus.trigger_ids)})"
        )
    for trigger_id in report.unreachable:
        yield line(
            f"note: no event fires {trigger_id} by {report.by}: its if_event_type names none"
        )
    for note in report.notes:
        yield line(f"note: {note}")
    for told in report.others:
        yield line(f"note: {report.names.bucket} stays connected: {told}")


def _change_lines(change: Change) -> Iterator[Line]:
    if change.kind != NOTIFICATIONS:
        yield line(f"{change.subject}:")
        yield from (_removed(json.dumps(each)) for each in (change.before,) if each is not None)
        yield from (_added(json.dumps(each)) for each in (change.after,) if each is not None)
        return
    yield line(f"{change.subject}:")
    before, after = _notifications(change.before or {}), _notifications(change.after or {})
    yield from (_removed(described(each)) for each in before if each not in after)
    yield from (_added(described(each)) for each in after if each not in before)
    if TO_EVENTBRIDGE in (change.after or {}) and TO_EVENTBRIDGE not in (change.before or {}):
        yield _added("all events to EventBridge")
    kept = sum(each in before for each in after)
    if kept:
        yield line(f"  kept as they are: {kept}", indent=2)


def _notifications(configuration: Json) -> list[Json]:
    return [each for kind in KINDS for each in configuration.get(kind, [])]


def _removed(text: str) -> Line:
    return line(Piece(f"- {text}", "red"), indent=2)


def _added(text: str) -> Line:
    return line(Piece(f"+ {text}", "green"), indent=2)


def _write_json(file: TextIO, report: Report, outcome: str) -> None:
    stages = (("first", report.plan.first), ("then", report.plan.then))
    write_json(
        file,
        {
            "realm": report.names.realm,
            "function": report.names.function,
            "bucket": report.names.bucket,
            "by": report.by,
            "outcome": outcome,
            "changes": [
                {"stage": name, **each.as_json()} for name, stage in stages for each in stage
            ],
            "refused": list(report.refused),
            "surplus": [asdict(each) for each in report.surplus],
            "unreachable": list(report.unreachable),
            "notes": report.notes,
            "other_routes": report.others,
            "saved": str(report.saved) if report.saved else None,
        },
    )
