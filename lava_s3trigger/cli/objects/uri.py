"""Addresses of objects, and the records that S3 would send for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qs, quote_plus, unquote

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.times import shown_time

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CREATED: Final = "ObjectCreated:Put"
"""Event type of an object that was put in one request."""
UPLOADED: Final = "ObjectCreated:CompleteMultipartUpload"
"""Event type of an object that was put in parts."""

SCHEME: Final = "s3://"
"""The beginning of URIs of objects and prefixes."""
MAX_KEY_BYTES: Final = 1024
"""Bytes of the longest key."""
_EMPTY_MD5: Final = "d41d8cd98f00b204e9800998ecf8427e"
SERVICE: Final = "s3.amazonaws.com"
"""Source address in events that AWS itself caused."""


class ObjectName(NamedTuple):
    """Bucket and key of an object."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """The facts that S3 has about an object."""

    size: int
    """Bytes."""
    etag: str
    """Without quotes."""
    last_modified: datetime

    @property
    def event_type(self) -> str:
        """The type of the event that S3 sent when the object was put."""
        return UPLOADED if "-" in self.etag else CREATED


def read_uri(text: str) -> ObjectName:
    """Read the address of an object: an S3 URI, an ARN, or a URL of the console or of S3.

    The key in a URI or an ARN is not decoded; in a URL it is percent-decoded.

    Raises:
        CommandError: It is not an address of an object.
    """
    text = _uri_of(text)
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not text.startswith(SCHEME):
        wrong = "not an object: write s3://BUCKET/KEY, such as s3://my-bucket/incoming/a.csv"
    elif not bucket:
        wrong = "the bucket is missing: write s3://BUCKET/KEY"
    elif not key:
        wrong = f"the key is missing: name an object, such as s3://{bucket}/a.csv"
    else:
        try:
            length = len(key.encode())
        except UnicodeEncodeError:
            wrong = "the key is not UTF-8, as keys are in S3"
        else:
            if length <= MAX_KEY_BYTES:
                return ObjectName(bucket, key)
            text = f"{safe(text)[:80]}..."
            wrong = f"the key has {length} bytes; one in S3 has at most {MAX_KEY_BYTES}"
    raise CommandError(safe(f"{text}: {wrong}"), WRONG_USAGE)


def _uri_of(text: str) -> str:
    """Return the S3 URI for an ARN or a URL, and any other text unchanged.

    In a URL of the console the bucket ends the path, and the key is the parameter `prefix`. See
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html for URLs of S3.
    """
    if match := _ARN.match(text):
        return f"{SCHEME}{text[match.end() :]}"
    if not text.startswith(("https://", "http://")):
        return text
    host, _, path = text.partition("://")[2].partition("/")
    path, _, query = path.partition("#")[0].partition("?")
    if host.endswith("console.aws.amazon.com"):
        key = parse_qs(query).get("prefix", [""])[0]
        return f"{SCHEME}{path.rstrip('/').rpartition('/')[2]}/{key}"
    if match := _HOST.fullmatch(host):
        bucket = f"{match['bucket']}/" if match["bucket"] else ""
        return f"{SCHEME}{bucket}{unquote(path)}"
    return text


_ARN: Final = re.compile(r"arn:aws[\w-]*:s3:::")
_HOST: Final = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?"
)


def s3_record(  # noqa: PLR0913 - an event has as many elements
    bucket: str,
    key: str,
    *,
    size: int | None = 1,
    event_type: str = CREATED,
    time: datetime | None = None,
    source_ip: str | None = None,
    region: str = "us-east-1",
    etag: str | None = None,
) -> dict[str, Any]:
    """Return the record of an event, as S3 sends it.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

    Args:
        bucket: Name of the bucket.
        key: The object's key, as it is in S3; the record has it form-encoded.
        size: Bytes; None leaves it out, as S3 does for deletions.
        event_type: Such as ``ObjectCreated:Put``.
        time: When it happened; now, if None.
        source_ip: The source address; if None, AWS itself.
        region: AWS region of the bucket.
        etag: The object's ETag, without quotes; None means that of an empty object, or no
            ETag for a deleted one.
    """
    time = (time or datetime.now(UTC)).astimezone(UTC)
    s3_object: dict[str, Any] = {"key": quote_plus(key, safe="/")}
    if size is not None:
        s3_object["size"] = size
        etag = etag or _EMPTY_MD5
    if etag is not None:
        s3_object["eTag"] = etag
    # The sequencer orders the events of a key; like S3's, it begins with the time.
    s3_object["sequencer"] = f"00{int(time.timestamp()):08X}{time.microsecond:08X}"
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": shown_time(time),
        "eventName": event_type,
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": source_ip or SERVICE},
        "responseElements": {"x-amz-request-id": "EXAMPLE123456789", "x-amz-id-2": "EXAMPLE"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "lava-s3trigger",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "AEXAMPLE"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": s3_object,
        },
    }


def head_object(client: S3Client, name: ObjectName) -> ObjectFacts | None:
    """Ask S3 about an object.

    Returns:
        The facts that S3 has about it; None if there is no such object, or the caller must not
        see it: without the permission to list the bucket, S3's answer is the same for both.

    Raises:
        ClientError, BotoCoreError: S3 refuses for another reason, or cannot be reached.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - start-up

    try:
        answer = client.head_object(Bucket=name.bucket, Key=name.key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _NOT_SEEN:
            return None
        raise
    return ObjectFacts(answer["ContentLength"], answer["ETag"].strip('"'), answer["LastModified"])


_NOT_SEEN: Final = (403, 404)
