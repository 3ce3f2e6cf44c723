"""Carries changes out: asks, saves the replaced entries, writes, and reads back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.function import function_name
from lava_s3trigger.cli.deployed.realm import Deployment, UnreadableError
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, YES, CommandError
from lava_s3trigger.cli.output.confirmation import is_confirmed
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.streams import message
from lava_s3trigger.cli.output.text import styled
from lava_s3trigger.cli.output.times import shown_time
from lava_s3trigger.cli.routes.route import carriers, routes
from lava_s3trigger.triggers import Trigger, read_trigger

from . import report
from .effects import is_enabled, level_of
from .undo import save_changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lava_s3trigger.cli.deployed.aws import Aws

    from .difference import Change
    from .report import Page
    from .write import Table

MAX_NAMED: Final = 3
"""Entries of an unconnected bucket that are named at most."""
SHORT_SECONDS: Final = 2.0
"""Shorter work shows no progress."""

_Reasons = list[tuple[str, str]]
"""Trigger ids, each with a reason."""


@dataclass(frozen=True)
class Rollout:
    """Carries changes out."""

    aws: Aws
    realm: str
    table: Table
    cache_seconds: float
    """How long the function caches entries."""
    page: Page
    options: dict[str, Any]

    def carry_out(self, changes: list[Change], question: str) -> int:
        """Ask, save the replaced entries, write, and read back; return the exit status.

        Raises:
            CommandError: AWS refuses a call, or the replaced entries cannot be saved.
        """
        capacity, document = self.table.capacity, self.page.document
        document["write_seconds"] = capacity.total_seconds(changes)
        document["cache_seconds"] = self.cache_seconds
        self.page.show([report.writing_line(changes, capacity)])
        if self.options["dry_run"]:
            document["outcome"] = "would_change"
            return NO
        if not is_confirmed(question, is_sure=self.options["is_sure"]):
            document["outcome"] = "declined"
            message("Nothing was written.")
            return NO
        saved = save_changes(self.realm, self.table.arn, changes)
        document["saved"] = str(saved)
        undo = report.command_line(self.options, "apply", "--undo", str(saved))
        message(f"What is replaced is saved. To undo: {undo}")
        written, left = self._write(changes)
        return self._finish(written, left)

    def _write(self, changes: list[Change]) -> tuple[list[Change], _Reasons]:
        """Write changes; return the written ones, and the others with the reason."""
        written: list[Change] = []
        left: _Reasons = []
        try:
            with Progress("entries written", len(changes), after=SHORT_SECONDS) as progress:
                for change in changes:
                    reason = self.table.write(change)
                    if reason is None:
                        written.append(change)
                    else:
                        left.append((change.trigger_id, reason))
                    progress.advance(1)
        except BaseException:
            message(
                f"{len(written):,} of {len(changes):,} entries are known to be written,"
                " each of them whole; run the same command again to continue"
            )
            raise
        return written, left

    def _finish(self, written: list[Change], left: _Reasons) -> int:
        """Read the written entries back, and show the outcome of all changes."""
        unconfirmed = list(self.table.read_back(written))
        self.page.show(report.left_lines([*left, *unconfirmed]))
        self.page.document |= {
            "outcome": "incomplete" if left or unconfirmed else "applied",
            "left": report.pairs_json(left),
            "unconfirmed": report.pairs_json(unconfirmed),
        }
        if written:
            self._show_seen(len(written) - len(unconfirmed))
            self._show_unconnected(written)
        if unconfirmed:
            return COULD_NOT_TELL
        return NO if left else YES

    def _show_seen(self, number: int) -> None:
        """Show when the function will use the written entries."""
        cache = self.cache_seconds
        seen = datetime.now(UTC) + timedelta(seconds=cache)
        self.page.document["seen_at"] = shown_time(seen)
        when = (
            f"from {seen:%H:%M:%S} UTC on at the latest: its cache lasts {cache:g} s, and longer"
            " only while DynamoDB throttles its reads"
            if cache
            else "from now on: it has no cache"
        )
        text = f"{number:,} written, and read back from the table and its index."
        self.page.show([styled(f"{text} The function uses them {when}.")])

    def _show_unconnected(self, written: Iterable[Change]) -> None:
        """Show the buckets that have events without a route to the function."""
        items = [change.after for change in written if change.after and is_enabled(change.after)]
        buckets: dict[str, list[Trigger]] = {}
        for item in items:
            trigger = read_trigger(item)
            if isinstance(trigger, Trigger):
                buckets.setdefault(level_of(item)[0], []).append(trigger)
        name = self.options["function"] or function_name(self.realm)
        deployed = Deployment(self.aws, self.realm, name)
        for bucket, triggers in sorted(buckets.items()):
            try:
                affected = unconnected(deployed, bucket, triggers)
            except (UnreadableError, CommandError) as error:
                reason = f"{error.action} denied" if isinstance(error, UnreadableError) else error
                message(f"The connection of bucket {bucket} was not looked at: {reason}")
                continue
            if not affected:
                continue
            words = ("connect", bucket, "--realm", self.realm)
            command = report.command_line(self.options, *words)
            names = [trigger.trigger_id for trigger in affected]
            self.page.document["unconnected"].append(
                {"bucket": bucket, "trigger_ids": names, "command": command}
            )
            more = len(names) - MAX_NAMED
            named = ", ".join(names[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")
            text = (
                f"Bucket {bucket} does not send all events of {named} to the"
                f" function. To connect it: {command}"
            )
            self.page.show([styled(text)])


def unconnected(deployed: Deployment, bucket: str, triggers: Iterable[Trigger]) -> list[Trigger]:
    """Return the entries of a bucket that have events without a route to the function.

    Raises:
        UnreadableError: AWS refuses to show a route.
        CommandError: AWS cannot be reached.
    """
    existing = routes(deployed, bucket)
    return [trigger for trigger in triggers if not all(carriers(existing, trigger).values())]
