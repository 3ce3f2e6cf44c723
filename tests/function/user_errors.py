"""Every kind of user error that is parked."""

from dataclasses import dataclass
from typing import Any, Final

import pytest

# As long as a template may make it: a message around it is longer than SQS takes.
TOO_LONG: Final = "x" * 500 + "{% for _ in range(1048) %}" + "x" * 1000 + "{% endfor %}"


@dataclass(frozen=True)
class UserErrorCase:
    """A user error: the fields of a trigger, and what is said of them."""

    fields: dict[str, Any]
    kind: str
    reason: str
    job_id: str | None = None
    """The job that it concerns."""
    code: str | None = None
    """Code of the error of the entry, if it is one."""


USER_ERRORS: Final = {
    "a bad entry": UserErrorCase(
        {"unknown": 1}, "bad_entry", "bad entry: unknown field 'unknown'", code="unknown_field"
    ),
    "a bad condition": UserErrorCase(
        {"if_size_gt": "big"}, "bad_entry", "bad entry: if_size_gt", code="not_a_size"
    ),
    "an unknown condition": UserErrorCase(
        {"if_bigger": 1},
        "bad_entry",
        "bad entry: unknown condition 'if_bigger'",
        code="unknown_condition",
    ),
    "three errors": UserErrorCase(
        {"delay": "16m", "if_size_gt": "big", "unknown": 1},
        "bad_entry",
        "bad entry: unknown field 'unknown'",
        code="unknown_field",
    ),
    "a rendering error": UserErrorCase(
        {"parameters": {"a": "{{ 1 / 0 }}"}}, "rendering_failed", "parameters: Zero"
    ),
    "a template's syntax": UserErrorCase(
        {"globals": {"a": "{% if %}"}}, "rendering_failed", "globals: ", code="bad_template"
    ),
    "no such job": UserErrorCase({"job_id": "none"}, "no_such_job", "no job 'none'", "none"),
    "a bad job": UserErrorCase(
        {"job_id": "bad"}, "bad_job", "bad entry of job 'bad'", "bad", "missing_field"
    ),
    "no queue": UserErrorCase({"job_id": "lost"}, "no_queue", "no queue lava-demo-nowhere", "lost"),
    "too big for SQS": UserErrorCase(
        {"parameters": {"a": TOO_LONG}}, "message_too_large", "SQS takes at most", "load"
    ),
    "too big for the queue": UserErrorCase(
        {"job_id": "small"}, "message_refused", "InvalidParameterValue", "small"
    ),
}
every_user_error = pytest.mark.parametrize("case", USER_ERRORS.values(), ids=USER_ERRORS.keys())
