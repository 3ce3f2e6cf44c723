"""An HTTP server that answers as services of AWS do that the local server lacks, or as they fail.

A test gives it functions by method and path; it keeps each request that it was sent.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class Request:
    """A request that arrived."""

    method: str
    path: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; a status of 0 closes the connection instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Answer]


def refusal(status: int, code: str, message: str = "refused by the test") -> Answer:
    """Return a refusal as Lambda words it."""
    return Answer(
        status,
        json.dumps({"Type": "User", "message": message}).encode(),
        {"x-amzn-ErrorType": code},
    )


CLOSED = Answer(0)


class CannedAws:
    """The server, until the ``with`` block ends."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.handlers: dict[tuple[str, str], Handler] = {}
        """By method, and pattern of the path."""
        self._lock = threading.Lock()
        server = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                request = Request(self.command, self.path, self.rfile.read(length))
                answer = server.answer(request)
                if not answer.status:
                    self.close_connection = True
                    return
                with contextlib.suppress(ConnectionError):  # a client that was killed
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = _answer  # noqa: N815 - http.server's

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
        for (method, pattern), handler in self.handlers.items():
            if method == request.method and re.search(pattern, request.path):
                return handler(request)
        return refusal(404, "ResourceNotFoundException")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
