"""`connect` on the deployed stack: what it makes of buckets, as S3 would take it.

`make proofs` connects all buckets of `bucket_cases.py`; otherwise a tenth of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.commandline import CommandLine
from tests.notification_rules import carriers, refusals
from tests.s3_proxy import S3Proxy, error
from tests.tables import cases
from tools.local.server import ACCOUNT, REGION

from .bucket_cases import CASES, CREATED, FUNCTIONS, OUTCOMES, PUT, Case, Note, notifications, queue
from .conftest import Stack
from .connections import allow, policy

TENTH: Final = [
    case
    for found in OUTCOMES.values()
    for case in random.Random(19).sample(found, -(-len(found) // 10))
]
CHOSEN: Final = CASES if os.environ.get("S3TRIGGER_BUCKETS") else TENTH
KINDS: Final = ("LambdaFunctionConfigurations", "QueueConfigurations", "TopicConfigurations")
OURS: Final = ("ours", "intake", "subscribed", "plain", "fresh", "shared")
"""Destinations that lead to the function."""
ABROAD: Final = "arn:aws:sns:eu-west-1:000000000000:t"
FENCE: Final = "connect-fence"

pytestmark = [pytest.mark.e2e]


class World:
    """The deployed stack, with queues, topics and functions of others."""

    line: CommandLine
    """Of the running test."""

    def __init__(self, stack: Stack, proxy: S3Proxy) -> None:
        self.stack, self.proxy = stack, proxy
        names = {each: f"arn:aws:sns:{REGION}:{ACCOUNT}:connect-{each}" for each in _TOPICS}
        self.arns = {
            "ours": stack.outputs["FunctionArn"],
            "intake": stack.outputs["IntakeQueueArn"],
            "queue": stack.other_queue("connect-others"),
            "function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:others",
            **names,
        }

    def make(self) -> None:
        """Make what others have, once."""
        sns = self.stack.aws.client("sns")
        for name in _TOPICS:
            arn = sns.create_topic(Name=f"connect-{name}")["TopicArn"]
            theirs = policy(allow("sns:Publish", arn, "s3", Sid="Theirs"))
            if name not in ("plain", "fresh"):
                changed = {"AttributeName": "Policy", "AttributeValue": theirs}
                sns.set_topic_attributes(TopicArn=arn, **changed)
            if name in ("subscribed", "shared"):
                sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=self.arns["ours"])
        sns.subscribe(TopicArn=self.arns["shared"], Protocol="sqs", Endpoint=self.arns["queue"])
        self.stack.connections.by_s3(FENCE)
        self.stack.trigger("connect-fence", FENCE, parameters={"key": "{{ key }}"})

    def run(self, *arguments: str, status: int | None = None) -> Any:
        ran = self.line(*arguments)
        assert status in (None, ran.status), ran.errors + ran.output
        return ran

    def json(self, *arguments: str) -> Any:
        return self.run(*arguments, "--yes", "--format", "json", status=0).json()

    def leads_to_function(self, notification: dict[str, Any]) -> bool:
        return bool({*map(str, notification.values())} & {self.arns[name] for name in OURS})

    def prepare(self, case: Case, bucket: str) -> dict[str, Any]:
        """Make a bucket as a case has it, and return its notifications."""
        self.stack.aws.client("s3").create_bucket(Bucket=bucket)
        for number, entry in enumerate(case.entries):
            self.stack.trigger(
                f"{bucket}-{number}", bucket, parameters={"key": "{{ key }}"}, **entry
            )
        former = notifications(case.former, self.arns)
        if case.eventbridge:
            former["EventBridgeConfiguration"] = {}
        self.stack.notify(bucket, **former)
        for rule in case.rules:
            name = f"lava.e2e.{bucket}-{rule['name']}"
            detail = {"bucket": {"name": [bucket, *rule.get("more", [])]}, **rule["detail"]}
            pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
            self.stack.put_rule(name, pattern)
        if case.connected is not None:
            self.json("connect", bucket, *case.connected)
        return self.stack.notifications(bucket)

    def assert_dispatched(self, bucket: str, keys: tuple[str, ...], expected: list[str]) -> None:
        """Put objects, and assert which keys are dispatched, each as often as it is named."""
        for key in keys:
            self.stack.put(bucket, key)
        assert self._dispatched(len(expected)) == sorted(expected)
        # Others would have come by now.
        self.stack.put(FENCE, bucket)
        assert self._dispatched(1) == [bucket]

    def _dispatched(self, count: int) -> list[str]:
        found = self.stack.dispatches("core", count)
        return sorted(each["parameters"]["key"] for each in found)


_TOPICS: Final = ("topic", "subscribed", "plain", "fresh", "shared")


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[World]:
    with S3Proxy(stack.aws.endpoint) as proxy:
        world = World(stack, proxy)
        world.make()
        yield world


@pytest.fixture
def world(made: World, tmp_path: Path) -> Iterator[World]:
    by_proxy = {"AWS_ENDPOINT_URL": made.proxy.url, "XDG_STATE_HOME": str(tmp_path / "state")}
    made.line = CommandLine((), {**made.stack.environment, **by_proxy}, tmp_path)
    made.proxy.puts.clear()
    yield made
    made.proxy.before = None


def is_ours(notification: dict[str, Any]) -> bool:
    return str(notification.get("Id", "")).startswith("lava-s3trigger.")


def naive(case: Case, arns: dict[str, str]) -> dict[str, Any]:
    """Return the former notifications and one for each entry, as somebody would put them."""
    added = [
        Note(
            FUNCTIONS,
            "ours",
            entry["prefix"].strip("*").replace("=", "%3D"),
            events=tuple(entry.get("if_event_type", [CREATED])),
            id=f"new {number}",
        )
        for number, entry in enumerate(case.entries)
    ]
    return notifications((*case.former, *added), arns)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            each,
            id=each.name,
            marks=[pytest.mark.slow("connects a bucket and waits for its events")] * bool(number),
        )
        for number, each in enumerate(CHOSEN)
    ],
)
def test_a_bucket_is_connected_as_s3_takes_it(world: World, case: Case) -> None:
    bucket = f"c-{case.name}"
    former = world.prepare(case, bucket)
    world.proxy.puts.clear()
    options = ("--yes", "--wait", "0", *case.options)
    is_done = case.outcome in ("merged", "moved", "unchanged")

    ran = world.run("connect", bucket, *options, status=0 if is_done else 1)

    assert case.says in ran.output
    now = world.stack.notifications(bucket)
    if case.outcome in ("overlaps", "connected", "unchanged"):
        assert now == former
        assert world.proxy.puts == []
    if case.outcome == "overlaps":
        assert list(refusals(naive(case, world.arns)))
        assert "S3 would refuse it" in ran.output
        assert "--by eventbridge" in ran.output
    if case.outcome in ("merged", "moved"):
        goes = is_ours if case.outcome == "merged" else world.leads_to_function
        for kind in KINDS:
            kept = [each for each in former.get(kind, []) if not goes(each)]
            assert [each for each in now.get(kind, []) if not is_ours(each)] == kept
    assert ("EventBridgeConfiguration" in former) <= ("EventBridgeConfiguration" in now)
    assert list(refusals(now)) == []
    _assert_delivered(world, case, bucket, now)
    if is_done:
        world.run("connect", bucket, "--dry-run", *case.options, status=0)


def _assert_delivered(world: World, case: Case, bucket: str, now: dict[str, Any]) -> None:
    times = 0 if case.outcome == "overlaps" else case.times

    def carried(key: str) -> int:
        return sum(world.leads_to_function(each) for each in carriers(now, key, PUT))

    assert [carried(key) for key in case.others] == [0] * len(case.others)
    by_s3 = [carried(key) for key in case.arriving]
    if any(by_s3):
        assert max(by_s3) == 1
        assert times == 2 or min(by_s3) == 1
    expected = [*case.arriving] * times
    world.assert_dispatched(bucket, (*case.others, *case.arriving), expected)


Snapshot = dict[str, Any]
OUR_QUEUES: Final = ("lava-e2e-s3trigger-intake", "lava-e2e-s3trigger-dlq")


def snapshot(world: World, bucket: str) -> Snapshot:
    """Return all that `connect` may change, as AWS has it."""
    client = world.stack.aws.client
    found: Snapshot = {"function": world.stack.permissions()}
    for name in OUR_QUEUES:
        found[name] = json.loads(world.stack.queue_policy(name))["Statement"]
    for name in _TOPICS:
        arn = world.arns[name]
        attributes = client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
        found[name] = (
            json.loads(attributes.get("Policy") or '{"Statement": []}')["Statement"],
            [
                each["Endpoint"]  # a subscription that is made again has another ARN
                for each in client("sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
            ],
            client("sns").list_tags_for_resource(ResourceArn=arn)["Tags"],
        )
    found["rules"] = {
        rule["Name"]: (
            rule.get("EventPattern"),
            client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"],
        )
        for rule in client("events").list_rules()["Rules"]
    }
    found["bucket"] = world.stack.notifications(bucket)
    return found


@contextlib.contextmanager
def restricted(world: World) -> Iterator[None]:
    """Take away the permissions and statements of the stack that allow S3 and rules."""
    policies = {name: world.stack.queue_policy(name) for name in OUR_QUEUES}
    with world.stack.without_permissions("s3", "sns", "events"):
        for name, text in policies.items():
            theirs = json.loads(text)
            for each in theirs["Statement"]:
                each["Principal"] = {"AWS": ACCOUNT}
            world.stack.put_queue_policy(name, json.dumps(theirs))
        yield
        for name, text in policies.items():
            world.stack.put_queue_policy(name, text)


WAYS: Final = {
    "s3": ("--by", "s3"),
    "queue": ("--by", "queue"),
    "topic": ("--by", "sns", "--topic", "connect-plain"),
    "eventbridge": ("--by", "eventbridge"),
}


@pytest.fixture(params=["as deployed", "restricted"])
def permitted(world: World, request: pytest.FixtureRequest) -> Iterator[str]:
    """The stack as it is deployed, and without what lets S3, topics and rules send."""
    with restricted(world) if request.param == "restricted" else contextlib.nullcontext():
        yield request.param


@pytest.mark.slow("connects and disconnects a bucket")
@pytest.mark.parametrize("way", WAYS)
class TestThereAndBack:
    """Each way makes what it lacks, and no more; all of it goes again."""

    def test_disconnect_and_undo_take_it_away(self, world: World, permitted: str, way: str) -> None:
        bucket = f"back-{way}-{permitted.replace(' ', '-')}"
        world.prepare(Case(former=(BESIDE,)), bucket)
        before = snapshot(world, bucket)

        def assert_as_before() -> None:
            after = snapshot(world, bucket)
            is_on = after["bucket"].pop("EventBridgeConfiguration", None) is not None
            assert (after, is_on) == (before, way == "eventbridge")

        done = world.json("connect", bucket, *WAYS[way])

        kinds = [each["kind"] for each in done["changes"]]
        assert sorted(kinds) == sorted([*MADE[permitted][way].split(), "notifications"])
        made = snapshot(world, bucket)
        _assert_least(world, before, made, bucket)
        world.assert_dispatched(bucket, ("in/a",), ["in/a"])

        undone = world.json("connect", "--undo", done["saved"])
        assert_as_before()
        world.run("connect", "--undo", done["saved"], "--dry-run", status=0)
        world.json("connect", "--undo", undone["saved"])
        assert snapshot(world, bucket) == made

        world.json("disconnect", bucket)
        assert_as_before()
        world.run("disconnect", bucket, "--dry-run", status=0)


BESIDE: Final = queue("out/")
_TOPIC: Final = "topic_statement subscription"
MADE: Final = {
    "as deployed": {"s3": "", "queue": "", "topic": _TOPIC, "eventbridge": "rule"},
    "restricted": {
        "s3": "permission",
        "queue": "queue_statement",
        "topic": f"{_TOPIC} permission queue_statement",
        "eventbridge": "rule queue_statement permission",
    },
}


def _assert_least(world: World, before: Snapshot, after: Snapshot, bucket: str) -> None:
    """Assert that what was made is for the bucket alone, and that others' statements stay."""
    for name in ("function", *OUR_QUEUES):
        assert [each for each in after[name] if each in before[name]] == before[name]
        for each in after[name]:
            if each not in before[name]:
                source = json.dumps(each["Condition"])
                assert bucket in source or world.arns["plain"] in source
                if each["Principal"]["Service"] == "s3.amazonaws.com":
                    assert f'"{ACCOUNT}"' in source
    for name, (pattern, targets) in after["rules"].items():
        if name not in before["rules"]:
            assert json.loads(pattern)["detail-type"] == ["Object Created"]
            assert json.loads(pattern)["detail"]["bucket"] == {"name": [bucket]}
            assert [each["DeadLetterConfig"]["Arn"] for each in targets] == [
                world.stack.outputs["DeadLetterQueueArn"]
            ]


class TestMeanwhile:
    """S3 has no conditional put: what others write at the same time is seen and told."""

    def _bucket(self, world: World, name: str) -> str:
        world.prepare(Case(former=(BESIDE,)), name)
        world.proxy.puts.clear()
        return name

    def _theirs(self, world: World) -> dict[str, Any]:
        return {"QueueConfigurations": [queue("theirs/").as_json(world.arns, 9)]}

    def _at(self, world: World, number: int, method: str, action: Any) -> None:
        """Have something done before the nth request about notifications of a method."""
        seen: list[str] = []

        def before(called: str, path: str, _: bytes) -> Any:
            if called == method and path.endswith("?notification"):
                seen.append(path)
                if len(seen) == number:
                    return action()
            return None

        world.proxy.before = before

    @cases(
        ("number", "told"),
        {
            "before the put": (2, "changed since it was read"),
            "after the put": (3, "someone else wrote them"),
        },
    )
    def test_a_change_by_others_is_told(self, world: World, number: int, told: str) -> None:
        bucket, theirs = self._bucket(world, f"meanwhile-{number}"), self._theirs(world)
        self._at(world, number, "GET", lambda: world.stack.notify(bucket, **theirs))

        ran = world.run("connect", bucket, "--yes", status=3)

        assert f"notifications of bucket {bucket}: {told}" in ran.errors
        assert len(world.proxy.puts) == number - 2
        assert world.stack.notifications(bucket) == theirs

    def test_a_second_route_is_told(self, world: World) -> None:
        bucket = "meanwhile-both"
        world.prepare(Case(eventbridge=True), bucket)
        for first, second in (("s3", "eventbridge"), ("eventbridge", "s3")):
            world.json("connect", bucket, "--by", first)
            saved = world.json("disconnect", bucket)["saved"]
            world.json("connect", bucket, "--by", second)
            ran = world.run("connect", "--undo", saved, "--yes", "--format", "json", status=1)
            assert "come twice, by the notifi" in ran.json()["notes"][0] in ran.errors
            world.json("disconnect", bucket)
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
        self._at(world, 1, "PUT", lambda: world.stack.put_rule("lava.e2e.theirs", pattern))

        ran = world.run("connect", bucket, "--by", "s3", "--yes", status=1)

        assert "and by the rule lava.e2e.theirs: take this back with --undo" in ran.errors

    def test_s3_may_show_the_former_notifications_for_a_while(self, world: World) -> None:
        bucket = self._bucket(world, "meanwhile-stale")
        s3, stale = world.stack.aws.client("s3"), list[bytes]()

        def keep(response_dict: Any, **_: Any) -> None:
            stale.append(response_dict["body"])

        s3.meta.events.register("before-parse.s3", keep)
        s3.get_bucket_notification_configuration(Bucket=bucket)
        s3.meta.events.unregister("before-parse.s3", keep)
        number = 0

        def before(method: str, path: str, _: bytes) -> Any:
            nonlocal number
            number += method == "GET" and path.endswith("?notification")
            return (200, stale[0]) if method == "GET" and number in (3, 4) else None

        world.proxy.before = before

        world.run("connect", bucket, "--yes", status=0)

        assert number == 6

    def test_s3_may_not_see_a_new_permission_at_once(self, world: World) -> None:
        bucket = self._bucket(world, "meanwhile-validation")
        told = "Unable to validate the following destination configurations"
        self._at(world, 1, "PUT", lambda: (400, error("InvalidArgument", told)))

        world.run("connect", bucket, "--yes", status=0)

        assert len(world.proxy.puts) == 1

    def test_what_changed_since_is_not_undone(self, world: World) -> None:
        bucket = self._bucket(world, "meanwhile-undo")
        saved = world.json("connect", bucket)["saved"]
        theirs = self._theirs(world)
        world.stack.notify(bucket, **theirs)

        ran = world.run("connect", "--undo", saved, "--yes", status=1)

        assert f"notifications of bucket {bucket}: changed since the run" in ran.output
        assert world.stack.notifications(bucket) == theirs

    def test_an_interrupted_move_goes_on_and_is_undone(self, world: World) -> None:
        bucket = self._bucket(world, "meanwhile-move")
        world.json("connect", bucket)
        before = world.stack.notifications(bucket)

        def fail(method: str, path: str, _: bytes) -> Any:
            is_end = method == "PUT" and path.endswith("?notification") and world.proxy.puts[1:]
            return (403, error("AccessDenied", "as if it was killed")) if is_end else None

        world.proxy.puts.clear()
        world.proxy.puts.append({})
        world.proxy.before = fail
        options = ("--by", "eventbridge", "--move", "--wait", "0", "--yes")

        ran = world.run("connect", bucket, *options, status=3)

        assert "AWS refused PutBucketNotificationConfiguration: AccessDenied" in ran.errors
        told = r"Made \d of \d changes: run the command again, or take them back with --undo"
        assert re.search(told, ran.errors)
        saved = re.search(r"Saved for --undo: (\S+)", ran.errors)
        assert saved
        half = world.stack.notifications(bucket)
        assert {**before, "EventBridgeConfiguration": {}} == half
        world.proxy.before = None
        world.run("connect", bucket, *options, status=0)
        assert world.stack.notifications(bucket) == {
            "QueueConfigurations": before["QueueConfigurations"],
            "EventBridgeConfiguration": {},
        }
        world.json("connect", "--undo", saved[1], "--wait", "0")
        assert world.stack.notifications(bucket) == half
        world.run("connect", bucket, "--by", "s3", "--dry-run", status=0)


class TestRefusals:
    """What cannot be connected is told in one line, and nothing is written."""

    @pytest.mark.parametrize(
        ("path", "answer", "told"),
        [
            (
                "?notification",
                (403, error("AccessDenied", "Access Denied")),
                f"If the bucket is not of account {ACCOUNT}, who owns it must connect it",
            ),
            (
                "?location",
                (200, b"<LocationConstraint>EU</LocationConstraint>"),
                "is in eu-west-1, and the function in us-east-1",
            ),
            ("?location", (404, error("NoSuchBucket", "x")), "there is no bucket refused"),
            (
                "?notification",
                (200, b"<NotificationConfiguration><Pipe><A/></Pipe></NotificationConfiguration>"),
                "have Pipe, which this version of boto3 does not know",
            ),
        ],
        ids=["another account", "another region", "no bucket", "unknown element"],
    )
    def test_a_bucket_that_cannot_be_connected(
        self, world: World, path: str, answer: tuple[int, bytes], told: str
    ) -> None:
        world.stack.aws.client("s3").create_bucket(Bucket="refused")
        world.proxy.before = lambda _, called, __: answer if called.endswith(path) else None

        ran = world.run("connect", "refused", "--yes", status=3)

        assert told in ran.errors
        assert world.proxy.puts == []

    @pytest.mark.parametrize(
        ("arguments", "status", "told"),
        [
            (["mistakes"], 2, "connect asks before it changes anything: give --yes"),
            ([], 2, "connect takes a bucket, or --undo FILE"),
            (["mistakes", "--by", "sns", "--yes"], 2, "--by sns needs a topic"),
            (["mistakes", "--topic", "x", "--yes"], 2, "--topic is for --by sns"),
            (["mistakes", "--by", "sns", "--topic", ABROAD, "--yes"], 1, "of another account"),
            (["mistakes", "--by", "sns", "--topic", "t.fifo", "--yes"], 1, "FIFO"),
            (["mistakes", "--by", "sns", "--topic", "no-topic", "--yes"], 1, "there is no topic"),
            (["mistakes", "--events", "ObjectCreate:Put", "--yes"], 2, "did you mean"),
            (["empty", "--yes"], 1, "no enabled entry that can be used; put some"),
            (["mistakes", "--function", "nope", "--yes"], 3, "there is no function nope"),
            (["--undo", "nothing.json", "--yes"], 3, "nothing.json: No such file"),
            (["--undo", "wrong.json", "--yes"], 2, "not a file that connect or disconnect saved"),
        ],
        ids=lambda each: " ".join(each) if isinstance(each, list) else "",
    )  # fmt: skip
    def test_a_mistake(
        self, world: World, tmp_path: Path, arguments: list[str], status: int, told: str
    ) -> None:
        (tmp_path / "wrong.json").write_text('{"version": 1}')
        for bucket in ("mistakes", "empty"):
            world.stack.aws.client("s3").create_bucket(Bucket=bucket)
        world.stack.trigger("mistakes", "mistakes", "in")

        ran = world.run("connect", *arguments, status=status)

        assert told in ran.errors + ran.output
        assert world.proxy.puts == []

    def test_a_broken_entry_is_named_and_left_out(self, world: World) -> None:
        world.prepare(Case(), "broken")
        world.stack.trigger("broken", "broken", "out", if_size_gt="many")

        ran = world.run("connect", "broken", "--dry-run", "--format", "json")

        assert "'broken' is left out: " in ran.errors
        [change] = ran.json()["changes"]
        assert len(change["after"]["LambdaFunctionConfigurations"]) == 1

    def test_entries_of_files_stand_in_for_the_table(self, world: World, tmp_path: Path) -> None:
        entry = {"trigger_id": "t", "bucket": "files", "prefix": "filed", "enabled": True}
        (tmp_path / "t.json").write_text(json.dumps({**entry, "job_id": "x"}))
        world.stack.aws.client("s3").create_bucket(Bucket="files")

        ran = world.run("connect", "files", "--triggers", "t.json", "--dry-run", status=1)

        assert "prefix 'filed'" in ran.output

    def test_a_topic_that_delivers_twice_or_filters_is_refused(self, world: World) -> None:
        world.prepare(Case(), "topics")
        sns = world.stack.aws.client("sns")
        by_function = {"Protocol": "lambda", "Endpoint": world.arns["ours"]}
        twice, filtered = (
            sns.create_topic(Name=f"connect-{name}")["TopicArn"] for name in ("twice", "filtered")
        )
        sns.subscribe(TopicArn=twice, **by_function)
        sns.subscribe(TopicArn=twice, Protocol="sqs", Endpoint=world.arns["intake"])
        filters = {"FilterPolicy": '{"a": ["b"]}'}
        sns.subscribe(TopicArn=filtered, **by_function, Attributes=filters)

        for topic, told in ((twice, "would come twice, by"), (filtered, "its filter policy is")):
            way = ("--by", "sns", "--topic", topic)
            assert told in world.run("connect", "topics", *way, "--yes", status=1).output

    def test_a_key_that_must_allow_s3_is_noted(self, world: World) -> None:
        world.prepare(Case(), "keyed")
        sns = world.stack.aws.client("sns")
        arn = sns.create_topic(Name="connect-keyed", Attributes={"KmsMasterKeyId": "alias/k"})
        way = ("--by", "sns", "--topic", arn["TopicArn"])

        ran = world.run("connect", "keyed", *way, "--dry-run", "--format", "json")

        [note] = ran.json()["notes"]
        assert note.startswith("connect-keyed is encrypted with alias/k")

    def test_a_rule_that_somebody_disabled_is_enabled_again(self, world: World) -> None:
        events = world.stack.aws.client("events")
        world.prepare(Case(), "disabled")
        world.json("connect", "disabled", "--by", "eventbridge")
        events.disable_rule(Name="lava.e2e.disabled")

        assert world.json("connect", "disabled")["by"] == "eventbridge"
        assert events.describe_rule(Name="lava.e2e.disabled")["State"] == "ENABLED"

    def test_a_topic_that_another_bucket_notifies_stays_subscribed(self, world: World) -> None:
        sns = world.stack.aws.client("sns")
        topic = sns.create_topic(Name="connect-two-buckets")["TopicArn"]
        for name in ("sharing", "shared"):
            world.prepare(Case(), name)
            world.json("connect", name, "--by", "sns", "--topic", topic)

        ran = world.run("disconnect", "shared", "--yes")

        assert "stays subscribed" in ran.output
        world.assert_dispatched("sharing", ("in/a",), ["in/a"])
        world.json("disconnect", "sharing")
        assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []

    def test_a_rule_that_has_our_name_already_stays(self, world: World) -> None:
        events = world.stack.aws.client("events")
        world.prepare(Case(), "named")
        pattern = '{"source": ["theirs"]}'
        events.put_rule(Name="lava.e2e.named", EventPattern=pattern)

        world.json("connect", "named", "--by", "eventbridge")

        assert events.describe_rule(Name="lava.e2e.named")["EventPattern"] == pattern
        assert "detail-type" in events.describe_rule(Name="lava.e2e.named_2")["EventPattern"]
        world.json("disconnect", "named")
        names = {each["Name"] for each in events.list_rules()["Rules"]}
        assert names & {"lava.e2e.named", "lava.e2e.named_2"} == {"lava.e2e.named"}
        events.delete_rule(Name="lava.e2e.named")
