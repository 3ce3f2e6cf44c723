"""What became of deliveries, and what AWS is told of it: docs/design.md#acknowledgement."""

from __future__ import annotations

import dataclasses
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.acknowledgement import Outcome, Task, acknowledge, given_back, in_order
from lava_s3trigger.decision import Decision, Failure, Skip
from lava_s3trigger.errors import DeliveriesFailedError, OutOfTimeError, ServiceError
from lava_s3trigger.events import Delivery, S3Event
from lava_s3trigger.log import LOGGER

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

EVENT: Final = S3Event(
    bucket="my-bucket",
    key="a/b/c",
    size=10,
    event_time=datetime(2026, 3, 14, tzinfo=UTC),
    event_type="ObjectCreated:Put",
    source_ip=None,
    aws_region="eu-west-1",
    record={"s3": {"object": {"sequencer": "01"}}},
)


def outcome(message_id: str | None, *failures: str, group: str | None = None) -> Outcome:
    delivery = Delivery(message_id=message_id, group=("a.fifo", group) if group else None)
    return Outcome(delivery, list(failures))


class TestOutcome:
    """An outcome notes and logs what of its delivery was not carried out."""

    def test_a_failure_is_recorded_and_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, logger=LOGGER.name)
        message, invocation = outcome("m-1", "before"), outcome(None)

        message.fail("not_understood", "Records is 5")
        invocation.fail("failed", "too late", EVENT)

        assert message.failures == ["before", "Records is 5"]
        assert invocation.failures == ["too late"]
        assert said(caplog) == [
            (
                logging.ERROR,
                "not_understood",
                {"reason": "Records is 5", "message_id": "m-1"},
            ),
            (
                logging.ERROR,
                "failed",
                {"reason": "too late", "bucket": "my-bucket", "key": "a/b/c"},
            ),
        ]

    @pytest.mark.parametrize(
        ("message_id", "expected"),
        [pytest.param("m-1", "m-1", id="message"), pytest.param(None, "r-1", id="invocation")],
    )
    def test_the_owner_survives_redelivery(self, message_id: str | None, expected: str) -> None:
        delivery = Delivery(message_id=message_id)

        assert Outcome(delivery, invocation="r-1").owner == expected


class TestAcknowledge:
    """AWS is told which messages to deliver again; or all, by an error."""

    @pytest.mark.parametrize(
        "outcomes",
        [
            pytest.param([], id="nothing-to-do"),
            pytest.param([outcome(None)], id="invocation"),
            pytest.param([outcome("1")], id="message"),
            pytest.param([outcome("1"), outcome("2")], id="messages"),
            pytest.param([outcome("1"), outcome(None)], id="both"),
        ],
    )
    def test_without_failures_the_answer_is_none(self, outcomes: list[Outcome]) -> None:
        assert acknowledge(outcomes) is None

    @pytest.mark.parametrize(
        ("outcomes", "failed"),
        [
            pytest.param([outcome("1", "x"), outcome("2")], ["1"], id="first"),
            pytest.param([outcome("1"), outcome("2", "x")], ["2"], id="last"),
            pytest.param(
                [outcome("1", "x"), outcome("2"), outcome("3", "y", "z")], ["1", "3"], id="several"
            ),
        ],
    )
    def test_failed_messages_are_named(self, outcomes: list[Outcome], failed: list[str]) -> None:
        assert acknowledge(outcomes) == {
            "batchItemFailures": [{"itemIdentifier": each} for each in failed]
        }

    @pytest.mark.parametrize(
        ("outcomes", "count", "first"),
        [
            pytest.param([outcome("1", "x")], 1, "x", id="the-only-message"),
            pytest.param([outcome("1", "x", "y"), outcome("2", "z")], 3, "x", id="every-message"),
            pytest.param([outcome(None, "x")], 1, "x", id="the-invocation"),
            pytest.param([outcome("1"), outcome(None, "y")], 1, "y", id="not-the-message"),
            pytest.param([outcome("1", "x"), outcome(None, "y")], 2, "x", id="both"),
            pytest.param(
                [outcome("1"), outcome("2", "x"), outcome(None, "y")], 2, "x", id="some-of-each"
            ),
        ],
    )
    def test_the_whole_invocation_fails_if_everything_must_come_again(
        self, outcomes: list[Outcome], count: int, first: str
    ) -> None:
        with pytest.raises(DeliveriesFailedError) as caught:
            acknowledge(outcomes)

        assert caught.value.count == count
        assert str(caught.value).endswith(f": {first}")

    @pytest.mark.parametrize(
        ("outcomes", "back"),
        [
            pytest.param([outcome("1"), outcome("2")], [], id="none"),
            pytest.param([outcome("1"), outcome("2", "x")], ["2"], id="the-message"),
            pytest.param([outcome("1", "x"), outcome("2", "x")], ["1", "2"], id="every-message"),
            pytest.param([outcome("1"), outcome(None)], [], id="not-the-invocation"),
            pytest.param([outcome("1"), outcome(None, "x")], ["1", None], id="all-of-it"),
            pytest.param([outcome("1", "x"), outcome(None)], ["1"], id="not-the-rest"),
        ],
    )
    def test_failed_deliveries_or_all_are_given_back(
        self, outcomes: list[Outcome], back: list[str | None]
    ) -> None:
        assert [each.delivery.message_id for each in given_back(outcomes)] == back

    @unhurried
    @given(st.lists(st.booleans()))
    def test_exactly_the_failed_messages_are_named(self, failed: list[bool]) -> None:
        outcomes = [outcome(str(n), *["x"] * is_bad) for n, is_bad in enumerate(failed)]
        expected = [str(n) for n, is_bad in enumerate(failed) if is_bad]
        try:
            answer = acknowledge(outcomes)
        except DeliveriesFailedError:
            named = [str(n) for n in range(len(outcomes))]
        else:
            named = [each["itemIdentifier"] for each in (answer or {}).get("batchItemFailures", [])]

        assert named == expected


def run(
    outcomes: list[Outcome], failing: AbstractSet[str | None] = frozenset()
) -> list[list[str | None]]:
    """Work on deliveries, of which some fail, and give the waves in which they came."""
    waves = []
    for wave in in_order(outcomes):
        for each in wave:
            if each.delivery.message_id in failing:
                each.failures.append("it failed")
        waves.append([each.delivery.message_id for each in wave])
    return [wave for wave in waves if wave]


BEFORE: Final = "a message before it in its group has failed"


class TestInOrder:
    """All at once, but the messages of a FIFO queue's group one after the other."""

    def test_no_delivery_makes_no_batch(self) -> None:
        assert run([]) == []

    def test_deliveries_without_groups_are_handled_together(self) -> None:
        assert run([outcome("1"), outcome(None), outcome("2")]) == [["1", None, "2"]]

    def test_a_failed_delivery_without_a_group_blocks_none(self) -> None:
        outcomes = [outcome("1"), outcome("2"), outcome("3")]

        assert run(outcomes, {"1"}) == [["1", "2", "3"]]
        assert [each.failures for each in outcomes] == [["it failed"], [], []]

    def test_a_group_keeps_its_order(self) -> None:
        outcomes = [outcome(each, group="g") for each in "123"]

        assert run(outcomes) == [["1"], ["2"], ["3"]]
        assert [each.failures for each in outcomes] == [[], [], []]

    def test_groups_are_handled_side_by_side(self) -> None:
        outcomes = [
            outcome("g1", group="g"),
            outcome("h1", group="h"),
            outcome("g2", group="g"),
            outcome("g3", group="g"),
            outcome("h2", group="h"),
            outcome("1"),
            outcome("2"),
        ]

        assert run(outcomes) == [["g1", "h1", "1", "2"], ["g2", "h2"], ["g3"]]

    def test_groups_of_the_same_name_in_two_queues_are_separate(self) -> None:
        one = Outcome(Delivery(message_id="1", group=("a.fifo", "g")))
        two = Outcome(Delivery(message_id="2", group=("b.fifo", "g")))

        assert run([one, two]) == [["1", "2"]]

    def test_messages_after_a_failed_one_fail_and_are_not_handled(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        outcomes = [outcome(each, group="g") for each in "1234"]

        assert run(outcomes, {"2"}) == [["1"], ["2"]]
        assert [each.failures for each in outcomes] == [[], ["it failed"], [BEFORE], [BEFORE]]
        assert caplog.messages == [
            f'failed {{"reason": "{BEFORE}", "message_id": "{each}"}}' for each in "34"
        ]
        assert acknowledge(outcomes) == {
            "batchItemFailures": [{"itemIdentifier": each} for each in "234"]
        }

    def test_a_failed_group_does_not_block_others(self) -> None:
        outcomes = [
            outcome("g1", group="g"),
            outcome("h1", group="h"),
            outcome("g2", group="g"),
            outcome("h2", group="h"),
            outcome("h3", group="h"),
            outcome("1"),
        ]

        assert run(outcomes, {"g1", "1"}) == [["g1", "h1", "1"], ["h2"], ["h3"]]
        assert [each.failures for each in outcomes] == [
            *(["it failed"], [], [BEFORE], []),
            *([], ["it failed"]),
        ]

    @unhurried
    @given(
        st.lists(st.tuples(st.sampled_from(["g", "h", ""]), st.booleans()), max_size=12),
    )
    def test_order_holds_for_any_mixture(self, messages: list[tuple[str, bool]]) -> None:
        outcomes = [outcome(str(n), group=group or None) for n, (group, _) in enumerate(messages)]
        failing = {str(n) for n, (_, is_bad) in enumerate(messages) if is_bad}

        waves = run(outcomes, failing)

        when = {each: n for n, wave in enumerate(waves) for each in wave}
        for group in ("g", "h"):
            members = [str(n) for n, (name, _) in enumerate(messages) if name == group]
            bad = next((n for n, each in enumerate(members) if each in failing), len(members))
            worked_on = members[: bad + 1]
            assert [each for each in members if each in when] == worked_on
            assert [when[each] for each in worked_on] == list(range(len(worked_on)))
            returned = [each for each in members if outcomes[int(each)].failures]
            assert returned == members[bad:]
        for n, (name, _) in enumerate(messages):
            if not name:
                assert when[str(n)] == 0


def failed(*sent: tuple[object, ...]) -> Outcome:
    return Outcome(Delivery(), ["it failed"], list(sent))


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str, dict[str, Any]]]:
    """Give level, what happened and the facts of each line in the log."""
    lines = []
    for record in caplog.records:
        what, _, facts = record.getMessage().partition(" {")
        lines.append((record.levelno, what, json.loads("{" + facts)))
    return lines


class TestTask:
    """A task logs why its event causes nothing more, and what could not be decided."""

    WHERE: Final = {"bucket": "my-bucket", "key": "a/b/c"}

    @pytest.fixture(autouse=True)
    def _log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, logger=LOGGER.name)

    def test_a_skip_is_logged_with_its_trigger(self, caplog: pytest.LogCaptureFixture) -> None:
        decision = Decision(
            EVENT,
            skips=[
                Skip("the trigger is disabled", "t-1"),
                Skip("the job is disabled", "t-2", "job"),
            ],
        )
        task = Task(outcome("1"), decision)

        task.report()

        off = {"reason": "the trigger is disabled", "trigger_id": "t-1"}
        job = {"reason": "the job is disabled", "trigger_id": "t-2", "job_id": "job"}
        assert said(caplog) == [
            (logging.INFO, "skipped", off | self.WHERE),
            (logging.INFO, "skipped", job | self.WHERE),
        ]
        assert task.failures == task.outcome.failures == []

    def test_an_event_without_a_trigger_is_logged_at_debug(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        task = Task(outcome("1"), Decision(EVENT, skips=[Skip("no trigger matches")]))

        task.report()

        facts = {"reason": "no trigger matches"} | self.WHERE
        assert said(caplog) == [(logging.DEBUG, "skipped", facts)]
        assert task.outcome.failures == []

    def test_a_failed_decision_fails_its_delivery(self, caplog: pytest.LogCaptureFixture) -> None:
        decision = Decision(
            EVENT,
            failures=[
                Failure(ServiceError("reading: refused"), "t-1", "job"),
                Failure(OutOfTimeError("too late")),
            ],
        )
        task = Task(outcome("1", "before"), decision)

        task.report()

        read = {"reason": "reading: refused", "trigger_id": "t-1", "job_id": "job"}
        assert said(caplog) == [
            (logging.ERROR, "failed", read | self.WHERE),
            (logging.ERROR, "failed", {"reason": "too late"} | self.WHERE),
        ]
        assert task.failures == ["reading: refused", "too late"]
        assert task.outcome.failures == ["before", "reading: refused", "too late"]

    def test_a_task_knows_the_dispatches_of_its_own_event(self) -> None:
        other = dataclasses.replace(EVENT, key="another")
        both = failed((EVENT.identity, "t-1"), (other.identity, "t-1"), (other.identity, "t-2"))

        one, two = Task(both, Decision(EVENT)), Task(both, Decision(other))

        assert len(one.sent()) == 1
        assert len(two.sent()) == 2
        assert not {*one.sent()} & {*two.sent()}

    def test_a_failed_task_fails_its_delivery_but_not_other_events(self) -> None:
        both = outcome("1")
        bad, good = Task(both, Decision(EVENT)), Task(both, Decision(EVENT))

        bad.fail("it failed")

        assert bad.failures == ["it failed"]
        assert good.failures == []
        assert both.failures == ["it failed"]
