"""S3 events, out of whatever Lambda is handed: docs/design.md#s3-events."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

import pytest
from dateutil.tz import tzutc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.deliveries import Delivery, deliveries
from lava_s3trigger.errors import PayloadError
from lava_s3trigger.parking import RedriveTarget
from tests import aws_events
from tests.routes import (
    QUEUE,
    ROUTES,
    TEST_EVENT,
    TOPIC,
    Route,
    What,
    eventbridge_event,
    invocation_record,
    of_eventbridge,
    of_s3,
    parked,
    records,
    s3_record,
    sns,
    sns_envelope,
    sqs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lava_s3trigger.events import S3Event

    Json = dict[str, Any]

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ROOT: Final = Path(__file__).parents[1]
SAMPLES: Final = ROOT / "events"
# Those of S3 Batch Operations hold no events; tests/function/test_s3_batch.py has them.
SAMPLES_OF_EVENTS: Final = sorted({*SAMPLES.glob("*.json")} - {*SAMPLES.glob("s3-batch*.json")})

OWN_REGION: Final = "eu-central-1"

MISSING: Final = object()


def _deep() -> Any:
    found: Any = []
    for _ in range(2000):
        found = [found]
    return found


DEEP: Final = _deep()
"""Nested deeper than Python shows, as no JSON is."""


def changed(record: Json, path: str, value: Any) -> Json:
    """Return a copy of a record with one of its elements changed, or taken out."""
    copy = deepcopy(record)
    *parents, name = path.split(".")
    element = copy
    for parent in parents:
        element = element[parent]
    if value is MISSING:
        del element[name]
    else:
        element[name] = value
    return copy


by_every_route = pytest.mark.parametrize(
    "route", [pytest.param(route, id=name) for name, route in ROUTES.items()]
)


def only_event(payload: Any) -> S3Event:
    """Return the one event that a payload holds."""
    [delivery] = deliveries(payload, OWN_REGION)
    assert delivery.errors == []
    [event] = [each.event for each in delivery.events]
    return event


def only_redrive(payload: Any) -> RedriveTarget | None:
    """Return what the one event of a payload was parked for, if it was."""
    [delivery] = deliveries(payload, OWN_REGION)
    [redrive] = [each.redrive for each in delivery.events]
    return redrive


def only_error(payload: Any) -> str:
    """Return the message of the one error that a payload is."""
    [delivery] = deliveries(payload, OWN_REGION)
    assert delivery.events == []
    [error] = delivery.errors
    assert type(error) is PayloadError
    return str(error)


def keys(delivery: Delivery) -> list[str]:
    return [each.event.key for each in delivery.events]


WHEN: Final = datetime(2026, 3, 14, 1, 59, 26, tzinfo=UTC)
PRECISELY: Final = WHEN + timedelta(milliseconds=535)


def info(**changes: Any) -> Json:
    return {
        "bucket": "my-bucket",
        "key": "a/b+c d.csv",
        "size": 1082,
        "event_time": WHEN,
        "event_type": "ObjectCreated:PutObject",
        "source_ip": IPv4Address("203.0.113.7"),
        "aws_region": "ap-southeast-2",
        **changes,
    }


KINDS: Final = [
    pytest.param(
        of_s3(s3_record()),
        info(event_time=PRECISELY, event_type="ObjectCreated:Put"),
        id="s3-created",
    ),
    pytest.param(
        of_s3(
            s3_record(
                eventName="ObjectRemoved:Delete",
                s3={"bucket": {"name": "my-bucket"}, "object": {"key": "%C3%A9", "sequencer": "1"}},
            )
        ),
        info(event_time=PRECISELY, event_type="ObjectRemoved:Delete", key="\u00e9", size=0),
        id="s3-deleted",
    ),
    pytest.param(of_eventbridge(eventbridge_event()), info(), id="eventbridge-created"),
    pytest.param(
        of_eventbridge(
            eventbridge_event()
            | {
                "detail-type": "Object Tags Added",
                "detail": {"bucket": {"name": "my-bucket"}, "object": {"key": "%C3%A9+"}},
            }
        ),
        info(event_type="ObjectTagsAdded", key="%C3%A9+", size=0, source_ip=None),
        id="eventbridge-tagged",
    ),
]


class TestRoutes:
    """An event is the same by every route that AWS offers."""

    @by_every_route
    @pytest.mark.parametrize(("what", "expected"), KINDS)
    def test_an_event_arrives_by_every_route(
        self, route: Route, what: What, expected: Json
    ) -> None:
        [delivery] = deliveries(route.payload(what), OWN_REGION)

        assert delivery.errors == []
        assert delivery.message_id == route.message_id
        [(event, redrive)] = [(each.event, each.redrive) for each in delivery.events]
        assert event.info == expected
        assert event.record == what.record
        assert redrive == route.redrive

    @by_every_route
    def test_a_test_event_is_dropped(self, route: Route) -> None:
        found = deliveries(route.payload(What(whole=TEST_EVENT, record=TEST_EVENT)), OWN_REGION)

        assert [(each.events, each.errors) for each in found] == [([], [])]
        assert [each.message_id for each in found] == [route.message_id]

    @by_every_route
    def test_a_payload_without_an_event_is_an_error_of_its_delivery(self, route: Route) -> None:
        strange = {"Foo": 1, "Bar": 2}

        [delivery] = deliveries(route.payload(What(whole=strange, record=strange)), OWN_REGION)

        assert delivery.events == []
        assert list(map(str, delivery.errors)) == [
            "neither an S3 event nor an envelope of one: an object with ['Bar', 'Foo']"
        ]
        assert delivery.message_id == route.message_id

    @pytest.mark.parametrize("route", [each for each in ROUTES if not each.startswith("parked")])
    def test_records_arrive_in_order(self, route: str) -> None:
        many = records(*(s3_record(key=str(n)) for n in range(5)))

        [delivery] = deliveries(ROUTES[route].payload(What(whole=many, record=many)), OWN_REGION)

        assert delivery.errors == []
        assert keys(delivery) == ["0", "1", "2", "3", "4"]

    @pytest.mark.parametrize("route", [each for each in ROUTES if not each.startswith("parked")])
    def test_empty_records_are_nothing_to_do(self, route: str) -> None:
        empty = records()

        found = deliveries(ROUTES[route].payload(What(whole=empty, record=empty)), OWN_REGION)

        assert not any(each.events or each.errors for each in found)

    def test_an_empty_array_has_no_delivery(self) -> None:
        assert deliveries({"Records": []}, OWN_REGION) == []
        assert deliveries([], OWN_REGION) == []

    def test_an_event_keeps_the_record_as_it_came(self) -> None:
        record = s3_record()

        assert only_event(records(record)).record is record

    def test_an_event_redriven_repeatedly_arrives(self) -> None:
        payload: Any = records(s3_record())
        for _ in range(3):
            payload = records(sqs(sns_envelope(invocation_record(payload))))

        assert only_event(payload).key == "a/b+c d.csv"

    def test_a_parked_message_in_a_redriven_one_names_its_trigger(self) -> None:
        payload = records(sqs(invocation_record(records(sqs(parked(s3_record()))))))

        assert only_redrive(payload) == RedriveTarget("t-1")


class TestKeys:
    """S3 form-encodes keys once; EventBridge does not encode them."""

    @pytest.mark.parametrize(
        ("encoded", "expected"),
        [
            pytest.param("a%2Bb+c", "a+b c", id="plus-and-space"),
            pytest.param("%2525", "%25", id="decoded-once"),
            pytest.param("%252B", "%2B", id="decoded-once-plus"),
            pytest.param("a%40b", "a@b", id="at"),
            pytest.param("a%2Fb%2fc", "a/b/c", id="minio-encodes-slashes"),
            pytest.param("%F0%9F%98%80", "\U0001f600", id="beyond-the-first-plane"),
            pytest.param("caf%C3%A9", "caf\u00e9", id="utf-8"),
            pytest.param("caf\u00e9", "caf\u00e9", id="not-encoded"),
            pytest.param("%0A%0D%09%00", "\n\r\t\x00", id="control-characters"),
            pytest.param("%22%5C%27", "\"\\'", id="quotes-and-backslash"),
            pytest.param("/a//b/", "/a//b/", id="slashes"),
            pytest.param("100%", "100%", id="percent-alone"),
            pytest.param("%zz", "%zz", id="no-hexadecimal"),
            pytest.param("+", " ", id="one-space"),
        ],
    )
    def test_a_key_from_s3_is_form_decoded_once(self, encoded: str, expected: str) -> None:
        assert only_event(records(s3_record(key=encoded))).key == expected

    @pytest.mark.parametrize("key", ["a%2Bb+c", "%2525", "a b", "%", "+", "/a//b/", "\n", '"\\'])
    def test_a_key_from_eventbridge_is_not_decoded(self, key: str) -> None:
        assert only_event(eventbridge_event(key=key)).key == key

    @by_every_route
    @settings(unhurried, max_examples=25)
    @given(key=st.text(min_size=1), safe=st.sampled_from(["", "/", "/!-_.*'()"]))
    def test_any_key_arrives_from_s3(self, route: Route, key: str, safe: str) -> None:
        what = of_s3(s3_record(key=quote_plus(key, safe=safe)))

        assert only_event(route.payload(what)).key == key

    @by_every_route
    @settings(unhurried, max_examples=25)
    @given(key=st.text(min_size=1))
    def test_any_key_arrives_from_eventbridge(self, route: Route, key: str) -> None:
        what = of_eventbridge(eventbridge_event(key=key))

        assert only_event(route.payload(what)).key == key

    @pytest.mark.parametrize("key", ["%FF", "a%C3", "%ED%A0%80"], ids=["byte", "cut", "surrogate"])
    def test_a_key_that_is_no_utf_8_is_an_error(self, key: str) -> None:
        assert only_error(records(s3_record(key=key))) == (
            f"s3.object.key is '{key}': not form-encoded UTF-8"
        )

    @by_every_route
    @pytest.mark.parametrize("of", [of_s3, of_eventbridge], ids=["s3", "eventbridge"])
    def test_a_lone_surrogate_is_kept(self, route: Route, of: Callable[[Json], What]) -> None:
        record = s3_record("a\ud800") if of is of_s3 else eventbridge_event("a\ud800")

        assert only_event(route.payload(of(record))).key == "a\ud800"


class TestInfo:
    """Exactly these seven elements, of these types, whatever the route."""

    @by_every_route
    @pytest.mark.parametrize(
        "what",
        [of_s3(s3_record()), of_eventbridge(eventbridge_event())],
        ids=["s3", "eventbridge"],
    )
    def test_info_has_seven_fields(self, route: Route, what: What) -> None:
        found = only_event(route.payload(what)).info

        assert {name: type(value) for name, value in found.items()} == {
            "bucket": str,
            "key": str,
            "size": int,
            "event_time": datetime,
            "event_type": str,
            "source_ip": IPv4Address,
            "aws_region": str,
        }
        assert found["event_time"].tzinfo is tzutc()

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            pytest.param("2026-03-14T01:59:26.535Z", PRECISELY, id="s3"),
            pytest.param("2026-03-14T01:59:26Z", WHEN, id="eventbridge"),
            pytest.param("2026-03-14T01:59:26+00:00", WHEN, id="offset-of-nothing"),
            pytest.param("2026-03-14T12:59:26+11:00", WHEN, id="offset"),
            pytest.param("2026-03-13T18:29:26-07:30", WHEN, id="offset-west"),
            pytest.param("2026-03-14T01:59:26", WHEN, id="no-offset"),
            pytest.param(
                "2026-03-14T01:59:26.535123Z", PRECISELY + timedelta(microseconds=123), id="micro"
            ),
            pytest.param("20260314T015926Z", WHEN, id="basic"),
            pytest.param("2026-03-13T24:00:00Z", datetime(2026, 3, 14, tzinfo=UTC), id="midnight"),
            pytest.param(
                "1970-01-01T00:00:00.000Z", datetime(1970, 1, 1, tzinfo=UTC), id="example-of-aws"
            ),
        ],
    )
    def test_the_time_is_aware_and_in_utc(self, written: str, expected: datetime) -> None:
        for payload in (records(s3_record(eventTime=written)), eventbridge_event(time=written)):
            found = only_event(payload).event_time

            assert found == expected
            assert found.tzinfo is tzutc()
            assert found.isoformat().endswith("+00:00")

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param("203.0.113.7", IPv4Address("203.0.113.7"), id="ipv4"),
            pytest.param("2001:db8::7", IPv6Address("2001:db8::7"), id="ipv6"),
            pytest.param("s3.amazonaws.com", None, id="host-name"),
            pytest.param("AWS Internal", None, id="words"),
            pytest.param("203.0.113.7:55328", None, id="with-a-port"),
            pytest.param("", None, id="empty"),
            pytest.param(None, None, id="null"),
            pytest.param(5, None, id="number"),
            pytest.param(["203.0.113.7"], None, id="list"),
            pytest.param(MISSING, None, id="absent"),
        ],
    )
    def test_the_source_is_an_address_or_none(
        self, value: Any, expected: IPv4Address | IPv6Address | None
    ) -> None:
        of_record = changed(s3_record(), "requestParameters.sourceIPAddress", value)
        of_event = changed(eventbridge_event(), "detail.source-ip-address", value)

        assert only_event(records(of_record)).source_ip == expected
        assert only_event(of_event).source_ip == expected

    @pytest.mark.parametrize("value", [MISSING, None, "x", []], ids=["absent", "null", "text", "l"])
    def test_without_request_parameters_there_is_no_source(self, value: Any) -> None:
        record = changed(s3_record(), "requestParameters", value)

        assert only_event(records(record)).source_ip is None

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param("us-gov-west-1", "us-gov-west-1", id="its-own"),
            pytest.param(MISSING, OWN_REGION, id="absent"),
            pytest.param(None, OWN_REGION, id="null"),
        ],
    )
    def test_the_region_is_that_of_the_event_else_of_the_function(
        self, value: Any, expected: str
    ) -> None:
        record = changed(s3_record(), "awsRegion", value)
        event = changed(eventbridge_event(), "region", value)

        assert only_event(records(record)).aws_region == expected
        assert only_event(event).aws_region == expected

    def test_each_event_has_its_own_region_or_the_functions(self) -> None:
        payload = records(
            sqs(records(s3_record(awsRegion="us-east-1")), "m-1"),
            sqs(records(changed(s3_record(), "awsRegion", MISSING)), "m-2"),
        )

        regions = [each.events[0].event.aws_region for each in deliveries(payload, OWN_REGION)]

        assert regions == ["us-east-1", OWN_REGION]

    @pytest.mark.parametrize(
        "name",
        [
            "ObjectCreated:Put",
            "s3:ObjectCreated:Put",
            "ObjectRemoved:Delete",
            "IntelligentTiering",
            "Object Created : Put ",
        ],
    )
    def test_the_type_of_an_s3_event_is_its_name(self, name: str) -> None:
        assert only_event(records(s3_record(eventName=name))).event_type == name

    @pytest.mark.parametrize(
        ("kind", "reason", "expected"),
        [
            ("Object Created", "PutObject", "ObjectCreated:PutObject"),
            ("Object Created", "POST Object", "ObjectCreated:POSTObject"),
            ("Object Created", "CompleteMultipartUpload", "ObjectCreated:CompleteMultipartUpload"),
            ("Object Deleted", "Lifecycle Expiration", "ObjectDeleted:LifecycleExpiration"),
            ("Object Storage Class Changed", MISSING, "ObjectStorageClassChanged"),
            ("Object ACL Updated", MISSING, "ObjectACLUpdated"),
            ("Object Created", None, "ObjectCreated"),
            (" Object\tCreated\n", " Put\r\nObject ", "ObjectCreated:PutObject"),
        ],
    )
    def test_the_type_of_an_eventbridge_event_is_joined_without_white_space(
        self, kind: str, reason: Any, expected: str
    ) -> None:
        event = changed(eventbridge_event(**{"detail-type": kind}), "detail.reason", reason)

        assert only_event(event).event_type == expected

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param(0, 0, id="empty"),
            pytest.param(1, 1, id="byte"),
            pytest.param(50 * 2**40, 50 * 2**40, id="largest"),
            pytest.param(2**70 + 1, 2**70 + 1, id="beyond-64-bits"),
            pytest.param(MISSING, 0, id="absent"),
            pytest.param(None, 0, id="null"),
        ],
    )
    @by_every_route
    def test_the_size_is_a_number_or_0(self, route: Route, value: Any, expected: int) -> None:
        record = changed(s3_record(), "s3.object.size", value)
        event = changed(eventbridge_event(), "detail.object.size", value)

        assert only_event(route.payload(of_s3(record))).size == expected
        assert only_event(route.payload(of_eventbridge(event))).size == expected


S3_HOST: Final = "s3.amazonaws.com"
NO_SIZE: Final = ("s3.object.size",)
NO_SIZE_NOR_ETAG: Final = ("s3.object.size", "s3.object.eTag")
NO_SIZE_NOR_SEQUENCER: Final = ("s3.object.size", "s3.object.sequencer")

OBJECT: Final = "detail.object."
EB_BARE: Final = ("detail.reason", OBJECT + "size", OBJECT + "sequencer")
EB_SOURCELESS: Final = ("detail.reason", OBJECT + "sequencer", "detail.source-ip-address")


class TestLeftOut:
    """What real events leave out is no reason to refuse them: docs/design.md#s3-events."""

    @pytest.mark.parametrize(
        ("name", "absent", "source", "version"),
        [
            ("ObjectRemoved:Delete", NO_SIZE_NOR_ETAG, "203.0.113.7", "2.1"),
            ("LifecycleExpiration:Delete", NO_SIZE_NOR_ETAG, S3_HOST, "2.3"),
            ("ObjectRemoved:DeleteMarkerCreated", NO_SIZE, "203.0.113.7", "2.1"),
            ("LifecycleExpiration:DeleteMarkerCreated", NO_SIZE, S3_HOST, "2.3"),
            ("ObjectTagging:Put", NO_SIZE_NOR_SEQUENCER, "203.0.113.7", "2.3"),
            ("ObjectTagging:Delete", NO_SIZE_NOR_SEQUENCER, "203.0.113.7", "2.3"),
            ("ObjectAcl:Put", NO_SIZE_NOR_SEQUENCER, "203.0.113.7", "2.3"),
            ("Replication:OperationFailedReplication", (), S3_HOST, "2.2"),
            ("Replication:OperationReplicatedAfterThreshold", (), S3_HOST, "2.2"),
            ("LifecycleTransition", (), S3_HOST, "2.3"),
            ("IntelligentTiering", (), S3_HOST, "2.3"),
            ("ObjectRestore:Completed", (), "203.0.113.7", "2.1"),
        ],
    )
    def test_s3_events_without_optional_fields_are_understood(
        self, name: str, absent: tuple[str, ...], source: str, version: str
    ) -> None:
        record = s3_record(
            eventName=name, eventVersion=version, requestParameters={"sourceIPAddress": source}
        )
        for path in absent:
            record = changed(record, path, MISSING)

        assert only_event(records(record)).info == info(
            event_time=PRECISELY,
            event_type=name,
            size=0 if absent else 1082,
            source_ip=None if source == S3_HOST else IPv4Address(source),
        )

    @pytest.mark.parametrize(
        ("kind", "reason", "absent"),
        [
            ("Object Deleted", "DeleteObject", (OBJECT + "size", OBJECT + "etag")),
            ("Object Deleted", "DeleteObject", (OBJECT + "size",)),
            (
                "Object Deleted",
                "Lifecycle Expiration",
                (OBJECT + "size", OBJECT + "etag", "detail.source-ip-address"),
            ),
            ("Object Restore Initiated", None, ("detail.reason", OBJECT + "sequencer")),
            ("Object Restore Completed", None, EB_SOURCELESS),
            ("Object Restore Expired", None, EB_BARE),
            ("Object Tags Added", None, EB_BARE),
            ("Object Tags Deleted", None, EB_BARE),
            ("Object ACL Updated", None, EB_BARE),
            ("Object Storage Class Changed", None, EB_SOURCELESS),
            ("Object Access Tier Changed", None, EB_SOURCELESS),
        ],
    )
    def test_eventbridge_events_without_optional_fields_are_understood(
        self, kind: str, reason: str | None, absent: tuple[str, ...]
    ) -> None:
        event = changed(eventbridge_event(**{"detail-type": kind}), "detail.reason", reason)
        for path in absent:
            event = changed(event, path, MISSING)
        joined = kind.replace(" ", "")

        assert only_event(event).info == info(
            event_type=f"{joined}:{reason.replace(' ', '')}" if reason else joined,
            size=0 if OBJECT + "size" in absent else 1082,
            source_ip=None if "detail.source-ip-address" in absent else IPv4Address("203.0.113.7"),
        )

    @pytest.mark.parametrize(
        "version", ["2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "1.0", "3.0", "x", 2, MISSING]
    )
    def test_every_event_version_is_tried(self, version: Any) -> None:
        record = changed(s3_record(), "eventVersion", version)

        assert only_event(records(record)).key == "a/b+c d.csv"

    def test_unknown_fields_are_ignored(self) -> None:
        record = {
            **s3_record(),
            "glacierEventData": {"restoreEventData": {}},
            "Records": [],
            "body": "x",
        }
        record["s3"]["object"]["versionId"] = None
        event = eventbridge_event(**{"replay-name": "again", "Message": "x"})
        event["detail"]["deletion-type"] = "Permanently Deleted"

        assert only_event(records(record)).key == "a/b+c d.csv"
        assert only_event(event).key == "a/b+c d.csv"

    @pytest.mark.parametrize("source", ["aws:s3", "minio:s3", "ceph:s3", "aws:sqs", None, MISSING])
    def test_any_event_source_is_accepted(self, source: Any) -> None:
        record = changed(s3_record(), "eventSource", source)

        assert only_event(records(record)).key == "a/b+c d.csv"

    @pytest.mark.parametrize("source", ["aws.s3", "my.own", "", None, MISSING])
    def test_any_eventbridge_source_is_accepted(self, source: Any) -> None:
        assert only_event(changed(eventbridge_event(), "source", source)).bucket == "my-bucket"

    def test_minio_is_understood(self) -> None:
        record = s3_record(
            key="a%2Fb%2Bc+d.csv",
            eventVersion="2.0",
            eventSource="minio:s3",
            eventName="s3:ObjectCreated:Put",
            source={"host": "203.0.113.7", "port": "", "userAgent": "MinIO"},
        )
        payload = {"EventName": "s3:ObjectCreated:Put", "Key": "my-bucket/x", **records(record)}

        assert only_event(payload).info == info(
            event_time=PRECISELY, event_type="s3:ObjectCreated:Put"
        )


def records_in(value: Any) -> Iterator[Json]:
    """Find S3 and EventBridge records by their shape, however they are wrapped."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        yield from records_in(json.loads(value))
    elif isinstance(value, list):
        for each in value:
            yield from records_in(each)
    elif isinstance(value, dict):
        if "s3" in value or "object" in value.get("detail", ()):
            yield value
        else:
            for each in value.values():
                yield from records_in(each)


def form_decoded(encoded: str) -> str:
    raw = re.sub(
        rb"%([0-9A-Fa-f]{2})",
        lambda match: bytes.fromhex(match[1].decode()),
        encoded.replace("+", " ").encode(),
    )
    return raw.decode()


def expected_info(record: Json) -> Json:
    """Return the info of a record, as the table of docs/design.md#s3-events has it."""
    if "s3" in record:
        bucket, thing = record["s3"]["bucket"], record["s3"]["object"]
        key, when = form_decoded(thing["key"]), record["eventTime"]
        kind, region = record["eventName"], record["awsRegion"]
        source = record["requestParameters"]["sourceIPAddress"]
    else:
        bucket, thing = record["detail"]["bucket"], record["detail"]["object"]
        key, when = thing["key"], record["time"]
        parts = [record["detail-type"], record["detail"].get("reason")]
        kind = ":".join(part for part in parts if part).replace(" ", "")
        region, source = record["region"], record["detail"].get("source-ip-address")
    seconds, _, fraction = when.removesuffix("Z").partition(".")
    year, month, day, hour, minute, second = map(int, re.split("[-T:]", seconds))
    since = timedelta(hours=hour, minutes=minute, seconds=second, milliseconds=int(fraction or 0))
    return {
        "bucket": bucket["name"],
        "key": key,
        "size": thing.get("size", 0),
        "event_time": datetime(year, month, day, tzinfo=UTC) + since,
        "event_type": kind,
        "source_ip": ip_address(source) if source and source != S3_HOST else None,
        "aws_region": region,
    }


class TestSamples:
    """Each of the project's sample payloads is understood."""

    @pytest.mark.parametrize("path", SAMPLES_OF_EVENTS, ids=lambda path: path.stem)
    def test_a_sample_is_understood(self, path: Path) -> None:
        payload = json.loads(path.read_text())
        expected = list(records_in(payload))

        found = deliveries(payload, OWN_REGION)

        assert [each.errors for each in found] == [[]]
        events = [one.event for each in found for one in each.events]
        assert [event.info for event in events] == list(map(expected_info, expected))
        assert [event.record for event in events] == expected
        assert len(events) == (0 if path.stem == "s3-test-event" else 1)

    def test_samples_exist(self) -> None:
        assert {"s3-created.json", "sqs-sns-s3.json", "eventbridge-created.json"} <= {
            path.name for path in SAMPLES.iterdir()
        }


class TestEveryKind:
    """Every kind of event that AWS sends gives its `info`, as it comes and by every route."""

    CASES: Final = aws_events.cases()

    @pytest.mark.parametrize(("payload", "expected"), CASES.values(), ids=CASES)
    def test_every_kind_of_event_has_its_info(self, payload: Any, expected: Json) -> None:
        event = self.event(payload)

        assert event.info == expected
        assert event.info["event_time"].tzinfo is tzutc()
        assert [event.record] == list(records_in(payload))

    @by_every_route
    @pytest.mark.parametrize(("payload", "expected"), CASES.values(), ids=CASES)
    def test_info_is_the_same_by_every_route(
        self, payload: Any, expected: Json, route: Route
    ) -> None:
        [record] = records_in(payload)
        what = of_s3(record) if "s3" in record else of_eventbridge(record)

        event = self.event(route.payload(what))

        assert event.info == expected
        assert event.record == record

    def event(self, payload: Any) -> S3Event:
        [delivery] = deliveries(payload, OWN_REGION)
        assert delivery.errors == []
        [event] = [each.event for each in delivery.events]
        return event

    def test_every_payload_is_in_the_table(self) -> None:
        assert {path.stem for path in aws_events.FOLDER.glob("*.json")} == set(self.CASES)


NOT_A_TEXT: Final = "it must be a non-empty string"
NOT_A_SIZE: Final = "it must be a number of bytes"

ODD_TEXTS: Final[list[tuple[Any, str]]] = [
    (MISSING, f"None: {NOT_A_TEXT}"),
    (None, f"None: {NOT_A_TEXT}"),
    ("", f"'': {NOT_A_TEXT}"),
    (5, f"5: {NOT_A_TEXT}"),
    (True, f"True: {NOT_A_TEXT}"),
    (["x"], f"['x']: {NOT_A_TEXT}"),
    ({"x": 1}, f"{{'x': 1}}: {NOT_A_TEXT}"),
]
ODD_TIMES: Final[list[tuple[Any, str]]] = [
    *ODD_TEXTS,
    ("yesterday", "'yesterday': "),
    ("2026-13-01T00:00:00Z", "'2026-13-01T00:00:00Z': "),
    ("2026-03-14T01:59:26+99:00", "'2026-03-14T01:59:26+99:00': "),
    ("0001-01-01T00:00:00+01:00", "'0001-01-01T00:00:00+01:00': "),
    ("\u0661\u0662", r"'\u0661\u0662': "),
]
ODD_SIZES: Final[list[tuple[Any, str]]] = [
    ("1082", f"'1082': {NOT_A_SIZE}"),
    ("", f"'': {NOT_A_SIZE}"),
    (-1, f"-1: {NOT_A_SIZE}"),
    (1.5, f"1.5: {NOT_A_SIZE}"),
    (True, f"True: {NOT_A_SIZE}"),
    (False, f"False: {NOT_A_SIZE}"),
    (float("nan"), f"nan: {NOT_A_SIZE}"),
    (float("inf"), f"inf: {NOT_A_SIZE}"),
    ([1], f"[1]: {NOT_A_SIZE}"),
]
ODD_ELEMENTS: Final = [
    pytest.param(kind, path, value, said, id=f"{path}-{n}")
    for kind, elements in [
        (
            of_s3,
            [
                ("s3.bucket.name", ODD_TEXTS),
                ("s3.object.key", ODD_TEXTS),
                ("s3.object.size", ODD_SIZES),
                ("eventTime", ODD_TIMES),
                ("eventName", ODD_TEXTS),
                ("awsRegion", [(5, f"5: {NOT_A_TEXT}"), (["x"], f"['x']: {NOT_A_TEXT}")]),
            ],
        ),
        (
            of_eventbridge,
            [
                ("detail.bucket.name", ODD_TEXTS),
                ("detail.object.key", ODD_TEXTS),
                ("detail.object.size", ODD_SIZES),
                ("time", ODD_TIMES),
                ("detail-type", [each for each in ODD_TEXTS if each[0] is not MISSING]),
                ("detail.reason", [(5, f"5: {NOT_A_TEXT}"), ({}, f"{{}}: {NOT_A_TEXT}")]),
                ("region", [(5, f"5: {NOT_A_TEXT}"), (["x"], f"['x']: {NOT_A_TEXT}")]),
            ],
        ),
    ]
    for path, cases in elements
    for n, (value, said) in enumerate(cases)
]


class TestOddElements:
    """An element that is missing or odd is an error that names it and what was found."""

    @pytest.mark.parametrize(("of", "path", "value", "said"), ODD_ELEMENTS)
    def test_an_odd_element_is_named_and_other_records_arrive(
        self, of: Callable[[Json], What], path: str, value: Any, said: str
    ) -> None:
        good = s3_record("good") if of is of_s3 else eventbridge_event("good")
        bad = changed(good, path, value)

        [delivery] = deliveries([good, bad, good], OWN_REGION)

        assert keys(delivery) == ["good", "good"]
        [error] = delivery.errors
        assert str(error).startswith(f"{path} is {said}")
        assert str(error).isprintable()

    @pytest.mark.parametrize(
        ("record", "path", "value", "named"),
        [
            pytest.param(s3_record(), "s3.object", MISSING, "s3.object.key", id="object-absent"),
            pytest.param(s3_record(), "s3.object", None, "s3.object.key", id="object-null"),
            pytest.param(s3_record(), "s3.object", ["x"], "s3.object.key", id="object-list"),
            pytest.param(s3_record(), "s3.bucket", "b", "s3.bucket.name", id="bucket-text"),
            pytest.param(s3_record(), "s3", {}, "s3.object.key", id="s3-empty"),
            pytest.param(
                eventbridge_event(), "detail.object", 5, "detail.object.key", id="eb-object-number"
            ),
            pytest.param(
                eventbridge_event(), "detail.bucket", None, "detail.bucket.name", id="eb-bucket"
            ),
            pytest.param(eventbridge_event(), "detail", {}, "detail.bucket.name", id="eb-empty"),
        ],
    )
    def test_an_odd_container_is_named(
        self, record: Json, path: str, value: Any, named: str
    ) -> None:
        assert only_error([changed(record, path, value)]) == f"{named} is None: {NOT_A_TEXT}"

    @by_every_route
    def test_an_odd_element_is_named_by_every_route(self, route: Route) -> None:
        record = changed(s3_record(), "s3.bucket.name", 5)

        assert only_error(route.payload(of_s3(record))) == f"s3.bucket.name is 5: {NOT_A_TEXT}"

    @unhurried
    @given(st.text(), st.sampled_from(["s3", "eventbridge"]))
    def test_any_text_as_a_time_is_parsed_or_named(self, when: str, kind: str) -> None:
        payload = s3_record(eventTime=when) if kind == "s3" else eventbridge_event(time=when)

        [delivery] = deliveries(payload, OWN_REGION)

        assert len(delivery.events) + len(delivery.errors) == 1
        assert all(each.event.event_time.tzinfo is tzutc() for each in delivery.events)
        path = "eventTime" if kind == "s3" else "time"
        assert all(str(error).startswith(f"{path} is ") for error in delivery.errors)


CONFIRMATION: Final = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
    "Token": "2336412f37",
    "TopicArn": TOPIC,
    "Message": "You have chosen to subscribe to the topic",
    "SubscribeURL": "https://sns.ap-southeast-2.amazonaws.com/?Action=ConfirmSubscription",
}
NEITHER: Final = "is neither an S3 event nor an envelope of one"
STRANGE: Final[list[Any]] = [
    pytest.param(None, f"None {NEITHER}", id="null"),
    pytest.param(5, f"5 {NEITHER}", id="number"),
    pytest.param(True, f"True {NEITHER}", id="boolean"),
    pytest.param("", "not JSON (Expecting value: line 1 column 1 (char 0)): ''", id="empty-text"),
    pytest.param("hello", "not JSON (Expecting value: ", id="text"),
    pytest.param('{"Records": [', "not JSON (Expecting value: ", id="cut-short"),
    pytest.param("null", f"None {NEITHER}", id="text-of-null"),
    pytest.param("[5]", f"5 {NEITHER}", id="text-of-a-list"),
    pytest.param(
        {},
        "neither an S3 event nor an envelope of one: an object with []",
        id="empty-object",
    ),
    pytest.param(
        {"\u00e9\n": 1, "x" * 10**6: 2},
        f"neither an S3 event nor an envelope of one: an object with ['{'x' * 60}..., '\\xe9\\n']",
        id="odd-names",
    ),
    pytest.param({"s3": "x"}, "neither an S3 event nor an envelope of one: ", id="s3-text"),
    pytest.param({"Records": {}}, "Records is {}: it must be a list", id="records-object"),
    pytest.param({"Records": None}, "Records is None: it must be a list", id="records-null"),
    pytest.param({"Records": "[]"}, "Records is '[]': it must be a list", id="records-text"),
    pytest.param(records(5), f"5 {NEITHER}", id="record-number"),
    pytest.param(records(None), f"None {NEITHER}", id="record-null"),
    pytest.param(sns("hello"), "not JSON (Expecting value: ", id="sns-of-text"),
    pytest.param({"Sns": None}, f"None {NEITHER}", id="sns-null"),
    pytest.param({"body": None}, f"None {NEITHER}", id="body-null"),
    pytest.param({"Message": 5}, f"5 {NEITHER}", id="message-number"),
    pytest.param(invocation_record(None), f"None {NEITHER}", id="invocation-of-nothing"),
    pytest.param(
        {"detail-type": "Object Created", "detail": None}, f"None {NEITHER}", id="detail-null"
    ),
    pytest.param({"detail": {"bucket": 1}}, "neither an S3 event nor ", id="no-detail-type"),
    pytest.param(
        {"parked": None, "event": s3_record()},
        "parked is None: it must name a trigger_id",
        id="parked-null",
    ),
    pytest.param(
        {"parked": {"trigger_id": 5}, "event": s3_record()},
        "parked is {'trigger_id': 5}: it must name a trigger_id",
        id="parked-number",
    ),
    pytest.param(
        {"parked": {"trigger_id": "t"}}, "neither an S3 event nor ", id="parked-without-event"
    ),
    pytest.param(
        CONFIRMATION,
        f"an SNS SubscriptionConfirmation of topic '{TOPIC}': the subscriber must confirm it",
        id="subscription-confirmation",
    ),
    pytest.param(
        {**CONFIRMATION, "Type": "UnsubscribeConfirmation"},
        f"an SNS UnsubscribeConfirmation of topic '{TOPIC}'",
        id="unsubscribe-confirmation",
    ),
    pytest.param({"Event": "s3:Other"}, "neither an S3 event nor ", id="another-event"),
]


class TestNotUnderstood:
    """What cannot be understood is a failed delivery that names what was found."""

    @pytest.mark.parametrize(("value", "said"), STRANGE)
    def test_an_unknown_payload_is_named(self, value: Any, said: str) -> None:
        error = only_error(value)

        assert error.startswith(said)
        assert error.isprintable()

    @pytest.mark.parametrize(("value", "said"), STRANGE)
    def test_other_messages_are_not_affected(self, value: Any, said: str) -> None:
        payload = records(
            sqs(records(s3_record("1")), "m-1"),
            sqs(json.dumps(value), "m-2"),
            sqs(eventbridge_event("3"), "m-3"),
        )

        found = deliveries(payload, OWN_REGION)

        assert [(each.message_id, keys(each)) for each in found] == [
            ("m-1", ["1"]),
            ("m-2", []),
            ("m-3", ["3"]),
        ]
        assert [len(each.errors) for each in found] == [0, 1, 0]
        assert str(found[1].errors[0]).startswith(said)

    @pytest.mark.parametrize(("value", "said"), STRANGE)
    def test_other_records_of_the_same_message_are_not_affected(
        self, value: Any, said: str
    ) -> None:
        body = records(s3_record("1"), value, s3_record("3"))

        [delivery] = deliveries(records(sqs(body)), OWN_REGION)

        assert keys(delivery) == ["1", "3"]
        [error] = delivery.errors
        assert str(error).startswith(said)

    def test_each_unknown_record_is_its_own_error(self) -> None:
        [delivery] = deliveries([5, s3_record(), None], OWN_REGION)

        assert [str(error).split()[0] for error in delivery.errors] == ["5", "None"]

    def test_an_error_shows_the_first_names_of_an_object(self) -> None:
        error = only_error({f"name-{n:03}": n for n in range(1000)})

        assert error.endswith("'name-006', 'name-007']")

    @unhurried
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            *("Records", "s3", "detail", "detail-type", "Sns", "Message", "body"),
                            *("Body", "requestPayload", "parked", "event", "Type", "Event"),
                            *("eventSource", "messageId", "attributes", "object", "bucket"),
                        ]
                    ),
                    inner,
                    max_size=4,
                )
            ),
        )
    )
    def test_anything_is_understood_or_named(self, payload: Any) -> None:
        for delivery in deliveries(payload, OWN_REGION):
            assert delivery.events == []
            assert all(str(error) for error in delivery.errors)


class TestParked:
    """A parked message names the trigger that is to run alone, and its jobs that are done."""

    @pytest.mark.parametrize(
        ("named", "expected"),
        [
            pytest.param({"trigger_id": "t", "done": []}, RedriveTarget("t"), id="trigger"),
            pytest.param(
                {"trigger_id": "t", "done": ["k", "j"], "reasons": []},
                RedriveTarget("t", ("j", "k")),
                id="jobs that are done",
            ),
        ],
    )
    def test_a_parked_message_names_its_trigger(self, named: Json, expected: RedriveTarget) -> None:
        payload = {"parked": named, "event": s3_record()}

        assert only_redrive(payload) == expected

    def test_only_the_event_of_a_parked_message_is_restricted(self) -> None:
        payload = records(sqs(parked(s3_record("1")), "m-1"), sqs(records(s3_record("2")), "m-2"))

        one, two = deliveries(payload, OWN_REGION)

        assert [each.redrive for each in one.events] == [RedriveTarget("t-1")]
        assert [each.redrive for each in two.events] == [None]

    def test_other_records_beside_a_parked_message_are_not_restricted(self) -> None:
        [delivery] = deliveries([parked(s3_record("1")), s3_record("2")], OWN_REGION)

        assert [each.redrive for each in delivery.events] == [RedriveTarget("t-1"), None]

    def test_all_events_of_a_parked_message_are_restricted(self) -> None:
        payload = parked(records(s3_record("1"), s3_record("2")))

        [delivery] = deliveries(payload, OWN_REGION)

        assert [each.redrive for each in delivery.events] == [RedriveTarget("t-1")] * 2


class TestDeliveries:
    """A delivery is what AWS acknowledges as one: an SQS message, or the invocation."""

    def test_each_sqs_message_is_a_delivery(self) -> None:
        payload = records(
            *(sqs(records(s3_record(f"{n}a"), s3_record(f"{n}b")), f"m-{n}") for n in range(3))
        )

        found = deliveries(payload, OWN_REGION)

        assert [(each.message_id, keys(each)) for each in found] == [
            ("m-0", ["0a", "0b"]),
            ("m-1", ["1a", "1b"]),
            ("m-2", ["2a", "2b"]),
        ]
        assert [each.queue for each in found] == ["my-queue"] * 3
        assert [each.group for each in found] == [None] * 3

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(records(s3_record("1"), s3_record("2")), id="s3"),
            pytest.param(
                records(sns(records(s3_record("1"))), sns(records(s3_record("2")))), id="sns"
            ),
            pytest.param([eventbridge_event("1"), eventbridge_event("2")], id="array"),
        ],
    )
    def test_any_other_invocation_is_one_delivery(self, payload: Any) -> None:
        [delivery] = deliveries(payload, OWN_REGION)

        assert keys(delivery) == ["1", "2"]
        assert (delivery.message_id, delivery.queue, delivery.group) == (None, None, None)

    def test_a_payload_can_mix_messages_and_records(self) -> None:
        payload = [
            s3_record("1"),
            sqs(records(s3_record("2")), "m-2"),
            sns(records(s3_record("3"))),
            sqs(records(s3_record("4")), "m-4"),
        ]

        found = deliveries(payload, OWN_REGION)

        assert [(each.message_id, keys(each)) for each in found] == [
            ("m-2", ["2"]),
            ("m-4", ["4"]),
            (None, ["1", "3"]),
        ]

    @pytest.mark.parametrize("message_id", [MISSING, None, "", 5], ids=["no", "null", "empty", "5"])
    def test_a_message_without_an_id_cannot_be_given_back_alone(self, message_id: Any) -> None:
        nameless = changed(sqs(records(s3_record("1"))), "messageId", message_id)

        found = deliveries(records(nameless, sqs(records(s3_record("2")), "m-2")), OWN_REGION)

        assert [(each.message_id, keys(each)) for each in found] == [("m-2", ["2"]), (None, ["1"])]

    def test_a_record_that_only_resembles_a_message_is_no_delivery(self) -> None:
        record = {**sqs(records(s3_record())), "eventSource": "my:sqs"}

        [delivery] = deliveries(records(record), OWN_REGION)

        assert delivery.message_id is None
        assert len(delivery.events) == 1

    def test_nested_messages_are_acknowledged_with_the_outer_one(self) -> None:
        inner = records(sqs(records(s3_record("1")), "m-1"), sqs(records(s3_record("2")), "m-2"))

        [delivery] = deliveries(records(sqs(inner, "m-0")), OWN_REGION)

        assert delivery.message_id == "m-0"
        assert keys(delivery) == ["1", "2"]

    @pytest.mark.parametrize(
        ("arn", "expected"),
        [
            pytest.param(QUEUE, "my-queue", id="standard"),
            pytest.param(f"{QUEUE}.fifo", "my-queue.fifo", id="fifo"),
            pytest.param("arn:aws-cn:sqs:cn-north-1:123456789012:q", "q", id="another-partition"),
        ],
    )
    def test_a_delivery_knows_its_queue(self, arn: str, expected: str) -> None:
        [delivery] = deliveries(records(sqs(TEST_EVENT, arn=arn)), OWN_REGION)

        assert delivery.queue == expected

    def test_messages_of_a_fifo_queue_have_a_group(self) -> None:
        fifo, other = f"{QUEUE}.fifo", f"{QUEUE}-2.fifo"
        payload = records(
            sqs(TEST_EVENT, "m-1", fifo, MessageGroupId="g"),
            sqs(TEST_EVENT, "m-2", fifo, MessageGroupId="h"),
            sqs(TEST_EVENT, "m-3", other, MessageGroupId="g"),
            sqs(TEST_EVENT, "m-4", fifo, MessageGroupId="g"),
        )

        groups = [each.group for each in deliveries(payload, OWN_REGION)]

        assert all(groups)
        assert groups[0] == groups[3]
        assert len(set(groups)) == 3

    def test_a_group_of_a_standard_queue_is_ignored(self) -> None:
        # Fair queues: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
        [delivery] = deliveries(records(sqs(TEST_EVENT, MessageGroupId="g")), OWN_REGION)

        assert delivery.group is None

    @pytest.mark.parametrize("attributes", [MISSING, None, {}, []], ids=["no", "null", "{}", "[]"])
    def test_fifo_messages_without_a_group_share_one(self, attributes: Any) -> None:
        message = changed(sqs(TEST_EVENT, arn=f"{QUEUE}.fifo"), "attributes", attributes)

        one, two = deliveries(records(message, message), OWN_REGION)

        assert one.group is not None
        assert one.group == two.group

    @pytest.mark.parametrize("arn", [MISSING, None, 5, DEEP], ids=["no", "null", "number", "deep"])
    def test_a_message_of_an_unknown_queue_is_a_delivery(self, arn: Any) -> None:
        message = sqs(records(s3_record())) | {"eventSourceARN": arn}
        if arn is MISSING:
            del message["eventSourceARN"]

        [delivery] = deliveries(records(message), OWN_REGION)

        assert delivery.message_id == "m-1"
        assert delivery.group is None
        assert len(delivery.events) == 1

    def test_ten_thousand_messages_are_read(self) -> None:
        payload = records(
            *(sqs(records(s3_record(f"k-{n}")), f"m-{n}") for n in range(10_000)),
        )

        found = deliveries(payload, OWN_REGION)

        assert [each.message_id for each in found] == [f"m-{n}" for n in range(10_000)]
        assert [key for each in found for key in keys(each)] == [f"k-{n}" for n in range(10_000)]

    def test_ten_thousand_records_in_one_message_are_read(self) -> None:
        body = records(*(s3_record(f"k-{n}") for n in range(10_000)))

        [delivery] = deliveries(records(sqs(body)), OWN_REGION)

        assert keys(delivery) == [f"k-{n}" for n in range(10_000)]


def nested(depth: int, wrap: Callable[[Any], Any], inner: Any) -> Any:
    for _ in range(depth):
        inner = wrap(inner)
    return inner


WRAPS: Final = [
    pytest.param(lambda inner: [inner], id="lists"),
    pytest.param(lambda inner: {"detail": inner}, id="details"),
    pytest.param(lambda inner: {"requestPayload": inner}, id="invocations"),
    pytest.param(lambda inner: {"Records": [inner]}, id="records"),
    pytest.param(parked, id="parked"),
]


class TestHostile:
    """Nesting is bounded, and no text can bring the function down."""

    @pytest.mark.parametrize("wrap", WRAPS)
    @pytest.mark.parametrize("depth", [30, 1000, 50_000])
    def test_too_many_nested_envelopes_are_an_error(
        self, wrap: Callable[[Any], Any], depth: int
    ) -> None:
        [delivery] = deliveries([nested(depth, wrap, s3_record()), s3_record("good")], OWN_REGION)

        assert [str(error) for error in delivery.errors] == ["nested more than 24 envelopes deep"]
        assert keys(delivery) == ["good"]

    @pytest.mark.parametrize("wrap", WRAPS)
    def test_a_few_nested_envelopes_are_no_error(self, wrap: Callable[[Any], Any]) -> None:
        assert only_event([nested(10, wrap, s3_record())]).bucket == "my-bucket"

    @pytest.mark.parametrize(
        "bomb",
        [
            pytest.param("[" * 100_000, id="lists"),
            pytest.param("[" * 100_000 + "]" * 100_000, id="closed-lists"),
            pytest.param('{"detail":' * 100_000, id="objects"),
            pytest.param('{"a":' * 100_000 + "1" + "}" * 100_000, id="closed-objects"),
        ],
    )
    def test_nested_json_text_that_grows_is_an_error(self, bomb: str) -> None:
        payload = records(sqs(bomb, "m-1"), sqs(records(s3_record("good")), "m-2"))

        bad, good = deliveries(payload, OWN_REGION)

        [error] = bad.errors
        assert str(error).startswith("JSON nested too deeply: ")
        assert len(str(error)) < 200
        assert keys(good) == ["good"]

    def test_a_long_text_is_cut_in_the_error(self) -> None:
        assert len(only_error(records(sqs("x" * 1_000_000)))) < 200

    def test_the_last_of_repeated_members_counts(self) -> None:
        body = json.dumps(records(s3_record("first"))).replace(
            '"key": "first"', '"key": "first", "key": "last"'
        )

        assert only_event(records(sqs(body))).key == "last"

    @pytest.mark.parametrize(
        ("number", "said"),
        [
            pytest.param("9" * 5000, "not JSON (Exceeds the limit", id="too-many-digits"),
            pytest.param("1e400", "s3.object.size is inf: ", id="endless"),
            pytest.param("NaN", "s3.object.size is nan: ", id="nan"),
            pytest.param("-0", "", id="minus-zero"),
            pytest.param("18446744073709551616", "", id="beyond-64-bits"),
        ],
    )
    def test_odd_numbers_are_parsed_or_named(self, number: str, said: str) -> None:
        body = json.dumps(records(s3_record())).replace("1082", number)

        [delivery] = deliveries(records(sqs(body)), OWN_REGION)

        if said:
            assert [str(error).startswith(said) for error in delivery.errors] == [True]
        else:
            assert [each.event.size for each in delivery.events] == [int(number)]

    @pytest.mark.parametrize("value", ["\ud800", "\u00e9", "a\nb", "\x1b[31m", "\u2028"], ids=ascii)
    def test_an_error_is_one_line_that_can_be_sent(self, value: str) -> None:
        for payload in (value, s3_record(eventTime=value), {"Sns": {value: 1}}, {"Records": value}):
            error = only_error(payload)

            assert error.isprintable()
            assert error.encode()


class TestIdentity:
    """The identity of an event is the same by every route, and differs from every other's."""

    @pytest.mark.parametrize(("what", "_info"), KINDS)
    def test_the_identity_is_the_same_by_every_route(self, what: What, _info: Json) -> None:
        identities = {only_event(route.payload(what)).identity for route in ROUTES.values()}

        assert len(identities) == 1

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("s3.bucket.name", "another"),
            ("s3.object.key", "another"),
            ("eventName", "ObjectCreated:Copy"),
            ("s3.object.sequencer", "0069B4C0FF"),
        ],
    )
    def test_these_fields_distinguish_s3_events(self, path: str, value: str) -> None:
        one, two = s3_record(), changed(s3_record(), path, value)

        assert only_event(records(one)).identity != only_event(records(two)).identity

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("detail.bucket.name", "another"),
            ("detail.object.key", "another"),
            ("detail-type", "Object Deleted"),
            ("detail.reason", "CopyObject"),
            ("detail.object.sequencer", "69b4c0ff"),
        ],
    )
    def test_these_fields_distinguish_eventbridge_events(self, path: str, value: str) -> None:
        one, two = eventbridge_event(), changed(eventbridge_event(), path, value)

        assert only_event(one).identity != only_event(two).identity

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("eventTime", "2026-03-14T01:59:27.000Z"),
            ("responseElements.x-amz-request-id", "ANOTHER"),
        ],
    )
    def test_without_a_sequencer_time_and_request_distinguish_s3_events(
        self, path: str, value: str
    ) -> None:
        one = changed(s3_record(eventName="ObjectTagging:Put"), "s3.object.sequencer", MISSING)
        two = changed(one, path, value)

        assert only_event(records(one)).identity != only_event(records(two)).identity
        again = deepcopy(one)
        assert only_event(records(one)).identity == only_event(records(again)).identity

    @pytest.mark.parametrize(
        ("path", "value"),
        [("time", "2026-03-14T01:59:27Z"), ("detail.request-id", "ANOTHER")],
    )
    def test_without_a_sequencer_time_and_request_distinguish_eventbridge_events(
        self, path: str, value: str
    ) -> None:
        one = changed(eventbridge_event(), "detail.object.sequencer", MISSING)
        two = changed(one, path, value)

        assert only_event(one).identity != only_event(two).identity

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("responseElements", MISSING),
            ("responseElements", None),
            ("responseElements", []),
            ("responseElements", "x"),
            ("s3.object.sequencer", 5),
            ("s3.object.sequencer", {"x": [1]}),
        ],
    )
    def test_odd_elements_do_not_break_the_identity(self, path: str, value: Any) -> None:
        record = changed(s3_record(), path, value)

        identity = only_event(records(record)).identity

        assert identity == only_event(records(deepcopy(record))).identity
        assert all(isinstance(part, str) for part in identity)
