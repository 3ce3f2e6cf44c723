"""The function: S3 events in, dispatches out, and an acknowledgement back."""

# ruff: noqa: E402 - the garbage collector is off while modules are imported
from __future__ import annotations

import gc

gc.disable()  # until the end of this module: it would take a tenth of the init phase

import logging
import os
import time
import uuid
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from . import __version__
from .acknowledgement import acknowledge
from .aws.clients import make_clients
from .aws.deadline import Deadline, Reserve
from .decision import Decision, decide_each
from .dedup.memory import RecentEvents
from .dedup.protocol import Duplicates
from .deliveries import deliveries, is_s3_batch
from .errors import OutOfTimeError, UnexpectedError
from .jobs import JobTable
from .log import configure_logging, log_event
from .metrics import Summary
from .mode import DispatchMode, ObserveMode
from .outcomes import Outcome
from .rehearsal import rehearse
from .sending import MAX_WAITING_BYTES, Outbox
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
    from .deliveries import DeliveredEvent, Delivery
    from .s3batch import BatchInvocation

MAX_BATCH_EVENTS: Final = 200
"""S3 events that are decided and sent together. Each batch is completed before the next
one starts, so each retry of a large payload gets further."""
MAX_PART_BYTES: Final = MAX_WAITING_BYTES
"""Bytes of messages and of kept decisions after which the decided events of a batch are
completed before the rest is decided."""
_MAX_LOGGED_PREFIXES: Final = 10
"""Prefixes that the log line of an event without triggers names, of up to 514."""

_IS_LAMBDA: Final = "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def lambda_handler(payload: Any, context: Any = None) -> dict[str, Any] | None:
    """Handle an invocation.

    Args:
        payload: S3 events, by any route of AWS.
        context: The Lambda context; None outside of Lambda.

    Returns:
        The SQS messages to deliver again, if any; the results of the tasks of S3 Batch
        Operations.

    Raises:
        DeliveriesFailedError: AWS must deliver the whole invocation again.
    """
    return _function()(payload, context)


class Function:
    """The function of one realm, with its state between invocations.

    Args:
        settings: Its configuration.
        dynamodb: Client of DynamoDB.
        sqs: Client of SQS, that tries each call once.
        clock: Returns the time in seconds; it must not go backwards.
        sleep: Waits for some seconds.
        make_s3_client: Makes the client of S3 when it is first needed.
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
        self._mode = (ObserveMode if settings.mode == "observe" else DispatchMode)(settings)
        configure_logging(settings.log_level, **self._mode.log_fields)
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
        if settings.dedup_table and not self._mode.is_observing:  # a claim would be written
            from .dedup.table import ClaimTable  # noqa: PLC0415 - not imported where it is off

            table = ClaimTable(dynamodb, settings.dedup_table, settings.dedup_ttl)
        recent = RecentEvents(settings.dedup_cache_size, settings.dedup_ttl, clock)
        self._duplicates = Duplicates(
            recent, table, is_on=settings.dedup_cache_size > 0, sleep=sleep
        )
        self._make_s3_client = make_s3_client
        self._objects: Objects | None = None
        self._ledger = SentLedger()
        self._make_outbox = partial(
            Outbox,
            self._mode.queues(sqs, sleep),
            settings.realm,
            settings.dead_letter_queue,
            describes=self._mode.is_observing,
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
        summary = Summary()
        for together in self._mode.in_order(received):
            for delivery in together:
                delivery.fail_errors()
            for batch in _batches(together):
                for part in self._carry_out(batch, request_id, deadline):
                    summary.add(part)
                    for delivered in part:
                        delivered.forget()
        summary.log(received, self._dimensions)
        failed = self._mode.returned(received)
        for delivery in () if self._mode.is_observing else failed:  # which sends nothing
            for delivered in delivery.events:
                self._ledger.remember(delivered.key, delivered.record)
        if s3_batch:
            return s3_batch.answer(is_observed=self._mode.is_observing)
        return acknowledge(received, failed)

    def _s3_batch(self, payload: dict[str, Any], deadline: Deadline) -> BatchInvocation:
        """Read an invocation by S3 Batch Operations."""
        # only imported, and the client only made, for this
        from .aws.objects import Objects, make_s3_client  # noqa: PLC0415
        from .s3batch import BatchInvocation  # noqa: PLC0415

        if self._objects is None:
            region = self._region
            make_client = self._make_s3_client or (lambda: make_s3_client(region_name=region))
            self._objects = Objects(make_client)
        return BatchInvocation(payload, self._region, self._objects, deadline)

    def _carry_out(
        self, batch: list[DeliveredEvent], request_id: str, deadline: Deadline
    ) -> Iterator[list[DeliveredEvent]]:
        """Carry out a batch of events in parts, and yield each completed part."""
        admitted = []
        try:
            admitted = self._admit(batch, request_id, deadline)
        except Exception as error:  # noqa: BLE001 - other batches continue
            _fail(batch, error)
        yield [delivered for delivered in batch if delivered.outcomes]
        while admitted:
            try:
                part = self._send_part(admitted, deadline)
            except Exception as error:  # noqa: BLE001 - what was sent must be remembered
                _fail(admitted, error)
                part = admitted
            self._settle(part, deadline)
            yield part
            admitted = admitted[len(part) :]

    def _send_part(
        self, admitted: list[DeliveredEvent], deadline: Deadline
    ) -> list[DeliveredEvent]:
        """Decide on events and send their messages until a part is full; return the part."""
        outbox = self._make_outbox(deadline)
        part = []
        with listening():
            for delivered in admitted:
                part.append(delivered)
                self._decide(delivered, outbox, deadline)
                if outbox.size >= MAX_PART_BYTES:
                    break
        outbox.close()
        return part

    def _settle(self, part: list[DeliveredEvent], deadline: Deadline) -> None:
        """Record which events are completed, so that their duplicates are recognized."""
        if self._duplicates.is_on:
            self._duplicates.settle(
                [
                    (
                        delivered.event,
                        delivered.admission,
                        delivered.record if delivered.failures else None,
                    )
                    for delivered in part
                    if delivered.admission
                ],
                deadline,
            )

    def _admit(
        self, batch: list[DeliveredEvent], request_id: str, deadline: Deadline
    ) -> list[DeliveredEvent]:
        """Return the events that no earlier attempt completed and that are not duplicates."""
        fresh = [delivered for delivered in batch if not self._is_complete(delivered)]
        if not deadline.allows(Reserve.DECIDE):
            for delivered in fresh:
                delivered.fail(OutOfTimeError.kind, "too little time left to start")
        elif self._duplicates.is_on:
            # A parked event is not a duplicate, although parking it completed it.
            new = [delivered for delivered in fresh if delivered.redrive is None]
            owners = [(delivered.event, delivered.message_id or request_id) for delivered in new]
            admissions = self._duplicates.admit(owners, deadline)
            for delivered, admission in zip(new, admissions, strict=True):
                _take_admission(delivered, admission)
        return [delivered for delivered in fresh if not delivered.outcomes]

    def _is_complete(self, delivered: DeliveredEvent) -> bool:
        """Return whether an earlier attempt completed an event; take its record from the ledger."""
        delivered.before = self._ledger.take(delivered.key) if self._ledger else None
        if delivered.before is None or not delivered.before.is_complete:
            return False
        delivered.add(Outcome("skipped", "sent_before", "completed before its delivery failed"))
        return True

    def _decide(self, delivered: DeliveredEvent, outbox: Outbox, deadline: Deadline) -> None:
        """Decide on an event, and put its messages into the outbox."""
        decision = delivered.decision = Decision(delivered.event, delivered.redrive)
        for trigger in decide_each(
            decision, self._triggers, self._jobs, deadline, delivered.before
        ):
            outbox.put(delivered, trigger)
        if decision.ended:
            delivered.add(decision.ended)
        elif decision.triggers and not any(
            trigger.ended or trigger.jobs for trigger in decision.triggers
        ):
            reason = "all of its jobs were dispatched before it was parked"
            delivered.add(Outcome("skipped", "sent_before", reason))
        elif not decision.triggers:
            # Most buckets send events that no entry asks for.
            delivered.add(
                Outcome("skipped", "no_trigger", "no trigger matches"),
                logging.DEBUG,
                tried=len(decision.prefixes),
                prefixes=decision.prefixes[:_MAX_LOGGED_PREFIXES],
            )


def _fail(events: list[DeliveredEvent], error: Exception) -> None:
    """Fail the events that were not skipped, because of an unexpected error."""
    reason = str(UnexpectedError.of(error))
    for delivered in events:
        if not delivered.is_skipped:
            delivered.fail(UnexpectedError.kind, reason)


def _take_admission(delivered: DeliveredEvent, admission: Admission) -> None:
    delivered.admission = admission
    if admission.is_duplicate:
        delivered.add(Outcome("skipped", "duplicate", "duplicate"))
    elif admission.failure:
        delivered.fail(*admission.failure)
    elif admission.claim and admission.claim.sent:
        sent = admission.claim.sent
        if sent.replay == delivered.event.replay:
            delivered.before = delivered.before or SentRecord()
            delivered.before.merge(sent)


def _batches(together: Sequence[Delivery]) -> Iterator[list[DeliveredEvent]]:
    """Yield the events of deliveries, a batch at a time."""
    events = (delivered for delivery in together for delivered in delivery.events)
    while batch := list(islice(events, MAX_BATCH_EVENTS)):
        yield batch


@cache
def _function() -> Function:
    settings = Settings.from_env(os.environ)
    configure_logging(
        settings.log_level
    )  # first, since botocore logs much at debug while it makes a client
    clients = make_clients(region_name=os.environ.get("AWS_REGION"))
    if _IS_LAMBDA:
        rehearse(lambda: Function(settings, *clients, sleep=lambda _: None), *clients)
    return Function(settings, *clients)


if _IS_LAMBDA:
    _function()  # in the init phase: it has more CPU, and reports bad settings at once
    gc.freeze()  # all objects so far stay; else the first event has the collector search them
gc.enable()
