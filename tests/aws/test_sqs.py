"""Queues: batches within the service's limits, and what becomes of each message."""

from __future__ import annotations

import json
import random
import threading
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.aws.clients import MAX_CALL_SECONDS, make_clients
from lava_s3trigger.aws.deadline import MARGIN_SECONDS, UNLIMITED, Deadline, Reserve
from lava_s3trigger.aws.sqs import MAX_BYTES, SqsQueues
from lava_s3trigger.dispatch import PendingMessage
from tests.endpoint import (
    DENIED,
    KEY_DENIED,
    LOST_REPLY,
    RESET,
    SERVER_ERROR,
    THROTTLED,
    Call,
    Endpoint,
    EntryRefusal,
    Held,
    Partial,
    Queue,
    Refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.endpoint import Fault, Faults
    from tools.local.realm import Realm
    from tools.local.server import LocalAws

CORE: Final = "lava-demo-core"
WEB: Final = "lava-demo-web"
SEND: Final = "SendMessageBatch"
FIND: Final = "GetQueueUrl"
A_WHILE: Final = 300.0
"""Seconds of an invocation that has time."""


class Time:
    """The time that an invocation has left, in seconds."""

    def __init__(self, left: float = A_WHILE) -> None:
        self.left = left
        self.deadline = Deadline(lambda: self.left)


def outgoing(text: str = "text", queue: str = CORE, delay: int = 0) -> PendingMessage:
    """Make a message of which the text tells the run id and what is given."""
    return PendingMessage(queue, lambda run_id: f"{run_id} {text}", delay)


def sized(length: int, queue: str = CORE) -> PendingMessage:
    """Make a message of this many bytes."""
    return PendingMessage(queue, lambda run_id: run_id.ljust(length, "x")[:length])


def texts(queue: Queue) -> list[str]:
    """Return what stands behind the run ids of the messages in a queue."""
    return [message.text.partition(" ")[2] for message in queue.messages]


def sizes(endpoint: Endpoint) -> list[int]:
    """Return the numbers of entries of the batches that were sent."""
    return [len(call.request["Entries"]) for call in endpoint.log if call.operation == SEND]


def containing(text: str, fault: Fault) -> Faults:
    """Make a fault of the calls that hold a message with some text."""
    return lambda call: fault if text in str(call.request.get("Entries")) else None


@pytest.fixture
def core(endpoint: Endpoint) -> Queue:
    return endpoint.add_queue(CORE)


@pytest.fixture
def web(endpoint: Endpoint) -> Queue:
    return endpoint.add_queue(WEB)


@pytest.fixture
def waits() -> list[float]:
    """For how long was waited, in seconds."""
    return []


@pytest.fixture
def queues(endpoint: Endpoint, waits: list[float]) -> SqsQueues:
    return SqsQueues(endpoint.clients[1], waits.append)


def send(queues: SqsQueues, *messages: PendingMessage) -> None:
    queues.send(messages, UNLIMITED, Reserve.PARK)


class TestMessages:
    """Each attempt sends a new message, so that no two share a run id."""

    def test_each_message_has_its_own_run_id(self) -> None:
        run_ids = [outgoing().run_id for _ in range(1000)]
        assert len(set(run_ids)) == 1000
        assert {uuid.UUID(each).version for each in run_ids} == {4}

    def test_the_text_contains_the_run_id(self) -> None:
        message = outgoing("text")
        assert message.text == f"{message.run_id} text"

    def test_a_renewed_message_has_another_run_id(self) -> None:
        message = outgoing("text")
        first = message.run_id
        message.renew()
        assert message.run_id != first
        assert message.text == f"{message.run_id} text"


def is_sent(message: PendingMessage) -> bool:
    """Return whether a queue took the message."""
    return message.outcome == "dispatched"


def refusal(message: PendingMessage) -> str | None:
    """Return why no queue will ever take the message."""
    return message.reason if message.outcome == "user_error" else None


def failure(message: PendingMessage) -> str | None:
    """Return why the message was not sent this time."""
    return message.reason if message.outcome == "failed" else None


class TestSending:
    """Messages arrive unchanged, and each records its result."""

    def test_a_message_arrives(self, core: Queue, queues: SqsQueues) -> None:
        message = outgoing("text", delay=7)
        send(queues, message)
        (arrived,) = core.messages
        assert (arrived.text, arrived.delay) == (message.text, 7)
        assert (is_sent(message), refusal(message), failure(message)) == (True, None, None)

    def test_no_message_costs_no_call(self, endpoint: Endpoint, queues: SqsQueues) -> None:
        send(queues)
        assert not endpoint.calls

    def test_a_queue_is_looked_up_once(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        for _ in range(5):
            send(queues, outgoing())
        assert endpoint.calls == {FIND: 1, SEND: 5}
        assert len(core.messages) == 5

    def test_each_message_keeps_its_delay(self, core: Queue, queues: SqsQueues) -> None:
        send(queues, *(outgoing(str(delay), delay=delay) for delay in (0, 900, 30)))
        assert [
            (text, each.delay) for text, each in zip(texts(core), core.messages, strict=True)
        ] == [
            ("0", 0),
            ("900", 900),
            ("30", 30),
        ]

    def test_messages_arrive_on_a_local_sqs(self, aws: LocalAws, realm: Realm) -> None:
        clients = make_clients(
            endpoint_url=aws.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        core, web, missing = (f"lava-{realm.name}-{each}" for each in ("core", "web", "missing"))
        messages = [outgoing(f"{n}", queue) for n in range(13) for queue in (core, web, missing)]
        SqsQueues(clients[1]).send(messages, UNLIMITED, Reserve.PARK)
        for worker, queue in (("core", core), ("web", web)):
            expected = {each.text for each in messages if each.queue == queue}
            assert {each["Body"] for each in realm.receive(worker)} == expected
        assert {refusal(each) for each in messages if each.queue == missing} == {
            f"no queue {missing}"
        }
        for client in clients:
            client.close()


class TestDepth:
    """A message nested too deeply for JSON is refused, and no other is affected."""

    def test_a_message_nested_too_deeply_is_refused(self, core: Queue, queues: SqsQueues) -> None:
        nested: list[object] = []
        for _ in range(100_000):
            nested = [nested]
        deep = PendingMessage(CORE, lambda _: json.dumps(nested))
        good = outgoing("good")

        send(queues, deep, good)

        assert refusal(deep) == "the message is nested too deeply"
        assert not is_sent(deep)
        assert texts(core) == ["good"]


class TestBatches:
    """Messages go out in as few calls as the service's limits allow."""

    @pytest.mark.parametrize(
        ("number", "expected"),
        [(1, [1]), (9, [9]), (10, [10]), (11, [1, 10]), (25, [5, 10, 10])],
    )
    def test_a_batch_has_at_most_10_entries(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, number: int, expected: list[int]
    ) -> None:
        messages = [outgoing(f"{each}") for each in range(number)]
        send(queues, *messages)
        assert sorted(sizes(endpoint)) == expected
        assert sorted(texts(core)) == sorted(f"{each}" for each in range(number))
        assert all(is_sent(each) for each in messages)

    @pytest.mark.parametrize(
        ("lengths", "expected"),
        [
            pytest.param([MAX_BYTES], [1], id="one that fills a call"),
            pytest.param([MAX_BYTES // 2] * 2, [2], id="two that fill it"),
            pytest.param([MAX_BYTES // 2, MAX_BYTES // 2, 1], [1, 2], id="and a byte more"),
            pytest.param([MAX_BYTES // 2, MAX_BYTES // 2 + 1], [1, 1], id="two that are too much"),
            pytest.param([1, MAX_BYTES, 1], [1, 1, 1], id="a large one between small ones"),
            pytest.param([400_000] * 5, [1, 2, 2], id="two to a call"),
            pytest.param([MAX_BYTES, MAX_BYTES // 2, MAX_BYTES // 2], [1, 2], id="two full calls"),
        ],
    )
    def test_a_batch_has_at_most_1_mib(
        self,
        endpoint: Endpoint,
        core: Queue,
        queues: SqsQueues,
        lengths: list[int],
        expected: list[int],
    ) -> None:
        messages = [sized(length) for length in lengths]
        send(queues, *messages)
        assert sorted(sizes(endpoint)) == expected
        assert sorted(len(each.text) for each in core.messages) == sorted(lengths)
        assert all(is_sent(each) for each in messages)

    def test_only_the_message_over_the_sqs_limit_is_refused(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        before, large, after = outgoing("before"), sized(MAX_BYTES + 1), outgoing("after")
        send(queues, before, large, after)
        assert sizes(endpoint) == [2]
        assert texts(core) == ["before", "after"]
        assert is_sent(before)
        assert is_sent(after)
        assert not is_sent(large)
        assert failure(large) is None
        assert (
            refusal(large)
            == f"the message has {MAX_BYTES + 1} bytes; SQS takes at most {MAX_BYTES}"
        )

    def test_a_lone_message_over_the_limit_costs_no_call(
        self, endpoint: Endpoint, queues: SqsQueues
    ) -> None:
        large = sized(MAX_BYTES + 1)
        send(queues, large)
        assert refusal(large)
        assert not endpoint.calls

    def test_only_the_message_over_the_queues_limit_is_refused(
        self, endpoint: Endpoint, queues: SqsQueues
    ) -> None:
        core = endpoint.add_queue(CORE, largest=1024)
        messages = [sized(length) for length in (1023, 1025, 1024)]
        send(queues, *messages)
        assert [len(each.text) for each in core.messages] == [1023, 1024]
        assert [is_sent(each) for each in messages] == [True, False, True]
        assert "1024 bytes" in (refusal(messages[1]) or "")
        assert endpoint.calls == {FIND: 1, SEND: 1}

    def test_each_queue_has_its_own_batches(
        self, endpoint: Endpoint, core: Queue, web: Queue, queues: SqsQueues
    ) -> None:
        send(queues, *(outgoing(f"{each}", (CORE, WEB)[each % 2]) for each in range(12)))
        assert sorted(sizes(endpoint)) == [6, 6]
        assert texts(core) == ["0", "2", "4", "6", "8", "10"]
        assert texts(web) == ["1", "3", "5", "7", "9", "11"]

    def test_queues_are_sent_to_concurrently(
        self, endpoint: Endpoint, core: Queue, web: Queue, queues: SqsQueues
    ) -> None:
        held = {CORE: Held(), WEB: Held()}
        endpoint.fail(
            lambda call: (
                held[call.request["QueueUrl"].rpartition("/")[2]]
                if call.operation == SEND
                else None
            )
        )
        arrived: list[bool] = []

        def let_go() -> None:
            # Replies are held until both calls are under way.
            arrived.extend(each.arrived.wait(30) for each in held.values())
            for each in held.values():
                each.release()

        watcher = threading.Thread(target=let_go)
        watcher.start()
        send(queues, outgoing("a", CORE), outgoing("b", WEB))
        watcher.join()
        assert arrived == [True, True]
        assert endpoint.calls[SEND] == 2
        assert (texts(core), texts(web)) == (["a"], ["b"])

    def test_a_failing_queue_does_not_affect_others(
        self, endpoint: Endpoint, core: Queue, web: Queue, queues: SqsQueues
    ) -> None:
        endpoint.fail(containing("to core", DENIED))
        bad, good = outgoing("to core", CORE), outgoing("to web", WEB)
        send(queues, bad, good)
        assert (is_sent(bad), is_sent(good)) == (False, True)
        assert failure(good) is None
        assert (texts(core), texts(web)) == ([], ["to web"])


class TestRefusedEntries:
    """A refused entry of a batch affects its own message alone."""

    @pytest.mark.parametrize(
        "code", ["InvalidMessageContents", "InvalidParameterValue", "SomethingNew"]
    )
    def test_an_entry_with_a_sender_fault_is_refused(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, waits: list[float], code: str
    ) -> None:
        entry = EntryRefusal(code, is_senders_fault=True, message="not like this")
        endpoint.fail({(SEND, 1): Partial({1: entry})})
        messages = [outgoing(each) for each in "abc"]
        send(queues, *messages)
        assert [is_sent(each) for each in messages] == [True, False, True]
        assert [refusal(each) for each in messages] == [None, f"{code}: not like this", None]
        assert [failure(each) for each in messages] == [None, None, None]
        assert texts(core) == ["a", "c"]
        assert endpoint.calls[SEND] == 1
        assert not waits

    @pytest.mark.parametrize(
        "refusal",
        [
            EntryRefusal("InternalError", is_senders_fault=False),
            EntryRefusal("InternalFailure", is_senders_fault=False),
            EntryRefusal("ServiceUnavailable", is_senders_fault=False),
            EntryRefusal("RequestThrottled", is_senders_fault=True),
            EntryRefusal("ThrottlingException", is_senders_fault=True),
            EntryRefusal("OverLimit", is_senders_fault=True),
            EntryRefusal("KmsThrottled", is_senders_fault=True),
            EntryRefusal("KmsAccessDenied", is_senders_fault=True),
            EntryRefusal("KMS.DisabledException", is_senders_fault=True),
        ],
        ids=lambda refusal: refusal.code,
    )
    def test_an_entry_with_a_service_fault_is_retried_alone(
        self,
        endpoint: Endpoint,
        core: Queue,
        queues: SqsQueues,
        waits: list[float],
        refusal: EntryRefusal,
    ) -> None:
        endpoint.fail({(SEND, 1): Partial({1: refusal})})
        messages = [outgoing(each) for each in "abc"]
        run_ids = [each.run_id for each in messages]
        send(queues, *messages)
        assert all(is_sent(each) and failure(each) is None for each in messages)
        assert texts(core) == ["a", "c", "b"]
        assert sizes(endpoint) == [3, 1]
        assert len(waits) == 1
        assert [each.run_id == run_id for each, run_id in zip(messages, run_ids, strict=True)] == [
            True,
            False,
            True,
        ]
        assert [each.text for each in core.messages] == [
            each.text for each in (messages[0], messages[2], messages[1])
        ]

    def test_an_entry_with_a_lasting_service_fault_fails(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        entry = EntryRefusal("InternalError", is_senders_fault=False, message="sorry")
        endpoint.fail(
            lambda call: (
                Partial(
                    {
                        n: entry
                        for n, each in enumerate(call.request["Entries"])
                        if each["MessageBody"].endswith("bad")
                    }
                )
                if call.operation == SEND
                else None
            )
        )
        messages = [outgoing(each) for each in ("a", "bad", "c")]
        send(queues, *messages)
        assert [is_sent(each) for each in messages] == [True, False, True]
        assert failure(messages[1]) == f"sending to queue {CORE}: InternalError: sorry"
        assert refusal(messages[1]) is None
        assert texts(core) == ["a", "c"]
        assert endpoint.calls[SEND] == 3

    def test_an_entry_with_a_sender_fault_on_retry_is_refused(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        passing = EntryRefusal("InternalError", is_senders_fault=False)
        final = EntryRefusal("InvalidMessageContents", is_senders_fault=True, message="no")
        endpoint.fail({(SEND, 1): Partial({0: passing}), (SEND, 2): Partial({0: final})})
        message = outgoing()
        send(queues, message)
        assert refusal(message) == "InvalidMessageContents: no"
        assert (is_sent(message), failure(message)) == (False, None)
        assert not core.messages

    def test_the_last_fault_is_the_reason(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        passing = EntryRefusal("InternalError", is_senders_fault=False)
        endpoint.fail({(SEND, 1): Partial({0: passing}), (SEND, None): THROTTLED})
        message = outgoing()
        send(queues, message)
        assert "RequestThrottled" in (failure(message) or "")
        assert "InternalError" not in (failure(message) or "")
        assert not core.messages


CONTENT: Final = [
    "BatchRequestTooLong",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "AWS.SimpleQueueService.BatchRequestTooLong",
]


class TestRefusedCalls:
    """A batch that is refused whole is split until the faulty entry is alone."""

    @pytest.mark.parametrize("code", CONTENT)
    @pytest.mark.parametrize("position", range(10))
    def test_other_entries_of_a_refused_call_are_sent_once(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, code: str, position: int
    ) -> None:
        endpoint.fail(containing("poison", Refusal(400, code, "not like this")))
        messages = [outgoing("poison" if n == position else f"{n}") for n in range(10)]
        send(queues, *messages)
        assert sorted(texts(core)) == [f"{n}" for n in range(10) if n != position]
        assert [n for n, each in enumerate(messages) if not is_sent(each)] == [position]
        assert failure(messages[position]) is None
        assert "not like this" in (refusal(messages[position]) or "")

    def test_every_faulty_entry_of_a_refused_call_is_refused(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        endpoint.fail(containing("poison", Refusal(400, "InvalidMessageContents")))
        messages = [outgoing("poison" if n in {0, 4, 5, 9} else f"{n}") for n in range(10)]
        send(queues, *messages)
        assert sorted(texts(core)) == ["1", "2", "3", "6", "7", "8"]
        assert [n for n, each in enumerate(messages) if refusal(each)] == [0, 4, 5, 9]

    def test_a_batch_that_is_too_long_is_split(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, waits: list[float]
    ) -> None:
        endpoint.fail(
            lambda call: (
                Refusal(400, "BatchRequestTooLong")
                if len(call.request.get("Entries", ())) > 3
                else None
            )
        )
        messages = [outgoing(f"{n}") for n in range(10)]
        send(queues, *messages)
        assert all(is_sent(each) for each in messages)
        assert sorted(texts(core)) == [f"{n}" for n in range(10)]
        assert not waits

    def test_each_half_of_a_split_batch_is_retried_by_itself(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        endpoint.fail({(SEND, 1): Refusal(400, "BatchRequestTooLong"), (SEND, 3): THROTTLED})
        messages = [outgoing(f"{n}") for n in range(4)]
        send(queues, *messages)
        assert all(is_sent(each) for each in messages)
        assert texts(core) == ["0", "1", "2", "3"]
        assert sizes(endpoint) == [4, 2, 2, 2]


PASSING: Final = [
    pytest.param(THROTTLED, id="throttled"),
    pytest.param(Refusal(403, "RequestThrottled"), id="throttled, as 403"),
    pytest.param(Refusal(400, "ThrottlingException"), id="throttled, by its other name"),
    pytest.param(Refusal(429, "SlowDown"), id="429"),
    pytest.param(Refusal(400, "TooManyRequestsException"), id="too many requests"),
    pytest.param(Refusal(403, "OverLimit"), id="over limit"),
    pytest.param(Refusal(400, "KMS.ThrottlingException"), id="KMS throttling"),
    pytest.param(Refusal(400, "KMS.InvalidStateException"), id="KMS key state"),
    pytest.param(SERVER_ERROR, id="500"),
    pytest.param(Refusal(503, "ServiceUnavailable"), id="503"),
    pytest.param(RESET, id="reset"),
]


class TestStaleConnections:
    """A connection that the service closed is replaced at once."""

    def test_the_first_retry_does_not_wait(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, waits: list[float]
    ) -> None:
        send(queues, outgoing("warm"))
        endpoint.fail({(SEND, 2): RESET})
        send(queues, outgoing("text"))
        assert texts(core) == ["warm", "text"]
        assert waits == []

    def test_the_second_retry_waits(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, waits: list[float]
    ) -> None:
        endpoint.fail({(SEND, 1): RESET, (SEND, 2): RESET})
        send(queues, outgoing("text"))
        assert texts(core) == ["text"]
        assert len(waits) == 1


class TestTryingAgain:
    """A transient failure is retried with backoff, as a new message."""

    @pytest.mark.parametrize("fault", PASSING)
    def test_a_call_is_tried_up_to_three_times(
        self,
        endpoint: Endpoint,
        core: Queue,
        queues: SqsQueues,
        waits: list[float],
        fault: Fault,
    ) -> None:
        endpoint.fail({(SEND, 1): fault, (SEND, 2): fault})
        messages = [outgoing(each) for each in "ab"]
        send(queues, *messages)
        assert all(is_sent(each) for each in messages)
        assert [failure(each) for each in messages] == [None, None]
        assert texts(core) == ["a", "b"]
        assert endpoint.calls == {FIND: 1, SEND: 3}
        assert len(waits) == (1 if fault is RESET else 2)

    @pytest.mark.parametrize("fault", PASSING)
    def test_after_three_tries_the_message_fails(
        self,
        endpoint: Endpoint,
        core: Queue,
        queues: SqsQueues,
        waits: list[float],
        fault: Fault,
    ) -> None:
        endpoint.fail({(SEND, None): fault})
        messages = [outgoing(each) for each in "ab"]
        send(queues, *messages)
        for each in messages:
            assert (is_sent(each), refusal(each)) == (False, None)
            assert (failure(each) or "").startswith(f"sending to queue {CORE}: ")
            assert "\n" not in (failure(each) or "")
            if isinstance(fault, Refusal):
                assert fault.code in (failure(each) or "")
        assert not core.messages
        assert endpoint.calls[SEND] == 3
        assert len(waits) == (1 if fault is RESET else 2)

    def test_backoff_grows_with_jitter(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, waits: list[float]
    ) -> None:
        random.seed(1)
        endpoint.fail({(SEND, None): THROTTLED})
        for _ in range(20):
            send(queues, outgoing())
        first, second = waits[::2], waits[1::2]
        assert all(0 <= wait <= 1 for wait in first)
        assert all(0 <= wait <= 2 for wait in second)
        assert max(second) > 1
        assert len(set(waits)) > 30
        assert not core.messages

    def test_each_attempt_has_its_own_run_id(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        endpoint.fail({(SEND, 1): THROTTLED, (SEND, 2): THROTTLED})
        message = outgoing()
        send(queues, message)
        bodies = [
            call.request["Entries"][0]["MessageBody"]
            for call in endpoint.log
            if call.operation == SEND
        ]
        assert len(set(bodies)) == 3
        assert [each.text for each in core.messages] == [bodies[-1]] == [message.text]

    def test_a_retry_after_a_lost_reply_has_another_run_id(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        endpoint.fail({(SEND, 1): LOST_REPLY})
        messages = [outgoing(each) for each in "ab"]
        send(queues, *messages)
        assert texts(core) == ["a", "b", "a", "b"]
        assert len({each.text for each in core.messages}) == 4
        assert [each.text for each in core.messages[2:]] == [each.text for each in messages]

    def test_a_call_times_out_if_no_reply_comes(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        endpoint.fail({(SEND, 1): Held()})
        message = outgoing("text")
        send(queues, message)
        assert is_sent(message)
        assert texts(core) == ["text", "text"]
        assert core.messages[1].text == message.text

    @pytest.mark.parametrize(
        "fault",
        [DENIED, Refusal(403, "AccessDenied"), Refusal(403, "ExpiredToken"), Refusal(400, "New")],
        ids=lambda fault: fault.code,
    )
    def test_an_error_that_only_an_operator_can_correct_is_not_retried(
        self,
        endpoint: Endpoint,
        core: Queue,
        queues: SqsQueues,
        waits: list[float],
        fault: Refusal,
    ) -> None:
        endpoint.fail({(SEND, None): fault})
        message = outgoing()
        send(queues, message)
        assert (is_sent(message), refusal(message)) == (False, None)
        assert fault.code in (failure(message) or "")
        assert endpoint.calls[SEND] == 1
        assert not waits
        assert not core.messages


class TestDeniedKeys:
    """A queue whose KMS key the role may not use: the failure names that as the cause."""

    CAUSE: Final = (
        f"sending to queue {CORE}: the function's role may not use the KMS key of the queue "
        "(it needs kms:GenerateDataKey and kms:Decrypt); "
    )

    def test_a_denied_call_names_the_key_as_the_cause(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, waits: list[float]
    ) -> None:
        endpoint.fail({(SEND, None): KEY_DENIED})
        message = outgoing()
        send(queues, message)
        assert (is_sent(message), refusal(message)) == (False, None)
        reason = failure(message) or ""
        assert reason.startswith(self.CAUSE)
        assert "KMS.AccessDeniedException" in reason
        assert reason.endswith(KEY_DENIED.message)
        assert endpoint.calls[SEND] == 1
        assert not waits
        assert not core.messages

    @pytest.mark.parametrize("code", ["KMS.AccessDeniedException", "KmsAccessDenied"])
    def test_a_denied_entry_names_the_key_as_the_cause(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, code: str
    ) -> None:
        entry = EntryRefusal(code, is_senders_fault=True, message="not authorized")
        endpoint.fail({(SEND, None): Partial({0: entry})})
        message = outgoing()
        send(queues, message)
        assert (is_sent(message), refusal(message)) == (False, None)
        assert failure(message) == f"{self.CAUSE}{code}: not authorized"
        assert not core.messages

    def test_a_denied_call_without_the_older_code_names_the_key_as_the_cause(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        # The header with the older protocol's code may be absent.
        endpoint.fail({(SEND, None): Refusal(403, "KMS.AccessDeniedException", "not authorized")})
        message = outgoing()
        send(queues, message)
        assert (failure(message) or "").startswith(self.CAUSE)
        assert endpoint.calls[SEND] == 1
        assert not core.messages


class TestMissingQueues:
    """A missing queue is a user error until the queue is created."""

    def test_a_message_to_a_missing_queue_is_refused(
        self, endpoint: Endpoint, queues: SqsQueues, waits: list[float]
    ) -> None:
        message = outgoing()
        send(queues, message)
        assert refusal(message) == f"no queue {CORE}"
        assert (is_sent(message), failure(message)) == (False, None)
        assert endpoint.calls == {FIND: 1}
        assert not waits

    def test_a_missing_queue_is_looked_up_once(self, endpoint: Endpoint, queues: SqsQueues) -> None:
        messages = [outgoing() for _ in range(35)]
        send(queues, *messages)
        assert all(refusal(each) for each in messages)
        assert endpoint.calls == {FIND: 1}

    def test_a_missing_queue_does_not_affect_others(self, core: Queue, queues: SqsQueues) -> None:
        bad, good = outgoing(queue=WEB), outgoing("good")
        send(queues, bad, good)
        assert refusal(bad) == f"no queue {WEB}"
        assert is_sent(good)
        assert texts(core) == ["good"]

    def test_a_queue_created_later_is_used(self, endpoint: Endpoint, queues: SqsQueues) -> None:
        send(queues, outgoing())
        core = endpoint.add_queue(CORE)
        message = outgoing("text")
        send(queues, message)
        assert is_sent(message)
        assert texts(core) == ["text"]

    def test_a_deleted_queue_is_noticed(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        send(queues, outgoing())
        assert core.messages
        del endpoint.queues[CORE]
        message = outgoing()
        send(queues, message)
        assert refusal(message) == f"no queue {CORE}"
        assert failure(message) is None

    def test_a_recreated_queue_is_found(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        send(queues, outgoing())
        assert core.messages
        endpoint.fail({(SEND, 2): Refusal(400, "QueueDoesNotExist")})
        message = outgoing("text")
        send(queues, message)
        assert is_sent(message)
        assert endpoint.calls == {FIND: 2, SEND: 3}

    def test_a_recreated_queue_that_is_not_ready_yet_is_tried_again(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, waits: list[float]
    ) -> None:
        missing = Refusal(400, "QueueDoesNotExist")
        endpoint.fail({(SEND, 1): missing, (SEND, 2): missing})
        message = outgoing("text")
        send(queues, message)
        assert is_sent(message)
        assert texts(core) == ["text"]
        assert len(waits) == 2

    @pytest.mark.parametrize(
        "code", ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"]
    )
    def test_either_error_code_means_that_the_queue_is_missing(
        self, endpoint: Endpoint, queues: SqsQueues, code: str
    ) -> None:
        endpoint.fail({(FIND, None): Refusal(400, code)})
        message = outgoing()
        send(queues, message)
        assert refusal(message) == f"no queue {CORE}"

    @pytest.mark.parametrize(
        "name", ["lava-demo-no good", "lava-demo-" + "x" * 80, "lava-demo-\u00e9"]
    )
    def test_an_invalid_queue_name_is_a_missing_queue(self, queues: SqsQueues, name: str) -> None:
        message = outgoing(queue=name)
        send(queues, message)
        assert refusal(message) == f"no queue {ascii(name)[1:-1]}"

    @pytest.mark.parametrize("fault", PASSING)
    def test_a_lookup_is_retried(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, waits: list[float], fault: Fault
    ) -> None:
        endpoint.fail({(FIND, 1): fault, (FIND, 2): fault})
        message = outgoing("text")
        send(queues, message)
        assert is_sent(message)
        assert texts(core) == ["text"]
        assert endpoint.calls == {FIND: 3, SEND: 1}
        assert len(waits) == (1 if fault is RESET else 2)

    @pytest.mark.parametrize(("fault", "calls"), [(THROTTLED, 3), (DENIED, 1), (RESET, 3)])
    def test_a_message_fails_if_the_lookup_fails(
        self, endpoint: Endpoint, queues: SqsQueues, fault: Fault, calls: int
    ) -> None:
        endpoint.fail({(FIND, None): fault})
        message = outgoing()
        send(queues, message)
        assert refusal(message) is None
        assert (failure(message) or "").startswith(f"sending to queue {CORE}: ")
        assert endpoint.calls == {FIND: calls}


class TestFinding:
    """Queues are looked up concurrently, once each, before anything is sent."""

    @pytest.mark.parametrize(("fault", "calls"), [(THROTTLED, 3), (DENIED, 1), (RESET, 3)], ids=str)
    def test_a_failed_lookup_fails_all_batches_of_the_queue(
        self, endpoint: Endpoint, queues: SqsQueues, fault: Fault, calls: int
    ) -> None:
        endpoint.fail({(FIND, None): fault})
        messages = [outgoing() for _ in range(35)]
        send(queues, *messages)
        assert endpoint.calls == {FIND: calls}
        assert {refusal(each) for each in messages} == {None}
        assert len({failure(each) for each in messages}) == 1

    def test_all_queues_are_looked_up_before_anything_is_sent(
        self, endpoint: Endpoint, core: Queue, web: Queue, queues: SqsQueues
    ) -> None:
        send(queues, *(outgoing(queue=queue) for queue in (CORE, WEB) for _ in range(25)))
        assert [call.operation for call in endpoint.log] == [FIND] * 2 + [SEND] * 6
        assert (len(core.messages), len(web.messages)) == (25, 25)

    @pytest.mark.parametrize("is_made_anew", [False, True], ids=["gone", "made anew"])
    def test_a_queue_deleted_between_batches_refuses_the_rest(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues, *, is_made_anew: bool
    ) -> None:
        send(queues, outgoing())
        assert core.messages
        gone = Refusal(400, "QueueDoesNotExist")
        seen: set[str] = set()

        def once(call: Call) -> Fault | None:
            """Refuse each batch, the first time that it comes."""
            if call.operation != SEND:
                return None if is_made_anew else gone
            text = call.request["Entries"][0]["MessageBody"].partition(" ")[2]
            is_known = text in seen
            seen.add(text)
            return None if is_known else gone

        endpoint.fail(once)
        messages = [outgoing(str(number)) for number in range(200)]
        send(queues, *messages)
        assert [is_sent(each) for each in messages] == [is_made_anew] * 200
        assert {refusal(each) for each in messages} == (
            {None} if is_made_anew else {f"no queue {CORE}"}
        )
        assert {failure(each) for each in messages} == {None}


class TestOddAnswers:
    """An answer that SQS never gives fails its message, and no other."""

    @pytest.fixture
    def odd(self, endpoint: Endpoint, waits: list[float]) -> Callable[[dict[str, Any]], SqsQueues]:
        """Return queues, of which one answers so."""

        def make(answer: dict[str, Any]) -> SqsQueues:
            client = endpoint.clients[1]

            def send(**request: Any) -> Any:
                is_odd = request["QueueUrl"].endswith(WEB)
                return answer if is_odd else client.send_message_batch(**request)

            made: Any = SimpleNamespace(get_queue_url=client.get_queue_url, send_message_batch=send)
            return SqsQueues(made, waits.append)

        return make

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            pytest.param({}, "the answer of SQS does not mention the message", id="nothing"),
            pytest.param(
                {"Successful": [], "Failed": []},
                "the answer of SQS does not mention the message",
                id="none",
            ),
            pytest.param({"Failed": [{"Id": "0", "Code": "Odd"}]}, "Odd: ", id="no-fault-named"),
            pytest.param({"Failed": [{"Id": "0"}]}, ": ", id="no-code"),
            pytest.param({"Successful": [{"Id": "7"}]}, "IndexError: ", id="unknown-id"),
            pytest.param({"Successful": [{}]}, "KeyError: 'Id'", id="no-id"),
        ],
    )
    @pytest.mark.usefixtures("web")
    def test_an_odd_answer_fails_the_message(
        self,
        core: Queue,
        odd: Callable[[dict[str, Any]], SqsQueues],
        answer: dict[str, Any],
        reason: str,
    ) -> None:
        message, other = outgoing(queue=WEB), outgoing()
        send(odd(answer), message, other)
        assert (is_sent(message), refusal(message)) == (False, None)
        assert (failure(message) or "").startswith(f"sending to queue {WEB}: {reason}")
        is_unexpected = reason.startswith(("IndexError", "KeyError"))
        assert message.kind == ("unexpected" if is_unexpected else "aws_error")
        assert is_sent(other)
        assert len(core.messages) == 1

    @pytest.mark.usefixtures("core")
    def test_an_odd_answer_to_a_lookup_fails_that_queue_alone(
        self, endpoint: Endpoint, waits: list[float]
    ) -> None:
        client = endpoint.clients[1]

        def find(**request: Any) -> Any:
            return {} if request["QueueName"] == WEB else client.get_queue_url(**request)

        made: Any = SimpleNamespace(
            get_queue_url=find, send_message_batch=client.send_message_batch
        )
        message, other = outgoing(queue=WEB), outgoing()
        send(SqsQueues(made, waits.append), message, other)
        assert "KeyError: 'QueueUrl'" in (failure(message) or "")
        assert is_sent(other)

    def test_a_reason_is_logged_once_for_a_split_batch(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        endpoint.fail(
            lambda call: (
                Refusal(400, "BatchRequestTooLong")
                if len(call.request.get("Entries", ())) > 1
                else DENIED
                if call.operation == SEND
                else None
            )
        )
        messages = [outgoing() for _ in range(5)]
        send(queues, *messages)
        assert not core.messages
        assert all((failure(each) or "").count("sending to queue") == 1 for each in messages)

    @pytest.mark.usefixtures("core", "web")
    def test_a_fifo_queue_refuses_messages_without_a_group(
        self, endpoint: Endpoint, queues: SqsQueues
    ) -> None:
        said = "The request must contain the parameter MessageGroupId."
        wants = Refusal(400, "MissingParameter", said)
        endpoint.fail(
            lambda call: wants if call.request.get("QueueUrl", "").endswith(WEB) else None
        )
        messages = [outgoing(queue=queue) for queue in (CORE, WEB, WEB)]
        send(queues, *messages)
        assert [is_sent(each) for each in messages] == [True, False, False]
        assert [said in (refusal(each) or "") for each in messages] == [False, True, True]


class TestTime:
    """A call starts only if it can end before the deadline."""

    def test_everything_is_sent_with_enough_time(self, core: Queue, queues: SqsQueues) -> None:
        message = outgoing()
        queues.send([message], Time().deadline, Reserve.PARK)
        assert is_sent(message)
        assert core.messages

    def test_nothing_is_sent_out_of_time(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        time = Time()
        time.left = 1.0
        messages = [outgoing(queue=queue) for queue in (CORE, WEB) for _ in range(12)]
        queues.send(messages, time.deadline, Reserve.PARK)
        for message in messages:
            assert (is_sent(message), refusal(message)) == (False, None)
            assert failure(message) == f"sending to queue {message.queue}: too little time left"
        assert not endpoint.calls
        assert not core.messages

    def test_a_call_is_not_retried_out_of_time(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        time = Time()

        def fail(call: Call) -> Fault | None:
            if call.operation != SEND:
                return None
            time.left = 1.0
            return THROTTLED

        endpoint.fail(fail)
        message = outgoing()
        queues.send([message], time.deadline, Reserve.PARK)
        assert "too little time left to try again after" in (failure(message) or "")
        assert "RequestThrottled" in (failure(message) or "")
        assert endpoint.calls[SEND] == 1
        assert not core.messages

    def test_a_refused_batch_is_not_split_out_of_time(
        self, endpoint: Endpoint, core: Queue, queues: SqsQueues
    ) -> None:
        time = Time()

        def fail(call: Call) -> Fault | None:
            if call.operation != SEND or len(call.request["Entries"]) <= 2:
                return None
            time.left = 1.0
            return Refusal(400, "BatchRequestTooLong")

        endpoint.fail(fail)
        messages = [outgoing() for _ in range(4)]
        queues.send(messages, time.deadline, Reserve.PARK)
        assert all("too little time left" in (failure(each) or "") for each in messages)
        assert all(refusal(each) is None for each in messages)
        assert not core.messages

    def test_the_reserve_is_left_for_later_steps(self, core: Queue, queues: SqsQueues) -> None:
        time = Time()
        time.left = 10.0
        late, early = outgoing("late"), outgoing("early")
        queues.send([late], time.deadline, Reserve.SEND)
        queues.send([early], time.deadline, Reserve.PARK)
        assert "too little time left" in (failure(late) or "")
        assert texts(core) == ["early"]

    @pytest.mark.usefixtures("core")
    @pytest.mark.parametrize("left", [13.5, 12.5])
    def test_a_lookup_leaves_time_to_send(
        self, endpoint: Endpoint, queues: SqsQueues, left: float
    ) -> None:
        """Each call might take its longest; none is begun that could not end then."""
        time = Time()

        def slow(_: Call) -> None:
            time.left -= MAX_CALL_SECONDS

        time.left = left
        endpoint.fail(slow)
        message = outgoing()
        queues.send([message], time.deadline, Reserve.PARK)
        is_enough = left > 2 * MAX_CALL_SECONDS + MARGIN_SECONDS
        assert (is_sent(message), time.left > MARGIN_SECONDS) == (is_enough, True)
        assert endpoint.calls == {FIND: 1, SEND: 1} if is_enough else {FIND: 1}
        assert is_enough or failure(message) == f"sending to queue {CORE}: too little time left"

    def test_half_of_a_short_timeout_is_left(self, core: Queue, queues: SqsQueues) -> None:
        time = Time(left=3.0)
        early, late = outgoing("early"), outgoing("late")
        time.left = 1.7
        queues.send([early], time.deadline, Reserve.SEND)
        time.left = 1.6
        queues.send([late], time.deadline, Reserve.SEND)
        assert texts(core) == ["early"]
        assert "too little time left" in (failure(late) or "")
