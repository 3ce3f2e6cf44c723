"""The command `dead-letters`: lists messages, redrives them, or deletes them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.dead_letter_queues import (
    INTAKE,
    OWN,
    DeadLetterQueue,
    MissingQueueError,
    chosen_by,
    dead_letter_queue_names,
)
from lava_s3trigger.cli.deployed.function import find_function, options_of
from lava_s3trigger.cli.entries.source import read_entries
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.output.confirmation import is_confirmed, require_consent
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.signals import ending_in_order
from lava_s3trigger.cli.output.streams import message, opened, write_json

from .fates import COMES_BACK, DELETED, OBSERVING, Fates
from .listing import Listing, Reading
from .redrive import Pace, Redrive, find_mapping, is_on, is_without_messages, move, settled_number
from .saved import SavedFile, save

if TYPE_CHECKING:
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.cli.output.signals import Request

    from .fates import Fate

_EXTRA_SECONDS: Final = 10


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    action = options["action"]
    if (action == "restore") != (options["file"] is not None):
        raise CommandError("restore takes the file that discard wrote, no other does", WRONG_USAGE)
    if options["explain"] and action not in ("list", "redrive"):
        raise CommandError(f"--explain is about redriving: leave it out, or {action}", WRONG_USAGE)
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    deployment = find_function(aws, options["realm"], options["function"])
    with ending_in_order() as request:
        session = _Session(aws, deployment, options, request)
        actions = {
            "list": session.show,
            "redrive": session.show if options["explain"] else session.redrive,
            "discard": session.discard,
            "restore": session.restore,
        }
        return actions[action]()


@dataclass(frozen=True, eq=False)
class _Session:
    """One run of the command."""

    aws: Aws
    deployment: DeployedFunction
    options: dict[str, Any]
    request: Request

    @cached_property
    def _sqs(self) -> Any:
        return self.aws.client("sqs")

    @cached_property
    def _entries(self) -> RealmEntries:
        settings = self.deployment.settings
        return read_entries((), (), settings.realm, self.aws, settings.max_delay)

    @cached_property
    def _queues(self) -> dict[str, DeadLetterQueue]:
        """The chosen queues, by their owner: the function or the intake queue."""
        wanted = self.options["queue"]
        queues = {}
        for whose, name in dead_letter_queue_names(self.deployment).items():
            if wanted in (None, whose):
                try:
                    queues[whose] = DeadLetterQueue(self._sqs, name, self.deployment.region)
                except MissingQueueError:
                    # A stack may have no intake queue.
                    if wanted or whose == OWN:
                        raise
        return queues

    def _say_whether_mapping_is_on(self) -> None:
        """Report if the mapping of the function's own queue is on, or if that is unknown."""
        if OWN not in self._queues:
            return
        queue = self._queues[OWN]
        try:
            mapping = find_mapping(self.aws.client("lambda"), self.deployment.arn, queue)
        except CommandError as error:
            message(f"not known whether the mapping of {queue.name} is on: {error}")
            return
        if is_on(mapping):
            message(self._mapping_is_on(queue, mapping))

    def _mapping_is_on(self, queue: DeadLetterQueue, mapping: dict[str, Any]) -> str:
        return (
            f"the mapping of {queue.name} is on: a redrive is running, or was killed. If none is"
            " running, turn it off: aws lambda update-event-source-mapping --no-enabled"
            f" --region {self.deployment.region} --uuid {mapping['UUID']}"
        )

    def _read(self, queue: DeadLetterQueue, stack: ExitStack) -> Reading:
        """Read the messages of a queue; the exit stack releases them."""
        chooses = chosen_by(self.options["trigger"], self.options["reason"])
        reading = Reading(queue)
        stack.callback(queue.release, reading.others)
        stack.callback(queue.release, reading.chosen)
        for letter in queue.read():
            (reading.chosen if chooses(letter) else reading.others).append(letter)
            if self.request:
                return reading
        reading.note_hidden(datetime.now(UTC))
        return reading

    def show(self) -> int:
        """List messages; with --explain, with the fate of each."""
        self._say_whether_mapping_is_on()
        with ExitStack() as stack:
            readings = [self._read(queue, stack) for queue in self._queues.values()]
        fates: dict[str, Fate] = {}
        if self.options["explain"]:
            decider = Fates(self._sqs, self.deployment, self._entries)
            letters = [letter for reading in readings for letter in reading.chosen]
            fates = {letter.message_id: decider.of(letter) for letter in letters}
        listing = Listing(self.deployment.realm, readings, self._owner, fates)
        with opened(self.options["output"]) as file:
            if self.options["format_"] == "json":
                write_json(file, listing.document())
            else:
                file.writelines(safe(line) + "\n" for line in listing.lines())
        is_hidden = any(reading.hidden for reading in readings)
        if self.options["explain"]:
            left = sum(_summarized(reading, fates) for reading in readings)
            left = left if self.options["action"] == "redrive" else len(listing.letters)
            return NO if left or is_hidden else YES
        if listing.letters:
            options = options_of(self.deployment.realm, self.deployment.name)
            message(
                f"When the cause is fixed: lava-s3trigger dead-letters redrive {options}; with"
                " --explain it says first what would happen to each"
            )
        return NO if listing.letters or is_hidden else YES

    def _owner(self, trigger_id: str | None) -> str | None:
        entry = self._entries.triggers.by_id.get(trigger_id or "")
        return entry.text("owner") if entry else None

    def redrive(self) -> int:
        """Redrive messages."""
        is_choice = self.options["trigger"] or self.options["reason"]
        if self.options["queue"] == INTAKE and is_choice:
            raise CommandError(
                "--trigger and --reason: SQS moves all messages of the intake's queue: leave"
                " them out",
                WRONG_USAGE,
            )
        if self.deployment.settings.mode == "observe":
            raise CommandError(f"{self.deployment.name}: {OBSERVING}; redrive when it dispatches")
        left = 0
        if OWN in self._queues:
            left += self._redrive_own(self._queues[OWN], is_choice=bool(is_choice))
        if INTAKE in self._queues and not is_choice and not self.request:
            left += self._redrive_intake(self._queues[INTAKE])
        return NO if left else YES

    @property
    def _pace(self) -> Pace:
        quiet, usual = self.options["quiet"], Pace()
        return usual if quiet is None else Pace(settle=min(quiet, usual.settle))

    def _redrive_own(self, queue: DeadLetterQueue, *, is_choice: bool) -> int:
        """Redrive messages of the function's own queue; return how many are left."""
        client = self.aws.client("lambda")
        mapping = find_mapping(client, self.deployment.arn, queue)
        if is_on(mapping):
            raise CommandError(self._mapping_is_on(queue, mapping), COULD_NOT_TELL)
        with ExitStack() as stack:
            reading = self._read(queue, stack)
            chosen, hidden = reading.chosen, reading.hidden
            if self.request:
                return 0
            if hidden and is_choice and chosen:
                raise CommandError(
                    f"{queue.name}: {reading.hidden_text} at the latest: they may not be of your"
                    " choice, and would be redriven too: run this again then"
                )
            if not chosen:
                more = f" now; {reading.hidden_text} at the latest" if hidden else ""
                message(f"{queue.name}: nothing to redrive{more}")
                return hidden
            stack.pop_all()  # released by the redrive
        quiet = self.options["quiet"]
        if quiet is None:
            quiet = self.deployment.configuration.get("Timeout", 60) + _EXTRA_SECONDS
        message(f"Redriving {len(chosen):,} messages of {queue.name}")
        if hidden:
            message(
                f"{queue.name}: {reading.hidden_text} at the latest: they are redriven too if they"
                " can be received meanwhile"
            )
        redrive = Redrive(client, queue, mapping, quiet, lambda: bool(self.request), self._pace)
        left = redrive.run(chosen, reading.others)
        done = "was interrupted" if self.request else "is done"
        extra = max(0, left - len(chosen))
        also = f"; it has {extra:,} more, hidden before or new" if extra else ""
        number = f"{left - extra:,} of {len(chosen):,} are left"
        message(f"{queue.name}: redrive {done}; {number}{also}")
        return left

    def _redrive_intake(self, queue: DeadLetterQueue) -> int:
        """Let SQS move the dead letters of the intake queue back; return how many are left."""
        if is_without_messages(queue):
            counts = queue.counts()
            reading = Reading(queue, [], [], counts.unseen, counts.hidden_until(datetime.now(UTC)))
            more = f" now; {reading.hidden_text} at the latest" if counts.unseen else ""
            message(f"{queue.name}: nothing to redrive{more}")
            return counts.unseen
        moved = move(self._sqs, queue, lambda: bool(self.request), self._pace)
        message(f"{queue.name}: {moved:,} messages were moved back, as SQS counts them")
        left = settled_number(queue, lambda: bool(self.request), self._pace)
        if left:
            message(f"{queue.name}: {left:,} messages are left: hidden, or not moved")
        return left

    def discard(self) -> int:
        """Write messages to a file, then delete them."""
        is_sure = self.options["is_sure"]
        require_consent("discard", "deletes", is_sure=is_sure)
        self._say_whether_mapping_is_on()
        with ExitStack() as stack:
            readings = [self._read(queue, stack) for queue in self._queues.values()]
            left = 0
            for reading in readings:
                left += reading.hidden
                if reading.hidden:
                    message(
                        f"{reading.queue.name}: {reading.hidden_text} at the latest, not deleted"
                    )
                elif not reading.chosen:
                    message(f"{reading.queue.name}: nothing to delete")
            full = [reading for reading in readings if reading.chosen]
            if not full or self.request:
                return NO if left else YES
            path = self._saved(full)
            numbers = ", ".join(
                f"{len(reading.chosen):,} of {reading.queue.name}" for reading in full
            )
            if is_confirmed(f"Delete messages: {numbers}? {path} has them.", is_sure=is_sure):
                left += sum(self._delete(reading, path) for reading in full)
            else:
                message("deleted nothing")
                left += sum(len(reading.chosen) for reading in full)
        return NO if left else YES

    def _saved(self, readings: list[Reading]) -> Path:
        """Write messages to a durable file; return its path."""
        name = f"{self.deployment.name}-dead-letters-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
        path = Path(self.options["save"] or name)
        save(path, [letter for reading in readings for letter in reading.chosen])
        return path

    def _delete(self, reading: Reading, path: Path) -> int:
        """Delete the chosen messages of a queue; return how many SQS did not delete."""
        name = reading.queue.name
        kept = reading.queue.delete(reading.chosen)
        message(
            f"{name}: deleted {len(reading.chosen) - len(kept):,}; lava-s3trigger dead-letters"
            f" restore {path} sends them again"
        )
        for message_id in kept:
            message(f"{name}: not deleted: {message_id}")
        return len(kept)

    def restore(self) -> int:
        """Send the messages of a file to the queues from which they were deleted."""
        self._say_whether_mapping_is_on()
        saved = SavedFile(Path(self.options["file"]), list(self._queues.values()))
        letters = saved.letters()
        before = saved.restored()
        todo = [letter for letter in letters if letter.message_id not in before]
        for number, letter in enumerate(todo):
            if self.request:
                message(f"restored {number:,} of {len(todo):,}; run it again for the rest")
                return NO
            saved.restore(self._sqs, letter)
        if len(todo) < len(letters):
            message(f"{len(letters) - len(todo):,} were restored before: {saved.ledger} names them")
        message(f"restored {len(todo):,} messages to their dead-letter queues")
        return YES


def _summarized(reading: Reading, fates: dict[str, Fate]) -> int:
    """Report how many messages of a queue have each fate; return how many would come back."""
    if not reading.chosen:
        return 0
    outcomes = [fates[letter.message_id].outcome for letter in reading.chosen]
    back, deleted = outcomes.count(COMES_BACK), outcomes.count(DELETED)
    more = f"; {deleted:,} would be deleted without a dispatch" if deleted else ""
    name = reading.queue.name
    message(f"{name}: {back:,} of {len(outcomes):,} would come back again{more}")
    return back
