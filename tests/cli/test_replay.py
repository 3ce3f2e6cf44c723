"""``lava-s3trigger replay``: plans, what is sent of them, and users' mistakes."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from operator import itemgetter

import pytest

from lava_s3trigger.deliveries import deliveries
from tests.processes import finish, unread, wait_until

from .cannedaws import Answer, Request, refusal
from .commandline import peaks
from .replays import HOSTILE, Account, keys_of


class TestPlan:
    """A dry run decides all; the run that follows sends exactly that."""

    def test_a_dry_run_and_the_run_agree_to_the_object(self, account: Account) -> None:
        account.trigger("csv", if_fnmatch="*.csv")
        account.trigger("large", if_size_gt="1KB")
        keys = [f"in/{number}.{end}" for number in range(50) for end in ("csv", "txt")]
        manifest = account.inventory([*keys, "out/1.csv"])
        arguments = ("--inventory", manifest, "--would-fire")

        dry = account.replay.json(*arguments, "--dry-run").json()
        assert (dry["planned"], dry["to_send"], dry["sent"]) == (50, 50, 0)
        assert dry["left_out"] == {"would_not_fire": 51}
        assert account.handed_over() == {}
        found = {(each["trigger_id"], each["outcome"]): each for each in dry["decisions"]}
        examples = [f"s3://{account.bucket}/in/{number}.csv" for number in range(3)]
        expected = {"objects": 50, "job_id": "load", "examples": examples}
        assert found["csv", "dispatched"].items() >= expected.items()
        assert found["large", "skipped"]["objects"] == 50

        # An object more, after the plan.
        account.inventory([*keys, "in/later.csv"])
        ran = account.replay.json(*arguments)
        assert "Sending the plan that was made at" in ran.errors
        assert (ran.status, ran.json()["sent"], ran.json()["replay"]) == (0, 50, dry["replay"])
        assert account.handed_over() == Counter(key for key in keys if key.endswith("csv"))

    def test_a_repeated_replay_is_told(self, account: Account) -> None:
        account.trigger("csv")
        manifest = account.inventory(["in/a.csv"])
        told = "has sent these objects already; they are sent again"
        assert told not in account.replay("--inventory", manifest).errors
        assert told in account.replay("--inventory", manifest).errors
        assert account.handed_over() == {"in/a.csv": 2}

    def test_another_selection_makes_another_plan(self, account: Account) -> None:
        manifest = account.inventory(["in/a.csv", "in/b.txt"])
        account.replay("--inventory", manifest, "--dry-run")
        ran = account.replay.json("--inventory", manifest, "--include", "*.txt")
        assert ran.json()["sent"] == 1
        assert account.handed_over() == {"in/b.txt": 1}

    def test_a_change_of_an_entry_is_told(self, account: Account) -> None:
        account.trigger("a")
        account.trigger("gone")
        manifest = account.inventory(["in/a.csv"])
        account.replay("--inventory", manifest, "--dry-run")
        account.trigger("a", if_fnmatch="*.txt")
        account.trigger("new")
        account.aws.client("dynamodb").delete_item(
            TableName=f"lava.{account.realm.name}.s3triggers", Key={"trigger_id": {"S": "gone"}}
        )
        ran = account.replay("--inventory", manifest)
        warnings = [line for line in ran.errors.splitlines() if line.startswith("Warning")]
        assert [line.split(" since ")[0] for line in warnings] == [
            "Warning: trigger 'a' has changed",
            "Warning: trigger 'gone' no longer exists",
            "Warning: trigger 'new' is new",
        ]
        assert account.handed_over() == {"in/a.csv": 1}

    def test_what_is_decided_is_what_the_function_would_decide(self, account: Account) -> None:
        account.trigger("a", job_id=["load", "none"])
        account.trigger("off", enabled=False)
        found = account.replay.json("--inventory", account.inventory(["in/a"]), "--dry-run").json()
        names = itemgetter("trigger_id", "job_id", "outcome")
        sent, broken = ("a", "load", "dispatched"), ("a", "none", "user_error")
        assert [*map(names, found["decisions"])] == [sent, broken, ("off", None, "skipped")]


class TestSelection:
    """Objects are chosen by key, size and time; those are S3's, never guessed."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ("", "in/a.csv in/A.CSV in/deep/b.csv in/c.txt"),
            ("--include *.csv", "in/a.csv in/deep/b.csv"),
            ("--include in/a* --include *.txt", "in/a.csv in/c.txt"),
            ("--exclude *.csv --exclude *.CSV", "in/c.txt"),
            ("--include *.csv --exclude in/deep/*", "in/a.csv"),
            ("--larger-than 9 --since 2026-03-14", "in/a.csv in/A.CSV in/deep/b.csv in/c.txt"),
            ("--larger-than 10B", ""),
            ("--until 2026-03-14", ""),
            ("--since 2026-03-14T01:59:27Z", ""),
        ],
    )
    def test_a_choice(self, account: Account, options: str, expected: str) -> None:
        manifest = account.inventory(["in/a.csv", "in/A.CSV", "in/deep/b.csv", "in/c.txt"])
        assert account.replay("--inventory", manifest, *options.split()).status == 0
        assert {*account.handed_over()} == {*expected.split()}

    def test_listings_and_files_of_keys_have_sizes_and_times_of_s3(self, account: Account) -> None:
        account.put(["in/a.csv", "in/b.csv"], size=7)
        account.put(["in/small.csv"], size=6)
        now = datetime.now(UTC)
        account.replay(f"s3://{account.bucket}/in/", "--larger-than", "6")
        lines = [f"s3://{account.bucket}/in/a.csv", "in/b.csv", "in/none.csv", "in/small.csv"]
        file = ("--keys", account.keys(lines), "--bucket", account.bucket)
        ran = account.replay.json(*file, "--larger-than", "6")
        assert ran.json()["left_out"]["not_there"] == 1

        assert account.handed_over() == {"in/a.csv": 2, "in/b.csv": 2}
        payloads = [each.json() for each in account.canned.requests if each.method == "POST"]
        for payload in payloads:
            for event in [each.event for each in deliveries(payload, "x")[0].events]:
                assert (event.size, event.event_type) == (7, "ObjectCreated:Put")
                assert abs(event.event_time - now) < timedelta(minutes=1)

    def test_hostile_keys_arrive_and_reach_no_terminal(self, account: Account) -> None:
        account.trigger("a", job_id="{{ key }}")
        ran = account.replay("--inventory", account.inventory(HOSTILE))
        assert account.handed_over() == Counter(HOSTILE)
        shown = ran.output.replace("\n", "") + ran.errors.replace("\n", "")
        assert shown.isprintable()
        assert "\\x1b[2Jcleared" in shown


class TestFailures:
    """One failure stops nothing; all are listed, and can be sent again."""

    def test_one_in_ten_fails_and_is_mended(self, account: Account) -> None:
        keys = [f"in/{number:03}" for number in range(200)]
        bad = {key for key in keys if key.endswith("7")}

        def refusing(request: Request) -> Answer:
            if bad & {*keys_of(request)}:
                return refusal(400, "InvalidRequestContentException", "bad \x1b[2J")
            return Answer(202)

        account.canned.handlers["POST", "/invocations"] = refusing
        ran = account.replay.json("--inventory", account.inventory(keys))
        assert (ran.status, ran.json()["sent"]) == (1, 180)
        assert {each["key"] for each in ran.json()["failed"]} == bad
        assert account.handed_over() == Counter([*{*keys} - bad])

        again = account.replay("--resume")
        assert again.status == 1
        assert "20 failed: --retry-failed sends them again" in again.output
        assert again.output.count("AWS refused Invoke: InvalidRequestContentException") == 20
        assert "\x1b" not in again.output

        account.canned.handlers["POST", "/invocations"] = lambda _: Answer(202)
        account.canned.requests.clear()
        mended = account.replay.json("--retry-failed")
        assert (mended.status, mended.json()["sent"], mended.json()["failed"]) == (0, 200, [])
        assert account.handed_over() == Counter(bad)

    def test_a_missing_permission_loses_nothing(self, account: Account) -> None:
        refused = refusal(403, "AccessDeniedException", "lambda:InvokeFunction")
        account.canned.handlers["POST", "/invocations"] = lambda _: refused
        ran = account.replay.json("--inventory", account.inventory(["in/a", "in/b"]))
        assert (ran.status, ran.json()["to_send"]) == (3, 2)
        assert "AccessDeniedException: lambda:InvokeFunction; nothing is lost" in ran.errors

        account.canned.handlers["POST", "/invocations"] = lambda _: Answer(202)
        assert account.replay.json("--resume").json()["sent"] == 2

    def test_a_lost_answer_is_unknown_until_it_is_sent_again(self, account: Account) -> None:
        account.canned.handlers["POST", "/invocations"] = lambda _: Answer(0)
        manifest = account.inventory(["in/a", "in/b"])
        ran = account.replay.json("--inventory", manifest)
        assert ran.status == 1
        assert [each["key"] for each in ran.json()["unknown"]] == ["in/a", "in/b"]

        account.canned.handlers["POST", "/invocations"] = lambda _: Answer(202)
        account.canned.requests.clear()
        assert account.replay("--retry-failed").status == 1
        assert account.handed_over() == {}
        assert account.replay.json("--resend-unknown").json()["sent"] == 2
        assert account.handed_over() == {"in/a": 1, "in/b": 1}

    @pytest.mark.parametrize("status", [400, 0], ids=["failed", "unknown"])
    def test_another_replay_forgets_nothing_left(self, account: Account, status: int) -> None:
        answer = refusal(400, "InvalidRequestContentException") if status else Answer(0)
        account.canned.handlers["POST", "/invocations"] = lambda _: answer
        manifest = account.inventory(["in/a"])
        account.replay("--inventory", manifest)
        ran = account.replay("--inventory", manifest)
        assert ran.status == 2
        assert "of the replay before, 1 " in ran.errors
        assert "--restart forgets them" in ran.errors

        account.canned.handlers["POST", "/invocations"] = lambda _: Answer(202)
        assert account.replay.json("--inventory", manifest, "--restart").json()["sent"] == 1


class TestEnds:
    """Whenever the process ends, nothing is lost and nothing is sent twice."""

    def ending(self, account: Account, keys: list[str], number: int) -> tuple[int, str, str]:
        """Replay, and have a signal come while the third call is under way."""
        started: list[subprocess.Popen[str]] = []
        arrived = threading.Event()

        def signalling(_: Request) -> Answer:
            arrived.wait(60)
            if len(account.canned.requests) == 4:  # the first one asks for the configuration
                started[0].send_signal(number)
                time.sleep(0.2)  # it is under way when the signal comes
            return Answer(202)

        account.canned.handlers["POST", "/invocations"] = signalling
        arguments = ("--inventory", account.inventory(keys), "--batch", "5", "--concurrency", "1")
        started.append(account.start("replay", *arguments))
        arrived.set()
        output, errors = finish(started[0])
        account.canned.handlers["POST", "/invocations"] = lambda _: Answer(202)
        assert "Traceback" not in errors
        return started[0].returncode, output, errors

    def test_what_was_under_way_at_a_kill_is_unknown(self, account: Account) -> None:
        keys = [f"in/{number:03}" for number in range(50)]
        assert self.ending(account, keys, signal.SIGKILL)[0] == -signal.SIGKILL

        ran = account.replay.json("--resume", "--batch", "5")
        assert "5 objects were being sent when the replay was killed" in ran.errors
        assert (ran.status, ran.json()["sent"]) == (1, 45)
        assert [each["key"] for each in ran.json()["unknown"]] == keys[10:15]
        assert account.handed_over() == Counter(keys)  # it did arrive, and was not sent again
        assert account.replay.json("--resume").json()["unknown"] == ran.json()["unknown"]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_what_was_under_way_at_a_signal_is_known(self, account: Account, number: int) -> None:
        keys = [f"in/{number:03}" for number in range(50)]
        status, output, errors = self.ending(account, keys, number)
        assert status == 128 + number
        # A busy machine may begin another call before the command sees the signal.
        sent = account.handed_over().total()
        assert 15 <= sent < 50
        assert f"{sent} sent\n{50 - sent} not sent yet: --resume sends them\n" in output
        assert "Interrupted; continue with --resume" in errors

        ran = account.replay.json("--resume", "--batch", "5")
        assert (ran.status, ran.json()["sent"], ran.json()["unknown"]) == (0, 50, [])
        assert account.handed_over() == Counter(keys)

    def test_a_second_interrupt_does_not_wait_for_an_answer(self, account: Account) -> None:
        held, started = threading.Event(), threading.Event()

        def holding(_: Request) -> Answer:
            started.set()
            held.wait(60)
            return Answer(202)

        account.canned.handlers["POST", "/invocations"] = holding
        process = account.start("replay", "--inventory", account.inventory(["in/a"]))
        assert started.wait(60)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = finish(process)
        held.set()
        assert (process.returncode, "Traceback" in errors) == (130, False), errors
        [unknown] = account.replay.json("--resume").json()["unknown"]
        assert unknown["key"] == "in/a"

    def test_an_interrupt_while_planning_sends_nothing(self, account: Account) -> None:
        pipe = account.folder / "keys"
        os.mkfifo(pipe)
        process = account.start("replay", "--keys", str(pipe), "--bucket", account.bucket)
        with pipe.open("w") as lines:
            lines.write("in/a\n")
            lines.flush()
            wait_until(lambda: unread(lines) == 0, "the first key to be read")
            process.send_signal(signal.SIGINT)
            _, errors = finish(process)
        assert (process.returncode, "Traceback" in errors) == (130, False)
        assert account.handed_over() == {}
        assert "there is no replay to continue" in account.replay("--resume").errors


def test_the_state_of_another_function(account: Account) -> None:
    state = str(account.folder / "s")
    account.replay("--inventory", account.inventory(["in/a"]), "--dry-run", "--state", state)
    account.canned.deploy("other", {"LAVA_REALM": account.realm.name})
    ran = account.replay("--resume", "--state", state, "--function", "other")
    assert (ran.status, "this is a replay for arn:aws:lambda:" in ran.errors) == (2, True)


def test_memory_does_not_grow_with_the_objects(account: Account) -> None:
    account.trigger("a", parameters={"name": "{{ key.split('/')[-1] }}"})
    taken = []
    for number in (2_000, 20_000):
        manifest = account.inventory(f"in/{each:08}.csv" for each in range(number))
        own, _, printed = peaks("replay", "--inventory", manifest, "--dry-run")
        assert f"{number:,} that trigger a, job load dispatches" in printed
        taken.append(own)
    few, many = taken
    assert many - few < 8 * 1024
