"""The command line as a whole: its commands, and options out of configuration files."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from benchmarks import commandline
from lava_s3trigger import cli
from lava_s3trigger.cli import commands, main
from lava_s3trigger.cli.errors import WRONG_USAGE

if TYPE_CHECKING:
    from pathlib import Path

NAMES = list(cli._COMMANDS)  # noqa: SLF001 - the list is complete


class TestHelp:
    """Help costs no import of commands, and says what theirs says."""

    @pytest.mark.parametrize("name", NAMES)
    def test_the_list_has_the_first_line_of_each_help(self, name: str) -> None:
        command = commands.get_command(click.Context(commands), name)
        assert command
        assert (command.help or "").partition("\n\n")[0].replace("\n", " ") == cli._COMMANDS[name]  # noqa: SLF001

    @pytest.mark.parametrize(
        ("arguments", "not_imported"),
        [
            (["--help"], ["jinja2", "ruamel.yaml", "botocore", "rich"]),
            (["explain", "--help"], ["jinja2", "ruamel.yaml", "botocore", "rich"]),
            (["explain", "s3://b/k", "--triggers=t.json"], ["ruamel.yaml", "botocore", "rich"]),
            (["explain", "s3://b/k", "--triggers=t.yaml"], ["botocore", "rich"]),
        ],
        ids=str,
    )
    def test_what_is_not_imported(
        self, tmp_path: Path, arguments: list[str], not_imported: list[str]
    ) -> None:
        for name in ("t.json", "t.yaml"):
            (tmp_path / name).write_text('{"trigger_id": "t", "bucket": "b", "prefix": "p"}')
        (tmp_path / "lava-s3trigger.toml").write_text("[doctor]\n[explain]\nsize = 5\n")
        program = (
            "import sys\n"
            "from lava_s3trigger.cli import main\n"
            "try:\n"
            f"    main({arguments})\n"
            "finally:\n"
            f"    sys.exit(str([n for n in {not_imported} if n in sys.modules]))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == "[]\n"


class TestConfiguration:
    """Options out of a configuration file are those of some command."""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("sise = 5", "unknown option 'sise'; did you mean 'size'?"),
            ("[explain]\nsise = 5", "unknown option 'explain.sise'; did you mean 'size'?"),
            ("size = [1]", "size: [1] is not one value"),
        ],
        ids=ascii,
    )
    def test_a_mistake(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        text: str,
        said: str,
    ) -> None:
        (tmp_path / "lava-s3trigger.toml").write_text(text)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(["explain", "s3://b/k"])
        assert ended.value.code == WRONG_USAGE
        assert said in capsys.readouterr().err


class TestBenchmark:
    """The benchmark runs, and tells when a command is too slow."""

    @pytest.mark.parametrize(("most", "status"), [(1000.0, 0), (0.01, 1)])
    def test_it_measures_every_command(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        most: float,
        status: int,
    ) -> None:
        monkeypatch.setattr(commandline, "RUNS", 1)
        monkeypatch.setattr(commandline, "MAX_RATIO", most)
        assert commandline.main() == status
        out = capsys.readouterr().out
        assert all(start.title in out for start in commandline.COMMANDS)
