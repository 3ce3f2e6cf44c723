"""Decides whether a policy of a resource lets a service of AWS do something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.realm import listed, matches_any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Json = dict[str, Any]

_OPERATORS: Final = frozenset(["stringequals", "stringlike", "arnequals", "arnlike"])


def allows(
    statements: Iterable[Json], service: str, action: str, context: Mapping[str, str]
) -> bool:
    """Return whether statements of a resource's policy let a service do something.

    A statement with an unknown kind of condition does not count.

    Args:
        statements: The statements of the policy.
        service: Such as ``s3``.
        action: The action of IAM, such as ``sqs:SendMessage``.
        context: ``aws:sourcearn`` and ``aws:sourceaccount`` of the service's call.
    """
    effects = {
        statement.get("Effect")
        for statement in statements
        if _is_for(statement, f"{service}.amazonaws.com")
        and matches_any(listed(statement.get("Action", [])), action)
        and _holds(statement.get("Condition") or {}, context)
    }
    return effects == {"Allow"}


def _is_for(statement: Json, service: str) -> bool:
    principal = statement.get("Principal")
    if not isinstance(principal, dict):
        return principal == "*"
    return service in listed(principal.get("Service", [])) or "*" in listed(
        principal.get("AWS", [])
    )


def _holds(condition: Json, context: Mapping[str, str]) -> bool:
    return all(
        operator.lower().removesuffix("ifexists") in _OPERATORS
        and name.lower() in context
        and matches_any(listed(values), context[name.lower()])
        for operator, tests in condition.items()
        for name, values in tests.items()
    )
