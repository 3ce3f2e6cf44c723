"""The rules of `check`: what they find, and what they leave alone."""

from __future__ import annotations

import ast
import csv
import json
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.cli.check.lint import Surroundings, lint, rule_of_refusal
from lava_s3trigger.cli.check.rules import event_types
from lava_s3trigger.cli.check.rules.catalogue import MODULES, all_rules
from lava_s3trigger.cli.check.rules.checked import CheckedEntry
from lava_s3trigger.cli.entries.load import Entry, load, load_texts
from lava_s3trigger.cli.entries.memory import MAX_DELAY
from tests.cli.checking import BUT_INFO, EVERYTHING, as_json, found_in, rules_in, trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.check.findings import Finding

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

    def test_mistakes_of_nearly_all_rules_are_planted(self) -> None:
        # These need another realm, a huge entry or a slow pattern: see below.
        elsewhere = {"LT114", "LT116", "LT146", "LT147", "LT139", "LT505", "LT507"}

        assert {each.rule for each in EXPECTED} | elsewhere == {rule.id for rule in all_rules()}
        assert len(EXPECTED) >= 80


# What makes the function's readers raise each of their errors. The names are those of the
# module, and what its source says there.
REFUSALS: Final[dict[tuple[str, str], tuple[str, dict[str, Any]]]] = {
    ("triggers", "enabled is missing"): ("LT105", trigger(enabled=...)),
    ("triggers", "job_id is missing"): ("LT106", trigger(job_id=...)),
    ("triggers", "is not a map"): ("LT108", trigger(parameters=[1])),
    ("triggers", "is neither a job id nor a list of job ids"): ("LT109", trigger(job_id=[])),
    ("triggers", "is not from 0 to"): ("LT111", trigger(delay=901)),
    ("triggers", "_unknown_field(name)"): ("LT103", trigger(colour="red")),
    ("triggers", "{name}: {error}"): ("LT110", trigger(delay="soon")),
    ("conditions", "is neither a pattern nor a list"): ("LT113", trigger(if_fnmatch=1)),
    ("conditions", "patterns, more than"): ("LT113", trigger(if_fnmatch=["a"] * 1001)),
    ("conditions", "a pattern of"): ("LT113", trigger(if_fnmatch="a" * 1025)),
    ("conditions", "unknown condition"): ("LT104", trigger(if_weather="rain")),
    ("conditions", "{field}: {error}"): ("LT112", trigger(if_size_gt="big")),
    ("jobs", "is not the name of a worker"): ("LT122", {"worker": ""}),
    ("jobs", "{name} is missing"): ("LT121", {"worker": ...}),
    ("jobs", "starts with {RESERVED}"): ("LT123", {"globals": {"Lava": 1}}),
    ("jobs", "enabled: {error}"): ("LT107", {"enabled": [1]}),
    ("units", "is not a boolean"): ("LT107", trigger(jinja=[1])),
    ("units", "is not {expected}"): ("LT112", trigger(if_not_size_gt="big")),
}
# An item with binary values, and a pattern that takes too long, are not written as JSON.
ELSEWHERE: Final = {
    ("aws/attributes", "is binary"): "LT115",
    ("templates/confinement", "reading conditions aborted"): "LT114",
}


def raises() -> Iterator[tuple[str, str]]:
    """Yield what the sources of the function's readers raise as a ValueError."""
    for module in ("triggers", "conditions", "jobs", "units", "aws/attributes"):
        yield from _raises(module)
    yield from _raises("templates/confinement")


def _raises(module: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            source = ast.unparse(node.exc)
            if source.startswith("ValueError("):
                yield module, source


class TestRefusals:
    """All that the function's own readers refuse has a rule."""

    @pytest.mark.parametrize("found", list(raises()), ids=" ".join)
    def test_each_error_of_the_readers_is_in_the_table(self, found: tuple[str, str]) -> None:
        module, source = found

        known = [part for name, part in [*REFUSALS, *ELSEWHERE] if name == module]

        assert any(part in source for part in known)

    @pytest.mark.parametrize(
        "case", list(REFUSALS.values()), ids=[" ".join(key) for key in REFUSALS]
    )
    def test_each_error_of_the_readers_has_a_rule(self, case: tuple[str, dict[str, Any]]) -> None:
        rule, fields = case
        job = {"job_id": "j", "type": "exe", "worker": "core", "payload": "x", "enabled": True}
        entry = fields if "trigger_id" in fields else {**job, **fields}
        text = json.dumps({name: value for name, value in entry.items() if value is not ...})

        assert rule in rules_in(text, "t.json")

    def test_a_pattern_that_takes_too_long_to_read_has_a_rule(self) -> None:
        reason = "reading conditions aborted: it took longer than 3 s"

        assert rule_of_refusal("trigger", reason).id == "LT114"

    def test_a_reason_that_no_rule_knows_is_found_all_the_same(self) -> None:
        assert rule_of_refusal("trigger", "it is Tuesday").id == "LT139"
        assert rule_of_refusal("job", "it is Tuesday").id == "LT139"

    @pytest.mark.parametrize("enabled", [True, False])
    def test_all_errors_of_an_entry_are_found_also_where_it_is_disabled(
        self, *, enabled: bool
    ) -> None:
        text = as_json(enabled=enabled, delay="x", paramters={}, if_weather=1, if_size_gt="y")

        assert sorted(rules_in(text, "t.json")) == ["LT103", "LT104", "LT110", "LT112"]

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
        [entry] = load_texts([("t.json", json.dumps(trigger(**fields)))]).entries
        enabled = Entry(entry.kind, entry.item | {"enabled": {"BOOL": True}}, entry.source)

        refusals = CheckedEntry(enabled, MAX_DELAY).refusals

        found = found_in(json.dumps(trigger(**fields)), "t.json").findings
        errors = {each.rule for each in found if each.severity == "error"}
        expected = {rule_of_refusal("trigger", each.reason).id for each in refusals}
        expected |= {"LT107"} if isinstance(fields.get("enabled"), (list, dict)) else set()
        assert errors - {"LT401"} == expected


class TestRules:
    """Cases that the planted files do not have."""

    def test_an_entry_larger_than_an_item_is_found(self) -> None:
        assert rules_in(as_json(parameters={"a": "x" * 420_000}), "t.json") == ["LT116"]

    @pytest.mark.parametrize(
        ("parameters", "rules"),
        [
            ({"a": "é" * 200_000}, ["LT507"]),
            ({"a": "x" * 400_000}, []),
            ({"a": "{{ key }}" + "é" * 200_000}, ["LT507"]),
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
            "{{ info['size'] }} {{ info.get('size') }} {{ event.s3.object.eTag }}",
            "{{ utils.dateutil.tz.gettz('Australia/Sydney') }} {{ utils.parsedate(key) }}",
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


ON_PURPOSE: Final = {"explain.md": {"LT201"}, "README.md": {"LT201"}}
"""Rules that entries of a page break, which shows what `explain` says of them."""


class TestGoodEntries:
    """Good entries have neither errors nor warnings."""

    def test_the_examples_are_good(self) -> None:
        linted = lint(load([str(ROOT / "examples")]), EVERYTHING, Surroundings())

        assert [each for each in linted.findings if each.severity != "info"] == []

    def test_a_file_of_something_else_is_no_error_in_a_folder(self) -> None:
        linted = lint(load([str(ROOT / "examples")]), EVERYTHING, Surroundings())

        other = [each for each in linted.findings if each.rule == "LT009"]
        assert [each.file.name for each in other if each.file] == [
            str(ROOT / "examples" / "ci" / "github-workflow.yml"),
            str(ROOT / "examples" / "deploy-policy.json"),
            str(ROOT / "examples" / "operator-policy.json"),
        ]

    def test_a_file_of_something_else_is_an_error_where_it_is_named(self) -> None:
        path = str(ROOT / "examples" / "deploy-policy.json")

        linted = lint(load([path]), EVERYTHING, Surroundings(), [path])

        assert [each.rule for each in linted.findings] == ["LT006"]

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
        assert len(texts) >= 4

    @settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_good_entries_have_no_findings(self, data: st.DataObject) -> None:
        entry = data.draw(good_entries())

        findings = found_in(json.dumps(entry), "t.json", EVERYTHING).findings

        assert findings == []


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page that can hold entries, with their language."""
    found = re.findall(
        r"^( *)```(yaml|json)\n(.*?)^\1```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
    return [
        (language, textwrap.dedent(text))
        for _, language, text in found
        if '"parked"' not in text and "{ ..." not in text
    ]


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
            WORDS | st.lists(WORDS | TEMPLATES.map("load_{}".format), min_size=1, max_size=3)
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


def test_findings_are_in_the_order_of_the_file() -> None:
    text = json.dumps(
        [trigger(prefix="b/"), trigger(trigger_id="u", prefix="a/", delay=3)], indent=1
    )

    findings: list[Finding] = found_in(text, "t.json").findings

    places = [(each.line or 0, each.column or 0) for each in findings]
    assert len(places) == 3
    assert places == sorted(places)
