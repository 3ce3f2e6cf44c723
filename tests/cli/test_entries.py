"""Entries are read from every form of file, as DynamoDB would hand them to the function."""

import io
import json
from pathlib import Path

import pytest

from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.entries.load import (
    UNREADABLE,
    Loaded,
    load,
    load_sound,
    load_texts,
    read_table,
)
from lava_s3trigger.cli.errors import COULD_NOT_TELL, CommandError
from tests.build import job_entry, trigger_entry
from tools.local.realm import Realm

TRIGGER = trigger_entry()
JOB = job_entry()
ITEM = {
    "trigger_id": {"S": "t"},
    "bucket": {"S": "b"},
    "prefix": {"S": "p"},
    "enabled": {"BOOL": True},
    "job_id": {"SS": ["j", "k"]},
    "parameters": {"M": {"n": {"N": "1E+3"}, "l": {"L": [{"NULL": True}]}}},
}
BOTH = [("trigger", "t"), ("job", "load")]
YAML = """\
trigger_id: t
bucket: b
prefix: p
enabled: true
job_id: j
"""


def loaded(folder: Path, name: str, text: str) -> Loaded:
    (folder / name).write_text(text, newline="")
    return load([str(folder / name)])


class TestForms:
    """A document is an entry, a list, a map of lists, or what DynamoDB's tools print."""

    @pytest.mark.parametrize(
        ("name", "text", "expected"),
        [
            ("one.yaml", YAML, [("trigger", "t")]),
            ("job.json", json.dumps(JOB), [("job", "load")]),
            ("list.json", json.dumps([TRIGGER, JOB]), BOTH),
            ("map.json", json.dumps({"triggers": [TRIGGER], "jobs": [JOB]}), BOTH),
            ("map.yaml", f"jobs:\n- {json.dumps(JOB)}\ntriggers:\n", [("job", "load")]),
            ("several.yaml", f"{YAML}---\n{YAML}", [("trigger", "t"), ("trigger", "t")]),
            ("lines.jsonl", f"{json.dumps(TRIGGER)}\n{json.dumps(JOB)}\n", BOTH),
            ("item.json", json.dumps(ITEM), [("trigger", "t")]),
            ("get-item.json", json.dumps({"Item": ITEM}), [("trigger", "t")]),
            ("scan.json", json.dumps({"Items": [ITEM], "Count": 1}), [("trigger", "t")]),
            ("empty.yaml", "# nothing yet\n", []),
            ("no-id.yaml", "bucket: b\nprefix: p\n", [("trigger", None)]),
            ("condition.yaml", "if_size_gt: 1\n", [("trigger", None)]),
            ("byte-order-mark.json", f"\ufeff{json.dumps(TRIGGER)}", [("trigger", "t")]),
            ("no-placeholder.yaml", f"{YAML}x-a: a <{{ b <% c\n", [("trigger", "t")]),
        ],
    )
    def test_a_form(
        self, tmp_path: Path, name: str, text: str, expected: list[tuple[str, str | None]]
    ) -> None:
        found = loaded(tmp_path, name, text)

        assert found.all_problems() == []
        assert [(entry.kind, entry.id) for entry in found.entries] == expected

    def test_an_item_of_dynamodb_keeps_its_types(self, tmp_path: Path) -> None:
        [entry] = loaded(tmp_path, "item.json", json.dumps(ITEM)).entries

        assert entry.item == {
            **ITEM,
            "parameters": {"M": {"n": {"N": "1000"}, "l": {"L": [{"NULL": True}]}}},
        }

    def test_binary_values_are_the_bytes_that_base64_stands_for(self, tmp_path: Path) -> None:
        item = {**ITEM, "x-a": {"B": "AAEC"}, "x-b": {"BS": ["/w==", ""]}}
        (tmp_path / "t.json").write_text(json.dumps(item))

        [entry] = load([str(tmp_path)]).entries

        assert entry.item["x-a"] == {"B": b"\0\x01\x02"}
        assert entry.item["x-b"] == {"BS": [b"\xff", b""]}

    def test_a_folder_is_read_without_hidden_files_and_parts(self, tmp_path: Path) -> None:
        for name in ("a.yaml", "b/c.yml", "b/_part.yaml", "_parts/d.yaml", ".git/e.yaml", "f.txt"):
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(YAML)

        found = [entry.source for entry in load([str(tmp_path)]).entries]

        assert found == [f"{tmp_path}/a.yaml:1", f"{tmp_path}/b/c.yml:1"]

    @pytest.mark.parametrize("text", [YAML, json.dumps(TRIGGER), json.dumps([TRIGGER])])
    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

        assert [entry.id for entry in load(["-"]).entries] == ["t"]


class TestValues:
    """A value is what it is after a round trip through the table."""

    @pytest.mark.parametrize(
        "text",
        ["1e3", "0x10", "1.5", "-0.1", "1e-5", "12345678901234567890123456789012345678", "1e120"],
    )
    def test_a_number(self, realm: Realm, client_settings: Aws, tmp_path: Path, text: str) -> None:
        [entry] = loaded(tmp_path, "t.yaml", f"{YAML}parameters: {{n: {text}}}\n").entries
        assert entry.problems == []

        realm.put_item("s3triggers", entry.item)
        [stored] = read_table(client_settings, realm.name, "trigger")

        assert value_of(stored.item["parameters"], "") == entry.value("parameters")

    @pytest.mark.parametrize(
        "text", ["123456789012345678901234567890123456789", "1e126", "1e-131", "1e999999999"]
    )
    def test_a_number_that_dynamodb_refuses(self, tmp_path: Path, text: str) -> None:
        [entry] = loaded(tmp_path, "t.yaml", f"{YAML}parameters:\n  n: {text}\n").entries

        [problem] = entry.problems
        assert (problem.line, problem.column, problem.kind) == (7, 6, "number")
        assert "at most 38 digits" in problem.message


class TestPlaces:
    """A field has its place, and one that is missing has its entry's."""

    TEXT = "triggers:\n- trigger_id: t\n  prefix: p\n  bucket: b\n  parameters:\n    a: [x]\n"

    @pytest.mark.parametrize(
        ("path", "of_name", "place"),
        [
            (("prefix",), False, "3:11"),
            (("prefix",), True, "3:3"),
            (("parameters", "a", 0), False, "6:9"),
            (("parameters", "a", 9), False, "6:8"),
            (("enabled",), False, "2:3"),
        ],
    )
    def test_a_field(
        self, tmp_path: Path, path: tuple[str | int, ...], *, of_name: bool, place: str
    ) -> None:
        [entry] = loaded(tmp_path, "t.yaml", self.TEXT).entries

        assert str(entry.place(*path, of_name=of_name)) == f"{tmp_path}/t.yaml:{place}"

    def test_an_item_of_dynamodb_has_the_place_of_the_value(self, tmp_path: Path) -> None:
        text = '{"trigger_id": {"S": "t"},\n "parameters": {"M": {"a": {"N": "1"}}}}'
        [entry] = loaded(tmp_path, "t.json", text).entries

        assert str(entry.place("parameters", "a")) == f"{tmp_path}/t.json:2:34"


class TestProblems:
    """What is no entry is told with its place; a problem inside an entry is that entry's."""

    @pytest.mark.parametrize(
        ("name", "text", "kind", "place"),
        [
            ("a.yaml", "a: [", "syntax", "1:5"),
            ("a.yaml", "just text", "no_entry", "1:1"),
            ("a.yaml", "- a: 1", "no_entry", "1:3"),
            ("a.json", '{"triggers": {"a": 1}}', "no_entry", "1:14"),
            ("a.yaml", "\nprefix: <{ prefix }>", "placeholder", "2:9"),
            ("a.yaml", "a: 1\n<% if x %>", "placeholder", "2:1"),
        ],
    )
    def test_a_problem_of_a_file(
        self, tmp_path: Path, name: str, text: str, kind: str, place: str
    ) -> None:
        [problem] = loaded(tmp_path, name, text).problems

        assert problem.kind == kind
        assert str(problem).startswith(f"{tmp_path / name}:{place}: ")

    def test_a_problem_of_an_entry(self, tmp_path: Path) -> None:
        text = f"- {json.dumps(TRIGGER)}\n- prefix: 2026-03-14\n  bucket: b\n- {{}}\n"
        found = loaded(tmp_path, "a.yaml", text)

        assert [len(entry.problems) for entry in found.entries] == [0, 1]
        assert [each.kind for each in found.problems] == ["no_entry"]
        with pytest.raises(CommandError, match="put it in quotes") as raised:
            load_sound([str(tmp_path / "a.yaml")])
        assert raised.value.status == COULD_NOT_TELL

    def test_of_many_problems_ten_are_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("- 1\n" * 12)

        with pytest.raises(CommandError) as raised:
            load_sound([str(tmp_path / "a.yaml")])

        assert str(raised.value).splitlines()[-1] == "and 2 more"

    def test_a_file_that_cannot_be_read_does_not_stop_the_others(self, tmp_path: Path) -> None:
        (tmp_path / "bad.yaml").write_bytes(b"trigger_id: t\nowner: \xff\n")
        (tmp_path / "dangling.yaml").symlink_to("nowhere")
        (tmp_path / "good.json").write_text(json.dumps(TRIGGER))
        (tmp_path / "loop.yaml").symlink_to("loop.yaml")

        loaded = load([str(tmp_path)])

        assert [each.id for each in loaded.entries] == [TRIGGER["trigger_id"]]
        assert {each.kind for each in loaded.problems} == {UNREADABLE}
        assert [str(each).removeprefix(f"{tmp_path}/") for each in loaded.problems] == [
            "bad.yaml:2: this is not UTF-8",
            "dangling.yaml: a link to a file that does not exist",
            "loop.yaml: Too many levels of symbolic links",
        ]

    def test_a_file_with_several_names_is_read_once(self, tmp_path: Path) -> None:
        folder = tmp_path / "entries"
        folder.mkdir()
        (folder / "a.json").write_text(json.dumps(TRIGGER))
        (folder / "b.json").symlink_to("a.json")
        (folder / "c.json").hardlink_to(folder / "a.json")
        (tmp_path / "again").symlink_to(folder)

        loaded = load([str(folder), str(tmp_path / "again"), f"{folder}/../entries/a.json"])

        assert list(loaded.files) == [str(folder / "a.json")]
        assert len(loaded.entries) == 1

    @pytest.mark.parametrize(
        ("text", "is_placeholder"),
        [
            ("<{{ key }}>", False),
            ("<{% if key %}>{% endif %}>", False),
            ("<{# key #}>", False),
            ("<{{ {'a': 1} }}>", False),
            ("<{ bucket }>", True),
            ("<{bucket}>", True),
            ("<% if dev %>", True),
            ("<{{ key }}> and <{ bucket }>", True),
        ],
    )
    def test_jinja_in_angle_brackets_is_no_placeholder(
        self, text: str, *, is_placeholder: bool
    ) -> None:
        entry = json.dumps({**TRIGGER, "parameters": {"a": text}})

        loaded = load_texts([("a.json", entry)])

        kinds = [each.kind for each in loaded.problems]
        assert kinds == (["placeholder"] if is_placeholder else [])


def test_all_pages_are_read(realm: Realm, client_settings: Aws) -> None:
    large = "x" * 100_000
    for number in range(15):  # a page of DynamoDB ends at 1 MB
        realm.put("s3triggers", [{**TRIGGER, "trigger_id": f"t{number}", "x-note": large}])

    found = read_table(client_settings, realm.name, "trigger")

    assert sorted(entry.id or "" for entry in found) == sorted(f"t{n}" for n in range(15))
    assert {entry.source for entry in found} == {f"lava.{realm.name}.s3triggers"}


def test_only_a_file_that_is_named_must_have_an_entry(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(YAML)
    payload = tmp_path / "payload.json"
    payload.write_text('{"Records": []}')
    assert [entry.id for entry in load_sound([str(tmp_path)]).entries] == ["t"]
    with pytest.raises(CommandError, match=r"payload\.json"):
        load_sound([str(tmp_path), str(payload)])
