"""Delivery of events to the function, and redelivery, as Lambda, SQS and S3 do it."""

from __future__ import annotations

import heapq
import itertools
import json
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.manifest import USER_ARGUMENT
from tests.aws_in_memory import ACCOUNT, REGION
from tests.build import sqs_record

if TYPE_CHECKING:
    from .world import World

MAX_BATCH: Final = 10
MAX_TASKS: Final = 3
"""Tasks of S3 Batch Operations in an invocation."""
RETRIES: Final = (60.0, 120.0)
"""Seconds that Lambda waits before it tries a failed event again."""
SECONDS_BETWEEN_EVENTS: Final = 4.0
SECONDS_BETWEEN_TRIES_OF_TASKS: Final = 30.0
VISIBILITY_TIMEOUT: Final = 360.0


@dataclass(slots=True, kw_only=True)
class Message:
    """A message in a queue, or a stand-in for an invocation."""

    body: str
    keys: frozenset[str]
    group: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    receives: int = 0
    visible_at: float = 0.0


def by_sqs(queue: str, message: Message) -> dict[str, Any]:
    """Return the record of a received message."""
    attributes = {"ApproximateReceiveCount": str(message.receives)}
    if message.group:
        attributes["MessageGroupId"] = message.group
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
    return sqs_record(message.body, message.id, arn, **attributes)


def invoke_until_done(world: World, messages: Iterable[Message]) -> None:
    """Deliver events by Lambda's own queue, through which S3, SNS and EventBridge invoke.

    Lambda retries a failed event after one minute and after two more, with the same
    request id; then it moves the event to the dead-letter queue as it is.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    order = itertools.count()
    waiting = [
        (world.clock() + number * SECONDS_BETWEEN_EVENTS, next(order), each)
        for number, each in enumerate(messages)
    ]
    while waiting:
        moment, _, message = heapq.heappop(waiting)
        world.clock.reach(moment)
        if world.invoke(message.body, [message], message.id):
            message.receives += 1
            if message.receives > len(RETRIES):
                world.put_dead_letter(message.body)
            else:
                again = world.clock() + RETRIES[message.receives - 1]
                heapq.heappush(waiting, (again, next(order), message))


def run_batch_job(world: World, bucket: str, tasks: Iterable[Message], seed: int) -> None:
    """Run a job of S3 Batch Operations, which invokes the function for objects of a manifest.

    It tries a task again that failed temporarily, or whose invocation failed. The bodies of the
    tasks are keys.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html
    """
    numbers = random.Random(seed)
    left = list(tasks)
    while left:
        again = []
        while left:
            count = numbers.randint(1, MAX_TASKS)
            some, left = left[:count], left[count:]
            payload = {
                "invocationSchemaVersion": "2.0",
                "invocationId": str(uuid.uuid4()),
                "job": {"id": "job", "userArguments": dict([USER_ARGUMENT])},
                "tasks": [
                    {"taskId": each.id, "s3Key": each.body, "s3VersionId": None, "s3Bucket": bucket}
                    for each in some
                ],
            }
            again += world.invoke(json.dumps(payload), some)
        left = again
        world.clock.sleep(SECONDS_BETWEEN_TRIES_OF_TASKS)


def read_queue(
    world: World,
    queue: str,
    messages: Iterable[Message],
    seed: int,
    *,
    in_array: bool = False,
    max_receives: int | None = None,
    gives_parked_back: bool = False,
) -> None:
    """Deliver messages by a mapping of an SQS queue, with partial responses, until all are done.

    A failed message is visible again after the visibility timeout, six times the
    function's timeout. After too many receives it moves to the queue's dead-letter
    queue, and an operator moves it back as a new message.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Args:
        world: The function.
        queue: The queue's name. A name that ends in ``.fifo`` makes a FIFO queue: a message is
            not received while an earlier one of its group is not done.
        messages: The messages.
        seed: Selects the sizes of batches.
        in_array: Whether a Pipe reads it, which passes an array.
        max_receives: Maximum of receives of a message; None for no limit.
        gives_parked_back: Whether the messages are parked ones.
    """
    numbers = random.Random(seed)
    waiting, dead = list(messages), list[Message]()
    if not queue.endswith(".fifo"):
        numbers.shuffle(waiting)  # SQS guarantees no order
    while waiting:
        now = world.clock()
        batch = _receive(waiting, now, numbers.randint(1, MAX_BATCH))
        if batch:
            records = [by_sqs(queue, each) for each in batch]
            payload = json.dumps(records if in_array else {"Records": records})
            failed = world.invoke(payload, batch, gives_parked_back=gives_parked_back)
            over = [each for each in failed if each.receives == max_receives]
            dead += over
            done = {each.id for each in batch} - {each.id for each in failed}
            gone = done | {each.id for each in over}
            waiting = [each for each in waiting if each.id not in gone]
        else:
            world.clock.reach(min(each.visible_at for each in waiting if each.visible_at > now))
        if not waiting:
            waiting, dead = [Message(body=each.body, keys=each.keys) for each in dead], []


def _receive(waiting: list[Message], now: float, most: int) -> list[Message]:
    batch: list[Message] = []
    blocked: set[str] = set()
    for message in waiting:
        if message.visible_at > now or message.group in blocked:
            blocked |= {message.group} - {""}
        elif len(batch) < most:
            batch.append(message)
            message.receives += 1
            message.visible_at = now + VISIBILITY_TIMEOUT
    return batch
