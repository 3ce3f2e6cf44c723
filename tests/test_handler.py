"""The function, end to end: what it is handed, what it sends, and what it answers."""

from __future__ import annotations

import contextlib
import json
import logging
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import pytest

from lava_s3trigger import decision
from lava_s3trigger.aws.clients import SLOWEST_CALL
from lava_s3trigger.aws.deadline import MARGIN
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.jobs import JobTable
from lava_s3trigger.sending import Sending
from lava_s3trigger.settings import Settings
from lava_s3trigger.triggers import TriggerTable
from tests.endpoint import (
    DENIED,
    LOST_REPLY,
    READS_THROTTLED,
    SERVER_ERROR,
    THROTTLED,
    Call,
    CannedRealm,
    Endpoint,
    EntryRefusal,
    Keys,
    Partial,
    Queue,
    Refusal,
    Table,
)
from tests.faults.dedup_table import update_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.decision import Decision
    from lava_s3trigger.triggers import Trigger
    from tests.endpoint import Fault

BUCKET: Final = "my-bucket"
PARKING: Final = "lava-demo-s3trigger-parked"
SEND: Final = "SendMessageBatch"
SAMPLES: Final = Path(__file__).parents[1] / "events"


# What the function is handed.


def record(key: str = "in/1.csv", **fields: Any) -> dict[str, Any]:
    """Make the S3 record of an object that was put.

    Args:
        key: The object's key.
        fields: ``bucket``, ``size``, ``sequencer`` and ``eventName`` of the record.
    """
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "ap-southeast-2",
        "eventTime": "2026-03-14T01:59:26.535Z",
        "eventName": fields.get("eventName", "ObjectCreated:Put"),
        "s3": {
            "bucket": {"name": fields.get("bucket", BUCKET)},
            "object": {
                "key": quote_plus(key),
                "size": fields.get("size", 1082),
                "sequencer": fields.get("sequencer", "0069B4C0FE4F5260D7"),
            },
        },
    }


def eventbridge(key: str = "in/1.csv", bucket: str = BUCKET) -> dict[str, Any]:
    """Make the EventBridge event of an object that was put."""
    return {
        "version": "0",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-03-14T01:59:26Z",
        "region": "ap-southeast-2",
        "detail": {
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 1082, "sequencer": "0069B4C0FE4F5260D7"},
            "reason": "PutObject",
        },
    }


def direct(*records: Any) -> dict[str, Any]:
    """Make what S3 invokes the function with."""
    return {"Records": list(records)}


def sns(*records: Any) -> dict[str, Any]:
    """Make what SNS invokes the function with."""
    return {
        "Records": [
            {"EventSource": "aws:sns", "Sns": {"Message": json.dumps(direct(each))}}
            for each in records
        ]
    }


def message(
    name: str, body: Any, queue: str = "my-queue", group: str | None = None
) -> dict[str, Any]:
    """Make an SQS message as a record for Lambda; a body that is no text is JSON."""
    return {
        "messageId": name,
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"MessageGroupId": group} if group else {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:ap-southeast-2:123456789012:{queue}",
    }


def sqs(*bodies: Any, queue: str = "my-queue") -> dict[str, Any]:
    """Make what an SQS queue invokes the function with: messages m0, m1 and so on."""
    return direct(*(message(f"m{n}", each, queue) for n, each in enumerate(bodies)))


def failed(*names: str) -> dict[str, Any]:
    """Make the answer that gives messages back."""
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


class Context:
    """A Lambda context, with the seconds that the invocation has left."""

    def __init__(self, left: float = 300.0) -> None:
        self.left = left
        self.aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return int(self.left * 1000)


# What stands around it.


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A realm with workers core and web, a queue to park in, and functions for it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.realm: CannedRealm = endpoint.realm("demo", ["core", "web"])
        self.core: Queue = self.realm.queue("core")
        self.web: Queue = self.realm.queue("web")
        self.parking: Queue = endpoint.add_queue(PARKING)
        self.clock = Clock()
        self.waits: list[float] = []
        for job_id, worker in (("load", "core"), ("report", "web"), ("lost", "nowhere")):
            self.job(job_id, worker)

    def job(self, job_id: str, worker: str, **fields: Any) -> None:
        """Put a job in."""
        entry = {"job_id": job_id, "type": "cmd", "payload": "run.sh", "enabled": True}
        self.realm.jobs.put({**entry, "worker": worker, **fields})

    def trigger(self, trigger_id: str = "t", prefix: str = "in", **fields: Any) -> None:
        """Put a trigger in, that passes the key on to job load, but for what is given."""
        entry = {"bucket": BUCKET, "enabled": True, "job_id": "load"}
        parameters = {"key": "{{ key }}"}
        self.realm.triggers.put(
            {
                "trigger_id": trigger_id,
                "prefix": prefix,
                "parameters": parameters,
                **entry,
                **fields,
            }
        )

    def function(self, *, dead_letter_queue: str | None = PARKING, **settings: Any) -> Function:
        """Make a function, as a new instance of Lambda does."""
        return Function(
            Settings(realm="demo", dead_letter_queue=dead_letter_queue, **settings),
            *self.endpoint.clients,
            clock=self.clock,
            sleep=self.waits.append,
        )

    def keys(self, queue: Queue | None = None) -> list[str]:
        """Give the keys that dispatches in a queue pass on: of core, if none is named."""
        return [each.json["parameters"]["key"] for each in (queue or self.core).messages]

    def parked(self) -> list[dict[str, Any]]:
        """Give what was parked, and why."""
        return [each.json["parked"] for each in self.parking.messages]

    def nothing_went_out(self) -> bool:
        return not (self.core.messages or self.web.messages or self.parking.messages)


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    with Endpoint() as server:
        yield server


@pytest.fixture
def endpoint(server: Endpoint) -> Endpoint:
    server.reset()
    return server


@pytest.fixture
def stage(endpoint: Endpoint) -> Stage:
    return Stage(endpoint)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    caplog.set_level(logging.DEBUG, logger="lava_s3trigger")
    return Said(caplog)


class Said:
    """What the function said in its log."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def lines(self) -> list[str]:
        return [each.getMessage() for each in self._records()]

    def facts(self, what: str, level: int | None = None) -> list[dict[str, Any]]:
        """Give the facts of all lines that say so, at a level if one is given."""
        return [
            json.loads(each.getMessage().removeprefix(f"{what} "))
            for each in self._records()
            if each.getMessage().startswith(f"{what} {{") and level in (None, each.levelno)
        ]

    def _records(self) -> list[logging.LogRecord]:
        return [each for each in self._caplog.records if each.name == "lava_s3trigger"]


class TestDone:
    """What causes nothing, and what was sent, is done."""

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(direct(record("out/1.csv")), id="no trigger"),
            pytest.param(direct(record("in/1.csv", bucket="other")), id="no trigger in the bucket"),
            pytest.param(direct(record("off/1.csv")), id="a disabled trigger"),
            pytest.param(direct(record("job-off/1.csv")), id="a disabled job"),
            pytest.param(direct(record("in/1.tmp")), id="a condition that is not met"),
            pytest.param({"Service": "Amazon S3", "Event": "s3:TestEvent"}, id="a test event"),
            pytest.param(sqs({"Service": "Amazon S3", "Event": "s3:TestEvent"}), id="one in SQS"),
            pytest.param(direct(), id="no records"),
            pytest.param(sqs(direct()), id="no records in SQS"),
            pytest.param([], id="an empty array of a Pipe"),
        ],
    )
    def test_what_causes_nothing_is_done(self, stage: Stage, payload: Any) -> None:
        stage.trigger(if_not_fnmatch="*.tmp")
        stage.trigger("whole", prefix="off", enabled=False)
        stage.trigger("idle", prefix="job-off", job_id="idle")
        stage.job("idle", "core", enabled=False)
        assert stage.function()(payload) is None
        assert stage.nothing_went_out()

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(direct(record()), id="S3"),
            pytest.param(sns(record()), id="SNS"),
            pytest.param(sqs(direct(record())), id="SQS"),
            pytest.param(eventbridge(), id="EventBridge"),
            pytest.param([message("m0", direct(record()))], id="a Pipe"),
        ],
    )
    def test_what_was_sent_is_done(self, stage: Stage, payload: Any) -> None:
        stage.trigger()
        assert stage.function()(payload) is None
        (sent,) = (each.json for each in stage.core.messages)
        assert uuid.UUID(sent.pop("run_id")).version == 4
        assert sent.pop("ts_dispatch").endswith("+00:00")
        assert sent == {
            "realm": "demo",
            "worker": "core",
            "job_id": "load",
            "parameters": {"key": "in/1.csv"},
        }

    def test_a_message_is_delayed_as_its_trigger_says(self, stage: Stage) -> None:
        stage.trigger("soon", job_id="load")
        stage.trigger("late", job_id="report", delay="15m")
        stage.function()(direct(record()))
        assert [each.delay for each in stage.core.messages] == [0]
        assert [each.delay for each in stage.web.messages] == [900]

    def test_the_longest_delay_is_a_setting(self, stage: Stage) -> None:
        stage.trigger(delay="6m")
        stage.function(max_delay=300.0)(direct(record()))
        assert "is not from 0 to 5 minutes" in stage.parked()[0]["reason"]

    def test_an_event_without_a_region_has_the_functions(self, stage: Stage) -> None:
        stage.trigger(parameters={"region": "{{ info.aws_region }}"})
        some = record()
        del some["awsRegion"]
        stage.function()(direct(some))
        assert stage.core.messages[0].json["parameters"] == {"region": "ap-southeast-2"}

    def test_a_call_that_passes_is_tried_again(self, stage: Stage) -> None:
        stage.trigger()
        stage.endpoint.fail({(SEND, 1): THROTTLED, (SEND, 2): SERVER_ERROR})
        assert stage.function()(direct(record())) is None
        assert stage.keys() == ["in/1.csv"]
        assert len(stage.waits) == 2

    @pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
    def test_every_sample_is_understood(self, stage: Stage, path: Path) -> None:
        payload = json.loads(path.read_text())
        text = path.read_text()
        for bucket in ("my-bucket", "minio-bucket"):
            stage.trigger(bucket, prefix="*", bucket=bucket)
        assert stage.function()(payload) is None
        assert len(stage.core.messages) == ("s3:TestEvent" not in text)
        assert not stage.parking.messages


# As long as a template may make it: a message around it is longer than SQS takes.
TOO_MUCH: Final = "x" * 500 + "{% for _ in range(1048) %}" + "x" * 1000 + "{% endfor %}"


@dataclass(frozen=True)
class Wrong:
    """A user's mistake: fields of a trigger, why it is one, and the job that it concerns."""

    fields: dict[str, Any]
    reason: str
    job_id: str | None = None


MISTAKES: Final = {
    "a bad entry": Wrong({"unknown": 1}, "bad entry: 'unknown'"),
    "a bad condition": Wrong({"if_size_gt": "big"}, "bad entry: if_size_gt"),
    "an unknown condition": Wrong({"if_bigger": 1}, "bad entry: 'if_bigger'"),
    "a rendering error": Wrong({"parameters": {"a": "{{ 1 / 0 }}"}}, "parameters: Zero"),
    "a template's syntax": Wrong({"globals": {"a": "{% if %}"}}, "globals: "),
    "no such job": Wrong({"job_id": "none"}, "there is no job 'none'", "none"),
    "a bad job": Wrong({"job_id": "bad"}, "bad entry of job 'bad'", "bad"),
    "no queue": Wrong({"job_id": "lost"}, "there is no queue lava-demo-nowhere", "lost"),
    "too big for SQS": Wrong({"parameters": {"a": TOO_MUCH}}, "SQS takes at most", "load"),
    "too big for the queue": Wrong({"job_id": "small"}, "InvalidParameterValue", "small"),
}
every_mistake = pytest.mark.parametrize("wrong", MISTAKES.values(), ids=MISTAKES.keys())


@pytest.fixture
def troubled(stage: Stage) -> Stage:
    """A stage with a worker that takes small messages, and a job without a payload."""
    stage.endpoint.add_queue("lava-demo-small", largest=100)
    stage.job("small", "small")
    stage.realm.jobs.put({"job_id": "bad", "type": "cmd", "worker": "core"})
    return stage


class TestMistakes:
    """A user's mistake is parked, where an operator finds it, and its delivery is done."""

    @every_mistake
    @pytest.mark.parametrize("event", [record(), eventbridge()], ids=["s3", "eventbridge"])
    def test_it_is_parked_with_its_event(
        self, troubled: Stage, wrong: Wrong, event: dict[str, Any]
    ) -> None:
        troubled.trigger(**wrong.fields)
        assert troubled.function()(sqs(event)) is None
        assert not troubled.core.messages
        (message,) = troubled.parking.messages
        parked = message.json["parked"]
        assert wrong.reason in parked["reason"]
        assert parked["trigger_id"] == "t"
        assert parked.get("job_id") == wrong.job_id
        assert parked.get("position") == (0 if wrong.job_id else None)
        assert None not in parked.values()
        assert datetime.fromisoformat(parked["parked_at"]).microsecond == 0
        assert datetime.fromisoformat(parked["parked_at"]).tzinfo
        assert message.json["event"] == event
        assert message.text.isascii()
        assert message.delay == 0

    @every_mistake
    def test_its_neighbours_run(self, troubled: Stage, wrong: Wrong) -> None:
        troubled.trigger("a")
        troubled.trigger("b", **wrong.fields)
        troubled.trigger("c")
        assert troubled.function()(direct(record("in/1"), record("in/2"))) is None
        assert troubled.keys() == ["in/1", "in/1", "in/2", "in/2"]
        assert [(each["trigger_id"], each.get("job_id")) for each in troubled.parked()] == [
            ("b", wrong.job_id)
        ] * 2

    def test_its_neighbours_in_the_job_list_run(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "none", "lost", "report"])
        assert stage.function()(direct(record())) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (1, 1)
        assert [(each["job_id"], each["position"]) for each in stage.parked()] == [
            ("none", 1),
            ("lost", 2),
        ]

    def test_an_entry_that_sqs_refuses_is_its_own_alone(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "load", "load"])
        refusal = EntryRefusal("InvalidMessageContents", is_senders_fault=True, message="no")
        stage.endpoint.fail({(SEND, 1): Partial({1: refusal})})
        assert stage.function()(direct(record())) is None
        assert len(stage.core.messages) == 2
        (parked,) = stage.parked()
        assert (parked["job_id"], parked["position"]) == ("load", 1)
        assert parked["reason"] == "InvalidMessageContents: no"

    @every_mistake
    def test_without_a_queue_for_it_it_is_logged_and_done(
        self, troubled: Stage, said: Said, wrong: Wrong
    ) -> None:
        troubled.trigger(**wrong.fields)
        troubled.trigger("good", job_id="report")
        assert troubled.function(dead_letter_queue=None)(direct(record())) is None
        (facts,) = said.facts("mistake", logging.ERROR)
        assert wrong.reason in facts.pop("reason")
        assert facts.pop("job_id", None) == wrong.job_id
        assert facts == {"trigger_id": "t", "bucket": BUCKET, "key": "in/1.csv"}
        assert troubled.keys(troubled.web) == ["in/1.csv"]
        assert not troubled.parking.messages

    def test_an_entry_that_is_refused_when_it_is_tried_again_is_parked(self, stage: Stage) -> None:
        stage.trigger()
        passing = EntryRefusal("InternalError", is_senders_fault=False)
        final = EntryRefusal("InvalidMessageContents", is_senders_fault=True, message="no")
        stage.endpoint.fail({(SEND, 1): Partial({0: passing}), (SEND, 2): Partial({0: final})})
        assert stage.function()(direct(record())) is None
        (parked,) = stage.parked()
        assert parked["reason"] == "InvalidMessageContents: no"

    def test_a_job_id_of_any_length_is_parked(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", TOO_MUCH])
        function = stage.function()
        assert function(direct(record())) is None
        (message,) = stage.parking.take()
        assert len(message.text) < 10_000
        assert message.json["parked"]["position"] == 1
        stage.trigger(job_id=["load", "report"])
        stage.clock.now += 60
        assert function(sqs(message.text, queue=PARKING)) is None
        assert (stage.keys(), stage.keys(stage.web)) == (["in/1.csv"], ["in/1.csv"])

    def test_it_is_logged_when_it_is_parked(self, stage: Stage, said: Said) -> None:
        stage.trigger(job_id="none")
        stage.function()(direct(record()))
        assert said.facts("parked", logging.ERROR) == [
            {
                "reason": "there is no job 'none' in lava.demo.jobs",
                "trigger_id": "t",
                "job_id": "none",
                "bucket": BUCKET,
                "key": "in/1.csv",
            }
        ]

    def test_many_are_parked_in_batches(self, stage: Stage) -> None:
        stage.trigger(job_id=["none"] * 25)
        assert stage.function()(direct(record())) is None
        assert sorted(each["position"] for each in stage.parked()) == list(range(25))
        assert stage.endpoint.calls[SEND] == 3

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (DENIED, "AccessDenied"),
            (THROTTLED, "RequestThrottled"),
            (SERVER_ERROR, "InternalServerError"),
            (Refusal(400, "InvalidMessageContents", "not like this"), "not like this"),
        ],
        ids=["denied", "throttled", "500", "refused"],
    )
    def test_where_it_cannot_be_parked_its_delivery_has_failed(
        self, stage: Stage, said: Said, fault: Fault, reason: str
    ) -> None:
        stage.trigger("good")
        stage.trigger("bad", job_id="none")

        def fail(call: Call) -> Fault | None:
            is_parking = call.operation == SEND and call.request["QueueUrl"].endswith(PARKING)
            return fault if is_parking else None

        stage.endpoint.fail(fail)
        function = stage.function()
        with pytest.raises(DeliveriesFailedError, match=reason):
            function(direct(record()))
        assert stage.keys() == ["in/1.csv"]
        assert not stage.parking.messages
        assert not said.facts("parked")
        (facts,) = said.facts("failed", logging.ERROR)
        assert (facts["trigger_id"], facts["job_id"]) == ("bad", "none")
        stage.endpoint.fail({})
        assert function(direct(record())) is None
        assert stage.keys() == ["in/1.csv"]
        assert [each["trigger_id"] for each in stage.parked()] == ["bad"]

    def test_a_queue_to_park_in_that_is_missing_fails_the_delivery(self, stage: Stage) -> None:
        del stage.endpoint.queues[PARKING]
        stage.trigger("good")
        stage.trigger("bad", job_id="none")
        payload = sqs(direct(record()), direct(record("out/1")))
        assert stage.function()(payload) == failed("m0")
        assert stage.keys() == ["in/1.csv"]


class TestGivenBack:
    """What was parked and is given back runs what it names, alone."""

    def park(self, stage: Stage, **fields: Any) -> list[str]:
        """Have a trigger parked that is broken so; give the texts that were."""
        stage.trigger("neighbour", job_id="report")
        stage.trigger("t", **fields)
        assert stage.function()(direct(record())) is None
        stage.core.take()
        stage.web.take()
        return [each.text for each in stage.parking.take()]

    @every_mistake
    def test_once_it_is_mended_it_runs_alone(self, troubled: Stage, wrong: Wrong) -> None:
        (text,) = self.park(troubled, **wrong.fields)
        troubled.trigger("t")
        assert troubled.function()(sqs(text, queue=PARKING)) is None
        assert troubled.keys() == ["in/1.csv"]
        assert not troubled.web.messages
        assert not troubled.parking.messages

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda text: sqs(text, queue=PARKING),
            lambda text: sqs(text, queue="another-queue"),
            json.loads,
            lambda text: [message("m0", text, queue=PARKING)],
        ],
        ids=["by its queue", "by another queue", "by hand", "by a Pipe"],
    )
    def test_by_any_route(self, stage: Stage, wrap: Any) -> None:
        (text,) = self.park(stage, unknown=1)
        stage.trigger("t")
        assert stage.function()(wrap(text)) is None
        assert stage.keys() == ["in/1.csv"]
        assert not stage.web.messages

    def test_a_trigger_runs_all_its_jobs(self, stage: Stage) -> None:
        (text,) = self.park(stage, unknown=1)
        stage.trigger("t", job_id=["load", "report", "load"])
        assert stage.function()(sqs(text, queue=PARKING)) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (2, 1)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param(["report", "none"], ["report", "load"], id="renamed"),
            pytest.param(["report", "none"], ["report", "none"], id="made"),
            pytest.param(["report", "none"], ["none", "report"], id="moved"),
            pytest.param(["report", "none"], ["report", "report", "none"], id="moved down"),
            pytest.param("none", "load", id="the only one, renamed"),
        ],
    )
    def test_a_job_runs_alone(
        self, stage: Stage, before: list[str] | str, after: list[str] | str
    ) -> None:
        (text,) = self.park(stage, job_id=before)
        stage.job("none", "core")
        stage.trigger("t", job_id=after)
        assert stage.function()(sqs(text, queue=PARKING)) is None
        assert stage.keys() == ["in/1.csv"]
        assert not stage.web.messages

    def test_a_worker_that_has_a_queue_now_gets_it(self, stage: Stage) -> None:
        (text,) = self.park(stage, job_id=["load", "lost"])
        nowhere = stage.endpoint.add_queue("lava-demo-nowhere")
        assert stage.function()(sqs(text, queue=PARKING)) is None
        assert stage.keys(nowhere) == ["in/1.csv"]
        assert not stage.core.messages

    def test_each_job_that_was_parked_is_given_back_by_itself(self, stage: Stage) -> None:
        texts = self.park(stage, job_id=["none", "load", "none"])
        stage.job("none", "web")
        assert stage.function()(sqs(*texts, queue=PARKING)) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (0, 2)

    @every_mistake
    def test_what_is_still_broken_stays_in_its_queue(
        self, troubled: Stage, said: Said, wrong: Wrong
    ) -> None:
        (text,) = self.park(troubled, **wrong.fields)
        done = direct(record("out/1"))
        assert troubled.function()(sqs(text, done, queue=PARKING)) == failed("m0")
        assert troubled.nothing_went_out()
        assert any(wrong.reason in each["reason"] for each in said.facts("failed", logging.ERROR))
        with pytest.raises(DeliveriesFailedError, match="parked before, and not mended"):
            troubled.function()(sqs(text, queue=PARKING))
        assert troubled.nothing_went_out()

    def test_what_is_still_broken_is_parked_again_where_it_came_by_another_way(
        self, stage: Stage
    ) -> None:
        (text,) = self.park(stage, unknown=1)
        assert stage.function()(sqs(text, queue="another-queue")) is None
        (parked,) = stage.parked()
        assert parked["trigger_id"] == "t"
        assert stage.parking.messages[0].json["event"] == record()
        assert not stage.core.messages
        assert not stage.web.messages

    def test_what_lambda_put_into_that_queue_is_parked_as_ever(self, stage: Stage) -> None:
        stage.trigger("good")
        stage.trigger("bad", job_id="none")
        assert stage.function()(sqs(direct(record()), queue=PARKING)) is None
        assert stage.keys() == ["in/1.csv"]
        assert [each["trigger_id"] for each in stage.parked()] == ["bad"]

    def test_of_a_trigger_that_was_parked_whole_a_job_is_parked_by_itself(
        self, stage: Stage
    ) -> None:
        """Else what is good of it would run each time the rest is given back."""
        (text,) = self.park(stage, unknown=1, job_id=["load", "lost", "none"])
        stage.trigger(job_id=["load", "lost", "none"])
        assert stage.function()(sqs(text, queue=PARKING)) is None
        texts = [each.text for each in stage.parking.take()]
        parked = [json.loads(each)["parked"] for each in texts]
        found = {(each["job_id"], each["position"]) for each in parked}
        assert found == {("lost", 1), ("none", 2)}
        for _ in range(3):
            with pytest.raises(DeliveriesFailedError, match="parked before, and not mended"):
                stage.function()(sqs(*texts, queue=PARKING))
        assert len(stage.core.messages) == 1
        assert not stage.parking.messages

    @pytest.mark.parametrize("is_hidden", [False, True], ids=["gone", "hidden"])
    def test_a_trigger_that_no_longer_matches_is_done_and_that_is_told(
        self, stage: Stage, said: Said, *, is_hidden: bool
    ) -> None:
        (text,) = self.park(stage, unknown=1)
        if is_hidden:
            stage.trigger("narrower", prefix="in/1.csv", enabled=False)
        else:
            stage.realm.triggers.remove("t")
        assert stage.function()(sqs(text, queue=PARKING)) is None
        assert stage.nothing_went_out()
        assert said.facts("skipped", logging.WARNING) == [
            {"reason": "trigger 't' no longer matches", "bucket": BUCKET, "key": "in/1.csv"}
        ]


NONSENSE: Final = "not JSON"


class TestFailed:
    """A delivery fails for what it cannot carry out; all else in it is carried out."""

    def test_messages_that_failed_are_named(self, stage: Stage) -> None:
        stage.trigger()
        payload = sqs(
            direct(record("in/0")), NONSENSE, direct(record("in/2")), {"neither": 1}, direct()
        )
        assert stage.function()(payload) == failed("m1", "m3")
        assert stage.keys() == ["in/0", "in/2"]

    def test_by_a_pipe_too(self, stage: Stage) -> None:
        stage.trigger()
        payload = sqs(NONSENSE, direct(record("in/1")))["Records"]
        assert stage.function()(payload) == failed("m0")
        assert stage.keys() == ["in/1"]

    @pytest.mark.parametrize("number", [1, 2, 10])
    def test_where_all_failed_it_raises(self, stage: Stage, number: int) -> None:
        with pytest.raises(DeliveriesFailedError, match="not JSON") as error:
            stage.function()(sqs(*[NONSENSE] * number))
        assert error.value.count == number
        assert str(error.value).startswith(f"{number} failure")

    def test_a_message_fails_once_whatever_in_it_failed(self, stage: Stage) -> None:
        stage.trigger()
        payload = sqs(direct({"s3": {}}, record("in/1"), {"s3": {}}), direct(record("in/2")))
        assert stage.function()(payload) == failed("m0")
        assert stage.keys() == ["in/1", "in/2"]

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(direct(record("in/1"), {"s3": {}}, record("in/2")), id="S3"),
            pytest.param(
                {"Records": [*sns(record("in/1"), {"s3": {}}, record("in/2"))["Records"]]}, id="SNS"
            ),
            pytest.param([record("in/1"), {"what": "ever"}, eventbridge("in/2")], id="a Pipe"),
        ],
    )
    def test_other_routes_raise_once_and_carry_out_the_rest(
        self, stage: Stage, payload: Any
    ) -> None:
        stage.trigger()
        with pytest.raises(DeliveriesFailedError) as error:
            stage.function()(payload)
        assert error.value.count == 1
        assert stage.keys() == ["in/1", "in/2"]

    @pytest.mark.parametrize(
        "payload", [NONSENSE, {}, {"neither": 1}, None, 7, eventbridge("")], ids=ascii
    )
    def test_what_is_no_event_raises(self, stage: Stage, payload: Any) -> None:
        with pytest.raises(DeliveriesFailedError) as error:
            stage.function()(payload)
        assert error.value.count == 1
        assert stage.nothing_went_out()

    def test_failures_are_counted_the_first_is_named_and_all_are_in_the_log(
        self, stage: Stage, said: Said
    ) -> None:
        with pytest.raises(DeliveriesFailedError, match=r"the first: .*alpha") as error:
            stage.function()(direct("alpha", "beta", "gamma"))
        assert error.value.count == 3
        reasons = [each["reason"] for each in said.facts("not understood", logging.ERROR)]
        assert [
            name in text for name, text in zip(("alpha", "beta", "gamma"), reasons, strict=True)
        ] == [True] * 3

    @pytest.mark.parametrize("fault", [DENIED, Refusal(400, "ValidationException")], ids=str)
    @pytest.mark.parametrize("operation", ["Query", "GetItem"])
    def test_what_could_not_be_read_comes_again(
        self, stage: Stage, said: Said, operation: str, fault: Fault
    ) -> None:
        stage.trigger("one", bucket="one")
        stage.trigger("two", bucket="two", job_id="report")
        stage.endpoint.fail({(operation, 1): fault})
        payload = sqs(direct(record("in/1", bucket="one")), direct(record("in/2", bucket="two")))
        function = stage.function()
        assert function(payload) == failed("m0")
        assert (stage.keys(), stage.keys(stage.web)) == ([], ["in/2"])
        (facts,) = said.facts("failed", logging.ERROR)
        assert facts.pop("reason").startswith("reading lava.demo.")
        named = {"trigger_id": "one", "job_id": "load"} if operation == "GetItem" else {}
        assert facts == {**named, "bucket": "one", "key": "in/1"}
        assert function(sqs(direct(record("in/1", bucket="one")))) is None
        assert stage.keys() == ["in/1"]

    def test_reads_are_tried_again_first(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", stage.waits.append)
        stage.trigger()
        stage.endpoint.fail({("Query", 1): READS_THROTTLED, ("GetItem", 1): SERVER_ERROR})
        assert stage.function()(direct(record())) is None
        assert stage.keys() == ["in/1.csv"]
        assert len(stage.waits) == 2

    @pytest.mark.parametrize("fault", [THROTTLED, SERVER_ERROR, DENIED], ids=lambda each: each.code)
    @pytest.mark.parametrize("operation", ["GetQueueUrl", SEND])
    def test_what_could_not_be_sent_comes_again(
        self, stage: Stage, said: Said, operation: str, fault: Refusal
    ) -> None:
        stage.trigger("one", prefix="one")
        stage.trigger("two", prefix="two", job_id="report")

        def fail(call: Call) -> Fault | None:
            at = call.request.get("QueueUrl") or call.request.get("QueueName") or ""
            return fault if call.operation == operation and at.endswith("-core") else None

        stage.endpoint.fail(fail)
        payload = sqs(direct(record("one/1")), direct(record("two/2")))
        assert stage.function()(payload) == failed("m0")
        assert (stage.keys(), stage.keys(stage.web)) == ([], ["two/2"])
        assert not stage.parking.messages
        (facts,) = said.facts("failed", logging.ERROR)
        assert fault.code in facts["reason"]
        assert (facts["trigger_id"], facts["job_id"]) == ("one", "load")
        assert (facts["bucket"], facts["key"]) == (BUCKET, "one/1")
        assert [each["key"] for each in said.facts("dispatched")] == ["two/2"]

    def test_a_reply_that_was_lost_sends_again_under_another_run_id(self, stage: Stage) -> None:
        stage.trigger()
        stage.endpoint.fail({(SEND, 1): LOST_REPLY})
        assert stage.function()(direct(record())) is None
        run_ids = [each.json["run_id"] for each in stage.core.messages]
        assert len(set(run_ids)) == len(run_ids) == 2


def fifo(*messages: tuple[str, Any], queue: str = "my-queue.fifo") -> dict[str, Any]:
    """Make what a FIFO queue invokes the function with: messages m0, m1 with their groups."""
    return direct(
        *(message(f"m{n}", body, queue, group) for n, (group, body) in enumerate(messages))
    )


class TestDefects:
    """What is not expected fails what it befell, and nothing is forgotten for it."""

    def test_an_event_that_meets_one_fails_alone(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, said: Said
    ) -> None:
        stage.trigger("a-odd", parameters={})
        stage.trigger()
        function = stage.function()

        def decide_trigger(decision: Decision, trigger: Trigger, *rest: Any) -> None:
            if (trigger.trigger_id, decision.event.key) == ("a-odd", "in/1.csv"):
                raise KeyError("Items")
            really(decision, trigger, *rest)

        really = decision._decide_trigger  # noqa: SLF001 - the defect is put there
        monkeypatch.setattr(decision, "_decide_trigger", decide_trigger)
        payload = sqs(*(direct(record(f"in/{n}.csv")) for n in range(3)))
        for _ in range(2):
            assert function(payload) == failed("m1")
        assert all(
            "KeyError: 'Items' (test_handler.py, line" in each["reason"]
            for each in said.facts("failed", logging.ERROR)
        )
        # Those that succeeded are none to remember: each is another event the second time.
        assert len(stage.core.messages) == 2 * 2 * 2 + 1

    @pytest.mark.parametrize("table", [TriggerTable, JobTable], ids=lambda each: each.__name__)
    def test_what_cannot_be_looked_up_fails_alone(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, table: type
    ) -> None:
        stage.trigger()
        function = stage.function()
        name = "matching" if table is TriggerTable else "__getitem__"
        really = getattr(table, name)
        seen: list[str] = []

        def look_up(self: Any, *asked: str) -> Any:
            seen.append(asked[-1])
            if len(seen) == 2:
                raise RuntimeError("odd")
            return really(self, *asked)

        monkeypatch.setattr(table, name, look_up)
        assert function(sqs(*(direct(record(f"in/{n}")) for n in range(3)))) == failed("m1")
        assert stage.keys() == ["in/0", "in/2"]

    @pytest.mark.parametrize("payload", [sqs, lambda *each: each[0]], ids=["queue", "S3"])
    def test_what_was_sent_before_one_is_not_sent_again(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, payload: Any
    ) -> None:
        stage.trigger("bad", job_id="none")
        stage.trigger()
        function = stage.function(dedup_cache_size=10)
        handed = payload(direct(record()), direct(record("in/2.csv")))

        def park(*_: Any) -> None:
            raise LookupError("odd")

        with monkeypatch.context() as patched:
            patched.setattr(Sending, "park", park)
            for _ in range(2):
                with pytest.raises(DeliveriesFailedError, match="LookupError: odd"):
                    function(handed)
        count = len(stage.core.messages)
        assert not stage.parking.messages
        assert function(handed) is None
        assert len(stage.core.messages) == count == len(set(stage.keys()))
        assert len(stage.parking.messages) == count


class TestFifo:
    """Messages of one group are worked on one after the other."""

    def test_they_are_sent_in_order(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "load"])
        keys = [f"in/{n}" for n in range(10)]
        assert stage.function()(fifo(*(("a", direct(record(key))) for key in keys))) is None
        assert stage.keys() == [key for key in keys for _ in range(2)]
        assert stage.endpoint.calls[SEND] == 10

    def test_all_of_one_is_sent_before_the_next(self, stage: Stage) -> None:
        stage.trigger()
        many = direct(*(record(f"in/{n}") for n in range(25)))
        assert stage.function()(fifo(("a", many), ("a", direct(record("in/last"))))) is None
        assert len(stage.core.messages) == 26
        assert stage.keys()[-1] == "in/last"

    def test_one_is_decided_when_the_one_before_it_was_sent(self, stage: Stage) -> None:
        stage.trigger("one", bucket="one")

        def put_another(call: Call) -> None:
            if call.operation == SEND and call.number == 1:
                stage.trigger("two", bucket="two")

        stage.endpoint.fail(put_another)
        payload = fifo(
            ("a", direct(record("in/1", bucket="one"))), ("a", direct(record("in/2", bucket="two")))
        )
        assert stage.function()(payload) is None
        assert stage.keys() == ["in/1", "in/2"]

    def test_groups_go_side_by_side(self, stage: Stage) -> None:
        stage.trigger()
        messages = [(group, direct(record(f"in/{group}{n}"))) for n in range(2) for group in "abc"]
        assert stage.function()(fifo(*messages)) is None
        assert stage.keys() == ["in/a0", "in/b0", "in/c0", "in/a1", "in/b1", "in/c1"]
        assert stage.endpoint.calls[SEND] == 2

    def test_what_follows_a_failed_one_has_failed_too(self, stage: Stage) -> None:
        stage.trigger()
        payload = fifo(
            ("a", direct(record("in/a0"))),
            ("a", NONSENSE),
            ("b", direct(record("in/b0"))),
            ("a", direct(record("in/a1"))),
            ("b", direct(record("in/b1"))),
            ("a", direct(record("in/a2"))),
        )
        assert stage.function()(payload) == failed("m1", "m3", "m5")
        assert stage.keys() == ["in/a0", "in/b0", "in/b1"]

    def test_what_could_not_be_sent_is_a_failed_one(self, stage: Stage) -> None:
        stage.trigger()
        stage.endpoint.fail({(SEND, 2): DENIED})
        payload = fifo(*(("a", direct(record(f"in/{n}"))) for n in range(4)))
        assert stage.function()(payload) == failed("m1", "m2", "m3")
        assert stage.keys() == ["in/0"]

    def test_what_was_parked_is_none(self, stage: Stage) -> None:
        stage.trigger("in")
        stage.trigger("bad", prefix="bad", job_id="none")
        payload = fifo(("a", direct(record("bad/0"))), ("a", direct(record("in/1"))))
        assert stage.function()(payload) is None
        assert stage.keys() == ["in/1"]
        assert len(stage.parked()) == 1

    def test_where_the_first_of_the_only_group_fails_all_come_again(self, stage: Stage) -> None:
        stage.trigger()
        with pytest.raises(DeliveriesFailedError) as error:
            stage.function()(fifo(("a", NONSENSE), ("a", direct(record()))))
        assert error.value.count == 2
        assert stage.nothing_went_out()

    def test_other_queues_have_no_groups(self, stage: Stage) -> None:
        stage.trigger()
        payload = direct(
            message("m0", NONSENSE, group="a"), message("m1", direct(record()), group="a")
        )
        assert stage.function()(payload) == failed("m0")
        assert stage.keys() == ["in/1.csv"]

    def test_what_was_sent_is_not_sent_again(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "report"])
        function = stage.function()
        stage.endpoint.fail(deny("web"))
        payload = fifo(("a", direct(record("in/0"))), ("a", direct(record("in/1"))))
        with pytest.raises(DeliveriesFailedError):
            function(payload)
        stage.endpoint.fail({})
        assert function(payload) is None
        assert stage.keys() == ["in/0", "in/1"]
        assert stage.keys(stage.web) == ["in/0", "in/1"]


def deny(worker: str) -> Any:
    """Make a fault of all that is sent to a worker."""
    return lambda call: (
        DENIED
        if call.operation == SEND and call.request["QueueUrl"].endswith(f"-{worker}")
        else None
    )


class TestDeliveredAgain:
    """What a failed delivery did send is not sent again."""

    @pytest.fixture
    def function(self, stage: Stage) -> Function:
        """A function of which triggers run load, and report that cannot be sent."""
        stage.trigger(job_id=["load", "report"])
        stage.endpoint.fail(deny("web"))
        return stage.function()

    @pytest.mark.parametrize(
        "payload",
        [sqs(direct(record())), direct(record()), eventbridge(), sns(record())],
        ids=["SQS", "S3", "EventBridge", "SNS"],
    )
    def test_only_what_failed_is_sent(
        self, stage: Stage, function: Function, said: Said, payload: Any
    ) -> None:
        for _ in range(3):
            with pytest.raises(DeliveriesFailedError):
                function(payload)
        stage.endpoint.fail({})
        assert function(payload) is None
        assert (stage.keys(), stage.keys(stage.web)) == (["in/1.csv"], ["in/1.csv"])
        skipped = [each for each in said.facts("skipped") if "sent before" in each["reason"]]
        assert [each["job_id"] for each in skipped] == ["load"] * 3

    def test_then_the_same_event_is_another_one(self, stage: Stage, function: Function) -> None:
        with pytest.raises(DeliveriesFailedError):
            function(direct(record()))
        stage.endpoint.fail({})
        for _ in range(2):
            assert function(direct(record())) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (2, 2)

    def test_a_delivery_that_succeeded_is_not_remembered(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function()
        for _ in range(3):
            assert function(direct(record())) is None
        assert len(stage.core.messages) == 3

    def test_of_several_only_those_of_the_failed_are(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function()
        assert function(sqs(direct(record("in/1")), NONSENSE)) == failed("m1")
        assert function(sqs(direct(record("in/1")))) is None
        assert stage.keys() == ["in/1", "in/1"]

    def test_each_sending_excuses_one(self, stage: Stage, function: Function) -> None:
        twice = sqs(direct(record()), direct(record()))
        with pytest.raises(DeliveriesFailedError):
            function(twice)
        assert len(stage.core.messages) == 2
        stage.endpoint.fail({})
        assert function(twice) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (2, 2)
        assert function(sqs(direct(record()))) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (3, 3)

    def test_what_was_sent_once_excuses_one_of_two(self, stage: Stage, function: Function) -> None:
        with pytest.raises(DeliveriesFailedError):
            function(sqs(direct(record())))
        stage.endpoint.fail({})
        assert function(sqs(direct(record()), direct(record()))) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (2, 2)

    @pytest.mark.parametrize(
        "other",
        [
            record("in/2.csv"),
            record(sequencer="0069B4C0FE4F5260D8"),
            record(eventName="ObjectCreated:Copy"),
        ],
        ids=["key", "sequencer", "event type"],
    )
    def test_another_event_is_not_excused(
        self, stage: Stage, function: Function, other: dict[str, Any]
    ) -> None:
        with pytest.raises(DeliveriesFailedError):
            function(direct(record()))
        stage.endpoint.fail({})
        assert function(direct(other)) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (2, 1)

    def test_another_trigger_is_not_excused(self, stage: Stage, function: Function) -> None:
        with pytest.raises(DeliveriesFailedError):
            function(direct(record()))
        stage.endpoint.fail({})
        stage.realm.triggers.remove("t")
        stage.trigger("another")
        stage.clock.now += 60
        assert function(direct(record())) is None
        assert len(stage.core.messages) == 2

    def test_another_position_in_the_list_is_not_excused(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "load"])
        refusal = EntryRefusal("InternalError", is_senders_fault=False)
        stage.endpoint.fail(
            {(SEND, 1): Partial({1: refusal}), (SEND, 2): Partial({0: refusal}), (SEND, 3): DENIED}
        )
        function = stage.function()
        with pytest.raises(DeliveriesFailedError):
            function(direct(record()))
        assert len(stage.core.messages) == 1
        assert function(direct(record())) is None
        assert len(stage.core.messages) == 2

    def test_what_was_parked_is_not_parked_again(self, stage: Stage) -> None:
        stage.trigger(job_id=["none", "report"])
        stage.endpoint.fail(deny("web"))
        function = stage.function()
        for _ in range(2):
            with pytest.raises(DeliveriesFailedError):
                function(direct(record()))
        stage.endpoint.fail({})
        assert function(direct(record())) is None
        assert len(stage.parking.messages) == 1
        assert len(stage.web.messages) == 1

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param({"unknown": 1}, {}, id="a trigger"),
            pytest.param({"job_id": "none"}, {"job_id": "none"}, id="a job"),
            pytest.param({"job_id": ["load", "lost"]}, {"job_id": ["load", "lost"]}, id="a queue"),
        ],
    )
    def test_what_was_parked_and_mended_since_runs_once(
        self, stage: Stage, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        stage.trigger(**before)
        stage.trigger("other", job_id="report")
        stage.endpoint.fail(deny("web"))
        function = stage.function()
        with pytest.raises(DeliveriesFailedError):
            function(direct(record()))
        stage.trigger(**after)
        stage.job("none", "core")
        nowhere = stage.endpoint.add_queue("lava-demo-nowhere")
        stage.clock.now += 60
        for _ in range(2):
            with pytest.raises(DeliveriesFailedError):
                function(direct(record()))
        stage.endpoint.fail({})
        assert function(direct(record())) is None
        (parked,) = stage.parking.take()
        assert function(sqs(parked.text, queue=PARKING)) is None
        assert len(stage.core.messages) + len(nowhere.messages) == 1 + ("lost" in str(after))
        assert len(stage.web.messages) == 1

    def test_so_it_is_with_what_was_parked_and_is_given_back(self, stage: Stage) -> None:
        stage.trigger(unknown=1)
        function = stage.function()
        assert function(direct(record())) is None
        (parked,) = stage.parking.take()
        stage.trigger(job_id=["load", "report"])
        stage.clock.now += 60
        stage.endpoint.fail(deny("web"))
        for _ in range(2):
            with pytest.raises(DeliveriesFailedError):
                function(sqs(parked.text, queue=PARKING))
        stage.endpoint.fail({})
        assert function(sqs(parked.text, queue=PARKING)) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (1, 1)

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"foo": 1}, id="no-message"),
            pytest.param(message("", NONSENSE), id="empty-id"),
            pytest.param({**message("", NONSENSE), "messageId": None}, id="no-id"),
        ],
    )
    @pytest.mark.parametrize("settings", [{}, {"dedup_cache_size": 10}], ids=["off", "dedup"])
    def test_what_comes_again_with_what_is_no_message_is_not_sent_again(
        self, stage: Stage, other: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        """What is no SQS message cannot be given back by itself: all of it comes again."""
        stage.trigger()
        function = stage.function(**settings)
        payload = [message("m0", direct(record())), other]
        for _ in range(3):
            with pytest.raises(DeliveriesFailedError):
                function(payload)
        assert len(stage.core.messages) == 1
        assert function(payload[:1]) is None
        assert len(stage.core.messages) == 1

    def test_another_instance_does_not_know(self, stage: Stage, function: Function) -> None:
        with pytest.raises(DeliveriesFailedError):
            function(direct(record()))
        stage.endpoint.fail({})
        assert stage.function()(direct(record())) is None
        assert len(stage.core.messages) == 2

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param({"unknown": 1}, {}, id="a trigger"),
            pytest.param({"job_id": "none"}, {"job_id": "none"}, id="a job"),
        ],
    )
    def test_what_was_parked_runs_though_its_delivery_is_still_to_come_again(
        self, stage: Stage, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        stage.trigger(**before)
        function = stage.function()
        with pytest.raises(DeliveriesFailedError):
            function(sqs(direct(record(), NONSENSE)))
        (parked,) = stage.parking.take()
        stage.trigger(**after)
        stage.job("none", "core")
        stage.clock.now += 60
        assert function(sqs(parked.text, queue=PARKING)) is None
        assert stage.keys() == ["in/1.csv"]


class TestDuplicates:
    """An event that was done lately is a duplicate, where that is turned on."""

    SIZE: Final = 100

    def test_off_it_is_none(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function()
        function(direct(record(), record()))
        function(direct(record()))
        assert len(stage.core.messages) == 3

    def test_it_is_done_within_its_time(self, stage: Stage, said: Said) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=self.SIZE, dedup_ttl=30.0)
        assert function(direct(record())) is None
        stage.clock.now += 29.9
        assert function(direct(record())) is None
        assert len(stage.core.messages) == 1
        assert said.facts("skipped") == [
            {"reason": "duplicate", "bucket": BUCKET, "key": "in/1.csv"}
        ]
        stage.clock.now += 0.1
        assert function(direct(record())) is None
        assert len(stage.core.messages) == 2

    def test_by_another_route_it_is_one_too(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=self.SIZE)
        function(direct(record()))
        function(sqs(direct(record(sequencer="another"))))
        assert len(stage.core.messages) == 1

    def test_in_the_same_invocation_it_is_done_at_once(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=self.SIZE)
        assert function(sqs(direct(record(), record()), direct(record()))) is None
        assert len(stage.core.messages) == 1

    @pytest.mark.parametrize(
        "other",
        [
            record("in/2.csv"),
            record(bucket="other"),
            record(size=1083),
            record(eventName="ObjectCreated:Copy"),
        ],
        ids=["key", "bucket", "size", "event type"],
    )
    def test_another_event_is_none(self, stage: Stage, other: dict[str, Any]) -> None:
        stage.trigger()
        stage.trigger("other", bucket="other")
        function = stage.function(dedup_cache_size=self.SIZE)
        function(direct(record(), other))
        assert len(stage.core.messages) == 2

    def test_the_least_recently_used_goes(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=2)
        for key in ("in/a", "in/b", "in/a", "in/c", "in/a", "in/b"):
            function(direct(record(key)))
        assert stage.keys() == ["in/a", "in/b", "in/c", "in/b"]

    def test_one_that_failed_comes_again(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=self.SIZE)
        stage.endpoint.fail({(SEND, 1): DENIED})
        with pytest.raises(DeliveriesFailedError):
            function(direct(record()))
        assert function(direct(record())) is None
        assert function(direct(record())) is None
        assert len(stage.core.messages) == 1

    def test_the_first_in_an_invocation_carries_the_obligation(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=self.SIZE)
        stage.endpoint.fail({(SEND, 1): DENIED})
        assert function(sqs(direct(record()), direct(record()))) == failed("m0")
        assert function(sqs(direct(record()))) is None
        assert len(stage.core.messages) == 1

    def test_one_that_is_done_is_known_though_its_delivery_failed(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=self.SIZE)
        payload = direct(record("in/1"), NONSENSE)
        for _ in range(2):
            with pytest.raises(DeliveriesFailedError):
                function(payload)
        assert stage.keys() == ["in/1"]

    def test_after_its_time_the_failed_delivery_is_forgotten_too(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=self.SIZE, dedup_ttl=30.0)
        with pytest.raises(DeliveriesFailedError):
            function(direct(record(), NONSENSE))
        assert function(direct(record())) is None
        assert len(stage.core.messages) == 1
        stage.clock.now += 30
        assert function(direct(record())) is None
        assert len(stage.core.messages) == 2

    def test_one_that_failed_does_not_repeat_what_was_sent(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "report"])
        function = stage.function(dedup_cache_size=self.SIZE)
        stage.endpoint.fail(deny("web"))
        with pytest.raises(DeliveriesFailedError):
            function(direct(record()))
        stage.endpoint.fail({})
        assert function(direct(record())) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (1, 1)

    def test_one_that_was_parked_is_done(self, stage: Stage) -> None:
        stage.trigger(job_id="none")
        function = stage.function(dedup_cache_size=self.SIZE)
        for _ in range(2):
            assert function(direct(record())) is None
        assert len(stage.parking.messages) == 1

    def test_what_was_parked_is_none_when_it_is_given_back(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "none", "none"])
        function = stage.function(dedup_cache_size=self.SIZE)
        function(direct(record()))
        texts = [each.text for each in stage.parking.take()]
        stage.job("none", "web")
        assert function(sqs(*texts, queue=PARKING)) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (1, 2)

    def test_a_duplicate_beside_what_comes_again_does_not_repeat_what_was_sent(
        self, stage: Stage
    ) -> None:
        stage.trigger(job_id=["load", "report"])
        function = stage.function(dedup_cache_size=100)
        stage.endpoint.fail(deny("web"))
        with pytest.raises(DeliveriesFailedError):
            function(sqs(direct(record())))
        stage.endpoint.fail({})
        assert function(sqs(direct(record()), direct(record()))) is None
        assert (len(stage.core.messages), len(stage.web.messages)) == (1, 1)

    def test_a_delivery_that_keeps_failing_repeats_nothing_when_the_time_has_passed(
        self, stage: Stage
    ) -> None:
        stage.trigger()
        function = stage.function(dedup_cache_size=100, dedup_ttl=30.0)
        for later in (0.0, 10.0, 30.0, 10.0, 30.0):
            stage.clock.now += later
            with pytest.raises(DeliveriesFailedError):
                function(direct(record(), NONSENSE))
        assert stage.keys() == ["in/1.csv"]


def nested(depth: int) -> str:
    """Wrap an S3 record into envelopes, one inside of the other, the inner four as text."""
    value: Any = direct(record("in/nested"))
    for level in range(depth):
        name = "Message" if level % 2 else "body"
        value = {name: json.dumps(value) if level < 4 else value}
    return json.dumps(value)


def with_object(text: str) -> str:
    """Give the text of an S3 notification in whose object this JSON text stands."""
    return json.dumps(direct(record())).replace('"size": 1082', text)


class TestHostilePayloads:
    """Whatever arrives in one message, the others of its batch are dispatched."""

    CASES: Final = [
        pytest.param("x" * 10_000_000, True, id="10 MB of text"),
        pytest.param("[" * 10_000_000, True, id="10 MB of brackets"),
        pytest.param('{"Records": [' + "null," * 100_000 + "null]}", True, id="records of nothing"),
        pytest.param("9" * 100_000, True, id="a number of 100,000 digits"),
        pytest.param('"\\ud800"', True, id="half a character"),
        pytest.param("\ufeff{}", True, id="a byte order mark"),
        pytest.param("NaN", True, id="no JSON value"),
        pytest.param("{}", True, id="an object of nothing"),
        pytest.param(nested(30), True, id="wrapped very deep"),
        pytest.param(nested(6), False, id="wrapped deep"),
        pytest.param(with_object('"size": 1e400'), True, id="an endless size"),
        pytest.param(with_object('"size": -1'), True, id="a negative size"),
        pytest.param(with_object('"size": "1"'), True, id="a size of text"),
        pytest.param(with_object('"size": true'), True, id="a size that is true"),
        pytest.param(with_object('"size": 1, "key": []'), True, id="a key that is a list"),
        pytest.param(with_object('"size": 1, "key": "in%2"'), False, id="a key half encoded"),
        pytest.param(with_object('"size": 1, "key": "%FF"'), True, id="a key of no text"),
        pytest.param(
            with_object(f'"size": {2**64}, "key": "in%2Flast"'), False, id="members that come twice"
        ),
        pytest.param(with_object(f'"size": 1, "more": {"[" * 400}{"]" * 400}'), False, id="depth"),
        pytest.param(with_object('"size": 1, "more": "\\ud800\\udfff"'), False, id="surrogates"),
        pytest.param(
            json.dumps(direct(*(record(f"in/{n}") for n in range(100)))), False, id="many records"
        ),
    ]

    @pytest.mark.parametrize(("body", "is_failed"), CASES)
    def test_beside_good_ones(self, stage: Stage, body: str, *, is_failed: bool) -> None:
        stage.trigger(prefix="*", parameters={"key": "{{ key }}", "event": "{{ event|tojson }}"})
        good = [direct(record("good/1")), direct(record("good/2"))]

        answer = stage.function()(sqs(good[0], body, good[1]))

        assert answer == (failed("m1") if is_failed else None)
        assert {"good/1", "good/2"} <= set(stage.keys())
        assert (len(stage.keys()) > 2) is not is_failed

    def test_10_000_records_are_dispatched(self, stage: Stage) -> None:
        stage.trigger(prefix="*")
        keys = [f"in/{number}" for number in range(10_000)]
        assert stage.function()(direct(*map(record, keys))) is None
        assert sorted(stage.keys()) == sorted(keys)
        assert stage.endpoint.calls[SEND] == 1000


class TestTime:
    """No work is started for which too little time is left; it has failed, and says so."""

    def test_outside_of_lambda_nothing_limits_it(self, stage: Stage) -> None:
        stage.trigger()
        assert stage.function()(direct(record()), None) is None
        assert stage.keys() == ["in/1.csv"]

    @pytest.mark.parametrize("seconds", [3.0, 60.0, 900.0])
    def test_any_timeout_will_do(self, stage: Stage, seconds: float) -> None:
        stage.trigger()
        assert stage.function()(direct(record()), Context(seconds)) is None
        assert stage.keys() == ["in/1.csv"]

    def test_nothing_more_is_decided(self, stage: Stage) -> None:
        stage.trigger()
        function, context = stage.function(), Context()

        def hurry(call: Call) -> None:
            if call.operation == "Query":
                context.left = 1.0

        stage.endpoint.fail(hurry)
        with pytest.raises(DeliveriesFailedError, match="too little time was left"):
            function(direct(record()), context)
        assert stage.endpoint.calls == {"Query": 1}
        assert function(direct(record()), Context()) is None
        assert stage.keys() == ["in/1.csv"]

    def test_nothing_more_is_read(self, stage: Stage) -> None:
        stage.trigger()
        context = Context()

        def hurry(call: Call) -> None:
            context.left = 20.0

        stage.endpoint.fail(hurry)
        with pytest.raises(
            DeliveriesFailedError, match=r"time was left for reading lava\.demo\.jobs"
        ):
            stage.function()(direct(record()), context)
        assert stage.endpoint.calls == {"Query": 1}

    def test_nothing_more_is_sent(self, stage: Stage, said: Said) -> None:
        stage.trigger()
        function, context = stage.function(), Context()

        def hurry(call: Call) -> None:
            if call.operation == "GetItem":
                context.left = 10.0  # enough to send, but not to park what is refused

        stage.endpoint.fail(hurry)
        with pytest.raises(DeliveriesFailedError, match="out of time"):
            function(direct(record()), context)
        assert stage.nothing_went_out()
        assert "out of time" in said.facts("failed", logging.ERROR)[0]["reason"]
        assert function(direct(record()), Context()) is None
        assert stage.keys() == ["in/1.csv"]

    def test_nothing_more_is_parked(self, stage: Stage) -> None:
        stage.trigger(job_id="none")
        context = Context()

        def hurry(call: Call) -> None:
            if call.operation == "GetItem":
                context.left = 1.0

        stage.endpoint.fail(hurry)
        with pytest.raises(DeliveriesFailedError, match="out of time"):
            stage.function()(direct(record()), context)
        assert stage.nothing_went_out()

    def test_time_is_left_to_park_what_the_queues_refuse(self, stage: Stage) -> None:
        stage.trigger(job_id="lost")
        context = Context()

        def hurry(call: Call) -> None:
            if call.operation == "GetItem":
                context.left = 13.5
            if call.request.get("QueueName") == "lava-demo-nowhere":
                context.left = 7.5

        stage.endpoint.fail(hurry)
        assert stage.function()(direct(record()), context) is None
        assert len(stage.parked()) == 1

    @pytest.mark.parametrize("job_id", ["load", "lost"])
    @pytest.mark.parametrize("left", [*range(1, 45), 300])
    def test_no_call_to_sqs_may_end_when_the_time_is_up(
        self, stage: Stage, job_id: str, left: float
    ) -> None:
        """Each takes as long as it may, and every other one is refused."""
        stage.trigger(job_id=job_id)
        context = Context()
        ends: list[float] = []

        def slow(call: Call) -> Fault | None:
            if call.operation == "GetItem":
                context.left = left
            if call.operation not in (SEND, "GetQueueUrl"):
                return None
            context.left -= SLOWEST_CALL
            ends.append(context.left)
            return THROTTLED if call.number % 2 else None

        stage.endpoint.fail(slow)
        with contextlib.suppress(DeliveriesFailedError):
            stage.function()(direct(record()), context)
        assert all(end >= MARGIN for end in ends)
        assert ends or left < 3 * SLOWEST_CALL
        assert left < 300 or stage.core.messages or stage.parking.messages

    def test_time_is_left_to_note_what_was_done(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the table of recent events, all that was sent is noted there as done."""
        claims = stage.endpoint.tables["claims"] = Table(Keys("id"))
        stage.endpoint.operations["UpdateItem"] = update_item
        stage.trigger()
        function, context = stage.function(dedup_table="claims"), Context(60.0)

        def slowly(*arguments: Any) -> None:
            context.left -= 0.5
            really(*arguments)

        really = decision._decide_trigger  # noqa: SLF001 - it takes half of what it may
        monkeypatch.setattr(decision, "_decide_trigger", slowly)
        bodies = (direct(record(f"in/{n}", sequencer=f"{n:04}")) for n in range(120))
        answer = function(sqs(*bodies), context)
        states = Counter(each["state"]["S"] for each in claims.items.values())
        assert answer is not None
        assert 0 < len(stage.core.messages) < 120
        assert len(answer["batchItemFailures"]) == 120 - len(stage.core.messages)
        assert states == {
            "done": len(stage.core.messages),
            "failed": 120 - len(stage.core.messages),
        }

    def test_what_was_done_in_time_is_done(self, stage: Stage) -> None:
        stage.trigger()
        context = Context()

        def hurry(call: Call) -> None:
            if call.operation == SEND and call.number == 2:
                context.left = 1.0

        stage.endpoint.fail(hurry)
        payload = fifo(*(("a", direct(record(f"in/{n}"))) for n in range(4)))
        assert stage.function()(payload, context) == failed("m2", "m3")
        assert stage.keys() == ["in/0", "in/1"]


class TestCosts:
    """A warm instance pays for nothing but its share of a call to SQS."""

    @pytest.mark.parametrize(("events", "calls"), [(1, 1), (10, 1), (11, 2), (50, 5)])
    def test_a_call_for_ten_dispatches(self, stage: Stage, events: int, calls: int) -> None:
        stage.trigger()
        function = stage.function()
        function(direct(record("in/first")))
        stage.endpoint.forget_calls()
        keys = [f"in/never/seen/{n}" for n in range(events)]
        assert function(sqs(*(direct(record(key)) for key in keys))) is None
        assert stage.endpoint.calls == {SEND: calls}
        assert sorted(stage.keys()) == sorted(["in/first", *keys])

    def test_what_causes_nothing_costs_nothing(self, stage: Stage) -> None:
        stage.trigger(if_fnmatch="*.csv")
        function = stage.function()
        function(direct(record("in/first")))
        stage.endpoint.forget_calls()
        for n in range(10):
            assert function(direct(record(f"in/{n}"), record(f"out/{n}"))) is None
        assert not stage.endpoint.calls

    def test_two_workers_cost_a_call_each(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "report"])
        function = stage.function()
        function(direct(record("in/first")))
        stage.endpoint.forget_calls()
        function(direct(*(record(f"in/{n}") for n in range(10))))
        assert stage.endpoint.calls == {SEND: 2}

    def test_a_cold_one_reads_each_thing_once(self, stage: Stage) -> None:
        stage.trigger(job_id=["load", "report", "load"])
        stage.function()(direct(*(record(f"in/{n}") for n in range(3))))
        assert stage.endpoint.calls == {"Query": 1, "GetItem": 2, "GetQueueUrl": 2, SEND: 2}

    def test_after_its_time_what_was_read_is_read_again(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(cache_ttl=60.0)
        function(direct(record()))
        stage.clock.now += 60
        stage.endpoint.forget_calls()
        function(direct(record()))
        assert stage.endpoint.calls == {"Query": 1, "GetItem": 1, SEND: 1}

    def test_without_a_cache_each_invocation_reads_for_itself(self, stage: Stage) -> None:
        stage.trigger()
        function = stage.function(cache_ttl=0.0)
        function(direct(record()))
        stage.endpoint.forget_calls()
        function(direct(*(record(f"in/{n}") for n in range(5))))
        assert stage.endpoint.calls == {"Query": 1, "GetItem": 1, SEND: 1}


HOSTILE: Final = [
    pytest.param('in/"}\n[ERROR] forged {"', id="quotes and line ends"),
    pytest.param("in/\r\n\t\0\x1b[31m\x7f\x85\u2028\u2029", id="control characters"),
    pytest.param("in/\U0001f980\u00e9\u202e\ufffe", id="beyond ASCII"),
    pytest.param("in/%s %d %(x)s {} \\ \\n", id="formats"),
]


class TestLog:
    """What is logged is one line of ASCII for each thing, its facts as JSON."""

    @pytest.mark.parametrize("key", HOSTILE)
    @pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
    def test_a_key_can_neither_end_a_line_nor_begin_one(
        self, stage: Stage, said: Said, key: str, level: int
    ) -> None:
        stage.trigger("good")
        stage.trigger("unmet", if_fnmatch=[key * 9, "*.zip"])
        stage.trigger("broken", parameters={"a": "{{ key.nothing() }}"})
        stage.trigger("named by the key", job_id="{{ key }}")
        stage.trigger("forged", globals={"{{ 'lava' + key }}": 1})
        stage.trigger("lost", job_id="lost")
        stage.trigger(key, enabled=False)
        no_field: dict[str, Any] = {f"no field {key}": 1}
        stage.trigger(f"bad {key}", **no_field)
        stage.job("odd", f"worker {key}")
        stage.trigger("odd worker", job_id="odd")
        function = stage.function(log_level=level, dedup_cache_size=10)
        with pytest.raises(DeliveriesFailedError):
            function(direct(record(key), record(key), record(f"out{key}"), key, {key: key}))
        with pytest.raises(DeliveriesFailedError):
            stage.function(dead_letter_queue=None)(direct(record(key), {"s3": {key: key}}))
        assert len(said.lines()) > 15
        for line in said.lines():
            assert line.isascii()
            assert line.isprintable()
            what, _, facts = line.partition(" {")
            assert what in {
                "dispatched",
                "failed",
                "mistake",
                "not understood",
                "parked",
                "skipped",
            }
            assert isinstance(json.loads("{" + facts), dict)
        assert all(each["key"] == key for each in said.facts("dispatched"))

    def test_a_dispatch_is_logged_with_what_finds_it_again(self, stage: Stage, said: Said) -> None:
        stage.trigger(job_id=["load", "report"])
        stage.function()(direct(record()))
        assert said.facts("dispatched", logging.INFO) == [
            {
                "queue": f"lava-demo-{worker}",
                "run_id": queue.messages[0].json["run_id"],
                "trigger_id": "t",
                "job_id": job_id,
                "bucket": BUCKET,
                "key": "in/1.csv",
            }
            for worker, queue, job_id in (
                ("core", stage.core, "load"),
                ("web", stage.web, "report"),
            )
        ]

    def test_one_that_went_out_at_the_second_attempt_is_logged_as_it_went(
        self, stage: Stage, said: Said
    ) -> None:
        stage.trigger()
        passing = EntryRefusal("InternalError", is_senders_fault=False)
        stage.endpoint.fail({(SEND, 1): Partial({0: passing})})
        assert stage.function()(direct(record())) is None
        (facts,) = said.facts("dispatched", logging.INFO)
        assert facts["run_id"] == stage.core.messages[0].json["run_id"]
        assert not said.facts("failed")

    def test_a_line_is_not_as_long_as_what_it_tells_of(self, stage: Stage, said: Said) -> None:
        stage.trigger(job_id=TOO_MUCH)
        stage.function()(direct(record()))
        assert said.lines()
        assert max(map(len, said.lines())) < 20_000

    def test_what_is_skipped_is_logged_with_its_reason(self, stage: Stage, said: Said) -> None:
        stage.trigger("off", enabled=False)
        stage.trigger("unmet", if_fnmatch="*.zip")
        stage.trigger("idle", job_id="idle")
        stage.job("idle", "core", enabled=False)
        stage.function()(direct(record()))
        where = {"bucket": BUCKET, "key": "in/1.csv"}
        found = sorted(said.facts("skipped", logging.INFO), key=lambda each: each["trigger_id"])
        assert found == [
            {"reason": "the job is disabled", "trigger_id": "idle", "job_id": "idle", **where},
            {"reason": "the trigger is disabled", "trigger_id": "off", **where},
            {"reason": "not met: if_fnmatch '*.zip'", "trigger_id": "unmet", **where},
        ]

    def test_that_nothing_matches_is_no_news(self, stage: Stage, said: Said) -> None:
        stage.function(log_level=logging.DEBUG)(direct(record()))
        assert len(said.facts("skipped", logging.DEBUG)) == 1
        stage.function(log_level=logging.INFO)(direct(record()))
        assert len(said.lines()) == 1

    def test_what_is_not_understood_is_logged_with_its_message(
        self, stage: Stage, said: Said
    ) -> None:
        stage.function()(sqs(direct(), NONSENSE))
        (facts,) = said.facts("not understood", logging.ERROR)
        assert facts["message_id"] == "m1"
        assert "not JSON" in facts["reason"]
