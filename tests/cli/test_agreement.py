"""`explain`, `ui` and the function agree about everything that they are tested with."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import entries as fuzzed
from lava_s3trigger import conditions
from lava_s3trigger.triggers import prefixes
from tests.aws_in_memory import Endpoint
from tests.build import direct, eventbridge, item, job_entry, record, trigger_entry
from tests.cli.agreement import SAMPLES, Agreement
from tests.examples import examples
from tests.function.user_errors import USER_ERRORS
from tests.routes import ROUTES, of_eventbridge, of_s3

Item = dict[str, dict[str, Any]]

many = settings(
    max_examples=examples(1_000),  # of each strategy
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def agreement(endpoint: Endpoint, tmp_path: Path) -> Agreement:
    """The function on the endpoint, and `explain`."""
    return Agreement(endpoint, tmp_path)


def trigger(trigger_id: str = "t", **fields: Any) -> Item:
    return item(trigger_entry(trigger_id, **fields))


def job(job_id: str, worker: str = "core", **fields: Any) -> Item:
    return item(job_entry(job_id, worker, **fields))


JOBS: Final = [
    job("load"),
    job("report", "web"),
    job("off", enabled=False),
    job("lost", "nowhere"),
    job("bad", payload=None),
]


@dataclass(frozen=True, slots=True)
class Case:
    """Entries, and a payload."""

    payload: Any
    triggers: list[Item]


_FOLDERS: Final = ("in", "In", "a b", "x+y", "caf\u00e9", "2026-03-14", "%41")
_FILES: Final = ("a.csv", "b.CSV", "c d.txt", "{{ key }}", '"}.csv', "*")
_TEXTS: Final = (
    *("{{ key }}", "s3://{{ bucket }}/{{ key }}", "{{ info.size + 1 }}", "{{ info.event_type }}"),
    *("{{ key.split('/')[-1] | upper }}", "{{ info.event_time.year }}", "{{ event | length }}"),
    *("plain", "{% if info.size %}some{% else %}none{% endif %}", "{{ 1 / info.size }}", ""),
)
_written = st.recursive(
    st.sampled_from(_TEXTS) | st.integers(-5, 5) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=5,
)
_OPTIONAL: Final[dict[str, st.SearchStrategy[Any]]] = {
    "enabled": st.sampled_from([True, True, 1, "yes", False, "no"]),
    "job_id": st.sampled_from(
        ["load", ["load", "report"], ["load", "load", "off"], "none", "{{ 'lo' }}ad", "bad", "lost"]
    ),
    "delay": st.sampled_from([0, 5, "90s", "1.5m", "15m", "16m"]),
    "jinja": st.booleans(),
    "parameters": st.dictionaries(st.sampled_from(["args", "{{ key }}"]), _written, max_size=2),
    "globals": st.dictionaries(st.sampled_from(["day", "lava_x"]), _written, max_size=2),
    "if_fnmatch": st.sampled_from(["*", "*.csv", ["*.txt", "*.csv"], "in/*", "[!i]*", "*.?sv"]),
    "if_not_fnmatch": st.sampled_from(["*.tmp", "*.csv", []]),
    "if_size_gt": st.sampled_from([0, "1KB", "1KiB", -1]),
    "if_not_size_gt": st.sampled_from(["1GB", 0]),
    "if_event_type": st.sampled_from(["ObjectCreated:*", ["*Put*", "*Delete*"]]),
    "x-note": _written,
    "owner": st.just("team"),
    "onwer": st.just("team"),
}


@st.composite
def worlds(draw: st.DrawFn) -> Case:
    """Generate entries as teams write them, and an event that reaches some of them."""
    folders = draw(st.lists(st.sampled_from(_FOLDERS), max_size=3))
    key = "/".join([*folders, draw(st.sampled_from(_FILES))])
    reached = [*prefixes(key), *prefixes(key), "in/", "elsewhere"]
    entries = []
    for number in range(draw(st.integers(1, 5))):
        names = draw(st.lists(st.sampled_from(list(_OPTIONAL)), max_size=4, unique=True))
        fields = {name: draw(_OPTIONAL[name]) for name in names}
        entries.append(trigger(f"t{number}", prefix=draw(st.sampled_from(reached)), **fields))
    size = draw(st.sampled_from([0, 1, 1000, 1001, 1024, 1025, 10**9]))
    events = [record(key, size=size), record(key, eventName="ObjectRemoved:Delete")]
    parked = {"parked": {"trigger_id": "t0", "done": ["load"]}, "event": events[0]}
    made = draw(st.sampled_from([direct(events[0]), direct(*events), eventbridge(key), parked]))
    return Case(made, entries)


class TestCases:
    """Both agree about the cases of other tests."""

    @pytest.mark.parametrize("name", USER_ERRORS)
    def test_user_errors(self, agreement: Agreement, name: str) -> None:
        fields = USER_ERRORS[name].fields
        found = agreement.check(direct(record()), [trigger("t", **fields), trigger("u")], JOBS)
        assert len(found.messages) == 1

    @pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
    def test_sample_payloads(self, agreement: Agreement, path: Path) -> None:
        parameters = {
            "info": "{{ info.bucket }} {{ info.key }} {{ info.size }} {{ info.event_time }}"
            " {{ info.event_type }} {{ info.source_ip }} {{ info.aws_region }}",
            "raw": "{{ event }}",
        }
        entries = [
            trigger("all", prefix="*", parameters=parameters),
            trigger("created", prefix="*", if_event_type="ObjectCreated:*", delay="90s"),
            trigger("large", prefix="*", if_size_gt=1024, job_id=["report", "off", "none"]),
            trigger("small", prefix="*", if_not_size_gt="1KiB", globals={"{{ key }}": 1}),
        ]
        payload = json.loads(path.read_text())
        found = agreement.check(payload, entries, JOBS)
        assert bool(found.messages) == (
            "my-bucket" in path.read_text() and bool(found.explanation["events"])
        )

    @pytest.mark.parametrize(
        "what",
        [of_s3(record("in/a+b c.csv")), of_eventbridge(eventbridge("in/a+b c.csv"))],
        ids=["s3", "eventbridge"],
    )
    @pytest.mark.parametrize("route", ROUTES)
    def test_every_route(self, agreement: Agreement, route: str, what: Any) -> None:
        payload = ROUTES[route].payload(what)
        found = agreement.check(payload, [trigger("t-1", parameters={"k": "{{ key }}"})], JOBS)
        assert len(found.messages) == len(found.explanation["events"]) == 1


class TestGenerated:
    """Both agree about entries and events that nobody thought of."""

    @many
    @given(world=worlds())
    def test_everyday_entries_and_events(self, agreement: Agreement, world: Case) -> None:
        agreement.check(world.payload, world.triggers, JOBS)

    @many
    @given(case=fuzzed.cases())
    def test_any_entries_and_any_event(self, agreement: Agreement, case: dict[str, Any]) -> None:
        agreement.check(direct(case["record"]), [case["trigger"]], [case["job"]])


def test_a_new_condition(agreement: Agreement, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [trigger("a", if_key_longer=5)]
    monkeypatch.setattr(conditions, "KINDS", dict(conditions.KINDS))
    conditions.condition("key_longer", of="key", read=int)(lambda key, limit: len(key) > limit)
    found = agreement.check(direct(record("in/123456")), entries, JOBS)
    assert len(found.messages) == 1
    [condition] = found.explanation["events"][0]["triggers"][0]["conditions"]
    names = ("field", "argument", "value", "holds")
    assert [condition[name] for name in names] == ["if_key_longer", 5, "in/123456", True]
