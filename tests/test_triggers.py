"""Triggers: what an entry may hold, which entries match, and what reading them costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.errors import OutOfTimeError, ServiceError
from lava_s3trigger.templates.documents import variables
from lava_s3trigger.triggers import (
    BrokenTrigger,
    Trigger,
    TriggerTable,
    entry_digest,
    prefixes,
    read_trigger,
)
from tests.endpoint import DENIED, READS_THROTTLED, RESET, SERVER_ERROR, CannedRealm, Endpoint
from tests.payloads import s3_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clock import Clock
    from tests.endpoint import Fault, Item
    from tools.local.realm import Realm
    from tools.local.server import LocalAws

BUCKET: Final = "my-bucket"
TTL: Final = 60.0
MANY: Final = 200
"""Entries of a bucket that no bounded query holds."""
BINARY: Final = {"B": "aGVsbG8="}

UNIQUE: Final = 2050
"""Keys that are more than the cache keeps of those it was asked for once."""


def item_of(attributes: Item | None = None, **fields: Any) -> Item:
    """Make an item of an entry that can be used, but for what is given.

    Args:
        attributes: Fields as DynamoDB has them.
        fields: Fields by their plain values; None leaves one out.
    """
    entry = {
        "trigger_id": "t",
        "bucket": BUCKET,
        "prefix": "in",
        "enabled": True,
        "job_id": "job",
        **fields,
    }
    plain = {name: attribute_of(value) for name, value in entry.items() if value is not None}
    return plain | (attributes or {})


def usable(attributes: Item | None = None, max_delay: float = 900.0, **fields: Any) -> Trigger:
    trigger = read_trigger(item_of(attributes, **fields), max_delay)
    assert isinstance(trigger, Trigger), trigger
    return trigger


def is_plain(trigger: Trigger) -> bool:
    """Return whether a trigger runs its job always, at once and with nothing."""
    return (
        trigger.enabled
        and [each.value for each in trigger.job_ids] == ["job"]
        and not (trigger.parameters or trigger.globals or trigger.conditions)
        and trigger.delay == 0
    )


def mistake(attributes: Item | None = None, max_delay: float = 900.0, **fields: Any) -> str:
    trigger = read_trigger(item_of(attributes, **fields), max_delay)
    assert isinstance(trigger, BrokenTrigger), trigger
    assert trigger.trigger_id == "t"
    assert trigger.prefix == "in"
    return trigger.reason


def entry(trigger_id: str, prefix: str, bucket: str = BUCKET, **fields: Any) -> dict[str, Any]:
    return {
        "trigger_id": trigger_id,
        "bucket": bucket,
        "prefix": prefix,
        "enabled": True,
        "job_id": "job",
        **fields,
    }


def fillers(number: int) -> list[dict[str, Any]]:
    return [entry(f"filler-{each}", f"filler/{each}") for each in range(number)]


def ids(table: TriggerTable, key: str, bucket: str = BUCKET) -> list[str]:
    return [each.trigger_id for each in table.matching(bucket, key).triggers]


@pytest.fixture
def canned(endpoint: Endpoint) -> CannedRealm:
    return endpoint.realm("demo")


@pytest.fixture
def table(canned: CannedRealm, endpoint: Endpoint, clock: Clock) -> TriggerTable:
    return table_of(endpoint, clock)


def table_of(endpoint: Endpoint, clock: Clock, ttl: float = TTL) -> TriggerTable:
    table = TriggerTable(endpoint.clients[0], "demo", ttl, 900.0, clock)
    table.start(UNLIMITED)
    return table


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long botocore would wait before it tries again; it does not."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


class TestFields:
    """Each field of an entry is read as docs/design.md#triggers has it."""

    def test_required_fields_suffice(self) -> None:
        assert is_plain(usable())

    def test_every_known_field_is_accepted(self) -> None:
        trigger = usable(
            parameters={"a": 1},
            globals={"b": "2"},
            jinja=True,
            delay="2m",
            description="what it does",
            owner="who did it",
            if_size_gt=10,
            if_not_fnmatch="*.tmp",
        )
        assert trigger.parameters is not None
        assert trigger.parameters.value == {"a": 1}
        assert trigger.globals is not None
        assert trigger.globals.value == {"b": "2"}
        assert trigger.delay == 120
        assert [each.field for each in trigger.conditions] == ["if_size_gt", "if_not_fnmatch"]

    @pytest.mark.parametrize("field", ["enabled", "job_id"])
    def test_a_missing_required_field_is_named(self, field: str) -> None:
        fields: dict[str, Any] = {field: None}
        assert f"{field} is missing" in mistake(**fields)

    @pytest.mark.parametrize(
        "field",
        [
            "Enabled",
            "parameter",
            "job_ids",
            "dedup",
            "xcustom",
            "x_custom",
            "Description",
            "fnmatch",
            "",
        ],
    )
    def test_an_unknown_field_is_an_error_that_names_it(self, field: str) -> None:
        assert f"unknown field '{field}' (" in mistake({field: {"S": "value"}})

    @pytest.mark.parametrize(
        ("field", "known"),
        [("paramters", "parameters"), ("job_ids", "job_id"), ("enable", "enabled")],
    )
    def test_an_unknown_field_suggests_a_known_one(self, field: str, known: str) -> None:
        assert f"unknown field '{field}' (did you mean '{known}'? custom" in mistake(
            {field: {"S": "value"}}
        )

    @pytest.mark.parametrize("field", ["if_bigger", "if_", "if_not_", "if_not_if_fnmatch"])
    def test_an_unknown_condition_is_an_error_that_names_it(self, field: str) -> None:
        assert f"unknown condition '{field}'" in mistake({field: {"S": "value"}})

    @pytest.mark.parametrize("name", ["x-note", "X-note", "x-", "x-if_fnmatch"])
    @pytest.mark.parametrize(
        "value",
        [{"S": "any"}, {"M": {"any": {"N": "1"}}}, {"NULL": True}, BINARY, {"SS": ["any"]}],
        ids=["text", "map", "null", "binary", "set"],
    )
    def test_custom_fields_can_hold_anything(self, name: str, value: dict[str, Any]) -> None:
        assert is_plain(usable({name: value}))

    @pytest.mark.parametrize("field", ["description", "owner"])
    @pytest.mark.parametrize(
        "value", [{"NULL": True}, {"N": "1"}, BINARY, {"L": []}], ids=["null", "number", "b", "l"]
    )
    def test_description_and_owner_are_not_checked(self, field: str, value: dict[str, Any]) -> None:
        assert is_plain(usable({field: value}))

    def test_a_list_of_job_ids_keeps_its_order_and_its_repetitions(self) -> None:
        trigger = usable(job_id=["b", "a", "b"])
        assert [each.value for each in trigger.job_ids] == ["b", "a", "b"]

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            pytest.param({"job_id": 1}, "job_id: 1", id="job_id a number"),
            pytest.param({"job_id": ["a", 1]}, "job_id: ['a', 1]", id="job_id of mixed types"),
            pytest.param({"job_id": {"a": "b"}}, "job_id: {'a': 'b'}", id="job_id a map"),
            pytest.param({"job_id": ""}, "job_id: ''", id="job_id empty"),
            pytest.param({"parameters": ["a"]}, "parameters: ['a']", id="parameters a list"),
            pytest.param({"parameters": "a"}, "parameters: 'a'", id="parameters a text"),
            pytest.param({"globals": False}, "globals: False", id="globals a boolean"),
            pytest.param({"jinja": []}, "jinja: []", id="jinja a list"),
            pytest.param({"enabled": {"a": 1}}, "enabled: {'a': 1}", id="enabled a map"),
            pytest.param({"enabled": 0.5}, "enabled: 0.5", id="enabled a fraction"),
            pytest.param({"delay": "soon"}, "delay: 'soon'", id="delay no duration"),
            pytest.param({"delay": True}, "delay: True", id="delay a boolean"),
            pytest.param({"delay": ["1m"]}, "delay: ['1m']", id="delay a list"),
            pytest.param({"if_size_gt": "big"}, "if_size_gt: 'big'", id="size no size"),
            pytest.param({"if_fnmatch": 1}, "if_fnmatch: 1", id="pattern a number"),
            pytest.param({"if_not_event_type": {}}, "if_not_event_type: {}", id="pattern a map"),
        ],
    )
    def test_a_bad_value_is_named_with_its_field(self, fields: dict[str, Any], named: str) -> None:
        assert f"bad entry: {named}" in mistake(**fields)

    @pytest.mark.parametrize("field", ["parameters", "globals"])
    def test_null_maps_count_as_absent(self, field: str) -> None:
        assert is_plain(usable({field: {"NULL": True}}))

    @pytest.mark.parametrize(
        ("delay", "seconds"),
        [(0, 0), (900, 900), ("15m", 900), ("90s", 90), ("1.5m", 90), ("0.25h", 900), (2.6, 3)],
    )
    def test_a_delay_is_rounded_to_whole_seconds(self, delay: float | str, seconds: int) -> None:
        found = usable(delay=delay).delay
        assert (found, type(found)) == (seconds, int)

    @pytest.mark.parametrize("delay", [-1, 901, "16m", "-1s", "1h", "1e9"])
    def test_a_delay_is_from_0_to_15_minutes(self, delay: float | str) -> None:
        assert "is not from 0 to 15 minutes" in mistake(delay=delay)

    def test_the_maximum_delay_can_be_lowered(self) -> None:
        assert usable(max_delay=300.0, delay="5m").delay == 300
        assert "is not from 0 to 5 minutes" in mistake(max_delay=300.0, delay=301)

    def test_without_jinja_values_are_no_templates(self) -> None:
        documents: dict[str, Any] = {
            "job_id": "{{ key }}",
            "parameters": {"{{ key }}": "{{ key }}"},
            "globals": {"at": "{{ key }}"},
        }
        known = variables(s3_event("k"))
        rendered = usable(**documents)
        assert [each.render(known) for each in rendered.job_ids] == ["k"]
        assert rendered.parameters is not None
        assert rendered.parameters.render(known) == {"k": "k"}
        assert rendered.globals is not None
        assert rendered.globals.render(known) == {"at": "k"}
        plain = usable(**documents, jinja=False)
        assert [each.render(known) for each in plain.job_ids] == ["{{ key }}"]
        assert plain.parameters is not None
        assert plain.parameters.render(known) == documents["parameters"]
        assert plain.globals is not None
        assert plain.globals.render(known) == documents["globals"]

    def test_a_rendered_global_that_begins_with_lava_is_an_error(self) -> None:
        trigger = usable(globals={"{{ key }}": 1, "Lava_written": 2})
        assert trigger.globals is not None
        assert trigger.globals.render(variables(s3_event("k"))) == {"k": 1, "Lava_written": 2}
        with pytest.raises(ValueError, match="LAVA"):
            trigger.globals.render(variables(s3_event("LAVA_forged")))

    def test_a_parameter_can_begin_with_lava(self) -> None:
        trigger = usable(parameters={"{{ key }}": 1})
        assert trigger.parameters is not None
        assert trigger.parameters.render(variables(s3_event("lava_x"))) == {"lava_x": 1}


BOOLEANS: Final = [
    pytest.param({"BOOL": True}, True, id="true"),
    pytest.param({"BOOL": False}, False, id="false"),
    pytest.param({"N": "0"}, False, id="0"),
    pytest.param({"N": "1"}, True, id="1"),
    pytest.param({"N": "-2"}, True, id="-2"),
    pytest.param({"N": "0.0"}, False, id="0.0, which is integral"),
    pytest.param({"NULL": True}, False, id="null"),
    *(
        pytest.param({"S": text}, False, id=f"text {text!r}")
        for text in ("false", "False", "FALSE", "f", "F", "no", "No", "n", "off", "OFF", "0", "")
    ),
    *(
        pytest.param({"S": text}, True, id=f"text {text!r}")
        for text in ("true", "t", "yes", "on", "1", "00", "disabled", " false", "none")
    ),
]


class TestBooleans:
    """A boolean can be written in every way that lava accepts."""

    @pytest.mark.parametrize(("attribute", "is_true"), BOOLEANS)
    def test_enabled_is_read_as_a_boolean(self, attribute: dict[str, Any], is_true: bool) -> None:  # noqa: FBT001
        assert usable({"enabled": attribute}).enabled is is_true

    @pytest.mark.parametrize(("attribute", "is_true"), BOOLEANS)
    def test_jinja_is_read_as_a_boolean(self, attribute: dict[str, Any], is_true: bool) -> None:  # noqa: FBT001
        (job_id,) = usable({"jinja": attribute}, job_id="{{ 'a' }}").job_ids
        assert job_id.render(variables(s3_event())) == ("a" if is_true else "{{ 'a' }}")


class TestDisabledEntries:
    """A disabled entry is never an error."""

    @pytest.mark.parametrize(
        "attributes",
        [
            {"unknown": {"S": "field"}},
            {"if_bigger": {"N": "1"}},
            {"delay": {"S": "soon"}},
            {"parameters": BINARY},
            {"globals": {"S": "text"}},
            {"jinja": {"L": []}},
            {"job_id": {"N": "1"}},
        ],
        ids=lambda attributes: next(iter(attributes)),
    )
    @pytest.mark.parametrize("off", [False, "no", 0], ids=repr)
    def test_a_bad_disabled_entry_is_just_disabled(self, attributes: Item, off: Any) -> None:
        assert not usable(attributes, enabled=off).enabled

    def test_a_disabled_entry_needs_no_job(self) -> None:
        assert not usable(enabled=False, job_id=None).enabled


class TestTypes:
    """Values of DynamoDB become what JSON can hold."""

    @pytest.mark.parametrize(
        ("attribute", "value"),
        [
            ({"N": "1"}, 1),
            ({"N": "1.0"}, 1),
            ({"N": "1E+2"}, 100),
            ({"N": "-3"}, -3),
            ({"N": "1.5"}, 1.5),
            ({"N": "-0.25"}, -0.25),
            ({"N": "99999999999999999999999999999999999999"}, 10**38 - 1),
            ({"SS": ["b", "c", "a"]}, ["a", "b", "c"]),
            ({"NS": ["10", "9", "1.5"]}, [1.5, 9, 10]),
            ({"L": [{"NULL": True}, {"BOOL": False}]}, [None, False]),
            ({"M": {"b": {"S": ""}, "a": {"L": []}}}, {"b": "", "a": []}),
        ],
        ids=str,
    )
    def test_parameters_hold_every_type(self, attribute: dict[str, Any], value: Any) -> None:
        trigger = usable({"parameters": {"M": {"value": attribute}}})
        assert trigger.parameters is not None
        found = trigger.parameters.render(variables(s3_event()))["value"]
        assert (found, type(found)) == (value, type(value))

    def test_a_map_keeps_its_order(self) -> None:
        trigger = usable(parameters={"z": 1, "a": 2, "m": 3})
        assert trigger.parameters is not None
        assert list(trigger.parameters.render(variables(s3_event()))) == ["z", "a", "m"]

    def test_a_set_of_job_ids_becomes_a_sorted_list(self) -> None:
        trigger = usable({"job_id": {"SS": ["b", "a"]}})
        assert [each.value for each in trigger.job_ids] == ["a", "b"]

    @pytest.mark.parametrize(
        ("attributes", "named"),
        [
            ({"parameters": BINARY}, "parameters"),
            ({"parameters": {"M": {"a": {"L": [{"S": ""}, BINARY]}}}}, "parameters.a[1]"),
            ({"globals": {"M": {"a": {"M": {"b": {"BS": ["aGk="]}}}}}}, "globals.a.b"),
            ({"job_id": BINARY}, "job_id"),
            ({"job_id": {"L": [BINARY]}}, "job_id[0]"),
            ({"delay": BINARY}, "delay"),
            ({"enabled": BINARY}, "enabled"),
            ({"jinja": BINARY}, "jinja"),
            ({"if_fnmatch": {"L": [{"S": "a"}, BINARY]}}, "if_fnmatch[1]"),
        ],
        ids=lambda each: each if isinstance(each, str) else "",
    )
    def test_binary_is_an_error_that_names_the_field(self, attributes: Item, named: str) -> None:
        assert f"bad entry: {named} is binary" in mistake(attributes)


class TestPrefixes:
    """A key is looked up from its longest prefix to the whole bucket."""

    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            ("a/b/c", ["a/b/c", "a/b", "a", "*"]),
            ("a", ["a", "*"]),
            ("/a/b", ["/a/b", "/a", "*"]),
            ("//a", ["//a", "/", "*"]),
            ("/", ["/", "*"]),
            ("*", ["*"]),
            ("*/a", ["*/a", "*"]),
            ("a/*", ["a/*", "a", "*"]),
        ],
    )
    def test_prefixes_are_tried_from_the_longest(self, key: str, expected: list[str]) -> None:
        assert list(prefixes(key)) == expected

    @pytest.mark.parametrize(
        ("key", "count", "longest"),
        [
            pytest.param("a/" * 100_000, 513, 1023, id="many levels"),
            pytest.param("a" + "/" * 1_000_000, 1025, 1024, id="many slashes"),
            pytest.param("a" * 1_000_000, 1, 1, id="no level"),
            pytest.param("a" * 1024 + "/b", 2, 1024, id="the longest"),
            pytest.param("a" * 1025 + "/b", 1, 1, id="one more"),
            pytest.param("b/" + "a" * 1_000_000, 2, 1, id="a long name"),
            pytest.param("a" * 1024, 2, 1024, id="the longest key"),
        ],
    )
    def test_an_overlong_key_is_tried_by_the_prefixes_that_entries_can_have(
        self, key: str, count: int, longest: int
    ) -> None:
        """The work is bounded, whatever arrives."""
        found = list(prefixes(key))

        assert (len(found), max(map(len, found))) == (count, longest)
        assert all(key.startswith(f"{each}/") or each in (key, "*") for each in found)

    def test_no_prefix_is_tried_twice(self) -> None:
        for key in ("*/*/*", "a//b//", "/*/"):
            found = list(prefixes(key))
            assert len(set(found)) == len(found)
            assert "" not in found


class TestTheWalk:
    """The longest prefix with any entry wins, also if prefixes are queried one by one."""

    @pytest.fixture(params=[0, MANY], ids=["in memory", "level by level"])
    def table(
        self, canned: CannedRealm, endpoint: Endpoint, clock: Clock, request: pytest.FixtureRequest
    ) -> TriggerTable:
        canned.triggers.put(*fillers(request.param))
        return table_of(endpoint, clock)

    @pytest.mark.parametrize(
        ("levels", "key", "expected"),
        [
            pytest.param(["a/b/c", "a/b", "a", "*"], "a/b/c", ["a/b/c"], id="the key itself"),
            pytest.param(["a/b", "a", "*"], "a/b/c", ["a/b"], id="its folder"),
            pytest.param(["a", "*"], "a/b/c", ["a"], id="a folder above"),
            pytest.param(["*"], "a/b/c", ["*"], id="the whole bucket"),
            pytest.param(["*"], "a", ["*"], id="the whole bucket, at its top"),
            pytest.param([], "a/b/c", [], id="nothing"),
            pytest.param(["a/b/c/d", "b", "c", "a/bb", "ab"], "a/b/c", [], id="nothing that is"),
            pytest.param(["a"], "ab/c", [], id="a part of a folder's name"),
            pytest.param(["A"], "a/b", [], id="another case"),
            pytest.param(["/a", "a", "*"], "/a/b", ["/a"], id="a slash in front"),
            pytest.param(["a", "*"], "/a/b", ["*"], id="a slash in front, passed over"),
            pytest.param(["a//b"], "a//b/c", ["a//b"], id="two slashes"),
            pytest.param(["a"], "a//b", ["a"], id="two slashes, to the folder above"),
            pytest.param(["a/b", "a"], "a/b/", ["a/b"], id="a slash at the end"),
            pytest.param(["*"], "*", ["*"], id="a key that is a star"),
            pytest.param(["*"], "*/a", ["*"], id="a folder that is a star"),
            pytest.param(["a/*", "a"], "a/b", ["a"], id="no patterns"),
            pytest.param(
                ["\u00e9/\U0001f980"], "\u00e9/\U0001f980/x", ["\u00e9/\U0001f980"], id="unicode"
            ),
        ],
    )
    def test_the_longest_matching_prefix_wins(
        self,
        canned: CannedRealm,
        table: TriggerTable,
        levels: list[str],
        key: str,
        expected: list[str],
    ) -> None:
        canned.triggers.put(*(entry(level, level) for level in levels))
        assert ids(table, key) == expected

    def test_all_entries_of_the_prefix_match(
        self, canned: CannedRealm, table: TriggerTable
    ) -> None:
        canned.triggers.put(entry("1", "a"), entry("2", "a"), entry("3", "a"), entry("4", "*"))
        assert sorted(ids(table, "a/b")) == ["1", "2", "3"]

    def test_a_disabled_entry_hides_broader_ones(
        self, canned: CannedRealm, table: TriggerTable
    ) -> None:
        canned.triggers.put(entry("off", "a", enabled=False), entry("on", "*"))
        (found,) = table.matching(BUCKET, "a/b").triggers
        assert isinstance(found, Trigger)
        assert (found.trigger_id, found.enabled) == ("off", False)

    def test_entries_of_other_buckets_do_not_match(
        self, canned: CannedRealm, table: TriggerTable
    ) -> None:
        canned.triggers.put(entry("1", "a", bucket="other"), entry("2", "*"))
        assert ids(table, "a/b") == ["2"]
        assert ids(table, "a/b", bucket="other") == ["1"]
        assert ids(table, "b", bucket="other") == []

    def test_a_broken_entry_does_not_affect_others(
        self, canned: CannedRealm, table: TriggerTable
    ) -> None:
        canned.triggers.put(
            entry("good", "a"), entry("bad", "a", unknown=1), entry("good too", "a")
        )
        found = table.matching(BUCKET, "a/b").triggers
        assert {each.trigger_id for each in found if isinstance(each, Trigger)} == {
            "good",
            "good too",
        }
        assert [each.trigger_id for each in found if isinstance(each, BrokenTrigger)] == ["bad"]

    def test_a_broken_entry_hides_broader_ones(
        self, canned: CannedRealm, table: TriggerTable
    ) -> None:
        canned.triggers.put(entry("bad", "a", unknown=1), entry("good", "*"))
        assert ids(table, "a/b") == ["bad"]

    def test_a_broken_entry_is_an_error_only_of_events_that_reach_it(
        self, canned: CannedRealm, table: TriggerTable
    ) -> None:
        canned.triggers.put(entry("bad", "*", unknown=1), entry("good", "a"))
        assert ids(table, "a/b") == ["good"]
        assert [type(each) for each in table.matching(BUCKET, "b").triggers] == [BrokenTrigger]

    @pytest.mark.parametrize(
        "folder",
        ["x" * 1025, "\u20ac" * 342, "x" * 5000, "\ud800"],
        ids=["1025 bytes", "1026 bytes in 342 characters", "5000 bytes", "no UTF-8"],
    )
    def test_an_impossible_prefix_is_skipped(
        self, canned: CannedRealm, table: TriggerTable, folder: str
    ) -> None:
        canned.triggers.put(entry("whole", "*"))
        assert ids(table, f"{folder}/a") == ["whole"]

    def test_the_longest_prefix_is_looked_up(
        self, canned: CannedRealm, table: TriggerTable
    ) -> None:
        canned.triggers.put(entry("long", "\u20ac" * 341 + "x"), entry("whole", "*"))
        assert ids(table, "\u20ac" * 341 + "x/y") == ["long"]

    @pytest.mark.parametrize("bucket", ["b" * 2049, "\ud800"], ids=["2049 bytes", "no UTF-8"])
    def test_an_impossible_bucket_has_no_entries(
        self, endpoint: Endpoint, table: TriggerTable, bucket: str
    ) -> None:
        assert ids(table, "a", bucket=bucket) == []
        assert not endpoint.calls


class TestQueries:
    """Entries are queried once: in a bucket with few entries, for all keys."""

    def test_one_query_serves_all_keys_of_a_bucket(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        canned.triggers.put(*fillers(90), entry("deep", "a/b"), entry("whole", "*"))
        for number in range(50):
            assert ids(table, f"a/b/{number}") == ["deep"]
            assert ids(table, f"{number}/a") == ["whole"]
        assert endpoint.calls == {"Query": 1}

    def test_the_bucket_query_is_bounded(self, endpoint: Endpoint, table: TriggerTable) -> None:
        ids(table, "a")
        (call,) = endpoint.log
        assert 50 <= call.request["Limit"] <= 200

    def test_each_bucket_is_queried_separately(
        self, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        for number in range(10):
            ids(table, f"{number}", bucket="one")
            ids(table, f"{number}", bucket="two")
        assert endpoint.calls == {"Query": 2}

    def test_entries_are_parsed_once(self, canned: CannedRealm, table: TriggerTable) -> None:
        """So a template is compiled once for as long as its trigger is cached."""
        canned.triggers.put(entry("t", "a"))
        (first,) = table.matching(BUCKET, "a/1").triggers
        (second,) = table.matching(BUCKET, "a/2").triggers
        assert first is second

    def test_prefixes_of_a_large_bucket_are_queried_one_by_one(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        canned.triggers.put(*fillers(MANY), entry("t", "a"), entry("whole", "*"))
        assert ids(table, "a/b/c") == ["t"]
        first, *others = endpoint.log
        assert "Limit" in first.request
        assert [call.request["ExpressionAttributeValues"][":p"]["S"] for call in others] == [
            "a/b/c",
            "a/b",
            "a",
        ]

    def test_each_prefix_of_a_large_bucket_is_cached(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        canned.triggers.put(*fillers(MANY), entry("whole", "*"))
        assert ids(table, "a/b/1") == ["whole"]
        endpoint.forget_calls()
        assert ids(table, "a/b/1") == ["whole"]
        assert not endpoint.calls
        for number in range(2, 12):
            assert ids(table, f"a/b/{number}") == ["whole"]
        assert endpoint.calls == {"Query": 10}

    def test_entries_of_a_large_bucket_are_parsed_once(
        self, canned: CannedRealm, table: TriggerTable
    ) -> None:
        canned.triggers.put(*fillers(MANY), entry("t", "a"))
        (first,) = table.matching(BUCKET, "a/1").triggers
        (second,) = table.matching(BUCKET, "a/2").triggers
        assert first is second

    def test_unique_keys_do_not_evict_shared_prefixes(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        canned.triggers.put(*fillers(MANY), entry("shared", "shared"), entry("whole", "*"))
        ids(table, "shared/1")
        for number in range(UNIQUE):
            ids(table, f"unique-{number}")
        endpoint.forget_calls()
        assert ids(table, "shared/2") == ["shared"]
        assert endpoint.calls == {"Query": 1}

    def test_a_bucket_whose_first_page_is_incomplete_counts_as_large(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        """A page ends at 1 MiB, however many entries were asked for."""
        canned.triggers.put(*(entry(f"{n}", f"{n}", description="x" * 200_000) for n in range(10)))
        assert ids(table, "9/a") == ["9"]
        assert endpoint.calls == {"Query": 3}

    def test_all_pages_of_a_prefix_are_read(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        canned.triggers.put(*(entry(f"{number:03}", "a") for number in range(MANY)))
        canned.triggers.page = 40
        assert sorted(ids(table, "a")) == [f"{number:03}" for number in range(MANY)]
        assert endpoint.calls["Query"] > 5

    @pytest.mark.parametrize("number", range(120, 136))
    def test_no_entry_is_lost_at_the_bound(
        self, canned: CannedRealm, table: TriggerTable, number: int
    ) -> None:
        canned.triggers.put(*fillers(number - 1), entry("last", "zzz"))
        assert ids(table, "zzz/a") == ["last"]
        assert ids(table, "filler/7/a") == ["filler-7"]
        assert ids(table, "other") == []


class TestCaching:
    """A query's result is cached for the TTL, also an empty one."""

    @pytest.fixture(params=[0, MANY], ids=["in memory", "level by level"])
    def filled(self, canned: CannedRealm, request: pytest.FixtureRequest) -> CannedRealm:
        canned.triggers.put(*fillers(request.param))
        return canned

    def test_an_entry_is_cached(
        self, filled: CannedRealm, endpoint: Endpoint, table: TriggerTable, clock: Clock
    ) -> None:
        filled.triggers.put(entry("t", "a"))
        assert ids(table, "a") == ["t"]
        endpoint.forget_calls()
        filled.triggers.remove("t")
        clock.now += 0.8 * TTL - 0.001  # expiry has jitter
        table.start(UNLIMITED)
        assert ids(table, "a") == ["t"]
        assert not endpoint.calls
        clock.now += 0.2 * TTL + 0.001
        assert ids(table, "a") == []

    def test_a_missing_entry_is_cached(
        self, filled: CannedRealm, endpoint: Endpoint, table: TriggerTable, clock: Clock
    ) -> None:
        assert ids(table, "a/b") == []
        endpoint.forget_calls()
        filled.triggers.put(entry("t", "a"))
        clock.now += 0.8 * TTL - 0.001  # expiry has jitter
        table.start(UNLIMITED)
        assert ids(table, "a/b") == []
        assert not endpoint.calls
        clock.now += 0.2 * TTL + 0.001
        assert ids(table, "a/b") == ["t"]

    def test_a_lookup_does_not_extend_the_ttl(
        self, filled: CannedRealm, table: TriggerTable, clock: Clock
    ) -> None:
        assert ids(table, "a") == []
        filled.triggers.put(entry("t", "a"))
        for _ in range(3):
            clock.now += TTL / 3
            found = ids(table, "a")
        assert found == ["t"]

    def test_with_a_ttl_of_0_nothing_outlives_the_invocation(
        self, filled: CannedRealm, endpoint: Endpoint, clock: Clock
    ) -> None:
        table = table_of(endpoint, clock, ttl=0.0)
        assert ids(table, "a") == []
        assert ids(table, "b/1") == []
        filled.triggers.put(entry("t", "a"), entry("u", "b"))
        table.start(UNLIMITED)
        assert ids(table, "a") == ["t"]
        assert ids(table, "b/2") == ["u"]

    def test_with_a_ttl_of_0_entries_are_cached_for_the_invocation(
        self, filled: CannedRealm, endpoint: Endpoint, clock: Clock
    ) -> None:
        filled.triggers.put(entry("t", "a"))
        table = table_of(endpoint, clock, ttl=0.0)
        assert ids(table, "a") == ["t"]
        endpoint.forget_calls()
        for _ in range(3):
            clock.now += 1.0
            assert ids(table, "a") == ["t"]
        assert not endpoint.calls

    def test_a_large_bucket_is_measured_again_after_the_ttl(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable, clock: Clock
    ) -> None:
        canned.triggers.put(*fillers(MANY))
        ids(table, "a")
        for number in range(MANY):
            canned.triggers.remove(f"filler-{number}")
        clock.now += TTL
        endpoint.forget_calls()
        assert ids(table, "a") == []
        assert ids(table, "b") == []
        assert endpoint.calls == {"Query": 1}


class TestFailures:
    """A failed read is an error of AWS or of the deadline, and is not cached."""

    @pytest.mark.parametrize(
        "fault", [READS_THROTTLED, SERVER_ERROR, RESET], ids=["throttled", "500", "reset"]
    )
    def test_a_failed_read_is_retried(
        self,
        canned: CannedRealm,
        endpoint: Endpoint,
        table: TriggerTable,
        waits: list[float],
        fault: Fault,
    ) -> None:
        canned.triggers.put(entry("t", "a"))
        endpoint.fail({("Query", 1): fault, ("Query", 2): fault})
        assert ids(table, "a") == ["t"]
        assert endpoint.calls == {"Query": 3}
        assert len(waits) == 2

    @pytest.mark.usefixtures("waits")
    @pytest.mark.parametrize("fault", [READS_THROTTLED, RESET], ids=["throttled", "reset"])
    def test_a_read_fails_after_three_attempts(
        self, endpoint: Endpoint, table: TriggerTable, fault: Fault
    ) -> None:
        endpoint.fail({("Query", None): fault})
        with pytest.raises(ServiceError, match=r"reading lava\.demo\.s3triggers"):
            ids(table, "a")
        assert endpoint.calls == {"Query": 3}

    def test_a_denied_read_is_not_retried(self, endpoint: Endpoint, table: TriggerTable) -> None:
        endpoint.fail({("Query", None): DENIED})
        with pytest.raises(ServiceError, match="AccessDenied"):
            ids(table, "a")
        assert endpoint.calls == {"Query": 1}

    @pytest.mark.parametrize("number", [1, 2, 3], ids=["the bucket", "the key", "its folder"])
    def test_a_failure_is_not_cached(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable, number: int
    ) -> None:
        canned.triggers.put(*fillers(MANY), entry("t", "a"), entry("whole", "*"))
        endpoint.fail({("Query", number): DENIED})
        with pytest.raises(ServiceError):
            ids(table, "a/b")
        endpoint.fail({})
        assert ids(table, "a/b") == ["t"]

    def test_a_failed_page_fails_the_prefix(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        canned.triggers.put(*(entry(f"{number:03}", "a") for number in range(MANY)))
        canned.triggers.page = 90
        endpoint.fail({("Query", 3): DENIED})
        with pytest.raises(ServiceError):
            ids(table, "a")
        endpoint.fail({})
        assert len(ids(table, "a")) == MANY

    def test_a_missing_table_is_a_service_error(
        self, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        endpoint.tables.clear()
        with pytest.raises(ServiceError, match="ResourceNotFound"):
            ids(table, "a")

    def test_nothing_is_read_out_of_time(
        self, canned: CannedRealm, endpoint: Endpoint, table: TriggerTable
    ) -> None:
        canned.triggers.put(entry("t", "a"))
        left = [300.0]
        table.start(Deadline(lambda: left[0]))
        assert ids(table, "a", bucket="other") == []
        left[0] = 1.0
        endpoint.forget_calls()
        with pytest.raises(OutOfTimeError, match=r"reading lava\.demo\.s3triggers"):
            ids(table, "a")
        assert ids(table, "a", bucket="other") == []
        assert not endpoint.calls
        table.start(UNLIMITED)
        assert ids(table, "a") == ["t"]


class TestOnAws:
    """A local DynamoDB answers the queries as the endpoint does."""

    @pytest.fixture
    def table(self, aws: LocalAws, realm: Realm, clock: Clock) -> Iterator[TriggerTable]:
        clients = make_clients(
            endpoint_url=aws.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        yield TriggerTable(clients[0], realm.name, TTL, 900.0, clock)
        for client in clients:
            client.close()

    @pytest.mark.parametrize("number", [0, MANY], ids=["in memory", "level by level"])
    def test_the_walk_on_a_local_dynamodb(
        self, realm: Realm, table: TriggerTable, number: int
    ) -> None:
        realm.put("s3triggers", fillers(number))
        realm.put(
            "s3triggers",
            [
                entry("deep", "a/b"),
                entry("deep too", "a/b"),
                entry("off", "a/off", enabled=False),
                entry("folder", "a"),
                entry("rooted", "/a"),
                entry("whole", "*"),
                entry("elsewhere", "a/b", bucket="elsewhere"),
            ],
        )
        assert sorted(ids(table, "a/b/c")) == ["deep", "deep too"]
        assert ids(table, "a/off/c") == ["off"]
        assert ids(table, "a/c") == ["folder"]
        assert ids(table, "/a/b") == ["rooted"]
        assert ids(table, "/b") == ["whole"]
        assert ids(table, "*") == ["whole"]
        assert ids(table, "b", bucket="elsewhere") == []
        assert ids(table, "b", bucket="nowhere") == []

    def test_values_of_every_type_are_read_from_a_local_dynamodb(
        self, aws: LocalAws, table: TriggerTable
    ) -> None:
        values = {
            "number": {"N": "1.50"},
            "whole": {"N": "100"},
            "names": {"SS": ["b", "a"]},
            "numbers": {"NS": ["10", "9"]},
            "nothing": {"NULL": True},
        }
        for trigger_id, more in (("good", {}), ("bad", {"raw": {"B": b"\0"}})):
            aws.client("dynamodb").put_item(
                TableName=table.name,
                Item=item_of(
                    {
                        "trigger_id": {"S": trigger_id},
                        "parameters": {"M": values | more},
                    }
                ),
            )
        bad, good = sorted(
            table.matching(BUCKET, "in/a").triggers, key=lambda each: each.trigger_id
        )
        assert isinstance(good, Trigger)
        assert good.parameters is not None
        assert good.parameters.render(variables(s3_event())) == {
            "number": 1.5,
            "whole": 100,
            "names": ["a", "b"],
            "numbers": [9, 10],
            "nothing": None,
        }
        assert isinstance(bad, BrokenTrigger)
        assert "parameters.raw is binary" in bad.reason


class TestDigest:
    """The digest tells versions of an entry apart, and no more."""

    def test_it_differs_with_any_field(self) -> None:
        items = [
            item_of(),
            item_of(owner="a"),
            item_of(owner="b"),
            item_of(enabled=False),
            item_of(delay=1),
            item_of(delay="1"),
            item_of({"parameters": {"M": {"a": {"SS": ["a", "b"]}}}}),
            item_of({"parameters": {"M": {"a": {"SS": ["a"]}}}}),
            item_of({"parameters": {"M": {"a": {"L": [{"S": "a"}, {"S": "b"}]}}}}),
            item_of({"parameters": {"M": {"a": {"L": [{"S": "b"}, {"S": "a"}]}}}}),
        ]

        assert len({entry_digest(item) for item in items}) == len(items)

    def test_the_order_of_fields_and_of_sets_does_not_matter(self) -> None:
        nested = {"M": {"a": {"NS": ["1", "2"]}, "b": {"L": [{"BS": ["YQ==", "Yg=="]}]}}}
        turned = {"M": {"b": {"L": [{"BS": ["Yg==", "YQ=="]}]}, "a": {"NS": ["2", "1"]}}}
        item = item_of({"parameters": nested, "owner": {"S": "1"}})

        other = item_of({"owner": {"S": "1"}, "parameters": turned})
        assert entry_digest(item) == entry_digest(dict(reversed(other.items())))

    @pytest.mark.parametrize("name", ["x-tests", "X-ticket"])
    def test_custom_fields_do_not_matter(self, name: str) -> None:
        assert entry_digest(item_of({name: {"S": "a"}})) == entry_digest(item_of())
        assert read_trigger(item_of({name: {"S": "a"}})).digest == entry_digest(item_of())

    def test_a_trigger_has_it_whatever_it_is(self) -> None:
        for item in (item_of(), item_of(enabled=False), item_of(paramters={})):
            trigger = read_trigger(item)
            assert trigger.digest == entry_digest(item) != ""
