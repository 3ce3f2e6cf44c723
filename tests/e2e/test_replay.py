"""``lava-s3trigger replay`` on the deployed stack: killed, interrupted, and of what is missing.

`make proofs` does it with more objects.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.deployed.log_line import read_line
from tests.processes import finish, read_until

from .commands import start_command
from .conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow("kills and interrupts replays for minutes")]

OBJECTS: Final = int(os.environ.get("S3TRIGGER_REPLAY_OBJECTS", "600"))
BATCH: Final = max(10, OBJECTS // 60)  # the server runs few invocations at a time
_KILLS: Final = (signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)
_SECONDS: Final = 300
DROPPED: Final = 37
PUT: Final = 1000


class Replay:
    """Runs the command on the stack, with a state of its own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.state = folder / "state.sqlite"
        self._start = partial(start_command, folder=folder, environment=stack.environment)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return self._start("replay", *arguments, "--state", self.state)

    def run(self, *arguments: str) -> dict[str, Any]:
        process = self.start(*arguments, "--format", "json")
        output, errors = finish(process, _SECONDS)
        assert process.returncode in (0, 1), errors
        found: dict[str, Any] = json.loads(output)
        assert process.returncode == bool(found["unknown"] or found["failed"])
        return found


@pytest.fixture
def replay(stack: Stack, tmp_path: Path) -> Replay:
    return Replay(stack, tmp_path)


def inventory(folder: Path, bucket: str, number: int) -> tuple[Path, list[str]]:
    """Write an S3 Inventory; return its manifest, and the keys."""
    keys = [f"in/{each:06}.csv" for each in range(number)]
    rows = (f'"{bucket}","{key}","10","2026-03-14T01:59:26.000Z"\n' for key in keys)
    (folder / "data.csv").write_text("".join(rows))
    manifest = folder / "manifest.json"
    schema = "Bucket, Key, Size, LastModifiedDate"
    manifest.write_text(json.dumps({"fileSchema": schema, "files": [{"key": "data.csv"}]}))
    return manifest, keys


def dispatched(stack: Stack, number: int) -> Counter[str]:
    """Wait for so many dispatches to worker core, by key."""
    found: Counter[str] = Counter()

    def arrived() -> bool:
        for message in stack.realm.receive("core"):
            found[json.loads(message["Body"])["parameters"]["key"]] += 1
        return sum(found.values()) >= number

    deadline = time.monotonic() + _SECONDS
    while not arrived():
        assert time.monotonic() < deadline, f"{sum(found.values())} of {number} dispatches"
        time.sleep(0.1)
    time.sleep(1)  # for one too many
    arrived()
    return found


class TestInterrupts:
    """Killed three times and interrupted twice, it hands each object over once."""

    @pytest.fixture(autouse=True)
    def _redriving(self, stack: Stack) -> Iterator[None]:
        """Bring back what the server drops: invocations beyond 16 at a time, after two retries."""
        stack.set_redrive(enabled=True)
        yield
        stack.set_redrive(enabled=False)

    @pytest.mark.parametrize("via", ["invoke", "queue"])
    def test_each_object_is_handed_over_once_but_for_what_is_unknown(
        self, stack: Stack, replay: Replay, tmp_path: Path, via: str
    ) -> None:
        bucket = f"interrupted-{via}"
        stack.trigger(f"replay-{via}", bucket, "in", parameters={"key": "{{ key }}"})
        manifest, keys = inventory(tmp_path, bucket, OBJECTS)
        planned = replay.run("--inventory", str(manifest), "--dry-run")
        assert planned["planned"] == OBJECTS
        assert [each["objects"] for each in planned["decisions"]] == [OBJECTS]

        # Slow enough for each signal to come before the end.
        rate = OBJECTS / 24
        options = ["--via", via, "--batch", f"{BATCH}", "--concurrency", "3", "--rate", f"{rate}"]
        chance = random.Random(f"{via}{OBJECTS}")
        first = ["--inventory", str(manifest)]
        for number in _KILLS:
            process = replay.start(*first, *options)
            assert process.stderr
            read_until(process.stderr, "Sending ", process)
            time.sleep(chance.uniform(0.0, 1.2))
            process.send_signal(number)
            output, errors = finish(process, _SECONDS)
            if number != signal.SIGKILL:
                assert process.returncode == 128 + number, errors
                assert "Traceback" not in errors
                assert "not sent yet: --resume" in output
            first = ["--resume"]
        done = replay.run("--resume", *options)
        unknown = {each["key"] for each in done["unknown"]}

        assert done["sent"] + len(unknown) == OBJECTS
        assert (done["to_send"], done["failed"]) == (0, [])
        assert len(unknown) <= 3 * 3 * BATCH  # kills, calls at a time, records of a call
        found = dispatched(stack, OBJECTS - len(unknown))
        assert {*found.values()} == {1}
        assert {*keys} - unknown <= found.keys() <= {*keys}

        if unknown:
            again = replay.run("--resend-unknown", "--via", via)
            assert (again["sent"], again["unknown"]) == (OBJECTS, [])
            assert unknown == dispatched(stack, len(unknown)).keys()


def test_exactly_what_no_notification_came_for_is_sent(stack: Stack, replay: Replay) -> None:
    bucket = "missing-some"
    stack.trigger("replay-missing", bucket, "in", parameters={"key": "{{ key }}"})
    stack.connections.by_sqs(bucket, stack.outputs["IntakeQueueArn"])
    keys = [f"in/{number:04} a+b.csv" for number in range(PUT)]
    dropped = {*random.Random(37).sample(keys, DROPPED)}
    s3 = stack.aws.client("s3")

    def put(key: str) -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(put, [key for key in keys if key not in dropped]))
        assert len(dispatched(stack, PUT - DROPPED)) == PUT - DROPPED
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        list(pool.map(put, dropped))

    options = [f"s3://{bucket}/in/", "--missing", "--settle", "0"]
    planned = replay.run(*options, "--dry-run")
    assert (planned["planned"], planned["left_out"]) == (
        DROPPED,
        {"dispatched_before": PUT - DROPPED},
    )
    done = replay.run(*options)
    assert done["sent"] == DROPPED
    assert dispatched(stack, DROPPED) == Counter(dropped)
    # They can be told from real events in the log alone.
    logs = stack.aws.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{stack.function}"
    )
    lines = [read_line(event["message"]) for page in pages for event in page["events"]]
    marked = [line for line in lines if line and line.fields.get("replay") == done["replay"]]
    assert {line.fields["key"] for line in marked if line.event == "dispatched"} == dropped
    assert replay.run(*options)["planned"] == 0
