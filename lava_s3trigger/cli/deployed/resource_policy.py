"""What the policy of a resource, such as a queue, says of a caller."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .iam_statements import listed, matches_any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .realm import Json

_EXACT: Final = ("stringequals", "stringequalsignorecase")
_LIKE: Final = ("stringlike", "arnequals", "arnlike")
"""Operators whose values may have wildcards: ArnEquals compares as ArnLike does.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""
_OPERATOR: Final = re.compile(
    r"(?:for(?:all|any)values?:)?(string|arn|bool)(not)?(\w*?)(ifexists)?"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls an action on a resource."""

    service: str = ""
    """Such as ``s3.amazonaws.com``; empty for a role."""
    role_arn: str = ""
    context: Mapping[str, str | None] = field(default_factory=dict)
    """Values of the keys of conditions, in lower case; None for a key that the call lacks.

    The values of other keys are unknown."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What statements say of a call."""

    is_allowed: bool
    """Whether one allows it. A condition on an unknown value counts as true."""
    is_certain: bool
    """Whether one allows it for certain."""
    denied_by: Json | None
    """The statement that denies it, for certain."""


def judge(statements: Iterable[Json], caller: Caller, action: str, resource: str) -> Verdict:
    """Return what the statements of a resource's policy say of a call.

    Args:
        statements: Those of the policy.
        caller: Who calls.
        action: The action of IAM.
        resource: ARN of the resource; empty for the one whose policy it is.
    """
    is_allowed = is_certain = False
    denied_by = None
    for statement in statements:
        if not _is_about(statement, caller, action, resource):
            continue
        holds = _holds(statement.get("Condition") or {}, caller.context)
        if statement.get("Effect") == "Allow" and holds is not False:
            is_allowed = True
            is_certain |= holds is True
        if statement.get("Effect") == "Deny" and holds:
            denied_by = denied_by or statement
    return Verdict(is_allowed, is_certain, denied_by)


def allows(
    statements: Iterable[Json], service: str, action: str, context: Mapping[str, str | None]
) -> bool:
    """Return whether the statements of a resource's policy allow a service an action, for certain.

    Args:
        statements: Those of the policy.
        service: Such as ``s3``.
        action: The action of IAM, such as ``sqs:SendMessage``.
        context: As of `Caller`.
    """
    caller = Caller(f"{service}.amazonaws.com", context=context)
    verdict = judge(statements, caller, action, "")
    return verdict.is_certain and verdict.denied_by is None


def _is_about(statement: Json, caller: Caller, action: str, resource: str) -> bool:
    is_action = matches_any(
        listed(statement.get("Action", statement.get("NotAction", []))), action
    ) is ("Action" in statement)
    is_resource = not resource or matches_any(
        listed(statement.get("Resource", statement.get("NotResource", []))), resource
    ) is ("NotResource" not in statement)
    return is_action and is_resource and _names(statement.get("Principal"), caller)


def _names(principal: Any, caller: Caller) -> bool:
    if not isinstance(principal, dict):
        return bool(principal == "*")
    accounts = [str(name) for name in listed(principal.get("AWS", []))]
    if "*" in accounts:
        return True
    if caller.service:
        return caller.service in listed(principal.get("Service", []))
    account = caller.role_arn.split(":")[4] if caller.role_arn else ""
    root = f"{caller.role_arn.rpartition(':')[0]}:root".replace(":sts:", ":iam:")
    return any(name in (caller.role_arn, account, root) for name in accounts)


def _holds(condition: Mapping[str, Json], context: Mapping[str, str | None]) -> bool | None:
    """Return whether a condition holds; None if that is not known."""
    verdicts = [
        _test_holds(operator.lower(), listed(wanted), context[name.lower()])
        if name.lower() in context
        else None
        for operator, tests in condition.items()
        for name, wanted in tests.items()
    ]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _test_holds(operator: str, wanted: list[Any], value: str | None) -> bool | None:
    parts = _OPERATOR.fullmatch(operator)
    if parts is None:
        return None
    kind, negation, comparison, if_exists = parts.groups()
    if value is None:  # IAM: a negated test of a key that is not there holds
        return bool(negation or if_exists)
    texts = [str(text) for text in wanted]
    if kind == "bool":
        return value.lower() in [text.lower() for text in texts]
    if kind + comparison in _EXACT:
        is_equal = value in texts or (
            comparison == "equalsignorecase" and value.lower() in [text.lower() for text in texts]
        )
    elif kind + comparison in _LIKE:
        is_equal = matches_any(texts, value)
    else:
        return None
    return is_equal is not bool(negation)
