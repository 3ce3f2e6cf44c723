"""Connections of a bucket to the function."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from tools.local.server import LocalAws

_EVENTS: Final = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: str, service: str = "", **more: Any) -> dict[str, Any]:
    """Return a statement that allows an action, perhaps a service only."""
    principal = {"Principal": {"Service": f"{service}.amazonaws.com"}} if service else {}
    return {"Effect": "Allow", "Action": action, "Resource": resource, **principal, **more}


@dataclass(frozen=True)
class Connections:
    """Creates buckets and connects them to the function."""

    aws: LocalAws
    realm: str
    function_arn: str
    events: list[str] = field(default_factory=lambda: _EVENTS)
    """What S3 notifies of; a rule of EventBridge carries all events, or those of new objects."""

    def by_s3(self, bucket: str) -> None:
        """Let S3 invoke the function."""
        self._notify(
            bucket,
            LambdaFunctionConfigurations=[
                {"LambdaFunctionArn": self.function_arn, "Events": self.events}
            ],
        )

    def by_sns(self, bucket: str) -> None:
        """Let S3 notify a topic to which the function is subscribed."""
        self._by_topic(bucket, Protocol="lambda", Endpoint=self.function_arn)

    def by_sqs(self, bucket: str, queue_arn: str) -> None:
        """Let S3 send to a queue that the function reads."""
        self._notify(bucket, QueueConfigurations=[{"QueueArn": queue_arn, "Events": self.events}])

    def by_sns_and_sqs(self, bucket: str, queue_arn: str, *, raw: bool = False) -> None:
        """Let S3 notify a topic to which a queue is subscribed that the function reads."""
        raw_delivery = {"RawMessageDelivery": str(raw).lower()}
        self._by_topic(bucket, Protocol="sqs", Endpoint=queue_arn, Attributes=raw_delivery)

    def by_eventbridge(self, bucket: str, target_arn: str | None = None) -> None:
        """Let a rule on the default event bus invoke the function, or send to another target."""
        self._notify(bucket, EventBridgeConfiguration={})
        events = self.aws.client("events")
        rule = f"lava.{self.realm}.{bucket}"
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
        if self.events != _EVENTS:
            pattern["detail-type"] = ["Object Created"]
        events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
        events.put_targets(
            Rule=rule, Targets=[{"Id": "s3trigger", "Arn": target_arn or self.function_arn}]
        )

    def _by_topic(self, bucket: str, **subscription: Any) -> None:
        sns = self.aws.client("sns")
        topic = sns.create_topic(Name=f"lava-{self.realm}-{bucket}")["TopicArn"]
        text = policy(allow("sns:Publish", topic, "s3"))
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=text)
        sns.subscribe(TopicArn=topic, **subscription)
        self._notify(bucket, TopicConfigurations=[{"TopicArn": topic, "Events": self.events}])

    def _notify(self, bucket: str, **configuration: Any) -> None:
        s3 = self.aws.client("s3")
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )
