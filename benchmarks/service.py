"""The operations of DynamoDB and SQS that the function calls.

As a separate process it answers over HTTP/1.1 with keep-alive, after a latency that can
be set. It counts calls and read units, and keeps the messages until `take` returns them.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from boto3.dynamodb.types import TypeSerializer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    Item = dict[str, dict[str, Any]]

ROOT: Final = Path(__file__).resolve().parent.parent
READ_UNIT: Final = 4096
_SERIALIZER: Final = TypeSerializer()
PAGE: Final = 1024 * 1024
"""Bytes of items that DynamoDB reads for one page."""


def size_of(value: Mapping[str, Any]) -> int:
    """Return the bytes of an attribute value, as DynamoDB counts them.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    [(kind, content)] = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content) // 2 + 2
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + size_of(each) for name, each in content.items())
    if kind == "L":
        return 3 + sum(1 + size_of(each) for each in content)
    return 1


def size_of_item(item: Item) -> int:
    """Return the bytes of an item."""
    return sum(len(name.encode()) + size_of(value) for name, value in item.items())


def read_units(size: int) -> float:
    """Return the read units of an eventually consistent read of some bytes."""
    return max(1, math.ceil(size / READ_UNIT)) / 2


class Service:
    """Tables and queues in memory, and the operations on them."""

    def __init__(self) -> None:
        self.latency = 0.0
        self._buckets: dict[str, list[Item]] = {}
        self._levels: dict[tuple[str, str], list[Item]] = {}
        self._sizes: dict[int, int] = {}
        self._jobs: dict[str, Item] = {}
        self._calls: Counter[str] = Counter()
        self._read_units = 0.0
        self._sent: list[tuple[str, str]] = []

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a call of AWS, or a call of the benchmarks' own."""
        return _OPERATIONS[operation](self, request)

    def count(self, operation: str) -> None:
        """Count a call."""
        self._calls[operation] += 1

    def setup(self, request: dict[str, Any]) -> dict[str, Any]:
        """Replace the content of the tables."""
        self._buckets, self._levels = {}, {}
        for item in sorted(request["triggers"], key=lambda each: str(each["prefix"]["S"])):
            bucket, prefix = item["bucket"]["S"], item["prefix"]["S"]
            self._buckets.setdefault(bucket, []).append(item)
            self._levels.setdefault((bucket, prefix), []).append(item)
            self._sizes[id(item)] = size_of_item(item)
        self._jobs = {item["job_id"]["S"]: item for item in request["jobs"]}
        return self.take({})

    def delay(self, request: dict[str, Any]) -> dict[str, Any]:
        """Set the latency of each call, in seconds."""
        self.latency = request["seconds"]
        return {}

    def take(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the calls and messages since the last `take`."""
        seen = {"calls": self._calls, "read_units": self._read_units, "sent": self._sent}
        self._calls, self._read_units, self._sent = Counter(), 0.0, []
        return seen

    def query(self, request: dict[str, Any]) -> dict[str, Any]:
        """Query the index by bucket, or by bucket and prefix."""
        values = request["ExpressionAttributeValues"]
        bucket = values[":b"]["S"]
        if ":p" in values:
            items = self._levels.get((bucket, values[":p"]["S"]), [])
        else:
            items = self._buckets.get(bucket, [])
        start = (
            int(request["ExclusiveStartKey"]["place"]["N"]) if "ExclusiveStartKey" in request else 0
        )
        page: list[Item] = []
        size = 0
        for item in items[start:]:
            if size >= PAGE or len(page) == request.get("Limit"):
                break
            page.append(item)
            size += self._sizes[id(item)]
        self._read_units += read_units(size)
        answer = {"Items": page, "Count": len(page)}
        # DynamoDB returns a key also where the limit was just enough.
        if len(page) < len(items) - start or len(page) == request.get("Limit"):
            answer["LastEvaluatedKey"] = {"place": {"N": str(start + len(page))}}
        return answer

    def get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        """Get a job."""
        item = self._jobs[request["Key"]["job_id"]["S"]]
        self._read_units += read_units(size_of_item(item))
        return {"Item": item}

    def get_queue_url(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the URL of a queue; every queue exists."""
        return {"QueueUrl": queue_url(request["QueueName"])}

    def send_message_batch(self, request: dict[str, Any]) -> dict[str, Any]:
        """Keep what is sent."""
        done = []
        for entry in request["Entries"]:
            body = entry["MessageBody"]
            self._sent.append((request["QueueUrl"].rpartition("/")[2], body))
            digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
            done.append({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": digest})
        return {"Successful": done, "Failed": []}


_OWN: Final = ("Delay", "Setup", "Take")
_OPERATIONS: Final[dict[str, Callable[[Service, dict[str, Any]], dict[str, Any]]]] = {
    "Delay": Service.delay,
    "GetItem": Service.get_item,
    "GetQueueUrl": Service.get_queue_url,
    "Query": Service.query,
    "SendMessageBatch": Service.send_message_batch,
    "Setup": Service.setup,
    "Take": Service.take,
}


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
    """The service in this process, with a client that costs next to nothing."""

    def __init__(self) -> None:
        self._service = Service()
        self.client: Any = _Client(self._service)
        """Stands in for both of botocore's clients."""

    def ask(self, operation: str, **request: Any) -> Any:
        """Call an operation of the benchmarks' own."""
        return self._service.answer(operation, request)


class _Client:
    """The calls that the function makes, without botocore and network."""

    class meta:  # noqa: N801 - as botocore names it
        region_name = "ap-southeast-2"

    def __init__(self, service: Service) -> None:
        def call(operation: str) -> Callable[..., dict[str, Any]]:
            def answer(**request: Any) -> dict[str, Any]:
                service.count(operation)
                return service.answer(operation, request)

            return answer

        self.query = call("Query")
        self.get_item = call("GetItem")
        self.get_queue_url = call("GetQueueUrl")
        self.send_message_batch = call("SendMessageBatch")


_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"
)
_MAX_HEAD_BYTES: Final = 64 * 1024 * 1024


async def _converse(
    service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            break
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        request = json.loads(await reader.readexactly(int(headers[b"content-length"])))
        operation = headers[b"x-amz-target"].decode().rpartition(".")[2]
        if operation not in _OWN:
            service.count(operation)
            if service.latency:
                await asyncio.sleep(service.latency)
        answer = json.dumps(service.answer(operation, request)).encode()
        writer.write(_HEAD % len(answer) + answer)
    writer.close()


async def _serve() -> None:
    service = Service()
    server = await asyncio.start_server(
        lambda reader, writer: _converse(service, reader, writer),
        "127.0.0.1",
        0,
        limit=_MAX_HEAD_BYTES,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
