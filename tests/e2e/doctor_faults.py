"""Faults of a deployed realm that `doctor` finds, each with how it is planted.

`test_doctor.py` plants each, runs what `doctor` prints, and sees that the realm is right again.
To add a fault, add a row to `FAULTS`.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger import __version__
from tests.cli.commandline import CommandLine
from tools.local.server import ACCOUNT, REGION

from .conftest import JOB, Stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.commandline import Ran

    Plant = Callable[["Patient"], object]

ARN: Final = f"{REGION}:{ACCOUNT}"
CREATED: Final = ["s3:ObjectCreated:*"]
PUT: Final = ["s3:ObjectCreated:Put"]


@dataclass(frozen=True)
class Patient(Stack):
    """A deployed realm, and the bucket of the fault that is planted in it."""

    bucket: str = ""

    @property
    def function(self) -> str:
        return self.outputs["FunctionName"]

    @property
    def intake(self) -> str:
        return f"{self.function}-intake"

    @property
    def rule(self) -> str:
        return f"lava.{self.realm.name}.{self.bucket}"

    @property
    def topic(self) -> str:
        return f"arn:aws:sns:{ARN}:lava-{self.realm.name}-{self.bucket}"

    @property
    def role(self) -> str:
        return self.outputs["RoleArn"].rpartition("/")[2]

    def table(self, kind: str) -> str:
        return f"lava.{self.realm.name}.{kind}"

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

    def entry(self, **fields: Any) -> None:
        """Put the entry of the fault's bucket, whose dispatches say which object they are of."""
        self.trigger(self.bucket, self.bucket, **{"parameters": PARAMETERS, **fields})

    def variables(self, **changes: str | None) -> None:
        """Change environment variables of the function; None takes one away."""
        client = self.aws.client("lambda")
        configuration = client.get_function_configuration(FunctionName=self.function)
        merged = {**configuration["Environment"]["Variables"], **changes}
        kept = {name: value for name, value in merged.items() if value is not None}
        client.update_function_configuration(
            FunctionName=self.function, Environment={"Variables": kept}
        )

    def log_start(self, version: str = __version__) -> None:
        """Log what an instance does when it starts, as the server does not keep logs."""
        logs, group = self.aws.client("logs"), f"/aws/lambda/{self.function}"
        stream = uuid.uuid4().hex
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        line = json.dumps({"level": "INFO", "event": "started", "version": version})
        event = {"timestamp": int(time.time() * 1000), "message": line}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    def mapping(self, queue: str) -> dict[str, Any]:
        answer = self.aws.client("lambda").list_event_source_mappings(FunctionName=self.function)
        [mapping] = [
            mapping
            for mapping in answer["EventSourceMappings"]
            if mapping["EventSourceArn"].endswith(f":{queue}")
        ]
        return dict(mapping)

    def notify(self, **configuration: Any) -> None:
        """Put the notifications of the fault's bucket."""
        self.aws.client("s3").put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=configuration
        )

    def connect_by(self, route: str) -> None:
        """Connect the fault's bucket by hand, for new objects."""
        connections = replace(self.connections, events=CREATED)
        if route == "s3":
            connections.by_s3(self.bucket)
        elif route == "sqs":
            connections.by_sqs(self.bucket, self.outputs["IntakeQueueArn"])
        elif route == "sns":
            connections.by_sns(self.bucket)
        elif route == "eventbridge":
            connections.by_eventbridge(self.bucket)
        else:
            self.aws.client("s3").create_bucket(Bucket=self.bucket)

    def remove_bucket(self) -> None:
        """Remove the fault's bucket, its entries, rules and topic."""
        client = self.aws.client
        table, key = self.table("s3triggers"), "trigger_id"
        for item in client("dynamodb").scan(TableName=table)["Items"]:
            if item[key]["S"].startswith(self.bucket):
                client("dynamodb").delete_item(TableName=table, Key={key: item[key]})
        for rule in client("events").list_rules(NamePrefix=self.rule)["Rules"]:
            targets = client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
            if targets:
                ids = [target["Id"] for target in targets]
                client("events").remove_targets(Rule=rule["Name"], Ids=ids)
            client("events").delete_rule(Name=rule["Name"])
        for subscription in client("sns").list_subscriptions()["Subscriptions"]:
            if subscription["TopicArn"] == self.topic:
                client("sns").unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        client("s3").put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={}
        )


PARAMETERS: Final = {"object": "{{ bucket }}/{{ key }}"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and what `doctor` makes of it."""

    check: str
    """The check that finds it."""
    plant: Plant
    name: str = ""
    """What tells it from other faults that the same check finds."""
    route: str = "s3"
    """How its bucket is connected by hand: s3, sqs, sns, eventbridge; empty: not at all."""
    key: str = "in/a.csv"
    """Key of the object that is put afterwards."""
    deletions: int = 0
    """How often its deletion is dispatched afterwards, as before."""
    after: Plant | None = None
    """Does what no remedy can, such as to bring back the items of a table that was deleted."""
    told: str = ""
    """What the finding says where no command can correct it; empty: one can."""
    spoils: bool = False
    """Whether the realm is not as before once the remedy was carried out, though it is right."""

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.check, self.name)))

    @property
    def is_of_bucket(self) -> bool:
        """Whether the fault is in how its bucket is connected, so that others do not mind."""
        return self.check.startswith(("bucket-", "rule-", "subscription-", "trigger-")) and not (
            self.told or self.name == "another" or self.check == "bucket-not-permitted"
        )


# --- Plants ---------------------------------------------------------------------------------


def api(service: str, operation: str, **arguments: Any) -> Plant:
    """Return what calls AWS; arguments may be functions of the patient."""

    def plant(patient: Patient) -> None:
        values = {
            name: value(patient) if callable(value) else value for name, value in arguments.items()
        }
        getattr(patient.aws.client(service), operation)(**values)

    return plant


def of_function(operation: str, **arguments: Any) -> Plant:
    return api("lambda", operation, FunctionName=lambda p: p.function, **arguments)


def variables(**changes: str | None) -> Plant:
    return lambda patient: patient.variables(**changes)


def no_invoker(service: str) -> Plant:
    def plant(patient: Patient) -> None:
        client, name = patient.aws.client("lambda"), patient.function
        for statement in json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"]:
            if statement["Principal"] == {"Service": f"{service}.amazonaws.com"}:
                client.remove_permission(FunctionName=name, StatementId=statement["Sid"])

    return plant


def policy(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, resource: str) -> dict[str, str]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def more_permissions(name: str, action: str, resource: str) -> Plant:
    document = policy(allow(action, resource))
    return api(
        "iam",
        "put_role_policy",
        RoleName=lambda p: p.role,
        PolicyName=name,
        PolicyDocument=document,
    )


def without_statement(sid: str) -> Plant:
    """Return what takes a statement out of the policy of the function's role."""

    def plant(patient: Patient) -> None:
        iam, own = patient.aws.client("iam"), {"RoleName": patient.role, "PolicyName": "s3trigger"}
        document = iam.get_role_policy(**own)["PolicyDocument"]
        kept = [each for each in document["Statement"] if each["Sid"] != sid]
        iam.put_role_policy(**own, PolicyDocument=policy(*kept))

    return plant


def managed_policy(patient: Patient) -> None:
    iam, document = patient.aws.client("iam"), policy(allow("*", "*"))
    name = f"everything-{patient.bucket}"
    answer = iam.create_policy(PolicyName=name, PolicyDocument=document)
    iam.attach_role_policy(RoleName=patient.role, PolicyArn=answer["Policy"]["Arn"])


def of_queue(name: Callable[[Patient], str], operation: str, **arguments: Any) -> Plant:
    return api("sqs", operation, QueueUrl=lambda p: p.queue_url(name(p)), **arguments)


def attribute(queue: Callable[[Patient], str], name: str, value: str) -> Plant:
    return of_queue(queue, "set_queue_attributes", Attributes={name: value})


def of_mapping(
    queue: Callable[[Patient], str], operation: str = "update_event_source_mapping", **changes: Any
) -> Plant:
    return api("lambda", operation, UUID=lambda p: p.mapping(queue(p))["UUID"], **changes)


def intake(patient: Patient) -> str:
    return patient.intake


def intake_dead_letters(patient: Patient) -> str:
    return f"{patient.intake}-dlq"


def dead_letters(patient: Patient) -> str:
    return f"{patient.function}-dlq"


def worker_queue(patient: Patient) -> str:
    return f"lava-{patient.realm.name}-core"


def delete_table(kind: str) -> Plant:
    return api("dynamodb", "delete_table", TableName=lambda p: p.table(kind))


def no_index(patient: Patient) -> None:
    delete_table("s3triggers")(patient)
    patient.aws.client("dynamodb").create_table(
        TableName=patient.table("s3triggers"),
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "trigger_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "trigger_id", "KeyType": "HASH"}],
    )


def entries(patient: Patient) -> None:
    """Put the entries of all buckets, which went with their table."""
    patient.entry()
    for bucket in base_buckets(patient.realm.name):
        patient.trigger(bucket, bucket, parameters=PARAMETERS)


def job(patient: Patient) -> None:
    patient.realm.put("jobs", [JOB | {"job_id": "job-core"}])


def notifying(*targets: tuple[str, list[str]], **more: Any) -> Plant:
    """Return what notifies destinations of events: function, intake, and another's queue."""

    def plant(patient: Patient) -> None:
        configuration: dict[str, Any] = {**more}
        for target, events in targets:
            if target == "function":
                found = {"LambdaFunctionArn": patient.outputs["FunctionArn"], "Events": events}
                configuration.setdefault("LambdaFunctionConfigurations", []).append(found)
                continue
            arn = patient.outputs["IntakeQueueArn"] if target == "intake" else other_queue(patient)
            found = {"QueueArn": arn, "Events": events}
            configuration.setdefault("QueueConfigurations", []).append(found)
        patient.notify(**configuration)

    return plant


def filtered(name: str, value: str, events: list[str] = CREATED, **more: Any) -> Plant:
    def plant(patient: Patient) -> None:
        notification: dict[str, Any] = {
            "LambdaFunctionArn": patient.outputs["FunctionArn"],
            "Events": events,
        }
        if value:
            notification["Filter"] = {"Key": {"FilterRules": [{"Name": name, "Value": value}]}}
        patient.notify(LambdaFunctionConfigurations=[notification], **more)

    return plant


def rule(name: str = "", **changes: Any) -> Plant:
    """Return what puts a rule: with the name of the fault's bucket, or one that ends so."""

    def plant(patient: Patient) -> None:
        events, fields = patient.aws.client("events"), dict(changes)
        detail = {"bucket": {"name": [patient.bucket]}, **fields.pop("detail", {})}
        pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
        when = fields.pop("when", {"EventPattern": json.dumps(pattern | fields.pop("pattern", {}))})
        full = name.format(rule=patient.rule, bucket=patient.bucket) or patient.rule
        events.put_rule(Name=full, **when)
        target = {"Id": "s3trigger", "Arn": patient.outputs["FunctionArn"]}
        events.put_targets(Rule=full, Targets=[target | fields])

    return plant


def permitted_rule(name: str) -> Plant:
    """Return what puts a rule with another name than the stack permits, and permits it."""

    def plant(patient: Patient) -> None:
        patient.aws.client("events").remove_targets(Rule=patient.rule, Ids=["s3trigger"])
        rule(name)(patient)
        full = name.format(rule=patient.rule, bucket=patient.bucket)
        patient.aws.client("lambda").add_permission(
            FunctionName=patient.function,
            StatementId=f"odd-{patient.bucket}",
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=patient.aws.client("events").describe_rule(Name=full)["Arn"],
        )

    return plant


def unpermitted_rule(patient: Patient) -> None:
    patient.aws.client("events").remove_targets(Rule=patient.rule, Ids=["s3trigger"])
    rule("mine-{bucket}")(patient)


def subscription_filter(patient: Patient) -> None:
    sns = patient.aws.client("sns")
    [subscription] = sns.list_subscriptions_by_topic(TopicArn=patient.topic)["Subscriptions"]
    sns.set_subscription_attributes(
        SubscriptionArn=subscription["SubscriptionArn"],
        AttributeName="FilterPolicy",
        AttributeValue='{"kind": ["orders"]}',
    )


def key(patient: Patient) -> str:
    """Encrypt the queue of a worker with a new key; return its id."""
    key_id: str = patient.aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    attribute(worker_queue, "KmsMasterKeyId", key_id)(patient)
    return key_id


def alarm_without_action(patient: Patient) -> None:
    patient.aws.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{patient.function}-lag",
        Namespace="lava",
        MetricName="lag",
        Dimensions=[
            {"Name": "realm", "Value": patient.realm.name},
            {"Name": "function", "Value": patient.function},
        ],
        ExtendedStatistic="p50",
        Period=300,
        EvaluationPeriods=3,
        Threshold=60,
        ComparisonOperator="GreaterThanThreshold",
    )


def no_alarm(name: str) -> Plant:
    return api("cloudwatch", "delete_alarms", AlarmNames=lambda p: [f"{p.function}-{name}"])


def queue_without_redrive(name: str = "own-{bucket}", **attributes: str) -> Plant:
    """Return what makes a queue that the function reads, without a dead-letter queue."""

    def plant(patient: Patient) -> None:
        full = name.format(bucket=patient.bucket)
        patient.aws.client("sqs").create_queue(
            QueueName=full, Attributes={"VisibilityTimeout": "360"} | attributes
        )
        patient.aws.client("lambda").create_event_source_mapping(
            FunctionName=patient.function,
            EventSourceArn=f"arn:aws:sqs:{ARN}:{full}",
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )

    return plant


def other_queue(patient: Patient) -> str:
    """Make a queue that S3 may send to and the function does not read; return its ARN."""
    arn = f"arn:aws:sqs:{ARN}:another-team"
    statement = allow("sqs:SendMessage", arn) | {"Principal": {"Service": "s3.amazonaws.com"}}
    patient.aws.client("sqs").create_queue(
        QueueName="another-team", Attributes={"Policy": policy(statement)}
    )
    return arn


def no_time_to_live(patient: Patient) -> None:
    patient.aws.client("dynamodb").update_time_to_live(
        TableName=patient.table("s3trigger-dedup"),
        TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires"},
    )


def entry(**fields: Any) -> Plant:
    return lambda patient: patient.entry(**fields)


def both(*plants: Plant) -> Plant:
    def plant(patient: Patient) -> None:
        for each in plants:
            each(patient)

    return plant


def base_buckets(realm: str) -> dict[str, str]:
    """Return the buckets of a sound realm, with their routes."""
    return {f"{realm}-by-{route}": route for route in ("s3", "sqs", "sns", "eventbridge")}


def redrive_policy(target: Callable[[Patient], str], receives: int) -> Plant:
    """Return what has the intake queue move messages to a queue, after some tries."""

    def plant(patient: Patient) -> None:
        found = {
            "deadLetterTargetArn": f"arn:aws:sqs:{ARN}:{target(patient)}",
            "maxReceiveCount": receives,
        }
        attribute(intake, "RedrivePolicy", json.dumps(found))(patient)

    return plant


def connected(*options: str, after: Plant) -> Plant:
    """Return what connects the fault's bucket by the command first."""

    def plant(patient: Patient) -> None:
        line = CommandLine(["connect"], patient.environment)
        ran = line(patient.bucket, "--yes", "--move", "--wait", "0", *options)
        assert ran.status == 0, ran.output + ran.errors
        after(patient)

    return plant


def no_notification(patient: Patient) -> None:
    patient.notify()


def job_of(worker: str) -> Plant:
    return lambda p: p.realm.put("jobs", [JOB | {"job_id": "job-core", "worker": worker}])


def with_condition(sid: str, condition: dict[str, Any]) -> Plant:
    """Return what puts a condition on a statement of the policy of the function's role."""

    def plant(patient: Patient) -> None:
        iam, own = patient.aws.client("iam"), {"RoleName": patient.role, "PolicyName": "s3trigger"}
        statements = iam.get_role_policy(**own)["PolicyDocument"]["Statement"]
        for statement in statements:
            if statement["Sid"] == sid:
                statement["Condition"] = condition
        iam.put_role_policy(**own, PolicyDocument=policy(*statements))

    return plant


def with_statement(action: str, resource: str, effect: str = "Allow") -> Plant:
    """Return what adds a statement to the policy of the function's role."""

    def plant(patient: Patient) -> None:
        iam, own = patient.aws.client("iam"), {"RoleName": patient.role, "PolicyName": "s3trigger"}
        statements = iam.get_role_policy(**own)["PolicyDocument"]["Statement"]
        added = allow(action, resource) | {"Effect": effect}
        iam.put_role_policy(**own, PolicyDocument=policy(*statements, added))

    return plant


def provisioned_without_index(patient: Patient) -> None:
    delete_table("s3triggers")(patient)
    patient.aws.client("dynamodb").create_table(
        TableName=patient.table("s3triggers"),
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
        AttributeDefinitions=[{"AttributeName": "trigger_id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "trigger_id", "KeyType": "HASH"}],
    )


def permitted_only(service: str, arn: str) -> Plant:
    """Return what permits a service for one source only, which is not the fault's."""

    def plant(patient: Patient) -> None:
        no_invoker(service)(patient)
        patient.aws.client("lambda").add_permission(
            FunctionName=patient.function,
            StatementId="another",
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
            SourceArn=arn,
        )

    return plant


def another_subscriber(patient: Patient) -> None:
    """Subscribe another team's queue to the topic, and notify the function as well."""
    patient.aws.client("sns").subscribe(
        TopicArn=patient.topic, Protocol="sqs", Endpoint=other_queue(patient)
    )
    notification = {"TopicArn": patient.topic, "Events": CREATED}
    notifying(("function", CREATED), TopicConfigurations=[notification])(patient)


def topic_policy(*statements: dict[str, Any]) -> Plant:
    return api(
        "sns",
        "set_topic_attributes",
        TopicArn=lambda p: p.topic,
        AttributeName="Policy",
        AttributeValue=policy(*statements),
    )


def unsendable_dead_letters(patient: Patient) -> None:
    """Give a rule a dead-letter queue that EventBridge may not send to."""
    dead = {"Arn": patient.outputs["DeadLetterQueueArn"]}
    rule(DeadLetterConfig=dead)(patient)
    attribute(dead_letters, "Policy", policy())(patient)


QUIET: Final = {"LogFormat": "JSON", "ApplicationLogLevel": "FATAL"}
CONFIGURED: Final = (
    Fault(
        "function-handler",
        of_function("update_function_configuration", Handler="main.handler"),
        spoils=True,
    ),
    Fault(
        "function-timeout",
        both(
            of_function("update_function_configuration", Timeout=30),
            attribute(intake, "VisibilityTimeout", "180"),
        ),
    ),
    Fault("function-log-level", variables(LOGLEVEL="critical"), "function"),
    Fault(
        "function-log-level",
        of_function("update_function_configuration", LoggingConfig=QUIET),
        "lambda",
        spoils=True,
    ),
    Fault("queue-policy", attribute(intake, "Policy", policy()), "intake", route="sqs"),
    Fault(
        "queue-policy", unsendable_dead_letters, "dead-letters", route="eventbridge", spoils=True
    ),
    Fault("redrive-to-worker", redrive_policy(worker_queue, 5)),
    Fault("redrive-receives", redrive_policy(intake_dead_letters, 1)),
    Fault(
        "visibility-timeout",
        of_mapping(intake, MaximumBatchingWindowInSeconds=1),
        "window",
        route="sqs",
        spoils=True,
    ),
)
"""Faults of the function's configuration, and of its queues'."""


# --- The faults -----------------------------------------------------------------------------

FAULTS: Final = (
    *CONFIGURED,
    Fault("function-configuration", variables(S3TRIGGER_CACHE_TTL="soon"), "value", spoils=True),
    Fault("function-configuration", variables(LAVA_REALM="other"), "realm"),
    Fault(
        "function-configuration",
        variables(
            LAVA_REALM="other",
            S3TRIGGER_CACHE_TTL="soon",
            S3TRIGGER_DEAD_LETTER_QUEUE=None,
            SQS_MAX_DELAY_MINS="x",
        ),
        "four",
        spoils=True,
    ),
    Fault(
        "function-throttled",
        of_function("put_function_concurrency", ReservedConcurrentExecutions=0),
    ),
    Fault(
        "function-dead-letters",
        of_function("update_function_configuration", DeadLetterConfig={"TargetArn": ""}),
    ),
    Fault("function-parking", variables(S3TRIGGER_DEAD_LETTER_QUEUE=None)),
    Fault("function-invokers", no_invoker("events"), route="eventbridge", spoils=True),
    Fault("bucket-not-permitted", no_invoker("s3"), spoils=True),
    Fault("topic-not-permitted", no_invoker("sns"), route="sns", spoils=True),
    Fault("role-permissions", without_statement("GetJobs"), "jobs", spoils=True),
    Fault("role-permissions", without_statement("FindTriggers"), "triggers", spoils=True),
    Fault("role-permissions", without_statement("DispatchAndPark"), "queues", spoils=True),
    Fault("role-permissions", without_statement("ReadQueues"), "intake", route="sqs", spoils=True),
    Fault("role-permissions", without_statement("WriteLogs"), "log", spoils=True),
    Fault(
        "role-permissions",
        with_condition("GetJobs", {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}),
        "condition",
        spoils=True,
    ),
    Fault(
        "role-permissions",
        with_statement("dynamodb:GetItem", "*", "Deny"),
        "denied",
        told="denies it",
        spoils=True,
    ),
    Fault("role-wide", more_permissions("more", "s3:*", "*"), "inline"),
    Fault("role-wide", with_statement("s3:*", "*"), "statement"),
    Fault("role-wide", both(managed_policy, without_statement("GetJobs")), "needed", spoils=True),
    Fault("role-wide", managed_policy, "managed"),
    Fault("redrive-left-on", of_mapping(dead_letters, Enabled=True)),
    Fault(
        "dead-letter-retention", attribute(dead_letters, "MessageRetentionPeriod", "345600"), "own"
    ),
    Fault(
        "dead-letter-retention",
        attribute(intake_dead_letters, "MessageRetentionPeriod", "345600"),
        "intake",
    ),
    Fault("redrive-policy-missing", queue_without_redrive(), "none", spoils=True),
    Fault(
        "redrive-policy-missing",
        queue_without_redrive("own-{bucket}.fifo", FifoQueue="true"),
        "fifo",
        spoils=True,
    ),
    Fault(
        "redrive-policy-missing", of_queue(intake_dead_letters, "delete_queue"), "gone", spoils=True
    ),
    Fault("queue-key", key, "role", spoils=True),
    Fault("queue-key", attribute(intake, "KmsMasterKeyId", str(uuid.uuid4())), "gone", spoils=True),
    Fault("queue-key-disabled", api("kms", "disable_key", KeyId=key), "disabled", spoils=True),
    Fault(
        "queue-key-disabled",
        api("kms", "schedule_key_deletion", KeyId=key, PendingWindowInDays=7),
        "deleted",
        spoils=True,
    ),
    Fault("alarm-missing", no_alarm("dead-letters"), "queue"),
    Fault("alarm-missing", no_alarm("lag"), "percentile"),
    Fault("alarm-silent", alarm_without_action, "none", spoils=True),
    Fault(
        "alarm-silent",
        api("cloudwatch", "disable_alarm_actions", AlarmNames=lambda p: [f"{p.function}-errors"]),
        "off",
    ),
    Fault("worker-queue-missing", of_queue(worker_queue, "delete_queue")),
    Fault("worker-queue-missing", job_of("coer"), "misspelt"),
    Fault("visibility-timeout", attribute(intake, "VisibilityTimeout", "60")),
    Fault("mapping-partial-responses", of_mapping(intake, FunctionResponseTypes=[]), route="sqs"),
    Fault("mapping-disabled", of_mapping(intake, Enabled=False), route="sqs"),
    Fault(
        "redrive-mapping-missing",
        of_mapping(dead_letters, "delete_event_source_mapping"),
        spoils=True,
    ),
    Fault("dead-letter-queue-missing", of_queue(dead_letters, "delete_queue"), spoils=True),
    Fault(
        "dead-letter-queue-missing",
        lambda p: p.variables(S3TRIGGER_DEAD_LETTER_QUEUE=f"{p.function}-dql"),
        "misspelt",
    ),
    Fault("dedup-table-grows", no_time_to_live),
    Fault("dedup-table-missing", delete_table("s3trigger-dedup")),
    Fault("bucket-missing", lambda p: p.trigger(f"{p.bucket}-typo", f"{p.bucket}x")),
    Fault("bucket-not-connected", lambda p: p.notify(), "nothing"),
    Fault("bucket-not-connected", notifying(("other", CREATED)), "beside-another"),
    Fault(
        "bucket-not-connected",
        both(no_notification, entry(if_event_type="ObjectCreated:PutObject")),
        "types-of-eventbridge",
    ),
    Fault(
        "bucket-not-connected",
        connected("--by", "s3", after=no_notification),
        "connected-before",
    ),
    Fault(
        "bucket-not-connected",
        connected("--by", "eventbridge", after=no_notification),
        "rules-before",
        route="eventbridge",
    ),
    Fault("bucket-not-connected", no_notification, "eventbridge-off", route="eventbridge"),
    Fault(
        "bucket-not-connected",
        notifying(("other", CREATED)),
        "eventbridge-off-beside-another",
        route="eventbridge",
    ),
    Fault("bucket-connected-twice", notifying(("function", CREATED), ("intake", PUT)), "by-s3"),
    Fault("bucket-connected-twice", rule("{rule}-b"), "by-two-rules", route="eventbridge"),
    Fault(
        "bucket-connected-twice",
        notifying(
            ("function", [*CREATED, "s3:ObjectRemoved:*"]),
            ("intake", [*CREATED, "s3:ObjectRemoved:*"]),
        ),
        "with-deletions",
        deletions=1,
    ),
    Fault(
        "bucket-connected-twice",
        connected("--by", "eventbridge", after=rule("{rule}-b")),
        "by-a-rule-of-ours",
        route="eventbridge",
    ),
    Fault(
        "bucket-connected-twice",
        notifying(("intake", CREATED), EventBridgeConfiguration={}),
        "by-intake-and-rule",
        route="eventbridge",
    ),
    Fault(
        "bucket-connected-twice",
        notifying(("function", CREATED), EventBridgeConfiguration={}),
        "by-a-rule",
        route="eventbridge",
    ),
    Fault(
        "bucket-connected-twice",
        another_subscriber,
        "by-a-topic-of-others",
        route="sns",
        told="would lose its events",
    ),
    Fault(
        "bucket-filter",
        filtered("prefix", "in/", [*CREATED, "s3:ObjectRemoved:Delete"]),
        "deletions-of-some",
        told="ObjectRemoved:Delete reaches some objects",
    ),
    Fault("bucket-filter", filtered("prefix", "out/"), "prefix"),
    Fault(
        "bucket-filter",
        rule(detail={"object": {"key": [{"prefix": "out/"}]}}),
        "prefix-of-a-rule",
        route="eventbridge",
    ),
    Fault("bucket-filter", filtered("suffix", ".json"), "suffix"),
    Fault("bucket-filter", filtered("", "", PUT), "events"),
    Fault("bucket-filter", rule(detail={"reason": ["CopyObject"]}), "rule", route="eventbridge"),
    Fault("bucket-filter-encoding", filtered("prefix", "day=1/a b/")),
    Fault("bucket-overlap", notifying(("function", CREATED), ("other", PUT))),
    Fault(
        "trigger-unreachable",
        both(
            entry(prefix="in"),
            connected("--by", "s3", after=lambda p: p.trigger(f"{p.bucket}-x", p.bucket, "out")),
            entry(prefix="elsewhere"),
        ),
        "of-ours",
        key="elsewhere/a.csv",
    ),
    Fault("trigger-unreachable", both(filtered("prefix", "out/"), entry(prefix="in")), "prefix"),
    Fault(
        "trigger-unreachable",
        entry(if_event_type="ObjectCreated:PutObject"),
        "type-of-eventbridge",
        route="sqs",
    ),
    Fault(
        "trigger-unreachable",
        entry(if_event_type="ObjectCreated:Put"),
        "type-of-s3",
        route="eventbridge",
    ),
    Fault(
        "rule-disabled", api("events", "disable_rule", Name=lambda p: p.rule), route="eventbridge"
    ),
    Fault(
        "rule-disabled",
        both(
            api("events", "disable_rule", Name=lambda p: p.rule),
            notifying(("function", CREATED), EventBridgeConfiguration={}),
        ),
        "and-connected",
        route="eventbridge",
    ),
    Fault(
        "rule-disabled",
        both(
            rule("{rule}-b"),
            api("events", "disable_rule", Name=lambda p: p.rule),
            api("events", "disable_rule", Name=lambda p: f"{p.rule}-b"),
        ),
        "two",
        route="eventbridge",
    ),
    Fault(
        "rule-disabled",
        both(
            api("events", "disable_rule", Name=lambda p: p.rule),
            filtered("prefix", "in/", EventBridgeConfiguration={}),
        ),
        "and-connected-in-part",
        route="eventbridge",
    ),
    Fault("rule-name", permitted_rule("odd-{bucket}"), "odd", route="eventbridge", spoils=True),
    Fault(
        "rule-name",
        permitted_rule("odd-{bucket}-" + "x" * 50),
        "long",
        route="eventbridge",
        spoils=True,
    ),
    Fault(
        "rule-pattern",
        rule("{rule}-hourly", when={"ScheduleExpression": "rate(1 hour)"}),
        "schedule",
    ),
    Fault("rule-pattern", rule(pattern={"source": ["my.app"]}), "source", route="eventbridge"),
    Fault(
        "rule-pattern",
        rule(pattern={"detail-type": ["Object Craeted"]}),
        "type",
        route="eventbridge",
    ),
    Fault("rule-pattern", rule(detail={"reason": ["Put"]}), "reason", route="eventbridge"),
    Fault("rule-transforms", rule(InputPath="$.detail"), route="eventbridge"),
    Fault("rule-not-permitted", unpermitted_rule, "odd", route="eventbridge", spoils=True),
    Fault(
        "rule-not-permitted",
        permitted_only("events", f"arn:aws:events:{ARN}:rule/another"),
        "another",
        route="eventbridge",
        spoils=True,
    ),
    Fault(
        "bucket-not-permitted",
        permitted_only("s3", "arn:aws:s3:::another"),
        "another",
        spoils=True,
    ),
    Fault(
        "topic-not-permitted",
        permitted_only("sns", f"arn:aws:sns:{ARN}:another"),
        "another",
        route="sns",
        spoils=True,
    ),
    Fault("subscription-filter", subscription_filter, route="sns"),
    Fault("topic-publishers", topic_policy(), "none", route="sns"),
    Fault(
        "topic-publishers",
        topic_policy(
            allow("sns:Publish", "*")
            | {"Principal": {"Service": "s3.amazonaws.com"}, "Effect": "Deny"}
        ),
        "denied",
        route="sns",
        told="it denies it",
    ),
    Fault(
        "topic-publishers",
        topic_policy(
            allow("sns:Publish", f"arn:aws:sns:{ARN}:*")
            | {
                "Principal": {"Service": "s3.amazonaws.com"},
                "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::another"}},
            }
        ),
        "another",
        route="sns",
    ),
    Fault("index-missing", no_index, "on-demand", after=entries, spoils=True),
    Fault("index-missing", provisioned_without_index, "provisioned", after=entries, spoils=True),
    Fault("table-missing", delete_table("jobs"), "jobs", after=job, spoils=True),
    Fault("table-missing", delete_table("s3triggers"), "triggers", after=entries, spoils=True),
)
