"""Effects of changes on other entries: which are hidden, freed, or fire twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lava_s3trigger import units
from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.triggers import WHOLE_BUCKET, prefixes

from .difference import KINDS, set_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .difference import Change, Item

    Level = tuple[str, str]
    """A bucket, and a prefix at which there are entries."""
    Levels = Mapping[Level, Sequence[Item]]


class Effect(NamedTuple):
    """An entry that no longer receives the keys below a prefix, or receives them now."""

    trigger_id: str
    set_name: str | None
    """The set to which it belongs."""
    own_prefix: str
    bucket: str
    prefix: str
    """The keys below this prefix."""


class Handover(NamedTuple):
    """A job that one entry loses and another one at the same prefix gets.

    While the changes are written, an object may have it twice, or not at all.
    """

    bucket: str
    prefix: str
    job_id: str
    trigger_ids: tuple[str, str]
    """The entry that loses the job, and the one that gets it."""
    is_gap: bool
    """Whether one entry loses it before the other one gets it."""


def levels_of(items: Iterable[Item]) -> dict[Level, list[Item]]:
    """Return items by bucket and prefix."""
    items_by_level: dict[Level, list[Item]] = {}
    for item in items:
        items_by_level.setdefault(level_of(item), []).append(item)
    return items_by_level


def level_of(item: Item) -> Level:
    """Return the bucket and the prefix of an item."""
    bucket, prefix = (str(item.get(name, {}).get("S", "")) for name in ("bucket", "prefix"))
    return bucket, prefix


def hidden(before: Levels, after: Levels) -> list[Effect]:
    """Return the entries that entries at new prefixes hide."""
    return list(_uncovered(before, after, set(after) - set(before)))


def freed(before: Levels, after: Levels) -> list[Effect]:
    """Return the entries that get the keys of prefixes without any remaining entry."""
    return list(_uncovered(after, before, set(before) - set(after)))


def hidden_by_disabled(after: Levels, disabled: Iterable[Item]) -> list[Effect]:
    """Return the entries that only disabled ones hide, at prefixes without an enabled entry."""
    dead = {
        level for level in map(level_of, disabled) if not any(map(is_enabled, after.get(level, ())))
    }
    return list(_uncovered(after, after, dead))


def _uncovered(of: Levels, others: Levels, levels: Iterable[Level]) -> Iterator[Effect]:
    """Yield the enabled entries at the nearest prefix above each of some levels.

    Args:
        of: The entries to search.
        others: The entries on the other side of a change; an entry must exist there too.
        levels: The levels.
    """
    for bucket, prefix in sorted(levels):
        above = (other for other in prefixes(prefix) if other != prefix)
        nearest = next((other for other in above if (bucket, other) in of), None)
        if nearest is None or prefix == WHOLE_BUCKET:
            continue
        remaining = {_id(item) for item in others.get((bucket, nearest), ())}
        for item in of[bucket, nearest]:
            if is_enabled(item) and _id(item) in remaining:
                yield Effect(_id(item), set_of(item), nearest, bucket, prefix)


def in_order(changes: Iterable[Change]) -> list[Change]:
    """Return changes in the order in which to write them.

    New entries first and deletions last, and an entry that gets a job before the one that loses
    it, so that no key is without its job in between. Two entries that swap jobs leave a gap.
    """
    by_kind = sorted(changes, key=lambda change: (KINDS.index(change.kind), change.trigger_id))
    losers = {handover.trigger_ids[0] for handover in handovers(by_kind)}
    return sorted(
        by_kind, key=lambda change: (KINDS.index(change.kind), change.trigger_id in losers)
    )


def handovers(changes: Sequence[Change]) -> list[Handover]:
    """Return the jobs that one entry loses and another one at the same prefix gets.

    Args:
        changes: The changes, in the order in which they are written.
    """
    lost: dict[tuple[Level, str], list[str]] = {}
    got: dict[tuple[Level, str], list[str]] = {}
    for change in changes:
        before, after = _work(change.before), _work(change.after)
        for work in before - after:
            lost.setdefault(work, []).append(change.trigger_id)
        for work in after - before:
            got.setdefault(work, []).append(change.trigger_id)
    position = {change.trigger_id: number for number, change in enumerate(changes)}
    return [
        Handover(*level, job_id, (loser, winner), position[loser] < position[winner])
        for (level, job_id), losers in sorted(lost.items())
        for loser in losers
        for winner in got.get((level, job_id), ())
        if loser != winner
    ]


def _work(item: Item | None) -> set[tuple[Level, str]]:
    """Return the jobs that an entry dispatches, each with the prefix of the entry."""
    if item is None or not is_enabled(item):
        return set()
    try:
        value = value_of(item["job_id"], "job_id")
    except (KeyError, ValueError):
        return set()
    job_ids = value if isinstance(value, list) else [value]
    return {(level_of(item), job_id) for job_id in job_ids if isinstance(job_id, str)}


def is_enabled(item: Item) -> bool:
    """Return whether an entry is enabled; an entry with an invalid field fires nothing."""
    try:
        return units.boolean(value_of(item["enabled"], "enabled"))
    except (KeyError, ValueError):
        return False


def _id(item: Item) -> str:
    return str(item.get("trigger_id", {}).get("S"))
