"""The summary line of an invocation, in CloudWatch's embedded metric format.

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

    from .deliveries import DeliveredEvent, Delivery

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
        "user_errors",
        *(f"failed_{kind}" for kind in FAILURES),
        "lag",
    ]
)
"""The names of the metrics. AWS bills each name, so events must not add any."""


@dataclass(slots=True)
class Summary:
    """Counts the outcomes of one invocation."""

    counts: Counter[str] = field(default_factory=Counter)
    lag: float | None = None
    """The longest time in seconds from an event to a dispatch of it."""

    def add(self, events: Sequence[DeliveredEvent]) -> None:
        """Count the outcomes of events that were carried out."""
        counts = self.counts
        counts["events"] += len(events)
        for delivered in events:
            is_replayed = delivered.event.replay is not None
            is_redriven = delivered.redrive is not None
            counts["events_redriven" if is_redriven else f"events_{delivered.route}"] += 1
            counts["replayed"] += is_replayed
            user_errors, has_failed = set(), False
            for outcome, kind, _, trigger_id, _, _, _, lag, _ in delivered.outcomes:
                if outcome == "failed":
                    has_failed = True
                elif outcome in {"parked", "user_error"}:
                    user_errors.add((outcome, trigger_id))
                elif kind == "no_trigger":
                    counts["unmatched"] += 1
                else:
                    counts[outcome] += 1
                    counts["duplicates"] += kind == "duplicate"
                # A redriven event has waited for a user, and a replayed one may have any age.
                if lag is not None and not (is_redriven or is_replayed):
                    self.lag = max(self.lag or 0.0, lag)
            if user_errors:
                counts["parked"] += sum(outcome == "parked" for outcome, _ in user_errors)
                counts["user_errors"] += len(user_errors)
            counts["failed"] += has_failed

    def log(
        self, received: Sequence[Delivery], dimensions: Mapping[str, str] | None = None
    ) -> None:
        """Log the counts of the invocation; those that are 0 are left out.

        Args:
            received: The deliveries of the invocation.
            dimensions: Names and values of the dimensions of its metrics; None: no metrics.
        """
        counts = self.counts
        for delivery in received:
            failures = delivery.failures
            counts["failed_deliveries"] += bool(failures)
            for failure in failures:
                counts[f"failed_{failure.kind}"] += 1
        fields: dict[str, Any] = {name: count for name, count in counts.items() if count}
        if len(received) != 1:
            fields["deliveries"] = len(received)
        if self.lag is not None:
            fields["lag"] = round(self.lag, 1)
        metrics = [f'{{"Name":"{name}"}}' for name in fields if name in METRICS]
        if dimensions is None or not metrics:
            log_event(logging.INFO, "summary", **fields)
            return
        # It has only numbers and names, so it can be joined as text, in a third of the time
        # that an encoder takes.
        names, values = _dimensions(tuple(dimensions.items()))
        numbers = ",".join([f'"{name}":{number}' for name, number in fields.items()])
        log_document(
            f'{{"event":"summary","_aws":{{"Timestamp":{round(time.time() * 1000)},'
            f'"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":[{names}],'
            f'"Metrics":[{",".join(metrics)}]}}]}},{values},{numbers}}}'
        )


@cache
def _dimensions(pairs: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Return the list of the dimensions' names, and the members with their values, as JSON."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    return encode([name for name, _ in pairs]), encode(dict(pairs))[1:-1]
