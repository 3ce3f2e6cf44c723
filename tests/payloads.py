"""What Lambda hands to the function, and the partial failures that it answers."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote_plus

BUCKET: Final = "my-bucket"
NONSENSE: Final = "not JSON"
"""The body of an SQS message that the function cannot understand."""


def record(key: str = "in/1.csv", **fields: Any) -> dict[str, Any]:
    """Return the S3 record of an object that was put.

    Args:
        key: The object's key.
        fields: ``bucket``, ``size``, ``sequencer`` and ``eventName`` of the record.
    """
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "ap-southeast-2",
        "eventTime": "2026-03-14T01:59:26.535Z",
        "eventName": fields.get("eventName", "ObjectCreated:Put"),
        "s3": {
            "bucket": {"name": fields.get("bucket", BUCKET)},
            "object": {
                "key": quote_plus(key),
                "size": fields.get("size", 1082),
                "sequencer": fields.get("sequencer", "0069B4C0FE4F5260D7"),
            },
        },
    }


def eventbridge(key: str = "in/1.csv", bucket: str = BUCKET) -> dict[str, Any]:
    """Return the EventBridge event of an object that was put."""
    return {
        "version": "0",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-03-14T01:59:26Z",
        "region": "ap-southeast-2",
        "detail": {
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 1082, "sequencer": "0069B4C0FE4F5260D7"},
            "reason": "PutObject",
        },
    }


def direct(*records: Any) -> dict[str, Any]:
    """Return what S3 invokes the function with."""
    return {"Records": list(records)}


def sns(*records: Any) -> dict[str, Any]:
    """Return what SNS invokes the function with: one notification for each S3 record."""
    return {
        "Records": [
            {"EventSource": "aws:sns", "Sns": {"Message": json.dumps(direct(each))}}
            for each in records
        ]
    }


def message(
    message_id: str, body: Any, queue: str = "my-queue", group: str | None = None
) -> dict[str, Any]:
    """Return an SQS message as Lambda hands it over; a body that is no text becomes JSON."""
    return {
        "messageId": message_id,
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"MessageGroupId": group} if group else {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:ap-southeast-2:123456789012:{queue}",
    }


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
