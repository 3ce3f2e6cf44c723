"""``lava-s3trigger tail`` and ``history`` on the deployed stack: the function's own log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.cli.objects.uri import s3_record
from tests.cli.schemas import validate
from tests.cli.terminal import raw
from tests.processes import end_of, finish, signals_received

from .commands import COMMAND
from .conftest import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Stack

pytestmark = pytest.mark.e2e

BUCKET: Final = "told"
KEY: Final = "in/\x1b[2J\u202e a+b%20\u65e5.csv"


def start(stack: Stack, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": stack.aws.endpoint,
        "LAVA_REALM": stack.realm.name,
    }
    with signals_received():
        return subprocess.Popen(
            [COMMAND, *arguments],
            env=os.environ | environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def run(stack: Stack, folder: Path, *arguments: str) -> tuple[int, str]:
    process = start(stack, folder, *arguments)
    output, errors = finish(process)
    assert "Traceback" not in errors
    assert not raw(output)
    return process.returncode, output


def invoke(stack: Stack, key: str) -> None:
    payload = {"Records": [s3_record(BUCKET, key)]}
    stack.aws.client("lambda").invoke(
        FunctionName=stack.outputs["FunctionName"], Payload=json.dumps(payload)
    )


def test_what_happened_to_an_object(stack: Stack, tmp_path: Path) -> None:
    stack.trigger("told", BUCKET, "in", enabled=False)
    invoke(stack, KEY)
    stack.trigger("told", BUCKET, "in")
    invoke(stack, KEY)
    uri = f"s3://{BUCKET}/{KEY}"

    def history() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run(stack, tmp_path, "history", uri, "--format=json")[1])
        validate("history", found)
        return found

    wait_until(lambda: len(history()["deliveries"]) >= 2, "the lines of both events")
    [[skipped], [dispatched]] = [each["lines"] for each in history()["deliveries"]]
    assert (skipped["event"], skipped["kind"]) == ("skipped", "trigger_disabled")
    assert skipped["now"]["outcome"] == "dispatched"
    assert skipped["now"]["differences"] == [{"field": "enabled", "then": False, "now": True}]
    assert (dispatched["event"], dispatched["job_id"]) == ("dispatched", "job-core")
    assert dispatched["now"]["entry"] == dispatched["entry"] != skipped["entry"]

    status, text = run(stack, tmp_path, "history", uri)
    assert status == 0
    assert "enabled: false then, true now" in text
    stack.dispatches("core", 1)


def test_the_log_is_followed(stack: Stack, tmp_path: Path) -> None:
    stack.trigger("followed", BUCKET, "followed")
    keys = [f"followed/{number}" for number in range(5)]
    shown: list[str] = []
    arguments = ("tail", "--follow", "--trigger", "followed", "--format=json")
    with start(stack, tmp_path, *arguments) as process:
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
