"""What the command `dead-letters` does: lists messages, gives them back, or deletes them."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from botocore.exceptions import ClientError

from lava_s3trigger.cli.decide.decider import decide_payload
from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.deployed.function import find_function
from lava_s3trigger.cli.entries.source import read_entries
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, WRONG_USAGE, YES, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.signals import ending_in_order
from lava_s3trigger.cli.output.streams import message, opened, write_json

from .queue import DeadLetterQueue, chosen_by
from .redrive import Redrive, find_mapping, is_on, move

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.cli.output.signals import Request

    from .queue import DeadLetter

_OWN, _INTAKE = "own", "intake"
_EXAMPLES: Final = 3
_EXTRA_SECONDS: Final = 10


def run(**options: Any) -> int:
    """Run the command, and return its exit status."""
    aws = Aws(options["profile"], options["region"], options["endpoint_url"])
    deployment = find_function(aws, options["realm"], options["function"])
    with ending_in_order() as request:
        return _Session(aws, deployment, options, request).run()


class _Session:
    """One run of the command."""

    def __init__(
        self, aws: Aws, deployment: DeployedFunction, options: dict[str, Any], request: Request
    ) -> None:
        self._aws = aws
        self._deployment = deployment
        self._options = options
        self._request = request
        self._sqs = aws.client("sqs")
        self._known_queues: dict[str, bool] = {}
        """Queues of workers, and whether they are there."""

    def run(self) -> int:
        """Do what was asked for."""
        action = self._options["action"]
        if action == "discard" and self._options["explain"]:
            raise CommandError(
                "--explain is about giving back: leave it out, or discard", WRONG_USAGE
            )
        actions = {"list": self._list, "redrive": self._redrive, "discard": self._discard}
        return actions[action]()

    def _queues(self) -> dict[str, DeadLetterQueue]:
        """Return the queues, by what they belong to."""
        names = {
            _OWN: self._deployment.settings.dead_letter_queue,
            _INTAKE: f"{self._deployment.intake_queue}-dlq",
        }
        wanted = self._options["queue"]
        found = {}
        for whose, name in names.items():
            if wanted in (None, whose) and name:
                try:
                    found[whose] = DeadLetterQueue(self._sqs, name, self._deployment.region)
                except CommandError as error:
                    # A stack need not have an intake.
                    if wanted or "there is no queue" not in str(error) or whose == _OWN:
                        raise
        return found

    def _read(
        self, queue: DeadLetterQueue, stack: ExitStack
    ) -> tuple[list[DeadLetter], list[DeadLetter]]:
        """Return the chosen messages and the others; all are released with the stack."""
        chooses = chosen_by(self._options["trigger"], self._options["reason"])
        chosen: list[DeadLetter] = []
        others: list[DeadLetter] = []
        stack.callback(queue.release, others)
        stack.callback(queue.release, chosen)
        for letter in queue.read():
            (chosen if chooses(letter) else others).append(letter)
            if self._request:
                break
        return chosen, others

    def _list(self) -> int:
        letters: list[DeadLetter] = []
        with ExitStack() as stack:
            for queue in self._queues().values():
                letters += self._read(queue, stack)[0]
        with opened(self._options["output"]) as file:
            if self._options["format_"] == "json":
                write_json(file, self._as_json(letters))
            else:
                self._write_text(file, letters)
        if self._options["explain"]:
            for name in sorted({each.queue for each in letters}):
                self._explained(name, [each for each in letters if each.queue == name])
        elif letters:
            message(
                "When the cause is mended: lava-s3trigger dead-letters redrive; with --explain it"
                " says first how many would come back"
            )
        return NO if letters else YES

    def _entries(self) -> RealmEntries:
        settings = self._deployment.settings
        return read_entries((), (), settings.realm, self._aws, settings.max_delay)

    def _groups(self, letters: Iterable[DeadLetter]) -> list[dict[str, Any]]:
        entries = self._entries().triggers.by_id
        by_group: dict[tuple[str, str | None, str], list[DeadLetter]] = defaultdict(list)
        for letter in letters:
            by_group[letter.queue, letter.trigger_id, letter.kind].append(letter)
        found = []
        for (queue, trigger_id, kind), members in by_group.items():
            entry = entries.get(trigger_id or "")
            times = [each.sent_at for each in members]
            found.append(
                {
                    "queue": queue,
                    "trigger_id": trigger_id,
                    "kind": kind,
                    "owner": entry.text("owner") if entry else None,
                    "messages": len(members),
                    "oldest": min(times).isoformat(timespec="seconds"),
                    "newest": max(times).isoformat(timespec="seconds"),
                    "examples": [
                        {"objects": each.places[:_EXAMPLES], "reason": each.reason}
                        for each in members[:_EXAMPLES]
                    ],
                }
            )
        return sorted(found, key=lambda group: -group["messages"])

    def _as_json(self, letters: list[DeadLetter]) -> dict[str, Any]:
        return {
            "realm": self._deployment.realm,
            "groups": self._groups(letters),
            "messages": [
                {
                    "queue": each.queue,
                    "message_id": each.message_id,
                    "trigger_id": each.trigger_id,
                    "kind": each.kind,
                    "reason": each.reason,
                    "sent_at": each.sent_at.isoformat(timespec="seconds"),
                    "objects": each.places,
                    "body": each.body,
                }
                for each in letters
            ],
        }

    def _write_text(self, file: TextIO, letters: list[DeadLetter]) -> None:
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

    def _redrive(self) -> int:
        """Give messages back."""
        queues = self._queues()
        is_choice = self._options["trigger"] or self._options["reason"]
        if self._options["queue"] == _INTAKE and is_choice:
            raise CommandError(
                "--trigger and --reason: SQS moves all messages of the intake's queue: leave"
                " them out",
                WRONG_USAGE,
            )
        left = 0
        if _OWN in queues:
            left += self._redrive_own(queues[_OWN])
        if _INTAKE in queues and not is_choice and not self._request:
            left += self._redrive_intake(queues[_INTAKE])
        return NO if left else YES

    def _redrive_own(self, queue: DeadLetterQueue) -> int:
        client = self._aws.client("lambda")
        mapping = find_mapping(client, self._deployment.arn, queue)
        if is_on(mapping) and not self._options["explain"]:
            raise CommandError(
                f"the mapping of {queue.name} is on: somebody gives messages back. If not, turn"
                f" it off: aws lambda update-event-source-mapping --uuid {mapping['UUID']}"
                " --no-enabled",
                COULD_NOT_TELL,
            )
        with ExitStack() as stack:
            chosen, others = self._read(queue, stack)
            if self._options["explain"]:
                return self._explained(queue.name, chosen)
            if not chosen or self._request:
                message(f"{queue.name}: nothing to give back")
                return 0
            stack.pop_all()  # released by the redrive
            quiet = self._options["quiet"]
            if quiet is None:
                quiet = self._deployment.configuration.get("Timeout", 60) + _EXTRA_SECONDS
            message(f"Giving {len(chosen):,} messages of {queue.name} back")
            redrive = Redrive(client, queue, mapping, quiet, lambda: bool(self._request))
            left = redrive.run(chosen, others)
        done = "was interrupted" if self._request else "is done"
        message(f"{queue.name}: redrive {done}; {left:,} of {len(chosen):,} are left")
        return left

    def _explained(self, queue: str, chosen: list[DeadLetter]) -> int:
        """Say how many messages would come back again, with entries and queues as they are now."""
        entries = self._entries()
        broken, missed = 0, set[str]()
        for letter in chosen:
            found = decide_payload(
                {"Records": [letter.record]},
                entries.triggers,
                entries.jobs,
                self._deployment.region,
            )
            outcomes = {each.outcome for each in found.decisions}
            used = {
                job.dispatch.queue(self._deployment.settings.realm)
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

    def _is_there(self, queue: str) -> bool:
        """Tell whether the queue of a worker is there; one that may not be read is taken to be."""
        if queue not in self._known_queues:
            self._known_queues[queue] = True
            with reaching_aws():
                try:
                    self._sqs.get_queue_url(QueueName=queue)
                except self._sqs.exceptions.QueueDoesNotExist:
                    self._known_queues[queue] = False
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    message(f"not known whether there is a queue {queue}: {safe(code)}")
        return self._known_queues[queue]

    def _redrive_intake(self, queue: DeadLetterQueue) -> int:
        if self._options["explain"]:
            with ExitStack() as stack:
                return self._explained(queue.name, self._read(queue, stack)[0])
        if not sum(queue.numbers()):
            message(f"{queue.name}: nothing to give back")
            return 0
        moved = move(self._sqs, queue, lambda: bool(self._request))
        message(f"{queue.name}: {moved:,} messages were moved back")
        return 0

    def _discard(self) -> int:
        """Delete messages, after they were written to a file."""
        if not (self._options["is_sure"] or sys.stdin.isatty()):
            raise CommandError("discard asks before it deletes: give --yes", WRONG_USAGE)
        left: list[str] = []
        for queue in self._queues().values():
            with ExitStack() as stack:
                chosen, _ = self._read(queue, stack)
                if not chosen or self._request:
                    message(f"{queue.name}: nothing to delete")
                    continue
                path = self._saved(queue, chosen)
                question = f"Delete {len(chosen):,} messages of {queue.name}? {path} has them."
                if not self._options["is_sure"] and not click.confirm(safe(question), err=True):
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
        path = Path(self._options["save"] or name)
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
