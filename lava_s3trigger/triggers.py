"""Triggers: entries of the s3triggers table, and which of them match. DESIGN section 4."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from . import units
from .aws.attributes import value_of
from .aws.cache import SegmentedLRUCache
from .aws.clients import READ_RESERVE, service_error
from .aws.deadline import UNLIMITED
from .conditions import Condition, is_condition, read_conditions
from .errors import UserError
from .templates.confinement import Confinement
from .templates.documents import Document
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from .aws.deadline import Deadline

    Item = dict[str, dict[str, Any]]

INDEX: Final = "s3trigger-index"
WHOLE_BUCKET: Final = "*"

MOST_IN_MEMORY: Final = 128
"""Entries of a bucket up to which one query reads them all; of 1 KiB each, 16 read units."""

# What DynamoDB allows for the keys of the index, in bytes; no entry can have longer ones.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_LONGEST_BUCKET: Final = 2048
_LONGEST_PREFIX: Final = 1024

_BUCKETS: Final = 1_000
_LEVELS: Final = 10_000
_KEYS: Final = 1_000

_NOT_CHECKED: Final = frozenset(["description", "owner"])
_FIELDS: Final = frozenset(
    [
        "trigger_id",
        "bucket",
        "prefix",
        "enabled",
        "job_id",
        "parameters",
        "globals",
        "jinja",
        "delay",
    ]
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """An entry of the s3triggers table that can be used."""

    trigger_id: str
    prefix: str
    enabled: bool
    job_ids: tuple[Document, ...] = ()
    parameters: Document | None = None
    globals: Document | None = None
    conditions: tuple[Condition, ...] = ()
    delay: int = 0
    """Seconds."""
    confinement: Confinement = field(default_factory=Confinement, compare=False)


@dataclass(frozen=True, slots=True)
class BrokenTrigger:
    """An entry that cannot be used, and why."""

    trigger_id: str
    prefix: str
    mistake: UserError


def read_trigger(item: Item, max_delay: float = 900.0) -> Trigger | BrokenTrigger:
    """Make a trigger of an item of the table.

    Args:
        item: The item, as DynamoDB's low-level client gives it.
        max_delay: Longest delay in seconds that it may ask for.
    """
    trigger_id = str(value_of(item["trigger_id"], "trigger_id"))
    prefix = str(value_of(item["prefix"], "prefix"))
    try:
        return _read_fields(trigger_id, prefix, item, max_delay)
    except ValueError as error:
        return BrokenTrigger(
            trigger_id, prefix, UserError(f"bad entry: {error}", trigger_id=trigger_id)
        )


def _read_fields(trigger_id: str, prefix: str, item: Item, max_delay: float) -> Trigger:
    if "enabled" not in item:
        raise ValueError("enabled is missing")
    if not _read("enabled", item, units.boolean, default=False):
        return Trigger(trigger_id, prefix, enabled=False)
    for name in item:
        if not (name in _FIELDS or name in _NOT_CHECKED or is_condition(name) or _is_users(name)):
            raise ValueError(
                f"{shown(name)} is no field of a trigger; names of your own begin with x-"
            )
    jinja = _read("jinja", item, units.boolean, default=True)
    parameters = _read("parameters", item, _map, default=None)
    globals_ = _read("globals", item, _map, default=None)
    if "job_id" not in item:
        raise ValueError("job_id is missing")
    confinement = Confinement()
    return Trigger(
        trigger_id,
        prefix,
        enabled=True,
        job_ids=tuple(Document(each, jinja=jinja) for each in _read("job_id", item, _job_ids)),
        parameters=Document(parameters, jinja=jinja) if parameters else None,
        globals=Document(globals_, jinja=jinja, is_globals=True) if globals_ else None,
        conditions=confinement.read(lambda: _conditions(item)),
        confinement=confinement,
        delay=_read("delay", item, lambda value: _delay(value, max_delay), default=0),
    )


def _conditions(item: Item) -> tuple[Condition, ...]:
    return read_conditions(
        {name: value_of(item[name], name) for name in item if is_condition(name)}
    )


def _is_users(name: str) -> bool:
    return name.startswith(("x-", "X-"))


def _read(name: str, item: Item, read: Callable[[Any], Any], default: Any = None) -> Any:
    """Read a field, and name it where it cannot be read."""
    if name not in item:
        return default
    value = value_of(item[name], name)
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _map(value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{shown(value)} is not a map")
    return value


def _job_ids(value: Any) -> list[str]:
    job_ids = [value] if isinstance(value, str) else value
    if isinstance(job_ids, list) and job_ids and all(isinstance(e, str) and e for e in job_ids):
        return job_ids
    raise ValueError(f"{shown(value)} is neither a job id nor a list of job ids")


def _delay(value: Any, max_delay: float) -> int:
    seconds = units.duration(value)
    if not 0 <= seconds <= max_delay:
        raise ValueError(f"{shown(value)} is not from 0 to {max_delay / 60:g} minutes")
    return round(seconds)


def prefixes(key: str) -> Iterator[str]:
    """Yield the prefixes at which triggers are looked for, in that order.

    For ``a/b/c`` that is ``a/b/c``, ``a/b``, ``a`` and ``*``.
    """
    # No entry can have a longer prefix; and keys that are too long for S3 may be longer
    # than could be gone through level by level.
    prefix = key if len(key) <= _LONGEST_PREFIX else key[: _LONGEST_PREFIX + 1].rpartition("/")[0]
    while prefix:
        if prefix != WHOLE_BUCKET:
            yield prefix
        prefix = prefix.rpartition("/")[0]
    yield WHOLE_BUCKET


class _Level:
    """The entries at one prefix of one bucket, read once the walk reaches them."""

    __slots__ = ("_items", "_triggers")

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._triggers: tuple[Trigger | BrokenTrigger, ...] | None = None

    def triggers(self, max_delay: float) -> tuple[Trigger | BrokenTrigger, ...]:
        if self._triggers is None:
            found = (read_trigger(item, max_delay) for item in self._items)
            self._triggers = tuple(sorted(found, key=lambda trigger: trigger.trigger_id))
        return self._triggers


_NOTHING: Final = _Level(())


class TriggerTable:
    """The s3triggers table of a realm.

    Args:
        client: Client of DynamoDB.
        realm: Name of the realm.
        ttl: Seconds for which what was read is remembered.
        max_delay: Longest delay in seconds that a trigger may ask for.
        clock: Gives the time in seconds; it must not go backwards.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        realm: str,
        ttl: float,
        max_delay: float,
        clock: Callable[[], float],
    ) -> None:
        self.name = f"lava.{realm}.s3triggers"
        self._client = client
        self._deadline = UNLIMITED
        self._max_delay = max_delay
        # Of a bucket: its levels by prefix, or nothing where it has too many entries.
        self._buckets: SegmentedLRUCache[str, dict[str, _Level]] = SegmentedLRUCache(
            ttl, _BUCKETS, clock
        )
        self._levels: SegmentedLRUCache[tuple[str, str], _Level] = SegmentedLRUCache(
            ttl, _LEVELS, clock
        )
        # Apart, since most keys are never seen again, but the folders above them are.
        self._keys: SegmentedLRUCache[tuple[str, str], _Level] = SegmentedLRUCache(
            ttl, _KEYS, clock
        )

    def start(self, deadline: Deadline) -> None:
        """Begin an invocation, with the time that it has."""
        self._deadline = deadline
        self._buckets.start()
        self._levels.start()
        self._keys.start()

    def matching(self, bucket: str, key: str) -> tuple[Trigger | BrokenTrigger, ...]:
        """Give the entries at the longest prefix of the key that has any.

        Disabled entries are among them, since they hide broader ones.

        Raises:
            ServiceError: The table could not be read.
            OutOfTimeError: There was too little time to read it.
        """
        if not _fits(bucket, _LONGEST_BUCKET):
            return ()
        levels = self._bucket(bucket)
        for prefix in prefixes(key):
            if levels is not None:
                level = levels.get(prefix)
            else:
                cache = self._keys if prefix == key else self._levels
                level = self._level(bucket, prefix, cache)
            if level is not None and (triggers := level.triggers(self._max_delay)):
                return triggers
        return ()

    def _bucket(self, bucket: str) -> dict[str, _Level] | None:
        """Give all levels of a bucket, or None where it has too many entries."""
        levels = self._buckets.get(bucket)
        if levels is None:
            items, is_all = self._query(bucket, limit=MOST_IN_MEMORY)
            levels = self._buckets.put(bucket, _by_prefix(items) if is_all else _TOO_MANY)
        return None if levels is _TOO_MANY else levels

    def _level(
        self, bucket: str, prefix: str, cache: SegmentedLRUCache[tuple[str, str], _Level]
    ) -> _Level:
        if not _fits(prefix, _LONGEST_PREFIX):
            return _NOTHING
        level = cache.get((bucket, prefix))
        if level is None:
            items, _ = self._query(bucket, prefix)
            level = cache.put((bucket, prefix), _Level(items) if items else _NOTHING)
        return level

    def _query(
        self, bucket: str, prefix: str | None = None, limit: int | None = None
    ) -> tuple[list[Item], bool]:
        """Query the index.

        Returns:
            The items of all pages, or of one if there is a limit; and whether
            these are all.
        """
        query: QueryInputTypeDef = {
            "TableName": self.name,
            "IndexName": INDEX,
            "KeyConditionExpression": "#b = :b",
            "ExpressionAttributeNames": {"#b": "bucket"},
            "ExpressionAttributeValues": {":b": {"S": bucket}},
        }
        if prefix is not None:
            query["KeyConditionExpression"] = "#b = :b AND #p = :p"
            query["ExpressionAttributeNames"] = {"#b": "bucket", "#p": "prefix"}
            query["ExpressionAttributeValues"] = {":b": {"S": bucket}, ":p": {"S": prefix}}
        if limit is not None:
            query["Limit"] = limit
        items: list[Item] = []
        while True:
            self._deadline.require(READ_RESERVE, f"reading {self.name}")
            try:
                page = self._client.query(**query)
            except (ClientError, BotoCoreError) as error:
                raise service_error(f"reading {self.name}", error) from error
            items += page["Items"]  # type: ignore[arg-type]
            rest = page.get("LastEvaluatedKey")
            if not rest or limit is not None:
                return items, not rest
            query["ExclusiveStartKey"] = rest


_TOO_MANY: Final[dict[str, _Level]] = {}


def _by_prefix(items: list[Item]) -> dict[str, _Level]:
    grouped: dict[str, list[Item]] = {}
    for item in items:
        grouped.setdefault(item["prefix"]["S"], []).append(item)
    return {prefix: _Level(group) for prefix, group in grouped.items()}


def _fits(text: str, longest: int) -> bool:
    """Tell whether DynamoDB can hold the text as a key."""
    try:
        return 0 < len(text.encode()) <= longest
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
