"""Checks of `doctor` over canned answers: a sound realm has no finding, each fault has one."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.cli.deployed.realm import Deployment
from lava_s3trigger.cli.doctor import checks  # noqa: F401 - registers the checks
from lava_s3trigger.cli.doctor.registry import CHECKS, Finding, diagnose
from tests.tables import cases

from .cannedrealm import (
    FUNCTION,
    INTAKE,
    REGION,
    ROLE,
    CannedRealm,
    arn,
    job,
    queue_policy,
    refusal,
    trigger,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.cli.deployed.aws import Aws
    from tools.local.realm import Realm

    from .commandline import CommandLine

    Change = Callable[[CannedRealm], object]

NAMES: Final = (
    "function-throttled",
    "function-handler",
    "function-timeout",
    "function-observing",
    "function-log-level",
    "function-log-dispatches",
    "messages-expire",
    "visibility-timeout",
    "queue-policy",
    "redrive-to-worker",
    "redrive-receives",
    "mapping-filter",
    "entry-errors",
    "entry-warnings",
    "dedup-overwrites",
)
DAY: Final = 86400


def found(realm: CannedRealm, *names: str) -> list[Finding]:
    diagnosis = diagnose(Deployment(realm, "prod", FUNCTION), [CHECKS[name] for name in names])
    assert [(unread.check.name, unread.action) for unread in diagnosis.unread] == []
    return diagnosis.findings


def words(finding: Finding) -> list[list[str]]:
    """Return the words of the commands of a finding."""
    return [shlex.split(line) for line in finding.command.splitlines()]


def option(command: list[str], name: str) -> str:
    return command[command.index(f"--{name}") + 1]


def test_a_sound_realm_has_no_finding() -> None:
    assert found(CannedRealm(), *NAMES) == []


def configured(**fields: Any) -> Change:
    return lambda realm: realm.function.update(fields)


def variables(**changes: str) -> Change:
    return lambda realm: realm.environment.update(changes)


def attributes(queue: str, **changes: Any) -> Change:
    return lambda realm: realm.queues[queue].update(changes)


def redrive(target: str, receives: int) -> Change:
    policy = {"deadLetterTargetArn": arn("sqs", target), "maxReceiveCount": receives}
    return attributes(INTAKE, RedrivePolicy=json.dumps(policy))


def mapping(**fields: Any) -> Change:
    return lambda realm: realm.answers["ListEventSourceMappings"]["EventSourceMappings"][0].update(
        fields
    )


def answer(operation: str, value: Any) -> Change:
    return lambda realm: realm.answers.update({operation: value})


def logging(level: str, form: str = "JSON") -> Change:
    return configured(LoggingConfig={"LogFormat": form, "ApplicationLogLevel": level})


def denying(condition: dict[str, Any]) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    policy = json.loads(queue_policy("s3", "sns", "events"))
    policy["Statement"].append({**statement, "Condition": condition})
    return json.dumps(policy)


def under(operator: str, name: str, value: str) -> str:
    policy = json.loads(queue_policy("s3", "sns", "events"))
    policy["Statement"][0]["Condition"] = {operator: {name: value}}
    return json.dumps(policy)


BUCKET: Final = "arn:aws:s3:::my-bucket"
RULE: Final = arn("events", "rule/lava.prod.in")
ELSEWHERE: Final = json.dumps(
    {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:210987654321:{FUNCTION}-dlq"}
)
PATTERN: Final = '{"body": {"Records": {"eventName": ["ObjectCreated:Put"]}}}'
OTHER_FUNCTION: Final = "realm.main.handler"


@cases(
    ("name", "change", "subject", "message"),
    {
        "concurrency": (
            "function-throttled",
            answer("GetFunctionConcurrency", {"ReservedConcurrentExecutions": 0}),
            FUNCTION,
            "the reserved concurrency is 0",
        ),
        "handler": (
            "function-handler",
            configured(Handler=OTHER_FUNCTION),
            FUNCTION,
            (
                f"the handler is {OTHER_FUNCTION}, not lava_s3trigger.handler.lambda_handler or"
                " s3trigger.lambda_handler"
            ),
        ),
        "timeout": ("function-timeout", configured(Timeout=59), FUNCTION, "the timeout is 59 s"),
        "mode": (
            "function-observing",
            variables(S3TRIGGER_MODE="observe"),
            FUNCTION,
            "S3TRIGGER_MODE is observe",
        ),
        "level of the function": (
            "function-log-level",
            variables(LAVA_LOGLEVEL="Critical"),
            "LAVA_LOGLEVEL",
            "Critical hides failures and user errors",
        ),
        "level of Lambda": (
            "function-log-level",
            logging("FATAL"),
            "ApplicationLogLevel",
            "FATAL drops failures and user errors",
        ),
        "metrics": (
            "function-log-level",
            logging("WARN"),
            "ApplicationLogLevel",
            "WARN drops the metrics",
        ),
        "dispatches, of the function": (
            "function-log-dispatches",
            variables(LOGLEVEL="warning"),
            f"/aws/lambda/{FUNCTION}",
            "the log begins at the level warning",
        ),
        "dispatches, of Lambda": (
            "function-log-dispatches",
            logging("ERROR"),
            f"/aws/lambda/{FUNCTION}",
            "the log begins at the level error",
        ),
        "visibility without the window": (
            "visibility-timeout",
            attributes(INTAKE, VisibilityTimeout="389"),
            INTAKE,
            (
                "the visibility timeout is 389 s; six times 60 s and a batch window of 30 s ask for"
                " 390 s"
            ),
        ),
        "no policy for S3": (
            "queue-policy",
            attributes(INTAKE, Policy=queue_policy("sns", "events")),
            INTAKE,
            f"its policy does not allow s3.amazonaws.com ({BUCKET}) to send",
        ),
        "no policy for SNS": (
            "queue-policy",
            attributes(INTAKE, Policy=queue_policy("s3", "events")),
            INTAKE,
            f"its policy does not allow sns.amazonaws.com ({arn('sns', 'topic')}) to send",
        ),
        "no policy for EventBridge": (
            "queue-policy",
            attributes(INTAKE, Policy=queue_policy("s3", "sns")),
            INTAKE,
            f"its policy does not allow events.amazonaws.com ({RULE}) to send",
        ),
        "no policy of the dead-letter queue": (
            "queue-policy",
            attributes(f"{FUNCTION}-dlq", Policy=""),
            f"{FUNCTION}-dlq",
            (
                f"its policy does not allow sns.amazonaws.com ({arn('sns', 'topic')}) and"
                f" events.amazonaws.com ({RULE}) to send"
            ),
        ),
        "another bucket": (
            "queue-policy",
            attributes(INTAKE, Policy=under("ArnLike", "aws:SourceArn", "arn:aws:s3:::other*")),
            INTAKE,
            f"its policy does not allow s3.amazonaws.com ({BUCKET}) to send",
        ),
        "a star that does not match": (
            "queue-policy",
            attributes(INTAKE, Policy=under("StringEquals", "aws:SourceArn", "arn:aws:s3:::*")),
            INTAKE,
            f"its policy does not allow s3.amazonaws.com ({BUCKET}) to send",
        ),
        "redrive to a worker": (
            "redrive-to-worker",
            redrive("lava-prod-core", 5),
            INTAKE,
            "its redrive policy moves messages to lava-prod-core, a worker's queue",
        ),
        "dead letters to a worker": (
            "redrive-to-worker",
            configured(DeadLetterConfig={"TargetArn": arn("sqs", "lava-prod-core")}),
            FUNCTION,
            "its dead-letter queue is lava-prod-core, a worker's queue",
        ),
        "parked for a worker": (
            "redrive-to-worker",
            variables(S3TRIGGER_DEAD_LETTER_QUEUE="lava-prod-core"),
            FUNCTION,
            "its dead-letter queue is lava-prod-core, a worker's queue",
        ),
        "few tries": (
            "redrive-receives",
            redrive(f"{INTAKE}-dlq", 4),
            INTAKE,
            "its maxReceiveCount is 4",
        ),
        "filter": (
            "mapping-filter",
            mapping(FilterCriteria={"Filters": [{"Pattern": PATTERN}, {"Pattern": "{}"}]}),
            arn("sqs", INTAKE),
            f"messages that do not match are deleted: {PATTERN} or {{}}",
        ),
        "filter that cannot be read": (
            "mapping-filter",
            mapping(
                FilterCriteriaError={"ErrorCode": "KMSKeyDisabled", "Message": "the key is off"}
            ),
            arn("sqs", INTAKE),
            "messages that do not match are deleted: one that cannot be read: the key is off",
        ),
        "error of an entry": (
            "entry-errors",
            lambda realm: realm.triggers.append(trigger("bad", enbaled={"BOOL": True})),
            "entries of prod",
            "1 in bad; `lava-s3trigger check --realm prod` lists them",
        ),
        "worker without a queue": (
            "entry-warnings",
            lambda realm: realm.jobs.append(job("other", "nobody")),
            "entries of prod",
            "1 in other; `lava-s3trigger check --realm prod` lists them",
        ),
    },
)
def test_a_fault_is_found(name: str, change: Change, subject: str, message: str) -> None:
    realm = CannedRealm()
    change(realm)

    [finding] = found(realm, name)

    assert (finding.subject, finding.message) == (subject, message)


@cases(
    ("name", "change"),
    {
        "the name of lava's stack": (
            "function-handler",
            configured(Handler="s3trigger.lambda_handler"),
        ),
        "a wrapper": (
            "function-handler",
            lambda realm: (
                configured(Handler="wrapper.handler")(realm),
                variables(ORIGINAL_HANDLER="lava_s3trigger.handler.lambda_handler")(realm),
            ),
        ),
        "an image": ("function-handler", configured(Handler=None)),
        "a level of a text log": ("function-log-level", logging("FATAL", "Text")),
        "no metrics": (
            "function-log-level",
            lambda realm: (logging("WARN")(realm), variables(S3TRIGGER_METRICS="off")(realm)),
        ),
        "a condition on the account": (
            "queue-policy",
            attributes(INTAKE, Policy=under("StringEquals", "aws:SourceAccount", "210987654321")),
        ),
        "this bucket": (
            "queue-policy",
            attributes(INTAKE, Policy=under("ArnLike", "AWS:SourceArn", "arn:aws:s3:*:*:my-*")),
        ),
        "denied without TLS": (
            "queue-policy",
            attributes(INTAKE, Policy=denying({"Bool": {"aws:SecureTransport": "false"}})),
        ),
        "denied for reasons that are not known": (
            "queue-policy",
            attributes(INTAKE, Policy=denying({"StringNotEquals": {"aws:SourceOrgID": "o-1"}})),
        ),
        "a queue of another account": (
            "queue-policy",
            lambda realm: (
                answer("GetSubscriptionAttributes", {"Attributes": {"RedrivePolicy": ELSEWHERE}})(
                    realm
                ),
                attributes(f"{FUNCTION}-dlq", Policy=queue_policy("events"))(realm),
            ),
        ),
        "an empty filter": ("mapping-filter", mapping(FilterCriteria={"Filters": []})),
    },
)
def test_what_is_no_fault_is_not_found(name: str, change: Change) -> None:
    realm = CannedRealm()
    change(realm)
    realm.function = {key: value for key, value in realm.function.items() if value is not None}

    assert found(realm, name) == []


class TestQueuePolicy:
    """What is refused is allowed for its source; what is denied is shown."""

    def test_the_command_adds_what_is_missing_to_what_is_there(self) -> None:
        realm = CannedRealm()
        realm.queues[INTAKE]["Policy"] = queue_policy("sns")

        [finding] = found(realm, "queue-policy")

        [command] = words(finding)
        policy = json.loads(json.loads(option(command, "attributes"))["Policy"])
        sns, s3, events = policy["Statement"]
        assert [sns] == json.loads(queue_policy("sns"))["Statement"]
        assert s3["Condition"] == {
            "ArnEquals": {"aws:SourceArn": BUCKET},
            "StringEquals": {"aws:SourceAccount": "123456789012"},
        }
        assert events["Principal"] == {"Service": "events.amazonaws.com"}
        realm.queues[INTAKE]["Policy"] = json.dumps(policy)
        assert found(realm, "queue-policy") == []

    @pytest.mark.parametrize(
        "condition",
        [
            {"ArnNotEquals": {"aws:SourceArn": "arn:aws:s3:::other"}},
            {"StringNotLike": {"aws:SourceArn": "arn:aws:s3:::other*"}},
        ],
        ids=["arn", "text"],
    )
    def test_what_a_statement_denies_is_shown_and_has_no_command(
        self, condition: dict[str, Any]
    ) -> None:
        realm = CannedRealm()
        realm.queues[INTAKE]["Policy"] = denying(condition)

        denied = found(realm, "queue-policy")

        assert [finding.message.partition(" is denied")[0] for finding in denied] == [
            f"s3.amazonaws.com ({BUCKET})",
            f"sns.amazonaws.com ({arn('sns', 'topic')})",
            f"events.amazonaws.com ({RULE})",
        ]
        assert all(json.dumps(condition) in finding.message for finding in denied)
        assert {finding.command for finding in denied} == {""}

    def test_lambda_sends_by_the_role_which_a_statement_can_deny(self) -> None:
        realm = CannedRealm()
        condition = {"ArnNotLike": {"aws:SourceArn": "arn:aws:*"}}
        realm.queues[f"{FUNCTION}-dlq"]["Policy"] = denying(condition)

        [finding] = found(realm, "queue-policy")

        assert finding.message.startswith(f"the function's role {ROLE} is denied by")

    def test_lambda_may_not_send_to_a_queue_that_the_role_may_not_use(self) -> None:
        realm = CannedRealm()
        realm.answers["GetRolePolicy"] |= {"PolicyDocument": '{"Statement": []}'}
        [finding] = found(realm, "queue-policy")
        assert finding.message == f"the function's role {ROLE} may not send"

        statement = {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "*", "Resource": "*"}
        policy = json.loads(queue_policy("sns", "events"))
        policy["Statement"].append(statement)
        realm.queues[f"{FUNCTION}-dlq"]["Policy"] = json.dumps(policy)
        assert found(realm, "queue-policy") == []

    @pytest.mark.parametrize("operation", ["GetRolePolicy", "GetSubscriptionAttributes"])
    def test_what_may_not_be_read_is_said(self, operation: str) -> None:
        realm = CannedRealm()
        realm.refused.add(operation)
        if operation == "GetRolePolicy":
            realm.queues[f"{FUNCTION}-dlq"]["Policy"] = queue_policy("sns", "events")

        diagnosis = diagnose(Deployment(realm, "prod", FUNCTION), [CHECKS["queue-policy"]])

        assert [unread.action.partition(":")[2] for unread in diagnosis.unread] == [operation]
        assert diagnosis.findings == []


class TestCommands:
    """What is printed sets what is wrong, and leaves the rest."""

    def test_visibility_comes_before_the_timeout(self) -> None:
        realm = CannedRealm()
        realm.function["Timeout"] = 30
        realm.queues[INTAKE]["VisibilityTimeout"] = "210"

        [finding] = found(realm, "function-timeout")

        first, second, wait = words(finding)
        assert wait[2:4] == ["wait", "function-updated"]
        assert option(first, "queue-url").endswith(INTAKE)
        assert json.loads(option(first, "attributes")) == {"VisibilityTimeout": "390"}
        assert second[2] == "update-function-configuration"
        assert option(second, "timeout") == "60"
        assert found(realm, "visibility-timeout") == []

    def test_events_become_dead_letters_at_once_and_are_given_back(self) -> None:
        realm = CannedRealm()
        realm.answers["GetFunctionConcurrency"] = {"ReservedConcurrentExecutions": 0}

        [finding] = found(realm, "function-throttled")

        assert "at once" in finding.why
        assert finding.command.splitlines() == [
            f"aws lambda delete-function-concurrency --function-name {FUNCTION}",
            "lava-s3trigger dead-letters redrive --realm prod",
        ]

    def test_a_handler_is_only_set_where_the_package_has_logged_its_start(self) -> None:
        realm = CannedRealm()
        realm.function["Handler"] = OTHER_FUNCTION
        assert found(realm, "function-handler")[0].command == ""

        started = {"level": "INFO", "event": "started", "version": "1.0.0"}
        realm.answers["DescribeLogStreams"] = {"logStreams": [{"logStreamName": "s"}]}
        realm.answers["GetLogEvents"] = {
            "events": [{"timestamp": 1, "message": json.dumps(started)}]
        }
        command, _wait = words(found(realm, "function-handler")[0])
        assert option(command, "handler") == "lava_s3trigger.handler.lambda_handler"

    def test_a_level_is_set_where_it_is_read_from(self) -> None:
        realm = CannedRealm(environment={"LAVA_LOGLEVEL": "critical", "KEPT": "1"})
        command, _wait = words(found(realm, "function-log-level")[0])
        changed = json.loads(option(command, "environment"))["Variables"]
        assert changed == {**realm.environment, "LAVA_LOGLEVEL": "info"}

        logging("FATAL")(realm)
        realm.function["LoggingConfig"]["LogGroup"] = "mine"
        *_, command, _wait = words(found(realm, "function-log-level")[1])
        assert json.loads(option(command, "logging-config")) == {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "INFO",
            "LogGroup": "mine",
        }

    @pytest.mark.parametrize("is_there", [True, False], ids=["there", "gone"])
    def test_a_queue_gets_a_dead_letter_queue_of_its_own(self, *, is_there: bool) -> None:
        realm = CannedRealm()
        redrive("lava-prod-core", 7)(realm)
        if not is_there:
            del realm.queues[f"{INTAKE}-dlq"]

        [finding] = found(realm, "redrive-to-worker")

        *create, change = words(finding)
        assert [command[2] for command in create] == ["create-queue"] * (not is_there)
        policy = json.loads(json.loads(option(change, "attributes"))["RedrivePolicy"])
        target = arn("sqs", f"{INTAKE}-dlq")
        assert policy == {"deadLetterTargetArn": target, "maxReceiveCount": 7}

    def test_tries_are_five_and_the_target_stays(self) -> None:
        realm = CannedRealm()
        redrive("elsewhere", 1)(realm)

        [finding] = found(realm, "redrive-receives")

        [change] = words(finding)
        policy = json.loads(json.loads(option(change, "attributes"))["RedrivePolicy"])
        assert policy == {"deadLetterTargetArn": arn("sqs", "elsewhere"), "maxReceiveCount": 5}

    def test_one_command_corrects_both_faults_of_a_redrive_policy(self) -> None:
        realm = CannedRealm()
        redrive("lava-prod-core", 3)(realm)

        target, receives = found(realm, "redrive-to-worker", "redrive-receives")

        policy = json.loads(json.loads(option(words(target)[-1], "attributes"))["RedrivePolicy"])
        assert policy["maxReceiveCount"] == 5
        assert policy["deadLetterTargetArn"] == arn("sqs", f"{INTAKE}-dlq")
        assert (receives.command, receives.cause) == ("", "redrive-to-worker")

    @pytest.mark.parametrize("bucket", ["s3://my-bucket", "my bucket", "b/incoming", ""])
    def test_a_mistaken_bucket_ends_no_check(self, bucket: str) -> None:
        realm = CannedRealm(triggers=[trigger("t"), trigger("u", bucket={"S": bucket})])
        assert {finding.rule for finding in found(realm)} <= {
            *("bucket-missing", "bucket-not-connected", "entry-errors", "entry-warnings")
        }

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("function-observing", variables(S3TRIGGER_MODE="observe")),
            ("mapping-filter", mapping(FilterCriteria={"Filters": [{"Pattern": PATTERN}]})),
            ("dedup-overwrites", variables(S3TRIGGER_DEDUP_TABLE="recent")),
        ],
        ids=["observing", "filter", "overwrites"],
    )
    def test_no_command_makes_more_events_fire(self, name: str, change: Change) -> None:
        realm = CannedRealm(triggers=[trigger("t", if_fnmatch={"S": "*/status.json"})])
        change(realm)

        [finding] = found(realm, name)

        assert finding.command == ""


def measured(**hours: list[float]) -> Change:
    """Return what has metrics of SQS: values by the hours for which they are past."""

    def metrics(asked: dict[str, Any]) -> dict[str, Any]:
        [statistic] = asked["Statistics"]
        end = dt.datetime.fromisoformat(asked["EndTime"])
        start = dt.datetime.fromisoformat(asked["StartTime"])
        values = hours.get(asked["MetricName"].removeprefix("Approximate"), [])
        points: list[dict[str, Any]] = [
            {"Timestamp": end - dt.timedelta(hours=n, minutes=30), statistic: value}
            for n, value in enumerate(values)
        ]
        if asked["Dimensions"][0]["Value"] != f"{FUNCTION}-dlq":
            points = []
        return {"Datapoints": [point for point in points if point["Timestamp"] >= start]}

    return answer("GetMetricStatistics", metrics)


class TestMessagesExpire:
    """Ages that CloudWatch leaves out are bounded by when the queue was last empty."""

    @cases(
        ("waiting", "hours", "message"),
        {
            "old by CloudWatch": (
                0,
                {"AgeOfOldestMessage": [11.0 * DAY]},
                "the oldest message is 11 days old, of 14 days",
            ),
            "received too often to be counted": (
                1,
                {
                    "AgeOfOldestMessage": [60.0],
                    "NumberOfMessagesVisible": [1.0] * 252 + [0.0] + [1.0] * 70,
                },
                "the queue has not been empty for 10.5 days, of 14 days of retention",
            ),
            "empty in between": (
                1,
                {"NumberOfMessagesVisible": [1.0] * 251 + [0.0] + [1.0] * 70},
                None,
            ),
            "hidden in between": (
                1,
                {
                    "NumberOfMessagesVisible": [1.0] * 100 + [0.0] + [1.0] * 200,
                    "NumberOfMessagesNotVisible": [0.0] * 100 + [1.0] + [0.0] * 200,
                },
                "the queue has not been empty for 12.5 days, of 14 days of retention",
            ),
            "never empty": (
                2,
                {"NumberOfMessagesVisible": [3.0] * 400},
                "the queue has not been empty for 14 days, of 14 days of retention",
            ),
            "empty now": (0, {"NumberOfMessagesVisible": [3.0] * 400}, None),
            "inactive until lately": (3, {"NumberOfMessagesVisible": [3.0] * 9}, None),
        },
    )
    def test_it_is_found(
        self, waiting: int, hours: dict[str, list[float]], message: str | None
    ) -> None:
        realm = CannedRealm()
        measured(**hours)(realm)
        realm.queues[f"{FUNCTION}-dlq"] |= {
            "MessageRetentionPeriod": str(14 * DAY),
            "ApproximateNumberOfMessages": str(waiting),
        }

        findings = found(realm, "messages-expire")

        assert [finding.message for finding in findings] == [message] * (message is not None)

    def test_a_shorter_retention_is_made_longer(self) -> None:
        realm = CannedRealm()
        measured(NumberOfMessagesVisible=[1.0] * 80)(realm)
        realm.queues[f"{FUNCTION}-dlq"] |= {
            "MessageRetentionPeriod": str(4 * DAY),
            "ApproximateNumberOfMessages": "1",
        }

        [finding] = found(realm, "messages-expire")

        [command] = words(finding)
        assert json.loads(option(command, "attributes")) == {
            "MessageRetentionPeriod": str(14 * DAY)
        }


class TestEntries:
    """What `check --realm` finds is counted, and not found otherwise."""

    def test_it_counts_what_check_finds(
        self, client_settings: Aws, realm: Realm, line: CommandLine
    ) -> None:
        names = {"bucket": "my-bucket", "enabled": True, "job_id": "no-such-job"}
        realm.put(
            "s3triggers",
            [
                {**names, "trigger_id": "slash", "prefix": "in/"},
                {
                    **names,
                    "trigger_id": "typo",
                    "prefix": "in",
                    "if_fnmatch": "*.csv",
                    "if_size": 1,
                },
            ],
        )
        realm.put(
            "jobs",
            [
                {"job_id": "a", "type": "exe", "payload": "p", "worker": "core", "enabled": True},
                {"job_id": "b", "type": "exe", "payload": "p", "worker": "nobody"},
                {"job_id": "c", "type": "exe", "payload": "p", "worker": "not a name"},
            ],
        )
        options = ["--region", REGION, "--endpoint-url", str(client_settings.endpoint_url)]
        printed = line("check", "--realm", realm.name, "--format", "json", *options).json()
        findings: dict[str, list[str]] = {"error": [], "warning": [], "info": []}
        for finding in printed["findings"]:
            findings[finding["severity"]].append(finding["trigger_id"] or finding["job_id"])
        assert min(map(len, findings.values())) >= 2

        chosen = [CHECKS["entry-errors"], CHECKS["entry-warnings"]]
        diagnosis = diagnose(Deployment(client_settings, realm.name, "no-function"), chosen)

        command = f"lava-s3trigger check --realm {realm.name}"
        assert [finding.message for finding in diagnosis.findings] == [
            f"{len(ids)} in {', '.join(sorted(set(ids)))}; `{command}` lists them"
            for ids in (findings["error"], findings["warning"])
        ]

    def test_without_a_table_its_entries_are_not_missed(self) -> None:
        def scan(asked: dict[str, Any]) -> dict[str, Any]:
            if asked["TableName"].endswith(".jobs"):
                raise refusal("ResourceNotFoundException", "Scan")
            return {"Items": [trigger("t")]}

        realm = CannedRealm()
        answer("Scan", scan)(realm)

        assert found(realm, "entry-errors", "entry-warnings") == []


class TestOverwrites:
    """Deduplication drops what looks like the same event: named where that is likely."""

    @cases(
        ("fields", "is_named"),
        {
            "a fixed name": ({"if_fnmatch": {"S": "*/status.json"}}, True),
            "fixed names": ({"if_fnmatch": {"L": [{"S": "a/_SUCCESS"}, {"S": "b/ok"}]}}, True),
            "some fixed name": (
                {"if_fnmatch": {"L": [{"S": "a/_SUCCESS"}, {"S": "*.csv"}]}},
                False,
            ),
            "any name": ({"if_fnmatch": {"S": "*.csv"}}, False),
            "no pattern": ({}, False),
            "tags": ({"if_event_type": {"S": "ObjectTagging:*"}}, True),
            "deletions": ({"if_event_type": {"S": "ObjectRemoved:*"}}, False),
            "disabled": ({"if_fnmatch": {"S": "a"}, "enabled": {"BOOL": False}}, False),
        },
    )
    @pytest.mark.parametrize(
        "variable", ["S3TRIGGER_DEDUP_TABLE", "S3TRIGGER_DEDUP_CACHE_SIZE", None]
    )
    def test_a_trigger_is_named_with_the_window(
        self, fields: dict[str, Any], variable: str | None, *, is_named: bool
    ) -> None:
        environment = {"S3TRIGGER_DEDUP_TTL": "10m"} | ({variable: "100"} if variable else {})
        realm = CannedRealm(environment=environment, triggers=[trigger("t", **fields)])

        findings = found(realm, "dedup-overwrites")

        message = "of equal events within 600 s, the first one counts: t"
        assert [each.message for each in findings] == [message] * (
            is_named and variable is not None
        )

    def test_of_many_some_are_named(self) -> None:
        triggers = [trigger(f"t{n:02}", if_fnmatch={"S": "a"}) for n in range(12)]
        realm = CannedRealm(environment={"S3TRIGGER_DEDUP_TABLE": "seen"}, triggers=triggers)

        [finding] = found(realm, "dedup-overwrites")

        assert finding.message.endswith("t08, t09 and 2 more")
