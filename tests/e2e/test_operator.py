"""The policy for operators: what the commands need of it, on a local AWS that enforces IAM."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.build import trigger_entry
from tests.cli.commandline import CommandLine, Ran
from tests.processes import wait_until
from tools.local.server import CHECKOUT, LocalAws

from .conftest import JOB, Stack, deploy, make_user

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys a stack of its own")]

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
    """Credentials by the name of the user."""
    folder: Path

    def run(self, *arguments: str, user: str = "operator") -> Ran:
        own = self.keys[user] | {"HOME": str(self.folder)}
        return CommandLine((), self.stack.environment | own, self.folder)(*arguments)


@pytest.fixture(scope="module")
def operator(empty_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    stack = deploy(empty_aws, REALM, CreateIntake="true")
    stack.connections.by_s3("orders")
    stack.trigger("t", "orders", "in", job_id=["job-core", "missing"])
    group, stream = f"/aws/lambda/{FUNCTION}", "instance"
    empty_aws.client("logs").create_log_stream(logGroupName=group, logStreamName=stream)
    acting = [widened(each) for each in POLICY["Statement"]]
    reading = [each for each in acting if not each["Sid"].startswith("Act")]
    users = {"operator": acting, "reader": reading}
    keys = {name: make_user(empty_aws, name, statements) for name, statements in users.items()}
    return Operator(stack, keys, tmp_path_factory.mktemp("operator"))


def widened(statement: dict[str, Any]) -> dict[str, Any]:
    """Return a statement with what the server asks for in its place."""
    actions = statement["Action"]
    actions = [actions] if isinstance(actions, str) else actions
    return statement | {"Action": [*actions, *filter(None, map(ODD_ACTIONS.get, actions))]}


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
        entry = trigger_entry(bucket="orders", enabled=False, job_id="job-core")
        (operator.folder / "entries.yaml").write_text(json.dumps([entry]))

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
        assert operator.run("doctor", "--format", "json", user="reader").json()["unreadable"] == []

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
        ran = operator.run("history", "s3://orders/in/c.csv")
        assert "AccessDenied" not in ran.output + ran.errors
        assert "waits       in lava-myrealm-s3trigger-dlq: no job 'missing'" in ran.output
        ran = operator.run("history", "s3://orders/in/c.csv", user="reader")
        assert "  waits " not in ran.output
        assert "AWS refused ReceiveMessage: AccessDenied" in ran.output
        operator.stack.realm.put("jobs", [JOB | {"job_id": "missing"}])
        for action in ("discard --yes --save d.json", "restore d.json", "redrive --yes --quiet 20"):
            ran = operator.run("dead-letters", *action.split())
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
