"""``replay --missing`` sends what nothing accounts for when it sends, and says what it left out."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from lava_s3trigger.cli.replay.accounts import NOT_SEEN
from tests.build import direct, job_entry, record

from .cannedaws import Answer, CannedAws, Request, answer, operation
from .commandline import CommandLine, Ran
from .logs import OldLog, line
from .replays import Account

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
        self.put(*KEYS, age=2 * HOUR)
        self.sqs = account.aws.client("sqs")

    def put(self, *keys: str, age: timedelta) -> None:
        """Have the inventory list other objects."""
        manifest = self.account.inventory(keys, ago(age).isoformat())
        self.objects = ["--inventory", manifest, "--missing"]

    def run(self, *more: str, status: int = 0) -> Ran:
        ran = self.account.replay(*self.objects, *more)
        assert ran.status == status, ran.errors
        return ran

    def planned(self, *more: str) -> Any:
        """Run, and return the JSON."""
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
        """Have the log tell that an object was dispatched."""
        about = {"trigger_id": "a", "job_id": job, "bucket": self.account.bucket, "key": key}
        self.log.write(line("dispatched", ago(age), **about, **fields), at=ago(age))

    def queue(self, suffix: str) -> str:
        name = f"{self.account.function}-{suffix}"
        url: str = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        return url

    def waits(self, url: str, *keys: str, **options: Any) -> None:
        """Put events of objects into a queue."""
        for key in keys:
            body = json.dumps(direct(record(key, bucket=self.account.bucket)))
            self.sqs.send_message(QueueUrl=url, MessageBody=body, **options)

    def hide(self, url: str) -> None:
        self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600)

    def dead_letters(self) -> str:
        """Make the function's dead-letter queue."""
        self.account.variables["S3TRIGGER_DEAD_LETTER_QUEUE"] = f"{self.account.function}-dlq"
        return self.queue("dlq")

    def redriven(self, at: datetime, state: str = "Disabled") -> None:
        """Have Lambda tell when the mapping of the dead-letter queue was changed."""
        mapping = {"UUID": "1", "State": state, "LastModified": at.timestamp()}
        self.account.canned.handlers["GET", "/event-source-mappings"] = lambda _: answer(
            {"EventSourceMappings": [mapping]}
        )


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

    def test_what_was_lost_and_arrived_is_not_sent_again(self, missing: Missing) -> None:
        missing.account.canned.handlers["POST", "/invocations"] = lambda _: Answer(0)
        missing.run(status=1)
        missing.dispatched("in/a")
        missing.account.canned.handlers["POST", "/invocations"] = lambda _: Answer(202)
        missing.account.canned.requests.clear()
        ran = missing.account.replay.json("--resend-unknown")
        assert (ran.status, ran.json()["sent"]) == (0, 2)
        assert missing.sent == ["in/b", "in/c"]

    def test_another_replay_does_not_send_what_the_log_does_not_have_yet(
        self, missing: Missing
    ) -> None:
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
        missing.put("in/x y+z", "in/half", "in/earlier", "in/none", "in/skipped.tmp", age=2 * HOUR)
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
            (2 * MINUTE, (), {"too_young": 1}),
            (2 * MINUTE, ("--settle", "3h"), {"too_young": 1}),
            (2 * MINUTE, ("--settle", "1s"), {}),
            (25 * HOUR, (), {"older_than_log": 1}),
        ],
    )
    def test_objects_that_it_knows_nothing_of_are_left_out(
        self,
        missing: Missing,
        age: timedelta,
        settle: tuple[str, ...],
        left_out: dict[str, int],
    ) -> None:
        missing.put("in/x", age=age)
        found = missing.planned(*settle)
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
        intake = missing.queue("intake")
        missing.waits(intake, "in/z", DelaySeconds=600 if how == "delayed" else 0)
        if how == "hidden":
            missing.hide(intake)
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
        queues = {"own": missing.dead_letters(), "intake": missing.queue("intake-dlq")}
        missing.waits(queues[whose], "in/b", "other/b")
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
        own = missing.dead_letters()
        missing.run("--dry-run")
        missing.waits(own, "in/b")
        ran = missing.run("--despite-waiting")
        assert ": 1 in a dead-letter queue" in ran.errors
        assert missing.sent == ["in/a", "in/c"]

    def test_dead_letters_of_other_prefixes_are_not_in_the_way(self, missing: Missing) -> None:
        missing.waits(missing.dead_letters(), "other/b")
        missing.run()
        assert missing.sent == KEYS

    def test_a_message_that_nobody_understands_may_be_of_any_object(self, missing: Missing) -> None:
        missing.sqs.send_message(QueueUrl=missing.dead_letters(), MessageBody="?")
        said = "has 1 dead letters that may be of objects of this replay:"
        assert said in missing.run(status=3).errors

    def test_hidden_dead_letters(self, missing: Missing) -> None:
        own = missing.dead_letters()
        missing.waits(own, "in/b")
        missing.hide(own)
        ran = missing.run(status=3)
        assert "-dlq has messages that cannot be read now (1 hidden)" in ran.errors
        assert missing.sent == []

    def test_the_log_comes_late_after_a_redrive(self, missing: Missing) -> None:
        missing.dead_letters()
        missing.redriven(ago(5 * MINUTE))
        ran = missing.run(status=3)
        assert "dead letters may have been redriven at 2" in ran.errors
        assert ", and the log comes late: wait until 2" in ran.errors
        missing.run("--settle", "1m", "--restart")
        assert missing.sent == KEYS

    def test_a_redrive_that_is_running(self, missing: Missing) -> None:
        missing.dead_letters()
        missing.redriven(ago(HOUR), state="Enabled")
        assert "dead letters may have been redriven at 2" in missing.run(status=3).errors

    def test_messages_that_were_moved_back_to_the_intake(
        self, missing: Missing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The local server does not list the moves of messages."""
        name = f"{missing.account.function}-intake-dlq"
        moved = {"Status": "COMPLETED", "StartedTimestamp": int(ago(5 * MINUTE).timestamp() * 1000)}
        answers = {
            "GetQueueUrl": {"QueueUrl": f"http://127.0.0.1/1/{name}"},
            "GetQueueAttributes": {"Attributes": {"QueueArn": f"arn:aws:sqs:us-east-1:1:{name}"}},
            "ReceiveMessage": {},
            "ListMessageMoveTasks": {"Results": [moved]},
        }

        def answered(request: Request) -> Answer:
            if request.json().get("QueueName", name) != name:
                return Answer(400, b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist"}')
            return answer(answers[operation(request)])

        with CannedAws() as sqs:
            sqs.handlers["POST", "/"] = answered
            monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs.url)
            ran = missing.run(status=3)
            assert "dead letters may have been redriven at 2" in ran.errors
            missing.run("--settle", "1m", "--restart")

    def test_a_plan_from_before_a_redrive(self, missing: Missing) -> None:
        missing.dead_letters()
        missing.run("--dry-run", "--settle", "0")
        missing.redriven(datetime.now(UTC) + timedelta(seconds=2))
        ran = missing.run("--settle", "0", "--despite-waiting")
        assert "Warning: dead letters may have been redriven since the plan of 2" in ran.errors


class TestObserving:
    """An observing function dispatches nothing."""

    def test_its_lines_are_no_dispatches(self, missing: Missing) -> None:
        missing.dispatched("in/a", mode="observe")
        missing.dispatched("in/b")
        missing.run()
        assert missing.sent == ["in/a", "in/c"]

    @pytest.mark.parametrize("more", [["--missing"], ["--dry-run"], []])
    def test_it_is_handed_nothing(self, account: Account, more: list[str]) -> None:
        account.variables["S3TRIGGER_MODE"] = "observe"
        ran = account.replay("--inventory", account.inventory(["in/a"]), *more)
        assert ran.status == 2
        assert "only observes (S3TRIGGER_MODE=observe), and would dispatch nothing" in ran.errors
        assert account.handed_over() == {}


class TestBrokenConfiguration:
    """Commands that read go on with what they need; a replay would only fail."""

    def test_nothing_is_replayed(self, account: Account) -> None:
        account.variables["S3TRIGGER_CACHE_TTL"] = "soon"
        ran = account.replay("--inventory", account.inventory(["in/a"]))
        assert ran.status == 3
        assert "cannot start, as said above: correct its configuration" in ran.errors
        assert account.handed_over() == {}

    def test_other_commands_go_on(self, missing: Missing) -> None:
        account = missing.account
        missing.waits(missing.dead_letters(), "in/b")
        missing.dispatched("in/a")
        account.variables["S3TRIGGER_CACHE_TTL"] = "soon"
        said = f"{account.function} cannot start, so that it handles no event: S3TRIGGER_CACHE_TTL"
        options = ["--realm", account.realm.name]
        uri = f"s3://{account.bucket}/in/a"
        for words, status, shown in [
            (["tail", "--since", "2h"], 0, "dispatched"),
            (["history", uri, "--size", "1", "--since", "2h"], 0, "dispatched"),
            (["dead-letters", "list"], 1, "/in/b"),
        ]:
            ran = CommandLine()(*words, *options)
            assert (ran.status, said in ran.errors, shown in ran.output) == (status, True, True)

    def test_a_queue_that_cannot_be_told_is_not_taken_for_none(self, missing: Missing) -> None:
        account = missing.account
        missing.dispatched("in/a")
        account.variables["S3TRIGGER_DEAD_LETTER_QUEUE"] = "no queue!"
        uri, realm = f"s3://{account.bucket}/in/a", ("--realm", account.realm.name)
        history = CommandLine()("history", uri, "--size", "1", "--since", "2h", *realm)
        letters = CommandLine()("dead-letters", "list", *realm)
        assert "which queue it parks in is not known" in history.output
        assert "which queue it parks in is not known" in letters.errors
        assert letters.status == 3
