"""The command `check`: its options, exit statuses and messages."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.check.findings import Found
from lava_s3trigger.cli.check.lint import Selection
from lava_s3trigger.cli.check.rules.catalogue import RULES
from lava_s3trigger.cli.check.rules.registry import rule
from lava_s3trigger.cli.entries.yaml_text import YamlText
from tests.build import job_entry
from tests.cli.checking import found_in, run, trigger, variables_of
from tools.local.realm import Realm
from tools.local.server import LocalAws

ROOT: Final = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an error, a warning, and an info."""
    entries: dict[str, dict[str, Any]] = {
        "error": {"delay": "soon"},
        "info": {"owner": ...},
        "warning": {"prefix": "incoming/orders/"},
    }
    for name, fields in entries.items():
        named: dict[str, Any] = {"trigger_id": name, "prefix": name}
        entry = trigger(**{**named, **fields})
        (tmp_path / f"{name}.json").write_text(json.dumps(entry))
    return tmp_path


def ids(output: str) -> list[str]:
    return [json.loads(line)["rule"] for line in output.splitlines()]


class TestSelection:
    """`--select` and `--ignore` choose rules."""

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
        self, folder: Path, options: list[str], found: list[str]
    ) -> None:
        assert ids(run(folder, "--format", "jsonl", *options).stdout) == found

    @pytest.mark.parametrize("option", ["--select", "--ignore"])
    def test_an_unknown_id_is_wrong_usage_and_names_the_nearest(
        self, folder: Path, option: str
    ) -> None:
        done = run(folder, option, "LT2001")

        assert done.returncode == 2
        assert done.stderr == "Error: unknown rule 'LT2001'; did you mean LT201?\n"

    def test_to_ignore_all_that_is_selected_is_wrong_usage(self, folder: Path) -> None:
        done = run(folder, "--select", "LT201", "--ignore", "LT2")

        assert done.returncode == 2
        assert "no rule is left" in done.stderr


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
        assert run(folder, *options).returncode == status

    def test_a_clean_folder_is_0(self, tmp_path: Path) -> None:
        (tmp_path / "t.json").write_text(json.dumps(trigger()))

        done = run(tmp_path)

        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "1 entry checked: nothing found\n"


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

        assert sorted(ids(done.stdout)) == found
        assert done.returncode == 3

    @pytest.mark.parametrize(
        ("name", "text", "rule"),
        [("a.json", "{", "LT001"), ("a.yaml", "bucket: <{ bucket }>", "LT004")],
    )
    def test_so_is_a_file_that_cannot_be_parsed(
        self, tmp_path: Path, name: str, text: str, rule: str
    ) -> None:
        (tmp_path / name).write_text(text)

        done = run(tmp_path, "--select", "LT2", "--format", "jsonl")

        assert (ids(done.stdout), done.returncode) == ([rule], 1)

    @pytest.mark.parametrize("format_", ["text", "json", "github", "sarif", "junit"])
    def test_every_format_names_the_file(self, mixed: Path, format_: str) -> None:
        done = run(mixed, "--select", "LT5", "--format", format_)

        assert "bytes.yaml" in done.stdout
        assert "this is not UTF-8" in done.stdout


class TestExplain:
    """`--explain` prints the page of a rule."""

    @pytest.mark.parametrize("id_", ["LT201", "lt201"])
    def test_the_page_of_a_rule_is_printed(self, id_: str) -> None:
        done = run("--explain", id_)

        assert done.returncode == 0
        assert done.stdout.startswith("LT201: Prefix ends with a slash (warning)\n\nA prefix ends")
        assert done.stdout.strip().endswith(RULES["LT201"].page[-40:])


class TestInput:
    """Entries come from files, folders, standard input and options."""

    def test_standard_input_is_checked(self) -> None:
        done = run("-", "--format", "json", text=json.dumps(trigger(prefix="a/")))

        [finding] = json.loads(done.stdout)["findings"]
        assert (finding["file"], finding["rule"]) == ("-", "LT201")

    def test_paths_and_the_options_for_them_mean_the_same(self, folder: Path) -> None:
        named = run(folder / "error.json", folder / "warning.json", "--format", "json")
        optional = run(
            "--triggers", folder / "error.json", "--jobs", folder / "warning.json",
            "--format", "json",
        )  # fmt: skip

        assert named.stdout == optional.stdout
        assert json.loads(named.stdout)["checked"] == 2

    def test_options_come_from_the_configuration_file(self, folder: Path) -> None:
        (folder / "lava-s3trigger.toml").write_text(
            'triggers = ["."]\n[check]\nignore = ["LT110"]\nfail-on = "error"\n'
        )

        done = run("--format", "jsonl", cwd=folder)

        assert (done.returncode, ids(done.stdout)) == (0, ["LT147", "LT201"])

    def test_the_output_goes_to_a_file(self, folder: Path) -> None:
        done = run(folder, "--format", "sarif", "--output", folder / "out.sarif")

        assert (done.stdout, done.stderr) == ("", "")
        assert json.loads((folder / "out.sarif").read_text())["version"] == "2.1.0"

    def test_the_help_says_what_the_statuses_mean_and_has_examples(self) -> None:
        done = run("--help")

        assert "no finding at or above --fail-on" in done.stdout
        assert done.stdout.count("\n  lava-s3trigger check ") >= 2


class TestRealm:
    """The entries of a realm's tables are checked, with what AWS knows of its queues."""

    @staticmethod
    def check(aws: LocalAws, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        done = run("--format", "json", *arguments, environ=variables_of(aws))
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)["findings"]

    @staticmethod
    def fill(realm: Realm) -> None:
        good = trigger(trigger_id="good", prefix="good")
        realm.put("s3triggers", [good, trigger(trigger_id="bad", prefix="bad/", job_id="lod")])
        realm.put("jobs", [job_entry("load"), job_entry("scan", "coer", enabled=None)])

    def test_entries_of_the_tables_are_checked(self, aws: LocalAws, realm: Realm) -> None:
        self.fill(realm)

        status, findings = self.check(aws, "--realm", realm.name)

        table = f"lava.{realm.name}.jobs"
        assert status == 1
        assert [(each["rule"], each["trigger_id"], each["job_id"]) for each in findings] == [
            ("LT201", "bad", None),
            ("LT501", "bad", None),
            ("LT505", None, "scan"),
        ]
        assert findings[1]["message"] == f"no job 'lod' in {table}; did you mean 'load'?"
        assert findings[2]["message"] == f"no queue lava-{realm.name}-coer; did you mean 'core'?"
        assert {each["file"] for each in findings} == {None}

    def test_text_names_the_table_and_the_entry(self, aws: LocalAws, realm: Realm) -> None:
        self.fill(realm)

        done = run("--realm", realm.name, environ=variables_of(aws))

        first = done.stdout.splitlines()[0]
        assert first.startswith(f"lava.{realm.name}.s3triggers:bad: warning LT201 the prefix")

    def test_files_are_compared_with_the_realm_that_is_named(
        self, aws: LocalAws, realm: Realm, folder: Path
    ) -> None:
        self.fill(realm)
        (folder / "error.json").write_text(json.dumps(trigger(job_id="nobody")))

        _, findings = self.check(aws, "--realm", realm.name, str(folder / "error.json"))

        assert [each["rule"] for each in findings] == ["LT501"]

    def test_a_realm_in_the_environment_does_not_make_a_check_of_files_call_aws(
        self, folder: Path
    ) -> None:
        environ = {"LAVA_REALM": "prod", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}

        done = run(folder / "info.json", environ=environ)

        assert done.returncode == 0

    def test_a_realm_without_tables_is_one_line(self, aws: LocalAws) -> None:
        done = run("--realm", "nosuch", environ=variables_of(aws))

        assert done.returncode == 3
        assert re.fullmatch(r"Error: there is no table lava\..*; check the realm.*\n", done.stderr)


class TestDocs:
    """The examples in docs/check.md are what the command prints."""

    PAGE: Final = (ROOT / "docs" / "check.md").read_text()
    ENTRY: Final = (
        "trigger_id: load-orders\nbucket: orders\nprefix: incoming/ # the folder\nenabled: true\n"
        "job_id: load\ndescription: Loads orders.\nowner: orders team\n"
    )

    @pytest.fixture
    def entries(self, tmp_path: Path) -> Path:
        (tmp_path / "entries").mkdir()
        (tmp_path / "entries" / "orders.yaml").write_text(self.ENTRY)
        return tmp_path

    def test_the_example_of_text_is_what_the_command_prints(self, entries: Path) -> None:
        done = run("entries", cwd=entries)

        assert f"```text\n{done.stdout}{done.stderr}```\n" in self.PAGE

    def test_the_example_of_json_is_what_the_command_prints(self, entries: Path) -> None:
        done = run("entries", "--format", "json", cwd=entries)

        assert f"```json\n{done.stdout}```\n" in self.PAGE

    def test_the_example_of_a_configuration_file_is_valid(self, entries: Path) -> None:
        [text] = re.findall(r"```toml\n(.*?)```", self.PAGE, re.DOTALL)
        (entries / "lava-s3trigger.toml").write_text(text)
        (entries / "jobs").mkdir()

        done = run("--format", "jsonl", cwd=entries)

        assert ids(done.stdout) == ["LT201"]

    def test_the_example_of_a_rule_in_contributing_works(self) -> None:
        page = (ROOT / "CONTRIBUTING.md").read_text()
        [source] = re.findall(r"```python\n(@rule.*?)```", page, re.DOTALL)
        names: dict[str, Any] = {"rule": rule, "Found": Found}
        before = dict(RULES)
        try:
            exec(f"from __future__ import annotations\n{source}", names)
            findings = found_in(json.dumps(trigger(prefix="a b")), "t.json", Selection.of([], []))
        finally:
            RULES.clear()
            RULES.update(before)

        assert [(each.rule, each.field) for each in findings.findings] == [("LT212", "prefix")]


def test_the_benchmark_measures_a_folder_of_entries() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.linting", "--entries", "300"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert "300 entries checked: nothing found" in done.stderr
    assert re.fullmatch(r"300 entries: \d+\.\d s of CPU time, \d+\.\d s, \d+ MiB\n", done.stdout)


def test_the_hook_for_pre_commit_runs_the_command() -> None:
    [hooks] = YamlText((ROOT / ".pre-commit-hooks.yaml").read_text(), "hooks").documents()

    [hook] = hooks.plain()
    assert hook["entry"].split() == ["lava-s3trigger", "check"]
    assert hook["additional_dependencies"] == [".[cli]"]
    assert re.search(hook["files"], "entries/t.yml")
