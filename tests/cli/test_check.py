"""The command `check`: its options, exit statuses and messages."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest

from lava_s3trigger.cli.check.findings import Found
from lava_s3trigger.cli.check.lint import Selection
from lava_s3trigger.cli.check.rules.catalogue import RULES
from lava_s3trigger.cli.check.rules.registry import rule
from lava_s3trigger.cli.entries.yaml_text import YamlText
from tests.build import job_entry
from tests.cli.checking import found_in, run, trigger
from tests.docs.pages import fenced, section
from tools.local.realm import Realm
from tools.local.server import CHECKOUT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an error, a warning, and an info."""
    entries: dict[str, dict[str, Any]] = {
        "error": {"delay": "soon"},
        "info": {"owner": ...},
        "warning": {"prefix": "incoming/orders/"},
    }
    for name, fields in entries.items():
        entry = trigger(**{"trigger_id": name, "prefix": name, **fields})
        (tmp_path / f"{name}.json").write_text(json.dumps(entry))
    return tmp_path


def ids(output: str) -> list[str]:
    return [json.loads(line)["rule"] for line in output.splitlines()]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["LT110", "LT147", "LT201"]),
        (["--select", "LT2"], ["LT201"]),
        (["--select", "LT201,LT1"], ["LT110", "LT147", "LT201"]),
        (["--select", "LT2", "--select", "lt147"], ["LT147", "LT201"]),
        (["--ignore", "LT147"], ["LT110", "LT201"]),
        (["--select", "LT1", "--ignore", "LT11"], ["LT147"]),
    ],
)
def test_ids_and_their_beginnings_choose(
    folder: Path, options: list[str], found: list[str]
) -> None:
    assert ids(run(folder, "--format", "jsonl", *options).output) == found


class TestExitStatus:
    """The exit status tells whether there are findings that count."""

    @pytest.mark.parametrize(
        ("options", "status"),
        [
            ([], 1),
            (["--fail-on", "error"], 1),
            (["--fail-on", "none"], 0),
            (["--ignore", "LT110"], 1),
            (["--ignore", "LT110", "--fail-on", "error"], 0),
            (["--select", "LT147"], 0),
        ],
    )
    def test_findings_at_or_above_fail_on_count(
        self, folder: Path, options: list[str], status: int
    ) -> None:
        assert run(folder, *options).status == status

    def test_a_clean_folder_is_0(self, tmp_path: Path) -> None:
        (tmp_path / "t.json").write_text(json.dumps(trigger()))

        done = run(tmp_path)

        assert (done.status, done.output) == (0, "")
        assert done.errors == "1 entry checked: nothing found\n"


class TestUnreadable:
    """A file that cannot be read is always a finding, and no reason to leave others out."""

    @pytest.fixture
    def mixed(self, folder: Path) -> Path:
        (folder / "bytes.yaml").write_bytes(b"trigger_id: t\nowner: \xff\n")
        (folder / "dangling.json").symlink_to("nowhere")
        return folder

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ([], ["LT012", "LT012", "LT110", "LT147", "LT201"]),
            (["--select", "LT201"], ["LT012", "LT012", "LT201"]),
            (["--ignore", "LT0,LT1"], ["LT012", "LT012", "LT201"]),
            (["--select", "LT5", "--fail-on", "none"], ["LT012", "LT012"]),
        ],
    )
    def test_it_is_found_whatever_is_selected(
        self, mixed: Path, options: list[str], found: list[str]
    ) -> None:
        done = run(mixed, "--format", "jsonl", *options)

        assert (sorted(ids(done.output)), done.status) == (found, 3)

    @pytest.mark.parametrize(
        ("name", "text", "rule"),
        [("a.json", "{", "LT001"), ("a.yaml", "bucket: <{ bucket }>", "LT004")],
    )
    def test_so_is_a_file_that_cannot_be_parsed(
        self, tmp_path: Path, name: str, text: str, rule: str
    ) -> None:
        (tmp_path / name).write_text(text)

        done = run(tmp_path, "--select", "LT2", "--format", "jsonl")

        assert (ids(done.output), done.status) == ([rule], 1)

    @pytest.mark.parametrize("format_", ["text", "json", "github", "sarif", "junit"])
    def test_every_format_names_the_file(self, mixed: Path, format_: str) -> None:
        done = run(mixed, "--select", "LT5", "--format", format_)

        assert "bytes.yaml" in done.output
        assert "this is not UTF-8" in done.output


@pytest.mark.parametrize("id_", ["LT201", "lt201"])
def test_explain_prints_the_page_of_a_rule(id_: str) -> None:
    done = run("--explain", id_)

    assert done.status == 0
    assert done.output.startswith("LT201: Prefix ends with a slash (warning)\n\nA prefix ends")
    assert done.output.strip().endswith(RULES["LT201"].page[-40:])


class TestInput:
    """Entries come from files, folders, standard input and options."""

    def test_standard_input_is_checked(self) -> None:
        done = run("-", "--format", "json", stdin=json.dumps(trigger(prefix="a/")))

        [finding] = done.json()["findings"]
        assert (finding["file"], finding["rule"]) == ("-", "LT201")

    def test_paths_and_the_options_for_them_mean_the_same(self, folder: Path) -> None:
        error, warning = folder / "error.json", folder / "warning.json"
        named = run(error, warning, "--format", "json")
        optional = run("--triggers", error, "--jobs", warning, "--format", "json")

        assert named.output == optional.output
        assert named.json()["checked"] == 2

    def test_options_come_from_the_configuration_file(self, folder: Path) -> None:
        (folder / "lava-s3trigger.toml").write_text(
            'triggers = ["."]\n[check]\nignore = ["LT110"]\nfail-on = "error"\n'
        )

        done = run("--format", "jsonl", folder=folder)

        assert (done.status, ids(done.output)) == (0, ["LT147", "LT201"])

    def test_the_output_goes_to_a_file(self, folder: Path) -> None:
        done = run(folder, "--format", "sarif", "--output", folder / "out.sarif")

        assert (done.output, done.errors) == ("", "")
        assert json.loads((folder / "out.sarif").read_text())["version"] == "2.1.0"


class TestRealm:
    """The entries of a realm's tables are checked, with what AWS knows of its queues."""

    @pytest.fixture(autouse=True)
    def _filled(self, realm: Realm) -> None:
        good = trigger(trigger_id="good", prefix="good")
        realm.put("s3triggers", [good, trigger(trigger_id="bad", prefix="bad/", job_id="lod")])
        realm.put("jobs", [job_entry("load"), job_entry("scan", "coer", enabled=None)])

    def test_entries_of_the_tables_are_checked(
        self, realm: Realm, in_realm: tuple[str, ...]
    ) -> None:
        done = run(*in_realm, "--format", "json")

        findings = done.json()["findings"]
        assert (done.status, done.errors) == (1, "")
        assert [(each["rule"], each["trigger_id"], each["job_id"]) for each in findings] == [
            ("LT201", "bad", None),
            ("LT501", "bad", None),
            ("LT505", None, "scan"),
        ]
        table = f"lava.{realm.name}.jobs"
        assert findings[1]["message"] == f"no job 'lod' in {table}; did you mean 'load'?"
        assert findings[2]["message"] == f"no queue lava-{realm.name}-coer; did you mean 'core'?"
        assert {each["file"] for each in findings} == {None}
        place = f"lava.{realm.name}.s3triggers:bad: warning LT201 the prefix"
        assert run(*in_realm).output.startswith(place)

    def test_files_are_compared_with_the_realm_that_is_named(
        self, in_realm: tuple[str, ...], tmp_path: Path
    ) -> None:
        (tmp_path / "t.json").write_text(json.dumps(trigger(job_id="nobody")))

        assert ids(run(*in_realm, tmp_path, "--format", "jsonl").output) == ["LT501"]


def test_a_realm_in_the_environment_does_not_make_a_check_of_files_call_aws(folder: Path) -> None:
    nowhere = "http://127.0.0.1:9"

    assert run(folder / "info.json", LAVA_REALM="prod", AWS_ENDPOINT_URL=nowhere).status == 0


class TestDocs:
    """The examples in the pages are what the command prints."""

    PAGE: Final = (CHECKOUT / "docs" / "check.md").read_text()

    @pytest.fixture
    def entries(self, tmp_path: Path) -> Path:
        (tmp_path / "entries").mkdir()
        (tmp_path / "jobs").mkdir()
        (tmp_path / "entries" / "orders.yaml").write_text(
            "trigger_id: load-orders\nbucket: orders\nprefix: incoming/ # the folder\n"
            "enabled: true\njob_id: load\ndescription: Loads orders.\nowner: orders team\n"
        )
        return tmp_path

    def test_the_examples_are_what_the_command_prints(self, entries: Path) -> None:
        text = run("entries", folder=entries)
        json_ = run("entries", "--format", "json", folder=entries)

        assert f"```text\n{text.output}{text.errors}```\n" in self.PAGE
        assert f"```json\n{json_.output}```\n" in self.PAGE

    def test_the_example_of_a_configuration_file_is_valid(self, entries: Path) -> None:
        [text] = fenced(self.PAGE, "toml")
        (entries / "lava-s3trigger.toml").write_text(text)

        assert ids(run("--format", "jsonl", folder=entries).output) == ["LT201"]

    def test_the_example_of_a_rule_in_contributing_works(self) -> None:
        [source] = fenced(section(CHECKOUT / "CONTRIBUTING.md", "Add a lint rule"), "python")
        with mock.patch.dict(RULES):
            exec(f"from __future__ import annotations\n{source}", {"rule": rule, "Found": Found})
            findings = found_in(json.dumps(trigger(prefix="a b")), "t.json", Selection.of([], []))

        assert [(each.rule, each.field) for each in findings.findings] == [("LT212", "prefix")]


def test_the_benchmark_measures_a_folder_of_entries() -> None:
    command = [sys.executable, "-m", "benchmarks.linting", "--entries", "300"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=CHECKOUT)

    assert "300 entries checked: nothing found" in done.stderr
    assert re.fullmatch(r"300 entries: \d+\.\d s of CPU time, \d+\.\d s, \d+ MiB\n", done.stdout)


def test_the_hook_for_pre_commit_runs_the_command() -> None:
    [hooks] = YamlText((CHECKOUT / ".pre-commit-hooks.yaml").read_text(), "hooks").documents()

    [hook] = hooks.plain()
    assert hook["entry"].split() == ["lava-s3trigger", "check"]
    assert hook["additional_dependencies"] == [".[cli]"]
    assert re.search(hook["files"], "entries/t.yml")
