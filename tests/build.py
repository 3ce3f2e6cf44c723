"""What tests hand to the function: S3 events, payloads, entries, and tables of them.

`tests/routes.py` has the payloads of every route.
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

from dateutil.tz import tzutc

from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.errors import S3TriggerError, UserError
from lava_s3trigger.events import S3Event
from lava_s3trigger.jobs import Job
from lava_s3trigger.triggers import BrokenTrigger, Trigger, Walk, read_trigger

Json = dict[str, Any]

BUCKET: Final = "my-bucket"
QUEUE: Final = "arn:aws:sqs:ap-southeast-2:123456789012:my-queue"
TOPIC: Final = "arn:aws:sns:ap-southeast-2:123456789012:my-topic"
NONSENSE: Final = "not JSON"
"""The body of an SQS message that the function cannot understand."""


@cache
def _text_of_sample(name: str) -> str:
    return (Path(__file__).parents[1] / "events" / f"{name}.json").read_text()


def sample(name: str) -> Any:
    """Return a sample payload of ``events``."""
    return json.loads(_text_of_sample(name))


# Events, as S3 and EventBridge send them, and as the function reads them.


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
                "name": BUCKET,
                "ownerIdentity": {"principalId": "A1EXAMPLE"},
                "arn": f"arn:aws:s3:::{BUCKET}",
            },
            "object": {"key": key, "size": 1082, "eTag": "dbe264bf", "sequencer": "0069B4C0FE"},
        },
        **changes,
    }


def eventbridge_event(key: str = "a/b+c d.csv", **changes: Any) -> Json:
    """Return the event of an object that was put, as EventBridge sends it."""
    made = sample("eventbridge-created")
    made["detail"]["object"] |= {"key": key, "etag": "dbe264bf", "sequencer": "69b4c0fe"}
    return {**made, **changes}


def record(key: str = "in/1.csv", **fields: Any) -> Json:
    """Return the S3 record of an object that was put.

    Args:
        key: The object's key.
        fields: ``bucket``, ``size``, ``sequencer`` and ``eventName`` of the record.
    """
    made = s3_record(quote_plus(key))
    made["eventName"] = fields.pop("eventName", made["eventName"])
    made["s3"]["bucket"]["name"] = fields.pop("bucket", BUCKET)
    made["s3"]["object"] |= fields
    return made


def eventbridge(key: str = "in/1.csv", bucket: str = BUCKET) -> Json:
    """Return the EventBridge event of an object that was put."""
    made = eventbridge_event(key)
    made["detail"]["bucket"]["name"] = bucket
    return made


def s3_event(key: str = "in/1.csv", **fields: Any) -> S3Event:
    """Return the event of an object that was put, as the function has it."""
    of_put: Json = {
        "bucket": BUCKET,
        "key": key,
        "size": 1082,
        "event_time": datetime(2026, 3, 14, 1, 59, 26, tzinfo=tzutc()),
        "event_type": "ObjectCreated:Put",
        "source_ip": IPv4Address("203.0.113.7"),
        "aws_region": "ap-southeast-2",
        "record": s3_record(key),
    }
    return S3Event(**of_put | fields)


# Payloads, as Lambda hands them to the function.


def nested(depth: int, inner: Any = (), wrap: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    """Return a value that is wrapped repeatedly, in lists by default."""
    for _ in range(depth):
        inner = wrap(inner)
    return inner


def text(value: Any) -> str:
    """Return a value as JSON text, unless it is text."""
    return value if isinstance(value, str) else json.dumps(value)


def direct(*records: Any) -> Json:
    """Return what S3 invokes the function with, and most other services."""
    return {"Records": list(records)}


_OF_SNS: Final[Json] = sample("sns-s3")["Records"][0]


def sns_record(body: Any) -> Json:
    """Return a record of SNS."""
    return _OF_SNS | {"Sns": _OF_SNS["Sns"] | {"Message": text(body)}}


def sqs_record(body: Any, message_id: str = "m-1", arn: str = QUEUE, **attributes: Any) -> Json:
    """Return a message of SQS; a body that is not text becomes JSON."""
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


def sns(*records: Any) -> Json:
    """Return what SNS invokes the function with: one notification for each S3 record."""
    return direct(*(sns_record(direct(each)) for each in records))


def message(message_id: str, body: Any, queue: str = "my-queue", group: str | None = None) -> Json:
    """Return an SQS message of a queue, in a group of it if one is named."""
    attributes = {"MessageGroupId": group} if group else {}
    arn = f"arn:aws:sqs:ap-southeast-2:123456789012:{queue}"
    return sqs_record(body, message_id, arn, **attributes)


def messages(**bodies: Any) -> Json:
    """Return what an SQS queue invokes the function with, by the ids of the messages."""
    return direct(*(message(message_id, body) for message_id, body in bodies.items()))


def sqs(*bodies: Any, queue: str = "my-queue") -> Json:
    """Return what an SQS queue invokes the function with: messages m0, m1 and so on."""
    return direct(*(message(f"m{n}", body, queue) for n, body in enumerate(bodies)))


def fifo(*messages: tuple[str, Any], queue: str = "my-queue.fifo") -> Json:
    """Return what a FIFO queue invokes the function with: messages m0, m1 with their groups."""
    return direct(
        *(message(f"m{n}", body, queue, group) for n, (group, body) in enumerate(messages))
    )


def failed(*message_ids: str) -> Json:
    """Return the answer that has AWS deliver messages again."""
    return {"batchItemFailures": [{"itemIdentifier": each} for each in message_ids]}


# Entries of the tables, and what is looked up in them.


def trigger_entry(trigger_id: str = "t", prefix: str = "in", **fields: Any) -> Json:
    """Return an entry that runs job load; fields replace its own, and None leaves one out."""
    entry = {
        "trigger_id": trigger_id,
        "bucket": BUCKET,
        "prefix": prefix,
        "enabled": True,
        "job_id": "load",
        **fields,
    }
    return {name: value for name, value in entry.items() if value is not None}


def job_entry(job_id: str = "load", worker: Any = "core", **fields: Any) -> Json:
    """Return the entry of a job; fields replace its own, and None leaves one out."""
    entry = {
        "job_id": job_id,
        "type": "cmd",
        "worker": worker,
        "payload": "run.sh",
        "enabled": True,
        **fields,
    }
    return {name: value for name, value in entry.items() if value is not None}


def item(entry: Json, attributes: Json | None = None) -> Json:
    """Return an entry as DynamoDB has it, with other fields that are attributes already."""
    return {name: attribute_of(value) for name, value in entry.items()} | (attributes or {})


def trigger(trigger_id: str = "t", prefix: str = "in", **fields: Any) -> Trigger | BrokenTrigger:
    """Return the trigger of an entry."""
    return read_trigger(item(trigger_entry(trigger_id, prefix, **fields)))


class Triggers:
    """Triggers that match every object, or what looking them up raises."""

    def __init__(self, *triggers: Trigger | BrokenTrigger, error: Exception | None = None) -> None:
        self._triggers = triggers
        self._error = error
        self.asked: list[tuple[str, str]] = []

    def matching(self, bucket: str, key: str) -> Walk:
        self.asked.append((bucket, key))
        if self._error:
            raise self._error
        return Walk((key, "in/orders", "in"), self._triggers)


class Jobs(dict[str, "Job | S3TriggerError"]):
    """Jobs by id, or what looking one up raises."""

    def __getitem__(self, job_id: str) -> Job:
        found = self.get(job_id, UserError(f"no job {job_id!r}", "no_such_job"))
        if isinstance(found, Job):
            return found
        raise found


class AnyJob:
    """A table that has every job."""

    def __getitem__(self, job_id: str) -> Job:
        return Job(job_id, "core", enabled=True)
