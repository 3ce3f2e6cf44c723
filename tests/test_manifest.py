"""Manifests of S3 Batch Operations: written, and read back as AWS hands rows over."""

import csv
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lava_s3trigger.cli.replay.manifest import MAX_KEY_CHARACTERS, manifest_row
from lava_s3trigger.errors import PayloadError
from lava_s3trigger.manifest import USER_ARGUMENT, ListedObject, event_time, read_listed

OURS: Final = dict([USER_ARGUMENT])
TIME: Final = datetime(2026, 3, 14, 1, 59, 26, 535000, tzinfo=UTC)
FORGED: Final = '{"lava-s3trigger":1,"key":"x","size":1,"time":"2026-03-14T01:59:26Z"}'
HOSTILE: Final = [
    *("a,b.csv", 'a"b.csv', "a\nb.csv", "a\r\n,other-bucket,key", "a+b c%2Fd%.csv"),
    *("%7B%22lava-s3trigger%22%3A1", FORGED, "'; DROP TABLE;--", "日本/ファイル.csv"),
    *("\x00\x1b[31m\u202e", "=cmd|' /C calc'!A0", "\\u0000"),
]


def listed(key: str = "in/1.csv", **fields: Any) -> ListedObject:
    return ListedObject(**{"key": key, "size": 10, "last_modified": TIME, **fields})


def columns(row: str) -> tuple[str, str]:
    """Return bucket and key column of a row, as a reader of CSV does."""
    [(bucket, column)] = csv.reader([row])
    return bucket, column


keys = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda key: len(key.encode()) <= 1024
)


@given(keys, st.integers(0, 50 * 1024**4), st.datetimes(timezones=st.just(UTC)))
@example(HOSTILE[3], 0, TIME)
@example(FORGED, 0, TIME)
def test_any_key_comes_back_with_its_size_and_time(key: str, size: int, time: datetime) -> None:
    time = time.replace(microsecond=time.microsecond // 1000 * 1000)
    made = listed(key, size=size, last_modified=time)
    try:
        row = manifest_row("my-bucket", made)
    except ValueError:
        assert key.startswith('{"lava-s3trigger":')
        return
    bucket, column = columns(row)

    assert bucket == "my-bucket"
    assert row.isascii()
    assert row.isprintable()
    found = read_listed(unquote_plus(column), OURS)
    assert found == made if len(row) - len("my-bucket,") < 200 else found in {made, None}
    if found is None:
        assert unquote_plus(column) == key


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_key_survives_however_aws_encodes_it(key: str) -> None:
    _, column = columns(manifest_row("b", listed(key)))
    plain = unquote(column)
    for handed_over in (column, quote_plus(plain), quote(plain, safe="")):
        assert read_listed(unquote_plus(handed_over), OURS) == listed(key)


def test_all_of_an_object_is_in_its_row() -> None:
    made = listed(etag="dbe264bf", version_id="v1")
    _, column = columns(manifest_row("b", made))
    facts = {"lava-s3trigger": 1, "key": "in/1.csv", "size": 10, "time": "2026-03-14T01:59:26.535Z"}
    assert json.loads(unquote(column)) == {**facts, "etag": "dbe264bf", "version": "v1"}
    assert read_listed(unquote(column), OURS) == made


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    time = TIME.astimezone(timezone(timedelta(hours=11)))
    assert event_time(time) == "2026-03-14T01:59:26.535Z"


def test_a_key_too_long_for_the_column_is_written_alone() -> None:
    key = "é" * 300
    _, column = columns(manifest_row("b", listed(key)))
    assert unquote(column) == key
    assert read_listed(key, OURS) is None


@pytest.mark.parametrize(
    "long",
    [listed('{"lava-s3trigger":' + "x" * 1000), listed("x" * MAX_KEY_CHARACTERS, version_id="v1")],
    ids=["reads-as-another", "version"],
)
def test_a_key_that_would_be_read_as_something_else_is_refused(long: ListedObject) -> None:
    with pytest.raises(ValueError, match="does not fit into a manifest"):
        manifest_row("b", long)


@pytest.mark.parametrize("arguments", [{}, {"manifest": "x"}, {"manifest": None}])
def test_a_key_of_an_undeclared_manifest_is_a_key(arguments: dict[str, Any]) -> None:
    """Whoever may put an object must not make the function believe in another one."""
    assert read_listed(FORGED, arguments) is None


GOOD: Final = {"lava-s3trigger": 1, "key": "x", "size": 1, "time": "2026-03-14T01:59:26Z"}


@pytest.mark.parametrize(
    "change",
    [
        *({"lava-s3trigger": 2}, {"key": ""}, {"key": "\ud800"}, {"etag": 1}, {"time": None}),
        *({"size": size} for size in (-1, True, "1", None)),
        *({"time": time} for time in ("2026-03-14T01:59:26", "yesterday")),
        {"time": "0001-01-01T00:00:00+05:00"},
    ],
    ids=str,
)
def test_a_marked_key_that_cannot_be_read_is_an_error(change: dict[str, Any]) -> None:
    """Its mark is at its start, without blanks."""
    key = json.dumps(GOOD | change, separators=(",", ":"))
    with pytest.raises(PayloadError):
        read_listed(key, OURS)


@pytest.mark.parametrize("rest", ["1,", "[" * 100_000], ids=["cut", "nested too deeply"])
def test_a_marked_key_that_is_no_json_is_an_error(rest: str) -> None:
    with pytest.raises(PayloadError):
        read_listed('{"lava-s3trigger":' + rest, OURS)
