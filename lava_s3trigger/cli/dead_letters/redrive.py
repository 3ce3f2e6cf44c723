"""Redrives dead letters, through the event source mapping of a queue or a message move task."""

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
"""Times that a count is read at least before it is used."""
_MOVED: Final = frozenset(["COMPLETED", "FAILED", "CANCELLED"])


@dataclass(frozen=True, slots=True)
class Pace:
    """The waiting times of a redrive, in seconds."""

    poll: float = 1.0
    """Between two reads."""
    settle: float = 60.0
    """For how long a count of SQS must stay the same before it is used. According to SQS its counts
    are approximate, and correct about a minute after messages stop arriving and leaving."""
    patience: float = 120.0
    """For AWS to list a move task that it has accepted, or to disable a mapping."""


class _Stillness:
    """Measures for how long a count has not changed."""

    def __init__(self) -> None:
        self._value: object = None
        self._since = 0.0
        self._looks = 0

    def seconds(self, value: object) -> float:
        """Record a count; return for how long it is the same, or -1 after too few reads."""
        now = time.monotonic()
        if value != self._value or not self._looks:
            self._value, self._since, self._looks = value, now, 0
        self._looks += 1
        return now - self._since if self._looks >= _LOOKS else -1.0

    def restart(self) -> None:
        """Start measuring again."""
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
    """Return whether a mapping is on, or is being turned on."""
    return mapping["State"] in ("Enabled", "Enabling")


@dataclass(slots=True)
class Redrive:
    """Redrives messages of the function's dead-letter queue, through its mapping.

    Args:
        client: Client of Lambda.
        queue: The queue.
        mapping: Its mapping.
        quiet: Seconds without a change after which the remaining messages count as still broken.
        is_to_end: Returns whether to end earlier.
        pace: How long to wait.
    """

    client: Any
    queue: DeadLetterQueue
    mapping: dict[str, Any]
    quiet: float
    is_to_end: Callable[[], bool]
    pace: Pace = field(default_factory=Pace)

    def run(self, chosen: Sequence[DeadLetter], others: Sequence[DeadLetter]) -> int:
        """Turn the mapping on until only messages that are still broken are left, then off again.

        Args:
            chosen: Messages to redrive.
            others: Messages that stay hidden.

        Returns:
            How many messages the queue has in addition to the others, including those that were
            hidden before or arrived meanwhile.
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
                    # Lambda refuses a change while it carries out the previous one.
                    time.sleep(self.pace.poll)
                else:
                    return

    def _wait_until_off(self) -> None:
        """Wait until Lambda no longer receives: a message released earlier is redriven too."""
        end = time.monotonic() + self.pace.patience
        while self._state() != "Disabled" and time.monotonic() < end:
            time.sleep(self.pace.poll)

    def _watch(self, number: int, others: Sequence[DeadLetter]) -> int:
        """Return how many messages are left when their number no longer changes."""
        stillness = _Stillness()
        held_until = time.monotonic() + HOLD_SECONDS / 2
        left = number
        with Progress("messages redriven", number) as progress:
            while not self.is_to_end():
                counts = self.queue.counts()
                left = max(0, counts.total - len(others))
                progress.reach(max(0, number - left))
                # Messages that failed are hidden until the queue's visibility timeout ends.
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
    """Return whether only the others can be received; they stay hidden."""
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
    """Return whether a queue has nothing to move: SQS counts nothing, and returns no message."""
    return not queue.counts().visible and _is_empty(queue)


def settled_number(
    queue: DeadLetterQueue, is_to_end: Callable[[], bool], pace: Pace | None = None
) -> int:
    """Return how many messages a queue has, when the count is reliable.

    A count is reliable if it was the same in several reads over a minute; for zero, there must
    also be no message to receive.

    Args:
        queue: The queue.
        is_to_end: Returns whether to end earlier, with the last count.
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
    """Move all visible messages of a queue back to the queue that they came from.

    Args:
        client: Client of SQS.
        queue: The queue.
        is_to_end: Returns whether to cancel the move.
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
        # SQS also lists earlier tasks, and a new one only after a while.
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
    """Return the task with a handle; SQS returns the handle only while the task is running."""
    for task in _tasks(client, queue):
        if task.get("TaskHandle") == handle or task.get("StartedTimestamp") not in before:
            return task
    return None
