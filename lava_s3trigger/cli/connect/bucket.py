"""A bucket, and the notifications and routes of it that `connect` made."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.iam_statements import listed
from lava_s3trigger.cli.deployed.realm import UnreadableError
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.routes.route import KINDS, routes

from .changes import (
    NOTIFICATIONS,
    PERMISSION,
    QUEUE_STATEMENT,
    RULE,
    SUBSCRIPTION,
    TOPIC_STATEMENT,
    Change,
    statement_of,
    subscription_tag,
)
from .merge import TO_EVENTBRIDGE
from .names import Names, name_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment
    from lava_s3trigger.cli.routes.route import Route

    from .changes import Parts

    Json = dict[str, Any]

S3, QUEUE, SNS, EVENTBRIDGE = "s3", "queue", "sns", "eventbridge"
KIND: Final = {
    S3: "LambdaFunctionConfigurations",
    QUEUE: "QueueConfigurations",
    SNS: "TopicConfigurations",
}
"""The kind of notifications for each route that `--by` names, except EventBridge."""


@dataclass
class Bucket:
    """A bucket of the function's account and region.

    Raises:
        CommandError: It cannot be read, or is of another account or region.
    """

    deployed: Deployment
    parts: Parts
    name: str
    notes: list[str] = field(default_factory=list)
    """Notes for the user."""

    def __post_init__(self) -> None:
        _, partition, _, self._region, self.account, *_ = self.deployed.function_arn.split(":")
        self.names = Names(self.deployed.realm, self.deployed.function_name, self.name)
        self.arn = f"arn:{partition}:s3:::{self.name}"
        self._require_region()
        self.configuration = self._read()

    def _require_region(self) -> None:
        location = self.deployed.read("s3", "get_bucket_location", Bucket=self.name)
        if location is None:
            raise CommandError(f"there is no bucket {self.name}")
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
        constraint = location.get("LocationConstraint") or "us-east-1"
        region = "eu-west-1" if constraint == "EU" else constraint
        if region != self._region:
            raise CommandError(
                f"bucket {self.name} is in {region}, and the function in {self._region}: S3"
                " notifies only functions, queues and topics of the bucket's region. Who manages"
                f" the bucket makes an EventBridge rule there that sends to the event bus of"
                f" {self._region} (docs/connecting.md, Other regions)"
            )

    def _read(self) -> Json:
        try:
            return self.parts.read(NOTIFICATIONS, self.name) or {}
        except CommandError as error:
            if "AccessDenied" not in str(error):
                raise
            raise CommandError(
                f"{error}. If the bucket is not of account {self.account}, who owns it must"
                " connect it (docs/connecting.md, Other accounts)"
            ) from None

    @cached_property
    def routes(self) -> list[Route]:
        """The routes of its events to the function."""
        return routes(self.deployed, self.name, self.configuration)

    def routes_by(self, by: str) -> list[Route]:
        """Return the routes as they are once the bucket is connected: by rules, they all count."""
        if by != EVENTBRIDGE:
            return self.routes
        return routes(self.deployed, self.name, {**self.configuration, TO_EVENTBRIDGE: {}})

    @cached_property
    def rules(self) -> list[str]:
        """Names of the rules that `connect` made for it."""
        rules = self.deployed.read_all("events", "list_rules", "Rules")
        own = self.names.description
        return sorted(rule["Name"] for rule in rules if rule.get("Description") == own)

    @cached_property
    def intake(self) -> dict[str, str] | None:
        """Attributes of the intake queue; None if there is none."""
        return self.deployed.queue(self.names.intake)

    @cached_property
    def dead_letters(self) -> dict[str, str] | None:
        """Attributes of the function's dead-letter queue; None if there is none."""
        return self.deployed.queue(self.deployed.dead_letter_queue)

    def is_own(self, kind: str, number: int) -> bool:
        """Return whether `connect` made a notification."""
        notifications = self.configuration.get(kind, []) if kind in KINDS else []
        return number < len(notifications) and self.names.is_notification(
            notifications[number].get("Id")
        )

    def own_by(self, route: Route) -> str | None:
        """Return the name in `--by` of a route that `connect` made; None for another route."""
        if route.place is None:
            return EVENTBRIDGE if route.rule in self.rules else None
        by = next(by for by, kind in KIND.items() if kind == route.place[0])
        return by if self.is_own(*route.place) else None

    @property
    def own_topics(self) -> list[str]:
        """ARNs of the topics that it notifies because of `connect`."""
        notifications = enumerate(self.configuration.get(KIND[SNS], []))
        return sorted(
            {
                notification["TopicArn"]
                for n, notification in notifications
                if self.is_own(KIND[SNS], n)
            }
        )

    def owned(self) -> Iterator[Change]:
        """Yield the changes that remove all that `connect` made, except the notifications."""
        for name in self.rules:
            yield Change(RULE, name, None, self.parts.read(RULE, name), None)
        yield from _statements(self.intake, [self.names.statement()])
        for topic in self.own_topics:
            sid = self.names.statement()
            before = self.parts.read(TOPIC_STATEMENT, topic, sid)
            yield Change(TOPIC_STATEMENT, topic, sid, before, None)
        topics = [topic for topic in self.own_topics if self._may_unsubscribe(topic)]
        for topic in topics:
            yield Change(SUBSCRIPTION, topic, None, self.parts.read(SUBSCRIPTION, topic), None)
        sources = [*self.rules, *map(name_in, topics)]
        yield from _statements(self.dead_letters, map(self.names.statement, sources))
        function = self.deployed.function_name
        for source in (None, *sources):
            sid = self.names.statement(source)
            before = self.parts.read(PERMISSION, function, sid)
            yield Change(PERMISSION, function, sid, before, None)

    def _may_unsubscribe(self, topic: str) -> bool:
        """Return whether `connect` made the subscription and no other bucket needs it."""
        deployed = self.deployed
        tags = deployed.read_all("sns", "list_tags_for_resource", "Tags", ResourceArn=topic)
        if subscription_tag(deployed.function_arn) not in {tag["Key"] for tag in tags}:
            return False
        others = {
            item.get("bucket", {}).get("S", self.name) for item in deployed.items("s3triggers")
        }
        for other in sorted(others - {self.name}):
            try:
                topics = (deployed.notifications(other) or {}).get(KIND[SNS], [])
                is_used = any(notification["TopicArn"] == topic for notification in topics)
            except UnreadableError:
                is_used = True
            if is_used:
                self.notes.append(
                    f"the function stays subscribed to {topic}, which bucket {other} may notify"
                )
                return False
        return True


def policy_of(queue: dict[str, str] | None) -> list[Json]:
    """Return the statements of a queue's policy."""
    policy = json.loads((queue or {}).get("Policy") or "{}")
    return listed(policy.get("Statement", []))


def _statements(queue: dict[str, str] | None, sids: Iterator[str] | list[str]) -> Iterator[Change]:
    if queue is not None:
        for sid in sids:
            statement = statement_of({"Statement": policy_of(queue)}, sid)
            yield Change(QUEUE_STATEMENT, queue["Url"], sid, statement, None)
