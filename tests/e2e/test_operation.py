"""A life of the stack: released, deployed, connected, broken, mended, updated, deleted."""

from __future__ import annotations

import json
import shutil
import threading
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.cli.deployed.log_line import LogLine, read_line
from tests.processes import wait_until
from tests.test_alarms import is_alarm, of_alarm
from tests.test_docs import CONNECTING, DEPLOYING, Reader, fenced, section
from tests.test_template import Stack
from tools.archive import checksums

from .conftest import keys_arrive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.release import Release
    from tools.local.server import LocalAws

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow("deploys, updates under load, and removes"),
]

FUNCTION: Final = "lava-myrealm-s3trigger"
PARAMETERS: Final = {
    "CreateIntake": "true",
    "AlarmEmail": "ops@example.com",
    "CacheTtl": "0",
    "CreateQueries": "false",  # the local server knows no saved queries
}
BUCKET: Final = "my-bucket"
FOLDER: Final = "incoming/orders"
JOB: Final = {"job_id": "load", "type": "exe", "worker": "core", "payload": "x", "enabled": True}
UNDER_LOAD: Final = 60


@pytest.fixture(scope="module")
def reader(
    empty_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory, release: Release
) -> Reader:
    """A reader of the pages who has deployed a release by CloudFormation alone."""
    reader = Reader(empty_aws, tmp_path_factory.mktemp("reader"))
    reader.realm.make(["core"])
    for bucket in ("my-code-bucket", BUCKET):
        empty_aws.client("s3").create_bucket(Bucket=bucket)
    deploy(reader, release.folder)
    reader.realm.put("jobs", [JOB])
    trigger = {"trigger_id": "orders", "bucket": BUCKET, "prefix": FOLDER, "enabled": True}
    parameters = {"key": "{{ key }}"}
    reader.realm.put("s3triggers", [trigger | {"job_id": "load", "parameters": parameters}])
    disable_mapping(empty_aws)
    for _ in range(3):  # the server throttles a cold burst
        empty_aws.client("lambda").invoke(FunctionName=FUNCTION, Payload=b'{"Records": []}')
    _, names = fenced(section(CONNECTING, "Before you start"), "sh")
    variables = [line.partition("=")[0] for line in names.splitlines() if line[0].isalpha()]
    tell = "; ".join(f"echo {name}=${name}" for name in variables)
    reader.names = reader.run(names, tell)
    return reader


def deploy(reader: Reader, folder: Path) -> None:
    """Run the commands of the page in the folder of a release, with parameters of a team."""
    [commands] = fenced(section(DEPLOYING, "From a release"), "sh")
    more = " ".join(f"{name}={value}" for name, value in PARAMETERS.items())
    assert commands.rstrip().endswith("CodeBucket=$code")
    reader.run(f"cd {folder}", f"{commands.rstrip()} {more}")


def disable_mapping(aws: LocalAws) -> None:
    """Turn the mapping of the dead-letter queue off: the server does not, as the template says."""
    client = aws.client("lambda")
    for each in client.list_event_source_mappings(FunctionName=FUNCTION)["EventSourceMappings"]:
        if each["EventSourceArn"].endswith(f"{FUNCTION}-dlq"):
            client.update_event_source_mapping(UUID=each["UUID"], Enabled=False)


def put(reader: Reader, name: str) -> str:
    """Put an object; return its key."""
    key = f"{FOLDER}/{name}"
    reader.aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"data")
    return key


def logged(reader: Reader, **fields: Any) -> list[LogLine]:
    """Return the lines of the function's log that have these fields."""
    logs = reader.aws.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{FUNCTION}")
    lines = [read_line(event["message"]) for page in pages for event in page["events"]]
    return [
        line
        for line in lines
        if line and fields.items() <= {**line.fields, "is": line.event}.items()
    ]


def parked(reader: Reader) -> int:
    """Return the datapoint of the alarm's metric: messages that the dead-letter queue shows."""
    sqs = reader.aws.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{FUNCTION}-dlq")["QueueUrl"]
    name = "ApproximateNumberOfMessages"  # as SQS calls it; CloudWatch adds Visible
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def next_release(release: Release, folder: Path) -> Path:
    """Make a later release out of one, in a folder."""
    text = release.template.read_text().replace(release.zip.name, "s3trigger-99.0.0.zip")
    (folder / "lava-s3trigger-99.0.0.yaml").write_text(text)
    code = shutil.copy(release.zip, folder / "s3trigger-99.0.0.zip")
    with zipfile.ZipFile(code, "a") as archive:
        archive.writestr("next.txt", "the next release")
    (folder / "SHA256SUMS").write_text(checksums(folder))
    return folder


class TestOperation:
    """The steps of a life, one after the other."""

    @pytest.mark.parametrize("route", ["S3", "SNS", "EventBridge", "SQS"])
    def test_1_a_bucket_is_connected_and_dispatched(self, reader: Reader, route: str) -> None:
        blocks = fenced(section(CONNECTING, route), "sh")
        # The stack of a release has its intake already; nothing is to be moved back.
        others = ("sam deploy", "start-message-move-task", "add-permission")
        reader.run(*[each for each in blocks if not any(word in each for word in others)])
        keys_arrive(reader.realm, put(reader, f"{route}.csv"))

    def test_2_a_broken_trigger_is_seen(self, reader: Reader) -> None:
        reader.aws.client("dynamodb").delete_item(
            TableName="lava.myrealm.jobs", Key={"job_id": {"S": "load"}}
        )
        key = put(reader, "broken.csv")
        wait_until(lambda: parked(reader), "the parked message")

        [line] = logged(reader, key=key)
        assert (line.event, line.level, line.text("kind")) == ("parked", "ERROR", "no_such_job")
        assert line.text("trigger_id") == "orders"
        [summary] = logged(reader, **{"is": "summary", "user_errors": 1})
        assert (summary.fields["realm"], summary.fields["function"]) == ("myrealm", FUNCTION)
        alarm = next(
            each
            for each in Stack(Realm="myrealm", **PARAMETERS).of_type("AWS::CloudWatch::Alarm")
            if each["AlarmName"] == f"{FUNCTION}-dead-letters"
        )
        assert of_alarm(alarm).dimensions == {("QueueName", f"{FUNCTION}-dlq")}
        assert of_alarm(alarm).name == "ApproximateNumberOfMessagesVisible"
        assert is_alarm(alarm, [[]] * 12 + [[parked(reader)]])

    def test_3_what_was_mended_is_redriven(self, reader: Reader) -> None:
        reader.realm.put("jobs", [JOB])
        reader.run("lava-s3trigger dead-letters redrive --realm $realm --quiet 3")
        keys_arrive(reader.realm, f"{FOLDER}/broken.csv")
        assert parked(reader) == 0

    def test_4_an_update_under_load_loses_nothing(
        self, reader: Reader, release: Release, tmp_path: Path
    ) -> None:
        client = reader.aws.client("lambda")
        before = client.get_function_configuration(FunctionName=FUNCTION)["CodeSha256"]
        folder = next_release(release, tmp_path)
        sqs = reader.aws.client("sqs")
        intake = sqs.get_queue_url(QueueName="lava-myrealm-s3trigger-intake")["QueueUrl"]
        # What fails during the update comes again after this time, not after six minutes.
        sqs.set_queue_attributes(QueueUrl=intake, Attributes={"VisibilityTimeout": "5"})
        update = threading.Thread(target=partial(deploy, reader, folder))
        update.start()
        keys: list[str] = []
        while update.is_alive() or len(keys) < UNDER_LOAD:
            keys.append(put(reader, f"load/{len(keys)}.csv"))
        update.join()
        assert client.get_function_configuration(FunctionName=FUNCTION)["CodeSha256"] != before

        found: list[str] = []

        def all_arrived() -> bool:
            bodies = [json.loads(each["Body"]) for each in reader.realm.receive("core")]
            found.extend(each["parameters"]["key"] for each in bodies)
            return set(keys) <= set(found)

        wait_until(all_arrived, f"{len(keys)} dispatches")
        assert set(found) == set(keys)
        assert parked(reader) == 0

    def test_5_the_table_outlives_the_stack(self, reader: Reader) -> None:
        cloudformation = reader.aws.client("cloudformation")
        cloudformation.delete_stack(StackName=FUNCTION)
        waiter = cloudformation.get_waiter("stack_delete_complete")
        waiter.wait(StackName=FUNCTION, WaiterConfig={"Delay": 1})

        found = reader.aws.client("dynamodb").get_item(
            TableName="lava.myrealm.s3triggers", Key={"trigger_id": {"S": "orders"}}
        )
        assert found["Item"]["prefix"] == {"S": FOLDER}
        functions = reader.aws.client("lambda").list_functions()["Functions"]
        assert FUNCTION not in [each["FunctionName"] for each in functions]
