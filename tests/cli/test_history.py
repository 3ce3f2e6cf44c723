"""``history`` tells what happened to an object, and what would happen to it now."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.deployed import dead_letter_queues
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.history.coverage import gaps
from lava_s3trigger.triggers import entry_digest
from tests.build import item, trigger_entry

from .cannedaws import Answer
from .commandline import CommandLine, Ran
from .deadletters import DeadLetters
from .logs import REQUEST, TIME, Log, line, text_line
from .replays import HOSTILE, Account
from .schemas import validate
from .terminal import raw

REFUSED: Final = Answer(400, b'{"__type": "AccessDenied", "message": "not you"}')
MINUTE: Final = timedelta(minutes=1)
ENABLED: Final = {"field": "enabled", "then": False, "now": True}
DISABLED: Final = {"field": "enabled", "then": True, "now": False}
ADDED: Final = {"field": "if_fnmatch", "now": "*.txt"}


class Histories:
    """Runs ``history`` on an account, about in/a.csv unless a test names another key."""

    def __init__(self, account: Account) -> None:
        self.account = account
        account.put([])  # which makes its bucket

    def __call__(self, *arguments: str, key: str = "in/a.csv") -> Ran:
        uri = f"s3://{self.account.bucket}/{key}"
        return CommandLine(["history"])(uri, "--since", "2026-03-14", *arguments)

    def of(self, *arguments: str, key: str = "in/a.csv") -> dict[str, Any]:
        """Return the JSON, part of which is as `explain` prints it."""
        ran = self("--format", "json", *arguments, key=key)
        found: dict[str, Any] = ran.json()
        explained = {"version": 1, "realm": None, "function": None}
        validate("explain", {**explained, "events": [found["now"]], "errors": []})
        dispatched = [each for each in lines(found) if each["event"] == "dispatched"]
        assert ran.status == (0 if dispatched else 1)
        return found

    def now(self, log: Log, **fields: Any) -> dict[str, Any]:
        """Write a line into the log, and return what would become now of what it is about."""
        log.write(line("skipped", **self.about(**fields)))
        [found] = lines(self.of())
        result: dict[str, Any] = found["now"]
        return result

    def entry(self, trigger_id: str = "t", **fields: Any) -> dict[str, Any]:
        return trigger_entry(trigger_id, **{"bucket": self.account.bucket, **fields})

    def about(self, key: str = "in/a.csv", **fields: Any) -> dict[str, Any]:
        about = {"trigger_id": "t", "job_id": "load", "bucket": self.account.bucket, "key": key}
        return about | fields


@pytest.fixture
def history(account: Account) -> Histories:
    return Histories(account)


@pytest.fixture
def letters(account: Account, history: Histories, monkeypatch: pytest.MonkeyPatch) -> DeadLetters:
    """The dead-letter queues of the account, which do not wait for more messages."""
    assert history
    monkeypatch.setattr(dead_letter_queues, "_WAIT_SECONDS", 0)
    return DeadLetters(account)


def lines(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for delivery in found["deliveries"] for each in delivery["lines"]]


def digest(fields: dict[str, Any]) -> str:
    return entry_digest(item(fields))


class TestDeliveries:
    """A delivery is what one invocation did with one message, or with an event by itself."""

    def outcomes(self, found: dict[str, Any]) -> str:
        return "|".join(
            " ".join(each["event"] for each in delivery["lines"])
            for delivery in found["deliveries"]
        )

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            pytest.param(["failed r0 m", "dispatched r1 m"], "failed|dispatched", id="a message"),
            pytest.param(
                ["failed", "failed", "dispatched"], "failed|failed|dispatched", id="an invocation"
            ),
        ],
    )
    def test_what_was_tried_again(
        self, log: Log, history: Histories, written: list[str], expected: str
    ) -> None:
        for number, words in enumerate(written):
            event, request, message = (*words.split(), REQUEST, None)[:3]
            at, fields = TIME + number * MINUTE, {"message_id": message} if message else {}
            log.write(line(str(event), at, str(request), **history.about(**fields)), at=at)
        found = history.of()
        assert self.outcomes(found) == expected
        ids = [(each["request_id"], each["message_id"]) for each in found["deliveries"]]
        assert ids == [(*each.split()[1:], REQUEST, None)[:2] for each in written]

    def test_another_instance_is_another_try(self, log: Log, history: Histories) -> None:
        for stream in ("one", "two"):
            log.write(line("failed", **history.about()), stream=stream)
        assert self.outcomes(history.of()) == "failed|failed"

    def test_all_jobs_of_a_delivery_stand_together_in_either_format(
        self, log: Log, history: Histories
    ) -> None:
        log.write(
            line("skipped", **history.about(trigger_id="u")),
            line("dispatched", request_id="other", **history.about(replay="again")),
            text_line("dispatched", **history.about()),
        )
        found = history.of()
        assert self.outcomes(found) == "skipped dispatched|dispatched"
        assert [each["replay"] for each in found["deliveries"]] == [None, "again"]

    def test_a_parked_object_has_the_code_of_its_error(self, log: Log, history: Histories) -> None:
        error = {"kind": "bad_entry", "code": "missing_field", "reason": "enabled is missing"}
        log.write(line("parked", **history.about(**error)))

        [found] = lines(history.of())
        assert {name: found[name] for name in error} == error
        assert "enabled is missing  [missing_field]\n" in history().output

    def test_other_objects_are_left_out(self, log: Log, history: Histories) -> None:
        log.write(
            line("dispatched", **history.about("in/a.csv.old")),
            line("dispatched", **history.about("x", reason="in/a.csv")),
            line("dispatched", **history.about(bucket="other")),
            line("summary", events=1),
            line("failed", reason="in/a.csv"),
        )
        assert history.of()["deliveries"] == []


class TestNow:
    """Beside each line stands what would become now of its trigger and job."""

    def test_a_worker_without_a_queue_parks(self, log: Log, history: Histories) -> None:
        history.account.trigger("t")
        assert history.now(log)["outcome"] == "dispatched"
        sqs = history.account.aws.client("sqs")
        queue = f"lava-{history.account.realm.name}-core"
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])
        found = history.of()["now"]
        assert found["outcome"] == "user_error"
        assert "no queue" in found["triggers"][0]["jobs"][0]["reason"]

    @pytest.mark.parametrize(
        ("then", "now", "differences"),
        [
            pytest.param({}, {}, [], id="the same"),
            pytest.param({"enabled": False}, {}, [ENABLED], id="it was disabled"),
            pytest.param({}, {"enabled": False}, [DISABLED], id="it was enabled"),
            pytest.param({}, {"if_fnmatch": "*.txt"}, [ADDED], id="a condition was added"),
            pytest.param({"if_fnmatch": "*.txt"}, {}, None, id="a condition was dropped"),
            pytest.param({}, {"x-ticket": "T"}, [], id="a custom field was added"),
            pytest.param({"delay": 5}, {"delay": 6}, None, id="a value was changed"),
        ],
    )
    def test_another_version_of_the_entry(
        self, log: Log, history: Histories, then: Any, now: Any, differences: Any
    ) -> None:
        history.account.trigger("t", **now)
        found = history.now(log, entry=digest(history.entry(**then)))
        assert found["differences"] == differences
        assert found["entry"] == digest(history.entry(**now))

    def test_a_file_of_earlier_versions_tells_all(
        self, log: Log, history: Histories, tmp_path: Path
    ) -> None:
        now: dict[str, Any] = {
            "if_fnmatch": "*.csv",
            "parameters": {"n": 1.5},
            "description": "new",
        }
        history.account.trigger("t", **now)
        then = history.entry(if_fnmatch=["*.CSV"], parameters={"n": 1}, owner="\x1b[2J")
        then["x-tests"] = []
        others = [history.entry(prefix="older"), history.entry("u")]
        (tmp_path / "old.json").write_text(json.dumps([*others, then]))
        log.write(line("skipped", **history.about(entry=digest(then))))

        [found] = lines(history.of("--versions", "old.json"))
        assert found["now"]["differences"] == [
            {"field": "description", "now": "new"},
            {"field": "if_fnmatch", "then": ["*.CSV"], "now": "*.csv"},
            {"field": "owner", "then": "\x1b[2J"},
            {"field": "parameters", "then": {"n": 1}, "now": {"n": 1.5}},
        ]
        text = history("--versions", "old.json").output
        assert 'if_fnmatch: ["*.CSV"] then, "*.csv" now\n' in text
        assert 'description: not there then, "new" now\n' in text
        assert not raw(text)

    @pytest.mark.parametrize(
        ("entries", "outcome", "reason"),
        [
            ([], None, "there is no such entry any more"),
            ([{"prefix": "out"}], None, "does not match the object"),
            ([{}, {"trigger_id": "n", "prefix": "in/a.csv"}], None, "another entry hides it"),
            ([{"job_id": "x"}], None, "does not name the job"),
            ([{"job_id": ["x", "load"]}], "dispatched", ""),
            ([{"enabled": False}], "skipped", "is disabled"),
            ([{"nonsense": 1}], "user_error", "unknown field"),
        ],
        ids=str,
    )
    def test_what_became_of_the_entry(
        self, log: Log, history: Histories, entries: Any, outcome: str | None, reason: str
    ) -> None:
        history.account.realm.put("s3triggers", [history.entry(**each) for each in entries])
        found = history.now(log)
        assert found["outcome"] == outcome
        assert reason in (found["reason"] or "")
        assert bool(found["reason"]) == bool(reason)

    def test_a_line_about_the_object_as_a_whole(self, log: Log, history: Histories) -> None:
        history.account.trigger("t")
        found = history.now(log, trigger_id=None, job_id=None, reason="duplicate")
        assert (found["outcome"], found["entry"]) == ("dispatched", None)

    @pytest.mark.usefixtures("log")
    def test_s3_is_asked_about_the_object(self, history: Histories) -> None:
        account = history.account
        account.trigger("t", if_size_gt=4)
        ran = history()
        assert "/in/a.csv not found in S3; assuming 1 byte, created now" in ran.errors
        assert "Now, as ObjectCreated:Put of 1 byte: skipped" in ran.output

        account.aws.client("s3").put_object(Bucket=account.bucket, Key="in/a.csv", Body=b"12345")
        ran = history()
        assert ran.errors == ""
        assert "Now, as ObjectCreated:Put of 5 bytes: dispatched" in ran.output
        of_three = "Now, as ObjectCreated:Put of 3 bytes: skipped"
        assert of_three in history("--size", "3").output


class TestText:
    """People see each delivery, and below each line what would happen now."""

    @pytest.mark.usefixtures("log")
    def test_an_object_that_the_log_does_not_name(self, history: Histories) -> None:
        ran = history()
        assert ran.status == 1
        assert "0 deliveries since 2026-03-14T00:00:00.000Z" in ran.output
        assert "The log does not name it; no dead letter that was looked at" in ran.output
        assert f"skipped: no trigger has the bucket {history.account.bucket}" in ran.output

    def test_where_nothing_was_found_the_connection_is_looked_at(
        self, log: Log, history: Histories
    ) -> None:
        account = history.account
        account.trigger("t")
        assert history.of()["now"]["connection"]["arrives"] is False
        output = history().output
        assert "No route carries this event to the function.\n" in output
        command = f"lava-s3trigger connect {account.bucket} --realm {account.realm.name}"
        assert f"this does: {command}\n" in output

        account.aws.client("s3").put_bucket_notification_configuration(
            Bucket=account.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        account.canned.handlers["GET", "/event-source-mappings"] = lambda _: REFUSED
        found = history.of()["now"]["connection"]
        assert (found["arrives"], len(found["unknown"])) == (None, 1)
        assert "lambda:ListEventSourceMappings" in found["unknown"][0]

        log.write(line("dispatched", **history.about()))
        assert history.of()["now"]["connection"] is None

    @pytest.mark.parametrize("key", HOSTILE, ids=ascii)
    def test_hostile_keys(self, log: Log, history: Histories, key: str) -> None:
        history.account.trigger("t\x1b[2J", "in")
        log.write(
            line("skipped", **history.about(key, reason=key, trigger_id="t\x1b[2J")),
            line("dispatched", **history.about(key + "x")),
            text_line("dispatched", **history.about(key)),
        )
        events = [each["event"] for each in lines(history.of(key=key))]
        assert events == ["skipped", "dispatched"]
        ran = history(key=key)
        assert ran.status == 0
        assert not raw(ran.output + ran.errors)


@pytest.mark.usefixtures("log")
class TestWaiting:
    """An object that waits in a dead-letter queue is said to wait, and why."""

    def test_a_parked_message(self, letters: DeadLetters, history: Histories) -> None:
        letters.park("in/other.csv")
        letters.park("in/a.csv")
        [found] = history.of()["waiting"]
        names = ("queue", "trigger_id", "kind", "reason")
        queue = f"{letters.account.function}-dlq"
        assert [found[name] for name in names] == [queue, "t", "no_such_job", "no job 'none'"]
        text = history().output
        assert f"  waits       in {queue}: no job 'none'\n" in text
        assert "The log does not name it.\n" in text
        assert len(letters.receive()) == 2  # none is hidden any more

    def test_what_lambda_gave_up(self, letters: DeadLetters, history: Histories) -> None:
        reason = {"DataType": "String", "StringValue": "Task timed out\x1b[2J"}
        payload = {"Records": [letters.record("in/b.csv"), letters.record("in/a.csv")]}
        letters.send(payload, ErrorMessage=reason)
        [found] = history.of()["waiting"]
        assert (found["kind"], found["reason"]) == ("not_processed", reason["StringValue"])
        assert not raw(history().output)

    def test_what_failed_in_the_intake(self, letters: DeadLetters, history: Histories) -> None:
        letters.send({"Records": [letters.record("in/a.csv")]}, "intake")
        [found] = history.of()["waiting"]
        assert found["queue"] == f"{letters.account.function}-intake-dlq"
        assert found["reason"] == "it was tried too often"

    def test_hidden_ones_were_not_looked_at(self, letters: DeadLetters, history: Histories) -> None:
        letters.park("in/a.csv")
        letters.receive()
        found = history.of()
        assert found["waiting"] == []
        [hidden] = [each for each in found["not_looked_at"] if "hidden until" in each]
        assert hidden.startswith("1 hidden until")

    def test_messages_on_their_way_in_the_intake_are_counted(
        self, letters: DeadLetters, history: Histories
    ) -> None:
        name = f"{letters.account.function}-intake"
        sqs = letters.account.aws.client("sqs")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="x")
        expected = f"1 messages on their way, in the intake queue {name}"
        assert expected in history.of()["not_looked_at"]
        count = "ApproximateReceiveCount"
        answer = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=[count])
        assert [each["Attributes"][count] for each in answer["Messages"]] == ["1"]

    def test_queues_of_users_are_named(self, letters: DeadLetters, history: Histories) -> None:
        name = letters.account.function
        letters.reads = (f"{name}-dlq", f"{name}-intake", "my-events", "my-events")
        found = history.of()["not_looked_at"]
        assert [each for each in found if each.startswith("the queue")] == [
            "the queue my-events, and its dead-letter queue if it has one"
        ]
        letters.state = None
        found = history.of()["not_looked_at"]
        [refused] = [each for each in found if each.startswith("which other queues")]
        assert "AWS refused ListEventSourceMappings: AccessDenied" in refused

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("arn:aws:sns:us-east-1:1:topic", "which it sends to arn:aws:sns:us-east-1:1:topic"),
            ("arn:aws:sqs:us-east-1:1:gone", "there is no queue gone"),
        ],
    )
    def test_lambda_may_send_its_dead_letters_elsewhere(
        self, letters: DeadLetters, history: Histories, target: str, expected: str
    ) -> None:
        letters.target = target
        assert expected in "|".join(history.of()["not_looked_at"])

    def test_queues_that_may_not_be_read(
        self, letters: DeadLetters, history: Histories, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        letters.account.canned.handlers["POST", "^/$"] = lambda _: REFUSED
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", letters.account.canned.url)
        found = history.of()["not_looked_at"]
        refused = [each for each in found if "AWS refused GetQueueUrl: AccessDenied" in each]
        queues = [each.split(":")[0].rpartition("-")[2] for each in refused]
        assert queues == ["dlq", "dlq", "intake"]


class TestNotLookedAt:
    """Each answer names what it leaves out."""

    def gaps(
        self, letters: DeadLetters, since: datetime, oldest: datetime | None = None, **group: Any
    ) -> list[str]:
        """Return what the log does not have, where CloudWatch Logs describes its group so."""
        canned, name = letters.account.canned, f"/aws/lambda/{letters.account.function}"
        groups = [{"logGroupName": f"{name}-2"}, {"logGroupName": name, **group}]
        answer = Answer(200, json.dumps({"logGroups": groups if group else []}).encode())
        canned.handlers["POST", "^/$"] = lambda _: answer
        deployed = find_function(Aws(), letters.account.realm.name)
        return list(gaps(deployed, Aws(endpoint_url=canned.url).client("logs"), since, oldest))

    def test_the_log_may_not_be_read(
        self, letters: DeadLetters, history: Histories, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        letters.account.canned.handlers["POST", "^/$"] = lambda _: REFUSED
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", letters.account.canned.url)
        ran = history()
        assert ran.status == 3
        assert "  The log was not read; no dead letter that was looked at holds it.\n" in ran.output
        assert "AWS refused FilterLogEvents: AccessDenied" in ran.output

    def test_there_is_no_log(self, letters: DeadLetters, history: Histories) -> None:
        letters.park("in/a.csv")
        ran = history("--format", "json")
        assert (ran.status, ran.json()["log_read"]) == (3, False)
        assert len(ran.json()["waiting"]) == 1

    @pytest.mark.usefixtures("log")
    @pytest.mark.parametrize(
        ("levels", "status", "words"),
        [
            pytest.param(("debug", None), 1, "", id="debug"),
            pytest.param(("debug", "DEBUG"), 1, "", id="debug in JSON"),
            pytest.param(("debug", "INFO"), 1, "LogLevel=debug", id="debug that Lambda leaves out"),
            pytest.param(("info", None), 1, "LogLevel=debug", id="info"),
            pytest.param(("warning", None), 3, "only warnings or errors", id="warning"),
            pytest.param(("info", "WARN"), 3, "only warnings or errors", id="warning in JSON"),
        ],
    )
    def test_the_level_of_the_log(
        self, letters: DeadLetters, history: Histories, levels: Any, status: int, words: str
    ) -> None:
        letters.level, application = levels
        letters.account.logging.update({"ApplicationLogLevel": application} if application else {})
        ran = history()
        assert ran.status == status
        listed = ran.output.partition("Not looked at\n")[2]
        assert words in listed
        assert ("LogLevel" in listed) == bool(words)
        assert "what is under way: asynchronous invocations" in listed

    @pytest.mark.parametrize(
        ("group", "oldest", "begins"),
        [
            pytest.param({"creationTime": 0}, None, False, id="before"),
            pytest.param({}, None, False, id="no group"),
            pytest.param({"creationTime": 1_773_453_566_500}, None, True, id="after"),
            pytest.param(
                {"creationTime": 1_773_453_566_500}, TIME - MINUTE, False, id="older line"
            ),
        ],
    )
    def test_the_beginning_of_the_log(
        self, letters: DeadLetters, group: Any, oldest: datetime | None, *, begins: bool
    ) -> None:
        found = self.gaps(letters, datetime(2026, 3, 1, tzinfo=UTC), oldest, **group)[1:]
        text = "the time before 2026-03-14T01:59:26.500Z, when the log begins"
        assert found == ([text] if begins else [])

    @pytest.mark.parametrize(("days", "is_cut"), [(5, True), (9, False)])
    def test_what_the_log_keeps(self, letters: DeadLetters, days: int, *, is_cut: bool) -> None:
        since = datetime.now(UTC) - timedelta(days=7)
        found = self.gaps(letters, since, creationTime=0, retentionInDays=days)
        assert any("when the log begins" in each for each in found) == is_cut

    def test_an_observing_function_dispatches_nothing(self, log: Log, history: Histories) -> None:
        log.write(line("dispatched", **history.about(mode="observe")))
        ran = history()
        assert ran.status == 1
        assert "1 delivery since" in ran.output
