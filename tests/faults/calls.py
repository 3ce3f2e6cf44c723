"""The AWS calls of the function, each of which the suite breaks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.aws_in_memory import Call, Request

REALM: Final = "faults"
BUCKET: Final = "faulty"
DEAD_LETTERS: Final = f"lava-{REALM}-s3trigger-dlq"
CLAIMS: Final = f"lava.{REALM}.s3trigger-dedup"
JOBS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "pair": ("in", ("core", "web")),
    "good": ("mend", ("core",)),
    "late": ("mend", ("late",)),
}
"""The prefix and the job ids of each trigger. The job ``late`` is missing at first."""


@dataclass(frozen=True, slots=True)
class CallKind:
    """A kind of call."""

    name: str
    """Its purpose."""
    operation: str
    _is_meant: Callable[[Request], bool] = lambda _: True
    is_of_claims: bool = False
    """Whether the function makes it only with the table of duplicates."""

    def holds(self, call: Call) -> bool:
        """Return whether a call is of this kind."""
        return call.operation == self.operation and self._is_meant(call.request)


def subject(call: Call) -> str:
    """Name the queue or item of a call. Calls about the same one never run concurrently."""
    request = call.request
    keys: dict[str, Any] = request.get("Key", {})
    about = str(request.get("QueueUrl") or request.get("QueueName") or request["TableName"])
    # Without the endpoint's address, which differs from run to run.
    return " ".join([about.rpartition("/")[2], *(value["S"] for value in keys.values())])


def _is_by_prefix(request: Request) -> bool:
    return ":p" in request["ExpressionAttributeValues"]


def _is_by_bucket(request: Request) -> bool:
    return not _is_by_prefix(request)


def _is_parking(request: Request) -> bool:
    queue: str = request.get("QueueUrl") or request["QueueName"]
    return queue.endswith(DEAD_LETTERS)


def _is_dispatching(request: Request) -> bool:
    return not _is_parking(request)


def _writes(state: str) -> Callable[[Request], bool]:
    wanted = {"S": state}
    return lambda request: bool(request["ExpressionAttributeValues"].get(":state") == wanted)


def _adds(request: Request) -> bool:
    return ":state" not in request["ExpressionAttributeValues"]


FIND_BY_BUCKET: Final = CallKind("find triggers, by bucket", "Query", _is_by_bucket)
FIND_BY_PREFIX: Final = CallKind("find triggers, by the walk", "Query", _is_by_prefix)
READ_JOB: Final = CallKind("read a job", "GetItem")
FIND_WORKERS_QUEUE: Final = CallKind("find a worker's queue", "GetQueueUrl", _is_dispatching)
FIND_DEAD_LETTERS: Final = CallKind("find the dead-letter queue", "GetQueueUrl", _is_parking)
DISPATCH: Final = CallKind("dispatch", "SendMessageBatch", _is_dispatching)
PARK: Final = CallKind("park", "SendMessageBatch", _is_parking)
CLAIM: Final = CallKind("claim", "UpdateItem", _writes("claimed"), is_of_claims=True)
CONFIRM: Final = CallKind("confirm", "UpdateItem", _writes("done"), is_of_claims=True)
NOTE: Final = CallKind("note a return", "UpdateItem", _adds, is_of_claims=True)
RELEASE: Final = CallKind("release", "UpdateItem", _writes("failed"), is_of_claims=True)

CALLS: Final = (
    FIND_BY_BUCKET,
    FIND_BY_PREFIX,
    READ_JOB,
    FIND_WORKERS_QUEUE,
    FIND_DEAD_LETTERS,
    DISPATCH,
    PARK,
    CLAIM,
    NOTE,
    CONFIRM,
    RELEASE,
)
"""All kinds of calls; `test_faults` checks that they are complete."""
