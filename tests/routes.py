"""Payloads by every route from S3 to the function, with all the fields that AWS sends."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from lava_s3trigger.parking import RedriveTarget
from tests.build import Json, direct, eventbridge_event, sample, sns_record, sqs_record, text

TEST_EVENT: Final[Json] = sample("s3-test-event")
_ON_FAILURE: Final[Json] = json.loads(sample("on-failure-destination")["Records"][0]["body"])
_SNS_ENVELOPE: Final[Json] = json.loads(sample("sqs-sns-s3")["Records"][0]["body"])


def sns_envelope(message: Any) -> Json:
    """Return what SNS sends to SQS without raw delivery."""
    return _SNS_ENVELOPE | {"Message": text(message)}


def invocation_record(payload: Any) -> Json:
    """Return what Lambda hands to an on-failure destination."""
    return _ON_FAILURE | {"requestPayload": payload}


def on_a_bus(record: Json) -> Json:
    """Return the event that a bus makes of an invocation record."""
    of_lambda = {"source": "lambda", "resources": [record["requestContext"]["functionArn"]]}
    kind = "Lambda Function Invocation Result - Failure"
    return eventbridge_event() | of_lambda | {"detail-type": kind, "detail": record}


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
    return What(whole=direct(record), record=record)


def of_eventbridge(event: Json) -> What:
    """Return what EventBridge sends for an event."""
    return What(whole=event, record=event)


@dataclass(frozen=True)
class Route:
    """A way to the function: what it is handed, and what AWS acknowledges."""

    payload: Callable[[What], Any]
    message_id: str | None = None
    redrive: RedriveTarget | None = None


def queued(body: Callable[[What], Any], **attributes: Any) -> Route:
    """Return the route by which a body is in a message of an SQS queue."""
    return Route(lambda what: direct(sqs_record(body(what), **attributes)), "m-1")


def notified(body: Any) -> Json:
    """Return what SNS invokes the function with for a body."""
    return direct(sns_record(body))


_OF_T1: Final = RedriveTarget("t-1")

ROUTES: Final = {
    "direct": Route(lambda what: what.whole),
    "sns": Route(lambda what: notified(what.whole)),
    "sqs": queued(lambda what: what.whole),
    "sns-sqs": queued(lambda what: sns_envelope(what.whole)),
    "sns-sqs-raw": queued(lambda what: text(what.whole), SenderId="AIDAEXAMPLE"),
    "pipe-sqs": Route(lambda what: [sqs_record(what.whole)], "m-1"),
    "pipe-sns-sqs": Route(lambda what: [sqs_record(sns_envelope(what.whole))], "m-1"),
    "pipe-of-sns": Route(lambda what: [sns_record(what.whole)]),
    "pipe-of-events": Route(lambda what: [what.whole]),
    "pipe-of-records": Route(lambda what: [what.record]),
    "pipe-of-bodies": Route(lambda what: [text(what.whole)]),
    "dead-letter": queued(lambda what: what.whole),
    "dead-letter-of-sns": queued(lambda what: notified(what.whole)),
    "dead-letter-of-a-pipe": queued(lambda what: [sqs_record(what.whole)]),
    "dead-letter-topic": Route(lambda what: notified(notified(what.whole))),
    "on-failure-queue": queued(lambda what: invocation_record(what.whole)),
    "on-failure-queue-of-sns": queued(lambda what: invocation_record(notified(what.whole))),
    "on-failure-topic": Route(lambda what: notified(invocation_record(what.whole))),
    "on-failure-topic-sqs": queued(lambda what: sns_envelope(invocation_record(what.whole))),
    "on-failure-function": Route(lambda what: invocation_record(what.whole)),
    "on-failure-bus": Route(lambda what: on_a_bus(invocation_record(what.whole))),
    "on-failure-bus-of-sns": Route(lambda what: on_a_bus(invocation_record(notified(what.whole)))),
    "on-failure-bus-sqs": queued(lambda what: on_a_bus(invocation_record(what.whole))),
    "parked": replace(queued(lambda what: parked(what.record)), redrive=_OF_T1),
    "parked-by-hand": Route(lambda what: parked(what.record), redrive=_OF_T1),
    "received": Route(lambda what: received(what.whole)),
    "received-sns": Route(lambda what: received(sns_envelope(what.whole))),
    "sns-envelope": Route(lambda what: sns_envelope(what.whole)),
    "as-text": Route(lambda what: text(what.whole)),
}
