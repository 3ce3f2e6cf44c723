"""A client that calls AWS in memory without HTTP."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, ConnectionClosedError

from .faults import RefusedError, ResetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .aws import Aws
    from .faults import Refusal

# SQS names these as it did before it spoke JSON, and botocore goes by that name.
_OF_BATCHES: Final = (
    *("BatchEntryIdsNotDistinct", "BatchRequestTooLong", "EmptyBatchRequest"),
    *("InvalidBatchEntryId", "TooManyEntriesInBatchRequest"),
)
QUERY_ERRORS: Final = {
    **{code: f"AWS.SimpleQueueService.{code}" for code in _OF_BATCHES},
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "KmsAccessDenied": "KMS.AccessDeniedException",
    "KmsDisabled": "KMS.DisabledException",
    "KmsInvalidState": "KMS.InvalidStateException",
    "KmsThrottled": "KMS.ThrottlingException",
}


class Client:
    """Every operation as a method, as clients of botocore have them; it retries nothing.

    Args:
        aws: What it calls.
        region: Its region.
    """

    def __init__(self, aws: Aws, region: str) -> None:
        self._aws = aws
        self.meta = SimpleNamespace(region_name=region)

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        if name.startswith("_"):
            raise AttributeError(name)
        operation = "".join(map(str.capitalize, name.split("_")))

        def call(**request: Any) -> dict[str, Any]:
            try:
                return self._aws.call(operation, request)
            except RefusedError as error:
                raise _client_error(error.refusal, operation) from None
            except ResetError:
                raise ConnectionClosedError(endpoint_url=self._aws.url) from None

        setattr(self, name, call)
        return call


def _client_error(refusal: Refusal, operation: str) -> ClientError:
    """Return the error that botocore makes of a refusal."""
    code = QUERY_ERRORS.get(refusal.code, refusal.code)
    response: Any = {
        "Error": {"Code": code, "Message": refusal.message},
        "ResponseMetadata": {"HTTPStatusCode": refusal.status},
        **refusal.more,
    }
    return ClientError(response, operation)
