"""The commands of `connect` after which each event of a bucket reaches the function once.

`connect` itself plans each, so that none is printed that it would refuse.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.connect.bucket import EVENTBRIDGE, KIND, QUEUE, S3, SNS, Bucket
from lava_s3trigger.cli.connect.changes import Parts
from lava_s3trigger.cli.connect.needs import RefusedError
from lava_s3trigger.cli.connect.plan import connection
from lava_s3trigger.cli.connect.wanted import CREATED, wanted_by_rules, wanted_by_s3
from lava_s3trigger.cli.deployed.function import function_name
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.cli.routes.route import asks_for, event_patterns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lava_s3trigger.cli.deployed.realm import Deployment
    from lava_s3trigger.cli.objects.event_types import EventType
    from lava_s3trigger.triggers import Trigger

    Kinds = tuple[EventType, ...]

CONNECT_READS: Final = (
    "events:DescribeRule",
    "s3:GetBucketLocation",
    "sns:GetSubscriptionAttributes",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:ListTagsForResource",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
)
"""What `connect` reads to plan, besides what the checks of routes read."""


class NoRemedyError(Exception):
    """`connect` can correct a bucket by no route. The text says why."""


def connecting(deployed: Deployment, name: str, triggers: Sequence[Trigger]) -> str:
    """Return the command that connects a bucket for what its enabled entries need.

    It keeps the kind of route that the bucket has, where `connect` can.

    Raises:
        NoRemedyError: `connect` would refuse each way, or may not read what it needs.
    """
    reasons: list[str] = []
    try:
        bucket = Bucket(deployed, Parts(deployed.aws, *_owner(deployed), _never), name)
        types = _kept_types(bucket, triggers)
        for way in _ways(bucket):
            by, topic, is_move = way
            wanted = (
                wanted_by_rules(name, triggers, types)
                if by == EVENTBRIDGE
                else wanted_by_s3(triggers, types)
            )
            try:
                connection(bucket, by, topic, wanted, is_move=is_move)
            except RefusedError as error:
                reasons.append("; ".join(error.reasons))
                continue
            if not wanted.unreachable:
                deployed.connecting.add(name)
                return _command(deployed, name, way, types)
            reasons.append(f"no event fires {', '.join(wanted.unreachable)} by {by}")
    except CommandError as error:
        reasons.append(str(error))
    raise NoRemedyError(reasons[-1])


def _owner(deployed: Deployment) -> tuple[str, str]:
    return deployed.function_arn.split(":")[4], deployed.function_arn


def _never(_: float) -> bool:
    """Do not wait: nothing is written."""
    return False


def _ways(bucket: Bucket) -> Iterator[tuple[str, str | None, bool]]:
    """Yield routes, each with its topic and whether it replaces others, the best first."""
    ways: dict[tuple[str, str | None], None] = {}
    own = [EVENTBRIDGE] * bool(bucket.rules)
    for route in sorted(bucket.routes, key=lambda route: bucket.own_by(route) is None):
        topic = None
        if route.place is None:
            by = EVENTBRIDGE
        else:
            by = next(by for by, kind in KIND.items() if kind == route.place[0])
            notification = bucket.configuration[route.place[0]][route.place[1]]
            topic = notification["TopicArn"] if by == SNS else None
            if by == QUEUE and notification["QueueArn"] != (bucket.intake or {}).get("QueueArn"):
                continue  # a queue of the user's own, which connect does not make routes to
        ways[by, topic] = None
    ways.update(dict.fromkeys((by, None) for by in (*own, S3, EVENTBRIDGE)))
    for by, topic in ways:
        yield by, topic, False
        yield by, topic, True


def _kept_types(bucket: Bucket, triggers: Sequence[Trigger]) -> Kinds:
    """Return the types of events of entries without ``if_event_type``: new objects, and as now.

    Raises:
        NoRemedyError: Some of these entries get others for some of their keys only.
    """
    plain = [
        trigger
        for trigger in triggers
        if all(condition.field != "if_event_type" for condition in trigger.conditions)
    ]
    kept = list(CREATED)
    for kind in EVENT_TYPES.values():
        if kind in CREATED:
            continue
        reached = [t for t in plain if any(route.reaches(t, kind) for route in bucket.routes)]
        if not reached:
            continue
        asking = [t for t in plain if asks_for(t, kind.name)]
        if not all(any(route.covers(t, kind) for route in bucket.routes) for t in asking):
            raise NoRemedyError(
                f"{kind.name} reaches some objects of {reached[0].trigger_id} or some entries only:"
                " connect has the same types of events for all entries without if_event_type"
            )
        kept.append(kind)
    return tuple(kept)


def _command(
    deployed: Deployment, bucket: str, way: tuple[str, str | None, bool], types: Kinds
) -> str:
    by, topic, is_move = way
    words = ["lava-s3trigger", "connect", bucket, *of_realm(deployed), "--by", by]
    words += ["--topic", topic] if topic else []
    if types != CREATED:
        for pattern in event_patterns(types):
            words += ["--events", pattern]
    words += ["--move"] * is_move
    return shlex.join([*words, "--yes"])


def of_realm(deployed: Deployment) -> list[str]:
    """Return the options that name the realm, and its function where it has another name."""
    words = ["--realm", deployed.realm]
    is_usual = deployed.function_name == function_name(deployed.realm)
    return words if is_usual else [*words, "--function", deployed.function_name]
