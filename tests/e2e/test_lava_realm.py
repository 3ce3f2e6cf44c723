"""A realm as lava's stacks build it, with this function's zip in the place of lava's."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.build import direct, record
from tests.docs.pages import fenced, section
from tests.processes import wait_until
from tools.local.server import ACCOUNT, CHECKOUT, REGION

from .conftest import JOB, keys_arrive

if TYPE_CHECKING:
    from tests.docs.reader import Reader

pytestmark = [pytest.mark.e2e, pytest.mark.slow("deploys lava's realm")]

NAME: Final = "myrealm"
LAVAS: Final = f"lava-{NAME}-s3trigger"
PAGE: Final = CHECKOUT / "docs" / "migrating.md"


@pytest.fixture(scope="module")
def reader(lava_realm: Reader) -> Reader:
    """A reader of the pages, in a realm with a trigger, and one whose job is missing."""
    lava_realm.names = f"realm={NAME}"
    trigger = {"bucket": "b", "enabled": True, "parameters": {"key": "{{ key }}"}}
    lava_realm.realm.put(
        "s3triggers",
        [
            trigger | {"trigger_id": "good", "prefix": "good", "job_id": "load"},
            trigger | {"trigger_id": "late", "prefix": "late", "job_id": "late"},
        ],
    )
    return lava_realm


def invoke(reader: Reader, function: str, key: str) -> Any:
    """Invoke a function with the S3 event of an object; return its answer."""
    answer = reader.aws.client("lambda").invoke(
        FunctionName=function, Payload=json.dumps(direct(record(key, bucket="b")))
    )
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read())


def waiting(reader: Reader, queue: str) -> list[Any]:
    """Return the messages of a queue, which stay there."""
    sqs = reader.aws.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [json.loads(each["Body"]) for each in answer.get("Messages", ())]


@pytest.fixture(scope="module")
def in_its_place(reader: Reader) -> str:
    """The function in the place of lava's; what the steps and the check print."""
    (reader.folder / "build").symlink_to(CHECKOUT / "build")
    blocks = fenced(section(PAGE, "In its place"), "sh")
    # The package exists; building it anew is not what is tested here.
    return reader.run("make() { test -d build/package; }", *blocks)


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
        [mapping] = self.mappings(reader)
        assert mapping["State"] == "Disabled"
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
        groups = reader.aws.client("logs").describe_log_groups()["logGroups"]
        retention = {each["logGroupName"]: each.get("retentionInDays") for each in groups}
        assert retention[f"/aws/lambda/{LAVAS}"] == 30

    def test_an_event_is_dispatched(self, reader: Reader) -> None:
        invoke(reader, LAVAS, "good/2")
        keys_arrive(reader.realm, "good/2")

    def test_a_user_error_is_parked_and_redriven(self, reader: Reader) -> None:
        invoke(reader, LAVAS, "late/3")
        [parked] = waiting(reader, f"{LAVAS}-dlq")
        assert parked["parked"]["trigger_id"] == "late"

        reader.realm.put("jobs", [JOB | {"job_id": "late"}])
        self.redrive(reader)
        keys_arrive(reader.realm, "late/3")

    def test_an_event_that_fails_is_kept(self, reader: Reader) -> None:
        event = {"this is": "no S3 event"}
        reader.aws.client("lambda").invoke(
            FunctionName=LAVAS, InvocationType="Event", Payload=json.dumps(event)
        )
        wait_until(lambda: waiting(reader, f"{LAVAS}-dlq"), "the dead letter")
        [found] = waiting(reader, f"{LAVAS}-dlq")
        # The local server writes the record of a destination; AWS writes the event alone.
        assert found.get("requestPayload", found) == event

    def mappings(self, reader: Reader) -> Any:
        client = reader.aws.client("lambda")
        return client.list_event_source_mappings(FunctionName=LAVAS)["EventSourceMappings"]

    def redrive(self, reader: Reader) -> None:
        """Enable the mapping until the dead-letter queue is empty."""
        [mapping] = self.mappings(reader)
        client = reader.aws.client("lambda")
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
        wait_until(lambda: not waiting(reader, f"{LAVAS}-dlq"), "an empty dead-letter queue")
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
