"""The output of `apply`: the changes, their effects on other entries, and their outcome."""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.output.streams import write_json
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
    write_page,
)
from lava_s3trigger.cli.plan.public import difference_line, differences
from lava_s3trigger.units import shown

from .difference import set_of
from .effects import level_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    from lava_s3trigger.cli.output.text import Line

    from .difference import Change, Difference, Kind
    from .effects import Effect, Handover
    from .write import Capacity

_STYLES: Final[dict[Kind, str]] = {"new": GOOD, "changed": UNUSED, "deleted": BAD}
_MINUTE: Final = 60
_HOUR: Final = 3600


def _difference_lines(difference: Difference) -> Iterator[Line]:
    for change in difference.changes:
        item = change.after or change.before or {}
        yield line(
            Piece(f"{change.kind:<8}", _STYLES[change.kind]),
            f" {named(change.trigger_id)}  s3://{'/'.join(level_of(item))}",
            Piece(f"  ({change.source})" if change.source else "", FAINT),
        )
        if change.kind == "changed":
            for field_difference in differences(*change.values()):
                yield line(difference_line(*field_difference), indent=11)
    yield styled(f"{difference.unchanged:,} unchanged")
    deleted = {change.trigger_id for change in difference.changes if change.kind == "deleted"}
    gone = [str(entry.id) for entry in difference.gone if entry.id not in deleted]
    if gone:
        names = ", ".join(map(named, gone))
        yield styled(f"{len(gone):,} not in the files (--prune deletes them): {names}", UNUSED)


def left_lines(conflicts: Iterable[tuple[str, str]]) -> Iterator[Line]:
    """Yield the entries that are not changed, and why."""
    for trigger_id, reason in conflicts:
        yield line(Piece("left    ", BAD), f" {named(trigger_id)}: {reason}")


def _effect_lines(hidden: Sequence[Effect], freed: Sequence[Effect]) -> Iterator[Line]:
    for effects, verb in ((hidden, "is hidden from"), (freed, "gets")):
        for effect in effects:
            of = "of no set" if effect.set_name is None else f"of set {named(effect.set_name)}"
            yield line(
                Piece(f"{named(effect.trigger_id)} ({of}) ", TITLE),
                f"at prefix {shown(effect.own_prefix)} {verb} the keys below"
                f" s3://{effect.bucket}/{effect.prefix}",
            )


def _handover_lines(handovers: Sequence[Handover], seconds: float) -> Iterator[Line]:
    for handover in handovers:
        one, other = map(named, handover.trigger_ids)
        yield line(
            Piece("gap      " if handover.is_gap else "twice    ", UNUSED),
            f"job {named(handover.job_id)} for keys below"
            f" s3://{handover.bucket}/{handover.prefix}: {one}"
            f" loses it {'before' if handover.is_gap else 'after'} {other} gets it",
        )
    if handovers:
        yield styled(
            f"This lasts about {duration(seconds)}, until all is written and the function's cache"
            " has expired. An object may have the job twice meanwhile, or not at all in a gap."
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


def command_line(options: Mapping[str, Any], *words: str) -> str:
    """Return a command line for the same account and region as this one."""
    named_options = ("profile", "region", "endpoint_url")
    where = [
        f"--{name.replace('_', '-')}={options[name]}" for name in named_options if options[name]
    ]
    return shlex.join(["lava-s3trigger", *words, *where])


def duration(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 2 * _MINUTE:
        return f"{math.ceil(seconds)} s"
    if seconds < 2 * _HOUR:
        return f"{math.ceil(seconds / _MINUTE)} min"
    return f"{seconds / _HOUR:.1f} h"


def _change_json(change: Change) -> dict[str, Any]:
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


def _empty_document() -> dict[str, Any]:
    """Return the JSON of a run before its first step."""
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
        "handovers": [],
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


@dataclass(slots=True)
class Page:
    """The output of a run: text after each step, or JSON at the end."""

    file: TextIO
    is_json: bool
    is_repeated: bool
    """Whether text is also written to standard error, for the question that follows."""
    document: dict[str, Any] = field(default_factory=_empty_document)
    """The JSON; each step adds its part."""

    def show(self, lines: Iterable[Line]) -> None:
        """Show lines of text."""
        page = list(lines)
        if not self.is_json:
            write_page(self.file, page)
            self.file.flush()
        if self.is_repeated:
            write_page(sys.stderr, page)

    def show_difference(self, difference: Difference, title: str) -> None:
        """Show the changes, and the conflicts that prevent others."""
        deleted = {change.trigger_id for change in difference.changes if change.kind == "deleted"}
        self.document |= {
            "changes": [_change_json(change) for change in difference.changes],
            "unchanged": difference.unchanged,
            "gone": [entry.id for entry in difference.gone if entry.id not in deleted],
            "conflicts": pairs_json(difference.conflicts),
        }
        self.show([styled(title, TITLE), *_difference_lines(difference)])
        self.show(left_lines(difference.conflicts))

    def show_hidden(self, hidden: Sequence[Effect], freed: Sequence[Effect] = ()) -> None:
        """Show the entries that changes hide or free."""
        self.document["hidden"] = [effect._asdict() for effect in hidden]
        self.document["freed"] = [effect._asdict() for effect in freed]
        self.show(_effect_lines(hidden, freed))

    def show_handovers(self, handovers: Sequence[Handover], seconds: float) -> None:
        """Show the jobs that may be dispatched twice, or not at all, and for how long."""
        self.document["handovers"] = [handover._asdict() for handover in handovers]
        self.show(_handover_lines(handovers, seconds))

    def finish(self) -> None:
        """Write the JSON, if the format is JSON."""
        if self.is_json:
            write_json(self.file, self.document)
