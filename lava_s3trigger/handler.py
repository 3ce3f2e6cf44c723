"""The function: S3 events in, dispatches out, and an acknowledgement back."""

# ruff: noqa: E402 - the garbage collector is off while modules are imported
from __future__ import annotations

import gc

gc.disable()  # until the end of this module: it would take a tenth of the init phase

import logging
import os
import time
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from . import __version__
from .acknowledgement import (
    acknowledge,
    acknowledge_observed,
    in_order,
    keep_dead_letters,
    returned,
)
from .aws.clients import make_clients
from .aws.deadline import Deadline, Reserve
from .aws.sqs import ObservedQueues, SqsQueues
from .decision import decide
from .dedup.memory import RecentEvents
from .dedup.protocol import Duplicates
from .errors import OutOfTimeError, UnexpectedError
from .events import deliveries, is_s3_batch
from .jobs import JobTable
from .log import configure_logging, log_event
from .metrics import Summary
from .rehearsal import rehearse
from .sending import Sender, Task, report
from .sent import SentLedger, SentRecord
from .settings import Settings
from .templates.limits import listening
from .triggers import TriggerTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from .aws.objects import Objects
    from .dedup.protocol import Admission
    from .events import Delivery
    from .s3batch import BatchInvocation

MAX_BATCH_EVENTS: Final = 200
"""S3 events that are decided and sent together. Each batch is complete before the next
one starts, so that a retry of a large payload gets further than the try before it."""

_IS_LAMBDA: Final = "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def lambda_handler(payload: Any, context: Any = None) -> dict[str, Any] | None:
    """Handle an invocation.

    Args:
        payload: S3 events, by any of AWS's routes.
        context: The Lambda context; None outside of Lambda.

    Returns:
        The SQS messages to deliver again, if any; the results of the tasks of S3 Batch
        Operations.

    Raises:
        DeliveriesFailedError: AWS must deliver the whole invocation again.
    """
    return _function()(payload, context)


class Function:
    """The function of one realm, with what it keeps between invocations.

    Args:
        settings: Its configuration.
        dynamodb: Client of DynamoDB.
        sqs: Client of SQS, that tries each call once.
        clock: Returns the time in seconds; it must not go backwards.
        sleep: Waits for some seconds.
        make_s3_client: Makes the client of S3, when it is needed.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each is a part that tests replace
        self,
        settings: Settings,
        dynamodb: DynamoDBClient,
        sqs: SQSClient,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        make_s3_client: Callable[[], S3Client] | None = None,
    ) -> None:
        self._is_observing = settings.mode == "observe"
        configure_logging(settings.log_level, **({"mode": "observe"} if self._is_observing else {}))
        name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "local")
        names = {"realm": settings.realm, "function": name}
        log_event(logging.INFO, "started", version=__version__, **names)
        self._dimensions = names if settings.metrics else None
        self._region = sqs.meta.region_name
        self._triggers = TriggerTable(
            dynamodb, settings.realm, settings.cache_ttl, settings.max_delay, clock
        )
        self._jobs = JobTable(dynamodb, settings.realm, settings.cache_ttl, clock)
        table = None
        if settings.dedup_table and not self._is_observing:  # a claim would be written
            from .dedup.table import ClaimTable  # noqa: PLC0415 - not imported where it is off

            table = ClaimTable(dynamodb, settings.dedup_table, settings.dedup_ttl)
        recent = RecentEvents(settings.dedup_cache_size, settings.dedup_ttl, clock)
        self._duplicates = Duplicates(
            recent, table, is_on=settings.dedup_cache_size > 0, sleep=sleep
        )
        self._make_s3_client = make_s3_client
        self._objects: Objects | None = None
        self._ledger = SentLedger()
        self._dead_letter_queue = settings.dead_letter_queue
        queues = ObservedQueues(sqs, sleep) if self._is_observing else SqsQueues(sqs, sleep)
        self._sender = Sender(
            queues, settings.realm, settings.dead_letter_queue, describes=self._is_observing
        )

    def __call__(self, payload: Any, context: Any = None) -> dict[str, Any] | None:
        """Handle an invocation; see `lambda_handler`."""
        deadline = Deadline.of(context, self._duplicates.settle_seconds)
        self._duplicates.start()
        self._triggers.start(deadline)
        self._jobs.start(deadline)
        request_id = getattr(context, "aws_request_id", None) or ""
        if self._duplicates.is_on and not request_id:
            request_id = str(uuid.uuid4())
        s3_batch = self._s3_batch(payload, deadline) if is_s3_batch(payload) else None
        received = s3_batch.deliveries if s3_batch else deliveries(payload, self._region)
        tasks: list[Task] = []
        summary = Summary()
        for together in in_order(received, stops_at_failures=not self._is_observing):
            for batch in _batches(together):
                tasks += batch
                self._carry_out(batch, request_id, deadline)
                summary.add(batch)
                if s3_batch:
                    s3_batch.note(batch)
                for task in batch:
                    task.decision = None  # a large payload has many, of any size
        if self._is_observing:
            keep_dead_letters(received, self._dead_letter_queue)
        summary.log(received, self._dimensions)
        self._remember(tasks, received)
        if s3_batch:
            return s3_batch.answer()
        if self._is_observing:
            return acknowledge_observed(received, self._dead_letter_queue)
        return acknowledge(received)

    def _s3_batch(self, payload: dict[str, Any], deadline: Deadline) -> BatchInvocation:
        """Take an invocation by S3 Batch Operations apart."""
        # Not imported for other invocations, and no client made.
        from .aws.objects import Objects, make_s3_client  # noqa: PLC0415
        from .s3batch import BatchInvocation  # noqa: PLC0415

        if self._objects is None:
            region = self._region
            make_client = self._make_s3_client or (lambda: make_s3_client(region_name=region))
            self._objects = Objects(make_client)
        return BatchInvocation(
            payload, self._region, self._objects, deadline, is_observed=self._is_observing
        )

    def _carry_out(self, batch: list[Task], request_id: str, deadline: Deadline) -> None:
        """Carry out a batch of tasks, and note what became of it."""
        admitted: list[Task] = []
        try:
            admitted += self._admit(batch, request_id, deadline)
            with listening():
                for task in admitted:
                    report(
                        task,
                        decide(task.event, self._triggers, self._jobs, deadline, task.redrive),
                    )
            self._sender.dispatch(admitted, deadline)
            self._sender.park(admitted, deadline)
        except Exception as error:  # noqa: BLE001 - what was sent must be remembered
            reason = str(UnexpectedError.of(error))
            for task in batch:
                task.fail(UnexpectedError.kind, reason)
        if self._duplicates.is_on:
            self._duplicates.settle(
                [
                    (task.event, task.admission, task.record if task.failures else None)
                    for task in admitted
                    if task.admission
                ],
                deadline,
            )

    def _admit(self, batch: list[Task], request_id: str, deadline: Deadline) -> list[Task]:
        """Return the tasks that no earlier try completed, and that are no duplicates."""
        fresh = [task for task in batch if not self._is_complete(task)]
        if not deadline.allows(Reserve.DECIDE):
            for task in fresh:
                task.fail(OutOfTimeError.kind, "too little time left to start")
            return []
        if self._duplicates.is_on:
            # What was parked is no duplicate: its event was completed when it was parked.
            new = [task for task in fresh if task.redrive is None]
            owners = [(task.event, task.delivery.message_id or request_id) for task in new]
            for task, admission in zip(new, self._duplicates.admit(owners, deadline), strict=True):
                self._note_admission(task, admission)
        return [task for task in fresh if not (task.is_done or task.failures)]

    def _is_complete(self, task: Task) -> bool:
        """Tell whether an earlier try completed a task; take its record out of the ledger."""
        task.before = self._ledger.take(task.key) if self._ledger else None
        if task.before is None or not task.before.is_complete:
            return False
        task.is_done = True
        task.skip("sent_before", "completed before its delivery failed")
        return True

    def _note_admission(self, task: Task, admission: Admission) -> None:
        task.admission = admission
        if admission.is_duplicate:
            task.is_done = True
            task.skip("duplicate", "duplicate")
        elif admission.failure:
            task.fail(*admission.failure)
        elif admission.claim and admission.claim.sent:
            task.before = task.before or SentRecord()
            task.before.merge(admission.claim.sent)

    def _remember(self, tasks: list[Task], received: Sequence[Delivery]) -> None:
        """Remember what was carried out for deliveries that come again."""
        if self._is_observing:
            return  # nothing was
        back = {id(delivery) for delivery in returned(received)}
        if back:
            for task in tasks:
                if id(task.delivery) in back:
                    self._ledger.remember(task.key, task.record)


def _batches(together: Sequence[Delivery]) -> Iterator[list[Task]]:
    """Yield the tasks of deliveries, a batch at a time."""
    batch: list[Task] = []
    for delivery in together:
        for error in delivery.errors:
            delivery.fail(str(error), event=error.event, kind=error.kind, **error.fields)
        for event, redrive in delivery.events:
            batch.append(Task(delivery, event, redrive))
            if len(batch) == MAX_BATCH_EVENTS:
                yield batch
                batch = []
    if batch:
        yield batch


@cache
def _function() -> Function:
    settings = Settings.from_env(os.environ)
    configure_logging(settings.log_level)  # first: to make a client, botocore logs much at debug
    clients = make_clients(region_name=os.environ.get("AWS_REGION"))
    if _IS_LAMBDA:
        rehearse(lambda: Function(settings, *clients, sleep=lambda _: None), *clients)
    return Function(settings, *clients)


if _IS_LAMBDA:
    _function()  # in the init phase, which has more CPU, and which shows bad settings at once
    gc.freeze()  # all of this stays; else the first event has it searched
gc.enable()
