"""The role of the function: each permission is needed, and none is wider than the realm."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

import pytest

from tools.local.server import ACCOUNT, REGION

from .conftest import REALM
from .test_failures import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Stack

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


class TestNeededPermissions:
    """Without any one permission, the delivery fails with the name of the denied call."""

    @pytest.mark.parametrize(
        ("action", "call", "entry"),
        [
            pytest.param("dynamodb:Query", "Query", {}, id="to find triggers"),
            pytest.param("dynamodb:GetItem", "GetItem", {}, id="to read jobs"),
            pytest.param("sqs:GetQueueUrl", "GetQueueUrl", {}, id="to find queues"),
            pytest.param("sqs:SendMessage*", "SendMessageBatch", {}, id="to dispatch"),
            pytest.param(
                "sqs:SendMessage*", "s3trigger-dlq", {"job_id": "no such job"}, id="to park"
            ),
        ],
    )
    def test_a_missing_permission_fails_the_delivery_with_the_denied_call(
        self, stack: Stack, role: str, action: str, call: str, entry: dict[str, Any]
    ) -> None:
        stack.trigger(BUCKET, BUCKET, **entry)
        take_away(stack, role, action)

        error = stack.invoke(event(BUCKET, "k"))["answer"]["errorMessage"]

        assert call in error
        assert "AccessDenied" in error
        assert stack.realm.receive("core") == []

    def test_with_every_permission_an_event_is_dispatched(self, stack: Stack) -> None:
        stack.trigger(BUCKET, BUCKET)
        assert not stack.invoke(event(BUCKET, "k"))["error"]
        stack.dispatches("core", 1)


OTHERS: Final = f"{REALM}x"
"""A realm whose name begins as this one's does."""


def table(realm: str, name: str, *, account: str = ACCOUNT) -> str:
    return f"arn:aws:dynamodb:{REGION}:{account}:table/lava.{realm}.{name}"


def queue(name: str, *, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:sqs:{region}:{account}:{name}"


LOGS: Final = f"/aws/lambda/lava-{REALM}-s3trigger"
INDEX: Final = "s3triggers/index/s3trigger-index"
OWN: Final = [
    ("dynamodb:Query", table(REALM, INDEX)),
    ("dynamodb:GetItem", table(REALM, "jobs")),
    ("sqs:GetQueueUrl", queue(f"lava-{REALM}-core")),
    ("sqs:SendMessage", queue(f"lava-{REALM}-core")),
    ("sqs:SendMessage", queue(f"lava-{REALM}-s3trigger-dlq")),
    ("sqs:ReceiveMessage", queue(f"lava-{REALM}-s3trigger-dlq")),
    ("sqs:DeleteMessage", queue(f"lava-{REALM}-s3trigger-dlq")),
    ("sqs:GetQueueAttributes", queue(f"lava-{REALM}-s3trigger-dlq")),
    ("sqs:ReceiveMessage", queue(f"lava-{REALM}-s3trigger-intake")),
    ("sqs:DeleteMessage", queue(f"lava-{REALM}-s3trigger-intake")),
    ("sqs:GetQueueAttributes", queue(f"lava-{REALM}-s3trigger-intake")),
    ("logs:CreateLogStream", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{LOGS}:log-stream:x"),
    ("logs:PutLogEvents", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{LOGS}:log-stream:x"),
]
WIDER: Final = [
    *((action, arn.replace(REALM, OTHERS)) for action, arn in OWN),
    ("dynamodb:Query", table(REALM, "s3triggers")),
    ("dynamodb:Query", table(REALM, "jobs")),
    ("dynamodb:Scan", table(REALM, INDEX)),
    ("dynamodb:Scan", table(REALM, "jobs")),
    ("dynamodb:GetItem", table(REALM, "s3triggers")),
    ("dynamodb:GetItem", table(REALM, "connections")),
    ("dynamodb:PutItem", table(REALM, "jobs")),
    ("dynamodb:UpdateItem", table(REALM, "s3triggers")),
    ("dynamodb:DeleteItem", table(REALM, "s3triggers")),
    ("sqs:ReceiveMessage", queue(f"lava-{REALM}-core")),
    ("sqs:DeleteMessage", queue(f"lava-{REALM}-core")),
    ("sqs:PurgeQueue", queue(f"lava-{REALM}-core")),
    ("sqs:SetQueueAttributes", queue(f"lava-{REALM}-s3trigger-dlq")),
    ("sqs:SendMessage", queue("lava-any")),
    ("sqs:SendMessage", queue(f"lava-{REALM}")),
    ("sqs:SendMessage", queue(f"lava-{REALM}-core", account="123456789012")),
    ("sqs:SendMessage", queue(f"lava-{REALM}-core", region="eu-west-1")),
    ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/k"),
    ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
    ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k"),
    ("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/lava/{REALM}/k"),
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:k"),
    ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/any"),
    ("lambda:InvokeFunction", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:lava-{REALM}-s3trigger"),
    ("logs:CreateLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:x"),
]  # fmt: skip


def ids(pair: tuple[str, str]) -> str:
    return f"{pair[0]} {pair[1].partition(':sqs:')[2] or pair[1].partition(':table/')[2]}".strip()


class TestNoWiderPermissions:
    """The role allows what the realm's function uses, and nothing else."""

    def decision(self, stack: Stack, action: str, arn: str) -> str:
        answer = stack.aws.client("iam").simulate_principal_policy(
            PolicySourceArn=stack.outputs["RoleArn"], ActionNames=[action], ResourceArns=[arn]
        )
        (result,) = answer["EvaluationResults"]
        return str(result["EvalDecision"])

    @pytest.mark.parametrize("pair", OWN, ids=ids)
    def test_an_action_on_the_realms_resources_is_allowed(
        self, stack: Stack, pair: tuple[str, str]
    ) -> None:
        assert self.decision(stack, *pair) == "allowed"

    @pytest.mark.parametrize("pair", WIDER, ids=ids)
    def test_any_other_action_is_denied(self, stack: Stack, pair: tuple[str, str]) -> None:
        assert self.decision(stack, *pair) == "implicitDeny"
