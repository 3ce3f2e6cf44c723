"""Dead-letter queues of a function, for the tests of the commands that read them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from lava_s3trigger.cli.objects.uri import s3_record
from lava_s3trigger.outcomes import Outcome
from lava_s3trigger.parking import parked_message

from .cannedaws import Answer, Request, answer, refusal
from .commandline import CommandLine
from .replays import Account

UUID: Final = "00000000-0000-0000-0000-000000000000"
PARKED_AT: Final = datetime(2026, 3, 14, tzinfo=UTC)


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
        """What runs `dead-letters`, which finds the account by the environment."""
        return CommandLine(["dead-letters"])

    def _configuration(self, _: Request) -> Answer:
        self.account.variables["LOGLEVEL"] = self.level
        target = {"DeadLetterConfig": {"TargetArn": self.target}}
        return answer(self.account.configuration | target)

    def _mapping(self, request: Request) -> Answer:
        if self.state is None:
            return refusal(403, "AccessDeniedException")
        found = {"UUID": UUID, "State": self.state}
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
        """Send a message to a dead-letter queue."""
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
        """Return the event of an object of the account's bucket."""
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
