"""What an invocation came to: one line in the log for each."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .log import log_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .events import Delivery
    from .sending import Task

_MAX_OBJECTS: Final = 3


@dataclass(slots=True)
class Summary:
    """Counts what became of the S3 events of one invocation."""

    counts: Counter[str] = field(default_factory=Counter)
    unmatched: list[str] = field(default_factory=list)
    """The first objects that no trigger matches, as bucket and key."""

    def add(self, tasks: Iterable[Task]) -> None:
        """Count tasks that were carried out."""
        counts = self.counts
        for task in tasks:
            counts["events"] += 1
            if task.event.replay is not None:
                counts["replayed"] += 1
            counts["dispatched"] += task.dispatched
            counts["skipped"] += task.skipped
            counts["parked"] += len(task.parked)
            if task.failures:
                counts["failed"] += 1
            if task.decision is not None and not (task.decision.triggers or task.decision.error):
                counts["unmatched"] += 1
                if len(self.unmatched) < _MAX_OBJECTS:
                    self.unmatched.append(f"{task.event.bucket}/{task.event.key}")

    def log(self, received: Sequence[Delivery]) -> None:
        """Log what the invocation came to."""
        counts = self.counts
        log_event(
            logging.INFO,
            "summary",
            deliveries=len(received),
            failed_deliveries=sum(1 for delivery in received if delivery.failures),
            events=counts["events"],
            replayed=counts["replayed"] or None,
            dispatched=counts["dispatched"],
            skipped=counts["skipped"],
            parked=counts["parked"],
            failed=counts["failed"],
            unmatched=counts["unmatched"],
            unmatched_objects=self.unmatched or None,
        )
