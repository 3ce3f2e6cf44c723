"""Payloads: anything that may invoke the function. A case is the payload."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from hypothesis import strategies as st

from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.deliveries import DeliveredEvent, Delivery, deliveries, is_s3_batch
from lava_s3trigger.errors import PayloadError
from tests.aws_in_memory import REGION
from tests.build import eventbridge_event, s3_record
from tests.routes import ROUTES, TEST_EVENT, Route, What, of_eventbridge, of_s3

from .realm import MAX_REASON_CHARACTERS, Realm, Result, handle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.events import S3Event
    from lava_s3trigger.parking import RedriveTarget

    Event = tuple[S3Event, RedriveTarget | None]

SAMPLES: Final = Path(__file__).parents[1] / "events"
_MAX_CHARACTERS: Final = 256 * 1024
_MAX_DEPTH: Final = 60
_MAX_BRACKETS: Final = 400

# Cases.


def samples() -> Iterable[Any]:
    """Return the sample payloads."""
    return [json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("*.json"))]


def read(data: bytes) -> Any:
    """Return the case that a fuzzer's bytes stand for: the payload as JSON, as Lambda reads it.

    Raises:
        ValueError: They are not JSON, or too deep for the checks below.
    """
    if data.count(b"[") + data.count(b"{") > _MAX_BRACKETS:
        raise ValueError("nested too deeply")
    return json.loads(data)


def seeds() -> Iterable[bytes]:
    """Return the seeds of fuzzing by bytes."""
    return [json.dumps(sample).encode() for sample in samples()]


_NAMES: Final = (
    *("Records", "s3", "bucket", "object", "name", "key", "size", "sequencer", "detail"),
    *("detail-type", "reason", "time", "region", "eventName", "eventTime", "awsRegion"),
    *("eventSource", "eventSourceARN", "messageId", "body", "Body", "Sns", "Message", "Type"),
    *("requestPayload", "parked", "event", "trigger_id", "job_id", "position", "Event"),
    *("requestParameters", "responseElements", "sourceIPAddress", "source-ip-address"),
    *("attributes", "MessageGroupId", "request-id", "x-amz-request-id"),
)
_TEXTS: Final = (
    *("aws:sqs", "aws:s3", "s3:TestEvent", "SubscriptionConfirmation", "t-1", "", "[]", "{}"),
    *("2026-03-14T01:59:26.535Z", "2026-03-14", "0001-01-01T00:00:00+23:59", "2026-W01-1"),
    *("9999-12-31T24:00:00Z", "s3.amazonaws.com", "::1", "203.0.113.7", "%", "%C3", "%00", "+"),
    "arn:aws:sqs:ap-southeast-2:123456789012:q.fifo",
)
WORDS: Final = (*(f'"{text}"' for text in (*_NAMES, *_TEXTS)), "NaN", "1e999", r"\ud800")

_text = st.sampled_from(_TEXTS) | st.text(st.characters(exclude_categories=()), max_size=20)
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), _text, st.integers().map(str)
)
_keys = st.lists(
    st.sampled_from(
        ["%", "%C3", "%A9", "%2B", "%41", "%00", "+", "/", '"', "\n", "\ud83d", "\ude00"]
    )
    | st.text(st.characters(exclude_categories=()), max_size=4),
    max_size=6,
).map("".join)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_NAMES) | _text, inner, max_size=4)
        | inner.map(json.dumps)
    ),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in members:
            yield (*path, name)
            yield from _places(inner, (*path, name))


def _changed(draw: st.DrawFn, value: Any) -> Any:
    """Return a copy of a JSON value with one element changed."""
    value = json.loads(json.dumps(value))
    places = list(_places(value))
    if not places:
        return draw(_values)
    named = [place for place in places if place[-1] in _NAMES]
    if draw(st.booleans()) and named:
        places = named
    *path, name = draw(st.sampled_from(places))
    parent = value
    for step in path:
        parent = parent[step]
    inner = parent[name]
    match draw(st.sampled_from(["replace", "replace", "drop", "wrap", "text", "open", "again"])):
        case "replace":
            parent[name] = draw(_scalars if draw(st.booleans()) else _values)
        case "drop":
            del parent[name]
        case "wrap":
            parent[name] = [inner] * draw(st.integers(0, 3))
        case "text":
            parent[name] = json.dumps(inner)
        case "open" if isinstance(inner, str):
            parent[name] = _changed_inside(draw, inner)
        case _ if isinstance(parent, list):
            parent.append(inner)
        case _:
            parent[draw(st.sampled_from(_NAMES))] = inner
    return value


def _changed_inside(draw: st.DrawFn, text: str) -> str:
    """Change the JSON text inside an envelope."""
    try:
        inner = json.loads(text)
    except ValueError:
        return draw(_text)
    return json.dumps(_changed(draw, inner))


@st.composite
def cases(draw: st.DrawFn) -> Any:
    """Generate payloads: events by every route, in batches, with changed elements."""
    key = draw(_keys)
    whats: list[What] = [
        of_s3(s3_record(key=quote_plus(key, errors="surrogatepass"))),
        of_s3(s3_record(key=key)),
        of_eventbridge(eventbridge_event(key=key)),
        What(whole=TEST_EVENT, record=TEST_EVENT),
    ]
    routes = st.sampled_from(list(ROUTES.values()))

    def one() -> Any:
        what = draw(st.sampled_from(whats))
        changes = draw(st.integers(0, 2))
        record = what.record
        for _ in range(changes):
            record = _changed(draw, record)
        what = What(whole={"Records": [record]} if draw(st.booleans()) else record, record=record)
        for _ in range(draw(st.integers(0, 3))):
            route: Route = draw(routes)
            inner = route.payload(what)
            what = What(whole=inner, record=inner)
        return what.whole

    payload = draw(st.sampled_from(samples_once()) | _values) if draw(st.booleans()) else one()
    more = [one() for _ in range(draw(st.integers(0, 3)))]
    if more:
        several = [payload, *more]
        records = [record for one in several for record in _records(one)]
        payload = {"Records": records} if draw(st.booleans()) else records
    for _ in range(draw(st.integers(0, 2))):
        payload = _changed(draw, payload)
    return json.loads(json.dumps(payload))


@cache
def samples_once() -> list[Any]:
    """Return the sample payloads, read once."""
    return list(samples())


# Properties.


def check(payload: Any) -> None:
    """Check the properties of any payload."""
    before = json.dumps(payload)
    if len(before) > _MAX_CHARACTERS:
        return
    if is_s3_batch(payload):
        handle(payload, _realm())
        return
    understood = deliveries(payload, REGION)
    assert _seen(deliveries(payload, REGION)) == _seen(understood)
    assert _seen(deliveries(json.loads(before), REGION)) == _seen(understood)
    assert json.dumps(payload) == before

    ids = [record["messageId"] for record in _records(payload) if _is_message(record)]
    assert [
        delivery.message_id for delivery in understood if delivery.message_id is not None
    ] == ids
    assert all(delivery.message_id is not None for delivery in understood[:-1])
    assert len(understood) == len(ids) + any(
        not _is_message(record) for record in _records(payload)
    )
    things = [thing for delivery in understood for thing in (*delivery.events, *delivery.errors)]
    assert len(things) <= len(before)
    for delivery in understood:
        if not delivery.events and not delivery.errors:
            parts = _records(payload)
            mine = [one for one in parts if _is_message(one) == (delivery.message_id is not None)]
            assert any(_is_nothing(value) for one in mine for value in _reachable(one))
        for delivered in delivery.events:
            _check_event(delivered.event)
        for error in delivery.errors:
            assert type(error) is PayloadError
            assert str(error).isprintable()
            assert len(str(error)) <= MAX_REASON_CHARACTERS, f"{len(str(error))} characters"
    _check_handler(payload, understood, set(ids))


def _records(payload: Any) -> list[Any]:
    if isinstance(payload, dict) and isinstance(payload.get("Records"), list):
        return list(payload["Records"])
    return payload if isinstance(payload, list) else [payload]


def _is_message(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and record.get("eventSource") == "aws:sqs"
        and isinstance(record.get("messageId"), str)
        and record["messageId"] != ""
    )


def _seen(understood: list[Delivery]) -> list[Any]:
    """Return all fields of deliveries; records as text, since NaN does not equal NaN."""
    return [
        (
            delivery.message_id,
            delivery.queue,
            delivery.group,
            [
                (one.event.info, one.event.identity, one.redrive, repr(one.event.record))
                for one in delivery.events
            ],
            [str(error) for error in delivery.errors],
        )
        for delivery in understood
    ]


def _reachable(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield all values inside a value, those in JSON texts too."""
    yield value
    inner: Iterable[Any] = ()
    if isinstance(value, str):
        try:
            inner = [json.loads(value)]
        except (ValueError, RecursionError):
            return
    elif isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    if depth < _MAX_DEPTH:
        for member in inner:
            yield from _reachable(member, depth + 1)


def _is_nothing(value: Any) -> bool:
    return value == [] or (isinstance(value, dict) and value.get("Event") == "s3:TestEvent")


def _check_event(event: S3Event) -> None:
    info = event.info
    assert all(type(info[name]) is str for name in ("bucket", "key", "event_type", "aws_region"))
    assert type(event.size) is int
    assert event.size >= 0
    assert isinstance(event.event_time, datetime)
    assert event.event_time.utcoffset() is not None
    assert event.source_ip is None or isinstance(event.source_ip, IPv4Address | IPv6Address)
    assert event.bucket
    assert event.key
    record = event.record
    if isinstance(record.get("s3"), dict):
        assert event.key == _form_decoded(record["s3"]["object"]["key"])
    else:
        assert event.key == record["detail"]["object"]["key"]
    assert all(type(part) is str for part in event.identity)
    assert {event.identity: 1}[event.identity]
    # Only its record, without the envelope, is the same event.
    [delivered] = [delivered for one in deliveries([record], REGION) for delivered in one.events]
    alone = delivered.event
    assert (alone.info, alone.identity) == (info, event.identity)


def _form_decoded(key: str) -> str:
    return re.sub(
        "(?:%[0-9A-Fa-f]{2})+",
        lambda match: bytes.fromhex(match[0].replace("%", "")).decode(),
        key.replace("+", " "),
    )


_TRIGGER: Final = {
    "trigger_id": "t-1",
    "prefix": "*",
    "enabled": True,
    "if_not_event_type": "nothing:*",
    "job_id": "{{ key }}",
    "parameters": {"_{{ key }}": ["{{ info.key }}", "<{{ key }}>"]},
}
_JOB: Final = {"type": "exe", "worker": "core", "payload": "x", "enabled": True}


def _items(entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: attribute_of(value) for name, value in entry.items()}


def _realm() -> Realm:
    """Return a realm where each bucket has the trigger, and each job is there."""
    realm = Realm()
    realm.aws.operations["Query"] = lambda _, request: {
        "Items": [_items(_TRIGGER | {"bucket": request["ExpressionAttributeValues"][":b"]["S"]})]
    }
    realm.aws.operations["GetItem"] = lambda _, request: {
        "Item": _items(_JOB | {"job_id": request["Key"]["job_id"]["S"]})
    }
    return realm


def _check_handler(payload: Any, understood: list[Delivery], ids: set[str]) -> None:
    """Check the function in a realm where it dispatches each event once."""
    result = handle(payload, _realm())
    assert result.failed <= ids
    if not result.error:
        assert {delivery.message_id for delivery in understood if delivery.errors} <= result.failed
    is_done = not result.error and not result.failed
    _check_sent(
        result,
        [delivered for delivery in understood for delivered in delivery.events],
        is_done=is_done,
    )


def _check_sent(result: Result, events: list[DeliveredEvent], *, is_done: bool) -> None:
    keys = Counter(delivered.event.key for delivered in events)
    for message in result.dispatched:
        key = message["job_id"]
        assert message["parameters"] == {f"_{key}": [key, f"<{key}>"]}
    assert Counter(message["job_id"] for message in result.dispatched) <= keys
    for message in result.parked:
        [parked] = [delivered for one in deliveries(message, REGION) for delivered in one.events]
        assert parked.redrive is not None
        assert parked.redrive.trigger_id == "t-1"
        assert parked.event.key in keys
    due = [delivered.event for delivered in events if delivered.redrive is None]
    due = [event for event in due if not event.event_type.startswith("nothing:")]
    # No entry can have such a bucket, so the function does not query the table.
    due = [event for event in due if not re.search("[\ud800-\udfff]", event.bucket)]
    if is_done:
        handled = len(result.dispatched) + len(result.parked)
        redriven = sum(delivered.redrive is not None for delivered in events)
        assert len(due) <= handled <= len(due) + redriven
