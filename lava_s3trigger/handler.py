"""The function: S3 events in, dispatches out, and an acknowledgement back."""

from __future__ import annotations

import logging
import os
import time
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any

from .acknowledgement import Outcome, Sent, Task, acknowledge, given_back, in_order
from .aws.clients import make_clients
from .aws.deadline import Deadline
from .aws.sqs import SqsQueues
from .decision import decide
from .dedup.protocol import Duplicates, RecentEvents
from .errors import UnexpectedError
from .events import deliveries
from .jobs import JobTable
from .log import configure_logging, log_event
from .sending import Sending
from .settings import Settings
from .templates.limits import listening
from .triggers import TriggerTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


def lambda_handler(payload: Any, context: Any = None) -> dict[str, Any] | None:
    """Handle what AWS Lambda was invoked with.

    Args:
        payload: S3 events, by any of AWS's routes.
        context: The Lambda context; None outside of Lambda.

    Returns:
        The SQS messages to deliver again, if any.

    Raises:
        DeliveriesFailedError: The whole invocation is to be delivered again.
    """
    return _function()(payload, context)


class Function:
    """The function of one realm, with what it keeps between invocations.

    Args:
        settings: Its configuration.
        dynamodb: Client of DynamoDB.
        sqs: Client of SQS, that tries each call once.
        clock: Gives the time in seconds; it must not go backwards.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        settings: Settings,
        dynamodb: DynamoDBClient,
        sqs: SQSClient,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        configure_logging(settings.log_level)
        self._region = sqs.meta.region_name
        self._triggers = TriggerTable(
            dynamodb, settings.realm, settings.cache_ttl, settings.max_delay, clock
        )
        self._jobs = JobTable(dynamodb, settings.realm, settings.cache_ttl, clock)
        recent = RecentEvents(settings.dedup_cache_size, settings.dedup_ttl, clock)
        shared = None
        if settings.dedup_table:
            from .dedup.table import ClaimTable  # noqa: PLC0415 - costs nothing where it is off

            shared = ClaimTable(dynamodb, settings.dedup_table, settings.dedup_ttl)
        self._duplicates = Duplicates(recent, shared, sleep)
        self._sent = Sent()
        self._sending = Sending(
            SqsQueues(sqs, sleep), settings.realm, settings.dead_letter_queue, self._sent
        )

    def __call__(self, payload: Any, context: Any = None) -> dict[str, Any] | None:
        """Handle one invocation; see `lambda_handler`."""
        deadline = Deadline.of(context)
        working = deadline.before(self._duplicates.reserve)
        self._duplicates.start()
        self._triggers.start(working)
        self._jobs.start(working)
        request = getattr(context, "aws_request_id", None) or str(uuid.uuid4())
        outcomes = [Outcome(each, invocation=request) for each in deliveries(payload, self._region)]
        for wave in in_order(outcomes):
            self._work(wave, deadline, working)
        for outcome in given_back(outcomes):
            self._sent.remember(outcome)
        return acknowledge(outcomes)

    def _work(self, wave: list[Outcome], deadline: Deadline, working: Deadline) -> None:
        """Carry out what deliveries cause, and note what became of it."""
        tasks: list[Task] = []
        try:
            with listening():
                tasks.extend(self._decide(wave, deadline, working))
            mistakes = self._sending.dispatch(tasks, working)
            self._sending.park(mistakes, working)
        except Exception as error:  # noqa: BLE001 - what was sent is to be remembered
            reason = str(UnexpectedError.of(error))
            for task in tasks:
                task.failures.append(reason)
            for outcome in wave:
                outcome.fail("failed", reason)
        self._duplicates.settle(
            [(each.begun, not each.failures, each.sent) for each in tasks if each.begun], deadline
        )

    def _decide(self, wave: list[Outcome], deadline: Deadline, working: Deadline) -> Iterator[Task]:
        """Decide what the S3 events of deliveries cause."""
        for outcome in wave:
            for error in outcome.delivery.errors:
                outcome.fail("not understood", str(error))
        arrived = [(outcome, event) for outcome in wave for event in outcome.delivery.events]
        begun = self._duplicates.begin([(e, outcome.owner) for outcome, e in arrived], deadline)
        for (outcome, event), each in zip(arrived, begun, strict=True):
            if each.failure:
                outcome.fail("failed", each.failure, event)
            elif each.skip:
                if each.is_done:
                    self._sent.hand_over(event, outcome)
                log_event(
                    logging.INFO, "skipped", reason=each.skip, bucket=event.bucket, key=event.key
                )
            else:
                self._sent.learn(event, each.claim.sent if each.claim else ())
                task = Task(outcome, decide(event, self._triggers, self._jobs, working), each)
                task.report()
                yield task


@cache
def _function() -> Function:
    settings = Settings.from_env(os.environ)
    return Function(settings, *make_clients(region_name=os.environ.get("AWS_REGION")))


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    _function()  # in the init phase, which has more CPU, and shows bad settings at once
