"""The commands of the pages print what the pages show."""

import ast
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click
import pytest
from ruamel.yaml import YAML

from lava_s3trigger.cli import _COMMANDS, commands
from lava_s3trigger.cli.objects.payloads import ROUTES
from lava_s3trigger.cli.options import Command
from lava_s3trigger.cli.testing.case import REASONS
from lava_s3trigger.cli.testing.fields import FIELDS
from lava_s3trigger.triggers import entry_digest
from tests.build import job_entry, trigger_entry
from tests.cli.commandline import CommandLine, Ran
from tests.cli.logs import TIME, Log, line
from tests.cli.replays import Account, on_account
from tests.cli.schemas import validate
from tools import drawings, screenshots
from tools.local.realm import Realm
from tools.local.server import CHECKOUT, LocalAws

from .pages import (
    DOCS,
    OPERATING,
    Example,
    codes,
    examples,
    fenced,
    item,
    options,
    save_files,
    section,
)

Run = Callable[[str], Ran]

COMMAND_LINE: Final = DOCS / "command-line.md"
EXPLAIN: Final = DOCS / "explain.md"
TESTING: Final = DOCS / "check.md"
PLAN: Final = DOCS / "apply.md"
BACKFILL: Final = DOCS / "backfill.md"
ENTRIES: Final = CHECKOUT / "examples"
PAGES: Final = (COMMAND_LINE, EXPLAIN, TESTING, PLAN)
"""Pages whose commands need no AWS."""
OFFLINE: Final = [example for page in PAGES for example in examples(page)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of a page, on a machine that knows of no realm."""
    for name in ("LAVA_REALM", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    def ran(text: str) -> Ran:
        program, *arguments = shlex.split(text.replace("\\\n", " "))
        assert program == "lava-s3trigger"
        return CommandLine()(*arguments)

    return ran


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the sample payloads."""
    (tmp_path / "events").symlink_to(CHECKOUT / "events")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("example", OFFLINE, ids=lambda each: each.commands[:60])
def test_a_command_prints_what_the_page_shows(folder: Path, run: Run, example: Example) -> None:
    save_files(EXPLAIN if example.page == COMMAND_LINE else example.page, folder)
    ran = run(example.commands)
    assert "Traceback" not in ran.errors
    if example.page == EXPLAIN and example.language == "json":
        assert json.loads(ran.output) == json.loads(example.output)
        validate("explain", json.loads(ran.output))
    else:
        assert (ran.output or ran.errors) == example.output


def test_each_page_has_its_examples() -> None:
    assert [sum(each.page == page for each in OFFLINE) for page in PAGES] == [1, 3, 3, 1]
    assert [shlex.split(each.commands)[1] for each in examples(OPERATING)] == ["tail", "history"]


class TestCommandLine:
    """docs/command-line.md is the entry to all commands."""

    def test_the_tables_name_all_commands(self) -> None:
        named = re.findall(r"^\| \[`([\w-]+)`\]\(", COMMAND_LINE.read_text(), re.MULTILINE)
        assert named == commands.list_commands(click.Context(commands))

    @pytest.mark.parametrize("name", _COMMANDS)
    def test_help_has_examples_the_meaning_of_statuses_and_the_summary(self, name: str) -> None:
        found = commands.get_command(click.Context(commands), name)
        assert isinstance(found, Command)
        assert len(found.examples) >= 2
        assert all((found.yes, found.no))
        assert all(each.split()[:2] == ["lava-s3trigger", name] for each in found.examples)
        assert (found.help or "").split("\n\n")[0].replace("\n", " ") == _COMMANDS[name]

    def test_the_configuration_file_is_read(self, folder: Path, run: Run) -> None:
        save_files(EXPLAIN, folder)
        [text] = fenced(COMMAND_LINE.read_text(), "toml")
        (folder / "lava-s3trigger.toml").write_text(text)
        ran = run("lava-s3trigger explain s3://my-bucket/incoming/orders/a.csv")
        assert (ran.status, ran.json()["realm"]) == (0, "prod")


class TestEntryPages:
    """docs/check.md on cases, and the sections of docs/command-line.md on payloads and schemas."""

    def test_the_tables_name_all_fields_and_reasons(self) -> None:
        rows = re.findall(r"^\| (`.*?) \|", TESTING.read_text(), re.MULTILINE)
        named = {code for cell in rows for code in codes(cell)}
        assert {*FIELDS, *REASONS} - {"trigger_id"} <= named

    def test_all_routes_are_named(self) -> None:
        named = re.findall(r"^\| `(\w[\w-]*)` \|", section(COMMAND_LINE, "event"), re.MULTILINE)
        assert named == list(ROUTES)

    def test_commands_write_the_files_that_the_page_names(self, folder: Path, run: Run) -> None:
        for heading in ("event", "schema"):
            [command, *_] = fenced(section(COMMAND_LINE, heading), "sh")
            assert run(command).status == 0
        files = {each.name for each in folder.iterdir()}
        assert files == {"events", "payload.json", "triggers.schema.json"}


class TestExamples:
    """examples/, as the repository of a team."""

    def test_every_case_passes_and_all_is_covered(self, run: Run) -> None:
        with chdir(ENTRIES):
            ran = run("lava-s3trigger test triggers.yaml jobs.yaml --coverage --format json")
        report = ran.json("test")
        assert (ran.status, report["failed"], report["passed"] >= 15) == (0, 0, True)
        assert report["coverage"] == {"without_case": [], "not_seen": []}
        assert run(f"lava-s3trigger test {ENTRIES}").output.endswith(", 0 failed\n")

    def test_the_readme_names_every_file(self) -> None:
        named = re.findall(r"\[[\w/.-]+\]\(([\w/.-]+)\)", (ENTRIES / "README.md").read_text())
        files = {str(each.relative_to(ENTRIES)) for each in ENTRIES.rglob("*") if each.is_file()}
        assert {*named} >= files - {"README.md"}
        assert all((ENTRIES / each).exists() for each in named)

    def test_the_hooks_and_the_workflow_run(self, tmp_path: Path, run: Run) -> None:
        for name in ("team", "before"):
            shutil.copytree(ENTRIES, tmp_path / name)
        yaml = YAML(typ="safe")
        [repository] = yaml.load(ENTRIES / ".pre-commit-config.yaml")["repos"]
        texts = [hook["entry"] for hook in repository["hooks"]]
        jobs = yaml.load(ENTRIES / "ci" / "github-workflow.yml")["jobs"]
        for step in jobs["entries"]["steps"]:
            lines = step.get("run", "").splitlines()
            texts += [each.partition(" >")[0] for each in lines if each[:14] == "lava-s3trigger"]
        ours = [text for text in texts if text.split()[1] in _COMMANDS]
        with chdir(tmp_path / "team"):
            for text in ours:
                assert run(text).status == 0, text
        assert [text.split()[1] for text in ours].count("test") == 2


@pytest.fixture(scope="module")
def prod(aws: LocalAws) -> Realm:
    """The realm of the page."""
    realm = Realm(aws, "prod")
    realm.make(["core"])
    realm.make_triggers_table()
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="my-bucket")
    s3.put_object(Bucket="my-bucket", Key="incoming/orders/A.CSV", Body=b"x" * 2048)
    realm.put("jobs", [job_entry("load_orders")])
    then, now = (item(_orders(*patterns)) for patterns in (("*.csv",), ("*.csv", "*.CSV")))
    realm.put("s3triggers", [_orders("*.csv", "*.CSV")])
    log = Log(aws, "/aws/lambda/lava-prod-s3trigger")
    names: Any = {
        "trigger_id": "load-orders",
        "bucket": "my-bucket",
        "key": "incoming/orders/A.CSV",
    }
    first = "1c0f9f4e-2f0b-4d0e-9d0e-6a6c3c1f8a52"
    skipped: dict[str, Any] = {
        "kind": "condition_not_met",
        "reason": 'not met: if_fnmatch ["*.csv"]',
        "message_id": "e4b2a8a4-0f1e-4f0c-8a54-6f4b1f1f0c3d",
    }
    log.write(
        line("skipped", TIME, first, **skipped, **names, entry=entry_digest(then)),
        line("summary", TIME, first, events=1, skipped=1),
    )
    later, second = TIME + timedelta(hours=8), "5a1d7c52-8f4e-4a52-9e0b-0c8f6d1c2b90"
    dispatched: dict[str, Any] = {
        "job_id": "load_orders",
        "queue": "lava-prod-core",
        "run_id": "75e6080c-ee23-4c9a-924e-65ccec04a09a",
        "replay": "2026-03-14-orders",
    }
    log.write(
        line("dispatched", later, second, **dispatched, **names, entry=entry_digest(now)),
        line("summary", later, second, events=1, replayed=1, dispatched=1),
        at=later,
        stream="two",
    )
    return realm


class TestLog:
    """docs/operating.md: an object was skipped, the entry corrected, the object replayed."""

    @pytest.mark.parametrize("example", examples(OPERATING), ids=lambda each: each.commands[:60])
    def test_an_example(
        self, aws: LocalAws, prod: Realm, folder: Path, run: Run, example: Example
    ) -> None:
        with pytest.MonkeyPatch.context() as patch, on_account(aws, prod, folder, patch):
            old = folder / "entries-of-last-week"
            old.mkdir()
            (old / "orders.json").write_text(json.dumps(_orders("*.csv")))
            ran = run(example.commands)
        assert ran.errors == ""
        if example.language == "json":
            assert list(map(json.loads, ran.output.splitlines())) == [json.loads(example.output)]
        else:
            assert ran.output == example.output

    def test_named_options_exist(self) -> None:
        text = section(OPERATING, "Reading the log")
        assert options(text) <= _options_of("tail", "history")

    def test_the_runbook_names_commands_and_options_that_exist(self) -> None:
        blocks = "\n".join(fenced(section(OPERATING, "Runbook"), "sh"))
        named = [shlex.split(command) for command in blocks.splitlines() if command]
        assert [words[1] for words in named[:3]] == ["doctor", "tail", "dead-letters"]
        for program, name, *arguments in named:
            assert program == "lava-s3trigger"
            assert options(" ".join(arguments)) <= _options_of(name), name


def _orders(*patterns: str) -> dict[str, Any]:
    """Return the entry of the page on the log."""
    more = {"if_fnmatch": list(patterns), "job_id": "load_orders"}
    return trigger_entry("load-orders", "incoming/orders", **more)


def _options_of(*names: str) -> set[str]:
    found = [commands.get_command(click.Context(commands), name) for name in names]
    return {flag for each in found if each for option in each.params for flag in option.opts}


REPLAYS: Final = [
    found.replace("\\\n", " ")
    for block in fenced(BACKFILL.read_text(), "sh")
    for found in re.findall(r"lava-s3trigger(?:.*\\\n)*.*", block)
]


class TestBackfill:
    """docs/backfill.md: its commands run, and its sums are right."""

    @pytest.fixture
    def account(
        self, aws: LocalAws, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Account]:
        with on_account(aws, realm, tmp_path, monkeypatch) as made:
            yield made

    @pytest.mark.parametrize("command", [each for each in REPLAYS if "s3-batch" not in each])
    def test_a_command_runs(self, run: Run, account: Account, command: str) -> None:
        account.trigger("a")
        s3 = account.aws.client("s3")
        s3.create_bucket(Bucket="my-bucket")
        s3.put_object(Bucket="my-bucket", Key="incoming/a.csv", Body=b"x")
        account.inventory(["in/a.csv"])
        account.keys(["incoming/a.csv"])
        function = f"lava-{account.realm.name}-s3trigger"
        account.aws.client("sqs").create_queue(QueueName=f"{function}-intake")
        account.aws.client("logs").create_log_group(logGroupName=f"/aws/lambda/{function}")
        if not re.match("lava-s3trigger replay (s3:|--inventory|--keys)", command):
            assert run("lava-s3trigger replay --inventory manifest.json --dry-run").status == 0

        ran = run(command)
        assert ran.status == 0, ran.errors
        assert ran.output.startswith("Plan of ")

    def test_there_is_a_command_for_each_way_and_its_options_exist(self) -> None:
        assert len(REPLAYS) >= 9
        assert sum("s3-batch" in command for command in REPLAYS) == 1
        assert all(command.split()[1] == "replay" for command in REPLAYS)
        assert options(BACKFILL.read_text()) <= _options_of("replay")

    def test_the_sums_are_right(self) -> None:
        page = BACKFILL.read_text()
        rows = re.findall(r"^\| [^|]+ \| `([^`]+)` \| ([0-9.]+) \|$", page, re.MULTILINE)
        assert len(rows) == 9
        given = dict(re.findall(r"\b([a-z])=([0-9.e]+)", page.partition("| Formula |")[2][:80]))
        values = {name: float(value) for name, value in given.items()}
        assert values.keys() == {"n", "b", "d", "s", "m"}
        for formula, shown in rows:
            names = {node.id for node in ast.walk(ast.parse(formula)) if isinstance(node, ast.Name)}
            assert names <= values.keys()
            assert f"{eval(formula, {}, values):.2f}" == shown, formula


@pytest.mark.slow("runs all commands of the pictures")
class TestReadme:
    """The README shows what commands print, as text or as a picture that `make docs` writes."""

    def test_pictures_are_current(self) -> None:
        made = screenshots.screenshots()
        assert [path.stem for path in made] == ["check", "test", "explain", "plan"]
        assert set(screenshots.IMAGES.glob("*.svg")) == set(made) | set(drawings.drawings())
        for path, text in made.items():
            assert path.read_text() == text, "run: make docs"

    def test_texts_are_what_commands_print(self, tmp_path: Path) -> None:
        for each in screenshots.shown(tmp_path):
            assert each.text is not None or each.picture, each.command
            if each.text is not None:
                assert re.sub(r"\x1b\[[\d;]*m", "", each.output) == each.text, each.command
