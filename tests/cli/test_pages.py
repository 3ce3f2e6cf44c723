"""The examples of the pages on the command line: each command prints what the page shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import click
import pytest

from lava_s3trigger.cli import _COMMANDS, commands
from lava_s3trigger.cli.options import Command
from tests.cli.schemas import validate
from tools.local.server import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = CHECKOUT / "docs" / "command-line.md"
EXPLAIN: Final = CHECKOUT / "docs" / "explain.md"
PAGES: Final = (PAGE, EXPLAIN)
_EXAMPLE: Final = re.compile(
    r"^```sh\n((?:(?!```).*\n)+)```\n\n```(text|json)\n((?:(?!```).*\n)+)```$", re.MULTILINE
)
_FILE: Final = re.compile(r"`([\w./-]+\.ya?ml)`:\n\n```yaml\n((?:(?!```).*\n)+)```$", re.MULTILINE)


def examples() -> Iterator[Any]:
    """Yield the commands of the pages, each with the format and text of its output."""
    for page in PAGES:
        for lines, format_, shown in _EXAMPLE.findall(page.read_text()):
            yield pytest.param(lines, format_, shown, id=lines.splitlines()[0][:70])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the pages show, and the samples."""
    for name, text in _FILE.findall(EXPLAIN.read_text()):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "events").symlink_to(CHECKOUT / "events")
    return tmp_path


def run(lines: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run commands as a reader does, in plain text and without AWS."""
    binaries = CHECKOUT / ".venv" / "bin"
    return subprocess.run(
        ["/bin/sh", "-e", "-c", lines],
        cwd=folder,
        env={"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


class TestCommands:
    """The page is the entry to all commands."""

    def test_the_tables_name_all_commands(self) -> None:
        named = re.findall(r"^\| \[`([\w-]+)`\]\(", PAGE.read_text(), re.MULTILINE)
        assert named == commands.list_commands(click.Context(commands))

    @pytest.mark.parametrize("name", _COMMANDS)
    def test_help_has_two_examples_and_the_meaning_of_statuses(self, name: str) -> None:
        found = commands.get_command(click.Context(commands), name)
        assert isinstance(found, Command)
        assert len(found.examples) >= 2
        assert found.yes
        assert found.no
        assert all(each.split()[:2] == ["lava-s3trigger", name] for each in found.examples)

    def test_the_first_line_of_help_is_that_of_the_list(self) -> None:
        for name, summary in _COMMANDS.items():
            found = commands.get_command(click.Context(commands), name)
            assert found
            assert (found.help or "").split("\n\n")[0].replace("\n", " ") == summary


class TestExamples:
    """What the pages show is what is printed."""

    def test_there_are_some(self) -> None:
        assert len(list(examples())) >= 5

    @pytest.mark.parametrize(("lines", "format_", "shown"), list(examples()))
    def test_an_example(self, folder: Path, lines: str, format_: str, shown: str) -> None:
        done = run(lines, folder)
        assert "Traceback" not in done.stderr
        if format_ == "json":
            assert json.loads(done.stdout) == json.loads(shown)
            validate("explain", json.loads(shown))
        else:
            assert (done.stdout or done.stderr) == shown

    def test_completion(self, folder: Path) -> None:
        for shell in ("bash", "zsh", "fish"):
            done = run(f"_LAVA_S3TRIGGER_COMPLETE={shell}_source lava-s3trigger", folder)
            assert done.returncode == 0
            assert "_lava_s3trigger_completion" in done.stdout
        words = "_LAVA_S3TRIGGER_COMPLETE=bash_complete COMP_CWORD=1 COMP_WORDS='lava-s3trigger ex'"
        assert run(f"{words} lava-s3trigger", folder).stdout == "plain,explain\n"

    def test_the_configuration_file_is_read(self, folder: Path) -> None:
        [text] = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        (folder / "lava-s3trigger.toml").write_text(text)
        done = run("lava-s3trigger explain s3://my-bucket/incoming/orders/a.csv", folder)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["realm"] == "prod"
