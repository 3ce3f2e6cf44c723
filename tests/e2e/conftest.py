"""The deployed stack: the real template and package, on a local AWS that enforces IAM.

Two servers serve all modules of this folder, one after the other: `iam_aws` for realms with names
of their own, and `empty_aws` for the realm that the pages name. `pytest_xdist_make_scheduler` in
`tests/conftest.py` has the modules of a server run in one process.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.cli.commandline import CommandLine
from tests.docs.reader import Reader
from tests.processes import wait_until as wait_until  # noqa: PLC0414 - test_smoke has it from here
from tools.local.realm import Realm
from tools.local.server import ACCESS_KEY, ACCOUNT, CHECKOUT, REGION, SECRET_KEY, LocalAws

from .connections import Connections

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

REALM: Final = "e2e"
JOB: Final = {"type": "exe", "worker": "core", "payload": "x", "enabled": True}
"""A job of worker core, without its id."""


@dataclass(frozen=True)
class Stack:
    """A deployed function, and the realm it works for."""

    aws: LocalAws
    realm: Realm
    outputs: dict[str, str]

    @property
    def connections(self) -> Connections:
        return Connections(self.aws, self.realm.name, self.outputs["FunctionArn"])

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which commands reach the stack."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.aws.endpoint,
            "LAVA_REALM": self.realm.name,
        }

    def invoke(self, payload: Any) -> dict[str, Any]:
        """Invoke the function; return the kind of its error, if any, and its answer."""
        answer = self.aws.client("lambda").invoke(
            FunctionName=self.outputs["FunctionName"], Payload=json.dumps(payload)
        )
        text = answer["Payload"].read()
        return {"error": answer.get("FunctionError"), "answer": json.loads(text)}

    def warm_up(self) -> None:
        """Start the function: the server throttles a cold burst."""
        for _ in range(3):
            self.invoke({"Event": "s3:TestEvent"})

    def set_redrive(self, *, enabled: bool) -> None:
        """Enable or disable the mapping from the dead-letter queue to the function."""
        self.aws.client("lambda").update_event_source_mapping(
            UUID=self.outputs["RedriveMappingId"], Enabled=enabled
        )

    def put(self, bucket: str, key: str, body: bytes = b"data") -> None:
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    def trigger(self, trigger_id: str, bucket: str, prefix: str = "*", **fields: Any) -> None:
        entry = {"trigger_id": trigger_id, "bucket": bucket, "prefix": prefix, "enabled": True}
        self.realm.put("s3triggers", [entry | {"job_id": "job-core"} | fields])

    def dispatches(self, worker: str, count: int) -> list[dict[str, Any]]:
        """Wait for so many dispatches of a worker, and see that no more come with them."""
        found: list[dict[str, Any]] = []

        def arrived() -> bool:
            found.extend(json.loads(each["Body"]) for each in self.realm.receive(worker))
            return len(found) >= count

        wait_until(arrived, f"{count} dispatches to {worker}, beyond {found}")
        assert len(found) == count, found
        return found

    def queue_url(self, name: str) -> str:
        url: str = self.aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        return url

    def waiting(self, url: str) -> int:
        """Count the messages of a queue: visible, in flight and delayed."""
        names = ("", "NotVisible", "Delayed")
        asked = [f"ApproximateNumberOfMessages{name}" for name in names]
        attributes = self.aws.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=asked
        )["Attributes"]
        return sum(int(attributes[name]) for name in asked)


def deploy(aws: LocalAws, name: str, workers: Iterable[str] = ("core",), **more: str) -> Stack:
    """Make a realm, and deploy its stack.

    Args:
        aws: The server.
        name: Name of the realm.
        workers: Its workers. Worker core has the job job-core, and so on.
        **more: Parameters of the stack.
    """
    realm = Realm(aws, name)
    realm.make(workers)
    realm.put("jobs", [JOB | {"job_id": f"job-{each}", "worker": each} for each in workers])
    outputs = aws.deploy(
        CHECKOUT / "template.yaml",
        CHECKOUT / "build" / "package",
        f"lava-{name}-s3trigger",
        {"Realm": name, **more},
    )
    stack = Stack(aws, realm, outputs)
    # The server does not do what the template says of these two.
    stack.set_redrive(enabled=False)
    aws.client("lambda").update_function_configuration(
        FunctionName=outputs["FunctionName"],
        DeadLetterConfig={"TargetArn": outputs["DeadLetterQueueArn"]},
    )
    stack.warm_up()
    return stack


def make_user(aws: LocalAws, name: str, statements: list[Any]) -> dict[str, str]:
    """Create a user who may do what statements of a policy say; return the credentials."""
    iam = aws.client("iam")
    iam.create_user(UserName=name)
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        document = document.replace("111122223333", ACCOUNT)
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


@pytest.fixture(scope="session")
def iam_aws() -> Iterator[LocalAws]:
    """A server that enforces IAM, one for all realms with names of their own."""
    with LocalAws(auth=True) as aws:
        yield aws


@pytest.fixture(scope="session")
def stack(iam_aws: LocalAws) -> Stack:
    """The stack with its intake queue; jobs job-core and job-web, each for that worker."""
    parameters = {"CacheTtl": "0", "LogLevel": "debug", "CreateIntake": "true"}
    return deploy(iam_aws, REALM, ("core", "web"), **parameters)


@pytest.fixture(scope="session")
def _aws_of_pages() -> Iterator[LocalAws]:
    with LocalAws(auth=True) as aws:
        yield aws


def emptied(aws: LocalAws) -> LocalAws:
    """Remove everything from a server, and return it."""
    reset = urllib.request.Request(f"{aws.endpoint}/_ministack/reset", method="POST")
    with urllib.request.urlopen(reset) as answer:
        assert json.load(answer) == {"reset": "ok"}
    return aws


@pytest.fixture(scope="module")
def empty_aws(_aws_of_pages: LocalAws) -> LocalAws:
    """A server that enforces IAM, with nothing on it: for the realm that the pages name."""
    return emptied(_aws_of_pages)


@pytest.fixture(scope="module")
def lava_realm(empty_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader of the pages, in a realm as lava's stacks build it, with the job load."""
    empty_aws.client("cloudformation").create_stack(
        StackName="lava-myrealm",
        TemplateBody=(CHECKOUT / "tests" / "e2e" / "lava-realm.yaml").read_text(),
        Parameters=[{"ParameterKey": "Realm", "ParameterValue": "myrealm"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    waiter = empty_aws.client("cloudformation").get_waiter("stack_create_complete")
    waiter.wait(StackName="lava-myrealm", WaiterConfig={"Delay": 1})
    reader = Reader(empty_aws, tmp_path_factory.mktemp("reader"))
    reader.realm.put("jobs", [JOB | {"job_id": "load"}])
    return reader


@pytest.fixture
def line(stack: Stack, tmp_path: Path) -> CommandLine:
    """Return what runs commands in this process, for the realm of the stack."""
    return CommandLine((), stack.environment, tmp_path)


def keys_arrive(realm: Realm, *keys: str) -> None:
    """Wait for a dispatch to worker core for each key, and see that no other comes with them."""
    found: list[str] = []

    def arrived() -> bool:
        bodies = [json.loads(each["Body"]) for each in realm.receive("core")]
        found.extend(each["parameters"]["key"] for each in bodies)
        return len(found) >= len(keys)

    wait_until(arrived, f"dispatches of {keys}")
    assert sorted(found) == sorted(keys)
