"""Objects put into S3 become dispatches, by every route that AWS offers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import wait_until

if TYPE_CHECKING:
    from .conftest import Stack

pytestmark = pytest.mark.e2e

HOSTILE = [
    'x","admin":"yes',
    "back\\slash",
    'it\'s a "quote"',
    "new\nline",
    "smile \U0001f600/caf\u00e9",
    "100%/a+b c%41",
    "{{ 7 * 7 }}{% raw %}",
]


def topic_to_queue(stack: Stack, name: str, *, raw: bool = False) -> str:
    """Make a topic with the intake queue subscribed, and give its ARN."""
    sns = stack.aws.client("sns")
    topic: str = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=stack.outputs["IntakeQueueArn"],
        Attributes={"RawMessageDelivery": str(raw).lower()},
    )
    return topic


def connect(stack: Stack, route: str, bucket: str) -> None:
    """Connect a bucket to the function."""
    connections, intake = stack.connections, stack.outputs["IntakeQueueArn"]
    match route:
        case "S3":
            connections.by_s3(bucket)
        case "S3-SNS":
            connections.by_sns(bucket)
        case "S3-SQS":
            connections.by_sqs(bucket, intake)
        case "S3-SNS-SQS":
            connections.by_sns_and_sqs(bucket, intake)
        case "S3-SNS-SQS-raw":
            connections.by_sns_and_sqs(bucket, intake, raw=True)
        case "EventBridge":
            connections.by_eventbridge(bucket)
        case "EventBridge-SQS":
            connections.by_eventbridge(bucket, intake)
        case "EventBridge-SNS":
            topic = stack.aws.client("sns").create_topic(Name=bucket)["TopicArn"]
            stack.aws.client("sns").subscribe(
                TopicArn=topic, Protocol="lambda", Endpoint=stack.outputs["FunctionArn"]
            )
            connections.by_eventbridge(bucket, topic)
        case "EventBridge-SNS-SQS":
            connections.by_eventbridge(bucket, topic_to_queue(stack, bucket))


def as_a_pipe_hands_it(message: dict[str, Any], queue_arn: str) -> dict[str, Any]:
    """Return the record that EventBridge Pipes makes of an SQS message.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-sqs.html
    """
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": "us-east-1",
    }


class TestEveryRoute:
    """A put object is dispatched once, with its exact key."""

    @pytest.mark.parametrize(
        "route",
        [
            "S3",
            "S3-SNS",
            "S3-SQS",
            "S3-SNS-SQS",
            "S3-SNS-SQS-raw",
            "EventBridge",
            "EventBridge-SQS",
            "EventBridge-SNS",
            "EventBridge-SNS-SQS",
        ],
    )
    def test_hostile_keys_arrive_unchanged(self, stack: Stack, route: str) -> None:
        bucket = f"route-{route.lower()}"
        stack.trigger(
            bucket,
            bucket,
            globals={"{{ key }}": "name"},
            parameters={"key": "{{ key }}", "size": "{{ info.size }}"},
        )
        connect(stack, route, bucket)
        for key in HOSTILE:
            stack.put(bucket, key)
        found = stack.dispatches("core", len(HOSTILE))
        assert sorted(each["parameters"]["key"] for each in found) == sorted(HOSTILE)
        assert sorted(name for each in found for name in each["globals"]) == sorted(HOSTILE)
        assert {each["parameters"]["size"] for each in found} == {"4"}
        assert all(set(each["globals"].values()) == {"name"} for each in found)

    def test_a_pipes_array_is_dispatched_and_answered(self, stack: Stack) -> None:
        """The local server has no pipes from queues: the array is made here, of real messages."""
        sqs, bucket = stack.aws.client("sqs"), "route-pipe"
        url = sqs.create_queue(QueueName=bucket)["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:000000000000:{bucket}"
        allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
        statement = [allowed | {"Principal": {"Service": "s3.amazonaws.com"}}]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        stack.trigger(bucket, bucket, parameters={"key": "{{ key }}"})
        stack.connections.by_sqs(bucket, arn)
        for key in HOSTILE[:3]:
            stack.put(bucket, key)
        messages: list[Any] = []

        def received() -> bool:
            messages.extend(
                sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            )
            return sum("s3:TestEvent" not in each["Body"] for each in messages) == 3

        wait_until(received, "the messages of S3")
        broken = as_a_pipe_hands_it(messages[0], arn) | {"messageId": "broken", "body": "{}"}
        records = [as_a_pipe_hands_it(each, arn) for each in messages]
        answer = stack.aws.client("lambda").invoke(
            FunctionName=stack.outputs["FunctionName"], Payload=json.dumps([*records, broken])
        )
        failures = json.loads(answer["Payload"].read())
        assert failures == {"batchItemFailures": [{"itemIdentifier": "broken"}]}
        found = stack.dispatches("core", 3)
        assert sorted(each["parameters"]["key"] for each in found) == sorted(HOSTILE[:3])

    @pytest.mark.parametrize(
        ("route", "event_type"),
        [("S3", "ObjectRemoved:Delete"), ("EventBridge", "ObjectDeleted:DeleteObject")],
    )
    def test_a_deleted_object_is_dispatched(
        self, stack: Stack, route: str, event_type: str
    ) -> None:
        bucket = f"delete-{route.lower()}"
        stack.trigger(
            bucket,
            bucket,
            if_event_type=["ObjectRemoved:*", "ObjectDeleted:*"],
            parameters={"type": "{{ info.event_type }}", "size": "{{ info.size }}"},
        )
        connect(stack, route, bucket)
        stack.put(bucket, "a/b")
        stack.aws.client("s3").delete_object(Bucket=bucket, Key="a/b")
        (found,) = stack.dispatches("core", 1)
        assert found["parameters"] == {"type": event_type, "size": "0"}


class TestNoEffect:
    """A payload without effect causes no message."""

    def test_a_test_event_is_done(self, stack: Stack) -> None:
        sqs, intake = stack.aws.client("sqs"), stack.outputs["IntakeQueueUrl"]
        event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "any"}
        sqs.send_message(QueueUrl=intake, MessageBody=json.dumps(event))
        wait_until(lambda: stack.waiting(intake) == 0, "the test event to be taken")
        assert stack.waiting(stack.outputs["DeadLetterQueueUrl"]) == 0
        assert stack.realm.receive("core") == []


class TestJobsOfOneTrigger:
    """Each job of a trigger goes to the queue of its worker."""

    def test_jobs_of_one_trigger_reach_two_workers(self, stack: Stack) -> None:
        stack.trigger("two", "two-workers", job_id=["job-core", "job-web", "job-core"])
        connect(stack, "S3", "two-workers")
        stack.put("two-workers", "x")
        core, web = stack.dispatches("core", 2), stack.dispatches("web", 1)
        assert [each["job_id"] for each in core + web] == ["job-core", "job-core", "job-web"]
        assert len({each["run_id"] for each in core + web}) == 3

    def test_a_delay_holds_the_message_back(self, stack: Stack) -> None:
        stack.trigger("late", "late-work", delay="4s")
        connect(stack, "S3", "late-work")
        stack.put("late-work", "x")
        url = stack.queue_url("lava-e2e-core")

        def delayed() -> Any:
            name = "ApproximateNumberOfMessagesDelayed"
            attributes = stack.aws.client("sqs").get_queue_attributes(
                QueueUrl=url, AttributeNames=[name]
            )
            return attributes["Attributes"][name] == "1"

        wait_until(delayed, "a delayed message")
        stack.dispatches("core", 1)
