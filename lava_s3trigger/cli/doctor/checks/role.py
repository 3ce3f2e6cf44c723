"""Checks of the function's role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.deployed.realm import listed, matches_any
from lava_s3trigger.cli.doctor.aws_commands import aws, grant
from lava_s3trigger.cli.doctor.registry import Fault, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

ROLE_READ: Final = (
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
)
"""What it takes to read the policies of a role."""
_MENDED: Final = "lava-s3trigger-doctor"
"""Name of the policy that grants what was missing."""


_WITHOUT_RESOURCES: Final = frozenset(["xray:puttelemetryrecords", "xray:puttracesegments"])
_GIVEN: Final = _WITHOUT_RESOURCES | {
    "dynamodb:getitem",
    "dynamodb:query",
    "dynamodb:updateitem",
    "kms:decrypt",
    "kms:generatedatakey",
    "logs:createlogstream",
    "logs:putlogevents",
    "s3:getobject",
    "s3:getobjectversion",
    "s3:listbucket",
    "sqs:deletemessage",
    "sqs:getqueueattributes",
    "sqs:getqueueurl",
    "sqs:receivemessage",
    "sqs:sendmessage",
    "sqs:sendmessage*",
}
"""What the template gives, in lower case."""
_IN_VPC: Final = ("ec2:*networkinterface*", "ec2:*privateipaddresses", "ec2:describesubnets")
"""What Lambda needs for a function in a VPC."""


@check(
    "error",
    [*ROLE_READ, "lambda:ListEventSourceMappings"],
    of_function=True,
)
def role_permissions(deployed: Deployment) -> Iterator[Fault]:
    """The function's role lacks a permission that it needs.

    Every event that needs it fails, and ends as a dead letter.
    """
    missing: dict[str, list[str]] = {}
    for action, resource in _needed(deployed):
        if not deployed.is_allowed(action, resource):
            missing.setdefault(resource, []).append(action)
    if missing:
        allowed = [
            {"Effect": "Allow", "Action": actions, "Resource": resource}
            for resource, actions in missing.items()
        ]
        command = grant(deployed, _MENDED, allowed)
        told = "; ".join(f"{', '.join(each)} on {arn}" for arn, each in missing.items())
        yield Fault(deployed.role_name, f"it lacks {told}", command)


@check("warning", ROLE_READ)
def role_wide(deployed: Deployment) -> Iterator[Fault]:
    """The function's role may more than the template gives.

    The function renders templates of many authors. What its role may do beyond its task is what
    a flaw in it would put at risk.
    """
    role = deployed.role_name
    is_in_vpc = bool(deployed.function.get("VpcConfig", {}).get("SubnetIds"))
    for name, found in deployed.role_policies.items():
        wide = sorted({action for each in found for action in _wide(each, is_in_vpc=is_in_vpc)})
        if not wide:
            continue
        if name.startswith("arn:"):
            command = aws("iam detach-role-policy", role_name=role, policy_arn=name)
        else:
            command = aws("iam delete-role-policy", role_name=role, policy_name=name)
        yield Fault(role, f"the policy {name} allows {', '.join(wide)}", command)


def _wide(statement: Json, *, is_in_vpc: bool) -> Iterator[str]:
    """Yield what a statement allows and the template does not give."""
    if statement.get("Effect") != "Allow":
        return
    if "NotAction" in statement or "NotResource" in statement:
        yield "all but some actions or resources"
        return
    is_everything = "*" in listed(statement.get("Resource", []))
    for action in listed(statement.get("Action", [])):
        if is_in_vpc and matches_any(_IN_VPC, action):
            continue
        if action.lower() not in _GIVEN:
            yield f"{action} on {'*' if is_everything else 'some resources'}"
        elif is_everything and action.lower() not in _WITHOUT_RESOURCES:
            yield f"{action} on *"


def _needed(deployed: Deployment) -> Iterator[tuple[str, str]]:
    """Yield the actions of the function's calls, each with a resource."""
    realm = deployed.realm
    logs = f"log-group:/aws/lambda/{deployed.function_name}:log-stream:x"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield action, deployed.arn("logs", logs)
    index = f"table/lava.{realm}.s3triggers/index/s3trigger-index"
    yield "dynamodb:Query", deployed.arn("dynamodb", index)
    yield "dynamodb:GetItem", deployed.arn("dynamodb", f"table/lava.{realm}.jobs")
    dedup = deployed.environment.get("S3TRIGGER_DEDUP_TABLE")
    if dedup:
        yield "dynamodb:UpdateItem", deployed.arn("dynamodb", f"table/{dedup}")
    for queue in (f"lava-{realm}-*", deployed.dead_letter_queue):
        for action in ("sqs:GetQueueUrl", "sqs:SendMessage"):
            yield action, deployed.arn("sqs", queue)
    for mapping in deployed.mappings:
        for action in ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"):
            yield action, mapping["EventSourceArn"]
