"""Decisions: what an S3 event causes, and why it causes no more."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Final

import pytest
from dateutil.tz import tzutc

from lava_s3trigger.aws.clients import SLOWEST_CALL
from lava_s3trigger.aws.deadline import MARGIN, UNLIMITED, Deadline
from lava_s3trigger.cli.realm import attribute_of
from lava_s3trigger.decision import Decision, decide
from lava_s3trigger.errors import OutOfTimeError, ServiceError, UserError
from lava_s3trigger.events import RedriveTarget, S3Event
from lava_s3trigger.jobs import Job
from lava_s3trigger.templates.confinement import MAX_RUN_SECONDS
from lava_s3trigger.triggers import BrokenTrigger, Trigger, read_trigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lava_s3trigger.errors import S3TriggerError

KEY: Final = "in/orders/1.csv"


def event(only: RedriveTarget | None = None, **fields: Any) -> S3Event:
    """Make an event of an object that was put, but for what is given."""
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
    return S3Event(**some | fields, only=only)


def trigger(trigger_id: str = "t", **fields: Any) -> Trigger | BrokenTrigger:
    """Make a trigger of an entry of the table, with the fields that are given."""
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
    """Triggers that match whatever they are asked about, or what asking raises."""

    def __init__(
        self, *triggers: Trigger | BrokenTrigger, error: S3TriggerError | None = None
    ) -> None:
        self._triggers = triggers
        self._error = error
        self.asked: list[tuple[str, str]] = []

    def matching(self, bucket: str, key: str) -> Sequence[Trigger | BrokenTrigger]:
        self.asked.append((bucket, key))
        if self._error:
            raise self._error
        return self._triggers


class Jobs(dict[str, "Job | S3TriggerError"]):
    """Jobs by id, or what looking one up raises."""

    def __getitem__(self, job_id: str) -> Job:
        found = self.get(job_id, UserError(f"there is no job {job_id!r}"))
        if isinstance(found, Job):
            return found
        raise found


JOBS: Final = Jobs(
    load=Job("load", "core", enabled=True),
    report=Job("report", "web", enabled=True),
    off=Job("off", "core", enabled=False),
    away=ServiceError("reading lava.demo.jobs: no answer"),
    late=OutOfTimeError("too little time was left for reading lava.demo.jobs"),
)


def decided(
    *triggers: Trigger | BrokenTrigger, only: RedriveTarget | None = None, **fields: Any
) -> Decision:
    return decide(event(only, **fields), Triggers(*triggers), JOBS)


def dispatched(decision: Decision) -> list[tuple[str, int, str]]:
    """Give trigger, position and job of what is dispatched."""
    return [(each.trigger_id, each.position, each.job_id) for each in decision.dispatches]


def counts(decision: Decision) -> tuple[int, int, int, int]:
    return (
        len(decision.dispatches),
        len(decision.skips),
        len(decision.mistakes),
        len(decision.failures),
    )


class TestDispatches:
    """Each job of each trigger that fires is dispatched."""

    def test_a_dispatch_holds_what_the_trigger_and_the_job_say(self) -> None:
        (found,) = decided(
            trigger(
                parameters={"args": ["{{ key }}", 1]},
                globals={"{{ bucket }}": "{{ info.size }}"},
                delay="90s",
            )
        ).dispatches
        assert (found.trigger_id, found.position, found.job_id) == ("t", 0, "load")
        assert (found.worker, found.delay) == ("core", 90)
        assert found.parameters == {"args": [KEY, 1]}
        assert found.globals == {"my-bucket": "1082"}

    def test_of_little_it_makes_little(self) -> None:
        decision = decided(trigger())
        (found,) = decision.dispatches
        assert (found.parameters, found.globals, found.delay) == ({}, {}, 0)
        assert counts(decision) == (1, 0, 0, 0)

    def test_all_triggers_fire(self) -> None:
        decision = decided(trigger("a"), trigger("b", job_id="report"), trigger("c"))
        assert dispatched(decision) == [("a", 0, "load"), ("b", 0, "report"), ("c", 0, "load")]

    def test_all_jobs_are_dispatched_each_to_its_worker(self) -> None:
        decision = decided(trigger(job_id=["report", "load"], parameters={"k": "{{ key }}"}))
        assert dispatched(decision) == [("t", 0, "report"), ("t", 1, "load")]
        assert [each.worker for each in decision.dispatches] == ["web", "core"]
        assert [each.parameters for each in decision.dispatches] == [{"k": KEY}, {"k": KEY}]

    def test_a_job_that_is_named_twice_is_dispatched_twice(self) -> None:
        decision = decided(trigger(job_id=["load", "report", "load"]))
        assert dispatched(decision) == [("t", 0, "load"), ("t", 1, "report"), ("t", 2, "load")]

    def test_job_ids_are_rendered(self) -> None:
        names = ["{{ key.split('/')[1][:0] }}load", "{{ 're' + 'port' }}"]
        assert dispatched(decided(trigger(job_id=names))) == [("t", 0, "load"), ("t", 1, "report")]

    def test_without_jinja_all_goes_out_as_it_stands(self) -> None:
        (found,) = decided(
            trigger(jinja=False, parameters={"{{ key }}": "{%"}, globals={"lava_x": "{{"})
        ).dispatches
        assert found.parameters == {"{{ key }}": "{%"}
        assert found.globals == {"lava_x": "{{"}

    def test_templates_know_the_event(self) -> None:
        (found,) = decided(
            trigger(
                parameters={
                    "seen": "{{ bucket }} {{ key }} {{ info.event_type }} {{ info.source_ip }}"
                    " {{ info.event_time.isoformat() }} {{ info.aws_region }}",
                    "raw": "{{ event.eventVersion }}",
                    "name": "{{ utils.path.basename(key) }}",
                    "nothing": "{{ unknown }}",
                }
            )
        ).dispatches
        assert found.parameters == {
            "seen": f"my-bucket {KEY} ObjectCreated:Put 203.0.113.7"
            " 2026-03-14T01:59:26+00:00 ap-southeast-2",
            "raw": "2.1",
            "name": "1.csv",
            "nothing": "",
        }

    def test_the_key_is_data_whatever_it_holds(self) -> None:
        key = 'in/"}, "worker": "evil\n\\ \ud800'
        (found,) = decided(trigger(parameters={"k": "{{ key }}"}), key=key).dispatches
        assert found.parameters == {"k": key}

    def test_triggers_are_asked_for_by_bucket_and_key(self) -> None:
        triggers = Triggers(trigger())
        decide(event(), triggers, JOBS)
        assert triggers.asked == [("my-bucket", KEY)]

    def test_deciding_changes_nothing(self) -> None:
        triggers = Triggers(trigger(parameters={"k": "{{ key }}"}), trigger("u", job_id="none"))
        some = event()
        assert decide(some, triggers, JOBS) == decide(some, triggers, JOBS)


class TestSkips:
    """What is not dispatched, as it should be, has a reason."""

    def test_no_trigger(self) -> None:
        decision = decided()
        (skip,) = decision.skips
        assert (skip.reason, skip.trigger_id, skip.job_id) == (
            "no trigger matches the bucket and key",
            None,
            None,
        )
        assert counts(decision) == (0, 1, 0, 0)

    def test_a_disabled_trigger(self) -> None:
        decision = decided(trigger(enabled=False))
        (skip,) = decision.skips
        assert (skip.reason, skip.trigger_id) == ("the trigger is disabled", "t")
        assert counts(decision) == (0, 1, 0, 0)

    def test_a_disabled_job(self) -> None:
        decision = decided(trigger(job_id=["off", "load"]))
        (skip,) = decision.skips
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
    def test_a_condition_that_is_not_met_is_named(
        self, conditions: dict[str, Any], named: str
    ) -> None:
        decision = decided(trigger(**conditions))
        (skip,) = decision.skips
        assert (skip.reason, skip.trigger_id) == (f"not met: {named}", "t")
        assert counts(decision) == (0, 1, 0, 0)

    def test_all_that_are_not_met_are_named(self) -> None:
        (skip,) = decided(trigger(if_size_gt="1MB", if_fnmatch="*.zip")).skips
        assert skip.reason == "not met: if_size_gt '1MB', if_fnmatch '*.zip'"

    def test_conditions_that_are_met_let_the_event_pass(self) -> None:
        conditions: dict[str, Any] = {
            "if_fnmatch": ["*.zip", "in/*.csv"],
            "if_not_fnmatch": "*.tmp",
            "if_size_gt": 1081,
            "if_not_size_gt": 1082,
            "if_event_type": "ObjectCreated:*",
            "if_not_event_type": "ObjectRemoved:*",
        }
        assert dispatched(decided(trigger(**conditions))) == [("t", 0, "load")]

    def test_what_is_not_met_is_not_rendered(self) -> None:
        decision = decided(trigger(if_fnmatch="*.zip", parameters={"a": "{{ 1 / 0 }}"}))
        assert counts(decision) == (0, 1, 0, 0)


class TestMistakes:
    """A user's mistake concerns its trigger, or its job, and no other."""

    GOOD: Final = (trigger("before"), trigger("behind"))
    KEPT: Final = [("before", 0, "load"), ("behind", 0, "load")]

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            pytest.param({"unknown": 1}, "bad entry: 'unknown' is no field", id="a bad entry"),
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
    def test_a_trigger_that_cannot_run_leaves_its_neighbours_alone(
        self, fields: dict[str, Any], reason: str
    ) -> None:
        before, behind = self.GOOD
        decision = decided(before, trigger("bad", **fields), behind)
        (mistake,) = decision.mistakes
        assert mistake.reason.startswith(reason)
        assert (mistake.trigger_id, mistake.job_id, mistake.position) == ("bad", None, None)
        assert dispatched(decision) == self.KEPT
        assert counts(decision) == (2, 0, 1, 0)

    def test_a_trigger_that_never_ends_is_ended(self) -> None:
        before, behind = self.GOOD
        endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
        decision = decided(before, trigger("bad", parameters={"a": endless}), behind)
        (mistake,) = decision.mistakes
        assert mistake.trigger_id == "bad"
        assert mistake.reason == "rendering was ended: it took longer than 1 s"
        assert dispatched(decision) == self.KEPT

    def test_a_job_that_is_missing_leaves_the_others_alone(self) -> None:
        decision = decided(*self.GOOD, trigger("t", job_id=["load", "none", "report"]))
        (mistake,) = decision.mistakes
        assert mistake.reason == "there is no job 'none'"
        assert (mistake.trigger_id, mistake.job_id, mistake.position) == ("t", "none", 1)
        assert dispatched(decision) == [*self.KEPT, ("t", 0, "load"), ("t", 2, "report")]

    def test_each_mention_of_a_missing_job_is_one(self) -> None:
        decision = decided(trigger(job_id=["none", "none"]))
        assert [(each.job_id, each.position) for each in decision.mistakes] == [
            ("none", 0),
            ("none", 1),
        ]

    def test_a_disabled_trigger_makes_none(self) -> None:
        decision = decided(trigger(enabled=False, unknown=1, job_id="none"))
        assert counts(decision) == (0, 1, 0, 0)

    def test_one_whose_conditions_are_not_met_makes_none_about_its_jobs(self) -> None:
        decision = decided(trigger(if_size_gt="1TB", job_id="none"))
        assert counts(decision) == (0, 1, 0, 0)


class TestFailures:
    """What AWS or the time did not allow to decide is to be decided another time."""

    @pytest.mark.parametrize(
        "error", [ServiceError("no answer"), OutOfTimeError("too little time")], ids=["aws", "time"]
    )
    def test_triggers_that_could_not_be_read(self, error: ServiceError | OutOfTimeError) -> None:
        decision = decide(event(), Triggers(error=error), JOBS)
        (failure,) = decision.failures
        assert (failure.error, failure.trigger_id, failure.job_id) == (error, None, None)
        assert counts(decision) == (0, 0, 0, 1)

    @pytest.mark.parametrize("job_id", ["away", "late"])
    def test_a_job_that_could_not_be_read_leaves_the_others_alone(self, job_id: str) -> None:
        decision = decided(trigger("a", job_id=["load", job_id, "report"]), trigger("b"))
        (failure,) = decision.failures
        assert failure.error is JOBS.get(job_id)
        assert (failure.trigger_id, failure.job_id) == ("a", job_id)
        assert dispatched(decision) == [("a", 0, "load"), ("a", 2, "report"), ("b", 0, "load")]
        assert counts(decision) == (3, 0, 0, 1)

    def test_each_thing_can_come_to_another_end(self) -> None:
        decision = decided(
            trigger("a", job_id=["load", "none", "off", "away"]),
            trigger("b", enabled=False),
            trigger("c", unknown=1),
        )
        assert counts(decision) == (1, 2, 2, 1)

    def test_without_time_no_trigger_is_decided(self) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        left[0] = 1.0
        decision = decide(event(), Triggers(trigger("a"), trigger("b")), JOBS, deadline)
        assert [each.trigger_id for each in decision.failures] == ["a", "b"]
        assert all("too little time was left" in str(each.error) for each in decision.failures)
        assert counts(decision) == (0, 0, 0, 2)

    @pytest.mark.parametrize(
        ("spare", "number"), [(0.0, 1), (-0.1, 0)], ids=["enough", "too little"]
    )
    def test_time_is_left_to_render_to_send_and_to_park(self, spare: float, number: int) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        left[0] = MAX_RUN_SECONDS + 2 * SLOWEST_CALL + MARGIN + spare
        decision = decide(event(), Triggers(trigger()), JOBS, deadline)
        assert counts(decision) == (number, 0, 0, 1 - number)

    def test_time_may_run_out_between_triggers(self) -> None:
        left = [300.0, 300.0, 1.0]  # at the start, and before each trigger
        deadline = Deadline(lambda: left.pop(0))
        decision = decide(event(), Triggers(trigger("a"), trigger("b")), JOBS, deadline)
        assert dispatched(decision) == [("a", 0, "load")]
        assert [each.trigger_id for each in decision.failures] == ["b"]

    def test_an_event_that_nothing_matches_needs_no_time(self) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        left[0] = 1.0
        assert counts(decide(event(), Triggers(), JOBS, deadline)) == (0, 1, 0, 0)

    def test_time_enough_is_time(self) -> None:
        deadline = Deadline(lambda: 300.0)
        assert counts(decide(event(), Triggers(trigger()), JOBS, deadline)) == (1, 0, 0, 0)
        assert counts(decide(event(), Triggers(trigger()), JOBS, UNLIMITED)) == (1, 0, 0, 0)


class TestWhatWasParked:
    """A parked event runs the trigger that it names, or the job, alone."""

    BOTH: Final = (trigger("t", job_id=["load", "report"]), trigger("u", job_id="load"))

    def test_a_trigger_runs_alone(self) -> None:
        decision = decided(*self.BOTH, only=RedriveTarget("t"))
        assert dispatched(decision) == [("t", 0, "load"), ("t", 1, "report")]
        assert counts(decision) == (2, 0, 0, 0)

    def test_a_broken_neighbour_does_not_matter(self) -> None:
        decision = decided(trigger("bad", unknown=1), *self.BOTH, only=RedriveTarget("t"))
        assert counts(decision) == (2, 0, 0, 0)

    @pytest.mark.parametrize(
        ("job_ids", "only", "expected"),
        [
            pytest.param(["a", "b"], ("b", 1), [(1, "b")], id="as it was"),
            pytest.param(["b", "a"], ("b", 1), [(0, "b")], id="moved up"),
            pytest.param(["a", "c", "b"], ("b", 1), [(2, "b")], id="moved down"),
            pytest.param(["a", "c"], ("b", 1), [(1, "c")], id="renamed"),
            pytest.param(["b", "a", "b"], ("b", 0), [(0, "b")], id="the first of two"),
            pytest.param(["b", "a", "b"], ("b", 2), [(2, "b")], id="the second of two"),
            pytest.param(["b", "b", "a"], ("b", 2), [(0, "b")], id="one of two, and moved"),
            pytest.param("c", ("b", 0), [(0, "c")], id="the only one, renamed"),
        ],
    )
    def test_a_job_runs_alone(
        self, job_ids: list[str] | str, only: tuple[str, int], expected: list[tuple[int, str]]
    ) -> None:
        jobs = Jobs({each: Job(each, "core", enabled=True) for each in "abc"})
        parked = event(RedriveTarget("t", *only))
        decision = decide(parked, Triggers(trigger("t", job_id=job_ids), *self.BOTH[1:]), jobs)
        assert dispatched(decision) == [("t", *each) for each in expected]
        assert counts(decision) == (1, 0, 0, 0)

    def test_a_job_that_is_neither_named_nor_replaced_is_a_mistake(self) -> None:
        decision = decided(trigger("t", job_id=["load"]), only=RedriveTarget("t", "gone", 1))
        (mistake,) = decision.mistakes
        assert mistake.reason == "the trigger no longer names job 'gone'"
        assert mistake.trigger_id == "t"
        assert counts(decision) == (0, 0, 1, 0)

    def test_what_is_still_wrong_is_a_mistake_again(self) -> None:
        decision = decided(
            trigger("t", job_id=["load", "none"]), only=RedriveTarget("t", "none", 1)
        )
        (mistake,) = decision.mistakes
        assert (mistake.trigger_id, mistake.job_id, mistake.position) == ("t", "none", 1)
        assert counts(decision) == (0, 0, 1, 0)

    @pytest.mark.parametrize("triggers", [(), (trigger("u"),)], ids=["none", "another"])
    def test_a_trigger_that_no_longer_matches_is_skipped(self, triggers: tuple[Trigger]) -> None:
        decision = decided(*triggers, only=RedriveTarget("t"))
        (skip,) = decision.skips
        assert skip.reason == "trigger 't' no longer matches"
        assert counts(decision) == (0, 1, 0, 0)

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [({"enabled": False}, "disabled"), ({"if_fnmatch": "*.zip"}, "not met: if_fnmatch")],
        ids=["disabled", "a condition"],
    )
    def test_it_is_decided_as_any_event_is(self, fields: dict[str, Any], reason: str) -> None:
        decision = decided(trigger("t", **fields), only=RedriveTarget("t", "load", 0))
        (skip,) = decision.skips
        assert reason in skip.reason
        assert counts(decision) == (0, 1, 0, 0)
