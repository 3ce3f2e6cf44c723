"""A dispatch: the message that has a worker run a job. See docs/design.md#dispatch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def timestamp(now: datetime) -> str:
    """Give a time, with a time zone, as ISO 8601 in whole seconds with its offset."""
    return now.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A job to be run by a worker."""

    trigger_id: str
    position: int
    """Which of the trigger's jobs it is, from 0."""
    job_id: str
    worker: str
    parameters: Mapping[str, Any]
    globals: Mapping[str, Any]
    delay: int = 0
    """Seconds."""

    def queue(self, realm: str) -> str:
        """Name the queue of the worker."""
        return f"lava-{realm}-{self.worker}"

    def message(self, realm: str, run_id: str, ts_dispatch: str) -> str:
        """Make the message for the worker.

        Args:
            realm: Name of the realm.
            run_id: A new UUID: workers take it for an identity.
            ts_dispatch: The time, as `timestamp` gives it.
        """
        message: dict[str, Any] = {
            "realm": realm,
            "worker": self.worker,
            "job_id": self.job_id,
            "run_id": run_id,
            "ts_dispatch": ts_dispatch,
        }
        if self.parameters:
            message["parameters"] = self.parameters
        if self.globals:
            message["globals"] = self.globals
        return json.dumps(message)  # in ASCII: SQS refuses some characters
