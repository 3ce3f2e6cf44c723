"""Checks of SNS topics between buckets and the function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lava_s3trigger.cli.deployed.iam_statements import statements
from lava_s3trigger.cli.deployed.resource_policy import allows
from lava_s3trigger.cli.doctor.aws_commands import aws, permit
from lava_s3trigger.cli.doctor.connections import CONNECT_READS
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.cli.routes.route import drops_all, routes

from .buckets import buckets, connecting_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json


@check(
    "warning",
    [
        *CONNECT_READS,
        "dynamodb:Scan",
        "events:ListRules",
        "events:ListTargetsByRule",
        "lambda:GetPolicy",
        "lambda:ListEventSourceMappings",
        "s3:GetBucketNotification",
        "sns:ListSubscriptions",
    ],
    of_function=True,
)
def subscription_filter(deployed: Deployment) -> Iterator[Fault]:
    """A subscription's filter policy drops all events of a bucket with enabled triggers.

    Messages from S3 have no message attributes, so a policy that asks for one matches none of them.
    The policy stays, since it may be there for other publishers; the command connects the bucket by
    another route.
    """
    for bucket, triggers in buckets(deployed).items():
        notified = (deployed.notifications(bucket) or {}).get("TopicConfigurations", [])
        topics = {notification["TopicArn"] for notification in notified}
        for subscription in deployed.subscriptions:
            arn = subscription["SubscriptionArn"]
            policy = deployed.filter_policy(arn)
            is_filtered = subscription["TopicArn"] in topics and drops_all(policy)
            if is_filtered and not routes(deployed, bucket):
                told = f"its filter policy {json.dumps(policy)} drops the events of {bucket}"
                yield connecting_fault(deployed, bucket, arn, told, triggers)


@check(
    "error",
    ["lambda:GetPolicy", "lambda:ListEventSourceMappings", "sns:ListSubscriptions"],
    of_function=True,
)
def topic_not_permitted(deployed: Deployment) -> Iterator[Fault]:
    """The function is subscribed to a topic, but SNS may not invoke it.

    SNS drops the events, or moves them to the subscription's dead-letter queue.
    """
    topics = {
        subscription["TopicArn"]
        for subscription in deployed.subscriptions
        if subscription["Endpoint"] == deployed.function_arn
    }
    for topic in sorted(topics):
        context = {"aws:sourcearn": topic, "aws:sourceaccount": topic.split(":")[4]}
        if allows(deployed.policy, "sns", "lambda:InvokeFunction", context):
            continue
        command = permit(deployed, f"topic-{topic.rpartition(':')[2]}", "sns", source_arn=topic)
        yield Fault(topic, "the function does not permit sns.amazonaws.com", command)


@check(
    "error",
    [
        "dynamodb:Scan",
        "lambda:ListEventSourceMappings",
        "s3:GetBucketNotification",
        "sns:GetTopicAttributes",
        "sns:ListSubscriptions",
    ],
    of_function=True,
)
def topic_publishers(deployed: Deployment) -> Iterator[Fault]:
    """A topic between a bucket and the function does not let S3 publish.

    S3 drops the events of buckets that notify the topic, and refuses to connect others to it.
    """
    ours = {subscription["TopicArn"] for subscription in deployed.subscriptions}
    notifying: dict[str, list[str]] = {}
    for bucket in buckets(deployed):
        notified = (deployed.notifications(bucket) or {}).get("TopicConfigurations", [])
        for topic in {notification["TopicArn"] for notification in notified} & ours:
            notifying.setdefault(topic, []).append(bucket)
    for topic, names in sorted(notifying.items()):
        answer = deployed.read("sns", "get_topic_attributes", TopicArn=topic)
        if answer is None:
            continue
        policy = {"Version": "2012-10-17", **json.loads(answer["Attributes"].get("Policy") or "{}")}
        allowed = {"Sid": "lava-s3trigger-doctor", **_publishing(deployed, topic, names)}
        before = [
            statement for statement in statements(policy) if statement.get("Sid") != allowed["Sid"]
        ]
        refused = [name for name in names if not _may_publish(deployed, statements(policy), name)]
        if not refused:
            continue
        told = f"its policy does not let S3 publish for {', '.join(refused)}"
        merged = {**policy, "Statement": [*before, allowed]}
        if not all(_may_publish(deployed, merged["Statement"], name) for name in names):
            yield Fault(topic, f"{told}: it denies it, which only its owner can change")
            continue
        command = aws(
            "sns set-topic-attributes",
            topic_arn=topic,
            attribute_name="Policy",
            attribute_value=json.dumps(merged),
        )
        yield Fault(topic, told, command)


def _may_publish(deployed: Deployment, policy_statements: list[Json], bucket: str) -> bool:
    context = {"aws:sourcearn": _arn(deployed, bucket), "aws:sourceaccount": _account(deployed)}
    return allows(policy_statements, "s3", "sns:Publish", context)


def _publishing(deployed: Deployment, topic: str, names: list[str]) -> Json:
    return {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": [_arn(deployed, name) for name in names]},
            "StringEquals": {"aws:SourceAccount": _account(deployed)},
        },
    }


def _arn(deployed: Deployment, bucket: str) -> str:
    return f"{deployed.function_arn.partition(':lambda:')[0]}:s3:::{bucket}"


def _account(deployed: Deployment) -> str:
    return deployed.function_arn.split(":")[4]
