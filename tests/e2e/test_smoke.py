"""etc/smoke.sh, run against the deployed stack as on a first account."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.processes import finish, read_until
from tools.local.server import ACCOUNT, CHECKOUT, REGION

from .conftest import REALM, wait_until
from .test_role import POLICY, put, take_away

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Stack

    Smoke = Callable[..., "subprocess.Popen[str]"]

pytestmark = [pytest.mark.e2e, pytest.mark.slow("runs the smoke test many times")]

SCRIPT: Final = CHECKOUT / "etc" / "smoke.sh"
PAGE: Final = CHECKOUT / "docs" / "first-deployment.md"
KEY_ALIAS: Final = f"alias/lava-{REALM}-user"
_SECONDS: Final = 600
CHECKS: Final = {
    "plain",
    "everyday",
    "bounds long",
    "bounds slow",
    "missing job",
    "apply",
    "route s3",
    "route sns",
    "route sqs",
    "route eventbridge",
    "redrive",
}


# The local AWS asks for another action to get or update a mapping, puts the name of the default
# event bus into the ARN of a rule, and names no rule for targets. On AWS, all three are as the
# page lists them.
MISNAMED: Final = [
    {
        "Effect": "Allow",
        "Action": ["lambda:ListEventSourceMappings", "events:PutTargets", "events:RemoveTargets"],
        "Resource": "*",
    },
    {
        "Effect": "Allow",
        "Action": ["events:PutRule", "events:DeleteRule"],
        "Resource": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/default/lava.{REALM}.smoke-*",
    },
]


def documented_policy() -> str:
    """Return the policy that the page lists, for the realm of the tests."""
    policy: str
    [policy] = [
        block
        for block in re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        if '"Statement"' in block
    ]
    for name, value in {"<REALM>": REALM, "<ACCOUNT>": ACCOUNT, "<REGION>": REGION}.items():
        policy = policy.replace(name, value)
    document = json.loads(policy)
    document["Statement"] += MISNAMED
    return json.dumps(document)


@pytest.fixture
def user(stack: Stack) -> Iterator[dict[str, str]]:
    """The credentials of a user who may do what the page lists, and nothing else."""
    iam, name = stack.aws.client("iam"), "smoke"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=documented_policy())
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName=name)
    iam.delete_user(UserName=name)


@pytest.fixture
def key_alias(stack: Stack) -> Iterator[None]:
    """The alias of a key of the realm, as lava makes it."""
    kms = stack.aws.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=KEY_ALIAS, TargetKeyId=key)
    yield
    kms.delete_alias(AliasName=KEY_ALIAS)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)


@pytest.fixture
def cached(stack: Stack) -> Iterator[None]:
    """Have the function cache entries for a minute, as by default."""
    client, name = stack.aws.client("lambda"), stack.outputs["FunctionName"]
    before = client.get_function_configuration(FunctionName=name)["Environment"]
    variables = before["Variables"] | {"S3TRIGGER_CACHE_TTL": "60s"}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    yield
    client.update_function_configuration(FunctionName=name, Environment=before)


@pytest.fixture(autouse=True)
def disabled_mapping(stack: Stack) -> None:
    """Disable the redrive mapping, as the template says; the local AWS enables it."""
    stack.aws.client("lambda").update_event_source_mapping(
        UUID=stack.outputs["RedriveMappingId"], Enabled=False
    )


@pytest.fixture
def smoke(stack: Stack, tmp_path: Path) -> Iterator[Smoke]:
    """The script, started with arguments and with what else is in the environment."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["/bin/bash", SCRIPT, *arguments],
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "TMPDIR": str(tmp_path),
                "LC_ALL": "C",
                "NO_PROXY": "127.0.0.1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL": stack.aws.endpoint,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()
    assert not list(tmp_path.glob("tmp.*"))


def inventory(stack: Stack) -> dict[str, Any]:
    """Return what the script may make or change."""
    client = stack.aws.client
    tables = {
        table: client("dynamodb").scan(TableName=f"lava.{REALM}.{table}")["Items"]
        for table in ("s3triggers", "jobs")
    }
    return {
        "buckets": [each["Name"] for each in client("s3").list_buckets()["Buckets"]],
        "queues": client("sqs").list_queues()["QueueUrls"],
        "parked": stack.waiting(stack.outputs["DeadLetterQueueUrl"]),
        "topics": client("sns").list_topics()["Topics"],
        "subscriptions": client("sns").list_subscriptions()["Subscriptions"],
        "rules": client("events").list_rules()["Rules"],
        "mapping": client("lambda").get_event_source_mapping(
            UUID=stack.outputs["RedriveMappingId"]
        )["State"],
    } | tables


def results(output: str) -> dict[str, set[str]]:
    """Return the names of the checks that passed and failed."""
    lines = re.findall(r"^(PASS|FAIL)  (.{18}) ", output, re.MULTILINE)
    return {
        result: {name.rstrip() for found, name in lines if found == result}
        for result in ("PASS", "FAIL")
    }


class TestOnAHealthyStack:
    """Every check passes, and nothing stays."""

    @pytest.mark.usefixtures("cached", "key_alias")
    def test_all_checks_pass_with_the_documented_permissions_alone(
        self, stack: Stack, smoke: Smoke, user: dict[str, str], tmp_path: Path
    ) -> None:
        before = inventory(stack)
        events = tmp_path / "events"
        events.mkdir()

        process = smoke("--yes", "--timeout", "240", "--events", str(events), REALM, **user)
        output, _ = finish(process, _SECONDS)

        assert results(output) == {"PASS": CHECKS, "FAIL": set()}, output
        assert process.returncode == 0, output
        assert f"(encrypted with {KEY_ALIAS})" in output
        assert output.endswith("Removed everything.\n")
        assert inventory(stack) == before
        records = {
            path.stem: json.loads(json.loads(path.read_text())["parameters"]["event"])
            for path in events.iterdir()
        }
        assert records.keys() == {"s3", "sns", "sqs", "eventbridge"}
        assert records["eventbridge"]["detail"]["object"]["key"] == "eventbridge/object 1"
        assert records["sns"]["s3"]["object"]["key"] == "sns/object+1"

    def test_an_interrupt_removes_everything(self, stack: Stack, smoke: Smoke) -> None:
        before = inventory(stack)
        process = smoke("--yes", REALM)
        assert process.stdout
        seen = "".join(read_until(process.stdout, "PASS  bounds long", process))

        # As a terminal does on Ctrl-C. Not SIGINT, which a test run in the background ignores.
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = finish(process, _SECONDS)

        assert process.returncode == 143, seen + output
        assert output.endswith("Removed everything.\n")
        assert inventory(stack) == before


@pytest.fixture
def without_sending(stack: Stack) -> Iterator[None]:
    """A function that may not send to queues; afterwards, it may, and no event is left."""
    iam, role = stack.aws.client("iam"), stack.outputs["RoleArn"].rpartition("/")[2]
    before = iam.get_role_policy(RoleName=role, PolicyName=POLICY)["PolicyDocument"]
    take_away(stack, role, "sqs:SendMessage*")
    yield
    put(stack, role, before)
    for name in ("IntakeQueueUrl", "DeadLetterQueueUrl"):
        stack.aws.client("sqs").purge_queue(QueueUrl=stack.outputs[name])


class TestOnABrokenStack:
    """The checks that cannot pass fail, and say why."""

    @pytest.mark.usefixtures("without_sending")
    def test_a_denied_send_fails_the_checks_with_the_denied_call(
        self, stack: Stack, smoke: Smoke
    ) -> None:
        before = inventory(stack)

        process = smoke("--yes", "--keep", "--no-redrive", "--timeout", "2", REALM)
        output, _ = finish(process, _SECONDS)

        assert results(output) == {"PASS": set(), "FAIL": CHECKS - {"redrive"}}, output
        assert process.returncode == 1
        assert re.search(r"FAIL  plain .*AccessDenied.*SendMessage", output), output
        assert "10 checks: 0 PASS, 10 FAIL" in output

        _, _, commands = output.partition("To remove the rest, run:\n")
        kept = inventory(stack)
        assert kept != before
        # The printed commands remove what was kept.
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NO_PROXY": "127.0.0.1",
            "AWS_ENDPOINT_URL": stack.aws.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        subprocess.run(["/bin/bash", "-e"], input=commands, text=True, env=environment, check=True)
        assert inventory(stack) | {"parked": 0} == before | {"parked": 0}

    def test_a_stack_without_a_dead_letter_queue_setting_fails_what_should_be_parked(
        self, stack: Stack, smoke: Smoke
    ) -> None:
        before = inventory(stack)
        client, name = stack.aws.client("lambda"), stack.outputs["FunctionName"]
        variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        changed = {"Variables": variables | {"S3TRIGGER_DEAD_LETTER_QUEUE": ""}}
        client.update_function_configuration(FunctionName=name, Environment=changed)
        try:
            process = smoke("--yes", "--timeout", "20", REALM)
            output, _ = finish(process, _SECONDS)
        finally:
            client.update_function_configuration(
                FunctionName=name, Environment={"Variables": variables}
            )

        failed = {"bounds long", "bounds slow", "missing job", "redrive"}
        assert results(output) == {"PASS": CHECKS - failed, "FAIL": failed}, output
        assert process.returncode == 1
        assert inventory(stack) == before


class TestBeforeItStarts:
    """What cannot be checked, or is not wanted, makes nothing."""

    def test_help(self, smoke: Smoke) -> None:
        process = smoke("--help")
        output, _ = finish(process, _SECONDS)
        assert process.returncode == 0
        assert output.startswith("Usage: smoke.sh [options] realm\n")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            pytest.param([], "which realm?", id="no realm"),
            pytest.param(["My Realm"], r"not a realm: My\ Realm", id="no name of a realm"),
            pytest.param([REALM, "other"], f"one realm, please: {REALM} or other", id="two"),
            pytest.param(["--colour", REALM], "no such option: --colour", id="option"),
            pytest.param(["--stack"], "--stack needs a value", id="no value"),
            pytest.param(
                ["--timeout", "1m", REALM], "--timeout needs a number of seconds, not 1m", id="time"
            ),
            pytest.param([REALM], "no terminal to ask: use --yes", id="nobody to ask"),
        ],
    )
    def test_a_wrong_argument_is_named(
        self, smoke: Smoke, arguments: list[str], message: str
    ) -> None:
        process = smoke(*arguments)
        output, _ = finish(process, _SECONDS)
        assert process.returncode == 2
        assert output == f"smoke.sh: {message} (help: smoke.sh --help)\n"

    def test_messages_of_others_are_not_redriven(self, stack: Stack, smoke: Smoke) -> None:
        sqs, url = stack.aws.client("sqs"), stack.outputs["DeadLetterQueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="of somebody else")
        wait_until(lambda: stack.waiting(url) == 1, "the message")
        before = inventory(stack)

        process = smoke("--yes", REALM)
        output, _ = finish(process, _SECONDS)

        sqs.purge_queue(QueueUrl=url)
        assert process.returncode == 1
        assert "holds 1 messages" in output
        assert inventory(stack) | {"parked": 1} == before

    def test_a_missing_stack_is_named(self, smoke: Smoke) -> None:
        process = smoke("--yes", "--stack", "no-such-stack", REALM)
        output, _ = finish(process, _SECONDS)
        assert process.returncode == 1
        assert output.startswith("smoke.sh: no stack no-such-stack: ")
