"""Messages of FIFO queues."""

from tests.aws_in_memory import DENIED, Call
from tests.build import direct, failed, fifo, record
from tests.function.harness import SEND, Harness


def test_messages_of_a_group_are_sent_in_order(harness: Harness) -> None:
    harness.trigger(job_id=["load", "load"])
    keys = [f"in/{n}" for n in range(10)]
    assert harness.function()(fifo(*(("a", direct(record(key))) for key in keys))) is None
    assert harness.keys() == [key for key in keys for _ in range(2)]
    assert harness.endpoint.calls[SEND] == 10


def test_a_message_is_decided_after_the_message_before_it_was_sent(harness: Harness) -> None:
    harness.trigger("one", bucket="one")

    def put_another(call: Call) -> None:
        if call.operation == SEND and call.number == 1:
            harness.trigger("two", bucket="two")

    harness.endpoint.fail(put_another)
    payload = fifo(
        ("a", direct(record("in/1", bucket="one"))), ("a", direct(record("in/2", bucket="two")))
    )
    assert harness.function()(payload) is None
    assert harness.keys() == ["in/1", "in/2"]


def test_groups_are_sent_side_by_side(harness: Harness) -> None:
    harness.trigger()
    messages = [(group, direct(record(f"in/{group}{n}"))) for n in range(2) for group in "abc"]
    assert harness.function()(fifo(*messages)) is None
    assert harness.keys() == ["in/a0", "in/b0", "in/c0", "in/a1", "in/b1", "in/c1"]
    assert harness.endpoint.calls[SEND] == 2


def test_a_failed_send_fails_the_messages_after_it(harness: Harness) -> None:
    harness.trigger()
    harness.endpoint.fail({(SEND, 2): DENIED})
    payload = fifo(*(("a", direct(record(f"in/{n}"))) for n in range(4)))
    assert harness.function()(payload) == failed("m1", "m2", "m3")
    assert harness.keys() == ["in/0"]
    blocked = [(each["kind"], each["message_id"]) for each in harness.logged.fields("failed")[1:]]
    assert blocked == [("group_blocked", "m2"), ("group_blocked", "m3")]


def test_a_parked_message_does_not_block_its_group(harness: Harness) -> None:
    harness.trigger("in")
    harness.trigger("bad", prefix="bad", job_id="none")
    payload = fifo(("a", direct(record("bad/0"))), ("a", direct(record("in/1"))))
    assert harness.function()(payload) is None
    assert harness.keys() == ["in/1"]
    assert len(harness.parked()) == 1
