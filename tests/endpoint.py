"""An HTTP endpoint of our own that answers as DynamoDB, SQS and S3 do, or as they fail.

Real clients of botocore talk to it. It keeps tables and queues in memory, counts
every call, and breaks those that a test names:

    with Endpoint() as endpoint:
        realm = endpoint.realm("demo", ["core"])
        realm.jobs.put({"job_id": "load", "type": "cmd", "worker": "core", "payload": "x"})
        endpoint.fail({("SendMessageBatch", 1): LOST_REPLY})
        dynamodb, sqs = endpoint.clients
        ...
        assert endpoint.calls == {"GetQueueUrl": 1, "SendMessageBatch": 2}

Of S3, it knows HeadObject alone: its answer is the headers.

An operation more is one function, decorated with `operation`. What the services
refuse stands with its code in what such a function raises, `RefusedError`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
import socket
import socketserver
import struct
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.cli.entries.dynamodb import attribute_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

Item = dict[str, dict[str, Any]]
"""An item of DynamoDB, as its low-level client has it."""
Request = dict[str, Any]
Answer = dict[str, Any]

REGION: Final = "ap-southeast-2"
ACCOUNT: Final = "123456789012"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The service refuses the whole call: nothing is done."""

    status: int
    code: str
    message: str = "refused by the test"
    more: Answer = field(default_factory=dict)
    """What else the answer holds."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset, before the work or after it."""

    is_done: bool


class Held:
    """The work is done, and the reply is held until `release`: for good, to a client that waits.

    Args:
        refusal: What the reply is then, instead of the answer; nothing is done.
    """

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refusal = refusal
        self.arrived = threading.Event()
        """Set once a call has arrived."""
        self.released = threading.Event()

    def release(self) -> None:
        """Let replies go."""
        self.released.set()


@dataclass(frozen=True, slots=True)
class EntryRefusal:
    """Why one entry of a batch is refused."""

    code: str
    is_senders_fault: bool
    message: str = "refused by the test"


@dataclass(frozen=True, slots=True)
class Partial:
    """A batch of which some entries are refused, by their place in it, from 0."""

    refusals: Mapping[int, EntryRefusal]


Fault = Refusal | Reset | Held | Partial

SERVER_ERROR: Final = Refusal(500, "InternalServerError")
DENIED: Final = Refusal(400, "AccessDeniedException")
KEY_DENIED: Final = Refusal(
    400,
    "KmsAccessDenied",
    "User: arn:aws:sts::123456789012:assumed-role/role/lava-demo-s3trigger is not authorized to "
    "perform: kms:GenerateDataKey on resource: arn:aws:kms:ap-southeast-2:123456789012:key/k "
    "because no identity-based policy allows the kms:GenerateDataKey action",
)
"""As SQS says it of a queue that is encrypted with a key that the caller may not use."""
THROTTLED: Final = Refusal(400, "RequestThrottled")
"""As SQS says it."""
READS_THROTTLED: Final = Refusal(400, "ProvisionedThroughputExceededException")
"""As DynamoDB says it."""
RESET: Final = Reset(is_done=False)
LOST_REPLY: Final = Reset(is_done=True)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has arrived."""

    operation: str
    number: int
    """Which of the calls of its operation it is, from 1."""
    request: Request


Faults = Callable[[Call], Fault | None]
"""Tells what goes wrong with a call; it is asked about one call at a time."""
FaultTable = Mapping[tuple[str, int | None], Fault]
"""Faults by operation and number of the call; None stands for all calls without their own."""


class RefusedError(Exception):
    """Raised by an operation: the service refuses the call."""

    def __init__(
        self, code: str, message: str, more: Answer | None = None, status: int = 400
    ) -> None:
        super().__init__(code, message)
        self.refusal = Refusal(status, code, message, more or {})


def _invalid(message: str) -> RefusedError:
    return RefusedError("ValidationException", message)


@dataclass(frozen=True, slots=True)
class Keys:
    """The key attributes of a table or an index."""

    partition: str
    sort: str | None = None

    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    _LONGEST_PARTITION = 2048
    _LONGEST_SORT = 1024

    def check(self, values: Item) -> None:
        """Refuse what DynamoDB refuses as the value of a key."""
        for name, value in values.items():
            text = value.get("S")
            longest = self._LONGEST_SORT if name == self.sort else self._LONGEST_PARTITION
            if text is None:
                raise _invalid(f"The provided key element {name} does not match the schema")
            if not text:
                raise _invalid(f"The AttributeValue for a key attribute cannot be empty: {name}")
            if len(text.encode()) > longest:
                raise _invalid(f"Size of {name} has exceeded the maximum size limit of {longest}")


class Table:
    """A table of DynamoDB.

    Args:
        keys: The key attributes; they must be strings.
        indexes: Those of its global secondary indexes, by name.
    """

    LARGEST_PAGE = 1024 * 1024
    """Bytes that one page of a query holds."""

    def __init__(self, keys: Keys, indexes: Mapping[str, Keys] | None = None) -> None:
        self.keys = keys
        self.indexes = dict(indexes or {})
        self.items: dict[tuple[str, ...], Item] = {}
        self.page: int | None = None
        """Items that a page holds at most, where it is to hold fewer than DynamoDB's."""

    def put(self, *entries: Mapping[str, Any]) -> None:
        """Put entries in, of plain values."""
        for entry in entries:
            self.put_item({name: attribute_of(value) for name, value in entry.items()})

    def put_item(self, item: Item) -> None:
        """Put an item in, instead of the one with its key."""
        self.items[self.key_of(item)] = item

    def remove(self, *key: str) -> None:
        """Take an item out."""
        del self.items[key]

    def key_of(self, item: Item) -> tuple[str, ...]:
        """Return the key of an item."""
        names = [self.keys.partition, *([self.keys.sort] if self.keys.sort else [])]
        return tuple(item[name]["S"] for name in names)

    def query(
        self, keys: Keys, wanted: Item, start: Item | None, limit: int | None
    ) -> tuple[list[Item], Item | None]:
        """Return one page of the items that have the wanted values, and where the next starts."""
        names = list(
            dict.fromkeys(
                name
                for name in (keys.sort, self.keys.partition, self.keys.sort, keys.partition)
                if name
            )
        )

        def place(item: Item) -> list[str]:
            return [item[name]["S"] for name in names]

        matching = [
            item
            for item in self.items.values()
            # What lacks a key of an index is not in it.
            if all(item.get(name, {}).get("S") for name in names)
            and all(item[name] == value for name, value in wanted.items())
        ]
        page: list[Item] = []
        room = self.LARGEST_PAGE
        most = min(limit or len(matching) + 1, self.page or len(matching) + 1)
        for item in sorted(matching, key=place):
            if start and place(item) <= place(start):
                continue
            room -= len(json.dumps(item))
            if page and room < 0:
                break
            page.append(item)
            if len(page) == most:  # DynamoDB does not look whether anything follows
                break
        else:
            return page, None
        return page, {name: page[-1][name] for name in names}


@dataclass(frozen=True, slots=True)
class Message:
    """A message that a queue has taken."""

    text: str
    delay: int
    """Seconds."""

    @property
    def json(self) -> Any:
        """The value that its text stands for."""
        return json.loads(self.text)


@dataclass(slots=True)
class Queue:
    """A queue of SQS."""

    name: str
    largest: int = 1024 * 1024
    """Its MaximumMessageSize, in bytes."""
    messages: list[Message] = field(default_factory=list)

    def take(self) -> list[Message]:
        """Take all messages off it."""
        taken, self.messages = self.messages, []
        return taken


class CannedRealm:
    """The tables and queues of a lava realm."""

    def __init__(self, endpoint: Endpoint, name: str, workers: Iterable[str]) -> None:
        self._endpoint = endpoint
        self.name = name
        self.triggers = Table(
            Keys("trigger_id"), indexes={"s3trigger-index": Keys("bucket", "prefix")}
        )
        self.jobs = Table(Keys("job_id"))
        endpoint.tables[f"lava.{name}.s3triggers"] = self.triggers
        endpoint.tables[f"lava.{name}.jobs"] = self.jobs
        for worker in workers:
            endpoint.add_queue(f"lava-{name}-{worker}")

    def queue(self, worker: str) -> Queue:
        """Return the queue of a worker."""
        return self._endpoint.queues[f"lava-{self.name}-{worker}"]


Operation = Callable[["Endpoint", Request], Answer]
OPERATIONS: Final[dict[str, Operation]] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register a function as an operation, named as in ``X-Amz-Target``.

    It is called with the endpoint's lock held, so that each is atomic.
    """

    def register(function: Operation) -> Operation:
        OPERATIONS[name] = function
        return function

    return register


@operation("Query")
def _query(endpoint: Endpoint, request: Request) -> Answer:
    table = endpoint.table(request)
    keys = table.indexes[request["IndexName"]] if "IndexName" in request else table.keys
    names: dict[str, str] = request.get("ExpressionAttributeNames", {})
    values: Item = request.get("ExpressionAttributeValues", {})
    wanted: Item = {}
    used = set()
    for part in request["KeyConditionExpression"].split(" AND "):
        name, equals, value = part.split()
        if equals != "=":
            raise _invalid(f"only = is understood here: {part}")
        used |= {name, value}
        wanted[names.get(name, name)] = values[value]
    if unused := {*names, *values} - used:
        raise _invalid(f"Value provided unused in expressions: {unused}")
    if not {keys.partition} <= wanted.keys() <= {keys.partition, keys.sort}:
        raise _invalid(f"Query condition missed key schema element: {keys.partition}")
    if request.get("Limit", 1) < 1:
        raise _invalid("Limit must be greater than or equal to 1")
    keys.check(wanted)
    items, last = table.query(keys, wanted, request.get("ExclusiveStartKey"), request.get("Limit"))
    answer: Answer = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
    return answer | {"LastEvaluatedKey": last} if last else answer


@operation("GetItem")
def _get_item(endpoint: Endpoint, request: Request) -> Answer:
    table = endpoint.table(request)
    table.keys.check(request["Key"])
    item = table.items.get(table.key_of(request["Key"]))
    return {"Item": item} if item else {}


@operation("GetQueueUrl")
def _get_queue_url(endpoint: Endpoint, request: Request) -> Answer:
    name = request["QueueName"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,75}(\.fifo)?|[A-Za-z0-9_-]{1,80}", name):
        raise RefusedError("InvalidParameterValue", "1 to 80 letters, digits, hyphens, underscores")
    endpoint.find_queue(name)
    return {"QueueUrl": f"{endpoint.url}/{ACCOUNT}/{name}"}


# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
_MOST_ENTRIES: Final = 10
_LARGEST_BATCH: Final = 1024 * 1024
_LONGEST_DELAY: Final = 900
_NOT_ALLOWED: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@operation("SendMessageBatch")
def _send_message_batch(endpoint: Endpoint, request: Request) -> Answer:
    queue = endpoint.find_queue(request["QueueUrl"].rpartition("/")[2])
    entries = request.get("Entries", [])
    ids = [entry["Id"] for entry in entries]
    if not entries:
        raise RefusedError("EmptyBatchRequest", "There should be at least one entry")
    if len(entries) > _MOST_ENTRIES:
        raise RefusedError("TooManyEntriesInBatchRequest", f"You have sent {len(entries)}.")
    if len(set(ids)) < len(ids):
        raise RefusedError("BatchEntryIdsNotDistinct", "Id is repeated")
    if not all(re.fullmatch("[A-Za-z0-9_-]{1,80}", each) for each in ids):
        raise RefusedError("InvalidBatchEntryId", "letters, digits, hyphens, underscores")
    if (total := sum(len(entry["MessageBody"].encode()) for entry in entries)) > _LARGEST_BATCH:
        raise RefusedError("BatchRequestTooLong", f"You have sent {total} bytes.")
    answer: dict[str, list[Answer]] = {}
    for number, entry in enumerate(entries):
        refusal = endpoint.refused_entries.get(number) or _refused(entry, queue)
        if refusal:
            answer.setdefault("Failed", []).append(
                {
                    "Id": entry["Id"],
                    "Code": refusal.code,
                    "Message": refusal.message,
                    "SenderFault": refusal.is_senders_fault,
                }
            )
        else:
            text = entry["MessageBody"]
            queue.messages.append(Message(text, entry.get("DelaySeconds", 0)))
            answer.setdefault("Successful", []).append(
                {
                    "Id": entry["Id"],
                    "MessageId": str(uuid.uuid4()),
                    "MD5OfMessageBody": hashlib.md5(text.encode()).hexdigest(),
                }
            )
    return answer


def _refused(entry: Request, queue: Queue) -> EntryRefusal | None:
    text = entry["MessageBody"]
    if len(text.encode()) > queue.largest:
        reason = f"Message must be shorter than {queue.largest} bytes."
        return EntryRefusal("InvalidParameterValue", is_senders_fault=True, message=reason)
    if not text or _NOT_ALLOWED.search(text):
        return EntryRefusal("InvalidMessageContents", is_senders_fault=True)
    if not 0 <= entry.get("DelaySeconds", 0) <= _LONGEST_DELAY:
        return EntryRefusal("InvalidParameterValue", is_senders_fault=True, message="DelaySeconds")
    return None


@operation("HeadObject")
def _head_object(endpoint: Endpoint, request: Request) -> Answer:
    place = (request["Bucket"], request["Key"], request["VersionId"])
    if place not in endpoint.objects:
        raise RefusedError("404", "Not Found", status=404)
    return {"Accept-Ranges": "bytes", **endpoint.objects[place]}


class Endpoint:
    """The endpoint, served from a thread of its own until the ``with`` block ends.

    Attributes:
        tables: Tables by name.
        queues: SqsQueues by name.
        objects: Headers of the objects of S3, by bucket, key, and version id or None.
        calls: Number of calls by operation, of those also that a fault befell.
        log: The calls, in the order in which they arrived.
        operations: What it can do, by name; a test may put in others.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.queues: dict[str, Queue] = {}
        self.objects: dict[tuple[str, str, str | None], dict[str, str]] = {}
        self.calls: Counter[str] = Counter()
        self.log: list[Call] = []
        self.operations = dict(OPERATIONS)
        self.refused_entries: Mapping[int, EntryRefusal] = {}
        """Of the batch that is being sent."""
        self._lock = threading.RLock()
        self._faults: Faults = _no_fault
        self._held: list[Held] = []
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="endpoint"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.reset()
        if "clients" in self.__dict__:
            for client in self.clients:
                client.close()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def reset(self) -> None:
        """Forget everything: tables, queues, calls and faults."""
        with self._lock:
            for held in self._held:
                held.release()
            self._held.clear()
            self.tables.clear()
            self.queues.clear()
            self.objects.clear()
            self.log.clear()
            self.calls.clear()
            self.operations = dict(OPERATIONS)
            self._faults = _no_fault

    def forget_calls(self) -> None:
        """Count from 0 again."""
        with self._lock:
            self.calls.clear()
            self.log.clear()

    def realm(self, name: str, workers: Iterable[str] = ()) -> CannedRealm:
        """Make the tables of a lava realm, and the queues of its workers."""
        return CannedRealm(self, name, workers)

    def add_queue(self, name: str, largest: int = 1024 * 1024) -> Queue:
        """Make a queue, that takes messages of so many bytes."""
        self.queues[name] = Queue(name, largest)
        return self.queues[name]

    def fail(self, faults: Faults | FaultTable) -> None:
        """Break calls from now on, instead of those that were named before.

        Args:
            faults: What goes wrong, by a callable or a table; an empty table mends all.
                Calls are numbered as `calls` counts them, from the last
                `forget_calls` on.
        """
        if callable(faults):
            self._faults = faults
        else:
            table = dict(faults)
            self._faults = lambda call: (
                table.get((call.operation, call.number)) or table.get((call.operation, None))
            )

    @functools.cached_property
    def clients(self) -> tuple[DynamoDBClient, SQSClient]:
        """The function's clients, made as it makes them; closed with the endpoint."""
        return make_clients(
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def table(self, request: Request) -> Table:
        """Return the table that a request of DynamoDB names.

        Raises:
            RefusedError: There is none.
        """
        try:
            return self.tables[request["TableName"]]
        except KeyError:
            raise RefusedError(
                "ResourceNotFoundException", "Requested resource not found"
            ) from None

    def find_queue(self, name: str) -> Queue:
        """Return the queue of a name.

        Raises:
            RefusedError: There is none.
        """
        try:
            return self.queues[name]
        except KeyError:
            raise RefusedError("QueueDoesNotExist", "The specified queue does not exist.") from None

    def answer(self, name: str, body: bytes) -> tuple[int, Answer, str] | None:
        """Answer a call: for the server.

        Returns:
            The HTTP status, the answer, and the error code, if it is an error; None
            where the connection is to be reset.
        """
        with self._lock:
            self.calls[name] += 1
            call = Call(name, self.calls[name], json.loads(body))
            self.log.append(call)
            fault = self._faults(call)
            answer = self._work_under(fault, call)
            if isinstance(fault, Held):
                self._held.append(fault)
        if isinstance(fault, Held):
            fault.arrived.set()
            fault.released.wait()
        return answer

    def _work_under(self, fault: Fault | None, call: Call) -> tuple[int, Answer, str] | None:
        refusal = fault.refusal if isinstance(fault, Held) else fault
        if isinstance(refusal, Refusal):
            return _refused_whole(refusal)
        if fault == RESET:
            return None
        self.refused_entries = fault.refusals if isinstance(fault, Partial) else {}
        answer = self._work(call)
        return None if fault == LOST_REPLY else answer

    def _work(self, call: Call) -> tuple[int, Answer, str]:
        try:
            work = self.operations.get(call.operation)
            if work is None:
                raise RefusedError("UnknownOperationException", call.operation)  # noqa: TRY301 - as others
            return 200, work(self, call.request), ""
        except RefusedError as error:
            return _refused_whole(error.refusal)


def _no_fault(_: Call) -> None:
    return None


def _refused_whole(refusal: Refusal) -> tuple[int, Answer, str]:
    return (
        refusal.status,
        {"__type": f"com.amazonaws#{refusal.code}", "message": refusal.message, **refusal.more},
        refusal.code,
    )


# SQS says these as they were before it spoke JSON; botocore goes by that name.
_QUERY_ERRORS: Final = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    **{
        code: f"AWS.SimpleQueueService.{code}"
        for code in (
            "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong",
            "EmptyBatchRequest",
            "InvalidBatchEntryId",
            "TooManyEntriesInBatchRequest",
        )
    },
    "KmsAccessDenied": "KMS.AccessDeniedException",
    "KmsDisabled": "KMS.DisabledException",
    "KmsInvalidState": "KMS.InvalidStateException",
    "KmsThrottled": "KMS.ThrottlingException",
}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Have the threads of all connections end."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    """Speaks as much of HTTP/1.1 as botocore does, several times as fast as `http.server`."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while self._handle_one():
                pass

    def _handle_one(self) -> bool:
        request = self.rfile.readline()
        if not request:
            return False
        headers = {}
        while (line := self.rfile.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip().decode("ascii")
        is_head = request.startswith(b"HEAD ")
        if is_head:
            target, body = _head_request(request.split()[1].decode("ascii"))
        else:
            body = self.rfile.read(int(headers[b"content-length"]))
            target = headers[b"x-amz-target"].rpartition(".")[2]
        answer = self.server.endpoint.answer(target, body)
        if answer is None:
            # Not lingering is what makes closing it a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return False
        status, result, code = answer
        if is_head:
            shown = result if status == 200 else {}
            head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in shown.items())
            self.wfile.write(f"{head}\r\n".encode("ascii"))
            return True
        content = json.dumps(result).encode()
        query_error = _QUERY_ERRORS.get(code)
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}\r\n"
            "Content-Type: application/x-amz-json-1.0\r\n"
            f"x-amzn-RequestId: {uuid.uuid4()}\r\n"
            + (f"x-amzn-query-error: {query_error};Sender\r\n" if query_error else "")
            + f"Content-Length: {len(content)}\r\n\r\n"
        )
        self.wfile.write(head.encode("ascii") + content)
        return True


def _head_request(target: str) -> tuple[str, bytes]:
    """Return operation and request of a HEAD, which has the bucket in its path."""
    url = urlsplit(target)
    bucket, _, key = url.path[1:].partition("/")
    version_id = parse_qs(url.query).get("versionId", [None])[0]
    request = {"Bucket": unquote(bucket), "Key": unquote(key), "VersionId": version_id}
    return "HeadObject" if key else "HeadBucket", json.dumps(request).encode()
