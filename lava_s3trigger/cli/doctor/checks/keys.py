"""Checks of the KMS keys that encrypt queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.deployed.iam_statements import allowed_by
from lava_s3trigger.cli.doctor.aws_commands import aws, grant, set_queue
from lava_s3trigger.cli.doctor.registry import Fault, check

from .queues import worker_queues
from .role import ROLE_READ, narrowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

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
_GRANTED: Final = "lava-s3trigger-doctor-keys"


@check("error", _READ, of_function=True)
def queue_key(deployed: Deployment) -> Iterator[Fault]:
    """A queue is encrypted with a KMS key that the function's role may not use.

    SQS refuses to send to that queue, or to receive from it, so the events fail. The stack allows
    the keys of the alias `lava-<REALM>-user` and of `QueuesKmsKeyArn`. Set this parameter too, so
    that the permission is part of the stack. The policy of the key must also allow the role, or
    leave that to IAM; this check does not read it.
    """
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
        statement = {"Effect": "Allow", "Action": list(_ACTIONS), "Resource": sorted(allowed)}
        before = deployed.role_policies.get(_GRANTED, [])
        command = grant(deployed, _GRANTED, [*before, statement])
        yield Fault(", ".join(names), f"the role may not use its key {arn}", command)


@check("error", [action for action in _READ if not action.startswith("iam:")])
def queue_key_disabled(deployed: Deployment) -> Iterator[Fault]:
    """A queue is encrypted with a KMS key that is disabled, or is about to be deleted.

    SQS refuses each message to that queue. Without the key, nobody can read what is in the queue.
    """
    for name in _queues(deployed):
        key_id = (deployed.queue(name) or {}).get("KmsMasterKeyId")
        answer = deployed.read("kms", "describe_key", KeyId=key_id) if key_id else None
        key = (answer or {}).get("KeyMetadata", {})
        state = key.get("KeyState", "Enabled")
        if state == "Enabled":
            continue
        lines = [aws("kms enable-key", key_id=key["KeyId"])]
        if state == "PendingDeletion":
            lines.insert(0, aws("kms cancel-key-deletion", key_id=key["KeyId"]))
        yield Fault(name, f"the state of its key {key['Arn']} is {state}", "\n".join(lines))


def _queues(deployed: Deployment) -> list[str]:
    names = {*worker_queues(deployed), *deployed.source_queues}
    return sorted(names | {deployed.dead_letter_queue}) if deployed.function else []


def _may_use(deployed: Deployment, key: Json) -> bool:
    aliases = deployed.read_all("kms", "list_aliases", "Aliases", KeyId=key["KeyId"])
    region = key["Arn"].split(":")[3]
    context = {
        "kms:resourcealiases": [alias["AliasName"] for alias in aliases],
        "kms:viaservice": [f"sqs.{region}.amazonaws.com"],
    }
    # What role_wide removes does not count, or its command would stop what works now.
    kept = [statement for policy in narrowed(deployed).values() for statement in policy]
    context = deployed.role_context | context
    return all(allowed_by(kept, action, key["Arn"], context) for action in _ACTIONS)


def _unencrypted(deployed: Deployment, name: str) -> str:
    """Return the command that has SQS encrypt a queue with a key of its own."""
    return set_queue(deployed.queue(name) or {}, KmsMasterKeyId="", SqsManagedSseEnabled="true")
