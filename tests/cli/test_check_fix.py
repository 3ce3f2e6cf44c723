"""Corrections of `check --fix`."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.cli.check import fix, report
from lava_s3trigger.cli.check.fix import fixed
from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.decide.fixed_values import NOW
from lava_s3trigger.cli.entries.load import SourceFile, load_texts
from lava_s3trigger.cli.entries.memory import MemoryTriggers, UnknownJobs
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.objects.record import S3Object
from lava_s3trigger.decision import Decision
from tests.build import trigger_entry
from tests.cli.checking import checked, run, trigger
from tests.examples import examples

HEAD = "# Orders.\ntrigger_id: t\nbucket: orders\n"
TAIL = "enabled: true # for now\n\njob_id: load\n"


def corrected(text: str, name: str = "t.yaml", *, with_unsafe: bool = False) -> str:
    result = fixed(load_texts([(name, text)]), checked, with_unsafe=with_unsafe)
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
        ("prefix: a/\nx-lint-ignore: LT201", "prefix: a/\nx-lint-ignore: LT201"),
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
        ("prefix: a\nif_size_gt: 10mIB", 'prefix: a\nif_size_gt: "10MiB"'),
        ("prefix: a\njinja: 'no'", "prefix: a\njinja: false"),
        ("prefix: a\njinja: on", "prefix: a\njinja: true"),
        ("prefix: a\njinja: flase", "prefix: a\njinja: flase"),
        ("prefix: a\nx-since: 2026-03-14", 'prefix: a\nx-since: "2026-03-14"'),
        ("prefix: a\nx-codes: {2026: a}", 'prefix: a\nx-codes: {"2026": a}'),
    ],
)
def test_a_value_is_corrected_and_nothing_else(before: str, after: str) -> None:
    for end in ("\n", "\r\n"):
        text, wanted = (f"{HEAD}{each}\n{TAIL}".replace("\n", end) for each in (before, after))
        assert corrected(text) == wanted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("prefix: '*/'", "prefix: '*'"),
        ("prefix: a\nif_fnmatch: '*.{csv,tsv}'", 'prefix: a\nif_fnmatch: ["*.csv", "*.tsv"]'),
        ("prefix: a\nif_fnmatch: ['*.{a,b}']", "prefix: a\nif_fnmatch: ['*.{a,b}']"),
        ("prefix: a\nif_fnmatch: '*.csv|*.tsv'", 'prefix: a\nif_fnmatch: ["*.csv", "*.tsv"]'),
        ("prefix: a\nif_not_fnmatch: '*.{a,b}'", 'prefix: a\nif_not_fnmatch: ["*.a", "*.b"]'),
        ("prefix: a\nif_size_lt: 5", "prefix: a\nif_not_size_gt: 5"),
        ("prefix: a\nif_min_size: 5", "prefix: a\nif_size_gt: 5"),
    ],
)
def test_what_fires_differently_is_corrected_only_by_unsafe_fixes(before: str, after: str) -> None:
    text = f"{HEAD}{before}\n{TAIL}"

    assert corrected(text) == text
    assert corrected(text, with_unsafe=True) == f"{HEAD}{after}\n{TAIL}"


@pytest.mark.parametrize("name", ["if_size_qt", "if_nt_fnmatch", "if_not_size_lt", "if_sz_gt"])
def test_a_condition_whose_short_words_differ_is_never_renamed(name: str) -> None:
    text = f"{HEAD}prefix: a\n{name}: 5\n{TAIL}"

    assert corrected(text, with_unsafe=True) == text


@pytest.mark.parametrize(
    ("prefix", "others", "is_safe"),
    [
        ("in/", [], True),
        ("in/", ["in/deeper"], True),
        ("in/", ["in/"], False),  # the key in/ would fire only it
        ("in/", ["in"], False),  # the key in/ would fire it
        ("in/", ["*"], False),  # keys below in would be hidden from it
        ("in/a/", ["in"], False),
        ("in/*", ["*"], False),
        ("in/", ["inc"], True),
    ],
)
def test_a_prefix_is_corrected_unless_other_entries_get_or_lose_keys(
    prefix: str, others: list[str], *, is_safe: bool
) -> None:
    ignoring = [
        trigger_entry(f"u{n}", each, bucket="orders", **{"x-lint-ignore": "LT"})
        for n, each in enumerate(others)
    ]
    text = json.dumps([trigger_entry("t", prefix, bucket="orders"), *ignoring])

    linted = checked(load_texts([("t.yaml", text)]))

    [found] = [each for each in linted.findings if each.rule in ("LT201", "LT203")]
    assert found.fix
    assert found.fix.is_safe is is_safe
    assert (corrected(text) != text) is is_safe


def test_what_is_shown_as_corrected_is_what_is_corrected() -> None:
    text = (
        "- &a {trigger_id: a, bucket: orders, prefix: in/, enabled: true, job_id: load}\n"
        "- {<<: *a, trigger_id: b}\n"  # one text, two entries
        "- {trigger_id: c, bucket: orders, prefix: &p c/, enabled: true, job_id: load}\n"
        "- {trigger_id: d, bucket: orders, prefix: !!str d/, enabled: true, job_id: load}\n"
        "- {trigger_id: e, bucket: orders, prefix: e/, enabled: 'on', job_id: load}\n"
    )
    linted = checked(load_texts([("t.yaml", text)]))

    result = fixed(load_texts([("t.yaml", text)]), checked)

    assert "--fix corrects 2" in report.summary(linted)
    assert result.corrected == 2
    assert result.texts["t.yaml"].splitlines()[:-1] == text.splitlines()[:-1]


SLOPPY = ["a", "a/", "a/b", "a/b/", "a/*", "a/b/**", "*", "*/", "/", "/a", "b", "b/", "s3://x/a"]
MISTYPED = ("paramters", "if_fnmach", "if_size_lt", "prefx", "bukcet")
SAMPLED = [*SLOPPY, "a/b/c.csv", "a/c.tmp", "b/x", "/a/x", "c", "a/*/x"]
KEYS = st.sampled_from(SAMPLED) | st.text("ab/*.{,}csvtmp", min_size=1, max_size=8)


@st.composite
def sloppy_entries(draw: st.DrawFn) -> list[dict[str, Any]]:
    values = {
        "enabled": st.sampled_from([True, False, "false", "yes", "TRUE"]),
        "prefix": st.sampled_from(SLOPPY),
        "bucket": st.sampled_from(["orders", "s3://orders", "arn:aws:s3:::orders", "other"]),
        "if_fnmatch": st.sampled_from(["*.csv", "*.{csv,tmp}", "*.csv|*.tmp", ["*.tmp"]]),
        "if_not_fnmatch": st.sampled_from(["*.tmp", "*.{tmp,bak}", "a/*"]),
        "if_size_gt": st.sampled_from([0, "1kb", "10", "1KB"]),
        "delay": st.sampled_from(["90", "30S", 5, "5min"]),
        **dict.fromkeys(MISTYPED, st.sampled_from(["a", "orders", "5", {}])),
    }
    chosen = {"bucket", "enabled", "prefix", *draw(st.sets(st.sampled_from([*values]), max_size=4))}
    entry = trigger(**{name: draw(values[name]) for name in sorted(chosen)})
    dropped = draw(st.sampled_from(["", "", "", "prefix", "bucket", "enabled"]))
    return [{name: value for name, value in entry.items() if name != dropped}]


@settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(sloppy_entries(), min_size=1, max_size=6),
    st.lists(KEYS, min_size=20, max_size=1000),
)
def test_after_fix_every_other_entry_decides_as_before(
    drawn: list[list[dict[str, Any]]], keys: list[str]
) -> None:
    entries = [{**entry, "trigger_id": f"t{n}"} for n, [entry] in enumerate(drawn)]
    before = load_texts([("t.json", json.dumps(entries, indent=1))])

    result = fixed(before, checked)

    after = load_texts([("t.json", result.texts.get("t.json", before.files["t.json"].text))])
    assert len(after.entries) == len(entries)
    same = {
        old.id
        for old, new in zip(before.entries, after.entries, strict=True)
        if old.item == new.item
    }
    tables = [MemoryTriggers(loaded.entries) for loaded in (before, after)]
    for key in {*keys, *SAMPLED}:
        event = S3Object("orders", key, 2000, NOW).event("us-east-1")
        old, new = (decide_event(event, table, UnknownJobs()) for table in tables)
        assert outcomes(old, same) == outcomes(new, same), key


def outcomes(decision: Decision, trigger_ids: set[str | None]) -> list[Any]:
    """Return what some triggers do, in an order of their own."""
    return sorted(
        (each.trigger_id, each.outcome, [job.dispatch for job in each.jobs])
        for each in decision.triggers
        if each.trigger_id in trigger_ids
    )


@pytest.mark.parametrize(
    ("fields", "after"),
    [
        ({"prefix": "a/"}, {"prefix": "a"}),
        ({"enabled": "FALSE"}, {"enabled": False}),
        ({"delay": "90"}, {"delay": 90}),
        ({"bucket": "s3://orders"}, {}),
    ],
)
def test_json_is_corrected(fields: dict[str, Any], after: dict[str, Any]) -> None:
    before, expected = (json.dumps([trigger(**each)], indent=4) for each in (fields, after))

    assert corrected(before, "t.json") == expected


def test_in_dynamodb_json_only_the_value_is_corrected_where_its_type_stays() -> None:
    text = """{
      "trigger_id": {"S": "t"}, "bucket": {"S": "orders"}, "prefix": {"S": "a/"},
      "enabled": {"S": "true"}, "job_id": {"S": "load"}
    }"""

    assert corrected(text, "t.json") == text.replace('"a/"', '"a"')


def test_all_mistakes_of_a_file_are_corrected_at_once() -> None:
    text = "".join(
        f"- {{trigger_id: t{n}, bucket: {'s3://' * (n == 1)}orders, enabled: 'on',"
        f" prefix: in{'/x' * (n % 3)}/{'*' * (n % 2)}, job_id: load{n}, delay: 1M}} # {n}\n"
        for n in range(20)  # entries at one folder, and at folders in it, are corrected together
    )

    result = fixed(load_texts([("t.yaml", text)]), checked)

    assert result.corrected == 61
    assert {each.fix and each.fix.is_safe for each in result.before.findings} == {True}
    assert result.linted.findings == []
    assert [line.partition("#")[2] for line in result.texts["t.yaml"].splitlines()] == [
        f" {n}" for n in range(20)
    ]


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        # The map was not one of the function's while its name had a typo.
        ("paramters: [1]", ["LT108"]),
        ("globls: {a: '{{ key | foo | bar }}'}", ["LT403", "LT403"]),
    ],
)
def test_a_correction_shows_what_was_hidden_behind_it(line: str, rules: list[str]) -> None:
    text = f"{HEAD}prefix: a\n{TAIL}{line}\n"

    result = fixed(load_texts([("t.yaml", text)]), checked)

    assert [each.rule for each in result.linted.findings] == rules


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
        done = run("--fix", file.name, folder=file.parent)

        assert file.read_text() == f"{HEAD}prefix: a # folder\n{TAIL}"
        assert done.status == 0
        assert "LT201" not in done.output
        assert "Corrected 1 value in 1 file.\n" in done.errors

    def test_unsafe_fixes_are_shown_and_made_only_if_asked_for(self, file: Path) -> None:
        text = f"{HEAD}prefix: '*/'\n{TAIL}"
        file.write_text(text)

        shown = run(file.name, folder=file.parent)
        fixed_ = run("--fix", file.name, folder=file.parent)
        after_fix = file.read_text()
        diff = run("--diff", "--unsafe-fixes", file.name, folder=file.parent)
        unsafe = run("--fix", "--unsafe-fixes", file.name, folder=file.parent)

        assert "    --fix --unsafe-fixes writes: *\n" in shown.output
        assert shown.errors.endswith("; --unsafe-fixes corrects 1\n")
        assert "Corrected" not in fixed_.errors
        assert after_fix == text
        assert "+prefix: '*'\n" in diff.output
        assert "Corrected 1 value in 1 file.\n" in unsafe.errors
        assert "prefix: '*'\n" in file.read_text()

    def test_json_says_whether_a_correction_is_safe(self, file: Path) -> None:
        file.write_text(f"{HEAD}prefix: a/\nif_fnmatch: '*.{{a,b}}'\ndelay: 5\n{TAIL}")

        findings = run(file, "--format", "json", "--ignore", "LT146,LT147").json()["findings"]

        is_safe = {each["rule"]: each["fix_is_safe"] for each in findings}
        assert is_safe == {"LT143": None, "LT201": True, "LT302": False}

    def test_diff_alone_shows_what_would_change_and_writes_nothing(self, file: Path) -> None:
        before = file.read_text()

        done = run("--diff", "--ignore", "LT14", file.name, folder=file.parent)

        assert done.output.startswith(DIFF)
        assert file.read_text() == before
        assert done.status == 1

    def test_fix_with_diff_shows_what_it_changed(self, file: Path) -> None:
        done = run("--fix", "--diff", "--ignore", "LT14", file.name, folder=file.parent)

        assert done.output == DIFF
        assert "prefix: a # folder" in file.read_text()

    def test_the_diff_leaves_data_on_standard_output_alone(self, file: Path) -> None:
        done = run("--fix", "--diff", "--format", "json", file.name, folder=file.parent)

        assert done.json()["checked"] == 1
        assert done.errors.startswith(DIFF)

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

    def test_diff_of_standard_input_is_shown(self, file: Path) -> None:
        done = run("--diff", "-", stdin=file.read_text())

        assert "+prefix: a # folder\n" in done.output

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written_is_one_line(self, file: Path) -> None:
        file.parent.chmod(0o500)
        try:
            done = run("--fix", file)
        finally:
            file.parent.chmod(0o700)

        assert done.status == 3
        assert done.errors.count("\n") == 1
