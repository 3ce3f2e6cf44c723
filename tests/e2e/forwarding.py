"""A forwarder between the deployed function and the local AWS, at which calls can be broken."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

DENIED: Final = b'{"__type": "com.amazonaws.sqs#AccessDenied", "message": "not now"}'


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing: callers that are killed in the middle are what this is for."""


class Forwarder:
    """Forwards calls of SQS to an endpoint; ended with the ``with`` block.

    Args:
        endpoint: URL of the server to forward to.
    """

    def __init__(self, endpoint: str) -> None:
        target = urlsplit(endpoint).netloc
        forwarder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                forwarder.before(operation)
                if operation in forwarder.denied:
                    status, answer = 403, DENIED
                else:
                    status, answer = forward(self.headers, body)
                forwarder.after(operation)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        def forward(headers: Any, body: bytes) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(target)
            try:
                # Under the host that the call was signed for.
                connection.request("POST", "/", body, dict(headers))
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()

        self.before: Callable[[str], None] = nothing
        self.after: Callable[[str], None] = nothing
        self.denied: set[str] = set()
        """Operations that are answered with an error."""
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


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
