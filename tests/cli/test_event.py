"""``lava-s3trigger event``: payloads are as AWS makes them, and come through the function."""

import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus

import botocore.session
import pytest
from aws_lambda_powertools.utilities.parser.envelopes import SnsSqsEnvelope
from aws_lambda_powertools.utilities.parser.models import (
    S3BatchOperationModel,
    S3EventNotificationEventBridgeModel,
    S3Model,
    S3SqsEventNotificationModel,
    SnsModel,
    SqsModel,
)
from pydantic import ValidationError

from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES, event_type
from lava_s3trigger.cli.objects.payloads import ROUTES, ObjectEvent
from lava_s3trigger.cli.routes.route import event_types
from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.events import S3Event
from tests.build import s3_event
from tools.local.server import LocalAws

from .commandline import CommandLine
from .terminal import attacking_keys

AWS_EVENTS: Final = Path(__file__).parents[1] / "aws_events"
TIME: Final = dt.datetime(2026, 3, 14, 1, 59, 26, 535000, tzinfo=dt.UTC)
EVENTBRIDGE: Final = ("eventbridge", "eventbridge-sqs")
NO_BATCH: Final = [each for each in ROUTES if each != "s3-batch"]
KEYS: Final = sorted(
    {
        "a/b.csv",
        "a b+c%20d%2B.csv",
        "/begins/with/a/slash",
        "//",
        "caf\u00e9/\U0001f600 \u202e.csv",
        'x","admin":"yes',
        "back\\slash\nand\ttab\0",
        "\x1b[31m\x9b\x7f",
        "&<>'\"=?#;:@,$!*()[]{}|^`~",
        "." * 1024,
        "\u2028\ufeff\ufffe",
        *attacking_keys(),
    }
)


def made(key: str = "a/b.csv", name: str = "ObjectCreated:Put", **fields: Any) -> ObjectEvent:
    return ObjectEvent(bucket="my-bucket", key=key, type=event_type(name), time=TIME, **fields)


def events_of(payload: Any) -> list[S3Event]:
    found = deliveries(json.loads(json.dumps(payload)), "no-region")
    assert [each.errors for each in found] == [[]] * len(found)
    return [each.event for delivery in found for each in delivery.events]


READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "s3": S3Model.model_validate,
    "sns": lambda payload: [
        S3Model.model_validate_json(str(each.Sns.Message))
        for each in SnsModel.model_validate(payload).Records
    ],
    "sqs": S3SqsEventNotificationModel.model_validate,
    "sns-sqs": lambda payload: SnsSqsEnvelope().parse(payload, S3Model),
    "eventbridge": S3EventNotificationEventBridgeModel.model_validate,
    "eventbridge-sqs": lambda payload: [
        S3EventNotificationEventBridgeModel.model_validate_json(str(each.body))
        for each in SqsModel.model_validate(payload).Records
    ],
    "pipes": lambda payload: S3SqsEventNotificationModel.model_validate({"Records": payload}),
    "s3-batch": S3BatchOperationModel.model_validate,
}


def accept(route: str, payload: Any) -> None:
    """Have Powertools read a payload, with what is inside its envelopes."""
    read = READERS[route](json.loads(json.dumps(payload)))  # a copy: it adds to what it reads
    assert not isinstance(read, list) or None not in read


def shape(value: Any) -> Any:
    """Return the names and types of a value."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in sorted(value.items())}
    return type(value).__name__


class TestRoutes:
    """Each route's payload is accepted by Powertools, and comes through the function."""

    @pytest.mark.parametrize("route", NO_BATCH)
    def test_hostile_keys_come_through(self, route: str) -> None:
        for key in KEYS:
            payload = ROUTES[route]([made(key, size=1082)])
            accept(route, payload)
            [event] = events_of(payload)
            of_route: dict[str, Any] = {"event_time": TIME}
            if route in EVENTBRIDGE:
                of_route = {"event_type": "ObjectCreated:PutObject"}
            assert event.info == s3_event(key, aws_region="us-east-1", **of_route).info

    @pytest.mark.parametrize("route", ["s3", "sns", "sqs", "sns-sqs", "eventbridge-sqs", "pipes"])
    def test_several_events_have_identities_of_their_own(self, route: str) -> None:
        events = [made(), replace(made("k"), time=TIME + dt.timedelta(milliseconds=1))]
        payload = ROUTES[route](events)
        accept(route, payload)
        assert len({each.identity for each in events_of(payload)}) == 2
        if route not in ("s3", "sns"):
            ids = [each.message_id for each in deliveries(payload, "r")]
            assert len(set(ids)) == 2
            assert all(uuid.UUID(each).version == 4 for each in ids)
            records = payload if route == "pipes" else payload["Records"]
            for record in records:
                assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()

    def test_eventbridge_hands_over_one_event_alone(self) -> None:
        with pytest.raises(CommandError, match="eventbridge-sqs"):
            ROUTES["eventbridge"]([made(), made()])

    @pytest.mark.parametrize("route", ROUTES)
    def test_the_same_events_make_the_same_payload(self, route: str) -> None:
        assert ROUTES[route]([made()]) == ROUTES[route]([made()])


class TestEventTypes:
    """Every type of event has the shape in which AWS sends it."""

    def test_they_are_those_that_a_notification_can_name(self) -> None:
        model = botocore.session.Session().get_service_model("s3")
        names = model.shape_for("Event").metadata["enum"]

        assert {f"s3:{name}" for name in EVENT_TYPES} == {
            name for name in names if not name.endswith("*")
        }
        assert all(event_types([name]) for name in names)

    @pytest.mark.parametrize("path", sorted(AWS_EVENTS.glob("s3-*.json")), ids=lambda p: p.stem)
    def test_s3s_record_is_as_aws_recorded_it(self, path: Path) -> None:
        [recorded] = json.loads(path.read_text())["Records"]
        name = recorded["eventName"]
        [record] = ROUTES["s3"]([made(name=name)])["Records"]
        if not EVENT_TYPES[name].is_new_version:
            recorded["s3"]["object"].pop("versionId", None)
        assert shape(record) == shape(recorded)
        assert record["eventVersion"] == recorded["eventVersion"]
        address = recorded["requestParameters"]["sourceIPAddress"]
        assert (record["requestParameters"]["sourceIPAddress"] == "s3.amazonaws.com") == (
            address == "s3.amazonaws.com"
        )

    @pytest.mark.parametrize(
        "path", sorted(AWS_EVENTS.glob("eventbridge-*.json")), ids=lambda p: p.stem
    )
    def test_eventbridges_event_is_as_aws_recorded_it(self, path: Path) -> None:
        recorded = json.loads(path.read_text())
        [expected] = events_of(recorded)
        [name] = {
            name
            for name, each in EVENT_TYPES.items()
            if each.name_in_eventbridge == expected.event_type
            and each.detail.get("deletion-type") == recorded["detail"].get("deletion-type")
        }
        payload = ROUTES["eventbridge"]([made(name=name)])
        if not EVENT_TYPES[name].is_new_version:
            recorded["detail"]["object"].pop("version-id", None)
        assert shape(payload) == shape(recorded)
        [event] = events_of(payload)
        assert event.event_type == expected.event_type
        assert (event.size == 0) == (expected.size == 0)
        assert (event.source_ip is None) == (expected.source_ip is None)

    @pytest.mark.parametrize("name", EVENT_TYPES)
    @pytest.mark.parametrize("route", NO_BATCH)
    def test_every_type_comes_through_by_every_route(self, route: str, name: str) -> None:
        kind = EVENT_TYPES[name]
        if route in EVENTBRIDGE and kind.detail_type is None:
            with pytest.raises(CommandError, match=f"S3 sends no {name} to EventBridge"):
                ROUTES[route]([made(name=name)])
            return
        payload = ROUTES[route]([made(name=name, size=7)])
        [event] = events_of(payload)
        known = kind.name_in_eventbridge if route in EVENTBRIDGE else name
        without = kind.without_in_eventbridge if route in EVENTBRIDGE else kind.without
        assert event.event_type == known
        assert event.size == (0 if "size" in without else 7)
        # Powertools wants a size that S3 does not send: it refuses AWS's own events, too.
        if route not in EVENTBRIDGE and "size" in kind.without and ":Delete" not in name:
            with pytest.raises(ValidationError, match="Size and eTag fields are required"):
                accept("s3", ROUTES["s3"]([made(name=name)]))
        elif not (name == "ObjectTagging:Delete" and route in EVENTBRIDGE):
            accept(route, payload)

    @pytest.mark.parametrize("name", EVENT_TYPES)
    def test_a_type_is_known_by_either_name(self, name: str) -> None:
        assert event_type(f"s3:{name}") is EVENT_TYPES[name]
        other = EVENT_TYPES[name].name_in_eventbridge
        if other:
            assert event_type(other).name_in_eventbridge == other


class TestS3Batch:
    """Tasks of S3 Batch Operations, in both versions."""

    @pytest.mark.parametrize("key", KEYS)
    def test_keys_are_percent_encoded(self, key: str) -> None:
        payload = ROUTES["s3-batch"]([made(key)])
        accept("s3-batch", payload)
        [task] = payload["tasks"]
        assert task["s3Key"].isascii()
        assert task["s3Key"].isprintable()
        assert unquote_plus(task["s3Key"]) == key

    @pytest.mark.parametrize(
        ("version", "bucket"),
        [("1.0", {"s3BucketArn": "arn:aws:s3:::b"}), ("2.0", {"s3Bucket": "b"})],
    )
    def test_both_versions_are_printed(
        self, version: str, bucket: dict[str, str], line: CommandLine
    ) -> None:
        options = ("--route", "s3-batch", "--schema-version", version, "--count", "2")
        payload = line("event", "s3://b/k", *options).json()
        accept("s3-batch", payload)
        assert payload["invocationSchemaVersion"] == version
        assert len({each["taskId"] for each in payload["tasks"]}) == 2
        for task in payload["tasks"]:
            assert {name: task[name] for name in task if "Bucket" in name} == bucket
        assert ("userArguments" in payload["job"]) == (version == "2.0")

    def test_another_event_type_is_a_user_argument(self, line: CommandLine) -> None:
        arguments = ["event", "s3://b/k", "--route", "s3-batch", "--event-type"]
        payload = line(*arguments, "ObjectCreated:Copy").json()
        assert payload["job"]["userArguments"] == {"event_type": "ObjectCreated:Copy"}
        ran = line(*arguments, "ObjectCreated:Copy", "--schema-version", "1.0")
        assert ran.status == 2
        assert "only in version 2.0" in ran.errors


class TestCommand:
    """What the command prints."""

    @pytest.mark.parametrize("route", NO_BATCH)
    def test_it_prints_a_payload(self, route: str, line: CommandLine) -> None:
        ran = line(
            "event",
            "s3://my-bucket/a b+c%20.csv",
            *("--route", route, "--size", "12", "--time", "2026-03-14T01:59:26Z"),
            *("--source-ip", "2001:db8::1", "--region", "eu-west-1"),
        )
        assert ran.status == 0, ran.errors
        [event] = events_of(ran.json())
        assert (event.bucket, event.key, event.size) == ("my-bucket", "a b+c%20.csv", 12)
        assert event.event_time.isoformat() == "2026-03-14T01:59:26+00:00"
        assert (str(event.source_ip), event.aws_region) == ("2001:db8::1", "eu-west-1")

    def test_count_repeats_the_event(self, line: CommandLine) -> None:
        ran = line("event", "s3://b/k", "--route", "sqs", "--count", "10")
        found = events_of(ran.json())
        assert {each.key for each in found} == {"k"}
        assert len({each.identity for each in found}) == 10

    @pytest.mark.parametrize("route", ROUTES)
    def test_hostile_keys_reach_no_terminal_raw(self, route: str, line: CommandLine) -> None:
        for key in (each for each in KEYS if "\0" not in each):
            ran = line("event", f"s3://b/{key}", "--route", route)
            assert ran.status == 0, ran.errors
            assert ran.output.replace("\n", "").isprintable()
            assert ran.output.isascii()

    @pytest.mark.usefixtures("credentials")
    def test_an_objects_own_facts_are_asked_of_s3(self, aws: LocalAws, line: CommandLine) -> None:
        client = aws.client("s3")
        client.create_bucket(Bucket="facts")
        client.put_object(Bucket="facts", Key="a b.csv", Body=b"12345")
        options = ("--endpoint-url", aws.endpoint, "--region", "us-east-1")
        found = client.head_object(Bucket="facts", Key="a b.csv")

        [event] = events_of(line("event", "s3://facts/a b.csv", *options).json())
        assert event.size == 5
        assert event.event_time == found["LastModified"]
        assert event.record["s3"]["object"]["eTag"] == found["ETag"].strip('"')

        [event] = events_of(line("event", "s3://facts/a b.csv", *options, "--size", "9").json())
        assert event.size == 9

        ran = line("event", "s3://facts/none\u202e", *options)
        assert ran.errors == (
            "Warning: s3://facts/none\\u202e not found in S3; assuming 1 byte, created now\n"
        )
        assert events_of(ran.json())[0].size == 1

        ran = line("event", "s3://facts/gone", *options, "--event-type", "ObjectRemoved:Delete")
        assert (ran.status, ran.errors) == (0, "")
