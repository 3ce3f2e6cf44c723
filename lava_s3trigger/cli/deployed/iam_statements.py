"""Statements of IAM policies: what they are about, and what those of a role allow."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    Json = dict[str, Any]


def statements(policy: Any) -> list[Json]:
    """Return the statements of a policy document, or of its JSON text."""
    document = json.loads(policy) if isinstance(policy, str) else policy
    listed = document.get("Statement", [])
    return listed if isinstance(listed, list) else [listed]


def listed(value: Any) -> list[Any]:
    """Return a list unchanged, and any other value as the only member of a list."""
    return value if isinstance(value, list) else [value]


def matches_any(patterns: Collection[str], text: str) -> bool:
    """Return whether any pattern of IAM matches a text, ignoring case."""
    return any(
        re.fullmatch(
            re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.IGNORECASE
        )
        for pattern in patterns
    )


def allowed_by(
    role_statements: Iterable[Json], action: str, resource: str, context: Mapping[str, list[str]]
) -> bool:
    """Return whether statements of a role's policies allow an action on a resource."""
    effects = {
        statement.get("Effect")
        for statement in role_statements
        if is_about(statement, action, resource)
        and holds(statement.get("Condition") or {}, context)
    }
    return effects == {"Allow"}


def is_about(statement: Json, action: str, resource: str) -> bool:
    """Return whether a statement is about an action on a resource, except its condition."""
    return all(
        matches_any(listed(statement[name]), value)
        if name in statement
        else not matches_any(listed(statement.get(f"Not{name}", "*")), value)
        for name, value in (("Action", action), ("Resource", resource))
    )


def holds(condition: dict[str, Json], context: Mapping[str, list[str]]) -> bool:
    """Return whether a condition of IAM holds, as far as it tests keys of the context."""
    return all(
        _passes(operator.lower(), listed(wanted), context[name.lower()])
        for operator, tests in condition.items()
        for name, wanted in tests.items()
        if name.lower() in context
    )


def _passes(operator: str, wanted: list[Any], values: list[str]) -> bool:
    if operator == "null":
        return (str(wanted[0]).lower() == "true") is not bool(values)
    if not values and operator.endswith("ifexists"):
        return True
    return any(matches_any([str(text) for text in wanted], value) for value in values) is not (
        "not" in operator
    )
