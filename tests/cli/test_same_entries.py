"""explain, check, test and plan find the same entries and jobs in the same files."""

import json
from pathlib import Path

import pytest

from tests.build import job_entry, trigger_entry

from .commandline import CommandLine

URI = "s3://my-bucket/in/a.csv"
CASES = [{"key": "in/a.csv", "expect": [{"job_id": "load"}]}]
ENTRY = trigger_entry(description="d", owner="o") | {"x-tests": CASES}
JOB = job_entry()


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAVA_REALM", raising=False)
    (tmp_path / "entries").mkdir()
    (tmp_path / "keys.txt").write_text(f"{URI}\n")
    return CommandLine()


def commands(path: str) -> dict[str, list[str]]:
    """Return the command lines that read a path."""
    return {
        "check": ["check", path],
        "explain": ["explain", URI, "--triggers", path],
        "test": ["test", path],
        "plan": ["plan", path, "--against", path, "--keys", "keys.txt"],
    }


ALL = list(commands(""))


@pytest.mark.parametrize("command", ALL)
class TestFiles:
    """What one command reads the others read, and what one refuses the others refuse."""

    def test_entries_and_jobs_of_one_folder_without_a_payload(
        self, line: CommandLine, command: str
    ) -> None:
        Path("entries/e.json").write_text(json.dumps([ENTRY, JOB]))
        Path("entries/payload.json").write_text('{"Records": []}')
        ran = line(*commands("entries")[command])

        assert (ran.status, "unknown" in ran.output) == (0, False)

    @pytest.mark.parametrize("text", [None, "", "null", "[]", "{}", "triggers: []"])
    def test_files_without_an_entry_are_no_answer(
        self, line: CommandLine, command: str, text: str | None
    ) -> None:
        if text is not None:
            Path("entries/e.yaml").write_text(text)

        ran = line(*commands("entries")[command])

        assert (ran.status, ran.output) == (3, "")
        assert ran.errors in {
            "Error: entries: no entries in there\n",
            "Error: entries: no trigger entries in there\n",
        }

    def test_a_path_that_is_empty_is_not_the_folder_itself(
        self, line: CommandLine, command: str
    ) -> None:
        Path("e.json").write_text(json.dumps(ENTRY))

        ran = line(*commands("")[command])

        assert (ran.status, ran.output) == (2, "")
        assert "the path is empty" in ran.errors

    def test_a_file_of_options_names_entries(self, line: CommandLine, command: str) -> None:
        Path("entries/e.json").write_text(json.dumps([ENTRY, JOB]))
        Path("lava-s3trigger.toml").write_text('triggers = ["entries"]')
        arguments = {
            "check": ["check"],
            "explain": ["explain", URI],
            "test": ["test"],
            "plan": ["plan", "--against", "entries", "--keys", "keys.txt"],
        }

        assert line(*arguments[command]).status == 0


@pytest.mark.parametrize("command", ["explain", "test", "plan"])
def test_an_entry_that_no_event_finds_is_a_warning(line: CommandLine, command: str) -> None:
    entries = [ENTRY, {**ENTRY, "trigger_id": "u", "prefix": ""}]
    Path("entries/e.json").write_text(json.dumps(entries))

    assert (
        "Warning: entries/e.json:1: no event finds this entry: prefix must be a text that is not"
        " empty\n"
    ) in line(*commands("entries")[command]).errors


def test_a_job_that_files_of_triggers_lack_is_missing_for_explain_as_for_test(
    line: CommandLine,
) -> None:
    Path("entries/e.json").write_text(json.dumps([ENTRY, {**JOB, "job_id": "other"}]))

    for command in ("explain", "test"):
        ran = line(*commands("entries")[command])
        assert ran.status == 1
        assert "no job 'load' in entries" in ran.output
