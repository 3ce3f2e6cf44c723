"""A forwarder between the deployed function and the local AWS, at which calls can be broken."""

import contextlib
import http.client
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.aws_in_memory.server import HttpAnswer, HttpRequest, HttpServer


class Forwarder(HttpServer):
    """Forwards calls of SQS to an endpoint; ended with the ``with`` block.

    Args:
        endpoint: URL of the server to forward to.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._target = urlsplit(endpoint).netloc
        self.before: Callable[[str], None] = nothing
        self.after: Callable[[str], None] = nothing

    def respond(self, request: HttpRequest) -> HttpAnswer:
        operation = request.headers["x-amz-target"].partition(".")[2]
        self.before(operation)
        answer = self._forward(request)
        self.after(operation)
        return answer

    def _forward(self, request: HttpRequest) -> HttpAnswer:
        with contextlib.closing(http.client.HTTPConnection(self._target)) as connection:
            # Under the host that the call was signed for.
            connection.request("POST", "/", request.body, request.headers)
            response = connection.getresponse()
            return HttpAnswer(response.status, response.read())


def nothing(*_: Any) -> None:
    """Do nothing."""


def workers(server: int) -> list[int]:
    """Return the ids of the processes in which a local AWS server runs functions."""
    listed = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True
    )
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == server]


def kill(processes: list[int]) -> None:
    """End processes with no chance to do anything about it."""
    for each in processes:
        os.kill(each, signal.SIGKILL)
