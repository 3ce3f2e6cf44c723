"""Corrections of `check --fix`."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from lava_s3trigger.cli.check import fix
from lava_s3trigger.cli.check.fix import fixed
from lava_s3trigger.cli.entries.load import SourceFile, load_texts
from lava_s3trigger.cli.errors import CommandError
from tests.cli.checking import checked, run, trigger

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "# Orders.\ntrigger_id: t\nbucket: orders\n"
TAIL = "enabled: true # for now\n\njob_id: load\n"


def corrected(text: str, name: str = "t.yaml") -> str:
    result = fixed(load_texts([(name, text)]), checked)
    return result.texts.get(name, text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("prefix: incoming/ # folder", "prefix: incoming # folder"),
        ('prefix: "incoming/"', 'prefix: "incoming"'),
        ("prefix: 'it''s/'", "prefix: 'it''s'"),
        ('prefix: "caf\\u00e9/"', 'prefix: "café"'),
        ("prefix: logs/*", "prefix: logs"),
        ("prefix: 'logs/**/'", "prefix: 'logs'"),
        ("prefix: 2026/", 'prefix: "2026"'),
        ("prefix: no/", 'prefix: "no"'),
        ("prefix: a//", "prefix: a//"),
        ('prefix: "/"', 'prefix: "/"'),
        ("prefix: lo*gs/*", "prefix: lo*gs/*"),
        ("prefix: &p incoming/", "prefix: &p incoming/"),
        ("prefix: !!str incoming/", "prefix: !!str incoming/"),
        ("prefix: |-\n  incoming/", "prefix: |-\n  incoming/"),
        ("prefix: a\nparamters: {a: 1} # x", "prefix: a\nparameters: {a: 1} # x"),
        ("prefix: a\n'paramters': {a: 1}", "prefix: a\n'parameters': {a: 1}"),
        ("prefix: a\ncolour: red", "prefix: a\ncolour: red"),
        ("prefix: a\nparameters: {}\nparamters: {}", "prefix: a\nparameters: {}\nparamters: {}"),
        ("prefix: a\nif_fnmach: '*.csv'", "prefix: a\nif_fnmatch: '*.csv'"),
        ("prefix: a\ndelay: 30S", 'prefix: a\ndelay: "30s"'),
        ("prefix: a\ndelay: 5min", "prefix: a\ndelay: 5min"),
        ("prefix: a\ndelay: '90'", "prefix: a\ndelay: 90"),
        ("prefix: a\ndelay: '90.5'", "prefix: a\ndelay: 90.5"),
        ("prefix: a\nif_size_gt: 10kb", 'prefix: a\nif_size_gt: "10KB"'),
        ("prefix: a\nif_size_gt: 10mIB", 'prefix: a\nif_size_gt: "10MiB"'),
        ("prefix: a\njinja: 'no'", "prefix: a\njinja: false"),
        ("prefix: a\njinja: on", "prefix: a\njinja: true"),
        ("prefix: a\njinja: flase", "prefix: a\njinja: flase"),
        ("prefix: a\nif_fnmatch: '*.{csv,tsv}'", 'prefix: a\nif_fnmatch: ["*.csv", "*.tsv"]'),
        ("prefix: a\nif_fnmatch: ['*.{a,b}']", "prefix: a\nif_fnmatch: ['*.{a,b}']"),
        ("prefix: a\nx-since: 2026-03-14", 'prefix: a\nx-since: "2026-03-14"'),
        ("prefix: a\nx-codes: {2026: a}", 'prefix: a\nx-codes: {"2026": a}'),
    ],
)
def test_a_value_is_corrected_and_nothing_else(before: str, after: str) -> None:
    assert corrected(f"{HEAD}{before}\n{TAIL}") == f"{HEAD}{after}\n{TAIL}"


def test_a_bucket_with_its_scheme_is_corrected() -> None:
    text = f"{HEAD}prefix: a\n{TAIL}".replace("bucket: orders", 'bucket: "s3://orders"')

    assert corrected(text) == f"{HEAD}prefix: a\n{TAIL}".replace("orders\n", '"orders"\n')


@pytest.mark.parametrize(
    ("fields", "after"),
    [
        ({"prefix": "a/"}, {"prefix": "a"}),
        ({"enabled": "FALSE"}, {"enabled": False}),
        ({"delay": "90"}, {"delay": 90}),
        ({"if_fnmatch": "*.{a,b}"}, {"if_fnmatch": ["*.a", "*.b"]}),
    ],
)
def test_json_is_corrected(fields: dict[str, Any], after: dict[str, Any]) -> None:
    before = json.dumps([trigger(**fields)], indent=4)

    fixed_text = corrected(before, "t.json")
    assert json.loads(fixed_text) == [trigger(**after)]
    assert fixed_text.count("\n") == before.count("\n")


def test_in_dynamodb_json_only_the_value_is_corrected_where_its_type_stays() -> None:
    text = """{
      "trigger_id": {"S": "t"}, "bucket": {"S": "orders"}, "prefix": {"S": "a/"},
      "enabled": {"S": "true"}, "job_id": {"S": "load"}
    }"""

    assert corrected(text, "t.json") == text.replace('"a/"', '"a"')


def test_line_ends_of_windows_stay() -> None:
    text = f"{HEAD}prefix: a/\n{TAIL}".replace("\n", "\r\n")

    assert corrected(text) == text.replace("a/", "a")


def test_all_mistakes_of_a_file_are_corrected_at_once() -> None:
    text = "".join(
        f"- {{trigger_id: t{n}, bucket: orders, prefix: p{n}/, enabled: 'on', job_id: load,"
        f" paramters: {{}}, delay: 1M}} # {n}\n"
        for n in range(20)
    )

    result = fixed(load_texts([("t.yaml", text)]), checked)

    assert result.corrected == 80
    assert result.linted.findings == []
    assert [line.partition("#")[2] for line in result.texts["t.yaml"].splitlines()] == [
        f" {n}" for n in range(20)
    ]


def test_a_correction_shows_what_was_hidden_behind_it() -> None:
    # The map was no map of the function's while its name had a typo.
    text = f"{HEAD}prefix: a\n{TAIL}paramters: [1]\n"

    result = fixed(load_texts([("t.yaml", text)]), checked)

    assert [each.rule for each in result.linted.findings] == ["LT108"]


def test_a_correction_may_show_more_errors_than_there_were() -> None:
    text = f"{HEAD}prefix: a\n{TAIL}globls: {{a: '{{{{ key | foo | bar }}}}'}}\n"

    result = fixed(load_texts([("t.yaml", text)]), checked)

    assert [each.rule for each in result.linted.findings] == ["LT403", "LT403"]


def test_a_correction_that_would_break_a_file_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fix, "written", lambda *_: '"')
    good, bad = f"{HEAD}prefix: a\n{TAIL}", f"{HEAD}prefix: a/\n{TAIL}"

    result = fixed(load_texts([("good.yaml", good), ("bad.yaml", bad)]), checked)

    assert result.texts == {}
    assert [each.rule for each in result.linted.findings if each.fix] == ["LT201"]


def test_a_file_that_changed_since_it_was_read_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("another: text\n")
    before = {str(path): SourceFile(str(path), "prefix: a/\n")}

    with pytest.raises(CommandError, match="the file has changed meanwhile"):
        fix.write(before, {str(path): "prefix: a\n"})

    assert path.read_text() == "another: text\n"
    assert [each.name for each in tmp_path.iterdir()] == ["t.yaml"]


def test_an_ignored_finding_is_not_corrected() -> None:
    text = f"{HEAD}prefix: a/\nx-lint-ignore: LT201\n{TAIL}"

    assert corrected(text) == text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "t.yaml"
    path.write_text(f"{HEAD}prefix: a/ # folder\n{TAIL}")
    return path


DIFF = """\
--- a/t.yaml
+++ b/t.yaml
@@ -1,7 +1,7 @@
 # Orders.
 trigger_id: t
 bucket: orders
-prefix: a/ # folder
+prefix: a # folder
 enabled: true # for now
\x20
 job_id: load
"""


class TestCommand:
    """What `--fix` and `--diff` do to files."""

    def test_fix_writes_the_file_and_reports_what_is_left(self, file: Path) -> None:
        done = run("--fix", file.name, cwd=file.parent)

        assert file.read_text() == f"{HEAD}prefix: a # folder\n{TAIL}"
        assert done.returncode == 0
        assert "LT201" not in done.stdout
        assert "Corrected 1 value in 1 file.\n" in done.stderr

    def test_fix_changes_nothing_the_second_time(self, file: Path) -> None:
        run("--fix", file)
        before = file.stat()

        done = run("--fix", file)

        assert file.stat().st_mtime_ns == before.st_mtime_ns
        assert "Corrected" not in done.stderr

    def test_diff_alone_shows_what_would_change_and_writes_nothing(self, file: Path) -> None:
        before = file.read_text()

        done = run("--diff", "--ignore", "LT14", file.name, cwd=file.parent)

        assert done.stdout.startswith(DIFF)
        assert file.read_text() == before
        assert done.returncode == 1

    def test_fix_with_diff_shows_what_it_changed(self, file: Path) -> None:
        done = run("--fix", "--diff", "--ignore", "LT14", file.name, cwd=file.parent)

        assert done.stdout == DIFF
        assert "prefix: a # folder" in file.read_text()

    def test_the_diff_leaves_data_on_standard_output_alone(self, file: Path) -> None:
        done = run("--fix", "--diff", "--format", "json", file.name, cwd=file.parent)

        assert json.loads(done.stdout)["checked"] == 1
        assert done.stderr.startswith(DIFF)

    def test_mode_mark_and_link_of_the_file_stay(self, file: Path) -> None:
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
        file.chmod(0o640)
        link = file.with_name("link.yaml")
        link.symlink_to(file)

        run("--fix", link)

        assert file.read_bytes().startswith(b"\xef\xbb\xbf# Orders.")
        assert b"prefix: a #" in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        assert link.is_symlink()
        assert sorted(each.name for each in file.parent.iterdir()) == ["link.yaml", "t.yaml"]

    def test_fix_of_standard_input_is_wrong_usage(self) -> None:
        done = run("--fix", "-", text="{}")

        assert done.returncode == 2
        assert "--fix cannot write to standard input" in done.stderr

    def test_diff_of_standard_input_is_shown(self, file: Path) -> None:
        done = run("--diff", "-", text=file.read_text())

        assert "+prefix: a # folder\n" in done.stdout

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written_is_one_line(self, file: Path) -> None:
        file.parent.chmod(0o500)
        try:
            done = run("--fix", file)
        finally:
            file.parent.chmod(0o700)

        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
