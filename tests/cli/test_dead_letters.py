"""``dead-letters`` on queues of the local server, and a canned event source mapping."""

import json
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.dead_letters import run as module
from lava_s3trigger.cli.dead_letters.redrive import Pace
from lava_s3trigger.cli.deployed.dead_letter_queues import MessageCounts, hidden_text
from tests.build import direct

from .commandline import CommandLine
from .deadletters import UUID, DeadLetters
from .replays import Account

HOLD: Final = timedelta(minutes=15)
HOSTILE: Final = "in/\x1b[2J\u202ex.csv"
DISABLED: Final = "the trigger is disabled; it hides entries at prefixes above 'off'"
HIDDEN: Final = r"1 hidden until [0-2]\d:[0-5]\d UTC at the latest"


@pytest.fixture
def letters(account: Account, monkeypatch: pytest.MonkeyPatch) -> DeadLetters:
    monkeypatch.setattr(module, "Pace", partial(Pace, poll=0.01))
    return DeadLetters(account)


def fates(ran: Any) -> dict[str, tuple[str, list[str]]]:
    """Return the fates of messages by their first object's key."""
    return {
        each["objects"][0].rpartition("/")[2]: (each["fate"]["outcome"], each["fate"]["details"])
        for each in ran.json()["messages"]
    }


class TestHidden:
    """What somebody has received waits too."""

    def test_it_is_counted(self, letters: DeadLetters) -> None:
        letters.park("in/a", "in/b", "in/c")
        letters.receive(number=1)
        ran = letters.command()
        assert ran.status == 1
        assert ran.output.startswith("2 dead letters, 1 hidden\n1 hidden until ")
        before = datetime.now(UTC).replace(microsecond=0)
        queue = letters.command("--format", "json").json()["queues"][0]
        assert (queue["messages"], queue["hidden"]) == (2, 1)
        until = datetime.fromisoformat(queue["hidden_until"])
        assert before + HOLD <= until <= datetime.now(UTC) + HOLD

    @pytest.mark.parametrize("whose", ["own", "intake"])
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ("list", f"0 dead letters, 1 hidden\n{HIDDEN}, in "),
            ("list --explain", f"0 dead letters, 1 hidden\n{HIDDEN}, in "),
            ("redrive --explain", f"0 dead letters, 1 hidden\n{HIDDEN}, in "),
            ("redrive", f"nothing to redrive now; {HIDDEN}\n"),
            ("discard --yes", f"{HIDDEN}, not deleted\n"),
        ],
    )
    def test_no_action_takes_it_for_nothing(
        self, letters: DeadLetters, whose: str, arguments: str, expected: str
    ) -> None:
        letters.send(direct(letters.record("in/a")), whose)
        letters.receive(whose)
        ran = letters.command(*arguments.split())
        assert ran.status == 1
        assert re.search(expected, ran.output + ran.errors), ran.output + ran.errors
        assert letters.state == "Disabled"

    @pytest.mark.parametrize(("timeout", "minutes"), [(360, 15), (1800, 30)])
    def test_until_when_messages_are_hidden_at_the_latest(self, timeout: int, minutes: int) -> None:
        now = datetime(2026, 3, 14, 14, 47, tzinfo=UTC)
        counts = MessageCounts(visible=1, hidden=2, delayed=3, visibility_timeout=timeout)
        assert counts.hidden_until(now) == now + timedelta(minutes=minutes)
        assert (counts.total, counts.unseen) == (6, 5)
        assert hidden_text(8, now + HOLD) == "8 hidden until 15:02 UTC"


class TestMapping:
    """Every action says that the mapping is on: a redrive that was killed leaves it so."""

    @pytest.mark.parametrize(
        "arguments", ["list", "redrive --explain", "redrive", "discard --yes", "restore saved.json"]
    )
    def test_it_is_said_that_it_is_on(self, letters: DeadLetters, arguments: str) -> None:
        (letters.account.folder / "saved.json").write_text('{"Records": []}')
        letters.state = "Enabled"
        ran = letters.command(*arguments.split())
        assert ran.status == (3 if arguments == "redrive" else 0)
        assert "-dlq is on: a redrive is running, or was killed" in ran.errors
        assert f"--no-enabled --region us-east-1 --uuid {UUID}" in ran.errors

    def test_it_is_said_that_it_may_not_be_seen(self, letters: DeadLetters) -> None:
        letters.state = None
        ran = letters.command()
        assert (ran.status, "not known whether the mapping of" in ran.errors) == (0, True)


class TestRedrive:
    """`redrive` says what is left, and of how many."""

    def test_what_was_dispatched_is_not_left(self, letters: DeadLetters) -> None:
        letters.park("in/a", "in/b")
        letters.when_enabled = letters.delete_all
        ran = letters.command("redrive", "--quiet", "0")
        assert (ran.status, "redrive is done; 0 of 2 are left\n" in ran.errors) == (0, True)
        assert letters.state == "Disabled"

    def test_there_are_never_more_left_than_were_redriven(self, letters: DeadLetters) -> None:
        letters.park(*"12345")
        assert len(letters.receive(number=3)) == 3
        letters.when_enabled = letters.receive  # as the function does with what it cannot do
        ran = letters.command("redrive", "--quiet", "0")
        assert ran.status == 1
        assert "3 hidden until" in ran.errors
        assert "2 of 2 are left; it has 3 more, hidden before or new\n" in ran.errors

    def test_a_choice_waits_for_what_is_hidden(self, letters: DeadLetters) -> None:
        letters.park("in/a", "in/b")
        letters.receive(number=1)
        letters.when_enabled = letters.delete_all
        ran = letters.command("redrive", "--trigger", "t", "--quiet", "0")
        assert (ran.status, "they may not be of your choice" in ran.errors) == (3, True)
        assert letters.state == "Disabled"
        assert len(letters.receive()) == 1

    def test_an_observing_function_gets_nothing_back(self, letters: DeadLetters) -> None:
        letters.account.variables["S3TRIGGER_MODE"] = "observe"
        letters.account.trigger("t")
        letters.park("in/a")
        letters.send(direct(letters.record("in/b")), "intake")
        ran = letters.command("redrive")
        assert (ran.status, "the function only observes" in ran.errors) == (3, True)
        found = fates(letters.command("--explain", "--format", "json"))
        reasons = ["the function only observes: it dispatches nothing"]
        assert found == {"a": ("comes back", reasons), "b": ("deleted", reasons)}


class TestFates:
    """`--explain` shows what would happen to each message."""

    def test_each_message_has_a_fate(self, letters: DeadLetters) -> None:
        letters.account.trigger("t")
        letters.account.trigger("broken", "broken", job_id="none")
        letters.account.trigger("off", "off", enabled=False)
        letters.park("in/sent")
        letters.park("broken/job", trigger_id="broken")
        letters.park("off/parked", trigger_id="off")
        letters.send(direct(letters.record("off/lambda")))
        letters.send(direct(letters.record("in/both"), letters.record("broken/both")))
        ran = letters.command("--explain", "--format", "json")
        found = fates(ran)
        worker = f"job load to lava-{letters.account.realm.name}-core"
        assert found["sent"] == ("dispatched", [worker])
        assert found["job"][0] == found["both"][0] == found["parked"][0] == "comes back"
        assert found["lambda"] == ("deleted", [DISABLED])
        assert "3 of 5 would come back again; 1 would be deleted without a dispatch" in ran.errors

        text = letters.command("redrive", "--explain")
        assert text.status == 1
        assert f"    if redriven now: dispatched: {worker}\n" in text.output
        assert text.output.count("    if redriven now: comes back: ") == 3
        assert f"    if redriven now: deleted without a dispatch: {DISABLED}\n" in text.output

        unexplained = letters.command("--format", "json").json()["messages"]
        assert [each["fate"] for each in unexplained] == [None] * 5


class TestRestore:
    """What `discard` deletes, `restore` sends to its queue again, and `explain` reads."""

    @pytest.fixture
    def sent(self, letters: DeadLetters) -> dict[str, Any]:
        """A message of each sort, by its body, with its attributes."""
        records = direct(letters.record("in/lambda"))
        letters.park(HOSTILE)
        letters.send(
            records,
            ErrorCode={"DataType": "Number", "StringValue": "200"},
            ErrorMessage={"DataType": "String", "StringValue": "caf\u00e9 \U0001f600"},
            Trace={"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        )
        letters.send({"Type": "Notification", "Message": json.dumps(records)})
        letters.send("this is not JSON")
        letters.send(direct(letters.record("in/intake")), "intake")
        return self.waiting(letters)

    def waiting(self, letters: DeadLetters) -> dict[str, Any]:
        found = [*letters.receive(seconds=0), *letters.receive("intake", seconds=0)]
        return {each["Body"]: each.get("MessageAttributes", {}) for each in found}

    @pytest.mark.usefixtures("sent")
    def test_explain_reads_what_was_deleted(self, letters: DeadLetters, tmp_path: Path) -> None:
        letters.account.trigger("t")
        assert letters.command("discard", "--yes", "--save", "saved.json").status == 0
        explain = CommandLine(["explain"])
        ran = explain.json("--event", "saved.json", "--realm", letters.account.realm.name)
        assert ran.status == 0, ran.errors
        found = ran.json("explain")
        keys = [HOSTILE, "in/intake", "in/lambda", "in/lambda"]
        assert sorted(each["key"] for each in found["events"]) == keys
        assert len(found["errors"]) == 1
        for record in json.loads((tmp_path / "saved.json").read_text())["Records"]:
            (tmp_path / "body.json").write_text(record["body"])
            ran = explain("--event", "body.json", "--realm", letters.account.realm.name)
            assert (ran.status == 3) == (record["body"] == "this is not JSON"), ran.errors

    def test_all_come_back_unchanged_once(self, letters: DeadLetters, sent: dict[str, Any]) -> None:
        assert len(sent) == 5
        ran = letters.command("discard", "--yes", "--save", "saved.json")
        assert (ran.status, self.waiting(letters)) == (0, {})
        assert "dead-letters restore saved.json" in ran.errors

        ran = letters.command("restore", "saved.json")
        assert (ran.status, "restored 5 messages" in ran.errors) == (0, True), ran.errors
        assert self.waiting(letters) == sent

        ran = letters.command("restore", "saved.json")
        assert (ran.status, "restored 0 messages" in ran.errors) == (0, True)
        assert "5 were restored before: saved.json.restored names them" in ran.errors
        assert self.waiting(letters) == sent

    def test_an_interrupted_one_is_continued(self, letters: DeadLetters, tmp_path: Path) -> None:
        letters.park("in/a", "in/b", "in/c")
        assert letters.command("discard", "--yes", "--save", "saved.json").status == 0
        first, *rest = json.loads((tmp_path / "saved.json").read_text())["Records"]
        (tmp_path / "saved.json.restored").write_text(first["messageId"] + "\n")
        assert letters.command("restore", "saved.json").status == 0
        assert self.waiting(letters).keys() == {each["body"] for each in rest}

    def test_a_file_that_exists_is_not_replaced(self, letters: DeadLetters, tmp_path: Path) -> None:
        letters.park("in/a")
        (tmp_path / "saved.json").write_text("precious")
        ran = letters.command("discard", "--yes", "--save", "saved.json")
        assert (ran.status, "saved.json exists: name a new file" in ran.errors) == (3, True)
        assert (tmp_path / "saved.json").read_text() == "precious"
        assert len(letters.receive()) == 1

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("", "No such file"),
            ("[]", "this is not a file that discard has written"),
            ("{", "this is not a file that discard has written"),
            (
                '{"Records": [{"eventSourceARN": "arn:aws:sqs:us-east-1:1:jobs"}]}',
                "arn:aws:sqs:us-east-1:1:jobs is not a dead-letter queue of this function",
            ),
        ],
    )
    def test_other_files_are_refused(
        self, letters: DeadLetters, tmp_path: Path, content: str, expected: str
    ) -> None:
        if content:
            (tmp_path / "saved.json").write_text(content)
        ran = letters.command("restore", "saved.json")
        assert (ran.status, expected in ran.errors) == (3, True), ran.errors

    @pytest.mark.parametrize("arguments", ["restore", "list saved.json", "discard saved.json"])
    def test_a_file_is_for_restore_only(self, letters: DeadLetters, arguments: str) -> None:
        ran = letters.command(*arguments.split())
        assert (ran.status, "restore takes the file" in ran.errors) == (2, True)
