"""What the local server cannot do of redrives: counts that come late, and message move tasks."""

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from lava_s3trigger.cli.dead_letters.redrive import Pace, Redrive, move, settled_number
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetterQueue
from lava_s3trigger.cli.errors import CommandError
from tests.tables import cases

from .cannedaws import Answer, CannedAws, Request, answer, operation
from .deadletters import UUID

ARN: Final = "arn:aws:sqs:us-east-1:123456789012:dlq"
AT_ONCE: Final = Pace(poll=0.0, settle=0.0, patience=60.0)
NUMBER: Final = "ApproximateNumberOfMessages"
YESTERDAY: Final = {"Status": "COMPLETED", "StartedTimestamp": 1, f"{NUMBER}Moved": 99}


@dataclass
class Sqs:
    """SQS, as it answers about a queue and its message move tasks."""

    counts: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """Visible and hidden messages, look by look; the last ones stay."""
    received: list[str | None] = field(default_factory=list)
    """Bodies of the messages that are received, one by one; then there are none."""
    tasks: list[str | None] = field(default_factory=list)
    """Status of the move task, look by look; None: it is not listed yet."""
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        name, asked = operation(request), request.json()
        self.asked.append((name, asked))
        answers = {
            "GetQueueUrl": {"QueueUrl": "http://127.0.0.1/dlq"},
            "ChangeMessageVisibilityBatch": {"Successful": [], "Failed": []},
            "StartMessageMoveTask": {"TaskHandle": "handle"},
        }
        return answer(answers.get(name) or getattr(self, name)(asked))

    def number(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.asked)

    def GetQueueAttributes(self, asked: Any) -> Any:  # noqa: N802 - as SQS names it
        if "QueueArn" in asked["AttributeNames"]:
            return {"Attributes": {"QueueArn": ARN}}
        visible, hidden = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return {"Attributes": {NUMBER: str(visible), f"{NUMBER}NotVisible": str(hidden)}}

    def ReceiveMessage(self, _: Any) -> Any:  # noqa: N802
        body = self.received.pop(0) if self.received else None
        if body is None:
            return {}
        message = {"MessageId": body, "ReceiptHandle": f"again {body}", "Body": body}
        return {"Messages": [message]}

    def CancelMessageMoveTask(self, _: Any) -> Any:  # noqa: N802
        self.tasks[:] = ["CANCELLING", "CANCELLED"]
        return {f"{NUMBER}Moved": 3}

    def ListMessageMoveTasks(self, _: Any) -> Any:  # noqa: N802
        status = self.tasks.pop(0) if self.number("StartMessageMoveTask") else None
        if status is None:
            return {"Results": [YESTERDAY]}
        task = {"Status": status, "StartedTimestamp": 2, f"{NUMBER}Moved": 7}
        task["FailureReason"] = "CouldNotDetermineMessageSource"
        # SQS lists the handle only while the task is running.
        handle = {"TaskHandle": "handle"} if status in ("RUNNING", "CANCELLING") else {}
        return {"Results": [task | handle, YESTERDAY]}


@dataclass
class Mapping:
    """Lambda, as it answers about an event source mapping."""

    after_disabling: list[str] = field(default_factory=list)
    """States that it has before it is disabled."""
    states: list[str] = field(default_factory=lambda: ["Disabled"])

    def put(self, request: Request) -> Answer:
        is_on = request.json()["Enabled"]
        self.states[:] = ["Enabled"] if is_on else [*self.after_disabling, "Disabled"]
        return self.get(request)

    def get(self, _: Request) -> Answer:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return answer({"UUID": UUID, "State": state})


def queue_of(canned: CannedAws, sqs: Sqs) -> tuple[Any, DeadLetterQueue]:
    """Return a client of SQS, and the queue."""
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
    def test_the_task_is_followed_to_its_end(
        self, canned: CannedAws, tasks: list[str | None]
    ) -> None:
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
        canned.handlers["PUT", "/event-source-mappings/"] = mapping.put
        canned.handlers["GET", "/event-source-mappings/"] = mapping.get
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
        mapping = Mapping(after_disabling=["Disabling", "Disabling", "Disabling"])
        assert self.redrive(canned, sqs, mapping, others=1) == 0
        assert mapping.states == ["Disabled"]
        asked = [each.method for each in canned.requests]
        # Disabled, looked at until it is off, and only then are others released.
        assert asked[-5:] == ["PUT", "GET", "GET", "GET", "POST"]
