"""Objects named on the command line, and the records made of them."""

from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.objects.uri import (
    CREATED,
    UPLOADED,
    ObjectFacts,
    ObjectName,
    read_uri,
    s3_record,
)
from lava_s3trigger.deliveries import deliveries

KEYS: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
CONSOLE: Final = "console.aws.amazon.com/s3/object/my-bucket"
TIME: Final = datetime(2026, 3, 14, 1, 59, 26, 535000, tzinfo=UTC)


class TestUris:
    """An address names a bucket and a key."""

    @given(key=KEYS)
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

    @given(key=KEYS, size=st.integers(0, 5 * 2**40), address=st.ip_addresses())
    def test_the_function_reads_what_was_given(self, key: str, size: int, address: object) -> None:
        record = s3_record(
            "b", key, size=size, time=TIME, source_ip=str(address), region="eu-west-1"
        )
        [delivery] = deliveries({"Records": [record]}, "us-east-1")
        [event] = [each.event for each in delivery.events]
        assert (event.bucket, event.key, event.size) == ("b", key, size)
        assert (event.event_type, event.event_time) == (CREATED, TIME)
        assert (event.source_ip, event.aws_region) == (address, "eu-west-1")

    def test_a_deletion_has_neither_size_nor_etag(self) -> None:
        record = s3_record("b", "k", size=None, event_type="ObjectRemoved:Delete")
        assert record["s3"]["object"].keys() == {"key", "sequencer"}
        [delivered] = deliveries({"Records": [record]}, "us-east-1")[0].events
        event = delivered.event
        assert (event.size, event.source_ip) == (0, None)

    def test_a_later_event_has_a_larger_sequencer(self) -> None:
        times = [TIME, TIME.replace(microsecond=535001), TIME.replace(second=27, microsecond=0)]
        marks = [s3_record("b", "k", time=each)["s3"]["object"]["sequencer"] for each in times]
        assert marks == sorted(set(marks))


def test_the_etag_tells_of_parts() -> None:
    assert ObjectFacts(1, "827ccb0eea8a706c4c34a16891f84e7b-2", TIME).event_type == UPLOADED
