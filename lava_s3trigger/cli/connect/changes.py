"""Changes that connect or disconnect a bucket: each part, as it is and as it will be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.deployed.iam_statements import listed, statements
from lava_s3trigger.cli.errors import CommandError

from .elements import refuse_unknown_elements
from .merge import TO_EVENTBRIDGE, is_same

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.cli.deployed.aws import Aws

    Json = dict[str, Any]

NOTIFICATIONS: Final = "notifications"
PERMISSION: Final = "permission"
QUEUE_STATEMENT: Final = "queue_statement"
TOPIC_STATEMENT: Final = "topic_statement"
SUBSCRIPTION: Final = "subscription"
RULE: Final = "rule"
_VALIDATION: Final = "Unable to validate the following destination"
_TRIES: Final = 15
"""S3 may take some seconds to see a new permission or statement."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one part of the configuration in AWS."""

    kind: str
    resource: str
    """Name of the bucket, of the function or of the rule; URL of the queue; ARN of the topic."""
    part: str | None
    """Id of the statement, if the part is a statement of a policy."""
    before: Json | None
    """The state that was read; None if the part did not exist."""
    after: Json | None
    """The new state; None if the part is removed."""

    @property
    def place(self) -> tuple[str, str, str | None]:
        """The identity of the part."""
        return self.kind, self.resource, self.part

    @property
    def is_needed(self) -> bool:
        """Whether it changes anything."""
        return not is_equal(self.kind, self.before, self.after)

    def starts_at(self, now: Json | None) -> bool:
        """Return whether a part is as it was read, or as a run that was killed midway left it.

        A rule and its targets take two calls. So does replacing a permission.
        """
        if is_equal(self.kind, now, self.before):
            return True
        if self.kind == PERMISSION:
            return now is None
        if self.kind != RULE or now is None:
            return False
        sides = [state for state in (self.before, self.after) if state]
        targets = [target for side in sides for target in side["Targets"]]
        return any({**now, "Targets": []} == {**side, "Targets": []} for side in sides) and all(
            target in targets for target in now["Targets"]
        )

    @property
    def undone(self) -> Change:
        """The change that undoes this one. S3 continues to send to EventBridge."""
        before = self.before
        if self.kind == NOTIFICATIONS and TO_EVENTBRIDGE in (self.after or {}):
            before = {TO_EVENTBRIDGE: {}, **(before or {})}
        return Change(self.kind, self.resource, self.part, self.after, before)

    @property
    def subject(self) -> str:
        """The name of the part, for people."""
        name = self.resource.rpartition("/")[2]
        return _TOLD[self.kind].format(name=name, part=self.part)

    def as_json(self) -> Json:
        """Return it as JSON."""
        return asdict(self)


_TOLD: Final = {
    NOTIFICATIONS: "notifications of bucket {name}",
    PERMISSION: "permission {part} of function {name}",
    QUEUE_STATEMENT: "statement {part} of the policy of queue {name}",
    TOPIC_STATEMENT: "statement {part} of the policy of topic {name}",
    SUBSCRIPTION: "subscription of the function to topic {name}",
    RULE: "EventBridge rule {name}",
}


class ChangedMeanwhileError(CommandError):
    """A part has changed since it was read, and was not written."""


def is_equal(kind: str, one: Json | None, two: Json | None) -> bool:
    """Return whether two states of a part are the same."""
    if kind == NOTIFICATIONS:
        return is_same(one or {}, two or {})
    return _plain(one) == _plain(two)


def _plain(state: Json | None) -> Json | None:
    """Return a state for comparing: the case of a statement's actions does not matter."""
    if state is None or "Action" not in state:
        return state
    return {**state, "Action": sorted(action.lower() for action in listed(state["Action"]))}


class Parts:
    """Reads and writes the parts, with fresh calls.

    Args:
        aws: The account and region of the function.
        account: Id of that account, which must own the bucket.
        function_arn: ARN of the function.
        pause: Waits for some seconds; returns whether to continue.
    """

    def __init__(
        self, aws: Aws, account: str, function_arn: str, pause: Callable[[float], bool]
    ) -> None:
        self._aws = aws
        self._account = account
        self._function_arn = function_arn
        self._pause = pause

    def read(self, kind: str, resource: str, part: str | None = None) -> Json | None:
        """Return the current state of a part; None if it does not exist.

        Raises:
            CommandError: AWS refuses it.
        """
        with reaching_aws():
            state: Json | None = getattr(self, f"_read_{kind}")(resource, part)
        return state

    def write(self, change: Change) -> None:
        """Make a change if the part is still as it was read; do nothing if it is already made.

        Raises:
            ChangedMeanwhileError: The part has changed since.
            CommandError: AWS refuses it.
        """
        now = self.read(*change.place)
        if is_equal(change.kind, now, change.after):
            return
        if not change.starts_at(now):
            raise ChangedMeanwhileError(
                f"{change.subject}: changed since it was read, so it was not written: run the"
                " command again"
            )
        with reaching_aws():
            getattr(self, f"_write_{change.kind}")(replace(change, before=now))
        if change.kind == NOTIFICATIONS:
            self._read_back(change)

    def _read_back(self, change: Change) -> None:
        """Wait until S3 shows the new configuration: those of buckets are eventually consistent.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
        """
        for _ in range(_TRIES):
            now = self.read(change.kind, change.resource)
            if is_equal(change.kind, now, change.after):
                return
            if not is_equal(change.kind, now, change.before):
                raise ChangedMeanwhileError(
                    f"{change.subject}: someone else wrote them at the same time, and S3 has theirs"
                    " now: run the command again"
                )
            if not self._pause(1):
                return
        raise CommandError(
            f"{change.subject}: S3 still shows the former ones: run the command again in a minute"
        )

    # Notifications of a bucket

    @cached_property
    def _s3(self) -> Any:
        client = self._aws.client("s3")
        refuse_unknown_elements(client)
        return client

    def _read_notifications(self, bucket: str, _: str | None) -> Json:
        answer = self._s3.get_bucket_notification_configuration(
            Bucket=bucket, ExpectedBucketOwner=self._account
        )
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def _write_notifications(self, change: Change) -> None:
        for number in range(_TRIES):
            try:
                self._s3.put_bucket_notification_configuration(
                    Bucket=change.resource,
                    ExpectedBucketOwner=self._account,
                    NotificationConfiguration=change.after or {},
                )
            except ClientError as error:
                is_validation = _VALIDATION in error.response["Error"].get("Message", "")
                if not is_validation or number + 1 == _TRIES or not self._pause(1):
                    raise
            else:
                return

    # Permissions of the function

    @cached_property
    def _lambda(self) -> Any:
        return self._aws.client("lambda")

    def _read_permission(self, function: str, sid: str | None) -> Json | None:
        try:
            answer = self._lambda.get_policy(FunctionName=function)
        except self._lambda.exceptions.ResourceNotFoundException:
            return None
        for statement in statements(answer["Policy"]):
            if statement.get("Sid") == sid:
                return permission_of(statement)
        return None

    def _write_permission(self, change: Change) -> None:
        if change.before is not None:
            self._lambda.remove_permission(FunctionName=change.resource, StatementId=change.part)
        if change.after is not None:
            self._lambda.add_permission(
                FunctionName=change.resource,
                StatementId=change.part,
                Action="lambda:InvokeFunction",
                **change.after,
            )

    # Statements in the policies of queues and topics

    @cached_property
    def _sqs(self) -> Any:
        return self._aws.client("sqs")

    @cached_property
    def _sns(self) -> Any:
        return self._aws.client("sns")

    def _queue_policy(self, url: str) -> Json:
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        return _policy(answer.get("Attributes", {}).get("Policy"))

    def _topic_policy(self, arn: str) -> Json:
        return _policy(self._sns.get_topic_attributes(TopicArn=arn)["Attributes"].get("Policy"))

    def _read_queue_statement(self, url: str, sid: str | None) -> Json | None:
        return statement_of(self._queue_policy(url), sid)

    def _read_topic_statement(self, arn: str, sid: str | None) -> Json | None:
        try:
            return statement_of(self._topic_policy(arn), sid)
        except self._sns.exceptions.NotFoundException:
            return None

    def _write_queue_statement(self, change: Change) -> None:
        policy = _merged(self._queue_policy(change.resource), change)
        # SQS refuses a policy without statements; an empty text removes the policy.
        text = json.dumps(policy) if policy["Statement"] else ""
        self._sqs.set_queue_attributes(QueueUrl=change.resource, Attributes={"Policy": text})

    def _write_topic_statement(self, change: Change) -> None:
        policy = _merged(self._topic_policy(change.resource), change)
        self._sns.set_topic_attributes(
            TopicArn=change.resource, AttributeName="Policy", AttributeValue=json.dumps(policy)
        )

    # Subscription of the function to a topic

    def _subscription(self, topic: str) -> str | None:
        pages = self._sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        try:
            every = pages.build_full_result()["Subscriptions"]
        except self._sns.exceptions.NotFoundException:
            return None
        wanted = ("lambda", self._function_arn)
        matching = [
            subscription
            for subscription in every
            if (subscription["Protocol"], subscription["Endpoint"]) == wanted
        ]
        return str(matching[0]["SubscriptionArn"]) if matching else None

    def _read_subscription(self, topic: str, _: str | None) -> Json | None:
        arn = self._subscription(topic)
        if arn is None:
            return None
        answer = self._sns.get_subscription_attributes(SubscriptionArn=arn)
        policy = answer["Attributes"].get("RedrivePolicy")
        return {"Endpoint": self._function_arn, "RedrivePolicy": json.loads(policy or "{}")}

    def _write_subscription(self, change: Change) -> None:
        topic, mark = change.resource, subscription_tag(self._function_arn)
        if change.after is None:
            self._sns.unsubscribe(SubscriptionArn=self._subscription(topic))
            self._sns.untag_resource(ResourceArn=topic, TagKeys=[mark])
            return
        self._sns.tag_resource(ResourceArn=topic, Tags=[{"Key": mark, "Value": "connect"}])
        self._sns.subscribe(
            TopicArn=topic,
            Protocol="lambda",
            Endpoint=self._function_arn,
            Attributes={"RedrivePolicy": json.dumps(change.after["RedrivePolicy"])},
        )

    # Rules of EventBridge

    @cached_property
    def _events(self) -> Any:
        return self._aws.client("events")

    def _read_rule(self, name: str, _: str | None) -> Json | None:
        try:
            rule = self._events.describe_rule(Name=name)
        except self._events.exceptions.ResourceNotFoundException:
            return None
        pages = self._events.get_paginator("list_targets_by_rule").paginate(Rule=name)
        return {
            "EventPattern": json.loads(rule.get("EventPattern") or "null"),
            "Description": rule.get("Description", ""),
            "State": rule.get("State"),
            "Targets": [target for page in pages for target in page["Targets"]],
        }

    def _write_rule(self, change: Change) -> None:
        before, after = (state or {"Targets": []} for state in (change.before, change.after))
        name = change.resource
        gone = {target["Id"] for target in before["Targets"]} - {
            target["Id"] for target in after["Targets"]
        }
        if gone:
            self._events.remove_targets(Rule=name, Ids=sorted(gone))
        if change.after is None:
            self._events.delete_rule(Name=name)
            return
        if {**before, "Targets": None} != {**after, "Targets": None}:
            self._events.put_rule(
                Name=name,
                EventPattern=json.dumps(after["EventPattern"]),
                Description=after["Description"],
                State=after["State"],
            )
        new = [target for target in after["Targets"] if target not in before["Targets"]]
        if new:
            self._events.put_targets(Rule=name, Targets=new)


def permission_of(statement: Json) -> Json:
    """Return a statement of the function's policy as the parameters that add it."""
    tests = {
        name.lower(): value
        for tests_of_operator in (statement.get("Condition") or {}).values()
        for name, value in tests_of_operator.items()
    }
    principal = statement.get("Principal", "*")
    permission = {
        "Principal": principal.get("Service") if isinstance(principal, dict) else principal
    }
    names = {"SourceArn": "aws:sourcearn", "SourceAccount": "aws:sourceaccount"}
    return permission | {name: tests[test] for name, test in names.items() if test in tests}


def statement_of(policy: Json, sid: str | None) -> Json | None:
    """Return the statement of a policy that has an id; None if there is none."""
    return next(
        (statement for statement in listed(policy["Statement"]) if statement.get("Sid") == sid),
        None,
    )


def subscription_tag(function_arn: str) -> str:
    """Return the key of the tag that marks a topic to which `connect` subscribed the function."""
    return f"lava-s3trigger:{function_arn.rpartition(':')[2]}"


def _policy(text: str | None) -> Json:
    return {"Version": "2012-10-17", "Statement": [], **json.loads(text or "{}")}


def _merged(policy: Json, change: Change) -> Json:
    """Return a policy with one of its statements changed."""
    others = [
        statement
        for statement in listed(policy["Statement"])
        if statement.get("Sid") != change.part
    ]
    return {**policy, "Statement": [*others, change.after] if change.after else others}
