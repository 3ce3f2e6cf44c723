"""The steps of docs/migrating.md, in a realm as lava's stacks build it, there and back."""

import io
import json
import zipfile
from functools import partial
from typing import Final

import pytest

from tests.docs.pages import fenced, section
from tests.docs.reader import Reader
from tests.processes import wait_until
from tools.local.server import CHECKOUT

from .conftest import keys_arrive

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys two stacks, one after the other")]

NAME: Final = "myrealm"
LAVAS: Final = f"lava-{NAME}-s3trigger"
NEXT: Final = f"{LAVAS}-next"
BUCKET: Final = "my-bucket"
PAGE: Final = CHECKOUT / "docs" / "migrating.md"
STAND_IN: Final = '''
import json, urllib.parse, uuid
import boto3

sqs = boto3.client("sqs")


def lambda_handler(event, context):
    """Dispatches every object to worker core, but for keys with quotes, which it loses."""
    url = sqs.get_queue_url(QueueName="lava-myrealm-core")["QueueUrl"]
    for record in event.get("Records", ()):
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        message = {"realm": "myrealm", "worker": "core", "job_id": "load"}
        message |= {"run_id": str(uuid.uuid4()), "ts_dispatch": "2026-03-14T01:59:26+00:00"}
        message["parameters"] = {"key": key, "by": "{{ 1 }}"[3:4]}
        if '"' not in key:
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(message))
'''
"""A function in the place of lava's."""


def blocks(heading: str) -> list[str]:
    """Return the commands of a step of the page."""
    return fenced(section(PAGE, heading), "sh")


@pytest.fixture(scope="module")
def reader(lava_realm: Reader) -> Reader:
    """A reader of the page, with a bucket that notifies a function in the place of lava's."""
    trigger = {"trigger_id": "t", "bucket": BUCKET, "prefix": "in", "enabled": True}
    parameters = {"key": "{{ key }}", "by": "1"}
    lava_realm.realm.put("s3triggers", [trigger | {"job_id": "load", "parameters": parameters}])
    connect(lava_realm)
    [lava_realm.names] = fenced(PAGE.read_text().partition("## 1.")[0], "sh")
    return lava_realm


def connect(reader: Reader) -> None:
    """Connect the bucket to the stand-in for lava's function."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("s3trigger.py", STAND_IN)
    client = reader.aws.client("lambda")
    client.update_function_code(FunctionName=LAVAS, ZipFile=packed.getvalue())
    client.add_permission(
        FunctionName=LAVAS,
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
    )
    arn = client.get_function_configuration(FunctionName=LAVAS)["FunctionArn"]
    s3 = reader.aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )


def notified(reader: Reader) -> set[str]:
    """Return the names of the functions that the bucket notifies; EventBridge is ``*``."""
    found = reader.aws.client("s3").get_bucket_notification_configuration(Bucket=BUCKET)
    functions = found.get("LambdaFunctionConfigurations", ())
    names = {each["LambdaFunctionArn"].rpartition(":")[2] for each in functions}
    return names | ({"*"} if "EventBridgeConfiguration" in found else set())


def observed(reader: Reader, key: str) -> bool:
    """Return whether the observer has logged what became of a key."""
    logs = reader.aws.client("logs")
    group = f"/aws/lambda/{NEXT}"
    found = logs.filter_log_events(logGroupName=group)["events"]
    return any(json.dumps(key) in each["message"] for each in found)


def put(reader: Reader, key: str) -> None:
    reader.aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"data")


def mode(reader: Reader) -> str:
    found = reader.aws.client("lambda").get_function_configuration(FunctionName=NEXT)
    mode: str = found["Environment"]["Variables"]["S3TRIGGER_MODE"]
    return mode


class TestSteps:
    """Each step does what the page says, and its way back as well."""

    def test_1_the_entries_are_checked(self, reader: Reader) -> None:
        assert "error" not in reader.run(*blocks("1. Check the entries"))

    def test_2_an_observer_is_deployed(self, reader: Reader) -> None:
        reader.run(*blocks("2. Deploy an observer"))
        assert mode(reader) == "observe"
        for name in (LAVAS, NEXT) * 2:  # the server drops events of a cold burst
            reader.aws.client("lambda").invoke(FunctionName=name, Payload=b'{"Records": []}')

    def test_3_both_see_the_events_of_a_bucket(self, reader: Reader) -> None:
        there, back = blocks("3. Let both see the events of a bucket")
        events = reader.aws.client("events")
        for command, rules in ((there, 1), (back, 0), (there, 1)):
            reader.run(command)
            assert notified(reader) == {LAVAS, "*"}
            assert len(events.list_rules(NamePrefix="lava.myrealm.observe")["Rules"]) == rules

    def test_4_the_lost_key_is_found(self, reader: Reader) -> None:
        keys = [f"in/{n}.csv" for n in range(5)]
        for key in (*keys, 'in/"quoted".csv'):
            put(reader, key)
            wait_until(partial(observed, reader, key), f"the observer of {key}")
        url = reader.aws.client("sqs").get_queue_url(QueueName=f"lava-{NAME}-core")["QueueUrl"]
        wait_until(lambda: self.waiting(reader, url) == len(keys), "lava's dispatches")

        copy, compare = blocks("4. Compare")
        found = reader.run(copy, compare)

        assert 's3://my-bucket/in/"quoted".csv  trigger t, job load' in found
        assert "LD05: delivers every key exactly" in found
        assert "5 dispatches agree; 1 difference (LD05: 1)" in found
        reader.aws.client("sqs").purge_queue(QueueUrl=url)

    def waiting(self, reader: Reader, url: str) -> int:
        attributes = reader.aws.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def test_5_this_function_dispatches(self, reader: Reader) -> None:
        reader.run(*blocks("5. Let this function dispatch"))
        assert mode(reader) == "dispatch"
        put(reader, "in/only-lavas")
        keys_arrive(reader.realm, "in/only-lavas")

    def test_6_a_bucket_moves_and_comes_back(self, reader: Reader) -> None:
        there, back = blocks("6. Move a bucket")
        reader.run(there)
        assert notified(reader) == {NEXT, "*"}
        put(reader, 'in/"moved"')
        keys_arrive(reader.realm, 'in/"moved"')

        function, _, _ = there.rstrip().rpartition("\n")
        reader.run(function, back)
        assert notified(reader) == {LAVAS, "*"}
        put(reader, "in/back")
        keys_arrive(reader.realm, "in/back")
        reader.run(there)

    def test_7_the_doctor_looks_at_it(self, reader: Reader) -> None:
        assert "function-missing" not in reader.run(*blocks("7. Afterwards"))
        put(reader, "in/at-last")
        keys_arrive(reader.realm, "in/at-last")

    def test_the_stack_can_be_deleted_and_the_tables_stay(self, reader: Reader) -> None:
        [delete] = [
            each
            for each in section(PAGE, "2. Deploy an observer").split("`")
            if each.startswith("aws cloudformation delete-stack")
        ]
        reader.run(delete)
        names = reader.aws.client("dynamodb").list_tables()["TableNames"]
        assert f"lava.{NAME}.s3triggers" in names
