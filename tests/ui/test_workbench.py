"""The workbench of `ui`: its answers are those of the other commands, with drafts in place."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.entries.load import load_texts, read_texts
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.ui.drafts import changed, text_of
from lava_s3trigger.cli.ui.workbench import Source, Workbench
from tests.build import Json
from tests.cli.commandline import CommandLine
from tools.local.server import CHECKOUT, REGION

EXAMPLES: Final = (str(CHECKOUT / "examples/triggers.yaml"), str(CHECKOUT / "examples/jobs.yaml"))
ENTRIES: Final = """\
- trigger_id: t
  bucket: b
  prefix: in
  enabled: true
  if_fnmatch: "*.csv" # tables
  job_id: load

# About the next one.
- {trigger_id: all, bucket: b, prefix: "*", enabled: true, job_id: load}
"""
JOBS: Final = "- {job_id: load, type: exe, worker: core, payload: x, enabled: true}\n"


def workbench(
    entries: str = ENTRIES, jobs: str = JOBS, file: str = "t.yaml", **source: Any
) -> Workbench:
    of = {"realm": None, "region": REGION, **source}
    return Workbench(Source("t.yaml", texts=((file, entries), ("j.yaml", jobs)), **of))


def of_examples() -> Workbench:
    return Workbench(Source("", None, REGION, tuple(read_texts(EXAMPLES))))


def outcomes(*drafts: Json, bench: Workbench | None = None) -> list[str]:
    """Return what an object causes, with drafts in place."""
    request = {"uri": "s3://b/in/a.csv", "drafts": list(drafts)}
    [event] = (bench or workbench()).explain(request)["events"]
    return [f"{trigger['trigger_id']} {trigger['outcome']}" for trigger in event["triggers"]]


def drafted(text: str, replaces: str | None = "t", bench: Workbench | None = None) -> Json:
    """Return the answer to one draft."""
    return (bench or workbench()).draft({"drafts": [{"replaces": replaces, "text": text}]})


@pytest.mark.parametrize("path", sorted((CHECKOUT / "events").glob("*.json")), ids=lambda p: p.stem)
def test_a_payload_is_explained_as_explain_does(path: Path) -> None:
    arguments = ("--event", str(path), "--triggers", EXAMPLES[0], "--jobs", EXAMPLES[1])
    expected = CommandLine(["explain"])(*arguments, "--region", REGION, "--format", "json").json()

    answer = of_examples().changes({"payload": path.read_text()})

    assert {"version": 1, **answer} == expected


def test_an_object_has_the_size_type_and_time_that_are_typed() -> None:
    typed = {"size": "3KB", "event_type": "ObjectCreated:Copy", "time": "2026-03-14T01:59:26Z"}
    [event] = workbench().explain({"uri": "s3://b/in/a.csv", **typed})["events"]
    assert (event["size"], event["event_type"]) == (3000, "ObjectCreated:Copy")
    assert event["event_time"] == "2026-03-14T01:59:26+00:00"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "not an object"),
        ({"uri": "s3://b"}, "the key is missing"),
        ({"uri": "s3://b/k", "size": "many"}, "many"),
        ({"uri": "s3://b/k", "event_type": "Put"}, "Put"),
        ({"uri": "s3://b/k", "time": "noon"}, "noon"),
        ({"payload": "{"}, "not JSON"),
        ({"payload": "[" * 100_000}, "not JSON"),
    ],
)
def test_what_is_typed_wrong_is_named(request_: Json, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        workbench().explain(request_)


@pytest.mark.parametrize(
    ("workers", "outcome"),
    [(None, "dispatched"), (frozenset(["core"]), "dispatched"), (frozenset[str](), "user_error")],
)
def test_a_worker_without_a_queue_parks(workers: frozenset[str] | None, outcome: str) -> None:
    assert outcomes(bench=workbench(realm="demo", workers=workers)) == [f"t {outcome}"]


FIRST: Final = ENTRIES.split("\n\n")[0]
ENTRY: Final = "trigger_id: t\nbucket: b\nprefix: in\nenabled: true\njob_id: load\n"


class TestDrafts:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (FIRST, "t dispatched"),
            (FIRST.replace("csv", "txt"), "t skipped"),
            (FIRST.replace("_id: t", "_id: new"), "new dispatched"),
            ("", "all dispatched"),
            ("trigger_id: [", "all dispatched"),
        ],
        ids=["same", "another condition", "another id", "empty", "not read"],
    )
    def test_a_draft_decides_in_place_of_its_entry(self, text: str, expected: str) -> None:
        assert outcomes({"replaces": "t", "text": text}) == [expected]

    def test_a_draft_that_cannot_be_read_is_found(self) -> None:
        assert [each["rule"] for each in drafted("trigger_id: [")["findings"]] == ["LT001"]

    def test_findings_have_the_places_that_check_gives_them(self, tmp_path: Path) -> None:
        text = f"{ENTRY}if_fnmach: x\n"
        path = tmp_path / "d.yaml"
        path.write_text(text)
        of_check = CommandLine(["check"])(str(path), "--format", "json").json()["findings"]
        findings = drafted(text, None)["findings"]
        expected, found = (
            [[each[name] for name in ("rule", "line", "column", "message")] for each in of_both]
            for of_both in (of_check, findings)
        )
        assert found == expected
        [length] = [each["end"] for each in findings if each["rule"] == "LT104"]
        assert length == len("if_fnmach")

    def test_the_file_of_a_case_is_looked_for_beside_the_entry(self, tmp_path: Path) -> None:
        (tmp_path / "p.json").write_text(CommandLine(["event"])("s3://b/in/a.csv").output)
        bench = workbench(file=str(tmp_path / "t.yaml"))
        cases = "x-tests: [{event: p.json, expect: [{job_id: load}]}]\n"
        answer = drafted(bench.entry({"trigger_id": "t"})["text"] + cases, bench=bench)
        assert answer["problem"] is None
        assert [case["outcome"] for case in answer["cases"]] == ["passed"]

    @pytest.mark.parametrize(
        ("cases", "problem"),
        [
            ("[{event: /dev/zero, expect: nothing}]", "is not a regular file"),
            ("1", "x-tests must be a list"),
        ],
    )
    def test_a_case_that_cannot_be_run_is_named(self, cases: str, problem: str) -> None:
        assert problem in drafted(f"{ENTRY}x-tests: {cases}\n")["problem"]

    def test_cases_are_run(self) -> None:
        cases = "[{key: in/a.csv, expect: [{job_id: load}]}, {key: in/b, expect: nothing}]"
        answer = drafted(f"{ENTRY}x-tests: {cases}\n")
        assert [case["outcome"] for case in answer["cases"]] == ["passed", "failed"]


class TestText:
    def test_the_text_of_an_entry_is_that_of_its_file_without_its_neighbours(self) -> None:
        text = workbench().entry({"trigger_id": "t"})["text"]
        assert text == FIRST[2:].replace("\n  ", "\n") + "\n"

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("e.json", '{"trigger_id": "t", "bucket": "b", "prefix": "p", "delay": 1.5}'),
            ("e.json", '{"trigger_id": {"S": "t"}, "bucket": {"S": "b"}, "prefix": {"S": "*"}}'),
            ("e.yaml", "- &a {trigger_id: a, bucket: b, prefix: p}\n- {<<: *a, trigger_id: t}\n"),
            ("e.yaml", 'triggers:\n  - trigger_id: t\n    bucket: b\n    prefix: "a\\u2028b: #"\n'),
            *((path, text) for path, text in read_texts(EXAMPLES[:1])),
        ],
    )
    def test_the_text_of_an_entry_reads_as_the_entry(self, name: str, text: str) -> None:
        for entry in load_texts([(name, text)]).entries:
            [again] = load_texts([("draft.yaml", text_of(entry))]).entries
            assert again.item == entry.item

    def test_of_two_entries_with_an_id_each_can_be_opened(self) -> None:
        two = "- {trigger_id: t, bucket: b}\n- {trigger_id: t, bucket: c}\n"
        bench = workbench(f"{two}- {{bucket: d}}\n")
        entries = sorted(bench.map({})["entries"], key=lambda entry: str(entry["source"]))
        for entry, bucket in zip(entries, "bcd", strict=True):
            asked = {"trigger_id": entry["id"] or "", "source": entry["source"]}
            assert f"bucket: {bucket}" in bench.entry(asked)["text"]
        assert {entry["state"] for entry in entries if entry["id"] is None} == {"broken"}

    def test_an_entry_that_is_not_there_is_named(self) -> None:
        with pytest.raises(CommandError, match="no entry nobody"):
            workbench().entry({"trigger_id": "nobody"})


class TestChanges:
    TEXT = "trigger_id: t # mine\nif_fnmatch: '*.csv'\nparameters: {a z: 1, b: 2}\nenabled: false\n"

    @pytest.mark.parametrize(
        ("change", "before", "after"),
        [
            ("enabled: true", "enabled: false", "enabled: true"),
            ('if_fnmatch: ["*.a", "*.b"]', "if_fnmatch: '*.csv'", "if_fnmatch:\n  - '*.a'"),
            ("remove if_fnmatch", "if_fnmatch: '*.csv'\n", ""),
            ("remove parameters.a z", "{a z: 1, b: 2}", "{b: 2}"),
            ("rename if_fnmatch to if_size_gt", "if_fnmatch:", "if_size_gt:"),
        ],
    )
    def test_a_change_edits_the_text(self, change: str, before: str, after: str) -> None:
        text = changed(self.TEXT, change).replace('"', "'")
        assert text.startswith(self.TEXT[: self.TEXT.index(before)] + after)
        assert text.startswith("trigger_id: t # mine\n")

    def test_removing_the_entry_leaves_nothing(self) -> None:
        assert changed(self.TEXT, 'remove the entry: it hides "all"') == ""

    @pytest.mark.parametrize(
        ("text", "change", "message"),
        [
            ("a: [", "enabled: true", "not YAML"),
            ("- a: 1\n- b: 2\n", "enabled: true", "does not have one entry"),
            ("a: 1", "add job", "not about a field"),
        ],
    )
    def test_what_cannot_be_changed_is_named(self, text: str, change: str, message: str) -> None:
        with pytest.raises(CommandError, match=message):
            changed(text, change)

    @pytest.mark.parametrize("key", ["shop-orders/orders/x/a.CSV", "shop-catalogue/drafts/a.html"])
    def test_each_change_that_is_suggested_does_what_it_says(self, key: str) -> None:
        examples, request = of_examples(), {"uri": f"s3://{key}"}
        [event] = examples.changes(request)["events"]
        changes = [(change["trigger_id"], change["change"]) for change in event["changes"]]
        others = ("object key", "add job", "enable job", "correct")
        of_entries = [pair for pair in changes if not pair[1].startswith(others)]
        assert of_entries
        for trigger_id, change in of_entries:
            text = examples.entry({"trigger_id": trigger_id})["text"]
            text = examples.change({"text": text, "change": change})["text"]
            draft = {"replaces": trigger_id, "text": text}
            [again] = examples.explain({**request, "drafts": [draft]})["events"]
            assert again["outcome"] == "dispatched", (change, text)


FIELDS: Final = "bucket: bkt, prefix: in, job_id: load"


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        (f"{{trigger_id: t, enabled: true, {FIELDS}}}", None),
        (f"{{trigger_id: t, enabled: true, if_fnmach: x, {FIELDS}}}", "broken"),
        ("{trigger_id: t, enabled: true, bucket: bkt, prefix: /in, job_id: load}", "unreachable"),
        ("{trigger_id: t, enabled: true, bucket: bkt, prefix: in, job_id: lod}", "no job"),
        ("{trigger_id: t, enabled: true, bucket: bkt, prefix: in, job_id: off}", "job disabled"),
        ("{trigger_id: t, enabled: true, bucket: bkt, prefix: in, job_id: lost}", "no queue"),
    ],
)
def test_the_state_of_an_entry_is_what_check_finds(entry: str, state: str | None) -> None:
    jobs = JOBS + (
        "- {job_id: off, type: exe, worker: core, payload: x, enabled: false}\n"
        "- {job_id: lost, type: exe, worker: gone, payload: x, enabled: true}\n"
    )
    bench = workbench(f"- {entry}\n", jobs, realm="demo", workers=frozenset(["core"]))
    assert bench.findings({})["states"].get("t") == state


def test_an_entry_that_the_function_refuses_is_broken_whatever_check_leaves_out() -> None:
    entry = f"- {{trigger_id: t, enabled: true, x-lint-ignore: [LT104], if_fnmach: x, {FIELDS}}}\n"
    [shown] = workbench(entry).map({})["entries"]
    assert shown["state"] == "broken"


def test_the_map_knows_what_hides_and_the_next_prefix_of_each_walk() -> None:
    below = "- {{trigger_id: {}, enabled: false, bucket: {}, prefix: in/a/b, job_id: load}}\n"
    entries = f"- {{trigger_id: t, enabled: true, {FIELDS}}}\n"
    found = workbench(entries + below.format("deep", "bkt") + below.format("other", "c")).map({})
    states = {entry["id"]: entry["state"] for entry in found["entries"]}
    assert states == {"t": "enabled", "deep": "hiding", "other": "disabled"}
    assert found["entries"][0]["workers"] == ["core"]
    parents = {(level["bucket"], level["prefix"]): level["parent"] for level in found["levels"]}
    assert parents == {("bkt", "in"): None, ("bkt", "in/a/b"): "in", ("c", "in/a/b"): None}


class TestPlan:
    def test_it_is_that_of_plan(self, tmp_path: Path) -> None:
        after = ENTRIES.replace("*.csv", "*.txt")
        keys = "in/a.csv\nin/b.txt\nelse/c\n"
        files = {"b.yaml": ENTRIES, "a.yaml": after, "j.yaml": JOBS, "keys": keys}
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        ran = CommandLine(["plan"], folder=tmp_path)(
            *("a.yaml", "--against", "b.yaml", "--jobs", "j.yaml", "--keys", "keys"),
            *("--bucket", "b", "--format", "json"),
        )
        drafts = [{"replaces": "t", "text": after.split("\n\n")[0]}]
        typed = "in/a.csv\r\nin/b.txt\n\nelse/c\n"
        report = workbench().plan({"drafts": drafts, "keys": typed, "bucket": "b"})
        for name in ("objects", "dispatches"):
            assert report[name] == ran.json()[name]
        assert [each["trigger_id"] for each in report["triggers"]] == ["t"]

    @pytest.mark.parametrize(
        ("keys", "message"),
        [("", "no keys"), ("a\n" * 10_001, "10,001 keys"), ("a", "keys:1: a: not an S3 URI")],
    )
    def test_keys_that_it_does_not_take_are_named(self, keys: str, message: str) -> None:
        with pytest.raises(CommandError, match=message):
            workbench().plan({"keys": keys})


def test_answers_are_json() -> None:
    bench = workbench(ENTRIES.replace("in\n", '"\\ud800 \\u0000"\n'))
    for call in (bench.map, bench.findings):
        json.dumps(call({}))
