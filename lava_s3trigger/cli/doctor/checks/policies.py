"""Checks of the policies of queues: who may send to them, and where their messages move."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.iam_statements import statements
from lava_s3trigger.cli.deployed.resource_policy import Caller, judge
from lava_s3trigger.cli.doctor.aws_commands import create_queue, set_queue
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.triggers import Trigger, read_trigger

from .queues import worker_queues
from .role import ROLE_READ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

_READ: Final = ("lambda:ListEventSourceMappings", "sqs:GetQueueAttributes", "sqs:GetQueueUrl")
_SEND: Final = "sqs:SendMessage"
_LEAST_RECEIVES: Final = 5
"""https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
_RETENTION: Final = "1209600"


@dataclass(frozen=True, slots=True)
class _Sender:
    """What sends to a queue."""

    queue: str
    """ARN of the queue."""
    service: str
    """Such as ``s3``; ``lambda`` sends as the function's role."""
    source: str
    """ARN of the bucket, the topic, the rule or the role."""


@check(
    "error",
    [
        *_READ,
        *ROLE_READ,
        "dynamodb:Scan",
        "events:ListRules",
        "events:ListTargetsByRule",
        "s3:GetBucketNotification",
        "sns:GetSubscriptionAttributes",
        "sns:ListSubscriptions",
    ],
    of_function=True,
)
def queue_policy(deployed: Deployment) -> Iterator[Fault]:
    """A queue refuses a service that sends to it.

    A refused event is lost. The check looks at queues that the function reads, and at dead-letter
    queues. S3, SNS and EventBridge need permission from the queue's policy, and Lambda from the
    function's role. For a statement that denies, there is no command: only its author knows why it
    is there.
    """
    refused: dict[str, list[_Sender]] = {}
    for sender in dict.fromkeys(_senders(deployed)):
        name = sender.queue.rpartition(":")[2]
        if sender.queue != deployed.arn("sqs", name) or deployed.queue(name) is None:
            continue  # of another account or region, or missing
        verdict = judge(_policy(deployed, name), _caller(sender), _SEND, sender.queue)
        if verdict.denied_by is not None:
            denying = json.dumps(verdict.denied_by)
            yield Fault(name, f"{_told(sender)} is denied by the statement {denying}", "")
        elif sender.service == "lambda":
            if not verdict.is_allowed and not deployed.is_allowed(_SEND, sender.queue):
                yield Fault(name, f"{_told(sender)} may not send", "")
        elif not verdict.is_allowed:
            refused.setdefault(name, []).append(sender)
    for name, senders in refused.items():
        told = " and ".join(map(_told, senders))
        yield Fault(
            name, f"its policy does not allow {told} to send", _allowing(deployed, name, senders)
        )


def _senders(deployed: Deployment) -> Iterator[_Sender]:
    """Yield who sends to queues that the function reads, and to dead-letter queues."""
    yield from _buckets_that_send(deployed)
    for subscription in deployed.subscriptions:
        topic = subscription["TopicArn"]
        if subscription["Endpoint"] in deployed.is_mapped:
            yield _Sender(subscription["Endpoint"], "sns", topic)
        if queue := _redrive_target(deployed, subscription["SubscriptionArn"]):
            yield _Sender(queue, "sns", topic)
    for rule in deployed.rules:
        for target in rule["Targets"]:
            if target["Arn"] in deployed.is_mapped:
                yield _Sender(target["Arn"], "events", rule["Arn"])
            if queue := target.get("DeadLetterConfig", {}).get("Arn"):
                yield _Sender(queue, "events", rule["Arn"])
    queue = deployed.function.get("DeadLetterConfig", {}).get("TargetArn", "")
    if ":sqs:" in queue:
        yield _Sender(queue, "lambda", deployed.function["Role"])


def _buckets_that_send(deployed: Deployment) -> Iterator[_Sender]:
    partition = deployed.function_arn.split(":")[1]
    for bucket in _buckets(deployed):
        configuration = deployed.notifications(bucket) or {}
        for notification in configuration.get("QueueConfigurations", []):
            queue = notification["QueueArn"]
            if queue in deployed.is_mapped:
                yield _Sender(queue, "s3", f"arn:{partition}:s3:::{bucket}")


def _buckets(deployed: Deployment) -> list[str]:
    """Return the buckets of enabled triggers."""
    names = set()
    for item in deployed.items("s3triggers"):
        if item.get("bucket", {}).get("S") and item.get("prefix", {}).get("S"):
            trigger = read_trigger(item)
            if isinstance(trigger, Trigger) and trigger.enabled:
                names.add(item["bucket"]["S"])
    return sorted(names)


def _redrive_target(deployed: Deployment, subscription: str) -> str | None:
    answer = deployed.read("sns", "get_subscription_attributes", SubscriptionArn=subscription) or {}
    policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy") or "{}")
    target = policy.get("deadLetterTargetArn")
    return str(target) if target else None


def _policy(deployed: Deployment, name: str) -> list[Json]:
    return statements((deployed.queue(name) or {}).get("Policy") or "{}")


def _caller(sender: _Sender) -> Caller:
    context: dict[str, str | None] = {"aws:securetransport": "true"}
    if sender.service == "lambda":
        absent = {"aws:sourcearn": None, "aws:sourceaccount": None}
        return Caller(
            role_arn=sender.source, context={**context, **absent, "aws:principalarn": sender.source}
        )
    context["aws:sourcearn"] = sender.source
    if sender.service != "s3":  # the ARN of a bucket does not name its account
        context["aws:sourceaccount"] = sender.source.split(":")[4]
    return Caller(f"{sender.service}.amazonaws.com", context=context)


def _told(sender: _Sender) -> str:
    if sender.service == "lambda":
        return f"the function's role {sender.source}"
    return f"{sender.service}.amazonaws.com ({sender.source})"


def _allowing(deployed: Deployment, name: str, senders: list[_Sender]) -> str:
    """Return the command that adds statements to a queue's policy."""
    queue = deployed.queue(name) or {}
    policy = {"Version": "2012-10-17", **json.loads(queue.get("Policy") or "{}")}
    own = _policy(deployed, name)
    policy["Statement"] = [*own, *(_statement(deployed, sender) for sender in senders)]
    return set_queue(queue, Policy=json.dumps(policy))


def _statement(deployed: Deployment, sender: _Sender) -> dict[str, Any]:
    condition: Json = {"ArnEquals": {"aws:SourceArn": sender.source}}
    if sender.service == "s3":
        account = deployed.function_arn.split(":")[4]
        condition["StringEquals"] = {"aws:SourceAccount": account}
    return {
        "Effect": "Allow",
        "Principal": {"Service": f"{sender.service}.amazonaws.com"},
        "Action": _SEND,
        "Resource": sender.queue,
        "Condition": condition,
    }


@check("error", [*_READ, "dynamodb:Scan"], of_function=True)
def redrive_to_worker(deployed: Deployment) -> Iterator[Fault]:
    """The dead-letter queue of the function, or of a queue that it reads, is a worker's queue.

    The worker takes the events for dispatches, fails and deletes them, so they are lost. The
    commands set another dead-letter queue. Messages that are already in the worker's queue stay
    there.
    """
    workers = worker_queues(deployed)
    for name in deployed.source_queues:
        target = (deployed.redrive_target(name) or "").rpartition(":")[2]
        if target in workers:
            told = f"its redrive policy moves messages to {target}, a worker's queue"
            yield Fault(name, told, _with_own_target(deployed, name))
    dead_letters = deployed.function.get("DeadLetterConfig", {}).get("TargetArn", "")
    for target in sorted({deployed.dead_letter_queue, dead_letters.rpartition(":")[2]}):
        if target in workers:
            told = f"its dead-letter queue is {target}, a worker's queue"
            yield Fault(deployed.function_name, told, "")


def _with_own_target(deployed: Deployment, name: str) -> str:
    """Return the commands that give a queue a dead-letter queue of its own."""
    is_fifo = name.endswith(".fifo")
    target = f"{name.removesuffix('.fifo')}-dlq" + ".fifo" * is_fifo
    queue = deployed.queue(name) or {}
    policy = json.loads(queue["RedrivePolicy"])
    policy["deadLetterTargetArn"] = deployed.arn("sqs", target)
    # SQS replaces the whole policy, so this corrects what redrive_receives finds in it as well.
    policy["maxReceiveCount"] = max(int(policy.get("maxReceiveCount", 0)), _LEAST_RECEIVES)
    commands = [set_queue(queue, RedrivePolicy=json.dumps(policy))]
    if deployed.queue(target) is None:
        commands.insert(0, create_queue(target, MessageRetentionPeriod=_RETENTION))
    return "\n".join(commands)


@check("warning", [*_READ, "dynamodb:Scan"])
def redrive_receives(deployed: Deployment) -> Iterator[Fault]:
    """A queue that the function reads gives a message fewer than five tries.

    A message counts as received even if the function is throttled and never sees it, so throttling
    is enough to make dead letters.
    """
    for name in deployed.source_queues:
        queue = deployed.queue(name) or {}
        policy = json.loads(queue.get("RedrivePolicy") or "{}")
        receives = int(policy.get("maxReceiveCount", _LEAST_RECEIVES))
        target = str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2]
        if receives < _LEAST_RECEIVES and target in worker_queues(deployed):
            yield Fault(name, f"its maxReceiveCount is {receives}", cause="redrive-to-worker")
        elif receives < _LEAST_RECEIVES:
            longer = json.dumps({**policy, "maxReceiveCount": _LEAST_RECEIVES})
            command = set_queue(queue, RedrivePolicy=longer)
            yield Fault(name, f"its maxReceiveCount is {receives}", command)
