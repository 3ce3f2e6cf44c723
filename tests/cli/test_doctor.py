"""`doctor` without AWS: names, patterns, and how routes overlap."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lava_s3trigger.cli.deployed.iam_statements import allowed_by, matches_any
from lava_s3trigger.cli.deployed.realm import Deployment, find_realm
from lava_s3trigger.cli.doctor.aws_commands import aws, create_queue
from lava_s3trigger.cli.doctor.checks.role import _GIVEN, _wide
from lava_s3trigger.cli.doctor.registry import Check, Fault, diagnose
from lava_s3trigger.cli.errors import WRONG_USAGE

from .cannedaws import Answer, CannedAws
from .commandline import CommandLine


@pytest.mark.parametrize(
    ("realm", "function", "expected"),
    [
        ("prod", None, ("prod", "lava-prod-s3trigger")),
        (None, "lava-prod-s3trigger", ("prod", "lava-prod-s3trigger")),
        ("prod", "mine", ("prod", "mine")),
    ],
)
def test_realm_and_function_follow_from_each_other(
    realm: str | None, function: str | None, expected: tuple[str, str]
) -> None:
    assert find_realm(realm, function) == expected


def test_without_a_realm_the_usage_is_wrong(line: CommandLine) -> None:
    ran = line("doctor")

    assert ran.status == WRONG_USAGE
    assert "no realm: name it with --realm" in ran.errors


@pytest.mark.parametrize(
    ("patterns", "text", "expected"),
    [
        (["sqs:SendMessage*"], "sqs:SendMessage", True),
        (["SQS:sendmessage"], "sqs:SendMessage", True),
        (["sqs:?etQueueUrl"], "sqs:GetQueueUrl", True),
        (["arn:aws:sqs:*:*:lava.x"], "arn:aws:sqs:r:1:lava-x", False),
        ([], "sqs:SendMessage", False),
        (["sqs:Get*"], "sqs:SendMessage", False),
    ],
)
def test_patterns_are_those_of_iam(patterns: Sequence[str], text: str, *, expected: bool) -> None:
    assert matches_any(patterns, text) is expected


@pytest.mark.parametrize("name", ["a b", "$(reboot)", "x'; reboot; '", "`reboot`", "--force\n"])
def test_commands_quote_names_for_a_shell(name: str) -> None:
    command = aws("sqs create-queue", queue_name=name, attributes={"A": name})

    words = shlex.split(command)
    assert words[:5] == ["aws", "sqs", "create-queue", "--queue-name", name]
    assert len(words) == 7


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"State": "Failed", "StateReason": "the key is off"}, "State is Failed: the key is off"),
        ({"State": "Inactive"}, "State is Inactive: no reason given"),
        (
            {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no \x1b[2J subnet"},
            "LastUpdateStatus is Failed: no \\x1b[2J subnet",
        ),
    ],
)
def test_a_function_that_lambda_cannot_run_is_broken(
    line: CommandLine, canned: CannedAws, answer: dict[str, str], expected: str
) -> None:
    configuration = {"FunctionName": "lava-prod-s3trigger", **answer}
    path = "/functions/lava-prod-s3trigger/configuration"
    canned.handlers["GET", path] = lambda _: Answer(200, json.dumps(configuration).encode())
    common = ["doctor", "--realm", "prod", "--region", "us-east-1"]
    ran = line(*common, "--endpoint-url", canned.url, "--select", "function-broken")

    assert ran.status == 1
    assert f"error function-broken: lava-prod-s3trigger: {expected}\n" in ran.output
    assert "$ sam deploy" in ran.output


TEMPLATE_ACTIONS = re.findall(
    r"(?<![\w:])((?:dynamodb|kms|logs|s3|sqs|xray):[A-Z][A-Za-z]+\*?)$",
    (Path(__file__).parents[2] / "template.yaml").read_text(),
    re.MULTILINE,
)


def test_what_the_template_gives_is_not_too_wide() -> None:
    of_role = {action.lower() for action in TEMPLATE_ACTIONS}

    assert of_role >= _GIVEN - {"sqs:sendmessage"}
    statement = {"Effect": "Allow", "Action": sorted(_GIVEN), "Resource": "arn:aws:sqs:::x"}
    assert list(_wide(statement, is_in_vpc=False)) == []


@pytest.mark.parametrize(
    ("action", "resource", "is_in_vpc", "expected"),
    [
        ("dynamodb:PutItem", "arn:x", False, ["dynamodb:PutItem on some resources"]),
        ("sqs:*", "arn:x", False, ["sqs:* on some resources"]),
        ("sqs:SendMessage", "*", False, ["sqs:SendMessage on *"]),
        ("xray:PutTraceSegments", "*", False, []),
        ("ec2:CreateNetworkInterface", "*", False, ["ec2:CreateNetworkInterface on *"]),
        ("ec2:CreateNetworkInterface", "*", True, []),
    ],
)
def test_what_the_template_does_not_give_is_wide(
    action: str, resource: str, *, is_in_vpc: bool, expected: list[str]
) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}

    assert list(_wide(statement, is_in_vpc=is_in_vpc)) == expected
    assert list(_wide({**statement, "Effect": "Deny"}, is_in_vpc=is_in_vpc)) == []


def test_all_but_some_actions_are_wide() -> None:
    statement = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:x"}

    assert list(_wide(statement, is_in_vpc=False)) == ["all but some actions or resources"]


READ_JOBS = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "arn:x:jobs"}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([READ_JOBS], True),
        ([], False),
        ([READ_JOBS | {"Resource": "arn:x:other"}], False),
        ([READ_JOBS, {"Effect": "Deny", "NotAction": "sqs:*", "Resource": "*"}], False),
        ([READ_JOBS, {"Effect": "Deny", "NotAction": "dynamodb:*", "Resource": "*"}], True),
        ([READ_JOBS | {"Condition": {"StringEquals": {"aws:RequestedRegion": "r"}}}], True),
        ([READ_JOBS | {"Condition": {"StringEquals": {"aws:RequestedRegion": "s"}}}], False),
        ([READ_JOBS | {"Condition": {"StringNotEquals": {"aws:RequestedRegion": "s"}}}], True),
        ([READ_JOBS | {"Condition": {"ArnLike": {"aws:SourceArn": "*"}}}], False),
        ([READ_JOBS | {"Condition": {"ArnLikeIfExists": {"aws:SourceArn": "*"}}}], True),
        ([READ_JOBS | {"Condition": {"Null": {"aws:SourceArn": "true"}}}], True),
        ([READ_JOBS | {"Condition": {"Null": {"aws:SourceArn": "false"}}}], False),
        ([READ_JOBS | {"Condition": {"Bool": {"aws:SecureTransport": False}}}], False),
        ([READ_JOBS | {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}], True),
    ],
    ids=str,
)
def test_statements_allow_what_their_conditions_let(
    statements: list[dict[str, object]], *, expected: bool
) -> None:
    context = {"aws:requestedregion": ["r"], "aws:securetransport": ["true"], "aws:sourcearn": []}

    assert allowed_by(statements, "dynamodb:GetItem", "arn:x:jobs", context) is expected


def test_a_command_is_printed_once() -> None:
    def faults(_: Deployment) -> Iterator[Fault]:
        yield Fault("a", "it is wrong", "correct it")
        yield Fault("b", "it follows", cause="other")

    checks = [
        Check(name, "error", (), "summary", "why", faults, of_function=False)
        for name in ("first", "second")
    ]

    # None of these checks reads anything of the realm.
    found = diagnose(None, checks).findings  # type: ignore[arg-type]

    printed = [(each.rule, each.command, each.cause) for each in found]
    assert printed[:2] == [("first", "correct it", ""), ("first", "", "other")]
    assert printed[2:] == [("second", "", "first"), ("second", "", "other")]


def test_a_queue_with_the_name_of_a_fifo_queue_is_made_as_one() -> None:
    assert shlex.split(create_queue("a.fifo"))[-1] == '{"FifoQueue": "true"}'
    assert shlex.split(create_queue("a")) == ["aws", "sqs", "create-queue", "--queue-name", "a"]
