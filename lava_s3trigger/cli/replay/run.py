"""What the command `replay` does: plans, hands over, goes on, and reports."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
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
from .report import FATES, Report
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Handing:
    """How a plan is handed over."""

    via: str
    batch: int
    queue: str | None
    rate: float | None
    concurrency: int
    job_role: str | None
    job_files: str | None


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    selection = _selection(options)
    handing = Handing(**{name: options[name] for name in Handing.__slots__})
    _check(options, selection, handing)
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    deployment = find_function(aws, options["realm"], options["function"])
    name = f"{deployment.account}-{deployment.region}-{deployment.name}"
    path = Path(options["state"]) if options["state"] else default_path(name)
    state = ReplayState(path)
    try:
        session = _Session(state, selection, handing, aws, deployment, options)
        session.prepare()
        return session.finish()
    finally:
        state.close()


def _selection(options: dict[str, Any]) -> Selection:
    chosen_by = (
        "missing" if options["missing"] else "would-fire" if options["would_fire"] else "all"
    )
    given = {name: options[name] for name in Selection.__slots__ if name in options}
    return Selection(**given, chosen_by=chosen_by)


def _is_resumed(options: dict[str, Any]) -> bool:
    return any(options[name] for name in ("resume", "retry_failed", "resend_unknown"))


def _check(options: dict[str, Any], selection: Selection, handing: Handing) -> None:
    """Refuse options that do not go together, before anything is done."""
    if _is_resumed(options):
        given = "--restart" if options["restart"] else "--dry-run" if options["dry_run"] else ""
        if not selection.is_empty or given:
            raise CommandError(
                f"--resume goes on with the plan in the state file: leave out"
                f" {given or 'the objects'}, or leave out --resume, --retry-failed and"
                " --resend-unknown",
                WRONG_USAGE,
            )
    elif selection.is_empty:
        raise CommandError(
            "no objects: name s3://BUCKET/PREFIX, --inventory FILE or --keys FILE; or go on"
            " with an earlier replay with --resume",
            WRONG_USAGE,
        )
    selection.check(datetime.now(UTC))
    if handing.via == "s3-batch":
        if handing.rate is not None:
            raise CommandError(
                "--rate: S3 Batch Operations keeps no rate: leave it out, or use --via queue",
                WRONG_USAGE,
            )
        is_needed = not (options["dry_run"] or _is_resumed(options))
        if is_needed and not (handing.job_role and handing.job_files):
            raise CommandError(
                "--via s3-batch needs --job-role, the ARN of a role that the job works with,"
                " and --job-files, an S3 URI for its manifest and report",
                WRONG_USAGE,
            )
    if handing.job_files:
        Folder.read(handing.job_files)


class _Session:
    """One run of the command."""

    def __init__(  # noqa: PLR0913, PLR0917 - what one run has
        self,
        state: ReplayState,
        selection: Selection,
        handing: Handing,
        aws: Aws,
        deployment: DeployedFunction,
        options: dict[str, Any],
    ) -> None:
        self._state = state
        self._selection = selection
        self._handing = handing
        self._aws = aws
        self._deployment = deployment
        self._options = options
        self._made_entries: RealmEntries | None = None

    def prepare(self) -> None:
        """Have a plan in the state: the one that is there, or another.

        Raises:
            CommandError: There is none to go on with, or one that would be lost.
        """
        if self._state.left_over:
            message(
                f"Warning: {self._state.left_over:,} objects were being sent when the replay"
                " was killed: it is not known whether they arrived"
            )
        if _is_resumed(self._options):
            self._require_plan()
        elif not self._has_this_plan():
            self._require_finished()
            self._tell_of_repetition()
            self._plan()

    def _require_plan(self) -> None:
        if self._state.get("phase") not in (_PLANNED, _BEGUN):
            raise CommandError(
                f"{self._state.path}: there is no replay to go on with: name the objects,"
                " or the file of another replay with --state",
                WRONG_USAGE,
            )
        function = self._state.get("function")
        if function != self._deployment.arn:
            raise CommandError(
                f"{self._state.path}: this is a replay for {function}, not for"
                f" {self._deployment.arn}: name another --state, --realm or --function",
                WRONG_USAGE,
            )
        self._warn_of_changes()

    def _has_this_plan(self) -> bool:
        """Tell whether a dry run has made the plan that is asked for now."""
        if self._options["dry_run"] or self._options["restart"]:
            return False
        facts = (self._state.get("phase"), self._state.get("fingerprint"))
        wanted = (_PLANNED, self._selection.fingerprint)
        if facts != wanted or self._state.get("function") != self._deployment.arn:
            return False
        message(
            f"Sending the plan that a dry run made at {self._state.get('planned_at')};"
            " --restart makes another"
        )
        self._warn_of_changes()
        return True

    def _require_finished(self) -> None:
        if self._options["restart"] or self._state.get("phase") != _BEGUN:
            return
        for status, number in self._state.numbers().items():
            if number and status is not Status.SENT:
                raise CommandError(
                    f"{self._state.path}: of the replay before, {number:,} {FATES[status]};"
                    " --restart forgets them, --state names another file",
                    WRONG_USAGE,
                )

    def _tell_of_repetition(self) -> None:
        facts = (self._state.get("phase"), self._state.get("fingerprint"))
        if facts == (_BEGUN, self._selection.fingerprint) and not self._options["dry_run"]:
            message(
                f"Warning: the replay planned at {self._state.get('planned_at')} has sent these"
                " objects already; they are sent again"
            )

    def _plan(self) -> None:
        now = datetime.now(UTC)
        with interruptible():
            self._state.clear()
            self._state.note(phase=_PLANNING)
            Planner(
                self._state, self._selection, self._deployment, self._entries(), self._aws, now
            ).plan()
            self._state.note(
                phase=_PLANNED,
                fingerprint=self._selection.fingerprint,
                function=self._deployment.arn,
                planned_at=now.isoformat(timespec="seconds"),
                replay=uuid.uuid4().hex[:16],
            )

    def _entries(self) -> RealmEntries:
        if self._made_entries is None:
            settings = self._deployment.settings
            self._made_entries = read_entries((), (), settings.realm, self._aws, settings.max_delay)
        return self._made_entries

    def _warn_of_changes(self) -> None:
        """Warn where entries are not as they were when the plan was made."""
        changes = changed_entries(self._state.entries(), self._entries())
        for change in changes[:_MAX_CHANGES]:
            message(f"Warning: {change} since the plan was made; the function decides by it")
        if len(changes) > _MAX_CHANGES:
            message(f"Warning: and {len(changes) - _MAX_CHANGES} entries more")

    def finish(self) -> int:
        """Hand the plan over, unless it is a dry run; print what became of it."""
        if self._options["dry_run"]:
            self._print()
            return YES
        with ending_in_order() as request:
            stopped = self._hand_over(request)
            self._print()
            if stopped:
                raise CommandError(
                    f"{stopped}; nothing is lost: mend it, and go on with --resume",
                    COULD_NOT_TELL,
                )
            return self._status(request)

    def _status(self, request: Request) -> int:
        numbers = self._state.numbers()
        if request:
            message("Interrupted; go on with --resume")
        return YES if numbers[Status.SENT] == sum(numbers.values()) else NO

    def _hand_over(self, request: Request) -> str | None:
        """Hand over what is to be sent; return why it stopped before the end, if it did."""
        self._state.note(phase=_BEGUN)
        if self._options["retry_failed"]:
            self._state.send_again(Status.FAILED)
        if self._options["resend_unknown"]:
            self._state.send_again(Status.UNKNOWN)
        if self._state.get("job") or self._handing.via == "s3-batch":
            self._hand_over_by_job(lambda: bool(request))
            return None

        way = make_way(
            self._handing.via,
            self._aws,
            self._deployment,
            self._state.get("replay"),
            batch=self._handing.batch,
            queue=self._handing.queue,
        )
        number = self._state.numbers()[Status.TO_SEND]
        message(f"Sending {number:,} objects to {self._deployment.name}, by {self._handing.via}")
        with Progress("objects sent", number) as progress:
            replayer = Replayer(
                self._state,
                way,
                rate=self._handing.rate,
                concurrency=self._handing.concurrency,
                is_to_end=lambda: bool(request),
                progress=progress,
            )
            replayer.run()
        return replayer.stopped

    def _hand_over_by_job(self, is_to_end: Callable[[], bool]) -> None:
        batch = BatchReplay(self._state, self._aws, self._deployment, is_to_end)
        if not self._state.get("job"):
            if not (self._handing.job_role and self._handing.job_files):
                raise CommandError(
                    "--via s3-batch needs --job-role and --job-files for another job",
                    WRONG_USAGE,
                )
            batch.start(Folder.read(self._handing.job_files), self._handing.job_role)
        if self._state.get("job") and not batch.follow():
            message("The job goes on; --resume follows it")

    def _print(self) -> None:
        report = Report(self._state, self._deployment, self._options["dry_run"])
        with opened(self._options["output"]) as file:
            if self._options["format_"] == "json":
                report.write_json(file)
            else:
                report.write_text(file)
        sys.stderr.flush()
