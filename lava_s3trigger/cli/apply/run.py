"""The command `apply`: compares, checks, shows, and then carries the changes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.check.public import check_entries
from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.entries.load import load_sound, read_table
from lava_s3trigger.cli.entries.memory import MemoryJobs, MemoryTriggers
from lava_s3trigger.cli.errors import NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.objects.uri import SCHEME
from lava_s3trigger.cli.output.confirmation import require_consent
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.signals import interruptible
from lava_s3trigger.cli.output.streams import message, opened
from lava_s3trigger.cli.output.text import named, styled
from lava_s3trigger.cli.plan.public import plan_of
from lava_s3trigger.cli.testing.public import run_cases_of
from lava_s3trigger.settings import Settings
from lava_s3trigger.triggers import WHOLE_BUCKET

from . import effects
from .difference import Change, Difference, after_changes, difference, set_of
from .report import Page, command_line
from .rollout import SHORT_SECONDS, Rollout
from .undo import read_changes, undoing
from .write import Table, condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lava_s3trigger.cli.entries.load import Entry, Loaded

    from .difference import Item

_MAX_PRUNED: Final = 0.2
"""The largest part of a set that `--prune` deletes."""


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    entries = [path for path in options["paths"] if not path.startswith(SCHEME)]
    _require_one_task(options)
    is_json = options["format_"] == "json"
    is_asked = not (options["is_sure"] or options["dry_run"])
    with interruptible(), opened(options["output"]) as file:
        page = Page(file, is_json, is_asked and bool(is_json or options["output"]))
        session = _Session(options, page)
        if options["undo"] is not None:
            status = session.undo()
        elif options["disable"]:
            status = session.disable()
        else:
            status = session.apply([*entries, *options["triggers"]])
        page.finish()
    return status


def _require_one_task(options: dict[str, Any]) -> None:
    if options["undo"] is not None and (options["disable"] or options["paths"]):
        raise CommandError("--undo takes neither files nor --disable", WRONG_USAGE)
    if options["disable"] and options["paths"]:
        raise CommandError("--disable takes no files: it changes the table", WRONG_USAGE)
    if options["disable"] and not (options["trigger"] or options["set_name"]):
        raise CommandError("--disable needs --set or --trigger", WRONG_USAGE)
    if options["trigger"] and not options["disable"]:
        raise CommandError("--trigger is for --disable only: name files", WRONG_USAGE)


@dataclass
class _Session:
    """One run of the command."""

    options: dict[str, Any]
    page: Page

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
        self._require_consent()
        with Progress("files read", after=SHORT_SECONDS) as files:
            loaded = load_sound([*paths, *options["jobs"]], "trigger", files.reach)
        triggers = _identified(loaded.of("trigger"))
        table = self._read_table()
        prunes = options["prune"] or options["prune_all"]
        wanted = difference(triggers, table, set_name, adopts=options["adopt"], prunes=prunes)
        self._show_difference(wanted)
        self._require_few_deleted(wanted, table)
        if not (wanted.changes or wanted.conflicts):
            return YES
        after = after_changes(table, wanted.changes)
        jobs = [*read_table(self._aws, self._realm, "job"), *loaded.of("job")]
        passes = self._passes(loaded, triggers, after, jobs)
        self._show_effects(wanted, table, after)
        self._show_plan(table, after, jobs)
        if wanted.conflicts or not passes:
            self.page.document["outcome"] = "refused"
            message("Refused: nothing was written.")
            return NO
        return self._carry_out(wanted, "Write these changes?")

    def disable(self) -> int:
        """Disable the entries of a set, or single ones."""
        self._require_consent()
        table = self._read_table()
        chosen = self._chosen(table)
        changes = [
            Change(str(entry.id), entry.item, {**entry.item, "enabled": {"BOOL": False}})
            for entry in chosen
            if effects.is_enabled(entry.item)
        ]
        wanted = Difference(changes, len(chosen) - len(changes))
        self._show_difference(wanted)
        if not wanted.changes:
            return self._with_conflicts(wanted, YES)
        disabled = [change.after for change in wanted.changes if change.after]
        after = effects.levels_of(entry.item for entry in after_changes(table, wanted.changes))
        self.page.show_hidden(effects.hidden_by_disabled(after, disabled))
        self.page.show([styled("Events are skipped until the entries are enabled again.")])
        if not self.options["dry_run"]:
            # Before it writes: an interrupted run has disabled some of them.
            self._show_replays(disabled, datetime.now(UTC))
        status = self._carry_out(wanted, "Disable these entries?")
        if self.page.document["outcome"] not in ("applied", "incomplete"):
            self.page.document.pop("replays", None)
        return self._with_conflicts(wanted, status)

    def undo(self) -> int:
        """Restore the entries that a run has replaced."""
        path = self.options["undo"]
        saved = read_changes(path)
        if self.options["realm"] not in (None, saved.realm):
            raise CommandError(
                f"{safe(path)} is of realm {saved.realm}: name no other one with --realm"
                " (LAVA_REALM)",
                WRONG_USAGE,
            )
        self.options["realm"] = saved.realm
        self._require_consent()
        if self._table.arn != saved.table_arn:
            raise CommandError(
                f"{safe(path)} is of the table {saved.table_arn}, and this is {self._table.arn}:"
                " name another --profile or --region",
                WRONG_USAGE,
            )
        wanted = undoing(saved, self._table)
        self._show_difference(wanted)
        status = self._carry_out(wanted, "Put these entries back?") if wanted.changes else YES
        return self._with_conflicts(wanted, status)

    # Used by the three methods above.

    @cached_property
    def _aws(self) -> Aws:
        return Aws(self.options["profile"], self.options["region"], self.options["endpoint_url"])

    @cached_property
    def _realm(self) -> str:
        if not self.options["realm"]:
            raise CommandError("no realm: name it with --realm (LAVA_REALM)", WRONG_USAGE)
        return str(self.options["realm"])

    @cached_property
    def _table(self) -> Table:
        return Table.of(self._aws, self._realm)

    @cached_property
    def _settings(self) -> Settings:
        """The settings of the function, or its defaults if they cannot be read."""
        try:
            return find_function(self._aws, self._realm, self.options["function"]).settings
        except CommandError as error:
            message(f"The function's settings are not known; its defaults are assumed: {error}")
            return Settings.from_env({"LAVA_REALM": self._realm})

    def _read_table(self) -> list[Entry]:
        return read_table(self._aws, self._realm, "trigger", is_consistent=True)

    def _require_consent(self) -> None:
        if not self.options["dry_run"]:
            require_consent("apply", "writes to the table", is_sure=self.options["is_sure"])

    def _carry_out(self, wanted: Difference, question: str) -> int:
        cache = self._settings.cache_ttl
        rollout = Rollout(self._aws, self._realm, self._table, cache, self.page, self.options)
        return rollout.carry_out(wanted.changes, question)

    def _with_conflicts(self, wanted: Difference, status: int) -> int:
        """Return an exit status that also reflects entries with conflicts."""
        if not wanted.conflicts:
            return status
        if self.page.document["outcome"] in ("applied", "unchanged"):
            self.page.document["outcome"] = "incomplete"
        return max(status, NO)

    def _require_few_deleted(self, wanted: Difference, table: Iterable[Entry]) -> None:
        deleted = sum(change.kind == "deleted" for change in wanted.changes)
        of_set = sum(set_of(entry.item) == self.options["set_name"] for entry in table)
        if deleted > _MAX_PRUNED * of_set and not self.options["prune_all"]:
            raise CommandError(
                f"--prune would delete {deleted} of the {of_set} entries of the set, more than a"
                " fifth: give --prune-all if that is meant",
                WRONG_USAGE,
            )

    def _passes(
        self, loaded: Loaded, triggers: list[Entry], after: list[Entry], jobs: list[Entry]
    ) -> bool:
        """Run check and test on the resulting table; return whether both pass."""
        ids = {trigger.id for trigger in triggers}
        others = [entry for entry in after if entry.id not in ids]
        max_delay = self._settings.max_delay
        with Progress("entries checked", after=SHORT_SECONDS) as progress:
            checked = check_entries(
                loaded,
                others,
                jobs,
                realm=self._realm,
                max_delay=max_delay,
                fail_on=self.options["fail_on"],
                progress=progress.reach,
            )
        self.page.document["findings"] = checked.as_json()
        self.page.show([*checked.lines(), styled(f"check: {checked.summary()}")])
        results = run_cases_of(
            triggers,
            MemoryTriggers([*others, *triggers], max_delay),
            MemoryJobs(jobs, f"lava.{self._realm}.jobs"),
            self._aws.region_name(),
            self.options["cases"],
        )
        self.page.document["cases"] = {"passed": results.passed, "failed": results.failed}
        if results.results:
            self.page.show(results.lines())
        return not checked.failing() and not results.failed

    def _show_difference(self, wanted: Difference) -> None:
        """Show the changes, and the conflicts that prevent others."""
        self.page.document |= {
            "realm": self._realm,
            "table": f"lava.{self._realm}.s3triggers",
            "set": self.options["set_name"],
        }
        large = [change for change in wanted.changes if condition(change.before).is_too_large]
        reason = "the entry in the table has too many fields to be compared"
        wanted.conflicts += [(change.trigger_id, reason) for change in large]
        wanted.changes = effects.in_order(
            change for change in wanted.changes if change not in large
        )
        set_name = self.options["set_name"]
        table = f"lava.{self._realm}.s3triggers"
        self.page.show_difference(wanted, f"{table}, set {named(set_name)}" if set_name else table)

    def _show_effects(self, wanted: Difference, table: list[Entry], after: list[Entry]) -> None:
        """Show the effects of the changes on other entries."""
        before_levels = effects.levels_of(entry.item for entry in table)
        after_levels = effects.levels_of(entry.item for entry in after)
        self.page.show_hidden(
            effects.hidden(before_levels, after_levels), effects.freed(before_levels, after_levels)
        )
        writing = self._table.capacity.total_seconds(wanted.changes)
        handovers = effects.handovers(wanted.changes)
        self.page.show_handovers(handovers, writing + self._settings.cache_ttl)

    def _show_plan(self, table: list[Entry], after: list[Entry], jobs: list[Entry]) -> None:
        """Show which entries gain or lose dispatches, for the objects that options name."""
        planned = plan_of(
            table,
            after,
            jobs,
            realm=self._realm,
            options=self.options,
            listings=[path for path in self.options["paths"] if path.startswith(SCHEME)],
            aws=self._aws,
        )
        if planned:
            self.page.document["plan"] = planned.as_json()
            self.page.show(planned.lines())

    def _chosen(self, table: Iterable[Entry]) -> list[Entry]:
        """Return the entries that options name, or those of the set.

        Raises:
            CommandError: An entry does not exist, or there is none.
        """
        ids, set_name = set(self.options["trigger"]), self.options["set_name"]
        chosen = [
            entry for entry in table if (entry.id in ids if ids else set_of(entry.item) == set_name)
        ]
        missing = ids - {str(entry.id) for entry in chosen}
        if missing or not chosen:
            what = ", ".join(map(named, sorted(missing))) or f"of the set {named(set_name)}"
            raise CommandError(f"there is no entry {what} in lava.{self._realm}.s3triggers")
        return chosen

    def _show_replays(self, disabled: Iterable[Item], start: datetime) -> None:
        """Show the command that recovers the events that the function skips meanwhile."""
        uris = {
            f"s3://{bucket}/{'' if prefix == WHOLE_BUCKET else prefix}"
            for bucket, prefix in {effects.level_of(item) for item in disabled}
        }
        # A listing of a prefix includes the objects below a longer one.
        shortest = [
            uri
            for uri in sorted(uris)
            if not any(uri.startswith(prefix) for prefix in uris - {uri})
        ]
        since = ("--since", f"{start:%Y-%m-%dT%H:%M:%SZ}", "--missing", "--realm", self._realm)
        command = command_line(self.options, "replay", *shortest, *since)
        self.page.document["replays"] = [command]
        # `replay --missing` leaves out younger objects, since the log comes late.
        text = "15 minutes after they are enabled again, this recovers new objects of the meantime:"
        self.page.show([styled(text), styled(f"  {command}")])


def _identified(triggers: list[Entry]) -> list[Entry]:
    """Return entries; raise an error if one has no key, or the id of another one.

    Raises:
        CommandError: The table or its index cannot store them.
    """
    memory = MemoryTriggers(triggers)
    for entry in memory.unindexed:
        raise CommandError(
            f"{entry.source}: trigger_id, bucket and prefix must be texts that are not empty"
        )
    for entry in memory.replaced:
        raise CommandError(f"{entry.source}: another entry has the trigger_id {entry.id!a} as well")
    return triggers
