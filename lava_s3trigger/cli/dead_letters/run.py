"""What the command `dead-letters` does: lists messages, gives them back, or deletes them."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from lava_s3trigger.cli.decide.decider import decide_payload
from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.deployed.dead_letter_queues import (
    DeadLetterQueue,
    MissingQueueError,
    chosen_by,
)
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.entries.source import read_entries
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.output.confirmation import is_confirmed, require_consent
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.signals import ending_in_order
from lava_s3trigger.cli.output.streams import message, opened, write_json

from .redrive import Redrive, find_mapping, is_on, move

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.cli.output.signals import Request

_OWN, _INTAKE = "own", "intake"
_EXAMPLES: Final = 3
_EXTRA_SECONDS: Final = 10


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    deployment = find_function(aws, options["realm"], options["function"])
    with ending_in_order() as request:
        session = _Session(aws, deployment, options, request)
        if options["action"] == "redrive":
            return session.redrive()
        if options["action"] == "list":
            return session.show()
        if options["explain"]:
            raise CommandError(
                "--explain is about giving back: leave it out, or discard", WRONG_USAGE
            )
        return session.discard()


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

    def _queues(self) -> dict[str, DeadLetterQueue]:
        """Return the queues, by what they belong to."""
        names = {
            _OWN: self.deployment.settings.dead_letter_queue,
            _INTAKE: f"{self.deployment.intake_queue}-dlq",
        }
        wanted = self.options["queue"]
        found = {}
        for whose, name in names.items():
            if wanted in (None, whose) and name:
                try:
                    found[whose] = DeadLetterQueue(self._sqs, name, self.deployment.region)
                except MissingQueueError:
                    # A stack need not have an intake.
                    if wanted or whose == _OWN:
                        raise
        return found

    def _read(
        self, queue: DeadLetterQueue, stack: ExitStack
    ) -> tuple[list[DeadLetter], list[DeadLetter]]:
        """Return the chosen messages and the others; all are released with the stack."""
        chooses = chosen_by(self.options["trigger"], self.options["reason"])
        chosen: list[DeadLetter] = []
        others: list[DeadLetter] = []
        stack.callback(queue.release, others)
        stack.callback(queue.release, chosen)
        for letter in queue.read():
            (chosen if chooses(letter) else others).append(letter)
            if self.request:
                break
        return chosen, others

    def show(self) -> int:
        """List messages; with --explain, say how many would come back."""
        letters: dict[str, list[DeadLetter]] = {}
        with ExitStack() as stack:
            for queue in self._queues().values():
                letters[queue.name] = self._read(queue, stack)[0]
        found = [letter for name in letters for letter in letters[name]]
        with opened(self.options["output"]) as file:
            if self.options["format_"] == "json":
                messages = [_as_json(letter) for letter in found]
                groups = self._groups(found)
                document = {"realm": self.deployment.realm, "groups": groups, "messages": messages}
                write_json(file, document)
            else:
                self._write_text(file, found)
        if self.options["explain"]:
            for name in sorted(name for name in letters if letters[name]):
                self._explained(name, letters[name])
        elif found:
            message(
                "When the cause is fixed: lava-s3trigger dead-letters redrive; with --explain it"
                " says first how many would come back"
            )
        return NO if found else YES

    def _groups(self, letters: Iterable[DeadLetter]) -> list[dict[str, Any]]:
        by_group: dict[tuple[str, str | None, str], list[DeadLetter]] = defaultdict(list)
        for letter in letters:
            by_group[letter.queue, letter.trigger_id, letter.kind].append(letter)
        found: list[dict[str, Any]] = []
        for (queue, trigger_id, kind), members in by_group.items():
            entry = self._entries.triggers.by_id.get(trigger_id or "")
            times = [each.sent_at for each in members]
            found.append(
                {
                    "queue": queue,
                    "trigger_id": trigger_id,
                    "kind": kind,
                    "owner": entry.text("owner") if entry else None,
                    "messages": len(members),
                    "oldest": _time(min(times)),
                    "newest": _time(max(times)),
                    "examples": [
                        {"objects": each.places[:_EXAMPLES], "reason": each.reason}
                        for each in members[:_EXAMPLES]
                    ],
                }
            )
        return sorted(found, key=lambda group: -group["messages"])

    def _write_text(self, file: TextIO, letters: Sequence[DeadLetter]) -> None:
        lines = [f"{len(letters):,} dead letters"]
        for group in self._groups(letters):
            about = f"trigger {group['trigger_id']}" if group["trigger_id"] else "no trigger"
            owner = f", owner {group['owner']}" if group["owner"] else ""
            lines.append(
                f"{group['messages']:,} in {group['queue']}: {about}, {group['kind']}{owner},"
                f" {group['oldest']} to {group['newest']}"
            )
            lines += [
                f"  {', '.join(example['objects']) or '?'}: {example['reason']}"
                for example in group["examples"]
            ]
        file.writelines(safe(line) + "\n" for line in lines)

    def redrive(self) -> int:
        """Give messages back."""
        queues = self._queues()
        is_choice = self.options["trigger"] or self.options["reason"]
        if self.options["queue"] == _INTAKE and is_choice:
            raise CommandError(
                "--trigger and --reason: SQS moves all messages of the intake's queue: leave"
                " them out",
                WRONG_USAGE,
            )
        left = 0
        if _OWN in queues:
            left += self._redrive_own(queues[_OWN])
        if _INTAKE in queues and not is_choice and not self.request:
            left += self._redrive_intake(queues[_INTAKE])
        return NO if left else YES

    def _redrive_own(self, queue: DeadLetterQueue) -> int:
        client = self.aws.client("lambda")
        mapping = find_mapping(client, self.deployment.arn, queue)
        if is_on(mapping) and not self.options["explain"]:
            raise CommandError(
                f"the mapping of {queue.name} is on: another redrive is running. If not, turn"
                f" it off: aws lambda update-event-source-mapping --uuid {mapping['UUID']}"
                " --no-enabled",
                COULD_NOT_TELL,
            )
        with ExitStack() as stack:
            chosen, others = self._read(queue, stack)
            if self.options["explain"]:
                return self._explained(queue.name, chosen)
            if not chosen or self.request:
                message(f"{queue.name}: nothing to redrive")
                return 0
            stack.pop_all()  # released by the redrive
            quiet = self.options["quiet"]
            if quiet is None:
                quiet = self.deployment.configuration.get("Timeout", 60) + _EXTRA_SECONDS
            message(f"Redriving {len(chosen):,} messages of {queue.name}")
            redrive = Redrive(client, queue, mapping, quiet, lambda: bool(self.request))
            left = redrive.run(chosen, others)
        done = "was interrupted" if self.request else "is done"
        message(f"{queue.name}: redrive {done}; {left:,} of {len(chosen):,} are left")
        return left

    def _explained(self, queue: str, chosen: list[DeadLetter]) -> int:
        """Say how many messages would come back again, with entries and queues as they are now."""
        triggers, jobs = self._entries.triggers, self._entries.jobs
        broken, missed = 0, set[str]()
        for letter in chosen:
            payload = {"Records": [letter.record]}
            found = decide_payload(payload, triggers, jobs, self.deployment.region)
            outcomes = {each.outcome for each in found.decisions}
            used = {
                job.dispatch.queue(self.deployment.settings.realm)
                for each in found.decisions
                for trigger in each.triggers
                for job in trigger.jobs
                if job.outcome == "dispatched" and job.dispatch
            }
            missing = {each for each in used if not self._is_there(each)}
            missed |= missing
            broken += bool(found.errors or missing or outcomes & {"user_error", "failed"})
        for name in sorted(missed):
            message(f"there is no queue {name}, which jobs are dispatched to")
        message(f"{queue}: {broken:,} of {len(chosen):,} would come back again")
        return broken

    @cache  # noqa: B019 - the session lives as long as the process
    def _is_there(self, queue: str) -> bool:
        """Return whether a worker has a queue; one that may not be read is assumed to exist."""
        with reaching_aws():
            try:
                self._sqs.get_queue_url(QueueName=queue)
            except self._sqs.exceptions.QueueDoesNotExist:
                return False
            except ClientError as error:
                code = error.response["Error"]["Code"]
                message(f"not known whether there is a queue {queue}: {safe(code)}")
        return True

    def _redrive_intake(self, queue: DeadLetterQueue) -> int:
        if self.options["explain"]:
            with ExitStack() as stack:
                return self._explained(queue.name, self._read(queue, stack)[0])
        if not sum(queue.numbers()):
            message(f"{queue.name}: nothing to redrive")
            return 0
        moved = move(self._sqs, queue, lambda: bool(self.request))
        message(f"{queue.name}: {moved:,} messages were moved back")
        return 0

    def discard(self) -> int:
        """Delete messages, after they were written to a file."""
        require_consent("discard", "deletes", is_sure=self.options["is_sure"])
        left: list[str] = []
        for queue in self._queues().values():
            with ExitStack() as stack:
                chosen, _ = self._read(queue, stack)
                if not chosen or self.request:
                    message(f"{queue.name}: nothing to delete")
                    continue
                path = self._saved(queue, chosen)
                question = f"Delete {len(chosen):,} messages of {queue.name}? {path} has them."
                if not is_confirmed(question, is_sure=self.options["is_sure"]):
                    message(f"{queue.name}: deleted nothing")
                    left += [each.message_id for each in chosen]
                    continue
                kept = queue.delete(chosen)
                left += kept
                message(f"{queue.name}: deleted {len(chosen) - len(kept):,}; they are in {path}")
                for message_id in kept:
                    message(f"{queue.name}: not deleted: {message_id}")
        return NO if left else YES

    def _saved(self, queue: DeadLetterQueue, letters: list[DeadLetter]) -> Path:
        """Write messages to a file, for good; return its path."""
        name = f"{queue.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl"
        path = Path(self.options["save"] or name)
        try:
            handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                for each in letters:
                    found = {
                        "queue": each.queue,
                        "message_id": each.message_id,
                        "sent_at": each.sent_at.isoformat(),
                        "attributes": each.attributes,
                        "body": each.body,
                    }
                    file.write(json.dumps(found) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CommandError(f"{safe(str(path))}: {error.strerror}") from None
        return path


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    names = ("queue", "message_id", "trigger_id", "kind", "reason")
    return {
        **{name: getattr(letter, name) for name in names},
        "sent_at": _time(letter.sent_at),
        "objects": letter.places,
        "body": letter.body,
    }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
