"""What the command `apply` does: compares, checks, shows, asks, writes, and reads back."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.check.public import check_entries
from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.entries.load import load_sound, read_table
from lava_s3trigger.cli.entries.memory import MemoryJobs, MemoryTriggers
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.uri import SCHEME
from lava_s3trigger.cli.output.confirmation import is_confirmed, require_consent
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.signals import interruptible
from lava_s3trigger.cli.output.streams import message, opened, write_json
from lava_s3trigger.cli.output.text import named, styled, write_page
from lava_s3trigger.cli.output.times import shown_time
from lava_s3trigger.cli.plan.public import plan_of
from lava_s3trigger.cli.testing.public import run_cases_of
from lava_s3trigger.settings import Settings
from lava_s3trigger.triggers import WHOLE_BUCKET

from . import effects, report
from .difference import Change, Difference, after_changes, difference, in_order, set_of
from .undo import read_changes, save_changes, undoing
from .write import Table, condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from lava_s3trigger.cli.entries.load import Entry, Loaded
    from lava_s3trigger.cli.output.text import Line

    from .difference import Item

_SHORT_SECONDS: Final = 2.0
"""Work that takes less shows no progress."""
_MAX_PRUNED: Final = 0.2
"""Part of a set that `--prune` deletes at most."""


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    entries = [each for each in options["paths"] if not each.startswith(SCHEME)]
    listings = [each for each in options["paths"] if each.startswith(SCHEME)]
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    with interruptible(), opened(options["output"]) as file:
        session = _Session(aws, options, file, listings)
        if options["undo"] is not None:
            status = session.undo()
        elif options["disable"]:
            status = session.disable(entries)
        else:
            status = session.apply([*entries, *options["triggers"]])
        if options["format_"] == "json":
            write_json(file, session.document)
    return status


@dataclass
class _Session:
    """One run of the command."""

    aws: Aws
    options: dict[str, Any]
    file: TextIO
    listings: Sequence[str]
    document: dict[str, Any] = field(default_factory=report.empty_document)

    def apply(self, paths: Sequence[str]) -> int:
        """Put entries of files into the table."""
        options, set_name = self.options, self.options["set_name"]
        if not paths:
            raise CommandError("no entries: name files or folders", WRONG_USAGE)
        if not set_name:
            raise CommandError(
                "no set: name the set of these entries with --set, or in the configuration file",
                WRONG_USAGE,
            )
        self._require_consent("writes to the table")
        with Progress("files read", after=_SHORT_SECONDS) as files:
            loaded = load_sound([*paths, *options["jobs"]], "trigger", files.reach)
        triggers = _identified(loaded.of("trigger"))
        table = read_table(self.aws, self._realm, "trigger", is_consistent=True)
        found = difference(
            triggers,
            table,
            set_name,
            adopts=options["adopt"],
            prunes=options["prune"] or options["prune_all"],
        )
        self._require_few_deleted(found, table)
        if not (found.changes or found.conflicts):
            self._show_difference(found)
            return YES
        is_refused = self._show_difference(found)
        after = after_changes(table, found.changes)
        jobs = [*read_table(self.aws, self._realm, "job"), *loaded.of("job")]
        is_refused |= not self._passes(loaded, triggers, after, jobs)
        self._show_effects(found, table, after)
        self._show_plan(table, after, jobs)
        if is_refused:
            self.document["outcome"] = "refused"
            message("Refused: nothing was written.")
            return NO
        return self._carry_out(found, "Write these changes?")

    def disable(self, paths: Sequence[str]) -> int:
        """Disable the entries of a set, or single ones."""
        ids, set_name = set(self.options["trigger"]), self.options["set_name"]
        if paths:
            raise CommandError("--disable takes no files: it changes the table", WRONG_USAGE)
        if not (ids or set_name):
            raise CommandError("--disable needs --set or --trigger", WRONG_USAGE)
        self._require_consent("writes to the table")
        table = read_table(self.aws, self._realm, "trigger", is_consistent=True)
        chosen = [
            each for each in table if (each.id in ids if ids else set_of(each.item) == set_name)
        ]
        missing = ids - {str(each.id) for each in chosen}
        if missing or not chosen:
            what = ", ".join(map(named, sorted(missing))) or f"of the set {named(set_name)}"
            raise CommandError(f"there is no entry {what} in lava.{self._realm}.s3triggers")
        off = {"enabled": {"BOOL": False}}
        changes = [
            Change(str(each.id), each.item, {**each.item, **off})
            for each in chosen
            if effects.is_enabled(each.item)
        ]
        found = Difference(in_order(changes), len(chosen) - len(changes))
        self._show_difference(found)
        if not changes:
            return YES
        disabled = [change.after for change in changes if change.after]
        after = effects.levels_of(each.item for each in after_changes(table, changes))
        self._show_hidden(effects.hidden_by_disabled(after, disabled), [])
        self._show([styled("Events are skipped until the entries are enabled again.")])
        start = datetime.now(UTC).replace(microsecond=0)
        status = self._carry_out(found, "Disable these entries?")
        if self.document["outcome"] in ("applied", "incomplete"):
            self._show_replays(disabled, start)
        return status

    def undo(self) -> int:
        """Put back what a run has replaced."""
        saved = read_changes(self.options["undo"])
        if self.options["realm"] not in (None, saved.realm):
            raise CommandError(
                f"{safe(self.options['undo'])} is of realm {saved.realm}: leave --realm out",
                WRONG_USAGE,
            )
        self.options["realm"] = saved.realm
        self._require_consent("writes to the table")
        if self._table.arn != saved.table_arn:
            raise CommandError(
                f"{safe(self.options['undo'])} is of the table {saved.table_arn}, and this is"
                f" {self._table.arn}: name another --profile or --region",
                WRONG_USAGE,
            )
        found = undoing(saved, self._table)
        self._show_difference(found)
        status = self._carry_out(found, "Put these entries back?") if found.changes else YES
        return max(status, NO) if found.conflicts else status

    # What all three do.

    @cached_property
    def _realm(self) -> str:
        if not self.options["realm"]:
            raise CommandError("no realm: name it with --realm (LAVA_REALM)", WRONG_USAGE)
        return str(self.options["realm"])

    @cached_property
    def _table(self) -> Table:
        return Table.of(self.aws, self._realm)

    @cached_property
    def _settings(self) -> Settings:
        """The settings of the function; its defaults where they cannot be read."""
        try:
            return find_function(self.aws, self._realm, self.options["function"]).settings
        except CommandError as error:
            message(f"The function's settings are not known; its defaults are assumed: {error}")
            return Settings.from_env({"LAVA_REALM": self._realm})

    def _require_consent(self, action: str) -> None:
        if not self.options["dry_run"]:
            require_consent("apply", action, is_sure=self.options["is_sure"])

    def _require_few_deleted(self, found: Difference, table: Iterable[Entry]) -> None:
        deleted = sum(each.kind == "deleted" for each in found.changes)
        of_set = sum(set_of(each.item) == self.options["set_name"] for each in table)
        if deleted > _MAX_PRUNED * of_set and not self.options["prune_all"]:
            raise CommandError(
                f"--prune would delete {deleted} of the {of_set} entries of the set, more than a"
                " fifth: give --prune-all if that is meant",
                WRONG_USAGE,
            )

    def _passes(
        self, loaded: Loaded, triggers: list[Entry], after: list[Entry], jobs: list[Entry]
    ) -> bool:
        """Run check and test on the table as it would be; return whether both pass."""
        ids = {each.id for each in triggers}
        others = [each for each in after if each.id not in ids]
        max_delay = self._settings.max_delay
        with Progress("entries checked", after=_SHORT_SECONDS) as progress:
            checked = check_entries(
                loaded,
                others,
                jobs,
                realm=self._realm,
                max_delay=max_delay,
                fail_on=self.options["fail_on"],
                progress=progress.reach,
            )
        self.document["findings"] = checked.as_json()
        self._show([*checked.lines(), styled(f"check: {checked.summary()}")])
        results = run_cases_of(
            triggers,
            MemoryTriggers([*others, *triggers], max_delay),
            MemoryJobs(jobs, f"lava.{self._realm}.jobs"),
            self.aws.region_name(),
            self.options["cases"],
        )
        self.document["cases"] = {"passed": results.passed, "failed": results.failed}
        self._show(results.lines())
        return not checked.failing() and not results.failed

    def _show_effects(self, found: Difference, table: list[Entry], after: list[Entry]) -> None:
        """Show what the changes do to other entries."""
        before_levels = effects.levels_of(each.item for each in table)
        after_levels = effects.levels_of(each.item for each in after)
        self._show_hidden(
            effects.hidden(before_levels, after_levels), effects.freed(before_levels, after_levels)
        )
        twice = effects.twice(found.changes)
        writing = self._table.capacity.total_seconds(found.changes)
        self.document["twice"] = [each._asdict() for each in twice]
        self._show(report.twice_lines(twice, writing, self._settings.cache_ttl))

    def _show_hidden(self, hidden: list[effects.Effect], freed: list[effects.Effect]) -> None:
        self.document["hidden"] = [each._asdict() for each in hidden]
        self.document["freed"] = [each._asdict() for each in freed]
        self._show(report.effect_lines(hidden, freed))

    def _show_plan(self, table: list[Entry], after: list[Entry], jobs: list[Entry]) -> None:
        planned = plan_of(
            table,
            after,
            jobs,
            realm=self._realm,
            options=self.options,
            listings=self.listings,
            aws=self.aws,
        )
        if planned:
            self.document["plan"] = planned.as_json()
            self._show(planned.lines())

    def _show_difference(self, found: Difference) -> bool:
        """Show what changes, and what is in the way; return whether something is."""
        large = [each for each in found.changes if condition(each.before).is_too_large]
        if large:
            found.conflicts += [
                (each.trigger_id, "the entry in the table has too many fields to be compared")
                for each in large
            ]
            found.changes = [each for each in found.changes if each not in large]
        deleted = {each.trigger_id for each in found.changes if each.kind == "deleted"}
        self.document |= {
            "realm": self._realm,
            "table": f"lava.{self._realm}.s3triggers",
            "set": self.options["set_name"],
            "changes": [report.change_json(each) for each in found.changes],
            "unchanged": found.unchanged,
            "gone": [each.id for each in found.gone if each.id not in deleted],
            "conflicts": report.pairs_json(found.conflicts),
        }
        self._show(report.difference_lines(found))
        self._show(report.conflict_lines(found.conflicts))
        return bool(found.conflicts)

    def _carry_out(self, found: Difference, question: str) -> int:
        """Ask, save what is replaced, write, and read back; return the exit status."""
        capacity, changes = self._table.capacity, found.changes
        self.document["write_seconds"] = capacity.total_seconds(changes)
        self.document["cache_seconds"] = self._settings.cache_ttl
        self._show([report.writing_line(changes, capacity)])
        if self.options["dry_run"]:
            self.document["outcome"] = "would_change"
            return NO
        if not is_confirmed(question, is_sure=self.options["is_sure"]):
            self.document["outcome"] = "declined"
            message("Nothing was written.")
            return NO
        saved = save_changes(self._realm, self._table.arn, changes)
        self.document["saved"] = str(saved)
        undo = shlex.join(["lava-s3trigger", "apply", "--undo", str(saved)])
        message(f"What is replaced is saved. To undo: {undo}")
        written, left = self._write(changes)
        return self._finish(written, left)

    def _write(self, changes: list[Change]) -> tuple[list[Change], list[tuple[str, str]]]:
        """Write changes; return those that were written, and the others with the reason."""
        written: list[Change] = []
        left: list[tuple[str, str]] = []
        try:
            with Progress("entries written", len(changes), after=_SHORT_SECONDS) as progress:
                for change in changes:
                    reason = self._table.write(change)
                    if reason is None:
                        written.append(change)
                    else:
                        left.append((change.trigger_id, reason))
                    progress.advance(1)
        except BaseException:
            message(
                f"{len(written):,} of {len(changes):,} entries were written, each of them whole;"
                " the same command again goes on"
            )
            raise
        return written, left

    def _finish(self, written: list[Change], left: list[tuple[str, str]]) -> int:
        """Read back what was written, and show what became of all changes."""
        with Progress("entries read back", len(written), after=_SHORT_SECONDS) as progress:
            unconfirmed = list(self._table.read_back(written, progress.advance))
        self._show(report.conflict_lines([*left, *unconfirmed]))
        self.document |= {
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
        """Show when the function uses what was written."""
        cache = self._settings.cache_ttl
        seen = datetime.now(UTC) + timedelta(seconds=cache)
        self.document["seen_at"] = shown_time(seen)
        when = (
            f"from {seen:%H:%M:%S} UTC on at the latest: its cache lasts {cache:g} s, and longer"
            " only while DynamoDB throttles its reads"
            if cache
            else "from now on: it has no cache"
        )
        text = f"{number:,} written, and read back from the table and its index."
        self._show([styled(f"{text} The function uses them {when}.")])

    def _show_unconnected(self, written: Iterable[Change]) -> None:
        """Name the buckets of enabled entries from which no event reaches the function."""
        items = [each.after for each in written if each.after and effects.is_enabled(each.after)]
        for bucket in sorted({effects.level_of(item)[0] for item in items}):
            if unconnected(self.aws, bucket):
                command = shlex.join(["lava-s3trigger", "connect", bucket, "--realm", self._realm])
                self.document["unconnected"].append({"bucket": bucket, "command": command})
                self._show([styled(f"Bucket {bucket} sends no events. To connect it: {command}")])

    def _show_replays(self, disabled: Iterable[Item], start: datetime) -> None:
        """Show the commands that recover the events that are skipped."""
        uris = sorted(
            f"s3://{bucket}/{'' if prefix == WHOLE_BUCKET else prefix}"
            for bucket, prefix in {effects.level_of(item) for item in disabled}
        )
        options = ["--since", f"{start:%Y-%m-%dT%H:%M:%SZ}", "--missing", "--realm", self._realm]
        command = shlex.join(["lava-s3trigger", "replay", *uris, *options])
        self.document["replays"] = [command]
        self._show(
            [styled("When they are enabled again, this recovers new objects of the meantime:")]
        )
        self._show([styled(f"  {command}")])

    def _show(self, lines: Iterable[Line]) -> None:
        """Show text: where the data goes, and where a question is asked about it."""
        found = list(lines)
        if self.options["format_"] == "text":
            write_page(self.file, found)
            self.file.flush()
        is_asked = not (self.options["is_sure"] or self.options["dry_run"])
        if is_asked and (self.options["format_"] == "json" or self.options["output"]):
            write_page(sys.stderr, found)


def unconnected(aws: Aws, bucket: str) -> bool:
    """Return whether a bucket sends no events at all; False also where that cannot be read."""
    try:
        client = aws.client("s3")
        with reaching_aws():
            found = client.get_bucket_notification_configuration(Bucket=bucket)
    except CommandError as error:
        message(f"The connection of bucket {bucket} was not looked at: {error}")
        return False
    return not (found.keys() - {"ResponseMetadata"})


def _identified(triggers: list[Entry]) -> list[Entry]:
    """Return entries; raise an error if one has no key, or another one's id.

    Raises:
        CommandError: The table or its index cannot hold them.
    """
    found = MemoryTriggers(triggers)
    for entry in found.unindexed:
        raise CommandError(
            f"{entry.source}: trigger_id, bucket and prefix must be texts that are not empty"
        )
    for entry in found.replaced:
        raise CommandError(f"{entry.source}: another entry has the trigger_id {entry.id!a} as well")
    return triggers
