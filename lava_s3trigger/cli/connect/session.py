"""A run of `connect` or `disconnect`: reads, shows, asks, saves, writes, and reads back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.realm import Deployment, UnreadableError, find_realm
from lava_s3trigger.cli.entries.load import load_sound, read_table
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES, event_type
from lava_s3trigger.cli.output.confirmation import is_confirmed, require_consent
from lava_s3trigger.cli.output.signals import ending_in_order
from lava_s3trigger.cli.output.streams import message, opened
from lava_s3trigger.cli.routes.route import doubled
from lava_s3trigger.triggers import Trigger, read_trigger

from .bucket import EVENTBRIDGE, S3, SNS, Bucket
from .changes import RULE, Parts
from .needs import RefusedError
from .plan import Plan, connection, disconnection
from .report import Report, shown_lines, write_report
from .saved import read_saved, save_plan
from .wanted import CREATED, wanted_by_rules, wanted_by_s3

if TYPE_CHECKING:
    from lava_s3trigger.cli.objects.event_types import EventType
    from lava_s3trigger.cli.output.signals import Request
    from lava_s3trigger.cli.routes.route import Route

    from .wanted import Wanted

_STEP_SECONDS: Final = 0.2


@dataclass
class Session:
    """A run of a command.

    Args:
        command: ``connect`` or ``disconnect``.
        options: The options of the command.
    """

    command: str
    options: dict[str, Any]
    _request: Request | None = field(default=None, init=False)
    """Set while changes are made: asks to end after the current one."""

    def run(self) -> int:
        """Run the command, and return its exit status.

        Raises:
            CommandError: AWS refuses something, or there is nobody to ask.
        """
        options = self.options
        if bool(options["bucket"]) is bool(options["undo"]):
            raise CommandError(f"{self.command} takes a bucket, or --undo FILE", WRONG_USAGE)
        if not options["is_dry"]:
            require_consent(self.command, "changes anything", is_sure=options["is_sure"])
        try:
            report = self._undoing() if options["undo"] else self._planned()
            if report.refused or not report.plan.changes:
                return self._ended(report, "refused" if report.refused else "unchanged")
            if options["is_dry"]:
                return self._ended(report, "would_change")
            return self._change(report)
        except UnreadableError as error:
            raise CommandError(f"AWS refused {error.action}: {error.reason}") from None

    @cached_property
    def _aws(self) -> Aws:
        return Aws(self.options["profile"], self.options["region"], self.options["endpoint_url"])

    @cached_property
    def _deployed(self) -> Deployment:
        realm, function = find_realm(self.options["realm"], self.options["function"])
        deployed = Deployment(self._aws, realm, function)
        if not deployed.function:
            raise CommandError(
                f"there is no function {function} in {self._aws.region_name()}: name it with"
                " --function, or choose another region or account with --region or --profile"
            )
        return deployed

    @cached_property
    def _parts(self) -> Parts:
        arn = self._deployed.function_arn
        return Parts(self._aws, arn.split(":")[4], arn, self._pause)

    def _pause(self, seconds: float) -> bool:
        """Wait, and return whether to continue."""
        end = time.monotonic() + seconds
        while not self._request and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _STEP_SECONDS))
        return not self._request

    # Reading and planning

    def _planned(self) -> Report:
        bucket = Bucket(self._deployed, self._parts, self.options["bucket"])
        report = Report(self.command, bucket.names, None)
        try:
            if self.command == "disconnect":
                report.plan = disconnection(bucket)
                report.others = [r.told for r in bucket.routes if not bucket.own_by(r)]
            else:
                self._plan_connection(bucket, report)
        except RefusedError as error:
            report.refused = error.reasons
        report.notes += bucket.notes
        return report

    def _plan_connection(self, bucket: Bucket, report: Report) -> None:
        options = self.options
        owned = [by for route in bucket.routes if (by := bucket.own_by(route))]
        owned += [EVENTBRIDGE] * bool(bucket.rules)  # a rule may be disabled, or only partly made
        own = next(iter(owned), None)
        by = options["by"] or own or S3
        topics = bucket.own_topics if by == SNS else []
        topic = options["topic"] or next(iter(topics), None)
        if options["topic"] and by != SNS:
            raise CommandError("--topic is for --by sns: leave it out", WRONG_USAGE)
        report.by = by
        triggers = self._triggers(bucket.name)
        if not triggers:
            advice = "; put some into the table first: lava-s3trigger apply"
            if own:
                advice = "; to take it away: lava-s3trigger disconnect"
            elif options["triggers"]:
                advice = ""
            raise RefusedError(f"{bucket.name} has no enabled entry that can be used{advice}")
        default = _event_types(options["events"])
        wanted = self._wanted(bucket.name, by, triggers, default)
        report.surplus, report.unreachable = wanted.surplus, wanted.unreachable
        report.plan = connection(bucket, by, topic, wanted, is_move=options["is_move"])

    def _wanted(
        self, bucket: str, by: str, triggers: list[Trigger], default: tuple[EventType, ...]
    ) -> Wanted:
        if by == EVENTBRIDGE:
            return wanted_by_rules(bucket, triggers, default)
        return wanted_by_s3(triggers, default)

    def _triggers(self, bucket: str) -> list[Trigger]:
        """Return the enabled entries of a bucket; name those that the function refuses."""
        files = self.options["triggers"]
        if files:
            entries = load_sound(files, "trigger").of("trigger")
        else:
            entries = read_table(self._aws, self._deployed.realm, "trigger")
        triggers = {}
        for entry in entries:
            if entry.text("bucket") != bucket or not entry.text("prefix") or not entry.id:
                continue
            trigger = read_trigger(entry.item)
            if not isinstance(trigger, Trigger):
                message(f"Warning: {entry.source}: {entry.id!a} is left out: {trigger.errors[0]}")
            elif trigger.enabled:
                triggers[entry.id] = trigger
        return list(triggers.values())

    def _undoing(self) -> Report:
        saved = read_saved(self.options["undo"])
        self.options["realm"] = self.options["realm"] or saved.realm
        self.options["function"] = self.options["function"] or saved.function
        if self._deployed.function_arn != saved.function_arn:
            raise CommandError(
                f"{self.options['undo']} is of {saved.function_arn}, not of"
                f" {self._deployed.function_arn}: choose its account and region with --profile and"
                " --region",
                WRONG_USAGE,
            )
        bucket = Bucket(self._deployed, self._parts, saved.bucket)
        report = Report(self.command, bucket.names, None)
        report.plan, report.refused = saved.undoing(self._parts)
        return report

    # Making the changes

    def _change(self, report: Report) -> int:
        options = self.options
        shown = shown_lines(report, options)
        if options["format_"] == "json" or options["output"]:
            for line in shown:
                message("".join(piece.text for piece in line))
        else:
            report.is_shown = True
            with opened(None) as file:
                write_report(file, report, options, "planned")
        question = f"Make {len(report.plan.changes)} changes on AWS?"
        if not is_confirmed(question, is_sure=options["is_sure"]):
            return self._ended(report, "declined")
        report.saved = save_plan(self.command, self._deployed, report.names.bucket, report.plan)
        message(f"Saved for --undo: {report.saved}")
        with ending_in_order() as request:
            self._request = request
            self._carry_out(report.plan)
        try:
            doubled_routes = None
            if self.command == "connect" and not request:
                doubled_routes = self._doubled(report)
        finally:
            status = self._ended(report, "changed")
        return NO if doubled_routes else status

    def _doubled(self, report: Report) -> tuple[Route, Route] | None:
        """Return two routes by which events come twice now, and show them.

        Somebody else may have connected the bucket at the same time, or since the undone run.
        """
        deployed = Deployment(self._aws, self._deployed.realm, self._deployed.function_name)
        # EventBridge may still show these.
        removed = {
            change.resource
            for change in report.plan.changes
            if change.kind == RULE and (change.after is None or change in report.plan.then)
        }
        bucket = Bucket(deployed, self._parts, report.names.bucket)
        pair = doubled(route for route in bucket.routes if route.rule not in removed)
        if pair:
            told = (
                f"events of {bucket.name} come twice, by {pair[0].told} and by"
                f" {pair[1].told}: take this back with --undo, or keep one route with"
                f" connect {bucket.name} --move"
            )
            message(f"Warning: {told}")
            report.notes.append(told)
        return pair

    def _carry_out(self, plan: Plan) -> None:
        """Make the changes; if it ends early, report how many were made."""
        written = 0
        try:
            for change in plan.first:
                if not self._request:
                    self._parts.write(change)
                    written += 1
            if plan.then and self._wait():
                for change in plan.then:
                    if not self._request:
                        self._parts.write(change)
                        written += 1
        finally:
            if written < len(plan.changes):
                message(
                    f"Made {written} of {len(plan.changes)} changes: run the command again, or take"
                    " them back with --undo"
                )

    def _wait(self) -> bool:
        """Wait for the new route to take effect; return whether to continue."""
        seconds = self.options["wait"]
        message(
            f"Waiting {seconds:.0f} s for the new route to take effect. From then until the old one"
            " ends, which takes S3 and EventBridge minutes, events may come twice."
        )
        return self._pause(seconds)

    def _ended(self, report: Report, outcome: str) -> int:
        with opened(self.options["output"]) as file:
            write_report(file, report, self.options, outcome)
        return YES if outcome in ("unchanged", "changed") else NO


def _event_types(names: tuple[str, ...]) -> tuple[EventType, ...]:
    """Return the event types that names or patterns choose; without any, those of new objects.

    Raises:
        CommandError: There is no such type.
    """
    if not names:
        return CREATED
    chosen: dict[str, EventType] = {}
    for name in names:
        plain = name.removeprefix("s3:")
        matching = [kind for kind in EVENT_TYPES.values() if fnmatchcase(kind.name, plain)]
        for kind in matching or [event_type(name)]:
            chosen[kind.name] = kind
    return tuple(chosen.values())
