"""An HTTP server that answers as services of AWS do that nothing imitates, or as they fail.

A test gives it functions by method and path; it keeps each request that it was sent.
"""

import json
import re
import threading
from collections.abc import Callable
from typing import Any

from tests.aws_in_memory.server import RESET, HttpAnswer, HttpRequest, HttpServer

Request = HttpRequest
Answer = HttpAnswer
Handler = Callable[[Request], Answer]
CLOSED = RESET


def answer(document: Any) -> Answer:
    """Return an answer with a JSON document."""
    return Answer(200, json.dumps(document).encode())


def refusal(status: int, code: str, message: str = "refused by the test") -> Answer:
    """Return a refusal as Lambda words it."""
    body = json.dumps({"Type": "User", "message": message}).encode()
    return Answer(status, body, {"x-amzn-ErrorType": code})


def operation(request: Request) -> str:
    """Return the operation of a request in one of AWS's JSON protocols."""
    return request.headers["x-amz-target"].rpartition(".")[2]


class CannedAws(HttpServer):
    """The server, until the ``with`` block ends."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.handlers: dict[tuple[str, str], Handler] = {}
        """By method, and pattern of the path."""
        self._lock = threading.Lock()

    def respond(self, request: Request) -> Answer:
        """Answer by the first handler whose method and pattern agree."""
        with self._lock:
            self.requests.append(request)
        for (method, pattern), handler in self.handlers.items():
            if method == request.method and re.search(pattern, request.path):
                return handler(request)
        return refusal(404, "ResourceNotFoundException")

    def deploy(self, name: str, variables: dict[str, str], **fields: Any) -> dict[str, Any]:
        """Have Lambda tell the configuration of a function; return it, to be changed."""
        found = {
            "FunctionName": name,
            "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            "Environment": {"Variables": variables},
            "LoggingConfig": {"LogGroup": f"/aws/lambda/{name}"},
            **fields,
        }
        self.handlers["GET", f"/functions/{name}/configuration"] = lambda _: answer(found)
        return found
