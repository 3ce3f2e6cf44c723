"""The AWS calls of the function, each of which the suite breaks."""

from dataclasses import dataclass
from typing import Final

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
    name: str
    """Its purpose."""
    operation: str
    variant: str = ""
    """Which calls of the operation are meant, as `_variant` names them."""

    def holds(self, call: Call) -> bool:
        return call.operation == self.operation and _variant(call.request) == self.variant

    @property
    def is_of_claims(self) -> bool:
        """Whether the function makes it only with the table of duplicates."""
        return self.operation == "UpdateItem"

    @property
    def is_of_batches(self) -> bool:
        """Whether entries of it can be refused one by one."""
        return self.operation == "SendMessageBatch"


def _variant(request: Request) -> str:
    values = request.get("ExpressionAttributeValues", {})
    if "UpdateExpression" in request:
        return str(values.get(":state", {"S": "returning"})["S"])
    if queue := request.get("QueueUrl") or request.get("QueueName"):
        return "dead letters" if queue.endswith(DEAD_LETTERS) else "worker"
    return "" if "Key" in request else "prefix" if ":p" in values else "bucket"


def subject(call: Call) -> str:
    """Name the queue or item of a call. Calls about the same one never run concurrently."""
    request = call.request
    about = str(request.get("QueueUrl") or request.get("QueueName") or request["TableName"])
    # Without the endpoint's address, which differs from run to run.
    keys = [value["S"] for value in request.get("Key", {}).values()]
    return " ".join([about.rpartition("/")[2], *keys])


FIND_BY_BUCKET: Final = CallKind("find triggers, by bucket", "Query", "bucket")
FIND_BY_PREFIX: Final = CallKind("find triggers, by the walk", "Query", "prefix")
READ_JOB: Final = CallKind("read a job", "GetItem")
FIND_WORKERS_QUEUE: Final = CallKind("find a worker's queue", "GetQueueUrl", "worker")
FIND_DEAD_LETTERS: Final = CallKind("find the dead-letter queue", "GetQueueUrl", "dead letters")
DISPATCH: Final = CallKind("dispatch", "SendMessageBatch", "worker")
PARK: Final = CallKind("park", "SendMessageBatch", "dead letters")
CLAIM: Final = CallKind("claim", "UpdateItem", "claimed")
NOTE: Final = CallKind("note a return", "UpdateItem", "returning")
CONFIRM: Final = CallKind("confirm", "UpdateItem", "done")
RELEASE: Final = CallKind("release", "UpdateItem", "failed")

CALLS: Final = (
    *(FIND_BY_BUCKET, FIND_BY_PREFIX, READ_JOB, FIND_WORKERS_QUEUE, FIND_DEAD_LETTERS),
    *(DISPATCH, PARK, CLAIM, NOTE, CONFIRM, RELEASE),
)
"""All kinds of calls; `test_faults` checks that they are complete."""
