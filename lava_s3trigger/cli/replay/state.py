"""The state of a replay, in one SQLite file: which objects are to send, being sent, and sent.

An object is durably marked as being sent before the call that hands it over begins. If the
process is killed then, the object may or may not have arrived, and its status becomes unknown.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lava_s3trigger.cli.deployed.aws import pieces
from lava_s3trigger.cli.errors import COULD_NOT_TELL, WRONG_USAGE, CommandError
from lava_s3trigger.cli.objects.record import S3Object
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.state_files import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


_APPLICATION: Final = 0x6C733374
"""Marks the file as ours, for ``PRAGMA application_id``."""
_LAYOUT: Final = 3
_CHUNK: Final = 10_000
"""Rows per transaction while planning."""
_READ: Final = 1_000
MAX_EXAMPLES: Final = 3

_TABLES: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,
    time REAL NOT NULL,
    event_type TEXT NOT NULL,
    status INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    UNIQUE (bucket, key)
);
CREATE TABLE counts (
    trigger_id TEXT, job_id TEXT, outcome TEXT, number INTEGER, examples TEXT,
    PRIMARY KEY (trigger_id, job_id, outcome)
) WITHOUT ROWID;
CREATE TABLE logged (
    bucket TEXT, key TEXT, trigger_id TEXT, job_id TEXT, time REAL,
    PRIMARY KEY (bucket, key, trigger_id, job_id)
) WITHOUT ROWID;
CREATE TABLE waiting (bucket TEXT, key TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS handed_over (
    bucket TEXT, key TEXT, time REAL, PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
"""
_NAMES: Final = ("facts", "objects", "counts", "logged", "waiting")
_MAX_UNDER_WAY_SECONDS: Final = 86_400.0
"""For how long an object that a replay handed over does not count as missing although the log
lacks it. Lambda retries an asynchronous invocation for up to 6 hours; a day is on the safe side."""


class Status(IntEnum):
    """The status of an object."""

    TO_SEND = 0
    BEING_SENT = 1
    SENT = 2
    UNKNOWN = 3
    """Maybe sent: the process was killed, or the answer was lost."""
    FAILED = 4


class PlannedObject(NamedTuple):
    """An object of the plan."""

    id: int
    bucket: str
    key: str
    size: int
    """Bytes."""
    time: float
    """Seconds since 1970."""
    event_type: str
    reason: str | None = None
    """The reason of its status."""

    @property
    def as_source(self) -> S3Object:
        """The object as its source returned it."""
        time = datetime.fromtimestamp(self.time, UTC)
        return S3Object(self.bucket, self.key, self.size, time, self.event_type)


class Settled(NamedTuple):
    """The outcome of handing an object over."""

    id: int
    status: Status
    reason: str | None = None


@dataclass(slots=True)
class Count:
    """The number of objects with the same decision of a trigger and a job."""

    trigger_id: str | None
    """None if no trigger matches."""
    job_id: str | None
    """None if the trigger ended before its jobs."""
    outcome: str
    number: int = 0
    examples: list[str] = field(default_factory=list)
    """S3 URIs."""

    def add(self, number: int, examples: list[str]) -> None:
        """Count more objects."""
        self.number += number
        self.examples = (self.examples + examples)[:MAX_EXAMPLES]


class ReplayState:
    """The state of one replay.

    Args:
        path: The file. It is locked until `close`.

    Raises:
        CommandError: It cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_over = 0
        """The number of objects that a killed process left, and that are unknown since now."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Keys are confidential.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise self._error(error.strerror or str(error)) from None
        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            with self._translating():
                self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        run = self._connection.execute
        # Held until the connection ends, even if the process is killed.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA temp_store = FILE")
        run("BEGIN EXCLUSIVE")
        [application] = run("PRAGMA application_id").fetchone()
        [layout] = run("PRAGMA user_version").fetchone()
        [tables] = run("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and application != _APPLICATION:
            raise self._error("not the state of a replay: name another file with --state")
        if tables and layout != _LAYOUT:
            raise self._error(
                f"another version of lava-s3trigger wrote it (layout {layout}): finish that"
                " replay with that version, or name another file with --state",
            )
        if not tables:
            self._make()
        run("COMMIT")
        run("PRAGMA journal_mode = WAL")
        # Durable, since the power may fail between a mark and its call.
        run("PRAGMA synchronous = FULL")
        if self.get("job") is None:
            self.left_over = run(
                "UPDATE objects SET status = ?, reason = ? WHERE status = ?",
                (
                    Status.UNKNOWN,
                    "the replay was killed while it was being sent",
                    Status.BEING_SENT,
                ),
            ).rowcount

    def _make(self) -> None:
        run = self._connection.execute
        run(f"PRAGMA application_id = {_APPLICATION}")
        run(f"PRAGMA user_version = {_LAYOUT}")
        for statement in _TABLES.split(";"):
            run(statement)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Make all changes of a block, or none of them."""
        with self._translating():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        """Turn errors of SQLite inside the block into one line."""
        try:
            yield
        except sqlite3.OperationalError as error:
            why = str(error)
            if "locked" in why:
                why = "another replay is using it: wait, or name another --state"
            raise self._error(why) from None
        except sqlite3.DatabaseError as error:
            raise self._error(f"not the state of a replay ({error})") from None

    def _error(self, why: str) -> CommandError:
        status = WRONG_USAGE if "--state" in why else COULD_NOT_TELL
        return CommandError(f"{safe(str(self.path))}: {why}", status)

    def close(self) -> None:
        """Unlock the file."""
        self._connection.close()

    # The plan.

    def clear(self, now: float, *, forgets_all: bool = False) -> None:
        """Forget the replay in the file, except what it recently handed over.

        Args:
            now: The time, in seconds since 1970.
            forgets_all: Whether to forget that too.
        """
        handed_at = self.get("handed_at")
        with self._writing() as connection:
            if handed_at is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO handed_over SELECT bucket, key, ? FROM objects"
                    " WHERE status IN (?, ?, ?)",
                    (handed_at, Status.BEING_SENT, Status.SENT, Status.UNKNOWN),
                )
            first = float("inf") if forgets_all else now - _MAX_UNDER_WAY_SECONDS
            connection.execute("DELETE FROM handed_over WHERE time < ?", (first,))
            for name in _NAMES:
                connection.execute(f"DROP TABLE {name}")
            self._make()
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def get(self, name: str) -> Any:
        """Return a fact about the replay, or None."""
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def note(self, **facts: Any) -> None:
        """Record facts about the replay."""
        with self._writing():
            self._note(facts)

    def _note(self, facts: Mapping[str, Any]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in facts.items()],
        )

    def add(self, objects: Iterable[tuple[str, str, int, float, str]]) -> Iterator[int]:
        """Add each object once; yield from time to time how many were added.

        Args:
            objects: Bucket, key, size, time and event type of each.
        """
        for chunk in pieces(objects, _CHUNK):
            with self._writing() as connection:
                before = connection.total_changes
                connection.executemany(
                    "INSERT INTO objects (bucket, key, size, time, event_type)"
                    " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    chunk,
                )
                added = connection.total_changes - before
            yield added

    def objects(self, status: Status | None = None) -> Iterator[PlannedObject]:
        """Yield the objects, or those with a status, in the order in which they were added."""
        # In pieces, so that the table can be written between them.
        last = 0
        while objects := self.next(last, _READ, status):
            yield from objects
            last = objects[-1].id

    def next(
        self, last: int, number: int, status: Status | None = Status.TO_SEND
    ) -> list[PlannedObject]:
        """Return the next objects.

        Args:
            last: Id of the last object that the previous call returned.
            number: The most objects to return.
            status: The status of the objects; None for any.
        """
        chosen = "" if status is None else f"status = {int(status)} AND"
        rows = self._connection.execute(
            "SELECT id, bucket, key, size, time, event_type, reason FROM objects"  # noqa: S608
            f" WHERE {chosen} id > ? ORDER BY id LIMIT ?",
            (last, number),
        )
        return [PlannedObject(*row) for row in rows]

    def change(
        self,
        dropped: Sequence[int] = (),
        counted: Iterable[Count] = (),
        resized: Iterable[tuple[int, float, str, int]] = (),
    ) -> None:
        """Change the plan.

        Args:
            dropped: Ids of objects that must not be sent.
            counted: Counts of decisions, which are added to existing counts.
            resized: Size, time, event type and id of objects that S3 was asked about.
        """
        with self._writing() as connection:
            run = connection.execute
            connection.executemany("DELETE FROM objects WHERE id = ?", [(id_,) for id_ in dropped])
            connection.executemany(
                "UPDATE objects SET size = ?, time = ?, event_type = ? WHERE id = ?", resized
            )
            for count in counted:
                key = (count.trigger_id or "", count.job_id or "", count.outcome)
                row = run(
                    "SELECT number, examples FROM counts"
                    " WHERE trigger_id = ? AND job_id = ? AND outcome = ?",
                    key,
                ).fetchone()
                total = Count(*key, row[0], json.loads(row[1])) if row else Count(*key)
                total.add(count.number, count.examples)
                run(
                    "INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?)",
                    (*key, total.number, json.dumps(total.examples)),
                )

    def forget_counts(self) -> None:
        """Forget the counts of decisions, before deciding again."""
        with self._writing() as connection:
            connection.execute("DELETE FROM counts")

    def counted(self) -> Iterator[Count]:
        """Yield the counts of decisions, by trigger and job."""
        query = "SELECT * FROM counts ORDER BY trigger_id, outcome, job_id"
        for trigger_id, job_id, outcome, number, examples in self._connection.execute(query):
            yield Count(trigger_id or None, job_id or None, outcome, number, json.loads(examples))

    def note_logged(self, lines: Iterable[tuple[str, str, str, str, float]]) -> None:
        """Record bucket, key, trigger, job and time of dispatches in the log."""
        for chunk in pieces(lines, _CHUNK):
            with self._writing() as connection:
                connection.executemany(
                    "INSERT INTO logged VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET time = max(time, excluded.time)",
                    chunk,
                )

    def logged(self, bucket: str, key: str, since: float) -> frozenset[tuple[str, str]]:
        """Return the triggers and jobs of an object's dispatches in the log."""
        query = "SELECT trigger_id, job_id FROM logged WHERE bucket = ? AND key = ? AND time >= ?"
        return frozenset(self._connection.execute(query, (bucket, key, since)))

    def note_waiting(self, objects: Iterable[tuple[str, str]]) -> None:
        """Record bucket and key of the objects in dead-letter queues, in place of earlier ones."""
        with self._writing() as connection:
            connection.execute("DELETE FROM waiting")
            connection.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?)", objects)

    def is_waiting(self, bucket: str, key: str) -> bool:
        """Return whether an object waits in a dead-letter queue."""
        query = "SELECT 1 FROM waiting WHERE bucket = ? AND key = ?"
        return self._connection.execute(query, (bucket, key)).fetchone() is not None

    def was_handed_over(self, bucket: str, key: str, since: float) -> bool:
        """Return whether an earlier replay handed an object over since a time."""
        query = "SELECT 1 FROM handed_over WHERE bucket = ? AND key = ? AND time >= ?"
        return self._connection.execute(query, (bucket, key, since)).fetchone() is not None

    def prefixes(self) -> dict[str, str]:
        """Return the longest common prefix of the keys of each bucket."""
        query = "SELECT bucket, min(key), max(key) FROM objects GROUP BY bucket"
        # SQLite sorts by bytes, so all keys have the common prefix of these two.
        return {
            bucket: os.path.commonprefix([first, last])  # noqa: RUF071 - keys are not paths
            for bucket, first, last in self._connection.execute(query)
        }

    def first_time(self) -> float | None:
        """Return the earliest time of an object, in seconds since 1970."""
        [first] = self._connection.execute("SELECT min(time) FROM objects").fetchone()
        return first  # type: ignore[no-any-return]

    # The run.

    def settle(self, outcomes: Iterable[Settled]) -> None:
        """Durably record the status of objects."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE objects SET status = ?, reason = ? WHERE id = ?",
                [(int(outcome.status), outcome.reason, outcome.id) for outcome in outcomes],
            )

    def settle_named(self, outcomes: Iterable[tuple[Status, str | None, str, str]]) -> None:
        """Record the outcome of objects that are being sent.

        Args:
            outcomes: Status, reason, bucket and key of each.
        """
        for chunk in pieces(outcomes, _CHUNK):
            with self._writing() as connection:
                connection.executemany(
                    "UPDATE objects SET status = ?, reason = ?"
                    " WHERE bucket = ? AND key = ? AND status = 1",
                    [(int(status), *rest) for status, *rest in chunk],
                )

    def move(self, status: Status, to: Status, reason: str | None = None, **facts: Any) -> int:
        """Change the status of all objects with a status, and record facts; return their number."""
        with self._writing() as connection:
            self._note(facts)
            return connection.execute(
                "UPDATE objects SET status = ?, reason = ? WHERE status = ?", (to, reason, status)
            ).rowcount

    def numbers(self) -> dict[Status, int]:
        """Return the number of objects by status."""
        query = "SELECT status, count(*) FROM objects GROUP BY status"
        counts = dict(self._connection.execute(query))
        return {status: counts.get(int(status), 0) for status in Status}


def default_path(name: str) -> Path:
    """Return the path of the file for a function's replays, below the user's state folder.

    Args:
        name: Name of the function.
    """
    return state_folder() / f"replay-{name}.sqlite"
