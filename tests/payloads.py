"""What Lambda hands to the function, and the partial failures that it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from lava_s3trigger.deliveries import deliveries
from tests import routes

if TYPE_CHECKING:
    from lava_s3trigger.events import S3Event

BUCKET: Final = "my-bucket"
NONSENSE: Final = "not JSON"
"""The body of an SQS message that the function cannot understand."""


def s3_event(key: str = "in/1.csv", bucket: str = BUCKET, **fields: Any) -> S3Event:
    """Return the S3 event that the function makes of `record`."""
    (delivered,) = deliveries(record(key, bucket=bucket, **fields), "eu-central-1")[0].events
    return delivered.event


def record(key: str = "in/1.csv", **fields: Any) -> dict[str, Any]:
    """Return the S3 record of an object that was put.

    Args:
        key: The object's key.
        fields: ``bucket``, ``size``, ``sequencer`` and ``eventName`` of the record.
    """
    made = routes.s3_record(quote_plus(key))
    made["eventName"] = fields.pop("eventName", made["eventName"])
    made["s3"]["bucket"]["name"] = fields.pop("bucket", BUCKET)
    made["s3"]["object"] |= fields
    return made


def eventbridge(key: str = "in/1.csv", bucket: str = BUCKET) -> dict[str, Any]:
    """Return the EventBridge event of an object that was put."""
    made = routes.eventbridge_event(key)
    made["detail"]["bucket"]["name"] = bucket
    return made


def direct(*records: Any) -> dict[str, Any]:
    """Return what S3 invokes the function with."""
    return routes.records(*records)


def sns(*records: Any) -> dict[str, Any]:
    """Return what SNS invokes the function with: one notification for each S3 record."""
    return direct(*(routes.sns(direct(each)) for each in records))


def message(
    message_id: str, body: Any, queue: str = "my-queue", group: str | None = None
) -> dict[str, Any]:
    """Return an SQS message as Lambda hands it over; a body that is no text becomes JSON."""
    attributes = {"MessageGroupId": group} if group else {}
    arn = f"arn:aws:sqs:ap-southeast-2:123456789012:{queue}"
    return routes.sqs(body, message_id, arn, **attributes)


def messages(**bodies: Any) -> dict[str, Any]:
    """Return what an SQS queue invokes the function with, by the ids of the messages."""
    return direct(*(message(message_id, body) for message_id, body in bodies.items()))


def sqs(*bodies: Any, queue: str = "my-queue") -> dict[str, Any]:
    """Return what an SQS queue invokes the function with: messages m0, m1 and so on."""
    return direct(*(message(f"m{n}", body, queue) for n, body in enumerate(bodies)))


def fifo(*messages: tuple[str, Any], queue: str = "my-queue.fifo") -> dict[str, Any]:
    """Return what a FIFO queue invokes the function with: messages m0, m1 with their groups."""
    return direct(
        *(message(f"m{n}", body, queue, group) for n, (group, body) in enumerate(messages))
    )


def failed(*message_ids: str) -> dict[str, Any]:
    """Return the answer that has AWS deliver messages again."""
    return {"batchItemFailures": [{"itemIdentifier": each} for each in message_ids]}
