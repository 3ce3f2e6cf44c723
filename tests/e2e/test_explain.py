"""`explain` with a realm: what it says of routes, queues and the function is what they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.commandline import CommandLine, Ran
from tests.tables import cases

from .bucket_cases import CREATED, FUNCTIONS, QUEUES, REMOVED, TOPICS, Note, notifications
from .conftest import JOB, Stack, make_user
from .connections import allow, policy

Json = dict[str, Any]
Notify = Callable[["Stack", str], Json]

pytestmark = [pytest.mark.e2e, pytest.mark.slow("asks about 28 routes of a deployed stack")]

KEY: Final = "in/a.csv"


def notified(kind: str, to: str, event: str = CREATED, **affixes: str) -> Notify:
    """Return the notification to an output of the stack, perhaps to a topic before it."""

    def notify(stack: Stack, bucket: str) -> Json:
        arn = subscribed(stack, bucket, to) if kind == TOPICS else stack.outputs[to]
        return notifications((Note(kind, to, **affixes, events=(event,)),), {to: arn})

    return notify


by_function = partial(notified, FUNCTIONS, "FunctionArn")
by_queue = partial(notified, QUEUES, "IntakeQueueArn")
by_topic = partial(notified, TOPICS, "FunctionArn")


def subscribed(stack: Stack, name: str, to: str, services: tuple[str, ...] = ("s3",)) -> str:
    """Make a topic to which services may publish; return its ARN."""
    sns = stack.aws.client("sns")
    arn: str = sns.create_topic(Name=name)["TopicArn"]
    allowed = [f"{service}.amazonaws.com" for service in services]
    text = policy(allow("sns:Publish", arn, Principal={"Service": allowed}))
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=text)
    protocol = "sqs" if "Queue" in to else "lambda"
    sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=stack.outputs[to])
    return arn


def by_rule(
    *,
    to: str = "FunctionArn",
    state: str = "ENABLED",
    is_on: bool = True,
    pattern: Json | None = None,
    target: Json | None = None,
) -> Notify:
    """Return the configuration that sends events to EventBridge, and make a rule there.

    Its target is an output of the stack, or a topic before the function, if that is empty.
    """
    more = pattern or {}

    def notify(stack: Stack, bucket: str) -> Json:
        detail = {"bucket": {"name": [bucket]}, **more.get("detail", {})}
        chosen = {"source": ["aws.s3"], **more, "detail": detail}
        arn = stack.outputs[to] if to else subscribed(stack, bucket, "FunctionArn", ("events",))
        name = f"lava.{stack.realm.name}.{bucket}"
        stack.put_rule(name, chosen, state, Arn=arn, **(target or {}))
        return {"EventBridgeConfiguration": {}} if is_on else {}

    return notify


def both(stack: Stack, bucket: str) -> Json:
    return {**by_function()(stack, bucket), **by_rule()(stack, bucket)}


def nothing(_: Stack, __: str) -> Json:
    return {}


def someone_else(stack: Stack, bucket: str) -> Json:
    """Return a notification to a queue that the function does not read."""
    arn = stack.other_queue(bucket)
    return {"QueueConfigurations": [{"QueueArn": arn, "Events": [CREATED]}]}


@dataclass(frozen=True)
class Case:
    """A connection of a bucket, and what is true of an object that is put into it."""

    notify: Notify
    excluded: str | None = None
    """A part of the reason why the event does not arrive; None if it does."""
    routes: int = 1
    """On how many routes it arrives, if it does."""
    entry: Json = field(default_factory=dict)
    """Fields of the entry."""
    is_put: bool = True
    """Whether an object is put; the local server does not do what AWS does in other cases."""

    @property
    def times(self) -> int:
        return self.routes if self.excluded is None else 0


OF_S3: Final = {"if_event_type": "ObjectCreated:Put"}
OF_EVENTBRIDGE: Final = {"if_event_type": "ObjectCreated:PutObject"}


def of_object(**tests: list[Any]) -> Json:
    return {"detail": {"object": tests}}


ROUTES: Final = {
    "s3": Case(by_function()),
    "s3-prefix": Case(by_function(prefix="in/")),
    "s3-other-prefix": Case(by_function(prefix="out/"), "the prefix 'out/'"),
    "s3-other-suffix": Case(by_function(suffix=".txt"), "the suffix '.txt'"),
    "s3-other-type": Case(by_function(REMOVED), "do not include ObjectCreated:Put"),
    "s3-not-encoded": Case(by_function(prefix="in=/"), "'in=/' is not percent-encoded"),
    "queue": Case(by_queue()),
    "queue-other-prefix": Case(by_queue(prefix="out/"), "the prefix 'out/'"),
    "queue-other-type": Case(by_queue(REMOVED), "do not include ObjectCreated:Put"),
    "topic": Case(by_topic()),
    "topic-queue": Case(notified(TOPICS, "IntakeQueueArn")),
    "topic-other-prefix": Case(by_topic(prefix="out/"), "the prefix 'out/'"),
    "topic-other-type": Case(by_topic(REMOVED), "do not include ObjectCreated:Put"),
    "rule": Case(by_rule()),
    "rule-queue": Case(by_rule(to="IntakeQueueArn")),
    "rule-topic": Case(by_rule(to="")),
    "rule-key": Case(by_rule(pattern=of_object(key=[{"suffix": ".csv"}]))),
    "rule-disabled": Case(by_rule(state="DISABLED"), "it is disabled"),
    "rule-other-key": Case(
        by_rule(pattern=of_object(key=[{"prefix": "out/"}])),
        'detail.object.key is [{"prefix": "out/"}]',
    ),
    "rule-other-type": Case(
        by_rule(pattern={"detail-type": ["Object Deleted"]}), 'detail-type is ["Object Deleted"]'
    ),
    "rule-larger": Case(
        by_rule(pattern=of_object(size=[{"numeric": [">", 1000]}])), "detail.object.size is"
    ),
    "rule-without-events": Case(by_rule(is_on=False), "the bucket sends EventBridge no events"),
    "rule-transforms": Case(
        by_rule(target={"InputPath": "$.detail"}),
        "its target changes the event (InputPath)",
        is_put=False,
    ),
    "twice": Case(both, routes=2),
    "nothing": Case(nothing, ""),
    "someone-else": Case(someone_else, ""),
    "type-of-s3-by-s3": Case(by_function(), entry=OF_S3),
    "type-of-eventbridge-by-rule": Case(by_rule(), entry=OF_EVENTBRIDGE),
}


def explained(line: CommandLine, uri: str, *arguments: str) -> tuple[int, Json]:
    ran = line.json("explain", uri, *arguments)
    [event] = ran.json()["events"]
    return ran.status, event


def exclusion(line: CommandLine, bucket: str) -> str:
    """Return why the only route that leads to the function does not carry the object."""
    status, event = explained(line, f"s3://{bucket}/{KEY}")
    [excluded] = event["connection"]["excluded"]
    assert status == 1
    return str(excluded["reason"])


def connect(stack: Stack, bucket: str, notify: Notify, **entry: Any) -> None:
    stack.trigger(bucket, bucket, **entry)
    stack.aws.client("s3").create_bucket(Bucket=bucket)
    stack.notify(bucket, **notify(stack, bucket))


class TestRoutes:
    """Of each route, it says whether an event arrives, and the event then does or does not."""

    @cases(("name", "case"), {name: (name, case) for name, case in ROUTES.items()})
    def test_what_it_says_is_what_happens(
        self, stack: Stack, line: CommandLine, name: str, case: Case
    ) -> None:
        bucket = f"explain-{name}"
        connect(stack, bucket, case.notify, parameters={"key": "{{ key }}"}, **case.entry)

        status, event = explained(line, f"s3://{bucket}/{KEY}")

        connection = event["connection"]
        assert event["outcome"] == "dispatched"
        assert (status, connection["arrives"]) == ((0, True) if case.times else (1, False))
        assert len(connection["by"]) == case.times
        reasons = [route["reason"] for route in connection["excluded"]]
        assert len(reasons) == (1 if case.excluded else 0)
        assert (case.excluded or "") in "".join(reasons)
        if case.is_put:
            stack.put(bucket, KEY)
            # What arrives after it shows that no other dispatch is under way.
            stack.dispatches("core", case.times)
            assert_nothing_follows(stack)

    def test_an_entry_for_the_types_of_the_other_route_does_not_fire(
        self, stack: Stack, line: CommandLine
    ) -> None:
        routes = {"s3": (by_function(), OF_EVENTBRIDGE), "eb": (by_rule(), OF_S3)}
        for name, (notify, types) in routes.items():
            bucket = f"explain-other-type-{name}"
            connect(stack, bucket, notify, **types)
            assert explained(line, f"s3://{bucket}/{KEY}")[0] == 1
            stack.put(bucket, KEY)
        assert_nothing_follows(stack)

    def test_people_read_the_route_and_what_excludes(self, stack: Stack, line: CommandLine) -> None:
        connect(stack, "explain-text-rule", by_rule())
        connect(stack, "explain-text-nothing", nothing)

        ran = line("explain", f"s3://explain-text-rule/{KEY}")
        rule = "lava.e2e.explain-text-rule"
        assert f"Reaches the function by: EventBridge rule {rule}\n" in ran.output
        assert "lava-e2e-s3trigger: delays up to 900 s, entries cached 0 s\n" in ran.output
        ran = line("explain", f"s3://explain-text-nothing/{KEY}")
        assert "1 dispatch, if the event arrived.\n" in ran.output
        assert "No route carries this event to the function.\n" in ran.output
        assert "this does: lava-s3trigger connect explain-text-nothing --realm e2e\n" in ran.output

    def test_a_bucket_that_does_not_exist(self, stack: Stack, line: CommandLine) -> None:
        stack.trigger("explain-no-bucket", "explain-no-bucket")
        assert exclusion(line, "explain-no-bucket") == "it does not exist"


def assert_nothing_follows(stack: Stack) -> None:
    """Assert that no dispatch is under way, by one that is put after all others."""
    bucket = "explain-after"
    if bucket not in {one["Name"] for one in stack.aws.client("s3").list_buckets()["Buckets"]}:
        connect(stack, bucket, by_function(), job_id="job-web")
    stack.put(bucket, "after")
    stack.dispatches("web", 1)
    assert stack.realm.receive("core") == []


class TestPolicies:
    """Whom a destination lets in is read: AWS drops events that it does not."""

    @pytest.mark.parametrize(
        ("service", "notify"), [("s3", by_function()), ("events", by_rule()), ("sns", by_topic())]
    )
    def test_the_function_permits_the_service(
        self, stack: Stack, line: CommandLine, service: str, notify: Notify
    ) -> None:
        bucket = f"explain-permits-{service}"
        connect(stack, bucket, notify)
        assert explained(line, f"s3://{bucket}/{KEY}")[0] == 0
        with stack.without_permissions(service):
            reason = exclusion(line, bucket)
        assert f"the function does not permit {service}.amazonaws.com" in reason

    def test_a_topic_lets_s3_publish_and_its_subscription_has_no_filter(
        self, stack: Stack, line: CommandLine
    ) -> None:
        bucket, sns = "explain-topic-policy", stack.aws.client("sns")
        connect(stack, bucket, by_topic())
        topic = sns.create_topic(Name=bucket)["TopicArn"]
        [subscription] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        sns.set_subscription_attributes(
            SubscriptionArn=subscription["SubscriptionArn"],
            AttributeName="FilterPolicy",
            AttributeValue='{"kind": ["x"]}',
        )
        assert "filter policy of the subscription" in exclusion(line, bucket)
        sns.set_topic_attributes(
            TopicArn=topic, AttributeName="Policy", AttributeValue='{"Statement": []}'
        )
        assert "does not let s3.amazonaws.com publish" in exclusion(line, bucket)

    def test_the_intake_is_read_and_takes_messages_of_s3(
        self, stack: Stack, line: CommandLine
    ) -> None:
        bucket, client = "explain-intake", stack.aws.client("lambda")
        connect(stack, bucket, by_queue())
        arn, function = stack.outputs["IntakeQueueArn"], stack.function
        [mapping] = client.list_event_source_mappings(EventSourceArn=arn, FunctionName=function)[
            "EventSourceMappings"
        ]
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        reason = exclusion(line, bucket)
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
        assert "event source mapping is disabled" in reason

        intake = arn.rpartition(":")[2]
        before = stack.queue_policy(intake)
        stack.put_queue_policy(intake, '{"Statement": []}')
        reason = exclusion(line, bucket)
        stack.put_queue_policy(intake, before)
        assert "does not let s3.amazonaws.com send" in reason


class TestFunction:
    """The configuration of the function decides as well."""

    @cases(
        ("variables", "entry", "said"),
        {
            "observes": ({"S3TRIGGER_MODE": "observe"}, {}, "it only observes"),
            "does not start": ({"S3TRIGGER_CACHE_TTL": "soon"}, {}, "it cannot start"),
            "shorter delays": ({"SQS_MAX_DELAY_MINS": "5"}, {"delay": "10m"}, "from 0 to 5 min"),
            "does not run": (None, {}, "its reserved concurrency is 0"),
        },
    )
    def test_what_it_does_not_dispatch(
        self, stack: Stack, line: CommandLine, variables: Json | None, entry: Json, said: str
    ) -> None:
        bucket = f"explain-function-{len(said)}"
        connect(stack, bucket, by_function(), **entry)
        assert line("explain", f"s3://{bucket}/{KEY}").status == 0
        with stack.stopped() if variables is None else stack.with_variables(**variables):
            ran = line("explain", f"s3://{bucket}/{KEY}")
        assert (ran.status, said in ran.output) == (1, True), ran.output

    def test_of_a_payload_the_connection_is_not_judged(
        self, stack: Stack, line: CommandLine
    ) -> None:
        stack.trigger("explain-payload", "explain-payload")
        printed = line("event", "s3://explain-payload/a", "--route", "s3", "--size", "1").output
        payload = Path(line.folder) / "payload.json"
        payload.write_text(printed)
        ran = line.json("explain", f"--event={payload}")
        [event] = ran.json()["events"]
        assert (ran.status, event["connection"]) == (0, None)

    def test_a_worker_without_a_queue(self, stack: Stack, line: CommandLine) -> None:
        bucket = "explain-no-queue"
        stack.realm.put("jobs", [JOB | {"job_id": "job-none", "worker": "none"}])
        connect(stack, bucket, by_function(), job_id=["job-none"])
        status, event = explained(line, f"s3://{bucket}/{KEY}")
        [job] = event["triggers"][0]["jobs"]
        assert (status, job["queue_exists"], job["outcome"]) == (1, False, "user_error")
        assert job["reason"] == f"no queue lava-{stack.realm.name}-none"

        stack.trigger(bucket, bucket, job_id=["job-none", "job-core"])
        status, event = explained(line, f"s3://{bucket}/{KEY}")
        jobs = event["triggers"][0]["jobs"]
        assert (status, [job["queue_exists"] for job in jobs]) == (0, [False, True])


READS: Final = """
    dynamodb:Scan events:ListRules events:ListTargetsByRule lambda:GetFunctionConcurrency
    lambda:GetFunctionConfiguration lambda:GetPolicy lambda:ListEventSourceMappings
    lambda:PutFunctionConcurrency s3:GetBucketNotification s3:GetObject s3:ListBucket
    sns:ListSubscriptions sqs:GetQueueUrl
"""
"""The actions that `explain` needs of a bucket that EventBridge connects.

The server asks for PutFunctionConcurrency in place of GetFunctionConcurrency.
"""


@pytest.fixture(scope="module")
def _read(stack: Stack) -> None:
    connect(stack, "explain-read", by_rule())
    stack.put("explain-read", KEY)
    stack.dispatches("core", 1)


@pytest.mark.usefixtures("_read")
class TestPermissions:
    """What may not be read is not known: exit status 3, if something was decided."""

    def run(self, stack: Stack, line: CommandLine, name: str, *left_out: str) -> Ran:
        actions = [action for action in READS.split() if action not in left_out]
        keys = make_user(stack.aws, f"explain-{name}", [allow(actions, "*")])
        limited = type(line)((), {**line.environment, **keys}, line.folder)
        return limited.json("explain", f"s3://explain-read/{KEY}")

    def test_it_needs_no_more(self, stack: Stack, line: CommandLine) -> None:
        assert self.run(stack, line, "all").status == 0

    @pytest.mark.parametrize(
        "action",
        [
            "events:ListRules",
            "events:ListTargetsByRule",
            "lambda:GetPolicy",
            "lambda:ListEventSourceMappings",
            "s3:GetBucketNotification",
            "sns:ListSubscriptions",
        ],
    )
    def test_a_connection_that_may_not_be_read(
        self, stack: Stack, line: CommandLine, action: str
    ) -> None:
        ran = self.run(stack, line, action.rpartition(":")[2], action)
        [event] = ran.json()["events"]
        assert (ran.status, event["connection"]["arrives"]) == (3, None)
        assert action in " ".join(event["connection"]["unknown"])

    def test_a_queue_that_may_not_be_read(self, stack: Stack, line: CommandLine) -> None:
        ran = self.run(stack, line, "queue", "sqs:GetQueueUrl")
        [event] = ran.json()["events"]
        assert (ran.status, event["triggers"][0]["jobs"][0]["queue_exists"]) == (3, None)
        assert "AWS refused sqs:GetQueueUrl of queue lava-e2e-core" in ran.errors

    def test_a_concurrency_that_may_not_be_read(self, stack: Stack, line: CommandLine) -> None:
        ran = self.run(stack, line, "concurrency", "lambda:PutFunctionConcurrency")
        assert (ran.status, ran.json()["function"]["dispatches"]) == (3, None)

    def test_a_function_that_may_not_be_read(self, stack: Stack, line: CommandLine) -> None:
        ran = self.run(stack, line, "function", "lambda:GetFunctionConfiguration")
        function = ran.json()["function"]
        assert (ran.status, function["dispatches"]) == (3, None)
        assert "GetFunctionConfiguration" in function["reason"]

    def test_a_function_that_is_not_there(self, line: CommandLine) -> None:
        ran = line("explain", f"s3://explain-read/{KEY}", "--function", "no-such")
        assert ran.status == 3
        assert "there is no function no-such" in ran.output
