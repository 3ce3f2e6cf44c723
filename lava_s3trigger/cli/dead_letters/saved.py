"""Files of dead letters: written before messages are deleted, and read to send them again."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import naming

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter, DeadLetterQueue


def save(path: Path, letters: Iterable[DeadLetter]) -> None:
    """Write messages to a new, durable file, as Lambda would pass them to the function.

    So `explain --event` can read the file too.

    Raises:
        CommandError: The file exists, or cannot be written.
    """
    document = {"Records": [letter.record for letter in letters]}
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise CommandError(f"{safe(str(path))} exists: name a new file with --save") from None
    except OSError as error:
        raise CommandError(f"{safe(str(path))}: {error.strerror}") from None
    with naming(str(path)), os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class SavedLetter:
    """A message of a file."""

    message_id: str
    """The id that it had before it was deleted."""
    queue: DeadLetterQueue
    body: str
    attributes: dict[str, dict[str, Any]]
    """The message attributes in SQS's form."""


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file of `save`, and a second file next to it with the ids of messages that were sent again.

    Args:
        path: The file.
        queues: The dead-letter queues of the function, to which its messages may go.
    """

    path: Path
    queues: Iterable[DeadLetterQueue]

    @property
    def ledger(self) -> Path:
        """The file with the ids of messages that were sent again, so that none is sent twice."""
        return self.path.with_name(f"{self.path.name}.restored")

    def letters(self) -> list[SavedLetter]:
        """Return the messages of the file.

        Raises:
            CommandError: It is not a file of `save`, or has messages of another queue.
        """
        name = safe(str(self.path))
        try:
            with naming(str(self.path)):
                document = json.loads(self.path.read_text(encoding="utf-8"))
            records = document["Records"]
            return [self._letter(record) for record in records]
        except (ValueError, RecursionError, LookupError, TypeError):
            raise CommandError(f"{name}: this is not a file that discard has written") from None

    def _letter(self, record: dict[str, Any]) -> SavedLetter:
        arn = record["eventSourceARN"]
        queue = next((queue for queue in self.queues if queue.arn == arn), None)
        if queue is None:
            raise CommandError(
                f"{safe(str(self.path))}: {safe(str(arn))} is not a dead-letter queue of this"
                " function, or --queue leaves it out"
            )
        attributes = dict(_attributes(record.get("messageAttributes", {})))
        return SavedLetter(str(record["messageId"]), queue, record["body"], attributes)

    def restored(self) -> set[str]:
        """Return the ids of messages that were sent again."""
        if not self.ledger.exists():
            return set()
        with naming(str(self.ledger)):
            return set(self.ledger.read_text(encoding="utf-8").split())

    def restore(self, client: Any, letter: SavedLetter) -> None:
        """Send a message to its queue, and record that.

        Args:
            client: Client of SQS.
            letter: The message.

        Raises:
            CommandError: SQS refused it, or that cannot be recorded.
        """
        with naming(str(self.ledger)), self.ledger.open("a", encoding="utf-8") as file:
            with reaching_aws():
                client.send_message(
                    QueueUrl=letter.queue.url,
                    MessageBody=letter.body,
                    MessageAttributes=letter.attributes,
                )
            file.write(f"{letter.message_id}\n")
            file.flush()
            os.fsync(file.fileno())


def _attributes(record: dict[str, dict[str, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in record.items():
        if "binaryValue" in value:
            content: dict[str, Any] = {"BinaryValue": base64.b64decode(value["binaryValue"])}
        else:
            content = {"StringValue": value["stringValue"]}
        yield name, {"DataType": value["dataType"], **content}
