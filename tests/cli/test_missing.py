"""``replay --missing`` sends what nothing accounts for when it sends, and says what it left out."""

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import pytest

from lava_s3trigger.cli.replay.accounts import NOT_SEEN
from tests.build import direct, job_entry

from .cannedaws import Answer, CannedAws
from .commandline import CommandLine, Ran
from .deadletters import DeadLetters, Sqs
from .logs import OldLog, line
from .replays import Account, write_inventory

HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
KEYS: Final = ["in/a", "in/b", "in/c"]


def ago(time: timedelta) -> datetime:
    return datetime.now(UTC) - time


class Missing:
    """An account with three objects that are two hours old, and a log that is older."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.log = OldLog(account.canned, f"/aws/lambda/{account.function}")
        account.trigger("a")
        self.put(dict.fromkeys(KEYS, 2 * HOUR))

    @cached_property
    def letters(self) -> DeadLetters:
        return DeadLetters(self.account)

    def put(self, ages: dict[str, timedelta]) -> None:
        times = ((key, ago(age).isoformat()) for key, age in ages.items())
        manifest = write_inventory(self.account.folder, self.account.bucket, times)
        self.objects = ["--inventory", manifest, "--missing"]

    def run(self, *more: str, status: int = 0) -> Ran:
        ran = self.account.replay(*self.objects, *more)
        assert ran.status == status, ran.errors
        return ran

    def planned(self, *more: str) -> Any:
        ran = self.account.replay.json(*self.objects, *more)
        assert ran.status == 0, ran.errors
        return ran.json()

    @property
    def sent(self) -> list[str]:
        """The keys that were handed over, none of them twice."""
        assert set(self.account.handed_over().values()) <= {1}
        return sorted(self.account.handed_over())

    def dispatched(
        self, key: str, job: str = "load", age: timedelta = 40 * MINUTE, **fields: Any
    ) -> None:
        about = {"trigger_id": "a", "job_id": job, "bucket": self.account.bucket, "key": key}
        self.log.write(line("dispatched", ago(age), **about, **fields), at=ago(age))


@pytest.fixture
def missing(account: Account, monkeypatch: pytest.MonkeyPatch) -> Missing:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", account.canned.url)
    return Missing(account)


class TestWhenItSends:
    """A plan is decided again when it is sent."""

    def test_what_was_dispatched_since_the_plan_is_left_out(self, missing: Missing) -> None:
        assert missing.planned("--dry-run")["planned"] == 3
        missing.dispatched("in/b")  # the line has an earlier time than the plan: it came late
        ran = missing.run()
        assert missing.sent == ["in/a", "in/c"]
        assert "Left out since the plan of 2" in ran.errors
        assert ": 1 with all their dispatches in the log" in ran.errors
        assert "Plan of 2" in ran.output
        assert ": 2 objects" in ran.output
        assert "2 that trigger a, job load dispatches" in ran.output

    def test_what_the_entries_no_longer_dispatch_is_left_out(self, missing: Missing) -> None:
        missing.run("--dry-run")
        missing.account.trigger("a", if_not_fnmatch="*/c")
        ran = missing.run()
        assert missing.sent == ["in/a", "in/b"]
        assert "trigger 'a' has changed since the plan was made" in ran.errors
        assert ": 1 for which nothing would be dispatched" in ran.errors

    @pytest.mark.parametrize("is_refused", [False, True], ids=["dry-run", "refused"])
    def test_what_was_too_young_is_sent(self, missing: Missing, *, is_refused: bool) -> None:
        missing.put({"in/a": 2 * HOUR, "in/b": 2 * MINUTE})
        missing.letters.changed_at = ago(5 * MINUTE if is_refused else HOUR)
        first = missing.run(status=3) if is_refused else missing.run("--dry-run")
        missing.put(dict.fromkeys(("in/a", "in/b"), 2 * HOUR))
        missing.letters.changed_at = ago(HOUR)
        assert first.status or "--dry-run plans again, since objects that were left" in first.output
        assert "left out objects that may be missing by now" in missing.run().errors
        assert missing.sent == ["in/a", "in/b"]

    def test_what_was_lost_and_arrived_is_not_sent_again(self, missing: Missing) -> None:
        missing.account.canned.handlers["POST", "/invocations"] = lambda _: Answer(0)
        missing.run(status=1)
        missing.dispatched("in/a")
        missing.account.canned.handlers["POST", "/invocations"] = lambda _: Answer(202)
        missing.account.canned.requests.clear()
        ran = missing.account.replay.json("--resend-unknown")
        assert (ran.status, ran.json()["sent"]) == (0, 2)
        assert missing.sent == ["in/b", "in/c"]

    def test_another_replay_sends_nothing_that_the_log_may_lack(self, missing: Missing) -> None:
        missing.run()
        for _ in range(2):
            missing.account.canned.requests.clear()
            again = missing.planned()
            assert (again["planned"], again["left_out"]) == (0, {"handed_over": 3})
            assert missing.sent == []
        assert missing.planned("--restart")["sent"] == 3

    def test_it_says_what_it_cannot_see(self, missing: Missing) -> None:
        assert missing.planned("--dry-run")["not_seen"] == [*NOT_SEEN]
        assert f"Not seen: {NOT_SEEN[0]}" in missing.run().output


class TestLog:
    """What the log tells of dispatches, and of which objects it can tell."""

    def test_only_what_has_no_dispatch_is_sent(self, missing: Missing) -> None:
        missing.account.trigger("a", job_id=["load", "load2"], if_not_fnmatch="*.tmp")
        missing.account.realm.put("jobs", [job_entry("load2")])
        keys = ["in/x y+z", "in/half", "in/earlier", "in/skipped.tmp"]
        missing.put({"in/none": 4 * HOUR, **dict.fromkeys(keys, 2 * HOUR)})
        for key, job, age in [
            ("in/x y+z", "load", HOUR),
            ("in/x y+z", "load2", HOUR),
            ("in/half", "load", HOUR),
            ("in/earlier", "load", 3 * HOUR),  # of an earlier object of the key
            ("in/earlier", "load2", 3 * HOUR),
        ]:
            missing.dispatched(key, job, age)
        found = missing.planned()
        assert missing.sent == ["in/earlier", "in/none"]
        reasons = ("dispatched_before", "partly_dispatched", "would_not_fire")
        assert found["left_out"] == dict.fromkeys(reasons, 1)

    @pytest.mark.parametrize(
        ("age", "settle", "left_out"),
        [
            (2 * MINUTE, "", {"too_young": 1}),
            (2 * MINUTE, "--settle 3h", {"too_young": 1}),
            (2 * MINUTE, "--settle 1s", {}),
            (25 * HOUR, "", {"older_than_log": 1}),
        ],
    )
    def test_objects_that_it_may_not_know_are_left_out(
        self, missing: Missing, age: timedelta, settle: str, left_out: dict[str, int]
    ) -> None:
        missing.put({"in/x": age})
        found = missing.planned(*settle.split())
        assert (found["planned"], found["left_out"]) == (not left_out, left_out)

    def test_without_a_log_nothing_can_be_missing(self, account: Account) -> None:
        ran = account.replay("--inventory", account.inventory(["in/a"]), "--missing")
        assert ran.status == 3
        assert "there is no log group /aws/lambda/lava-" in ran.errors

    def test_a_log_without_dispatches_does_not_pass_for_one(self, missing: Missing) -> None:
        missing.account.logging["ApplicationLogLevel"] = "WARN"
        said = "has no dispatches, since it logs warnings or errors only"
        assert said in missing.run(status=3).errors


class TestWaiting:
    """While events wait that may be of its objects, nothing is sent unless told to."""

    @pytest.mark.parametrize("how", ["visible", "hidden", "delayed"])
    def test_messages_in_the_intake_queue(self, missing: Missing, how: str) -> None:
        sqs = missing.account.aws.client("sqs")
        intake = sqs.create_queue(QueueName=f"{missing.account.function}-intake")["QueueUrl"]
        delay = 600 if how == "delayed" else 0
        sqs.send_message(QueueUrl=intake, MessageBody="?", DelaySeconds=delay)
        if how == "hidden":
            sqs.receive_message(QueueUrl=intake, VisibilityTimeout=600)
        said = f"-intake has messages for the function (1 {how}): wait until it has handled them"
        assert said in missing.run("--dry-run").errors
        ran = missing.run(status=3)
        assert said in ran.errors
        assert "--despite-waiting does not wait" in ran.errors
        assert missing.sent == []
        assert said in missing.run("--despite-waiting").errors
        assert missing.sent == KEYS

    @pytest.mark.parametrize("whose", ["own", "intake"])
    def test_dead_letters(self, missing: Missing, whose: str) -> None:
        for key in ("in/b", "other/b"):
            missing.letters.send(direct(missing.letters.record(key)), whose)
        assert "Left out: 1 in a dead-letter queue" in missing.run("--dry-run").output
        # They are as visible as they were.
        said = "has 1 dead letters that may be of objects of this replay, such as of s3:"
        ran = missing.run(status=3)
        assert said in ran.errors
        assert "`lava-s3trigger dead-letters` lists them" in ran.errors
        assert missing.sent == []
        missing.run("--despite-waiting")
        assert missing.sent == ["in/a", "in/c"]

    def test_a_dead_letter_since_the_plan(self, missing: Missing) -> None:
        letters = missing.letters
        missing.run("--dry-run")
        letters.park("in/b")
        assert ": 1 in a dead-letter queue" in missing.run("--despite-waiting").errors
        assert missing.sent == ["in/a", "in/c"]

    def test_dead_letters_of_other_prefixes_are_not_in_the_way(self, missing: Missing) -> None:
        missing.letters.park("other/b")
        missing.run()
        assert missing.sent == KEYS

    @pytest.mark.parametrize(
        ("body", "is_hidden", "said"),
        [
            ("?", False, "has 1 dead letters that may be of objects of this replay:"),
            ("{}", True, "-dlq has messages that cannot be read now (1 hidden)"),
        ],
    )
    def test_dead_letters_that_may_be_of_any_object(
        self, missing: Missing, body: str, said: str, *, is_hidden: bool
    ) -> None:
        missing.letters.send(body)
        if is_hidden:
            missing.letters.receive()
        assert said in missing.run(status=3).errors
        assert missing.sent == []

    @pytest.mark.parametrize(("state", "age"), [("Disabled", 5 * MINUTE), ("Enabled", HOUR)])
    def test_the_log_is_late_after_a_redrive(
        self, missing: Missing, state: str, age: timedelta
    ) -> None:
        missing.letters.state, missing.letters.changed_at = state, ago(age)
        ran = missing.run(status=3)
        assert "dead letters may have been redriven at 2" in ran.errors
        assert ", and the log comes late: wait until 2" in ran.errors
        missing.letters.state = "Disabled"
        missing.run("--settle", "1m", "--restart")
        assert missing.sent == KEYS

    def test_messages_that_were_moved_back_to_the_intake(
        self, missing: Missing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The local server does not list the moves of messages."""
        with CannedAws() as sqs:
            sqs.handlers["POST", "/"] = Sqs(moved_at=ago(5 * MINUTE).timestamp()).answer
            monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs.url)
            assert "dead letters may have been redriven at 2" in missing.run(status=3).errors
            missing.run("--settle", "1m", "--restart")

    def test_a_plan_from_before_a_redrive(self, missing: Missing) -> None:
        letters = missing.letters
        missing.run("--dry-run", "--settle", "0")
        letters.changed_at = datetime.now(UTC) + timedelta(seconds=2)
        ran = missing.run("--settle", "0", "--despite-waiting")
        assert "Warning: dead letters may have been redriven since the plan of 2" in ran.errors


class TestFunction:
    """A function that observes or cannot start is handed nothing; commands that read go on."""

    def test_lines_of_an_observing_one_are_no_dispatches(self, missing: Missing) -> None:
        missing.dispatched("in/a", mode="observe")
        missing.dispatched("in/b")
        missing.run()
        assert missing.sent == ["in/a", "in/c"]

    @pytest.mark.parametrize("more", ["--missing", "--dry-run", ""])
    @pytest.mark.parametrize(
        ("variable", "value", "status", "said"),
        [
            ("MODE", "observe", 2, "only observes (S3TRIGGER_MODE=observe), and would dispatch"),
            ("CACHE_TTL", "soon", 3, "cannot start, as said above: correct its configuration"),
        ],
    )
    def test_nothing_is_handed_over(  # noqa: PLR0917 - a table
        self, account: Account, variable: str, value: str, status: int, said: str, more: str
    ) -> None:
        account.variables[f"S3TRIGGER_{variable}"] = value
        ran = account.replay("--inventory", account.inventory(["in/a"]), *more.split())
        assert (ran.status, said in ran.errors) == (status, True)
        assert account.handed_over() == {}

    def test_commands_that_read_go_on(self, missing: Missing) -> None:
        account, unknown = missing.account, "which queue it parks in is not known"
        missing.letters.park("in/b")
        missing.dispatched("in/a")
        history = f"history s3://{account.bucket}/in/a --size 1 --since 2h"
        for variable, value, words, status, said in [
            ("S3TRIGGER_CACHE_TTL", "soon", "tail --since 2h", 0, "dispatched"),
            ("S3TRIGGER_CACHE_TTL", "soon", history, 0, "dispatched"),
            ("S3TRIGGER_CACHE_TTL", "soon", "dead-letters list", 1, "/in/b"),
            ("S3TRIGGER_DEAD_LETTER_QUEUE", "no queue!", history, 0, unknown),
            ("S3TRIGGER_DEAD_LETTER_QUEUE", "no queue!", "dead-letters list", 3, unknown),
        ]:
            account.variables[variable] = value
            ran = CommandLine()(*words.split())
            warning = f"{account.function} cannot start, so that it handles no event: {variable}"
            assert (ran.status, warning in ran.errors) == (status, True)
            assert said in ran.output + ran.errors
