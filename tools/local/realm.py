"""The tables and queues of a lava realm, which lava itself creates on AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.entries.dynamodb import attribute_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .server import LocalAws

_MAX_RECEIVED: Final = 10


class Realm:
    """A realm on a local AWS server.

    Args:
        aws: The server.
        name: Name of the realm.
    """

    def __init__(self, aws: LocalAws, name: str) -> None:
        self._aws = aws
        self.name = name

    def make(self, workers: Iterable[str]) -> None:
        """Create the jobs table and the queues of workers."""
        self._aws.client("dynamodb").create_table(
            TableName=f"lava.{self.name}.jobs",
            AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for worker in workers:
            self._aws.client("sqs").create_queue(QueueName=f"lava-{self.name}-{worker}")

    def make_triggers_table(self) -> None:
        """Create the s3triggers table, where no stack has created it."""
        keys = ("trigger_id", "bucket", "prefix")
        self._aws.client("dynamodb").create_table(
            TableName=f"lava.{self.name}.s3triggers",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[{"AttributeName": "trigger_id", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "s3trigger-index",
                    "KeySchema": [
                        {"AttributeName": "bucket", "KeyType": "HASH"},
                        {"AttributeName": "prefix", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )

    def put(self, table: str, entries: Iterable[dict[str, Any]]) -> None:
        """Put entries into the table ``jobs`` or ``s3triggers`` of the realm."""
        for entry in entries:
            self.put_item(table, {name: attribute_of(value) for name, value in entry.items()})

    def put_item(self, table: str, item: dict[str, dict[str, Any]]) -> None:
        """Put an item, as DynamoDB's low-level client has it, into a table of the realm."""
        self._aws.client("dynamodb").put_item(TableName=f"lava.{self.name}.{table}", Item=item)

    def receive(self, worker: str) -> list[dict[str, Any]]:
        """Receive and delete all messages in the queue of a worker; return them whole."""
        sqs = self._aws.client("sqs")
        url = sqs.get_queue_url(QueueName=f"lava-{self.name}-{worker}")["QueueUrl"]
        received: list[dict[str, Any]] = []
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=_MAX_RECEIVED, MessageSystemAttributeNames=["All"]
        ).get("Messages"):
            received += messages
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received
