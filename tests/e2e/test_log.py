"""``lava-s3trigger tail`` and ``history`` on the deployed stack: the function's own log."""

import json
import signal
import threading
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.objects.uri import s3_record
from tests.cli.commandline import CommandLine
from tests.cli.schemas import validate
from tests.cli.terminal import raw
from tests.processes import end_of, wait_until

from .commands import start_command
from .conftest import Stack

pytestmark = pytest.mark.e2e

BUCKET: Final = "told"
KEY: Final = "in/\x1b[2J\u202e a+b%20\u65e5.csv"


def invoke(stack: Stack, key: str) -> None:
    stack.invoke({"Records": [s3_record(BUCKET, key)]})


def test_what_happened_to_an_object(stack: Stack, line: CommandLine) -> None:
    stack.trigger("told", BUCKET, "in", enabled=False)
    invoke(stack, KEY)
    stack.trigger("told", BUCKET, "in")
    invoke(stack, KEY)
    uri = f"s3://{BUCKET}/{KEY}"

    def deliveries() -> list[Any]:
        ran = line.json("history", uri)
        assert not raw(ran.output)
        return [each["lines"] for each in ran.json()["deliveries"]]

    wait_until(lambda: len(deliveries()) >= 2, "the lines of both events")
    [[skipped], [dispatched]] = deliveries()
    assert (skipped["event"], skipped["kind"]) == ("skipped", "trigger_disabled")
    assert skipped["now"]["outcome"] == "dispatched"
    assert skipped["now"]["differences"] == [{"field": "enabled", "then": False, "now": True}]
    assert (dispatched["event"], dispatched["job_id"]) == ("dispatched", "job-core")
    assert dispatched["now"]["entry"] == dispatched["entry"] != skipped["entry"]

    ran = line("history", uri)
    assert ran.status == 0
    assert "enabled: false then, true now" in ran.output
    assert not raw(ran.output)
    stack.dispatches("core", 1)


def test_the_log_is_followed(stack: Stack, tmp_path: Path) -> None:
    stack.trigger("followed", BUCKET, "followed")
    keys = [f"followed/{number}" for number in range(5)]
    shown: list[str] = []
    arguments = ("tail", "--follow", "--trigger", "followed", "--format=json")
    with start_command(*arguments, folder=tmp_path, environment=stack.environment) as process:
        try:
            assert process.stdout
            output = process.stdout
            reader = threading.Thread(target=lambda: shown.extend(output))
            reader.start()
            for key in keys:
                invoke(stack, key)
            wait_until(lambda: len(shown) >= len(keys), "the lines of all events")
        finally:
            process.send_signal(signal.SIGINT)
            status = end_of(process)
            reader.join()
        assert process.stderr
        assert (status, process.stderr.read().strip()) == (130, "")
    found = [json.loads(each) for each in shown]
    for each in found:
        validate("tail", each)
    assert sorted(each["fields"]["key"] for each in found) == keys
    assert {each["event"] for each in found} == {"dispatched"}
    stack.dispatches("core", len(keys))
