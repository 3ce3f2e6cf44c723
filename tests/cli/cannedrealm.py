"""A sound realm as AWS describes it, of which a test changes an answer.

The clients are those of boto3. botocore checks each canned answer against the model of its service.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.handlers import parse_get_bucket_location
from botocore.stub import Stubber

from lava_s3trigger.cli.deployed.aws import Aws
from tests import build

REGION: Final = "us-east-1"
ACCOUNT: Final = "123456789012"
FUNCTION: Final = "lava-prod-s3trigger"
INTAKE: Final = f"{FUNCTION}-intake"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/{FUNCTION}"
EVERYTHING: Final = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def queue_policy(*services: str) -> str:
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    principals = [{"Service": f"{service}.amazonaws.com"} for service in services]
    return json.dumps({"Statement": [{**statement, "Principal": each} for each in principals]})


def trigger(trigger_id: str, **fields: Any) -> dict[str, Any]:
    entry = build.trigger_entry(trigger_id, f"{trigger_id}-in", description="d", owner="o")
    return build.item(entry, fields)


def job(job_id: str = "load", worker: str = "core") -> dict[str, Any]:
    return build.item(build.job_entry(job_id, worker, type="exe", description="d", owner="o"))


def _queues() -> dict[str, dict[str, str]]:
    redrive = {"deadLetterTargetArn": arn("sqs", f"{INTAKE}-dlq"), "maxReceiveCount": "5"}
    return {
        INTAKE: {
            "VisibilityTimeout": "390",
            "RedrivePolicy": json.dumps(redrive),
            "Policy": queue_policy("s3", "sns", "events"),
        },
        f"{INTAKE}-dlq": {},
        f"{FUNCTION}-dlq": {"VisibilityTimeout": "360", "Policy": queue_policy("sns", "events")},
        "lava-prod-core": {},
    }


def _mapping(queue: str, **fields: Any) -> dict[str, Any]:
    return {
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_DNS, queue)),
        "EventSourceArn": arn("sqs", queue),
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        **fields,
    }


@dataclass
class CannedRealm(Aws):
    """The realm ``prod``: its answers by operation, and the calls that AWS refuses."""

    function: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    queues: dict[str, dict[str, str]] = field(default_factory=_queues)
    """Attributes by name."""
    triggers: list[dict[str, Any]] = field(default_factory=lambda: [trigger("t")])
    jobs: list[dict[str, Any]] = field(default_factory=lambda: [job()])
    answers: dict[str, Any] = field(default_factory=dict)
    """By the name of the operation; a function is given the parameters."""
    refused: set[str] = field(default_factory=set)
    """Names of operations that AWS refuses."""

    def __post_init__(self) -> None:
        self.environment = {
            "LAVA_REALM": "prod",
            "S3TRIGGER_DEAD_LETTER_QUEUE": f"{FUNCTION}-dlq",
            **self.environment,
        }
        bucket = {"QueueConfigurations": [{"QueueArn": arn("sqs", INTAKE), "Events": []}]}
        topic, target = arn("sns", "topic"), arn("sqs", INTAKE)
        subscription = {"SubscriptionArn": f"{topic}:1", "TopicArn": topic, "Endpoint": target}
        dead_letters = arn("sqs", f"{FUNCTION}-dlq")
        redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_letters})}
        rule = {"Name": "lava.prod.in", "Arn": arn("events", "rule/lava.prod.in")}
        of_rule = {"Id": "q", "Arn": target, "DeadLetterConfig": {"Arn": dead_letters}}
        mappings = [
            _mapping(INTAKE, MaximumBatchingWindowInSeconds=30),
            _mapping(f"{FUNCTION}-dlq"),
        ]
        self.answers = {
            "GetFunctionConfiguration": lambda _: self._configuration(),
            "ListEventSourceMappings": {"EventSourceMappings": mappings},
            "GetFunctionConcurrency": {},
            "GetQueueUrl": self._queue_url,
            "GetQueueAttributes": self._attributes,
            "Scan": lambda asked: {
                "Items": self.triggers if asked["TableName"].endswith("s3triggers") else self.jobs
            },
            "GetBucketNotificationConfiguration": bucket,
            "ListSubscriptions": {"Subscriptions": [subscription]},
            "GetSubscriptionAttributes": {"Attributes": redrive},
            "ListRules": {"Rules": [rule]},
            "ListTargetsByRule": {"Targets": [of_rule]},
            "ListRolePolicies": {"PolicyNames": ["s3trigger"]},
            "GetRolePolicy": {
                "RoleName": FUNCTION,
                "PolicyName": "s3trigger",
                "PolicyDocument": json.dumps({"Statement": [EVERYTHING]}),
            },
            "ListAttachedRolePolicies": {"AttachedPolicies": []},
            "GetMetricStatistics": {"Datapoints": []},
            "DescribeLogStreams": {"logStreams": []},
            **self.answers,
        }

    def client(self, service: str, config: Any = None) -> Any:  # noqa: ARG002 - as `Aws` has it
        """Return a client of boto3 that is given the canned answers."""
        import boto3  # noqa: PLC0415 - as the command does

        session: Any = boto3.Session("x", "x", region_name=REGION)
        client = session.client(service)
        client.meta.events.register("before-call.*.*", _answering(self, client))
        # It reads the XML of the answer, which a canned one does not have.
        client.meta.events.unregister("after-call.s3.GetBucketLocation", parse_get_bucket_location)
        return client

    def _configuration(self) -> dict[str, Any]:
        return {
            "FunctionName": FUNCTION,
            "FunctionArn": arn("lambda", f"function:{FUNCTION}"),
            "Role": ROLE,
            "Handler": "lava_s3trigger.handler.lambda_handler",
            "Timeout": 60,
            "DeadLetterConfig": {"TargetArn": arn("sqs", f"{FUNCTION}-dlq")},
            "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"},
            "Environment": {"Variables": self.environment},
            **self.function,
        }

    def _queue_url(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["QueueName"] not in self.queues:
            raise refusal("QueueDoesNotExist", "GetQueueUrl")
        return {"QueueUrl": f"https://sqs/{asked['QueueName']}"}

    def _attributes(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"Attributes": self.queues[asked["QueueUrl"].rpartition("/")[2]]}


def _answering(realm: CannedRealm, client: Any) -> Callable[..., Any]:
    def answer(model: Any, context: Any, **_: Any) -> Any:
        name = model.name
        if name in realm.refused:
            raise refusal("AccessDenied", name)
        found = realm.answers[name]
        value = found(context["canned_parameters"]) if callable(found) else found
        Stubber(client).add_response(xform_name(name), value)  # checks it
        return _Ok(), copy.deepcopy(value)

    def keep(params: Any, context: Any, **_: Any) -> None:
        context["canned_parameters"] = params

    client.meta.events.register_first("before-parameter-build.*.*", keep)
    return answer


class _Ok:
    status_code = 200


def refusal(code: str, operation: str) -> ClientError:
    """Return what a client raises when AWS refuses a call."""
    return ClientError({"Error": {"Code": code, "Message": "refused by the test"}}, operation)
