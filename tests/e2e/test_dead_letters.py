"""``lava-s3trigger dead-letters`` on the deployed stack: seen, mended, given back, deleted."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.objects.uri import s3_record
from tests.cli.commandline import CommandLine
from tests.docs.pages import OPERATING, section
from tests.processes import finish, wait_until

from .commands import start_command
from .conftest import JOB, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow("waits for messages that come back")]

BUCKET: Final = "dead-letters"
HOSTILE: Final = "in/\x1b[2J\u202ex.csv"
_QUIET: Final = "4"


class Letters:
    """Runs the command on the stack, and has the function park events."""

    def __init__(self, stack: Stack, line: CommandLine) -> None:
        self.stack = stack
        self.line = line
        self.mapping: str = stack.outputs["RedriveMappingId"]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        ran = self.line("dead-letters", *arguments)
        return ran.status, ran.output, ran.errors

    def park(self, trigger_id: str, key: str, job_id: str) -> None:
        """Have an event parked, for a job that does not exist."""
        self.stack.trigger(trigger_id, BUCKET, trigger_id, job_id=job_id, owner="team \x1b[2J")
        before = self.waiting()
        self.stack.invoke({"Records": [s3_record(BUCKET, f"{trigger_id}/{key}")]})
        wait_until(lambda: self.waiting() > before, "the event to be parked")

    def waiting(self) -> int:
        return self.stack.waiting(self.stack.outputs["DeadLetterQueueUrl"])

    def mapping_state(self) -> str:
        client = self.stack.aws.client("lambda")
        state: str = client.get_event_source_mapping(UUID=self.mapping)["State"]
        return state

    def start_redrive(self, folder: Path) -> subprocess.Popen[str]:
        """Redrive an event that is parked again, and wait until the mapping is on."""
        self.park("dl-stuck", "a.csv", "dl-never")
        arguments = ("dead-letters", "redrive", "--quiet", "60")
        process = start_command(*arguments, folder=folder, environment=self.stack.environment)
        wait_until(lambda: self.mapping_state() == "Enabled", "the mapping to be on")
        return process

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = self.line.json("dead-letters").json()
        return found


@pytest.fixture
def letters(stack: Stack, line: CommandLine) -> Iterator[Letters]:
    made = Letters(stack, line)
    yield made
    sqs = stack.aws.client("sqs")
    sqs.purge_queue(QueueUrl=stack.outputs["DeadLetterQueueUrl"])
    assert made.mapping_state() in ("Disabled", "Disabling")


def test_what_waits_is_told_by_trigger_and_reason(letters: Letters) -> None:
    assert letters.run()[:2] == (0, "0 dead letters\n")
    for number in range(4):
        letters.park("dl-many", f"{number}.csv", "no-such-job")
    letters.park("dl-one", HOSTILE, "no-such-job")

    status, output, errors = letters.run()
    assert status == 1, errors
    assert "4 in lava-e2e-s3trigger-dlq: trigger dl-many, no_such_job, owner team" in output
    assert f"  s3://{BUCKET}/dl-many/0.csv: no job" in output
    assert output.replace("\n", "").isprintable()

    found = letters.json()
    groups = {each["trigger_id"]: each for each in found["groups"]}
    assert {name: each["messages"] for name, each in groups.items()} == {"dl-many": 4, "dl-one": 1}
    assert len(groups["dl-many"]["examples"]) == 3
    assert groups["dl-one"]["examples"][0]["objects"] == [f"s3://{BUCKET}/dl-one/{HOSTILE}"]
    assert len(found["messages"]) == 5
    assert letters.run("--trigger", "dl-one")[1].startswith("1 dead letters")
    assert letters.run("--reason", "bad_entry")[0] == 0


def test_what_was_mended_is_given_back_and_what_is_broken_stays(letters: Letters) -> None:
    letters.park("dl-mended", "a.csv", "dl-job")
    letters.park("dl-broken", "b.csv", "dl-never")
    assert letters.run("redrive", "--explain")[0] == 1
    assert "s3trigger-dlq: 2 of 2 would come back again" in letters.run("--explain")[2]
    letters.stack.realm.put("jobs", [{"job_id": "dl-job", **JOB}])
    status, output, errors = letters.run("redrive", "--explain", "--queue", "own")
    assert (status, "1 of 2 would come back again" in errors) == (1, True)
    assert "if redriven now: dispatched: job dl-job to lava-e2e-core" in output
    assert "if redriven now: comes back: no job 'dl-never'" in output
    assert letters.stack.dispatches("core", 0) == []

    status, _, errors = letters.run("redrive", "--quiet", _QUIET)
    assert (status, "redrive is done; 1 of 2 are left" in errors) == (1, True), errors
    [dispatch] = letters.stack.dispatches("core", 1)
    assert dispatch["job_id"] == "dl-job"
    assert letters.waiting() == 1
    assert letters.mapping_state() in ("Disabled", "Disabling")


def test_a_dispatch_to_a_queue_that_is_not_there_would_come_back(letters: Letters) -> None:
    letters.park("dl-unqueued", "a.csv", "dl-unqueued")
    job = {"job_id": "dl-unqueued", **JOB, "worker": "dl-nobody"}
    letters.stack.realm.put("jobs", [job])
    status, output, errors = letters.run("redrive", "--explain", "--queue", "own")
    assert (status, "there is no queue lava-e2e-dl-nobody" in output) == (1, True), output
    assert "1 of 1 would come back again" in errors


def test_only_the_chosen_are_given_back(letters: Letters) -> None:
    letters.park("dl-chosen", "a.csv", "dl-later")
    letters.park("dl-other", "b.csv", "dl-later")
    letters.stack.realm.put("jobs", [{"job_id": "dl-later", **JOB}])
    status, _, errors = letters.run("redrive", "--trigger", "dl-chosen", "--quiet", _QUIET)
    assert status == 0, errors
    letters.stack.dispatches("core", 1)
    assert [each["trigger_id"] for each in letters.json()["groups"]] == ["dl-other"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_the_mapping_is_on_it_is_off_again(
    letters: Letters, tmp_path: Path, number: int
) -> None:
    process = letters.start_redrive(tmp_path)
    process.send_signal(number)
    _, errors = finish(process)
    assert (process.returncode, "was interrupted" in errors) == (128 + number, True), errors
    assert letters.mapping_state() in ("Disabled", "Disabling")
    assert letters.waiting() == 1


def test_after_a_kill_each_run_says_how_to_turn_the_mapping_off(
    letters: Letters, tmp_path: Path
) -> None:
    process = letters.start_redrive(tmp_path)
    process.kill()
    finish(process)

    status, output, errors = letters.run()
    [said] = [each for each in errors.splitlines() if "is on: a redrive is running" in each]
    assert status == 1, output
    command = said.partition("turn it off: ")[2]
    aws = Path(sys.executable).with_name("aws")
    subprocess.run(
        [aws, *shlex.split(command)[1:]], env=os.environ | letters.stack.environment, check=True
    )
    assert letters.mapping_state() in ("Disabled", "Disabling")
    assert "is on" not in letters.run()[2]


def test_what_is_deleted_is_in_a_file(letters: Letters, tmp_path: Path) -> None:
    letters.park("dl-gone", HOSTILE, "dl-never")
    letters.park("dl-kept", "b.csv", "dl-never")
    status, _, errors = letters.run("discard", "--trigger", "dl-gone")
    assert (status, "give --yes" in errors) == (2, True)
    assert letters.waiting() == 2

    file = tmp_path / "deleted.json"
    status, _, errors = letters.run("discard", "--trigger", "dl-gone", "--yes", "--save", str(file))
    assert (status, letters.waiting()) == (0, 1), errors
    [record] = json.loads(file.read_text())["Records"]
    assert json.loads(record["body"])["parked"]["trigger_id"] == "dl-gone"
    assert file.stat().st_mode & 0o777 == 0o600

    status, _, errors = letters.run("restore", str(file))
    assert (status, letters.waiting()) == (0, 2), errors
    groups = {each["trigger_id"]: each["kind"] for each in letters.json()["groups"]}
    assert groups == {"dl-gone": "no_such_job", "dl-kept": "no_such_job"}


def test_those_of_the_intake_are_told_too(letters: Letters) -> None:
    sqs = letters.stack.aws.client("sqs")
    url = sqs.get_queue_url(QueueName="lava-e2e-s3trigger-intake-dlq")["QueueUrl"]
    payload = {"Records": [s3_record(BUCKET, "dl-intake/a.csv")]}
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(payload))
    [group] = letters.json()["groups"]
    assert (group["trigger_id"], group["kind"]) == (None, "not_processed")
    assert group["examples"][0]["objects"] == [f"s3://{BUCKET}/dl-intake/a.csv"]
    sqs.purge_queue(QueueUrl=url)


def test_the_commands_of_the_docs_run(letters: Letters) -> None:
    letters.park("orders", "a.csv", "dl-never")
    page = section(OPERATING, "Dead letters")
    commands = re.findall(r"^lava-s3trigger dead-letters(.*)$", page, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        quiet = ["--quiet", _QUIET] if command == " redrive --trigger orders" else []
        status, _, errors = letters.run(*shlex.split(command), *quiet)
        assert status in (0, 1), errors
