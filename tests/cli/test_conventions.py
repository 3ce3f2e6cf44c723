"""What all commands share: options, exit statuses, output, and messages without traces."""

import io
import os
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

import click
import pytest

from lava_s3trigger import cli
from lava_s3trigger.cli import configuration
from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.errors import COULD_NOT_TELL, CommandError
from lava_s3trigger.cli.options import PATH, Command, aws_options, output_options
from lava_s3trigger.cli.output import streams
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.text import line, styled, write_page
from tests.cli.commandline import CommandLine
from tests.cli.replays import without_credentials
from tests.cli.terminal import Terminal


@click.command(cls=Command, yes="y", no="n", examples=["one", "two"])
@aws_options
@click.option("--rule", multiple=True)
@click.option("--file", type=PATH)
@output_options("text", "json")
@click.option("--raises")
def sample(**values: Any) -> int:
    """Sample."""
    match values["raises"]:
        case "interrupt":
            raise KeyboardInterrupt
        case "defect":
            raise ZeroDivisionError("x \x1b[2J")
        case "mistake":
            raise CommandError("t.yaml:1: wrong \u202e\x1b[31m")
    for name in ("realm", "rule", "file", "format_"):
        click.echo(f"{name} {values[name]}")
    return 1


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAVA_REALM", raising=False)
    monkeypatch.setattr(cli, "_COMMANDS", {"sample": "Sample."})
    monkeypatch.setitem(sys.modules, "lava_s3trigger.cli.sample", sys.modules[__name__])
    monkeypatch.setitem(sys.modules, "lava_s3trigger.cli.sample.command", sys.modules[__name__])

    return lambda *arguments: astuple(CommandLine()(*arguments))[:3]


class TestOptions:
    """An option is looked up as flag, then in the environment, then in a file."""

    def test_a_flag_wins(self, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "lava-s3trigger.toml").write_text('realm = "of-file"')
        assert "realm of-file\n" in run("sample")[1]

        monkeypatch.setenv("LAVA_REALM", "of-environment")
        assert "realm of-environment\n" in run("sample")[1]

        assert "realm of-flag\n" in run("sample", "--realm", "of-flag")[1]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("lava-s3trigger.toml", 'rule = "a"\nformat = "json"\n[sample]\nrule = ["b", "c"]'),
            ("pyproject.toml", '[tool.lava-s3trigger]\nformat = "json"\nsample.rule = ["b", "c"]'),
        ],
    )
    def test_a_file_has_options_for_all_and_for_one_command(
        self, run: Any, tmp_path: Path, name: str, text: str
    ) -> None:
        (tmp_path / name).write_text(text)

        assert run("sample")[1] == "realm None\nrule ('b', 'c')\nfile None\nformat_ json\n"

    @pytest.mark.parametrize(
        ("path", "expected"),
        [("x.yaml", "{}/x.yaml"), ("-", "-"), ("s3://bucket/m.json", "s3://bucket/m.json")],
    )
    def test_a_path_is_relative_to_the_file(
        self, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, expected: str
    ) -> None:
        (tmp_path / "pyproject.toml").write_text(f'[tool.lava-s3trigger]\nfile = "{path}"')
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")

        assert f"file {expected.format(tmp_path)}\n" in run("sample")[1]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("realn = 'x'", "unknown option 'realn'; did you mean 'realm'?"),
            ("[sample]\nrul = 'x'", "unknown option 'sample.rul'; did you mean 'rule'?"),
            ("realm = ['x']", "realm: ['x'] is not one value"),
            ("realm = ", "not valid TOML: "),
            ("format = 'xml'", "'xml' is not one of 'text', 'json'."),
        ],
    )
    def test_a_mistake_in_the_file(self, run: Any, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "lava-s3trigger.toml").write_text(text)

        status, out, err = run("sample")

        assert (status, out) == (2, "")
        assert message in err
        assert "Traceback" not in err

    def test_the_nearest_file_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "lava-s3trigger.toml").write_text("a = 1")
        below = tmp_path / "below"
        below.mkdir()
        (below / "pyproject.toml").write_text("[tool.lava-s3trigger]\na = 2")

        assert configuration.find(below) == (below / "pyproject.toml", {"a": 2})
        assert configuration.find(tmp_path) == (tmp_path / "lava-s3trigger.toml", {"a": 1})

    @pytest.mark.parametrize("text", ["[project]", "tool = 3", "[tool]", "[[tool]]"])
    def test_a_project_whose_tools_are_others_is_passed_over(
        self, run: Any, tmp_path: Path, text: str
    ) -> None:
        (tmp_path / "pyproject.toml").write_text(text)

        assert run("sample")[0] == 1


class TestStatuses:
    """The exit status tells what happened, and a message is one line."""

    @pytest.mark.parametrize(
        ("arguments", "status", "message"),
        [
            (["sample"], 1, ""),
            (["sample", "--raises", "interrupt"], 130, ""),
            (["sample", "--raises", "mistake"], 3, "Error: t.yaml:1: wrong \\u202e\\x1b[31m\n"),
            (["sample", "--file", ""], 2, "Error: Invalid value for '--file': "),
            (["sample", "--file", "a\0b"], 2, "Error: Invalid value for '--file': "),
            (["sample", "--none"], 2, "Error: No such option '--none'."),
            (["none"], 2, "Error: No such command 'none'. See lava-s3trigger --help.\n"),
            (["sampel"], 2, "Error: No such command 'sampel'. Did you mean 'sample'? See "),
            (["sample", "--format"], 2, "Error: Option '--format' requires an argument.\n"),
            (["sample", "--raises", "defect"], 70, "Error: a defect in lava-s3trigger: Zero"),
            (["--version"], 0, ""),
            (["--help"], 0, ""),
        ],
    )
    def test_a_status(self, run: Any, arguments: list[str], status: int, message: str) -> None:
        found, _, err = run(*arguments)

        assert found == status
        assert message in err
        assert len(err.strip().splitlines()) == bool(message)
        assert "\x1b" not in err
        is_defect = status == 70
        assert ("Traceback" in run(*arguments, "--debug")[2]) == is_defect

    def test_help_has_statuses_and_examples(self, run: Any) -> None:
        _, out, _ = run("sample", "--help")

        assert "  0  y\n  1  n\n  2  wrong usage\n  3  could not tell\n" in out
        assert "  one\n  two\n" in out

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_scripts_are_printed(self, shell: str) -> None:
        variables = {"_LAVA_S3TRIGGER_COMPLETE": f"{shell}_source"}
        assert "_lava_s3trigger_completion" in CommandLine((), variables)().output

    def test_words_are_completed(self) -> None:
        words = {"COMP_WORDS": "lava-s3trigger ex", "COMP_CWORD": "1"}
        variables = {"_LAVA_S3TRIGGER_COMPLETE": "bash_complete", **words}
        assert CommandLine((), variables)().output == "plain,explain\n"


class TestOutput:
    """Data goes to standard output, or to a file that is there when it is complete."""

    def test_a_file_is_complete_or_not_there(self, tmp_path: Path) -> None:
        file = tmp_path / "out.json"
        file.write_text("before")
        file.chmod(0o600)

        def half() -> None:
            with streams.opened(str(file)) as opened:
                opened.write("half")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            half()
        assert file.read_text() == "before"

        with streams.opened(str(file)) as opened:
            streams.write_json(opened, {"a": "\u00e9\x1b"}, indent=None)
        assert file.read_text() == '{"version": 1, "a": "\\u00e9\\u001b"}\n'
        assert list(tmp_path.iterdir()) == [file]
        assert file.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("name", "message"), [("none/x", "No such file or directory"), ("", "Is a directory")]
    )
    def test_a_file_that_cannot_be_written(self, tmp_path: Path, name: str, message: str) -> None:
        with pytest.raises(CommandError, match=message), streams.opened(str(tmp_path / name)):
            pass

    def test_a_pipe_is_written_to_and_stays_a_pipe(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

        with streams.opened(str(pipe)) as opened:
            opened.write("x")

        assert os.read(reader, 10) == b"x"
        assert pipe.is_fifo()
        assert list(tmp_path.iterdir()) == [pipe]
        os.close(reader)

    def test_a_symbolic_link_stays_one(self, tmp_path: Path) -> None:
        (tmp_path / "below").mkdir()
        link = tmp_path / "link"
        link.symlink_to("below/file")

        for text in ("first", "second"):
            with streams.opened(str(link)) as opened:
                opened.write(text)
            assert (tmp_path / "below" / "file").read_text() == text
            assert link.is_symlink()

    @pytest.mark.parametrize(
        ("redirection", "status", "message"),
        [
            (">/dev/full", 3, "Error: standard output: No space left on device\n"),
            (">&-", 3, "Error: standard output is closed: name a file with --output\n"),
            ("2>&-", 0, ""),
            ("<&-", 0, ""),
            ("| true", 141, ""),
        ],
    )
    def test_a_stream_that_takes_nothing(self, redirection: str, status: int, message: str) -> None:
        # More than a pipe holds.
        line = f"{sys.executable} -m lava_s3trigger event s3://b/k --count 1000 {redirection}"
        command = ["bash", "-c", f"set -o pipefail; {line}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

        assert (done.returncode, done.stderr) == (status, message)

    def test_text_is_as_wide_as_it_is(self) -> None:
        file = io.StringIO()

        write_page(file, [line("x" * 500 + " [bold]y[/] :smile: https://a")])

        assert file.getvalue() == "x" * 500 + " [bold]y[/] :smile: https://a\n"

    @pytest.mark.parametrize(("no_color", "is_styled"), [("", True), ("1", False)])
    def test_no_color_is_plain_text(
        self, monkeypatch: pytest.MonkeyPatch, no_color: str, *, is_styled: bool
    ) -> None:
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setenv("TERM", "xterm-256color")

        file = Terminal()
        write_page(file, [styled("x", "bold red")])

        assert ("\x1b" in file.getvalue()) == is_styled

    def test_text_for_a_reader_that_is_gone_is_a_broken_pipe(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with pytest.raises(BrokenPipeError), os.fdopen(writing, "w", buffering=1) as file:
            write_page(file, [line("x")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain \u00e9 \u65e5 \U0001f600", "plain \u00e9 \u65e5 \U0001f600"),
        ("\x1b[2J\x07\x9b", "\\x1b[2J\\x07\\x9b"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202eabc\u2066\u200b", "\\u202eabc\\u2066\\u200b"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\ue000\uffff", "\\ue000\\uffff"),
    ],
)
def test_a_text(text: str, expected: str) -> None:
    assert safe(text) == expected
    assert safe(f"{text}\n", keep="\n") == f"{expected}\n".replace("\\n", "\n")


class TestAws:
    """What AWS refuses is one line."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"profile": "no-such"}, "no-such"), ({"region": "not a region"}, "not a region")],
    )
    def test_a_client_that_cannot_be_made(self, options: dict[str, str], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            Aws(**options).client("dynamodb")

    def test_no_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        without_credentials(monkeypatch)
        client = Aws(region="us-east-1", endpoint_url="http://127.0.0.1:9").client("dynamodb")

        with pytest.raises(CommandError, match="no AWS credentials") as raised, reaching_aws():
            client.list_tables()

        assert raised.value.status == COULD_NOT_TELL

    @pytest.mark.usefixtures("credentials")
    def test_a_server_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        client = Aws(region="us-east-1", endpoint_url="http://127.0.0.1:9").client("dynamodb")

        with pytest.raises(CommandError, match="AWS cannot be reached"), reaching_aws():
            client.list_tables()

    def test_the_region_is_found_as_the_aws_cli_finds_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        assert Aws().client("sqs").meta.region_name == "eu-west-1"
        monkeypatch.setenv("AWS_REGION", "eu-west-2")
        assert Aws().client("sqs").meta.region_name == "eu-west-2"
        assert Aws(region="eu-west-3").client("sqs").meta.region_name == "eu-west-3"
