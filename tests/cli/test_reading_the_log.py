"""docs/reading-the-log.md: its commands print what it shows."""

from __future__ import annotations

import json
import re
import shlex
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.cli.history.command import history
from lava_s3trigger.cli.tail.command import tail
from lava_s3trigger.triggers import entry_digest
from tools.local.realm import Realm
from tools.local.server import CHECKOUT

from .commandline import CommandLine
from .logs import TIME, Log, line
from .replays import on_account

if TYPE_CHECKING:
    from pathlib import Path

    from tools.local.server import LocalAws

PAGE: Final = (CHECKOUT / "docs" / "reading-the-log.md").read_text()
EXAMPLES: Final = re.findall(
    r"^```sh\n(.+)\n```\n\n```(text|json)\n((?:(?!```).*\n)*)```$", PAGE, re.MULTILINE
)
BUCKET: Final = "my-bucket"
KEY: Final = "incoming/orders/A.CSV"
JOB: Final = "load_orders"
REQUESTS: Final = ("1c0f9f4e-2f0b-4d0e-9d0e-6a6c3c1f8a52", "5a1d7c52-8f4e-4a52-9e0b-0c8f6d1c2b90")
MESSAGE: Final = "e4b2a8a4-0f1e-4f0c-8a54-6f4b1f1f0c3d"
RUN: Final = "75e6080c-ee23-4c9a-924e-65ccec04a09a"


def entry(*patterns: str) -> dict[str, Any]:
    return {
        "trigger_id": "load-orders",
        "bucket": BUCKET,
        "prefix": "incoming/orders",
        "enabled": True,
        "if_fnmatch": list(patterns),
        "job_id": JOB,
    }


def digest(fields: dict[str, Any]) -> str:
    return entry_digest({name: attribute_of(value) for name, value in fields.items()})


@pytest.fixture(scope="module")
def prod(aws: LocalAws) -> Realm:
    """The realm of the page: an object was skipped, the entry mended, the object replayed."""
    realm = Realm(aws, "prod")
    realm.make(["core"])
    realm.make_triggers_table()
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x" * 2048)
    job = {"job_id": JOB, "type": "exe", "worker": "core", "payload": "x", "enabled": True}
    realm.put("jobs", [job])
    then, now = entry("*.csv"), entry("*.csv", "*.CSV")
    realm.put("s3triggers", [now])
    log = Log(aws, "/aws/lambda/lava-prod-s3trigger")
    names = {"trigger_id": "load-orders", "bucket": BUCKET, "key": KEY}
    reason = 'not met: if_fnmatch ["*.csv"]'
    about = {**names, "entry": digest(then), "message_id": MESSAGE}
    log.write(
        line("skipped", TIME, REQUESTS[0], kind="condition_not_met", reason=reason, **about),
        line("summary", TIME, REQUESTS[0], events=1, skipped=1),
    )
    later = TIME + timedelta(hours=8)
    about = {**names, "entry": digest(now), "replay": "2026-03-14-orders"}
    ran = {"job_id": JOB, "queue": "lava-prod-core", "run_id": RUN}
    log.write(
        line("dispatched", later, REQUESTS[1], **ran, **about),
        line("summary", later, REQUESTS[1], events=1, replayed=1, dispatched=1),
        at=later,
        stream="two",
    )
    return realm


@pytest.mark.parametrize(("command", "format_", "shown"), EXAMPLES)
def test_an_example(  # noqa: PLR0917 - three of them are its case
    aws: LocalAws,
    prod: Realm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    format_: str,
    shown: str,
) -> None:
    program, name, *arguments = shlex.split(command)
    with on_account(aws, prod, tmp_path, monkeypatch):
        (tmp_path / "entries-of-last-week").mkdir()
        text = json.dumps(entry("*.csv"))
        (tmp_path / "entries-of-last-week" / "orders.json").write_text(text)
        ran = CommandLine([name])(*arguments)
    assert program == "lava-s3trigger"
    assert ran.errors == ""
    if format_ == "json":
        assert list(map(json.loads, ran.output.splitlines())) == [json.loads(shown)]
    else:
        assert ran.output == shown


def test_each_command_has_an_example() -> None:
    assert [shlex.split(each)[1] for each, *_ in EXAMPLES] == ["tail", "tail", "history"]


def test_the_options_of_the_page_exist() -> None:
    known = {flag for each in (tail, history) for option in each.params for flag in option.opts}
    assert {*re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)} <= known
