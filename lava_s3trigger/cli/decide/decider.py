"""What the function would do with a payload: the one call of the decider that commands share."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from lava_s3trigger.acknowledgement import in_order
from lava_s3trigger.aws.deadline import UNLIMITED
from lava_s3trigger.decision import decide
from lava_s3trigger.deliveries import deliveries, is_s3_batch
from lava_s3trigger.errors import ObjectError
from lava_s3trigger.log import LOGGER
from lava_s3trigger.templates.limits import listening
from lava_s3trigger.units import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.decision import Decision, Jobs, Triggers
    from lava_s3trigger.deliveries import Delivery
    from lava_s3trigger.events import S3Event
    from lava_s3trigger.parking import RedriveTarget

_MAX_NAME_CHARACTERS: Final = 200

MEANINGS: Final = {
    "dispatched": "dispatched",
    "skipped": "skipped",
    "user_error": "parked",
    "failed": "failed",
}
"""Outcomes in the words of the function's log and docs."""


@dataclass(slots=True)
class Decided:
    """What the function would do with a payload."""

    decisions: list[Decision] = field(default_factory=list)
    """One for each S3 event, in the order in which the function would decide them."""
    errors: list[str] = field(default_factory=list)
    """What of the payload it would not understand."""


def decide_payload(payload: Any, triggers: Triggers, jobs: Jobs, region: str) -> Decided:
    """Decide what the function would do with a payload, by any route.

    Args:
        payload: What Lambda would hand the function.
        triggers: Where triggers are looked up.
        jobs: Where jobs are looked up.
        region: Region of the function, for events that name none.
    """
    decided = Decided()
    received = _received(payload, region)
    blocked = {id(delivery): delivery for delivery in received}
    with listening(), _unlogged():
        for together in in_order(received):
            for delivery in together:
                del blocked[id(delivery)]
                # What follows it in a FIFO queue waits for it.
                delivery.fail_errors()
                decided.errors += map(str, delivery.errors)
                for delivered in delivery.events:
                    decision = decide(delivered.event, triggers, jobs, redrive=delivered.redrive)
                    delivered.outcomes += decision.outcomes
                    decided.decisions.append(decision)
    decided.errors += [
        f"message {shown(delivery.message_id)}: {delivery.failures[0].reason}"
        for delivery in blocked.values()
    ]
    return decided


def _received(payload: Any, region: str) -> list[Delivery]:
    if not is_s3_batch(payload):
        return deliveries(payload, region)
    from lava_s3trigger.s3batch import BatchInvocation  # noqa: PLC0415 - start-up

    return BatchInvocation(payload, region, _UnaskedObjects(), UNLIMITED).deliveries


class _UnaskedObjects:
    """Stands for S3, which is not asked for the objects of a payload's tasks."""

    def start(self) -> None:
        """Do nothing."""

    def head(self, bucket: str, key: str, *_: Any) -> NoReturn:
        """Say that the size is not known.

        Raises:
            ObjectError: Always.
        """
        name = shown(f"s3://{bucket}/{key}", at_most=_MAX_NAME_CHARACTERS)
        raise ObjectError(f"the payload has no size of {name}, which the function would ask S3 for")


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Keep the function's own modules from logging, which is for CloudWatch."""
    before, LOGGER.disabled = LOGGER.disabled, True
    try:
        yield
    finally:
        LOGGER.disabled = before


def decide_event(
    event: S3Event, triggers: Triggers, jobs: Jobs, redrive: RedriveTarget | None = None
) -> Decision:
    """Decide what the function would do with an S3 event.

    Args:
        event: The event.
        triggers: Where triggers are looked up.
        jobs: Where jobs are looked up.
        redrive: What a parked message asks for, where the event comes from one.
    """
    with listening():
        return decide(event, triggers, jobs, redrive=redrive)
