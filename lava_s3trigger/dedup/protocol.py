"""Decides which S3 events are duplicates, and which instance carries out the others.

Two memories help, if configured: that of this instance (`memory`), and a table that all
instances share (`table`). See docs/duplicates.md.
"""

from __future__ import annotations

import enum
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from lava_s3trigger.aws.deadline import Reserve
from lava_s3trigger.aws.threads import map_concurrently
from lava_s3trigger.errors import OutOfTimeError, UnexpectedError
from lava_s3trigger.log import log_event
from lava_s3trigger.sent import SentRecord

from .memory import RecentEvents, dedup_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lava_s3trigger.aws.deadline import Deadline
    from lava_s3trigger.events import S3Event


class Verdict(enum.Enum):
    """What an instance must do with an event."""

    WORK = "this instance carries it out"
    DUPLICATE = "it was completed before"
    BUSY = "another delivery of it is being carried out"
    UNKNOWN = "the table did not answer; it is carried out, so that it is not lost"


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer of the table to a claim."""

    key: str
    verdict: Verdict
    token: str
    sent: SentRecord = field(default_factory=SentRecord)
    """What a failed attempt carried out."""
    error: str | None = None


class SharedTable(Protocol):
    """The shared memory, such as `table.ClaimTable`."""

    def claim(self, key: str, owner: str, lease: float, has_time: Callable[[], bool]) -> Claim:
        """Claim an event for a delivery."""

    def confirm(self, claim: Claim) -> str | None:
        """Record a claimed event as completed; return the reason if that fails."""

    def release(self, claim: Claim, sent: SentRecord) -> str | None:
        """Release a claimed event that has failed; return the reason if that fails."""


@dataclass(slots=True)
class Admission:
    """Whether to carry out an event."""

    is_duplicate: bool = False
    failure: tuple[str, str] | None = None
    """Kind and reason, if AWS must deliver it again."""
    claim: Claim | None = None

    @property
    def is_busy(self) -> bool:
        """Whether another delivery of it is in progress."""
        return self.claim is not None and self.claim.verdict is Verdict.BUSY


ADMITTED: Final = Admission()
_DUPLICATE: Final = Admission(is_duplicate=True)
_BUSY: Final = ("busy", "another delivery of the same event is being carried out")
_NO_TIME: Final = (OutOfTimeError.kind, "too little time left to claim the event")
_WAITS_SECONDS: Final = (0.1, 0.3, 0.6)
"""Waits before claiming again. Others mostly complete an event in this time."""
_LEASE_MARGIN_SECONDS: Final = 5.0
_LEASE_OUTSIDE_LAMBDA_SECONDS: Final = 60.0


class Duplicates:
    """Recognizes duplicates, with both memories.

    Args:
        recent: The memory of this instance.
        table: The shared memory, if configured.
        is_on: Whether this instance's memory is on; the table needs it within an invocation.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        recent: RecentEvents,
        table: SharedTable | None = None,
        *,
        is_on: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._recent = recent
        self._table = table
        self._sleep = sleep
        self._is_table_unreachable = False
        self.is_on = is_on or table is not None
        """Whether duplicates are recognized at all."""
        self.settle_seconds = 0.0 if table is None else Reserve.SETTLE
        """Seconds to keep for `settle`."""
        self._waits: list[float] = []

    def start(self) -> None:
        """Start an invocation."""
        self._recent.start()
        self._is_table_unreachable = False
        self._waits = list(_WAITS_SECONDS)

    def admit(self, events: Sequence[tuple[S3Event, str]], deadline: Deadline) -> list[Admission]:
        """Admit events, unless they are duplicates.

        Args:
            events: The events, each with the id of its delivery.
            deadline: When to stop.
        """
        admissions = [ADMITTED if self._recent.admit(event) else _DUPLICATE for event, _ in events]
        if self._table is not None:
            self._claim_all(self._table, events, admissions, deadline)
        return admissions

    def _claim_all(
        self,
        table: SharedTable,
        events: Sequence[tuple[S3Event, str]],
        admissions: list[Admission],
        deadline: Deadline,
    ) -> None:
        """Claim events; after a wait, claim again those that others are carrying out."""
        left = deadline.left()
        lease = _LEASE_OUTSIDE_LAMBDA_SECONDS if left is None else left + _LEASE_MARGIN_SECONDS

        def claim(place: int) -> Admission:
            return self._claim(table, *events[place], lease, deadline)

        places = [n for n, admission in enumerate(admissions) if not admission.is_duplicate]
        while places:
            for place, admission in zip(places, map_concurrently(claim, places), strict=True):
                is_unknown = admission.claim and admission.claim.verdict is Verdict.UNKNOWN
                if not (
                    admissions[place].is_busy and is_unknown
                ):  # whoever held it may still write to it
                    admissions[place] = admission
            places = [place for place in places if admissions[place].is_busy]
            if not places or not self._waits:
                break
            self._sleep(self._waits.pop(0))
        errors = [
            admission.claim.error
            for admission in admissions
            if admission.claim and admission.claim.error
        ]
        if errors:
            log_event(logging.ERROR, "dedup table unreachable", count=len(errors), reason=errors[0])

    def _claim(
        self, table: SharedTable, event: S3Event, owner: str, lease: float, deadline: Deadline
    ) -> Admission:
        if self._is_table_unreachable:
            claim = Claim("", Verdict.UNKNOWN, "", error="it did not answer before")
            return Admission(claim=claim)
        if not deadline.allows(Reserve.CLAIM):
            return Admission(failure=_NO_TIME)
        try:
            claim = table.claim(
                dedup_digest(event), owner, lease, lambda: deadline.allows(Reserve.SETTLE)
            )
        except Exception as error:  # noqa: BLE001 - treated as if the table did not answer
            claim = Claim("", Verdict.UNKNOWN, "", error=str(UnexpectedError.of(error)))
        if claim.verdict is Verdict.DUPLICATE:
            return _DUPLICATE
        self._is_table_unreachable |= claim.verdict is Verdict.UNKNOWN
        return Admission(failure=_BUSY if claim.verdict is Verdict.BUSY else None, claim=claim)

    def settle(
        self,
        outcomes: Iterable[tuple[S3Event, Admission, SentRecord | None]],
        deadline: Deadline,
    ) -> None:
        """Record the outcomes of admitted events.

        Args:
            outcomes: Events, admissions, and for failed events what was carried out anyway.
            deadline: When to stop.
        """
        claimed = []
        for event, admission, record in outcomes:
            if record is None:
                self._recent.complete(event)
            if admission.claim and admission.claim.verdict is Verdict.WORK:
                claimed.append((admission.claim, record))
        lost = map_concurrently(lambda pair: self._settle(*pair, deadline), claimed)
        if reasons := [reason for reason in lost if reason]:
            log_event(logging.WARNING, "claims not settled", count=len(reasons), reason=reasons[0])

    def _settle(self, claim: Claim, record: SentRecord | None, deadline: Deadline) -> str | None:
        if self._table is None or not deadline.allows_settling():
            return "too little time left; the lease will expire"
        try:
            if record is None:
                return self._table.confirm(claim)
            return self._table.release(claim, record)
        except Exception as error:  # noqa: BLE001 - the ledger must still hear of what was sent
            return str(UnexpectedError.of(error))
