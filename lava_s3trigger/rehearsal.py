"""A rehearsal of the first event, in the init phase, which has more CPU than an invocation.

It triggers everything that is done once, at first use: Jinja's lexer, the endpoints and
serializers of clients, late imports. AWS is not called.
"""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any, Final

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from .aws.clients import load_certificates
from .log import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.awsrequest import AWSPreparedRequest

_PAYLOAD: Final[dict[str, Any]] = {
    "Records": [
        {
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2006-03-14T00:00:00.000Z",
            "eventName": "ObjectCreated:Put",
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "s3": {"bucket": {"name": "rehearsal"}, "object": {"key": "key", "size": 0}},
        }
    ]
}
_TRIGGER: Final = {
    "trigger_id": {"S": "rehearsal"},
    "bucket": {"S": "rehearsal"},
    "prefix": {"S": "*"},
    "enabled": {"BOOL": True},
    "job_id": {"S": "rehearsal"},
    "parameters": {"M": {"key": {"S": "{{ key }}"}}},
}
_JOB: Final = {
    "job_id": {"S": "rehearsal"},
    "type": {"S": "cmd"},
    "worker": {"S": "rehearsal"},
    "payload": {"S": "true"},
    "enabled": {"BOOL": True},
}
_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "Query": {"Items": [_TRIGGER]},
    "GetItem": {"Item": _JOB},
    "UpdateItem": {},
    "GetQueueUrl": {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/rehearsal"},
    "SendMessageBatch": {"Successful": [{"Id": "0"}]},
}


def rehearse(make: Callable[[], Callable[[Any], Any]], *clients: Any) -> None:
    """Handle an S3 event without AWS and without a log; an error does no harm.

    Args:
        make: Makes a separate function, since a function remembers the event.
        clients: The clients of DynamoDB and SQS, which the real function shares.
    """
    # Such as missing credentials. If it is a real error, the first event reports it.
    with contextlib.suppress(Exception):
        load_certificates(*clients)
        "localhost".encode("idna")  # as each connection does; imports three modules
    with contextlib.suppress(Exception), _without_aws(*clients), _without_log():
        make()(_PAYLOAD)


@contextlib.contextmanager
def _without_aws(*clients: Any) -> Iterator[None]:
    """Answer requests as AWS would, instead of sending them."""
    # https://docs.aws.amazon.com/boto3/latest/guide/events.html: if a handler of this
    # event returns a response, nothing is sent.
    for client in clients:
        client.meta.events.register_first("before-send", _answer)
    try:
        yield
    finally:
        for client in clients:
            client.meta.events.unregister("before-send", _answer)


def _answer(event_name: str, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
    body = json.dumps(_ANSWERS[event_name.rpartition(".")[2]]).encode()
    raw = HTTPResponse(io.BytesIO(body), preload_content=False)
    return AWSResponse(request.url, 200, HTTPHeaders(), raw)


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    LOGGER.disabled = True
    try:
        yield
    finally:
        LOGGER.disabled = False
