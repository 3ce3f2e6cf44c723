"""Entries of the tables. A case is a trigger and a job, as DynamoDB has them, and a record.

Binary stands in a case as text, since nothing looks into it.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from hypothesis import strategies as st

from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.realm import attribute_of
from lava_s3trigger.conditions import KINDS
from lava_s3trigger.decision import Decision, TriggerDecision, decide
from lava_s3trigger.dispatch import timestamp
from lava_s3trigger.events import S3Event, deliveries
from lava_s3trigger.jobs import JobTable, read_job
from lava_s3trigger.log import log_event
from lava_s3trigger.parking import Reason, RedriveTarget, parked_message
from lava_s3trigger.triggers import BrokenTrigger, Trigger, TriggerTable, prefixes, read_trigger
from tests.routes import eventbridge_event, s3_record
from tests.templates.test_properties import hostile_keys, identities

from .realm import REGION, Journal, Tables, check_reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    Item = dict[str, dict[str, Any]]
    Case = dict[str, Any]

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
NOW: Final = datetime(2026, 3, 14, 1, 59, 26, tzinfo=UTC)
_MAX_DELAY: Final = 900.0
_LONGEST_ID: Final = 2048  # bytes

# Cases.


def samples() -> Iterable[Case]:
    """Give the entries of the example, each with an event and a job of its own."""
    jobs = {each["job_id"]: each for each in yaml.safe_load((EXAMPLES / "jobs.yaml").read_text())}
    for entry in yaml.safe_load((EXAMPLES / "triggers.yaml").read_text()):
        named = entry["job_id"]
        job = jobs.get(named[0] if isinstance(named, list) else named, jobs["scan_pdf"])
        key = "file.pdf" if entry["prefix"] == "*" else f"{entry['prefix']}/2026/file.pdf"
        yield {
            "trigger": _item(entry),
            "job": _item(job),
            "record": json.loads(json.dumps(_on(s3_record(key), entry["bucket"]))),
        }


def _item(entry: dict[str, Any]) -> Item:
    return {name: attribute_of(value) for name, value in entry.items()}


def _on(record: dict[str, Any], bucket: str) -> dict[str, Any]:
    (record["s3"] if "s3" in record else record["detail"])["bucket"]["name"] = bucket
    return record


# What DynamoDB holds: no half surrogate pairs, and numbers as it writes them.
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
    st.builds(lambda each: {"SS": each}, st.lists(_texts, min_size=1, max_size=3, unique=True)),
    st.builds(lambda each: {"NS": each}, st.lists(_numbers, min_size=1, max_size=3, unique=True)),
    st.just({"B": "eA=="}),
    st.just({"BS": ["eA=="]}),
)
_attributes = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.builds(lambda each: {"L": each}, st.lists(inner, max_size=3)),
        st.builds(lambda each: {"M": each}, st.dictionaries(_strings, inner, max_size=3)),
    ),
    max_leaves=8,
)
_maps = st.builds(lambda each: {"M": each}, st.dictionaries(_strings, _attributes, max_size=3))
_patterns = st.one_of(
    st.builds(lambda text: {"S": text}, _strings),
    st.builds(lambda each: {"L": [{"S": text} for text in each]}, st.lists(_strings, max_size=3)),
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
    """Make a trigger that is mostly in order, a job, and an event that mostly reaches it."""
    key = draw(hostile_keys | st.sampled_from(["in/a.csv", "a/b/c", "/x", "*", "%"])) or "k"
    make = draw(st.sampled_from([s3_record, eventbridge_event]))
    reached = [each for each in prefixes(key) if not _is_half(each)]
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
    return 0 < len(text.encode()) <= _LONGEST_ID


def _is_half(text: str) -> bool:
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "ignore") != text


# What must hold.


def check(case: Case) -> None:
    """Check what must hold of any entries, and of any event that reaches them."""
    before = json.dumps(case)
    _check_trigger(case["trigger"])
    _check_job(case["job"])
    [delivery] = deliveries({"Records": [case["record"]]}, REGION)
    for event, _ in delivery.events:
        _check_decision(case, event)
    assert json.dumps(case) == before


def _check_trigger(item: Item) -> None:
    found = read_trigger(item, _MAX_DELAY)
    assert found.trigger_id == item["trigger_id"]["S"]
    assert found.prefix == item["prefix"]["S"]
    if isinstance(found, BrokenTrigger):
        _check_names(found.reason, [*item, "enabled", "job_id"])
        assert read_trigger(item, _MAX_DELAY) == found
        return
    assert type(found.delay) is int
    assert 0 <= found.delay <= _MAX_DELAY
    if found.enabled:
        assert found.job_ids
        named = {name for name in item if name.startswith("if_")}
        assert {each.field for each in found.conditions} == named
        for document in (found.parameters, found.globals):
            assert document is None or isinstance(document.value, dict)


def _check_job(item: Item) -> None:
    try:
        job = read_job(item)
    except ValueError as error:
        fields = ["job_id", "type", "worker", "payload", "globals", "enabled"]
        _check_names(str(error), fields)
    else:
        assert job.job_id == item["job_id"]["S"]
        assert type(job.worker) is str
        assert job.worker
        assert type(job.enabled) is bool


def _check_names(reason: str, fields: Iterable[str]) -> None:
    """Check that the text of an error names a field, as far as names are shown."""
    check_reason(reason)
    assert any(ascii(name)[1:-1][:50] in reason for name in fields), reason


def _check_decision(case: Case, event: S3Event) -> None:
    job = case["job"]
    tables = Tables(
        triggers=lambda bucket: [
            each for each in [case["trigger"]] if each["bucket"]["S"] == bucket
        ],
        job=lambda job_id: job if job["job_id"]["S"] == job_id else None,
    )
    triggers = TriggerTable(tables, "fuzz", 60, _MAX_DELAY, lambda: 0.0)  # type: ignore[arg-type]
    jobs = JobTable(tables, "fuzz", 60, lambda: 0.0)  # type: ignore[arg-type]
    decision = decide(event, triggers, jobs)
    walk = triggers.matching(event.bucket, event.key)
    prefix = case["trigger"]["prefix"]["S"]
    is_reached = event.bucket == case["trigger"]["bucket"]["S"] and prefix in prefixes(event.key)
    assert decision.error is None
    assert bool(walk.triggers) == is_reached
    assert (decision.prefixes, decision.entries) == (walk.prefixes, len(walk.triggers))
    assert [each.trigger_id for each in decision.triggers] == [
        each.trigger_id for each in walk.triggers
    ]
    with Journal() as journal:
        for found, trigger in zip(decision.triggers, walk.triggers, strict=True):
            _check_trace(decision, found, trigger)
            if found.ended is None:
                assert isinstance(trigger, Trigger)
                _check_dispatches(case, found, trigger)
    journal.check()


def _check_dispatches(case: Case, found: TriggerDecision, trigger: Trigger) -> None:
    """Check the messages that a trigger causes."""
    for decided in found.jobs:
        assert (decided.outcome == "dispatched") == (decided.dispatch is not None)
        if decided.dispatch is None:
            continue
        text = decided.dispatch.message("fuzz", "run", timestamp(NOW))
        assert text.isascii()
        message = json.loads(text)
        assert message["job_id"] == case["job"]["job_id"]["S"]
        written = {each["S"] for each in [case["trigger"].get("jinja", {"S": ""})] if "S" in each}
        if trigger.parameters and written == {"no"}:
            as_written = value_of(case["trigger"]["parameters"], "parameters")
            assert message["parameters"] == json.loads(json.dumps(as_written))


def _check_trace(
    decision: Decision, found: TriggerDecision, trigger: Trigger | BrokenTrigger
) -> None:
    """Check what is recorded of a trigger: why it dispatches no more, in lines of a log."""
    ends: list[tuple[str, str, str, str | None]] = []
    if found.ended:
        ends.append((*found.ended, None))
    ends += [
        (each.outcome, each.kind or "", each.reason or "", each.job_id)
        for each in found.jobs
        if each.outcome != "dispatched"
    ]
    assert ends or found.jobs  # each trigger has an outcome, and a reason for it
    reasons = []
    for outcome, kind, reason, job_id in ends:
        assert outcome in ("skipped", "mistake")
        assert kind.isidentifier()
        check_reason(reason[:4096])
        log_event(logging.INFO, outcome, kind=kind, reason=reason, job_id=job_id)
        if outcome == "mistake":
            check_reason(reason)
            reasons.append(Reason(reason, kind, job_id))
    if isinstance(trigger, Trigger) and found.conditions:
        assert [each.condition for each in found.conditions] == list(trigger.conditions)
        is_unmet = found.ended is not None and found.ended[1] == "condition_not_met"
        assert is_unmet != all(each.holds for each in found.conditions)
    if reasons:
        done = [each.job_id for each in found.jobs if each.outcome == "dispatched"]
        _check_parked(decision.event, found.trigger_id, reasons, done)


def _check_parked(event: S3Event, trigger_id: str, reasons: list[Reason], done: list[str]) -> None:
    """Check that a parked message is read back as it was written."""
    text = parked_message(event.record, trigger_id, reasons, done, NOW)
    [delivery] = deliveries(json.loads(text), REGION)
    [(again, redrive)] = delivery.events
    assert redrive == RedriveTarget(trigger_id, tuple(sorted(done)))
    assert again.info == event.info
    assert again.identity == event.identity
