"""The command `replay`: plans, hands over, resumes, and reports."""

from __future__ import annotations

import contextlib
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.entries.source import read_entries
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.signals import ending_in_order, interruptible
from lava_s3trigger.cli.output.streams import message, opened

from .batch_job import BatchReplay, Folder
from .plan import Planner, changed_entries
from .report import FATES, LEFT_OUT, Report, may_lack
from .selection import Selection
from .send import Replayer
from .state import ReplayState, Status, default_path
from .ways import make_way

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.cli.output.signals import Request


_PLANNING, _PLANNED, _BEGUN = "planning", "planned", "begun"
"""Phases of a replay."""
_MAX_CHANGES: Final = 10


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    chosen_by = (
        "missing" if options["missing"] else "would-fire" if options["would_fire"] else "all"
    )
    criteria = {name: options[name] for name in Selection.__slots__ if name in options}
    selection = Selection(**criteria, chosen_by=chosen_by)
    _check(options, selection)
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    deployment = find_function(aws, options["realm"], options["function"])
    _require_dispatching(deployment)
    name = f"{deployment.account}-{deployment.region}-{deployment.name}"
    path = Path(options["state"]) if options["state"] else default_path(name)
    with contextlib.closing(ReplayState(path)) as state:
        session = _Session(state, selection, aws, deployment, options)
        session.prepare()
        return session.finish()


def _require_dispatching(deployment: DeployedFunction) -> None:
    """Require that the function would dispatch.

    Raises:
        CommandError: It only observes, or cannot start.
    """
    if deployment.unusable:
        raise CommandError(
            f"{deployment.name} cannot start, as said above: correct its configuration, then replay"
        )
    if deployment.is_observing:
        raise CommandError(
            f"{deployment.name} only observes (S3TRIGGER_MODE=observe), and would dispatch nothing:"
            " name the function that dispatches with --function",
            WRONG_USAGE,
        )


def _is_resumed(options: dict[str, Any]) -> bool:
    return any(options[name] for name in ("resume", "retry_failed", "resend_unknown"))


def _check(options: dict[str, Any], selection: Selection) -> None:
    """Refuse options that exclude each other, before anything is done."""
    if _is_resumed(options):
        conflicting = (
            "--restart" if options["restart"] else "--dry-run" if options["dry_run"] else ""
        )
        if not selection.is_empty or conflicting:
            raise CommandError(
                f"--resume continues the plan in the state file: leave out"
                f" {conflicting or 'the objects'}, or leave out --resume, --retry-failed and"
                " --resend-unknown",
                WRONG_USAGE,
            )
    elif selection.is_empty:
        raise CommandError(
            "no objects: name s3://BUCKET/PREFIX, --inventory FILE or --keys FILE; or"
            " continue an earlier replay with --resume",
            WRONG_USAGE,
        )
    selection.check(datetime.now(UTC))
    if options["via"] == "s3-batch":
        if options["rate"] is not None:
            raise CommandError(
                "--rate: S3 Batch Operations keeps no rate: leave it out, or use --via queue",
                WRONG_USAGE,
            )
        is_needed = not (options["dry_run"] or _is_resumed(options))
        if is_needed and not (options["job_role"] and options["job_files"]):
            raise CommandError(
                "--via s3-batch needs --job-role, the ARN of a role that the job works with,"
                " and --job-files, an S3 URI for its manifest and report",
                WRONG_USAGE,
            )
    if options["job_files"]:
        Folder.read(options["job_files"])


@dataclass(frozen=True)
class _Session:
    """One run of the command."""

    state: ReplayState
    selection: Selection
    aws: Aws
    deployment: DeployedFunction
    options: dict[str, Any]

    @cached_property
    def entries(self) -> RealmEntries:
        """The entries that the function uses now."""
        settings = self.deployment.settings
        return read_entries((), (), settings.realm, self.aws, settings.max_delay)

    def prepare(self) -> None:
        """Make sure that the state has a plan: the existing one, or a new one.

        Raises:
            CommandError: There is no plan to resume, or an existing one would be lost.
        """
        state = self.state
        if state.left_over:
            message(
                f"Warning: {state.left_over:,} objects were being sent when the replay"
                " was killed: it is not known whether they arrived"
            )
        phase, planned_at = state.get("phase"), state.get("planned_at")
        is_same = state.get("fingerprint") == self.selection.fingerprint
        is_to_send = not self.options["dry_run"]
        if _is_resumed(self.options):
            self._require_plan(phase)
            self._warn_of_changes()
            return
        if not self.options["restart"]:
            is_of_function = state.get("function") == self.deployment.arn
            if phase == _PLANNED and is_same and is_of_function and is_to_send:
                if not may_lack(state.get("numbers") or {}):
                    again = "--restart makes another"
                    message(f"Sending the plan that was made at {planned_at}; {again}")
                    self._warn_of_changes()
                    return
                message(f"The plan of {planned_at} left out objects that may be missing by now")
            if phase == _BEGUN:
                self._require_finished()
        is_missing = self.selection.chosen_by == "missing"
        if phase == _BEGUN and is_same and is_to_send and not is_missing:
            message(
                f"Warning: the replay planned at {planned_at} has sent these objects already;"
                " they are sent again"
            )
        self._plan()

    def _require_plan(self, phase: str | None) -> None:
        if phase not in (_PLANNED, _BEGUN):
            raise CommandError(
                f"{self.state.path}: there is no replay to continue: name the objects,"
                " or the file of another replay with --state",
                WRONG_USAGE,
            )
        function = self.state.get("function")
        if function != self.deployment.arn:
            raise CommandError(
                f"{self.state.path}: this is a replay for {function}, not for"
                f" {self.deployment.arn}: name another --state, --realm or --function",
                WRONG_USAGE,
            )

    def _require_finished(self) -> None:
        for status, number in self.state.numbers().items():
            if number and status is not Status.SENT:
                raise CommandError(
                    f"{self.state.path}: of the replay before, {number:,} {FATES[status]};"
                    " --restart forgets them, --state names another file",
                    WRONG_USAGE,
                )

    def _plan(self) -> None:
        now = datetime.now(UTC)
        with interruptible():
            is_of_function = self.state.get("function") in (None, self.deployment.arn)
            forgets_all = self.options["restart"] or not is_of_function
            self.state.clear(now.timestamp(), forgets_all=forgets_all)
            self.state.note(phase=_PLANNING, function=self.deployment.arn)
            planner = self._planner(now)
            planner.plan(is_sent_next=not self.options["dry_run"])
            self.state.note(
                phase=_PLANNED,
                fingerprint=self.selection.fingerprint,
                planned_at=now.isoformat(timespec="seconds"),
                replay=uuid.uuid4().hex[:16],
            )
        if self.options["dry_run"]:
            for obstacle in planner.accounts.obstacles:
                message(f"Warning: {obstacle}")

    def _planner(self, now: datetime) -> Planner:
        return Planner(
            self.state,
            self.selection,
            self.deployment,
            self.entries,
            self.aws,
            now,
            intakes=[self.options["queue"]] if self.options["queue"] else [],
        )

    def _decide_again(self) -> None:
        """Leave out objects of a plan of missing objects that are explained by now.

        Raises:
            CommandError: Events are waiting that may concern its objects.
        """
        if self.state.get("chosen_by") != "missing" or self.state.get("job"):
            return
        statuses = [Status.TO_SEND]
        statuses += [Status.FAILED] if self.options["retry_failed"] else []
        statuses += [Status.UNKNOWN] if self.options["resend_unknown"] else []
        planned_at = self.state.get("planned_at")
        was_decided = self.state.get("log_read_at") is not None
        with interruptible():
            planner = self._planner(datetime.now(UTC))
            left_out = planner.decide_again(statuses)
        for name, number in left_out.items() if was_decided else ():
            message(f"Left out since the plan of {planned_at}: {number:,} {LEFT_OUT[name]}")
        redriven_at = planner.accounts.redriven_at
        if redriven_at and redriven_at >= datetime.fromisoformat(planned_at):
            message(
                f"Warning: dead letters may have been redriven since the plan of {planned_at};"
                " what the log has of them is left out"
            )
        numbers = self.state.numbers()
        if any(numbers[status] for status in statuses):
            self._require_clear(planner.accounts.obstacles)

    def _require_clear(self, obstacles: list[str]) -> None:
        is_despite = self.options["despite_waiting"]
        for obstacle in obstacles:
            message(f"{'Warning: ' if is_despite else ''}{obstacle}")
        if obstacles and not is_despite:
            raise CommandError(
                "objects that seem missing may be under way, as said above: nothing was sent. The"
                " same command again sends what is missing then; --despite-waiting does not wait"
            )

    def _warn_of_changes(self) -> None:
        """Warn if entries have changed since the plan was made."""
        changes = changed_entries(self.state.get("entries"), self.entries)
        for change in changes[:_MAX_CHANGES]:
            message(f"Warning: {change} since the plan was made; the function decides by it")
        if len(changes) > _MAX_CHANGES:
            message(f"Warning: and {len(changes) - _MAX_CHANGES} entries more")

    def finish(self) -> int:
        """Hand the plan over, unless it is a dry run; print the outcome."""
        if self.options["dry_run"]:
            self._print()
            return YES
        self._decide_again()
        with ending_in_order() as request:
            self._note_handing_over()
            stopped = self._hand_over(request)
            self._note_handing_over()
            self._print()
            if stopped:
                raise CommandError(
                    f"{stopped}; nothing is lost: fix the cause, and continue with --resume",
                    COULD_NOT_TELL,
                )
            if request:
                message("Interrupted; continue with --resume")
        numbers = self.state.numbers()
        return YES if numbers[Status.SENT] == sum(numbers.values()) else NO

    def _note_handing_over(self) -> None:
        self.state.note(phase=_BEGUN, handed_at=datetime.now(UTC).timestamp())

    def _hand_over(self, request: Request) -> str | None:
        """Hand the objects over; return why it stopped before the end, if it did."""
        if self.options["retry_failed"]:
            self.state.move(Status.FAILED, Status.TO_SEND)
        if self.options["resend_unknown"]:
            self.state.move(Status.UNKNOWN, Status.TO_SEND)
        if self.state.get("job") or self.options["via"] == "s3-batch":
            self._hand_over_by_job(lambda: bool(request))
            return None

        way = make_way(self.aws, self.deployment, self.state.get("replay"), self.options)
        number = self.state.numbers()[Status.TO_SEND]
        via = self.options["via"]
        message(f"Sending {number:,} objects to {self.deployment.name}, by {via}")
        with Progress("objects sent", number) as progress:
            replayer = Replayer(
                self.state,
                way,
                rate=self.options["rate"],
                concurrency=self.options["concurrency"],
                is_to_end=lambda: bool(request),
                progress=progress,
            )
            replayer.run()
        return replayer.stopped

    def _hand_over_by_job(self, is_to_end: Callable[[], bool]) -> None:
        batch = BatchReplay(self.state, self.aws, self.deployment, is_to_end)
        role, files = self.options["job_role"], self.options["job_files"]
        if not self.state.get("job"):
            if not (role and files):
                raise CommandError(
                    "--via s3-batch needs --job-role and --job-files for another job",
                    WRONG_USAGE,
                )
            batch.start(Folder.read(files), role)
        if self.state.get("job") and not batch.follow():
            message("The job continues; --resume follows it")

    def _print(self) -> None:
        report = Report(self.state, self.deployment, self.options["dry_run"])
        with opened(self.options["output"]) as file:
            if self.options["format_"] == "json":
                report.write_json(file)
            else:
                report.write_text(file)
        sys.stderr.flush()
