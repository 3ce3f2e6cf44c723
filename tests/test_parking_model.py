"""Parking and redriving, checked as a model: docs/design.md#parking.

A trigger with three jobs is carried out, edited, parked and redriven, in every order of
outcomes that two rounds can have, and in random longer ones. The real function runs, on
tables and queues in memory.
"""

import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings
from tests.aws_in_memory import DENIED, Aws, Call, Fault, Item
from tests.build import direct, item, job_entry, message, record, trigger_entry
from tests.examples import examples

pytestmark = pytest.mark.usefixtures("ample_time")

PARKED: Final = "parked"
INTAKE: Final = "intake"
JOBS: Final = "abc"
"""The jobs of trigger t; each has a worker and a queue of its own."""

OK, AWS_FAILS, NO_JOB, NO_QUEUE = "ok", "aws fails", "no job", "no queue"
OUTCOMES: Final = (OK, AWS_FAILS, NO_JOB, NO_QUEUE)


@dataclass(frozen=True)
class Condition:
    """The condition that a realm is in during a round."""

    jobs: tuple[str, ...] = (OK, OK, OK)
    """The outcome of each of the jobs."""
    neighbour: str = OK
    """The outcome of the job of trigger u, which matches the same object."""
    is_entry_broken: bool = False
    is_entry_gone: bool = False
    is_parking_failing: bool = False

    def of(self, job_id: str) -> str:
        """Return the outcome of a job; jobs that an edit added succeed."""
        if job_id == "n":
            return self.neighbour
        return self.jobs[JOBS.index(job_id)] if job_id in JOBS else OK


@cache
def _entry(trigger_id: str, *job_ids: str, is_broken: bool = False) -> Item:
    more: dict[str, Any] = {"unknown": 1} if is_broken else {}
    return item(trigger_entry(trigger_id, "*", job_id=list(job_ids), **more))


@cache
def _job(job_id: str) -> Item:
    return item(job_entry(job_id, job_id))


class Run:
    """An event on its way through a realm in memory; every step checks what must hold."""

    def __init__(self, entry: Sequence[str] = JOBS) -> None:
        self.aws = Aws()
        self.aws.fail(self._fault)
        self.condition = Condition()
        self.entry = entry
        """The job ids of trigger t."""
        self.dispatched: Counter[str] = Counter()
        self.parked: list[str] = []
        """The parked messages."""
        self.waiting: list[tuple[str, Any]] = [(INTAKE, direct(record()))]
        """Queue and body of the messages that are to be delivered."""
        self.last: Counter[str] = Counter()
        """The jobs of t that the entry named when it was last carried out."""
        self.is_taken_over = False
        """Whether t was parked: from then on, the intake's message is about u alone."""
        self.function = self._new_function()

    def _arrange(self) -> None:
        """Put in what the condition and the entry say, and nothing else."""
        there = {job_id: self.condition.of(job_id) for job_id in {*JOBS, "n", *self.entry}}
        self.aws.queues.clear()
        realm = self.aws.realm("m", [job_id for job_id in there if there[job_id] != NO_QUEUE])
        self.aws.add_queue(PARKED)
        realm.triggers.put_item(_entry("u", "n"))
        if not self.condition.is_entry_gone:
            broken = self.condition.is_entry_broken
            realm.triggers.put_item(_entry("t", *self.entry, is_broken=broken))
        for job_id, outcome in there.items():
            if outcome != NO_JOB:
                realm.jobs.put_item(_job(job_id))

    def _receive(self) -> None:
        """Take the messages off all queues."""
        for name, queue in self.aws.queues.items():
            for taken in queue.take():
                if name == PARKED:
                    self.parked.append(taken.text)
                else:
                    self.dispatched[taken.json["job_id"]] += 1

    def _fault(self, call: Call) -> Fault | None:
        if call.operation != "SendMessageBatch":
            return None
        queue = call.request["QueueUrl"].rpartition("/")[2]
        if queue == PARKED:
            return DENIED if self.condition.is_parking_failing else None
        return DENIED if self.condition.of(queue.rpartition("-")[2]) == AWS_FAILS else None

    def _new_function(self) -> Function:
        configured = Settings(
            realm="m", cache_ttl=0, dead_letter_queue=PARKED, log_level=logging.CRITICAL + 1
        )
        return Function(configured, self.aws.client, self.aws.client, sleep=lambda _: None)

    def renew_instance(self) -> None:
        """Start a new instance, if the one before knows nothing that is not in a message."""
        if not self.waiting:
            self.function = self._new_function()

    def redrive(self) -> None:
        """Have all parked messages delivered to the function."""
        self.waiting += [(PARKED, text) for text in self.parked]
        self.parked.clear()

    def deliver(self, condition: Condition) -> None:
        """Deliver each waiting message once."""
        self.condition = condition
        self._arrange()
        for queue, body in [*self.waiting]:
            self._deliver(queue, body)

    def _deliver(self, queue: str, body: Any) -> None:
        before, parked_before = self.dispatched.copy(), len(self.parked)
        try:
            answer = self.function(direct(message("m", body, queue)))
        except DeliveriesFailedError:
            pass
        else:
            assert answer is None
            self.waiting.remove((queue, body))
        self._receive()
        now = Counter(self.entry)
        new = self.dispatched - before
        # Nothing runs more often than the entry lists it.
        assert not new - now - Counter(n=1)
        assert self.dispatched["n"] <= 1
        for job_id in new:
            assert job_id == "n" or self.dispatched[job_id] <= now[job_id]
        is_gone = self.condition.is_entry_gone
        if queue == PARKED and is_gone:
            assert (queue, body) in self.waiting
        elif queue == PARKED or not self.is_taken_over:
            self.last = Counter() if is_gone else now  # nobody wants it of a new event
        self.is_taken_over |= bool(self.parked)
        self._check_parked(queue, body, parked_before, new)
        self._check_nothing_is_lost()

    def _check_parked(self, queue: str, body: Any, parked_before: int, new: Counter[str]) -> None:
        """Check that one message is parked for the event, and that a redrive makes it narrower."""
        added = [json.loads(text)["parked"] for text in self.parked[parked_before:]]
        assert len(added) <= 1
        is_waiting = (queue, body) in self.waiting
        if queue == PARKED and added:
            assert not is_waiting
            assert len(added[0]["done"]) > len(json.loads(body)["parked"]["done"])
        messages = len(self.parked) + sum(each == PARKED for each, _ in self.waiting)
        assert messages <= 1
        for each in added:
            done = Counter(each["done"])
            assert done == self.dispatched - Counter(n=1)
            assert each["reasons"]
            at_fault = Counter(reason.get("job_id") for reason in each["reasons"])
            for job_id, number in at_fault.items():
                # A job is at fault or done, and not more often than the entry lists it.
                assert job_id is None or number + done[job_id] <= self.entry.count(job_id)
        if queue == PARKED and not is_waiting and not added:
            assert new or self._is_complete()

    def _is_complete(self) -> bool:
        return not self.last - self.dispatched

    def _check_nothing_is_lost(self) -> None:
        """Check that each job of the entry ran, or that a message still stands for it."""
        if not (self.waiting or self.parked):
            assert self._is_complete()
            assert self.dispatched["n"] == 1

    def finish(self) -> None:
        """Mend everything, and check that it ends."""
        for _ in range(3):
            self.redrive()
            self.deliver(Condition())
        assert (self.waiting, self.parked, self._is_complete()) == ([], [], True)


EDITS: Final = {
    "none": JOBS,
    "the first removed": "bc",
    "the second removed": "ac",
    "all but the last removed": "c",
    "one added before": "xabc",
    "one added behind": "abcx",
    "the first renamed": "xbc",
    "the last renamed": "abx",
    "all renamed": "xyz",
    "reordered": "cab",
    "the first duplicated": "aabc",
    "the last duplicated": "abcc",
    "all duplicated": "abcabc",
}


def two_rounds(
    first: Condition, edit: str, second: Condition, *, is_new_instance: bool = False
) -> Run:
    """Carry out an event in a condition, edit the entry, and carry out in another condition."""
    run = Run()
    run.deliver(first)
    run.entry = edit
    if is_new_instance:
        run.renew_instance()
    run.redrive()
    run.deliver(second)
    run.finish()
    return run


EVERY_OUTCOME: Final = [*itertools.product(OUTCOMES, repeat=3)]


class TestTwoRounds:
    """Whatever happens in two rounds, every job runs as often as it is listed, and no more."""

    @pytest.mark.parametrize("first", EVERY_OUTCOME, ids=", ".join)
    def test_every_outcome_of_three_jobs(self, first: tuple[str, ...]) -> None:
        for second in EVERY_OUTCOME:
            run = two_rounds(Condition(first), JOBS, Condition(second))
            assert run.dispatched == Counter("abcn")

    @pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
    def test_every_edit_between(self, edit: str) -> None:
        for first in EVERY_OUTCOME:
            for outcome in OUTCOMES:
                second = Condition((outcome, OK, outcome))
                run = two_rounds(Condition(first), edit, second, is_new_instance=outcome == NO_JOB)
                _check_edited(run, first, edit)

    @pytest.mark.parametrize("edit", ["abc", "xbc", "abcc"])
    @pytest.mark.parametrize("neighbours", [*itertools.product((OK, AWS_FAILS), repeat=2)], ids=str)
    @pytest.mark.parametrize("is_failing", [*itertools.product((False, True), repeat=2)], ids=str)
    def test_a_failing_neighbour_and_failing_parking(
        self, edit: str, neighbours: tuple[str, str], is_failing: tuple[bool, bool]
    ) -> None:
        for first in EVERY_OUTCOME:
            for second in (OK, NO_JOB, AWS_FAILS):
                two_rounds(
                    Condition(first, neighbours[0], is_parking_failing=is_failing[0]),
                    edit,
                    Condition((OK, second, OK), neighbours[1], is_parking_failing=is_failing[1]),
                )

    @pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
    @pytest.mark.parametrize(
        "second",
        [Condition(is_entry_broken=True), Condition(is_entry_gone=True)],
        ids=["broken", "gone"],
    )
    def test_a_mistake_of_the_whole_trigger(self, edit: str, second: Condition) -> None:
        for first in EVERY_OUTCOME:
            run = two_rounds(Condition(first), edit, second)
            if second.is_entry_broken:
                _check_edited(run, first, edit)
        run = two_rounds(Condition(is_entry_broken=True), edit, second)
        assert run.dispatched == Counter(edit + "n")


def _check_edited(run: Run, first: tuple[str, ...], edit: str) -> None:
    """Check that a job ran as often as any version of the entry listed it, where it could."""
    ran = Counter(job for job, outcome in zip(JOBS, first, strict=True) if outcome == OK)
    is_done = ran == Counter(JOBS)
    assert run.dispatched == (ran if is_done else ran | Counter(edit)) + Counter(n=1)


outcomes = st.sampled_from(OUTCOMES)
conditions = st.builds(
    Condition,
    jobs=st.tuples(outcomes, outcomes, outcomes),
    neighbour=st.sampled_from([OK, OK, AWS_FAILS]),
    is_entry_broken=st.sampled_from([False, False, False, True]),
    is_entry_gone=st.sampled_from([False, False, False, True]),
    is_parking_failing=st.sampled_from([False, False, True]),
)
entries = st.text("abcxy", min_size=1, max_size=5)
steps = st.lists(conditions | entries | st.sampled_from(["redrive", "new instance"]), max_size=12)


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entry=entries, first=conditions, rest=steps)
def test_any_order(entry: str, first: Condition, rest: Iterable[Any]) -> None:
    run = Run(entry)
    run.deliver(first)
    for step in rest:
        match step:
            case Condition():
                run.deliver(step)
            case "redrive":
                run.redrive()
            case "new instance":
                run.renew_instance()
            case _:
                run.entry = step
    event("parked" if run.parked else "waiting" if run.waiting else "done")
    run.finish()
