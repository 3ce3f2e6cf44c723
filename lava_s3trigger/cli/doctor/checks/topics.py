"""Checks of SNS topics between buckets and the function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lava_s3trigger.cli.deployed.realm import listed, statements
from lava_s3trigger.cli.doctor.aws_commands import aws, permit
from lava_s3trigger.cli.doctor.registry import Fault, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment


@check(
    "warning",
    ["lambda:ListEventSourceMappings", "sns:GetSubscriptionAttributes", "sns:ListSubscriptions"],
)
def subscription_filter(deployed: Deployment) -> Iterator[Fault]:
    """A subscription has a filter policy.

    SNS drops the events that it does not match, without a trace. S3's notifications have no
    message attributes, so that most policies match none.
    """
    for subscription in deployed.subscriptions:
        arn = subscription["SubscriptionArn"]
        answer = deployed.read("sns", "get_subscription_attributes", SubscriptionArn=arn) or {}
        policy = answer.get("Attributes", {}).get("FilterPolicy", "{}")
        if policy not in {"", "{}"}:
            command = aws(
                "sns set-subscription-attributes",
                subscription_arn=arn,
                attribute_name="FilterPolicy",
                attribute_value="{}",
            )
            yield Fault(arn, f"its filter policy is {policy}", command)


@check(
    "error",
    ["lambda:GetPolicy", "lambda:ListEventSourceMappings", "sns:ListSubscriptions"],
    of_function=True,
)
def topic_not_permitted(deployed: Deployment) -> Iterator[Fault]:
    """The function is subscribed to a topic, and does not permit SNS to invoke it.

    SNS drops the events, or moves them to the subscription's dead-letter queue.
    """
    if deployed.permits("sns"):
        return
    topics = {
        each["TopicArn"]
        for each in deployed.subscriptions
        if each["Endpoint"] == deployed.function_arn
    }
    for topic in sorted(topics):
        command = permit(deployed, f"topic-{topic.rpartition(':')[2]}", "sns", source_arn=topic)
        yield Fault(topic, "the function does not permit sns.amazonaws.com", command)


@check(
    "error",
    ["lambda:ListEventSourceMappings", "sns:GetTopicAttributes", "sns:ListSubscriptions"],
)
def topic_publishers(deployed: Deployment) -> Iterator[Fault]:
    """A topic does not let S3 publish.

    S3 refuses to notify it, or drops the events of the buckets that already do.
    """
    for topic in sorted({each["TopicArn"] for each in deployed.subscriptions}):
        answer = deployed.read("sns", "get_topic_attributes", TopicArn=topic)
        if answer is None:
            continue
        policy = json.loads(answer["Attributes"].get("Policy") or "{}")
        if any(_lets_s3_publish(each) for each in statements(policy)):
            continue
        allowed = {
            "Sid": "S3",
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic,
            "Condition": {"StringEquals": {"aws:SourceAccount": topic.split(":")[4]}},
        }
        merged = {"Version": "2012-10-17", **policy}
        merged["Statement"] = [*statements(policy), allowed]
        command = aws(
            "sns set-topic-attributes",
            topic_arn=topic,
            attribute_name="Policy",
            attribute_value=json.dumps(merged),
        )
        yield Fault(topic, "its policy has no statement for s3.amazonaws.com", command)


def _lets_s3_publish(statement: dict[str, object]) -> bool:
    principal = statement.get("Principal")
    services = listed(principal.get("Service", [])) if isinstance(principal, dict) else []
    actions = {str(action).lower() for action in listed(statement.get("Action", []))}
    return (
        statement.get("Effect") == "Allow"
        and "s3.amazonaws.com" in services
        and bool(actions & {"sns:publish", "sns:*", "*"})
    )
