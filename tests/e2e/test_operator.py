"""The policy for operators: what the commands need of it, on a local AWS that enforces IAM."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.cli.doctor import checks
from lava_s3trigger.cli.doctor.registry import CHECKS
from tools.local.connections import Connections
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, REGION, LocalAws

from .commands import COMMAND
from .conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REALM: Final = "myrealm"
FUNCTION: Final = f"lava-{REALM}-s3trigger"
ACCOUNT: Final = "000000000000"
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

    aws: LocalAws
    realm: Realm
    keys: dict[str, dict[str, str]]
    """Access keys by the name of the user."""
    folder: Path

    def run(self, *arguments: str, user: str = "operator") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            env=os.environ
            | {
                "AWS_ACCESS_KEY_ID": self.keys[user]["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": self.keys[user]["SecretAccessKey"],
                "AWS_REGION": REGION,
                "AWS_ENDPOINT_URL": self.aws.endpoint,
                "LAVA_REALM": REALM,
                "HOME": str(self.folder),
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with LocalAws(auth=True) as aws:
        realm = Realm(aws, REALM)
        realm.make(["core"])
        job = {"type": "exe", "worker": "core", "payload": "x", "enabled": True}
        realm.put("jobs", [{"job_id": "load", **job}])
        outputs = aws.deploy(
            CHECKOUT / "template.yaml",
            CHECKOUT / "build" / "package",
            FUNCTION,
            {"Realm": REALM, "CreateIntake": "true"},
        )
        # The server leaves it on.
        aws.client("lambda").update_event_source_mapping(
            UUID=outputs["RedriveMappingId"], Enabled=False
        )
        Connections(aws, REALM, outputs["FunctionArn"]).by_s3("orders")
        entry = {"trigger_id": "t", "bucket": "orders", "prefix": "in", "enabled": True}
        realm.put("s3triggers", [entry | {"job_id": ["load", "missing"]}])
        group, stream = f"/aws/lambda/{FUNCTION}", "instance"
        aws.client("logs").create_log_stream(logGroupName=group, logStreamName=stream)
        keys = {
            "operator": _user(aws, "operator", POLICY["Statement"]),
            "reader": _user(
                aws,
                "reader",
                [each for each in POLICY["Statement"] if not each["Sid"].startswith("Act")],
            ),
        }
        yield Operator(aws, realm, keys, tmp_path_factory.mktemp("operator"))


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
        operator.aws.client("s3").put_object(Bucket="orders", Key="in/a.csv", Body=b"x")
        entry = {"trigger_id": "t", "bucket": "orders", "prefix": "in", "enabled": False}
        (operator.folder / "entries.yaml").write_text(json.dumps([entry | {"job_id": "load"}]))

        ran = operator.run(*arguments, "--realm", REALM, user=user)

        assert ran.returncode == status, ran.stderr + ran.stdout
        assert "AccessDenied" not in ran.stderr

    def test_doctor_reads_all(self, operator: Operator) -> None:
        ran = operator.run("doctor", "--format", "json", user="reader")

        assert json.loads(ran.stdout)["unreadable"] == []

    def test_a_replay_is_sent(self, operator: Operator) -> None:
        operator.aws.client("s3").put_object(Bucket="orders", Key="in/b.csv", Body=b"x")
        operator.realm.receive("core")

        for number, via in enumerate(("invoke", "queue")):
            arguments = ["replay", "s3://orders/in/b.csv", "--via", via]
            ran = operator.run(*arguments, "--state", str(operator.folder / f"{number}.sqlite"))
            assert ran.returncode == 0, ran.stderr + ran.stdout
            wait_until(lambda: operator.realm.receive("core"), f"a dispatch by {via}")

    def test_dead_letters_are_seen_and_given_back(self, operator: Operator) -> None:
        def found() -> bool:
            ran = operator.run("dead-letters", "--format", "json")
            assert ran.returncode in (0, 1), ran.stderr
            return "no_such_job" in ran.stdout

        operator.aws.client("s3").put_object(Bucket="orders", Key="in/c.csv", Body=b"x")
        wait_until(found, "a parked event")
        job = {"type": "exe", "worker": "core", "payload": "x", "enabled": True}
        operator.realm.put("jobs", [{"job_id": "missing", **job}])

        ran = operator.run("dead-letters", "redrive", "--yes")

        assert "AccessDenied" not in ran.stderr, ran.stderr
        assert ran.returncode == 0, ran.stderr + ran.stdout

    @pytest.mark.parametrize(
        "arguments",
        [["dead-letters", "redrive", "--yes"], ["replay", "s3://orders/in/", "--via", "queue"]],
        ids=["redrive", "replay"],
    )
    def test_who_may_only_read_cannot_act(self, operator: Operator, arguments: list[str]) -> None:
        ran = operator.run(*arguments, user="reader")

        assert ran.returncode != 0
        assert "not authorized" in ran.stderr + ran.stdout

    def test_another_realm_is_not_covered(self, operator: Operator) -> None:
        ran = operator.run("explain", "s3://orders/in/a.csv", "--realm", "other")

        assert ran.returncode == 3
        assert "not authorized" in ran.stderr
