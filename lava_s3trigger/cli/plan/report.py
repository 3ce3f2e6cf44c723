"""The effects of a change of entries, as JSON and as text for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.text import styled
from lava_s3trigger.units import shown

from .compare import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from lava_s3trigger.cli.entries.load import Entry
    from lava_s3trigger.cli.output.text import Line

    from .compare import Comparison, Counted, Example, Kind
    from .entry_sets import Sides

_MAX_DIFFERENCES: Final = 3
_MAX_VALUE_CHARACTERS: Final = 80
_MAX_REASON_CHARACTERS: Final = 300
_STYLES: Final[dict[Kind, str]] = {
    "gained": "green",
    "lost": "red",
    "changed": "yellow",
    "parked": "red",
    "mended": "green",
}
_HEADS: Final[dict[Kind, tuple[str, str]]] = {
    "gained": ("gains {} dispatch", "gains {} dispatches"),
    "lost": ("loses {} dispatch", "loses {} dispatches"),
    "changed": ("changes {} dispatch", "changes {} dispatches"),
    "parked": ("would park {} event", "would park {} events"),
    "mended": ("no longer parks {} event", "no longer parks {} events"),
}
_OF_CHANGES: Final = ("bucket", "key", "job_id", "before", "after", "reason")
_OF_UNDECIDED: Final = ("bucket", "key", "trigger_id", "reason")
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Report:
    """A comparison, with the two sides."""

    comparison: Comparison
    sides: Sides
    realm: str | None
    now: datetime

    @property
    def has_changes(self) -> bool:
        """Whether anything would change."""
        return bool(self.comparison.changes)

    @property
    def is_undecided(self) -> bool:
        """Whether some decisions could not be made."""
        return self.comparison.undecided.count > 0

    def unreached(self) -> Iterator[tuple[Entry, bool]]:
        """Yield the new entries that no object reached, and whether one reaches the current one."""
        comparison = self.comparison
        before = self.sides.before.trigger_table.by_id
        for trigger_id, entry in self.sides.after.trigger_table.by_id.items():
            if _level(entry) not in comparison.reached_after:
                earlier = before.get(trigger_id)
                yield entry, earlier is not None and _level(earlier) in comparison.reached_before

    def changes(self) -> Iterator[tuple[str, Entry | None, Entry | None, dict[Kind, Counted]]]:
        """Yield the changes by trigger id, with the entry before and after."""
        before = self.sides.before.trigger_table.by_id
        after = self.sides.after.trigger_table.by_id
        for trigger_id, kinds in sorted(self.comparison.changes.items()):
            ordered = {kind: kinds[kind] for kind in KINDS if kind in kinds}
            yield trigger_id, before.get(trigger_id), after.get(trigger_id), ordered

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        comparison = self.comparison
        return {
            "realm": self.realm,
            "before": self.sides.before.name,
            "after": self.sides.after.name,
            "now": self.now.isoformat(timespec="seconds"),
            "objects": comparison.objects,
            "dispatches": {
                "before": comparison.before,
                "after": comparison.after,
                "same": comparison.same,
                "gained": comparison.total("gained"),
                "lost": comparison.total("lost"),
                "changed": comparison.total("changed"),
            },
            "triggers": [
                {
                    "trigger_id": trigger_id,
                    "source_before": before.source if before else None,
                    "source_after": after.source if after else None,
                    **{
                        kind: {
                            "count": counted.count,
                            "examples": _as_json(counted.examples, _OF_CHANGES),
                        }
                        for kind, counted in kinds.items()
                    },
                }
                for trigger_id, before, after, kinds in self.changes()
            ],
            "unreached": [
                {"trigger_id": entry.id, "source": entry.source, "was_reached": was_reached}
                for entry, was_reached in self.unreached()
            ],
            "undecided": {
                "count": comparison.undecided.count,
                "examples": _as_json(comparison.undecided.examples, _OF_UNDECIDED),
            },
        }

    def lines(self) -> Iterator[Line]:
        """Yield the report for people."""
        comparison = self.comparison
        yield styled(f"{self.sides.before.name} -> {self.sides.after.name}", "bold")
        yield styled(
            f"{_counted(comparison.objects, 'object')}:"
            f" {_counted(comparison.before, 'dispatch', 'dispatches')} before,"
            f" {comparison.after:,} after; {comparison.total('gained'):,} gained,"
            f" {comparison.total('lost'):,} lost, {comparison.total('changed'):,} changed"
        )
        for trigger_id, before, after, kinds in self.changes():
            yield styled("")
            yield styled(f"{trigger_id}  ({_sources(before, after)})", "bold")
            for kind, counted in kinds.items():
                head = _HEADS[kind][counted.count != 1].format(f"{counted.count:,}")
                yield styled(f"  {head}", _STYLES[kind])
                for example in counted.examples:
                    yield styled(f"    {_example_line(kind, example)}")
                yield from _more(counted.count, len(counted.examples))
        yield from self._unreached_lines()
        yield from self._undecided_lines()
        if not self.has_changes:
            yield styled("")
            yield styled("Nothing would change.")

    def _unreached_lines(self) -> Iterator[Line]:
        unreached = list(self.unreached())
        if unreached:
            yield styled("")
            yield styled("Entries that no object reached", "bold")
        for entry, was_reached in unreached:
            note = "; reached before" if was_reached else ""
            yield styled(f"  {entry.id}  ({entry.source}{note})")

    def _undecided_lines(self) -> Iterator[Line]:
        count, examples = self.comparison.undecided.count, self.comparison.undecided.examples
        if not count:
            return
        yield styled("")
        yield styled(f"Could not tell {_counted(count, 'time')}", "bold red")
        for example in examples:
            where = f"{example.trigger_id}: " if example.trigger_id else ""
            yield styled(
                f"  s3://{example.bucket}/{example.key}  {where}{_shortened(example.reason)}"
            )
        yield from _more(count, len(examples), indent=2)


def _level(entry: Entry) -> tuple[str, str]:
    return (str(entry.text("bucket")), str(entry.text("prefix")))


def _sources(before: Entry | None, after: Entry | None) -> str:
    if after is None:
        return f"removed; was {before.source}" if before else "removed"
    return after.source if before else f"new; {after.source}"


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _more(count: int, shown_count: int, indent: int = 4) -> Iterator[Line]:
    if count > shown_count:
        yield styled(f"{'':{indent}}and {count - shown_count:,} more", "dim")


def _as_json(examples: Iterable[Example], names: Iterable[str]) -> list[dict[str, Any]]:
    return [{name: getattr(example, name) for name in names} for example in examples]


def _example_line(kind: Kind, example: Example) -> str:
    line = f"s3://{example.bucket}/{example.key}"
    if example.job_id is not None:
        line += f"  {example.job_id}"
    if kind == "changed":
        return f"{line}: {_differences(example)}"
    return f"{line}: {_shortened(example.reason)}" if example.reason and kind != "gained" else line


def _differences(example: Example) -> str:
    texts = [
        difference_line(*difference) for difference in differences(example.before, example.after)
    ]
    more = len(texts) - _MAX_DIFFERENCES
    rest = [f"and {more} more"] if more > 0 else []
    return "; ".join(texts[:_MAX_DIFFERENCES] + rest)


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the differences of two JSON values: the dotted path, and both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            inner = f"{path}.{name}" if path else str(name)
            yield from differences(before.get(name, _ABSENT), after.get(name, _ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{path}[{position}]")
    elif type(before) is not type(after) or before != after:
        yield path, before, after


def difference_line(path: str, before: Any, after: Any) -> str:
    """Return a difference for people."""
    return f"{path} {_value(before)} -> {_value(after)}"


def _value(value: Any) -> str:
    return "(absent)" if value is _ABSENT else shown(value, _MAX_VALUE_CHARACTERS)


def _shortened(reason: str | None) -> str:
    text = safe(reason or "")
    return text if len(text) <= _MAX_REASON_CHARACTERS else f"{text[:_MAX_REASON_CHARACTERS]}..."
