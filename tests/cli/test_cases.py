"""``lava-s3trigger test``: cases that hold pass, and others fail with their differences."""

import json
import shutil
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from tests.build import item, job_entry, trigger_entry
from tools.local.realm import Realm
from tools.local.server import CHECKOUT

from .commandline import CommandLine, Ran
from .terminal import attacking_keys, raw

CASES: Final = Path(__file__).with_name("cases")
PASSING: Final = (CASES / "passing.yml").read_text()
FAILING: Final = YAML(typ="safe").load((CASES / "failing.yml").read_text())
EXACTLY: Final = "[{trigger_id: one, key: a, alone: true, exactly: {job_id: load}}]"
BECAUSE_OF_SIZE: Final = """
- {trigger_id: load, key: orders/a.csv, size: 0, expect: nothing, because: if_size_gt}
"""


class Project:
    """A folder of entries and jobs, and its cases."""

    def __init__(self, folder: Path, line: CommandLine) -> None:
        self.folder = folder
        self.line = line
        self.entries = [shutil.copy(CASES / name, folder) for name in ("entries.yaml", "jobs.yaml")]

    def test(self, cases: str, *options: str) -> Ran:
        file = self.folder / "cases.yml"
        file.write_text(cases)
        return self.line("test", *self.entries, "--cases", str(file), *options)


@pytest.fixture
def project(tmp_path: Path, line: CommandLine) -> Project:
    return Project(tmp_path, line)


def test_cases_that_hold_pass(project: Project) -> None:
    ran = project.test(PASSING, "--format", "json")
    report = ran.json("test")
    assert [each["name"] for each in report["cases"] if each["messages"]] == [], ran.errors
    assert (ran.status, report["passed"], report["failed"]) == (0, PASSING.count("name: "), 0)


class TestFailing:
    """Cases that do not hold."""

    @pytest.mark.parametrize("failing", FAILING.values(), ids=FAILING)
    def test_it_fails_with_its_differences_in_every_format(
        self, failing: Any, project: Project
    ) -> None:
        case, messages, diff = (failing[name] for name in ("case", "messages", "diff"))
        json_, text, junit = (
            project.test(json.dumps([case]), "--format", each) for each in ("json", "text", "junit")
        )
        assert (json_.status, text.status, junit.status) == (1, 1, 1)

        report = json_.json("test")
        [found] = report["cases"]
        assert (report["passed"], report["failed"]) == (0, 1)
        assert (found["line"], found["column"]) == (1, 2)
        for said in messages:
            assert any(each.startswith(said) for each in found["messages"]), found["messages"]
        assert {*diff} <= {*found["diff"]}
        assert bool(found["diff"]) == bool(diff)

        assert text.output.startswith(f"FAILED {project.folder / 'cases.yml'}:1:2\n")
        root = ET.fromstring(junit.output)
        assert root.attrib | {"tests": "1", "failures": "1"} == root.attrib
        failure = root.findtext("testsuite/testcase/failure") or ""
        for line in [*messages, *diff]:
            assert line in text.output
            assert line in failure

    def test_the_differences_show_only_what_is_compared(self, project: Project) -> None:
        case = json.dumps([FAILING["another value"]["case"]])
        [found] = project.test(case, "--format", "json").json("test")["cases"]
        assert not any("args" in line or "day" in line for line in found["diff"])

    def test_no_case_depends_on_others(self, tmp_path: Path, line: CommandLine) -> None:
        # The function sets an entry aside that was aborted three times.
        loops = "{% for a in range(2000) %}" * 3 + "{% endfor %}" * 3
        cases: list[Any] = [{"key": "slow", "expect": "nothing", "because": "aborted"}] * 3
        cases.append({"key": "fast", "expect": [{"job_id": "load"}]})
        parameters = {"a": "{% if key == 'slow' %}" + loops + "{% endif %}"}
        entry = trigger_entry("t", "*", parameters=parameters, **{"x-tests": cases})
        (tmp_path / "e.json").write_text(json.dumps(entry))
        ran = line("test", str(tmp_path))
        assert ran.output == "4 cases: 4 passed, 0 failed\n"

    def test_the_rest_is_run(self, project: Project) -> None:
        ran = project.test(f"- {json.dumps(FAILING['another value']['case'])}\n{PASSING}")
        assert ran.status == 1
        assert f" cases: {PASSING.count('name: ')} passed, 1 failed" in ran.output


OF_FIELDS: Final = [
    ("kye: a, expect: nothing", "1:21: unknown field 'kye' of a case: did you mean 'key'?"),
    (
        "key: s3://shop/orders/a.csv, expect: nothing",
        "1:26: 's3://shop/orders/a.csv' is not a key below the entry's prefix: ",
    ),
    (
        "key: 'arn:aws:s3:::shop/orders/a.csv', expect: nothing",
        "1:26: 'arn:aws:s3:::shop/orders/a.csv' is not a key below",
    ),
    ("key: shop/orders/a.csv, expect: nothing", "write 'orders/a.csv', or as_is: true"),
    ("key: /orders/a.csv, expect: nothing", "write 'orders/a.csv', or as_is: true"),
    (
        "object: a, expect: nothing",
        "1:21: unknown field 'object' of a case; it may have trigger_id, name, key, ",
    ),
    ("expect: nothing", "1:2: a case needs a key, or an event: the file of a payload"),
    ("key: 12, expect: nothing", "1:26: 12 is not a text: put it in quotes"),
    ("event: e.json, expect: nothing", "1:28: "),
    ("key: a", "1:2: expect is missing: nothing, or a list of dispatches"),
    ("key: a, expect: nothing, exactly: nothing", "1:46: expect and exactly exclude each other"),
    ("key: a, expect: []", "1:37: an empty list: write nothing where none is expected"),
    (
        "key: a, expect: something",
        "1:37: expected is nothing, or a list of dispatches; a dispatch is a map, not 'something'",
    ),
    ("key: a, expect: [{worker: core}]", "1:38: job_id is missing in an expected dispatch"),
    (
        "key: a, expect: [{job_id: a, paramters: {}}]",
        "1:50: unknown field 'paramters' of a dispatch: did you mean 'parameters'?",
    ),
    ("key: a, expect: [{job_id: a, parameters: [1]}]", "1:62: [1] is not a map"),
    (
        "key: a, expect: [{job_id: a, delay: 1y}]",
        "1:57: '1y' is not a duration such as 90, 90s or 1.5m (units: s m h d w)",
    ),
    ("key: a, size: -1, expect: nothing", "1:35: -1 is not a number of bytes"),
    (
        "key: a, event_type: ObjectCreated, expect: nothing",
        "1:41: no event type 'ObjectCreated': did you mean ObjectCreated:",
    ),
    (
        "key: a, time: soon, expect: nothing",
        "1:35: 'soon' is not a time such as 2026-03-14T01:59:26Z",
    ),
    (
        "key: a, time: 2026-03-14, expect: nothing",
        'YAML reads 2026-03-14 as a date: put it in quotes, "2026-03-14"',
    ),
    ("key: a, source_ip: x, expect: nothing", "1:40: 'x' is not an IP address"),
    ("key: a, alone: 'yes', expect: nothing", "1:36: 'yes' is neither true nor false"),
    (
        "key: a, expect: {job_id: load}, because: if_fnmatch",
        "1:53: because goes with expect: nothing",
    ),
    (
        "key: a, event: e.json, expect: nothing",
        "1:21: key and event exclude each other: the payload has an object",
    ),
    ("key: a, key: b, expect: nothing", "1:29: duplicate name 'key' (first at line 1)"),
]
MISTAKES: Final = [
    ("[x]", "1:2: a case is a map, not 'x'"),
    ("x", "1:1: a list of cases is missing here"),
    ("[{key: a}]", "1:2: trigger_id is missing: a case in a file names its entry"),
    (
        "[{trigger_id: laod, key: a, expect: nothing}]",
        "1:15: there is no entry with the trigger_id 'laod': did you mean 'load'?",
    ),
    (
        "[{trigger_id: kinds, key: a, event_type: 'ObjectAcl:Put', size: 1, expect: nothing}]",
        "1:59: events of type ObjectAcl:Put have no size",
    ),
    (
        "[{trigger_id: one, key: a, expect: nothing, because: if_fnmatch}]",
        "1:54: unknown reason 'if_fnmatch'; known reasons: (no condition) and unmatched, ",
    ),
    ("[{", "no valid YAML"),
    ("[{trigger_id: load, key: a, expect: nothing},\n  {", "cases.yml:"),
    *((f"[{{trigger_id: load, {fields}}}]", message) for fields, message in OF_FIELDS),
]


class TestMistakes:
    """A case that cannot be used is told in one line, with its place."""

    @pytest.mark.parametrize(("cases", "message"), MISTAKES)
    def test_it_is_told_with_its_place(self, cases: str, message: str, project: Project) -> None:
        ran = project.test(cases)
        assert (ran.status, ran.output) == (3, "")
        assert message in ran.errors
        assert ran.errors.startswith(f"Error: {project.folder / 'cases.yml'}:")
        assert ran.errors.count("\n") == 1
        assert "Traceback" not in ran.errors

    @pytest.mark.parametrize(
        ("cases", "message"),
        [
            ("{}", "1:48: x-tests must be a list of cases"),
            ("[{becuase: x}]", "1:50: unknown field 'becuase' of a case: did you mean 'because'?"),
        ],
    )
    def test_an_entrys_cases_have_a_place_too(
        self, tmp_path: Path, line: CommandLine, cases: str, message: str
    ) -> None:
        file = tmp_path / "e.yaml"
        file.write_text(f"{{trigger_id: t, bucket: b, prefix: p, x-tests: {cases}}}")
        ran = line("test", str(file))
        assert (ran.status, ran.errors) == (3, f"Error: {file}:{message}\n")

    def test_names_of_fields_are_told_as_check_tells_them(
        self, tmp_path: Path, line: CommandLine
    ) -> None:
        trigger = trigger_entry("t", "p", paramters={})
        named = trigger_entry("u", "q", **{"x-test": [], "x-text": 1})
        job = {"job_id": "load", "type": "exe", "worker": "core", "payload": "x", "enabeld": True}
        passing = trigger_entry("v", "r")
        cases = [{"key": "r/a", "expect": "nothing", "because": "job_disabled"}]
        entries = [trigger, named, passing | {"x-tests": cases}, job]
        file = tmp_path / "e.jsonl"
        file.write_text("\n".join(map(json.dumps, entries)))

        ran = line("test", str(file))

        assert (ran.status, ran.output) == (0, "1 case: 1 passed, 0 failed\n")
        found = [warning.partition(": ")[2].partition(": ") for warning in ran.errors.splitlines()]
        assert [(place.split(":")[1], message.split(" (")[0]) for place, _, message in found] == [
            ("1", "unknown field 'paramters'"),
            ("2", "custom field 'x-test'; did you mean 'x-tests'?"),
            ("4", "unknown job field 'enabeld'; did you mean enabled?"),
        ]

    def test_what_is_no_entry_is_an_error_where_it_is_named(self, project: Project) -> None:
        (project.folder / "payload.json").write_text("{}")
        ran = project.test(EXACTLY, str(project.folder / "payload.json"))
        assert (ran.status, ran.output) == (3, "")
        assert "payload.json:1:1: not an entry" in ran.errors
        assert project.line("test", str(project.folder), "--coverage").status == 0

    def test_a_worker_needs_jobs(self, project: Project, line: CommandLine) -> None:
        cases = project.folder / "c.json"
        cases.write_text(
            '[{"trigger_id": "one", "key": "a", "expect": [{"job_id": "load", "worker": "core"}]}]'
        )
        entries, jobs = project.entries
        ran = line("test", entries, "--cases", str(cases))
        assert (ran.status, ran.output) == (3, "")
        assert "c.json:1:76: the workers of jobs are unknown" in ran.errors
        ran = line("test", entries, "--cases", str(cases), "--jobs", jobs)
        assert ran.status == 1  # the neighbour audits


class TestFormats:
    """Entries may be in any format that the table's entries come in."""

    def test_entries_in_dynamodbs_json_have_cases(self, tmp_path: Path, line: CommandLine) -> None:
        case = {"key": "in/a", "size": 5, "expect": [{"job_id": "load", "parameters": {}}]}
        entry = item(trigger_entry() | {"x-tests": [case]})
        (tmp_path / "scan.json").write_text(json.dumps({"Items": [entry], "Count": 1}))
        assert line("test", str(tmp_path)).output == "1 case: 1 passed, 0 failed\n"

    def test_cases_may_be_json_lines(self, project: Project) -> None:
        file = project.folder / "cases.jsonl"
        cases = [{"trigger_id": "one", "key": "a", "alone": True, "expect": {"job_id": "load"}}] * 2
        file.write_text("".join(f"{json.dumps(each)}\n" for each in cases))
        ran = project.line("test", project.entries[0], "--cases", str(file))
        assert ran.output == "2 cases: 2 passed, 0 failed\n"


class TestEvents:
    """A case may have a payload file, by any route, in place of an object."""

    def test_the_path_is_relative_to_the_file_of_the_case(self, project: Project) -> None:
        shutil.copy(CHECKOUT / "events" / "s3-created.json", project.folder / "e.json")
        case = "{trigger_id: load, event: e.json, expect: nothing, because: unmatched}"
        assert project.test(f"[{case}]").status == 0

    def test_what_is_not_understood_fails(self, project: Project) -> None:
        (project.folder / "e.json").write_text('{"Records": [{"s3": {}}]}')
        ran = project.test("[{trigger_id: load, event: e.json, expect: nothing}]")
        assert ran.status == 1
        assert "the payload is not understood: s3.object.key is None" in ran.output


class TestCoverage:
    """What the cases have not seen is named."""

    def test_entries_without_a_case_and_unseen_verdicts_are_named(self, project: Project) -> None:
        draft = "{trigger_id: load, key: orders/draft/a.csv, expect: nothing}"
        ran = project.test(f"{BECAUSE_OF_SIZE}- {draft}", "--coverage", "--format", "json")
        report = ran.json("test")["coverage"]
        assert ran.status == 0
        assert [each["trigger_id"] for each in report["without_case"]] == [
            "broken", "fails", "off", "gone", "paused", "one", "other", "first", "second", "kinds",
        ]  # fmt: skip
        assert [(each["field"], each["holds"]) for each in report["not_seen"]] == [
            ("if_fnmatch", False)
        ]

    def test_text_names_the_place(self, project: Project) -> None:
        ran = project.test(BECAUSE_OF_SIZE, "--coverage")
        entries = project.folder / "entries.yaml"
        assert f"no case {entries}:12 broken\n" in ran.output
        assert f"not seen {entries}:5:15 load: that if_fnmatch does not hold\n" in ran.output
        assert f"not seen {entries}:6:19 load: that if_not_fnmatch does not hold\n" in ran.output
        assert "if_size_gt does not hold" not in ran.output

    def test_without_any_case_all_is_named(self, project: Project, line: CommandLine) -> None:
        ran = line("test", str(project.folder), "--coverage")
        assert ran.status == 0
        assert ran.output.count("no case ") == 11


def test_the_realms_tables_are_read(
    realm: Realm, in_realm: tuple[str, ...], line: CommandLine
) -> None:
    realm.put("jobs", [job_entry("j")])
    case: dict[str, Any] = {"key": "p/a", "expect": [{"job_id": "j", "worker": "web"}]}
    realm.put("s3triggers", [trigger_entry("t", "p", job_id="j", **{"x-tests": [case]})])
    ran = line("test", *in_realm)
    assert ran.status == 1, ran.errors
    assert ran.output.startswith(f"FAILED lava.{realm.name}.s3triggers, case 1\n")
    assert '+  "worker": "core"' in ran.output


class TestTerminal:
    """Nothing that a key or an entry holds reaches the terminal raw."""

    @pytest.mark.parametrize("format_", ["text", "json", "junit"])
    def test_hostile_keys_are_escaped(
        self, format_: str, tmp_path: Path, line: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        cases = [
            {"key": key, "name": f"{key}\ud800[bold]", "expect": [{"job_id": f"x{key}"}]}
            for key in attacking_keys()
        ]
        hostile = {"if_fnmatch": "*\x9b31m", "job_id": "j\x1b]0;x\x07[link=http://x]"}
        entry = trigger_entry("t\u202e\x1b[31m", "*", **hostile, **{"x-tests": cases})
        file = tmp_path / "e.json"
        file.write_text(json.dumps(entry))
        ran = line("test", str(file), "--format", format_, "--coverage")
        assert ran.status == 1, ran.errors
        assert not raw(ran.output, is_terminal=format_ == "text")

    def test_hostile_cases_are_escaped(self, tmp_path: Path, line: CommandLine) -> None:
        file = tmp_path / "e.json"
        case = {"key": "a", "ex\x1b[31m\u202epect": 1}
        entry = {"trigger_id": "t", "bucket": "b", "prefix": "*", "x-tests": [case]}
        file.write_text(json.dumps(entry))
        ran = line("test", str(file))
        assert ran.status == 3
        assert not raw(ran.errors)


def test_a_file_is_written(project: Project) -> None:
    file = project.folder / "report.xml"
    ran = project.test(EXACTLY, "--format", "junit", "--output", str(file))
    assert (ran.status, ran.output) == (0, "")
    [case] = ET.parse(file).iter("testcase")
    assert case.attrib["name"] == "case 1: a"
