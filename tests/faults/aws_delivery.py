"""Delivery of S3 events to the function, and redelivery, as AWS does it."""

from __future__ import annotations

import copy
import heapq
import itertools
import json
import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.replay.manifest import manifest_row
from lava_s3trigger.manifest import USER_ARGUMENT, ListedObject

from .calls import BUCKET, DEAD_LETTERS
from .ledger import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .world import World

_SAMPLES: Final = Path(__file__).resolve().parents[2] / "events"
_ARN: Final = "arn:aws:sqs:ap-southeast-2:123456789012:"
_BATCH: Final = 10
GROUPS: Final = 7


@dataclass(slots=True, kw_only=True)
class Message:
    """A message in a queue, or a stand-in for an invocation."""

    body: str
    keys: frozenset[str]
    group: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    receives: int = 0
    visible_at: float = 0.0


def _sample(name: str) -> Any:
    return json.loads((_SAMPLES / name).read_text())


_S3: Final = _sample("s3-created.json")
_EVENTBRIDGE: Final = _sample("eventbridge-created.json")
_SNS: Final = _sample("sns-s3.json")
_SNS_IN_SQS: Final = json.loads(_sample("sqs-sns-s3.json")["Records"][0]["body"])
_SQS: Final = _sample("sqs-s3.json")["Records"][0]


def of_s3(key: str, number: int) -> str:
    """Return S3's notification about an object."""
    event = copy.deepcopy(_S3)
    (record,) = event["Records"]
    record["s3"]["bucket"]["name"] = BUCKET
    record["s3"]["object"] |= {"key": key, "sequencer": f"{number:018X}"}
    return json.dumps(event)


def of_eventbridge(key: str, number: int) -> str:
    """Return EventBridge's event about an object."""
    event = copy.deepcopy(_EVENTBRIDGE)
    event["detail"]["bucket"]["name"] = BUCKET
    event["detail"]["object"] |= {"key": key, "sequencer": f"{number:018x}"}
    return json.dumps(event)


def of_manifest(key: str, number: int) -> str:
    """Return the key column of an object in a manifest of S3 Batch Operations."""
    time = datetime(2026, 3, 14, tzinfo=UTC) + timedelta(seconds=number)
    return manifest_row(BUCKET, ListedObject(key=key, size=10, last_modified=time)).split(",")[1]


def by_s3_batch(tasks: Iterable[Message]) -> dict[str, Any]:
    """Return the payload with which S3 Batch Operations invokes a function."""
    return {
        "invocationSchemaVersion": "2.0",
        "invocationId": str(uuid.uuid4()),
        "job": {"id": "job", "userArguments": dict([USER_ARGUMENT])},
        "tasks": [
            {"taskId": each.id, "s3Key": each.body, "s3VersionId": None, "s3Bucket": BUCKET}
            for each in tasks
        ],
    }


def by_sns(text: str) -> str:
    """Return the payload with which SNS invokes a function."""
    event = copy.deepcopy(_SNS)
    event["Records"][0]["Sns"]["Message"] = text
    return json.dumps(event)


def by_sns_to_sqs(text: str) -> str:
    """Return the message that SNS sends to a queue."""
    return json.dumps(_SNS_IN_SQS | {"Message": text})


def by_sqs(queue: str, message: Message) -> dict[str, Any]:
    """Return the record of a received message."""
    attributes = _SQS["attributes"] | {"ApproximateReceiveCount": str(message.receives)}
    if message.group:
        attributes["MessageGroupId"] = message.group
    more = {"messageId": message.id, "body": message.body, "attributes": attributes}
    record: dict[str, Any] = _SQS | more | {"eventSourceARN": _ARN + queue}
    return record


class Invocations:
    """Lambda's own queue of events, through which S3, SNS and EventBridge invoke a function.

    Lambda retries a failed event after one minute and after two more, with the same
    request id; then it moves the event to the dead-letter queue as it is.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """

    WAITS: Final = (60.0, 120.0)
    BETWEEN: Final = 2.0
    """Seconds from one event to the next."""

    def __init__(self, world: World) -> None:
        self._world = world

    def deliver(self, messages: Iterable[Message]) -> None:
        """Deliver events until each is done or in the dead-letter queue."""
        clock = self._world.clock
        order = itertools.count()
        waiting = [(clock() + next(order) * self.BETWEEN, next(order), each) for each in messages]
        heapq.heapify(waiting)
        while waiting:
            moment, _, message = heapq.heappop(waiting)
            clock.reach(moment)
            if self._world.invoke(message.body, [message], message.id):
                message.receives += 1
                if message.receives > len(self.WAITS):
                    self._world.put_dead_letter(message.body)
                else:
                    again = clock() + self.WAITS[message.receives - 1]
                    heapq.heappush(waiting, (again, next(order), message))


class Queue:
    """An SQS queue that the function reads, with partial responses.

    A failed message is visible again after the visibility timeout, six times the
    function's timeout. After too many receives it moves to the queue's dead-letter
    queue, and an operator moves it back as a new message.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    Args:
        world: The world of the function.
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
        world: World,
        name: str,
        seed: int,
        *,
        in_array: bool = False,
        max_receives: int | None = 5,
        gives_parked_back: bool = False,
    ) -> None:
        self._world = world
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
        clock, dead = self._world.clock, []
        while waiting:
            batch = self._receive(waiting)
            if not batch:
                times = [each.visible_at for each in waiting if each.visible_at > clock()]
                clock.reach(min(times))
                continue
            records = [by_sqs(self._name, each) for each in batch]
            payload = json.dumps(records if self._in_array else {"Records": records})
            failed = self._world.invoke(payload, batch, gives_parked_back=self._gives_parked_back)
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
        now = self._world.clock()
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
        world: The world of the function.
        seed: Selects the numbers of tasks of the invocations.
    """

    WAIT: Final = 30.0
    """Seconds between two tries of all tasks that are left."""
    MAX_TASKS: Final = 3
    """Of an invocation."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)

    def deliver(self, tasks: Iterable[Message]) -> None:
        """Deliver tasks until all have succeeded."""
        left = list(tasks)
        while left:
            again = []
            while left:
                count = self._random.randint(1, self.MAX_TASKS)
                some, left = left[:count], left[count:]
                again += self._world.invoke(json.dumps(by_s3_batch(some)), some)
            left = again
            self._world.clock.sleep(self.WAIT)


@dataclass(frozen=True, slots=True)
class Route:
    """A route of events to the function."""

    name: str
    _source: Callable[[str, int], str]
    _wrap: Callable[[str], str] = str
    queue: str = ""
    """Name of the queue that the function reads, if any."""
    in_array: bool = False
    is_batch_job: bool = False

    def deliver(self, world: World, keys: Sequence[str], seed: int) -> None:
        """Deliver an event about each key until all are done or in a dead-letter queue."""
        messages = (
            Message(
                body=self._wrap(self._source(key, number)),
                keys=frozenset([key]),
                group=group_of(number) if self.is_fifo else "",
            )
            for number, key in enumerate(keys)
        )
        if self.is_batch_job:
            BatchJob(world, seed).deliver(messages)
        elif self.queue:
            # A FIFO queue with a dead-letter queue would lose its order.
            most = None if self.is_fifo else 5
            Queue(world, self.queue, seed, in_array=self.in_array, max_receives=most).deliver(
                messages
            )
        else:
            Invocations(world).deliver(messages)

    @property
    def is_fifo(self) -> bool:
        """Whether the order within message groups is kept."""
        return self.queue.endswith(".fifo")


def groups(keys: Sequence[str]) -> list[Sequence[str]]:
    """Return the keys of each message group."""
    return [keys[number::GROUPS] for number in range(GROUPS)]


def group_of(number: int) -> str:
    """Return the message group of an event."""
    return f"group-{number % GROUPS}"


ROUTES: Final = (
    Route("S3", of_s3),
    Route("S3 \N{RIGHTWARDS ARROW} SNS", of_s3, by_sns),
    Route("EventBridge", of_eventbridge),
    Route("S3 \N{RIGHTWARDS ARROW} SQS", of_s3, queue="intake"),
    Route(
        "S3 \N{RIGHTWARDS ARROW} SNS \N{RIGHTWARDS ARROW} SQS", of_s3, by_sns_to_sqs, queue="intake"
    ),
    Route("EventBridge \N{RIGHTWARDS ARROW} SQS", of_eventbridge, queue="intake"),
    Route("SQS \N{RIGHTWARDS ARROW} Pipe", of_s3, queue="intake", in_array=True),
    Route("S3 Batch Operations", of_manifest, is_batch_job=True),
    Route("FIFO SQS", of_s3, queue="intake.fifo"),
)


def redrive(world: World, seed: int) -> None:
    """Redrive the dead-letter queue until it is empty."""
    while world.dead_letters.messages:
        taken = [json.loads(each.text) for each in world.dead_letters.take()]
        # AWS mixes them; separate, the ledger can tell their effects apart.
        for is_parked in (False, True):
            messages = [
                Message(body=json.dumps(each), keys=frozenset(_keys(each)))
                for each in taken
                if ("parked" in each) is is_parked
            ]
            Queue(
                world, DEAD_LETTERS, seed, max_receives=None, gives_parked_back=is_parked
            ).deliver(messages)


def _keys(body: dict[str, Any]) -> list[str]:
    if "parked" in body:
        return [key_of(body["event"])]
    records = body.get("Records", [body])
    return [
        key
        for each in records
        for key in (_keys(json.loads(each["Sns"]["Message"])) if "Sns" in each else [key_of(each)])
    ]
