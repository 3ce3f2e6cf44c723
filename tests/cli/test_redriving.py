"""What the local server cannot do of redrives: counts that come late, and message move tasks."""

from typing import Any, Final

import pytest

from lava_s3trigger.cli.dead_letters.redrive import Pace, Redrive, move, settled_number
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetterQueue
from lava_s3trigger.cli.errors import CommandError
from tests.tables import cases

from .cannedaws import Answer, CannedAws, Request, answer
from .deadletters import ARN, UUID, Sqs

AT_ONCE: Final = Pace(poll=0.0, settle=0.0, patience=60.0)


class Mapping:
    """Lambda, as it answers about an event source mapping.

    Args:
        after_disabling: States that the mapping has before it is disabled.
    """

    def __init__(self, *after_disabling: str) -> None:
        self.after_disabling = after_disabling
        self.states = ["Disabled"]

    def answer(self, request: Request) -> Answer:
        if request.method == "PUT":
            is_on = request.json()["Enabled"]
            self.states = ["Enabled"] if is_on else [*self.after_disabling, "Disabled"]
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return answer({"UUID": UUID, "State": state})


def queue_of(canned: CannedAws, sqs: Sqs) -> tuple[Any, DeadLetterQueue]:
    canned.handlers["POST", ""] = sqs.answer
    client = Aws(region="us-east-1", endpoint_url=canned.url).client("sqs")
    return client, DeadLetterQueue(client, "dlq", "us-east-1")


class TestMoves:
    """SQS itself moves the messages of the intake's queue back."""

    def moved(
        self, canned: CannedAws, sqs: Sqs, *, is_to_end: bool = False, pace: Pace = AT_ONCE
    ) -> int:
        return move(*queue_of(canned, sqs), lambda: is_to_end, pace)

    @cases(
        "tasks",
        {
            "listed at once": ["RUNNING", "RUNNING", "COMPLETED"],
            "not listed yet": [None, None, "RUNNING", "COMPLETED"],
            "listed when it is done": [None, "COMPLETED"],
        },
    )
    def test_a_task_is_followed_to_its_end(self, canned: CannedAws, tasks: list[Any]) -> None:
        sqs = Sqs(tasks=tasks)
        assert self.moved(canned, sqs) == 7
        assert ("StartMessageMoveTask", {"SourceArn": ARN}) in sqs.asked
        assert sqs.tasks == []

    def test_a_task_that_is_never_listed_may_be_moving(self, canned: CannedAws) -> None:
        with pytest.raises(CommandError, match="does not list the task: it may be moving"):
            self.moved(canned, Sqs(tasks=[None]), pace=Pace(poll=0.0, patience=0.0))

    def test_a_task_that_fails_says_why(self, canned: CannedAws) -> None:
        with pytest.raises(CommandError, match="stopped moving dlq: CouldNotDetermineMessageSo"):
            self.moved(canned, Sqs(tasks=["RUNNING", "FAILED"]))

    def test_an_interrupt_cancels_the_task_once(self, canned: CannedAws) -> None:
        sqs = Sqs(tasks=["RUNNING"])
        assert self.moved(canned, sqs, is_to_end=True) == 7
        assert sqs.number("CancelMessageMoveTask") == 1


class TestCounts:
    """SQS counts approximately: a count is believed when it stays."""

    @cases(
        ("counts", "received", "number", "looks"),
        {
            "some are left": ([(3, 0), (0, 1), (0, 1)], [], 1, 4),
            "empty": ([(0, 0)], [], 0, 3),
            "zero, but not yet": ([(0, 0), (0, 0), (2, 0), (0, 0)], [], 0, 6),
            "zero, but a message is received": ([(0, 0)], ["a"], 0, 6),
        },
    )
    def test_a_queue_is_looked_at_until_its_count_stays(
        self,
        canned: CannedAws,
        counts: list[tuple[int, int]],
        received: list[str | None],
        number: int,
        looks: int,
    ) -> None:
        sqs = Sqs(counts=counts, received=received)
        _, queue = queue_of(canned, sqs)
        sqs.asked.clear()
        assert settled_number(queue, lambda: False, AT_ONCE) == number
        assert sqs.number("GetQueueAttributes") == looks

    def test_an_interrupt_ends_the_wait(self, canned: CannedAws) -> None:
        _, queue = queue_of(canned, Sqs(counts=[(2, 0)]))
        assert settled_number(queue, lambda: True, Pace(poll=0.0)) == 2


class TestRedrives:
    """The mapping is on until only what is still broken is left."""

    def redrive(self, canned: CannedAws, sqs: Sqs, mapping: Mapping, others: int = 0) -> int:
        """Redrive all messages that are received first, but for some."""
        for method in ("GET", "PUT"):
            canned.handlers[method, "/event-source-mappings/"] = mapping.answer
        _, queue = queue_of(canned, sqs)
        client = Aws(region="us-east-1", endpoint_url=canned.url).client("lambda")
        letters = list(queue.read())
        sqs.asked.clear()
        redrive = Redrive(client, queue, {"UUID": UUID}, 0.0, lambda: False, AT_ONCE)
        return redrive.run(letters[others:], letters[:others])

    @cases(
        ("counts", "after", "looks"),
        {
            "empty": ([(0, 0)], [], 3),
            "zero, but not yet": ([(0, 0), (0, 0), (0, 1), (0, 0)], [], 6),
            "zero, but a message is received": ([(0, 0)], ["a"], 6),
        },
    )
    def test_zero_is_believed_after_several_looks_and_a_receive(
        self, canned: CannedAws, counts: list[tuple[int, int]], after: list[str], looks: int
    ) -> None:
        sqs = Sqs(counts=counts, received=["a", "b", None, None, *after])
        assert self.redrive(canned, sqs, Mapping()) == 0
        assert sqs.number("GetQueueAttributes") == looks
        assert sqs.received == []

    def test_what_was_received_to_make_sure_is_released(self, canned: CannedAws) -> None:
        sqs = Sqs(received=["a", None, None, "a"])
        self.redrive(canned, sqs, Mapping())
        released = [each for name, each in sqs.asked if name == "ChangeMessageVisibilityBatch"]
        assert [each["Entries"][0]["ReceiptHandle"] for each in released] == ["again a"] * 2
        assert {each["Entries"][0]["VisibilityTimeout"] for each in released} == {0}

    def test_what_is_left_is_counted_without_the_others(self, canned: CannedAws) -> None:
        sqs = Sqs(counts=[(0, 3)], received=["a", "b", None, None])
        assert self.redrive(canned, sqs, Mapping(), others=1) == 2

    def test_others_are_hidden_until_the_mapping_is_off(self, canned: CannedAws) -> None:
        sqs = Sqs(counts=[(0, 1)], received=["other", "a", None, None])
        mapping = Mapping("Disabling", "Disabling", "Disabling")
        assert self.redrive(canned, sqs, mapping, others=1) == 0
        assert mapping.states == ["Disabled"]
        # Disabled, looked at until it is off, and only then are others released.
        last = [each.method for each in canned.requests][-5:]
        assert last == ["PUT", "GET", "GET", "GET", "POST"]
