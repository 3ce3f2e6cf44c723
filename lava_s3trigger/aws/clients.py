"""The AWS clients, made once, with bounded waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import botocore
from botocore.config import Config

# botocore's session, not boto3's: the clients are the same, and boto3's imports
# take a sixth of a cold start (docs/decisions.md).
from botocore.session import get_session

from lava_s3trigger.errors import ServiceError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

CONNECT_TIMEOUT: Final = 2
READ_TIMEOUT: Final = 4
ATTEMPTS: Final = 3
MAX_CALL_SECONDS: Final = float(CONNECT_TIMEOUT + READ_TIMEOUT)
"""Longest that one attempt of a call takes, in seconds."""
MAX_READ_SECONDS: Final = ATTEMPTS * MAX_CALL_SECONDS + 3
"""Longest that a call of DynamoDB takes, in seconds: it is tried again after up to 1 s,
then 2 s."""


def make_clients(**options: Any) -> tuple[DynamoDBClient, SQSClient]:
    """Make the two clients that the function calls AWS with.

    Args:
        options: Passed on to both, such as ``endpoint_url``.
    """
    timeouts = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        # DynamoDB and SQS are called from one thread, or from those that send.
        max_pool_connections=10,
        parameter_validation=False,  # all parameters are made here, and tested
        # botocore makes its own anew for each call, which takes a tenth of the call.
        user_agent=f"lava-s3trigger Botocore/{botocore.__version__}",
    )
    session = get_session()
    dynamodb = session.create_client(
        "dynamodb",
        config=timeouts.merge(Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS})),
        **options,
    )
    # What sends tries again by itself: a message that is sent again must be another
    # one, with a run_id of its own (docs/design.md#dispatch).
    sqs = session.create_client(
        "sqs",
        config=timeouts.merge(Config(retries={"mode": "standard", "total_max_attempts": 1})),
        **options,
    )
    return dynamodb, sqs  # type: ignore[return-value]


def service_error(what: str, error: ClientError | BotoCoreError) -> ServiceError:
    """Make an error of ours of one of botocore's, naming what was being done."""
    return ServiceError(f"{what}: {' '.join(str(error).split())}")
