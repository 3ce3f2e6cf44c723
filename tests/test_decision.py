"""Decisions: what an S3 event causes, and how that was decided."""

from typing import Any, Final

import pytest

from lava_s3trigger.aws.deadline import MARGIN_SECONDS, UNLIMITED, Deadline, Reserve
from lava_s3trigger.decision import Decision, JobDecision, TriggerDecision, decide
from lava_s3trigger.errors import OutOfTimeError, ServiceError
from lava_s3trigger.jobs import Job
from lava_s3trigger.outcomes import OUTCOMES, Outcome, OutcomeName
from lava_s3trigger.parking import RedriveTarget
from lava_s3trigger.triggers import BrokenTrigger, Trigger
from tests.build import Jobs, Triggers, s3_event, trigger
from tests.decisions import Ended, dispatched, dispatches, ended
from tests.tables import cases

pytestmark = pytest.mark.usefixtures("ample_time")

KEY: Final = "in/orders/1.csv"
EVENT: Final = s3_event(KEY)
JOBS: Final = Jobs(
    load=Job("load", "core", enabled=True),
    report=Job("report", "web", enabled=True),
    off=Job("off", "core", enabled=False),
    away=ServiceError("reading lava.demo.jobs: no answer"),
    late=OutOfTimeError("too little time left for reading lava.demo.jobs"),
)


def decided(*triggers: Trigger | BrokenTrigger, redrive: RedriveTarget | None = None) -> Decision:
    """Decide on an event."""
    return decide(EVENT, Triggers(*triggers), JOBS, redrive=redrive)


def counts(decision: Decision) -> tuple[int, int, int, int]:
    """Return the numbers of dispatches, skips, user errors and failures."""
    skipped, errors, failed = (
        len(ended(decision, each)) for each in ("skipped", "user_error", "failed")
    )
    return len(dispatched(decision)), skipped, errors, failed


def deadline_with(*left: float) -> Deadline:
    """Return a deadline that has so many seconds left each time it is asked; then, the last."""
    times = [300.0, *left]
    return Deadline(lambda: times.pop(0) if len(times) > 1 else times[0])


def test_every_job_of_every_matching_trigger_is_dispatched() -> None:
    rendered = ["{{ key.split('/')[1][:0] }}load", "{{ 're' + 'port' }}", "load"]
    decision = decided(trigger("a"), trigger("b", job_id=rendered), trigger("c"))
    of_b = [("b", 0, "load"), ("b", 1, "report"), ("b", 2, "load")]
    assert dispatched(decision) == [("a", 0, "load"), *of_b, ("c", 0, "load")]
    workers = [each.worker for each in dispatches(decision)]
    assert workers == ["core", "core", "web", "core", "core"]


def test_triggers_are_looked_up_by_bucket_and_key_and_deciding_changes_nothing() -> None:
    triggers = Triggers(trigger(parameters={"k": "{{ key }}"}), trigger("u", job_id="none"))
    assert decide(EVENT, triggers, JOBS) == decide(EVENT, triggers, JOBS)
    assert triggers.asked == [("my-bucket", KEY)] * 2


HIDES: Final = "the trigger is disabled; it hides entries at prefixes above 'in'"
ZERO: Final = {"a": "{{ 1 / 0 }}"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"enabled": False, "unknown": 1, "job_id": "none"}, HIDES),
        ({"prefix": "*", "enabled": False}, "the trigger is disabled"),
        ({"if_not_fnmatch": ["*.csv"]}, "not met: if_not_fnmatch ['*.csv']"),
        ({"if_size_gt": 1082, "job_id": "none"}, "not met: if_size_gt 1082"),
        ({"if_size_gt": 1, "if_fnmatch": "*.zip"}, "not met: if_fnmatch '*.zip'"),
        ({"if_size_gt": 9e9, "if_fnmatch": "x"}, "not met: if_size_gt 9000000000, if_fnmatch 'x'"),
        ({"if_fnmatch": "*.zip", "parameters": ZERO}, "not met: if_fnmatch '*.zip'"),
    ],
)
def test_a_skipped_trigger_has_a_reason_and_is_neither_checked_nor_rendered(
    fields: dict[str, Any], reason: str
) -> None:
    decision = decided(trigger(**fields))
    (skip,) = ended(decision, "skipped")
    assert (skip.reason, skip.trigger_id) == (reason, "t")
    assert counts(decision) == (0, 1, 0, 0)


def test_each_job_has_its_own_outcome() -> None:
    decision = decided(
        trigger("a", job_id=["load", "none", "off", "away", "late", "load"]),
        trigger("b", enabled=False),
        trigger("c", unknown=1),
    )
    assert counts(decision) == (2, 2, 2, 2)
    reading = "reading lava.demo.jobs"
    assert [
        (each.position, each.job_id, each.outcome, each.kind, each.reason)
        for each in decision.triggers[0].jobs
    ] == [
        (0, "load", "dispatched", None, None),
        (1, "none", "user_error", "no_such_job", "no job 'none'"),
        (2, "off", "skipped", "job_disabled", "the job is disabled"),
        (3, "away", "failed", "aws_error", f"{reading}: no answer"),
        (4, "late", "failed", "out_of_time", f"too little time left for {reading}"),
        (5, "load", "dispatched", None, None),
    ]


@cases(
    ("left", "number"),
    {
        "no time": ([1.0], 0),
        "just enough": ([Reserve.DECIDE + MARGIN_SECONDS], 2),
        "too little": ([Reserve.DECIDE + MARGIN_SECONDS - 0.1], 0),
        "time for one": ([300.0, 1.0], 1),
    },
)
def test_time_is_reserved_for_each_trigger_to_render_send_and_park(
    left: list[float], number: int
) -> None:
    triggers = Triggers(trigger("a"), trigger("b"))
    decision = decide(EVENT, triggers, JOBS, deadline_with(*left))
    assert dispatched(decision) == [("a", 0, "load"), ("b", 0, "load")][:number]
    late = "too little time left for deciding"
    assert ended(decision, "failed") == [
        Ended(each, None, None, "out_of_time", late) for each in "ab"[number:]
    ]


def test_an_event_that_nothing_matches_needs_no_time() -> None:
    assert decide(EVENT, Triggers(), JOBS, deadline_with(1.0)).outcome == "skipped"
    assert counts(decide(EVENT, Triggers(trigger()), JOBS, UNLIMITED)) == (1, 0, 0, 0)


def test_a_decision_records_every_condition_and_whether_it_holds() -> None:
    tested = {"if_size_gt": "1MB", "if_fnmatch": "*.csv", "if_not_event_type": "*:Put"}
    found, none = decided(trigger(**tested), trigger("u")).triggers
    assert {each.condition.field: each.condition.argument for each in found.conditions} == tested
    holding = [each.condition.field for each in found.conditions if each.holds]
    assert (holding, none.conditions) == (["if_fnmatch"], [])


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], "skipped"),
        *((OUTCOMES[n:], OUTCOMES[n]) for n in range(len(OUTCOMES))),
        *((OUTCOMES[n:][::-1], OUTCOMES[n]) for n in range(len(OUTCOMES))),
    ],
    ids=str,
)
def test_the_first_of_outcomes_stands_for_all(
    outcomes: list[OutcomeName], expected: OutcomeName
) -> None:
    jobs = [JobDecision("j", n, ended=Outcome(each)) for n, each in enumerate(outcomes)]
    triggers = [TriggerDecision("t", "in", jobs=[job]) for job in jobs]
    assert TriggerDecision("t", "in", jobs=jobs).outcome == expected
    assert Decision(EVENT, triggers=triggers).outcome == expected
    assert OUTCOMES == ("dispatched", "user_error", "failed", "skipped", "parked")


def test_the_end_of_a_trigger_or_a_failed_lookup_counts_before_jobs() -> None:
    trigger = TriggerDecision("t", "in", jobs=[JobDecision("j", 0)])
    decision = Decision(EVENT, triggers=[trigger], ended=Outcome("failed"))
    assert decision.outcome == "failed"
    trigger.end("failed", "aws_error", "no answer")
    assert trigger.outcome == "failed"
