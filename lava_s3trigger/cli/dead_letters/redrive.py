"""Gives dead letters back: by the event source mapping of a queue, or by a message move task."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.deployed.dead_letter_queues import HOLD_SECONDS
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter, DeadLetterQueue

_POLL_SECONDS: Final = 1.0
_MOVED: Final = frozenset(["COMPLETED", "FAILED", "CANCELLED"])


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
    found: dict[str, Any] = answer["EventSourceMappings"][0]
    return found


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
    """

    client: Any
    queue: DeadLetterQueue
    mapping: dict[str, Any]
    quiet: float
    is_to_end: Callable[[], bool]

    def run(self, chosen: Sequence[DeadLetter], others: Sequence[DeadLetter]) -> int:
        """Turn the mapping on until only what is still broken is left, and off again.

        Args:
            chosen: Messages to give back.
            others: Messages that are hidden meanwhile.

        Returns:
            How many of the chosen messages are left.
        """
        self.queue.release(chosen)
        try:
            self._switch(enabled=True)
            return self._watch(len(chosen), others)
        finally:
            self._switch(enabled=False)
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
                    time.sleep(_POLL_SECONDS)
                else:
                    return

    def _watch(self, number: int, others: Sequence[DeadLetter]) -> int:
        """Return how many messages are left when nothing changes any more."""
        before, changed = (-1, -1), time.monotonic()
        held_until = time.monotonic() + HOLD_SECONDS / 2
        left = number
        with Progress("messages redriven", number) as progress:
            while not self.is_to_end():
                visible, hidden = self.queue.numbers()
                now = time.monotonic()
                progress.advance(max(0, left - (visible + hidden - len(others))))
                left = max(0, visible + hidden - len(others))
                if not left:
                    break
                # What failed is hidden until the queue's visibility timeout ends.
                if (visible, hidden) != before or visible or not self._is_running():
                    before, changed = (visible, hidden), now
                elif now - changed >= self.quiet:
                    break
                if now >= held_until:
                    self.queue.hold(others)
                    held_until = now + HOLD_SECONDS / 2
                time.sleep(_POLL_SECONDS)
        return left

    def _is_running(self) -> bool:
        with reaching_aws():
            found = self.client.get_event_source_mapping(UUID=self.mapping["UUID"])
        return bool(found["State"] == "Enabled")


def move(client: Any, queue: DeadLetterQueue, is_to_end: Callable[[], bool]) -> int:
    """Move all messages of a queue back to the queue that they come from.

    Returns:
        How many were moved.

    Raises:
        CommandError: SQS did not move all.
    """
    with reaching_aws():
        handle = client.start_message_move_task(SourceArn=queue.arn)["TaskHandle"]
        is_cancelled = False
        while True:
            task = client.list_message_move_tasks(SourceArn=queue.arn, MaxResults=1)["Results"][0]
            if task["Status"] in _MOVED:
                break
            if is_to_end() and not is_cancelled:
                is_cancelled = True
                client.cancel_message_move_task(TaskHandle=handle)
            time.sleep(_POLL_SECONDS)
    if task["Status"] == "FAILED":
        raise CommandError(
            f"SQS stopped moving {queue.name}: {task.get('FailureReason', 'no reason given')}"
        )
    return int(task.get("ApproximateNumberOfMessagesMoved", 0))
