"""Triggers: entries of the s3triggers table, and which of them match.

See docs/design.md#triggers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import units
from .aws.attributes import read_field, value_of
from .aws.cache import SegmentedLRUCache
from .aws.clients import service_error, service_errors
from .aws.deadline import UNLIMITED, Reserve
from .conditions import KINDS, Condition, is_condition, read_conditions
from .errors import MAX_ENTRY_ERRORS, EntryError
from .templates.confinement import Confinement
from .templates.documents import CompileError, Document
from .units import shown, utf8_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from .aws.deadline import Deadline
    from .errors import Code

    Item = dict[str, dict[str, Any]]

INDEX: Final = "s3trigger-index"
WHOLE_BUCKET: Final = "*"

MAX_ENTRIES_IN_MEMORY: Final = 128
"""One query reads all entries of a bucket up to this number; of 1 KiB each, 16 read units."""

# What DynamoDB allows for the keys of the index, in bytes; no entry can have longer ones.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_MAX_BUCKET_BYTES: Final = 2048
_MAX_PREFIX_BYTES: Final = 1024

_MAX_BUCKETS: Final = 1_000
_MAX_LEVELS: Final = 10_000
_MAX_KEYS: Final = 1_000

_MAX_FIELD_CHARACTERS: Final = 64
_MIN_LIKENESS: Final = 0.75
"""Similarity from which a field is probably a typo of another; `table` is not one of `enabled`."""


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
    """Where its conditions and templates run."""
    digest: str = field(default="", compare=False)
    """A digest of this version of the entry, for the log; see `entry_digest`."""

    def template_errors(self) -> tuple[EntryError, ...]:
        """Compile all of its templates, and return the errors of those that fail.

        A template that other templates leave too little time for is left out.
        """
        documents = [("job_id", document) for document in self.job_ids]
        documents += [
            (name, document)
            for name, document in (("parameters", self.parameters), ("globals", self.globals))
            if document
        ]
        errors = []
        for name, document in documents:
            try:
                if document.is_template:
                    document.compile()
            except CompileError as error:
                errors.append(EntryError("bad_template", name, f"{name}: {error}", document.value))
            except TimeoutError:
                continue
        return tuple(errors[:MAX_ENTRY_ERRORS])


@dataclass(frozen=True, slots=True)
class BrokenTrigger:
    """An entry that cannot be used, and why."""

    trigger_id: str
    prefix: str
    errors: tuple[EntryError, ...]
    """All of its errors, up to `MAX_ENTRY_ERRORS`."""
    digest: str = field(default="", compare=False)
    """See `Trigger`."""

    @property
    def reason(self) -> str:
        """Its first error, for the log."""
        return f"bad entry: {self.errors[0].message}"


class Walk(NamedTuple):
    """The result of a walk up the prefixes of a key."""

    prefixes: tuple[str, ...]
    """The prefixes that were tried, in order. Only the last one can have entries."""
    triggers: Sequence[Trigger | BrokenTrigger]
    """The entries at the last of them, disabled ones included: they hide broader ones."""


def read_trigger(
    item: Item, max_delay: float = 900.0, *, checks_disabled: bool = False
) -> Trigger | BrokenTrigger:
    """Read an item of the table.

    Args:
        item: The item, as DynamoDB's low-level client gives it.
        max_delay: Longest delay, in seconds, that the entry may ask for.
        checks_disabled: Whether to report errors of a disabled entry. The function does not.
    """
    trigger_id = item.get("trigger_id", _NO_TEXT).get("S", "")
    prefix = item.get("prefix", _NO_TEXT).get("S", "")
    digest = entry_digest(item)
    errors: list[EntryError] = []
    if "enabled" not in item:
        errors.append(_missing("enabled"))
    is_enabled = _read(item, "enabled", errors, default=False)
    if not is_enabled and not errors and not checks_disabled:
        return Trigger(trigger_id, prefix, enabled=False, digest=digest)
    condition_fields = []
    for name in item:
        if name in _KNOWN:
            continue
        if is_condition(name):
            condition_fields.append(name)
        elif not is_custom(name) and len(errors) < MAX_ENTRY_ERRORS:
            errors.append(EntryError("unknown_field", name, _unknown_field(name)))
    confinement = Confinement()
    jinja = _read(item, "jinja", errors, default=True)
    parameters = _read(item, "parameters", errors)
    globals_ = _read(item, "globals", errors)
    if "job_id" not in item:
        errors.append(_missing("job_id"))
    job_ids = _read(item, "job_id", errors, default=())
    conditions = _conditions(item, condition_fields, confinement, errors)
    delay = _read(item, "delay", errors, default=0)
    if not 0 <= delay <= max_delay:
        value = value_of(item["delay"], "delay")
        message = f"delay: {shown(value)} is not from 0 to {max_delay / 60:g} minutes"
        errors.append(EntryError("delay_out_of_range", "delay", message, value))
    if errors:
        return BrokenTrigger(trigger_id, prefix, tuple(errors[:MAX_ENTRY_ERRORS]), digest)
    return Trigger(
        trigger_id,
        prefix,
        enabled=is_enabled,
        job_ids=tuple(Document(job_id, jinja=jinja) for job_id in job_ids),
        parameters=Document(parameters, jinja=jinja) if parameters else None,
        globals=Document(globals_, jinja=jinja, is_globals=True) if globals_ else None,
        conditions=conditions,
        delay=round(delay),
        confinement=confinement,
        digest=digest,
    )


_NO_TEXT: Final[dict[str, Any]] = {}


def entry_digest(item: Item) -> str:
    """Return a digest of a version of an entry: 8 hexadecimal digits.

    It does not depend on custom fields, nor on the order in which DynamoDB returns fields and
    the members of sets.

    Args:
        item: The item, as DynamoDB's low-level client gives it.
    """
    own = {name: value for name, value in item.items() if name[:2] not in _CUSTOM_PREFIXES}
    text = json.dumps(own, sort_keys=True, default=repr)
    if 'S": [' in text:  # sets of strings, numbers or binary values
        text = json.dumps(_in_order(own), sort_keys=True, default=repr)
    return blake2b(text.encode(), digest_size=4).hexdigest()


def _in_order(value: Any) -> Any:
    """Return an attribute of an item with the members of its sets sorted."""
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: sorted(inner) if name in _SETS and isinstance(inner, list) else _in_order(inner)
        for name, inner in value.items()
    }


_SETS: Final = frozenset(["SS", "NS", "BS"])


def _read(item: Item, name: str, errors: list[EntryError], default: Any = None) -> Any:
    if name not in item:
        return default
    read = READERS[name]
    return read_field(item, name, read, _CODES[read], errors, default)


def _missing(name: str) -> EntryError:
    return EntryError("missing_field", name, f"{name} is missing")


def _conditions(
    item: Item, fields: list[str], confinement: Confinement, errors: list[EntryError]
) -> tuple[Condition, ...]:
    """Read the conditions of an entry, and add their errors."""
    arguments = {}
    for name in fields:
        try:
            arguments[name] = value_of(item[name], name)
        except ValueError as error:
            errors.append(EntryError("binary_value", name, str(error)))
    if not arguments:
        return ()
    most = 2 * len(KINDS) + MAX_ENTRY_ERRORS
    conditions: list[Condition | EntryError] = []
    aborted = None
    try:
        # Reading an argument may compile a pattern.
        confinement.read(lambda: conditions.extend(islice(read_conditions(arguments), most)))
    except ValueError as error:
        # Each condition before the aborted one has one result.
        name = [*arguments, ""][len(conditions)]
        aborted = EntryError("reading_aborted", name, str(error), arguments.get(name))
    errors += [condition for condition in conditions if isinstance(condition, EntryError)]
    if aborted:
        errors.append(aborted)
    return tuple([condition for condition in conditions if isinstance(condition, Condition)])


def _unknown_field(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for this error

    close = get_close_matches(
        name[:_MAX_FIELD_CHARACTERS], sorted(_KNOWN), n=1, cutoff=_MIN_LIKENESS
    )
    hint = f"did you mean {shown(close[0])}? " if close else ""
    return f"unknown field {shown(name)} ({hint}custom fields start with x-)"


_CUSTOM_PREFIXES: Final = ("x-", "X-")


def is_custom(name: str) -> bool:
    """Return whether a field of an entry is a custom field, which the function ignores."""
    return name.startswith(_CUSTOM_PREFIXES)


def _map(value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{shown(value)} is not a map")
    return value


def _job_ids(value: Any) -> list[str]:
    job_ids = [value] if isinstance(value, str) else value
    if isinstance(job_ids, list) and job_ids and all(isinstance(e, str) and e for e in job_ids):
        return job_ids
    raise ValueError(f"{shown(value)} is neither a job id nor a list of job ids")


KEYS: Final = ("trigger_id", "bucket", "prefix")
"""Fields by which the table and its index find an entry."""
READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "enabled": units.boolean,
    "job_id": _job_ids,
    "parameters": _map,
    "globals": _map,
    "jinja": units.boolean,
    "delay": units.duration,
}
"""The other fields of an entry except its conditions, with the reader of each."""
FIELDS: Final = frozenset([*KEYS, *READERS])
NOT_CHECKED: Final = frozenset(["description", "owner"])
_KNOWN: Final = FIELDS | NOT_CHECKED
_CODES: Final[dict[Callable[[Any], Any], Code]] = {
    units.boolean: "not_a_boolean",
    _job_ids: "not_a_job_id",
    _map: "not_a_map",
    units.duration: "not_a_duration",
}
"""Codes of the errors that the readers of fields raise."""


def prefixes(key: str) -> Iterator[str]:
    """Yield the prefixes at which triggers are looked for, in that order.

    For ``a/b/c`` that is ``a/b/c``, ``a/b``, ``a`` and ``*``.
    """
    # No entry has a longer prefix, but a payload may have keys that are too long for S3, with
    # too many levels.
    prefix = (
        key if len(key) <= _MAX_PREFIX_BYTES else key[: _MAX_PREFIX_BYTES + 1].rpartition("/")[0]
    )
    while prefix:
        if prefix != WHOLE_BUCKET:
            yield prefix
        prefix = prefix.rpartition("/")[0]
    yield WHOLE_BUCKET


class Level:
    """The entries at one prefix of one bucket, read when a walk first reaches them.

    Args:
        items: Their items, as DynamoDB's low-level client gives them.
    """

    __slots__ = ("_triggers", "_unread")

    def __init__(self, items: Iterable[Item]) -> None:
        # Sorted, so that a level is carried out in the same order each time.
        self._unread = sorted(
            items, key=lambda item: str(item["trigger_id"].get("S")), reverse=True
        )
        self._triggers: list[Trigger | BrokenTrigger] = []

    def triggers(
        self, max_delay: float, deadline: Deadline = UNLIMITED
    ) -> list[Trigger | BrokenTrigger]:
        """Return the entries, in the order of their ids.

        Raises:
            OutOfTimeError: There was too little time to read them.
        """
        while self._unread:
            # The triggers that were read are kept when time runs out.
            deadline.require(Reserve.DECIDE, "reading trigger entries")
            self._triggers.append(read_trigger(self._unread[-1], max_delay))
            self._unread.pop()
        return self._triggers


_NOTHING: Final = Level(())


def walk(
    key: str,
    level_at: Callable[[str], Level | None],
    max_delay: float,
    deadline: Deadline = UNLIMITED,
) -> Walk:
    """Walk up the prefixes of a key, to the longest that has any entry.

    Args:
        key: Key of the object.
        level_at: Returns the entries at a prefix, or None if there is none.
        max_delay: Longest delay in seconds that an entry may ask for.
        deadline: Entries are read while it allows it.
    """
    tried = []
    for prefix in prefixes(key):
        tried.append(prefix)
        level = level_at(prefix)
        if level is not None and (triggers := level.triggers(max_delay, deadline)):
            return Walk(tuple(tried), triggers)
    return Walk(tuple(tried), ())


class TriggerTable:
    """The s3triggers table of a realm.

    Args:
        client: Client of DynamoDB.
        realm: Name of the realm.
        ttl: Seconds for which answers are cached.
        max_delay: Longest delay in seconds that a trigger may ask for.
        clock: Returns the time in seconds; it must not go backwards.
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
        # Levels by prefix, for each bucket; `_TOO_MANY` for a bucket with too many entries.
        self._buckets: SegmentedLRUCache[str, dict[str, Level]] = SegmentedLRUCache(
            ttl, _MAX_BUCKETS, clock
        )
        self._levels: SegmentedLRUCache[tuple[str, str], Level] = SegmentedLRUCache(
            ttl, _MAX_LEVELS, clock
        )
        # Separate, since most keys are never seen again, but the folders above them are.
        self._keys: SegmentedLRUCache[tuple[str, str], Level] = SegmentedLRUCache(
            ttl, _MAX_KEYS, clock
        )

    def start(self, deadline: Deadline) -> None:
        """Start an invocation, with its deadline."""
        self._deadline = deadline
        self._buckets.start()
        self._levels.start()
        self._keys.start()

    def matching(self, bucket: str, key: str) -> Walk:
        """Walk up the prefixes of a key, to the longest that has any entry.

        Raises:
            ServiceError: The table could not be read.
            OutOfTimeError: There was too little time to read it.
        """
        if not 0 < utf8_bytes(bucket) <= _MAX_BUCKET_BYTES:
            return Walk((), ())
        levels = self._bucket(bucket)
        if levels is not None:
            return walk(key, levels.get, self._max_delay, self._deadline)

        def level_at(prefix: str) -> Level:
            cache = self._keys if prefix == key else self._levels
            return self._level(bucket, prefix, cache)

        return walk(key, level_at, self._max_delay, self._deadline)

    def _bucket(self, bucket: str) -> dict[str, Level] | None:
        """Return all levels of a bucket, or None where it has too many entries."""
        levels = self._buckets.fetch(bucket, lambda: self._read_bucket(bucket))
        return None if levels is _TOO_MANY else levels

    def _read_bucket(self, bucket: str) -> dict[str, Level]:
        items, is_all = self._query(bucket, limit=MAX_ENTRIES_IN_MEMORY)
        return levels_by_prefix(items) if is_all else _TOO_MANY

    def _level(
        self, bucket: str, prefix: str, cache: SegmentedLRUCache[tuple[str, str], Level]
    ) -> Level:
        if not 0 < utf8_bytes(prefix) <= _MAX_PREFIX_BYTES:
            return _NOTHING
        return cache.fetch((bucket, prefix), lambda: self._read_level(bucket, prefix))

    def _read_level(self, bucket: str, prefix: str) -> Level:
        items, _ = self._query(bucket, prefix)
        return Level(items) if items else _NOTHING

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
            self._deadline.require(Reserve.READ, f"reading {self.name}")
            try:
                page = self._client.query(**query)
            except service_errors() as error:
                raise service_error(f"reading {self.name}", error) from error
            items += page["Items"]  # type: ignore[arg-type]
            rest = page.get("LastEvaluatedKey")
            if not rest or limit is not None:
                return items, not rest
            query["ExclusiveStartKey"] = rest


_TOO_MANY: Final[dict[str, Level]] = {}


def levels_by_prefix(items: Iterable[Item]) -> dict[str, Level]:
    """Return the entries of one bucket by their prefix."""
    grouped: dict[str, list[Item]] = {}
    for item in items:
        grouped.setdefault(item["prefix"]["S"], []).append(item)
    return {prefix: Level(group) for prefix, group in grouped.items()}
