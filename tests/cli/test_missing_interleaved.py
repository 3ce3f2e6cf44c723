"""``replay --missing`` between redrives, edits of entries and real events, in random order.

The function is the real one, and so are its log lines and what it parks. Lines arrive late. AWS is
in memory, since a local server neither delays lines nor is quick enough. `make proofs` does it 200
times.
"""

import json
import os
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus

import pytest

from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.errors import DeliveriesFailedError
from tests.aws_in_memory import Endpoint
from tests.aws_in_memory.aws import ACCOUNT, REGION, Operation
from tests.aws_in_memory.queues import Message
from tests.build import BUCKET, direct, record, sqs
from tests.function.harness import PARKING, Harness

from .cannedaws import Answer, CannedAws, Request, answer
from .commandline import CommandLine
from .deadletters import NUMBER
from .logs import OldLog
from .replays import keys_of, reach, write_inventory

RUNS: Final = int(os.environ.get("S3TRIGGER_INTERLEAVINGS", "20"))
STEPS: Final = 30
FUNCTION: Final = "lava-demo-s3trigger"
INTAKE: Final = f"{FUNCTION}-intake"
MINUTE: Final = timedelta(minutes=1)
SETTLE: Final = {"0": timedelta(0), "15m": 15 * MINUTE}
JOBS: Final = {"load": ["load"], "both": ["load", "report"], "broken": ["none"]}


class World:
    """A realm in which events, dead letters and lines of the log are under way."""

    def __init__(self, harness: Harness, canned: CannedAws, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.harness, self.canned, self.folder = harness, canned, folder
        self.log = OldLog(canned, f"/aws/lambda/{FUNCTION}")
        self.late: list[tuple[datetime, str]] = []
        """Lines that have not arrived."""
        self.asynchronous: list[Any] = []
        """Payloads in Lambda's own queue."""
        self.hidden: dict[int, Message] = {}
        """Messages that somebody has received, by their identity."""
        self.redriven_at: datetime | None = None
        self.handed: set[str] = set()
        """Keys of the replays that were accepted."""
        self.unknown: set[str] = set()
        self.unplanned: set[str] | None = None
        """Keys that the dry run left out, if its plan is to be sent next."""
        self.settle = "0"
        self.now_handed: list[str] = []
        self.intake = harness.endpoint.add_queue(INTAKE)
        now = datetime.now(UTC)
        self.objects = {"in/young.csv": now - MINUTE, "in/.tmp": now - 120 * MINUTE}
        self.left_for_later: set[str] = set()
        self.planned_of: set[str] = set()
        """Keys of the objects of which a plan was made last."""
        self.edit("load")
        self._answers()
        self.put()

    # The real parts.

    def handle(self, payload: Any) -> bool:
        """Hand a payload to the function; return whether all of it is done."""
        self.harness.logged.clear()
        function = self.harness.function(cache_ttl=0.0)
        done = False
        with suppress(DeliveriesFailedError):
            done = function(payload) is None
        for text in self.harness.logged.lines():
            at = datetime.now(UTC) - self.chance.uniform(0, 50) * MINUTE
            line = read_line(f"[INFO] {text}")
            key = line.text("key") if line else None
            at = max(at, self.objects.get(key or "", at))
            lines = self.late if self.chance.random() < 0.5 else self.log.lines
            lines.append((at, f"[INFO] {text}"))
        return done

    # What happens at random.

    def put(self) -> None:
        """Find objects that were put two hours ago, and their events now, if these are not lost."""
        for _ in range(self.chance.randint(1, 4)):
            key = f"in/{len(self.objects)}.csv"
            self.objects[key] = datetime.now(UTC) - 120 * MINUTE
            payload = direct(record(key))
            match self.chance.choice(["lose", "deliver", "invoke", "enqueue"]):
                case "deliver":
                    self.handle(payload)
                case "invoke":
                    self.asynchronous.append(payload)
                case "enqueue":
                    self.intake.send([{"Id": "1", "MessageBody": json.dumps(payload)}], {})

    def edit(self, name: str | None = None) -> None:
        name = name or self.chance.choice([*JOBS, "off"])
        self.jobs, is_on = JOBS.get(name, []), name != "off"
        self.harness.trigger(job_id=self.jobs or "load", enabled=is_on, if_not_fnmatch="*.tmp")

    def arrive(self) -> None:
        self.chance.shuffle(self.late)
        number = self.chance.randint(0, len(self.late))
        self.log.lines += self.late[:number]
        del self.late[:number]

    def run_asynchronous(self) -> None:
        if self.asynchronous:
            self.handle(self.asynchronous.pop(self.chance.randrange(len(self.asynchronous))))

    def run_intake(self) -> None:
        for message in self.intake.take():
            self.handle(sqs(message.json))

    def redrive(self) -> None:
        """Redrive the parked messages that nobody holds."""
        visible = self.visible
        for message in visible:
            self.parking.remove(message)
            if not self.handle(sqs(message.text, queue=PARKING)):
                self.parking.append(message)
        if visible:
            self.redriven_at = datetime.now(UTC) - self.chance.choice([0, 20]) * MINUTE

    def hold(self) -> None:
        """Receive a parked message, or let go of all."""
        self.hidden = {} if self.hidden else {id(each): each for each in self.parking[:1]}

    @property
    def parking(self) -> list[Message]:
        return self.harness.parking.messages

    @property
    def visible(self) -> list[Message]:
        """The parked messages that nobody holds."""
        return [each for each in self.parking if id(each) not in self.hidden]

    # What is known of an object.

    def is_logged(self, key: str) -> bool:
        read = (read_line(text) for at, text in self.log.lines if at >= self.objects[key] - MINUTE)
        return ("dispatched", key) in {(each.event, each.text("key")) for each in read if each}

    def is_missing(self, key: str) -> bool:
        wanted = set(self.jobs) - {"none"} if not key.endswith(".tmp") else set()
        return bool(wanted) and not self.is_logged(key) and not self.may_be_missing_later(key)

    def may_be_missing_later(self, key: str) -> bool:
        is_young = self.objects[key] > datetime.now(UTC) - SETTLE[self.settle]
        dead = {unquote_plus(each.json["event"]["s3"]["object"]["key"]) for each in self.visible}
        return is_young or key in dead or key in self.handed - self.unknown

    @property
    def is_in_the_way(self) -> bool:
        redriven = self.redriven_at
        is_fresh = redriven and redriven + SETTLE[self.settle] > datetime.now(UTC)
        return bool(self.intake.messages or self.parking or is_fresh)

    # The command.

    def replay(self) -> None:
        """Run the command, and judge what it does."""
        is_dry = self.chance.random() < 0.3 and not self.unknown
        if self.unknown:
            arguments = ["--resend-unknown"]
        else:
            if self.unplanned is None or self.chance.random() < 0.3:
                settle = self.chance.choice([*SETTLE])
                self.unplanned = self.unplanned if settle == self.settle else None
                self.settle = settle
            times = ((key, at.isoformat()) for key, at in self.objects.items())
            manifest = write_inventory(self.folder, BUCKET, times)
            arguments = ["--inventory", manifest, "--missing", "--settle", self.settle]
            if self.chance.random() < 0.2:
                arguments.append("--restart")
                self.unplanned, self.handed = None, set()
            if is_dry or self.unplanned is None:
                self.unplanned, self.planned_of = None, {*self.objects}
        is_despite = self.chance.random() < 0.5
        more = ["--dry-run"] if is_dry else ["--despite-waiting"] if is_despite else []
        all_missing = set(filter(self.is_missing, self.objects))
        missing = all_missing & self.planned_of
        if self.unknown:
            missing &= self.unknown
        is_in_the_way = self.is_in_the_way
        self.now_handed = []
        ran = CommandLine(["replay"]).json(*arguments, *more)
        found = self.now_handed
        assert len(found) == len(set(found))
        if "left out objects that may be missing by now" in ran.errors:
            self.unplanned, self.planned_of, missing = None, {*self.objects}, all_missing
        assert not (self.unplanned or set()) & self.left_for_later & missing
        self.left_for_later = set(filter(self.may_be_missing_later, self.objects))
        if ran.status == 3:
            assert "objects that seem missing may be under way" in ran.errors
            assert (found, is_dry or is_despite, is_in_the_way) == ([], False, True)
            if self.unplanned is None and not self.unknown:  # its plan is kept
                self.unplanned = self.planned_of - missing
            return
        assert ran.status in {0, 1}, ran.errors
        document = ran.json()
        named = document["planned"] + sum(document["left_out"].values())
        assert named == len(self.planned_of)
        if is_dry:
            assert document["planned"] == len(missing)
            self.unplanned = self.planned_of - missing
            return
        assert set(found) == missing - (self.unplanned or set())
        assert not found or is_despite or not is_in_the_way
        self.handed |= set(found)
        self.unknown = {each["key"] for each in document["unknown"]}
        self.unplanned = None

    # AWS.

    def _answers(self) -> None:
        variables = {"LAVA_REALM": "demo", "S3TRIGGER_DEAD_LETTER_QUEUE": PARKING}
        self.canned.deploy(FUNCTION, variables)
        self.canned.handlers |= {
            ("GET", "/event-source-mappings"): self._mappings,
            ("POST", "/invocations"): self._invoked,
        }
        operations: dict[str, Operation] = {
            "Scan": lambda aws, asked: {"Items": list(aws.table(asked).items.values())},
            "GetQueueAttributes": lambda _, asked: self._attributes(asked["QueueUrl"]),
            "ReceiveMessage": lambda *_: self._receive(),
            "ChangeMessageVisibilityBatch": lambda _, asked: self._release(asked["Entries"]),
        }
        self.harness.endpoint.operations |= operations

    def _mappings(self, _: Request) -> Answer:
        at = self.redriven_at
        changed = [{"State": "Disabled", "LastModified": at.timestamp()}] if at else []
        return answer({"EventSourceMappings": changed})

    def _invoked(self, request: Request) -> Answer:
        """Take an invocation; now and then, lose the answer, or the invocation as well."""
        lost = self.chance.random()
        if lost > 0.1:
            self.asynchronous.append(request.json())
        self.now_handed += keys_of(request)
        return Answer(202) if lost > 0.2 else Answer(0)

    def _attributes(self, url: str) -> dict[str, Any]:
        name = url.rpartition("/")[2]
        messages = self.harness.endpoint.queues[name].messages
        hidden = sum(id(each) in self.hidden for each in messages)
        attributes = {NUMBER: f"{len(messages) - hidden}", f"{NUMBER}NotVisible": f"{hidden}"}
        return {"Attributes": attributes | {"QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"}}

    def _receive(self) -> dict[str, Any]:
        received = {id(each): each for each in self.visible[:10]}
        self.hidden |= received
        return {
            "Messages": [
                {"MessageId": f"{number}", "ReceiptHandle": f"{number}", "Body": each.text}
                for number, each in received.items()
            ]
        }

    def _release(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        for each in entries:
            del self.hidden[int(each["ReceiptHandle"])]
        return {"Successful": [{"Id": each["Id"]} for each in entries], "Failed": []}


@pytest.fixture
def harness(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> Harness:
    return Harness(endpoint, caplog)


@pytest.fixture
def world(
    harness: Harness, canned: CannedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> World:
    reach(monkeypatch, "demo", harness.endpoint.url, canned, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", canned.url)
    return World(harness, canned, tmp_path, seed)


@pytest.mark.slow("each run is some 15 commands; make proofs does ten times as many")
@pytest.mark.parametrize("seed", range(RUNS))
def test_nothing_is_sent_twice_and_nothing_missing_is_forgotten(world: World) -> None:
    happenings = [
        *(world.edit, world.arrive, world.run_asynchronous, world.run_intake, world.redrive),
        *[world.hold, world.put, world.put],
        *[world.replay] * 5,
    ]
    for _ in range(STEPS):
        world.chance.choice(happenings)()
