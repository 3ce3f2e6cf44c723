"""The AWS clients, made once, with bounded waiting."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.errors import ServiceError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

CONNECT_TIMEOUT: Final = 1
"""Seconds to connect, for each address of the service."""
READ_TIMEOUT: Final = 4
"""Seconds to receive each separate part of a response."""
ATTEMPTS: Final = 3
MAX_CALL_SECONDS: Final = float(2 * CONNECT_TIMEOUT + READ_TIMEOUT)
"""Seconds that one attempt of a call may take, with one dead address and a response in one
part. botocore has no timeout for a whole call: more dead addresses, a slow name server or a
response in many parts take longer. If the function's timeout then ends the invocation, AWS
delivers its events again."""
MAX_READ_SECONDS: Final = ATTEMPTS * MAX_CALL_SECONDS + 3
"""Seconds that a call of DynamoDB may take: botocore retries it after up to 1 s, then 2 s."""


def make_clients(**options: Any) -> tuple[DynamoDBClient, SQSClient]:
    """Make the two clients of AWS that the function always needs.

    Args:
        options: Options of both clients, such as ``endpoint_url``.
    """
    # Imported here, since the command line imports this module and mostly calls no AWS.
    import botocore  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    # A session of botocore: boto3's has the same clients, but its imports take a sixth of a
    # cold start (docs/decisions.md).
    from botocore.session import get_session  # noqa: PLC0415

    timeouts = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        # One thread calls DynamoDB and SQS, or those that send.
        max_pool_connections=10,
        parameter_validation=False,  # this package makes all parameters, and tests them
        # botocore makes its own for each call, which takes a tenth of the call.
        user_agent=f"lava-s3trigger Botocore/{botocore.__version__}",
    )
    session = get_session()
    dynamodb = session.create_client(
        "dynamodb",
        config=timeouts.merge(Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS})),
        **options,
    )
    # `aws.sqs` makes the retries, since each attempt must send another message, with a
    # new run_id (docs/design.md#dispatch).
    sqs = session.create_client(
        "sqs",
        config=timeouts.merge(Config(retries={"mode": "standard", "total_max_attempts": 1})),
        **options,
    )
    dynamodb.meta.events.register_first("needs-retry.dynamodb", _retry_at_once)  # type: ignore[arg-type]
    return dynamodb, sqs  # type: ignore[return-value]


def load_certificates(*clients: DynamoDBClient | SQSClient) -> None:
    """Load the certificates of the authorities once, for all connections of the clients.

    Without this, urllib3 loads all of them for each connection, which takes longer than an event.

    Args:
        clients: Clients that were made with the same options.
    """
    from botocore.httpsession import get_cert_path  # noqa: PLC0415 - as above

    sessions = [client._endpoint.http_session for client in clients]  # type: ignore[union-attr]  # noqa: SLF001
    session, *_ = sessions
    if not (clients[0].meta.endpoint_url.startswith("https:") and session._verify):  # noqa: SLF001
        return
    pools = [session._manager.connection_pool_kw for session in sessions]  # noqa: SLF001
    context = pools[0]["ssl_context"]
    context.load_verify_locations = cache(context.load_verify_locations)
    context.load_verify_locations(get_cert_path(session._verify), None, None)  # noqa: SLF001
    for pool in pools:
        pool["ssl_context"] = context


def _retry_at_once(attempts: int, caught_exception: Exception | None, **_: Any) -> float | None:
    """Return how long botocore waits before a retry; with None, botocore decides."""
    return 0.0 if attempts == 1 and is_stale_connection(caught_exception) else None


def is_stale_connection(error: Exception | None) -> bool:
    """Return whether an error means that the service closed the connection.

    Mostly it did so while AWS had frozen the instance, and responds on a new connection.
    """
    from botocore.exceptions import ConnectionClosedError  # noqa: PLC0415 - as above

    return isinstance(error, ConnectionClosedError)


def service_errors() -> tuple[type[ClientError], type[BotoCoreError]]:
    """Return the errors of botocore for a failed call, for an ``except``.

    Python calls this only when something was raised: botocore is imported by then.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    return ClientError, BotoCoreError


def service_error(what: str, error: ClientError | BotoCoreError) -> ServiceError:
    """Return an error of this package for one of botocore's, with a description of the call."""
    return ServiceError(f"{what}: {' '.join(str(error).split())}")
