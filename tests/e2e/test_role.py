"""The role of the function: each permission is needed."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from .conftest import Stack
from .test_failures import event

pytestmark = [pytest.mark.e2e, pytest.mark.slow("takes each permission away in turn")]

POLICY: Final = "s3trigger"
BUCKET: Final = "permitted"


@pytest.fixture
def role(stack: Stack) -> Iterator[str]:
    """The name of the role, whose policy is put back afterwards."""
    iam, name = stack.aws.client("iam"), stack.outputs["RoleArn"].rpartition("/")[2]
    before = iam.get_role_policy(RoleName=name, PolicyName=POLICY)["PolicyDocument"]
    yield name
    put(stack, name, before)


def put(stack: Stack, role: str, policy: dict[str, Any]) -> None:
    stack.aws.client("iam").put_role_policy(
        RoleName=role, PolicyName=POLICY, PolicyDocument=json.dumps(policy)
    )


def take_away(stack: Stack, role: str, action: str) -> None:
    """Take an action off the role, and begin with a new instance, that knows nothing."""
    policy = stack.aws.client("iam").get_role_policy(RoleName=role, PolicyName=POLICY)
    statements = []
    taken = 0
    for statement in policy["PolicyDocument"]["Statement"]:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        taken += actions.count(action)
        kept = [each for each in actions if each != action]
        statements += [statement | {"Action": kept}] if kept else []
    assert taken == 1, action
    put(stack, role, policy["PolicyDocument"] | {"Statement": statements})
    client, name = stack.aws.client("lambda"), stack.outputs["FunctionName"]
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    fresh = {"Variables": variables | {"INSTANCE": str(uuid.uuid4())}}
    client.update_function_configuration(FunctionName=name, Environment=fresh)


@pytest.mark.parametrize(
    ("action", "call", "entry"),
    [
        pytest.param("dynamodb:Query", "Query", {}, id="to find triggers"),
        pytest.param("dynamodb:GetItem", "GetItem", {}, id="to read jobs"),
        pytest.param("sqs:GetQueueUrl", "GetQueueUrl", {}, id="to find queues"),
        pytest.param("sqs:SendMessage*", "SendMessageBatch", {}, id="to dispatch"),
        pytest.param("sqs:SendMessage*", "s3trigger-dlq", {"job_id": "no such job"}, id="to park"),
    ],
)
def test_a_missing_permission_fails_the_delivery_with_the_denied_call(
    stack: Stack, role: str, action: str, call: str, entry: dict[str, Any]
) -> None:
    stack.trigger(BUCKET, BUCKET, **entry)
    take_away(stack, role, action)

    error = stack.invoke(event(BUCKET, "k"))["answer"]["errorMessage"]

    assert call in error
    assert "AccessDenied" in error
    assert stack.realm.receive("core") == []
