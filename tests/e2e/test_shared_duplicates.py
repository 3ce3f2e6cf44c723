"""The deployed stack with its table of recent events: what is delivered twice is sent once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from tests.build import direct, message, record
from tools.local.server import LocalAws

from .conftest import Stack, deploy

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys a stack of its own")]

REALM: Final = "shared"
OBJECTS: Final = 12
TABLE: Final = f"lava.{REALM}.s3trigger-dedup"
BUCKET: Final = "twice"


@pytest.fixture(scope="module")
def sharing(iam_aws: LocalAws) -> Stack:
    """A stack whose instances share their memory; each object of the bucket is two dispatches."""
    more = {"CreateDedupTable": "true", "DedupTtl": "1h"}
    stack = deploy(iam_aws, REALM, ("core", "web"), **more)
    jobs, parameters = ["job-core", "job-web"], {"key": "{{ key }}"}
    stack.trigger("twice", BUCKET, job_id=jobs, parameters=parameters)
    return stack


def event(key: str) -> dict[str, Any]:
    return direct(record(key, bucket=BUCKET, size=4, sequencer=f"0069{key}"))


def keys(stack: Stack, worker: str, count: int) -> list[str]:
    return sorted(each["parameters"]["key"] for each in stack.dispatches(worker, count))


def states(stack: Stack) -> list[str]:
    items = stack.aws.client("dynamodb").scan(TableName=TABLE)["Items"]
    return [each["state"]["S"] for each in items]


def test_simultaneous_messages_are_dispatched_once(sharing: Stack) -> None:
    names = [f"at-once/{n}" for n in range(OBJECTS)]
    left = [message(f"{copy} of {key}", event(key)) for key in names for copy in "ab"]

    rounds = 0
    with ThreadPoolExecutor(4) as pool:
        while left:  # as SQS does: what is not done comes again
            answers = pool.map(lambda each: sharing.invoke({"Records": [each]}), left)
            pairs = list(zip(left, answers, strict=True))
            failures = [answer for _, answer in pairs if answer["error"]]
            assert all("is being worked on" in str(each["answer"]) for each in failures)
            left = [each for each, answer in pairs if answer["error"]]
            rounds += 1
            assert rounds < 10

    assert keys(sharing, "core", OBJECTS) == sorted(names)
    assert keys(sharing, "web", OBJECTS) == sorted(names)
    assert set(states(sharing)) == {"done"}


def test_without_the_permission_events_are_dispatched_and_the_error_is_logged(
    sharing: Stack,
) -> None:
    policy = sharing.role_statements()
    less = [each for each in policy if each["Sid"] != "ShareRecentEvents"]
    assert len(less) == len(policy) - 1
    sharing.put_role_policy(less)
    try:
        assert sharing.invoke(event("denied")) == {"error": None, "answer": None}
    finally:
        sharing.put_role_policy(policy)
    assert keys(sharing, "core", 1) == keys(sharing, "web", 1) == ["denied"]
    group = f"/aws/lambda/{sharing.function}"
    found = sharing.aws.client("logs").filter_log_events(logGroupName=group)["events"]
    (line,) = [each["message"] for each in found if "unreachable" in each["message"]]
    assert "dynamodb:UpdateItem" in line
