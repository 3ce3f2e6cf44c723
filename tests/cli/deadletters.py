"""Dead-letter queues of a function, for the tests of the commands that read them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from lava_s3trigger.cli.objects.uri import s3_record
from lava_s3trigger.outcomes import Outcome
from lava_s3trigger.parking import parked_message

from .cannedaws import Answer, Request, answer, operation, refusal
from .commandline import CommandLine
from .replays import Account

ARN: Final = "arn:aws:sqs:us-east-1:123456789012:dlq"
UUID: Final = "00000000-0000-0000-0000-000000000000"
PARKED_AT: Final = datetime(2026, 3, 14, tzinfo=UTC)
NUMBER: Final = "ApproximateNumberOfMessages"


@dataclass
class DeadLetters:
    """The dead-letter queues of an account's function, and the mapping that redrives its own.

    The queues are on the local AWS server. The mapping is canned: when it is enabled, it does
    with the queue what the test says.
    """

    account: Account
    level: str = "info"
    target: str = ""
    """ARN of what Lambda sends events to that it gave up."""
    reads: tuple[str, ...] = ()
    """Names of other queues that the function reads."""
    state: str | None = "Disabled"
    """State of the mapping; None: AWS refuses to show it."""
    changed_at: datetime = PARKED_AT
    """When the mapping was turned on or off."""
    when_enabled: Callable[[], object] = lambda: None
    urls: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sqs, name = self.account.aws.client("sqs"), self.account.function
        for whose, queue in {"own": f"{name}-dlq", "intake": f"{name}-intake-dlq"}.items():
            made = sqs.create_queue(QueueName=queue, Attributes={"VisibilityTimeout": "360"})
            self.urls[whose] = made["QueueUrl"]
        self.account.variables["S3TRIGGER_DEAD_LETTER_QUEUE"] = f"{name}-dlq"
        handlers = self.account.canned.handlers
        handlers["GET", f"/functions/{name}/configuration"] = self._configuration
        handlers["GET", "/event-source-mappings"] = self._mapping
        handlers["PUT", "/event-source-mappings"] = self._switched

    @property
    def command(self) -> CommandLine:
        return CommandLine(["dead-letters"])

    def _configuration(self, _: Request) -> Answer:
        self.account.variables["LOGLEVEL"] = self.level
        target = {"DeadLetterConfig": {"TargetArn": self.target}}
        return answer(self.account.configuration | target)

    def _mapping(self, request: Request) -> Answer:
        if self.state is None:
            return refusal(403, "AccessDeniedException")
        changed_at = self.changed_at.timestamp()
        found = {"UUID": UUID, "State": self.state, "LastModified": changed_at}
        if UUID in request.path:
            return answer(found)
        others = [{"EventSourceArn": f"arn:aws:sqs:us-east-1:1:{name}"} for name in self.reads]
        return answer({"EventSourceMappings": [found, *others]})

    def _switched(self, request: Request) -> Answer:
        self.state = "Enabled" if request.json()["Enabled"] else "Disabled"
        if self.state == "Enabled":
            self.when_enabled()
        return self._mapping(request)

    def send(self, body: Any, whose: str = "own", **attributes: Any) -> None:
        self.account.aws.client("sqs").send_message(
            QueueUrl=self.urls[whose],
            MessageBody=body if isinstance(body, str) else json.dumps(body),
            MessageAttributes=attributes,
        )

    def park(self, *keys: str, trigger_id: str = "t") -> None:
        """Send what the function parks when job none does not exist."""
        outcome = Outcome("user_error", "no_such_job", "no job 'none'", trigger_id, "none")
        for key in keys:
            self.send(parked_message(self.record(key), [outcome], (), PARKED_AT))

    def record(self, key: str) -> dict[str, Any]:
        return s3_record(self.account.bucket, key)

    def receive(
        self, whose: str = "own", number: int = 10, seconds: int = 300
    ) -> list[dict[str, Any]]:
        """Receive messages, which are hidden for some seconds then."""
        received = self.account.aws.client("sqs").receive_message(
            QueueUrl=self.urls[whose],
            MaxNumberOfMessages=number,
            VisibilityTimeout=seconds,
            MessageAttributeNames=["All"],
        )
        found: list[dict[str, Any]] = received.get("Messages", [])
        return found

    def delete_all(self) -> None:
        """Receive and delete messages, as the function does with what it has dispatched."""
        sqs = self.account.aws.client("sqs")
        for each in self.receive():
            sqs.delete_message(QueueUrl=self.urls["own"], ReceiptHandle=each["ReceiptHandle"])


@dataclass
class Sqs:
    """SQS, as it answers about a queue and its message move tasks."""

    counts: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """Visible and hidden messages, look by look; the last ones stay."""
    received: list[str | None] = field(default_factory=list)
    """Bodies of the messages that are received, one by one; then there are none."""
    tasks: list[str | None] = field(default_factory=list)
    """Status of the move task, look by look; None: it is not listed yet."""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    moved_at: float = 1.0
    """When messages were last moved back, in seconds since 1970."""

    def answer(self, request: Request) -> Answer:
        name, asked = operation(request), request.json()
        self.asked.append((name, asked))
        answers = {
            "GetQueueUrl": {"QueueUrl": "http://127.0.0.1/dlq"},
            "ChangeMessageVisibilityBatch": {"Successful": [], "Failed": []},
            "StartMessageMoveTask": {"TaskHandle": "handle"},
        }
        return answer(answers.get(name) or getattr(self, name)(asked))

    def number(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.asked)

    def GetQueueAttributes(self, asked: Any) -> Any:  # noqa: N802 - as SQS names it
        if "QueueArn" in asked["AttributeNames"]:
            return {"Attributes": {"QueueArn": ARN}}
        visible, hidden = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return {"Attributes": {NUMBER: str(visible), f"{NUMBER}NotVisible": str(hidden)}}

    def ReceiveMessage(self, _: Any) -> Any:  # noqa: N802
        body = self.received.pop(0) if self.received else None
        if body is None:
            return {}
        message = {"MessageId": body, "ReceiptHandle": f"again {body}", "Body": body}
        return {"Messages": [message]}

    def CancelMessageMoveTask(self, _: Any) -> Any:  # noqa: N802
        self.tasks[:] = ["CANCELLING", "CANCELLED"]
        return {f"{NUMBER}Moved": 3}

    def ListMessageMoveTasks(self, _: Any) -> Any:  # noqa: N802
        earlier = {"Status": "COMPLETED", "StartedTimestamp": int(self.moved_at * 1000)}
        status = self.tasks.pop(0) if self.number("StartMessageMoveTask") else None
        if status is None:
            return {"Results": [earlier]}
        task = {"Status": status, "StartedTimestamp": 2, f"{NUMBER}Moved": 7}
        task["FailureReason"] = "CouldNotDetermineMessageSource"
        # SQS lists the handle only while the task is running.
        handle = {"TaskHandle": "handle"} if status in ("RUNNING", "CANCELLING") else {}
        return {"Results": [task | handle, earlier]}
