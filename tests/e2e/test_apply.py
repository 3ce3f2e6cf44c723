"""`apply` on the deployed stack, with the policy of `examples/` and no other right."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from tests.cli.commandline import CommandLine
from tools.local.server import CHECKOUT

from .conftest import REALM, Stack, actions_of, make_user, wait_until, without_action

EXAMPLES: Final = CHECKOUT / "examples"
POLICY: Final = json.loads((EXAMPLES / "apply-policy.json").read_text().replace("myrealm", REALM))[
    "Statement"
]


ACTIONS: Final = sorted({action for each in POLICY for action in actions_of(each)})
BUCKET: Final = "applied"

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys a stack")]


def applier(stack: Stack, name: str, folder: Path, without: str = "") -> CommandLine:
    """Return what runs commands of a user with the policy, perhaps without an action."""
    keys = make_user(stack.aws, name, without_action(POLICY, without))
    state = {"XDG_STATE_HOME": str(folder / "state")}
    return CommandLine((), {**stack.environment, **keys, **state}, folder)


def write(user: CommandLine, *entries: dict[str, Any]) -> str:
    path = Path(user.folder) / "entries.json"
    path.write_text(json.dumps(entries))
    return str(path)


def entry(trigger_id: str, **fields: Any) -> dict[str, Any]:
    fixed = {"trigger_id": trigger_id, "bucket": BUCKET, "prefix": "in", "enabled": True}
    return {**fixed, "job_id": "job-core", "description": "d", "owner": "o", **fields}


@pytest.fixture(scope="module")
def user(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return applier(stack, "applier", tmp_path_factory.mktemp("applier"))


def test_from_a_file_to_a_dispatch_stopped_and_recovered(stack: Stack, user: CommandLine) -> None:
    case = {"key": "in/a.csv", "expect": [{"job_id": "job-core", "worker": "core"}]}
    path = write(user, entry("t", if_fnmatch="*.csv") | {"x-tests": [case]})
    arguments = ("apply", path, "--set", "orders")
    assert user(*arguments, "--dry-run").status == 1
    assert user(*arguments).status == 2
    stack.aws.client("s3").create_bucket(Bucket=BUCKET)

    ran = user(*arguments, "--yes")

    assert ran.status == 0, ran.errors + ran.output
    assert "1 case: 1 passed, 0 failed" in ran.output
    connect = f"lava-s3trigger connect {BUCKET} --realm {REALM}"
    assert f"does not send all events of t to the function. To connect it: {connect}" in ran.output
    assert "not look" not in ran.errors
    assert "not known" not in ran.errors
    assert user(*arguments, "--dry-run").status == 0
    stack.connections.by_s3(BUCKET)
    stack.put(BUCKET, "in/a.csv")
    stack.dispatches("core", 1)

    stopped = user("apply", "--disable", "--set", "orders", "--yes")
    assert stopped.status == 0, stopped.errors
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
    undo = next(each for each in stopped.errors.splitlines() if "To undo: " in each)
    undone = user(*shlex.split(undo.partition("To undo: ")[2])[1:], "--yes")
    assert undone.status == 0, undone.errors
    # The command that it prints recovers the object of the meantime, once, and no other.
    [replay] = re.findall(r"^ *lava-s3trigger (replay .*)$", stopped.output, re.MULTILINE)
    administrator = CommandLine((), {**user.environment, **stack.environment}, user.folder)
    assert "15 minutes after they are enabled again" in stopped.output
    # The log of the local server is complete at once: no need to wait.
    recovered = administrator(*shlex.split(replay), "--settle", "0s")
    assert recovered.status == 0, recovered.errors + recovered.output
    [dispatch] = stack.dispatches("core", 1)
    assert dispatch["job_id"] == "job-core"


@pytest.mark.parametrize("action", ACTIONS)
def test_no_action_of_the_policy_can_be_left_out(stack: Stack, tmp_path: Path, action: str) -> None:
    name = f"without-{action.replace(':', '-')}"
    user = applier(stack, name, tmp_path, without=action)
    stack.aws.client("s3").create_bucket(Bucket=name.lower())
    stack.notify(name.lower(), EventBridgeConfiguration={})
    pattern = json.dumps({"source": ["of-others"]})
    stack.aws.client("events").put_rule(Name="of-others", EventPattern=pattern)
    kept = [entry(f"{name}-{n}", prefix=f"{name}/{n}") for n in range(5)]
    gone = entry(f"{name}-gone", prefix=f"{name}/gone")
    for each in (*kept, gone):
        stack.trigger(**each, **{"x-s3trigger-set": name})

    new = entry(name, bucket=name.lower())
    ran = user("apply", write(user, *kept, new), "--set", name, "--prune", "--yes")

    assert action.partition(":")[2] in ran.errors, ran.errors + ran.output
    is_optional = not action.startswith("dynamodb:")
    assert ran.status == (0 if is_optional else 3), ran.errors + ran.output


def test_the_commands_of_the_workflow_run(user: CommandLine) -> None:
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
        (Path(user.folder) / name).write_bytes((EXAMPLES / name).read_bytes())
    plan, apply = (shlex.split(line)[1:] for line in lines)

    assert user(*plan, "--set", "of-workflow").status == 1
    applied = user(*apply, "--set", "of-workflow")
    assert applied.status == 0, applied.errors + applied.output
    assert user(*plan, "--set", "of-workflow").status == 0


def test_another_realm_is_not_covered(user: CommandLine) -> None:
    ran = user("apply", write(user, entry("t")), "--set", "s", "--yes", "--realm", "other")

    assert ran.status == 3
    assert "not authorized" in ran.errors
