"""The role of the function: each permission is needed."""

import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from .conftest import Stack, actions_of, without_action
from .test_failures import event

pytestmark = [pytest.mark.e2e, pytest.mark.slow("takes each permission away in turn")]

BUCKET: Final = "permitted"


@pytest.fixture(autouse=True)
def _policy(stack: Stack) -> Iterator[None]:
    """Put the policy of the role back afterwards."""
    before = stack.role_statements()
    yield
    stack.put_role_policy(before)


def take_away(stack: Stack, action: str) -> None:
    """Take an action off the role, and begin with a new instance, that knows nothing."""
    before = stack.role_statements()
    assert [name for each in before for name in actions_of(each)].count(action) == 1
    stack.put_role_policy(without_action(before, action))
    stack.set_variables(INSTANCE=str(uuid.uuid4()))


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
    stack: Stack, action: str, call: str, entry: dict[str, Any]
) -> None:
    stack.trigger(BUCKET, BUCKET, **entry)
    take_away(stack, action)

    error = stack.invoke(event(BUCKET, "k"))["answer"]["errorMessage"]

    assert call in error
    assert "AccessDenied" in error
    assert stack.realm.receive("core") == []
