"""The rules of `check`: what they find, and what they leave alone."""

import csv
import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.cli.check.lint import Surroundings, lint
from lava_s3trigger.cli.check.rules import event_types
from lava_s3trigger.cli.check.rules.catalogue import MODULES, all_rules
from lava_s3trigger.cli.check.rules.checked import CheckedEntry
from lava_s3trigger.cli.check.rules.files import CASE_FIELDS
from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.decide.fixed_values import NOW
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.cli.entries.load import Entry, Loaded, load, load_texts
from lava_s3trigger.cli.entries.memory import MAX_DELAY, MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.objects.record import S3Object
from lava_s3trigger.cli.testing import fields as case_fields
from lava_s3trigger.errors import Code, EntryError
from tests.cli.checking import BUT_INFO, EVERYTHING, as_json, found_in, rules_in, trigger
from tests.cli.mistakes import Mistake, mistakes
from tests.docs.pages import fenced
from tests.examples import examples

ROOT: Final = Path(__file__).parents[2]
PLANTED: Final = Path(__file__).with_name("planted")
PACKAGE: Final = ROOT / "lava_s3trigger"


class Planted(NamedTuple):
    """A planted mistake."""

    file: str
    line: str
    column: str
    rule: str
    text: str
    """What stands there in the file."""


ELSEWHERE: Final = {"LT012", "LT114", "LT116", "LT146", "LT147", "LT139", "LT505", "LT507"}
"""Rules whose mistakes need a file, another realm, a huge entry or a slow pattern."""
EXPECTED: Final = [
    Planted(*row)
    for row in list(csv.reader((PLANTED / "expected.csv").read_text().splitlines()))[1:]
]


@pytest.fixture(scope="module")
def planted() -> set[tuple[str, str, str, str]]:
    linted = lint(load([str(PLANTED)]), BUT_INFO, Surroundings())
    return {
        (Path(each.file.name).name, str(each.line or ""), str(each.column or ""), each.rule)
        for each in linted.findings
        if each.file
    }


class TestPlantedMistakes:
    """Mistakes in files of every format are found by their rules, at their places."""

    @pytest.mark.parametrize("mistake", EXPECTED, ids=lambda each: "-".join(each[:4]))
    def test_a_planted_mistake_is_found_at_its_place(
        self, mistake: Planted, planted: set[tuple[str, str, str, str]]
    ) -> None:
        assert mistake[:4] in planted
        if mistake.line:
            lines = (PLANTED / mistake.file).read_text().split("\n")
            assert lines[int(mistake.line) - 1][int(mistake.column) - 1 :].startswith(mistake.text)

    def test_nothing_else_is_found(self, planted: set[tuple[str, str, str, str]]) -> None:
        assert planted == {each[:4] for each in EXPECTED}


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
        missed = {
            each.rule
            for each in MISTAKES
            if each.rule
            not in {finding.rule for finding in found_in(each.text, each.name).findings}
        }

        assert missed == set()

    def test_the_rules_that_no_file_is_planted_for_have_mistakes(self) -> None:
        planted = {each.rule for each in MISTAKES} | {each.rule for each in EXPECTED}

        assert {rule.id for rule in all_rules()} - planted == ELSEWHERE


JOB: Final = {"job_id": "j", "type": "exe", "worker": "core", "payload": "x", "enabled": True}
# Entries with each error that the function's readers return, and the rule that finds it.
ERRORS: Final[list[tuple[Code, str, dict[str, Any]]]] = [
    ("missing_field", "LT105", trigger(enabled=...)),
    ("missing_field", "LT106", trigger(job_id=...)),
    ("missing_field", "LT121", {**JOB, "worker": ...}),
    ("unknown_field", "LT103", trigger(colour="red")),
    ("unknown_condition", "LT104", trigger(if_weather="rain")),
    ("not_a_boolean", "LT107", trigger(enabled=[1])),
    ("not_a_boolean", "LT107", trigger(jinja=[1])),
    ("not_a_boolean", "LT107", {**JOB, "enabled": [1]}),
    ("not_a_map", "LT108", trigger(parameters=[1])),
    ("not_a_job_id", "LT109", trigger(job_id=[])),
    ("not_a_duration", "LT110", trigger(delay="soon")),
    ("delay_out_of_range", "LT111", trigger(delay=901)),
    ("not_a_size", "LT112", trigger(if_not_size_gt="big")),
    ("not_a_pattern", "LT113", trigger(if_fnmatch=1)),
    ("not_a_pattern", "LT113", trigger(if_event_type=["a"] * 1001)),
    ("not_a_pattern", "LT113", trigger(if_fnmatch="a" * 1025)),
    ("not_a_worker", "LT122", {**JOB, "worker": ""}),
    ("reserved_global", "LT123", {**JOB, "globals": {"Lava": 1}}),
    ("bad_template", "LT401", trigger(parameters={"a": "{{"})),
]
SLOW: Final = "reading conditions aborted: it took longer than 3 s"


def errors_of(entry: dict[str, Any]) -> tuple[EntryError, ...]:
    """Return the errors for which the function refuses an entry."""
    text = json.dumps({name: value for name, value in entry.items() if value is not ...})
    return CheckedEntry(load_texts([("t.json", text)]).entries[0], MAX_DELAY).errors


class TestErrors:
    """All errors for which the function's readers refuse an entry have a rule."""

    @pytest.mark.parametrize("case", ERRORS, ids=lambda case: "-".join(case[:2]))
    def test_each_error_has_a_rule(self, case: tuple[Code, str, dict[str, Any]]) -> None:
        code, rule, entry = case
        text = json.dumps({name: value for name, value in entry.items() if value is not ...})

        # Templates are compiled when they are first rendered.
        assert code == "bad_template" or [each.code for each in errors_of(entry)] == [code]
        assert rule in rules_in(text, "t.json")

    def test_each_code_has_a_rule(self) -> None:
        codes = {each.of for each in all_rules() if each.subject == "error"}

        assert codes | {"bad_template"} == set(get_args(Code))
        assert {code for code, _, _ in ERRORS} == set(get_args(Code)) - {
            "binary_value",
            "reading_aborted",
            "bad_argument",
        }  # JSON has no binary values; the other two need conditions of their own

    def test_a_binary_value_has_a_rule(self) -> None:
        item = {
            **{name: attribute_of(value) for name, value in trigger().items()},
            "parameters": {"M": {"a": {"L": [{"N": "1"}, {"B": b"x"}]}}},
        }
        [entry] = [Entry("trigger", item, "lava.prod.s3triggers")]

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
        text = json.dumps({**JOB, "globals": {"lava_a": 1, "b": 2, "LAVA": 3}})

        found = found_in(text, "t.json").findings

        assert [(each.rule, each.field) for each in found] == [
            ("LT123", "globals.lava_a"),
            ("LT123", "globals.LAVA"),
        ]

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


class TestRules:
    """Cases that the planted files do not have."""

    def test_an_entry_larger_than_an_item_is_found(self) -> None:
        assert rules_in(as_json(parameters={"a": "x" * 420_000}), "t.json") == ["LT116"]

    @pytest.mark.parametrize(
        ("parameters", "rules"),
        [
            ({"a": "é" * 200_000}, ["LT507"]),
            ({"a": "x" * 400_000}, []),
            ({"a": "{{ key }}" + "é" * 200_000}, ["LT408"]),
            ({"a": "{# " + "é" * 200_000 + " #}{{ key }}"}, []),
        ],
        ids=["escaped", "ASCII", "beside a template", "in a comment"],
    )
    def test_a_dispatch_larger_than_a_message_is_found(
        self, parameters: dict[str, Any], rules: list[str]
    ) -> None:
        assert rules_in(as_json(parameters=parameters), "t.json") == rules

    @pytest.mark.parametrize(
        ("prefix", "pattern", "matches"),
        [
            ("a", "a/b.csv", True),
            ("a", "a", True),
            ("a", "*", True),
            ("a", "*.csv", True),
            ("a", "b*", False),
            ("a", "ab*", False),
            ("a/b", "a/*", True),
            ("a/b", "?/b/*", True),
            ("a/b", "?/c/*", False),
            ("a/b", "[ab]/b", True),
            ("a/b", "[!a]/*", False),
            ("a/b", "*c", True),
            ("a/b", "a/[b]", True),
            ("a/b", "a/[c]*", False),
            ("a", "[", False),
        ],
    )
    def test_a_pattern_is_compared_with_the_keys_below_the_prefix(
        self, prefix: str, pattern: str, *, matches: bool
    ) -> None:
        text = as_json(prefix=prefix, if_fnmatch=[pattern])

        assert ("LT301" not in rules_in(text, "t.json")) is matches

    @given(
        st.text("ab/", min_size=1, max_size=4).filter(lambda text: text.strip("/") == text),
        st.text("ab/*?[!]", min_size=1, max_size=6),
        st.text("ab/", max_size=5),
    )
    def test_a_pattern_that_matches_some_key_is_not_called_impossible(
        self, prefix: str, pattern: str, rest: str
    ) -> None:
        import fnmatch  # noqa: PLC0415

        for key in (prefix, f"{prefix}/{rest}"):
            if fnmatch.fnmatchcase(key, pattern):
                text = as_json(prefix=prefix, if_fnmatch=[pattern])
                assert "LT301" not in rules_in(text, "t.json")

    def test_event_types_are_those_of_the_recorded_events(self) -> None:
        text = (ROOT / "tests" / "aws_events" / "cases.csv").read_text()
        cases = csv.DictReader(text.splitlines())

        recorded = {each["event_type"] for each in cases}

        assert recorded == event_types.ALL

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"if_event_type": "ObjectRemoved:*"},
                "only events that come from S3 have these types",
            ),
            (
                {"if_event_type": "ObjectDeleted:*"},
                "only events that come from EventBridge have these types",
            ),
            (
                {"if_fnmatch": "in/*.csv", "if_not_fnmatch": "*.csv"},
                "if_not_fnmatch excludes all that if_fnmatch lets through",
            ),
            ({"if_not_fnmatch": "*"}, "if_not_fnmatch excludes every key below the prefix"),
            ({"if_not_event_type": "*"}, "if_not_event_type excludes everything"),
            (
                {"if_size_gt": "1MB", "if_not_size_gt": "1KB"},
                "no size is above if_size_gt and up to '1KB'",
            ),
        ],
    )
    def test_a_condition_that_never_holds_is_explained(
        self, fields: dict[str, Any], message: str
    ) -> None:
        found = found_in(as_json(prefix="in", **fields), "t.json").findings

        assert [each.message for each in found] == [message]

    def test_jobs_are_unknown_where_none_are_given(self) -> None:
        assert rules_in(as_json(job_id="nobody"), "t.json") == []

    @pytest.mark.parametrize(
        ("job_id", "rules"),
        [
            ("load_{{ key.split('/')[1] }}", []),
            ("scan_{{ key.split('/')[1] }}", ["LT503"]),
            ("{{ key }}", []),
            ("{% if key %}scan{% else %}load_orders{% endif %}", []),
            ("{% set day = key %}load_{{ day }}", []),
            ("{{ key }}_{{ bucket }}_tail", ["LT503"]),
        ],
    )
    def test_a_templated_job_id_is_compared_with_all_jobs(
        self, job_id: str, rules: list[str]
    ) -> None:
        job = {"job_id": "load_orders", "type": "exe", "worker": "w", "payload": "p", "enabled": 1}
        text = json.dumps([trigger(job_id=job_id), job])

        assert rules_in(text, "t.json") == rules

    @pytest.mark.parametrize(
        "template",
        [
            "{% set parts = key.split('/') %}{{ parts[0] }}",
            "{% for part in key.split('/') %}{{ loop.index }}{{ part }}{% endfor %}",
            "{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(key) }}",
            "{{ info['size'] }} {{ info.get('size') }} {{ event.version }}",
            "{{ utils.dateutil.tz.gettz('UTC') }} {{ utils.parsedate(key.split('/')[1]) }}",
            "{{ utils.datetime.now().isoformat() }} {{ utils.path.splitext(key)[0] | lower }}",
            "{{ namespace(a=1).a }}{% if key is string and 'a' is in 'abc' %}{% endif %}",
            "{{ '}} {% if' }}{{ info.event_time.date() - utils.timedelta(days=1) }}",
        ],
    )
    def test_a_good_template_has_no_findings(self, template: str) -> None:
        assert rules_in(as_json(parameters={"a": template}), "t.json") == []

    def test_a_variable_set_in_one_value_is_known_in_the_next(self) -> None:
        parameters = {"a": "{% set day = key %}", "b": "{{ day }}"}

        assert rules_in(as_json(parameters=parameters), "t.json") == []

    def test_the_message_of_a_finding_names_the_nearest(self) -> None:
        [found] = found_in(as_json(parameters={"a": "{{ buckt }}"}), "t.json").findings

        assert found.message == (
            "unknown variable 'buckt' renders as nothing; did you mean 'bucket'?"
        )

    @pytest.mark.parametrize(
        ("ignored", "rules"),
        [
            (["LT201"], ["LT143"]),
            ("LT201", ["LT143"]),
            (["LT2", "LT143"], []),
            ([], ["LT143", "LT201"]),
            (["LT2011"], ["LT011", "LT143", "LT201"]),
            ([7], ["LT011", "LT143", "LT201"]),
        ],
    )
    def test_an_entry_ignores_rules(self, ignored: Any, rules: list[str]) -> None:
        text = as_json(prefix="a/", delay=5, **{"x-lint-ignore": ignored})

        assert sorted(rules_in(text, "t.json")) == rules


EVERYDAY: Final[list[str]] = json.loads((ROOT / "tests/templates/everyday.json").read_text())
# What is of one route, and what plain Jinja has for names that an event lacks.
NOT_FOR_EVERY_EVENT: Final = re.compile(r"event[.]|nothing|\|hash")
TRIED: Final = ["LT408", "LT409"]


class TestTrial:
    """Entries are tried with the function's own decider."""

    @pytest.mark.parametrize(
        "template",
        [each for each in EVERYDAY if not NOT_FOR_EVERY_EVENT.search(each)],
    )
    def test_an_everyday_template_has_no_findings(self, template: str) -> None:
        assert rules_in(as_json(parameters={"a": template}), "t.json") == []

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
    def test_it_is_said_which_events_would_be_parked(self, template: str, found: str) -> None:
        [finding] = found_in(as_json(parameters={"a": template}), "t.json").findings

        assert finding.rule == ("LT409" if found else "LT408")
        assert finding.message.startswith(f"events {found} would".replace("  ", " "))

    @pytest.mark.parametrize(
        ("fields", "rules"),
        [
            ({"if_size_gt": 0}, []),
            ({"if_event_type": "ObjectCreated:*"}, ["LT409"]),
            ({"if_event_type": ["ObjectRemoved:*", "ObjectDeleted:*"]}, ["LT408"]),
            ({"if_not_size_gt": 0}, ["LT408"]),
            ({"enabled": False}, []),
            ({"jinja": False}, []),
        ],
    )
    def test_only_events_that_the_conditions_let_through_are_tried(
        self, fields: dict[str, Any], rules: list[str]
    ) -> None:
        text = as_json(**{"parameters": {"a": "{{ 100 // info.size }}"}, **fields})

        assert [each for each in rules_in(text, "t.json") if each in TRIED] == rules

    @pytest.mark.parametrize(
        ("fields", "template"),
        [
            (
                {"if_fnmatch": "*/ORD_*_????????.csv"},
                "utils.datetime.strptime(key[-12:-4], '%Y%m%d')",
            ),
            ({"if_fnmatch": "*/[0-9][0-9]/*.csv"}, "key.split('/')[1] | int + 1"),
            ({"if_fnmatch": "incoming/a-?.csv"}, "{'a-1.csv': 1}[key.split('/')[1]] + 1"),
            ({}, "key.split('/')[8].upper()"),
            ({"x-tests": [{"key": "incoming/x=7/y"}]}, "(key.split('=')[1])[0] | int + 1"),
            ({"x-tests": [{"key": "incoming/a~b"}]}, "key.split('~')[1].upper()"),
            ({"prefix": "*"}, "key.split('/')[1].upper()"),
        ],
    )
    def test_a_key_of_the_form_that_the_entry_is_made_for_is_tried(
        self, fields: dict[str, Any], template: str
    ) -> None:
        text = as_json(**fields, parameters={"a": f"{{{{ {template} }}}}"})

        assert rules_in(text, "t.json") == []

    def test_without_such_a_key_it_fails(self) -> None:
        text = as_json(parameters={"a": "{{ key.split('~')[1].upper() }}"})

        assert rules_in(text, "t.json") == ["LT408"]

    @pytest.mark.parametrize(
        "parameters",
        [
            {"a": "{% set x %}a,b{% endset %}{{ x.split(',')[1].upper() }}"},
            {"a": "{% macro m(x) %}{{ x }}!{% endmacro %}{{ m(key)[-1:].upper() }}"},
            {"a": "{% filter upper %}plain{% endfilter %}", "b": "{{ key }}"},
        ],
    )
    def test_text_that_a_template_computes_with_is_kept(self, parameters: dict[str, str]) -> None:
        assert rules_in(as_json(parameters=parameters), "t.json") == []

    def test_a_failure_that_depends_on_such_text_is_found(self) -> None:
        template = "{% set x %}text{% endset %}{{ 10 // (x | length - 4) }}"

        assert rules_in(as_json(parameters={"a": template}), "t.json") == ["LT408"]

    def test_the_function_says_the_same(self) -> None:
        entry = trigger(parameters={"a": "text {{ key }}", "b": "{{ key + info.size }}"})
        [finding] = found_in(json.dumps(entry), "t.json").findings

        [entry_] = load_texts([("t.json", json.dumps(entry))]).entries
        event = S3Object("orders", "incoming/a.csv", 1, NOW).event("us-east-1")
        decision = decide_event(event, MemoryTriggers([entry_]), UnknownJobs())

        assert decision.outcome == "user_error"
        assert finding.message == f"events would be parked: {next(decision.outcomes).reason}"


FINE: Final[list[dict[str, Any]]] = [
    {"prefix": "in.coming", "bucket": "orders"},
    {"prefix": "orders-2026", "bucket": "orders"},
    {"if_fnmatch": ["*.csv", "*.tsv"]},
    {"if_fnmatch": "*a, b*.csv"},
    {"if_not_fnmatch": ["incoming/draft/*", "*/"]},
    {"parameters": {"a": "${HOME}/x", "b": "{}", "c": "{{ '{key}'.format(key=key) }}"}},
    {"parameters": {"a": "{{ '%(key)s' % {'key': key} }}", "b": "100%"}},
    {"parameters": {"password": "arn:aws:secretsmanager:eu-west-1:1:secret:db"}},
    {
        "parameters": {
            "secret_name": "prod-db",
            "token_url": "https://x/token",
            "password": "{{ key }}",
        }
    },
    {"parameters": {"output": "s3://results/incoming/out", "out": "s3://orders/done/x.csv"}},
    {"parameters": {"output": "s3://orders/incoming/out"}, "if_not_fnmatch": "incoming/out/*"},
    {"parameters": {"args": ["--in", "s3://{{ bucket }}/{{ key }}"]}},
    {"job_id": ["load", "archive"]},
]


@pytest.mark.parametrize("fields", FINE, ids=str)
def test_what_is_nearly_a_mistake_has_no_findings(fields: dict[str, Any]) -> None:
    assert rules_in(as_json(**fields), "t.json") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"if_fnmatch": "*.csv"}, {"if_fnmatch": ["*.csv"]}),
        ({"if_fnmatch": ["*.a", "*.b"]}, {"if_fnmatch": ["*.b", "*.a"]}),
        ({"if_size_gt": "1KB"}, {"if_size_gt": 1000}),
        ({"delay": "1m"}, {"delay": 60}),
        ({"delay": 0}, {}),
        ({"jinja": True, "parameters": {}}, {"globals": None}),
        ({"job_id": ["load"]}, {"job_id": "load"}),
    ],
)
def test_work_is_compared_by_its_meaning(one: dict[str, Any], other: dict[str, Any]) -> None:
    text = json.dumps([trigger(**one), trigger(trigger_id="u", **other)])

    assert rules_in(text, "t.json") == ["LT206"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"if_fnmatch": "*.csv"}, {"if_fnmatch": "*.tsv"}),
        ({"if_size_gt": 1}, {"if_size_gt": "1KB"}),
        ({"job_id": ["load", "scan"]}, {"job_id": ["scan", "load"]}),
        ({"parameters": {"a": 1}}, {"parameters": {"a": "1"}}),
    ],
)
def test_other_work_is_no_finding(one: dict[str, Any], other: dict[str, Any]) -> None:
    text = json.dumps([trigger(**one), trigger(trigger_id="u", **other)])

    assert rules_in(text, "t.json") == []


def test_too_many_patterns_are_one_finding() -> None:
    text = as_json(if_fnmatch=[f"elsewhere/{n}/*.{{a,b}}" for n in range(1001)])

    assert rules_in(text, "t.json") == ["LT113"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"job_id": "stage"}, "no job 'stage' in these files"),
        ({"job_id": "laod"}, "no job 'laod' in these files; did you mean 'load'?"),
    ],
)
def test_only_a_likely_typo_has_a_suggestion(fields: dict[str, Any], message: str) -> None:
    jobs = [{**JOB, "job_id": each} for each in ("range", "load")]

    [finding] = found_in(json.dumps([trigger(**fields), *jobs]), "t.json").findings

    assert finding.message == message


@pytest.mark.parametrize(("name", "hint"), [("table", ""), ("enabeld", "did you mean 'enabled'? ")])
def test_only_a_likely_typo_of_a_field_has_a_suggestion(name: str, hint: str) -> None:
    [finding] = found_in(as_json(**{name: 1}), "t.json").findings

    assert finding.message == f"unknown field '{name}' ({hint}custom fields start with x-)"


def test_the_fields_of_cases_are_those_that_test_reads() -> None:
    assert set(case_fields.FIELDS) == CASE_FIELDS


ON_PURPOSE: Final = {"explain.md": {"LT201"}, "README.md": {"LT201"}}
"""Rules that entries of a page break, which shows what `explain` says of them."""


class TestGoodEntries:
    """Good entries have neither errors nor warnings."""

    def test_the_examples_are_good(self) -> None:
        linted = lint(load([str(ROOT / "examples")]), EVERYTHING, Surroundings())

        assert [each for each in linted.findings if each.severity != "info"] == []

    def test_a_file_of_something_else_is_an_error_only_where_it_is_named(self) -> None:
        path = str(ROOT / "examples" / "deploy-policy.json")

        in_folder = lint(load([str(ROOT / "examples")]), EVERYTHING, Surroundings())
        named = lint(load([path]), EVERYTHING, Surroundings(), [path])

        found = [each.rule for each in in_folder.findings if each.file and each.file.name == path]
        assert (found, [each.rule for each in named.findings]) == (["LT009"], ["LT006"])

    @pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
    def test_the_entries_in_the_docs_are_good(self, page: Path) -> None:
        for n, (language, text) in enumerate(blocks(page)):
            is_output = '"version": 1' in text
            if re.search(r'trigger_id"?: *"?[a-z]', text) and not is_output:
                loaded = load_texts([(f"{page.name}-{n}.{language}", text)])
                found = lint(loaded, EVERYTHING, Surroundings()).findings

                bad = {each.rule for each in found if each.severity != "info"}
                assert bad <= ON_PURPOSE.get(page.name, set()), found

    def test_there_are_entries_in_the_docs(self) -> None:
        pages = [ROOT / "README.md", ROOT / "docs" / "triggers.md"]

        texts = [text for page in pages for _, text in blocks(page) if '"trigger_id": "' in text]
        assert len(texts) >= 3

    @settings(
        max_examples=examples(500), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(st.data())
    def test_good_entries_have_no_findings(self, data: st.DataObject) -> None:
        entry = data.draw(good_entries())

        findings = found_in(json.dumps(entry), "t.json", EVERYTHING).findings

        assert findings == []


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page that can hold entries, with their language."""
    found = [(each, text) for each in ("yaml", "json") for text in fenced(page.read_text(), each)]
    return [each for each in found if '"parked"' not in each[1] and "{ ..." not in each[1]]


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
PATTERNS: Final = st.sampled_from(["*.csv", "*.csv.gz", "*/a?.txt", "*.[ct]sv", "*"])
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


class TestRegistry:
    """Every rule has what its page needs."""

    @pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
    def test_a_rule_has_an_id_a_title_and_a_page(self, rule: Any) -> None:
        assert re.fullmatch(r"LT\d{3}", rule.id)
        assert rule.title[0].isupper() or rule.title.startswith(("enabled", "job_id"))
        assert not rule.title.endswith(".")
        first, *rest = rule.page.split("\n\n")
        assert first.endswith(".")
        assert rest, "a page also says what to write instead"

    def test_rules_of_a_module_stand_in_the_order_of_their_ids(self) -> None:
        order = [
            (MODULES_BY_NAME[rule.check.__module__], rule.check.__code__.co_firstlineno)
            for rule in all_rules()
        ]

        assert order == sorted(order)


MODULES_BY_NAME: Final = {module.__name__: n for n, module in enumerate(MODULES)}
