"""What `apply` shows: the changes, what they do to other entries, and what became of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.output.text import (
    BAD,
    FAINT,
    GOOD,
    TITLE,
    UNUSED,
    Piece,
    line,
    named,
    styled,
)
from lava_s3trigger.cli.plan.public import difference_line, differences
from lava_s3trigger.units import shown

from .difference import set_of
from .effects import level_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lava_s3trigger.cli.output.text import Line

    from .difference import Change, Difference, Kind
    from .effects import Effect, Twice
    from .write import Capacity

_STYLES: Final[dict[Kind, str]] = {"new": GOOD, "changed": UNUSED, "deleted": BAD}
_MINUTE: Final = 60
_HOUR: Final = 3600


def difference_lines(found: Difference) -> Iterator[Line]:
    """Yield what changes, field by field."""
    for change in found.changes:
        item = change.after or change.before or {}
        yield line(
            Piece(f"{change.kind:<8}", _STYLES[change.kind]),
            f" {named(change.trigger_id)}  s3://{'/'.join(level_of(item))}",
            Piece(f"  ({change.source})" if change.source else "", FAINT),
        )
        if change.kind == "changed":
            for each in differences(*change.values()):
                yield line(difference_line(*each), indent=11)
    yield styled(f"{found.unchanged:,} unchanged")
    deleted = {each.trigger_id for each in found.changes if each.kind == "deleted"}
    gone = [str(each.id) for each in found.gone if each.id not in deleted]
    if gone:
        names = ", ".join(map(named, gone))
        yield styled(f"{len(gone):,} not in the files (--prune deletes them): {names}", UNUSED)


def conflict_lines(conflicts: Iterable[tuple[str, str]]) -> Iterator[Line]:
    """Yield the entries that are left, and why."""
    for trigger_id, reason in conflicts:
        yield line(Piece("left    ", BAD), f" {named(trigger_id)}: {reason}")


def effect_lines(hidden: Sequence[Effect], freed: Sequence[Effect]) -> Iterator[Line]:
    """Yield the entries that changes hide or free."""
    for effects, verb in ((hidden, "is hidden from"), (freed, "gets")):
        for each in effects:
            of = "of no set" if each.set_name is None else f"of set {named(each.set_name)}"
            yield line(
                Piece(f"{named(each.trigger_id)} ({of}) ", TITLE),
                f"at prefix {shown(each.own_prefix)} {verb} the keys below"
                f" s3://{each.bucket}/{each.prefix}",
            )


def twice_lines(found: Sequence[Twice], writing: float, cache: float) -> Iterator[Line]:
    """Yield the jobs that may be dispatched twice for an object, and for how long."""
    for each in found:
        one, other = map(named, each.trigger_ids)
        yield line(
            Piece("twice    ", UNUSED),
            f"job {named(each.job_id)} for keys below s3://{each.bucket}/{each.prefix}, by"
            f" {one} and {other}",
        )
    if found:
        seconds = duration(writing + cache)
        yield styled(
            f"An object may have a job twice for about {seconds}: until all is written, and the"
            " function's cache has expired."
        )


def writing_line(changes: Sequence[Change], capacity: Capacity) -> Line:
    """Return how long writing takes."""
    units = min(capacity.table, capacity.index)
    if math.isinf(units):
        return styled(f"{len(changes):,} writes, to a table on demand.")
    seconds = capacity.total_seconds(changes)
    return styled(
        f"{len(changes):,} writes take about {duration(seconds)}: the table has {units:g} write"
        f" {'unit' if units == 1 else 'units'} a second."
    )


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 2 * _MINUTE:
        return f"{math.ceil(seconds)} s"
    if seconds < 2 * _HOUR:
        return f"{math.ceil(seconds / _MINUTE)} min"
    return f"{seconds / _HOUR:.1f} h"


def change_json(change: Change) -> dict[str, Any]:
    """Return a change as JSON."""
    before, after = change.values()
    fields = [
        {"field": name}
        | {
            when: side[name]
            for when, side in (("before", before), ("after", after))
            if name in side
        }
        for name in {**before, **after}
    ]
    item = change.after or change.before or {}
    return {
        "trigger_id": change.trigger_id,
        "kind": change.kind,
        "source": change.source or None,
        "set_before": set_of(change.before) if change.before else None,
        "bucket": level_of(item)[0],
        "prefix": level_of(item)[1],
        "fields": fields,
    }


def pairs_json(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return entries, each with a reason, as JSON."""
    return [{"trigger_id": trigger_id, "reason": reason} for trigger_id, reason in pairs]


def empty_document() -> dict[str, Any]:
    """Return the JSON of a run that has found nothing yet."""
    return {
        "realm": None,
        "table": None,
        "set": None,
        "outcome": "unchanged",
        "changes": [],
        "unchanged": 0,
        "gone": [],
        "conflicts": [],
        "hidden": [],
        "freed": [],
        "twice": [],
        "findings": None,
        "cases": None,
        "plan": None,
        "write_seconds": None,
        "cache_seconds": None,
        "saved": None,
        "left": [],
        "unconfirmed": [],
        "seen_at": None,
        "unconnected": [],
        "replays": [],
    }
