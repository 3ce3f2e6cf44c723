"""The policy for operators: what the commands need of it, on a local AWS that enforces IAM."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.cli.doctor import checks
from lava_s3trigger.cli.doctor.registry import CHECKS
from tests.cli.commandline import CommandLine, Ran
from tests.processes import wait_until
from tools.local.server import ACCOUNT, CHECKOUT

from .conftest import JOB, Stack, deploy

if TYPE_CHECKING:
    from pathlib import Path

    from tools.local.server import LocalAws

REALM: Final = "myrealm"
FUNCTION: Final = f"lava-{REALM}-s3trigger"
POLICY: Final = json.loads((CHECKOUT / "examples" / "operator-policy.json").read_text())
# What the server asks for, where AWS asks for the action on the left.
ODD_ACTIONS: Final = {
    "lambda:GetFunctionConcurrency": "lambda:PutFunctionConcurrency",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sqs:SendMessage": "sqs:SendMessageBatch",
}


@dataclass
class Operator:
    """Somebody with the policy, or a part of it, beside a deployed realm."""

    stack: Stack
    keys: dict[str, dict[str, str]]
    """Access keys by the name of the user."""
    folder: Path

    def run(self, *arguments: str, user: str = "operator") -> Ran:
        own = {
            "AWS_ACCESS_KEY_ID": self.keys[user]["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": self.keys[user]["SecretAccessKey"],
            "HOME": str(self.folder),
        }
        return CommandLine((), self.stack.environment | own, self.folder)(*arguments)


@pytest.fixture(scope="module")
def operator(empty_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    stack = deploy(empty_aws, REALM, CreateIntake="true")
    stack.connections.by_s3("orders")
    stack.trigger("t", "orders", "in", job_id=["job-core", "missing"])
    group, stream = f"/aws/lambda/{FUNCTION}", "instance"
    empty_aws.client("logs").create_log_stream(logGroupName=group, logStreamName=stream)
    reading = [each for each in POLICY["Statement"] if not each["Sid"].startswith("Act")]
    users = {"operator": POLICY["Statement"], "reader": reading}
    keys = {name: _user(empty_aws, name, statements) for name, statements in users.items()}
    return Operator(stack, keys, tmp_path_factory.mktemp("operator"))


def _user(aws: LocalAws, name: str, statements: list[dict[str, Any]]) -> dict[str, str]:
    iam = aws.client("iam")
    iam.create_user(UserName=name)
    widened = []
    for each in statements:
        actions = each["Action"] if isinstance(each["Action"], list) else [each["Action"]]
        odd = [ODD_ACTIONS[action] for action in actions if action in ODD_ACTIONS]
        widened.append({**each, "Action": [*actions, *odd]})
    document = json.dumps({"Version": "2012-10-17", "Statement": widened})
    iam.put_user_policy(
        UserName=name,
        PolicyName="operate",
        PolicyDocument=document.replace("111122223333", ACCOUNT),
    )
    key: dict[str, str] = iam.create_access_key(UserName=name)["AccessKey"]
    return key


def test_the_policy_has_what_doctor_needs() -> None:
    assert checks.__doc__
    needed = {action for each in CHECKS.values() for action in each.needs}
    allowed: set[str] = set()
    for each in POLICY["Statement"]:
        allowed |= {each["Action"]} if isinstance(each["Action"], str) else set(each["Action"])

    assert needed <= allowed


@pytest.mark.e2e
@pytest.mark.slow("deploys a stack of its own")
class TestCommands:
    """Each command, with the policy and no other right."""

    @pytest.mark.parametrize("user", ["operator", "reader"])
    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (["explain", "s3://orders/in/a.csv"], 0),
            (["check"], 1),
            (["plan", "entries.yaml", "s3://orders/in/"], 1),
            (["replay", "s3://orders/in/", "--dry-run"], 0),
        ],
        ids=lambda each: str(each[0]) if isinstance(each, list) else "",
    )
    def test_what_reads_is_allowed(
        self, operator: Operator, arguments: list[str], status: int, user: str
    ) -> None:
        operator.stack.put("orders", "in/a.csv")
        entry = {"trigger_id": "t", "bucket": "orders", "prefix": "in", "enabled": False}
        (operator.folder / "entries.yaml").write_text(json.dumps([entry | {"job_id": "job-core"}]))

        ran = operator.run(*arguments, "--realm", REALM, user=user)

        assert ran.status == status, ran.errors + ran.output
        assert "AccessDenied" not in ran.errors

    def test_what_is_missing_is_found(self, operator: Operator) -> None:
        operator.stack.put("orders", "in/a.csv")
        arguments = ["replay", "s3://orders/in/", "--missing", "--settle", "0", "--dry-run"]
        ran = operator.run(*arguments, "--realm", REALM, user="operator")
        assert ran.status == 0, ran.errors
        assert "Plan of 2" in ran.output

    def test_doctor_reads_all(self, operator: Operator) -> None:
        ran = operator.run("doctor", "--format", "json", user="reader")

        assert ran.json()["unreadable"] == []

    def test_a_replay_is_sent(self, operator: Operator) -> None:
        operator.stack.put("orders", "in/b.csv")
        operator.stack.realm.receive("core")

        for number, via in enumerate(("invoke", "queue")):
            arguments = ["replay", "s3://orders/in/b.csv", "--via", via]
            ran = operator.run(*arguments, "--state", str(operator.folder / f"{number}.sqlite"))
            assert ran.status == 0, ran.errors + ran.output
            wait_until(lambda: operator.stack.realm.receive("core"), f"a dispatch by {via}")

    def test_dead_letters_are_seen_and_given_back(self, operator: Operator) -> None:
        def found() -> bool:
            ran = operator.run("dead-letters", "--format", "json")
            assert ran.status in (0, 1), ran.errors
            return "no_such_job" in ran.output

        operator.stack.put("orders", "in/c.csv")
        wait_until(found, "a parked event")
        operator.stack.realm.put("jobs", [JOB | {"job_id": "missing"}])

        ran = operator.run("dead-letters", "redrive", "--yes")

        assert "AccessDenied" not in ran.errors, ran.errors
        assert ran.status == 0, ran.errors + ran.output

    @pytest.mark.parametrize(
        "arguments",
        [["dead-letters", "redrive", "--yes"], ["replay", "s3://orders/in/", "--via", "queue"]],
        ids=["redrive", "replay"],
    )
    def test_who_may_only_read_cannot_act(self, operator: Operator, arguments: list[str]) -> None:
        ran = operator.run(*arguments, user="reader")

        assert ran.status != 0
        assert "not authorized" in ran.errors + ran.output

    def test_another_realm_is_not_covered(self, operator: Operator) -> None:
        ran = operator.run("explain", "s3://orders/in/a.csv", "--realm", "other")

        assert ran.status == 3
        assert "not authorized" in ran.errors
