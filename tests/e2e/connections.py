"""Connections of a bucket to the function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tools.local.server import LocalAws

_EVENTS: Final = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


class Connections:
    """Creates buckets and connects them to the function.

    Args:
        aws: The server.
        realm: Name of the realm.
        function_arn: ARN of the function.
    """

    def __init__(self, aws: LocalAws, realm: str, function_arn: str) -> None:
        self._aws = aws
        self._realm = realm
        self._function_arn = function_arn

    def by_s3(self, bucket: str) -> None:
        """Let S3 invoke the function."""
        self._notify(
            bucket,
            LambdaFunctionConfigurations=[
                {"LambdaFunctionArn": self._function_arn, "Events": _EVENTS}
            ],
        )

    def by_sns(self, bucket: str) -> None:
        """Let S3 notify a topic to which the function is subscribed."""
        topic = self._topic(bucket)
        self._aws.client("sns").subscribe(
            TopicArn=topic, Protocol="lambda", Endpoint=self._function_arn
        )
        self._notify(bucket, TopicConfigurations=[{"TopicArn": topic, "Events": _EVENTS}])

    def by_sqs(self, bucket: str, queue_arn: str) -> None:
        """Let S3 send to a queue that the function reads."""
        self._notify(bucket, QueueConfigurations=[{"QueueArn": queue_arn, "Events": _EVENTS}])

    def by_sns_and_sqs(self, bucket: str, queue_arn: str, *, raw: bool = False) -> None:
        """Let S3 notify a topic to which a queue is subscribed that the function reads."""
        topic = self._topic(bucket)
        self._aws.client("sns").subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=queue_arn,
            Attributes={"RawMessageDelivery": str(raw).lower()},
        )
        self._notify(bucket, TopicConfigurations=[{"TopicArn": topic, "Events": _EVENTS}])

    def by_eventbridge(self, bucket: str, target_arn: str | None = None) -> None:
        """Let a rule on the default event bus invoke the function, or send to another target."""
        self._notify(bucket, EventBridgeConfiguration={})
        events = self._aws.client("events")
        rule = f"lava.{self._realm}.{bucket}"
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
        events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
        events.put_targets(
            Rule=rule, Targets=[{"Id": "s3trigger", "Arn": target_arn or self._function_arn}]
        )

    def _topic(self, bucket: str) -> str:
        arn: str = self._aws.client("sns").create_topic(Name=f"lava-{self._realm}-{bucket}")[
            "TopicArn"
        ]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": arn,
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self._aws.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy)
        )
        return arn

    def _notify(self, bucket: str, **configuration: Any) -> None:
        s3 = self._aws.client("s3")
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )
