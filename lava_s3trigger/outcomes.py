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
"""The words for outcomes, the most notable first."""


class Outcome(NamedTuple):
    """What happened, and why."""

    outcome: OutcomeName
    kind: str | None = None
    """The kind of skip, user error or failure: one of a small set."""
    reason: str | None = None
    trigger_id: str | None = None
    job_id: str | None = None
    run_id: str | None = None
    queue: str | None = None
    lag: float | None = None
    """Seconds from the event to the dispatch."""
    errors: tuple[EntryError, ...] = ()
    """Errors of the entry, if it cannot be used."""

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
        """Whether it was skipped because an earlier attempt did it."""
        return self.kind == "sent_before"


def most_notable(outcomes: Iterable[OutcomeName]) -> OutcomeName:
    """Return the outcome that represents several, or ``skipped`` if there is none."""
    return min(outcomes, key=OUTCOMES.index, default="skipped")
