"""Objects put into S3 become dispatches, by every route that AWS offers."""

import pytest

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


def connect(stack: Stack, route: str, bucket: str) -> None:
    connections, intake = stack.connections, stack.outputs["IntakeQueueArn"]
    match route:
        case "S3":
            connections.by_s3(bucket)
        case "S3-SNS":
            connections.by_sns(bucket)
        case "S3-SQS":
            connections.by_sqs(bucket, intake)
        case "S3-SNS-SQS" | "S3-SNS-SQS-raw":
            connections.by_sns_and_sqs(bucket, intake, raw=route.endswith("raw"))
        case "EventBridge":
            connections.by_eventbridge(bucket)
        case "EventBridge-SQS":
            connections.by_eventbridge(bucket, intake)
        case "EventBridge-SNS" | "EventBridge-SNS-SQS":
            sns, queued = stack.aws.client("sns"), route.endswith("SQS")
            topic = sns.create_topic(Name=bucket)["TopicArn"]
            endpoint = intake if queued else stack.outputs["FunctionArn"]
            protocol = "sqs" if queued else "lambda"
            sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
            connections.by_eventbridge(bucket, topic)


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
