"""Delivery of events to a function, and redelivery, as Lambda, SQS and S3 do it."""

import heapq
import itertools
import json
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from lava_s3trigger.manifest import USER_ARGUMENT
from tests.build import sqs_record

from .aws import ACCOUNT, REGION

_BATCH: Final = 10


@dataclass(slots=True, kw_only=True)
class Message:
    """A message in a queue, or a stand-in for an invocation."""

    body: str
    keys: frozenset[str]
    group: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    receives: int = 0
    visible_at: float = 0.0


class Clock(Protocol):
    """A clock that moves only when told to, in seconds."""

    def __call__(self) -> float:
        """Return the time."""

    def sleep(self, seconds: float) -> None:
        """Move on by some seconds."""

    def reach(self, moment: float) -> None:
        """Move on to a moment, unless it is past."""


class Receiver(Protocol):
    """A function that is invoked, and its dead-letter queue."""

    @property
    def clock(self) -> Clock:
        """The clock that it and AWS share."""

    def invoke(
        self,
        payload: str,
        messages: Sequence[Message],
        request_id: str | None = None,
        *,
        gives_parked_back: bool = False,
    ) -> list[Message]:
        """Invoke it, and return the messages to deliver again."""

    def put_dead_letter(self, payload: str) -> None:
        """Put an event into the dead-letter queue."""


def by_s3_batch(bucket: str, tasks: Iterable[Message]) -> dict[str, Any]:
    """Return the payload with which S3 Batch Operations invokes a function."""
    return {
        "invocationSchemaVersion": "2.0",
        "invocationId": str(uuid.uuid4()),
        "job": {"id": "job", "userArguments": dict([USER_ARGUMENT])},
        "tasks": [
            {"taskId": each.id, "s3Key": each.body, "s3VersionId": None, "s3Bucket": bucket}
            for each in tasks
        ],
    }


def by_sqs(queue: str, message: Message) -> dict[str, Any]:
    """Return the record of a received message."""
    attributes = {"ApproximateReceiveCount": str(message.receives)}
    if message.group:
        attributes["MessageGroupId"] = message.group
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
    return sqs_record(message.body, message.id, arn, **attributes)


class Invocations:
    """Lambda's own queue of events, through which S3, SNS and EventBridge invoke a function.

    Lambda retries a failed event after one minute and after two more, with the same
    request id; then it moves the event to the dead-letter queue as it is.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """

    WAITS: Final = (60.0, 120.0)
    BETWEEN: Final = 2.0
    """Seconds from one event to the next."""

    def __init__(self, function: Receiver) -> None:
        self._function = function

    def deliver(self, messages: Iterable[Message]) -> None:
        """Deliver events until each is done or in the dead-letter queue."""
        clock = self._function.clock
        order = itertools.count()
        waiting = [(clock() + next(order) * self.BETWEEN, next(order), each) for each in messages]
        heapq.heapify(waiting)
        while waiting:
            moment, _, message = heapq.heappop(waiting)
            clock.reach(moment)
            if self._function.invoke(message.body, [message], message.id):
                message.receives += 1
                if message.receives > len(self.WAITS):
                    self._function.put_dead_letter(message.body)
                else:
                    again = clock() + self.WAITS[message.receives - 1]
                    heapq.heappush(waiting, (again, next(order), message))


class EventSourceMapping:
    """A mapping of an SQS queue, from which the function reads, with partial responses.

    A failed message is visible again after the visibility timeout, six times the
    function's timeout. After too many receives it moves to the queue's dead-letter
    queue, and an operator moves it back as a new message.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Args:
        function: What is invoked.
        name: Its name. A name that ends in ``.fifo`` makes a FIFO queue: a message is not
            received while an earlier one of its group is not done.
        seed: Selects the sizes of batches.
        in_array: Whether a Pipe reads it, which passes an array.
        max_receives: Maximum of receives of a message; None for no limit.
        gives_parked_back: Whether its messages are parked ones.
    """

    VISIBILITY_TIMEOUT: Final = 360.0

    def __init__(
        self,
        function: Receiver,
        name: str,
        seed: int,
        *,
        in_array: bool = False,
        max_receives: int | None = 5,
        gives_parked_back: bool = False,
    ) -> None:
        self._function = function
        self._name = name
        self._random = random.Random(seed)
        self._in_array = in_array
        self._max_receives = max_receives
        self._gives_parked_back = gives_parked_back
        self.moved_back = 0

    def deliver(self, messages: Iterable[Message]) -> None:
        """Deliver messages until all are done."""
        waiting = list(messages)
        if not self._name.endswith(".fifo"):
            self._random.shuffle(waiting)  # SQS guarantees no order
        while waiting:
            dead = self._deliver_until_dead(waiting)
            self.moved_back += len(dead)
            waiting = [Message(body=each.body, keys=each.keys) for each in dead]

    def _deliver_until_dead(self, waiting: list[Message]) -> list[Message]:
        clock, dead = self._function.clock, []
        while waiting:
            batch = self._receive(waiting)
            if not batch:
                times = [each.visible_at for each in waiting if each.visible_at > clock()]
                clock.reach(min(times))
                continue
            records = [by_sqs(self._name, each) for each in batch]
            payload = json.dumps(records if self._in_array else {"Records": records})
            failed = self._function.invoke(
                payload, batch, gives_parked_back=self._gives_parked_back
            )
            done = {each.id for each in batch} - {each.id for each in failed}
            over = {
                each.id
                for each in failed
                if self._max_receives and each.receives >= self._max_receives
            }
            dead += [each for each in failed if each.id in over]
            waiting[:] = [each for each in waiting if each.id not in done | over]
        return dead

    def _receive(self, waiting: list[Message]) -> list[Message]:
        now = self._function.clock()
        most = self._random.randint(1, _BATCH)
        batch: list[Message] = []
        blocked: set[str] = set()
        for message in waiting:
            if message.visible_at > now or message.group in blocked:
                blocked |= {message.group} - {""}
            else:
                batch.append(message)
                message.receives += 1
                message.visible_at = now + self.VISIBILITY_TIMEOUT
                if len(batch) == most:
                    break
        return batch


class BatchJob:
    """A job of S3 Batch Operations, which invokes the function for the objects of a manifest.

    It tries a task again that failed temporarily, or whose invocation failed.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html

    Args:
        function: What is invoked.
        bucket: The bucket of the objects.
        seed: Selects the numbers of tasks of the invocations.
    """

    WAIT: Final = 30.0
    """Seconds between two tries of all tasks that are left."""
    MAX_TASKS: Final = 3
    """Of an invocation."""

    def __init__(self, function: Receiver, bucket: str, seed: int) -> None:
        self._function = function
        self._bucket = bucket
        self._random = random.Random(seed)

    def deliver(self, tasks: Iterable[Message]) -> None:
        """Deliver tasks until all have succeeded."""
        left = list(tasks)
        while left:
            again = []
            while left:
                count = self._random.randint(1, self.MAX_TASKS)
                some, left = left[:count], left[count:]
                again += self._function.invoke(json.dumps(by_s3_batch(self._bucket, some)), some)
            left = again
            self._function.clock.sleep(self.WAIT)
