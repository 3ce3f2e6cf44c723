"""The routes of S3 events to the function."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lava_s3trigger.cli.replay.manifest import manifest_row
from lava_s3trigger.manifest import ListedObject
from tests.build import direct, eventbridge, s3_record, sns_record
from tests.routes import sns_envelope

from .calls import BUCKET, DEAD_LETTERS
from .delivery import Message, invoke_until_done, read_queue, run_batch_job
from .ledger import key_of
from .world import World

GROUPS: Final = 7


def of_s3(key: str, number: int) -> str:
    record = s3_record(key)
    record["s3"]["bucket"]["name"] = BUCKET
    record["s3"]["object"]["sequencer"] = f"{number:018X}"
    return json.dumps(direct(record))


def of_eventbridge(key: str, number: int) -> str:
    event = eventbridge(key, BUCKET)
    event["detail"]["object"]["sequencer"] = f"{number:018x}"
    return json.dumps(event)


def of_manifest(key: str, number: int) -> str:
    """Return the key column of an object in a manifest of S3 Batch Operations."""
    time = datetime(2026, 3, 14, tzinfo=UTC) + timedelta(seconds=number)
    return manifest_row(BUCKET, ListedObject(key=key, size=10, last_modified=time)).split(",")[1]


@dataclass(frozen=True, slots=True)
class Route:
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
            run_batch_job(world, BUCKET, messages, seed)
        elif self.queue:
            # A FIFO queue with a dead-letter queue would lose its order.
            settings: Any = {"in_array": self.in_array, "max_receives": None if self.is_fifo else 5}
            read_queue(world, self.queue, messages, seed, **settings)
        else:
            invoke_until_done(world, messages)

    @property
    def is_fifo(self) -> bool:
        return self.queue.endswith(".fifo")


def groups(keys: Sequence[str]) -> list[Sequence[str]]:
    """Return the keys of each message group."""
    return [keys[number::GROUPS] for number in range(GROUPS)]


def group_of(number: int) -> str:
    return f"group-{number % GROUPS}"


ROUTES: Final = (
    Route("S3", of_s3),
    Route("S3 → SNS", of_s3, lambda text: json.dumps(direct(sns_record(text)))),
    Route("EventBridge", of_eventbridge),
    Route("S3 → SQS", of_s3, queue="intake"),
    Route("S3 → SNS → SQS", of_s3, lambda text: json.dumps(sns_envelope(text)), queue="intake"),
    Route("EventBridge → SQS", of_eventbridge, queue="intake"),
    Route("SQS → Pipe", of_s3, queue="intake", in_array=True),
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
            read_queue(world, DEAD_LETTERS, messages, seed, gives_parked_back=is_parked)


def _keys(body: dict[str, Any]) -> list[str]:
    if "parked" in body:
        return [key_of(body["event"])]
    records = body.get("Records", [body])
    return [
        key
        for each in records
        for key in (_keys(json.loads(each["Sns"]["Message"])) if "Sns" in each else [key_of(each)])
    ]
