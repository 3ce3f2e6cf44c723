"""`doctor`: a sound stack has no finding; each fault is found, and mended by its own command."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from lava_s3trigger import __version__
from lava_s3trigger.cli import commands
from lava_s3trigger.cli.doctor.registry import CHECKS
from tests.cli.schemas import validate
from tools import pages
from tools.local.connections import Connections
from tools.local.realm import Realm
from tools.local.server import ACCESS_KEY, CHECKOUT, REGION, SECRET_KEY, LocalAws

from .conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.slow("breaks the stack in every way that doctor finds")]

REALM: Final = "doc"
FUNCTION: Final = f"lava-{REALM}-s3trigger"
JOB: Final = {"job_id": "load", "type": "exe", "worker": "core", "payload": "x", "enabled": True}
AWS: Final = Path(sys.executable).with_name("aws")
ALARM_TOPIC: Final = f"arn:aws:sns:{REGION}:000000000000:alarms"
EVENTS: Final = ["s3:ObjectCreated:*"]


@dataclass
class Patient:
    """A deployed realm that is looked at."""

    aws: LocalAws
    realm: Realm
    outputs: dict[str, str]

    def environment(self, key: str = ACCESS_KEY, secret: str = SECRET_KEY) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_ENDPOINT_URL": self.aws.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "LAVA_REALM": REALM,
            "NO_PROXY": "127.0.0.1",
        }

    def doctor(self, *arguments: str, **credentials: str) -> tuple[int, str]:
        """Run the command; return its exit status and its output."""
        environment = self.environment(**credentials)
        done = CliRunner().invoke(
            commands, ["doctor", *arguments], env=environment, standalone_mode=False
        )
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        status = done.return_value if done.return_value is not None else done.exit_code
        return status, done.stdout

    def found(self, *arguments: str, **credentials: str) -> dict[str, Any]:
        """Return the JSON of the command."""
        _, text = self.doctor("--format", "json", *arguments, **credentials)
        found: dict[str, Any] = json.loads(text)
        validate("doctor", found)
        return found

    def findings(self, *arguments: str) -> list[dict[str, Any]]:
        found = self.found(*arguments)
        assert found["unreadable"] == []
        findings: list[dict[str, Any]] = found["findings"]
        return findings

    def mend(self, finding: dict[str, Any]) -> None:
        """Run the command of a finding in a shell, as a reader does."""
        function = f'aws() {{ {AWS} --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }}\n'
        done = subprocess.run(
            ["bash", "-e", "-c", function + finding["command"]],
            env={
                **os.environ,
                **self.environment(),
                "AWS_PAGER": "",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (finding["command"], done.stderr)

    def variables(self, **changes: str | None) -> None:
        """Change environment variables of the function; None takes one away."""
        client = self.aws.client("lambda")
        found = client.get_function_configuration(FunctionName=FUNCTION)["Environment"]["Variables"]
        merged = {name: value for name, value in {**found, **changes}.items() if value is not None}
        client.update_function_configuration(
            FunctionName=FUNCTION, Environment={"Variables": merged}
        )

    def log_start(self, version: str) -> None:
        """Log what an instance does when it starts, as the server does not keep logs."""
        logs, group, stream = self.aws.client("logs"), f"/aws/lambda/{FUNCTION}", uuid.uuid4().hex
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        line = json.dumps({"level": "INFO", "event": "started", "version": version})
        event = {"timestamp": int(time.time() * 1000), "message": line}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    def mapping(self, queue: str) -> dict[str, Any]:
        answer = self.aws.client("lambda").list_event_source_mappings(FunctionName=FUNCTION)
        [found] = [
            each
            for each in answer["EventSourceMappings"]
            if each["EventSourceArn"].endswith(f":{queue}")
        ]
        return dict(found)

    def url(self, queue: str) -> str:
        return str(self.aws.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"])

    def trigger(self, trigger_id: str, bucket: str, prefix: str = "*", **fields: Any) -> None:
        entry = {"trigger_id": trigger_id, "bucket": bucket, "prefix": prefix, "enabled": True}
        self.realm.put("s3triggers", [entry | {"job_id": "load"} | fields])

    def notify(self, bucket: str, **configuration: Any) -> None:
        self.aws.client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )


@pytest.fixture(scope="module")
def patient() -> Iterator[Patient]:
    """A sound realm, with a bucket on each route."""
    with LocalAws(auth=True) as aws:
        realm = Realm(aws, REALM)
        realm.make(["core"])
        realm.put("jobs", [JOB])
        outputs = aws.deploy(
            CHECKOUT / "template.yaml",
            CHECKOUT / "build" / "package",
            FUNCTION,
            {
                "Realm": REALM,
                "CreateIntake": "true",
                "CreateDedupTable": "true",
                "AlarmTopicArn": ALARM_TOPIC,
            },
        )
        found = Patient(aws, realm, outputs)
        found.log_start(__version__)
        # The server leaves these out of the stack.
        aws.client("dynamodb").update_time_to_live(
            TableName=outputs["DedupTableName"],
            TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
        )
        aws.client("lambda").update_function_configuration(
            FunctionName=FUNCTION,
            DeadLetterConfig={"TargetArn": outputs["DeadLetterQueueArn"]},
        )
        aws.client("lambda").update_event_source_mapping(
            UUID=outputs["RedriveMappingId"], Enabled=False
        )
        connections = Connections(aws, REALM, outputs["FunctionArn"])
        connections.by_s3("by-s3")
        connections.by_sqs("by-sqs", outputs["IntakeQueueArn"])
        connections.by_sns("by-sns")
        connections.by_eventbridge("by-eventbridge")
        for bucket in ("by-s3", "by-sqs", "by-sns", "by-eventbridge"):
            found.trigger(bucket, bucket)
        found.trigger("elsewhere", "no-bucket-yet", enabled=False)
        yield found


def test_a_sound_stack_has_no_finding(patient: Patient) -> None:
    status, text = patient.doctor()

    assert text == f"{FUNCTION}: nothing wrong was found\n"
    assert status == 0


# --- Faults ---------------------------------------------------------------------------------


Plant = "Callable[[Patient], None]"


def _no_concurrency(patient: Patient) -> None:
    patient.aws.client("lambda").put_function_concurrency(
        FunctionName=FUNCTION, ReservedConcurrentExecutions=0
    )


def _no_dead_letters(patient: Patient) -> None:
    patient.aws.client("lambda").update_function_configuration(
        FunctionName=FUNCTION, DeadLetterConfig={"TargetArn": ""}
    )


def _no_invoker(service: str) -> Callable[[Patient], None]:
    def plant(patient: Patient) -> None:
        client = patient.aws.client("lambda")
        for each in json.loads(client.get_policy(FunctionName=FUNCTION)["Policy"])["Statement"]:
            if each["Principal"] == {"Service": f"{service}.amazonaws.com"}:
                client.remove_permission(FunctionName=FUNCTION, StatementId=each["Sid"])

    return plant


def _less_permissions(patient: Patient) -> None:
    iam, role = patient.aws.client("iam"), patient.outputs["RoleArn"].rpartition("/")[2]
    document = iam.get_role_policy(RoleName=role, PolicyName="s3trigger")["PolicyDocument"]
    kept = [each for each in document["Statement"] if each["Sid"] != "GetJobs"]
    iam.put_role_policy(
        RoleName=role,
        PolicyName="s3trigger",
        PolicyDocument=json.dumps({**document, "Statement": kept}),
    )


def _wide_role(patient: Patient) -> None:
    iam, role = patient.aws.client("iam"), patient.outputs["RoleArn"].rpartition("/")[2]
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    iam.put_role_policy(
        RoleName=role,
        PolicyName="more",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement}),
    )


def _managed_role(patient: Patient) -> None:
    iam, role = patient.aws.client("iam"), patient.outputs["RoleArn"].rpartition("/")[2]
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    made = iam.create_policy(
        PolicyName="everything",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    iam.attach_role_policy(RoleName=role, PolicyArn=made["Policy"]["Arn"])


def _role_beside(patient: Patient) -> None:
    iam, role = patient.aws.client("iam"), patient.outputs["RoleArn"].rpartition("/")[2]
    table = f"arn:aws:dynamodb:{REGION}:000000000000:table/lava.{REALM}.jobs"
    statement = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": table}
    iam.put_role_policy(
        RoleName=role,
        PolicyName="writes",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement}),
    )


def _delete_queue(name: str) -> Callable[[Patient], None]:
    return lambda patient: patient.aws.client("sqs").delete_queue(QueueUrl=patient.url(name))


def _attribute(queue: str, name: str, value: str) -> Callable[[Patient], None]:
    return lambda patient: patient.aws.client("sqs").set_queue_attributes(
        QueueUrl=patient.url(queue), Attributes={name: value}
    )


def _mapping(queue: str, **changes: Any) -> Callable[[Patient], None]:
    return lambda patient: patient.aws.client("lambda").update_event_source_mapping(
        UUID=patient.mapping(queue)["UUID"], **changes
    )


def _no_redrive(patient: Patient) -> None:
    uuid = patient.mapping(f"{FUNCTION}-dlq")["UUID"]
    patient.aws.client("lambda").delete_event_source_mapping(UUID=uuid)


def _delete_table(kind: str) -> Callable[[Patient], None]:
    return lambda patient: patient.aws.client("dynamodb").delete_table(
        TableName=f"lava.{REALM}.{kind}"
    )


def _no_index(patient: Patient) -> None:
    dynamodb, name = patient.aws.client("dynamodb"), f"lava.{REALM}.s3triggers"
    dynamodb.delete_table(TableName=name)
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "trigger_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "trigger_id", "KeyType": "HASH"}],
    )


def _no_time_to_live(patient: Patient) -> None:
    patient.aws.client("dynamodb").update_time_to_live(
        TableName=f"lava.{REALM}.s3trigger-dedup",
        TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires"},
    )


def _no_bucket(patient: Patient) -> None:
    patient.trigger("typo", "by-s3x")


def _not_connected(patient: Patient) -> None:
    patient.notify("by-s3")


def _twice(patient: Patient) -> None:
    arns = [patient.outputs[name] for name in ("FunctionArn", "IntakeQueueArn")]
    patient.notify(
        "by-s3",
        LambdaFunctionConfigurations=[{"LambdaFunctionArn": arns[0], "Events": EVENTS}],
        QueueConfigurations=[{"QueueArn": arns[1], "Events": ["s3:ObjectCreated:Put"]}],
    )


def _twice_by_rule(patient: Patient) -> None:
    patient.notify(
        "by-eventbridge",
        EventBridgeConfiguration={},
        LambdaFunctionConfigurations=[
            {"LambdaFunctionArn": patient.outputs["FunctionArn"], "Events": EVENTS}
        ],
    )


def _filtered(name: str, value: str, events: list[str] = EVENTS) -> Callable[[Patient], None]:
    def plant(patient: Patient) -> None:
        found: dict[str, Any] = {
            "LambdaFunctionArn": patient.outputs["FunctionArn"],
            "Events": events,
        }
        if value:
            found["Filter"] = {"Key": {"FilterRules": [{"Name": name, "Value": value}]}}
        patient.notify("by-s3", LambdaFunctionConfigurations=[found])

    return plant


def _rule(name: str = f"lava.{REALM}.by-eventbridge", **changes: Any) -> Callable[[Patient], None]:
    def plant(patient: Patient) -> None:
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["by-eventbridge"]}}}
        pattern |= changes.pop("pattern", {}) if "pattern" in changes else {}
        events = patient.aws.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        target = {"Id": "s3trigger", "Arn": patient.outputs["FunctionArn"]}
        events.put_targets(Rule=name, Targets=[target | changes])

    return plant


def _rule_off(patient: Patient) -> None:
    patient.aws.client("events").disable_rule(Name=f"lava.{REALM}.by-eventbridge")


def _subscription_filter(patient: Patient) -> None:
    sns = patient.aws.client("sns")
    [subscription] = sns.list_subscriptions()["Subscriptions"]
    sns.set_subscription_attributes(
        SubscriptionArn=subscription["SubscriptionArn"],
        AttributeName="FilterPolicy",
        AttributeValue='{"kind": ["orders"]}',
    )


def _no_publishers(patient: Patient) -> None:
    sns = patient.aws.client("sns")
    [topic] = sns.list_topics()["Topics"]
    sns.set_topic_attributes(
        TopicArn=topic["TopicArn"],
        AttributeName="Policy",
        AttributeValue='{"Version": "2012-10-17", "Statement": []}',
    )


def _key(patient: Patient, queue: str = f"lava-{REALM}-core") -> str:
    """Encrypt a queue with a new key; return its id."""
    key: str = patient.aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    patient.aws.client("sqs").set_queue_attributes(
        QueueUrl=patient.url(queue), Attributes={"KmsMasterKeyId": key}
    )
    return key


def _key_of_nobody(patient: Patient) -> None:
    patient.aws.client("sqs").set_queue_attributes(
        QueueUrl=patient.url(INTAKE), Attributes={"KmsMasterKeyId": str(uuid.uuid4())}
    )


def _disabled_key(patient: Patient) -> None:
    patient.aws.client("kms").disable_key(KeyId=_key(patient))


def _key_to_be_deleted(patient: Patient) -> None:
    patient.aws.client("kms").schedule_key_deletion(KeyId=_key(patient), PendingWindowInDays=7)


def _no_alarm(name: str) -> Callable[[Patient], None]:
    return lambda patient: patient.aws.client("cloudwatch").delete_alarms(
        AlarmNames=[f"{FUNCTION}-{name}"]
    )


def _alarm_without_action(patient: Patient) -> None:
    patient.aws.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{FUNCTION}-lag",
        Namespace="lava",
        MetricName="lag",
        Dimensions=[{"Name": "realm", "Value": REALM}, {"Name": "function", "Value": FUNCTION}],
        ExtendedStatistic="p50",
        Period=300,
        EvaluationPeriods=3,
        Threshold=60,
        ComparisonOperator="GreaterThanThreshold",
    )


def _alarm_off(patient: Patient) -> None:
    patient.aws.client("cloudwatch").disable_alarm_actions(AlarmNames=[f"{FUNCTION}-errors"])


def _queue_without_redrive(patient: Patient) -> None:
    url = patient.aws.client("sqs").create_queue(
        QueueName="own", Attributes={"VisibilityTimeout": "360"}
    )["QueueUrl"]
    patient.aws.client("lambda").create_event_source_mapping(
        FunctionName=FUNCTION,
        EventSourceArn=f"arn:aws:sqs:{REGION}:000000000000:{url.rpartition('/')[2]}",
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )


def _other_queue(patient: Patient) -> str:
    """Make a queue that S3 may send to and the function does not read; return its ARN."""
    arn = f"arn:aws:sqs:{REGION}:000000000000:another-team"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    patient.aws.client("sqs").create_queue(QueueName="another-team", Attributes={"Policy": policy})
    return arn


def _overlapping(patient: Patient) -> None:
    patient.notify(
        "by-s3",
        LambdaFunctionConfigurations=[
            {"LambdaFunctionArn": patient.outputs["FunctionArn"], "Events": EVENTS}
        ],
        QueueConfigurations=[
            {"QueueArn": _other_queue(patient), "Events": ["s3:ObjectCreated:Put"]}
        ],
    )


def _beside_another(patient: Patient) -> None:
    patient.notify(
        "by-s3", QueueConfigurations=[{"QueueArn": _other_queue(patient), "Events": EVENTS}]
    )
    with contextlib.suppress(patient.aws.client("events").exceptions.ResourceNotFoundException):
        patient.aws.client("events").remove_targets(Rule=f"lava.{REALM}.by-s3", Ids=["s3trigger"])


def _unreachable(bucket: str, **fields: Any) -> Callable[[Patient], None]:
    def plant(patient: Patient) -> None:
        if bucket == "by-s3":
            _filtered("prefix", "in/")(patient)
        patient.trigger(f"unreachable-{len(fields)}-{bucket}", bucket, **fields)

    return plant


def _odd_name(patient: Patient) -> None:
    _rule("odd")(patient)
    patient.aws.client("lambda").add_permission(
        FunctionName=FUNCTION,
        StatementId="odd",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=patient.aws.client("events").describe_rule(Name="odd")["Arn"],
    )


def _schedule(patient: Patient) -> None:
    events, name = patient.aws.client("events"), f"lava.{REALM}.hourly"
    events.put_rule(Name=name, ScheduleExpression="rate(1 hour)")
    target = {"Id": "s3trigger", "Arn": patient.outputs["FunctionArn"]}
    events.put_targets(Rule=name, Targets=[target])


INTAKE: Final = f"{FUNCTION}-intake"
FAULTS: Final = [
    ("function-configuration", lambda p: p.variables(S3TRIGGER_CACHE_TTL="soon")),
    ("function-configuration", lambda p: p.variables(LAVA_REALM="other")),
    ("function-throttled", _no_concurrency),
    ("function-dead-letters", _no_dead_letters),
    ("function-parking", lambda p: p.variables(S3TRIGGER_DEAD_LETTER_QUEUE=None)),
    ("function-invokers", _no_invoker("events")),
    ("bucket-not-permitted", _no_invoker("s3")),
    ("topic-not-permitted", _no_invoker("sns")),
    ("role-permissions", _less_permissions),
    ("role-wide", _wide_role),
    ("role-wide", _managed_role),
    ("role-wide", _role_beside),
    ("redrive-left-on", _mapping(f"{FUNCTION}-dlq", Enabled=True)),
    ("dead-letter-retention", _attribute(f"{FUNCTION}-dlq", "MessageRetentionPeriod", "345600")),
    ("dead-letter-retention", _attribute(f"{INTAKE}-dlq", "MessageRetentionPeriod", "345600")),
    ("redrive-policy-missing", _queue_without_redrive),
    ("redrive-policy-missing", _delete_queue(f"{INTAKE}-dlq")),
    ("queue-key", _key),
    ("queue-key", _key_of_nobody),
    ("queue-key-disabled", _disabled_key),
    ("queue-key-disabled", _key_to_be_deleted),
    ("alarm-missing", _no_alarm("dead-letters")),
    ("alarm-missing", _no_alarm("lag")),
    ("alarm-silent", _alarm_without_action),
    ("alarm-silent", _alarm_off),
    ("worker-queue-missing", _delete_queue(f"lava-{REALM}-core")),
    ("visibility-timeout", _attribute(INTAKE, "VisibilityTimeout", "60")),
    ("mapping-partial-responses", _mapping(INTAKE, FunctionResponseTypes=[])),
    ("mapping-disabled", _mapping(INTAKE, Enabled=False)),
    ("redrive-mapping-missing", _no_redrive),
    ("dead-letter-queue-missing", _delete_queue(f"{FUNCTION}-dlq")),
    ("dedup-table-grows", _no_time_to_live),
    ("dedup-table-missing", _delete_table("s3trigger-dedup")),
    ("bucket-missing", _no_bucket),
    ("bucket-not-connected", _not_connected),
    ("bucket-connected-twice", _twice),
    ("bucket-connected-twice", _twice_by_rule),
    ("bucket-filter", _filtered("prefix", "in/")),
    ("bucket-filter", _filtered("suffix", ".csv")),
    ("bucket-filter-encoding", _filtered("prefix", "day=1/a b/")),
    ("bucket-overlap", _overlapping),
    ("bucket-not-connected", _beside_another),
    ("trigger-unreachable", _unreachable("by-s3", prefix="out")),
    ("trigger-unreachable", _unreachable("by-sqs", if_event_type="ObjectCreated:PutObject")),
    ("trigger-unreachable", _unreachable("by-eventbridge", if_event_type="ObjectCreated:Put")),
    ("trigger-unreachable", _unreachable("by-sqs", prefix="p", if_event_type="ObjectTagging:*")),
    ("bucket-filter", _filtered("", "", ["s3:ObjectCreated:Put"])),
    ("rule-disabled", _rule_off),
    (
        "bucket-filter",
        _rule(
            pattern={
                "detail-type": ["Object Created"],
                "detail": {"bucket": {"name": ["by-eventbridge"]}, "reason": ["CopyObject"]},
            }
        ),
    ),
    ("rule-name", _odd_name),
    ("rule-pattern", _schedule),
    ("rule-pattern", _rule(pattern={"detail-type": ["Object Craeted"]})),
    ("rule-pattern", _rule(pattern={"detail": {"buckets": {"name": ["by-eventbridge"]}}})),
    ("rule-transforms", _rule(InputPath="$.detail")),
    ("rule-pattern", _rule(pattern={"source": ["my.app"]})),
    ("rule-not-permitted", _rule("mine")),
    ("subscription-filter", _subscription_filter),
    ("topic-publishers", _no_publishers),
    ("index-missing", _no_index),
    ("table-missing", _delete_table("jobs")),
    ("table-missing", _delete_table("s3triggers")),
]


@pytest.mark.parametrize(
    ("name", "plant"), FAULTS, ids=[f"{n}-{name}" for n, (name, _) in enumerate(FAULTS)]
)
def test_a_fault_is_found_and_mended_by_its_command(
    patient: Patient, name: str, plant: Callable[[Patient], None]
) -> None:
    before = {each["check"] for each in patient.findings()}
    assert name not in before

    plant(patient)

    findings = [each for each in patient.findings() if each["check"] == name]
    assert findings, name
    for finding in findings:
        assert finding["why"]
        assert finding["subject"]
        assert finding["message"]
        patient.mend(finding)
    wait_until(
        lambda: name not in {each["check"] for each in patient.findings()},
        f"{name} to be gone",
    )


def test_dead_letters_are_given_back_and_the_mapping_is_off_again(patient: Patient) -> None:
    patient.aws.client("sqs").send_message(
        QueueUrl=patient.url(f"{FUNCTION}-dlq"), MessageBody='{"Event": "s3:TestEvent"}'
    )
    wait_and_mend(patient, "dead-letters")
    assert patient.mapping(f"{FUNCTION}-dlq")["State"] in {"Disabled", "Disabling"}


def wait_and_mend(patient: Patient, name: str) -> None:
    """Wait for a finding, mend it, and wait until it is gone."""

    def found() -> list[dict[str, Any]]:
        return [each for each in patient.findings() if each["check"] == name]

    wait_until(found, f"{name} to be found")
    patient.mend(found()[0])
    wait_until(lambda: not found(), f"{name} to be gone")


def test_dead_letters_of_the_intake_are_found(patient: Patient) -> None:
    """The server cannot move messages back."""
    target = f"{INTAKE}-dlq"
    patient.aws.client("sqs").send_message(
        QueueUrl=patient.url(target), MessageBody='{"Event": "s3:TestEvent"}'
    )

    wait_until(lambda: _only(patient, "dead-letters"), "dead letters to be found")

    [finding] = _only(patient, "dead-letters")
    assert finding["subject"] == target
    assert finding["message"] == "1 messages wait"
    arn = f"arn:aws:sqs:{REGION}:000000000000:{target}"
    assert finding["command"] == f"aws sqs start-message-move-task --source-arn {arn}"


def _measure(patient: Patient, namespace: str, subject: str, **values: float) -> None:
    """Put metrics of a function or a queue, which on AWS only AWS can."""
    dimension = "FunctionName" if namespace == "AWS/Lambda" else "QueueName"
    patient.aws.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": dimension, "Value": subject}],
                "Value": value,
            }
            for name, value in values.items()
        ],
    )


def _only(patient: Patient, name: str) -> list[dict[str, Any]]:
    return patient.findings("--select", name)


def test_failing_and_throttled_invocations_are_found_from_a_tenth_on(patient: Patient) -> None:
    _measure(patient, "AWS/Lambda", FUNCTION, Errors=9, Throttles=10, Invocations=100)
    assert not _only(patient, "function-failing")
    assert not _only(patient, "function-throttles")

    _measure(patient, "AWS/Lambda", FUNCTION, Errors=1, Throttles=2)

    [failing] = _only(patient, "function-failing")
    assert failing["message"] == "10 of 100 invocations of the last hour failed"
    [throttles] = _only(patient, "function-throttles")
    assert throttles["message"] == "12 throttles and 100 invocations in the last hour"


def test_messages_expire_from_three_quarters_of_the_retention_on(patient: Patient) -> None:
    name, day = "messages-expire", 86400
    _measure(patient, "AWS/SQS", f"{FUNCTION}-dlq", ApproximateAgeOfOldestMessage=10 * day)
    assert not _only(patient, name)

    _measure(patient, "AWS/SQS", f"{FUNCTION}-dlq", ApproximateAgeOfOldestMessage=11 * day)
    _measure(patient, "AWS/SQS", INTAKE, ApproximateAgeOfOldestMessage=3.5 * day)

    own, intake = _only(patient, name)
    assert own["message"] == "the oldest message is 11 days old, of 14 days"
    assert own["command"] == f"lava-s3trigger dead-letters redrive --realm {REALM}"
    assert intake["subject"] == INTAKE
    patient.mend(intake)
    assert [each["subject"] for each in _only(patient, name)] == [f"{FUNCTION}-dlq"]


def test_without_any_alarm_the_command_deploys_them(patient: Patient) -> None:
    cloudwatch = patient.aws.client("cloudwatch")
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=FUNCTION)["MetricAlarms"]
    cloudwatch.delete_alarms(AlarmNames=[each["AlarmName"] for each in alarms])

    [finding] = _only(patient, "alarm-missing")

    assert finding["message"] == (
        "there is no alarm dead-letters, intake-dead-letters, intake-age, async-age,"
        " async-dropped, dead-letter-errors, errors, throttles, recursion, lag"
    )
    assert finding["command"].startswith(f"sam deploy --stack-name {FUNCTION} ")


@pytest.mark.parametrize("version", ["0.0.1", f"{__version__}rc1", "0.0"])
def test_an_older_package_is_found_by_its_last_start(patient: Patient, version: str) -> None:
    patient.log_start(version)

    [finding] = _only(patient, "package-outdated")

    told = f"the package is version {version}; this command line is {__version__}"
    assert finding["message"] == told
    patient.log_start(__version__)
    assert not _only(patient, "package-outdated")


def test_a_log_without_a_start_leaves_the_version_unknown(patient: Patient) -> None:
    logs, group = patient.aws.client("logs"), f"/aws/lambda/{FUNCTION}"
    for each in logs.describe_log_streams(logGroupName=group)["logStreams"]:
        logs.delete_log_stream(logGroupName=group, logStreamName=each["logStreamName"])

    [finding] = _only(patient, "package-unknown")

    assert finding["severity"] == "info"
    patient.mend(finding)
    patient.log_start(__version__)  # as the instance does on AWS
    assert not _only(patient, "package-unknown")


FOUND_ALONE: Final = {
    "dead-letters",
    "function-failing",
    "function-throttles",
    "messages-expire",
    "package-outdated",
    "package-unknown",
}
"""Found by tests of their own."""


def test_every_check_has_a_fault_here() -> None:
    """A missing function is found below, and a broken one in `tests/cli/test_doctor.py`."""
    planted = {name for name, _ in FAULTS} | FOUND_ALONE
    assert planted == CHECKS.keys() - {"function-missing", "function-broken"}


def test_a_function_that_is_missing_is_found(patient: Patient) -> None:
    status, text = patient.doctor("--function", "lava-none-s3trigger", "--realm", "none")

    assert status == 1
    assert "function-missing: lava-none-s3trigger: the function does not exist" in text
    assert "$ sam deploy" in text


# --- Rights ---------------------------------------------------------------------------------


# The server asks for this in place of lambda:GetFunctionConcurrency.
ODD_ACTION: Final = "lambda:PutFunctionConcurrency"


def user(patient: Patient, name: str, actions: list[str]) -> dict[str, str]:
    """Create a user who may do so much; return its credentials."""
    iam = patient.aws.client("iam")
    iam.create_user(UserName=name)
    if actions:
        statement = {"Effect": "Allow", "Action": [*actions, ODD_ACTION], "Resource": "*"}
        iam.put_user_policy(
            UserName=name,
            PolicyName="doctor",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def test_a_role_that_may_read_nothing_is_told_so(patient: Patient) -> None:
    credentials = user(patient, "nobody", [])

    status, text = patient.doctor(**credentials)

    assert status == 3
    assert text.count("could not tell ") == len(CHECKS)
    assert "needs lambda:GetFunctionConfiguration" in text
    assert f"{len(CHECKS)} checks could not be made" in text


def test_what_may_not_be_read_is_not_taken_for_good(patient: Patient) -> None:
    actions = pages.doctor_actions()
    credentials = user(patient, "no-iam", [each for each in actions if "iam:" not in each])

    found = patient.found(**credentials)

    assert {each["check"] for each in found["unreadable"]} == {"role-permissions", "role-wide"}
    assert {each["action"] for each in found["unreadable"]} == {"iam:ListRolePolicies"}


def test_the_policy_of_the_docs_is_enough(patient: Patient) -> None:
    text = (CHECKOUT / "docs" / "doctor.md").read_text()
    policy = json.loads(text.partition("```json\n")[2].partition("```")[0])
    [statement] = policy["Statement"]

    found = patient.found(**user(patient, "operator", statement["Action"]))

    assert found["unreadable"] == []


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_works_with_its_own_rights_alone(patient: Patient, name: str) -> None:
    credentials = user(patient, f"only-{name}", list(CHECKS[name].needs))

    assert patient.found("--select", name, **credentials)["unreadable"] == []


# --- Output ---------------------------------------------------------------------------------


def test_formats_and_thresholds(patient: Patient) -> None:
    hostile = "x\x1b[31m\u202e\n::error::y"
    patient.realm.put("jobs", [{**JOB, "job_id": hostile, "worker": "gone"}])
    try:
        for arguments, expected in (
            ([], 1),
            (["--fail-on", "error"], 1),
            (["--fail-on", "none"], 0),
        ):
            status, text = patient.doctor("--select", "worker-queue-missing", *arguments)
            assert status == expected
            assert "\x1b" not in text
            assert "\u202e" not in text
        _, text = patient.doctor("--select", "worker-queue-missing", "--format", "github")
        assert text.startswith("::error title=worker-queue-missing::lava-doc-gone: ")
        assert len(text.splitlines()) == 1
        assert "\x1b" not in text
        _, text = patient.doctor("--select", "worker-queue-missing", "--format", "json")
        assert json.loads(text)["version"] == 1
        assert text.isascii()
    finally:
        patient.aws.client("dynamodb").delete_item(
            TableName=f"lava.{REALM}.jobs", Key={"job_id": {"S": hostile}}
        )


def test_an_unknown_check_is_wrong_usage(patient: Patient) -> None:
    with pytest.raises(Exception, match="no check 'x'; checks: function-missing"):
        patient.doctor("--select", "x")
