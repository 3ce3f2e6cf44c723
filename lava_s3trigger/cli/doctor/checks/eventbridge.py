"""Checks of EventBridge rules that send to the function, or to a queue that it reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.realm import listed, matches_any
from lava_s3trigger.cli.doctor.aws_commands import aws, permit
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.cli.routes.patterns import leaves, matching_types, read_pattern, without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

_READ: Final = (
    "events:ListRules",
    "events:ListTargetsByRule",
    "lambda:ListEventSourceMappings",
)
_TRANSFORMS: Final = ("Input", "InputPath", "InputTransformer")


@check("error", [*_READ, "lambda:GetPolicy"])
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
            command = permit(deployed, f"rule-{rule['Name']}", "events", source_arn=rule["Arn"])
            yield Fault(rule["Name"], "the function does not permit this rule", command)


@check("warning", _READ)
def rule_disabled(deployed: Deployment) -> Iterator[Fault]:
    """A rule is disabled.

    EventBridge sends none of its events.
    """
    for rule in deployed.rules:
        if rule.get("State") == "DISABLED":
            command = aws("events enable-rule", name=rule["Name"])
            yield Fault(rule["Name"], "the rule is disabled", command)


@check("error", _READ)
def rule_transforms(deployed: Deployment) -> Iterator[Fault]:
    """A rule changes the event before it sends it.

    The function does not understand what is left, and the event fails.
    """
    for rule in deployed.rules:
        for target in rule["Targets"]:
            found = [name for name in _TRANSFORMS if target.get(name)]
            if found:
                plain = {name: value for name, value in target.items() if name not in found}
                command = aws("events put-targets", rule=rule["Name"], targets=[plain])
                told = f"its target {target['Id']} has {', '.join(found)}"
                yield Fault(rule["Name"], told, command)


@check("warning", _READ)
def rule_name(deployed: Deployment) -> Iterator[Fault]:
    """A rule is not named `lava.<REALM>.*`.

    The stack permits rules by their names: a stack that is deployed anew does not permit this one,
    and nothing says of which realm it is.
    """
    prefix = f"lava.{deployed.realm}."
    for rule in deployed.rules:
        old = rule["Name"]
        if old.startswith(prefix):
            continue
        name = prefix + old
        lines = [
            aws("events put-rule", name=name, event_pattern=rule.get("EventPattern") or "{}"),
            aws("events put-targets", rule=name, targets=rule["Targets"]),
            aws("events remove-targets --ids", *_ids(rule), rule=old),
        ]
        yield Fault(old, f"the name does not begin with {prefix}", "\n".join(lines))


@check("error", _READ)
def rule_pattern(deployed: Deployment) -> Iterator[Fault]:
    """The pattern of a rule matches no event of S3.

    EventBridge sends nothing, or what the function does not understand.
    """
    for rule in deployed.rules:
        pattern = read_pattern(rule)
        if pattern is None:
            command = aws("events remove-targets --ids", *_ids(rule), rule=rule["Name"])
            yield Fault(rule["Name"], "it has no pattern of events", command)
        elif not matching_types(pattern):
            corrected, told = _corrected(pattern)
            command = aws("events put-rule", name=rule["Name"], event_pattern=json.dumps(corrected))
            yield Fault(rule["Name"], f"{told}: no event of S3 has that", command)


def _corrected(pattern: Json) -> tuple[Json, str]:
    """Return a pattern that matches events of S3, and what in the other one does not."""
    for path in leaves(pattern):
        rest = {**without(pattern, path), "source": ["aws.s3"]}
        if matching_types(rest):
            return rest, f"{'.'.join(path)} is {json.dumps(_at(pattern, path))}"
    detail = pattern.get("detail")
    bucket = detail.get("bucket") if isinstance(detail, dict) else None
    plain: Json = {"source": ["aws.s3"], "detail": {"bucket": bucket} if bucket else {}}
    if not bucket or not matching_types(plain):
        plain = {"source": ["aws.s3"]}
    return plain, f"the pattern is {json.dumps(pattern)}"


def _at(pattern: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        pattern = pattern[name]
    return pattern


def _ids(rule: Json) -> list[str]:
    return [str(target["Id"]) for target in rule["Targets"]]


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
