"""An HTTP server on loopback, for what clients of botocore send.

It speaks as much of HTTP/1.1 as botocore does, several times as fast as `http.server`.
"""

import contextlib
import json
import socket
import socketserver
import struct
import threading
from dataclasses import dataclass, field
from typing import Any, Final, Self


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    """By name, in lower case."""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer; a status of 0 resets the connection instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


RESET: Final = HttpAnswer(0)


class HttpServer:
    """A server in threads of its own until the ``with`` block ends; a subclass answers."""

    def __init__(self) -> None:
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def respond(self, request: HttpRequest) -> HttpAnswer:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="aws in memory", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, owner: HttpServer) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Have the threads of all connections end."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # such as of a client that was killed
            while request := self._read():
                answer = self.server.owner.respond(request)
                if not answer.status:
                    # Not lingering is what makes closing it a reset.
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    return
                self._write(answer, has_body=request.method != "HEAD")

    def _read(self) -> HttpRequest | None:
        first = self.rfile.readline()
        if not first:
            return None
        method, path, _ = first.decode("latin-1").split(" ", 2)
        headers = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if "expect" in headers:  # as S3's clients ask before they send a body
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(int(headers.get("content-length", 0)))
        return HttpRequest(method, path, body, headers)

    def _write(self, answer: HttpAnswer, *, has_body: bool) -> None:
        headers = answer.headers
        if has_body:
            headers = {**headers, "Content-Length": str(len(answer.body))}
        lines = [f"HTTP/1.1 {answer.status} {'OK' if answer.status == 200 else 'Refused'}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.wfile.write(head + answer.body if has_body else head)
