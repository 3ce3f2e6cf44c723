"""Events of a replay reach the function as S3 would have sent them, or it is known that not."""

import json
from typing import Any, Final

import pytest

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.function import DeployedFunction
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.replay.state import PlannedObject, Settled, Status
from lava_s3trigger.cli.replay.ways import (
    MAX_INVOKE_BYTES,
    HandoverError,
    Invocations,
    Problem,
    make_way,
)
from lava_s3trigger.parking import REPLAY_MARK
from lava_s3trigger.settings import Settings
from tools.local.server import LocalAws

from .cannedaws import CLOSED, Answer, CannedAws, Request, refusal
from .replays import without_credentials

pytestmark = pytest.mark.usefixtures("credentials")
ARN: Final = "arn:aws:lambda:eu-west-1:123456789012:function:lava-r-s3trigger"
DEPLOYMENT: Final = DeployedFunction("lava-r-s3trigger", ARN, Settings(realm="r"), {})


def planned(number: int, key: str = "k") -> PlannedObject:
    return PlannedObject(number, "my-bucket", key, 10, 1741917566.0, "ObjectCreated:Put")


def made(aws: Aws, via: str = "invoke", batch: int = 1, queue: str | None = None) -> Any:
    return make_way(aws, DEPLOYMENT, "replay-1", {"via": via, "batch": batch, "queue": queue})


def way(canned: CannedAws, via: str = "invoke", batch: int = 100) -> Any:
    return made(Aws(region="eu-west-1", endpoint_url=canned.url), via, batch)


def problem_of(way: Any) -> Problem:
    """Return why an event cannot be handed over."""
    with pytest.raises(HandoverError) as raised:
        way.send([planned(1)])
    assert "\n" not in str(raised.value)
    return raised.value.problem


class TestInvocations:
    """An asynchronous invocation has the records of several objects."""

    @pytest.mark.parametrize(
        ("key", "count"),
        [("k", 1), ("k", 500), ("é" * 512, 200), ("%" * 1024, 200), ("\x7f" * 1024, 63)],
        ids=lambda each: ascii(each)[:8],
    )
    def test_a_payload_is_never_too_large(self, key: str, count: int) -> None:
        keys = [key] * count
        sent: list[bytes] = []

        class Client:
            def invoke(self, **request: Any) -> None:
                sent.append(request["Payload"])

        invocations = Invocations(Client(), ARN, "eu-west-1", "x" * 32, 1000)
        objects = [planned(number, key) for number, key in enumerate(keys)]
        number = invocations.fitting(objects)
        invocations.send(objects[:number])
        assert 0 < number <= len(objects)
        assert len(sent[0]) <= MAX_INVOKE_BYTES
        if number < len(objects):  # no smaller than it must be
            invocations.send(objects[: number + 1])
            assert len(sent[1]) > MAX_INVOKE_BYTES

    def test_it_is_asynchronous_and_marked(self, canned: CannedAws) -> None:
        canned.handlers["POST", "/invocations"] = lambda _: Answer(202, b"")
        outcomes = way(canned).send([planned(7), planned(9)])
        assert outcomes == [Settled(7, Status.SENT), Settled(9, Status.SENT)]
        [request] = canned.requests
        payload = request.json()
        records = payload.pop("Records")
        assert payload == {REPLAY_MARK: "replay-1"}
        assert len(records) == 2
        assert REPLAY_MARK not in json.dumps(records)

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (refusal(429, "TooManyRequestsException"), Problem.BUSY),
            (refusal(502, "EC2ThrottledException"), Problem.BUSY),
            (refusal(503, "ServiceUnavailable"), Problem.BUSY),
            (refusal(500, "ServiceException"), Problem.LOST),
            (refusal(504, "GatewayTimeout"), Problem.LOST),
            (CLOSED, Problem.LOST),
            (refusal(400, "InvalidRequestContentException"), Problem.CONTENT),
            (refusal(413, "RequestTooLargeException"), Problem.CONTENT),
            (refusal(403, "AccessDeniedException"), Problem.STOP),
            (refusal(403, "ExpiredTokenException"), Problem.STOP),
            (refusal(404, "ResourceNotFoundException"), Problem.STOP),
        ],
        ids=lambda each: each.name if isinstance(each, Problem) else str(each.headers or "closed"),
    )
    def test_a_call_that_fails_is_made_once(
        self, canned: CannedAws, answer: Answer, problem: Problem
    ) -> None:
        canned.handlers["POST", "/invocations"] = lambda _: answer
        assert problem_of(way(canned)) is problem
        assert len(canned.requests) == 1

    def test_what_never_left_did_not_arrive(self) -> None:
        unreachable = made(Aws(region="eu-west-1", endpoint_url="http://127.0.0.1:9"))
        assert problem_of(unreachable) is Problem.BUSY

    def test_without_credentials_it_stops(
        self, canned: CannedAws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without_credentials(monkeypatch)
        assert problem_of(way(canned)) is Problem.STOP


class TestQueueMessages:
    """The intake queue gets a message for each object."""

    @pytest.fixture
    def queue(self, canned: CannedAws) -> list[dict[str, Any]]:
        """Have the queue answer with what a test puts into the list, first in, first out."""
        answers: list[dict[str, Any]] = []

        def answer(request: Request) -> Answer:
            if "QueueName" in request.json():
                return Answer(200, json.dumps({"QueueUrl": f"{canned.url}/q"}).encode())
            return Answer(200, json.dumps(answers.pop(0)).encode())

        canned.handlers["POST", "/"] = answer
        return answers

    def test_entries_fail_by_themselves(
        self, canned: CannedAws, queue: list[dict[str, Any]]
    ) -> None:
        failed = [
            {"Id": "2", "Code": "InvalidMessageContents", "SenderFault": True},
            {"Id": "3", "Code": "InternalError", "Message": "m", "SenderFault": False},
        ]
        sent = [{"Id": "1", "MessageId": "m", "MD5OfMessageBody": "x"}]
        queue.append({"Successful": sent, "Failed": failed})
        outcomes = way(canned, "queue").send([planned(number) for number in range(1, 5)])
        assert outcomes == [
            Settled(1, Status.SENT),
            Settled(2, Status.FAILED, "InvalidMessageContents: "),
            Settled(3, Status.TO_SEND, "InternalError: m"),
            Settled(4, Status.UNKNOWN, "the answer of SQS does not name it"),
        ]

    @pytest.mark.usefixtures("queue")
    def test_ten_go_into_a_batch(self, canned: CannedAws) -> None:
        objects = [planned(number) for number in range(30)]
        assert way(canned, "queue", batch=100).fitting(objects) == 10

    def test_a_message_is_marked_by_an_attribute(self, aws: LocalAws, client_settings: Aws) -> None:
        sqs = aws.client("sqs")
        url = sqs.create_queue(QueueName="marked")["QueueUrl"]
        messages = made(client_settings, "queue", queue="marked")
        assert messages.send([planned(1, "a b+c%.csv")]) == [Settled(1, Status.SENT)]
        [message] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
        assert message["MessageAttributes"][REPLAY_MARK]["StringValue"] == "replay-1"
        [record] = json.loads(message["Body"])["Records"]
        assert record["s3"]["object"]["key"] == "a+b%2Bc%25.csv"

    @pytest.mark.parametrize(
        ("queue", "said"),
        [("none", "there is no queue none: deploy"), ("a.fifo", "name a standard queue")],
    )
    def test_a_queue_that_will_not_do(self, client_settings: Aws, queue: str, said: str) -> None:
        with pytest.raises(CommandError, match=said):
            made(client_settings, "queue", queue=queue)
