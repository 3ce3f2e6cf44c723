"""Ways to hand S3 events of a replay over to the function, one call at a time.

A call is made only once, since retrying after a lost answer could send events twice. So each
outcome says whether the events arrived, did not arrive, or may have arrived.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore import exceptions
from botocore.config import Config

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.parking import REPLAY_MARK

from .state import Settled, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.function import DeployedFunction

    from .state import PlannedObject

MAX_INVOKE_BYTES: Final = 256_000
"""Bytes of a payload. An asynchronous invocation accepts 1 MB, but Lambda charges it as one
request up to 256 KB, and as one more for each further 64 KB, so a larger one gains nothing.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
MAX_INVOKE_RECORDS: Final = 1_000
MAX_QUEUE_ENTRIES: Final = 10
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30


class Problem(Enum):
    """What a failed call means for its events; it means the same for all of them."""

    BUSY = auto()
    """They did not arrive; the service asks to try again later."""
    CONTENT = auto()
    """They did not arrive: the service refuses the payload."""
    STOP = auto()
    """They did not arrive, nor would others: a permission, a queue or credentials are missing."""
    LOST = auto()
    """They may have arrived."""


class HandoverError(Exception):
    """A call failed as a whole."""

    def __init__(self, problem: Problem, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem


class Way(Protocol):
    """A way to hand events over."""

    max_records: int
    """The most objects per call."""

    def fitting(self, objects: Sequence[PlannedObject]) -> int:
        """Return how many of the first objects fit into one call."""

    def send(self, objects: Sequence[PlannedObject]) -> list[Settled]:
        """Make one call with the events of the objects.

        Returns:
            The outcome of each; `Status.TO_SEND` if the service asks to send it later.

        Raises:
            HandoverError: The call failed as a whole.
        """


def record_of(planned: PlannedObject, region: str) -> dict[str, Any]:
    """Return the record of an object's event, as S3 sent it when the object was created."""
    return planned.as_source.record(region)


@dataclass(slots=True)
class Invocations:
    """Asynchronous invocations of the function.

    Args:
        client: Client of Lambda that makes each call once.
        function: ARN of the function.
        region: AWS region of the buckets.
        replay: Id of the replay.
        max_records: The most records per payload.
    """

    client: Any
    function: str
    region: str
    replay: str
    max_records: int

    def fitting(self, objects: Sequence[PlannedObject]) -> int:
        """Return how many of the objects fit into one payload."""
        size = len(self._payload([]))
        for number, planned in enumerate(objects[: self.max_records]):
            size += len(json.dumps(record_of(planned, self.region))) + 2
            if size > MAX_INVOKE_BYTES and number:
                return number
        return min(len(objects), self.max_records)

    def send(self, objects: Sequence[PlannedObject]) -> list[Settled]:
        """Invoke the function with the events of the objects."""
        payload = self._payload([record_of(planned, self.region) for planned in objects])
        with _calling():
            self.client.invoke(FunctionName=self.function, InvocationType="Event", Payload=payload)
        return [Settled(planned.id, Status.SENT) for planned in objects]

    def _payload(self, records: list[dict[str, Any]]) -> bytes:
        return json.dumps({"Records": records, REPLAY_MARK: self.replay}).encode("ascii")


@dataclass(slots=True)
class QueueMessages:
    """Messages to the intake queue, one for each event.

    Args:
        client: Client of SQS that makes each call once.
        url: URL of the queue.
        region: AWS region of the buckets.
        replay: Id of the replay.
    """

    client: Any
    url: str
    region: str
    replay: str
    max_records: int = MAX_QUEUE_ENTRIES

    def fitting(self, objects: Sequence[PlannedObject]) -> int:
        """Return how many of the objects fit into one batch.

        Even with keys of 1,024 bytes, ten records are far smaller than 256 KiB, the former
        limit of a batch. It is 1 MiB now.
        """
        return min(len(objects), self.max_records)

    def send(self, objects: Sequence[PlannedObject]) -> list[Settled]:
        """Send a message for each of the objects."""
        mark = {"DataType": "String", "StringValue": self.replay}
        entries = [
            {
                "Id": str(planned.id),
                "MessageBody": json.dumps({"Records": [record_of(planned, self.region)]}),
                "MessageAttributes": {REPLAY_MARK: mark},
            }
            for planned in objects
        ]
        with _calling():
            answer = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
        settled: dict[int, Settled] = {
            planned.id: Settled(planned.id, Status.UNKNOWN, "the answer of SQS does not name it")
            for planned in objects
        }
        for entry in answer.get("Successful", ()):
            settled[int(entry["Id"])] = Settled(int(entry["Id"]), Status.SENT)
        for entry in answer.get("Failed", ()):
            number, reason = int(entry["Id"]), f"{entry['Code']}: {entry.get('Message', '')}"
            status = Status.FAILED if entry["SenderFault"] else Status.TO_SEND
            settled[number] = Settled(number, status, reason)
        return list(settled.values())


@contextlib.contextmanager
def _calling() -> Iterator[None]:
    """Turn errors of AWS inside the block into `HandoverError`."""
    try:
        yield
    except exceptions.ClientError as error:
        raise HandoverError(_problem(error.response), _told(error)) from None
    except _NEVER_LEFT as error:
        raise HandoverError(Problem.BUSY, _line(error)) from None
    except exceptions.HTTPClientError as error:
        raise HandoverError(Problem.LOST, _line(error)) from None
    except exceptions.BotoCoreError as error:
        raise HandoverError(Problem.STOP, _line(error)) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


_NEVER_LEFT: Final = (
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ProxyConnectionError,
    exceptions.SSLError,
)
"""Errors of calls that were not sent."""
_BUSY: Final = frozenset(
    [
        "EC2ThrottledException",
        "OverLimit",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    ]
)
_CONTENT: Final = frozenset(
    [
        "BatchRequestTooLong",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "InvalidRequestContentException",
        "RequestTooLargeException",
        "RequestEntityTooLargeException",
    ]
)
_SERVICE_FAILED: Final = 500
_SERVICE_BUSY: Final = (429, 503)


def _problem(response: Any) -> Problem:
    """Return the meaning of an answer that refuses a call."""
    code = str(response.get("Error", {}).get("Code", "")).rpartition(".")[2]
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _BUSY or status in _SERVICE_BUSY:
        return Problem.BUSY
    if status >= _SERVICE_FAILED:
        return Problem.LOST  # it may have failed after accepting the events
    return Problem.CONTENT if code in _CONTENT else Problem.STOP


def _told(error: Any) -> str:
    details = error.response.get("Error", {})
    return (
        f"AWS refused {error.operation_name}: {details.get('Code')}: {details.get('Message', '')}"
    )


def make_way(
    aws: Aws, deployment: DeployedFunction, replay: str, options: Mapping[str, Any]
) -> Way:
    """Return the way that the options choose.

    Args:
        aws: The account of the function.
        deployment: The function.
        replay: Id of the replay.
        options: `via`; `batch`, the most records per invocation; and `queue`, the name of
            the queue, or None for that of the stack.

    Raises:
        CommandError: There is no such queue, or it is a FIFO queue.
    """
    once = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=64,
    )
    if options["via"] == "invoke":
        client = aws.client("lambda", once)
        return Invocations(client, deployment.arn, deployment.region, replay, options["batch"])
    name = options["queue"] or deployment.intake_queue
    if name.endswith(".fifo"):
        raise CommandError(
            f"{name}: objects of a replay have no order: name a standard queue, or use"
            " --via invoke",
            WRONG_USAGE,
        )
    client = aws.client("sqs", once)
    with reaching_aws():
        try:
            url = client.get_queue_url(QueueName=name)["QueueUrl"]
        except client.exceptions.QueueDoesNotExist:
            raise CommandError(
                f"there is no queue {name}: deploy the stack with CreateIntake=true, name a"
                " queue of your own with --queue, or use --via invoke",
                WRONG_USAGE,
            ) from None
    return QueueMessages(client, url, deployment.region, replay)
