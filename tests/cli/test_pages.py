"""The pages on the command line: each command prints what the page shows."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Any, Final

import click
import pytest
from ruamel.yaml import YAML

from lava_s3trigger.cli import _COMMANDS, commands
from lava_s3trigger.cli.objects.payloads import ROUTES
from lava_s3trigger.cli.options import Command
from lava_s3trigger.cli.testing.case import REASONS
from lava_s3trigger.cli.testing.fields import FIELDS
from tools.local.server import CHECKOUT

from .commandline import CommandLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .commandline import Ran

PAGES: Final = {
    name: (CHECKOUT / "docs" / f"{name}.md").read_text()
    for name in ("command-line", "event-and-schema", "explain", "plan", "testing-entries")
}
EXAMPLES: Final = CHECKOUT / "examples"
_BLOCK: Final = r"```\n\n```(text|json)\n((?:(?!```).*\n)+)```$"
_EXAMPLE: Final = re.compile(rf"^```sh\n((?:(?!```).*\n)+){_BLOCK}", re.MULTILINE)
_FILE: Final = re.compile(
    r"`([\w./-]+\.(?:ya?ml|txt))`:\n\n```\w+\n((?:(?!```).*\n)+)```$", re.MULTILINE
)


def examples() -> Iterator[Any]:
    """Yield the commands of the pages, each with the format and text of its output."""
    for page, text in PAGES.items():
        for lines, format_, shown in _EXAMPLE.findall(text):
            yield pytest.param(page, lines, format_, shown, id=lines.splitlines()[0][:70])


def run(line: CommandLine, text: str) -> Ran:
    """Run a command as it stands on a page."""
    name, *arguments = shlex.split(text.replace("\\\n", " "))
    assert name == "lava-s3trigger"
    return line(*arguments)


def folder_of(page: str, folder: Path) -> CommandLine:
    """Write the files that a page shows, and the samples; return what runs commands there."""
    for name, text in _FILE.findall(PAGES[page]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "events").symlink_to(CHECKOUT / "events")
    return CommandLine((), {"COLUMNS": "80"}, folder)


@pytest.mark.usefixtures("line")
class TestExamples:
    """What the pages show is what is printed."""

    def test_each_page_has_some(self) -> None:
        assert {each.values[0] for each in examples()} == PAGES.keys()

    @pytest.mark.parametrize(("page", "lines", "format_", "shown"), list(examples()))
    def test_an_example(
        self, tmp_path: Path, page: str, lines: str, format_: str, shown: str
    ) -> None:
        ran = run(folder_of(page, tmp_path), lines)
        if format_ == "json":
            assert ran.json() == json.loads(shown)
        else:
            assert (ran.output or ran.errors) == shown

    def test_the_json_of_plan(self, tmp_path: Path) -> None:
        [shown] = re.findall(r"^```json\n(.*?)^```$", PAGES["plan"], re.MULTILINE | re.DOTALL)
        line = folder_of("plan", tmp_path)
        found = line.json("plan", "new/", "--against", "old/", "--keys", "keys.txt").json()
        assert {**found, "now": json.loads(shown)["now"]} == json.loads(shown)

    def test_the_files_of_event_and_schema(self, tmp_path: Path) -> None:
        line = CommandLine((), {}, tmp_path)
        page = PAGES["event-and-schema"]
        for each in re.findall(r"^lava-s3trigger .*--output.*$", page, re.MULTILINE):
            assert run(line, each).status == 0
        written = {each.name for each in tmp_path.iterdir()}
        assert written == {"payload.json", "triggers.schema.json"}

    def test_the_configuration_file_is_read(self, tmp_path: Path) -> None:
        line = folder_of("explain", tmp_path)
        [text] = re.findall(
            r"^```toml\n(.*?)^```$", PAGES["command-line"], re.MULTILINE | re.DOTALL
        )
        (tmp_path / "lava-s3trigger.toml").write_text(text)
        ran = line("explain", "s3://my-bucket/incoming/orders/a.csv")
        assert (ran.status, ran.json()["realm"]) == (0, "prod")


class TestTables:
    """The tables of the pages name all that there is, and so does the list of commands."""

    def test_the_commands(self) -> None:
        named = re.findall(r"^\| \[`([\w-]+)`\]\(", PAGES["command-line"], re.MULTILINE)
        assert named == commands.list_commands(click.Context(commands))

    def test_the_fields_and_reasons_of_cases(self) -> None:
        named = re.findall(r"^\| (`.*?) \|", PAGES["testing-entries"], re.MULTILINE)
        codes = {code for cell in named for code in re.findall(r"`(\w+)`", cell)}
        assert {*FIELDS} - {"trigger_id"} <= codes
        assert {*REASONS} <= codes

    def test_the_routes(self) -> None:
        named = re.findall(r"^\| `(\w[\w-]*)` \|", PAGES["event-and-schema"], re.MULTILINE)
        assert named == list(ROUTES)

    @pytest.mark.parametrize("name", _COMMANDS)
    def test_help_has_two_examples_and_the_meaning_of_statuses(self, name: str) -> None:
        found = commands.get_command(click.Context(commands), name)
        assert isinstance(found, Command)
        assert len(found.examples) >= 2
        assert found.yes
        assert found.no
        assert all(each.split()[:2] == ["lava-s3trigger", name] for each in found.examples)
        assert (found.help or "").partition("\n\n")[0].replace("\n", " ") == _COMMANDS[name]


class TestTeam:
    """examples/, as the repository of a team."""

    def test_every_case_passes_and_all_is_covered(self, line: CommandLine) -> None:
        in_examples = CommandLine(line.first, {}, EXAMPLES)
        ran = in_examples.json("test", "triggers.yaml", "jobs.yaml", "--coverage")
        report = ran.json()
        assert (ran.status, report["failed"]) == (0, 0)
        assert report["passed"] >= 15
        assert report["coverage"] == {"without_case": [], "not_seen": []}

    def test_the_readme_names_every_file(self) -> None:
        named = re.findall(r"\[[\w/.-]+\]\(([\w/.-]+)\)", (EXAMPLES / "README.md").read_text())
        files = {str(each.relative_to(EXAMPLES)) for each in EXAMPLES.rglob("*") if each.is_file()}
        assert {*named} >= files - {"README.md"}
        assert all((EXAMPLES / each).exists() for each in named)

    def test_the_hooks_and_the_workflow_run(self, tmp_path: Path, line: CommandLine) -> None:
        shutil.copytree(EXAMPLES, tmp_path / "team")
        shutil.copytree(EXAMPLES, tmp_path / "before")
        known = commands.list_commands(click.Context(commands))
        ran = []
        for text in [*_hooks(), *_workflow()]:
            if text.split()[1] in known:
                assert run(CommandLine(line.first, {}, tmp_path / "team"), text).status == 0, text
                ran.append(text.split()[1])
        assert ran.count("test") == 2


def _hooks() -> list[str]:
    [repository] = YAML(typ="safe").load(EXAMPLES / ".pre-commit-config.yaml")["repos"]
    return [hook["entry"] for hook in repository["hooks"]]


def _workflow() -> list[str]:
    jobs = YAML(typ="safe").load(EXAMPLES / "ci" / "github-workflow.yml")["jobs"]
    steps = [line for each in jobs["entries"]["steps"] for line in each.get("run", "").splitlines()]
    return [line.partition(" >")[0] for line in steps if line.startswith("lava-s3trigger")]
