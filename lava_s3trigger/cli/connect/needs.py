"""The parts that a route needs, and no more: permission, statements, rules, subscription."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.iam_statements import statements
from lava_s3trigger.cli.deployed.resource_policy import allows
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError

from .bucket import QUEUE, S3, SNS, policy_of
from .changes import (
    PERMISSION,
    QUEUE_STATEMENT,
    RULE,
    SUBSCRIPTION,
    TOPIC_STATEMENT,
    Change,
)
from .names import name_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .bucket import Bucket
    from .wanted import Filter

    Json = dict[str, Any]


class RefusedError(Exception):
    """The bucket cannot be connected in this way. Each reason is a line."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


@dataclass
class Needs:
    """The parts that a route from a bucket to the function needs.

    Args:
        bucket: The bucket.
        by: ``s3``, ``queue``, ``sns`` or ``eventbridge``.
        topic: Name or ARN of the topic, for ``sns``.
    """

    bucket: Bucket
    by: str
    topic: str | None

    def __post_init__(self) -> None:
        self._deployed = self.bucket.deployed
        self._parts = self.bucket.parts

    @cached_property
    def destination(self) -> str:
        """ARN of the destination that S3 notifies.

        Raises:
            CommandError: No topic is named.
            RefusedError: The queue or topic does not lead to the function.
        """
        if self.by == SNS:
            return self._topic_arn()
        if self.by != QUEUE:
            return self._deployed.function_arn
        arn = (self.bucket.intake or {}).get("QueueArn")
        if arn is None or arn not in self._deployed.is_mapped:
            raise RefusedError(
                f"the function does not read a queue {self.bucket.names.intake}: deploy the stack"
                " with CreateIntake=true"
            )
        return arn

    def _topic_arn(self) -> str:
        if not self.topic:
            raise CommandError("--by sns needs a topic: name it with --topic", WRONG_USAGE)
        region = self._deployed.arn("sns", "")  # with the account, and a colon at its end
        arn = self.topic if self.topic.startswith("arn:") else f"{region}{self.topic}"
        if not arn.startswith(region):
            raise RefusedError(
                f"topic {arn} is of another account or region than the function: its owner must"
                " let S3 publish to it and the function subscribe (docs/connecting.md, Other"
                " accounts)"
            )
        if arn.endswith(".fifo"):
            raise RefusedError(f"S3 does not notify FIFO topics, such as {arn}")
        return arn

    def changes(self, filters: Iterable[Filter]) -> Iterator[Change]:
        """Yield the changes that make the route, without the notifications; some change nothing.

        Args:
            filters: The filters of the route.
        """
        if self.by == S3:
            yield from self._permission("s3", self.bucket.arn)
        elif self.by == QUEUE:
            arn = self.destination
            yield from self._queue_statement(self.bucket.intake or {}, arn, "s3", self.bucket.arn)
        elif self.by == SNS:
            yield from self._topic_statement(self.destination)
            yield from self._subscription(self.destination)
        else:
            yield from self._rules(filters)

    def _permission(self, service: str, source: str) -> Iterator[Change]:
        """Yield the permission for a service to invoke the function, if it is missing."""
        function = self._deployed.function_name
        sid = self._sid(service, source)
        others = [statement for statement in self._deployed.policy if statement.get("Sid") != sid]
        if allows(others, service, "lambda:InvokeFunction", self._context(source)):
            return
        value = {"Principal": f"{service}.amazonaws.com", "SourceArn": source}
        if service == "s3":  # the ARN of a bucket does not name its account
            value["SourceAccount"] = self.bucket.account
        before = self._parts.read(PERMISSION, function, sid)
        yield Change(PERMISSION, function, sid, before, value)

    def _queue_statement(
        self, queue: dict[str, str], arn: str, service: str, source: str
    ) -> Iterator[Change]:
        """Yield the statement that lets a bucket or a rule send to a queue, if it is missing."""
        sid, action = self._sid(service, source), "sqs:SendMessage"
        others = [statement for statement in policy_of(queue) if statement.get("Sid") != sid]
        self._note_key(arn, queue.get("KmsMasterKeyId"), service)
        if not allows(others, service, action, self._context(source)):
            value = self._statement(sid, action, arn, service, source)
            before = self._parts.read(QUEUE_STATEMENT, queue["Url"], sid)
            yield Change(QUEUE_STATEMENT, queue["Url"], sid, before, value)

    def _topic_statement(self, topic: str) -> Iterator[Change]:
        answer = self._deployed.read("sns", "get_topic_attributes", TopicArn=topic)
        if answer is None:
            raise RefusedError(f"there is no topic {topic}")
        attributes = answer["Attributes"]
        sid, action, source = self._sid("s3", ""), "sns:Publish", self.bucket.arn
        every = statements(attributes.get("Policy") or "{}")
        others = [statement for statement in every if statement.get("Sid") != sid]
        self._note_key(topic, attributes.get("KmsMasterKeyId"), "s3")
        if not allows(others, "s3", action, self._context(source)):
            value = self._statement(sid, action, topic, "s3", source)
            before = self._parts.read(TOPIC_STATEMENT, topic, sid)
            yield Change(TOPIC_STATEMENT, topic, sid, before, value)

    def _subscription(self, topic: str) -> Iterator[Change]:
        """Yield the subscription of the function to a topic, unless another one leads to it."""
        ours = [
            subscription
            for subscription in self._deployed.subscriptions
            if subscription["TopicArn"] == topic
        ]
        if len(ours) > 1:
            told = " and ".join(subscription["Endpoint"] for subscription in ours)
            raise RefusedError(f"each event of {topic} would come twice, by {told}")
        for subscription in ours:
            arn = subscription["SubscriptionArn"]
            answer = self._deployed.read("sns", "get_subscription_attributes", SubscriptionArn=arn)
            policy = (answer or {}).get("Attributes", {}).get("FilterPolicy", "{}")
            if policy not in {"", "{}"}:
                raise RefusedError(
                    f"the subscription {arn} drops events: its filter policy is {policy}"
                )
        if ours and ours[0]["Endpoint"] != self._deployed.function_arn:
            return  # a queue that the function reads
        yield from self._permission("sns", topic)
        queue = self._dead_letters()
        redrive = {"deadLetterTargetArn": queue["QueueArn"]}
        value = {"Endpoint": self._deployed.function_arn, "RedrivePolicy": redrive}
        before = self._parts.read(SUBSCRIPTION, topic)
        if before in (None, value):
            yield from self._queue_statement(queue, queue["QueueArn"], "sns", topic)
        yield Change(SUBSCRIPTION, topic, None, before, before or value)

    def _rules(self, filters: Iterable[Filter]) -> Iterator[Change]:
        queue = self._dead_letters()
        arn = queue["QueueArn"]
        target = {
            "Id": "s3trigger",
            "Arn": self._deployed.function_arn,
            "DeadLetterConfig": {"Arn": arn},
        }
        for name, wanted_filter in zip(self._rule_names(), filters, strict=False):
            source = self._deployed.arn("events", f"rule/{name}")
            yield from self._queue_statement(queue, arn, "events", source)
            yield from self._permission("events", source)
            value = {
                "EventPattern": wanted_filter.pattern,
                "Description": self.bucket.names.description,
                "State": "ENABLED",
                "Targets": [target],
            }
            yield Change(RULE, name, None, self._parts.read(RULE, name), value)

    def _rule_names(self) -> Iterator[str]:
        """Yield names for rules: those that `connect` made, then free ones."""
        yield from self.bucket.rules
        for number in range(1, 1000):
            name = self.bucket.names.rule(number)
            if name not in self.bucket.rules and self._parts.read(RULE, name) is None:
                yield name

    def _dead_letters(self) -> dict[str, str]:
        """Return the function's dead-letter queue, for what a topic or a rule cannot deliver."""
        queue = self.bucket.dead_letters
        if queue is None:
            raise RefusedError(
                f"there is no queue {self._deployed.dead_letter_queue} for events that cannot be"
                " delivered: deploy the stack with CreateDeadLetterQueue=true"
            )
        return queue

    def _sid(self, service: str, source: str) -> str:
        return self.bucket.names.statement(None if service == "s3" else name_in(source))

    def _context(self, source: str) -> dict[str, str]:
        return {"aws:sourcearn": source, "aws:sourceaccount": self.bucket.account}

    def _statement(self, sid: str, action: str, resource: str, service: str, source: str) -> Json:
        condition: Json = {"ArnEquals": {"aws:SourceArn": source}}
        if service == "s3":
            condition["StringEquals"] = {"aws:SourceAccount": self.bucket.account}
        return {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": f"{service}.amazonaws.com"},
            "Action": action,
            "Resource": resource,
            "Condition": condition,
        }

    def _note_key(self, arn: str, key: str | None, service: str) -> None:
        if key:
            self.bucket.notes.append(
                f"{name_in(arn)} is encrypted with {key}, whose policy must let"
                f" {service}.amazonaws.com use it"
            )
