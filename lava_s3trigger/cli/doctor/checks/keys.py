"""Checks of the KMS keys that encrypt queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.doctor.aws_commands import aws
from lava_s3trigger.cli.doctor.realm import listed, matches_any
from lava_s3trigger.cli.doctor.registry import Fault, check

from .queues import worker_queues
from .role import ROLE_READ, role_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.doctor.realm import Deployment, Json

_READ: Final = (
    *ROLE_READ,
    "dynamodb:Scan",
    "kms:DescribeKey",
    "kms:ListAliases",
    "lambda:ListEventSourceMappings",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
)
_ACTIONS: Final = ("kms:Decrypt", "kms:GenerateDataKey")
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html"""
_OF_AWS: Final = "alias/aws/sqs"
_MENDED: Final = "lava-s3trigger-doctor-keys"


@check("queue-key", "error", _READ)
def queue_key(deployed: Deployment) -> Iterator[Fault]:
    """A queue is encrypted with a KMS key that the function's role may not use.

    SQS refuses each message to that queue, or each receipt from it, so that the events fail. The
    stack allows the key with the alias `lava-<REALM>-user`, and that of `QueuesKmsKeyArn`: set the
    parameter, or the next deployment brings the fault back to other queues. The policy of the key
    must allow the role too, or leave it to IAM; this check does not read it.
    """
    if not deployed.function:
        return
    allowed: dict[str, list[str]] = {}
    for name in _queues(deployed):
        key_id = (deployed.queue(name) or {}).get("KmsMasterKeyId")
        if not key_id or key_id.endswith(_OF_AWS):
            continue
        answer = deployed.read("kms", "describe_key", KeyId=key_id)
        if answer is None:
            yield Fault(name, f"there is no key {key_id}", _unencrypted(deployed, name))
            continue
        key = answer["KeyMetadata"]
        if not _may_use(deployed, key):
            allowed.setdefault(key["Arn"], []).append(name)
    for arn, names in allowed.items():
        command = aws(
            "iam",
            "put-role-policy",
            role_name=role_name(deployed),
            policy_name=_MENDED,
            policy_document=_granting(sorted(allowed)),
        )
        yield Fault(", ".join(names), f"the role may not use its key {arn}", command)


@check("queue-key-disabled", "error", [each for each in _READ if not each.startswith("iam:")])
def queue_key_disabled(deployed: Deployment) -> Iterator[Fault]:
    """A queue is encrypted with a KMS key that is disabled, or is about to be deleted.

    SQS refuses each message to that queue. Without the key, what is in the queue cannot be read.
    """
    for name in _queues(deployed):
        key_id = (deployed.queue(name) or {}).get("KmsMasterKeyId")
        answer = deployed.read("kms", "describe_key", KeyId=key_id) if key_id else None
        key = (answer or {}).get("KeyMetadata", {})
        state = key.get("KeyState", "Enabled")
        if state == "Enabled":
            continue
        lines = [aws("kms", "enable-key", key_id=key["KeyId"])]
        if state == "PendingDeletion":
            lines.insert(0, aws("kms", "cancel-key-deletion", key_id=key["KeyId"]))
        yield Fault(name, f"the state of its key {key['Arn']} is {state}", "\n".join(lines))


def _queues(deployed: Deployment) -> list[str]:
    names = {*worker_queues(deployed), *deployed.source_queues}
    return sorted(names | {deployed.dead_letter_queue}) if deployed.function else []


def _may_use(deployed: Deployment, key: Json) -> bool:
    answer = deployed.read("kms", "list_aliases", KeyId=key["KeyId"]) or {}
    region = key["Arn"].split(":")[3]
    context = {
        "kms:resourcealiases": [each["AliasName"] for each in answer.get("Aliases", [])],
        "kms:viaservice": [f"sqs.{region}.amazonaws.com"],
    }
    every = [each for found in deployed.role_policies.values() for each in found]
    return all(_is_allowed(every, action, key["Arn"], context) for action in _ACTIONS)


def _is_allowed(every: list[Json], action: str, arn: str, context: dict[str, list[str]]) -> bool:
    effects = {
        statement.get("Effect")
        for statement in every
        if matches_any(listed(statement.get("Action", [])), action)
        and matches_any(listed(statement.get("Resource", [])), arn)
        and _holds(statement.get("Condition") or {}, context)
    }
    return effects == {"Allow"}


def _holds(condition: dict[str, dict[str, Any]], context: dict[str, list[str]]) -> bool:
    """Tell whether a condition holds. What it asks of other things is taken to hold."""
    for operator, tests in condition.items():
        is_negated = "Not" in operator
        for name, wanted in tests.items():
            values = context.get(name.lower())
            if values is None:
                continue
            is_met = any(matches_any(listed(wanted), value) for value in values)
            if is_met is is_negated:
                return False
    return True


def _granting(arns: list[str]) -> Json:
    statement = {"Effect": "Allow", "Action": list(_ACTIONS), "Resource": arns}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _unencrypted(deployed: Deployment, name: str) -> str:
    """Return the command that has SQS encrypt a queue with a key of its own."""
    url = (deployed.queue(name) or {})["Url"]
    attributes = {"KmsMasterKeyId": "", "SqsManagedSseEnabled": "true"}
    return aws("sqs", "set-queue-attributes", queue_url=url, attributes=attributes)
