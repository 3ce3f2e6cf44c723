"""Jobs: entries of the jobs table. See docs/design.md#dispatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import units
from .aws.attributes import read_field
from .aws.cache import SegmentedLRUCache
from .aws.clients import service_error, service_errors
from .aws.deadline import UNLIMITED, Reserve
from .errors import MAX_ENTRY_ERRORS, EntryError, InvalidEntryError, UserError
from .templates.documents import RESERVED
from .units import shown, utf8_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient

    from .aws.deadline import Deadline

_REQUIRED: Final = ("job_id", "type", "worker", "payload")
_MAX_JOBS: Final = 10_000
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_JOB_ID_BYTES: Final = 2048
"""Bytes of the longest key of DynamoDB: a longer id names no job."""


@dataclass(frozen=True, slots=True)
class Job:
    """The fields of an entry of the jobs table that dispatching needs."""

    job_id: str
    worker: str
    enabled: bool


def read_job(item: dict[str, dict[str, Any]]) -> Job:
    """Read an item of the table.

    Raises:
        InvalidEntryError: It cannot be dispatched.
    """
    errors = [
        EntryError("missing_field", name, f"{name} is missing")
        for name in _REQUIRED
        if name not in item
    ]
    worker = read_field(item, "worker", _worker, "not_a_worker", errors)
    for name in item.get("globals", {}).get("M", {}):
        if name.lower().startswith(RESERVED) and len(errors) < MAX_ENTRY_ERRORS:
            message = f"globals: {shown(name)} starts with {RESERVED}, which is reserved"
            errors.append(EntryError("reserved_global", "globals", message, name))
    is_enabled = read_field(item, "enabled", _enabled, "not_a_boolean", errors, default=False)
    if errors:
        raise InvalidEntryError(tuple(errors[:MAX_ENTRY_ERRORS]))
    return Job(item["job_id"].get("S", ""), worker, is_enabled)


def _worker(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{shown(value)} is not the name of a worker")
    return value


def _enabled(value: Any) -> bool:
    # A string is a template that the worker evaluates; it counts as enabled here.
    return isinstance(value, str) or units.boolean(value)


def can_exist(job_id: str) -> bool:
    """Return whether DynamoDB can have a job with an id, which is a key of its table."""
    return 0 < utf8_bytes(job_id) <= MAX_JOB_ID_BYTES


def unusable(job_id: str, error: InvalidEntryError) -> UserError:
    """Return the user error for a job with an invalid entry."""
    return UserError(f"bad entry of job {shown(job_id)}: {error}", "bad_job", error.errors)


class JobTable:
    """The jobs table of a realm.

    Args:
        client: Client of DynamoDB.
        realm: Name of the realm.
        ttl: Seconds for which answers are cached.
        clock: Returns the time in seconds; it must not go backwards.
    """

    def __init__(
        self, client: DynamoDBClient, realm: str, ttl: float, clock: Callable[[], float]
    ) -> None:
        self.name = f"lava.{realm}.jobs"
        self._client = client
        self._deadline = UNLIMITED
        self._jobs: SegmentedLRUCache[str, Job] = SegmentedLRUCache(ttl, _MAX_JOBS, clock)
        # A missing job may be created at any time, so that is cached only for the invocation.
        self._bad: SegmentedLRUCache[str, UserError] = SegmentedLRUCache(0, _MAX_JOBS, clock)

    def start(self, deadline: Deadline) -> None:
        """Start an invocation, with its deadline."""
        self._deadline = deadline
        self._jobs.start()
        self._bad.start()

    def __getitem__(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            UserError: There is no such job, or its entry cannot be used.
            ServiceError: The table could not be read.
            OutOfTimeError: There was too little time to read it.
        """
        job = self._jobs.get(job_id)
        if job is not None:
            return job
        if not can_exist(job_id):  # it has any length, so it must not be cached
            raise UserError(f"no job {shown(job_id)} in {self.name}", "no_such_job")
        error = self._bad.get(job_id)
        if error is None:
            try:
                return self._jobs.fetch(job_id, lambda: read_job(self._item(job_id)))
            except InvalidEntryError as invalid:
                error = unusable(job_id, invalid)
            except LookupError:
                error = UserError(f"no job {shown(job_id)} in {self.name}", "no_such_job")
            self._bad.put(job_id, error)
            self._jobs.forget(job_id)
        raise UserError(str(error), error.kind, error.errors)

    def _item(self, job_id: str) -> dict[str, dict[str, Any]]:
        self._deadline.require(Reserve.READ, f"reading {self.name}")
        try:
            answer = self._client.get_item(TableName=self.name, Key={"job_id": {"S": job_id}})
        except service_errors() as error:
            raise service_error(f"reading {self.name}", error) from error
        if "Item" not in answer:
            raise LookupError(job_id)
        return answer["Item"]  # type: ignore[return-value]
