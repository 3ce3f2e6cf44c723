"""Decides what the function would do with a payload: the call of its decider for all commands."""

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
"""Descriptions of outcomes, as in the function's log and docs."""


@dataclass(slots=True)
class Decided:
    """The decisions of the function on a payload."""

    decisions: list[Decision] = field(default_factory=list)
    """One for each S3 event, in the order in which the function would decide them."""
    errors: list[str] = field(default_factory=list)
    """Errors of the parts of the payload that it would not understand."""


def decide_payload(payload: Any, triggers: Triggers, jobs: Jobs, region: str) -> Decided:
    """Decide what the function would do with a payload of any route.

    Args:
        payload: The payload that Lambda would pass to the function.
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
                # The messages after it in its FIFO group wait for it.
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
    """Replaces calls of S3 for the objects of a payload's tasks."""

    def start(self) -> None:
        """Do nothing."""

    def head(self, bucket: str, key: str, *_: Any) -> NoReturn:
        """Raise, since the size is unknown.

        Raises:
            ObjectError: Always.
        """
        name = shown(f"s3://{bucket}/{key}", at_most=_MAX_NAME_CHARACTERS)
        raise ObjectError(f"the payload has no size of {name}, which the function would ask S3 for")


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Keep the function's own modules from logging: their log is for CloudWatch."""
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
        redrive: What a parked message asks for, if the event is in one.
    """
    with listening():
        return decide(event, triggers, jobs, redrive=redrive)
