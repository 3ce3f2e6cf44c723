"""A realm on a local endpoint, and functions for it."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any, Final

import pytest

from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.settings import Settings
from tests.aws_in_memory import (
    DENIED,
    Call,
    CannedRealm,
    Endpoint,
    Fault,
    Faults,
    Item,
    Keys,
    Queue,
    Table,
)
from tests.build import job_entry, trigger_entry
from tests.clock import Clock

PARKING: Final = "lava-demo-s3trigger-parked"
MAX_EXPLAINED: Final = 3
"""Payloads of one test that are explained as well."""
MAX_EXPLAINED_CHARACTERS: Final = 100_000
SEND: Final = "SendMessageBatch"


def deny(queue: str, fault: Fault = DENIED, operation: str = SEND) -> Faults:
    """Return the fault of calls to a queue, which is named by its last word.

    By default, the role may not send to it.
    """

    def fail(call: Call) -> Fault | None:
        at = call.request.get("QueueUrl") or call.request.get("QueueName") or ""
        return fault if call.operation == operation and at.endswith(f"-{queue}") else None

    return fail


def fails(function: Function, payload: Any, context: Any = None) -> None:
    """Hand a payload to a function, which must have AWS deliver all of it again."""
    with pytest.raises(DeliveriesFailedError):
        function(payload, context)


class _Noting(Function):
    """A function whose payloads are noted, to be explained."""

    def __init__(self, function: Function, harness: Harness) -> None:
        self.__dict__ = function.__dict__
        self._harness = harness

    def __call__(self, payload: Any, context: Any = None) -> dict[str, Any] | None:
        self._harness.note(payload)
        return super().__call__(payload, context)


class Harness:
    """A realm with workers core and web, a dead-letter queue, and functions for it.

    The jobs are load (for worker core), report (web), lost (a worker without a queue),
    small (a worker whose queue takes 100 bytes) and bad (its entry has no payload).
    """

    def __init__(self, endpoint: Endpoint, caplog: pytest.LogCaptureFixture | None = None) -> None:
        self.endpoint = endpoint
        if caplog:
            self.logged = LogLines(caplog)
            """What the functions log."""
        self.realm: CannedRealm = endpoint.realm("demo", ["core", "web"])
        self.core: Queue = self.realm.queue("core")
        self.web: Queue = self.realm.queue("web")
        self.parking: Queue = endpoint.add_queue(PARKING)
        endpoint.add_queue("lava-demo-small", largest=100)
        self.clock = Clock()
        self._handed: dict[tuple[str, str], tuple[list[Item], list[Item]]] = {}
        self.waits: list[float] = []
        """For how long the functions waited, in seconds."""
        for job_id, worker in (
            ("load", "core"),
            ("report", "web"),
            ("lost", "nowhere"),
            ("small", "small"),
        ):
            self.job(job_id, worker)
        self.realm.jobs.put({"job_id": "bad", "type": "cmd", "worker": "core"})

    def share_claims(self) -> Table:
        """Make a table of duplicates, `claims`, for all functions; return it."""
        claims = self.endpoint.tables["claims"] = Table(Keys("id"))
        return claims

    def job(self, job_id: str, worker: str, **fields: Any) -> None:
        """Put a job into the jobs table."""
        self.realm.jobs.put(job_entry(job_id, worker, **fields))

    def trigger(self, trigger_id: str = "t", prefix: str = "in", **fields: Any) -> None:
        """Put a trigger into the table: unless the fields differ, it passes the key to job load."""
        fields = {"parameters": {"key": "{{ key }}"}, **fields}
        self.realm.triggers.put(trigger_entry(trigger_id, prefix, **fields))

    def function(self, **settings: Any) -> Function:
        """Make a function, as a new instance of Lambda does."""
        return _Noting(self.make_function(**settings), self)

    def make_function(self, make_s3_client: Any = None, **settings: Any) -> Function:
        """Make a function whose payloads are not explained."""
        return Function(
            Settings(**{"realm": "demo", "dead_letter_queue": PARKING, **settings}),
            *self.endpoint.clients,
            clock=self.clock,
            sleep=self.waits.append,
            make_s3_client=make_s3_client,
        )

    def note(self, payload: Any) -> None:
        """Note a payload, and the entries as they are."""
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            text = json.dumps(payload)
            if len(text) < MAX_EXPLAINED_CHARACTERS:
                entries = (
                    list(self.realm.triggers.items.values()),
                    list(self.realm.jobs.items.values()),
                )
                self._handed[text, repr(entries)] = entries

    def to_explain(self) -> list[tuple[Any, list[Item], list[Item]]]:
        """Return payloads that functions were handed, each with its entries."""
        noted = list(self._handed.items())[:MAX_EXPLAINED]
        return [(json.loads(text), *entries) for (text, _), entries in noted]

    def keys(self, queue: Queue | None = None) -> list[str]:
        """Return the keys that dispatches in a queue pass on: of core, if none is named."""
        return [each.json["parameters"]["key"] for each in (queue or self.core).messages]

    def parked(self) -> list[dict[str, Any]]:
        """Return what parked messages say about themselves, without the S3 event."""
        return [each.json["parked"] for each in self.parking.messages]

    def counts(self) -> tuple[int, int, int]:
        """Return how many messages are in the queues: of core, of web, and of parked ones."""
        return len(self.core.messages), len(self.web.messages), len(self.parking.messages)

    def nothing_went_out(self) -> bool:
        """Return whether all queues are empty."""
        return not any(self.counts())


class LogLines:
    """What the function logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, logger="lava_s3trigger")
        self._caplog = caplog

    def lines(self) -> list[str]:
        """Return all lines."""
        return [each.getMessage() for each in self._records()]

    def clear(self) -> None:
        """Forget all lines."""
        self._caplog.clear()

    def fields(self, event: str, level: int | None = None) -> list[dict[str, Any]]:
        """Return the fields of all lines for an event, at a level if one is given.

        How long a trigger took is left out: it differs from run to run.
        """
        found = [(each.levelno, read_line(each.getMessage())) for each in self._records()]
        return [
            {name: value for name, value in line.fields.items() if name != "duration_ms"}
            for levelno, line in found
            if line and line.event == event and level in (None, levelno)
        ]

    def _records(self) -> list[logging.LogRecord]:
        return [each for each in self._caplog.records if each.name == "lava_s3trigger"]
