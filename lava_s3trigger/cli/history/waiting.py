"""Dead letters of an object, and the queues that could not be read."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.deployed.dead_letter_queues import (
    INTAKE,
    DeadLetterQueue,
    MissingQueueError,
    dead_letter_queue_names,
    hidden_text,
)
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.times import shown_time

if TYPE_CHECKING:
    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.objects.uri import ObjectName

    Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The dead letters of an object."""

    letters: list[DeadLetter] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """The queues that were not read, each with the reason."""

    def look(self, name: ObjectName, client: Any, deployed: DeployedFunction) -> None:
        """Read the dead-letter queues of a function.

        Args:
            name: The object.
            client: Client of SQS.
            deployed: The function.
        """
        names = {INTAKE: f"{deployed.intake_queue}-dlq"}
        try:
            names = dead_letter_queue_names(deployed)
        except CommandError as error:
            self.unseen.append(str(error))
        target = deployed.configuration.get("DeadLetterConfig", {}).get("TargetArn", "")
        if ":sqs:" in target:
            names["lambda"] = target.rpartition(":")[2]
        elif target:
            self.unseen.append(f"Lambda's dead letters, which it sends to {target}")
        for queue in dict.fromkeys(names.values()):
            try:
                self._read(name, DeadLetterQueue(client, queue, deployed.region))
            except MissingQueueError as error:
                # A stack may have no intake queue.
                if queue != names[INTAKE]:
                    self.unseen.append(str(error))
            except CommandError as error:
                self.unseen.append(f"the queue {queue}: {error}")
        self._count(client, deployed.intake_queue)

    def _read(self, name: ObjectName, queue: DeadLetterQueue) -> None:
        """Read a queue; its messages are hidden during that."""
        held: list[DeadLetter] = []
        with ExitStack() as stack, Progress("dead letters read", after=2.0) as progress:
            stack.callback(queue.release, held)
            for letter in queue.read():
                held.append(letter)
                progress.advance(1)
                if any(
                    (named_event.event.bucket, named_event.event.key) == name
                    for named_event in letter.events
                ):
                    self.letters.append(letter)
            counts = queue.counts()
        hidden = counts.total - len(held)
        if hidden > 0:
            until = counts.hidden_until(datetime.now(UTC))
            self.unseen.append(f"{hidden_text(hidden, until)} at the latest, in {queue.name}")

    def _count(self, client: Any, intake: str) -> None:
        """Count the messages of the intake queue: receiving one would use up an attempt."""
        try:
            number = DeadLetterQueue(client, intake, "").counts().total
        except MissingQueueError:
            return
        except CommandError as error:
            self.unseen.append(f"the intake queue {intake}: {error}")
            return
        if number:
            self.unseen.append(f"{number:,} messages on their way, in the intake queue {intake}")

    def note_other_queues(self, client: Any, deployed: DeployedFunction) -> None:
        """Record the queues of users that the function reads; they are not read here.

        Args:
            client: Client of Lambda.
            deployed: The function.
        """
        known = {deployed.intake_queue}
        with suppress(CommandError):  # `look` has recorded it
            known.update(dead_letter_queue_names(deployed).values())
        try:
            with reaching_aws():
                pages = client.get_paginator("list_event_source_mappings")
                arns = [
                    mapping.get("EventSourceArn", "")
                    for page in pages.paginate(FunctionName=deployed.arn)
                    for mapping in page["EventSourceMappings"]
                ]
        except CommandError as error:
            self.unseen.append(f"which other queues the function reads: {error}")
            return
        for name in dict.fromkeys(arn.rpartition(":")[2] for arn in arns):
            if name and name not in known:
                self.unseen.append(f"the queue {name}, and its dead-letter queue if it has one")

    def json(self) -> list[Json]:
        """Return the dead letters as JSON."""
        return [
            {
                "queue": queue.queue,
                "message_id": queue.message_id,
                "sent_at": shown_time(queue.sent_at),
                "trigger_id": queue.trigger_id,
                "kind": queue.kind,
                "reason": queue.reason,
            }
            for queue in self.letters
        ]
