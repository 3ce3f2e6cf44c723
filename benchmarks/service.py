"""The operations of DynamoDB and SQS that the function calls.

As a separate process it answers over HTTP/1.1 with keep-alive, after a latency that can
be set. It counts calls and read units, and keeps the messages until `take` returns them.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from boto3.dynamodb.types import TypeSerializer

from tests.aws_in_memory import Aws, Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from tests.aws_in_memory import Item, Queue

ROOT: Final = Path(__file__).resolve().parent.parent
REALM: Final = "bench"
_SERIALIZER: Final = TypeSerializer()


class Service(Aws):
    """AWS in memory with every queue, a latency, and operations of the benchmarks' own."""

    def __init__(self) -> None:
        super().__init__()
        self._latency = 0.0
        # Kept calls would cost memory and garbage collection that are not the function's.
        self.log = deque(maxlen=0)  # type: ignore[assignment]

    def call(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a call of AWS after the latency, or at once a call of the benchmarks' own."""
        own: dict[str, Callable[..., dict[str, Any]]] = {
            "Delay": self._delay,
            "Setup": self._setup,
            "Take": self._take,
        }
        if name in own:
            return own[name](**request)
        if self._latency:
            time.sleep(self._latency)
        return super().call(name, request)

    def find_queue(self, name: str) -> Queue:
        """Return the queue of a name; every queue exists."""
        return self.queues.get(name) or self.add_queue(name)

    def _setup(self, triggers: list[Item], jobs: list[Item]) -> dict[str, Any]:
        realm = self.realm(REALM)
        for item in triggers:
            realm.triggers.put_item(item)
        for item in jobs:
            realm.jobs.put_item(item)
        return self._take()

    def _delay(self, seconds: float) -> dict[str, Any]:
        self._latency = seconds
        return {}

    def _take(self) -> dict[str, Any]:
        read_units = sum(table.read_units for table in self.tables.values())
        for table in self.tables.values():
            table.read_units = 0.0
        calls = dict(self.calls)
        self.forget_calls()
        sent = [
            (name, message.text) for name, queue in self.queues.items() for message in queue.take()
        ]
        return {"calls": calls, "read_units": read_units, "sent": sent}


def queue_url(queue: str) -> str:
    """Return the URL of a queue."""
    return f"http://127.0.0.1/123456789012/{queue}"


@dataclass(frozen=True, slots=True)
class Seen:
    """Calls, read units and messages since the last `take`."""

    calls: dict[str, int]
    read_units: float
    sent: list[tuple[str, str]]
    """Pairs of queue and message."""

    @property
    def reads(self) -> int:
        """Number of DynamoDB calls."""
        return self.calls.get("Query", 0) + self.calls.get("GetItem", 0)


class Control:
    """Controls the service, in this process or another."""

    def ask(self, operation: str, **request: Any) -> Any:
        """Call an operation of the benchmarks' own."""
        raise NotImplementedError

    def setup(self, triggers: Iterable[dict[str, Any]], workers: int = 1) -> None:
        """Replace the tables: the triggers, and ``job0`` for ``worker0`` and so on."""
        job = {"type": "exe", "payload": "run.sh", "enabled": True}
        jobs = [job | {"job_id": f"job{n}", "worker": f"worker{n}"} for n in range(workers)]
        self.ask("Setup", triggers=[*map(to_item, triggers)], jobs=[*map(to_item, jobs)])

    def delay(self, seconds: float) -> None:
        """Set the latency of each call."""
        self.ask("Delay", seconds=seconds)

    def take(self) -> Seen:
        """Return the calls and messages since the last `take`."""
        return Seen(**self.ask("Take"))


def to_item(entry: dict[str, Any]) -> Item:
    """Return an entry as a DynamoDB item."""
    # Not by the command line's own modules: other checkouts have them elsewhere.
    return {name: {**_SERIALIZER.serialize(value)} for name, value in entry.items()}


class RemoteService(Control):
    """The service in a separate process, until the context ends."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.service"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if not self._process.stdout:
            raise AssertionError
        port = int(self._process.stdout.readline())
        self.endpoint = f"http://127.0.0.1:{port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()
        self._process.communicate()  # it ends with its standard input

    def ask(self, operation: str, **request: Any) -> Any:
        """Call an operation of the benchmarks' own."""
        headers = {"X-Amz-Target": f"benchmarks.{operation}"}
        self._connection.request("POST", "/", json.dumps(request), headers)
        return json.loads(self._connection.getresponse().read())


class LocalService(Control):
    """The service in this process, with a client that takes some 20 microseconds of a call."""

    def __init__(self) -> None:
        self._service = Service()
        self.client: Any = self._service.client
        """Replaces both of botocore's clients."""

    def ask(self, operation: str, **request: Any) -> Any:
        """Call an operation of the benchmarks' own."""
        return self._service.call(operation, request)


class _Served(Service, Endpoint):
    """The service over HTTP."""


if __name__ == "__main__":
    with _Served() as served:
        print(served.url.rpartition(":")[2], flush=True)
        sys.stdin.read()
