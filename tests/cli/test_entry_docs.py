"""The pages on testing entries, payloads and schemas: what they show is what happens."""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import chdir
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click
from ruamel.yaml import YAML

from lava_s3trigger.cli import commands
from lava_s3trigger.cli.objects.payloads import ROUTES
from lava_s3trigger.cli.testing.case import REASONS
from lava_s3trigger.cli.testing.fields import FIELDS

if TYPE_CHECKING:
    from .commandline import CommandLine, Ran

CHECKOUT: Final = Path(__file__).parents[2]
EXAMPLES: Final = CHECKOUT / "examples"
TESTING: Final = CHECKOUT / "docs" / "testing-entries.md"
EVENT: Final = CHECKOUT / "docs" / "event-and-schema.md"


class Block(NamedTuple):
    """A fenced block of a page."""

    before: str
    """The last line of text before it."""
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = []
    before = ""
    parts = re.split(r"^```(\w*)\n", page.read_text(), flags=re.MULTILINE)
    for prose, language, text in zip(parts[::4], parts[1::4], parts[2::4], strict=False):
        before = prose.strip().rpartition("\n")[2] if prose.strip() else ""
        found.append(Block(before, language, text))
    return found


def command(line: CommandLine, text: str) -> Ran:
    name, *arguments = shlex.split(text)
    assert name == "lava-s3trigger"
    return line.run(*arguments)


class TestTestingEntries:
    """docs/testing-entries.md."""

    def test_commands_print_what_the_page_shows(self, tmp_path: Path, line: CommandLine) -> None:
        shown = blocks(TESTING)
        for block in shown:
            if block.language == "yaml":
                [name] = re.findall(r"`([\w/.-]+\.yaml)`:$", block.before)
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text(block.text)
        ran = 0
        for block, following in pairwise(shown):
            if block.language == "sh":
                assert following.language == "text"
                with chdir(tmp_path):
                    assert command(line, block.text).output == following.text
                ran += 1
        assert ran == 3

    def test_the_tables_name_all(self) -> None:
        page = TESTING.read_text()
        named = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
        codes = {code for cell in named for code in re.findall(r"`(\w+)`", cell)}
        assert {*FIELDS} - {"trigger_id"} <= codes
        assert {*REASONS} <= codes


class TestEventAndSchema:
    """docs/event-and-schema.md."""

    def test_commands_print_what_the_page_shows(self, tmp_path: Path, line: CommandLine) -> None:
        shown = blocks(EVENT)
        with chdir(tmp_path):
            for block in shown:
                if block.language == "sh" and block.text.startswith("lava-s3trigger"):
                    assert command(line, block.text).status == 0
            payload, printed = shown[0], shown[1]
            assert command(line, payload.text).output == printed.text
        assert {each.name for each in tmp_path.iterdir()} == {
            "payload.json",
            "triggers.schema.json",
        }

    def test_all_routes_are_named(self) -> None:
        named = re.findall(r"^\| `(\w[\w-]*)` \|", EVENT.read_text(), re.MULTILINE)
        assert named == list(ROUTES)


class TestExamples:
    """examples/, as the repository of a team."""

    def test_every_case_passes_and_all_is_covered(self, line: CommandLine) -> None:
        with chdir(EXAMPLES):
            ran = line.run("test", "triggers.yaml", "jobs.yaml", "--coverage", "--format", "json")
        report = ran.json("test")
        assert (ran.status, report["failed"]) == (0, 0)
        assert report["passed"] >= 15
        assert report["coverage"] == {"without_case": [], "not_seen": []}

    def test_the_folder_is_tested_as_a_whole(self, line: CommandLine) -> None:
        assert line.run("test", str(EXAMPLES)).output.endswith(", 0 failed\n")

    def test_the_readme_names_every_file(self) -> None:
        named = re.findall(r"\[[\w/.-]+\]\(([\w/.-]+)\)", (EXAMPLES / "README.md").read_text())
        files = {str(each.relative_to(EXAMPLES)) for each in EXAMPLES.rglob("*") if each.is_file()}
        assert {*named} >= files - {"README.md"}
        assert all((EXAMPLES / each).exists() for each in named)

    def test_the_hooks_and_the_workflow_run(self, tmp_path: Path, line: CommandLine) -> None:
        team = tmp_path / "team"
        shutil.copytree(EXAMPLES, team)
        shutil.copytree(EXAMPLES, tmp_path / "before")
        known = commands.list_commands(click.Context(commands))
        ran = []
        with chdir(team):
            for text in [*_hooks(), *_workflow()]:
                if text.split()[1] in known:
                    assert command(line, text).status == 0, text
                    ran.append(text.split()[1])
        assert ran.count("test") == 2


def _hooks() -> list[str]:
    [repository] = YAML(typ="safe").load(EXAMPLES / ".pre-commit-config.yaml")["repos"]
    return [hook["entry"] for hook in repository["hooks"]]


def _workflow() -> list[str]:
    jobs = YAML(typ="safe").load(EXAMPLES / "ci" / "github-workflow.yml")["jobs"]
    steps = [line for each in jobs["entries"]["steps"] for line in each.get("run", "").splitlines()]
    return [line.partition(" >")[0] for line in steps if line.startswith("lava-s3trigger")]
