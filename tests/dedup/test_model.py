"""The protocol of claims, checked as a model: docs/duplicates.md.

Every interleaving of some instances, the deliveries of like events, and faults at any
step is explored, one atomic step at a time. What is written to the table is written by
the real methods of `ClaimTable`; around them, an instance takes the steps that the handler
takes: receive, claim, send each dispatch, confirm or release, acknowledge.

A larger bound, and the numbers of states:

    LAVA_MODEL_FAULTS=3 pytest tests/dedup/test_model.py --log-cli-level=info
"""

from __future__ import annotations

import logging
import os
import uuid
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import pytest

from lava_s3trigger.dedup.protocol import Claim, Verdict
from lava_s3trigger.dedup.table import ClaimTable
from lava_s3trigger.sent import SentRecord
from tests.aws_in_memory import RESET, Aws, Keys, Table
from tests.tables import cases

LOGGER: Final = logging.getLogger(__name__)

DISPATCHES: Final = 2
ALL: Final = 2**DISPATCHES - 1
"""Dispatches that an event causes, as a set of bits."""
INSTANCES: Final = 3


class Held(NamedTuple):
    """What the table holds of the event: its item, with time as it stands to now."""

    state: str
    owner: int
    lasts: int
    """Whether what it says holds: no longer, for a lease or TTL yet, or for good."""
    sets: tuple[tuple[str, ...], ...]
    """The attributes that are sets, such as ``sent``, each its name and what is in it."""


OVER, RUNS_OUT, FOR_GOOD = range(3)


class Instance(NamedTuple):
    """The step that an instance has reached."""

    phase: str
    delivery: int = -1
    is_claimed: bool = False
    """Whether the table gave it the event; else the table did not answer."""
    is_last: bool = False
    """Whether the item bears the token of its claim."""
    is_leased: bool = False
    known: int = 0
    """What its claim told it was sent before."""
    sent: int = 0
    failed: int = 0


IDLE: Final = Instance("idle")


class State(NamedTuple):
    """The whole state between two steps."""

    item: Held | None
    instances: tuple[Instance, ...]
    """Sorted: which of them does a thing is all the same."""
    acknowledged: tuple[bool, ...]
    """Of each delivery."""
    is_new: tuple[bool, ...]
    """Whether a delivery has not had an answer of the table yet."""
    counts: tuple[int, ...]
    """How often each dispatch was sent: never, once, more often."""
    faults: int
    """How many more may befall them."""
    excuse: int
    """What may have led to a repetition by now."""


NONE, MENDED, LOSS = range(3)
"""Excuses: nothing happened; something did that the protocol mends; or it cannot know."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of an exploration."""

    deliveries: int
    copies: int
    """Instances that may have the same delivery at once."""
    faults: int
    counts_from_first_claim: bool = False
    """Whether a delivery that first asks within the TTL is a duplicate whenever it comes
    again; else, where it comes again after the TTL, it is none."""


class Shared:
    """The table, by way of the real `ClaimTable`: from an item to the item after a write."""

    NOW, TTL, LEASE = 1e9, 30.0, 60.0
    MINE, ANOTHERS = "token of the instance", "token of another"

    def __init__(self, kind: type[ClaimTable]) -> None:
        self._kind = kind
        # What a write does depends on these alone, so each is done once.
        self.claim = cache(self._claim)
        self.settle = cache(self._settle)
        self.unanswered = cache(self._unanswered)

    def _claim(
        self, item: Held | None, owner: int, *, is_last: bool
    ) -> tuple[Held | None, Verdict, int]:
        aws = self._aws(item, is_last=is_last)
        # A call that is tried again has the token that it had the first time.
        with patch.object(uuid, "uuid4", lambda: self.MINE):
            claim = self._claims(aws).claim("event", "AB"[owner], self.LEASE)
        return self._held(aws), claim.verdict, _bits(claim.sent)

    def _unanswered(self) -> Verdict:
        aws = Aws()
        aws.fail({("UpdateItem", None): RESET})
        return self._claims(aws).claim("event", "A", self.LEASE).verdict

    def _settle(
        self, item: Held | None, known: int, sent: int, *, is_last: bool, is_done: bool
    ) -> Held | None:
        aws = self._aws(item, is_last=is_last)
        claim = Claim("event", Verdict.WORK, self.MINE, _record(known))
        if is_done:
            self._claims(aws).confirm(claim)
        else:
            self._claims(aws).release(claim, _record(known | sent))
        return self._held(aws)

    def _claims(self, aws: Aws) -> ClaimTable:
        return self._kind(aws.client, "claims", self.TTL, lambda: self.NOW)

    def _aws(self, item: Held | None, *, is_last: bool) -> Aws:
        aws = Aws()
        table = aws.tables["claims"] = Table(Keys("id"))
        if item:
            lasts = (0, self.TTL if item.state == "done" else self.LEASE, self.NOW)[item.lasts]
            real: dict[str, Any] = {
                "id": {"S": "event"},
                "state": {"S": item.state},
                "owner": {"S": "AB"[item.owner]},
                "token": {"S": self.MINE if is_last else self.ANOTHERS},
                "until": {"N": repr(self.NOW + lasts)},
                "expires": {"N": repr(self.NOW + 24 * 3600)},
            }
            table.put_item(real | {name: {"SS": members} for name, *members in item.sets})
        return aws

    def _held(self, aws: Aws) -> Held | None:
        for item in aws.tables["claims"].items.values():
            left = float(item["until"]["N"]) - self.NOW
            return Held(
                state=item["state"]["S"],
                owner="AB".index(item["owner"]["S"]),
                lasts=OVER if left <= 0 else RUNS_OUT if left <= self.LEASE else FOR_GOOD,
                sets=tuple(
                    (name, *sorted(value["SS"]))
                    for name, value in sorted(item.items())
                    if "SS" in value
                ),
            )
        return None


def _record(bits: int) -> SentRecord:
    jobs = {("t", f"job-{n}"): 1 for n in range(DISPATCHES) if bits >> n & 1}
    return SentRecord(jobs=Counter(jobs))


def _bits(record: SentRecord) -> int:
    return sum(1 << int(job_id.removeprefix("job-")) for _, job_id in record.jobs)


class Model:
    """The steps that are possible from a state, with `ClaimTable` or a mutant of it."""

    def __init__(self, bounds: Bounds, kind: type[ClaimTable] = ClaimTable) -> None:
        self._bounds = bounds
        self._table = Shared(kind)
        self.start = State(
            item=None,
            instances=(IDLE,) * INSTANCES,
            acknowledged=(False,) * bounds.deliveries,
            is_new=(bounds.counts_from_first_claim,) * bounds.deliveries,
            counts=(0,) * DISPATCHES,
            faults=bounds.faults,
            excuse=NONE,
        )

    def is_end(self, state: State) -> bool:
        """Return whether all is done: nothing is delivered any more."""
        return all(state.acknowledged) and state.instances[0] == state.instances[-1] == IDLE

    def broken(self, state: State) -> str | None:
        """Name a property that does not hold in a state."""
        if sum(each.is_leased for each in state.instances) > 1:
            return "two instances have a claim in force"
        if any(state.acknowledged) and 0 in state.counts:
            return "a delivery was acknowledged before everything was sent"
        if state.excuse != LOSS and max(state.counts) > 1:
            if state.excuse == NONE:
                return "something was sent twice though nothing happened"
            return "something was sent twice though nothing was lost"
        return None

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Return all steps that may be taken from a state, each with what it is called."""
        yield from self._time_passes(state)
        before = None
        for place, one in enumerate(state.instances):
            if one != before:  # what two of them do that are at the same, is the same
                yield from getattr(self, f"_{one.phase}")(state, place, one)
                if one.phase != "idle" and state.faults:
                    excuse = LOSS if one.phase in ("claiming", "working") and one.sent else MENDED
                    yield "crash", _after(state, place, IDLE, faults=1, excuse=excuse)
            before = one

    def _time_passes(self, state: State) -> Iterator[tuple[str, State]]:
        item = state.item
        if item is None:
            return
        if item.lasts == RUNS_OUT and item.state == "done":
            yield "the TTL runs out", _aged(state, item._replace(lasts=OVER), 0, self._late(state))
        elif item.lasts == RUNS_OUT:
            # Of one that is at work it does so where clocks disagree, or time was frozen.
            if not any(each.is_leased for each in state.instances):
                yield "a lease runs out", _aged(state, item._replace(lasts=OVER), 0, MENDED)
            elif state.faults:
                over = _aged(state, item._replace(lasts=OVER), 1, LOSS)
                yield "the lease of one at work runs out", over
        elif item.lasts == OVER and state.instances[0] == state.instances[-1] == IDLE:
            yield "a day passes", _aged(state, None, 0, LOSS)

    def _late(self, state: State) -> int:
        """Tell what the end of the TTL excuses: nothing where no other delivery is to come."""
        if self._bounds.counts_from_first_claim:
            return LOSS if any(state.is_new) else NONE
        return LOSS if self._bounds.deliveries > 1 else MENDED

    def _idle(self, state: State, place: int, _: Instance) -> Iterator[tuple[str, State]]:
        for delivery, is_done in enumerate(state.acknowledged):
            copies = sum(each.delivery == delivery for each in state.instances)
            if not is_done and copies < self._bounds.copies:
                yield "receive", _after(state, place, Instance("received", delivery))

    def _claiming(self, state: State, place: int, one: Instance) -> Iterator[tuple[str, State]]:
        is_first = one.phase == "received"
        item, verdict, known = self._table.claim(state.item, one.delivery, is_last=one.is_last)
        is_new = tuple(each and n != one.delivery for n, each in enumerate(state.is_new))
        state = state._replace(is_new=is_new)
        claimed = _claimed(one, verdict, known)
        what = f"claim{'' if is_first else ' again'}: {verdict.name}"
        yield what, _after(state, place, claimed, item)
        if state.faults and is_first:
            again = claimed._replace(phase="claiming", is_claimed=False, known=0)
            lost = _after(state, place, again, item, faults=1, excuse=MENDED)
            yield f"{what}, and its reply is lost", lost
        if state.faults:
            unclaimed = _claimed(one, self._table.unanswered(), 0)
            yield "claim: no answer", _after(state, place, unclaimed, faults=1, excuse=LOSS)

    _received = _claiming

    def _working(self, state: State, place: int, one: Instance) -> Iterator[tuple[str, State]]:
        left = ALL & ~(one.known | one.sent | one.failed)
        if not left:
            yield from self._settling(state, place, one)
            return
        bit = left & -left
        sent, failed = one._replace(sent=one.sent | bit), one._replace(failed=one.failed | bit)
        yield "send", _sent(_after(state, place, sent), bit)
        if state.faults:
            yield "send: refused", _after(state, place, failed, faults=1, excuse=MENDED)
            lost = _after(state, place, failed, faults=1, excuse=LOSS)
            yield "send, and its reply is lost", _sent(lost, bit)

    def _settling(self, state: State, place: int, one: Instance) -> Iterator[tuple[str, State]]:
        end = Instance("failing" if one.failed else "done", one.delivery)
        if not one.is_claimed:
            yield "nothing to settle", _after(state, place, end)
            return
        what = "release" if one.failed else "confirm"
        flags = {"is_last": one.is_last, "is_done": not one.failed}
        item = self._table.settle(state.item, one.known, one.sent, **flags)
        is_first = one.phase == "working"
        yield what if is_first else f"{what} again", _after(state, place, end, item)
        if state.faults and is_first:
            again = one._replace(phase="settling", is_leased=False)
            lost = _after(state, place, again, item, faults=1, excuse=MENDED)
            yield f"{what}, and its reply is lost", lost
            yield f"{what}: not done", _after(state, place, end, faults=1, excuse=LOSS)

    def _done(self, state: State, place: int, one: Instance) -> Iterator[tuple[str, State]]:
        done = tuple(is_done or n == one.delivery for n, is_done in enumerate(state.acknowledged))
        yield "acknowledge", _after(state, place, IDLE)._replace(acknowledged=done)
        if state.faults:
            lost = _after(state, place, IDLE, faults=1, excuse=MENDED)
            yield "acknowledge: not done", lost

    def _failing(self, state: State, place: int, _: Instance) -> Iterator[tuple[str, State]]:
        yield "give back", _after(state, place, IDLE)


_SAME: Final = Held("as it is", -1, -1, ())


def _after(
    state: State,
    place: int,
    one: Instance,
    item: Held | None = _SAME,
    *,
    faults: int = 0,
    excuse: int = NONE,
) -> State:
    """Return the state after a step of an instance."""
    instances = list(state.instances)
    if one.is_last and not instances[place].is_last:  # it claimed: the token is its own now
        instances = [each._replace(is_last=False) if each.is_last else each for each in instances]
    instances[place] = one
    instances.sort()
    return State(
        item=state.item if item is _SAME else item,
        instances=tuple(instances),
        acknowledged=state.acknowledged,
        is_new=state.is_new,
        counts=state.counts,
        faults=state.faults - faults,
        excuse=max(state.excuse, excuse),
    )


def _aged(state: State, item: Held | None, faults: int, excuse: int) -> State:
    instances = sorted(
        each._replace(is_leased=False) if each.is_last else each for each in state.instances
    )
    return state._replace(
        item=item,
        instances=tuple(instances),
        faults=state.faults - faults,
        excuse=max(state.excuse, excuse),
    )


def _claimed(one: Instance, verdict: Verdict, known: int) -> Instance:
    """Return what an instance goes on with after the answer to its claim, as `Duplicates` does."""
    match verdict:
        case Verdict.WORK:
            return Instance(
                "working", one.delivery, is_claimed=True, is_last=True, is_leased=True, known=known
            )
        case Verdict.UNKNOWN:
            return Instance("working", one.delivery)
        case Verdict.DUPLICATE:
            return Instance("done", one.delivery)
        case Verdict.BUSY:
            return Instance("failing", one.delivery)


def _sent(state: State, bit: int) -> State:
    counts = [min(2, n + (bit >> place & 1)) for place, n in enumerate(state.counts)]
    return state._replace(counts=tuple(counts))


def explore(model: Model) -> tuple[int, Counter[str]]:
    """Take every step from every state that can be reached, and return how many there are.

    Raises:
        AssertionError: A property does not hold in a state, or there is no way from one to an
            end. It has the steps that lead there.
    """
    places = {model.start: 0}
    states = [model.start]
    came_from: list[tuple[int, str]] = [(0, "")]
    edges = (array("l"), array("l"))
    steps: Counter[str] = Counter()
    ends = []

    def violation(broken: str, place: int) -> AssertionError:
        found = []
        while place:
            before, step = came_from[place]
            found.append(f"{step}: {_shown(states[place])}")
            place = before
        return AssertionError("\n  ".join([broken, *reversed(found)]))

    for here, state in enumerate(states):  # which grows
        if model.is_end(state):
            ends.append(here)
            continue
        for step, after in model.steps(state):
            steps[step] += 1
            there = places.get(after)
            if there is None:
                there = places[after] = len(states)
                states.append(after)
                came_from.append((here, step))
                if broken := model.broken(after):
                    raise violation(broken, there)
            edges[0].append(here)
            edges[1].append(there)
    stuck = _without_end(len(states), edges, ends)
    if stuck is not None:
        raise violation("an event is never done", stuck)
    LOGGER.info("%d states, %d steps, %d ends", len(states), steps.total(), len(ends))
    return len(states), steps


def _shown(state: State) -> str:
    at = [f"{'AB'[one.delivery]} {one.phase}" for one in state.instances if one.delivery >= 0]
    return f"{state.item}, {', '.join(at)}; sent {state.counts}"


def _without_end(count: int, edges: tuple[array[int], array[int]], ends: list[int]) -> int | None:
    """Return a state from which no end can be reached, the first that was found."""
    ways_back: list[list[int]] = [[] for _ in range(count)]
    for here, there in zip(*edges, strict=True):
        ways_back[there].append(here)
    has_end = bytearray(count)
    waiting = list(ends)
    while waiting:
        place = waiting.pop()
        if not has_end[place]:
            has_end[place] = 1
            waiting += ways_back[place]
    stuck = has_end.find(0)
    return None if stuck < 0 else stuck


FAULTS: Final = int(os.environ.get("LAVA_MODEL_FAULTS", "2"))

VERDICTS: Final = ("WORK", "BUSY", "DUPLICATE")
EVERY_STEP: Final = {
    *("receive", "claim: no answer", "nothing to settle", "give back", "crash"),
    *(f"claim: {verdict}" for verdict in VERDICTS),
    *(f"claim: {verdict}, and its reply is lost" for verdict in VERDICTS),
    *(f"claim again: {verdict}" for verdict in VERDICTS),
    *("send", "send: refused", "send, and its reply is lost"),
    *("confirm", "confirm, and its reply is lost", "confirm again", "confirm: not done"),
    *("release", "release, and its reply is lost", "release again", "release: not done"),
    *("acknowledge", "acknowledge: not done", "a lease runs out", "the TTL runs out"),
    *("the lease of one at work runs out", "a day passes"),
}


@pytest.mark.no_cover  # a million steps through lines that other tests cover
class TestProtocol:
    """At least one dispatch in every case; exactly one if nothing crashes or is lost."""

    @pytest.mark.parametrize(
        ("bounds", "fewest"),
        [
            pytest.param(
                *(Bounds(2, 3, FAULTS), 100_000),
                id="all-together",
                marks=pytest.mark.slow("400,000 steps; the others are in `make test`"),
            ),
            pytest.param(Bounds(2, 1, FAULTS + 1), 15_000, id="each-delivery-in-one-place"),
            pytest.param(Bounds(1, 3, FAULTS + 1), 15_000, id="one-delivery-in-three-places"),
        ],
    )
    def test_the_protocol_holds_for_every_interleaving(self, bounds: Bounds, fewest: int) -> None:
        states, steps = explore(Model(bounds))

        assert states > fewest
        assert steps.keys() == EVERY_STEP

    def test_a_delivery_within_the_ttl_stays_a_duplicate_when_it_returns(self) -> None:
        explore(Model(Bounds(2, 1, 0, counts_from_first_claim=True)))


class IgnoresLeases(ClaimTable):
    """Any delivery takes over any claim."""

    def _write(
        self, key: str, update: str, condition: str, **values: dict[str, Any]
    ) -> dict[str, Any]:
        condition = condition.replace("OR (", "OR NOT #state = :done OR (")
        return super()._write(key, update, condition, **values)


class ForgetsWhatWasSent(ClaimTable):
    """A failed event is released without its dispatches."""

    def release(self, claim: Claim, sent: SentRecord) -> str | None:  # noqa: ARG002
        return super().release(replace(claim, sent=SentRecord()), SentRecord())


class DropsWhatIsBusy(ClaimTable):
    """An event claimed elsewhere counts as done."""

    def claim(self, *args: Any, **kwargs: Any) -> Claim:
        claim = super().claim(*args, **kwargs)
        return replace(claim, verdict=Verdict.DUPLICATE) if claim.verdict is Verdict.BUSY else claim


class ClaimsForGood(ClaimTable):
    """A lease never expires."""

    def claim(self, key: str, owner: str, lease: float, *args: Any) -> Claim:
        return super().claim(key, owner, lease * 1000, *args)


@cases(
    ("kind", "bounds", "broken"),
    {
        "ignores-leases": (IgnoresLeases, Bounds(2, 1, 0), "two instances have a claim in force"),
        "forgets": (ForgetsWhatWasSent, Bounds(1, 1, 1), "sent twice though nothing was lost"),
        "drops-busy": (DropsWhatIsBusy, Bounds(2, 1, 0), "acknowledged before everything was sent"),
        "claims-for-good": (ClaimsForGood, Bounds(1, 1, 1), "an event is never done"),
    },
)
def test_each_seeded_defect_breaks_a_property(
    kind: type[ClaimTable], bounds: Bounds, broken: str
) -> None:
    explore(Model(bounds))  # without the mistake, all is well

    with pytest.raises(AssertionError, match=broken):
        explore(Model(bounds, kind))
