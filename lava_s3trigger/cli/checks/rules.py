"""Checks of EventBridge rules that send to the function, or to a queue that it reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployment import listed, matches_any
from lava_s3trigger.cli.diagnosis import Fault, check

from .commands import aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployment import Deployment

_READ: Final = (
    "events:ListRules",
    "events:ListTargetsByRule",
    "lambda:ListEventSourceMappings",
)
_TRANSFORMS: Final = ("Input", "InputPath", "InputTransformer")


@check("rule-not-permitted", "error", [*_READ, "lambda:GetPolicy"])
def rule_not_permitted(deployed: Deployment) -> Iterator[Fault]:
    """A rule may not invoke the function, because of its name.

    The stack allows rules named `lava.<REALM>.*`. EventBridge drops the events of others.
    """
    sources = [
        arn
        for statement in deployed.policy
        if statement.get("Principal") in ({"Service": "events.amazonaws.com"}, "*")
        for arn in _sources(statement)
    ]
    for rule in deployed.rules:
        is_target = any(each["Arn"] == deployed.function_arn for each in rule["Targets"])
        if is_target and not matches_any(sources, rule["Arn"]):
            command = aws(
                "lambda",
                "add-permission",
                function_name=deployed.function_name,
                statement_id=f"rule-{rule['Name']}".replace(".", "-"),
                action="lambda:InvokeFunction",
                principal="events.amazonaws.com",
                source_arn=rule["Arn"],
            )
            yield Fault(rule["Name"], "the function does not permit this rule", command)


@check("rule-disabled", "warning", _READ)
def rule_disabled(deployed: Deployment) -> Iterator[Fault]:
    """A rule is disabled.

    EventBridge sends none of its events.
    """
    for rule in deployed.rules:
        if rule.get("State") == "DISABLED":
            command = aws("events", "enable-rule", name=rule["Name"])
            yield Fault(rule["Name"], "the rule is disabled", command)


@check("rule-transforms", "error", _READ)
def rule_transforms(deployed: Deployment) -> Iterator[Fault]:
    """A rule changes the event before it sends it.

    The function does not understand what is left, and the event fails.
    """
    for rule in deployed.rules:
        for target in rule["Targets"]:
            found = [name for name in _TRANSFORMS if target.get(name)]
            if found:
                plain = {name: value for name, value in target.items() if name not in found}
                command = aws("events", "put-targets", rule=rule["Name"], targets=[plain])
                told = f"its target {target['Id']} has {', '.join(found)}"
                yield Fault(rule["Name"], told, command)


@check("rule-pattern", "error", _READ)
def rule_pattern(deployed: Deployment) -> Iterator[Fault]:
    """The pattern of a rule matches no event of S3.

    EventBridge sends nothing.
    """
    for rule in deployed.rules:
        try:
            pattern = json.loads(rule.get("EventPattern") or "{}")
        except ValueError:
            pattern = {}
        wrong = _never_matches(pattern)
        if wrong:
            mended = {name: value for name, value in pattern.items() if name not in wrong}
            mended["source"] = ["aws.s3"]
            command = aws("events", "put-rule", name=rule["Name"], event_pattern=json.dumps(mended))
            told = ", ".join(f"{name} is {json.dumps(pattern.get(name))}" for name in wrong)
            yield Fault(rule["Name"], f"{told}: no event of S3 has that", command)


def _never_matches(pattern: dict[str, Any]) -> list[str]:
    """Return the names of elements of a pattern that match no event of S3."""
    wrong = []
    texts = {name: listed(pattern[name]) for name in ("source", "detail-type") if name in pattern}
    # Anything but text, such as a prefix, is left to the reader.
    plain = {name: each for name, each in texts.items() if all(isinstance(x, str) for x in each)}
    if "source" in plain and "aws.s3" not in plain["source"]:
        wrong.append("source")
    if "detail-type" in plain and not any(x.startswith("Object ") for x in plain["detail-type"]):
        wrong.append("detail-type")
    return wrong


def _sources(statement: dict[str, Any]) -> list[str]:
    conditions = statement.get("Condition")
    if not conditions:
        return ["*"]
    return [
        str(arn)
        for tests in conditions.values()
        for name, arns in tests.items()
        if name.lower() == "aws:sourcearn"
        for arn in listed(arns)
    ]
