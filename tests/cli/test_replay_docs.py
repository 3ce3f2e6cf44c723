"""docs/backfill.md: its commands run, and its sums are right."""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING, Final

import pytest

from lava_s3trigger.cli.replay.command import replay as command_of_replay
from tools.local.server import CHECKOUT

if TYPE_CHECKING:
    from .commandline import CommandLine
    from .replays import Account

PAGE: Final = (CHECKOUT / "docs" / "backfill.md").read_text()
COMMANDS: Final = [
    line.replace("\\\n", " ")
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in re.findall(r"lava-s3trigger(?:.*\\\n)*.*", block)
]


@pytest.mark.parametrize("command", [each for each in COMMANDS if "s3-batch" not in each])
def test_a_command_runs(account: Account, replay: CommandLine, command: str) -> None:
    account.trigger("a")
    s3 = account.aws.client("s3")
    s3.create_bucket(Bucket="my-bucket")
    s3.put_object(Bucket="my-bucket", Key="incoming/a.csv", Body=b"x")
    account.inventory(["in/a.csv"])
    account.keys(["incoming/a.csv"])
    intake = f"lava-{account.realm.name}-s3trigger-intake"
    account.aws.client("sqs").create_queue(QueueName=intake)
    group = f"/aws/lambda/lava-{account.realm.name}-s3trigger"
    account.aws.client("logs").create_log_group(logGroupName=group)
    program, name, *arguments = shlex.split(command)
    assert (program, name) == ("lava-s3trigger", "replay")
    if not arguments[0].startswith(("s3:", "--inventory", "--keys")):
        assert replay("--inventory", "manifest.json", "--dry-run").status == 0

    ran = replay(*arguments)
    assert ran.status == 0, ran.errors
    assert ran.output.startswith("Plan of ")


def test_there_is_a_command_for_each_way() -> None:
    assert len(COMMANDS) >= 9
    assert sum("s3-batch" in command for command in COMMANDS) == 1


def test_named_options_exist() -> None:
    known = {flag for parameter in command_of_replay.params for flag in parameter.opts}
    named = {*re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", PAGE)}
    assert named <= known


def test_the_sums_are_right() -> None:
    rows = re.findall(r"^\| [^|]+ \| `([^`]+)` \| ([0-9.]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 9
    given = dict(re.findall(r"\b([a-z])=([0-9.e]+)", PAGE.partition("| Formula |")[2][:80]))
    values = {name: float(value) for name, value in given.items()}
    assert values.keys() == {"n", "b", "d", "s", "m"}
    for formula, shown in rows:
        names = {node.id for node in ast.walk(ast.parse(formula)) if isinstance(node, ast.Name)}
        assert names <= values.keys()
        assert f"{eval(formula, {}, values):.2f}" == shown, formula
