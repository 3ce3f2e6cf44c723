"""The checks of the smoke test, and what they need: entries, invocations, dispatches."""

from __future__ import annotations

import base64
import json
import re
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from lava_s3trigger.cli.dead_letters.redrive import Redrive
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.objects.event_types import event_type
from lava_s3trigger.cli.objects.payloads import ObjectEvent, s3_notification
from lava_s3trigger.cli.objects.uri import CREATED
from lava_s3trigger.cli.output.signals import uninterrupted
from tools.commands import run_command

from .resources import Resources, wait_for

if TYPE_CHECKING:
    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter


ROUTES: Final = ("s3", "sns", "sqs", "eventbridge")
TEMPLATES: Final = {
    "plain": "{{ key }}",
    "everyday": r"{{ utils.re.sub('^[a-z]+-([0-9]+)-([0-9]+)-([0-9]+)[.]csv$', '\1/\2/\3',"
    " utils.path.basename(key)) }} {{ (info.event_time - utils.timedelta(days=1))"
    ".strftime('%d %b %Y') }} {{ info.event_time"
    ".astimezone(utils.dateutil.tz.gettz('Australia/Sydney')).strftime('%H:%M') }}",
    "long": "{{ 'x' * 100000 }}",
    "slow": "{{ utils.re.match('(a+)+$', 'a' * 40 ~ 'b') }}",
    "missing": "{{ key }}",
    "apply": "{{ key }}",
    "connect": "{{ key }}",
    **dict.fromkeys(ROUTES, "{{ key }} {{ info.event_type }} {{ info.size }} B"),
}
"""What each trigger renders, by its name, which is its prefix too."""
ENTRIES: Final = [
    *(("jobs", name) for name in ("run", "missing")),
    *(("s3triggers", name) for name in TEMPLATES),
]
"""Tables and names of all entries, which are removed at the end."""
CHECKS: Final = {
    "apply": "the command puts an entry, which dispatches, and its undo takes it away",
    "plain": "direct invocation; one dispatch, with every character of the key",
    "everyday": "direct invocation; a regular expression, a date, a time zone",
    "bounds long": "a template with too long a text: parked, with the reason",
    "bounds slow": "a template that takes too long: parked after about one second",
    "missing job": "a job that does not exist: parked, with the reason",
    "route s3": "S3 invokes the function; seconds, at most a minute or two",
    "route sns": "S3 to SNS to the function; seconds as well",
    "route sqs": "S3 to the intake queue; seconds as well",
    "route eventbridge": "S3 to EventBridge; about five minutes for a new bucket",
    "connect": "S3 invokes the function until disconnect ends it; a minute or two",
    "redrive": "the missing job is created, and the parked message redriven: about a minute",
}
"""What each check expects, in their order.

The first one is `apply`: later, the function has cached that its entry is not there.
"""
_ODD_KEY: Final = 'plain/a b+c "q" \\.txt'
_EVENT_TIME: Final = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
_TROUBLE: Final = re.compile(r'ERROR|WARN|failed|parked|skipped|summary|"level"|Task timed out')
_REPEAT_SECONDS: Final = 60


@dataclass
class Run:
    """One run of the checks."""

    resources: Resources
    timeout: float
    """Seconds to wait for each route and for the redrive."""
    events: Path | None = None
    """Folder for the dispatch of each route."""
    queue_url: str = ""
    log: list[str] = field(default_factory=list)
    """Lines about trouble in the log of the last invocation."""
    _found: dict[str, dict[str, Any]] = field(default_factory=dict)
    _pending: dict[str, str] = field(default_factory=dict)
    """Routes that have brought nothing yet, each with what went wrong."""
    _connected: float = 0.0
    _objects: int = 0

    def check(self, name: str) -> str:
        """Make a check, and return what it found.

        Raises:
            CommandError: It failed.
        """
        others = {"apply": self._applies, "connect": self._connects, "redrive": self._redrives}
        match name.split():
            case ["plain"]:
                return self._dispatches(_ODD_KEY, _ODD_KEY)
            case ["everyday"]:
                text = "2026/03/14 28 Feb 2026 11:30"
                return self._dispatches("everyday/orders-2026-03-14.csv", text)
            case ["bounds", trigger]:
                reasons = {"long": "characters", "slow": "longer than 1 s"}
                return self._parks(trigger, reasons[trigger])
            case ["missing", _]:
                return self._parks("missing", "no job")
            case ["route", route]:
                return self._route(route)
            case _:
                return others[name]()

    @property
    def _patience(self) -> float:
        return min(self.timeout, 60)

    def make(self) -> None:
        """Make queue, bucket and entries, and wait until the function can find these."""
        resources = self.resources
        with uninterrupted():
            self.queue_url = resources.make_queue()
            resources.make_bucket()
        entries = [("jobs", "run", self._job())]
        put = [name for name in TEMPLATES if name != "apply"]
        entries += [("s3triggers", name, self._trigger(name)) for name in put]
        resources.put_entries(entries)
        query: dict[str, Any] = {
            "TableName": f"lava.{resources.function.realm}.s3triggers",
            "IndexName": "s3trigger-index",
            "KeyConditionExpression": "#bucket = :bucket",
            "ExpressionAttributeNames": {"#bucket": "bucket"},
            "ExpressionAttributeValues": {":bucket": {"S": resources.bucket}},
            "Select": "COUNT",
        }
        dynamodb = resources.aws.client("dynamodb")
        failure = f"the entries are not in s3trigger-index of {query['TableName']}"
        wait_for(lambda: dynamodb.query(**query)["Count"] == len(put), 60, failure)

    def _job(self) -> dict[str, Any]:
        return {"type": "exe", "worker": f"smoke-{self.resources.suffix}", "payload": "true"}

    def _trigger(self, name: str) -> dict[str, Any]:
        parameters = {"trigger": name, "text": TEMPLATES[name]}
        if self.events and name in ROUTES:
            parameters["event"] = "{{ event | tojson }}"
        job = self.resources.id("missing" if name == "missing" else "run")
        place = {"bucket": self.resources.bucket, "prefix": name}
        return {**place, "job_id": job, "parameters": parameters}

    def _command(self, state: str, *arguments: str) -> None:
        """Run a command of lava-s3trigger on the stack, with a folder for what it saves."""
        aws, function = self.resources.aws, self.resources.function
        options = {
            "profile": aws.profile,
            "region": aws.region,
            "endpoint-url": aws.endpoint_url,
            "realm": function.realm,
            "function": function.name,
        }
        flags = (f"--{name}={value}" for name, value in options.items() if value)
        run_command(*arguments, *flags, state=Path(state))

    def _file(self, folder: str, name: str) -> str:
        """Write a trigger into a file, and return its path."""
        path = Path(folder, "entries.json")
        path.write_text(json.dumps([self.resources.entry("s3triggers", name, self._trigger(name))]))
        return str(path)

    def _applies(self) -> str:
        resources = self.resources
        with tempfile.TemporaryDirectory() as folder:
            file = self._file(folder, "apply")
            self._command(folder, "apply", file, f"--set=smoke-{resources.suffix}")
            result = self._dispatches("apply/x", "apply/x")
            [saved] = Path(folder, "lava-s3trigger").glob("apply-*.json")
            self._command(folder, "apply", f"--undo={saved}")
        if resources.has_entry("s3triggers", "apply"):
            raise CommandError(f"{resources.id('apply')} is still there after the undo")
        return f"{result}; the undo removed the entry"

    def _connects(self) -> str:
        resources = self.resources
        before = resources.notifications()
        with tempfile.TemporaryDirectory() as folder:
            file = self._file(folder, "connect")
            self._command(folder, "connect", resources.bucket, "--by=s3", f"--triggers={file}")
            if resources.notifications() == before:
                raise CommandError("connect changed nothing of the bucket")
            self._pending, self._objects, self._connected = {"connect": ""}, 0, time.monotonic()
            result = self._route("connect")
            self._command(folder, "disconnect", resources.bucket)
        if (after := resources.notifications()) != before:
            raise CommandError(f"disconnect left {after}, where {before} was before")
        return f"{result}; disconnected"

    def _invoke(self, key: str) -> None:
        event = ObjectEvent(
            bucket=self.resources.bucket,
            key=key,
            type=event_type(CREATED),
            time=_EVENT_TIME,
            region=self.resources.function.region,
        )
        # An invocation may take 15 minutes. A second one would dispatch again.
        config = Config(read_timeout=900, retries={"total_max_attempts": 1})
        answer = self.resources.aws.client("lambda", config).invoke(
            FunctionName=self.resources.function.name,
            Payload=json.dumps(s3_notification([event])),
            LogType="Tail",
        )
        log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
        self.log = [line for line in log.splitlines() if _TROUBLE.search(line)][-5:]
        if answer.get("FunctionError"):
            raise CommandError(f"the invocation failed: {answer['Payload'].read().decode()[:600]}")

    def _dispatched(self, trigger: str) -> list[dict[str, Any]]:
        """Return the dispatches of a trigger so far. They stay in the queue, hidden."""
        answer = self.resources.aws.client("sqs").receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        for message in answer.get("Messages", ()):
            dispatch = json.loads(message["Body"])
            self._found[dispatch["run_id"]] = dispatch  # SQS may deliver one twice
        dispatches = self._found.values()
        return [dispatch for dispatch in dispatches if dispatch["parameters"]["trigger"] == trigger]

    def _parked(self, trigger: str) -> DeadLetter | None:
        letters = list(self.resources.dead_letters.read())
        self.resources.dead_letters.release(letters)
        return next(
            (letter for letter in letters if letter.trigger_id == self.resources.id(trigger)), None
        )

    def _dispatches(self, key: str, text: str) -> str:
        trigger = key.partition("/")[0]
        self._invoke(key)
        wait_for(lambda: self._dispatched(trigger), self._patience, "no dispatch")
        texts = [dispatch["parameters"]["text"] for dispatch in self._dispatched(trigger)]
        if texts != [text]:
            raise CommandError(f"1 dispatch of {text!r} was expected, not {texts}")
        return f"1 dispatch: {text}"

    def _parks(self, trigger: str, reason: str) -> str:
        self._invoke(f"{trigger}/x")
        failure = f"nothing in {self.resources.dead_letters.name}"
        letter = wait_for(lambda: self._parked(trigger), self._patience, failure)
        if self._dispatched(trigger) or reason not in letter.reason:
            raise CommandError(f"dispatched, or parked for another reason: {letter.reason}")
        return f"parked: {letter.reason}"

    def connect(self, routes: list[str]) -> None:
        """Connect the bucket by routes, one by one: a failure of one leaves the others."""
        connected: dict[str, Any] = {}
        s3, bucket = self.resources.aws.client("s3"), self.resources.bucket
        for name in routes:
            try:
                with uninterrupted():
                    wanted = connected | self._configuration(name)
                put = partial(s3.put_bucket_notification_configuration, Bucket=bucket)
                wait_for(partial(put, NotificationConfiguration=wanted), 20, "S3 refuses")
                connected, self._pending[name] = wanted, ""
            except CommandError as error:
                self._pending[name] = f"cannot connect: {error}"
        self._connected = time.monotonic()

    def _configuration(self, route: str) -> dict[str, Any]:
        """Make what a route needs, and return its part of the bucket's configuration."""
        resources = self.resources
        if route == "eventbridge":
            resources.make_rule(f"{route}/")
            return {"EventBridgeConfiguration": {}}
        if route == "sns":
            resources.make_topic()
        intake = resources.mapping(resources.function.intake_queue) or {}
        kind, arn = {
            "s3": ("LambdaFunction", resources.function.arn),
            "sns": ("Topic", resources.topic_arn),
            "sqs": ("Queue", intake.get("EventSourceArn")),
        }[route]
        prefix = {"Name": "prefix", "Value": f"{route}/"}
        target = {
            f"{kind}Arn": arn,
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [prefix]}},
        }
        return {f"{kind}Configurations": [target]}

    def _route(self, name: str) -> str:
        if self._pending[name]:
            raise CommandError(self._pending[name])
        group, bucket = self.resources.function.log_group, self.resources.bucket
        look = (
            f"aws logs filter-log-events --log-group-name {group} --filter-pattern '\"{bucket}\"'"
        )
        left = max(0, self._connected + self.timeout - time.monotonic())
        dispatch = wait_for(lambda: self._arrived(name), left, f"no dispatch; see {look}")[0]
        if self.events and name in ROUTES:
            (self.events / f"{name}.json").write_text(json.dumps(dispatch))
        seconds = time.monotonic() - self._connected
        return f"{dispatch['parameters']['text']}, within {seconds:.0f} s"

    def _arrived(self, route: str) -> list[dict[str, Any]]:
        # An event from before the notification took effect is never sent: put again.
        if time.monotonic() >= self._connected + self._objects * _REPEAT_SECONDS:
            self._objects += 1
            s3, bucket = self.resources.aws.client("s3"), self.resources.bucket
            for name in [route for route in self._pending if not self._pending[route]]:
                s3.put_object(Bucket=bucket, Key=f"{name}/object {self._objects}", Body=b"data")
        arrived = self._dispatched(route)
        if arrived:
            self._pending.pop(route, None)
        return arrived

    def _redrives(self) -> str:
        resources, queue, trigger = self.resources, self.resources.dead_letters, "missing"
        mapping = resources.mapping(queue.name)
        if not mapping or not self._parked(trigger):
            raise CommandError(f"no parked message, or no event source mapping, of {queue.name}")
        resources.put_entries([("jobs", "missing", self._job())])
        letters = list(queue.read())
        chosen = [letter for letter in letters if letter.trigger_id == resources.id(trigger)]
        others = [
            letter for letter in letters if letter not in chosen
        ]  # they would be parked again
        start = time.monotonic()
        client, is_late = (
            resources.aws.client("lambda"),
            lambda: time.monotonic() - start > self.timeout,
        )
        try:
            # SQS counts approximately, for about a minute.
            wait_for(lambda: queue.counts().total == len(letters), 90, f"{queue.name} changes")
            Redrive(client, queue, mapping, self.timeout, is_late).run(chosen, others)
        finally:
            queue.release(letters)
        wait_for(lambda: self._dispatched(trigger), self._patience, "no dispatch")
        wait_for(lambda: not self._parked(trigger), 90, f"dispatched, but still in {queue.name}")
        if (number := len(self._dispatched(trigger))) != 1:
            raise CommandError(f"{number} dispatches where 1 was expected")
        return f"1 dispatch, within {time.monotonic() - start:.0f} s"
