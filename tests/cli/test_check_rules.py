"""The rules of `check`: what they find, and what they leave alone."""

import csv
import fnmatch
import json
import re
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.cli.check.lint import Surroundings, lint
from lava_s3trigger.cli.check.rules import event_types
from lava_s3trigger.cli.check.rules.catalogue import all_rules
from lava_s3trigger.cli.check.rules.checked import CheckedEntry
from lava_s3trigger.cli.check.rules.files import CASE_FIELDS
from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.decide.fixed_values import NOW
from lava_s3trigger.cli.entries.load import Entry, Loaded, load, load_texts
from lava_s3trigger.cli.entries.memory import MAX_DELAY, MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.objects.record import S3Object
from lava_s3trigger.cli.testing import fields as case_fields
from lava_s3trigger.errors import Code, EntryError
from tests.build import item, job_entry
from tests.cli.checking import BUT_INFO, EVERYTHING, as_json, found_in, rules_in, trigger
from tests.cli.mistakes import Mistake, mistakes
from tests.docs.pages import fenced
from tests.examples import examples

ROOT: Final = Path(__file__).parents[2]
PLANTED: Final = Path(__file__).with_name("planted")
PACKAGE: Final = ROOT / "lava_s3trigger"


ELSEWHERE: Final = {"LT012", "LT114", "LT116", "LT146", "LT147", "LT139", "LT505", "LT507"}
"""Rules whose mistakes need a file, another realm, a huge entry or a slow pattern."""
EXPECTED: Final = [*csv.reader((PLANTED / "expected.csv").read_text().splitlines())][1:]
"""Planted mistakes: file, line, column, rule, and what stands there in the file."""


def test_planted_mistakes_are_found_at_their_places_and_nothing_else() -> None:
    findings = lint(load([str(PLANTED)]), BUT_INFO, Surroundings()).findings

    assert {
        (Path(each.file.name).name, str(each.line or ""), str(each.column or ""), each.rule)
        for each in findings
        if each.file
    } == {(file, line, column, rule) for file, line, column, rule, _ in EXPECTED}
    for file, line, column, _, text in EXPECTED:
        if line:
            lines = (PLANTED / file).read_text().split("\n")
            assert lines[int(line) - 1][int(column) - 1 :].startswith(text)


MISTAKES: Final = [*mistakes()]


def is_found(mistake: Mistake) -> bool:
    """Return whether a mistake of the table is found at its line and column."""
    findings = found_in(mistake.text, mistake.name).findings
    places = {(each.rule, each.line, each.column) for each in findings}
    return (mistake.rule, mistake.line, mistake.column) in places


class TestTableOfMistakes:
    """Mistakes of `mistakes.yaml` are found, nearly all of them at line and column."""

    def test_nearly_all_are_found_at_their_places(self) -> None:
        missed = [each for each in MISTAKES if not is_found(each)]

        assert len(missed) <= 0.05 * len(MISTAKES), missed

    def test_each_kind_of_mistake_is_found_wherever_it_is(self) -> None:
        assert [each for each in MISTAKES if each.rule not in rules_in(each.text, each.name)] == []

    def test_the_rules_that_no_file_is_planted_for_have_mistakes(self) -> None:
        planted = {each.rule for each in MISTAKES} | {each[3] for each in EXPECTED}

        assert {rule.id for rule in all_rules()} - planted == ELSEWHERE


# Entries with each error that the function's readers return, and the rule that finds it.
ERRORS: Final[list[tuple[Code, str, dict[str, Any]]]] = [
    ("missing_field", "LT105", trigger(enabled=...)),
    ("missing_field", "LT106", trigger(job_id=...)),
    ("missing_field", "LT121", job_entry(worker=None)),
    ("unknown_field", "LT103", trigger(colour="red")),
    ("unknown_condition", "LT104", trigger(if_weather="rain")),
    ("not_a_boolean", "LT107", trigger(enabled=[1])),
    ("not_a_boolean", "LT107", trigger(jinja=[1])),
    ("not_a_boolean", "LT107", job_entry(enabled=[1])),
    ("not_a_map", "LT108", trigger(parameters=[1])),
    ("not_a_job_id", "LT109", trigger(job_id=[])),
    ("not_a_duration", "LT110", trigger(delay="soon")),
    ("delay_out_of_range", "LT111", trigger(delay=901)),
    ("not_a_size", "LT112", trigger(if_not_size_gt="big")),
    ("not_a_pattern", "LT113", trigger(if_fnmatch=1)),
    ("not_a_pattern", "LT113", trigger(if_event_type=["a"] * 1001)),
    ("not_a_pattern", "LT113", trigger(if_fnmatch="a" * 1025)),
    ("not_a_worker", "LT122", job_entry(worker="")),
    ("reserved_global", "LT123", job_entry(globals={"Lava": 1})),
    ("bad_template", "LT401", trigger(parameters={"a": "{{"})),
]
SLOW: Final = "reading conditions aborted: it took longer than 3 s"


def errors_of(entry: dict[str, Any]) -> tuple[EntryError, ...]:
    """Return the errors for which the function refuses an entry."""
    [loaded] = load_texts([("t.json", json.dumps(entry))]).entries
    return CheckedEntry(loaded, MAX_DELAY).errors


class TestErrors:
    """All errors for which the function's readers refuse an entry have a rule."""

    @pytest.mark.parametrize(("code", "rule", "entry"), ERRORS)
    def test_each_error_has_a_rule(self, code: Code, rule: str, entry: dict[str, Any]) -> None:
        # Templates are compiled when they are first rendered.
        assert code == "bad_template" or [each.code for each in errors_of(entry)] == [code]
        assert rule in rules_in(json.dumps(entry), "t.json")

    def test_each_code_has_a_rule(self) -> None:
        codes = {each.of for each in all_rules() if each.subject == "error"}

        assert codes | {"bad_template"} == set(get_args(Code))
        # JSON has no binary values; the other two need conditions of their own.
        of_tests = {"binary_value", "reading_aborted", "bad_argument"}
        assert {code for code, _, _ in ERRORS} == set(get_args(Code)) - of_tests

    def test_a_binary_value_has_a_rule(self) -> None:
        parameters = {"M": {"a": {"L": [{"N": "1"}, {"B": b"x"}]}}}
        entry = Entry(
            "trigger", item(trigger(), {"parameters": parameters}), "lava.prod.s3triggers"
        )

        [finding] = lint(Loaded([entry]), BUT_INFO, Surroundings()).findings

        assert (finding.rule, finding.field) == ("LT115", "parameters.a[1]")

    @pytest.mark.parametrize(
        ("error", "rule"),
        [
            pytest.param(EntryError("reading_aborted", "if_x", SLOW), "LT114", id="aborted"),
            pytest.param(EntryError("reading_aborted", "", SLOW), "LT114", id="none named"),
            pytest.param(EntryError("bad_argument", "if_x", "if_x: Tuesday"), "LT139", id="other"),
        ],
    )
    def test_an_error_of_a_condition_of_its_own_has_a_rule(
        self, error: EntryError, rule: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(CheckedEntry, "errors", (error,))

        [finding] = found_in(json.dumps(trigger()), "t.json").findings

        assert (finding.rule, finding.message) == (rule, error.message)
        assert finding.field == (error.field or None)

    @pytest.mark.parametrize("enabled", [True, False])
    def test_all_errors_of_an_entry_are_found_also_where_it_is_disabled(
        self, *, enabled: bool
    ) -> None:
        text = as_json(enabled=enabled, delay="x", paramters={}, if_weather=1, if_size_gt="y")

        assert sorted(rules_in(text, "t.json")) == ["LT103", "LT104", "LT110", "LT112"]

    def test_each_reserved_global_of_a_job_is_found(self) -> None:
        job = job_entry(globals={"lava_a": 1, "b": 2, "LAVA": 3})

        found = found_in(json.dumps(job), "t.json").findings

        places = [("LT123", "globals.lava_a"), ("LT123", "globals.LAVA")]
        assert [(each.rule, each.field) for each in found] == places

    @given(st.dictionaries(st.sampled_from([
        "enabled", "job_id", "parameters", "globals", "jinja", "delay", "if_fnmatch",
        "if_size_gt", "if_event_type", "paramters", "if_x", "x-any",
    ]), st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "5m", "{{"]),
        lambda inner: st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
        max_leaves=4,
    )))  # fmt: skip
    def test_what_the_reader_refuses_is_an_error_and_only_that(
        self, fields: dict[str, Any]
    ) -> None:
        errors = errors_of(trigger(**fields))

        found = found_in(json.dumps(trigger(**fields)), "t.json").findings

        rules = {rule.of: rule.id for rule in all_rules() if rule.subject == "error"}
        refused = [each.rule for each in found if each.severity == "error"]
        assert sorted(each for each in refused if each != "LT401") == sorted(
            rules[each.code] for each in errors
        )


def value(template: str, **fields: Any) -> dict[str, Any]:
    """Return fields of an entry, one of which is a parameter."""
    return {"parameters": {"a": template}, **fields}


def keys(prefix: str, pattern: str) -> dict[str, Any]:
    return {"prefix": prefix, "if_fnmatch": [pattern]}


EVERYDAY: Final[list[str]] = json.loads((ROOT / "tests/templates/everyday.json").read_text())
# What is of one route, and what plain Jinja has for names that an event lacks.
NOT_FOR_EVERY_EVENT: Final = re.compile(r"event[.]|nothing|\|hash")
BY_SIZE: Final = "{{ 100 // info.size }}"
FINDINGS: Final[list[tuple[dict[str, Any], list[str]]]] = [
    # An entry larger than an item of a table, and a dispatch larger than a message.
    (value("x" * 420_000), ["LT116"]),
    (value("é" * 200_000), ["LT507"]),
    (value("x" * 400_000), []),
    (value("{{ key }}" + "é" * 200_000), ["LT408"]),
    (value("{# " + "é" * 200_000 + " #}{{ key }}"), []),
    # Patterns, of which some match no key below the prefix.
    (keys("a", "a/b.csv"), []),
    (keys("a", "a"), []),
    (keys("a", "*"), []),
    (keys("a", "*.csv"), []),
    (keys("a", "b*"), ["LT301"]),
    (keys("a", "ab*"), ["LT301"]),
    (keys("a/b", "a/*"), []),
    (keys("a/b", "?/b/*"), []),
    (keys("a/b", "?/c/*"), ["LT301"]),
    (keys("a/b", "[ab]/b"), []),
    (keys("a/b", "[!a]/*"), ["LT301"]),
    (keys("a/b", "*c"), []),
    (keys("a/b", "a/[b]"), []),
    (keys("a/b", "a/[c]*"), ["LT301"]),
    (keys("a", "["), ["LT301"]),
    ({"if_fnmatch": [f"elsewhere/{n}/*.{{a,b}}" for n in range(1001)]}, ["LT113"]),
    # Jobs are unknown where none are given.
    ({"job_id": "nobody"}, []),
    # Good templates.
    (value("{% set parts = key.split('/') %}{{ parts[0] }}"), []),
    (value("{% for part in key.split('/') %}{{ loop.index }}{{ part }}{% endfor %}"), []),
    (value("{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(key) }}"), []),
    (value("{{ info['size'] }} {{ info.get('size') }} {{ event.version }}"), []),
    (value("{{ utils.dateutil.tz.gettz('UTC') }} {{ utils.parsedate(key.split('/')[1]) }}"), []),
    (value("{{ utils.datetime.now().isoformat() }} {{ utils.path.splitext(key)[0] | lower }}"), []),
    (value("{{ namespace(a=1).a }}{% if key is string and 'a' is in 'abc' %}{% endif %}"), []),
    (value("{{ '}} {% if' }}{{ info.event_time.date() - utils.timedelta(days=1) }}"), []),
    ({"parameters": {"a": "{% set day = key %}", "b": "{{ day }}"}}, []),
    *((value(each), []) for each in EVERYDAY if not NOT_FOR_EVERY_EVENT.search(each)),
    # Only events that the conditions let through are tried.
    (value(BY_SIZE, if_size_gt=0), []),
    (value(BY_SIZE, if_event_type="ObjectCreated:*"), ["LT409"]),
    (value(BY_SIZE, if_event_type=["ObjectRemoved:*", "ObjectDeleted:*"]), ["LT408"]),
    (value(BY_SIZE, if_not_size_gt=0), ["LT408"]),
    (value(BY_SIZE, enabled=False), []),
    (value(BY_SIZE, jinja=False), ["LT407"]),
    # The trial computes with the text that a template sets.
    (value("{% set x %}a,b{% endset %}{{ x.split(',')[1].upper() }}"), []),
    (value("{% macro m(x) %}{{ x }}!{% endmacro %}{{ m(key)[-1:].upper() }}"), []),
    ({"parameters": {"a": "{% filter upper %}plain{% endfilter %}", "b": "{{ key }}"}}, []),
    (value("{% set x %}text{% endset %}{{ 10 // (x | length - 4) }}"), ["LT408"]),
    # A key of the form that the entry is made for is tried.
    (
        value(
            "{{ utils.datetime.strptime(key[-12:-4], '%Y%m%d') }}",
            if_fnmatch="*/ORD_*_????????.csv",
        ),
        [],
    ),
    (value("{{ key.split('/')[1] | int + 1 }}", if_fnmatch="*/[0-9][0-9]/*.csv"), []),
    (value("{{ {'a-1.csv': 1}[key.split('/')[1]] + 1 }}", if_fnmatch="incoming/a-?.csv"), []),
    (value("{{ key.split('/')[8].upper() }}"), []),
    (value("{{ key.split('/')[1].upper() }}", prefix="*"), []),
    (value("{{ key.split('~')[1].upper() }}"), ["LT408"]),
    (value("{{ key.split('~')[1].upper() }}", **{"x-tests": [{"key": "incoming/a~b"}]}), []),
    (
        value("{{ (key.split('=')[1])[0] | int + 1 }}", **{"x-tests": [{"key": "incoming/x=7/y"}]}),
        [],
    ),
    # Rules that the entry ignores.
    ({"prefix": "a/", "delay": 5, "x-lint-ignore": ["LT201"]}, ["LT143"]),
    ({"prefix": "a/", "delay": 5, "x-lint-ignore": "LT201"}, ["LT143"]),
    ({"prefix": "a/", "delay": 5, "x-lint-ignore": ["LT2", "LT143"]}, []),
    ({"prefix": "a/", "delay": 5, "x-lint-ignore": []}, ["LT143", "LT201"]),
    ({"prefix": "a/", "delay": 5, "x-lint-ignore": ["LT2011"]}, ["LT011", "LT143", "LT201"]),
    ({"prefix": "a/", "delay": 5, "x-lint-ignore": [7]}, ["LT011", "LT143", "LT201"]),
    # What is nearly a mistake.
    ({"prefix": "in.coming", "bucket": "orders"}, []),
    ({"prefix": "orders-2026", "bucket": "orders"}, []),
    ({"if_fnmatch": ["*.csv", "*.tsv"]}, []),
    ({"if_fnmatch": "*a, b*.csv"}, []),
    ({"if_not_fnmatch": ["incoming/draft/*", "*/"]}, []),
    ({"parameters": {"a": "${HOME}/x", "b": "{}", "c": "{{ '{key}'.format(key=key) }}"}}, []),
    ({"parameters": {"a": "{{ '%(key)s' % {'key': key} }}", "b": "100%"}}, []),
    ({"parameters": {"password": "arn:aws:secretsmanager:eu-west-1:1:secret:db"}}, []),
    ({"parameters": {"secret_name": "db", "token_url": "https://x", "password": "{{ key }}"}}, []),
    ({"parameters": {"output": "s3://results/incoming/out", "out": "s3://orders/done/x.csv"}}, []),
    (value("s3://orders/incoming/out", if_not_fnmatch="incoming/out/*"), []),
    ({"parameters": {"args": ["--in", "s3://{{ bucket }}/{{ key }}"]}}, []),
    ({"job_id": ["load", "archive"]}, []),
]


@pytest.mark.parametrize(("fields", "rules"), FINDINGS, ids=lambda each: ascii(each)[:70])
def test_an_entry_has_these_findings(fields: dict[str, Any], rules: list[str]) -> None:
    assert sorted(rules_in(as_json(**fields), "t.json")) == rules


MESSAGES: Final[list[tuple[dict[str, Any], str]]] = [
    ({"if_event_type": "ObjectRemoved:*"}, "only events that come from S3 have these types"),
    (
        {"if_event_type": "ObjectDeleted:*"},
        "only events that come from EventBridge have these types",
    ),
    (
        {"if_fnmatch": "incoming/*.csv", "if_not_fnmatch": "*.csv"},
        "if_not_fnmatch excludes all that if_fnmatch lets through",
    ),
    ({"if_not_fnmatch": "*"}, "if_not_fnmatch excludes every key below the prefix"),
    ({"if_not_event_type": "*"}, "if_not_event_type excludes everything"),
    (
        {"if_size_gt": "1MB", "if_not_size_gt": "1KB"},
        "no size is above if_size_gt and up to '1KB'",
    ),
    # Only what is likely a typo has a suggestion.
    (value("{{ buckt }}"), "unknown variable 'buckt' renders as nothing; did you mean 'bucket'?"),
    ({"table": 1}, "unknown field 'table' (custom fields start with x-)"),
    (
        {"enabeld": 1},
        "unknown field 'enabeld' (did you mean 'enabled'? custom fields start with x-)",
    ),
]


@pytest.mark.parametrize(("fields", "message"), MESSAGES, ids=str)
def test_a_finding_says_what_is_wrong(fields: dict[str, Any], message: str) -> None:
    assert [each.message for each in found_in(as_json(**fields), "t.json").findings] == [message]


@given(
    st.text("ab/", min_size=1, max_size=4).filter(lambda text: text.strip("/") == text),
    st.text("ab/*?[!]", min_size=1, max_size=6),
    st.text("ab/", max_size=5),
)
def test_a_pattern_that_matches_some_key_is_not_called_impossible(
    prefix: str, pattern: str, rest: str
) -> None:
    for key in (prefix, f"{prefix}/{rest}"):
        if fnmatch.fnmatchcase(key, pattern):
            text = as_json(prefix=prefix, if_fnmatch=[pattern])
            assert "LT301" not in rules_in(text, "t.json")


def test_event_types_are_those_of_the_recorded_events() -> None:
    with (ROOT / "tests" / "aws_events" / "cases.csv").open() as file:
        assert {each["event_type"] for each in csv.DictReader(file)} == event_types.ALL


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{{ event.s3.object.key }}", "that come from EventBridge"),
        ("{{ event.detail.object.key }}", "that come from S3"),
        ("{{ event.s3.object.size + 1 }}", "that come from EventBridge and of deletions"),
        ("{{ 100 // info.size }}", "of deletions and of empty objects"),
        ("{{ info.event_type.removeprefix('ObjectCreated:').split(':')[1].upper() }}", ""),
        (
            "{{ {'Put': 1, 'Delete': 2}[info.event_type.split(':')[1]] + 1 }}",
            "that come from EventBridge",
        ),
    ],
)
def test_it_is_said_which_events_would_be_parked(template: str, found: str) -> None:
    [finding] = found_in(as_json(parameters={"a": template}), "t.json").findings

    assert finding.rule == ("LT409" if found else "LT408")
    assert finding.message.startswith(f"events {found} would".replace("  ", " "))


def test_the_function_says_the_same() -> None:
    entry = trigger(parameters={"a": "text {{ key }}", "b": "{{ key + info.size }}"})
    [finding] = found_in(json.dumps(entry), "t.json").findings

    [entry_] = load_texts([("t.json", json.dumps(entry))]).entries
    event = S3Object("orders", "incoming/a.csv", 1, NOW).event("us-east-1")
    decision = decide_event(event, MemoryTriggers([entry_]), UnknownJobs())

    assert decision.outcome == "user_error"
    assert finding.message == f"events would be parked: {next(decision.outcomes).reason}"


def two(one: dict[str, Any], other: dict[str, Any]) -> list[Any]:
    return [trigger(**one), trigger(trigger_id="u", **other)]


ORDERS: Final = job_entry("load_orders")
TOGETHER: Final[list[tuple[list[Any], list[str]]]] = [
    # A templated job_id is compared with all jobs.
    ([trigger(job_id="load_{{ key.split('/')[1] }}"), ORDERS], []),
    ([trigger(job_id="scan_{{ key.split('/')[1] }}"), ORDERS], ["LT503"]),
    ([trigger(job_id="{{ key }}"), ORDERS], []),
    ([trigger(job_id="{% if key %}scan{% else %}load_orders{% endif %}"), ORDERS], []),
    ([trigger(job_id="{% set day = key %}load_{{ day }}"), ORDERS], []),
    ([trigger(job_id="{{ key }}_{{ bucket }}_tail"), ORDERS], ["LT503"]),
    # Work is compared by its meaning.
    (two({"if_fnmatch": "*.csv"}, {"if_fnmatch": ["*.csv"]}), ["LT206"]),
    (two({"if_fnmatch": ["*.a", "*.b"]}, {"if_fnmatch": ["*.b", "*.a"]}), ["LT206"]),
    (two({"if_size_gt": "1KB", "delay": "1m"}, {"if_size_gt": 1000, "delay": 60}), ["LT206"]),
    (two({"delay": 0, "jinja": True, "parameters": {}}, {"globals": None}), ["LT206"]),
    (two({"job_id": ["load"]}, {"job_id": "load"}), ["LT206"]),
    (two({"job_id": ["load", "scan"]}, {"job_id": ["scan", "load"]}), ["LT206"]),
    (two({"if_fnmatch": "*.csv"}, {"if_fnmatch": "*.tsv"}), []),
    (two({"if_size_gt": 1}, {"if_size_gt": "1KB"}), []),
    (two({"job_id": ["load", "scan"]}, {"job_id": ["load", "other"]}), []),
    (two({"parameters": {"a": 1}}, {"parameters": {"a": "1"}}), []),
]


@pytest.mark.parametrize(("entries", "rules"), TOGETHER)
def test_entries_are_checked_together(entries: list[Any], rules: list[str]) -> None:
    assert rules_in(json.dumps(entries), "t.json") == rules


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"job_id": "stage"}, "no job 'stage' in these files"),
        ({"job_id": "laod"}, "no job 'laod' in these files; did you mean 'load'?"),
    ],
)
def test_only_a_likely_typo_has_a_suggestion(fields: dict[str, Any], message: str) -> None:
    text = json.dumps([trigger(**fields), job_entry("range"), job_entry("load")])

    [finding] = found_in(text, "t.json").findings

    assert finding.message == message


def test_the_fields_of_cases_are_those_that_test_reads() -> None:
    assert set(case_fields.FIELDS) == CASE_FIELDS


ON_PURPOSE: Final = {"explain.md": {"LT201"}, "README.md": {"LT201"}}
"""Rules that entries of a page break, which shows what `explain` says of them."""


class TestGoodEntries:
    """Good entries have neither errors nor warnings."""

    def test_a_file_of_something_else_is_an_error_only_where_it_is_named(self) -> None:
        path = str(ROOT / "examples" / "deploy-policy.json")

        in_folder = lint(load([str(ROOT / "examples")]), EVERYTHING, Surroundings())
        named = lint(load([path]), EVERYTHING, Surroundings(), [path])

        assert {each.severity for each in in_folder.findings} == {"info"}
        found = [each.rule for each in in_folder.findings if each.file and each.file.name == path]
        assert (found, [each.rule for each in named.findings]) == (["LT009"], ["LT006"])

    @pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
    def test_the_entries_in_the_docs_are_good(self, page: Path) -> None:
        texts = [(f"{page.name}-{n}.{each[0]}", each[1]) for n, each in enumerate(blocks(page))]
        assert len(texts) >= 2 or page.name not in {"README.md", "triggers.md"}
        for name, text in texts:
            found = lint(load_texts([(name, text)]), EVERYTHING, Surroundings()).findings

            bad = {each.rule for each in found if each.severity != "info"}
            assert bad <= ON_PURPOSE.get(page.name, set()), found

    @settings(
        max_examples=examples(500), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(st.data())
    def test_good_entries_have_no_findings(self, data: st.DataObject) -> None:
        entry = data.draw(good_entries())

        findings = found_in(json.dumps(entry), "t.json", EVERYTHING).findings

        assert findings == []


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page that have trigger entries, with their language."""
    found = [(each, text) for each in ("yaml", "json") for text in fenced(page.read_text(), each)]
    others = re.compile(r'"parked"|\{ \.\.\.|"version": 1')  # such as output of commands
    of_trigger = re.compile(r'trigger_id"?: *"?[a-z]')
    return [each for each in found if of_trigger.search(each[1]) and not others.search(each[1])]


WORDS: Final = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
FOLDERS: Final = st.lists(WORDS, min_size=1, max_size=3).map("/".join)
TEMPLATES: Final = st.sampled_from(
    [
        "{{ key }}",
        "s3://{{ bucket }}/{{ key }}",
        "{{ info.size }}",
        "{{ key.split('/')[0] | upper }}",
        "{{ info.event_time.strftime('%Y-%m-%d') }}",
        "{{ utils.path.basename(key) }}",
        "{% if info.size > 100 %}large{% else %}small{% endif %}",
        "{{ utils.re.sub('[^a-z]', '_', key) }}",
        "{{ utils.uuid() }}",
    ]
)
VALUES: Final = st.recursive(
    TEMPLATES | WORDS | st.integers(-1000, 1000) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
PATTERNS: Final = st.sampled_from(
    ["*.csv", "*.csv.gz", "*/a?.txt", "*.[ct]sv", "*/My Files/*", "*"]
)
EXCLUDED: Final = st.sampled_from(["*/draft/*", "*.tmp", "*~"])
BOTH_ROUTES: Final = st.sampled_from(
    ["ObjectCreated:*", ["ObjectRemoved:*", "ObjectDeleted:*"], ["ObjectTag*"], "*"]
)


@st.composite
def good_entries(draw: st.DrawFn) -> dict[str, Any]:
    """Entries in which there is nothing to find."""
    prefix = draw(FOLDERS | st.just("*"))
    entry: dict[str, Any] = {
        "trigger_id": draw(FOLDERS),
        "description": draw(WORDS),
        "owner": draw(WORDS),
        "bucket": draw(st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}[a-z0-9]", fullmatch=True)),
        "prefix": prefix,
        "enabled": draw(st.booleans()),
        "job_id": draw(
            WORDS
            | st.lists(WORDS | TEMPLATES.map("load_{}".format), min_size=1, max_size=3, unique=True)
        ),
    }
    own = FOLDERS.map(lambda text: f"{prefix}/{text}/*" if prefix != "*" else f"{text}/*")
    optional: dict[str, st.SearchStrategy[Any]] = {
        "parameters": st.dictionaries(WORDS, VALUES, max_size=4),
        "globals": st.dictionaries(
            WORDS.filter(lambda name: not name.startswith("lava")), VALUES, max_size=4
        ),
        "jinja": st.just(True),
        "delay": st.integers(16, 900) | st.sampled_from(["30s", "1.5m", "0.25h", 0]),
        "if_fnmatch": PATTERNS | own | st.lists(PATTERNS | own, min_size=1, max_size=3),
        "if_not_fnmatch": EXCLUDED | st.lists(EXCLUDED, min_size=1, max_size=2),
        "if_event_type": BOTH_ROUTES,
        "x-ticket": WORDS,
    }
    for name, strategy in optional.items():
        if draw(st.booleans()):
            entry[name] = draw(strategy)
    if entry.get("if_event_type", "ObjectCreated:*") in ("ObjectCreated:*", "*"):
        entry |= draw(st.sampled_from([{}, {"if_size_gt": "10KiB"}, {"if_size_gt": 0}]))
    return entry


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_a_rule_has_an_id_a_title_and_a_page(rule: Any) -> None:
    assert re.fullmatch(r"LT\d{3}", rule.id)
    assert rule.title[0].isupper() or rule.title.startswith(("enabled", "job_id"))
    assert not rule.title.endswith(".")
    first, *rest = rule.page.split("\n\n")
    assert first.endswith(".")
    assert rest, "a page also says what to write instead"
