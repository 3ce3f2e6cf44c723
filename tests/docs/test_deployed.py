"""The AWS commands of the pages do what the pages say, one after the other, on a local AWS."""

import json
from collections.abc import Iterator
from typing import Final

import pytest

from tools.local.server import CHECKOUT, LocalAws

from .pages import (
    CONNECTING,
    OPERATING,
    README,
    TRIGGERS,
    code,
    fenced,
    first_trigger,
    section,
    tables,
)
from .reader import Reader

pytestmark = [pytest.mark.e2e, pytest.mark.slow("runs the AWS CLI many times on a stack")]

OWN_QUEUE: Final = "arn:aws:sqs:us-east-1:000000000000:my-events"
UNDELIVERED: Final = "arn:aws:sqs:us-east-1:000000000000:lava-myrealm-s3trigger-dlq"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who has deployed the stack and made the first trigger; the names are set."""
    with LocalAws(auth=True) as aws:
        reader = Reader(aws, tmp_path_factory.mktemp("reader"))
        reader.realm.make(["core"])
        aws.deploy(
            CHECKOUT / "template.yaml",
            CHECKOUT / "build" / "package",
            "lava-myrealm-s3trigger",
            {"Realm": "myrealm", "CacheTtl": "0"},
        )
        aws.client("s3").create_bucket(Bucket="my-bucket")
        look, names = fenced(section(CONNECTING, "Before you start"), "sh")
        reader.know(names, look)
        names, job, trigger, *_ = fenced(section(README, "A first trigger"), "sh")
        # The bucket of the pages is there.
        reader.run(names, *job.partition("\n")[2:], trigger)
        reader.run(names, "lava-s3trigger disconnect $bucket --realm $realm --yes")
        yield reader


class TestCommands:
    """The commands of the pages do what the pages say, one after the other."""

    def connects(self, reader: Reader, heading: str) -> None:
        """Run the commands that connect a bucket, and see that an object causes its dispatch."""
        blocks = fenced(section(CONNECTING, heading), "sh")
        reader.run(*[each for each in blocks if "start-message-move-task" not in each])
        key = f"incoming/orders/2026-03-14/{heading.replace(' ', '')}.csv"
        reader.put(key)
        reader.dispatched(key)

    def keeps_undelivered_events(self, reader: Reader, rule: str) -> None:
        """Check that the target of a rule has the dead-letter queue of the function."""
        [target] = reader.aws.client("events").list_targets_by_rule(Rule=rule)["Targets"]
        assert target["DeadLetterConfig"] == {"Arn": UNDELIVERED}

    @pytest.mark.parametrize("heading", ["S3", "SNS", "SQS"])
    def test_a_bucket_is_connected(self, reader: Reader, heading: str) -> None:
        self.connects(reader, heading)

    def test_undelivered_events_of_a_topic_are_kept(self, reader: Reader) -> None:
        sns = reader.aws.client("sns")
        arns = [each["SubscriptionArn"] for each in sns.list_subscriptions()["Subscriptions"]]
        assert arns
        for arn in arns:
            attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
            assert json.loads(attributes["RedrivePolicy"]) == {"deadLetterTargetArn": UNDELIVERED}

    def test_a_bucket_is_connected_by_eventbridge(self, reader: Reader) -> None:
        self.connects(reader, "EventBridge")
        self.keeps_undelivered_events(reader, "lava.myrealm.orders")

    def test_your_own_queue_is_connected(self, reader: Reader) -> None:
        self.connects(reader, "A queue of your own")
        sqs = reader.aws.client("sqs")
        url = sqs.get_queue_url(QueueName="my-events")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
        statements = json.loads(attributes["Attributes"]["Policy"])["Statement"]
        services = [each["Principal"]["Service"].partition(".")[0] for each in statements]
        assert services == ["s3", "sns", "events"]
        mappings = reader.aws.client("lambda").list_event_source_mappings(EventSourceArn=OWN_QUEUE)
        [mapping] = mappings["EventSourceMappings"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]

    def test_a_topic_and_a_queue_are_connected(self, reader: Reader) -> None:
        self.connects(reader, "S3 → SNS → SQS")

    def test_a_rule_and_a_queue_are_connected(self, reader: Reader) -> None:
        events = reader.aws.client("events")
        events.remove_targets(Rule="lava.myrealm.orders", Ids=["s3trigger"])
        self.connects(reader, "EventBridge → SQS")
        self.keeps_undelivered_events(reader, "my-events")

    def test_a_trigger_is_tested_by_the_script(self, reader: Reader) -> None:
        s3 = reader.aws.client("s3")
        s3.put_bucket_notification_configuration(Bucket="my-bucket", NotificationConfiguration={})
        for each in s3.list_objects_v2(Bucket="my-bucket")["Contents"]:
            s3.delete_object(Bucket="my-bucket", Key=each["Key"])
        reader.put("incoming/orders/2026-03-14/script.csv")
        printed = reader.run(*fenced(section(CONNECTING, "Test a trigger"), "sh"))
        assert '"key":"incoming/orders/2026-03-14/script.csv"' in printed
        assert "payload 1 of 1 accepted" in printed
        reader.dispatched("incoming/orders/2026-03-14/script.csv")

    def test_a_parked_message_is_seen_and_runs_again(self, reader: Reader) -> None:
        trigger, job, _ = first_trigger()
        late = {"trigger_id": {"S": "late"}, "prefix": {"S": "late"}, "job_id": {"S": "late_job"}}
        dynamodb, function = reader.aws.client("dynamodb"), reader.aws.client("lambda")
        dynamodb.put_item(TableName="lava.myrealm.s3triggers", Item=trigger | late)
        event = json.loads((CHECKOUT / "events" / "s3-created.json").read_text())
        event["Records"][0]["s3"]["object"]["key"] = "late/2026-03-14/x.csv"
        function.invoke(FunctionName="lava-myrealm-s3trigger", Payload=json.dumps(event))
        # The local server makes the mapping enabled, though the template says otherwise.
        names = {"FunctionName": "lava-myrealm-s3trigger", "EventSourceArn": UNDELIVERED}
        [mapping] = function.list_event_source_mappings(**names)["EventSourceMappings"]
        function.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        [commands] = fenced(section(TRIGGERS, "Parking"), "sh")
        explain, redrive = commands.splitlines()
        # Its exit status says that a message waits.
        assert "comes back: no job 'late_job' in lava.myrealm.jobs" in reader.run(
            f"{explain} || test $? = 1"
        )

        dynamodb.put_item(TableName="lava.myrealm.jobs", Item=job | {"job_id": {"S": "late_job"}})
        reader.run(f"{redrive} --quiet 20")
        reader.dispatched("late/2026-03-14/x.csv")

    def test_alarms_are_set(self, reader: Reader) -> None:
        reader.run(*fenced(section(OPERATING, "Alarms"), "sh"))
        alarms = reader.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
        names = {each["AlarmName"].removeprefix("lava-myrealm-s3trigger-") for each in alarms}
        assert names == {code(row[0]) for row in tables(section(OPERATING, "Alarms"))[0]}
        assert all(each["TreatMissingData"] == "notBreaching" for each in alarms)
        filters = reader.aws.client("logs").describe_metric_filters()["metricFilters"]
        assert [each["filterPattern"] for each in filters] == ['{ $.level = "ERROR" }']

    def test_the_function_stops_and_resumes(self, reader: Reader) -> None:
        client, name = reader.aws.client("lambda"), "lava-myrealm-s3trigger"
        stop, resume = fenced(section(OPERATING, "Stop and resume"), "sh")
        reader.run(stop)
        found = client.get_function_concurrency(FunctionName=name)
        assert found["ReservedConcurrentExecutions"] == 0
        reader.run(resume)
        assert "Reserved" not in str(client.get_function_concurrency(FunctionName=name))
