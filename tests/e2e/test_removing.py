"""The life of a stack: failed deployment, update, rename, uninstall, reinstall; nothing is lost."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from tests.build import direct, record, trigger_entry
from tests.docs.pages import DEPLOYING, fenced, section
from tests.docs.reader import Reader
from tests.processes import wait_until
from tools.local.server import CHECKOUT, LocalAws

from .conftest import JOB, emptied, keys_arrive

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys and deletes stacks")]

NAME: Final = "myrealm"
STACK: Final = f"lava-{NAME}-s3trigger"
QUEUES: Final = [f"{STACK}-dlq", f"{STACK}-intake", f"{STACK}-intake-dlq"]
DEPLOY: Final = f"sam deploy --stack-name {STACK} --parameter-overrides Realm={NAME} CacheTtl=0"
_FAILING: Final = """
  Failing:
    Type: AWS::SQS::Queue
    DependsOn: [IntakeMapping, LogGroup, RedriveMapping, TriggersTable]
    Properties:
      QueueName: standard.fifo
"""
"""A resource that fails, after all others."""


class Owner(Reader):
    """A reader of the pages who owns a realm without an s3trigger function."""

    def __init__(self, aws: LocalAws, folder: Path) -> None:
        super().__init__(aws, folder)
        [self.names] = fenced(section(DEPLOYING, "Updating and removing"), "sh")[:1]
        self.realm.make(["core"])
        self.realm.put("jobs", [JOB | {"job_id": "load"}])

    def follow(self, heading: str) -> str:
        """Run the commands under a heading, without those under its own headings."""
        text = section(DEPLOYING, heading).partition("\n#### ")[0]
        return self.run(*fenced(text, "sh"))

    def queues(self) -> list[str]:
        """Return the names of the queues of the function."""
        urls = self.aws.client("sqs").list_queues().get("QueueUrls", [])
        return sorted(url.rpartition("/")[2] for url in urls if "s3trigger" in url)

    def has_table(self) -> bool:
        return f"lava.{NAME}.s3triggers" in self.aws.client("dynamodb").list_tables()["TableNames"]

    def send(self, queue: str, body: Any) -> None:
        url, text = self.queue_url(queue), json.dumps(body)
        self.aws.client("sqs").send_message(QueueUrl=url, MessageBody=text)

    def mapping(self, queue: str) -> str:
        """Return the id of the mapping from a queue."""
        found = self.aws.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        [uuid] = [e["UUID"] for e in found if e["EventSourceArn"].endswith(f":{queue}")]
        return str(uuid)

    def invoke(self, function: str, key: str) -> None:
        """Invoke a function with the event of an object, and wait for its dispatch."""
        payload = json.dumps(event(key))
        self.aws.client("lambda").invoke(FunctionName=function, Payload=payload)
        keys_arrive(self.realm, key)


@pytest.fixture
def owner(empty_aws: LocalAws, tmp_path: Path) -> Owner:
    """An owner of a realm, and nothing else on the server."""
    return Owner(emptied(empty_aws), tmp_path)


def event(key: str) -> Any:
    return direct(record(key, bucket="b"))


def make_trigger(owner: Owner) -> None:
    entry = trigger_entry("t", "*", bucket="b", parameters={"key": "{{ key }}"})
    owner.realm.put("s3triggers", [entry])


def test_a_failed_first_deployment_does_not_block_the_second(owner: Owner) -> None:
    cloudformation = owner.aws.client("cloudformation")
    template = (CHECKOUT / "template.yaml").read_text()
    template = template.replace("CodeUri: .", "CodeUri: s3://none/x.zip")
    template = template.replace("\nOutputs:", f"{_FAILING}\nOutputs:")
    given = {"Realm": NAME, "CreateQueries": "false", "CreateIntake": "true"}
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=owner.aws.upload_template(template, STACK),
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    rolled_back = "'StackStatus': 'ROLLBACK_COMPLETE'"
    wait_until(
        lambda: rolled_back in str(cloudformation.describe_stacks(StackName=STACK)),
        "the end of the rollback",
    )
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    happened = {(each["LogicalResourceId"], each["ResourceStatus"]) for each in events}
    names = ("TriggersTable", "DeadLetterQueue", "IntakeQueue", "LogGroup")
    assert {(name, "CREATE_COMPLETE") for name in names} <= happened
    assert (owner.queues(), owner.has_table()) == ([], False)

    [delete] = [each for each in fenced(DEPLOYING.read_text(), "sh") if "delete-stack" in each]
    deploy = f"{DEPLOY} CreateIntake=true"
    owner.run(delete, deploy)
    assert (owner.queues(), owner.has_table()) == (QUEUES, True)


def test_what_the_queues_and_the_table_hold_outlives_the_stack(owner: Owner) -> None:
    owner.run(f"{DEPLOY} CreateIntake=true")
    make_trigger(owner)
    uuid = owner.mapping(f"{STACK}-intake")
    owner.run(f"aws lambda update-event-source-mapping --no-enabled --uuid {uuid}")
    for queue in QUEUES:
        owner.send(queue, event(queue))

    look, delete, delete_queues, delete_table = fenced(section(DEPLOYING, "Uninstall"), "sh")
    printed = owner.run(look)
    assert printed.splitlines() == [f"{queue} 1 0 0" for queue in QUEUES]
    owner.run(delete)

    assert (owner.queues(), owner.has_table()) == (QUEUES, True)
    assert [owner.waiting(queue) for queue in QUEUES] == [1, 1, 1]
    sqs = owner.aws.client("sqs")
    for url in map(owner.queue_url, QUEUES[:2]):
        policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        assert "events.amazonaws.com" in policy["Attributes"]["Policy"]

    # Installed again, the function runs what waited.
    owner.follow("Reinstall")
    uuid = owner.mapping(f"{STACK}-dlq")
    owner.run(f"aws lambda update-event-source-mapping --enabled --uuid {uuid}")
    keys_arrive(owner.realm, f"{STACK}-dlq")
    owner.run(*fenced(section(DEPLOYING, "Use an intake queue that stayed"), "sh"))
    keys_arrive(owner.realm, f"{STACK}-intake")
    # The local server cannot move dead letters back to their queue.
    assert owner.waiting(f"{STACK}-intake-dlq") == 1

    owner.run(delete, delete_queues, delete_table)
    assert (owner.queues(), owner.has_table()) == ([], False)
    assert owner.aws.client("lambda").list_functions()["Functions"] == []

    # And from the beginning.
    owner.run(DEPLOY)
    assert owner.queues() == QUEUES[:1]


class TestChanging:
    def test_an_update_keeps_the_parameters(self, owner: Owner) -> None:
        owner.run(f"{DEPLOY} CreateIntake=true MemorySize=300")
        owner.follow("Update")
        function = owner.aws.client("lambda").get_function_configuration(FunctionName=STACK)
        assert function["MemorySize"] == 300
        assert owner.queues() == QUEUES

    def test_turning_the_intake_off_keeps_its_messages(self, owner: Owner) -> None:
        owner.run(f"{DEPLOY} CreateIntake=true")
        owner.send(f"{STACK}-intake-dlq", event("k"))
        owner.run(f"{DEPLOY} CreateIntake=false")
        assert owner.queues() == QUEUES
        assert owner.waiting(f"{STACK}-intake-dlq") == 1

    def test_another_function_name_keeps_parked_messages(self, owner: Owner) -> None:
        owner.run(DEPLOY)
        owner.send(f"{STACK}-dlq", event("k"))
        owner.run(f"{DEPLOY} FunctionName=other")
        assert owner.queues() == [f"{STACK}-dlq"]
        assert owner.waiting(f"{STACK}-dlq") == 1
        assert owner.queue_url("other-dlq")

    def test_renaming_by_a_second_stack(self, owner: Owner) -> None:
        owner.run(DEPLOY)
        make_trigger(owner)
        owner.follow("Rename")
        owner.invoke(f"{STACK}-next", "k")
        look, delete, *_ = fenced(section(DEPLOYING, "Uninstall"), "sh")
        assert owner.run(look) == f"{STACK}-dlq 0 0 0\n"  # what exists, and nothing else
        owner.run(delete)
        with pytest.raises(ClientError):
            owner.aws.client("lambda").get_function(FunctionName=STACK)
        owner.invoke(f"{STACK}-next", "k2")
