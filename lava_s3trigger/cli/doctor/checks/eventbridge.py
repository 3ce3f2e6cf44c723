"""Checks of EventBridge rules that send to the function, or to a queue that it reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.connect.names import MAX_RULE_CHARACTERS, shortened
from lava_s3trigger.cli.deployed.resource_policy import allows
from lava_s3trigger.cli.doctor.aws_commands import aws, permit
from lava_s3trigger.cli.doctor.connections import CONNECT_READS, NoRemedyError, connecting
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.cli.routes.patterns import leaves, matching_types, read_pattern, without
from lava_s3trigger.cli.routes.route import routes, rule_routes

from .buckets import buckets, buckets_of, to_enable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json
    from lava_s3trigger.cli.routes.route import Route

_READ: Final = (
    "events:ListRules",
    "events:ListTargetsByRule",
    "lambda:ListEventSourceMappings",
)
_ROUTES_READ: Final = (
    *_READ,
    *CONNECT_READS,
    "dynamodb:Scan",
    "lambda:GetPolicy",
    "s3:GetBucketNotification",
    "sns:ListSubscriptions",
)
_TRANSFORMS: Final = ("Input", "InputPath", "InputTransformer")


@check("error", [*_READ, "lambda:GetPolicy"])
def rule_not_permitted(deployed: Deployment) -> Iterator[Fault]:
    """A rule may not invoke the function, because of its name.

    The stack permits rules named `lava.<REALM>.*`. EventBridge drops the events of others.
    """
    for rule in deployed.rules:
        is_target = any(target["Arn"] == deployed.function_arn for target in rule["Targets"])
        if not is_target or _is_permitted(deployed, rule["Arn"]):
            continue
        told = "the function does not permit this rule"
        if not rule["Name"].startswith(_prefix(deployed)):
            yield Fault(rule["Name"], told, cause="rule-name")
        elif not deployed.permits("events"):
            yield Fault(rule["Name"], told, cause="function-invokers")
        else:
            command = permit(deployed, f"rule-{rule['Name']}", "events", source_arn=rule["Arn"])
            yield Fault(rule["Name"], told, command)


@check("warning", _ROUTES_READ, of_function=True)
def rule_disabled(deployed: Deployment) -> Iterator[Fault]:
    """A rule of a bucket with enabled triggers is disabled.

    EventBridge sends none of its events. If they also arrive by another route, the commands remove
    the function from the rule: with the rule enabled, each job would be dispatched twice.
    """
    for rule in deployed.rules:
        if rule.get("State") != "DISABLED":
            continue
        lost, doubled = [], []
        for bucket in buckets(deployed):
            ours = _by(rule, rule_routes(deployed, bucket, is_disabled=True))
            if "EventBridgeConfiguration" not in (deployed.notifications(bucket) or {}):
                continue  # enabled or not, it carries nothing
            if ours and (
                bucket in deployed.connecting or ours != _by(rule, to_enable(deployed, bucket))
            ):
                doubled.append(bucket)
            elif ours:
                lost.append(bucket)
        if doubled:
            told = f"the rule is disabled; events of {', '.join(doubled)} come by another route"
            lost = [bucket for bucket in lost if not routes(deployed, bucket)]
            deployed.connecting.update(doubled)
            yield _removing(deployed, rule, told, lost)
        elif lost:
            command = aws("events enable-rule", name=rule["Name"])
            yield Fault(rule["Name"], f"the rule of {', '.join(lost)} is disabled", command)


def _by(rule: Json, bucket_routes: list[Route]) -> list[Route]:
    return [route for route in bucket_routes if route.rule == rule["Name"]]


@check("error", [*_READ, "sqs:GetQueueAttributes", "sqs:GetQueueUrl"])
def rule_transforms(deployed: Deployment) -> Iterator[Fault]:
    """A rule changes events before it sends them.

    The function does not understand the result, so the events fail.
    """
    for rule in deployed.rules:
        for target in rule["Targets"]:
            transforms = [name for name in _TRANSFORMS if target.get(name)]
            if transforms and not rule["Name"].startswith(_prefix(deployed)):
                told = f"its target {target['Id']} has {', '.join(transforms)}"
                yield Fault(rule["Name"], told, cause="rule-name")
            elif transforms:
                plain = {name: value for name, value in target.items() if name not in transforms}
                targets = _with_dead_letters(deployed, [plain])
                command = aws("events put-targets", rule=rule["Name"], targets=targets)
                told = f"its target {target['Id']} has {', '.join(transforms)}"
                yield Fault(rule["Name"], told, command)


@check("warning", [*_READ, "sqs:GetQueueAttributes", "sqs:GetQueueUrl"])
def rule_name(deployed: Deployment) -> Iterator[Fault]:
    """A rule is not named `lava.<REALM>.*`.

    The stack permits only rules of that name, so a newly deployed stack does not permit this one.
    Its name also does not say which realm it belongs to.
    """
    prefix = _prefix(deployed)
    for rule in deployed.rules:
        old, pattern = rule["Name"], read_pattern(rule)
        if old.startswith(prefix) or not pattern or not matching_types(pattern):
            continue  # a rule that carries nothing is a matter of its pattern
        told = f"the name does not begin with {prefix}"
        if any(matching_types(pattern, bucket) for bucket in deployed.connecting):
            told = f"{told}; the commands for its bucket take the function out of it"
            yield Fault(old, f"{told}: run doctor again after them")
            continue
        name = shortened(prefix + old, MAX_RULE_CHARACTERS)
        targets = [
            {field: value for field, value in target.items() if field not in _TRANSFORMS}
            for target in rule["Targets"]
        ]
        lines = [
            aws("events put-rule", name=name, event_pattern=json.dumps(pattern), state="ENABLED"),
            aws(
                "events put-targets",
                rule=name,
                targets=_with_dead_letters(deployed, targets),
            ),
            _removal(rule),
        ]
        yield Fault(old, told, "\n".join(lines))


@check("error", _ROUTES_READ, of_function=True)
def rule_pattern(deployed: Deployment) -> Iterator[Fault]:
    """The pattern of a rule matches no event of S3.

    EventBridge sends nothing, or events that the function does not understand. The commands remove
    the function from the rule, and connect the buckets that the pattern names.
    """
    for rule in deployed.rules:
        pattern = read_pattern(rule)
        if pattern is None:
            yield Fault(rule["Name"], "it has no pattern of events", _removal(rule))
        elif not matching_types(pattern):
            named = [bucket for bucket in buckets(deployed) if bucket in buckets_of(pattern)]
            lost = [
                bucket
                for bucket in named
                if bucket not in deployed.connecting
                and not (routes(deployed, bucket) or to_enable(deployed, bucket))
            ]
            told = f"{_excluding(pattern)}: no event of S3 has that"
            yield _removing(deployed, rule, told, lost)


def _removing(deployed: Deployment, rule: Json, told: str, lost: Iterable[str]) -> Fault:
    """Return a fault corrected by a rule without the function; buckets are connected again."""
    lines = [_removal(rule)]
    for bucket in lost:
        try:
            lines.append(connecting(deployed, bucket, buckets(deployed)[bucket]))
        except NoRemedyError as error:
            told += f". connect cannot connect {bucket}: {error}"
    return Fault(rule["Name"], told, "\n".join(lines))


def _removal(rule: Json) -> str:
    ids = [str(target["Id"]) for target in rule["Targets"]]
    return aws("events remove-targets --ids", *ids, rule=rule["Name"])


def _with_dead_letters(deployed: Deployment, targets: list[Json]) -> list[Json]:
    """Return targets, each with a dead-letter queue: the function's, where it has none."""
    queue = deployed.queue(deployed.dead_letter_queue)
    if queue is None:
        return targets
    own = {"DeadLetterConfig": {"Arn": deployed.arn("sqs", deployed.dead_letter_queue)}}
    return [{**own, **target} for target in targets]


def _prefix(deployed: Deployment) -> str:
    return f"lava.{deployed.realm}."


def _is_permitted(deployed: Deployment, arn: str) -> bool:
    context = {"aws:sourcearn": arn, "aws:sourceaccount": arn.split(":")[4]}
    return allows(deployed.policy, "events", "lambda:InvokeFunction", context)


def _excluding(pattern: Json) -> str:
    """Return the part of a pattern without which it matches events of S3."""
    for path in leaves(pattern):
        if matching_types({**without(pattern, path), "source": ["aws.s3"]}):
            return f"{'.'.join(path)} is {json.dumps(_at(pattern, path))}"
    return f"the pattern is {json.dumps(pattern)}"


def _at(pattern: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        pattern = pattern[name]
    return pattern
