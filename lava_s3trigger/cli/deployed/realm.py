"""A deployed realm as AWS describes it. Each part is read once, when it is first needed."""

from __future__ import annotations

import datetime as dt
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.suggestions import near
from lava_s3trigger.errors import SettingsError
from lava_s3trigger.settings import Settings

from .aws import reaching_aws
from .function import function_name, require_named, unqualified
from .iam_statements import allowed_by, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .aws import Aws

T = TypeVar("T")
Json = dict[str, Any]

_DENIED: Final = frozenset(
    [
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "InvalidClientTokenId",
        "UnauthorizedOperation",
    ]
)
_MISSING: Final = frozenset(
    [
        "404",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "NoSuchEntity",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    ]
)
# Operations whose IAM action has another name.
_ACTIONS: Final = {
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:HeadBucket": "s3:ListBucket",
}
_BUCKET: Final = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_METRIC_SECONDS: Final = 3600
"""SQS sends metrics of a quiet queue late."""


class UnreadableError(Exception):
    """AWS refused to show something.

    Attributes:
        action: The IAM action that is missing.
        reason: The message of AWS.
    """

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(action, reason)
        self.action = action
        self.reason = reason


@dataclass
class Deployment:
    """The function of a realm, and the resources that it is connected to."""

    aws: Aws
    realm: str
    function_name: str
    connecting: set[str] = field(default_factory=set, repr=False)
    """Buckets that a command of `doctor` connects for all of their entries."""
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)
    _answers: dict[str, Any] = field(default_factory=dict, repr=False)

    def read(self, service: str, operation: str, **parameters: Any) -> Any:
        """Return the answer to a call, with all pages; None if the resource does not exist.

        Args:
            service: botocore's name of the service.
            operation: Name of the client's method.
            parameters: Its parameters.

        Raises:
            UnreadableError: AWS refuses it.
            CommandError: AWS cannot be reached.
        """
        key = json.dumps([service, operation, parameters], sort_keys=True)
        if key not in self._answers:
            try:
                self._answers[key] = self._call(service, operation, parameters)
            except UnreadableError as error:
                self._answers[key] = error
        answer = self._answers[key]
        if isinstance(answer, UnreadableError):
            raise answer
        return answer

    def _call(self, service: str, operation: str, parameters: Json) -> Any:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - start-up

        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self.aws.client(service)
        with reaching_aws():
            try:
                if client.can_paginate(operation):
                    pages = client.get_paginator(operation).paginate(**parameters)
                    return pages.build_full_result()
                return getattr(client, operation)(**parameters)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code in _MISSING:
                    return None
                if code not in _DENIED:
                    raise
                action = f"{service}:{error.operation_name}"
                reason = str(error.response["Error"].get("Message", code))
                raise UnreadableError(_ACTIONS.get(action, action), reason) from None

    def read_all(self, service: str, operation: str, field: str, **parameters: Any) -> list[Any]:
        """Return the list in a field of the answer to a call; see `read`."""
        return list((self.read(service, operation, **parameters) or {}).get(field, []))

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what a function makes of the realm, which is called once for a name."""
        if name not in self._answers:
            self._answers[name] = make()
        answer: T = self._answers[name]
        return answer

    @cached_property
    def function(self) -> Json:
        """The configuration of the function; empty if there is none."""
        name = self.function_name
        return self.read("lambda", "get_function_configuration", FunctionName=name) or {}

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the function."""
        return dict(self.function.get("Environment", {}).get("Variables", {}))

    @property
    def makes_metrics(self) -> bool:
        """Whether the function makes metrics."""
        try:
            return Settings.from_env(self.environment).metrics
        except SettingsError:
            return False

    @property
    def timeout(self) -> int:
        """Seconds that an invocation may take."""
        return int(self.function.get("Timeout", 3))

    @property
    def function_arn(self) -> str:
        """ARN of the function, without a version."""
        return unqualified(self.function.get("FunctionArn", ""))

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the function's account and region."""
        parts = (self.function_arn or "arn:aws:lambda:::").split(":")
        return ":".join(["arn", parts[1], service, parts[3], parts[4], resource])

    @cached_property
    def dead_letter_queue(self) -> str:
        """Name of the queue that parked and failed events go to.

        Where the variable of the function misspells the queue that Lambda has, that queue.
        """
        target = self.function.get("DeadLetterConfig", {}).get("TargetArn", "")
        usual = target.rpartition(":")[2] or f"{self.function_name}-dlq"
        named = self.environment.get("S3TRIGGER_DEAD_LETTER_QUEUE") or usual
        if named != usual and near(named, [usual]):
            with suppress(UnreadableError):
                names = [name for name in (named, usual) if self._has_queue(name)]
                return usual if names == [usual] else named
        return named

    def _has_queue(self, name: str) -> bool:
        return self.read("sqs", "get_queue_url", QueueName=name) is not None

    @property
    def mappings(self) -> list[Json]:
        """The event source mappings of the function."""
        if not self.function:
            return []
        name = self.function_name
        return self.read_all(
            "lambda", "list_event_source_mappings", "EventSourceMappings", FunctionName=name
        )

    @property
    def is_mapped(self) -> frozenset[str]:
        """ARNs of the queues that the function reads, without that of its dead letters."""
        arns = {mapping.get("EventSourceArn", "") for mapping in self.mappings} - {""}
        return frozenset(arn for arn in arns if not arn.endswith(f":{self.dead_letter_queue}"))

    def queue(self, name: str) -> dict[str, str] | None:
        """Return the attributes of a queue, with its ``Url``; None if there is none."""
        url_answer = self.read("sqs", "get_queue_url", QueueName=name)
        if url_answer is None:
            return None
        url = url_answer["QueueUrl"]
        answer = self.read("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])
        return None if answer is None else {**answer.get("Attributes", {}), "Url": url}

    def has_queue(self, name: str) -> bool:
        """Return whether there is a queue of a name."""
        return self.read("sqs", "get_queue_url", QueueName=name) is not None

    @property
    def source_queues(self) -> list[str]:
        """Names of the queues that the function reads, without that of its dead letters."""
        return sorted(arn.rpartition(":")[2] for arn in self.is_mapped)

    def redrive_target(self, queue: str) -> str | None:
        """Return the ARN of a queue's dead-letter queue; None if it has none."""
        policy = json.loads((self.queue(queue) or {}).get("RedrivePolicy") or "{}")
        target = policy.get("deadLetterTargetArn")
        return str(target) if target else None

    def metric(self, namespace: str, name: str, statistic: str, **dimension: str) -> float | None:
        """Return a metric of CloudWatch over the last hour; None if it has no value.

        Args:
            namespace: Such as ``AWS/SQS``.
            name: Its name.
            statistic: ``Maximum`` or ``Sum``.
            **dimension: Its one dimension.
        """
        points = self._points(namespace, name, statistic, 1, dimension)
        values = [float(point[statistic]) for point in points]
        if not values:
            return None
        return sum(values) if statistic == "Sum" else max(values)

    def metric_by_hour(
        self, namespace: str, name: str, statistic: str, hours: int, **dimension: str
    ) -> dict[int, float]:
        """Return the values of a metric of CloudWatch by the hours for which they are past.

        Args:
            namespace: Such as ``AWS/SQS``.
            name: Its name.
            statistic: Such as ``Minimum``.
            hours: How far to look back.
            **dimension: Its one dimension.
        """
        return {
            int((self._now - point["Timestamp"]).total_seconds() // _METRIC_SECONDS): float(
                point[statistic]
            )
            for point in self._points(namespace, name, statistic, hours, dimension)
        }

    def _points(
        self, namespace: str, name: str, statistic: str, hours: int, dimension: Mapping[str, str]
    ) -> list[Json]:
        """Return the values of a metric of the last hours, one for each."""
        return self.read_all(
            "cloudwatch",
            "get_metric_statistics",
            "Datapoints",
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimension.items()],
            StartTime=(self._now - dt.timedelta(seconds=hours * _METRIC_SECONDS)).isoformat(),
            EndTime=self._now.isoformat(),
            Period=_METRIC_SECONDS,
            Statistics=[statistic],
        )

    @cached_property
    def _now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    @property
    def log_group(self) -> str:
        """Name of the function's log group."""
        logging = self.function.get("LoggingConfig", {})
        return str(logging.get("LogGroup") or f"/aws/lambda/{self.function_name}")

    def table(self, name: str) -> Json | None:
        """Return the description of a table; None if there is none."""
        answer = self.read("dynamodb", "describe_table", TableName=name)
        return None if answer is None else dict(answer["Table"])

    def items(self, kind: str) -> list[Json]:
        """Return the items of the realm's table ``s3triggers`` or ``jobs``."""
        return self.read_all("dynamodb", "scan", "Items", TableName=f"lava.{self.realm}.{kind}")

    @cached_property
    def policy(self) -> list[Json]:
        """The statements of the function's policy, which allow others to invoke it."""
        answer = self.read("lambda", "get_policy", FunctionName=self.function_name)
        return [] if answer is None else statements(answer["Policy"])

    def permits(self, service: str) -> bool:
        """Return whether a statement allows a service, such as ``s3``, to invoke the function."""
        principals = [statement.get("Principal") for statement in self.policy]
        named = [
            principal.get("Service") for principal in principals if isinstance(principal, dict)
        ]
        return f"{service}.amazonaws.com" in named or "*" in principals

    @property
    def role_name(self) -> str:
        """Name of the function's role."""
        return str(self.function.get("Role", "")).rpartition("/")[2]

    @cached_property
    def role_policies(self) -> dict[str, list[Json]]:
        """The statements of the role's inline policies by name, and of managed ones by ARN."""
        role = self.role_name
        policies: dict[str, list[Json]] = {}
        if not role:
            return policies
        for name in self.read_all("iam", "list_role_policies", "PolicyNames", RoleName=role):
            answer = self.read("iam", "get_role_policy", RoleName=role, PolicyName=name) or {}
            policies[name] = statements(answer.get("PolicyDocument", {}))
        for policy in self.read_all(
            "iam", "list_attached_role_policies", "AttachedPolicies", RoleName=role
        ):
            policies[policy["PolicyArn"]] = self._managed(policy["PolicyArn"])
        return policies

    def is_allowed(
        self, action: str, resource: str, context: Mapping[str, list[str]] | None = None
    ) -> bool:
        """Return whether the policies of the function's role allow an action on a resource.

        Args:
            action: The action of IAM.
            resource: An ARN.
            context: Values of condition keys, in lower case; conditions on others count as true.
        """
        every = [statement for policy in self.role_policies.values() for statement in policy]
        return allowed_by(every, action, resource, self.role_context | dict(context or {}))

    @property
    def role_context(self) -> dict[str, list[str]]:
        """Values of the keys of conditions in each call of the role; empty for those it lacks."""
        parts = (self.function_arn or "arn:aws:lambda:::").split(":")
        return {
            "aws:principalaccount": [parts[4]],
            "aws:requestedregion": [parts[3]],
            "aws:resourceaccount": [parts[4]],
            "aws:securetransport": ["true"],
            "aws:sourceaccount": [],
            "aws:sourcearn": [],
        }

    def _managed(self, arn: str) -> list[Json]:
        policy = self.read("iam", "get_policy", PolicyArn=arn)
        if policy is None:
            return []
        version = self.read(
            "iam",
            "get_policy_version",
            PolicyArn=arn,
            VersionId=policy["Policy"]["DefaultVersionId"],
        )
        return [] if version is None else statements(version["PolicyVersion"]["Document"])

    def notifications(self, bucket: str) -> Json | None:
        """Return the notification configuration of a bucket; None if there is no bucket."""
        if not _BUCKET.fullmatch(bucket):  # botocore refuses it, and no bucket has that name
            return None
        answer = self.read("s3", "get_bucket_notification_configuration", Bucket=bucket)
        if answer is None:
            return None
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    @cached_property
    def rules(self) -> list[Json]:
        """The rules of the default event bus that send to the function or to a queue that it reads.

        The ``Targets`` of each are only these.
        """
        return self.rules_to({self.function_arn, *self.is_mapped})

    def rules_to(self, ours: Collection[str]) -> list[Json]:
        """Return the rules of the default event bus that send to some ARNs, with these targets."""
        rules = []
        for rule in self.read_all("events", "list_rules", "Rules"):
            name = rule["Name"]
            every = self.read_all("events", "list_targets_by_rule", "Targets", Rule=name)
            targets = [target for target in every if target["Arn"] in ours]
            if targets:
                rules.append({**rule, "Targets": targets})
        return rules

    @cached_property
    def subscriptions(self) -> list[Json]:
        """The SNS subscriptions of the function and of the queues that it reads."""
        ours = {self.function_arn, *self.is_mapped}
        every = self.read_all("sns", "list_subscriptions", "Subscriptions")
        return [subscription for subscription in every if subscription.get("Endpoint") in ours]

    def filter_policy(self, subscription: str) -> Json:
        """Return the tests of message attributes in a subscription's filter policy.

        Empty without one, with one of the message's body, and where it may not be read.
        """
        try:
            answer = self.read("sns", "get_subscription_attributes", SubscriptionArn=subscription)
        except UnreadableError:
            return {}
        attributes = (answer or {}).get("Attributes", {})
        if attributes.get("FilterPolicyScope", "MessageAttributes") != "MessageAttributes":
            return {}
        policy: Json = json.loads(attributes.get("FilterPolicy") or "{}")
        return policy


def find_realm(realm: str | None, function: str | None) -> tuple[str, str]:
    """Return the names of the realm and of its function, from one of them.

    Raises:
        CommandError: The realm is unknown.
    """
    require_named(realm, function)
    if realm is None:
        match = re.fullmatch(function_name("(.+)"), str(function))
        if match is None:
            raise CommandError(
                f"no realm: {function} is not named as the stack names functions: give --realm"
                " (LAVA_REALM) as well",
                WRONG_USAGE,
            )
        realm = match[1]
    return realm, function or function_name(realm)
