"""``lava-s3trigger test``: cases that hold pass, and others fail with their differences."""

import json
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from lava_s3trigger.cli.output.escaping import safe
from tests.build import job_entry, trigger_entry
from tools.local.realm import Realm
from tools.local.server import LocalAws

from .commandline import CommandLine, Ran

CHECKOUT: Final = Path(__file__).parents[2]
ATTACKS: Final = CHECKOUT / "tests" / "attacks"

ENTRIES: Final = """\
- trigger_id: load
  bucket: shop
  prefix: orders
  enabled: true
  if_fnmatch: "*.csv"
  if_not_fnmatch: "*/draft/*"
  if_size_gt: 0
  delay: 1m
  job_id: [load, audit]
  parameters: {args: ["{{ key }}"], options: {day: "{{ utils.date.today() }}", retries: 3}}
  globals: {id: "{{ utils.uuid() }}"}
- {trigger_id: broken, bucket: bad, prefix: "*", enabled: true, job_id: load, paramters: {}}
- {trigger_id: fails, bucket: bad2, prefix: "*", enabled: true, job_id: "{{ key.nothing.here }}"}
- {trigger_id: off, bucket: shop, prefix: orders/old, enabled: false, job_id: load}
- {trigger_id: gone, bucket: shop, prefix: gone, enabled: true, job_id: gone}
- {trigger_id: paused, bucket: shop, prefix: paused, enabled: true, job_id: paused}
- {trigger_id: one, bucket: two, prefix: "*", enabled: true, job_id: load}
- {trigger_id: other, bucket: two, prefix: "*", enabled: true, job_id: audit}
- {trigger_id: first, bucket: same, prefix: "*", enabled: true, job_id: load, parameters: {n: 1}}
- {trigger_id: second, bucket: same, prefix: "*", enabled: true, job_id: load,
  parameters: {n: 2, yes: true}}
- trigger_id: kinds
  bucket: kinds
  prefix: "*"
  enabled: true
  job_id: load
  parameters:
   {detail: "{{ event['detail-type'] }}", type: "{{ info.event_type }}",
    size: "{{ info.size }}", ip: "{{ info.source_ip }}",
    time: "{{ info.event_time }}", now: "{{ utils.datetime.now() }}"}
"""
JOBS: Final = """\
- {job_id: load, type: exe, worker: core, payload: load.sh, enabled: true}
- {job_id: audit, type: exe, worker: reports, payload: audit.sh, enabled: true}
- {job_id: paused, type: exe, worker: core, payload: x.sh, enabled: false}
"""


class Project:
    """A folder of entries and jobs, and its cases."""

    def __init__(self, folder: Path, line: CommandLine) -> None:
        self.folder = folder
        self.line = line
        (folder / "entries.yaml").write_text(ENTRIES)
        (folder / "jobs.yaml").write_text(JOBS)

    def test(self, cases: str, *options: str) -> Ran:
        """Run cases in YAML."""
        file = self.folder / "cases.yml"
        file.write_text(cases)
        entries = [str(self.folder / name) for name in ("entries.yaml", "jobs.yaml")]
        return self.line.run("test", *entries, "--cases", str(file), *options)


@pytest.fixture
def project(tmp_path: Path, line: CommandLine) -> Project:
    return Project(tmp_path, line)


PASSING: Final = {
    "a list of dispatches": "{trigger_id: load, key: orders/a.csv,"
    " expect: [{job_id: load}, {job_id: audit}]}",
    "in another order": "{trigger_id: load, key: orders/a.csv,"
    " expect: [{job_id: audit}, {job_id: load}]}",
    "maps compared for what they name": "{trigger_id: load, key: orders/a.csv, expect: ["
    "{job_id: load, parameters: {options: {retries: 3}}}, {job_id: audit, parameters: {}}]}",
    "worker and delay": "{trigger_id: load, key: orders/a.csv, expect: ["
    "{job_id: load, worker: core, delay: 60}, {job_id: audit, worker: reports, delay: 1m}]}",
    "fixed values": "{trigger_id: load, key: orders/a.csv, expect: ["
    '{job_id: load, parameters: {options: {day: "2026-03-14"}},'
    " globals: {id: 00000000-0000-4000-8000-000000000001}}, {job_id: audit}]}",
    "now": '{trigger_id: load, key: orders/a.csv, now: "2030-01-02T00:00:00Z", expect: ['
    '{job_id: load, parameters: {options: {day: "2030-01-02"}}}, {job_id: audit}]}',
    "time is now where none is given": "{trigger_id: load, key: orders/a.csv,"
    ' time: "2031-01-02T00:00:00Z", expect: ['
    '{job_id: load, parameters: {options: {day: "2031-01-02"}}}, {job_id: audit}]}',
    "a key that begins with the bucket, as marked": "{trigger_id: load, key: shop/a.csv,"
    " as_is: true, expect: nothing}",
    "a key that begins with a slash, as marked": "{trigger_id: load, key: /orders/a.csv,"
    " as_is: true, expect: nothing, because: unmatched}",
    "exactly": "{trigger_id: one, key: a, alone: true, exactly: {job_id: load}}",
    "exactly, with maps": "{trigger_id: load, key: orders/a.csv, exactly: ["
    "{job_id: load, delay: 60, globals: {id: 00000000-0000-4000-8000-000000000001},"
    ' parameters: {args: [orders/a.csv], options: {day: "2026-03-14", retries: 3}}},'
    "{job_id: audit, delay: 60, globals: {id: 00000000-0000-4000-8000-000000000001},"
    ' parameters: {args: [orders/a.csv], options: {day: "2026-03-14", retries: 3}}}]}',
    "the vaguest first": (
        "{trigger_id: first, key: a, expect: [{job_id: load}, {job_id: load, parameters: {n: 1}}]}"
    ),
    "the vaguest last": (
        "{trigger_id: first, key: a, expect: [{job_id: load, parameters: {n: 2}}, {job_id: load}]}"
    ),
    "a number is a number": (
        "{trigger_id: first, key: a, alone: true, expect: {job_id: load, parameters: {n: 1.0}}}"
    ),
    "nothing": "{trigger_id: load, key: orders/a.txt, expect: nothing}",
    "nothing exactly": "{trigger_id: load, key: orders/a.txt, exactly: nothing}",
    "because of a condition": "{trigger_id: load, key: orders/draft/a.csv, expect: nothing,"
    " because: if_not_fnmatch}",
    "because of any condition": "{trigger_id: load, key: orders/a.txt, expect: nothing,"
    " because: condition_not_met}",
    "because of its size": "{trigger_id: load, key: orders/a.csv, size: 0, expect: nothing,"
    " because: if_size_gt}",
    "unmatched": "{trigger_id: load, key: other/a.csv, expect: nothing, because: unmatched}",
    "hidden": "{trigger_id: load, key: orders/old/a.csv, expect: nothing, because: unmatched}",
    "disabled": "{trigger_id: off, key: orders/old/a.csv, expect: nothing,"
    " because: trigger_disabled}",
    "bad entry": "{trigger_id: broken, key: a, expect: nothing, because: bad_entry}",
    "template that fails": "{trigger_id: fails, key: a, expect: nothing,"
    " because: rendering_failed}",
    "no such job": "{trigger_id: gone, key: gone/a, expect: nothing, because: no_such_job}",
    "disabled job": "{trigger_id: paused, key: paused/a, expect: nothing, because: job_disabled}",
    "all matching entries decide": "{trigger_id: one, key: a,"
    " expect: [{job_id: load}, {job_id: audit}]}",
    "alone": "{trigger_id: one, key: a, alone: true, expect: {job_id: load}}",
    "the object's elements": "{trigger_id: kinds, key: a, size: 10 KiB, source_ip: 203.0.113.7,"
    ' time: "2026-05-01T02:00:00+02:00", event_type: "ObjectCreated:Copy", expect: {job_id: load,'
    " parameters: {type: 'ObjectCreated:Copy', size: '10240', ip: 203.0.113.7,"
    " time: '2026-05-01 00:00:00+00:00', now: '2026-05-01 00:00:00'}}}",
    "the object's defaults": "{trigger_id: kinds, key: a, exactly: {job_id: load, parameters:"
    " {type: 'ObjectCreated:Put', detail: '', size: '1', ip: 203.0.113.7,"
    " time: '2026-03-14 01:59:26+00:00',"
    " now: '2026-03-14 01:59:26'}}}",
    "an event of EventBridge": (
        "{trigger_id: kinds, key: a, event_type: 'ObjectCreated:PutObject',"
        " expect: {job_id: load,"
        " parameters: {type: 'ObjectCreated:PutObject', detail: Object Created}}}"
    ),
    "an event of another server": (
        "{trigger_id: kinds, key: a, event_type: 's3:ObjectCreated:Put',"
        " expect: {job_id: load, parameters: {type: 's3:ObjectCreated:Put'}}}"
    ),
    "an event by S3 itself has no address": (
        "{trigger_id: kinds, key: a, event_type: 'LifecycleExpiration:Delete',"
        " expect: {job_id: load, parameters: {ip: None}}}"
    ),
    "a deletion has no size": "{trigger_id: kinds, key: a, event_type: 'ObjectRemoved:Delete',"
    " expect: {job_id: load, parameters: {size: '0'}}}",
}

FAILING: Final = {
    "another value": (
        (
            "{trigger_id: load, key: orders/a.csv, expect: ["
            "{job_id: load, parameters: {options: {retries: 4}}}, {job_id: audit}]}"
        ),
        ["a different dispatch than expected"],
        ['-      "retries": 4', '+      "retries": 3'],
    ),
    "a value that is missing": (
        (
            "{trigger_id: load, key: orders/a.csv, expect: ["
            "{job_id: load, parameters: {colour: red}}, {job_id: audit}]}"
        ),
        ["a different dispatch than expected"],
        ['-    "colour": "red"'],
    ),
    "a number in place of a string": (
        "{trigger_id: kinds, key: a, expect: {job_id: load, parameters: {size: 1}}}",
        ["a different dispatch than expected"],
        ['-    "size": 1', '+    "size": "1"'],
    ),
    "a boolean in place of a number": (
        (
            "{trigger_id: load, key: orders/a.csv, expect: ["
            "{job_id: load, parameters: {options: {retries: true}}}, {job_id: audit}]}"
        ),
        ["a different dispatch than expected"],
        ['-      "retries": true', '+      "retries": 3'],
    ),
    "a number in place of a boolean": (
        "{trigger_id: second, key: a, alone: true, expect: {job_id: load, parameters: {yes: 1}}}",
        ["a different dispatch than expected"],
        ['-    "yes": 1', '+    "yes": true'],
    ),
    "a list with less": (
        (
            "{trigger_id: load, key: orders/a.csv, expect: ["
            "{job_id: load, parameters: {args: []}}, {job_id: audit}]}"
        ),
        ["a different dispatch than expected"],
        ['-    "args": []', '+      "orders/a.csv"'],
    ),
    "the same expected of two": (
        (
            "{trigger_id: first, key: a, expect: ["
            "{job_id: load, parameters: {n: 1}}, {job_id: load, parameters: {n: 1}}]}"
        ),
        ["a different dispatch than expected"],
        ['-    "n": 1', '+    "n": 2'],
    ),
    "another worker": (
        "{trigger_id: one, key: a, alone: true, expect: {job_id: load, worker: web}}",
        ["a different dispatch than expected"],
        ['-  "worker": "web"', '+  "worker": "core"'],
    ),
    "another delay": (
        "{trigger_id: one, key: a, alone: true, expect: {job_id: load, delay: 5}}",
        ["a different dispatch than expected"],
        ['-  "delay": 5', '+  "delay": 0'],
    ),
    "a dispatch too few": (
        "{trigger_id: one, key: a, alone: true, expect: [{job_id: load}, {job_id: audit}]}",
        ["expected 2 dispatches, decided one dispatch"],
        ['-  "job_id": "audit"'],
    ),
    "the same twice": (
        "{trigger_id: one, key: a, alone: true, expect: [{job_id: load}, {job_id: load}]}",
        ["expected 2 dispatches, decided one dispatch"],
        ['-  "job_id": "load"'],
    ),
    "a dispatch of a neighbour": (
        "{trigger_id: one, key: a, expect: {job_id: load}}",
        ["expected one dispatch, decided 2 dispatches"],
        ['+  "trigger_id": "other",', '+  "job_id": "audit",'],
    ),
    "more than exactly": (
        "{trigger_id: kinds, key: a, exactly: {job_id: load, parameters: {size: '1'}}}",
        ["a different dispatch than expected"],
        ['+    "type": "ObjectCreated:Put"'],
    ),
    "a delay that exactly does not name": (
        "{trigger_id: load, key: orders/a.csv, exactly: [{job_id: load}, {job_id: audit}]}",
        ["a different dispatch than expected"],
        ['-  "delay": 0,', '+  "delay": 60,'],
    ),
    "nothing in place of a dispatch": (
        "{trigger_id: load, key: orders/draft/a.csv, expect: [{job_id: load}, {job_id: audit}]}",
        [
            "expected 2 dispatches, decided nothing",
            "trigger 'load': skipped: not met: if_not_fnmatch '*/draft/*'",
        ],
        ['-  "job_id": "load"', '-  "job_id": "audit"'],
    ),
    "no entry there": (
        "{trigger_id: load, key: else, expect: {job_id: load}}",
        [
            "expected one dispatch, decided nothing",
            "no entry of bucket 'shop' matches; prefixes tried: 'else', '*'",
        ],
        ['-  "job_id": "load"'],
    ),
    "a prefix that no longer matches": (
        "{trigger_id: load, key: one/a.csv, expect: {job_id: load}}",
        ["trigger 'load': its prefix 'orders' does not match 'one/a.csv'; prefixes tried: "],
        ['-  "job_id": "load"'],
    ),
    "a prefix that another entry hides": (
        "{trigger_id: load, key: orders/old/a.csv, expect: {job_id: load}}",
        ["trigger 'load': its prefix 'orders' is hidden by the longer prefix 'orders/old'; "],
        ['-  "job_id": "load"'],
    ),
    "a dispatch in place of nothing": (
        "{trigger_id: one, key: a, alone: true, expect: nothing}",
        ["expected nothing, decided one dispatch"],
        ['+  "job_id": "load",', '+  "worker": "core"'],
    ),
    "another condition": (
        "{trigger_id: load, key: orders/draft/a.csv, expect: nothing, because: if_fnmatch}",
        [
            "nothing is dispatched, but not because of if_fnmatch",
            "trigger 'load': skipped: not met: if_not_fnmatch '*/draft/*'",
        ],
        [],
    ),
    "not unmatched": (
        "{trigger_id: load, key: orders/a.txt, expect: nothing, because: unmatched}",
        ["nothing is dispatched, but not because of unmatched"],
        [],
    ),
    "a mistake is not nothing": (
        "{trigger_id: broken, key: a, expect: nothing}",
        ["trigger 'broken': parked: bad entry: unknown field 'paramters' (did you mean"],
        [],
    ),
    "another mistake": (
        "{trigger_id: gone, key: gone/a, expect: nothing, because: rendering_failed}",
        ["trigger 'gone': parked: job 'gone': no job 'gone' in "],
        [],
    ),
}


class TestPassing:
    """Cases that hold."""

    @pytest.mark.parametrize("case", PASSING.values(), ids=PASSING)
    def test_it_passes(self, case: str, project: Project) -> None:
        ran = project.test(f"[{case}]", "--format", "json")
        report = ran.json("test")
        assert (ran.status, report["passed"], report["failed"]) == (0, 1, 0), ran.errors
        assert (report["cases"][0]["line"], report["cases"][0]["column"]) == (1, 2)


class TestFailing:
    """Cases that do not hold."""

    @pytest.mark.parametrize(("case", "messages", "diff"), FAILING.values(), ids=FAILING)
    def test_it_fails_with_its_differences(
        self, case: str, messages: list[str], diff: list[str], project: Project
    ) -> None:
        ran = project.test(f"[{case}]", "--format", "json")
        report = ran.json("test")
        assert ran.status == 1
        assert (report["passed"], report["failed"]) == (0, 1)
        [found] = report["cases"]
        for text in messages:
            assert any(each.startswith(text) for each in found["messages"]), found["messages"]
        for text in diff:
            assert text in found["diff"]
        assert bool(found["diff"]) == bool(diff)

    @pytest.mark.parametrize(("case", "messages", "diff"), FAILING.values(), ids=FAILING)
    def test_people_and_ci_servers_are_told_the_same(
        self, case: str, messages: list[str], diff: list[str], project: Project
    ) -> None:
        text = project.test(f"[{case}]")
        junit = project.test(f"[{case}]", "--format", "junit")
        assert text.status == junit.status == 1
        assert text.output.startswith(f"FAILED {project.folder / 'cases.yml'}:1:2\n")
        root = ET.fromstring(junit.output)
        assert root.attrib | {"tests": "1", "failures": "1"} == root.attrib
        failure = root.findtext("testsuite/testcase/failure")
        assert failure
        for line in [*messages, *diff]:
            assert line in text.output
            assert line in failure

    def test_the_differences_show_only_what_is_compared(self, project: Project) -> None:
        case = FAILING["another value"][0]
        [found] = project.test(f"[{case}]", "--format", "json").json("test")["cases"]
        assert not any("args" in line or "day" in line for line in found["diff"])

    def test_no_case_depends_on_others(self, tmp_path: Path, line: CommandLine) -> None:
        # The function sets an entry aside that was aborted three times.
        loops = "{% for a in range(2000) %}" * 3 + "{% endfor %}" * 3
        cases: list[Any] = [{"key": "slow", "expect": "nothing", "because": "aborted"}] * 3
        cases.append({"key": "fast", "expect": [{"job_id": "load"}]})
        parameters = {"a": "{% if key == 'slow' %}" + loops + "{% endif %}"}
        entry = trigger_entry("t", "*", parameters=parameters, **{"x-tests": cases})
        (tmp_path / "e.json").write_text(json.dumps(entry))
        ran = line.run("test", str(tmp_path))
        assert ran.output == "4 cases: 4 passed, 0 failed\n"

    def test_the_rest_is_run(self, project: Project) -> None:
        cases = [FAILING["another value"][0], *PASSING.values()]
        ran = project.test("\n".join(f"- {each}" for each in cases))
        assert ran.status == 1
        assert f"{len(cases)} cases: {len(cases) - 1} passed, 1 failed" in ran.output


MISTAKES: Final = {
    "no map": ("[x]", "1:2: a case is a map, not 'x'"),
    "no list": ("x", "1:1: a list of cases is missing here"),
    "no trigger_id": ("[{key: a}]", "1:2: trigger_id is missing: a case in a file names its entry"),
    "unknown trigger_id": (
        "[{trigger_id: laod, key: a, expect: nothing}]",
        "1:15: there is no entry with the trigger_id 'laod': did you mean 'load'?",
    ),
    "unknown field": (
        "[{trigger_id: load, kye: a, expect: nothing}]",
        "1:21: unknown field 'kye' of a case: did you mean 'key'?",
    ),
    "a URI": (
        "[{trigger_id: load, key: s3://shop/orders/a.csv, expect: nothing}]",
        "1:26: 's3://shop/orders/a.csv' is not a key below the entry's prefix: ",
    ),
    "an ARN": (
        "[{trigger_id: load, key: 'arn:aws:s3:::shop/orders/a.csv', expect: nothing}]",
        "1:26: 'arn:aws:s3:::shop/orders/a.csv' is not a key below",
    ),
    "the bucket before the key": (
        "[{trigger_id: load, key: shop/orders/a.csv, expect: nothing}]",
        "write 'orders/a.csv', or as_is: true",
    ),
    "a slash before the key": (
        "[{trigger_id: load, key: /orders/a.csv, expect: nothing}]",
        "write 'orders/a.csv', or as_is: true",
    ),
    "an unlike field": (
        "[{trigger_id: load, object: a, expect: nothing}]",
        "1:21: unknown field 'object' of a case; it may have trigger_id, name, key, ",
    ),
    "no object": (
        "[{trigger_id: load, expect: nothing}]",
        "1:2: a case needs a key, or an event: the file of a payload",
    ),
    "no expectation": (
        "[{trigger_id: load, key: a}]",
        "1:2: expect is missing: nothing, or a list of dispatches",
    ),
    "two expectations": (
        "[{trigger_id: load, key: a, expect: nothing, exactly: nothing}]",
        "1:46: expect and exactly exclude each other",
    ),
    "no dispatch": (
        "[{trigger_id: load, key: a, expect: []}]",
        "1:37: an empty list: write nothing where none is expected",
    ),
    "a word": (
        "[{trigger_id: load, key: a, expect: something}]",
        "1:37: expected is nothing, or a list of dispatches; a dispatch is a map, not 'something'",
    ),
    "no job_id": (
        "[{trigger_id: load, key: a, expect: [{worker: core}]}]",
        "1:38: job_id is missing in an expected dispatch",
    ),
    "unknown field of a dispatch": (
        "[{trigger_id: load, key: a, expect: [{job_id: a, paramters: {}}]}]",
        "1:50: unknown field 'paramters' of a dispatch: did you mean 'parameters'?",
    ),
    "parameters that are no map": (
        "[{trigger_id: load, key: a, expect: [{job_id: a, parameters: [1]}]}]",
        "1:62: [1] is not a map",
    ),
    "bad delay": (
        "[{trigger_id: load, key: a, expect: [{job_id: a, delay: 1y}]}]",
        "1:57: '1y' is not a duration such as 90, 90s or 1.5m (units: s m h d w)",
    ),
    "a key that is a number": (
        "[{trigger_id: load, key: 12, expect: nothing}]",
        "1:26: 12 is not a text: put it in quotes",
    ),
    "a bad size": (
        "[{trigger_id: load, key: a, size: -1, expect: nothing}]",
        "1:35: -1 is not a number of bytes",
    ),
    "a size that the event has not": (
        "[{trigger_id: kinds, key: a, event_type: 'ObjectAcl:Put', size: 1, expect: nothing}]",
        "1:59: events of type ObjectAcl:Put have no size",
    ),
    "an unknown event type": (
        "[{trigger_id: load, key: a, event_type: ObjectCreated, expect: nothing}]",
        "1:41: no event type 'ObjectCreated': did you mean ObjectCreated:",
    ),
    "a bad time": (
        "[{trigger_id: load, key: a, time: soon, expect: nothing}]",
        "1:35: 'soon' is not a time such as 2026-03-14T01:59:26Z",
    ),
    "a date of YAML": (
        "[{trigger_id: load, key: a, time: 2026-03-14, expect: nothing}]",
        'YAML reads 2026-03-14 as a date: put it in quotes, "2026-03-14"',
    ),
    "a bad address": (
        "[{trigger_id: load, key: a, source_ip: x, expect: nothing}]",
        "1:40: 'x' is not an IP address",
    ),
    "alone in words": (
        "[{trigger_id: load, key: a, alone: 'yes', expect: nothing}]",
        "1:36: 'yes' is neither true nor false",
    ),
    "because of what is not there": (
        "[{trigger_id: one, key: a, expect: nothing, because: if_fnmatch}]",
        "1:54: unknown reason 'if_fnmatch'; known reasons: (no condition) and unmatched, ",
    ),
    "because of a dispatch": (
        "[{trigger_id: load, key: a, expect: {job_id: load}, because: if_fnmatch}]",
        "1:53: because goes with expect: nothing",
    ),
    "two objects": (
        "[{trigger_id: load, key: a, event: e.json, expect: nothing}]",
        "1:21: key and event exclude each other: the payload has an object",
    ),
    "no payload": (
        "[{trigger_id: load, event: e.json, expect: nothing}]",
        "1:28: ",
    ),
    "no YAML": ("[{", "no valid YAML"),
    "no YAML but for a case": ("[{trigger_id: load, key: a, expect: nothing},\n  {", "cases.yml:"),
    "a name twice": (
        "[{trigger_id: load, key: a, key: b, expect: nothing}]",
        "1:29: duplicate name 'key' (first at line 1)",
    ),
}


class TestMistakes:
    """A case that cannot be used is told in one line, with its place."""

    @pytest.mark.parametrize(("cases", "message"), MISTAKES.values(), ids=MISTAKES)
    def test_it_is_told_with_its_place(self, cases: str, message: str, project: Project) -> None:
        ran = project.test(cases)
        assert (ran.status, ran.output) == (3, "")
        assert message in ran.errors
        assert ran.errors.startswith(f"Error: {project.folder / 'cases.yml'}:")
        assert ran.errors.count("\n") == 1
        assert "Traceback" not in ran.errors

    def test_an_entrys_cases_have_a_place_too(self, tmp_path: Path, line: CommandLine) -> None:
        file = tmp_path / "e.yaml"
        file.write_text(
            "trigger_id: t\nbucket: b\nprefix: p\nenabled: true\njob_id: j\n"
            "x-tests:\n  - key: p/a\n    expect: nothing\n    becuase: if_fnmatch\n"
        )
        ran = line.run("test", str(file))
        assert ran.errors == (
            f"Error: {file}:9:5: unknown field 'becuase' of a case: did you mean 'because'?\n"
        )
        assert ran.status == 3

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

        ran = line.run("test", str(file))

        assert (ran.status, ran.output) == (0, "1 case: 1 passed, 0 failed\n")
        found = [warning.partition(": ")[2].partition(": ") for warning in ran.errors.splitlines()]
        assert [(place.split(":")[1], message.split(" (")[0]) for place, _, message in found] == [
            ("1", "unknown field 'paramters'"),
            ("2", "custom field 'x-test'; did you mean 'x-tests'?"),
            ("4", "unknown job field 'enabeld'; did you mean enabled?"),
        ]

    def test_x_tests_must_be_a_list(self, tmp_path: Path, line: CommandLine) -> None:
        file = tmp_path / "e.json"
        file.write_text('{"trigger_id": "t", "bucket": "b", "prefix": "p", "x-tests": {}}')
        ran = line.run("test", str(file))
        assert (ran.status, ran.errors) == (
            3,
            f"Error: {file}:1:62: x-tests must be a list of cases\n",
        )

    def test_what_is_no_entry_is_an_error_where_it_is_named(self, project: Project) -> None:
        (project.folder / "payload.json").write_text("{}")
        ran = project.test(f"[{PASSING['exactly']}]", str(project.folder / "payload.json"))
        assert (ran.status, ran.output) == (3, "")
        assert "payload.json:1:1: not an entry" in ran.errors
        assert project.line.run("test", str(project.folder), "--coverage").status == 0

    def test_a_worker_needs_jobs(self, project: Project, line: CommandLine) -> None:
        cases = project.folder / "c.json"
        cases.write_text(
            '[{"trigger_id": "one", "key": "a", "expect": [{"job_id": "load", "worker": "core"}]}]'
        )
        ran = line.run("test", str(project.folder / "entries.yaml"), "--cases", str(cases))
        assert (ran.status, ran.output) == (3, "")
        assert "c.json:1:76: the workers of jobs are unknown" in ran.errors
        jobs = str(project.folder / "jobs.yaml")
        ran = line.run(
            "test", str(project.folder / "entries.yaml"), "--cases", str(cases), "--jobs", jobs
        )
        assert ran.status == 1  # the neighbour audits


class TestFormats:
    """Entries may be in any format that the table's entries come in."""

    def test_entries_in_dynamodbs_json_have_cases(self, tmp_path: Path, line: CommandLine) -> None:
        case = {
            "M": {
                "key": {"S": "p/a"},
                "size": {"N": "5"},
                "expect": {"L": [{"M": {"job_id": {"S": "j"}, "parameters": {"M": {}}}}]},
            }
        }
        item = {
            **{name: {"S": name[0]} for name in ("trigger_id", "bucket", "prefix", "job_id")},
            "enabled": {"BOOL": True},
            "x-tests": {"L": [case]},
        }
        (tmp_path / "scan.json").write_text(json.dumps({"Items": [item], "Count": 1}))
        assert line.run("test", str(tmp_path)).output == "1 case: 1 passed, 0 failed\n"

    def test_cases_may_be_json_lines(self, project: Project) -> None:
        file = project.folder / "cases.jsonl"
        cases = [{"trigger_id": "one", "key": "a", "alone": True, "expect": {"job_id": "load"}}] * 2
        file.write_text("".join(f"{json.dumps(each)}\n" for each in cases))
        ran = project.line.run("test", str(project.folder / "entries.yaml"), "--cases", str(file))
        assert ran.output == "2 cases: 2 passed, 0 failed\n"


class TestEvents:
    """A case may have a payload file, by any route, in place of an object."""

    def test_the_path_is_relative_to_the_file_of_the_case(self, project: Project) -> None:
        (project.folder / "e.json").write_text(
            (CHECKOUT / "events" / "s3-created.json").read_text()
        )
        ran = project.test(
            "[{trigger_id: load, event: e.json, expect: nothing, because: unmatched}]"
        )
        assert ran.status == 0, ran.errors

    def test_what_is_not_understood_fails(self, project: Project) -> None:
        (project.folder / "e.json").write_text('{"Records": [{"s3": {}}]}')
        ran = project.test("[{trigger_id: load, event: e.json, expect: nothing}]")
        assert ran.status == 1
        assert "the payload is not understood: s3.object.key is None" in ran.output


class TestCoverage:
    """What the cases have not seen is named."""

    def test_entries_without_a_case_and_unseen_verdicts_are_named(self, project: Project) -> None:
        cases = f"[{PASSING['because of a condition']}, {PASSING['because of its size']}]"
        ran = project.test(cases, "--coverage", "--format", "json")
        report = ran.json("test")["coverage"]
        assert ran.status == 0
        assert [each["trigger_id"] for each in report["without_case"]] == [
            "broken", "fails", "off", "gone", "paused", "one", "other", "first", "second", "kinds",
        ]  # fmt: skip
        assert [(each["field"], each["holds"]) for each in report["not_seen"]] == [
            ("if_fnmatch", False)
        ]

    def test_text_names_the_place(self, project: Project) -> None:
        ran = project.test(f"[{PASSING['because of its size']}]", "--coverage")
        entries = project.folder / "entries.yaml"
        assert f"no case {entries}:12 broken\n" in ran.output
        assert f"not seen {entries}:5:15 load: that if_fnmatch does not hold\n" in ran.output
        assert f"not seen {entries}:6:19 load: that if_not_fnmatch does not hold\n" in ran.output
        assert "if_size_gt does not hold" not in ran.output

    def test_without_any_case_all_is_named(self, project: Project, line: CommandLine) -> None:
        ran = line.run("test", str(project.folder), "--coverage")
        assert ran.status == 0
        assert ran.output.count("no case ") == 11


def test_the_realms_tables_are_read(
    aws: LocalAws, line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm = Realm(aws, "cases")
    realm.make(["core"])
    realm.make_triggers_table()
    realm.put("jobs", [job_entry("j")])
    case: dict[str, Any] = {"key": "p/a", "expect": [{"job_id": "j", "worker": "web"}]}
    realm.put("s3triggers", [trigger_entry("t", "p", job_id="j", **{"x-tests": [case]})])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    ran = line.run(
        "test", "--realm", "cases", "--region", "us-east-1", "--endpoint-url", aws.endpoint
    )
    assert ran.status == 1, ran.errors
    assert ran.output.startswith("FAILED lava.cases.s3triggers, case 1\n")
    assert '+  "worker": "core"' in ran.output


class TestTerminal:
    """Nothing that a key or an entry holds reaches the terminal raw."""

    @pytest.mark.parametrize("format_", ["text", "json", "junit"])
    def test_hostile_keys_are_escaped(
        self, format_: str, tmp_path: Path, line: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        keys = {
            each["key"]
            for path in ATTACKS.glob("*.json")
            for each in json.loads(path.read_text())
            if isinstance(each.get("key"), str)
            and 0 < len(each["key"].encode(errors="replace")) <= 1024
            and each["key"].encode("utf-8", "replace").decode() == each["key"]
        }
        assert len(keys) > 10
        cases = [
            {"key": key, "name": f"{key}\ud800[bold]", "expect": [{"job_id": f"x{key}"}]}
            for key in sorted(keys)
        ]
        hostile = {"if_fnmatch": "*\x9b31m", "job_id": "j\x1b]0;x\x07[link=http://x]"}
        entry = trigger_entry("t\u202e\x1b[31m", "*", **hostile, **{"x-tests": cases})
        file = tmp_path / "e.json"
        file.write_text(json.dumps(entry))
        ran = line.run("test", str(file), "--format", format_, "--coverage")
        assert ran.status == 1, ran.errors
        styles = [f"\x1b[{style}m" for style in ("0", "1", "1;31", "1;32", "31", "32", "33")]
        text = ran.output
        for style in styles if format_ == "text" else []:
            text = text.replace(style, "")
        assert text == safe(text, keep="\n")

    def test_hostile_cases_are_escaped(self, tmp_path: Path, line: CommandLine) -> None:
        file = tmp_path / "e.json"
        case = {"key": "a", "ex\x1b[31m\u202epect": 1}
        entry = {"trigger_id": "t", "bucket": "b", "prefix": "*", "x-tests": [case]}
        file.write_text(json.dumps(entry))
        ran = line.run("test", str(file))
        assert ran.status == 3
        assert ran.errors == safe(ran.errors, keep="\n")


class TestOutput:
    """The output goes where it is asked for."""

    def test_a_file_is_written(self, project: Project) -> None:
        file = project.folder / "report.xml"
        ran = project.test(f"[{PASSING['exactly']}]", "--format", "junit", "--output", str(file))
        assert (ran.status, ran.output) == (0, "")
        [case] = ET.parse(file).iter("testcase")
        assert case.attrib["name"] == "case 1: a"

    def test_help_tells_statuses_and_two_examples(self, line: CommandLine) -> None:
        ran = line.run("test", "--help")
        assert ran.status == 0
        assert "every case came out as expected" in ran.output
        assert ran.output.count("  lava-s3trigger test ") == 2
