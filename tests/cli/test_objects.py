"""Objects named on the command line, in files of keys, inventories, listings and the log."""

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import orc, parquet

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.objects import sources
from lava_s3trigger.cli.objects.record import Assumed, S3Object
from lava_s3trigger.cli.objects.sources import of_inventory, of_keys, of_listing, of_log, read_since
from lava_s3trigger.cli.objects.uri import (
    CREATED,
    UPLOADED,
    ObjectFacts,
    ObjectName,
    read_uri,
    s3_record,
)
from lava_s3trigger.deliveries import deliveries
from tools.local.server import LocalAws

from .logs import Log, line, text_line

KEY_TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
CONSOLE: Final = "console.aws.amazon.com/s3/object/my-bucket"
AT: Final = datetime(2026, 3, 14, 1, 59, 26, 535000, tzinfo=UTC)


class TestUris:
    """An address names a bucket and a key."""

    @given(key=KEY_TEXTS)
    def test_a_key_is_taken_as_it_stands(self, key: str) -> None:
        name = read_uri(f"s3://my-bucket/{key}")

        assert name == ObjectName("my-bucket", key)
        assert read_uri(str(name)) == name

    @pytest.mark.parametrize(
        ("address", "key"),
        [
            ("arn:aws:s3:::my-bucket/in/a%20b+c.csv", "in/a%20b+c.csv"),
            ("arn:aws-cn:s3:::my-bucket/in/a.csv", "in/a.csv"),
            (f"https://s3.{CONSOLE}?region=x&prefix=in/a%20b%2Bc.csv", "in/a b+c.csv"),
            (f"https://eu-west-1.{CONSOLE}?prefix=in/a+b.csv&tab=x", "in/a b.csv"),
            ("https://my-bucket.s3.amazonaws.com/in/a%20b+c.csv", "in/a b+c.csv"),
            ("https://my-bucket.s3.eu-west-1.amazonaws.com/in/a.csv?versionId=1", "in/a.csv"),
            ("https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com/in/a.csv", "in/a.csv"),
            ("https://s3.eu-west-1.amazonaws.com/my-bucket/in/a.csv", "in/a.csv"),
            ("https://s3-eu-west-1.amazonaws.com/my-bucket/in/a.csv", "in/a.csv"),
        ],
    )
    def test_arns_and_urls_name_an_object_too(self, address: str, key: str) -> None:
        assert read_uri(address) == ObjectName("my-bucket", key)

    @pytest.mark.parametrize(
        ("uri", "said"),
        [
            ("", "not an object"),
            ("my-bucket/a.csv", "not an object"),
            ("https://my-bucket.example.com/a.csv", "not an object"),
            ("arn:aws:sqs:us-east-1:123456789012:my-queue", "not an object"),
            ("arn:aws:s3:::my-bucket", "the key is missing"),
            ("https://s3.console.aws.amazon.com/s3/buckets/my-bucket", "the key is missing"),
            ("S3://my-bucket/a.csv", "not an object"),
            ("s3://", "the bucket is missing"),
            ("s3:///a.csv", "the bucket is missing"),
            ("s3://my-bucket", "the key is missing"),
            ("s3://my-bucket/", "the key is missing"),
            ("s3://my-bucket/\udcff", "the key is not UTF-8"),
            ("s3://my-bucket/" + "é" * 600, "the key has 1200 bytes"),
        ],
        ids=ascii,
    )
    def test_what_is_no_object(self, uri: str, said: str) -> None:
        with pytest.raises(CommandError, match=said) as raised:
            read_uri(uri)
        assert raised.value.status == WRONG_USAGE
        assert "\n" not in str(raised.value)


class TestRecords:
    """The function understands a record as it is meant."""

    @given(key=KEY_TEXTS, size=st.integers(0, 5 * 2**40), address=st.ip_addresses())
    def test_the_function_reads_what_was_given(self, key: str, size: int, address: object) -> None:
        record = s3_record("b", key, size=size, time=AT, source_ip=str(address), region="eu-west-1")
        [delivery] = deliveries({"Records": [record]}, "us-east-1")
        [event] = [each.event for each in delivery.events]
        assert (event.bucket, event.key, event.size) == ("b", key, size)
        assert (event.event_type, event.event_time) == (CREATED, AT)
        assert (event.source_ip, event.aws_region) == (address, "eu-west-1")

    def test_a_deletion_has_neither_size_nor_etag(self) -> None:
        record = s3_record("b", "k", size=None, event_type="ObjectRemoved:Delete")
        assert record["s3"]["object"].keys() == {"key", "sequencer"}
        [delivered] = deliveries({"Records": [record]}, "us-east-1")[0].events
        event = delivered.event
        assert (event.size, event.source_ip) == (0, None)

    def test_a_later_event_has_a_larger_sequencer(self) -> None:
        times = [AT, AT.replace(microsecond=535001), AT.replace(second=27, microsecond=0)]
        marks = [s3_record("b", "k", time=each)["s3"]["object"]["sequencer"] for each in times]
        assert marks == sorted(set(marks))


def test_the_etag_tells_of_parts() -> None:
    assert ObjectFacts(1, "827ccb0eea8a706c4c34a16891f84e7b-2", AT).event_type == UPLOADED


NOW: Final = datetime(2026, 3, 14, 1, 59, 26, tzinfo=UTC)
TIME: Final = datetime(2026, 3, 1, 12, 30, 0, 123000, tzinfo=UTC)
ASSUMED: Final = Assumed(NOW)
KEYS: Final = (
    "in/a.csv",
    "a b+c%20d%2Be.csv",
    "ünï/日本/😀",
    'quote",comma,"\\',
    "\x1b[31m\x07\x9b",
    "form\x0cfeed\x0b\x1c\x85\u2028\u2029",
    "\u202eright to left",
    " spaces ",
    "/leading//double/",
    "s3:/not-a-uri",
    "x" * 1024,
)
"""Those that a line can hold: a line feed ends it."""


def names(objects: Iterable[S3Object]) -> list[tuple[str, str]]:
    return [(each.bucket, each.key) for each in objects]


class TestFilesOfKeys:
    """A line is a key or an S3 URI, as it stands."""

    def read(self, folder: Path, text: bytes, bucket: str | None = "b") -> list[S3Object]:
        (folder / "keys.txt").write_bytes(text)
        return list(of_keys(str(folder / "keys.txt"), bucket, ASSUMED))

    def test_plain_keys_and_uris(self, tmp_path: Path) -> None:
        lines = [*KEYS, *(f"s3://other/{key}" for key in KEYS)]
        found = self.read(tmp_path, "\n".join(lines).encode())
        assert names(found) == [(bucket, key) for bucket in ("b", "other") for key in KEYS]
        assert {each[2:] for each in found} == {(1, NOW, "ObjectCreated:Put")}

    @pytest.mark.parametrize(
        "text", [b"a\r\n\r\nb\r\n", b"\xef\xbb\xbfa\nb", b"a\n\n\nb\n\n"], ids=ascii
    )
    def test_ends_of_lines_and_empty_lines_are_no_keys(self, text: bytes, tmp_path: Path) -> None:
        assert names(self.read(tmp_path, text)) == [("b", "a"), ("b", "b")]

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"s3://b/k\n")))

        assert names(of_keys("-", None, ASSUMED)) == [("b", "k")]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (b"s3://b/k\nk", ":2: k: not an S3 URI"),
            (b"s3://b/k\ns3://b/", ":2: s3://b/: this names no object"),
            (b"s3:///k", ":1: s3:///k: this names no object"),
            (b"s3://b/\xff", ":1: this is not UTF-8"),
            (b"s3://b/" + b"k" * 1025, "longer than 1024 bytes"),
            (b"k" * 10**6, "not an S3 URI"),
        ],
        ids=lambda each: ascii(each)[:30],
    )
    def test_a_line_without_an_object_is_told(self, text: bytes, said: str, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=said) as raised:
            self.read(tmp_path, text, None)
        assert len(str(raised.value)) < 500

    def test_keys_are_counted_where_they_can_be_read_twice(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.txt"
        path.write_text("a\nb\n")

        assert sources.count_keys(str(path)) == 2
        assert sources.count_keys("-") is None


COLUMNS: Final = (
    "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
)
ROWS: Final = [
    *((key, True, False, number, TIME) for number, key in enumerate(KEYS)),
    ("old version", False, False, 1, TIME),
    ("deleted", True, True, None, TIME),
    ("line\nfeed", True, False, 99, TIME),
]
CURRENT: Final = [
    S3Object("source", key, size or 0, time)
    for key, is_latest, is_deleted, size, time in ROWS
    if is_latest and not is_deleted
]


def csv_of(rows: list[Any], encode: Callable[[str], str] = quote_plus) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    for key, is_latest, is_deleted, size, changed in rows:
        flags = (str(is_latest).lower(), str(is_deleted).lower())
        time = f"{changed:%Y-%m-%dT%H:%M:%S}.{changed.microsecond // 1000:03}Z"
        writer.writerow(["source", encode(key), "v", *flags, size, time, "etag", "STANDARD"])
    return text.getvalue().encode()


def table_in(write: Callable[..., Any], rows: list[Any], **options: Any) -> bytes:
    keys, latest, deleted, sizes, times = (list(column) for column in zip(*rows, strict=True))
    columns = {
        "bucket": ["source"] * len(rows),
        "key": keys,
        "is_latest": latest,
        "is_delete_marker": deleted,
        "size": pa.array(sizes, pa.int64()),
        "last_modified_date": pa.array(times, pa.timestamp("ms", "UTC")),
        "e_tag": ["x"] * len(rows),
    }
    out = io.BytesIO()
    write(pa.table(columns), out, **options)
    return out.getvalue()


parquet_of: Final = partial(table_in, parquet.write_table, row_group_size=4)
FORMATS: Final[dict[str, tuple[str, Callable[..., bytes]]]] = {
    "csv.gz": ("CSV", lambda rows: gzip.compress(csv_of(rows))),
    "csv": ("CSV", csv_of),
    "csv, spaces as %20": ("CSV", lambda rows: csv_of(rows, quote)),
    "parquet": ("Parquet", parquet_of),
    "orc": ("ORC", partial(table_in, orc.write_table)),
}


def manifest(form: str, keys: list[str]) -> bytes:
    schema = COLUMNS if form == "CSV" else f"message s3.inventory {{ {form} }}"
    files = [{"key": key, "size": 1, "MD5checksum": "x"} for key in keys]
    buckets = {"sourceBucket": "source", "destinationBucket": "arn:aws:s3:::inventories"}
    described = {"version": "2016-11-30", "fileFormat": form, "fileSchema": schema}
    return json.dumps({**buckets, **described, "files": files}).encode()


def inventoried(path: str | Path, aws: Aws | None = None) -> list[S3Object]:
    return list(of_inventory(str(path), aws or Aws(), ASSUMED))


class TestInventories:
    """An inventory names its current objects, with their sizes and times."""

    @pytest.mark.parametrize("name", FORMATS)
    def test_a_manifest_and_its_data(self, name: str, tmp_path: Path) -> None:
        (form, made), suffix = FORMATS[name], name.partition(",")[0]
        # In the folders that S3 makes: the manifest's own for each time, one for all data.
        data, dated = tmp_path / "config" / "data", tmp_path / "config" / "2026-03-14T01-00Z"
        data.mkdir(parents=True)
        dated.mkdir()
        parts = [data / f"1.{suffix}", data / f"2.{suffix}"]
        for part, rows in zip(parts, (ROWS[:5], ROWS[5:]), strict=True):
            part.write_bytes(made(rows))
        keys = [f"prefix/source/config/data/{part.name}" for part in parts]
        (dated / "manifest.json").write_bytes(manifest(form, keys))

        assert inventoried(dated / "manifest.json") == CURRENT
        if form != "CSV":  # names of columns need no manifest
            assert [*chain.from_iterable(map(inventoried, parts))] == CURRENT

    @pytest.mark.parametrize(
        "place", ["inv/1.csv", "1.csv", "data/1.csv"], ids=["by its key", "flat", "in data"]
    )
    def test_data_beside_the_manifest_are_found(self, place: str, tmp_path: Path) -> None:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(csv_of(ROWS))
        (tmp_path / "manifest.json").write_bytes(manifest("CSV", ["inv/1.csv"]))

        assert inventoried(tmp_path / "manifest.json") == CURRENT

    @pytest.mark.parametrize("key", ["{}/other.csv", "sub/../../other.csv"])
    def test_a_key_leads_to_no_file_elsewhere(self, key: str, tmp_path: Path) -> None:
        (tmp_path / "inv" / "sub").mkdir(parents=True)
        (tmp_path / "other.csv").write_bytes(csv_of(ROWS))
        path = tmp_path / "inv" / "manifest.json"
        path.write_bytes(manifest("CSV", [key.format(tmp_path)]))

        with pytest.raises(CommandError, match=r"'other\.csv' is missing"):
            inventoried(path)

    def test_a_csv_file_alone_has_no_sizes_and_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "1.csv.gz"
        path.write_bytes(gzip.compress(csv_of(ROWS[:2])))

        assert inventoried(path) == [S3Object("source", key, 1, NOW) for key in KEYS[:2]]
        assert "sizes and times of the objects are not known" in capsys.readouterr().err

    def test_an_inventory_in_s3(self, aws: LocalAws, client_settings: Aws) -> None:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="inventories")
        data = {"p/c/1.csv.gz": gzip.compress(csv_of(ROWS[:6])), "p/c/2.csv": csv_of(ROWS[6:])}
        for key, body in (data | {"p/m/manifest.json": manifest("CSV", [*data])}).items():
            s3.put_object(Bucket="inventories", Key=key, Body=body)
        assert inventoried("s3://inventories/p/m/manifest.json", client_settings) == CURRENT

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("manifest.json", b"{", "no valid JSON"),
            ("manifest.json", b"[]", "not a manifest"),
            ("manifest.json", b'{"files": [{}]}', "names no key"),
            ("manifest.json", b'{"files": [{"key": "d/1.csv"}]}', "'1.csv' is missing"),
            ("1.txt", b"", "not a file of an S3 Inventory"),
            ("1.csv", b'"b"\n', "1.csv:1: no row"),
            ("1.csv", b'"b","%ff"\n', "1.csv:1: no row"),
            ("1.csv.gz", b"\x1f\x8b\x08 broken", "damaged"),
            ("1.csv.gz", gzip.compress(csv_of(ROWS))[:-20], "damaged"),
            ("1.parquet", b"PAR1", "cannot be read"),
            ("1.orc", b"ORC", "cannot be read"),
        ],
        ids=lambda each: "" if isinstance(each, bytes) else each,
    )
    def test_what_is_no_inventory(
        self, name: str, content: bytes, said: str, tmp_path: Path
    ) -> None:
        (tmp_path / name).write_bytes(content)

        with pytest.raises(CommandError, match=said) as raised:
            inventoried(tmp_path / name)
        assert name in str(raised.value)

    def test_the_extra_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "1.parquet").write_bytes(parquet_of(ROWS))
        monkeypatch.setitem(sys.modules, "pyarrow", None)

        with pytest.raises(CommandError, match=r"lava-s3trigger\[cli,inventory\]"):
            inventoried(tmp_path / "1.parquet")


def test_the_objects_below_a_prefix(aws: LocalAws, client_settings: Aws) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="listed")
    keys = ["in/a b+%20.csv", "in/b.csv", "out/c.csv"]
    for key in keys:
        s3.put_object(Bucket="listed", Key=key, Body=b"12345")

    for uri, listed in {"s3://listed/in/": keys[:2], "s3://listed": keys}.items():
        found = list(of_listing(uri, client_settings, ASSUMED))
        assert names(found) == [("listed", key) for key in listed]
        assert {each.size for each in found} == {5}
        assert all(abs(each.time - datetime.now(UTC)) < timedelta(hours=1) for each in found)


def test_the_log_names_each_object_once(aws: LocalAws, client_settings: Aws) -> None:
    log = Log(aws, "/aws/lambda/lava-plans-s3trigger")
    now = datetime.now(UTC).replace(microsecond=5000)
    log.write(text_line("dispatched", bucket="b", key="x/a.csv"), at=now - timedelta(days=1))
    lines = [
        "START RequestId: 6f1e Version: $LATEST",
        text_line("dispatched", bucket="b", key="in/a.csv"),
        line("dispatched", bucket="b", key="in/a.csv", job_id="second"),
        line("skipped", bucket="b", key="\x1b ü"),
        line("skipped", bucket="b", key="\ud800"),
        line("failed", reason="no object"),
    ]
    for number, text in enumerate(lines):
        log.write(text, at=now + timedelta(milliseconds=number))

    found = list(of_log(log.group, now - timedelta(hours=1), client_settings, ASSUMED))

    assert names(found) == [("b", "in/a.csv"), ("b", "\x1b ü")]
    assert found[0].time == now + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("90m", NOW - timedelta(minutes=90)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:00:00+10:00", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_time_in_the_past(text: str, time: datetime) -> None:
    assert read_since(text, NOW) == time


@pytest.mark.parametrize("text", ["", "yesterday", "7 days", "2026-13-01", "1e308w"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="neither a duration such as 7d"):
        read_since(text, NOW)
