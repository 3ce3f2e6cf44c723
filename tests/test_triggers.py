"""Triggers: what an entry may hold, which entries match, and what reading them costs."""

import time
from typing import Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.errors import OutOfTimeError, ServiceError
from lava_s3trigger.templates.documents import Document, variables
from lava_s3trigger.triggers import (
    BrokenTrigger,
    Trigger,
    TriggerTable,
    entry_digest,
    prefixes,
    read_trigger,
)
from tests.aws_in_memory import DENIED, READS_THROTTLED, RESET, SERVER_ERROR, Endpoint, Fault, Item
from tests.build import BUCKET, Json, item, s3_event, trigger_entry
from tests.clock import Clock
from tests.tables import cases

TTL: Final = 60.0
MANY: Final = 200
"""Entries of a bucket that no bounded query holds."""
BINARY: Final = {"B": "aGVsbG8="}
NULL: Final = {"NULL": True}


def item_of(attributes: Item | None = None, **fields: Any) -> Item:
    """Return an item of an entry: fields by their plain values, and attributes."""
    return item(trigger_entry(**fields), attributes)


def usable(attributes: Item | None = None, max_delay: float = 900.0, **fields: Any) -> Trigger:
    trigger = read_trigger(item_of(attributes, **fields), max_delay)
    assert isinstance(trigger, Trigger), trigger
    return trigger


def mistake(attributes: Item | None = None, max_delay: float = 900.0, **fields: Any) -> str:
    trigger = read_trigger(item_of(attributes, **fields), max_delay)
    assert isinstance(trigger, BrokenTrigger), trigger
    assert (trigger.trigger_id, trigger.prefix) == ("t", "in")
    return trigger.reason


def rendered(document: Document | None, key: str = "k") -> Any:
    assert document is not None
    return document.render(variables(s3_event(key)))


def fillers(number: int) -> list[dict[str, Any]]:
    return [trigger_entry(f"filler-{each}", f"filler/{each}") for each in range(number)]


class Lookup:
    """Lookups in a table of triggers on the endpoint."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self.endpoint, self.clock = endpoint, clock
        self.entries = endpoint.realm("demo").triggers
        self.put, self.remove = self.entries.put, self.entries.remove
        self.table = self.new_table()

    def new_table(self, ttl: float = TTL) -> TriggerTable:
        table = TriggerTable(self.endpoint.clients[0], "demo", ttl, 900.0, self.clock)
        table.start(UNLIMITED)
        return table

    def ids(self, key: str, bucket: str = BUCKET) -> list[str]:
        return [each.trigger_id for each in self.table.matching(bucket, key).triggers]


@pytest.fixture
def lookup(endpoint: Endpoint, clock: Clock) -> Lookup:
    return Lookup(endpoint, clock)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long botocore would wait before it tries again; it does not."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.fixture(params=[0, MANY], ids=["in memory", "level by level"])
def filled(lookup: Lookup, request: pytest.FixtureRequest) -> Lookup:
    """A bucket with few entries, and one with so many that prefixes are queried one by one."""
    lookup.put(*fillers(request.param))
    return lookup


class TestFields:
    """Each field of an entry is read as docs/design.md#triggers has it."""

    def test_every_known_field_is_accepted(self) -> None:
        fields: Json = {"parameters": {"a": 1}, "globals": {"b": "2"}, "jinja": True, "delay": "2m"}
        fields |= {"description": "what it does", "owner": "who did it"}
        trigger = usable(**fields, if_size_gt=10, if_not_fnmatch="*.tmp")
        documents = [each and each.value for each in (trigger.parameters, trigger.globals)]
        assert documents == [{"a": 1}, {"b": "2"}]
        assert trigger.delay == 120
        assert [each.field for each in trigger.conditions] == ["if_size_gt", "if_not_fnmatch"]

    def test_custom_fields_and_descriptions_can_hold_anything_and_maps_can_be_null(self) -> None:
        names = ["x-note", "X-note", "x-", "x-if_fnmatch", "description", "owner"]
        ignored: list[dict[str, Any]] = [{"parameters": NULL, "globals": NULL}]
        for value in ({"S": "any"}, {"M": {"any": {"N": "1"}}}, NULL, BINARY, {"SS": ["any"]}):
            ignored += [{name: value} for name in names]
        for attributes in ignored:
            found = usable(attributes)
            assert [each.value for each in found.job_ids] == ["load"]
            assert (found.enabled, found.conditions, found.delay) == (True, (), 0)
            assert (found.parameters, found.globals) == (None, None)

    def test_a_delay_is_rounded_to_whole_seconds(self) -> None:
        delays = [0, 900, "15m", "90s", "1.5m", "0.25h", 2.6]
        found = [usable(delay=delay).delay for delay in delays]
        assert found == [0, 900, 900, 90, 90, 900, 3]
        assert {type(each) for each in found} == {int}

    def test_a_delay_is_from_0_to_15_minutes_or_less(self) -> None:
        for delay in (-1, 901, "16m", "-1s", "1h", "1e9"):
            assert "is not from 0 to 15 minutes" in mistake(delay=delay)
        assert "is not from 0 to 5 minutes" in mistake(max_delay=300.0, delay=301)

    def test_without_jinja_values_are_no_templates(self) -> None:
        documents: Json = {"parameters": {"{{ key }}": "{{ key }}"}, "globals": {"at": "{{ key }}"}}
        for jinja, key in ((True, "k"), (False, "{{ key }}")):
            found = usable(job_id="{{ key }}", jinja=jinja, **documents)
            assert [rendered(each) for each in found.job_ids] == [key]
            assert rendered(found.parameters) == {key: key}
            assert rendered(found.globals) == {"at": key}

    def test_a_rendered_global_that_begins_with_lava_is_an_error(self) -> None:
        """A parameter can."""
        found = usable(globals={"{{ key }}": 1, "Lava_written": 2}, parameters={"{{ key }}": 1})
        assert rendered(found.globals) == {"k": 1, "Lava_written": 2}
        with pytest.raises(ValueError, match="LAVA"):
            rendered(found.globals, "LAVA_forged")
        assert rendered(found.parameters, "lava_x") == {"lava_x": 1}

    def test_enabled_and_jinja_are_booleans_as_lava_has_them(self) -> None:
        true: list[Any] = [{"BOOL": True}, {"N": "1"}, {"S": "disabled"}]
        false: list[Any] = [{"BOOL": False}, {"N": "0.0"}, NULL, {"S": "oFF"}]
        for is_true, attributes in ((True, true), (False, false)):
            for attribute in attributes:
                assert usable({"enabled": attribute}).enabled is is_true, attribute
                (job_id,) = usable({"jinja": attribute}, job_id="{{ 'a' }}").job_ids
                assert rendered(job_id) == ("a" if is_true else "{{ 'a' }}"), attribute


@cases(
    ("key", "count", "longest"),
    {
        "many levels": ("a/" * 100_000, 513, 1023),
        "many slashes": ("a" + "/" * 1_000_000, 1025, 1024),
        "no level": ("a" * 1_000_000, 1, 1),
        "the longest": ("a" * 1024 + "/b", 2, 1024),
        "one more": ("a" * 1025 + "/b", 1, 1),
        "a long name": ("b/" + "a" * 1_000_000, 2, 1),
        "the longest key": ("a" * 1024, 2, 1024),
        "a star": ("*", 1, 1),
        "below a star": ("*/a", 2, 3),
    },
)
def test_an_overlong_key_is_tried_by_the_prefixes_that_entries_can_have(
    key: str, count: int, longest: int
) -> None:
    """The work is bounded, whatever arrives."""
    found = list(prefixes(key))
    assert (len(found), max(map(len, found))) == (count, longest)
    assert len(set(found)) == count
    assert all(key.startswith(f"{each}/") or each in (key, "*") for each in found)


class TestTheWalk:
    """The longest prefix with any entry wins, also if prefixes are queried one by one."""

    @cases(
        ("levels", "key", "expected"),
        {
            "the key itself": (["a/b/c", "a/b", "a", "*"], "a/b/c", ["a/b/c"]),
            "its folder": (["a/b", "a", "*"], "a/b/c", ["a/b"]),
            "a folder above": (["a", "*"], "a/b/c", ["a"]),
            "the whole bucket": (["*"], "a/b/c", ["*"]),
            "the whole bucket, at its top": (["*"], "a", ["*"]),
            "nothing": ([], "a/b/c", []),
            "nothing that is": (["a/b/c/d", "b", "c", "a/bb", "ab"], "a/b/c", []),
            "a part of a folder's name": (["a"], "ab/c", []),
            "another case": (["A"], "a/b", []),
            "a slash in front": (["/a", "a", "*"], "/a/b", ["/a"]),
            "a slash in front, passed over": (["a", "*"], "/a/b", ["*"]),
            "two slashes": (["a//b"], "a//b/c", ["a//b"]),
            "two slashes, to the folder above": (["a"], "a//b", ["a"]),
            "a slash at the end": (["a/b", "a"], "a/b/", ["a/b"]),
            "a key that is a star": (["*"], "*", ["*"]),
            "a folder that is a star": (["*"], "*/a", ["*"]),
            "no patterns": (["a/*", "a"], "a/b", ["a"]),
            "unicode": (["\u00e9/\U0001f980"], "\u00e9/\U0001f980/x", ["\u00e9/\U0001f980"]),
        },
    )
    def test_the_longest_matching_prefix_wins(
        self, filled: Lookup, levels: list[str], key: str, expected: list[str]
    ) -> None:
        filled.put(*(trigger_entry(level, level) for level in levels))
        assert filled.ids(key) == expected

    @cases(
        ("entries", "expected"),
        {
            "all of the prefix": ([("1", "a"), ("2", "a"), ("3", "*")], ["1", "2"]),
            "a disabled one hides broader ones": ([("off", "a"), ("on", "*")], ["off"]),
            "a broken one hides broader ones": ([("bad", "a"), ("on", "*")], ["bad"]),
            "a broken one does not affect others": ([("on", "a"), ("bad", "a")], ["bad", "on"]),
            "a broken one above is passed over": ([("on", "a"), ("bad", "*")], ["on"]),
            "one of another bucket does not match": ([("other", "a"), ("on", "*")], ["on"]),
        },
    )
    def test_all_entries_of_the_prefix_match(
        self, filled: Lookup, entries: list[tuple[str, str]], expected: list[str]
    ) -> None:
        more: dict[str, Json] = {"off": {"enabled": False}, "bad": {"unknown": 1}}
        more["other"] = {"bucket": "other"}
        made = [trigger_entry(of_id, at) for of_id, at in entries]
        filled.put(*(entry | more.get(entry["trigger_id"], {}) for entry in made))
        assert filled.ids("a/b") == expected
        for each in filled.table.matching(BUCKET, "a/b").triggers:
            assert isinstance(each, BrokenTrigger) == (each.trigger_id == "bad")
            assert getattr(each, "enabled", False) == (each.trigger_id not in ("off", "bad"))
        assert filled.ids("b", bucket="other") == []

    @pytest.mark.parametrize(
        "folder",
        ["x" * 1025, "\u20ac" * 342, "x" * 5000, "\ud800"],
        ids=["1025 bytes", "1026 bytes in 342 characters", "5000 bytes", "no UTF-8"],
    )
    def test_an_impossible_prefix_is_skipped(self, filled: Lookup, folder: str) -> None:
        longest = "\u20ac" * 341 + "x"
        filled.put(trigger_entry("long", longest), trigger_entry("whole", "*"))
        assert filled.ids(f"{folder}/a") == ["whole"]
        assert filled.ids(f"{longest}/a") == ["long"]

    @pytest.mark.parametrize("bucket", ["b" * 2049, "\ud800"], ids=["2049 bytes", "no UTF-8"])
    def test_an_impossible_bucket_has_no_entries(self, lookup: Lookup, bucket: str) -> None:
        assert lookup.ids("a", bucket=bucket) == []
        assert not lookup.endpoint.calls


class TestQueries:
    """Entries are queried once: in a bucket with few entries, for all keys."""

    def test_entries_are_parsed_once(self, filled: Lookup) -> None:
        """So a template is compiled once for as long as its trigger is cached."""
        filled.put(trigger_entry("t", "a"))
        (first,) = filled.table.matching(BUCKET, "a/1").triggers
        (second,) = filled.table.matching(BUCKET, "a/2").triggers
        assert first is second

    def test_prefixes_of_a_large_bucket_are_queried_one_by_one(self, lookup: Lookup) -> None:
        lookup.put(*fillers(MANY), trigger_entry("t", "a"), trigger_entry("whole", "*"))
        assert lookup.ids("a/b/c") == ["t"]
        first, *others = lookup.endpoint.log
        assert "Limit" in first.request
        queried = [call.request["ExpressionAttributeValues"][":p"]["S"] for call in others]
        assert queried == ["a/b/c", "a/b", "a"]

    def test_a_bucket_whose_first_page_is_incomplete_counts_as_large(self, lookup: Lookup) -> None:
        """A page ends at 1 MiB, however many entries were asked for."""
        lookup.put(*(trigger_entry(f"{n}", f"{n}", description="x" * 200_000) for n in range(10)))
        assert lookup.ids("9/a") == ["9"]
        assert lookup.endpoint.calls == {"Query": 3}

    @pytest.mark.parametrize("number", range(120, 136))
    def test_no_entry_is_lost_at_the_bound(self, lookup: Lookup, number: int) -> None:
        lookup.put(*fillers(number - 1), trigger_entry("last", "zzz"))
        assert lookup.ids("zzz/a") == ["last"]
        assert lookup.ids("filler/7/a") == ["filler-7"]
        assert lookup.ids("other") == []


class TestCaching:
    """A query's result is cached for the TTL, also an empty one."""

    @pytest.mark.parametrize("is_there", [True, False], ids=["an entry", "none"])
    def test_a_result_is_cached_for_the_ttl(self, filled: Lookup, *, is_there: bool) -> None:
        entry = trigger_entry("t", "a")
        before, after = (["t"], []) if is_there else ([], ["t"])
        if is_there:
            filled.put(entry)
        assert filled.ids("a/b") == before
        filled.endpoint.forget_calls()
        filled.remove("t") if is_there else filled.put(entry)
        filled.clock.now += 0.8 * TTL - 0.001  # expiry has jitter
        filled.table.start(UNLIMITED)
        assert filled.ids("a/b") == before
        assert not filled.endpoint.calls
        filled.clock.now += 0.2 * TTL + 0.001
        assert filled.ids("a/b") == after

    def test_with_a_ttl_of_0_entries_are_cached_for_the_invocation(self, filled: Lookup) -> None:
        filled.table = filled.new_table(ttl=0.0)
        assert filled.ids("a") == []
        filled.endpoint.forget_calls()
        filled.put(trigger_entry("t", "a"))
        for _ in range(3):
            filled.clock.now += 1.0
            assert filled.ids("a") == []
        assert not filled.endpoint.calls
        filled.table.start(UNLIMITED)
        assert filled.ids("a") == ["t"]

    def test_a_large_bucket_is_measured_again_after_the_ttl(self, lookup: Lookup) -> None:
        lookup.put(*fillers(MANY))
        lookup.ids("a")
        for number in range(MANY):
            lookup.remove(f"filler-{number}")
        lookup.clock.now += TTL
        lookup.endpoint.forget_calls()
        assert (lookup.ids("a"), lookup.ids("b")) == ([], [])
        assert lookup.endpoint.calls == {"Query": 1}


class TestFailures:
    """A failed read is an error of AWS or of the deadline, and is not cached."""

    @pytest.mark.parametrize(
        "fault",
        [READS_THROTTLED, SERVER_ERROR, RESET, DENIED],
        ids=["throttled", "500", "reset", "denied"],
    )
    def test_a_read_fails_after_three_attempts_unless_it_is_denied(
        self, lookup: Lookup, waits: list[float], fault: Fault
    ) -> None:
        calls = 1 if fault is DENIED else 3
        lookup.endpoint.fail({("Query", None): fault})
        with pytest.raises(ServiceError, match=r"reading lava\.demo\.s3triggers"):
            lookup.ids("a")
        assert lookup.endpoint.calls == {"Query": calls}
        assert len(waits) == calls - 1
        lookup.endpoint.fail({("Query", calls + n): fault for n in range(1, calls)})
        assert lookup.ids("a") == []

    @pytest.mark.parametrize("number", [1, 2, 3], ids=["the bucket", "the key", "its folder"])
    def test_a_failure_is_not_cached(self, lookup: Lookup, number: int) -> None:
        lookup.put(*fillers(MANY), trigger_entry("t", "a"), trigger_entry("whole", "*"))
        lookup.endpoint.fail({("Query", number): DENIED})
        with pytest.raises(ServiceError):
            lookup.ids("a/b")
        lookup.endpoint.fail({})
        assert lookup.ids("a/b") == ["t"]

    def test_a_failed_page_fails_the_prefix(self, lookup: Lookup) -> None:
        lookup.put(*(trigger_entry(f"{number:03}", "a") for number in range(MANY)))
        lookup.entries.page = 90
        lookup.endpoint.fail({("Query", 3): DENIED})
        with pytest.raises(ServiceError):
            lookup.ids("a")
        lookup.endpoint.fail({})
        assert len(lookup.ids("a")) == MANY

    def test_nothing_is_read_out_of_time(self, lookup: Lookup) -> None:
        lookup.put(trigger_entry("t", "a"))
        left = [300.0]
        lookup.table.start(Deadline(lambda: left[0]))
        assert lookup.ids("a", bucket="other") == []
        left[0] = 1.0
        lookup.endpoint.forget_calls()
        with pytest.raises(OutOfTimeError, match=r"reading lava\.demo\.s3triggers"):
            lookup.ids("a")
        assert lookup.ids("a", bucket="other") == []
        assert not lookup.endpoint.calls
        lookup.table.start(UNLIMITED)
        assert lookup.ids("a") == ["t"]


class TestDigest:
    """The digest tells versions of an entry apart, and no more."""

    def test_it_differs_with_any_field(self) -> None:
        fields: list[Item] = [{}, {"owner": {"S": "a"}}, {"owner": {"S": "b"}}]
        fields += [{"enabled": {"BOOL": False}}, {"delay": {"N": "1"}}, {"delay": {"S": "1"}}]
        a, b = {"S": "a"}, {"S": "b"}
        values = [{"SS": ["a", "b"]}, {"SS": ["a"]}, {"L": [a, b]}, {"L": [b, a]}]
        fields += [{"parameters": {"M": {"a": value}}} for value in values]
        items = [item_of(each) for each in fields]
        assert len({entry_digest(item) for item in items}) == len(items) == 10

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
