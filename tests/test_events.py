"""S3 events, out of whatever Lambda is handed: docs/design.md#s3-events."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

import pytest
from dateutil.tz import tzutc
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.deliveries import Delivery, deliveries
from lava_s3trigger.errors import PayloadError
from lava_s3trigger.events import S3Event
from lava_s3trigger.parking import RedriveTarget
from tests import aws_events
from tests.build import (
    QUEUE,
    TOPIC,
    Json,
    direct,
    eventbridge_event,
    nested,
    s3_record,
    sns_record,
    sqs_record,
)
from tests.routes import (
    ROUTES,
    TEST_EVENT,
    Route,
    What,
    invocation_record,
    of_eventbridge,
    of_s3,
    parked,
)
from tests.tables import cases

OWN_REGION: Final = "eu-central-1"
MISSING: Final = object()


DEEP: Final = nested(2000)
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


by_every_route = pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)


def only_delivery(payload: Any) -> Delivery:
    """Return the one delivery that a payload is."""
    [delivery] = deliveries(payload, OWN_REGION)
    return delivery


def only_event(payload: Any) -> S3Event:
    """Return the one event that a payload holds."""
    delivery = only_delivery(payload)
    assert delivery.errors == []
    [event] = [each.event for each in delivery.events]
    return event


def only_error(payload: Any) -> str:
    """Return the message of the one error that a payload is."""
    delivery = only_delivery(payload)
    assert delivery.events == []
    [error] = delivery.errors
    assert type(error) is PayloadError
    return str(error)


def keys(delivery: Delivery) -> list[str]:
    return [each.event.key for each in delivery.events]


def keys_by_message(payload: Any) -> list[tuple[str | None, list[str]]]:
    return [(each.message_id, keys(each)) for each in deliveries(payload, OWN_REGION)]


WHEN: Final = datetime(2026, 3, 14, 1, 59, 26, tzinfo=UTC)


class TestRoutes:
    """An event is the same by every route that AWS offers."""

    @by_every_route
    def test_what_holds_no_event_is_a_delivery_without_events(self, route: Route) -> None:
        strange = {"Foo": 1, "Bar": 2}
        said = "neither an S3 event nor an envelope of one: an object with ['Bar', 'Foo']"
        for whole, errors in ((TEST_EVENT, []), (strange, [said])):
            delivery = only_delivery(route.payload(What(whole=whole, record=whole)))
            assert (delivery.events, list(map(str, delivery.errors))) == ([], errors)
            assert delivery.message_id == route.message_id

    @pytest.mark.parametrize("route", [each for each in ROUTES if not each.startswith("parked")])
    @pytest.mark.parametrize("number", [0, 5])
    def test_records_arrive_in_order(self, route: str, number: int) -> None:
        expected = [str(n) for n in range(number)]
        many = direct(*map(s3_record, expected))
        found = deliveries(ROUTES[route].payload(What(whole=many, record=many)), OWN_REGION)
        assert not any(each.errors for each in found)
        assert [key for each in found for key in keys(each)] == expected


class TestKeys:
    """S3 form-encodes keys once; EventBridge does not encode them."""

    @cases(
        ("encoded", "expected"),
        {
            "plus-and-space": ("a%2Bb+c", "a+b c"),
            "decoded-once": ("%2525%252B", "%25%2B"),
            "minio-encodes-slashes": ("a%2Fb%2fc", "a/b/c"),
            "utf-8": ("caf%C3%A9%F0%9F%98%80", "caf\u00e9\U0001f600"),
            "not-encoded": ("/caf\u00e9//", "/caf\u00e9//"),
            "special-characters": ("%0A%0D%09%00%22%5C%27%40", "\n\r\t\x00\"\\'@"),
            "percent-alone": ("100%", "100%"),
            "no-hexadecimal": ("%zz", "%zz"),
            "one-space": ("+", " "),
        },
    )
    def test_a_key_from_s3_is_form_decoded_once(self, encoded: str, expected: str) -> None:
        assert only_event(direct(s3_record(encoded))).key == expected
        assert only_event(eventbridge_event(encoded)).key == encoded

    @pytest.mark.parametrize("key", ["%FF", "a%C3", "%ED%A0%80"], ids=["byte", "cut", "surrogate"])
    def test_a_key_that_is_no_utf_8_is_an_error(self, key: str) -> None:
        assert only_error(direct(s3_record(key))) == (
            f"s3.object.key is '{key}': not form-encoded UTF-8"
        )

    @by_every_route
    def test_a_lone_surrogate_is_kept(self, route: Route) -> None:
        for what in (of_s3(s3_record("a\ud800")), of_eventbridge(eventbridge_event("a\ud800"))):
            assert only_event(route.payload(what)).key == "a\ud800"


PATHS: Final = {
    "event_time": ("eventTime", "time"),
    "source_ip": ("requestParameters.sourceIPAddress", "detail.source-ip-address"),
    "aws_region": ("awsRegion", "region"),
    "size": ("s3.object.size", "detail.object.size"),
}
"""By element of `info`: where S3 has it, and where EventBridge has it."""


class TestInfo:
    """Exactly these seven elements, of these types, whatever the route."""

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            *(("event_time", f"2026-03-14T01:59:26{zone}", WHEN) for zone in ("Z", "+00:00", "")),
            ("event_time", "2026-03-14T12:59:26+11:00", WHEN),
            ("event_time", "2026-03-13T18:29:26-07:30", WHEN),
            ("event_time", "20260314T015926Z", WHEN),
            ("event_time", "2026-03-14T01:59:26.535Z", WHEN + timedelta(milliseconds=535)),
            ("event_time", "2026-03-14T01:59:26.000001Z", WHEN + timedelta.resolution),
            ("event_time", "2026-03-13T24:00:00Z", datetime(2026, 3, 14, tzinfo=UTC)),
            ("source_ip", "203.0.113.7", IPv4Address("203.0.113.7")),
            ("source_ip", "2001:db8::7", IPv6Address("2001:db8::7")),
            *(
                ("source_ip", odd, None)
                for odd in ("s3.amazonaws.com", "203.0.113.7:55328", "", None, 5, ["::1"], MISSING)
            ),
            ("aws_region", "us-gov-west-1", "us-gov-west-1"),
            *(("aws_region", odd, OWN_REGION) for odd in (MISSING, None, "")),
            *(("size", size, size) for size in (0, 1, 50 * 2**40, 2**70)),
            *(("size", odd, 0) for odd in (MISSING, None)),
        ],
    )
    def test_an_element_is_read_from_either_kind_of_event(
        self, name: str, value: Any, expected: Any
    ) -> None:
        of_s3, of_eventbridge = PATHS[name]
        for record, path in ((s3_record(), of_s3), (eventbridge_event(), of_eventbridge)):
            event = only_event([changed(record, path, value)])
            assert (event.info[name], type(event.info[name])) == (expected, type(expected))
            assert event.event_time.tzinfo is tzutc()

    def test_without_request_parameters_there_is_no_source(self) -> None:
        for value in (MISSING, None, "x", []):
            record = changed(s3_record(), "requestParameters", value)
            assert only_event([record]).source_ip is None, value

    def test_the_type_of_an_s3_event_is_its_name(self) -> None:
        for name in ("s3:ObjectCreated:Put", "Object Created : Put "):
            assert only_event(direct(s3_record(eventName=name))).event_type == name

    def test_the_type_of_an_eventbridge_event_is_joined_without_white_space(self) -> None:
        for kind, reason, expected in (
            ("Object Created", "POST Object", "ObjectCreated:POSTObject"),
            ("Object ACL Updated", MISSING, "ObjectACLUpdated"),
            ("Object Created", None, "ObjectCreated"),
            (" Object\tCreated\n", " Put\r\nObject ", "ObjectCreated:PutObject"),
        ):
            event = changed(eventbridge_event(**{"detail-type": kind}), "detail.reason", reason)
            assert only_event(event).event_type == expected


CASES: Final = aws_events.cases()


class TestEveryKind:
    """Every kind of event that AWS sends gives its `info`, as it comes and by every route."""

    @pytest.mark.parametrize(("payload", "expected"), CASES.values(), ids=CASES)
    def test_every_kind_of_event_has_its_info_by_every_route(
        self, payload: Any, expected: Json
    ) -> None:
        first = only_event(payload)
        record = first.record
        what = of_s3(record) if "s3" in record else of_eventbridge(record)
        assert first.info == expected
        assert "eventName" in record or "detail-type" in record
        for route in ROUTES.values():
            delivery = only_delivery(route.payload(what))
            assert (delivery.errors, delivery.message_id) == ([], route.message_id)
            [(event, redrive)] = [(each.event, each.redrive) for each in delivery.events]
            assert (event.info, event.record, redrive) == (expected, record, route.redrive)
            assert event.identity == first.identity

    def test_every_payload_is_in_the_table(self) -> None:
        assert {path.stem for path in aws_events.FOLDER.glob("*.json")} == set(CASES)


ODD_TEXTS: Final[list[Any]] = [MISSING, None, "", 5, True, ["x"], {"x": 1}]
ODD_NAMES: Final[list[Any]] = [5, ["x"]]
ODD_SIZES: Final[list[Any]] = ["1082", "", -1, 1.5, True, False, float("nan"), float("inf"), [1]]
ODD_TIMES: Final[list[Any]] = [
    *(*ODD_TEXTS, "yesterday", "2026-13-01T00:00:00Z", "2026-03-14T01:59:26+99:00"),
    *("0001-01-01T00:00:00+01:00", "\u0661\u0662"),
]
TEXTS: Final = ("s3.bucket.name", "s3.object.key", "eventName")
ODD_ELEMENTS: Final = {
    **dict.fromkeys((*TEXTS, "detail.bucket.name", "detail.object.key"), ODD_TEXTS),
    **dict.fromkeys(("s3.object.size", "detail.object.size"), ODD_SIZES),
    **dict.fromkeys(("eventTime", "time"), ODD_TIMES),
    **dict.fromkeys(("awsRegion", "region", "detail.reason"), ODD_NAMES),
    "detail-type": [each for each in ODD_TEXTS if each is not MISSING],
}
NOT_A_TEXT: Final = "it must be a non-empty string"


def record_with(path: str, key: str) -> Json:
    """Return a record of S3 or an event of EventBridge: that which has the element."""
    is_s3 = path.startswith(("s3", "event", "aws"))
    return s3_record(key) if is_s3 else eventbridge_event(key)


class TestOddElements:
    """An element that is missing or odd is an error that names it and what was found."""

    @pytest.mark.parametrize(
        ("path", "value"),
        [(path, value) for path, values in ODD_ELEMENTS.items() for value in values],
    )
    def test_an_odd_element_is_named_and_other_records_arrive(self, path: str, value: Any) -> None:
        good = record_with(path, "good")
        delivery = only_delivery([good, changed(good, path, value), good])
        assert keys(delivery) == ["good", "good"]
        [error] = delivery.errors
        is_date = value in ODD_TIMES and value not in ODD_TEXTS
        why = "it must be a number of bytes" if path.endswith("size") else NOT_A_TEXT
        found = ascii(None if value is MISSING else value)
        assert str(error).startswith(f"{path} is {found}: {'' if is_date else why}")
        assert str(error).isprintable()

    @pytest.mark.parametrize(
        ("path", "value", "named"),
        [
            ("s3.object", MISSING, "s3.object.key"),
            ("s3.object", None, "s3.object.key"),
            ("s3.object", ["x"], "s3.object.key"),
            ("s3.bucket", "b", "s3.bucket.name"),
            ("s3", {}, "s3.object.key"),
            ("detail.object", 5, "detail.object.key"),
            ("detail.bucket", None, "detail.bucket.name"),
            ("detail", {}, "detail.bucket.name"),
        ],
    )
    def test_an_odd_container_is_named(self, path: str, value: Any, named: str) -> None:
        record = record_with(path, "k")
        assert only_error([changed(record, path, value)]) == f"{named} is None: {NOT_A_TEXT}"

    @given(st.text(), st.sampled_from(["s3", "eventbridge"]))
    def test_any_text_as_a_time_is_parsed_or_named(self, when: str, kind: str) -> None:
        payload = s3_record(eventTime=when) if kind == "s3" else eventbridge_event(time=when)
        delivery = only_delivery(payload)
        assert len(delivery.events) + len(delivery.errors) == 1
        assert all(each.event.event_time.tzinfo is tzutc() for each in delivery.events)
        path = "eventTime" if kind == "s3" else "time"
        assert all(str(error).startswith(f"{path} is ") for error in delivery.errors)


CONFIRMATION: Final = {
    "Type": "SubscriptionConfirmation",
    "TopicArn": TOPIC,
    "Message": "You have chosen to subscribe to the topic",
    "SubscribeURL": "https://sns.ap-southeast-2.amazonaws.com/?Action=ConfirmSubscription",
}
NEITHER: Final = "is neither an S3 event nor an envelope of one"
STRANGE: Final[dict[str, Any]] = {
    "null": (None, f"None {NEITHER}"),
    "number": (5, f"5 {NEITHER}"),
    "boolean": (True, f"True {NEITHER}"),
    "empty-text": ("", "not JSON (Expecting value: line 1 column 1 (char 0)): ''"),
    "text": ("hello", "not JSON (Expecting value: "),
    "cut-short": ('{"Records": [', "not JSON (Expecting value: "),
    "text-of-null": ("null", f"None {NEITHER}"),
    "text-of-a-list": ("[5]", f"5 {NEITHER}"),
    "empty-object": ({}, "neither an S3 event nor an envelope of one: an object with []"),
    "odd-names": (
        {"\u00e9\n": 1, "x" * 10**6: 2},
        f"neither an S3 event nor an envelope of one: an object with ['{'x' * 60}..., '\\xe9\\n']",
    ),
    "s3-text": ({"s3": "x"}, "neither an S3 event nor an envelope of one: "),
    "records-object": ({"Records": {}}, "Records is {}: it must be a list"),
    "records-null": ({"Records": None}, "Records is None: it must be a list"),
    "records-text": ({"Records": "[]"}, "Records is '[]': it must be a list"),
    "record-number": (direct(5), f"5 {NEITHER}"),
    "record-null": (direct(None), f"None {NEITHER}"),
    "sns-of-text": (sns_record("hello"), "not JSON (Expecting value: "),
    "sns-null": ({"Sns": None}, f"None {NEITHER}"),
    "body-null": ({"body": None}, f"None {NEITHER}"),
    "message-number": ({"Message": 5}, f"5 {NEITHER}"),
    "invocation-of-nothing": (invocation_record(None), f"None {NEITHER}"),
    "detail-null": ({"detail-type": "Object Created", "detail": None}, f"None {NEITHER}"),
    "no-detail-type": ({"detail": {"bucket": 1}}, "neither an S3 event nor "),
    "parked-without-event": ({"parked": {"trigger_id": "t"}}, "neither an S3 event nor "),
    "subscription-confirmation": (
        CONFIRMATION,
        f"an SNS SubscriptionConfirmation of topic '{TOPIC}': the subscriber must confirm it",
    ),
    "unsubscribe-confirmation": (
        {**CONFIRMATION, "Type": "UnsubscribeConfirmation"},
        f"an SNS UnsubscribeConfirmation of topic '{TOPIC}'",
    ),
    "another-event": ({"Event": "s3:Other"}, "neither an S3 event nor "),
}


class TestNotUnderstood:
    """What cannot be understood is a failed delivery that names what was found."""

    @cases(("value", "said"), STRANGE)
    def test_other_messages_and_records_are_not_affected(self, value: Any, said: str) -> None:
        payload = direct(
            sqs_record(direct(s3_record("1")), "m-1"),
            sqs_record(direct(s3_record("2"), value, s3_record("3")), "m-2"),
            sqs_record(json.dumps(value), "m-3"),
            sqs_record(eventbridge_event("4"), "m-4"),
        )

        expected = {"m-1": ["1"], "m-2": ["2", "3"], "m-3": [], "m-4": ["4"]}
        assert keys_by_message(payload) == list(expected.items())
        found = deliveries(payload, OWN_REGION)
        assert [len(each.errors) for each in found] == [0, 1, 1, 0]
        assert all(str(each.errors[0]).startswith(said) for each in found[1:3])

    def test_an_error_shows_the_first_names_of_an_object(self) -> None:
        error = only_error({f"name-{n:03}": n for n in range(1000)})
        assert error.endswith("'name-006', 'name-007']")

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


@cases(
    ("payload", "expected"),
    {
        "jobs that are done": (
            {"parked": {"trigger_id": "t", "done": ["k", "j"]}, "event": s3_record()},
            [RedriveTarget("t", ("j", "k"))],
        ),
        "in redriven ones": (
            nested(3, parked(s3_record()), lambda it: direct(sqs_record(invocation_record(it)))),
            [RedriveTarget("t-1")],
        ),
        "beside a record": ([parked(s3_record()), s3_record()], [RedriveTarget("t-1"), None]),
        "two events": (parked(direct(s3_record(), s3_record())), [RedriveTarget("t-1")] * 2),
    },
)
def test_the_events_of_a_parked_message_are_restricted(
    payload: Any, expected: list[RedriveTarget | None]
) -> None:
    assert [each.redrive for each in only_delivery(payload).events] == expected


class TestDeliveries:
    """A delivery is what AWS acknowledges as one: an SQS message, or the invocation."""

    @cases(
        "payload",
        {
            "s3": direct(s3_record("1"), s3_record("2")),
            "sns": direct(*(sns_record(direct(s3_record(key))) for key in "12")),
            "array": [eventbridge_event("1"), eventbridge_event("2")],
        },
    )
    def test_any_other_invocation_is_one_delivery(self, payload: Any) -> None:
        delivery = only_delivery(payload)
        assert keys(delivery) == ["1", "2"]
        assert (delivery.message_id, delivery.queue, delivery.group) == (None, None, None)

    def test_a_payload_can_mix_messages_and_records(self) -> None:
        payload = [
            s3_record("1"),
            sqs_record(direct(s3_record("2")), "m-2"),
            sns_record(direct(s3_record("3"))),
            sqs_record(direct(s3_record("4")), "m-4"),
        ]

        assert keys_by_message(payload) == [("m-2", ["2"]), ("m-4", ["4"]), (None, ["1", "3"])]

    @pytest.mark.parametrize("message_id", [MISSING, None, "", 5], ids=["no", "null", "empty", "5"])
    def test_a_message_without_an_id_cannot_be_given_back_alone(self, message_id: Any) -> None:
        nameless = changed(sqs_record(direct(s3_record("1"))), "messageId", message_id)
        payload = direct(nameless, sqs_record(direct(s3_record("2")), "m-2"))
        assert keys_by_message(payload) == [("m-2", ["2"]), (None, ["1"])]

    def test_messages_of_a_fifo_queue_have_a_group(self) -> None:
        fifo, other = f"{QUEUE}.fifo", "arn:aws-cn:sqs:cn-north-1:123456789012:other.fifo"
        sent = [(fifo, "g"), (fifo, "h"), (other, "g"), (fifo, "g")]
        records = [
            sqs_record(TEST_EVENT, f"m-{n}", arn, MessageGroupId=group)
            for n, (arn, group) in enumerate(sent)
        ]
        found = deliveries(direct(*records), OWN_REGION)
        assert [each.queue for each in found] == [arn.rpartition(":")[2] for arn, _ in sent]
        groups = [each.group for each in found]
        assert all(groups)
        assert groups[0] == groups[3]
        assert len(set(groups)) == 3

    def test_a_group_of_a_standard_queue_is_ignored(self) -> None:
        # Fair queues: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
        assert only_delivery(direct(sqs_record(TEST_EVENT, MessageGroupId="g"))).group is None

    @pytest.mark.parametrize("attributes", [MISSING, None, {}, []], ids=["no", "null", "{}", "[]"])
    def test_fifo_messages_without_a_group_share_one(self, attributes: Any) -> None:
        message = changed(sqs_record(TEST_EVENT, arn=f"{QUEUE}.fifo"), "attributes", attributes)
        one, two = deliveries(direct(message, message), OWN_REGION)
        assert one.group is not None
        assert one.group == two.group

    @pytest.mark.parametrize("arn", [MISSING, None, 5, DEEP], ids=["no", "null", "number", "deep"])
    def test_a_message_of_an_unknown_queue_is_a_delivery(self, arn: Any) -> None:
        message = changed(sqs_record(direct(s3_record("1"))), "eventSourceARN", arn)
        assert keys_by_message(direct(message)) == [("m-1", ["1"])]
        assert only_delivery(direct(message)).group is None


class TestHostile:
    """Nesting is bounded, and no text can bring the function down."""

    @cases(
        "wrap",
        {
            "lists": lambda inner: [inner],
            "details": lambda inner: {"detail": inner},
            "invocations": lambda inner: {"requestPayload": inner},
            "records": direct,
            "parked": parked,
        },
    )
    @pytest.mark.parametrize("depth", [30, 1000, 50_000])
    def test_too_many_nested_envelopes_are_an_error(
        self, wrap: Callable[[Any], Any], depth: int
    ) -> None:
        delivery = only_delivery([nested(depth, s3_record(), wrap), s3_record("good")])
        assert [str(error) for error in delivery.errors] == ["nested more than 24 envelopes deep"]
        assert keys(delivery) == ["good"]

    @cases(
        "bomb",
        {
            "lists": "[" * 100_000,
            "closed-lists": "[" * 100_000 + "]" * 100_000,
            "objects": '{"detail":' * 100_000,
            "closed-objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
        },
    )
    def test_nested_json_text_that_grows_is_an_error(self, bomb: str) -> None:
        payload = direct(sqs_record(bomb, "m-1"), sqs_record(direct(s3_record("good")), "m-2"))
        bad, good = deliveries(payload, OWN_REGION)
        [error] = bad.errors
        assert str(error).startswith("JSON nested too deeply: ")
        assert len(str(error)) < 200
        assert keys(good) == ["good"]

    def test_odd_numbers_are_parsed_or_named(self) -> None:
        body = json.dumps(direct(s3_record()))
        for number in ("-0", "18446744073709551616"):
            assert only_event(direct(sqs_record(body.replace("1082", number)))).size == int(number)
        for number, said in (
            ("9" * 5000, "not JSON (Exceeds the limit"),
            ("1e400", "s3.object.size is inf: "),
            ("NaN", "s3.object.size is nan: "),
        ):
            error = only_error(direct(sqs_record(body.replace("1082", number))))
            assert error.startswith(said)

    @pytest.mark.parametrize("value", ["\ud800", "\u00e9", "a\nb", "\x1b[31m", "\u2028"], ids=ascii)
    def test_an_error_is_one_line_that_can_be_sent(self, value: str) -> None:
        for payload in (value, s3_record(eventTime=value), {"Sns": {value: 1}}, {"Records": value}):
            error = only_error(payload)
            assert error.isprintable()
            assert error.encode()


S3_FIELDS: Final = ("s3.bucket.name", "s3.object.key", "eventName", "s3.object.sequencer")
EVENTBRIDGE_FIELDS: Final = (
    *("detail.bucket.name", "detail.object.key", "detail-type", "detail.reason"),
    "detail.object.sequencer",
)


class TestIdentity:
    """The identity of an event is the same by every route, and differs from every other's."""

    @cases(
        ("record", "paths"),
        {
            "s3": (s3_record(), S3_FIELDS),
            "eventbridge": (eventbridge_event(), EVENTBRIDGE_FIELDS),
            "s3 without a sequencer": (
                changed(s3_record(eventName="ObjectTagging:Put"), "s3.object.sequencer", MISSING),
                ("eventTime", "responseElements.x-amz-request-id", "s3.object.versionId"),
            ),
            "eventbridge without a sequencer": (
                changed(eventbridge_event(), "detail.object.sequencer", MISSING),
                ("time", "detail.request-id", "detail.object.version-id"),
            ),
        },
    )
    def test_these_fields_distinguish_events(self, record: Json, paths: tuple[str, ...]) -> None:
        others = [
            changed(record, path, "2026-03-14T01:59:27Z" if path.lower().endswith("time") else "x")
            for path in paths
        ]
        identities = {only_event([each]).identity for each in (record, *others)}
        assert len(identities) == 1 + len(paths)
        assert only_event([deepcopy(record)]).identity == only_event([record]).identity

    @pytest.mark.parametrize("path", ["responseElements", "s3.object.sequencer"])
    def test_odd_elements_do_not_break_the_identity(self, path: str) -> None:
        for odd in (MISSING, None, [], "x", 5):
            identity = only_event([changed(s3_record(), path, odd)]).identity
            assert all(isinstance(part, str) for part in identity), odd
