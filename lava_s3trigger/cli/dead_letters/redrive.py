"""Gives dead letters back: by the event source mapping of a queue, or by a message move task."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.deployed.dead_letter_queues import HOLD_SECONDS
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter, DeadLetterQueue

_LOOKS: Final = 3
"""How often a count is looked at, at least, before it is believed."""
_MOVED: Final = frozenset(["COMPLETED", "FAILED", "CANCELLED"])


@dataclass(frozen=True, slots=True)
class Pace:
    """Times that a redrive waits, in seconds."""

    poll: float = 1.0
    """Between two looks."""
    settle: float = 60.0
    """For how long a count of SQS stays the same before it is believed: SQS says that its counts
    are approximate, and correct about a minute after messages stop coming and going."""
    patience: float = 120.0
    """For AWS to list a move task that it has accepted, or to disable a mapping."""


class _Stillness:
    """Since when a count has not changed."""

    def __init__(self) -> None:
        self._value: object = None
        self._since = 0.0
        self._looks = 0

    def seconds(self, value: object) -> float:
        """Note a count; return for how long it has been so, or -1 after a few looks only."""
        now = time.monotonic()
        if value != self._value or not self._looks:
            self._value, self._since, self._looks = value, now, 0
        self._looks += 1
        return now - self._since if self._looks >= _LOOKS else -1.0

    def restart(self) -> None:
        """Forget how long the count has been so."""
        self._looks = 0


def find_mapping(client: Any, function: str, queue: DeadLetterQueue) -> dict[str, Any]:
    """Return the event source mapping from a queue to the function.

    Raises:
        CommandError: There is none.
    """
    with reaching_aws():
        answer = client.list_event_source_mappings(FunctionName=function, EventSourceArn=queue.arn)
    if not answer["EventSourceMappings"]:
        raise CommandError(
            f"no event source mapping leads from {queue.name} to the function: the stack has"
            " one, RedriveMapping"
        )
    mapping: dict[str, Any] = answer["EventSourceMappings"][0]
    return mapping


def is_on(mapping: dict[str, Any]) -> bool:
    """Return whether a mapping is on, or about to be."""
    return mapping["State"] in ("Enabled", "Enabling")


@dataclass(slots=True)
class Redrive:
    """Gives messages of the function's dead-letter queue back, by its mapping.

    Args:
        client: Client of Lambda.
        queue: The queue.
        mapping: Its mapping.
        quiet: Seconds without a change after which what is left counts as still broken.
        is_to_end: Tells whether to end before that.
        pace: How long it waits for what.
    """

    client: Any
    queue: DeadLetterQueue
    mapping: dict[str, Any]
    quiet: float
    is_to_end: Callable[[], bool]
    pace: Pace = field(default_factory=Pace)

    def run(self, chosen: Sequence[DeadLetter], others: Sequence[DeadLetter]) -> int:
        """Turn the mapping on until only what is still broken is left, and off again.

        Args:
            chosen: Messages to give back.
            others: Messages that are hidden meanwhile.

        Returns:
            How many messages the queue has besides the others: also such as were hidden before,
            or came meanwhile.
        """
        self.queue.release(chosen)
        try:
            self._switch(enabled=True)
            return self._watch(len(chosen), others)
        finally:
            self._switch(enabled=False)
            if others:
                self._wait_until_off()
            self.queue.release(others)

    def _switch(self, *, enabled: bool) -> None:
        with reaching_aws():
            while True:
                try:
                    self.client.update_event_source_mapping(
                        UUID=self.mapping["UUID"], Enabled=enabled
                    )
                except self.client.exceptions.ResourceInUseException:
                    # Lambda refuses a change while it carries out the one before.
                    time.sleep(self.pace.poll)
                else:
                    return

    def _wait_until_off(self) -> None:
        """Wait until Lambda receives no more: a message that is released sooner is redriven too."""
        end = time.monotonic() + self.pace.patience
        while self._state() != "Disabled" and time.monotonic() < end:
            time.sleep(self.pace.poll)

    def _watch(self, number: int, others: Sequence[DeadLetter]) -> int:
        """Return how many messages are left when nothing changes any more."""
        stillness = _Stillness()
        held_until = time.monotonic() + HOLD_SECONDS / 2
        left = number
        with Progress("messages redriven", number) as progress:
            while not self.is_to_end():
                counts = self.queue.counts()
                left = max(0, counts.total - len(others))
                progress.reach(max(0, number - left))
                # What failed is hidden until the queue's visibility timeout ends.
                if left and (counts.visible or self._state() != "Enabled"):
                    stillness.restart()
                elif stillness.seconds(left and counts) >= (
                    self.quiet if left else self.pace.settle
                ):
                    if left or _is_empty(self.queue, others):
                        break
                    stillness.restart()
                if time.monotonic() >= held_until:
                    self.queue.hold(others)
                    held_until = time.monotonic() + HOLD_SECONDS / 2
                time.sleep(self.pace.poll)
        return left

    def _state(self) -> str:
        with reaching_aws():
            mapping = self.client.get_event_source_mapping(UUID=self.mapping["UUID"])
        return str(mapping["State"])


def _is_empty(queue: DeadLetterQueue, others: Sequence[DeadLetter] = ()) -> bool:
    """Return whether nothing can be received but others, which stay hidden."""
    known = {letter.message_id: letter for letter in others}
    fresh = []
    for letter in queue.read():
        if letter.message_id in known:
            known[letter.message_id].receipt = letter.receipt
        else:
            fresh.append(letter)
    queue.release(fresh)
    return not fresh


def is_without_messages(queue: DeadLetterQueue) -> bool:
    """Return whether a queue has nothing to move: SQS counts nothing, and gives nothing."""
    return not queue.counts().visible and _is_empty(queue)


def settled_number(
    queue: DeadLetterQueue, is_to_end: Callable[[], bool], pace: Pace | None = None
) -> int:
    """Return how many messages a queue has, once that can be believed.

    A count is believed after it was the same in several looks over a minute. Zero also takes
    that nothing can be received.

    Args:
        queue: The queue.
        is_to_end: Tells whether to end before that, with the last count.
        pace: How long to wait.
    """
    pace, stillness = pace or Pace(), _Stillness()
    while True:
        number = queue.counts().total
        if stillness.seconds(number) >= pace.settle:
            if number or _is_empty(queue):
                return number
            stillness.restart()
        if is_to_end():
            return number
        time.sleep(pace.poll)


def move(
    client: Any, queue: DeadLetterQueue, is_to_end: Callable[[], bool], pace: Pace | None = None
) -> int:
    """Move all messages of a queue that are visible back to the queue that they come from.

    Args:
        client: Client of SQS.
        queue: The queue.
        is_to_end: Tells whether to cancel the move.
        pace: How long to wait.

    Returns:
        How many were moved, as SQS counts them.

    Raises:
        CommandError: SQS did not move all.
    """
    pace = pace or Pace()
    with reaching_aws():
        before = {task.get("StartedTimestamp") for task in _tasks(client, queue)}
        handle = client.start_message_move_task(SourceArn=queue.arn)["TaskHandle"]
        end = time.monotonic() + pace.patience
        is_cancelled = False
        # SQS lists earlier tasks too, and a new one only after a while.
        while (task := _task(client, queue, handle, before)) is None or (
            task["Status"] not in _MOVED
        ):
            if task is None and time.monotonic() >= end:
                raise CommandError(
                    f"SQS accepted to move {queue.name}, but does not list the task: it may be"
                    f" moving; aws sqs list-message-move-tasks --source-arn {queue.arn} shows it"
                )
            if is_to_end() and not is_cancelled:
                is_cancelled = True
                client.cancel_message_move_task(TaskHandle=handle)
            time.sleep(pace.poll)
    if task["Status"] == "FAILED":
        raise CommandError(
            f"SQS stopped moving {queue.name}: {task.get('FailureReason', 'no reason given')}"
        )
    return int(task.get("ApproximateNumberOfMessagesMoved", 0))


def _tasks(client: Any, queue: DeadLetterQueue) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = client.list_message_move_tasks(
        SourceArn=queue.arn, MaxResults=10
    )["Results"]
    return tasks


def _task(
    client: Any, queue: DeadLetterQueue, handle: str, before: set[Any]
) -> dict[str, Any] | None:
    """Return the task of a handle, which SQS lists with it only while it is running."""
    for task in _tasks(client, queue):
        if task.get("TaskHandle") == handle or task.get("StartedTimestamp") not in before:
            return task
    return None
