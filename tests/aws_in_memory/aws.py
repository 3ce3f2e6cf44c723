"""AWS in this process: its operations on tables, queues and objects, and what goes wrong."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from .client import Client
from .faults import (
    LOST_REPLY,
    Call,
    EntryRefusal,
    Fault,
    Faults,
    FaultTable,
    Held,
    Partial,
    Refusal,
    RefusedError,
    Reset,
    ResetError,
    invalid,
)
from .queues import MAX_MESSAGE_BYTES, Queue, check_name
from .tables import Item, Keys, Table

Request = dict[str, Any]
Answer = dict[str, Any]
Operation = Callable[[Any, Request], Answer]
"""Is called with the `Aws` and the parameters of the call."""

REGION: Final = "ap-southeast-2"
ACCOUNT: Final = "123456789012"
OPERATIONS: Final[dict[str, Operation]] = {}


def operation(function: Operation) -> Operation:
    """Register a function as the operation of its name: `get_item` is ``GetItem``."""
    OPERATIONS["".join(map(str.capitalize, function.__name__.split("_")))] = function
    return function


@operation
def create_table(aws: Aws, request: Request) -> Answer:
    """Make a table; its indexes hold whole items."""
    indexes = {
        index["IndexName"]: _keys(index["KeySchema"])
        for index in request.get("GlobalSecondaryIndexes", ())
    }
    aws.tables[request["TableName"]] = Table(_keys(request["KeySchema"]), indexes)
    return {}


def _keys(schema: list[dict[str, str]]) -> Keys:
    return Keys(*(each["AttributeName"] for each in schema))


@operation
def put_item(aws: Aws, request: Request) -> Answer:
    table, item = aws.table(request), request["Item"]
    table.keys.check_whole({name: item[name] for name in table.keys.names if name in item})
    for keys in table.indexes.values():
        keys.check({name: item[name] for name in keys.names if name in item})
    table.put_item(item)
    return {}


@operation
def delete_item(aws: Aws, request: Request) -> Answer:
    table = aws.table(request)
    if table.get(request["Key"]):
        table.remove(*table.key_of(request["Key"]))
    return {}


@operation
def get_item(aws: Aws, request: Request) -> Answer:
    item = aws.table(request).get(request["Key"])
    return {"Item": item} if item else {}


@operation
def update_item(aws: Aws, request: Request) -> Answer:
    return aws.table(request).update(request)


@operation
def query(aws: Aws, request: Request) -> Answer:
    table = aws.table(request)
    keys = table.indexes[request["IndexName"]] if "IndexName" in request else table.keys
    wanted = _wanted(request)
    if not {keys.partition} <= wanted.keys() <= {*keys.names}:
        raise invalid(f"Query condition missed key schema element: {keys.partition}")
    if request.get("Limit", 1) < 1:
        raise invalid("Limit must be greater than or equal to 1")
    keys.check(wanted)
    items, last = table.query(keys, wanted, request.get("ExclusiveStartKey"), request.get("Limit"))
    answer: Answer = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
    return answer | {"LastEvaluatedKey": last} if last else answer


def _wanted(request: Request) -> Item:
    """Return the values of key attributes that a query asks for."""
    names: dict[str, str] = request.get("ExpressionAttributeNames", {})
    values: Item = request.get("ExpressionAttributeValues", {})
    wanted: Item = {}
    used = set()
    for part in request["KeyConditionExpression"].split(" AND "):
        name, equals, value = part.split()
        if equals != "=":
            raise invalid(f"only = is understood here: {part}")
        if value not in values or (name[0] == "#" and name not in names):
            raise invalid(f"An expression attribute used in an expression is not defined: {part}")
        used |= {name, value}
        wanted[names.get(name, name)] = values[value]
    if unused := {*names, *values} - used:
        raise invalid(f"Value provided unused in expressions: {unused}")
    return wanted


@operation
def create_queue(aws: Aws, request: Request) -> Answer:
    aws.add_queue(request["QueueName"])
    return aws.perform("GetQueueUrl", request)


@operation
def get_queue_url(aws: Aws, request: Request) -> Answer:
    name = request["QueueName"]
    check_name(name)
    aws.find_queue(name)
    return {"QueueUrl": f"{aws.url}/{ACCOUNT}/{name}"}


@operation
def send_message_batch(aws: Aws, request: Request) -> Answer:
    queue = aws.find_queue(request["QueueUrl"].rpartition("/")[2])
    return queue.send(request.get("Entries", []), aws.refused_entries)


@operation
def head_object(aws: Aws, request: Request) -> Answer:
    place = (request["Bucket"], request["Key"], request.get("VersionId"))
    if place not in aws.objects:
        raise RefusedError("404", "Not Found", status=404)
    return {"Accept-Ranges": "bytes", **aws.objects[place]}


class Aws:
    """AWS in memory.

    Attributes:
        tables: Tables by name.
        queues: Queues by name.
        objects: Headers of the objects of S3, by bucket, key, and version id or None.
        calls: Number of calls by operation, including those that a fault befell.
        log: The calls, in the order in which they arrived.
        operations: What it can do, by name; a test may put in others.
        url: What URLs of queues start with.
    """

    url = "http://127.0.0.1"

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
        self._faults: Faults = lambda _: None
        self._held: list[Held] = []

    @functools.cached_property
    def client(self) -> Any:
        """A client of every service, which calls without HTTP."""
        return Client(self, REGION)

    def reset(self) -> None:
        """Forget everything: tables, queues, calls and faults."""
        with self._lock:
            for held in self._held:
                held.release()
            for kept in (self._held, self.tables, self.queues, self.objects, self.log, self.calls):
                kept.clear()
            self.operations = dict(OPERATIONS)
            self._faults = lambda _: None

    def forget_calls(self) -> None:
        with self._lock:
            self.calls.clear()
            self.log.clear()

    def realm(self, name: str, workers: Iterable[str] = ()) -> CannedRealm:
        """Make the tables of a lava realm, and the queues of its workers."""
        return CannedRealm(self, name, workers)

    def add_queue(self, name: str, largest: int = MAX_MESSAGE_BYTES) -> Queue:
        """Make a queue, which takes messages of at most so many bytes."""
        self.queues[name] = Queue(name, largest)
        return self.queues[name]

    def fail(self, faults: Faults | FaultTable) -> None:
        """Break calls from now on, instead of those that were named before.

        Args:
            faults: What goes wrong, by a callable or a table; an empty table ends all faults.
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

    def table(self, request: Request) -> Table:
        if request["TableName"] not in self.tables:
            raise RefusedError("ResourceNotFoundException", "Requested resource not found")
        return self.tables[request["TableName"]]

    def find_queue(self, name: str) -> Queue:
        if name not in self.queues:
            raise RefusedError("QueueDoesNotExist", "The specified queue does not exist.")
        return self.queues[name]

    def call(self, name: str, request: Request) -> Answer:
        """Carry out a call, or what goes wrong with it."""
        fault: Fault | None = None
        try:
            with self._lock:
                self.calls[name] += 1
                call = Call(name, self.calls[name], request)
                self.log.append(call)
                fault = self._faults(call)
                if isinstance(fault, Held):
                    self._held.append(fault)
                return self._work_under(fault, call)
        finally:
            if isinstance(fault, Held):
                fault.arrived.set()
                fault.released.wait()

    def _work_under(self, fault: Fault | None, call: Call) -> Answer:
        self.refused_entries = {}
        match fault:
            case (Refusal() as refusal) | Held(refusal=Refusal() as refusal):
                raise RefusedError(refusal.code, refusal.message, refusal.more, refusal.status)
            case Reset():
                if fault == LOST_REPLY:
                    with suppress(RefusedError):
                        self.perform(call.operation, call.request)
                raise ResetError
            case Partial(refusals):
                self.refused_entries = refusals
        return self.perform(call.operation, call.request)

    def perform(self, name: str, request: Request) -> Answer:
        """Carry out a call that is already counted."""
        if name not in self.operations:
            raise RefusedError("UnknownOperationException", name)
        return self.operations[name](self, request)


class CannedRealm:
    """The tables and queues of a lava realm."""

    def __init__(self, aws: Aws, name: str, workers: Iterable[str]) -> None:
        self._aws = aws
        self.name = name
        index = {"s3trigger-index": Keys("bucket", "prefix")}
        self.triggers = aws.tables[f"lava.{name}.s3triggers"] = Table(Keys("trigger_id"), index)
        self.jobs = aws.tables[f"lava.{name}.jobs"] = Table(Keys("job_id"))
        for worker in workers:
            aws.add_queue(f"lava-{name}-{worker}")

    def queue(self, worker: str) -> Queue:
        return self._aws.queues[f"lava-{self.name}-{worker}"]
