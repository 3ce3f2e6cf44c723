"""The memory of a payload is bounded: it is carried out in pieces."""

import gc
import json
import os
import subprocess
import sys
from typing import Any, Final

import pytest

from lava_s3trigger.conditions import KINDS, Kind
from lava_s3trigger.deliveries import DeliveredEvent
from lava_s3trigger.sending import MAX_WAITING_BYTES
from tests.aws_in_memory import REGION, Answer, Endpoint, Request
from tests.build import direct, record
from tests.context import Context
from tests.function.harness import PARKING, SEND, Harness, deny, fails
from tests.tables import cases
from tools.local.server import CHECKOUT

LARGE: Final = "{% for _ in range(60) %}" + "x" * 15_000 + "{% endfor %}"
"""A template that makes 900,000 characters."""
PER_PIECE: Final = MAX_WAITING_BYTES // 900_000 + 1
"""Messages of that size that are made before any of them is sent."""
MAX_PEAK_MIB: Final = 300
"""Of the 512 that the template gives."""
CHILD: Final = """
import json, sys
from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings

settings = Settings(realm="demo", dead_letter_queue=sys.argv[1], log_level=100)
try:
    Function(settings, *make_clients(region_name=sys.argv[2]))(json.load(sys.stdin))
except DeliveriesFailedError as error:
    print(error)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(int(line.split()[1]) // 1024)
"""


def peak(harness: Harness, payload: Any) -> int:
    """Return the MiB that a process takes at most to carry out a payload."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, PARKING, REGION],
        input=json.dumps(payload),
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT),
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_ENDPOINT_URL": harness.endpoint.url,
        },
    )
    return int(child.stdout)


@pytest.fixture
def sizes(harness: Harness) -> list[int]:
    """The sizes of what is sent, of which nothing is kept."""
    sent: list[int] = []

    def send(_: Endpoint, request: Request) -> Answer:
        sent.extend(len(each["MessageBody"]) for each in request["Entries"])
        accepted = {"MessageId": "m", "MD5OfMessageBody": "-"}
        return {"Successful": [{"Id": each["Id"], **accepted} for each in request["Entries"]]}

    harness.endpoint.operations[SEND] = send
    return sent


class Decided:
    """A condition that counts how many triggers are decided."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, *_: object) -> bool:
        self.number += 1
        return True


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> Decided:
    """The condition `if_counted`."""
    made = Decided()
    monkeypatch.setitem(KINDS, "counted", Kind("counted", made, str))
    return made


def many(number: int) -> list[Any]:
    """Return records of as many objects."""
    return [record(f"in/{n}") for n in range(number)]


LARGE_RECORD: Final = record()
LARGE_RECORD["s3"]["extra"] = "x" * 900_000


@pytest.mark.slow("makes hundreds of megabytes of messages")
@cases(
    ("triggers", "fields", "records"),
    {
        "large messages": (3, {"parameters": {"text": LARGE}}, many(200)),
        "large job ids": (1, {"job_id": LARGE + "{{ key }}"}, many(800)),
        "parked messages": (100, {"job_id": "none"}, [LARGE_RECORD] * 5),
    },
)
def test_the_peak_of_memory_is_bounded(
    harness: Harness, sizes: list[int], triggers: int, fields: dict[str, Any], records: list[Any]
) -> None:
    """At the default size of the function."""
    for n in range(triggers):
        harness.trigger(f"t{n}", **fields)
    assert peak(harness, direct(*records)) < MAX_PEAK_MIB
    assert len(sizes) == triggers * len(records)
    # A long job id is cut in what is parked.
    assert LARGE in fields.get("job_id", "") or min(sizes) > 900_000


@pytest.mark.usefixtures("sizes")
@pytest.mark.parametrize(("triggers", "events"), [(3, 20), (40, 1)])
def test_large_messages_are_sent_before_much_more_is_decided(
    harness: Harness, decided: Decided, triggers: int, events: int
) -> None:
    for n in range(triggers):
        harness.trigger(f"t{n}", parameters={"text": LARGE}, if_counted="x")
    found: list[int] = []

    def note(call: Any) -> None:
        """Note how many triggers were decided since the call before."""
        if call.operation == SEND:
            found.append(decided.number - sum(found))

    harness.endpoint.fail(note)
    assert harness.function()(direct(*many(events))) is None
    assert sum(found) == triggers * events
    assert max(found) <= PER_PIECE


def test_jobs_of_one_trigger_are_sent_in_pieces(harness: Harness, sizes: list[int]) -> None:
    harness.trigger(job_id=["load"] * 300, parameters={"text": LARGE})
    assert peak(harness, direct(record())) < MAX_PEAK_MIB
    assert len(sizes) == 300


def test_events_are_settled_before_others_are_decided(harness: Harness, decided: Decided) -> None:
    harness.share_claims()
    for n in range(3):
        harness.trigger(f"t{n}", parameters={"text": LARGE}, if_counted="x")
    settled: list[int] = []

    def note(call: Any) -> None:
        if call.operation == "UpdateItem" and decided.number:
            settled.append(decided.number)

    harness.endpoint.fail(note)
    payload = direct(*many(20))
    assert harness.function(dedup_table="claims")(payload) is None
    assert len(settled) == 20
    assert min(settled) <= PER_PIECE + 3
    states = {each["state"]["S"] for each in harness.endpoint.tables["claims"].items.values()}
    assert states == {"done"}


def test_all_that_one_piece_sent_is_remembered_where_another_fails(harness: Harness) -> None:
    for n in range(20):
        harness.trigger(f"t{n:02}", parameters={"text": LARGE})
    harness.trigger("u", job_id="report")
    harness.endpoint.fail(deny("web"))
    function = harness.function()
    for _ in range(2):
        fails(function, direct(record()), Context(600))
        assert len(harness.core.messages) == 20
    harness.endpoint.fail({})
    assert function(direct(record())) is None
    assert harness.counts() == (20, 1, 0)


def test_an_invocation_leaves_no_cycles(harness: Harness) -> None:
    harness.trigger(parameters={"key": "{{ key }}"})
    function = harness.function()
    payload = direct(*many(10))
    function(payload)
    gc.collect()
    gc.disable()
    try:
        function(payload)
        delivered = [each for each in gc.get_objects() if isinstance(each, DeliveredEvent)]
    finally:
        gc.enable()

    assert delivered == []
