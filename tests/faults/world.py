"""A realm on the local endpoint, and the instances of the function that serve it."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import random
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Final, Self
from unittest import mock

from botocore.handlers import disable_signing
from botocore.retries.standard import ExponentialBackoff
from botocore.useragent import UserAgentString
from jinja2 import Environment
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_sqs import SQSClient

from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.dedup import table
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.log import LOGGER
from lava_s3trigger.settings import Settings
from tests.aws_in_memory import OPERATIONS, REGION, Endpoint, Keys, Table
from tests.aws_in_memory import Message as QueueMessage
from tests.build import job_entry, trigger_entry
from tests.clock import Clock

from .calls import BUCKET, CLAIMS, DEAD_LETTERS, JOBS, REALM
from .delivery import Message
from .ledger import Effect, Invocation, Ledger
from .planning import Plan, Row

Clients = tuple[DynamoDBClient, SQSClient]

TIMEOUT: Final = 60.0
"""Seconds that an invocation may take, as in the template."""
HASTY: Final = 0.1
"""Seconds that clients wait for replies that never come."""
EPOCH: Final = 1_800_000_000


class SimulatedClock(Clock):
    """A clock that sleeping moves, from several threads."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self._lock = threading.Lock()

    def epoch(self) -> float:
        return EPOCH + self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    def reach(self, moment: float) -> None:
        """Move on to a moment, unless it is past."""
        self.sleep(max(0.0, moment - self.now))


class ProcessEndedError(BaseException):
    """The end of the function's process, which no handler in it can catch."""


class World:
    """A realm whose AWS calls fail as a row says, and the function that serves it."""

    def __init__(self, laboratory: Laboratory, row: Row, seed: int, *, is_fresh: bool) -> None:
        self.clock = SimulatedClock()
        self.plan = Plan(row, seed)
        self.ledger = Ledger(row.shares_claims)
        self.dead_lettered = 0
        self._laboratory = laboratory
        self._row = row
        self._is_fresh = is_fresh
        self._clients = laboratory.hasty_clients if row.is_slow else laboratory.clients
        self._function: Function | None = None
        self._instance = 0
        self._endpoint = laboratory.endpoint
        self._endpoint.reset()
        self._realm = self._endpoint.realm(REALM, ["core", "web"])
        self.dead_letters = self._endpoint.add_queue(DEAD_LETTERS)
        self._endpoint.tables[CLAIMS] = Table(Keys("id"))
        taking = self.ledger.note_taken(OPERATIONS["SendMessageBatch"])
        self._endpoint.operations["SendMessageBatch"] = taking
        self._put_entries()
        self._endpoint.fail(self.plan)

    def _put_entries(self) -> None:
        for trigger_id, (prefix, job_ids) in JOBS.items():
            parameters = {"key": "{{ key }}", "trigger": trigger_id}
            fields: Any = {"bucket": BUCKET, "job_id": list(job_ids), "parameters": parameters}
            self._realm.triggers.put(trigger_entry(trigger_id, prefix, **fields))
        if self._row.walks:
            self._realm.triggers.page = 2  # more entries than a page: the function walks
        self._realm.jobs.put(job_entry("core", "core"), job_entry("web", "web"))

    def put_dead_letter(self, payload: str) -> None:
        """Put an event into the dead-letter queue, as Lambda does after its last try."""
        self.dead_lettered += 1
        self.dead_letters.messages.append(QueueMessage(payload, 0))

    def mend(self) -> None:
        """Correct the user's mistake: add the missing job."""
        self._realm.jobs.put(job_entry("late", "web"))

    def invoke(
        self,
        payload: str,
        messages: Sequence[Message],
        request_id: str | None = None,
        *,
        gives_parked_back: bool = False,
    ) -> list[Message]:
        """Invoke the function with messages in JSON, and return those to deliver again."""
        self.clock.sleep(4.0)
        if self._function is None or self._is_fresh:
            self._function = self._new_instance()
        now = Invocation(self._instance, gives_parked_back)
        self.ledger.invocations.append(now)
        end = self.clock() + TIMEOUT
        context = SimpleNamespace(
            aws_request_id=request_id,
            get_remaining_time_in_millis=lambda: (end - self.clock()) * 1000,
        )
        try:
            answer = self._function(json.loads(payload), context)
        except DeliveriesFailedError:
            failed = list(messages)
        except ProcessEndedError:
            failed = list(messages)
            # The function's calls have all ended: it waits for them before it raises.
            self.ledger.invocation.has_ended = True
            self.plan.is_ending = False
            self._function = None
        else:
            ids = _failed_ids(answer or {})
            assert ids <= {each.id for each in messages}
            failed = [each for each in messages if each.id in ids]
        self.plan.release()
        now.failed = frozenset(key for each in failed for key in each.keys)
        return failed

    def _new_instance(self) -> Function:
        self._instance += 1
        settings = Settings(
            realm=REALM,
            # With 0, each invocation queries the tables.
            cache_ttl=0 if self._row.breaks_reads else 60,
            dedup_table=CLAIMS if self._row.shares_claims else None,
            dead_letter_queue=DEAD_LETTERS,
            log_level=logging.WARNING,
        )
        # Leases must expire by this clock, which no other test needs.
        timed = functools.partial(table.ClaimTable, now=self.clock.epoch)
        with mock.patch.object(table, "ClaimTable", timed):
            return self._laboratory.make_function(
                settings, *self._clients, clock=self.clock, sleep=self.clock.sleep
            )

    def note_answer(self, error: Exception | None, request: dict[str, Any]) -> None:
        """Note whether a call was answered; end the process where the plan says so."""
        if error is not None:
            self.ledger.note_unanswered(json.loads(request["body"]))
        if self.plan.is_ending:
            raise ProcessEndedError


def effects(keys: Sequence[str]) -> list[Effect]:
    """Return all dispatches that events with these keys should cause."""
    return [
        (key, trigger_id, job_id)
        for key in keys
        for trigger_id, (prefix, job_ids) in JOBS.items()
        if prefix == key.partition("/")[0]
        for job_id in job_ids
    ]


def _failed_ids(answer: dict[str, Any]) -> set[str]:
    """Return the ids of the SQS messages to deliver again, or of the tasks to try again."""
    codes = {each["taskId"]: each["resultCode"] for each in answer.get("results", [])}
    assert set(codes.values()) <= {"Succeeded", "TemporaryFailure"}
    messages = {each["itemIdentifier"] for each in answer.get("batchItemFailures", [])}
    return messages | {each for each, code in codes.items() if code == "TemporaryFailure"}


def keys(count: int) -> list[str]:
    """Return the keys of some objects; every fifth matches an entry with a mistake."""
    return [f"{'in' if number % 5 else 'mend'}/{number:05}" for number in range(count)]


def _short(_: UserAgentString) -> str:
    return "tests"


class Laboratory(contextlib.ExitStack):
    """The endpoint, and clients that report every answer; for one world at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None
        self.endpoint = Endpoint()
        self.make_function: Callable[..., Function] = Function
        """What makes an instance; a test of this suite puts a broken function here."""

    def __enter__(self) -> Self:
        self.enter_context(self.endpoint)
        for patched in (
            # Jitter would make each run different; botocore waits by the real clock.
            mock.patch.object(random, "uniform", new=max),
            mock.patch.object(ExponentialBackoff, "delay_amount", return_value=0.0),
            # The user agent takes half the time of a call.
            mock.patch.object(UserAgentString, "to_string", new=_short),
            # A new instance would compile the same templates again.
            mock.patch.object(Environment, "compile", new=functools.cache(Environment.compile)),
            mock.patch.object(LOGGER, "propagate", new=False),
        ):
            self.enter_context(patched)
        listener = logging.Handler()
        listener.emit = self._note_log  # type: ignore[method-assign]
        LOGGER.addHandler(listener)
        self.callback(LOGGER.removeHandler, listener)
        return self

    def _note_log(self, record: logging.LogRecord) -> None:
        """Note that the function could not write to the claims table."""
        if self.world and record.getMessage().startswith(("dedup table ", "claims not settled")):
            self.world.ledger.invocation.is_unnoted = True

    def make_world(self, row: Row, seed: int, *, is_fresh: bool) -> World:
        """Make a world, which replaces the one before."""
        self.world = World(self, row, seed, is_fresh=is_fresh)
        return self.world

    @functools.cached_property
    def clients(self) -> Clients:
        return self._make_clients()

    @functools.cached_property
    def hasty_clients(self) -> Clients:
        """Clients that wait for replies only briefly."""
        with mock.patch.multiple(
            "lava_s3trigger.aws.clients", CONNECT_TIMEOUT=HASTY * 10, READ_TIMEOUT=HASTY
        ):
            return self._make_clients()

    def _make_clients(self) -> Clients:
        clients = make_clients(
            endpoint_url=self.endpoint.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        for client in clients:
            service = client.meta.service_model.service_id.hyphenize()
            client.meta.events.register(f"needs-retry.{service}", self._report)
            client.meta.events.register(f"choose-signer.{service}", disable_signing)
            self.callback(client.close)
        return clients

    def _report(
        self, caught_exception: Exception | None, request_dict: dict[str, Any], **_: Any
    ) -> None:
        if self.world:
            self.world.note_answer(caught_exception, request_dict)
