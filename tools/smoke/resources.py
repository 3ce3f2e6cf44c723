"""What the smoke test makes in an account. All of it is named by the run, and removed by name."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from lava_s3trigger.cli.connect.changes import PERMISSION, Change, Parts
from lava_s3trigger.cli.connect.names import Names
from lava_s3trigger.cli.dead_letters.redrive import is_on
from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetterQueue
from lava_s3trigger.cli.entries.dynamodb import attribute_of
from lava_s3trigger.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.function import DeployedFunction

_ABSENT: Final = re.compile("NoSuchBucket|NonExistentQueue|QueueDoesNotExist|NotFound")
_REMOVAL_SECONDS: Final = 30
_KEYS: Final = {"jobs": "job_id", "s3triggers": "trigger_id"}


def wait_for(condition: Callable[[], Any], seconds: float, failure: str) -> Any:
    """Wait until a condition holds and AWS refuses none of its calls; return its result.

    Raises:
        CommandError: It does not hold after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        trouble = ""
        try:
            with reaching_aws():
                if result := condition():
                    return result
        except CommandError as error:
            trouble = f": {error}"
        if time.monotonic() >= deadline:
            raise CommandError(f"{failure} after {seconds:.0f} s{trouble}")
        time.sleep(1)


@dataclass(frozen=True)
class Resources:
    """What a run makes next to a deployed function.

    Nobody has used these names before. So no instance of the function has cached anything about
    them, and no check waits for a cache.
    """

    aws: Aws
    function: DeployedFunction
    suffix: str
    """Part of every name."""

    @cached_property
    def names(self) -> dict[str, str]:
        """What is made, by its kind."""
        realm, account = self.function.realm, self.function.account
        return {
            "SQS queue": f"lava-{realm}-smoke-{self.suffix}",
            "S3 bucket": f"lava-{realm.replace('_', '-')}-smoke-{account}-{self.suffix}",
            "entries": f"smoke-{self.suffix}-*, in lava.{realm}.s3triggers and lava.{realm}.jobs",
            "SNS topic": f"lava-{realm}-smoke-{self.suffix}",
            "EventBridge rule": f"lava.{realm}.smoke-{self.suffix}",
        }

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.names["S3 bucket"]

    @property
    def topic_arn(self) -> str:
        """ARN of the topic."""
        name = self.names["SNS topic"]
        return f"{self.function.arn.partition(':function:')[0]}:{name}".replace("lambda", "sns", 1)

    def id(self, name: str) -> str:
        """Return the id of an entry."""
        return f"smoke-{self.suffix}-{name}"

    @cached_property
    def key(self) -> str | None:
        """Alias of the realm's key, with which lava encrypts the queues of workers."""
        alias = f"alias/lava-{self.function.realm}-user"
        pages = self.aws.client("kms").get_paginator("list_aliases").paginate()
        has_key = any(entry["AliasName"] == alias for page in pages for entry in page["Aliases"])
        return alias if has_key else None

    @cached_property
    def dead_letters(self) -> DeadLetterQueue:
        """The function's dead-letter queue."""
        name = self.function.settings.dead_letter_queue or f"{self.function.name}-dlq"
        return DeadLetterQueue(self.aws.client("sqs"), name, self.function.region)

    def mapping(self, queue: str) -> dict[str, Any] | None:
        """Return the event source mapping from a queue to the function."""
        client, name = self.aws.client("lambda"), self.function.name
        mappings = client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        return next(
            (mapping for mapping in mappings if mapping["EventSourceArn"].endswith(f":{queue}")),
            None,
        )

    def make_queue(self) -> str:
        """Make the worker's queue, and return its URL."""
        encryption = {"KmsMasterKeyId": self.key} if self.key else {"SqsManagedSseEnabled": "true"}
        # Hidden for an hour: each dispatch is received once.
        attributes = {"VisibilityTimeout": "3600", **encryption}
        sqs, name = self.aws.client("sqs"), self.names["SQS queue"]
        return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def make_bucket(self) -> None:
        """Make the bucket."""
        place = {"CreateBucketConfiguration": {"LocationConstraint": self.function.region}}
        is_default = self.function.region == "us-east-1"
        self.aws.client("s3").create_bucket(Bucket=self.bucket, **({} if is_default else place))

    def entry(self, table: str, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return an entry of this run."""
        marks = {"owner": self._owner, "description": "of the smoke test", "enabled": True}
        return {_KEYS[table]: self.id(name), **marks, **fields}

    def has_entry(self, table: str, name: str) -> bool:
        """Return whether an entry of this run is in its table."""
        answer = self.aws.client("dynamodb").get_item(
            TableName=self._own(table)["TableName"],
            Key={_KEYS[table]: {"S": self.id(name)}},
            ConsistentRead=True,
        )
        return "Item" in answer

    def notifications(self) -> dict[str, Any]:
        """Return the bucket's configuration of notifications."""
        configuration = self.aws.client("s3").get_bucket_notification_configuration(
            Bucket=self.bucket
        )
        return {name: value for name, value in configuration.items() if name != "ResponseMetadata"}

    def put_entries(self, entries: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
        """Put entries, all or none: table, name and fields. Entries of others stay as they are."""
        writes = []
        for table, name, fields in entries:
            entry = self.entry(table, name, fields)
            item = {field: attribute_of(value) for field, value in entry.items()}
            writes.append({"Put": {**self._own(table), "Item": item}})
        dynamodb = self.aws.client("dynamodb")
        # lava's tables have one write unit, and a transaction may find none left.
        wait_for(
            lambda: dynamodb.transact_write_items(TransactItems=writes), 60, "cannot put entries"
        )

    @property
    def _owner(self) -> str:
        return f"smoke test {self.suffix}"

    def _own(self, table: str) -> dict[str, Any]:
        """Limit a write to entries of this run."""
        return {
            "TableName": f"lava.{self.function.realm}.{table}",
            "ConditionExpression": f"attribute_not_exists({_KEYS[table]}) OR #owner = :owner",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": {":owner": {"S": self._owner}},
        }

    def make_topic(self) -> None:
        """Make a topic that takes messages of this account's buckets, and invokes the function."""
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": self.topic_arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": self.function.account}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sns, topic = self.aws.client("sns"), {"TopicArn": self.topic_arn}
        sns.create_topic(Name=self.names["SNS topic"])
        sns.set_topic_attributes(**topic, AttributeName="Policy", AttributeValue=policy)
        sns.subscribe(**topic, Protocol="lambda", Endpoint=self.function.arn)

    def make_rule(self, prefix: str) -> None:
        """Make a rule that sends events of keys with a prefix to the function."""
        events, rule = self.aws.client("events"), self.names["EventBridge rule"]
        detail = {"bucket": {"name": [self.bucket]}, "object": {"key": [{"prefix": prefix}]}}
        pattern = json.dumps({"source": ["aws.s3"], "detail": detail})
        events.put_rule(Name=rule, EventPattern=pattern)
        targets = [{"Id": "s3trigger", "Arn": self.function.arn}]
        for failed in events.put_targets(Rule=rule, Targets=targets)["FailedEntries"]:
            raise CommandError(f"the rule takes no target: {failed.get('ErrorMessage')}")

    def remove(self, entries: Iterable[tuple[str, str]]) -> list[str]:
        """Remove everything that the run made; return what could not be removed, and why."""
        client, names = self.aws.client, self.names
        sqs, rule = client("sqs"), names["EventBridge rule"]
        deletes = [
            {**self._own(table), "Key": {_KEYS[table]: {"S": self.id(name)}}}
            for table, name in entries
        ]
        removals: list[tuple[str, Callable[[], object]]] = [
            (
                "targets of the rule",
                lambda: client("events").remove_targets(Rule=rule, Ids=["s3trigger"]),
            ),
            ("EventBridge rule", lambda: client("events").delete_rule(Name=rule)),
            ("SNS topic", lambda: client("sns").delete_topic(TopicArn=self.topic_arn)),
            ("entries", lambda: [client("dynamodb").delete_item(**key) for key in deletes]),
            ("permission", self._remove_permission),
            ("S3 bucket", self._remove_bucket),
            ("SQS queue", lambda: sqs.delete_queue(QueueUrl=_url(sqs, names["SQS queue"]))),
            ("parked messages", self._remove_parked),
            ("redrive mapping", self._require_mapping_off),
        ]
        problems = []
        for kind, removal in removals:
            try:
                failure = f"{kind} {names.get(kind, '')}: still there"
                wait_for(partial(_is_absent_after, removal), _REMOVAL_SECONDS, failure)
            except CommandError as error:
                problems.append(str(error))
        return problems

    def _remove_bucket(self) -> None:
        s3 = self.aws.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for listed in page.get("Contents", ()):
                s3.delete_object(Bucket=self.bucket, Key=listed["Key"])
        s3.delete_bucket(Bucket=self.bucket)

    def _remove_permission(self) -> None:
        """Remove the permission that `connect` makes if the stack has none for S3."""
        function = self.function
        sid = Names(function.realm, function.name, self.bucket).statement()
        parts = Parts(self.aws, function.account, function.arn, lambda _: True)
        before = parts.read(PERMISSION, function.name, sid)
        parts.write(Change(PERMISSION, function.name, sid, before, None))

    def _remove_parked(self) -> None:
        letters = list(self.dead_letters.read())
        marks = (self.id(""), self.bucket)
        own = [letter for letter in letters if any(mark in letter.body for mark in marks)]
        self.dead_letters.release([letter for letter in letters if letter not in own])
        for message_id in self.dead_letters.delete(own):
            raise CommandError(f"message {message_id} was not deleted")

    def _require_mapping_off(self) -> None:
        mapping = self.mapping(self.dead_letters.name)
        if mapping and is_on(mapping):
            command = "aws lambda update-event-source-mapping --no-enabled --uuid"
            raise CommandError(f"it is on: {command} {mapping['UUID']}")


def _url(sqs: Any, queue: str) -> str:
    return str(sqs.get_queue_url(QueueName=queue)["QueueUrl"])


def _is_absent_after(call: Callable[[], object]) -> bool:
    """Make a call that removes something, which need not be there."""
    try:
        call()
    except ClientError as error:
        if not _ABSENT.search(error.response["Error"]["Code"]):
            raise
    return True
