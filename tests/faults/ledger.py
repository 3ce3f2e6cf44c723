"""Who sent what: what was lost, what was sent twice, and why."""

from __future__ import annotations

import enum
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.endpoint import Answer, Endpoint, Operation, Request

Errand = tuple[str, str, str]
"""Something that an event should cause: its key, the trigger and the job."""


class Why(enum.Enum):
    """What explains that something was sent twice."""

    REPLY = "R"
    """The queue took it, and the function never heard."""
    END = "E"
    """The process of the function ended after it was sent."""
    INSTANCE = "I"
    """Its delivery failed, and came again to another instance, which knew nothing of it."""
    NOTE = "N"
    """So too, and the claims table had not taken the note of what was sent, or not given it."""
    NOTHING = "?"
    """Nothing does: a defect."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A message that a queue has taken."""

    text: str
    key: str
    number: int
    """How many were taken before."""
    is_parked: bool
    invocation: int
    instance: int


@dataclass(slots=True)
class Invocation:
    """An invocation of the function."""

    instance: int
    gives_parked_back: bool
    failed: frozenset[str] = frozenset()
    """Keys of the events whose deliveries failed."""
    has_ended: bool = False
    is_unnoted: bool = False
    """Whether the claims table did not answer, or not in time."""


@dataclass(frozen=True, slots=True)
class Account:
    """What came of all events."""

    lost: int
    doubles: Counter[Why]
    parked: int


@dataclass
class Ledger:
    """Keeps account of what was sent, and by which invocation.

    Args:
        shares_claims: Whether the instances share what they know by the claims table.
    """

    shares_claims: bool
    invocations: list[Invocation] = field(default_factory=list)
    copies: dict[Errand, list[Copy]] = field(default_factory=lambda: defaultdict(list))
    unanswered: set[str] = field(default_factory=set)
    """Texts of messages in calls to which the function got no answer."""
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def invocation(self) -> Invocation:
        """The invocation under way."""
        return self.invocations[-1]

    def note_taken(self, take: Operation) -> Operation:
        """Wrap the operation by which queues take messages, to see what they take."""

        def taking(endpoint: Endpoint, request: Request) -> Answer:
            answer = take(endpoint, request)
            texts = {entry["Id"]: entry["MessageBody"] for entry in request["Entries"]}
            for taken in answer.get("Successful", ()):
                self._note(texts[taken["Id"]])
            return answer

        return taking

    def note_unanswered(self, request: Request) -> None:
        """Note that the function got no answer to a call."""
        self.unanswered.update(entry["MessageBody"] for entry in request.get("Entries", ()))

    def _note(self, text: str) -> None:
        message = json.loads(text)
        parked = message.get("parked")
        if parked:
            key, trigger_id = key_of(message["event"]), parked["trigger_id"]
            # What the message stands for: given back, it runs all jobs but those done.
            job_ids = [each["job_id"] for each in parked["reasons"]]
            assert len(set(job_ids)) == len(job_ids) > 0, parked
            assert not set(job_ids) & set(parked["done"]), parked
        else:
            known = message["parameters"]
            key, trigger_id, job_ids = known["key"], known["trigger"], [message["job_id"]]
        number = next(self._numbers)
        now = len(self.invocations) - 1
        copy = Copy(text, key, number, parked is not None, now, self.invocation.instance)
        for job_id in job_ids:
            self.copies[key, trigger_id, job_id].append(copy)

    def disordered(self, groups: Iterable[Iterable[str]]) -> int:
        """Count what was first sent or parked before that of an earlier event of the group.

        What was parked has had its turn: a process that ends then has its message come
        again, and it may be dispatched after all.

        Args:
            groups: The keys of each group's events, in their order.
        """
        found = 0
        for group in groups:
            place = {key: number for number, key in enumerate(group)}
            firsts: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
            for (key, *errand), copies in self.copies.items():
                if key in place and copies:
                    number = min(each.number for each in copies)
                    firsts[errand[0], errand[1]].append((number, place[key]))
            for sent_at in firsts.values():
                order = [place for _, place in sorted(sent_at)]
                found += sum(before > after for before, after in pairwise(order))
        return found

    def account(self, errands: Iterable[Errand]) -> Account:
        """Draw up the account, at the end.

        Args:
            errands: All that the events should have caused.
        """
        lost, parked, doubles = 0, 0, Counter[Why]()
        for errand in errands:
            copies = self.copies.pop(errand, [])
            # What was parked stands for its dispatch, until it is given back and
            # causes that: two steps, each of which should happen once.
            kept = [each for each in copies if each.is_parked]
            first: list[Copy] = []
            then: list[Copy] = []
            for each in copies:
                again = self.invocations[each.invocation].gives_parked_back
                (then if again else first).append(each)
            parked += len(kept)
            lost += len(copies) == len(kept)
            self._explain(first, 1, doubles)
            self._explain(then, len(kept), doubles)
        assert not self.copies, f"sent, and caused by nothing: {self.copies}"
        return Account(lost, doubles, parked)

    def _explain(self, copies: list[Copy], due: int, doubles: Counter[Why]) -> None:
        """Count the copies that are more than were due, by what explains them."""
        # Of each copy, what excuses it in spite of all before it; Why.NOTHING comes last.
        worst = list(Why).index
        found = [
            sorted((self._why(before, after) for before in copies[:place]), key=worst)
            for place, after in enumerate(copies)
            if place
        ]
        reasons: list[Why] = [each[-1] for each in found if each[-1] is not Why.NOTHING]
        # Where it was parked more than once, each is given back by itself: a copy is then
        # excused by those of its own message, and those of another say nothing of it.
        rest: list[Why] = [
            each[0] if due > 1 else each[-1] for each in found if each[-1] is Why.NOTHING
        ]
        reasons = sorted(reasons, key=worst) + sorted(rest, key=worst)
        more = len(copies) - due
        reasons += [Why.NOTHING] * (more - len(reasons))
        doubles.update(reasons[: max(more, 0)])

    def _why(self, before: Copy, after: Copy) -> Why:
        """Tell what explains that something was sent again."""
        invocation = self.invocations[before.invocation]
        if invocation.has_ended:
            return Why.END
        if before.text in self.unanswered:
            return Why.REPLY
        if before.instance == after.instance or before.key not in invocation.failed:
            return Why.NOTHING
        # The claims table knows nothing of parked messages.
        if not self.shares_claims or invocation.gives_parked_back:
            return Why.INSTANCE
        if invocation.is_unnoted or self.invocations[after.invocation].is_unnoted:
            return Why.NOTE
        # Once all was sent, and the claims table had noted that, the process ended: the
        # event comes again, if as a dead letter then as another delivery, past the TTL.
        between = self.invocations[before.invocation + 1 : after.invocation]
        has_ended = any(each.has_ended and before.key in each.failed for each in between)
        return Why.END if has_ended else Why.NOTHING


def key_of(record: dict[str, Any]) -> str:
    """Give the key in an S3 or EventBridge record; those here need no decoding."""
    found: str = record["s3" if "s3" in record else "detail"]["object"]["key"]
    return found
