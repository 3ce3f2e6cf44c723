"""Failed deliveries are retried, then wait in a dead-letter queue; no event is lost."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, Protocol

import pytest

from tests.build import direct, record
from tests.processes import wait_until

from .conftest import Stack
from .forwarding import Forwarder, kill, workers


class RetryAfter(Protocol):
    """Sets when, and how often, a message is delivered."""

    def __call__(self, seconds: int, tries: int) -> None: ...


pytestmark = [pytest.mark.e2e, pytest.mark.slow("waits for deliveries that are repeated")]

MANY: Final = 300
SEND: Final = "SendMessageBatch"
POISON: Final = '{"this is": "no S3 event"}'


def event(bucket: str, key: str) -> dict[str, Any]:
    return direct(record(key, bucket=bucket, size=4, sequencer=key))


def fill_intake(stack: Stack, bodies: list[str]) -> None:
    for start in range(0, len(bodies), 10):
        stack.aws.client("sqs").send_message_batch(
            QueueUrl=stack.outputs["IntakeQueueUrl"],
            Entries=[
                {"Id": str(number), "MessageBody": body}
                for number, body in enumerate(bodies[start : start + 10])
            ],
        )


def drained(stack: Stack) -> bool:
    return stack.waiting(stack.outputs["IntakeQueueUrl"]) == 0


@pytest.fixture
def retry_after(stack: Stack) -> Iterator[RetryAfter]:
    """Set how the intake queue delivers again; the template's six minutes are long."""
    sqs, url = stack.aws.client("sqs"), stack.outputs["IntakeQueueUrl"]
    names = ["VisibilityTimeout", "RedrivePolicy"]
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]

    def set_(seconds: int, tries: int) -> None:
        policy = json.loads(before["RedrivePolicy"]) | {"maxReceiveCount": tries}
        attributes = {"VisibilityTimeout": str(seconds), "RedrivePolicy": json.dumps(policy)}
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)

    yield set_
    sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


@pytest.fixture
def forwarder(stack: Stack) -> Iterator[Forwarder]:
    """A forwarder that the function calls SQS through."""
    with (
        Forwarder(stack.aws.endpoint) as forwarder,
        stack.with_variables(AWS_ENDPOINT_URL_SQS=forwarder.url),
    ):
        yield forwarder


def test_one_bad_message_among_300_good_ones_is_the_only_dead_letter(
    stack: Stack, retry_after: RetryAfter
) -> None:
    # A batch that takes longer is delivered again: then more than 300 dispatches come.
    retry_after(90, tries=2)
    stack.trigger("many", "many", parameters={"key": "{{ key }}"})
    bodies = [json.dumps(event("many", f"in/{number}")) for number in range(MANY)]

    fill_intake(stack, [*bodies[:137], POISON, *bodies[137:]])

    found = Counter(each["parameters"]["key"] for each in stack.dispatches("core", MANY))
    assert found == Counter(f"in/{number}" for number in range(MANY))
    retry_after(1, tries=2)  # only the bad one is left
    url = stack.outputs["IntakeDeadLetterQueueUrl"]
    wait_until(lambda: stack.waiting(url) == 1 and drained(stack), "one dead letter")
    (dead,) = stack.aws.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert dead["Body"] == POISON
    stack.aws.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=dead["ReceiptHandle"])
    assert stack.realm.receive("core") == []
    assert stack.waiting(stack.outputs["DeadLetterQueueUrl"]) == 0


class TestCrash:
    """The process of the function ends in the middle of a delivery."""

    OBJECTS: Final = 60

    @pytest.mark.parametrize("is_sent", [False, True], ids=["before sending", "after sending"])
    def test_a_crash_loses_no_event(
        self, stack: Stack, forwarder: Forwarder, retry_after: RetryAfter, *, is_sent: bool
    ) -> None:
        retry_after(15, tries=1000)  # a busy machine may take longer, many times
        bucket = "crash-sent" if is_sent else "crash"
        stack.trigger(bucket, bucket, parameters={"key": "{{ key }}"})
        crashes = [0, 1]  # twice, the second time in what comes again

        def crash(operation: str) -> None:
            if operation == SEND and crashes:
                crashes.pop()
                kill(workers(stack.aws.process_id))

        if is_sent:
            forwarder.after = crash
        else:
            forwarder.before = crash

        keys = [f"in/{number}" for number in range(self.OBJECTS)]
        fill_intake(stack, [json.dumps(event(bucket, key)) for key in keys])

        wait_until(lambda: drained(stack), "the intake to be empty")
        assert not crashes
        dispatches = [json.loads(each["Body"]) for each in stack.realm.receive("core")]
        found = Counter(each["parameters"]["key"] for each in dispatches)
        assert found.keys() == set(keys)
        # At least once: what was sent before the crash is sent again after it.
        assert max(found.values()) > 1 or not is_sent
        assert stack.waiting(stack.outputs["IntakeDeadLetterQueueUrl"]) == 0
