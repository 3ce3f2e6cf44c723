"""``lava-s3trigger schema`` refuses what the function refuses, and nothing else."""

import json
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lava_s3trigger import triggers, units
from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.entries.dynamodb import AttributeReader
from lava_s3trigger.cli.entries.json_text import JsonText
from lava_s3trigger.cli.entries.load import load
from lava_s3trigger.cli.entries.schema import SHAPES, job_schema, trigger_schema
from lava_s3trigger.conditions import KINDS
from lava_s3trigger.errors import InvalidEntryError
from lava_s3trigger.jobs import read_job
from lava_s3trigger.triggers import READERS, BrokenTrigger, read_trigger
from tests.build import job_entry, trigger_entry
from tools.local.server import CHECKOUT

from .commandline import CommandLine

TRIGGER: Final = jsonschema.Draft202012Validator(trigger_schema())
JOB: Final = jsonschema.Draft202012Validator(job_schema())

GOOD: Final = trigger_entry()
GOOD_JOB: Final = job_entry(enabled=None)


def item_of(entry: Any) -> dict[str, Any]:
    """Return an entry as the table holds it."""
    [node] = JsonText(json.dumps(entry), "e.json").documents()
    reader = AttributeReader("e.json")
    item = reader.item(node)
    assert not reader.problems
    return item


def is_trigger(entry: dict[str, Any]) -> bool:
    """Return whether the function could use an entry, were it enabled."""
    item = item_of(entry)
    for name in triggers.KEYS:  # which the table and its index hold as texts, not empty ones
        limit = 1024 if name == "prefix" else 2048
        if not 0 < len(item.get(name, {}).get("S", "").encode()) <= limit:
            return False
    try:
        if not units.boolean(value_of(item["enabled"], "enabled")):
            item["enabled"] = {"BOOL": True}
    except (KeyError, ValueError):
        return False
    return not isinstance(read_trigger(item), BrokenTrigger)


def is_job(entry: dict[str, Any]) -> bool:
    item = item_of(entry)
    if not item.get("job_id", {}).get("S"):
        return False
    try:
        read_job(item)
    except InvalidEntryError:
        return False
    return True


TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS: Final = st.one_of(
    st.integers(-(10**6), 10**12),
    st.decimals(-1000, 1000, places=2).map(float),
    st.sampled_from([0, 1, 900, 901, 900.0, 900.5, -1, 1.0]),
)
SPACES: Final = st.text("  \t\n\u00a0", max_size=2)
UNITS: Final = [*units._SECONDS, *units._BYTES]  # noqa: SLF001 - all that there are
QUANTITIES: Final = st.builds(
    "".join,
    st.tuples(
        SPACES,
        st.sampled_from(["", "+", "-"]),
        st.sampled_from(["1", "10", "1.5", ".5", "1.", "1e2", "1E-2", "1e", "", "1_0", "0x1"]),
        SPACES,
        st.one_of(st.sampled_from(["", *UNITS, "ms", "kb", "Kib", "min"]), TEXTS),
        SPACES,
    ),
)
VALUES: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, QUANTITIES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
PATTERNS: Final = st.one_of(TEXTS, st.text("ab*?[]!-", max_size=8), st.just("x" * 1025))
FIELDS: Final = st.one_of(
    st.sampled_from([*triggers.KEYS, *READERS, "description", "owner"]),
    st.sampled_from([f"if_{negation}{name}" for negation in ("", "not_") for name in KINDS]),
    st.sampled_from(
        ["x-tests", "X-a", "x-", "xtests", "if_", "if_not_", "if_size_lt", "paramters"]
    ),
    TEXTS,
)
JOBFIELDS: Final = st.one_of(
    st.sampled_from([*GOOD_JOB, "enabled", "globals", "x", "owner"]), TEXTS
)
JOB_GLOBALS: Final = st.dictionaries(
    st.sampled_from(["lava", "LaVa_x", "xlava", "lav", "a"]), VALUES, max_size=2
)


def is_beyond_a_schema(entry: dict[str, Any]) -> bool:
    """Return whether an entry has what a schema cannot tell: a delay as text, out of range."""
    delay = entry.get("delay")
    try:
        return isinstance(delay, str) and not 0 <= units.duration(delay) <= 900
    except ValueError:
        return False


class TestAgreement:
    """The schema and the function's reader agree, both ways."""

    @given(
        changes=st.dictionaries(
            FIELDS,
            st.one_of(VALUES, PATTERNS, st.lists(PATTERNS, max_size=3), QUANTITIES),
            max_size=3,
        ),
        missing=st.sets(st.sampled_from(sorted(GOOD)), max_size=1),
    )
    @example(changes={"delay": 900.5}, missing=set())
    @example(changes={"if_size_gt": True}, missing=set())
    @example(changes={"if_size_gt": "1" * 65}, missing=set())
    @example(changes={"if_fnmatch": ["a"] * 1001}, missing=set())
    @example(changes={"if_fnmatch": []}, missing=set())
    @example(changes={"enabled": 1.5}, missing=set())
    @example(changes={"job_id": []}, missing=set())
    @example(changes={"job_id": ["a", ""]}, missing=set())
    def test_triggers(self, changes: dict[str, Any], missing: set[str]) -> None:
        entry = {**{name: value for name, value in GOOD.items() if name not in missing}, **changes}
        if is_beyond_a_schema(entry):
            assert TRIGGER.is_valid({**entry, "delay": 0}) >= is_trigger(entry)
        else:
            assert TRIGGER.is_valid(entry) == is_trigger(entry), entry

    @given(
        field=st.sampled_from([*READERS, *(f"if_{name}" for name in KINDS)]),
        value=st.one_of(VALUES, PATTERNS, st.lists(PATTERNS, max_size=3), QUANTITIES, NUMBERS),
    )
    def test_each_field(self, field: str, value: Any) -> None:
        entry = {**GOOD, field: value}
        if not is_beyond_a_schema(entry):
            assert TRIGGER.is_valid(entry) == is_trigger(entry), entry

    @given(
        changes=st.dictionaries(JOBFIELDS, st.one_of(VALUES, JOB_GLOBALS), max_size=3),
        globals_=st.none() | JOB_GLOBALS,
        missing=st.sets(st.sampled_from(sorted(GOOD_JOB)), max_size=1),
    )
    def test_jobs(
        self, changes: dict[str, Any], globals_: dict[str, Any] | None, missing: set[str]
    ) -> None:
        job = {name: value for name, value in GOOD_JOB.items() if name not in missing}
        entry = {**job, **changes, **({"globals": globals_} if globals_ is not None else {})}
        assert JOB.is_valid(entry) == is_job(entry), entry

    def test_what_a_schema_cannot_tell_is_out_of_range_alone(self) -> None:
        entry = {**GOOD, "delay": "16m"}
        assert TRIGGER.is_valid(entry)
        assert not is_trigger(entry)


class TestDefinitions:
    """The schema is made from the function's definitions, all of them."""

    def test_every_reader_has_a_shape(self) -> None:
        assert {*READERS.values(), *(kind.read for kind in KINDS.values())} == SHAPES.keys()

    def test_every_field_is_described(self) -> None:
        properties = trigger_schema()["$defs"]["trigger"]["properties"]
        known = triggers.FIELDS | triggers.NOT_CHECKED
        conditions = {f"if_{negation}{name}" for name in KINDS for negation in ("", "not_")}
        assert properties.keys() == known | conditions | {"x-tests"}
        assert all(each["description"].endswith(".") for each in properties.values())

    def test_a_new_condition_is_in_the_schema(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(KINDS, "size_lt", KINDS["size_gt"])
        validator = jsonschema.Draft202012Validator(trigger_schema())
        assert validator.is_valid({**GOOD, "if_size_lt": "10KB", "if_not_size_lt": 1})
        assert not validator.is_valid({**GOOD, "if_size_lt": "10 potatoes"})

    @pytest.mark.parametrize("of", ["trigger", "job"])
    def test_it_is_a_schema_of_its_dialect(self, of: str, line: CommandLine) -> None:
        ran = line.run("schema", "--of", of)
        assert ran.status == 0
        printed = ran.json()
        jsonschema.Draft202012Validator.check_schema(printed)
        assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"


class TestFiles:
    """Files of entries are accepted, as a list or alone."""

    def test_the_examples_are_accepted(self) -> None:
        found = load([str(CHECKOUT / "examples" / "triggers.yaml")]).entries
        refused = [
            entry.id for entry in found if entry.node and not TRIGGER.is_valid(entry.node.plain())
        ]
        assert refused == ["book-returns-twice"]  # which is there to be refused
        jobs = load([str(CHECKOUT / "examples" / "jobs.yaml")]).entries
        assert all(entry.node and JOB.is_valid(entry.node.plain()) for entry in jobs)

    def test_lists_are_accepted(self) -> None:
        assert TRIGGER.is_valid([GOOD, GOOD])
        assert not TRIGGER.is_valid([GOOD, {}])
        assert not TRIGGER.is_valid("text")

    def test_an_error_names_the_field(self) -> None:
        [error] = TRIGGER.iter_errors([GOOD, {**GOOD, "parameters": []}])
        assert list(error.absolute_path) == [1, "parameters"]
