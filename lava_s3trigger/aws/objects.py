"""Asks S3 for size and time of objects, only for tasks of S3 Batch Operations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import botocore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.session import get_session

from lava_s3trigger.errors import ObjectError
from lava_s3trigger.units import shown

from .clients import ATTEMPTS, CONNECT_TIMEOUT, READ_TIMEOUT, service_error
from .deadline import Reserve

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

    from .deadline import Deadline

MODELS: Final = Path(__file__).with_name("models")
"""The folder with the package's part of botocore's description of S3. It is not with the other
descriptions, so that a wrapper's client of S3 does not find this part."""

_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_NOT_ALLOWED: Final = 405
_MAY_PASS: Final = frozenset([408, 429])
_SERVER_ERROR: Final = 500


class ObjectHead(NamedTuple):
    """The facts that S3 returns about an object."""

    size: int
    """Bytes."""
    last_modified: datetime
    etag: str | None
    """Without quotes."""
    version_id: str | None


def make_s3_client(**options: Any) -> S3Client:
    """Make a client of S3.

    Args:
        options: Options of the client, such as ``endpoint_url``.
    """
    session = get_session()
    # Last, since outside of the package botocore has a description of its own.
    session.get_component("data_loader").search_paths.append(str(MODELS))
    client: S3Client = session.create_client(  # type: ignore[assignment]
        "s3",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=10,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            user_agent=f"lava-s3trigger Botocore/{botocore.__version__}",
            response_checksum_validation="when_required",
        ),
        **options,
    )
    return client


class HeadsOfObjects(Protocol):
    """Something that looks objects up."""

    def start(self) -> None:
        """Prepare for calls of several threads."""

    def head(self, bucket: str, key: str, version_id: str | None, deadline: Deadline) -> ObjectHead:
        """Return an object as it is now, or a version of it."""


class Objects:
    """Asks S3 for objects.

    Args:
        make_client: Makes the client, for the first object.
    """

    def __init__(self, make_client: Callable[[], S3Client]) -> None:
        self._make_client = make_client
        self._client: S3Client | None = None

    def start(self) -> None:
        """Make the client, before several threads call `head`."""
        if self._client is None:
            self._client = self._make_client()

    def head(self, bucket: str, key: str, version_id: str | None, deadline: Deadline) -> ObjectHead:
        """Return an object as it is now, or a version of it.

        Raises:
            ObjectError: There is no such object, or the function may not read it.
            OutOfTimeError: Too little time is left for the call.
            ServiceError: S3 did not answer.
        """
        self.start()
        deadline.require(Reserve.READ, "asking S3 for the object")
        version = {} if version_id is None else {"VersionId": version_id}
        assert self._client is not None  # noqa: S101 - made by start
        try:
            answer = self._client.head_object(Bucket=bucket, Key=key, **version)  # type: ignore[arg-type]
        except ClientError as error:
            raise _unreadable(bucket, error) or service_error("head object", error) from None
        except ParamValidationError as error:  # such as an impossible name of a bucket
            raise ObjectError(f"size unknown: {' '.join(str(error).split())}") from None
        except BotoCoreError as error:
            raise service_error("head object", error) from None
        return ObjectHead(
            size=answer["ContentLength"],
            last_modified=answer["LastModified"],
            etag=answer.get("ETag", "").strip('"') or None,
            version_id=version_id or _version(answer.get("VersionId")),
        )


def _version(version_id: str | None) -> str | None:
    # S3's events have no version for a bucket without versioning.
    return None if version_id == "null" else version_id


def _unreadable(bucket: str, error: ClientError) -> ObjectError | None:
    """Return why an object can never be read; None if it may be readable later."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
    if status == _NOT_FOUND:
        return ObjectError("there is no such object", "no_object")
    if status == _NOT_ALLOWED:
        return ObjectError("this version of the object is a delete marker", "no_object")
    if status == _FORBIDDEN:
        return ObjectError(
            f"size unknown: the function may not read objects of the bucket {shown(bucket)};"
            " add the bucket to the stack's parameter BackfillBuckets, or use a manifest with"
            " sizes"
        )
    if status < _SERVER_ERROR and status not in _MAY_PASS:
        return ObjectError(f"size unknown: {' '.join(str(error).split())}")
    return None
