"""`apply` on the deployed stack, with the policy of `examples/` and no other right."""

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from tools.local.server import ACCOUNT, CHECKOUT, REGION

from .commands import COMMAND
from .conftest import REALM, Stack, wait_until

EXAMPLES: Final = CHECKOUT / "examples"
POLICY: Final = json.loads((EXAMPLES / "apply-policy.json").read_text())
ACTIONS: Final = sorted(
    {
        action
        for each in POLICY["Statement"]
        for action in (each["Action"] if isinstance(each["Action"], list) else [each["Action"]])
    }
)
BUCKET: Final = "applied"

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys a stack")]


def make_user(stack: Stack, name: str, without: str = "") -> dict[str, str]:
    """Make a user with the policy for the stack's realm, perhaps without an action."""
    statements = []
    for each in POLICY["Statement"]:
        actions = each["Action"] if isinstance(each["Action"], list) else [each["Action"]]
        if kept := [action for action in actions if action != without]:
            statements.append(each | {"Action": kept})
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    document = document.replace("111122223333", ACCOUNT).replace("myrealm", REALM)
    iam = stack.aws.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="apply", PolicyDocument=document)
    key: dict[str, str] = iam.create_access_key(UserName=name)["AccessKey"]
    return key


@dataclass(frozen=True)
class User:
    """Somebody who runs commands."""

    stack: Stack
    key: dict[str, str]
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            env=os.environ
            | {
                "AWS_ACCESS_KEY_ID": self.key["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": self.key["SecretAccessKey"],
                "AWS_REGION": REGION,
                "AWS_ENDPOINT_URL": self.stack.aws.endpoint,
                "LAVA_REALM": REALM,
                "XDG_STATE_HOME": str(self.folder / "state"),
            },
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def entries(self, *entries: dict[str, Any]) -> str:
        path = self.folder / "entries.json"
        path.write_text(json.dumps(entries))
        return str(path)


def entry(trigger_id: str, **fields: Any) -> dict[str, Any]:
    fixed = {"trigger_id": trigger_id, "bucket": BUCKET, "prefix": "in", "enabled": True}
    return {**fixed, "job_id": "job-core", "description": "d", "owner": "o", **fields}


@pytest.fixture(scope="module")
def user(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> User:
    return User(stack, make_user(stack, "applier"), tmp_path_factory.mktemp("applier"))


def test_from_a_file_to_a_dispatch_and_stopped_and_recovered(user: User) -> None:
    stack = user.stack
    case = {"key": "in/a.csv", "expect": [{"job_id": "job-core", "worker": "core"}]}
    path = user.entries(entry("t", if_fnmatch="*.csv") | {"x-tests": [case]})
    arguments = ("apply", path, "--set", "orders")
    assert user.run(*arguments, "--dry-run").returncode == 1
    assert user.run(*arguments).returncode == 2
    stack.aws.client("s3").create_bucket(Bucket=BUCKET)

    ran = user.run(*arguments, "--yes")

    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert "1 case: 1 passed, 0 failed" in ran.stdout
    connect = f"lava-s3trigger connect {BUCKET} --realm {REALM}"
    assert f"does not send all events of t to the function. To connect it: {connect}" in ran.stdout
    assert "not look" not in ran.stderr
    assert "not known" not in ran.stderr
    assert user.run(*arguments, "--dry-run").returncode == 0
    stack.connections.by_s3(BUCKET)
    stack.put(BUCKET, "in/a.csv")
    stack.dispatches("core", 1)

    stopped = user.run("apply", "--disable", "--set", "orders", "--yes")
    assert stopped.returncode == 0, stopped.stderr
    stack.put(BUCKET, "in/b.csv")
    log = stack.aws.client("logs")
    group = f"/aws/lambda/{stack.function}"
    wait_until(
        lambda: any(
            "in/b.csv" in each["message"] and "skipped" in each["message"]
            for each in log.filter_log_events(logGroupName=group)["events"]
        ),
        "the object to be skipped",
    )
    undo = next(each for each in stopped.stderr.splitlines() if "To undo: " in each)
    undone = user.run(*shlex.split(undo.partition("To undo: ")[2])[1:], "--yes")
    assert undone.returncode == 0, undone.stderr
    # The command that it prints recovers the object of the meantime, once, and no other.
    [replay] = re.findall(r"^ *lava-s3trigger (replay .*)$", stopped.stdout, re.MULTILINE)
    administrator = User(stack, {"AccessKeyId": "test", "SecretAccessKey": "test"}, user.folder)
    assert "15 minutes after they are enabled again" in stopped.stdout
    # The log of the local server is complete at once: no need to wait.
    recovered = administrator.run(*shlex.split(replay), "--settle", "0s")
    assert recovered.returncode == 0, recovered.stderr + recovered.stdout
    [dispatch] = stack.dispatches("core", 1)
    assert dispatch["job_id"] == "job-core"


@pytest.mark.parametrize("action", ACTIONS)
def test_no_action_of_the_policy_can_be_left_out(stack: Stack, tmp_path: Path, action: str) -> None:
    name = f"without-{action.replace(':', '-')}"
    user = User(stack, make_user(stack, name, without=action), tmp_path)
    s3 = stack.aws.client("s3")
    s3.create_bucket(Bucket=name.lower())
    s3.put_bucket_notification_configuration(
        Bucket=name.lower(), NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = json.dumps({"source": ["of-others"]})
    stack.aws.client("events").put_rule(Name="of-others", EventPattern=pattern)
    kept = [entry(f"{name}-{n}", prefix=f"{name}/{n}") for n in range(5)]
    gone = entry(f"{name}-gone", prefix=f"{name}/gone")
    for each in (*kept, gone):
        stack.trigger(**each, **{"x-s3trigger-set": name})

    new = entry(name, bucket=name.lower())
    ran = user.run("apply", user.entries(*kept, new), "--set", name, "--prune", "--yes")

    assert action.partition(":")[2] in ran.stderr, ran.stderr + ran.stdout
    is_optional = not action.startswith("dynamodb:")
    assert ran.returncode == (0 if is_optional else 3), ran.stderr + ran.stdout


def test_the_commands_of_the_workflow_run(stack: Stack, user: User) -> None:
    jobs = YAML(typ="safe").load(EXAMPLES / "ci" / "apply-workflow.yml")["jobs"]
    lines = [
        line.partition(" >")[0]
        for job in ("plan", "apply")
        for step in jobs[job]["steps"]
        for line in step.get("run", "").splitlines()
        if line.startswith("lava-s3trigger")
    ]
    assert len(lines) == 2
    for name in ("triggers.yaml", "jobs.yaml", "keys.txt"):
        (user.folder / name).write_bytes((EXAMPLES / name).read_bytes())
    plan, apply = (shlex.split(line)[1:] for line in lines)

    assert user.run(*plan, "--set", "of-workflow").returncode == 1
    applied = user.run(*apply, "--set", "of-workflow")
    assert applied.returncode == 0, applied.stderr + applied.stdout
    assert user.run(*plan, "--set", "of-workflow").returncode == 0


def test_another_realm_is_not_covered(user: User) -> None:
    ran = user.run("apply", user.entries(entry("t")), "--set", "s", "--yes", "--realm", "other")

    assert ran.returncode == 3
    assert "not authorized" in ran.stderr
