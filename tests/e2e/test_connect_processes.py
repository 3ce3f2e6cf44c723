"""`connect` and `disconnect` as their users run them, with the policy that the docs give."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.cli.commandline import CommandLine, Ran
from tests.processes import finish, read_until
from tests.s3_proxy import S3Proxy
from tools.local.server import ACCOUNT, CHECKOUT, LocalAws

from .commands import start_command
from .conftest import Stack, deploy, make_user, wait_until
from .connections import allow, policy

REALM: Final = "myrealm"
BUCKET: Final = "my-bucket"
POLICY: Final = json.loads((CHECKOUT / "examples" / "connect-policy.json").read_text())["Statement"]
WAYS: Final = (
    ("--by", "s3"),
    ("--by", "queue"),
    ("--by", "sns", "--topic", "my-topic"),
    ("--by", "eventbridge"),
)
_REST: Final = {
    "lambda": (
        ("GET", r"/policy$", "GetPolicy"),
        ("POST", r"/policy$", "AddPermission"),
        ("DELETE", r"/policy/", "RemovePermission"),
        ("GET", r"/configuration$", "GetFunctionConfiguration"),
        ("GET", r"/event-source-mappings", "ListEventSourceMappings"),
    ),
    "s3": (
        ("GET", r"\?notification$", "GetBucketNotification"),
        ("PUT", r"\?notification$", "PutBucketNotification"),
        ("GET", r"\?location$", "GetBucketLocation"),
    ),
}

ODD_RESOURCES: Final = {
    # The server names the bus in ARNs of rules, and takes some requests to be of no resource.
    f"arn:aws:events:*:{ACCOUNT}:rule/default/lava.{REALM}.*": (
        "events:DeleteRule",
        "events:DescribeRule",
        "events:PutRule",
    ),
    "*": (
        "events:PutTargets",
        "events:RemoveTargets",
        "sns:GetSubscriptionAttributes",
        "sns:ListTagsForResource",
        "sns:TagResource",
        "sns:Unsubscribe",
        "sns:UntagResource",
    ),
}

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys a stack of its own")]


@dataclass
class Person:
    """Somebody with the policy for `connect` and no other right."""

    deployment: Stack
    proxy: S3Proxy
    line: CommandLine

    def start(self, *arguments: str, terminal: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        line = self.line
        return start_command(
            *arguments, folder=line.folder, environment=line.environment, stdin=terminal
        )

    def run(self, *arguments: str, status: int = 0) -> Ran:
        ran = self.line(*arguments)
        assert ran.status == status, ran.errors + ran.output
        return ran

    def configuration(self) -> dict[str, Any]:
        return self.deployment.notifications(BUCKET)

    def arrives(self, key: str) -> None:
        self.deployment.realm.receive("core")
        self.deployment.put(BUCKET, key)
        wait_until(lambda: self.deployment.realm.receive("core"), f"a dispatch for {key}")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    with LocalAws(auth=True) as aws, S3Proxy(aws.endpoint) as proxy:
        # Without AllowS3 and AllowSns, the permissions are made by the command.
        less = {"AllowS3": "false", "AllowSns": "false"}
        stack = deploy(aws, REALM, CreateIntake="true", CacheTtl="0", **less)
        stack.trigger("t", BUCKET, "in")
        aws.client("s3").create_bucket(Bucket=BUCKET)
        aws.client("sns").create_topic(Name="my-topic")
        by_account = allow("sqs:*", stack.outputs["IntakeQueueArn"], Principal={"AWS": ACCOUNT})
        stack.put_queue_policy(f"{stack.function}-intake", policy(by_account))
        odd = [allow(list(actions), resource) for resource, actions in ODD_RESOURCES.items()]
        folder = tmp_path_factory.mktemp("person")
        homes = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
        reached = {**stack.environment, "AWS_ENDPOINT_URL": proxy.url, **homes}
        keys = make_user(aws, "person", [*POLICY, *odd])
        yield Person(stack, proxy, CommandLine((), {**reached, **keys}, folder))


@pytest.fixture
def person(deployed: Person) -> Iterator[Person]:
    """The person, at a bucket that is not connected."""
    yield deployed
    deployed.proxy.before = None
    deployed.run("disconnect", BUCKET, "--yes")
    assert deployed.configuration().keys() <= {"EventBridgeConfiguration"}


def test_the_policy_is_enough_for_all_ways_and_has_no_action_besides(person: Person) -> None:
    person.proxy.requests.clear()
    for way in WAYS:
        person.run("connect", BUCKET, *way, "--yes")
        person.arrives("in/a.csv")
        person.run("connect", BUCKET, *way, "--dry-run")
        person.run("disconnect", BUCKET, "--yes")

    allowed = {action for each in POLICY for action in each["Action"]}
    assert {_action(each) for each in person.proxy.requests} == allowed


def _action(request: dict[str, str]) -> str:
    """Return the action of IAM that a request needs."""
    service = re.findall(r"/([a-z0-9]+)/aws4_request", request["authorization"])[0]
    if target := request["target"]:
        return f"{service}:{target.rpartition('.')[2]}"
    if found := re.findall(r"Action=(\w+)", request["body"]):
        return f"{service}:{found[0]}"
    return next(
        f"{service}:{name}"
        for method, pattern, name in _REST[service]
        if method == request["method"] and re.search(pattern, request["path"])
    )


def test_a_move_that_is_interrupted_leaves_both_routes_and_goes_on(person: Person) -> None:
    person.run("connect", BUCKET, "--yes")
    by_s3 = person.configuration()
    move = ("connect", BUCKET, "--by", "eventbridge", "--move", "--yes", "--wait")
    process = person.start(*move, "600")
    assert process.stderr
    read_until(process.stderr, "Waiting 600 s", process)

    process.send_signal(signal.SIGINT)
    _, err = finish(process)

    assert process.returncode == 130
    assert re.search(r"Made \d of \d changes: run the command again", err)
    assert person.configuration() == {**by_s3, "EventBridgeConfiguration": {}}
    person.run(*move, "0")
    assert person.configuration() == {"EventBridgeConfiguration": {}}
    person.arrives("in/b.csv")


@pytest.mark.parametrize(("answer", "is_made"), [("y\n", True), ("n\n", False), ("\x04", False)])
def test_the_question_is_asked_after_the_changes_are_shown(
    person: Person, answer: str, *, is_made: bool
) -> None:
    controller, terminal = pty.openpty()
    process = person.start("connect", BUCKET, terminal=terminal)
    assert process.stdout
    shown = read_until(process.stdout, "note: ", process)
    assert any("+ 'lava-s3trigger.myrealm.1'" in each for each in shown)
    assert person.configuration().get("LambdaFunctionConfigurations") is None

    os.write(controller, answer.encode())
    finish(process)
    os.close(terminal)
    os.close(controller)

    assert ("LambdaFunctionConfigurations" in person.configuration()) is is_made
    assert (process.returncode == 0) is is_made


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_run_that_is_killed_goes_on_and_is_undone(person: Person, number: int) -> None:
    """Killed before its nth write."""
    person.run("connect", BUCKET, "--yes")
    way = ("connect", BUCKET, "--by", "eventbridge", "--move", "--wait", "0", "--yes")
    before = person.configuration()
    started: list[subprocess.Popen[str]] = []
    writes = 0

    def kill(method: str, path: str, body: bytes) -> Any:
        nonlocal writes
        is_rule = b"EventPattern" in body or b"Targets" in body
        writes += is_rule or (method == "PUT" and path.endswith("?notification"))
        if writes == number:
            started[0].kill()

    person.proxy.before = kill
    started.append(person.start(*way))
    _, err = finish(started[0])
    person.proxy.before = None
    saved = re.search(r"Saved for --undo: (\S+)", err)

    assert saved
    assert started[0].returncode == -signal.SIGKILL
    person.run(*way)
    person.arrives(f"in/{number}.csv")
    person.run("connect", "--undo", saved[1], "--wait", "0", "--yes")
    assert {**before, "EventBridgeConfiguration": {}} == person.configuration()
    assert person.deployment.aws.client("events").list_rules()["Rules"] == []
