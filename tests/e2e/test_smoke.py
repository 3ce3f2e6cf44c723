"""The smoke test, run against the deployed stack as on a first account."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.processes import end_of, finish, read_until, signals_received
from tools.local.server import ACCOUNT, CHECKOUT, REGION
from tools.smoke.checks import CHECKS

from .conftest import REALM, Stack, make_user
from .test_role import take_away

Smoke = Callable[..., "subprocess.Popen[str]"]

pytestmark = [pytest.mark.e2e, pytest.mark.slow("runs the smoke test several times")]

KEY_ALIAS: Final = f"alias/lava-{REALM}-user"


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of the smoke test; return its status and its output."""
    output, _ = finish(process, 600)
    return process.returncode, output


def documented_policy() -> Any:
    """Return the policy of the examples, for the realm of the tests.

    The local AWS asks for other actions here and there, puts the name of the default event bus
    into the ARN of a rule, and names no rule for targets.
    """
    text = (CHECKOUT / "examples" / "smoke-policy.json").read_text()
    for name, value in {"<REALM>": REALM, "<ACCOUNT>": ACCOUNT, "<REGION>": REGION}.items():
        text = text.replace(name, value)
    document = json.loads(text)
    rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/default/lava.{REALM}.smoke-*"
    for resource, actions in {
        "*": "events:PutTargets events:RemoveTargets"
        " sqs:ChangeMessageVisibilityBatch sqs:DeleteMessageBatch",
        rule: "events:PutRule events:DeleteRule",
    }.items():
        allowed = {"Effect": "Allow", "Action": actions.split(), "Resource": resource}
        document["Statement"].append(allowed)
    return document


@pytest.fixture
def user(stack: Stack) -> Iterator[dict[str, str]]:
    """The credentials of a user who has the policy, and nothing else."""
    iam, name = stack.aws.client("iam"), "smoke"
    credentials = make_user(stack.aws, name, documented_policy()["Statement"])
    yield credentials
    iam.delete_access_key(UserName=name, AccessKeyId=credentials["AWS_ACCESS_KEY_ID"])
    iam.delete_user_policy(UserName=name, PolicyName=name)
    iam.delete_user(UserName=name)


@pytest.fixture
def as_in_lava(stack: Stack) -> Iterator[None]:
    """A key with the realm's alias, as lava makes it, and entries cached for a minute."""
    kms, client = stack.aws.client("kms"), stack.aws.client("lambda")
    kms.create_alias(AliasName=KEY_ALIAS, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    name = {"FunctionName": stack.outputs["FunctionName"]}
    before = client.get_function_configuration(**name)["Environment"]
    cached = {"Variables": before["Variables"] | {"S3TRIGGER_CACHE_TTL": "60s"}}
    client.update_function_configuration(**name, Environment=cached)
    yield
    client.update_function_configuration(**name, Environment=before)
    kms.delete_alias(AliasName=KEY_ALIAS)


@pytest.fixture(autouse=True)
def disabled_mapping(stack: Stack) -> None:
    """Disable the redrive mapping, as the template says; the local AWS enables it."""
    stack.set_redrive(enabled=False)


@pytest.fixture
def without_sending(stack: Stack) -> Iterator[None]:
    """A function that may not send to queues; afterwards, it may, and no event is left."""
    before = stack.role_statements()
    take_away(stack, "sqs:SendMessage*")
    yield
    stack.put_role_policy(before)
    for name in ("IntakeQueueUrl", "DeadLetterQueueUrl"):
        stack.aws.client("sqs").purge_queue(QueueUrl=stack.outputs[name])


@pytest.fixture
def smoke(stack: Stack, tmp_path: Path) -> Iterator[Smoke]:
    """Starts the smoke test with arguments, and with what else is in the environment."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        with signals_received():
            process = subprocess.Popen(
                [sys.executable, "-m", "tools.smoke", "--realm", REALM, *arguments],
                cwd=CHECKOUT,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(tmp_path),
                    "AWS_EC2_METADATA_DISABLED": "true",
                    **stack.environment,
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.fixture
def without_permission(stack: Stack) -> Iterator[None]:
    """A function that S3 may not invoke, so that `connect` makes a permission."""
    with stack.without_permissions("s3"):
        yield


def inventory(stack: Stack) -> dict[str, Any]:
    """Return what the smoke test may make or change."""
    client = stack.aws.client
    mapping = stack.outputs["RedriveMappingId"]
    return {
        "buckets": [each["Name"] for each in client("s3").list_buckets()["Buckets"]],
        "queues": client("sqs").list_queues()["QueueUrls"],
        "parked": stack.waiting(stack.outputs["DeadLetterQueueUrl"]),
        "topics": client("sns").list_topics()["Topics"],
        "subscriptions": client("sns").list_subscriptions()["Subscriptions"],
        "rules": client("events").list_rules()["Rules"],
        "permissions": [each["Sid"] for each in stack.permissions()],
        "mapping": client("lambda").get_event_source_mapping(UUID=mapping)["State"],
        "triggers": client("dynamodb").scan(TableName=f"lava.{REALM}.s3triggers")["Items"],
        "jobs": client("dynamodb").scan(TableName=f"lava.{REALM}.jobs")["Items"],
    }


def results(output: str) -> list[list[str]]:
    """Return the names of the checks that passed, and of those that failed."""
    lines = re.findall(r"^(PASS|FAIL)  (.{18}) ", output, re.MULTILINE)
    both = ("PASS", "FAIL")
    return [[name.rstrip() for found, name in lines if found == result] for result in both]


@pytest.mark.usefixtures("as_in_lava")
def test_all_checks_pass_with_the_documented_policy_and_nothing_stays(
    stack: Stack, smoke: Smoke, user: dict[str, str], tmp_path: Path
) -> None:
    before = inventory(stack)

    options = ("--yes", "--timeout", "240", "--events", str(tmp_path))
    status, output = ended(smoke(*options, **user))

    assert (status, results(output)) == (0, [list(CHECKS), []]), output
    assert f"(encrypted with {KEY_ALIAS})" in output
    assert output.endswith("Removed everything.\n")
    assert inventory(stack) == before
    assert not (tmp_path / ".local").exists()  # where apply and connect save what they replace
    records = {
        path.stem: json.loads(json.loads(path.read_text())["parameters"]["event"])
        for path in tmp_path.glob("*.json")
    }
    assert records.keys() == {"s3", "sns", "sqs", "eventbridge"}
    assert records["eventbridge"]["detail"]["object"]["key"] == "eventbridge/object 1"
    assert records["sns"]["s3"]["object"]["key"] == "sns/object+1"


@pytest.mark.parametrize(
    ("end", "after"),
    [
        *((end, "bounds long") for end in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)),
        (signal.SIGINT, "route eventbridge"),  # while `connect` runs
    ],
)
def test_an_interrupt_or_a_closed_output_removes_everything(
    stack: Stack, smoke: Smoke, end: signal.Signals, after: str
) -> None:
    before = inventory(stack)
    process = smoke("--yes")
    assert process.stdout
    read_until(process.stdout, f"PASS  {after}", process)

    if end is signal.SIGPIPE:
        process.stdout.close()
    else:
        process.send_signal(end)

    assert end_of(process) == 128 + end
    assert inventory(stack) == before


@pytest.mark.usefixtures("without_sending", "without_permission")
def test_a_denied_send_fails_the_checks_and_what_is_kept_can_be_removed(
    stack: Stack, smoke: Smoke
) -> None:
    before = inventory(stack)

    status, output = ended(smoke("--yes", "--keep", "--no-redrive", "--timeout", "2"))

    failed = [name for name in CHECKS if name != "redrive"]
    assert (status, results(output)) == (1, [[], failed]), output
    assert re.search(r"FAIL  plain .*AccessDenied.*SendMessage", output), output
    assert "11 checks: 0 PASS, 11 FAIL" in output

    kept = inventory(stack)
    made = {name for name in before if before[name] != kept[name]}
    assert made >= {"buckets", "queues", "topics", "rules", "permissions", "triggers", "jobs"}
    [suffix] = re.findall("--remove ([0-9a-f]+)$", output)
    # Messages in the dead-letter queue, such as those of the denied sends, are in nobody's way.
    parked = {"QueueUrl": stack.outputs["DeadLetterQueueUrl"], "MessageBody": "of somebody"}
    stack.aws.client("sqs").send_message(**parked)
    _, output = ended(smoke("--yes", "--remove", suffix))
    assert output.endswith("Removed everything.\n")
    assert inventory(stack) | {"parked": 0} == before | {"parked": 0}


def test_what_cannot_be_removed_is_reported(
    stack: Stack, smoke: Smoke, user: dict[str, str]
) -> None:
    iam = stack.aws.client("iam")
    policy = json.dumps(documented_policy()).replace("s3:DeleteBucket", "s3:None")
    iam.put_user_policy(UserName="smoke", PolicyName="smoke", PolicyDocument=policy)
    status, output = ended(smoke("--yes", "--no-redrive", "--timeout", "1", **user))

    assert status == 1
    assert re.search("cannot remove S3 bucket lava-e2e-smoke-.*AccessDenied", output), output
    [suffix] = re.findall("--remove ([0-9a-f]+)$", output)
    assert ended(smoke("--yes", "--remove", suffix))[1].endswith("everything.\n")


def test_nobody_to_ask_and_messages_of_others_make_nothing(stack: Stack, smoke: Smoke) -> None:
    before = inventory(stack)
    assert "smoke asks before it makes" in ended(smoke())[1]
    sqs, url = stack.aws.client("sqs"), stack.outputs["DeadLetterQueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="of somebody else")

    status, output = ended(smoke("--yes"))

    sqs.purge_queue(QueueUrl=url)
    assert status == 1
    assert "holds 1 messages" in output
    assert inventory(stack) == before
