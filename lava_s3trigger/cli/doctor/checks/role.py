"""Checks of the function's role."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.deployed.iam_statements import (
    allowed_by,
    holds,
    is_about,
    listed,
    matches_any,
)
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
GRANTED: Final = "lava-s3trigger-doctor"
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
_AS_IN_TEMPLATE: Final = {"sqs:SendMessage": "sqs:SendMessage*"}
_IN_VPC: Final = ("ec2:*networkinterface*", "ec2:*privateipaddresses", "ec2:describesubnets")
"""What Lambda needs for a function in a VPC."""


@check(
    "error",
    [*ROLE_READ, "lambda:ListEventSourceMappings"],
    of_function=True,
)
def role_permissions(deployed: Deployment) -> Iterator[Fault]:
    """The function's role lacks a permission that it needs.

    Every event that needs the permission fails, and becomes a dead letter. If a statement denies
    it, no other statement can allow it: the author of the denial must change it.
    """
    every = [statement for policy in deployed.role_policies.values() for statement in policy]
    missing = _missing(deployed, every)
    if not missing:
        return
    told = "; ".join(f"{', '.join(actions)} on {arn}" for arn, actions in missing.items())
    told = ". ".join([f"it lacks {told}", *_reasons(deployed, missing)])
    granted = _granting(deployed)
    after = [*every, *granted]
    command = grant(deployed, GRANTED, granted) if not _missing(deployed, after) else ""
    yield Fault(deployed.role_name, told, command)


@check("warning", [*ROLE_READ, "lambda:ListEventSourceMappings"], of_function=True)
def role_wide(deployed: Deployment) -> Iterator[Fault]:
    """The function's role has more permissions than the template grants.

    The function renders templates of many authors. A flaw in it would put at risk all that the role
    may do.
    """
    role = deployed.role_name
    every = [statement for policy in deployed.role_policies.values() for statement in policy]
    kept = [statement for policy in narrowed(deployed).values() for statement in policy]
    lines = []
    before = _missing(deployed, every)
    is_granted = before and not _missing(deployed, [*every, *_granting(deployed)])
    if _missing(deployed, kept) != before and not is_granted:  # else role_permissions grants it
        lines.append(grant(deployed, GRANTED, _granting(deployed)))
    for name, policy in deployed.role_policies.items():
        wide = sorted({action for statement in policy for action in _wide_in(deployed, statement)})
        if not wide:
            continue
        rest = narrowed(deployed).get(name, [])
        if name.startswith("arn:"):
            command = aws("iam detach-role-policy", role_name=role, policy_arn=name)
        elif rest:
            command = grant(deployed, name, rest)
        else:
            command = aws("iam delete-role-policy", role_name=role, policy_name=name)
        told = f"the policy {name} allows {', '.join(wide)}"
        yield Fault(role, told, "\n".join([*lines, command]))
        lines = []


def _missing(deployed: Deployment, role_statements: list[Json]) -> dict[str, list[str]]:
    """Return the actions that the function needs and statements do not allow, by resource."""
    missing: dict[str, list[str]] = {}
    for action, resource in _needed(deployed):
        if not allowed_by(role_statements, action, resource, deployed.role_context):
            granted = resource.replace(":log-stream:x", ":*")
            missing.setdefault(granted, []).append(_AS_IN_TEMPLATE.get(action, action))
    return missing


def _granting(deployed: Deployment) -> list[Json]:
    """Return the statements of the policy that grants what the role lacks once it is narrow."""
    before = deployed.role_policies.get(GRANTED, [])
    others = [statement for policy in narrowed(deployed).values() for statement in policy]
    return [
        *before,
        *(
            {"Effect": "Allow", "Action": actions, "Resource": resource}
            for resource, actions in _missing(deployed, others).items()
        ),
    ]


def _reasons(deployed: Deployment, missing: dict[str, list[str]]) -> Iterator[str]:
    """Yield the statements that deny what is missing, or allow it on a condition never met."""
    for name, policy in deployed.role_policies.items():
        for statement in policy:
            about = any(
                is_about(statement, action.removesuffix("*"), arn)
                for arn, actions in missing.items()
                for action in actions
            )
            if not about:
                continue
            condition = statement.get("Condition") or {}
            told = f"a statement {statement.get('Sid', '')!r} of the policy {name}"
            if statement.get("Effect") == "Deny" and holds(condition, deployed.role_context):
                yield f"{told} denies it"
            elif statement.get("Effect") == "Allow" and not holds(condition, deployed.role_context):
                yield f"{told} allows it on a condition that is never true: {json.dumps(condition)}"


def narrowed(deployed: Deployment) -> dict[str, list[Json]]:
    """Return the policies of the role without the statements that allow too much."""
    return {
        name: [statement for statement in policy if not any(_wide_in(deployed, statement))]
        for name, policy in deployed.role_policies.items()
        if not (
            name.startswith("arn:")
            and any(any(_wide_in(deployed, statement)) for statement in policy)
        )
    }


def _wide_in(deployed: Deployment, statement: Json) -> Iterator[str]:
    is_in_vpc = bool(deployed.function.get("VpcConfig", {}).get("SubnetIds"))
    return _wide(statement, is_in_vpc=is_in_vpc)


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
    logs = deployed.arn("logs", f"log-group:{deployed.log_group}:log-stream:x")
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield action, logs
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
