"""The messages in dead-letter queues, as JSON and for people."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.dead_letter_queues import hidden_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter, DeadLetterQueue

    from .fates import Fate

    Json = dict[str, Any]

_EXAMPLES: Final = 3


@dataclass(slots=True)
class Reading:
    """The messages that were read from a queue."""

    queue: DeadLetterQueue
    chosen: list[DeadLetter] = field(default_factory=list)
    others: list[DeadLetter] = field(default_factory=list)
    """Number of messages that the options do not choose."""
    hidden: int = 0
    """Number of messages that cannot be received now, as SQS counts them."""
    hidden_until: datetime | None = None
    """When they can be received at the latest."""

    def note_hidden(self, now: datetime) -> None:
        """Record how many messages are hidden, without those that were read and are still held."""
        counts = self.queue.counts()
        self.hidden = max(0, counts.total - len(self.chosen) - len(self.others))
        self.hidden_until = counts.hidden_until(now) if self.hidden else None

    @property
    def hidden_text(self) -> str:
        """How many messages are hidden and until when; empty if none are."""
        return hidden_text(self.hidden, self.hidden_until) if self.hidden_until else ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Dead letters to show.

    Args:
        realm: Name of the realm.
        readings: The messages of each queue.
        owner_of: Returns the owner of a trigger's entry.
        fates: The fates of messages by their ids; empty without ``--explain``.
    """

    realm: str
    readings: list[Reading]
    owner_of: Callable[[str | None], str | None]
    fates: dict[str, Fate]

    @property
    def letters(self) -> list[DeadLetter]:
        """The chosen messages of all queues."""
        return [letter for reading in self.readings for letter in reading.chosen]

    def document(self) -> Json:
        """Return the listing as JSON, without the version."""
        return {
            "realm": self.realm,
            "queues": [_queue(reading) for reading in self.readings],
            "groups": [self._group(*group) for group in self._groups()],
            "messages": [self._message(letter) for letter in self.letters],
        }

    def _groups(self) -> list[tuple[tuple[str, str | None, str], list[DeadLetter]]]:
        """Return messages by queue, trigger and kind, the largest group first."""
        groups: dict[tuple[str, str | None, str], list[DeadLetter]] = defaultdict(list)
        for letter in self.letters:
            groups[letter.queue, letter.trigger_id, letter.kind].append(letter)
        return sorted(groups.items(), key=lambda item: -len(item[1]))

    def _group(self, name: tuple[str, str | None, str], members: list[DeadLetter]) -> Json:
        queue, trigger_id, kind = name
        return {
            "queue": queue,
            "trigger_id": trigger_id,
            "kind": kind,
            "owner": self.owner_of(trigger_id),
            "messages": len(members),
            "oldest": _time(min(letter.sent_at for letter in members)),
            "newest": _time(max(letter.sent_at for letter in members)),
            "examples": [
                {"objects": letter.places[:_EXAMPLES], "reason": letter.reason}
                for letter in members[:_EXAMPLES]
            ],
        }

    def _message(self, letter: DeadLetter) -> Json:
        names = ("queue", "message_id", "trigger_id", "kind", "reason")
        fate = self.fates.get(letter.message_id)
        return {
            **{name: getattr(letter, name) for name in names},
            "sent_at": _time(letter.sent_at),
            "objects": letter.places,
            "body": letter.body,
            "fate": {"outcome": fate.outcome, "details": list(fate.details)} if fate else None,
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines for people."""
        hidden = sum(reading.hidden for reading in self.readings)
        more = f", {hidden:,} hidden" if hidden else ""
        yield f"{len(self.letters):,} dead letters{more}"
        for reading in self.readings:
            if reading.hidden:
                yield (
                    f"{reading.hidden_text} at the latest, in {reading.queue.name}: the function,"
                    " or another command, has received them"
                )
        for name, members in self._groups():
            group = self._group(name, members)
            about = f"trigger {group['trigger_id']}" if group["trigger_id"] else "no trigger"
            owner = f", owner {group['owner']}" if group["owner"] else ""
            yield (
                f"{group['messages']:,} in {group['queue']}: {about}, {group['kind']}{owner},"
                f" {group['oldest']} to {group['newest']}"
            )
            yield from self._members(members if self.fates else members[:_EXAMPLES])

    def _members(self, members: Iterable[DeadLetter]) -> Iterator[str]:
        for letter in members:
            more = len(letter.places) - _EXAMPLES
            places = ", ".join(letter.places[:_EXAMPLES]) or "?"
            yield f"  {places}{f' and {more:,} more' if more > 0 else ''}: {letter.reason}"
            if letter.message_id in self.fates:
                yield f"    if redriven now: {self.fates[letter.message_id].text}"


def _queue(reading: Reading) -> Json:
    return {
        "queue": reading.queue.name,
        "messages": len(reading.chosen) + len(reading.others),
        "hidden": reading.hidden,
        "hidden_until": _time(reading.hidden_until) if reading.hidden_until else None,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
