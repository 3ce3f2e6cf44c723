"""Queues: batches within the service's limits, and the outcome of each message."""

import json
import random
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED, Deadline, Reserve
from lava_s3trigger.aws.sqs import MAX_BYTES, SqsQueues
from lava_s3trigger.dispatch import PendingMessage
from tests.aws_in_memory import (
    DENIED,
    KEY_DENIED,
    LOST_REPLY,
    OPERATIONS,
    RESET,
    SERVER_ERROR,
    THROTTLED,
    Call,
    Endpoint,
    EntryRefusal,
    Fault,
    Held,
    Partial,
    Queue,
    Refusal,
)
from tests.build import nested
from tests.tables import cases

CORE: Final = "lava-demo-core"
WEB: Final = "lava-demo-web"
SEND: Final = "SendMessageBatch"
FIND: Final = "GetQueueUrl"


def outgoing(text: str = "text", queue: str = CORE, delay: int = 0) -> PendingMessage:
    """Return a message whose text is its run id and the given text."""
    return PendingMessage(queue, lambda run_id: f"{run_id} {text}", delay)


def sized(length: int, queue: str = CORE) -> PendingMessage:
    """Return a message of this many bytes."""
    return PendingMessage(queue, lambda run_id: run_id.ljust(length, "x")[:length])


def texts(queue: Queue) -> list[str]:
    """Return what follows the run ids of the messages in a queue."""
    return [message.text.partition(" ")[2] for message in queue.messages]


def batches(endpoint: Endpoint) -> list[Any]:
    """Return the entries of each call that sends."""
    return [call.request["Entries"] for call in endpoint.log if call.operation == SEND]


def sizes(endpoint: Endpoint) -> list[int]:
    """Return the number of entries of each call that sends."""
    return list(map(len, batches(endpoint)))


class Sqs:
    """Queues on the endpoint, and what sends to them; waiting takes no time."""

    def __init__(self, endpoint: Endpoint, *names: str) -> None:
        self.endpoint = endpoint
        for name in names:
            endpoint.add_queue(name)
        self.waits: list[float] = []
        """For how long was waited, in seconds."""
        self.queues = SqsQueues(endpoint.clients[1], self.waits.append)

    @property
    def core(self) -> Queue:
        return self.endpoint.queues[CORE]

    @property
    def web(self) -> Queue:
        return self.endpoint.queues[WEB]

    def fail_sends(self, fault: Callable[[Call], Fault | None]) -> None:
        """Have calls that send fail; others work."""
        self.endpoint.fail(lambda call: fault(call) if call.operation == SEND else None)

    def send(self, *messages: PendingMessage) -> tuple[PendingMessage, ...]:
        """Send messages, and return them."""
        self.queues.send(messages, UNLIMITED, Reserve.PARK)
        return messages


@pytest.fixture
def sqs(endpoint: Endpoint) -> Sqs:
    """With the queues of the workers core and web."""
    return Sqs(endpoint, CORE, WEB)


@pytest.fixture
def bare(endpoint: Endpoint) -> Sqs:
    """Without a queue."""
    return Sqs(endpoint)


def refusal(message: PendingMessage) -> str | None:
    """Return why no queue will ever accept the message."""
    return message.reason if message.outcome == "user_error" else None


def failure(message: PendingMessage) -> str | None:
    """Return why the message was not sent this time."""
    return message.reason if message.outcome == "failed" else None


def outcomes(messages: Iterable[PendingMessage]) -> str:
    """Return a letter for the outcome of each message: sent, refused or failed."""
    letters = {"dispatched": "s", "user_error": "r", "failed": "f"}
    return "".join(letters[each.outcome] for each in messages)


def test_each_message_arrives_with_its_delay(sqs: Sqs) -> None:
    messages = sqs.send(*(outgoing(str(delay), delay=delay) for delay in (0, 900, 30)))
    assert outcomes(messages) == "sss"
    assert {each.reason for each in messages} == {None}
    assert [(each.text, each.delay) for each in sqs.core.messages] == [
        (each.text, each.delay) for each in messages
    ]


def test_a_message_nested_too_deeply_is_refused(sqs: Sqs) -> None:
    value = nested(100_000)
    deep, _ = sqs.send(PendingMessage(CORE, lambda _: json.dumps(value)), outgoing("good"))
    assert refusal(deep) == "the message is nested too deeply"
    assert texts(sqs.core) == ["good"]


HALF: Final = MAX_BYTES // 2


class TestBatches:
    """Messages go out in as few calls as the service's limits allow."""

    @cases(
        ("lengths", "expected"),
        {
            "1-message": ([40], [1]),
            "10-messages": ([40] * 10, [10]),
            "11-messages": ([40] * 11, [1, 10]),
            "25-messages": ([40] * 25, [5, 10, 10]),
            "one-that-fills-a-call": ([MAX_BYTES], [1]),
            "two-that-fill-it": ([HALF] * 2, [2]),
            "and-a-byte-more": ([HALF, HALF, 1], [1, 2]),
            "two-that-are-too-much": ([HALF, HALF + 1], [1, 1]),
            "a-large-one-between-small-ones": ([1, MAX_BYTES, 1], [1, 1, 1]),
            "two-to-a-call": ([400_000] * 5, [1, 2, 2]),
            "two-full-calls": ([MAX_BYTES, HALF, HALF], [1, 2]),
        },
    )
    def test_a_batch_has_at_most_10_entries_and_1_mib(
        self, sqs: Sqs, lengths: list[int], expected: list[int]
    ) -> None:
        messages = sqs.send(*map(sized, lengths))
        assert sorted(sizes(sqs.endpoint)) == expected
        assert sorted(each.text for each in sqs.core.messages) == sorted(
            each.text for each in messages
        )
        assert outcomes(messages) == "s" * len(messages)

    def test_only_the_message_over_the_sqs_limit_is_refused(self, sqs: Sqs) -> None:
        messages = sqs.send(outgoing("before"), sized(MAX_BYTES + 1), outgoing("after"))
        assert sizes(sqs.endpoint) == [2]
        assert texts(sqs.core) == ["before", "after"]
        assert outcomes(messages) == "srs"
        said = f"the message has {MAX_BYTES + 1} bytes; SQS takes at most {MAX_BYTES}"
        assert refusal(messages[1]) == said

    def test_only_the_message_over_the_queues_limit_is_refused(self, bare: Sqs) -> None:
        core = bare.endpoint.add_queue(CORE, largest=1024)
        messages = bare.send(*map(sized, (1023, 1025, 1024)))
        assert [len(each.text) for each in core.messages] == [1023, 1024]
        assert outcomes(messages) == "srs"
        assert "1024 bytes" in (refusal(messages[1]) or "")
        assert bare.endpoint.calls == {FIND: 1, SEND: 1}

    def test_queues_are_sent_to_concurrently(self, sqs: Sqs) -> None:
        held = {CORE: Held(), WEB: Held()}
        sqs.fail_sends(lambda call: held[call.request["QueueUrl"].rpartition("/")[2]])
        arrived: list[bool] = []

        def let_go() -> None:
            # Replies are held until both calls are under way.
            arrived.extend(each.arrived.wait(30) for each in held.values())
            for each in held.values():
                each.release()

        watcher = threading.Thread(target=let_go)
        watcher.start()
        sqs.send(outgoing("a", CORE), outgoing("b", WEB))
        watcher.join()
        assert arrived == [True, True]
        assert sqs.endpoint.calls[SEND] == 2
        assert (texts(sqs.core), texts(sqs.web)) == (["a"], ["b"])


@dataclass(frozen=True)
class Case:
    """What goes wrong with a batch of the messages a, b and c, and the outcome."""

    faults: Mapping[Any, Fault]
    outcomes: str
    arrived: str
    sizes: tuple[int, ...]
    """Entries of the calls."""
    waits: int = 0
    reason: str = ""
    """A pattern of the reason of each message that was not sent."""


PASSING: Final[dict[str, Fault]] = {
    "throttled": THROTTLED,
    "throttled-as-403": Refusal(403, "RequestThrottled"),
    "throttled-by-its-other-name": Refusal(400, "ThrottlingException"),
    "429": Refusal(429, "SlowDown"),
    "too-many-requests": Refusal(400, "TooManyRequestsException"),
    "over-limit": Refusal(403, "OverLimit"),
    "KMS-throttling": Refusal(400, "KMS.ThrottlingException"),
    "KMS-key-state": Refusal(400, "KMS.InvalidStateException"),
    "500": SERVER_ERROR,
    "503": Refusal(503, "ServiceUnavailable"),
    "reset": RESET,
}
FAILED: Final = f"sending to queue {CORE}: "
KEY_CAUSE: Final = re.escape(
    f"{FAILED}the function's role may not use the KMS key of the queue "
    "(it needs kms:GenerateDataKey and kms:Decrypt); "
)


def refused(code: str, position: int = 1, *, is_senders_fault: bool = True) -> Partial:
    """Return the fault that refuses one entry, by default the second."""
    return Partial({position: EntryRefusal(code, is_senders_fault, "no")})


INTERNAL: Final = refused("InternalError", is_senders_fault=False)
CASES: Final = {
    "nothing": Case({}, "sss", "abc", (3,)),
    # A refused entry affects its own message only.
    **{
        f"entry-{code}": Case({(SEND, 1): refused(code)}, "srs", "ac", (3,), reason=f"{code}: no")
        for code in ("InvalidMessageContents", "InvalidParameterValue", "SomethingNew")
    },
    **{
        f"entry-{code}": Case(
            {(SEND, 1): refused(code, is_senders_fault=is_senders_fault)}, "sss", "acb", (3, 1), 1
        )
        for is_senders_fault, codes in (
            (False, ("InternalError", "InternalFailure", "ServiceUnavailable")),
            (True, ("RequestThrottled", "ThrottlingException", "OverLimit", "KmsThrottled")),
            (True, ("KmsAccessDenied", "KMS.DisabledException")),
        )
        for code in codes
    },
    "entry-lasting": Case(
        {(SEND, 1): INTERNAL, (SEND, None): refused("InternalError", 0, is_senders_fault=False)},
        *("sfs", "ac", (3, 1, 1), 2, f"{FAILED}InternalError: no"),
    ),
    "entry-refused-on-retry": Case(
        {(SEND, 1): INTERNAL, (SEND, 2): refused("Invalid", 0)},
        *("srs", "ac", (3, 1), 1, "Invalid: no"),
    ),
    "the-last-fault-is-the-reason": Case(
        {(SEND, 1): INTERNAL, (SEND, None): THROTTLED},
        *("sfs", "ac", (3, 1, 1), 2, f"{FAILED}(?!.*InternalError).*RequestThrottled.*"),
    ),
    # A call is tried up to three times, unless only an operator can correct it. A
    # connection that the service closed is replaced at once: the first retry does not wait.
    "reset-once": Case({(SEND, 1): RESET}, "sss", "abc", (3, 3), 0),
    **{
        f"{name}-twice": Case(
            {(SEND, 1): fault, (SEND, 2): fault},
            *("sss", "abc", (3, 3, 3), 1 if fault is RESET else 2),
        )
        for name, fault in PASSING.items()
    },
    **{
        f"{name}-always": Case(
            {(SEND, None): fault},
            *("fff", "", (3, 3, 3), 1 if fault is RESET else 2),
            FAILED + (f".*{fault.code}.*" if isinstance(fault, Refusal) else ".*"),
        )
        for name, fault in PASSING.items()
    },
    **{
        f"{fault.status}-{fault.code}": Case(
            {(SEND, None): fault}, "fff", "", (3,), reason=f"{FAILED}.*{fault.code}.*"
        )
        for fault in (DENIED, Refusal(403, "ExpiredToken"), Refusal(400, "New"))
    },
    # A KMS key that the role may not use is named as the cause.
    "key": Case(
        {(SEND, None): KEY_DENIED},
        *("fff", "", (3,), 0),
        f"{KEY_CAUSE}.*KMS.AccessDeniedException.*{re.escape(KEY_DENIED.message)}",
    ),
    "key-without-the-older-code": Case(  # whose header may be absent
        {(SEND, None): Refusal(403, "KMS.AccessDeniedException", "not authorized")},
        *("fff", "", (3,), 0, f"{KEY_CAUSE}.*not authorized"),
    ),
    **{
        f"key-of-an-entry-{code}": Case(
            {(SEND, 1): refused(code), (SEND, None): refused(code, 0)},
            *("sfs", "ac", (3, 1, 1), 2, f"{KEY_CAUSE}{code}: no"),
        )
        for code in ("KMS.AccessDeniedException", "KmsAccessDenied")
    },
}


class TestFaults:
    """A transient failure is retried with backoff, each time as a new message."""

    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    def test_a_batch(self, sqs: Sqs, case: Case) -> None:
        sqs.endpoint.fail(case.faults)
        messages = sqs.send(*map(outgoing, "abc"))
        assert outcomes(messages) == case.outcomes
        assert "".join(texts(sqs.core)) == case.arrived
        assert tuple(sizes(sqs.endpoint)) == case.sizes
        assert len(sqs.waits) == case.waits
        assert sqs.endpoint.calls[FIND] == 1
        for message in messages:
            is_sent = message.outcome == "dispatched"
            assert is_sent or re.fullmatch(case.reason, message.reason or "")
        attempts = [entry["MessageBody"] for batch in batches(sqs.endpoint) for entry in batch]
        assert len(set(attempts)) == len(attempts)
        assert {each.text for each in sqs.core.messages} <= {each.text for each in messages}

    def test_backoff_grows_with_jitter(self, sqs: Sqs) -> None:
        random.seed(1)
        sqs.endpoint.fail({(SEND, None): THROTTLED})
        for _ in range(20):
            sqs.send(outgoing())
        first, second = sqs.waits[::2], sqs.waits[1::2]
        assert all(0 <= wait <= 1 for wait in first)
        assert all(0 <= wait <= 2 for wait in second)
        assert max(second) > 1
        assert len(set(sqs.waits)) > 30
        assert not sqs.core.messages

    @pytest.mark.parametrize("fault", [lambda: LOST_REPLY, Held], ids=["lost-reply", "no-reply"])
    def test_a_retry_after_a_lost_reply_has_another_run_id(
        self, sqs: Sqs, fault: Callable[[], Fault]
    ) -> None:
        sqs.endpoint.fail({(SEND, 1): fault()})
        messages = sqs.send(*map(outgoing, "ab"))
        assert outcomes(messages) == "ss"
        assert texts(sqs.core) == ["a", "b", "a", "b"]
        assert len({each.text for each in sqs.core.messages}) == 4
        assert [each.text for each in sqs.core.messages[2:]] == [each.text for each in messages]


CONTENT: Final = (
    *("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"),
    *("InvalidMessageContents", "InvalidParameterValue"),
)


class TestRefusedCalls:
    """A batch that is refused whole is split until the faulty entry is alone."""

    @pytest.mark.parametrize("code", CONTENT)
    @pytest.mark.parametrize(
        "poisoned", [*({n} for n in range(10)), {0, 4, 5, 9}], ids=lambda some: f"{sorted(some)}"
    )
    def test_other_entries_of_a_refused_call_are_sent_once(
        self, sqs: Sqs, code: str, poisoned: set[int]
    ) -> None:
        refusing = Refusal(400, code, "not like this")
        sqs.fail_sends(lambda call: refusing if "poison" in str(call.request) else None)
        messages = sqs.send(*(outgoing("poison" if n in poisoned else f"{n}") for n in range(10)))
        assert sorted(texts(sqs.core)) == [f"{n}" for n in range(10) if n not in poisoned]
        assert outcomes(messages) == "".join("r" if n in poisoned else "s" for n in range(10))
        assert all("not like this" in (messages[n].reason or "") for n in poisoned)

    def test_each_half_of_a_split_batch_is_retried_by_itself(self, sqs: Sqs) -> None:
        sqs.endpoint.fail({(SEND, 1): Refusal(400, "BatchRequestTooLong"), (SEND, 3): THROTTLED})
        assert outcomes(sqs.send(*map(outgoing, "0123"))) == "ssss"
        assert texts(sqs.core) == ["0", "1", "2", "3"]
        assert sizes(sqs.endpoint) == [4, 2, 2, 2]


GONE: Final = Refusal(400, "QueueDoesNotExist")


class TestMissingQueues:
    """A missing queue is a user error until the queue is created."""

    def test_messages_to_a_missing_queue_are_refused_until_it_is_created(self, bare: Sqs) -> None:
        messages = bare.send(*(outgoing() for _ in range(35)))
        assert {refusal(each) for each in messages} == {f"no queue {CORE}"}
        assert bare.endpoint.calls == {FIND: 1}
        assert not bare.waits
        core = bare.endpoint.add_queue(CORE)
        bare.send(outgoing("text"))
        assert texts(core) == ["text"]

    @pytest.mark.parametrize("times", [1, 2], ids=["ready", "ready-later"])
    def test_a_recreated_queue_is_found(self, sqs: Sqs, times: int) -> None:
        sqs.send(outgoing("first"))
        sqs.endpoint.fail({(SEND, 2 + n): GONE for n in range(times)})
        sqs.send(outgoing("text"))
        assert texts(sqs.core) == ["first", "text"]
        assert sqs.endpoint.calls == {FIND: times + 1, SEND: times + 2}
        assert len(sqs.waits) == times

    @pytest.mark.parametrize(
        "code", ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"]
    )
    def test_either_error_code_means_that_the_queue_is_missing(self, bare: Sqs, code: str) -> None:
        bare.endpoint.fail({(FIND, None): Refusal(400, code)})
        [message] = bare.send(outgoing())
        assert refusal(message) == f"no queue {CORE}"

    @pytest.mark.parametrize("name", ["lava no good", "lava-" + "x" * 85, "lava-\u00e9"])
    def test_an_invalid_queue_name_is_a_missing_queue(self, bare: Sqs, name: str) -> None:
        [message] = bare.send(outgoing(queue=name))
        assert refusal(message) == f"no queue {ascii(name)[1:-1]}"


class TestFinding:
    """Queues are looked up concurrently, once each, before anything is sent."""

    @pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
    def test_a_lookup_is_retried(self, sqs: Sqs, fault: Fault) -> None:
        sqs.endpoint.fail({(FIND, 1): fault, (FIND, 2): fault})
        sqs.send(outgoing("text"))
        assert texts(sqs.core) == ["text"]
        assert sqs.endpoint.calls == {FIND: 3, SEND: 1}
        assert len(sqs.waits) == (1 if fault is RESET else 2)

    @pytest.mark.parametrize(("fault", "calls"), [(THROTTLED, 3), (DENIED, 1), (RESET, 3)], ids=str)
    def test_a_failed_lookup_fails_all_batches_of_the_queue(
        self, bare: Sqs, fault: Fault, calls: int
    ) -> None:
        bare.endpoint.fail({(FIND, None): fault})
        messages = bare.send(*(outgoing() for _ in range(35)))
        assert bare.endpoint.calls == {FIND: calls}
        assert outcomes(messages) == "f" * 35
        [reason] = {each.reason for each in messages}
        assert (reason or "").startswith(FAILED)

    def test_all_queues_are_looked_up_before_anything_is_sent(self, sqs: Sqs) -> None:
        sqs.send(*(outgoing(queue=queue) for queue in (CORE, WEB) for _ in range(25)))
        assert [call.operation for call in sqs.endpoint.log] == [FIND] * 2 + [SEND] * 6
        assert (len(sqs.core.messages), len(sqs.web.messages)) == (25, 25)

    @pytest.mark.parametrize("is_recreated", [False, True], ids=["gone", "recreated"])
    def test_a_queue_deleted_between_batches_refuses_the_rest(
        self, sqs: Sqs, *, is_recreated: bool
    ) -> None:
        sqs.send(outgoing())
        assert sqs.core.messages
        seen: set[str] = set()

        def once(call: Call) -> Fault | None:
            """Refuse each batch, the first time that it comes."""
            if call.operation != SEND:
                return None if is_recreated else GONE
            text = call.request["Entries"][0]["MessageBody"].partition(" ")[2]
            is_known = text in seen
            seen.add(text)
            return None if is_known else GONE

        sqs.endpoint.fail(once)
        messages = sqs.send(*(outgoing(str(number)) for number in range(200)))
        assert outcomes(messages) == ("s" if is_recreated else "r") * 200
        reason = None if is_recreated else f"no queue {CORE}"
        assert {each.reason for each in messages} == {reason}


UNMENTIONED: Final = "the answer of SQS does not mention the message"


class TestOddAnswers:
    """An answer that SQS never gives fails its message, and no other."""

    @cases(
        ("operation", "answer", "kind", "reason"),
        {
            "nothing": (SEND, {}, "aws_error", UNMENTIONED),
            "none": (SEND, {"Successful": [], "Failed": []}, "aws_error", UNMENTIONED),
            "no-fault": (SEND, {"Failed": [{"Id": "0", "Code": "Odd"}]}, "aws_error", "Odd: "),
            "no-code": (SEND, {"Failed": [{"Id": "0"}]}, "aws_error", ": "),
            "unknown-id": (SEND, {"Successful": [{"Id": "7"}]}, "unexpected", "IndexError: "),
            "no-id": (SEND, {"Successful": [{}]}, "unexpected", "KeyError: 'Id'"),
            "no-queue": (FIND, {}, "unexpected", "KeyError: 'QueueUrl'"),
        },
    )
    def test_an_odd_answer_fails_the_message(
        self, sqs: Sqs, operation: str, answer: dict[str, Any], kind: str, reason: str
    ) -> None:
        work = OPERATIONS[operation]
        sqs.endpoint.operations[operation] = lambda endpoint, request: (
            answer if WEB in str(request) else work(endpoint, request)
        )
        message, other = sqs.send(outgoing(queue=WEB), outgoing())
        assert (failure(message) or "").startswith(f"sending to queue {WEB}: {reason}")
        assert message.kind == kind
        assert outcomes([other]) == "s"
        assert len(sqs.core.messages) == 1

    def test_a_reason_is_logged_once_for_a_split_batch(self, sqs: Sqs) -> None:
        too_long = Refusal(400, "BatchRequestTooLong")
        sqs.fail_sends(lambda call: too_long if len(call.request["Entries"]) > 1 else DENIED)
        messages = sqs.send(*(outgoing() for _ in range(5)))
        assert not sqs.core.messages
        assert all((failure(each) or "").count("sending to queue") == 1 for each in messages)

    def test_a_fifo_queue_refuses_messages_without_a_group(self, sqs: Sqs) -> None:
        said = "The request must contain the parameter MessageGroupId."
        wants = Refusal(400, "MissingParameter", said)
        sqs.fail_sends(lambda call: wants if call.request["QueueUrl"].endswith(WEB) else None)
        messages = sqs.send(*(outgoing(queue=queue) for queue in (CORE, WEB, WEB)))
        assert outcomes(messages) == "srr"
        assert all(said in (refusal(each) or "") for each in messages[1:])


@cases(
    ("fault", "said"),
    {
        "retried": (THROTTLED, "too little time left to try again after: .*RequestThrottled"),
        "split": (Refusal(400, "BatchRequestTooLong"), "too little time left"),
    },
)
def test_a_batch_is_not_sent_again_out_of_time(sqs: Sqs, fault: Refusal, said: str) -> None:
    left = [300.0]
    deadline = Deadline(lambda: left[0])

    def fail(_: Call) -> Fault:
        left[0] = 1.0
        return fault

    sqs.fail_sends(fail)
    messages = [outgoing() for _ in range(4)]
    sqs.queues.send(messages, deadline, Reserve.PARK)
    assert outcomes(messages) == "ffff"
    assert all(re.search(said, failure(each) or "") for each in messages)
    assert sqs.endpoint.calls[SEND] == 1
    assert not sqs.core.messages
