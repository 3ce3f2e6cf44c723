"""Faults of a deployed realm that `doctor` finds, each with how it is planted.

`test_doctor.py` plants each, runs what `doctor` prints, and sees that the realm is right again.
To add a fault, add a row to `FAULTS`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from lava_s3trigger import __version__
from tests.cli.commandline import CommandLine, Ran
from tools.local.server import ACCOUNT, REGION

from .bucket_cases import CREATED, FUNCTIONS, PUT, QUEUES, Note, notifications
from .conftest import JOB, Stack
from .connections import allow, policy

Plant = Callable[["Patient"], object]

ARN: Final = f"{REGION}:{ACCOUNT}"
INTAKE: Final = "{p.function}-intake"
INTAKE_DEAD_LETTERS: Final = "{p.function}-intake-dlq"
DEAD_LETTERS: Final = "{p.function}-dlq"
WORKER_QUEUE: Final = "lava-{p.realm.name}-core"


@dataclass(frozen=True)
class Patient(Stack):
    """A deployed realm, and the bucket of the fault that is planted in it."""

    bucket: str = ""

    @property
    def rule(self) -> str:
        return f"lava.{self.realm.name}.{self.bucket}"

    @property
    def topic(self) -> str:
        return f"arn:aws:sns:{ARN}:lava-{self.realm.name}-{self.bucket}"

    def table(self, kind: str) -> str:
        return f"lava.{self.realm.name}.{kind}"

    def named(self, name: str) -> str:
        """Return a name with what it has of the patient, such as the function, filled in."""
        return name.format(p=self)

    def doctor(self, *arguments: str, **credentials: str) -> Ran:
        return CommandLine(["doctor"], self.environment | credentials)(*arguments)

    def found(self, *arguments: str, **credentials: str) -> dict[str, Any]:
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

    def unnotify(self) -> None:
        self.notify(self.bucket)

    def connect_by(self, route: str) -> None:
        """Connect the fault's bucket by hand, for new objects."""
        connections = replace(self.connections, events=[CREATED])
        more = [self.outputs["IntakeQueueArn"]] if route == "sqs" else []
        getattr(connections, f"by_{route}")(self.bucket, *more)

    def remove_bucket(self) -> None:
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
        self.unnotify()


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
    """How its bucket is connected by hand: s3, sqs, sns or eventbridge."""
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


by_rule = partial(Fault, route="eventbridge")
by_topic = partial(Fault, route="sns")
spoiling = partial(Fault, spoils=True)


# --- Plants ---------------------------------------------------------------------------------


def api(service: str, operation: str, **arguments: Any) -> Plant:
    """Return what calls AWS; arguments may be functions of the patient."""

    def plant(patient: Patient) -> None:
        values = {
            name: value(patient) if callable(value) else value for name, value in arguments.items()
        }
        getattr(patient.aws.client(service), operation)(**values)

    return plant


def both(*plants: Plant) -> Plant:
    def plant(patient: Patient) -> None:
        for each in plants:
            each(patient)

    return plant


def of_function(operation: str, **arguments: Any) -> Plant:
    return api("lambda", operation, FunctionName=lambda p: p.function, **arguments)


def configured(**fields: Any) -> Plant:
    return of_function("update_function_configuration", **fields)


def variables(**changes: str | None) -> Plant:
    return lambda patient: patient.set_variables(**changes)


def no_invoker(service: str) -> Plant:
    return lambda patient: patient.remove_permissions(service)


def permitted(service: str, arn: Any) -> Plant:
    """Return what permits a service to invoke the function, for one source."""
    return of_function(
        "add_permission",
        StatementId=lambda p: f"odd-{p.bucket}",
        Action="lambda:InvokeFunction",
        Principal=f"{service}.amazonaws.com",
        SourceArn=arn,
    )


def permitted_only(service: str, arn: str) -> Plant:
    """Return what permits a service for one source only, which is not the fault's."""
    return both(no_invoker(service), permitted(service, arn))


def statements(changed: Callable[[list[Any]], list[Any]]) -> Plant:
    return lambda patient: patient.put_role_policy(changed(patient.role_statements()))


def without_statement(sid: str) -> Plant:
    return statements(lambda before: [each for each in before if each["Sid"] != sid])


def with_condition(sid: str, condition: dict[str, Any]) -> Plant:
    more = {"Condition": condition}
    return statements(lambda before: [e | (more if e["Sid"] == sid else {}) for e in before])


def with_statement(statement: dict[str, Any]) -> Plant:
    return statements(lambda before: [*before, statement])


def managed_policy(patient: Patient) -> None:
    iam, document = patient.aws.client("iam"), policy(allow("*", "*"))
    name = f"everything-{patient.bucket}"
    answer = iam.create_policy(PolicyName=name, PolicyDocument=document)
    iam.attach_role_policy(RoleName=patient.role, PolicyArn=answer["Policy"]["Arn"])


def of_queue(name: str, operation: str, **arguments: Any) -> Plant:
    return api("sqs", operation, QueueUrl=lambda p: p.queue_url(p.named(name)), **arguments)


def attribute(queue: str, name: str, value: str) -> Plant:
    return of_queue(queue, "set_queue_attributes", Attributes={name: value})


def of_mapping(queue: str, operation: str = "update_event_source_mapping", **changes: Any) -> Plant:
    return api("lambda", operation, UUID=lambda p: p.mapping(p.named(queue))["UUID"], **changes)


def redrive_policy(target: str, receives: int) -> Plant:
    def plant(patient: Patient) -> None:
        arn = f"arn:aws:sqs:{ARN}:{patient.named(target)}"
        redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": receives}
        attribute(INTAKE, "RedrivePolicy", json.dumps(redrive))(patient)

    return plant


def queue_without_redrive(name: str, **attributes: str) -> Plant:
    return both(
        api(
            "sqs",
            "create_queue",
            QueueName=lambda p: p.named(name),
            Attributes={"VisibilityTimeout": "360"} | attributes,
        ),
        of_function(
            "create_event_source_mapping",
            EventSourceArn=lambda p: f"arn:aws:sqs:{ARN}:{p.named(name)}",
            FunctionResponseTypes=["ReportBatchItemFailures"],
        ),
    )


def key(patient: Patient) -> str:
    """Encrypt the queue of a worker with a new key; return its id."""
    key_id: str = patient.aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    attribute(WORKER_QUEUE, "KmsMasterKeyId", key_id)(patient)
    return key_id


def alarm_without_action(patient: Patient) -> None:
    dimensions = {"realm": patient.realm.name, "function": patient.function}
    patient.aws.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{patient.function}-lag",
        Namespace="lava",
        MetricName="lag",
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        ExtendedStatistic="p50",
        Period=300,
        EvaluationPeriods=3,
        Threshold=60,
        ComparisonOperator="GreaterThanThreshold",
    )


def of_alarm(operation: str, name: str) -> Plant:
    return api("cloudwatch", operation, AlarmNames=lambda p: [f"{p.function}-{name}"])


def time_to_live(*, enabled: bool) -> Plant:
    return api(
        "dynamodb",
        "update_time_to_live",
        TableName=lambda p: p.table("s3trigger-dedup"),
        TimeToLiveSpecification={"Enabled": enabled, "AttributeName": "expires"},
    )


def delete_table(kind: str) -> Plant:
    return api("dynamodb", "delete_table", TableName=lambda p: p.table(kind))


def no_index(**billing: Any) -> Plant:
    return both(
        delete_table("s3triggers"),
        api(
            "dynamodb",
            "create_table",
            TableName=lambda p: p.table("s3triggers"),
            AttributeDefinitions=[{"AttributeName": "trigger_id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "trigger_id", "KeyType": "HASH"}],
            **billing,
        ),
    )


def entries(patient: Patient) -> None:
    """Put the entries of all buckets, which went with their table."""
    patient.entry()
    for bucket in base_buckets(patient.realm.name):
        patient.trigger(bucket, bucket, parameters=PARAMETERS)


def base_buckets(realm: str) -> dict[str, str]:
    """Return the buckets of a sound realm, with their routes."""
    return {f"{realm}-by-{route}": route for route in ("s3", "sqs", "sns", "eventbridge")}


def entry(**fields: Any) -> Plant:
    return lambda patient: patient.entry(**fields)


def job_of(worker: str) -> Plant:
    return lambda p: p.realm.put("jobs", [JOB | {"job_id": "job-core", "worker": worker}])


def notifying(*notes: Note, **more: Any) -> Plant:
    """Return what notifies destinations of events: function, intake, and another's queue."""

    def plant(patient: Patient) -> None:
        arns = {
            "ours": patient.outputs["FunctionArn"],
            "intake": patient.outputs["IntakeQueueArn"],
            "queue": patient.other_queue("another-team"),
        }
        patient.notify(patient.bucket, **notifications(notes, arns), **more)

    return plant


def ours(*events: str, **affixes: str) -> Note:
    return Note(FUNCTIONS, "ours", **affixes, events=events or (CREATED,))


def by_intake(*events: str) -> Note:
    return Note(QUEUES, "intake", events=events)


def by_others(event: str = CREATED) -> Note:
    return Note(QUEUES, "queue", events=(event,))


ON: Final[dict[str, Any]] = {"EventBridgeConfiguration": {}}


def rule(name: str = "{p.rule}", **changes: Any) -> Plant:
    """Return what puts a rule: with the name of the fault's bucket, or another one."""

    def plant(patient: Patient) -> None:
        events, fields, full = patient.aws.client("events"), dict(changes), patient.named(name)
        detail = {"bucket": {"name": [patient.bucket]}, **fields.pop("detail", {})}
        pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
        when = fields.pop("when", {"EventPattern": json.dumps(pattern | fields.pop("pattern", {}))})
        events.put_rule(Name=full, **when)
        target = {"Id": "s3trigger", "Arn": patient.outputs["FunctionArn"]}
        events.put_targets(Rule=full, Targets=[target | fields])

    return plant


def disabled(name: str = "{p.rule}") -> Plant:
    return api("events", "disable_rule", Name=lambda p: p.named(name))


def renamed_rule(name: str) -> Plant:
    """Return what puts a rule with another name than the stack permits, in place of its own."""
    return both(
        api("events", "remove_targets", Rule=lambda p: p.rule, Ids=["s3trigger"]), rule(name)
    )


def permitted_rule(name: str) -> Plant:
    def arn(patient: Patient) -> Any:
        return patient.aws.client("events").describe_rule(Name=patient.named(name))["Arn"]

    return both(renamed_rule(name), permitted("events", arn))


def unsendable_dead_letters(patient: Patient) -> None:
    """Give a rule a dead-letter queue that EventBridge may not send to."""
    rule(DeadLetterConfig={"Arn": patient.outputs["DeadLetterQueueArn"]})(patient)
    attribute(DEAD_LETTERS, "Policy", policy())(patient)


def subscription_filter(patient: Patient) -> None:
    sns = patient.aws.client("sns")
    [subscription] = sns.list_subscriptions_by_topic(TopicArn=patient.topic)["Subscriptions"]
    sns.set_subscription_attributes(
        SubscriptionArn=subscription["SubscriptionArn"],
        AttributeName="FilterPolicy",
        AttributeValue='{"kind": ["orders"]}',
    )


def another_subscriber(patient: Patient) -> None:
    """Subscribe another team's queue to the topic, and notify the function as well."""
    queue = patient.other_queue("another-team")
    patient.aws.client("sns").subscribe(TopicArn=patient.topic, Protocol="sqs", Endpoint=queue)
    to_topic = {"TopicArn": patient.topic, "Events": [CREATED]}
    notifying(ours(), TopicConfigurations=[to_topic])(patient)


def topic_policy(*statements: dict[str, Any]) -> Plant:
    changed = {"AttributeName": "Policy", "AttributeValue": policy(*statements)}
    return api("sns", "set_topic_attributes", TopicArn=lambda p: p.topic, **changed)


def connected(by: str, after: Plant) -> Plant:
    def plant(patient: Patient) -> None:
        line = CommandLine(["connect"], patient.environment)
        ran = line(patient.bucket, "--yes", "--move", "--wait", "0", "--by", by)
        assert ran.status == 0, ran.output + ran.errors
        after(patient)

    return plant


# --- The faults -----------------------------------------------------------------------------

RULE_B: Final = rule("{p.rule}-b")
OF_RULES: Final = entry(if_event_type="ObjectCreated:PutObject")
QUIET: Final = {"LogFormat": "JSON", "ApplicationLogLevel": "FATAL"}
SHORT: Final = ("MessageRetentionPeriod", "345600")
ELSEWHERE: Final = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
WRONG: Final = {"LAVA_REALM": "other", "S3TRIGGER_CACHE_TTL": "soon", "SQS_MAX_DELAY_MINS": "x"}
OUT: Final = {"object": {"key": [{"prefix": "out/"}]}}
OF_ANOTHER: Final = {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::another"}}
REMOVED: Final = "s3:ObjectRemoved:*"

FAULTS: Final = (
    spoiling("function-handler", configured(Handler="main.handler")),
    Fault(
        "function-timeout",
        both(configured(Timeout=30), attribute(INTAKE, "VisibilityTimeout", "180")),
    ),
    Fault("function-log-level", variables(LOGLEVEL="critical"), "function"),
    spoiling("function-log-level", configured(LoggingConfig=QUIET), "lambda"),
    Fault("queue-policy", attribute(INTAKE, "Policy", policy()), "intake", route="sqs"),
    by_rule("queue-policy", unsendable_dead_letters, "dead-letters", spoils=True),
    Fault("redrive-to-worker", redrive_policy(WORKER_QUEUE, 5)),
    Fault("redrive-receives", redrive_policy(INTAKE_DEAD_LETTERS, 1)),
    spoiling(
        "visibility-timeout",
        of_mapping(INTAKE, MaximumBatchingWindowInSeconds=1),
        "window",
        route="sqs",
    ),
    spoiling("function-configuration", variables(S3TRIGGER_CACHE_TTL="soon"), "value"),
    Fault("function-configuration", variables(LAVA_REALM="other"), "realm"),
    spoiling(
        "function-configuration", variables(**WRONG, S3TRIGGER_DEAD_LETTER_QUEUE=None), "four"
    ),
    Fault(
        "function-throttled",
        of_function("put_function_concurrency", ReservedConcurrentExecutions=0),
    ),
    Fault("function-dead-letters", configured(DeadLetterConfig={"TargetArn": ""})),
    Fault("function-parking", variables(S3TRIGGER_DEAD_LETTER_QUEUE=None)),
    by_rule("function-invokers", no_invoker("events"), spoils=True),
    spoiling("bucket-not-permitted", no_invoker("s3")),
    by_topic("topic-not-permitted", no_invoker("sns"), spoils=True),
    spoiling("role-permissions", without_statement("GetJobs"), "jobs"),
    spoiling("role-permissions", without_statement("FindTriggers"), "triggers"),
    spoiling("role-permissions", without_statement("DispatchAndPark"), "queues"),
    spoiling("role-permissions", without_statement("ReadQueues"), "intake", route="sqs"),
    spoiling("role-permissions", without_statement("WriteLogs"), "log"),
    spoiling("role-permissions", with_condition("GetJobs", ELSEWHERE), "condition"),
    spoiling(
        "role-permissions",
        with_statement(allow("dynamodb:GetItem", "*") | {"Effect": "Deny"}),
        "denied",
        told="denies it",
    ),
    Fault("role-wide", lambda p: p.put_role_policy([allow("s3:*", "*")], "more"), "inline"),
    Fault("role-wide", with_statement(allow("s3:*", "*")), "statement"),
    spoiling("role-wide", both(managed_policy, without_statement("GetJobs")), "needed"),
    Fault("role-wide", managed_policy, "managed"),
    Fault("redrive-left-on", of_mapping(DEAD_LETTERS, Enabled=True)),
    Fault("dead-letter-retention", attribute(DEAD_LETTERS, *SHORT), "own"),
    Fault("dead-letter-retention", attribute(INTAKE_DEAD_LETTERS, *SHORT), "intake"),
    spoiling("redrive-policy-missing", queue_without_redrive("own-{p.bucket}"), "none"),
    spoiling(
        "redrive-policy-missing",
        queue_without_redrive("own-{p.bucket}.fifo", FifoQueue="true"),
        "fifo",
    ),
    spoiling("redrive-policy-missing", of_queue(INTAKE_DEAD_LETTERS, "delete_queue"), "gone"),
    spoiling("queue-key", key, "role"),
    spoiling("queue-key", attribute(INTAKE, "KmsMasterKeyId", str(uuid.uuid4())), "gone"),
    spoiling("queue-key-disabled", api("kms", "disable_key", KeyId=key), "disabled"),
    spoiling(
        "queue-key-disabled",
        api("kms", "schedule_key_deletion", KeyId=key, PendingWindowInDays=7),
        "deleted",
    ),
    Fault("alarm-missing", of_alarm("delete_alarms", "dead-letters"), "queue"),
    Fault("alarm-missing", of_alarm("delete_alarms", "lag"), "percentile"),
    spoiling("alarm-silent", alarm_without_action, "none"),
    Fault("alarm-silent", of_alarm("disable_alarm_actions", "errors"), "off"),
    Fault("worker-queue-missing", of_queue(WORKER_QUEUE, "delete_queue")),
    Fault("worker-queue-missing", job_of("coer"), "misspelt"),
    Fault("visibility-timeout", attribute(INTAKE, "VisibilityTimeout", "60")),
    Fault("mapping-partial-responses", of_mapping(INTAKE, FunctionResponseTypes=[]), route="sqs"),
    Fault("mapping-disabled", of_mapping(INTAKE, Enabled=False), route="sqs"),
    spoiling("redrive-mapping-missing", of_mapping(DEAD_LETTERS, "delete_event_source_mapping")),
    spoiling("dead-letter-queue-missing", of_queue(DEAD_LETTERS, "delete_queue")),
    Fault(
        "dead-letter-queue-missing",
        lambda p: p.set_variables(S3TRIGGER_DEAD_LETTER_QUEUE=f"{p.function}-dql"),
        "misspelt",
    ),
    Fault("dedup-table-grows", time_to_live(enabled=False)),
    Fault("dedup-table-missing", delete_table("s3trigger-dedup")),
    Fault("bucket-missing", lambda p: p.trigger(f"{p.bucket}-typo", f"{p.bucket}x")),
    Fault("bucket-not-connected", Patient.unnotify, "nothing"),
    Fault("bucket-not-connected", notifying(by_others()), "beside-another"),
    Fault("bucket-not-connected", both(Patient.unnotify, OF_RULES), "types-of-eventbridge"),
    Fault("bucket-not-connected", connected("s3", Patient.unnotify), "connected-before"),
    by_rule("bucket-not-connected", connected("eventbridge", Patient.unnotify), "rules-before"),
    by_rule("bucket-not-connected", Patient.unnotify, "eventbridge-off"),
    by_rule("bucket-not-connected", notifying(by_others()), "eventbridge-off-beside-another"),
    Fault("bucket-connected-twice", notifying(ours(), by_intake(PUT)), "by-s3"),
    by_rule("bucket-connected-twice", RULE_B, "by-two-rules"),
    Fault(
        "bucket-connected-twice",
        notifying(ours(CREATED, REMOVED), by_intake(CREATED, REMOVED)),
        "with-deletions",
        deletions=1,
    ),
    by_rule("bucket-connected-twice", connected("eventbridge", RULE_B), "by-a-rule-of-ours"),
    by_rule("bucket-connected-twice", notifying(by_intake(CREATED), **ON), "by-intake-and-rule"),
    by_rule("bucket-connected-twice", notifying(ours(), **ON), "by-a-rule"),
    by_topic(
        "bucket-connected-twice",
        another_subscriber,
        "by-a-topic-of-others",
        told="would lose its events",
    ),
    Fault(
        "bucket-filter",
        notifying(ours(CREATED, "s3:ObjectRemoved:Delete", prefix="in/")),
        "deletions-of-some",
        told="ObjectRemoved:Delete reaches some objects",
    ),
    Fault("bucket-filter", notifying(ours(prefix="out/")), "prefix"),
    by_rule("bucket-filter", rule(detail=OUT), "prefix-of-a-rule"),
    Fault("bucket-filter", notifying(ours(suffix=".json")), "suffix"),
    Fault("bucket-filter", notifying(ours(PUT)), "events"),
    by_rule("bucket-filter", rule(detail={"reason": ["CopyObject"]}), "rule"),
    Fault("bucket-filter-encoding", notifying(ours(prefix="day=1/a b/"))),
    Fault("bucket-overlap", notifying(ours(), by_others(PUT))),
    Fault(
        "trigger-unreachable",
        both(
            entry(prefix="in"),
            connected("s3", lambda p: p.trigger(f"{p.bucket}-x", p.bucket, "out")),
            entry(prefix="elsewhere"),
        ),
        "of-ours",
        key="elsewhere/a.csv",
    ),
    Fault(
        "trigger-unreachable", both(notifying(ours(prefix="out/")), entry(prefix="in")), "prefix"
    ),
    Fault("trigger-unreachable", OF_RULES, "type-of-eventbridge", route="sqs"),
    by_rule("trigger-unreachable", entry(if_event_type="ObjectCreated:Put"), "type-of-s3"),
    by_rule("rule-disabled", disabled()),
    by_rule("rule-disabled", both(disabled(), notifying(ours(), **ON)), "and-connected"),
    by_rule("rule-disabled", both(RULE_B, disabled(), disabled("{p.rule}-b")), "two"),
    by_rule(
        "rule-disabled",
        both(disabled(), notifying(ours(prefix="in/"), **ON)),
        "and-connected-in-part",
    ),
    by_rule("rule-name", permitted_rule("odd-{p.bucket}"), "odd", spoils=True),
    by_rule("rule-name", permitted_rule("odd-{p.bucket}-" + "x" * 50), "long", spoils=True),
    Fault(
        "rule-pattern",
        rule("{p.rule}-hourly", when={"ScheduleExpression": "rate(1 hour)"}),
        "schedule",
    ),
    by_rule("rule-pattern", rule(pattern={"source": ["my.app"]}), "source"),
    by_rule("rule-pattern", rule(pattern={"detail-type": ["Object Craeted"]}), "type"),
    by_rule("rule-pattern", rule(detail={"reason": ["Put"]}), "reason"),
    by_rule("rule-transforms", rule(InputPath="$.detail")),
    by_rule("rule-not-permitted", renamed_rule("mine-{p.bucket}"), "odd", spoils=True),
    by_rule(
        "rule-not-permitted",
        permitted_only("events", f"arn:aws:events:{ARN}:rule/another"),
        "another",
        spoils=True,
    ),
    spoiling("bucket-not-permitted", permitted_only("s3", "arn:aws:s3:::another"), "another"),
    by_topic(
        "topic-not-permitted",
        permitted_only("sns", f"arn:aws:sns:{ARN}:another"),
        "another",
        spoils=True,
    ),
    by_topic("subscription-filter", subscription_filter),
    by_topic("topic-publishers", topic_policy(), "none"),
    by_topic(
        "topic-publishers",
        topic_policy(allow("sns:Publish", "*", "s3") | {"Effect": "Deny"}),
        "denied",
        told="it denies it",
    ),
    by_topic(
        "topic-publishers",
        topic_policy(allow("sns:Publish", f"arn:aws:sns:{ARN}:*", "s3", Condition=OF_ANOTHER)),
        "another",
    ),
    spoiling("index-missing", no_index(BillingMode="PAY_PER_REQUEST"), "on-demand", after=entries),
    spoiling(
        "index-missing",
        no_index(ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}),
        "provisioned",
        after=entries,
    ),
    spoiling("table-missing", delete_table("jobs"), "jobs", after=job_of("core")),
    spoiling("table-missing", delete_table("s3triggers"), "triggers", after=entries),
)
