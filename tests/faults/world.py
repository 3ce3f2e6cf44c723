"""A realm on the endpoint, and the instances of the function that work for it."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Self
from unittest import mock

from botocore.handlers import disable_signing
from botocore.retries.standard import ExponentialBackoff
from botocore.useragent import UserAgentString

from lava_s3trigger.aws import threads
from lava_s3trigger.aws.clients import make_clients
from lava_s3trigger.dedup import table as claims
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from lava_s3trigger.log import LOGGER
from lava_s3trigger.settings import Settings
from lava_s3trigger.templates.environment import TemplateEnvironment
from tests.endpoint import OPERATIONS, REGION, Endpoint, Keys, Table
from tests.endpoint import Message as QueueMessage

from .calls import BUCKET, CLAIMS, DEAD_LETTERS, REALM
from .dedup_table import update_item
from .ledger import Invocation, Ledger
from .planning import Plan, Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from .aws_delivery import Message
    from .ledger import Errand

    Clients = tuple[DynamoDBClient, SQSClient]

TIMEOUT: Final = 60.0
"""Seconds that an invocation may take, as in the template."""
HASTY: Final = 0.1
"""Seconds that clients wait for replies where those never come."""
EPOCH: Final = 1_800_000_000
EVERY_FIFTH: Final = 5


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Give the seconds since it all began."""
        return self._now

    def epoch(self) -> float:
        """Give the seconds since the epoch."""
        return EPOCH + self._now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += seconds

    def reach(self, moment: float) -> None:
        """Let time pass until a moment, if that is to come."""
        self.sleep(max(0.0, moment - self._now))


class ProcessEndedError(BaseException):
    """Stands for the end of the function's process: nothing in it can catch that."""


class World:
    """A realm whose AWS calls fail as a row says, and the function that works for it.

    Args:
        laboratory: Where it stands.
        row: What goes wrong.
        seed: Another seed breaks other calls.
        is_fresh: Whether each invocation goes to a new instance of the function.
    """

    def __init__(self, laboratory: Laboratory, row: Row, seed: int, *, is_fresh: bool) -> None:
        self.clock = Clock()
        self.plan = Plan(row, seed)
        self.ledger = Ledger(row.shares_claims)
        self.dead_lettered = 0
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
        self._endpoint.operations |= {"SendMessageBatch": taking, "UpdateItem": update_item}
        self._put_entries()
        self._endpoint.fail(self.plan)

    def _put_entries(self) -> None:
        entry = {"bucket": BUCKET, "enabled": True}
        for trigger_id, prefix, job_id in (
            ("pair", "in", ["core", "web"]),
            ("good", "mend", "core"),
            ("late", "mend", ["core", "late"]),
        ):
            parameters = {"key": "{{ key }}", "trigger": trigger_id}
            more = {"trigger_id": trigger_id, "prefix": prefix, "job_id": job_id}
            self._realm.triggers.put(entry | more | {"parameters": parameters})
        if self._row.walks:
            self._realm.triggers.page = 2  # the function takes it that there are too many
        self._put_job("core", "core")
        self._put_job("web", "web")

    def _put_job(self, job_id: str, worker: str) -> None:
        job = {"job_id": job_id, "type": "exe", "worker": worker, "payload": "x"}
        self._realm.jobs.put(job | {"enabled": True})

    def put_dead_letter(self, payload: str) -> None:
        """Put an event into the dead-letter queue, as Lambda does with what has failed."""
        self.dead_lettered += 1
        self.dead_letters.messages.append(QueueMessage(payload, 0))

    def mend(self) -> None:
        """Mend the users' mistake: make the job that there was not."""
        self._put_job("late", "web")

    def invoke(
        self,
        payload: str,
        messages: Sequence[Message],
        request_id: str | None = None,
        *,
        gives_parked_back: bool = False,
    ) -> list[Message]:
        """Invoke the function, and give the messages that are to be delivered again.

        Args:
            payload: What it is handed, as JSON.
            messages: The messages in it, or what stands for the invocation.
            request_id: Of the request to Lambda; None makes a new one.
            gives_parked_back: Whether parked messages are in it.
        """
        self.clock.sleep(4.0)
        if self._function is None or self._is_fresh:
            self._function = self._new_instance()
        now = Invocation(self._instance, gives_parked_back)
        self.ledger.invocations.append(now)
        try:
            answer = self._function(json.loads(payload), self._context(request_id))
        except DeliveriesFailedError:
            failed = list(messages)
        except ProcessEndedError:
            failed = list(messages)
            self._bury()
        else:
            ids = {each["itemIdentifier"] for each in (answer or {}).get("batchItemFailures", [])}
            assert ids <= {each.id for each in messages}
            failed = [each for each in messages if each.id in ids]
        self.plan.release()
        now.failed = frozenset(key for each in failed for key in each.keys)
        return failed

    def _context(self, request_id: str | None) -> SimpleNamespace:
        end = self.clock() + TIMEOUT
        return SimpleNamespace(
            aws_request_id=request_id,
            get_remaining_time_in_millis=lambda: (end - self.clock()) * 1000,
        )

    def _new_instance(self) -> Function:
        self._instance += 1
        settings = Settings(
            realm=REALM,
            # With 0, each invocation reads the tables.
            cache_ttl=0 if self._row.breaks_reads else 60,
            dedup_table=CLAIMS if self._row.shares_claims else None,
            dead_letter_queue=DEAD_LETTERS,
            log_level=logging.WARNING,
        )
        timed = functools.partial(claims.ClaimTable, now=self.clock.epoch)
        with mock.patch.object(claims, "ClaimTable", timed):
            return Function(settings, *self._clients, clock=self.clock, sleep=self.clock.sleep)

    def _bury(self) -> None:
        """End what is left of a process that has ended: its threads."""
        self.ledger.invocation.has_ended = True
        if threads._pool is not None:  # noqa: SLF001 - it goes with the process
            threads._pool.shutdown()  # noqa: SLF001
            threads._pool = None  # noqa: SLF001
        self.plan.is_ending = False
        self._function = None

    def heard(self, error: Exception | None, request: dict[str, Any]) -> None:
        """Note what came of a call: the function's clients tell."""
        if error is not None:
            self.ledger.note_unanswered(json.loads(request["body"]))
        if self.plan.is_ending:
            raise ProcessEndedError

    def said(self, line: str) -> None:
        """Note what the function said in its log."""
        self.ledger.invocation.is_unnoted |= line.startswith(
            ("dedup table unreachable", "claims not settled")
        )

    @staticmethod
    def errands(keys: Sequence[str]) -> list[Errand]:
        """Give all that events with these keys should cause."""
        of_prefix = {
            "in": (("pair", "core"), ("pair", "web")),
            "mend": (("good", "core"), ("late", "core"), ("late", "late")),
        }
        return [(key, *each) for key in keys for each in of_prefix[key.partition("/")[0]]]


def keys(count: int) -> list[str]:
    """Give the keys of so many objects; of every fifth, a user has made a mistake."""
    return [f"{'in' if number % EVERY_FIFTH else 'mend'}/{number:05}" for number in range(count)]


class _Listener(logging.Handler):
    def __init__(self, laboratory: Laboratory) -> None:
        super().__init__()
        self._laboratory = laboratory

    def emit(self, record: logging.LogRecord) -> None:
        if self._laboratory.world:
            self._laboratory.world.said(record.getMessage())


def _short(_: UserAgentString) -> str:
    return "tests"


class Laboratory:
    """An endpoint, and clients of which every answer is seen; for one world at a time."""

    def __init__(self) -> None:
        self._cleanup = contextlib.ExitStack()
        self.world: World | None = None
        self.endpoint = Endpoint()

    def __enter__(self) -> Self:
        enter = self._cleanup.enter_context
        enter(self.endpoint)
        # Jitter would make each run another one; and botocore waits on a clock of its own.
        enter(mock.patch("lava_s3trigger.aws.sqs.random", SimpleNamespace(uniform=max)))
        enter(mock.patch.object(ExponentialBackoff, "delay_amount", return_value=0.0))
        # Half of what a call costs, and of no use here.
        enter(mock.patch.object(UserAgentString, "to_string", new=_short))
        # A new instance would compile the same templates again.
        compiled = functools.cache(TemplateEnvironment.compile)
        enter(mock.patch.object(TemplateEnvironment, "compile", new=compiled))
        enter(mock.patch.object(LOGGER, "propagate", new=False))
        listener = _Listener(self)
        LOGGER.addHandler(listener)
        self._cleanup.callback(LOGGER.removeHandler, listener)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def make_world(self, row: Row, seed: int, *, is_fresh: bool) -> World:
        """Make a world, in place of the one before it."""
        self.world = World(self, row, seed, is_fresh=is_fresh)
        return self.world

    @functools.cached_property
    def clients(self) -> Clients:
        """The function's clients."""
        return self._make_clients()

    @functools.cached_property
    def hasty_clients(self) -> Clients:
        """Such as wait for little time."""
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
            client.meta.events.register(f"needs-retry.{service}", self._heard)
            client.meta.events.register(f"choose-signer.{service}", disable_signing)
            self._cleanup.callback(client.close)
        return clients

    def _heard(
        self, caught_exception: Exception | None, request_dict: dict[str, Any], **_: Any
    ) -> None:
        if self.world:
            self.world.heard(caught_exception, request_dict)
