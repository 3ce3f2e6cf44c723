"""The deployed stack: the real template and package, on a local AWS that enforces IAM."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from tools.local.connections import Connections
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, LocalAws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Redrive = Callable[[], None]

REALM: Final = "e2e"
_PATIENCE: Final = 90  # seconds, far more than anything takes


@dataclass(frozen=True)
class Stack:
    """A deployed function, and the realm it works for."""

    aws: LocalAws
    realm: Realm
    outputs: dict[str, str]

    @property
    def connections(self) -> Connections:
        return Connections(self.aws, self.realm.name, self.outputs["FunctionArn"])

    def put(self, bucket: str, key: str, body: bytes = b"data") -> None:
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    def trigger(self, trigger_id: str, bucket: str, prefix: str = "*", **fields: Any) -> None:
        entry = {"trigger_id": trigger_id, "bucket": bucket, "prefix": prefix, "enabled": True}
        self.realm.put("s3triggers", [entry | {"job_id": "job-core"} | fields])

    def dispatches(self, worker: str, count: int) -> list[dict[str, Any]]:
        """Wait for so many dispatches of a worker, and see that no more come with them."""
        found: list[dict[str, Any]] = []

        def arrived() -> bool:
            found.extend(json.loads(each["Body"]) for each in self.realm.receive(worker))
            return len(found) >= count

        wait_until(arrived, f"{count} dispatches to {worker}, beyond {found}")
        assert len(found) == count, found
        return found

    def queue_url(self, name: str) -> str:
        url: str = self.aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        return url

    def waiting(self, url: str) -> int:
        """Count the messages of a queue: visible, in flight and delayed."""
        names = ("", "NotVisible", "Delayed")
        asked = [f"ApproximateNumberOfMessages{name}" for name in names]
        attributes = self.aws.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=asked
        )["Attributes"]
        return sum(int(attributes[name]) for name in asked)


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack with its intake queue; jobs job-core and job-web, each for that worker."""
    with LocalAws(auth=True) as aws:
        realm = Realm(aws, REALM)
        realm.make(["core", "web"])
        outputs = aws.deploy(
            CHECKOUT / "template.yaml",
            CHECKOUT / "build" / "package",
            "lava-e2e-s3trigger",
            {"Realm": REALM, "CacheTtl": "0", "LogLevel": "debug", "CreateIntake": "true"},
        )
        realm.put(
            "jobs",
            [
                {
                    "job_id": f"job-{worker}",
                    "type": "exe",
                    "worker": worker,
                    "payload": "x",
                    "enabled": True,
                }
                for worker in ("core", "web")
            ],
        )
        for _ in range(3):  # the server throttles a cold burst
            aws.client("lambda").invoke(
                FunctionName=outputs["FunctionName"], Payload=b'{"Event": "s3:TestEvent"}'
            )
        yield Stack(aws, realm, outputs)


@pytest.fixture
def redrive(stack: Stack) -> Iterator[Redrive]:
    """Turn the mapping from the dead-letter queue on, until it is empty; and off again."""
    client, mapping = stack.aws.client("lambda"), stack.outputs["RedriveMappingId"]

    def run() -> None:
        client.update_event_source_mapping(UUID=mapping, Enabled=True)
        url = stack.outputs["DeadLetterQueueUrl"]
        wait_until(lambda: stack.waiting(url) == 0, "the dead-letter queue to be empty")

    yield run
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
