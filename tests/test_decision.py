"""Decisions: what an S3 event causes, and how that was decided."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Final

import pytest
from dateutil.tz import tzutc

from lava_s3trigger.aws.deadline import MARGIN_SECONDS, UNLIMITED, Deadline, Reserve
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.decision import Decision, JobDecision, TriggerDecision, decide
from lava_s3trigger.errors import OutOfTimeError, ServiceError, UserError
from lava_s3trigger.events import S3Event
from lava_s3trigger.jobs import Job
from lava_s3trigger.outcomes import OUTCOMES, Outcome, OutcomeName
from lava_s3trigger.parking import RedriveTarget
from lava_s3trigger.triggers import BrokenTrigger, Trigger, Walk, read_trigger
from tests.decisions import Ended, dispatched, dispatches, ended

if TYPE_CHECKING:
    from lava_s3trigger.errors import S3TriggerError

KEY: Final = "in/orders/1.csv"


def event(**fields: Any) -> S3Event:
    """Return the event of an object that was put; fields replace its own."""
    some: dict[str, Any] = {
        "bucket": "my-bucket",
        "key": KEY,
        "size": 1082,
        "event_time": datetime(2026, 3, 14, 1, 59, 26, tzinfo=tzutc()),
        "event_type": "ObjectCreated:Put",
        "source_ip": IPv4Address("203.0.113.7"),
        "aws_region": "ap-southeast-2",
        "record": {"eventVersion": "2.1"},
    }
    return S3Event(**some | fields)


def trigger(trigger_id: str = "t", **fields: Any) -> Trigger | BrokenTrigger:
    """Return the trigger of an entry of the table; fields replace its own."""
    entry = {
        "trigger_id": trigger_id,
        "bucket": "my-bucket",
        "prefix": "in",
        "enabled": True,
        "job_id": "load",
        **fields,
    }
    return read_trigger({name: attribute_of(value) for name, value in entry.items()})


class Triggers:
    """Triggers that match every object, or what looking them up raises."""

    def __init__(self, *triggers: Trigger | BrokenTrigger, error: Exception | None = None) -> None:
        self._triggers = triggers
        self._error = error
        self.asked: list[tuple[str, str]] = []

    def matching(self, bucket: str, key: str) -> Walk:
        self.asked.append((bucket, key))
        if self._error:
            raise self._error
        return Walk((key, "in/orders", "in"), self._triggers)


class Jobs(dict[str, "Job | S3TriggerError"]):
    """Jobs by id, or what looking one up raises."""

    def __getitem__(self, job_id: str) -> Job:
        found = self.get(job_id, UserError(f"no job {job_id!r}", "no_such_job"))
        if isinstance(found, Job):
            return found
        raise found


JOBS: Final = Jobs(
    load=Job("load", "core", enabled=True),
    report=Job("report", "web", enabled=True),
    off=Job("off", "core", enabled=False),
    away=ServiceError("reading lava.demo.jobs: no answer"),
    late=OutOfTimeError("too little time left for reading lava.demo.jobs"),
)


def decided(
    *triggers: Trigger | BrokenTrigger, redrive: RedriveTarget | None = None, **fields: Any
) -> Decision:
    """Decide on an event."""
    return decide(event(**fields), Triggers(*triggers), JOBS, redrive=redrive)


def counts(decision: Decision) -> tuple[int, int, int, int]:
    """Return the numbers of dispatches, skips, user errors and failures."""
    skipped, errors, failed = (
        len(ended(decision, each)) for each in ("skipped", "user_error", "failed")
    )
    return len(dispatched(decision)), skipped, errors, failed


class TestDispatches:
    """Each job of each trigger that fires is dispatched."""

    def test_a_dispatch_has_the_fields_of_its_trigger_and_job(self) -> None:
        decision = decided(
            trigger(
                parameters={"args": ["{{ key }}", 1]},
                globals={"{{ bucket }}": "{{ info.size }}"},
                delay="90s",
            )
        )
        (found,) = dispatches(decision)
        assert dispatched(decision) == [("t", 0, "load")]
        assert found.job_id == "load"
        assert (found.worker, found.delay) == ("core", 90)
        assert found.parameters == {"args": [KEY, 1]}
        assert found.globals == {"my-bucket": "1082"}

    def test_fields_that_the_entry_lacks_are_empty(self) -> None:
        decision = decided(trigger())
        (found,) = dispatches(decision)
        assert (found.parameters, found.globals, found.delay) == ({}, {}, 0)
        assert counts(decision) == (1, 0, 0, 0)

    def test_every_matching_trigger_fires(self) -> None:
        decision = decided(trigger("a"), trigger("b", job_id="report"), trigger("c"))
        assert dispatched(decision) == [("a", 0, "load"), ("b", 0, "report"), ("c", 0, "load")]

    def test_every_job_is_dispatched_to_its_worker(self) -> None:
        decision = decided(trigger(job_id=["report", "load"], parameters={"k": "{{ key }}"}))
        assert dispatched(decision) == [("t", 0, "report"), ("t", 1, "load")]
        assert [each.worker for each in dispatches(decision)] == ["web", "core"]
        assert [each.parameters for each in dispatches(decision)] == [{"k": KEY}, {"k": KEY}]

    def test_a_job_that_is_named_twice_is_dispatched_twice(self) -> None:
        decision = decided(trigger(job_id=["load", "report", "load"]))
        assert dispatched(decision) == [("t", 0, "load"), ("t", 1, "report"), ("t", 2, "load")]

    def test_job_ids_are_rendered(self) -> None:
        names = ["{{ key.split('/')[1][:0] }}load", "{{ 're' + 'port' }}"]
        assert dispatched(decided(trigger(job_id=names))) == [("t", 0, "load"), ("t", 1, "report")]

    def test_without_jinja_the_fields_are_sent_as_they_stand(self) -> None:
        (found,) = dispatches(
            decided(trigger(jinja=False, parameters={"{{ key }}": "{%"}, globals={"lava_x": "{{"}))
        )
        assert found.parameters == {"{{ key }}": "{%"}
        assert found.globals == {"lava_x": "{{"}

    def test_templates_see_the_event(self) -> None:
        (found,) = dispatches(
            decided(
                trigger(
                    parameters={
                        "seen": "{{ bucket }} {{ key }} {{ info.event_type }} {{ info.source_ip }}"
                        " {{ info.event_time.isoformat() }} {{ info.aws_region }}",
                        "raw": "{{ event.eventVersion }}",
                        "name": "{{ utils.path.basename(key) }}",
                        "nothing": "{{ unknown }}",
                    }
                )
            )
        )
        assert found.parameters == {
            "seen": f"my-bucket {KEY} ObjectCreated:Put 203.0.113.7"
            " 2026-03-14T01:59:26+00:00 ap-southeast-2",
            "raw": "2.1",
            "name": "1.csv",
            "nothing": "",
        }

    def test_a_key_stays_data_whatever_it_holds(self) -> None:
        key = 'in/"}, "worker": "evil\n\\ \ud800'
        (found,) = dispatches(decided(trigger(parameters={"k": "{{ key }}"}), key=key))
        assert found.parameters == {"k": key}

    def test_triggers_are_looked_up_by_bucket_and_key(self) -> None:
        triggers = Triggers(trigger())
        decide(event(), triggers, JOBS)
        assert triggers.asked == [("my-bucket", KEY)]

    def test_deciding_changes_nothing(self) -> None:
        triggers = Triggers(trigger(parameters={"k": "{{ key }}"}), trigger("u", job_id="none"))
        some = event()
        assert decide(some, triggers, JOBS) == decide(some, triggers, JOBS)


class TestSkips:
    """What is correctly not dispatched has a reason."""

    def test_an_event_without_a_trigger_is_skipped(self) -> None:
        decision = decided()

        assert (decision.triggers, decision.ended) == ([], None)
        assert decision.outcome == "skipped"

    def test_a_disabled_trigger_is_skipped(self) -> None:
        decision = decided(trigger(enabled=False))
        (skip,) = ended(decision, "skipped")
        reason = "the trigger is disabled; it hides entries at prefixes above 'in'"
        assert (skip.reason, skip.trigger_id) == (reason, "t")
        assert counts(decision) == (0, 1, 0, 0)

    def test_a_disabled_trigger_of_the_whole_bucket_hides_none(self) -> None:
        (skip,) = ended(decided(trigger(prefix="*", enabled=False)), "skipped")
        assert skip.reason == "the trigger is disabled"

    def test_a_disabled_job_is_skipped(self) -> None:
        decision = decided(trigger(job_id=["off", "load"]))
        (skip,) = ended(decision, "skipped")
        assert (skip.reason, skip.trigger_id, skip.job_id) == ("the job is disabled", "t", "off")
        assert dispatched(decision) == [("t", 1, "load")]
        assert counts(decision) == (1, 1, 0, 0)

    @pytest.mark.parametrize(
        ("conditions", "named"),
        [
            ({"if_fnmatch": "*.zip"}, "if_fnmatch '*.zip'"),
            ({"if_not_fnmatch": ["*.csv"]}, "if_not_fnmatch ['*.csv']"),
            ({"if_size_gt": 1082}, "if_size_gt 1082"),
            ({"if_not_size_gt": "1KB"}, "if_not_size_gt '1KB'"),
            ({"if_event_type": "ObjectRemoved:*"}, "if_event_type 'ObjectRemoved:*'"),
            ({"if_size_gt": 1, "if_fnmatch": "*.zip"}, "if_fnmatch '*.zip'"),
        ],
        ids=str,
    )
    def test_an_unmet_condition_is_named(self, conditions: dict[str, Any], named: str) -> None:
        decision = decided(trigger(**conditions))
        (skip,) = ended(decision, "skipped")
        assert (skip.reason, skip.trigger_id) == (f"not met: {named}", "t")
        assert counts(decision) == (0, 1, 0, 0)

    def test_every_unmet_condition_is_named(self) -> None:
        (skip,) = ended(decided(trigger(if_size_gt="1MB", if_fnmatch="*.zip")), "skipped")
        assert skip.reason == "not met: if_size_gt '1MB', if_fnmatch '*.zip'"

    def test_met_conditions_let_the_event_pass(self) -> None:
        conditions: dict[str, Any] = {
            "if_fnmatch": ["*.zip", "in/*.csv"],
            "if_not_fnmatch": "*.tmp",
            "if_size_gt": 1081,
            "if_not_size_gt": 1082,
            "if_event_type": "ObjectCreated:*",
            "if_not_event_type": "ObjectRemoved:*",
        }
        assert dispatched(decided(trigger(**conditions))) == [("t", 0, "load")]

    def test_a_trigger_whose_condition_is_not_met_is_not_rendered(self) -> None:
        decision = decided(trigger(if_fnmatch="*.zip", parameters={"a": "{{ 1 / 0 }}"}))
        assert counts(decision) == (0, 1, 0, 0)


class TestUserErrors:
    """A user error concerns its trigger or its job, and no other."""

    GOOD: Final = (trigger("before"), trigger("behind"))
    KEPT: Final = [("before", 0, "load"), ("behind", 0, "load")]

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            pytest.param({"unknown": 1}, "bad entry: unknown field 'unknown'", id="a bad entry"),
            pytest.param({"delay": "16m"}, "bad entry: delay: '16m'", id="a bad value"),
            pytest.param(
                {"parameters": {"a": "{{ 1 / 0 }}"}},
                "parameters: ZeroDivisionError",
                id="parameters",
            ),
            pytest.param(
                {"globals": {"a": "{{ key.x() }}"}}, "globals: UndefinedError", id="globals"
            ),
            pytest.param(
                {"job_id": ["load", "{{ 'a' | nofilter }}"]},
                "job_id: it cannot be compiled",
                id="job_id",
            ),
            pytest.param({"parameters": {"a": "{% if %}"}}, "parameters: it cannot", id="syntax"),
            pytest.param(
                {"globals": {"{{ 'Lava_' + key }}": 1}},
                "globals: it makes a global 'Lava_in",
                id="lava",
            ),
            pytest.param({"parameters": {"a": "{{ 'x' * 10**9 }}"}}, "parameters: ", id="memory"),
        ],
    )
    def test_a_broken_trigger_does_not_affect_others(
        self, fields: dict[str, Any], reason: str
    ) -> None:
        before, behind = self.GOOD
        decision = decided(before, trigger("bad", **fields), behind)
        (error,) = ended(decision, "user_error")
        assert error.reason.startswith(reason)
        assert (error.trigger_id, error.job_id, error.position) == ("bad", None, None)
        assert dispatched(decision) == self.KEPT
        assert counts(decision) == (2, 0, 1, 0)

    def test_an_endless_template_is_aborted(self) -> None:
        before, behind = self.GOOD
        loop = "{% for _ in range(1999) %}"
        endless = loop * 4 + "{% endfor %}" * 4
        decision = decided(before, trigger("bad", parameters={"a": endless}), behind)
        (error,) = ended(decision, "user_error")
        assert error.trigger_id == "bad"
        assert error.reason == "rendering aborted: it took longer than 1 s"
        assert dispatched(decision) == self.KEPT

    def test_a_missing_job_does_not_affect_others(self) -> None:
        decision = decided(*self.GOOD, trigger("t", job_id=["load", "none", "report"]))
        (error,) = ended(decision, "user_error")
        assert error.reason == "no job 'none'"
        assert (error.trigger_id, error.job_id, error.position) == ("t", "none", 1)
        assert dispatched(decision) == [*self.KEPT, ("t", 0, "load"), ("t", 2, "report")]

    def test_a_missing_job_that_is_listed_twice_is_two_user_errors(self) -> None:
        decision = decided(trigger(job_id=["none", "none"]))
        assert [(each.job_id, each.position) for each in ended(decision, "user_error")] == [
            ("none", 0),
            ("none", 1),
        ]

    def test_a_disabled_trigger_is_not_checked(self) -> None:
        decision = decided(trigger(enabled=False, unknown=1, job_id="none"))
        assert counts(decision) == (0, 1, 0, 0)

    def test_jobs_of_a_trigger_whose_condition_is_not_met_are_not_looked_up(self) -> None:
        decision = decided(trigger(if_size_gt="1TB", job_id="none"))
        assert counts(decision) == (0, 1, 0, 0)


class TestFailures:
    """A decision that AWS or the deadline prevented must be made again."""

    @pytest.mark.parametrize(
        "error", [ServiceError("no answer"), OutOfTimeError("too little time")], ids=["aws", "time"]
    )
    def test_a_failed_lookup_of_triggers_is_a_failure(
        self, error: ServiceError | OutOfTimeError
    ) -> None:
        decision = decide(event(), Triggers(error=error), JOBS)

        assert decision.ended == Outcome("failed", error.kind, str(error))
        assert (decision.outcome, decision.triggers) == ("failed", [])

    def test_an_unexpected_error_of_a_lookup(self) -> None:
        decision = decide(event(), Triggers(error=KeyError("Items")), JOBS)

        assert decision.ended
        assert decision.ended.kind == "unexpected"
        assert str(decision.ended.reason).startswith("KeyError: 'Items' (test_decision.py, line ")

    @pytest.mark.parametrize(("job_id", "kind"), [("away", "aws_error"), ("late", "out_of_time")])
    def test_a_failed_lookup_of_a_job_does_not_affect_others(self, job_id: str, kind: str) -> None:
        decision = decided(trigger("a", job_id=["load", job_id, "report"]), trigger("b"))

        reason = str(JOBS.get(job_id))
        assert ended(decision, "failed") == [Ended("a", job_id, 1, kind, reason)]
        assert dispatched(decision) == [("a", 0, "load"), ("a", 2, "report"), ("b", 0, "load")]
        assert counts(decision) == (3, 0, 0, 1)

    def test_each_job_has_its_own_outcome(self) -> None:
        decision = decided(
            trigger("a", job_id=["load", "none", "off", "away"]),
            trigger("b", enabled=False),
            trigger("c", unknown=1),
        )
        assert counts(decision) == (1, 2, 2, 1)

    def test_without_time_every_trigger_fails(self) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        left[0] = 1.0
        decision = decide(event(), Triggers(trigger("a"), trigger("b")), JOBS, deadline)
        assert [each.trigger_id for each in ended(decision, "failed")] == ["a", "b"]
        assert {(each.kind, each.reason) for each in ended(decision, "failed")} == {
            ("out_of_time", "too little time left for deciding")
        }
        assert counts(decision) == (0, 0, 0, 2)

    @pytest.mark.parametrize(
        ("spare", "number"), [(0.0, 1), (-0.1, 0)], ids=["enough", "too little"]
    )
    def test_time_is_reserved_to_render_send_and_park(self, spare: float, number: int) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        left[0] = Reserve.DECIDE + MARGIN_SECONDS + spare
        decision = decide(event(), Triggers(trigger()), JOBS, deadline)
        assert counts(decision) == (number, 0, 0, 1 - number)

    def test_time_can_run_out_between_triggers(self) -> None:
        left = [300.0, 300.0, 1.0]  # at the start, and before each trigger
        deadline = Deadline(lambda: left.pop(0))
        decision = decide(event(), Triggers(trigger("a"), trigger("b")), JOBS, deadline)
        assert dispatched(decision) == [("a", 0, "load")]
        assert [each.trigger_id for each in ended(decision, "failed")] == ["b"]

    def test_an_event_that_nothing_matches_needs_no_time(self) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        left[0] = 1.0
        assert decide(event(), Triggers(), JOBS, deadline).outcome == "skipped"

    def test_with_enough_time_triggers_are_decided(self) -> None:
        deadline = Deadline(lambda: 300.0)
        assert counts(decide(event(), Triggers(trigger()), JOBS, deadline)) == (1, 0, 0, 0)
        assert counts(decide(event(), Triggers(trigger()), JOBS, UNLIMITED)) == (1, 0, 0, 0)


class TestRedrive:
    """A parked message has its trigger alone decided, less the jobs that are done."""

    BOTH: Final = (trigger("t", job_id=["load", "report"]), trigger("u", job_id="load"))

    def test_the_trigger_is_decided_alone(self) -> None:
        decision = decided(*self.BOTH, redrive=RedriveTarget("t"))

        assert dispatched(decision) == [("t", 0, "load"), ("t", 1, "report")]
        assert counts(decision) == (2, 0, 0, 0)

    def test_jobs_that_are_done_are_left_out(self) -> None:
        decision = decided(*self.BOTH, redrive=RedriveTarget("t", ("load",)))

        assert dispatched(decision) == [("t", 1, "report")]

    def test_a_trigger_whose_jobs_are_all_done_is_skipped(self) -> None:
        decision = decided(*self.BOTH, redrive=RedriveTarget("t", ("load", "report")))

        assert counts(decision) == (0, 0, 0, 0)
        assert decision.outcome == "skipped"

    def test_rendered_ids_are_compared(self) -> None:
        entry = trigger("t", job_id=["{{ 'lo' + 'ad' }}", "report"])

        assert dispatched(decided(entry, redrive=RedriveTarget("t", ("load",)))) == [
            ("t", 1, "report")
        ]

    def test_a_broken_trigger_does_not_affect_a_redriven_one(self) -> None:
        decision = decided(trigger("bad", unknown=1), *self.BOTH, redrive=RedriveTarget("t"))

        assert counts(decision) == (2, 0, 0, 0)

    def test_an_uncorrected_entry_is_a_user_error_again(self) -> None:
        entry = trigger("t", job_id=["load", "none"])

        decision = decided(entry, redrive=RedriveTarget("t", ("load",)))

        assert ended(decision, "user_error") == [
            Ended("t", "none", 1, "no_such_job", "no job 'none'")
        ]
        assert counts(decision) == (0, 0, 1, 0)

    @pytest.mark.parametrize(
        ("triggers", "why"),
        [
            pytest.param((), "no longer matches the object", id="gone"),
            pytest.param((trigger("u"),), "no longer matches the object", id="renamed"),
            pytest.param((trigger("t", enabled=False),), "is disabled", id="disabled"),
        ],
    )
    def test_a_trigger_that_cannot_run_makes_its_message_wait(
        self, triggers: tuple[Trigger, ...], why: str
    ) -> None:
        decision = decided(*triggers, redrive=RedriveTarget("t"))

        (failure,) = ended(decision, "failed")
        assert (failure.trigger_id, failure.kind) == ("t", "waiting")
        assert failure.reason.startswith(f"trigger 't' {why}: ")
        assert counts(decision) == (0, 0, 0, 1)

    def test_a_condition_that_no_longer_holds_is_a_skip(self) -> None:
        decision = decided(trigger("t", if_fnmatch="*.zip"), redrive=RedriveTarget("t"))

        (skip,) = ended(decision, "skipped")
        assert skip.kind == "condition_not_met"


class TestTrace:
    """A decision records the prefixes, the conditions and the jobs that it went through."""

    @pytest.mark.parametrize(
        "triggers", [(), (trigger(),), (trigger("a"), trigger("b", enabled=False))], ids=len
    )
    def test_prefixes_and_the_number_of_entries(self, triggers: tuple[Trigger, ...]) -> None:
        decision = decided(*triggers)

        assert decision.prefixes == (KEY, "in/orders", "in")
        assert decision.entries == len(triggers)

    def test_a_redrive_counts_all_entries(self) -> None:
        decision = decided(trigger("t"), trigger("u"), redrive=RedriveTarget("t"))

        assert decision.entries == 2
        assert [each.trigger_id for each in decision.triggers] == ["t"]

    def test_every_matching_trigger_with_its_prefix(self) -> None:
        decision = decided(
            trigger("fires"), trigger("off", enabled=False), trigger("bad", unknown=1)
        )

        assert [(each.trigger_id, each.prefix, each.outcome) for each in decision.triggers] == [
            ("fires", "in", "dispatched"),
            ("off", "in", "skipped"),
            ("bad", "in", "user_error"),
        ]

    def test_every_condition_with_its_verdict(self) -> None:
        decision = decided(
            trigger(if_size_gt="1MB", if_fnmatch="*.csv", if_not_event_type="ObjectCreated:*")
        )

        found = [
            (each.condition.field, each.condition.argument, each.holds)
            for each in decision.triggers[0].conditions
        ]
        assert sorted(found, key=str) == [
            ("if_fnmatch", "*.csv", True),
            ("if_not_event_type", "ObjectCreated:*", False),
            ("if_size_gt", "1MB", False),
        ]

    def test_conditions_of_a_trigger_that_fires(self) -> None:
        decision = decided(trigger(if_fnmatch="*.csv"), trigger("u"))

        assert [[tested.holds for tested in each.conditions] for each in decision.triggers] == [
            [True],
            [],
        ]

    def test_conditions_of_a_trigger_that_cannot_be_rendered(self) -> None:
        decision = decided(trigger(if_fnmatch="*.csv", parameters={"a": "{{ 1 / 0 }}"}))

        (found,) = decision.triggers
        assert [each.holds for each in found.conditions] == [True]
        assert found.ended is not None
        assert (found.ended.outcome, found.ended.kind) == ("user_error", "rendering_failed")

    def test_every_job_with_kind_and_reason(self) -> None:
        decision = decided(trigger(job_id=["load", "none", "off", "away", "late", "load"]))

        assert [
            (each.position, each.job_id, each.outcome, each.kind, each.reason)
            for each in decision.triggers[0].jobs
        ] == [
            (0, "load", "dispatched", None, None),
            (1, "none", "user_error", "no_such_job", "no job 'none'"),
            (2, "off", "skipped", "job_disabled", "the job is disabled"),
            (3, "away", "failed", "aws_error", "reading lava.demo.jobs: no answer"),
            (
                4,
                "late",
                "failed",
                "out_of_time",
                "too little time left for reading lava.demo.jobs",
            ),
            (5, "load", "dispatched", None, None),
        ]

    @pytest.mark.parametrize(
        ("entry", "kind"),
        [
            pytest.param(trigger(unknown=1), "bad_entry", id="entry"),
            pytest.param(
                trigger(parameters={"a": "{{ 1 / 0 }}"}), "rendering_failed", id="rendering"
            ),
            pytest.param(trigger(enabled=False), "trigger_disabled", id="disabled"),
            pytest.param(trigger(if_size_gt="1MB"), "condition_not_met", id="condition"),
        ],
    )
    def test_a_trigger_that_ends_before_its_jobs_has_a_kind(
        self, entry: Trigger | BrokenTrigger, kind: str
    ) -> None:
        (found,) = decided(entry).triggers

        assert found.ended is not None
        assert found.ended.kind == kind
        assert found.jobs == []


class TestOutcome:
    """Of several outcomes, the most notable one stands for all."""

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
        self, outcomes: list[OutcomeName], expected: OutcomeName
    ) -> None:
        jobs = [JobDecision("j", n, ended=Outcome(each)) for n, each in enumerate(outcomes)]
        triggers = [TriggerDecision("t", "in", jobs=[job]) for job in jobs]

        assert TriggerDecision("t", "in", jobs=jobs).outcome == expected
        assert Decision(event(), triggers=triggers).outcome == expected

    def test_the_order(self) -> None:
        assert OUTCOMES == ("dispatched", "user_error", "failed", "skipped", "parked")

    def test_the_end_of_a_trigger_counts_before_its_jobs(self) -> None:
        found = TriggerDecision("t", "in", jobs=[JobDecision("j", 0)])
        found.end("failed", "aws_error", "no answer")

        assert found.outcome == "failed"

    def test_a_failed_lookup_counts_before_all(self) -> None:
        triggers = [TriggerDecision("t", "in", jobs=[JobDecision("j", 0)])]

        decision = Decision(event(), triggers=triggers, ended=Outcome("failed"))

        assert decision.outcome == "failed"
