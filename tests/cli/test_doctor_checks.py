"""Checks of `doctor` over canned answers: a sound realm has no finding, each fault has one."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Callable
from typing import Any, Final

import pytest

from lava_s3trigger import __version__
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.realm import Deployment
from lava_s3trigger.cli.doctor import checks  # noqa: F401 - registers the checks
from lava_s3trigger.cli.doctor.registry import CHECKS, Finding, diagnose
from tests import build
from tests.tables import cases
from tools.local.realm import Realm

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
from .commandline import CommandLine

Change = Callable[[CannedRealm], object]

NAMES: Final = """
    function-throttled function-handler function-timeout function-observing function-log-level
    function-log-dispatches function-failing function-throttles messages-expire dead-letters
    visibility-timeout queue-policy redrive-to-worker redrive-receives mapping-filter
    entry-errors entry-warnings dedup-overwrites
"""
DAY: Final = 86400
DEAD_LETTERS: Final = f"{FUNCTION}-dlq"


def found(realm: CannedRealm, *names: str) -> list[Finding]:
    diagnosis = diagnose(Deployment(realm, "prod", FUNCTION), [CHECKS[name] for name in names])
    assert [(unread.check.name, unread.action) for unread in diagnosis.unread] == []
    return diagnosis.findings


def only(name: str, change: Change, realm: CannedRealm | None = None) -> Finding:
    """Return the only finding of a check after a change."""
    realm = realm or CannedRealm()
    change(realm)
    [finding] = found(realm, name)
    return finding


def words(finding: Finding) -> list[list[str]]:
    return [shlex.split(line) for line in finding.command.splitlines()]


def option(command: list[str], name: str) -> str:
    return command[command.index(f"--{name}") + 1]


def redrive_policy(command: list[str]) -> Any:
    return json.loads(json.loads(option(command, "attributes"))["RedrivePolicy"])


def test_a_sound_realm_has_no_finding() -> None:
    assert found(CannedRealm(), *NAMES.split()) == []


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


def intake_policy(text: str) -> Change:
    return attributes(INTAKE, Policy=text)


def under(operator: str, value: str, name: str = "aws:SourceArn") -> Change:
    policy = json.loads(queue_policy("s3", "sns", "events"))
    policy["Statement"][0]["Condition"] = {operator: {name: value}}
    return intake_policy(json.dumps(policy))


def filtered() -> Change:
    return mapping(FilterCriteria={"Filters": [{"Pattern": PATTERN}, {"Pattern": "{}"}]})


def started(version: str) -> Change:
    """Return what has an instance log its start."""
    line = json.dumps({"level": "INFO", "event": "started", "version": version})
    events = {"events": [{"timestamp": 1, "message": line}]}
    streams = {"logStreams": [{"logStreamName": "s"}]}
    return both(answer("DescribeLogStreams", streams), answer("GetLogEvents", events))


def both(*changes: Change) -> Change:
    return lambda realm: [change(realm) for change in changes]


def measured(subject: str = DEAD_LETTERS, /, **hours: list[float]) -> Change:
    """Return what has metrics, of a queue or of the function: values of the last hours."""

    def metrics(asked: dict[str, Any]) -> dict[str, Any]:
        [statistic] = asked["Statistics"]
        end = dt.datetime.fromisoformat(asked["EndTime"])
        start = dt.datetime.fromisoformat(asked["StartTime"])
        values = hours.get(asked["MetricName"].removeprefix("Approximate"), [])
        points: list[dict[str, Any]] = [
            {"Timestamp": end - dt.timedelta(hours=n, minutes=30), statistic: value}
            for n, value in enumerate(values)
        ]
        if asked["Dimensions"][0]["Value"] != subject:
            points = []
        return {"Datapoints": [point for point in points if point["Timestamp"] >= start]}

    return answer("GetMetricStatistics", metrics)


BUCKET: Final = "arn:aws:s3:::my-bucket"
RULE: Final = arn("events", "rule/lava.prod.in")
S3: Final = f"s3.amazonaws.com ({BUCKET})"
SNS: Final = f"sns.amazonaws.com ({arn('sns', 'topic')})"
EVENTS: Final = f"events.amazonaws.com ({RULE})"
BEGINS: Final = f"/aws/lambda/{FUNCTION}: the log begins at the level"
CORE: Final = "lava-prod-core"
HANDLER: Final = "lava_s3trigger.handler.lambda_handler"
ELSEWHERE: Final = json.dumps(
    {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:210987654321:{FUNCTION}-dlq"}
)
PATTERN: Final = '{"body": {"Records": {"eventName": ["ObjectCreated:Put"]}}}'
DELETED: Final = f"{arn('sqs', INTAKE)}: messages that do not match are deleted:"
UNREADABLE: Final = {"ErrorCode": "KMSKeyDisabled", "Message": "the key is off"}
PARKED: Final = f"{FUNCTION}: its dead-letter queue is lava-prod-core, a worker's queue"
LISTED: Final = "`lava-s3trigger check --realm prod` lists them"
THROTTLED: Final = answer("GetFunctionConcurrency", {"ReservedConcurrentExecutions": 0})
NO_ALARMS: Final = answer("DescribeAlarms", {"MetricAlarms": []})


UNSENT: Final = f"{INTAKE}: its policy does not allow {{}} to send"
OLDER: Final = f"{FUNCTION}: the package is version {{}}; this command line is {__version__}"
SIX_TIMES: Final = "six times 60 s and a batch window of 30 s"
ALARMS: Final = [
    *("dead-letters", "intake-dead-letters", "intake-age", "async-age", "async-dropped"),
    *("dead-letter-errors", "errors", "throttles", "recursion", "lag"),
]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("function-throttled", THROTTLED, f"{FUNCTION}: the reserved concurrency is 0"),
        (
            "function-handler",
            configured(Handler="main.handler"),
            f"{FUNCTION}: the handler is main.handler, not {HANDLER} or s3trigger.lambda_handler",
        ),
        ("function-timeout", configured(Timeout=59), f"{FUNCTION}: the timeout is 59 s"),
        (
            "function-observing",
            variables(S3TRIGGER_MODE="observe"),
            f"{FUNCTION}: S3TRIGGER_MODE is observe",
        ),
        (
            "function-log-level",
            variables(LAVA_LOGLEVEL="Critical"),
            "LAVA_LOGLEVEL: Critical hides failures and user errors",
        ),
        (
            "function-log-level",
            logging("FATAL"),
            "ApplicationLogLevel: FATAL drops failures and user errors",
        ),
        ("function-log-level", logging("WARN"), "ApplicationLogLevel: WARN drops the metrics"),
        ("function-log-dispatches", variables(LOGLEVEL="warning"), f"{BEGINS} warning"),
        ("function-log-dispatches", logging("ERROR"), f"{BEGINS} error"),
        (
            "function-failing",
            measured(FUNCTION, Errors=[10], Invocations=[100]),
            f"{FUNCTION}: 10 of 100 invocations of the last hour failed",
        ),
        (
            "function-throttles",
            measured(FUNCTION, Throttles=[12], Invocations=[100]),
            f"{FUNCTION}: 12 throttles and 100 invocations in the last hour",
        ),
        ("package-outdated", started("0.0"), OLDER.format("0.0")),
        ("package-outdated", started(f"{__version__}rc1"), OLDER.format(f"{__version__}rc1")),
        ("alarm-missing", NO_ALARMS, f"{FUNCTION}: there is no alarm {', '.join(ALARMS)}"),
        (
            "dead-letters",
            attributes(f"{INTAKE}-dlq", ApproximateNumberOfMessages="1"),
            f"{INTAKE}-dlq: 1 messages wait",
        ),
        (
            "messages-expire",
            measured(INTAKE, AgeOfOldestMessage=[10.5 * DAY]),
            f"{INTAKE}: the oldest message is 10.5 days old, of 14 days",
        ),
        (
            "visibility-timeout",
            attributes(INTAKE, VisibilityTimeout="389"),
            f"{INTAKE}: the visibility timeout is 389 s; {SIX_TIMES} ask for 390 s",
        ),
        ("queue-policy", intake_policy(queue_policy("sns", "events")), UNSENT.format(S3)),
        ("queue-policy", intake_policy(queue_policy("s3", "events")), UNSENT.format(SNS)),
        ("queue-policy", intake_policy(queue_policy("s3", "sns")), UNSENT.format(EVENTS)),
        (
            "queue-policy",
            attributes(DEAD_LETTERS, Policy=""),
            f"{DEAD_LETTERS}: its policy does not allow {SNS} and {EVENTS} to send",
        ),
        ("queue-policy", under("ArnLike", "arn:aws:s3:::other*"), UNSENT.format(S3)),
        ("queue-policy", under("StringEquals", "arn:aws:s3:::*"), UNSENT.format(S3)),
        (
            "redrive-to-worker",
            redrive("lava-prod-core", 5),
            f"{INTAKE}: its redrive policy moves messages to lava-prod-core, a worker's queue",
        ),
        ("redrive-to-worker", configured(DeadLetterConfig={"TargetArn": arn("sqs", CORE)}), PARKED),
        ("redrive-to-worker", variables(S3TRIGGER_DEAD_LETTER_QUEUE=CORE), PARKED),
        ("redrive-receives", redrive(f"{INTAKE}-dlq", 4), f"{INTAKE}: its maxReceiveCount is 4"),
        ("mapping-filter", filtered(), f"{DELETED} {PATTERN} or {{}}"),
        (
            "mapping-filter",
            mapping(FilterCriteriaError=UNREADABLE),
            f"{DELETED} one that cannot be read: the key is off",
        ),
        (
            "entry-errors",
            lambda realm: realm.triggers.append(trigger("bad", enbaled={"BOOL": True})),
            f"entries of prod: 1 in bad; {LISTED}",
        ),
        (
            "entry-warnings",
            lambda realm: realm.jobs.append(job("other", "nobody")),
            f"entries of prod: 1 in other; {LISTED}",
        ),
    ],
)
def test_a_fault_is_found(name: str, change: Change, told: str) -> None:
    finding = only(name, change)

    assert f"{finding.subject}: {finding.message}" == told


@cases(
    ("name", "change"),
    {
        "the name of lava's stack": (
            "function-handler",
            configured(Handler="s3trigger.lambda_handler"),
        ),
        "a wrapper": (
            "function-handler",
            both(configured(Handler="wrapper.handler"), variables(ORIGINAL_HANDLER=HANDLER)),
        ),
        "an image": ("function-handler", configured(Handler=None)),
        "a level of a text log": ("function-log-level", logging("FATAL", "Text")),
        "no metrics": (
            "function-log-level",
            both(logging("WARN"), variables(S3TRIGGER_METRICS="off")),
        ),
        "few failures": ("function-failing", measured(FUNCTION, Errors=[9], Invocations=[100])),
        "few throttles": (
            "function-throttles",
            measured(FUNCTION, Throttles=[10], Invocations=[100]),
        ),
        "this package": ("package-outdated", started(__version__)),
        "messages that are not old": (
            "messages-expire",
            measured(INTAKE, AgeOfOldestMessage=[10.4 * DAY]),
        ),
        "a condition on the account": (
            "queue-policy",
            under("StringEquals", "210987654321", "aws:SourceAccount"),
        ),
        "this bucket": ("queue-policy", under("ArnLike", "arn:aws:s3:*:*:my-*", "AWS:SourceArn")),
        "denied without TLS": (
            "queue-policy",
            intake_policy(denying({"Bool": {"aws:SecureTransport": "false"}})),
        ),
        "denied for reasons that are not known": (
            "queue-policy",
            intake_policy(denying({"StringNotEquals": {"aws:SourceOrgID": "o-1"}})),
        ),
        "a queue of another account": (
            "queue-policy",
            both(
                answer("GetSubscriptionAttributes", {"Attributes": {"RedrivePolicy": ELSEWHERE}}),
                attributes(DEAD_LETTERS, Policy=queue_policy("events")),
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
    def test_what_a_statement_denies_has_no_command(self, condition: dict[str, Any]) -> None:
        realm = CannedRealm()
        realm.queues[INTAKE]["Policy"] = denying(condition)

        denied = found(realm, "queue-policy")

        sources = [finding.message.partition(" is denied")[0] for finding in denied]
        assert sources == [S3, SNS, EVENTS]
        assert all(json.dumps(condition) in finding.message for finding in denied)
        assert {finding.command for finding in denied} == {""}

    def test_lambda_sends_by_the_role_which_a_statement_can_deny(self) -> None:
        condition = {"ArnNotLike": {"aws:SourceArn": "arn:aws:*"}}

        finding = only("queue-policy", attributes(DEAD_LETTERS, Policy=denying(condition)))

        assert finding.message.startswith(f"the function's role {ROLE} is denied by")

    def test_lambda_may_not_send_to_a_queue_that_the_role_may_not_use(self) -> None:
        realm = CannedRealm()
        realm.answers["GetRolePolicy"] |= {"PolicyDocument": '{"Statement": []}'}
        [finding] = found(realm, "queue-policy")
        assert finding.message == f"the function's role {ROLE} may not send"

        statement = {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "*", "Resource": "*"}
        policy = json.loads(queue_policy("sns", "events"))
        policy["Statement"].append(statement)
        realm.queues[DEAD_LETTERS]["Policy"] = json.dumps(policy)
        assert found(realm, "queue-policy") == []

    @pytest.mark.parametrize("operation", ["GetRolePolicy", "GetSubscriptionAttributes"])
    def test_what_may_not_be_read_is_said(self, operation: str) -> None:
        realm = CannedRealm()
        realm.refused.add(operation)
        if operation == "GetRolePolicy":
            realm.queues[DEAD_LETTERS]["Policy"] = queue_policy("sns", "events")

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

    def test_dead_letters_are_given_back_after_all_other_commands(self) -> None:
        realm = CannedRealm()
        both(THROTTLED, measured(FUNCTION, Throttles=[1]))(realm)
        stopped, throttles, last = found(
            realm, "function-throttled", "function-throttles", "dead-letters"
        )
        command = f"aws lambda delete-function-concurrency --function-name {FUNCTION}"
        assert ("at once" in stopped.why, stopped.command) == (True, command)
        assert (throttles.command, throttles.cause) == ("", "function-throttled")
        assert last.command == "lava-s3trigger dead-letters redrive --realm prod --queue own"
        both(measured(AgeOfOldestMessage=[11 * DAY]), waiting_in(1, days=14))(realm)
        [old] = found(realm, "messages-expire")
        assert (old.command, old.cause) == ("", "dead-letters")

    def test_a_function_of_another_name_is_named(self) -> None:
        realm = CannedRealm()
        measured(FUNCTION, Errors=[1])(realm)
        checks_ = [CHECKS["function-failing"]]
        [finding] = diagnose(Deployment(realm, "other", FUNCTION), checks_).findings
        assert f" tail --realm other --function {FUNCTION} --since" in finding.command

    def test_dispatches_of_a_worker_are_not_dead_letters(self) -> None:
        realm = CannedRealm()
        redrive("lava-prod-core", 5)(realm)
        waiting = {"ApproximateNumberOfMessages": "1", "MessageRetentionPeriod": "60"}
        realm.queues["lava-prod-core"] |= waiting
        assert found(realm, "dead-letters", "dead-letter-retention", "messages-expire") == []

    @cases(
        ("missing", "existing", "jobs", "is_corrected"),
        {
            "a misspelt job": ("coer", "core", 1, True),
            "a worker that lost its queue": ("core", "coer", 2, False),
            "workers with numbers": ("core1", "core2", 1, False),
            "workers of regions": ("reports-eu", "reports", 1, False),
        },
    )
    def test_jobs_are_moved_only_where_they_misspell_a_worker(
        self, missing: str, existing: str, jobs: int, *, is_corrected: bool
    ) -> None:
        realm = CannedRealm(jobs=[job(f"job-{n}", missing) for n in range(jobs)])
        realm.queues = {f"lava-prod-{existing}": {}}
        realm.answers["ListQueues"] = {"QueueUrls": [f"https://sqs/1/lava-prod-{existing}"]}
        [finding] = found(realm, "worker-queue-missing")
        assert ("update-item" in finding.command) is is_corrected
        assert ("create-queue" in finding.command) is not is_corrected

    def test_a_handler_is_only_set_where_the_package_has_logged_its_start(self) -> None:
        realm = CannedRealm()
        realm.function["Handler"] = "main.handler"
        assert found(realm, "function-handler")[0].command == ""

        started("1.0.0")(realm)
        command, _wait = words(found(realm, "function-handler")[0])
        assert option(command, "handler") == HANDLER

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

    @cases(
        ("check", "old", "tries", "new"),
        {
            "a worker's queue": ("redrive-to-worker", "lava-prod-core", 7, f"{INTAKE}-dlq"),
            "two faults": ("redrive-to-worker", "lava-prod-core", 3, f"{INTAKE}-dlq"),
            "few tries": ("redrive-receives", "elsewhere", 1, "elsewhere"),
        },
    )
    @pytest.mark.parametrize("is_there", [True, False], ids=["there", "missing"])
    def test_one_command_corrects_a_redrive_policy(
        self, check: str, old: str, tries: int, new: str, *, is_there: bool
    ) -> None:
        realm = CannedRealm()
        redrive(old, tries)(realm)
        if not is_there:
            del realm.queues[f"{INTAKE}-dlq"]
        finding, *others = found(realm, *sorted({check, "redrive-receives"}, reverse=True))
        *create, change = words(finding)
        is_made = check == "redrive-to-worker" and not is_there
        assert [command[2] for command in create] == ["create-queue"] * is_made
        policy = {"deadLetterTargetArn": arn("sqs", new), "maxReceiveCount": max(tries, 5)}
        assert redrive_policy(change) == policy
        assert {(other.command, other.cause) for other in others} <= {("", "redrive-to-worker")}

    @cases(
        ("name", "change", "command"),
        {
            "dead letters of the intake": (
                "dead-letters",
                attributes(f"{INTAKE}-dlq", ApproximateNumberOfMessages="1"),
                f"aws sqs start-message-move-task --source-arn {arn('sqs', INTAKE)}-dlq",
            ),
            "no alarm": ("alarm-missing", NO_ALARMS, f"sam deploy --stack-name {FUNCTION} "),
            "old dead letters": (
                "messages-expire",
                measured(AgeOfOldestMessage=[11 * DAY]),
                "lava-s3trigger dead-letters redrive --realm prod",
            ),
        },
    )
    def test_what_corrects_a_fault(self, name: str, change: Change, command: str) -> None:
        assert only(name, change).command.startswith(command)

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
            ("mapping-filter", filtered()),
            ("dedup-overwrites", variables(S3TRIGGER_DEDUP_TABLE="recent")),
        ],
        ids=["observing", "filter", "overwrites"],
    )
    def test_no_command_makes_more_events_fire(self, name: str, change: Change) -> None:
        realm = CannedRealm(triggers=[trigger("t", if_fnmatch={"S": "*/status.json"})])

        assert only(name, change, realm).command == ""


def waiting_in(messages: int, days: int) -> Change:
    kept = {"MessageRetentionPeriod": str(days * DAY)}
    return attributes(DEAD_LETTERS, **kept, ApproximateNumberOfMessages=str(messages))


VISIBLE: Final = "NumberOfMessagesVisible"
NEVER: Final = "the queue has not been empty for {} days, of 14 days of retention"


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
                {"AgeOfOldestMessage": [60.0], VISIBLE: [1.0] * 252 + [0.0] + [1.0] * 70},
                NEVER.format("10.5"),
            ),
            "empty in between": (1, {VISIBLE: [1.0] * 251 + [0.0] + [1.0] * 70}, None),
            "hidden in between": (
                1,
                {
                    VISIBLE: [1.0] * 100 + [0.0] + [1.0] * 200,
                    "NumberOfMessagesNotVisible": [0.0] * 100 + [1.0] + [0.0] * 200,
                },
                NEVER.format("12.5"),
            ),
            "never empty": (2, {VISIBLE: [3.0] * 400}, NEVER.format("14")),
            "empty now": (0, {VISIBLE: [3.0] * 400}, None),
            "inactive until lately": (3, {VISIBLE: [3.0] * 9}, None),
        },
    )
    def test_it_is_found(
        self, waiting: int, hours: dict[str, list[float]], message: str | None
    ) -> None:
        realm = CannedRealm()
        both(measured(**hours), waiting_in(waiting, days=14))(realm)

        findings = found(realm, "messages-expire")

        assert [finding.message for finding in findings] == [message] * (message is not None)

    def test_a_shorter_retention_is_made_longer(self) -> None:
        change = both(measured(NumberOfMessagesVisible=[1.0] * 80), waiting_in(1, days=4))

        [command] = words(only("messages-expire", change))
        longer = {"MessageRetentionPeriod": str(14 * DAY)}
        assert json.loads(option(command, "attributes")) == longer


class TestEntries:
    """What `check --realm` finds is counted, and not found otherwise."""

    def test_it_counts_findings(
        self, client_settings: Aws, realm: Realm, line: CommandLine
    ) -> None:
        slash = build.trigger_entry("slash", "in/", job_id="no-such-job")
        typo = build.trigger_entry("typo", job_id="no-such-job", if_fnmatch="*.csv", if_size=1)
        realm.put("s3triggers", [slash, typo])
        jobs = {"a": "core", "b": "nobody", "c": "not a name"}
        realm.put("jobs", [build.job_entry(name, worker) for name, worker in jobs.items()])
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
