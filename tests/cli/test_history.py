"""``history`` tells what happened to an object, and what would happen to it now."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.cli.deployed import dead_letter_queues
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.history.coverage import gaps
from lava_s3trigger.triggers import entry_digest
from tests.build import item, trigger_entry

from .cannedaws import Answer
from .commandline import CommandLine
from .deadletters import DeadLetters
from .logs import REQUEST, TIME, line, text_line
from .replays import HOSTILE
from .schemas import validate
from .terminal import raw

if TYPE_CHECKING:
    from pathlib import Path

    from .logs import Log
    from .replays import Account

SINCE: Final = ("--since", "2026-03-14")
REFUSED: Final = Answer(400, b'{"__type": "AccessDenied", "message": "not you"}')
MINUTE: Final = timedelta(minutes=1)
ENABLED: Final = {"field": "enabled", "then": False, "now": True}
DISABLED: Final = {"field": "enabled", "then": True, "now": False}
ADDED: Final = {"field": "if_fnmatch", "now": "*.txt"}


class Histories(CommandLine):
    """Runs ``history``."""

    def of(self, account: Account, key: str = "in/a.csv", *arguments: str) -> dict[str, Any]:
        ran = self(f"s3://{account.bucket}/{key}", *SINCE, "--format", "json", *arguments)
        found: dict[str, Any] = ran.json()
        explained = {"version": 1, "realm": None, "function": None}
        validate("explain", {**explained, "events": [found["now"]], "errors": []})
        dispatched = [each for each in lines(found) if each["event"] == "dispatched"]
        assert ran.status == (0 if dispatched else 1)
        return found


@pytest.fixture
def history(account: Account) -> Histories:
    account.put([])  # which makes its bucket
    return Histories(["history"])


def lines(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for delivery in found["deliveries"] for each in delivery["lines"]]


def entry(account: Account, trigger_id: str = "t", **fields: Any) -> dict[str, Any]:
    return trigger_entry(trigger_id, **{"bucket": account.bucket, **fields})


def digest(fields: dict[str, Any]) -> str:
    return entry_digest(item(fields))


def about(account: Account, key: str = "in/a.csv", **fields: Any) -> dict[str, Any]:
    return {"trigger_id": "t", "job_id": "load", "bucket": account.bucket, "key": key} | fields


class TestDeliveries:
    """A delivery is what one invocation did with one message, or with an event by itself."""

    def times(self, found: dict[str, Any]) -> list[list[str]]:
        return [[each["event"] for each in delivery["lines"]] for delivery in found["deliveries"]]

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
        self, account: Account, log: Log, history: Histories, written: list[str], expected: str
    ) -> None:
        for number, words in enumerate(written):
            event, request, message = (*words.split(), REQUEST, None)[:3]
            at, fields = TIME + number * MINUTE, {"message_id": message} if message else {}
            text = line(str(event), at, str(request), **about(account, **fields))
            log.write(text, at=at)
        found = history.of(account)
        assert "|".join(map(" ".join, self.times(found))) == expected
        ids = [(each["request_id"], each["message_id"]) for each in found["deliveries"]]
        assert ids == [(*each.split()[1:], REQUEST, None)[:2] for each in written]

    def test_another_instance_is_another_try(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        for stream in ("one", "two"):
            log.write(line("failed", **about(account)), stream=stream)
        assert self.times(history.of(account)) == [["failed"], ["failed"]]

    def test_all_jobs_of_a_delivery_stand_together_in_either_format(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        log.write(
            line("skipped", **about(account, trigger_id="u")),
            line("dispatched", request_id="other", **about(account, replay="again")),
            text_line("dispatched", **about(account)),
        )
        found = history.of(account)
        assert self.times(found) == [["skipped", "dispatched"], ["dispatched"]]
        assert [each["replay"] for each in found["deliveries"]] == [None, "again"]

    def test_a_parked_object_has_the_code_of_its_error(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        reason = "bad entry: enabled is missing"
        fields = about(account, kind="bad_entry", code="missing_field", reason=reason)
        log.write(line("parked", **fields))

        [found] = lines(history.of(account))
        assert (found["kind"], found["code"]) == ("bad_entry", "missing_field")
        text = history(f"s3://{account.bucket}/in/a.csv", *SINCE).output
        assert f"{reason}  [missing_field]\n" in text

    def test_other_objects_are_left_out(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        log.write(
            line("dispatched", **about(account, "in/a.csv.old")),
            line("dispatched", **about(account, "x", reason="in/a.csv")),
            line("dispatched", **about(account) | {"bucket": "other"}),
            line("summary", events=1),
            line("failed", reason="in/a.csv"),
        )
        assert history.of(account)["deliveries"] == []


class TestNow:
    """Beside each line stands what would become now of its trigger and job."""

    def now(self, account: Account, log: Log, history: Histories, **fields: Any) -> dict[str, Any]:
        log.write(line("skipped", **about(account, **fields)))
        [found] = lines(history.of(account))
        result: dict[str, Any] = found["now"]
        return result

    def test_a_worker_without_a_queue_parks(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        account.trigger("t")
        assert self.now(account, log, history)["outcome"] == "dispatched"
        sqs = account.aws.client("sqs")
        [url] = [
            url
            for url in sqs.list_queues()["QueueUrls"]
            if url.endswith(f"{account.realm.name}-core")
        ]
        sqs.delete_queue(QueueUrl=url)
        found = history.of(account)["now"]
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
    def test_another_version_of_the_entry(  # noqa: PLR0917 - a table of cases
        self,
        account: Account,
        log: Log,
        history: Histories,
        then: dict[str, Any],
        now: dict[str, Any],
        differences: Any,
    ) -> None:
        account.trigger("t", **now)
        found = self.now(account, log, history, entry=digest(entry(account, **then)))
        assert found["differences"] == differences
        assert found["entry"] == digest(entry(account, **now))

    def test_a_file_of_earlier_versions_tells_all(
        self, account: Account, log: Log, history: Histories, tmp_path: Path
    ) -> None:
        account.trigger("t", if_fnmatch="*.csv", parameters={"n": 1.5}, description="new")
        then = entry(account, if_fnmatch=["*.CSV"], parameters={"n": 1}, owner="\x1b[2J")
        then["x-tests"] = []
        older = entry(account, prefix="older")
        (tmp_path / "old.json").write_text(json.dumps([older, then, entry(account, "u")]))
        log.write(line("skipped", **about(account, entry=digest(then))))

        [found] = lines(history.of(account, "in/a.csv", "--versions", "old.json"))
        assert found["now"]["differences"] == [
            {"field": "description", "now": "new"},
            {"field": "if_fnmatch", "then": ["*.CSV"], "now": "*.csv"},
            {"field": "owner", "then": "\x1b[2J"},
            {"field": "parameters", "then": {"n": 1}, "now": {"n": 1.5}},
        ]
        uri = f"s3://{account.bucket}/in/a.csv"
        text = history(uri, *SINCE, "--versions", "old.json").output
        assert 'if_fnmatch: ["*.CSV"] then, "*.csv" now\n' in text
        assert 'description: not there then, "new" now\n' in text
        assert not raw(text)

    @pytest.mark.parametrize(
        ("entries", "outcome", "reason"),
        [
            pytest.param([], None, "there is no such entry any more", id="gone"),
            pytest.param([{"prefix": "out"}], None, "does not match the object", id="moved"),
            pytest.param(
                [{}, {"trigger_id": "n", "prefix": "in/a.csv"}],
                None,
                "another entry hides it",
                id="hidden",
            ),
            pytest.param([{"job_id": "x"}], None, "does not name the job", id="other job"),
            pytest.param([{"job_id": ["x", "load"]}], "dispatched", None, id="more jobs"),
            pytest.param([{"enabled": False}], "skipped", "is disabled", id="disabled"),
            pytest.param([{"nonsense": 1}], "user_error", "unknown field", id="bad entry"),
        ],
    )
    def test_what_became_of_the_entry(  # noqa: PLR0917 - a table of cases
        self,
        account: Account,
        log: Log,
        history: Histories,
        entries: list[dict[str, Any]],
        outcome: str | None,
        reason: str | None,
    ) -> None:
        account.realm.put("s3triggers", [entry(account, **each) for each in entries])
        found = self.now(account, log, history)
        assert found["outcome"] == outcome
        assert (found["reason"] is None) if reason is None else reason in found["reason"]

    def test_a_line_about_the_object_as_a_whole(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        account.trigger("t")
        found = self.now(account, log, history, trigger_id=None, job_id=None, reason="duplicate")
        assert (found["outcome"], found["entry"]) == ("dispatched", None)

    def test_s3_is_asked_about_the_object(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        assert log
        account.trigger("t", if_size_gt=4)
        uri = f"s3://{account.bucket}/in/a.csv"
        ran = history(uri, *SINCE)
        assert f"{uri} not found in S3; assuming 1 byte, created now" in ran.errors
        assert "Now, as ObjectCreated:Put of 1 byte: skipped" in ran.output

        account.aws.client("s3").put_object(Bucket=account.bucket, Key="in/a.csv", Body=b"12345")
        ran = history(uri, *SINCE)
        assert ran.errors == ""
        assert "Now, as ObjectCreated:Put of 5 bytes: dispatched" in ran.output

        ran = history(uri, *SINCE, "--size", "3")
        assert "Now, as ObjectCreated:Put of 3 bytes: skipped" in ran.output


class TestText:
    """People see each delivery, and below each line what would happen now."""

    def test_an_object_that_the_log_does_not_name(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        assert log
        ran = history(f"s3://{account.bucket}/in/a.csv", *SINCE)
        assert ran.status == 1
        assert "0 deliveries since 2026-03-14T00:00:00.000Z" in ran.output
        assert "The log does not name it; no dead letter that was looked at" in ran.output
        assert f"skipped: no trigger has the bucket {account.bucket}" in ran.output

    def test_where_nothing_was_found_the_connection_is_looked_at(
        self, account: Account, log: Log, history: Histories
    ) -> None:
        account.trigger("t")
        uri = f"s3://{account.bucket}/in/a.csv"
        assert history.of(account)["now"]["connection"]["arrives"] is False
        ran = history(uri, *SINCE)
        assert "No route carries this event to the function.\n" in ran.output
        realm = ran.output.partition(", realm ")[2].split()[0]
        command = f"lava-s3trigger connect {account.bucket} --realm {realm}"
        assert f"this does: {command}\n" in ran.output

        account.aws.client("s3").put_bucket_notification_configuration(
            Bucket=account.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        account.canned.handlers["GET", "/event-source-mappings"] = lambda _: REFUSED
        found = history.of(account)["now"]["connection"]
        assert (found["arrives"], len(found["unknown"])) == (None, 1)
        assert "lambda:ListEventSourceMappings" in found["unknown"][0]

        log.write(line("dispatched", **about(account)))
        assert history.of(account)["now"]["connection"] is None

    @pytest.mark.parametrize("key", HOSTILE, ids=ascii)
    def test_hostile_keys(self, account: Account, log: Log, history: Histories, key: str) -> None:
        account.trigger("t\x1b[2J", "in")
        log.write(
            line("skipped", **about(account, key, reason=key, trigger_id="t\x1b[2J")),
            line("dispatched", **about(account, key + "x")),
            text_line("dispatched", **about(account, key)),
        )
        assert [each["event"] for each in lines(history.of(account, key))] == [
            "skipped",
            "dispatched",
        ]
        ran = history(f"s3://{account.bucket}/{key}", *SINCE)
        assert ran.status == 0
        assert not raw(ran.output)
        assert not raw(ran.errors)


class TestWaiting:
    """An object that waits in a dead-letter queue is said to wait, and why."""

    @pytest.fixture
    def letters(
        self, account: Account, log: Log, history: Histories, monkeypatch: pytest.MonkeyPatch
    ) -> DeadLetters:
        assert log
        assert history
        monkeypatch.setattr(dead_letter_queues, "_WAIT_SECONDS", 0)
        return DeadLetters(account)

    def test_a_parked_message(self, letters: DeadLetters, history: Histories) -> None:
        letters.park("in/other.csv")
        letters.park("in/a.csv")
        [found] = history.of(letters.account)["waiting"]
        names = ("queue", "trigger_id", "kind", "reason")
        queue = f"{letters.account.function}-dlq"
        assert [found[name] for name in names] == [queue, "t", "no_such_job", "no job 'none'"]
        text = history(f"s3://{letters.account.bucket}/in/a.csv", *SINCE).output
        assert f"  waits       in {queue}: no job 'none'\n" in text
        assert "The log does not name it.\n" in text
        assert len(letters.receive()) == 2  # none is hidden any more

    def test_what_lambda_gave_up(self, letters: DeadLetters, history: Histories) -> None:
        reason = {"DataType": "String", "StringValue": "Task timed out\x1b[2J"}
        payload = {"Records": [letters.record("in/b.csv"), letters.record("in/a.csv")]}
        letters.send(payload, ErrorMessage=reason)
        [found] = history.of(letters.account)["waiting"]
        assert (found["kind"], found["reason"]) == ("not_processed", reason["StringValue"])
        assert not raw(history(f"s3://{letters.account.bucket}/in/a.csv", *SINCE).output)

    def test_what_failed_in_the_intake(self, letters: DeadLetters, history: Histories) -> None:
        letters.send({"Records": [letters.record("in/a.csv")]}, "intake")
        [found] = history.of(letters.account)["waiting"]
        assert found["queue"] == f"{letters.account.function}-intake-dlq"
        assert found["reason"] == "it was tried too often"

    def test_what_is_hidden_was_not_looked_at(
        self, letters: DeadLetters, history: Histories
    ) -> None:
        letters.park("in/a.csv")
        letters.receive()
        found = history.of(letters.account)
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
        assert expected in history.of(letters.account)["not_looked_at"]
        [received] = sqs.receive_message(
            QueueUrl=url, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )["Messages"]
        assert received["Attributes"]["ApproximateReceiveCount"] == "1"

    def test_queues_of_users_are_named(self, letters: DeadLetters, history: Histories) -> None:
        name = letters.account.function
        letters.reads = (f"{name}-dlq", f"{name}-intake", "my-events", "my-events")
        found = history.of(letters.account)["not_looked_at"]
        assert [each for each in found if each.startswith("the queue")] == [
            "the queue my-events, and its dead-letter queue if it has one"
        ]
        letters.state = None
        found = history.of(letters.account)["not_looked_at"]
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
        assert expected in "|".join(history.of(letters.account)["not_looked_at"])

    def test_queues_that_may_not_be_read(
        self, letters: DeadLetters, history: Histories, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        letters.account.canned.handlers["POST", "^/$"] = lambda _: REFUSED
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", letters.account.canned.url)
        found = history.of(letters.account)["not_looked_at"]
        refused = [each for each in found if "AWS refused GetQueueUrl: AccessDenied" in each]
        assert [each.split(":")[0].rpartition("-")[2] for each in refused] == [
            "dlq",
            "dlq",
            "intake",
        ]


class TestNotLookedAt:
    """Each answer names what it leaves out."""

    @pytest.fixture
    def letters(
        self, account: Account, history: Histories, monkeypatch: pytest.MonkeyPatch
    ) -> DeadLetters:
        assert history
        monkeypatch.setattr(dead_letter_queues, "_WAIT_SECONDS", 0)
        return DeadLetters(account)

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
        ran = history(f"s3://{letters.account.bucket}/in/a.csv", *SINCE)
        assert ran.status == 3
        assert "  The log was not read; no dead letter that was looked at holds it.\n" in ran.output
        assert "AWS refused FilterLogEvents: AccessDenied" in ran.output

    def test_there_is_no_log(self, letters: DeadLetters, history: Histories) -> None:
        letters.park("in/a.csv")
        ran = history(f"s3://{letters.account.bucket}/in/a.csv", *SINCE, "--format", "json")
        assert (ran.status, ran.json()["log_read"]) == (3, False)
        assert len(ran.json()["waiting"]) == 1

    @pytest.mark.parametrize(
        ("level", "application", "status", "words"),
        [
            pytest.param("debug", None, 1, "", id="debug"),
            pytest.param("debug", "DEBUG", 1, "", id="debug in JSON"),
            pytest.param("debug", "INFO", 1, "LogLevel=debug", id="debug that Lambda leaves out"),
            pytest.param("info", None, 1, "LogLevel=debug", id="info"),
            pytest.param("warning", None, 3, "only warnings or errors", id="warning"),
            pytest.param("info", "WARN", 3, "only warnings or errors", id="warning in JSON"),
        ],
    )
    def test_the_level_of_the_log(  # noqa: PLR0917 - a table of cases
        self,
        letters: DeadLetters,
        log: Log,
        history: Histories,
        level: str,
        application: str | None,
        status: int,
        words: str,
    ) -> None:
        assert log
        letters.level = level
        letters.account.logging.update({"ApplicationLogLevel": application} if application else {})
        ran = history(f"s3://{letters.account.bucket}/in/a.csv", *SINCE)
        assert ran.status == status
        listed = ran.output.partition("Not looked at\n")[2]
        assert words in listed
        assert ("LogLevel" in listed) == bool(words)
        assert "what is under way: asynchronous invocations" in listed

    @pytest.mark.parametrize(
        ("group", "begin"),
        [
            pytest.param({"creationTime": 0}, None, id="before"),
            pytest.param({}, None, id="no group"),
            pytest.param(
                {"creationTime": 1_773_453_566_500}, "2026-03-14T01:59:26.500Z", id="after"
            ),
        ],
    )
    def test_the_beginning_of_the_log(
        self, letters: DeadLetters, group: dict[str, Any], begin: str | None
    ) -> None:
        found = self.gaps(letters, datetime(2026, 3, 1, tzinfo=UTC), **group)[1:]
        assert found == ([f"the time before {begin}, when the log begins"] if begin else [])

    def test_a_log_with_an_older_line_begins_before_that(self, letters: DeadLetters) -> None:
        since = datetime(2026, 3, 1, tzinfo=UTC)
        found = self.gaps(letters, since, TIME - MINUTE, creationTime=1_773_453_566_500)
        assert not any("when the log begins" in each for each in found)

    @pytest.mark.parametrize(("days", "is_cut"), [(5, True), (9, False)])
    def test_what_the_log_keeps(self, letters: DeadLetters, days: int, is_cut: bool) -> None:  # noqa: FBT001
        since = datetime.now(UTC) - timedelta(days=7)
        found = self.gaps(letters, since, creationTime=0, retentionInDays=days)
        assert any("when the log begins" in each for each in found) == is_cut

    def test_an_observing_function_dispatches_nothing(
        self, letters: DeadLetters, log: Log, history: Histories
    ) -> None:
        log.write(line("dispatched", **about(letters.account, mode="observe")))
        ran = history(f"s3://{letters.account.bucket}/in/a.csv", *SINCE)
        assert ran.status == 1
        assert "1 delivery since" in ran.output
