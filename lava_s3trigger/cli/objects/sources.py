"""The sources of many objects for commands: files of keys, inventories, listings, the log."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from lava_s3trigger import units
from lava_s3trigger.cli.deployed.aws import Aws, reaching_aws
from lava_s3trigger.cli.deployed.log_group import FunctionLog
from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.cli.entries.load import STANDARD_INPUT
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.streams import naming
from lava_s3trigger.cli.output.times import read_time

from .inventory import of_inventory as of_inventory  # noqa: PLC0414 - one of the sources
from .uri import MAX_KEY_BYTES, SCHEME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from lava_s3trigger.cli.deployed.log_group import LogEvent

    from .record import Assumed, S3Object

_BOM: Final = b"\xef\xbb\xbf"
_MAX_LINE_BYTES: Final = 8192


def of_keys(path: str, bucket: str | None, assumed: Assumed) -> Iterator[S3Object]:
    """Yield the objects of a file of keys or S3 URIs, one per line, not encoded.

    Args:
        path: The file; ``-`` is standard input.
        bucket: Bucket of the lines that are not URIs.
        assumed: Values of each object that the file does not have.

    Raises:
        CommandError: The file cannot be read, or a line does not name an object.
    """
    with naming(path), _opened(path) as file:
        # Not as text: Python would end lines also where a key has a form feed or a U+2028.
        yield from of_lines(
            safe(path), iter(lambda: file.readline(_MAX_LINE_BYTES), b""), bucket, assumed
        )


def of_lines(
    name: str, lines: Iterable[bytes], bucket: str | None, assumed: Assumed
) -> Iterator[S3Object]:
    """Yield the objects of lines, as `of_keys` does.

    Args:
        name: Where the lines are from, for errors.
        lines: The lines.
        bucket: Bucket of the lines that are not a URI.
        assumed: What is assumed of each object.

    Raises:
        CommandError: A line names no object.
    """
    number = 0
    try:
        for number, raw in enumerate(lines, 1):
            line = raw.removesuffix(b"\n").removesuffix(b"\r")
            if number == 1:
                line = line.removeprefix(_BOM)
            if line:
                yield assumed.s3_object(*_named(line, bucket))
    except UnicodeDecodeError:
        raise CommandError(f"{name}:{number}: this is not UTF-8, as keys are in S3") from None
    except ValueError as error:
        raise CommandError(f"{name}:{number}: {error}") from None


def _opened(path: str) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else Path(path).open("rb")


def count_keys(path: str) -> int | None:
    """Return the approximate number of keys in a file; None if it can be read only once.

    Raises:
        CommandError: The file cannot be read.
    """
    if path == STANDARD_INPUT or not Path(path).is_file():
        return None
    with naming(path), Path(path).open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _named(line: bytes, bucket: str | None) -> tuple[str, str]:
    """Return the bucket and the key in a line."""
    text = line.decode()
    if text.startswith(SCHEME):
        named_bucket, _, key = text.removeprefix(SCHEME).partition("/")
    elif bucket is None:
        raise ValueError(
            f"{safe(text[:200])}: not an S3 URI: write s3://BUCKET/KEY, or give --bucket"
        )
    else:
        named_bucket, key = bucket, text
    if not named_bucket or not key:
        raise ValueError(f"{safe(text[:200])}: this names no object: write s3://BUCKET/KEY")
    if len(line) > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(
            f"{safe(text[:80])}...: the key is longer than {MAX_KEY_BYTES} bytes, as none is in S3"
        )
    return named_bucket, key


def of_listing(uri: str, aws: Aws, assumed: Assumed) -> Iterator[S3Object]:
    """Yield the current objects at an S3 URI, ``s3://BUCKET/PREFIX``.

    Raises:
        CommandError: S3 refuses or cannot be reached.
    """
    bucket, _, prefix = uri.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise CommandError(f"{safe(uri)}: the bucket is missing: write s3://BUCKET/", WRONG_USAGE)
    client = aws.client("s3")
    with reaching_aws():
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for listed in page.get("Contents", ()):
                time = listed["LastModified"].astimezone(UTC)
                yield assumed.s3_object(bucket, listed["Key"], listed["Size"], time)


def of_log(group: str, start: datetime, aws: Aws, assumed: Assumed) -> Iterator[S3Object]:
    """Yield the objects that the function's log names, each once.

    The log has neither sizes nor event types; an object's time is that of its first line.

    Args:
        group: Name of the log group in CloudWatch Logs.
        start: Time of the first line to read.
        aws: The account of the log.
        assumed: Values of each object that the log does not have.

    Raises:
        CommandError: There is no such log, or AWS refuses or cannot be reached.
    """
    pages = FunctionLog.of(aws, group).pages(start)
    events = (event for page in pages for event in page)
    for bucket, key, time in _once(named for event in events for named in _in_log_event(event)):
        yield assumed.s3_object(bucket, key, time=time)


def _in_log_event(event: LogEvent) -> Iterator[tuple[str, str, datetime]]:
    line = read_line(event.text)
    if line is None:
        return
    bucket, key = line.text("bucket"), line.text("key")
    # A made-up event can name half of a surrogate pair, which S3 does not have in keys.
    if bucket and key and units.utf8_bytes(bucket + key):
        yield bucket, key, event.time


def _once(
    named: Iterable[tuple[str, str, datetime]],
) -> Iterator[tuple[str, str, datetime]]:
    """Yield each object once. SQLite keeps the seen ones in a temporary file, not in memory."""
    with closing(sqlite3.connect("", isolation_level=None)) as seen:
        seen.execute("PRAGMA journal_mode = OFF")
        seen.execute("CREATE TABLE seen (object BLOB PRIMARY KEY) WITHOUT ROWID")
        for bucket, key, time in named:
            name = f"{bucket}/{key}".encode()
            if seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,)).rowcount:
                yield bucket, key, time


def read_since(text: str, now: datetime) -> datetime:
    """Return a time in the past: a duration such as ``7d``, or a date in ISO 8601.

    Raises:
        ValueError: It is neither; the message says what is expected.
    """
    with suppress(ValueError, OverflowError):
        return now - timedelta(seconds=abs(units.duration(text)))
    with suppress(ValueError):
        return read_time(text)
    raise ValueError(
        f"{text!r} is neither a duration such as 7d or 12h, nor a date such as 2026-03-01"
    )


def read_since_option(text: str, now: datetime) -> datetime:
    """Return the time of the option ``--since``; see `read_since`.

    Raises:
        CommandError: It is not a time in the past.
    """
    try:
        return read_since(text, now)
    except ValueError as error:
        raise CommandError(f"--since: {error}", WRONG_USAGE) from None
