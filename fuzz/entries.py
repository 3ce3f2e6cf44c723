"""Entries of the tables. A case is a trigger and a job, as DynamoDB items, and a record.

Binary values are text in a case, since nothing reads them.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.entries.load import load
from lava_s3trigger.conditions import KINDS
from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.errors import InvalidEntryError
from lava_s3trigger.jobs import read_job
from lava_s3trigger.triggers import BrokenTrigger, Trigger, prefixes, read_trigger
from tests.aws_in_memory import REGION
from tests.build import eventbridge_event, s3_record
from tests.templates.test_properties import hostile_keys, identities

from .realm import Realm, check_reason, handle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lava_s3trigger.errors import EntryError
    from lava_s3trigger.events import S3Event

    Item = dict[str, dict[str, Any]]
    Case = dict[str, Any]

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
_MAX_DELAY: Final = 900.0
_MAX_ID_BYTES: Final = 2048

# Cases.


def samples() -> Iterable[Case]:
    """Return the entries of the examples, each with an event and a job."""
    loaded = load([str(EXAMPLES)])
    jobs = {entry.id: entry.item for entry in loaded.of("job")}
    for entry in loaded.of("trigger"):
        named = entry.value("job_id")
        job = jobs.get(named[0] if isinstance(named, list) else named, jobs["scan_pdf"])
        prefix = entry.text("prefix")
        key = "file.pdf" if prefix == "*" else f"{prefix}/2026/file.pdf"
        yield {
            "trigger": entry.item,
            "job": job,
            "record": json.loads(json.dumps(_on(s3_record(key), str(entry.text("bucket"))))),
        }


def _on(record: dict[str, Any], bucket: str) -> dict[str, Any]:
    (record["s3"] if "s3" in record else record["detail"])["bucket"]["name"] = bucket
    return record


# Values that DynamoDB holds: no lone surrogates, and numbers as it writes them.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_texts = st.text(max_size=12)
_long = st.builds(lambda text, n: text * n, st.text(min_size=1, max_size=3), st.integers(1, 9000))
_numbers = st.one_of(
    st.integers(-99, 1100).map(str),
    st.integers(-(10**38) + 1, 10**38 - 1).map(str),
    st.builds(
        lambda digits, exponent: format(Decimal(digits).scaleb(exponent).normalize(), "f"),
        st.integers(-(10**38) + 1, 10**38 - 1),
        st.integers(-130, 87),
    ),
)
_words = st.sampled_from(
    [
        *("true", "no", "OFF", "", "0", "1.5m", "10MiB", "-1s", "1e3 KB", "1e999", "nan", "90"),
        *("*", "*.csv", "[", "[!]", "[z-a]*", "**/**", "ObjectCreated:*", "{{", "{% if %}"),
        *("{{ info.nothing.x }}", "{{ key", "lava", "lava_user", "LAVA", "{{ bucket }}", "job"),
    ]
)
_strings = _words | _texts | _long | identities().map(lambda identity: identity())
_scalars = st.one_of(
    st.builds(lambda text: {"S": text}, _strings),
    st.builds(lambda text: {"N": text}, _numbers),
    st.builds(lambda value: {"BOOL": value}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(
        lambda strings: {"SS": strings}, st.lists(_texts, min_size=1, max_size=3, unique=True)
    ),
    st.builds(
        lambda numbers: {"NS": numbers}, st.lists(_numbers, min_size=1, max_size=3, unique=True)
    ),
    st.just({"B": "eA=="}),
    st.just({"BS": ["eA=="]}),
)
_attributes = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.builds(lambda members: {"L": members}, st.lists(inner, max_size=3)),
        st.builds(lambda members: {"M": members}, st.dictionaries(_strings, inner, max_size=3)),
    ),
    max_leaves=8,
)
_maps = st.builds(
    lambda members: {"M": members}, st.dictionaries(_strings, _attributes, max_size=3)
)
_patterns = st.one_of(
    st.builds(lambda text: {"S": text}, _strings),
    st.builds(lambda texts: {"L": [{"S": text} for text in texts]}, st.lists(_strings, max_size=3)),
)
_FLAGS: Final[list[dict[str, Any]]] = [
    {"BOOL": True},
    {"BOOL": False},
    {"N": "1"},
    {"S": "no"},
    {"NULL": True},
]
_flags = st.sampled_from(_FLAGS)
_FIELDS: Final[dict[str, st.SearchStrategy[dict[str, Any]]]] = {
    "enabled": st.just(_FLAGS[0]) | _flags,
    "job_id": _patterns,
    "parameters": _maps,
    "globals": _maps,
    "jinja": _flags,
    "delay": st.builds(lambda text: {"S": text}, _words) | _scalars,
    "description": _attributes,
    "owner": _attributes,
    "x-mine": _attributes,
    **{f"{begun}{name}": _patterns for begun in ("if_", "if_not_") for name in KINDS},
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Generate a trigger that is mostly valid, a job, and an event that mostly reaches it."""
    key = draw(hostile_keys | st.sampled_from(["in/a.csv", "a/b/c", "/x", "*", "%"])) or "k"
    make = draw(st.sampled_from([s3_record, eventbridge_event]))
    reached = [prefix for prefix in prefixes(key) if not _is_half(prefix)]
    trigger: Item = {
        "trigger_id": {"S": draw(_texts.filter(bool) | _long.filter(_fits))},
        "bucket": {"S": "my-bucket"},
        "prefix": {"S": draw(st.sampled_from(reached))},
        "enabled": {"BOOL": True},
        "job_id": {"S": "job"},
    }
    for name in draw(st.lists(st.sampled_from(list(_FIELDS)), max_size=5)):
        trigger[name] = draw(_FIELDS[name])
    match draw(st.integers(0, 11)):
        case 0:
            trigger[draw(_strings) or "x"] = draw(_attributes)
        case 1:
            trigger[draw(st.sampled_from(list(_FIELDS)))] = draw(_attributes)
        case 2:
            trigger.pop(draw(st.sampled_from(["enabled", "job_id"])))
    trigger |= {name: {"S": trigger[name].get("S") or "x"} for name in ("trigger_id", "prefix")}
    trigger["bucket"] = {"S": "my-bucket"}
    job: Item = {
        "job_id": {"S": "job"},
        "type": {"S": "exe"},
        "worker": {"S": "core"},
        "payload": {"S": "x"},
        "enabled": draw(_flags),
    }
    if draw(st.booleans()):
        changed = draw(st.sampled_from([*job, "globals", "x"][1:]))
        job[changed] = draw(_attributes)
    if draw(st.integers(0, 7)) == 0:
        job.pop(draw(st.sampled_from(["type", "worker", "payload", "enabled"])), None)
    case = {"trigger": trigger, "job": job, "record": _on(make(key), "my-bucket")}
    return dict(json.loads(json.dumps(case)))


def _fits(text: str) -> bool:
    return 0 < len(text.encode()) <= _MAX_ID_BYTES


def _is_half(text: str) -> bool:
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "ignore") != text


# Properties.


def check(case: Case) -> None:
    """Check the properties of any entries, and of any event that reaches them."""
    before = json.dumps(case)
    _check_trigger(case["trigger"])
    _check_job(case["job"])
    [delivery] = deliveries({"Records": [case["record"]]}, REGION)
    for delivered in delivery.events:
        _check_function(case, delivered.event)
    assert json.dumps(case) == before


def _check_trigger(item: Item) -> None:
    trigger = read_trigger(item, _MAX_DELAY)
    assert trigger.trigger_id == item["trigger_id"]["S"]
    assert trigger.prefix == item["prefix"]["S"]
    if isinstance(trigger, BrokenTrigger):
        _check_errors(trigger.errors, [*item, "enabled", "job_id"])
        again = read_trigger(item, _MAX_DELAY)
        assert isinstance(again, BrokenTrigger)
        assert again == trigger
        return
    assert type(trigger.delay) is int
    assert 0 <= trigger.delay <= _MAX_DELAY
    if trigger.enabled:
        assert trigger.job_ids
        named = {name for name in item if name.startswith("if_")}
        assert {condition.field for condition in trigger.conditions} == named
        for document in (trigger.parameters, trigger.globals):
            assert document is None or isinstance(document.value, dict)


def _check_job(item: Item) -> None:
    try:
        job = read_job(item)
    except InvalidEntryError as invalid:
        fields = ["job_id", "type", "worker", "payload", "globals", "enabled"]
        _check_errors(invalid.errors, fields)
    else:
        assert job.job_id == item["job_id"]["S"]
        assert type(job.worker) is str
        assert job.worker
        assert type(job.enabled) is bool


def _check_errors(errors: Sequence[EntryError], fields: Sequence[str]) -> None:
    """Check that each error names its field, as far as errors show names."""
    assert errors
    for error in errors:
        check_reason(error.message)
        if error.code != "reading_aborted":  # its time is that of all conditions
            assert error.field in fields
            assert ascii(error.field)[1:-1][:50] in error.message, error


def _check_function(case: Case, event: S3Event) -> None:
    """Check what the function does with the event."""
    item, job = case["trigger"], case["job"]
    result = handle({"Records": [case["record"]]}, Realm([item], [job]))
    assert not result.error
    is_reached = event.bucket == item["bucket"]["S"] and item["prefix"]["S"] in prefixes(event.key)
    assert len(result.parked) <= is_reached
    # The trigger is dispatched, skipped or parked; without one the event is skipped.
    assert result.log.count("dispatched", "skipped", "parked")
    if not is_reached:
        assert not result.dispatched
    trigger = read_trigger(item, _MAX_DELAY)
    for message in result.dispatched:
        assert isinstance(trigger, Trigger)
        assert message["job_id"] == job["job_id"]["S"]
        is_written = item.get("jinja", {}).get("S") == "no"
        if trigger.parameters and is_written:
            as_written = value_of(item["parameters"], "parameters")
            assert message["parameters"] == json.loads(json.dumps(as_written))
    for message in result.parked:
        _check_parked(message, trigger.trigger_id, event)


def _check_parked(message: dict[str, Any], trigger_id: str, event: S3Event) -> None:
    """Check that reasons fit one line, and that the message names the trigger and the event."""
    for reason in message["parked"]["reasons"]:
        check_reason(reason["reason"])
    [delivery] = deliveries(message, REGION)
    [delivered] = delivery.events
    again = delivered.event
    assert delivered.redrive is not None
    assert delivered.redrive.trigger_id == trigger_id
    assert again.info == event.info
    assert again.identity == event.identity
