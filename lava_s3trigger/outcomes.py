"""The outcome of an S3 event, of one of its triggers, or of one job of a trigger.

Each step of an invocation appends its outcomes to one list of the event (`deliveries`). The log
has a line for each of them. The counts, the answer to AWS and what a retry skips are read from
these lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .errors import EntryError

OutcomeName = Literal["dispatched", "user_error", "failed", "skipped", "parked"]
OUTCOMES: Final[tuple[OutcomeName, ...]] = (
    "dispatched",
    "user_error",
    "failed",
    "skipped",
    "parked",
)
"""Of several outcomes, the first of these represents all."""


class Outcome(NamedTuple):
    """What happened, and why."""

    outcome: OutcomeName
    kind: str | None = None
    """What sort of skip, user error or failure it is: one of a small set."""
    reason: str | None = None
    trigger_id: str | None = None
    job_id: str | None = None
    run_id: str | None = None
    queue: str | None = None
    lag: float | None = None
    """Seconds from the event to the dispatch."""
    errors: tuple[EntryError, ...] = ()
    """Those of the entry, if it cannot be used."""

    @property
    def is_dispatched(self) -> bool:
        """Whether this attempt or an earlier one dispatched the job."""
        return self.outcome == "dispatched" or (self.job_id is not None and self.is_earlier)

    @property
    def is_parked(self) -> bool:
        """Whether this attempt or an earlier one parked the trigger."""
        return self.outcome == "parked" or (self.job_id is None and self.is_earlier)

    @property
    def is_earlier(self) -> bool:
        """Whether an earlier attempt did what is skipped here."""
        return self.kind == "sent_before"


def most_notable(outcomes: Iterable[OutcomeName]) -> OutcomeName:
    """Return the outcome that represents several; of none it is ``skipped``."""
    return min(outcomes, key=OUTCOMES.index, default="skipped")
