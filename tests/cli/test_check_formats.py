"""The formats in which `check` writes findings."""

import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft4Validator

from lava_s3trigger.cli.check import report, trial
from lava_s3trigger.cli.check.lint import Linted, Surroundings, lint
from lava_s3trigger.cli.entries.load import load, load_texts
from tests.cli import terminal
from tests.cli.checking import EVERYTHING, found_in, trigger
from tests.cli.schemas import validate
from tests.templates.test_attacks import KINDS, attacks

HERE: Final = Path(__file__).parent
# SARIF 2.1.0, of OASIS, as the npm package @microsoft/jest-sarif has it (MIT).
SARIF: Final = HERE / "schemas" / "sarif-2.1.0-rtm.5.json"

TEXT: Final = """\
- trigger_id: load-orders
  bucket: orders
  prefix: incoming/ # the folder
  enabled: true
  job_id: load
  if_size_gt: 10kb
"""


def written(linted: Linted, format_: str, fail_on: str = "warning") -> str:
    file = io.StringIO()
    report.REPORTS[format_](file, linted, fail_on)
    return file.getvalue()


@pytest.fixture(scope="module")
def planted() -> Linted:
    return lint(load([str(HERE / "planted")]), EVERYTHING, Surroundings())


class TestText:
    """Text shows the place, the line and a caret."""

    @pytest.mark.parametrize(
        ("before", "columns"),
        [("", 0), ("é", 1), ("日本", 4), ("\u202e", 6), ("e\u0301", 1), ("\t", 1)],
        ids=["none", "accented", "wide", "escaped", "combining", "tab"],
    )
    def test_the_caret_stands_below_the_value(self, before: str, columns: int) -> None:
        text = f'{{"x-{before}": 1, "prefix": "a/", {json.dumps(trigger(prefix=...))[1:]}'
        text = text.replace("\\t", "\t") if before != "\t" else text.replace("\t", "\\t")
        [_, line, caret, _] = written(found_in(text, "t.json"), "text").splitlines()

        shown = line[: line.index('"a/"')]
        width = sum(
            0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) == "W")
            for each in shown
        )
        assert caret.index("^") == width
        assert columns <= width

    def test_of_a_long_line_the_part_around_the_caret_is_shown(self) -> None:
        entry = trigger(description="x" * 5000, prefix="a/", owner="y" * 5000)

        [_, line, caret, _] = written(found_in(json.dumps(entry), "t.json"), "text").splitlines()

        assert len(line) < 140
        assert line[caret.index("^") :].startswith('"a/"')

    @pytest.mark.parametrize(
        ("findings", "expected"),
        [
            (trigger(), "1 entry checked: nothing found"),
            (trigger(prefix="a/"), "1 entry checked: 1 warning; --fix corrects 1"),
            (
                trigger(prefix="a/", **{"x-lint-ignore": "LT201"}),
                "1 entry checked: nothing found; x-lint-ignore leaves out 1",
            ),
            (
                [trigger(prefix="a/", delay="x"), trigger(trigger_id="u", delay="y")],
                "2 entries checked: 2 errors, 1 warning; --fix corrects 1",
            ),
        ],
    )
    def test_the_summary_counts(self, findings: Any, expected: str) -> None:
        assert report.summary(found_in(json.dumps(findings), "t.json")) == expected


class TestJson:
    """JSON follows its schema."""

    def test_json_follows_its_schema(self, planted: Linted) -> None:
        output = json.loads(written(planted, "json"))

        validate("check", output)
        assert output["checked"] == planted.checked > 80
        assert len(output["findings"]) == len(planted.findings)

    def test_each_line_of_json_lines_is_a_finding(self, planted: Linted) -> None:
        lines = written(planted, "jsonl").splitlines()

        findings = json.loads(written(planted, "json"))["findings"]
        assert [json.loads(each) for each in lines] == findings


class TestGithub:
    """Workflow commands annotate the lines of a pull request."""

    def test_a_finding_is_a_workflow_command(self) -> None:
        first, second = written(found_in(TEXT), "github").splitlines()

        assert first.startswith("::warning file=t.yaml,line=3,col=11,title=LT201::the prefix ")
        assert second.startswith("::error file=t.yaml,line=6,col=15,title=LT112::if_size_gt: ")

    def test_names_of_files_are_escaped(self) -> None:
        linted = found_in(TEXT, "a,b:c%\n::error::x.yaml")

        first = written(linted, "github").splitlines()[0]

        assert first.startswith("::warning file=a%2Cb%3Ac%25\\n%3A%3Aerror%3A%3Ax.yaml,line=3,")


class TestSarif:
    """SARIF follows the schema of OASIS."""

    def test_sarif_follows_its_schema(self, planted: Linted) -> None:
        output = json.loads(written(planted, "sarif"))

        Draft4Validator(json.loads(SARIF.read_text())).validate(output)
        assert len(output["runs"][0]["results"]) == len(planted.findings)

    def test_a_result_names_its_rule_and_its_place(self) -> None:
        output = json.loads(written(found_in(TEXT, "in/my t.yaml"), "sarif"))

        [run] = output["runs"]
        result = run["results"][0]
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "LT201"
        assert result["level"] == "warning"
        assert result["locations"] == [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "in/my%20t.yaml"},
                    "region": {"startLine": 3, "startColumn": 11},
                },
                "logicalLocations": [{"fullyQualifiedName": "load-orders.prefix"}],
            }
        ]


class TestJunit:
    """JUnit's XML, as Jenkins and GitLab read it."""

    def test_an_entry_is_a_test_case(self) -> None:
        good = TEXT.replace("incoming/", "a").replace("10kb", "1").replace("load-orders", "good")

        root = ET.fromstring(written(found_in(TEXT + good), "junit"))

        [suite] = root
        counts = {"tests": "2", "failures": "1", "errors": "0", "skipped": "0"}
        assert suite.attrib == {"name": "t.yaml", **counts}
        assert [case.attrib["name"] for case in suite] == ["trigger load-orders", "trigger good"]
        [failure] = suite[0]
        assert failure.attrib["type"] == "LT201"
        assert failure.text
        assert "t.yaml:6:15: error LT112 " in failure.text
        assert list(suite[1]) == []

    def test_findings_below_fail_on_are_output(self) -> None:
        text = TEXT.replace("10kb", "10KB")

        root = ET.fromstring(written(found_in(text), "junit", fail_on="error"))

        assert root.attrib["failures"] == "0"
        [out] = root[0][0]
        assert out.tag == "system-out"

    # There is no schema of JUnit's own. These are the elements and attributes that the schema
    # of Jenkins' xUnit plugin requires and allows (junit-10.xsd).
    COUNTS: Final = {"name", "tests", "failures", "errors"}
    CASE: Final = {"classname", "name"}
    ALLOWED: Final[dict[str, tuple[set[str], set[str], set[str]]]] = {
        "testsuites": (set(), COUNTS, {"testsuite"}),
        "testsuite": (COUNTS, {*COUNTS, "skipped"}, {"testcase"}),
        "testcase": (CASE, CASE, {"failure", "system-out"}),
        "failure": (set(), {"type", "message"}, set()),
        "system-out": (set(), set(), set()),
    }

    def test_junit_has_the_documented_structure(self, planted: Linted) -> None:
        root = ET.fromstring(written(planted, "junit"))

        for element in root.iter():
            required, attributes, children = self.ALLOWED[element.tag]
            assert required <= element.attrib.keys() <= attributes
            assert {each.tag for each in element} <= children
        cases = list(root.iter("testcase"))
        assert int(root.attrib["tests"]) == len(cases)
        assert int(root.attrib["failures"]) == len(list(root.iter("failure")))
        for suite in root:
            assert int(suite.attrib["tests"]) == len(suite)


HOSTILE: Final = [
    *terminal.HOSTILE,
    "[red]markup[/red] [link=http://evil]x[/link]",
    "line\n::error::forged\r\nnext\u2028line\x85",
    "<![CDATA[ ]]> <failure/> & \x00 \ufffe",
    "%0A::set-output name=x::y",
]


def entries_of(text: str) -> list[dict[str, Any]]:
    """Return entries that have a text wherever an entry can have one."""
    return [
        trigger(trigger_id=text, bucket=text, prefix=text, job_id=text, enabled=text, delay=text),
        trigger(trigger_id="names", **{text: 1, f"if_{text}": 2}),
        trigger(
            trigger_id="values",
            if_fnmatch=text,
            if_event_type=[text],
            parameters={text: {"a": f"{{{{ {text} }}}}"}, "b": f"{{{{ key | {text} }}}}"},
            globals={f"lava{text}": "{{ key." + text + " }}"},
            **{"x-lint-ignore": [text]},
        ),
        {"job_id": text, "type": text, "worker": [text], "payload": text, "globals": {text: 1}},
        {"nothing": text},
    ]


def attacks_of(kind: str) -> Any:
    """Return a kind of attacks as a parameter; what the trial ends by its bounds takes long."""
    marks = pytest.mark.slow("the trial renders until its bounds end it")
    return pytest.param(kind, marks=[marks] if kind in ("resources", "weighing") else [])


class TestHostileText:
    """Nothing that an entry or the name of a file holds reaches a terminal as it is."""

    @pytest.mark.parametrize("format_", report.REPORTS)
    @pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
    def test_hostile_text_is_inert_in_every_format(self, text: str, format_: str) -> None:
        files = [
            (f"{text.replace(chr(0), '')}.json", json.dumps(entries_of(text))),
            ("raw.yaml", f"a: {text}\nb: [{text}\n"),
        ]

        linted = lint(load_texts(files), EVERYTHING, Surroundings())

        assert len(linted.findings) > 10
        self.check_inert(written(linted, format_))

    @pytest.mark.parametrize("kind", [*map(attacks_of, KINDS)])
    def test_the_attacks_on_templates_are_inert(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trial, "_MAX_KEYS", 2)  # most attacks fail for all keys, slowly
        entries = []
        for n, attack in enumerate(attacks(kind)):
            field, value = attack.value()
            entry = trigger(trigger_id=f"t{n}", prefix=f"p{n}", **{field: value})
            if len(json.dumps(entry)) < 100_000:
                entries.append(entry)
        texts = [(f"{n}.json", json.dumps(entry)) for n, entry in enumerate(entries)]

        linted = lint(load_texts(texts), EVERYTHING, Surroundings())

        # Some look like files of lava's job framework.
        assert len(entries) - 2 <= linted.checked <= len(entries)
        assert entries
        for format_ in report.REPORTS:
            self.check_inert(written(linted, format_))

    @staticmethod
    def check_inert(output: str) -> None:
        assert not terminal.raw(output)
        commands = [line for line in output.split("\n") if line.startswith("::")]
        assert all(re.match(r"::(error|warning|notice) (file|title)=", line) for line in commands)
