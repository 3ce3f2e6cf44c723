"""What an invocation came to: one line in the log for each, which is a document of metrics.

The line is in CloudWatch's embedded metric format: CloudWatch makes metrics of it.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .log import log_document, log_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .events import Delivery
    from .sending import Task

NAMESPACE: Final = "lava"
"""Namespace of the metrics."""

ROUTES: Final = ("sqs", "s3", "sns", "eventbridge", "s3_batch", "redriven")
FAILURES: Final = (
    "aws_error",
    "busy",
    "group_blocked",
    "no_object",
    "not_understood",
    "object_unreadable",
    "out_of_time",
    "parking_failed",
    "unexpected",
    "waiting",
)
"""The kinds of failures, as the log names them."""
METRICS: Final = frozenset(
    [
        *(f"events_{route}" for route in ROUTES),
        "replayed",
        "dispatched",
        "skipped",
        "duplicates",
        "mistakes",
        *(f"failed_{kind}" for kind in FAILURES),
        "lag",
    ]
)
"""The names of the metrics. Each is billed by its name: no other may come out of events."""


@dataclass(slots=True)
class Summary:
    """Counts what became of the S3 events of one invocation."""

    counts: Counter[str] = field(default_factory=Counter)
    lag: float | None = None
    """The longest time in seconds from an event to its first dispatch."""

    def add(self, tasks: Sequence[Task]) -> None:
        """Count tasks that were carried out."""
        counts = self.counts
        counts["events"] += len(tasks)
        for task in tasks:
            is_replayed = task.event.replay is not None
            counts["events_redriven" if task.redrive else f"events_{task.delivery.route}"] += 1
            if is_replayed:
                counts["replayed"] += 1
            if task.dispatched:
                counts["dispatched"] += task.dispatched
            if task.skipped:
                counts["skipped"] += task.skipped
                counts["duplicates"] += task.is_duplicate
            if task.reasons or task.parked:
                counts["parked"] += len(task.parked)
                counts["mistakes"] += task.mistakes
            if task.failures:
                counts["failed"] += 1
            if task.decision is not None and not (task.decision.triggers or task.decision.error):
                counts["unmatched"] += 1
            # What was parked has waited for a user, and what is replayed is as old as it is.
            if task.lag is not None and not (task.redrive or is_replayed):
                self.lag = max(self.lag or 0.0, task.lag)

    def log(
        self, received: Sequence[Delivery], dimensions: Mapping[str, str] | None = None
    ) -> None:
        """Log what the invocation came to; counts that are 0 are left out.

        Args:
            received: The deliveries of the invocation.
            dimensions: Names and values of the dimensions of its metrics; None: no metrics.
        """
        counts = self.counts
        for delivery in received:
            if delivery.failures:
                counts["failed_deliveries"] += 1
            for kind in delivery.failure_kinds:
                counts[f"failed_{kind}"] += 1
        fields: dict[str, Any] = {name: count for name, count in counts.items() if count}
        if len(received) != 1:
            fields["deliveries"] = len(received)
        if self.lag is not None:
            fields["lag"] = round(self.lag, 1)
        metrics = [f'{{"Name":"{name}"}}' for name in fields if name in METRICS]
        if dimensions is None or not metrics:
            log_event(logging.INFO, "summary", **fields)
            return
        # All in it are numbers and names, so that it can be put together as text, in a
        # third of the time that an encoder takes.
        names, values = _dimensions(tuple(dimensions.items()))
        numbers = ",".join([f'"{name}":{number}' for name, number in fields.items()])
        log_document(
            f'{{"event":"summary","_aws":{{"Timestamp":{round(time.time() * 1000)},'
            f'"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":[{names}],'
            f'"Metrics":[{",".join(metrics)}]}}]}},{values},{numbers}}}'
        )


@cache
def _dimensions(pairs: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Return the list of the names of dimensions, and the members with their values, as JSON."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    return encode([name for name, _ in pairs]), encode(dict(pairs))[1:-1]
