"""AWS in memory: one imitation for the tests, the benchmarks and the fuzzer.

It has tables of DynamoDB with conditional writes (`tables`, `expressions`), queues of SQS
(`queues`), the headers of S3 objects, and every fault that a test can think of (`faults`).
`Endpoint` answers over HTTP, so that real clients of botocore talk to it:

    with Endpoint() as endpoint:
        realm = endpoint.realm("demo", ["core"])
        realm.jobs.put({"job_id": "load", "type": "cmd", "worker": "core", "payload": "x"})
        endpoint.fail({("SendMessageBatch", 1): LOST_REPLY})
        dynamodb, sqs = endpoint.clients
        ...
        assert endpoint.calls == {"GetQueueUrl": 1, "SendMessageBatch": 2}

`Aws` is the same without HTTP: its `client` calls it in this process, for models and
fuzzers that make a million calls. `test_agreement` holds both against ministack and, with
`make dynamodb-local`, against Amazon's DynamoDB Local.

Nothing here imports `lava_s3trigger` as it is imported: the benchmarks measure other
checkouts of it.
"""

from .aws import ACCOUNT, OPERATIONS, REGION, Answer, Aws, CannedRealm, Operation, Request
from .endpoint import Endpoint
from .faults import (
    DENIED,
    KEY_DENIED,
    LOST_REPLY,
    READS_THROTTLED,
    RESET,
    SERVER_ERROR,
    THROTTLED,
    Call,
    EntryRefusal,
    Fault,
    Faults,
    Held,
    Partial,
    Refusal,
    RefusedError,
    Reset,
)
from .queues import Message, Queue
from .tables import Item, Keys, Table

__all__ = ["ACCOUNT", "REGION", "Answer", "Aws", "CannedRealm", "Endpoint", "Operation", "Request"]
__all__ += ["OPERATIONS", "Item", "Keys", "Message", "Queue", "Table"]
__all__ += ["Call", "EntryRefusal", "Fault", "Faults", "Held", "Partial", "Refusal", "RefusedError"]
__all__ += ["DENIED", "KEY_DENIED", "LOST_REPLY", "READS_THROTTLED", "RESET", "SERVER_ERROR"]
__all__ += ["THROTTLED", "Reset"]
