"""docs/migrating.md, in a realm as lava's stacks build it: the steps, there and back; in place."""

import io
import json
import re
import zipfile
from functools import partial
from typing import Any, Final

import pytest

from tests.build import direct, record, trigger_entry
from tests.docs.pages import fenced, section
from tests.docs.reader import Reader
from tests.processes import wait_until
from tools.local.server import ACCOUNT, CHECKOUT, REGION

from .conftest import JOB, keys_arrive

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
    entry = trigger_entry(bucket=BUCKET, parameters={"key": "{{ key }}", "by": "1"})
    lava_realm.realm.put("s3triggers", [entry])
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
    by_s3 = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    client.add_permission(FunctionName=LAVAS, StatementId="s3", **by_s3)
    arn = client.get_function_configuration(FunctionName=LAVAS)["FunctionArn"]
    notification = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3 = reader.aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={"LambdaFunctionConfigurations": [notification]},
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
    found = logs.filter_log_events(logGroupName=f"/aws/lambda/{NEXT}")["events"]
    return any(json.dumps(key) in each["message"] for each in found)


def mode(reader: Reader) -> str:
    found = reader.aws.client("lambda").get_function_configuration(FunctionName=NEXT)
    return str(found["Environment"]["Variables"]["S3TRIGGER_MODE"])


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
            reader.put(key)
            wait_until(partial(observed, reader, key), f"the observer of {key}")
        queue = f"lava-{NAME}-core"
        wait_until(lambda: reader.waiting(queue) == len(keys), "lava's dispatches")

        copy, compare = blocks("4. Compare")
        found = reader.run(copy, compare)

        assert 's3://my-bucket/in/"quoted".csv  trigger t, job load' in found
        assert "LD05: delivers every key exactly" in found
        assert "5 dispatches agree; 1 difference (LD05: 1)" in found
        reader.aws.client("sqs").purge_queue(QueueUrl=reader.queue_url(queue))

    def test_5_this_function_dispatches(self, reader: Reader) -> None:
        reader.run(*blocks("5. Let this function dispatch"))
        assert mode(reader) == "dispatch"
        reader.put("in/only-lavas")
        keys_arrive(reader.realm, "in/only-lavas")

    def test_6_a_bucket_moves_and_comes_back(self, reader: Reader) -> None:
        there, back = blocks("6. Move a bucket")
        reader.run(there)
        assert notified(reader) == {NEXT, "*"}
        reader.put('in/"moved"')
        keys_arrive(reader.realm, 'in/"moved"')

        function, _, _ = there.rstrip().rpartition("\n")
        reader.run(function, back)
        assert notified(reader) == {LAVAS, "*"}
        reader.put("in/back")
        keys_arrive(reader.realm, "in/back")
        reader.run(there)

    def test_7_the_doctor_looks_at_it(self, reader: Reader) -> None:
        assert "function-missing" not in reader.run(*blocks("7. Afterwards"))
        reader.put("in/at-last")
        keys_arrive(reader.realm, "in/at-last")

    def test_the_stack_can_be_deleted_and_the_tables_stay(self, reader: Reader) -> None:
        parts = section(PAGE, "2. Deploy an observer").split("`")
        [delete] = [each for each in parts if each.startswith("aws cloudformation delete-stack")]
        reader.run(delete)
        names = reader.aws.client("dynamodb").list_tables()["TableNames"]
        assert f"lava.{NAME}.s3triggers" in names


def invoke(reader: Reader, key: str) -> None:
    """Invoke the function in the place of lava's with the S3 event of an object."""
    payload = json.dumps(direct(record(key, bucket="b")))
    answer = reader.aws.client("lambda").invoke(FunctionName=LAVAS, Payload=payload)
    assert "FunctionError" not in answer, answer["Payload"].read()


def dead_letters(reader: Reader) -> list[Any]:
    """Return the messages of the dead-letter queue, which stay there."""
    answer = reader.aws.client("sqs").receive_message(
        QueueUrl=reader.queue_url(f"{LAVAS}-dlq"), MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return [json.loads(each["Body"]) for each in answer.get("Messages", ())]


@pytest.fixture(scope="module")
def in_its_place(reader: Reader) -> str:
    """The function in the place of lava's; what the steps and the check print."""
    for name, job in (("good", "load"), ("late", "late")):
        parameters = {"key": "{{ key }}"}
        entry = trigger_entry(name, name, bucket="b", job_id=job, parameters=parameters)
        reader.realm.put("s3triggers", [entry])
    (reader.folder / "build").symlink_to(CHECKOUT / "build")
    # The package exists; building it again is not what is tested here.
    return reader.run("make() { test -d build/package; }", *blocks("In its place"))


@pytest.mark.usefixtures("in_its_place")
class TestInItsPlace:
    """The page's steps end with a function that loses nothing."""

    def test_the_check_prints_the_settings_of_the_page(self, in_its_place: str) -> None:
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{LAVAS}-dlq"
        printed = re.search(r'^\[\s+"python.*?^\]', in_its_place, re.MULTILINE | re.DOTALL)
        assert printed
        assert json.loads(printed[0]) == ["python3.13", 512, 60, queue, f"{LAVAS}-dlq"]
        assert f"{queue}\tReportBatchItemFailures\n" in in_its_place

    def test_all_that_the_page_sets_is_set(self, reader: Reader) -> None:
        client = reader.aws.client("lambda")
        environment = client.get_function_configuration(FunctionName=LAVAS)["Environment"]
        assert environment["Variables"] == {
            "LAVA_REALM": NAME,
            "LOGLEVEL": "info",
            "S3TRIGGER_DEAD_LETTER_QUEUE": f"{LAVAS}-dlq",
        }
        invocations = client.get_function_event_invoke_config(FunctionName=LAVAS)
        assert invocations["MaximumRetryAttempts"] == 2
        assert invocations["MaximumEventAgeInSeconds"] == 6 * 3600
        mapping = self.mapping(reader)
        assert mapping["State"] == "Disabled"
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
        groups = reader.aws.client("logs").describe_log_groups()["logGroups"]
        retention = {each["logGroupName"]: each.get("retentionInDays") for each in groups}
        assert retention[f"/aws/lambda/{LAVAS}"] == 30

    def test_an_event_is_dispatched(self, reader: Reader) -> None:
        invoke(reader, "good/2")
        keys_arrive(reader.realm, "good/2")

    def test_a_user_error_is_parked_and_redriven(self, reader: Reader) -> None:
        invoke(reader, "late/3")
        [parked] = dead_letters(reader)
        assert parked["parked"]["trigger_id"] == "late"

        reader.realm.put("jobs", [JOB | {"job_id": "late"}])
        client, uuid = reader.aws.client("lambda"), self.mapping(reader)["UUID"]
        client.update_event_source_mapping(UUID=uuid, Enabled=True)
        wait_until(lambda: not dead_letters(reader), "an empty dead-letter queue")
        client.update_event_source_mapping(UUID=uuid, Enabled=False)
        keys_arrive(reader.realm, "late/3")

    def test_an_event_that_fails_is_kept(self, reader: Reader) -> None:
        event = {"this is": "no S3 event"}
        reader.aws.client("lambda").invoke(
            FunctionName=LAVAS, InvocationType="Event", Payload=json.dumps(event)
        )
        wait_until(lambda: dead_letters(reader), "the dead letter")
        [found] = dead_letters(reader)
        # The local server writes the record of a destination; AWS writes the event alone.
        assert found.get("requestPayload", found) == event

    def mapping(self, reader: Reader) -> Any:
        found = reader.aws.client("lambda").list_event_source_mappings(FunctionName=LAVAS)
        [mapping] = found["EventSourceMappings"]
        return mapping
