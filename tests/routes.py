"""Payloads by every route from S3 to the function, with all the fields that AWS sends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.parking import RedriveTarget

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]

QUEUE: Final = "arn:aws:sqs:ap-southeast-2:123456789012:my-queue"
TOPIC: Final = "arn:aws:sns:ap-southeast-2:123456789012:my-topic"


def s3_record(key: str = "a/b%2Bc+d.csv", **changes: Any) -> Json:
    """Return the record of an object that was put, as S3 sends it; the key is form-encoded."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "ap-southeast-2",
        "eventTime": "2026-03-14T01:59:26.535Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "203.0.113.7"},
        "responseElements": {"x-amz-request-id": "PY7WWSXN1CZ3QTP4", "x-amz-id-2": "id"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "incoming",
            "bucket": {
                "name": "my-bucket",
                "ownerIdentity": {"principalId": "A1EXAMPLE"},
                "arn": "arn:aws:s3:::my-bucket",
            },
            "object": {"key": key, "size": 1082, "eTag": "dbe264bf", "sequencer": "0069B4C0FE"},
        },
        **changes,
    }


def eventbridge_event(key: str = "a/b+c d.csv", **changes: Any) -> Json:
    """Return the event of an object that was put, as EventBridge sends it."""
    return {
        "version": "0",
        "id": "9a9b6162-eb6b-4e61-8fd9-1220971e3fd0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "time": "2026-03-14T01:59:26Z",
        "region": "ap-southeast-2",
        "resources": ["arn:aws:s3:::my-bucket"],
        "detail": {
            "version": "0",
            "bucket": {"name": "my-bucket"},
            "object": {"key": key, "size": 1082, "etag": "dbe264bf", "sequencer": "69b4c0fe"},
            "request-id": "S8H2BVF4MSEXYM3Q",
            "requester": "123456789012",
            "source-ip-address": "203.0.113.7",
            "reason": "PutObject",
        },
        **changes,
    }


TEST_EVENT: Final = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-03-14T01:59:26.535Z",
    "Bucket": "my-bucket",
    "RequestId": "PY7WWSXN1CZ3QTP4",
    "HostId": "id",
}


def text(value: Any) -> str:
    """Return a value as JSON text, unless it is text."""
    return value if isinstance(value, str) else json.dumps(value)


def records(*each: Any) -> Json:
    """Return what most services invoke the function with."""
    return {"Records": list(each)}


def sns(message: Any) -> Json:
    """Return a record of SNS, as Lambda hands it over."""
    return {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": f"{TOPIC}:f06cb629-f586-4c23-b929-925b485074a2",
        "Sns": {
            "Type": "Notification",
            "MessageId": "02d54f5a-cf0e-40f8-8989-7d00f2b822a8",
            "TopicArn": TOPIC,
            "Subject": "Amazon S3 Notification",
            "Message": text(message),
            "Timestamp": "2026-03-14T01:59:27.135Z",
            "SignatureVersion": "1",
            "Signature": "none",
            "SigningCertUrl": "https://sns.ap-southeast-2.amazonaws.com/x.pem",
            "UnsubscribeUrl": "https://sns.ap-southeast-2.amazonaws.com/?Action=Unsubscribe",
            "MessageAttributes": {},
        },
    }


def sns_envelope(message: Any) -> Json:
    """Return what SNS sends to SQS without raw delivery."""
    return {
        "Type": "Notification",
        "MessageId": "45753427-d359-405f-8d62-e85dbf805ce8",
        "TopicArn": TOPIC,
        "Message": text(message),
        "Timestamp": "2026-03-14T01:59:27.135Z",
        "SignatureVersion": "1",
        "Signature": "none",
        "SigningCertURL": "https://sns.ap-southeast-2.amazonaws.com/x.pem",
        "UnsubscribeURL": "https://sns.ap-southeast-2.amazonaws.com/?Action=Unsubscribe",
    }


def sqs(body: Any, message_id: str = "m-1", arn: str = QUEUE, **attributes: str) -> Json:
    """Return an SQS message, as Lambda hands it over."""
    return {
        "messageId": message_id,
        "receiptHandle": "none",
        "body": text(body),
        "attributes": {"ApproximateReceiveCount": "1", **attributes},
        "messageAttributes": {},
        "md5OfBody": "none",
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": "ap-southeast-2",
    }


def invocation_record(payload: Any) -> Json:
    """Return what Lambda hands to an on-failure destination."""
    return {
        "version": "1.0",
        "timestamp": "2026-03-14T02:05:30.555Z",
        "requestContext": {
            "requestId": "d3b7b670-34bb-454e-bab4-3496d7e6b084",
            "functionArn": "arn:aws:lambda:ap-southeast-2:123456789012:function:f:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": payload,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorType": "Sandbox.Timedout", "errorMessage": "timed out"},
    }


def on_a_bus(record: Json) -> Json:
    """Return the event that a bus makes of an invocation record."""
    return {
        "version": "0",
        "id": "2c1f0f5e-6a5b-4a52-9d0f-6a8f6a0f1d11",
        "detail-type": "Lambda Function Invocation Result - Failure",
        "source": "lambda",
        "account": "123456789012",
        "time": "2026-03-14T02:05:30Z",
        "region": "ap-southeast-2",
        "resources": ["arn:aws:lambda:ap-southeast-2:123456789012:function:f:$LATEST"],
        "detail": record,
    }


def parked(record: Json) -> Json:
    """Return a message that the function parked for trigger t-1."""
    return {"parked": {"trigger_id": "t-1", "reasons": [], "done": []}, "event": record}


def received(body: Any) -> Json:
    """Return a message as SQS answers ReceiveMessage."""
    return {"MessageId": "m-1", "ReceiptHandle": "none", "Body": text(body)}


@dataclass(frozen=True, kw_only=True)
class What:
    """What is sent by a route: as its service sends it, and the record in it."""

    whole: Any
    record: Json


def of_s3(record: Json) -> What:
    """Return what S3 sends for a record."""
    return What(whole=records(record), record=record)


def of_eventbridge(event: Json) -> What:
    """Return what EventBridge sends for an event."""
    return What(whole=event, record=event)


@dataclass(frozen=True, kw_only=True)
class Route:
    """A way to the function: what it is handed, and what AWS acknowledges."""

    payload: Callable[[What], Any]
    message_id: str | None = None
    redrive: RedriveTarget | None = None


ROUTES: Final = {
    "direct": Route(payload=lambda what: what.whole),
    "sns": Route(payload=lambda what: records(sns(what.whole))),
    "sqs": Route(payload=lambda what: records(sqs(what.whole)), message_id="m-1"),
    "sns-sqs": Route(payload=lambda what: records(sqs(sns_envelope(what.whole))), message_id="m-1"),
    "sns-sqs-raw": Route(
        payload=lambda what: records(sqs(text(what.whole), SenderId="AIDAEXAMPLE")),
        message_id="m-1",
    ),
    "pipe-sqs": Route(payload=lambda what: [sqs(what.whole)], message_id="m-1"),
    "pipe-sns-sqs": Route(payload=lambda what: [sqs(sns_envelope(what.whole))], message_id="m-1"),
    "pipe-of-sns": Route(payload=lambda what: [sns(what.whole)]),
    "pipe-of-events": Route(payload=lambda what: [what.whole]),
    "pipe-of-records": Route(payload=lambda what: [what.record]),
    "pipe-of-bodies": Route(payload=lambda what: [text(what.whole)]),
    "dead-letter": Route(payload=lambda what: records(sqs(what.whole)), message_id="m-1"),
    "dead-letter-of-sns": Route(
        payload=lambda what: records(sqs(records(sns(what.whole)))), message_id="m-1"
    ),
    "dead-letter-of-a-pipe": Route(
        payload=lambda what: records(sqs([sqs(what.whole)])), message_id="m-1"
    ),
    "dead-letter-topic": Route(payload=lambda what: records(sns(records(sns(what.whole))))),
    "on-failure-queue": Route(
        payload=lambda what: records(sqs(invocation_record(what.whole))), message_id="m-1"
    ),
    "on-failure-queue-of-sns": Route(
        payload=lambda what: records(sqs(invocation_record(records(sns(what.whole))))),
        message_id="m-1",
    ),
    "on-failure-topic": Route(payload=lambda what: records(sns(invocation_record(what.whole)))),
    "on-failure-topic-sqs": Route(
        payload=lambda what: records(sqs(sns_envelope(invocation_record(what.whole)))),
        message_id="m-1",
    ),
    "on-failure-function": Route(payload=lambda what: invocation_record(what.whole)),
    "on-failure-bus": Route(payload=lambda what: on_a_bus(invocation_record(what.whole))),
    "on-failure-bus-of-sns": Route(
        payload=lambda what: on_a_bus(invocation_record(records(sns(what.whole))))
    ),
    "on-failure-bus-sqs": Route(
        payload=lambda what: records(sqs(on_a_bus(invocation_record(what.whole)))),
        message_id="m-1",
    ),
    "parked": Route(
        payload=lambda what: records(sqs(parked(what.record))),
        message_id="m-1",
        redrive=RedriveTarget("t-1"),
    ),
    "parked-by-hand": Route(payload=lambda what: parked(what.record), redrive=RedriveTarget("t-1")),
    "received": Route(payload=lambda what: received(what.whole)),
    "received-sns": Route(payload=lambda what: received(sns_envelope(what.whole))),
    "sns-envelope": Route(payload=lambda what: sns_envelope(what.whole)),
    "as-text": Route(payload=lambda what: text(what.whole)),
}
