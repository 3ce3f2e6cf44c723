"""S3 Batch Operations as a route: its tasks, and the answer."""

import itertools
import json
import logging
import random
import re
from collections import Counter, deque
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED
from lava_s3trigger.aws.objects import make_s3_client
from lava_s3trigger.cli.replay.manifest import manifest_row
from lava_s3trigger.handler import Function
from lava_s3trigger.manifest import USER_ARGUMENT, ListedObject
from lava_s3trigger.parking import REPLAY_MARK
from lava_s3trigger.s3batch import BatchInvocation
from tests.aws_in_memory import (
    DENIED,
    READS_THROTTLED,
    REGION,
    RESET,
    SERVER_ERROR,
    Call,
    Endpoint,
    Fault,
    Refusal,
)
from tests.build import BUCKET, direct, record, sqs
from tests.context import Context
from tests.function.harness import SEND, Harness, deny, fails
from tests.tables import cases
from tests.test_manifest import FORGED
from tools.local.server import CHECKOUT

TIME: Final = datetime(2026, 3, 14, 1, 59, 26, tzinfo=UTC)
HEADERS: Final = {
    "Content-Length": "10",
    "Last-Modified": "Sat, 14 Mar 2026 01:59:26 GMT",
    "ETag": '"dbe264bf"',
}
SAMPLE: Final = json.loads((CHECKOUT / "events" / "s3-batch.json").read_text())
JOB: Final = SAMPLE["job"]["id"]


def version_1(*tasks: Any) -> dict[str, Any]:
    """Return a payload as AWS documents it for schema version 1.0."""
    return {**SAMPLE, "tasks": list(tasks)}


def version_2(*tasks: Any, **arguments: str) -> dict[str, Any]:
    """Return a payload as AWS documents it for schema version 2.0."""
    job = {"id": JOB, "userArguments": arguments}
    return version_1(*tasks) | {"invocationSchemaVersion": "2.0", "job": job}


def task_2(key: str = "in/1.csv", task_id: str = "dGFza2lk", **fields: Any) -> dict[str, Any]:
    """Return a task of version 2.0."""
    made = {"taskId": task_id, "s3Key": quote(key), "s3VersionId": None, "s3Bucket": BUCKET}
    return made | fields


def task_1(key: str = "in/1.csv", task_id: str = "dGFza2lk", **fields: Any) -> dict[str, Any]:
    """Return a task of version 1.0."""
    made = task_2(key, task_id, **{"s3BucketArn": f"arn:aws:s3:::{BUCKET}", **fields})
    del made["s3Bucket"]
    return made


def ours(key: str, task_id: str = "dGFza2lk", **fields: Any) -> dict[str, Any]:
    """Return the task of an object of a manifest of ours."""
    listed = ListedObject(**{"key": key, "size": 10, "last_modified": TIME, **fields})
    column = manifest_row(BUCKET, listed).partition(",")[2]
    return task_2(task_id=task_id) | {"s3Key": column}


OURS: Final = dict([USER_ARGUMENT])
NO_HEADS: Final[Any] = None
"""Stands for S3, where it is not asked."""


class S3BatchHarness(Harness):
    """A realm, with an S3 that knows the object in/1.csv, and those that are put."""

    def __init__(self, endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
        super().__init__(endpoint, caplog)
        self.put("in/1.csv")

    def put(self, key: str, version_id: str | None = None, **headers: str) -> None:
        """Put an object into S3."""
        self.endpoint.objects[BUCKET, key, version_id] = HEADERS | headers

    def function(self, **settings: Any) -> Function:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        at = {"endpoint_url": self.endpoint.url, "region_name": REGION}
        return self.make_function(make_s3_client=lambda: make_s3_client(**at, **keys), **settings)

    def result(self, *tasks: Any, **settings: Any) -> tuple[str, str]:
        """Return the result of a task in a new function: of that for in/1.csv, if none is given."""
        return result(self.function(**settings)(version_1(*(tasks or [task_1()]))))

    def replayed(self, *tasks: Any) -> tuple[str, str]:
        """Return the result of a task of a manifest of ours in a new function."""
        return result(self.function()(version_2(*tasks, **OURS)))


@pytest.fixture
def batch(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> S3BatchHarness:
    return S3BatchHarness(endpoint, caplog)


def results(answer: Any) -> list[tuple[str, str, str]]:
    """Return the results of an answer, after checking its form."""
    assert answer == {
        "invocationSchemaVersion": answer["invocationSchemaVersion"],
        "treatMissingKeysAs": "TemporaryFailure",
        "invocationId": SAMPLE["invocationId"],
        "results": answer["results"],
    }
    names = ("taskId", "resultCode", "resultString")
    return [tuple(each[name] for name in names) for each in answer["results"]]


def result(answer: Any) -> tuple[str, str]:
    """Return code and text of the only result of an answer."""
    [(_, code, text)] = results(answer)
    return code, text


@cases(
    "payload",
    {
        "1.0": version_1(task_1()),
        "1.0-arn-of-the-example": version_1(
            task_1(s3BucketArn=f"arn:aws:s3:us-east-1:0123456788:{BUCKET}")
        ),
        "2.0": version_2(task_2()),
        "2.0-no-arguments": version_2(task_2()) | {"job": {"id": JOB}},
        "2.0-null-arguments": version_2(task_2()) | {"job": {"id": JOB, "userArguments": None}},
    },
)
def test_a_task_is_dispatched(batch: S3BatchHarness, payload: dict[str, Any]) -> None:
    batch.trigger()
    answer: Any = batch.function()(payload)
    assert results(answer) == [("dGFza2lk", "Succeeded", "dispatched load by t")]
    assert answer["invocationSchemaVersion"] == payload["invocationSchemaVersion"]
    assert batch.keys() == ["in/1.csv"]


@pytest.mark.parametrize("encoded", ["in/a%2Bb+c%20d.csv", "in%2Fa%2Bb%20c+d.csv"])
def test_the_event_is_the_record_that_s3_would_have_sent(
    batch: S3BatchHarness, encoded: str
) -> None:
    info = {
        "size": "10",
        "event_time": "2026-03-14 01:59:26+00:00",
        "event_type": "ObjectCreated:Put",
        "source_ip": "None",
        "aws_region": REGION,
        "bucket": BUCKET,
        "key": "in/a+b c d.csv",
    }
    parameters = {name: f"{{{{ info.{name} }}}}" for name in info}
    parameters["record"] = "{{ event | tojson }}"
    parameters["absent"] = "{{ event.requestParameters.sourceIPAddress }}"
    batch.trigger(parameters=parameters)
    batch.put("in/a+b c d.csv", "v1")

    batch.function()(version_1(task_1(s3Key=encoded, s3VersionId="v1")))

    [sent] = batch.core.messages
    found = sent.json["parameters"]
    record_of_s3 = json.loads(found.pop("record"))
    assert found == {**info, "absent": ""}
    assert record_of_s3["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{BUCKET}"
    assert record_of_s3["s3"]["object"] == {
        "key": "in/a%2Bb+c+d.csv",
        "size": 10,
        "eTag": "dbe264bf",
        "versionId": "v1",
    }
    assert record_of_s3["eventTime"] == "2026-03-14T01:59:26.000Z"
    assert "lava-s3trigger" not in str(record_of_s3)


def test_a_user_argument_names_another_event_type(batch: S3BatchHarness) -> None:
    batch.trigger(if_event_type="ObjectRestore:*", parameters={"key": "{{ info.event_type }}"})
    batch.function()(version_2(task_2(), event_type="ObjectRestore:Completed"))
    assert batch.keys() == ["ObjectRestore:Completed"]


def test_the_arn_of_a_bucket_has_the_partition_of_the_region() -> None:
    regions = {"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"}
    for region, partition in regions.items():
        payload = version_2(ours("in/1.csv"), **OURS)
        [delivery] = BatchInvocation(payload, region, NO_HEADS, UNLIMITED).deliveries
        arn = delivery.events[0].event.record["s3"]["bucket"]["arn"]
        assert arn == f"arn:{partition}:s3:::{BUCKET}"


@pytest.mark.parametrize("name", ["s3-batch", "s3-batch-sized"])
def test_a_sample_payload_is_dispatched(batch: S3BatchHarness, name: str) -> None:
    batch.trigger(prefix="*", parameters={"key": "{{ key }} {{ info.size }}"})
    key = "incoming/orders/2026-03-14/order+1.csv"
    batch.put(key, **{"Content-Length": "1082"})
    payload = json.loads((CHECKOUT / "events" / f"{name}.json").read_text())
    assert result(batch.function()(payload)) == ("Succeeded", "dispatched load by t")
    assert batch.keys() == [f"{key} 1082"]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({}, "dispatched load by t"),
        ({"job_id": ["load", "report"]}, "dispatched load, report by t"),
        ({"prefix": "other"}, "nothing: no trigger matches"),
        ({"enabled": False}, "skipped t: the trigger is disabled"),
        ({"if_fnmatch": "*.txt"}, "skipped t: not met: if_fnmatch '*.txt'"),
        ({"job_id": "gone"}, "parked t: no job 'gone'"),
        ({"job_id": ["load", "gone"]}, "parked t: "),
        ({"job_id": ["load"] * 8 + ["gone"]}, "parked t: "),
        ({"if_size_gt": "10"}, "skipped t: not met: if_size_gt '10'"),
        ({"if_size_gt": "9"}, "dispatched load by t"),
    ],
)
def test_done_is_succeeded_and_says_what_was_done(
    batch: S3BatchHarness, entry: dict[str, Any], text: str
) -> None:
    """A function that observes says the same, and that nothing was sent."""
    batch.trigger(**entry)
    observed = batch.result(mode="observe")
    assert batch.nothing_went_out()
    code, said = batch.result()
    assert (code, said[: len(text)]) == ("Succeeded", text)
    assert observed == ("Succeeded", f"observed, nothing was sent: {said}")


def test_a_user_error_is_reported_where_there_is_no_queue_to_park_in(batch: S3BatchHarness) -> None:
    batch.trigger(job_id="gone")
    code, said = batch.result(dead_letter_queue=None)
    assert (code, said[:17]) == ("Succeeded", "user error in t: ")


def test_another_job_sends_again(batch: S3BatchHarness) -> None:
    batch.trigger(job_id=["load", "report"])
    batch.endpoint.fail(deny("web"))
    function = batch.function()
    for job, sent in (("j-1", 1), ("j-1", 1), ("j-2", 2), ("j-2", 2)):
        payload = version_1(task_1()) | {"job": {"id": job}}
        assert result(function(payload))[0] == "TemporaryFailure"
        assert len(batch.core.messages) == sent


def test_versions_of_one_key_are_told_apart_after_a_failure(batch: S3BatchHarness) -> None:
    batch.trigger(job_id=["load", "report"])
    for version_id in ("v1", "v2"):
        batch.put("in/1.csv", version_id)
    batch.endpoint.fail(deny("web"))
    function = batch.function()
    function(version_1(task_1(s3VersionId="v1")))
    batch.endpoint.fail({})

    function(version_1(task_1(s3VersionId="v2")))

    assert (len(batch.core.messages), len(batch.web.messages)) == (2, 1)


def test_tasks_fail_alone(batch: S3BatchHarness) -> None:
    batch.trigger()
    batch.put("in/3.csv")
    tasks = [task_1(f"in/{n}.csv", f"task-{n}") for n in (1, 2, 3)]

    answer = batch.function()(version_1(*tasks))

    found = {task_id: code for task_id, code, _ in results(answer)}
    done = "Succeeded"
    assert found == {"task-1": done, "task-2": "PermanentFailure", "task-3": done}
    assert batch.keys() == ["in/1.csv", "in/3.csv"]


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (task_1() | {"s3Key": "%FF"}, "s3Key is '%FF': not form-encoded UTF-8"),
        (task_1() | {"s3Key": ""}, "s3Key is ''"),
        (task_1() | {"s3Key": None}, "s3Key is None"),
        (task_1() | {"s3BucketArn": None}, "s3Bucket is None, s3BucketArn is None"),
        (task_1() | {"s3BucketArn": "arn:aws:s3:::"}, "size unknown: Parameter validation"),
        (task_1() | {"s3BucketArn": "x/y"}, "size unknown: Parameter validation"),
        (task_1() | {"s3VersionId": 1}, "s3VersionId is 1"),
    ],
)
def test_a_task_that_is_not_understood_is_permanent(
    batch: S3BatchHarness, task: dict[str, Any], text: str
) -> None:
    batch.trigger()
    code, said = batch.result(task)
    assert (code, said[: len(text)]) == ("PermanentFailure", text)
    [line] = [*batch.logged.fields("not_understood"), *batch.logged.fields("failed")]
    assert line["message_id"] == "dGFza2lk"


def test_a_task_without_an_id_is_left_to_what_missing_keys_are(batch: S3BatchHarness) -> None:
    batch.trigger()
    answer = batch.function()(version_1({"s3Key": "x"}, "odd", task_1()))
    assert [task_id for task_id, *_ in results(answer)] == ["dGFza2lk"]


@pytest.mark.parametrize(
    ("key", "job_id"),
    [
        ("in/1.csv", "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 600),
        ("in/\n\u202e\x1b[31m\u00e9\u65e5" * 10, "{{ key }}" * 20),
    ],
    ids=["characters that are written out", "control characters"],
)
def test_a_result_is_short_printable_ascii(batch: S3BatchHarness, key: str, job_id: str) -> None:
    batch.job(job_id, "core")
    batch.trigger(job_id=job_id)
    batch.put(key)

    _, said = batch.result(task_1(key))

    assert said.startswith("dispatched \\u65e5" if "{{" not in job_id else "parked t: no job")
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= 1000


def test_a_task_that_fails_is_observed(batch: S3BatchHarness) -> None:
    batch.trigger()
    batch.endpoint.fail({("Query", None): DENIED})
    tasks = [task_1(), task_1("in/none", "none"), task_1(task_id="odd", s3Key="")]

    answer = batch.function(mode="observe")(version_1(*tasks))

    reasons = ("reading lava.demo", "there is no such object", "s3Key is ''")
    for (_, code, said), reason in zip(results(answer), reasons, strict=True):
        assert code == "Succeeded"
        assert said.startswith(f"observed, nothing was sent: failed: {reason}")


def test_a_manifest_of_ours_needs_no_call_of_s3(batch: S3BatchHarness) -> None:
    batch.trigger(if_size_gt="1GB", parameters={"key": "{{ info.size }} {{ info.event_time }}"})
    assert batch.replayed(ours("in/1.csv", size=2 * 10**9))[0] == "Succeeded"
    assert batch.keys() == ["2000000000 2026-03-14 01:59:26+00:00"]
    assert batch.logged.fields("dispatched")[0]["replay"] == JOB
    assert batch.logged.fields("summary")[0]["replayed"] == 1
    assert batch.endpoint.calls["HeadObject"] == 0


LONG: Final = "in/" + "é" * 400
"""A key that a row of ours has no room for."""


@cases(
    ("payload", "key"),
    {
        # Whoever may put an object must not make the function believe in another one.
        "not-declared-as-ours": (version_1(task_1(FORGED)), FORGED),
        "too-long": (version_2(ours(LONG), **OURS), LONG),
    },
)
def test_a_key_that_is_no_row_of_ours_is_asked_of_s3(
    batch: S3BatchHarness, payload: dict[str, Any], key: str
) -> None:
    batch.trigger(prefix="*")
    batch.put(key)
    assert result(batch.function()(payload)) == ("Succeeded", "dispatched load by t")
    assert batch.keys() == [key]
    assert batch.endpoint.calls["HeadObject"] == 1


def test_an_unreadable_row_of_ours_is_permanent(batch: S3BatchHarness) -> None:
    code, said = batch.replayed(task_2('{"lava-s3trigger":9}'))
    assert code == "PermanentFailure"
    assert "not an object of a manifest, version 1" in said
    [line] = batch.logged.fields("not_understood")
    assert (line["bucket"], line["key"]) == (BUCKET, '{"lava-s3trigger":9}')


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "there is no such object"),
        (405, "this version of the object is a delete marker"),
        (403, "size unknown: the function may not read .*BackfillBuckets"),
        (400, "size unknown: "),
    ],
)
def test_an_object_that_cannot_be_read_is_permanent(
    batch: S3BatchHarness, status: int, text: str
) -> None:
    batch.trigger()
    batch.endpoint.fail({("HeadObject", None): Refusal(status, f"{status}")})
    code, said = batch.result()
    assert code == "PermanentFailure"
    assert re.match(text, said)
    assert batch.nothing_went_out()
    [line] = batch.logged.fields("failed", logging.ERROR)
    assert line["kind"] in {"no_object", "object_unreadable"}
    assert (line["bucket"], line["key"], line["replay"]) == (BUCKET, "in/1.csv", JOB)


@pytest.mark.parametrize(
    "fault",
    [SERVER_ERROR, Refusal(503, "SlowDown"), Refusal(429, "TooManyRequests"), RESET],
    ids=["500", "503", "429", "reset"],
)
def test_an_s3_that_does_not_answer_is_temporary(batch: S3BatchHarness, fault: Fault) -> None:
    batch.endpoint.fail({("HeadObject", None): fault})
    assert batch.result()[0] == "TemporaryFailure"
    [line] = batch.logged.fields("failed")
    assert (line["bucket"], line["key"], line["kind"]) == (BUCKET, "in/1.csv", "aws_error")


def test_too_little_time_to_ask_is_temporary(batch: S3BatchHarness) -> None:
    batch.trigger()
    function, context = batch.function(), Context(60)
    lefts = itertools.chain([60_000], itertools.repeat(1000))
    context.get_remaining_time_in_millis = lambda: next(lefts)  # type: ignore[method-assign]

    found = result(function(version_1(task_1()), context))

    assert found == ("TemporaryFailure", "too little time left for asking S3 for the object")
    assert batch.endpoint.calls["HeadObject"] == 0


def test_an_unversioned_object_has_no_version(batch: S3BatchHarness) -> None:
    batch.trigger(parameters={"key": "{{ event.s3.object.versionId }}"})
    batch.put("in/1.csv", **{"x-amz-version-id": "null"})
    batch.function()(version_1(task_1()))
    assert batch.keys() == [""]


@pytest.mark.parametrize(
    ("size", "cache_ttl"),
    [
        pytest.param(1, 60.0, id="one-a-time", marks=pytest.mark.slow("a thousand invocations")),
        pytest.param(7, 0.0, id="several-uncached"),
    ],
)
def test_1000_tasks_are_each_carried_out_once(
    batch: S3BatchHarness, size: int, cache_ttl: float
) -> None:
    """AWS tries tasks that failed for now again; all in one instance."""
    batch.trigger(job_id=["load", "report"])
    batch.trigger("u", parameters={"key": "{{ key }}"}, job_id="gone", prefix="in")
    tasks = [ours(f"in/{n:04}", f"task-{n:04}") for n in range(1000)]
    chance = random.Random(13)

    def fault(call: Call) -> Fault | None:
        if call.operation == SEND:
            return chance.choice([DENIED, SERVER_ERROR, RESET, *[None] * 7])
        # botocore waits before it tries the last two again, so that few must do.
        return chance.choice([*[DENIED] * 98, READS_THROTTLED, RESET, *[None] * 400])

    batch.endpoint.fail(fault)
    function = batch.function(cache_ttl=cache_ttl)
    codes: Counter[str] = Counter()
    waiting = deque(tasks)
    while waiting:
        part = [waiting.popleft() for _ in range(min(size, len(waiting)))]
        batch.clock.now += 20
        found = {task_id: code for task_id, code, _ in results(function(version_2(*part, **OURS)))}
        assert found.keys() == {task["taskId"] for task in part}
        codes.update(found.values())
        assert codes.total() < 40_000
        waiting += [task for task in part if found[task["taskId"]] == "TemporaryFailure"]

    expected = [f"in/{n:04}" for n in range(1000)]
    parked = [each.json["event"]["s3"]["object"]["key"] for each in batch.parking.messages]
    assert codes == {"Succeeded": 1000, "TemporaryFailure": codes["TemporaryFailure"]}
    assert codes["TemporaryFailure"] > 0
    for keys in (batch.keys(), batch.keys(batch.web), parked):
        assert sorted(keys) == expected


def marked(replay: Any, *others: Any) -> dict[str, Any]:
    """Return a payload of a replay: a record, and others."""
    return {REPLAY_MARK: replay, **direct(record(), *others)}


@cases(
    "payload",
    {
        "invoked": marked("r-1"),
        "from-a-queue": sqs(marked("r-1")),
        "on-failure-destination": {"requestPayload": marked("r-1")},
    },
)
def test_a_marked_envelope_is_replayed(harness: Harness, payload: dict[str, Any]) -> None:
    harness.trigger(parameters={"key": "{{ event | tojson }}"})
    harness.function()(payload)
    [dispatched] = harness.logged.fields("dispatched")
    assert dispatched["replay"] == "r-1"
    assert harness.logged.fields("summary")[0]["replayed"] == 1
    assert REPLAY_MARK not in harness.keys()[0]


def test_one_message_of_a_batch_is_replayed_alone(harness: Harness) -> None:
    harness.trigger()
    payload = sqs(direct(record("in/1")), direct(record("in/2")))
    payload["Records"][0]["messageAttributes"] = {REPLAY_MARK: {"stringValue": "r-1"}}
    harness.function()(payload)
    found = {each["key"]: each.get("replay") for each in harness.logged.fields("dispatched")}
    assert found == {"in/1": "r-1", "in/2": None}


def test_the_mark_survives_parking(harness: Harness) -> None:
    harness.trigger(job_id="gone")
    function = harness.function()
    function(marked("r-1"))
    [parked] = harness.parking.take()
    harness.job("gone", "core")
    harness.clock.now += 3600
    function(sqs(parked.json))
    assert harness.logged.fields("parked")[0]["replay"] == "r-1"
    assert harness.logged.fields("dispatched")[0]["replay"] == "r-1"


def test_retries_of_a_replay_skip_what_was_sent(harness: Harness) -> None:
    harness.trigger()
    function = harness.function()
    replay = marked("r-1", {"s3": {}})
    for payload in (replay, marked("r-2", {"s3": {}})):
        fails(function, payload)
    assert len(harness.core.take()) == 2

    for again in (
        sqs(json.dumps(replay)),  # by the dead-letter queue of Lambda
        {"version": "1.0", "requestPayload": replay},  # by an on-failure destination
    ):
        fails(function, again)

    assert harness.nothing_went_out()


def test_of_the_shared_table_another_replay_takes_nothing(harness: Harness) -> None:
    harness.share_claims()
    harness.trigger(job_id=["load", "report"])
    harness.endpoint.fail(deny("web"))
    for replay in ("r-1", "r-2", "r-2", None, None):
        fails(harness.function(dedup_table="claims"), marked(replay))
    assert len(harness.core.take()) == 3


@pytest.mark.parametrize(
    ("mark", "replay"),
    [(None, None), (5, None), ({}, None), ([], None), ("", None), ("x" * 10_000, "x" * 64)],
    ids=lambda value: str(value)[:5],
)
def test_an_odd_mark_is_none_and_a_long_one_is_cut(
    harness: Harness, mark: Any, replay: str | None
) -> None:
    harness.trigger()
    harness.function()(marked(mark))
    assert harness.logged.fields("dispatched")[0].get("replay") == replay
    assert harness.logged.fields("summary")[0].get("replayed") == (1 if replay else None)


def test_the_route_adds_less_than_400_kb_to_the_package() -> None:
    package = CHECKOUT / "build" / "package" / "lava_s3trigger"
    patterns = ("aws/models/**/*", "**/s3batch*", "**/manifest*", "aws/**/objects*")
    files = [path for each in patterns for path in package.glob(each) if path.is_file()]
    assert len(files) >= 5
    assert sum(path.stat().st_size for path in files) < 400_000
