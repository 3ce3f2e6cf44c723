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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger import __version__
from lava_s3trigger.cli.doctor.registry import CHECKS
from tests.cli.commandline import CommandLine
from tests.cli.terminal import raw
from tests.processes import wait_until
from tools import pages
from tools.local.server import ACCOUNT, CHECKOUT, REGION

from .conftest import JOB, Stack, deploy, make_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.commandline import Ran
    from tools.local.server import LocalAws

    Plant = Callable[["Patient"], object]

pytestmark = [pytest.mark.e2e, pytest.mark.slow("breaks the stack in every way that doctor finds")]

REALM: Final = "doc"
FUNCTION: Final = f"lava-{REALM}-s3trigger"
AWS: Final = Path(sys.executable).with_name("aws")
ALARM_TOPIC: Final = f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"
EVENTS: Final = ["s3:ObjectCreated:*"]


@dataclass(frozen=True)
class Patient(Stack):
    """A deployed realm that is looked at."""

    def doctor(self, *arguments: str, **credentials: str) -> Ran:
        return CommandLine(["doctor"], self.environment | credentials)(*arguments)

    def found(self, *arguments: str, **credentials: str) -> dict[str, Any]:
        """Return the JSON of the command."""
        found: dict[str, Any] = self.doctor("--format", "json", *arguments, **credentials).json()
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
                **self.environment,
                "AWS_DEFAULT_REGION": REGION,
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

    def notify(self, bucket: str, **configuration: Any) -> None:
        self.aws.client("s3").put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )


@pytest.fixture(scope="module")
def patient(iam_aws: LocalAws) -> Patient:
    """A sound realm, with a bucket on each route."""
    parameters = {"CreateIntake": "true", "CreateDedupTable": "true", "AlarmTopicArn": ALARM_TOPIC}
    stack = deploy(iam_aws, REALM, **parameters)
    patient = Patient(stack.aws, stack.realm, stack.outputs)
    patient.log_start(__version__)
    # The server leaves this out of the stack.
    iam_aws.client("dynamodb").update_time_to_live(
        TableName=stack.outputs["DedupTableName"],
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
    )
    stack.connections.by_s3("by-s3")
    stack.connections.by_sqs("by-sqs", stack.outputs["IntakeQueueArn"])
    stack.connections.by_sns("by-sns")
    stack.connections.by_eventbridge("by-eventbridge")
    for bucket in ("by-s3", "by-sqs", "by-sns", "by-eventbridge"):
        patient.trigger(bucket, bucket)
    patient.trigger("elsewhere", "no-bucket-yet", enabled=False)
    return patient


def test_a_sound_stack_has_no_finding(patient: Patient) -> None:
    ran = patient.doctor()

    assert (ran.status, ran.output) == (0, f"{FUNCTION}: nothing wrong was found\n")


# --- Faults ---------------------------------------------------------------------------------


def api(service: str, operation: str, **arguments: Any) -> Plant:
    """Return what calls AWS; arguments may be functions of the patient."""

    def plant(patient: Patient) -> None:
        made = {
            name: value(patient) if callable(value) else value for name, value in arguments.items()
        }
        getattr(patient.aws.client(service), operation)(**made)

    return plant


def of_function(operation: str, **arguments: Any) -> Plant:
    return api("lambda", operation, FunctionName=FUNCTION, **arguments)


def _no_invoker(service: str) -> Plant:
    def plant(patient: Patient) -> None:
        client = patient.aws.client("lambda")
        for each in json.loads(client.get_policy(FunctionName=FUNCTION)["Policy"])["Statement"]:
            if each["Principal"] == {"Service": f"{service}.amazonaws.com"}:
                client.remove_permission(FunctionName=FUNCTION, StatementId=each["Sid"])

    return plant


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, resource: str) -> dict[str, str]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def role(patient: Patient) -> str:
    return patient.outputs["RoleArn"].rpartition("/")[2]


def _more_permissions(name: str, action: str, resource: str) -> Plant:
    document = policy(allow(action, resource))
    return api("iam", "put_role_policy", RoleName=role, PolicyName=name, PolicyDocument=document)


def _less_permissions(patient: Patient) -> None:
    iam, own = patient.aws.client("iam"), {"RoleName": role(patient), "PolicyName": "s3trigger"}
    document = iam.get_role_policy(**own)["PolicyDocument"]
    kept = [each for each in document["Statement"] if each["Sid"] != "GetJobs"]
    iam.put_role_policy(**own, PolicyDocument=policy(*kept))


def _managed_role(patient: Patient) -> None:
    iam, document = patient.aws.client("iam"), policy(allow("*", "*"))
    made = iam.create_policy(PolicyName="everything", PolicyDocument=document)
    iam.attach_role_policy(RoleName=role(patient), PolicyArn=made["Policy"]["Arn"])


def _of_queue(name: str, operation: str, **arguments: Any) -> Plant:
    return api("sqs", operation, QueueUrl=lambda patient: patient.queue_url(name), **arguments)


def _attribute(queue: str, name: str, value: str) -> Plant:
    return _of_queue(queue, "set_queue_attributes", Attributes={name: value})


def _mapping(queue: str, operation: str = "update_event_source_mapping", **changes: Any) -> Plant:
    return api("lambda", operation, UUID=lambda patient: patient.mapping(queue)["UUID"], **changes)


def _delete_table(kind: str) -> Plant:
    return api("dynamodb", "delete_table", TableName=f"lava.{REALM}.{kind}")


def _no_index(patient: Patient) -> None:
    _delete_table("s3triggers")(patient)
    patient.aws.client("dynamodb").create_table(
        TableName=f"lava.{REALM}.s3triggers",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "trigger_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "trigger_id", "KeyType": "HASH"}],
    )


def notifying(
    queue: str | None = None, events: list[str] = EVENTS, bucket: str = "by-s3", **more: Any
) -> Plant:
    """Return what notifies the function, and a queue, which is the intake if it has no name."""

    def plant(patient: Patient) -> None:
        function = {"LambdaFunctionArn": patient.outputs["FunctionArn"], "Events": EVENTS}
        own = {} if queue == ONLY else {"LambdaFunctionConfigurations": [function]}
        if queue is not None:
            arn = _other_queue(patient) if queue else patient.outputs["IntakeQueueArn"]
            own["QueueConfigurations"] = [{"QueueArn": arn, "Events": events}]
        patient.notify(bucket, **own, **more)

    return plant


def _filtered(name: str, value: str, events: list[str] = EVENTS) -> Plant:
    def plant(patient: Patient) -> None:
        found: dict[str, Any] = {"LambdaFunctionArn": patient.outputs["FunctionArn"]}
        if value:
            found["Filter"] = {"Key": {"FilterRules": [{"Name": name, "Value": value}]}}
        patient.notify("by-s3", LambdaFunctionConfigurations=[found | {"Events": events}])

    return plant


def _rule(name: str = f"lava.{REALM}.by-eventbridge", **changes: Any) -> Plant:
    own = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["by-eventbridge"]}}}
    pattern = json.dumps(own | changes.pop("pattern", {}))
    when = changes.pop("when", {"EventPattern": pattern})

    def plant(patient: Patient) -> None:
        events = patient.aws.client("events")
        events.put_rule(Name=name, **when)
        target = {"Id": "s3trigger", "Arn": patient.outputs["FunctionArn"]}
        events.put_targets(Rule=name, Targets=[target | changes])

    return plant


def _subscription_filter(patient: Patient) -> None:
    sns = patient.aws.client("sns")
    [subscription] = sns.list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]
    sns.set_subscription_attributes(
        SubscriptionArn=subscription["SubscriptionArn"],
        AttributeName="FilterPolicy",
        AttributeValue='{"kind": ["orders"]}',
    )


def _key(patient: Patient) -> str:
    """Encrypt the queue of a worker with a new key; return its id."""
    key: str = patient.aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    _attribute(f"lava-{REALM}-core", "KmsMasterKeyId", key)(patient)
    return key


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


def _queue_without_redrive(patient: Patient) -> None:
    attributes = {"VisibilityTimeout": "360"}
    patient.aws.client("sqs").create_queue(QueueName="own", Attributes=attributes)
    patient.aws.client("lambda").create_event_source_mapping(
        FunctionName=FUNCTION,
        EventSourceArn=f"{SQS}own",
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )


def _other_queue(patient: Patient) -> str:
    """Make a queue that S3 may send to and the function does not read; return its ARN."""
    arn = f"{SQS}another-team"
    statement = allow("sqs:SendMessage", arn) | {"Principal": {"Service": "s3.amazonaws.com"}}
    attributes = {"Policy": policy(statement)}
    patient.aws.client("sqs").create_queue(QueueName="another-team", Attributes=attributes)
    return arn


def _beside_another(patient: Patient) -> None:
    notifying(ONLY)(patient)
    with contextlib.suppress(patient.aws.client("events").exceptions.ResourceNotFoundException):
        patient.aws.client("events").remove_targets(Rule=f"lava.{REALM}.by-s3", Ids=["s3trigger"])


def _unreachable(bucket: str, **fields: Any) -> Plant:
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


SQS: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
TOPIC: Final = f"arn:aws:sns:{REGION}:{ACCOUNT}:lava-{REALM}-by-sns"
ONLY: Final = "only"
"""Another team's queue, and not the function."""
INTAKE: Final = f"{FUNCTION}-intake"
FAULTS: Final = [
    ("function-configuration", lambda p: p.variables(S3TRIGGER_CACHE_TTL="soon")),
    ("function-configuration", lambda p: p.variables(LAVA_REALM="other")),
    ("function-throttled", of_function("put_function_concurrency", ReservedConcurrentExecutions=0)),
    (
        "function-dead-letters",
        of_function("update_function_configuration", DeadLetterConfig={"TargetArn": ""}),
    ),
    ("function-parking", lambda p: p.variables(S3TRIGGER_DEAD_LETTER_QUEUE=None)),
    ("function-invokers", _no_invoker("events")),
    ("bucket-not-permitted", _no_invoker("s3")),
    ("topic-not-permitted", _no_invoker("sns")),
    ("role-permissions", _less_permissions),
    ("role-wide", _more_permissions("more", "s3:*", "*")),
    ("role-wide", _managed_role),
    ("redrive-left-on", _mapping(f"{FUNCTION}-dlq", Enabled=True)),
    ("dead-letter-retention", _attribute(f"{FUNCTION}-dlq", "MessageRetentionPeriod", "345600")),
    ("dead-letter-retention", _attribute(f"{INTAKE}-dlq", "MessageRetentionPeriod", "345600")),
    ("redrive-policy-missing", _queue_without_redrive),
    ("redrive-policy-missing", _of_queue(f"{INTAKE}-dlq", "delete_queue")),
    ("queue-key", _key),
    ("queue-key", _attribute(INTAKE, "KmsMasterKeyId", str(uuid.uuid4()))),
    ("queue-key-disabled", api("kms", "disable_key", KeyId=_key)),
    ("queue-key-disabled", api("kms", "schedule_key_deletion", KeyId=_key, PendingWindowInDays=7)),
    ("alarm-missing", api("cloudwatch", "delete_alarms", AlarmNames=[f"{FUNCTION}-dead-letters"])),
    ("alarm-missing", api("cloudwatch", "delete_alarms", AlarmNames=[f"{FUNCTION}-lag"])),
    ("alarm-silent", _alarm_without_action),
    ("alarm-silent", api("cloudwatch", "disable_alarm_actions", AlarmNames=[f"{FUNCTION}-errors"])),
    ("worker-queue-missing", _of_queue(f"lava-{REALM}-core", "delete_queue")),
    ("visibility-timeout", _attribute(INTAKE, "VisibilityTimeout", "60")),
    ("mapping-partial-responses", _mapping(INTAKE, FunctionResponseTypes=[])),
    ("mapping-disabled", _mapping(INTAKE, Enabled=False)),
    ("redrive-mapping-missing", _mapping(f"{FUNCTION}-dlq", "delete_event_source_mapping")),
    ("dead-letter-queue-missing", _of_queue(f"{FUNCTION}-dlq", "delete_queue")),
    (
        "dedup-table-grows",
        api(
            "dynamodb",
            "update_time_to_live",
            TableName=f"lava.{REALM}.s3trigger-dedup",
            TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires"},
        ),
    ),
    ("dedup-table-missing", _delete_table("s3trigger-dedup")),
    ("bucket-missing", lambda p: p.trigger("typo", "by-s3x")),
    ("bucket-not-connected", lambda p: p.notify("by-s3")),
    ("bucket-connected-twice", notifying("", ["s3:ObjectCreated:Put"])),
    ("bucket-connected-twice", notifying(bucket="by-eventbridge", EventBridgeConfiguration={})),
    ("bucket-filter", _filtered("prefix", "in/")),
    ("bucket-filter-encoding", _filtered("prefix", "day=1/a b/")),
    ("bucket-overlap", notifying("another-team", ["s3:ObjectCreated:Put"])),
    ("bucket-not-connected", _beside_another),
    ("trigger-unreachable", _unreachable("by-s3", prefix="out")),
    ("trigger-unreachable", _unreachable("by-sqs", if_event_type="ObjectCreated:PutObject")),
    ("trigger-unreachable", _unreachable("by-eventbridge", if_event_type="ObjectCreated:Put")),
    ("bucket-filter", _filtered("", "", ["s3:ObjectCreated:Put"])),
    ("rule-disabled", api("events", "disable_rule", Name=f"lava.{REALM}.by-eventbridge")),
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
    ("rule-pattern", _rule(f"lava.{REALM}.hourly", when={"ScheduleExpression": "rate(1 hour)"})),
    ("rule-transforms", _rule(InputPath="$.detail")),
    ("rule-pattern", _rule(pattern={"source": ["my.app"]})),
    ("rule-not-permitted", _rule("mine")),
    ("subscription-filter", _subscription_filter),
    (
        "topic-publishers",
        api(
            "sns",
            "set_topic_attributes",
            TopicArn=TOPIC,
            AttributeName="Policy",
            AttributeValue=policy(),
        ),
    ),
    ("index-missing", _no_index),
    ("table-missing", _delete_table("jobs")),
    ("table-missing", _delete_table("s3triggers")),
]


@pytest.mark.parametrize(
    ("name", "plant"), FAULTS, ids=[f"{n}-{name}" for n, (name, _) in enumerate(FAULTS)]
)
def test_a_fault_is_found_and_mended_by_its_command(
    patient: Patient, name: str, plant: Plant
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
        lambda: name not in {each["check"] for each in patient.findings()}, f"{name} to be gone"
    )


def test_dead_letters_are_given_back_and_the_mapping_is_off_again(patient: Patient) -> None:
    queue, body = f"{FUNCTION}-dlq", '{"Event": "s3:TestEvent"}'
    patient.aws.client("sqs").send_message(QueueUrl=patient.queue_url(queue), MessageBody=body)
    wait_until(lambda: _only(patient, "dead-letters"), "dead letters to be found")
    patient.mend(_only(patient, "dead-letters")[0])
    wait_until(lambda: not _only(patient, "dead-letters"), "dead letters to be gone")
    assert patient.mapping(queue)["State"] in {"Disabled", "Disabling"}


def test_dead_letters_of_the_intake_are_found(patient: Patient) -> None:
    """The server cannot move messages back."""
    target = f"{INTAKE}-dlq"
    patient.aws.client("sqs").send_message(
        QueueUrl=patient.queue_url(target), MessageBody='{"Event": "s3:TestEvent"}'
    )

    wait_until(lambda: _only(patient, "dead-letters"), "dead letters to be found")

    [finding] = _only(patient, "dead-letters")
    assert finding["subject"] == target
    assert finding["message"] == "1 messages wait"
    arn = f"{SQS}{target}"
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
    now = datetime.now(UTC)
    found = patient.aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Invocations",
        Dimensions=[{"Name": "FunctionName", "Value": FUNCTION}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    # The server counts those by which the stack was warmed up.
    invoked = sum(each["Sum"] for each in found["Datapoints"])
    _measure(patient, "AWS/Lambda", FUNCTION, Errors=9, Throttles=10, Invocations=100 - invoked)
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
    ran = patient.doctor("--function", "lava-none-s3trigger", "--realm", "none")

    assert ran.status == 1
    assert "function-missing: lava-none-s3trigger: the function does not exist" in ran.output
    assert "$ sam deploy" in ran.output


# --- Rights ---------------------------------------------------------------------------------


# The server asks for this in place of lambda:GetFunctionConcurrency.
ODD_ACTION: Final = "lambda:PutFunctionConcurrency"


def user(patient: Patient, name: str, actions: list[str]) -> dict[str, str]:
    """Create a user who may do so much; return its credentials."""
    statement = {"Effect": "Allow", "Action": [*actions, ODD_ACTION], "Resource": "*"}
    return make_user(patient.aws, name, [statement] if actions else [])


def test_a_role_that_may_read_nothing_is_told_so(patient: Patient) -> None:
    credentials = user(patient, "nobody", [])

    ran = patient.doctor(**credentials)

    assert ran.status == 3
    assert ran.output.count("could not tell ") == len(CHECKS)
    assert "needs lambda:GetFunctionConfiguration" in ran.output
    assert f"{len(CHECKS)} checks could not be made" in ran.output


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

    found = patient.found(**user(patient, "reader-of-docs", statement["Action"]))

    assert found["unreadable"] == []


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_works_with_its_own_rights_alone(patient: Patient, name: str) -> None:
    credentials = user(patient, f"only-{name}", list(CHECKS[name].needs))

    assert patient.found("--select", name, **credentials)["unreadable"] == []


# --- Output ---------------------------------------------------------------------------------


def test_formats_and_thresholds(patient: Patient) -> None:
    hostile = "x\x1b[31m\u202e\n::error::y"
    patient.realm.put("jobs", [{**JOB, "job_id": hostile, "worker": "gone"}])
    select = ("--select", "worker-queue-missing")
    try:
        for more, status in ((), 1), (("--fail-on", "error"), 1), (("--fail-on", "none"), 0):
            ran = patient.doctor(*select, *more)
            assert ran.status == status
            assert not raw(ran.output)
        ran = patient.doctor(*select, "--format", "github")
        assert ran.output.startswith("::error title=worker-queue-missing::lava-doc-gone: ")
        assert ran.output.count("\n") == 1
        assert not raw(ran.output)
        ran = patient.doctor(*select, "--format", "json")
        assert ran.json()["version"] == 1
        assert ran.output.isascii()
    finally:
        patient.aws.client("dynamodb").delete_item(
            TableName=f"lava.{REALM}.jobs", Key={"job_id": {"S": hostile}}
        )
