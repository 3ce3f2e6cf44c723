"""The account of all messages: which were lost, which were sent twice, and why."""

import enum
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

from tests.aws_in_memory import Answer, Endpoint, Operation, Request

from .calls import JOBS

Effect = tuple[str, str, str]
"""A dispatch that an event should cause: the key, the trigger and the job."""


class Why(enum.Enum):
    """Explanations of a second copy."""

    REPLY = "R"
    """The queue took the first copy, and its reply was lost."""
    END = "E"
    """The process of the function ended after it sent the first copy."""
    INSTANCE = "I"
    """The delivery failed and came again to another instance, which did not know."""
    NOTE = "N"
    """The same, and the claims table did not store or return what was sent."""
    NOTHING = "?"
    """None: a defect."""


@dataclass(frozen=True, slots=True)
class Copy:
    text: str
    key: str
    number: int
    """Number of messages accepted before it."""
    is_parked: bool
    invocation: int
    instance: int


@dataclass(slots=True)
class Invocation:
    instance: int
    gives_parked_back: bool
    failed: frozenset[str] = frozenset()
    """Keys of the events whose deliveries failed."""
    has_ended: bool = False
    is_unnoted: bool = False
    """Whether the claims table did not answer in time."""


@dataclass(frozen=True, slots=True)
class Account:
    lost: int
    doubles: Counter[Why]
    parked: int


@dataclass
class Ledger:
    """Records the messages that queues accept, by invocation."""

    shares_claims: bool
    """Whether the instances share the claims table."""
    invocations: list[Invocation] = field(default_factory=list)
    copies: dict[Effect, list[Copy]] = field(default_factory=lambda: defaultdict(list))
    unanswered: set[str] = field(default_factory=set)
    """Texts of the messages in calls that got no answer."""
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def invocation(self) -> Invocation:
        return self.invocations[-1]

    def note_taken(self, take: Operation) -> Operation:
        """Wrap the operation that sends messages, to record what queues accept."""

        def taking(endpoint: Endpoint, request: Request) -> Answer:
            answer = take(endpoint, request)
            taken = {each["Id"] for each in answer.get("Successful", ())}
            for entry in request["Entries"]:
                if entry["Id"] in taken:
                    self._note(entry["MessageBody"])
            return answer

        return taking

    def note_unanswered(self, request: Request) -> None:
        self.unanswered.update(entry["MessageBody"] for entry in request.get("Entries", ()))

    def _note(self, text: str) -> None:
        message = json.loads(text)
        parked = message.get("parked")
        if parked:
            key, trigger_id, job_ids = key_of(message["event"]), parked["trigger_id"], _owed(parked)
        else:
            known = message["parameters"]
            key, trigger_id, job_ids = known["key"], known["trigger"], [message["job_id"]]
        number = next(self._numbers)
        now = len(self.invocations) - 1
        copy = Copy(text, key, number, parked is not None, now, self.invocation.instance)
        for job_id in job_ids:
            self.copies[key, trigger_id, job_id].append(copy)

    def disordered(self, groups: Iterable[Iterable[str]]) -> int:
        """Count effects that were first sent or parked before an earlier event's of their group.

        A parked effect counts as sent: where the process ends afterwards, the message
        comes again and may be dispatched after all.
        """
        found = 0
        for group in groups:
            place = {key: number for number, key in enumerate(group)}
            firsts: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
            for (key, *effect), copies in self.copies.items():
                if key in place and copies:
                    number = min(each.number for each in copies)
                    firsts[effect[0], effect[1]].append((number, place[key]))
            for sent_at in firsts.values():
                order = [place for _, place in sorted(sent_at)]
                found += sum(before > after for before, after in pairwise(order))
        return found

    def account(self, effects: Iterable[Effect]) -> Account:
        """Return the totals at the end, of all effects that the events should have had."""
        lost, parked, doubles = 0, 0, Counter[Why]()
        for effect in effects:
            copies = self.copies.pop(effect, [])
            # A parked message stands for the dispatch, until it is redriven and causes
            # that: two steps, each of which should happen once.
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
        assert not self.copies, f"sent without a cause: {self.copies}"
        return Account(lost, doubles, parked)

    def _explain(self, copies: list[Copy], due: int, doubles: Counter[Why]) -> None:
        """Count the copies beyond those due, by their explanations."""
        # For each copy its explanations against all copies before; Why.NOTHING sorts last.
        worst = list(Why).index
        found = [
            sorted((self._why(before, after) for before in copies[:place]), key=worst)
            for place, after in enumerate(copies)
            if place
        ]
        # Each parked message is redriven by itself: where there are several, only copies
        # of the same message need an explanation, so the best one counts.
        least = 0 if due > 1 else -1
        reasons: list[Why] = []
        reasons += sorted((each[-1] for each in found if each[-1] is not Why.NOTHING), key=worst)
        reasons += sorted((each[least] for each in found if each[-1] is Why.NOTHING), key=worst)
        more = len(copies) - due
        reasons += [Why.NOTHING] * (more - len(reasons))
        doubles.update(reasons[: max(more, 0)])

    def _why(self, before: Copy, after: Copy) -> Why:
        """Return the explanation of a second copy."""
        invocation = self.invocations[before.invocation]
        if invocation.has_ended:
            return Why.END
        if before.text in self.unanswered:
            return Why.REPLY
        if before.instance == after.instance or before.key not in invocation.failed:
            return Why.NOTHING
        if not self.shares_claims:
            return Why.INSTANCE
        if invocation.is_unnoted or self.invocations[after.invocation].is_unnoted:
            return Why.NOTE
        # The process ended after everything was sent and confirmed. The event comes again,
        # as a dead letter even as another delivery, after the TTL.
        between = self.invocations[before.invocation + 1 : after.invocation]
        has_ended = any(each.has_ended and before.key in each.failed for each in between)
        return Why.END if has_ended else Why.NOTHING


def _owed(parked: dict[str, Any]) -> list[str]:
    """Return the ids of the jobs that a parked message stands for."""
    if "job_id" in parked:
        return [parked["job_id"]]
    left = Counter(JOBS[parked["trigger_id"]][1]) - Counter(parked.get("done", ()))
    return list(left.elements())


def key_of(record: dict[str, Any]) -> str:
    """Return the key in an S3 or EventBridge record; the keys here need no decoding."""
    found: str = record["s3" if "s3" in record else "detail"]["object"]["key"]
    return found
