"""The deployed stack: the real template and package, on a local AWS that enforces IAM.

Two servers serve all modules of this folder, one after the other: `iam_aws` for realms with names
of their own, and `empty_aws` for the realm that the pages name. `pytest_xdist_make_scheduler` in
`tests/conftest.py` has the modules of a server run in one process.
"""

import contextlib
import json
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.commandline import CommandLine
from tests.docs.reader import Reader
from tests.processes import wait_until as wait_until  # noqa: PLC0414 - test_smoke has it from here
from tools.local.realm import Realm
from tools.local.server import ACCESS_KEY, ACCOUNT, CHECKOUT, REGION, SECRET_KEY, LocalAws

from .connections import Connections, allow, policy

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
    def function(self) -> str:
        return self.outputs["FunctionName"]

    @property
    def role(self) -> str:
        return self.outputs["RoleArn"].rpartition("/")[2]

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
            FunctionName=self.function, Payload=json.dumps(payload)
        )
        text = answer["Payload"].read()
        return {"error": answer.get("FunctionError"), "answer": json.loads(text)}

    def warm_up(self) -> None:
        """Start the function: the server throttles a cold burst."""
        for _ in range(3):
            self.invoke({"Event": "s3:TestEvent"})

    def set_redrive(self, *, enabled: bool) -> None:
        self.aws.client("lambda").update_event_source_mapping(
            UUID=self.outputs["RedriveMappingId"], Enabled=enabled
        )

    def set_variables(self, **changes: str | None) -> dict[str, str]:
        """Change environment variables of the function, None takes one away; return the former."""
        client, name = self.aws.client("lambda"), self.function
        environment = client.get_function_configuration(FunctionName=name)["Environment"]
        before: dict[str, str] = environment["Variables"]
        kept = {key: value for key, value in {**before, **changes}.items() if value is not None}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": kept})
        return before

    @contextlib.contextmanager
    def with_variables(self, **changes: str) -> Iterator[None]:
        before = self.set_variables(**changes)
        try:
            yield
        finally:
            self.set_variables(**{**dict.fromkeys(changes), **before})

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Have Lambda not run the function for a while."""
        client, name = self.aws.client("lambda"), {"FunctionName": self.function}
        client.put_function_concurrency(**name, ReservedConcurrentExecutions=0)
        try:
            yield
        finally:
            client.delete_function_concurrency(**name)

    def role_statements(self) -> list[Any]:
        own = {"RoleName": self.role, "PolicyName": "s3trigger"}
        found: list[Any] = self.aws.client("iam").get_role_policy(**own)["PolicyDocument"][
            "Statement"
        ]
        return found

    def put_role_policy(self, statements: list[Any], name: str = "s3trigger") -> None:
        self.aws.client("iam").put_role_policy(
            RoleName=self.role, PolicyName=name, PolicyDocument=policy(*statements)
        )

    def permissions(self) -> list[Any]:
        text = self.aws.client("lambda").get_policy(FunctionName=self.function)["Policy"]
        found: list[Any] = json.loads(text)["Statement"]
        return found

    def remove_permissions(self, *services: str) -> list[Any]:
        """Take away that services may invoke the function; return the statements."""
        principals = [{"Service": f"{service}.amazonaws.com"} for service in services]
        removed = [each for each in self.permissions() if each["Principal"] in principals]
        for each in removed:
            self.aws.client("lambda").remove_permission(
                FunctionName=self.function, StatementId=each["Sid"]
            )
        return removed

    @contextlib.contextmanager
    def without_permissions(self, *services: str) -> Iterator[None]:
        """Take away that services may invoke the function, and give it back."""
        removed = self.remove_permissions(*services)
        yield
        options = {"aws:sourcearn": "SourceArn", "aws:sourceaccount": "SourceAccount"}
        for each in removed:
            tests = {k.lower(): v for test in each["Condition"].values() for k, v in test.items()}
            self.aws.client("lambda").add_permission(
                FunctionName=self.function,
                StatementId=each["Sid"],
                Action="lambda:InvokeFunction",
                Principal=each["Principal"]["Service"],
                **{options[key]: value for key, value in tests.items() if key in options},
            )

    def notify(self, bucket: str, **configuration: Any) -> None:
        self.aws.client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )

    def notifications(self, bucket: str) -> dict[str, Any]:
        answer = self.aws.client("s3").get_bucket_notification_configuration(Bucket=bucket)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

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

    def queue_policy(self, name: str) -> str:
        url, names = self.queue_url(name), ["Policy"]
        answer = self.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return str(answer["Attributes"]["Policy"])

    def put_queue_policy(self, name: str, text: str) -> None:
        self.aws.client("sqs").set_queue_attributes(
            QueueUrl=self.queue_url(name), Attributes={"Policy": text}
        )

    def other_queue(self, name: str) -> str:
        """Make a queue that all may send to and the function does not read; return its ARN."""
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        text = policy(allow("sqs:SendMessage", arn, Principal="*"))
        self.aws.client("sqs").create_queue(QueueName=name, Attributes={"Policy": text})
        return arn

    def put_rule(self, name: str, pattern: Any, state: str = "ENABLED", **target: Any) -> None:
        """Put a rule of EventBridge that invokes the function, or has another target."""
        events, own = self.aws.client("events"), {"Arn": self.outputs["FunctionArn"]}
        events.put_rule(Name=name, EventPattern=json.dumps(pattern), State=state)
        events.put_targets(Rule=name, Targets=[{"Id": "s3trigger", **own, **target}])

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
        FunctionName=stack.function,
        DeadLetterConfig={"TargetArn": outputs["DeadLetterQueueArn"]},
    )
    stack.warm_up()
    return stack


def actions_of(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return actions if isinstance(actions, list) else [actions]


def without_action(statements: list[Any], action: str) -> list[Any]:
    """Return statements of a policy without an action."""
    kept = [(each, [name for name in actions_of(each) if name != action]) for each in statements]
    return [each | {"Action": actions} for each, actions in kept if actions]


def make_user(aws: LocalAws, name: str, statements: list[Any]) -> dict[str, str]:
    """Create a user who may do what statements of a policy say; return the credentials."""
    iam = aws.client("iam")
    iam.create_user(UserName=name)
    if statements:
        document = policy(*statements).replace("111122223333", ACCOUNT)
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
