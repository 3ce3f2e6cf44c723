"""`ui --realm` on the deployed stack, as a user who may only read."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.ui.conftest import Served
from tests.ui.conftest import serve as serve  # noqa: PLC0414 - a fixture
from tests.ui.test_server import Client

from .conftest import REALM, Stack, make_user, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys a stack")]

BUCKET: Final = "shown"
CALLS: Final = (
    *("dynamodb:Scan", "lambda:GetFunctionConfiguration", "logs:FilterLogEvents"),
    *("sqs:ListQueues", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"),
    # Dead letters can be seen only by receiving them; they are released at once.
    *("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:ChangeMessageVisibilityBatch"),
)
"""All that the page asks of AWS: it could do nothing else."""


@pytest.fixture(scope="module")
def client(stack: Stack, serve: Callable[..., Served]) -> Client:
    statement = {"Effect": "Allow", "Action": list(CALLS), "Resource": "*"}
    credentials = make_user(stack.aws, "looker", [statement])
    stack.trigger("shown", BUCKET, "in")
    stack.trigger("lost", BUCKET, "lost", job_id="nowhere")
    stack.aws.client("s3").create_bucket(Bucket=BUCKET)
    stack.connections.by_s3(BUCKET)
    return Client(serve("--realm", REALM, **{**stack.environment, **credentials}))


def call(client: Client, name: str, request: dict[str, Any] | None = None) -> Any:
    status, answer = client.call(name, request or {})
    assert status == 200, answer
    return answer


def test_a_realm_is_shown_with_what_is_parked_and_recent(stack: Stack, client: Client) -> None:
    shown = call(client, "map")
    assert shown["realm"] == REALM
    assert {"shown", "lost"} <= {entry["id"] for entry in shown["entries"]}
    assert call(client, "findings")["states"]["lost"] == "no job"

    stack.put(BUCKET, "in/a.csv")
    stack.put(BUCKET, "lost/b.csv")
    stack.dispatches("core", 1)

    def lines() -> set[tuple[str, str]]:
        return {(line["event"], line["key"]) for line in call(client, "recent")["lines"]}

    wanted = {("dispatched", "in/a.csv"), ("parked", "lost/b.csv")}
    wait_until(lambda: wanted <= lines(), f"the log to have {wanted}")
    parked: list[Any] = []

    def is_parked() -> bool:
        letters = call(client, "parked")["messages"]
        parked[:] = [letter for letter in letters if letter["trigger_id"] == "lost"]
        return bool(parked)

    wait_until(is_parked, "the event to be parked")
    [letter] = parked
    assert letter["objects"] == [f"s3://{BUCKET}/lost/b.csv"]
    assert "no job" in letter["reason"]
    # Others can receive it again: the page holds nothing back.
    name, url = "ApproximateNumberOfMessagesNotVisible", stack.outputs["DeadLetterQueueUrl"]
    sqs = stack.aws.client("sqs")
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
    assert counts[name] == "0"


def test_a_function_that_only_observes_is_said(stack: Stack, serve: Callable[..., Served]) -> None:
    with stack.with_variables(S3TRIGGER_MODE="observe"):
        client = Client(serve("--realm", REALM, **stack.environment))
        assert "only observes" in call(client, "map")["notice"]


def test_what_the_page_explains_is_what_the_function_did(client: Client) -> None:
    [event] = call(client, "explain", {"uri": f"s3://{BUCKET}/lost/b.csv"})["events"]
    assert event["outcome"] == "user_error"
    [event] = call(client, "explain", {"uri": f"s3://{BUCKET}/in/a.csv"})["events"]
    assert event["outcome"] == "dispatched"
    assert event["triggers"][0]["jobs"][0]["queue"] == f"lava-{REALM}-core"
