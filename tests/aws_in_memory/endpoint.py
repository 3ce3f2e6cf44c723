"""AWS in memory over HTTP: what real clients of botocore talk to."""

from __future__ import annotations

import functools
import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from .aws import REGION, Aws
from .client import QUERY_ERRORS
from .faults import RefusedError, ResetError
from .server import RESET, HttpAnswer, HttpServer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from .faults import Refusal
    from .server import HttpRequest


class Endpoint(HttpServer, Aws):
    """The endpoint, served from threads of its own until the ``with`` block ends."""

    def __init__(self) -> None:
        Aws.__init__(self)
        HttpServer.__init__(self)

    def __exit__(self, *error: object) -> None:
        self.reset()
        if "clients" in self.__dict__:
            for client in self.clients:
                client.close()
        super().__exit__()

    @functools.cached_property
    def clients(self) -> tuple[DynamoDBClient, SQSClient]:
        """The function's clients, made as it makes them; closed with the endpoint."""
        from lava_s3trigger.aws.clients import make_clients  # noqa: PLC0415 - see __init__

        return make_clients(
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def respond(self, request: HttpRequest) -> HttpAnswer:
        try:
            if request.method == "HEAD":
                return HttpAnswer(headers=self.call(*_of_head(request.path)))
            name = request.headers["x-amz-target"].rpartition(".")[2]
            return _json(200, self.call(name, request.json()))
        except ResetError:
            return RESET
        except RefusedError as error:
            return _refused(error.refusal)


def _json(status: int, body: dict[str, Any], **headers: str) -> HttpAnswer:
    known = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": str(uuid.uuid4())}
    return HttpAnswer(status, json.dumps(body).encode(), known | headers)


def _refused(refusal: Refusal) -> HttpAnswer:
    body = {"__type": f"com.amazonaws#{refusal.code}", "message": refusal.message, **refusal.more}
    older = QUERY_ERRORS.get(refusal.code)
    headers = {"x-amzn-query-error": f"{older};Sender"} if older else {}
    return _json(refusal.status, body, **headers)


def _of_head(target: str) -> tuple[str, dict[str, Any]]:
    """Return operation and request of a HEAD, which has the bucket in its path."""
    url = urlsplit(target)
    bucket, _, key = url.path[1:].partition("/")
    version_id = parse_qs(url.query).get("versionId", [None])[0]
    request = {"Bucket": unquote(bucket), "Key": unquote(key), "VersionId": version_id}
    return "HeadObject" if key else "HeadBucket", request
